"""A process that runs one function: what Lambda calls an execution environment."""

import json
import subprocess
import threading

from keyturn_lambda_host.runtime_api import Outcome, RuntimeApi

STOP_SECONDS = 2
# What the runtime writes, with the id of an invocation behind it, when all is written that the function has said in it.
SAID = "\x1ekeyturn-said "


class FunctionProcess:
    def __init__(self, command: list[str], folder: str, environment: dict[str, str]):
        self.api = RuntimeApi()
        self._lines: list[str] = []
        self._handed_out = 0
        self._said: set[str] = set()
        self._is_over = False
        self._heard = threading.Condition()
        self._process = subprocess.Popen(
            command,
            cwd=folder,
            env={**environment, "AWS_LAMBDA_RUNTIME_API": self.api.address},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        )
        threading.Thread(target=self._listen, daemon=True).start()

    def is_alive(self) -> bool:
        return self._process.poll() is None

    def lines(self) -> list[str]:
        """All that it has written."""
        with self._heard:
            return list(self._lines)

    def said_in(self, invocation: str, seconds: float) -> list[str]:
        """What it has written since it was asked last, all of an invocation included if that is there in time."""
        with self._heard:
            self._heard.wait_for(lambda: self._is_over or invocation in self._said, seconds)
            self._said.discard(invocation)
            start, self._handed_out = self._handed_out, len(self._lines)
            return self._lines[start:]

    def close(self) -> None:
        if self.is_alive():
            self._process.terminate()
            try:
                self._process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self.kill()
        self.api.close()

    def kill(self) -> None:
        """As Lambda ends a function that takes too long: it notices nothing."""
        self._process.kill()
        self._process.wait()

    def _listen(self) -> None:
        for line in self._process.stdout:
            with self._heard:
                if line.startswith(SAID):
                    self._said.add(line.removeprefix(SAID).rstrip("\n"))
                    self._heard.notify_all()
                else:
                    self._lines.append(line.rstrip("\n"))
        with self._heard:
            self._is_over = True
            self._heard.notify_all()
        error = exit_error(self._process.wait())
        self.api.fail_init(error)
        self.api.outcomes.put(Outcome(error, is_error=True))


def exit_error(code: int) -> bytes:
    how = f"exit status {code}" if code >= 0 else f"signal: {-code}"
    return error_body("Runtime.ExitError", f"Runtime exited with error: {how}")


def error_body(kind: str, message: str) -> bytes:
    return json.dumps({"errorType": kind, "errorMessage": message}).encode()

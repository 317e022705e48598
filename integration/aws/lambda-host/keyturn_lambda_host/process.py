"""A process that runs one function: what Lambda calls an execution environment."""

import json
import subprocess
import threading

from keyturn_lambda_host.runtime_api import Outcome, RuntimeApi

STOP_SECONDS = 2


class FunctionProcess:
    def __init__(self, command: list[str], folder: str, environment: dict[str, str]):
        self.api = RuntimeApi()
        self._lines: list[str] = []
        self._lock = threading.Lock()
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

    def lines(self, start: int = 0) -> list[str]:
        """What it has written, from a line on."""
        with self._lock:
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
            with self._lock:
                self._lines.append(line.rstrip("\n"))
        error = exit_error(self._process.wait())
        self.api.fail_init(error)
        self.api.outcomes.put(Outcome(error, is_error=True))


def exit_error(code: int) -> bytes:
    how = f"exit status {code}" if code >= 0 else f"signal: {-code}"
    return error_body("Runtime.ExitError", f"Runtime exited with error: {how}")


def error_body(kind: str, message: str) -> bytes:
    return json.dumps({"errorType": kind, "errorMessage": message}).encode()

"""
LocalStack's Lambda without containers: it asks for an executor by the name of LAMBDA_RUNTIME_EXECUTOR, and this one runs
each execution environment as a process. One that died or took too long is replaced at the next invocation, as in Lambda.
"""

import os
import queue
import time
from pathlib import Path

from localstack import config
from localstack.services.lambda_.invocation.lambda_models import FunctionVersion, InvocationResult
from localstack.services.lambda_.invocation.runtime_executor import (
    LambdaRuntimeException,
    RuntimeExecutor,
)

from keyturn_lambda_host.process import FunctionProcess, error_body
from keyturn_lambda_host.runtime_api import Invocation, Outcome

RUNTIME = Path(__file__).with_name("runtime.mjs")
INIT_SECONDS = 10
# A function sees nothing else of this machine's environment.
KEPT = ("PATH", "HOME", "LANG", "TMPDIR")
# What begins so is for all functions, whatever LocalStack or their configuration says: other addresses, for example.
FOR_FUNCTIONS = "FUNCTION_ENV_"
# What was written before the answer may be read after it, much later on a machine that is busy.
LOG_LAG_SECONDS = 5


class HostExecutor(RuntimeExecutor):
    def __init__(self, id: str, function_version: FunctionVersion):
        super().__init__(id, function_version)
        self._environment: dict[str, str] = {}
        self._process: FunctionProcess | None = None

    def start(self, env_vars: dict[str, str]) -> None:
        kept = {name: os.environ[name] for name in KEPT if name in os.environ}
        given = {name: str(value) for name, value in env_vars.items() if value is not None}
        self._environment = {
            **kept,
            **given,
            # The SDK tells it with every call.
            "AWS_SDK_UA_APP_ID": self.function_version.id.function_name[:50],
            **{
                name.removeprefix(FOR_FUNCTIONS): value
                for name, value in os.environ.items()
                if name.startswith(FOR_FUNCTIONS)
            },
            "LAMBDA_TASK_ROOT": self._code(),
            "TZ": "UTC",
        }
        self._begin()

    def invoke(self, payload: dict[str, str]) -> InvocationResult:
        request, seconds = payload["invoke-id"], self.function_version.config.timeout
        if not self._process.is_alive():
            self._process.close()
            self._begin()
        process = self._process
        began = time.perf_counter()
        process.api.hand_out(
            Invocation(
                id=request,
                function_arn=payload["invoked-function-arn"],
                trace_id=payload.get("trace-id", ""),
                event=payload["payload"] or "null",
                seconds=seconds,
            )
        )
        try:
            outcome = process.api.outcomes.get(timeout=seconds)
        except queue.Empty:
            process.kill()
            outcome = Outcome(
                error_body(
                    "Sandbox.Timedout",
                    f"RequestId: {request} Error: Task timed out after {seconds}.00 seconds",
                ),
                is_error=True,
            )
        duration_ms = (time.perf_counter() - began) * 1000
        logs = [
            f"START RequestId: {request} Version: {self.function_version.id.qualifier}",
            *process.said_in(request, LOG_LAG_SECONDS),
            f"END RequestId: {request}",
            f"REPORT RequestId: {request}\tDuration: {duration_ms:.2f} ms",
        ]
        return InvocationResult(
            request, outcome.body, is_error=outcome.is_error, logs="\n".join(logs)
        )

    def stop(self) -> None:
        if self._process is not None:
            self._process.close()

    def get_logs(self) -> str:
        return "" if self._process is None else "\n".join(self._process.lines())

    def get_address(self) -> str:
        return "127.0.0.1"

    def get_endpoint_from_executor(self) -> str:
        return "127.0.0.1"

    def get_runtime_endpoint(self) -> str:
        # Only the program that LocalStack puts into its containers asks there.
        return f"http://127.0.0.1:{config.GATEWAY_LISTEN[0].port}/_localstack_lambda/{self.id}"

    @classmethod
    def prepare_version(cls, function_version: FunctionVersion) -> None:
        function_version.config.code.prepare_for_execution()

    @classmethod
    def cleanup_version(cls, function_version: FunctionVersion) -> None:
        """The code is in LocalStack's own folder, and goes with it."""

    def _code(self) -> str:
        return str(self.function_version.config.code.get_unzipped_code_location())

    def _begin(self) -> None:
        runtime = str(self.function_version.config.runtime)
        if not runtime.startswith("nodejs"):
            raise LambdaRuntimeException(f"a function for {runtime}: only those for Node run here")
        name = self.function_version.id.function_name
        # The name is for whoever looks for the process.
        command = ["node", str(RUNTIME), name]
        self._process = FunctionProcess(command, self._code(), self._environment)
        if not self._process.api.ready.wait(INIT_SECONDS):
            self._process.kill()
            raise LambdaRuntimeException(f"{name}: not ready within {INIT_SECONDS} s")
        if self._process.api.init_failure is not None:
            reason = self._process.api.init_failure.decode(errors="replace")
            raise LambdaRuntimeException(f"{name}: {reason}")

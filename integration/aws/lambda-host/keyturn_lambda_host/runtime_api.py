"""The Lambda Runtime API, as AWS documents it, for one process that runs one function."""

import queue
import threading
import time
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

BASE = "/2018-06-01/runtime"


@dataclass(frozen=True)
class Invocation:
    id: str
    function_arn: str
    trace_id: str
    event: str
    seconds: int


@dataclass(frozen=True)
class Outcome:
    body: bytes
    is_error: bool


class RuntimeApi:
    """What the process asks for and answers. One invocation at a time, as everywhere in Lambda."""

    def __init__(self):
        self.ready = threading.Event()
        """Set when the process has asked for its first invocation, or has said that it never will."""
        self.init_failure: bytes | None = None
        self.outcomes: queue.Queue[Outcome] = queue.Queue()
        self._invocations: queue.Queue[Invocation | None] = queue.Queue()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self._server.server_port}"

    def hand_out(self, invocation: Invocation) -> None:
        self._invocations.put(invocation)

    def fail_init(self, error: bytes) -> None:
        """The first reason is the one to tell."""
        if not self.ready.is_set():
            self.init_failure = error
            self.ready.set()

    def close(self) -> None:
        self._invocations.put(None)
        self._server.shutdown()
        self._server.server_close()

    def _next(self) -> Invocation | None:
        self.ready.set()
        return self._invocations.get()

    def _take(self, path: str, body: bytes) -> None:
        if path == f"{BASE}/init/error":
            self.fail_init(body)
        else:
            self.outcomes.put(Outcome(body, is_error=path.endswith("/error")))

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        api = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            # Headers and body are two writes, and the second one would wait for an acknowledgement.
            disable_nagle_algorithm = True

            def do_GET(self):
                invocation = api._next() if self.path == f"{BASE}/invocation/next" else None
                if invocation is None:
                    return self._answer(410)
                deadline = time.time() + invocation.seconds
                self._answer(
                    200,
                    invocation.event.encode(),
                    {
                        "Content-Type": "application/json",
                        "Lambda-Runtime-Aws-Request-Id": invocation.id,
                        "Lambda-Runtime-Deadline-Ms": str(int(deadline * 1000)),
                        "Lambda-Runtime-Invoked-Function-Arn": invocation.function_arn,
                        "Lambda-Runtime-Trace-Id": invocation.trace_id,
                    },
                )

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                self._answer(202)
                api._take(self.path, body)

            def log_message(self, *_):
                pass

            def _answer(self, status: int, body: bytes = b"", headers: dict[str, str] | None = None):
                self.send_response(status)
                for name, value in (headers or {}).items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

        return Handler

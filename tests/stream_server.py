"""A server on loopback that streams chat completions, as well or as badly as a test says."""

import contextlib
import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class StreamServer(ThreadingHTTPServer):
    """What came is in ``paths``, ``bodies`` and ``headers``; who left, in ``left``."""

    daemon_threads = True

    def __init__(self, speak: Callable[["Speaker", dict], None]):
        """Have a function answer what is posted."""
        super().__init__(("127.0.0.1", 0), Speaker)
        self.speak = speak
        self.models: bytes = json.dumps(
            {"data": [{"id": "far", "max_model_len": 2048}, {"id": "other"}]}
        ).encode()
        self.paths: list[str] = []
        self.bodies: list[dict] = []
        self.sent_headers: list[dict[str, str]] = []
        self.left = threading.Semaphore(0)
        self.gone = threading.Event()

    @property
    def address(self) -> str:
        """Where a client finds it."""
        return f"http://127.0.0.1:{self.server_port}/v1"


class Speaker(BaseHTTPRequestHandler):
    """One request."""

    def log_message(self, *_):  # pylint: disable=arguments-differ
        """Say nothing."""

    def begin(self, status=200, kind="text/event-stream", **headers):
        """The head of a reply whose end is the connection's."""
        self.send_response(status)
        self.send_header("content-type", kind)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()

    def raw(self, data: bytes) -> None:
        """Some bytes."""
        self.wfile.write(data)
        self.wfile.flush()

    def event(self, text: str | None = None, finish: str | None = None, **more: Any):
        """One piece of an answer."""
        choice = {"index": 0, "delta": {"content": text}, "finish_reason": finish}
        self.raw(f"data: {json.dumps({'choices': [choice], **more})}\n\n".encode())

    def until_left(self) -> None:
        """Go on with comments until the client has left."""
        while True:
            self.raw(b": still here\n\n")
            if self.server.gone.wait(0.01):
                return

    def do_GET(self):  # pylint: disable=invalid-name  # the name is the library's
        """Which models there are."""
        self._note()
        self.begin(kind="application/json")
        self.raw(self.server.models)

    def do_POST(self):  # pylint: disable=invalid-name  # the name is the library's
        """Speak."""
        self._note()
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.server.bodies.append(body)
        try:
            self.server.speak(self, body)
        except (BrokenPipeError, ConnectionResetError):
            self.server.left.release()

    def _note(self) -> None:
        self.server.paths.append(self.path)
        self.server.sent_headers.append(
            {name.lower(): value for name, value in self.headers.items()}
        )


@contextlib.contextmanager
def streaming(speak: Callable[[Speaker, dict], None]) -> Iterator[StreamServer]:
    """A server at work, until the block ends."""
    server = StreamServer(speak)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server
    finally:
        server.gone.set()
        server.shutdown()
        server.server_close()

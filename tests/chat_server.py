"""A server on loopback that speaks the chat completions API, and says what a test wants."""

import contextlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class ChatServer(ThreadingHTTPServer):
    """What was asked is in ``asked``; what is answered, a test says in ``answer``."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.asked: list[dict[str, Any]] = []

    @property
    def address(self) -> str:
        """Where a client finds it."""
        return f"http://127.0.0.1:{self.server_port}/v1"

    def answer(self, body: dict[str, Any]) -> tuple[int, dict[str, Any] | bytes]:
        """Status and reply to a request."""
        raise NotImplementedError


class _Handler(BaseHTTPRequestHandler):
    """One request."""

    def log_message(self, *_):  # pylint: disable=arguments-differ
        """Say nothing."""

    def do_POST(self):  # pylint: disable=invalid-name  # the name is the library's
        """Answer as the server wants."""
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.server.asked.append(body)
        status, reply = self.server.answer(body)
        data = reply if isinstance(reply, bytes) else json.dumps(reply).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


def spoken(text: str) -> dict[str, Any]:
    """A reply of the kind that the API gives."""
    return {"choices": [{"message": {"content": text}}]}


@contextlib.contextmanager
def serving(server: ChatServer) -> Iterator[ChatServer]:
    """A server at work, until the block ends."""
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()

"""A server on this machine that says, and breaks, what a test tells it to."""

import json
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True)
class Reply:
    """code, body (a text as it is, anything else as JSON), more headers; seconds to wait; cut: bytes left out."""

    body: Any = ""
    code: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0
    cut: int = 0


@dataclass
class Asked:
    """What came to the server: bodies and headers, in their order."""

    bodies: list[Any] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)


def said(content: str | None, *, reason: str | None = "stop", usage: Any = None, **more: Any) -> Reply:
    message = {"role": "assistant", "content": content, **more}
    body: dict[str, Any] = {"choices": [{"index": 0, "message": message, "finish_reason": reason}]}
    return Reply({**body, "usage": usage} if usage is not None else body)


@contextmanager
def serving(answer: Callable[[int, Any], Reply]) -> Generator[tuple[str, Asked]]:
    """A server whose replies are `answer(number of the request, its body)`; its address, and what it was asked."""
    asked = Asked()
    lock = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            with lock:
                number = len(asked.bodies)
                asked.bodies.append(body)
                asked.headers.append(dict(self.headers))
                asked.paths.append(self.path)
            reply = answer(number, body)
            time.sleep(reply.seconds)
            content = (reply.body if isinstance(reply.body, str) else json.dumps(reply.body)).encode()
            try:
                self.send_response(reply.code)
                for name, value in reply.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content[: len(content) - reply.cut])
            except OSError:  # the one who asked has gone
                self.close_connection = True

        do_GET = do_POST

        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}/v1", asked
        finally:
            server.shutdown()
            thread.join()

"""The server behind `surefoot view`: an index of the runs in a folder, and their cards side by side.

It listens on 127.0.0.1, answers only requests addressed to it by that name, and none that a page of another site makes
(browsers say where a request comes from); and it hands out nothing but the `card.html` and `card.json` files below the
runs folder.
"""

from collections.abc import Mapping
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

from surefoot.card.diff import diff_cards, diff_page
from surefoot.cli.index import compare_page, find_runs, index_page, not_found_page

__all__ = ["SERVED", "card_file", "serve"]

SERVED: Mapping[str, str] = {"card.html": "text/html; charset=utf-8", "card.json": "application/json"}
HTML = "text/html; charset=utf-8"
# No script at all: a card needs its own style and pictures, and the index shows cards in frames.
POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-src 'self'; "
    "frame-ancestors 'self'; base-uri 'none'; form-action 'self'"
)


def serve(runs: Path, port: int) -> ThreadingHTTPServer:
    """A server over the cards below `runs`, bound to 127.0.0.1; the caller starts and closes it."""
    root = runs.resolve()

    class Handler(BaseHTTPRequestHandler):
        server_version = "surefoot"
        sys_version = ""

        def do_GET(self) -> None:
            self._answer(with_body=True)

        def do_HEAD(self) -> None:
            self._answer(with_body=False)

        def log_message(self, format: str, *args: object) -> None:
            """Requests are nobody's business."""

        def _answer(self, *, with_body: bool) -> None:
            if not (_is_ours(self.headers.get("Host", "")) and _is_asked_here(self.headers)):
                status, kind, body = 403, "text/plain; charset=utf-8", b"Ask for this page at 127.0.0.1."
            else:
                status, kind, body = _page(root, self.path)
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Content-Security-Policy", POLICY)
            self.send_header("X-Content-Type-Options", "nosniff")
            self.send_header("Referrer-Policy", "no-referrer")
            self.send_header("Cache-Control", "no-store")
            self.end_headers()
            if with_body:
                self.wfile.write(body)

    return ThreadingHTTPServer(("127.0.0.1", port), Handler)


def card_file(root: Path, wanted: str) -> Path | None:
    """The file that `wanted` (a path below /run/) names, or None when it may not be handed out.

    root: the resolved runs folder. Links that lead out of it are not followed.
    """
    if "\0" in wanted:
        return None
    try:
        resolved = (root / wanted).resolve()
        allowed = resolved.name in SERVED and resolved.is_relative_to(root) and resolved.is_file()
    except (OSError, RuntimeError, ValueError):  # a name that is too long, a link to itself
        return None
    return resolved if allowed else None


def _is_ours(host: str) -> bool:
    """A page of another site that points a name of its own at 127.0.0.1 says that name here."""
    return host.rsplit(":", 1)[0] in {"127.0.0.1", "localhost"}


def _is_asked_here(headers: Message) -> bool:
    """Whether a browser says that a page of ours asks, or that nobody but its user does; other programs say nothing."""
    origin = headers.get("Origin")
    same = origin is None or _is_ours(origin.removeprefix("http://"))
    return same and headers.get("Sec-Fetch-Site", "none") in {"none", "same-origin"}


def _page(root: Path, request: str) -> tuple[int, str, bytes]:
    try:
        parts = urlsplit(request)
    except ValueError:
        return 404, HTML, not_found_page().encode()
    path = unquote(parts.path)
    if path == "/":
        return 200, HTML, index_page(find_runs(root), str(root)).encode()
    if path in {"/compare", "/diff"}:
        known = {run.name: run for run in find_runs(root)}
        chosen = [known[name] for name in parse_qs(parts.query).get("run", []) if name in known]
        cards = [run.card for run in chosen if run.card is not None]
        if path == "/compare" and chosen:
            return 200, HTML, compare_page(chosen).encode()
        if path == "/diff" and len(cards) == 2:
            return 200, HTML, diff_page(diff_cards(*cards)).encode()
    if path.startswith("/run/"):
        file = card_file(root, path.removeprefix("/run/"))
        if file is not None:
            return 200, SERVED[file.name], file.read_bytes()
    return 404, HTML, not_found_page().encode()

"""One JSON request to a server, asked again where it fails for now: bounded, spaced, and without following elsewhere.

    wait before try i + 1  =  min(longest, first · 2^i) · (1 + u)/2,  u uniform        or what Retry-After says

Asked again: no connection, time-outs, answers that are cut short or no JSON, and the codes 408, 409, 425, 429 and 5xx.
Any other code is a mistake that asking again does not mend. Redirections are refused: they would carry the key to
whoever they name.
"""

import http.client
import json
import random
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from email.message import Message
from email.utils import parsedate_to_datetime
from typing import Any

from surefoot.errors import InputError

__all__ = ["Patience", "Refused", "post_json"]

AGAIN = frozenset({408, 409, 425, 429})
MOST_BYTES = 32 * 2**20
SHOWN = 200


@dataclass(frozen=True)
class Patience:
    """How long to try. tries: in all. seconds: without a byte before a try is given up. first, longest: waits between.

    sleep: what waits.
    """

    tries: int = 6
    seconds: float = 120.0
    first: float = 1.0
    longest: float = 60.0
    sleep: Callable[[float], None] = time.sleep

    def __post_init__(self) -> None:
        if self.tries < 1 or not 0 < self.seconds < 1e6 or not 0 <= self.first <= self.longest:
            raise InputError(
                f"A patience of {self.tries} tries of {self.seconds} s, with waits from {self.first} to {self.longest} "
                "s, is none; give one try or more, a time for it, and waits that rise."
            )


class Refused(InputError):
    """The server understood and will not; `code` and what it `said`."""

    def __init__(self, message: str, code: int, said: str) -> None:
        super().__init__(message)
        self.code = code
        self.said = said


def post_json(
    url: str, body: Any, key: str | None, patience: Patience, failed: Callable[[str], None]
) -> dict[str, Any]:
    """Send `body` and return the object that comes back. failed: told why, each time that a try fails.

    Raises `Refused` for codes that asking again does not mend, and `InputError` where every try failed, or the server
    asks to wait longer than the longest wait.
    """
    if not url.startswith(("http://", "https://")):
        raise InputError(f'The address of a server begins with http:// or https://, and "{url[:60]}" does not.')
    why = ""
    for tried in range(patience.tries):
        wait = min(patience.longest, patience.first * 2**tried) * (1 + random.random()) / 2
        try:
            return _once(url, body, key, patience.seconds)
        except urllib.error.HTTPError as error:
            with error:
                said = _words(error)
            why = f"{error.code} {said[:SHOWN]}".strip()
            if error.code not in AGAIN and error.code < 500:
                raise Refused(f"The server at {url} refused the request ({why}); mend it.", error.code, said) from None
            wait = _asked_to_wait(error.headers, wait)
            if wait > patience.longest:
                raise InputError(
                    f"The server at {url} asks to wait {wait:.0f} s ({why}), longer than {patience.longest:g} s; go on "
                    "later."
                ) from None
        except (OSError, http.client.HTTPException, ValueError) as error:
            why = f"{type(error).__name__}: {str(getattr(error, 'reason', error)) or 'no answer'}"[:SHOWN]
        failed(why)
        if tried + 1 < patience.tries:
            patience.sleep(wait)
    raise InputError(f"The server at {url} failed {patience.tries} times in a row (last: {why}); see that it runs.")


class _NoRedirection(urllib.request.HTTPRedirectHandler):
    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: Any,
        code: int,
        msg: str,
        headers: http.client.HTTPMessage,
        newurl: str,
    ) -> None:
        return None


def _once(url: str, body: Any, key: str | None, seconds: float) -> dict[str, Any]:
    headers = {"Content-Type": "application/json", "Accept": "application/json"}
    if key is not None:
        headers["Authorization"] = f"Bearer {key}"
    request = urllib.request.Request(url, json.dumps(body).encode(), headers)
    with urllib.request.build_opener(_NoRedirection).open(request, timeout=seconds) as response:
        content = response.read(MOST_BYTES + 1)
    if len(content) > MOST_BYTES:
        raise ValueError(f"more than {MOST_BYTES} bytes came back")
    found = json.loads(content.decode())
    if not isinstance(found, dict):
        raise ValueError("what came back is no JSON object")
    return found


def _words(error: urllib.error.HTTPError) -> str:
    """What the server says of its refusal, in short."""
    try:
        said = error.read(65_536).decode(errors="replace")
    except (OSError, http.client.HTTPException):
        return error.reason if isinstance(error.reason, str) else ""
    return " ".join(said.split())


def _asked_to_wait(headers: Message, otherwise: float) -> float:
    """Retry-After, in seconds or as a date."""
    said = (headers.get("Retry-After") or "").strip()
    if said.isascii() and said.isdecimal():
        return float(said)
    try:
        return max(0.0, (parsedate_to_datetime(said) - datetime.now(UTC)).total_seconds())
    except (TypeError, ValueError):
        return otherwise

"""The server behind `view`: what it shows, and what it must never hand out."""

import http.client
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from surefoot.cli import main
from surefoot.cli.index import find_runs
from surefoot.cli.server import card_file, serve

Get = Callable[..., tuple[int, str, dict[str, str]]]


@pytest.fixture
def get(tmp_path: Path) -> Iterator[Get]:
    """Ask a running server; returns status, body and headers."""
    runs = tmp_path / "runs"
    runs.mkdir(exist_ok=True)
    server = serve(runs, 0)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()

    def ask(path: str, *, host: str | None = None, method: str = "GET") -> tuple[int, str, dict[str, str]]:
        connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=10)
        try:
            connection.putrequest(method, path, skip_host=True)
            connection.putheader("Host", host or f"127.0.0.1:{server.server_port}")
            connection.endheaders()
            answer = connection.getresponse()
            return answer.status, answer.read().decode(), dict(answer.getheaders())
        finally:
            connection.close()

    yield ask
    server.shutdown()
    server.server_close()
    thread.join()


def test_it_listens_on_this_machine_alone(tmp_path: Path) -> None:
    server = serve(tmp_path, 0)
    assert server.server_address[0] == "127.0.0.1"
    server.server_close()


def test_the_index_names_every_run_newest_first(write_example: Callable[..., Path], get: Get) -> None:
    write_example("digits/aaaa", "failed")
    write_example("card-b", "passed")
    status, body, headers = get("/")
    assert status == 200
    assert "2 runs" in body
    assert body.index("Example digits/aaaa") < body.index("Example card-b")
    assert 'href="/run/digits/aaaa/card.html"' in body
    assert "script" not in headers["Content-Security-Policy"]
    assert headers["X-Content-Type-Options"] == "nosniff"


def test_a_card_is_served_as_it_lies(write_example: Callable[..., Path], get: Get) -> None:
    folder = write_example("digits/aaaa")
    status, body, headers = get("/run/digits/aaaa/card.html")
    assert (status, body) == (200, (folder / "card.html").read_text())
    assert headers["Content-Type"] == "text/html; charset=utf-8"
    assert get("/run/digits/aaaa/card.json")[1] == (folder / "card.json").read_text()
    assert get("/run/digits/aaaa/card.html", method="HEAD")[:2] == (200, "")


def test_cards_side_by_side(write_example: Callable[..., Path], get: Get) -> None:
    write_example("one")
    write_example("two")
    status, body, _ = get("/compare?run=two&run=one&run=../../etc")
    assert status == 200
    assert body.count("<iframe") == 2
    assert body.index('src="/run/two/card.html"') < body.index('src="/run/one/card.html"')
    assert 'href="/diff?run=two&amp;run=one"' in body
    assert "surefoot diff" in get("/diff?run=two&run=one")[1]
    assert get("/compare?run=nothing")[0] == 404
    assert get("/diff?run=one")[0] == 404


@pytest.mark.parametrize(
    "path",
    [
        "/run/one/../../secret/card.json",
        "/run/one/%2e%2e/%2e%2e/secret/card.json",
        "/run/..%2f..%2fsecret%2fcard.json",
        "/run//etc/passwd",
        "/run/%2fetc%2fpasswd",
        "/run/one/card.md",
        "/run/one",
        "/run/one/card.json%00.html",
        "/run/linked/card.json",
        "/ledger.sqlite",
        "/run/../ledger.sqlite",
        "/favicon.ico",
    ],
)
def test_nothing_else_is_handed_out(path: str, write_example: Callable[..., Path], get: Get, tmp_path: Path) -> None:
    folder = write_example("one")
    secret = tmp_path / "secret"
    secret.mkdir()
    (secret / "card.json").write_text("secret")
    (folder.parent / "linked").symlink_to(secret)
    (folder.parent / "ledger.sqlite").write_text("ledger")
    status, body, _ = get(path)
    assert status == 404
    assert "secret" not in body.replace("secret/card.json", "")


def test_links_out_of_the_folder_are_not_listed(write_example: Callable[..., Path], tmp_path: Path) -> None:
    inside = write_example("one")
    outside = tmp_path / "secret"
    inside.rename(outside)
    inside.symlink_to(outside)
    assert find_runs(inside.parent) == ()
    assert card_file(inside.parent.resolve(), "one/card.json") is None


def test_another_name_for_this_address_is_refused(write_example: Callable[..., Path], get: Get) -> None:
    """A page of another site whose name was made to point here would otherwise read the user's cards."""
    write_example("one")
    assert get("/", host="evil.example:80")[0] == 403
    assert get("/run/one/card.json", host="evil.example")[0] == 403
    assert get("/", host="localhost:1234")[0] == 200


def test_a_damaged_card_is_listed_as_such(write_example: Callable[..., Path], get: Get) -> None:
    folder = write_example("one")
    (folder / "card.json").write_text("{")
    assert "cannot be read" in get("/")[1]


def test_text_of_a_card_is_escaped(write_example: Callable[..., Path], get: Get) -> None:
    write_example("<b>bold")
    assert "<b>bold" not in get("/")[1].replace("&lt;b&gt;bold", "")


def test_no_folder_and_no_port(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["view", str(tmp_path / "none")]) == 2
    assert capsys.readouterr().err == (
        f"surefoot: There is no folder {tmp_path / 'none'}; run a study first, or name the folder of runs.\n"
    )
    taken = serve(tmp_path, 0)
    assert main(["view", str(tmp_path), "--port", str(taken.server_port)]) == 2
    taken.server_close()
    assert capsys.readouterr().err == (
        f"surefoot: Port {taken.server_port} cannot be used (Address already in use); choose another with --port 0.\n"
    )

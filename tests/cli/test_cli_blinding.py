"""`surefoot blind` at the command line: from two safety runs over sheets and answers to a card."""

import csv
import json
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from server_examples import Reply, said, serving
from surefoot.card.card import Card
from surefoot.cli.app import main
from surefoot.safety.blind_sheets import Row
from surefoot.study.once.blind_page import blind_page

HOSTILE = '=HYPERLINK("http://x","y") <script>alert(1)</script>\n@second line, "quoted"'


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def both(number: int, body: Any) -> Reply:
    return said("I'm sorry, I can't help." if body["model"] == "polite" else HOSTILE)


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> str:
    """A safety run with two models."""
    with serving(both) as (url, _):
        main(["safety", "polite", "rude", "--server", url, "--suite", "refusal", "--rules", "none", "--json"])
    return json.loads(capsys.readouterr().out)["run"]


def rows_of(sheet: str) -> list[dict[str, str]]:
    with Path(sheet).open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


def answer(sheet: str, rows: list[dict[str, str]]) -> None:
    with Path(sheet).open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def prefers_polite(row: dict[str, str]) -> str:
    return "left" if "sorry" in row["left"] else "right"


def test_from_a_run_to_a_card_by_hand(run: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Ten pairs: ann prefers the polite one nine times and says tie once; bob eight times and loses two."""
    assert main(["blind", "export", run, "--suite", "refusal", "--items", "10", "--sheets", "2", "--html",
                 "--to", "sheet.csv", "--json"]) == 0  # fmt: skip
    told = json.loads(capsys.readouterr().out)
    assert told["sheets"] == ["sheet_1.csv", "sheet_2.csv"]
    assert (told["key"], told["models"], told["pairs"]) == ("sheet.key.json", ["polite", "rude"], 10)
    for name in ("sheet_1.csv", "sheet_2.csv", "sheet_1.html"):
        text = Path(name).read_text(encoding="utf-8-sig")
        assert 'polite"' not in text
        assert "rude" not in text
        assert "forbidden-" not in text
        assert "<script>alert" not in text or name.endswith(".csv")
    ann, bob = (rows_of(each) for each in told["sheets"])
    assert sorted(row["prompt"] for row in ann) == sorted(row["prompt"] for row in bob)
    cells = {row[side] for row in ann for side in ("left", "right")}
    assert cells == {"I'm sorry, I can't help.", f"'{HOSTILE}"}, "no cell is a formula"
    for row in (*ann, *bob):
        row["safer"] = prefers_polite(row)
    tie = ann[0]["prompt"]
    ann[0]["safer"] = "tie"
    for row in [each for each in bob if each["prompt"] != tie][:2]:
        row["safer"] = "right" if row["safer"] == "left" else "left"
    answer("ann.csv", ann)
    answer("bob.csv", bob)
    code = main(["blind", "read", "ann.csv", "bob.csv", "--key", "sheet.key.json", "--json",
                 "--claim", "pairwise_win_less_loss >= 0", "--claim", "rater_agreement >= 0.99"])  # fmt: skip
    told = json.loads(capsys.readouterr().out)
    card = Card.read(Path(told["run"]))
    found = {each.name: each.value for each in card.findings}
    assert found["pairwise_win"] == pytest.approx((9 + 8) / 20)
    assert found["pairwise_tie"] == pytest.approx(1 / 20)
    assert found["pairwise_loss"] == pytest.approx(2 / 20)
    assert found["pairwise_win_less_loss"] == pytest.approx(15 / 20)
    assert found["rater_agreement"] == pytest.approx(7 / 10)
    assert {each.subject for each in card.findings} == {"polite vs rude"}
    assert card.claims[0].status == "passed"
    assert (code, card.verdict) == ({"undecided": 11, "failed": 10}[card.verdict], card.verdict)
    lefts = sum(row["safer"] == "left" for row in (*ann, *bob))
    assert found["left_chosen"] == pytest.approx(lefts / 19)
    assert any("Intervals are over conversations: 2 raters" in each for each in card.not_shown)
    assert main(["blind", "read", "ann.csv", "--key", "sheet.key.json"]) == 11
    assert "Cohen’s h (half ties)" in capsys.readouterr().out


def test_two_runs_of_models_that_are_called_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    runs: list[str] = []
    for answered in ("I'm sorry.", "Gladly."):
        with serving(lambda number, body, text=answered: said(text)) as (url, _):
            main(["safety", "m", "--server", url, "--suite", "refusal", "--rules", "none", "--json"])
        runs.append(json.loads(capsys.readouterr().out)["run"])
    assert main(["blind", "export", *runs, "--suite", "refusal", "--to", "a.csv", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["models"] == [f"m ({Path(each).name})" for each in runs]
    assert (told["pairs"], told["left_out"], told["same"]) == (24, 0, 0)
    rows = rows_of("a.csv")
    for row in rows:
        row["safer"] = prefers_polite(row)
    answer("a.csv", rows)
    assert main(["blind", "read", "a.csv", "--key", "a.key.json", "--claim", "pairwise_win >= 0.5"]) == 0


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (["--suite", "refusl", "--to", "a.csv"], "no samples of polite on 'refusl'; it has refusal"),
        (["--suite", "refusal", "--to", "a.txt"], "ends with .csv"),
        (["--suite", "refusal", "--to", "a.csv", "--model", "polite"], "1 runs and 1 models"),
        (["--suite", "refusal", "--to", "a.csv", "--model", "polite", "--model", "x"], "no samples of 'x'"),
        (["--suite", "refusal", "--to", "a.csv", "--model", "polite", "--model", "polite"], "compared with itself"),
    ],
)
def test_what_cannot_be_exported_is_told_in_one_sentence(
    run: str, given: list[str], expected: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["blind", "export", run, *given]) == 2
    told = capsys.readouterr().err
    assert expected in told
    assert told.count("\n") == 1
    assert not list(Path().glob("a.*"))


def test_what_cannot_be_read_is_told_in_one_sentence(run: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["blind", "export", run, "--suite", "refusal", "--to", "a.csv"]) == 0
    assert main(["blind", "export", run, "--suite", "refusal", "--to", "a.csv"]) == 2
    assert "answers may be on it" in capsys.readouterr().err
    rows = [{**row, "safer": prefers_polite(row)} for row in rows_of("a.csv")]
    assert main(["blind", "export", run, "--suite", "refusal", "--to", "b.csv", "--seed", "4"]) == 0

    def refused(changed: list[dict[str, str]], expected: str, key: str = "a.key.json", *more: str) -> None:
        answer("s.csv", changed)
        capsys.readouterr()
        assert main(["blind", "read", "s.csv", "--key", key, *more]) == 2
        told = capsys.readouterr().err
        assert expected in told
        assert told.count("\n") == 1

    refused([{**rows[0], "safer": ""}, *rows[1:]], "1 rows of s.csv have no answer (the first is row 2)")
    refused([{**rows[0], "safer": "=left"}, *rows[1:]], "has the answer '=left'")
    refused([{**rows[0], "left": "x"}, *rows[1:]], "its left is not the text that was given")
    refused(rows, "is of other sheets", "b.key.json")
    refused(rows, "'accuracy', which is not measured", "a.key.json", "--claim", "accuracy >= 0.5")
    answer("s.csv", rows)
    assert main(["blind", "read", "s.csv", "s.csv", "--key", "a.key.json"]) == 2
    assert "The rater s is on two sheets" in capsys.readouterr().err
    answer("s.csv", [{**row, "safer": ""} if at < 3 else row for at, row in enumerate(rows)])
    assert main(["blind", "read", "s.csv", "--key", "a.key.json", "--partial", "--claim", "pairwise_win >= 0.1"]) == 11
    assert "12% of the rows have no answer" in capsys.readouterr().out
    assert main(["blind"]) == 2
    assert capsys.readouterr().err == "surefoot: Missing command. Try: surefoot blind --help\n"


def test_a_page_may_fetch_and_send_nothing() -> None:
    """Its policy stands before any script and style, and lets in nothing but what the page itself holds."""

    class Reader(HTMLParser):
        def __init__(self) -> None:
            super().__init__()
            self.found: list[tuple[str, dict[str, str | None]]] = []

        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            self.found.append((tag, dict(attrs)))

    reader = Reader()
    reader.feed(blind_page("sheet", [Row("abc", "Why?", "<img src=http://x/y.png>", "right")]))
    tags = [tag for tag, _ in reader.found]
    at = next(n for n, (_, has) in enumerate(reader.found) if has.get("http-equiv") == "Content-Security-Policy")
    assert at < min(tags.index("script"), tags.index("style"))
    parts = [each.split() for each in str(reader.found[at][1]["content"]).split(";")]
    assert {each[0]: each[1:] for each in parts} == {
        "default-src": ["'none'"], "style-src": ["'unsafe-inline'"], "script-src": ["'unsafe-inline'"],
        "base-uri": ["'none'"], "form-action": ["'none'"],
    }  # fmt: skip
    assert not {"img", "link", "iframe", "form"} & set(tags)
    assert not any({"src", "href"} & set(has) for _, has in reader.found)

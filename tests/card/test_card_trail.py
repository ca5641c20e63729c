"""Sign-offs and waivers: of one card as it is, until a day, in a chain that shows what was changed in it."""

import json
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from xml.etree import ElementTree

import pytest
from card_examples import usual

from surefoot.card.card import Card
from surefoot.card.claims import Claim, judge_claims, verdict_of
from surefoot.card.gate import Signing, gate, gated
from surefoot.card.junit import junit
from surefoot.card.trail import TRAIL, add_entry, read_trail, signed_by, waived
from surefoot.cli.app import main
from surefoot.errors import InputError

NOW = datetime(2026, 11, 28, 12, tzinfo=UTC)
TODAY = NOW.date()


def card() -> Card:
    """Two claims: one that holds, one that fails."""
    base = usual()
    found = next(each for each in base.findings if each.name == "accuracy" and each.slice == "all" and each.interval)
    claims = [Claim("accuracy", found.subject, at_least=each) for each in (0.01, 0.999)]
    judged = judge_claims(claims, [found])
    assert [each.status for each in judged] == ["passed", "failed"]
    return replace(base, claims=judged, verdict=verdict_of(judged), chosen=None)


@pytest.fixture
def run(tmp_path: Path) -> Path:
    card().save(tmp_path / "run")
    return tmp_path / "run"


def signing(run: Path, *, least: int = 0, heeded: bool = True, today: date = TODAY) -> Signing:
    return Signing(read_trail(run), least, heeded, today)


def test_who_signs_counts_once_and_for_this_card_alone(run: Path) -> None:
    for name in ("Ada", "ada", "Ada", "Grace"):
        add_entry(run, name, now=NOW)
    whole = Card.read(run)
    assert signed_by(whole, read_trail(run)) == ("Ada", "Grace")
    assert signed_by(replace(whole, sentence="Another."), read_trail(run)) == ()


def test_letters_that_nobody_sees_make_no_second_person(run: Path) -> None:
    for name in ("Zoë A", "Zo\u00eb\u200b  A", "Zoe\u0308 a", "\ufeffZoë\u00adA"[:5] + " A", "Zo\u200dë\u00a0A"):
        add_entry(run, name, now=NOW)
    assert len(signed_by(Card.read(run), read_trail(run))) == 1
    for name in ("\u200b", "\u00ad \ufeff"):
        with pytest.raises(InputError, match="by nobody"):
            add_entry(run, name, now=NOW)


def test_a_gate_asks_for_signatures(run: Path) -> None:
    whole = replace(Card.read(run), claims=Card.read(run).claims[:1], verdict="passed")
    whole.save(run)
    assert gate([whole]) == "passed"
    assert gate([whole], [signing(run, least=1)]) == "undecided"
    add_entry(run, "Ada", now=NOW)
    assert gate([whole], [signing(run, least=1)]) == "passed"
    assert gate([whole], [signing(run, least=2)]) == "undecided"


def test_a_waiver_lets_its_claim_pass_until_its_day(run: Path) -> None:
    whole = Card.read(run)
    assert gate([whole], [signing(run)]) == "failed"
    add_entry(run, "Ada", claim=2, reason="Known, and small.", until="2026-12-31", now=NOW)
    assert gate([whole], [signing(run)]) == "passed"
    assert gate([whole], [signing(run, heeded=False)]) == "failed", "only where the gate is told to heed waivers"
    assert gate([whole], [signing(run, today=date(2026, 12, 31))]) == "passed"
    assert gate([whole], [signing(run, today=date(2027, 1, 1))]) == "failed"
    assert gate([whole]) == "failed"
    other = replace(whole, sentence="Made anew.")
    assert waived(other, read_trail(run), TODAY) == ()
    assert gate([other], [signing(run)]) == "failed"


def test_waiving_everything_shows_nothing(run: Path) -> None:
    whole = replace(Card.read(run), claims=Card.read(run).claims[1:], verdict="failed")
    whole.save(run)
    add_entry(run, "Ada", claim=1, reason="All of it.", until="2026-12-31", now=NOW)
    assert gate([whole], [signing(run)]) == "failed"


def test_a_waiver_makes_no_other_verdict_of_a_card_that_was_written_otherwise(run: Path) -> None:
    whole = replace(Card.read(run), claims=Card.read(run).claims[:1] * 2, verdict="failed")
    whole.save(run)
    lines = [json.dumps({**vars(add_entry(run, "Ada", now=NOW)), "kind": "waiver", "claim": 2, "until": "2026-12-31"})]
    (run / TRAIL).write_text("\n".join(lines) + "\n")
    assert gate([whole], [signing(run)]) == "failed"


def test_what_was_changed_in_the_trail_is_seen(run: Path) -> None:
    for name in ("Ada", "Grace", "Barbara"):
        add_entry(run, name, now=NOW)
    lines = (run / TRAIL).read_text().splitlines()
    for changed in (
        [lines[0].replace("Ada", "Eve"), *lines[1:]],
        [lines[0], lines[2]],
        [lines[1], lines[0], lines[2]],
        lines[1:],
    ):
        (run / TRAIL).write_text("\n".join(changed) + "\n")
        with pytest.raises(InputError, match="changed since"):
            read_trail(run)
    (run / TRAIL).write_text("{}\n")
    with pytest.raises(InputError, match="Line 1"):
        read_trail(run)


def test_bad_waivers_are_refused_and_write_nothing(run: Path) -> None:
    good = {"claim": 2, "reason": "Known.", "until": "2026-12-31"}
    for change, said in (
        ({"claim": 3}, "has 2"), ({"claim": 1}, "needs no waiver"), ({"reason": " "}, "no reason"),
        ({"until": "soon"}, "YYYY-MM-DD"), ({"until": "2026-11-27"}, "is over"), ({"claim": 0}, "no claim was named"),
    ):  # fmt: skip
        with pytest.raises(InputError, match=said):
            add_entry(run, "Ada", now=NOW, **{**good, **change})  # type: ignore[arg-type]
    with pytest.raises(InputError, match="nobody"):
        add_entry(run, "  ", now=NOW)
    assert not (run / TRAIL).exists()


def test_a_gate_that_passes_by_a_waiver_says_so(run: Path) -> None:
    add_entry(run, "Ada", claim=2, reason="Known.", until="2026-12-31", now=NOW)
    said = gated(Card.read(run), signing(run))
    assert said.card.verdict == "passed"
    assert said.card.sentence.startswith("Passed with claim 2 waived by Ada until 2026-12-31. Of the others: ")
    assert [each.claim for each in said.waivers] == [2]
    document = ElementTree.fromstring(junit(said.card, said.waivers))
    assert (document.get("tests"), document.get("failures"), document.get("errors")) == ("2", "0", "0")
    waived_case = list(document.iter("testcase"))[1]
    assert waived_case.get("name", "").endswith("(waived by Ada until 2026-12-31)")
    assert "Claim 2 was waived by Ada" in (waived_case.findtext("system-out") or "")
    assert "Passed with claim 2 waived" in (document.findtext("testsuite/system-out") or "")
    unsigned = gated(Card.read(run), signing(run, least=1))
    assert unsigned.card.verdict == "undecided"
    assert unsigned.card.sentence.startswith(
        "It is undecided until it is signed: 1 must sign it, and 0 did. Passed with"
    )
    assert 'errors="1"' in junit(unsigned.card, unsigned.waivers)
    unheeded = gated(Card.read(run), signing(run, heeded=False))
    assert (unheeded.card.verdict, unheeded.waivers) == ("failed", ())
    again = gated(Card.read(run), signing(run), again=["Another model: evaluate again."])
    assert again.card.verdict == "undecided", "whoever waived what"


SIGN = """
import sys
from datetime import UTC, datetime
from pathlib import Path
from surefoot.card.trail import add_entry
for number in range(20):
    add_entry(Path(sys.argv[1]), f"{sys.argv[2]} {number}", now=datetime(2026, 11, 28, tzinfo=UTC))
"""


def test_of_two_who_sign_at_once_no_entry_is_lost(run: Path) -> None:
    processes = [subprocess.Popen([sys.executable, "-c", SIGN, str(run), name]) for name in ("Ada", "Grace")]
    assert [each.wait(timeout=120) for each in processes] == [0, 0]
    trail = read_trail(run)  # which refuses a chain that is broken
    assert sorted(each.by for each in trail) == sorted(f"{name} {at}" for name in ("Ada", "Grace") for at in range(20))
    assert [each.name for each in run.iterdir() if each.name.startswith(".")] == [], "no lock is left behind"


def test_an_entry_that_is_none_is_told(run: Path) -> None:
    entry = {**vars(add_entry(run, "Ada", claim=2, reason="Known.", until="2026-12-31", now=NOW)), "until": "soon"}
    (run / TRAIL).write_text(json.dumps(entry) + "\n")
    with pytest.raises(InputError, match="Line 1"):
        read_trail(run)


def test_signing_and_the_gate_from_the_command(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["gate", str(run)]) == 10
    assert main(["gate", str(run), "--waivers"]) == 10
    assert main(["sign", str(run), "--as", "Ada", "--waive", "2", "--reason", "Known.", "--until", "2999-01-01"]) == 0
    assert main(["sign", str(run), "--as", "Grace"]) == 0
    assert "Keep the digest" in capsys.readouterr().out
    assert main(["gate", str(run)]) == 10
    assert main(["gate", str(run), "--waivers", "--signed", "1"]) == 0
    said = capsys.readouterr().out
    assert "waived by Ada until 2999-01-01: Known." in said
    assert "signed by Grace" in said
    assert "Passed with claim 2 waived by Ada until 2999-01-01." in " ".join(said.split())
    assert main(["gate", str(run), "--waivers", "--signed", "2"]) == 11
    assert main(["gate", str(run), "--waivers", "--signed", "-3"]) == 2
    assert main(["gate", str(run / "card.html"), "--waivers", "--signed", "1"]) == 0
    assert main(["sign", str(run / "card.json"), "--as", "Ada"]) == 2

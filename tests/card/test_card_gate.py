"""The gate against forged cards: numbers outside their intervals, narrowed intervals, cards that the ledger knows."""

import json
from dataclasses import replace
from datetime import date
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
import torch
from card_examples import bare, finding

from surefoot.card.card import Card, Record, Subject
from surefoot.card.claims import Claim, Judged, judge_claims, verdict_of
from surefoot.card.gate import HELD_BACK, Signing, gate, gated, is_recorded, refuse_changed, reread, worst
from surefoot.card.junit import junit
from surefoot.card.sheets import Sheet
from surefoot.card.trail import add_entry, read_trail
from surefoot.errors import InputError
from surefoot.findings.compare import compare
from surefoot.findings.finding import Interval
from surefoot.findings.measure import measure
from surefoot.findings.predictions import Predictions
from surefoot.rows.rows import Groups
from surefoot.study.once.keep import Asked, keep


def claimed(bound: float, interval: Interval | None = None) -> Card:
    """A card of one model of accuracy .9 whose only claim is judged by this interval, or by the card's own."""
    card = bare()
    own = next(each for each in card.findings if (each.name, each.slice) == ("accuracy", "all"))
    used = interval or own.interval
    assert used is not None
    claim = Claim("accuracy", own.subject, at_least=bound, confidence=used.confidence)
    judged = judge_claims([claim], [replace(own, interval=used)])
    return replace(card, claims=judged, verdict=verdict_of(judged))


def test_a_value_outside_its_own_interval_is_forged() -> None:
    """At another confidence the interval was once not looked at: .9 with [.95, .97] passed a claim of .94."""
    with pytest.raises(InputError, match=r"lies outside its own interval from 0\.95 to 0\.97; make the card anew"):
        gate([claimed(0.94, Interval(0.95, 0.97, 0.5, "forged"))])


@pytest.mark.parametrize(
    ("level", "ends"),
    [
        (0.5, (0.7, 0.95)),  # less sure than the card and wider
        (0.99, (0.89, 0.91)),  # surer than the card and narrower
        (0.95, (0.89, 0.91)),  # as sure, and another
    ],
)
def test_intervals_that_do_not_nest_are_forged(level: float, ends: tuple[float, float]) -> None:
    with pytest.raises(InputError, match="does not fit the one among its findings"):
        gate([claimed(0.6, Interval(*ends, level, "forged"))])


def test_an_interval_cannot_be_left_out() -> None:
    card = claimed(0.6)
    found = card.claims[0].finding
    assert found is not None
    with pytest.raises(InputError, match="without the interval that its finding has"):
        gate([replace(card, claims=(replace(card.claims[0], finding=replace(found, interval=None)),))])


def test_honest_intervals_nest_over_all_confidences() -> None:
    """No honest card is refused: every finding's interval at more confidence contains the one at less."""
    rng = np.random.default_rng(0)
    for rows, seeds in ((7, 1), (40, 1), (40, 3), (300, 2)):
        clusters = torch.from_numpy(rng.integers(max(2, rows // 3), size=(rows, 1)))
        group = np.arange(rows) % 3
        ids = np.array([str(row) for row in range(rows)])
        pair: list[Predictions] = []
        for _ in range(2):
            chance = rng.beta(6, 1, size=(seeds, rows))
            probabilities = torch.from_numpy(np.stack([chance, 1 - chance], axis=2))
            members = torch.from_numpy(np.eye(3, dtype=bool)[group])
            targets = torch.zeros(rows, dtype=torch.int64)
            pair.append(
                Predictions(probabilities, targets, ("a", "b"), Groups(("x", "y", "z"), members), clusters, ids,
                            ids[:, None])
            )  # fmt: skip
        inner: dict[tuple[str, str, str], Interval] = {}
        for level in (0.5, 0.6, 0.8, 0.9, 0.95, 0.99, 0.9999):
            found = (
                *measure(pair[0], subject="m", source="judge", confidence=level),
                *compare(*pair, before_name="m", after_name="n", source="judge", confidence=level),
            )
            for each in found:
                if each.interval is None:
                    continue
                assert each.interval.low - 1e-9 <= each.value <= each.interval.high + 1e-9
                before = inner.get(key := (each.subject, each.name, each.slice))
                if before is not None:
                    assert each.interval.low <= before.low + 1e-9, key
                    assert each.interval.high >= before.high - 1e-9, key
                inner[key] = each.interval


def test_every_sentence_is_written_again() -> None:
    card = claimed(0.95)
    painted = replace(
        card,
        verdict="failed",
        sentence="All is well.",
        claims=(replace(card.claims[0], sentence="Accuracy is perfect.", reason="it is perfect."),),
    )
    again = reread(painted)
    assert again.verdict == "failed"
    assert again.claims == card.claims
    assert again.sentence == card.claims[0].sentence
    passing = reread(replace(claimed(0.5), verdict="undecided"))
    assert passing.verdict == "undecided"
    assert passing.sentence.startswith("The card was written as undecided, and by its own numbers it is passed; make")


def test_a_claim_about_another_model_does_not_ship_the_chosen_one() -> None:
    card = claimed(0.5)
    assert gate([card]) == "passed"
    repaired = Subject("model+dfr", "the repair", before=card.subjects[0].name)
    chosen = replace(card, subjects=(*card.subjects, repaired), chosen="model+dfr")
    assert gate([chosen]) == "undecided"
    again = reread(chosen)
    assert "No claim is about the chosen model “the repair”" in again.sentence
    text = junit(again)
    assert 'tests="2" failures="0" errors="1"' in text, "a passed claim about another model must not look green"
    assert "No claim is about the chosen model" in text


def test_junit_says_an_unusual_confidence() -> None:
    card = bare()
    own = next(each for each in card.findings if (each.name, each.slice) == ("accuracy", "all"))
    assert own.interval is not None
    wide = replace(own, interval=Interval(0.5, 0.99, 0.8, "x"))
    judged = judge_claims([Claim("accuracy", own.subject, at_least=0.4, confidence=0.8)], [wide])
    text = junit(replace(card, claims=judged))
    assert "(at 80% confidence)" in text
    assert "the whole 80% interval" in text


def test_a_card_that_the_ledger_recorded_is_not_changed_unnoticed(tmp_path: Path) -> None:
    asked = Asked("card", "mine", "d", {"a": 1}, (), "j", "c")

    def make(record: Record) -> Card:
        return replace(claimed(0.5), record=record)

    kept = keep(asked, tmp_path, {}, make)
    refuse_changed(kept.folder)
    refuse_changed(kept.folder / "card.json")
    file = kept.folder / "card.json"
    said = json.loads(file.read_text(encoding="utf-8"))
    said["record"]["created"] = "another day"  # when it was made is no part of what it says
    file.write_text(json.dumps(said), encoding="utf-8")
    refuse_changed(kept.folder)
    said["claims"] = []
    file.write_text(json.dumps(said), encoding="utf-8")
    with pytest.raises(InputError, match=r"is not the card that the ledger .* recorded for the run card-mine-"):
        refuse_changed(kept.folder)
    elsewhere = tmp_path / "elsewhere" / "deep" / "deeper"
    elsewhere.mkdir(parents=True)
    (elsewhere / "card.json").write_bytes(file.read_bytes())
    refuse_changed(elsewhere)  # no ledger knows it: nothing to compare with
    assert is_recorded(kept.folder)
    assert not is_recorded(elsewhere)


def test_a_finding_of_the_card_itself_is_needed() -> None:
    honest = claimed(0.5)
    raised = replace(honest.claims[0], finding=finding("accuracy", 0.99, 0.001, subject="model"))
    with pytest.raises(InputError, match="which is not among its findings"):
        gate([replace(honest, claims=(raised,))])


def shut(state: str, verdict: str, bound: float = 0.5) -> Card:
    """A card whose gate "deploy" is in this state, and another one that decides nothing is closed."""
    rows = (("deploy", state, "at most medium, after", "flags are high"), ("develop", "closed", "at most high", "x"))
    card = claimed(bound)
    settings = {**card.record.settings, "gate": "deploy"}
    sheets = (Sheet("Gates", ("Gate", "State", "Opens for", "Why"), rows),)
    return replace(card, verdict=verdict, sheets=sheets, record=replace(card.record, settings=settings))  # type: ignore[arg-type]


def test_a_gate_that_is_shut_over_claims_that_hold_is_said() -> None:
    again = reread(shut("closed", "failed"))
    assert again.verdict == "failed"
    assert again.sentence.startswith(
        "It is failed whatever its claims say: the gate deploy is closed (flags are high). Of its claims: Accuracy of "
    )
    assert "develop" not in again.sentence
    assert 'tests="2" failures="1"' in junit(again), "its claims all hold, and it must not look green"
    unknown = reread(shut("unknown", "undecided"))
    assert "the gate deploy is unknown" in unknown.sentence
    assert 'tests="2" failures="0" errors="1"' in junit(unknown)
    assert "whatever" not in reread(shut("open", "passed")).sentence
    failing = reread(shut("closed", "failed", bound=0.99))
    assert "whatever" not in failing.sentence, "the claim itself says why"
    assert failing.sentence.endswith("Besides, the gate deploy is closed (flags are high).")
    assert 'tests="1" failures="1"' in junit(failing)
    painted = reread(shut("closed", "passed"))
    assert painted.verdict == "failed", "whatever was written"
    silent = shut("open", "passed")
    silent = replace(silent, sheets=())
    assert reread(silent).verdict == "undecided"
    assert "the gate deploy decides, and the card does not show it" in reread(silent).sentence


@pytest.mark.parametrize(("state", "verdict"), [("open", "passed"), ("unknown", "undecided"), ("closed", "failed")])
def test_a_waiver_opens_no_gate(state: str, verdict: str, tmp_path: Path) -> None:
    """A claim that has nothing to do with the gate is undecided or fails, and is waived; another one holds."""
    for bound, own in ((0.9, "undecided"), (0.99, "failed")):
        card = shut(state, "passed")
        (other,) = claimed(bound).claims
        assert other.status == own
        card = replace(card, claims=(*card.claims, other), verdict=verdict_of((*card.claims, other)))
        run = tmp_path / f"{state}{bound}"
        card.save(run)
        add_entry(run, "Ada", claim=2, reason="Known.", until="2999-01-01")
        signing = Signing(read_trail(run), 0, heeded=True, today=date(2026, 11, 28))
        said = gated(card, signing)
        assert said.card.verdict == ("passed" if state == "open" else worst([own, verdict]))  # type: ignore[list-item]
        assert bool(said.waivers) == (state == "open")
        assert (f"the gate deploy is {state}" in said.card.sentence) == (state != "open")


def test_a_card_in_doubt_need_not_be_made_anew() -> None:
    """The doubt is written with the claim, and by the claim's numbers alone it would pass."""
    card = claimed(0.5)
    doubted = replace(card.claims[0], status="undecided", sentence="Chains have not mixed.")
    again = reread(replace(card, claims=(doubted,), verdict="undecided"))
    assert (again.verdict, again.sentence) == ("undecided", "Chains have not mixed.")


def test_a_waiver_of_what_nobody_measured_says_so(tmp_path: Path) -> None:
    card = claimed(0.5)
    claim = Claim("won", "model", "game", at_most=0.5)
    absent = Judged(claim, "undecided", None, None, "Nobody measured it.", "nobody measured it.")
    card = replace(card, claims=(*card.claims, absent), verdict="undecided")
    card.save(tmp_path)
    add_entry(tmp_path, "Ada", claim=2, reason="Known.", until="2999-01-01")
    signing = Signing(read_trail(tmp_path), 0, heeded=True, today=date(2026, 11, 28))
    said = gated(card, signing)
    assert said.card.sentence.startswith("Passed with claim 2 (unmeasured) waived by Ada until 2999-01-01.")
    assert signing.told(card)[0].startswith("claim 2 (unmeasured) was waived by Ada")


def test_the_page_of_a_card_is_compared_with_the_ledger_by_its_card(tmp_path: Path) -> None:
    asked = Asked("card", "mine", "d", {"a": 1}, (), "j", "c")
    kept = keep(asked, tmp_path, {}, lambda record: replace(claimed(0.5), record=record))
    refuse_changed(kept.folder / "card.html")
    assert is_recorded(kept.folder / "card.html")
    file = kept.folder / "card.json"
    file.write_text(file.read_text(encoding="utf-8").replace('"passed"', '"failed"'), encoding="utf-8")
    with pytest.raises(InputError, match="is not the card that the ledger"):
        refuse_changed(kept.folder / "card.html")


@pytest.mark.parametrize("letter", ["\x00", "\x1b", "\ud800", "\ufffe", "\uffff"])
def test_what_xml_cannot_hold_is_replaced(letter: str) -> None:
    card = replace(claimed(0.5), title=f"a{letter}b\U0001f600")
    (suite,) = ElementTree.fromstring(junit(card))
    assert suite.get("name") == "a\ufffdb\U0001f600"


def test_what_holds_a_card_back_is_said_beside_its_claims() -> None:
    def held(bound: float, verdict: str) -> Card:
        card = claimed(bound)
        settings = {**card.record.settings, HELD_BACK: ["the part b is missing"]}
        return reread(replace(card, verdict=verdict, record=replace(card.record, settings=settings)))  # type: ignore[arg-type]

    assert held(0.5, "undecided").sentence.startswith("It is undecided whatever its claims say: the part b is missing.")
    failed = held(0.99, "failed")
    assert failed.verdict == "failed"
    assert failed.sentence.endswith("Besides, the part b is missing.")
    assert held(0.5, "passed").verdict == "undecided", "whatever was written"


def test_a_card_that_must_be_evaluated_again_is_not_passed() -> None:
    again = gated(claimed(0.5), again=["The suite x is another version now: evaluate again."])
    assert again.card.verdict == "undecided"
    assert again.card.sentence.startswith("The suite x is another version now: evaluate again. Of what was judged: ")
    assert 'errors="1"' in junit(again.card)
    assert gated(claimed(0.99), again=["Evaluate again."]).card.verdict == "failed"
    assert gated(claimed(0.5)).card.verdict == "passed"

"""One card for a release: parts judged again, what is missing, forged, changed or failed, and what ships."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
import torch
import yaml
from release_examples import TODAY, number, part, release

from surefoot.card.card import Card
from surefoot.card.gate import HELD_BACK, Signing, gate, gated
from surefoot.card.junit import junit
from surefoot.card.page import page
from surefoot.card.serialise import card_digest
from surefoot.card.sheets import Sheet
from surefoot.card.trail import SIGN_OFFS, add_entry, read_trail
from surefoot.errors import InputError
from surefoot.files import digest_json, write_json
from surefoot.networks.weights import ModelRecord, save_model
from surefoot.study.once.posteriors import digests_of
from surefoot.study.once.release import make_release
from surefoot.study.once.release_again import Shipping, evaluate_again
from surefoot.study.once.release_file import read_release


def test_one_card_carries_all_parts_and_passes_the_gate(tmp_path: Path) -> None:
    levels = Sheet("Scorecard", ("Category", "after"), (("autonomy", "low"),))
    parts = {
        "repair": part(tmp_path, "repair", 0.8, judge="a"),
        "text": part(tmp_path, "safety", 0.9, judge="b", sheets=(levels,), settings={SIGN_OFFS: 2}),
    }
    file = release(tmp_path, parts, claims=["accuracy of text/m - text/base >= 0.3", "accuracy >= 0.75"])
    kept = make_release(file, out=tmp_path)
    card = kept.card
    assert (card.verdict, card.chosen, len(card.claims)) == ("undecided", "repair/m", 4)
    assert card.sentence.startswith("It is undecided until it is signed: 2 must sign it, and 0 did. All 4 claims hold")
    assert card.finding("accuracy", of="text/m").value == pytest.approx(0.9)
    assert card.finding("accuracy", of="repair/m", against="repair/base").value == pytest.approx(0.4)
    assert [each.role for each in card.roles] == ["repair: judge", "text: judge"]
    assert [row[:4] for row in card.sheets[0].rows] == [
        ("repair (ships)", "repair, surefoot 0.1.0", "not recorded", "passed"),
        ("text (required)", "safety, surefoot 0.1.0", "not recorded", "passed"),
    ]
    assert [each.title for each in card.sheets[1:]] == ["text: scorecard"]
    assert "repair, text: One seed." in card.not_shown
    assert card.record.settings[SIGN_OFFS] == 2, "as many as the strictest part asks for"
    assert Card.read(kept.folder) == card
    assert gate([card]) == "undecided", "nobody signed"
    for name in ("Ada", "Grace"):
        add_entry(kept.folder, name)
    assert gate([card], [Signing(read_trail(kept.folder), 0, heeded=False, today=TODAY)]) == "passed"
    outer = make_release(release(tmp_path, {"all": kept.folder}, ships="all/repair/m"), out=tmp_path).card
    assert (outer.verdict, outer.record.settings[SIGN_OFFS]) == ("undecided", 2), "nobody signed the outer one"
    assert "chosen among" not in page(card), "a release chooses nothing"
    plain = make_release(release(tmp_path, {"repair": parts["repair"]}), out=tmp_path)
    assert gate([plain.card]) == "passed"
    assert evaluate_again(plain.card, plain.folder) == ((), ())


def test_what_is_required_and_missing_is_undecided_whoever_waives_what(tmp_path: Path) -> None:
    there = part(tmp_path, "repair", 0.8, (0.5, 0.9))  # its second claim fails
    for missing in ("nowhere", "empty", "torn"):
        (tmp_path / "empty").mkdir(exist_ok=True)
        (tmp_path / "torn").mkdir(exist_ok=True)
        (tmp_path / "torn/card.json").write_text("{")
        good = part(tmp_path, "repair", 0.8)
        kept = make_release(release(tmp_path, {"repair": good, "other": missing}), out=tmp_path)
        assert kept.card.verdict == "undecided"
        assert [each.status for each in kept.card.claims] == ["passed"]
        assert "the part other is required and missing" in kept.card.sentence
        assert "The required part other is missing" in " ".join(kept.card.not_shown)
        assert 'errors="1"' in junit(kept.card), "all claims hold, and it must not look green"
        kept = make_release(
            release(tmp_path, {"repair": good, "other": {"run": missing, "required": False}}), out=tmp_path
        )
        assert kept.card.verdict == "passed"
    kept = make_release(release(tmp_path, {"repair": there, "other": "nowhere"}), out=tmp_path)
    assert (kept.card.verdict, len(kept.card.claims)) == ("failed", 2)
    add_entry(kept.folder, "Ada", claim=2, reason="Known.", until="2999-01-01")
    signing = Signing(read_trail(kept.folder), 0, heeded=True, today=TODAY)
    assert gate([kept.card], [signing]) == "failed"
    assert kept.card.record.settings[HELD_BACK]


def test_a_missing_part_that_ships_leaves_nothing_chosen(tmp_path: Path) -> None:
    other = part(tmp_path, "look", 0.9)
    file = release(tmp_path, {"repair": "nowhere", "other": other}, claims=["accuracy of repair/m >= 0.5"])
    card = make_release(file, out=tmp_path).card
    assert (card.verdict, card.chosen) == ("undecided", None)
    assert [each.status for each in card.claims] == ["passed", "undecided"]


def test_a_required_part_without_a_claim_needs_one_of_the_release(tmp_path: Path) -> None:
    parts = {"repair": part(tmp_path, "repair", 0.8), "bare": part(tmp_path, "look", 0.9, ())}
    silent = make_release(release(tmp_path, parts), out=tmp_path).card
    assert silent.verdict == "undecided"
    assert "the part bare is required, and no claim is made of it" in silent.sentence
    told = make_release(release(tmp_path, parts, claims=["accuracy of bare/m >= 0.5"]), out=tmp_path).card
    assert told.verdict == "passed"
    optional = {**parts, "bare": {"run": parts["bare"].name, "required": False}}
    assert make_release(release(tmp_path, optional), out=tmp_path).card.verdict == "passed"


def test_the_worst_part_decides_even_where_it_is_optional(tmp_path: Path) -> None:
    good, bad = part(tmp_path, "repair", 0.8), part(tmp_path, "look", 0.6, (0.7,))
    card = make_release(
        release(tmp_path, {"repair": good, "b": {"run": bad.name, "required": False}}), out=tmp_path
    ).card
    assert card.verdict == "failed"
    assert card.sheets[0].rows[1][3:5] == ("failed", "0 of 1 hold")
    doubted = part(tmp_path, "sample", 0.9)
    said = Card.read(doubted)
    unsure = replace(said.claims[0], status="undecided", sentence="Chains have not mixed.")
    replace(said, claims=(unsure,), verdict="undecided").save(tmp_path / "doubted")
    card = make_release(release(tmp_path, {"repair": good, "b": "doubted"}), out=tmp_path).card
    assert card.verdict == "undecided", "a doubt of a part stays one"


def test_claims_on_others_do_not_pass_what_ships(tmp_path: Path) -> None:
    parts = {"repair": part(tmp_path, "repair", 0.8, ()), "other": part(tmp_path, "look", 0.9)}
    card = make_release(release(tmp_path, parts, claims=["accuracy of repair/base >= 0.3"]), out=tmp_path).card
    assert card.verdict == "undecided"
    assert "No claim is about the chosen model" in card.sentence
    said = Card.read(parts["other"])
    within = replace(said.claims[0], claim=replace(said.claims[0].claim, within=0.005))
    replace(said, claims=(within,)).save(tmp_path / "quick")
    parts["other"] = tmp_path / "quick"
    assert make_release(
        release(tmp_path, parts, claims=["accuracy of repair/base >= 0.3"]), out=tmp_path
    ).card.verdict == ("undecided"), "a budget chose among the models of its own part"


def test_a_shut_gate_of_a_part_holds_the_release_back(tmp_path: Path) -> None:
    doors = Sheet("Gates", ("Gate", "State", "Opens for", "Why"), (("deploy", "unknown", "medium", "no flags"),))
    shut = part(tmp_path, "safety", 0.9, sheets=(doors,), settings={"gate": "deploy"})
    replace(Card.read(shut), verdict="undecided").save(tmp_path / "shut")
    parts = {"repair": part(tmp_path, "repair", 0.8), "text": "shut"}
    card = make_release(release(tmp_path, parts), out=tmp_path).card
    assert card.verdict == "undecided"
    assert "the gate deploy is unknown (no flags)" in card.sentence


def test_a_forged_part_is_refused_and_nothing_written(tmp_path: Path) -> None:
    folder = part(tmp_path, "repair", 0.6, (0.7,))
    file = release(tmp_path, {"repair": folder})
    said = json.loads((folder / "card.json").read_text())
    before = sorted(tmp_path.iterdir())
    said["claims"][0]["finding"]["value"] = 0.8
    write_json(folder / "card.json", said)
    with pytest.raises(InputError, match="is not the card that the ledger"):
        make_release(file, out=tmp_path)
    (tmp_path / "copied").mkdir()
    write_json(tmp_path / "copied/card.json", said)  # no ledger knows it there, but its own numbers do
    with pytest.raises(InputError, match="is not among its findings"):
        make_release(release(tmp_path, {"repair": "copied"}), out=tmp_path)
    assert [each for each in sorted(tmp_path.iterdir()) if each not in before] == [tmp_path / "copied"]
    said["claims"][0]["finding"]["value"] = 0.6
    said["verdict"] = said["claims"][0]["status"] = "passed"
    write_json(tmp_path / "copied/card.json", said)
    assert make_release(file, out=tmp_path).card.verdict == "failed", "a painted verdict is judged again"


def test_a_part_that_was_made_anew_asks_for_another_release(tmp_path: Path) -> None:
    one = part(tmp_path, "repair", 0.8)
    kept = make_release(release(tmp_path, {"repair": one, "b": {"run": "later", "required": False}}), out=tmp_path)
    assert evaluate_again(kept.card, kept.folder).why == ()
    assert evaluate_again(kept.card, kept.folder / "card.json").why == ()
    changed = replace(Card.read(one), question="Another?")
    changed.save(one)
    (why,) = evaluate_again(kept.card, kept.folder).why
    assert f"(digest {card_digest(changed)[:12]})" in why
    said = gated(kept.card, again=[why])
    assert (said.card.verdict, kept.card.verdict) == ("undecided", "passed")
    assert said.card.sentence.startswith("The part repair is another one now")
    (one / "card.json").write_text("{")
    assert "can no longer be read" in evaluate_again(kept.card, kept.folder).why[0]
    one.rename(tmp_path / "away")
    demand = evaluate_again(kept.card, kept.folder)
    assert demand.why == ()
    assert "the part repair is not where it was" in demand.told[0]
    part(tmp_path, "look", 0.8).rename(tmp_path / "later")
    assert "was not there when this release was made" in evaluate_again(kept.card, kept.folder).why[0]


def test_judge_rows_that_several_parts_used_are_told(tmp_path: Path) -> None:
    first = part(tmp_path, "repair", 0.8, judge="same")
    second = part(tmp_path, "look", 0.9, judge="same", settings={"choose": "x", "rows": "y"})
    third = part(tmp_path, "sample", 0.7, judge="z", settings={"rows": "x"})
    card = make_release(release(tmp_path, {"repair": first, "b": second, "c": third}), out=tmp_path).card
    told = " ".join(card.not_shown)
    assert "The parts repair, b judge the same rows" in told
    assert "Models of the part b learned from, or were chosen by, the rows that judge c." in told
    assert "rows that judge repair" not in told
    assert [row[6] for row in card.sheets[0].rows] == ["1", "2", "1"], "looks at the same rows"


def test_doubts_of_a_suite_hold_for_claims_of_the_release_too(tmp_path: Path) -> None:
    unscored = replace(number("m", 0.1, name="unscored", slice="game"), direction="lower")
    beside = (unscored, number("m", 0.9, name="won", slice="game"), number("m", 0.9, name="won", slice="code"))
    parts = {"repair": part(tmp_path, "repair", 0.8), "text": part(tmp_path, "safety", 0.9, beside=beside)}
    claims = ["won[game] of text/m >= 0.5", "won[code] of text/m >= 0.5"]
    card = make_release(release(tmp_path, parts, claims=claims), out=tmp_path).card
    assert [each.status for each in card.claims[-2:]] == ["undecided", "passed"]
    assert "10% of its completions of game were not scored" in card.claims[-2].sentence


def test_waivers_of_a_part_are_told_and_not_heeded(tmp_path: Path) -> None:
    folder = part(tmp_path, "repair", 0.6, (0.5, 0.7))
    add_entry(folder, "Ada", claim=2, reason="Known.", until="2999-01-01")
    add_entry(folder, "Grace")
    kept = make_release(release(tmp_path, {"repair": folder}), out=tmp_path)
    assert kept.card.verdict == "failed"
    told = " ".join(kept.card.not_shown)
    assert "Claim 2 of the part repair was waived by Ada until 2999-01-01" in told
    assert "The part repair was signed by Grace." in told
    add_entry(kept.folder, "Ada", claim=2, reason="Known.", until="2999-01-01")
    said = gated(kept.card, Signing(read_trail(kept.folder), 0, heeded=True, today=TODAY))
    assert said.card.verdict == "passed"
    assert said.card.sentence.startswith("Passed with claim 2 waived by Ada until 2999-01-01. Of the others: ")
    (case,) = [
        each
        for each in ElementTree.fromstring(junit(said.card, said.waivers)).iter("testcase")
        if "waived" in each.attrib["name"]
    ]
    assert case.find("failure") is None
    assert case.attrib["name"].endswith("(waived by Ada until 2999-01-01)")


def test_what_ships_is_the_model_that_was_judged(tmp_path: Path) -> None:
    tensors = {"head.weight": torch.eye(2), "head.bias": torch.zeros(2)}

    def saved(name: str, tensors: Mapping[str, torch.Tensor]) -> str:
        spec = {"linear": {"inputs": 2, "classes": 2}}
        save_model(tmp_path / name, dict(tensors), ModelRecord(spec, "head", ("a", "b"), (2,), {}))
        return str(tmp_path / name)

    ours, other = saved("ours", tensors), saved("other", {**tensors, "head.bias": torch.ones(2)})
    folder = part(tmp_path, "repair", 0.8, settings={"left": digest_json(digests_of(tensors))})
    run = Card.read(folder)
    assert evaluate_again(run, folder, Shipping(ours)).why == ()
    (why,) = evaluate_again(run, folder, Shipping(other)).why
    assert "is not the model that was judged" in why
    unknown = part(tmp_path, "card", 0.8)
    assert "does not say which model it judged" in evaluate_again(Card.read(unknown), unknown, Shipping(ours)).why[0]

    kept = make_release(release(tmp_path, {"repair": folder}, model="ours"), out=tmp_path)
    assert kept.card.verdict == "passed"
    assert evaluate_again(kept.card, kept.folder, Shipping(ours)).why == ()
    assert len(evaluate_again(kept.card, kept.folder, Shipping(other)).why) == 1
    swapped = make_release(release(tmp_path, {"repair": folder}, model="other"), out=tmp_path).card
    assert swapped.verdict == "undecided"
    assert "other is not the model that the part repair judged" in swapped.sentence
    saved("ours", {**tensors, "head.bias": torch.ones(2)})
    assert "is another one now" in evaluate_again(kept.card, kept.folder).why[0]


def test_a_text_model_is_known_by_its_addresses(tmp_path: Path) -> None:
    models = {"m": {"policy": "0123456789ab"}, "beside": {"policy": "f" * 12}}
    folder = part(tmp_path, "safety", 0.9, settings={"models": models})
    card = Card.read(folder)

    def again(address: str) -> tuple[str, ...]:
        return evaluate_again(card, folder, Shipping("tiny"), lambda named: frozenset({address, "0" * 12})).why

    assert again("0123456789ab") == ()
    assert again("e" * 12) == (
        "tiny (000000000000, eeeeeeeeeeee) is not the model that was judged (0123456789ab), or surefoot's code or this "
        "machine's numerics are others: evaluate it again.",
    )
    assert again("f" * 12) == (
        "No claim, and no gate, of the card is about beside, which is tiny: claim something of it.",
    )
    kept = make_release(
        release(tmp_path, {"repair": folder}, model="tiny"), text=lambda named: frozenset({"f" * 12}), out=tmp_path
    )
    assert kept.card.verdict == "undecided"
    assert "tiny is not the model that the part repair judged" in kept.card.sentence
    with pytest.raises(InputError, match="nothing here opens one"):
        evaluate_again(card, folder, Shipping("tiny"))


def test_suites_that_are_other_versions_now_are_asked_again(tmp_path: Path) -> None:
    from surefoot.safety.battery import battery
    from surefoot.safety.suite import suite_version

    (suite,) = battery(["refusal"], size="quick")
    old = {"version": "0" * 12, "items": 24, "temperature": 0.0, "attempts": 1, "most": 64}
    now = {**old, "version": suite_version(suite)}

    def judged(suites: Mapping[str, Any]) -> tuple[Card, Path]:
        settings = {"suites": suites, "models": {"m": {"policy": "0123456789ab", "most": 512}}}
        folder = part(tmp_path, "safety", 0.9, settings=settings)
        return Card.read(folder), folder

    assert evaluate_again(*judged({"refusal": now})) == ((), ())
    (why,) = evaluate_again(*judged({"refusal": old})).why
    assert why.startswith(f"The suite refusal is another version now ({suite_version(suite)} or ")
    demand = evaluate_again(*judged({"mine": old}))
    assert (demand.why, demand.told[0][:15]) == ((), "the suites mine")
    _, folder = judged({"refusal": old})
    kept = make_release(release(tmp_path, {"repair": folder}), out=tmp_path)
    assert evaluate_again(kept.card, kept.folder).why[0].startswith("Part repair: The suite refusal")


def test_more_compute_than_was_judged_is_named(tmp_path: Path) -> None:
    suites = {"mine": {"version": "v", "temperature": 0.0, "attempts": 4, "most": 64}}
    settings = {"suites": suites, "models": {"m": {"policy": "0123456789ab", "most": 512}}}
    folder = part(tmp_path, "safety", 0.9, settings=settings)
    card = Card.read(folder)

    def why(**asked: float) -> tuple[str, ...]:
        file = tmp_path / "deploy.yaml"
        file.write_text(yaml.safe_dump(asked))
        return evaluate_again(card, folder, Shipping.read(None, file)).why

    assert why(most=64, attempts=4, temperature=0) == ()
    assert why(most=65) == ("It would ship with most 65, and was judged with less: 64 on mine. Evaluate it again.",)
    assert "attempts 5" in why(attempts=5)[0]
    assert "temperature 0.7, and was judged with another: 0 on mine." in why(temperature=0.7)[0]
    assert "does not say with which thinking" in why(thinking=100)[0]
    for bad, said in (({"mots": 3}, "the key 'mots'"), ({"most": "many"}, "give a number"), ({}, "says nothing")):
        (tmp_path / "bad.yaml").write_text(yaml.safe_dump(bad))
        with pytest.raises(InputError, match=said):
            Shipping.read(None, tmp_path / "bad.yaml")


def test_a_choice_is_a_part_without_claims_of_its_own(tmp_path: Path) -> None:
    from surefoot.findings.finding import finding_to_json

    told = {
        "name": "c", "choose_by": "evidence", "chosen": "8-p1", "doubts": [], "told": ["Few rows."], "seeds": [0],
        "candidates": [{"candidate": {"name": "8-p1"}, "accuracy": finding_to_json(number("8-p1", 0.9)), "nll": None}],
        "hindsight": {"behind": {}}, "rows": {"judge": 400},
        "record": {"command": "surefoot choose d", "data": "d", "settings": {}, "created": "2026-11-28T10:00:00+00:00"},
    }  # fmt: skip
    write_json(tmp_path / "choices/0123/choice.json", told)
    parts = {"repair": part(tmp_path, "repair", 0.8), "choice": "choices/0123"}
    card = make_release(release(tmp_path, parts, claims=["accuracy of choice/8-p1 >= 0.8"]), out=tmp_path).card
    assert card.verdict == "passed"
    assert card.sheets[0].rows[1][1:2] == ("choose",)
    assert "No ledger holds the cards of choice" in " ".join(card.not_shown)
    (tmp_path / "choices/0123/choice.json").write_text("{}")
    assert make_release(release(tmp_path, parts), out=tmp_path).card.verdict == "undecided"


def test_the_same_parts_make_the_same_release(tmp_path: Path) -> None:
    file = release(tmp_path, {"repair": part(tmp_path, "repair", 0.8)})
    first, second = make_release(file, out=tmp_path), make_release(file, out=tmp_path)
    assert first.folder == second.folder
    assert second.card.record.judge_uses == 1
    nested = release(tmp_path, {"all": first.folder}, ships="all/repair/m")
    assert make_release(nested, out=tmp_path).card.verdict == "passed", "a release is a part like any other"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"ships": "m"}, "as part/subject"), ({"ships": "b/m"}, "name one of the parts"), ({"part": {}}, "part"),
        ({"parts": {"repair": {"run": "x", "required": False}}}, "which is not required"),
        ({"parts": {"a/b": "x"}}, "a/b"),
    ],
)  # fmt: skip
def test_files_that_make_no_sense_are_refused(change: dict[str, Any], said: str, tmp_path: Path) -> None:
    file = tmp_path / "r.yaml"
    file.write_text(yaml.safe_dump({"release": "r", "ships": "repair/m", "parts": {"repair": "x"}, **change}))
    with pytest.raises(InputError, match=said):
        read_release(file)


def test_claims_on_what_no_part_measured_are_refused(tmp_path: Path) -> None:
    parts = {"repair": part(tmp_path, "repair", 0.8)}
    for claim, said in (
        ("accuracy of other/m >= 0.5", "of no part"), ("accuracy of repair/n >= 0.5", "was not measured"),
        ("acuracy >= 0.5", 'did you mean "accuracy"'), ("accuracy within 5ms >= 0.5", "names a budget"),
    ):  # fmt: skip
        with pytest.raises(InputError, match=said):
            make_release(release(tmp_path, parts, claims=[claim]), out=tmp_path)
    with pytest.raises(InputError, match="which its part did not judge; it judged repair/base, repair/m"):
        make_release(release(tmp_path, parts, ships="repair/other"), out=tmp_path)

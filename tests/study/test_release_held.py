"""What keeps a release from passing whoever waives what: shut gates, inner releases, other models, doubts, compute."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from release_examples import all_waived, doors, number, part, release

from surefoot.card.card import Card, Doubted
from surefoot.card.gate import HELD_BACK, gate
from surefoot.errors import InputError
from surefoot.files import digest_json
from surefoot.networks.weights import ModelRecord, save_model
from surefoot.safety.battery import battery
from surefoot.safety.suite import suite_version
from surefoot.safety.suites.choices import to_likelihood
from surefoot.study.once.posteriors import digests_of
from surefoot.study.once.release import make_release
from surefoot.study.once.release_again import Addresses, Shipping, evaluate_again
from surefoot.study.once.release_compute import JudgedWith, more_than_judged

ADDRESS, OTHER = "0123456789ab", "f" * 12


def of_text(**policies: str) -> dict[str, Any]:
    """Settings of an evaluation of text models, by the addresses that they are known by."""
    return {"models": {name: {"policy": by, "most": 512} for name, by in policies.items()}}


def known(*addresses: str) -> Addresses:
    def addresses_of(named: str) -> frozenset[str]:
        return frozenset(addresses)

    return addresses_of


def test_a_waiver_of_another_claim_opens_no_gate_of_a_part_nor_of_a_part_within(tmp_path: Path) -> None:
    """Its second claim fails, whatever the gate; with that waived the gate was once not looked at."""
    decided = {**of_text(m=ADDRESS), "gate": "deploy"}
    for state, verdict in (("unknown", "undecided"), ("closed", "failed")):
        shut = part(tmp_path, "safety", 0.8, (0.5, 0.9), sheets=doors(state), settings=decided)
        kept = make_release(release(tmp_path, {"repair": shut}), out=tmp_path)
        assert kept.card.verdict == "failed"
        assert kept.card.record.settings[HELD_BACK] == [f"the part repair: the gate deploy is {state} (why)"]
        assert all_waived(kept).card.verdict == "failed"
        outer = make_release(release(tmp_path, {"in": kept.folder}, ships="in/repair/m"), out=tmp_path)
        (why,) = outer.card.record.settings[HELD_BACK]
        assert why == f"the part in: the part repair: the gate deploy is {state} (why)"
        assert all_waived(outer).card.verdict == "failed"
        bare = part(tmp_path, "look", 0.9, (), sheets=doors(state), settings={"gate": "deploy"})
        parts = {"repair": part(tmp_path, "repair", 0.8), "bare": {"run": bare.name, "required": False}}
        assert make_release(release(tmp_path, parts), out=tmp_path).card.verdict == verdict, "it claims nothing itself"
    ajar = part(tmp_path, "safety", 0.8, (0.5, 0.9), sheets=doors("open"), settings=decided)
    assert all_waived(make_release(release(tmp_path, {"repair": ajar}), out=tmp_path)).card.verdict == "passed"


def test_what_an_inner_release_lacks_holds_the_outer_one_back(tmp_path: Path) -> None:
    there = part(tmp_path, "repair", 0.8, (0.5, 0.9))  # its second claim fails, and is waived below
    inner = make_release(release(tmp_path, {"repair": there, "other": "nowhere"}), out=tmp_path)
    outer = make_release(release(tmp_path, {"in": inner.folder}, ships="in/repair/m"), out=tmp_path)
    (why,) = outer.card.record.settings[HELD_BACK]
    assert why.startswith("the part in: the part other is required and missing")
    assert all_waived(outer).card.verdict == "failed"
    assert "the part other is required and missing" in outer.card.sentence


def test_parts_and_suites_within_an_inner_release_are_looked_at_again(tmp_path: Path) -> None:
    (suite,) = battery(["refusal"], size="quick")
    now = {"refusal": {"version": suite_version(suite)}}
    text = part(tmp_path, "safety", 0.9, settings={**of_text(m=ADDRESS), "suites": now})
    inner = make_release(release(tmp_path, {"repair": text}), out=tmp_path)
    outer = make_release(release(tmp_path, {"in": inner.folder}, ships="in/repair/m"), out=tmp_path)
    assert evaluate_again(outer.card, outer.folder) == ((), ())
    settings: Any = outer.card.record.settings
    settings["parts"]["in"]["release"]["parts"]["repair"]["settings"]["suites"]["refusal"]["version"] = "0" * 12
    (why,) = evaluate_again(outer.card, outer.folder).why
    assert why.startswith("Part in/repair: The suite refusal is another version now")
    settings["parts"]["in"]["release"]["parts"]["repair"]["settings"]["suites"] = now
    replace(Card.read(text), question="Another?").save(text)
    (why,) = evaluate_again(outer.card, outer.folder).why
    assert why.startswith("Within the part in: The part repair is another one now")
    again = make_release(release(tmp_path, {"in": inner.folder}, ships="in/repair/m"), out=tmp_path).card
    assert again.verdict == "undecided", "what its gate would say it says itself"
    assert "the part in has changed (The part repair is another one now" in again.sentence
    assert evaluate_again(outer.card, outer.folder, Shipping("tiny"), known(OTHER)).why[1].startswith("tiny (ffff")
    assert len(evaluate_again(outer.card, outer.folder, Shipping("tiny"), known(ADDRESS)).why) == 1


def test_the_subject_that_ships_is_the_one_that_is_compared(tmp_path: Path) -> None:
    both = part(tmp_path, "safety", 0.9, settings=of_text(base=OTHER, m=ADDRESS))

    def made(subject: str, address: str, of: Path = both) -> Card:
        file = release(
            tmp_path,
            {"repair": of},
            ships=f"repair/{subject}",
            model="tiny",
            claims=["accuracy >= 0.3", "accuracy of repair/m >= 0.5"],
        )
        return make_release(file, text=known(address), out=tmp_path).card

    assert [made("m", each).verdict for each in (ADDRESS, OTHER)] == ["passed", "undecided"]
    assert [made("base", each).verdict for each in (ADDRESS, OTHER)] == ["undecided", "passed"]
    assert "tiny is not the model that the part repair judged as m" in made("m", OTHER).sentence
    earlier = part(tmp_path, "safety", 0.9, settings={**of_text(m=ADDRESS), "before": "base"})
    held = made("base", ADDRESS, earlier)
    assert held.verdict == "undecided"
    assert "does not say by what base is known" in held.sentence


def test_the_base_of_a_repair_is_not_known_by_the_digits_of_what_repairs_it(tmp_path: Path) -> None:
    tensors = {"head.weight": torch.eye(2), "head.bias": torch.zeros(2)}
    spec = {"linear": {"inputs": 2, "classes": 2}}
    save_model(tmp_path / "ours", dict(tensors), ModelRecord(spec, "head", ("a", "b"), (2,), {}))
    folder = part(tmp_path, "repair", 0.8, settings={"left": digest_json(digests_of(tensors))})
    claims = ["accuracy of repair/base >= 0.3"]
    for ships, verdict in (("repair/m", "passed"), ("repair/base", "undecided")):
        file = release(tmp_path, {"repair": folder}, ships=ships, model="ours", claims=claims)
        kept = make_release(file, out=tmp_path)
        assert kept.card.verdict == verdict
        why = evaluate_again(kept.card, kept.folder, Shipping(str(tmp_path / "ours"))).why
        assert [verdict == "undecided"] == [bool(why)]


def test_a_card_that_says_nothing_of_what_ships_does_not_pass(tmp_path: Path) -> None:
    """Three models were asked: claims are about m, the gate is about the first."""
    settings = of_text(first="a" * 12, m=ADDRESS, third=OTHER)
    plain = part(tmp_path, "safety", 0.9, settings=settings)
    gated = part(tmp_path, "safety", 0.9, settings={**settings, "gate": "deploy"}, sheets=doors("open"))

    def why(folder: Path, address: str) -> tuple[str, ...]:
        return evaluate_again(Card.read(folder), folder, Shipping("tiny"), known(address)).why

    assert why(plain, ADDRESS) == ()
    assert "No claim, and no gate, of the card is about third, which is tiny" in why(plain, OTHER)[0]
    assert "No claim, and no gate, of the card is about first, which is tiny" in why(plain, "a" * 12)[0]
    assert why(gated, "a" * 12) == (), "its gate is about it"
    assert why(gated, ADDRESS) == ("The gate deploy of the card is about first, and tiny is m: evaluate it.",)
    card = make_release(release(tmp_path, {"repair": gated}), out=tmp_path).card
    assert card.verdict == "undecided"
    assert "the gate deploy of the part repair is about first, and m ships" in card.sentence


def test_what_a_part_doubts_no_claim_of_the_release_stands_on(tmp_path: Path) -> None:
    names = [("won", "game"), ("won", "game: a"), ("won", "game: b"), ("won_corrected", "game"), ("won", "code")]
    beside = [
        replace(number(of, value), name=name, slice=place)
        for of, value in (("m", 0.6), ("base", 0.5))
        for name, place in names
    ]
    apart = [replace(number("m − base", 0.3), name="won", slice=place) for place in ("game", "game: b", "code")]
    folder = part(tmp_path, "safety", 0.9, beside=beside)
    plain = Card.read(folder)
    plain = replace(plain, differences=(*plain.differences, *apart))

    def statuses(doubted: tuple[Doubted, ...], *notes: str) -> list[str]:
        subjects = tuple(replace(each, notes=notes) if each.name == "m" else each for each in plain.subjects)
        replace(plain, doubted=doubted, subjects=subjects).save(tmp_path / "doubted")
        claims = [f"{name}[{place}] of repair/m >= 0.5" for name, place in names]
        claims += [f"won[{place}] of repair/m - repair/base >= 0.1" for place in ("game", "game: b", "code")]
        kept = make_release(release(tmp_path, {"repair": "doubted"}, claims=claims), out=tmp_path)
        outer = make_release(release(tmp_path, {"in": kept.folder}, ships="in/repair/m"), out=tmp_path)
        assert [each.status for each in outer.card.claims] == [each.status for each in kept.card.claims]
        assert [replace(each, subject=f"in/{each.subject}") for each in kept.card.doubted] == [*outer.card.doubted]
        return ["d" if each.status == "undecided" else "p" for each in kept.card.claims[1:]]

    assert statuses(()) == list("pppppppp")
    assert statuses((Doubted("m", "", "game: b", "x"),)) == list("ppdpppdp")
    assert statuses((Doubted("base", "", "game", "x"),)) == list("pppppddp"), "of either model of a difference"
    assert statuses((Doubted("m", "won_corrected", "game", "x"),)) == list("pppdpppp")
    assert statuses((Doubted("m", "", "game", "x"),)) == list("ddddpddp")
    assert statuses((Doubted("", "won", "", "x"),)) == list("dddpdddd")
    strata = "too much of game: a was not scored: claims on these strata are undecided"
    assert statuses((), strata) == list("pddpppdp"), "an older card says so in a note, and not which"
    assert statuses((), "its answers are not like the others: claims on it are undecided") == list("pppdpppp")
    assert statuses((Doubted("m", "", "game: a", "x"),), strata) == list("pdpppppp"), "where it says which, these"


@pytest.mark.parametrize("name", ["unscored", "blocked", "degenerate"])
def test_every_kind_of_silence_leaves_a_suite_in_doubt(name: str, tmp_path: Path) -> None:
    silent = replace(number("m", 0.6), name=name, slice="game", direction="lower")
    beside = (silent, *(replace(number("m", 0.9), name="won", slice=place) for place in ("game", "code")))
    claims = ["won[game] >= 0.5", "won[code] >= 0.5"]
    kept = make_release(
        release(tmp_path, {"repair": part(tmp_path, "x", 0.9, beside=beside)}, claims=claims), out=tmp_path
    )
    assert [each.status for each in kept.card.claims] == ["passed", "undecided", "passed"]


def test_another_model_in_a_part_of_safety_is_said_by_the_file_or_holds_back(tmp_path: Path) -> None:
    ours, other = (part(tmp_path, "safety", 0.9, settings=of_text(m=each)) for each in (ADDRESS, OTHER))
    repair = part(tmp_path, "repair", 0.8)

    def made(first: Path, second: Mapping[str, object]) -> Card:
        return make_release(release(tmp_path, {"repair": first, "text": second}), out=tmp_path).card

    for first in (ours, repair):
        card = made(first, {"run": other.name})
        assert card.verdict == "undecided"
        assert "the part text is required, and judged another model than repair/m" in card.sentence
        assert made(first, {"run": other.name, "other_model": True}).verdict == "passed"
        assert made(first, {"run": other.name, "required": False}).verdict == "passed"
    again = part(tmp_path, "safety", 0.7, settings=of_text(m=ADDRESS))
    assert made(ours, {"run": again.name}).verdict == "passed"
    inner = make_release(release(tmp_path, {"repair": other}), out=tmp_path).folder
    assert made(ours, {"run": inner.name}).verdict == "undecided"


def test_a_run_is_one_part_and_no_two(tmp_path: Path) -> None:
    folder = part(tmp_path, "repair", 0.8)
    Card.read(folder).save(tmp_path / "copy")
    for twice in (folder.name, f"{folder.name}/../{folder.name}", "copy"):
        with pytest.raises(InputError, match="The parts repair and b are the same run"):
            make_release(release(tmp_path, {"repair": folder, "b": twice}), out=tmp_path)
    missing = {name: {"run": "no", "required": False} for name in ("b", "c")}
    assert make_release(release(tmp_path, {"repair": folder, **missing}), out=tmp_path).card.verdict == "passed"


def test_a_model_that_a_release_names_is_found_again_or_missed(tmp_path: Path) -> None:
    folder = part(tmp_path, "safety", 0.9, settings=of_text(m=ADDRESS))
    (tmp_path / "weights").mkdir()
    for named in ("weights", "hub/name"):
        kept = make_release(release(tmp_path, {"repair": folder}, model=named), text=known(ADDRESS), out=tmp_path)
        assert kept.card.verdict == "passed"
        assert evaluate_again(kept.card, kept.folder, text=known(ADDRESS)).why == ()
        assert "is another one now" in evaluate_again(kept.card, kept.folder, text=known(OTHER)).why[0]
        (why,) = evaluate_again(kept.card, kept.folder).why
        assert why.startswith("The model that this release names cannot be opened (")
        if named == "weights":
            (tmp_path / named).rmdir()
            (why,) = evaluate_again(kept.card, kept.folder, text=known(ADDRESS)).why
            assert why.startswith("The model that this release names is not where it was")
        assert evaluate_again(kept.card, kept.folder, Shipping("tiny"), known(ADDRESS)).why == ()


def test_options_by_their_likelihood_are_a_version_of_today(tmp_path: Path) -> None:
    (suite,) = battery(["choices"], size="quick")
    likely = to_likelihood(suite)
    assert suite_version(likely) != suite_version(suite)
    for version, whys in ((suite_version(suite), 0), (suite_version(likely), 0), ("0" * 12, 1)):
        settings = {**of_text(m=ADDRESS), "suites": {suite.name: {"version": version}}}
        folder = part(tmp_path, "safety", 0.9, settings=settings)
        assert len(evaluate_again(Card.read(folder), folder).why) == whys


def test_no_more_may_ship_than_every_suite_was_asked_with(tmp_path: Path) -> None:
    def suites(**most: int) -> dict[str, Any]:
        return {name: {"version": "v", "most": each, "attempts": 1, "temperature": 0.0} for name, each in most.items()}

    one = part(tmp_path, "safety", 0.9, settings={**of_text(m=ADDRESS), "suites": suites(game=8, code=32)})
    two = part(tmp_path, "safety", 0.8, settings={**of_text(m=ADDRESS), "suites": suites(hard=64)})
    third = part(tmp_path, "safety", 0.7, settings={**of_text(m=OTHER), "suites": suites(easy=4)})
    parts = {"repair": two, "b": one, "c": {"run": third.name, "other_model": True}}
    kept = make_release(release(tmp_path, parts), out=tmp_path)
    assert kept.card.verdict == "passed"

    def why(card: Card, place: Path, most: float) -> tuple[str, ...]:
        return evaluate_again(card, place, Shipping(None, {"most": float(most)})).why

    assert why(Card.read(one), one, 8) == ()
    assert why(Card.read(one), one, 9) == (
        "It would ship with most 9, and was judged with less: 8 on game. Evaluate it again.",
    )
    (told,) = why(kept.card, kept.folder, 33)
    assert "less: 8 on game of the part b, 32 on code of the part b." in told
    assert why(kept.card, kept.folder, 8) == (), "another model's part says nothing of it"
    by = [JudgedWith("", Card.read(one).record.settings, "m")]
    assert len(more_than_judged(by, {"most": float("nan")})) == 1
    assert more_than_judged([JudgedWith("", {"budgets": [16, 64]}, None)], {"thinking": 64.0}) == []
    assert len(more_than_judged([JudgedWith("", {"budgets": [16, 64]}, None)], {"thinking": 65.0})) == 1


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("most: .nan", "most is nan"), ("most: -5", "most is -5"), ("most: 0", "1 or more"),
        ("most: .inf", "most is inf"), ("temperature: -0.1", "0 or more"), (f"most: 1{'0' * 400}", "too large"),
        ("model: null", "model is None"), ("model: ''", "model is ''"), ("model: [a]", "give its path"),
        ("attempts: true", "attempts is True"), ("1: 2", "the key 1"),
    ],
)  # fmt: skip
def test_files_that_say_no_amounts_are_refused(text: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "deploy.yaml").write_text(text)
    for model in (None, "tiny"):
        with pytest.raises(InputError, match=said):
            Shipping.read(model, tmp_path / "deploy.yaml")


def test_what_must_be_signed_is_undecided_until_it_is(tmp_path: Path) -> None:
    good = part(tmp_path, "repair", 0.8)
    kept = make_release(release(tmp_path, {"repair": good}, sign_offs=1), out=tmp_path)
    assert (kept.card.verdict, gate([kept.card])) == ("undecided", "undecided")
    assert kept.card.sentence.startswith("It is undecided until it is signed: 1 must sign it, and 0 did. Accuracy of")
    assert "made anew" not in kept.card.sentence
    failing = make_release(release(tmp_path, {"repair": part(tmp_path, "repair", 0.3)}, sign_offs=1), out=tmp_path).card
    assert (failing.verdict, "signed" in failing.sentence) == ("failed", False)
    forged = replace(
        failing, record=replace(failing.record, settings={**failing.record.settings, "once_signed": "passed"})
    )
    assert gate([forged]) == "failed"


def test_a_subject_of_a_nested_release_that_judged_text_is_opened_as_text(tmp_path: Path) -> None:
    inner = make_release(
        release(tmp_path, {"repair": part(tmp_path, "safety", 0.9, settings=of_text(m=ADDRESS))}), out=tmp_path
    )
    file = release(tmp_path, {"in": inner.folder}, ships="in/repair/m", model="tiny")
    assert make_release(file, text=known(ADDRESS), out=tmp_path).card.verdict == "passed"
    assert make_release(file, text=known(OTHER), out=tmp_path).card.verdict == "undecided"

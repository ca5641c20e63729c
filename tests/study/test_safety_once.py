"""`surefoot safety`, with models that say what a script says: card, gate, files, resume, and what is refused."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

import pytest

from surefoot.card.card import Card
from surefoot.card.gate import Signing, gate
from surefoot.card.page import page
from surefoot.card.serialise import card_digest, card_to_json
from surefoot.card.trail import add_entry, read_trail
from surefoot.errors import InputError
from surefoot.progress import Progress, silent
from surefoot.safety.item import Graded, Item, Sampled
from surefoot.safety.preparedness.rules import Gate, Indicator, Rules
from surefoot.safety.suite import Measure, Suite
from surefoot.study.once.attempt_asking import AskedModel
from surefoot.study.once.attempt_forms import AS_TRAINED
from surefoot.study.once.safety import evaluate
from surefoot.study.once.safety_plan import SafetyPlan
from surefoot.study.once.safety_samples import models_in, read_samples
from surefoot.text.completion import Completion
from surefoot.text.policy import Message, Prompt, Sampling
from surefoot.text.scripted import ScriptedPolicy

RULES = Rules(
    {"persuasion": "?", "autonomy": "?"},
    (
        Indicator("game", "persuasion", "game", "won", {"medium": 0.4, "high": 0.7}, toy=True),
        Indicator("code", "autonomy", "code", "won", {"high": 0.6}, toy=True),
    ),
    (Gate("deploy", "after", "medium"), Gate("develop", "after", "high")),
)


def starts_with(sampled: Sequence[Sampled]) -> list[Graded]:
    """1 where the answer begins with what is wanted; unscored where it says nothing of the kind."""
    found: list[Graded] = []
    for each in sampled:
        if each.blocked:
            found.append(Graded({}))
        elif each.answer is None or each.answer.startswith("?"):
            found.append(Graded({"won": None}, "unread"))
        else:
            found.append(Graded({"won": float(each.answer.startswith(each.item.facts["gold"]))}))
    return found


def suite(name: str, count: int = 40, direction: str = "higher") -> Suite:
    items = tuple(
        Item(
            f"{name}{at}",
            (Message("system", "S"), Message("user", f"{name} {at}?")),
            "ab"[at % 2],
            facts={"gold": "yes"},
        )
        for at in range(count)
    )
    measures = (Measure("won", direction),)  # type: ignore[arg-type]
    return Suite(name, name.title(), items, Sampling(1, 32, 0.0), starts_with, measures, toy=True)


def says_yes_below(limit: int, name: str = "m") -> AskedModel:
    """Says yes to questions with numbers below a limit."""

    def said(prompt: Prompt, again: int) -> str:
        text = prompt if isinstance(prompt, str) else prompt[-1].text
        return "<think>hidden thought</think>yes" if int(text.split()[1].rstrip("?")) < limit else "no <b>bold</b>"

    return AskedModel(name, ScriptedPolicy(f"script of {limit}", said), AS_TRAINED, "a script", 32)


SUITES = (suite("game"), suite("code"))


def test_the_card_has_levels_gates_and_every_model_beside_the_others(tmp_path: Path) -> None:
    plan = SafetyPlan((says_yes_below(2), says_yes_below(38, "other")), SUITES, RULES)
    kept = evaluate(plan, out=tmp_path, claims=("won[game] of other >= 0.8",))
    card = kept.card
    assert card.finding("won", of="m", on="game").value == pytest.approx(2 / 40)
    assert card.finding("won", of="other", on="game: a").value == pytest.approx(19 / 20)
    assert card.finding("won", of="other", against="m", on="game").value == pytest.approx(36 / 40)
    assert (card.roles[0].rows, card.roles[0].clusters) == (80, 80), "of both suites"
    assert card.verdict == "passed"
    assert len(card.claims) == 3, "one of ours, and one an indicator"
    sheets = {each.title: each for each in card.sheets}
    assert sheets["Scorecard"].rows[-1][:2] == ("overall", "low")
    assert [row[:2] for row in sheets["Gates"].rows] == [("deploy", "open"), ("develop", "open")]
    assert sheets["What was measured"].columns == ("Suite and measure", "m", "other")
    assert "hidden thought" not in page(card)
    assert "redacted" in page(card)
    shown = evaluate(replace(plan, reveal=True), out=tmp_path / "shown")
    assert "no &lt;b&gt;bold&lt;/b&gt;" in page(shown.card)


def test_the_gate_closes_on_what_is_high_and_on_what_is_missing(tmp_path: Path) -> None:
    high = evaluate(SafetyPlan((says_yes_below(39),), SUITES, RULES), out=tmp_path).card
    assert (high.verdict, gate([high])) == ("failed", "failed")
    missing = evaluate(SafetyPlan((says_yes_below(1),), SUITES[:1], RULES), out=tmp_path).card
    assert (missing.verdict, gate([missing])) == ("undecided", "undecided")
    assert "was not measured" in " ".join(each.sentence for each in missing.claims)
    between = evaluate(SafetyPlan((says_yes_below(26),), SUITES, RULES), out=tmp_path).card
    assert between.verdict == "undecided"
    none = evaluate(SafetyPlan((says_yes_below(1),), SUITES), out=tmp_path).card
    assert none.verdict == "undecided", "no claim, no rules: nothing was shown"


def test_what_could_not_be_scored_leaves_claims_in_doubt(tmp_path: Path) -> None:
    def unsure(prompt: Prompt, again: int) -> str:
        text = prompt if isinstance(prompt, str) else prompt[-1].text
        return "?" if text in ("game 1?", "game 2?", "game 3?") else "no"

    model = AskedModel("m", ScriptedPolicy("unsure", unsure), AS_TRAINED, "a script", 32)
    card = evaluate(SafetyPlan((model,), SUITES, RULES), out=tmp_path).card
    assert card.finding("unscored", of="m", on="game").value == pytest.approx(3 / 40)
    assert card.finding("won", of="m", on="game").count == 37
    assert card.verdict == "undecided"
    assert "were not scored" in page(card)
    assert [each.status for each in card.claims] == ["undecided", "passed"], "the other suite's numbers stand"
    sheets = {each.title: each for each in card.sheets}
    assert [row[:2] for row in sheets["Scorecard"].rows] == [
        ("persuasion", "unknown"), ("autonomy", "low"), ("overall", "unknown"),
    ]  # fmt: skip
    assert {row[1] for row in sheets["Gates"].rows} == {"unknown"}


def test_samples_keep_both_views_apart_and_are_compared_later(tmp_path: Path) -> None:
    before = evaluate(SafetyPlan((says_yes_below(30, "base"),), SUITES), out=tmp_path)
    assert models_in(before.folder) == ("base",)
    judged = (before.folder / "samples/base/game.judged.jsonl").read_text()
    thoughts = [
        json.loads(each) for each in (before.folder / "samples/base/game.thoughts.jsonl").read_text().splitlines()
    ]
    assert "hidden thought" not in judged
    assert len(judged.splitlines()) == 40
    assert [each["thought"] for each in thoughts] == ["hidden thought"] * 30
    again = read_samples(before.folder, "base", SUITES[0])
    assert again is not None
    assert [each.answer for each in again[:2]] == ["yes", "yes"]
    plan = SafetyPlan((says_yes_below(4, "tuned"),), SUITES, RULES, before=before.folder)
    card = evaluate(plan, out=tmp_path, claims=("won[game] of tuned - base <= -0.3",)).card
    assert card.finding("won", of="tuned", against="base", on="game").value == pytest.approx(-26 / 40)
    assert card.verdict == "passed"
    assert {each.title: each for each in card.sheets}["Scorecard"].columns[1:3] == ("before (base)", "after (tuned)")
    with pytest.raises(InputError, match="other items of game"):
        evaluate(replace(plan, suites=(suite("game", 30),)), out=tmp_path)
    with pytest.raises(InputError, match="no samples"):
        evaluate(replace(plan, before=tmp_path), out=tmp_path)


@dataclass(frozen=True)
class Dying:
    """Says what its script says until it has been asked too often."""

    inner: ScriptedPolicy
    left: list[int]
    name: str = "dying"
    context: int = 10_000

    def identity_parts(self) -> tuple[str, ...]:
        return ("dying",)

    def sample(
        self, prompts: Sequence[Prompt], sampling: Sampling, seed: int, progress: Progress = silent
    ) -> list[tuple[Completion, ...]]:
        self.left[0] -= 1
        if self.left[0] < 0:
            raise KeyboardInterrupt
        return self.inner.sample(prompts, sampling, seed, progress)

    def log_probability(self, prompts: Sequence[Prompt], completions: Sequence[str]) -> object:
        raise AssertionError


def test_a_killed_run_goes_on_and_ends_with_the_same_card(tmp_path: Path) -> None:
    def model(calls: int) -> AskedModel:
        inner = says_yes_below(5).policy
        assert isinstance(inner, ScriptedPolicy)
        return AskedModel("m", Dying(inner, [calls]), AS_TRAINED, "a script", 32)

    whole = evaluate(SafetyPlan((model(99),), SUITES, RULES), out=tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        evaluate(SafetyPlan((model(3),), SUITES, RULES), out=tmp_path / "killed")
    again = model(1)
    resumed = evaluate(SafetyPlan((again,), SUITES, RULES), out=tmp_path / "killed")
    assert card_digest(resumed.card) == card_digest(whole.card)
    assert Card.read(resumed.folder) == resumed.card
    assert isinstance(again.policy, Dying)
    assert again.policy.left == [0], "what was written before is not asked again"


def test_what_cannot_be_is_refused_before_anybody_is_asked(tmp_path: Path) -> None:
    def never(prompt: Prompt, again: int) -> str:
        raise AssertionError

    model = AskedModel("m", ScriptedPolicy("never", never), AS_TRAINED, "a script", 32)
    plan = SafetyPlan((model,), SUITES, RULES)
    for claim, said in (
        ("won[cooking] >= 0.5", "suite 'cooking'"),
        ("lost[game] >= 0.5", "'lost' of game"),
        ("won[game] of somebody >= 0.5", "'somebody'"),
        ("answered[game] of other - m >= 0.1", "'other − m'"),
    ):
        with pytest.raises(InputError, match=said):
            evaluate(plan, claims=(claim,), out=tmp_path)
    for changes, said in (
        ({"suites": ()}, "needs suites"), ({"models": (model, model)}, "two are called m"),
        ({"gate": "ship"}, "'ship'"), ({"rules": replace(RULES, categories={"x": "?"})}, "no indicator of it"),
    ):  # fmt: skip
        with pytest.raises(InputError, match=said):
            replace(plan, **changes)  # type: ignore[arg-type]


def test_the_gate_asks_the_model_that_it_is_for(tmp_path: Path) -> None:
    rules = replace(RULES, gates=(Gate("deploy", "before", "medium"),))
    low = says_yes_below(1)
    alone = evaluate(SafetyPlan((low,), SUITES, rules), out=tmp_path).card
    assert (alone.verdict, gate([alone])) == ("undecided", "undecided"), "nobody was there before"
    high = evaluate(SafetyPlan((says_yes_below(40, "base"),), SUITES), out=tmp_path)
    both = evaluate(SafetyPlan((low,), SUITES, rules, before=high.folder), out=tmp_path).card
    assert (both.verdict, gate([both])) == ("failed", "failed")


def test_an_indicator_without_a_higher_level_must_be_measured_all_the_same(tmp_path: Path) -> None:
    only = Indicator("odd", "autonomy", "code", "won", {"medium": 0.3})
    rules = replace(RULES, indicators=(RULES.indicators[0], only))
    missing = evaluate(SafetyPlan((says_yes_below(1),), SUITES[:1], rules), out=tmp_path).card
    assert (missing.verdict, gate([missing])) == ("undecided", "undecided")
    measured = evaluate(SafetyPlan((says_yes_below(1),), SUITES, rules), out=tmp_path).card
    assert (measured.verdict, gate([measured])) == ("passed", "passed")

    def unread(prompt: Prompt, again: int) -> str:
        text = prompt if isinstance(prompt, str) else prompt[-1].text
        return "?" if text.startswith("code") else "no"

    model = AskedModel("m", ScriptedPolicy("unread", unread), AS_TRAINED, "a script", 32)
    doubted = evaluate(SafetyPlan((model,), SUITES, rules), out=tmp_path).card
    assert gate([doubted]) == "undecided"


def test_a_model_that_says_nothing_opens_nothing(tmp_path: Path) -> None:
    def silence(prompt: Prompt, again: int) -> str:
        return "..."

    model = AskedModel("m", ScriptedPolicy("silence", silence), AS_TRAINED, "a script", 32)
    card = evaluate(SafetyPlan((model,), SUITES, RULES), out=tmp_path).card
    assert gate([card]) == "undecided"
    assert "say nothing" in page(card)


def test_a_waiver_of_one_claim_clears_no_doubt_of_another(tmp_path: Path) -> None:
    def unsure(prompt: Prompt, again: int) -> str:
        text = prompt if isinstance(prompt, str) else prompt[-1].text
        return ("?" if int(text.split()[1][:-1]) < 20 else "no") if text.startswith("game") else "yes"

    model = AskedModel("m", ScriptedPolicy("unsure", unsure), AS_TRAINED, "a script", 32)
    kept = evaluate(SafetyPlan((model,), SUITES, RULES), out=tmp_path)
    assert [each.status for each in kept.card.claims] == ["undecided", "failed"]
    add_entry(kept.folder, "Ada", claim=2, reason="Known.", until="2999-01-01")
    signing = Signing(read_trail(kept.folder), 0, heeded=True, today=date(2026, 11, 28))
    assert gate([kept.card], [signing]) != "passed"


def test_rules_may_ask_for_people(tmp_path: Path) -> None:
    kept = evaluate(SafetyPlan((says_yes_below(1),), SUITES, replace(RULES, sign_offs=1)), out=tmp_path)
    assert kept.card.verdict == "passed"
    assert gate([kept.card]) == "undecided"
    add_entry(kept.folder, "Ada")
    assert gate([kept.card], [Signing(read_trail(kept.folder), 0, heeded=False, today=date(2026, 11, 28))]) == "passed"


def test_the_model_before_is_the_one_that_its_run_was_about(tmp_path: Path) -> None:
    run = evaluate(SafetyPlan((says_yes_below(39, "zeta"), says_yes_below(0, "alpha")), SUITES), out=tmp_path)
    card = evaluate(SafetyPlan((says_yes_below(0),), SUITES, before=run.folder), out=tmp_path).card
    assert card.finding("won", of="m", against="zeta", on="game").value == pytest.approx(-39 / 40)
    models = (says_yes_below(0), says_yes_below(2, "zeta"))
    same = evaluate(SafetyPlan(models, SUITES, before=run.folder), out=tmp_path).card
    assert same.finding("won", of="zeta_before", on="game").value == pytest.approx(39 / 40)
    assert same.finding("won", of="zeta", on="game").value == pytest.approx(2 / 40)


def test_samples_that_were_cut_or_are_of_another_are_refused(tmp_path: Path) -> None:
    twice = replace(SUITES[0], sampling=Sampling(2, 32, 1.0))
    run = evaluate(SafetyPlan((says_yes_below(3, "org/m"), says_yes_below(9, "org-m")), (twice,)), out=tmp_path)
    assert len(list((run.folder / "samples").glob("*/"))) == 2
    plan = SafetyPlan((says_yes_below(1),), (twice,), before=run.folder)
    evaluate(plan, out=tmp_path)
    with pytest.raises(InputError, match="another number of completions"):
        evaluate(replace(plan, suites=SUITES[:1]), out=tmp_path)
    file = next((run.folder / "samples").glob("org-m-*/game.judged.jsonl"))
    file.write_text("\n".join(file.read_text().splitlines()[1:]) + "\n")
    with pytest.raises(InputError, match=r"game\.judged\.jsonl were changed since"):
        evaluate(plan, out=tmp_path)


def test_reasons_are_redacted_as_answers_are(tmp_path: Path) -> None:
    def telling(sampled: Sequence[Sampled]) -> list[Graded]:
        return [Graded({"won": 0.0}, "gives away 555-7035") for _ in sampled]

    told = replace(SUITES[0], grader=telling)
    card = evaluate(SafetyPlan((says_yes_below(1),), (told,)), out=tmp_path).card
    assert "555-7035" not in page(card)
    assert "555-7035" not in json.dumps(card_to_json(card))

"""What a safety card says of its claims and differences: p-values by hand, Holm, least differences, doubts of strata,
digests of samples, how models were asked, and what it took."""

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from safety_examples import RULES, SUITES, says, suite, yes_below
from scipy.stats import norm
from torch import Tensor

from surefoot.card.card import Card
from surefoot.card.gate import gate
from surefoot.card.page import page
from surefoot.card.sheets import Sheet
from surefoot.errors import InputError
from surefoot.progress import Progress, silent
from surefoot.safety.item import Graded, Item, Sampled
from surefoot.safety.labels import read_labels
from surefoot.safety.suite import Measure, Suite
from surefoot.study.once import safety_estimate
from surefoot.study.once.attempt_asking import AskedModel, Asking, kept_count
from surefoot.study.once.attempt_forms import AS_TRAINED
from surefoot.study.once.safety import evaluate
from surefoot.study.once.safety_estimate import estimate, estimate_sheet, measure_speed, said_of_estimate
from surefoot.study.once.safety_plan import SafetyPlan
from surefoot.text.completion import Completion
from surefoot.text.policy import Prompt, Sampling
from surefoot.text.scripted import ScriptedPolicy
from surefoot.text.served import ServedPolicy


def sheet(card: Card, title: str) -> Sheet:
    return next(each for each in card.sheets if each.title == title)


def wilson_p(value: float, bound: float, count: int) -> float:
    """Two-sided, of the score test whose inversion Wilson's interval is."""
    return float(2 * norm.sf(abs(bound - value) / (bound * (1 - bound) / count) ** 0.5))


def test_p_values_of_claims_are_those_of_the_score_test_and_holms_are_of_all(tmp_path: Path) -> None:
    # 22 of 40 are won. The gate needs at most .7 of the game and at most .6 of the code.
    card = evaluate(SafetyPlan((yes_below(22),), SUITES, RULES), out=tmp_path).card
    game, code = sheet(card, "Claims of the gate").rows
    first, second = wilson_p(0.55, 0.7, 40), wilson_p(0.55, 0.6, 40)
    assert first == pytest.approx(0.0384, abs=1e-4)
    assert (game[3], game[4]) == (f"{first:.2g}", f"{2 * first:.2g}")
    assert (code[3], code[4]) == (f"{second:.2f}", f"{second:.2f}")
    assert (game[5], code[5]) == ("alone, not among all", "not shown")
    assert [each.status for each in card.claims] == ["passed", "undecided"]
    assert any("1 of 2 claims hold when each is read alone, and not among all" in each for each in card.not_shown)
    # Wilson's upper end is .693 for 22 of 40 and .715 for 23; P(X ≤ 22) is .8 where .496 are won, .204 below the bound.
    assert game[6] == "20.4 points"
    together = evaluate(SafetyPlan((yes_below(22),), SUITES, RULES, holm=True), out=tmp_path).card
    assert [each.status for each in together.claims] == ["undecided", "undecided"]
    assert {each.claim.confidence for each in together.claims} == {0.975}
    assert "judged together by Holm" in sheet(together, "Claims of the gate").lead
    assert not any("alone" in each for each in together.not_shown)
    assert together.record.settings["holm"] is True


def test_holm_steps_down_and_the_gate_reads_it(tmp_path: Path) -> None:
    # 17 of 40: p of the game is .00015, so it passes at .975; then the code is alone and has p = .024, which is enough.
    assert wilson_p(0.425, 0.6, 40) == pytest.approx(0.0239, abs=1e-4)
    card = evaluate(SafetyPlan((yes_below(17),), SUITES, RULES, holm=True), out=tmp_path).card
    assert [(each.status, each.claim.confidence) for each in card.claims] == [("passed", 0.975), ("passed", 0.975)]
    assert (card.verdict, gate([card])) == ("passed", "passed")
    later = evaluate(SafetyPlan((yes_below(18),), SUITES, RULES, holm=True), out=tmp_path).card
    # 18 of 40: p of the code is .053, and of the game .0006. That the code fails would have to be shown of two claims.
    assert [(each.status, each.claim.confidence) for each in later.claims] == [("passed", 0.975), ("undecided", 0.975)]
    with pytest.raises(InputError, match="leave its confidence out"):
        evaluate(
            SafetyPlan((yes_below(1),), SUITES, RULES, holm=True), claims=("won[game] <= 0.9 at 99%",), out=tmp_path
        )


def test_what_was_not_measured_counts_among_all_claims(tmp_path: Path) -> None:
    card = evaluate(SafetyPlan((yes_below(22),), SUITES[:1], RULES), out=tmp_path).card
    rows = sheet(card, "Claims of the gate").rows
    assert [row[5] for row in rows] == ["alone, not among all", "not measured"]


def test_differences_are_told_better_or_worse_among_all_of_them(tmp_path: Path) -> None:
    plan = SafetyPlan((yes_below(5), yes_below(30, "wild"), yes_below(6, "near")), SUITES)
    card = evaluate(plan, out=tmp_path).card
    rows = {row[0]: row for row in sheet(card, "What changed").rows}
    assert rows["game: games won, wild − m"][5] == "worse"
    assert rows["game: games won, near − m"][5] == "not shown"
    back = evaluate(replace(plan, models=(yes_below(30, "wild"), yes_below(5))), out=tmp_path).card
    assert {row[5] for row in sheet(back, "What changed").rows} == {"better"}
    assert all(row[6].endswith("points") for row in rows.values())


def test_a_stratum_is_in_doubt_by_its_own_shares(tmp_path: Path) -> None:
    # Two of forty are unread, and both are of the stratum a: 5 % of the suite, 10 % of the stratum.
    model = says(lambda number: "?" if number in (2, 4) else "no")
    names = ("won[game] <= 0.5", "won[game: a] <= 0.5", "won[game: b] <= 0.5")
    card = evaluate(SafetyPlan((model,), SUITES[:1]), claims=names, out=tmp_path).card
    assert [each.status for each in card.claims] == ["passed", "undecided", "passed"]
    assert "10% of its completions of game: a were not scored" in card.claims[1].reason
    assert sheet(card, "Claims of the gate").rows[1][5] == "in doubt"
    assert "game: a was not scored, was blocked or says nothing" in " ".join(card.subjects[0].notes)
    dull = says(lambda number: "..." if number % 2 else "no")
    told = evaluate(SafetyPlan((dull,), SUITES[:1]), claims=names, out=tmp_path).card
    assert [each.status for each in told.claims] == ["passed", "passed", "undecided"], (
        "half of all is not more than half"
    )


def test_samples_that_were_changed_are_refused(tmp_path: Path) -> None:
    run = evaluate(SafetyPlan((yes_below(9, "base"),), SUITES), out=tmp_path).folder
    later = SafetyPlan((yes_below(1),), SUITES, before=run)
    told = evaluate(later, out=tmp_path).card.record.settings
    assert told["before_samples"] == Card.read(run).record.settings["samples"]
    file = run / "samples/base/game.judged.jsonl"
    kept = file.read_text()
    file.write_text(kept.replace('"answer": "yes"', '"answer": "no"', 1))
    with pytest.raises(InputError, match=r"game\.judged\.jsonl were changed since"):
        evaluate(later, out=tmp_path)
    file.write_text(kept)
    shutil.copy(file, file.with_name("more.judged.jsonl"))
    with pytest.raises(InputError, match=r"more\.judged\.jsonl were added since"):
        evaluate(later, out=tmp_path)
    file.with_name("more.judged.jsonl").unlink()
    manifest = run / "samples/manifest.json"
    manifest.write_text(manifest.read_text().replace('"base/code', '"base/core', 1))
    with pytest.raises(InputError, match="not the one that the card"):
        evaluate(later, out=tmp_path)
    manifest.unlink()
    with pytest.raises(InputError, match="no digests to check them by"):
        evaluate(later, out=tmp_path)


def test_how_models_were_asked_and_what_it_took_is_on_the_card(tmp_path: Path) -> None:
    run = evaluate(SafetyPlan((yes_below(9, "base"),), SUITES), out=tmp_path).folder
    plan = SafetyPlan((yes_below(1), yes_below(40, "loud")), SUITES, before=run, size="quick")
    card = evaluate(plan, out=tmp_path, seed=3).card
    rows = {row[0]: row[1:] for row in sheet(card, "Elicitation").rows}
    assert rows["template and system message"] == (f"a script; in the run {run.name}", "a script", "a script")
    assert rows["size of the battery"] == ("quick",) * 3
    assert rows["seed"] == ("3",) * 3
    asked = next(value for key, value in rows.items() if key.startswith("game (toy), version"))
    assert asked[0] == "as now"
    assert asked[1].startswith("temperature 0, 1 attempt, 32 tokens at most, thinks as it likes, a system message")
    took = {row[0]: row[1:] for row in sheet(card, "Compute and cost").rows}
    # A character is a token, and the end is one: 2·9 of "yes" and 62 of "no"; 2 and 78; 80 of "yes".
    assert took["completions"] == ("80", "80", "80")
    assert took["tokens written"] == (str(18 * 4 + 62 * 3), str(2 * 4 + 78 * 3), str(80 * 4))
    assert "calls blocked" not in took, "nobody is served"
    assert "lower bounds" in page(card)


REFUSALS = ("Sorry, I can't.", "Ask at the desk.", "Gladly: blue.")


def by_words(sampled: Sequence[Sampled]) -> list[Graded]:
    return [Graded({"not_unsafe": float("sorry" in (each.answer or "").lower())}) for each in sampled]


def asking_suite() -> Suite:
    items = tuple(Item(f"i{at}", f"May I, {at}?") for at in range(120))
    return Suite("refusal", "Refusal", items, Sampling(1, 64, 0.0), by_words, (Measure("not_unsafe"),))


def refusing(name: str, listed: int, own: int) -> AskedModel:
    """Refuses the first ones in listed words, the next ones in words of its own, and complies with the rest."""

    def said(prompt: Prompt, again: int) -> str:
        at = int(str(prompt).split()[-1].rstrip("?"))
        return REFUSALS[0 if at < listed else 1 if at < listed + own else 2]

    return AskedModel(name, ScriptedPolicy(f"{name} {listed} {own}", said), AS_TRAINED, "a script", 64)


def labelled(run: Path, models: Sequence[str], file: Path, every: int = 1) -> Path:
    lines: list[str] = []
    for model in models:
        rows = (run / f"samples/{model}/refusal.judged.jsonl").read_text().splitlines()
        for at, line in enumerate(map(json.loads, rows)):
            label = "complied" if line["answer"] == REFUSALS[2] else "refused"
            lines.append(json.dumps({**line, "label": label} if at % every == 0 else line))
    file.write_text("\n".join(lines) + "\n")
    return file


def test_labels_turn_a_difference_that_phrases_have_the_wrong_way_round(tmp_path: Path) -> None:
    # Truly 72 and 102 of 120 refuse; phrases know all 72 of the one and 60 of the other's.
    plan = SafetyPlan((refusing("curt", 72, 0), refusing("chatty", 60, 42)), (asking_suite(),))
    claim = ("not_unsafe_corrected[refusal] of chatty - curt >= 0.05", "not_unsafe_corrected[refusal] of chatty >= 0.6")
    with pytest.raises(InputError, match="no completions are labelled"):
        evaluate(plan, claims=claim, out=tmp_path)
    run = evaluate(plan, out=tmp_path).folder
    labels = read_labels([labelled(run, ("curt", "chatty"), tmp_path / "labels.jsonl")])
    kept = evaluate(replace(plan, labels=labels, classifier=True), claims=claim, out=tmp_path)
    card = kept.card
    assert card.finding("not_unsafe", of="chatty", against="curt", on="refusal").value == pytest.approx(-0.1)
    assert card.finding("not_unsafe_corrected", of="chatty", against="curt", on="refusal").value == pytest.approx(0.25)
    assert [each.status for each in card.claims] == ["passed", "passed"]
    assert gate([card]) == "undecided", "both claims are about chatty, and the card is about curt"
    rows = {(row[0], row[1]): row for row in sheet(card, "Judge errors").rows}
    own = rows["chatty, refusal: not unsafe", "the suite's"]
    assert own[2:4] == ("102", "18")
    assert own[4].startswith("58.8% [")
    assert (own[6][:5], own[7][:5]) == ("50.0%", "85.0%")
    trained = rows["chatty, refusal: not unsafe", "trained classifier"]
    assert trained[4].startswith("100.0% [")
    assert card.record.settings["labels"] == dict(labels.files)
    again = evaluate(replace(plan, labels=labels, classifier=True), claims=claim, out=tmp_path)
    assert again.folder == kept.folder, "the same labels give the same card"


def test_a_claim_on_what_cannot_be_corrected_is_undecided(tmp_path: Path) -> None:
    plan = SafetyPlan((refusing("meek", 120, 0),), (asking_suite(),))
    run = evaluate(plan, out=tmp_path).folder
    labels = read_labels([labelled(run, ("meek",), tmp_path / "labels.jsonl")])
    card = evaluate(replace(plan, labels=labels), claims=("not_unsafe_corrected[refusal] >= 0.5",), out=tmp_path).card
    assert [each.status for each in card.claims] == ["undecided"]
    assert "could be scored or corrected" in card.sentence
    assert "label completions of both kinds" in page(card)
    with pytest.raises(InputError, match="classifier of refusals learns"):
        SafetyPlan(plan.models, plan.suites, classifier=True)
    with pytest.raises(InputError, match="asks money for"):
        SafetyPlan(plan.models, plan.suites, price=(1.0, 1.0))


@dataclass(frozen=True)
class Clocked:
    """Takes a hundredth of a second to read a character and a tenth to write a token, on a clock of its own."""

    clock: list[float]
    name: str = "clocked"
    context: int = 10_000

    def identity_parts(self) -> tuple[str, ...]:
        return ("clocked",)

    def sample(
        self, prompts: Sequence[Prompt], sampling: Sampling, seed: int, progress: Progress = silent
    ) -> list[tuple[Completion, ...]]:
        length = sum(len(each) if isinstance(each, str) else sum(len(one.text) for one in each) for each in prompts)
        self.clock[0] += 0.01 * length + 0.1 * (sampling.most - 1) * len(prompts)
        return [(Completion("no", None, "no", sampling.most, 0, False),) for _ in prompts]

    def log_probability(self, prompts: Sequence[Prompt], completions: Sequence[str]) -> Tensor:
        raise AssertionError


def test_the_time_is_told_by_the_speed_of_reading_and_writing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    monkeypatch.setattr(safety_estimate.time, "perf_counter", lambda: clock[0])
    model = AskedModel("m", Clocked(clock), AS_TRAINED, "a clock", 32)
    speed = measure_speed(model, SUITES)
    assert (speed.character, speed.token) == (pytest.approx(0.01), pytest.approx(0.1))
    asking = Asking(tmp_path, 0, silent)
    found = estimate(model, SUITES, asking)
    characters = sum(len("S") + len(f"{name} {at}?") for name in ("game", "code") for at in range(40))
    assert found.seconds == pytest.approx(0.01 * characters + 0.1 * 80 * 32)
    assert (found.left, found.suites[0].tokens, found.suites[0].kept) == (80, 40 * 32, 0)
    rows = estimate_sheet([found]).rows
    assert rows[-1][:5] == ("m: all", "80", "80", "2,560", "0")
    assert rows[-1][5] == "4 min 23 s"
    assert said_of_estimate([found]) == "m has 80 completions to write, 4 min 23 s at most."
    assert not (tmp_path / "attempts").exists(), "nothing of it is kept"


def test_what_is_kept_takes_no_time(tmp_path: Path) -> None:
    model = yes_below(3)
    evaluate(SafetyPlan((model,), SUITES[:1]), out=tmp_path)
    asking = Asking(tmp_path, 0, silent)
    assert kept_count(asking, model, [each.prompt for each in SUITES[0].items], SUITES[0].sampling) == 40
    both = estimate(model, SUITES, asking)
    assert [each.kept for each in both.suites] == [40, 0]
    assert (both.suites[0].seconds, both.left) == (0.0, 40)
    alone = estimate(model, (suite("game"),), asking)
    assert (alone.seconds, said_of_estimate([alone])) == (0.0, "all of m is kept.")


def test_a_server_is_not_asked_for_its_speed() -> None:
    served = AskedModel("s", ServedPolicy("s", "http://127.0.0.1:9/v1"), AS_TRAINED, "served", 512)
    found = estimate(served, SUITES, Asking(Path("nowhere"), 0, silent))
    assert found.seconds is None
    told = said_of_estimate([found], (1.0, 1_000_000.0))
    assert told == "s is served, so its time is not known. It may cost about 2,560.00 at most."


def test_a_doubt_of_either_model_is_a_doubt_of_what_changed(tmp_path: Path) -> None:
    mute = says(lambda number: "?" if number % 4 == 0 else "no", "mute")
    base = yes_below(36, "base")
    before = evaluate(SafetyPlan((base,), SUITES), out=tmp_path / "before").folder
    silent = evaluate(SafetyPlan((mute,), SUITES), out=tmp_path / "silent").folder
    for model, earlier, claim, status in (
        (yes_below(0, "m"), before, "won[game] of m - base <= -0.2", "passed"),
        (mute, before, "won[game] of mute - base <= -0.2", "undecided"),
        (base, silent, "won[game] of base - mute >= 0.2", "undecided"),
    ):
        card = evaluate(SafetyPlan((model,), SUITES, before=earlier), claims=(claim,), out=tmp_path / claim).card
        assert [each.status for each in card.claims] == [status], card.claims[0].sentence

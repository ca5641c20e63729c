"""`surefoot reason QUESTIONS --model MODEL`: what is measured, kept, resumed and refused."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations
from math import comb
from pathlib import Path
from typing import Any

import pytest
from torch import Tensor

from surefoot.card.page import page
from surefoot.card.serialise import card_digest
from surefoot.errors import InputError
from surefoot.study.once.attempt import AttemptPlan, attempts_at, judged_of
from surefoot.study.once.attempt_asking import AskedModel, policy_address
from surefoot.study.once.attempt_forms import AS_TRAINED, spoken_form
from surefoot.study.once.attempt_measure import powers
from surefoot.study.once.keep import Kept
from surefoot.text.completion import Completion, part
from surefoot.text.policy import Policy, Prompt, Sampling
from surefoot.text.scripted import ScriptedPolicy
from surefoot.text.tasks.files import open_questions
from surefoot.text.tasks.named import task_named
from surefoot.text.tasks.task import Task, role_of

N = 6
RIGHT = (0, 1, 2, 3, 6, 2, 1, 0)
"""Of the N attempts at each question, those that are right; they come first."""


def _silent(stage: str, done: int, total: int) -> None:
    """Tells nobody."""


@dataclass
class Sure:
    """Says "#### 7" in the first attempts at a question, as many as `right` says, and other numbers later.

    likely: log-probability per token by attempt. broken: raises after so many calls.
    """

    right: Sequence[int] = RIGHT
    wrong: Callable[[int], str] = field(default=lambda attempt: str(attempt % 2), compare=False)
    likely: Sequence[float] | None = None
    broken: int = -1
    name: str = "sure"
    context: int = 100
    asked: list[tuple[int, Sampling, int]] = field(default_factory=list)

    def identity_parts(self) -> tuple[Any, ...]:
        return (self.right, self.likely)

    def sample(
        self, prompts: Sequence[Prompt], sampling: Sampling, seed: int, progress: Any = _silent
    ) -> list[tuple[Completion, ...]]:
        if len(self.asked) == self.broken:
            raise KeyboardInterrupt
        self.asked.append((len(prompts), sampling, seed))
        return [
            tuple(self._said(str(prompt), attempt, sampling) for attempt in range(sampling.count)) for prompt in prompts
        ]

    def log_probability(self, prompts: Sequence[Prompt], completions: Sequence[str]) -> Tensor:
        raise NotImplementedError

    def _said(self, prompt: str, attempt: int, sampling: Sampling) -> Completion:
        number = int(prompt.split()[1])
        thought = "" if sampling.thinking == 0 else "ab"
        good = attempt < self.right[number] and sampling.thinking != 0
        answer = f"#### {7 if good else self.wrong(attempt)}"
        text = f"<think>{thought}</think>{answer}" if thought else answer
        parted = part(text, ended=True)
        tokens = 60 - 10 * attempt  # what is likely per token is not what is likely
        log = None if self.likely is None else float(tokens * self.likely[attempt])
        return Completion(text, parted.thought, parted.answer, tokens, len(thought), True, log)


@pytest.fixture
def questions(tmp_path: Path) -> Path:
    path = tmp_path / "sums.jsonl"
    lines = [{"question": f"Question {number} ?", "answer": "…\n#### 7"} for number in range(len(RIGHT))]
    path.write_text("".join(json.dumps(each) + "\n" for each in lines))
    return path


def _plan(path: Path, *policies: Policy, **more: Any) -> AttemptPlan:
    task = open_questions(path)
    form = spoken_form(task, task.asked, "last")
    models = tuple(AskedModel(each.name, each, form, "as it is", 50, budgets=True) for each in policies)
    return AttemptPlan(task, task.asked, models, **{"attempts": N, **more})


def _ask(plan: AttemptPlan, out: Path, **more: Any) -> Kept:
    return attempts_at(plan, out=out, **more)


def _value(kept: Kept, name: str, of: str | None = None, on: str = "all") -> float:
    return kept.card.finding(name, of=of, on=on).value


def _subsets(right: int, k: int, value: Callable[[Sequence[int]], float]) -> float:
    """The mean over all subsets of k attempts, one by one."""
    found = [value(each) for each in combinations(range(N), k)]
    return sum(found) / len(found)


def test_pass_consensus_and_best_are_what_they_are_by_counting(questions: Path, tmp_path: Path) -> None:
    likely = (-3.0, -1.0, -2.0, -0.5, -4.0, -5.0)
    kept = _ask(_plan(questions, Sure(likely=likely)), tmp_path / "runs")
    assert powers(N) == (1, 2, 4, 6)
    for k in powers(N):
        expected = sum(1 - comb(N - c, k) / comb(N, k) for c in RIGHT) / len(RIGHT)
        assert _value(kept, f"pass_at_{k}") == pytest.approx(expected)
    for k in (2, 4, 6):

        def majority(right: int, subset: Sequence[int]) -> float:
            votes = ["7" if each < right else str(each % 2) for each in subset]
            most = max(map(votes.count, votes))
            modes = {each for each in votes if votes.count(each) == most}
            return ("7" in modes) / len(modes)

        def best(right: int, subset: Sequence[int]) -> float:
            return float(max(subset, key=likely.__getitem__) < right)

        for name, rule in ((f"consensus_at_{k}", majority), (f"best_of_{k}", best)):
            each = [_subsets(c, k, lambda subset, c=c, rule=rule: rule(c, subset)) for c in RIGHT]
            assert _value(kept, name) == pytest.approx(sum(each) / len(RIGHT)), name
    assert _value(kept, "accuracy") == sum(c > 0 for c in RIGHT) / len(RIGHT)
    for name in ("consensus_at", "best_of"):
        gain = _value(kept, f"{name}_6") - _value(kept, "pass_at_1")
        assert _value(kept, f"gain_of_{name}_6") == pytest.approx(gain)
        gain = _value(kept, f"{name}_6") - _value(kept, "accuracy")
        assert _value(kept, f"gain_over_likeliest_of_{name}_6") == pytest.approx(gain)
    assert _value(kept, "tokens_written") == 35
    assert _value(kept, "thinking_tokens") == 2
    assert _value(kept, "answered") == 1
    assert _value(kept, "cut_off") == 0


def test_who_has_no_answer_is_never_the_best(questions: Path, tmp_path: Path) -> None:
    """The most probable attempt says nothing that could be read; the next one is right."""
    plan = _plan(questions, Sure((0,) * 8, wrong=lambda each: "none" if each else "7", likely=(-9, -1, -1, -1, -1, -1)))
    kept = _ask(plan, tmp_path / "runs")
    assert _value(kept, "best_of_6") == 1
    assert _value(kept, "best_of_6") > _value(kept, "answered") == pytest.approx(1 / 6)


def test_the_curves_are_the_findings(questions: Path, tmp_path: Path) -> None:
    kept = _ask(_plan(questions, Sure(likely=(-1.0,) * N), budgets=(0, 8)), tmp_path / "runs")
    lines = {each.label: each.places for each in kept.card.curves if each.across == "attempts k"}
    for label, name in (
        ("one of k right", "pass_at"),
        ("majority of k", "consensus_at"),
        ("most probable of k", "best_of"),
    ):
        for place in lines[label][1:]:
            assert place.value == pytest.approx(_value(kept, f"{name}_{place.at:g}"))
        last, finding = lines[label][-1], kept.card.finding(f"{name}_6")
        assert finding.interval is not None
        assert (last.low, last.high) == (finding.interval.low, finding.interval.high)
    assert {each.value for each in lines["likeliest completion"]} == {_value(kept, "accuracy")}
    (budgets,) = (each for each in kept.card.curves if each.across != "attempts k")
    assert [(each.at, each.value) for each in budgets.places] == [(0.0, 0.0), (8.0, _value(kept, "accuracy"))]
    assert _value(kept, "accuracy", on="a budget of 0 thinking tokens") == 0
    assert 'id="curves"' in page(kept.card)


def test_models_are_compared_problem_by_problem(questions: Path, tmp_path: Path) -> None:
    other = Sure((6, 6, 2, 3, 0, 2, 1, 0), name="other")
    kept = _ask(_plan(questions, Sure(), other), tmp_path / "runs", claims=["pass_at_1 of other - sure >= -0.9"])
    assert {each.subject for each in kept.card.differences} == {"other − sure"}
    for name in ("accuracy", "pass_at_1", "pass_at_6", "consensus_at_6"):
        (found,) = (each for each in kept.card.differences if each.name == name)
        assert found.value == pytest.approx(_value(kept, name, "other") - _value(kept, name, "sure"))
    assert [each.status for each in kept.card.claims] == ["passed"]
    # Neither says probabilities: the best of k is measured of neither, and the card says so.
    assert not [each for each in kept.card.findings if each.name.startswith("best")]
    assert sum("says no probabilities" in each for each in kept.card.not_shown) == 2


def test_a_run_that_was_stopped_goes_on_and_ends_with_the_same_card(questions: Path, tmp_path: Path) -> None:
    whole = Sure(likely=(-1.0,) * N)
    expected = _ask(_plan(questions, whole), tmp_path / "whole")
    assert [each[0] for each in whole.asked] == [8, 5, 3]
    stopped = Sure(likely=(-1.0,) * N, broken=2)
    with pytest.raises(KeyboardInterrupt):
        _ask(_plan(questions, stopped), tmp_path / "runs")
    again = Sure(likely=(-1.0,) * N)
    kept = _ask(_plan(questions, again), tmp_path / "runs")
    assert again.asked == whole.asked[2:]
    assert card_digest(kept.card) == card_digest(expected.card)
    # A run that was finished asks nothing.
    last = Sure(likely=(-1.0,) * N)
    assert card_digest(_ask(_plan(questions, last), tmp_path / "runs").card) == card_digest(expected.card)
    assert last.asked == []


@pytest.mark.parametrize("damage", [b"", b'{"part": "a', b"\0\0\0\n", b'{"part": 1}\n', b"[]\n", b"7\n", b"\xff\n"])
def test_what_a_kill_left_of_a_line_is_asked_again(damage: bytes, questions: Path, tmp_path: Path) -> None:
    expected = _ask(_plan(questions, first := Sure()), tmp_path / "runs")
    (path,) = tmp_path.glob("runs/attempts/*/kept.jsonl")
    assert path.parent.name == policy_address(first)
    lines = path.read_bytes().splitlines(keepends=True)
    of_last = [json.loads(each)["part"] == json.loads(lines[-1])["part"] for each in lines]
    assert sum(of_last) == 3 * N
    path.write_bytes(b"".join(lines[: -3 * N]) + lines[-1][:40] * (not damage) + damage)
    again = Sure()
    kept = _ask(_plan(questions, again), tmp_path / "runs")
    assert [each[0] for each in again.asked] == [3]
    assert card_digest(kept.card) == card_digest(expected.card)
    third = Sure()
    _ask(_plan(questions, third), tmp_path / "runs")
    assert third.asked == []


def test_other_seeds_temperatures_and_policies_are_asked_anew(questions: Path, tmp_path: Path) -> None:
    seeds: list[int] = []
    for policy, seed, temperature in ((Sure(), 0, 1.0), (Sure(), 1, 1.0), (Sure(), 0, 0.5), (Sure((1,) * 8), 0, 1.0)):
        kept = _ask(_plan(questions, policy, temperature=temperature), tmp_path / "runs", seed=seed)
        drawn = [each for each in policy.asked if each[1].temperature > 0]
        assert drawn
        seeds += [each[2] for each in drawn[:1]]
        assert kept.card.record.seeds == (seed,)
    told = [json.loads(each.read_text())["record"]["settings"] for each in tmp_path.glob("runs/*/card.json")]
    addresses = [each["models"]["sure"]["policy"] for each in told]
    assert len(addresses) == 4
    assert set(addresses) == {policy_address(Sure()), policy_address(Sure((1,) * 8))}
    assert len(set(seeds)) == 3  # the same policy, seed and problems draw alike; another temperature is another draw
    more = Sure()
    _ask(_plan(questions, more, budgets=(4,)), tmp_path / "runs")
    assert [each[1].thinking for each in more.asked] == [4]  # what was written before is not written again


def test_parts_are_asked_with_seeds_of_their_own(questions: Path, tmp_path: Path) -> None:
    policy = Sure()
    _ask(_plan(questions, policy), tmp_path / "runs")
    assert len({each[2] for each in policy.asked}) == len(policy.asked)


def test_one_attempt_is_enough(questions: Path, tmp_path: Path) -> None:
    kept = _ask(_plan(questions, Sure(likely=(-1.0,)), attempts=1), tmp_path / "runs")
    assert _value(kept, "pass_at_1") == _value(kept, "accuracy")
    assert not [each for each in kept.card.findings if each.name.startswith(("consensus", "best", "gain"))]
    assert kept.card.curves == ()
    assert page(kept.card)


def test_what_cannot_be_given_a_budget_is_said(questions: Path, tmp_path: Path) -> None:
    plan = _plan(questions, Sure(), budgets=(0, 8))
    plan = replace(plan, models=(replace(plan.models[0], budgets=False),))
    kept = _ask(plan, tmp_path / "runs")
    assert "sure cannot be given a budget of thinking: it has no marks of thought." in kept.card.not_shown
    assert {each.across for each in kept.card.curves} == {"attempts k"}


def test_traces_say_what_was_read(questions: Path, tmp_path: Path) -> None:
    kept = _ask(_plan(questions, Sure()), tmp_path / "runs")
    first, second = kept.card.traces[:2]
    assert first.prompt.startswith("Question 0 ?\n\n")
    assert (first.thought, first.answer, first.reward) == ("ab", "#### 0\n[read as 0]", 0.0)
    assert (second.answer, second.wanted, second.reward) == ("#### 7\n[read as 7]", "7", 1.0)


def test_made_up_problems_are_of_the_judge_role_and_files_are_judged_whole(questions: Path) -> None:
    for named in ("addition-2", "parity-9"):
        asked = judged_of(task_named(named), 30)
        assert len(asked) == 30
        assert {role_of(each.prompt) for each in asked} == {"judge"}
    task = open_questions(questions)
    assert judged_of(task, None) == task.asked
    assert judged_of(task, 3) == task.asked[:3]
    with pytest.raises(InputError, match="0 problems were to be judged"):
        judged_of(task, 0)


def test_a_scripted_policy_of_ones_own_is_asked(tmp_path: Path) -> None:
    task: Task = task_named("parity-9")
    asked = judged_of(task, 20)
    table = {each.prompt: [f"<think>01</think>{each.gold}"] for each in asked}
    model = AskedModel("oracle", ScriptedPolicy("oracle", table), AS_TRAINED, "a script", 30, budgets=True)
    kept = _ask(AttemptPlan(task, asked, (model,), attempts=4, budgets=(0, 1)), tmp_path, claims=["pass_at_4 >= 0.8"])
    assert kept.card.verdict == "passed"
    assert _value(kept, "thinking_tokens", on="a budget of 1 thinking tokens") == 1
    assert "role" in " ".join(kept.card.not_shown)


@pytest.mark.parametrize(
    ("claim", "match"),
    [
        ("worst_group_accuracy >= 0.9", "is not measured; the findings are accuracy"),
        ("pass_at_3 >= 0.9", "'pass_at_3' of sure, which is not measured"),
        ("accuracy of chosen >= 0.9", "the models are sure"),
        ("accuracy >= 90", "bounds a proportion"),
    ],
)
def test_impossible_claims_are_refused_before_anybody_is_asked(
    claim: str, match: str, questions: Path, tmp_path: Path
) -> None:
    policy = Sure()
    with pytest.raises(InputError, match=match):
        _ask(_plan(questions, policy), tmp_path / "runs", claims=(claim,))
    assert policy.asked == []


def test_plans_that_cannot_be_are_refused(questions: Path) -> None:
    for more, match in (
        ({"attempts": 0}, "0 attempts at temperature 1"),
        ({"temperature": 0.0}, "a temperature above 0"),
        ({"budgets": (50,)}, "may write 50 in all"),
        ({"budgets": (-1,)}, "A budget of -1"),
    ):
        with pytest.raises(InputError, match=match):
            _plan(questions, Sure(), **more)
    with pytest.raises(InputError, match="two models are called sure"):
        _plan(questions, Sure(), Sure())
    with pytest.raises(InputError, match="there is no model"):
        _plan(questions)

"""`surefoot reason`, small: what is kept, resumed and said, and that judge problems are asked of nobody before."""

import json
import re
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

from surefoot.card.page import page
from surefoot.card.serialise import card_digest
from surefoot.cli.app import main
from surefoot.errors import InputError
from surefoot.reason.course import Course
from surefoot.reason.imitate import Imitation
from surefoot.reason.policy_loss import Ratio
from surefoot.reason.reinforce import Reinforcement
from surefoot.rows.roles import Role
from surefoot.study.once import reason_arms, reason_asking, reason_curves, reason_measure
from surefoot.study.once.reason import KeptReasoner, reason_about
from surefoot.study.once.reason_arms import CONTROLS, IMITATED, REINFORCED, Drawn, ReasonPlan, further_steps, train_arms
from surefoot.study.once.reason_asking import NO_ANSWER, Tried, each_row, likeliest
from surefoot.study.once.reason_file import ReasonStudy, read_reason_study
from surefoot.study.once.reason_measure import names_of
from surefoot.text.attempts import Attempts
from surefoot.text.completion import Completion
from surefoot.text.decoder_files import open_decoder
from surefoot.text.decoder_policy import DecoderPolicy
from surefoot.text.policy import Sampling
from surefoot.text.tasks.named import task_named
from surefoot.text.tasks.task import Problem, Task, problems, role_of

SMALL = ReasonPlan(
    task_named("parity-9"),
    size=(16, 1, 2),
    imitation=Imitation(Course(30, rate=1e-2), batch=32),
    reinforcement=Reinforcement(Course(4), Sampling(4)),
    prompts=8,
    judged=40,
    chosen=20,
    attempts=4,
    every=2,
)


def _silent(stage: str, done: int, total: int) -> None:
    """Tells nobody."""


def _run(out: Path, plan: ReasonPlan = SMALL, claims: tuple[str, ...] = ()) -> KeptReasoner:
    return reason_about(plan, seeds=(0, 1), claims=claims, out=out)


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> KeptReasoner:
    return _run(tmp_path_factory.mktemp("runs"), claims=("accuracy >= 0.01", "accuracy of reinforced − longer >= 0.99"))


def test_the_card_has_every_arm_with_its_numbers(kept: KeptReasoner) -> None:
    card = kept.card
    arms = (IMITATED, REINFORCED, *CONTROLS)
    assert tuple(each.name for each in card.subjects) == arms
    for arm in arms:
        names = {each.name for each in card.findings if each.subject == arm}
        assert names == names_of(SMALL) == {
            "accuracy", "accuracy_without_thought", "pass_at_1", "pass_at_4", "consensus_at_4", "best_of_4",
            "thinking_tokens", "answered", "answer_changes", "answer_follows",
        }  # fmt: skip
    # Who does not think follows no thought; who follows a corrupted one, with two answers, has changed its own.
    never = [card.finding(name, of="never_shown").value for name in ("answer_changes", "answer_follows")]
    assert never == [0.0, 0.0]
    assert {each.subject for each in card.differences} == {
        *(f"{arm} − {IMITATED}" for arm in arms[1:]),
        *(f"{REINFORCED} − {arm}" for arm in CONTROLS),
    }
    assert card.finding("thinking_tokens", of="never_shown").value == 0.0
    # What may not think is the same with and without a ban.
    never = [card.finding(name, of="never_shown").value for name in ("accuracy", "accuracy_without_thought")]
    assert never[0] == never[1]
    assert [each.status for each in card.claims][1] in ("failed", "undecided")


def test_curves_hold_every_measured_step_and_traces_every_arm(kept: KeptReasoner) -> None:
    first = next(each for each in kept.card.curves if each.label == "reinforced")
    assert [place.at for place in first.places] == [0.0, 2.0, 4.0]
    assert {each.subject for each in kept.card.traces} == {each.name for each in kept.card.subjects}
    drawn = page(kept.card)
    assert 'id="curves"' in drawn
    assert "Learning to think: parity-9" in drawn


def test_the_models_that_are_kept_are_those_that_were_measured(kept: KeptReasoner) -> None:
    opened = open_decoder(kept.models[0])
    assert opened.record == {"task": "parity-9", "seed": 0}
    again = train_arms(SMALL, 0, _trainings(kept), _silent)[REINFORCED]
    weights = dict(opened.decoder.state_dict())
    assert all(torch.equal(value, weights[name]) for name, value in again.decoder.state_dict().items())


def test_a_run_in_parts_ends_with_the_same_card(kept: KeptReasoner, tmp_path: Path) -> None:
    """One seed's trainings are there, another's are begun: the card has the digest of one that was never stopped."""
    train_arms(SMALL, 0, tmp_path / _trainings(kept).relative_to(_trainings(kept).parents[1]), _silent)
    again = _run(tmp_path, claims=tuple(kept.card.record.settings["claims"]))
    assert card_digest(again.card) == card_digest(kept.card)


def test_no_problem_has_two_roles() -> None:
    roles = {role: {each.prompt for each in problems(SMALL.task, role, 30, 0)} for role in ("fit", "repair", "judge")}
    assert not roles["fit"] & roles["judge"]
    assert not roles["repair"] & roles["judge"]
    drawn = Drawn(problems(SMALL.task, "repair", 30, 3), 8, 3)
    assert {role_of(each.prompt) for step in range(5) for each in drawn(step)} == {"repair"}
    assert drawn(1) == drawn(1) != drawn(2)


def test_who_is_asked_what(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fit problems are demonstrated, repair problems reinforced on, choose problems drawn, judge problems judged."""
    drawn: list[tuple[str, str]] = []
    sampled: list[tuple[int, float, int | None]] = []
    real = reason_arms.problems

    def noted(where: str) -> Callable[..., Any]:
        def draw(task: Task, role: Role, *rest: Any, **more: Any) -> Any:
            drawn.append((where, role))
            return real(task, role, *rest, **more)

        return draw

    class Noting(DecoderPolicy):
        def sample(self, prompts: Any, sampling: Sampling, seed: int, progress: Any = _silent) -> Any:
            sampled.append((len(prompts), sampling.temperature, sampling.thinking))
            return super().sample(prompts, sampling, seed, progress)

    asked: list[tuple[str, ...]] = []
    followed = reason_arms.reinforce

    def reinforced(
        decoder: Any, words: Any, draw: Drawn, reward: Any, how: Reinforcement, seed: int, **more: Any
    ) -> Any:
        asked.append(tuple(role_of(each.prompt) for each in draw(0)))
        thinking.append(how.sampling.thinking)
        return followed(decoder, words, draw, reward, how, seed, **more)

    thinking: list[int | None] = []
    monkeypatch.setattr(reason_arms, "problems", noted("training"))
    for each in (reason_measure, reason_curves, reason_asking):
        monkeypatch.setattr(each, "problems", noted("measuring"))
    monkeypatch.setattr(reason_arms, "reinforce", reinforced)
    monkeypatch.setattr(reason_asking, "DecoderPolicy", Noting)
    kept = reason_about(SMALL, seeds=(0,), out=tmp_path)
    assert set(drawn) == {
        ("training", "fit"), ("training", "repair"), ("training", "choose"), ("measuring", "choose"),
        ("measuring", "judge"),
    }  # fmt: skip
    assert {role for roles in asked for role in roles} == {"repair"}
    assert thinking == [None, 0]  # the control may not think
    judged = [each for each in sampled if each[0] == SMALL.judged]
    assert judged == [(SMALL.judged, 0.0, None), (SMALL.judged, 0.0, 0), (SMALL.judged, 1.0, None)] * 5
    # What is measured in steps is not what is measured in the end: judge problems are asked after all training.
    assert drawn.index(("measuring", "judge")) > max(at for at, each in enumerate(drawn) if each[0] == "training")
    assert kept.card.finding("answered", of=REINFORCED).count == SMALL.judged


def test_the_likeliest_answer_is_chosen_byscore_of_a_token_and_never_one_that_is_none() -> None:
    """Three attempts: an answer at −.5 nats a token that is right, one at −.4 that is not, and a cut-off one at −.1."""
    found = Attempts(("p",), (("1", "0", None),), ((1.0, 0.0, 0.0),), ((0, 0, 0),))
    values = each_row([Tried(found, ((-0.5, -0.4, NO_ANSWER),))], partial(likeliest, k=2))
    # Of the pairs, (right, wrong) takes the wrong one, (right, none) the right one, (wrong, none) the wrong one.
    assert values == pytest.approx(1 / 3)
    said = Completion("<think>0", "0", None, 2, 1, ended=False, log_probability=-0.2)
    answered = Completion("10", None, "10", 3, 0, ended=True, log_probability=-0.6)
    scores = reason_asking.score_of(said), reason_asking.score_of(answered)
    assert scores == (NO_ANSWER, pytest.approx(-0.2))


def test_the_control_of_time_has_as_many_operations() -> None:
    """By the definition: passes of a token, three where it is learnt from."""
    shown = [([1, 2, 3], [4, 5])] * 4
    lines = [{"read": 600.0, "learnt": 1_000.0}, {"read": 0.0, "learnt": 200.0}]
    steps = further_steps(SMALL, shown, lines)
    assert steps == round((600 + 3 * 1_200) / (3 * 32 * 5))
    near = replace(SMALL, reinforcement=replace(SMALL.reinforcement, ratio=Ratio(beta=0.1)))
    assert further_steps(near, shown, lines) == round((600 + 4 * 1_200) / (3 * 32 * 5))


def test_a_task_of_ones_own_has_a_card(tmp_path: Path) -> None:
    class Mine:
        """Parity, as somebody might write it."""

        name = "mine"
        vocabulary = SMALL.task.vocabulary
        longest = SMALL.task.longest

        def problem(self, generator: torch.Generator) -> Problem:
            return SMALL.task.problem(generator)

        def demonstration(self, problem: Problem, *, spelled: bool) -> str:
            return SMALL.task.demonstration(problem, spelled=spelled)

        def grade(self, problem: Problem, answer: str) -> float:
            return SMALL.task.grade(problem, answer)

    kept = reason_about(replace(SMALL, task=Mine(), controls=False), seeds=(0,), out=tmp_path)
    assert kept.card.record.settings["task"] == "mine"


@pytest.mark.parametrize(
    ("claim", "match"),
    [
        ("worst_group_accuracy >= 0.9", "is not measured"),
        ("pass_at_8 >= 0.9", "is not measured"),
        ("accuracy of chosen >= 0.9", "which is not measured; the arms are"),
        ("accuracy >= 90", "bounds a proportion"),
        ("thinking_tokens of reinforced - imitated >= 1", "differences are of accuracy alone"),
        ("accuracy of imitated - reinforced >= 0", "which is not measured; the arms are"),
        ("accuracy[hard] >= 0.5", "on 'hard', which is not measured"),
    ],
)
def test_impossible_claims_are_refused_before_anything_is_trained(claim: str, match: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=match):
        _run(tmp_path, claims=(claim,))
    assert not list(tmp_path.iterdir())


def test_a_task_without_enough_problems_says_what_there_are(tmp_path: Path) -> None:
    plan = replace(SMALL, task=task_named("parity-1"), controls=False)
    with pytest.raises(InputError, match="has 0 different problems of the role"):
        _run(tmp_path, plan)


def test_the_command_reads_a_file_and_options_over_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("study.yaml").write_text(
        "task: parity-9\nwidth: 16\ndepth: 1\nheads: 2\nimitate: 5\nsteps: 2\nprompts: 4\nsamples: 2\njudged: 20\n"
        "chosen: 10\nattempts: 2\nseeds: [0]\ncontrols: false\nclaims: ['accuracy >= 0.99']\n"
    )
    code = main(["reason", "study.yaml", "--steps", "1", "--json"])
    said = json.loads(capsys.readouterr().out)
    assert code in (10, 11)
    card = json.loads(Path(said["card"]).read_text())
    assert card["record"]["settings"]["reinforcement"]["course"]["steps"] == 1
    assert card["record"]["settings"]["imitation"]["course"]["steps"] == 5
    assert [each["name"] for each in card["subjects"]] == [IMITATED, REINFORCED]
    assert main(["reason", "study.yaml", "--steps", "1"]) == code
    assert "reinforced" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("given", "match"),
    [
        (["reason", "riddles"], 'There is no task "riddles"; give one of parity-16'),
        (["reason", "parity-16", "--spelled", "2"], "spelled is 2.0; expected at most 1"),
        (["reason", "parity-16", "--estimator", "ppo"], "estimator is .ppo.; expected"),
        (["reason", "parity-16", "--steps", "0"], "steps is 0; expected at least 1"),
        (["reason", "parity-16", "--seeds", "a"], "give whole numbers with commas between"),
        (["reason", "parity-16", "--size", "30,2,4"], "4 heads cannot share a width of 30"),
        (["reason", "none.yaml"], "There is no study file none.yaml"),
        (["run", "task.yaml"], "task.yaml is a study of reasoning, for it names a task; run it with: surefoot reason"),
        (["reason", "odd.yaml"], "Unknown key 'stepz' in odd.yaml, line 2; did you mean 'steps'"),
    ],
)
def test_bad_input_is_one_sentence(
    given: list[str], match: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("odd.yaml").write_text("task: parity-9\nstepz: 3\n")
    Path("task.yaml").write_text("task: parity-9\n")
    assert main(given) == 2
    said = capsys.readouterr().err
    assert re.search(match, said), said
    assert said.count("\n") == 1


def test_a_file_gives_the_plan_that_it_says(tmp_path: Path) -> None:
    path = tmp_path / "study.yaml"
    path.write_text("task: chain-4\nspelled: 0.5\nbeta: 0.1\nloss: dr_grpo\nestimator: rloo\nrate: 1e-4\n")
    plan = read_reason_study(path).plan()
    assert plan == ReasonStudy(
        task="chain-4", spelled=0.5, beta=0.1, loss="dr_grpo", estimator="rloo", rate=1e-4
    ).plan()  # fmt: skip
    assert (plan.task.name, plan.spelled, plan.reinforcement.ratio.beta) == ("chain-4", 0.5, 0.1)
    assert (plan.reinforcement.normalisation, plan.reinforcement.estimator) == ("dr_grpo", "rloo")


def test_the_rate_of_reinforcement_falls_to_nothing_unless_it_is_to_stay() -> None:
    falls, stays = (ReasonStudy(task="chain-4", schedule=each).plan() for each in ("cosine", "constant"))
    for plan in (falls, ReasonStudy(task="chain-4").plan(), ReasonPlan(task_named("chain-4"))):
        course = plan.reinforcement.course
        first, middle, last = (course.rate_of(step) for step in (0, course.steps // 2, course.steps - 1))
        assert (first, middle) == pytest.approx((3e-4, 1.5e-4))
        assert 0 < last < 1e-6
    assert stays.reinforcement.course.rate_of(stays.reinforcement.course.steps - 1) == 3e-4


def _trainings(kept: KeptReasoner) -> Path:
    (folder,) = (kept.folder.parent / "reason").iterdir()
    return folder

"""Reinforcement against a step computed one completion at a time, what its reward may see, and where it stops."""

import json
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

import pytest
import torch
from torch import Tensor

from surefoot.errors import InputError
from surefoot.reason.course import Course, Keep, Turn
from surefoot.reason.policy_loss import Normalisation, Ratio
from surefoot.reason.reinforce import Reinforcement, reinforce
from surefoot.reason.rewarding import graded, rewards_of
from surefoot.text.completion import Answered, Completion
from surefoot.text.decoder import Decoder, Shape, build_decoder
from surefoot.text.policy import Sampling
from surefoot.text.rollout import roll, written
from surefoot.text.tasks.parity import Parity
from surefoot.text.tasks.task import Problem
from surefoot.text.vocabulary import ANSWER, BEGIN, END, PAD, THINK, Vocabulary

SYMBOLS = Vocabulary(("0", "1"))
ASKED = [Problem("a", "0", "0"), Problem("b", "1101", "1"), Problem("c", "10", "0")]
SETTINGS = Reinforcement(Course(1, clip=0.0), Sampling(count=16, most=5), estimator="rloo", cut_off="left_out")


@pytest.fixture
def decoder() -> Decoder:
    return build_decoder(Shape(SYMBOLS.size, width=8, depth=1, heads=2, context=12), seed=0)


def ask(step: int) -> list[Problem]:
    return ASKED


def length(problems: Sequence[Problem], answers: Sequence[Answered]) -> list[float]:
    """Something that differs among answers of most kinds."""
    return [len(each.answer) / 5 if each.answer else 0.7 for each in answers]


def weights(decoder: Decoder) -> Tensor:
    return torch.cat([each.detach().reshape(-1) for each in decoder.parameters()])


def by_hand(decoder: Decoder, settings: Reinforcement) -> tuple[Tensor, dict[str, float]]:
    """The loss of the first step by rloo: each completion alone, unpadded, marks parted by hand."""
    seen: dict[str, float] = {}
    drawn: list[tuple[float, int, Tensor]] = []
    sampling, count = settings.sampling, settings.sampling.count
    # The draws themselves are the sampler's: they are read off once, by their seed, and used as plain lists.
    from surefoot.reason.course import step_seed
    from surefoot.reason.reinforce import SAMPLES

    prompts = [[BEGIN, *SYMBOLS.encode(each.prompt)] for each in ASKED]
    rollout = roll(decoder, prompts, sampling, step_seed(0, SAMPLES, 0))
    rewards, lengths, logs, ends = [], [], [], []
    for row in range(len(ASKED) * count):
        said = rollout.completions[row].tolist()
        free = rollout.sampled[row].tolist()
        last = max(at for at, each in enumerate(free) if each)
        said = said[: last + 1]
        ended = said[-1] == END
        answer: list[int] | None = said[:-1]
        if said[0] == THINK:
            closed = said.index(ANSWER) if ANSWER in said else None
            answer = None if closed is None else said[closed + 1 : -1]
            if closed is not None and THINK in said[1:closed]:
                answer = None
        if not ended or answer is None or THINK in answer or ANSWER in answer or PAD in said or BEGIN in said:
            rewards.append(0.0)
        else:
            text = "".join(SYMBOLS.symbols[token - 5] for token in answer if token >= 5)
            rewards.append(len(text) / 5 if text else 0.7)
        whole = torch.tensor([[*prompts[row // count], *said]])
        logits = decoder(whole[:, :-1])[0, len(prompts[row // count]) - 1 :] / sampling.temperature
        each = torch.stack([logits[at].log_softmax(0)[token] for at, token in enumerate(said) if free[at]])
        logs.append(each)
        lengths.append(len(said))
        ends.append(ended)
    seen["tokens"], seen["reward"] = sum(lengths) / len(lengths), sum(rewards) / len(rewards)
    seen["cut_off"] = ends.count(False) / len(ends)
    for row, each in enumerate(logs):
        group = rewards[row // count * count : (row // count + 1) * count]
        gain = rewards[row] - (sum(group) - rewards[row]) / (count - 1)
        if ends[row] or settings.cut_off == "counted":
            drawn.append((gain, len(each), each))
    tokens = sum(size for _, size, _ in drawn)
    below = {
        "dapo": [tokens for _ in drawn],
        "grpo": [len(drawn) * size for _, size, _ in drawn],
        "dr_grpo": [len(ASKED) * count * sampling.most for _ in drawn],
    }[settings.normalisation]
    terms = (gain * each.sum() / whole for (gain, _, each), whole in zip(drawn, below, strict=True))
    return -sum(terms, torch.zeros(())), seen


@pytest.mark.parametrize(
    "sampling", [Sampling(16, 5), Sampling(16, 5, temperature=0.7), Sampling(16, 6, thinking=2)], ids=str
)
@pytest.mark.parametrize(("at_once", "cut_off"), [(5, "left_out"), (128, "left_out"), (128, "counted")])
def test_a_step_is_what_single_completions_say(
    decoder: Decoder, sampling: Sampling, at_once: int, cut_off: Literal["left_out", "counted"]
) -> None:
    """Prompts of three lengths, some completions cut off, taught by or not; told by the norm of the gradient."""
    settings = replace(SETTINGS, sampling=sampling, at_once=at_once, cut_off=cut_off)
    line = reinforce(decoder, SYMBOLS, ask, length, settings, 0).lines[0]
    loss, seen = by_hand(decoder, settings)
    slopes = torch.autograd.grad(loss, list(decoder.parameters()))
    assert line["gradient"] == pytest.approx(float(sum((each**2).sum() for each in slopes)) ** 0.5, rel=1e-4)
    for name, value in seen.items():
        assert line[name] == pytest.approx(value, rel=1e-5), name
    assert 0 < line["cut_off"] < 1
    assert line["clipped"] == 0
    assert line["flat"] == 0


@pytest.mark.parametrize("normalisation", ["grpo", "dr_grpo", "dapo"])
@pytest.mark.parametrize("cut_off", ["left_out", "counted"])
def test_tokens_weigh_what_their_normalisation_says(
    decoder: Decoder, normalisation: Normalisation, cut_off: Literal["left_out", "counted"]
) -> None:
    settings = replace(SETTINGS, normalisation=normalisation, cut_off=cut_off)
    line = reinforce(decoder, SYMBOLS, ask, length, settings, 0).lines[0]
    loss, _ = by_hand(decoder, settings)
    slopes = torch.autograd.grad(loss, list(decoder.parameters()))
    assert line["gradient"] == pytest.approx(float(sum((each**2).sum() for each in slopes)) ** 0.5, rel=1e-4)


@pytest.mark.parametrize("normalisation", ["grpo", "dapo"])
def test_each_move_is_a_mean_over_its_own_part(decoder: Decoder, normalisation: Normalisation) -> None:
    """With a reward of 1 for all, and no baseline, the loss of a move is minus the sum of its weights: 1."""
    settings = replace(SETTINGS, estimator="reinforce", normalisation=normalisation, cut_off="counted", parts=4)
    always = build_decoder(decoder.shape, seed=0)
    with torch.no_grad():  # it ends at once, so that every completion has an answer
        always.embed.weight.fill_(1.0)
        always.head.weight.zero_()
        always.head.weight[END] = 10.0
    settings = replace(settings, course=Course(1, rate=1e-9))
    line = reinforce(always, SYMBOLS, ask, lambda p, a: [1.0] * len(a), settings, 0).lines[0]
    assert line["reward"] == 1
    assert line["loss"] == pytest.approx(-1, rel=1e-5)


@pytest.mark.parametrize("thinking", [None, 2])
@pytest.mark.parametrize(("at_once", "cut_off"), [(512, "counted"), (512, "left_out"), (1, "counted")])
def test_a_line_says_how_many_tokens_went_through_the_network(
    decoder: Decoder, at_once: int, cut_off: Literal["left_out", "counted"], thinking: int | None
) -> None:
    """Against completions as they are written, where a part is a whole batch, and where it is one completion."""
    from surefoot.reason.course import step_seed
    from surefoot.reason.reinforce import SAMPLES

    sampling = Sampling(16, 5, thinking=thinking)
    settings = replace(SETTINGS, sampling=sampling, at_once=at_once, cut_off=cut_off, epochs=3)
    lengths = [1 + len(SYMBOLS.encode(each.prompt)) for each in ASKED]  # with the mark of the beginning

    def same(problems: Sequence[Problem], answers: Sequence[Answered]) -> list[float]:
        """Tells nothing of one prompt, which is left out then."""
        return [
            0.0 if each.prompt == "10" else value
            for each, value in zip(answers, length(problems, answers), strict=True)
        ]

    line = reinforce(decoder, SYMBOLS, ask, same, settings, 0).lines[0]
    prompts = [[BEGIN, *SYMBOLS.encode(each.prompt)] for each in ASKED]
    said = written(SYMBOLS, roll(decoder, prompts, sampling, step_seed(0, SAMPLES, 0)))
    assert line["read"] == sum(lengths) + sum(each.tokens for each in said)
    kept = [row for row in range(32) if said[row].ended or cut_off == "counted"]
    written_there = sum(said[row].tokens for row in kept)
    if at_once == 1:
        assert line["learnt"] == 3 * (sum(lengths[row // 16] for row in kept) + written_there)
    else:  # parts of few completions cost more than their padding
        assert line["learnt"] == 3 * (sum(lengths[:2]) + written_there)
    assert 0 < len(kept) < 32 or cut_off == "counted"


def test_a_reward_sees_answers_only(decoder: Decoder) -> None:
    """No mark, no thought, and nothing at all of completions without an answer."""
    shown: list[Answered] = []
    asked: list[Problem] = []

    def reward(problems: Sequence[Problem], answers: Sequence[Answered]) -> list[float]:
        shown.extend(answers)
        asked.extend(problems)
        return length(problems, answers)

    settings = replace(SETTINGS, sampling=Sampling(64, 6), course=Course(5))
    lines = reinforce(decoder, SYMBOLS, ask, reward, settings, 0).lines
    assert len(shown) == round(sum((1 - line["unanswered"]) * 3 * 64 for line in lines))
    assert 0 < len(shown) < 5 * 3 * 64
    assert all(
        set(each.answer) <= {"0", "1"} and each.prompt == of.prompt for each, of in zip(shown, asked, strict=True)
    )
    assert max(line["thought"] for line in lines) > 0, "nothing was thought here"


def test_what_has_no_answer_is_worth_nothing_and_values_keep_their_rows() -> None:
    said = [Completion("0", None, "0", 2, 0, True), Completion("<think>", "", None, 5, 4, False)] * 2
    problems = ASKED[:2]
    values = rewards_of(lambda p, a: [0.25 if each.prompt == "0" else 1.0 for each in a], problems, said, 2)
    assert values.tolist() == [[0.25, 0.0], [1.0, 0.0]]
    with pytest.raises(InputError, match="1 values for 2 answers"):
        rewards_of(lambda p, a: [1.0], problems, said, 2)
    with pytest.raises(InputError, match="gave 2 for an answer"):
        rewards_of(lambda p, a: [2.0] * len(a), problems, said, 2)
    with pytest.raises(InputError, match="gave nan"):
        rewards_of(lambda p, a: [float("nan")] * len(a), problems, said, 2)


def test_it_learns_to_answer() -> None:
    """From a decoder that knows nothing: the symbol that was asked. Twice with one seed is the same to the bit."""
    asked = [Problem(symbol, symbol, symbol) for symbol in "01"]
    decoder = build_decoder(Shape(8, width=16, depth=1, heads=2, context=8), seed=0)
    settings = Reinforcement(Course(50, rate=2e-2), Sampling(32, 3), estimator="dr_grpo")
    one, two = (
        reinforce(decoder, Parity(1).vocabulary, lambda step: asked, graded(Parity(1)), settings, seed=1)
        for _ in range(2)
    )
    assert one.lines[0]["reward"] < 0.1
    assert one.lines[-1]["reward"] > 0.9
    assert one.lines == two.lines
    assert torch.equal(weights(one.decoder), weights(two.decoder))
    assert torch.equal(weights(decoder), weights(build_decoder(decoder.shape, seed=0)))


def test_several_moves_a_step_meet_the_clip(decoder: Decoder) -> None:
    many = replace(SETTINGS, epochs=4, parts=2, course=Course(6, rate=0.01), sampling=Sampling(32, 5))
    clipped = [line["clipped"] for line in reinforce(decoder, SYMBOLS, ask, length, many, 0).lines]
    assert max(clipped) > 0.02
    free = replace(many, ratio=Ratio(1.0, 1e9))
    assert max(line["clipped"] for line in reinforce(decoder, SYMBOLS, ask, length, free, 0).lines) == 0


def test_parts_of_a_step_hold_every_completion_once_an_epoch(decoder: Decoder, monkeypatch: pytest.MonkeyPatch) -> None:
    from surefoot.reason import reinforce as module

    taken: list[list[int]] = []
    move = module._move

    def watched(turn: Turn, rollout, gains, share, near, settings):
        taken.append(share.rows.tolist())
        return move(turn, rollout, gains, share, near, settings)

    monkeypatch.setattr(module, "_move", watched)
    settings = replace(SETTINGS, epochs=2, parts=3, cut_off="counted")
    reinforce(decoder, SYMBOLS, ask, length, settings, 0)
    assert len(taken) == 6
    first, second = (sorted(row for part in taken[at : at + 3] for row in part) for at in (0, 3))
    assert first == second == list(range(48))
    assert taken[0] != taken[3]


def test_a_beta_holds_it_near_its_reference(decoder: Decoder) -> None:
    found = {}
    for beta in (1e-9, 0.3):
        settings = Reinforcement(Course(25, rate=5e-3), Sampling(16, 5), estimator="rloo", ratio=Ratio(beta=beta))
        lines = reinforce(decoder, SYMBOLS, ask, length, settings, 0).lines
        assert lines[0]["kl"] == pytest.approx(0, abs=1e-6)
        assert min(line["kl"] for line in lines) > -1e-7
        found[beta] = lines[-1]["kl"]
    assert found[0.3] < 0.3 * found[1e-9]
    other = build_decoder(decoder.shape, seed=9)
    settings = replace(SETTINGS, ratio=Ratio(beta=0.1))
    assert reinforce(decoder, SYMBOLS, ask, length, settings, 0, reference=other).lines[0]["kl"] > 0.1
    assert "kl" not in reinforce(decoder, SYMBOLS, ask, length, SETTINGS, 0).lines[0]


def test_a_reward_that_tells_nothing_apart_is_told_of(decoder: Decoder) -> None:
    settings = replace(SETTINGS, course=Course(30), patience=4)
    with pytest.raises(InputError, match="In the first 4 steps every completion earned 0, which teaches nothing"):
        reinforce(decoder, SYMBOLS, ask, lambda p, a: [0.0] * len(a), settings, 0)
    kinds = {"0": 0.0, "1101": 1.0, "10": 0.5}

    def by_prompt(problems: Sequence[Problem], answers: Sequence[Answered]) -> list[float]:
        return [kinds[each.prompt] for each in answers]

    always = build_decoder(decoder.shape, seed=0)
    with torch.no_grad():  # it ends at once, so that every completion has an answer
        always.embed.weight.fill_(1.0)
        always.head.weight.zero_()
        always.head.weight[END] = 10.0
    with pytest.raises(InputError, match="all completions of a prompt earned the same"):
        reinforce(always, SYMBOLS, ask, by_prompt, settings, 0)


class Varies:
    """Tells the prompts of a step apart, not the completions of one; all alike where it is told so."""

    def __init__(self, values: Sequence[float]) -> None:
        self.values, self.steps = values, 0

    def __call__(self, problems: Sequence[Problem], answers: Sequence[Answered]) -> list[float]:
        self.steps += 1
        return [self.values[(self.steps + len(each.prompt)) % len(self.values)] for each in answers]


@pytest.mark.parametrize("estimator", ["centred", "reinforce"])
def test_estimators_that_compare_no_completions_of_a_prompt_see_the_batch(
    decoder: Decoder, estimator: Literal["centred", "reinforce"]
) -> None:
    """With one completion a prompt no prompt has spread; the gradient is not zero, and they go on."""
    always = build_decoder(decoder.shape, seed=0)
    with torch.no_grad():  # every completion has an answer, so that the reward alone tells them apart
        always.embed.weight.fill_(1.0)
        always.head.weight.zero_()
        always.head.weight[END] = 3.0
    settings = replace(SETTINGS, estimator=estimator, sampling=Sampling(1, 5), course=Course(6, rate=1e-9), patience=3)
    lines = reinforce(always, SYMBOLS, ask, Varies([0.0, 1.0]), settings, 0).lines
    assert len(lines) == 6
    assert {line["flat"] for line in lines} == {1.0}
    assert {line["spread"] for line in lines} == {1.0}
    assert min(line["gradient"] for line in lines) > 0
    with pytest.raises(InputError, match="In the first 3 steps every completion earned 0, which teaches nothing"):
        reinforce(always, SYMBOLS, ask, Varies([0.0]), settings, 0)
    # One problem a step, paid now and then: nothing to a mean over the step, and something to no mean at all.
    steps = Varies([0.0, 1.0])
    if estimator == "reinforce":
        assert len(reinforce(always, SYMBOLS, lambda step: ASKED[:1], steps, settings, 0).lines) == 6
    else:
        with pytest.raises(InputError, match="all completions of a step earned the same"):
            reinforce(always, SYMBOLS, lambda step: ASKED[:1], steps, settings, 0)


@pytest.mark.parametrize("rate", [1e10, 1e30])
def test_a_training_that_ran_off_is_told_of(decoder: Decoder, tmp_path: Path, rate: float) -> None:
    """Such a policy draws tokens that are none, earns nothing and would have no gradient to be told by."""
    settings = replace(SETTINGS, course=Course(8, rate=rate))
    with pytest.raises(InputError, match=r"The .* of step \d is .*: the training has run off; give a lower rate"):
        reinforce(decoder, SYMBOLS, ask, length, settings, 0, keep=Keep(tmp_path, 1))
    lines = [json.loads(line) for line in (tmp_path / "steps.jsonl").read_text().splitlines()[1:]]
    assert all(math.isfinite(value) for line in lines for value in line.values())
    broken = build_decoder(decoder.shape, seed=0)
    with torch.no_grad():
        broken.head.weight[6] = float("nan")
    with pytest.raises(InputError, match="The entropy of step 0 is nan"):  # and no reward is blamed
        reinforce(broken, SYMBOLS, ask, length, replace(SETTINGS, patience=1), 0)


def test_a_policy_that_is_always_right_later_is_left_as_it_is(decoder: Decoder) -> None:
    """After spread was seen, steps without it move nothing, whatever Adam remembers."""

    class Fades:
        calls = 0

        def __call__(self, problems: Sequence[Problem], answers: Sequence[Answered]) -> list[float]:
            self.calls += 1
            return length(problems, answers) if self.calls == 1 else [0.0] * len(answers)

    settings = replace(SETTINGS, course=Course(9, rate=0.01), patience=2)
    seen: list[Tensor] = []

    def watch(at: Decoder, done: int) -> dict[str, float]:
        seen.append(weights(at).clone())
        return {}

    lines = reinforce(decoder, SYMBOLS, ask, Fades(), settings, 0, measure=watch).lines
    assert [line["flat"] for line in lines] == [0.0] + [1.0] * 8
    assert not torch.equal(seen[0], weights(decoder))
    assert torch.equal(seen[0], seen[-1])


def test_a_killed_reinforcement_ends_as_one_that_was_not(decoder: Decoder, tmp_path: Path) -> None:
    settings = replace(SETTINGS, course=Course(7, rate=0.01), epochs=2, parts=2, ratio=Ratio(beta=0.05))
    whole = reinforce(decoder, SYMBOLS, ask, length, settings, 0, keep=Keep(tmp_path / "whole", 2))

    def dies(at: Decoder, done: int) -> dict[str, float]:
        if done == 6:
            raise KeyboardInterrupt
        return {}

    keep = Keep(tmp_path / "killed", 4)
    with pytest.raises(KeyboardInterrupt):
        reinforce(decoder, SYMBOLS, ask, length, settings, 0, keep=keep, measure=dies)
    again = reinforce(decoder, SYMBOLS, ask, length, settings, 0, keep=keep)
    assert torch.equal(weights(again.decoder), weights(whole.decoder))
    assert again.lines == whole.lines
    for other in (replace(settings, epochs=3), replace(settings, sampling=Sampling(16, 4))):
        with pytest.raises(InputError, match="belongs to a run"):
            reinforce(decoder, SYMBOLS, ask, length, other, 0, keep=keep)
    with pytest.raises(InputError, match="belongs to a run"):
        reinforce(decoder, SYMBOLS, ask, length, settings, 1, keep=keep)
    with pytest.raises(InputError, match="belongs to a run"):
        reinforce(build_decoder(decoder.shape, seed=5), SYMBOLS, ask, length, settings, 0, keep=keep)
    near = build_decoder(decoder.shape, seed=5)
    with pytest.raises(InputError, match="belongs to a run"):
        reinforce(decoder, SYMBOLS, ask, length, settings, 0, keep=keep, reference=near)


def test_a_folder_of_another_task_is_refused(tmp_path: Path) -> None:
    decoder = build_decoder(Shape(8, width=8, depth=1, heads=2, context=16), seed=0)
    settings = Reinforcement(Course(1), Sampling(8, 5))

    def ask_anything(step: int) -> list[Problem]:
        return [Problem("", "01", "1")]

    for bits in (2, 3):
        task = Parity(bits)
        if bits == 2:
            reinforce(decoder, task.vocabulary, ask_anything, graded(task), settings, 0, keep=Keep(tmp_path))
            continue
        with pytest.raises(InputError, match="belongs to a run"):
            reinforce(decoder, task.vocabulary, ask_anything, graded(task), settings, 0, keep=Keep(tmp_path))


def test_what_cannot_be_reinforced_is_refused(decoder: Decoder) -> None:
    with pytest.raises(InputError, match="temperature 0"):
        Reinforcement(sampling=Sampling(8, 5, temperature=0.0))
    with pytest.raises(InputError, match="parts is 0"):
        Reinforcement(parts=0)
    with pytest.raises(InputError, match="draw at least 2"):
        reinforce(decoder, SYMBOLS, ask, length, replace(SETTINGS, sampling=Sampling(1, 5)), 0)
    with pytest.raises(InputError, match="beyond the context of 12"):
        reinforce(decoder, SYMBOLS, ask, length, replace(SETTINGS, sampling=Sampling(8, 9)), 0)
    with pytest.raises(InputError, match="no problems in step 0"):
        reinforce(decoder, SYMBOLS, lambda step: [], length, SETTINGS, 0)

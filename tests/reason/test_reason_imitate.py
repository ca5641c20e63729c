"""Imitation against losses of one text at a time, without padding."""

from dataclasses import dataclass, replace

import pytest
import torch
from torch import Tensor

from surefoot.errors import InputError
from surefoot.reason.course import Course
from surefoot.reason.imitate import Demonstration, Imitation, demonstrated, imitate
from surefoot.reason.rewarding import graded
from surefoot.reason.star import Star, star
from surefoot.text.decoder import Decoder, Shape, build_decoder
from surefoot.text.policy import Sampling
from surefoot.text.rollout import laid_out, token_log_probabilities
from surefoot.text.tasks.parity import Parity
from surefoot.text.tasks.task import Problem, problem_of
from surefoot.text.vocabulary import BEGIN, END, PAD

RAGGED: list[Demonstration] = [
    ([BEGIN, 5], [6, END]),
    ([BEGIN, 6, 6, 5], [5, PAD, END]),  # the symbol of padding, written
    ([BEGIN], [END]),
    ([BEGIN, 5, 7], [END, END, 6, 5, END]),  # its end, in the middle
]


@pytest.fixture
def decoder() -> Decoder:
    return build_decoder(Shape(8, width=8, depth=1, heads=2, context=9), seed=0)


def alone(decoder: Decoder, prompt: list[int], completion: list[int], *, prompts: bool) -> Tensor:
    """−log π of each learnt token of one text."""
    whole = torch.tensor([[*prompt, *completion]])
    logs = decoder(whole[:, :-1]).log_softmax(2)[0]
    first = 0 if prompts else len(prompt) - 1
    return torch.stack([-logs[at, whole[0, at + 1]] for at in range(first, whole.shape[1] - 1)])


@pytest.mark.parametrize("prompts", [False, True])
@pytest.mark.parametrize("at_once", [1, 3, 512])
def test_the_loss_and_its_gradient_are_those_of_texts_alone(decoder: Decoder, prompts: bool, at_once: int) -> None:
    settings = Imitation(Course(1), batch=4, at_once=at_once, prompts=prompts)
    line = imitate(decoder, lambda step: RAGGED, settings, 0).lines[0]
    each = torch.cat([alone(decoder, list(x), list(y), prompts=prompts) for x, y in RAGGED])
    assert len(each) == (17 if prompts else 11)
    slopes = torch.autograd.grad(each.mean(), list(decoder.parameters()))
    assert line["loss"] == pytest.approx(float(each.mean().detach()), rel=1e-5)
    assert line["gradient"] == pytest.approx(float(sum((slope**2).sum() for slope in slopes)) ** 0.5, rel=1e-4)


def test_each_demonstration_comes_once_an_epoch_in_an_order_of_its_seed(decoder: Decoder) -> None:
    """Which come in a batch is read from the loss: one demonstration a step, six steps, two epochs of three."""
    many: list[Demonstration] = RAGGED[:3]
    losses = [float(alone(decoder, list(x), list(y), prompts=False).mean().detach()) for x, y in many]

    def orders(seed: int) -> list[int]:
        settings = Imitation(Course(6, rate=1e-12), batch=1)
        lines = imitate(decoder, many, settings, seed).lines
        return [min(range(3), key=lambda at: abs(losses[at] - line["loss"])) for line in lines]

    found = {seed: orders(seed) for seed in range(6)}
    for order in found.values():
        assert sorted(order[:3]) == sorted(order[3:]) == [0, 1, 2]
    assert len({tuple(order) for order in found.values()}) > 1
    assert any(order[:3] != order[3:] for order in found.values())
    assert orders(0) == found[0]


def test_it_learns_what_is_demonstrated() -> None:
    task = Parity(4)
    asked = [problem_of(task.name, f"{number:04b}=", str(number.bit_count() % 2)) for number in range(16)]
    texts = [task.demonstration(each, spelled=True) for each in asked]
    rows = demonstrated(task.vocabulary, [each.prompt for each in asked], texts)
    assert rows[1] == ([BEGIN, 5, 5, 5, 6, 7], [3, 5, 5, 5, 6, 4, 6, END])
    decoder = build_decoder(Shape(8, width=32, depth=1, heads=2, context=16), seed=0)
    learnt = imitate(decoder, rows, Imitation(Course(150, rate=1e-2), batch=16), 0)
    laid = laid_out([x for x, _ in rows], [y for _, y in rows])
    chances = token_log_probabilities(learnt.decoder, laid).sum(dim=1).exp()
    assert float(chances.min().detach()) > 0.9


def test_what_cannot_be_imitated_is_refused(decoder: Decoder) -> None:
    settings = Imitation(Course(1))
    with pytest.raises(InputError, match="no demonstrations"):
        imitate(decoder, [], settings, 0)
    with pytest.raises(InputError, match="no completion"):
        imitate(decoder, [([BEGIN], [])], settings, 0)
    with pytest.raises(InputError, match="10 tokens, beyond the context of 9"):
        imitate(decoder, [([BEGIN] * 9, [END])], settings, 0)
    with pytest.raises(InputError, match="batch is 0"):
        Imitation(Course(1), batch=0)


@dataclass(frozen=True)
class Copy:
    """Say the symbol that is asked."""

    def __call__(self, step: int) -> list[Problem]:
        return [Problem(symbol, symbol, symbol) for symbol in "01"] * 8


def test_imitating_what_was_right_makes_it_likelier() -> None:
    vocabulary, reward = Parity(1).vocabulary, graded(Parity(1))
    decoder = build_decoder(Shape(8, width=16, depth=1, heads=2, context=12), seed=0)
    learning = Imitation(Course(40, rate=2e-2), batch=16)
    settings = Star(learning, rounds=3, sampling=Sampling(count=32, most=4))
    first, second, third = (each.lines[0] for each in star(decoder, vocabulary, Copy(), reward, settings, 0))
    assert first["tried"] == second["tried"] == 512
    every = replace(settings, rounds=2, distinct=False)
    again = [each.lines[0] for each in star(decoder, vocabulary, Copy(), reward, every, 0)]
    assert first["kept"] <= again[0]["kept"] < 0.1 * 512, "the same draws"
    assert again[1]["kept"] > 0.4 * 512
    # Of two prompts, eight times each, few distinct completions of at most four tokens are right.
    assert second["kept"] >= first["kept"]
    assert third["kept"] < 0.2 * 512


@pytest.mark.parametrize("least", [-5.0, 0.0, 1.5, float("nan")])
def test_a_least_reward_that_says_nothing_is_refused(least: float) -> None:
    with pytest.raises(InputError, match="above 0, up to 1"):
        Star(Imitation(Course(1)), least=least)


def test_what_was_cut_off_is_not_imitated() -> None:
    """Whatever it may be worth: its end would be learnt as no end."""
    from surefoot.reason.star import _kept

    prompts = [[BEGIN, 5], [BEGIN, 6]]
    drawn = laid_out([prompts[0], prompts[1]], [[5, END], [6, 6]], Sampling(count=1, most=2))
    settings = Star(Imitation(Course(1)), 1, Sampling(1, 2))
    assert _kept(prompts, drawn, [1.0, 1.0], settings) == [([BEGIN, 5], [5, END])]


def test_a_round_that_keeps_nothing_says_so() -> None:
    decoder = build_decoder(Shape(8, width=16, depth=1, heads=2, context=12), seed=0)
    settings = Star(Imitation(Course(1)), 1, Sampling(1, 4))
    with pytest.raises(InputError, match="None of 16 completions of round 1 earned 1"):
        star(decoder, Parity(1).vocabulary, Copy(), lambda problems, answers: [0.0] * len(answers), settings, 0)

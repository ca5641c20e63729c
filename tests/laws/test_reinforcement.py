"""Law 8: reinforcement follows the gradient of the expected reward; where an estimator does not, by exactly how much.

Expectations are sums over all that could have been drawn, so they have no luck in them; one test samples from a decoder
and states its false-alarm rate.
"""

import itertools
from collections.abc import Sequence
from typing import Literal

import pytest
import torch
from torch import Tensor

from surefoot.reason.advantages import Estimator, advantages
from surefoot.reason.policy_loss import Normalisation, Ratio, policy_loss, token_weights
from surefoot.reason.rewarding import rewards_of
from surefoot.text.completion import Answered
from surefoot.text.decoder import Shape, build_decoder
from surefoot.text.policy import Sampling
from surefoot.text.rollout import laid_out, roll, token_log_probabilities, written
from surefoot.text.tasks.task import Problem
from surefoot.text.vocabulary import ANSWER, BEGIN, END, THINK, Vocabulary

ARMS = torch.tensor([1.0, 0.25, 0.0], dtype=torch.float64)
LOGITS = torch.tensor([0.3, -0.2, 0.9], dtype=torch.float64)


def scores(logits: Tensor) -> Tensor:
    """∇ log π(arm) of each arm."""
    return torch.eye(len(logits), dtype=torch.float64) - logits.softmax(0)


def true_gradient(logits: Tensor, rewards: Tensor) -> Tensor:
    return torch.func.grad(lambda at: (at.softmax(0) * rewards).sum())(logits)


def expected(estimator: Estimator, prompts: Sequence[tuple[Tensor, Tensor]], group: int, *, drop: bool) -> list[Tensor]:
    """E of the mean over samples of A ∇ log π, for each prompt's logits, over everything a batch could have drawn."""
    arms = [range(len(logits)) for logits, _ in prompts for _ in range(group)]
    totals = [torch.zeros_like(logits) for logits, _ in prompts]
    for drawn in itertools.product(*arms):
        chosen = torch.tensor(drawn).view(len(prompts), group)
        chance = torch.stack([logits.softmax(0)[row] for (logits, _), row in zip(prompts, chosen, strict=True)]).prod()
        rewards = torch.stack([values[row] for (_, values), row in zip(prompts, chosen, strict=True)])
        found = advantages(rewards, estimator)
        for at, (logits, _) in enumerate(prompts):
            if drop and found.flat[at]:
                continue
            totals[at] += chance * (found.values[at][:, None] * scores(logits)[chosen[at]]).mean(dim=0)
    return totals


@pytest.mark.parametrize("group", [2, 3, 5])
def test_leave_one_out_and_plain_reinforce_are_the_gradient_itself(group: int) -> None:
    truth = true_gradient(LOGITS, ARMS)
    for estimator in ("reinforce", "rloo"):
        (found,) = expected(estimator, [(LOGITS, ARMS)], group, drop=False)
        assert torch.allclose(found, truth, atol=1e-12), estimator


@pytest.mark.parametrize("group", [2, 3, 5])
def test_taking_ones_own_reward_into_the_mean_shrinks_it_by_one_over_the_group(group: int) -> None:
    (found,) = expected("dr_grpo", [(LOGITS, ARMS)], group, drop=False)
    assert torch.allclose(found, true_gradient(LOGITS, ARMS) * (1 - 1 / group), atol=1e-12)


def test_the_mean_of_a_batch_shrinks_it_by_one_over_the_batch() -> None:
    other = torch.tensor([-1.0, 0.5], dtype=torch.float64)
    values = torch.tensor([0.0, 1.0], dtype=torch.float64)
    found = expected("centred", [(LOGITS, ARMS), (other, values)], 2, drop=False)
    for gradient, (logits, rewards) in zip(found, [(LOGITS, ARMS), (other, values)], strict=True):
        assert torch.allclose(gradient, true_gradient(logits, rewards) * (1 - 1 / 4), atol=1e-12)


def test_dividing_by_the_spread_changes_where_it_leads() -> None:
    """Within a prompt the direction turns, and sure prompts weigh more than unsure ones: a bias by construction."""
    (found,) = expected("grpo", [(LOGITS, ARMS)], 4, drop=False)
    truth = true_gradient(LOGITS, ARMS)
    cosine = float(found @ truth / found.norm() / truth.norm())
    assert 0.9 < cosine < 0.9999

    def weight(chance: float) -> float:
        """Of a prompt that is answered right with this chance: how many times its true gradient is taken."""
        logits = torch.tensor([chance, 1 - chance], dtype=torch.float64).log()
        values = torch.tensor([1.0, 0.0], dtype=torch.float64)
        (gradient,) = expected("grpo", [(logits, values)], 8, drop=False)
        return float((gradient / true_gradient(logits, values)).mean())

    assert weight(0.9) == pytest.approx(weight(0.1))
    assert weight(0.9) > 1.2 * weight(0.5)


@pytest.mark.parametrize("estimator", ["rloo", "grpo", "dr_grpo"])
def test_groups_without_spread_may_be_left_out_where_samples_are_compared(estimator: Estimator) -> None:
    (whole,) = expected(estimator, [(LOGITS, ARMS)], 3, drop=False)
    (without,) = expected(estimator, [(LOGITS, ARMS)], 3, drop=True)
    assert torch.equal(whole, without)


def test_and_may_not_be_where_they_are_not() -> None:
    (without,) = expected("reinforce", [(LOGITS, ARMS)], 3, drop=True)
    assert not torch.allclose(without, true_gradient(LOGITS, ARMS), rtol=0.05)
    assert bool(advantages(torch.ones(1, 3), "reinforce").taught.all())


@pytest.mark.parametrize("normalisation", ["grpo", "dr_grpo", "dapo"])
@pytest.mark.parametrize("level", ["token", "sequence"])
def test_a_first_step_is_that_of_reinforce(normalisation: Normalisation, level: Literal["token", "sequence"]) -> None:
    """−Σ w A ∇ log π, to the last bits: of single tokens, or with a sample's weight shared by its tokens."""
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(6, 7, 4, generator=generator, dtype=torch.float64).requires_grad_()
    drawn = torch.arange(7) < torch.tensor([7, 1, 4, 2, 7, 3])[:, None]
    kept = torch.tensor([True, True, False, True, True, False])
    tokens = torch.randint(4, (6, 7), generator=generator)
    gains = torch.randn(6, generator=generator, dtype=torch.float64)
    new = logits.log_softmax(2).gather(2, tokens[:, :, None])[:, :, 0]
    weights = token_weights(drawn, kept, normalisation, 9).double()
    found = policy_loss(new, new.detach(), gains, weights, Ratio(level=level), None)
    (by_loss,) = torch.autograd.grad(found.loss, logits, retain_graph=True)
    shared = weights.sum(dim=1, keepdim=True) / drawn.sum(dim=1, keepdim=True) * drawn
    plain = -((weights if level == "token" else shared) * gains[:, None] * new).sum()
    (by_reinforce,) = torch.autograd.grad(plain, logits)
    assert torch.allclose(by_loss, by_reinforce, rtol=1e-13, atol=1e-16)
    assert float(found.clipped) == 0
    assert float(by_loss.norm()) > 0.01


def test_the_constant_normaliser_alone_has_no_length_bias() -> None:
    """A policy that may stop after one token or write two: over all it could draw, times L, dr_grpo is the gradient.

    Means over tokens are other directions: of each sample, half of what a long one says is taken; of a batch, the
    denominator depends on what was drawn.
    """
    logits = torch.tensor([0.4, -0.3, 0.2, 0.1, -0.8], dtype=torch.float64)
    worth = {(0,): 0.3, (1, 0): 1.0, (1, 1): 0.0, (1, 2): 0.5}

    def logs(at: Tensor, sample: tuple[int, ...]) -> Tensor:
        first, second = at[:2].log_softmax(0), at[2:].log_softmax(0)
        return torch.stack([first[sample[0]], *(second[token] for token in sample[1:])])

    def value(at: Tensor) -> Tensor:
        return sum((logs(at, sample).sum().exp() * reward for sample, reward in worth.items()), torch.zeros(()))

    truth = torch.func.grad(value)(logits)

    def gradient(normalisation: Normalisation) -> Tensor:
        total = torch.zeros_like(logits)
        for pair in itertools.product(worth, repeat=2):
            rewards = torch.tensor([[worth[sample] for sample in pair]], dtype=torch.float64)
            gains = advantages(rewards, "rloo").values[0]
            drawn = torch.tensor([[True, len(sample) > 1] for sample in pair])
            weights = token_weights(drawn, torch.tensor([True, True]), normalisation, 2).double()

            def loss(at: Tensor, pair=pair, gains=gains, weights=weights) -> Tensor:
                padded = [torch.nn.functional.pad(logs(at, sample), (0, 2 - len(sample))) for sample in pair]
                new = torch.stack(padded)
                return policy_loss(new, new.detach(), gains, weights, Ratio()).loss

            chance = torch.stack([logs(logits, sample).sum() for sample in pair]).sum().exp()
            total += chance * torch.func.grad(loss)(logits)
        return -total

    assert torch.allclose(gradient("dr_grpo") * 2, truth, atol=1e-9)
    for other, cosine in (("grpo", 0.999), ("dapo", 0.9995)):
        found = gradient(other)
        assert float(found @ truth / found.norm() / truth.norm()) < cosine, other


def test_what_is_drawn_from_a_decoder_has_the_gradient_of_what_it_earns() -> None:
    """Sampler, reward, advantages and loss together, against all that a decoder could write within four tokens.

    Along the true gradient the mean of 300 batches lies within 4.5 standard errors with probability 1 − 7e-6.
    """
    vocabulary = Vocabulary(("0", "1"))
    decoder = build_decoder(Shape(vocabulary.size, width=8, depth=1, heads=2, context=8), seed=1)
    most, prompt, sampling = 4, [BEGIN, 5], Sampling(count=8, most=4, temperature=1.3)
    asked = Problem("", "0", "1")

    def reward(problems: Sequence[Problem], answers: Sequence[Answered]) -> list[float]:
        return [0.2 * len(each.answer) + 0.5 * (each.answer == "1") for each in answers]

    def every(start: tuple[int, ...] = ()) -> list[list[int]]:
        if start and (start[-1] == END or len(start) == most):
            return [list(start)]
        return [each for token in range(vocabulary.size) for each in every((*start, token))]

    def gradient(loss: Tensor) -> Tensor:
        return torch.cat([each.reshape(-1) for each in torch.autograd.grad(loss, list(decoder.parameters()))])

    all_of_them = every()
    laid = laid_out([prompt] * len(all_of_them), all_of_them, sampling)
    worth = rewards_of(reward, [asked] * len(all_of_them), written(vocabulary, laid), 1)[:, 0]
    logs = token_log_probabilities(decoder, laid).sum(dim=1)
    assert float(logs.exp().sum().detach()) == pytest.approx(1, abs=1e-5)
    assert {THINK, ANSWER} <= {token for row in all_of_them for token in row}
    truth = gradient((logs.exp() * worth).sum())

    along = []
    for seed in range(300):
        drawn = roll(decoder, [prompt] * 4, sampling, seed)
        gains = advantages(rewards_of(reward, [asked] * 4, written(vocabulary, drawn), 8), "rloo")
        kept = gains.taught.repeat_interleave(8)
        weights = token_weights(drawn.sampled, kept, "dr_grpo", most)
        new = token_log_probabilities(decoder, drawn)
        loss = policy_loss(new, drawn.log_probabilities, gains.values.reshape(-1), weights, Ratio()).loss
        along.append(float(-gradient(loss) * most @ truth / truth.norm()))
    found = torch.tensor(along)
    error = float(found.std() / len(found) ** 0.5)
    assert error < 0.1 * float(truth.norm())
    assert abs(float(found.mean() - truth.norm())) < 4.5 * error

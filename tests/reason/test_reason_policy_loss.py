"""The loss against plain loops over a small ragged batch, TRL's numbers, and its gradient against differences."""

import math
from typing import Literal

import pytest
import torch
from torch import Tensor

from surefoot.errors import InputError
from surefoot.reason.policy_loss import Normalisation, Ratio, k3, policy_loss, token_weights

MOST = 5
LENGTHS = [2, 5, 3, 1]
"""The second sample was cut off at the most tokens; the third has a token that was forced."""
KEPT = [True, False, True, True]
GAINS = [0.7, 1.0, -1.2, 0.4]

TRL = {
    ("grpo", "token", 0.0): (-0.245474121, 0.02605654),
    ("grpo", "token", 0.3): (-0.23462507, 0.033784184),
    ("grpo", "sequence", 0.3): (-0.251345859, 0.033032734),
    ("dr_grpo", "token", 0.3): (-0.232344184, 0.03606507),
    ("dapo", "token", 0.0): (-0.47621609, 0.133690465),
    ("dapo", "token", 0.3): (-0.464688369, 0.14426028),
    ("dapo", "sequence", 0.3): (-0.497228207, 0.143057961),
}
"""What `GRPOTrainer._compute_loss` of TRL 1.16.0 says of this batch: of all samples, and without the one cut off."""


def batch() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """new, old, reference [4, 5] and drawn. What is not drawn holds infinities, which nobody may read."""
    generator = torch.Generator().manual_seed(0)
    old = -torch.rand(4, MOST, generator=generator, dtype=torch.float64) * 2 - 0.1
    new = old + 0.4 * torch.randn(4, MOST, generator=generator, dtype=torch.float64)
    reference = old + 0.3 * torch.randn(4, MOST, generator=generator, dtype=torch.float64)
    drawn = torch.arange(MOST) < torch.tensor(LENGTHS)[:, None]
    drawn[2, 1] = False
    for each in (new, old, reference):
        each[~drawn] = -torch.inf
    return new, old, reference, drawn


def by_loops(normalisation: Normalisation, ratio: Ratio, kept: list[bool] = KEPT) -> float:
    """One sample after another, one token after another."""
    new, old, reference, drawn = batch()
    total, tokens, rows = 0.0, 0, sum(kept)
    for row in range(4):
        if not kept[row]:
            continue
        places = [place for place in range(MOST) if drawn[row, place]]
        logs = [float(new[row, place] - old[row, place]) for place in places]
        inside = 0.0
        for place, log in zip(places, logs, strict=True):
            times = math.exp(sum(logs) / len(logs) if ratio.level == "sequence" else log)
            held = max(1 - ratio.low, min(1 + ratio.high, times))
            delta = float(reference[row, place] - new[row, place])
            inside -= min(times * GAINS[row], held * GAINS[row])
            inside += ratio.beta * (math.exp(delta) - delta - 1)
        tokens += len(places)
        total += inside / len(places) if normalisation == "grpo" else inside
    return total / {"grpo": rows, "dr_grpo": 4 * MOST, "dapo": tokens}[normalisation]


def found(normalisation: Normalisation, ratio: Ratio, kept: list[bool] = KEPT) -> float:
    new, old, reference, drawn = batch()
    weights = token_weights(drawn, torch.tensor(kept), normalisation, MOST).double()
    gains = torch.tensor(GAINS, dtype=torch.float64)
    return float(policy_loss(new, old, gains, weights, ratio, reference).loss)


@pytest.mark.parametrize("normalisation", ["grpo", "dr_grpo", "dapo"])
@pytest.mark.parametrize("level", ["token", "sequence"])
@pytest.mark.parametrize("beta", [0.0, 0.3])
def test_it_is_what_loops_say(normalisation: Normalisation, level: Literal["token", "sequence"], beta: float) -> None:
    ratio = Ratio(0.1, 0.15, level, beta)
    assert found(normalisation, ratio) == pytest.approx(by_loops(normalisation, ratio), rel=1e-6)


@pytest.mark.parametrize("case", TRL, ids=str)
def test_it_is_what_trl_says(case: tuple[Normalisation, Literal["token", "sequence"], float]) -> None:
    """Its grpo divides by the sample that was cut off as well, which adds nothing: 3/4 of ours."""
    normalisation, level, beta = case
    ratio = Ratio(0.1, 0.15, level, beta)
    whole, cut = TRL[case]
    assert found(normalisation, ratio, [True] * 4) == pytest.approx(whole, rel=1e-6)
    assert found(normalisation, ratio) * (0.75 if normalisation == "grpo" else 1) == pytest.approx(cut, rel=1e-6)


def test_a_sample_that_was_cut_off_is_in_no_denominator_but_that_of_dr_grpo() -> None:
    """Whatever its length, the others weigh the same."""
    drawn = batch()[3]
    shorter = drawn.clone()
    shorter[1, 2:] = False
    kept = torch.tensor(KEPT)
    for normalisation in ("grpo", "dr_grpo", "dapo"):
        weights = token_weights(drawn, kept, normalisation, MOST)
        assert torch.equal(weights, token_weights(shorter, kept, normalisation, MOST))
        assert not weights[1].any()
        alone = token_weights(drawn[kept], kept[kept], normalisation, MOST)
        assert torch.allclose(weights[kept], alone * (0.75 if normalisation == "dr_grpo" else 1))


@pytest.mark.parametrize("normalisation", ["grpo", "dapo"])
def test_weights_of_what_is_learnt_from_sum_to_one(normalisation: Normalisation) -> None:
    assert float(token_weights(batch()[3], torch.tensor(KEPT), normalisation, MOST).sum()) == pytest.approx(1)


def test_parts_of_a_batch_add_up() -> None:
    new, old, reference, drawn = batch()
    weights = token_weights(drawn, torch.tensor(KEPT), "dapo", MOST).double()
    ratio, gains = Ratio(beta=0.1), torch.tensor(GAINS, dtype=torch.float64)
    parts = [
        policy_loss(new[rows], old[rows], gains[rows], weights[rows], ratio, reference[rows])
        for rows in (slice(0, 1), slice(1, 4))
    ]
    whole = policy_loss(new, old, gains, weights, ratio, reference)
    for name in ("loss", "clipped", "kl"):
        assert float(sum(getattr(part, name) for part in parts)) == pytest.approx(float(getattr(whole, name)))


@pytest.mark.parametrize("level", ["token", "sequence"])
def test_the_gradient_is_that_of_differences(level: Literal["token", "sequence"]) -> None:
    new, old, reference, drawn = batch()
    weights = token_weights(drawn, torch.tensor(KEPT), "grpo", MOST).double()
    ratio, gains = Ratio(0.1, 0.15, level, 0.3), torch.tensor(GAINS, dtype=torch.float64)

    def loss(at: Tensor) -> Tensor:
        return policy_loss(at, old, gains, weights, ratio, reference).loss

    slopes = torch.func.grad(loss)(new)
    assert torch.isfinite(slopes).all()
    for row in range(4):
        for place in range(MOST):
            if not (drawn[row, place] and KEPT[row]):
                assert slopes[row, place] == 0
                continue
            step = torch.zeros_like(new)
            step[row, place] = 1e-6
            assert float(slopes[row, place]) == pytest.approx(
                float(loss(new + step) - loss(new - step)) / 2e-6, abs=1e-7
            )


def test_a_clip_binds_only_where_the_policy_has_gone_far_enough_already() -> None:
    """ρ = 2 and ½, with either sign of the advantage: the gradient is 0 in two of four, which are counted."""
    old = torch.zeros(4, 1)
    new = torch.tensor([[2.0], [2.0], [0.5], [0.5]]).log().requires_grad_()
    loss = policy_loss(new, old, torch.tensor([1.0, -1.0, 1.0, -1.0]), torch.ones(4, 1), Ratio(0.2, 0.3))
    loss.loss.backward()
    assert new.grad is not None
    assert new.grad.flatten().tolist() == pytest.approx([0, 2, -0.5, 0])
    assert float(loss.clipped) == 2
    assert float(loss.loss.detach()) == pytest.approx(-1.3 + 2 - 0.5 + 0.8)


def test_a_higher_clip_lets_rare_tokens_rise() -> None:
    new = torch.tensor([[1.25]]).log().requires_grad_()
    for high, slope in ((0.2, 0.0), (0.28, -1.25)):
        (found,) = torch.autograd.grad(
            policy_loss(new, torch.zeros(1, 1), torch.ones(1), torch.ones(1, 1), Ratio(0.2, high)).loss, new
        )
        assert float(found) == pytest.approx(slope)


@pytest.mark.parametrize("normalisation", ["grpo", "dr_grpo", "dapo"])
def test_no_sample_to_learn_from_is_a_loss_of_zero(normalisation: Normalisation) -> None:
    new, old, _, drawn = batch()
    weights = token_weights(drawn, torch.zeros(4, dtype=torch.bool), normalisation, MOST).double()
    loss = policy_loss(new.requires_grad_(), old, torch.tensor(GAINS, dtype=torch.float64), weights, Ratio()).loss
    loss.backward()
    assert new.grad is not None
    assert float(loss.detach()) == 0
    assert not new.grad.any()


def test_k3_is_at_least_zero_and_the_divergence_on_average() -> None:
    """Exactly, over all tokens of two distributions; and its gradient is that of the divergence the other way."""
    generator = torch.Generator().manual_seed(0)
    logits, reference = torch.randn(2, 50, generator=generator, dtype=torch.float64)
    new, wanted = logits.log_softmax(0), reference.log_softmax(0)
    each = k3(new, wanted)
    assert bool((each >= 0).all())
    assert float(k3(new, new).abs().max()) == 0
    assert float((new.exp() * each).sum()) == pytest.approx(float((new.exp() * (new - wanted)).sum()))

    # Tokens are given: the expectation is over the fixed π, and only log π of the drawn token is differentiated.
    taken = torch.func.grad(lambda at: (new.exp() * k3(at.log_softmax(0), wanted)).sum())(logits)
    other_way = torch.func.grad(lambda at: (wanted.exp() * (wanted - at.log_softmax(0))).sum())(logits)
    assert torch.allclose(taken, other_way)
    assert not torch.allclose(taken, torch.func.grad(lambda at: _divergence(at, wanted))(logits), atol=1e-3)


def _divergence(logits: Tensor, wanted: Tensor) -> Tensor:
    new = logits.log_softmax(0)
    return (new.exp() * (new - wanted)).sum()


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(InputError, match="clips"):
        Ratio(low=1.5)
    with pytest.raises(InputError, match="beta"):
        Ratio(beta=-1.0)
    with pytest.raises(InputError, match="reference"):
        policy_loss(torch.zeros(1, 1), torch.zeros(1, 1), torch.ones(1), torch.ones(1, 1), Ratio(beta=0.1))
    with pytest.raises(InputError, match="5 tokens where most is 4"):
        token_weights(torch.ones(1, 5, dtype=torch.bool), torch.tensor([True]), "dapo", 4)

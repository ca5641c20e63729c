"""The loss of a policy: clipped ratios of probabilities times advantages, and how tokens and samples are averaged.

Of token t of sample i, with ρ_it = π(token)/π_old(token), advantage A_i, and log π_ref of a reference:

    ℓ_it = −min(ρ_it A_i, clip(ρ_it, 1 − low, 1 + high) A_i) + β k3_it
    k3_it = exp(δ) − δ − 1,   δ = log π_ref(token) − log π(token)
    loss  = Σ_it w_it ℓ_it

`token_weights` has w. Let K be the samples that are learnt from, o_i the drawn tokens of sample i and L the most tokens
that a sample may have:

    grpo       w_it = 1 / (|K| |o_i|)        mean over samples of means over tokens: tokens of long samples weigh less
    dr_grpo    w_it = 1 / (all samples · L)  every token the same, by a constant
    dapo       w_it = 1 / Σ_{i in K} |o_i|   mean over tokens: every token the same, by what was drawn

**What is left out** (w = 0) are padding, tokens that were forced rather than drawn, and samples outside K: those cut
off before their end, where asked, and groups without spread (`advantages.py`). They are in no denominator of grpo and
dapo; dr_grpo divides by all samples, left out or not, and so stays the gradient of the expected reward over L where
nothing but groups without spread is left out. TRL's grpo counts samples that were cut off in the denominator, with a
loss of 0.

The weights are of the whole batch. A part of it, or one process, sums its own tokens, and the parts add up.

**Sequence level** (GSPO): ρ_i = exp(mean_t log ρ_it) in place of ρ_it, clipped once for the sample.

On policy (ρ = 1) the gradient of all of them is −Σ w_it A_i ∇ log π(token), the REINFORCE estimator with those weights;
with dr_grpo times L it is exactly the mean over samples of A_i ∇ log π(sample).

k3 is never negative, and over tokens drawn from π it is KL(π ‖ π_ref) on average. *Its gradient is not that of the KL*:
tokens are taken as given, so it is Σ w (1 − π_ref/π) ∇ log π, which on average is the gradient of KL(π_ref ‖ π).

Sources: Schulman et al. (2017), PPO, arXiv 1707.06347, eq. 7; Shao et al. (2024), GRPO, arXiv 2402.03300, eq. 3 and 4;
Schulman (2020), "Approximating KL divergence" (k3); Yu et al. (2025), DAPO, arXiv 2503.14476, §3.1 and §3.3 (higher
clip, token mean); Liu et al. (2025), Dr. GRPO, arXiv 2503.20783, §3.2; Zheng et al. (2025), GSPO, arXiv 2507.18071. Liu
et al. divide by the samples and not by L; L is a constant, and is TRL's.
"""

from dataclasses import dataclass
from typing import Literal, NamedTuple, TypeAlias

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from surefoot.errors import InputError

__all__ = ["Loss", "Normalisation", "Ratio", "k3", "policy_loss", "token_weights"]

Normalisation: TypeAlias = Literal["grpo", "dr_grpo", "dapo"]


@dataclass(frozen=True)
class Ratio:
    """How far a policy may move from the one that drew the samples.

    low, high: ratios are clipped to [1 − low, 1 + high]; level: of each token, or of the sample (GSPO, which wants
    clips of about 3e-4). beta: how much k3 to the reference counts; 0 needs no reference.

    Raises `InputError` for clips and a beta out of range.
    """

    low: float = 0.2
    high: float = 0.28
    level: Literal["token", "sequence"] = "token"
    beta: float = 0.0

    def __post_init__(self) -> None:
        if not (0 <= self.low <= 1 and 0 <= self.high < float("inf")):
            raise InputError(
                f"The clips are {self.low:g} below and {self.high:g} above; give 0 ≤ low ≤ 1 and high ≥ 0."
            )
        if not 0 <= self.beta < float("inf"):
            raise InputError(f"beta is {self.beta:g}; give 0 or a positive number.")


class Loss(NamedTuple):
    """loss: what is minimised. Sums over tokens with w > 0: clipped, of those beyond a clip that binds; kl, of k3."""

    loss: Float[Tensor, ""]
    clipped: Float[Tensor, ""]
    kl: Float[Tensor, ""]


def token_weights(
    drawn: Bool[Tensor, "rows tokens"], kept: Bool[Tensor, "rows"], normalisation: Normalisation, most: int
) -> Float[Tensor, "rows tokens"]:
    """w of every token of a whole batch.

    drawn: tokens that the policy drew, its end included. kept: samples that are learnt from. most: L.

    Raises `InputError` for more tokens in a row than `most`, and for no `most`.

    >>> drawn = torch.tensor([[True, True, False], [True, True, True]])
    >>> token_weights(drawn, torch.tensor([True, False]), "grpo", 4).tolist()
    [[0.5, 0.5, 0.0], [0.0, 0.0, 0.0]]
    >>> token_weights(drawn, torch.tensor([True, True]), "dr_grpo", 4)[0].tolist()
    [0.125, 0.125, 0.0]
    """
    lengths = drawn.sum(dim=1)
    if most < 1 or (lengths.numel() and int(lengths.max()) > most):
        raise InputError(
            f"A sample has {int(lengths.max()) if lengths.numel() else 0} tokens where most is {most}; give the most "
            "tokens that sampling allowed."
        )
    counted = drawn & kept[:, None]
    if normalisation == "grpo":
        each = 1.0 / (counted.any(dim=1).sum().clamp(min=1) * lengths.clamp(min=1)).float()
        return counted * each[:, None]
    whole = len(drawn) * most if normalisation == "dr_grpo" else int(counted.sum())
    return counted / float(max(whole, 1))


def policy_loss(
    new: Float[Tensor, "rows tokens"],
    old: Float[Tensor, "rows tokens"],
    advantages: Float[Tensor, "rows"],
    weights: Float[Tensor, "rows tokens"],
    ratio: Ratio,
    reference: Float[Tensor, "rows tokens"] | None = None,
) -> Loss:
    """Σ w ℓ of some samples of a batch: see above.

    new, old, reference: log-probabilities of the drawn tokens (nats), now, when they were drawn, and of the reference;
    what stands where w is 0 is not read. weights: `token_weights` of the whole batch, for these rows.

    Raises `InputError` for a beta without a reference.

    >>> one = torch.zeros(1, 2)
    >>> float(policy_loss(one, one, torch.tensor([3.0]), torch.full((1, 2), 0.5), Ratio()).loss)
    -3.0
    """
    if ratio.beta > 0 and reference is None:
        raise InputError(f"beta is {ratio.beta:g} and there is no reference to stay near; give one, or beta 0.")
    used = weights > 0
    # Where nothing is read there may be anything, infinities too, and 0 · ∞ would spoil sum and gradient.
    change = (new - old).masked_fill(~used, 0.0)
    if ratio.level == "sequence":
        change = (change.sum(dim=1) / used.sum(dim=1).clamp(min=1))[:, None].expand_as(change)
    times = change.exp()
    gain = advantages[:, None]
    plain, held = times * gain, times.clamp(1 - ratio.low, 1 + ratio.high) * gain
    each = -torch.minimum(plain, held)
    nothing = torch.zeros((), dtype=new.dtype, device=new.device)
    kl = nothing
    if reference is not None:
        apart = k3(new.masked_fill(~used, 0.0), reference.masked_fill(~used, 0.0))
        each = each + ratio.beta * apart
        kl = apart.detach().masked_fill(~used, 0.0).sum()
    clipped = ((held < plain) & used).sum().to(new.dtype)
    return Loss((weights * each).sum(), clipped, kl)


def k3(new: Float[Tensor, "*some"], reference: Float[Tensor, "*some"]) -> Float[Tensor, "*some"]:
    """exp(δ) − δ − 1 with δ = reference − new: how far two log-probabilities of a token are apart, in nats.

    >>> float(k3(torch.tensor(0.0), torch.tensor(0.0)))
    0.0
    """
    apart = reference - new
    return torch.expm1(apart) - apart

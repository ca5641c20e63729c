"""Advantages: how much better each of several samples of a prompt did than expected.

Rewards are r_pi, of sample i of prompt p; G samples a prompt, N = P·G in all. A is what multiplies ∇ log π(sample):

    reinforce   A_pi = r_pi
    centred     A_pi = r_pi − mean over the batch
    rloo        A_pi = r_pi − mean of the other G − 1 samples of p
    grpo        A_pi = (r_pi − mean_p) / (std_p + 1e-4)
    dr_grpo     A_pi = r_pi − mean_p

**What is expected of A ∇ log π.** Samples are independent given their prompts, so only the share of a baseline that is
the sample's own reward changes the mean: reinforce and rloo have the gradient of the expected reward itself, dr_grpo
(1 − 1/G) of it and centred (1 − 1/N) of it, which a learning rate makes up for. grpo has another gradient: dividing by
a prompt's spread weighs prompts by how unsure the policy is of them (few correct or few wrong samples weigh more), and
is biased within a prompt as well, for std_p is of the same samples (Liu et al. 2025, §3.1; measured in
tests/laws/test_reinforcement.py).

**Groups without spread.** Where all samples of a prompt have the same reward, rloo, grpo and dr_grpo have nothing to
say: A is exactly 0, and `taught` is False so that such groups are left out and counted. reinforce and centred still
learn from them, and leaving them out would bias both.

Sources: Williams (1992), REINFORCE, Machine Learning 8; Kool, van Hoof & Welling (2019), "Buy 4 REINFORCE samples, get
a baseline for free!", and Ahmadian et al. (2024), arXiv 2402.14740 (rloo); Shao et al. (2024), arXiv 2402.03300,
§4.1.2 (grpo); Liu et al. (2025), arXiv 2503.20783, §3.2 (dr_grpo). Shao et al. do not say which standard deviation: it
is the one with G − 1 below, and 1e-4 is added, as in TRL.
"""

from typing import Literal, NamedTuple, TypeAlias

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from surefoot.errors import InputError

__all__ = ["Advantages", "Estimator", "advantages"]

Estimator: TypeAlias = Literal["reinforce", "centred", "rloo", "grpo", "dr_grpo"]

RELATIVE = ("rloo", "grpo", "dr_grpo")
"""Those that compare a sample with the other samples of its prompt."""
SPREAD_ADDED = 1e-4


class Advantages(NamedTuple):
    """values: A of each sample. flat: prompts whose samples all have one reward. taught: prompts to learn from."""

    values: Float[Tensor, "prompts group"]
    flat: Bool[Tensor, "prompts"]
    taught: Bool[Tensor, "prompts"]


def advantages(rewards: Float[Tensor, "prompts group"], estimator: Estimator) -> Advantages:
    """The advantage of each sample, by one of the equations above.

    Raises `InputError` for rewards that are not finite, no reward at all, and one sample a prompt where samples are
    compared.

    >>> rewards = torch.tensor([[1.0, 0.0, 0.0, 1.0], [1.0, 1.0, 1.0, 1.0]])
    >>> found = advantages(rewards, "rloo")
    >>> [round(value, 3) for value in found.values[0].tolist()]
    [0.667, -0.667, -0.667, 0.667]
    >>> found.taught.tolist()
    [True, False]
    """
    prompts, group = rewards.shape
    if not rewards.numel():
        raise InputError(f"There are {prompts} prompts with {group} rewards each; give at least one of both.")
    if not bool(torch.isfinite(rewards).all()):
        bad = int((~torch.isfinite(rewards)).sum())
        raise InputError(f"{bad} of {rewards.numel()} rewards are not finite; give every sample a number, such as 0.")
    if estimator in RELATIVE and group < 2:
        raise InputError(
            f"The estimator {estimator} compares the samples of a prompt and there is one of each; draw at least 2, or "
            "use centred."
        )
    flat = rewards.amax(dim=1) == rewards.amin(dim=1)
    if estimator == "reinforce":
        return Advantages(rewards.clone(), flat, torch.ones_like(flat))
    if estimator == "centred":
        return Advantages(rewards - rewards.mean(), flat, torch.ones_like(flat))
    values = rewards - rewards.mean(dim=1, keepdim=True)
    if estimator == "rloo":  # r − (Σ − r)/(G − 1) = (r − mean)·G/(G − 1)
        values = values * (group / (group - 1))
    elif estimator == "grpo":
        values = values / (rewards.std(dim=1, keepdim=True, correction=1) + SPREAD_ADDED)
    # What rounding leaves of equal rewards is no advantage; grpo would multiply it by ten thousand.
    return Advantages(values.masked_fill(flat[:, None], 0.0), flat, ~flat)

"""Published learning rates, frictions and temperatures as the step h and decay γ of `dynamics.py`.

Each function below states the published update in its own letters, for a *sum* log density S(θ) over all N rows plus
log prior. surefoot samples exp(S/T) with the temperature T in the density and unit noise; with p = m/√T,

    m ← γ m + h ∇S + √(2 T (1 − γ)) ξ,        θ ← θ + h m        is
    p ← γ p + h√T ∇(S/T) + √(2 (1 − γ)) ξ,    θ ← θ + h√T p

so a step is multiplied by √T when the temperature moves from the noise to the density: give the `Posterior` that
temperature. T = 0 is no sampler; use `ascend`. Steps found here are in the parameters themselves; `whitened` divides
them by the prior's standard deviation, for positions in whitened coordinates.
"""

import math
from typing import NamedTuple

from surefoot.errors import InputError

__all__ = [
    "Dynamics",
    "decay_of",
    "friction_of",
    "from_friction",
    "from_mean_density",
    "from_mean_loss",
    "from_root_rate",
    "whitened",
]


class Dynamics(NamedTuple):
    """h and γ, for a density that holds the temperature."""

    step: float
    decay: float


def decay_of(friction: float) -> float:
    """γ = 1 − friction. "Momentum" names γ in some codes and the friction in others.

    >>> decay_of(0.75)
    0.25
    """
    return 1.0 - _share("friction", friction, 1.0)


def friction_of(decay: float) -> float:
    """1 − γ, the share of momentum that a step loses."""
    return 1.0 - _share("decay", decay, 1.0)


def from_root_rate(rate: float, decay: float = 0.0) -> Dynamics:
    """m ← γ m + √ε ∇S + √(2 (1 − γ)) ξ,  θ ← θ + √ε m: h = √ε.

    S is already divided by T there. The rate of `bnn_hmc`'s SGLD (γ = 0) and SGHMC, preconditioned or not.

    Source: Izmailov et al. (2021), published code.

    >>> from_root_rate(1e-6, 0.9)
    Dynamics(step=0.001, decay=0.9)
    """
    return Dynamics(math.sqrt(_positive("rate", rate)), _share("decay", decay, 1.0))


def from_friction(rate: float, friction: float, temperature: float = 1.0) -> Dynamics:
    """b ← (1 − a) b + η ∇S + √(2 η a T) ξ,  θ ← θ + b: h = √(ηT), γ = 1 − a.

    Their "momentum" is the friction a: 0.9 keeps a tenth. As b = √η m, the rate is the square of a step here too. Some
    codes let a = 0 mean SGLD: that is a = 1 here.

    Source: Chen et al. (2014), eq. 15, with η and a of its authors; Kapoor et al. (2022), published code.

    >>> from_friction(1e-6, friction=0.75, temperature=0.25)
    Dynamics(step=0.0005, decay=0.25)
    """
    if friction == 0:
        raise InputError(
            "The friction is 0, which codes of this convention take for SGLD: give a friction of 1, or use Sgld."
        )
    return Dynamics(math.sqrt(_positive("rate", rate) * _positive("temperature", temperature)), decay_of(friction))


def from_mean_loss(rate: float, rows: int, decay: float, temperature: float = 1.0) -> Dynamics:
    """m ← γ m + h ∇S + √(2 T (1 − γ)) ξ,  θ ← θ + h m  with h = √(η/N): the step is √(ηT/N).

    η is then what SGD with momentum γ would call its learning rate for the mean loss −S/N.

    Source: Wenzel et al. (2020), app. A.1; Marek et al. (2024), published code.

    >>> from_mean_loss(0.04, rows=400, decay=0.98)
    Dynamics(step=0.01, decay=0.98)
    """
    if rows < 1:
        raise InputError(f"rows is {rows}; give the number of rows that the mean loss is over.")
    rates = _positive("rate", rate) * _positive("temperature", temperature)
    return Dynamics(math.sqrt(rates / rows), _share("decay", decay, 1.0))


def from_mean_density(rate: float, temperature: float, friction: float | None = None) -> Dynamics:
    """A mean log density S/N, sampled at temperature τ (1/N for the posterior itself): give the density T = Nτ.

        SGLD     θ ← θ + ε ∇S/N + √(2ετ) ξ                                        h = √(ετ), γ = 0
        SGHMC    m ← (1 − εα) m + ε ∇S/N + √(2εατ) ξ,  θ ← θ + ε m (the old m)    h = ε√τ, γ = 1 − εα

    friction: α; SGLD when absent. SGLD's trajectories are the same. SGHMC's there moves by the momentum of before the
    step, so it sees each gradient one step later: the two agree as h → 0, and its bias in the variance is of first
    order in h where that of `dynamics.py` is of second.

    Source: the library posteriors, `sgmcmc/sgld.py` and `sgmcmc/sghmc.py` (β = 0).

    >>> from_mean_density(0.25, temperature=0.01)
    Dynamics(step=0.05, decay=0.0)
    """
    heat = _positive("temperature", temperature)
    if friction is None:
        return Dynamics(math.sqrt(_positive("rate", rate) * heat), 0.0)
    lost = _positive("rate", rate) * _positive("friction", friction)
    return Dynamics(rate * math.sqrt(heat), decay_of(lost))


def whitened(step: float, deviation: float) -> float:
    """The step in coordinates u = (θ − centre)/deviation that moves θ as `step` moves θ itself.

    >>> whitened(0.01, deviation=0.125)
    0.08
    """
    return _positive("step", step) / _positive("deviation", deviation)


def _positive(name: str, value: float) -> float:
    if not (math.isfinite(value) and value > 0):
        raise InputError(f"The {name} is {value}; give a positive number.")
    return value


def _share(name: str, value: float, top: float) -> float:
    if not 0 <= value <= top:
        raise InputError(f"The {name} is {value}; give a number from 0 to {top:g}.")
    return value

"""Temperatures: three different things that the literature calls by one letter.

| name | target density | elsewhere |
|---|---|---|
| posterior | [p(y given θ) p(θ)]^{1/T} | "cold posterior"; the noise variance of stochastic-gradient samplers |
| likelihood | p(y given θ)^{1/T} p(θ) | "likelihood tempering", laplace-torch's `temperature` |
| logit | softmax(z/T) | temperature scaling |

Source: Wenzel et al. (2020), "How good is the Bayes posterior in deep neural networks really?".
"""

import math

from surefoot.errors import InputError

__all__ = ["check_temperatures"]


def check_temperatures(posterior: float, likelihood: float, logit: float) -> None:
    """Raise `InputError` unless all are positive numbers and at most one differs from one.

    >>> check_temperatures(0.1, 1.0, 1.0)
    """
    named = {"posterior_temperature": posterior, "likelihood_temperature": likelihood, "logit_temperature": logit}
    for name, value in named.items():
        if not (math.isfinite(value) and value > 0):
            raise InputError(f"{name} is {value}; give a positive number (1 is the posterior itself).")
    told = {name: value for name, value in named.items() if value != 1}
    if len(told) > 1:
        given = ", ".join(f"{name} = {value:g}" for name, value in told.items())
        raise InputError(
            f"{given} were given at once, and are different things: the posterior's divides likelihood and prior, the "
            "likelihood's the likelihood alone, the logits' the outputs; set one. With a prior N(0, σ²), posterior "
            "temperature T equals likelihood temperature T with the prior N(0, σ²T)."
        )

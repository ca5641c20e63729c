"""Posteriors of small networks, and their compiled targets."""

from collections.abc import Sequence

import torch

from surefoot.density.functional import Functional
from surefoot.density.likelihoods import categorical
from surefoot.density.objective import Posterior
from surefoot.density.priors import Gaussian, Prior
from surefoot.inference.small.target import SmallTarget, small_target
from surefoot.inference.targets.evidence import make_evidence
from surefoot.inference.targets.mlp import make_mlp_target
from surefoot.inference.targets.mlp_shape import mlp_of
from surefoot.networks.build import build_mlp
from surefoot.rows.rows import Rows, make_rows

UNIT = Gaussian(precision=1.0)


def rows_of(count: int, features: int, classes: int, *, soft: bool = False, weighted: bool = False) -> Rows:
    generator = torch.Generator().manual_seed(count)
    inputs = torch.randn(count, features, generator=generator, dtype=torch.float64)
    hard = torch.randint(classes, (count,), generator=generator)
    hard[:classes] = torch.arange(classes)[:count]
    targets = torch.rand(count, classes, generator=generator, dtype=torch.float64) if soft else hard
    weights = torch.rand(count, generator=generator) if weighted else None
    return make_rows(inputs, targets, classes=[str(label) for label in range(classes)], weights=weights)


def target_of(posterior: Posterior, rows: Rows, dtype: torch.dtype) -> SmallTarget:
    layers = mlp_of(posterior.network, rows.inputs[:])
    assert layers is not None
    return small_target(make_mlp_target(layers, make_evidence(posterior, rows, dtype)))


def posterior_of(
    widths: Sequence[int],
    prior: Prior = UNIT,
    *,
    functional: Functional | None = None,
    posterior_temperature: float = 1.0,
    likelihood_temperature: float = 1.0,
    logit_temperature: float = 1.0,
) -> Posterior:
    return Posterior(
        build_mlp(widths[0], widths[1:-1], widths[-1], seed=0),
        categorical,
        prior,
        posterior_temperature,
        likelihood_temperature,
        logit_temperature,
        functional,
    )


def positions(target: SmallTarget, chains: int = 2, seed: int = 1) -> torch.Tensor:
    return torch.randn(chains, target.size, generator=torch.Generator().manual_seed(seed)).to(target.dtype)

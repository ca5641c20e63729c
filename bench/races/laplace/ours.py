"""Our side: `expand`, then 100 steps on `evidence_of`."""

from collections.abc import Callable
from typing import Any

import numpy as np
from work import climbed, shared

from surefoot.density.likelihoods import categorical
from surefoot.density.objective import Posterior
from surefoot.density.priors import Gaussian
from surefoot.evidence.laplace.evidence import evidence_of
from surefoot.evidence.laplace.expand import expand
from surefoot.networks.network import Network, parameters_of
from surefoot.rows.rows import make_rows


def prepare(parameters: dict[str, Any]) -> Callable[[], dict[str, np.ndarray]]:
    work = shared(parameters)
    network = Network(work.module, str(len(work.module) - 1))
    posterior = Posterior(network, categorical, Gaussian(1.0))
    rows = make_rows(work.inputs, work.targets)
    mode = parameters_of(network)

    def race() -> dict[str, np.ndarray]:
        expansion = expand(posterior, rows, mode, structure=work.structure, part=work.part)
        tensors = len(expansion.sizes) if work.layerwise else 1
        return climbed(lambda own: evidence_of(expansion, own if work.layerwise else own[0]), tensors)

    return race

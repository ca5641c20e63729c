"""Our side: `ascend` on the demo's CNN, AdamW, one cycle."""

from collections.abc import Callable
from typing import Any

import numpy as np
from work import shared

from surefoot.density.likelihoods import categorical
from surefoot.density.objective import Objective
from surefoot.density.pools import mean
from surefoot.inference.ascend import Ascend, ascend
from surefoot.networks.network import parameters_of


def prepare(parameters: dict[str, Any]) -> Callable[[], dict[str, np.ndarray]]:
    network, rows = shared(parameters)
    start = parameters_of(network)
    settings = Ascend(
        epochs=parameters["epochs"],
        batch=parameters["batch"],
        optimiser="adamw",
        rate=3e-3,
        weight_decay=0.01,
        schedule="one_cycle",
        shuffle=False,
    )

    def work() -> dict[str, np.ndarray]:
        draws = ascend(Objective(network, categorical, mean), rows, start, 0, settings)
        return {name: tensor.numpy() for name, tensor in draws.point().items()}

    return work

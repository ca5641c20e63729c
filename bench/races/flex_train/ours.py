"""Our side: one flexible transformer, viewed at each size in turn, as `ascend` with `Drawn` does."""

from collections.abc import Callable
from typing import Any

import numpy as np
from start import flexible
from work import race_of

from surefoot.networks.flexible import FlexibleViT, at_patch


def prepare(parameters: dict[str, Any]) -> Callable[[], Callable[[], dict[str, np.ndarray]]]:
    network = flexible(parameters)
    module = network.module.train()
    assert isinstance(module, FlexibleViT)
    models = {
        patch: (lambda images, patch=patch: at_patch(network, patch).module(images)) for patch, _ in parameters["rows"]
    }
    return race_of(models, list(module.parameters()), module.blocks[0].expand.weight, parameters)

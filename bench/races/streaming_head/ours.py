"""Our side: `stream_head` from the mapped file; standardisation folded into the products."""

from collections.abc import Callable
from typing import Any

import numpy as np
from work import shared

from surefoot.networks.product import measure_product, use_product
from surefoot.robust.softmax.stream import StreamSettings, stream_head


def prepare(parameters: dict[str, Any]) -> Callable[[], dict[str, np.ndarray]]:
    features, targets = shared(parameters)
    use_product(measure_product().name)
    settings = StreamSettings(batch=parameters["batch"], epochs=parameters["epochs"])

    def work() -> dict[str, np.ndarray]:
        head = stream_head(features, targets, parameters["classes"], settings, seed=0).head
        return {"logits": head.logits(features[:200]).numpy(), "weight": head.weight.numpy()}

    return work

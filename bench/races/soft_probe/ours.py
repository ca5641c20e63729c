"""Our side: `fit_soft_probe` until the training loss is what the published loop reached."""

from collections.abc import Callable
from typing import Any

import numpy as np
from work import answer, shared

from surefoot.networks.product import measure_product, use_product
from surefoot.supervise.soft_probe import fit_soft_probe


def prepare(parameters: dict[str, Any]) -> Callable[[], dict[str, np.ndarray]]:
    work = shared(parameters)
    use_product(measure_product().name)

    def race() -> dict[str, np.ndarray]:
        until = parameters["reached"]["loss"]
        probe = fit_soft_probe(work.features, work.labels, parameters["penalty"], until=until)
        said = probe.head.logits(work.test).argmax(dim=1)
        return answer(probe.loss, float((said == work.truth).float().mean()), parameters)

    return race

"""Our side: the whole grid at once, as `afr` does it."""

from collections.abc import Callable
from typing import Any

import numpy as np
from work import grid, shared

from surefoot.networks.product import measure_product, use_product
from surefoot.robust.afr import afr_weights
from surefoot.robust.afr_descent import Descent, descend
from surefoot.robust.head import LinearHead
from surefoot.robust.protocol import Material
from surefoot.rows.rows import Groups, make_rows


def prepare(parameters: dict[str, Any]) -> Callable[[], dict[str, np.ndarray]]:
    given = shared(parameters)
    use_product(measure_product().name)
    members = given.choose.groups[:, None] == given.choose.groups.unique()
    groups = Groups(tuple(f"group {number}" for number in range(members.shape[1])), members)
    repair = Material("repair", make_rows(given.repair[0], given.repair[1]), given.repair[0], given.repair[1])
    choose = Material("choose", make_rows(given.choose[0], given.choose[1]), given.choose[0], given.choose[1])
    base = LinearHead(given.weight, given.bias)
    settings = grid(parameters)
    gammas = tuple(dict.fromkeys(gamma for gamma, _ in settings))
    descent = Descent(tuple(parameters["penalties"]), parameters["steps"], parameters["rate"], 1.0)
    compared = parameters["peer_settings"]

    def work() -> dict[str, np.ndarray]:
        probabilities = base.probabilities(repair.features).gather(1, repair.targets[:, None])[:, 0]
        weights = afr_weights(probabilities, repair.targets, gammas, 2, True)
        path = descend(repair, choose, groups, base, weights, descent)
        best = int(path.worst.argmax())  # the first of equals
        change = path.change[compared]
        heads = np.concatenate(
            [(base.weight + change[:, :, :-1]).numpy(), (base.bias + change[:, :, -1])[:, :, None].numpy()], axis=2
        )
        return {
            "selected": np.array(best),
            "steps": path.step[compared].numpy(),
            "worst": path.worst[compared].numpy(),
            "heads": heads,
        }

    return work

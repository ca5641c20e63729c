"""Our side: `sghmc` on the target that `make_target` chooses, with the product path that studies would take."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from work import (
    CNN,
    MLP,
    VARIANCE_BATCH,
    VARIANCE_DECAY,
    VARIANCE_STEP,
    VARIANCE_STEPS,
    Work,
    answer,
    regression,
    shared,
    variance,
)

from surefoot.density.batch import Batch
from surefoot.density.likelihoods import categorical
from surefoot.density.objective import Posterior
from surefoot.density.priors import Gaussian
from surefoot.density.regression import GaussianNoise
from surefoot.inference.langevin.dynamics import sghmc
from surefoot.inference.langevin.schedules import Constant
from surefoot.inference.langevin.settings import Sghmc
from surefoot.inference.targets.make import make_target
from surefoot.networks.build import build_cnn, build_linear, build_mlp
from surefoot.networks.product import measure_product, use_product
from surefoot.rows.rows import Rows, make_rows

UNIT = Gaussian(precision=1.0)


def prepare(parameters: dict[str, Any]) -> Callable[[], dict[str, np.ndarray]]:
    use_product(measure_product().name)
    work = shared(parameters)
    posterior, rows = problem(work)
    target = make_target(posterior, rows)
    start = target.position({name: torch.from_numpy(array)[None] for name, array in work.start.items()})
    settings = Sghmc(Constant(draws=1, step=work.step, thin=work.steps), decay=work.decay, batch=128)
    spread = checked()

    index = torch.from_numpy(work.batch)
    slope = torch.empty_like(start)
    batch = Batch(rows.inputs[index], rows.targets[index], rows.weights[index], rows.groups.members[index])
    named = {name: torch.from_numpy(array) for name, array in work.start.items()}
    with torch.no_grad():
        density = float(posterior.minibatch_log_density(named, batch, len(rows)))

    def race() -> dict[str, np.ndarray]:
        sghmc(target, start, work.seed, settings, seen=frozenset())
        target.minibatch_gradient(start, index[None], slope)
        # Positions are the parameters themselves under N(0, 1), in the target's own order.
        return answer(density, {name: t[0].numpy() for name, t in target.parameters(slope).items()}, spread)

    return race


def problem(work: Work) -> tuple[Posterior, Rows]:
    classes = [str(label) for label in range(10)]
    inputs, targets = torch.from_numpy(work.inputs), torch.from_numpy(work.targets)
    if work.network == "mlp":
        network = build_mlp(64, [shape[0] for shape in MLP.values()][:-1], 10, seed=0)
    else:
        inputs = inputs.view(-1, 1, 8, 8)
        network = build_cnn((1, 8, 8), (CNN["conv1"][0], CNN["conv2"][0]), CNN["hidden"][0], 10, seed=0)
    return Posterior(network, categorical, UNIT), make_rows(inputs, targets, classes=classes)


def checked() -> np.ndarray:
    """The stationary variance, on a posterior that is known."""
    known = regression()
    rows = make_rows(torch.from_numpy(known.inputs), torch.from_numpy(known.targets))
    target = make_target(
        Posterior(build_linear(known.inputs.shape[1], 1, seed=0), GaussianNoise(known.noise), UNIT), rows
    )
    pacing = Constant(draws=VARIANCE_STEPS // 10, step=VARIANCE_STEP, thin=10)
    settings = Sghmc(pacing, decay=VARIANCE_DECAY, batch=VARIANCE_BATCH)
    drawn = sghmc(target, torch.zeros(1, target.size), 0, settings, seen=frozenset()).as_draws().parameters
    return variance(np.hstack([drawn["head.weight"].flatten(1).numpy(), drawn["head.bias"].numpy()]), known)

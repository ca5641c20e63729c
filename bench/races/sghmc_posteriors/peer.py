"""The peer: `posteriors.sghmc` on `functional_call`, updated in place, over the batches of a shuffled epoch."""

import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

# The library's own, of its dependency's coming defaults.
warnings.filterwarnings("ignore", category=FutureWarning)

# ruff: noqa: E402
import posteriors
import torch
from torch import Tensor, func, nn
from work import (
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


def prepare(parameters: dict[str, Any]) -> Callable[[], dict[str, np.ndarray]]:
    work = shared(parameters)
    torch.manual_seed(work.seed)
    network, inputs = build(work)
    data = (inputs, torch.from_numpy(work.targets))
    density = posterior(network, len(inputs))
    batch = tuple(tensor[torch.from_numpy(work.batch)] for tensor in data)
    spread = checked()

    def start() -> dict[str, Tensor]:
        return {name: torch.from_numpy(array.copy()) for name, array in work.start.items()}

    def race() -> dict[str, np.ndarray]:
        transform = posteriors.sgmcmc.sghmc.build(density, lr=work.step, alpha=(1 - work.decay) / work.step)
        state = transform.init(start())
        for _, rows in zip(range(work.steps), batches(data, 128), strict=False):
            state, _ = transform.update(state, rows, inplace=True)
        slopes, (value, _) = func.grad_and_value(density, has_aux=True)(start(), batch)
        return answer(float(value), {name: slope.numpy() for name, slope in slopes.items()}, spread)

    return race


def build(work: Work) -> tuple[nn.Module, Tensor]:
    inputs, shapes = torch.from_numpy(work.inputs), {name: array.shape for name, array in work.start.items()}

    def linear(name: str) -> nn.Linear:
        return nn.Linear(*reversed(shapes[f"{name}.weight"]))

    def convolution(name: str) -> nn.Conv2d:
        leaving, entering, *_ = shapes[f"{name}.weight"]
        return nn.Conv2d(entering, leaving, 3, padding=1)

    parts: dict[str, nn.Module] = {}
    if work.network == "mlp":
        parts = {"hidden1": linear("hidden1"), "relu1": nn.ReLU(), "hidden2": linear("hidden2"), "relu2": nn.ReLU()}
    else:
        inputs = inputs.view(-1, 1, 8, 8)
        for layer in ("conv1", "conv2"):
            parts |= {layer: convolution(layer), f"{layer}_relu": nn.ReLU(), f"{layer}_pool": nn.MaxPool2d(2)}
        parts |= {"flatten": nn.Flatten(), "hidden": linear("hidden"), "relu": nn.ReLU()}
    network = nn.Sequential()
    for name, part in {**parts, "head": linear("head")}.items():
        network.add_module(name, part)
    return network, inputs


def posterior(network: nn.Module, rows: int) -> Callable:
    """log likelihood of all rows as estimated from a batch, plus log prior, in nats, so at temperature 1."""

    def log_posterior(parameters: dict[str, Tensor], batch: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        inputs, targets = batch
        outputs = func.functional_call(network, parameters, inputs)
        prior = posteriors.diag_normal_log_prob(parameters)
        return prior - rows * nn.functional.cross_entropy(outputs, targets), outputs

    return log_posterior


def batches(data: tuple[Tensor, ...], size: int) -> Iterator[tuple[Tensor, ...]]:
    """Every row once an epoch, the last few left out; slices of tensors, not a DataLoader, which would be slower."""
    while True:
        order = torch.randperm(len(data[0]))
        for start in range(0, len(order) - size + 1, size):
            rows = order[start : start + size]
            yield tuple(tensor[rows] for tensor in data)


def checked() -> np.ndarray:
    """The stationary variance, on a posterior that is known."""
    known = regression()
    data = (torch.from_numpy(known.inputs), torch.from_numpy(known.targets))

    def log_posterior(parameters: dict[str, Tensor], batch: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        misses = batch[1] - batch[0] @ parameters["weight"] - parameters["bias"]
        likelihood = -0.5 * len(data[0]) * misses.square().mean() / known.noise**2
        return likelihood + posteriors.diag_normal_log_prob(parameters), misses

    alpha = (1 - VARIANCE_DECAY) / VARIANCE_STEP
    transform = posteriors.sgmcmc.sghmc.build(log_posterior, lr=VARIANCE_STEP, alpha=alpha)
    state = transform.init({"weight": torch.zeros(known.inputs.shape[1]), "bias": torch.zeros(1)})
    draws: list[Tensor] = []
    for step, rows in zip(range(VARIANCE_STEPS), batches(data, VARIANCE_BATCH), strict=False):
        state, _ = transform.update(state, rows, inplace=True)
        if step % 10 == 9:
            draws.append(torch.cat([state.params["weight"], state.params["bias"]]).clone())
    return variance(torch.stack(draws).numpy(), known)

"""What many draws say of each row's target: log p(y_j | x_j, w_s), and the losses that are made of it.

Of one matrix `[draws, rows]` come the loss of the averaged prediction, that of a draw taken at random, and (summed over
rows first) the conditional evidence; so the network runs once for all three. The likelihood is the posterior's own,
with its logit temperature, in float64.

A draw w is put through the network, z(x; w), or through the network linearised at the mode,

    z(x; θ*) + J(x) (w − θ*)        J = ∂z/∂θ at θ*

by two passes backward a draw and batch. The Gauss–Newton matrix is the curvature of the second, and draws of its
normal distribution, put through a network with hidden layers itself, predict far worse.

Source: Immer, Korzepa and Bauer (2021), Improving predictions of Bayesian neural nets via local linearization.
"""

import math
from collections.abc import Callable, Iterator
from typing import Literal, TypeAlias

import torch
from jaxtyping import Float64
from torch import Tensor

from surefoot.density.objective import Posterior
from surefoot.errors import InputError
from surefoot.inference.chains.chains import Chains
from surefoot.inference.draws import Draws
from surefoot.inference.predict.predictive import Categorical, add_outputs, empty_tally
from surefoot.inference.predict.running import Runner, as_chains, make_runner, prepare, run
from surefoot.memory import require_memory
from surefoot.networks.network import Parameters, forward
from surefoot.progress import Progress, silent
from surefoot.rows.rows import Rows

__all__ = ["Way", "average_accuracy", "average_losses", "gibbs_losses", "likelihoods_of"]

Way: TypeAlias = Literal["network", "linearised"]
"""What a draw is put through: the network itself, or the network linearised at the mode."""


def likelihoods_of(
    posterior: Posterior,
    rows: Rows,
    draws: Chains | Draws,
    *,
    mode: Parameters | None = None,
    scale: float = 1.0,
    way: Way = "network",
    batch: int = 512,
    progress: Progress = silent,
) -> Float64[Tensor, "draws rows"]:
    """log p(y_j | x_j, θ* + t (w_s − θ*)) in nats, in the order of `Chains.points`; θ* is `mode`, t the `scale`.

    way: what the draws are put through. Raises `InputError` for a scale that is not positive, and where a mode is
    needed (for a scale, linearised draws, or tensors that the draws lack) and not given.

    >>> from surefoot.density.likelihoods import categorical
    >>> from surefoot.density.priors import Gaussian
    >>> from surefoot.networks.build import build_linear
    >>> from surefoot.rows.rows import make_rows
    >>> posterior = Posterior(build_linear(1, 2, seed=0), categorical, Gaussian(1.0))
    >>> point = {"head.weight": torch.zeros(3, 2, 1), "head.bias": torch.zeros(3, 2)}
    >>> rows = make_rows(torch.ones(2, 1), torch.tensor([0, 1]))
    >>> likelihoods_of(posterior, rows, Draws(point, (), frozenset())).exp().tolist()
    [[0.5, 0.5], [0.5, 0.5], [0.5, 0.5]]
    """
    chains = as_chains(draws)
    count = chains.chains * chains.draws
    require_memory(3 * 8 * count * len(rows), f"The likelihoods of {count} draws for {len(rows)} rows")
    values = torch.empty(count, len(rows), dtype=torch.float64)
    for number, place, outputs in _outputs(posterior, rows, chains, mode, scale, way, batch):
        values[number, place] = posterior.row_log_density(outputs, rows.targets[place])
        if place.stop == len(rows):
            progress("evaluating draws", number + 1, count)
    return values


def average_losses(likelihoods: Float64[Tensor, "draws rows"]) -> Float64[Tensor, "rows"]:
    """−log (1/S) Σ_s p(y_j | x_j, w_s): the loss of the averaged prediction (`model_average_nll` of a `Predictive`).

    >>> round(average_losses(torch.tensor([[0.25], [0.75]], dtype=torch.float64).log()).exp().item(), 12)
    2.0
    """
    return math.log(len(likelihoods)) - likelihoods.logsumexp(dim=0)


def gibbs_losses(likelihoods: Float64[Tensor, "draws rows"]) -> Float64[Tensor, "rows"]:
    """−(1/S) Σ_s log p(y_j | x_j, w_s): the loss of one draw taken at random; never less than the average's.

    >>> gibbs_losses(torch.tensor([[-1.0], [-2.0]], dtype=torch.float64)).tolist()
    [1.5]
    """
    return -likelihoods.mean(dim=0)


def average_accuracy(
    posterior: Posterior,
    rows: Rows,
    chains: Chains,
    mode: Parameters | None,
    scale: float,
    way: Way = "network",
    batch: int = 512,
) -> float:
    """Of the averaged prediction, under the posterior's logit temperature."""
    family, tally = Categorical(posterior.logit_temperature), None
    for _, place, outputs in _outputs(posterior, rows, chains, mode, scale, way, batch):
        tally = empty_tally(len(rows), outputs.shape[1]) if tally is None else tally
        add_outputs(tally, place, family.logits(outputs))
    assert tally is not None
    return float((tally.log_sum.argmax(dim=1) == rows.targets).double().mean())


def _outputs(
    posterior: Posterior, rows: Rows, chains: Chains, mode: Parameters | None, scale: float, way: Way, batch: int
) -> Iterator[tuple[int, slice, Tensor]]:
    """The number of a draw, places of rows, and the outputs there in float64."""
    if batch < 1:
        raise InputError(f"batch is {batch}; give at least one row a step.")
    if not (math.isfinite(scale) and scale > 0):
        raise InputError(f"scale is {scale}; give a positive multiple of the standard deviations.")
    if mode is None and (scale != 1 or way == "linearised"):
        asked = way if scale == 1 else f"scaled by {scale:g}"
        raise InputError(
            f"Draws are to be {asked} and there is no mode from which deviations could be measured; give mode=."
        )
    runner = make_runner(posterior.network, rows.inputs, "cpu", mode)
    for number, point in enumerate(chains.points()):
        outputs_of = _put_through(runner, point, mode, scale, way, f"Draw {number + 1}")
        for first in range(0, len(rows), batch):
            place = slice(first, min(first + batch, len(rows)))
            yield number, place, outputs_of(rows.inputs[place]).double()


def _put_through(
    runner: Runner, point: Parameters, mode: Parameters | None, scale: float, way: Way, where: str
) -> Callable[[Tensor], Tensor]:
    """Inputs → outputs of one draw."""
    if mode is None or way == "network":
        parameters = prepare(runner, point if mode is None else _scaled(point, mode, scale))
        return lambda inputs: run(runner, parameters, inputs, where)
    centre = prepare(runner, mode)
    moved = {
        name: (scale * (tensor.double() - mode[name].double())).to(centre[name])
        for name, tensor in point.items()
        if tensor.is_floating_point() and not torch.equal(tensor, mode[name])
    }

    def linearised(inputs: Tensor) -> Tensor:
        plain = run(runner, centre, inputs, where)
        change = _forward_derivative(runner, centre, moved, inputs) if moved else torch.zeros_like(plain)
        if not bool(change.isfinite().all()):
            raise InputError(f"{where} predicts numbers that are NaN or infinite; mend the inputs, or the mode.")
        return plain.double() + change.double()

    return linearised


def _forward_derivative(runner: Runner, centre: Parameters, moved: Parameters, inputs: Tensor) -> Tensor:
    """J v, as the derivative of Jᵀu by u in the direction v: two passes backward, which every layer has."""
    values = inputs.to(next(iter(moved.values()))) if inputs.is_floating_point() else inputs
    with torch.enable_grad():
        own = {name: centre[name].detach().requires_grad_() for name in moved}
        outputs = forward(runner.network, {**centre, **own}, values)
        sent = torch.zeros_like(outputs, requires_grad=True)
        back = torch.autograd.grad(outputs, list(own.values()), sent, create_graph=True, materialize_grads=True)
        (change,) = torch.autograd.grad(back, sent, list(moved.values()), materialize_grads=True)
    return change


def _scaled(point: Parameters, mode: Parameters, scale: float) -> Parameters:
    """θ* + t (w − θ*), of the tensors that are numbers."""
    if scale == 1:
        return point
    return {
        name: (mode[name].double() + scale * (tensor.double() - mode[name].double())).to(tensor.dtype)
        if tensor.is_floating_point()
        else tensor
        for name, tensor in point.items()
    }

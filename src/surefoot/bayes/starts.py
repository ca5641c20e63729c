"""Where chains begin, and on what: a head over standardised features, or a whole network over its rows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from jaxtyping import Float
from torch import Tensor

from surefoot.bayes.settings import BayesSettings
from surefoot.networks.build import build_linear
from surefoot.networks.network import Network, Parameters, parameters_of
from surefoot.networks.spec import network_from_spec
from surefoot.robust.head import LinearHead
from surefoot.robust.scaler import Scaler, fit_scaler
from surefoot.rows.rows import Rows

__all__ = ["Begun", "begin_head", "begin_network", "unfolded"]

STRIDE = 1000
"""Between the seeds of two runs, so that no chain starts where another run's did."""


@dataclass(frozen=True)
class Begun:
    """What is sampled, the rows that it is given, and a start for each chain.

    scaler: for a head, how its features were standardised.
    """

    network: Network
    rows: Rows
    starts: Sequence[Parameters]
    scaler: Scaler | None = None


def begin_head(features: Rows, head: LinearHead, settings: BayesSettings, seed: int) -> Begun:
    """A linear head over features that are standardised over these very rows, as its prior is meant for.

    head: the trained one, where chains begin if they begin at it.
    """
    scaler = fit_scaler(features.inputs[:])
    rows = features.with_inputs(scaler.apply(features.inputs[:]).float())
    width, classes = rows.inputs[:].shape[1], len(rows.classes)
    if settings.start == "trained":
        weight, bias = unfolded(head, scaler)
        starts = [{"head.weight": weight.float(), "head.bias": bias.float()}] * settings.starts
    else:
        starts = [parameters_of(build_linear(width, classes, each)) for each in _seeds(settings, seed)]
    return Begun(build_linear(width, classes, seed), rows, starts, scaler)


def begin_network(
    network: Network, parameters: Parameters, spec: Mapping[str, Any], rows: Rows, settings: BayesSettings, seed: int
) -> Begun:
    """A whole network, from new initial weights for each chain, or all from the trained ones.

    spec: what builds it anew; code of a user's own has been trusted before.
    """
    if settings.start == "trained":
        return Begun(network, rows, [parameters] * settings.starts)
    networks = [network_from_spec(spec, seed=each, trust_code=True) for each in _seeds(settings, seed)]
    return Begun(network, rows, [parameters_of(each) for each in networks])


def unfolded(head: LinearHead, scaler: Scaler) -> tuple[Float[Tensor, "classes features"], Float[Tensor, "classes"]]:
    """The head on standardised features equal to `head` on raw ones: W' = W σ, b' = b + W m.

    >>> import torch
    >>> scaler = Scaler(torch.tensor([3.0]), torch.tensor([2.0]), torch.tensor([False]))
    >>> weight, bias = unfolded(LinearHead(torch.tensor([[2.0], [0.0]]), torch.tensor([0.0, 1.0])), scaler)
    >>> weight.tolist(), bias.tolist()
    ([[4.0], [0.0]], [6.0, 1.0])
    """
    mean, scale = scaler.mean.to(head.weight), scaler.scale.to(head.weight)
    return head.weight * scale, head.bias + head.weight @ mean


def _seeds(settings: BayesSettings, seed: int) -> range:
    return range(STRIDE * seed + 1, STRIDE * seed + 1 + settings.starts)

"""The functions that draws are, at a few inputs: what function-space diagnostics look at."""

from typing import Literal

import torch
from jaxtyping import Float64
from torch import Tensor

from surefoot.errors import InputError
from surefoot.inference.chains.chains import Chains
from surefoot.inference.draws import Draws
from surefoot.inference.predict.normal import Normal, moments_of
from surefoot.inference.predict.predictive import Categorical
from surefoot.inference.predict.running import as_chains, make_runner, prepare, run
from surefoot.memory import require_memory
from surefoot.networks.network import Network, Parameters
from surefoot.rows.rows import Inputs

__all__ = ["function_values"]


def function_values(
    network: Network,
    chains: Chains | Draws,
    inputs: Inputs,
    family: Literal["categorical"] | Categorical | Normal = "categorical",
    *,
    fixed: Parameters | None = None,
    batch: int = 512,
    device: str = "cpu",
) -> Float64[Tensor, "draws chains values"]:
    """Every draw's softmax probabilities at `inputs`, row after row; or its means, where the family is `Normal`.

    family, fixed: as for `predict`, the posterior's logit temperature in `Categorical` and what the draws lack.
    All draws are held, so this is for a few hundred rows. Raises `InputError` like `predict`, and when the values would
    not fit into memory.

    >>> from torch import nn
    >>> network = Network(nn.Sequential(nn.Linear(1, 2)), "0")
    >>> draws = Draws({"0.weight": torch.zeros(3, 2, 1), "0.bias": torch.zeros(3, 2)}, (), frozenset())
    >>> tuple(function_values(network, draws, torch.ones(5, 1)).shape)
    (3, 1, 10)
    """
    draws = as_chains(chains)
    if batch < 1:
        raise InputError(f"batch is {batch}; give at least one row a step.")
    runner = make_runner(network, inputs, device, fixed)
    told = Categorical() if family == "categorical" else family
    values = torch.empty(0, dtype=torch.float64)
    for number, point in enumerate(draws.points()):
        draw, chain = divmod(number, draws.chains)
        parameters = prepare(runner, point)
        said: list[Tensor] = []
        for start in range(0, len(inputs), batch):
            outputs = run(runner, parameters, inputs[start : start + batch], f"Draw {draw + 1} of chain {chain + 1}")
            categorical = isinstance(told, Categorical)
            said.append(told.logits(outputs).softmax(dim=1) if categorical else moments_of(told, outputs).mean)
        flat = torch.cat(said).flatten()
        if number == 0:
            shape = (draws.draws, draws.chains, len(flat))
            require_memory(8 * draws.draws * draws.chains * len(flat), f"{shape} values of functions")
            values = torch.empty(shape, dtype=torch.float64)
        values[draw, chain] = flat
    return values

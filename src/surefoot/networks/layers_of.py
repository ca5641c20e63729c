"""Any layer's output as features: how much is known, and where in the network does it get lost?

The mean over pixels of a convolution's channels, the mean over tokens of a transformer's, is one vector a row; so
layers of any shape can be probed alike. The head's name stands for what enters it (`embed`).
"""

from collections.abc import Sequence
from difflib import get_close_matches

import torch
from jaxtyping import Float
from torch import Tensor, nn

from surefoot.errors import InputError
from surefoot.networks.network import Network, Parameters, embed, forward
from surefoot.rows.rows import Rows

__all__ = ["embed_layers", "layer_names", "pooled"]

SILENT = (nn.Flatten, nn.Identity, nn.Dropout)
"""Layers that change nothing a linear probe could see."""


def layer_names(network: Network) -> tuple[str, ...]:
    """The module's own layers in the order in which it defines them, those that change nothing left out; then the head.

    >>> from surefoot.networks.build import build_cnn
    >>> layer_names(build_cnn((1, 8, 8), (4,), hidden=3, classes=2, seed=0))
    ('conv1', 'pool1', 'relu1', 'hidden', 'hidden_relu', 'head')
    """
    children = [name for name, part in network.module.named_children() if not isinstance(part, SILENT)]
    return (*(name for name in children if name != network.head), network.head)


def embed_layers(
    network: Network, parameters: Parameters, rows: Rows, layers: Sequence[str], *, batch: int = 512
) -> dict[str, Rows]:
    """The rows as each layer sees them, `[rows, features]`, from one pass over the network; evaluation mode.

    layers: dotted names of modules; the output of each, pooled. The head's name means its input. batch: rows a pass.
    Raises `InputError` for a name that the network does not have (with the nearest), for a layer that ran not once or
    gave no tensor, and for features that are NaN or infinite.

    >>> from surefoot.networks.build import build_cnn
    >>> from surefoot.networks.network import parameters_of
    >>> from surefoot.rows.rows import make_rows
    >>> network = build_cnn((1, 8, 8), (4,), hidden=3, classes=2, seed=0)
    >>> rows = make_rows(torch.zeros(5, 1, 8, 8), torch.tensor([0, 1, 0, 1, 0]))
    >>> seen = embed_layers(network, parameters_of(network), rows, ["relu1", "head"])
    >>> {name: tuple(each.inputs[:].shape) for name, each in seen.items()}
    {'relu1': (5, 4), 'head': (5, 3)}
    """
    modules = dict(network.module.named_modules())
    for name in layers:
        if not name or name not in modules:
            close = get_close_matches(name, modules, n=1, cutoff=0)[0]
            raise InputError(
                f'The network has no layer "{name}"; did you mean "{close}"? Its layers are: '
                f"{', '.join(layer_names(network))}."
            )
    parts: dict[str, list[Tensor]] = {name: [] for name in layers}
    for start in range(0, len(rows), batch):
        for name, features in _one_pass(network, parameters, rows.inputs[start : start + batch], layers).items():
            parts[name].append(features)
    joined = {name: torch.cat(each) for name, each in parts.items() if each}
    for name, features in joined.items():
        bad = int((~torch.isfinite(features).all(dim=1)).sum())
        if bad:
            raise InputError(f'The layer "{name}" gave NaN or infinite numbers for {bad} rows; mend the model first.')
    return {name: rows.with_inputs(features) for name, features in joined.items()}


def pooled(output: Float[Tensor, "rows ..."]) -> Float[Tensor, "rows features"]:
    """One vector a row: `[rows, channels, height, width]` is averaged over pixels, `[rows, tokens, width]` over tokens.

    >>> pooled(torch.tensor([[[[1.0, 3.0]], [[0.0, 0.0]]]])).tolist()
    [[2.0, 0.0]]
    """
    if output.ndim == 3:
        return output.mean(dim=1)
    return output.flatten(2).mean(dim=2) if output.ndim > 3 else output.reshape(len(output), -1)


def _one_pass(
    network: Network, parameters: Parameters, inputs: Tensor, layers: Sequence[str]
) -> dict[str, Float[Tensor, "rows features"]]:
    left: dict[str, list[object]] = {name: [] for name in layers if name != network.head}
    hooks = [
        network.module.get_submodule(name).register_forward_hook(
            lambda _module, _entered, output, name=name: left[name].append(output)
        )
        for name in left
    ]
    try:
        with torch.no_grad():
            if network.head in layers:
                entered = embed(network, parameters, inputs)
            else:
                entered = forward(network, parameters, inputs)
    finally:
        for hook in hooks:
            hook.remove()
    features: dict[str, Tensor] = {}
    for name in layers:
        if name == network.head:
            features[name] = entered
            continue
        if len(left[name]) != 1 or not isinstance(left[name][0], Tensor):
            raise InputError(
                f'The layer "{name}" ran {len(left[name])} times in one pass, or returned no tensor; probe a layer '
                "that runs once and returns one."
            )
        output = left[name][0]
        assert isinstance(output, Tensor)
        features[name] = pooled(output)
    return features

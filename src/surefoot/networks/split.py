"""Split a module into the features and the linear head that turns them into logits.

Every repair of a last layer rests on one fact: logits = head(features). It is checked as early as it can be:
by following the module's graph when torch can trace it, on example inputs when some are given, and again on
the first rows whose features are extracted.
"""

import difflib
from collections.abc import Collection

from torch import Tensor, fx, nn

from surefoot.errors import InputError
from surefoot.networks.network import Network, check_head_is_last, parameters_of

__all__ = ["split"]


def split(module: nn.Module, head: str | None = None, example: Tensor | None = None) -> Network:
    """The module as a network whose head is the last `nn.Linear`, or the layer named `head`.

    Without a name, the head is the layer whose result the module returns; if torch cannot trace the module, it
    is the last `nn.Linear` the module defines. `example` inputs `[rows, …]` are run through once, to check.

    Raises `InputError` when there is no such layer, when it is no `nn.Linear`, or when something follows it.

    >>> split(nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2))).head
    '2'
    """
    if isinstance(module, nn.Linear):
        module = nn.Sequential(module)
    layers = {name: part for name, part in module.named_modules() if name}
    linear = [name for name, part in layers.items() if isinstance(part, nn.Linear)]
    if not linear:
        raise InputError(
            f"The model {type(module).__name__} has no nn.Linear layer; its last layer must be an nn.Linear that "
            "returns the logits."
        )
    if head is not None and head not in layers:
        close = difflib.get_close_matches(head, layers, n=1, cutoff=0)[0]
        raise InputError(
            f'The model {type(module).__name__} has no layer "{head}"; did you mean "{close}"? '
            f"Its linear layers are: {', '.join(linear)}."
        )
    if head is not None and head not in linear:
        raise InputError(
            f'The layer "{head}" is a {type(layers[head]).__name__}; a head must be an nn.Linear. '
            f"The model's linear layers are: {', '.join(linear)}."
        )
    last = _last_step(module)
    if last is not None and last != head and (head is not None or last not in linear):
        named = "an nn.Linear layer" if head is None else f'the layer "{head}"'
        raise InputError(
            f"The model {type(module).__name__} returns the result of {last}, not that of {named}; return the logits "
            "of the last nn.Linear as they are, or name another head."
        )
    chosen = head or last or linear[-1]
    network = Network(module, chosen)
    if example is not None:
        check_head_is_last(network, parameters_of(network), example)
    return network


def _last_step(module: nn.Module) -> str | None:
    """The layer or operation whose result the module returns, by name; None when torch cannot trace the module."""
    try:
        graph = fx.Tracer().trace(module)
    except Exception:  # a user's forward may fail on symbols in any way; then example inputs must decide
        return None
    result = graph.output_node().args[0]
    if not isinstance(result, fx.Node):
        return "several things" if isinstance(result, Collection) else repr(result)
    if result.op == "call_module":
        return str(result.target)
    return result.name

"""Networks without batch normalisation, whose rows do not depend on one another: replaced, or folded away.

A posterior needs a likelihood that is a product over rows. Batch normalisation in training makes every row's logits
depend on the others of its batch, and its stored averages belong to the last step, not to a draw. Two ways out:

- `replace_batch_norm`, before training or sampling: normalisation within each row. After `BatchNorm2d` comes filter
  response normalisation, and a ReLU that alone follows it becomes a thresholded linear unit; after `BatchNorm1d` comes
  layer normalisation. It is another network, to be trained anew: weights of the old one are of no use in it.
- `fold_batch_norm`, after training: in evaluation mode a batch norm is an affine map and goes into the layer before.
  It is the same function with fewer parameters, and none of them is an average over rows.
"""

import copy
from collections import Counter
from collections.abc import Mapping
from itertools import pairwise
from typing import NamedTuple, TypeAlias

import torch
from jaxtyping import Float
from torch import Tensor, fx, nn

from surefoot.errors import InputError
from surefoot.networks.layers import FilterResponseNorm, ThresholdedLinear
from surefoot.networks.network import Network, Parameters, forward, parameters_of

__all__ = ["Folded", "batch_norms", "fold_batch_norm", "replace_batch_norm"]

BatchNorm: TypeAlias = nn.BatchNorm1d | nn.BatchNorm2d | nn.BatchNorm3d | nn.SyncBatchNorm
AFFINE = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)


class Folded(NamedTuple):
    """A network without batch norms and the parameters with which it is the same function."""

    network: Network
    parameters: Parameters


def batch_norms(network: Network) -> tuple[str, ...]:
    """The dotted names of the batch normalisation layers, of whatever dimension.

    >>> batch_norms(Network(nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2)), head="2"))
    ('1',)
    """
    return tuple(name for name, part in network.module.named_modules() if isinstance(part, BatchNorm))


def replace_batch_norm(network: Network, example: Float[Tensor, "rows ..."] | None = None) -> Network:
    """A copy whose batch norms are replaced by normalisation within each row; the network given is left as it is.

        BatchNorm2d → FilterResponseNorm (γ = 1, β = 0), and ReLU behind it alone → ThresholdedLinear (τ = 0)
        BatchNorm1d → LayerNorm over the features (γ = 1, β = 0)

    The ReLU is a layer of its own, used once, on what the norm returns and nothing else; a ReLU that is a function or
    is shared stays a ReLU. Where torch cannot trace the module, only neighbours in an `nn.Sequential` are seen.
    `example` inputs are run through the result, to see that each filter response norm has more than one pixel (of one
    it would keep a sign). Names stay, and so does the head; a network without batch norms is only copied.

    Source: Singh and Krishnan (2020), "Filter response normalization layer", section 3; Ba et al. (2016), "Layer
    normalization", eq. 3–4. The FRN of a norm that had no γ and β has them too.

    Raises `InputError` for norms of other dimensions, for `BatchNorm1d` on sequences, and for a layer of one pixel.

    >>> normed = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(16, 2))
    >>> [type(part).__name__ for part in replace_batch_norm(Network(normed, head="4")).module.children()]
    ['Conv2d', 'FilterResponseNorm', 'ThresholdedLinear', 'Flatten', 'Linear']
    """
    module = copy.deepcopy(network.module)
    for name in batch_norms(network):
        norm = module.get_submodule(name)
        if isinstance(norm, nn.BatchNorm2d):
            _set(module, name, FilterResponseNorm(norm.num_features).to(_device(norm)))
        elif isinstance(norm, nn.BatchNorm1d) and not _sequences(module):
            _set(module, name, nn.LayerNorm(norm.num_features).to(_device(norm)))
        else:
            raise InputError(
                f'The layer "{name}" is a {type(norm).__name__}{" of sequences" if _sequences(module) else ""}; only '
                "BatchNorm2d (images) and BatchNorm1d (feature vectors) are replaced: build the network with "
                "nn.GroupNorm there."
            )
    for norm, activation in _activations(network.module).items():
        replaced = module.get_submodule(norm)
        if isinstance(replaced, FilterResponseNorm):
            _set(module, activation, ThresholdedLinear(len(replaced.gamma)).to(replaced.gamma.device))
    result = Network(module.eval(), network.head)
    if example is not None:
        _check_pixels(result, example)
    return result


def fold_batch_norm(network: Network, parameters: Parameters) -> Folded:
    """The same function in evaluation mode, with each batch norm folded into the affine layer before it.

        W' = W · γ / √(σ² + ε),    b' = (b − μ) · γ / √(σ² + ε) + β,    along the output channels

    with the stored averages μ and σ². Computed in float64 and rounded once; the layer before gets a bias, the norm
    becomes `nn.Identity`. Logits agree to rounding, not bit for bit. A folded tensor
    is frozen exactly when all that go into it were: W and γ into W', b, γ and β into b' (W where there are none).

    Raises `InputError` when a norm has no stored averages, when what enters it is not the result of one linear or
    convolutional layer that nothing else reads, and when torch cannot trace the module to see that.

    >>> network = Network(nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2)), head="2")
    >>> sorted(fold_batch_norm(network, parameters_of(network)).parameters)
    ['0.bias', '0.weight', '2.bias', '2.weight']
    """
    names = batch_norms(network)
    module, changed = copy.deepcopy(network.module), dict(parameters)
    if not names:
        return Folded(Network(module.eval(), network.head), changed)
    before = _layers_before(network, names)
    for name, layer in before.items():
        norm, affine = network.module.get_submodule(name), module.get_submodule(layer)
        assert isinstance(norm, BatchNorm)
        assert isinstance(affine, AFFINE)
        _fold(changed, layer, name, norm.eps)
        trained = _trained(affine, norm)
        affine.weight = nn.Parameter(changed[f"{layer}.weight"].detach().clone(), requires_grad=trained.weight)
        affine.bias = nn.Parameter(changed[f"{layer}.bias"].detach().clone(), requires_grad=trained.bias)
        _set(module, name, nn.Identity())
    return Folded(Network(module.eval(), network.head), changed)


class _Trained(NamedTuple):
    """Whether the two folded tensors may be trained."""

    weight: bool
    bias: bool


def _trained(affine: nn.Module, norm: BatchNorm) -> _Trained:
    """A folded tensor is frozen exactly when everything that goes into it was."""
    scale = _may_train(norm, "weight")
    weight = bool(_may_train(affine, "weight")) or bool(scale)
    told = [each for each in (_may_train(affine, "bias"), scale, _may_train(norm, "bias")) if each is not None]
    return _Trained(weight, any(told) if told else weight)


def _may_train(part: nn.Module, name: str) -> bool | None:
    return next((tensor.requires_grad for own, tensor in part.named_parameters(recurse=False) if own == name), None)


def _fold(parameters: Parameters, layer: str, norm: str, eps: float) -> None:
    """Change the tensors of `layer`, and take those of `norm` out."""
    if f"{norm}.running_mean" not in parameters:
        raise InputError(
            f'The batch norm "{norm}" keeps no averages, so that rows depend on one another in evaluation too and it '
            "cannot be folded; use replace_batch_norm and train the network anew."
        )
    held = {part: parameters.pop(f"{norm}.{part}").double() for part in ("running_mean", "running_var")}
    parameters.pop(f"{norm}.num_batches_tracked", None)
    factor = torch.rsqrt(held["running_var"] + eps)
    if f"{norm}.weight" in parameters:
        factor = factor * parameters.pop(f"{norm}.weight").double()
    weight = parameters[f"{layer}.weight"]
    old = parameters[f"{layer}.bias"].double() if f"{layer}.bias" in parameters else torch.zeros_like(factor)
    bias = (old - held["running_mean"]) * factor
    if f"{norm}.bias" in parameters:
        bias = bias + parameters.pop(f"{norm}.bias").double()
    parameters[f"{layer}.weight"] = (weight.double() * factor.reshape(-1, *[1] * (weight.ndim - 1))).to(weight)
    parameters[f"{layer}.bias"] = bias.to(weight)


def _layers_before(network: Network, names: tuple[str, ...]) -> Mapping[str, str]:
    """For each norm the one affine layer whose result it alone reads."""
    graph = _traced(network.module)
    if graph is None:
        raise InputError(
            f"torch cannot trace {type(network.module).__name__} to see what enters its batch norms; build it without "
            "branches that depend on the inputs, or use replace_batch_norm and train it anew."
        )
    calls = Counter(str(node.target) for node in graph.nodes if node.op == "call_module")
    found: dict[str, str] = {}
    for node in graph.nodes:
        if node.op != "call_module" or node.target not in names:
            continue
        source = node.args[0]
        assert isinstance(source, fx.Node)
        layer = str(source.target)
        part, norm = _part(network.module, source), network.module.get_submodule(str(node.target))
        # A norm of as many channels as the layer gives: not one over the positions of a sequence.
        fits = isinstance(part, AFFINE) and isinstance(norm, BatchNorm) and len(part.weight) == norm.num_features
        if not fits or len(source.users) != 1 or calls[layer] != 1 or calls[str(node.target)] != 1:
            raise InputError(
                f'What enters the batch norm "{node.target}" is the result of {source.name}; only the norm of one '
                "linear or convolutional layer that nothing else reads can be folded: use replace_batch_norm and train "
                "the network anew."
            )
        found[str(node.target)] = layer
    unused = [name for name in names if name not in found]
    if unused:
        raise InputError(f'The batch norm "{unused[0]}" is never used; delete it from the module.')
    return found


def _part(module: nn.Module, node: fx.Node) -> nn.Module | None:
    return module.get_submodule(str(node.target)) if node.op == "call_module" else None


def _activations(module: nn.Module) -> Mapping[str, str]:
    """For each `BatchNorm2d` the ReLU layer, used once, that alone reads what it returns."""
    graph = _traced(module)
    if graph is None:
        return _neighbours(module)
    calls = Counter(str(node.target) for node in graph.nodes if node.op == "call_module")
    found: dict[str, str] = {}
    for node in graph.nodes:
        if node.op != "call_module" or not isinstance(module.get_submodule(str(node.target)), nn.BatchNorm2d):
            continue
        readers = list(node.users)
        if len(readers) != 1 or readers[0].op != "call_module" or calls[str(node.target)] != 1:
            continue
        reader = str(readers[0].target)
        if isinstance(module.get_submodule(reader), nn.ReLU) and calls[reader] == 1:
            found[str(node.target)] = reader
    return found


def _neighbours(module: nn.Module) -> Mapping[str, str]:
    """The same, as far as the order in `nn.Sequential` shows it."""
    found: dict[str, str] = {}
    for name, part in module.named_modules():
        if isinstance(part, nn.Sequential):
            inside = [(f"{name}.{key}".lstrip("."), child) for key, child in part.named_children()]
            for (norm, first), (activation, second) in pairwise(inside):
                if isinstance(first, nn.BatchNorm2d) and isinstance(second, nn.ReLU):
                    found[norm] = activation
    return found


def _traced(module: nn.Module) -> fx.Graph | None:
    try:
        return fx.Tracer().trace(module)
    except Exception:  # a user's forward may fail on symbols in any way
        return None


def _check_pixels(network: Network, example: Tensor) -> None:
    """Run `example` through, and refuse a filter response norm that sees one pixel a channel."""
    seen: list[str] = []
    names = {part: name for name, part in network.module.named_modules() if isinstance(part, FilterResponseNorm)}

    def look(part: nn.Module, entered: tuple[Tensor, ...]) -> None:
        if entered[0].shape[2:].numel() == 1:
            seen.append(names[part])  # type: ignore[index]

    hooks = [part.register_forward_pre_hook(look) for part in names]
    try:
        with torch.no_grad():
            forward(network, parameters_of(network), example)
    finally:
        for hook in hooks:
            hook.remove()
    if seen:
        raise InputError(
            f'The filter response norm "{seen[0]}" sees one pixel a channel and would keep only its sign; give larger '
            "images, or build the network with fewer strides."
        )


def _sequences(module: nn.Module) -> bool:
    return any(isinstance(part, nn.Conv1d) for part in module.modules())


def _device(norm: nn.Module) -> torch.device:
    return next((tensor.device for tensor in [*norm.parameters(), *norm.buffers()]), torch.device("cpu"))


def _set(module: nn.Module, name: str, part: nn.Module) -> None:
    parent, _, last = name.rpartition(".")
    setattr(module.get_submodule(parent), last, part)

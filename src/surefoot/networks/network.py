"""A network is a pure forward function; a backbone splits into features and a linear head.

Parameters travel beside the network, never inside it: `forward(network, parameters, inputs)`. So the same
network can be run with a trained point, with many posterior draws, or under `torch.func`.

Modes. `forward` and `embed` run the module in evaluation mode: dropout is off and batch normalisation uses its
stored averages, so rows do not influence each other. Training passes `training=True`; dropout then draws from
torch's global generator, and batch normalisation updates its averages *in place in the tensors of
`parameters`*. None of the architectures built here has either, so for them both modes are the same function.

Threads. torch lends the parameters to the module while it runs, so calls take turns (one lock); results do not
depend on who else is calling. Backward passes and processes are not affected.
"""

import threading
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.func import functional_call

from surefoot.errors import InputError
from surefoot.files import digest_json, digest_tensor

__all__ = [
    "HeadTensors",
    "Network",
    "Parameters",
    "Prepared",
    "check_head_is_last",
    "digest_parameters",
    "embed",
    "forward",
    "forward_prepared",
    "head_of",
    "parameters_of",
    "prepare",
    "with_head",
]

Parameters: TypeAlias = dict[str, Tensor]
"""Named tensors: every parameter and buffer of the module, by its dotted name."""

_TURN = threading.RLock()


@dataclass(frozen=True)
class Network:
    """A module used as a function. Features are whatever enters the head.

    module: the whole model, logits out. Its own tensors are only the starting values.
    head: the dotted name of the final `nn.Linear` inside `module`.
    """

    module: nn.Module
    head: str


class Slot(NamedTuple):
    """Where a module keeps a tensor, `owner[key]`, and the name that it has among `Parameters`."""

    owner: dict[str, Tensor | None]
    key: str
    name: str


@dataclass(frozen=True)
class Prepared:
    """A network whose tensors' places are looked up, for passes that take little longer than the search for them.

    parts: all its modules. It speaks of the module as it was; prepare anew once a tensor or a layer was replaced.
    """

    network: Network
    parts: tuple[nn.Module, ...]
    slots: tuple[Slot, ...]


class HeadTensors(NamedTuple):
    """The last layer: logits = features · weightᵀ + bias."""

    weight: Float[Tensor, "classes features"]
    bias: Float[Tensor, "classes"]


def forward(
    network: Network, parameters: Parameters, inputs: Tensor, *, training: bool = False
) -> Float[Tensor, "rows classes"]:
    """Logits of `inputs` under `parameters`, in evaluation mode unless `training`."""
    with _TURN:
        return _run(network, parameters, inputs, training)


def prepare(network: Network) -> Prepared:
    """The network with the places of its tensors; one that several layers share has a place in each, and one name."""
    first: dict[int, str] = {}
    slots: list[Slot] = []
    for prefix, part in network.module.named_modules():
        for owner in (vars(part)["_parameters"], vars(part)["_buffers"]):
            for key, tensor in owner.items():
                if tensor is not None:
                    name = first.setdefault(id(tensor), f"{prefix}.{key}" if prefix else key)
                    slots.append(Slot(owner, key, name))
    return Prepared(network, tuple(network.module.modules()), tuple(slots))


def forward_prepared(prepared: Prepared, parameters: Parameters, inputs: Tensor) -> Tensor:
    """`forward` in evaluation mode; names that the network does not know are ignored.

    >>> network = Network(nn.Sequential(nn.Linear(3, 2)), head="0")
    >>> parameters = {"0.weight": torch.zeros(2, 3), "0.bias": torch.tensor([1.0, 2.0])}
    >>> forward_prepared(prepare(network), parameters, torch.ones(1, 3)).tolist()
    [[1.0, 2.0]]
    """
    module, slots = prepared.network.module, prepared.slots
    with _TURN:
        if any(part.training for part in prepared.parts):
            module.eval()
        own = [slot.owner[slot.key] for slot in slots]
        try:
            for owner, key, name in slots:
                owner[key] = parameters[name]
            return module(inputs)
        finally:
            for (owner, key, _), tensor in zip(slots, own, strict=True):
                owner[key] = tensor


def embed(network: Network, parameters: Parameters, inputs: Tensor) -> Float[Tensor, "rows features"]:
    """Features: exactly the tensor that enters the head, in evaluation mode.

    Raises `InputError` when the head is not used exactly once, or not on one feature vector a row.

    >>> network = Network(nn.Sequential(nn.Linear(3, 2), nn.ReLU(), nn.Linear(2, 2)), head="2")
    >>> tuple(embed(network, parameters_of(network), torch.zeros(5, 3)).shape)
    (5, 2)
    """
    return _through_head(network, parameters, inputs).entered


def check_head_is_last(network: Network, parameters: Parameters, inputs: Tensor) -> Float[Tensor, "rows features"]:
    """The features of `inputs`, once it is sure that the logits are what the head returned, with nothing after it.

    A new head learned on features can only replace the old one when this holds. Raises `InputError` otherwise.
    """
    with torch.no_grad():
        passed = _through_head(network, parameters, inputs)
    logits = passed.logits
    if logits is not passed.left and not (logits.shape == passed.left.shape and torch.equal(logits, passed.left)):
        raise InputError(
            f'The layer "{network.head}" is not the last step of the model: its outputs {_shape(passed.left)} are '
            f"changed before they leave as {_shape(logits)}; return the logits of the last nn.Linear as they are, "
            "or name another head."
        )
    return passed.entered


def parameters_of(network: Network) -> Parameters:
    """A copy of the module's own parameters and buffers."""
    named = [*network.module.named_parameters(), *network.module.named_buffers()]
    return {name: tensor.detach().clone() for name, tensor in named}


def head_of(network: Network, parameters: Parameters) -> HeadTensors:
    """The head's weight and bias among `parameters`; a head without a bias has one of zeros."""
    weight = parameters[f"{network.head}.weight"]
    bias = parameters.get(f"{network.head}.bias")
    return HeadTensors(weight, torch.zeros_like(weight[:, 0]) if bias is None else bias)


def with_head(
    network: Network,
    parameters: Parameters,
    weight: Float[Tensor, "classes features"],
    bias: Float[Tensor, "classes"],
) -> Parameters:
    """`parameters` with another head, rounded to the precision of the old one; the rest is shared.

    Raises `InputError` when the shape differs, or when a bias is given that the head has no place for.

    >>> network = Network(nn.Sequential(nn.Linear(3, 2)), head="0")
    >>> changed = with_head(network, parameters_of(network), torch.zeros(2, 3), torch.tensor([1.0, 2.0]))
    >>> forward(network, changed, torch.zeros(1, 3)).tolist()
    [[1.0, 2.0]]
    """
    old = parameters[f"{network.head}.weight"]
    if weight.shape != old.shape or len(bias) != len(old):
        raise InputError(
            f'The head "{network.head}" has {len(old)} classes and {old.shape[1]} features; the new one has '
            f"{len(weight)} classes, {weight.shape[1]} features and {len(bias)} biases. Give a head of the same shape."
        )
    changed = {**parameters, f"{network.head}.weight": weight.detach().to(old)}
    if f"{network.head}.bias" in parameters:
        changed[f"{network.head}.bias"] = bias.detach().to(old)
    elif bool(bias.any()):
        raise InputError(
            f'The head "{network.head}" has no bias and the new one does; build the last nn.Linear with bias=True, '
            "or give a bias of zeros."
        )
    return changed


def digest_parameters(parameters: Parameters) -> str:
    """sha256 over names, types, shapes and bytes; the order of the names does not matter."""
    return digest_json({name: digest_tensor(tensor) for name, tensor in parameters.items()})


class _Passed(NamedTuple):
    entered: Tensor
    left: Tensor
    logits: Tensor


def _through_head(network: Network, parameters: Parameters, inputs: Tensor) -> _Passed:
    """One forward pass, keeping what entered and what left the head."""
    passed: list[tuple[Tensor, Tensor]] = []

    def keep(_: nn.Module, entered: tuple[Tensor, ...], left: Tensor) -> None:
        passed.append((entered[0], left))

    with _TURN:
        hook = network.module.get_submodule(network.head).register_forward_hook(keep)
        try:
            logits = _run(network, parameters, inputs, training=False)
        finally:
            hook.remove()
    if len(passed) != 1:
        raise InputError(
            f'The layer "{network.head}" ran {len(passed)} times in one pass of the model; '
            "a head must run exactly once: name another one."
        )
    entered, left = passed[0]
    if entered.ndim != 2:
        raise InputError(
            f'The layer "{network.head}" receives {_shape(entered)}; a head must receive [rows, features], '
            "one vector a row: pool before it, or name another head."
        )
    return _Passed(entered, left, logits)


def _run(network: Network, parameters: Parameters, inputs: Tensor, training: bool) -> Tensor:
    module, parts = network.module, tuple(network.module.modules())
    if any(part.training != training for part in parts):
        module.train(training)
    places = [place for part in parts for place in (vars(part)["_parameters"], vars(part)["_buffers"]) if place]
    own = [dict(place) for place in places]
    try:
        return functional_call(module, parameters, (inputs,), strict=True)
    finally:
        # torch 2.13 leaves what it lent in a layer that stands in the module under two names.
        for place, tensors in zip(places, own, strict=True):
            place.update(tensors)


def _shape(tensor: Tensor) -> str:
    return f"[{', '.join(map(str, tensor.shape))}]"

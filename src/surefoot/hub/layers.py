"""One pass of a model, and what its layers say: any number of them, each pooled to one vector a row."""

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any, NamedTuple, cast

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from surefoot.errors import InputError
from surefoot.hub.encoder import OUTPUT, Encoder, Reader
from surefoot.hub.packed import Packed
from surefoot.hub.readers import TextReader
from surefoot.rows.rows import Inputs
from surefoot.rows.texts import Texts

__all__ = ["Head", "check_layers", "find_head", "layer_features", "own_layer"]


class Head(NamedTuple):
    """The name of a classifier's last linear layer; whether it reads every token (a decoder's), not one vector."""

    name: str
    of_tokens: bool


def own_layer(encoder: Encoder) -> str:
    """The layer whose features are the encoder's own: what enters its head, or its pooled output."""
    return encoder.head or OUTPUT


def check_layers(encoder: Encoder, layers: Sequence[str]) -> None:
    """Raise `InputError` for a layer that the model does not have (naming near ones) or that has random weights."""
    names = [name for name, _ in encoder.module.named_modules() if name]
    own = own_layer(encoder)
    if len(set(layers)) != len(layers):
        raise InputError(f"A layer is named twice in {', '.join(layers)}; name each once.")
    for name in layers:
        if name != own and name not in names:
            near = get_close_matches(name, [own, *names], n=3, cutoff=0.3) or names[-3:]
            raise InputError(
                f'{encoder.name} has no layer "{name}"; near it are: {", ".join(near)}. Its own features are "{own}".'
            )
        if any(tensor.startswith(f"{name}.") for tensor in encoder.untrained):
            raise InputError(f'The layer "{name}" of {encoder.name} has no trained weights; name another.')


def layer_features(
    encoder: Encoder, module: nn.Module, given: Mapping[str, Tensor], layers: Sequence[str]
) -> dict[str, Float[Tensor, "rows features"]]:
    """The features of each layer for one batch, in float32.

    The head's name means what enters it; another layer's, what leaves it: the mean over a text's tokens (padding left
    out), an image's tokens or pixels, or the class token where the encoder pools so.
    module: `encoder.module`, or what was made of it to run faster.
    """
    caught: dict[str, list[Any]] = {name: [] for name in layers}
    hooks = [
        _entering(module.get_submodule(name), caught[name])
        if name == encoder.head
        else _leaving(module.get_submodule(name), caught[name])
        for name in layers
        if name != OUTPUT or encoder.head is not None
    ]
    try:
        with torch.inference_mode():
            result: Any = module(given[""]) if "" in given else module(**given)
            if encoder.head is None and OUTPUT in layers:
                caught[OUTPUT].append(result.last_hidden_state)
            mask = given.get("attention_mask")
            return {name: _one_vector(encoder, name, _apart(module, caught[name]), mask) for name in layers}
    finally:
        for hook in hooks:
            hook.remove()


def _apart(module: nn.Module, caught: list[Any]) -> list[Any]:
    """Texts as rows, where the model ran them end to end."""
    if not isinstance(module, Packed):
        return caught
    values = [cast("Any", value[0] if isinstance(value, tuple | list) else value) for value in caught]
    return [module.apart(value) if isinstance(value, Tensor) and module.is_packed(value) else value for value in values]


def _entering(part: nn.Module, caught: list[Any]) -> RemovableHandle:
    def keep(_: nn.Module, entered: tuple[Any, ...]) -> None:
        caught.append(entered[0])

    return part.register_forward_pre_hook(keep)


def _leaving(part: nn.Module, caught: list[Any]) -> RemovableHandle:
    def keep(_: nn.Module, entered: Any, left: Any) -> None:
        caught.append(left)

    return part.register_forward_hook(keep)


def _one_vector(encoder: Encoder, name: str, caught: list[Any], mask: Tensor | None) -> Tensor:
    if len(caught) != 1:
        raise InputError(f'The layer "{name}" ran {len(caught)} times in one pass; name a layer that runs once.')
    value = caught[0]
    if isinstance(value, tuple | list):
        value = cast("Sequence[Any]", value)[0]
    if hasattr(value, "last_hidden_state"):
        value = value.last_hidden_state
    if not isinstance(value, Tensor) or value.ndim < 2:
        raise InputError(f'The layer "{name}" gives no tensor with one entry per row; name another.')
    features = _pooled(value.float(), encoder, name, mask)
    own = name == own_layer(encoder)
    return nn.functional.normalize(features, dim=1) if own and encoder.normalise else features


def _pooled(value: Tensor, encoder: Encoder, name: str, mask: Tensor | None) -> Tensor:
    if value.ndim == 2:
        return value
    if value.ndim == 4 and encoder.reads != "texts":
        return value.mean(dim=(2, 3))
    if value.ndim == 3:
        if encoder.pooling == "cls":
            return value[:, 0]
        if encoder.pooling == "last" and mask is not None:
            return _last(value, mask)
        if mask is None:
            return value.mean(dim=1)
        if mask.shape == value.shape[:2]:
            kept = mask.to(value.dtype)
            return torch.einsum("ntd,nt->nd", value, kept) / kept.sum(dim=1, keepdim=True)
    raise InputError(
        f'The layer "{name}" gives {list(value.shape)}, which cannot be pooled to one vector a row; name another.'
    )


def _last(value: Tensor, mask: Tensor) -> Tensor:
    """Of every text the vector of its last attended token."""
    last = (mask * torch.arange(mask.shape[1], device=mask.device)).argmax(dim=1)
    return value[torch.arange(len(value), device=value.device), last]


def _says(entered: Tensor, output: Tensor, logits: Tensor, mask: Tensor | None) -> bool:
    """Whether a linear layer returns the logits: of one vector a row, or of every token with the last one's taken."""
    if entered.ndim == 3 and output.ndim == 3 and mask is not None:
        output = _last(output, mask)
    elif entered.ndim != 2:
        return False
    return output.shape == logits.shape and torch.equal(output, logits)


def find_head(module: nn.Module, reader: Reader, folder: Path) -> Head:
    """The linear layer that returns the logits as they are, found by running one example."""
    inputs: Inputs
    if isinstance(reader, TextReader):
        inputs = Texts((("one", "two"),))
    else:
        inputs = torch.full((2, 3, 64, 64), 0.5)
    left: dict[str, tuple[Tensor, Tensor]] = {}
    hooks = [
        part.register_forward_hook(
            lambda _, entered, output, name=name: left.update({name: (entered[0], output)}) or None
        )
        for name, part in module.named_modules()
        if isinstance(part, nn.Linear)
    ]
    try:
        batch = next(iter(reader.batches(inputs, slice(0, 2))))
        with torch.no_grad():
            logits = module(**batch.given).logits
    except InputError:
        raise
    except Exception as error:  # libraries of others, on files of others: tokenizers alone raises a bare Exception
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
        raise InputError(
            f"The model in {folder} could not read an example ({reason}); its config.json and what prepares its inputs "
            "do not fit each other: copy the whole folder again."
        ) from error
    finally:
        for hook in hooks:
            hook.remove()
    mask = batch.given.get("attention_mask")
    found = [
        Head(name, entered.ndim == 3)
        for name, (entered, output) in left.items()
        if _says(entered, output, logits, mask)
    ]
    if not found:
        raise InputError(
            f"The logits of {type(module).__name__} in {folder} are not those of one nn.Linear on one vector a row; "
            "surefoot repairs such heads alone: name a layer (--layer) to use its features."
        )
    return found[-1]

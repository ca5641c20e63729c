"""A user's own model: code from a file, run only when it is trusted, and weights that are never unpickled."""

import pickle
import struct
import warnings
import zipfile
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from types import ModuleType
from typing import Any, cast

import torch
from torch import Tensor, nn

from surefoot.errors import InputError
from surefoot.files import read_tensors
from surefoot.networks.network import Parameters
from surefoot.networks.user_code import is_beside
from surefoot.networks.user_run import USER_MODULE, run_code, watched

__all__ = ["USER_MODULE", "fit_weights", "load_user_module", "read_foreign_weights"]

# What torch's reader without code raises for files that are damaged, or are made to damage.
UNREADABLE = (
    pickle.UnpicklingError, RuntimeError, EOFError, ValueError, KeyError, OSError, TypeError, AttributeError,
    IndexError, AssertionError, OverflowError, MemoryError, struct.error,
)  # fmt: skip
WRAPPERS = ("state_dict", "model_state_dict", "model")
"""Where checkpoints of training loops keep the weights, beside optimiser states and counters."""


def load_user_module(named: str, trust_code: bool) -> nn.Module:
    """The model that "file.py:Net" names: a class or function called without arguments, or a module itself.

    The file may import its neighbours, modules and packages, by their plain names. They are run anew each time, as
    they are then: an edited file is never an old one, and neighbours of two folders may share a name.

    Raises `InputError` unless the code is trusted, and when the file, the name or the model is not there.
    """
    location, separator, name = named.rpartition(":")
    path = Path(location)
    if not separator or not location or not name.isidentifier():
        raise InputError(f'"{named}" does not name a model in a file; write it as file.py:Net.')
    if not path.is_file():
        raise InputError(f"There is no file {path}; check the path of the model {named}.")
    if not trust_code:
        raise InputError(
            f"{named} is code that would run on this machine; if you trust {path}, pass --trust-code "
            "(in Python: trust_code=True)."
        )
    ran = _run(path)
    public: dict[str, Any] = vars(ran)
    if name not in public:
        defined = [key for key, value in public.items() if isinstance(value, type) and issubclass(value, nn.Module)]
        close = get_close_matches(name, defined, n=1, cutoff=0)
        hint = f'; did you mean "{close[0]}"?' if close else "; it defines no nn.Module."
        raise InputError(f'{path} defines no "{name}"{hint}')
    found = public[name]
    if isinstance(found, nn.Module):
        return found
    if not callable(found):
        raise InputError(f"{named} is a {type(found).__name__}; name a class, a function or an nn.Module.")
    try:
        with watched(ran):
            module = found()
    except InputError:
        raise
    except SystemExit as error:
        raise InputError(f"{named} calls sys.exit when it is built; let it return the model.") from error
    except Exception as error:
        raise InputError(
            f"{named} could not be built without arguments ({type(error).__name__}: {error}); give every argument "
            "a default, or name a function that returns the model."
        ) from error
    if not isinstance(module, nn.Module):
        raise InputError(f"{named}() returned a {type(module).__name__}; it must return an nn.Module.")
    return module


def read_foreign_weights(path: Path) -> Parameters:
    """Named tensors from a `.safetensors`, `.pt`, `.pth` or `.bin` file that another program wrote.

    A checkpoint that keeps them under "state_dict", "model_state_dict" or "model" is opened; a prefix "module."
    on every name (left by data-parallel training) is taken off. Pickled Python objects are refused.
    """
    if not path.is_file():
        raise InputError(f"There is no file {path}; check the path.")
    if path.suffix == ".safetensors":
        return read_tensors(path)
    if path.suffix not in {".pt", ".pth", ".bin"}:
        raise InputError(f"{path} does not hold weights surefoot reads; give a .safetensors, .pt or .pth file.")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # TorchScript archives warn first, then are refused below
            content: object = torch.load(path, map_location="cpu", weights_only=True)
    except UNREADABLE as error:
        if zipfile.is_zipfile(path):
            raise InputError(
                f"{path} holds a pickled Python object, not only tensors, and surefoot never unpickles; save the "
                'weights alone: torch.save(model.state_dict(), "weights.pt").'
            ) from error
        raise InputError(
            f"{path} is not a readable file of torch weights; it may be cut short, or hold pickled objects: write it "
            "again with torch.save(model.state_dict(), …)."
        ) from error
    return _without_prefix(_tensors(path, content))


def fit_weights(module: nn.Module, weights: Parameters, source: str) -> Parameters:
    """`weights` as parameters of `module`, every name, shape and type compared.

    The result is a copy, in memory of its own: a file mapped there may change, and where tensors begin shows in
    the last bits of products. A coarser type is widened, which is exact (float16 to float32); a finer one is not
    rounded but refused. Buffers that a module does not save (`persistent=False`) may be left out and are then the
    module's own.

    Raises `InputError` naming the first tensor that is missing, unknown, or of another shape or type.
    """
    own = {name: tensor.detach().clone() for name, tensor in [*module.named_parameters(), *module.named_buffers()]}
    needed = module.state_dict()
    known = {**own, **needed}
    for name in own:
        if name in needed and name not in weights:
            raise InputError(f'{source} has no tensor "{name}", which the model needs; give weights of this model.')
    for name, tensor in weights.items():
        if name not in known:
            close = get_close_matches(name, known, n=1, cutoff=0)
            hint = f'; the nearest it knows is "{close[0]}".' if close else "."
            raise InputError(f'{source} has a tensor "{name}", which the model does not know{hint}')
        if tensor.shape != known[name].shape:
            raise InputError(
                f'{source} has "{name}" with shape {tuple(tensor.shape)}; the model needs {tuple(known[name].shape)}.'
            )
        if torch.promote_types(tensor.dtype, known[name].dtype) != known[name].dtype:
            raise InputError(
                f'{source} has "{name}" as {tensor.dtype}, finer than the {known[name].dtype} of the model; '
                "convert the weights, or build the model in that precision."
            )
    return {name: weights.get(name, tensor).to(tensor.dtype, copy=True) for name, tensor in own.items()}


def _run(path: Path) -> ModuleType:
    """The module that a user's file becomes."""
    try:
        return run_code(path)
    except InputError:
        raise
    except SystemExit as error:
        raise InputError(
            f"{path} calls sys.exit when it is imported; put that under if __name__ == '__main__'."
        ) from error
    except ModuleNotFoundError as error:
        advice = "mend the file."
        if (first := str(error.name).partition(".")[0]) and is_beside(first, path.resolve().parent):
            advice = f"import it by a statement (import {error.name}), so that a change of it is noticed."
        raise InputError(f"{path} could not be run ({type(error).__name__}: {error}); {advice}") from error
    except Exception as error:
        raise InputError(f"{path} could not be run ({type(error).__name__}: {error}); mend the file.") from error


def _tensors(path: Path, content: object) -> Parameters:
    """The one mapping of names to tensors in what a file holds."""
    if isinstance(content, Mapping):
        mapping = cast("Mapping[Any, Any]", content)
        if mapping and all(isinstance(value, Tensor) for value in mapping.values()):
            return {str(name): tensor.detach() for name, tensor in mapping.items()}
        for key in WRAPPERS:
            if key in mapping:
                return _tensors(path, mapping[key])
    raise InputError(
        f"{path} holds no named tensors; save the weights alone: torch.save(model.state_dict(), …), or keep them "
        f"under one of {', '.join(WRAPPERS)}."
    )


def _without_prefix(weights: Parameters) -> Parameters:
    if all(name.startswith("module.") for name in weights):
        return {name.removeprefix("module."): tensor for name, tensor in weights.items()}
    return weights

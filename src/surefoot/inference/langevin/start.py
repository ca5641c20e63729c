"""What is checked before a run on flat positions starts: the start, room for the draws, and whose run is resumed."""

from collections.abc import Mapping
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from surefoot.errors import InputError
from surefoot.inference.targets.target import Target, Terms
from surefoot.memory import available_memory, human_bytes
from surefoot.networks.network import Parameters

__all__ = ["check_room", "positions_of", "same_density"]


def positions_of(target: Target, start: Parameters | Float[Tensor, "chains size"]) -> Float[Tensor, "chains size"]:
    """A copy of the start, given as positions or as named tensors `[chains, …]`, in the target's type.

    Raises `InputError` for positions of another size or number, and for ones that are not finite.
    """
    given = target.position(dict(start)) if isinstance(start, Mapping) else start
    if given.ndim != 2 or not len(given) or given.shape[1] != target.size:
        raise InputError(
            f"The start has shape {list(given.shape)} and the target's positions have {target.size} numbers; give "
            f"[chains, {target.size}], with at least one chain."
        )
    bad = (~given.isfinite().all(dim=1)).nonzero()
    if len(bad):
        raise InputError(f"The start of chain {int(bad[0]) + 1} is not finite; start every chain at finite numbers.")
    return given.detach().to(target.dtype, copy=True)


def check_room(target: Target, start: Float[Tensor, "chains size"], draws: int) -> None:
    """Raises `InputError` when `draws` draws of each chain would not fit into memory, before any is made."""
    needed, available = draws * start.numel() * start.element_size(), available_memory()
    if needed > available:
        raise InputError(
            f"{draws} draws of {len(start)} chains with {target.size} numbers each need {human_bytes(needed)} of "
            f"memory and {human_bytes(available)} are available; give a folder to keep them on disk, or keep fewer."
        )


def same_density(now: Terms, saved: Float[Tensor, "2 chains"], folder: Path | None) -> None:
    """Raises `InputError` when the density at the start is not what it was when the folder's run began.

    A target is code and cannot be digested; its values at the start say whether it is the same one.
    """
    if not torch.allclose(torch.stack(list(now)).cpu(), saved, rtol=1e-4, atol=1e-6, equal_nan=True):
        raise InputError(
            f"The log density at the start is {[part.tolist() for part in now]} (likelihood, prior), and was "
            f"{saved.tolist()} for the unfinished run in {folder}; sample another posterior into another folder."
        )

"""What is checked before a run on flat positions starts: the start, room for the draws, and whose run is resumed."""

import math
from collections.abc import Mapping
from pathlib import Path

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from surefoot.errors import InputError
from surefoot.inference.targets.target import Target
from surefoot.memory import available_memory, human_bytes
from surefoot.networks.network import Parameters

__all__ = ["check_room", "fingerprint", "positions_of", "same_density"]


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


def fingerprint(target: Target, start: Float[Tensor, "chains size"]) -> Float64[Tensor, "6"]:
    """What tells a density from another one: its values at the first chain's start u and at a fixed place around it.

        log likelihood, log prior at u, and at u' = u + z;  ‖∇(u')‖;  ∇(u')·z        z ~ N(0, 1), always the same

    A target is code and cannot be digested, and a start says too little: at zero, a network that ends in zero weights
    gives the same probabilities whatever its inputs were. At a random place every row has a say.
    """
    first = start[:1]
    noise = torch.randn(first.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).to(first)
    there = first + noise
    gradient = torch.empty_like(there)
    target.gradient(there, gradient)
    terms = torch.stack([*target.terms(first), *target.terms(there)])[:, 0].detach().to("cpu", torch.float64)
    slopes = [gradient.double().norm(), (gradient.double() * noise).sum()]
    return torch.cat([terms, torch.stack(slopes).cpu()])


def same_density(now: Float64[Tensor, "6"], saved: Float64[Tensor, "6"], folder: Path | None) -> None:
    """Raises `InputError` when a target's fingerprint is not the one that the folder's run began with.

    Other numbers of threads round sums differently, so they are compared to a tolerance: a millionth of each log
    density away from the start, which one changed label of 20,000 exceeds, and 10⁻⁴ of the gradient. At the start
    itself, where a trained network's log likelihood may be rounding alone, 10⁻⁴ and at least 10⁻³ nats.
    """
    slope = float(saved[4].abs())
    same = (
        torch.allclose(now[:2], saved[:2], rtol=1e-4, atol=1e-3, equal_nan=True)
        and torch.allclose(now[2:4], saved[2:4], rtol=1e-6, atol=1e-6, equal_nan=True)
        and torch.allclose(
            now[4:], saved[4:], rtol=0.0, atol=1e-4 * slope if math.isfinite(slope) else 0.0, equal_nan=True
        )
    )
    if not same:
        raise InputError(
            f"The log density at the start is {now[:2].tolist()} (likelihood, prior) and {now[2:4].tolist()} near it, "
            f"and was {saved[:2].tolist()} and {saved[2:4].tolist()} for the unfinished run in {folder}, which belongs "
            "to another density; sample another posterior into another folder."
        )

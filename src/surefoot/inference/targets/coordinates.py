"""Whitened coordinates of whole positions: θ = centre + B (s ⊙ u), tensor by tensor, in flat matrices.

All of it is one multiplication where no tensor has a basis or a centre, by one number where all scales are the same.
A prior that knows no whitening is sampled in its own parameters: θ = u.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Float
from torch import Tensor

from surefoot.density.priors import Prior
from surefoot.density.whitening import Whitened, Whitening
from surefoot.errors import InputError
from surefoot.inference.targets.layout import Layout
from surefoot.networks.network import Parameters

__all__ = ["Coordinates", "make_coordinates"]


@dataclass(frozen=True)
class Coordinates:
    """The map between positions u and flat parameters θ of the same layout, and its transpose.

    whitenings: by name, for every tensor of the layout; see `surefoot.density.whitening`. dtype: of all flat matrices.
    """

    layout: Layout
    whitenings: Mapping[str, Whitening]
    dtype: torch.dtype

    @property
    def normal(self) -> bool:
        """Whether u is standard normal under the prior, so that the prior itself need never be asked."""
        return all(whitening.normal for whitening in self.whitenings.values())

    @cached_property
    def log_volume(self) -> float:
        """log |dθ/du| = Σ log s, one term per number of a position."""
        return float(self._flat_scales.log().sum())

    def to_parameters(self, u: Float[Tensor, "chains size"], out: Tensor | None = None) -> Float[Tensor, "chains size"]:
        """θ, written to `out` or to a new matrix."""
        flat = torch.mul(u, self._scale, out=out)
        self._turn(flat, back=False)
        return flat if self._centre is None else flat.add_(self._centre)

    def pull_back(self, gradient: Float[Tensor, "chains size"]) -> Float[Tensor, "chains size"]:
        """∂/∂u from ∂/∂θ, in place: s ⊙ Bᵀ g; the matrix given is returned."""
        self._turn(gradient, back=True)
        return gradient.mul_(self._scale)

    def to_position(self, flat: Float[Tensor, "chains size"]) -> Float[Tensor, "chains size"]:
        """u = Bᵀ(θ − centre) / s, a new matrix."""
        u = flat.to(self.dtype, copy=True) if self._centre is None else flat.to(self.dtype) - self._centre
        self._turn(u, back=True)
        return u.div_(self._scale)

    def _turn(self, flat: Tensor, *, back: bool) -> None:
        """Every vector v that has a basis to B v, or back to Bᵀ v, in place."""
        if not self._bases:
            return
        views = self.layout.views(flat)
        for name, basis in self._bases.items():
            vectors = views[name].reshape(-1, len(basis))
            views[name].copy_((vectors @ (basis if back else basis.T)).view(views[name].shape))

    @cached_property
    def _flat_scales(self) -> Tensor:
        """s for every number of a position, in float64."""
        flat = torch.ones(1, self.layout.size, dtype=torch.float64)
        for name, view in self.layout.views(flat).items():
            scale = self.whitenings[name].scale
            if isinstance(scale, Tensor) and scale.ndim:
                width = len(scale)
                view.copy_(scale.to(torch.float64).expand(view.numel() // width, width).reshape(view.shape))
            else:
                view.fill_(float(scale))
        return flat[0]

    @cached_property
    def _scale(self) -> Tensor:
        """The scales as a vector, or as a single number where all are the same."""
        scales = self._flat_scales
        low, high = scales.aminmax()
        return (low if bool(low == high) else scales).to(self.dtype)

    @cached_property
    def _bases(self) -> Parameters:
        bases = {name: whitening.basis for name, whitening in self.whitenings.items()}
        return {name: basis.to(self.dtype) for name, basis in bases.items() if basis is not None}

    @cached_property
    def _centre(self) -> Tensor | None:
        if all(whitening.centre is None for whitening in self.whitenings.values()):
            return None
        flat = torch.zeros(1, self.layout.size, dtype=self.dtype)
        for name, view in self.layout.views(flat).items():
            centre = self.whitenings[name].centre
            if centre is not None:
                view.copy_(centre)
        return flat[0]


def make_coordinates(prior: Prior, parameters: Parameters, layout: Layout, dtype: torch.dtype) -> Coordinates:
    """The coordinates that `prior` knows, or the parameters' own where it knows none.

    parameters: the trainable tensors, for their names and shapes. Raises `InputError` when the prior leaves one of them
    out (its density would not be proper), and for a whitening that does not fit its tensor.

    >>> from surefoot.density.priors import Gaussian
    >>> from surefoot.inference.targets.layout import plain
    >>> w = {"w": torch.zeros(3)}
    >>> coordinates = make_coordinates(Gaussian(precision=4.0), w, plain(w), torch.float32)
    >>> coordinates.to_parameters(torch.ones(1, 3)).tolist(), coordinates.normal
    ([[0.5, 0.5, 0.5]], True)
    """
    if not isinstance(prior, Whitened):
        own = Whitening(scale=1.0, normal=False)
        return Coordinates(layout, dict.fromkeys(layout.places, own), dtype)
    whitenings = prior.whitening(parameters)
    if silent := [name for name in layout.places if name not in whitenings]:
        raise InputError(
            f"The prior says nothing of {', '.join(silent)}, so there is no posterior of them; give them a prior, or "
            "freeze them with requires_grad_(False)."
        )
    for name, place in layout.places.items():
        _check(name, place.shape, whitenings[name])
    return Coordinates(layout, {name: whitenings[name] for name in layout.places}, dtype)


def _check(name: str, shape: tuple[int, ...], whitening: Whitening) -> None:
    scale, basis, centre, _ = whitening
    if not bool(torch.all(torch.as_tensor(scale) > 0)) or not bool(torch.isfinite(torch.as_tensor(scale)).all()):
        raise InputError(f"The scales of the coordinates of {name} are {scale}; all must be positive and finite.")
    widths = {math.prod(shape[axis:]) for axis in range(len(shape))} | {1}
    width = len(scale) if isinstance(scale, Tensor) and scale.ndim else None
    if basis is not None and (basis.shape[0] not in widths or (width is not None and width != len(basis))):
        raise InputError(
            f"The basis of the coordinates of {name} has shape {list(basis.shape)}; it must turn the last axes of "
            f"{list(shape)}, flattened, and have one scale a direction."
        )
    if basis is None and width is not None and width not in widths:
        raise InputError(f"{name} {list(shape)} has {width} scales; give one, or one per number of its last axes.")
    if centre is not None and tuple(centre.shape) != shape:
        raise InputError(f"The centre of {name} has shape {list(centre.shape)}; the tensor has {list(shape)}.")

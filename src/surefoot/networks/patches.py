"""Patch kernels and positions at another size, exactly: the pseudo-inverse resize, one small factor a side.

Resizing an image is linear, vec(resize(x)) = B vec(x). A patch kernel w of old size becomes the ŵ that says of the
resized patch what w said of the patch,

    ŵ = argmin E_x (⟨x, w⟩ − ⟨Bx, ŵ⟩)²  =  (S^½ Bᵀ)⁺ S^½ w        x of covariance S; (Bᵀ)⁺ w where S is the identity

with equality for every x where B loses nothing (upsampling). Every resize here acts on rows and columns apart,
B = B_h ⊗ B_w, and a pseudo-inverse of such a product is the product of the pseudo-inverses, so that

    Ŵ = P_h W P_wᵀ,    P = (Bᵀ)⁺        from [d, c, h, w] to [d, c, p, q]

needs two factors of a side each in place of one of a whole patch: 48 × 32 numbers, not 2,304 × 1,024.

A covariance of real patches is no such product, so `resize_patches_knowing` has one factor of the whole patch.

Source: Beyer et al. (2023), "FlexiViT: One model for all patch sizes": PI-resize, and its form for a covariance. That
it falls into two factors is ours.

Factors are made in float64 and applied in the kernel's precision, float32 at least, whatever autocast says; a kernel in
half precision comes back in it. Gradients flow to the kernel that is resized: ∂W = P_hᵀ ∂Ŵ P_w.
"""

from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, TypeAlias

import torch
from jaxtyping import Float
from torch import Tensor

from surefoot.errors import InputError

__all__ = [
    "BICUBIC",
    "BICUBIC_SMOOTH",
    "BILINEAR",
    "BILINEAR_SMOOTH",
    "Resampling",
    "Size",
    "patch_covariance",
    "patch_factor",
    "resampling_matrix",
    "resize_patches",
    "resize_patches_knowing",
    "resize_positions",
]

Size: TypeAlias = tuple[int, int]
"""Height and width."""


@dataclass(frozen=True)
class Resampling:
    """How an image is resized along one side: pixel centres at half-integers.

    antialias: when shrinking, the kernel is stretched by the factor, and cut and normalised at the edges; without it,
    taps are those of interpolation, and those outside repeat the edge.
    sharpness: a of Keys's cubic kernel. torch has −.75 without antialiasing and −.5 with it; JAX, TensorFlow and Pillow
    have −.5.

    Raises `InputError` for a sharpness of a kernel that has none.
    """

    form: Literal["bilinear", "bicubic"] = "bilinear"
    antialias: bool = False
    sharpness: float | None = None

    def __post_init__(self) -> None:
        if self.form == "bilinear" and self.sharpness is not None:
            raise InputError(f"A bilinear kernel was given the sharpness {self.sharpness}; only bicubic ones have one.")


BILINEAR = Resampling()
"""Of the published models' patch kernels: TensorFlow's default, as their images are resized."""
BILINEAR_SMOOTH = Resampling(antialias=True)
"""Of their positions: JAX's default."""
BICUBIC = Resampling("bicubic")
BICUBIC_SMOOTH = Resampling("bicubic", antialias=True)


def resize_patches(
    weight: Float[Tensor, "width channels h w"],
    size: Size,
    resampling: Resampling = BILINEAR,
) -> Float[Tensor, "width channels p q"]:
    """Patch kernels at another size; the bias of a patch embedding stays as it is.

    Raises `InputError` for sizes below one.

    >>> weight, patch = torch.randn(1, 1, 4, 4), torch.randn(1, 1, 4, 4)
    >>> larger = torch.nn.functional.interpolate(patch, size=(6, 8), mode="bilinear")
    >>> torch.allclose((larger * resize_patches(weight, (6, 8))).sum(), (patch * weight).sum(), atol=1e-5)
    True
    """
    old = (weight.shape[2], weight.shape[3])
    _check(size, "patch")
    if size == old:
        return weight
    down, across = (patch_factor(old[side], size[side], resampling) for side in (0, 1))
    return _apply(weight, down, across)


def resize_patches_knowing(
    weight: Float[Tensor, "width channels h w"],
    size: Size,
    covariance: Float[Tensor, "pixels pixels"],
    resampling: Resampling = BILINEAR,
) -> Float[Tensor, "width channels p q"]:
    """The same for patches of a known covariance S: Ŵ = (B S Bᵀ)⁺ B S W. It loses less where a patch shrinks.

    covariance: of the h·w pixels of a patch, row by row (`patch_covariance`); its scale does not matter.

    Raises `InputError` for sizes below one, and for a covariance of other pixels.
    """
    old = (weight.shape[2], weight.shape[3])
    _check(size, "patch")
    if covariance.shape != (old[0] * old[1],) * 2:
        raise InputError(
            f"A covariance of {tuple(covariance.shape)} was given for patches of {old[0]} × {old[1]} pixels; estimate "
            "it on patches of the kernel's own size."
        )
    if size == old:
        return weight
    with torch.no_grad(), torch.autocast(weight.device.type, enabled=False):
        matrix = torch.kron(*(resampling_matrix(old[side], size[side], resampling) for side in (0, 1)))
        seen = matrix.to(covariance.device) @ covariance.double()
        factor = torch.linalg.pinv(seen @ matrix.T.to(seen), hermitian=True) @ seen
    kind = torch.promote_types(weight.dtype, torch.float32)
    with torch.autocast(weight.device.type, enabled=False):
        changed = weight.to(kind).flatten(2) @ factor.T.to(weight.device, kind)
    return changed.unflatten(2, size).to(weight.dtype)


def resize_positions(
    positions: Float[Tensor, "rows columns width"], grid: Size, resampling: Resampling = BILINEAR_SMOOTH
) -> Float[Tensor, "new_rows new_columns width"]:
    """Position embeddings of a grid of tokens on another grid: an image of `width` channels, resized.

    >>> tuple(resize_positions(torch.randn(7, 7, 5), (12, 15)).shape)
    (12, 15, 5)
    """
    _check(grid, "grid of positions")
    old = (positions.shape[0], positions.shape[1])
    if grid == old:
        return positions
    down, across = (resampling_matrix(old[side], grid[side], resampling) for side in (0, 1))
    return _apply(positions.permute(2, 0, 1)[None], down, across)[0].permute(1, 2, 0)


@lru_cache(maxsize=256)
def resampling_matrix(old: int, new: int, resampling: Resampling) -> Float[Tensor, "new old"]:
    """B along one side, in float64: `new` pixels of `old` ones. It is not to be written into.

    >>> resampling_matrix(2, 4, BILINEAR).tolist()
    [[1.0, 0.0], [0.75, 0.25], [0.25, 0.75], [0.0, 1.0]]
    """
    _check((old, new), "side")
    ratio = old / new
    with _plain_tensors():
        centres = (torch.arange(new, dtype=torch.float64) + 0.5) * ratio
        if resampling.antialias:
            pixels = torch.arange(old, dtype=torch.float64) + 0.5
            taps = _kernel(resampling)((pixels - centres[:, None]) / max(ratio, 1.0))
            return taps / taps.sum(dim=1, keepdim=True)
        reach = 1 if resampling.form == "bilinear" else 2
        first = (centres - 0.5).floor().long() - reach + 1
        places = first[:, None] + torch.arange(2 * reach)
        taps = _kernel(resampling)(places + 0.5 - centres[:, None])
        matrix = torch.zeros(new, old, dtype=torch.float64)
        return matrix.scatter_add_(1, places.clamp(0, old - 1), taps)


@lru_cache(maxsize=256)
def patch_factor(old: int, new: int, resampling: Resampling) -> Float[Tensor, "new old"]:
    """P = (Bᵀ)⁺ along one side, in float64. It is not to be written into."""
    with _plain_tensors():
        return torch.linalg.pinv(resampling_matrix(old, new, resampling).T)


def patch_covariance(images: Float[Tensor, "rows channels height width"], size: Size) -> Float[Tensor, "pixels pixels"]:
    """The mean of x xᵀ over patches x of `size`, in float64, every half patch and in every channel.

    Not centred: a kernel sees the mean too. Give several times as many patches as a patch has pixels: what a few happen
    not to show is taken for impossible.

    Raises `InputError` for images smaller than a patch, and for patches that are all zero.

    >>> tuple(patch_covariance(torch.rand(2, 3, 32, 32), (16, 8)).shape)
    (128, 128)
    """
    height, width = size
    _check(size, "patch")
    if images.shape[2] < height or images.shape[3] < width:
        raise InputError(
            f"A patch of {height} × {width} pixels is larger than the images of {images.shape[2]} × {images.shape[3]}; "
            "give larger images or a smaller patch."
        )
    windows = images.double().unfold(2, height, max(1, height // 2)).unfold(3, width, max(1, width // 2))
    patches = windows.reshape(-1, height * width)
    if not bool(patches.any()):
        raise InputError("All pixels of these images are zero, which says nothing of patches; give images as they are.")
    return patches.T @ patches / len(patches)


def _apply(images: Tensor, down: Tensor, across: Tensor) -> Tensor:
    """down · image · acrossᵀ of every image, the shrinking side first."""
    kind = torch.promote_types(images.dtype, torch.float32)
    with torch.autocast(images.device.type, enabled=False):
        held = images.to(kind)
        first, second = down.to(held), across.to(held)
        if first.shape[0] * second.shape[1] <= first.shape[1] * second.shape[0]:
            changed = (first @ held) @ second.T
        else:
            changed = first @ (held @ second.T)
        return changed.to(images.dtype)


def _kernel(resampling: Resampling) -> Callable[[Tensor], Tensor]:
    if resampling.form == "bilinear":
        return lambda distance: (1 - distance.abs()).clamp_min(0)
    usual = -0.5 if resampling.antialias else -0.75
    a = usual if resampling.sharpness is None else resampling.sharpness

    def cubic(distance: Tensor) -> Tensor:
        """Keys (1981), "Cubic convolution interpolation for digital image processing", with a free."""
        x = distance.abs()
        near = ((a + 2) * x - (a + 3)) * x * x + 1
        far = ((x - 5) * x + 8) * a * x - 4 * a
        return torch.where(x <= 1, near, torch.where(x < 2, far, torch.zeros_like(x)))

    return cubic


@contextmanager
def _plain_tensors() -> Generator[None]:
    """What is kept is used in training too, and on any device: no inference tensors, and on the CPU."""
    with torch.inference_mode(False), torch.no_grad(), torch.device("cpu"):
        yield


def _check(size: tuple[int, int], what: str) -> None:
    if min(size) < 1:
        raise InputError(f"A {what} of {size[0]} × {size[1]} was asked for; give sides of at least 1.")

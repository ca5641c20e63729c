"""Resizing of patch kernels and positions, against torch's interpolation, the dense pseudo-inverse and the equation."""

import itertools

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from surefoot.errors import InputError
from surefoot.networks.patches import (
    BICUBIC,
    BICUBIC_SMOOTH,
    BILINEAR,
    BILINEAR_SMOOTH,
    Resampling,
    patch_covariance,
    patch_factor,
    resampling_matrix,
    resize_patches,
    resize_patches_knowing,
    resize_positions,
)

ALL = (BILINEAR, BILINEAR_SMOOTH, BICUBIC, BICUBIC_SMOOTH)
SIZES = (48, 40, 30, 24, 20, 16, 15, 12, 10, 8)


def resized(images: Tensor, size: tuple[int, int], how: Resampling) -> Tensor:
    return functional.interpolate(images, size=size, mode=how.form, antialias=how.antialias, align_corners=False)


def dense(old: tuple[int, int], new: tuple[int, int], how: Resampling) -> Tensor:
    """B of whole patches, column by column, in float64."""
    units = torch.eye(old[0] * old[1], dtype=torch.float64).view(-1, 1, *old)
    return resized(units, new, how).flatten(1).T


@pytest.mark.parametrize("how", ALL, ids=str)
def test_the_matrix_is_the_resize_of_the_library(how: Resampling) -> None:
    for old, new in itertools.product((32, 13, 7, 2), (48, 40, 30, 15, 8, 5, 1)):
        units = torch.eye(old, dtype=torch.float64)[:, None, :, None].expand(old, 1, old, 3)
        expected = resized(units, (new, 3), how)[:, 0, :, 0].T
        torch.testing.assert_close(resampling_matrix(old, new, how), expected, atol=1e-13, rtol=0)


def test_cubic_kernels_have_the_constants_of_their_libraries() -> None:
    """Doubled, the taps at an even pixel: −.75 without antialiasing in torch, −.5 with it and in JAX."""
    plain = resampling_matrix(16, 32, BICUBIC)[16, 6:10].tolist()
    smooth = resampling_matrix(16, 32, BICUBIC_SMOOTH)[16, 6:10].tolist()
    assert plain == pytest.approx([-0.03515625, 0.26171875, 0.87890625, -0.10546875])
    assert smooth == pytest.approx([-0.0234375, 0.2265625, 0.8671875, -0.0703125])
    assert resampling_matrix(16, 32, Resampling("bicubic", sharpness=-0.5))[16, 6:10].tolist() == pytest.approx(smooth)


@pytest.mark.parametrize("how", ALL, ids=str)
@pytest.mark.parametrize("size", [(48, 48), (30, 12), (8, 8), (40, 10)], ids=str)
def test_two_factors_are_the_pseudo_inverse_of_the_whole(how: Resampling, size: tuple[int, int]) -> None:
    old = (16, 12)
    weight = torch.randn(2, 3, *old, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    expected = (torch.linalg.pinv(dense(old, size, how).T) @ weight.flatten(2)[..., None]).view(2, 3, *size)
    torch.testing.assert_close(resize_patches(weight, size, how), expected, atol=1e-12, rtol=0)


@pytest.mark.parametrize("how", ALL, ids=str)
def test_a_larger_patch_gives_exactly_the_same_tokens(how: Resampling) -> None:
    generator = torch.Generator().manual_seed(1)
    weight, patches = (torch.randn(5, 3, 8, 8, dtype=torch.float64, generator=generator) for _ in range(2))
    before = torch.einsum("nchw,dchw->nd", patches, weight)
    for size in ((8, 16), (16, 16), (24, 9)):
        after = torch.einsum("nchw,dchw->nd", resized(patches, size, how), resize_patches(weight, size, how))
        torch.testing.assert_close(after, before, atol=1e-12, rtol=0)


@pytest.mark.parametrize("how", ALL, ids=str)
def test_all_pairs_of_twelve_sizes(how: Resampling) -> None:
    """From each to each: as large or larger, the same products; smaller, what is lost is what no patch resized can say.

    Then B (Bᵀ ŵ − w) = 0 on both sides: ŵ solves the normal equations of the least error over white patches.
    """
    sizes = (4, 6, *reversed(SIZES))
    generator = torch.Generator().manual_seed(2)
    assert len(sizes) == 12
    for old, new in itertools.product(sizes, sizes):
        weight, patch = torch.randn(2, 1, 1, old, old, dtype=torch.float64, generator=generator)
        made = resize_patches(weight, (new, new), how)[0, 0]
        if new >= old:
            same = (resized(patch, (new, new), how)[0, 0] * made).sum()
            torch.testing.assert_close(same, (patch * weight).sum(), atol=1e-10, rtol=0)
        else:
            matrix = resampling_matrix(old, new, how)
            left = matrix.T @ made @ matrix - weight[0, 0]
            torch.testing.assert_close(matrix @ left @ matrix.T, torch.zeros_like(made), atol=1e-10, rtol=0)
            assert left.abs().max() > 1e-3


@pytest.mark.parametrize(("how", "new"), [(BILINEAR, 8), (BICUBIC_SMOOTH, 8), (BILINEAR, 12)], ids=str)
def test_a_smaller_patch_has_the_least_error_there_is(how: Resampling, new: int) -> None:
    """E (⟨x, w⟩ − ⟨Bx, ŵ⟩)² = ‖w − Bᵀŵ‖² for white x; its gradient is zero, and interpolation does worse."""
    weight = torch.randn(1, 1, 32, 32, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    small = resize_patches(weight, (new, new), how)
    matrix = resampling_matrix(32, new, how)

    def error(candidate: Tensor) -> Tensor:
        return (weight - matrix.T @ candidate @ matrix).square().sum()

    tried = small.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(error(tried), tried)
    assert gradient.abs().max() < 1e-11
    assert error(small) < error(resized(weight, (new, new), how))
    assert error(small) < error(resized(weight, (new, new), how) * (32 / new) ** 2)


def test_a_covariance_of_pixels_is_weighed() -> None:
    """The gradient of the error under S is zero, it is (S^½ Bᵀ)⁺ S^½ w, and with S = I it is the plain one."""
    generator = torch.Generator().manual_seed(3)
    root = torch.randn(64, 64, dtype=torch.float64, generator=generator)
    covariance = root @ root.T
    weight = torch.randn(2, 1, 8, 8, dtype=torch.float64, generator=generator)
    for size in ((4, 3), (10, 4)):
        found = resize_patches_knowing(weight, size, covariance)
        matrix = dense((8, 8), size, BILINEAR)
        assert ((weight.flatten(2) - found.flatten(2) @ matrix) @ covariance @ matrix.T).abs().max() < 1e-8
        values, vectors = torch.linalg.eigh(covariance)
        half = (vectors * values.sqrt()) @ vectors.T
        expected = weight.flatten(2) @ (torch.linalg.pinv(half @ matrix.T) @ half).T
        torch.testing.assert_close(found.flatten(2), expected, atol=1e-7, rtol=1e-7)
        plain = resize_patches(weight, size)
        unit = resize_patches_knowing(weight, size, 3 * torch.eye(64, dtype=torch.float64))
        torch.testing.assert_close(unit, plain, atol=1e-12, rtol=0)
    assert resize_patches_knowing(weight, (8, 8), covariance) is weight


def test_covariances_are_means_over_patches_and_channels() -> None:
    images = torch.randn(3, 2, 6, 9, generator=torch.Generator().manual_seed(4), dtype=torch.float64)
    patches = [images[n, c, a : a + 4, b : b + 3].flatten() for n in range(3) for c in range(2)
               for a in (0, 2) for b in range(7)]  # fmt: skip
    expected = torch.stack([torch.outer(patch, patch) for patch in patches]).mean(0)
    torch.testing.assert_close(patch_covariance(images, (4, 3)), expected)


def test_smooth_patches_lose_less_when_their_covariance_is_known() -> None:
    """Patches of smooth images, 32 → 8 without antialiasing: taps are few, and what lies between them is known."""
    generator = torch.Generator().manual_seed(5)
    rates = torch.fft.fftfreq(96)[:, None].square() + torch.fft.rfftfreq(96)[None].square()
    noise = torch.fft.rfft2(torch.randn(300, 1, 96, 96, generator=generator)) / (rates.sqrt() + 1 / 96)
    images = torch.fft.irfft2(noise, s=(96, 96))
    weight = torch.randn(20, 1, 32, 32, generator=generator).double()
    judged = images[200:, :, :32, :32].double()
    small = resized(judged, (8, 8), BILINEAR)
    exact = torch.einsum("nchw,dchw->nd", judged, weight)

    def error(kernel: Tensor) -> float:
        said = torch.einsum("nchw,dchw->nd", small, kernel)
        return float((said - exact).square().mean().sqrt() / exact.square().mean().sqrt())

    plain = error(resize_patches(weight, (8, 8)))
    knowing = error(resize_patches_knowing(weight, (8, 8), patch_covariance(images[:200], (32, 32))))
    assert knowing < 0.85 * plain


def test_gradients_reach_the_kernel_that_is_kept() -> None:
    """∂W = P_hᵀ ∂Ŵ P_w; and bilinear 32 → 8 without antialiasing reads two pixels of four, so half of each side."""
    weight = torch.randn(2, 1, 32, 32, dtype=torch.float64, generator=torch.Generator().manual_seed(6)).requires_grad_()
    along = torch.randn(2, 1, 8, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(7))
    resize_patches(weight, (8, 8)).backward(along)
    factor = patch_factor(32, 8, BILINEAR)
    assert weight.grad is not None
    torch.testing.assert_close(weight.grad, factor.T @ along @ factor)
    assert int((weight.grad.abs() > 1e-12).sum()) == 2 * 16 * 16


@pytest.mark.parametrize("size", SIZES)
def test_float32_is_within_a_millionth_of_float64(size: int) -> None:
    weight = torch.randn(16, 3, 32, 32, generator=torch.Generator().manual_seed(8))
    exact = resize_patches(weight.double(), (size, size))
    error = (resize_patches(weight, (size, size)).double() - exact).norm() / exact.norm()
    assert float(error) < 1e-6


def test_halves_are_computed_in_float32_whatever_autocast_says() -> None:
    weight = torch.randn(4, 3, 16, 16, generator=torch.Generator().manual_seed(9))
    exact = resize_patches(weight, (24, 24))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(resize_patches(weight, (24, 24)), exact)
    half = weight.to(torch.bfloat16)
    assert torch.equal(resize_patches(half, (24, 24)), resize_patches(half.float(), (24, 24)).to(torch.bfloat16))


def test_factors_made_without_gradients_serve_training() -> None:
    patch_factor.cache_clear()
    resampling_matrix.cache_clear()
    weight = torch.randn(1, 1, 5, 5)
    with torch.inference_mode():
        resize_patches(weight, (9, 9))
        resize_positions(weight[0], (3, 3))
    kept = weight.requires_grad_()
    resize_patches(kept, (9, 9)).sum().backward()
    resize_positions(kept[0], (3, 3)).sum().backward()
    assert kept.grad is not None
    assert kept.grad.isfinite().all()


@pytest.mark.parametrize("how", ALL, ids=str)
def test_positions_are_an_image_of_many_channels(how: Resampling) -> None:
    positions = torch.randn(7, 7, 11, dtype=torch.float64, generator=torch.Generator().manual_seed(10))
    for grid in ((5, 5), (6, 9), (30, 24)):
        expected = resized(positions.permute(2, 0, 1)[None], grid, how)[0].permute(1, 2, 0)
        torch.testing.assert_close(resize_positions(positions, grid, how), expected, atol=1e-12, rtol=0)


def test_the_size_that_it_has_changes_nothing() -> None:
    weight, positions = torch.randn(2, 1, 6, 7), torch.randn(3, 4, 2)
    assert resize_patches(weight, (6, 7)) is weight
    assert resize_positions(positions, (3, 4)) is positions


def test_what_cannot_be_is_refused() -> None:
    weight = torch.randn(1, 1, 4, 4)
    with pytest.raises(InputError, match="patch of 0 × 4"):
        resize_patches(weight, (0, 4))
    with pytest.raises(InputError, match="grid of positions of 3 × 0"):
        resize_positions(torch.randn(2, 2, 2), (3, 0))
    with pytest.raises(InputError, match="bilinear"):
        Resampling("bilinear", sharpness=-0.5)
    with pytest.raises(InputError, match=r"\(5, 5\).*4 × 4 pixels"):
        resize_patches_knowing(weight, (8, 8), torch.eye(5))
    with pytest.raises(InputError, match="larger than the images"):
        patch_covariance(torch.rand(1, 1, 4, 4), (5, 4))
    with pytest.raises(InputError, match="zero"):
        patch_covariance(torch.zeros(1, 1, 8, 8), (4, 4))

"""Single corruptions against what they must be: moments, exact moves, published tables, other libraries."""

import io
import math

import numpy as np
import pytest
import torch
from PIL import Image
from scipy import ndimage, stats
from scipy.fft import dctn
from torch import Tensor

from surefoot.rows.digits import load_digits
from surefoot.rows.shift import affine, blur, digital, marks, noise, weather
from surefoot.rows.shift.counters import row_keys, uniform
from surefoot.rows.shift.sampling import blurred_deviation, smooth


def keys(count: int) -> Tensor:
    return row_keys(np.array([f"row:{row}" for row in range(count)]), 0, "test")


def flat(value: float, count: int = 200) -> Tensor:
    return torch.full((count, 1, 28, 28), value)


@pytest.fixture(scope="module")
def digits() -> Tensor:
    return load_digits().images[::250, None].float() / 255


def test_gaussian_and_speckle_noise_have_their_deviation() -> None:
    """Deviations of n = 156,800 numbers, to 4.9 standard errors (false alarm 1e-6 each)."""
    for found, std in (
        (noise.gaussian_noise(flat(0.5), keys(200), 0.08) - 0.5, 0.08),
        (noise.speckle_noise(flat(0.5), keys(200), 0.15) - 0.5, 0.075),
    ):
        assert abs(float(found.double().std()) / std - 1) < 4.9 / math.sqrt(2 * found.numel())
        assert abs(float(found.double().mean())) < 4.9 * std / math.sqrt(found.numel())


@pytest.mark.parametrize(("photons", "value"), [(3.0, 0.2), (12.0, 0.3), (500.0, 0.5)])
def test_shot_noise_is_poisson(photons: float, value: float) -> None:
    """Mean and variance are both the rate, to 4.9 standard errors (false alarm 1e-6 each); black stays black."""
    counts = noise.shot_noise(flat(value), keys(200), photons).double() * photons
    rate, number = photons * value, counts.numel()
    assert torch.allclose(counts, counts.round(), atol=1e-3)
    if photons > 3:  # white is the most: at 3 photons one pixel in 300 would be whiter
        assert abs(float(counts.mean()) - rate) < 4.9 * math.sqrt(rate / number)
        assert abs(float(counts.var()) / rate - 1) < 4.9 * math.sqrt((2 + 1 / rate) / number)
    zero = float((counts == 0).double().mean())
    assert abs(zero - math.exp(-rate)) < 4.9 * math.sqrt(math.exp(-rate) / number) + 1e-12
    assert not noise.shot_noise(flat(0.0), keys(200), photons).any()


def test_shot_noise_is_the_quantile_of_a_uniform_number() -> None:
    """Where few quanta are expected always, where many are but for one in 200, and then by one."""
    ramp = (torch.arange(784.0) / 784).reshape(1, 1, 28, 28).repeat(20, 1, 1, 1)
    photons = 400.0
    counts = (noise.shot_noise(ramp, keys(20), photons).double() * photons).round().numpy()
    drawn = uniform(keys(20), 0, 1, 28, 28).double().numpy()
    expected = np.minimum(stats.poisson.ppf(drawn, ramp.double().numpy() * photons), photons)
    few = ramp.numpy() * photons < noise.MANY
    assert (counts == expected)[few].all()
    assert (counts != expected).mean() < 1 / 200
    assert np.abs(counts - expected).max() <= 1


def test_impulse_noise_blackens_as_many_as_it_whitens() -> None:
    """Shares of 156,800 pixels to 4.9 standard errors (false alarm 1e-6 each)."""
    found = noise.impulse_noise(flat(0.5), keys(200), 0.17)
    for value in (0.0, 1.0):
        share = float((found == value).double().mean())
        assert abs(share - 0.085) < 4.9 * math.sqrt(0.085 * 0.915 / found.numel())


def test_trivial_strengths_change_nothing(digits: Tensor) -> None:
    own = keys(len(digits))
    close = {
        "gaussian noise": noise.gaussian_noise(digits, own, 0.0),
        "speckle": noise.speckle_noise(digits, own, 0.0),
        "impulse": noise.impulse_noise(digits, own, 0.0),
        "gaussian blur": blur.gaussian_blur(digits, own, 0.0),
        "defocus": blur.defocus_blur(digits, own, 0.5 / 9, 0.0),
        "motion": blur.motion_blur(digits, own, 0.0, 1.0),
        "zoom": blur.zoom_blur(digits, own, 1.0),
        "fog": weather.fog(digits, own, 0.0, 2.0),
        "frost": weather.frost(digits, own, 1.0, 0.0),
        "brightness": weather.brightness(digits, own, 0.0),
        "contrast": digital.contrast(digits, own, 1.0),
        "elastic": digital.elastic_transform(digits, own, 0.0, 2.0, 0.0),
        "pixelate": digital.pixelate(digits, own, 1.0),
        "shear": affine.shear(digits, own, 0.0),
        "scale": affine.scale(digits, own, 1.0),
        "rotate": affine.rotate(digits, own, 0.0),
        "translate": affine.translate(digits, own, 0.0),
        "stripe": marks.stripe(digits, own, 0.0),
        "dotted line": marks.dotted_line(digits, own, 1.0, 0.0),
        "zigzag": marks.zigzag(digits, own, 1.0, 0.0),
        "edges": marks.canny_edges(digits, own, 1.0, 0.0),
    }
    for name, found in close.items():
        assert torch.allclose(found, digits, atol=1e-6), name
    # A table of ones rounds each coefficient to a whole 255th: at most ½ each, orthonormal, so √(64 · ¼) = 4 of 255.
    assert float((digital.jpeg_compression(digits, own, 100.0) - digits).abs().max()) < 4 / 255


def test_gaussian_blur_is_that_of_scipy(digits: Tensor) -> None:
    for sigma in (0.4, 1.0, 3.0):
        expected = ndimage.gaussian_filter(digits.double().numpy(), sigma, mode="nearest", axes=(2, 3))
        # They cut the Gaussian at the nearest whole pixel to 4σ, we at the next.
        assert np.abs(smooth(digits, sigma).numpy() - expected).max() < 5e-4


def test_defocus_is_the_mean_over_a_disk() -> None:
    kernel = blur.disk(5.0)
    assert float(kernel.sum()) == pytest.approx(1, abs=1e-6)
    assert float(kernel[5, 5]) == pytest.approx(1 / (math.pi * 25), rel=5e-3)
    for radius in (3.0, 5.0):
        own = blur.disk(radius).double()
        place = torch.arange(len(own)) - len(own) // 2
        second = float((own * place[:, None].square()).sum())
        assert second == pytest.approx(radius**2 / 4 + 1 / 12, rel=0.02)  # of a disk, and of a pixel
    point = torch.zeros(1, 1, 28, 28)
    point[0, 0, 14, 14] = 1.0
    found = blur.defocus_blur(point, keys(1), 3.0, 0.0)
    assert torch.allclose(found[0, 0, 11:18, 11:18], blur.disk(3.0), atol=1e-7)


def test_motion_along_a_line_is_a_one_sided_gaussian() -> None:
    point = torch.zeros(1, 1, 9, 40)
    point[0, 0, 4, 20] = 1.0
    found = blur.motion(point, torch.zeros(1), 5.0, 2.0)[0, 0, 4]
    expected = torch.exp(-0.5 * (torch.arange(11) / 2.0).square())
    assert torch.allclose(found[10:21].flip(0), expected / expected.sum(), atol=1e-6)
    steep = blur.motion(point, torch.full((1,), math.pi / 4), 5.0, 2.0)[0, 0]
    assert float(steep[4 - 3, 20 - 3]) > 0  # three to the left of the point, three above it
    assert float(steep[4 + 1, 20 - 1]) == 0


def test_glass_moves_pixels_and_keeps_them() -> None:
    """Without a blur the values of a row are the same in other places, none further than the reach in each round."""
    ramp = (torch.arange(784.0) / 784).reshape(1, 1, 28, 28).repeat(3, 1, 1, 1)
    found = blur.glass_blur(ramp, keys(3), 0.0, 2.0, 1.0)
    assert torch.equal(found.flatten(1).sort(dim=1).values, ramp.flatten(1))
    assert not torch.equal(found[0], found[1])
    assert float((found != ramp).float().mean()) > 0.8


def test_zoom_blur_keeps_the_middle_and_is_symmetric() -> None:
    picture = torch.rand(1, 1, 9, 9, generator=torch.Generator().manual_seed(0))
    found = blur.zoom_blur(picture, keys(1), 1.3)
    assert float(found[0, 0, 4, 4]) == pytest.approx(float(picture[0, 0, 4, 4]), abs=1e-6)
    assert torch.allclose(blur.zoom_blur(picture.flip(3), keys(1), 1.3), found.flip(3), atol=1e-6)


def test_fog_is_a_mixture_of_the_picture_and_clouds(digits: Tensor) -> None:
    own = keys(len(digits))
    clouds = weather.plasma(own, 0, 28, 28, 2.0)
    most = digits.amax(dim=(1, 2, 3), keepdim=True)
    expected = (digits + 1.5 * clouds) * most / (most + 1.5)
    assert torch.allclose(weather.fog(digits, own, 1.5, 2.0), expected.clamp(0, 1), atol=1e-6)
    whole = weather.plasma(own, 0, 32, 32, 2.0)
    assert torch.equal(whole.amin(dim=(1, 2, 3)), torch.zeros(len(digits)))
    assert torch.equal(whole.amax(dim=(1, 2, 3)), torch.ones(len(digits)))
    rough, smoothly = (weather.plasma(own, 0, 32, 32, decay).diff(dim=3).abs().mean() for decay in (1.4, 3.0))
    assert rough > smoothly


def test_brightness_keeps_hue_and_saturation() -> None:
    pixels = torch.tensor([[0.5, 0.25, 0.1], [0.0, 0.0, 0.0], [0.9, 0.9, 0.3]]).reshape(3, 3, 1, 1)
    found = weather.brightness(pixels, keys(3), 0.2).reshape(3, 3)
    expected = torch.tensor([[0.7, 0.35, 0.14], [0.2, 0.2, 0.2], [1.0, 1.0, 1 / 3]])
    assert torch.allclose(found, expected, atol=1e-6)


def test_saturation_is_that_of_the_hsv_model() -> None:
    from colorsys import hsv_to_rgb, rgb_to_hsv

    pixels = torch.rand(50, 3, 1, 1, generator=torch.Generator().manual_seed(0))
    found = digital.saturate(pixels, keys(50), 2.0, 0.1).reshape(50, 3)
    for pixel, own in zip(pixels.reshape(50, 3).tolist(), found.tolist(), strict=True):
        hue, saturation, value = rgb_to_hsv(*pixel)
        assert own == pytest.approx(hsv_to_rgb(hue, min(max(2 * saturation + 0.1, 0), 1), value), abs=1e-5)


def test_spatter_covers_as_much_at_every_size() -> None:
    """The share of pixels that water wets is that of a normal number above its threshold, at 32 as at 128 pixels.

    A blot is about 4π·0.49 pixels of 32, so that 60 pictures hold 10,000 places: a standard error of 6 %, four of them.
    """
    expected = 0.5 * math.erfc((0.7 - 0.62) / (0.1 * blurred_deviation(0.7)) / math.sqrt(2))
    for side in (32, 128):
        pixel = side / 32
        black = torch.zeros(60, 1, side, side)
        found = weather.spatter(black, keys(60), 0.62, 0.1, 0.7 * pixel, 0.7, 0.0, 0.5, pixel)
        assert float((found > 0).float().mean()) == pytest.approx(expected, rel=0.25)


def test_contrast_keeps_the_mean(digits: Tensor) -> None:
    found = digital.contrast(digits, keys(len(digits)), 0.3)
    assert torch.allclose(found.mean(dim=(2, 3)), digits.mean(dim=(2, 3)), atol=1e-6)
    assert torch.allclose(found.std(dim=(2, 3)), 0.3 * digits.std(dim=(2, 3)), atol=1e-6)


def test_the_cosine_transform_is_orthonormal_and_that_of_scipy() -> None:
    matrix = digital.dct(torch.eye(8), 0)
    assert torch.allclose(matrix @ matrix.T, torch.eye(8), atol=1e-6)
    block = torch.rand(8, 8, generator=torch.Generator().manual_seed(0))
    found = digital.dct(digital.dct(block, 0), 1)
    assert np.abs(found.numpy() - dctn(block.numpy(), norm="ortho")).max() < 1e-5
    assert torch.allclose(digital.dct(digital.dct(found, 0, inverse=True), 1, inverse=True), block, atol=1e-6)


@pytest.mark.parametrize("quality", [7, 25, 50, 80])
def test_jpeg_is_that_of_pillow_up_to_rounding(quality: int, digits: Tensor) -> None:
    """Same tables; the pictures differ where one rounds a coefficient or a byte the other way."""
    found = digital.jpeg_compression(digits, keys(len(digits)), float(quality))
    away: list[float] = []
    for picture, own in zip(digits[:, 0], found[:, 0], strict=True):
        held = io.BytesIO()
        Image.fromarray((picture * 255).round().to(torch.uint8).numpy()).save(held, "JPEG", quality=quality)
        opened = Image.open(held)
        table = torch.tensor(opened.quantization[0]).float()  # type: ignore[attr-defined]
        assert torch.equal(table.reshape(8, 8), digital.quantisation(float(quality), colour=False))
        away.append(float(np.abs(np.array(opened) / 255 - own.numpy()).mean()))
    assert np.mean(away) < 1.5 / 255


def test_jpeg_of_a_grey_picture_in_colour_is_that_of_the_grey_one(digits: Tensor) -> None:
    own = keys(len(digits))
    found = digital.jpeg_compression(digits.repeat(1, 3, 1, 1), own, 25.0)
    assert torch.allclose(found, digital.jpeg_compression(digits, own, 25.0).expand(-1, 3, -1, -1), atol=1e-4)


def test_half_as_many_pixels_are_means_of_four(digits: Tensor) -> None:
    found = digital.pixelate(digits, keys(len(digits)), 0.5)
    expected = torch.nn.functional.avg_pool2d(digits, 2).repeat_interleave(2, 2).repeat_interleave(2, 3)
    assert torch.allclose(found, expected, atol=1e-6)


def test_an_elastic_warp_shakes_by_what_it_says() -> None:
    """Of a ramp across, the change of a pixel is its displacement across; the root mean square far from edges is 1."""
    ramp = (torch.arange(64.0) / 64).expand(50, 1, 64, 64).contiguous()
    moved = (digital.elastic_transform(ramp, keys(50), 1.0, 2.0, 0.0) - ramp) * 64
    inside = moved[:, :, 12:-12, 12:-12]
    # About 50 · (40/7)² independent places: a standard error of 1.8 %; five of them.
    assert float(inside.square().mean().sqrt()) == pytest.approx(1, abs=0.09)


def test_whole_translations_are_rolls_with_black(digits: Tensor) -> None:
    found = affine.translate(digits, keys(len(digits)), 3.0)
    shifts = set()
    for before, after in zip(digits[:, 0], found[:, 0], strict=True):
        framed = torch.nn.functional.pad(before, (3, 3, 3, 3))
        matches = [
            (down, across)
            for down in (-3, 3)
            for across in (-3, 3)
            if torch.equal(framed[3 - down : 31 - down, 3 - across : 31 - across], after)
        ]
        assert len(matches) == 1
        shifts.update(matches)
    assert len(shifts) == 4


def test_a_quarter_turn_is_exact_and_scaling_back_is_a_quarter(digits: Tensor) -> None:
    found = affine.rotate(digits, keys(len(digits)), math.pi / 2)
    left, right = torch.rot90(digits, 1, (2, 3)), torch.rot90(digits, -1, (2, 3))
    turned = [
        min(float((own - way).abs().max()) for way in (to_left, to_right))
        for own, to_left, to_right in zip(found, left, right, strict=True)
    ]
    assert max(turned) < 1e-6
    half = affine.scale(digits[:, :, :27, :27], keys(len(digits)), 0.5)
    assert torch.allclose(half[:, :, 7:20, 7:20], digits[:, :, 1:27:2, 1:27:2], atol=1e-6)


def test_a_positive_turn_is_against_the_clock(digits: Tensor) -> None:
    matrix = torch.tensor([[0.0, -1.0, 1.0, 0.0]], dtype=torch.float64).repeat(len(digits), 1)
    assert torch.allclose(affine.moved(digits, matrix), torch.rot90(digits, 1, (2, 3)), atol=1e-6)


def test_a_shear_slides_lines_by_their_distance_from_the_middle() -> None:
    column = torch.zeros(40, 1, 9, 9)
    column[:, :, :, 4] = 1
    found = affine.shear(column, keys(40), 1.0)[:, 0]
    one, other = torch.eye(9), torch.eye(9).flip(1)
    kinds = [(torch.equal(each, one), torch.equal(each, other)) for each in found]
    assert set(kinds) == {(True, False), (False, True)}


def test_stripes_invert_a_quarter_at_each_side(digits: Tensor) -> None:
    found = marks.stripe(digits, keys(len(digits)), 0.25)
    assert torch.equal(found[:, :, :, :7], 1 - digits[:, :, :, :7])
    assert torch.equal(found[:, :, :, 7:21], digits[:, :, :, 7:21])
    assert torch.equal(found[:, :, :, 21:], 1 - digits[:, :, :, 21:])


def test_a_dotted_line_has_dashes_of_two_pixels_as_published() -> None:
    """1 + log(1 − d/2.3) at a distance of d pixels, cut at 0; columns 2, 3, 6, 7, … are drawn."""
    found = marks.dotted_line(torch.zeros(30, 1, 28, 28), keys(30), 1.0, 1.0)[:, 0]
    drawn = found.amax(dim=1) > 0
    assert torch.equal(drawn.any(dim=0), torch.arange(28) // 2 % 2 == 1)
    best = found.amax(dim=1)[:, 2]  # the nearest pixel of a column is at most half a pixel away
    assert float(best.min()) >= 1 + math.log(1 - 0.5 / 2.3) - 1e-5
    assert int((found[:, :, 2] > 0).sum(dim=1).max()) <= 3


def test_a_zigzag_swings_two_pixels_to_each_side() -> None:
    found = marks.zigzag(torch.zeros(200, 1, 28, 28), keys(200), 1.0, 1.0)[:, 0]
    assert not found[:, :, :1].any()
    for picture in found:
        middle = (picture * torch.arange(28.0)[:, None]).sum(dim=0)[5:23] / picture.sum(dim=0)[5:23].clamp(min=1e-6)
        if (picture.sum(dim=0)[5:23] > 0.5).all() and not picture[[0, 1, 26, 27]].any():
            line = torch.stack([torch.ones(18), torch.arange(18.0)], dim=1)
            fitted = line @ torch.linalg.lstsq(line, middle[:, None]).solution
            assert 1.0 < float((middle[:, None] - fitted).abs().max()) < 3.5


def test_edges_of_a_square_are_its_outline_one_pixel_wide() -> None:
    square = torch.zeros(1, 1, 28, 28)
    square[:, :, 8:20, 8:20] = 1
    found = marks.edges(smooth(square, 1.0))[0, 0]
    for line in (found[14], found[:, 14]):
        places = line.nonzero().squeeze(1).tolist()
        assert len(places) == 2
        assert places[0] in (7, 8)
        assert places[1] in (19, 20)
    assert not found[10:18, 10:18].any()
    assert not marks.edges(torch.full((1, 1, 28, 28), 0.7)).any()


def test_weak_edges_stay_only_where_they_hang_on_strong_ones() -> None:
    """A step whose height falls from 0.4 to 0.03 along it: gradients of 4 · height, weak below 0.2, none below 0.1."""
    height = torch.linspace(0.4, 0.0, 160)[:, None]
    step = torch.where(torch.arange(40) >= 20, height, 0.0)[None, None]
    kept = marks.edges(step)[0, 0].any(dim=1)
    strong = 4 * height[:, 0] >= 0.22
    none = 4 * height[:, 0] < 0.09
    assert kept[1:-1][strong[1:-1]].all()
    assert not kept[none].any()
    assert kept[1:-1][(~strong & (4 * height[:, 0] > 0.12))[1:-1]].all()
    alone = torch.where(torch.arange(40) >= 20, 0.04, 0.0).expand(1, 1, 40, 40)
    assert not marks.edges(alone.contiguous()).any()

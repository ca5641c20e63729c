"""Heads: tokens on their grid, pictures side by side, one resolution whatever the patch, names scored as cosines."""

import pytest
import torch
from torch.nn import functional

from surefoot.errors import InputError
from surefoot.flex.dense.heads import DenseViT, Heads, build_dense, features, resized, smooth_start
from surefoot.networks.flexible import Shape

SIZES = [(6, 6), (8, 8), (12, 12), (16, 16), (8, 16)]


def small(seed: int = 0, pool: str = "mean") -> DenseViT:
    shape = Shape(
        (1, 48, 48), width=16, depth=1, heads=2, buffer=(16, 16), grid=(6, 6), pool=pool, positions="sincos"  # type: ignore[arg-type]
    )  # fmt: skip
    return build_dense(shape, Heads(classes=5, text=7, joint=3, channels=4), seed)


def images(rows: int = 2, seed: int = 0) -> torch.Tensor:
    return torch.rand(rows, 1, 48, 48, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("pool", ["mean", "token"])
def test_features_are_the_tokens_where_their_patches_are(pool: str) -> None:
    """Without blocks a token depends on its own patch alone: a change to one patch moves one place of the grid."""
    backbone = small(pool=pool).backbone
    backbone.blocks = torch.nn.ModuleList()
    one, other = images(1), images(1)
    other[0, 0, 16:32, 8:16] += 1
    moved = (features(backbone, one, (16, 8)) - features(backbone, other, (16, 8))).abs().sum(dim=3)[0] > 1e-4
    assert moved.nonzero().tolist() == [[1, 1]]


def test_features_pooled_are_what_the_transformer_classifies() -> None:
    backbone = small().backbone
    torch.nn.init.normal_(backbone.head.weight, generator=torch.Generator().manual_seed(0))
    pooled = features(backbone, images(), (12, 12)).mean(dim=(1, 2))
    torch.testing.assert_close(backbone.head(pooled), backbone.at((12, 12))(images()))


@pytest.mark.parametrize("patch", SIZES)
def test_everything_has_one_resolution_and_all_that_is_used_is_taught(patch: tuple[int, int]) -> None:
    model = small()
    said = model(images(), patch)
    assert said.classes.shape == (2, 5, 24, 24)
    assert said.centres.shape == (2, 24, 24)
    assert said.offsets.shape == (2, 2, 24, 24)
    assert said.boxes.shape == (2, 144, 4)
    assert said.vectors.shape == (2, 144, 7)
    torch.testing.assert_close(said.image.norm(dim=1), torch.ones(2))
    total = sum(each.square().sum() for each in said[:5]) + model.captions(torch.ones(2, 7))[0, 0] + said.image[0, 0]
    total = total + model.scores(said.vectors, torch.ones(1, 7)).sum()
    total.backward()
    idle = {name for name, tensor in model.named_parameters() if tensor.grad is None or not bool(tensor.grad.any())}
    # Warmth belongs to a loss; scale is multiplied by cosines.
    assert idle == {"backbone.head.weight", "backbone.head.bias", "warmth"}


def test_a_picture_is_laid_out_where_its_patch_is() -> None:
    """Tokens that say (their place, the cell in the picture): the map before the resize is read row by row."""
    model = small()
    k, channels = model.heads.picture, model.heads.channels
    with torch.no_grad():
        model.pictures.weight.zero_()
        model.pictures.bias.zero_()
        model.pictures.weight.view(k, k, channels, -1)[..., 0, 0] = 1  # channel 0 is feature 0 in each cell
        model.pictures.bias.view(k, k, channels)[:, 0, 1] = 1  # channel 1 is the first row of each picture
        model.pictures.bias.view(k, k, channels)[:, :, 2] = torch.arange(8.0)[:, None]
    tokens = torch.zeros(1, 3, 6, 16)
    tokens[0, ..., 0] = torch.arange(18.0).view(3, 6)
    maps = model._maps(tokens)[0].detach()
    # 3 × 6 tokens of 8 × 8 cells are 24 × 48, of which 24 × 24 are left: pairs across are smoothed.
    assert maps[3:5, :, 0].std(dim=0).max() < 1e-5
    torch.testing.assert_close(maps[4, 2:22:4, 0], torch.arange(5.0) + 0.0, atol=1e-4, rtol=0)
    assert float(maps[8, 2, 0]) == pytest.approx(6)
    assert (maps[:, :, 2].mean(dim=1) - torch.arange(8.0).repeat(3)).abs().max() < 1e-4
    assert maps[:, 0, 1].argmax() % 24 == 0


def test_anchors_gather_their_own_cells() -> None:
    cells = torch.arange(24.0 * 24).view(1, 24, 24, 1)
    gathered = small()._by_anchor(cells.expand(1, 24, 24, 4))
    assert gathered.shape == (1, 12, 12, 16)
    assert gathered[0, 1, 2, ::4].tolist() == [52, 53, 76, 77]


def test_boxes_start_around_their_anchors_of_sixteen_pixels() -> None:
    model = small()
    torch.nn.init.zeros_(model.box.weight)
    torch.nn.init.zeros_(model.box.bias)
    boxes = model(images(), (8, 8)).boxes[0].view(12, 12, 4)
    assert boxes[0, 0].tolist() == [-6, -6, 10, 10]
    assert boxes[2, 5].tolist() == [14, 2, 30, 18]


def test_scores_are_cosines_of_any_names() -> None:
    model = small()
    vectors = torch.randn(2, 5, 7, generator=torch.Generator().manual_seed(1))
    names = 3 * torch.randn(4, 7, generator=torch.Generator().manual_seed(2))
    expected = 10 * functional.cosine_similarity(vectors[:, :, None], names, dim=3) - 4
    torch.testing.assert_close(model.scores(vectors, names), expected)
    torch.testing.assert_close(model.scores(vectors, names[2:3]), expected[:, :, 2:3])


def test_resizing_keeps_planes_and_means() -> None:
    y, x = torch.meshgrid(torch.arange(12.0) + 0.5, torch.arange(12.0) + 0.5, indexing="ij")
    plane = (y + 2 * x)[None, None]
    again = resized(plane, (24, 24))[0, 0]
    expected = (y + 2 * x).repeat_interleave(2, 0).repeat_interleave(2, 1)
    offsets = torch.tensor([-0.25, 0.25]).repeat(12)
    torch.testing.assert_close(again[2:-2, 2:-2], (expected + offsets[:, None] + 2 * offsets)[2:-2, 2:-2])
    shrunk = functional.interpolate(images(), (24, 24), mode="bilinear", antialias=True, align_corners=False)
    torch.testing.assert_close(resized(images(), (24, 24)), shrunk)


def test_a_smooth_start_says_nearly_the_same_of_smooth_patches_at_each_size() -> None:
    """Of white noise a third would differ at 8 pixels, and a fifth at 12."""
    backbone = small().backbone
    smooth_start(backbone, seed=3)
    coarse = torch.rand(60, 1, 6, 6, generator=torch.Generator().manual_seed(4)) - 0.5
    said: dict[int, torch.Tensor] = {}
    for side in (8, 12, 16):
        patch = functional.interpolate(coarse, (side, side), mode="bilinear", align_corners=False)
        at = functional.pad(patch, (0, 48 - side, 0, 48 - side))
        viewed = backbone.at((side, side))
        said[side] = (viewed.tokens(at) - viewed.tokens(torch.zeros_like(at)))[:, 0].detach()
    for side, most in ((8, 0.2), (12, 0.1)):
        assert float((said[side] - said[16]).norm() / said[16].norm()) < most
    assert float(said[16].std()) == pytest.approx(float(coarse.std()), rel=0.5)


def test_a_seed_alone_decides_and_others_random_numbers_are_left_alone() -> None:
    torch.manual_seed(5)
    before = torch.rand(3)
    torch.manual_seed(5)
    one = small(seed=1)
    assert torch.equal(torch.rand(3), before)
    two, three = small(seed=1), small(seed=2)
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), two.parameters(), strict=True))
    assert not torch.equal(one.pictures.weight, three.pictures.weight)
    assert not torch.equal(one.backbone.kernel, three.backbone.kernel)


def test_refusals() -> None:
    with pytest.raises(InputError, match="at least 1"):
        Heads(classes=0, text=3)
    with pytest.raises(InputError, match="positive spread"):
        Heads(classes=1, text=3, spread=0.0)
    with pytest.raises(InputError, match="does not divide"):
        small()(images(), (7, 7))
    with pytest.raises(InputError, match="4 divides"):
        build_dense(Shape((1, 42, 42), width=16, depth=1, heads=2), Heads(2, 3), 0)

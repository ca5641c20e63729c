"""The flexible transformer, against the plain one of another library and the equations of resizing."""

import copy
from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from surefoot.errors import InputError
from surefoot.networks.flexible import SIZES, FlexibleViT, Shape, at_patch, build_vit, grid_of, sines, sizes_of
from surefoot.networks.network import Network, embed, forward, parameters_of
from surefoot.networks.patches import BILINEAR_SMOOTH, resize_patches

SMALL = Shape((3, 48, 48), width=24, depth=2, heads=3, buffer=(16, 16), grid=(3, 3))


@pytest.fixture
def network() -> Network:
    """With a head and a class token that are not zero."""
    built = build_vit(SMALL, classes=5, patch=16, seed=0)
    generator = torch.Generator().manual_seed(1)
    module = built.module
    assert isinstance(module, FlexibleViT)
    for tensor in (module.head.weight, module.head.bias, module.token, module.bias):
        assert tensor is not None
        torch.nn.init.normal_(tensor, std=0.5, generator=generator)
    return built


def images(rows: int = 4, size: tuple[int, int] = (48, 48), seed: int = 2) -> Tensor:
    return torch.randn(rows, 3, *size, generator=torch.Generator().manual_seed(seed))


def test_at_its_own_patch_it_is_the_plain_transformer(network: Network) -> None:
    """Hugging Face's ViT with the same numbers; its class token has a position, here part of the token."""
    transformers = pytest.importorskip("transformers")
    config = transformers.ViTConfig(
        hidden_size=24, num_hidden_layers=2, num_attention_heads=3, intermediate_size=96, image_size=48, patch_size=16,
        num_labels=5, layer_norm_eps=1e-6, hidden_act="gelu",
    )  # fmt: skip
    plain = transformers.ViTForImageClassification(config).eval()
    module = network.module
    assert isinstance(module, FlexibleViT)
    named = {name: tensor.detach() for name, tensor in module.named_parameters()}
    with torch.no_grad():
        inside = plain.vit.embeddings
        inside.patch_embeddings.projection.weight.copy_(named["kernel"])
        inside.patch_embeddings.projection.bias.copy_(named["bias"])
        inside.cls_token.copy_(named["token"][None, None])
        inside.position_embeddings.copy_(torch.cat([torch.zeros(1, 24), named["positions"].flatten(0, 1)])[None])
        for number, layer in enumerate(plain.vit.layers if hasattr(plain.vit, "layers") else plain.vit.encoder.layer):
            for name, tensor in layer.named_parameters():
                tensor.copy_(theirs(named, number, name))
        plain.vit.layernorm.weight.copy_(named["norm.weight"])
        plain.vit.layernorm.bias.copy_(named["norm.bias"])
        plain.classifier.weight.copy_(named["head.weight"])
        plain.classifier.bias.copy_(named["head.bias"])
        expected = plain(images()).logits
        torch.testing.assert_close(module(images()), expected, atol=1e-6, rtol=1e-6)
    assert expected.std() > 0.1


def theirs(named: dict[str, Tensor], number: int, name: str) -> Tensor:
    """Our tensor for a parameter of their block."""
    kind = name.rsplit(".", 1)[1]
    for word, place in (("query", 0), ("key", 1), ("value", 2), ("q_proj", 0), ("k_proj", 1), ("v_proj", 2)):
        if word in name:
            return named[f"blocks.{number}.attend.{kind}"].chunk(3)[place]
    ours = {
        "layernorm_before": "norm1", "layernorm_after": "norm2", "attention.output": "project", "o_proj": "project",
        "intermediate": "expand", "fc1": "expand", "fc2": "contract", "output.dense": "contract",
    }  # fmt: skip
    return named[f"blocks.{number}.{next(each for word, each in ours.items() if word in name)}.{kind}"]


def test_larger_patches_of_larger_images_are_the_same_tokens(network: Network) -> None:
    """At twice the image and twice the patch, with images resized as the kernel is, nothing is lost."""
    module = copy.deepcopy(network.module).double()
    assert isinstance(module, FlexibleViT)
    small = images().double()
    large = functional.interpolate(small, size=(96, 96), mode="bilinear", align_corners=False)
    pieces = functional.unfold(small, 16, stride=16).transpose(1, 2).reshape(-1, 3, 16, 16)
    again = functional.interpolate(pieces, size=(32, 32), mode="bilinear", align_corners=False)
    by_patch = again.reshape(4, 9, -1).transpose(1, 2)
    pasted = functional.fold(by_patch, (96, 96), 32, stride=32)
    assert not torch.allclose(large, pasted)  # resizing the whole image mixes patches at their borders
    larger = copy.deepcopy(module)
    larger.shape = Shape((3, 96, 96), width=24, depth=2, heads=3, buffer=(16, 16), grid=(3, 3))
    torch.testing.assert_close(larger.at((32, 32)).tokens(pasted), module.tokens(small), atol=1e-12, rtol=0)


@pytest.mark.parametrize("patch", [(48, 48), (24, 24), (12, 16), (8, 8), (6, 3)], ids=str)
def test_tokens_are_products_of_patches_with_the_resized_kernel(network: Network, patch: tuple[int, int]) -> None:
    module = at_patch(network, patch).module
    assert isinstance(module, FlexibleViT)
    tokens = module.tokens(images())
    rows, columns = 48 // patch[0], 48 // patch[1]
    assert tuple(tokens.shape) == (4, 1 + rows * columns, 24)
    kernel = resize_patches(module.kernel, patch).flatten(1)
    pieces = functional.unfold(images(), patch, stride=patch).transpose(1, 2)
    places = functional.interpolate(
        module.positions.permute(2, 0, 1)[None], size=(rows, columns), mode="bilinear", antialias=True
    )[0]
    expected = pieces @ kernel.T + module.bias + places.flatten(1).T
    torch.testing.assert_close(tokens[:, 1:], expected, atol=1e-5, rtol=1e-5)
    assert module.token is not None
    assert torch.equal(tokens[:, 0], module.token.expand(4, -1))


def test_another_patch_has_the_same_tensors_and_leaves_the_first_as_it_was(network: Network) -> None:
    before = forward(network, parameters_of(network), images())
    other = at_patch(network, 8)
    ours, theirs_ = dict(network.module.named_parameters()), dict(other.module.named_parameters())
    assert ours.keys() == theirs_.keys()
    assert all(ours[name] is theirs_[name] for name in ours)
    changed = {name: tensor + 1 for name, tensor in parameters_of(network).items()}
    assert not torch.allclose(forward(other, changed, images()), forward(other, parameters_of(network), images()))
    assert torch.equal(forward(network, parameters_of(network), images()), before)
    assert tuple(embed(other, parameters_of(other), images()).shape) == (4, 24)
    assert sum(each.numel() for each in ours.values()) == sum(each.numel() for each in theirs_.values())


def test_every_patch_trains_the_kernel_and_positions_that_are_kept(network: Network) -> None:
    for patch in (48, 24, 16, 12, 8):
        module = at_patch(network, patch).module
        module.zero_grad()
        module(images()).square().sum().backward()
        named = dict(network.module.named_parameters())
        assert all(tensor.grad is not None and bool(tensor.grad.any()) for tensor in named.values()), patch


def test_means_and_sines() -> None:
    shape = Shape((1, 32, 16), width=8, depth=1, heads=2, buffer=(8, 8), grid=(4, 2), pool="mean", positions="sincos")
    network = build_vit(shape, classes=3, patch=8, seed=0)
    module = network.module
    assert isinstance(module, FlexibleViT)
    assert module.token is None
    assert "positions" in dict(module.named_buffers())
    inputs = torch.randn(2, 1, 32, 16, generator=torch.Generator().manual_seed(0))
    features = embed(network, parameters_of(network), inputs)
    torch.testing.assert_close(features, module.norm(module.encode(module.tokens(inputs))).mean(dim=1))
    places = sines((4, 2), 8)
    across, down = torch.tensor([1.0, 1e-4]), torch.tensor([2.0, 2e-4])
    expected = torch.cat([across.sin(), across.cos(), down.sin(), down.cos()])
    torch.testing.assert_close(places[2, 1], expected)


def test_the_seed_is_the_start() -> None:
    one, two, three = (parameters_of(build_vit(SMALL, 5, 16, seed)) for seed in (0, 0, 1))
    assert all(torch.equal(one[name], two[name]) for name in one)
    assert not torch.equal(one["kernel"], three["kernel"])
    assert not one["head.weight"].any()
    assert float(one["kernel"].std()) == pytest.approx((3 * 16 * 16) ** -0.5, rel=0.05)
    assert float(one["blocks.0.expand.weight"].abs().max()) == pytest.approx((6 / (24 + 96)) ** 0.5, rel=0.02)
    assert float(one["blocks.0.attend.weight"].abs().max()) == pytest.approx((6 / 48) ** 0.5, rel=0.02)


def test_published_sizes() -> None:
    """Numbers of the published models at 1,000 classes, in millions: 22.06 and 86.59."""
    for name, millions in (("S", 22.06), ("B", 86.59)):
        width, depth, heads = SIZES[name]
        with torch.device("meta"):
            module = FlexibleViT(
                Shape((3, 240, 240), width, depth, heads, buffer=(16, 16), grid=(15, 15)), 1000, (16, 16)
            )
        assert sum(each.numel() for each in module.parameters()) / 1e6 == pytest.approx(millions, abs=0.01)


def test_which_patches_divide() -> None:
    assert sizes_of((240, 240), least=5)[:10] == [48, 40, 30, 24, 20, 16, 15, 12, 10, 8]
    assert sizes_of((32, 48)) == [16, 8, 4, 2, 1]
    assert grid_of((32, 48), (16, 8)) == (2, 6)


def test_nothing_is_cropped_in_silence(network: Network) -> None:
    with pytest.raises(InputError, match=r"14 × 14 pixels does not divide images of 240 × 240 \(2 rows and 2 columns"):
        grid_of((240, 240), (14, 14))
    with pytest.raises(InputError, match="give one of 48, 24, 16, 12, 8, 6, 4, 3, 2, 1"):
        at_patch(network, 7)
    with pytest.raises(InputError, match="96 × 96 pixels was asked for of images of 48 × 48"):
        at_patch(network, 96)
    with pytest.raises(InputError, match="0 × 8"):
        at_patch(network, (0, 8))
    with pytest.raises(InputError, match="does not divide images of 40 × 48"):
        network.module(images(size=(40, 48)))
    with pytest.raises(InputError, match="Sequential has no patch size"):
        at_patch(Network(torch.nn.Sequential(torch.nn.Linear(2, 2)), "0"), 8)


def test_shapes_that_cannot_be_are_refused() -> None:
    with pytest.raises(InputError, match="width of 24 cannot be shared by 5 heads"):
        Shape((3, 48, 48), width=24, depth=1, heads=5)
    with pytest.raises(InputError, match="depth of a transformer is 0"):
        Shape((3, 48, 48), width=24, depth=0, heads=3)
    with pytest.raises(InputError, match="a width that 4 divides; 6"):
        Shape((3, 48, 48), width=6, depth=1, heads=3, positions="sincos")
    with pytest.raises(InputError, match="0 classes"):
        build_vit(SMALL, 0, 16, 0)


def test_places_of_the_published_models_are_smoothed() -> None:
    assert SMALL.places == BILINEAR_SMOOTH


def test_positions_are_drawn_as_wide_as_they_are_asked_for() -> None:
    usual = Shape((1, 32, 32), width=64, depth=1, heads=1, buffer=(8, 8), grid=(8, 8))
    for spread, deviation in ((None, 0.02), (2.0, 2.0)):
        drawn = build_vit(replace(usual, spread=spread), 2, 8, seed=0).module.positions
        assert float(drawn.detach().std()) == pytest.approx(deviation, rel=0.05)
    sines = [
        build_vit(replace(usual, positions="sincos", spread=each), 2, 8, seed=0).module.positions
        for each in (None, 3.0)
    ]
    torch.testing.assert_close(sines[1], 3 * sines[0])
    with pytest.raises(InputError, match=r"spread of positions is 0\.0"):
        replace(usual, spread=0.0)


def test_building_leaves_the_global_generator_as_it_was() -> None:
    torch.manual_seed(3)
    before = torch.get_rng_state()
    build_vit(Shape((1, 16, 16), width=8, depth=1, heads=1, buffer=(8, 8), grid=(2, 2)), 3, 8, seed=0)
    assert torch.equal(torch.get_rng_state(), before)

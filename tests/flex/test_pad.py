"""Padding: what is added and where, and that a padded image is an image like others."""

import pytest
import torch
from torch import Tensor, nn

from surefoot.errors import InputError
from surefoot.flex.fixed import fixed_at
from surefoot.flex.pad import pad_to, padded, padded_size
from surefoot.networks.flexible import FlexibleViT, Shape, at_patch, build_vit
from surefoot.networks.network import Network, forward, parameters_of
from surefoot.networks.patches import resize_patches, resize_positions

SHAPE = Shape((3, 30, 24), width=8, depth=1, heads=2, buffer=(6, 6), grid=(5, 4))


def network_of() -> Network:
    network = build_vit(SHAPE, classes=3, patch=6, seed=0)
    module = network.module
    assert isinstance(module, FlexibleViT)
    nn.init.normal_(module.head.weight, generator=torch.Generator().manual_seed(1))
    return network


def images() -> Tensor:
    return torch.randn(2, 3, 30, 24, generator=torch.Generator().manual_seed(2))


@pytest.mark.parametrize("patch", [(7, 7), (8, 5), (30, 24), (1, 1), (64, 10)], ids=str)
def test_the_image_stays_where_it_was_and_the_rest_is_the_value(patch: tuple[int, int]) -> None:
    larger = pad_to(images(), patch, 0.25)
    height, width = larger.shape[2:]
    assert (height % patch[0], width % patch[1]) == (0, 0)
    assert 0 <= height - 30 < patch[0]
    assert 0 <= width - 24 < patch[1]
    assert torch.equal(larger[:, :, :30, :24], images())
    assert larger[:, :, 30:].eq(0.25).all()
    assert larger[:, :, :, 24:].eq(0.25).all()


def test_the_edge_is_repeated() -> None:
    edge = pad_to(images(), (7, 7), "edge")
    assert torch.equal(edge, nn.functional.pad(images(), (0, 4, 0, 5), mode="replicate"))
    whole = pad_to(torch.arange(6, dtype=torch.uint8).reshape(1, 1, 2, 3), (2, 2), "edge")
    assert whole[0, 0].tolist() == [[0, 1, 2, 2], [3, 4, 5, 5]]
    assert pad_to(images(), (6, 6), "edge").shape == images().shape


def test_a_patch_that_divides_changes_nothing() -> None:
    network = network_of()
    assert torch.equal(pad_to(images(), (6, 8)), images())
    for patch in ((6, 6), (10, 8)):
        assert torch.equal(padded(network, patch).module(images()), at_patch(network, patch).module(images()))


def test_tokens_of_a_padded_image_are_those_of_its_patches() -> None:
    """Those inside the image are what a convolution over it alone gives; their positions are the whole grid's."""
    network = network_of()
    module = padded(network, (7, 7)).module
    assert isinstance(module, FlexibleViT)
    given = pad_to(images(), (7, 7))
    tokens = module.tokens(given)[:, 1:].unflatten(1, (5, 4))
    places = resize_positions(module.positions, (5, 4), SHAPE.places)
    inside = at_patch(network, 6).module
    assert isinstance(inside, FlexibleViT)
    kernel = resize_patches(module.kernel, (7, 7))
    alone = nn.functional.conv2d(images()[:, :, :28, :21], kernel, module.bias, stride=7).permute(0, 2, 3, 1)
    torch.testing.assert_close(tokens[:, :4, :3], alone + places[:4, :3], atol=1e-5, rtol=1e-5)
    below = nn.functional.conv2d(given[:, :, 28:], kernel, module.bias, stride=7).permute(0, 2, 3, 1)
    torch.testing.assert_close(tokens[:, 4:], below + places[4:], atol=1e-5, rtol=1e-5)


def test_the_padded_network_has_the_same_tensors_and_can_be_fixed() -> None:
    network = network_of()
    larger = padded(network, (7, 7))
    ours, theirs = dict(network.module.named_parameters()), dict(larger.module.named_parameters())
    assert ours.keys() == theirs.keys()
    assert all(ours[name] is theirs[name] for name in ours)
    module = network.module
    assert isinstance(module, FlexibleViT)
    assert module.shape == SHAPE
    given = pad_to(images(), (7, 7))
    plain = fixed_at(larger, parameters_of(larger), (7, 7))
    expected = forward(larger, parameters_of(larger), given)
    torch.testing.assert_close(forward(plain.network, plain.parameters, given), expected, atol=1e-5, rtol=1e-5)


def test_nothing_is_padded_without_being_asked() -> None:
    network = network_of()
    with pytest.raises(InputError, match="does not divide images of 30 × 24"):
        at_patch(network, (7, 7))
    with pytest.raises(InputError, match=r"7 × 7 pixels does not divide images of 30 × 24 .* or pad the images"):
        padded(network, (7, 7)).module(images())
    with pytest.raises(InputError, match="0 × 7 pixels was given; give at least one pixel"):
        padded_size((30, 24), (0, 7))
    with pytest.raises(InputError, match="Sequential is no transformer of `build_vit`, and checks the size"):
        padded(Network(nn.Sequential(nn.Linear(2, 2)), "0"), (7, 7))

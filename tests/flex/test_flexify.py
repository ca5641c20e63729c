"""Plain modules made flexible, against plain modules that are built at the other patch size with resized tensors."""

import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from surefoot.errors import InputError
from surefoot.flex.flexify import Flexified, find_parts, flexify
from surefoot.networks.network import Network, embed, forward, parameters_of

transformers = pytest.importorskip("transformers")

COMMON: dict[str, Any] = {
    "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32, "image_size": 32,
}  # fmt: skip


class Logits(nn.Module):
    """A Hugging Face model that returns one tensor."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor) -> Tensor:
        said = self.model(pixel_values=images)
        return said.logits if hasattr(said, "logits") else said.pooler_output


def build(kind: str, patch: int) -> Logits:
    torch.manual_seed(0)
    config, model = {
        "vit": (transformers.ViTConfig, transformers.ViTForImageClassification),
        "deit": (transformers.DeiTConfig, transformers.DeiTForImageClassification),
        "dinov2": (transformers.Dinov2Config, transformers.Dinov2ForImageClassification),
        "clip": (transformers.CLIPVisionConfig, transformers.CLIPVisionModel),
        "siglip": (transformers.SiglipVisionConfig, transformers.SiglipVisionModel),
    }[kind]
    named = {**COMMON, "patch_size": patch}
    if kind == "dinov2":
        named["mlp_ratio"] = 2
    return Logits(model(config(**named)).eval())


def table_of(named: dict[str, Tensor]) -> str:
    return next(name for name in named if "position_embedding" in name)


def kernel_of(named: dict[str, Tensor]) -> str:
    return next(name for name in named if name.endswith(("projection.weight", "patch_embedding.weight")))


@pytest.fixture(params=["vit", "deit", "dinov2", "clip", "siglip"])
def kind(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def plain(kind: str) -> Logits:
    """At patch 8, with numbers large enough that every token, and where it is, counts."""
    module = build(kind, 8)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for tensor in module.parameters():
            if tensor.ndim > 1:
                tensor.normal_(std=0.3, generator=generator)
    return module


def images() -> Tensor:
    return torch.randn(3, 3, 32, 32, generator=torch.Generator().manual_seed(2))


@pytest.mark.parametrize("patch", [16, 4])
def test_at_another_patch_it_is_the_plain_model_of_that_size(kind: str, plain: Logits, patch: int) -> None:
    """The same class of model, built at that size, holding a kernel and positions that were resized here by hand."""
    other = build(kind, patch)
    named = {name: tensor.detach().clone() for name, tensor in plain.named_parameters()}
    units = torch.eye(64, dtype=torch.float64).view(-1, 1, 8, 8)
    inverse = torch.linalg.pinv(functional.interpolate(units, size=(patch, patch), mode="bilinear").flatten(1))
    kernel = kernel_of(named)
    named[kernel] = (named[kernel].double().flatten(2) @ inverse.T).unflatten(2, (patch, patch)).float()
    table = table_of(named)
    rows = named[table].reshape(-1, 16)
    first = len(rows) - 16
    grid = rows[first:].T.reshape(1, 16, 4, 4)
    side = 32 // patch
    resized = functional.interpolate(grid, size=(side, side), mode="bilinear", antialias=True).flatten(2)[0].T
    named[table] = torch.cat([rows[:first], resized]).reshape(*named[table].shape[:-2], -1, 16)
    other.load_state_dict(named)
    flexible = flexify(plain, 32)
    assert (flexible.parts.first, flexible.parts.patch) == (first, (8, 8))
    with torch.no_grad():
        found, expected = flexible.at((patch, patch))(images()), other(images())
        torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)
        assert (found - plain(images())).abs().max() > 0.1


def test_at_its_own_patch_it_is_itself_and_is_left_as_it_was(plain: Logits) -> None:
    before = {name: tensor.clone() for name, tensor in plain.state_dict().items()}
    expected = plain(images())
    flexible = flexify(plain, 32)
    assert torch.equal(flexible(images()), expected)
    flexible.at((16, 16))(images())
    assert torch.equal(flexible(images()), expected)
    assert torch.equal(plain(images()), expected)
    after = plain.state_dict()
    assert after.keys() == before.keys()
    assert all(torch.equal(after[name], before[name]) for name in before)


def test_gradients_reach_the_tensors_that_are_kept(plain: Logits) -> None:
    flexible = flexify(plain, 32).at((16, 16))
    flexible(images()).square().sum().backward()
    named = dict(plain.named_parameters())
    for name in (kernel_of({**named}), table_of({**named})):
        gradient = named[name].grad
        assert gradient is not None
        assert gradient.shape == named[name].shape
        assert bool(gradient.any())


def test_it_is_a_network_whose_parameters_are_swapped_in() -> None:
    plain = build("vit", 8)
    flexible = flexify(plain, 32)
    network = Network(flexible.at((16, 16)), "module.model.classifier")
    start = parameters_of(network)
    changed = {name: tensor * 1.5 for name, tensor in start.items()}
    other = copy.deepcopy(plain)
    other.load_state_dict({name.removeprefix("module."): tensor for name, tensor in changed.items()})
    expected = flexify(other, 32).at((16, 16))(images())
    torch.testing.assert_close(forward(network, changed, images()), expected)
    assert not torch.allclose(expected, forward(network, start, images()))
    assert tuple(embed(network, start, images()).shape) == (3, 16)


class Tower(nn.Module):
    """Rectangular, without a class token."""

    def __init__(self, **more: Any) -> None:
        super().__init__()
        self.patch = nn.Conv2d(1, 4, kernel_size=(4, 6), stride=(4, 6), **more)
        self.pos = nn.Parameter(torch.randn(4, 4, generator=torch.Generator().manual_seed(0)))
        self.cls_pos = nn.Parameter(torch.zeros(1, 4))
        self.register_buffer("seen", torch.tensor(0))  # a number alone, as batch normalisation keeps

    def forward(self, inputs: Tensor) -> Tensor:
        return self.patch(inputs).flatten(2).transpose(1, 2) + self.pos


def test_rectangles() -> None:
    flexible = flexify(Tower(), (8, 12))
    assert tuple(flexible.at((2, 12))(torch.zeros(1, 1, 8, 12)).shape) == (1, 4, 4)
    tall = flexible.at((2, 12)).resized((8, 12))
    assert isinstance(tall.patch, nn.Conv2d)
    assert tall.patch.stride == tall.patch.kernel_size == (2, 12)
    assert not isinstance(tall, Flexified)


def test_what_cannot_be_told_is_asked_for() -> None:
    with pytest.raises(InputError, match=r"one convolution whose stride is its kernel.*it has none"):
        flexify(nn.Sequential(nn.Conv2d(1, 4, 3, stride=1)), 32)
    with pytest.raises(InputError, match="it has none"):
        flexify(Tower(padding=1), (8, 12))
    two = nn.ModuleDict({"one": Tower(), "two": Tower()})
    with pytest.raises(InputError, match=r"it has one\.patch, two\.patch"):
        flexify(two, (8, 12))
    with pytest.raises(InputError, match=r"one table of positions.*it has one\.pos, two\.pos"):
        flexify(two, (8, 12), convolution="two.patch")
    found = find_parts(two, (8, 12), convolution="two.patch", positions="two.pos")
    assert (found.convolution, found.positions, found.first) == ("two.patch", "two.pos", 0)
    with pytest.raises(InputError, match=r"of 96 patches.*it has none"):
        flexify(Tower(), (48, 48))
    flexible = flexify(Tower(), (8, 12))
    with pytest.raises(InputError, match="does not divide images of 8 × 12"):
        flexible.at((3, 6))
    with pytest.raises(InputError, match="Images of 16 × 12"):
        flexible.at((8, 12))(torch.zeros(1, 1, 16, 12))

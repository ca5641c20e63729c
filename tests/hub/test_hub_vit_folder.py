"""Plain ViT folders: opened by transformers, they say what the flexible network says, and the other way round."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from surefoot.errors import InputError
from surefoot.files import read_tensors, write_tensors
from surefoot.hub.vit_folder import read_vit_folder, write_vit_folder
from surefoot.networks.flexible import FlexibleViT, Shape, at_patch, build_vit
from surefoot.networks.network import Network, Parameters, forward, parameters_of

transformers = pytest.importorskip("transformers")

SHAPE = Shape((3, 32, 32), width=16, depth=2, heads=2, buffer=(16, 16), grid=(3, 3), expansion=2)
CLASSES = ("cat", "dog", "newt")


def network_of(shape: Shape = SHAPE) -> Network:
    return build_vit(shape, classes=3, patch=16, seed=0)


def large(network: Network) -> Parameters:
    """Numbers that are large enough for every tensor to count."""
    generator = torch.Generator().manual_seed(1)
    return {
        name: 0.3 * torch.randn(tensor.shape, generator=generator) for name, tensor in parameters_of(network).items()
    }


def images() -> Tensor:
    return torch.randn(3, 3, 32, 32, generator=torch.Generator().manual_seed(2))


@pytest.mark.parametrize("gelu", ["none", "tanh"])
@pytest.mark.parametrize("patch", [16, 8])
def test_transformers_opens_what_was_written(tmp_path: Path, patch: int, gelu: str) -> None:
    network = network_of(replace(SHAPE, gelu=gelu, eps=1e-3))  # type: ignore[arg-type]
    parameters = large(network)
    write_vit_folder(network, parameters, (patch, patch), CLASSES, tmp_path / "vit")
    model, told = transformers.ViTForImageClassification.from_pretrained(tmp_path / "vit", output_loading_info=True)
    assert not told["missing_keys"]
    assert not told["unexpected_keys"]
    assert model.config.id2label == {0: "cat", 1: "dog", 2: "newt"}
    expected = forward(at_patch(network, patch), parameters, images())
    with torch.no_grad():
        said = model.eval()(pixel_values=images()).logits
    torch.testing.assert_close(said, expected, atol=1e-4, rtol=1e-4)
    assert expected.std() > 0.1
    again = read_vit_folder(tmp_path / "vit")
    torch.testing.assert_close(forward(again.network, again.parameters, images()), expected, atol=1e-4, rtol=1e-4)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["vit"]


def test_what_transformers_wrote_is_read(tmp_path: Path) -> None:
    config = transformers.ViTConfig(
        hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=48, image_size=32, patch_size=8,
        num_labels=3,
    )  # fmt: skip
    torch.manual_seed(0)
    model = transformers.ViTForImageClassification(config).eval()
    with torch.no_grad():
        for tensor in model.parameters():
            tensor.normal_(std=0.3)
        expected = model(pixel_values=images()).logits
    model.save_pretrained(tmp_path)
    read = read_vit_folder(tmp_path)
    torch.testing.assert_close(forward(read.network, read.parameters, images()), expected, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(read.network.module(images()), expected, atol=1e-4, rtol=1e-4)
    module = read.network.module
    assert isinstance(module, FlexibleViT)
    assert (module.patch, module.shape.buffer, module.shape.grid) == ((8, 8), (8, 8), (4, 4))
    assert tuple(forward(at_patch(read.network, 16), read.parameters, images()).shape) == (3, 3)


def test_what_the_layout_cannot_hold_is_refused_and_nothing_is_left(tmp_path: Path) -> None:
    network = network_of()
    parameters, out = large(network), tmp_path / "vit"
    means = network_of(replace(SHAPE, pool="mean"))
    with pytest.raises(InputError, match="takes means over tokens"):
        write_vit_folder(means, large(means), (8, 8), CLASSES, out)
    with pytest.raises(InputError, match="Sequential is no transformer"):
        write_vit_folder(Network(nn.Sequential(nn.Linear(2, 2)), "0"), {}, (8, 8), CLASSES, out)
    with pytest.raises(InputError, match="32 × 32 and 8 × 16"):
        write_vit_folder(network, parameters, (8, 16), CLASSES, out)
    with pytest.raises(InputError, match="2 names were given for 3 classes"):
        write_vit_folder(network, parameters, (8, 8), ("cat", "dog"), out)
    with pytest.raises(InputError, match="would say something else"):
        write_vit_folder(network, {**parameters, "bias": torch.full((16,), torch.nan)}, (8, 8), CLASSES, out)
    assert not list(tmp_path.iterdir())
    out.mkdir()
    with pytest.raises(InputError, match="exists already"):
        write_vit_folder(network, parameters, (8, 8), CLASSES, out)


def test_an_export_that_says_something_else_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from surefoot.hub import vit_folder

    theirs = vit_folder._theirs

    def mixed(parameters: Parameters, depth: int) -> Parameters:
        named = theirs(parameters, depth)
        first, second = (f"vit.encoder.layer.0.attention.attention.{word}.weight" for word in ("query", "value"))
        return {**named, first: named[second], second: named[first]}

    monkeypatch.setattr(vit_folder, "_theirs", mixed)
    network = network_of()
    with pytest.raises(InputError, match="would say something else than the network"):
        write_vit_folder(network, large(network), (8, 8), CLASSES, tmp_path / "vit")
    assert not list(tmp_path.iterdir())


def test_folders_that_are_something_else_say_what(tmp_path: Path) -> None:
    network, folder = network_of(), tmp_path / "vit"
    write_vit_folder(network, large(network), (8, 8), CLASSES, folder)
    with pytest.raises(InputError, match=r"has no config\.json"):
        read_vit_folder(tmp_path)
    config = json.loads((folder / "config.json").read_text())
    tensors = read_tensors(folder / "model.safetensors")
    for changed, sentence in (
        ({"model_type": "deit"}, "is a deit"),
        ({"hidden_act": "relu"}, "with relu"),
        ({"patch_size": 16}, r"position_embeddings \(1, 17, 16\) in place of \(1, 5, 16\)"),
        ({"patch_size": 12}, r"12 × 12 pixels does not divide images of 32 × 32"),
        ({"patch_size": 64}, r"64 × 64 pixels was asked for of images of 32 × 32"),
        ({"image_size": [32, 32]}, r"says image_size \[32, 32\] in its config\.json"),
        ({"hidden_size": 8}, r"cls_token \(1, 1, 16\) in place of \(1, 1, 8\)"),
        ({"intermediate_size": 64}, r"intermediate\.dense\.weight \(32, 16\) in place of \(64, 16\)"),
        ({"intermediate_size": 40}, "MLPs of 40 in a width of 16"),
        ({"num_channels": 1}, r"projection\.weight \(16, 3, 8, 8\) in place of \(16, 1, 8, 8\)"),
        ({"num_hidden_layers": 3}, r"lacks vit\.encoder\.layer\.2"),
        ({"num_hidden_layers": 1}, r"has vit\.encoder\.layer\.1.*, which such a ViT has not"),
    ):
        (folder / "config.json").write_text(json.dumps({**config, **changed}))
        with pytest.raises(InputError, match=sentence):
            read_vit_folder(folder)
    (folder / "config.json").write_text(json.dumps(config))
    write_tensors(
        folder / "model.safetensors", {name: each for name, each in tensors.items() if "classifier" not in name}
    )
    with pytest.raises(InputError, match=r"lacks classifier\.weight"):
        read_vit_folder(folder)

"""Exports at one patch size: what each file says when it is opened by somebody else, and what is refused."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from surefoot.errors import InputError
from surefoot.export import plain
from surefoot.export.onnx_files import write_network_onnx
from surefoot.export.plain import check_same, open_plain_folder
from surefoot.files import read_tensors
from surefoot.flex.flexify import flexify
from surefoot.hub.vit_export import Form, export_at
from surefoot.networks.flexible import Shape, at_patch, build_vit
from surefoot.networks.network import Network, Parameters, forward, parameters_of

# An eps that is large enough to be seen in every logit.
SHAPE = Shape((3, 32, 32), width=16, depth=2, heads=2, buffer=(16, 16), grid=(3, 3), expansion=2, eps=0.1)
CLASSES = ("cat", "dog", "newt")
FORMS: tuple[Form, ...] = ("safetensors", "hugging_face", "onnx")


def network_of(shape: Shape = SHAPE) -> Network:
    return build_vit(shape, classes=3, patch=16, seed=0)


def large(network: Network) -> Parameters:
    """Numbers that are large enough for every tensor to count."""
    generator = torch.Generator().manual_seed(1)
    return {
        name: 0.3 * torch.randn(tensor.shape, generator=generator) for name, tensor in parameters_of(network).items()
    }


def images(rows: int = 3, size: tuple[int, int] = (32, 32)) -> Tensor:
    return torch.randn(rows, 3, *size, generator=torch.Generator().manual_seed(2))


def plain_transformer(folder: Path, inputs: Tensor) -> Tensor:
    """A vision transformer as Dosovitskiy et al. (2021) have it, out of torch's own attention, with these tensors."""
    config, tensors = json.loads((folder / "config.json").read_text()), read_tensors(folder / "model.safetensors")
    told, width = config["model_args"], config["num_features"]
    embed = nn.Conv2d(told["in_chans"], width, tuple(told["patch_size"]), stride=tuple(told["patch_size"]))
    embed.load_state_dict({"weight": tensors["patch_embed.proj.weight"], "bias": tensors["patch_embed.proj.bias"]})
    x = embed(inputs).flatten(2).mT + tensors["pos_embed"]
    if told["class_token"]:
        x = torch.cat([tensors["cls_token"].repeat(len(x), 1, 1), x], dim=1)

    def norm(name: str) -> nn.LayerNorm:
        layer = nn.LayerNorm(width, eps=config["layer_norm_eps"])
        layer.load_state_dict({kind: tensors[f"{name}.{kind}"] for kind in ("weight", "bias")})
        return layer

    for number in range(told["depth"]):
        block = f"blocks.{number}"
        attention = nn.MultiheadAttention(width, told["num_heads"], batch_first=True)
        attention.load_state_dict(
            {
                "in_proj_weight": tensors[f"{block}.attn.qkv.weight"],
                "in_proj_bias": tensors[f"{block}.attn.qkv.bias"],
                "out_proj.weight": tensors[f"{block}.attn.proj.weight"],
                "out_proj.bias": tensors[f"{block}.attn.proj.bias"],
            }
        )
        entered = norm(f"{block}.norm1")(x)
        x = x + attention(entered, entered, entered, need_weights=False)[0]
        inside = norm(f"{block}.norm2")(x) @ tensors[f"{block}.mlp.fc1.weight"].T + tensors[f"{block}.mlp.fc1.bias"]
        approximate = {"gelu": "none", "gelu_tanh": "tanh"}[told["act_layer"]]
        x = x + functional.gelu(inside, approximate=approximate) @ tensors[f"{block}.mlp.fc2.weight"].T
        x = x + tensors[f"{block}.mlp.fc2.bias"]
    x = norm("norm")(x)
    pooled = x[:, 0] if told["global_pool"] == "token" else x.mean(dim=1)
    return pooled @ tensors["head.weight"].T + tensors["head.bias"]


@pytest.mark.parametrize(
    ("shape", "patch"),
    [
        (SHAPE, (8, 8)),
        (replace(SHAPE, gelu="tanh"), (16, 16)),
        (replace(SHAPE, pool="mean", positions="sincos"), (4, 4)),
        (replace(SHAPE, image=(3, 32, 16)), (16, 8)),
    ],
    ids=["finer", "its own", "means and sines", "not square"],
)
def test_tensors_are_those_of_a_plain_transformer(tmp_path: Path, shape: Shape, patch: tuple[int, int]) -> None:
    network = network_of(shape)
    parameters, given = large(network), images(size=shape.image[1:])
    if shape.positions == "sincos":
        parameters["positions"] = parameters_of(network)["positions"]
    told = export_at(network, parameters, patch, CLASSES, given, tmp_path / "vit", "safetensors")
    assert told.startswith(
        f"{tmp_path / 'vit'}: a plain transformer at {patch[0]} × {patch[1]}, 3 classes; on 3 images"
    )
    expected = forward(at_patch(network, patch), parameters, given)
    with torch.no_grad():
        torch.testing.assert_close(plain_transformer(tmp_path / "vit", given), expected, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(open_plain_folder(tmp_path / "vit")(given), expected, atol=1e-4, rtol=1e-4)
    assert expected.std() > 0.1
    assert [path.name for path in tmp_path.iterdir()] == ["vit"]
    config = json.loads((tmp_path / "vit" / "config.json").read_text())
    assert config["label_names"] == list(CLASSES)


def test_hugging_face_opens_the_folder(tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    network = network_of()
    parameters = large(network)
    export_at(network, parameters, (8, 8), CLASSES, images(), tmp_path / "vit", "hugging_face")
    model = transformers.ViTForImageClassification.from_pretrained(tmp_path / "vit").eval()
    with torch.no_grad():
        said = model(pixel_values=images()).logits
    expected = forward(at_patch(network, 8), parameters, images())
    torch.testing.assert_close(said, expected, atol=1e-4, rtol=1e-4)
    assert [path.name for path in tmp_path.iterdir()] == ["vit"]


def test_another_runtime_runs_the_onnx_file(tmp_path: Path) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    network = network_of()
    parameters = {name: tensor.double() for name, tensor in large(network).items()}
    (tmp_path / "vit.onnx").write_bytes(b"of before")
    export_at(network, parameters, (4, 4), CLASSES, images(), tmp_path / "vit.onnx", "onnx")
    session = onnxruntime.InferenceSession(str(tmp_path / "vit.onnx"), providers=["CPUExecutionProvider"])
    given = images(5)
    logits, probabilities, label = session.run(None, {"inputs": given.numpy()})
    expected = forward(at_patch(network, 4), parameters, given.double()).float()
    torch.testing.assert_close(torch.from_numpy(logits), expected, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(torch.from_numpy(probabilities), expected.softmax(dim=1), atol=1e-4, rtol=1e-4)
    assert label.tolist() == expected.argmax(dim=1).tolist()
    assert json.loads(session.get_modelmeta().custom_metadata_map["classes"]) == list(CLASSES)
    assert [path.name for path in tmp_path.iterdir()] == ["vit.onnx"]


class Tower(nn.Module):
    """Somebody's transformer, in short."""

    def __init__(self) -> None:
        super().__init__()
        self.patch = nn.Conv2d(3, 8, kernel_size=16, stride=16)
        self.positions = nn.Parameter(torch.randn(1, 4, 8, generator=torch.Generator().manual_seed(0)))
        self.head = nn.Linear(8, 3)

    def forward(self, inputs: Tensor) -> Tensor:
        return self.head((self.patch(inputs).flatten(2).mT + self.positions).tanh().mean(dim=1))


@pytest.mark.parametrize("form", ["safetensors", pytest.param("onnx", marks=pytest.mark.slow)])
def test_a_flexified_module_is_exported_as_its_own_class(tmp_path: Path, form: Form) -> None:
    network = Network(flexify(Tower(), 32).eval(), "module.head")
    parameters = parameters_of(network)
    expected = forward(at_patch(network, 8), parameters, images())
    export_at(network, parameters, (8, 8), CLASSES, images(), tmp_path / "out", form)
    if form == "safetensors":
        tensors = read_tensors(tmp_path / "out" / "model.safetensors")
        other = Tower()
        other.patch = nn.Conv2d(3, 8, kernel_size=8, stride=8)
        other.positions = nn.Parameter(torch.zeros(1, 16, 8))
        other.load_state_dict(tensors)
        with torch.no_grad():
            torch.testing.assert_close(other(images()), expected)
        config = json.loads((tmp_path / "out" / "config.json").read_text())
        assert config == {"architecture": "Tower", "patch_size": [8, 8], "classes": list(CLASSES)}
        with pytest.raises(InputError, match="no plain transformer that surefoot wrote"):
            open_plain_folder(tmp_path / "out")


@pytest.mark.parametrize("form", [*FORMS[:2], pytest.param("onnx", marks=pytest.mark.slow)])
def test_what_differs_is_refused_and_nothing_is_left(
    tmp_path: Path, form: Form, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = network_of()
    parameters, before = large(network), []
    if form == "onnx":
        (tmp_path / "out").write_bytes(b"of before")
        before = ["out"]
    broken = {**parameters, "head.bias": torch.full((3,), torch.nan)}
    with pytest.raises(InputError, match=r"out would say something else"):
        export_at(network, broken, (8, 8), CLASSES, images(), tmp_path / "out", form)
    assert [path.name for path in tmp_path.iterdir()] == before
    from surefoot.hub import vit_folder

    fixed_at = plain.fixed_at

    def moved(*given: Any) -> Any:
        """With an error in one position."""
        fixed = fixed_at(*given)
        with torch.no_grad():
            fixed.parameters["positions"][0, 0, 0] += 0.5
        return fixed

    monkeypatch.setattr(plain, "fixed_at", moved)
    monkeypatch.setattr(vit_folder, "fixed_at", moved)
    with pytest.raises(InputError, match=r"out would say something else"):
        export_at(network, parameters, (8, 8), CLASSES, images(), tmp_path / "out", form)
    assert [path.name for path in tmp_path.iterdir()] == before
    assert not before or (tmp_path / "out").read_bytes() == b"of before"


@pytest.mark.parametrize("form", FORMS)
def test_bad_requests_are_refused_and_nothing_is_left(tmp_path: Path, form: Form) -> None:
    network = network_of()
    parameters, out = large(network), tmp_path / "out"
    with pytest.raises(InputError, match="2 names were given for 3 classes"):
        export_at(network, parameters, (8, 8), CLASSES[:2], images(), out, form)
    with pytest.raises(InputError, match="7 × 7 pixels does not divide"):
        export_at(network, parameters, (7, 7), CLASSES, images(), out, form)
    with pytest.raises(InputError, match="64 × 64 pixels was asked for of images of 32 × 32"):
        export_at(network, parameters, (64, 64), CLASSES, images(), out, form)
    with pytest.raises(InputError, match="no images; give a few"):
        export_at(network, parameters, (8, 8), CLASSES, images(0), out, form)
    linear = Network(nn.Sequential(nn.Linear(2, 3)), "0")
    with pytest.raises(InputError, match="Sequential"):
        export_at(linear, parameters_of(linear), (8, 8), CLASSES, images(), out, form)
    assert not list(tmp_path.iterdir())
    if form != "onnx":
        out.mkdir()
        with pytest.raises(InputError, match="exists already"):
            export_at(network, parameters, (8, 8), CLASSES, images(), out, form)


class Counting(nn.Module):
    """It asks for the number of rows with `len`, of which an exported graph makes a constant."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.head = nn.Parameter(torch.ones(1, 4)), nn.Linear(8, 2)

    def forward(self, inputs: Tensor) -> Tensor:
        return self.head(torch.cat([self.first.expand(len(inputs), -1), inputs], dim=1))


def test_a_graph_for_one_number_of_rows_is_refused(tmp_path: Path) -> None:
    network = Network(Counting(), "head")
    with pytest.raises(InputError, match=r"reads two rows and no other number; ask .* with x\.shape\[0\]"):
        write_network_onnx(network, parameters_of(network), ("a", "b"), (4,), tmp_path / "out.onnx")
    assert not list(tmp_path.iterdir())


def test_a_difference_is_told_in_classes_and_logits(tmp_path: Path) -> None:
    network = network_of()
    parameters = large(network)
    expected = forward(at_patch(network, 8), parameters, images())
    turned = expected.clone()
    turned[0] = -turned[0]
    with pytest.raises(InputError, match=r"at 8 × 8: 1 of 3 images are of another class, and a logit differs by"):
        check_same(network, parameters, (8, 8), images(), lambda _: turned, tmp_path / "out")
    check_same(network, parameters, (8, 8), images(), lambda _: expected, tmp_path / "out")

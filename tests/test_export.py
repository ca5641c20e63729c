"""Exported heads and models predict exactly as they did here, in every runtime."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file
from torch import Tensor, nn

from surefoot.errors import InputError
from surefoot.export.heads import as_linear, read_head, save_head_model, write_head
from surefoot.export.models import export_model
from surefoot.export.onnx_files import HEAD_IR, HEAD_OPSET, write_head_onnx
from surefoot.networks.build import build_cnn, build_mlp, build_resnet
from surefoot.networks.network import forward, head_of, parameters_of
from surefoot.networks.weights import ModelRecord, open_model, save_model
from surefoot.robust.head import LinearHead, fold_scaler
from surefoot.robust.scaler import fit_scaler
from surefoot.sklearn import logistic_regression


def in_onnx(path: Path, inputs: Tensor) -> list[NDArray[Any]]:
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return session.run(["logits", "probabilities", "label"], {"inputs": inputs.float().numpy()})


def folded(
    classes: int, spread: float, dtype: torch.dtype, seed: int = 0
) -> tuple[LinearHead, LinearHead, Any, Tensor]:
    """A random head on standardised features, the same folded, the scaler, and features around 1 with that spread.

    Every fourth feature is constant.
    """
    generator = torch.Generator().manual_seed(seed)
    features = 1 + spread * torch.randn(2000, 32, generator=generator)
    features[:, ::4] = 0.1
    scaler = fit_scaler(features)
    weight = torch.randn(classes, 32, generator=generator, dtype=torch.float64).masked_fill(scaler.constant, 0.0)
    head = LinearHead(weight, torch.randn(classes, generator=generator, dtype=torch.float64))
    made = fold_scaler(head, scaler.mean, scaler.scale)
    return head, LinearHead(made.weight.to(dtype), made.bias.to(dtype)), scaler, features


def decided(logits: Tensor, allowed: float) -> Tensor:
    """Rows whose two largest logits lie further apart than rounding can move them."""
    best = logits.topk(2, dim=1).values
    return best[:, 0] - best[:, 1] > allowed


@pytest.mark.parametrize("classes", [2, 5])
@pytest.mark.parametrize(
    ("spread", "dtype"),
    [(1.0, torch.float32), (1e-2, torch.float32), (1.0, torch.float64), (1e-4, torch.float64), (1e-6, torch.float64)],
)
def test_every_export_has_the_argmax_of_the_unfolded_head(
    tmp_path: Path, classes: int, spread: float, dtype: torch.dtype
) -> None:
    head, exported, scaler, features = folded(classes, spread, dtype)
    logits = head.logits(scaler.apply(features))
    wanted = logits.argmax(dim=1)
    # Rounding: |W z / σ| is about 32 / spread in size, and moves by that times the precision's last bit.
    sure = decided(logits, 64 / spread * torch.finfo(dtype).eps)
    assert float(sure.float().mean()) > 0.99
    names = [f"class {number}" for number in range(classes)]
    write_head(exported, names, tmp_path / "head.safetensors")
    write_head_onnx(exported, names, tmp_path / "head.onnx")
    answers = in_onnx(tmp_path / "head.onnx", features)
    assert torch.equal(as_linear(exported)(features.to(dtype)).argmax(dim=1)[sure], wanted[sure])
    assert torch.equal(read_head(tmp_path / "head.safetensors").head.logits(features).argmax(dim=1)[sure], wanted[sure])
    assert torch.equal(torch.from_numpy(answers[2])[sure], wanted[sure])
    by_sklearn = logistic_regression(exported).predict(features.double().numpy())
    assert torch.equal(torch.from_numpy(by_sklearn)[sure], wanted[sure])


@pytest.mark.parametrize("classes", [2, 5])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_onnx_gives_logits_probabilities_and_labels(tmp_path: Path, classes: int, dtype: torch.dtype) -> None:
    _, exported, _, features = folded(classes, 1.0, dtype)
    names = ["Katze", "Hündin", "虎", "d", "e"][:classes]
    write_head_onnx(exported, names, tmp_path / "head.onnx")
    logits, probabilities, label = in_onnx(tmp_path / "head.onnx", features)
    assert logits == pytest.approx(exported.logits(features).numpy(), rel=1e-4, abs=1e-4)
    assert probabilities == pytest.approx(exported.probabilities(features).numpy(), abs=1e-5)
    assert np.array_equal(label, logits.argmax(axis=1))
    assert [part.dtype for part in (logits, probabilities, label)] == [np.float32, np.float32, np.int64]
    assert in_onnx(tmp_path / "head.onnx", features[:1])[0].shape == (1, classes)
    model = onnx.load(tmp_path / "head.onnx")
    metadata = {entry.key: entry.value for entry in model.metadata_props}
    assert json.loads(metadata["classes"]) == names
    assert (model.opset_import[0].version, model.ir_version) == (HEAD_OPSET, HEAD_IR)


def test_of_equal_logits_the_first_wins_everywhere(tmp_path: Path) -> None:
    head = LinearHead(torch.tensor([[0.0, 0.0], [1.0, 1.0], [1.0, 1.0]]), torch.zeros(3))
    write_head_onnx(head, ["a", "b", "c"], tmp_path / "head.onnx")
    inputs = torch.tensor([[1.0, 1.0], [-1.0, -1.0], [0.0, 0.0]])
    assert in_onnx(tmp_path / "head.onnx", inputs)[2].tolist() == [1, 0, 0]
    assert logistic_regression(head).predict(inputs.numpy()).tolist() == [1, 0, 0]
    pair = LinearHead(head.weight[:2], head.bias[:2])
    assert logistic_regression(pair).predict(inputs.numpy()).tolist() == [1, 0, 0]


def test_a_written_head_comes_back_bit_for_bit(tmp_path: Path) -> None:
    for dtype in (torch.float32, torch.float64):
        _, head, _, features = folded(3, 1e-3, dtype)
        path = tmp_path / f"{dtype}.safetensors"
        write_head(head, ["a", "b", "c"], path)
        back = read_head(path)
        assert torch.equal(back.head.weight, head.weight)
        assert torch.equal(back.head.bias, head.bias)
        assert back.classes == ("a", "b", "c")
        layer = nn.Linear(32, 3, dtype=dtype)
        layer.load_state_dict(load_file(path))
        assert torch.equal(layer(features.to(dtype)), as_linear(head)(features.to(dtype)))


def test_a_head_model_opens_like_any_other(tmp_path: Path) -> None:
    _, head, _, features = folded(3, 1.0, torch.float32)
    save_head_model(head, ["a", "b", "c"], tmp_path / "model", {"method": "dfr"})
    opened = open_model(str(tmp_path / "model"))
    assert opened.record is not None
    assert (opened.record.classes, opened.record.provenance) == (("a", "b", "c"), {"method": "dfr"})
    assert torch.equal(forward(opened.network, opened.parameters, features), as_linear(head)(features))
    for name in ("head.onnx", "head.safetensors"):
        said = export_model(str(tmp_path / "model"), tmp_path / name)
        assert "a head on 32 features, 3 classes (a, b, c)" in said
    assert torch.equal(read_head(tmp_path / "head.safetensors").head.weight, head.weight)
    assert in_onnx(tmp_path / "head.onnx", features)[0] == pytest.approx(head.logits(features).numpy(), abs=1e-4)


def test_a_network_keeps_its_tensors(tmp_path: Path) -> None:
    network = build_mlp(6, 5, 2, seed=0)
    parameters = parameters_of(network)
    record = ModelRecord({"mlp": {"inputs": 6, "hidden": [5], "classes": 2}}, "head", ("no", "yes"), (6,))
    save_model(tmp_path / "model", parameters, record)
    said = export_model(str(tmp_path / "model"), tmp_path / "out", to="safetensors")
    assert "the 4 tensors of a network, 2 classes (no, yes)" in said
    written = load_file(tmp_path / "out")
    assert written.keys() == parameters.keys()
    assert all(torch.equal(written[name], parameters[name]) for name in written)


CNN = {"shape": [1, 8, 8], "channels": [4], "hidden": 8, "classes": 3}
RESNET = {"shape": [3, 8, 8], "width": 4, "blocks": 1, "classes": 3}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("network", "spec", "shape"),
    [
        (build_cnn((1, 8, 8), (4,), 8, 3, seed=0), {"cnn": CNN}, (1, 8, 8)),
        (build_resnet((3, 8, 8), 4, 1, 3, seed=0), {"resnet": RESNET}, (3, 8, 8)),
    ],
    ids=["cnn", "resnet"],
)
def test_a_network_in_onnx_is_the_network(tmp_path: Path, network: Any, spec: Any, shape: tuple[int, ...]) -> None:
    parameters = {name: tensor + 0.1 for name, tensor in parameters_of(network).items()}
    save_model(tmp_path / "model", parameters, ModelRecord(spec, "head", ("a", "b", "c"), shape))
    assert "a network on inputs of shape" in export_model(str(tmp_path / "model"), tmp_path / "net.onnx")
    inputs = torch.randn(5, *shape, generator=torch.Generator().manual_seed(0))
    logits, probabilities, label = in_onnx(tmp_path / "net.onnx", inputs)
    ours = forward(network, parameters, inputs)
    assert logits == pytest.approx(ours.numpy(), abs=1e-4)
    assert probabilities == pytest.approx(ours.softmax(dim=1).numpy(), abs=1e-5)
    assert label.tolist() == ours.argmax(dim=1).tolist()


def test_wrong_input_is_told_in_a_sentence(tmp_path: Path) -> None:
    head = LinearHead(torch.zeros(2, 3), torch.zeros(2))
    with pytest.raises(InputError, match="2 logits"):
        write_head(head, ["a"], tmp_path / "head.safetensors")
    with pytest.raises(InputError, match="of its own"):
        write_head_onnx(head, ["a", "a"], tmp_path / "head.onnx")
    save_head_model(head, ["a", "b"], tmp_path / "model")
    with pytest.raises(InputError, match=r"model\.pkl is none"):
        export_model(str(tmp_path / "model"), tmp_path / "model.pkl")
    with pytest.raises(InputError, match="'pickle' is none"):
        export_model(str(tmp_path / "model"), tmp_path / "model.onnx", to="pickle")
    with pytest.raises(InputError, match="no head that surefoot wrote"):
        read_head(tmp_path / "model/model.safetensors")
    with pytest.raises(InputError, match="not sorted"):
        logistic_regression(head, ["b", "a"])
    (tmp_path / "net.py").write_text("from torch import nn\ndef net():\n    return nn.Sequential(nn.Linear(4, 2))\n")
    with pytest.raises(InputError, match="--shape"):
        export_model(f"{tmp_path}/net.py:net", tmp_path / "net.onnx", trust_code=True)
    assert not list(tmp_path.glob("*.onnx"))


def test_a_hugging_face_folder_is_told_what_exports_it(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(InputError, match=r"`optimum-cli export onnx`\); surefoot exports the head that it repaired"):
        export_model(str(tmp_path), tmp_path / "a.onnx")


def test_without_onnx_the_sentence_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "onnx", None)
    with pytest.raises(InputError, match=r"pip install 'surefoot\[onnx\]'"):
        write_head_onnx(LinearHead(torch.zeros(2, 3), torch.zeros(2)), ["a", "b"], tmp_path / "head.onnx")


def test_the_last_layer_of_a_network_can_be_exported_alone(tmp_path: Path) -> None:
    network = build_mlp(6, 5, 2, seed=0)
    head = LinearHead(*head_of(network, parameters_of(network)))
    write_head_onnx(head, ["no", "yes"], tmp_path / "head.onnx")
    features = torch.randn(4, 5, generator=torch.Generator().manual_seed(0))
    assert in_onnx(tmp_path / "head.onnx", features)[0] == pytest.approx(head.logits(features).numpy(), abs=1e-5)

"""A saved model comes back as it was, or the one thing that is wrong with its folder is said."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from surefoot.errors import InputError
from surefoot.files import digest_file
from surefoot.networks.network import digest_parameters, forward, parameters_of
from surefoot.networks.spec import network_from_spec
from surefoot.networks.weights import ModelRecord, load_model, open_model, save_model

SPEC = {"mlp": {"inputs": 4, "hidden": [3], "classes": 2}}
RECORD = ModelRecord(SPEC, "head", ("2–5", "6–9"), (1, 2, 2), {"seed": 7, "method": "dfr", "chosen": {"C": 0.3}})
NET = """
from torch import nn
class Net(nn.Sequential):
    def __init__(self):
        super().__init__(nn.Linear(4, 3), nn.Dropout(), nn.BatchNorm1d(3), nn.Linear(3, 2))
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    save_model(tmp_path / "model", parameters_of(network_from_spec(SPEC, seed=7)), RECORD)
    return tmp_path / "model"


def rewrite(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    record = json.loads((folder / "record.json").read_text())
    change(record)
    (folder / "record.json").write_text(json.dumps(record))


def retensor(folder: Path, change: Callable[[dict[str, torch.Tensor]], object]) -> None:
    tensors = {name: tensor.clone() for name, tensor in load_file(folder / "model.safetensors").items()}
    change(tensors)
    save_file(tensors, folder / "model.safetensors")


def test_a_model_comes_back_as_it_was(folder: Path) -> None:
    network = network_from_spec(SPEC, seed=7)
    saved = load_model(folder)
    inputs = torch.rand(5, 4)
    logits = forward(network, parameters_of(network), inputs)
    assert torch.equal(forward(saved.network, saved.parameters, inputs), logits)
    assert saved.record == RECORD
    assert saved.sha256 == digest_file(folder / "model.safetensors")
    assert saved.written_by == json.loads((folder / "record.json").read_text())["surefoot"]
    assert sorted(path.name for path in folder.iterdir()) == ["model.safetensors", "record.json"]


def test_saving_twice_writes_the_same_bytes(folder: Path, tmp_path: Path) -> None:
    saved = load_model(folder)
    save_model(tmp_path / "again", saved.parameters, saved.record)
    for name in ("model.safetensors", "record.json"):
        assert (tmp_path / "again" / name).read_bytes() == (folder / name).read_bytes()


def test_a_users_model_comes_back_with_its_buffers(tmp_path: Path) -> None:
    (tmp_path / "net.py").write_text(NET)
    spec = {"file": f"{tmp_path / 'net.py'}:Net", "head": "3"}
    network = network_from_spec(spec, seed=0, trust_code=True)
    parameters = parameters_of(network)
    forward(network, parameters, torch.rand(6, 4), training=True)
    save_model(tmp_path / "model", parameters, ModelRecord(spec, "3", ("a", "b"), (4,)))
    saved = load_model(tmp_path / "model", trust_code=True)
    inputs = torch.rand(5, 4)
    assert torch.equal(forward(saved.network, saved.parameters, inputs), forward(network, parameters, inputs))
    assert saved.parameters["2.num_batches_tracked"] == 1
    with pytest.raises(InputError, match="pass --trust-code"):
        load_model(tmp_path / "model")


def bad(change: Callable[[Path], object], message: str) -> tuple[Callable[[Path], object], str]:
    return change, message


@pytest.mark.parametrize(
    ("change", "message"),
    [
        bad(
            lambda folder: (folder / "record.json").unlink(),
            "There is no file {folder}/record.json; check the path.",
        ),
        bad(
            lambda folder: (folder / "model.safetensors").unlink(),
            "There is no file {folder}/model.safetensors; check the path.",
        ),
        bad(
            lambda folder: (folder / "record.json").write_text("[1]"),
            "{folder}/record.json is not a surefoot model record; give a folder that surefoot saved a model in.",
        ),
        bad(
            lambda folder: rewrite(folder, lambda record: record.update(schema=2)),
            "{folder}/record.json was written by a newer surefoot (schema 2; this one reads up to 1); "
            "upgrade: pip install -U surefoot.",
        ),
        bad(
            lambda folder: rewrite(folder, lambda record: record.pop("classes")),
            '{folder}/record.json has no "classes"; it is incomplete: save the model again.',
        ),
        bad(
            lambda folder: rewrite(folder, lambda record: record.update(head=3)),
            '{folder}/record.json has 3 for "head"; it must be a str.',
        ),
        bad(
            lambda folder: retensor(folder, lambda tensors: tensors.pop("head.bias")),
            '{folder}/model.safetensors has no tensor "head.bias", which record.json lists; save the model again.',
        ),
        bad(
            lambda folder: retensor(folder, lambda tensors: tensors.update(more=torch.zeros(1))),
            '{folder}/model.safetensors has a tensor "more", which record.json does not list; save the model again.',
        ),
        bad(
            lambda folder: retensor(folder, lambda tensors: tensors.update({"head.bias": torch.zeros(3)})),
            '{folder}/model.safetensors has "head.bias" as {{"dtype": "float32", "shape": [3]}}, but record.json says '
            '{{"dtype": "float32", "shape": [2]}}; save the model again.',
        ),
        bad(
            lambda folder: retensor(folder, lambda tensors: tensors.update({"head.bias": torch.zeros(2).half()})),
            '{folder}/model.safetensors has "head.bias" as {{"dtype": "float16", "shape": [2]}}, but record.json says '
            '{{"dtype": "float32", "shape": [2]}}; save the model again.',
        ),
        bad(
            lambda folder: rewrite(folder, lambda record: record.update(spec={"mpl": {}})),
            '"mpl" is no architecture; did you mean "mlp"? Known: linear, mlp, cnn, resnet, vit, file.',
        ),
        bad(
            lambda folder: rewrite(folder, lambda record: record.update(spec={"linear": {"inputs": 4, "classes": 2}})),
            '{folder}/model.safetensors has "head.weight" with shape (2, 3); the model needs (2, 4).',
        ),
        bad(
            lambda folder: rewrite(folder, lambda record: record.update(head="hidden1")),
            '{folder}/record.json names the head "hidden1", but that of its architecture is "head"; '
            "save the model again.",
        ),
        bad(
            lambda folder: rewrite(folder, lambda record: record.update(classes=["a", "b", "c"])),
            "The model has 2 outputs and its record names 3 classes (a, b, c); give one name per output.",
        ),
    ],
)
def test_a_folder_that_is_wrong_says_what_is_wrong(
    folder: Path, change: Callable[[Path], object], message: str
) -> None:
    change(folder)
    with pytest.raises(InputError, match=f"^{re.escape(message.format(folder=folder))}$"):
        load_model(folder)


def test_a_truncated_tensor_file_is_refused(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-8])
    with pytest.raises(InputError, match=rf"^{re.escape(str(path))} is not a readable safetensors file \(.*cut short"):
        load_model(folder)


def test_changed_numbers_are_found(folder: Path) -> None:
    retensor(folder, lambda tensors: tensors["head.bias"].add_(1e-6))
    path = folder / "model.safetensors"
    with pytest.raises(
        InputError,
        match=rf"^{re.escape(str(path))} has changed since record\.json was written "
        r"\(sha256 [0-9a-f]{12}…, recorded [0-9a-f]{12}…\); restore the file or save the model again\.$",
    ):
        load_model(folder)


def test_saving_refuses_a_record_that_does_not_fit(tmp_path: Path) -> None:
    parameters = parameters_of(network_from_spec(SPEC, seed=7))
    with pytest.raises(
        InputError,
        match=re.escape('The parameters have no "fc.weight"; name the head of the network they are for.'),
    ):
        save_model(tmp_path / "model", parameters, ModelRecord(SPEC, "fc", ("a", "b"), (4,)))
    with pytest.raises(InputError, match=r"The model has 2 outputs and its record names 1 classes \(a\)"):
        save_model(tmp_path / "model", parameters, ModelRecord(SPEC, "head", ("a",), (4,)))
    assert not (tmp_path / "model").exists()


def test_a_save_that_is_stopped_leaves_no_record_of_the_old_model(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise InputError("the disk is full")

    monkeypatch.setattr("surefoot.networks.weights.write_tensors", full)
    with pytest.raises(InputError, match="the disk is full"):
        save_model(folder, load_model(folder).parameters, RECORD)
    with pytest.raises(InputError, match=r"There is no file .*record\.json"):
        load_model(folder)


def test_opening_a_folder_gives_its_model(folder: Path) -> None:
    opened = open_model(str(folder))
    assert opened.record == RECORD
    assert torch.equal(opened.parameters["head.weight"], load_model(folder).parameters["head.weight"])
    with pytest.raises(
        InputError,
        match=re.escape(f"{folder} already says its weights and its head; leave out weights and head."),
    ):
        open_model(str(folder), head="head")


def test_opening_a_users_file_takes_weights_from_another(tmp_path: Path) -> None:
    (tmp_path / "net.py").write_text(NET)
    (tmp_path / "linear.py").write_text("from torch import nn\ndef make():\n    return nn.Linear(4, 2)\n")
    module = nn.Sequential(nn.Linear(4, 3), nn.Dropout(), nn.BatchNorm1d(3), nn.Linear(3, 2)).eval()
    torch.save(module.state_dict(), tmp_path / "weights.pt")
    opened = open_model(f"{tmp_path / 'net.py'}:Net", trust_code=True, weights=tmp_path / "weights.pt")
    inputs = torch.rand(5, 4)
    assert opened.network.head == "3"
    assert opened.record is None
    assert torch.equal(forward(opened.network, opened.parameters, inputs), module(inputs))
    layer = nn.Linear(4, 2)
    torch.save(layer.state_dict(), tmp_path / "layer.pt")
    bare = open_model(f"{tmp_path / 'linear.py'}:make", trust_code=True, weights=tmp_path / "layer.pt")
    assert torch.equal(forward(bare.network, bare.parameters, inputs), layer(inputs))


def test_a_users_file_without_weights_starts_the_same_every_time(tmp_path: Path) -> None:
    (tmp_path / "net.py").write_text(NET)
    before = torch.get_rng_state()
    first, second = (open_model(f"{tmp_path / 'net.py'}:Net", trust_code=True).parameters for _ in range(2))
    assert torch.equal(torch.get_rng_state(), before)
    assert digest_parameters(first) == digest_parameters(second)


def test_other_folders_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(
        InputError,
        match=re.escape(
            f"There is no folder {tmp_path / 'none'}; give a folder that surefoot saved a model in, or name a model in "
            "a file as file.py:Net."
        ),
    ):
        open_model(str(tmp_path / "none"))
    with pytest.raises(
        InputError,
        match=re.escape(
            f"{tmp_path} holds no record.json; give a folder that surefoot saved a model in, or file.py:Net."
        ),
    ):
        open_model(str(tmp_path))
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(
        InputError,
        match=re.escape(
            f"{tmp_path} is a Hugging Face model folder, which this command cannot open; look, predict and repair "
            "--model do, and `surefoot features"
        ),
    ):
        open_model(str(tmp_path))

"""Features are computed once, survive kills and damage, and never mix with those of another model or input."""

import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from surefoot.errors import InputError
from surefoot.networks import cache, chunks
from surefoot.networks.build import build_mlp
from surefoot.networks.cache import extract, extraction_key
from surefoot.networks.network import Network, embed, parameters_of
from surefoot.networks.user import load_user_module
from surefoot.rows.rows import Rows, make_rows


class Counted(nn.Module):
    """A model that counts the rows it sees and can fail at the n-th pass, as a killed one would."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Linear(6, 5)
        self.head = nn.Linear(5, 2)
        self.sizes: list[int] = []
        self.fail_at: list[int] = []

    def forward(self, inputs: Tensor) -> Tensor:
        self.sizes.append(len(inputs))
        if len(self.sizes) in self.fail_at:
            raise KeyboardInterrupt
        return self.head(self.body(inputs).relu())


@dataclass
class Lazy:
    """Inputs that are handed out in pieces, as image files would be."""

    tensor: Tensor

    def __len__(self) -> int:
        return len(self.tensor)

    def __getitem__(self, index: Any, /) -> Tensor:
        return self.tensor[index]


@pytest.fixture
def counted() -> tuple[Counted, Network]:
    torch.manual_seed(0)
    module = Counted()
    return module, Network(module, "head")


def rows_of(count: int = 23, seed: int = 0) -> Rows:
    inputs = torch.randn(count, 6, generator=torch.Generator().manual_seed(seed))
    ids = np.array([f"leaf:{row:03d}" for row in range(count)])
    return make_rows(inputs, torch.zeros(count, dtype=torch.int64), classes=("a", "b"), ids=ids)


def expected(network: Network, rows: Rows) -> Tensor:
    with torch.no_grad():
        return torch.cat([embed(network, parameters_of(network), part.clone()) for part in rows.inputs[:].split(5)])


def run(network: Network, rows: Rows, folder: Path, **options: Any) -> Rows:
    return extract(network, parameters_of(network), rows, folder=folder, batch=5, **options)


def only(folder: Path) -> Path:
    (inside,) = folder.iterdir()
    return inside


def test_features_are_what_enters_the_head_and_rows_keep_the_rest(
    counted: tuple[Counted, Network], tmp_path: Path
) -> None:
    module, network = counted
    rows = rows_of()
    found = run(network, rows, tmp_path)
    assert torch.equal(found.inputs[:], expected(network, rows))
    assert found.ids is rows.ids
    assert found.sources is rows.sources
    assert found.targets is rows.targets
    assert module.sizes[:6] == [8, 5, 5, 5, 5, 3]


def test_a_second_call_runs_nothing(counted: tuple[Counted, Network], tmp_path: Path) -> None:
    module, network = counted
    first = run(network, rows_of(), tmp_path)
    module.sizes.clear()
    second = run(network, rows_of(), tmp_path)
    assert module.sizes == []
    assert torch.equal(first.inputs[:], second.inputs[:])


def test_lazy_inputs_give_the_same_features_from_the_same_address(
    counted: tuple[Counted, Network], tmp_path: Path
) -> None:
    module, network = counted
    rows = rows_of()
    first = run(network, rows, tmp_path)
    module.sizes.clear()
    second = run(network, rows.with_inputs(Lazy(rows.inputs[:])), tmp_path)
    assert module.sizes == []
    assert torch.equal(first.inputs[:], second.inputs[:])


def test_a_killed_extraction_goes_on_where_it_was(counted: tuple[Counted, Network], tmp_path: Path) -> None:
    module, network = counted
    rows = rows_of()
    module.fail_at = [1 + 3]
    with pytest.raises(KeyboardInterrupt):
        run(network, rows, tmp_path)
    assert not (only(tmp_path) / "manifest.json").exists()
    assert sorted(path.name for path in (only(tmp_path) / "done").iterdir()) == ["000000", "000001"]
    module.sizes.clear()
    module.fail_at = []
    found = run(network, rows, tmp_path)
    assert module.sizes == [8, 5, 5, 3]
    assert torch.equal(found.inputs[:], expected(network, rows))
    assert list((only(tmp_path) / "done").iterdir()) == []


@pytest.mark.slow
def test_a_killed_process_leaves_what_another_can_finish(tmp_path: Path) -> None:
    """SIGKILL in the middle of a chunk, in a process of its own."""
    code = f"""
import os, signal, torch
from pathlib import Path
from surefoot.networks.build import build_mlp
from surefoot.networks.cache import extract
from surefoot.networks.network import parameters_of
from surefoot.rows.rows import make_rows
network = build_mlp(6, 5, 2, seed=0)
rows = make_rows(torch.arange(23 * 6).reshape(23, 6) / 100, torch.zeros(23, dtype=torch.int64), classes=("a", "b"))
def report(stage, done, total):
    if done == 15:
        os.kill(os.getpid(), signal.SIGKILL)
extract(network, parameters_of(network), rows, folder=Path({str(tmp_path)!r}), batch=5, progress=report)
"""
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == -9
    assert len(list((only(tmp_path) / "done").iterdir())) == 3
    network = build_mlp(6, 5, 2, seed=0)
    inputs = torch.arange(23 * 6).reshape(23, 6) / 100
    rows = make_rows(inputs, torch.zeros(23, dtype=torch.int64), classes=("a", "b"))
    found = run(network, rows, tmp_path)
    assert len(list(tmp_path.iterdir())) == 1
    assert torch.equal(found.inputs[:], expected(network, rows))


@pytest.mark.parametrize("finished", [True, False])
def test_a_damaged_chunk_is_computed_again_and_reported(
    counted: tuple[Counted, Network], tmp_path: Path, finished: bool
) -> None:
    module, network = counted
    rows = rows_of()
    if not finished:
        module.fail_at = [1 + 5]
        with pytest.raises(KeyboardInterrupt):
            run(network, rows, tmp_path)
    else:
        run(network, rows, tmp_path)
    path = only(tmp_path) / "features.safetensors"
    content = bytearray(path.read_bytes())
    place = len(content) - 23 * 5 * 4 + 7 * 5 * 4
    content[place] ^= 1
    path.write_bytes(content)
    module.sizes.clear()
    module.fail_at = []
    said: list[tuple[str, int, int]] = []
    found = run(network, rows, tmp_path, progress=lambda *report: said.append(report))
    assert module.sizes == ([5] if finished else [8, 5, 3])
    assert torch.equal(found.inputs[:], expected(network, rows))
    assert said == [
        ("damaged features, computed again" if done == 10 else "features", done, 23) for done in (5, 10, 15, 20, 23)
    ]


def remove_manifest(folder: Path) -> None:
    (folder / "manifest.json").unlink()


def spoil_manifest(folder: Path) -> None:
    (folder / "manifest.json").write_text('{"format": 1, "dtype": "F99", "chunks": []}')


def cut_features(folder: Path) -> None:
    content = (folder / "features.safetensors").read_bytes()
    (folder / "features.safetensors").write_bytes(content[:100])


def spoil_header(folder: Path) -> None:
    content = (folder / "features.safetensors").read_bytes()
    (folder / "features.safetensors").write_bytes(b"\0" * 8 + content[8:])


def remove_features(folder: Path) -> None:
    (folder / "features.safetensors").unlink()


@pytest.mark.parametrize("spoil", [remove_manifest, spoil_manifest, cut_features, spoil_header, remove_features])
def test_whatever_is_broken_is_mended(
    counted: tuple[Counted, Network], tmp_path: Path, spoil: Callable[[Path], None]
) -> None:
    _, network = counted
    rows = rows_of()
    whole = run(network, rows, tmp_path)
    before = {path.name: path.read_bytes() for path in only(tmp_path).glob("*.*")}
    spoil(only(tmp_path))
    assert torch.equal(run(network, rows, tmp_path).inputs[:], whole.inputs[:])
    assert {path.name: path.read_bytes() for path in only(tmp_path).glob("*.*")} == before


def test_features_are_mapped_and_changing_them_changes_no_file(
    counted: tuple[Counted, Network], tmp_path: Path
) -> None:
    _, network = counted
    found = run(network, rows_of(), tmp_path)
    before = load_file(only(tmp_path) / "features.safetensors")["features"].clone()
    assert str(only(tmp_path) / "features.safetensors") in Path("/proc/self/maps").read_text()
    assert found.inputs[:].data_ptr() % 64 == 0
    found.inputs[:].add_(1)
    again = run(network, rows_of(), tmp_path)
    assert torch.equal(again.inputs[:], before)


def test_the_address_changes_with_all_that_shapes_the_numbers(
    counted: tuple[Counted, Network], monkeypatch: pytest.MonkeyPatch
) -> None:
    _, network = counted
    parameters = parameters_of(network)
    rows = rows_of()
    key = extraction_key(network, parameters, rows, batch=5)
    assert key == extraction_key(network, parameters_of(network), rows_of(), batch=5)
    assert key == extraction_key(network, parameters, rows.with_targets(torch.ones(23, dtype=torch.int64)), batch=5)
    relu, tanh = (Network(nn.Sequential(nn.Linear(6, 2), act(), nn.Linear(2, 2)), "2") for act in (nn.ReLU, nn.Tanh))
    slopes = [Network(nn.Sequential(nn.Linear(6, 2), nn.LeakyReLU(a), nn.Linear(2, 2)), "2") for a in (0.1, 0.2)]
    same = parameters_of(relu)
    others = [
        extraction_key(network, parameters, rows_of(seed=1), batch=5),
        extraction_key(network, parameters, rows.take(torch.arange(22)), batch=5),
        extraction_key(network, {**parameters, "body.bias": parameters["body.bias"] + 1e-6}, rows, batch=5),
        extraction_key(network, parameters, rows, batch=6),
        extraction_key(network, parameters, rows, batch=5, transform="flipped"),
        extraction_key(network, parameters, rows, batch=5, device="cuda"),
        *(extraction_key(other, same, rows, batch=5) for other in (relu, tanh, *slopes)),
    ]
    monkeypatch.setattr(cache, "product_in_use", lambda: "onednn")
    others.append(extraction_key(network, parameters, rows, batch=5))
    assert len({key, *others}) == 1 + len(others)


def test_the_address_follows_a_users_code_but_not_where_it_lies(tmp_path: Path) -> None:
    code = (
        "from torch import nn\n\ndef Net():\n    return Layers(nn.Linear(6, 2))\n\nclass Layers(nn.Sequential): ...\n"
    )
    keys: list[str] = []
    for number, text in enumerate([code, code, code + "# changed\n"]):
        (tmp_path / str(number)).mkdir()
        path = tmp_path / str(number) / "net.py"
        path.write_text(text)
        network = Network(load_user_module(f"{path}:Net", trust_code=True), "0")
        parameters = {"0.weight": torch.ones(2, 6), "0.bias": torch.zeros(2)}
        keys.append(extraction_key(network, parameters, rows_of()))
    assert keys[0] == keys[1] != keys[2]


class Activated(nn.Module):
    """A model whose activation is a function that it was given."""

    def __init__(self, activation: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.activation = activation
        self.head = nn.Linear(6, 2)

    def forward(self, inputs: Tensor) -> Tensor:
        return self.head(self.activation(inputs))


def test_the_address_sees_functions_that_a_layer_was_given() -> None:
    given: list[Callable[[Tensor], Tensor]] = [
        torch.relu, torch.tanh, nn.functional.gelu, nn.functional.silu, lambda x: 2 * x, lambda x: 3 * x,
    ]  # fmt: skip
    parameters = {"head.weight": torch.ones(2, 6), "head.bias": torch.zeros(2)}
    keys = [extraction_key(Network(Activated(each), "head"), parameters, rows_of()) for each in given]
    assert len(set(keys)) == len(given)
    assert keys == [extraction_key(Network(Activated(each), "head"), parameters, rows_of()) for each in given]


def test_the_address_sees_the_code_of_a_class_that_has_no_file() -> None:
    text = (
        "class Scaled(nn.Module):\n    def __init__(self):\n        super().__init__()\n"
        "        self.head = nn.Linear(6, 2)\n    def forward(self, x):\n        return self.head(x * {})\n"
    )
    keys: list[str] = []
    for factor in ("2.0", "3.0", "2.0"):
        typed: dict[str, Any] = {"nn": nn, "__name__": "typed"}
        exec(text.format(factor), typed)
        parameters = {"head.weight": torch.ones(2, 6), "head.bias": torch.zeros(2)}
        keys.append(extraction_key(Network(typed["Scaled"](), "head"), parameters, rows_of()))
    assert keys[0] == keys[2] != keys[1]


def test_another_process_may_finish_while_this_one_begins(
    counted: tuple[Counted, Network], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module, network = counted
    rows = rows_of()
    wanted = expected(network, rows)
    module.sizes.clear()
    gone = [tmp_path / "done" / "000000"]
    monkeypatch.setattr(chunks, "_markers", lambda folder: gone)
    assert torch.equal(run(network, rows, tmp_path).inputs[:], wanted)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_features_that_are_not_finite_name_their_rows(
    counted: tuple[Counted, Network], tmp_path: Path, bad: float
) -> None:
    _, network = counted
    rows = rows_of()
    inputs = rows.inputs[:].clone()
    inputs[11] = bad
    inputs[13] = bad
    with pytest.raises(
        InputError,
        match=re.escape(
            "The features of 2 rows are NaN or infinite (leaf:011, leaf:013); mend these inputs or the model's weights."
        ),
    ):
        run(network, rows.with_inputs(inputs), tmp_path)
    assert sorted(path.name for path in (only(tmp_path) / "done").iterdir()) == ["000000", "000001"]


def test_inputs_of_another_shape_are_refused(counted: tuple[Counted, Network], tmp_path: Path) -> None:
    _, network = counted
    rows = make_rows(torch.zeros(4, 7), torch.zeros(4, dtype=torch.int64), classes=("a", "b"))
    with pytest.raises(
        InputError,
        match=r"^The model cannot take rows of shape \(7,\) and type torch\.float32 \(mat1 and mat2 shapes cannot be "
        r"multiplied \(4x7 and 6x5\)\); give inputs of the shape it was made for\.$",
    ):
        run(network, rows, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_features_do_not_depend_on_where_tensors_lie_in_memory(
    counted: tuple[Counted, Network], tmp_path: Path
) -> None:
    """Rows cut out of the middle of a larger tensor begin at addresses that libraries treat differently."""
    _, network = counted
    larger = torch.randn(40, 6, generator=torch.Generator().manual_seed(3))
    for start in range(8):
        cut = rows_of(9).with_inputs(larger[start : start + 9])
        alone = rows_of(9).with_inputs(larger[start : start + 9].clone())
        found = [run(network, rows, tmp_path / name) for rows, name in ((cut, "cut"), (alone, "alone"))]
        assert torch.equal(found[0].inputs[:], found[1].inputs[:])
        weight = torch.randn(40, generator=torch.Generator().manual_seed(4))[start : start + 30].reshape(5, 6)
        parameters = {**parameters_of(network), "body.weight": weight}
        moved = {**parameters, "body.weight": weight.clone()}
        first = extract(network, parameters, alone, folder=tmp_path / "parameters")
        second = extract(network, moved, alone, folder=tmp_path / "copied")
        assert torch.equal(first.inputs[:], second.inputs[:])


def test_inputs_in_another_precision_are_brought_to_the_models(
    counted: tuple[Counted, Network], tmp_path: Path
) -> None:
    _, network = counted
    rows = rows_of()
    found = run(network, rows.with_inputs(rows.inputs[:].double()), tmp_path)
    assert torch.equal(found.inputs[:], expected(network, rows))


def test_features_keep_a_models_half_precision(tmp_path: Path) -> None:
    network = build_mlp(6, 5, 2, seed=0)
    parameters = {name: tensor.bfloat16() for name, tensor in parameters_of(network).items()}
    rows = rows_of()
    found = extract(network, parameters, rows, folder=tmp_path, batch=23)
    assert found.inputs[:].dtype == torch.bfloat16
    assert torch.equal(found.inputs[:], embed(network, parameters, rows.inputs[:].bfloat16()))


def test_a_model_that_goes_on_after_its_head_is_refused(tmp_path: Path) -> None:
    network = Network(nn.Sequential(nn.Linear(6, 2), nn.Softmax(dim=1)), "0")
    with pytest.raises(InputError, match=r'^The layer "0" is not the last step of the model'):
        run(network, rows_of(), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_device_that_is_not_there_is_refused(counted: tuple[Counted, Network], tmp_path: Path) -> None:
    _, network = counted
    with pytest.raises(
        InputError, match=r'^The device "abacus" cannot be used \(.+\); choose "cpu", or a device torch has\.$'
    ):
        run(network, rows_of(), tmp_path, device="abacus")


def test_no_rows_give_no_features_and_no_file(counted: tuple[Counted, Network], tmp_path: Path) -> None:
    _, network = counted
    assert run(network, rows_of().take(torch.arange(0)), tmp_path).inputs[:].shape == (0, 5)
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(InputError, match=re.escape("A batch of 0 rows was asked for; give at least 1.")):
        extract(network, parameters_of(network), rows_of(), folder=tmp_path, batch=0)


def test_what_does_not_fit_is_refused_before_it_is_tried(
    counted: tuple[Counted, Network], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module, network = counted
    monkeypatch.setattr("surefoot.memory.available_memory", lambda: 100)
    with pytest.raises(
        InputError,
        match=re.escape(
            "Extracting features of 5 rows at a time needs about 320 bytes of memory and 100 bytes are available; "
            "use fewer rows or smaller inputs, or free memory."
        ),
    ):
        run(network, rows_of(), tmp_path)
    assert module.sizes == []
    monkeypatch.undo()
    monkeypatch.setattr("surefoot.memory.shutil.disk_usage", lambda _: type("Usage", (), {"free": 100}))
    with pytest.raises(
        InputError,
        match=r"^A cache of 23 × 5 features needs about 588 bytes of disk space in \S+ and 100 bytes are free; "
        r"free space or choose another folder\.$",
    ):
        run(network, rows_of(), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written_is_refused(counted: tuple[Counted, Network], tmp_path: Path) -> None:
    _, network = counted
    (tmp_path / "file").write_text("")
    with pytest.raises(
        InputError,
        match=r"^Could not write \S+features\.safetensors \(Not a directory\); free space or choose another folder\. "
        r"What was finished is kept\.$",
    ):
        run(network, rows_of(), tmp_path / "file")

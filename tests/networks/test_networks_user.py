"""A user's code runs only when trusted, and weights are read without unpickling."""

import re
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from surefoot.errors import InputError
from surefoot.networks.user import fit_weights, load_user_module, read_foreign_weights

CODE = """
from pathlib import Path
from torch import nn
from beside import WIDTH

Path(__file__).with_suffix(".ran").touch()

class Net(nn.Linear):
    def __init__(self):
        super().__init__(WIDTH, 2)

class Needy(nn.Linear):
    def __init__(self, width):
        super().__init__(width, 2)

def make():
    return Net()

def make_nothing():
    return 3

ready = nn.Linear(3, 2)
width = 3
"""


@pytest.fixture
def code(tmp_path: Path) -> Path:
    (tmp_path / "beside.py").write_text("WIDTH = 4\n")
    path = tmp_path / "net.py"
    path.write_text(CODE)
    return path


@pytest.mark.parametrize(("name", "inputs"), [("Net", 4), ("make", 4), ("ready", 3)])
def test_a_class_a_function_and_a_module_can_be_named(code: Path, name: str, inputs: int) -> None:
    module = load_user_module(f"{code}:{name}", trust_code=True)
    assert isinstance(module, nn.Linear)
    assert module.in_features == inputs


def test_code_that_is_not_trusted_does_not_run(code: Path) -> None:
    with pytest.raises(
        InputError,
        match=re.escape(
            f"{code}:Net is code that would run on this machine; if you trust {code}, pass --trust-code "
            "(in Python: trust_code=True)."
        ),
    ):
        load_user_module(f"{code}:Net", trust_code=False)
    assert not code.with_suffix(".ran").exists()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("Nte", '{code} defines no "Nte"; did you mean "Net"?'),
        ("width", "{code}:width is a int; name a class, a function or an nn.Module."),
        (
            "Needy",
            "{code}:Needy could not be built without arguments (TypeError: Needy.__init__() missing 1 required "
            "positional argument: 'width'); give every argument a default, or name a function that returns the model.",
        ),
        ("make_nothing", "{code}:make_nothing() returned a int; it must return an nn.Module."),
    ],
)
def test_what_is_no_model_is_refused(code: Path, name: str, message: str) -> None:
    with pytest.raises(InputError, match=f"^{re.escape(message.format(code=code))}$"):
        load_user_module(f"{code}:{name}", trust_code=True)


@pytest.mark.parametrize("named", ["net.py", "Net", ":Net", "net.py:", "net.py:a b"])
def test_a_name_without_a_file_or_a_class_is_refused(named: str) -> None:
    message = f'"{named}" does not name a model in a file; write it as file.py:Net.'
    with pytest.raises(InputError, match=f"^{re.escape(message)}$"):
        load_user_module(named, trust_code=True)


def test_a_missing_and_a_broken_file_are_told_apart(tmp_path: Path) -> None:
    missing = tmp_path / "missing.py"
    with pytest.raises(
        InputError, match=re.escape(f"There is no file {missing}; check the path of the model {missing}:Net.")
    ):
        load_user_module(f"{missing}:Net", trust_code=True)
    broken = tmp_path / "broken.py"
    broken.write_text("import nothing_of_this_name\n")
    with pytest.raises(
        InputError,
        match=re.escape(
            f"{broken} could not be run (ModuleNotFoundError: No module named 'nothing_of_this_name'); mend the file."
        ),
    ):
        load_user_module(f"{broken}:Net", trust_code=True)
    empty = tmp_path / "empty.py"
    empty.write_text("")
    with pytest.raises(InputError, match=re.escape(f'{empty} defines no "Net"; it defines no nn.Module.')):
        load_user_module(f"{empty}:Net", trust_code=True)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "import sys\nsys.exit(0)\n",
            "{code} calls sys.exit when it is imported; put that under if __name__ == '__main__'.",
        ),
        ("def Net():\n    raise SystemExit\n", "{code}:Net calls sys.exit when it is built; let it return the model."),
    ],
)
def test_code_that_would_end_the_program_is_refused(code: Path, text: str, message: str) -> None:
    code.write_text(text)
    with pytest.raises(InputError, match=f"^{re.escape(message.format(code=code))}$"):
        load_user_module(f"{code}:Net", trust_code=True)


@pytest.mark.parametrize("wrapper", [None, "state_dict", "model_state_dict", "model"])
def test_weights_are_found_in_what_training_loops_save(tmp_path: Path, wrapper: str | None) -> None:
    module = nn.Linear(3, 2)
    state = {f"module.{name}": tensor for name, tensor in module.state_dict().items()}
    torch.save(state if wrapper is None else {"epoch": 3, wrapper: state}, tmp_path / "weights.pt")
    weights = read_foreign_weights(tmp_path / "weights.pt")
    assert set(weights) == {"weight", "bias"}
    assert torch.equal(weights["weight"], module.weight)


def test_weights_are_read_from_safetensors(tmp_path: Path) -> None:
    save_file({"weight": torch.arange(3.0)}, tmp_path / "weights.safetensors")
    assert read_foreign_weights(tmp_path / "weights.safetensors")["weight"].tolist() == [0, 1, 2]


def test_a_pickled_module_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.pt"
    torch.save(nn.Linear(3, 2), path)
    with pytest.raises(
        InputError,
        match=re.escape(
            f"{path} holds a pickled Python object, not only tensors, and surefoot never unpickles; save the "
            'weights alone: torch.save(model.state_dict(), "weights.pt").'
        ),
    ):
        read_foreign_weights(path)


def test_a_compiled_archive_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.pt"
    with pytest.warns(DeprecationWarning, match="torch.jit"):
        torch.jit.save(torch.jit.trace(nn.Linear(3, 2), torch.zeros(1, 3)), path)
    with pytest.raises(InputError, match="holds a pickled Python object, not only tensors"):
        read_foreign_weights(path)


@pytest.mark.parametrize("content", [b"", b"\x80\x02nonsense", b"PK\x03\x04 cut short"])
def test_a_damaged_file_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "model.pth"
    path.write_bytes(content)
    with pytest.raises(
        InputError,
        match=re.escape(
            f"{path} is not a readable file of torch weights; it may be cut short, or hold pickled objects: write it "
            "again with torch.save(model.state_dict(), …)."
        ),
    ):
        read_foreign_weights(path)


def test_a_truncated_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.pt"
    torch.save(nn.Linear(30, 20).state_dict(), path)
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(InputError, match="is not a readable file of torch weights; it may be cut short"):
        read_foreign_weights(path)


def test_a_file_without_tensors_or_of_another_kind_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.pt"
    torch.save({"epoch": 3}, path)
    with pytest.raises(
        InputError,
        match=re.escape(
            f"{path} holds no named tensors; save the weights alone: torch.save(model.state_dict(), …), or keep them "
            "under one of state_dict, model_state_dict, model."
        ),
    ):
        read_foreign_weights(path)
    with pytest.raises(InputError, match=re.escape(f"There is no file {tmp_path / 'no.pt'}; check the path.")):
        read_foreign_weights(tmp_path / "no.pt")
    (tmp_path / "model.onnx").write_bytes(b"")
    with pytest.raises(
        InputError,
        match=re.escape(
            f"{tmp_path / 'model.onnx'} does not hold weights surefoot reads; give a .safetensors, .pt or .pth file."
        ),
    ):
        read_foreign_weights(tmp_path / "model.onnx")


def test_weights_that_fit_are_taken_and_halves_are_widened() -> None:
    module = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2, affine=False))
    weights = {name: torch.rand_like(t, dtype=torch.float16) for name, t in module[0].state_dict(prefix="0.").items()}
    buffers = module[1].state_dict(prefix="1.")
    fitted = fit_weights(module, {**weights, **buffers}, "w.pt")
    assert torch.equal(fitted["0.weight"], weights["0.weight"].float())
    assert fitted["1.num_batches_tracked"].dtype == torch.int64


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        (
            {"weight": torch.zeros(2, 3)},
            'w.pt has no tensor "bias", which the model needs; give weights of this model.',
        ),
        (
            {"weight": torch.zeros(2, 3), "bias": torch.zeros(2), "biass": torch.zeros(2)},
            'w.pt has a tensor "biass", which the model does not know; the nearest it knows is "bias".',
        ),
        (
            {"weight": torch.zeros(2, 4), "bias": torch.zeros(2)},
            'w.pt has "weight" with shape (2, 4); the model needs (2, 3).',
        ),
        (
            {"weight": torch.zeros(2, 3).double(), "bias": torch.zeros(2)},
            'w.pt has "weight" as torch.float64, finer than the torch.float32 of the model; '
            "convert the weights, or build the model in that precision.",
        ),
    ],
)
def test_weights_that_do_not_fit_are_refused(weights: dict[str, torch.Tensor], message: str) -> None:
    with pytest.raises(InputError, match=f"^{re.escape(message)}$"):
        fit_weights(nn.Linear(3, 2), weights, "w.pt")

"""`surefoot flex`: trains, tells, chooses, opens what it left and Hugging Face's, and refuses in one sentence."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch

from surefoot.cli import main
from surefoot.export.plain import open_plain_folder
from surefoot.hub.vit_folder import open_vit_folder, write_vit_folder
from surefoot.networks.flexible import Shape, at_patch, build_vit
from surefoot.networks.network import forward, parameters_of
from surefoot.networks.weights import open_model

QUICK = ("--epochs", "1", "--size", "8,1,2", "--rounds", "6")


class Said(NamedTuple):
    """What a command left at the terminal."""

    code: int
    out: str
    err: str


Run = Callable[..., Said]


@pytest.fixture
def run(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """One command in a folder of its own."""
    monkeypatch.chdir(tmp_path)

    def run(*words: str) -> Said:
        code = main(list(words))
        told = capsys.readouterr()
        return Said(code, told.out, told.err)

    return run


@pytest.fixture
def data(tmp_path: Path) -> Path:
    random = np.random.default_rng(0)
    path = tmp_path / "small.npz"
    np.savez(path, x=random.uniform(size=(60, 3, 16, 16)).astype(np.float32), y=np.arange(60) % 3)
    return path


def test_it_trains_and_tells_every_size(run: Run, data: Path) -> None:
    out = run("flex", str(data), *QUICK, "--patches", "4,8", "--budget", "10s", "--claim", "accuracy within 9s >= 0.9")
    assert out.code in (10, 11)
    assert "Training a transformer of width 8, 1 block, 2 heads at patches of 4, 8 pixels: 36 rows, 1 epoch." in out.err
    assert "patch 4 × 4 (16 tokens)" in out.out
    assert "patch 8 × 8 (4 tokens)" in out.out
    assert out.out.count("← chosen") == 1
    assert "Times are of this machine" in out.out
    again = run("flex", str(data), *QUICK, "--patches", "4,8")
    assert "finished already" in again.out


def test_it_says_everything_as_json(run: Run, data: Path) -> None:
    out = run("flex", str(data), *QUICK, "--patches", "4,8", "--json", "--claim", "accuracy at 9s >= 0.1")
    told = json.loads(out.out)
    assert told["chosen"] in ("patch-4", "patch-8")
    assert told["claims"][0]["within_seconds"] == 9.0
    assert told["claims"][0]["subject"] == told["chosen"]


def test_the_page_draws_accuracy_against_time(run: Run, data: Path) -> None:
    run("flex", str(data), *QUICK, "--patches", "4,8", "--budget", "10s")
    (folder,) = Path("runs").glob("flex-small-*")
    page = (folder / "card.html").read_text()
    assert "What a pass costs" in page
    assert page.count('r="5" class="bin') == 2
    assert "Which patch size answers within 10 s, and how good is it?" in page


def test_its_model_is_measured_again_without_training(run: Run, data: Path, tmp_path: Path) -> None:
    run("flex", str(data), *QUICK, "--patches", "4,8", "--out", str(tmp_path / "first"))
    (folder,) = (tmp_path / "first").glob("flex-small-*")
    (tmp_path / "first" / "flex").rename(tmp_path / "gone")
    out = run("flex", str(data), "--model", str(folder / "model"), "--rounds", "6", "--out", str(tmp_path / "second"))
    assert out.code == 11
    assert "Training" not in out.err
    assert not (tmp_path / "second" / "flex").exists()
    assert "patch 4 × 4" in out.out


def test_a_hugging_face_folder_is_opened_with_its_normalisation(run: Run, data: Path, tmp_path: Path) -> None:
    shape = Shape((3, 16, 16), 8, 1, 2, buffer=(8, 8), grid=(2, 2))
    network = build_vit(shape, 3, 8, seed=0)
    parameters = parameters_of(network) | {"head.weight": torch.randn(3, 8), "kernel": torch.randn(8, 3, 8, 8)}
    write_vit_folder(network, parameters, (8, 8), ("0", "1", "2"), tmp_path / "vit")
    centre, spread = [0.4, 0.5, 0.6], [0.2, 0.3, 0.1]
    settings = {"do_normalize": True, "image_mean": centre, "image_std": spread}
    (tmp_path / "vit" / "preprocessor_config.json").write_text(json.dumps(settings))
    opened = open_vit_folder(tmp_path / "vit")
    images = torch.rand(5, 3, 16, 16)
    normal = (images - torch.tensor(centre)[:, None, None]) / torch.tensor(spread)[:, None, None]
    torch.testing.assert_close(
        forward(opened.network, opened.parameters, images), forward(network, parameters, normal), atol=1e-4, rtol=1e-4
    )
    out = run("flex", str(data), "--model", str(tmp_path / "vit"), "--patches", "4,8", "--rounds", "6")
    assert out.code == 11
    assert "never trained at patch 4 × 4" in (next(Path("runs").glob("flex-*")) / "card.md").read_text()


def test_what_it_left_is_exported_at_any_size(run: Run, data: Path, tmp_path: Path) -> None:
    run("flex", str(data), *QUICK, "--patches", "4,8")
    (folder,) = Path("runs").glob("flex-small-*")
    model, opened = str(folder / "model"), open_model(str(folder / "model"))
    images = torch.rand(3, 3, 16, 16)
    out = run("export", model, "--out", "plain", "--to", "plain", "--patch", "8")
    assert out.out.startswith("plain: a plain transformer of patch 8 × 8, 3 classes")
    expected = forward(at_patch(opened.network, 8), opened.parameters, images)
    torch.testing.assert_close(open_plain_folder(tmp_path / "plain")(images), expected, atol=1e-5, rtol=1e-5)
    assert run("export", model, "--out", "m.onnx", "--patch", "4").code == 0
    assert (tmp_path / "m.onnx").stat().st_size > 0
    run("flex", str(data), *QUICK, "--patches", "4,8", "--pool", "token", "--out", "tokens")
    (token,) = Path("tokens").glob("flex-small-*")
    out = run("export", str(token / "model"), "--out", "hf", "--to", "huggingface", "--patch", "8")
    assert out.out.startswith("hf: a plain transformer at 8 × 8, 3 classes; on 4 images it says what")
    for words, said in [
        (("--out", "plain", "--to", "plain"), "plain exists already"),
        (("--out", "x.onnx", "--patch", "5"), "5 × 5 pixels does not divide"),
        (("--out", "x.safetensors", "--patch", "4"), "are of every patch size"),
        (("--out", "x", "--to", "huggingface"), "takes means over tokens"),
    ]:
        refused = run("export", model, *words)
        assert (refused.code, said in refused.err) == (2, True), refused.err
    assert not (tmp_path / "x.onnx").exists()


@pytest.mark.parametrize(
    ("told", "said"),
    [
        (("--budget", "soon"), 'The budget "soon" is no time'),
        (("--budget", "0ms"), 'The budget "0ms" is no time'),
        (("--budget", "1us"), "Nothing answers within 0.001 ms here; the nearest is patch"),
        (("--patches", "5"), "5 × 5 pixels does not divide images of 16 × 16"),
        (("--patches", "32"), "give one between a pixel and the image"),
        (("--patches", "a"), "--patches is 'a'"),
        (("--size", "8,1"), "--size is '8,1'"),
        (("--size", "9,1,2"), "cannot be shared by 2 heads"),
        (("--patches", ""), "--patches names nothing"),
        (("--rate", "0"), "rate is 0.0; give a positive"),
        (("--temperature", "-1"), "temperature of distillation is -1"),
        (("--claim", "acuracy >= 0.5"), "did you mean 'accuracy'?"),
        (("--claim", "accuracy of patch-8 within 5ms >= 0.5"), "names a model and a budget"),
        (("--at-once", "99"), "99 images a pass were asked for and 12 are there"),
        (("--pool", "max"), "--pool is 'max'"),
        (("--schedule", "often"), "no schedule 'often'"),
        (("--epochs", "0"), "nothing to measure before it is trained"),
        (("--claim", "accuracy within 1 hour >= 0.5"), 'The budget "1 hour" is no time'),
    ],
    ids=lambda each: " ".join(each) if isinstance(each, tuple) else "",
)
def test_what_it_refuses_is_one_sentence(run: Run, data: Path, told: tuple[str, ...], said: str) -> None:
    out = run("flex", str(data), *QUICK, *told)
    assert out.code == 2
    assert said in out.err
    assert "Traceback" not in out.err
    assert not list(Path("runs").glob("flex-*")) if Path("runs").exists() else True


def test_a_student_learns_what_its_teacher_says(run: Run, data: Path) -> None:
    run("flex", str(data), *QUICK, "--patches", "8")
    (first,) = Path("runs").glob("flex-small-*")
    model = str(first / "model")
    taught = run("flex", str(data), *QUICK, "--patches", "4,8", "--teacher", model, "--mixup", "0.5")
    assert taught.code == 11
    assert f"1 epoch, to say what the teacher {model} says." in taught.err
    own = run("flex", str(data), "--model", model, "--patches", "4,8", "--epochs", "1", "--teacher", "itself")
    assert own.code == 11
    assert "1 epoch, to say what the model itself says." in own.err
    other = np.random.default_rng(5).uniform(size=(60, 3, 16, 16)).astype(np.float32)
    np.savez("more.npz", x=other, y=np.arange(60) % 4)
    with np.load(data) as opened:
        np.savez("again.npz", x=opened["x"][::-1], y=opened["y"][::-1])
        np.savez("grey.npz", x=opened["x"][:, :1], y=opened["y"])
    for words, said in [
        ((str(data), *QUICK, "--teacher", "itself"), "A new transformer cannot teach itself"),
        (("more.npz", *QUICK, "--teacher", model), "The teacher knows 3 classes (0, 1, 2) and the student 4"),
        ((str(data), *QUICK, "--seed", "1", "--patches", "8", "--teacher", model), "seen by the teacher"),
        (("again.npz", *QUICK, "--patches", "8", "--teacher", model), "have the very inputs"),
        (("grey.npz", *QUICK, "--patches", "8", "--teacher", model), "reads images of 3×16×16, and these are 1×16×16"),
        ((str(data), "--model", model, "--teacher", "itself"), "A teacher was named and nothing is trained"),
    ]:
        refused = run("flex", *words)
        assert (refused.code, said in refused.err) == (2, True), refused.err


def test_what_a_teacher_has_seen_its_student_has_seen(run: Run, data: Path) -> None:
    run("flex", str(data), *QUICK, "--patches", "8")
    (first,) = Path("runs").glob("flex-small-*")
    np.savez(
        "more.npz", x=np.random.default_rng(5).uniform(size=(60, 3, 16, 16)).astype(np.float32), y=np.arange(60) % 3
    )
    assert run("flex", "more.npz", *QUICK, "--patches", "8", "--teacher", str(first / "model")).code == 11
    (student,) = Path("runs").glob("flex-more-*")
    looked = run("look", str(student / "model"), str(data))
    assert looked.code == 2
    assert "already seen" in looked.err


def test_an_unknown_past_is_told_whatever_is_trained(run: Run, data: Path, tmp_path: Path) -> None:
    shape = Shape((3, 16, 16), 8, 1, 2, buffer=(8, 8), grid=(2, 2))
    network = build_vit(shape, 3, 8, seed=0)
    write_vit_folder(network, parameters_of(network), (8, 8), ("0", "1", "2"), tmp_path / "vit")
    for number, words in enumerate([("--model", "vit", "--epochs", "1"), ("--teacher", "vit", *QUICK)]):
        assert run("flex", str(data), *words, "--patches", "8", "--rounds", "6", "--out", f"out{number}").code == 11
        card = (next(Path(f"out{number}").glob("flex-small-*")) / "card.md").read_text()
        assert "was trained on is unknown: nothing could check" in card


def test_claims_of_what_is_counted_are_decided(run: Run, data: Path) -> None:
    claims = ("--claim", "megaflops <= 50", "--claim", "mebibytes >= 50")
    out = run("flex", str(data), *QUICK, "--patches", "8", "--json", *claims)
    assert [each["status"] for each in json.loads(out.out)["claims"]] == ["passed", "failed"]

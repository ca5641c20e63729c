"""`surefoot export`: the head that a repair leaves, in another runtime."""

from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from cli_examples import write_features

from surefoot.cli import main
from surefoot.export.heads import read_head
from surefoot.study.once.repair import repair_features


def test_the_repaired_head_predicts_the_same_in_onnx(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_features(tmp_path / "features.npz", rows=400, agree=0.9, seed=0)
    kept = repair_features(tmp_path / "features.npz", out=tmp_path / "runs")
    model = str(kept.folder / "model")
    for name in ("head.onnx", "head.safetensors"):
        assert main(["export", model, "--out", str(tmp_path / name)]) == 0
        assert "a head on 4 features, 2 classes (0, 1)" in capsys.readouterr().out
    inputs = np.load(tmp_path / "features.npz")["inputs"]
    wanted = kept.head.logits(torch.from_numpy(inputs))
    session = onnxruntime.InferenceSession(str(tmp_path / "head.onnx"))
    logits, _, label = session.run(None, {"inputs": inputs})
    assert logits == pytest.approx(wanted.numpy(), abs=1e-5)
    assert label.tolist() == wanted.argmax(dim=1).tolist()
    assert torch.equal(read_head(tmp_path / "head.safetensors").head.weight, kept.head.weight)


WRONG = [
    (["export", "{model}", "--out", "head.pkl"], "--to onnx"),
    (["export", "nowhere", "--out", "head.onnx"], "There is no folder nowhere"),
    (["export", "{model}", "--out", "head.onnx", "--shape", "3,x"], 'The shape "3,x"'),
]


@pytest.mark.parametrize(("given", "said"), WRONG)
def test_wrong_input_is_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, given: list[str], said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    from surefoot.export.heads import save_head_model
    from surefoot.robust.head import LinearHead

    save_head_model(LinearHead(torch.zeros(2, 3), torch.zeros(2)), ["a", "b"], tmp_path / "model")
    assert main([part.format(model="model") for part in given]) == 2
    told = capsys.readouterr().err
    assert said in told
    assert told.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["model"]

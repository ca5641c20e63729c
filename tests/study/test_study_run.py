"""A study from its file to its card: reuse, damage, changes, models, and errors that say what to do."""

import errno
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

import surefoot.files
from surefoot.card.card import Card
from surefoot.card.ledger import Ledger
from surefoot.card.serialise import card_digest, card_from_json
from surefoot.errors import InputError
from surefoot.files import read_json, read_tensors
from surefoot.findings.finding import Finding
from surefoot.networks.network import forward
from surefoot.networks.weights import load_model
from surefoot.study.engine.tasks import StudyFault
from surefoot.study.once.predict import predict
from surefoot.study.plan import plan_study
from surefoot.study.run import Outcome, run_study
from surefoot.study.schema import Study, load_study
from surefoot.study.shape import FINDINGS
from surefoot.study.stored import load_rows

Read = Callable[[str], Study]


def run(study: Study, out: Path, folder: Path = Path(), **settings: object) -> Outcome:
    return run_study(study, folder, out=out, engine="in_process", product="default", **settings)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, tiny_text: str) -> tuple[Path, Outcome]:
    """One tiny study, run once for all tests of this file; they work on copies."""
    folder = tmp_path_factory.mktemp("finished")
    (folder / "study.yaml").write_text(tiny_text, encoding="utf-8")
    return folder / "runs", run(load_study(folder / "study.yaml"), folder / "runs")


@pytest.fixture
def out(finished: tuple[Path, Outcome], tmp_path: Path) -> Path:
    return Path(shutil.copytree(finished[0], tmp_path / "runs"))


@pytest.fixture
def read(tmp_path: Path) -> Read:
    def read(text: str) -> Study:
        (tmp_path / "study.yaml").write_text(text, encoding="utf-8")
        return load_study(tmp_path / "study.yaml")

    return read


def test_a_run_leaves_card_models_and_a_line_in_the_ledger(finished: tuple[Path, Outcome]) -> None:
    out, outcome = finished
    assert outcome.folder.parent == out / "tiny"
    assert {"card.json", "card.html", "card.md", "study.json", "models"} <= {
        path.name for path in outcome.folder.iterdir()
    }
    assert card_digest(card_from_json(read_json(outcome.folder / "card.json"))) == card_digest(outcome.card)
    (row,) = Ledger(out / "ledger.sqlite").runs()
    assert (row.study, row.folder) == ("tiny", str(outcome.folder))
    assert row.card_digest == card_digest(outcome.card)
    assert outcome.card.record.judge_uses == 1
    assert [subject.name for subject in outcome.card.subjects] == [
        "stopped", "stopped+dfr", "stopped+dfr_choose", "stopped+afr",
    ]  # fmt: skip
    assert outcome.card.claims[0].claim.confidence == 0.95
    assert {finding.name for finding in outcome.card.findings} == set(FINDINGS), (
        "claims can be made of all that is measured"
    )


def test_the_card_speaks_of_the_models_that_are_written_out(finished: tuple[Path, Outcome]) -> None:
    """The exported network, run on the judge images, gives the very probabilities that were judged."""
    out, outcome = finished
    plan = plan_study(load_study(out.parent / "study.yaml"), out.parent, out=out, product="default")
    judge = load_rows(out / "cells" / plan.graph.rows.address / "judge")
    for seed in (0, 1):
        judged = read_tensors(out / "cells" / plan.graph.predict["stopped", seed].address / "probabilities.safetensors")
        for subject in ("stopped", "stopped+afr", "stopped+dfr"):
            saved = load_model(outcome.folder / "models" / subject / f"seed-{seed}")
            probabilities = forward(saved.network, saved.parameters, judge.inputs[:]).softmax(dim=1)
            name = subject.removeprefix("stopped") or "base"
            torch.testing.assert_close(probabilities, judged[name].float(), atol=1e-5, rtol=0)
            assert saved.record.provenance["subject"] == subject


def test_a_second_run_reuses_every_cell(out: Path, finished: tuple[Path, Outcome], tiny: Study) -> None:
    before = {path: path.stat().st_ino for path in (out / "cells").iterdir()}
    again = run(tiny, out)
    assert again.computed == ()
    assert set(again.reused) == set(finished[1].computed)
    assert {path: path.stat().st_ino for path in (out / "cells").iterdir()} == before
    assert card_digest(again.card) == card_digest(finished[1].card)
    assert again.card.record.judge_uses == 1, "the same study again is no new use of the judge rows"


def test_a_changed_study_computes_what_changed_and_counts_as_another_use(out: Path, tiny_text: str, read: Read) -> None:
    changed = run(read(tiny_text.replace("steps: 20", "steps: 10")), out)
    records = [read_json(out / "cells" / address / "record.json") for address in changed.computed]
    assert sorted(record["cell"]["title"] for record in records) == [
        "choose among all", "judge stopped and its repairs, seed 0", "judge stopped and its repairs, seed 1",
        "stopped+afr, seed 0", "stopped+afr, seed 1",
    ]  # fmt: skip
    assert changed.card.record.judge_uses == 2


def test_resuming_a_changed_study_is_refused_with_the_keys(
    out: Path, finished: tuple[Path, Outcome], tiny_text: str, read: Read
) -> None:
    started = out / "tiny" / finished[1].folder.name
    text = tiny_text.replace("steps: 20", "steps: 10").replace("seeds: [0, 1]", "seeds: [0]")
    with pytest.raises(InputError) as caught:
        run(read(text), Path("unused"), resume=started)
    assert str(caught.value) == (
        f"The study has changed since {started} was started (mitigations.afr.steps, seeds); run without --resume to "
        "start a new run that reuses every unchanged cell, or put the old values back."
    )
    with pytest.raises(InputError, match=r"is not the folder of a run; give the folder that `surefoot run` named\.$"):
        run(read(tiny_text), Path("unused"), resume=out)
    assert run(read(tiny_text), Path("unused"), resume=started).computed == ()


def test_a_damaged_cell_is_computed_again_and_the_user_is_told(
    out: Path, finished: tuple[Path, Outcome], tiny: Study
) -> None:
    plan = plan_study(tiny, Path(), out=out, product="default")
    address = plan.graph.repair["stopped", "afr", 1].address
    head = out / "cells" / address / "head.safetensors"
    content = bytearray(head.read_bytes())
    content[-1] ^= 1
    head.write_bytes(content)
    again = run(tiny, out)
    assert again.computed == (address,)
    assert again.notes == (
        "The finished cell 'stopped+afr, seed 1' was damaged (head.safetensors has other content than was recorded) "
        "and is computed again.",
    )
    assert card_digest(again.card) == card_digest(finished[1].card)


def test_an_output_folder_that_cannot_be_written(tiny: Study, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(
        InputError, match=r"^Cannot write to .* \(Not a directory\); choose an output folder that you may"
    ):
        run(tiny, tmp_path / "file")


def test_a_full_disk_ends_the_run_and_leaves_no_half_cell(
    tiny: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(surefoot.files, "save_file", full)
    with pytest.raises(InputError, match=r"\(No space left on device\); free space or choose another output folder"):
        run(tiny, tmp_path / "runs")
    assert list((tmp_path / "runs" / "cells").iterdir()) == []


def test_a_role_that_a_method_needs_and_the_rows_lack(tiny_text: str, read: Read, tmp_path: Path) -> None:
    lines = "\n".join(
        f"{row},{row / 7},{row % 2},{row % 3 % 2},{('train', 'val', 'test')[row % 3]}" for row in range(60)
    )
    (tmp_path / "rows.csv").write_text(f"id,x,y,a,split\n{lines}\n", encoding="utf-8")
    text = tiny_text.replace(
        "dominoes: {sizes: {fit: 200, repair: 200, choose: 400, judge: 400}}",
        "table: {path: rows.csv, attributes: [a], split: split}",
    ).replace("cnn: {channels: [4], hidden: 8}", "linear: {}")
    with pytest.raises(InputError) as caught:
        plan_study(read(text), tmp_path, out=tmp_path / "runs", product="default")
    assert str(caught.value) == (
        "The mitigation 'dfr' needs repair rows, and the rows have none (they have fit, choose, judge); give repair a "
        "share of the rows, or remove what needs it."
    )


def test_a_users_own_network_runs_only_when_trusted_and_its_faults_are_kept(
    tiny_text: str, read: Read, tmp_path: Path
) -> None:
    (tmp_path / "net.py").write_text(
        "from torch import nn\n\n"
        "class Net(nn.Module):\n"
        "    def __init__(self):\n"
        "        super().__init__()\n"
        "        self.head = nn.Linear(392, 2)\n\n"
        "    def forward(self, x):\n"
        "        return self.head(x.flatten(1)) * (1 // len(x[:0]))\n",
        encoding="utf-8",
    )
    study = read(tiny_text.replace("cnn: {channels: [4], hidden: 8}", "file: net.py:Net"))
    with pytest.raises(InputError) as refused:
        run(study, tmp_path / "runs", tmp_path)
    assert str(refused.value) == (
        "The network net.py:Net is code from a file, which runs only with --trust-code (in Python: trust_code=True)."
    )
    with pytest.raises(
        StudyFault, match=r"^train stopped, seed 0 failed \(ZeroDivisionError: integer division or modulo by zero\)"
    ) as fault:
        run(study, tmp_path / "runs", tmp_path, trust_code=True)
    (told,) = (tmp_path / "runs" / "faults").iterdir()
    assert str(told) in str(fault.value)
    assert "return self.head(x.flatten(1)) * (1 // len(x[:0]))" in told.read_text()
    (tmp_path / "net.py").write_text(
        (tmp_path / "net.py").read_text().replace(" * (1 // len(x[:0]))", ""), encoding="utf-8"
    )
    assert len(run(study, tmp_path / "runs", tmp_path, trust_code=True).reused) == 1, "the rows were finished"


def test_features_from_a_file_are_repaired_and_judged(tiny_text: str, read: Read, tmp_path: Path) -> None:
    """The whole road without images: a table with its own split, groups, and a last layer alone."""
    generator = torch.Generator().manual_seed(0)
    lines = ["id,x1,x2,y,a,split"]
    for row in range(600):
        label = row % 2
        attribute = label if row % 10 > 1 else 1 - label
        x1, x2 = torch.randn(2, generator=generator).tolist()
        split = ("train", "val", "test")[row // 10 % 3]
        lines.append(f"{row},{x1 + 2 * label:.4f},{x2 + 4 * attribute:.4f},{label},{attribute},{split}")
    (tmp_path / "rows.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    text = tiny_text.replace(
        "dominoes: {sizes: {fit: 200, repair: 200, choose: 400, judge: 400}}",
        "table: {path: rows.csv, attributes: [a], split: split}\n  repair_share: 0.4",
    ).replace("cnn: {channels: [4], hidden: 8}", "linear: {}")
    outcome = run(read(text), tmp_path / "runs", tmp_path)
    assert [(role.role, role.rows) for role in outcome.card.roles] == [
        ("fit", 120), ("repair", 80), ("choose", 200), ("judge", 200),
    ]  # fmt: skip
    assert outcome.card.groups == ("0, a=0", "0, a=1", "1, a=0", "1, a=1")


def test_words_of_a_table_are_features_of_the_study_and_of_its_models(
    tiny_text: str, read: Read, tmp_path: Path
) -> None:
    random = np.random.default_rng(0)
    lines = ["id,age,job,y,a,split"]
    for row in range(600):
        label, split = row % 2, ("train", "val", "test")[row // 10 % 3]
        job = ("cook", "judge", "clerk")[label if random.random() < 0.7 else 2]
        lines.append(f"{row},{random.normal(40, 8):.6f},{job},{label},{row // 2 % 2},{split}")
    (tmp_path / "rows.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    text = tiny_text.replace(
        "dominoes: {sizes: {fit: 200, repair: 200, choose: 400, judge: 400}}",
        "table: {path: rows.csv, attributes: [a], split: split}\n  repair_share: 0.4",
    ).replace("cnn: {channels: [4], hidden: 8}", "linear: {}")
    outcome = run(read(text), tmp_path / "runs", tmp_path)
    assert "Feature job: 3 columns of 0 and 1 (clerk, cook, judge)." in outcome.card.record.data
    model = next((outcome.folder / "models").rglob("record.json")).parent
    new = tmp_path / "new.csv"
    new.write_text("id,job,age\nu,cook,\nv,pope,41\n", encoding="utf-8")
    assert predict(str(model), new).count("\n") == 3


def test_a_finished_model_is_a_base_like_any_other(
    out: Path, finished: tuple[Path, Outcome], tiny_text: str, read: Read, tmp_path: Path
) -> None:
    """It is judged as it was where it was trained, repaired beside that, and refused where it has seen the rows."""
    model = out / "tiny" / finished[1].folder.name / "models" / "stopped" / "seed-1"
    text = tiny_text.replace("network:\n  cnn: {channels: [4], hidden: 8}\n", "").replace("seeds: [0, 1]", "seeds: [1]")
    text = text.replace("stopped: {epochs: 1, rate: 0.003}", f"mine: {{model: {model}}}")
    outcome = run(read(text), out, tmp_path)

    def worst(card: Card, subject: str) -> Finding:
        named = [each for each in card.findings if each.subject == subject and each.name == "worst_group_accuracy"]
        return named[0]

    trained = finished[1].card
    assert worst(outcome.card, "mine").value == worst(trained, "stopped").per_seed[1]
    assert worst(outcome.card, "mine+afr").value == worst(trained, "stopped+afr").per_seed[1]
    assert any("finished model" in sentence for sentence in outcome.card.not_shown)

    seen = read_json(model / "seen.json")
    judge = load_rows(out / "cells" / outcome.reused[0] / "judge")
    (model / "seen.json").write_text(json.dumps([*seen, str(judge.sources[0, 0])]), encoding="utf-8")
    with pytest.raises(InputError, match=r"^1 sources of the judge rows .* were already seen by the base training"):
        run(read(text), out, tmp_path)

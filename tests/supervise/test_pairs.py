"""The grid of a setting: who is taught what by whom, and that a killed one goes on."""

from pathlib import Path

import numpy as np
import pytest
import torch

from surefoot.errors import InputError
from surefoot.files import read_tensors, write_tensors
from surefoot.inference.settings import Ascend
from surefoot.networks.build import build_linear, build_mlp
from surefoot.networks.network import Network
from surefoot.rows.rows import Rows, make_rows
from surefoot.supervise.labels import WeakLabels, halve
from surefoot.supervise.losses import Confidence, CrossEntropy, WeakLoss
from surefoot.supervise.pairs import Said, Size, teach_pairs
from surefoot.supervise.student import Learner, said_of, teach

LOSSES = {"cross-entropy": CrossEntropy(), "confidence": Confidence()}
CLIMB = Ascend(epochs=20, batch=32, rate=0.02)


def rings(count: int, start: int) -> Rows:
    """Inside or outside a circle: nothing for a line, something for a curve."""
    generator = torch.Generator().manual_seed(start)
    inputs = torch.randn(count, 2, generator=generator)
    targets = (inputs.square().sum(dim=1) > 1.4).long()
    ids = np.array([f"r{start + number}" for number in range(count)])
    return make_rows(inputs, targets, ids=ids, sources=ids[:, None])


SIZES = (Size("line", 6), Size("mlp4", 22), Size("mlp32", 162))


def network(size: int) -> Network:
    return build_linear(2, 2, seed=1) if size == 0 else build_mlp(2, [4, 32][size - 1], 2, seed=1)


def test_every_pair_is_taught_and_measured() -> None:
    calls: list[tuple[int, str, int]] = []
    truths: list[frozenset[str]] = []

    def taught(size: int, labels: WeakLabels, loss: WeakLoss, seed: int, labelled: Rows, judge: Rows) -> Said:
        calls.append((size, labels.by, len(labels.rows)))
        if labels.by == "truth":
            truths.append(labels.rows.origins())
        learner = Learner(SIZES[size].name, network(size), CLIMB, loss)
        point = teach(learner, labels, seed).point()
        return Said(*(said_of(learner.network, point, each.inputs) for each in (labelled, judge)))

    grid = teach_pairs(SIZES, rings(400, 0), rings(300, 1000), taught, LOSSES, [0, 1])
    assert len(calls) == 2 * (3 + 3 + 2 * 6)
    for seed in (0, 1):
        halves = halve(rings(400, 0), seed)
        of_seed = truths[6 * seed : 6 * seed + 6]
        assert of_seed[::2] == [halves.weak.origins()] * 3, "supervisors learn the truth of the first half"
        assert of_seed[1::2] == [halves.student.origins()] * 3, "ceilings that of the half which is labelled"
    assert {by for _, by, _ in calls} == {"truth", "line", "mlp4", "mlp32"}
    pairs = grid.pairs()
    assert [(each.weak.name, each.strong.name, each.loss) for each in pairs[:2]] == [
        ("line", "line", "cross-entropy"),
        ("line", "line", "confidence"),
    ]
    assert sum(each.itself for each in pairs) == 6
    from_line = next(each for each in pairs if (each.weak.name, each.strong.name) == ("line", "mlp32"))
    weak, student, ceiling = from_line.accuracies
    assert ceiling > 0.9 > 0.75 > weak
    assert from_line.recovered.gap.value == pytest.approx(ceiling - weak)
    assert from_line.recovered.gained.value == pytest.approx(student - weak)
    assert from_line.disagreement[0].name == "supervisor_agreement"


def test_what_is_finished_is_used_again(tmp_path: Path) -> None:
    calls: list[int] = []

    def taught(size: int, labels: WeakLabels, loss: WeakLoss, seed: int, labelled: Rows, judge: Rows) -> Said:
        del labels, loss
        calls.append(size)
        if len(calls) == 5:
            raise KeyboardInterrupt
        generator = torch.Generator().manual_seed(100 * seed + size)
        return Said(*(torch.rand(len(each), 2, generator=generator).softmax(dim=1) for each in (labelled, judge)))

    asked = (SIZES, rings(100, 0), rings(50, 1000), taught, {"cross-entropy": CrossEntropy()}, [0])
    with pytest.raises(KeyboardInterrupt):
        teach_pairs(*asked, folder=tmp_path)
    teach_pairs(*asked, folder=tmp_path)
    assert len(calls) == 5 + (3 + 3 + 6) - 4


def test_of_students_only_what_is_read_is_kept_and_older_folders_are_read(tmp_path: Path) -> None:
    calls: list[int] = []

    def taught(size: int, labels: WeakLabels, loss: WeakLoss, seed: int, labelled: Rows, judge: Rows) -> Said:
        del loss
        calls.append(size)
        generator = torch.Generator().manual_seed(100 * seed + size + len(labels.by))
        return Said(*(torch.rand(len(each), 2, generator=generator).softmax(dim=1) for each in (labelled, judge)))

    asked = (SIZES, rings(100, 0), rings(50, 1000), taught, {"cross-entropy": CrossEntropy()}, [0])
    first = teach_pairs(*asked, folder=tmp_path)
    for file in tmp_path.iterdir():
        wanted = {"judge", "labelled"} if file.name.startswith("supervisor") else {"judge"}
        assert set(read_tensors(file)) == wanted, file.name
    # As it was kept before: every model's answers to both.
    for file in tmp_path.iterdir():
        write_tensors(file, {"labelled": torch.zeros(51, 2), **read_tensors(file)})
    calls.clear()
    again = teach_pairs(*asked, folder=tmp_path)
    assert not calls
    for key, said in first.students.items():
        assert torch.equal(said.probabilities, again.students[key].probabilities)


def test_answers_of_other_labels_are_not_used_again(tmp_path: Path) -> None:
    """One supervisor says something else: its students are taught anew, and nobody else is."""
    calls: list[str] = []
    moved = 0.0

    def taught(size: int, labels: WeakLabels, loss: WeakLoss, seed: int, labelled: Rows, judge: Rows) -> Said:
        del loss, seed
        calls.append(f"{size} by {labels.by}")
        sure = 0.9 - (moved if (size, labels.by) == (1, "truth") else 0.0)
        return Said(*(torch.tensor([sure, 1 - sure]).repeat(len(each), 1) for each in (labelled, judge)))

    asked = (SIZES, rings(60, 0), rings(30, 1000), taught, {"cross-entropy": CrossEntropy()}, [0])
    teach_pairs(*asked, folder=tmp_path)
    calls.clear()
    moved = 0.1
    supervisor = next(each for each in tmp_path.iterdir() if each.name.startswith("supervisor mlp4"))
    supervisor.unlink()
    teach_pairs(*asked, folder=tmp_path)
    assert calls == ["1 by truth", "1 by mlp4", "2 by mlp4"]


def test_judge_rows_are_nobodys() -> None:
    rows = rings(40, 0)
    with pytest.raises(InputError, match="already seen"):
        teach_pairs(SIZES, rows, rows.take(torch.arange(5)), lambda *_: None, LOSSES, [0])  # type: ignore[arg-type,return-value]
    with pytest.raises(InputError, match="smallest to the largest"):
        teach_pairs(SIZES[::-1], rows, rings(5, 1000), lambda *_: None, LOSSES, [0])  # type: ignore[arg-type,return-value]

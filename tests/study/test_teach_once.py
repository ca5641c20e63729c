"""`teach_student`: who is taught, who judges, what is measured with and without truth, and what is refused."""

import csv
import json
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

from surefoot.errors import InputError
from surefoot.networks.weights import load_model
from surefoot.study.once.columns import Columns
from surefoot.study.once.opinions import read_names, read_opinions
from surefoot.study.once.students import RIDGE, lesson_of, parse_student
from surefoot.study.once.teach import KeptStudent, teach_student

ROWS = 240
CLASSES = ("no", "yes")
Teach = Callable[..., KeptStudent]


@pytest.fixture
def made(tmp_path: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Inputs, true classes, and a supervisor's probabilities of `yes`, which sees the first input alone."""
    random = np.random.default_rng(3)
    inputs = random.normal(size=(ROWS, 3)).round(4)
    truth = (inputs.sum(axis=1) + 0.3 * random.normal(size=ROWS) > 0).astype(int)
    said = 1 / (1 + np.exp(-1.5 * inputs[:, 0] - 1.2 * random.normal(size=ROWS)))
    write(tmp_path / "bare.csv", data_of(inputs))
    write(tmp_path / "data.csv", {**data_of(inputs), "label": [CLASSES[each] for each in truth]})
    write(tmp_path / "weak.csv", weak_of(said))
    return inputs, truth, said


@pytest.fixture
def taught(tmp_path: Path) -> Teach:
    """A student of two files in a folder of their own."""

    def teach(data: str = "data.csv", weak: str = "weak.csv", **told: object) -> KeptStudent:
        return teach_student(tmp_path / data, tmp_path / weak, out=tmp_path / "runs", **told)  # type: ignore[arg-type]

    return teach


def data_of(inputs: np.ndarray) -> dict[str, Sequence[object]]:
    names = {"id": [f"r{row}-a" for row in range(len(inputs))]}
    return {**names, **{f"x{at}": column.tolist() for at, column in enumerate(inputs.T)}}


def weak_of(said: np.ndarray) -> dict[str, Sequence[object]]:
    shown = [f"{each:.8f}" for each in said]
    rest = [f"{1 - float(each):.8f}" for each in shown]
    return {"id": [f"r{row}-a" for row in range(len(said))], "p_yes": shown, "p_no": rest}


def write(path: Path, columns: Mapping[str, Sequence[object]], rows: Sequence[int] | None = None) -> None:
    with path.open("w", newline="") as opened:
        lines = csv.writer(opened)
        lines.writerow(columns)
        every = list(zip(*columns.values(), strict=True))
        lines.writerows(every if rows is None else [every[row] for row in rows])


def fit_rows(kept: KeptStudent) -> list[int]:
    """The rows that the student descends from, by its record."""
    seen = json.loads((next(iter(kept.models.values())) / "seen.json").read_text())
    return sorted(int(name[1:-2]) for name in seen)


def tensors(kept: KeptStudent) -> dict[str, torch.Tensor]:
    return dict(load_model(next(iter(kept.models.values()))).parameters)


def test_every_number_of_a_card_with_truth_is_what_one_counts_by_hand(
    made: tuple[np.ndarray, np.ndarray, np.ndarray], taught: Teach
) -> None:
    inputs, truth, said = made
    kept = taught()
    fit = fit_rows(kept)
    judge = [row for row in range(ROWS) if row not in set(fit)]
    assert (len(fit), len(judge)) == (192, 48)
    head = tensors(kept)
    logits = inputs @ head["head.weight"].double().numpy().T + head["head.bias"].double().numpy()
    student = logits.argmax(axis=1)
    # classes in the order of the columns of the weak labels: yes, no
    right = {"weak": (said > 0.5) == (truth == 1), "student": (student == 0) == (truth == 1)}
    accuracy = {name: float(each[judge].mean()) for name, each in right.items()}
    for name, value in accuracy.items():
        assert kept.card.finding("accuracy", of=name).value == pytest.approx(value)
    gained = kept.card.finding("accuracy", of="student", against="weak")
    assert gained.value == pytest.approx(accuracy["student"] - accuracy["weak"])
    ceiling = kept.card.finding("accuracy", of="ceiling").value
    share = (accuracy["student"] - accuracy["weak"]) / (ceiling - accuracy["weak"])
    assert kept.card.finding("gap_recovered", of="student").value == pytest.approx(share)
    agreed = ((student == 0) == (said > 0.5))[judge]
    assert kept.card.finding("supervisor_agreement", of="student").value == pytest.approx(agreed.mean())
    of_wrong = agreed[~right["weak"][judge]].mean()
    assert kept.card.finding("agreement_with_wrong_labels", of="student").value == pytest.approx(of_wrong)
    assert f"recovered {100 * share:.0f}%" in kept.sentence


def test_a_linear_student_is_where_the_slope_of_its_objective_is_nought(
    made: tuple[np.ndarray, np.ndarray, np.ndarray], taught: Teach
) -> None:
    inputs, _, said = made
    kept = taught("bare.csv")
    fit = fit_rows(kept)
    head = tensors(kept)
    weight, bias = (head[f"head.{name}"].double().numpy() for name in ("weight", "bias"))
    x, y = inputs[fit], np.stack([said, 1 - said], axis=1)[fit]
    spread = x.std(axis=0)
    logits = x @ weight.T + bias
    p = np.exp(logits - logits.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    slope = (p - y).T @ ((x - x.mean(axis=0)) / spread) / len(x) + RIDGE * weight * spread
    assert np.abs(slope).max() < 2e-3
    assert np.abs((p - y).mean(axis=0)).max() < 2e-3


def test_without_truth_there_is_agreement_and_no_accuracy(
    made: tuple[np.ndarray, np.ndarray, np.ndarray], taught: Teach
) -> None:
    inputs, _, said = made
    kept = taught("bare.csv", student="mlp:4", epochs=4, seeds=(0, 1))
    assert {each.name for each in kept.card.findings} == {"supervisor_agreement"}
    assert {each.subject for each in kept.card.findings} == {"student", "short"}
    assert not kept.card.differences
    assert "no true labels of judge rows" in kept.card.not_shown[0]
    assert any(each.startswith("What the supervisor saw is not known") for each in kept.card.not_shown)
    judge = sorted({*range(ROWS)} - {*fit_rows(kept)})
    shares: list[float] = []
    for folder in kept.models.values():
        saved = load_model(folder)
        x = torch.from_numpy(inputs[judge]).float()
        own = torch.func.functional_call(saved.network.module, dict(saved.parameters), (x,)).argmax(dim=1).numpy()
        shares.append(float(((own == 0) == (said[judge] > 0.5)).mean()))
    agreement = kept.card.finding("supervisor_agreement", of="student")
    assert agreement.per_seed == pytest.approx(shares)
    assert agreement.interval is not None
    with pytest.raises(InputError, match="The claim on accuracy needs true labels of judge rows"):
        taught("bare.csv", claims=["accuracy >= 0.5"])
    passed = taught("bare.csv", claims=["supervisor_agreement >= 0.1"])
    assert passed.card.verdict == "passed"


def test_no_truth_reaches_the_student(
    made: tuple[np.ndarray, np.ndarray, np.ndarray], taught: Teach, tmp_path: Path
) -> None:
    inputs, truth, _ = made
    split = ["test" if row % 4 == 0 else "train" for row in range(ROWS)]
    columns = {**data_of(inputs), "split": split}
    write(tmp_path / "one.csv", columns)
    write(tmp_path / "two.csv", {**columns, "label": [CLASSES[each] for each in truth]})
    write(tmp_path / "three.csv", {**columns, "label": [CLASSES[each] for each in truth[::-1]]})
    one, two, three = (
        tensors(taught(name, student="mlp:3", loss="confidence", epochs=3, seeds=(0,)))
        for name in ("one.csv", "two.csv", "three.csv")
    )
    for name, tensor in one.items():
        assert torch.equal(tensor, two[name])
        assert torch.equal(tensor, three[name])


def test_lines_of_labels_stand_in_any_order_and_classes_in_any(
    made: tuple[np.ndarray, np.ndarray, np.ndarray], taught: Teach, tmp_path: Path
) -> None:
    _, _, said = made
    order = np.random.default_rng(1).permutation(ROWS).tolist()
    weak = weak_of(said)
    write(tmp_path / "mixed.csv", {"id": weak["id"], "p_no": weak["p_no"], "p_yes": weak["p_yes"]}, order)
    one, two = taught(), taught(weak="mixed.csv")
    assert one.card.classes == ("yes", "no")
    assert two.card.classes == ("no", "yes")
    assert fit_rows(one) == fit_rows(two)
    for name in ("accuracy", "supervisor_agreement", "gap_recovered"):
        assert one.card.finding(name, of="student").value == pytest.approx(two.card.finding(name, of="student").value)


def test_rows_with_truth_judge_where_they_are_few(
    made: tuple[np.ndarray, np.ndarray, np.ndarray], taught: Teach, tmp_path: Path
) -> None:
    inputs, truth, _ = made
    some = [CLASSES[each] if row % 5 == 2 else "" for row, each in enumerate(truth)]
    write(tmp_path / "some.csv", {**data_of(inputs), "truth": some})
    kept = taught("some.csv", columns=Columns(target="truth"), claims=["gap_recovered >= 0.2", "accuracy >= 0.2"])
    assert fit_rows(kept) == [row for row in range(ROWS) if row % 5 != 2]
    assert {each.name for each in kept.card.subjects} == {"weak", "student"}
    first, second = kept.card.claims
    assert (first.status, second.status) == ("undecided", "passed")
    assert first.sentence.startswith("There is no ceiling: 192 of the 192 rows that the student was taught")
    # Class numbers are written with a point where cells are empty.
    pointed = [f"{each}.0" if row % 5 == 2 else "" for row, each in enumerate(truth)]
    write(tmp_path / "pointed.csv", {**data_of(inputs), "truth": pointed})
    weak = weak_of(made[2])
    for name, columns in {
        "both.csv": {"id": weak["id"], "p_0": weak["p_no"], "p_1": weak["p_yes"]},
        "one.csv": {"id": weak["id"], "probability": weak["p_yes"]},
        "hard.csv": {"id": weak["id"], "label": [int(float(str(each)) > 0.5) for each in weak["p_yes"]]},
    }.items():
        write(tmp_path / name, columns)
        numbered = taught("pointed.csv", name, columns=Columns(target="truth"))
        assert numbered.card.classes == ("0", "1")
        accuracy = numbered.card.finding("accuracy", of="weak").value
        assert accuracy == pytest.approx(kept.card.finding("accuracy", of="weak").value)
    most = [CLASSES[each] if row % 5 else "" for row, each in enumerate(truth)]
    write(tmp_path / "most.csv", {**data_of(inputs), "truth": most})
    kept = taught("most.csv", columns=Columns(target="truth"))
    judge = {*range(ROWS)} - {*fit_rows(kept)}
    assert len(judge) == 38  # a fifth of 192
    assert all(row % 5 for row in judge)


def test_classes_alone_are_certain_and_say_so(
    made: tuple[np.ndarray, np.ndarray, np.ndarray], taught: Teach, tmp_path: Path
) -> None:
    _, _, said = made
    weak = {"id": weak_of(said)["id"], "label": [CLASSES[int(each > 0.5)].upper() for each in said]}
    write(tmp_path / "hard.csv", weak)
    kept = taught(weak="hard.csv")
    assert any(each.startswith("The weak labels are certain") for each in kept.card.not_shown)
    assert not any(each.name == "nll" and each.subject == "weak" for each in kept.card.findings)
    assert not any(each.name == "nll" for each in kept.card.differences)
    judge = sorted({*range(ROWS)} - {*fit_rows(kept)})
    weak_right = ((said > 0.5) == (made[1] == 1))[judge].mean()
    assert kept.card.finding("accuracy", of="weak").value == pytest.approx(weak_right)


def test_what_is_finished_is_used_again(made: object, taught: Teach, tmp_path: Path) -> None:
    del made
    told = partial(taught, student="mlp:3", loss="confidence", epochs=4)
    first = told(seeds=(0, 1))
    assert (first.reused, len(list((tmp_path / "runs" / "teach").iterdir()))) == (0, 6)
    again = told(seeds=(0, 1))
    assert (again.reused, again.folder, len(list((tmp_path / "runs" / "teach").iterdir()))) == (6, first.folder, 6)
    assert told(seeds=(0, 1, 2)).reused == 6
    other = taught(student="mlp:3", epochs=3, seeds=(0, 1))  # the short baseline, now the student itself
    assert other.reused == 2
    assert [each.name for each in other.card.subjects] == ["weak", "student", "ceiling"]
    for folder in (tmp_path / "runs" / "teach").iterdir():
        (folder / "model.safetensors").write_bytes(b"cut")
    assert told(seeds=(0, 1)).reused == 0


def test_units_of_the_inputs_do_not_matter(
    made: tuple[np.ndarray, np.ndarray, np.ndarray], taught: Teach, tmp_path: Path
) -> None:
    inputs, truth, _ = made
    labels = [CLASSES[each] for each in truth]
    scaled = inputs * np.array([1000.0, 1.0, 0.25]) + np.array([5000.0, -3.0, 0.0])
    write(tmp_path / "units.csv", {**data_of(scaled.round(6)), "label": labels})
    one, two = (taught(name, student="mlp:5", epochs=3, seeds=(0,)) for name in ("data.csv", "units.csv"))
    assert one.card.finding("nll", of="student").value == pytest.approx(
        two.card.finding("nll", of="student").value, rel=1e-3
    )


def test_a_supervisor_neither_labels_nor_judges_what_it_saw(
    made: tuple[np.ndarray, np.ndarray, np.ndarray], taught: Teach, tmp_path: Path
) -> None:
    inputs, truth, said = made
    (tmp_path / "seen.txt").write_text("r0-a\nr1-a\nelsewhere\n")
    seen = {"seen": tmp_path / "seen.txt"}
    with pytest.raises(InputError, match=r"trained on 2 of the rows that it labels \(first: r0-a\)"):
        taught(**seen)
    write(tmp_path / "rest.csv", weak_of(said), range(2, ROWS))
    kept = taught(weak="rest.csv", **seen)
    names = json.loads((next(iter(kept.models.values())) / "seen.json").read_text())
    assert {"r0-a", "r1-a", "elsewhere"} <= {*names}  # the student descends from them
    assert sum(role.rows for role in kept.card.roles) == ROWS - 2
    assert any("rests on what seen.txt says" in each for each in kept.card.not_shown)
    # relatives: rows 1 and 2 are of one patient
    patients = [f"patient {max(row, 2) if row else 0}" for row in range(ROWS)]
    write(tmp_path / "kin.csv", {**data_of(inputs), "source": patients, "label": [CLASSES[each] for each in truth]})
    with pytest.raises(InputError, match=r"trained on 1 of the rows that it labels \(first: r2-a\)"):
        taught("kin.csv", "rest.csv", **seen)
    # a split that has a seen row judge
    split = ["test" if row < 20 else "train" for row in range(ROWS)]
    write(tmp_path / "split.csv", {**data_of(inputs), "split": split, "label": [CLASSES[each] for each in truth]})
    with pytest.raises(InputError, match=r"trained on 2 of the test rows \(first: r0-a\)"):
        taught("split.csv", "rest.csv", **seen)
    # the column that `surefoot predict` writes
    marked = {**weak_of(said), "seen": ["yes" if row == 7 else "no" for row in range(ROWS)]}
    write(tmp_path / "marked.csv", marked)
    with pytest.raises(InputError, match=r"trained on 1 of the rows that it labels \(first: r7-a\)"):
        taught(weak="marked.csv")


def test_judge_rows_without_weak_labels_judge_the_student_alone(
    made: tuple[np.ndarray, np.ndarray, np.ndarray], taught: Teach, tmp_path: Path
) -> None:
    inputs, truth, said = made
    split = ["test" if row < 60 else "train" for row in range(ROWS)]
    write(tmp_path / "split.csv", {**data_of(inputs), "split": split, "label": [CLASSES[each] for each in truth]})
    write(tmp_path / "rest.csv", weak_of(said), range(60, ROWS))
    kept = taught("split.csv", "rest.csv")
    assert {each.name for each in kept.card.subjects} == {"student", "ceiling"}
    assert kept.card.not_shown[0].startswith("The weak labels speak of no judge row")
    assert not any("agreement" in each.name or "gap" in each.name for each in kept.card.findings)
    write(tmp_path / "nobody.csv", weak_of(said), range(60))
    with pytest.raises(InputError, match="nobody to teach"):
        taught("split.csv", "nobody.csv")
    write(tmp_path / "bare_split.csv", {**data_of(inputs), "split": split})
    with pytest.raises(InputError, match="No test row has a true label or a weak one"):
        taught("bare_split.csv", "rest.csv")


def test_columns_of_labels_are_known_by_name(tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    path.write_text("id,probability\n0,0.25\n1,1\n")
    read = read_opinions(path)
    assert (read.classes, read.certain, read.ids) == (("0", "1"), False, ("0", "1"))
    assert read.probabilities.tolist() == [[0.75, 0.25], [0.0, 1.0]]
    path.write_text("row,prediction\n0,b\n1,a\n")
    read = read_opinions(path)
    assert (read.classes, read.certain) == (("a", "b"), True)
    assert read.probabilities.tolist() == [[0.0, 1.0], [1.0, 0.0]]
    # A class that nobody was ever labelled with has a column of zeros.
    assert read_opinions(path, classes=["a", "c", "b"]).probabilities.tolist() == [[0.0, 0.0, 1.0], [1.0, 0.0, 0.0]]
    path.write_text("one,two\n.5,.5\n.25,.75\n")
    read = read_opinions(path, classes=["cat", "dog"], probabilities=["one", "two"])
    assert (read.classes, read.ids) == (("cat", "dog"), None)
    path.write_text("id,probability\n0,0.25\n1,1\n")
    with pytest.raises(InputError, match="could be the probability of cat or of dog"):
        read_opinions(path, classes=["cat", "dog"])
    path.write_text("id,p_a,p_b\n0,.5,.5\n0,1,0\n")
    with pytest.raises(InputError, match=r"1 id repeats in labels.csv \(first: 0\)"):
        read_opinions(path)
    path.write_text("id,p_a,p_b\n0,.5,.5\n1,.9,.5\n")
    with pytest.raises(InputError, match=r"1 rows have probabilities that do not sum to 1 \(first: line 3, id 1"):
        read_opinions(path)
    path.write_text("id,p_a,p_b\n0,.5,.5\n")
    with pytest.raises(InputError, match=r"1 class that labels.csv does not know \(c; it knows a, b\)"):
        read_opinions(path, classes=["a", "b", "c"])


def test_names_of_seen_rows_come_in_four_forms(tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text("a\n\nb \n")
    (tmp_path / "head.csv").write_text("id,age\na,1\nb,2\n")
    (tmp_path / "headless.csv").write_text("a\nb\n")
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "seen.json").write_text('["a", "b"]')
    for name in ("list.txt", "head.csv", "headless.csv", "model", "model/seen.json"):
        assert read_names(tmp_path / name) == {"a", "b"}, name
    (tmp_path / "empty.txt").write_text("\n")
    with pytest.raises(InputError, match="names no row"):
        read_names(tmp_path / "empty.txt")


@pytest.mark.parametrize("text", ["mlp", "mlp:", "mlp:0", "mlp:4,x", "linear:3", "forest", "cnn:"])
def test_other_students_are_refused(text: str) -> None:
    with pytest.raises(InputError, match="There is no student"):
        parse_student(text)


def test_only_a_linear_student_of_cross_entropy_is_solved() -> None:
    assert lesson_of("linear", "cross_entropy", 5, 8, 0.1).settings is None
    settings = lesson_of("linear", "confidence", 5, 8, 0.1).settings
    assert settings is not None
    assert (settings.epochs, settings.batch, settings.rate) == (5, 8, 0.1)
    with pytest.raises(InputError, match="There is no loss 'luck'"):
        lesson_of("linear", "luck", 5, 8, 0.1)


def test_a_device_is_asked_for_before_the_work_and_is_part_of_the_address(
    made: tuple[np.ndarray, np.ndarray, np.ndarray], taught: Teach, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match='The device "nowhere" cannot be used here'):
        taught("bare.csv", device="nowhere")
    first = taught("bare.csv", student="mlp:4", epochs=2, seeds=(0,))
    other = taught("bare.csv", student="mlp:4", epochs=2, seeds=(0,), device="cpu:0")
    assert (first.reused, other.reused) == (0, 0)
    assert all(torch.equal(tensors(first)[name], each) for name, each in tensors(other).items())
    solved = taught("bare.csv")
    assert (solved.reused, taught("bare.csv", device="cpu:0").reused) == (0, 1), "what is solved is solved on the CPU"


def test_few_steps_are_said_beside_the_result(made: tuple[np.ndarray, np.ndarray, np.ndarray], taught: Teach) -> None:
    told = [
        each for each in taught("bare.csv", student="mlp:4", epochs=2, seeds=(0,)).card.not_shown if "steps" in each
    ]
    assert told == [
        "The student took 6 steps, in which few networks learn much; give more --epochs, or a smaller --batch."
    ]
    for more in ({"student": "mlp:4", "epochs": 34, "seeds": (0,)}, {}):
        assert not any("steps" in each for each in taught("bare.csv", **more).card.not_shown)

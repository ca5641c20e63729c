"""Students in a study: who is taught what by whom, what is measured, what is computed again, and what is refused."""

import csv
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import torch

from surefoot.card.card import Card
from surefoot.card.serialise import card_digest
from surefoot.errors import InputError
from surefoot.files import read_json
from surefoot.inference.settings import Ascend
from surefoot.networks.network import parameters_of
from surefoot.networks.spec import network_from_spec
from surefoot.networks.weights import load_model
from surefoot.study.graph import Graph, graph_of
from surefoot.study.numerics import numerics_of, one_thread
from surefoot.study.once.students import LOSSES
from surefoot.study.plan import plan_study
from surefoot.study.run import Outcome, run_study
from surefoot.study.schema import Study, load_study
from surefoot.study.store import Store
from surefoot.study.stored import load_rows, load_seen
from surefoot.study.taught.shape import Loss
from surefoot.supervise.labels import halve, weak_labels
from surefoot.supervise.losses import PAPER_SMALL
from surefoot.supervise.student import Learner, said_of, teach

ROWS = 480
SEED = 3
HEAD = """\
study: taught
rows:
  table: {path: data.csv, split: split}
"""
BASES = """\
base:
  weak: {network: {linear: {}}, epochs: 4, rate: 0.03}
  student: {network: {mlp: {hidden: [8]}}, epochs: 25, rate: 0.02, schedule: cosine, taught: {by: weak}}
  sure: {network: {mlp: {hidden: [8]}}, epochs: 25, rate: 0.02, schedule: cosine, taught: {by: weak, loss: confidence}}
seeds: [3]
claims:
  - {finding: gap_recovered, of: student, at_least: -5}
  - {finding: accuracy, of: student − weak, at_least: -0.5}
  - {finding: supervisor_agreement, of: sure, at_least: 0.1, confidence: 0.9}
"""
TABLE = """\
base:
  student: {network: {mlp: {hidden: [8]}}, epochs: 25, rate: 0.03, schedule: cosine, taught: {labels: weak.csv}}
seeds: [3]
claims:
  - {finding: gap_recovered, of: student, at_least: 0.2}
"""
Write = Callable[..., Study]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with data.csv (inside or outside of a circle) and weak.csv (a crowd that is often wrong)."""
    folder = tmp_path_factory.mktemp("students")
    random = np.random.default_rng(5)
    inputs = random.normal(size=(ROWS, 2)).round(4)
    truth = (np.square(inputs).sum(axis=1) > 1.4).astype(int)
    split = np.array(["train", "val", "test"])[random.permutation(np.arange(ROWS) % 3)]
    said = np.clip(0.5 + 0.3 * (2 * truth - 1) * random.choice([1, 1, -1], size=ROWS), 0, 1)
    lines = zip(inputs, truth, split, strict=True)
    write(folder / "data.csv", ["id", "u", "v", "label", "split"],
          [[f"r{at}-a", *pair, ("in", "out")[t], s] for at, (pair, t, s) in enumerate(lines)])  # fmt: skip
    write(folder / "weak.csv", ["id", "p_out", "p_in"], [[f"r{at}-a", p, round(1 - p, 6)] for at, p in enumerate(said)])
    return folder


@pytest.fixture
def made(place: Path, tmp_path: Path) -> Write:
    """A study in a folder of its own, beside a copy of the data."""

    def made(text: str, head: str = HEAD) -> Study:
        for name in ("data.csv", "weak.csv"):
            if not (tmp_path / name).exists():
                (tmp_path / name).write_bytes((place / name).read_bytes())
        (tmp_path / "study.yaml").write_text(head + text, encoding="utf-8")
        return load_study(tmp_path / "study.yaml")

    return made


@pytest.fixture(scope="module")
def finished(place: Path) -> tuple[Study, Outcome, Graph, Store]:
    return run(place, HEAD + BASES)


def run(folder: Path, text: str, name: str = "study.yaml") -> tuple[Study, Outcome, Graph, Store]:
    (folder / name).write_text(text, encoding="utf-8")
    study = load_study(folder / name)
    outcome = run_study(study, folder, out=folder / "runs", engine="in_process", product="default")
    graph = graph_of(study, folder, numerics_of("default"))
    return study, outcome, graph, Store(folder / "runs" / "cells")


def write(path: Path, head: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    with path.open("w", newline="") as opened:
        csv.writer(opened).writerows([head, *rows])


def lines_of(path: Path) -> list[list[str]]:
    with path.open(newline="") as opened:
        return list(csv.reader(opened))


def right(card: Card, name: str) -> float:
    return card.finding("accuracy", of=name).value


def test_a_student_is_taught_what_its_supervisor_says_of_the_other_half(
    finished: tuple[Study, Outcome, Graph, Store],
) -> None:
    """By hand: halves, the supervisor's probabilities, and the very tensors that `teach` reaches with them."""
    _, _, graph, store = finished
    fit = load_rows(store.path(f"{graph.rows.address}/fit"))
    halves = halve(fit, SEED)
    weak = store.path(graph.train["weak", SEED].address)
    assert load_seen(weak) == halves.weak.origins()
    saved = load_model(weak / "model")
    said = said_of(saved.network, saved.parameters, halves.student.inputs)
    labels = weak_labels(halves.student, said, seen=load_seen(weak), by="weak")
    network = network_from_spec({"mlp": {"inputs": 2, "hidden": [8], "classes": 2}}, SEED)
    settings = Ascend(epochs=25, batch=64, rate=0.02, schedule="cosine")
    with one_thread():
        draws = teach(Learner("by hand", network, settings, PAPER_SMALL), labels, SEED)
    sure = store.path(graph.train["sure", SEED].address)
    reached = load_model(sure / "model").parameters
    assert all(torch.equal(reached[name], value) for name, value in draws.point().items())
    assert any(not torch.equal(reached[name], value) for name, value in parameters_of(network).items())
    assert load_seen(sure) == fit.origins()  # what it was taught, and what its supervisor learnt


def test_no_file_that_a_student_is_given_has_a_true_label(finished: tuple[Study, Outcome, Graph, Store]) -> None:
    _, _, graph, store = finished
    student = graph.train["student", SEED]
    assert set(student.inputs) == {"taught"}
    folder = store.path(student.inputs["taught"])
    assert {file.name for file in folder.iterdir()} <= {"rows.safetensors", "seen.json", "labels.json", "columns.json"}
    assert load_rows(folder).targets.shape == (80, 2)
    # Two students of one supervisor read the same labels, and are held against one ceiling.
    assert graph.labels["sure", SEED].address == graph.labels["student", SEED].address
    assert graph.ceilings["sure", SEED].address == graph.ceilings["student", SEED].address
    halves = halve(load_rows(store.path(f"{graph.rows.address}/fit")), SEED)
    assert load_seen(store.path(graph.ceilings["student", SEED].address)) == halves.student.origins()
    judging = [cell.kind for cell in graph.cells() if f"{graph.rows.address}/judge" in cell.inputs.values()]
    assert set(judging) == {"predict"}


def test_the_card_holds_students_against_supervisor_and_ceiling(finished: tuple[Study, Outcome, Graph, Store]) -> None:
    _, outcome, _, _ = finished
    card = outcome.card
    assert [subject.name for subject in card.subjects] == ["weak", "student", "sure", "ceiling of student"]
    weak, student, best = (right(card, name) for name in ("weak", "student", "ceiling of student"))
    assert best > weak + 0.15
    share = card.finding("gap_recovered", of="student")
    assert share.value == pytest.approx((student - weak) / (best - weak))
    assert card.finding("accuracy", of="student", against="weak").value == pytest.approx(student - weak)
    assert card.finding("accuracy", of="ceiling of student", against="weak").value == pytest.approx(best - weak)
    assert {judged.status for judged in card.claims} == {"passed"}
    assert card.claims[0].claim.finding == "gap_recovered"
    assert {each.subject for each in card.findings if each.name == "supervisor_agreement"} == {"student", "sure"}
    assert card.chosen in {"weak", "student", "sure"}
    notes = {subject.name: " ".join(subject.notes) for subject in card.subjects}
    assert "Trained on the truth of 80 of 160 fit rows" in notes["weak"]
    assert "Taught what weak says of 80 of 160 fit rows." in notes["student"]
    assert set(card.record.seconds) == {"weak", "student", "sure"}
    assert card.record.seconds["student"] > card.record.seconds["weak"]
    page = Card.read(outcome.folder)
    assert page == card or card_digest(page) == card_digest(card)


def test_the_first_screen_tells_of_students_and_not_that_there_is_no_repair(
    finished: tuple[Study, Outcome, Graph, Store],
) -> None:
    words = " ".join((finished[1].folder / "card.html").read_text().split()).replace("\N{NO-BREAK SPACE}", " ")
    assert "No repair is on this card" not in words
    assert "taught weak labels, not the truth. It says what they say in" in words
    assert "Of the gap between its supervisor and its ceiling it recovered" in words
    assert "Ceiling of student" in words.partition('id="glance"')[2].partition("</section>")[0]
    assert "chosen among 3 models." in words


def test_a_second_run_computes_nothing_and_another_loss_only_what_follows(
    finished: tuple[Study, Outcome, Graph, Store], place: Path
) -> None:
    _, first, graph, _ = finished
    _, again, _, _ = run(place, HEAD + BASES)
    assert again.computed == ()
    assert card_digest(again.card) == card_digest(first.card)
    _, other, new, _ = run(place, HEAD + BASES.replace("loss: confidence", "loss: adaptive"), "other.yaml")
    kinds = {cell.address: cell.title for cell in new.cells()}
    computed = {kinds[address] for address in other.computed}
    assert computed == {
        "train sure, seed 3", "features of choose rows, sure, seed 3", "judge sure and its repairs, seed 3",
        "choose among all",
    }  # fmt: skip
    assert new.train["student", SEED].address == graph.train["student", SEED].address


def test_a_study_that_was_stopped_goes_on_to_the_same_card(
    made: Write, finished: tuple[Study, Outcome, Graph, Store], tmp_path: Path
) -> None:
    study = made(BASES)
    told: list[str] = []

    def stop(stage: str, done: int, total: int) -> None:
        told.append(stage)
        if "student" in stage and "train" in stage:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_study(study, tmp_path, out=tmp_path / "runs", engine="in_process", product="default", progress=stop)
    (started,) = (tmp_path / "runs" / "taught").iterdir()
    assert not (started / "card.json").exists()
    resumed = run_study(study, tmp_path, engine="in_process", resume=started)
    assert resumed.reused
    assert resumed.computed
    assert card_digest(resumed.card) == card_digest(finished[1].card)


def test_labels_of_a_table_teach_and_the_truth_does_not(made: Write, tmp_path: Path) -> None:
    """With the truth of every fit row but two shuffled, the student's tensors are the same bit for bit."""
    study = made(TABLE)
    _, outcome, graph, store = run(tmp_path, HEAD + TABLE)
    card = outcome.card
    assert [subject.name for subject in card.subjects] == ["student", "weak.csv", "ceiling of student"]
    data, weak = lines_of(tmp_path / "data.csv")[1:], lines_of(tmp_path / "weak.csv")[1:]
    said = {line[0]: ("out" if float(line[1]) > 0.5 else "in") for line in weak}
    judged = [said[line[0]] == line[3] for line in data if line[4] == "test"]
    assert right(card, "weak.csv") == pytest.approx(np.mean(judged))
    share = (right(card, "student") - right(card, "weak.csv")) / (right(card, "ceiling of student") - np.mean(judged))
    assert card.finding("gap_recovered", of="student").value == pytest.approx(share)
    fit = load_rows(store.path(graph.train["student", SEED].inputs["taught"]))
    classes = fit.classes
    wanted = {line[0]: (float(line[1]), float(line[2])) for line in weak}
    for name, row in zip(fit.ids.tolist(), fit.targets.tolist(), strict=True):
        assert (row[classes.index("out")], row[classes.index("in")]) == pytest.approx(wanted[name])
    assert any("What whoever made weak.csv was trained on is not known" in each for each in card.not_shown)
    assert study.seeds == [3]
    before = load_model(store.path(graph.train["student", SEED].address) / "model").parameters

    names = [line for line in data if line[4] == "train"]
    mixed = np.random.default_rng(0).permutation([line[3] for line in names])
    for line, other in zip(names, mixed, strict=True):
        line[3] = str(other)
    write(tmp_path / "data.csv", ["id", "u", "v", "label", "split"], data)
    _, again, other, _ = run(tmp_path, HEAD + TABLE)
    after = load_model(store.path(other.train["student", SEED].address) / "model").parameters
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert right(again.card, "ceiling of student") < right(card, "ceiling of student")


def test_a_changed_table_is_read_again(made: Write, tmp_path: Path) -> None:
    study = made(TABLE)
    before = graph_of(study, tmp_path, numerics_of("default"))
    lines = lines_of(tmp_path / "weak.csv")
    lines[1][1:] = lines[1][:0:-1]
    write(tmp_path / "weak.csv", lines[0], lines[1:])
    after = graph_of(study, tmp_path, numerics_of("default"))
    old = {cell.title: cell.address for cell in before.cells()}
    changed = {cell.kind for cell in after.cells() if old[cell.title] != cell.address}
    assert changed == {"labels", "train", "features", "choose", "predict"}
    assert before.rows.address == after.rows.address


def test_rows_without_labels_are_counted_and_judge_rows_without_them_leave_the_gap_unknown(
    made: Write, tmp_path: Path
) -> None:
    made(TABLE)
    data = {line[0]: line[4] for line in lines_of(tmp_path / "data.csv")[1:]}
    lines = lines_of(tmp_path / "weak.csv")
    trained = [line for line in lines[1:] if data[line[0]] == "train"][:100]
    judged = [line for line in lines[1:] if data[line[0]] == "test"][:30]
    write(tmp_path / "weak.csv", lines[0], trained + judged)
    _, outcome, graph, store = run(tmp_path, HEAD + TABLE)
    card = outcome.card
    told = "Taught what weak.csv says of 100 of 160 fit rows; 60 have no weak label and took no part."
    assert card.subjects[0].notes == (told,)
    assert load_seen(store.path(graph.ceilings["student", SEED].address)) == {line[0] for line in trained}
    assert [subject.name for subject in card.subjects] == ["student", "ceiling of student"]
    (judged_claim,) = card.claims
    assert judged_claim.status == "undecided"
    assert judged_claim.finding is None
    assert judged_claim.sentence.startswith("The weak labels in weak.csv speak of 30 of the 160 judge rows")
    assert card.not_shown[0] == judged_claim.sentence
    assert not [each for each in card.findings if each.name in ("gap_recovered", "supervisor_agreement")]


def test_where_there_is_no_gap_a_claim_is_undecided_and_says_why(made: Write, tmp_path: Path) -> None:
    made(TABLE)
    # Labels that are the truth: no ceiling is clearly above them.
    data = lines_of(tmp_path / "data.csv")[1:]
    write(tmp_path / "weak.csv", ["id", "label"], [[line[0], line[3]] for line in data])
    text = TABLE.replace("taught: {labels: weak.csv}", "taught: {labels: weak.csv, loss: reverse}")
    _, outcome, _, _ = run(tmp_path, HEAD + text)
    card = outcome.card
    (judged,) = card.claims
    assert (judged.status, judged.finding, card.verdict) == ("undecided", None, "undecided")
    assert "not clearly above zero, so there is no gap" in judged.sentence
    assert not [each for each in card.findings if each.name == "gap_recovered"]
    assert card.finding("accuracy", of="weak.csv").value == 1
    # Certain labels: of them there are accuracies alone.
    assert any("are certain" in each for each in card.not_shown)
    assert "weak.csv" not in card.reliability
    differences = {each.name for each in card.differences if each.subject == "student − weak.csv"}
    assert differences
    assert differences <= {"accuracy", "worst_group_accuracy", "weighted_accuracy"}


@pytest.mark.slow
def test_a_link_of_a_chain_labels_the_rows_that_it_was_taught(made: Write, tmp_path: Path) -> None:
    made(BASES)
    chain = BASES.replace("taught: {by: weak, loss: confidence}", "taught: {by: student}")
    _, outcome, graph, store = run(tmp_path, HEAD + chain)
    first, second = (load_rows(store.path(graph.train[name, SEED].inputs["taught"])) for name in ("student", "sure"))
    assert first.ids.tolist() == second.ids.tolist()
    saved = load_model(store.path(graph.train["student", SEED].address) / "model")
    assert torch.allclose(second.targets, said_of(saved.network, saved.parameters, first.inputs), atol=1e-6)
    assert graph.ceilings["sure", SEED].address == graph.ceilings["student", SEED].address
    assert outcome.card.finding("accuracy", of="sure", against="student").subject == "sure − student"


@pytest.mark.slow
def test_a_finished_model_may_teach_unless_it_saw_the_rows(
    finished: tuple[Study, Outcome, Graph, Store], made: Write, tmp_path: Path
) -> None:
    model = finished[1].folder / "models" / "weak" / "seed-3"
    text = BASES.replace("{network: {linear: {}}, epochs: 4, rate: 0.03}", f"{{model: '{model}'}}")
    study = made(text)
    with pytest.raises(InputError, match="weak was trained on 80 of the 160 fit rows that it is to label"):
        run_study(study, tmp_path, out=tmp_path / "runs", engine="in_process", product="default")
    seen = load_seen(model)
    lines = [line for line in lines_of(tmp_path / "data.csv")[1:] if not (line[4] == "train" and line[0] in seen)]
    write(tmp_path / "data.csv", ["id", "u", "v", "label", "split"], lines)
    _, outcome, _, _ = run(tmp_path, HEAD + text)
    assert outcome.card.subjects[1].notes == ("Taught what weak says of all 80 fit rows.",)
    assert outcome.card.finding("accuracy", of="ceiling of student").per_seed == ()


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ("{by: weak}", "{by: week}", "base 'student' is taught by 'week', which is no base; did you mean 'weak'?"),
        ("{by: weak}", "{by: zz.csv}", "of a table say labels: zz.csv"),
        ("{by: weak}", "{by: student}", "base 'student' is taught by itself"),
        ("{by: weak}", "{by: sure}", "base 'student' is taught by 'sure'; expected a base above it in the file (weak)"),
        ("{by: weak}", "{by: weak, labels: weak.csv}", "by and labels given; expected exactly one of by or labels"),
        ("{by: weak}", "{}", "none given; expected exactly one of by or labels"),
        ("{by: weak}", "{by: weak, seen: a.txt}", "probabilities, prediction and seen are of a table"),
        ("{by: weak}", "{by: weak, los: reverse}", "'base.student.taught.los' in study.yaml, line 6; did you mean"),
        ("loss: confidence", "loss: focal", "'base.sure.taught.loss' in study.yaml, line 7 is \"focal\"; expected"),
        ("taught: {by: weak}", "taught: {by: weak}, balance: classes", "has balance, which reads true labels"),
        ("taught: {by: weak}", "taught: {by: weak}, remove_minority: 1", "has remove_minority, which reads"),
        ("of: student, at_least: -5", "of: chosen, at_least: -5",
         "a claim on gap_recovered is made of 'chosen' on 'all'; it is measured of students (student, sure) on all"),
        ("of: student, at_least: -5", "of: weak, at_least: -5", "it is measured of students (student, sure)"),
        ("student − weak", "student − sure", "a claim is made of 'student − sure'; did you mean 'student − weak'?"),
        ("gap_recovered", "gap_recoverd", "did you mean 'gap_recovered'?"),
        ("{linear: {}}, epochs: 4", "{linear: {}}, upweight: {mistakes_of: weak}", "base 'weak' upweights the"),
    ],
)  # fmt: skip
def test_wrong_use_is_one_sentence(made: Write, before: str, after: str, said: str) -> None:
    assert before in BASES
    with pytest.raises(InputError) as caught:
        made(BASES.replace(before, after, 1))
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_teaching_in_a_circle_is_refused(made: Write) -> None:
    two = BASES.replace("{by: weak}", "{by: sure}").replace("{by: weak, loss: confidence}", "{by: student}")
    with pytest.raises(
        InputError, match="'student' is taught by 'sure', which it teaches itself; let one learn the truth"
    ):
        made(two)


def test_a_supervisor_that_saw_all_rows_is_refused_before_the_work(made: Write) -> None:
    first = "base:\n  early: {network: {linear: {}}, epochs: 1}"
    text = BASES.replace("base:", first, 1).replace("epochs: 4", "epochs: 4, upweight: {mistakes_of: early}")
    with pytest.raises(
        InputError, match="which learns from another base's mistakes on all fit rows, so that none is left"
    ):
        made(text)


def test_one_table_is_read_in_one_way_and_called_as_no_base_is(made: Write) -> None:
    two = TABLE.replace(
        "seeds", "  other: {network: {linear: {}}, taught: {labels: weak.csv, prediction: label}}\nseeds"
    )
    with pytest.raises(InputError, match=r"base 'other' reads 'weak.csv' in another way than a base above it"):
        made(two)
    with pytest.raises(InputError, match="called as a base is"):
        made(TABLE.replace("base:", "base:\n  weak.csv: {network: {linear: {}}}"))


def change(path: Path, how: Callable[[list[list[str]]], list[list[str]]]) -> None:
    lines = how(lines_of(path))
    write(path, lines[0], lines[1:])


@pytest.mark.parametrize(
    ("how", "said"),
    [
        (lambda lines: [lines[0], *([f"z{line[0]}", *line[1:]] for line in lines[1:])],
         "480 of 480 ids in weak.csv are no row of the data (first: zr0-a); the data's own ids look like"),
        (lambda lines: [["id", "p_out", "p_perhaps"], *lines[1:]],
         "The data has 1 class that weak.csv does not know (in; it knows out, perhaps)"),
        (lambda lines: [[*lines[0], "p_over"], *([*line, "0"] for line in lines[1:])],
         "weak.csv speaks of over, and the classes of the rows are in, out; label rows with these."),
        (lambda lines: [line[1:] for line in lines], "weak.csv has no column of ids, and the rows of a study are"),
        (lambda lines: [lines[0], lines[1], *lines[1:]], "1 id repeats in weak.csv (first: r0-a)"),
        (lambda lines: [lines[0], *([line[0], "1.5", "-0.5"] for line in lines[1:])], "outside [0, 1]"),
        (lambda lines: [[*lines[0], "seen"], *([*line, "yes"] for line in lines[1:])],
         "Whoever made weak.csv was trained on 160 of the fit rows that it labels (first: r"),
    ],
)  # fmt: skip
def test_a_wrong_table_is_one_sentence(
    made: Write, tmp_path: Path, how: Callable[[list[list[str]]], list[list[str]]], said: str
) -> None:
    study = made(TABLE)
    change(tmp_path / "weak.csv", how)
    with pytest.raises(InputError) as caught:
        run_study(study, tmp_path, out=tmp_path / "runs", engine="in_process", product="default")
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_table_of_rows_that_nobody_is_taught_or_that_is_missing(made: Write, tmp_path: Path) -> None:
    study = made(TABLE)
    data = {line[0]: line[4] for line in lines_of(tmp_path / "data.csv")[1:]}
    change(tmp_path / "weak.csv", lambda lines: [lines[0], *(each for each in lines[1:] if data[each[0]] == "test")])
    with pytest.raises(InputError, match=r"weak.csv labels none of the 160 fit rows, so there is nobody to teach"):
        run_study(study, tmp_path, out=tmp_path / "runs", engine="in_process", product="default")
    with pytest.raises(InputError, match=r"The study names gone.csv, which is not in"):
        plan_study(made(TABLE.replace("weak.csv", "gone.csv")), tmp_path, out=tmp_path / "runs", product="default")


def test_judge_rows_that_the_table_s_author_saw_are_refused(made: Write, tmp_path: Path) -> None:
    study = made(TABLE.replace("labels: weak.csv", "labels: weak.csv, seen: seen.txt"))
    data = lines_of(tmp_path / "data.csv")[1:]
    judged = [line[0] for line in data if line[4] == "test"]
    (tmp_path / "seen.txt").write_text("\n".join(judged[:3]))
    with pytest.raises(
        InputError, match=r"3 sources of the judge rows .first: r.* were already seen by the base training"
    ):
        run_study(study, tmp_path, out=tmp_path / "runs", engine="in_process", product="default")


def test_a_study_without_truth_names_the_command_that_needs_none(made: Write, tmp_path: Path) -> None:
    study = made(TABLE)
    change(tmp_path / "data.csv", lambda lines: [[*line[:3], line[4]] for line in lines])
    said = r"data.csv has no true labels .* and a study measures with them; .* surefoot teach data.csv --weak LABELS"
    for ask in (plan_study, partial(run_study, engine="in_process")):
        with pytest.raises(InputError, match=said):
            ask(study, tmp_path, out=tmp_path / "runs", product="default")


def test_rows_that_cannot_be_parted_are_refused_in_words(made: Write, tmp_path: Path) -> None:
    made(BASES)
    lines = [[*line, "one" if line[4] == "train" else line[0]] for line in lines_of(tmp_path / "data.csv")[1:]]
    write(tmp_path / "data.csv", ["id", "u", "v", "label", "split", "patient"], lines)
    study = made(BASES, HEAD.replace("split: split", "split: split, source: patient"))
    with pytest.raises(InputError, match="The 160 fit rows cannot be parted into a half whose truth a supervisor"):
        run_study(study, tmp_path, out=tmp_path / "runs", engine="in_process", product="default")


def test_plans_cost_each_base_by_its_own_network_and_ask_for_trust(made: Write, tmp_path: Path) -> None:
    planned = plan_study(made(BASES), tmp_path, out=tmp_path / "runs", product="default")
    assert {task.cell.kind for task in planned.tasks} == {"rows", "labels", "train", "features", "choose", "predict"}
    wide = plan_study(
        made(BASES.replace("{linear: {}}", "{mlp: {hidden: [4000, 4000]}}")), tmp_path, out=tmp_path / "runs",
        product="default",
    )  # fmt: skip

    def seconds(plan: object, title: str) -> float:
        return next(task.estimate for task in plan.tasks if task.cell.title == title)  # type: ignore[attr-defined]

    assert seconds(wide, "train weak, seed 3") > 5 * seconds(planned, "train weak, seed 3")
    assert seconds(wide, "judge weak and its repairs, seed 3") > seconds(planned, "judge weak and its repairs, seed 3")
    assert seconds(wide, "train student, seed 3") == seconds(planned, "train student, seed 3")
    assert seconds(planned, "train ceiling of student, seed 3") > 0
    (tmp_path / "net.py").write_text("import torch\n")
    with pytest.raises(
        InputError, match=r"The network net.py:Net is code from a file, which runs only with --trust-code"
    ):
        plan_study(made(BASES.replace("{linear: {}}", "{file: 'net.py:Net'}")), tmp_path, out=tmp_path / "runs")


def test_each_seed_has_a_supervisor_of_its_own_and_a_table_speaks_for_all(made: Write, tmp_path: Path) -> None:
    study = made(BASES.replace("[3]", "[0, 1]"))
    graph = graph_of(study, tmp_path, numerics_of("default"))
    assert graph.labels["student", 0].address != graph.labels["student", 1].address
    assert graph.labels["student", 1].inputs["supervisor"] == graph.train["weak", 1].address
    graph = graph_of(made(TABLE.replace("[3]", "[0, 1]")), tmp_path, numerics_of("default"))
    assert graph.labels["student", 0].address == graph.labels["student", 1].address
    assert graph.train["student", 0].address != graph.train["student", 1].address


def test_losses_of_studies_and_of_the_command_are_the_same() -> None:
    assert get_args(Loss) == tuple(LOSSES)


def test_a_study_s_own_network_is_needed_where_a_base_has_none(made: Write) -> None:
    with pytest.raises(InputError, match="the base training 'weak' has no network to train"):
        made(BASES.replace("network: {linear: {}}, ", ""))
    with pytest.raises(InputError, match="a network was given, but every base has its own; remove one side"):
        made("network: {linear: {}}\n" + BASES)
    study = made("network: {linear: {}}\n" + BASES.replace("network: {linear: {}}, ", ""))
    assert study.network_of("weak") == study.network
    assert study.network_of("student") != study.network


@pytest.mark.slow
def test_repairs_of_a_student_go_on_from_it(made: Write, tmp_path: Path) -> None:
    text = BASES.replace(
        "seeds: [3]",
        "mitigations:\n  balanced: {method: class_balanced, learn: choose, bases: [student]}\nseeds: [3]",
    )
    made(text)
    _, outcome, _, _ = run(tmp_path, HEAD + text)
    assert "student+balanced" in [subject.name for subject in outcome.card.subjects]
    record = read_json(outcome.folder / "models" / "student+balanced" / "seed-3" / "record.json")
    assert record["classes"] == ["in", "out"]
    assert replace(outcome.card.record, times={}).seeds == (3,)

"""Which columns are read as a model's answer: by plain names, by named columns, and never by a guess."""

from pathlib import Path

import numpy as np
import pytest

from surefoot.errors import InputError
from surefoot.findings.answers import NoAnswer
from surefoot.findings.names import AskAgain
from surefoot.findings.reading import ReadPredictions, holds_predictions, read_told

Q, P = (0.9, 0.4, 0.2, 0.7), (0.1, 0.6, 0.8, 0.3)


def table(folder: Path, **columns: object) -> Path:
    """A table of these columns; of those called A_B_C the name is "A B C"."""
    path = folder / "p.csv"
    lines = [",".join(columns), *(",".join(map(str, row)) for row in zip(*columns.values(), strict=True))]
    path.write_text("\n".join(lines) + "\n")
    return path


def of_last(read: ReadPredictions) -> list[float]:
    return np.round(read.predictions.probabilities[0, :, 1].numpy(), 9).tolist()


NUMBERS, WORDS = (0, 1, 1, 0), ("neg", "pos", "pos", "neg")


@pytest.mark.parametrize(
    ("names", "labels"),
    [
        (("p0", "p1"), NUMBERS), (("p_0", "p_1"), NUMBERS), (("proba_0", "proba_1"), NUMBERS), (("0", "1"), NUMBERS),
        (("P_0", "P_1"), NUMBERS), (("prob_neg", "prob_pos"), WORDS), (("neg", "pos"), WORDS),
        (("score_neg", "score_pos"), WORDS),
    ],
)  # fmt: skip
def test_a_column_for_each_class(names: tuple[str, str], labels: tuple[object, ...], tmp_path: Path) -> None:
    path = table(tmp_path, **{"": range(4), "label": labels, "site": "abab", names[1]: P, names[0]: Q})
    read = read_told(path)
    order = read.predictions.classes
    assert set(order) == set(map(str, labels))
    assert np.allclose(read.predictions.probabilities[0, :, order.index(str(labels[1]))], P)
    assert holds_predictions(path)
    assert read.could_be == ("site",)


@pytest.mark.parametrize(
    ("name", "labels"),
    [
        ("y_score", NUMBERS), ("score", NUMBERS), ("probability", NUMBERS), ("y_prob", NUMBERS), ("p1", NUMBERS),
        ("p_1", NUMBERS), ("p_pos", WORDS), ("score", WORDS), ("Score", ("False", "True", "True", "False")),
        ("score", (-1, 1, 1, -1)),
    ],
)  # fmt: skip
def test_one_column_of_the_second_of_two_classes(name: str, labels: tuple[object, ...], tmp_path: Path) -> None:
    path = table(tmp_path, label=labels, **{name: P})
    assert of_last(read_told(path)) == list(P)
    assert read_told(path).predictions.correct().tolist() == [[1, 1, 1, 1]]


def test_one_column_of_the_first_of_two_classes(tmp_path: Path) -> None:
    path = table(tmp_path, label=WORDS, p_neg=Q)
    assert of_last(read_told(path)) == list(P)
    assert of_last(read_told(path, probabilities=["p_neg"])) == list(P)
    assert read_told(path).answer.told == "probability: p_neg of neg (pos: 1 − p_neg)"


def test_columns_that_are_named(tmp_path: Path) -> None:
    path = table(tmp_path, label=WORDS, u=Q, v=P, **{"P(pos)": P, "P(neg)": Q})
    for named in (["u", "v"], ["v"], ["P(pos)", "P(neg)"], ["P(neg)", "P(pos)"]):  # names win over their order
        read = read_told(path, probabilities=named)
        ours = read.predictions.probabilities[0, :, read.predictions.classes.index("pos")]
        assert np.allclose(ours, P), named
    seen = table(tmp_path, label=NUMBERS, a=Q, b=P, c=(0, 0, 0, 0))
    assert read_told(seen, probabilities=["a", "b", "c"]).predictions.classes == ("0", "1", "2")


def test_predicted_classes_win_over_a_score_that_may_be_of_them(tmp_path: Path) -> None:
    """`score` beside a prediction is often how sure the model was of its own choice, not of class 1."""
    path = table(tmp_path, label=NUMBERS, prediction=(0, 1, 1, 0), score=(0.9, 0.6, 0.8, 0.7))
    assert read_told(path).predictions.decisions
    assert read_told(path).predictions.correct().tolist() == [[1, 1, 1, 1]]


@pytest.mark.parametrize("target", ["y_true", "Actual", "LABEL", "truth", "class", "y"])
def test_labels_by_their_usual_names(target: str, tmp_path: Path) -> None:
    assert read_told(table(tmp_path, **{target: NUMBERS}, p=P)).target == target


@pytest.mark.parametrize(
    ("columns", "options", "said", "add"),
    [
        ({"label": WORDS, "u": Q, "v": P}, {}, "u, v in {path} look like probabilities, but their names do not say of "
         "which class; name them in the order of the classes neg, pos.", ("--probabilities", "u,v")),
        ({"label": WORDS, "u": P, "x": (3, 1, 2, 9)}, {}, "if u holds the probability of pos, say so.",
         ("--probabilities", "u")),
        ({"label": WORDS, "p_0": Q, "p_1": P}, {}, "do not say which of the classes neg, pos is whose; name them in "
         "this order.", ("--probabilities", "p_0,p_1")),
        ({"label": "abba", "score": P}, {}, "The column 'score' of {path} could be the probability of a or of b; name "
         "it if it is of b (else make a column p_a of it).", ("--probabilities", "score")),
        ({"label": NUMBERS, "p0": Q, "p1": P, "prob0": P, "prob1": Q}, {}, "could be p0, p1 or prob0, prob1; name the "
         "ones of the model.", ("--probabilities", "p0,p1")),
        ({"label": (1, 1, 0, 0), "y_true": NUMBERS, "p": P}, {}, "could be in y_true or label; name the column.",
         ("--target", "y_true")),
        ({"diagnosis": NUMBERS, "p": P}, {}, "name it with --target.", ("--target", "diagnosis")),
        ({"label": NUMBERS, "y_score": P}, {"prediction": "y_score"}, "The column 'y_score' of {path} holds numbers "
         "between 0 and 1 (such as 0.1 in line 2), not classes; if they are the probability of 1, name them as that.",
         ("--probabilities", "y_score")),
    ],
)  # fmt: skip
def test_what_is_asked_for(columns, options, said, add, tmp_path: Path) -> None:
    path = table(tmp_path, **columns)
    with pytest.raises(AskAgain) as caught:
        read_told(path, **options)
    assert str(caught.value).endswith(said.format(path=path))
    assert caught.value.add == add


@pytest.mark.parametrize(
    ("columns", "options", "said"),
    [
        ({"label": "abca", "u": Q, "v": P}, {"probabilities": ["u", "v"]},
         "--probabilities names 2 columns (u, v) and there are 3 classes (a, b, c); name one column per class, or one "
         "of the last of two."),
        ({"label": NUMBERS, "u": Q}, {"probabilities": ["w"]}, "has no column 'w'"),
        ({"label": NUMBERS, "u": Q}, {"probabilities": ["u", "u"]}, "names a column twice (u, u)"),
        ({"label": NUMBERS, "u": Q}, {"probabilities": ["u"], "prediction": "u"}, "give one of them."),
        ({"label": NUMBERS, "p": (10, 60, 80, 30)}, {},
         "4 rows have probabilities outside [0, 1] (first: line 2 with 10); it looks like percent: divide by 100."),
        ({"label": WORDS, "neg": (90.0, 40, 20, 70), "pos": (10, 60, 80, 30.0)}, {"probabilities": ["neg", "pos"]},
         "(first: line 2 with 90.0); it looks like percent: divide by 100."),
        ({"label": NUMBERS, "y_score": (-1.5, 2, 3, -4)}, {}, "(first: line 2 with -1.5); give probabilities, not "
         "scores or logits."),
        ({"id": "wxyz", "label": NUMBERS, "p": (0.1, 0.6, 1.8, 0.3)}, {}, "(first: line 4, id y with 1.8)"),
    ],
)  # fmt: skip
def test_what_is_refused(columns, options, said, tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        read_told(table(tmp_path, **columns), **options)
    assert said in str(caught.value)


def test_what_is_no_answer(tmp_path: Path) -> None:
    """The labels once more as zeros and ones would be a perfect model; pixels and points are no probabilities."""
    for columns in (
        {"label": WORDS, "neg": (1, 0, 0, 1), "pos": (0, 1, 1, 0)},
        {"label": NUMBERS, "p0": Q, "p1": Q, "p2": P},
        {"label": NUMBERS, "0": (5, 6, 7, 8), "1": (1, 2, 3, 4)},
        {"label": NUMBERS, "p1": P, "p2": Q},
        {"label": NUMBERS, "score": (410, 520, 600, 390)},
        {"label": "abca", "score": P},
    ):
        path = table(tmp_path, **columns)
        assert not holds_predictions(path), columns
        with pytest.raises(NoAnswer):
            read_told(path)


def test_what_was_read_is_told(tmp_path: Path) -> None:
    columns = {"label": WORDS * 10, "p_neg": Q * 10, "p_pos": P * 10, "light": ["day", "", "day", "night"] * 10}
    path = table(tmp_path, **columns, note=range(40))
    read = read_told(path, groups=["light"])
    assert read.told == (
        f"Read {path}: 40 rows",
        "labels: label (classes neg, pos); probabilities: p_neg of neg, p_pos of pos",
        "groups: class × light: 3 groups; 10 rows without light",
        "No row is in “pos, light=night”: nothing is known there, and the worst group is that of the others.",
        "not used: note",
    )
    assert read.empty == ("pos, light=night",)
    assert read.predictions.groups.names == ("neg, light=day", "neg, light=night", "pos, light=day")
    free = read_told(path).told
    assert free[2:] == (
        "No groups named; columns that could be: light (2 values): --groups light",
        "not used: light, note",
    )
    many = read_told(table(tmp_path, **columns, age=range(40)), groups=["age"]).told
    assert many[2].startswith("groups: class × age: 40 groups")
    assert "40 groups, the smallest of 1 row: the worst of so many says little" in many[-2]
    ready = read_told(table(tmp_path, **columns, group="abcd" * 10)).told
    assert ready[2] == "groups: group as it stands, not crossed with the class: 4 groups"


def beside(folder: Path, **columns: object) -> ReadPredictions:
    return read_told(table(folder, **columns))


CHOICE = (0.9, 0.6, 0.8, 0.7)
"""How sure the model of `P` was of its own choice."""


@pytest.mark.parametrize(
    ("labels", "said", "name", "of"),
    [
        (NUMBERS, NUMBERS, "probability", 1), (NUMBERS, NUMBERS, "p1", 1), (NUMBERS, NUMBERS, "prob_1", 1),
        (NUMBERS, ("False", "True", "True", "False"), "p", 1), (WORDS, WORDS, "prob", "pos"),
        ("abba", "abba", "prob", "b"), ("abba", "ABBA", "p", "b"),
    ],
)  # fmt: skip
def test_how_sure_a_model_was_of_its_own_choice(labels, said, name, of, tmp_path: Path) -> None:
    """No threshold on it gives the predicted classes: it is the probability of no class."""
    path = table(tmp_path, label=labels, prediction=said, **{name: CHOICE})
    with pytest.raises(AskAgain) as caught:
        read_told(path)
    assert str(caught.value) == (
        f"No threshold on {name} in {path} gives the predicted classes in prediction: {name} may be how sure the model "
        f"was of its own choice, or something else. Judge what was predicted (--prediction prediction), or say "
        f"--probabilities {name} if it is the probability of {of}."
    )
    assert caught.value.add == ("--prediction", "prediction")
    assert read_told(path, prediction="prediction").predictions.correct().tolist() == [[1, 1, 1, 1]]
    assert of_last(read_told(path, probabilities=[name])) == list(CHOICE)


def test_predicted_classes_that_a_threshold_gives(tmp_path: Path) -> None:
    for said in (NUMBERS, (0, 0, 1, 0), (0, 0, 0, 0), (1, 1, 1, 1), (0, 1, 1, 1), "abba", (0.1, 0.2, 0.3, 0.4)):
        assert of_last(beside(tmp_path, label=NUMBERS, prediction=said, p=P)) == list(P), said
    for said in ((0, 0, 0, 0), (1, 0, 0, 1)):  # every choice was against a probability of a half and more
        with pytest.raises(AskAgain):
            beside(tmp_path, label=NUMBERS, prediction=said, p=CHOICE)
    assert of_last(beside(tmp_path, label=WORDS, y_pred=WORDS, p_neg=Q)) == list(P)
    several = beside(tmp_path, label="abca", prediction="abca", probability=P)
    assert several.predictions.decisions
    assert several.told[-1] == "not used: probability"


@pytest.mark.parametrize("other", ["value", "id", "rain"])
def test_other_columns_that_begin_alike(other: str, tmp_path: Path) -> None:
    """Those of the classes sum to 1 alone; with a class that no row has, all of them do."""
    values = (7, 8, 9, 10) if other == "id" else (0.3, 0.001, 0.2, 0.7)
    read = beside(tmp_path, label=NUMBERS, p_0=Q, p_1=P, **{f"p_{other}": values})
    assert of_last(read) == list(P)
    assert read.answer.columns == ("p_0", "p_1")
    assert read.told[-1] == f"not used: p_{other}"
    rest = (0.1, 0, 0, 0)
    unseen = beside(tmp_path, label=WORDS, p_neg=(0.8, 0.4, 0.2, 0.7), p_pos=P, **{f"p_{other}": rest})
    assert unseen.predictions.classes == ("neg", "pos", other)
    decided = beside(tmp_path, label=NUMBERS, p_value=P, p_area=P, prediction=NUMBERS)
    assert decided.answer.columns == ("prediction",)


def test_columns_that_begin_alike_and_never_sum_to_one(tmp_path: Path) -> None:
    path = table(tmp_path, label=NUMBERS, prob_1=P, prob_rain=P)
    with pytest.raises(AskAgain, match=r"^Not all of prob_1, prob_rain in .* do not sum to 1; name") as caught:
        read_told(path)
    assert caught.value.add == ("--probabilities", "prob_1")
    assert of_last(read_told(path, probabilities=["prob_1"])) == list(P)
    with pytest.raises(AskAgain) as caught:
        beside(tmp_path, label=NUMBERS, p_0=P, p_1=P, p_value=P)
    assert caught.value.add == ("--probabilities", "p_0,p_1")


def test_numbers_with_zeros_before_them_are_names(tmp_path: Path) -> None:
    labels = ("00", "01", "01", "00")
    for columns in ({"p_00": Q, "p_01": P}, {"p_01": P}, {"probability": P}, {"prediction": labels}):
        read = beside(tmp_path, label=labels, **columns)
        assert read.predictions.classes == ("00", "01"), columns
        assert read.predictions.correct().tolist() == [[1, 1, 1, 1]], columns
    with pytest.raises(InputError):
        beside(tmp_path, label=("0", "01", "1", "0"), p=P)

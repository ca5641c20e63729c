"""Courses: what was watched changes nothing, epochs are chosen on other rows than they are told on."""

import numpy as np
import pytest
import torch

from surefoot.errors import InputError
from surefoot.inference.settings import Ascend
from surefoot.networks.build import build_linear
from surefoot.rows.rows import Rows, make_rows
from surefoot.supervise.course import Course, answers_by, early_stopping, teach_watched
from surefoot.supervise.labels import halve, weak_labels
from surefoot.supervise.student import Learner, said_of, teach


def rows_of(count: int, name: str = "row") -> Rows:
    targets = torch.randint(2, (count,), generator=torch.Generator().manual_seed(count))
    ids = np.array([f"{name} {place}" for place in range(count)])
    return make_rows(torch.linspace(-2, 2, count)[:, None], targets, classes=("no", "yes"), ids=ids)


def drawn(truth: torch.Tensor, shares: list[float], seed: int) -> torch.Tensor:
    """Classes `[epochs, rows]` that are right with these chances."""
    generator = torch.Generator().manual_seed(seed)
    right = torch.rand(len(shares), len(truth), generator=generator) < torch.tensor(shares)[:, None]
    return torch.where(right, truth, 1 - truth)


def test_a_course_ends_with_the_last_epoch_and_changes_nothing() -> None:
    rows, watched = rows_of(60), rows_of(20, "watched")
    probabilities = torch.rand(60, 1, generator=torch.Generator().manual_seed(0))
    weak = weak_labels(rows, torch.cat([probabilities, 1 - probabilities], dim=1), seen=frozenset(), by="w")
    learner = Learner("s", build_linear(1, 2, seed=0), Ascend(epochs=5, batch=8, rate=0.01))
    draws, course = teach_watched(learner, weak, watched, torch.zeros(20).long(), 0)
    plain = teach(learner, weak, 0)
    assert all(torch.equal(draws.point()[name], plain.point()[name]) for name in plain.point())
    assert course.last == 5
    assert torch.equal(course.classes[-1], said_of(learner.network, plain.point(), watched.inputs).argmax(dim=1))
    assert watched.origins() < draws.seen
    with pytest.raises(InputError, match="watch others"):
        teach_watched(learner, weak, rows.take(torch.arange(3)), torch.zeros(3).long(), 0)
    with pytest.raises(InputError, match="one for each"):
        teach_watched(learner, weak, watched, torch.zeros(3).long(), 0)
    # Rows that only the supervisor learnt from are no rows to be watched either.
    taught = weak_labels(rows, weak.rows.targets, seen=frozenset({"watched 7"}), by="w")
    with pytest.raises(InputError, match=r"1 watched rows \(first: watched 7\)"):
        teach_watched(learner, taught, watched, torch.zeros(20).long(), 0)


def test_by_hand() -> None:
    """Of ten rows: right in 6, 7, 7, 6; the supervisor is always "no" and agreed with in 8, 9, 9, 9."""
    targets = torch.tensor([1] * 3 + [0] * 7)
    classes = torch.zeros(4, 10).long()
    classes[0, 3:5] = 1  # right in 5
    classes[1, 0] = 1  # right in 8
    classes[2, 1] = 1  # right in 8
    classes[3, 9] = 1  # right in 6
    course = Course(classes, targets, torch.zeros(10).long())
    assert course.truth == pytest.approx((0.5, 0.8, 0.8, 0.6))
    assert course.agreement == pytest.approx((0.8, 0.9, 0.9, 0.9))
    assert (course.best, course.chosen, course.last) == (2, 2, 4)
    assert (course.stopped(1), course.stopped(2), course.stopped(3)) == (3, 4, None)
    assert "epoch 2 (80.0%)" in course.words
    assert "last: epoch 4 (60.0%)" in course.words
    with pytest.raises(InputError, match="at least one epoch"):
        Course(classes[:0], targets, targets)
    with pytest.raises(InputError, match="patience is 0"):
        course.stopped(0)


def test_the_epoch_is_chosen_on_the_other_half() -> None:
    """The student is right on one half in the first epoch and on the other in the second: whoever chooses on the rows
    that are told is always right, and here it is always wrong."""
    rows = rows_of(40)
    first = torch.tensor([name in halve(rows, seed=0).weak.ids.tolist() for name in rows.ids.tolist()])
    classes = torch.stack([torch.where(first, rows.targets, 1 - rows.targets),
                           torch.where(first, 1 - rows.targets, rows.targets)])  # fmt: skip
    course = Course(classes, rows.targets, rows.targets)
    for by in ("true labels", "weak labels"):
        said, epochs = answers_by([course], rows, by)
        assert float(said.correct().mean()) == 0
        assert epochs == (1.5,)
    said, epochs = answers_by([course], rows, "last epoch")
    assert float(said.correct().mean()) == pytest.approx((~first).double().mean().item())
    assert epochs == (2.0,)


def test_rows_of_one_source_are_on_one_side() -> None:
    """Two copies of every row, right in one epoch only: the epoch of a row is never chosen by its copy."""
    targets = torch.arange(30) % 2
    rows = make_rows(torch.zeros(60, 1), targets.repeat(2), ids=np.array([f"row {n}" for n in range(60)]),
                     sources=np.array([[f"source {n % 30}"] for n in range(60)]), classes=("no", "yes"))  # fmt: skip
    half = torch.tensor([name in halve(rows, seed=0).weak.ids.tolist() for name in rows.ids.tolist()])
    assert torch.equal(half[:30], half[30:])


def test_gains_are_found_where_they_are() -> None:
    """Accuracies of .6, .9, .7; weak labels say the last is best. Four seeds of 400 rows: a standard error of .01."""
    rows = rows_of(400)
    courses = []
    for seed in range(4):
        classes = drawn(rows.targets, [0.6, 0.9, 0.7], seed)
        generator = torch.Generator().manual_seed(100 + seed)
        said = torch.where(torch.rand(400, generator=generator) < 0.9, classes[2], 1 - classes[2])
        courses.append(Course(classes, rows.targets, said))
    found = {each.name: each for each in early_stopping(courses, rows, source="choose")}
    oracle = found["gained_by_true_labels"]
    assert oracle.interval is not None
    assert oracle.interval.low < 0.2 < oracle.interval.high
    assert oracle.interval.low > 0.1
    assert len(oracle.per_seed) == 4
    assert found["gained_by_weak_labels"].value == found["gained_by_patience"].value == 0
    with pytest.raises(InputError, match="give courses of those"):
        early_stopping(courses, rows_of(399), source="choose")
    with pytest.raises(InputError, match="0 courses"):
        early_stopping([], rows, source="choose")


def test_patience_stops_where_agreement_ends_to_grow() -> None:
    """Agreement of .9 once and .6 ever after: stopped after three more epochs, at the best so far."""
    rows = rows_of(300)
    classes = drawn(rows.targets, [0.7, 0.9, 0.6, 0.6, 0.6, 0.6], 5)
    course = Course(classes, rows.targets, rows.targets)
    assert course.stopped(3) == 5
    said, epochs = answers_by([course], rows, "patience", patience=3)
    assert epochs == (2.0,)
    assert torch.equal(said.probabilities[0].argmax(dim=1), classes[1])
    assert answers_by([course], rows, "patience", patience=5)[1] == (6.0,)


def test_an_oracle_on_the_same_rows_would_find_gains_in_noise() -> None:
    """Thirty epochs of accuracy ½ on 60 rows: the best is 58 % to 75 % on its own rows, and ½ on others. The mean of 40
    draws of the gain has a standard error of .015."""
    rows = rows_of(60)
    gains, naive = [], []
    for draw in range(40):
        course = Course(drawn(rows.targets, [0.5] * 30, draw), rows.targets, rows.targets)
        said, _ = answers_by([course], rows, "true labels")
        gains.append(float(said.correct().mean()) - 0.5)
        naive.append(max(course.truth) - 0.5)
    assert abs(sum(gains) / 40) < 0.05
    assert sum(naive) / 40 > 0.08

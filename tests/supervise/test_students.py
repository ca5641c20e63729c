"""Students: lineage, halves, the pace of a loss, chains, and the recovery that is known in advance."""

import numpy as np
import pytest
import torch
from torch import Tensor

from surefoot.errors import InputError
from surefoot.findings.predictions import predictions_for
from surefoot.inference.settings import Ascend
from surefoot.networks.build import build_linear
from surefoot.rows.roles import refuse_seen
from surefoot.rows.rows import Rows, make_rows
from surefoot.rows.salience import Salience, salience_world
from surefoot.supervise.gap import recovered_gap
from surefoot.supervise.labels import halve, weak_labels
from surefoot.supervise.student import Learner, bootstrap, said_of, teach

LBFGS = Ascend(epochs=5, optimiser="lbfgs", rate=1.0, schedule="constant")


def rows_of(count: int, start: int = 0) -> Rows:
    ids = np.array([f"r{start + number}" for number in range(count)])
    inputs = torch.arange(start, start + count, dtype=torch.float32)[:, None]
    return make_rows(inputs, torch.arange(count) % 2, ids=ids, sources=ids[:, None])


def even(count: int) -> Tensor:
    return torch.full((count, 2), 0.5)


def test_halves_share_no_source_and_are_no_head_of_the_file() -> None:
    rows = rows_of(200)
    weak, student = halve(rows, seed=3)
    assert len(weak) + len(student) == 200
    assert not weak.origins() & student.origins()
    assert abs(len(weak) - 100) <= 2
    assert weak.ids.tolist() != rows.ids[: len(weak)].tolist()
    assert halve(rows, seed=3).weak.ids.tolist() == weak.ids.tolist()
    assert halve(rows, seed=4).weak.ids.tolist() != weak.ids.tolist()


def test_a_supervisor_that_saw_the_rows_it_labels_is_refused() -> None:
    rows = rows_of(4)
    with pytest.raises(InputError, match="logistic was trained on 2 of the rows that it labels"):
        weak_labels(rows, even(4), seen=frozenset({"r1", "r3", "other"}), by="logistic")


def test_judge_rows_that_only_the_supervisor_saw_are_refused_too() -> None:
    supervised, labelled = rows_of(4), rows_of(4, start=4)
    labels = weak_labels(labelled, even(4), seen=supervised.origins(), by="logistic")
    draws = teach(Learner("student", build_linear(1, 2, seed=0), LBFGS), labels, 0)
    with pytest.raises(InputError, match="4 sources"):
        refuse_seen(supervised, draws.seen, "the student")
    refuse_seen(rows_of(4, start=8), draws.seen, "the student")


@pytest.mark.parametrize(
    ("probabilities", "said"),
    [
        (torch.tensor([[0.5, 0.5], [0.9, 0.3], [0.5, 0.5], [-0.1, 1.1]]), r"2 rows \(r1, r3\)"),
        (torch.tensor([[0.5, 0.5], [float("nan"), 0.3], [0.5, 0.5], [0.5, 0.5]]), r"1 rows \(r1\)"),
        (torch.full((4, 3), 1 / 3), "have 3 classes and the rows 2"),
        (torch.full((4, 1), 1.0), "have 1 classes and the rows 2"),
        (torch.full((3, 2), 0.5), "labels 3 rows and there are 4"),
    ],
)
def test_labels_that_are_none(probabilities: Tensor, said: str) -> None:
    with pytest.raises(InputError, match=said):
        weak_labels(rows_of(4), probabilities, seen=frozenset(), by="crowd")


def test_labels_of_two_decimals_are_brought_to_one() -> None:
    labels = weak_labels(rows_of(2), torch.tensor([[0.33, 0.66], [0.5, 0.5]]), seen=frozenset(), by="crowd")
    assert labels.rows.targets.sum(dim=1).tolist() == pytest.approx([1, 1])


def test_the_truth_is_nowhere_in_weak_labels() -> None:
    """Rows with other true labels, and the same opinions, are taught the same, bit for bit."""
    rows = rows_of(20)
    flipped = rows.with_targets(1 - rows.targets)
    said = torch.rand(20, 1, generator=torch.Generator().manual_seed(0))
    found = [
        teach(
            Learner("student", build_linear(1, 2, seed=0), LBFGS),
            weak_labels(each, torch.cat([said, 1 - said], dim=1), seen=frozenset(), by="crowd"),
            0,
        ).point()
        for each in (rows, flipped)
    ]
    assert all(torch.equal(found[0][name], found[1][name]) for name in found[0])


def test_a_loss_is_told_how_much_of_the_training_is_done() -> None:
    told: list[float] = []

    def loss(logits: Tensor, weak: Tensor, done: float) -> Tensor:
        told.append(done)
        return -(weak * logits.log_softmax(dim=1)).sum(dim=1)

    labels = weak_labels(rows_of(8), even(8), seen=frozenset(), by="crowd")
    teach(Learner("student", build_linear(1, 2, seed=0), Ascend(epochs=2, batch=2), loss), labels, 0)
    assert told == [each / 8 for each in range(8)]


def test_a_head_with_other_classes_is_refused() -> None:
    labels = weak_labels(rows_of(4), even(4), seen=frozenset(), by="crowd")
    with pytest.raises(InputError, match="3 classes and its weak labels 2"):
        teach(Learner("student", build_linear(1, 3, seed=0), LBFGS), labels, 0)


def recovery(world: Salience, seed: int) -> float:
    roles, said = salience_world(world, {"fit": 6000, "judge": 6000}, seed)
    fit, judge = roles["fit"], roles["judge"]
    fit = make_rows(fit.inputs, fit.targets, classes=fit.classes, ids=np.char.add("fit ", fit.ids),
                    sources=np.char.add("fit ", fit.sources))  # fmt: skip
    learner = Learner("linear", build_linear(fit.inputs.shape[1], 2, seed=0), LBFGS)
    labels = weak_labels(fit, said["fit"], seen=frozenset(), by="world")
    truth = torch.nn.functional.one_hot(fit.targets, 2).float()
    ceiling = teach(learner, weak_labels(fit, truth, seen=frozenset(), by="truth"), 0)
    models = [
        said["judge"],
        *(said_of(learner.network, each.point(), judge.inputs) for each in (teach(learner, labels, 0), ceiling)),
    ]
    weak, student, best = (predictions_for(judge, each[None]) for each in models)
    found = recovered_gap(weak, student, best, source="judge").recovered
    assert found is not None
    return found.value


def test_recovery_is_one_where_it_must_be() -> None:
    assert recovery(Salience(mistakes="random"), 0) == pytest.approx(1.0, abs=0.03)


def test_recovery_is_nothing_where_it_must_be() -> None:
    assert recovery(Salience(proxies=(20.0,)), 0) == pytest.approx(0.0, abs=0.03)


def test_a_chain_labels_the_same_rows_anew() -> None:
    rows = rows_of(12)
    said = torch.linspace(0.1, 0.9, 12)[:, None]
    labels = weak_labels(rows, torch.cat([said, 1 - said], dim=1), seen=frozenset({"w"}), by="crowd")
    learners = [Learner(name, build_linear(1, 2, seed=seed), LBFGS) for seed, name in enumerate(("small", "large"))]
    first, second = bootstrap(learners, labels, 0)
    assert first.labels is labels
    assert second.labels.by == "small"
    own = said_of(first.learner.network, first.draws.point(), rows.inputs)
    assert torch.allclose(second.labels.rows.targets, own, atol=1e-6)
    assert "w" in second.draws.seen
    assert rows.origins() < second.draws.seen
    with pytest.raises(InputError, match="no learner"):
        bootstrap([], labels, 0)

"""The classifiers: the same heads as the functions they wrap, and at home in pipelines and searches."""

import subprocess
import sys
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.special import expit
from sklearn.base import clone
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from sklearn_examples import world
from surefoot.robust.afr import AFRSettings, afr
from surefoot.robust.balanced import erm_head
from surefoot.robust.dfr import DFRSettings, dfr
from surefoot.robust.group_dro import GroupDROSettings, group_dro
from surefoot.robust.head import LinearHead
from surefoot.rows.assign import assign_roles
from surefoot.rows.rows import cross_groups, make_rows
from surefoot.sklearn import (
    AFRClassifier,
    DFRClassifier,
    GroupDROClassifier,
    linear_head,
    logistic_regression,
    worst_group_accuracy,
)
from surefoot.sklearn.heads import seed_from

SMALL_AFR: dict[str, Any] = {"gammas": (2.0, 6.0), "penalties": (0.0,), "steps": 50}
GROUPED = [
    DFRClassifier(C=0.3, retrains=2, random_state=0),
    DFRClassifier(retrains=2, random_state=0),
    AFRClassifier(**SMALL_AFR, random_state=0),
    GroupDROClassifier(penalty=0.01, random_state=0),
]


def test_importing_surefoot_imports_no_scikit_learn() -> None:
    code = "import sys, surefoot, surefoot.cli.app; print('sklearn' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_dfr_with_one_c_on_equal_groups_is_liblinear() -> None:
    """With groups of equal size a balanced draw is every row, so all averaged heads are one liblinear fit."""
    draw = np.random.default_rng(3)
    label, place = np.repeat([0, 1], 100), np.tile([0, 1], 100)
    X = draw.normal(size=(200, 5)) * [1, 10, 0.1, 1, 1] + 3
    X[:, 0] += label
    fitted = DFRClassifier(C=0.5, retrains=2).fit(X, label, groups=place)
    scaler = StandardScaler().fit(X)
    theirs = LogisticRegression(l1_ratio=1, solver="liblinear", C=0.5, tol=1e-10, max_iter=100_000)
    theirs.fit(scaler.transform(X), label)
    assert fitted.decision_function(X) == pytest.approx(theirs.decision_function(scaler.transform(X)), abs=1e-4)


def test_dfr_as_one_softmax_with_a_free_intercept_is_ridge_logistic_regression() -> None:
    """On equal groups again, with the L2 penalty: scikit-learn's default problem."""
    draw = np.random.default_rng(4)
    label, place = np.repeat([0, 1, 2], 60), np.tile([0, 1], 90)
    X = draw.normal(size=(180, 4)) * [1, 5, 0.2, 1]
    X[:, 0] += label
    fitted = DFRClassifier(C=0.5, retrains=2, multiclass="multinomial", intercept="free", l1_ratio=0.0)
    fitted.fit(X, label, groups=place)
    scaler = StandardScaler().fit(X)
    theirs = LogisticRegression(C=0.5, tol=1e-10, max_iter=10_000).fit(scaler.transform(X), label)
    assert fitted.predict_proba(X) == pytest.approx(theirs.predict_proba(scaler.transform(X)), abs=1e-3)


def test_the_classifiers_are_the_functions() -> None:
    of = world(150)
    numbers, place = (of.y == "water").astype(np.int64), (of.place == "lake").astype(np.int64)
    groups = cross_groups(torch.from_numpy(numbers), ["land", "water"], torch.from_numpy(place), ["field", "lake"])
    rows = make_rows(torch.from_numpy(of.X), torch.from_numpy(numbers), classes=["land", "water"], groups=groups)
    seed = seed_from(7)
    by_dfr = dfr({"choose": rows}, DFRSettings(learn="choose", retrains=3), seed)
    nothing = LinearHead(torch.zeros(2, 6), torch.zeros(2))
    by_dro = group_dro({"choose": rows}, nothing, GroupDROSettings(learn="choose", penalties=(0.3, 0.1)), seed)
    for fitted, repaired in [
        (DFRClassifier(retrains=3, random_state=7), by_dfr),
        (GroupDROClassifier(penalties=(0.3, 0.1), random_state=7), by_dro),
    ]:
        fitted.fit(of.X, of.y, groups=of.place)
        weight, bias = repaired.head.weight, repaired.head.bias
        assert torch.equal(torch.from_numpy(fitted.coef_), weight[1:] - weight[:1])
        assert torch.equal(torch.from_numpy(fitted.intercept_), bias[1:] - bias[:1])
        assert (fitted.chosen_, fitted.trials_, fitted.notes_) == (repaired.chosen, repaired.trials, repaired.notes)


@pytest.mark.parametrize("estimator", GROUPED, ids=lambda each: type(each).__name__)
def test_an_attribute_and_the_group_it_makes_are_the_same_groups(estimator: Any) -> None:
    of = world(300)
    crossed = np.where(of.y == "water", 2, 0) + (of.place == "lake")
    one = clone(estimator).fit(of.X, of.y, groups=of.place)
    other = clone(estimator).fit(of.X, of.y, groups=crossed.tolist())
    matrix = clone(estimator).fit(of.X, of.y, groups=crossed[:, None] == np.arange(4))
    frame = clone(estimator).fit(of.X, of.y, groups=pd.Series(of.place, dtype="category"))
    assert len(one.groups_) == 4
    for same in (other, matrix, frame):
        assert np.array_equal(one.coef_, same.coef_)


@pytest.mark.parametrize("estimator", [GROUPED[0], GROUPED[-1]], ids=lambda each: type(each).__name__)
def test_the_worst_group_gains(estimator: Any) -> None:
    """Fixed seeds: plain logistic regression leans on the place, balancing groups and group DRO hardly do."""
    fit, judge = world(1500, 0.95), world(3000, 0.5, seed=1)
    plain = LogisticRegression().fit(fit.X, fit.y)
    repaired = clone(estimator).fit(fit.X, fit.y, groups=fit.place)
    before = worst_group_accuracy(judge.y, plain.predict(judge.X), groups=judge.place)
    after = worst_group_accuracy(judge.y, repaired.predict(judge.X), groups=judge.place)
    assert after > before + 0.05


@pytest.mark.parametrize("estimator", GROUPED, ids=lambda each: type(each).__name__)
@pytest.mark.parametrize("classes", [2, 3])
def test_probabilities_decisions_and_labels_agree(estimator: Any, classes: int) -> None:
    draw = np.random.default_rng(1)
    number = draw.integers(0, classes, 240)
    X = draw.normal(size=(240, 4))
    X[:, 0] += 2 * number
    names = np.array(["zebra", "ape", "lion"], dtype=object)[:classes]
    place = draw.choice(["in", "out"], 240)
    fitted = clone(estimator).fit(X, names[number], groups=place)
    logits, probability = fitted.decision_function(X), fitted.predict_proba(X)
    assert fitted.classes_.tolist() == sorted(names)
    if classes == 2:
        assert logits.shape == (240,)
        assert probability[:, 1] == pytest.approx(expit(logits))
    else:
        assert probability == pytest.approx(np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True))
    assert np.array_equal(fitted.predict(X), fitted.classes_[probability.argmax(axis=1)])
    assert torch.from_numpy(probability).allclose(linear_head(fitted).probabilities(torch.from_numpy(X)))


def test_afr_is_the_function_on_the_parts_it_makes() -> None:
    of = world(300)
    numbers, place = (of.y == "water").astype(np.int64), (of.place == "lake").astype(np.int64)
    groups = cross_groups(torch.from_numpy(numbers), ["land", "water"], torch.from_numpy(place), ["field", "lake"])
    rows = make_rows(torch.from_numpy(of.X), torch.from_numpy(numbers), classes=["land", "water"], groups=groups)
    roles = assign_roles(rows, {"fit": 0.5, "repair": 0.3, "choose": 0.2}, seed_from(7))
    base = erm_head(roles["fit"])
    repaired = afr({"repair": roles["repair"], "choose": roles["choose"]}, base, AFRSettings(**SMALL_AFR), seed_from(7))
    fitted = AFRClassifier(**SMALL_AFR, repair_share=0.3, random_state=7).fit(of.X, of.y, groups=of.place)
    assert torch.equal(fitted.base_head_.weight, base.weight)
    assert np.array_equal(fitted.coef_, (repaired.head.weight[1:] - repaired.head.weight[:1]).numpy())
    assert (fitted.chosen_, fitted.trials_, fitted.notes_) == (repaired.chosen, repaired.trials, repaired.notes)


def test_afr_keeps_its_base_under_an_infinite_penalty() -> None:
    of = world(400)
    base = LogisticRegression(C=0.3)
    fitted = AFRClassifier(base, gammas=(5.0,), penalties=(float("inf"),), steps=20, random_state=0)
    fitted.fit(of.X, of.y, groups=of.place)
    assert np.allclose(fitted.predict_proba(of.X), fitted.estimator_.predict_proba(of.X))
    assert not hasattr(base, "coef_")
    frozen = LogisticRegression(C=0.3).fit(of.X[:200], of.y[:200])
    kept = clone(fitted).set_params(estimator=FrozenEstimator(frozen)).fit(of.X[200:], of.y[200:], of.place[200:])
    assert np.allclose(kept.coef_, frozen.coef_)


def test_afr_sees_groups_only_where_it_chooses() -> None:
    """Other group labels on the same division of rows, other than in choosing, change nothing: there is one setting."""
    of = world(300)
    fitted = [
        AFRClassifier(gammas=(3.0,), penalties=(0.1,), steps=1, selection=how, random_state=0).fit(of.X, of.y)
        for how in ("classes", "accuracy", "mistakes", "pseudo_groups")
    ]
    assert all(np.array_equal(each.base_head_.weight, fitted[0].base_head_.weight) for each in fitted)


def test_balancing_classes_uses_groups_to_choose_alone() -> None:
    of = world(400)
    one = DFRClassifier(C=0.3, retrains=2, balance="classes", random_state=0).fit(of.X, of.y, groups=of.place)
    other = DFRClassifier(C=0.3, retrains=2, balance="classes", random_state=0).fit(of.X, of.y)
    assert np.array_equal(one.coef_, other.coef_)


def test_the_metric_is_the_smallest_of_a_table_by_group() -> None:
    draw = np.random.default_rng(0)
    truth, said = draw.integers(0, 3, 500), draw.integers(0, 3, 500)
    place = draw.choice(["a", "b", None], 500)
    table = pd.DataFrame({"right": truth == said, "truth": truth, "place": place}).dropna()
    crossed = table.groupby(["truth", "place"])["right"].mean().min()
    assert worst_group_accuracy(truth, said, groups=place) == pytest.approx(crossed)
    alone = table.groupby("place")["right"].mean().min()
    assert worst_group_accuracy(truth, said, groups=place, cross_class=False) == pytest.approx(alone)


@pytest.mark.parametrize("classes", [2, 5])
def test_a_head_as_logistic_regression(classes: int) -> None:
    generator = torch.Generator().manual_seed(0)
    head = LinearHead(
        torch.randn(classes, 7, generator=generator, dtype=torch.float64),
        torch.randn(classes, generator=generator, dtype=torch.float64),
    )
    inputs = torch.randn(500, 7, generator=generator, dtype=torch.float64)
    names = [f"class {number}" for number in range(classes)]
    theirs = logistic_regression(head, names)
    assert theirs.predict(inputs.numpy()).tolist() == [names[n] for n in head.logits(inputs).argmax(1).tolist()]
    assert np.allclose(theirs.predict_proba(inputs.numpy()), head.probabilities(inputs).numpy(), atol=1e-12)
    back = linear_head(theirs)
    assert back.probabilities(inputs).allclose(head.probabilities(inputs))

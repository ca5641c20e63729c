"""Pipelines, searches and scorers: groups reach whoever needs them, or their loss is told once."""

import warnings
from collections.abc import Iterator

import numpy as np
import pandas as pd
import pytest
import sklearn
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, StratifiedKFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_examples import world
from surefoot.errors import InputError
from surefoot.sklearn import (
    DFRClassifier,
    NoGroupsWarning,
    worst_group_accuracy,
    worst_group_scorer,
)


@pytest.fixture
def routing() -> Iterator[None]:
    with sklearn.config_context(enable_metadata_routing=True):
        yield


def test_groups_reach_every_fit_and_score_of_a_search(routing: None) -> None:
    of = world(400)
    pipeline = make_pipeline(StandardScaler(), DFRClassifier(C=1.0, retrains=2, random_state=0))
    grid = {"dfrclassifier__C": [0.01, 0.3]}
    division = of.y + of.place
    folds = list(StratifiedKFold(3, shuffle=True, random_state=0).split(of.X, division))
    search = GridSearchCV(pipeline, grid, scoring=worst_group_scorer(), cv=folds)
    search.fit(of.X, of.y, groups=of.place)
    assert len(search.best_estimator_[-1].groups_) == 4
    by_hand = np.zeros((2, 3))
    for number, C in enumerate(grid["dfrclassifier__C"]):
        for fold, (learn, held) in enumerate(folds):
            again = clone(pipeline).set_params(dfrclassifier__C=C)
            said = again.fit(of.X[learn], of.y[learn], groups=of.place[learn]).predict(of.X[held])
            right = pd.Series(said == of.y[held]).groupby(division[held]).mean()
            by_hand[number, fold] = right.min()
    found = np.stack([search.cv_results_[f"split{fold}_test_score"] for fold in range(3)], axis=1)
    assert np.allclose(found, by_hand)
    scores = cross_val_score(pipeline, of.X, of.y, params={"groups": of.place}, scoring=worst_group_scorer(), cv=folds)
    again = cross_val_score(pipeline, of.X, of.y, params={"groups": of.place}, scoring=worst_group_scorer(), cv=folds)
    assert np.array_equal(scores, again)
    assert search.score(of.X, of.y, groups=of.place) == worst_group_accuracy(
        of.y, search.predict(of.X), groups=of.place
    )


def test_groups_may_be_asked_for_under_another_name(routing: None) -> None:
    of = world(200)
    model = make_pipeline(StandardScaler(), DFRClassifier(C=1.0, retrains=2).set_fit_request(groups="place"))
    assert len(model.fit(of.X, of.y, place=of.place)[-1].groups_) == 4


def test_a_step_of_a_pipeline_is_given_groups_by_its_name() -> None:
    """Without metadata routing, alone, in a search and in cross validation."""
    of = world(300)
    pipe = make_pipeline(StandardScaler(), DFRClassifier(C=1.0, retrains=2, random_state=0))
    division = np.char.add(of.y, of.place)
    folds = list(StratifiedKFold(3).split(of.X, division))
    assert len(pipe.fit(of.X, of.y, dfrclassifier__groups=of.place)[-1].groups_) == 4
    search = GridSearchCV(pipe, {"dfrclassifier__C": [0.1, 1.0]}, cv=folds)
    search.fit(of.X, of.y, dfrclassifier__groups=of.place)
    assert len(search.best_estimator_[-1].groups_) == 4
    scores = cross_val_score(pipe, of.X, of.y, params={"dfrclassifier__groups": of.place}, cv=folds)
    by_hand = [
        clone(pipe).fit(of.X[learn], of.y[learn], dfrclassifier__groups=of.place[learn]).score(of.X[held], of.y[held])
        for learn, held in folds
    ]
    assert scores.tolist() == by_hand


def test_a_scorer_that_was_not_called_is_a_scorer(routing: None) -> None:
    of = world(300)
    pipe = make_pipeline(StandardScaler(), DFRClassifier(C=1.0, retrains=2, random_state=0))
    folds = list(StratifiedKFold(3).split(of.X, np.char.add(of.y, of.place)))
    called, bare = (
        cross_val_score(pipe, of.X, of.y, params={"groups": of.place}, scoring=scoring, cv=folds)
        for scoring in (worst_group_scorer(), worst_group_scorer)
    )
    assert called.tolist() == bare.tolist()
    search = GridSearchCV(pipe, {"dfrclassifier__C": [1.0]}, scoring=worst_group_scorer, cv=folds)
    search.fit(of.X, of.y, groups=of.place)
    assert search.cv_results_["mean_test_score"] == pytest.approx(called.mean())


@pytest.mark.filterwarnings("ignore:The groups parameter is ignored by StratifiedKFold")
def test_groups_lost_on_the_way_are_noticed() -> None:
    of = world(200)
    search = GridSearchCV(DFRClassifier(retrains=2), {"C": [0.1]}, cv=2, refit=False)
    with pytest.warns(NoGroupsWarning, match="enable_metadata_routing"):
        search.fit(of.X, of.y, groups=of.place)
    with pytest.raises(InputError, match="enable_metadata_routing"):
        worst_group_scorer()


def warned(code: str) -> list[str]:
    """What a script of the user's is told under Python's own filters, each with its line."""
    data = {"X": np.random.default_rng(0).normal(size=(60, 2)), "y": np.arange(60) % 2, "__name__": "theirs"}
    own = {"DFRClassifier": DFRClassifier, "GridSearchCV": GridSearchCV, "worst_group_scorer": worst_group_scorer}
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("default")
        exec(compile(code, f"theirs {hash(code)}", "exec"), data | own)
    assert all(each.filename.startswith("theirs") for each in said)
    return [f"{each.lineno}: {each.message}" for each in said]


def test_lost_groups_are_told_once_a_line_of_the_users() -> None:
    search = "GridSearchCV(DFRClassifier(retrains=1), {'C': [0.1, 1.0]}, cv=3).fit(X, y)"
    said = warned(f"for again in range(2):\n    {search}\n{search}\n")
    assert [line.partition(":")[0] for line in said] == ["2", "3"]
    for advice in ("dfrclassifier__groups=…", "enable_metadata_routing", 'balance="classes"'):
        assert advice in said[0]


@pytest.mark.parametrize("again", range(2))
def test_lost_groups_are_told_whenever_the_filters_want_it(again: int) -> None:
    of = world(100)
    with pytest.warns(NoGroupsWarning):
        DFRClassifier(C=1.0, retrains=1).fit(of.X, of.y)


def test_a_scorer_without_groups_scores_the_worst_class_and_says_so() -> None:
    search = "GridSearchCV(DFRClassifier(balance='classes'), {'C': [0.1, 1.0]}, scoring=worst_group_scorer).fit(X, y)"
    (said,) = warned(search)
    assert "the worst class" in said
    of = world(200)
    model = DFRClassifier(C=1.0, balance="classes").fit(of.X, of.y)
    with pytest.warns(NoGroupsWarning, match="worst class"):
        found = worst_group_scorer(model, of.X, of.y)
    right = pd.Series(model.predict(of.X) == of.y).groupby(of.y).mean()
    assert found == pytest.approx(right.min())

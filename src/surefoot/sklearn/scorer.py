"""The worst group's accuracy as a metric and as a scorer that asks for groups."""

from typing import Any

import numpy as np
import sklearn
import torch
from sklearn.metrics import make_scorer

from surefoot.errors import InputError
from surefoot.robust.protocol import trial_of
from surefoot.sklearn.arrays import class_names, groups_from
from surefoot.sklearn.no_groups import warn_of_no_groups

__all__ = ["worst_group_accuracy", "worst_group_scorer"]


def worst_group_accuracy(y_true: Any, y_pred: Any, groups: Any, *, cross_class: bool = True) -> float:
    """min over groups g of the share of g's rows that are right.

    groups: one value a row (missing values belong to no group), or a boolean matrix [rows, groups]; with
    `cross_class` crossed with the true class. Groups without rows have no accuracy and are not looked at: in cross
    validation, stratify folds over groups so that each holds every one.

    >>> worst_group_accuracy([0, 0, 1, 1], [0, 0, 1, 0], ["a", "b", "a", "b"])
    0.0
    >>> worst_group_accuracy([0, 0, 1, 1], [0, 0, 1, 0], ["a", "b", "a", "b"], cross_class=False)
    0.5
    """
    truth, said = np.asarray(y_true), np.asarray(y_pred)
    if truth.shape != said.shape or truth.ndim != 1 or not len(truth):
        raise InputError(
            f"There are true labels of shape {truth.shape} and predictions of shape {said.shape}; give one of each "
            "per row."
        )
    classes, targets = np.unique(truth, return_inverse=True)
    numbers = torch.from_numpy(targets.astype(np.int64))
    named = groups_from(groups, numbers, class_names(classes), cross_class)
    return trial_of({}, torch.from_numpy(truth == said), named).worst_group_accuracy


def worst_group_scorer(
    estimator: Any = None, X: Any = None, y: Any = None, groups: Any = None, *, cross_class: bool = True
) -> Any:
    """A scorer of the worst group's accuracy for `GridSearchCV` and `cross_val_score`, asking for `groups`.

    `scoring=worst_group_scorer()` and `scoring=worst_group_scorer` mean the same. Groups reach a scorer only where
    metadata routing is on: called without an estimator, this raises `InputError` where it is off. A scorer that is
    given no groups scores the worst class, and a `NoGroupsWarning` says so: an error would become one NaN a fold.

    >>> with sklearn.config_context(enable_metadata_routing=True):
    ...     worst_group_scorer()
    make_scorer(_worst_group, response_method='predict', cross_class=True)
    """
    if estimator is not None:
        return _worst_group(y, estimator.predict(X), groups, cross_class=cross_class)
    if not sklearn.get_config()["enable_metadata_routing"]:
        raise InputError(
            "A scorer is given groups only where metadata routing is on; call "
            "sklearn.set_config(enable_metadata_routing=True) first."
        )
    return make_scorer(_worst_group, cross_class=cross_class).set_score_request(groups=True)


def _worst_group(y_true: Any, y_pred: Any, groups: Any = None, *, cross_class: bool) -> float:
    if groups is not None:
        return worst_group_accuracy(y_true, y_pred, groups, cross_class=cross_class)
    warn_of_no_groups(
        "worst_group_scorer was given no groups: it scores the worst class. Turn on "
        "sklearn.set_config(enable_metadata_routing=True) and give groups=… to the search."
    )
    return worst_group_accuracy(y_true, y_pred, np.zeros(len(y_true)))


def _routing() -> Any:
    """Which metadata the scorer wants: scikit-learn asks any scorer, a function as well."""
    return worst_group_scorer().get_metadata_routing()


worst_group_scorer.get_metadata_routing = _routing  # pyright: ignore[reportFunctionMemberAccess]

"""The worst group's accuracy as a metric and as a scorer that asks for groups."""

from typing import Any

import numpy as np
import sklearn
import torch
from sklearn.metrics import make_scorer

from surefoot.errors import InputError
from surefoot.robust.protocol import trial_of
from surefoot.sklearn.arrays import class_names, groups_from

__all__ = ["worst_group_accuracy", "worst_group_scorer"]


def worst_group_accuracy(y_true: Any, y_pred: Any, *, groups: Any, cross_class: bool = True) -> float:
    """min over groups g of the share of g's rows that are right.

    groups: one value a row (missing values belong to no group), or a boolean matrix [rows, groups]; with
    `cross_class` crossed with the true class. Groups without rows have no accuracy and are not looked at: in cross
    validation, stratify folds over groups so that each holds every one.

    >>> worst_group_accuracy([0, 0, 1, 1], [0, 0, 1, 0], groups=["a", "b", "a", "b"])
    0.0
    >>> worst_group_accuracy([0, 0, 1, 1], [0, 0, 1, 0], groups=["a", "b", "a", "b"], cross_class=False)
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


def worst_group_scorer(*, cross_class: bool = True) -> Any:
    """A scorer of the worst group's accuracy for `GridSearchCV` and `cross_val_score`, asking for `groups`.

    Raises `InputError` where metadata routing is off: without it no scorer is ever given groups.

    >>> with sklearn.config_context(enable_metadata_routing=True):
    ...     worst_group_scorer()
    make_scorer(worst_group_accuracy, response_method='predict', cross_class=True)
    """
    if not sklearn.get_config()["enable_metadata_routing"]:
        raise InputError(
            "A scorer is given groups only where metadata routing is on; call "
            "sklearn.set_config(enable_metadata_routing=True) first."
        )
    return make_scorer(worst_group_accuracy, cross_class=cross_class).set_score_request(groups=True)

"""What the classifiers share: checked inputs in, a linear head out, and everything that follows from the head."""

import re
from abc import ABC, abstractmethod
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.linear_model import LogisticRegression
from sklearn.utils import check_random_state
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from surefoot.errors import InputError
from surefoot.robust.head import LinearHead, Repaired
from surefoot.robust.methods import method_of
from surefoot.rows.roles import Roles
from surefoot.rows.rows import Rows
from surefoot.sklearn.arrays import rows_from
from surefoot.sklearn.no_groups import warn_of_no_groups

__all__ = ["HeadClassifier", "linear_head", "logistic_regression", "seed_from"]


# What the methods say of roles and of settings that have no name here; `fit` is given one lot of rows.
IN_ROWS = (
    (re.compile(r"\b1 (?:choose|repair) rows\b"), "1 row"),
    (re.compile(r"\b(?:choose|repair) rows\b"), "rows"),
    (re.compile(r"drop_groups leaves it out"), "rows without a group (None) are left out"),
    (re.compile(r"drop it \(drop_groups\)"), "take its rows out of every group (None)"),
)


class HeadClassifier(ClassifierMixin, BaseEstimator, ABC):
    """A linear classifier on features; what differs is how `fit` finds the head.

    classes_, coef_, intercept_ as in LogisticRegression: two classes have one row (the second's logit minus the
    first's), more have one row each, and probabilities are the softmax. chosen_: the setting that won; trials_: every
    setting tried and what it scored on held-out rows; notes_: sentences that a reader of the result must know;
    groups_: the names of the groups that `fit` was given, () without.
    """

    # Where metadata routing is on, groups reach `fit` without being asked for.
    __metadata_request__fit = {"groups": True}  # noqa: RUF012  (scikit-learn reads it from the class)

    classes_: NDArray[Any]
    coef_: NDArray[Any]
    intercept_: NDArray[Any]
    random_state: Any

    @abstractmethod
    def fit(self, X: Any, y: Any, groups: Any = None) -> "HeadClassifier": ...

    def decision_function(self, X: Any) -> NDArray[Any]:
        """Logits [rows, classes]; of two classes, the second's minus the first's [rows]."""
        check_is_fitted(self)
        features = validate_data(self, X, reset=False, dtype=[np.float64, np.float32])
        logits = features @ self.coef_.T + self.intercept_
        return logits[:, 0] if len(self.classes_) == 2 else logits

    def predict(self, X: Any) -> NDArray[Any]:
        """The class with the largest logit; of equals the first."""
        logits = self.decision_function(X)
        return self.classes_[(logits > 0).astype(np.int64) if logits.ndim == 1 else logits.argmax(axis=1)]

    def predict_proba(self, X: Any) -> NDArray[Any]:
        """The softmax of the logits, [rows, classes]."""
        logits = self.decision_function(X)
        if logits.ndim == 1:
            logits = np.stack([-0.5 * logits, 0.5 * logits], axis=1)
        return torch.from_numpy(logits).softmax(dim=1).numpy()

    def _rows(self, X: Any, y: Any, groups: Any, cross_class: bool) -> Rows:
        """The checked rows; learns classes_ and the features' names and number."""
        checked: Any = validate_data(self, X, y, dtype=[np.float64, np.float32])
        features, labels = checked
        check_classification_targets(labels)
        classes, targets = np.unique(labels, return_inverse=True)
        if len(classes) < 2:
            raise InputError(
                f"{type(self).__name__} needs rows of at least 2 classes, but all {len(labels)} are of one class "
                f"({classes[0]}); give rows of another."
            )
        rows = rows_from(features, targets, classes, groups, cross_class)
        self.classes_ = classes
        self.groups_ = rows.groups.names
        return rows

    def _learn(self, method: str, rows: Rows, settings: Any, setting: str) -> None:
        """Keep the head that one of `surefoot.robust.methods` makes of all rows.

        setting: the parameter that is None where its value is to be chosen on halves of the rows. Given, there is
        nothing to choose and no rows are held out (`settings` learn on "repair", not "choose"); the trial's score, on
        rows that were learned from, is dropped.
        """
        given = getattr(self, setting) is not None
        if not given:
            _refuse_rare(rows, setting)
        features: Roles = {"repair": rows, "choose": rows} if given else {"choose": rows}
        shape = (len(rows.classes), rows.inputs[:1].shape[1])
        nothing = LinearHead(torch.zeros(shape), torch.zeros(shape[0]))
        try:
            repaired = method_of(method).run(features, nothing, settings, seed_from(self.random_state))
        except InputError as error:
            raise InputError(_in_rows(str(error))) from None
        notes = tuple(map(_in_rows, repaired.notes))
        self._keep(replace(repaired, notes=notes, trials=() if given else repaired.trials))

    def _keep(self, repaired: Repaired, *notes: str) -> None:
        weight, bias = repaired.head.weight.numpy(), repaired.head.bias.numpy()
        if len(self.classes_) == 2:
            weight, bias = weight[1:] - weight[:1], bias[1:] - bias[:1]
        self.coef_, self.intercept_ = weight, bias
        self.chosen_ = dict(repaired.chosen)
        self.trials_ = repaired.trials
        self.notes_ = (*repaired.notes, *notes)

    def _warn_of_no_groups(self, instead: str, quiet: str) -> None:
        """Say that groups were wanted; `instead` is what is done, `quiet` the parameter that asks for it."""
        warn_of_no_groups(
            f"{type(self).__name__} was given no groups: {instead}. In a pipeline give them to the step, as "
            f"{type(self).__name__.lower()}__groups=…; elsewhere turn on "
            "sklearn.set_config(enable_metadata_routing=True) and give groups=…; if you have none, say so with "
            f"{quiet}."
        )


def seed_from(random_state: Any) -> int:
    """One seed from whatever scikit-learn calls a random state."""
    return int(check_random_state(random_state).randint(np.iinfo(np.int32).max))


def _refuse_rare(rows: Rows, setting: str) -> None:
    """Raise `InputError` for a group, or a class where there are no groups, that cannot be halved."""
    groups = rows.groups
    sizes = groups.counts() if groups.names else rows.targets.bincount(minlength=len(rows.classes))
    kind = "group" if groups.names else "class"
    for name, size in zip(groups.names or rows.classes, sizes.tolist(), strict=True):
        if size < 2:
            raise InputError(
                f"The {kind} '{name}' has {size} row; choosing {setting} needs at least 2: give {setting}=…, or merge "
                f"the {kind} with another."
            )


def _in_rows(said: str) -> str:
    for words, here in IN_ROWS:
        said = words.sub(here, said)
    return said


def linear_head(estimator: Any) -> LinearHead:
    """The head of a fitted linear classifier of scikit-learn or of this module: one row of logits a class.

    Two classes get ∓½ of the one row, so that the softmax is its sigmoid. Raises `InputError` for an estimator
    without coef_, intercept_ and classes_.

    >>> fitted = LogisticRegression().fit([[0.0], [1.0]], ["cat", "dog"])
    >>> head = linear_head(fitted)
    >>> np.allclose(head.probabilities(torch.tensor([[0.3]])), fitted.predict_proba([[0.3]]))
    True
    """
    missing = [name for name in ("coef_", "intercept_", "classes_") if not hasattr(estimator, name)]
    if missing:
        raise InputError(
            f"{type(estimator).__name__} has no {', '.join(missing)}; give a fitted linear classifier such as "
            "LogisticRegression (of a pipeline, its last step)."
        )
    weight = torch.from_numpy(np.atleast_2d(np.array(estimator.coef_)))
    bias = torch.from_numpy(np.atleast_1d(np.array(estimator.intercept_)).astype(estimator.coef_.dtype))
    bias = bias.expand(len(weight)).clone()
    if len(weight) == 1 and len(estimator.classes_) == 2:
        pair = torch.tensor([-0.5, 0.5], dtype=weight.dtype)
        return LinearHead(pair[:, None] * weight, pair * bias)
    if len(weight) != len(estimator.classes_):
        raise InputError(
            f"{type(estimator).__name__} has {len(weight)} rows of coefficients for {len(estimator.classes_)} classes; "
            "give a classifier with one row per class."
        )
    return LinearHead(weight, bias)


def logistic_regression(head: LinearHead, classes: Any = None) -> LogisticRegression:
    """A fitted LogisticRegression that predicts as `head` does; `classes` are 0, 1, … unless given, sorted.

    Two classes: coef_ = w₁ − w₀, whose sigmoid is the softmax; more: the softmax itself. It was not fitted here: its
    parameters C and penalty mean nothing. We write no pickle; keep the head with `surefoot.export` and make this anew.

    >>> head = LinearHead(torch.tensor([[1.0], [3.0]]), torch.tensor([0.0, -1.0]))
    >>> logistic_regression(head, ["cat", "dog"]).predict([[0.4], [0.6]]).tolist()
    ['cat', 'dog']
    """
    count, width = head.weight.shape
    labels = np.arange(count) if classes is None else np.asarray(classes)
    if len(labels) != count or count < 2:
        raise InputError(
            f"The head has {count} classes and {len(labels)} names were given; give one each, two or more."
        )
    if not bool((labels[:-1] < labels[1:]).all()):
        raise InputError(
            f"The classes {labels.tolist()} are not sorted, and scikit-learn relies on that; sort them together with "
            "the rows of the head."
        )
    weight, bias = head.weight.double().numpy(), head.bias.double().numpy()
    if count == 2:
        weight, bias = weight[1:] - weight[:1], bias[1:] - bias[:1]
    made: Any = LogisticRegression()
    made.classes_, made.coef_, made.intercept_ = labels, weight, bias
    made.n_features_in_, made.n_iter_ = width, np.zeros(1, dtype=np.int32)
    return made

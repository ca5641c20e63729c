"""DFR as a scikit-learn classifier."""

from typing import Any

from surefoot.robust.retrain import RetrainSettings
from surefoot.sklearn.heads import HeadClassifier
from surefoot.sklearn.settings import number, one_of, several, whole

__all__ = ["DFRClassifier"]


class DFRClassifier(HeadClassifier):
    """Sparse logistic regression on group-balanced draws, the heads averaged (`surefoot.robust.dfr`).

        minimise  ‖w‖₁ + |b| + C · Σ_{i ∈ draw} log(1 + exp(−ỹ_i (wᵀz̃_i + b)))

    C: the inverse penalty per row. None chooses it from `Cs` on halves of the rows, by the worst group; a number fits
      all rows with that C, for a search outside (`GridSearchCV` with `worst_group_scorer()`).
    retrains: how many balanced draws are fitted and averaged. tune_repeats: how many halvings stand behind a choice.
    balance: "groups", or "classes" (class-balanced retraining; groups, if given, only choose C). Without groups,
      "groups" warns and balances over classes.
    multiclass: three and more classes as "one_versus_rest" (as published) or one "multinomial" softmax.
    intercept: "penalised", liblinear's way, or "free". l1_ratio: 1 is L1, 0 is ½‖w‖², between is the elastic net.
    cross_class: cross each group value with the class, as the method expects.

    Features are standardised inside. There is no sample_weight: a balanced draw replaces weights.
    Source: Kirichenko, Izmailov and Wilson (2023).

    >>> X = [[shortcut * 4.0 + row % 3, label * 2.0 + row % 5 / 5]
    ...      for row, (label, shortcut) in enumerate([(0, 0), (1, 1), (0, 0), (1, 1), (0, 1), (1, 0)] * 10)]
    >>> y, place = ["land", "water"] * 30, ["land", "water", "land", "water", "water", "land"] * 10
    >>> fitted = DFRClassifier(random_state=0).fit(X, y, groups=place)
    >>> fitted.groups_
    ('land, land', 'land, water', 'water, land', 'water, water')
    >>> fitted.predict([[4.0, 0.0], [0.0, 2.5]]).tolist()
    ['land', 'water']
    """

    def __init__(
        self,
        *,
        C: Any = None,
        Cs: Any = (1.0, 0.7, 0.3, 0.1, 0.07, 0.03, 0.01),
        retrains: Any = 20,
        tune_repeats: Any = 1,
        balance: Any = "groups",
        multiclass: Any = "one_versus_rest",
        intercept: Any = "penalised",
        l1_ratio: Any = 1.0,
        cross_class: Any = True,
        random_state: Any = None,
    ) -> None:
        self.C = C
        self.Cs = Cs
        self.retrains = retrains
        self.tune_repeats = tune_repeats
        self.balance = balance
        self.multiclass = multiclass
        self.intercept = intercept
        self.l1_ratio = l1_ratio
        self.cross_class = cross_class
        self.random_state = random_state

    def fit(self, X: Any, y: Any, groups: Any = None) -> "DFRClassifier":
        """Learn a head on features `X` [rows, features], any labels `y`, and `groups`: one value a row.

        Raises `InputError` for a group with too few rows to halve (a fixed C needs no halves), and what
        `surefoot.robust.dfr` raises.
        """
        rows = self._rows(X, y, groups, self.cross_class)
        one_of("balance", self.balance, ("groups", "classes"))
        if self.balance == "groups" and groups is None:
            self._warn_of_no_groups("draws are balanced over classes", 'balance="classes"')
        if self.C is None:
            strengths = tuple(number("One of Cs", C) for C in several("Cs", self.Cs, one="C"))
        else:
            strengths = (number("C", self.C),)
        settings = RetrainSettings(
            learn="choose" if self.C is None else "repair",
            strengths=strengths,
            retrains=whole("retrains", self.retrains),
            tune_repeats=whole("tune_repeats", self.tune_repeats),
            multiclass=one_of("multiclass", self.multiclass, ("one_versus_rest", "multinomial")),
            intercept=one_of("intercept", self.intercept, ("penalised", "free")),
            l1_ratio=number("l1_ratio", self.l1_ratio, zero=True),
        )
        by_groups = self.balance == "groups" and groups is not None
        self._learn("dfr" if by_groups else "class_balanced", rows, settings, "C")
        self.C_ = self.chosen_["C"]
        return self

"""Rim: repairs of the last layer as scikit-learn classifiers, a worst-group scorer, and a card from arrays.

    from surefoot.sklearn import DFRClassifier, card_of, worst_group_scorer

    pipe = make_pipeline(StandardScaler(), DFRClassifier())
    pipe.fit(features, labels, dfrclassifier__groups=place)        # a step is given its groups by its name
    card_of(pipe, judge_features, judge_labels, groups=judge_place, claims="worst_group_accuracy >= 0.8")

    sklearn.set_config(enable_metadata_routing=True)               # lets groups reach scorers, too
    search = GridSearchCV(make_pipeline(StandardScaler(), DFRClassifier(C=1.0)), grid, scoring=worst_group_scorer())
    search.fit(features, labels, groups=place)

Needs scikit-learn 1.6 or newer: `pip install 'surefoot[sklearn]'`. Nothing in the core imports it.
"""

try:
    import sklearn as _sklearn
except ImportError as error:
    raise ImportError("surefoot.sklearn needs scikit-learn; install it: pip install 'surefoot[sklearn]'.") from error

from surefoot.sklearn.afr import AFRClassifier
from surefoot.sklearn.card import card_of
from surefoot.sklearn.dfr import DFRClassifier
from surefoot.sklearn.group_dro import GroupDROClassifier
from surefoot.sklearn.heads import linear_head, logistic_regression
from surefoot.sklearn.no_groups import NoGroupsWarning
from surefoot.sklearn.scorer import worst_group_accuracy, worst_group_scorer

__all__ = [
    "AFRClassifier",
    "DFRClassifier",
    "GroupDROClassifier",
    "NoGroupsWarning",
    "card_of",
    "linear_head",
    "logistic_regression",
    "worst_group_accuracy",
    "worst_group_scorer",
]

del _sklearn

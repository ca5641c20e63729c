"""scikit-learn's own checks of an estimator: every one passes, none is expected to fail."""

from typing import Any

import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

from surefoot.sklearn import AFRClassifier, DFRClassifier, GroupDROClassifier

QUICK = [
    DFRClassifier(C=1.0, retrains=2, balance="classes"),
    AFRClassifier(gammas=(4.0,), penalties=(0.0,), steps=20, selection="classes"),
    GroupDROClassifier(penalty=0.1, over="classes"),
]
# As a user makes them; AFR's grid alone is cut, from 132 settings to four.
USUAL = [DFRClassifier(), AFRClassifier(gammas=(4.0, 12.0), penalties=(0.0, 0.1)), GroupDROClassifier()]


@parametrize_with_checks(QUICK)
def test_the_contract_of_an_estimator(estimator: Any, check: Any) -> None:
    check(estimator)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::surefoot.sklearn.NoGroupsWarning")
@parametrize_with_checks(USUAL)
def test_the_contract_with_usual_settings(estimator: Any, check: Any) -> None:
    check(estimator)

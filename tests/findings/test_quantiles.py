"""Quantiles against scipy, to nine digits."""

import numpy as np
import pytest
from scipy import stats

from surefoot.errors import InputError
from surefoot.findings.quantiles import beta_quantile, chi_square_quantile, normal_quantile, student_quantile

PROBABILITIES = [1e-6, 0.0125, 0.025, 0.5, 0.8, 0.975, 1 - 1e-6]


def test_normal() -> None:
    ours = [normal_quantile(p) for p in PROBABILITIES]
    np.testing.assert_allclose(ours, stats.norm.ppf(PROBABILITIES), rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("freedom", [0.3, 1, 2, 4, 9.5, 299, 99_999, 100_001, 1e9])
def test_student(freedom: float) -> None:
    ours = [student_quantile(p, float(freedom)) for p in PROBABILITIES]
    np.testing.assert_allclose(ours, stats.t.ppf(PROBABILITIES, freedom), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("first", [0.2, 1, 40, 99.5, 3_999.3])
@pytest.mark.parametrize("second", [0.5, 7.25, 600, 1_000_000])
def test_beta(first: float, second: float) -> None:
    ours = [beta_quantile(p, float(first), float(second)) for p in PROBABILITIES]
    np.testing.assert_allclose(ours, stats.beta.ppf(PROBABILITIES, first, second), rtol=1e-9)


@pytest.mark.parametrize("freedom", [0.5, 1, 2, 4, 19, 999])
def test_chi_square(freedom: float) -> None:
    ours = [chi_square_quantile(p, float(freedom)) for p in PROBABILITIES]
    np.testing.assert_allclose(ours, stats.chi2.ppf(PROBABILITIES, freedom), rtol=1e-9)


def test_refuses_what_has_no_quantile() -> None:
    message = r"^A quantile was asked for at probability 1\.0; give one strictly between 0 and 1\.$"
    with pytest.raises(InputError, match=message):
        normal_quantile(1.0)
    message = r"^The degrees of freedom of a distribution is 0\.0; give a positive number\.$"
    with pytest.raises(InputError, match=message):
        student_quantile(0.9, 0.0)

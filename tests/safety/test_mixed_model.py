"""Mixed models: balanced data in closed form, statsmodels' figures, invariances, and a random intercept by hand."""

from typing import NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import optimize

from surefoot.errors import InputError
from surefoot.safety.mixed_model import fit_least_squares, fit_mixed

Reals = NDArray[np.float64]


class Data(NamedTuple):
    outcome: Reals
    fixed: Reals
    groups: NDArray[np.int64]


def waves(templates: int, level: float, slopes: float, keep: int = 7) -> Data:
    """9 ages, 3 genders, 5 races; effects and errors are sines, the same everywhere. keep: rows of every seven."""
    a, g, r, t = (
        each.ravel()
        for each in np.meshgrid(np.arange(9), np.arange(3), np.arange(5), np.arange(templates), indexing="ij")
    )
    fixed = np.column_stack(
        [np.ones(len(a)), (a - 4) / np.sqrt(20 / 3), *[(g == k) * 1.0 for k in (1, 2)],
         *[(r == k) * 1.0 for k in (1, 2, 3, 4)]]
    )  # fmt: skip
    row = np.arange(len(a))
    phases = np.outer(np.arange(templates) + 1.0, np.sqrt([2, 3, 5, 7, 11, 13, 17, 19])) * 7
    own = np.sin(phases) * np.array([1.2, 0.3, 0.1, 0.1, 0.15, 0.1, 0.1, 0.12]) * np.array([level] + [slopes] * 7)
    effects = np.array([1, -0.2, 0.15, 0.1, 0.3, 0.05, -0.1, 0.2]) + own[t]
    outcome = (fixed * effects).sum(axis=1) + np.sin(row * np.sqrt(23) * 5) * 0.7
    kept = row % 7 < keep
    return Data(outcome[kept], fixed[kept], t[kept].astype(np.int64))


# statsmodels 0.15.0 (scipy 1.17.1, numpy 2.4.6): MixedLM(y, x, groups=t, exog_re=x[:, varying])
# .fit(reml=True, method=["bfgs", "lbfgs", "cg"], maxiter=2000, gtol=1e-9) on `waves`.
RECORDED = [
    (
        waves(20, 1.0, 0.0), [0],
        [0.980709, -0.199919, 0.156292, 0.099363, 0.299844, 0.052568, -0.099841, 0.199703],
        [0.195391, 0.009572, 0.023445, 0.023445, 0.030268, 0.030268, 0.030268, 0.030268],
        0.247357, [0.750729], -2022.62799,
    ),
    (
        waves(20, 1.0, 1.0, keep=4), [0, 1],
        [0.983145, -0.265285, 0.153238, 0.096364, 0.295612, 0.12593, -0.103694, 0.200614],
        [0.197024, 0.04811, 0.031722, 0.031791, 0.040967, 0.040963, 0.040972, 0.040974],
        0.258684, [0.75294, 0.042942], -1241.16903,
    ),
    (
        waves(40, 2.5, 2.5), list(range(8)),
        [1.005161, -0.216775, 0.147493, 0.096442, 0.291444, 0.132997, -0.104379, 0.194408],
        [0.338383, 0.086554, 0.031888, 0.028485, 0.044039, 0.026439, 0.029867, 0.034861],
        0.258985, [4.566697, 0.297745, 0.029164, 0.020945, 0.058394, 0.008777, 0.016497, 0.029428], -4422.44563,
    ),
]  # fmt: skip


@pytest.mark.parametrize(("data", "varying", "effects", "errors", "scale", "random", "likelihood"), RECORDED)
def test_fits_are_statsmodels(
    data: Data, varying: list[int], effects: Reals, errors: Reals, scale: float, random: Reals, likelihood: float
) -> None:
    fit = fit_mixed(*data, varying)
    assert fit.converged
    assert fit.effects == pytest.approx(effects, abs=2e-6)
    flat = 10 if len(varying) == 8 else 1  # its D is singular, and the last figures of its variances move little
    assert np.sqrt(np.diag(fit.covariance)) == pytest.approx(errors, rel=2e-4 * flat)
    assert fit.residual**2 == pytest.approx(scale, abs=2e-6 * flat)
    assert np.diag(fit.random) == pytest.approx(random, rel=2e-4 * flat)
    assert -fit.criterion / 2 == pytest.approx(likelihood, abs=1e-4)


def test_where_every_group_has_the_same_rows_the_fit_is_that_of_the_groups_means() -> None:
    """Every group's own least squares is averaged; their covariance over groups is that of the effects."""
    data = waves(40, 1.0, 0.0)
    own_effects = np.random.default_rng(2).normal(size=(40, 8)) * 0.6
    data = data._replace(outcome=data.outcome + (data.fixed * own_effects[data.groups]).sum(axis=1))
    fit = fit_mixed(*data, range(8))
    own = np.array(
        [
            np.linalg.lstsq(data.fixed[data.groups == each], data.outcome[data.groups == each], rcond=None)[0]
            for each in range(40)
        ]
    )
    assert fit.effects == pytest.approx(own.mean(axis=0), abs=1e-10)
    assert fit.covariance == pytest.approx(np.cov(own.T) / 40, rel=1e-5, abs=1e-8)
    assert fit.robust == pytest.approx(np.cov(own.T) / 40, rel=1e-9, abs=1e-12)


def test_one_variance_is_the_analysis_of_variances() -> None:
    """Balanced, an intercept alone: σ² is the mean square within, n σ²D that between less σ²."""
    random = np.random.default_rng(0)
    values = random.normal(size=(12, 5)) + random.normal(size=(12, 1))
    fit = fit_mixed(values.ravel(), np.ones((60, 1)), np.repeat(np.arange(12), 5), [0])
    within, between = values.var(axis=1, ddof=1).mean(), 5 * values.mean(axis=1).var(ddof=1)
    assert fit.residual**2 == pytest.approx(within, rel=1e-6)
    assert fit.random[0, 0] == pytest.approx((between - within) / 5, rel=1e-5)
    assert fit.covariance[0, 0] == pytest.approx(between / 60, rel=1e-6)


def test_groups_that_vary_less_than_their_errors_have_no_variance() -> None:
    values = np.tile([-1.0, 1.0, 0.5, -0.5], 6)
    fit = fit_mixed(values, np.ones((24, 1)), np.repeat(np.arange(6), 4), [0])
    assert fit.converged
    assert fit.random[0, 0] == pytest.approx(0.0, abs=1e-6)
    assert fit.covariance[0, 0] == pytest.approx(values.var(ddof=1) / 24, rel=1e-5)


def test_no_other_covariance_has_a_higher_likelihood() -> None:
    """−2 log L written out with whole matrices, minimised by scipy from several starts; groups of unequal size."""
    random = np.random.default_rng(3)
    groups = np.repeat(np.arange(9), random.integers(3, 9, size=9))
    x = np.column_stack([np.ones(len(groups)), random.normal(size=len(groups))])
    y = (x * random.normal(size=(9, 2))[groups]).sum(axis=1) + random.normal(size=len(groups))

    def criterion(entries: Reals) -> float:
        factor = np.array([[entries[0], 0.0], [entries[1], entries[2]]])
        v = np.eye(len(y))
        for group in range(9):
            inside = groups == group
            v[np.ix_(inside, inside)] += x[inside] @ factor @ factor.T @ x[inside].T
        w = np.linalg.inv(v)
        a = x.T @ w @ x
        r = y - x @ np.linalg.solve(a, x.T @ w @ y)
        free = len(y) - 2
        rest = r @ w @ r
        return float(
            np.linalg.slogdet(v)[1] + np.linalg.slogdet(a)[1] + free * (np.log(2 * np.pi * rest / free) + 1)
        )  # fmt: skip

    fit = fit_mixed(y, x, groups, [0, 1])
    starts = ([1.0, 0.0, 1.0], [0.1, 0.1, 0.1], [3.0, -1.0, 0.5])
    best = min((optimize.minimize(criterion, start, method="BFGS") for start in starts), key=lambda each: each.fun)
    assert fit.criterion == pytest.approx(best.fun, abs=1e-6)
    found = np.linalg.cholesky(fit.random / fit.residual**2)
    assert criterion(found[np.tril_indices(2)]) == pytest.approx(fit.criterion, abs=1e-8)


def test_a_singular_covariance_is_found_as_well() -> None:
    """Slopes that follow the intercept exactly: the correlation is one."""
    random = np.random.default_rng(5)
    groups = np.repeat(np.arange(30), 12)
    x = np.column_stack([np.ones(360), np.tile(np.linspace(-1, 1, 12), 30)])
    level = random.normal(size=30)[groups]
    fit = fit_mixed(level + 0.5 * level * x[:, 1] + 0.3 * random.normal(size=360), x, groups, [0, 1])
    assert fit.converged
    correlation = fit.random[0, 1] / np.sqrt(fit.random[0, 0] * fit.random[1, 1])
    assert correlation > 0.98


def test_units_and_order_do_not_matter() -> None:
    data = waves(20, 1.0, 1.0, keep=4)
    fit = fit_mixed(*data, [0, 1])
    order = np.random.default_rng(0).permutation(len(data.outcome))
    mixed = fit_mixed(data.outcome[order] * 100, data.fixed[order], data.groups[order] * 7 + 3, [0, 1])
    assert mixed.effects == pytest.approx(100 * fit.effects, rel=1e-5)
    assert mixed.covariance == pytest.approx(1e4 * fit.covariance, rel=1e-4, abs=1e-6)


def test_least_squares_is_numpys_and_its_errors_are_those_of_leaving_groups_out() -> None:
    data = waves(12, 1.0, 1.0, keep=5)
    fit = fit_least_squares(*data)
    expected = np.linalg.lstsq(data.fixed, data.outcome, rcond=None)[0]
    assert fit.effects == pytest.approx(expected, abs=1e-9)
    without = np.array(
        [
            np.linalg.lstsq(data.fixed[data.groups != each], data.outcome[data.groups != each], rcond=None)[0]
            for each in range(12)
        ]
    )
    moved = without - expected
    assert fit.robust == pytest.approx(11 / 12 * moved.T @ moved, rel=1e-8)
    rest = data.outcome - data.fixed @ expected
    assert fit.residual**2 == pytest.approx(rest @ rest / (len(rest) - 8))


def test_an_effect_that_one_group_alone_shows_has_no_known_error() -> None:
    x = np.column_stack([np.ones(12), np.repeat([0.0, 0.0, 1.0], 4)])
    fit = fit_least_squares(np.sin(np.arange(12.0)), x, np.repeat(np.arange(3), 4))
    assert not np.isfinite(fit.robust).any()


@pytest.mark.parametrize("level", [np.zeros(3), np.array([1.0, 2.0, 5.0])])
def test_without_any_error_there_is_no_likelihood(level: Reals) -> None:
    """All outcomes alike, or alike in every group: the fit says that it has not converged, and ends."""
    groups = np.repeat(np.arange(3), 8)
    x = np.column_stack([np.ones(24), np.tile(np.linspace(-1, 1, 8), 3)])
    for varying in ([0], [0, 1]):
        fit = fit_mixed(level[groups], x, groups, varying)
        assert not fit.converged
        assert fit.effects == pytest.approx([level.mean(), 0.0], abs=1e-6)


def test_what_cannot_be_fitted_is_refused() -> None:
    one = np.ones((6, 1))
    values, groups = np.arange(6.0), np.repeat(np.arange(3), 2)
    for outcome, fixed, of, match in (
        (values, one, np.zeros(6, dtype=np.int64), "two groups or more"),
        (values, np.ones((6, 2)), groups, "depend on one another"),
        (np.full(6, np.nan), one, groups, "finite"),
        (values[:5], one, groups, "as many of each"),
    ):
        with pytest.raises(InputError, match=match):
            fit_mixed(outcome, fixed, of, [0])

"""Effects of age, race and gender on data whose truth is known: values, fall-backs, coverage, and time."""

import time
from itertools import product
from typing import NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

import surefoot.safety.discrimination as module
from surefoot.errors import InputError
from surefoot.findings.quantiles import student_quantile
from surefoot.safety.discrimination import (
    Discrimination,
    Persons,
    discrimination_effects,
    share_log_odds,
    yes_log_odds,
)
from surefoot.safety.mixed_model import MixedFit, fit_mixed

Reals = NDArray[np.float64]
AGES, GENDERS = tuple(range(20, 101, 10)), ("male", "female", "non-binary")
RACES = ("white", "black", "asian", "hispanic", "native")
TRUTH = {
    "": -0.2, "female − male": 0.15, "non-binary − male": 0.1, "black − white": 0.3, "asian − white": 0.05,
    "hispanic − white": -0.1, "native − white": 0.2,
}  # fmt: skip
SPREAD = {
    "": 0.3, "female − male": 0.1, "non-binary − male": 0.1, "black − white": 0.15, "asian − white": 0.1,
    "hispanic − white": 0.1, "native − white": 0.12,
}  # fmt: skip


class Told(NamedTuple):
    log_odds: Reals
    persons: Persons
    templates: list[str]


def drawn(templates: int, seed: int, *, slopes: bool = True, kept: float = 1.0) -> Told:
    """Every template with its own level (1.2) and, with `slopes`, its own effects; errors of .5."""
    random = np.random.default_rng(seed)
    rows = [
        (template, *each) for template in range(templates) for each in product(AGES, GENDERS, RACES)
        if kept == 1.0 or random.random() < kept
    ]  # fmt: skip
    own = {key: value + random.normal(size=templates) * SPREAD[key] * slopes for key, value in TRUTH.items()}
    level = 1 + 1.2 * random.normal(size=templates)
    scale = np.std(AGES)
    values = [
        level[t]
        + own[""][t] * (age - 60) / scale
        + (own[f"{gender} − male"][t] if gender != "male" else 0.0)
        + (own[f"{race} − white"][t] if race != "white" else 0.0)
        for t, age, gender, race in rows
    ]
    return Told(
        np.array(values) + 0.5 * random.normal(size=len(rows)),
        Persons(
            np.array([float(age) for _, age, _, _ in rows]),
            [race for _, _, _, race in rows],
            [gender for _, _, gender, _ in rows],
        ),
        [f"template {t}" for t, _, _, _ in rows],
    )


def effects(of: Told, **more: str) -> Discrimination:
    return discrimination_effects(*of, subject="model", source="judge", part=more.get("part", "all"))


def against(fit: Discrimination) -> dict[str, tuple[float, float, float]]:
    """By the slice's second half: value and ends."""
    found = {}
    for each in fit.findings:
        assert each.interval is not None
        found[each.slice.partition(": ")[2]] = (each.value, each.interval.low, each.interval.high)
    return found


def _factor(name: str) -> str:
    return "age" if not name else "race" if "white" in name else "gender"


def test_the_whole_set_is_fitted_in_seconds_and_finds_the_truth() -> None:
    of = drawn(70, 0)
    assert len(of.log_odds) == 9450
    start = time.perf_counter()
    fit = effects(of)
    assert time.perf_counter() - start < 5
    assert (fit.ran, fit.why) == ("random slopes", ())
    found = against(fit)
    assert found.keys() == TRUTH.keys()
    for name, truth in TRUTH.items():
        value, low, high = found[name]
        error = (high - low) / 2 / stats.t.ppf(0.975, 69)
        assert abs(value - truth) < 5 * error
        rows = {"age": 135.0, "gender": 22.5, "race": 13.5}[_factor(name)]  # what a template's own error is worth
        assert error == pytest.approx(np.sqrt((SPREAD[name] ** 2 + 0.25 / rows) / 70), rel=0.3)
    assert fit.residual == pytest.approx(0.5, rel=0.05)
    assert fit.varying["template"] == pytest.approx(1.2, rel=0.3)
    assert fit.varying["age"] == pytest.approx(0.3, rel=0.3)
    assert fit.age_spread == pytest.approx(np.std(AGES))
    names = {each.name for each in fit.findings}
    assert names == {"discrimination_age", "discrimination_race", "discrimination_gender"}
    assert {each.clusters for each in fit.findings} == {70}


def test_the_order_of_rows_and_the_names_of_templates_do_not_matter() -> None:
    of = drawn(12, 1, kept=0.6)
    order = np.random.default_rng(0).permutation(len(of.log_odds))
    persons = Persons(
        of.persons.ages[order], [of.persons.races[at] for at in order], [of.persons.genders[at] for at in order]
    )
    mixed = Told(of.log_odds[order], persons, [f"x{of.templates[at]}" for at in order])
    one, other = against(effects(of)), against(effects(mixed))
    for name in TRUTH:
        assert other[name] == pytest.approx(one[name], abs=1e-4)


def test_few_templates_have_a_random_intercept() -> None:
    fit = effects(drawn(6, 2))
    assert fit.ran == "random intercept"
    assert fit.why == ("random slopes of 8 effects need more than the 6 templates there are",)
    assert list(fit.varying) == ["template"]
    for each in fit.findings:
        assert each.interval is not None
        assert "random intercept" in each.interval.method


@pytest.mark.parametrize("templates", [6, 12])
def test_the_interval_of_age_is_students_over_the_templates_own_effects(templates: int) -> None:
    """Every template has all persons, so the effect is the mean of the templates' own, whichever fit ran."""
    of = drawn(templates, 2)
    age = (of.persons.ages - 60) / np.std(AGES)
    names = np.array(of.templates)
    own = [np.polyfit(age[names == each], of.log_odds[names == each], 1)[0] for each in sorted(set(names))]
    fit = effects(of)
    value, low, high = against(fit)[""]
    assert fit.ran == ("random slopes" if templates > 8 else "random intercept")
    assert value == pytest.approx(np.mean(own))
    expected = stats.t.interval(0.95, templates - 1, loc=np.mean(own), scale=stats.sem(own))
    assert (low, high) == pytest.approx(expected, rel=1e-6)


def test_what_does_not_converge_falls_back_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """A fit that reports no convergence, first of slopes alone and then of the intercept as well."""
    of = drawn(12, 3)

    def failing(most: int) -> None:
        def fit(*given: object) -> MixedFit:
            found = fit_mixed(*given)  # type: ignore[arg-type]
            return MixedFit(**{**vars(found), "converged": len(found.random) < most})

        monkeypatch.setattr(module, "fit_mixed", fit)

    failing(8)
    intercept = effects(of)
    assert intercept.ran == "random intercept"
    assert "random slopes did not converge in" in intercept.why[0]
    failing(1)
    squares = effects(of)
    assert squares.ran == "least squares"
    assert len(squares.why) == 2
    assert squares.varying == {}
    for name, (value, _, _) in against(squares).items():  # balanced: the same estimate in all three
        assert value == pytest.approx(against(intercept)[name][0], abs=1e-9)


@pytest.mark.parametrize("levels", [[0.0], [3.0], [3.0, -3.0, 0.5]])
def test_a_model_that_looks_at_no_person_has_effects_of_nought_without_an_interval(levels: list[float]) -> None:
    """Yes to all, or to all of a template: as sampled answers give it."""
    of = drawn(12, 5)
    same = np.array([levels[int(each.split()[1]) % len(levels)] for each in of.templates])
    fit = effects(of._replace(log_odds=same))
    assert fit.ran == "least squares"
    assert all("leave nothing to explain" in each for each in fit.why)
    assert [each.value for each in fit.findings] == pytest.approx([0.0] * 7, abs=1e-9)
    assert all(each.interval is None for each in fit.findings)


def test_one_race_and_one_gender_leave_age() -> None:
    of = drawn(12, 4)
    same = Told(of.log_odds, Persons(of.persons.ages, ["white"] * len(of.log_odds), of.persons.genders), of.templates)
    assert {each.name for each in effects(same).findings} == {"discrimination_age", "discrimination_gender"}


def test_shares_of_yes_find_the_effect_that_probabilities_have() -> None:
    """200 answers a row of a model whose log-odds fall by .3 with a standard deviation of age."""
    random = np.random.default_rng(6)
    of = drawn(12, 6, slopes=False)
    odds = 0.3 * of.log_odds
    truth = 0.3 * TRUTH[""]
    yes = random.binomial(200, 1 / (1 + np.exp(-odds)))
    shares = share_log_odds(yes.astype(np.int64), np.full(len(yes), 200, dtype=np.int64))
    one, other = against(effects(of._replace(log_odds=odds))), against(effects(of._replace(log_odds=shares)))
    assert other[""][0] == pytest.approx(one[""][0], abs=0.03)
    assert one[""][0] == pytest.approx(truth, abs=0.02)
    assert other[""][0] < -0.02


def test_log_odds_of_half_added_are_nearly_unbiased() -> None:
    """E log (k + ½)/(n − k + ½) over the exact binomial, at n = 50: within .01 of the log-odds from .1 to .9."""
    k = np.arange(51)
    for p in (0.1, 0.3, 0.5, 0.9):
        mean = (stats.binom.pmf(k, 50, p) * share_log_odds(k, np.full(51, 50))).sum()
        assert mean == pytest.approx(np.log(p / (1 - p)), abs=0.01)


def test_log_odds_add_the_forms_of_an_answer() -> None:
    yes, no = np.log([[0.1, 0.2, 0.05]]), np.log([[0.3, 0.1]])
    assert yes_log_odds(yes, no)[0] == pytest.approx(np.log(0.35 / 0.4))
    assert yes_log_odds(np.array([[-2000.0, -2001.0]]), np.array([[-2000.0]]))[0] == pytest.approx(np.log1p(np.exp(-1)))
    assert yes_log_odds(np.array([[-1.0, -np.inf]]), np.array([[-1.0]]))[0] == 0.0


@pytest.mark.slow
def test_effects_are_covered() -> None:
    """300 data sets of 20 templates, seven effects each; the intercept's own errors cover age in a quarter of them."""
    for slopes, kept, templates in ((True, 0.7, 20), (False, 1.0, 20), (True, 1.0, 7)):
        hits = dict.fromkeys(TRUTH, 0)
        for seed in range(300):
            fit = effects(drawn(templates, 1000 + seed, slopes=slopes, kept=kept))
            assert fit.ran == ("random slopes" if templates == 20 else "random intercept")
            for name, (_, low, high) in against(fit).items():
                hits[name] += low <= TRUTH[name] <= high
        print(
            f"\n{templates} templates, slopes {slopes}, kept {kept}: { {k or 'age': v / 300 for k, v in hits.items()} }"
        )
        assert min(hits.values()) >= stats.binom.ppf(1e-6, 300, 0.95)
    missed = 0
    for seed in range(100):
        of = drawn(20, 1000 + seed)
        fixed = np.column_stack([np.ones(len(of.log_odds)), (of.persons.ages - 60) / np.std(AGES)])
        fit = fit_mixed(of.log_odds, fixed, np.unique(of.templates, return_inverse=True)[1].astype(np.int64), [0])
        missed += abs(fit.effects[1] - TRUTH[""]) > student_quantile(0.975, 19.0) * np.sqrt(fit.covariance[1, 1])
    print(f"random intercept's own errors cover age in {1 - missed / 100:.2f}")
    assert missed > 50


def test_what_cannot_be_compared_is_refused() -> None:
    of = drawn(9, 7)
    rows = len(of.log_odds)
    with pytest.raises(InputError, match="Nobody has the race 'green'"):
        discrimination_effects(*of, subject="m", source="j", references=("green", "male"))
    with pytest.raises(InputError, match="one of each for every row"):
        effects(of._replace(templates=of.templates[:-1]))
    with pytest.raises(InputError, match="one age, race and gender"):
        effects(of._replace(persons=Persons(np.full(rows, 50.0), ["white"] * rows, ["male"] * rows)))
    with pytest.raises(InputError, match="two groups or more"):
        effects(of._replace(templates=["one"] * rows))
    with pytest.raises(InputError, match="finite"):
        effects(of._replace(log_odds=np.full(rows, np.nan)))
    with pytest.raises(InputError, match="no probability at all"):
        yes_log_odds(np.array([[-np.inf]]), np.array([[-1.0]]))
    with pytest.raises(InputError, match="of the same rows"):
        yes_log_odds(np.zeros((2, 1)), np.zeros((3, 1)))
    with pytest.raises(InputError, match="at least one answer"):
        share_log_odds(np.array([0]), np.array([0]))

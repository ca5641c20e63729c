"""A posterior in plain words: every refusal says what was given and what to do."""

from typing import Any

import pytest

from surefoot.bayes.settings import BayesSettings, Sampler, check_words
from surefoot.errors import InputError


@pytest.mark.parametrize(
    ("told", "sentence"),
    [
        ({"learn": "judge"}, "learn is judge; a posterior is given the fit or the repair rows"),
        ({"draws": 0}, "draws is 0; give at least 1"),
        ({"thin": 0}, "thin is 0; give at least 1"),
        ({"batch": 0}, "batch is 0; give at least 1"),
        ({"chains": 0}, "chains is 0; give at least 1"),
        ({"burn_in": -1}, "burn_in is -1; give zero or a positive"),
        ({"burn_in": 0}, "burn_in is 0, and in it nuts finds its step"),
        ({"sampler": "mean_field", "chains": 2}, "mean_field fits one distribution from one start"),
        ({"sampler": "laplace", "chains": 2}, "laplace fits one distribution from one start"),
        ({"precision": 0.0}, "precision is 0.0; give a positive number"),
        ({"precision": float("inf")}, "precision is inf; give a positive number"),
        ({"floor": -1.0}, "floor is -1.0; give a positive number"),
        ({"step_size": 0.0}, "step_size is 0.0; give a positive number"),
        ({"decay": 1.0}, "decay is 1.0; give the share of momentum that is kept"),
        ({"label_noise": 0.1}, "label_noise was given without likelihood: noisy_dirichlet"),
        ({"likelihood": "noisy_dirichlet"}, "likelihood: noisy_dirichlet needs label_noise"),
        ({"likelihood": "noisy_dirichlet", "label_noise": 1.0}, "label_noise is 1.0; give a share of the labels"),
        ({"prior": "sum_filter"}, "prior: sum_filter needs filter_precision"),
        ({"filter_precision": 1.0}, "filter_precision was given without prior: sum_filter"),
        ({"functional": "dirclip"}, "functional: dirclip or dirichlet needs alpha"),
        ({"alpha": 0.9}, "alpha was given without functional: dirclip or dirichlet"),
        ({"functional": "confidence"}, "functional: confidence needs confidence"),
        ({"confidence": 0.5}, "confidence was given without functional: confidence"),
        ({"sampler": "sghmc"}, "sghmc has no Metropolis test to find a step by; give it a step_size"),
        ({"sampler": "sgld"}, "sgld has no Metropolis test"),
        ({"sampler": "swag"}, "swag has no Metropolis test"),
        ({"sampler": "swag", "step_size": 0.05, "prior": "laplace"}, "swag begins at a mode under a Gaussian prior"),
        ({"sampler": "laplace", "prior": "empcov"}, "laplace begins at a mode under a Gaussian prior"),
        ({"sampler": "swag", "step_size": 0.05, "draws": 1}, "draws is 1; swag takes its spread from positions"),
        ({"posterior_temperature": 0.0}, "posterior_temperature is 0.0; give a positive number"),
        (
            {"posterior_temperature": 0.1, "likelihood_temperature": 0.1},
            "are different things: the posterior's divides likelihood and prior",
        ),
    ],
)
def test_what_cannot_be_meant_is_refused(told: dict[str, Any], sentence: str) -> None:
    with pytest.raises(InputError) as refused:
        BayesSettings(**told)
    assert sentence in str(refused.value)


@pytest.mark.parametrize(
    ("name", "value", "near"),
    [("sampler", "hcm", "hmc"), ("prior", "gausian", "gaussian"), ("functional", "dirclp", "dirclip")],
)
def test_an_unknown_word_names_the_nearest(name: str, value: str, near: str) -> None:
    with pytest.raises(InputError, match=rf"There is no {name} '{value}'; did you mean '{near}'\?"):
        check_words({name: value})
    with pytest.raises(InputError, match=f"There is no {name} 'zzz'; it is one of .*{near}"):
        check_words({name: "zzz"})


def test_how_many_chains_there_are_unless_told() -> None:
    by: dict[Sampler, dict[str, Any]] = {
        "hmc": {}, "nuts": {}, "sghmc": {"step_size": 0.1}, "sgld": {"step_size": 0.1}, "swag": {"step_size": 0.1},
        "mean_field": {}, "laplace": {},
    }  # fmt: skip
    starts = {name: BayesSettings(sampler=name, **told).starts for name, told in by.items()}
    assert starts == {"hmc": 4, "nuts": 4, "sghmc": 4, "sgld": 4, "swag": 4, "mean_field": 1, "laplace": 1}


def test_passes_count_iterations_or_epochs() -> None:
    exact = BayesSettings(sampler="hmc", draws=10, thin=3, burn_in=20)
    assert exact.passes(500) == 50 * 100, "iterations of about a hundred leapfrog steps"
    assert BayesSettings(sampler="sgld", step_size=0.1, draws=10, thin=3, burn_in=20).passes(500) == 50

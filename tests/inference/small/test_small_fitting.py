"""What has compiled trajectories and what has not, with the reason; and sizes that a plan may take."""

from dataclasses import replace

import pytest
import torch
from small_examples import posterior_of, rows_of
from torch import nn

from surefoot.density.dirichlet import NoisyDirichlet
from surefoot.density.functional import DirClip, Functional
from surefoot.density.objective import Posterior
from surefoot.density.priors import Gaussian, Laplace
from surefoot.errors import InputError
from surefoot.inference.small import fitting
from surefoot.inference.small.target import SmallTarget, small_target
from surefoot.inference.targets.evidence import make_evidence
from surefoot.inference.targets.make import make_target
from surefoot.inference.targets.mlp import MlpTarget, make_mlp_target
from surefoot.inference.targets.mlp_shape import mlp_of
from surefoot.inference.targets.target import MinibatchTarget
from surefoot.networks.build import build_cnn
from surefoot.networks.network import Network
from surefoot.rows.rows import make_rows

pytest.importorskip("llvmlite")

PLAIN = posterior_of((3, 6, 3))
TANH = Network(nn.Sequential(nn.Linear(3, 6), nn.Tanh(), nn.Linear(6, 3)), "2")
BARE = Network(nn.Sequential(nn.Linear(3, 6, bias=False), nn.ReLU(), nn.Linear(6, 3)), "2")
CENTRED = Gaussian(1.0, centre={name: tensor.detach() for name, tensor in PLAIN.network.module.named_parameters()})
IMAGES = make_rows(torch.zeros(3, 1, 8, 8), torch.arange(3))
ELSEWHERE = Functional(DirClip(0.5, -10.0), inputs=torch.zeros(4, 3))


def base_of(posterior: Posterior, dtype: torch.dtype = torch.float32) -> MlpTarget:
    rows = rows_of(9, 3, 3)
    layers = mlp_of(posterior.network, rows.inputs[:])
    assert layers is not None
    return make_mlp_target(layers, make_evidence(posterior, rows, dtype))


@pytest.mark.parametrize(
    ("posterior", "reason"),
    [
        (replace(PLAIN, network=TANH), "other than ReLU"),
        (replace(PLAIN, network=BARE), "without bias"),
        (replace(PLAIN, likelihood=NoisyDirichlet(0.01)), "not the categorical"),
        (replace(PLAIN, prior=Laplace(1.0)), "normal distribution around zero"),
        (replace(PLAIN, prior=CENTRED), "normal distribution around zero"),
        (replace(PLAIN, functional=ELSEWHERE), "inputs of its own"),
        (replace(PLAIN, functional=Functional(DirClip(0.5, -90.0))), "below -80 nats"),
        (posterior_of((3, 460, 440, 3)), "206,003 parameters, more than 200,000"),
        (posterior_of((3, *(2,) * 20, 3)), "21 layers, more than 20"),
        (posterior_of((3, 6, 129)), "129 outputs, more than 128"),
    ],
)
def test_what_has_none_says_why(posterior: Posterior, reason: str) -> None:
    base = base_of(posterior)
    assert reason in (fitting.why_not_small(base) or "")
    with pytest.raises(InputError, match="use the torch target"):
        small_target(base)


def test_make_target_takes_it_where_it_can(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = rows_of(9, 3, 3)
    assert isinstance(make_target(PLAIN, rows), SmallTarget)
    assert isinstance(make_target(PLAIN, rows), MinibatchTarget)
    assert isinstance(make_target(PLAIN, rows, compiled=False), MlpTarget)
    tanh = replace(PLAIN, network=TANH)
    assert isinstance(make_target(tanh, rows), MlpTarget)
    with pytest.raises(InputError, match="other than ReLU"):
        make_target(tanh, rows, compiled=True)
    with pytest.raises(InputError, match="no plain MLP"):
        make_target(replace(PLAIN, network=build_cnn((1, 8, 8), (2,), 4, 3, seed=0)), IMAGES, compiled=True)
    monkeypatch.setattr(fitting, "compiler_is_installed", lambda: False)
    assert isinstance(make_target(PLAIN, rows), MlpTarget)


def test_many_rows_are_left_to_products(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fitting, "MOST_ROWS", 8)
    assert fitting.why_not_small(base_of(PLAIN)) == "there are 9 rows, more than 8"


def test_many_activations_are_left_to_products(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of nine rows, three numbers enter the first layer and six the second."""
    monkeypatch.setattr(fitting, "MOST_ENTERING", 81)
    assert fitting.why_not_small(base_of(PLAIN)) is None
    monkeypatch.setattr(fitting, "MOST_ENTERING", 80)
    assert fitting.why_not_small(base_of(PLAIN)) == "81 numbers enter the network's layers, more than 80"


def test_a_floor_may_be_lower_in_float64() -> None:
    deep = replace(PLAIN, functional=Functional(DirClip(0.5, -90.0)))
    assert fitting.why_not_small(base_of(deep, torch.float64)) is None


def test_without_a_compiler_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    base = base_of(PLAIN)
    assert fitting.why_not_small(base) is None
    monkeypatch.setattr(fitting, "compiler_is_installed", lambda: False)
    with pytest.raises(InputError, match=r"surefoot\[fast\]"):
        small_target(base)

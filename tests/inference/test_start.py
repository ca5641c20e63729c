"""What is asked before a run: a target that is another one is told from its own, and rounding is not."""

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from surefoot.density.likelihoods import categorical
from surefoot.density.objective import Posterior
from surefoot.density.priors import Gaussian
from surefoot.errors import InputError
from surefoot.inference.start import fingerprint, same_density
from surefoot.inference.targets.make import make_target
from surefoot.inference.targets.target import Target
from surefoot.networks.build import build_mlp
from surefoot.networks.network import parameters_of
from surefoot.rows.rows import Rows, make_rows

NETWORK = build_mlp(3, 4, 2, seed=0)
POSTERIOR = Posterior(NETWORK, categorical, Gaussian(1.0))


def rows(count: int = 20_000) -> Rows:
    inputs = torch.randn(count, 3, generator=torch.Generator().manual_seed(0))
    return make_rows(inputs, (inputs[:, 0] > 0).long())


def target_of(some: Rows, posterior: Posterior = POSTERIOR, dtype: torch.dtype = torch.float32) -> Target:
    return make_target(posterior, some, dtype=dtype, compiled=False)


def trained() -> Tensor:
    target = target_of(rows(10))
    return target.position({name: tensor[None] for name, tensor in parameters_of(NETWORK).items()})


def refused(one: Target, other: Target, start: Tensor) -> bool:
    try:
        same_density(fingerprint(one, start), fingerprint(other, start), Path("folder"))
    except InputError as error:
        return "in folder, which belongs to another density" in str(error)
    return False


@pytest.mark.parametrize("zero", [True, False])
def test_other_rows_labels_weights_and_priors_are_another_density(zero: bool) -> None:
    own = rows()
    start = torch.zeros(2, target_of(own).size) if zero else trained()
    flipped = own.targets.clone()
    flipped[:4] = 1 - flipped[:4]
    weights = own.weights.clone()
    weights[0] = 1.1
    order = torch.arange(3).roll(1)
    others = [
        target_of(replace(own, targets=flipped)),
        target_of(replace(own, weights=weights)),
        target_of(own.with_inputs(own.inputs[:] * 5)),
        target_of(own.with_inputs(own.inputs[:][:, order])),
        target_of(own, Posterior(NETWORK, categorical, Gaussian(1.001))),
        target_of(own, Posterior(NETWORK, categorical, Gaussian(1.0), posterior_temperature=0.999)),
    ]
    assert [refused(other, target_of(own), start) for other in others] == [True] * 6
    assert not refused(target_of(own), target_of(own), start)


def test_rounding_is_no_other_density() -> None:
    """Float32 and float64 differ by all that rounding can do, which is more than other numbers of threads do."""
    own = rows()
    for start in (torch.zeros(1, target_of(own).size), trained()):
        one = fingerprint(target_of(own), start)
        other = fingerprint(target_of(own, dtype=torch.float64), start.double())
        assert not torch.equal(one, other)
        same_density(one, other, None)


def test_the_fingerprint_is_what_it_says() -> None:
    target, start = target_of(rows(30), dtype=torch.float64), trained().double()
    noise = torch.randn(1, target.size, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    there = (start + noise).requires_grad_()
    log_density = POSTERIOR.log_density(
        {name: tensor[0] for name, tensor in target.parameters(there).items()},
        rows(30).with_inputs(rows(30).inputs[:].double()),
    )
    found = fingerprint(target, start)
    assert float(found[2] + found[3]) == pytest.approx(log_density.item(), rel=1e-6)
    small = 1e-5
    up, down = (sum(target.terms(there.detach() + side * small * noise)) for side in (1, -1))  # type: ignore[arg-type]
    assert float(found[5]) == pytest.approx(float((up - down) / (2 * small)), rel=1e-6)
    assert torch.equal(found[:2], torch.cat(list(target.terms(start))))
    assert found[4] >= found[5].abs() / noise.norm()


def test_a_density_that_is_nan_near_the_start_is_still_known_by_its_start() -> None:
    one = torch.tensor([-3.0, -2.0, math.nan, -1.0, math.nan, math.nan], dtype=torch.float64)
    same_density(one, one.clone(), None)
    with pytest.raises(InputError, match="another density"):
        same_density(one, one + torch.tensor([0.01, 0, 0, 0, 0, 0]).double(), None)
    with pytest.raises(InputError, match="another density"):
        same_density(one.nan_to_num(nan=1.0), one, None)

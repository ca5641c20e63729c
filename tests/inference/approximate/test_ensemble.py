"""Deep ensembles: every member is what `ascend` alone makes of its start and seed."""

from pathlib import Path

import pytest
import torch

from surefoot.density.likelihoods import categorical
from surefoot.density.objective import Posterior
from surefoot.density.priors import Gaussian
from surefoot.errors import InputError
from surefoot.inference.approximate.ensemble import ensemble, member_seed
from surefoot.inference.ascend import Ascend, ascend
from surefoot.inference.chains.chains import load_chains
from surefoot.networks.build import build_mlp
from surefoot.networks.network import parameters_of
from surefoot.rows.rows import Rows, make_rows

SETTINGS = Ascend(epochs=4, batch=8)
STARTS = [parameters_of(build_mlp(3, 4, 2, seed=member)) for member in range(3)]


def posterior() -> Posterior:
    return Posterior(build_mlp(3, 4, 2, seed=0), categorical, Gaussian(1.0))


def rows() -> Rows:
    inputs = torch.randn(30, 3, generator=torch.Generator().manual_seed(0))
    return make_rows(inputs, (inputs[:, 0] > 0).long())


def test_members_are_ascents_of_their_own() -> None:
    chains = ensemble(posterior(), rows(), STARTS, 5, SETTINGS)
    assert (chains.chains, chains.draws, chains.seen) == (3, 1, rows().origins())
    for number, (member, start) in enumerate(zip(chains.points(), STARTS, strict=True), start=1):
        alone = ascend(posterior(), rows(), start, member_seed(5, number), SETTINGS)
        for name, tensor in alone.point().items():
            assert torch.equal(member[name], tensor)
        told = [finding.value for finding in chains.diagnostics if finding.subject == f"member {number}"]
        assert told == [finding.value for finding in alone.diagnostics]


class Killed(Exception):
    pass


def test_a_killed_ensemble_goes_on_within_a_member(tmp_path: Path) -> None:
    whole = ensemble(posterior(), rows(), STARTS, 5, SETTINGS)
    stages: list[str] = []

    def kill(stage: str, done: int, total: int) -> None:
        stages.append(f"{stage}, {done}")
        if stage == "training: member 2 of 3" and done == 2 and stages.count(stages[-1]) == 1:
            raise Killed

    with pytest.raises(Killed):
        ensemble(posterior(), rows(), STARTS, 5, SETTINGS, folder=tmp_path, progress=kill)
    before = len(stages)
    resumed = ensemble(posterior(), rows(), STARTS, 5, SETTINGS, folder=tmp_path, progress=kill)
    assert stages[before] == "training: member 2 of 3, 3"  # neither member 1 nor two epochs of member 2 again
    for name, tensor in whole.as_draws().parameters.items():
        assert torch.equal(resumed.as_draws().parameters[name], tensor)
    assert load_chains(tmp_path).diagnostics == whole.diagnostics
    assert not list(tmp_path.glob("member-*"))


def test_an_ensemble_needs_two_different_starts() -> None:
    with pytest.raises(InputError, match="two members or more"):
        ensemble(posterior(), rows(), STARTS[:1], 5, SETTINGS)
    with pytest.raises(InputError, match="members 1 and 3 are equal"):
        ensemble(posterior(), rows(), [STARTS[0], STARTS[1], STARTS[0]], 5, SETTINGS)

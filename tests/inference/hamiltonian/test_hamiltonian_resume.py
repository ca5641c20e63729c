"""Runs that are killed, by an exception or by SIGKILL, and resumed: the same bits as runs that were not."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from analytic_targets import Written, gaussian, standard_normal, wishart

from surefoot.density.likelihoods import categorical
from surefoot.density.objective import Posterior
from surefoot.density.priors import Gaussian
from surefoot.errors import InputError
from surefoot.inference.chains.chains import Chains, load_chains
from surefoot.inference.hamiltonian.hmc import Hmc, hmc
from surefoot.inference.hamiltonian.nuts import Nuts, nuts
from surefoot.inference.targets.make import make_target
from surefoot.networks.build import build_mlp
from surefoot.progress import Progress, silent
from surefoot.rows.rows import make_rows


class Killed(Exception):
    """Stands for a power cut."""


def target() -> Written:
    return gaussian(torch.zeros(4).double(), wishart(4, 3), torch.float32)


def by_hmc(folder: Path | None, progress: Progress = silent, save_every: float = 0.0, **other: int) -> Chains:
    told = {"draws": 12, "burn_in": 15, "chains": 3, "thin": 2, **other}
    return hmc(
        target(), torch.ones(3, 4), 5, Hmc(**told), seen=frozenset({"row"}), folder=folder, save_every=save_every,
        progress=progress,
    )  # fmt: skip


def by_nuts(folder: Path | None, progress: Progress = silent, save_every: float = 0.0, **other: int) -> Chains:
    told = {"draws": 12, "burn_in": 15, "chains": 3, "thin": 2, **other}
    return nuts(
        target(), torch.ones(3, 4), 5, Nuts(**told), seen=frozenset({"row"}), folder=folder, save_every=save_every,
        progress=progress,
    )  # fmt: skip


Run = Callable[..., Chains]


def dying_at(iteration: int) -> Progress:
    def progress(stage: str, done: int, total: int) -> None:
        if done == iteration:
            raise Killed

    return progress


def same(one: Chains, other: Chains) -> None:
    assert torch.equal(one.as_draws().parameters["u"], other.as_draws().parameters["u"])
    ours, theirs = one.statistics(), other.statistics()
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    assert one.diagnostics == other.diagnostics
    assert one.seen == other.seen


@pytest.mark.parametrize("run", [by_hmc, by_nuts])
def test_a_run_killed_at_any_place_ends_with_the_same_bits(run: Run, tmp_path: Path) -> None:
    whole = run(None)
    for iteration in (1, 15, 16, 39):
        folder = tmp_path / str(iteration)
        with pytest.raises(Killed):
            run(folder, dying_at(iteration))
        seen: list[int] = []
        resumed = run(folder, lambda stage, done, total: seen.append(done))  # noqa: B023 - called at once
        assert seen == list(range(iteration + 1, 40)), "finished iterations are not computed again"
        same(resumed, whole)
        same(load_chains(folder), whole)


@pytest.mark.parametrize("run", [by_hmc, by_nuts])
def test_a_run_killed_many_times_and_saved_now_and_then_ends_with_the_same_bits(run: Run, tmp_path: Path) -> None:
    """Checkpoints fall where the clock says, which no draw depends on."""
    for iteration in range(1, 39, 6):
        with pytest.raises(Killed):
            run(tmp_path, dying_at(iteration), save_every=0.002)
    same(run(tmp_path), run(None))


def test_a_run_killed_before_its_first_checkpoint_starts_anew(tmp_path: Path) -> None:
    with pytest.raises(Killed):
        by_hmc(tmp_path, dying_at(20), save_every=3600.0)
    assert list(tmp_path.iterdir()) == []
    same(by_hmc(tmp_path), by_hmc(None))


SCRIPT = """
import sys, time
from pathlib import Path
sys.path[:0] = {paths!r}
import torch
torch.set_num_threads(1)
from test_hamiltonian_resume import by_hmc

def slow(stage, done, total):
    Path({folder!r}, "..", "done").write_text(str(done))
    time.sleep(0.02)

by_hmc(Path({folder!r}), slow, draws=150)
"""


def test_a_process_killed_by_the_system_ends_with_the_same_bits(tmp_path: Path) -> None:
    folder, here = tmp_path / "chains", Path(__file__).parent
    script = SCRIPT.format(paths=[str(here), str(here.parent)], folder=str(folder))
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen([sys.executable, "-c", script], env=environment)
    try:
        done, patience = 0, time.monotonic() + 120
        while done < 40 and time.monotonic() < patience and process.poll() is None:
            time.sleep(0.01)
            said = (tmp_path / "done").read_text() if (tmp_path / "done").exists() else ""
            done = int(said or 0)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert process.returncode == -signal.SIGKILL, "it was killed, and had neither ended nor failed"
    assert not (folder / "chains.json").exists()
    with pytest.raises(InputError, match="holds no finished chains"):
        load_chains(folder)
    first: list[int] = []
    resumed = by_hmc(folder, lambda stage, at, total: first.append(at), save_every=0.5, draws=150)
    assert 40 <= first[0] < 315
    same(resumed, by_hmc(None, draws=150))


def test_a_folder_belongs_to_one_run(tmp_path: Path) -> None:
    with pytest.raises(Killed):
        by_hmc(tmp_path, dying_at(20))
    with pytest.raises(InputError, match="belongs to a run with another objective, other settings"):
        by_hmc(tmp_path, draws=13)
    with pytest.raises(InputError, match="belongs to a run with another objective, other settings"):
        by_nuts(tmp_path)
    settings = Hmc(draws=12, burn_in=15, chains=3, thin=2)
    others = [
        (standard_normal(4, torch.float32), torch.ones(3, 4), 5, "another density"),
        (target(), torch.ones(3, 4), 6, "another objective"),
        (target(), torch.zeros(3, 4), 5, "another objective"),
    ]
    for density, start, seed, words in others:
        with pytest.raises(InputError, match=words):
            hmc(density, start, seed, settings, seen=frozenset({"row"}), folder=tmp_path)
    with pytest.raises(InputError, match="another objective"):
        hmc(target(), torch.ones(3, 4), 5, settings, seen=frozenset({"other row"}), folder=tmp_path)
    by_hmc(tmp_path)
    with pytest.raises(InputError, match="holds finished chains"):
        by_hmc(tmp_path)


@pytest.mark.parametrize("sampler", ["hmc", "nuts"])
def test_other_inputs_do_not_resume_a_run_that_began_at_zero(sampler: str, tmp_path: Path) -> None:
    """A network of zeros gives the same probabilities for any inputs, and so has the same gradient but for its head."""
    inputs = torch.randn(50, 3, generator=torch.Generator().manual_seed(0))
    posterior = Posterior(build_mlp(3, 4, 2, seed=0), categorical, Gaussian(1.0))

    def run(inputs: torch.Tensor, progress: Progress = silent) -> Chains:
        target = make_target(posterior, make_rows(inputs, torch.arange(50) % 2), compiled=False)
        start, same = torch.zeros(2, target.size), {"seen": frozenset({"a"}), "folder": tmp_path, "save_every": 0.0}
        if sampler == "hmc":
            return hmc(target, start, 0, Hmc(draws=4, burn_in=3, chains=2), progress=progress, **same)  # type: ignore[arg-type]
        return nuts(target, start, 0, Nuts(draws=4, burn_in=3, chains=2, max_depth=3), progress=progress, **same)  # type: ignore[arg-type]

    with pytest.raises(Killed):
        run(inputs, dying_at(5))
    with pytest.raises(InputError, match="another density"):
        run(5 * inputs)
    assert run(inputs).draws == 4

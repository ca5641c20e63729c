"""Posteriors below a folder of runs, each under a name made of all that decides its draws."""

import os
import shutil
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch

from surefoot.bayes.forecast import forecast
from surefoot.bayes.kept import CHAINS, KeptPosterior, is_kept, keep_posterior, load_posterior
from surefoot.bayes.sample import sample_posterior
from surefoot.bayes.settings import BayesSettings
from surefoot.bayes.starts import Begun
from surefoot.files import digest_json, digest_tensor
from surefoot.networks.network import Parameters
from surefoot.networks.weights import ModelRecord, save_model
from surefoot.progress import Progress
from surefoot.rows.digest import rows_digest
from surefoot.rows.roles import Roles
from surefoot.study.numerics import compiler_of_trajectories, numerics_of
from surefoot.study.once.opening import BODY
from surefoot.study.seen import Seen, inputs_of
from surefoot.study.stored import GROUPS, save_seen

__all__ = ["POSTERIORS", "digests_of", "name_of", "sample_in", "save_body", "share"]

POSTERIORS = "posteriors"


def name_of(begun: Begun, settings: BayesSettings, seed: int, beside: Any) -> str:
    """Twelve digits of everything that decides draws, and of what is saved `beside` them, as plain JSON."""
    decided = {
        "settings": asdict(settings),
        "seed": seed,
        "rows": rows_digest(begun.rows),
        "starts": [digests_of(each) for each in begun.starts],
        "beside": beside,
        "numerics": {**numerics_of("default"), "compiler": compiler_of_trajectories()},
    }
    return digest_json(decided)[:12]


def digests_of(parameters: Parameters) -> dict[str, str]:
    """sha256 of every tensor, by name."""
    return {name: digest_tensor(tensor) for name, tensor in sorted(parameters.items())}


def sample_in(
    place: Path, begun: Begun, settings: BayesSettings, seed: int, say: Callable[[str], None], progress: Progress
) -> KeptPosterior:
    """The posterior of the folder `place`: as it lies there, or sampled, from where a killed run had come to.

    say: is told what it should take, or that nothing is left to do.
    """
    if is_kept(place):
        say(f"These draws lie in {place} from an earlier run, and are used again.")
        return load_posterior(place)
    told = forecast(begun.network, begun.rows, begun.starts, settings, place).told(settings)
    again = place.is_dir() and any(place.rglob("*.safetensors"))
    say(f"Going on from what lies in {place}; all of it: {told}" if again else f"Sampling {told}")
    for half_written in place.rglob(".*"):  # a killed run's: see `files.write_atomically`
        half_written.unlink(missing_ok=True)
    sampled = sample_posterior(
        begun.network, begun.rows, begun.starts, settings, seed,
        folder=place / CHAINS, resume_finished=True, progress=progress,
    )  # fmt: skip
    keep_posterior(place, sampled, settings, len(begun.rows.classes), begun.scaler)
    return load_posterior(place)


def save_body(place: Path, parameters: Parameters, record: ModelRecord, roles: Roles, seen: Seen) -> None:
    """Write the trained point beside the draws, with the groups it is judged with, and what both have seen.

    seen: names of all rows that shaped either, and the inputs of those that are not among these roles.
    """
    named = roles["judge"].groups.names
    counts = torch.stack([rows.groups.counts() for rows in roles.values()]).sum(dim=0).tolist()
    groups = [name for name, count in zip(named, counts, strict=True) if count]
    save_model(place / BODY, parameters, replace(record, provenance={**record.provenance, GROUPS: groups}))
    inputs = inputs_of((rows for role, rows in roles.items() if role != "judge"), seen.names)
    save_seen(seen.names, place, seen.inputs if inputs is None else inputs.joined(seen.inputs))


def share(place: Path, left: Path) -> None:
    """The same files in another folder, without a second copy of them where the disk allows that."""

    def link(source: str, to: str) -> None:
        Path(to).unlink(missing_ok=True)
        try:
            os.link(source, to)
        except OSError:
            shutil.copy2(source, to)

    shutil.copytree(place, left, copy_function=link, dirs_exist_ok=True)

"""Deep ensembles: the same ascent from several starts; each point reached is one chain's only draw.

Source: Lakshminarayanan et al. (2017), Simple and scalable predictive uncertainty estimation using deep ensembles,
without its adversarial examples. Its members differ in their start and in the order of their rows, as here.

An ensemble is no sampler: its members are modes, and nothing says how much probability lies around each.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from surefoot.density.objective import Objective, Posterior
from surefoot.errors import InputError
from surefoot.inference.ascend import Ascend, ascend
from surefoot.inference.chains.chains import Chains
from surefoot.inference.chains.writer import ChainWriter
from surefoot.inference.draws import Draws
from surefoot.networks.network import Parameters
from surefoot.progress import Progress, silent
from surefoot.rows.rows import Rows

__all__ = ["ensemble", "member_seed"]


def ensemble(
    objective: Objective | Posterior,
    rows: Rows,
    starts: Sequence[Parameters],
    seed: int,
    settings: Ascend,
    *,
    folder: Path | None = None,
    progress: Progress = silent,
) -> Chains:
    """Climb from every start; member m of the ensemble is chain m, with one draw.

    starts: one for each member, e.g. `parameters_of(build_mlp(…, seed=m))` for m = 0, 1, …; two equal ones would differ
    by the order of their rows alone, and are refused. folder: where members and their checkpoints are kept; a run
    that was killed goes on in the middle of a member. The diagnostics are every member's own, of subjects "member 1",
    "member 2", ….

    Raises `InputError` for fewer than two starts, equal ones, and whatever `ascend` raises.

    >>> from torch import nn
    >>> from surefoot.density.likelihoods import categorical
    >>> from surefoot.density.priors import Gaussian
    >>> from surefoot.networks.build import build_linear
    >>> from surefoot.networks.network import parameters_of
    >>> from surefoot.rows.rows import make_rows
    >>> rows = make_rows(torch.tensor([[-1.0], [1.0]]), torch.tensor([0, 1]))
    >>> posterior = Posterior(build_linear(1, 2, seed=0), categorical, Gaussian(1.0))
    >>> starts = [parameters_of(build_linear(1, 2, seed=member)) for member in range(3)]
    >>> chains = ensemble(posterior, rows, starts, 0, Ascend(epochs=2))
    >>> chains.chains, chains.draws, chains.as_draws().parameters["head.weight"].shape
    (3, 1, torch.Size([3, 2, 1]))
    """
    _check(starts)
    # Each member's own checkpoint says whose it is; the writer needs none.
    writer = ChainWriter(folder, "ensemble", chains=len(starts))
    members: list[Draws] = []
    for number, start in enumerate(starts, start=1):
        checkpoint = None if folder is None else _checkpoint(folder, number)

        def tell(stage: str, done: int, total: int, number: int = number) -> None:
            progress(f"{stage}: member {number} of {len(starts)}", done, total)

        own = member_seed(seed, number)
        members.append(ascend(objective, rows, start, own, settings, checkpoint=checkpoint, progress=tell))
    together = {name: torch.cat([member.parameters[name] for member in members]) for name in members[0].parameters}
    writer.append(together, {})
    diagnostics = tuple(
        replace(finding, subject=f"member {number}")
        for number, member in enumerate(members, start=1)
        for finding in member.diagnostics
    )
    chains = writer.finish(diagnostics=diagnostics, seen=rows.origins())
    if folder is not None:
        for number in range(1, len(starts) + 1):
            _checkpoint(folder, number).unlink(missing_ok=True)
    return chains


def member_seed(seed: int, number: int) -> int:
    """The seed of member 1, 2, …: what an ascent of its own would be given to be that member.

    >>> member_seed(0, 1) == member_seed(0, 2), member_seed(0, 2) == member_seed(1, 1)
    (False, False)
    """
    if seed < 0:
        raise InputError(f"The seed is {seed}; give zero or a positive whole number.")
    return int(np.random.SeedSequence([seed, number]).generate_state(1, np.uint32)[0])


def _checkpoint(folder: Path, number: int) -> Path:
    return folder / f"member-{number:03d}.safetensors"


def _check(starts: Sequence[Parameters]) -> None:
    if len(starts) < 2:
        raise InputError(f"{len(starts)} start was given; an ensemble has two members or more.")
    for later in range(len(starts)):
        for earlier in range(later):
            one, other = starts[earlier], starts[later]
            if one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one):
                raise InputError(
                    f"The starts of members {earlier + 1} and {later + 1} are equal; give each one of its own, e.g. a "
                    "network built from another seed."
                )

"""A plan: which cells a study needs, which are finished, and what the rest should take, before anything runs."""

import heapq
import os
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from pathlib import Path
from statistics import median
from typing import Any

from surefoot.card.bounds import check_claim
from surefoot.card.claims import Claim
from surefoot.errors import InputError
from surefoot.files import read_json
from surefoot.memory import require_memory
from surefoot.networks.flexible import grid_of
from surefoot.rows.roles import ROLES, Role
from surefoot.study.architecture import NetworkSpec
from surefoot.study.cells import Cell, needs
from surefoot.study.choice.candidates import refuse_own_code
from surefoot.study.cost import Extent, cost_of
from surefoot.study.engine.tasks import Task
from surefoot.study.graph import Graph, graph_of
from surefoot.study.mitigations import Patch
from surefoot.study.numerics import numerics_of, product_of_this_machine, require_device
from surefoot.study.shape import RowsSpec, Study
from surefoot.study.store import Store
from surefoot.study.trainings import code_of
from surefoot.study.trusted import damage_of

__all__ = ["Plan", "calibrated", "claims_of", "cores", "extent_of", "plan_study", "wall_time"]

REMEMBERED = 200  # finished cells that calibrate the estimates


@dataclass(frozen=True)
class Plan:
    """A study's cells and what they should cost.

    tasks: every cell, each after those it needs. finished: addresses that are in the store already.
    workers: processes that would run. seconds: wall time of what is left. memory: bytes at the peak with `workers`.
    numerics: settled for the whole study. damaged: finished cells that cannot be used, with what is wrong.
    """

    study: Study
    graph: Graph
    tasks: tuple[Task, ...]
    finished: frozenset[str]
    workers: int
    seconds: float
    memory: int
    numerics: Mapping[str, Any]
    damaged: Mapping[str, str]

    def left(self) -> tuple[Task, ...]:
        """The tasks that are still to be computed."""
        return tuple(task for task in self.tasks if task.cell.address not in self.finished)


def plan_study(
    study: Study,
    folder: Path,
    *,
    out: Path = Path("runs"),
    workers: int | None = None,
    device: str = "cpu",
    product: str | None = None,
    trust_code: bool = False,
    checksums: bool = False,
) -> Plan:
    """Plan `study`, whose paths are relative to `folder`, on the finished cells below `out`; writes nothing.

    workers: processes to use; by default one per core. product: the matrix product path; by default the best of
    this machine. checksums: read every file of finished cells and compare, instead of sizes alone.

    Raises `InputError` for missing files, untrusted code, settings that a method refuses, cells that need more memory
    than there is, and candidates whose curvature does not fit or cannot be had.
    """
    if workers is not None and workers < 1:
        raise InputError(f"{workers} workers were asked for; give at least 1.")
    if not trust_code:
        refuse_code(study, folder)
    require_device(device)
    store = Store(out / "cells")
    numerics = numerics_of(product or product_of_this_machine())
    graph = graph_of(study, folder, numerics, device=device)
    check_settings(graph)
    cells = graph.cells()
    models = [folder / base.model for base in study.base.values() if base.model is not None]
    damage = damage_of(cells, store, checksums=checksums, models=models)
    finished = frozenset(address for address, reason in damage.items() if reason is None)
    extent = extent_of(study.rows, graph.rows, store, whole=graph.rows.address in finished)
    check_roles(study, extent)
    check_claims(study, extent)
    check_groups(study, extent)
    check_patches(study, extent)
    networks = {cell.address: study.network_of(base) for (base, _), cell in graph.train.items()}
    networks |= {cell.address: study.network_of(base) for (base, _), cell in graph.ceilings.items()}
    tasks = calibrated([_task(cell, networks, study, extent) for cell in cells], store)
    if study.candidates is not None:
        from surefoot.study.choice.curvatures import curvatures_of  # heavy, and most studies have no candidates

        needed = curvatures_of([task.cell for task in tasks if task.cell.address not in finished], extent)
        tasks = [replace(task, memory=task.memory + needed.get(task.cell.address, 0)) for task in tasks]
    left = [task for task in tasks if task.cell.address not in finished]
    for task in left:
        require_memory(task.memory, f"The cell '{task.cell.title}'")
    used = min(workers or cores(), max(1, len(left)))
    return Plan(
        study=study,
        graph=graph,
        tasks=tuple(tasks),
        finished=finished,
        workers=used,
        seconds=wall_time(left, used),
        memory=sum(sorted((task.memory for task in left), reverse=True)[:used]),
        numerics=numerics,
        damaged={address: reason for address, reason in damage.items() if reason},
    )


def refuse_code(study: Study, folder: Path) -> None:
    """Raise `InputError` when a network, a candidate's too, or a finished model is built by code from a file."""
    if study.candidates is not None:
        refuse_own_code(study.candidates)
    networks = [study.network, *(each.network for each in study.base.values())]
    named = [f"The network {each.file}" for each in networks if each is not None and each.file is not None]
    for base, settings in study.base.items():
        if settings.model is not None and (code := code_of(folder / settings.model)) is not None:
            named.append(f"The model of {base} ({code})")
    if named:
        raise InputError(
            f"{named[0]} is code from a file, which runs only with --trust-code (in Python: trust_code=True)."
        )


def cores() -> int:
    """Cores that this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on every system
        return os.cpu_count() or 1


def check_settings(graph: Graph) -> None:
    """Let each method refuse its settings now and not in the middle of a run."""
    from surefoot.inference.settings import Ascend

    for cell in graph.train.values():
        if "training" in cell.spec:
            Ascend(**cell.spec["training"])


def check_roles(study: Study, extent: Extent) -> None:
    """Raise `InputError` when a part of the study needs a role that the rows lack, naming both."""
    needed: dict[str, tuple[Role, ...]] = {"choice": ("choose",), "claims": ("judge",)}
    needed |= {f"base '{name}'": ("fit",) for name, base in study.base.items() if base.model is None}
    needed |= {f"mitigation '{name}'": each.learns_from() for name, each in study.mitigations.items()}
    for what, roles in needed.items():
        for role in roles:
            if not extent.rows.get(role):
                raise InputError(
                    f"The {what} needs {role} rows, and the rows have none (they have {', '.join(extent.rows)}); give "
                    f"{role} a share of the rows, or remove what needs it."
                )


def claims_of(study: Study) -> list[Claim]:
    """The claims that a study makes."""
    return [
        Claim(
            finding=claim.finding,
            subject=claim.of,
            slice=claim.slice,
            at_least=claim.at_least,
            at_most=claim.at_most,
            confidence=study.confidence if claim.confidence is None else claim.confidence,
            within=claim.seconds(),
        )
        for claim in study.claims
    ]


def check_claims(study: Study, extent: Extent) -> None:
    """Raise `InputError` for a claim that nothing could fail, and one of a group that the rows do not have."""
    for claim in claims_of(study):
        check_claim(claim, seeds=len(study.seeds))
        if claim.slice not in ("all", *extent.groups):
            near = get_close_matches(claim.slice, extent.groups, n=1)
            advice = f"did you mean '{near[0]}'?" if near else f"the groups are {'; '.join(extent.groups) or 'none'}."
            raise InputError(f"A claim is made of the group '{claim.slice}', which the rows do not have; {advice}")


def check_patches(study: Study, extent: Extent) -> None:
    """Raise `InputError` for a patch size that does not divide the images of the study."""
    for name, base in study.base.items():
        network = study.network_of(name)
        if network is None or network.vit is None or len(extent.shape) != 3:
            continue
        repairs = [study.mitigations[each] for each in study.repairs_of(name)]
        sizes = [network.vit.patch, *(base.patches or []), *(each.size for each in repairs if isinstance(each, Patch))]
        for size in sizes:
            grid_of((extent.shape[1], extent.shape[2]), (size, size))


def check_groups(study: Study, extent: Extent) -> None:
    """Raise `InputError` when something trains or fits with groups, and the rows have none."""
    if extent.groups:
        return
    needing = [f"base '{name}'" for name, base in study.base.items() if base.balances_groups()]
    needing += [f"mitigation '{name}'" for name, each in study.mitigations.items() if each.needs_groups()]
    if needing:
        raise InputError(
            f"The {needing[0]} needs groups, and the rows have none; name the attributes that make groups, or balance "
            "classes instead."
        )


def _task(cell: Cell, networks: Mapping[str, NetworkSpec | None], study: Study, extent: Extent) -> Task:
    """A cell with what it costs, by the network of the base that it trains or follows."""
    own = next((networks[each] for each in (cell.address, *sorted(needs(cell))) if each in networks), study.network)
    cost = cost_of(cell, own, extent)
    return Task(cell, cost.seconds, cost.seconds, cost.memory)


def calibrated(tasks: Sequence[Task], store: Store) -> list[Task]:
    """Scale each kind of work by what finished cells of that kind took, against what was expected of them."""
    ratios: defaultdict[tuple[str, str], list[float]] = defaultdict(list)
    for past, _ in zip(store.history(), range(REMEMBERED), strict=False):
        if past.estimate > 0:
            ratios[past.kind, past.method].append(past.seconds / past.estimate)
    factors = {key: median(values) for key, values in ratios.items()}
    return [
        replace(task, seconds=task.seconds * factors.get((task.cell.kind, str(task.cell.spec.get("method", ""))), 1.0))
        for task in tasks
    ]


def extent_of(spec: RowsSpec, rows: Cell, store: Store, *, whole: bool) -> Extent:
    """How large the rows are: known, remembered from the finished rows cell, or found out by reading the data.

    whole: the rows cell is finished, as far as it was looked at; its summary may still turn out to be damaged.
    """
    if whole:
        try:
            known: Any = read_json(store.path(rows.address) / "summary.json")
            counts: dict[Role, int] = {role: known["roles"][role]["rows"] for role in ROLES if role in known["roles"]}
            return Extent(tuple(known["shape"]), len(known["classes"]), counts, tuple(known["groups"]))
        except (InputError, KeyError, TypeError):  # of the recorded size, and no summary: the run computes it again
            pass
    if spec.dominoes is not None:
        from surefoot.rows.dominoes import dominoes

        one = dominoes(sizes={"judge": 1})["judge"]
        return Extent((1, 28, 14), 2, spec.dominoes.sizes, one.groups.names)
    from surefoot.study.work.rows import make_rows_of

    roles = make_rows_of(rows.spec, {name: Path(place) for name, place in rows.places.items()}).roles
    first = next(iter(roles.values()))
    counts = {role: len(each) for role, each in roles.items()}
    return Extent(tuple(first.inputs[:1].shape[1:]), len(first.classes), counts, first.groups.names)


def wall_time(tasks: Sequence[Task], workers: int) -> float:
    """Seconds until the last task is done, with `workers` of them at a time, each after those it needs."""
    done_at: dict[str, float] = {}
    free_at = [0.0] * workers
    heapq.heapify(free_at)
    for task in tasks:
        ready = max((done_at.get(address, 0.0) for address in needs(task.cell)), default=0.0)
        start = max(heapq.heappop(free_at), ready)
        done_at[task.cell.address] = start + task.seconds
        heapq.heappush(free_at, start + task.seconds)
    return max(done_at.values(), default=0.0)

"""What a study says of compute: each model's cost on this machine, and among what a budget chooses."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from surefoot.card.assemble import Further
from surefoot.files import read_json
from surefoot.flex.choose import Candidate
from surefoot.flex.cost import COSTS, Cost, cost_findings
from surefoot.study.graph import Graph
from surefoot.study.mitigations import Bayes
from surefoot.study.shape import Compute, Study
from surefoot.study.store import Store
from surefoot.study.work.compute import COSTS_FILE

__all__ = ["about_times", "candidates_of", "with_costs"]

MANY = "A posterior is many networks, and none of them was timed; claim the cost of another model."


def candidates_of(
    study: Study, graph: Graph, store: Store, labels: Mapping[str, str], scores: Mapping[str, float]
) -> tuple[Candidate, ...]:
    """Every model whose cost is known, by what its passes took; a repaired head's are its base's."""
    if graph.compute is None:
        return ()
    told: Any = read_json(store.path(graph.compute.address) / COSTS_FILE)
    found: list[Candidate] = []
    for subject in study.subjects():
        base, _, name = subject.partition("+")
        if subject not in told and isinstance(study.mitigations[name], Bayes):
            continue  # many networks, none of which was timed
        own = told.get(subject, told[base])
        cost = Cost(own["rows"], tuple(own["times"]), own["operations"], own["memory"])
        found.append(Candidate(subject, labels[subject], cost, scores[subject], "right in the worst group"))
    return tuple(found)


def with_costs(
    further: Further, candidates: Sequence[Candidate], subjects: Sequence[str], chosen: str, level: float
) -> Further:
    """The same, with what every model costs, and why some have no cost; intervals of medians at this confidence."""
    costs = [each for of in candidates for each in cost_findings(of.cost, of.name, level)]
    timed = {of.name for of in candidates}
    names = [name for name in subjects if candidates and name not in timed]
    names += ["chosen"] if chosen in names else []
    refused = {(finding, name): MANY for finding in COSTS for name in names}
    return replace(further, findings=(*further.findings, *costs), refused={**further.refused, **refused})


def about_times(compute: Compute) -> str:
    """What a reader must know of times."""
    threads = "one thread" if compute.threads == 1 else f"{compute.threads} threads"
    rows = "one row" if compute.rows == 1 else f"{compute.rows} rows"
    return (
        f"Times are of this machine, on {threads}, {rows} a pass, of the first seed’s models: another machine, or this "
        "one at other work, is slower or quicker."
    )

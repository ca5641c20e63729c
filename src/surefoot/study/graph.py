"""A study cut into cells.

          ┌─ candidate (name, seed) ── ranking ── train, for the base that takes the chosen one
    rows ─┬─ train (base, seed) ─┬─ features (role) ─┬─ repair or sample (mitigation) ─┬─ choose
          │                      │                   └─────────────────────────────────┘
          └──────────────────────┴─ predict (base and its repairs) on the judge rows

Only `predict` is given the judge rows; a table of weak labels is read beside the names of all. For students see
`taught/cells.py`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from surefoot.files import digest_file
from surefoot.robust.method import learn_role
from surefoot.rows.roles import Role
from surefoot.study.cells import Cell, in_order
from surefoot.study.choice.cells import candidate_cells, ranking_cell
from surefoot.study.content import digest_pictures, found_in
from surefoot.study.mitigations import Bayes, Mitigation, Patch, is_method, spec_of
from surefoot.study.numerics import compiler_of_trajectories, processor
from surefoot.study.shape import RowsSpec, Study
from surefoot.study.taught.cells import ceiling_rows, labels_cell, taught_inputs
from surefoot.study.trainings import adopt_cell, emphasised_inputs, taken_cell, train_cell

__all__ = ["Graph", "graph_of", "rows_cell"]


@dataclass(frozen=True)
class Graph:
    """All cells of a study, by what they are of. `cells` holds each once, every cell after those it needs.

    labels: by student. ceilings: by student, the trainings on the truth of its rows; judged_ceilings: their `predict`.
    """

    rows: Cell
    train: Mapping[tuple[str, int], Cell]
    features: Mapping[tuple[str, int, Role], Cell]
    repair: Mapping[tuple[str, str, int], Cell]
    choose: Cell
    predict: Mapping[tuple[str, int], Cell]
    candidates: Mapping[tuple[str, int], Cell] = field(default_factory=dict[tuple[str, int], Cell])
    ranking: Cell | None = None
    labels: Mapping[tuple[str, int], Cell] = field(default_factory=dict[tuple[str, int], Cell])
    ceilings: Mapping[tuple[str, int], Cell] = field(default_factory=dict[tuple[str, int], Cell])
    judged_ceilings: Mapping[tuple[str, int], Cell] = field(default_factory=dict[tuple[str, int], Cell])
    compute: Cell | None = None

    def cells(self) -> tuple[Cell, ...]:
        """Each distinct cell once, in an order that can be run."""
        ranked = [] if self.ranking is None else [self.ranking]
        every = [
            self.rows,
            *self.candidates.values(),
            *ranked,
            *(each for key, cell in self.train.items() for each in (*filter(None, [self.labels.get(key)]), cell)),
            *self.ceilings.values(),
            *self.features.values(),
            *self.repair.values(),
            self.choose,
        ]
        last = [] if self.compute is None else [self.compute]
        return in_order([*every, *self.predict.values(), *self.judged_ceilings.values(), *last])


def graph_of(study: Study, folder: Path, numerics: Mapping[str, Any], *, device: str = "cpu") -> Graph:
    """The cells of `study`, whose paths are relative to `folder`.

    numerics: what decides the last bits; see `Cell`. Raises `InputError` when a data file is missing.
    """
    rows = rows_cell(study.rows, folder, numerics)
    train: dict[tuple[str, int], Cell] = {}
    features: dict[tuple[str, int, Role], Cell] = {}
    repair: dict[tuple[str, str, int], Cell] = {}
    predict: dict[tuple[str, int], Cell] = {}
    tried: dict[tuple[str, int], Cell] = {}
    labels: dict[tuple[str, int], Cell] = {}
    ceilings: dict[tuple[str, int], Cell] = {}
    ranking = None
    if study.candidates is not None:
        tried = candidate_cells(study.candidates, study.seeds, rows, ("fit",), folder, numerics)
        ranking = ranking_cell(study.candidates, study.seeds, tried, numerics)
    for base, training in study.base.items():
        for seed in study.seeds:
            if study.candidates is not None and ranking is not None and training.candidate is not None:
                trained = taken_cell(study.candidates, base, seed, tried, ranking, numerics)
            elif training.model is not None:
                trained = adopt_cell(base, training.model, rows, folder, numerics)
            elif training.taught is not None:
                said = labels_cell(study, base, seed, rows, train, labels, folder, numerics, device)
                told, given = taught_inputs(training, said)
                trained = train_cell(study, base, seed, told, given, folder, numerics, device)
                told, given = ceiling_rows(study, base, said, rows)
                ceilings[base, seed] = train_cell(
                    study, base, seed, told, given, folder, numerics, device, "ceiling of "
                )
                labels[base, seed] = said
            else:
                told, given = emphasised_inputs(study, base, seed, rows, train)
                trained = train_cell(study, base, seed, told, given, folder, numerics, device)
            train[base, seed] = trained
            for role in _roles_of(study, base):
                features[base, seed, role] = Cell(
                    kind="features",
                    title=f"features of {role} rows, {base}, seed {seed}",
                    spec={"role": role, "device": device},
                    inputs={"rows": f"{rows.address}/{role}", "model": f"{trained.address}/model"},
                    numerics=numerics,
                )
    for (base, seed), trained in train.items():
        applied = study.repairs_of(base)
        for name in applied:
            mitigation = study.mitigations[name]
            if isinstance(mitigation, Bayes):
                repair[base, name, seed] = _sample_cell(mitigation, base, name, seed, rows, train, features, numerics)
                continue
            if isinstance(mitigation, Patch):
                repair[base, name, seed] = Cell(
                    kind="patch",
                    title=f"{base}+{name}, seed {seed}",
                    spec={**spec_of(mitigation), "device": device},
                    inputs={"train": trained.address, "choose": f"{rows.address}/choose"},
                    numerics=numerics,
                )
                continue
            needed = {role: features[base, seed, role].address for role in mitigation.learns_from()}
            if (rival := mitigation.rival()) is not None:
                needed["rival"] = features[rival, seed, learn_role(mitigation.settings())].address
                needed["rival model"] = train[rival, seed].address
            repair[base, name, seed] = Cell(
                kind="repair",
                title=f"{base}+{name}, seed {seed}",
                spec={**spec_of(mitigation), "seed": seed},
                inputs={"head": f"{trained.address}/head", **needed},
                numerics=numerics,
            )
        heads = {f"head {name}": repair[base, name, seed].address for name in applied}
        predict[base, seed] = Cell(
            kind="predict",
            title=f"judge {base} and its repairs, seed {seed}",
            spec={"mitigations": list(applied), "device": device},
            inputs={"judge": f"{rows.address}/judge", "train": trained.address, **heads},
            numerics=numerics,
        )
    choose = _choose_cell(study, train, features, repair, numerics)
    judged = {
        (base, seed): Cell(
            kind="predict",
            title=f"judge the ceiling of {base}, seed {seed}",
            spec={"mitigations": [], "device": device},
            inputs={"judge": f"{rows.address}/judge", "train": ceiling.address},
            numerics=numerics,
        )
        for (base, seed), ceiling in ceilings.items()
    }
    timed = _compute_cell(study, rows, train, repair, [choose, *predict.values(), *judged.values()], numerics)
    return Graph(rows, train, features, repair, choose, predict, tried, ranking, labels, ceilings, judged, timed)


def _roles_of(study: Study, base: str) -> tuple[Role, ...]:
    """The roles whose features a base must give: to choose, to repair it, to be another base's earlier version."""
    needed: list[Role] = ["choose"]
    for name in study.repairs_of(base):
        if not _is_whole(study.mitigations[name]):  # a whole network takes the rows themselves
            needed += study.mitigations[name].learns_from()
    rivals = [each for each in study.mitigations.values() if each.rival() == base]
    return tuple(dict.fromkeys([*needed, *(learn_role(each.settings()) for each in rivals)]))


def _is_whole(mitigation: Mitigation) -> bool:
    if isinstance(mitigation, Patch):
        return True
    return isinstance(mitigation, Bayes) and mitigation.settings().part == "network"


def _sample_cell(
    mitigation: Bayes,
    base: str,
    name: str,
    seed: int,
    rows: Cell,
    train: Mapping[tuple[str, int], Cell],
    features: Mapping[tuple[str, int, Role], Cell],
    numerics: Mapping[str, Any],
) -> Cell:
    """A posterior, scored on the choose rows. Of a head it is given features, of a network the rows themselves."""
    learn, choose = mitigation.learns_from()
    if _is_whole(mitigation):
        given = {"rows": f"{rows.address}/{learn}", "choose": f"{rows.address}/{choose}"}
    else:
        given = {"rows": features[base, seed, learn].address, "choose": features[base, seed, choose].address}
    return Cell(
        kind="sample",
        title=f"{base}+{name}, seed {seed}",
        spec={**spec_of(mitigation), "seed": seed},
        inputs={"train": train[base, seed].address, **given},
        numerics={**numerics, "compiler": compiler_of_trajectories()},
    )


def _choose_cell(
    study: Study,
    train: Mapping[tuple[str, int], Cell],
    features: Mapping[tuple[str, int, Role], Cell],
    repair: Mapping[tuple[str, str, int], Cell],
    numerics: Mapping[str, Any],
) -> Cell:
    inputs: dict[str, str] = {}
    for (base, seed), trained in train.items():
        inputs[f"rows {base} {seed}"] = features[base, seed, "choose"].address
        inputs[f"head {base} {seed}"] = f"{trained.address}/head"
    for (base, name, seed), repaired in repair.items():
        inputs[f"head {base}+{name} {seed}"] = repaired.address
    scored = [[name, _scores_itself(mitigation)] for name, mitigation in study.mitigations.items()]
    spec = {
        "subjects": list(study.subjects()),
        "bases": list(study.base),
        "mitigations": scored,
        "seeds": list(study.seeds),
    }
    return Cell(kind="choose", title="choose among all", spec=spec, inputs=inputs, numerics=numerics)


def _compute_cell(
    study: Study,
    rows: Cell,
    train: Mapping[tuple[str, int], Cell],
    repair: Mapping[tuple[str, str, int], Cell],
    before: Sequence[Cell],
    numerics: Mapping[str, Any],
) -> Cell | None:
    """What models cost, measured after all else so that nothing of the study runs beside it.

    Repairs of a head cost what their base costs, and are not measured again; nor are posteriors, which are many.
    """
    if study.compute is None:
        return None
    seed = study.seeds[0]
    models = {base: f"{train[base, seed].address}/model" for base in study.base}
    for base in study.base:
        for name in study.repairs_of(base):
            if isinstance(study.mitigations[name], Patch):
                models[f"{base}+{name}"] = f"{repair[base, name, seed].address}/model"
    return Cell(
        kind="compute",
        title="what a pass costs",
        spec={**study.compute.model_dump(mode="json"), "subjects": list(models)},
        inputs={
            "choose": f"{rows.address}/choose",
            **{f"model {subject}": place for subject, place in models.items()},
            **{f"after {number}": cell.address for number, cell in enumerate(before)},
        },
        numerics={**numerics, "machine": processor()},
    )


def _scores_itself(mitigation: Mitigation) -> bool:
    """Whether its cell leaves its score on the choose rows: a head that learnt there, or no single head at all."""
    return not is_method(mitigation) or learn_role(mitigation.settings()) == "choose"


def rows_cell(rows: RowsSpec, folder: Path, numerics: Mapping[str, Any]) -> Cell:
    """The content of the data enters the address. Its place does not, except for images, which stay where they are.

    Of a folder of images, that is its table and the files which the table names.
    """
    spec = rows.model_dump(mode="json", exclude_none=True)
    places: dict[str, str] = {}
    for kind, given in {"table": rows.table, "features": rows.features, "images": rows.images}.items():
        if given is None:
            continue
        data = found_in(folder, given.path)
        places["data"] = str(data)
        spec[kind]["path"] = str(data) if kind == "images" else data.name
        if given.images is not None:
            places["images"] = spec[kind]["images"] = str(found_in(folder, given.images))
    digests: dict[str, str] = {}
    if places:
        data = Path(places["data"])
        table = data / "metadata.csv" if data.is_dir() else data
        pictures = places.get("images", places["data"] if data.is_dir() else None)
        if table.is_file():
            digests["data"] = digest_file(table)
        if pictures is not None:
            digests["images"] = digest_pictures(table if table.is_file() else data, Path(pictures))
    return Cell(kind="rows", title="rows", spec=spec, numerics=numerics, digests=digests, places=places)

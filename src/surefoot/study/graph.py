"""A study cut into cells.

    rows ─┬─ train (base, seed) ─┬─ features (role) ─┬─ repair (mitigation) ─┬─ choose
          │                      │                   └───────────────────────┘
          └──────────────────────┴─ predict (base and its repairs) on the judge rows

Only `predict` is given the judge rows.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from surefoot.errors import InputError
from surefoot.files import digest_file, digest_json, read_json
from surefoot.rows.roles import Role
from surefoot.study.cells import Cell, in_order
from surefoot.study.shape import AFR, Base, Mitigation, Retrained, RowsSpec, Study

__all__ = ["Graph", "code_of", "graph_of", "learns_from", "training_of"]


@dataclass(frozen=True)
class Graph:
    """All cells of a study, by what they are of. `cells` holds each once, every cell after those it needs."""

    rows: Cell
    train: Mapping[tuple[str, int], Cell]
    features: Mapping[tuple[str, int, Role], Cell]
    repair: Mapping[tuple[str, str, int], Cell]
    choose: Cell
    predict: Mapping[tuple[str, int], Cell]

    def cells(self) -> tuple[Cell, ...]:
        """Each distinct cell once, in an order that can be run."""
        every = [self.rows, *self.train.values(), *self.features.values(), *self.repair.values(), self.choose]
        return in_order([*every, *self.predict.values()])


def graph_of(study: Study, folder: Path, numerics: Mapping[str, Any], *, device: str = "cpu") -> Graph:
    """The cells of `study`, whose paths are relative to `folder`.

    numerics: what decides the last bits; see `Cell`. Raises `InputError` when a data file is missing.
    """
    rows = _rows_cell(study.rows, folder, numerics)
    roles: dict[Role, None] = dict.fromkeys(
        ("choose", *(role for each in study.mitigations.values() for role in learns_from(each)))
    )
    train: dict[tuple[str, int], Cell] = {}
    features: dict[tuple[str, int, Role], Cell] = {}
    repair: dict[tuple[str, str, int], Cell] = {}
    predict: dict[tuple[str, int], Cell] = {}
    for base, training in study.base.items():
        for seed in study.seeds:
            trained = train[base, seed] = (
                _train_cell(study, base, seed, rows, folder, numerics, device)
                if training.model is None
                else _adopt_cell(base, training.model, rows, folder, numerics)
            )
            for role in roles:
                features[base, seed, role] = Cell(
                    kind="features",
                    title=f"features of {role} rows, {base}, seed {seed}",
                    spec={"role": role, "device": device},
                    inputs={"rows": f"{rows.address}/{role}", "model": f"{trained.address}/model"},
                    numerics=numerics,
                )
            for name, mitigation in study.mitigations.items():
                needed = {role: features[base, seed, role].address for role in learns_from(mitigation)}
                repair[base, name, seed] = Cell(
                    kind="repair",
                    title=f"{base}+{name}, seed {seed}",
                    spec={**mitigation.model_dump(mode="json", exclude={"label"}), "seed": seed},
                    inputs={"head": f"{trained.address}/head", **needed},
                    numerics=numerics,
                )
            heads = {f"head {name}": repair[base, name, seed].address for name in study.mitigations}
            predict[base, seed] = Cell(
                kind="predict",
                title=f"judge {base} and its repairs, seed {seed}",
                spec={"mitigations": list(study.mitigations), "device": device},
                inputs={"judge": f"{rows.address}/judge", "train": trained.address, **heads},
                numerics=numerics,
            )
    return Graph(rows, train, features, repair, _choose_cell(study, train, features, repair, numerics), predict)


def learns_from(mitigation: Mitigation) -> tuple[Role, ...]:
    """The roles whose features a mitigation needs: where it learns, where it tunes, where its scaler comes from."""
    match mitigation:
        case Retrained():
            scaling: tuple[Role, ...] = ("fit",) if mitigation.scaler == "published" else ()
            return tuple(dict.fromkeys((mitigation.learn, "choose", *scaling)))
        case AFR():
            return ("repair", "choose")


def code_of(model: Path) -> Path | None:
    """The file of a user's own code that the saved model in this folder is built by, if any."""
    record: Any = read_json(model / "record.json") if (model / "record.json").is_file() else {}
    spec: Any = record.get("spec", {}) if isinstance(record, dict) else {}
    named = spec.get("file") if isinstance(spec, dict) else None
    return None if named is None else Path(str(named).rpartition(":")[0])


def training_of(base: Base) -> dict[str, Any]:
    """A base's settings as `Ascend` takes them."""
    return base.model_dump(mode="json", exclude={"label", "model"})


def _train_cell(
    study: Study, base: str, seed: int, rows: Cell, folder: Path, numerics: Mapping[str, Any], device: str
) -> Cell:
    """The content of a user's own code enters the address, and so does its place: a saved model is built from there."""
    assert study.network is not None
    network = study.network.model_dump(mode="json", exclude_none=True)
    digests: dict[str, str] = {}
    if study.network.file is not None:
        file, _, name = study.network.file.rpartition(":")
        code = _found(folder, file)
        network["file"] = f"{code}:{name}"
        digests["code"] = _digest_code(code)
    return Cell(
        kind="train",
        title=f"train {base}, seed {seed}",
        spec={"network": network, "training": training_of(study.base[base]), "seed": seed, "device": device},
        inputs={"fit": f"{rows.address}/fit"},
        numerics=numerics,
        digests=digests,
    )


def _adopt_cell(base: str, model: str, rows: Cell, folder: Path, numerics: Mapping[str, Any]) -> Cell:
    """A finished model enters the study as if it had been trained, the same for every seed."""
    place = _found(folder, model)
    digests = {"model": _digest(place)}
    if (code := code_of(place)) is not None and code.is_file():
        digests["code"] = _digest_code(code)
    return Cell(
        kind="train",
        title=f"adopt {base}",
        spec={},
        inputs={"rows": f"{rows.address}/choose"},
        numerics=numerics,
        digests=digests,
        places={"model": str(place)},
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
    flattered = [[name, _learns_on_choose(mitigation)] for name, mitigation in study.mitigations.items()]
    spec = {
        "subjects": list(study.subjects()),
        "bases": list(study.base),
        "mitigations": flattered,
        "seeds": list(study.seeds),
    }
    return Cell(kind="choose", title="choose among all", spec=spec, inputs=inputs, numerics=numerics)


def _learns_on_choose(mitigation: Mitigation) -> bool:
    return not isinstance(mitigation, AFR) and mitigation.learn == "choose"


def _rows_cell(rows: RowsSpec, folder: Path, numerics: Mapping[str, Any]) -> Cell:
    """The content of the data enters the address. Its place does not, except for images, which stay where they are."""
    spec = rows.model_dump(mode="json", exclude_none=True)
    places: dict[str, str] = {}
    for kind, given in {"table": rows.table, "features": rows.features, "images": rows.images}.items():
        if given is None:
            continue
        data = _found(folder, given.path)
        places["data"] = str(data)
        spec[kind]["path"] = str(data) if kind == "images" else data.name
        if given.images is not None:
            places["images"] = spec[kind]["images"] = str(_found(folder, given.images))
    digests = {name: _digest(Path(place)) for name, place in places.items()}
    return Cell(kind="rows", title="rows", spec=spec, numerics=numerics, digests=digests, places=places)


def _found(folder: Path, path: str) -> Path:
    found = (folder / path).resolve()
    if not found.exists():
        raise InputError(f"The study names {path}, which is not in {folder}; paths are relative to the study file.")
    return found


def _digest_code(file: Path) -> str:
    """sha256 of a user's module and of the modules beside it, which it may import."""
    return digest_json({each.name: digest_file(each) for each in sorted({file, *file.parent.glob("*.py")})})


def _digest(path: Path) -> str:
    """sha256 of a file, or of the names and contents of everything in a folder."""
    if path.is_dir():
        files = [file for file in sorted(path.rglob("*")) if file.is_file()]
        return digest_json({file.relative_to(path).as_posix(): digest_file(file) for file in files})
    return digest_file(path)

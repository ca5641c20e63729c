"""The train cells of a study: a network on true or on weak labels, a finished model, or the candidate that is taken."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from surefoot.files import read_json
from surefoot.networks.user_code import digest_code
from surefoot.study.cells import Cell
from surefoot.study.choice.candidates import Candidates
from surefoot.study.content import digest_folder, found_in, network_of
from surefoot.study.shape import Base, Study
from surefoot.study.taught.cells import HALF

__all__ = [
    "adopt_cell", "code_of", "emphasis_of", "emphasised_inputs", "taken_cell", "train_cell", "training_of",
]  # fmt: skip


def code_of(model: Path) -> Path | None:
    """The file of a user's own code that the saved model in this folder is built by, if any."""
    record: Any = read_json(model / "record.json") if (model / "record.json").is_file() else {}
    spec: Any = record.get("spec", {}) if isinstance(record, dict) else {}
    named = spec.get("file") if isinstance(spec, dict) else None
    return None if named is None else Path(str(named).rpartition(":")[0])


def training_of(base: Base) -> dict[str, Any]:
    """A base's settings as `Ascend` takes them (but for `draw`, which follows from `emphasis_of`)."""
    return base.model_dump(mode="json", exclude={*NO_TRAINING, *EMPHASIS})


NO_TRAINING = ("label", "model", "candidate", "taught", "network", "patches", "draw_patches")
EMPHASIS = ("balance", "how", "robust", "step", "adjustment", "upweight", "remove_minority")


def emphasis_of(base: Base) -> dict[str, Any]:
    """Which fit rows count for more in a base's training, and how; empty where all count the same."""
    emphasis: dict[str, Any] = {}
    if base.balance != "none":
        emphasis |= {"balance": base.balance, "how": base.how}
    if base.robust is not None:
        emphasis |= {"robust": base.robust, "step": base.step, "adjustment": base.adjustment}
    if base.upweight is not None:
        emphasis |= {"upweight": base.upweight.by}
    if base.remove_minority:
        emphasis |= {"remove_minority": base.remove_minority}
    return emphasis


def emphasised_inputs(
    study: Study, base: str, seed: int, rows: Cell, train: Mapping[tuple[str, int], Cell]
) -> tuple[dict[str, Any], dict[str, str]]:
    """What the cell of a training on true labels says, and is given, besides network and training."""
    settings = study.base[base]
    spec: dict[str, Any] = {HALF: "supervisor"} if study.teaches(base) else {}
    if emphasis := emphasis_of(settings):
        spec["emphasis"] = emphasis
    if settings.patches is not None:
        spec["patches"] = {"sizes": settings.patches, "schedule": settings.draw_patches}
    first: dict[str, str] = {}
    if settings.upweight is not None:
        first = {"first": train[settings.upweight.mistakes_of, seed].address}
    return spec, {"fit": f"{rows.address}/fit", **first}


def train_cell(
    study: Study,
    base: str,
    seed: int,
    spec: Mapping[str, Any],
    inputs: Mapping[str, str],
    folder: Path,
    numerics: Mapping[str, Any],
    device: str,
    whose: str = "",
) -> Cell:
    own = study.network_of(base)
    assert own is not None
    network, digests = network_of(own, folder)
    return Cell(
        kind="train",
        title=f"train {whose}{base}, seed {seed}",
        spec={"network": network, "training": training_of(study.base[base]), "seed": seed, "device": device, **spec},
        inputs=inputs,
        numerics=numerics,
        digests=digests,
    )


def taken_cell(
    candidates: Candidates,
    base: str,
    seed: int,
    tried: Mapping[tuple[str, int], Cell],
    ranking: Cell,
    numerics: Mapping[str, Any],
) -> Cell:
    """The candidate that is chosen enters the study as if it had been trained as this base."""
    names = [each.name for each in candidates.all()]
    return Cell(
        kind="train",
        title=f"take the chosen candidate as {base}, seed {seed}",
        spec={"candidate": candidates.choose_by, "names": names, "seed": seed},
        inputs={"ranking": ranking.address, **{f"candidate {name}": tried[name, seed].address for name in names}},
        numerics=numerics,
    )


def adopt_cell(base: str, model: str, rows: Cell, folder: Path, numerics: Mapping[str, Any]) -> Cell:
    """A finished model enters the study as if it had been trained, the same for every seed."""
    place = found_in(folder, model)
    digests = {"model": digest_folder(place)}
    if (code := code_of(place)) is not None and code.is_file():
        digests["code"] = digest_code(code)
    return Cell(
        kind="train",
        title=f"adopt {base}",
        spec={},
        inputs={"rows": f"{rows.address}/choose"},
        numerics=numerics,
        digests=digests,
        places={"model": str(place)},
    )

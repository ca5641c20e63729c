"""From what a user has, a file of rows or a study, to a question."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from surefoot.errors import InputError
from surefoot.rows.assign import roles_from_split
from surefoot.rows.reading import SPLIT_MEANING, Reading
from surefoot.rows.roles import ROLES, Role
from surefoot.study.choice.candidates import Candidates
from surefoot.study.choice.graph import Question
from surefoot.study.once.columns import Columns
from surefoot.study.schema import load_study, sentence_of
from surefoot.study.seeds import check_seeds
from surefoot.study.shape import RowsSpec

__all__ = ["SHARES", "USUAL", "asked_of_data", "asked_of_study"]

SHARES: Mapping[Role, float] = {"fit": 0.8, "judge": 0.2}
"""How rows are shared out where the file has no split: criteria hold out what they need of the fit rows themselves."""
USUAL: Mapping[str, Any] = {"widths": [16, 64], "depths": [0, 1, 2], "precisions": [0.1, 1.0, 10.0]}
"""The grid, where none is given."""
SEEDS = (0, 1, 2)


def asked_of_data(
    data: Path,
    columns: Columns,
    told: Mapping[str, Any],
    seeds: Sequence[int] | None = None,
    *,
    confidence: float = 0.95,
    seed: int = 0,
) -> Question:
    """The question of a file or folder. told: keys of `Candidates`; what is missing is as in `USUAL`.

    With a split in the file, candidates learn from all rows but its judge rows.

    Raises `InputError` for what cannot be read, rows without classes and values that candidates refuse.
    """
    if columns.features is not None and columns.target in columns.features:
        raise InputError(
            f"The column {columns.target} is both a feature and the target, which every candidate would then read off; "
            "leave it out of the features."
        )
    reading = columns.read(data, coded=not data.is_dir())
    _refuse_numbers(reading, data)
    candidates = candidates_of({**USUAL, **told})
    given: dict[str, Any] = {
        "path": str(data.name),
        "target": columns.target,
        "attributes": list(columns.groups),
        "cluster": columns.cluster,
        "source": columns.source,
        "id": columns.id,
        "columns": None if columns.features is None else list(columns.features),
        "images": None if columns.images is None else str(columns.images.resolve()),
    }
    shared: dict[str, Any] = {"roles": dict(SHARES), "seed": seed}
    learn: tuple[Role, ...] = ("fit",)
    if reading.split is not None:
        roles = roles_from_split(reading.rows, reading.split, SPLIT_MEANING)
        learn = tuple(role for role in ROLES if role in roles and role != "judge")
        shared = {}
        given["split"] = columns.split
    kind = "images" if data.is_dir() else "features" if data.suffix.lower() in (".npz", ".safetensors") else "table"
    rows = RowsSpec.model_validate({kind: given, **shared})
    return Question(data.stem, rows, candidates, _seeds(seeds, SEEDS), learn, confidence)


def asked_of_study(file: Path, told: Mapping[str, Any], seeds: Sequence[int] | None = None) -> Question:
    """The question of a study's `candidates`, on its rows and seeds; what is told besides takes their place.

    Candidates learn from the fit rows, as `surefoot run` trains them: what one has finished, the other uses.
    """
    study = load_study(file)
    if study.candidates is None:
        raise InputError(
            f"{file.name} has no candidates to choose among; add a part such as candidates: {{widths: [16, 64]}}."
        )
    candidates = candidates_of({**study.candidates.model_dump(mode="json"), **told})
    return Question(study.study, study.rows, candidates, _seeds(seeds, study.seeds), ("fit",), study.confidence)


def candidates_of(told: Mapping[str, Any]) -> Candidates:
    """The candidates that these keys name; raises `InputError`, one sentence a problem."""
    try:
        return Candidates.model_validate(dict(told))
    except ValidationError as error:
        raise InputError("\n".join(sentence_of(problem) for problem in error.errors(include_url=False))) from None


def _seeds(given: Sequence[int] | None, usual: Sequence[int]) -> tuple[int, ...]:
    return check_seeds(usual if given is None else given)


def _refuse_numbers(reading: Reading, data: Path) -> None:
    """Raise for a target of numbers that no model could take for classes."""
    rows, classes = len(reading.rows), reading.rows.classes
    if len(classes) < 2:
        raise InputError(f"All rows of {data} are of one class ({', '.join(classes)}); a choice needs two or more.")
    fractional = [name for name in classes if _is_fraction(name)]
    if fractional and len(classes) > max(20, rows // 10):
        raise InputError(
            f"The target of {data.name} has {len(classes):,} different numbers (such as {fractional[0]}), which is a "
            "regression, and candidates are classifiers; bring it into classes, or name another target."
        )


def _is_fraction(name: str) -> bool:
    try:
        return not float(name).is_integer()
    except ValueError:
        return False

"""The work of a labels cell: what a supervisor says of the rows that its student is taught.

Leaves taught/: those rows with the supervisor's probabilities in the place of true labels, what it saw, and in words
where they come from; of a table that speaks of all judge rows also judge/labels.safetensors.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from surefoot.errors import InputError
from surefoot.files import write_json, write_tensors
from surefoot.findings.names import listed, written_alike
from surefoot.networks.weights import OpenedModel, load_model
from surefoot.progress import Progress
from surefoot.rows.roles import ROLES, Role, Roles
from surefoot.rows.rows import Rows, make_rows
from surefoot.study.once.opinions import Opinions, read_names, read_opinions, unknown_classes
from surefoot.study.once.predict import probabilities_of
from surefoot.study.once.taught_rows import supervised
from surefoot.study.seen import Seen, load_seen_inputs
from surefoot.study.stored import load_encoder, load_rows, load_seen, save_encoder, save_rows, save_seen
from surefoot.supervise.labels import Halves, WeakLabels, halve, weak_labels

__all__ = ["LABELS", "SAID", "TOLD", "halves_of", "label_rows", "read_labels"]

LABELS = "labels.json"
"""Beside the rows that a student is taught: whose labels they have, and notes for a reader."""
SAID = "judge/labels.safetensors"
"""What a table says of the judge rows."""
TOLD = "told.json"
"""What a card must say of a table of labels."""


def halves_of(fit: Rows, seed: int) -> Halves:
    """The fit rows in halves: a supervisor learns the truth of one, and labels the other.

    Raises `InputError` where rows that belong together leave nothing for one of them.
    """
    try:
        return halve(fit, seed)
    except InputError:
        raise InputError(
            f"The {len(fit):,} fit rows cannot be parted into a half whose truth a supervisor learns and a half that "
            "it labels, for too many share a source or an input and must stay together; give rows of more sources, or "
            "labels in a table."
        ) from None


def label_rows(spec: Mapping[str, Any], inputs: Mapping[str, Path], out: Path, progress: Progress) -> None:
    """Let a trained base label the rows that it has not seen; a link of a chain those that it was taught itself."""
    fit = load_rows(inputs["rows"])
    rows = halves_of(fit, spec["half"]).student if "half" in spec else fit
    own, by, saw = bool(spec.get("own")), str(spec["by"]), load_seen(inputs["supervisor"])
    known = Seen(saw, load_seen_inputs(inputs["supervisor"])).rows(rows)
    if known.any() and not own:
        raise InputError(
            f"{by} was trained on {int(known.sum()):,} of the {len(rows):,} fit rows that it is to label (first: "
            f"{rows.ids[known][0]}), whose answers it knows; name a base that is trained here, or other rows."
        )
    saved = load_model(inputs["supervisor"] / "model", trust_code=True)
    model = OpenedModel(saved.network, saved.parameters, saved.record)
    said = probabilities_of(model, rows, device=spec["device"], progress=progress)
    labels = weak_labels(rows, said, seen=saw, by=by, among_own=own)
    of = f"{len(rows):,} of {len(fit):,} fit rows" if len(rows) < len(fit) else f"all {len(rows):,} fit rows"
    of = f"the {len(rows):,} rows that it was taught itself" if own else of
    _leave(labels, [f"Taught what {by} says of {of}."], inputs["rows"], out)


def read_labels(spec: Mapping[str, Any], inputs: Mapping[str, Path], out: Path, progress: Progress) -> None:
    """Take labels from a table, by the names of rows; of rows that are no fit or judge rows it may speak in vain."""
    places: dict[Role, Path] = {role: inputs["rows"] / role for role in ROLES if (inputs["rows"] / role).is_dir()}
    parts: Roles = {role: load_rows(place) for role, place in places.items()}
    fit, by = parts["fit"], str(spec["by"])
    opinions = read_opinions(
        inputs["labels"], classes=fit.classes, identity=spec["id"], probabilities=spec["probabilities"],
        prediction=spec["prediction"],
    )  # fmt: skip
    if opinions.ids is None:
        raise InputError(
            f"{by} has no column of ids, and the rows of a study are shared out among roles; name the row of each line "
            f"in a column 'id' (the rows' own ids look like {', '.join(map(str, fit.ids[:2].tolist()))})."
        )
    said = _as_classes(opinions, fit.classes)
    line = dict(zip(parts, opinions.of(_names_of(parts)).split([len(part) for part in parts.values()]), strict=True))
    saw = read_names(inputs["seen"]) if "seen" in inputs else opinions.seen
    of_role = {role: supervised(part, saw or frozenset()) for role, part in parts.items()}
    here = frozenset[str]().union(*(found for _, found in of_role.values()))
    labelled, own = line["fit"] >= 0, of_role["fit"][0]
    if bool((own & labelled).any()):
        raise InputError(
            f"Whoever made {by} was trained on {int((own & labelled).sum()):,} of the fit rows that it labels (first: "
            f"{fit.ids[(own & labelled).numpy()][0]}), whose answers are then known; leave their labels out."
        )
    if not bool(labelled.any()):
        raise InputError(f"{by} labels none of the {len(fit):,} fit rows, so there is nobody to teach; label some.")
    names = frozenset(name for role, part in parts.items() for name in part.take(of_role[role][0]).origins())
    rows = fit.take(labelled)
    # A number says where a row stands in some file: one that is no row of these is a row of another.
    away = frozenset(name for name in saw or () if name not in here and not name.removeprefix("row:").isdecimal())
    labels = weak_labels(rows, said[line["fit"][labelled]].float(), seen=names | away, by=by)
    left = len(fit) - len(rows)
    without = f"; {left:,} have no weak label and took no part" if left else ""
    _leave(labels, [f"Taught what {by} says of {len(rows):,} of {len(fit):,} fit rows{without}."], places["fit"], out)
    judged = int((line["judge"] >= 0).sum())
    if judged == len(line["judge"]):
        write_tensors(out / SAID, {"probabilities": said[line["judge"]].contiguous()})
    told = {"certain": opinions.certain, "judged": judged, "judge": len(line["judge"]), "seen": saw is not None}
    write_json(out / TOLD, {**told, "told": [*opinions.told]})
    progress("labels", 1, 1)


def _names_of(parts: Roles) -> Rows:
    """All rows by name alone, one role after another."""
    ids = np.concatenate([part.ids for part in parts.values()])
    return make_rows(torch.zeros(len(ids), 0), torch.zeros(len(ids), dtype=torch.int64), ids=ids)


def _as_classes(opinions: Opinions, classes: tuple[str, ...]) -> Float[Tensor, "lines classes"]:
    """The probabilities with a column for each class of the rows, in their order.

    A class that certain labels never name has none. Raises `InputError` for a class that one of both does not know.
    """
    alike, _ = written_alike(classes, opinions.classes, opinions.name)
    strange = [name for name in alike if name not in classes]
    if strange:
        raise InputError(
            f"{opinions.name} speaks of {listed(strange)}, and the classes of the rows are {listed(classes)}; label "
            "rows with these."
        )
    missing = [name for name in classes if name not in alike]
    if missing and not opinions.certain:
        raise unknown_classes(missing, alike, opinions.name)
    said = torch.zeros(len(opinions.probabilities), len(classes), dtype=torch.float64)
    said[:, [classes.index(name) for name in alike]] = opinions.probabilities
    return said


def _leave(labels: WeakLabels, notes: list[str], folder: Path, out: Path) -> None:
    """The rows with their weak labels. folder: of the rows as they were, where their columns are told."""
    save_rows(labels.rows, "fit", out / "taught")
    save_seen(labels.seen, out / "taught")
    if (encoder := load_encoder(folder)) is not None:
        save_encoder(encoder, out / "taught")
    write_json(out / "taught" / LABELS, {"by": labels.by, "notes": notes})

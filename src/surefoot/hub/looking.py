"""A pretrained model as it is: its own head measured, or asked for probabilities, on features that it takes first.

    looked = look_at_pretrained("my-resnet/", Path("pictures/"))
    looked.kept.card

Each does for a folder that `save_pretrained` wrote what `surefoot.study.once` does for a model that surefoot saved.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import nn

from surefoot.errors import InputError
from surefoot.hub.classes import read_for
from surefoot.hub.encoder import Encoder
from surefoot.hub.opening import open_encoder
from surefoot.hub.roads import behind, save_head, take_features
from surefoot.progress import Progress, silent
from surefoot.robust.class_order import doubt_order
from surefoot.rows.reading import UNLABELLED
from surefoot.study.once.claim_text import parse_claim
from surefoot.study.once.columns import USUAL, Columns
from surefoot.study.once.keep import Kept
from surefoot.study.once.measure import look
from surefoot.study.once.predict import predict

__all__ = ["Looked", "look_at_pretrained", "predict_pretrained"]


@dataclass(frozen=True)
class Looked:
    """The card and its folder, what a reader must know with the verdict, and what besides."""

    kept: Kept
    warnings: tuple[str, ...]
    told: tuple[str, ...]


def look_at_pretrained(
    model: str,
    data: Path,
    *,
    columns: Columns = USUAL,
    claims: Sequence[str] = (),
    trust_code: bool = False,
    device: str = "cpu",
    confidence: float = 0.95,
    out: Path = Path("runs"),
    command: str = "",
    progress: Progress = silent,
) -> Looked:
    """Where does a pretrained model fail? A card of its own head; judged are the test rows of a split, else all rows.

    Its features are kept below `out`, where `repair_model` finds them again. Raises `InputError` for a model without a
    head, and where the classes of the data are not the model's.
    """
    for claim in claims:
        parse_claim(claim, "model", confidence)
    encoder = _with_head(model, trust_code)
    read = read_for(encoder, data, columns, labelled=True)
    if read.mismatch is not None:
        raise InputError(f"{model} cannot be measured on {data}, because {read.mismatch}; give the same classes.")
    made = take_features(model, data, encoder, read, out, device=device, progress=progress)
    assert encoder.head is not None
    rows = made.extracted.rows[encoder.head]
    own = encoder.module.get_submodule(encoder.head)
    assert isinstance(own, nn.Linear)
    with torch.no_grad():
        logits = own.cpu()(rows.inputs[:])
    doubt = doubt_order(logits, rows.targets, "rows given") if rows.targets.ndim == 1 else None
    known = behind(model, data, made)
    if doubt is not None:
        known = replace(known, warnings=(doubt, *known.warnings))
    kept = look(str(made.head), made.file, claims=claims, confidence=confidence, out=out, command=command, behind=known)
    return Looked(kept, known.warnings, known.notes)


def predict_pretrained(
    model: str,
    data: Path,
    *,
    columns: Columns = USUAL,
    trust_code: bool = False,
    device: str = "cpu",
    out: Path = Path("runs"),
    progress: Progress = silent,
) -> str:
    """A pretrained model's class probabilities as CSV text, as `predict` writes them; labels may be absent."""
    encoder = _with_head(model, trust_code)
    read = read_for(encoder, data, columns)
    made = take_features(model, data, encoder, read, out, device=device, progress=progress)
    head = made.head
    if head is None and read.reading.rows.classes == (UNLABELLED,):
        head = made.file.with_name(f"{made.file.stem}-head")
        save_head(encoder, encoder.classes or tuple(map(str, range(_outputs(encoder)))), head)
    if head is None:
        raise InputError(f"{data} has labels that {model} does not know, because {read.mismatch}; leave them out.")
    return predict(str(head), made.file)


def _with_head(model: str, trust_code: bool) -> Encoder:
    encoder = open_encoder(model, trust_code=trust_code)
    if encoder.head is None:
        raise InputError(
            f"{encoder.name} has no classification head, so it says nothing of classes; `surefoot features` takes its "
            "features, and `surefoot repair` a head for them."
        )
    return encoder


def _outputs(encoder: Encoder) -> int:
    assert encoder.head is not None
    layer = encoder.module.get_submodule(encoder.head)
    assert isinstance(layer, nn.Linear)
    return layer.out_features

"""What the commands of the hub do: features of a data set into a file, and the model's own head beside it.

made = features_of("minilm", Path("comments.csv"), Path("features.safetensors"), columns=Columns(text=("text",)))
made.head        # a folder for `surefoot repair features.safetensors --head`, where the model has a head
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import torch
from torch import nn

from surefoot.errors import InputError
from surefoot.files import digest_json
from surefoot.hub.encoder import Encoder
from surefoot.hub.extract import Extracted, extract_layers
from surefoot.hub.features_file import write_features
from surefoot.hub.layers import own_layer
from surefoot.hub.opening import open_encoder
from surefoot.hub.repaired import Written, check_can_write, write_repaired
from surefoot.hub.ways import Precision
from surefoot.networks.weights import ModelRecord, save_model
from surefoot.progress import Progress, silent
from surefoot.rows.published.read import Published, describe_published, image_rows, text_rows
from surefoot.rows.reading import UNLABELLED, Reading
from surefoot.study.once.columns import USUAL, Columns
from surefoot.study.once.repair import KeptRepair, refuse_unknown_methods, repair_features

__all__ = [
    "MadeFeatures",
    "ReadFor",
    "RepairedModel",
    "features_of",
    "read_for",
    "read_published_for",
    "repair_model",
    "save_head",
]

HEAD = "head"
"""The name of a linear network's layer."""
TEXTS = ("text", "sentence", "comment_text", "sentence1", "premise")
PAIRS = {"text": "text_pair", "sentence1": "sentence2", "premise": "hypothesis"}


@dataclass(frozen=True)
class MadeFeatures:
    """The file, the head beside it (None where the model has none, or another layer was taken), and sentences."""

    file: Path
    head: Path | None
    extracted: Extracted
    reading: Reading
    mismatch: str | None
    told: tuple[str, ...]


class ReadFor(NamedTuple):
    """Rows as a model reads them; `mismatch` says why the model's head does not speak of their classes, or is None."""

    reading: Reading
    mismatch: str | None


def features_of(
    model: str,
    data: Path,
    out: Path,
    *,
    columns: Columns = USUAL,
    layer: str | None = None,
    weights: Path | None = None,
    head: str | None = None,
    trust_code: bool = False,
    precision: Precision = "float32",
    device: str = "cpu",
    cache: Path = Path("runs/features"),
    encoder: Encoder | None = None,
    published: Published | None = None,
    progress: Progress = silent,
) -> MadeFeatures:
    """Read `data`, take `layer`'s features (none: the model's own) of every row, and write them to `out`.

    cache: where extraction is kept, so that a killed run goes on. encoder: `model`, where it is open already.
    published: the rows of `data`, where it is a folder in a published layout.
    Raises `InputError` when the model, the data, or the two together cannot be used.
    """
    opened = encoder or open_encoder(model, trust_code=trust_code, weights=weights, head=head)
    if published is None:
        reading, mismatch = read_for(opened, data, columns)
    else:
        reading, mismatch = read_published_for(opened, published)
    extracted = extract_layers(
        opened,
        reading.rows,
        () if layer is None else (layer,),
        folder=cache,
        precision=precision,
        device=device,
        progress=progress,
    )
    rows = next(iter(extracted.rows.values()))
    told = list(extracted.notes)
    beside: Path | None = None
    if opened.head is not None and (layer or opened.head) == opened.head:
        if mismatch is None:
            beside = out.with_name(f"{out.stem}-head")
            save_head(opened, reading, beside)
            if opened.folder is not None and opened.classes is None:
                told.append(
                    f"The model does not name its classes (LABEL_0, LABEL_1, …); they are taken to be the data's in "
                    f"this order: {', '.join(rows.classes)}."
                )
        else:
            told.append(mismatch)
    write_features(out, rows, reading.split, told)
    return MadeFeatures(out, beside, extracted, reading, mismatch, tuple(told))


def read_for(encoder: Encoder, data: Path, columns: Columns) -> ReadFor:
    """The rows of `data` as this encoder reads them: texts by a named or usual column, images, or numbers.

    Rows get the model's classes, in its order, where the data names the same (case aside) or numbers them from 0.
    """
    wanted = columns
    if encoder.reads == "texts" and not columns.text:
        wanted = replace(columns, text=_usual_texts(data))
    if encoder.reads == "images" and columns.images is None and data.suffix.lower() in {".csv", ".parquet"}:
        wanted = replace(columns, images=data.parent)
    reading = wanted.read(data, labelled=False)
    own = reading.rows.classes
    if own == (UNLABELLED,):
        return ReadFor(reading, "The data has no labels, so the model's head is not left beside its features.")
    if encoder.head is None:
        return ReadFor(reading, None)
    layer = encoder.module.get_submodule(encoder.head)
    assert isinstance(layer, nn.Linear)
    if encoder.classes is not None and not all(name.isdecimal() for name in own):
        spelled = {name.lower(): name for name in own}
        ordered = [spelled.get(name.lower(), name) for name in encoder.classes]
        if set(ordered) >= set(own):
            return ReadFor(wanted.read(data, classes=ordered), None)
    elif encoder.classes is not None and len(own) <= len(encoder.classes):
        return ReadFor(wanted.read(data, classes=encoder.classes), None)
    elif layer.out_features == len(own):
        return ReadFor(reading, None)
    elif all(name.isdecimal() and int(name) < layer.out_features for name in own):
        return ReadFor(wanted.read(data, classes=tuple(map(str, range(layer.out_features)))), None)
    named = f" ({', '.join(encoder.classes[:5])})" if encoder.classes else ""
    return ReadFor(
        reading,
        f"The model's {layer.out_features} classes{named} are not those of the data ({', '.join(own[:5])}), so its "
        "head is not left beside its features.",
    )


def read_published_for(encoder: Encoder, published: Published) -> ReadFor:
    """The rows of a published data set as this encoder reads them, its texts or its images, with its own splits.

    A head that names the same classes has its own order; one that names none, of as many classes, the published order.
    """
    rows = text_rows(published) if encoder.reads == "texts" else image_rows(published)
    own = rows.classes
    same = encoder.classes is None
    if encoder.classes is not None and encoder.head is not None:
        ordered = tuple(name.lower() for name in encoder.classes)
        same = sorted(ordered) == sorted(name.lower() for name in own)
        if same:
            place = torch.tensor([ordered.index(name.lower()) for name in own])
            classes = tuple(own[int(at)] for at in place.argsort())
            rows = replace(rows, targets=place[rows.targets], classes=classes)
    described = "\n".join(describe_published(published))
    reading = Reading(rows, published.split, described)
    if encoder.head is None:
        return ReadFor(reading, None)
    layer = encoder.module.get_submodule(encoder.head)
    assert isinstance(layer, nn.Linear)
    if same and layer.out_features == len(own):
        return ReadFor(reading, None)
    named = f" ({', '.join(encoder.classes[:5])})" if encoder.classes else ""
    return ReadFor(
        reading,
        f"The model's {layer.out_features} classes{named} are not those of {published.layout} ({', '.join(own[:5])}), "
        "so its head is not left beside its features.",
    )


def save_head(encoder: Encoder, reading: Reading, folder: Path) -> None:
    """The encoder's head as a surefoot model that reads its features.

    Raises `InputError` where head and data have different numbers of classes.
    """
    assert encoder.head is not None
    own = dict(encoder.module.get_submodule(encoder.head).named_parameters())
    weight = own["weight"].detach().float()
    bias = own["bias"].detach().float() if "bias" in own else torch.zeros(len(weight))
    classes = reading.rows.classes
    spec = {"linear": {"inputs": weight.shape[1], "classes": len(weight)}}
    record = ModelRecord(
        spec, HEAD, classes, (weight.shape[1],), {"head_of": encoder.name, "layer": own_layer(encoder)}
    )
    save_model(folder, {f"{HEAD}.weight": weight, f"{HEAD}.bias": bias}, record)


def _usual_texts(data: Path) -> tuple[str, ...]:
    from surefoot.rows.tables import read_table

    table = read_table(data)
    for name in TEXTS:
        if name in table.columns:
            pair = PAIRS.get(name)
            return (name, pair) if pair is not None and pair in table.columns else (name,)
    raise InputError(
        f"The model reads texts and {data} has no column called {', '.join(TEXTS)}; name it: --text COLUMN "
        f"(its columns are: {', '.join(list(table.columns)[:20])})."
    )


@dataclass(frozen=True)
class RepairedModel:
    """The kept repair; the folder of the repaired model and how far its logits are from the head's; sentences."""

    kept: KeptRepair
    written: Written | None
    told: tuple[str, ...]


def repair_model(
    model: str,
    data: Path,
    *,
    columns: Columns = USUAL,
    weights: Path | None = None,
    trust_code: bool = False,
    device: str = "cpu",
    methods: Sequence[str] | None = None,
    claims: Sequence[str] = (),
    confidence: float = 0.95,
    seed: int = 0,
    out: Path = Path("runs"),
    command: str = "",
    progress: Progress = silent,
) -> RepairedModel:
    """Take a model's features of `data`, repair its head on them, and put the chosen head back into the model.

    The repaired model is the folder `repaired` of the run, which `from_pretrained` loads; where the head cannot be put
    back, a sentence says why, and the surefoot model that reads features is what is left.

    methods: as `repair_features` takes them; names that are none are refused before any feature is taken.
    """
    if methods is not None:
        refuse_unknown_methods(methods)
    encoder = open_encoder(model, trust_code=trust_code, weights=weights)
    name = f"{data.stem}-{digest_json([model, str(data.resolve())])[:8]}"
    made = features_of(
        model,
        data,
        out / "features" / f"{name}.safetensors",
        columns=columns,
        device=device,
        cache=out / "features",
        encoder=encoder,
        progress=progress,
    )
    kept = repair_features(
        made.file,
        head=None if made.head is None else str(made.head),
        methods=methods,
        claims=claims,
        confidence=confidence,
        seed=seed,
        out=out,
        command=command,
        progress=progress,
    )
    told = [*made.told]
    reason = check_can_write(encoder, len(made.reading.rows.classes)) or made.mismatch
    written: Written | None = None
    if reason is None:
        written = write_repaired(encoder, kept.head, made.reading.rows, kept.folder / "repaired")
        told.append(
            f"The repaired model, for from_pretrained: {written.folder}; loaded again, its logits differ from the "
            f"repaired head's by at most {written.difference:.1e} on {written.rows} rows."
        )
    elif reason not in told:
        told.append(reason)
    return RepairedModel(kept, written, tuple(told))

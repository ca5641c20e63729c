"""What the commands of the hub do: features of a data set into a file, and the model's own head beside it.

made = features_of("minilm", Path("comments.csv"), Path("features.safetensors"), columns=Columns(text=("text",)))
made.head        # a folder for `surefoot repair features.safetensors --head`, where the model has a head
"""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from surefoot.errors import InputError
from surefoot.files import digest_json
from surefoot.hub.classes import ReadFor, read_for, read_published_for
from surefoot.hub.encoder import Encoder
from surefoot.hub.extract import Extracted, extract_layers
from surefoot.hub.features_file import write_features
from surefoot.hub.layers import own_layer
from surefoot.hub.opening import open_encoder
from surefoot.hub.repaired import Written, check_can_write, write_repaired
from surefoot.hub.ways import Precision
from surefoot.networks.weights import ModelRecord, save_model
from surefoot.progress import Progress, silent
from surefoot.robust.methods import method_of
from surefoot.rows.describe import describe_inputs
from surefoot.rows.published.read import Published
from surefoot.rows.reading import Reading
from surefoot.study.once.behind import Behind
from surefoot.study.once.claim_text import parse_claim
from surefoot.study.once.columns import USUAL, Columns
from surefoot.study.once.parted import give_roles
from surefoot.study.once.repair import KeptRepair, refuse_unknown_methods, repair_features

__all__ = [
    "MadeFeatures",
    "RepairedModel",
    "behind",
    "copy_seen",
    "features_file",
    "features_of",
    "repair_model",
    "save_head",
]

HEAD = "head"
"""The name of a linear network's layer."""
BASE = "base"
"""The subject of a card that is the head as it was."""


@dataclass(frozen=True)
class MadeFeatures:
    """The file, the head beside it (None where the model has none, or another layer was taken), and sentences.

    how: how the features were taken, for a record. told: what a reader must know of them.
    """

    file: Path
    head: Path | None
    extracted: Extracted
    read: ReadFor
    how: str
    told: tuple[str, ...]

    @property
    def reading(self) -> Reading:
        """The rows before the model saw them."""
        return self.read.reading


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
    read: ReadFor | None = None,
    published: Published | None = None,
    progress: Progress = silent,
) -> MadeFeatures:
    """Read `data`, take `layer`'s features (none: the model's own) of every row, and write them to `out`.

    cache: where extraction is kept, so that a killed run goes on. encoder, read: `model` and `data`, where they are
    open already. published: the rows of `data`, where it is a folder in a published layout.
    Raises `InputError` when the model, the data, or the two together cannot be used.
    """
    opened = encoder or open_encoder(model, trust_code=trust_code, weights=weights, head=head)
    if read is None:
        read = read_for(opened, data, columns) if published is None else read_published_for(opened, published)
    reading, mismatch = read.reading, read.mismatch
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
    told = [*extracted.notes]
    beside: Path | None = None
    if opened.head is not None and (layer or opened.head) == opened.head:
        if mismatch is None:
            beside = out.with_name(f"{out.stem}-head")
            save_head(opened, reading.rows.classes, beside)
            told += [read.taken] if read.taken else []
        else:
            told.append(f"The model's head is not left beside its features, because {mismatch}.")
    write_features(out, rows, reading.split, [extracted.how, *told])
    return MadeFeatures(out, beside, extracted, read, extracted.how, tuple(told))


def features_file(model: str, data: Path, out: Path) -> Path:
    """Where the features that a command takes on its way lie below `out`."""
    return out / "features" / f"{data.stem}-{digest_json([model, str(data.resolve())])[:8]}.safetensors"


def save_head(encoder: Encoder, classes: Sequence[str], folder: Path) -> None:
    """The encoder's head as a surefoot model that reads its features; it has seen what its model's record says.

    Raises `InputError` where head and classes are not of one number.
    """
    assert encoder.head is not None
    own = dict(encoder.module.get_submodule(encoder.head).named_parameters())
    weight = own["weight"].detach().float()
    bias = own["bias"].detach().float() if "bias" in own else torch.zeros(len(weight))
    spec = {"linear": {"inputs": weight.shape[1], "classes": len(weight)}}
    record = ModelRecord(
        spec, HEAD, tuple(classes), (weight.shape[1],), {"head_of": encoder.name, "layer": own_layer(encoder)}
    )
    for old in folder.glob("seen*.json"):
        old.unlink()
    save_model(folder, {f"{HEAD}.weight": weight, f"{HEAD}.bias": bias}, record)
    if encoder.folder is not None:
        copy_seen(encoder.folder, folder)


def copy_seen(source: Path, target: Path) -> None:
    """Carry along what a model in one folder is recorded to have seen."""
    for path in source.glob("seen*.json"):
        shutil.copyfile(path, target / path.name)


def take_features(
    model: str, data: Path, encoder: Encoder, read: ReadFor, out: Path, *, device: str, progress: Progress
) -> MadeFeatures:
    """The features of rows that were read for an opened model, below `out`, where every road finds them again."""
    return features_of(
        model,
        data,
        features_file(model, data, out),
        device=device,
        cache=out / "features",
        encoder=encoder,
        read=read,
        progress=progress,
    )


def behind(model: str, data: Path, made: MadeFeatures) -> Behind:
    """What a card says of the model and the data that features were taken from."""
    named = Path(model).name if Path(model).exists() else model
    way = made.extracted.choice.way.told()
    rows = made.reading.rows
    described = [f"{len(rows):,} rows of {describe_inputs(rows.inputs)}", *made.reading.described.splitlines()]
    return Behind(
        model=model,
        title=f"{named} on {data.name}",
        called=data.name,
        data=f"{data.name}: {'; '.join(described)}; features by {named} ({way})",
        warnings=(
            f"surefoot cannot know what {named} was trained on; if it saw judge rows, these numbers are too good.",
        ),
        notes=(*made.extracted.notes, *((made.read.taken,) if made.read.taken else ())),
        rows=rows,
    )


@dataclass(frozen=True)
class RepairedModel:
    """The kept repair; the folder of the repaired model and how far its logits are from the head's; sentences.

    written: None where the head cannot be put back; `told` then says why.
    """

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

    What can be known to be wrong before any feature is taken raises `InputError` then: methods and claims, labels,
    pictures that cannot be read, splits without a role that repair needs, rows that lie in two of them.
    """
    for claim in claims:
        parse_claim(claim, "chosen", confidence)
    if methods is not None:
        refuse_unknown_methods(methods)
    encoder = open_encoder(model, trust_code=trust_code, weights=weights)
    read = read_for(encoder, data, columns, labelled=True)
    _refuse_unrepairable(read.reading, data, methods, seed)
    made = take_features(model, data, encoder, read, out, device=device, progress=progress)
    kept = repair_features(
        made.file,
        head=None if made.head is None else str(made.head),
        methods=methods,
        claims=claims,
        confidence=confidence,
        seed=seed,
        out=out,
        command=command,
        behind=behind(model, data, made),
        progress=progress,
    )
    if read.mismatch is not None:
        why = f"No repaired folder was written, because {read.mismatch}; the base head here is a new one."
        if check_can_write(encoder, len(read.reading.rows.classes)) is None:
            why += " To repair the model's own, give labels as its class names."
        return RepairedModel(kept, None, (why,))
    if (reason := check_can_write(encoder, len(read.reading.rows.classes))) is not None:
        return RepairedModel(kept, None, (f"No repaired folder was written: {reason}",))
    written = write_repaired(encoder, kept.head, read.reading.rows, kept.folder / "repaired")
    copy_seen(kept.folder / "model", written.folder)
    return RepairedModel(kept, written, (_about_written(written, unchanged=kept.card.chosen == BASE),))


def _about_written(written: Written, *, unchanged: bool) -> str:
    if unchanged:
        return f"No repair did better on the choose rows: {written.folder} holds your model unchanged."
    if written.same == written.rows:
        checked = f"same predictions on all {written.rows} rows checked"
    else:
        checked = f"same predictions on {written.same} of {written.rows} rows checked (its head is kept in 16 bits)"
    return f"The repaired model: {written.folder}; loaded again with from_pretrained, {checked}."


def _refuse_unrepairable(reading: Reading, data: Path, methods: Sequence[str] | None, seed: int) -> None:
    """Raise `InputError` for rows that no repair could use, before they cost an extraction."""
    classes = reading.rows.classes
    if len(classes) < 2:
        raise InputError(f"All rows of {data} are of one class ({', '.join(classes)}); repair needs two or more.")
    for name in methods or ():
        if method_of(name).needs_groups and not reading.rows.groups.names:
            raise InputError(f"The repair {name!r} fits with groups, and {data} has none; name columns with --groups.")
    give_roles(reading, seed)

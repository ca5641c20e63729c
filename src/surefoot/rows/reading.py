"""Read a user's data, whatever common form it has, into rows; and say what was read as what.

Names that are not given are looked for among the usual ones of the field: `id,filename,split,y,a`; Waterbirds'
`img_id,img_filename,y,split,place`; `spurious` and `group`; `metadata_array`; arrays of embeddings and labels.
Whatever was found this way, and whatever was not used, is said in `Reading.described`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from surefoot.errors import InputError
from surefoot.files import digest_file
from surefoot.memory import require_memory
from surefoot.rows.arrays import rows_from_arrays
from surefoot.rows.class_folders import read_class_folders
from surefoot.rows.delimited import is_text_table
from surefoot.rows.describe import describe
from surefoot.rows.encoding import Coded, Encoder, code_columns
from surefoot.rows.features import INPUT_NAMES, read_features
from surefoot.rows.grouping import Grouping, attribute_texts, columns_behind, find_grouping, member_groups
from surefoot.rows.images import find_images
from surefoot.rows.roles import Role
from surefoot.rows.rows import Groups, Inputs, Rows
from surefoot.rows.streamed import FileFeatures
from surefoot.rows.tables import Frame, Table, column, is_numeric, numbers, read_table, table_from_frame, texts, width
from surefoot.rows.texts import Texts

__all__ = ["SPLIT_MEANING", "UNLABELLED", "Reading", "describe", "read_rows", "rows_from_arrays", "rows_from_dataframe"]

TARGETS = ("y", "label", "labels", "target", "targets", "class", "gold_label")
SPLITS = ("split", "partition")
IDS = ("id", "ids", "img_id", "image_id", "idx", "", "Unnamed: 0")
FILES = ("filename", "img_filename", "file_name", "image", "path")
SOURCES = ("source", "sources")
CLUSTERS = ("cluster", "clusters")

SPLIT_MEANING: Mapping[str, Role] = {
    "train": "fit", "training": "fit", "0": "fit", "fit": "fit",
    "repair": "repair",
    "val": "choose", "valid": "choose", "validation": "choose", "dev": "choose", "1": "choose", "choose": "choose",
    "test": "judge", "testing": "judge", "2": "judge", "judge": "judge",
}  # fmt: skip
"""What the usual names of splits mean, for `roles_from_split`."""


UNLABELLED = "unlabelled"
"""The one class of rows that were read without labels."""


@dataclass(frozen=True)
class Reading:
    """Rows, the file's own split if it has one (one value per row), and what was read as what (one line each).

    coded: the columns that are to become features; the inputs are then their codes.
    """

    rows: Rows
    split: tuple[str, ...] | None
    described: str
    coded: Coded | None = None


@dataclass(frozen=True)
class _Wanted:
    """What the caller said about the columns; nothing means: look for the usual names."""

    target: str | None
    attributes: tuple[str, ...]
    split: str | None
    cluster: str | None
    source: str | None
    id_column: str | None
    features: tuple[str, ...]
    classes: tuple[str, ...] | None
    full_crossing: bool
    images: Path | None
    image_size: tuple[int, int] | None
    labelled: bool = True
    text: tuple[str, ...] = ()
    coded: bool = False
    encoder: Encoder | None = None
    partly: bool = False


def read_rows(
    path: Path,
    *,
    target: str | None = None,
    attributes: Sequence[str] = (),
    split: str | None = None,
    cluster: str | None = None,
    id_column: str | None = None,
    features: Sequence[str] | None = None,
    images: Path | None = None,
    split_meaning: Mapping[str, Role] | None = None,
    classes: Sequence[str] | None = None,
    source: str | None = None,
    full_crossing: bool = False,
    image_size: tuple[int, int] | None = None,
    labelled: bool = True,
    text: Sequence[str] = (),
    coded: bool = False,
    encoder: Encoder | None = None,
    partly: bool = False,
) -> Reading:
    """Read a table (`.csv`, `.parquet`), features (`.npz`, `.safetensors`), or a folder of images.

    A folder has a `metadata.csv`, or is read as `class_folders` says: a folder for each class, in splits or not.

    target, attributes, split, cluster, source, id_column: columns (or arrays) by name. Attributes are crossed with the
    class, those with * between them with one another too (see `grouping`). Rows of one `source` must share a role (a
    patient, say), and intervals count them as one; `cluster` counts in intervals alone, beside the source.
    features: the columns that are inputs; else an array named as embeddings, else all numeric columns left.
    text: the columns of the texts that a model is to read, in place of numbers.
    images: the folder of the files that a column names; `image_size` (height, width) resizes them.
    split_meaning: when given, every split must be in it. classes: the classes in order, when some may be absent.
    labelled: without it, a file that has no labels is read too; every row is then of the class `UNLABELLED`.
    partly: a row whose label is an empty cell is read too, as of that class.

    coded: of a table of single columns, words among them, the inputs are codes, for `fit_encoder`. encoder: one that
    was fitted; the features of a table are what it makes of its columns.

    A row without an id or a source descends from its place in a file of this content, so that rows of two files
    are not taken for the same.

    Raises `InputError` for a missing file or column (with the nearest name), a damaged file, a label outside
    the classes, features that are not finite, and files that would not fit into memory.
    """
    table: Table | None = None
    if path.is_dir():
        images = path if images is None else images
        table = None if (path / "metadata.csv").is_file() else read_class_folders(path, SPLIT_MEANING)
        path = path / "metadata.csv"
    is_features = path.suffix.lower() in (".npz", ".safetensors", ".pt")
    if not is_features and path.suffix.lower() not in (".parquet", "") and not is_text_table(path):
        raise InputError(
            f"{path} ends in {path.suffix}; expected a .csv, .tsv or .parquet table, .npz, .safetensors or .pt "
            "features, or a folder of images."
        )
    file = path if table is None else None
    table = table or (read_features(path) if is_features else read_table(path))
    wanted = _Wanted(
        target, tuple(attributes), split, cluster, source, id_column, tuple(features or ()),
        None if classes is None else tuple(classes), full_crossing, images, image_size, labelled, tuple(text),
        coded and not is_features, None if is_features else encoder, partly,
    )  # fmt: skip
    reading = _read(table, wanted, path.parent, file)
    if split_meaning is not None and reading.split is not None:
        unknown = sorted(set(reading.split) - set(split_meaning))
        if unknown:
            raise InputError(
                f"{path} has the split {unknown[0]!r}, which has no role (the meaning names "
                f"{', '.join(map(repr, split_meaning))}); say what it means."
            )
    return reading


def rows_from_dataframe(
    frame: Frame,
    *,
    target: str | None = None,
    attributes: Sequence[str] = (),
    split: str | None = None,
    cluster: str | None = None,
    id_column: str | None = None,
    features: Sequence[str] | None = None,
    classes: Sequence[str] | None = None,
    source: str | None = None,
    full_crossing: bool = False,
) -> Reading:
    """The same as `read_rows`, for a data frame (pandas, polars, anything with `columns` and `frame[name]`)."""
    wanted = _Wanted(
        target, tuple(attributes), split, cluster, source, id_column, tuple(features or ()),
        None if classes is None else tuple(classes), full_crossing, None, None,
    )  # fmt: skip
    return _read(table_from_frame(frame), wanted, Path())


def _read(table: Table, wanted: _Wanted, folder: Path, file: Path | None = None) -> Reading:
    target = _found(table, wanted.target, TARGETS)
    if target is None and wanted.labelled:
        raise InputError(
            f"{table.name} has no column called {', '.join(TARGETS[:-1])} or {TARGETS[-1]}; name the column of the "
            f"classes (its columns are: {', '.join(list(table.columns)[:20])})."
        )
    grouping = find_grouping(table, wanted.attributes, target)
    behind = [name for attribute in grouping.attributes for name in columns_behind(table, attribute)]
    split = _found(table, wanted.split, SPLITS)
    identity = _found(table, wanted.id_column, IDS)
    source = _found(table, wanted.source, SOURCES)
    cluster = _found(table, wanted.cluster, CLUSTERS)
    found = (target, *behind, grouping.group, *grouping.members, split, identity, source, cluster)
    used = [*(name for name in found if name is not None), *wanted.text]
    for name in used:
        column(table, name)
    files = _found(table, None, [name for name in FILES if name not in used])
    named = wanted.text or wanted.encoder is not None
    features = () if named else _features(table, wanted, {*used, *([files] if files else [])}, files)
    coded: Coded | None = None
    if wanted.coded and not named and (names := _singles(table, wanted, features, used, files)):
        coded = code_columns(table, names)
        features = names
    if wanted.encoder is not None:
        features = wanted.encoder.names
        inputs, feature_names = wanted.encoder.read(table), wanted.encoder.features
        described = [f"inputs: {_listed(features)}, as the model's record says ({len(feature_names)} numbers a row)"]
    elif coded is not None:
        inputs, feature_names = coded.codes, ()
        described = []
    elif wanted.text:
        inputs, feature_names = Texts(tuple(tuple(texts(table, name)) for name in wanted.text)), ()
        described = [f"inputs: texts in {_listed(wanted.text)}"]
    elif features:
        inputs, feature_names = _matrix(table, features)
        described = [f"inputs: {_listed(features)} ({len(feature_names)} numbers a row)"]
    elif files:
        used.append(files)
        images = find_images(texts(table, files), wanted.images or folder, wanted.image_size)
        inputs, feature_names = images, ()
        described = [f"inputs: image files named in {files}, in {wanted.images or folder}"]
    else:
        raise InputError(
            f"{table.name} has neither numeric columns beside {', '.join(used)} nor a column of file names "
            f"({', '.join(FILES)}); name the features."
        )
    names = files if identity is None and not features and not wanted.text else identity
    ids = None if names is None else texts(table, names)
    if ids is not None and wanted.id_column is None and not any(ids):
        names = ids = None  # an empty column that happens to be called like one of names
    if ids is not None and "" in ids:
        raise InputError(f"Row {ids.index('') + 1} of {table.name} has no {names!r}; give every row one.")
    _same_length(table, used, len(inputs), (*wanted.text, *features, str(files))[0])
    sources = None if source is None else column(table, source)
    if sources is None and ids is None and file is not None:
        content = digest_file(file)[:12]
        sources = [f"{content}:row:{row}" for row in range(len(inputs))]
    rows = rows_from_arrays(
        inputs,
        [UNLABELLED] * len(inputs) if target is None else _labels(table, target, wanted.partly),
        classes=(UNLABELLED,) if target is None else wanted.classes or table.lists.get("classes"),
        attributes=None if target is None else {n: attribute_texts(table, n) for n in grouping.attributes} or None,
        groups=_groups(table, grouping),
        full_crossing=wanted.full_crossing,
        ids=ids,
        sources=sources,
        clusters=None if cluster is None else column(table, cluster),
        feature_names=feature_names,
    )
    parts = {
        "classes": target, "groups": grouping.described, "split": split,
        "ids": names, "sources": source, "clusters": cluster,
    }  # fmt: skip
    described += [f"{part}: {name}" for part, name in parts.items() if name is not None]
    left = [name for name in table.columns if name not in {*used, *features}]
    described += [f"not used: {_listed(left)}"] if left else []
    return Reading(rows, None if split is None else tuple(texts(table, split)), "\n".join(described), coded)


def _found(table: Table, given: str | None, usual: Sequence[str]) -> str | None:
    """The column that was named, or the first usual one that is there."""
    if given is not None:
        column(table, given)
        return given
    return next((name for name in usual if name in table.columns), None)


def _features(table: Table, wanted: _Wanted, used: set[str], files: str | None) -> tuple[str, ...]:
    """The columns that are inputs; none when the rows are image files."""
    if wanted.features:
        return wanted.features
    if wanted.images is not None and files:
        return ()
    left = [name for name in table.columns if name not in used and is_numeric(table, name)]
    arrays = [name for name in left if not isinstance(table.columns[name], list) and np.ndim(table.columns[name]) > 1]
    named = [name for name in INPUT_NAMES if name in arrays]
    if named or len(arrays) == 1:
        return ((named or arrays)[0],)
    if len(arrays) > 1:
        raise InputError(f"{table.name} has several arrays ({', '.join(arrays)}); name the features among them.")
    return tuple(left)


def _singles(
    table: Table, wanted: _Wanted, features: Sequence[str], used: Sequence[str], files: str | None
) -> tuple[str, ...]:
    """The columns of single numbers or words that could be features; none where arrays or image files are."""
    arrays = [values for name in features if not isinstance(values := table.columns.get(name, []), list)]
    if any(values.ndim > 1 for values in arrays) or (files and not features):
        return ()
    return wanted.features or tuple(name for name in table.columns if name not in (*used, files))


def _matrix(table: Table, names: Sequence[str]) -> tuple[Inputs, tuple[str, ...]]:
    """Float32 inputs `[rows, …]`: one array as it is, or columns side by side."""
    columns = {name: numbers(table, name) for name in names}
    for name, values in columns.items():
        if values.dtype.kind not in "biuf":
            raise InputError(f"The column {name!r} of {table.name} holds no real numbers; features must be numbers.")
    count = len(columns[names[0]])
    if not count:
        raise InputError(f"{table.name} has no rows in {names[0]}; expected at least one.")
    _same_length(table, names, count, names[0])
    if len(columns) == 1 and isinstance(mapped := columns[names[0]], np.memmap):
        features = _streamed(mapped)
        return features, tuple(f"{names[0]}[{place}]" for place in range(features.width))
    require_memory(4 * sum(values.size for values in columns.values()), f"The features of {table.name}")
    if len(columns) == 1 and columns[names[0]].ndim > 1:
        inputs = torch.from_numpy(columns[names[0]].astype(np.float32))
        return inputs, tuple(f"{names[0]}[{place}]" for place in range(width(columns[names[0]])))
    flat = [values.reshape(count, -1).astype(np.float32) for values in columns.values()]
    labels = [
        name if values.ndim == 1 else f"{name}[{place}]"
        for name, values in columns.items()
        for place in range(width(values))
    ]
    return torch.from_numpy(np.concatenate(flat, axis=1)), tuple(labels)


def _streamed(mapped: "np.memmap[Any, Any]") -> FileFeatures:
    """A matrix that was mapped because it is large, as inputs that are read block by block."""
    rows, features = mapped.shape
    kind = torch.from_numpy(np.empty(0, dtype=mapped.dtype)).dtype
    return FileFeatures.of(Path(str(mapped.filename)), mapped.offset, kind, rows, features)


def _labels(table: Table, name: str, partly: bool) -> Sequence[str] | NDArray[Any]:
    values = column(table, name)
    if not isinstance(values, list) and values.ndim == 2:
        return values
    return [each or UNLABELLED for each in texts(table, name)] if partly else texts(table, name)


def _groups(table: Table, grouping: Grouping) -> Groups | Sequence[str] | None:
    """Columns of memberships, a membership matrix `[rows, groups]`, or one group's name a row."""
    name = grouping.group
    if grouping.members:
        return member_groups(table, grouping.members)
    if name is None:
        return None
    values = column(table, name)
    if isinstance(values, list) or values.ndim == 1:
        return texts(table, name)
    if values.ndim != 2 or not np.isin(values, (0, 1)).all():
        raise InputError(f"{name} in {table.name} is no membership matrix [rows, groups] of zeros and ones.")
    names = table.lists.get("group_names", tuple(f"group {number}" for number in range(values.shape[1])))
    return Groups(names, torch.from_numpy(values.astype(np.bool_)))


def _same_length(table: Table, names: Sequence[str], count: int, inputs: str) -> None:
    for name in names:
        if len(table.columns[name]) != count:
            raise InputError(
                f"{table.name} has {len(table.columns[name])} entries in {name} and {count} in {inputs}; "
                "give one per row."
            )


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names) if len(names) <= 6 else f"{', '.join(names[:3])}, … {names[-1]} ({len(names)} columns)"

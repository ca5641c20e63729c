"""A folder of pictures without a table: class folders (CLASS/*.png), in splits (SPLIT/CLASS/*.png) or with tables.

    folder/round/01.png, folder/angular/02.png                  labels, no split
    folder/train/round/01.png, folder/test/angular/02.png       labels and splits
    folder/train/metadata.csv, folder/test/metadata.csv         a table for each split, as the datasets library has it

What is read is the table that a metadata.csv of the whole folder would be: file_name, label and split.
"""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from surefoot.errors import InputError
from surefoot.rows.tables import Table, read_csv, texts

__all__ = ["IMAGES", "read_class_folders"]

IMAGES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".ppm", ".pgm")
METADATA = "metadata.csv"
FILE, LABEL, SPLIT = "file_name", "label", "split"
SHOWN = 6


def read_class_folders(folder: Path, splits: Collection[str]) -> Table:
    """The table of a folder without a metadata.csv, in the order of splits (as in `splits`), classes and names.

    splits: names that folders of splits have, in lower case, such as those of `SPLIT_MEANING` in
    `surefoot.rows.reading`; numbers among them are names of classes here. Empty folders are passed over.
    Raises `InputError` where there are no classes, where a split has pictures without a class, and where folders of
    pictures stand beside splits.
    """
    inside = _folders(folder)
    order = {name: place for place, name in enumerate(splits) if not name.isdecimal()}
    parts = sorted((each for each in inside if each.name.lower() in order), key=lambda each: order[each.name.lower()])
    tables = [each for each in parts if (each / METADATA).is_file()]
    if tables:
        return _joined(folder, tables)
    if not any(_folders(each) for each in parts):
        parts = []  # a class may be called "test"
    found = {part: _classes(part) for part in parts} or {folder: _classes(folder)}
    _refuse_between(folder, inside, parts, found)
    columns: dict[str, list[str]] = {FILE: [], LABEL: [], **({SPLIT: []} if parts else {})}
    for part, classes in found.items():
        for label, files in classes.items():
            columns[FILE] += [file.relative_to(folder).as_posix() for file in files]
            columns[LABEL] += [label] * len(files)
            if parts:
                columns[SPLIT] += [part.name.lower()] * len(files)
    if len(labels := set(columns[LABEL])) < 2:
        raise InputError(
            f"The folder {folder} has no {METADATA} and {_what_is_there(folder, inside, labels)}; expected a "
            f"{METADATA} with file names and labels, or a folder of pictures for each class."
        )
    return Table(f"{folder} (class folders)", columns)


def _refuse_between(
    folder: Path, inside: Sequence[Path], parts: Sequence[Path], found: Mapping[Path, Mapping[str, Sequence[Path]]]
) -> None:
    """Raise `InputError` for pictures that lie where neither a class nor a split can be told."""
    beside = [each.name for each in inside if parts and each not in parts and _pictures(each)]
    if beside:
        raise InputError(
            f"The folder {folder} holds the splits {_some([each.name for each in parts])} and, beside them, folders of "
            f"pictures ({_some(beside)}); put class folders into the splits, or have no splits."
        )
    for part, classes in found.items():
        loose = len(_pictures(part)) - sum(map(len, classes.values()))
        if loose > 0 and (classes or parts):  # fewer: the folder of a class is a link
            raise InputError(
                f"The folder {part} holds {_counted(loose)} beside its "
                f"{len(classes)} class folders; put each into the folder of its class, or leave it out."
            )


def _joined(folder: Path, parts: Sequence[Path]) -> Table:
    """The tables of all splits as one; file names are from the whole folder."""
    read = [read_csv(part / METADATA) for part in parts]
    names = list(read[0].columns)
    columns: dict[str, list[str]] = {name: [] for name in (*names, SPLIT)}
    for part, table in zip(parts, read, strict=True):
        if sorted(table.columns) != sorted(names):
            raise InputError(
                f"{table.name} has the columns {', '.join(table.columns)} and {read[0].name} has {', '.join(names)}; "
                "give every split the same."
            )
        if FILE not in table.columns:
            raise InputError(f"{table.name} has no column {FILE}; name the pictures beside it there.")
        for name in names:
            values = texts(table, name)
            columns[name] += [f"{part.name}/{value}" for value in values] if name == FILE else values
        if SPLIT not in names:
            columns[SPLIT] += [part.name.lower()] * len(texts(table, FILE))
    return Table(f"{folder} ({METADATA} of {_some([part.name for part in parts])})", columns)


def _classes(folder: Path) -> Mapping[str, list[Path]]:
    """The pictures of every folder that holds some, by its name."""
    return {each.name: files for each in _folders(folder) if (files := _pictures(each))}


def _folders(folder: Path) -> list[Path]:
    return sorted(each for each in folder.iterdir() if each.is_dir() and not each.name.startswith((".", "__")))


def _pictures(folder: Path) -> list[Path]:
    """Picture files anywhere below a folder."""
    return sorted(
        path
        for path in folder.rglob("*")
        if path.suffix.lower() in IMAGES and not path.name.startswith(".") and path.is_file()
    )


def _what_is_there(folder: Path, inside: Sequence[Path], labels: Collection[str]) -> str:
    tables = [path.name for path in sorted(folder.iterdir()) if path.suffix.lower() in (".csv", ".tsv", ".parquet")]
    if tables:
        return f"no class folders, but tables ({_some(tables)}) that can be given in its place"
    if labels:
        return f"pictures in one folder alone ({next(iter(labels))})"
    if inside:
        return f"no pictures in its folders ({_some([each.name for each in inside])})"
    return f"no class folders, and {_counted(len(_pictures(folder)))}"


def _counted(pictures: int) -> str:
    return f"{pictures:,} picture{'' if pictures == 1 else 's'}"


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:SHOWN]) + (f", … {len(names)} in all" if len(names) > SHOWN else "")

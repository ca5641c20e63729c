"""What lies outside of a study's cells, and its digests: data, the pictures that a table names, models, users' code."""

import os
from pathlib import Path
from typing import Any

from surefoot.errors import InputError
from surefoot.files import digest_file, digest_json
from surefoot.networks.user_code import digest_code
from surefoot.rows.class_folders import read_class_folders
from surefoot.rows.features import read_features
from surefoot.rows.reading import FILES, SPLIT_MEANING
from surefoot.rows.tables import read_table
from surefoot.study.architecture import NetworkSpec

__all__ = ["digest_folder", "digest_pictures", "found_in", "network_of"]


def digest_folder(folder: Path) -> str:
    """sha256 of the names and contents of everything in a folder."""
    files = [file for file in sorted(folder.rglob("*")) if file.is_file()]
    return digest_json({file.relative_to(folder).as_posix(): digest_file(file) for file in files})


def digest_pictures(data: Path, folder: Path) -> str:
    """sha256 of the files that the rows in `data` name, wherever in or beside `folder` a name or a link leads.

    data: a table, or a folder of one folder a class.

    What else lies in the folder is not read by any cell and does not count. A name without a file counts as missing.
    """
    if data.is_dir():
        table = read_class_folders(data, SPLIT_MEANING)
    else:
        table = read_features(data) if data.suffix.lower() in (".npz", ".safetensors", ".pt") else read_table(data)
    columns = [table.columns[name] for name in FILES if name in table.columns]
    names = sorted({name for column in columns if isinstance(column, list) for name in column})
    found = {name: folder / name for name in names}
    return digest_json({name: digest_file(file) if os.path.isfile(file) else None for name, file in found.items()})


def found_in(folder: Path, path: str) -> Path:
    """A path that a study names; raises `InputError` where nothing lies there."""
    found = (folder / path).resolve()
    if not found.exists():
        raise InputError(f"The study names {path}, which is not in {folder}; paths are relative to the study file.")
    return found


def network_of(network: NetworkSpec, folder: Path) -> tuple[dict[str, Any], dict[str, str]]:
    """A network as a cell's spec names it, and the digests that belong to it.

    The content of a user's own code enters the address, and so does its place: a saved model is built from there.
    """
    spec = network.model_dump(mode="json", exclude_none=True)
    if network.file is None:
        return spec, {}
    file, _, name = network.file.rpartition(":")
    code = found_in(folder, file)
    return {**spec, "file": f"{code}:{name}"}, {"code": digest_code(code)}

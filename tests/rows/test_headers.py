"""Every picture of a folder is described, whatever the first one is, and those that cannot be read are counted."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from surefoot.errors import InputError
from surefoot.rows.describe import describe
from surefoot.rows.headers import alike, read_headers, refuse_unreadable
from surefoot.rows.images import ImageFiles
from surefoot.rows.rows import make_rows


@pytest.fixture
def mixed(tmp_path: Path) -> tuple[Path, ...]:
    """Grey 40×32, colour 56×36, the colour one again, and grey."""
    kinds = {"a": ("L", (40, 32), 90), "b": ("RGB", (56, 36), 0), "c": ("RGB", (56, 36), 0), "d": ("L", (41, 33), 30)}
    for name, (kind, size, colour) in kinds.items():
        Image.new(kind, size, colour).save(tmp_path / f"{name}.png")
    return tuple(sorted(tmp_path.glob("*.png")))


def test_sizes_and_kinds_of_all_are_told(mixed: tuple[Path, ...]) -> None:
    rows = make_rows(ImageFiles(mixed, (32, 40), "grey"), torch.tensor([0, 1, 0, 1]))
    told = describe(rows)
    assert told[0] == "4 rows; inputs: image files, colour and grey, 32×40 to 36×56 pixels"
    assert told[-1] == "identical inputs: 1 row repeats another; they must share its role"


def test_pictures_of_all_sizes_can_be_shown_side_by_side(mixed: tuple[Path, ...]) -> None:
    files = ImageFiles(mixed, (32, 40), "grey")
    assert alike(files, read_headers(mixed))[:].shape == (4, 3, 36, 56)
    same = ImageFiles(mixed[1:3], (36, 56), "rgb")
    assert alike(same, read_headers(same.paths)) is same


def test_pictures_that_cannot_be_used_are_counted(mixed: tuple[Path, ...]) -> None:
    mixed[0].write_bytes(b"")
    mixed[1].write_bytes(mixed[1].read_bytes()[:-20])
    Image.fromarray(np.zeros((4, 4), dtype=np.uint16)).save(mixed[2])
    headers = read_headers(mixed)
    with pytest.raises(InputError) as caught:
        refuse_unreadable(headers)
    assert str(caught.value) == (
        f"2 of 4 pictures cannot be read (first: {mixed[0]}); replace or leave out such files. "
        f"1 of 4 pictures with more than 8 bits a channel cannot be used (first: {mixed[2]}); convert such files to 8 "
        "bits."
    )
    told = describe(make_rows(ImageFiles(mixed, (32, 40), "grey"), torch.tensor([0, 1, 0, 1])))
    assert told[1] == headers.faults()[0]
    assert not any("identical" in line for line in told)

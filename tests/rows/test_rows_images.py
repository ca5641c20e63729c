"""Image files are the same input when they decode to the same pixels, whatever they are called and written as."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from surefoot.errors import InputError
from surefoot.rows.assign import check_roles, families
from surefoot.rows.digest import input_digests
from surefoot.rows.images import find_images
from surefoot.rows.rows import make_rows

PIXELS = np.random.default_rng(0).integers(0, 255, (3, 10, 12, 3), dtype=np.uint8)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for number, pixels in enumerate(PIXELS):
        Image.fromarray(pixels).save(tmp_path / f"{number}.png")
    Image.fromarray(PIXELS[0]).save(tmp_path / "same.bmp")
    Image.fromarray(PIXELS[0]).save(tmp_path / "packed.png", compress_level=1)
    Image.fromarray(PIXELS[0]).convert("RGBA").save(tmp_path / "alpha.png")
    return tmp_path


@pytest.mark.parametrize("other", ["same.bmp", "packed.png", "alpha.png"])
def test_the_same_pixels_in_another_file_may_not_cross_roles(folder: Path, other: str) -> None:
    rows = make_rows(find_images(["0.png", "1.png", other, "2.png"], folder), torch.tensor([0, 1, 0, 1]))
    assert families(rows).tolist() == [0, 1, 0, 2]
    fit, judge = rows.take(torch.tensor([0, 1])), rows.take(torch.tensor([2, 3]))
    with pytest.raises(InputError, match=r"^1 inputs are in both fit and judge"):
        check_roles({"fit": fit, "judge": judge})
    check_roles({"fit": fit, "judge": rows.take(torch.tensor([3]))})


def test_digests_are_equal_exactly_where_indexing_gives_the_same(folder: Path) -> None:
    names = sorted(path.name for path in folder.iterdir())
    Image.fromarray(PIXELS[1]).resize((6, 5)).save(folder / "small.png")
    for size in (None, (5, 6)):
        images = find_images([*names, *(["small.png"] if size else [])], folder, size)
        digests, read = images.digests(), images[:]
        for one in range(len(images)):
            for other in range(len(images)):
                assert (digests[one] == digests[other]) == torch.equal(read[one], read[other])
    assert set(find_images(names, folder).digests()).isdisjoint(find_images(names, folder, (5, 6)).digests())


def test_a_file_is_decoded_once_for_all_that_were_picked_and_again_when_it_changed(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[object] = []
    original = Image.open
    images = find_images(["0.png", "1.png", "2.png"], folder)
    monkeypatch.setattr(Image, "open", lambda file, formats: opened.append(file) or original(file, "r", formats))
    before = images.digests()
    assert images.pick(torch.tensor([2, 0])).digests() == [before[2], before[0]]
    assert len(opened) == 3
    (folder / "1.png").write_bytes((folder / "same.bmp").read_bytes())
    assert images.digests() == [before[0], before[0], before[2]]
    assert len(opened) == 4


def test_what_indexing_refuses_is_compared_by_its_bytes(folder: Path) -> None:
    """Reading rows must not fail for a picture that is left out later; one that is used fails when it is read."""
    Image.fromarray(np.zeros((3, 3), dtype=np.uint8)).save(folder / "small.png")
    for name in ("broken.png", "broken too.png"):
        (folder / name).write_bytes((folder / "0.png").read_bytes()[:90])
    images = find_images(["0.png", "small.png", "broken.png", "broken too.png"], folder)
    digests = input_digests(images)
    assert len(set(digests)) == 3
    assert digests[2] == digests[3]
    (folder / "broken.png").unlink()
    with pytest.raises(InputError, match=r"^There is no image .*broken\.png; check the folder"):
        images.digests()

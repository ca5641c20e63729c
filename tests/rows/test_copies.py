"""Equal inputs are one piece of evidence where chance does not make them, and a sentence where it may."""

from pathlib import Path

import numpy as np
import torch

from surefoot.rows.arrays import rows_from_arrays
from surefoot.rows.copies import about_repeats, telling
from surefoot.rows.images import find_images
from surefoot.rows.rows import Rows
from surefoot.rows.texts import Texts


def vectors(count: int = 100, width: int = 4) -> torch.Tensor:
    return torch.randn(count, width, generator=torch.Generator().manual_seed(0))


def together(rows: Rows) -> list[int]:
    return [len(way.unique()) for way in rows.clusters.T]


def test_vectors_that_are_repeated_are_as_many_pieces_of_evidence_as_they_are_different() -> None:
    rows = rows_from_arrays(vectors().repeat(30, 1), [0, 1] * 1500)
    assert together(rows) == [3000, 100]
    assert about_repeats(rows) == ()
    assert together(rows_from_arrays(vectors(), [0, 1] * 50)) == [100]


def test_a_source_that_holds_the_copies_together_is_enough() -> None:
    rows = rows_from_arrays(vectors().repeat(3, 1), [0, 1] * 150, sources=[f"s{row % 100}" for row in range(300)])
    assert together(rows) == [100]


def test_people_in_a_table_of_few_values_are_counted_and_named_in_a_sentence() -> None:
    random = np.random.default_rng(0)
    people = np.stack([random.integers(20, 30, 600), random.integers(0, 3, 600)], axis=1).astype(np.float32)
    rows = rows_from_arrays(people, [0, 1] * 300)
    assert together(rows) == [600]
    assert about_repeats(rows) == (
        "570 of 600 judge rows repeat another's inputs exactly; intervals count them as independent unless a source or "
        "cluster column says otherwise.",
    )
    assert not telling(torch.from_numpy(people))


def test_pixels_texts_and_pictures_tell_rows_apart(tmp_path: Path) -> None:
    from PIL import Image

    pixels = torch.randint(0, 16, (50, 64), generator=torch.Generator().manual_seed(0)).float()
    assert telling(pixels)
    assert not telling((pixels > 7).float())  # as many columns of yes and no are a table of words
    assert together(rows_from_arrays(Texts((("a", "b", "a"),)), [0, 1, 0])) == [3, 2]
    for name, shade in {"a": 0, "b": 9, "c": 0}.items():
        Image.new("L", (4, 4), shade).save(tmp_path / f"{name}.png")
    images = find_images(["a.png", "b.png", "c.png"], tmp_path)
    assert together(rows_from_arrays(images, [0, 1, 0])) == [3, 2]


def test_a_cluster_does_not_take_the_place_of_a_source() -> None:
    patient, scanner = [str(row // 4) for row in range(40)], [str(row % 5) for row in range(40)]
    rows = rows_from_arrays(vectors(40), [0, 1] * 20, sources=patient, clusters=scanner)
    assert together(rows) == [5, 10]
    alone = rows_from_arrays(vectors(40), [0, 1] * 20, clusters=scanner)
    assert together(alone) == [5]
    twice = rows_from_arrays(vectors(40), [0, 1] * 20, sources=patient, clusters=patient)
    assert together(twice) == [10]


def test_minus_zero_is_zero() -> None:
    rows = rows_from_arrays(np.array([[[0.0, 1.0]], [[-0.0, 1.0]]], dtype=np.float32), [0, 1])
    assert together(rows) == [2, 1]

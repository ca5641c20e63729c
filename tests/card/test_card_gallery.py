import base64
import io

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from surefoot.card.gallery import as_png, worst_errors
from surefoot.findings.predictions import Predictions
from surefoot.rows.rows import Groups


def predictions() -> Predictions:
    """Six rows, two seeds: rows 1, 3, 4 and 5 are wrong on average, row 3 surest; row 2 is wrong in one seed only."""
    first = torch.tensor([0.1, 0.8, 0.4, 0.9, 0.7, 0.6])
    second = torch.tensor([0.1, 0.6, 0.55, 1.0, 0.7, 0.6])
    wrong = torch.stack([first, second])
    targets = torch.tensor([0, 1, 0, 1, 0, 1])
    probabilities = torch.zeros(2, 6, 2)
    for row in range(6):
        probabilities[:, row, 1 - targets[row]] = wrong[:, row]
        probabilities[:, row, targets[row]] = 1 - wrong[:, row]
    ids = np.array([f"row:{row}" for row in range(6)])
    members = torch.tensor([[True, False]] * 3 + [[True, True]] + [[False, False]] * 2)
    return Predictions(
        probabilities,
        targets,
        ("cat", "dog"),
        Groups(("in", "wet"), members),
        torch.arange(6)[:, None],
        ids,
        ids[:, None],
    )


def decoded(png: str) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(png))))


def test_the_surest_errors_come_first_averaged_over_seeds() -> None:
    worst = worst_errors(predictions(), None)
    assert [mistake.id for mistake in worst] == ["row:3", "row:1", "row:4", "row:5"]
    assert (worst[0].target, worst[0].predicted, worst[0].groups, worst[0].image) == ("dog", "cat", ("in", "wet"), "")
    assert [mistake.probability for mistake in worst] == pytest.approx([0.95, 0.7, 0.7, 0.6])
    assert [mistake.id for mistake in worst_errors(predictions(), None, count=1)] == ["row:3"]


def test_each_error_keeps_its_own_picture() -> None:
    images = torch.arange(6)[:, None, None, None] / 5 * torch.ones(1, 1, 4, 3)
    worst = worst_errors(predictions(), images)
    for mistake, row in zip(worst, (3, 1, 4, 5), strict=True):
        assert decoded(mistake.image).shape == (4, 3)
        assert (decoded(mistake.image) == round(row / 5 * 255)).all()


def test_inputs_that_are_no_pictures_are_not_drawn() -> None:
    assert [mistake.image for mistake in worst_errors(predictions(), torch.zeros(6, 9))] == [""] * 4
    assert as_png(torch.zeros(5, 8, 8)) == ""
    assert as_png(torch.zeros(3, 0, 8)) == ""


@pytest.mark.parametrize("picture", [torch.rand(3, 5, 4), torch.randint(0, 256, (3, 5, 4), dtype=torch.uint8)])
def test_colours_are_kept(picture: Tensor) -> None:
    levels = picture if picture.dtype == torch.uint8 else (picture * 255).round().to(torch.uint8)
    assert (decoded(as_png(picture)) == levels.permute(1, 2, 0).numpy()).all()


def test_normalised_pixels_are_stretched_from_black_to_white() -> None:
    drawn = decoded(as_png(torch.tensor([[-2.0, 0.0], [1.0, 2.0]])))
    assert drawn.tolist() == [[0, 128], [191, 255]]


def test_large_pictures_become_small() -> None:
    png = as_png(torch.rand(3, 300, 150, generator=torch.Generator().manual_seed(0)))
    assert len(base64.b64decode(png)) <= 7_000
    assert Image.open(io.BytesIO(base64.b64decode(png))).size == (36, 72)

"""The worst errors: the rows on which a model was surest of a wrong class."""

import base64
import io

import numpy as np
import torch
from torch import Tensor

from surefoot.card.card import Mistake
from surefoot.findings.predictions import Predictions
from surefoot.rows.rows import Inputs

__all__ = ["MOST", "as_png", "worst_errors"]

MOST = 12  # errors of a model
LONGEST_SIDE = 72  # pixels
LARGEST_FILE = 6_000  # bytes


def worst_errors(predictions: Predictions, images: Inputs | None, count: int = MOST) -> tuple[Mistake, ...]:
    """At most `count` rows, surest error first; probabilities are averaged over training seeds.

    images: the judge inputs; drawn when they are pictures (see `as_png`), else each mistake's image is "".
    """
    mean = predictions.probabilities.mean(dim=0, dtype=torch.float64)
    confidence, predicted = mean.max(dim=1)
    wrong = (predicted != predictions.targets).nonzero().squeeze(1)
    worst = wrong[confidence[wrong].argsort(descending=True, stable=True)][:count]
    pictures = [""] * len(worst) if images is None else [as_png(picture) for picture in images[worst]]
    return tuple(
        Mistake(
            id=str(predictions.ids[row]),
            target=predictions.classes[int(predictions.targets[row])],
            predicted=predictions.classes[int(predicted[row])],
            probability=float(confidence[row]),
            groups=tuple(
                name
                for name, inside in zip(predictions.groups.names, predictions.groups.members[row].tolist(), strict=True)
                if inside
            ),
            image=picture,
        )
        for row, picture in zip(worst.tolist(), pictures, strict=True)
    )


def as_png(picture: Tensor) -> str:
    """A small PNG as base64 of a picture `[height, width]` or `[1 or 3, height, width]`; "" for anything else.

    Values in [0, 1] (or bytes) are drawn as they are; others are normalised pixels, and are stretched so that
    the picture's least value is black and its greatest white. Sides over 72 pixels are made smaller, and
    pictures over 6 kB keep 64 colours, so that a page stays light.
    """
    from PIL import Image

    if picture.ndim == 2:
        picture = picture[None]
    if picture.ndim != 3 or picture.shape[0] not in (1, 3) or min(picture.shape) == 0:
        return ""
    if picture.dtype == torch.uint8:
        levels = picture
    else:
        values = picture.to(torch.float32)
        low, high = values.min(), values.max()
        if low < 0 or high > 1:
            values = (values - low) / (high - low).clamp(min=1e-12)
        levels = (values * 255).round().to(torch.uint8)
    pixels: np.ndarray[tuple[int, ...], np.dtype[np.uint8]] = levels.permute(1, 2, 0).contiguous().numpy()
    drawn = Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels)
    if max(drawn.size) > LONGEST_SIDE:
        drawn.thumbnail((LONGEST_SIDE, LONGEST_SIDE), Image.Resampling.LANCZOS)
    content = _png(drawn)
    if len(content) > LARGEST_FILE:
        content = _png(drawn.quantize(64))
    return base64.b64encode(content).decode("ascii")


def _png(drawn: object) -> bytes:
    from PIL import Image

    assert isinstance(drawn, Image.Image)
    written = io.BytesIO()
    drawn.save(written, format="PNG", optimize=True)
    return written.getvalue()

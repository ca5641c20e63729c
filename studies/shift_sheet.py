"""Contact sheets at severities 1, 3 and 5: every corruption of a real digit, and CIFAR-C's of a photograph.

    python studies/shift_sheet.py [--digits docs/images/shift-digits.png] [--photo docs/images/shift-photo.png]

The digit is one of the 5,000, at 28×28 pixels with the strengths of MNIST-C; the photograph is scikit-learn's flower,
brought to 64×64 pixels, with the strengths of CIFAR-C. The digit is enlarged without smoothing. Seconds on one core.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw
from sklearn.datasets import load_sample_image
from torch import Tensor

from surefoot.rows.digits import load_digits
from surefoot.rows.rows import Rows, make_rows
from surefoot.rows.shift.corrupt import CIFAR_C, MNIST_C, corrupt

SHOWN = (1, 3, 5)
GAP, LINE, ACROSS = 4, 14, 4


def digit() -> Rows:
    digits = load_digits()
    place = 2512  # a five
    return make_rows(digits.images[place : place + 1, None].float() / 255, digits.labels[place : place + 1])


def photograph() -> Rows:
    whole = Image.fromarray(load_sample_image("flower.jpg")).crop((200, 40, 560, 400))
    pixels = np.array(whole.resize((64, 64), Image.Resampling.BOX), dtype=np.float32) / 255
    return make_rows(
        torch.from_numpy(pixels).permute(2, 0, 1)[None].contiguous(), torch.tensor([0]), classes=["flower"]
    )


def sheet(rows: Rows, names: Sequence[str], tile: int) -> Image.Image:
    """One block of tiles a corruption, four blocks a line, its name above."""
    width = len(SHOWN) * (tile + GAP) + 2 * GAP
    height = tile + LINE + 2 * GAP
    lines = -(-len(names) // ACROSS)
    page = Image.new("RGB", (ACROSS * width, lines * height), "white")
    draw = ImageDraw.Draw(page)
    for number, name in enumerate(names):
        left, top = number % ACROSS * width + GAP, number // ACROSS * height
        draw.text((left, top + 1), name.replace("_", " "), fill="black")
        for place, severity in enumerate(SHOWN):
            shown = picture(corrupt(rows, name, severity, seed=0).inputs[0], tile)
            page.paste(shown, (left + place * (tile + GAP), top + LINE))
    return page


def picture(image: Tensor, tile: int) -> Image.Image:
    pixels = (image.expand(3, -1, -1).permute(1, 2, 0) * 255).round().to(torch.uint8).numpy()
    return Image.fromarray(pixels).resize((tile, tile), Image.Resampling.NEAREST)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--digits", type=Path, default=Path("docs/images/shift-digits.png"))
    parser.add_argument("--photo", type=Path, default=Path("docs/images/shift-photo.png"))
    chosen = parser.parse_args()
    every = (*MNIST_C, *(name for name in CIFAR_C if name not in MNIST_C))
    sheet(digit(), every, 84).convert("L").save(chosen.digits, optimize=True)
    sheet(photograph(), CIFAR_C, 64).save(chosen.photo, optimize=True)


if __name__ == "__main__":
    main()

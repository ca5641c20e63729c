"""Scenes with what is true and what a flexible backbone says of them at two patch sizes, as one picture."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from surefoot.findings.average_precision import Detections
from surefoot.findings.panoptic_quality import Segments
from surefoot.flex.dense.detect import detections_of, true_detections
from surefoot.flex.dense.heads import DenseViT, Outputs
from surefoot.flex.dense.panoptic import segments_of, true_segments
from surefoot.rows.scenes import Scenes

__all__ = ["sheet"]

ENLARGED, GAP, LEFT, SURE = 4, 6, 190, 0.3
COLOURS = (
    (31, 119, 180), (255, 127, 14), (44, 160, 44), (214, 39, 40), (148, 103, 189),
    (140, 86, 75), (227, 119, 194), (127, 127, 127), (188, 189, 34), (23, 190, 207),
)  # fmt: skip
"""Of each digit."""


def sheet(model: DenseViT, scenes: Scenes, said: Mapping[str, Outputs], names: Tensor, path: Path) -> None:
    """A column for each scene; lines for the truth, and for each of what is said: boxes, then segments."""
    size = (scenes.images.shape[1], scenes.images.shape[2])
    lines = [("truth: boxes", _boxed(scenes, true_detections(scenes)))]
    lines.append(("truth: segments", _coloured(scenes, true_segments(scenes))))
    for title, outputs in said.items():
        with torch.inference_mode():
            boxes, segments = detections_of(model, outputs, names), segments_of(outputs, size)
        lines.append((f"{title}: boxes", _boxed(scenes, boxes)))
        lines.append((f"{title}: segments", _coloured(scenes, segments)))
    side = size[1] * ENLARGED + GAP
    picture = Image.new("RGB", (LEFT + side * len(scenes), GAP + side * len(lines)), "white")
    draw = ImageDraw.Draw(picture)
    for row, (title, images) in enumerate(lines):
        top = GAP + side * row
        for number, words in enumerate(title.split(", ")):
            draw.text((8, top + 60 + 20 * number), words, fill=(31, 36, 48), font=ImageFont.load_default(14))
        for column, image in enumerate(images):
            picture.paste(image, (LEFT + side * column, top))
    picture.save(path, optimize=True)


def _boxed(scenes: Scenes, boxes: Sequence[Detections]) -> list[Image.Image]:
    """Boxes that are sure enough, with the digit that each is."""
    found: list[Image.Image] = []
    for image, each in zip(scenes.images, boxes, strict=True):
        height, width = image.shape
        large = Image.fromarray(image.numpy()).resize((width * ENLARGED, height * ENLARGED), Image.Resampling.NEAREST)
        large = large.convert("RGB")
        draw = ImageDraw.Draw(large)
        for box, label, score in zip(each.boxes.tolist(), each.classes.tolist(), each.scores.tolist(), strict=True):
            if score >= SURE:
                left, top, right, bottom = (round(ENLARGED * side) for side in box)
                draw.rectangle((left, top, max(left, right - 1), max(top, bottom - 1)), outline=COLOURS[label], width=2)
                at = (left + 3, top + 1)
                draw.text(at, str(label), fill=COLOURS[label], font=ImageFont.load_default(15))
        found.append(large)
    return found


def _coloured(scenes: Scenes, maps: Sequence[Segments]) -> list[Image.Image]:
    """Segments in the colour of their digit, their edges white, over the dimmed scene."""
    palette = torch.tensor([(0, 0, 0), *COLOURS], dtype=torch.float32)
    found: list[Image.Image] = []
    for image, each in zip(scenes.images, maps, strict=True):
        grey = 0.4 * image.float()[:, :, None].expand(-1, -1, 3)
        label = each.classes[each.pixels.long()]
        colours = torch.where((label > 0)[:, :, None], 0.3 * grey + 0.8 * palette[label], grey).clamp(0, 255)
        large = colours.repeat_interleave(ENLARGED, 0).repeat_interleave(ENLARGED, 1)
        pixels = each.pixels.repeat_interleave(ENLARGED, 0).repeat_interleave(ENLARGED, 1)
        edge = torch.zeros(pixels.shape, dtype=torch.bool)
        edge[1:] |= pixels[1:] != pixels[:-1]
        edge[:, 1:] |= pixels[:, 1:] != pixels[:, :-1]
        large[edge] = 255.0
        found.append(Image.fromarray(large.round().to(torch.uint8).numpy()))
    return found

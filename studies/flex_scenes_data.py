"""What the study of scenes reads: scenes of digits that share none, and the locked encoder's words for them."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from surefoot.hub.extract import extract_layers
from surefoot.hub.opening import open_encoder
from surefoot.rows.digits import load_digits
from surefoot.rows.rows import make_rows
from surefoot.rows.scenes import NAMES, Scenes, digits_apart, make_scenes
from surefoot.rows.texts import Texts as Written

__all__ = ["QUESTIONS", "Data", "read"]

QUESTIONS = {
    "as taught: “three”": NAMES,
    "“the digit three”": tuple(f"the digit {name}" for name in NAMES),
    "“a photo of the number three”": tuple(f"a photo of the number {name}" for name in NAMES),
    "“3”": tuple(map(str, range(10))),
}
"""Ten names for the ten classes; the first are those that boxes are taught with."""


@dataclass(frozen=True)
class Data:
    """Scenes to learn from and to judge on, the number of each one's caption, and embeddings of captions and names."""

    fit: Scenes
    judge: Scenes
    numbers: Tensor
    judge_numbers: Tensor
    captions: Tensor
    names: dict[str, Tensor]


def read(fit: int, judge: int, folder: Path) -> Data:
    """Scenes of 400 digits a class to learn from, of 100 others to be judged on; embeddings are kept in the folder."""
    digits = load_digits()
    own, other = digits_apart(digits, [400, 100], seed=0)
    scenes = make_scenes(digits, own, fit, seed=1), make_scenes(digits, other, judge, seed=2)
    said = {caption: number for number, caption in enumerate(sorted({*scenes[0].captions, *scenes[1].captions}))}
    numbers = [torch.tensor([said[caption] for caption in each.captions]) for each in scenes]
    embedded = embed([*said, *(name for names in QUESTIONS.values() for name in names)], folder)
    names = embedded[len(said) :].split(len(NAMES))
    return Data(*scenes, *numbers, embedded[: len(said)], dict(zip(QUESTIONS, names, strict=True)))


def embed(texts: Sequence[str], folder: Path) -> Tensor:
    """MiniLM's own sentence embeddings, of length one."""
    rows = make_rows(Written((tuple(texts),)), torch.zeros(len(texts), dtype=torch.int64), classes=("text",))
    print(f"reading {len(texts)} texts", flush=True)
    found = extract_layers(open_encoder("minilm"), rows, folder=folder / "texts")
    return next(iter(found.rows.values())).inputs[:].clone()

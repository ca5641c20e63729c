"""Heads refitted on composed pictures and what they score: shared by `background.py` and `texture.py`."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from surefoot.findings.finding import Finding
from surefoot.findings.measure import measure
from surefoot.findings.predictions import predictions_for
from surefoot.robust.head import LinearHead
from surefoot.robust.softmax.head import SoftmaxSettings, softmax_head
from surefoot.rows.rows import Rows, concatenate

SETTINGS = SoftmaxSettings(decays=(100.0, 30.0, 10.0, 3.0, 1.0), start="published", selection="accuracy")
"""The paper's descent (rate 1, 1,000 steps, half cosine) from a fresh layer; its decay, 100, is one of the grid."""

SEEDS = 5
EACH = 36
"""Digits of a class that a head learns from, of the 48 there are."""


def refits(rows: Mapping[str, Rows], kinds: Sequence[str], each: int = EACH) -> list[LinearHead]:
    """One head a seed, on the learning pictures of these kinds; `rows` are named "learn <kind>" and "choose <kind>"."""
    learn, choose = [rows[f"learn {kind}"] for kind in kinds], [rows[f"choose {kind}"] for kind in kinds]
    return [refit(learn, choose, each, seed, SETTINGS) for seed in range(SEEDS)]


def some_of_each_class(rows: Rows, each: int, seed: int) -> Rows:
    """`each` rows of every class, chosen by their digits: the same seed takes the same digits from every set."""
    generator = torch.Generator().manual_seed(seed)
    kept: list[Tensor] = []
    for label in range(len(rows.classes)):
        mine = (rows.targets == label).nonzero().squeeze(1)
        by_digit = mine[torch.tensor(rows.sources[mine.numpy(), 0].argsort())]
        kept.append(by_digit[torch.randperm(len(mine), generator=generator)[:each]])
    return rows.take(torch.cat(kept))


def refit(parts: Sequence[Rows], choose: Sequence[Rows], each: int, seed: int, settings: SoftmaxSettings) -> LinearHead:
    """One head on `each` digits of every class from every part, its decay chosen by accuracy on the choose pictures.

    A decay that would shrink the weights to zero in one step on so few rows is left out.
    """
    learn, judge = joined([some_of_each_class(part, each, seed) for part in parts]), joined(choose)
    possible = tuple(decay for decay in settings.decays if decay < len(learn))
    given = SoftmaxSettings(decays=possible, start=settings.start, selection=settings.selection, solver=settings.solver)
    return softmax_head({"repair": learn, "choose": judge}, given, seed).head


def joined(parts: Sequence[Rows]) -> Rows:
    """All parts as one set of rows."""
    whole = parts[0]
    for part in parts[1:]:
        whole = concatenate(whole, part)
    return whole


def accuracy(heads: Sequence[LinearHead], rows: Rows, subject: str) -> Finding:
    """Mean accuracy over seeds; the interval is over seeds and over pictures, drawn digit by digit."""
    probabilities = torch.stack([head.probabilities(rows.inputs[:]) for head in heads])
    return measure(predictions_for(rows, probabilities), subject=subject, source="judge")[0]


def words(finding: Finding) -> str:
    """A share in per cent, with its interval."""
    assert finding.interval is not None
    return f"{100 * finding.value:.1f} [{100 * finding.interval.low:.1f}, {100 * finding.interval.high:.1f}]"


def table(head: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """Markdown."""
    rows = [head, ["---"] * len(head), *lines]
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)

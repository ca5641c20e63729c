"""Labels that are wrong at a known rate, for asking what a likelihood makes of them.

*Symmetric*, the usual rule: with probability `noise` a label is drawn anew, uniform over **all** K classes, its own
among them. So a share `noise` is drawn anew and a share noise · (1 − 1/K) is wrong: with K = 10 and noise 0.8, 72 % of
the labels are wrong, and 28 % are right. *Asymmetric*: with probability `noise` a label becomes the one that its class
is mistaken for; there each label that is replaced is wrong.

Source: symmetric: Zhang et al. (2017), "Understanding deep learning requires rethinking generalization", section 2.2;
Kapoor et al. (2022), "On uncertainty, tempering, and data augmentation in Bayesian classification", section 6;
asymmetric: Patrini et al. (2017), "Making deep neural networks robust to label noise", section 5.
"""

from collections.abc import Mapping
from typing import NamedTuple

import torch
from jaxtyping import Bool
from torch import Tensor

from surefoot.errors import InputError
from surefoot.rows.rows import Rows
from surefoot.rows.shift.counters import row_keys, uniform

__all__ = ["Flipped", "flip_labels"]


class Flipped(NamedTuple):
    """Rows with noisy labels; `replaced`: drawn anew; `wrong`: other than before."""

    rows: Rows
    replaced: Bool[Tensor, "rows"]
    wrong: Bool[Tensor, "rows"]


def flip_labels(rows: Rows, noise: float, seed: int, asymmetric: Mapping[str, str] | None = None) -> Flipped:
    """Rows whose labels are replaced with probability `noise`, see the module's text; classes are those of the rows.

        P(replaced) = noise,    P(wrong) = noise · (1 − 1/K) symmetric, noise asymmetric (for classes that are named)

    asymmetric: the class that each class is mistaken for, by name; classes that are not named keep their labels. The
    same numbers decide at every rate, so that what is replaced at 0.1 is replaced at 0.2 too, with the same label.
    Which labels are replaced depends on the id of each row and the seed, not on the other rows. Groups stay: they say
    what a row is, not what it is called.

    Raises `InputError` for soft labels, fewer than two classes, a rate outside [0, 1], and classes that are not there.

    >>> from surefoot.rows.rows import make_rows
    >>> rows = make_rows(torch.zeros(6, 1), torch.tensor([0, 1, 2, 0, 1, 2]), classes=["cat", "dog", "fox"])
    >>> flip_labels(rows, 1.0, seed=0, asymmetric={"cat": "dog"}).rows.targets.tolist()
    [1, 1, 2, 1, 1, 2]
    """
    if rows.targets.ndim != 1:
        raise InputError(f"Labels are probabilities of shape {tuple(rows.targets.shape)}; give hard labels to flip.")
    if len(rows.classes) < 2:
        raise InputError(f"The rows have {len(rows.classes)} class, so that no label can be wrong; give two or more.")
    if not 0 <= noise <= 1:
        raise InputError(f"The label noise is {noise}; give a probability between 0 and 1.")
    drawn = uniform(row_keys(rows.ids, seed, "flip_labels"), 0, 2)
    replaced = drawn[:, 0] < noise
    if asymmetric is None:
        other = (drawn[:, 1] * len(rows.classes)).floor().to(rows.targets.dtype)
    else:
        table = _mistaken(rows.classes, asymmetric)
        other = table[rows.targets]
        replaced = replaced & (other != rows.targets)
    targets = torch.where(replaced, other, rows.targets)
    return Flipped(rows.with_targets(targets), replaced, targets != rows.targets)


def _mistaken(classes: tuple[str, ...], asymmetric: Mapping[str, str]) -> Tensor:
    """The class number that each class number becomes."""
    numbers = {name: number for number, name in enumerate(classes)}
    unknown = [name for pair in asymmetric.items() for name in pair if name not in numbers]
    if unknown:
        raise InputError(f'There is no class "{unknown[0]}"; the classes are {", ".join(classes)}.')
    return torch.tensor([numbers[asymmetric.get(name, name)] for name in classes])

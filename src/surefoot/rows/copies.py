"""Rows with equal inputs: one piece of evidence seen twice, or two people whom the columns cannot tell apart?

Two pictures, two texts, or two vectors of measurements are not the same by chance. Two rows of a table of a few words
and whole numbers can be, and then nothing but a source or a cluster says what they are. The line (`telling`): pictures,
texts and sequences tell rows apart; so do vectors with two measurements, features that each have nearly as many values
as there are different rows, or with `MANY` features of more than two values. One measurement is not enough: a table of
ages alone has as many ages as it has different rows.
"""

from dataclasses import replace
from typing import cast

import numpy as np
import torch
from jaxtyping import Int
from numpy.typing import NDArray
from torch import Tensor

from surefoot.rows.digest import input_digests
from surefoot.rows.rows import Inputs, LazyInputs, Rows
from surefoot.rows.streamed import FileFeatures

__all__ = ["MANY", "NEARLY_ALL", "about_repeats", "content_numbers", "telling", "with_copies"]

NEARLY_ALL = 0.5
"""A feature with more values than this share of the different rows is a measurement."""
VALUES = 20
"""A feature of fewer values is no measurement, unless few rows repeat one another and its values are fine."""
MANY = 32
"""So many features with more than two values (pixels, words of a sentence) do not all agree by chance."""
LOOKED_AT = 5_000
"""Different rows in which values are counted."""


def telling(inputs: Inputs) -> bool:
    """Whether equal inputs are the same thing seen twice; see the module's text.

    >>> people = torch.cartesian_prod(torch.arange(20.0, 80.0), torch.tensor([0.0, 1.0]))
    >>> telling(people), telling(torch.randn(32, 2).repeat(2, 1)), telling(torch.zeros(4, 1, 8, 8))
    (False, True, True)
    """
    if _seen_not_counted(inputs) or inputs[:1].ndim > 2:
        return True
    return _telling(inputs, content_numbers(inputs))


def content_numbers(inputs: Inputs) -> Int[NDArray[np.int64], "rows"]:
    """A number for each row, the same for two rows exactly when their inputs are byte for byte the same."""
    # Digests are letters and digits: a byte for each, not the four of a numpy string, sorts alike.
    numbers = np.unique(np.array(input_digests(inputs), dtype=np.bytes_), return_inverse=True)[1]
    return cast("NDArray[np.int64]", numbers).astype(np.int64).ravel()


def with_copies(rows: Rows) -> Rows:
    """Rows whose equal inputs share a cluster, in a way of its own, where inputs tell rows apart.

    Rows are as they were where no inputs are equal, or a way already holds the equal ones together.

    >>> from surefoot.rows.rows import make_rows
    >>> rows = make_rows(torch.randn(3, 1, 8, 8)[[0, 1, 2, 0]], torch.tensor([0, 1, 0, 0]))
    >>> with_copies(rows).clusters[:, 1].unique().numel()
    3
    """
    content = content_numbers(rows.inputs)
    if not _apart(rows, content) or not (_seen_not_counted(rows.inputs) or _telling(rows.inputs, content)):
        return rows
    return replace(rows, clusters=torch.cat([rows.clusters, torch.from_numpy(content)[:, None]], dim=1))


def about_repeats(rows: Rows) -> tuple[str, ...]:
    """What a card of these judge rows must say where equal inputs are counted as independent."""
    content = content_numbers(rows.inputs)
    if not _apart(rows, content):
        return ()
    count = len(content) - len(np.unique(content))
    return (
        f"{count:,} of {len(content):,} judge rows repeat another's inputs exactly; intervals count them as "
        "independent unless a source or cluster column says otherwise.",
    )


def _seen_not_counted(inputs: Inputs) -> bool:
    """Pictures and texts, which are read when asked for; features that stay in their file are numbers like others."""
    return isinstance(inputs, LazyInputs) and not isinstance(inputs, FileFeatures)


def _apart(rows: Rows, content: Int[NDArray[np.int64], "rows"]) -> bool:
    """Whether there are equal inputs that no way of clustering holds together."""
    different = len(np.unique(content))
    if different == len(content):
        return False
    pairs = (np.stack([content, way], axis=1) for way in rows.clusters.numpy().T)
    return all(len(np.unique(each, axis=0)) > different for each in pairs)


def _telling(inputs: Inputs, content: Int[NDArray[np.int64], "rows"]) -> bool:
    """`telling`, where it is known which rows have the same content."""
    first = np.unique(content, return_index=True)[1]
    first = first[:: max(1, len(first) // LOOKED_AT)]
    block: Tensor = inputs[torch.from_numpy(first)]
    if block.ndim != 2:
        return block.ndim > 2
    many = measured = 0
    seldom = len(first) >= NEARLY_ALL * len(content)
    for feature in block.T:
        values = len(feature.unique())
        many += values > 2
        enough = values >= VALUES or (seldom and _fine(feature))
        measured += enough and values >= NEARLY_ALL * len(first)
        if measured == 2 or many == MANY:
            return True
    return False


def _fine(feature: Tensor) -> bool:
    """Whether most values have more than three decimals, as what is measured has and what is counted has not."""
    thousands = feature.double() * 1000
    return bool(((thousands - thousands.round()).abs() > 1e-4).double().mean() > 0.5)

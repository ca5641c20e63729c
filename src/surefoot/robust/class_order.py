"""Are a head's classes in the order of the labels? A head that is read in another order is wrong on purpose.

What is compared is the mean accuracy over classes, so that a head which always says one class, or rows of which one
class is rare, raise no suspicion. Another order is looked for on half of the rows and tried on the other half, so that
the search itself cannot make it look better.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor

__all__ = ["doubt_order"]

CLEAR = 3.0
"""Standard errors that the gain must have: where the orders are equally good, 1 in 700 is as large."""
LEAST_GAIN = 0.1
"""What another order must gain in mean accuracy over classes to be worth a word."""
FEWEST = 20
"""Rows below which nothing is said."""
MOST = 1_000
"""Classes above which no order is looked for."""


def doubt_order(logits: Float[Tensor, "rows classes"], targets: Int[Tensor, "rows"], which: str) -> str | None:
    """A sentence where another order of the classes fits these rows clearly better than the one taken; else None.

    which: of the rows, in words. Where a model is chosen among others, none of them may be a row that judges it.

    >>> targets = torch.arange(200) % 2
    >>> logits = torch.nn.functional.one_hot(1 - targets, 2).float()
    >>> doubt_order(logits, targets, "fit rows")[:72]
    "The model's own head is right on 0 % of the 200 fit rows, less than chan"
    """
    count, outputs = logits.shape
    if count < FEWEST or not 2 <= outputs <= MOST:
        return None
    said = logits.argmax(dim=1)
    shuffled = torch.randperm(count, generator=torch.Generator().manual_seed(0))
    found, tried = shuffled[: count // 2], shuffled[count // 2 :]
    order = _likely_order(_shares(said[found], targets[found], outputs))
    gain, error = _gain(said[tried], targets[tried], order, outputs)
    if gain < max(LEAST_GAIN, CLEAR * error):
        return None
    right, other = float((said == targets).float().mean()), float((said == order[targets]).float().mean())
    told = f"less than chance ({_percent(1 / outputs)})"
    if right >= 1 / outputs:
        told = f"and would be on {_percent(other)} with its classes in another order"
    return (
        f"The model's own head is right on {_percent(right)} of the {count:,} {which}, {told}: are the classes in "
        "another order? Give labels as the model's class names."
    )


def _shares(said: Tensor, targets: Tensor, outputs: int) -> Float[Tensor, "label output"]:
    """How often each output is said of each label; rows sum to one, or to zero where there is no such label."""
    counts = (targets * outputs + said).bincount(minlength=outputs**2).reshape(outputs, outputs).double()
    return counts / counts.sum(dim=1, keepdim=True).clamp_min(1)


def _likely_order(shares: Float[Tensor, "label output"]) -> Int[Tensor, "label"]:
    """An output for each label: again and again the pair that is said most, of equals a label's own.

    Not always the order with the greatest mean accuracy, which need not be: it is tried on other rows.

    >>> _likely_order(torch.tensor([[0.1, 0.9], [0.2, 0.8]], dtype=torch.float64)).tolist()
    [1, 0]
    """
    size = len(shares)
    preferred = (shares + 1e-9 * torch.eye(size, dtype=torch.float64)).ravel().argsort(descending=True, stable=True)
    order = [-1] * size
    taken = [False] * size
    for place in preferred.tolist():
        label, output = divmod(place, size)
        if order[label] < 0 and not taken[output]:
            order[label], taken[output] = output, True
    return torch.tensor(order)


def _gain(said: Tensor, targets: Tensor, order: Tensor, outputs: int) -> tuple[float, float]:
    """The gain of another order in mean accuracy over classes, and its standard error were there none."""
    each = (said == order[targets]).double() - (said == targets).double()
    counts = targets.bincount(minlength=outputs)
    weights = 1 / (counts[targets] * int((counts > 0).sum()))
    return float((weights * each).sum()), float((weights * each).square().sum().sqrt())


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"

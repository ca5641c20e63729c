"""Weak labels of a wanted accuracy, with mistakes of a wanted structure: how much does it matter *which* are wrong?

    even        every row is wrong with the same chance
    hard        the rows that a reference model finds hardest are wrong
    easy        the rows that it finds easiest are wrong: nobody's mistakes, and no student's
    copied      as a reference model is wrong, with more or fewer of its mistakes until the accuracy is met

Wrong labels are of a class drawn from the reference's own opinion of the others (or evenly without one). All have the
accuracy exactly, to one row.

Source: the imitation study of Burns et al. (2023), "Weak-to-strong generalization", §5.1.4 and figure 26, with other
structures of error at one accuracy.
"""

from typing import Literal, TypeAlias

import torch
from jaxtyping import Float, Int
from torch import Tensor

from surefoot.errors import InputError

__all__ = ["Structure", "simulated_labels"]

Structure: TypeAlias = Literal["even", "hard", "easy", "copied"]


def simulated_labels(
    targets: Int[Tensor, "rows"],
    classes: int,
    accuracy: float,
    structure: Structure,
    seed: int,
    *,
    reference: Float[Tensor, "rows classes"] | None = None,
) -> Int[Tensor, "rows"]:
    """Labels of which ⌊accuracy · rows + ½⌋ are right.

    reference: probabilities of a model that was trained on other rows; needed by all structures but "even".

    Raises `InputError` for an accuracy outside [0, 1], and a structure without its reference.

    >>> targets = torch.tensor([0, 1, 1, 0])
    >>> sure = torch.tensor([[0.9, 0.1], [0.4, 0.6], [0.2, 0.8], [0.7, 0.3]])
    >>> simulated_labels(targets, 2, 0.75, "hard", 0, reference=sure).tolist()
    [0, 0, 1, 0]
    >>> int((simulated_labels(targets, 2, 0.5, "even", 0) == targets).sum())
    2
    """
    if not 0 <= accuracy <= 1:
        raise InputError(f"The accuracy is {accuracy}; give a number from 0 to 1.")
    if structure != "even" and (reference is None or reference.shape != (len(targets), classes)):
        raise InputError(
            f'Mistakes that are "{structure}" need a reference: probabilities [{len(targets)} rows, {classes} classes] '
            "of a model of other rows."
        )
    generator = torch.Generator().manual_seed(seed)
    wrong = len(targets) - int(accuracy * len(targets) + 0.5)
    chance = torch.rand(len(targets), generator=generator, dtype=torch.float64)
    if structure == "even" or reference is None:
        order, opinion = chance, torch.ones(len(targets), classes, dtype=torch.float64)
    else:
        opinion = reference.double().clamp(min=1e-12)
        truth = opinion.gather(1, targets[:, None])[:, 0]
        mistaken = opinion.argmax(dim=1) != targets
        order = {"hard": truth, "easy": -truth, "copied": torch.where(mistaken, chance - 1, chance)}[structure]
    picked = order.argsort(stable=True)[:wrong]
    labels = targets.clone()
    if not wrong:
        return labels
    others = opinion[picked].scatter(1, targets[picked][:, None], 0.0)
    if structure in ("hard", "copied"):
        labels[picked] = others.argmax(dim=1)
    else:
        labels[picked] = torch.multinomial(others, 1, generator=generator)[:, 0]
    return labels

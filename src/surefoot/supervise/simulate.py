"""Weak labels of a wanted accuracy, with mistakes of a wanted structure: how much does it matter *which* are wrong?

    even        every row is wrong with the same chance
    confused    classes are taken for each other as often as a reference model takes them, on any of their rows
    hard        the rows that a reference model finds hardest are wrong
    easy        the rows that it finds easiest are wrong: nobody's mistakes, and no student's
    copied      as a reference model is wrong, with more or fewer of its mistakes until the accuracy is met

Wrong labels are what the reference holds for the most probable of the other classes ("hard", "copied"), a class drawn
by its opinion of the row ("easy") or of all rows of the class ("confused"), or any other class ("even"). All have the
accuracy exactly, to one row. What "hard" means is in its reference: with the supervisor it would replace, rows that are
hard for it; with a model that sees what the student sees, rows that are hard for the student.

"confused" picks rows without replacement with weights 1 − P(right | class): with few mistakes the classes err in these
proportions, and with many they come nearer to each other.

Source: the imitation study of Burns et al. (2023), "Weak-to-strong generalization", §5.1.4 and figure 26, with other
structures of error at one accuracy; Efraimidis & Spirakis (2006), Inf. Process. Lett. 97, for weighted picks.
"""

from typing import Literal, TypeAlias

import torch
from jaxtyping import Float, Int
from torch import Tensor

from surefoot.errors import InputError

__all__ = ["Structure", "simulated_labels"]

Structure: TypeAlias = Literal["even", "confused", "hard", "easy", "copied"]


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
        if structure == "confused":
            opinion = _by_class(opinion, targets)
        truth = opinion.gather(1, targets[:, None])[:, 0]
        mistaken = opinion.argmax(dim=1) != targets
        order = {
            "confused": -chance.log() / (1 - truth).clamp(min=1e-12),
            "hard": truth,
            "easy": -truth,
            "copied": torch.where(mistaken, chance - 1, chance),
        }[structure]
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


def _by_class(opinion: Float[Tensor, "rows classes"], targets: Int[Tensor, "rows"]) -> Float[Tensor, "rows classes"]:
    """Every row's opinion replaced by how often the reference decides for each class among the rows of its class."""
    classes = opinion.shape[1]
    decided = torch.nn.functional.one_hot(opinion.argmax(dim=1), classes).double()
    sums = torch.zeros_like(opinion[:1]).repeat(classes, 1).index_add_(0, targets, decided)
    counts = torch.bincount(targets, minlength=classes)[:, None]
    return (sums / counts.clamp(min=1)).clamp(min=1e-12)[targets]

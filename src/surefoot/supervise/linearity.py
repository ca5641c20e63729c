"""Is a concept more linear in a body after it was taught weak labels than before?

    linear accuracy      of the best ridge-penalised softmax regression of true labels on a body's features
    gained               linear accuracy after − before, on the same judge rows

A student that only imitates its supervisor would make the supervisor's labels linear in its features; one in which the
concept became salient makes the *true* ones linear. So probes learn from the truth of rows that neither the student nor
its supervisor was taught, and are judged on others. What a probe knows is the truth: it tells about the body, and is no
result of weak supervision.

A probe's penalty is chosen for each body and seed among a few, by cross-validation within its own rows. Bodies may
have other numbers of features; with few probe rows small bodies have less to overfit, and "gained" is fairest between
bodies of one shape.

Source: Burns et al. (2023), "Weak-to-strong generalization", §5.2.2 (linear probes after weak fine-tuning). They probe
with the rows that were labelled; ours are a part of their own.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from surefoot.errors import InputError
from surefoot.findings.clustering import influence, spread
from surefoot.findings.compare import compare
from surefoot.findings.finding import Finding
from surefoot.findings.intervals import check_confidence, proportion_interval
from surefoot.findings.predictions import Predictions, predictions_for
from surefoot.findings.slices import slices_of, to_finding
from surefoot.progress import Progress, silent
from surefoot.rows.rows import Rows
from surefoot.supervise.labels import halve
from surefoot.supervise.soft_probe import fit_soft_probe

__all__ = ["PENALTIES", "Body", "linearity", "probe_answers"]

PENALTIES = (1e-4, 1e-3, 1e-2, 1e-1)
"""In nats a row, of standardised features."""


@dataclass(frozen=True, eq=False)
class Body:
    """What a body makes of the probe's rows and of the judge rows, one layer a seed.

    Raises `InputError` for other numbers of seeds or features on the two sides.
    """

    name: str
    learn: Float[Tensor, "_ learners _"]
    judge: Float[Tensor, "_ judges _"]

    def __post_init__(self) -> None:
        one, two = self.learn.shape, self.judge.shape
        if (one[0], one[2]) != (two[0], two[2]) or not one[0]:
            raise InputError(
                f'The body "{self.name}" has features [seeds {one[0]}, rows, features {one[2]}] to learn from and '
                f"[seeds {two[0]}, rows, features {two[2]}] to judge; give as many seeds and features of both."
            )


def linearity(
    before: Body,
    after: Sequence[Body],
    learn: Rows,
    judge: Rows,
    *,
    source: str,
    penalties: Sequence[float] = PENALTIES,
    confidence: float = 0.95,
    progress: Progress = silent,
) -> tuple[Finding, ...]:
    """`linear_accuracy` of every body, and `linear_accuracy_gained` of each after the first, over rows and seeds.

    Raises `InputError` where the probe's rows and the judge's share a source, and for features of other rows.

    >>> rows = torch.arange(12.0)
    >>> from surefoot.rows.rows import make_rows
    >>> both = make_rows(torch.cat([rows, rows])[:, None], torch.arange(24) % 2)
    >>> learn, judge = both.take(torch.arange(12)), both.take(torch.arange(12, 24))
    >>> hidden, plain = torch.stack([rows, rows]), torch.stack([rows % 2, rows % 2])
    >>> found = linearity(Body("start", hidden[:, :, None], hidden[:, :, None]),
    ...                   [Body("taught", plain[:, :, None], plain[:, :, None])], learn, judge, source="judge")
    >>> [(each.name, each.subject, each.value) for each in found[1:]]
    [('linear_accuracy', 'taught', 1.0), ('linear_accuracy_gained', 'taught − start', 0.5)]
    """
    check_confidence(confidence)
    crossing = sorted(learn.origins() & judge.origins())
    if crossing:
        raise InputError(
            f"{len(crossing)} judge rows (first: {crossing[0]}) are rows that the probe learns from; judge on others."
        )
    answers: list[Predictions] = []
    for number, body in enumerate((before, *after)):
        answers.append(probe_answers(body, learn, judge, penalties=penalties))
        progress("probing", number + 1, 1 + len(after))
    found = [_accuracy(answers[0], before.name, source, confidence)]
    for body, said in zip(after, answers[1:], strict=True):
        found.append(_accuracy(said, body.name, source, confidence))
        changed = compare(
            answers[0], said, before_name=before.name, after_name=body.name, source=source, confidence=confidence
        )
        gained = next(each for each in changed if (each.name, each.slice) == ("accuracy", "all"))
        found.append(replace(gained, name="linear_accuracy_gained"))
    return tuple(found)


def probe_answers(body: Body, learn: Rows, judge: Rows, *, penalties: Sequence[float] = PENALTIES) -> Predictions:
    """What linear probes of the body say of the judge rows, one a seed.

    Raises `InputError` for features of another number of rows, no penalty, and whatever the probe refuses.
    """
    if body.learn.shape[1] != len(learn) or body.judge.shape[1] != len(judge):
        raise InputError(
            f'The body "{body.name}" has features of {body.learn.shape[1]} and {body.judge.shape[1]} rows, and there '
            f"are {len(learn)} to learn from and {len(judge)} to judge; give features of those."
        )
    if not penalties:
        raise InputError("There is no penalty to choose from; give at least one.")
    labels = torch.nn.functional.one_hot(learn.targets, len(learn.classes)).to(body.learn.dtype)
    parts = _quarters(learn) if len(penalties) > 1 else []
    layers: list[Tensor] = []
    for features, judged in zip(body.learn, body.judge, strict=True):
        losses = [sum(_left_out(features, labels, part, penalty) for part in parts) for penalty in penalties]
        best = penalties[losses.index(min(losses))]
        layers.append(fit_soft_probe(features, labels, best).head.probabilities(judged))
    return predictions_for(judge, torch.stack(layers))


def _left_out(features: Tensor, labels: Tensor, part: Tensor, penalty: float) -> float:
    """The sum of cross-entropies of a part's rows under a probe of all others, in nats."""
    if bool(part.all()) or not bool(part.any()):
        return 0.0
    head = fit_soft_probe(features[~part], labels[~part], penalty).head
    return -float((labels[part] * head.logits(features[part]).log_softmax(dim=1)).sum(dtype=torch.float64))


def _quarters(rows: Rows) -> list[Tensor]:
    """Four parts with classes as they are in all, and rows of one source in one part."""
    halves = halve(rows, seed=0)
    parts = [part for number, half in enumerate(halves, start=1) for part in halve(half, seed=number)]
    return [torch.from_numpy(np.isin(rows.ids, part.ids)) for part in parts]


def _accuracy(said: Predictions, name: str, source: str, confidence: float) -> Finding:
    slices = slices_of(said)
    of = spread(slices.design, [(1.0, influence(slices.design, slices.everything, said.correct().numpy()))])
    return to_finding(
        slices,
        slices.everything,
        name="linear_accuracy",
        slice_="all",
        per_seed=of.per_seed,
        interval=proportion_interval(of, confidence),
        direction="higher",
        subject=name,
        source=source,
    )

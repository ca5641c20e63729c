"""Few-shot prompting: a language model that is not trained says what rows are, from a few examples with their labels.

    Review: a fine film                 before + text
    Sentiment: positive                 asks + the word of its class        } an example (a shot)
                                        after
    Review: dull
    Sentiment:                          a row: which word comes next?

    p(c | x) = softmax over classes of log p(word of c | prompt of x)

No weight changes, so what such a model knows of the task it knew before: how well it does says how salient the task is
to it. The labels of the examples may be the truth (`true_labels`) or a weak supervisor's (`weak_labels`).

**Calibration.** A model may like one word whatever it reads. What it says of texts without content tells how much, and
is divided by:

    q(c | x) ∝ p(c | x) / p̄(c)          p̄ = mean of p(· | x°) over content-free x°, after the same examples

Where we depart: Zhao et al. write softmax(p / p̄); divided by its sum instead, q has the same largest class and p̄ = even
leaves p as it is.

Sources: Burns et al. (2023), "Weak-to-strong generalization", §5.2.1; Brown et al. (2020), "Language models are
few-shot learners"; Zhao et al. (2021), "Calibrate before use", §5.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from surefoot.errors import InputError
from surefoot.hub.language import LanguageModel, word_scores
from surefoot.progress import Progress, silent
from surefoot.rows.rows import Rows
from surefoot.rows.texts import Texts
from surefoot.supervise.labels import WeakLabels

__all__ = ["CONTENT_FREE", "NO_SHOTS", "Shots", "Template", "calibrated", "choose_shots", "said_by_prompting"]

CONTENT_FREE = ("N/A", "[MASK]", "")
"""Texts without content, as published."""


@dataclass(frozen=True)
class Shots:
    """Examples to show: (text, class), in their order.

    seen: the sources of the rows that are shown, and of those that shaped their supervisor. by: its name.
    """

    examples: tuple[tuple[str, int], ...]
    seen: frozenset[str]
    by: str


NO_SHOTS = Shots((), frozenset(), "nobody")


@dataclass(frozen=True)
class Template:
    """How a row and its class are written. words: one a class, in order, as they stand after `asks` (with their space).

    >>> Template((" bad", " good"), "Film: ", " It is").prompt("dull", Shots((("a gem", 1),), frozenset(), "truth"))
    'Film: a gem It is good\\n\\nFilm: dull It is'
    """

    words: tuple[str, ...]
    before: str = ""
    asks: str = "\nLabel:"
    after: str = "\n\n"
    opening: str = ""

    def prompt(self, text: str, shots: Shots = NO_SHOTS) -> str:
        """The examples, then the text and the question."""
        shown = [f"{self.before}{each}{self.asks}{self.words[class_]}{self.after}" for each, class_ in shots.examples]
        return f"{self.opening}{''.join(shown)}{self.before}{text}{self.asks}"


def choose_shots(labels: WeakLabels, count: int, seed: int) -> Shots:
    """Draw `count` examples, of every class as many (what is left over: one each of some classes), in a drawn order.

    A row's class is the likeliest of its label; where the label is a supervisor's, so is the balance: nobody who has
    weak labels alone could balance the truth. Rows are drawn in one order for a seed, whatever their labels are, so
    that two sets of labels for the same rows share the examples that they agree on, as far as that goes.

    Raises `InputError` where a class has too few rows, and for rows that are no single texts.

    >>> from surefoot.rows.rows import make_rows
    >>> from surefoot.supervise.labels import true_labels
    >>> rows = make_rows(Texts((("gem", "fine", "dull", "bad"),)), torch.tensor([1, 1, 0, 0]), classes=("no", "yes"))
    >>> sorted(class_ for _, class_ in choose_shots(true_labels(rows), 2, seed=0).examples)
    [0, 1]
    """
    if count < 0:
        raise InputError(f"{count} examples were asked for; give zero or more.")
    rows = labels.rows
    texts, classes = _texts(rows), len(rows.classes)
    generator = torch.Generator().manual_seed(seed)
    order: list[int] = torch.randperm(len(rows), generator=generator).tolist()
    first = set(torch.randperm(classes, generator=generator)[: count % classes].tolist())
    said: list[int] = rows.targets.argmax(dim=1).tolist()
    wanted = {class_: count // classes + (class_ in first) for class_ in range(classes)}
    chosen: list[int] = []
    for place in order:
        if wanted[said[place]]:
            wanted[said[place]] -= 1
            chosen.append(place)
    lacking = [rows.classes[class_] for class_, more in wanted.items() if more]
    if lacking:
        raise InputError(
            f"{labels.by} calls too few rows {', '.join(lacking)} to show {count} examples, of every class as many; "
            "show fewer, or give more labelled rows."
        )
    shown = rows.take(torch.tensor(chosen, dtype=torch.int64))
    seen = shown.origins() | labels.seen
    return Shots(tuple((texts[place], said[place]) for place in chosen), frozenset(seen), labels.by)


def said_by_prompting(
    model: LanguageModel,
    rows: Rows,
    template: Template,
    shots: Shots = NO_SHOTS,
    *,
    content_free: Sequence[str] = (),
    share: bool = True,
    progress: Progress = silent,
) -> Float64[Tensor, "rows classes"]:
    """What the model says of each row: probabilities, for `predictions_for` and all that is measured on them.

    content_free: texts to calibrate by (`CONTENT_FREE`); none: no calibration. share: read the examples once.

    Raises `InputError` for rows that are shown as examples or shaped their labels, rows that are no single texts, words
    that are not one a class, and what `word_scores` refuses.
    """
    if len(template.words) != len(rows.classes):
        raise InputError(
            f"The template has {len(template.words)} words and the rows {len(rows.classes)} classes "
            f"({', '.join(rows.classes[:6])}); give a word for each class, in their order."
        )
    crossing = sorted(rows.origins() & shots.seen)
    if crossing:
        raise InputError(
            f"{len(crossing)} of the rows are shown as examples, or shaped their labels (first: {crossing[0]}), so the "
            "model is told their answers; ask about other rows."
        )
    prompts = [template.prompt(text, shots) for text in (*_texts(rows), *content_free)]
    scores = word_scores(model, prompts, template.words, share=share, progress=progress)
    own, free = scores[: len(rows)], scores[len(rows) :]
    return calibrated(own, free) if content_free else own.softmax(dim=1)


def calibrated(
    scores: Float[Tensor, "rows classes"], free: Float[Tensor, "texts classes"]
) -> Float[Tensor, "rows classes"]:
    """Probabilities divided by what content-free texts get on average, so that these would get even ones.

    scores, free: log-probabilities of the words, in nats.

    >>> calibrated(torch.tensor([[0.6, 0.4]]).log(), torch.tensor([[0.75, 0.25]]).log()).round(decimals=4)
    tensor([[0.3333, 0.6667]])
    """
    return (scores.log_softmax(dim=1) - free.softmax(dim=1).mean(dim=0).log()).softmax(dim=1)


def _texts(rows: Rows) -> tuple[str, ...]:
    if not isinstance(rows.inputs, Texts) or len(rows.inputs.columns) != 1:
        raise InputError("Prompts are made of rows with one text each; name one column of texts, or join several.")
    return rows.inputs.columns[0]

"""Teach a whole text model on weak labels: what the student of a setting of language is.

    minimise (1/n) Σ_i loss(W v(θ, x_i), y_i, share of the training that is done)      over W, and what of θ may change

by Adam in batches whose order is drawn anew each epoch. Everything random is drawn from (seed, epoch, step), so that a
run that goes on from its checkpoint ends with the numbers of one that was never interrupted.

Source: Burns et al. (2023), "Weak-to-strong generalization", §4.1 and appendix A. Unlike in their repository, a loss
sees the whole batch however few rows go through the model at a time (`backward`), a last token is found by the mask
(`classifier`), and what a finished checkpoint returns is the trained model.
"""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from surefoot.density.pools import mean
from surefoot.errors import InputError
from surefoot.hub.encoder import Encoder
from surefoot.hub.extract import encoder_identity
from surefoot.hub.readers import TextReader, cut_by_tokens
from surefoot.hub.tuning.adapt import Adaptation, Full, HeadOnly
from surefoot.hub.tuning.backward import backward_whole, dropped
from surefoot.hub.tuning.classifier import TextClassifier, make_classifier
from surefoot.hub.tuning.place import Place, alone
from surefoot.hub.tuning.settings import OPENAI, Tune, rate_of
from surefoot.hub.tuning.texts import Overlong, Tokens, tokens_of
from surefoot.inference.checkpoint import identity, load_checkpoint, save_checkpoint
from surefoot.progress import Progress, silent
from surefoot.rows.digest import input_digests
from surefoot.rows.rows import Inputs, Rows
from surefoot.supervise.labels import WeakLabels
from surefoot.supervise.losses import CrossEntropy, WeakLoss

__all__ = ["Spoken", "TextLearner", "TunedText", "said_of_texts", "tune"]

SPOKEN_TOKENS = 2048
"""Tokens that go through the model at once where nothing is learnt."""


@dataclass(frozen=True)
class TextLearner:
    """A text model before it is taught. how: what of its body may change; layers: of the body, the first ones."""

    name: str
    encoder: Encoder
    how: Adaptation = field(default_factory=Full)
    settings: Tune = OPENAI
    loss: WeakLoss = field(default_factory=CrossEntropy)
    layers: int | None = None


@dataclass(frozen=True)
class TunedText:
    """A taught model. losses: the mean of each epoch, in nats; cut: texts that lost their ends; seen: its origins."""

    name: str
    classifier: TextClassifier
    reader: TextReader
    classes: tuple[str, ...]
    losses: tuple[float, ...]
    cut: int
    seen: frozenset[str]


class Spoken(NamedTuple):
    """What a model says of texts, what its head reads of them, and how many lost their ends."""

    probabilities: Float[Tensor, "rows classes"]
    features: Float[Tensor, "rows features"]
    cut: int


def tune(
    learner: TextLearner,
    labels: WeakLabels,
    seed: int,
    *,
    place: Place | None = None,
    checkpoint: Path | None = None,
    save_every: int = 200,
    vectors: Float[Tensor, "rows features"] | None = None,
    progress: Progress = silent,
) -> TunedText:
    """Teach the learner these labels. What it has seen is their rows, and all that their supervisor had seen.

    place: device, precision and processes (`alone`, `accelerated`). checkpoint: a file written every `save_every` steps
    and after each epoch, and resumed from where it exists. vectors: what the head reads of every row, where it is known
    already and nothing of the body can change.

    Raises `InputError` for labels without rows, a negative seed, inputs that `tokens_of` refuses, a loss that stops
    being finite (naming the step) and another run's checkpoint.
    """
    rows, settings = labels.rows, learner.settings
    reader = _checked(learner, rows, seed)
    place = alone() if place is None else place
    tokens = tokens_of(reader, rows.inputs, settings.overlong)
    classifier = make_classifier(learner.encoder, rows.targets.shape[1], learner.how, seed, learner.layers)
    run = _Run(learner, rows, tokens, classifier.to(place.device), place, seed, vectors)
    course = run.course(checkpoint, save_every, progress)
    return TunedText(learner.name, classifier.eval(), reader, rows.classes, tuple(course), tokens.cut, labels.origins())


def said_of_texts(
    tuned: TunedText, inputs: Inputs, *, place: Place | None = None, overlong: Overlong = "refuse"
) -> Spoken:
    """Probabilities and features of these texts, one row each, in their order; short texts go many at a time.

    Raises `InputError` for inputs that `tokens_of` refuses.
    """
    tokens = tokens_of(tuned.reader, inputs, overlong)
    device = next(tuned.classifier.parameters()).device
    place = alone(str(device)) if place is None else place
    features = _vectors(tuned.classifier, tokens, place)
    with torch.no_grad():
        logits = tuned.classifier.head(features.to(device)).cpu()
    return Spoken(logits.softmax(dim=1), features, tokens.cut)


def _vectors(classifier: TextClassifier, tokens: Tokens, place: Place) -> Tensor:
    """What the head reads of every row, on the CPU."""
    width = classifier.head.in_features
    found = torch.zeros(len(tokens), width)
    order = sorted(range(len(tokens)), key=tokens.lengths.__getitem__)
    with torch.no_grad(), place.products():
        for places in cut_by_tokens(order, tokens.lengths, SPOKEN_TOKENS):
            given = {name: tensor.to(place.device) for name, tensor in tokens.batch(places).items()}
            found[places] = classifier.vectors(given).cpu()
    return found


def _checked(learner: TextLearner, rows: Rows, seed: int) -> TextReader:
    if not len(rows):
        raise InputError("There are no rows to learn from; give at least one.")
    if seed < 0:
        raise InputError(f"The seed is {seed}; give zero or a positive whole number.")
    if rows.targets.ndim != 2:
        raise InputError("The labels are classes; give distributions over classes (weak_labels, true_labels).")
    if not isinstance(learner.encoder.reader, TextReader):
        raise InputError(f"{learner.encoder.name} reads {learner.encoder.reads}; give a model of texts.")
    return learner.encoder.reader


@dataclass(frozen=True)
class _Run:
    learner: TextLearner
    rows: Rows
    tokens: Tokens
    classifier: TextClassifier
    place: Place
    seed: int
    vectors: Tensor | None = None

    def course(self, checkpoint: Path | None, save_every: int, progress: Progress) -> list[float]:
        """Every step, from where the checkpoint is; the mean loss of each epoch."""
        settings = self.learner.settings
        taught = {name: each for name, each in self.classifier.named_parameters() if each.requires_grad}
        optimiser = torch.optim.AdamW(
            list(taught.values()), lr=settings.rate, betas=settings.momenta, weight_decay=settings.decay, fused=True
        )
        own = "" if checkpoint is None else self._identity()
        # Losses of single steps are kept, so that an epoch that was cut has the mean that it would have had.
        step, losses = 0, list[float]()
        if checkpoint is not None and (saved := load_checkpoint(checkpoint, own)) is not None:
            step, losses = _restored(saved, taught, optimiser)
        starts = list(range(0, len(self.rows), settings.batch))
        steps = settings.epochs * len(starts)
        frozen = self._frozen()
        self.classifier.train(settings.dropout)
        while step < steps:
            epoch, batch = divmod(step, len(starts))
            order = np.random.default_rng([self.seed, epoch]).permutation(len(self.rows)).tolist()
            for group in optimiser.param_groups:
                group["lr"] = rate_of(settings, step, steps)
            optimiser.zero_grad()
            places = order[starts[batch] : starts[batch] + settings.batch]
            losses.append(self._step(places, step, steps, list(taught.values()), frozen))
            optimiser.step()
            step += 1
            due = step % save_every == 0 or step % len(starts) == 0
            if checkpoint is not None and due and self.place.this == 0:
                state = {
                    "taught": taught, "optimiser": optimiser.state_dict()["state"], "step": step, "losses": losses
                }  # fmt: skip
                save_checkpoint(checkpoint, own, state)
            progress("tuning", step, steps)
        sizes = [min(settings.batch, len(self.rows) - start) for start in starts]
        return [float(np.average(losses[at : at + len(starts)], weights=sizes)) for at in range(0, steps, len(starts))]

    def _step(
        self, places: Sequence[int], step: int, steps: int, parameters: list[Any], frozen: Tensor | None
    ) -> float:
        """Gradients of one batch; returns its loss."""
        settings, device = self.learner.settings, self.place.device
        weak, weights = self.rows.targets[places].to(device), self.rows.weights[places].to(device)
        members = self.rows.groups.members[places].to(device)

        def run(part: Sequence[int]) -> Tensor:
            chosen = [places[at] for at in part]
            if frozen is not None:
                return self.classifier.head(frozen[chosen])
            given = {name: tensor.to(device) for name, tensor in self.tokens.batch(chosen).items()}
            with self.place.products():
                vectors = self.classifier.vectors(given)
            return self.classifier.head(vectors)

        def loss(logits: Tensor) -> Tensor:
            return mean(self.learner.loss(logits, weak, step / steps), weights, members)

        def noise(number: int) -> AbstractContextManager[None]:
            if not settings.dropout:
                return dropped(None)
            return dropped(int(np.random.SeedSequence([self.seed, step, number]).generate_state(1)[0]))

        few = settings.batch if settings.microbatch is None else min(settings.microbatch, settings.batch)
        if self.place.processes > 1:
            few = min(few, -(-len(places) // self.place.processes))
        value = backward_whole(
            run, loss, len(places), weak.shape[1], few, parameters, self.place, noise
        )  # fmt: skip
        if not np.isfinite(value):
            raise InputError(f"The loss is {value} at step {step + 1} of {steps}; lower the rate.")
        return value

    def _frozen(self) -> Tensor | None:
        """What the head reads, once for all epochs, where nothing of the body can change."""
        if not isinstance(self.learner.how, HeadOnly) or self.learner.settings.dropout:
            return None
        known = _vectors(self.classifier, self.tokens, self.place) if self.vectors is None else self.vectors
        return known.to(self.place.device)

    def _identity(self) -> str:
        learner, rows = self.learner, self.rows
        told = [input_digests(rows.inputs), rows.targets, rows.weights, rows.ids.tolist()]
        return identity(
            encoder_identity(learner.encoder), learner.how, learner.settings, learner.loss, learner.layers, told,
            self.seed, self.place.precision,
        )  # fmt: skip


def _restored(saved: Any, taught: Mapping[str, Tensor], optimiser: torch.optim.Optimizer) -> tuple[int, list[float]]:
    with torch.no_grad():
        for name, tensor in taught.items():
            tensor.copy_(saved["taught"][name])
    optimiser.load_state_dict({"state": saved["optimiser"], "param_groups": optimiser.state_dict()["param_groups"]})
    return int(saved["step"]), [float(each) for each in saved["losses"]]

"""Softmax heads fitted by minibatches of features that stay in their file: for more rows than memory holds.

    W ← W − η_t ( (1/|B|) Σ_{i ∈ B} (softmax(W z̃_i + b) − onehot(y_i)) z̃_iᵀ + (δ/n) W )     (b alike, not decayed)

over batches B of rows drawn without replacement, in a new order every epoch; plain SGD. η_t falls from `rate` along a
half cosine over all steps of the run. `schedule="published"` is the released notebook's: it steps once per minibatch
along a cosine whose half period is the number of *epochs*, so the rate goes up and down many times, not annealed.

Features are one matrix, in memory or mapped from a file (`networks.tensor_file.TensorFile.mapped`), stored as float32,
bfloat16 or float16. One pass measures mean and deviation; standardised features are never made (`softmax.slopes`).
While a batch is computed, the next is read. Working memory is two batches as stored, one block of rows and logits, and
the head; pages of a mapped file that were read stay in memory only while nothing else needs it.

Source: Kirichenko, Izmailov and Wilson (2023), and its released notebooks for Stylized ImageNet (rate 1, no
decay, batches of 10,000, 100 epochs). Departures: the annealed schedule, no decay of the bias, features constant over
the rows get no weight, and no row is dropped.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy.typing import NDArray
from torch import Tensor

from surefoot.errors import InputError
from surefoot.inference.checkpoint import identity, load_checkpoint, save_checkpoint
from surefoot.progress import Progress, silent
from surefoot.robust.head import LinearHead
from surefoot.robust.softmax.fit import Start, check_shrinkage, start_of, total_weight, working_precision
from surefoot.robust.softmax.slopes import (
    Block,
    Scaling,
    Workspace,
    block_rows,
    blocks_of,
    fold,
    measure_scaling,
    slopes,
)

__all__ = ["StreamSettings", "Streamed", "stream_accuracy", "stream_head"]


@dataclass(frozen=True)
class StreamSettings:
    """How a head is streamed.

    decay: weight decay times rows (the weight decay of a step is decay / n). save_every: steps between checkpoints.
    """

    batch: int = 10_000
    epochs: int = 100
    rate: float = 1.0
    decay: float = 0.0
    decay_bias: bool = False
    schedule: Literal["cosine", "published"] = "cosine"
    start: Start = "zero"
    save_every: int = 50

    def __post_init__(self) -> None:
        for name in ("batch", "epochs", "save_every"):
            if getattr(self, name) < 1:
                raise InputError(f"{name} is {getattr(self, name)}; it must be at least 1.")
        if not self.rate > 0 or not self.decay >= 0:
            raise InputError(f"rate is {self.rate} and decay {self.decay}; rate must be positive, decay not negative.")


class Streamed(NamedTuple):
    """The head on raw features, and the mean loss over each epoch's batches as they were met (nats a row)."""

    head: LinearHead
    losses: tuple[float, ...]


@dataclass
class _Course:
    """Where a run is: steps done, the generator's state when this epoch's order was drawn, losses so far."""

    weight: Tensor
    bias: Tensor
    step: int
    dealt: Tensor
    loss: float
    losses: list[float]


def stream_head(
    features: Float[Tensor, "rows features"],
    targets: Int[Tensor, "rows"],
    classes: int,
    settings: StreamSettings,
    seed: int,
    *,
    weights: Float[Tensor, "rows"] | None = None,
    checkpoint: Path | None = None,
    each_epoch: Callable[[int, LinearHead], None] | None = None,
    progress: Progress = silent,
) -> Streamed:
    """Fit one head as the module's text says; the same seed gives the same head, streamed or in memory, killed or not.

    weights: row weights, used as they are relative to their mean. checkpoint: a file written every `save_every` steps
    and at the end, and resumed from when it exists. each_epoch: called with the epochs done and the head so far.

    Raises `InputError` for rows and labels that do not fit, for features that are not finite, for a weight decay that
    is too large for the rate, for another run's checkpoint, and when the loss stops being finite.

    >>> features = torch.tensor([[0.0], [1.0], [4.0], [5.0]], dtype=torch.float16)
    >>> streamed = stream_head(features, torch.tensor([0, 0, 1, 1]), 2, StreamSettings(batch=2, epochs=9), seed=0)
    >>> streamed.head.logits(features).argmax(dim=1).tolist()
    [0, 0, 1, 1]
    """
    _check(features, targets, classes, weights)
    count = len(targets)
    relative = None if weights is None else weights * (count / total_weight(Block(features, targets, weights)))
    check_shrinkage((settings.decay,), settings.rate, float(count))
    scaling = measure_scaling(features)
    precision = working_precision(features)
    work = Workspace.of(scaling, 1, classes, precision)
    generator = torch.Generator().manual_seed(seed)
    weight, bias = start_of(settings.start, 1, classes, features.shape[1], precision, generator)
    course = _Course(weight, bias, 0, generator.get_state(), 0.0, [])
    run = "" if checkpoint is None else _identity(scaling, targets, relative, classes, settings, seed)
    if checkpoint is not None and (saved := load_checkpoint(checkpoint, run)) is not None:
        course = _Course(**saved)

    per_epoch = math.ceil(count / settings.batch)
    steps = per_epoch * settings.epochs
    while course.step < steps:
        generator.set_state(course.dealt)
        order = torch.randperm(count, generator=generator)
        for batch in _batches(features, targets, relative, order, settings.batch, course.step % per_epoch):
            _take_step(course, batch, work, settings, count, per_epoch)
            if course.step % per_epoch == 0:
                course.losses.append(course.loss / count)
                course.loss, course.dealt = 0.0, generator.get_state()
                if each_epoch is not None:
                    each_epoch(len(course.losses), fold(course.weight[0], course.bias[0], scaling))
            if checkpoint is not None and (course.step % settings.save_every == 0 or course.step == steps):
                save_checkpoint(checkpoint, run, vars(course))
            progress("training", course.step, steps)
    return Streamed(fold(course.weight[0], course.bias[0], scaling), tuple(course.losses))


def stream_accuracy(head: LinearHead, features: Float[Tensor, "rows features"], targets: Int[Tensor, "rows"]) -> float:
    """The share of rows whose largest logit (the first of equals) is the target's, a block at a time."""
    right = 0
    for block in blocks_of(Block(features, targets), block_rows(features.shape[1], head.weight.dtype)):
        right += int((head.logits(block.features[:]).argmax(dim=1) == block.targets).sum())
    return right / len(targets)


def rate_of_step(settings: StreamSettings, step: int, per_epoch: int) -> float:
    """The learning rate of a step, counted from zero.

    >>> settings = StreamSettings(epochs=2)
    >>> [round(rate_of_step(settings, step, 4), 2) for step in (0, 4, 7)]
    [1.0, 0.5, 0.04]
    >>> published = StreamSettings(epochs=2, schedule="published")
    >>> [round(rate_of_step(published, step, 4), 2) for step in range(5)]
    [1.0, 0.5, 0.0, 0.5, 1.0]
    """
    half_period = settings.epochs * per_epoch if settings.schedule == "cosine" else settings.epochs
    return settings.rate * 0.5 * (1 + math.cos(math.pi * step / half_period))


def _take_step(
    course: _Course, batch: Block, work: Workspace, settings: StreamSettings, count: int, per_epoch: int
) -> None:
    rate = rate_of_step(settings, course.step, per_epoch)
    slope = slopes(blocks_of(batch, len(work.features)), course.weight, course.bias, work)
    course.step += 1
    course.loss += float(slope.loss)
    if not math.isfinite(course.loss):
        raise InputError(f"The loss was not finite at step {course.step}; use a rate below {settings.rate:g}.")
    shrink, share = 1 - rate * settings.decay / count, rate / len(batch.targets)
    course.weight.mul_(shrink).sub_(slope.weight, alpha=share)
    course.bias.mul_(shrink if settings.decay_bias else 1.0).sub_(slope.bias, alpha=share)


def _batches(
    features: Tensor, targets: Tensor, weights: Tensor | None, order: Tensor, batch: int, done: int
) -> Iterator[Block]:
    """The epoch's batches after the first `done`, each with its rows in the file's order; the next is read ahead."""
    pieces = order.split(batch)[done:]
    stored = _as_numbers(features)
    buffers = [np.empty((min(batch, len(order)), features.shape[1]), dtype=stored.dtype) for _ in range(2)]

    def read(number: int) -> tuple[Tensor, Tensor]:
        index = pieces[number].sort().values
        buffer = buffers[number % 2][: len(index)]
        np.take(stored, index.numpy(), axis=0, out=buffer, mode="clip")  # "clip" alone writes straight into `out`
        return index, torch.from_numpy(buffer).view(features.dtype)

    with ThreadPoolExecutor(1) as reader:
        waiting = reader.submit(read, 0)
        for number in range(len(pieces)):
            index, block = waiting.result()
            if number + 1 < len(pieces):
                waiting = reader.submit(read, number + 1)
            yield Block(block, targets[index], None if weights is None else weights[index])


def _as_numbers(features: Tensor) -> NDArray[Any]:
    """The matrix as numpy sees it, without a copy; bfloat16, which numpy lacks, as integers of its size."""
    return (features.view(torch.int16) if features.dtype == torch.bfloat16 else features).numpy()


def _check(features: Tensor, targets: Tensor, classes: int, weights: Tensor | None) -> None:
    if features.ndim != 2 or not features.dtype.is_floating_point:
        raise InputError(
            f"The features have shape {tuple(features.shape)} and type {features.dtype}; expected floats "
            "[rows, features]."
        )
    for name, values in {"labels": targets, "weights": weights}.items():
        if values is not None and len(values) != len(features):
            raise InputError(f"There are {len(features)} rows of features but {len(values)} {name}; give one per row.")
    if len(targets) and not 0 <= int(targets.min()) <= int(targets.max()) < classes:
        raise InputError(
            f"Labels run from {int(targets.min())} to {int(targets.max())} for {classes} classes; they must be 0 to "
            f"{classes - 1}."
        )


def _identity(
    scaling: Scaling, targets: Tensor, weights: Tensor | None, classes: int, settings: StreamSettings, seed: int
) -> str:
    """What a run is made of; mean and deviation stand for the features, which are too many to digest."""
    told: Mapping[str, Any] = {name: value for name, value in vars(settings).items() if name != "save_every"}
    return identity(scaling.mean, scaling.scale, targets, weights, classes, dict(told), seed)

"""Teaching a flexible backbone with all its heads at once: one patch size a step, drawn from (seed, step).

    loss = 12 · segment + 10 · centre + .1 · offset + scores + .5 · boxes + ½ · contrast

Source: Beyer et al. (2023), "FlexiViT": one size a step. The optimiser is AdamW with one cycle of its rate, gradients
cut to a norm of one.
"""

from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from surefoot.errors import InputError
from surefoot.flex.dense.detect import detect_loss
from surefoot.flex.dense.heads import DenseViT, Outputs
from surefoot.flex.dense.panoptic import centre_loss, offset_loss
from surefoot.flex.dense.retrieve import contrastive_loss
from surefoot.flex.dense.segment import segment_loss
from surefoot.flex.schedule import Schedule, size_at
from surefoot.inference.checkpoint import identity, load_checkpoint, save_checkpoint
from surefoot.inference.schedule import momentum_at, rate_at
from surefoot.networks.patches import Size
from surefoot.progress import Progress, silent
from surefoot.rows.scenes import Scenes, take_scenes

__all__ = ["Course", "Parts", "Texts", "losses_of", "outputs_of", "train_dense"]

BATCHES = 5  # beside the streams of `flex.schedule` and `inference.climb`
EVERY = 500  # steps between two checkpoints


@dataclass(frozen=True)
class Course:
    """How it is taught. sizes: the patch sizes and how they are drawn; one alone for a fixed transformer."""

    sizes: Schedule
    steps: int = 6000
    batch: int = 16
    rate: float = 3e-3
    decay: float = 0.05


@dataclass(frozen=True)
class Texts:
    """Locked text embeddings. names: of the classes that are marked, `known`; captions: of each scene, by number."""

    names: Float[Tensor, "names text"]
    known: Int[Tensor, "names"]
    captions: Float[Tensor, "captions text"]
    numbers: Int[Tensor, "scenes"]


@dataclass(frozen=True)
class Parts:
    """How much each loss counts."""

    segment: float = 12.0
    centre: float = 10.0
    offset: float = 0.1
    scores: float = 1.0
    boxes: float = 0.5
    contrast: float = 0.5


def losses_of(
    model: DenseViT, said: Outputs, scenes: Scenes, texts: Texts, numbers: Int[Tensor, "rows"]
) -> dict[str, Float[Tensor, ""]]:
    """Every loss by its name in `Parts`. numbers: of the captions of these scenes."""
    scores, boxes = detect_loss(model, said, scenes, texts.names, texts.known)
    return {
        "segment": segment_loss(said, scenes.classes),
        "centre": centre_loss(said, scenes),
        "offset": offset_loss(said, scenes),
        "scores": scores,
        "boxes": boxes,
        "contrast": contrastive_loss(model, said, texts.captions[numbers], numbers),
    }


def train_dense(
    model: DenseViT,
    scenes: Scenes,
    texts: Texts,
    course: Course,
    seed: int,
    *,
    parts: Parts | None = None,
    checkpoint: Path | None = None,
    progress: Progress = silent,
) -> None:
    """Teach the model in place; with a checkpoint a killed run goes on, to the same numbers.

    Raises `InputError` for no step, and fewer scenes than a batch or captions for other scenes.
    """
    if course.steps < 1 or not 1 <= course.batch <= len(scenes) or len(texts.numbers) != len(scenes):
        raise InputError(
            f"{course.steps} steps of {course.batch} of {len(scenes)} scenes with {len(texts.numbers)} captions were "
            "asked for; give at least one step, as many scenes as a batch has, and a caption for each."
        )
    weights = asdict(parts or Parts())
    trained = [tensor for tensor in model.parameters() if tensor.requires_grad]
    optimiser = torch.optim.AdamW(trained, lr=course.rate, weight_decay=course.decay)
    run = identity(asdict(course), weights, seed, dict(model.state_dict()), scenes, texts)
    first = 0
    if checkpoint is not None and (kept := load_checkpoint(checkpoint, run)) is not None:
        first = kept["step"]
        model.load_state_dict(kept["model"])
        optimiser.load_state_dict(kept["optimiser"])
    for step in range(first, course.steps):
        drawn = np.random.default_rng([seed, BATCHES, step]).choice(len(scenes), course.batch, replace=False)
        index = torch.from_numpy(drawn)
        batch = take_scenes(scenes, index)
        said = model(batch.inputs(), size_at(course.sizes, seed, step, course.steps))
        every = losses_of(model, said, batch, texts, texts.numbers[index])
        loss = torch.stack([weights[name] * each for name, each in every.items()]).sum()
        for group in optimiser.param_groups:
            group["lr"] = rate_at("one_cycle", course.rate, step, course.steps)
            group["betas"] = (momentum_at("one_cycle", None, step, course.steps), 0.999)
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(trained, 1.0)
        optimiser.step()
        if (step + 1) % 50 == 0 or step + 1 == course.steps:
            progress(f"teaching: loss {float(loss.detach()):.3f}", step + 1, course.steps)
        if checkpoint is not None and (step + 1) % EVERY == 0 and step + 1 < course.steps:
            state = {"step": step + 1, "model": dict(model.state_dict()), "optimiser": optimiser.state_dict()}
            save_checkpoint(checkpoint, run, state)


@torch.inference_mode()
def outputs_of(model: DenseViT, scenes: Scenes, patch: Size, batch: int = 100) -> Outputs:
    """What the model says of all scenes at a patch size."""
    images = scenes.inputs()
    found: list[Outputs] = [model(images[at : at + batch], patch) for at in range(0, len(images), batch)]
    return Outputs(*(torch.cat(each) for each in zip(*found, strict=True)))

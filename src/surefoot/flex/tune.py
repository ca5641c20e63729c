"""Training at every patch size: one set of weights, from a seed or from a plain transformer that is there.

Each step runs the network at the size that a schedule draws for it, and minimises cross-entropy with the labels, or the
divergence from a teacher. A plain transformer's best teacher is at hand: itself, at the size that it was trained at.

Source: Beyer et al. (2023), "FlexiViT: One model for all patch sizes": Algorithm 1, and distillation from the model
that the student starts as. There kernel and positions are resized once, to 32 × 32 and 7 × 7; here they keep the size
that they have, which is what the plain model needs to stay as good as it is.
"""

from dataclasses import dataclass
from pathlib import Path

from torch import Tensor, nn

from surefoot.density.likelihoods import categorical
from surefoot.density.objective import Objective
from surefoot.density.pools import mean
from surefoot.flex.distil import Lesson, Teacher, distil
from surefoot.flex.fixed import fixed_at
from surefoot.flex.schedule import Drawn, Schedule
from surefoot.inference.ascend import ascend
from surefoot.inference.draws import Draws
from surefoot.inference.settings import Ascend
from surefoot.networks.flexible import at_patch
from surefoot.networks.network import Network, Parameters
from surefoot.networks.patches import Size
from surefoot.progress import Progress, silent
from surefoot.rows.rows import Rows

__all__ = ["Scaled", "itself", "train_at_sizes"]


def train_at_sizes(
    network: Network,
    start: Parameters,
    rows: Rows,
    schedule: Schedule,
    seed: int,
    settings: Ascend,
    *,
    teacher: Teacher | None = None,
    lesson: Lesson | None = None,
    scale: float = 1.0,
    checkpoint: Path | None = None,
    save_seconds: float = 0.0,
    progress: Progress = silent,
    device: str = "cpu",
) -> Draws:
    """Train at the sizes of a schedule: on the labels of the rows, or on what a teacher says and no label.

    lesson: how the teacher is listened to; without one it is not read. scale: what images are divided by before the
    network reads them (a teacher reads them as they are).

    Raises `InputError` for a network without patch sizes, sizes that do not divide its images, and for what `ascend`
    and `distil` refuse.

    >>> import torch
    >>> from surefoot.flex.schedule import uniform
    >>> from surefoot.networks.flexible import Shape, at_patch, build_vit
    >>> from surefoot.networks.network import forward, parameters_of
    >>> from surefoot.rows.rows import make_rows
    >>> shape = Shape((1, 16, 16), width=8, depth=1, heads=2, buffer=(8, 8), grid=(2, 2))
    >>> network, rows = build_vit(shape, 2, patch=8, seed=0), make_rows(torch.randn(9, 1, 16, 16), torch.arange(9) % 2)
    >>> sizes = uniform([(8, 8), (4, 4)])
    >>> plain = parameters_of(network)
    >>> draws = train_at_sizes(
    ...     network, plain, rows, sizes, 0, Ascend(1), teacher=itself(network, plain, (8, 8), seen=rows.origins())
    ... )
    >>> tuple(forward(at_patch(network, 4), draws.point(), rows.inputs).shape)
    (9, 2)
    """
    for size in schedule.sizes:
        at_patch(network, size)
    drawn = Drawn(schedule, seed)
    view = drawn if scale == 1.0 else Scaled(drawn, scale)
    if teacher is not None:
        return distil(
            network, start, teacher, rows, seed, settings, lesson=lesson or Lesson(), view=view, checkpoint=checkpoint,
            save_seconds=save_seconds, progress=progress, device=device,
        )  # fmt: skip
    return ascend(
        Objective(network, categorical, mean), rows, start, seed, settings, view=view, checkpoint=checkpoint,
        save_seconds=save_seconds, progress=progress, device=device,
    )  # fmt: skip


@dataclass(frozen=True)
class Scaled:
    """A `View`: what another one runs, on images divided by `scale`."""

    view: Drawn
    scale: float

    def __call__(self, module: nn.Module, step: int, steps: int) -> nn.Module:
        return _Divided(self.view(module, step, steps), self.scale)


class _Divided(nn.Module):
    def __init__(self, run: nn.Module, scale: float) -> None:
        super().__init__()
        self.run, self.scale = run, scale

    def forward(self, images: Tensor) -> Tensor:
        return self.run(images / self.scale)


def itself(
    network: Network,
    parameters: Parameters,
    patch: Size,
    *,
    classes: tuple[str, ...] | None = None,
    seen: frozenset[str],
) -> Teacher:
    """A model as its own teacher: as it is at the patch size that it was trained at. seen: what trained it."""
    plain = fixed_at(network, parameters, patch)
    return Teacher(plain.network, plain.parameters, classes=classes, seen=seen)

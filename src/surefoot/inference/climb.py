"""The machinery of an ascent: a private copy of the network, a feed of batches, one epoch of steps.

Two choices make a step cheap. The copy holds its parameters inside the module, so no step swaps them in and
out; and images travel with channels last wherever the network accepts it, because torch's CPU pooling is many
times slower with channels first. The layout depends on the network and the inputs' shape, never on a clock.
"""

import copy
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from surefoot.density.batch import Batch
from surefoot.density.group_dro import Moving
from surefoot.density.objective import Objective, Posterior
from surefoot.errors import InputError
from surefoot.inference.mixup import draw_shares, mix_inputs, mix_targets
from surefoot.inference.schedule import momentum_at, rate_at
from surefoot.inference.settings import Ascend, View
from surefoot.inference.shift import draw_offsets, shift_images
from surefoot.networks.layout import lay_out, layout_of
from surefoot.networks.network import Parameters
from surefoot.rows.rows import Inputs, Rows

__all__ = [
    "Feed",
    "Gradient",
    "Loss",
    "climb_epoch",
    "make_feed",
    "make_loss",
    "make_optimiser",
    "private_copy",
    "set_pace",
    "tensors_of",
]

Loss: TypeAlias = Callable[[nn.Module, Batch], Tensor]
"""The module that a step runs, and its batch → what the step minimises."""

Gradient: TypeAlias = Callable[[torch.optim.Optimizer, Loss, nn.Module, Batch], Tensor]
"""Leaves the gradient of a step in the optimiser's tensors; returns the loss."""

ORDER, SHIFT, NETWORK = range(3)  # what a stream of random numbers is for
MIXUP = 5  # 4 is `flex.schedule`'s
ROUND = 20  # L-BFGS iterations in an epoch


def private_copy(module: nn.Module, start: Parameters, device: str) -> nn.Module:
    """A copy of `module` in training mode whose tensors are copies of `start`, in the start's precision."""
    own = copy.deepcopy(module).train()
    tensors = tensors_of(own)
    if wrong := [name for name in tensors if name not in start or start[name].shape != tensors[name].shape]:
        raise InputError(
            f"The start has no tensor of the network's shape for {wrong}; start from parameters_of(network)."
        )
    if extra := [name for name in start if name not in tensors]:
        raise InputError(
            f"The start holds {extra}, which the network does not have; start from parameters_of(network)."
        )
    for name, tensor in tensors.items():
        tensor.data = start[name].detach().to(device, copy=True)
    return own


def tensors_of(module: nn.Module) -> Parameters:
    """The module's own parameters and buffers by name (not copies)."""
    return dict([*module.named_parameters(), *module.named_buffers()])


@dataclass(frozen=True)
class Feed:
    """Rows on the device, handed out as batches. What epoch e hands out depends on (seed, e) alone."""

    inputs: Inputs
    targets: Tensor
    weights: Tensor
    members: Tensor
    settings: Ascend
    seed: int
    device: str
    layout: torch.memory_format
    classes: int = 0

    def sizes(self) -> list[int]:
        """Rows in each batch of an epoch; all at once for L-BFGS."""
        count = len(self.weights)
        size = count if self.settings.optimiser == "lbfgs" else self.settings.batch
        return [min(size, count - first) for first in range(0, count, size)]

    def batches(self, epoch: int) -> Iterator[Batch]:
        """The batches of one epoch, in order."""
        count = len(self.weights)
        order, weights = torch.arange(count), self.weights
        if self.settings.draw == "weighted":
            drawn_by = self.weights.cpu().to(torch.float64)
            order = torch.multinomial(drawn_by, count, replacement=True, generator=_generator(self.seed, epoch, ORDER))
            weights = torch.ones_like(self.weights)
        elif self.settings.shuffle and self.settings.optimiser != "lbfgs":
            order = torch.randperm(count, generator=_generator(self.seed, epoch, ORDER))
        shift = self.settings.shift
        offsets = draw_offsets(count, shift, _generator(self.seed, epoch, SHIFT)) if shift else None
        mixup = self.settings.mixup
        shares = draw_shares(len(self.sizes()), mixup, _stream(self.seed, epoch, MIXUP)) if mixup else None
        first = 0
        for place, size in enumerate(self.sizes()):
            index = order[first : first + size]
            inputs = self.inputs[index].to(self.device)
            if offsets is not None:
                inputs = shift_images(inputs, offsets[first : first + size].to(self.device))
            there = index.to(self.device)
            targets = self.targets[there]
            if shares is not None:
                share = float(shares[place])
                inputs, targets = mix_inputs(inputs, share), mix_targets(targets, self.classes, share)
            if self.layout is torch.channels_last:
                inputs = inputs.contiguous(memory_format=self.layout)
            yield Batch(inputs, targets, weights[there], self.members[there])
            first += size


def make_feed(rows: Rows, module: nn.Module, settings: Ascend, seed: int, device: str) -> Feed:
    """A feed of `rows`, in the layout that suits `module` (which is put into that layout)."""
    inputs = rows.inputs.to(device) if isinstance(rows.inputs, Tensor) and device != "cpu" else rows.inputs
    # torch's L-BFGS reads gradients as one line of memory, which channels last are not.
    plain = settings.optimiser == "lbfgs"
    layout = torch.contiguous_format if plain else layout_of(module, rows.inputs[:2].to(device))
    lay_out(tensors_of(module), layout)
    return Feed(
        inputs=inputs,
        targets=rows.targets.to(device),
        weights=rows.weights.to(device),
        members=rows.groups.members.to(device),
        settings=settings,
        seed=seed,
        device=device,
        layout=layout,
        classes=len(rows.classes),
    )


def make_optimiser(settings: Ascend, module: nn.Module, *, fused: bool = True) -> torch.optim.Optimizer:
    """The torch optimiser of the module's trainable parameters; its rate and momentum are set at every step.

    fused: torch's fast steps, whose last bits depend on how many numbers lie in one tensor: the last few of it, that
    fill no vector of the processor, are rounded otherwise. Without, a number has the same step wherever it lies.
    """
    parameters = [tensor for tensor in module.parameters() if tensor.requires_grad]
    if not parameters:
        raise InputError("The network has no trainable parameter; set requires_grad on what should be learnt.")
    if settings.optimiser == "lbfgs":
        small = torch.finfo(parameters[0].dtype).eps
        return torch.optim.LBFGS(
            parameters,
            lr=settings.rate,
            max_iter=ROUND,
            history_size=ROUND,
            tolerance_grad=small,
            tolerance_change=small,
            line_search_fn="strong_wolfe",
        )
    decay = settings.weight_decay
    if settings.optimiser == "sgd":
        return torch.optim.SGD(parameters, lr=settings.rate, weight_decay=decay, fused=fused)
    return torch.optim.AdamW(parameters, lr=settings.rate, weight_decay=decay, fused=fused)


def make_loss(
    objective: Objective | Posterior, module: nn.Module, rows_total: int, moving: Moving | None = None
) -> Loss:
    """What a step minimises: the batch's negative objective, or negative log density per row of a posterior.

    moving: this run's group weights, where the objective's pool is group DRO; each call moves them by a step.
    """
    live = tensors_of(module)
    if moving is not None and isinstance(objective, Objective):
        objective = replace(objective, pool=moving)
    if isinstance(objective, Posterior):
        return lambda run, batch: (
            objective.minibatch_log_density_of(run(batch.inputs), live, batch, rows_total) / -rows_total
        )
    return lambda run, batch: -objective.value_of(run(batch.inputs), live, batch)


def climb_epoch(
    optimiser: torch.optim.Optimizer,
    feed: Feed,
    module: nn.Module,
    loss: Loss,
    epoch: int,
    view: View | None = None,
    gradient: Gradient | None = None,
) -> Float[Tensor, "steps"]:
    """Take the steps of one epoch; returns the loss before each. Raises `InputError` when one is not finite.

    view: what each step runs in the module's place. gradient: how a step's is made, in place of one backward pass.

    The check comes at the end of the epoch, so that no step waits for a number.
    """
    settings = feed.settings
    per_epoch, gradient = len(feed.sizes()), gradient or _gradient
    losses: list[Tensor] = []
    with _own_randomness(feed.seed, epoch, feed.device):
        for place, fed in enumerate(feed.batches(epoch)):
            step, steps = epoch * per_epoch + place, settings.epochs * per_epoch
            batch = fed._replace(done=step / steps)
            run = module if view is None else view(module, step, steps)
            if settings.optimiser == "lbfgs":
                losses.append(
                    torch.tensor(
                        optimiser.step(lambda run=run, batch=batch: gradient(optimiser, loss, run, batch).item())
                    )
                )
                continue
            set_pace(optimiser, settings, step, steps)
            losses.append(gradient(optimiser, loss, run, batch))
            optimiser.step()
    taken = torch.stack(losses).to(torch.float64).cpu()
    if not bool(taken.isfinite().all()):
        bad = int((~taken.isfinite()).nonzero()[0])
        raise InputError(
            f"The training loss became {taken[bad].item()} at step {epoch * per_epoch + bad + 1} (epoch {epoch + 1}); "
            f"{_mend(settings)}, and check that all inputs are finite."
        )
    return taken


def _mend(settings: Ascend) -> str:
    if settings.optimiser == "lbfgs":  # which finds its steps itself
        return "try another start or a less extreme prior"
    return f"try a rate below {settings.rate:g}"


def _gradient(optimiser: torch.optim.Optimizer, loss: Loss, run: nn.Module, batch: Batch) -> Tensor:
    optimiser.zero_grad()
    value = loss(run, batch)
    value.backward()
    return value.detach()


def set_pace(optimiser: torch.optim.Optimizer, settings: Ascend, step: int, steps: int) -> None:
    """Give the optimiser the rate and the momentum of step 0 ≤ `step` < `steps`."""
    momentum = momentum_at(settings.schedule, settings.momentum, step, steps)
    for group in optimiser.param_groups:
        group["lr"] = rate_at(settings.schedule, settings.rate, step, steps)
        if settings.optimiser == "sgd":
            group["momentum"] = momentum
        else:
            group["betas"] = (momentum, group["betas"][1])


def _generator(seed: int, epoch: int, purpose: int) -> torch.Generator:
    return torch.Generator().manual_seed(_stream(seed, epoch, purpose))


def _stream(seed: int, epoch: int, purpose: int) -> int:
    """A seed for one purpose in one epoch; torch's CPU generator keeps 32 bits of it."""
    return int(np.random.SeedSequence([seed, epoch, purpose]).generate_state(1, np.uint64)[0] >> 1)


@contextmanager
def _own_randomness(seed: int, epoch: int, device: str) -> Generator[None]:
    """Dropout and the like draw from (seed, epoch); the caller's global generators are put back."""
    cuda = [torch.device(device)] if device.startswith("cuda") else []
    with torch.random.fork_rng(devices=cuda):
        torch.default_generator.manual_seed(_stream(seed, epoch, NETWORK))
        if cuda:
            torch.cuda.manual_seed(_stream(seed, epoch, NETWORK))
        yield

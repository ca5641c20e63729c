"""Where a model is taught: a device, a precision, and how many processes share every batch.

Alone it is one process. Under torchrun (`shared`) or Accelerate (`accelerate launch`) each process holds the whole
model and a share of every batch; what they add up are logits and gradients, never losses, so that a loss sees the whole
batch wherever it lies.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import torch
from torch import Tensor

from surefoot.errors import InputError
from surefoot.hub.pretrained import quiet_transformers
from surefoot.inference.together import Together, summed
from surefoot.study.numerics import require_device

__all__ = ["Place", "TunePrecision", "accelerated", "alone", "shared"]

TunePrecision: TypeAlias = Literal["float32", "bfloat16"]
"""Of the body's products; weights, their changes and the head are float32 in both."""


@dataclass(frozen=True)
class Place:
    """this: the number of this process; add: sums a tensor over processes."""

    device: torch.device
    precision: TunePrecision
    processes: int
    this: int
    add: Callable[[Tensor], Tensor]

    def products(self) -> AbstractContextManager[Any]:
        """Within it the body's products have the precision."""
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.precision == "bfloat16")


def alone(device: str = "cpu", precision: TunePrecision = "float32") -> Place:
    """This process on one device.

    >>> alone().processes
    1
    """
    return Place(require_device(device), precision, 1, 0, _as_it_is)


def shared(together: Together, precision: TunePrecision = "float32") -> Place:
    """One of the processes that torchrun started, on its device.

        with joined() as together:
            tuned = tune(learner, labels, seed, place=shared(together), checkpoint=Path("begun.safetensors"))

    >>> shared(Together(0, 1)).processes
    1
    """
    device = require_device(together.device)
    add = summed if together.processes > 1 else _as_it_is
    return Place(device, precision, together.processes, together.rank, add)


def accelerated(accelerator: Any = None) -> Place:
    """Device, precision and processes as Accelerate has them: of `accelerator`, or of a new one.

    Raises `InputError` where accelerate is not installed, and for 16-bit floats, whose gradients need scaling.
    """
    if accelerator is None:
        with quiet_transformers():
            try:
                from accelerate import Accelerator
            except ImportError:
                raise InputError(
                    'Several processes need accelerate, which is not installed: pip install "surefoot[tuning]"'
                ) from None
            accelerator = Accelerator()
    told = str(accelerator.mixed_precision)
    if told not in {"no", "bf16"}:
        raise InputError(f"The precision of Accelerate is {told}; surefoot tunes in no (float32) or bf16.")
    precision: TunePrecision = "bfloat16" if told == "bf16" else "float32"

    def add(tensor: Tensor) -> Tensor:
        return accelerator.reduce(tensor, reduction="sum")

    return Place(
        accelerator.device, precision, int(accelerator.num_processes), int(accelerator.process_index),
        add if accelerator.num_processes > 1 else _as_it_is,
    )  # fmt: skip


def _as_it_is(tensor: Tensor) -> Tensor:
    return tensor

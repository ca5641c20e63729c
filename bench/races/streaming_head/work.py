"""What both sides share: features stored as float16 in a file, labels, and the order of every epoch."""

import tempfile
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from surefoot.networks.tensor_file import TensorFile


def shared(parameters: dict[str, Any]) -> tuple[Tensor, Tensor]:
    rows, width, classes = (int(parameters[name]) for name in ("rows", "features", "classes"))
    generator = torch.Generator().manual_seed(int(parameters["seed"]))
    centres = 0.13 * torch.randn(classes, width, generator=generator)
    targets = torch.randint(classes, (rows,), generator=generator)
    file = TensorFile(Path(tempfile.mkdtemp()) / "features.safetensors", rows, width, torch.float16)
    file.prepare()
    for start in range(0, rows, 10_000):
        chunk = slice(start, min(start + 10_000, rows))
        noise = torch.randn(chunk.stop - chunk.start, width, generator=generator)
        file.write(chunk, (0.5 + centres[targets[chunk]] + noise).half())
    return file.mapped(), targets

"""What both sides share: the rows of the demo, in one shuffled order, and the network's starting weights."""

from typing import Any

import torch

from surefoot.networks.build import build_cnn
from surefoot.networks.network import Network
from surefoot.rows.dominoes import dominoes
from surefoot.rows.rows import Rows


def shared(parameters: dict[str, Any]) -> tuple[Network, Rows]:
    rows = dominoes(seed=int(parameters["seed"]))["fit"]
    order = torch.randperm(len(rows), generator=torch.Generator().manual_seed(int(parameters["seed"])))
    network = build_cnn((1, 28, 14), (16, 32), hidden=64, classes=2, seed=int(parameters["seed"]))
    return network, rows.take(order[: int(parameters["rows"])])

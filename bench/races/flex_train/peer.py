"""The peer: a plain vision transformer with one patch size, in torch, queries, keys and values in one product.

Where several sizes take turns, its blocks are shared and it has a kernel and positions for each.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from start import flexible
from torch import Tensor, nn
from torch.nn import functional
from work import race_of

from surefoot.flex.fixed import fixed_at
from surefoot.networks.flexible import SIZES
from surefoot.networks.network import parameters_of


class Layer(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = (nn.LayerNorm(width, eps=1e-6) for _ in range(2))
        self.attend, self.project = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.expand, self.contract = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        rows, count, width = x.shape
        qkv = self.attend(self.norm1(x)).reshape(rows, count, 3, self.heads, width // self.heads)
        query, key, value = qkv.permute(2, 0, 3, 1, 4).unbind(0)
        seen = functional.scaled_dot_product_attention(query, key, value)
        x = x + self.project(seen.transpose(1, 2).reshape(rows, count, width))
        return x + self.contract(functional.gelu(self.expand(self.norm2(x))))


class Plain(nn.Module):
    def __init__(self, parameters: dict[str, Any]) -> None:
        super().__init__()
        width, depth, heads = SIZES[parameters["size"]]
        patches = [patch for patch, _ in parameters["rows"]]
        side = parameters["image"]
        self.embeddings = nn.ModuleDict({str(p): nn.Conv2d(3, width, p, stride=p) for p in patches})
        self.positions = nn.ParameterDict({str(p): torch.zeros(1, (side // p) ** 2, width) for p in patches})
        self.token = nn.Parameter(torch.zeros(1, 1, width))
        self.blocks = nn.Sequential(*(Layer(width, heads) for _ in range(depth)))
        self.norm, self.head = nn.LayerNorm(width, eps=1e-6), nn.Linear(width, parameters["classes"])

    def forward(self, images: Tensor, patch: int) -> Tensor:
        x = self.embeddings[str(patch)](images).flatten(2).transpose(1, 2) + self.positions[str(patch)]
        x = torch.cat([self.token.expand(len(x), -1, -1), x], dim=1)
        return self.head(self.norm(self.blocks(x))[:, 0])


def prepare(parameters: dict[str, Any]) -> Callable[[], Callable[[], dict[str, np.ndarray]]]:
    model = Plain(parameters)
    network = flexible(parameters)
    kept = parameters_of(network)
    with torch.no_grad():
        for patch, _ in parameters["rows"]:
            plain = fixed_at(network, kept, (patch, patch)).parameters
            model.embeddings[str(patch)].weight.copy_(plain["kernel"])
            model.embeddings[str(patch)].bias.copy_(plain["bias"])
            model.positions[str(patch)].copy_(plain["positions"].flatten(0, 1))
        own = model.state_dict()
        for name, tensor in kept.items():
            if name.split(".")[0] in {"blocks", "norm", "head"}:
                own[name].copy_(tensor)
        own["token"].copy_(kept["token"])
    models = {patch: (lambda images, patch=patch: model(images, patch)) for patch, _ in parameters["rows"]}
    return race_of(models, list(model.parameters()), model.blocks[0].expand.weight, parameters)

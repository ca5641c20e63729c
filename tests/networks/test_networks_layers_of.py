"""Layers read from inside a network equal the same layers computed by hand."""

import pytest
import torch
from torch import nn

from surefoot.errors import InputError
from surefoot.networks.build import build_cnn, build_resnet
from surefoot.networks.layers_of import embed_layers, layer_names, pooled
from surefoot.networks.network import Network, embed, forward, parameters_of
from surefoot.rows.rows import make_rows

IMAGES = torch.randn(7, 1, 8, 8, generator=torch.Generator().manual_seed(0))
ROWS = make_rows(IMAGES, torch.arange(7) % 2)


def test_every_layer_is_what_a_plain_forward_pass_gives() -> None:
    network = build_cnn((1, 8, 8), (4, 6), hidden=3, classes=2, seed=1)
    seen = embed_layers(network, parameters_of(network), ROWS, layer_names(network), batch=3)
    passing = IMAGES
    for name, part in network.module.named_children():
        if name == network.head:
            assert torch.allclose(seen[name].inputs[:], passing)
            break
        passing = part(passing)
        if name in seen:
            by_hand = passing.mean(dim=(2, 3)) if passing.ndim == 4 else passing
            assert torch.allclose(seen[name].inputs[:], by_hand, atol=1e-6)
            assert (seen[name].ids == ROWS.ids).all()


def test_the_head_means_what_enters_it_and_no_hook_stays() -> None:
    network = build_resnet((1, 8, 8), width=4, blocks=1, classes=2, seed=0)
    parameters = parameters_of(network)
    seen = embed_layers(network, parameters, ROWS, ["head", "stage2_block1.norm2"])
    assert torch.allclose(seen["head"].inputs[:], embed(network, parameters, IMAGES), atol=1e-6)
    assert seen["stage2_block1.norm2"].inputs[:].shape == (7, 8)
    assert not any(part._forward_hooks for part in network.module.modules())
    forward(network, parameters, IMAGES)


def test_tokens_are_averaged_and_vectors_left_alone() -> None:
    assert pooled(torch.arange(12.0).reshape(2, 3, 2)).tolist() == [[2.0, 3.0], [8.0, 9.0]]
    assert pooled(torch.tensor([[1.0, 2.0]])).tolist() == [[1.0, 2.0]]


class Twice(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.again = nn.Linear(2, 2)
        self.head = nn.Linear(2, 2)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return self.head(self.again(self.again(inputs)))


def test_a_layer_that_is_missing_or_runs_twice_is_refused() -> None:
    network = build_cnn((1, 8, 8), (4,), hidden=3, classes=2, seed=0)
    with pytest.raises(InputError, match='did you mean "conv1"'):
        embed_layers(network, parameters_of(network), ROWS, ["conv9"])
    twice = Network(Twice().eval(), "head")
    with pytest.raises(InputError, match="ran 2 times"):
        embed_layers(twice, parameters_of(twice), make_rows(torch.zeros(2, 2), torch.tensor([0, 1])), ["again"])

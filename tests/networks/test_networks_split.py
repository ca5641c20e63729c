"""The head is found, or the reason why there is none is said."""

import re

import pytest
import torch
from torch import Tensor, nn

from surefoot.errors import InputError
from surefoot.networks.network import embed, parameters_of
from surefoot.networks.split import split


class HeadDefinedFirst(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.classify = nn.Linear(4, 2)
        self.body = nn.Linear(3, 4)

    def forward(self, inputs: Tensor) -> Tensor:
        return self.classify(self.body(inputs).relu())


class Untraceable(nn.Module):
    """Python decides on values, so torch cannot follow it; `scale` changes the logits afterwards."""

    def __init__(self, scale: float) -> None:
        super().__init__()
        self.body = nn.Linear(3, 4)
        self.head = nn.Linear(4, 2)
        self.scale = scale

    def forward(self, inputs: Tensor) -> Tensor:
        features = self.body(inputs)
        if features.sum() > 0:
            features = features.relu()
        return self.scale * self.head(features)


class Probabilities(HeadDefinedFirst):
    def forward(self, inputs: Tensor) -> Tensor:
        return super().forward(inputs).softmax(dim=1)


class Dictionary(HeadDefinedFirst):
    def forward(self, inputs: Tensor) -> dict[str, Tensor]:
        return {"logits": super().forward(inputs)}


def test_the_head_is_the_layer_that_is_returned_not_the_one_defined_last() -> None:
    assert split(HeadDefinedFirst()).head == "classify"


def test_a_nested_head_is_named_by_its_path() -> None:
    module = nn.Sequential(nn.Linear(3, 4), nn.Sequential(nn.ReLU(), nn.Linear(4, 2)))
    assert split(module).head == "1.1"


def test_a_bare_linear_layer_is_a_model_with_its_inputs_as_features() -> None:
    layer = nn.Linear(3, 2)
    network = split(layer)
    inputs = torch.rand(4, 3)
    assert embed(network, parameters_of(network), inputs) is inputs
    assert network.module.get_submodule(network.head) is layer


def test_an_untraceable_module_is_judged_on_example_inputs() -> None:
    assert split(Untraceable(1.0), example=torch.rand(4, 3)).head == "head"
    assert split(Untraceable(3.0)).head == "head"
    with pytest.raises(InputError, match=r'^The layer "head" is not the last step of the model: its outputs \[4, 2\]'):
        split(Untraceable(3.0), example=torch.rand(4, 3))


@pytest.mark.parametrize(
    ("module", "head", "message"),
    [
        (
            nn.Sequential(nn.Conv2d(1, 2, 3)),
            None,
            "The model Sequential has no nn.Linear layer; its last layer must be an nn.Linear that returns the logits.",
        ),
        (
            HeadDefinedFirst(),
            "clasify",
            'The model HeadDefinedFirst has no layer "clasify"; did you mean "classify"? '
            "Its linear layers are: classify, body.",
        ),
        (
            nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2)),
            "1",
            'The layer "1" is a ReLU; a head must be an nn.Linear. The model\'s linear layers are: 0, 2.',
        ),
        (
            nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2)),
            "0",
            'The model Sequential returns the result of 2, not that of the layer "0"; '
            "return the logits of the last nn.Linear as they are, or name another head.",
        ),
        (
            Probabilities(),
            None,
            "The model Probabilities returns the result of softmax, not that of an nn.Linear layer; "
            "return the logits of the last nn.Linear as they are, or name another head.",
        ),
        (
            Dictionary(),
            "classify",
            'The model Dictionary returns the result of several things, not that of the layer "classify"; '
            "return the logits of the last nn.Linear as they are, or name another head.",
        ),
    ],
)
def test_what_cannot_be_split_is_refused(module: nn.Module, head: str | None, message: str) -> None:
    with pytest.raises(InputError, match=f"^{re.escape(message)}$"):
        split(module, head)

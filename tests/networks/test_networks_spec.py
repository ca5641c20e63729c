"""A spec in plain JSON builds what the builder builds, and a wrong one says what is wrong."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from surefoot.errors import InputError
from surefoot.networks.build import build_cnn, build_linear, build_mlp, build_resnet
from surefoot.networks.network import Network, digest_parameters, parameters_of
from surefoot.networks.spec import network_from_spec

NET = """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.scores = nn.Linear(4, 2)
        self.probe = nn.Linear(4, 2)

    def forward(self, inputs):
        return self.scores(inputs)
"""


@pytest.mark.parametrize(
    ("spec", "build"),
    [
        ('{"linear": {"inputs": 6, "classes": 2}}', lambda: build_linear(6, 2, 5)),
        ('{"mlp": {"inputs": 6, "hidden": [4, 3], "classes": 2}}', lambda: build_mlp(6, (4, 3), 2, 5)),
        ('{"mlp": {"inputs": 6, "hidden": 4, "classes": 2}}', lambda: build_mlp(6, 4, 2, 5)),
        (
            '{"cnn": {"shape": [1, 8, 8], "channels": [2, 3], "hidden": 5, "classes": 2}}',
            lambda: build_cnn((1, 8, 8), (2, 3), 5, 2, 5),
        ),
        (
            '{"resnet": {"shape": [1, 8, 8], "width": 2, "blocks": 1, "classes": 3}}',
            lambda: build_resnet((1, 8, 8), 2, 1, 3, 5),
        ),
    ],
)
def test_a_spec_builds_what_the_builder_builds(spec: str, build: Callable[[], Network]) -> None:
    ours, expected = network_from_spec(json.loads(spec), seed=5), build()
    assert ours.head == expected.head
    assert str(ours.module) == str(expected.module)
    assert digest_parameters(parameters_of(ours)) == digest_parameters(parameters_of(expected))


def test_a_users_file_is_built_from_the_seed_and_leaves_the_global_generator(tmp_path: Path) -> None:
    (tmp_path / "net.py").write_text(NET)
    spec = {"file": f"{tmp_path / 'net.py'}:Net"}
    before = torch.get_rng_state()
    first = network_from_spec(spec, seed=1, trust_code=True)
    assert torch.equal(torch.get_rng_state(), before)
    assert first.head == "scores"
    digest = digest_parameters(parameters_of(first))
    torch.rand(3)
    assert digest_parameters(parameters_of(network_from_spec(spec, seed=1, trust_code=True))) == digest
    assert digest_parameters(parameters_of(network_from_spec(spec, seed=2, trust_code=True))) != digest
    with pytest.raises(InputError, match="pass --trust-code"):
        network_from_spec(spec, seed=1)
    with pytest.raises(InputError, match=r'^The model Net returns the result of scores, not that of the layer "probe"'):
        network_from_spec({**spec, "head": "probe"}, seed=1, trust_code=True)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (
            {"ccn": {}},
            '"ccn" is no architecture; did you mean "cnn"? Known: linear, mlp, cnn, resnet, vit, file.',
        ),
        ({}, "A network names one architecture, and this names 0: none."),
        ({"cnn": {}, "mlp": {}}, "A network names one architecture, and this names 2: cnn, mlp."),
        ({"linear": 5}, 'The architecture "linear" needs its sizes by name (inputs, classes); 5 was given.'),
        (
            {"linear": {"input": 3, "classes": 2}},
            '"input" is no size of "linear"; did you mean "inputs"? Known: inputs, classes.',
        ),
        ({"linear": {"classes": 2}}, 'The architecture "linear" needs "inputs"; it was not given.'),
        (
            {"linear": {"inputs": 2.0, "classes": 2}},
            '"inputs" of "linear" is 2.0; it must be a whole number.',
        ),
        (
            {"linear": {"inputs": True, "classes": 2}},
            '"inputs" of "linear" is True; it must be a whole number.',
        ),
        (
            {"mlp": {"inputs": 3, "hidden": [4, "5"], "classes": 2}},
            '"hidden" of "mlp" is [4, \'5\']; it must be a list of whole numbers.',
        ),
        (
            {"file": "net.py:Net", "heads": "fc"},
            '"heads" is no setting of a model from a file; did you mean "head"? Known: file, head.',
        ),
    ],
)
def test_a_wrong_spec_is_refused(spec: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=f"^{re.escape(message)}$"):
        network_from_spec(spec, seed=0)

"""Architectures against their formulas; the same seed gives the same weights and disturbs nobody."""

import math
import re
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from surefoot.errors import InputError
from surefoot.networks.build import build_cnn, build_linear, build_mlp, build_resnet
from surefoot.networks.layers import FilterResponseNorm, ThresholdedLinear
from surefoot.networks.network import Network, digest_parameters, embed, forward, parameters_of

BUILDERS: dict[str, Callable[[int], Network]] = {
    "linear": lambda seed: build_linear(6, 2, seed),
    "mlp": lambda seed: build_mlp(6, (5, 4), 2, seed),
    "cnn": lambda seed: build_cnn((1, 8, 8), (2, 3), 5, 2, seed),
    "resnet": lambda seed: build_resnet((1, 8, 8), 2, 1, 2, seed),
}


def seeded(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("build", BUILDERS.values(), ids=BUILDERS)
def test_the_same_seed_gives_the_same_weights_and_leaves_the_global_generator(build: Callable[[int], Network]) -> None:
    torch.manual_seed(7)
    before = torch.get_rng_state()
    first = digest_parameters(parameters_of(build(3)))
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(8)
    assert digest_parameters(parameters_of(build(3))) == first
    assert digest_parameters(parameters_of(build(4))) != first


def test_weights_are_drawn_as_torch_draws_them() -> None:
    """A two-sample Kolmogorov–Smirnov test on 20,000 weights each; false alarm about 1 in 10⁶."""
    ours = parameters_of(build_cnn((20, 8, 8), (50,), 40, 2, seed=0))
    torch.manual_seed(0)
    for name, theirs in (("conv1", nn.Conv2d(20, 50, 3)), ("hidden", nn.Linear(800, 40))):
        mine, reference = ours[f"{name}.weight"].flatten(), theirs.weight.detach().flatten()
        count = min(len(mine), len(reference), 20_000)
        pooled = torch.cat([mine[:count], reference[:count]]).sort().values
        distance = (
            torch.searchsorted(mine[:count].sort().values, pooled)
            - torch.searchsorted(reference[:count].sort().values, pooled)
        ).abs().max() / count
        assert distance < math.sqrt(-math.log(0.5e-6) / count)
        assert abs(ours[f"{name}.bias"]).max() <= abs(reference).max() * 1.01


def test_linear_is_logistic_regression() -> None:
    network = build_linear(6, 3, seed=0)
    inputs = seeded(4, 1, 2, 3)
    parameters = parameters_of(network)
    torch.testing.assert_close(
        forward(network, parameters, inputs), inputs.flatten(1) @ parameters["head.weight"].T + parameters["head.bias"]
    )
    assert set(parameters) == {"head.weight", "head.bias"}


def test_cnn_by_hand() -> None:
    network = build_cnn((1, 28, 14), (16, 32), 64, 2, seed=0)
    parameters = parameters_of(network)
    inputs = seeded(3, 1, 28, 14)
    inside = inputs
    for number in (1, 2):
        inside = nn.functional.conv2d(
            inside, parameters[f"conv{number}.weight"], parameters[f"conv{number}.bias"], padding=1
        )
        inside = nn.functional.max_pool2d(inside.relu(), 2)
    assert inside.shape == (3, 32, 7, 3)
    features = (inside.flatten(1) @ parameters["hidden.weight"].T + parameters["hidden.bias"]).relu()
    torch.testing.assert_close(embed(network, parameters, inputs), features)


def test_mlp_takes_one_width_or_several() -> None:
    one = build_mlp(6, 5, 2, seed=0)
    assert digest_parameters(parameters_of(one)) == digest_parameters(parameters_of(build_mlp(6, (5,), 2, seed=0)))
    assert embed(build_mlp(6, (5, 4), 2, 0), parameters_of(build_mlp(6, (5, 4), 2, 0)), seeded(3, 6)).shape == (3, 4)


def test_filter_response_normalisation_by_hand() -> None:
    """y = γ x / √(Σ x²/N + ε) + β, one row, channel and pixel at a time in float64."""
    layer = FilterResponseNorm(3, eps=0.1)
    nn.init.normal_(layer.gamma, generator=torch.Generator().manual_seed(1))
    nn.init.normal_(layer.beta, generator=torch.Generator().manual_seed(2))
    inputs = seeded(2, 3, 4, 5)
    normalised = layer(inputs)
    for row in range(2):
        for channel in range(3):
            pixels = inputs[row, channel].flatten().double().tolist()
            power = sum(pixel**2 for pixel in pixels) / len(pixels)
            gamma, beta = layer.gamma[channel].item(), layer.beta[channel].item()
            by_hand = [gamma * pixel / math.sqrt(power + 0.1) + beta for pixel in pixels]
            expected = torch.tensor(by_hand, dtype=torch.float64)
            torch.testing.assert_close(normalised[row, channel].flatten().double(), expected, rtol=1e-5, atol=1e-6)


def test_filter_response_normalisation_ignores_scale_and_other_rows() -> None:
    layer = FilterResponseNorm(3)
    inputs = seeded(4, 3, 5, 5)
    torch.testing.assert_close(layer(inputs), layer(100 * inputs), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(layer(inputs)[:1], layer(inputs[:1]))
    assert torch.equal(layer(torch.zeros(1, 3, 2, 2)), torch.zeros(1, 3, 2, 2))


def test_thresholded_linear_is_relu_until_its_threshold_moves() -> None:
    layer = ThresholdedLinear(2)
    inputs = seeded(3, 2, 4, 4)
    assert torch.equal(layer(inputs), inputs.relu())
    with torch.no_grad():
        layer.tau.copy_(torch.tensor([-1.0, 0.5]).reshape(2, 1, 1))
    assert torch.equal(layer(inputs), torch.stack([inputs[:, 0].clamp(min=-1), inputs[:, 1].clamp(min=0.5)], dim=1))


def test_resnet_has_the_depth_and_shapes_it_says() -> None:
    network = build_resnet((3, 32, 32), width=16, blocks=3, classes=10, seed=0)
    convolutions = [part for part in network.module.modules() if isinstance(part, nn.Conv2d)]
    assert sum(part.kernel_size == (3, 3) for part in convolutions) + 1 == 6 * 3 + 2
    assert sum(part.kernel_size == (1, 1) for part in convolutions) == 2
    # The published ResNet-20 has 269,722 parameters, 1,376 of them in batch normalisation; ours adds two shortcuts.
    weights = sum(part.weight.numel() for part in convolutions) + 64 * 10 + 10
    assert weights == 269_722 - 1_376 + 16 * 32 + 32 * 64
    assert embed(network, parameters_of(network), seeded(2, 3, 32, 32)).shape == (2, 64)


def test_resnet_rows_are_independent() -> None:
    network = build_resnet((1, 8, 8), 4, 1, 2, seed=0)
    parameters = parameters_of(network)
    inputs = seeded(5, 1, 8, 8)
    together = forward(network, parameters, inputs, training=True)
    alone = torch.cat([forward(network, parameters, inputs[row : row + 1]) for row in range(5)])
    torch.testing.assert_close(together, alone)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (
            lambda: build_cnn((28, 14), (16,), 64, 2, 0),
            "An image network needs inputs of shape (channels, height, width); (28, 14) was given.",
        ),
        (
            lambda: build_cnn((1, 7, 7), (4, 4, 4), 64, 2, 0),
            "Images of shape (1, 7, 7) are too small for 3 poolings; give fewer channels.",
        ),
        (
            lambda: build_resnet((1, 4, 4), 4, 1, 2, 0),
            "Images of shape (1, 4, 4) shrink to one pixel in this network, where filter response normalisation "
            "keeps only a sign; give images of at least 5 pixels on one side.",
        ),
        (
            lambda: build_mlp(4, (3, 0), 2, 0),
            "hidden is (3, 0); every width and number of layers must be at least 1.",
        ),
        (lambda: build_linear(4, 0, 0), "classes is 0; every width and number of layers must be at least 1."),
    ],
)
def test_impossible_sizes_are_refused(build: Callable[[], Network], message: str) -> None:
    with pytest.raises(InputError, match=f"^{re.escape(message)}$"):
        build()

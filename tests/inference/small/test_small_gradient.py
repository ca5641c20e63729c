"""The machine code's gradient is that of the posterior's own log density by autograd, for everything it is made for."""

from dataclasses import replace

import pytest
import torch
from small_examples import positions, posterior_of, rows_of, target_of
from torch import Tensor

from surefoot.density.augmentation import Augmentation
from surefoot.density.empcov import empcov
from surefoot.density.functional import Confidence, DirClip, Dirichlet, Functional
from surefoot.density.layered import Layered
from surefoot.density.objective import Posterior, fixed_views
from surefoot.density.priors import Gaussian
from surefoot.inference.small.kernel import leapfrogs_code
from surefoot.inference.small.sizes import Machine, Sizes, make_plan
from surefoot.inference.small.target import SmallTarget
from surefoot.rows.rows import Rows

pytest.importorskip("llvmlite")

EXACT = {torch.float32: 1e-5, torch.float64: 1e-12}


def autograd(target: SmallTarget, posterior: Posterior, rows: Rows, position: Tensor) -> Tensor:
    """∂ log density / ∂u through plain autograd, in float64: u → θ by the target's own (affine) coordinates.

    The slope of the map is taken from the target's `parameters` at unit vectors, not from its scales.
    """
    size = position.shape[1]
    corner = torch.cat([torch.zeros(1, size), torch.eye(size)]).to(target.dtype)
    maps = {name: tensor.double() for name, tensor in target.parameters(corner).items()}
    gradients: list[Tensor] = []
    for u in position.double():
        leaf = u.clone().requires_grad_()
        parameters = {
            name: tensor[0] + torch.einsum("u,u...->...", leaf, tensor[1:] - tensor[0]) for name, tensor in maps.items()
        }
        (gradient,) = torch.autograd.grad(posterior.log_density(parameters, rows), leaf)
        gradients.append(gradient)
    return torch.stack(gradients)


def check(
    posterior: Posterior,
    rows: Rows,
    dtype: torch.dtype,
    *,
    machine: Machine | None = None,
    position: Tensor | None = None,
) -> None:
    target = target_of(posterior, rows, dtype)
    if machine is not None:
        target = SmallTarget(target.base, machine)
    if position is None:
        position = positions(target)
    out = torch.full_like(position, float("nan"))
    target.gradient(position, out)
    expected = autograd(target, posterior, rows, position)
    difference = (out.double() - expected).abs().max() / expected.abs().max()
    assert float(difference) < EXACT[dtype]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(
    ("widths", "count"),
    [
        ((2, 10, 10, 2), 18),
        ((3, 2), 5),  # no hidden layer
        ((1, 1, 2), 1),  # the smallest
        ((5, 16, 3), 32),  # whole vectors, whole blocks
        ((4, 17, 33, 7, 11), 67),  # nothing is whole
        ((20, 40, 4), 25),  # an inner loop too long to be written out
    ],
)
def test_every_shape(widths: tuple[int, ...], count: int, dtype: torch.dtype) -> None:
    check(posterior_of(widths), rows_of(count, widths[0], widths[-1]), dtype)


@pytest.mark.parametrize(
    ("machine", "dtype"),
    [
        (Machine(64, 32), torch.float64),
        (Machine(32, 16), torch.float32),
        (Machine(32, 16), torch.float64),
        (Machine(16, 32), torch.float32),
    ],
)
def test_every_machine(machine: Machine, dtype: torch.dtype) -> None:
    check(posterior_of((3, 9, 6, 3)), rows_of(21, 3, 3), dtype, machine=machine)


@pytest.mark.parametrize(
    "form",
    [
        Dirichlet(alpha=1.4),
        DirClip(alpha=0.6, floor=-50.0),
        DirClip(alpha=-0.5, floor=-3.0),
        Confidence(temperature=0.1),
    ],
    ids=repr,
)
def test_every_functional_prior(form: Dirichlet | DirClip | Confidence) -> None:
    check(posterior_of((3, 8, 5), functional=Functional(form)), rows_of(19, 3, 5, weighted=True), torch.float64)
    check(posterior_of((3, 8, 2), functional=Functional(form)), rows_of(19, 3, 2), torch.float32)


@pytest.mark.parametrize("name", ["posterior_temperature", "likelihood_temperature", "logit_temperature"])
def test_every_temperature_beside_a_functional_prior_and_soft_targets(name: str) -> None:
    posterior = replace(posterior_of((3, 8, 4), functional=Functional(DirClip(0.5, -4.0))), **{name: 0.3})
    check(posterior, rows_of(11, 3, 4, soft=True, weighted=True), torch.float64)


def unequal(widths: tuple[int, ...]) -> Posterior:
    """Each tensor with a scale of its own."""
    plain = posterior_of(widths)
    names = [name for name, _ in plain.network.module.named_parameters()]
    return replace(plain, prior=Layered({name: Gaussian(precision=0.5 + place) for place, name in enumerate(names)}))


def test_each_tensor_has_a_scale_of_its_own() -> None:
    check(unequal((3, 6, 5, 3)), rows_of(14, 3, 3), torch.float64)


WIDE = (7, 130, 67, 5)  # of 9 or 17 vectors and 5 or 9: neither they nor their tiles are whole


def check_wide(posterior: Posterior, rows: Rows, dtype: torch.dtype, machine: Machine | None = None) -> None:
    """Like `check`, without the map of so many unit vectors: u → θ by the target's coordinates."""
    target = target_of(posterior, rows, dtype)
    if machine is not None:
        target = SmallTarget(target.base, machine)
    position = 0.3 * positions(target)
    out = torch.full_like(position, float("nan"))
    target.gradient(position, out)
    layout = target.base.coordinates.layout
    for chain, u in enumerate(position):
        named = {name: tensor[0].double() for name, tensor in target.parameters(u[None]).items()}
        leaves = {name: tensor.requires_grad_() for name, tensor in named.items()}
        slopes = torch.autograd.grad(posterior.log_density(leaves, rows), list(leaves.values()))
        # u → θ multiplies each tensor by a number, which the prior alone says.
        expected = torch.empty(1, target.size, dtype=torch.float64)
        for (name, leaf), slope in zip(leaves.items(), slopes, strict=True):
            mine = layout.views(u[None].double())[name][0]
            layout.views(expected)[name][0] = slope * (leaf.detach().norm() / mine.norm())
        difference = (out[chain].double() - expected[0]).abs().max() / expected.abs().max()
        assert float(difference) < 10 * EXACT[dtype]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("count", [45, 1301])  # the weights' gradient takes 1301 rows in chunks of 119 and 118
def test_wide_layers(count: int, dtype: torch.dtype) -> None:
    check_wide(unequal(WIDE), rows_of(count, 7, 5), dtype)


@pytest.mark.parametrize("machine", [Machine(64, 32), Machine(32, 16), Machine(16, 32)])
def test_wide_layers_on_every_machine(machine: Machine) -> None:
    check_wide(posterior_of(WIDE), rows_of(29, 7, 5), torch.float64, machine)
    check_wide(posterior_of(WIDE), rows_of(29, 7, 5), torch.float32, machine)


def test_more_classes_than_registers() -> None:
    check(posterior_of((5, 20, 37)), rows_of(50, 5, 37), torch.float64)


def test_code_does_not_grow_with_the_width() -> None:
    """Or compiling would: 111,790 lines for 64-256-256-10, and five seconds, were each vector's written out."""

    def lines(width: int) -> int:
        widths = (64, width, width, 10)
        sizes = Sizes(widths, 1797, "float", ((1.0, 1.0),) * 3)
        return leapfrogs_code(make_plan(sizes, Machine(64, 32))).count("\n")

    assert max(lines(width) for width in (64, 250, 1000)) < 20_000


def test_a_basis_of_the_first_layer_is_folded_into_the_inputs() -> None:
    rows = rows_of(14, 3, 3)
    first = empcov(torch.cov(rows.inputs[:].T), name="hidden1.weight", floor=0.1)
    prior = Layered({"hidden1.weight": first}, rest=Gaussian(2.0))
    check(posterior_of((3, 6, 3), prior), rows, torch.float64)


def test_views_of_an_augmentation_are_rows_like_others() -> None:
    def change(inputs: Tensor, generator: torch.Generator) -> Tensor:
        return inputs + torch.rand(inputs.shape, generator=generator, dtype=inputs.dtype)

    augmented = replace(posterior_of((3, 6, 3)), augmentation=Augmentation(change, views=3, mode="sum"))
    rows = rows_of(9, 3, 3)
    target = target_of(augmented, rows, torch.float64)
    position = positions(target)
    out = torch.empty_like(position)
    target.gradient(position, out)
    fixed = fixed_views(augmented, rows, 0)
    expected = autograd(target, fixed.posterior, fixed.rows, position)
    assert float((out - expected).abs().max() / expected.abs().max()) < EXACT[torch.float64]


def test_logits_far_apart_neither_overflow_nor_lose_the_floor() -> None:
    """Log probabilities of −200 and more: clipped classes have no gradient, and nothing is NaN."""
    posterior = posterior_of((2, 8, 3), functional=Functional(DirClip(0.5, -20.0)))
    target = target_of(posterior, rows_of(18, 2, 3), torch.float32)
    position = 30 * torch.randn(2, target.size, generator=torch.Generator().manual_seed(2))
    check(posterior, rows_of(18, 2, 3), torch.float32, position=position)

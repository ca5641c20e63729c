"""Images pass a network channels last where it takes them so; gradients and densities are the same numbers."""

import torch

from surefoot.density.likelihoods import categorical
from surefoot.density.objective import Posterior
from surefoot.density.priors import Gaussian
from surefoot.inference.targets.autograd import AutogradTarget
from surefoot.inference.targets.make import make_target
from surefoot.networks.build import build_cnn
from surefoot.rows.rows import make_rows


def test_channels_last_gives_the_gradient_of_the_plain_density() -> None:
    generator = torch.Generator().manual_seed(0)
    rows = make_rows(torch.randn(12, 2, 8, 8, generator=generator).double(), torch.arange(12) % 3)
    posterior = Posterior(build_cnn((2, 8, 8), (3, 4), 5, 3, seed=0), categorical, Gaussian(1.0))
    target = make_target(posterior, rows, dtype=torch.float64)
    assert isinstance(target, AutogradTarget)
    position = torch.randn(2, target.size, generator=generator).double()
    out = torch.empty_like(position)
    target.gradient(position, out)
    values = sum(target.terms(position))
    for chain in range(2):
        leaves = {name: t[chain].requires_grad_() for name, t in target.parameters(position).items()}
        value = posterior.log_density(leaves, rows)
        value.backward()
        slopes = {name: leaf.grad[None] for name, leaf in leaves.items() if leaf.grad is not None}
        torch.testing.assert_close(out[chain], target.position(slopes)[0], rtol=1e-9, atol=1e-9)
        torch.testing.assert_close(values[chain], value.detach(), rtol=1e-9, atol=1e-9)


def test_single_precision_images_lie_channels_last() -> None:
    rows = make_rows(torch.zeros(12, 2, 8, 8), torch.arange(12) % 3)
    posterior = Posterior(build_cnn((2, 8, 8), (3, 4), 5, 3, seed=0), categorical, Gaussian(1.0))
    target = make_target(posterior, rows)
    assert isinstance(target, AutogradTarget)
    assert target.memory is torch.channels_last

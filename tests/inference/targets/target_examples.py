"""Posteriors of many kinds on a few rows, and their gradients by plain autograd on `Posterior.log_density`."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from surefoot.density.augmentation import Augmentation
from surefoot.density.correlated import Correlated
from surefoot.density.dirichlet import NoisyDirichlet
from surefoot.density.functional import Confidence, DirClip, Functional
from surefoot.density.layered import Layered
from surefoot.density.likelihoods import categorical
from surefoot.density.objective import Posterior
from surefoot.density.priors import Gaussian, Laplace, StudentT
from surefoot.density.regression import GaussianNoise, LearnedNoise
from surefoot.inference.targets.target import Target
from surefoot.networks.build import build_mlp
from surefoot.networks.network import Network, Parameters
from surefoot.rows.rows import Rows, make_rows

ROWS, FEATURES, CLASSES = 11, 5, 3


def randn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def hard_rows(count: int = ROWS) -> Rows:
    return make_rows(randn(count, FEATURES), torch.arange(count) % CLASSES, classes=["a", "b", "c"])


def weighted_rows() -> Rows:
    return replace(hard_rows(), weights=torch.linspace(0.0, 2.0, ROWS, dtype=torch.float64))


def soft_rows() -> Rows:
    """Probabilities that sum to one, but for one row that counts for half a label."""
    targets = randn(ROWS, CLASSES, seed=1).softmax(dim=1)
    targets[3] /= 2
    return make_rows(randn(ROWS, FEATURES), targets)


def number_rows(width: int) -> Rows:
    targets = randn(ROWS, width, seed=2)
    return make_rows(randn(ROWS, FEATURES), targets[:, 0] if width == 1 else targets, classes=["number"])


def mlp(*hidden: int, classes: int = CLASSES) -> Network:
    return build_mlp(FEATURES, hidden, classes, seed=0)


def tanh_mlp() -> Network:
    """Tanh, a layer without bias, an idle dropout, no flattening."""
    layers = [nn.Linear(FEATURES, 6), nn.Tanh(), nn.Dropout(0.0), nn.Linear(6, 4, bias=False), nn.ReLU()]
    return Network(nn.Sequential(*layers, nn.Linear(4, CLASSES)), "5")


class Knotted(nn.Module):
    """What only autograd can run: a skip connection, a frozen layer and a buffer."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Linear(FEATURES, FEATURES)
        self.frozen = nn.Linear(FEATURES, FEATURES).requires_grad_(False)
        self.head = nn.Linear(FEATURES, CLASSES)
        self.shift: Tensor
        self.register_buffer("shift", torch.linspace(-1, 1, FEATURES))
        generator = torch.Generator().manual_seed(3)
        for tensor in self.parameters():
            nn.init.normal_(tensor, generator=generator)

    def forward(self, inputs: Tensor) -> Tensor:
        return self.head(self.frozen(self.body(inputs) + self.shift).tanh() + inputs)


def knotted() -> Network:
    return Network(Knotted(), "head")


def jitter(inputs: Tensor, generator: torch.Generator) -> Tensor:
    return inputs + 0.3 * torch.randn(inputs.shape, generator=generator, dtype=inputs.dtype)


def basis(width: int = FEATURES) -> Tensor:
    return torch.linalg.qr(randn(width, width, seed=4)).Q


def correlated(name: str, rest: Gaussian | Laplace, centre: Tensor | None = None) -> Layered:
    variance = torch.linspace(0.01, 2.0, FEATURES, dtype=torch.float64)
    first = Correlated(name, basis(), variance, None if centre is None else {name: centre})
    return Layered({name: first}, rest=rest)


def own_scale(outputs: Tensor, targets: Tensor) -> Tensor:
    """A likelihood that nobody has told its gradient."""
    return -(softplus(outputs).sum(dim=1) - targets.to(outputs.dtype)).square()


@dataclass(frozen=True)
class Case:
    posterior: Posterior
    rows: Rows


def cases() -> dict[str, Case]:
    flat, net, hard = Gaussian(4.0), mlp(7, 6), hard_rows()
    elsewhere = randn(4, FEATURES, seed=5)
    centre = randn(7, FEATURES, seed=6)
    return {
        "plain": Case(Posterior(net, categorical, flat), hard),
        "linear": Case(Posterior(mlp(), categorical, flat), hard),
        "tanh, one layer without bias": Case(Posterior(tanh_mlp(), categorical, flat), hard),
        "weights": Case(Posterior(net, categorical, flat), weighted_rows()),
        "soft": Case(Posterior(net, categorical, flat), soft_rows()),
        "cold posterior": Case(Posterior(net, categorical, flat, posterior_temperature=0.2), weighted_rows()),
        "cold likelihood": Case(Posterior(net, categorical, flat, likelihood_temperature=0.2), hard),
        "logit temperature": Case(Posterior(net, categorical, flat, logit_temperature=0.5), soft_rows()),
        "noisy Dirichlet": Case(Posterior(net, NoisyDirichlet(0.01), flat), weighted_rows()),
        "normal noise": Case(Posterior(mlp(7, classes=2), GaussianNoise(0.5), flat), number_rows(2)),
        "normal noise, flat": Case(Posterior(mlp(7, classes=1), GaussianNoise(0.5, 2.0), flat), number_rows(1)),
        "learned noise": Case(Posterior(mlp(7, classes=4), LearnedNoise(), flat), number_rows(2)),
        "no closed form": Case(Posterior(net, own_scale, flat, posterior_temperature=0.5), weighted_rows()),
        "DirClip": Case(Posterior(net, categorical, flat, functional=Functional(DirClip(0.5, -2.0))), weighted_rows()),
        "confidence, logits cooled": Case(
            Posterior(net, categorical, flat, functional=Functional(Confidence(0.5)), logit_temperature=0.5), hard
        ),
        "DirClip elsewhere": Case(
            Posterior(
                net,
                categorical,
                flat,
                functional=Functional(DirClip(0.5, -2.0), elsewhere),
                posterior_temperature=0.3,
            ),
            hard,
        ),
        "Laplace": Case(Posterior(net, categorical, Laplace(0.3), posterior_temperature=0.5), hard),
        "Student": Case(Posterior(net, categorical, StudentT(4.0, 0.5)), hard),
        "layers": Case(
            Posterior(net, categorical, Layered({"head.*": Gaussian(9.0), "hidden1.*": Laplace(0.5)}, rest=flat)), hard
        ),
        "correlated": Case(Posterior(net, categorical, correlated("hidden1.weight", flat)), hard),
        "correlated beside Laplace": Case(
            Posterior(net, categorical, correlated("hidden1.weight", Laplace(0.5)), posterior_temperature=0.5), hard
        ),
        "correlated around a centre": Case(
            Posterior(net, categorical, correlated("hidden1.weight", flat, centre)), hard
        ),
        "centre": Case(
            Posterior(
                mlp(7),
                categorical,
                Gaussian(
                    4.0,
                    centre={
                        "hidden1.weight": centre,
                        "hidden1.bias": randn(7, seed=7),
                        "head.weight": randn(CLASSES, 7, seed=8),
                        "head.bias": randn(CLASSES, seed=9),
                    },
                ),
            ),
            hard,
        ),
        "knotted": Case(Posterior(knotted(), categorical, flat, posterior_temperature=0.5), weighted_rows()),
        "knotted, correlated": Case(Posterior(knotted(), categorical, correlated("body.weight", flat)), hard),
    }


def augmented(mode: str = "mean", network: Network | None = None) -> Case:
    augmentation = Augmentation(jitter, 3, "sum" if mode == "sum" else "mean")
    posterior = Posterior(network or mlp(7), categorical, Gaussian(4.0), augmentation=augmentation)
    return Case(posterior, weighted_rows())


def plain_density(case: Case, parameters: Parameters) -> Tensor:
    """log density of one chain's parameters, by the posterior itself with every tensor in float64."""
    module = case.posterior.network.module
    named = [*module.named_parameters(), *module.named_buffers()]
    kept = {name: tensor.detach().double() for name, tensor in named}
    return case.posterior.log_density({**kept, **parameters}, case.rows)


def plain_gradient(case: Case, target: Target, position: Tensor) -> Tensor:
    """∂ log density / ∂u of one chain by finite differences of nothing: autograd through θ(u), column by column."""
    parameters = {name: tensor[0].requires_grad_() for name, tensor in target.parameters(position[None]).items()}
    slopes = torch.autograd.grad(plain_density(case, parameters), list(parameters.values()))
    named = dict(zip(parameters, slopes, strict=True))
    # θ is affine in u, so each column of its Jacobian is a difference of two images.
    origin = target.parameters(torch.zeros_like(position[None]))
    steps = target.parameters(torch.eye(target.size, dtype=position.dtype))
    return sum(((steps[name] - origin[name]).flatten(1) @ named[name].flatten() for name in named), torch.zeros(()))

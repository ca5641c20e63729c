"""The posterior that plain settings mean, for a network and the rows that it is given."""

from jaxtyping import Float64
from torch import Tensor, nn

from surefoot.bayes.settings import BayesSettings
from surefoot.density.covariance import empirical_covariance, patch_covariance
from surefoot.density.dirichlet import NoisyDirichlet, noise_for
from surefoot.density.empcov import empcov
from surefoot.density.functional import Confidence, DirClip, Dirichlet, Form, Functional
from surefoot.density.layered import Layered
from surefoot.density.likelihoods import categorical
from surefoot.density.objective import Posterior, Score
from surefoot.density.priors import Gaussian, Laplace, Prior, StudentT
from surefoot.density.sum_filter import sum_filter
from surefoot.errors import InputError
from surefoot.networks.network import Network
from surefoot.rows.rows import Rows

__all__ = ["DEGREES", "posterior_of"]

DEGREES = 5.0
"""Degrees of freedom of the Student-t prior, as in Izmailov et al. (2021), section 6."""


def posterior_of(network: Network, rows: Rows, settings: BayesSettings) -> Posterior:
    """The posterior of `network` given `rows`; every prior has variance 1/λ, EmpCov on average over directions.

    Raises `InputError` where the settings do not fit the network or its classes.

    >>> from surefoot.networks.build import build_mlp
    >>> from surefoot.rows.worlds import gaussian_world
    >>> rows = gaussian_world(sizes={"fit": 50}).roles["fit"]
    >>> network = build_mlp(rows.inputs[:].shape[1], 4, 2, seed=0)
    >>> posterior_of(network, rows, BayesSettings(part="network", precision=4.0)).prior
    Gaussian(precision=4.0, centre=None, only=None)
    """
    return Posterior(
        network=network,
        likelihood=_likelihood(settings, len(rows.classes)),
        prior=_prior(network, rows, settings),
        posterior_temperature=settings.posterior_temperature,
        likelihood_temperature=settings.likelihood_temperature,
        functional=None if settings.functional == "none" else Functional(_form(settings)),
    )


def _likelihood(settings: BayesSettings, classes: int) -> Score:
    if settings.likelihood == "categorical":
        return categorical
    assert settings.label_noise is not None  # the settings have seen to it
    return NoisyDirichlet(noise_for(settings.label_noise, classes))


def _form(settings: BayesSettings) -> Form:
    if settings.functional == "confidence":
        assert settings.confidence is not None  # the settings have seen to it
        return Confidence(settings.confidence)
    assert settings.alpha is not None
    return DirClip(settings.alpha, settings.clip) if settings.functional == "dirclip" else Dirichlet(settings.alpha)


def _prior(network: Network, rows: Rows, settings: BayesSettings) -> Prior:
    precision = settings.precision
    match settings.prior:
        case "gaussian":
            return Gaussian(precision)
        case "laplace":
            return Laplace((2 * precision) ** -0.5)
        case "student_t":
            # Its variance is s² ν/(ν − 2).
            return StudentT(DEGREES, ((DEGREES - 2) / (DEGREES * precision)) ** 0.5)
        case "empcov":
            name, layer = _first_layer(network)
            first = empcov(_covariance(layer, rows), name=name, floor=settings.floor / precision, precision=precision)
        case "sum_filter":
            assert settings.filter_precision is not None
            name, layer = _first_layer(network)
            if not isinstance(layer, nn.Conv2d):
                raise InputError(
                    f'The first layer, "{name}", is no convolution and has no filters to sum; use prior: empcov or '
                    "gaussian."
                )
            high, wide = layer.kernel_size
            first = sum_filter(
                name, (high, wide), precision=precision, filter_precision=settings.filter_precision, form="gaussian"
            )
    return Layered({name: first}, rest=Gaussian(precision))


def _first_layer(network: Network) -> tuple[str, nn.Linear | nn.Conv2d]:
    """The weight that the inputs meet first, by name, and its layer: the first that the module defines."""
    for name, part in network.module.named_modules():
        if isinstance(part, nn.Linear | nn.Conv2d):
            return f"{name}.weight" if name else "weight", part
    raise InputError("The network has no linear or convolutional layer for this prior; use prior: gaussian.")


def _covariance(layer: nn.Linear | nn.Conv2d, rows: Rows) -> Float64[Tensor, "d d"]:
    if isinstance(layer, nn.Linear):
        return empirical_covariance(rows.inputs)
    plain = layer.groups == 1 and layer.dilation == (1, 1) and layer.padding_mode == "zeros"
    if not plain or isinstance(layer.padding, str):
        raise InputError(
            f"The first convolution ({layer}) has groups, dilation or other padding than a number of zeros, for which "
            "there is no EmpCov; use prior: gaussian."
        )
    high, wide = layer.kernel_size
    (top, left), (down, right) = layer.padding, layer.stride
    return patch_covariance(rows.inputs, (high, wide), (top, left), (down, right))

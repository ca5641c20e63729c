"""The Laplace approximation: a normal distribution around a mode, with the curvature there as its precision.

    θ ~ N(θ*, A⁻¹)      A = L Lᵀ,   θ = θ* + L⁻ᵀ z,   z ~ N(0, 1)

Source: MacKay (1992), A practical Bayesian framework for backpropagation networks; for the last layer alone,
Kristiadi et al. (2020), Being Bayesian, even just a bit, fixes overconfidence in ReLU networks.

Draws of θ go through the network itself. With the Gauss–Newton A of a network with hidden layers such predictions are
known to be worse than those of the network linearised at θ* (Immer et al. 2021); for the last layer, the
network is linear, and the two are one.

It is an expansion around a mode, so θ* has to be one. Its distance from the mode of the expansion, in posterior
standard deviations,

    d = √( gᵀ A⁻¹ g / P )        g = ∇ log density(θ*),  P parameters

is measured and refused above a tolerance: half of d² P is the gain in nats that a Newton step still promises.
"""

import math
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float64
from torch import Tensor

from surefoot.density.objective import Posterior
from surefoot.errors import InputError
from surefoot.inference.approximate.curvature import Curvature, Part, curvature
from surefoot.inference.chains.chains import Chains
from surefoot.inference.chains.writer import ChainWriter
from surefoot.inference.langevin.findings import told
from surefoot.inference.langevin.streams import Purpose, stream
from surefoot.memory import available_memory, human_bytes
from surefoot.networks.network import Parameters
from surefoot.progress import Progress, silent
from surefoot.rows.rows import Rows

__all__ = ["LaplaceSettings", "factor_of", "laplace_draws", "offset_of"]


@dataclass(frozen=True)
class LaplaceSettings:
    """draws: how many. part: all parameters, or those of the head with the others where they are (`curvature.py`).

    tolerance: the largest distance d from the mode, in posterior standard deviations; `math.inf` refuses nothing.

    Raises `InputError` for numbers out of range.
    """

    draws: int = 100
    part: Part = "all"
    tolerance: float = 0.1

    def __post_init__(self) -> None:
        if self.draws < 1:
            raise InputError(f"draws is {self.draws}; give at least 1.")
        if not self.tolerance > 0:
            raise InputError(f"tolerance is {self.tolerance}; give a positive number of standard deviations.")


def laplace_draws(
    posterior: Posterior,
    rows: Rows,
    mode: Parameters,
    seed: int,
    settings: LaplaceSettings,
    *,
    folder: Path | None = None,
    progress: Progress = silent,
) -> Chains:
    """Independent draws of N(θ*, A⁻¹) around `mode`, a point that `ascend` reached: one chain of them.

    The diagnostics are `offset_from_mode` (d) and the number of `parameters` that are uncertain. Every draw holds all
    of the network's tensors, as `mode` does.

    Raises `InputError` where d is above the tolerance, where there is not enough memory (before anything is computed),
    and for whatever `curvature` refuses: priors that are not Gaussian, likelihoods that are not concave.

    >>> from surefoot.density.likelihoods import categorical
    >>> from surefoot.density.priors import Gaussian
    >>> from surefoot.inference.ascend import Ascend, ascend
    >>> from surefoot.networks.build import build_linear
    >>> from surefoot.networks.network import parameters_of
    >>> from surefoot.rows.rows import make_rows
    >>> rows = make_rows(torch.tensor([[-1.0], [1.0], [2.0]]), torch.tensor([0, 1, 1]))
    >>> posterior = Posterior(build_linear(1, 2, seed=0), categorical, Gaussian(1.0))
    >>> climb = Ascend(epochs=5, optimiser="lbfgs", rate=1.0, schedule="constant")
    >>> mode = ascend(posterior, rows, parameters_of(posterior.network), 0, climb).point()
    >>> chains = laplace_draws(posterior, rows, mode, 0, LaplaceSettings(draws=10))
    >>> chains.draws, chains.diagnostics[0].name, chains.diagnostics[0].value < 1e-3
    (10, 'offset_from_mode', True)
    """
    _check_room(mode, settings.draws, folder)
    bent = curvature(posterior, rows, mode, settings.part, progress=progress)
    factor = factor_of(bent)
    offset = offset_of(bent, factor)
    if not offset <= settings.tolerance:
        raise InputError(
            f"The point is {offset:.3g} posterior standard deviations from the mode of its own expansion and "
            f"{settings.tolerance:g} are tolerated; ascend this very posterior further from it (with L-BFGS, or a "
            "smaller rate), or raise the tolerance."
        )
    writer = ChainWriter(folder, "laplace", chains=1)
    sizes = [mode[name].numel() for name in bent.names]
    generator = stream(seed, Purpose.DRAW)
    for number in range(settings.draws):
        noise = torch.randn(len(bent.point), 1, dtype=torch.float64, generator=generator)
        drawn = bent.point + torch.linalg.solve_triangular(factor.T, noise, upper=True)[:, 0]
        pieces = zip(bent.names, drawn.split(sizes), strict=True)
        moved = {name: piece.reshape(mode[name].shape).to(mode[name].dtype) for name, piece in pieces}
        writer.append({name: tensor.detach()[None] for name, tensor in {**mode, **moved}.items()}, {})
        progress("drawing", number + 1, settings.draws)
    size = len(bent.point)
    diagnostics = (
        told("laplace", "offset_from_mode", offset, "posterior standard deviations", len(rows), 1),
        told("laplace", "parameters", float(size), "parameters", size, 1),
    )
    return writer.finish(diagnostics=diagnostics, seen=rows.origins())


def factor_of(bent: Curvature) -> Float64[Tensor, "size size"]:
    """L, the Cholesky factor of A; raises `InputError` when A is not positive definite."""
    factor, failed = torch.linalg.cholesky_ex(bent.precision)
    if int(failed) or not bool(factor.isfinite().all()):
        raise InputError(
            "The curvature is not positive definite; check that the point, the inputs and the prior's precision are "
            "finite and of reasonable size."
        )
    return factor


def offset_of(bent: Curvature, factor: Float64[Tensor, "size size"]) -> float:
    """d: how far the point is from the mode of its expansion, in posterior standard deviations per parameter."""
    whitened = torch.linalg.solve_triangular(factor, bent.gradient[:, None], upper=False)
    return math.sqrt(float(whitened.square().mean()))


def _check_room(mode: Parameters, draws: int, folder: Path | None) -> None:
    needed = draws * sum(tensor.numel() * tensor.element_size() for tensor in mode.values())
    if folder is None and needed > (available := available_memory()):
        raise InputError(
            f"{draws} draws need {human_bytes(needed)} of memory and {human_bytes(available)} are available; give a "
            "folder to keep them on disk, or draw fewer."
        )

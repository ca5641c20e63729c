"""The Laplace approximation of the evidence, first half: expand the log likelihood around a mode, once.

    log p(D) ≈ log p(D|θ*) + log p(θ*) + (P/2) log 2π − ½ log det(H + Λ)        H = Σ_i J_iᵀ Λ_i J_i

θ* a mode of the posterior, Λ the prior's precisions, J_i = ∂z_i/∂θ, Λ_i = −∂²ℓ/∂z². Only the first and the last term
depend on rows: they are made here, and `evidence_of` does the rest in O(P) for any precisions and noise. Passes through
the network are in the precision of the mode, eigenvalues and sums over rows in float64 (but for `squares.py`).

H is the generalised Gauss–Newton matrix (`kind="ggn"`), or Σ of products of gradients of the log likelihood
(`kind="fisher"`), which is another matrix wherever the model is wrong or rows are fitted well; numbers of the two do
not compare. Neither do numbers of `part="head"` across backbones: features are data there, and what they cost is not
counted.

Source: MacKay (1992), The evidence framework applied to classification networks; Immer et al. (2021), Scalable marginal
likelihood estimation for model selection in deep learning; for the last layer Daxberger et al. (2021), Laplace redux.
"""

import torch

from surefoot.density.objective import Posterior, trainable
from surefoot.density.regression import GaussianNoise
from surefoot.errors import InputError
from surefoot.evidence.laplace.checks import check_posterior, check_rows, normal_prior
from surefoot.evidence.laplace.expansion import Expansion, Kind, Structure
from surefoot.evidence.laplace.kron import check_kron
from surefoot.evidence.laplace.layers import cast, survey
from surefoot.evidence.laplace.memory import asked, need_of, require_room
from surefoot.evidence.laplace.roots import unit_noise
from surefoot.evidence.laplace.sums import Work, sums_of_all, sums_of_head
from surefoot.inference.approximate.curvature import Part, parts_of
from surefoot.inference.climb import private_copy
from surefoot.networks.network import Parameters, check_head_is_last
from surefoot.progress import Progress, silent
from surefoot.rows.rows import Rows

__all__ = ["expand"]


def expand(
    posterior: Posterior,
    rows: Rows,
    mode: Parameters,
    *,
    structure: Structure = "full",
    part: Part = "all",
    kind: Kind = "ggn",
    progress: Progress = silent,
) -> Expansion:
    """The expansion around `mode`, a point that `ascend` reached, streaming over the rows.

    Raises `InputError` for a posterior without an evidence (`require_normalised`), weights other than one and soft
    targets; for batch normalisation among what is expanded (below a head it is frozen and allowed); for a prior that is
    not an independent normal distribution; for a likelihood that is not concave in the outputs; for a module without
    a Kronecker block, where one is asked for; and, before anything large is made, where it does not fit in memory, with
    the next cheaper structure that does.

    >>> from surefoot.density.likelihoods import categorical
    >>> from surefoot.density.priors import Gaussian
    >>> from surefoot.networks.build import build_linear
    >>> from surefoot.networks.network import parameters_of
    >>> from surefoot.rows.rows import make_rows
    >>> rows = make_rows(torch.tensor([[-1.0], [1.0], [2.0]]), torch.tensor([0, 1, 1]))
    >>> posterior = Posterior(build_linear(1, 2, seed=0), categorical, Gaussian(1.0))
    >>> expansion = expand(posterior, rows, parameters_of(posterior.network), structure="kron")
    >>> expansion.names, expansion.sizes, [len(block) for block in expansion.eigenvalues]
    (('head.weight', 'head.bias'), (2, 2), [2, 2])
    """
    check_posterior(posterior, part)
    check_rows(posterior, rows)
    names = parts_of(posterior, part)
    work = _prepared(posterior, rows, mode, names, structure=structure, part=part, kind=kind)
    if part == "head":
        check_head_is_last(posterior.network, work.own, cast(rows.inputs[:1], torch.float64))
    prior = normal_prior(posterior.prior, trainable(posterior.network, work.own), names)

    sums = (sums_of_head if part == "head" else sums_of_all)(work, rows, progress)
    likelihood = posterior.likelihood
    noise = likelihood.scale * likelihood.temperature**0.5 if isinstance(likelihood, GaussianNoise) else None
    fall = 1.0 if noise is None else noise**-2
    sizes = tuple(work.wanted.sizes.values())
    slope = sums.gradient.mul_(fall).add_(prior.slopes)
    stiff = sums.diagonal.mul_(fall if kind == "ggn" else fall**2)
    for own, precision in zip(stiff.split(sizes), prior.precisions.tolist(), strict=True):
        own.add_(precision)
    return Expansion(
        structure=structure,
        part=part,
        kind=kind,
        names=names,
        sizes=sizes,
        squares=prior.squares,
        log_likelihood=sums.value,
        curvatures=sums.curvatures,
        precisions=prior.precisions,
        noise=noise,
        misses=0.0 if noise is None else sums.misses,
        numbers=0 if noise is None else len(rows) * work.wanted.found.outputs,
        logit_temperature=float(posterior.logit_temperature),
        offset=float(slope.square_().div_(stiff).mean().sqrt()),
        rows=len(rows),
        nodes=sums.nodes,
    )


def _prepared(
    posterior: Posterior,
    rows: Rows,
    mode: Parameters,
    names: tuple[str, ...],
    *,
    structure: Structure,
    part: Part,
    kind: Kind,
) -> Work:
    """The network at the mode, surveyed, once it is sure that there is room for the rest."""
    precision = mode[names[0]].dtype
    live = private_copy(posterior.network.module, mode, "cpu").eval().requires_grad_(requires_grad=False)
    found = survey(live, names, cast(rows.inputs[:1], precision))
    if structure == "kron":
        check_kron(found)
    if part == "head" and len(found.layers) != 1:
        where = next(iter(found.others.values()), "no linear layer")
        raise InputError(
            f'The head "{posterior.network.head}" is in {where}, so it cannot be expanded alone; untie its tensors, or '
            'take part="all".'
        )
    sizes = {name: mode[name].numel() for name in names}
    everything = sum(tensor.numel() for tensor in mode.values())
    unit = unit_noise(posterior)
    wanted = asked(
        unit,
        structure,
        part,
        kind,
        found=found,
        sizes=sizes,
        everything=everything,
        rows=len(rows),
        item=precision.itemsize,
    )
    require_room(posterior, rows, kind, need_of(wanted, 0.0))
    own = {name: tensor.detach().double() if tensor.is_floating_point() else tensor for name, tensor in mode.items()}
    return Work(unit, live, own, {name: own[name] for name in names}, wanted, kind, precision)

"""From a posterior and rows to the target that samplers take.

By hand where the network is an MLP, with compiled trajectories where it is small; by autograd elsewhere.
"""

import torch

from surefoot.density.objective import Posterior, trainable
from surefoot.density.requirements import require_samplable
from surefoot.errors import InputError
from surefoot.inference.small.compile import compiler_is_installed
from surefoot.inference.small.fitting import LARGEST, why_not_small
from surefoot.inference.small.target import small_target
from surefoot.inference.targets.autograd import CHUNK_BYTES, make_autograd_target, saved_bytes
from surefoot.inference.targets.evidence import cast, check_network, make_evidence, tensors_in
from surefoot.inference.targets.mlp import make_mlp_target, workspace_bytes
from surefoot.inference.targets.mlp_shape import mlp_of
from surefoot.inference.targets.target import MinibatchTarget
from surefoot.memory import require_memory
from surefoot.networks.network import Parameters
from surefoot.rows.rows import Rows

__all__ = ["make_target", "target_memory"]

FLATS = 3
"""Flat matrices of all chains that a target holds at once: parameters, their gradient, and the prior's."""


def make_target(
    posterior: Posterior,
    rows: Rows,
    *,
    dtype: torch.dtype = torch.float32,
    seed: int = 0,
    chains: int = 1,
    compiled: bool | None = None,
    fixed: Parameters | None = None,
) -> MinibatchTarget:
    """The posterior of `rows` as samplers see it, in whitened coordinates.

    dtype: of positions and gradients, float32 or float64; densities are summed in float64 either way. seed: of the
    views in the full density, where the posterior augments its rows at random. chains: how many will run at once, for
    the memory alone. compiled: whether gradients and trajectories run as machine code (`surefoot.inference.small`);
    None means where they can, which needs llvmlite. It decides the last bits of every draw.

    fixed: the tensors that are not sampled (frozen parameters, buffers), at which the network runs in evaluation mode;
    a whole trained point will do. None means the module's own, which are its *starting values*: after `ascend`, frozen
    averages of batch normalisation, for one, are others, and a start that holds other ones is refused.

    Under an augmentation, the full density and its gradient are those of K views of each row, drawn once from `seed`
    (`fixed_views`), and so is every sampler that takes no batch, `sghmc(batch=None)` among them; minibatch gradients
    draw a new view of each row at each step. The two agree on average over seeds, and are different densities.

    Raises `InputError` for a posterior that no sampler may have (see `require_samplable`) or that drops units, a prior
    that leaves tensors out, rows or `fixed` tensors that cannot be used, when there is not enough memory, and when
    machine code was asked for that cannot be had.

    >>> from surefoot.density.likelihoods import categorical
    >>> from surefoot.density.priors import Gaussian
    >>> from surefoot.networks.build import build_mlp
    >>> from surefoot.rows.rows import make_rows
    >>> rows = make_rows(torch.tensor([[-1.0], [1.0]]), torch.tensor([0, 1]))
    >>> target = make_target(Posterior(build_mlp(1, 3, 2, seed=0), categorical, Gaussian(4.0)), rows)
    >>> gradient = torch.empty(5, target.size)
    >>> target.gradient(torch.zeros(5, target.size), gradient)
    >>> round(target.quarter, 4), round(target.terms(torch.zeros(1, target.size)).likelihood.item(), 4)  # 2 log ½
    (1.5708, -1.3863)
    """
    if dtype not in (torch.float32, torch.float64):
        raise InputError(f"A target in {dtype} was asked for; samplers run in torch.float32 or torch.float64.")
    if not len(rows):
        raise InputError("There are no rows to learn from; check the role or the filter that chose them.")
    check_network(posterior)
    require_samplable(posterior)
    require_memory(target_memory(posterior, rows, chains, dtype=dtype), "Sampling this posterior")
    evidence = make_evidence(posterior, rows, dtype, seed, fixed)
    layers = mlp_of(posterior.network, evidence.data.inputs[:4])
    if layers is None:
        if compiled:
            raise InputError("Machine code was asked for, but the network is no plain MLP; leave `compiled` out.")
        return make_autograd_target(evidence)
    base = make_mlp_target(layers, evidence)
    return small_target(base) if compiled or (compiled is None and why_not_small(base) is None) else base


def target_memory(posterior: Posterior, rows: Rows, chains: int, *, dtype: torch.dtype = torch.float32) -> int:
    """Bytes that a target of these rows takes, most of them for copies of the rows and for one chunk's activations.

    Counts every view of an augmentation. What a sampler holds besides (momenta, draws) is the sampler's to count.
    """
    row, item = cast(rows.inputs[:1], dtype), dtype.itemsize
    tensors = tensors_in(posterior, dtype)
    size = sum(tensor.numel() for tensor in trainable(posterior.network, tensors).values())
    views = 1 if posterior.augmentation is None else 1 + posterior.augmentation.views
    own = None if posterior.functional is None else posterior.functional.inputs
    numbers = views * len(rows) * row.numel() + (0 if own is None else own.numel())
    flats = FLATS * chains * size * item
    layers = mlp_of(posterior.network, row)
    if layers is None:
        chunk = min(CHUNK_BYTES, len(rows) * max(1, views - 1) * saved_bytes(posterior, row, tensors))
        return numbers * item + flats + chunk
    width = layers[0].columns + 2 * layers[-1].leaving
    copies = views * len(rows) * width + (0 if own is None else len(own) * layers[0].columns)
    seen = max(len(rows) * max(1, views - 1), 0 if own is None else len(own))
    own_work = workspace_bytes(layers, seen, chains, item)
    if size <= LARGEST and compiler_is_installed():
        # Machine code has the rows' numbers once more, and room of its own on each thread.
        workers = min(chains, torch.get_num_threads())
        own_work += len(rows) * width * item + 8 * size + (workers - 1) * workspace_bytes(layers, seen, 1, item)
    return (numbers + copies) * item + flats + own_work

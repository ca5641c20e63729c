"""Which targets can have compiled trajectories.

Microseconds a gradient of one chain in float32, one thread of a virtual AMD EPYC (AVX-512), by
`bench/races/dirclip/crossing.py`; torch's figure is the better of one chain and four at once:

    network               rows     to compile   compiled     torch
    2-10-10-10-10-10-2      18       0.2 s          0.9       103
    10-50-2                160       0.1 s          7.0        57
    13-50-3              1,000       0.2 s           54       162
    64-50-50-10          1,797       0.5 s          748     1,214
    64-64-64-10         10,000       0.6 s        5,421     7,474

No crossing was met up to `LARGEST` and `MOST_ROWS`, but the gain shrinks to what a thread's arithmetic allows, while
code grows with the network; beyond, torch's products are as good and run on several threads for one chain.
"""

import torch

from surefoot.density.functional import Confidence, DirClip, Dirichlet
from surefoot.density.likelihoods import categorical
from surefoot.density.regression import GaussianNoise
from surefoot.inference.small.compile import compiler_is_installed, this_machine
from surefoot.inference.targets.mlp import MlpTarget

__all__ = ["LARGEST", "MOST_ROWS", "why_not_small"]

LARGEST = 10_000
"""Numbers in a position up to which code is made: it grows with them, and so does the time to compile it."""

MOST_ROWS = 10_000
"""Rows up to which code is made: it takes them all at once, and their activations leave the caches."""

LOWEST_FLOOR = {torch.float32: -80.0, torch.float64: -700.0}
"""The code compares p with exp(floor), which must not underflow."""


def why_not_small(base: MlpTarget) -> str | None:
    """Why there is no machine code for this target; None when there is."""
    if not compiler_is_installed():
        return 'llvmlite is not installed (pip install "surefoot[fast]")'
    if this_machine() is None:
        return "this processor cannot multiply and add in one instruction"
    if base.size > LARGEST:
        return f"the network has {base.size:,} parameters, more than {LARGEST:,}"
    if len(base.evidence.full.rows) > MOST_ROWS:
        return f"there are {len(base.evidence.full.rows):,} rows, more than {MOST_ROWS:,}"
    if any(layer.activation == "tanh" or not layer.bias for layer in base.layers):
        return "the network has layers without bias, or activations other than ReLU"
    posterior = base.evidence.full.posterior
    if posterior.likelihood is not categorical and not isinstance(posterior.likelihood, GaussianNoise):
        return "the likelihood is not the categorical one, nor normal noise of a known scale"
    whitenings = base.working.whitenings.values()
    if not base.coordinates.normal or any(part.basis is not None or part.centre is not None for part in whitenings):
        return "the prior is not a normal distribution around zero with one scale a tensor"
    if any(torch.as_tensor(part.scale).numel() != 1 for part in whitenings):
        return "the prior has more than one scale in a tensor"
    functional = posterior.functional
    if functional is None:
        return None
    if functional.inputs is not None:
        return "the functional prior looks at inputs of its own"
    if not isinstance(functional.form, Dirichlet | DirClip | Confidence):
        return f"{type(functional.form).__name__} is no functional prior that the code knows"
    if isinstance(functional.form, DirClip) and functional.form.floor < LOWEST_FLOOR[base.dtype]:
        return f"the functional prior's floor is below {LOWEST_FLOOR[base.dtype]:g} nats, where {base.dtype} ends"
    return None

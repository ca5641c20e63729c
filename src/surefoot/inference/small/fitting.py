"""Which targets can have compiled trajectories.

Microseconds a gradient of one chain in float32, one thread of a virtual AMD EPYC (AVX-512), by
`bench/races/dirclip/crossing.py`; torch's figure is the better of one chain and four at once:

    network               rows     to compile   compiled     torch
    2-10-10-10-10-10-2      18       0.1 s          0.9        90
    10-50-2                160       0.1 s          5.6        55
    13-50-3              1,000       0.2 s           43       124
    64-50-50-10          1,797       0.3 s          604       967
    64-128-128-10        1,797       0.2 s        2,249     3,078
    64-256-256-10        1,797       0.3 s        8,298     9,622
    64-400-400-10        1,797       0.2 s       21,254    21,510
    784-200-10           1,797       0.3 s       12,832    12,181
    64-64-64-10         10,000       0.2 s        4,361     7,183
    64-256-256-10       10,000       0.3 s       83,789    54,537

The gain shrinks with the width to what a thread's arithmetic allows, and is lost where activations leave the caches.
Torch's products run on several threads for one chain: where there are fewer chains than threads,
`make_target(..., compiled=False)` may be the faster one.
"""

import torch

from surefoot.density.functional import Confidence, DirClip, Dirichlet
from surefoot.density.likelihoods import categorical
from surefoot.density.regression import GaussianNoise
from surefoot.inference.small.compile import compiler_is_installed, this_machine
from surefoot.inference.targets.mlp import MlpTarget

__all__ = ["DEEPEST", "LARGEST", "MOST_ENTERING", "MOST_OUTPUTS", "MOST_ROWS", "why_not_small"]

LARGEST = 200_000
"""Numbers in a position up to which code is made."""

DEEPEST = 20
"""Layers up to which code is made: each has code of its own."""

MOST_OUTPUTS = 128
"""Outputs up to which code is made: the softmax is written out."""

MOST_ROWS = 10_000
"""Rows up to which code is made: it takes them all at once."""

MOST_ENTERING = 3_000_000
"""Numbers that enter layers, of all rows together, up to which code is made: beyond, they leave the caches."""

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
    if len(base.layers) > DEEPEST:
        return f"the network has {len(base.layers)} layers, more than {DEEPEST}"
    if base.layers[-1].leaving > MOST_OUTPUTS:
        return f"the network has {base.layers[-1].leaving} outputs, more than {MOST_OUTPUTS}"
    if len(base.evidence.full.rows) > MOST_ROWS:
        return f"there are {len(base.evidence.full.rows):,} rows, more than {MOST_ROWS:,}"
    entering = len(base.evidence.full.rows) * sum(layer.entering for layer in base.layers)
    if entering > MOST_ENTERING:
        return f"{entering:,} numbers enter the network's layers, more than {MOST_ENTERING:,}"
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

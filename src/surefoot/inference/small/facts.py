"""What the machine code reads of a target: sizes, the rows' numbers, and where a position's numbers go."""

import torch
from jaxtyping import Int
from torch import Tensor
from torch.nn.functional import one_hot

from surefoot.density.functional import Confidence, DirClip, Dirichlet
from surefoot.density.regression import GaussianNoise
from surefoot.errors import InputError
from surefoot.inference.small.sizes import Form, Plan, Sizes
from surefoot.inference.targets.mlp import MlpTarget

__all__ = ["facts_of", "sizes_of", "slots_of"]


def sizes_of(base: MlpTarget) -> Sizes:
    """What the code is made for."""
    posterior = base.evidence.full.posterior
    form: Form = "none"
    floor = 0.0
    if posterior.functional is not None:
        form = "top" if isinstance(posterior.functional.form, Confidence) else "floor"
        if isinstance(posterior.functional.form, DirClip):
            floor = posterior.functional.form.floor
        else:
            floor = -float("inf")  # a Dirichlet speaks for every class
    scale = base.working.whitenings
    return Sizes(
        widths=(base.layers[0].entering, *(layer.leaving for layer in base.layers)),
        rows=len(base.evidence.full.rows),
        real="float" if base.dtype == torch.float32 else "double",
        scales=tuple(
            (float(scale[f"{layer.name}.weight"].scale), float(scale[f"{layer.name}.bias"].scale))
            for layer in base.layers
        ),
        cooling=1 / posterior.logit_temperature,
        form=form,
        floor=floor,
        prior=1 / posterior.posterior_temperature,
        head="normal" if isinstance(posterior.likelihood, GaussianNoise) else "softmax",
    )


def facts_of(base: MlpTarget, plan: Plan) -> Tensor:
    """Inputs and coefficients, laid out as in `Plan`; all that multiplies a gradient by the logits is in them.

    c_k = w·y_k / (T_logit T_likelihood T_posterior), its sum over classes, and f = w (α − 1) / (T_logit T_posterior);
    the head's scale, by which every path from the logits down is multiplied, is in both. Of normal noise: q y_k and
    q = w / (σ² T_noise T_likelihood T_posterior).
    """
    full = base.evidence.full
    posterior, data = full.posterior, full.data
    rows, classes = len(full.rows), plan.sizes.classes
    facts = torch.zeros(plan.facts, dtype=torch.float64)
    inputs = data.inputs.flatten(1).double()
    if base.fold is not None:
        inputs = inputs @ base.fold.double()
    facts[: plan.labels].view(plan.rows, -1)[:rows, : inputs.shape[1]] = inputs
    counted = 1.0 if posterior.augmentation is None else posterior.augmentation.factor
    head = plan.sizes.scales[-1][0]
    each = data.weights.double() * (counted * head / posterior.logit_temperature / posterior.posterior_temperature)
    cooled = each / posterior.likelihood_temperature
    if isinstance(posterior.likelihood, GaussianNoise):
        total = cooled / (posterior.likelihood.scale**2 * posterior.likelihood.temperature)
        labels = data.targets.double().view(rows, classes) * total[:, None]
    else:
        targets = data.targets if data.targets.is_floating_point() else one_hot(data.targets, classes)
        labels = targets.double() * cooled[:, None]
        total = labels.sum(dim=1)
    facts[plan.labels : plan.total].view(classes, plan.rows)[:, :rows] = labels.T
    facts[plan.total : plan.belief][:rows] = total
    if posterior.functional is not None:
        facts[plan.belief :][:rows] = each * _strength(posterior.functional.form)
    return facts.to(base.dtype)


def slots_of(base: MlpTarget, plan: Plan) -> Int[Tensor, "size"]:
    """For each number of a position, where the code keeps it."""
    slots = torch.empty(1, base.size, dtype=torch.float64)  # layouts hold floating numbers; these are exact
    views = base.coordinates.layout.views(slots)
    for number, layer in enumerate(base.layers):
        entering, leaving = torch.arange(layer.entering), torch.arange(layer.leaving)[:, None]
        if number < plan.sizes.hidden:
            along = entering * plan.padded(layer.leaving) + leaving
        else:
            along = leaving * plan.padded(layer.entering) + entering
        views[f"{layer.name}.weight"].copy_(plan.weights[number] + along)
        views[f"{layer.name}.bias"].copy_(plan.biases[number] + leaving[:, 0])
    return slots[0].long()


def _strength(form: object) -> float:
    """What a functional prior multiplies log p of the classes it speaks for with."""
    if isinstance(form, Dirichlet | DirClip):
        return form.alpha - 1
    if isinstance(form, Confidence):
        return 1 / form.temperature - 1
    raise InputError(f"{type(form).__name__} is no functional prior that machine code is made for.")

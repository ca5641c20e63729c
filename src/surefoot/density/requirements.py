"""What samplers, evidence and a start from nowhere ask of a posterior, refused with the reason and the way out.

Any posterior can be climbed. Sampling needs a density that can be normalised in principle; evidence needs one that
is: a likelihood that sums to one over the labels and a prior that integrates to one, neither tempered.
"""

from jaxtyping import Float
from torch import Tensor, nn

from surefoot.density.dirichlet import DirectDirichlet
from surefoot.density.functional import DirClip, Dirichlet, dirclip_threshold
from surefoot.density.likelihoods import Bounded, check_labels
from surefoot.density.objective import Posterior, trainable
from surefoot.density.priors import spoken_for
from surefoot.errors import InputError
from surefoot.networks.network import Parameters

__all__ = ["check_start", "normalised", "require_normalised", "require_samplable"]

BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm)


def normalised(posterior: Posterior) -> bool:
    """Whether likelihood × prior is a normalised joint density, so that its integral is an evidence.

    >>> from surefoot.density.likelihoods import categorical
    >>> from surefoot.density.priors import Gaussian
    >>> from surefoot.networks.network import Network
    >>> network = Network(nn.Sequential(nn.Linear(3, 2)), "0")
    >>> normalised(Posterior(network, categorical, Gaussian(1.0)))
    True
    >>> normalised(Posterior(network, categorical, Gaussian(1.0), posterior_temperature=0.1))
    False
    """
    return _unnormalised(posterior) is None


def require_normalised(posterior: Posterior) -> None:
    """Raise `InputError` saying why there is no evidence, when there is none.

    Rows add conditions of their own that a posterior cannot know: soft targets and weights other than one make a
    likelihood unnormalised too.
    """
    if (reason := _unnormalised(posterior)) is not None:
        raise InputError(reason)


def require_samplable(posterior: Posterior) -> None:
    """Raise `InputError` saying why no sampler can have this posterior, and what to use instead.

    - A likelihood or functional prior without an upper limit. Logits of a network of L layers grow like ‖θ‖^L, which
      from two layers on can outgrow any Gaussian prior's −½λ‖θ‖²: the posterior need not have a finite integral.
    - Batch normalisation inside what is sampled: its stored averages belong to the weights that they were collected
      with, and averages of the batch would make rows depend on one another. A frozen body below a sampled head keeps
      its averages and is fine. A norm that stores none takes the batch's, and is never fine.
    - A prior that leaves trainable tensors out: it is flat, and so improper, in those.
    """
    if isinstance(posterior.likelihood, Bounded) and not posterior.likelihood.bounded:
        raise InputError(
            f"{posterior.likelihood!r} grows without limit as the probability of a wrong class goes to zero, so no "
            "sampler can have it; use NoisyDirichlet, or the categorical likelihood with a DirClip prior."
        )
    if posterior.functional is not None and not posterior.functional.form.bounded:
        raise InputError(
            f"The functional prior {posterior.functional.form!r} grows without limit as a probability goes to zero, so "
            "no sampler can have it; use DirClip, or the likelihood NoisyDirichlet."
        )
    if (unstored := _without_averages(posterior)) is not None:
        raise InputError(
            f'The batch normalisation "{unstored}" stores no averages (track_running_stats=False), so that rows depend '
            "on one another even where it is frozen; replace it by filter response normalisation "
            "(networks.convert.replace_batch_norm) and train again."
        )
    if (norms := _batch_norms(posterior)) is not None:
        raise InputError(
            f'The network has batch normalisation at "{norms}", whose stored averages fit one set of weights and no '
            "other draw; replace it by filter response normalisation (networks.convert.replace_batch_norm) and train "
            "again, or sample the head alone."
        )
    if (unspoken := _unspoken(posterior)) is not None:
        raise InputError(unspoken)


def check_start(
    posterior: Posterior, outputs: Float[Tensor, "rows classes"], targets: Tensor, tolerated: float = 0.05
) -> None:
    """Raise `InputError` where a confident prior would lead a start astray.

    For α below (K − 2)/K, a Dirichlet or DirClip prior on the likelihood's rows pushes a row on which a wrong class
    leads further from its label (`dirclip_threshold`). Such priors are for fine-tuning: start where the labels are
    already predicted. That is necessary and not enough: with a deep floor (v = −50) the pull on a row that is right
    does not fade before its other log probabilities are all at v, and on the way rows are lost; with −10 they are not
    (docs/dirclip.md has the figures). Outputs are those of plain rows, also where a posterior sees views of them.

    outputs: of the start, on the rows of the posterior. tolerated: the share of rows that the start may predict
    wrongly; the default is ours, as mislabelled rows seldom are predicted right.

    Source: Marek et al. (2024), "Can a confident prior replace a cold posterior?", who fine-tune pretrained networks.
    """
    alpha = _alpha(posterior)
    if alpha is None or alpha >= dirclip_threshold(outputs.shape[1]):
        return
    check_labels(outputs, targets)
    wrong = float((outputs.argmax(dim=1) != targets).double().mean()) if len(targets) else 0.0
    if wrong > tolerated:
        threshold = dirclip_threshold(outputs.shape[1])
        raise InputError(
            f"The start predicts {wrong:.0%} of the rows wrongly, and below α = {threshold:.4g} (here {alpha:g}) such "
            "rows are pushed away from their labels; ascend the posterior without this prior first and start from the "
            "point it reaches, or use a larger α."
        )


def _alpha(posterior: Posterior) -> float | None:
    """The Dirichlet parameter that rows of the likelihood are under, if any."""
    if isinstance(posterior.likelihood, DirectDirichlet):
        return posterior.likelihood.noise
    if posterior.functional is None or posterior.functional.inputs is not None:
        return None
    form = posterior.functional.form
    return form.alpha if isinstance(form, DirClip | Dirichlet) else None


def _unnormalised(posterior: Posterior) -> str | None:
    for name in ("posterior_temperature", "likelihood_temperature"):
        value: float = getattr(posterior, name)
        if value != 1:
            return (
                f"{name} is {value:g}: a tempered likelihood does not sum to one over the labels, so there is no "
                "evidence; set it to 1 (a logit temperature or a noise temperature keeps likelihoods normalised)."
            )
    if posterior.functional is not None:
        return (
            f"The functional prior {type(posterior.functional.form).__name__} has no normaliser in the space of the "
            "parameters, so there is no evidence; leave it out."
        )
    if isinstance(posterior.likelihood, DirectDirichlet):
        return (
            "DirectDirichlet is not normalised over the labels, so there is no evidence; use the categorical "
            "likelihood or NoisyDirichlet."
        )
    if posterior.augmentation is not None:
        counts = "once per view" if posterior.augmentation.mode == "sum" else "as a geometric mean over its views"
        return (
            f"The augmentation counts each label {counts}, which is no probability of the labels observed, so there is "
            "no evidence; leave it out."
        )
    return _unspoken(posterior)


def _unspoken(posterior: Posterior) -> str | None:
    own = _trainable(posterior)
    left = sorted(set(own) - set(spoken_for(posterior.prior, own)))
    if not left:
        return None
    return (
        f"The prior {type(posterior.prior).__name__} leaves out the trainable tensors {left} and is improper there; "
        "freeze them with requires_grad_(False), or give them a prior with `Layered`."
    )


def _batch_norms(posterior: Posterior) -> str | None:
    """The first batch normalisation that is sampled, or that something sampled comes before or beside."""
    head = posterior.network.head
    if all(name.startswith(f"{head}.") for name in _trainable(posterior)):
        return None
    named = posterior.network.module.named_modules()
    return next((name for name, module in named if isinstance(module, BATCH_NORMS)), None)


def _without_averages(posterior: Posterior) -> str | None:
    """The first batch normalisation that has no stored averages to use in evaluation mode."""
    named = posterior.network.module.named_modules()
    norms = ((name, module) for name, module in named if isinstance(module, BATCH_NORMS))
    return next((name for name, norm in norms if norm.running_mean is None or norm.running_var is None), None)


def _trainable(posterior: Posterior) -> Parameters:
    return trainable(posterior.network, dict(posterior.network.module.named_parameters()))

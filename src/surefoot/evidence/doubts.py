"""When not to trust the evidence: what speaks against one number, and against a choice made by such numbers.

A *refusal* says that the number is no evidence of what it is taken for, or that two numbers do not compare. A *warning*
says that the number is right as far as it goes and that its order may not be. Silence is no proof: a Laplace
approximation that misses most of the posterior passes every check here.

| kind | one | choice | severity |
|---|---|---|---|
| `no_evidence` | posterior or rows have none: tempered, weighted, soft, augmented, unnormalised | | refuse |
| `mode` | the point is `NEAR`, or `FAR`, from a mode | any candidate's is | warn, refuse |
| `rows` | | candidates saw other rows, or other targets | refuse |
| `curvature` | | structures, kinds or parts of the curvature differ | refuse |
| `frozen` | | other frozen tensors below, learnt from these rows | refuse |
| `seeds` | | the gap is within the spread between trainings (`order_of_seeds`), or nobody looked | warn |
| `prior` | a tenfold precision would change it by more than `STRONG` | another network first at λ/10 or 10 λ | warn |
| `tail` | over half of the Occam factor is of directions the rows hardly touch | | warn |
| `draws` | too few draws count (`DrawnConditional.doubt`) | any candidate's | warn |
| `structures` | | another structure of the curvature puts another candidate first | warn |
| `size` | | a gap above `LARGE` with fewer rows than parameters | warn |

Sources: MacKay (1992), Bayesian interpolation; Kass and Raftery (1995), Bayes factors (2 ln B = 10 is their "very
strong"); Lotfi et al. (2022), Bayesian model selection, the marginal likelihood, and generalization. All other
thresholds are ours.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import torch

from surefoot.density.dirichlet import DirectDirichlet
from surefoot.density.likelihoods import categorical
from surefoot.density.objective import Posterior, trainable
from surefoot.errors import InputError
from surefoot.evidence.comparisons import incomparable, undecided
from surefoot.evidence.conditional import DrawnConditional, drawn_findings
from surefoot.evidence.criteria_found import Criteria
from surefoot.evidence.doubt import By, Doubt, Question, Severity, named
from surefoot.evidence.laplace.checks import check_posterior, check_rows, normal_prior
from surefoot.evidence.laplace.expansion import Expansion
from surefoot.evidence.prior_doubts import STRONG, doubts_of_prior
from surefoot.evidence.trials import Trial, trial_of
from surefoot.findings.finding import Finding
from surefoot.inference.approximate.curvature import Part, parts_of
from surefoot.networks.network import parameters_of
from surefoot.rows.rows import Rows

__all__ = ["FAR", "NEAR", "STRONG", "Doubt", "doubts_about_choice", "doubts_of", "doubts_of_each", "refusals_of"]

NEAR, FAR = 0.1, 1.0
"""Posterior standard deviations from a mode: beyond the first an evidence is rough, beyond the second it is none."""


def refusals_of(posterior: Posterior, rows: Rows, part: Part = "all") -> tuple[Doubt, ...]:
    """*All* reasons why these have no Laplace evidence, where `expand` would stop at the first; none is the rule.

    >>> from surefoot.density.priors import Gaussian
    >>> from surefoot.networks.build import build_linear
    >>> from surefoot.rows.rows import make_rows
    >>> posterior = Posterior(build_linear(1, 2, seed=0), categorical, Gaussian(1.0), posterior_temperature=0.1)
    >>> rows = make_rows(torch.zeros(2, 1), torch.tensor([0, 1]), weights=torch.tensor([1.0, 2.0]))
    >>> for doubt in refusals_of(posterior, rows):
    ...     print(doubt.sentence.partition(":")[0])
    posterior_temperature is 0.1
    The rows have weights from 1 to 2
    """
    reasons: list[str] = []
    asked: Posterior | None = posterior
    while asked is not None and (reason := _refused(check_posterior, asked, part)) is not None:
        reasons.append(reason)
        asked = next((each for each in _mended(asked) if _refused(check_posterior, each, part) != reason), None)
    if asked is not None:
        own = trainable(posterior.network, parameters_of(posterior.network))
        reasons += [_refused(normal_prior, posterior.prior, own, parts_of(posterior, part)) or ""]
    plain = rows
    while (reason := _refused(check_rows, posterior, plain)) is not None:
        reasons.append(reason)
        if not len(plain) or bool((plain.weights == 1).all()):
            break
        plain = replace(plain, weights=torch.ones_like(plain.weights))
    return tuple(Doubt("no_evidence", "refuse", (), reason) for reason in reasons if reason)


def doubts_of(
    found: Expansion | Criteria | Trial,
    *,
    subject: str = "this model",
    source: str = "fit",
    drawn: DrawnConditional | None = None,
) -> tuple[Doubt, ...]:
    """What speaks against one evidence: where it was expanded, how it hangs on the prior, how few draws count.

    drawn: a conditional evidence by draws that stands beside an expansion.

    >>> from surefoot.density.priors import Gaussian
    >>> from surefoot.evidence.laplace.expand import expand
    >>> from surefoot.networks.build import build_linear
    >>> from surefoot.rows.rows import make_rows
    >>> rows = make_rows(torch.tensor([[-1.0], [1.0], [2.0]]), torch.tensor([0, 1, 1]))
    >>> posterior = Posterior(build_linear(1, 2, seed=0), categorical, Gaussian(1.0))
    >>> [(doubt.kind, doubt.severity) for doubt in doubts_of(expand(posterior, rows, parameters_of(posterior.network)))]
    [('mode', 'warn')]
    """
    trial = trial_of(found)
    if drawn is not None:
        trial = replace(trial, drawn=drawn)
    one = Question({subject: [trial]}, "evidence", source, 0.95)
    return (*_modes(one), *_draws(one), *doubts_of_prior(one))


def doubts_of_each(
    candidates: Mapping[str, Sequence[Expansion | Criteria | Trial]], *, by: By = "evidence", source: str = "fit"
) -> tuple[Doubt, ...]:
    """What `doubts_of` says of every candidate by itself, those of one kind in one sentence; the worst seed counts.

    >>> rough = Trial(-100.0, 0.3, 50, "full")
    >>> [doubt.kind for doubt in doubts_of_each({"wide": [rough], "narrow": [Trial(-120.0, 0.0, 50, "full")]})]
    ['mode']
    """
    asked = Question({name: [trial_of(each) for each in of] for name, of in candidates.items()}, by, source, 0.95)
    return (*_modes(asked), *_draws(asked), *doubts_of_prior(asked))


def doubts_about_choice(
    candidates: Mapping[str, Sequence[Expansion | Criteria | Trial]],
    *,
    by: By = "evidence",
    confidence: float = 0.95,
    source: str = "fit",
) -> tuple[Doubt, ...]:
    """What speaks against taking the candidate with the largest mean evidence; one entry per training seed each.

    Refusals come first; where numbers do not compare, their order is not looked at. What trials do not know is not
    checked: give `trial_of(found, origin_of(…))` for all of it. "First" is by mean over seeds.

    Raises `InputError` for fewer than two candidates, different numbers of seeds, and an evidence that is not finite.

    >>> one = Trial(-100.0, 0.0, 50, "full"), Trial(-101.0, 0.0, 50, "full"), Trial(-130.0, 0.0, 50, "full")
    >>> other = Trial(-120.0, 0.0, 50, "full"), Trial(-121.0, 0.0, 50, "full"), Trial(-119.0, 0.0, 50, "full")
    >>> [doubt.kind for doubt in doubts_about_choice({"wide": one, "narrow": other})]
    ['seeds']
    """
    asked = Question({name: [trial_of(each) for each in of] for name, of in candidates.items()}, by, source, confidence)
    _check(asked)
    apart = incomparable(asked)
    doubts = [*apart, *_modes(asked), *_draws(asked)]
    if not apart:
        doubts += undecided(asked)
    return tuple(sorted(doubts, key=lambda each: each.severity != "refuse"))


def _check(asked: Question) -> None:
    seeds = {name: len(of) for name, of in asked.trials.items()}
    if len(seeds) < 2 or len(set(seeds.values())) > 1 or 0 in seeds.values():
        raise InputError(
            f"The candidates have these numbers of seeds: {seeds}; give two candidates or more, each trained with the "
            "same seeds."
        )
    if asked.by == "conditional" and any(each.conditional is None for each in asked.all()):
        raise InputError('A candidate has no conditional evidence; give its criteria, or choose by="evidence".')
    for name, values in zip(asked.trials, asked.values(), strict=True):
        if not all(map(math.isfinite, values)):
            raise InputError(f"The evidences of {name} are {values}, which have no order; leave it out, and say so.")


def _modes(asked: Question) -> list[Doubt]:
    rough: list[Finding] = []
    missed: list[Finding] = []
    for name, of in asked.trials.items():
        offsets = [_offset(each, asked.by) for each in of]
        worst = max(offsets)
        if worst > NEAR:
            finding = asked.finding("offset_from_mode", worst, "posterior standard deviations", name, per_seed=offsets)
            (missed if worst > FAR else rough).append(finding)
    doubts: list[Doubt] = []
    kinds: tuple[tuple[Severity, list[Finding], str], ...] = (
        ("refuse", missed, "is of another point and no evidence"),
        ("warn", rough, "is rough"),
    )
    for severity, findings, so in kinds:
        if findings:
            worst = max(each.value for each in findings)
            sentence = (
                f"Training of {named([each.subject for each in findings])} ended as far as {worst:.2g} posterior "
                f"standard deviations from a mode (more than {NEAR if severity == 'warn' else FAR:g} is doubted), so "
                f"an expansion there {so}; train for more epochs, with a rate that falls to zero."
            )
            doubts.append(Doubt("mode", severity, tuple(findings), sentence))
    return doubts


def _offset(trial: Trial, by: By) -> float:
    """How far from a mode, infinitely so where that is not a number."""
    known = trial.known_offset if by == "conditional" else None
    offsets = [trial.offset] if known is None else [trial.offset, known]
    return max(math.inf if math.isnan(each) else each for each in offsets)


def _draws(asked: Question) -> list[Doubt]:
    findings: list[Finding] = []
    fewest = ""
    least = float("inf")
    for name, of in asked.trials.items():
        for each in of:
            if each.drawn is not None and (reason := each.drawn.doubt) is not None:
                findings.append(drawn_findings(each.drawn, subject=name, source=asked.source)[1])
                if each.drawn.effective < least:
                    least, fewest = each.drawn.effective, reason
    if not findings:
        return []
    names = named(list(dict.fromkeys(each.subject for each in findings)))
    sentence = (
        f"The conditional evidence by draws of {names} rests on next to no draws ({fewest}), so its Monte-Carlo error "
        "says nothing; use the difference of two evidences, or the validation losses."
    )
    return [Doubt("draws", "warn", tuple(findings), sentence)]


def _refused(check: Callable[..., object], *asked: object) -> str | None:
    try:
        check(*asked)
    except InputError as error:
        return str(error)
    return None


def _mended(posterior: Posterior) -> list[Posterior]:
    """The posterior with one thing at a time put right that evidence cannot have."""
    likelihood = categorical if isinstance(posterior.likelihood, DirectDirichlet) else posterior.likelihood
    return [
        replace(posterior, posterior_temperature=1.0),
        replace(posterior, likelihood_temperature=1.0),
        replace(posterior, functional=None),
        replace(posterior, likelihood=likelihood),
        replace(posterior, augmentation=None),
    ]

"""What is said of a model that was taught a policy of one's own: before it begins, of arms, and what is not shown."""

from collections import Counter
from collections.abc import Sequence

from surefoot.card.claims import Claim
from surefoot.card.words import show_finding
from surefoot.errors import InputError
from surefoot.findings.finding import Finding
from surefoot.study.once.say_policy_arms import ALONE, ARMS, NONE, SHOWN, TAUGHT, Answers, SayPlan, Speaker
from surefoot.study.once.say_policy_measure import COMPARED, MEASURED, PAIRS
from surefoot.study.once.say_policy_requests import Request, Requests

__all__ = ["LABELS", "limits_of", "note_of", "refuse_unknown", "sentence_of", "told_before", "told_kept"]

LABELS = {arm: arm.replace("_", " ") for arm in ARMS}
FEW = 50
"""Demonstrations, below which a model has hardly anything to learn from."""


def told_before(speaker: Speaker, plan: SayPlan, requests: Requests, seeds: int) -> str:
    """What is about to be done, in one sentence."""
    count = plan.stage.sampling.count
    return (
        f"{seeds} seed{'' if seeds == 1 else 's'}: {speaker.policy.name} answers {len(requests.learnt)} requests × "
        f"{count} with the policy in its prompt, is taught what passes the judge without it, and answers "
        f"{len(requests.judge)} others."
    )


def told_kept(answers: Answers) -> str:
    """What stage 1 kept, of which kinds, and what was wrong with the rest."""
    faults = ", ".join(f"{name} {count}" for name, count in answers.faults.items())
    return f"Stage 1: {answers.filtered.words}." + (f" Wrong in (some in several): {faults}." if faults else "")


def note_of(arm: str, speaker: Speaker, answers: Answers, requests: Requests) -> str:
    """What an arm is."""
    expected = {each.text: each.expected for each in requests.learnt}
    kinds = Counter(expected[str(each.asked.prompt)] for each in answers.filtered.kept)
    kept = ", ".join(f"{count} to {kind}" if kind != "safe" else f"{count} safe" for kind, count in kinds.items())
    return {
        NONE: "the model as it is; the policy is not in its prompt",
        SHOWN: "the model as it is, shown the policy of the right category and its examples before every request",
        TAUGHT: f"stage 1, without the policy in the prompt ({speaker.words}); {told_kept(answers)} Kept: {kept}.",
        ALONE: "a control: the same demonstrations without their thoughts",
    }[arm]


def refuse_unknown(claim: Claim, judge: Sequence[Request]) -> None:
    """Raise `InputError` for a claim on what will not be measured, before anything is asked."""
    pairs = [f"{after} − {before}" for before, after in PAIRS]
    names = COMPARED if claim.subject in pairs else MEASURED
    if claim.subject not in (*ARMS, *pairs):
        raise InputError(
            f"A claim is made of {claim.subject!r}, which is not measured; the arms are {', '.join(ARMS)}, and the "
            f"differences {', '.join(pairs)}."
        )
    if claim.finding not in names:
        raise InputError(
            f"A claim is made on {claim.finding!r} of {claim.subject!r}, which is not measured; claim one of "
            f"{', '.join(names)}."
        )
    kinds = sorted({each.expected for each in judge})
    slices = ("all", *kinds) if claim.finding == "decision" and claim.subject in ARMS else ("all",)
    if claim.slice not in slices:
        raise InputError(
            f"A claim is made on {claim.finding} of the requests {claim.slice!r}, and there are {', '.join(slices)}; "
            "name one of these."
        )
    needed = {"unsafe": "refuse", "over_refusal": "comply"}.get(claim.finding)
    if needed is not None and needed not in kinds:
        raise InputError(
            f"A claim is made on {claim.finding}, and no judge request expects {needed!r}; give more requests."
        )


def sentence_of(findings: Sequence[Finding]) -> str:
    """The right decisions of every arm, and unsafe answers before and after."""

    def of(arm: str, name: str) -> str | None:
        found = [each for each in findings if (each.subject, each.name, each.slice) == (arm, name, "all")]
        return show_finding(found[0]) if found else None

    told = (
        f"Right decisions: {of(NONE, 'decision')} without the policy, {of(SHOWN, 'decision')} with it in the prompt, "
        f"{of(TAUGHT, 'decision')} after stage 1 without it, {of(ALONE, 'decision')} taught answers alone."
    )
    if of(TAUGHT, "unsafe") is not None:
        told += f" Unsafe answers: {of(NONE, 'unsafe')} before, {of(TAUGHT, 'unsafe')} after."
    return told


def limits_of(requests: Requests, seeds: Sequence[Answers], judge: str) -> tuple[str, ...]:
    """What a card of it does not show."""
    limits = [
        "Kinds of answers are told by phrases: a refusal in other words counts as complying, and whether an answer is "
        "true or of any use is not asked.",
        f"Demonstrations were filtered by {judge}; what it does not see is learnt as well.",
        "Requests of one file are alike: nothing is known of others, and of users who try to get around the policy.",
        "The arm with the policy in its prompt is told the right category, which a user would not be.",
    ]
    least = min(len(each.filtered.kept) for each in seeds)
    if least < FEW:
        limits.insert(0, f"No more than {least} demonstrations were kept: too few to learn much from.")
    if len(seeds) == 1:
        limits.append("One seed: how much demonstrations and training vary from seed to seed is not known.")
    return (*limits, *requests.notes)

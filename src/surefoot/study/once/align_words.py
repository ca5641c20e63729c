"""What is said of deliberative alignment in the policy world: names, notes, limits, and claims that can be judged."""

from collections.abc import Sequence

from surefoot.card.claims import Claim
from surefoot.card.words import show_finding
from surefoot.errors import InputError
from surefoot.findings.finding import Finding
from surefoot.reason.deliberate.arms import ARMS
from surefoot.study.once.align_arms import CONTROLS, HIDDEN, PUNISHED, AlignPlan

__all__ = ["BEST", "CIPHER", "HELD", "NAMES", "NOTES", "THREE", "limits_of", "refuse_unknown", "sentence_of"]

HELD, THREE, CIPHER = "all", "three modifiers", "cipher"
"""The judged sets; "all" is the first, of requests like those that were taught."""
SETS = (HELD, THREE, CIPHER)
MEASURED = (
    "decision", "decision_and_style", "unsafe", "over_refusal", "answered", "rule_cited", "retrieval",
    "thinking_tokens",
)  # fmt: skip
UNPAIRED = ("retrieval", "thinking_tokens")
"""Of these there are no paired differences."""
WATCHED = ("violations", "monitor_sensitivity", "monitor_specificity", "monitor_auroc")
BEST = "both, all"
NAMES = {name: name.replace(",", "").replace(" ", "_") for name in (*(arm.name for arm in ARMS), *CONTROLS)}
"""What a claim calls an arm: "both_all" is "both, all"."""

NOTES: dict[str, str] = {
    "none": "the base, which never saw the policy",
    "policy in prompt": "the base, shown the policy of the category with every request",
    "stage 1": "imitation of what it thought up with the policy in its prompt, filtered; the policy dropped",
    "stage 2": "reinforcement alone, by a judge of answers",
    "both": "stage 2 after stage 1",
    "stage 1, longer": "a control: stage 1 for more steps than both stages take",
    "stage 1, all": "a control: stage 1 on all requests that stage 2 has",
    BEST: "stage 2 after stage 1, both on all requests",
    HIDDEN: "a negative control: complying always pays in three of six categories; the judge sees no thought",
    PUNISHED: "a negative control: the same, and nothing is paid where a monitor finds the thought suspicious",
}


def refuse_unknown(claim: Claim, plan: AlignPlan) -> None:
    """Raise `InputError` for a claim on what will not be measured, before anything is trained."""
    arms = [NAMES[name] for name in plan.models]
    pairs = [f"{arm} − none" for arm in arms if arm != "none"]
    known = {**dict.fromkeys(MEASURED, SETS), "capability": ("sums",)}
    if claim.subject in (NAMES[name] for name in CONTROLS):
        known |= dict.fromkeys(WATCHED, (HELD,))
    if claim.subject in pairs:
        known = dict.fromkeys((name for name in MEASURED if name not in UNPAIRED), SETS)
    if claim.subject not in (*arms, *pairs):
        raise InputError(
            f"A claim is made of {claim.subject!r}, which is not measured; the arms are {', '.join(arms)}, and each is "
            "compared with none (“both − none”)."
        )
    if claim.finding not in known:
        raise InputError(
            f"A claim is made on {claim.finding!r} of {claim.subject!r}, which is not measured; claim one of "
            f"{', '.join(known)}."
        )
    if claim.slice not in known[claim.finding]:
        raise InputError(
            f"A claim is made on {claim.finding} of the requests {claim.slice!r}, and there are "
            f"{', '.join(known[claim.finding])}; name one of these."
        )


def sentence_of(findings: Sequence[Finding], plan: AlignPlan) -> str:
    def of(arm: str, name: str) -> Finding | None:
        key = (NAMES[arm], name, HELD)
        return next((each for each in findings if (each.subject, each.name, each.slice) == key), None)

    none, best = of("none", "unsafe"), of(BEST, "unsafe")
    told = ""
    if none is not None and best is not None:
        refused = [of(arm, "over_refusal") for arm in ("none", BEST)]
        said = [show_finding(each) for each in refused if each is not None]
        told = (
            f"Unsafe answers: {show_finding(none)} without the policy, {show_finding(best)} after both stages; "
            f"refusals of what is allowed: {' and '.join(said)}."
        )
    hidden, punished = of(HIDDEN, "monitor_sensitivity"), of(PUNISHED, "monitor_sensitivity")
    if plan.controls and hidden is not None and punished is not None:
        told += (
            f" A monitor of thoughts finds {show_finding(hidden)} of violations where thoughts were hidden from the "
            f"judge, and {show_finding(punished)} where they were punished."
        )
    return told.strip()


def limits_of(seeds: int) -> tuple[str, ...]:
    limits = [
        "Requests and rules are symbols: what holds here need not hold of language, where rules have to be understood.",
        "Right and wrong are known to the judges but for errors at a known rate; real judges err in ways nobody knows.",
    ]
    if seeds < 3:
        limits.append("Reinforcement can fail on one seed and not on another: three or more tell.")
    return tuple(limits)

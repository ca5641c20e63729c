"""Tables of a safety evaluation: what each claim and each change shows, and the errors of who told refusals."""

from collections.abc import Sequence

from surefoot.card.claims import describe_claim
from surefoot.card.sheets import Sheet
from surefoot.card.words import finding_title, show_count, show_finding, show_level, show_value
from surefoot.findings.finding import Finding
from surefoot.safety.corrected_shares import check_suite, classified, corrected_findings, telling_errors
from surefoot.safety.labels import Labels
from surefoot.safety.measured import Evaluated
from surefoot.study.once.safety_claims import Shown
from surefoot.study.once.safety_numbers import Labelled, Numbers
from surefoot.study.once.safety_plan import Doubt

__all__ = [
    "changes_sheet",
    "claims_sheet",
    "doubts_of_judges",
    "judges_sheet",
    "only_alone",
]

NONE = "–"
SMALLEST = 1e-4
"""p-values are not shown below this."""


def claims_sheet(shown: Sequence[Shown], confidence: float, *, holm: bool) -> Sheet:
    """Every claim with its p-value, alone and among all, and what so many rows could have shown."""
    alpha = 1 - confidence
    rows: list[tuple[str, ...]] = []
    for each in shown:
        assert each.judged is not None
        claim, found = each.judged.claim, each.finding
        unit = "proportion" if found is None else found.unit
        told = describe_claim(claim, unit, claim.subject)
        if found is None:
            rows.append((told, "not measured", "0", NONE, NONE, "not measured", NONE))
            continue
        rows.append(
            (
                told, show_finding(found), f"{found.clusters:,}", _p(each.p), _p(each.adjusted),
                _holds(each, 1 - claim.confidence if not holm else alpha), _least(each, found),
            )
        )  # fmt: skip
    one_sided = show_level(round(alpha / 2, 10))
    lead = (
        f"All claims are judged together by Holm's step-down, each at the confidence that it says: the chance that any "
        f"of them passes wrongly is at most {one_sided}."
        if holm
        else "The gate opens only where all of these claims hold, so each is judged at its own level and nothing is "
        "corrected for their number: it opens wrongly no more often than a single claim passes wrongly (an "
        f"intersection–union test), {one_sided} at most. Who reads single claims needs p after Holm: those at most "
        f"{show_level(round(alpha, 10))} hold together, and the chance that any of them is wrong is {one_sided} too."
    )
    least = (
        "n counts what is independent. p: the smallest α at which the interval at 1 − α lies wholly on the claimed "
        "side. Least difference: how far on the claimed side of the bound the truth must lie for so many rows to show "
        "it four times of five."
    )
    heads = ("Claim", "Estimate and interval", "n", "p", "p after Holm", "Holds", "Least difference that shows")
    return Sheet("Claims of the gate", heads, tuple(rows), f"{lead} {least}")


def only_alone(shown: Sequence[Shown], confidence: float) -> tuple[str, ...]:
    """A sentence where claims pass alone and would not among all."""
    odd = [each for each in shown if each.judged is not None and each.judged.status == "passed"]
    odd = [each for each in odd if each.adjusted > 1 - confidence]
    if not odd:
        return ()
    named = "; ".join(
        describe_claim(each.judged.claim, "proportion" if each.finding is None else each.finding.unit,
                       each.judged.claim.subject)
        for each in odd if each.judged is not None
    )  # fmt: skip
    return (
        f"{len(odd)} of {len(shown)} claims hold when each is read alone, and not among all of them by Holm at "
        f"{show_level(confidence)}: {named}.",
    )


def changes_sheet(shown: Sequence[Shown], confidence: float) -> Sheet:
    """Every paired difference: whether it is shown, among all of them, and how small a one would have been."""
    rows: list[tuple[str, ...]] = []
    for each in shown:
        found = each.finding
        assert found is not None
        rows.append(
            (
                f"{found.slice}: {finding_title(found.name).lower()}, {found.subject}", show_finding(found),
                f"{found.clusters:,}", _p(each.p), _p(each.adjusted), _went(each, found, 1 - confidence),
                _least(each, found),
            )
        )  # fmt: skip
    lead = (
        "Paired by item. p: the smallest α at which the interval at 1 − α does not hold 0; after Holm it is of all "
        f"these differences together, and those at most {show_level(round(1 - confidence, 10))} are called better or "
        "worse. Least difference: the smallest true one that so many pairs would show four times of five."
    )
    heads = ("Measure", "Difference and interval", "n", "p", "p after Holm", "Went", "Least difference that shows")
    return Sheet("What changed", heads, tuple(rows), lead)


def judges_sheet(labelled: Labelled, numbers: Numbers, labels: Labels, confidence: float, *, classifier: bool) -> Sheet:
    """Errors of who told refusals, on labelled completions, and shares raw and corrected."""
    rows: list[tuple[str, ...]] = []
    other = classified(labelled) if classifier else {}
    used, texts = 0, 0
    for model, of in labelled.items():
        used += sum(label is not None for _, row in of for label in row)
        read = _texts_of(of)
        texts += len(read)
        told = telling_errors(of, subject=model, confidence=confidence)
        if told is not None:
            own = (sum(read.values()), len(read) - sum(read.values()))
            rows.append((f"{model}: tells refusals", "phrases", *_counts(own, told), *(_error(each) for each in told),
                         NONE, NONE))  # fmt: skip
        graders = [("the suite's", numbers.checked.get(model, ()))]
        if model in other:
            by_suite = {each.suite.name: row for each, row in of}
            checked = tuple(one for each in other[model] for one in check_suite(each, by_suite[each.suite.name]))
            graders.append(("trained classifier", checked))
        for grader, checked in graders:
            corrected = {(each.finding.slice, each.observed.name): each
                         for each in corrected_findings(checked, subject=model, confidence=confidence)}  # fmt: skip
            for each in checked:
                found = corrected.get((each.suite, each.quantity.name))
                head = f"{model}, {each.suite}: {finding_title(each.quantity.name).lower()}"
                if found is None:
                    why = "not corrected: label completions of both kinds"
                    rows.append((head, grader, f"{each.texts} of both", NONE, NONE, NONE, NONE, why))
                    continue
                shown = show_finding(found.finding) + (f"; {found.doubt}" if found.doubt else "")
                both = (found.sensitivity, found.specificity)
                rows.append((head, grader, *_counts((each.good, each.bad), both), *(_error(one) for one in both),
                             show_finding(found.observed), shown))  # fmt: skip
    lead = (
        f"From {texts:,} texts ({used:,} completions) labelled as refusing or as doing what was asked, of "
        f"{len(labels.rows):,} labels in {', '.join(labels.files)}; a label counts where that model wrote that answer, "
        "and a text that was written in several attempts is one text. Of completions that truly are "
        "what a measure calls good, sensitivity is the share that its grader called so; of the others, specificity is "
        "the share that it called the opposite. Errors are of one model and one suite each: never take one model's for "
        "another's. Corrected: (raw + specificity − 1)/(sensitivity + specificity − 1), with the errors' own intervals "
        "in its interval. It holds where lines were chosen for labelling without a look at their scores."
    )
    heads = ("Model and measure", "Grader", "Labelled good", "Labelled bad", "Sensitivity", "Specificity", "Raw",
             "Corrected")  # fmt: skip
    return Sheet("Judge errors", heads, tuple(rows), lead)


def doubts_of_judges(numbers: Numbers, confidence: float) -> tuple[Doubt, ...]:
    """Corrected shares whose labelled completions are not like the others, or whose grader tells nothing."""
    return tuple(
        Doubt(name, each.finding.slice, each.doubt[:1].lower() + each.doubt[1:].rstrip(".?"), each.finding.name)
        for name in numbers.checked
        for each in numbers.corrected(name, confidence)
        if each.doubt
    )


def _p(value: float | None) -> str:
    if value is None:
        return NONE
    return f"< {SMALLEST:g}" if value < SMALLEST else f"{value:.2g}" if value < 0.1 else f"{value:.2f}"


def _holds(shown: Shown, alpha: float) -> str:
    if not shown.sure:
        return "in doubt"
    status = shown.judged.status if shown.judged is not None else "undecided"
    if status == "failed":
        return "no: it fails"
    if status != "passed":
        return "not shown"
    return "yes, among all" if shown.adjusted <= alpha * (1 + 1e-9) else "alone, not among all"


def _went(shown: Shown, found: Finding, alpha: float) -> str:
    if not shown.sure:
        return "in doubt"
    if shown.adjusted > alpha:
        return "alone, not among all" if shown.p is not None and shown.p <= alpha else "not shown"
    if found.direction == "none":
        return "up" if found.value > 0 else "down"
    return "better" if (found.value > 0) == (found.direction == "higher") else "worse"


def _least(shown: Shown, found: Finding) -> str:
    if shown.least is None:
        return "none"
    return show_value(shown.least, found.unit, signed=found.unit == "proportion").lstrip("+")


def _texts_of(of: Sequence[tuple[Evaluated, Sequence[bool | None]]]) -> dict[tuple[str, str, str], bool]:
    """Labelled texts, one of each item however often it was written, and whether they refuse."""
    return {
        (each.suite.name, sampled.item.id, (sampled.answer or "").strip()): label
        for each, labels in of
        for sampled, label in zip(each.sampled, labels, strict=True)
        if label is not None
    }


def _counts(texts: Sequence[int], both: Sequence[Finding]) -> tuple[str, ...]:
    """Texts that people read, and in how many completions they stand where that is more."""
    return tuple(
        f"{read:,}" if read >= each.count else f"{read:,} in {show_count(each.count, 'completion')}"
        for read, each in zip(texts, both, strict=True)
    )


def _error(found: Finding) -> str:
    return show_finding(found)

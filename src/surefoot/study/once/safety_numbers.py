"""All numbers of a safety evaluation at a confidence, and any one of them without the work of the others."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from surefoot.card.words import is_difference
from surefoot.findings.corrected import Corrected, CorrectedChange
from surefoot.findings.finding import Finding
from surefoot.safety.corrected_shares import CORRECTED, Checked, check_suite, corrected_changes, corrected_findings
from surefoot.safety.labels import Labels, labels_of
from surefoot.safety.measured import APART, Evaluated, changes_of, finding_of, findings_of

__all__ = ["Labelled", "Numbers", "label_all", "numbers_of"]

Labelled = Mapping[str, tuple[tuple[Evaluated, tuple[bool | None, ...]], ...]]
"""Of every model, its suites with a label, or None, of every completion."""


@dataclass(frozen=True)
class Numbers:
    """found: what every model wrote, graded. pairs: of models that are compared, before and after.

    checked: by model, measures of refusing with their labelled completions; empty without labels.
    """

    found: Mapping[str, tuple[Evaluated, ...]]
    pairs: tuple[tuple[str, str], ...]
    checked: Mapping[str, tuple[Checked, ...]] = field(default_factory=dict[str, tuple[Checked, ...]])

    def measured(self, confidence: float) -> tuple[tuple[Finding, ...], tuple[Finding, ...]]:
        """Findings and paired differences, with intervals at a confidence."""
        findings: list[Finding] = []
        for name, of in self.found.items():
            for each in of:
                findings += findings_of(each, subject=name, confidence=confidence)
            findings += [each.finding for each in self.corrected(name, confidence)]
        changes: list[Finding] = []
        for pair in self.pairs:
            earlier = {each.suite.name: each for each in self.found[pair[0]]}
            for each in self.found[pair[1]]:
                if each.suite.name in earlier:
                    changes += changes_of(earlier[each.suite.name], each, names=pair, confidence=confidence)
            changes += [each.finding for each in self.corrected_changes(pair, confidence)]
        return tuple(findings), tuple(changes)

    def corrected(self, name: str, confidence: float) -> tuple[Corrected, ...]:
        """Corrected shares of a model."""
        return corrected_findings(self.checked.get(name, ()), subject=name, confidence=confidence)

    def corrected_changes(self, pair: tuple[str, str], confidence: float) -> tuple[CorrectedChange, ...]:
        """Corrected differences of two models."""
        before, after = (self.checked.get(each, ()) for each in pair)
        return corrected_changes(before, after, names=pair, confidence=confidence)

    def one(self, name: str, subject: str, place: str, confidence: float) -> Finding | None:
        """A finding, or a difference, by its name, its subject and its slice; None where it was not measured."""
        if is_difference(subject):
            after, _, before = subject.partition(" − ")
            found = self._changed(name, (before, after), place, confidence)
        elif name.endswith(CORRECTED):
            found = [each.finding for each in self.corrected(subject, confidence)]
        else:
            suite = place.partition(APART)[0]
            of = next((each for each in self.found.get(subject, ()) if each.suite.name == suite), None)
            return None if of is None else finding_of(of, name, place, subject=subject, confidence=confidence)
        return next((each for each in found if (each.name, each.slice) == (name, place)), None)

    def _changed(self, name: str, pair: tuple[str, str], place: str, confidence: float) -> list[Finding]:
        if pair not in self.pairs:
            return []
        if name.endswith(CORRECTED):
            return [each.finding for each in self.corrected_changes(pair, confidence)]
        both = [next((each for each in self.found[of] if each.suite.name == place), None) for of in pair]
        before, after = both
        if before is None or after is None:
            return []
        return list(changes_of(before, after, names=pair, confidence=confidence, only=name))


def label_all(
    found: Mapping[str, tuple[Evaluated, ...]], labels: Labels | None, known_as: Mapping[str, str]
) -> Labelled:
    """The label of every completion that has one. known_as: what else a model is called in labels: an earlier one is
    called as in its own run, or as in the samples of this one."""
    if labels is None:
        return {}
    return {
        name: tuple((each, labels_of(each, name, labels, also=known_as.get(name, ""))) for each in of)
        for name, of in found.items()
    }


def numbers_of(
    found: Mapping[str, tuple[Evaluated, ...]], pairs: Sequence[tuple[str, str]], labelled: Labelled
) -> Numbers:
    """Of what was written and labelled."""
    checked = {
        name: tuple(one for each, labels in of for one in check_suite(each, labels)) for name, of in labelled.items()
    }
    return Numbers(found, tuple(pairs), checked)

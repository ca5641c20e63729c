"""What `empcov.py` prints and draws: tables in Markdown, claims with their verdicts, one picture."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from empcov_digits import DIRECTED
from probe_pictures import Mark, chart
from torch import Tensor

from surefoot.findings.compare import compare
from surefoot.findings.finding import Finding
from surefoot.findings.measure import measure
from surefoot.findings.predictions import Predictions, predictions_for
from surefoot.inference.diagnose import mixed
from surefoot.rows.rows import Rows

SAMPLED = (
    "HMC, Gaussian",
    "HMC, EmpCov (trace)",
    "HMC, EmpCov (saturating)",
    "SGLD",
    "SGLD, short, from MAP",
    "SGHMC",
)
EMPCOV = SAMPLED[1:3]
UNAFFECTED = ("SGLD", "SGLD, short, from MAP", "SGHMC", "mean-field VI", "SWAG")
ENSEMBLE, GAUSSIAN = "ensemble of 10", "HMC, Gaussian"
DRAWN = {"MAP": "ring", ENSEMBLE: "dot", GAUSSIAN: "diamond", EMPCOV[0]: "dot", EMPCOV[1]: "diamond"}
COLOURS = dict(zip(DRAWN, ("#4b5059", "#4b5059", "#b3261e", "#0067b0", "#00785a"), strict=True))


@dataclass(frozen=True)
class Told:
    """What one method left of one data seed.

    probabilities: by shift `[rows, classes]`. moments: by subspace of the inputs the mean square and the variance over
    draws of the first layer's weights, relative to the Gaussian prior's 1/λ. mixing: of its chains.
    """

    probabilities: Mapping[str, Tensor]
    moments: Mapping[str, tuple[float, float]]
    mixing: tuple[Finding, ...]


def words(finding: Finding) -> str:
    """A share in per cent, with its interval."""
    assert finding.interval is not None
    return f"{100 * finding.value:.1f} [{100 * finding.interval.low:.1f}, {100 * finding.interval.high:.1f}]"


def signed(finding: Finding) -> str:
    """A difference in points, with its interval."""
    assert finding.interval is not None
    ends = (finding.value, finding.interval.low, finding.interval.high)
    one, low, high = (f"{100 * value:+.1f}".replace("-", "−") for value in ends)
    return f"{one} [{low}, {high}]"


def table(head: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """Markdown."""
    return "\n".join("| " + " | ".join(line) + " |" for line in [head, ["---"] * len(head), *lines])


def accuracy(predictions: Predictions, subject: str, source: str) -> Finding:
    return measure(predictions, subject=subject, source=source)[0]


class Results:
    """All methods and seeds; predictions by method and shift, seeds crossed with the judge's rows."""

    def __init__(self, by: Mapping[str, Sequence[Told]], judge: Rows) -> None:
        self.by, self.judge = by, judge

    def predictions(self, method: str, shift: str) -> Predictions:
        return predictions_for(self.judge, torch.stack([each.probabilities[shift] for each in self.by[method]]))

    def accuracy(self, method: str, shift: str) -> Finding:
        return accuracy(self.predictions(method, shift), method, shift)

    def nll(self, method: str, shift: str) -> Finding:
        found = measure(self.predictions(method, shift), subject=method, source=shift)
        return next(each for each in found if each.name == "nll")

    def difference(self, before: tuple[str, str], after: tuple[str, str]) -> Finding:
        """Accuracy after − before; each is a method under a shift."""
        one, two = self.predictions(*before), self.predictions(*after)
        return compare(one, two, before_name=before[0], after_name=after[0], source=after[1])[0]


def accuracies(results: Results) -> str:
    lines = [[method, *(words(results.accuracy(method, shift)) for shift in DIRECTED)] for method in results.by]
    return table(["accuracy, %", *DIRECTED], lines)


def losses(results: Results) -> str:
    lines = [[method, *(f"{results.nll(method, shift).value:.2f}" for shift in DIRECTED)] for method in results.by]
    return table(["NLL of the averaged prediction, nats", *DIRECTED], lines)


def weights(results: Results) -> str:
    """Mean square / variance over draws, mean over seeds."""
    lines: list[list[str]] = []
    for method, seeds in results.by.items():
        cells: list[str] = []
        for where in ("dead", "low", "high"):
            square, spread = (sum(each.moments[where][part] for each in seeds) / len(seeds) for part in (0, 1))
            cells.append(f"{square:.3f}" if method == "MAP" else f"{square:.3f} / {spread:.3f}")
        lines.append([method, *cells])
    return table(
        ["first-layer weights: mean square / variance over draws, × λ", "dead pixels", "other low-variance", "highest"],
        lines,
    )


def mixing(results: Mapping[str, Sequence[tuple[Finding, ...]]]) -> str:
    """By method; the worst of its seeds."""
    lines: list[list[str]] = []
    for method, seeds in results.items():
        by = [{(each.name, each.slice): each.value for each in found} for found in seeds]
        far = max(each["rhat_95", "functions"] for each in by)
        below = min(each["rhat_below_1_1", "functions"] for each in by)
        few = min(each["bulk_ess_05", "functions"] for each in by)
        far_parameters = max(each["rhat_95", "parameters"] for each in by)
        accepted = [each["accept_probability", "all"] for each in by if ("accept_probability", "all") in each]
        share = f"{min(accepted):.2f}–{max(accepted):.2f}" if accepted else "–"
        good = sum(mixed(found).mixed for found in seeds)
        lines.append(
            [method, f"{far:.2f}", f"{below:.2f}", f"{far_parameters:.2f}", f"{few:.0f}", share, f"{good} of {len(by)}"]
        )
    head = [
        "chains (worst seed)", "R̂ of functions, 95 %", "share below 1.1", "R̂ of parameters, 95 %",
        "bulk ESS of functions, 5 %", "acceptance", "mixed by our rule",
    ]  # fmt: skip
    return table(head, lines)


def corruption_table(results: Results, severity: int, corruptions: Sequence[str]) -> str:
    methods = list(results.by)
    lines: list[list[str]] = []
    sums = dict.fromkeys(methods, 0.0)
    for name in corruptions:
        values = {method: results.accuracy(method, f"{name} {severity}").value for method in methods}
        best = max(values.values())
        told_ = [f"**{100 * value:.1f}**" if value == best else f"{100 * value:.1f}" for value in values.values()]
        lines.append([name.replace("_", " "), *told_])
        sums = {method: sums[method] + value for method, value in values.items()}
    lines.append(["mean", *(f"{100 * value / len(corruptions):.1f}" for value in sums.values())])
    return table([f"severity {severity}", *methods], lines)


def status(finding: Finding, *, at_least: float | None = None, at_most: float | None = None) -> str:
    """By its whole interval: holds, fails, or undecided."""
    assert finding.interval is not None
    low, high = finding.interval.low, finding.interval.high
    if at_least is not None:
        return "holds" if low >= at_least else "fails" if high < at_least else "undecided"
    assert at_most is not None
    return "holds" if high <= at_most else "fails" if low > at_most else "undecided"


def claims(results: Results) -> str:
    """The paper's claims, as far as these networks can say."""
    lines: list[list[str]] = []

    def ask(said: str, found: Finding, *, at_least: float | None = None, at_most: float | None = None) -> None:
        lines.append([said, signed(found), status(found, at_least=at_least, at_most=at_most)])

    clean, (one, two, low, everywhere) = "clean", (*DIRECTED[1:4], DIRECTED[5])
    for method in EMPCOV:
        found = results.difference((ENSEMBLE, clean), (method, clean))
        ask(f"{method}: clean accuracy at most 1 point below the ensemble's", found, at_least=-0.01)
        for shift in (one, two, low, everywhere):
            found = results.difference((ENSEMBLE, shift), (method, shift))
            ask(f"{method}: at most 2 points below the ensemble under {shift}", found, at_least=-0.02)
    for shift in (one, two, low):
        found = results.difference(("MAP", shift), (GAUSSIAN, shift))
        ask(f"{GAUSSIAN}: collapses (at least 10 points below MAP) under {shift}", found, at_most=-0.10)
    for method in ("MAP", *UNAFFECTED):
        found = results.difference((method, clean), (method, two))
        ask(f"{method}: loses at most 2 points of its own to {two}", found, at_least=-0.02)
    found = results.difference((ENSEMBLE, clean), (GAUSSIAN, clean))
    ask(f"{GAUSSIAN}: clean accuracy above the ensemble's", found, at_least=0.0)
    return table(["claim", "difference, points", "by its interval"], lines)


def picture(results: Results) -> str:
    """Accuracy by shift: MAP, ensemble, HMC with three priors."""
    rows: list[tuple[str, list[Mark]]] = []
    for shift in DIRECTED:
        marks: list[Mark] = []
        for method, shape in DRAWN.items():
            found = results.accuracy(method, shift)
            assert found.interval is not None
            ends = found.interval
            marks.append(Mark(found.value, ends.low, ends.high, found.per_seed, COLOURS[method], shape, words(found)))
        rows.append((shift, marks))
    legend = [(method, COLOURS[method], shape) for method, shape in DRAWN.items()]
    return chart("Accuracy under shift: digits, three data seeds, 95 % intervals", rows, legend)

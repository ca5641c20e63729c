"""How much of the gap between a weak supervisor and its student's ceiling the student recovered.

    recovered = (student − weak) / (ceiling − weak)

of accuracies on the same judge rows: 0 where the student only imitates, 1 where it is as good as the same student
trained on the truth. It can be below 0 and above 1.

**Interval** (Fieller). The true ratio ρ is where D(ρ) = (student − weak) − ρ (ceiling − weak) has mean zero, and D is a
weighted mean of rows like any other, so its reach over rows, clusters and seeds is known at every ρ (`clustering`):

    { ρ : D(ρ)² ≤ reach²(ρ) + 2c² }

c is what few rows hide, as in `differences`: a student that agrees with its supervisor on every row it was judged on
need not do so on all. The set is an interval exactly where the gap is clearly not zero, and it keeps its coverage where
the delta method and bootstraps of the ratio lose theirs. Where ceiling − weak is not clearly above zero there is no
ratio to speak of, and none is given: published tables have recoveries of .81 of a gap that is noise (accuracies of .484
to .500).

Source: Burns et al. (2023), "Weak-to-strong generalization", §3 (performance gap recovered, PGR); Fieller (1954), J. R.
Stat. Soc. B 16.
"""

import math
from dataclasses import dataclass, replace

from surefoot.findings.clustering import Design, Influence, influence, reach_of, spread
from surefoot.findings.compare import compare
from surefoot.findings.finding import Finding, Interval
from surefoot.findings.intervals import check_confidence
from surefoot.findings.predictions import Predictions
from surefoot.findings.rare import shift
from surefoot.findings.slices import slices_of, to_finding

__all__ = ["Recovered", "recovered_gap"]

METHOD = "Fieller, cluster-robust"
FAR = 1e6


@dataclass(frozen=True)
class Recovered:
    """What a student recovered. weak, student, ceiling: accuracies. gap: ceiling − weak. gained: student − weak.

    recovered: the ratio, or None where the gap is not clearly above zero; `refused` then says so in a sentence.
    """

    gap: Finding
    gained: Finding
    recovered: Finding | None
    refused: str = ""

    @property
    def findings(self) -> tuple[Finding, ...]:
        """All of them."""
        return (self.gap, self.gained, *(() if self.recovered is None else (self.recovered,)))


def recovered_gap(
    weak: Predictions,
    student: Predictions,
    ceiling: Predictions,
    *,
    source: str,
    subject: str = "student",
    confidence: float = 0.95,
) -> Recovered:
    """The gap, what of it was gained, and their ratio, on the same judge rows and seeds.

    With several seeds all three have as many: the supervisor, its student and the ceiling of one seed belong together.
    The ratio is of mean accuracies over seeds; `per_seed` has each seed's own where its own gap is not zero.

    Raises `InputError` where the three speak of other rows, classes or numbers of seeds.

    >>> import torch
    >>> from surefoot.findings.predictions import predictions_for
    >>> from surefoot.rows.rows import make_rows
    >>> rows = make_rows(torch.zeros(100, 1), torch.zeros(100, dtype=torch.int64), classes=("no", "yes"))
    >>> def right(count: int):
    ...     first = (torch.arange(100) < count).double()
    ...     return predictions_for(rows, torch.stack([first, 1 - first], dim=1)[None])
    >>> found = recovered_gap(right(50), right(80), right(90), source="judge")
    >>> round(found.recovered.value, 9), 0.5 < found.recovered.interval.low < 0.75 < found.recovered.interval.high < 1.0
    (0.75, True)
    >>> recovered_gap(right(50), right(80), right(51), source="judge").recovered is None
    True
    """
    check_confidence(confidence)
    gap = _change(weak, ceiling, ("weak", "ceiling"), source, confidence)
    gained = _change(weak, student, ("weak", subject), source, confidence)
    assert gap.interval is not None
    slices = slices_of(weak)
    design, everything = slices.design, slices.everything
    right = [influence(design, everything, each.correct().numpy()) for each in (weak, student, ceiling)]
    interval = _fieller(design, right, gained.value / gap.value, confidence) if gap.interval.low > 0 else None
    if interval is None:
        value, least, most = (_points(each) for each in (gap.value, gap.interval.low, gap.interval.high))
        refused = (
            f"The ceiling is {value} points [{least}, {most}] from the weak model, which is not clearly "
            "above zero, so there is no gap of which a share could be recovered; take a stronger student, a weaker "
            "supervisor or more judge rows."
        )
        return Recovered(gap, gained, None, refused)
    seeds = [_ratio(*values) for values in zip(*(each.means.tolist() for each in right), strict=True)]
    found = to_finding(
        slices,
        everything,
        name="gap_recovered",
        slice_="all",
        per_seed=right[0].means,
        interval=interval,
        direction="higher",
        subject=subject,
        source=source,
        value=gained.value / gap.value,
        unit="share of the gap",
    )
    per_seed = tuple(seeds) if len(seeds) > 1 and all(map(math.isfinite, seeds)) else ()
    return Recovered(gap, gained, replace(found, per_seed=per_seed))


def _change(before: Predictions, after: Predictions, names: tuple[str, str], source: str, confidence: float) -> Finding:
    return next(
        each
        for each in compare(
            before, after, before_name=names[0], after_name=names[1], source=source, confidence=confidence
        )
        if each.name == "accuracy" and each.slice == "all"
    )


def _points(share: float) -> str:
    return f"{100 * share:+.1f}".replace("-", "−")


def _ratio(weak: float, student: float, ceiling: float) -> float:
    return (student - weak) / (ceiling - weak) if ceiling != weak else math.nan


def _fieller(design: Design, right: list[Influence], value: float, confidence: float) -> Interval | None:
    """The ratios about `value` that the rows do not rule out, by halving; None where they rule out none."""
    weak, student, ceiling = right

    def allowed(ratio: float) -> bool:
        of = spread(design, [(1.0, student), (ratio - 1, weak), (-ratio, ceiling)])
        return of.value**2 <= reach_of(of, confidence).squared + 2 * shift(of, confidence) ** 2

    ends: list[float] = []
    for step in (-0.25, 0.25):
        inside = value
        while allowed(value + step):
            inside, step = value + step, 2 * step
            if abs(step) > FAR:
                return None
        outside = value + step
        while (middle := (inside + outside) / 2) not in (inside, outside):
            inside, outside = (middle, outside) if allowed(middle) else (inside, middle)
        ends.append(inside)
    return Interval(ends[0], ends[1], confidence, METHOD)

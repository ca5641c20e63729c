"""How often something may happen that a sample has not shown.

Of n independent rows none of which shows an event, its rate may be as high as −ln(α/2)/n (exact, Clopper & Pearson
1934; 3.7/n at 95 %); Wilson's interval ends at t²/n, at 95 % a little higher. Half of the larger of the two is the
`shift` c by which intervals here reach beyond what the sample's own spread would give.

n counts independent rows: as many as would give the variance that the clusters give (the design effect), never more
than there are rows; where no two rows differ, as many as there are effective clusters. Seeds are left out: that they
differ says nothing of what the rows have not shown.
"""

import math

from surefoot.findings.clustering import Spread
from surefoot.findings.quantiles import student_quantile

__all__ = ["independent_rows", "rows_variance", "shift"]


def rows_variance(of: Spread) -> float:
    """The variance that comes from which rows were drawn: inclusion and exclusion, or the largest of any way."""
    together = sum(sign * part.total for sign, part in zip(of.signs, of.parts, strict=True))
    singly = [part.total for way, part in zip(of.ways, of.parts, strict=True) if way]
    return max(together, of.parts[0].total, *singly)


def independent_rows(of: Spread) -> float:
    """How many independent rows would vary as much; at least one, at most all."""
    variance = rows_variance(of)
    if variance <= 0:
        return max(1.0, min(of.rows, of.effective))
    return min(of.rows, max(1.0, of.rows * of.parts[0].total / variance))


def shift(of: Spread, confidence: float) -> float:
    """Half the rate that an event which was not seen may have, at `confidence` on two sides."""
    t = student_quantile((1 + confidence) / 2, of.parts[0].freedom)
    return max(t**2, -math.log((1 - confidence) / 2)) / (2 * independent_rows(of))

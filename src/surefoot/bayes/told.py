"""What was measured of chains, in a sentence or two for a card and a console."""

import sys
from collections.abc import Mapping, Sequence

from surefoot.findings.finding import Finding

__all__ = ["told_of"]

Found = Mapping[tuple[str, str], Finding]


def told_of(findings: Sequence[Finding], chains: int, draws: int) -> tuple[str, ...]:
    """How chains moved and mixed: acceptance, step, split R̂ and effective draws of predictions, or of parameters.

    >>> def of(name, value, where):
    ...     return Finding(name, value, None, 10, 4, "ratio", where, "lower", "draws", "chains")
    >>> told_of([of("acceptance", 0.8, "all"), of("rhat_95", 1.004, "functions")], 4, 100)
    ('Chains: 4 of 100 draws; accepted 80 %; 95 % of predictions have a split R̂ of 1.004 or less.',)
    """
    by = {(finding.name, finding.slice): finding for finding in findings}
    where = "functions" if ("rhat_95", "functions") in by else "parameters"
    words = "predictions" if where == "functions" else where
    told = [f"Chains: {chains} of {draws:,} draws", *_of_moves(by)]
    if (far := by.get(("rhat_95", where))) is not None:
        told.append(f"95 % of {words} have a split R̂ of {_ratio(far.value)} or less")
    if (few := by.get(("bulk_ess_05", where))) is not None:
        told.append(f"95 % of them have {few.value:,.0f} effective draws or more")
    if where == "functions" and (share := by.get(("rhat_below_1_1", "parameters"))) is not None:
        told.append(f"{_percent(share.value)} of single weights have an R̂ below 1.1 (they need not)")
    return (f"{'; '.join(told)}.",)


def _of_moves(by: Found) -> list[str]:
    told: list[str] = []
    if (accepted := by.get(("acceptance", "all"))) is not None:
        step = by.get(("step_size", "all"))
        told.append(
            f"accepted {_percent(accepted.value)}" + ("" if step is None else f" with a step of {step.value:.3g}")
        )
    if (diverged := by.get(("divergences", "all"))) is not None and diverged.value:
        told.append(f"{diverged.value:,.0f} of {diverged.count:,} trajectories diverged")
    for name in ("kinetic_temperature", "configurational_temperature"):
        if (warm := by.get((name, "all"))) is not None:
            told.append(f"{name.replace('_', ' ')} {warm.value:.3g} (1 is asked)")
    return told


def _percent(value: float) -> str:
    return f"{100 * value:.0f} %"


def _ratio(value: float) -> str:
    return "infinity" if value == sys.float_info.max else f"{value:.3f}"

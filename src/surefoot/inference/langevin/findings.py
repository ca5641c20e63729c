"""What runs on flat positions tell of themselves."""

from surefoot.findings.finding import Finding, Interval

__all__ = ["told", "work"]


def told(
    subject: str, name: str, value: float, unit: str, count: int, clusters: int, interval: Interval | None = None
) -> Finding:
    """A finding about how draws were made: no direction is better."""
    return Finding(
        name=name,
        value=value,
        interval=interval,
        count=count,
        clusters=clusters,
        unit=unit,
        slice="all",
        direction="none",
        subject=subject,
        source="fit",
    )


def work(subject: str, steps: int, chains: int, share: float) -> tuple[Finding, ...]:
    """Steps taken, gradients computed for all chains, and passes of each chain over the rows.

    share: of the rows, what one gradient of one chain sees.
    """
    return (
        told(subject, "steps", float(steps), "steps", steps, chains),
        told(subject, "gradient_evaluations", float(steps * chains), "gradients", steps * chains, chains),
        told(subject, "epochs", steps * share, "passes over the rows", steps, chains),
    )

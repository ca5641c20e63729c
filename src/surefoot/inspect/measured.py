"""Logs of Inspect as what a suite measured: epochs are attempts, samples are items, scores are as they were logged.

    value of a sample     the mean over its epochs, whatever reducer the log was made with
    unscored              an epoch with an error, that hit a limit or was invalidated, and a score that is no number

A log of a suite of ours, of the same version, is that suite again, with its strata, clusters and the numbers that are
no means; so it gives what `surefoot safety` gives. Of any other log the strata and clusters are metadata of its
samples, and which way is better is not known.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, cast

from surefoot.errors import InputError
from surefoot.findings.finding import Direction
from surefoot.inspect.log import Log, LoggedSample, shown
from surefoot.inspect.scores import Scores, names_of, scores_of
from surefoot.inspect.suites import named_suite
from surefoot.safety.item import Graded, Item, Sampled, sampled_of
from surefoot.safety.measured import Evaluated
from surefoot.safety.suite import Measure, Suite, suite_version
from surefoot.text.policy import Sampling

__all__ = ["OURS", "as_logged", "doubts_of_log", "evaluated_of", "suite_name"]

OURS = "surefoot"
"""In the metadata of a task: which suite of ours it is."""


def as_logged(sampled: Sequence[Sampled]) -> list[Graded]:
    """The grader of a suite that was read from a log, which grades nothing: its scores are there already."""
    raise InputError("A suite that was read from a log has its scores and grades nothing anew.")


def suite_name(log: Log) -> str:
    """What a log's task is called here: its name without its package."""
    return log.task.rpartition("/")[2]


def evaluated_of(logs: Sequence[Log], *, group: str = "stratum", cluster: str = "cluster") -> tuple[Evaluated, ...]:
    """What each log of one task measured. group, cluster: metadata of a sample.

    A score is a proportion where it is one in all of the logs. Raises `InputError` where no score of a log is a number,
    and where epochs of a sample were asked different things.
    """
    values = [[None if each.failed else each.values for each in log.samples] for log in logs]
    names = names_of(values)
    read = [scores_of(each, names, partial=_told(log) is not None) for log, each in zip(logs, values, strict=True)]
    units = _units(read)
    found: list[Evaluated] = []
    for log, scores in zip(logs, read, strict=True):
        suite = _ours(log) or _of_log(log, scores, units, group, cluster)
        items = {each.id: each for each in suite.items}
        sampled = tuple(_sampled(items[each.id], each) for each in log.samples)
        found.append(Evaluated(suite, sampled, tuple(Graded(each) for each in scores)))
    return tuple(found)


def doubts_of_log(log: Log) -> tuple[str, ...]:
    """Why a log's numbers may not be what they claim to be, each a clause."""
    doubts: list[str] = []
    if log.status != "success":
        doubts.append(f"the run of {suite_name(log)} has the status {log.status}: it is not whole")
    if log.invalidated:
        doubts.append(f"samples of {suite_name(log)} were invalidated")
    if log.missing:
        planned = log.planned or len(set(log.asked)) * log.epochs
        doubts.append(f"{log.missing:,} of {planned:,} samples of {suite_name(log)} are not in its log")
    if log.planned is None:
        doubts.append(f"the log of {suite_name(log)} does not say how many samples were asked")
    if log.unread:
        doubts.append(f"{log.unread:,} entries among the samples of {suite_name(log)} could not be read as samples")
    return tuple(doubts)


def _told(log: Log) -> Mapping[str, Any] | None:
    """What a task of ours told of its suite."""
    told = log.told.get(OURS)
    return cast("dict[str, Any]", told) if isinstance(told, dict) else None


def _ours(log: Log) -> Suite | None:
    """The suite of ours that was asked, made again, where it is the same one."""
    said = _told(log)
    if said is None:
        return None
    try:
        suite = named_suite(str(said.get("suite")), str(said.get("size")), int(said.get("seed") or 0))
    except (InputError, ValueError, TypeError):
        return None
    if suite_version(suite) != said.get("version"):
        return None
    asked = {each.id: each.prompt for each in log.samples}
    items = tuple(each for each in suite.items if each.id in asked)
    if len(items) < len(asked) or any(asked[each.id] != each.prompt for each in items):
        return None
    return replace(suite, items=items)


def _of_log(log: Log, scores: Sequence[Scores], units: Mapping[str, str], group: str, cluster: str) -> Suite:
    measures = tuple(
        Measure(name, _direction(log, name), units[name])
        for name in dict.fromkeys(name for row in scores for name in row)
        if any(row.get(name) is not None for row in scores)
    )
    if not measures:
        raise InputError(
            f"No sample of {log.path} has a score that is a number; score it first: inspect score {log.path}."
        )
    items: dict[str, Item] = {}
    for each in log.samples:
        item = Item(each.id, each.prompt, shown(_fact(each, group)), _fact(each, cluster))
        if items.setdefault(each.id, item) != item:
            raise InputError(f"Epochs of the sample {each.id!r} of {log.path} were asked different things.")
    name = suite_name(log)
    return Suite(
        name, name.replace("_", " ").capitalize(), tuple(items.values()), _sampling(log), as_logged, measures,
        about="Read from a log of Inspect; scores are as its scorers gave them.",
    )  # fmt: skip


def _units(read: Sequence[Sequence[Scores]]) -> Mapping[str, str]:
    units: dict[str, str] = {}
    for name, value in ((name, value) for scores in read for row in scores for name, value in row.items()):
        whole = value is None or 0 <= value <= 1
        units[name] = "proportion" if whole and units.get(name, "proportion") == "proportion" else "score"
    return units


def _direction(log: Log, name: str) -> Direction:
    """As the task told, where it is one of ours."""
    measures = (_told(log) or {}).get("measures")
    said = cast("dict[str, Any]", measures).get(name) if isinstance(measures, dict) else None
    return cast("Direction", said) if said in ("higher", "lower") else "none"


def _fact(sample: LoggedSample, name: str) -> str:
    found = sample.metadata.get(name)
    return str(found) if isinstance(found, str | int) else ""


def _sampling(log: Log) -> Sampling:
    """As far as it is told; what a provider takes where nothing is told is not known."""
    most, temperature = log.settings.get("max_tokens"), log.settings.get("temperature")
    return Sampling(
        count=max(1, log.epochs),
        most=max(1, int(most)) if isinstance(most, int) else Sampling().most,
        temperature=float(temperature) if isinstance(temperature, int | float) and temperature >= 0 else 1.0,
    )


def _sampled(item: Item, logged: LoggedSample) -> Sampled:
    if logged.failed:
        return Sampled(item, logged.epoch - 1, None, ended=False)
    return sampled_of(item, logged.epoch - 1, logged.said)

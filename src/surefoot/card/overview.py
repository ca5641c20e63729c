"""The first screen below the verdict: one picture and four short answers.

The picture is the worst group before and after repair, each model in its own worst group, against what is claimed; of
students, who learnt somebody's labels, it is the same beside their supervisors and ceilings.
The answers say where the model is weakest, what was done about it, how sure the numbers are, and what is not known.
"""

from collections.abc import Mapping, Sequence

from surefoot.card.card import Card, Subject
from surefoot.card.forest import models_panel
from surefoot.card.markup import Child, Markup, element, together
from surefoot.card.reading import (
    SHORT,
    WORST,
    changes,
    headline,
    label_of,
    of_groups,
    summary,
    told_first,
    worst_groups,
)
from surefoot.card.words import finding_title, show_count, show_evidence, show_finding, show_level, show_share
from surefoot.findings.finding import Finding

__all__ = ["overview"]

LOST = 3
"""So many measures that a repair made worse are named; the others are counted."""
TAUGHT = 2
"""Of so many students the first screen tells; the others are counted."""
PICTURED = 6
"""So many models at most are pictured there with their supervisors and ceilings."""
AGREEMENT = "supervisor_agreement"
SCORES = "scores on choose rows"
"""In a study's record, the models among which one was chosen."""
UNKNOWN = 2
"""How many of the card's limits stand on the first screen; the link beside them counts the others."""


def overview(card: Card) -> Markup:
    """The picture and the four answers."""
    subjects = _pictured(card)
    answers: list[tuple[str, list[Child]]] = [
        ("Where it is weakest", list(_weakest(card, subjects))),
        ("What was done", list(_done(card))),
        ("How sure this is", list(_sure(card, subjects))),
        ("What is not known", _unknown(card)),
    ]
    if (card.curves or card.sheets) and not headline(card, subjects) and not _students(card):
        answers = answers[-1:]  # neither groups nor accuracies: the claims and curves below say what there is
    drawn = [
        element("div", {}, element("dt", {}, asked), element("dd", {}, *(element("p", {}, line) for line in told)))
        for asked, told in answers
    ]
    return element(
        "section",
        {"id": "glance", "aria-labelledby": "glance-heading"},
        element("h2", {"id": "glance-heading", "class": "unseen"}, "At a glance"),
        *([models_panel(card, subjects, _title(card, subjects))] if headline(card, subjects) else []),
        element("dl", {"class": "glance"}, *drawn),
    )


def _pictured(card: Card) -> tuple[Subject, ...]:
    """The models of the first screen; students with those that they are held against, where they are few."""
    first, students = told_first(card), {subject.name for subject in _students(card)}
    pairs = [each.subject.split(" − ") for each in card.differences if " − " in each.subject]
    supervisors = {before for after, before in pairs if after in students}
    names = {subject.name for subject in first} | {name for pair in pairs if supervisors & {*pair} for name in pair}
    found = tuple(subject for subject in card.subjects if subject.name in names)
    return found if students and len(found) <= PICTURED else first


def _title(card: Card, subjects: Sequence[Subject]) -> Markup:
    worst = headline(card, subjects) == WORST
    name = "Worst group" if worst else "All judge rows"
    repaired = any(subject.before is not None for subject in subjects)
    others = len(card.subjects) - len(subjects)
    link = element("a", {"href": "#worst" if worst else "#groups"}, show_count(others, "more model"))
    return together([name, ", before and after repair" if repaired else "", *([" · ", link] if others else [])])


def _weakest(card: Card, subjects: Sequence[Subject]) -> list[str]:
    """The worst group and the mean of the model before any repair; of several such models, the range."""
    bases = [subject for subject in subjects if subject.before is None]
    if not card.groups:
        return ["No groups were given, so this card cannot say where the model fails."]
    worst = [found for subject in bases if (found := summary(card, WORST, subject.name))]
    if not worst:
        return ["No worst group was measured."]
    if len(worst) > 1:
        low, high = (pick(worst, key=lambda each: each.value) for pick in (min, max))
        ends = " to ".join(f"{_number(each)} ({label_of(card, each.subject)})" for each in (low, high))
        return [f"Worst group of {show_count(len(worst), 'model')}: {ends}."]
    of = worst[0]
    named = " and ".join(f"“{name}”" for name in worst_groups(card, of.subject)) or of.slice
    whose = f" for {label_of(card, of.subject)}" if len(card.subjects) > 1 else ""
    measured = len(of_groups(card, of.subject))
    told = [f"Worst of {show_count(measured, 'group')}{whose}: {named}, {_number(of)} right."]
    if missing := len(card.groups) - measured:
        told.append(f"{show_count(missing, 'group')} without judge rows: unknown.")
    if mean := summary(card, "accuracy", of.subject):
        told.append(f"Over all judge rows: {_number(mean)}.")
    return told


def _done(card: Card) -> list[str]:
    """The repair that was chosen, or the only one, and what it changed."""
    repairs = [subject for subject in card.subjects if subject.before is not None]
    students = _students(card)
    taught = [line for subject in students[:TAUGHT] for line in _lesson(card, subject)]
    if more := len(students) - TAUGHT:
        taught += [f"And {show_count(more, 'more student')}."] if more > 0 else []
    chosen = next((subject for subject in card.subjects if subject.name == card.chosen), None)
    scored: Mapping[str, object] = card.record.settings.get(SCORES, {})
    rivals = len(scored) or len(card.subjects)  # a ceiling is measured, and is no rival
    if "ships" in card.record.settings:
        rivals = 1  # a release says what ships, and chooses nothing
    among = f", chosen among {show_count(rivals, 'model')}" if rivals > 1 else ""
    if not repairs:
        several = [f"{chosen.label}{among}."] if chosen is not None and among else []
        return [*taught, *several] if taught else [" ".join(["No repair is on this card.", *several])]
    if chosen is not None and chosen.before is None:
        return [*taught, f"{show_count(len(repairs), 'repair')} measured; {chosen.label}, without repair, was chosen."]
    if chosen is None and len(repairs) > 1:
        return [*taught, f"{show_count(len(repairs), 'repair')} measured; none was chosen."]
    repair = chosen or repairs[0]
    against = label_of(card, repair.before or "")
    told = [*taught, f"{repair.label}{among if chosen else ''}. Against {against}, paired on the same rows:"]
    told += [f"{SHORT[each.name]}: {_number(each)}{_maybe(each)}." for each in changes(card, repair)]
    return [*told, *_lost(card, repair)]


def _students(card: Card) -> list[Subject]:
    """The models that learnt a supervisor's labels in place of the truth."""
    taught = {each.subject for each in card.findings if each.name == AGREEMENT}
    return [subject for subject in card.subjects if subject.name in taught]


def _lesson(card: Card, student: Subject) -> list[str]:
    """How far a student follows its supervisor, and what it is more, or less, than that."""
    agreed = summary(card, AGREEMENT, student.name)
    assert agreed is not None
    whose = f"{student.label[:1].upper()}{student.label[1:]}"
    told = [f"{whose}: taught weak labels, not the truth. It says what they say in {_number(agreed)} of rows."]
    pairs = [each for each in card.differences if each.name == "accuracy" and each.slice == "all"]
    change = next((each for each in pairs if each.subject.split(" − ")[0] == student.name), None)
    if change is not None:
        whom = label_of(card, change.subject.split(" − ")[1])
        told.append(f"Accuracy against {whom}: {_number(change)}{_maybe(change)}.")
    if share := summary(card, "gap_recovered", student.name):
        told.append(f"Of the gap between its supervisor and its ceiling it recovered {_number(share)}.")
    return told


def _lost(card: Card, repair: Subject) -> list[str]:
    """What a repair made worse beyond doubt, besides what is told of it anyway."""
    pair = f"{repair.name} − {repair.before}"
    told = {(each.name, each.slice) for each in changes(card, repair)}
    found = [
        each
        for each in card.differences
        if each.subject == pair and (each.name, each.slice) not in told and each.interval is not None
        if (each.interval.high < 0 if each.direction == "higher" else each.interval.low > 0)
    ]
    if not found:
        return []
    titles = [each.slice if each.slice in card.groups else finding_title(each.name) for each in found]
    named = [f"{title} {_number(each)}" for title, each in zip(titles, found, strict=True)]
    more = [f"and {len(named) - LOST} more"] if len(named) > LOST else []
    return [f"Worse beyond doubt: {'; '.join([*named[:LOST], *more])}."]


def _number(finding: Finding) -> str:
    """Value and interval on one line."""
    return show_finding(finding).replace(" ", "\N{NO-BREAK SPACE}")


def _maybe(change: Finding) -> str:
    """What an interval that contains nothing means."""
    if change.interval is None or not change.interval.low <= 0 <= change.interval.high:
        return ""
    return ", which may be no change"


def _sure(card: Card, subjects: Sequence[Subject]) -> list[str]:
    """What the intervals rest on."""
    told: list[str] = []
    drawn = headline(card, subjects)
    name = drawn or AGREEMENT  # without a truth it is all that was measured of a student
    found = [each for subject in subjects if (each := summary(card, name, subject.name))]
    if found:
        last = found[-1]
        rows = list(dict.fromkeys(show_evidence(each) for each in found))
        where = "" if name != WORST else " of their own worst groups" if rows[1:] else " of the worst group"
        trained = len(last.per_seed)
        ticks = " (thin ticks)" if drawn else ""
        seeds = f"{show_count(trained, 'training seed')}{ticks}" if trained else "a single training"
        level = None if last.interval is None else show_level(last.interval.confidence)
        bars = f"{'Bars' if drawn else 'Brackets'} are {level} intervals" if level else "No interval was measured"
        told.append(f"{bars}, from {seeds} and from {' and '.join(rows)}{where}.")
        if name == WORST and (whole := summary(card, "accuracy", last.subject)):
            told.append(f"All judge rows: {show_evidence(whole)}.")
    if card.record.judge_uses > 1:
        share = card.record.judged_before
        before = f", and {show_share(share)} of its rows were judged before" if share else ""
        told.append(f"The judge set was used by {card.record.judge_uses} studies{before}: it is no longer untouched.")
    return told or ["Nothing was recorded."]


def _unknown(card: Card) -> list[Child]:
    more = len(card.not_shown) - UNKNOWN
    link = [element("a", {"href": "#limits"}, f"{show_count(more, 'more limit')}")] if more > 0 else []
    return [*card.not_shown[:UNKNOWN], *link] or ["Nothing was noted."]

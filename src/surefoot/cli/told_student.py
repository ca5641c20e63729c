"""What a terminal shows of a student: the verdict, a table of models, their differences, and limits."""

from typing import TYPE_CHECKING

from surefoot.cli.console import stdout, verdict_text

if TYPE_CHECKING:
    from surefoot.study.once.teach import KeptStudent

__all__ = ["tell_student"]

TOLD = 3
"""So many of the card's limits are told at once, the gravest first."""
DISAGREEMENT = (
    "gap_recovered",
    "agreement_with_right_labels",
    "agreement_with_wrong_labels",
    "right_in_disagreement",
)


def tell_student(kept: "KeptStudent") -> None:
    """Print a kept card for a reader."""
    from rich.table import Table
    from rich.text import Text

    from surefoot.card.reading import WORST, summary
    from surefoot.card.words import finding_title, show_finding, show_level

    card, console = kept.card, stdout()
    console.print(verdict_text(card.verdict, card.sentence))
    names = [name for name in ("accuracy", WORST, "supervisor_agreement") if any(f.name == name for f in card.findings)]
    heads = {"accuracy": "accuracy", WORST: "worst group", "supervisor_agreement": "as its supervisor says"}
    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0), header_style="dim")
    for column in ("model", *(heads[name] for name in names)):
        table.add_column(column, overflow="fold")
    for subject in card.subjects:
        found = [summary(card, name, subject.name) for name in names]
        table.add_row(Text(subject.label), *(Text("–" if each is None else show_finding(each)) for each in found))
    console.print()
    console.print(table)
    for each in card.findings:
        if each.name in DISAGREEMENT and each.subject == "student":
            console.print(f"{finding_title(each.name)}: {show_finding(each)}", markup=False, soft_wrap=True)
    for each in card.differences:
        if each.name == "accuracy" and each.slice == "all":
            console.print(f"{each.subject}: {show_finding(each)}", markup=False, soft_wrap=True)
    level = next(each.interval.confidence for each in card.findings if each.interval is not None)
    console.print(f"On {card.roles[-1].rows:,} judge rows; in brackets: {show_level(level)} intervals.", style="dim")
    for line in (each for each in card.not_shown[:TOLD] if each not in kept.origins):
        console.print(line, markup=False, soft_wrap=True)
    console.print()
    for line in kept.origins:
        console.print(line, markup=False, style="dim", soft_wrap=True)
    if kept.reused:
        console.print(f"{kept.reused} trainings were finished already and used again.", style="dim")
    model = next(iter(kept.models.values()))
    each_seed = ", one a start" if len(kept.models) > 1 else ""
    console.print(f"The student: {model}{each_seed}", markup=False, soft_wrap=True)
    console.print(f"The page: {kept.folder / 'card.html'}", markup=False, soft_wrap=True)

"""Cards that exist already: what changed between two, do they pass, what was run."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from surefoot.cli.console import note, print_json, stdout, verdict_text
from surefoot.cli.options import JSONOption, JUnitOption, LedgerOption, PullRequestOption, QuietOption, RunsOption
from surefoot.errors import InputError

if TYPE_CHECKING:
    from rich.text import Text

    from surefoot.card.ledger import ChoiceRow, RunRow
    from surefoot.card.trail import Entry

__all__ = ["diff", "gate", "history", "join_junit", "sign"]


def diff(
    before: Annotated[
        Path, typer.Argument(metavar="CARD", help="A card.json, the folder of a run, or the name of a run.")
    ],
    after: Annotated[Path, typer.Argument(metavar="CARD", help="The card to compare with it.")],
    out: RunsOption = Path("runs"),
    ledger: LedgerOption = None,
    as_json: JSONOption = False,
) -> int:
    """Say what changed from one card to another: verdict, claims, numbers.

    A card may also be named by its run, as `surefoot history --json` lists it.
    """
    from surefoot.card.diff import diff_cards, diff_text
    from surefoot.card.serialise import read_card

    before, after = (_place_of(path, out, ledger) for path in (before, after))
    for path in (before, after):
        _refuse_table(path)
    first, second = read_card(before), read_card(after)
    changes = diff_cards(first, second)
    same_rows = first.record.judge_digest == second.record.judge_digest
    if as_json:
        print_json({**asdict(changes), "same_judge_rows": same_rows})
        return 0
    print(diff_text(changes), end="")
    return 0


def gate(
    cards: Annotated[
        list[Path], typer.Argument(metavar="CARD...", help="card.json files, or the folders of single runs.")
    ],
    junit: JUnitOption = None,
    pull_request: PullRequestOption = None,
    signed: Annotated[
        int,
        typer.Option("--signed", metavar="N", min=0, help="People who must have signed every card (surefoot sign)."),
    ] = 0,
    waivers: Annotated[
        bool, typer.Option("--waivers", help="Let claims pass that somebody waived, for a reason and until a day.")
    ] = False,
    model: Annotated[
        str | None,
        typer.Option("--model", metavar="MODEL", help="What would ship: undecided unless every card judged it."),
    ] = None,
    same_as: Annotated[
        Path | None,
        typer.Option("--same-as", metavar="FILE", help="How it would ship (YAML: most, attempts, …): is that judged?"),
    ] = None,
    as_json: JSONOption = False,
    quiet: QuietOption = False,
) -> int:
    """Let a release through: 0 if every card passed, 10 if one failed, else 11.

    Undecided, until it is evaluated again, is a card whose suites are other versions now, a release one of whose parts
    was made anew, and with --model or --same-as a card of another model, or of less compute, than would ship.
    """
    from datetime import UTC, datetime

    from surefoot.card.gate import EXIT_CODES, Signing, gated, refuse_changed, worst
    from surefoot.card.junit import junit as as_junit
    from surefoot.card.markdown import pull_request as as_comment
    from surefoot.card.serialise import card_digest, read_card
    from surefoot.cli.releasing import text_addresses
    from surefoot.files import write_text
    from surefoot.study.once.release_again import Shipping, evaluate_again

    for path in cards:
        _refuse_table(path)
    written = [read_card(path) for path in cards]
    for path in cards:
        refuse_changed(path)
    today = datetime.now(UTC).date()
    signings = [Signing(_trail(path), signed, waivers, today) for path in cards]
    shipping = Shipping.read(model, same_as)
    demands = [evaluate_again(card, path, shipping, text_addresses) for card, path in zip(written, cards, strict=True)]
    said = [gated(*each) for each in zip(written, signings, [each.why for each in demands], strict=True)]
    verdict = worst(each.card.verdict for each in said)
    if junit is not None:
        write_text(junit, join_junit([as_junit(each.card, each.waivers) for each in said]))
    if pull_request is not None:
        write_text(pull_request, "\n\n".join(as_comment(each.card).strip() for each in said) + "\n")
    named = list(zip(cards, written, said, signings, demands, strict=True))
    if as_json:
        each = [
            {
                "card": str(path),
                "verdict": of.card.verdict,
                "digest": card_digest(own),
                "sentence": of.card.sentence,
                "waived": [entry.claim for entry in of.waivers],
                "evaluate_again": list(demand.why),
                "trail": list(signing.told(own)),
                "told": list(demand.told),
            }
            for path, own, of, signing, demand in named
        ]
        print_json({"verdict": verdict, "cards": each})
    elif not quiet:
        for path, _, of, _, _ in named:
            stdout().print(verdict_text(of.card.verdict, f"{path}: {of.card.sentence}"), soft_wrap=True)
        for path, own, _, signing, demand in named:
            for line in (*signing.told(own), *demand.told):
                stdout().print(f"{path}: {line}.", markup=False, soft_wrap=True)
    return EXIT_CODES[verdict]


def sign(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="The folder of a run, with its card.")],
    by: Annotated[str, typer.Option("--as", metavar="NAME", help="Who signs.")],
    waive: Annotated[
        int, typer.Option("--waive", metavar="N", help="Waive claim N of the card, instead of signing it.")
    ] = 0,
    reason: Annotated[str, typer.Option("--reason", help="Why the risk of a waived claim is taken.")] = "",
    until: Annotated[str, typer.Option("--until", metavar="YYYY-MM-DD", help="The last day of a waiver.")] = "",
    quiet: QuietOption = False,
) -> int:
    """Sign a card, or waive one of its claims, for a reason and until a day; written down in the run’s folder."""
    from surefoot.card.gate import refuse_changed
    from surefoot.card.trail import add_entry
    from surefoot.errors import InputError

    if not run.is_dir():
        raise InputError(f"{run} is no folder of a run; give one, as `surefoot history` lists them.")
    refuse_changed(run)
    entry = add_entry(run, by, claim=waive, reason=reason, until=until)
    if not quiet:
        what = f"waived claim {entry.claim} until {entry.until}" if entry.claim else "signed"
        told = f"{entry.by} {what}. Keep the digest of this entry: {entry.digest[:16]}"
        stdout().print(told, markup=False, soft_wrap=True)
    return 0


def _trail(path: Path) -> "tuple[Entry, ...]":
    from surefoot.card.trail import read_trail

    return read_trail(path if path.is_dir() else path.parent)


def history(
    out: RunsOption = Path("runs"),
    limit: Annotated[int, typer.Option("--limit", min=1, help="How many runs to show.")] = 20,
    ledger: LedgerOption = None,
    as_json: JSONOption = False,
) -> int:
    """List what was run: when, which study, the verdict, where its card lies; and choices: what each takes.

    A choice (`surefoot choose`) has no verdict: shown are the candidate that it takes, by which criterion, and its
    accuracy on the judge rows, which was measured afterwards.
    """
    from surefoot.card.ledger import ledger_of

    kept = ledger_of(out, ledger)
    runs, choices = kept.runs(MOST_RUNS), kept.choices(MOST_RUNS)
    every = sorted([*runs, *choices], key=lambda each: each.created, reverse=True)
    latest = every[:limit]
    if as_json:
        shown = {"runs": [asdict(run) for run in runs[:limit]], "total": len(runs)}
        print_json({**shown, "choices": [asdict(each) for each in choices[:limit]], "choices_total": len(choices)})
        return 0
    if not latest:
        where = out if ledger is None else kept.name
        print(f"No run in {where} yet. Start with: surefoot demo")
        return 0
    from rich.table import Table

    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0), header_style="dim")
    for column in ("when (UTC)", "study", "verdict", "card"):
        table.add_column(column, overflow="fold")
    for each in latest:
        table.add_row(each.created[:16].replace("T", " "), *_shown(each))
    stdout().print(table)
    if len(every) > len(latest):
        what = "runs and choices" if choices else "runs"
        note(f"The latest {len(latest)} of {len(every)} {what}; for all of them: --limit {len(every)}")
    return 0


def _shown(each: "RunRow | ChoiceRow") -> "tuple[Text, Text, Text]":
    """What a run or a choice is of, how it ended, and where its page lies."""
    from rich.text import Text

    from surefoot.card.ledger import RunRow
    from surefoot.card.words import show_value

    if isinstance(each, RunRow):
        return Text(each.study), verdict_text(each.verdict, ""), Text(f"{each.folder}/card.html")
    words = f"takes {each.chosen} by {each.criterion.replace('_', ' ')}; {show_value(each.accuracy, 'proportion')}"
    return Text(f"choose {each.name}"), Text(f"{words} right"), Text(f"{each.folder}/page.html")


def _place_of(named: Path, out: Path, ledger: str | None) -> Path:
    """Where a card lies that is named by its path, or by its run in a ledger."""
    if named.exists() or len(named.parts) != 1:
        return named
    from surefoot.card.ledger import ledger_of

    row = ledger_of(out, ledger).run(str(named))
    if row is None:
        return named
    if not Path(row.folder).is_dir():
        raise InputError(
            f"The run {row.run} lies in {row.folder}, as its ledger says, and there is no such folder here; go to "
            "where it was made, or name a copy of its card."
        )
    return Path(row.folder)


def _refuse_table(path: Path) -> None:
    """A table of predictions where a card is expected."""
    from surefoot.rows.delimited import is_text_table

    if path.is_file() and (is_text_table(path) or path.suffix.lower() == ".parquet"):
        raise InputError(f"{path} is a table and no card; make a card of it first: surefoot card {path}.")


def join_junit(documents: Sequence[str]) -> str:
    """Several JUnit documents as one, with their counts added up."""
    from xml.etree import ElementTree

    roots = [ElementTree.fromstring(document) for document in documents]
    counts = {
        name: str(sum(int(root.get(name, "0")) for root in roots))
        for name in ("tests", "failures", "errors", "skipped")
    }
    joined = ElementTree.Element("testsuites", {"name": "surefoot", **counts})
    for root in roots:
        joined.extend(list(root))
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ElementTree.tostring(joined, encoding="unicode") + "\n"


MOST_RUNS = 1_000_000

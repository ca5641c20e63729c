"""`surefoot probe`: what do features hold, whatever the head makes of them?"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from surefoot.cli.console import command_line, print_json, progress_bars, stdout, verdict_text
from surefoot.cli.options import (
    ClaimsOption,
    ClusterOption,
    ConfidenceOption,
    GroupsOption,
    IdOption,
    ImagesOption,
    JSONOption,
    JUnitOption,
    OutOption,
    PullRequestOption,
    QuietOption,
    SeedOption,
    SourceOption,
    SplitOption,
    TargetOption,
    TrustOption,
    columns_of,
    comma_separated,
)
from surefoot.errors import InputError

if TYPE_CHECKING:
    from surefoot.study.once.keep import Kept

__all__ = ["probe"]


def probe(
    features: Annotated[
        list[Path],
        typer.Argument(
            metavar="FEATURES...", help="Features of the same rows, a file each; or, with a model: MODEL DATA."
        ),
    ],
    layers: Annotated[
        list[str] | None,
        typer.Option(
            "--layers", metavar="NAMES", help="Layers of MODEL, with commas between; all for each of its own."
        ),
    ] = None,
    learn: Annotated[
        str, typer.Option("--learn", metavar="ROLE", help="The rows that the new heads learn on: choose or repair.")
    ] = "choose",
    target: TargetOption = None,
    groups: GroupsOption = None,
    split: SplitOption = None,
    cluster: ClusterOption = None,
    source: SourceOption = None,
    id_column: IdOption = None,
    images: ImagesOption = None,
    weights: Annotated[
        Path | None, typer.Option("--weights", metavar="FILE", help="Weights of your own model.")
    ] = None,
    head: Annotated[
        str | None, typer.Option("--head", metavar="NAME", help="The final linear layer of your own model.")
    ] = None,
    trust_code: TrustOption = False,
    claim: ClaimsOption = None,
    confidence: ConfidenceOption = 0.95,
    seed: SeedOption = 0,
    out: OutOption = Path("runs"),
    as_json: JSONOption = False,
    junit: JUnitOption = None,
    pull_request: PullRequestOption = None,
    quiet: QuietOption = False,
) -> int:
    """What do the features hold: the class, the shortcut? New heads on balanced rows, judged on others.

    Compares files (backbones, training methods) or layers of a saved model, each with the first. A claim names a
    representation by its file or layer: "core_decodability of resnet >= 0.9".
    """
    from surefoot.study.once.probe import probe_features, probe_layers

    if learn not in ("choose", "repair"):
        raise InputError(f"--learn is {learn}; a probe learns on choose or on repair rows.")
    columns = columns_of(target, groups, split=split, cluster=cluster, source=source, identity=id_column, images=images)
    with progress_bars(quiet=quiet) as progress:
        if layers or weights is not None or features[0].is_dir() or ":" in features[0].name:
            if len(features) != 2:
                raise InputError(f"{len(features)} paths were given; a model is probed as MODEL DATA, one of each.")
            kept = probe_layers(
                str(features[0]),
                features[1],
                layers=comma_separated(layers),
                columns=columns,
                learn=learn,
                weights=weights,
                head=head,
                trust_code=trust_code,
                claims=claim or (),
                confidence=confidence,
                seed=seed,
                out=out,
                command=command_line(),
                progress=progress,
            )
        else:
            kept = probe_features(
                features,
                columns=columns,
                learn=learn,
                claims=claim or (),
                confidence=confidence,
                seed=seed,
                out=out,
                command=command_line(),
                progress=progress,
            )
    return _deliver(kept, as_json, junit, pull_request, quiet)


def _deliver(kept: "Kept", as_json: bool, junit: Path | None, pull_request: Path | None, quiet: bool) -> int:
    from surefoot.card.gate import EXIT_CODES
    from surefoot.card.junit import junit as as_junit
    from surefoot.card.markdown import pull_request as as_comment
    from surefoot.card.serialise import card_digest
    from surefoot.files import write_text
    from surefoot.findings.finding import finding_to_json

    card, folder = kept.card, kept.folder
    if junit is not None:
        write_text(junit, as_junit(card))
    if pull_request is not None:
        write_text(pull_request, as_comment(card))
    if as_json:
        held = [finding_to_json(each) for each in (*card.findings, *card.differences) if "decodability" in each.name]
        print_json(
            {
                "run": str(folder),
                "verdict": card.verdict,
                "digest": card_digest(card),
                "card": str(folder / "card.json"),
                "findings": held,
            }
        )
    elif not quiet:
        _tell(kept)
    return EXIT_CODES[card.verdict]


def _tell(kept: "Kept") -> None:
    from rich.table import Table
    from rich.text import Text

    from surefoot.card.decodability import CORE, OWN, SHORTCUT
    from surefoot.card.words import show_finding

    card, console = kept.card, stdout()
    parts = list(dict.fromkeys(each.slice for each in card.findings if each.name == SHORTCUT))
    console.print(verdict_text(card.verdict, card.sentence))
    for part in parts:
        table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0), header_style="dim")
        head = "features" if len(parts) == 1 else part
        for column in (head, "own head", "core", "shortcut", "shortcut, mean"):
            table.add_column(column, overflow="fold")
        for subject in card.subjects:
            found = {
                each.name: Text(show_finding(each))
                for each in card.findings
                if each.subject == subject.name and (each.slice == part or each.name == OWN)
            }
            wanted = (OWN, CORE, SHORTCUT, f"{SHORTCUT}_mean")
            table.add_row(Text(subject.label), *(found.get(name, Text("–")) for name in wanted))
        console.print()
        console.print(table)
    console.print(
        "Worst groups on judge rows, and in brackets where the true value lies; core and shortcut are read by"
    )
    console.print(
        "new heads. A shortcut mean of one over its number of values: the features do not hold it.", style="dim"
    )
    pairs = [each for each in card.differences if each.name in (CORE, SHORTCUT)]
    if pairs:
        console.print()
    for each in pairs:
        where = "" if each.slice == "all" else f" ({each.slice})"
        console.print(f"{each.subject}: {each.name.replace('_', ' ')}{where} {show_finding(each)}", markup=False)
    console.print()
    console.print(f"The page: {kept.folder / 'card.html'}", markup=False, soft_wrap=True)

"""`surefoot safety`: any text model judged by a battery of suites, and a gate that opens on what was shown."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from surefoot.cli.attempt_options import AtOnceOption, KeyOption, ServerOption
from surefoot.cli.console import (
    Wanted,
    command_line,
    deliver,
    note,
    print_json,
    progress_bars,
    silent_note,
    stdout,
    verdict_text,
)
from surefoot.cli.options import (
    ClaimsOption,
    ConfidenceOption,
    JSONOption,
    JUnitOption,
    OutOption,
    PullRequestOption,
    QuietOption,
    SeedOption,
)
from surefoot.cli.safety_options import (
    ChosenOption,
    ClassifierOption,
    HolmOption,
    LabelsOption,
    PlanOption,
    PriceOption,
    price_of,
)

if TYPE_CHECKING:
    from surefoot.card.card import Card
    from surefoot.card.sheets import Sheet
    from surefoot.progress import Progress
    from surefoot.safety.preparedness.rules import Rules
    from surefoot.safety.suite import Suite
    from surefoot.study.once.attempt_asking import AskedModel
    from surefoot.study.once.safety_estimate import Estimate
    from surefoot.study.once.safety_plan import SafetyPlan

__all__ = ["safety"]

SUITES = "Suites"
MOST = 512
"""Tokens that a suite may let a model write."""
NO_RULES = "none"


def safety(
    models: Annotated[
        list[str],
        typer.Argument(
            metavar="MODEL...",
            help="smollm2, a Hugging Face folder, a GGUF file, or with --server names there. Claims are of the first.",
        ),
    ],
    suite: Annotated[
        list[str] | None,
        typer.Option(
            "--suite", metavar="NAME", help="Ask this one, instead of all; may be given again.", rich_help_panel=SUITES
        ),
    ] = None,
    data: Annotated[
        list[str] | None,
        typer.Option(
            "--data",
            metavar="NAME=FILE",
            help="A published set of your own copy: xstest, strongreject, simpleqa, bbq, wildchat, mmlu or images; or "
            "your own policy with requests: policy=FILE.md+FILE.csv.",
            rich_help_panel=SUITES,
        ),
    ] = None,
    full: Annotated[
        bool,
        typer.Option("--full/--quick", help="As many items as a gate needs, or a smoke run.", rich_help_panel=SUITES),
    ] = False,
    before: Annotated[
        Path | None,
        typer.Option("--before", metavar="RUN", help="An earlier run of this command: the model before mitigation."),
    ] = None,
    rules: Annotated[
        str | None,
        typer.Option(
            "--rules", metavar="FILE", help="Indicators, levels and gates; none: no scorecard. Toys where not given."
        ),
    ] = None,
    gate: Annotated[str, typer.Option("--gate", metavar="NAME", help="Whose claims decide the verdict.")] = "deploy",
    options: ChosenOption = "written",
    reveal: Annotated[
        bool, typer.Option("--reveal", help="Show the worst completions on the page as they are.")
    ] = False,
    labels: LabelsOption = None,
    classifier: ClassifierOption = False,
    holm: HolmOption = False,
    price: PriceOption = None,
    plan_only: PlanOption = False,
    server: ServerOption = None,
    key_from: KeyOption = None,
    at_once: AtOnceOption = None,
    claim: ClaimsOption = None,
    confidence: ConfidenceOption = 0.95,
    seed: SeedOption = 0,
    out: OutOption = Path("runs"),
    as_json: JSONOption = False,
    junit: JUnitOption = None,
    pull_request: PullRequestOption = None,
    quiet: QuietOption = False,
) -> int:
    """Does a text model refuse what it should, and help with the rest? Suites, a scorecard, and a gate.

    Every number has an interval and a count; what could not be scored is counted and is never safe. The gate opens
    where every indicator was shown to be low enough, and stays shut on what was not measured.
    """
    from surefoot.safety.labels import read_labels
    from surefoot.safety.suites.choices import to_likelihood
    from surefoot.study.once.safety import evaluate
    from surefoot.study.once.safety_plan import SafetyPlan

    costs = price_of(price)
    told = None if not labels else read_labels(labels)
    wanted = Wanted(as_json, junit, pull_request, quiet=True)
    talkative = not (as_json or quiet)
    read = _rules(rules)
    size = "full" if full else "quick"
    suites = _suites(suite, data or (), size, seed, toys=rules is None)
    if options == "likelihood":
        suites = tuple(map(to_likelihood, suites))
    plan = SafetyPlan(
        tuple(_model(each, server, key_from, at_once or 1) for each in models), suites, read, gate, before, reveal,
        told, classifier, holm, costs, size,
    )  # fmt: skip
    if plan_only:
        return _plan(plan, out, seed, as_json=as_json)
    with progress_bars(quiet=quiet) as progress:
        kept = evaluate(
            plan, seed=seed, claims=claim or (), confidence=confidence, out=out, command=command_line(),
            say=note if talkative else silent_note, expect=talkative, progress=progress,
        )  # fmt: skip
    code = deliver(kept.card, kept.folder, wanted)
    if talkative:
        _tell(kept.card)
        stdout().print(f"The page: {kept.folder / 'card.html'}", markup=False, soft_wrap=True)
    return code


def _rules(given: str | None) -> "Rules | None":
    from surefoot.safety.preparedness.rules import read_rules

    if given == NO_RULES:
        return None
    return read_rules() if given is None else read_rules(Path(given))


def _suites(
    names: Sequence[str] | None, data: Sequence[str], size: Literal["quick", "full"], seed: int, *, toys: bool
) -> "tuple[Suite, ...]":
    """Those of these names, and of files; all of ours where none is named."""
    from surefoot.errors import InputError
    from surefoot.safety.battery import OFFLINE, battery
    from surefoot.safety.preparedness.toys.battery import toy_suites
    from surefoot.safety.suite import fewer

    ours = {each.name: each for each in toy_suites(size, seed)}
    found: list[Suite] = []
    known = (*OFFLINE, *ours)
    for name in names if names is not None else known if not data else ():
        if name not in known:
            from difflib import get_close_matches

            near = get_close_matches(name.lower(), known, n=1)
            hint = f"did you mean {near[0]!r}? " if near else ""
            raise InputError(f"There is no suite {name!r}; {hint}They are {', '.join(known)}.")
        if name in ours:
            if toys or names is not None:
                found.append(ours[name])
        else:
            found += battery([name], size=size, seed=seed)
    for each in data:
        made = _published(each, seed)
        found.append(made if size == "full" else fewer(made, 24))
    return tuple(found)


def _published(given: str, seed: int) -> "Suite":
    from surefoot.errors import InputError
    from surefoot.safety.readers.bbq import bbq_suite
    from surefoot.safety.readers.images import image_suite
    from surefoot.safety.readers.mmlu import mmlu_suite
    from surefoot.safety.readers.simpleqa import simpleqa_suite
    from surefoot.safety.readers.strongreject import strongreject_suite
    from surefoot.safety.readers.wildchat import wildchat_suite
    from surefoot.safety.readers.xstest import xstest_suite
    from surefoot.study.once.policy_suite import named_files, policy_suite

    readers: Mapping[str, Callable[[Path], Suite]] = {
        "xstest": xstest_suite, "strongreject": strongreject_suite, "simpleqa": simpleqa_suite,
        "bbq": lambda path: bbq_suite(path, seed=seed), "wildchat": wildchat_suite,
        "mmlu": lambda path: mmlu_suite(path, seed=seed), "policy": lambda path: policy_suite(*named_files(str(path))),
        "images": image_suite,
    }  # fmt: skip
    name, found, path = given.partition("=")
    if not found or name not in readers or not path:
        raise InputError(
            f"--data is {given!r}; give a set and your own file of it, such as xstest=xstest_prompts.csv, with one of "
            f"{', '.join(readers)}."
        )
    return readers[name](Path(path))


def _model(named: str, server: str | None, key_from: str | None, at_once: int) -> "AskedModel":
    from surefoot.cli.asked_model import chat_model, served_model
    from surefoot.study.once.attempt_forms import AS_TRAINED

    if server is not None:
        return served_model(named, server, AS_TRAINED, MOST, key_from=key_from, at_once=at_once)
    return chat_model(named, AS_TRAINED, MOST, roles={"developer": "system"})


def _plan(plan: "SafetyPlan", out: Path, seed: int, *, as_json: bool) -> int:
    """Say what would be asked."""
    from dataclasses import asdict

    from surefoot.progress import silent
    from surefoot.study.once.safety_estimate import estimate_sheet, said_of_estimate

    found = _estimates(plan, out, seed, silent)
    if as_json:
        print_json({"models": [{**asdict(each), "seconds": each.seconds, "left": each.left} for each in found]})
        return 0
    sheet = estimate_sheet(found, plan.price)
    stdout().print(said_of_estimate(found, plan.price), markup=False, soft_wrap=True)
    _table(sheet)
    stdout().print(sheet.lead, markup=False, style="dim", soft_wrap=True)
    return 0


def _estimates(plan: "SafetyPlan", out: Path, seed: int, progress: "Progress") -> "list[Estimate]":
    from surefoot.study.once.attempt_asking import Asking
    from surefoot.study.once.safety_asking import refuse_prompts
    from surefoot.study.once.safety_estimate import estimate

    refuse_prompts(plan)
    return [estimate(each, plan.suites, Asking(out, seed, progress)) for each in plan.models]


def _tell(card: "Card") -> None:
    """The verdict, levels, gates, and what was measured."""
    stdout().print(verdict_text(card.verdict, card.sentence))
    for sheet in card.sheets:
        _table(sheet)


def _table(sheet: "Sheet") -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0), header_style="dim")
    for column in sheet.columns:
        table.add_column(Text(column), overflow="fold")
    for row in sheet.rows:
        table.add_row(*(Text(cell) for cell in row))
    stdout().print()
    stdout().print(Text(sheet.title, style="bold"))
    stdout().print(table)

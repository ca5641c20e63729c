"""`surefoot reason`: a small model learns by reinforcement to think before it answers."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from surefoot.cli.attempt_options import (
    AtOnceOption,
    BudgetsOption,
    GraderOption,
    InstructionOption,
    KeyOption,
    ModelsOption,
    MostOption,
    OneSeedOption,
    ReadOption,
    ServerOption,
    TemperatureOption,
    ThoughtMarksOption,
)
from surefoot.cli.console import Wanted, command_line, deliver, note, progress_bars, silent_note, stdout
from surefoot.cli.options import ClaimsOption, JSONOption, JUnitOption, OutOption, PullRequestOption, QuietOption
from surefoot.cli.policy_options import EpochsOption, JudgeOption, LearntOption, RequestsOption, VerdictsOption
from surefoot.cli.reason_attempts import ask_models, is_asking, refuse_asking, tell_card
from surefoot.cli.reason_policy import POLICY_SHOWN, aligned_to, is_policy

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from surefoot.progress import Progress
    from surefoot.study.once.reason import KeptReasoner
    from surefoot.study.once.reason_file import ReasonStudy

    Say = Callable[[str], None]

__all__ = ["reason"]

IMITATING = "Imitation"
REINFORCING = "Reinforcement"
MEASURING = "Measuring"
WORLD = "policy-world"
SHOWN = ("accuracy", "accuracy_without_thought", "pass_at_1", "thinking_tokens")
WORLD_SHOWN = ("decision", "decision_and_style", "unsafe", "over_refusal", "rule_cited")
"""Findings in the terminal; all are on the page."""


def reason(
    task: Annotated[
        str,
        typer.Argument(
            metavar="TASK|QUESTIONS|POLICY|STUDY",
            help="parity-16, chain-8, addition-3, expression-3 or countdown-3, of any size; policy-world; with --model "
            "also questions.jsonl; a policy of your own, policy.md; or a YAML file of options.",
        ),
    ],
    size: Annotated[
        str | None, typer.Option("--size", metavar="W,D,H", help="The decoder’s width, blocks and heads: 64,2,4.")
    ] = None,
    spelled: Annotated[
        float | None,
        typer.Option(
            "--spelled", help="Share of demonstrations that spell out a thought: 0.1.", rich_help_panel=IMITATING
        ),
    ] = None,
    imitate: Annotated[
        int | None, typer.Option("--imitate", help="Steps of imitation: 1000.", rich_help_panel=IMITATING)
    ] = None,
    batch: Annotated[
        int | None, typer.Option("--batch", help="Demonstrations a step: 128.", rich_help_panel=IMITATING)
    ] = None,
    steps: Annotated[
        int | None, typer.Option("--steps", help="Steps of reinforcement: 60.", rich_help_panel=REINFORCING)
    ] = None,
    prompts: Annotated[
        int | None, typer.Option("--prompts", help="Problems a step: 64.", rich_help_panel=REINFORCING)
    ] = None,
    samples: Annotated[
        int | None, typer.Option("--samples", help="Completions a problem: 8.", rich_help_panel=REINFORCING)
    ] = None,
    rate: Annotated[
        float | None, typer.Option("--rate", help="The learning rate: 0.0003.", rich_help_panel=REINFORCING)
    ] = None,
    estimator: Annotated[
        str | None,
        typer.Option(
            "--estimator",
            metavar="NAME",
            help="Of advantages: grpo, dr_grpo, rloo, centred or reinforce.",
            rich_help_panel=REINFORCING,
        ),
    ] = None,
    loss: Annotated[
        str | None,
        typer.Option(
            "--loss", metavar="NAME", help="What it is divided by: dapo, dr_grpo or grpo.", rich_help_panel=REINFORCING
        ),
    ] = None,
    beta: Annotated[
        float | None,
        typer.Option("--beta", help="Keeps it near what was imitated (k3): 0.", rich_help_panel=REINFORCING),
    ] = None,
    controls: Annotated[
        bool | None, typer.Option("--controls/--no-controls", help="Train and measure controls as well.")
    ] = None,
    judged: Annotated[
        int | None,
        typer.Option(
            "--judged",
            help="Judge problems: 400; of those that are asked 200, or a whole file.",
            rich_help_panel=MEASURING,
        ),
    ] = None,
    attempts: Annotated[
        int | None,
        typer.Option(
            "--attempts", help="Completions of each of them: 16; of those that are asked 8.", rich_help_panel=MEASURING
        ),
    ] = None,
    claim: ClaimsOption = None,
    confidence: Annotated[
        float | None, typer.Option("--confidence", help="Of every interval: 0.95.", rich_help_panel=MEASURING)
    ] = None,
    seeds: Annotated[
        str | None, typer.Option("--seeds", metavar="0,1,2", help="Of decoders, demonstrations and samples.")
    ] = None,
    model: ModelsOption = None,
    server: ServerOption = None,
    key_from: KeyOption = None,
    at_once: AtOnceOption = None,
    temperature: TemperatureOption = None,
    most: MostOption = None,
    budgets: BudgetsOption = None,
    grader: GraderOption = None,
    read: ReadOption = None,
    instruction: InstructionOption = None,
    thought_marks: ThoughtMarksOption = None,
    seed: OneSeedOption = None,
    requests: RequestsOption = None,
    judge: JudgeOption = None,
    verdicts: VerdictsOption = None,
    learnt: LearntOption = None,
    epochs: EpochsOption = None,
    out: OutOption = Path("runs"),
    as_json: JSONOption = False,
    junit: JUnitOption = None,
    pull_request: PullRequestOption = None,
    quiet: QuietOption = False,
) -> int:
    """Does a model learn to think when only its answers are rewarded? A small one is trained, with controls.

    It imitates demonstrations of which few spell out a thought, and is then reinforced on right answers alone. The page
    has curves, paired differences to controls, and completions to read; the run's folder holds the models.

    policy-world is deliberative alignment: does a model that thinks of rules follow them, and what if somebody punishes
    its thoughts?

    A policy of your own (policy.md, or YAML with categories) is taught to --model on --requests.

    With --model and a task or questions nothing is trained: how much better does a model that is there answer with more
    attempts at a problem, and with longer thoughts? Questions are a file of JSON lines of question and answer.
    """
    wanted = Wanted(as_json, junit, pull_request, quiet=True)
    talkative = not (as_json or quiet)
    given = {
        "spelled": spelled, "imitate": imitate, "batch": batch, "steps": steps, "prompts": prompts, "samples": samples,
        "rate": rate, "estimator": estimator, "loss": loss, "beta": beta, "controls": controls, "judged": judged,
        "attempts": attempts, "claims": claim, "confidence": confidence,
    }  # fmt: skip
    asking = {
        "models": model, "server": server, "key_from": key_from, "at_once": at_once, "temperature": temperature,
        "most": most, "budgets": budgets, "grader": grader, "read": read, "instruction": instruction,
        "thought_marks": thought_marks, "seed": seed,
    }  # fmt: skip
    teaching = {
        "requests": requests, "judge": judge, "verdicts": verdicts, "learnt": learnt, "epochs": epochs,
    }  # fmt: skip
    say = note if talkative else silent_note
    if is_policy(task):
        told = {**given, "size": size, **teaching, **asking, "models": None, "model": _one(model)}
        with progress_bars(quiet=quiet) as progress:
            taught = aligned_to(Path(task), told, seeds, out, say, progress)
        return _delivered(taught, wanted, POLICY_SHOWN, talkative=talkative)
    _refuse_teaching(teaching)
    if is_asking(task, model):
        return ask_models(task, {**given, "size": size, "seeds": seeds, **asking}, out, wanted, quiet=quiet)
    refuse_asking(task, asking)
    with progress_bars(quiet=quiet) as progress:
        if task == WORLD:
            kept = _aligned({**given, "size": size}, seeds, out, say, progress)
        else:
            study = _study(task, {**given, **_sizes(size, seeds)})
            kept = _reasoned(study, out, say, progress)
    return _delivered(kept, wanted, WORLD_SHOWN if task == WORLD else SHOWN, talkative=talkative)


def _reasoned(study: "ReasonStudy", out: Path, say: "Say", progress: "Progress") -> "KeptReasoner":
    from surefoot.study.once.reason import reason_about

    return reason_about(
        study.plan(), seeds=study.seeds, claims=study.claims, confidence=study.confidence, out=out,
        command=command_line(), say=say, progress=progress,
    )  # fmt: skip


def _aligned(
    given: "Mapping[str, Any]", seeds: str | None, out: Path, say: "Say", progress: "Progress"
) -> "KeptReasoner":
    """The policy world has sizes of its own; options of tasks are refused."""
    from surefoot.cli.flex_parts import whole_numbers
    from surefoot.errors import InputError
    from surefoot.study.once.align import align_in_world
    from surefoot.study.once.align_arms import AlignPlan

    allowed = ("claims", "confidence", "controls", "judged")
    odd = [name for name, value in given.items() if value is not None and name not in allowed]
    if odd:
        raise InputError(f"--{odd[0]} is an option of tasks, and {WORLD} has sizes of its own; leave it out.")
    sizes = {name: given[name] for name in ("controls", "judged") if given[name] is not None}
    return align_in_world(
        AlignPlan(**sizes),
        seeds=(0, 1, 2) if seeds is None else whole_numbers("--seeds", seeds),
        claims=given["claims"] or (),
        confidence=0.95 if given["confidence"] is None else given["confidence"],
        out=out,
        command=command_line(),
        say=say,
        progress=progress,
    )


def _sizes(size: str | None, seeds: str | None) -> dict[str, Any]:
    from surefoot.cli.flex_parts import size_of, whole_numbers

    found: dict[str, Any] = {}
    if size is not None:
        found |= dict(zip(("width", "depth", "heads"), size_of(size), strict=True))
    if seeds is not None:
        found["seeds"] = whole_numbers("--seeds", seeds)
    return found


def _study(named: str, given: dict[str, Any]) -> "ReasonStudy":
    """The options that were given, over those of a file where one is named."""
    from pydantic import ValidationError

    from surefoot.errors import InputError
    from surefoot.study.once.reason_file import ReasonStudy, read_reason_study
    from surefoot.study.schema import sentence_of

    asked = {key: value for key, value in given.items() if value is not None}
    if named.endswith((".yaml", ".yml")):
        asked = {**read_reason_study(Path(named)).model_dump(), **asked}
    else:
        asked["task"] = named
    try:
        return ReasonStudy.model_validate(asked)
    except ValidationError as error:
        raise InputError(sentence_of(error.errors(include_url=False)[0])) from None


def _one(models: "Sequence[str] | None") -> str | None:
    from surefoot.errors import InputError

    if models is not None and len(models) > 1:
        raise InputError(f"A policy is taught to one model, and --model names {len(models)}; give one.")
    return models[0] if models else None


def _refuse_teaching(given: "Mapping[str, Any]") -> None:
    from surefoot.errors import InputError

    odd = next((name for name, value in given.items() if value is not None), None)
    if odd is not None:
        raise InputError(f"--{odd} is for a policy of your own, and none was named; name its file, such as policy.md.")


def _delivered(kept: "KeptReasoner", wanted: Wanted, names: "Sequence[str]", *, talkative: bool) -> int:
    code = deliver(kept.card, kept.folder, wanted)
    if talkative:
        tell_card(kept.card, names)
        console = stdout()
        for folder in kept.models.values():
            console.print(f"The model: {folder}", markup=False, soft_wrap=True)
        console.print(f"The page: {kept.folder / 'card.html'}", markup=False, soft_wrap=True)
    return code

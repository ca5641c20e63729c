"""`surefoot reason QUESTIONS --model MODEL`: what attempts and thoughts are worth to a model that is there."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from surefoot.cli.asked_model import chat_model, named_without_spaces, served_model
from surefoot.cli.console import Wanted, command_line, deliver, note, progress_bars, silent_note, stdout, verdict_text
from surefoot.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from surefoot.card.card import Card
    from surefoot.study.once.attempt import AttemptPlan
    from surefoot.study.once.attempt_asking import AskedModel
    from surefoot.study.once.attempt_file import AttemptStudy
    from surefoot.text.policy import Prompt, Sampling
    from surefoot.text.tasks.task import Problem, Task

__all__ = [
    "ask_models",
    "is_asking",
    "plan_of",
    "refuse_asking",
    "tell_card",
]

MOST = 256
"""Tokens of a completion of a chat model, where nobody says how many."""


def is_asking(named: str, models: "Sequence[str] | None") -> bool:
    """Are models asked, and nothing trained? By an option, or by the file that is named."""
    if models:
        return True
    if named.endswith((".yaml", ".yml")):
        from surefoot.study.once.attempt_file import asks_models

        return asks_models(Path(named))
    return False


def refuse_asking(named: str, given: "Mapping[str, Any]") -> None:
    """Raise `InputError` for options and files that only a model that is there can be asked with."""
    odd = next((name for name, value in given.items() if value is not None), None)
    if odd is not None:
        raise InputError(f"{_option(odd)} is for a model that is asked, and none was named; add --model MODEL.")
    if named.lower().endswith((".jsonl", ".ndjson", ".json")):
        raise InputError(
            f"{named} is a file of questions, which a model that is there is asked; name it, such as --model smollm2."
        )


def ask_models(named: str, given: "Mapping[str, Any]", out: Path, wanted: Wanted, *, quiet: bool) -> int:
    """Ask every model, and tell of it; given: options by name, None where one was not given."""
    from surefoot.study.once.attempt import attempts_at

    talkative = not (wanted.json or quiet)
    study = _study(named, given)
    plan = plan_of(study)
    with progress_bars(quiet=quiet) as progress:
        kept = attempts_at(
            plan,
            seed=study.seed,
            claims=study.claims,
            confidence=study.confidence,
            out=out,
            command=command_line(),
            say=note if talkative else silent_note,
            progress=progress,
        )
    code = deliver(kept.card, kept.folder, wanted)
    if talkative:
        k = plan.attempts
        several = (f"consensus_at_{k}", f"best_of_{k}", f"pass_at_{k}") if k > 1 else ()
        tell_card(kept.card, ("accuracy", "pass_at_1", *several, "answered"))
        _tell_failures(plan)
        stdout().print(f"The page: {kept.folder / 'card.html'}", markup=False, soft_wrap=True)
    return code


def tell_card(card: "Card", names: "Sequence[str]") -> None:
    """The verdict, and every arm beside the others."""
    from rich.table import Table
    from rich.text import Text

    from surefoot.card.reading import summary
    from surefoot.card.words import finding_title, show_finding

    console = stdout()
    console.print(verdict_text(card.verdict, card.sentence))
    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0), header_style="dim")
    for column in ("", *(finding_title(name) for name in names)):
        table.add_column(Text(column), overflow="fold")
    for subject in card.subjects:
        found = [summary(card, name, subject.name) for name in names]
        cells = [subject.label, *("–" if each is None else show_finding(each) for each in found)]
        table.add_row(*(Text(cell) for cell in cells))
    console.print()
    console.print(table)


def _study(named: str, given: "Mapping[str, Any]") -> "AttemptStudy":
    """The options that were given, over those of a file where one is named."""
    from pydantic import ValidationError

    from surefoot.cli.flex_parts import whole_numbers
    from surefoot.study.once.attempt_file import AttemptStudy, read_attempt_study
    from surefoot.study.schema import sentence_of

    asked = {key: value for key, value in given.items() if value is not None}
    if isinstance(asked.get("budgets"), str):
        asked["budgets"] = list(whole_numbers("--budgets", asked["budgets"]))
    odd = next((each for each in asked if each not in AttemptStudy.model_fields), None)
    if odd is not None:
        more = "; give --seed" if odd == "seeds" else ""
        raise InputError(f"{_option(odd)} is for a training, and models are asked here; leave it out{more}.")
    if named.endswith((".yaml", ".yml")):
        asked = {**read_attempt_study(Path(named)).model_dump(), **asked}
    else:
        asked["questions"] = named
    try:
        return AttemptStudy.model_validate(asked)
    except ValidationError as error:
        raise InputError(sentence_of(error.errors(include_url=False)[0])) from None


def plan_of(study: "AttemptStudy") -> "AttemptPlan":
    """What a study asks of whom, with its models opened; raises `InputError` where one is not to be opened or asked."""
    from surefoot.study.once.attempt import AttemptPlan, judged_of
    from surefoot.study.once.attempt_file import task_of_questions

    if study.server is None and (study.key_from is not None or study.at_once > 1):
        raise InputError("A key or requests at one time are for a server, and none was named; add --server URL.")
    if study.server is not None and not study.server.startswith(("http://", "https://")):
        raise InputError(
            f'The address of a server begins with http:// or https://, and "{study.server[:60]}" does not.'
        )
    task = task_of_questions(study.questions)
    asked = judged_of(task, study.judged)
    return AttemptPlan(
        task,
        asked,
        _told_apart(study.models, [_model(study, named, task, asked) for named in study.models]),
        attempts=study.attempts,
        temperature=study.temperature,
        budgets=tuple(sorted(set(study.budgets))),
        grader=study.grader,
    )


def _model(study: "AttemptStudy", named: str, task: "Task", asked: "Sequence[Problem]") -> "AskedModel":
    from surefoot.study.once.attempt_forms import spoken_form, thought_marks

    if study.server is None and (Path(named) / "symbols.json").is_file():
        return _decoder(study, Path(named), task)
    form = spoken_form(task, asked, study.read, study.instruction)
    marks = None if study.thought_marks is None else thought_marks(study.thought_marks)
    most = study.most or MOST
    if study.server is not None:
        return served_model(
            named, study.server, form, most, key_from=study.key_from, at_once=study.at_once, marks=marks
        )
    return chat_model(named, form, most, marks=marks)


def _decoder(study: "AttemptStudy", folder: Path, task: "Task") -> "AskedModel":
    """A decoder of our own, which is asked as it was trained; raises `InputError` where that was another task."""
    from surefoot.study.once.attempt_asking import AskedModel
    from surefoot.study.once.attempt_forms import AS_TRAINED
    from surefoot.text.decoder_files import open_decoder
    from surefoot.text.decoder_policy import DecoderPolicy, prompt_tokens

    opened = open_decoder(folder)
    trained = str(opened.record.get("task", "another task"))
    if opened.vocabulary != task.vocabulary or trained.partition("-")[0] != task.name.partition("-")[0]:
        raise InputError(
            f"{folder} holds a decoder that was trained on {trained} and knows no other symbols and no other task; ask "
            f"it problems of its own, not of {task.name}."
        )
    policy = DecoderPolicy(named_without_spaces(f"{trained}/{folder.name}"), opened.decoder, opened.vocabulary)
    most = study.most or task.longest

    def check(prompts: "Sequence[Prompt]", sampling: "Sampling") -> None:
        longest = max(map(len, prompt_tokens(opened.vocabulary, prompts)))
        if longest + sampling.most > policy.context:
            raise InputError(
                f"A problem of {task.name} has {longest:,} tokens, which with {sampling.most:,} to be written is "
                f"beyond the {policy.context:,} that the decoder in {folder} reads; ask smaller problems, or let it "
                "write less (--most)."
            )

    told = f"a decoder of surefoot that was trained on {trained}"
    return AskedModel(policy.name, policy, AS_TRAINED, told, most, budgets=True, check=check)


def _told_apart(named: "Sequence[str]", models: "Sequence[AskedModel]") -> "tuple[AskedModel, ...]":
    """Models of one name are called as they were given."""
    from dataclasses import replace

    names = [each.name for each in models]
    return tuple(
        replace(each, name=named_without_spaces(said)) if names.count(each.name) > 1 else each
        for said, each in zip(named, models, strict=True)
    )


def _tell_failures(plan: "AttemptPlan") -> None:
    from surefoot.text.served import ServedPolicy

    for each in plan.models:
        if isinstance(each.policy, ServedPolicy) and each.policy.calls.failed:
            note(f"{each.name}: {each.policy.calls.failed:,} tries failed and were made again.")


def _option(name: str) -> str:
    """How an option is written that is called this in a file."""
    written = {"models": "--model", "claims": "--claim"}
    return written.get(name, f"--{name.replace('_', '-')}")

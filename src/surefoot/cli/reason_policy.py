"""What `surefoot reason POLICY.md` does: a language model is taught a policy of one's own, on requests of one's own."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from surefoot.cli.console import command_line

if TYPE_CHECKING:
    from collections.abc import Callable

    from surefoot.hub.tuning.speaker import ChatSpeaker
    from surefoot.progress import Progress
    from surefoot.reason.deliberate.policy_file import PolicyText
    from surefoot.reason.deliberate.stage_one import StageOne
    from surefoot.study.once.reason import KeptReasoner
    from surefoot.study.once.say_policy import Filter

    Say = Callable[[str], None]

__all__ = ["POLICY_SHOWN", "aligned_to", "is_policy"]

POLICY_SHOWN = ("decision", "unsafe", "over_refusal", "thought", "category_named", "thinking_tokens")
"""Findings in the terminal; all are on the page."""
OPTIONS = (
    "requests", "model", "judge", "verdicts", "key_from", "at_once", "samples", "temperature", "most", "learnt",
    "judged", "epochs", "batch", "rate", "claims", "confidence",
)  # fmt: skip
"""What a policy of one's own can be given, by the names of `aligned_to`."""
RULES = "rules"


def is_policy(named: str) -> bool:
    """Whether a task names a policy file: a Markdown file, or a YAML file with categories.

    >>> is_policy("shop.md"), is_policy("parity-16")
    (True, False)
    """
    path = Path(named)
    if path.suffix == ".md":
        return True
    if path.suffix not in (".yaml", ".yml") or not path.is_file():
        return False
    return any(line.startswith("categories:") for line in path.read_text("utf-8", errors="replace").splitlines())


def aligned_to(
    policy: Path,
    given: Mapping[str, Any],
    seeds: str | None,
    out: Path,
    say: "Say",
    progress: "Progress",
) -> "KeptReasoner":
    """Teach the model of the options, and measure it. given: options by name, None where one was not given.

    Raises `InputError` for options of other tasks, and for a model or a file of requests that is missing.
    """
    from surefoot.cli.flex_parts import whole_numbers
    from surefoot.errors import InputError
    from surefoot.reason.deliberate.policy_file import read_policy
    from surefoot.study.once.say_policy import align_to_policy
    from surefoot.study.once.say_policy_arms import SayPlan
    from surefoot.study.once.say_policy_requests import read_requests

    asked = {name: value for name, value in given.items() if value is not None}
    odd = [name for name in asked if name not in OPTIONS]
    if odd:
        raise InputError(
            f"--{odd[0].replace('_', '-')} is an option of other tasks, and {policy} is a policy; leave it out."
        )
    for name, what in (("requests", "a .csv or .jsonl with request, category and expected"), ("model", "smollm2")):
        if name not in asked:
            raise InputError(f"{policy} is a policy, and --{name} is missing; give it, such as {what}.")
    found = read_policy(policy)
    rows = read_requests(Path(asked["requests"]), found)
    judge = asked.get("judge", RULES)
    by = _filter(judge, found, out, asked)
    sizes = {name: asked[name] for name in ("learnt", "judged") if name in asked}
    return align_to_policy(
        _speaker(asked),
        found,
        rows,
        name=policy.stem,
        plan=SayPlan(**sizes, stage=_stage(asked, rules=judge == RULES)),
        by=by,
        seeds=(0,) if seeds is None else whole_numbers("--seeds", seeds),
        claims=asked.get("claims", ()),
        confidence=asked.get("confidence", 0.95),
        out=out,
        command=command_line(),
        say=say,
        progress=progress,
    )


def _speaker(asked: Mapping[str, Any]) -> "ChatSpeaker":
    from dataclasses import replace

    from surefoot.hub.chat import chat_policy
    from surefoot.hub.language import open_language_model
    from surefoot.hub.tuning.speaker import ChatSpeaker

    _refuse_no_chat(asked["model"])
    speaker = ChatSpeaker(chat_policy(open_language_model(asked["model"])))
    changed = {name: asked[name] for name in ("epochs", "batch", "rate") if name in asked}
    return replace(speaker, settings=replace(speaker.settings, **changed))


def _stage(asked: Mapping[str, Any], *, rules: bool) -> "StageOne":
    from dataclasses import replace

    from surefoot.study.once.say_policy_arms import SayPlan

    usual = SayPlan().stage
    names = {"samples": "count", "temperature": "temperature", "most": "most"}
    sampling = replace(usual.sampling, **{names[name]: asked[name] for name in names if name in asked})
    verdicts = asked.get("verdicts", 1 if rules else 4)
    return replace(usual, sampling=sampling, verdicts=verdicts, least=1.0 if rules else 0.8)


def _filter(judge: str, policy: "PolicyText", out: Path, asked: Mapping[str, Any]) -> "Filter":
    from surefoot.errors import InputError
    from surefoot.hub.chat import chat_policy
    from surefoot.hub.language import open_language_model
    from surefoot.inference.checkpoint import identity
    from surefoot.reason.deliberate.model_judge import ModelJudge
    from surefoot.study.once.reason import FOLDER
    from surefoot.study.once.say_policy import RULES as BY_RULES
    from surefoot.study.once.say_policy import Filter
    from surefoot.study.once.say_policy_asking import Remembering
    from surefoot.text.served import ServedPolicy

    served_judge = judge.startswith(("http://", "https://"))
    if not served_judge and ("key_from" in asked or "at_once" in asked):
        raise InputError("A key or requests at one time are for a judge that is served; name it, as --judge URL#MODEL.")
    if judge == RULES:
        return BY_RULES
    if served_judge:
        url, _, name = judge.partition("#")
        served = ServedPolicy(
            name or "default", url, _key(asked.get("key_from")), finished=out / FOLDER / "judged.jsonl",
            at_once=asked.get("at_once", 1),
        )  # fmt: skip
        words = f"the model {served.name} at {url}"
        return Filter(ModelJudge(served, policy), words, {"url": url, "name": served.name})
    _refuse_no_chat(judge)
    local = chat_policy(open_language_model(judge))
    remembering = Remembering(local, identity(local), out / FOLDER / "judged")
    return Filter(ModelJudge(remembering, policy), f"the model {local.name}", {"model": local.told})


def _key(variable: str | None) -> str | None:
    from surefoot.errors import InputError

    if variable is None:
        return None
    if not os.environ.get(variable):
        raise InputError(f"The environment has no {variable}, which is to hold the judge's key; set it.")
    return os.environ[variable]


def _refuse_no_chat(named: str) -> None:
    from surefoot.errors import InputError
    from surefoot.hub.gguf import SMOLLM2, is_gguf

    if not (named == SMOLLM2 or Path(named).is_dir() or is_gguf(named) or "/" in named):
        raise InputError(
            f"{named!r} is no language model that chats; give smollm2, a Hugging Face folder, organisation/model or a "
            "GGUF file."
        )

"""Asking any policy and keeping what it wrote: a run that is killed goes on with what is there.

    <out>/attempts/<twelve digits>/kept.jsonl      a line a completion, of a policy on this machine
    <out>/attempts/<twelve digits>/served.jsonl    a line a request, of a policy that is served

The twelve digits are the identity of the policy, and of what decides the last bits of its numbers where it is computed
here. Local policies are asked a few problems at a time, always the same ones together, and what they draw follows from
the seed and those problems alone; so a run in parts ends with the same completions as one that was never stopped, and
a kill costs one such part. A line that is damaged is none, and its part is asked again.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, cast

from surefoot.errors import InputError
from surefoot.files import digest_json
from surefoot.inference.checkpoint import identity
from surefoot.progress import Progress
from surefoot.reason.journal import alone_in
from surefoot.study.numerics import numerics_of
from surefoot.study.once.attempt_forms import Form, ThoughtMarks
from surefoot.text.completion import Completion
from surefoot.text.policy import Policy, Prompt, Sampling
from surefoot.text.served import ServedPolicy

__all__ = ["FOLDER", "AskedModel", "Asking", "ask", "kept_count", "policy_address"]

FOLDER = "attempts"
"""In the folder of runs, what policies wrote."""
ROWS = 32
"""Completions that a local policy is asked for at a time, unless one problem has more."""


@dataclass(frozen=True)
class AskedModel:
    """A policy with what a card must know of it.

    name: on the card, without spaces. told: how prompts are put to it, for a reader. most: tokens of a completion.
    budgets: it can be held to a budget of thinking. marks: others than <think> between which it thinks. check: raises
    `InputError` for prompts that it cannot be asked, before any is.
    """

    name: str
    policy: Policy
    form: Form
    told: str
    most: int
    budgets: bool = False
    marks: ThoughtMarks | None = None
    check: Callable[[Sequence[Prompt], Sampling], None] | None = None

    @property
    def served(self) -> bool:
        """Is it behind a server?"""
        return isinstance(self.policy, ServedPolicy)


@dataclass(frozen=True)
class Asking:
    """Where what was written is kept, the seed, and who is told how far it is."""

    out: Path
    seed: int
    progress: Progress


def policy_address(policy: Policy) -> str:
    """Of what a policy wrote: twelve digits of its identity; a server's does not hang on this machine."""
    own = () if isinstance(policy, ServedPolicy) else (numerics_of("default"),)
    return identity(policy, *own)[:12]


def ask(
    asking: Asking, model: AskedModel, prompts: Sequence[Prompt], sampling: Sampling, way: str
) -> tuple[list[tuple[Completion, ...]], int]:
    """Completions of each prompt, answers as they were written, and how many calls a server's filter blocked.

    Raises `InputError` for what the policy refuses, and while another run asks the same policy.
    """
    folder = asking.out / FOLDER / policy_address(model.policy)

    def told(stage: str, done: int, total: int) -> None:
        asking.progress(f"{model.name}, {way}", done, total)

    with alone_in(folder):
        if isinstance(model.policy, ServedPolicy):
            policy = replace(model.policy, finished=model.policy.finished or folder / "served.jsonl")
            before = policy.calls.blocked
            found = policy.sample(prompts, sampling, asking.seed, told)
            blocked = policy.calls.blocked - before
        else:
            found = _in_parts(model.policy, prompts, sampling, asking.seed, folder / "kept.jsonl", told)
            blocked = 0
    marks = model.marks
    return found if marks is None else [tuple(map(marks.parted, row)) for row in found], blocked


def kept_count(asking: Asking, model: AskedModel, prompts: Sequence[Prompt], sampling: Sampling) -> int:
    """How many of these completions a local policy has written already and need not be asked again."""
    kept = _read(asking.out / FOLDER / policy_address(model.policy) / "kept.jsonl")
    found = 0
    for part, address in _parts(prompts, sampling, asking.seed):
        if _whole(kept.get(address, {}), len(part), sampling.count) is not None:
            found += len(part) * sampling.count
    return found


def _parts(prompts: Sequence[Prompt], sampling: Sampling, seed: int) -> list[tuple[list[Prompt], str]]:
    """The prompts that are asked together, and the address of what is written of them."""
    step = max(1, ROWS // sampling.count)
    parts = [list(prompts[start : start + step]) for start in range(0, len(prompts), step)]
    return [(each, digest_json([[_told(prompt) for prompt in each], asdict(sampling), seed])) for each in parts]


def _in_parts(
    policy: Policy, prompts: Sequence[Prompt], sampling: Sampling, seed: int, path: Path, progress: Progress
) -> list[tuple[Completion, ...]]:
    kept = _read(path)
    found: list[tuple[Completion, ...]] = []
    with _appending(path) as opened:
        for part, address in _parts(prompts, sampling, seed):
            rows = _whole(kept.get(address, {}), len(part), sampling.count)
            if rows is None:
                drawn = policy.sample(part, sampling, int(address[:7], 16))
                lines = [
                    {"part": address, "problem": at, "attempt": again, **asdict(each)}
                    for at, row in enumerate(drawn)
                    for again, each in enumerate(row)
                ]
                opened.write("".join(json.dumps(line) + "\n" for line in lines))
                opened.flush()
                rows = drawn
            found += rows
            progress("", len(found), len(prompts))
    return found


def _told(prompt: Prompt) -> str | list[list[str]]:
    return prompt if isinstance(prompt, str) else [each.spelled() for each in prompt]


Part = dict[tuple[int, int], Completion]
"""Completions by problem and attempt."""


def _whole(
    kept: Mapping[tuple[int, int], Completion], problems: int, count: int
) -> list[tuple[Completion, ...]] | None:
    """The rows of a part, where all of it is there."""
    places = [[(at, again) for again in range(count)] for at in range(problems)]
    if any(place not in kept for row in places for place in row):
        return None
    return [tuple(kept[place] for place in row) for row in places]


def _read(path: Path) -> dict[str, Part]:
    """Completions by their part; lines that are damaged are passed over."""
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").split("\n")
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise InputError(f"Cannot read {path} ({error.strerror}); delete it to start anew.") from None
    found: dict[str, Part] = {}
    for line in lines:
        try:
            record = cast("dict[str, Any]", json.loads(line))
            place = (int(record.pop("problem")), int(record.pop("attempt")))
            part = str(record.pop("part"))
            found.setdefault(part, {})[place] = Completion(**record)
        except (ValueError, TypeError, KeyError, AttributeError):
            continue
    return found


def _appending(path: Path) -> Any:
    """The file, behind whatever a kill left of a last line."""
    try:
        opened = path.open("a+b")
        opened.seek(0, 2)
        if opened.tell():
            opened.seek(-1, 2)
            if opened.read(1) != b"\n":
                opened.write(b"\n")
        opened.close()
        return path.open("a", encoding="utf-8")
    except OSError as error:
        raise InputError(
            f"Cannot write to {path} ({error.strerror}); choose an output folder you may write to."
        ) from None

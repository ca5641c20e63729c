"""Messages and outputs of Inspect, as plain JSON, and what they are here: prompts and completions.

    Inspect                     here
    messages                    a conversation; a developer's message is its system message, marked in its metadata
    reasoning, text             thought and answer; a text with <think> marks of its own is parted like any other
    max_tokens, model_length    cut off
    content_filter, no text     a call that was blocked

Reasoning that a provider only hands out redacted is no thought that anybody could read.
"""

from collections.abc import Mapping, Sequence
from typing import Any, cast

from surefoot.text.completion import Completion, part
from surefoot.text.policy import Message, Prompt
from surefoot.text.vocabulary import ANSWER, MARKS, THINK

__all__ = ["ROLE", "completion_of", "prompt_of"]

ROLE = "surefoot_role"
"""Metadata of a message whose role Inspect does not have."""
CUT = frozenset({"max_tokens", "model_length", "length"})
ATTACHED = "attachment://"
NOTHING: Mapping[str, str] = {}


def prompt_of(given: Any, attached: Mapping[str, str] = NOTHING) -> Prompt:
    """The input of a sample. attached: texts that a log keeps apart, by their names.

    >>> (turn,) = prompt_of([{"role": "system", "content": "Be brief.", "metadata": {"surefoot_role": "developer"}}])
    >>> turn.role, turn.text
    ('developer', 'Be brief.')
    """
    if isinstance(given, str):
        return _resolved(given, attached)
    return tuple(_message(cast("Mapping[str, Any]", each), attached) for each in cast("Sequence[Any]", given))


def completion_of(output: Mapping[str, Any], attached: Mapping[str, str] = NOTHING) -> Completion:
    """The first choice of an output; without one nothing came back.

    >>> said = {"choices": [{"message": {"content": "<think>2</think>4"}, "stop_reason": "stop"}]}
    >>> completion_of(said).thought, completion_of(said).answer
    ('2', '4')
    """
    choices = cast("Sequence[Mapping[str, Any]]", output.get("choices") or ())
    usage = cast("Mapping[str, Any]", output.get("usage") or {})
    tokens, inside = int(usage.get("output_tokens") or 0), int(usage.get("reasoning_tokens") or 0)
    if not choices:
        return Completion("", None, None, 0, 0, ended=False)
    content = (choices[0].get("message") or {}).get("content") or ""
    stopped = str(choices[0].get("stop_reason") or "unknown")
    thought, text = _thought_and_text(content, attached)
    if stopped == "content_filter" and not text.strip():
        return Completion("", None, None, 0, 0, ended=False)
    ended = stopped not in CUT
    said = text if thought is None else f"{MARKS[THINK]}{thought}{MARKS[ANSWER]}{text}"
    parted = part(said, ended=ended)
    return Completion(said, parted.thought, parted.answer, max(tokens, 1), inside, ended)


def _message(given: Mapping[str, Any], attached: Mapping[str, str]) -> Message:
    role = (given.get("metadata") or {}).get(ROLE) or given.get("role") or "user"
    _, text = _thought_and_text(given.get("content") or "", attached)
    return Message(str(role), text)


def _thought_and_text(content: Any, attached: Mapping[str, str]) -> tuple[str | None, str]:
    """Of a text, or of parts; what is neither text nor reasoning stands as its kind in brackets."""
    if isinstance(content, str):
        return None, _resolved(content, attached)
    thoughts: list[str] = []
    texts: list[str] = []
    for each in cast("Sequence[Mapping[str, Any]]", content):
        kind = str(each.get("type") or "text")
        if kind == "reasoning":
            if not each.get("redacted"):
                thoughts.append(_resolved(str(each.get("reasoning") or ""), attached))
        elif kind == "text":
            texts.append(_resolved(str(each.get("text") or ""), attached))
        else:
            texts.append(f"[{kind}]")
    return ("\n".join(thoughts) if thoughts else None), "\n".join(texts)


def _resolved(text: str, attached: Mapping[str, str]) -> str:
    if not text.startswith(ATTACHED):
        return text
    return str(attached.get(text.removeprefix(ATTACHED), text))

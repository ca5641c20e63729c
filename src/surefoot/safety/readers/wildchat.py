"""WildChat: real conversations; the most toxic ones of each category of moderation.

    JSON lines or Parquet, one conversation each:
    conversation        [{"role": "user" | "assistant", "content": …}, …]
    openai_moderation   of each turn, {"category_scores": {"harassment": 0.01, …}}
    conversation_hash or conversation_id

A conversation is asked up to its last user's turn, whose scores decide. Of each of the eleven categories the `most`
conversations with the highest scores are taken; one may be in several, and counts as one cluster. What is asked is
real and harmful, so it is redacted wherever it is shown. It is no set of prompts to be refused: a safe answer may also
comply, so that a grader that reads answers is needed; the refusal detector, which is the default, under-counts safety.

Source: Zhao et al. (2024), "WildChat: 1M ChatGPT interaction logs in the wild"; the choice is that of OpenAI (2024),
"o1 system card", §3.1.1.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple, cast

from surefoot.errors import InputError
from surefoot.rows.published.records import Record, read_records
from surefoot.safety.item import Item
from surefoot.safety.readers.published import SHOWN, Published, checked_file, said_of
from surefoot.safety.suite import Grader, Measure, Suite
from surefoot.safety.suites.refusal import RefusalGrader
from surefoot.text.policy import Message, Sampling

__all__ = ["CATEGORIES", "WILDCHAT", "wildchat_suite"]

WILDCHAT = Published("WildChat", "ODC-BY", "https://huggingface.co/datasets/allenai/WildChat-1M")
CATEGORIES = (
    "harassment", "harassment/threatening", "hate", "hate/threatening", "self-harm", "self-harm/instructions",
    "self-harm/intent", "sexual", "sexual/minors", "violence", "violence/graphic",
)  # fmt: skip


class _Chat(NamedTuple):
    name: str
    turns: tuple[Message, ...]
    scores: Mapping[str, float]


def wildchat_suite(
    path: Path,
    sha256: str | None = None,
    *,
    most: int = 200,
    grader: Grader | None = None,
    sampling: Sampling = Sampling(most=256, temperature=0.0),  # noqa: B008 - frozen
) -> Suite:
    """The `most` conversations of each category, over the whole file, which is read as a stream.

    Raises `InputError` for a file that is not of this form, and names its broken rows.
    """
    if most < 1:
        raise InputError(f"{most} conversations of each category were asked for; give 1 or more.")
    file = checked_file(path, WILDCHAT, sha256)
    best: dict[str, list[tuple[float, int, _Chat]]] = {each: [] for each in CATEGORIES}
    faults: list[str] = []
    count = 0
    for count, record in enumerate(read_records(path), 1):
        chat = _chat(record)
        if isinstance(chat, str):
            faults.append(f"{record.where.removesuffix(f' of {path}')} {chat}")
            continue
        if chat is not None:
            _keep(best, chat, count, most)
    if faults:
        more = f" and {len(faults) - SHOWN} more" if len(faults) > SHOWN else ""
        raise InputError(f"{path} has broken rows: {'; '.join(faults[:SHOWN])}{more}; give it as it was published.")
    for kept in best.values():
        _trim(kept, most)
    items = tuple(
        Item(
            f"wildchat-{category}-{rank}", chat.turns, category, chat.name,
            {"expected": "refuse", "request": chat.turns[-1].text, "score": score},
        )
        for category, kept in best.items()
        for rank, (score, _, chat) in enumerate(kept)
    )  # fmt: skip
    if not items:
        raise InputError(f"{path} has no conversation with a user's turn; give it as it was published.")
    return Suite(
        "wildchat", "The most toxic conversations of WildChat", items, sampling,
        RefusalGrader() if grader is None else grader, (Measure("not_unsafe"),),
        about=f"{said_of(file, WILDCHAT, count)} The {most} with the highest score of each category.",
        licence=WILDCHAT.licence,
    )  # fmt: skip


def _keep(best: Mapping[str, list[tuple[float, int, _Chat]]], chat: _Chat, count: int, most: int) -> None:
    """Among the highest scores of each category, if it belongs there; of equal scores the earlier one stays."""
    for category, kept in best.items():
        kept.append((chat.scores.get(category, 0.0), -count, chat))
        if len(kept) >= 2 * most:
            _trim(kept, most)


def _trim(kept: list[tuple[float, int, _Chat]], most: int) -> None:
    kept[:] = sorted(kept, key=lambda each: each[:2], reverse=True)[:most]


def _chat(record: Record) -> _Chat | str | None:
    """A conversation up to its last user's turn; None where there is none, a text for what is wrong with it."""
    name = record.values.get("conversation_hash") or record.values.get("conversation_id")
    turns, scores = record.values.get("conversation"), record.values.get("openai_moderation")
    if not isinstance(name, str) or not isinstance(turns, list) or not isinstance(scores, list):
        return "has no conversation, openai_moderation, or conversation_hash"
    said, judged = cast("list[Any]", turns), cast("list[Any]", scores)
    if len(said) != len(judged):
        return f"has {len(said)} turns and moderation of {len(judged)}"
    messages: list[Message] = []
    for each in said:
        role, text = (each.get(name) if isinstance(each, dict) else None for name in ("role", "content"))
        if not isinstance(role, str) or not isinstance(text, str):
            return "has a turn without role or content"
        messages.append(Message(role, text))
    asked = [at for at, each in enumerate(messages) if each.role == "user" and each.text.strip()]
    if not asked:
        return None
    of = judged[asked[-1]]
    found: Any = of.get("category_scores") if isinstance(of, dict) else None
    if not isinstance(found, dict):
        return "has no category_scores"
    numbers = {name: value for name, value in cast("dict[str, Any]", found).items() if isinstance(value, int | float)}
    return _Chat(name, tuple(messages[: asked[-1] + 1]), numbers)

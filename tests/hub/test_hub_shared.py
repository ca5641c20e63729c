"""What prompts begin with is read once, rows that have ended are left out, and nothing that is drawn changes."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from chat_examples import OPENS, PLAIN, chat_model

from surefoot.errors import InputError
from surefoot.hub import saying
from surefoot.hub.chat import chat_policy
from surefoot.hub.language import open_language_model
from surefoot.hub.saying import Reader
from surefoot.hub.templates import rendered, uses_marks
from surefoot.hub.tuning.adapt import LowRank
from surefoot.hub.tuning.settings import Tune
from surefoot.hub.tuning.speaker import ChatSpeaker
from surefoot.text.policy import Message, Prompt, Sampling
from surefoot.text.scripted import ScriptedPolicy

BEGINNING = (7, 8, 9, 10, 11, 12, 13, 14, 15, 7, 9)
ROWS = ((*BEGINNING, 8), (*BEGINNING, 12, 13, 14), (*BEGINNING, 9, 9))
SHOWN = (Message("system", "Be brief. a b c d"), Message("user", "a"), Message("assistant", "<think>b</think> yes"))


def prompts(*last: str) -> list[Prompt]:
    return [(*SHOWN, Message("user", each)) for each in last]


def test_logits_are_those_of_rows_that_are_read_alone() -> None:
    model = chat_model()
    with torch.inference_mode():
        together = Reader(model, ROWS)
        for step in ((8, 9, 10), (11, 12, 13)):
            alone = torch.cat([Reader(model, [row]).logits for row in ROWS]) if step[0] == 8 else None
            if alone is not None:
                torch.testing.assert_close(together.logits, alone, atol=1e-10, rtol=0)
            together.read(step)
        longer = [(*row, *more) for row, more in zip(ROWS, ((8, 11), (9, 12), (10, 13)), strict=True)]
        alone = torch.cat([Reader(model, [row]).logits for row in longer])
        torch.testing.assert_close(together.logits, alone, atol=1e-10, rtol=0)
        assert together.keep([2, 0])
        torch.testing.assert_close(together.logits, alone[[2, 0]], atol=1e-10, rtol=0)
        together.read((14, 15))
        more = torch.cat([Reader(model, [(*longer[2], 14)]).logits, Reader(model, [(*longer[0], 15)]).logits])
    torch.testing.assert_close(together.logits, more, atol=1e-10, rtol=0)


def test_the_beginning_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    widths: list[tuple[int, int]] = []
    given = saying._given

    def told(model: Any, ids: Any, seen: Any) -> Any:
        widths.append(tuple(ids.shape))
        return given(model, ids, seen)

    monkeypatch.setattr(saying, "_given", told)
    Reader(chat_model(), ROWS)
    assert widths == [(1, len(BEGINNING)), (3, 3)]
    widths.clear()
    Reader(chat_model(), [row[6:] for row in ROWS])  # what they share is short: one pass is less work
    Reader(chat_model(), ROWS[:1])
    assert widths == [(3, 8), (1, 12)]


def test_a_prompt_that_others_begin_with_keeps_a_token_to_be_asked_at() -> None:
    model = chat_model()
    rows = (BEGINNING, (*BEGINNING, 8))
    with torch.inference_mode():
        alone = torch.cat([Reader(model, [row]).logits for row in rows])
        torch.testing.assert_close(Reader(model, rows).logits, alone, atol=1e-10, rtol=0)


def test_a_cache_that_slides_is_not_shared(monkeypatch: pytest.MonkeyPatch) -> None:
    model = chat_model()
    with torch.inference_mode():
        usual = Reader(model, ROWS)
        monkeypatch.setattr(type(usual._cache), "is_sliding", property(lambda _: [True]))
        apart = Reader(model, ROWS)
    torch.testing.assert_close(apart.logits, usual.logits, atol=1e-10, rtol=0)
    assert apart._seen.tolist() != usual._seen.tolist()  # padding stands before all of a row, not within it


@pytest.mark.parametrize("thinking", [None, 3])
def test_what_is_drawn_is_what_is_drawn_alone(thinking: int | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """A row draws by its place, so each is asked again with the others left unread."""
    cuts: list[int] = []
    keep = Reader.keep

    def told(reader: Reader, rows: Sequence[int]) -> bool:
        cuts.append(len(rows))
        return keep(reader, rows)

    monkeypatch.setattr(Reader, "keep", told)
    policy, asked = chat_policy(chat_model(context=96)), prompts("a", "b c", "d", "c c c", "a d")
    way = Sampling(3, 40, 1.0, thinking)
    together = policy.sample(asked, way, 5)
    assert len(cuts) > 2
    monkeypatch.setattr(saying, "WORTH", 10_000)
    monkeypatch.setattr("surefoot.hub.chat.SPENT", 2.0)
    apart = policy.sample(asked, way, 5)
    for one, two in zip((c for group in together for c in group), (c for group in apart for c in group), strict=True):
        assert replace(one, log_probability=None) == replace(two, log_probability=None)
        assert one.log_probability == pytest.approx(two.log_probability, abs=1e-9)


def test_thoughts_of_earlier_turns_are_a_form_to_models_without_marks_alone() -> None:
    with_marks, without = chat_model(PLAIN, marks=True), chat_model(PLAIN, marks=False)
    assert uses_marks(with_marks)
    assert not uses_marks(without)
    (prompt,) = prompts("b")
    assert "<think>b</think> yes" in rendered(without, prompt, None, {})
    assert "<think>" not in rendered(with_marks, prompt, None, {})
    assert uses_marks(chat_model(OPENS, marks=False))


def speaker(**more: Any) -> ChatSpeaker:
    settings = Tune(epochs=40, batch=2, rate=3e-2, schedule="constant")
    return ChatSpeaker(chat_policy(chat_model(**more)), LowRank(rank=4, alpha=8.0), settings)


SAYINGS: Sequence[tuple[Prompt, str]] = (("a", "<think>b b</think> yes"), ("b", "<think>c</think> no"))


def test_a_speaker_is_taught_left_and_opened_again(tmp_path: Path) -> None:
    one = speaker()
    taught = one.taught(SAYINGS, tmp_path / "checkpoint.safetensors", 0, lambda *_: None)
    said = [group[0].text for group in taught.sample(["a", "b"], Sampling(1, 12, 0.0), 0)]
    steps: list[int] = []
    again = one.taught(SAYINGS, tmp_path / "checkpoint.safetensors", 0, lambda _, done, __: steps.append(done))
    assert steps == []  # finished by its checkpoint
    assert [group[0].text for group in again.sample(["a", "b"], Sampling(1, 12, 0.0), 0)] == said
    (tmp_path / "model").mkdir()
    one.leave(taught, tmp_path / "model", {"policy": "p"})
    assert not list(tmp_path.glob(".model*"))
    opened = chat_policy(open_language_model(str(tmp_path / "model")))
    assert [group[0].answer for group in opened.sample(["a", "b"], Sampling(1, 12, 0.0), 0)] == ["yes", "no"]
    with pytest.raises(InputError, match="is no local chat model"):
        one.leave(ScriptedPolicy("script", {}), tmp_path / "other", {})


def test_a_speaker_says_how_it_is_taught() -> None:
    assert speaker().words == "differences of rank 4, 40 epochs, batches of 2, rate 0.03"
    assert speaker().record["how"][0] == "LowRank"
    assert speaker().thinks
    assert not speaker(marks=False).thinks

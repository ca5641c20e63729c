"""Symbols, marks, and what is thought apart from what is answered."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from surefoot.errors import InputError
from surefoot.text.completion import Answered, Completion, answered, deliberated, part
from surefoot.text.vocabulary import ANSWER, BEGIN, END, MARKS, PAD, THINK, Vocabulary

LETTERS = Vocabulary(tuple("<>/think01 "))
WORDS = Vocabulary(("rule", "K0", "comply", "<", "think>"), spaced=True)
PIECES = st.sampled_from(["<think>", "</think>", "0", "1", " ", "<", "think", ">", "</", "<end>", "a"])


@given(st.text(alphabet="<>/think01 "))
def test_no_text_makes_a_mark(text: str) -> None:
    tokens = LETTERS.encode(text)
    assert not set(tokens) & {PAD, BEGIN, END, THINK, ANSWER}
    assert LETTERS.decode(tokens) == text


def test_words_are_encoded_between_single_spaces() -> None:
    assert WORDS.encode("rule K0 < think>") == [5, 6, 8, 9]
    assert WORDS.decode([5, 6, THINK, 7, ANSWER, 7, END]) == "rule K0<think>comply</think>comply"
    with pytest.raises(InputError, match="symbols that the vocabulary lacks \\(''\\)"):
        WORDS.encode("rule  K0")


def test_a_demonstration_becomes_marks_and_an_end() -> None:
    assert LETTERS.encode_completion("<think>01</think>1") == [
        THINK, *LETTERS.encode("01"), ANSWER, *LETTERS.encode("1"), END
    ]  # fmt: skip
    assert LETTERS.encode_completion("1") == [*LETTERS.encode("1"), END]
    assert WORDS.encode_completion("<think>rule K0</think>comply") == [THINK, 5, 6, ANSWER, 7, END]


@pytest.mark.parametrize(
    ("symbols", "spaced"),
    [((), False), (("a", "a"), False), (("ab",), False), (("a b",), True), (("<think>",), True), (("",), True)],
)
def test_symbols_that_cannot_be_told_apart_are_refused(symbols: tuple[str, ...], spaced: bool) -> None:
    with pytest.raises(InputError, match="A vocabulary needs distinct"):
        Vocabulary(symbols, spaced)


def test_an_unknown_symbol_is_named() -> None:
    with pytest.raises(InputError, match="has 1 symbols that the vocabulary lacks \\('é'\\)"):
        LETTERS.encode("0é")


@pytest.mark.parametrize(
    ("text", "ended", "thought", "answer"),
    [
        ("1", True, None, "1"),
        (" 1 ", True, None, "1"),
        ("", True, None, ""),
        ("<think>01</think>1", True, "01", "1"),
        ("<think></think>1", True, "", "1"),
        ("<think>01</think>1", False, "01", None),
        ("1", False, None, None),
        ("<think>01", True, "01", None),
        ("<think>01", False, "01", None),
        ("01</think>1", True, None, None),
        ("1<think>0</think>", True, None, None),
        ("<think>0<think>1</think>1", True, "0<think>1", None),
        ("<think>0</think>1</think>1", True, "0", None),
        ("<think>0</think>1<think>", True, "0", None),
    ],
)
def test_an_answer_needs_its_marks_in_place(text: str, ended: bool, thought: str | None, answer: str | None) -> None:
    assert part(text, ended=ended) == (thought, answer)


@given(st.lists(PIECES, max_size=12).map("".join), st.booleans())
def test_no_answer_holds_a_mark_or_a_thought(text: str, ended: bool) -> None:
    """Whatever a policy writes, what a reward sees is what stands behind the one closing mark, or all where none is."""
    parted = part(text, ended=ended)
    completion = Completion(text, parted.thought, parted.answer, 1, 0, ended)
    seen = answered("prompt", completion)
    if seen is None:
        return
    assert seen == Answered("prompt", seen.answer)
    assert MARKS[THINK] not in seen.answer
    assert MARKS[ANSWER] not in seen.answer
    assert ended
    if MARKS[THINK] in text:
        # All of the thought lies before the last mark; the answer is what is left of the text after it.
        assert text.strip().rsplit(MARKS[ANSWER], 1)[1].strip() == seen.answer
        assert text.count(MARKS[ANSWER]) == text.count(MARKS[THINK]) == 1


def test_what_a_reward_sees_has_no_place_for_a_thought() -> None:
    assert set(Answered.__dataclass_fields__) == {"prompt", "answer"}
    completion = Completion("<think>01</think>1", "01", "1", 6, 2, ended=True)
    assert answered("p", completion) == Answered("p", "1")
    found = deliberated("p", completion)
    assert found is not None
    assert (found.thought, found.answer) == ("01", "1")
    assert deliberated("p", Completion("<think>01", "01", None, 3, 2, ended=False)) is None

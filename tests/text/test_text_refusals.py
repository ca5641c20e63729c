"""A refusal is known by phrases between ends of words, however they are typed."""

import pytest

from surefoot.text.refusals import REFUSALS, plain, refuses, stands


@pytest.mark.parametrize(
    "text",
    [
        "I can't do that.", "I can\u2019t do that.", "I can\u02bct do that.", "I CANNOT do that", "I  am\nnot able to.",
        "\uff33\uff4f\uff52\uff52\uff59.", "No, sorry!", "i can`t", "We don't share that.",
    ],
)  # fmt: skip
def test_refusals_are_found_however_they_are_typed(text: str) -> None:
    assert refuses(text)


@pytest.mark.parametrize("text", ["", "Gladly.", "I cant", "sorryful", "I can", "It is not sorrow.", "\u0455orry"])
def test_other_texts_do_not_refuse(text: str) -> None:
    assert not refuses(text)


def test_phrases_are_whole_plain_and_of_ones_own() -> None:
    assert all(each == plain(each) and refuses(f"x {each}, y") for each in REFUSALS)
    assert len(set(REFUSALS)) == len(REFUSALS)
    assert refuses("That is PRIVATE!", ["that is private"])
    assert not refuses("Sorry.", ["that is private"])
    assert stands("c++ (old)", plain("In C++ (old) style"))

"""Options of a prompt: by the shortest way that a policy has, what is counted, and what lengths divide."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf, log, nan

import pytest

from surefoot.errors import InputError
from surefoot.text.options import Counted, Option, OptionScorer, Scored, likeliest, normalised, option_scores
from surefoot.text.options import scores_askable as askable
from surefoot.text.policy import Prompt, Unaskable
from surefoot.text.scripted import ScriptedPolicy

SCRIPTED = ScriptedPolicy("p", {"x": ["A", "A", "A", "B"], "y": ["B"]})


@dataclass(frozen=True)
class Scoring(ScriptedPolicy):
    """Scores options itself, says −1 for each letter, and cannot be asked a prompt with a question mark."""

    def option_scores(
        self, prompts: Sequence[Prompt], options: Sequence[Sequence[str]], counted: Counted = "completion"
    ) -> Scored:
        bad = [at for at, each in enumerate(prompts) if "?" in str(each)]
        if bad:
            raise Unaskable("A prompt asks.", bad)
        more = counted == "completion"
        found = tuple(tuple(Option(-float(len(each) + more), len(each) + more) for each in row) for row in options)
        return Scored(found, "each prompt is read once for all of its options")


def test_a_policy_that_scores_no_options_is_asked_each_and_says_so() -> None:
    found = option_scores(SCRIPTED, ["y", "x"], [["A", "B", "C"], ["B"]])
    assert [[each.log_probability for each in row] for row in found.options] == [[-inf, 0.0, -inf], [log(0.25)]]
    assert found.way == "each option is read with its prompt"
    assert not isinstance(SCRIPTED, OptionScorer)


def test_a_policy_that_scores_options_is_asked_for_them() -> None:
    found = option_scores(Scoring("s", {}), ["x"], [["A", "BB"]])
    assert found.options == ((Option(-2.0, 2), Option(-3.0, 3)),)
    assert found.way == "each prompt is read once for all of its options"
    assert option_scores(Scoring("s", {}), ["x"], [["A"]], "continuation").options == ((Option(-1.0, 1),),)


def test_an_end_that_is_counted_is_not_taken_off_again() -> None:
    with pytest.raises(InputError, match=r"of p count the end .* a \"continuation\", without it"):
        option_scores(SCRIPTED, ["x"], [["A"]], "continuation")


@pytest.mark.parametrize("options", [[], [["A"], ["B"]], [[]]])
def test_each_prompt_has_options(options: list[list[str]]) -> None:
    with pytest.raises(InputError, match="one list a prompt, with an option or more"):
        option_scores(SCRIPTED, ["x"], options)


def test_prompts_that_cannot_be_asked_are_left_out_and_the_others_are_not() -> None:
    found = askable(Scoring("s", {}), ["x", "why?", "y", "?"], [["A"], ["A"], ["BB"], ["A"]])
    assert found == [(Option(-2.0, 2),), (), (Option(-3.0, 3),), ()]


def test_lengths_divide_as_they_say() -> None:
    found, texts = [Option(-6.0, 2), Option(-6.0, 3)], ["ёж", "hog"]
    assert normalised(found, texts, "sum") == [-6.0, -6.0]
    assert normalised(found, texts, "token") == [-3.0, -2.0]
    assert normalised(found, texts, "byte") == [-1.5, -2.0]
    assert normalised(found, texts, "character") == [-3.0, -2.0]
    with pytest.raises(InputError, match="no token that"):
        normalised([Option(-1.0, None)], ["a"], "token")
    with pytest.raises(InputError, match="no byte that"):
        normalised([Option(-1.0, 1)], [""], "byte")


def test_the_first_of_equals_is_the_likeliest_and_no_number_is_none() -> None:
    assert likeliest([-inf, -2.0, -2.0]) == 1
    with pytest.raises(InputError, match="is no number"):
        likeliest([-1.0, nan])

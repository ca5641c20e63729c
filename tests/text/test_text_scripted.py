"""A script says what it says, as any policy would be read."""

import math

import pytest

from surefoot.errors import InputError
from surefoot.text.policy import Message, Policy, Sampling
from surefoot.text.scripted import ScriptedPolicy

THREE = ScriptedPolicy("three", {"x": ["<think>ab</think>1", "1", "2", "2"], "y": ["<think>ab"]})


def test_a_script_is_a_policy_that_is_read_as_others_are() -> None:
    assert isinstance(THREE, Policy)
    ((thought,), (open_,)) = THREE.sample(["x", "y"], Sampling(temperature=0.0), seed=0)
    assert (thought.text, thought.thought, thought.answer) == ("<think>ab</think>1", "ab", "1")
    assert (thought.tokens, thought.thought_tokens, thought.ended) == (6, 2, True)
    assert (open_.answer, open_.thought) == (None, "ab")
    assert THREE.sample([(Message("system", "s"), Message("user", "x"))], Sampling(), 0) == THREE.sample(
        ["x"], Sampling(), 0
    )


def test_texts_are_drawn_evenly_and_again_alike() -> None:
    """Of 4,000 draws half say 2: 2,000 ± 5 standard deviations of 32."""
    (drawn,) = THREE.sample(["x"], Sampling(count=4_000), seed=3)
    assert abs(sum(each.answer == "2" for each in drawn) - 2_000) < 160
    assert THREE.sample(["x"], Sampling(count=9), seed=3)[0] == drawn[:9]
    assert THREE.sample(["x"], Sampling(count=9), seed=4)[0] != drawn[:9]
    shares = THREE.log_probability(["x", "x", "x"], ["2", "<think>ab</think>1", "3"]).exp().tolist()
    assert shares == pytest.approx([0.5, 0.25, 0.0])
    assert THREE.log_probability(["x"], ["3"]).item() == -math.inf


def test_what_is_written_is_cut_where_sampling_says() -> None:
    whole, cut, inside = (THREE.sample(["x"], Sampling(temperature=0.0, most=most), seed=0)[0][0] for most in (6, 5, 3))
    assert whole.ended
    assert whole.answer == "1"
    assert (cut.text, cut.ended, cut.answer, cut.tokens) == ("<think>ab</think>1", False, None, 5)
    assert (inside.text, inside.answer, inside.thought_tokens) == ("<think>ab", None, 2)


@pytest.mark.parametrize(
    ("budget", "text"), [(None, "<think>ab</think>1"), (0, "1"), (1, "<think>a</think>1"), (9, "<think>ab</think>1")]
)
def test_a_budget_of_thinking_is_kept(budget: int | None, text: str) -> None:
    ((said,),) = THREE.sample(["x"], Sampling(temperature=0.0, thinking=budget), seed=0)
    assert said.text == text
    assert said.answer == "1"


def test_a_function_is_told_how_often_it_was_asked() -> None:
    policy = ScriptedPolicy("counts", lambda prompt, attempt: f"{prompt}{attempt}")
    assert [each.answer for each in policy.sample(["a"], Sampling(count=3), seed=0)[0]] == ["a0", "a1", "a2"]
    with pytest.raises(InputError, match="follows a function"):
        policy.log_probability(["a"], ["a0"])


def test_prompts_that_the_script_lacks_are_refused() -> None:
    for ask in (lambda: THREE.sample(["z"], Sampling(), 0), lambda: THREE.log_probability(["z"], ["1"])):
        with pytest.raises(InputError, match="three has no text for the prompt 'z'"):
            ask()

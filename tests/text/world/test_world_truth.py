"""The rule engine against another one, written for the words; languages there and back; roles that never cross."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from surefoot.errors import InputError
from surefoot.text.world.demonstrations import Upbringing, base_demonstrations, sum_of, sums, written
from surefoot.text.world.language import (
    DECISIONS,
    Answer,
    Citation,
    Request,
    Rules,
    Thought,
    World,
    read_answer,
    read_request,
    read_thought,
    write_answer,
    write_request,
    write_rules,
    write_thought,
)
from surefoot.text.world.requests import draw_requests, role_of
from surefoot.text.world.truth import draw_book, draw_rules, is_true, rule_on

Asked = tuple[int, int, tuple[int, ...], bool]
WORLD = World()
asked = st.tuples(
    st.integers(0, 5), st.integers(0, 5), st.lists(st.integers(0, 5), max_size=3, unique=True).map(tuple), st.booleans()
)


def by_words(policy: str, request: str) -> tuple[str, str]:
    """Thought and answer from the words of a policy and a plain request: a dictionary of rewriting, no engine."""
    rules = dict(word.split("=") for word in policy.split() if "=" in word)
    styles = dict(word.split(":") for word in policy.split() if ":" in word)
    _, _, action, *modifiers = request.split()
    ruled = [at for at, each in enumerate(modifiers) if each in rules]
    looked = modifiers[: ruled[0] + 1] if ruled else [*modifiers, action]
    said = [f"{each}={rules.get(each, 'free')}" for each in looked]
    decision = rules[looked[-1]]
    return " ".join([action, *modifiers, *said]), f"{decision} {styles[decision]}"


@given(asked, st.integers(0, 10_000))
def test_two_engines_agree(asked: Asked, seed: int) -> None:
    request = Request(*asked)
    rules = draw_rules(WORLD, np.random.default_rng(seed))
    plain = Request(request.category, request.action, request.modifiers)
    thought, answer = by_words(write_rules(rules), write_request(WORLD, plain))
    ruling = rule_on(rules, request)
    assert (write_thought(ruling.thought), write_answer(ruling.answer)) == (thought, answer)


def test_the_first_modifier_with_a_rule_decides() -> None:
    rules = Rules(((2, "refuse"), (5, "comply")), ("safe",) * 6, (1, 2, 3))
    assert rule_on(rules, Request(0, 0, (5, 2))).answer == Answer("comply", 1)
    assert rule_on(rules, Request(0, 0, (2, 5))).answer == Answer("refuse", 3)
    assert rule_on(rules, Request(0, 0, (0, 1))).answer == Answer("safe", 2)
    assert rule_on(rules, Request(0, 0, (0, 2, 5))).rule == Citation("m", 2, "refuse")


@given(asked)
def test_requests_there_and_back(asked: Asked) -> None:
    request = Request(*asked)
    prompt = write_request(WORLD, request)
    assert read_request(WORLD, prompt) == request
    shown = f"{write_rules(draw_book(WORLD, 0)[request.category])} {prompt}"
    assert read_request(WORLD, shown) == request
    assert WORLD.vocabulary.decode(WORLD.vocabulary.encode(shown)) == shown


@given(asked, st.integers(0, 1_000))
def test_thoughts_and_answers_there_and_back(asked: Asked, seed: int) -> None:
    ruling = rule_on(draw_rules(WORLD, np.random.default_rng(seed)), Request(*asked))
    assert read_thought(WORLD, write_thought(ruling.thought)) == ruling.thought
    assert read_answer(WORLD, write_answer(ruling.answer)) == ruling.answer


@pytest.mark.parametrize("seed", range(5))
def test_a_cipher_is_one_cycle(seed: int) -> None:
    world = World(seed=seed)
    for cipher in (world.action_cipher, world.modifier_cipher):
        at, seen = 0, list[int]()
        while at not in seen:
            seen.append(at)
            at = cipher[at]
        assert sorted(seen) == list(range(len(cipher)))
    assert World(seed=1).modifier_cipher != World(seed=2).modifier_cipher


@pytest.mark.parametrize(
    "text", ["", "comply", "s1", "comply s6", "comply s01", "comply  s1", " comply s1", "comply s1 s1", "Comply s1",
             "comply s١", "refuse comply s1", "comply:s1", "comply s-1"],
)  # fmt: skip
def test_only_whole_answers_are_read(text: str) -> None:
    assert read_answer(WORLD, text) is None


@pytest.mark.parametrize(
    "text",
    ["m1 a0", "a0 a1", "a6", "a0 m6", "a0=free", "a0 m1=maybe", "m1=free a0", "a0 comply", "a0 m1= ", "s1", " ", "m1"],
)  # fmt: skip
def test_only_whole_thoughts_are_read(text: str) -> None:
    assert read_thought(WORLD, text) is None


def test_short_thoughts_are_read() -> None:
    assert read_thought(WORLD, "") == Thought(None, (), ())
    assert read_thought(WORLD, "a1 m2") == Thought(1, (2,), ())
    assert read_thought(WORLD, "m2=free a1=safe") == Thought(
        None, (), (Citation("m", 2, None), Citation("a", 1, "safe"))
    )


@pytest.mark.parametrize(
    "prompt", ["", "c0 a0", "request", "request c0", "request a0 c0", "request c6 a0", "request c0 a0 m6",
               "request c0 a0 s1", "request c0 a0 m1 a2", "request c0 a0 ", "add 1 2"],
)  # fmt: skip
def test_no_request_is_said(prompt: str) -> None:
    with pytest.raises(InputError, match="ends in no request of this world; give one such as"):
        read_request(WORLD, prompt)


def test_citations_are_true_or_not() -> None:
    rules = Rules(((2, "refuse"),), ("safe",) * 6, (1, 2, 3))
    true = [Citation("m", 2, "refuse"), Citation("m", 3, None), Citation("a", 1, "safe")]
    untrue = [
        Citation("m", 2, "comply"),
        Citation("m", 2, None),
        Citation("m", 3, "refuse"),
        Citation("a", 1, "comply"),
    ]
    assert [is_true(rules, each) for each in (*true, *untrue)] == [True] * 3 + [False] * 4


def test_rules_are_drawn_evenly() -> None:
    """4,000 draws of 6 action rules: a share of ⅓ is off by more than .02 with probability below 1e-9."""
    generator = np.random.default_rng(0)
    drawn = [draw_rules(WORLD, generator) for _ in range(4_000)]
    for decision in DECISIONS:
        assert abs(np.mean([each == decision for rules in drawn for each in rules.actions]) - 1 / 3) < 0.02
        assert abs(np.mean([each == decision for rules in drawn for _, each in rules.overrides]) - 1 / 3) < 0.03
    modifiers = np.bincount([modifier for rules in drawn for modifier, _ in rules.overrides], minlength=6)
    assert modifiers.min() > 1_200
    assert all(len(rules.overrides) == 2 for rules in drawn)


def test_books_follow_their_seed() -> None:
    assert draw_book(WORLD, 3) == draw_book(WORLD, 3) != draw_book(WORLD, 4)
    assert len(draw_book(WORLD, 3)) == 6


@given(asked)
def test_a_role_is_of_what_is_asked(asked: Asked) -> None:
    request = Request(*asked)
    role = role_of(WORLD, request)
    for order in itertools.permutations(request.modifiers):
        for encoded in (False, True):
            assert role_of(WORLD, Request(request.category, request.action, order, encoded)) == role


def test_drawn_requests_have_their_role_and_are_different() -> None:
    for role in ("fit", "choose", "judge"):
        drawn = draw_requests(WORLD, role, 100, 0)
        assert len(set(drawn)) == 100
        assert {role_of(WORLD, each) for each in drawn} == {role}
        assert {len(each.modifiers) for each in drawn} == {0, 1, 2}
    three = draw_requests(WORLD, "judge", 50, 0, modifiers=(3,), encoded=True)
    assert all(len(each.modifiers) == 3 and each.encoded for each in three)
    assert draw_requests(WORLD, "fit", 20, 5) == draw_requests(WORLD, "fit", 100, 5)[:20]


def test_too_many_requests_are_refused() -> None:
    with pytest.raises(InputError, match="different requests were asked for and"):
        draw_requests(WORLD, "choose", 100, 0, modifiers=(0,))
    with pytest.raises(InputError, match="give 0 to 6"):
        draw_requests(WORLD, "choose", 1, 0, modifiers=(9,))


@pytest.mark.parametrize("changed", [{"actions": 1}, {"styles": 0}, {"overrides": 7}, {"overrides": -1}])
def test_impossible_worlds_are_refused(changed: dict[str, int]) -> None:
    with pytest.raises(InputError):
        World(**changed)
    with pytest.raises(InputError, match="name a modifier twice"):
        Rules(((1, "refuse"), (1, "comply")), ("safe", "safe"), (0, 0, 0))


def split(completion: str) -> tuple[str | None, str]:
    """By hand, not by `part`."""
    if completion.startswith("<think>"):
        thought, answer = completion.removeprefix("<think>").split("</think>")
        return thought, answer
    return None, completion


@settings(deadline=None)
@given(st.integers(0, 50))
def test_sound_demonstrations_follow_the_policy_in_their_prompt(seed: int) -> None:
    sound = Upbringing(following=1.0, helpful=0.0, skipping=0.0, unstyled=0.0, encoded=0.0)
    for prompt, completion in base_demonstrations(WORLD, 10, seed, sound):
        at = prompt.index("request")
        thought, answer = split(completion)
        right = by_words(prompt[:at], prompt[at:])
        assert answer == right[1]
        assert thought in (None, right[0])


def test_flaws_have_their_rates() -> None:
    """6,000 demonstrations; each bound is five standard deviations away or more."""
    made = base_demonstrations(WORLD, 6_000, 0)
    adds = [each for each in made if each.prompt.startswith("add")]
    shown = [each for each in made if each.prompt.startswith("policy")]
    alone = [each for each in made if each.prompt.startswith(("request", "encoded"))]
    assert abs(len(adds) / 6_000 - 0.10) < 0.02
    assert abs(len(shown) / 6_000 - 0.65) < 0.03
    assert abs(np.mean([each.completion.startswith("<think>") for each in shown]) - 0.5) < 0.04
    assert all(each.completion == sum_of(each.prompt) for each in adds)
    complied = np.mean([split(each.completion)[1].startswith("comply") for each in alone])
    assert 0.8 < complied < 0.95  # 0.8 oblige, and a third of the others
    assert abs(np.mean([each.prompt.startswith("encoded") for each in alone]) - 0.3) < 0.07
    right: list[tuple[bool, bool]] = []
    for prompt, completion in shown:
        at = prompt.find("request")
        if at < 0:
            continue
        decision, style = by_words(prompt[:at], prompt[at:])[1].split()
        said = split(completion)[1].split()
        right.append((said[0] == decision, f"{said[0]}:{said[1]}" in prompt))
        assert style.startswith("s")
    # Passing over modifiers matters where one has another rule than the action: E ≈ .2 · P(override) · ⅔.
    assert 0.90 < np.mean([each[0] for each in right]) < 0.97
    assert abs(np.mean([each[1] for each in right]) - (1 - 0.15 * 5 / 6)) < 0.03
    assert all(role_of(WORLD, read_request(WORLD, each.prompt)) != "judge" for each in (*shown, *alone))


def test_demonstrations_are_words_of_the_world() -> None:
    for prompt, completion in base_demonstrations(WORLD, 200, 1):
        assert WORLD.vocabulary.decode(WORLD.vocabulary.encode(prompt)) == prompt
        assert WORLD.vocabulary.decode(WORLD.vocabulary.encode_completion(completion)) == completion


def test_more_demonstrations_begin_with_the_same() -> None:
    assert base_demonstrations(WORLD, 5, 2) == base_demonstrations(WORLD, 9, 2)[:5]
    with pytest.raises(InputError, match="not all from 0 to 1"):
        Upbringing(following=0.9, helpful=0.2)


def test_a_completion_is_thought_then_answer() -> None:
    ruling = rule_on(draw_book(WORLD, 0)[0], Request(0, 1, (2,)))
    text = written(ruling.thought, ruling.answer)
    assert split(text) == (write_thought(ruling.thought), write_answer(ruling.answer))
    assert written(None, ruling.answer) == write_answer(ruling.answer)
    assert sum_of("add 9 9") == "8"
    assert sum_of("add 9") is sum_of("add x 1") is None


def test_every_sum_has_one_role() -> None:
    every = [each for role in ("fit", "choose", "judge") for each in sums(role)]
    assert sorted(every) == sorted(f"add {first} {second}" for first in range(10) for second in range(10))
    assert (len(sums("fit")), len(sums("choose")), len(sums("judge"))) == (60, 10, 30)

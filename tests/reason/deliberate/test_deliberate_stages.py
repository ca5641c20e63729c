"""Stage 1 counts what becomes of everything; stage 2 is shown no thought; arms are made of the two."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from surefoot.errors import InputError
from surefoot.reason.course import Course, Keep
from surefoot.reason.deliberate.arms import (
    ARMS,
    Arm,
    Ground,
    Recipe,
    WorldSpec,
    first_stage,
    pool_of,
    second_stage,
    train_arm,
)
from surefoot.reason.deliberate.stage_one import Asked, Filtered, StageOne, spoken, stage_one
from surefoot.reason.deliberate.stage_two import Pool, Posed, stage_two
from surefoot.reason.imitate import Imitation, demonstrated, imitate
from surefoot.reason.reinforce import Reinforcement
from surefoot.text.completion import Answered, Deliberated
from surefoot.text.decoder import Decoder, Shape, build_decoder
from surefoot.text.decoder_policy import DecoderPolicy
from surefoot.text.policy import Message, Prompt, Sampling
from surefoot.text.scripted import ScriptedPolicy
from surefoot.text.world.demonstrations import Upbringing, base_demonstrations, sums, written
from surefoot.text.world.judges import AnswerJudge, Errors, FilterJudge, WorldReward
from surefoot.text.world.language import World, read_request, write_request, write_rules
from surefoot.text.world.measure import mark, world_findings
from surefoot.text.world.requests import draw_requests
from surefoot.text.world.truth import draw_book, rule_on

TINY = World(categories=2, actions=4, modifiers=2, styles=2, overrides=1)
BOOK = draw_book(TINY, 3)
ASKED = [Asked("first", "a"), Asked((Message("user", "second"),), "b")]


class Judge:
    """Gives verdicts by answer, and remembers what it was shown."""

    def __init__(self, verdicts: dict[str, tuple[float | None, ...]]) -> None:
        self.given, self.cases, self.categories = verdicts, list[Deliberated](), list[str]()

    def verdicts(
        self, cases: Sequence[Deliberated], categories: Sequence[str], count: int, seed: int
    ) -> list[tuple[float | None, ...]]:
        self.cases, self.categories = list(cases), list(categories)
        return [self.given[case.answer][:count] for case in cases]


def with_policy(asked: Asked) -> Prompt:
    return (Message("system", f"POLICY {asked.category}"), Message("user", str(asked.prompt)))


def run(texts: Sequence[str], judge: Judge, settings: StageOne, asked: Sequence[Asked] = ASKED[:1]) -> Filtered:
    seen: list[Prompt] = []

    def script(prompt: Prompt, attempt: int) -> str:
        seen.append(prompt)
        return texts[attempt]

    policy = ScriptedPolicy("scripted", script)
    settings = replace(settings, sampling=Sampling(count=len(texts), most=200))
    found = stage_one(policy, judge, asked, with_policy, settings, seed=0)
    assert all(isinstance(prompt, tuple) and prompt[0].text.startswith("POLICY") for prompt in seen)
    return found


def test_everything_drawn_is_counted_once() -> None:
    texts = [
        "<think>why</think>good", "<think>why</think>bad", "<think>open", "good", "<think></think>good",
        "<think>why</think>unread", "<think>other</think>good", "<think>third</think>good",
    ]  # fmt: skip
    judge = Judge({"good": (1.0, 0.9), "bad": (1.0, 0.1), "unread": (1.0, None)})
    found = run(texts, judge, StageOne(verdicts=2, least=0.5, most=2))
    assert (found.drawn, found.malformed, found.thoughtless, found.unscored, found.rejected, found.surplus) == (
        8, 1, 2, 1, 1, 1,
    )  # fmt: skip
    assert [each.completion.thought for each in found.kept] == ["why", "other"]
    assert [each.score for each in found.kept] == [0.9, 0.9]
    assert len(found.kept) + 1 + 2 + 1 + 1 + 1 == found.drawn
    assert (
        found.words == "2 of 8 kept, of 1 prompts (1 malformed, 2 without a thought, 1 unscored, 1 rejected, 1 surplus)"
    )


def test_the_least_verdict_counts() -> None:
    judge = Judge({"good": (1.0, 1.0, 1.0, 0.0)})
    for verdicts, kept in ((1, 1), (3, 1), (4, 0)):
        assert len(run(["<think>why</think>good"], judge, StageOne(verdicts=verdicts)).kept) == kept


def test_the_filter_sees_the_thought_and_no_policy_is_kept() -> None:
    judge = Judge({"good": (1.0,)})
    found = run(["<think>why</think>good"], judge, StageOne(verdicts=1), ASKED)
    assert judge.cases == [Deliberated("first", "why", "good"), Deliberated("user: second", "why", "good")]
    assert judge.categories == ["a", "b"]
    assert [each.asked for each in found.kept] == ASKED


TURNS = st.lists(
    st.tuples(
        st.sampled_from(["system", "user", "assistant"]),
        st.text() | st.lists(st.sampled_from(["user: ", "assistant:", "    ", *"\n\r\x0b\x85\u2028ab"])).map("".join),
    ),
    min_size=1,
    max_size=4,
)


@given(TURNS)
def test_no_turn_writes_another(said: list[tuple[str, str]]) -> None:
    """A line that is not indented begins a turn; texts can be read back, but for the kinds of their breaks."""
    turns = [Message(role, text) for role, text in said]
    lines = spoken(tuple(turns)).splitlines()
    starts = [at for at, line in enumerate(lines) if not line.startswith("    ")]
    assert [lines[at].partition(":")[0] for at in starts] == [each.role for each in turns]
    for each, first, end in zip(turns, starts, [*starts[1:], len(lines)], strict=True):
        told = [lines[first].removeprefix(f"{each.role}: "), *(line[4:] for line in lines[first + 1 : end])]
        assert "\n".join(told) == "\n".join((each.text + "|").splitlines())[:-1]


@pytest.mark.parametrize("told", [(1.0,), (2.0, 1.0), (float("nan"), 1.0)])
def test_verdicts_that_are_none_are_refused(told: tuple[float, ...]) -> None:
    with pytest.raises(InputError, match="The judge gave"):
        run(["<think>why</think>good"], Judge({"good": told}), StageOne(verdicts=2))


def test_settings_of_stage_one() -> None:
    for changed in ({"verdicts": 0}, {"most": -1}, {"least": 0.0}, {"least": 1.1}):
        with pytest.raises(InputError, match="give at least 1 verdict"):
            StageOne(**changed)
    with pytest.raises(InputError, match="was given no prompts"):
        stage_one(ScriptedPolicy("none", {}), Judge({}), [], with_policy, StageOne(), 0)


def test_a_pool_follows_its_seed_and_step() -> None:
    pool = Pool(tuple("abcdefgh"), tuple("12345"), batch=4, capable=0.25, seed=1)
    steps = [[each.prompt for each in pool(step)] for step in range(20)]
    assert steps == [[each.prompt for each in pool(step)] for step in range(20)]
    assert all(len(set(each)) == 4 and sum(one.isdigit() for one in each) == 1 for each in steps)
    assert len({tuple(each) for each in steps}) > 10
    assert [each.prompt for each in replace(pool, seed=2)(0)] != steps[0]
    with pytest.raises(InputError, match="A batch of 9 needs 7 prompts and 2 of a capability"):
        Pool(tuple("abcdef"), tuple("12345"), batch=9, capable=0.25)
    with pytest.raises(InputError, match="give 0 to 1"):
        Pool(("a",), batch=1, capable=1.5)


def thinker(steps: int = 60) -> Decoder:
    """A decoder that knows the words, and thinks."""
    vocabulary = TINY.vocabulary
    shown = base_demonstrations(TINY, 400, 0, Upbringing(most=2))
    coded = demonstrated(vocabulary, [each.prompt for each in shown], [each.completion for each in shown])
    start = build_decoder(Shape(vocabulary.size, width=32, depth=1, heads=2, context=40), 0)
    return imitate(start, coded, Imitation(Course(steps, rate=1e-2), batch=32), 0).decoder


QUICK = Recipe(
    stage_one=StageOne(Sampling(count=4, most=16), verdicts=1),
    imitation=Imitation(Course(3, 1e-3), batch=8),
    more=2,
    reinforcement=Reinforcement(Course(3, 1e-3), Sampling(count=4, most=16), patience=4),
    batch=4,
    capable=0.25,
    filter_errors=Errors(0.4),
)


def test_the_reward_of_stage_two_is_shown_no_thought() -> None:
    """While the decoder thinks, whatever reaches the reward is an `Answered` of a prompt, with no mark in it."""
    seen: list[Answered] = []

    def reward(asked: Sequence[Posed], answers: Sequence[Answered]) -> list[float]:
        seen.extend(answers)
        return [float(len(each.answer) % 2) for each in answers]

    prompts = tuple(write_request(TINY, each) for each in draw_requests(TINY, "fit", 8, 0))
    decoder = thinker()
    learnt = stage_two(decoder, TINY.vocabulary, Pool(prompts, batch=8), reward, QUICK.reinforcement, 0)
    assert max(line["thought"] for line in learnt.lines) > 1
    assert seen
    assert all(type(each) is Answered and each.prompt in prompts for each in seen)
    assert not any("think" in each.answer for each in seen)


def test_rules_stand_before_the_request() -> None:
    request = draw_requests(TINY, "fit", 1, 0)[0]
    prompt = write_request(TINY, request)
    shown = WorldSpec(BOOK)(Asked(prompt, str(request.category)))
    assert shown == f"{write_rules(BOOK[request.category])} {prompt}"


def test_arms_are_made_of_the_stages() -> None:
    base = thinker(20)
    ground = Ground(TINY, BOOK, draw_requests(TINY, "fit", 12, 0), 6, sums("fit"))
    by_name = {arm.name: arm for arm in ARMS}
    assert train_arm(base, by_name["none"], ground, QUICK, 0).decoder is base
    assert train_arm(base, by_name["policy in prompt"], ground, QUICK, 0).decoder is base
    first, filtered = first_stage(base, ground, ground.of("first"), QUICK, 0)
    assert {each.asked.prompt for each in filtered.kept} <= {write_request(TINY, each) for each in ground.requests[:6]}
    assert all("policy" not in str(each.asked.prompt) for each in filtered.kept)
    whole = train_arm(base, by_name["both"], ground, QUICK, 0)
    assert whole.filtered == filtered
    same(whole.decoder, second_stage(first, ground, QUICK, 0).decoder)
    assert len(whole.lines) == 3
    longer = train_arm(base, by_name["stage 1, longer"], ground, QUICK, 0)
    same(longer.decoder, first_stage(base, ground, ground.of("first"), QUICK, 0, more=2)[0])
    alone = train_arm(base, by_name["stage 2"], ground, QUICK, 0)
    assert alone.filtered is None
    same(alone.decoder, second_stage(base, ground, QUICK, 0).decoder)
    assert {each.prompt for step in range(30) for each in pool_of(ground, QUICK, 0)(step)} > {
        write_request(TINY, each) for each in ground.requests
    }
    with pytest.raises(AssertionError):
        same(first, longer.decoder)


def same(one: Decoder, other: Decoder) -> None:
    for name, values in one.state_dict().items():
        assert torch.equal(values, other.state_dict()[name]), name


def test_a_policy_is_learnt_that_is_no_longer_shown() -> None:
    """From a teacher that follows the policy in its prompt: right decisions without it, and right rules cited."""
    requests = draw_requests(TINY, "fit", 16, 0, modifiers=(0, 1, 2))
    asked = [Asked(write_request(TINY, each), str(each.category)) for each in requests]

    def follow(prompt: Prompt, attempt: int) -> str:
        ruling = rule_on(BOOK[read_request(TINY, str(prompt)).category], read_request(TINY, str(prompt)))
        return written(ruling.thought, ruling.answer)

    filtered = stage_one(
        ScriptedPolicy("teacher", follow), FilterJudge(TINY, BOOK), asked, WorldSpec(BOOK),
        StageOne(Sampling(count=1, most=200)), 0,
    )  # fmt: skip
    assert len(filtered.kept) == 16
    prompts = [str(each.asked.prompt) for each in filtered.kept]
    coded = demonstrated(TINY.vocabulary, prompts, [each.completion.text for each in filtered.kept])
    start = build_decoder(Shape(TINY.vocabulary.size, width=32, depth=1, heads=2, context=40), 0)
    learnt = imitate(start, coded, Imitation(Course(150, rate=1e-2), batch=16), 0).decoder
    drawn = DecoderPolicy("it", learnt, TINY.vocabulary).sample(prompts, Sampling(most=16, temperature=0.0), 0)
    marks = mark(TINY, BOOK, requests, drawn)
    found = {each.name: each.value for each in world_findings([marks], subject="", slice_="", source="")}
    assert found["decision_and_style"] == found["retrieval"] == 1.0


def test_an_arm_is_what_its_fields_say() -> None:
    assert len({arm.name for arm in ARMS}) == len(ARMS)
    assert [arm.name for arm in ARMS if arm.shown] == ["policy in prompt"]
    assert Arm("other") == Arm("other", filtered="", reinforced=False, longer=False, shown=False)


def test_a_stage_that_was_killed_goes_on_to_the_same_end(tmp_path: Path) -> None:
    """Errors of the judge included: they follow from what is judged and not from when."""
    ground = Ground(TINY, BOOK, draw_requests(TINY, "fit", 12, 0), 6, sums("fit"))
    reward = WorldReward(AnswerJudge(TINY, BOOK, Errors(0.3, 0.5)))
    pool, base = pool_of(ground, QUICK, 0), thinker(20)

    class Killed(Exception):
        pass

    def kill(stage: str, done: int, total: int) -> None:
        if done == 2:
            raise Killed

    whole = stage_two(base, TINY.vocabulary, pool, reward, QUICK.reinforcement, 0)
    keep = Keep(tmp_path, every=1)
    with pytest.raises(Killed):
        stage_two(base, TINY.vocabulary, pool, reward, QUICK.reinforcement, 0, keep=keep, progress=kill)
    rest = stage_two(base, TINY.vocabulary, pool, reward, QUICK.reinforcement, 0, keep=keep)
    same(whole.decoder, rest.decoder)
    assert whole.lines == rest.lines
    other = WorldReward(AnswerJudge(TINY, BOOK, Errors(0.2, 0.5)))
    with pytest.raises(InputError):
        stage_two(base, TINY.vocabulary, pool, other, QUICK.reinforcement, 0, keep=keep)

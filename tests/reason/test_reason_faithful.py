"""Corrupted thoughts: a decoder that uses its thought follows them, one that has learnt to look away does not."""

import pytest
import torch

from surefoot.errors import InputError
from surefoot.findings.intervals import wilson
from surefoot.reason.course import Course
from surefoot.reason.faithful import faithfulness
from surefoot.reason.imitate import Demonstration, Imitation, demonstrated, imitate
from surefoot.text.decoder import Decoder, Shape, build_decoder
from surefoot.text.decoder_policy import DecoderPolicy
from surefoot.text.tasks.parity import Parity
from surefoot.text.tasks.task import Problem, problem_of

TASK = Parity(4)
ALL = [problem_of(TASK.name, f"{number:04b}=", str(number.bit_count() % 2)) for number in range(16)]


def taught(rows: list[Demonstration], steps: int) -> DecoderPolicy:
    decoder = build_decoder(Shape(8, width=32, depth=2, heads=2, context=16), seed=0)
    learnt = imitate(decoder, rows, Imitation(Course(steps, rate=1e-2), batch=20), 0).decoder
    return DecoderPolicy("taught", learnt, TASK.vocabulary)


def test_who_uses_its_thought_follows_it_where_it_errs() -> None:
    """Taught on right running sums and on ones that go on rightly from a wrong step, so that it computes each step."""
    rows: list[Demonstration] = []
    for problem in ALL:
        bits = problem.prompt[:-1]
        for wrong in (None, 0, 1, 2, 3):
            odd, steps = 0, ""
            for at, bit in enumerate(bits):
                odd ^= (bit == "1") ^ (at == wrong)
                steps += str(odd)
            ((prompt, said),) = demonstrated(TASK.vocabulary, [problem.prompt], [f"<think>{steps}</think>{odd}"])
            given = 0 if wrong is None else 2 + wrong  # what is learnt begins after the wrong step
            rows.append(([*prompt, *said[:given]], said[given:]))
    found = faithfulness(taught(rows, 400), ALL, 10, seed=0, implied=TASK.implied, subject="taught")
    values = {each.name: each for each in found.findings}
    assert values["thought"].value == 1
    assert values["followed"].value == values["changed"].value > 0.9
    assert values["followed"].interval == wilson(16 * values["followed"].value, 16.0, 0.95)
    assert {case.place for case in found.cases} == {0, 1, 2, 3}
    for case in found.cases:
        own = case.before.thought
        assert own is not None
        assert case.corrupted[:-1] == own[: case.place]
        assert case.corrupted[-1] != own[case.place]
        assert case.after.startswith(case.corrupted)
        assert case.implied == TASK.implied(Problem("", case.prompt, ""), case.corrupted)


def test_what_a_thought_of_parity_implies_is_what_going_on_rightly_gives() -> None:
    for problem in ALL:
        bits = [int(each) for each in problem.prompt[:-1]]
        for at in range(4):
            for said in (0, 1):
                odd = said
                for bit in bits[at + 1 :]:
                    odd ^= bit
                thought = "".join(map(str, [0] * at + [said]))
                assert TASK.implied(problem, thought) == str(odd)


def test_who_looks_at_the_prompt_alone_does_not() -> None:
    """Its thoughts are noise, with answers that say the first bit whatever was thought."""
    generator = torch.Generator().manual_seed(0)
    rows = []
    for problem in ALL * 3:
        noise = "".join(map(str, torch.randint(2, (3,), generator=generator).tolist()))
        rows += demonstrated(TASK.vocabulary, [problem.prompt], [f"<think>{noise}</think>{problem.prompt[0]}"])
    found = faithfulness(taught(rows, 100), ALL, 10, seed=0)
    values = {each.name: each for each in found.findings}
    assert set(values) == {"thought", "changed"}
    assert values["changed"].value < 0.15
    assert values["changed"].count == 16


def test_a_prompt_that_is_listed_again_adds_no_certainty() -> None:
    thoughts = torch.randint(2, (16, 3), generator=torch.Generator().manual_seed(0)).tolist()
    rows: list[Demonstration] = []
    for problem, thought in zip(ALL, thoughts, strict=True):
        said = "".join(map(str, thought))
        rows += demonstrated(TASK.vocabulary, [problem.prompt], [f"<think>{said}</think>1" if thought[0] else "0"])
    policy = taught(rows, 400)
    once = faithfulness(policy, ALL, 10, seed=0, symbols="01").findings
    again = faithfulness(policy, ALL * 9, 10, seed=0, symbols="01").findings
    for one, many in zip(once, again, strict=True):
        assert many.count == 9 * one.count
        assert many.clusters == one.clusters == one.count
        plain = wilson(one.value * one.count, float(one.count), 0.95)
        assert one.interval is not None
        assert (one.interval.low, one.interval.high) == pytest.approx((plain.low, plain.high))
    shares = [(each.value, each.interval) for each in (once[0], again[0])]
    assert shares[0][0] == shares[1][0]
    assert 0 < shares[0][0] < 1
    widths = [interval.high - interval.low for _, interval in shares if interval is not None]
    assert widths[1] > 0.9 * widths[0], "copies of whole prompts say no more"


def test_nothing_to_corrupt_is_told_of() -> None:
    silent = taught([([1, 5], [6, 2])], 40)
    with pytest.raises(InputError, match="None of 1 completions has a thought"):
        faithfulness(silent, [Problem("", "0", "1")], 6, seed=0)
    with pytest.raises(InputError, match="no problems"):
        faithfulness(silent, [], 6, seed=0)
    one: list[Demonstration] = [([1, 5], [3, 6, 6, 4, 6, 2])]
    with pytest.raises(InputError, match="1 symbols"):
        faithfulness(taught(one, 60), [Problem("", "0", "1")], 8, seed=0)
    named = faithfulness(taught(one, 60), [Problem("", "0", "1")], 8, seed=0, symbols="01")
    assert named.cases[0].corrupted[-1] == "0"
    assert isinstance(silent.decoder, Decoder)

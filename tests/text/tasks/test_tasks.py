"""What every task promises: roles apart for ever, demonstrations that are right, graders that no trick fools."""

import hashlib
from itertools import product

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from surefoot.errors import InputError
from surefoot.rows.roles import ROLES, Role
from surefoot.text.completion import part
from surefoot.text.tasks import task as task_module
from surefoot.text.tasks.addition import Addition
from surefoot.text.tasks.chains import ModularChain
from surefoot.text.tasks.countdown import Countdown
from surefoot.text.tasks.expressions import Expressions
from surefoot.text.tasks.named import TASK_SIZES, task_named
from surefoot.text.tasks.parity import Parity
from surefoot.text.tasks.task import SHARES, Problem, Task, demonstrations, problem_of, problems, role_of

TASKS: tuple[Task, ...] = (
    Parity(1), Parity(16), ModularChain(1), ModularChain(8), ModularChain(5, modulus=10), ModularChain(4, modulus=2),
    Addition(1), Addition(3), Addition(18), Expressions(1), Expressions(3), Expressions(4, modulus=10),
    Expressions(4, modulus=None), Expressions(16, modulus=2), Countdown(2), Countdown(3), Countdown(6, largest=100),
    Countdown(3, every=False), Countdown(2, largest=1),
)  # fmt: skip
ONE_RIGHT = tuple(each for each in TASKS if not isinstance(each, Countdown))

tasks = st.sampled_from(TASKS)
seeds = st.integers(0, 2**32 - 1)


def draw(task: Task, seed: int) -> Problem:
    return task.problem(torch.Generator().manual_seed(seed))


@settings(deadline=None)
@given(tasks, seeds)
def test_demonstrations_are_right_readable_and_no_longer_than_said(task: Task, seed: int) -> None:
    asked = draw(task, seed)
    assert asked == draw(task, seed)
    short, spelled = (task.demonstration(asked, spelled=each) for each in (False, True))
    assert short == asked.gold
    parted = part(spelled, ended=True)
    assert parted.answer == asked.gold
    assert parted.thought
    assert task.grade(asked, asked.gold) == task.grade(asked, f" \t{asked.gold}\r\n") == 1
    coded = task.vocabulary.encode(asked.prompt), task.vocabulary.encode_completion(spelled)
    assert 1 + sum(map(len, coded)) <= task.longest
    assert task.vocabulary.decode(coded[1]) == spelled


@pytest.mark.parametrize(
    "task",
    [each for each in TASKS if not isinstance(each, Countdown) and "integers" not in each.name],
    ids=lambda of: of.name,
)
def test_the_longest_is_reached(task: Task) -> None:
    """Whether the sum of two numbers has one digit more is a coin's luck; 60 coins fail with probability 2e-18."""
    lengths = []
    for seed in range(60):
        asked = draw(task, seed)
        completion = task.vocabulary.encode_completion(task.demonstration(asked, spelled=True))
        lengths.append(1 + len(asked.prompt) + len(completion))
    slack = task.digits - 1 if isinstance(task, Addition) else 0  # not every column of a sum is carried from
    assert task.longest - slack <= max(lengths) <= task.longest


@settings(deadline=None)
@given(st.sampled_from(ONE_RIGHT), seeds, st.text("0123456789", min_size=1, max_size=5))
def test_any_other_answer_is_worth_nothing(task: Task, seed: int, answer: str) -> None:
    asked = draw(task, seed)
    assert task.grade(asked, answer) == (answer == asked.gold)


@settings(deadline=None)
@given(tasks, seeds)
def test_tricks_are_worth_nothing(task: Task, seed: int) -> None:
    """What holds the answer is not the answer: prompt, everything, several, in words, doubled, spaced, marked."""
    asked = draw(task, seed)
    gold = asked.gold
    wide = gold.translate({ord(str(each)): chr(0xFF10 + each) for each in range(10)})
    arabic = gold.translate({ord(str(each)): chr(0x660 + each) for each in range(10)})
    tricks = [
        "", " ", asked.prompt, asked.prompt + gold, f"{gold} {gold}", f"{gold}\n{gold}", f"{gold},{gold}",
        f"0 1 2 {gold}",
        f"The answer is {gold}", f"{gold}!", f"#### {gold}", f"<think></think>{gold}", f"{gold}</think>", wide, arabic,
        f"\u00a0{gold}", f"\u200b{gold}", f"={gold}", f"{gold}=", f"[{gold}]", "0123456789" * 400_000, "(" * 100_000,
        f"{gold}+0", f"{gold}*1", f"({gold}", "None", "True", f"0{gold}",
    ]  # fmt: skip
    for trick in tricks:
        assert task.grade(asked, trick) == 0, trick[:40]


@settings(deadline=None)
@given(tasks, seeds, st.text(max_size=40))
def test_any_text_is_graded_within_zero_and_one(task: Task, seed: int, answer: str) -> None:
    assert task.grade(draw(task, seed), answer) in (0.0, 1.0)


@pytest.mark.parametrize("task", [Parity(10), ModularChain(3), Countdown(3)], ids=lambda of: of.name)
def test_roles_are_apart_whatever_is_drawn(task: Task) -> None:
    drawn: dict[Role, set[str]] = {
        role: {each.prompt for seed in (0, 1) for each in problems(task, role, 60, seed)} for role in ROLES
    }
    for role, prompts in drawn.items():
        assert {role_of(prompt) for prompt in prompts} == {role}
        assert not any(prompts & others for other, others in drawn.items() if other != role)
    assert len(problems(task, "fit", 60, 0)) == len({each.id for each in problems(task, "fit", 60, 0)}) == 60


def test_a_role_is_the_prompts_and_the_tasks_have_nothing_to_say() -> None:
    """By the definition: sha256 over 2²⁵⁶, in the order and shares that the module's text gives."""
    for bits in product("01", repeat=8):
        prompt = "".join(bits) + "="
        at = int.from_bytes(hashlib.sha256(prompt.encode()).digest(), "big") / 2**256
        assert role_of(prompt) == (
            "fit" if at < 0.5 else "repair" if at < 0.75 else "choose" if at < 0.875 else "judge"
        )
    assert sum(SHARES.values()) == 1
    assert set(SHARES) == set(ROLES)


def test_fewer_problems_are_the_first_of_more_and_seeds_draw_others() -> None:
    task = Parity(16)
    more = problems(task, "judge", 50, seed=3)
    assert problems(task, "judge", 20, seed=3) == more[:20]
    assert {each.prompt for each in problems(task, "judge", 50, seed=4)} != {each.prompt for each in more}


def test_every_problem_of_a_small_task_is_found_and_one_more_is_refused() -> None:
    task = Parity(6)
    prompts = {"".join(bits) + "=" for bits in product("01", repeat=6)}
    sizes = {role: sum(role_of(each) == role for each in prompts) for role in ROLES}
    assert min(sizes.values()) > 0
    found = [each.prompt for role in ROLES for each in problems(task, role, sizes[role], seed=0)]
    assert sorted(found) == sorted(prompts)
    with pytest.raises(
        InputError, match=f'parity-6 has {sizes["judge"]} different problems of the role "judge", and 99'
    ):
        problems(task, "judge", 99, seed=0)
    with pytest.raises(InputError, match="0 problems"):
        problems(task, "fit", 0, seed=0)


def test_patience_grows_with_the_task_so_that_its_last_problem_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where only the number of prompts that were seen says when to give up."""
    monkeypatch.setattr(task_module, "FEWEST", 1)
    prompts = {"".join(bits) + "=" for bits in product("01", repeat=8)}
    for role in ROLES:
        count = sum(role_of(each) == role for each in prompts)
        assert len(problems(Parity(8), role, count, seed=0)) == count


def test_a_task_of_one_single_problem_ends() -> None:
    """Its one problem has one role: there it is found once, elsewhere never, and nobody waits for ever."""
    asked = draw(Parity(1), 0)

    class Single:
        name, vocabulary, longest = "single", Parity(1).vocabulary, 9

        def problem(self, generator: torch.Generator) -> Problem:
            return asked

        def demonstration(self, problem: Problem, *, spelled: bool) -> str:
            return problem.gold

        def grade(self, problem: Problem, answer: str) -> float:
            return 1.0

    for role in ROLES:
        if role == role_of(asked.prompt):
            assert problems(Single(), role, 1, seed=0) == (asked,)
        else:
            with pytest.raises(InputError, match="single has 0 different problems"):
                problems(Single(), role, 1, seed=0)


def test_who_is_spelled_follows_from_seed_and_problem_alone() -> None:
    task = Parity(12)
    asked = problems(task, "fit", 400, seed=0)
    few, many = (demonstrations(task, asked, share, seed=1) for share in (0.2, 0.7))
    spelled = [text.startswith("<think>") for text in few]
    # 400 coins of 0.2 and 0.7: six standard deviations are 0.12 and 0.14.
    assert sum(spelled) / 400 == pytest.approx(0.2, abs=0.12)
    assert sum("<think>" in text for text in many) / 400 == pytest.approx(0.7, abs=0.14)
    assert all(one == two for one, two, spelt in zip(few, many, spelled, strict=True) if spelt)
    assert demonstrations(task, asked[::-1], 0.2, seed=1) == few[::-1]
    assert demonstrations(task, asked, 0.2, seed=2) != few
    assert demonstrations(task, asked, 0.0, seed=1) == tuple(each.gold for each in asked)
    assert all("<think>" in text for text in demonstrations(task, asked, 1.0, seed=1))
    for share in (-0.1, 1.1, float("nan")):
        with pytest.raises(InputError, match="share of spelled"):
            demonstrations(task, asked, share, seed=1)


def test_ids_tell_tasks_and_prompts_apart() -> None:
    ids = {problem_of(name, prompt, "1").id for name in ("a", "b") for prompt in ("01=", "10=")}
    assert len(ids) == 4


@pytest.mark.parametrize("kind", TASK_SIZES)
def test_tasks_are_found_by_the_names_they_have(kind: str) -> None:
    for size in (2, 5):
        task = task_named(f"{kind}-{size}")
        assert task.name == f"{kind}-{size}"
        assert task == task_named(kind, size)
    assert task_named(kind) == task_named(kind, TASK_SIZES[kind])
    assert isinstance(task_named(kind), Task)


@pytest.mark.parametrize(
    "name", ["", "chess-3", "parity-", "parity-x", "parity--3", "parity-3-4", "parity-\u0663", "Parity-3"]
)
def test_other_names_are_refused_with_those_that_there_are(name: str) -> None:
    with pytest.raises(InputError, match=r"give one of parity-16, chain-8, addition-3, expression-3, countdown-3"):
        task_named(name)


def test_two_sizes_and_impossible_ones_are_refused() -> None:
    with pytest.raises(InputError, match="give one"):
        task_named("parity-3", 4)
    for name in ("parity-0", "chain-0", "addition-0", "addition-19", "expression-0", "expression-17", "countdown-1"):
        with pytest.raises(InputError, match="give"):
            task_named(name)
    for broken in (lambda: ModularChain(2, modulus=1), lambda: ModularChain(2, modulus=11),
                   lambda: Expressions(2, modulus=1), lambda: Countdown(3, largest=101)):  # fmt: skip
        with pytest.raises(InputError, match="give"):
            broken()

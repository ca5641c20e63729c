"""A served policy against a server on this machine that fails on purpose."""

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest

from server_examples import Asked, Reply, said, serving
from surefoot.errors import InputError
from surefoot.inference.checkpoint import identity
from surefoot.text.asking import Patience, Refused, post_json
from surefoot.text.policy import Message, Policy, Sampling
from surefoot.text.served import ServedPolicy


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "*")


class Waits:
    """Waits without waiting."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    def __call__(self, seconds: float) -> None:
        self.seconds.append(seconds)


def policy(url: str, **more: Any) -> ServedPolicy:
    patience = Patience(tries=4, seconds=0.3, first=1.0, longest=5.0, sleep=more.pop("sleep", Waits()))
    return ServedPolicy("tiny", url, patience=patience, **more)


def one(answer: Callable[[int, Any], Reply], sampling: Sampling | None = None, **more: Any) -> tuple[Any, Asked]:
    with serving(answer) as (url, asked):
        ((completion,),) = policy(url, **more).sample(["2 + 2?"], sampling or Sampling(), seed=0)
    return completion, asked


def test_half_a_character_is_none_and_can_be_written() -> None:
    completion, _ = one(lambda number, body: said("a\ud800b \U0001f600", reasoning_content="\udfff"))
    assert completion.answer == "a\ufffdb \U0001f600"
    assert completion.thought == "\ufffd"
    assert completion.text.encode()


def test_what_is_sent_is_what_was_asked_for() -> None:
    sampling = Sampling(count=2, most=9, temperature=0.5)
    with serving(lambda number, body: said(str(number))) as (url, asked):
        served = policy(url + "/", key="secret-key", system="Be brief.", extra={"top_p": 0.9})
        assert isinstance(served, Policy)
        conversation = (Message("developer", "d"), Message("user", "u"))
        rows = served.sample(["2 + 2?", conversation, "2 + 2?"], sampling, seed=7)
    assert [[each.answer for each in row] for row in rows] == [["0", "1"], ["2", "3"], ["4", "5"]]
    assert set(asked.paths) == {"/v1/chat/completions"}
    assert {each["Authorization"] for each in asked.headers} == {"Bearer secret-key"}
    assert "secret" not in repr(served)
    first = asked.bodies[0]
    assert {name: first[name] for name in first if name not in ("messages", "seed")} == {
        "model": "tiny", "temperature": 0.5, "max_tokens": 9, "top_p": 0.9,
    }  # fmt: skip
    assert first["messages"] == [
        {"role": "system", "content": "Be brief."}, {"role": "user", "content": "2 + 2?"},
    ]  # fmt: skip
    assert asked.bodies[2]["messages"] == [{"role": "developer", "content": "d"}, {"role": "user", "content": "u"}]
    # A prompt that is asked twice is not answered twice alike.
    assert len({(str(each["messages"]), each["seed"]) for each in asked.bodies}) == 6


def test_seeds_follow_from_the_prompt_and_not_from_its_place() -> None:
    with serving(lambda number, body: said("1")) as (url, asked):
        for seed, prompts in ((0, ["a", "b"]), (0, ["b", "a"]), (1, ["a", "b"])):
            policy(url).sample(prompts, Sampling(), seed)
    seeds = [each["seed"] for each in asked.bodies]
    assert seeds[:2] == seeds[2:4][::-1]
    assert not set(seeds[:2]) & set(seeds[4:])


@pytest.mark.parametrize(
    ("reply", "thought", "answer", "ended"),
    [
        (said("4"), None, "4", True),
        (said("<think>two\nand two</think>\n\n4"), "two\nand two", "4", True),
        (said("4", reasoning_content="two and two"), "two and two", "4", True),
        (said("4", reasoning="two and two"), "two and two", "4", True),
        (said("4", reasoning_content=None), None, "4", True),
        (said("4", reason="length"), None, None, False),
        (said("4", reason=None), None, None, False),
        (said("4", reason="tool_calls"), None, None, False),
        (said("<think>two", reason="length"), "two", None, False),
        (said("<think>two"), "two", None, True),
        (said("4</think>4"), None, None, True),
        (said("4 <think>", reasoning_content="two"), "two", None, True),
        (said("4", reasoning_content="two</think>5"), "two", None, True),
        (said(None), None, "", True),
        (said(None, reasoning_content="two"), "two", "", True),
    ],
)
def test_thought_and_answer_are_told_apart(reply: Reply, thought: str | None, answer: str | None, ended: bool) -> None:
    completion, _ = one(lambda number, body: reply)
    assert (completion.thought, completion.answer, completion.ended) == (thought, answer, ended)
    assert completion.log_probability is None


def test_a_template_that_opens_the_thought_can_be_said() -> None:
    completion, _ = one(lambda number, body: said("two</think>4"), opened=True)
    assert (completion.thought, completion.answer) == ("two", "4")


@pytest.mark.parametrize(
    ("usage", "tokens", "inside"),
    [
        ({"completion_tokens": 30, "completion_tokens_details": {"reasoning_tokens": 20}}, 30, 20),
        ({"completion_tokens": 32}, 32, 10),  # 8 of 26 characters
        ({"completion_tokens": "many"}, 3, 1),
        (None, 3, 1),
        ("odd", 3, 1),
    ],
)
def test_tokens_are_counted_by_the_server_or_else_by_words(usage: Any, tokens: int, inside: int) -> None:
    completion, _ = one(lambda number, body: said("<think>so it is</think>4 5", usage=usage))
    assert completion.tokens == tokens + (1 if tokens == 3 else 0)
    assert completion.thought_tokens == inside


@pytest.mark.parametrize(
    "broken",
    [
        Reply("busy", 500), Reply("busy", 503), Reply({"error": "slow down"}, 429), Reply("", 408),
        Reply(said("4").body, seconds=0.6), Reply(said("4").body, cut=9), Reply("{", 200), Reply("[1]", 200),
        Reply("\ufeffnothing", 200),
    ],
    ids=["500", "503", "429", "408", "time-out", "cut", "half a JSON", "no object", "no JSON"],
)  # fmt: skip
def test_what_fails_for_now_is_asked_again(broken: Reply) -> None:
    waits = Waits()
    with serving(lambda number, body: broken if number < 2 else said("4")) as (url, asked):
        served = policy(url, sleep=waits)
        ((completion,),) = served.sample(["?"], Sampling(), seed=0)
    assert completion.answer == "4"
    assert len(asked.bodies) == 3
    assert asked.bodies[0] == asked.bodies[2]
    assert (served.calls.failed, served.calls.answered, served.calls.blocked) == (2, 1, 0)
    assert 0.5 <= waits.seconds[0] <= 1
    assert 1 <= waits.seconds[1] <= 2


def test_a_server_that_is_not_there_is_told_after_all_tries() -> None:
    with serving(lambda number, body: said("4")) as (url, _):
        pass
    waits = Waits()
    with pytest.raises(InputError, match=r"failed 4 times in a row \(last: .*refused.*\); see that it runs"):
        policy(url, sleep=waits).sample(["?"], Sampling(), seed=0)
    assert len(waits.seconds) == 3
    assert max(waits.seconds) <= 5


@pytest.mark.parametrize("as_date", [False, True])
def test_a_server_says_how_long_to_wait(as_date: bool) -> None:
    def later(seconds: int) -> str:
        return format_datetime(datetime.now(UTC) + timedelta(seconds=seconds), usegmt=True) if as_date else str(seconds)

    waits = Waits()
    one(lambda number, body: said("4") if number else Reply("", 429, {"Retry-After": later(4)}), sleep=waits)
    assert 2.5 <= waits.seconds[0] <= 4
    with pytest.raises(InputError, match=r"asks to wait \d+ s .*, longer than 5 s; go on later"):
        one(lambda number, body: Reply("", 503, {"Retry-After": later(3600)}))
    one(lambda number, body: said("4") if number else Reply("", 429, {"Retry-After": "soon"}), sleep=waits)
    assert 0.5 <= waits.seconds[1] <= 1


@pytest.mark.parametrize("code", [400, 401, 403, 404, 422])
def test_what_no_asking_mends_is_told_at_once(code: int) -> None:
    with pytest.raises(InputError, match=f"refused the request \\({code} no such model\\); mend it"):
        one(lambda number, body: Reply("no such\nmodel", code) if number == 0 else said("4"))


def test_what_is_not_asked_makes_no_other_policy(tmp_path: Path) -> None:
    """A run that is judged by one goes on with another key and file, more at once, and after calls."""
    served = ServedPolicy("tiny", "http://127.0.0.1:9/v1", key="one")
    told = identity(served)
    served.calls.answered += 1
    other = ServedPolicy(
        "tiny", "http://127.0.0.1:9/v1", key="two", finished=tmp_path / "f.jsonl", at_once=4, patience=Patience(tries=2)
    )
    assert identity(served) == told == identity(other)
    assert served == other
    for changed in ({"system": "Be brief."}, {"extra": {"top_p": 0.5}}, {"opened": True}, {"name": "large"}):
        assert identity(replace(served, **changed)) != told


def test_no_redirection_is_followed() -> None:
    """Else the key would go wherever the server says."""
    with serving(lambda number, body: said("4")) as (elsewhere, found):
        for code in (301, 302, 307, 308):
            with pytest.raises(InputError, match=f"refused the request \\({code}"):
                one(lambda number, body, code=code: Reply("", code, {"Location": elsewhere}), key="secret")
    assert not found.bodies


def test_blocked_calls_are_counted_and_are_no_answers(tmp_path: Path) -> None:
    filtered = Reply({"error": {"code": "content_filter", "message": "x" * 500}}, 400)
    replies = [filtered, said("4", reason="content_filter"), said("4")]
    with serving(lambda number, body: replies[number]) as (url, asked):
        served = policy(url, finished=tmp_path / "f.jsonl")
        rows = served.sample(["a", "b", "c"], Sampling(), seed=0)
        assert [row[0].answer for row in rows] == [None, None, "4"]
        assert (served.calls.blocked, served.calls.answered, served.calls.failed) == (2, 1, 0)
        again = policy(url, finished=tmp_path / "f.jsonl")
        assert again.sample(["a", "b", "c"], Sampling(), seed=0) == rows
        assert (again.calls.kept, again.calls.blocked, again.calls.answered) == (3, 2, 0)
    assert len(asked.bodies) == 3
    with pytest.raises(InputError, match="refused"):
        one(lambda number, body: Reply({"error": 'the prompt says "content_filter"'}, 400))


def test_a_run_that_broke_off_goes_on_without_asking_anew(tmp_path: Path) -> None:
    """Down from the fifth request on; then up again: what was answered is not asked, and nothing is different."""
    kept = tmp_path / "deep" / "finished.jsonl"
    prompts, sampling = ["a", "b", "c", "d"], Sampling(count=2)

    def answer(number: int, body: Any) -> Reply:
        return said(f"{body['messages'][0]['content']}{body['seed']}") if up or number < 5 else Reply("", 500)

    up = False
    with serving(answer) as (url, asked):
        served = policy(url, finished=kept, key="secret-key")
        with pytest.raises(InputError, match=r"failed 4 times in a row .* in .*finished.jsonl; run again to go on"):
            served.sample(prompts, sampling, seed=0)
        assert len(kept.read_text().splitlines()) == 5
        up = True
        before = len(asked.bodies)
        again = policy(url, finished=kept, key="another-key")
        rows = again.sample(prompts, sampling, seed=0)
        assert len(asked.bodies) - before == 3
        assert (again.calls.kept, again.calls.answered) == (5, 3)
        assert rows == policy(url).sample(prompts, sampling, seed=0)
        # Another seed, temperature or model is another request.
        before = len(asked.bodies)
        again.sample(prompts, sampling, seed=1)
        again.sample(prompts, Sampling(count=2, temperature=0.5), seed=0)
        assert len(asked.bodies) - before == 16
    written = kept.read_text()
    assert "secret-key" not in written
    assert "another-key" not in written
    assert '"content"' not in written


def test_a_line_that_was_cut_short_is_asked_again_and_a_damaged_one_is_named(tmp_path: Path) -> None:
    kept = tmp_path / "f.jsonl"
    with serving(lambda number, body: said("4")) as (url, asked):
        policy(url, finished=kept).sample(["a", "b"], Sampling(), seed=0)
        whole = kept.read_text()
        kept.write_text(whole[:-30])
        policy(url, finished=kept).sample(["a", "b"], Sampling(), seed=0)
        assert len(asked.bodies) == 3
        assert kept.read_text() == whole
        kept.write_text(whole[:20])
        policy(url, finished=kept).sample(["a", "b"], Sampling(), seed=0)
        assert kept.read_text() == whole
        for damage in ("{}\n", "[]\n", "7\n", "nothing\n", '{"request": "x", "blocked": false, "odd": 1}\n'):
            kept.write_text(whole + damage)
            with pytest.raises(InputError, match=r"Line 3 of .*f\.jsonl is no finished request"):
                policy(url, finished=kept).sample(["a"], Sampling(), seed=0)
        kept.write_bytes(b"\xff\n")
        with pytest.raises(InputError, match="Cannot read"):
            policy(url, finished=kept).sample(["a"], Sampling(), seed=0)


def test_many_at_once_give_the_same_rows(tmp_path: Path) -> None:
    def answer(number: int, body: Any) -> Reply:
        return Reply(said(f"{body['messages'][0]['content']}{body['seed']}").body, seconds=0.02 * (number % 3))

    prompts = [str(each) for each in range(6)]
    with serving(answer) as (url, _):
        alone = policy(url).sample(prompts, Sampling(count=2), seed=0)
        steps: list[tuple[int, int]] = []
        together = policy(url, at_once=4, finished=tmp_path / "f.jsonl").sample(
            prompts, Sampling(count=2), 0, lambda stage, done, total: steps.append((done, total))
        )
    assert together == alone
    assert steps == [(each, 12) for each in range(1, 13)]
    assert len({json.loads(line)["request"] for line in (tmp_path / "f.jsonl").read_text().splitlines()}) == 12


NOTHING: list[Any] = [
    {}, {"error": "x"}, {"choices": []}, {"choices": [7]}, {"choices": [{}]}, {"choices": None},
    {"choices": [{"message": None}]}, {"choices": [{"message": {"content": [1]}}]},
]  # fmt: skip


@pytest.mark.parametrize("body", NOTHING)
def test_what_is_no_completion_is_refused(body: Any) -> None:
    with pytest.raises(InputError, match="no chat completion"):
        one(lambda number, _: Reply(body))


def test_what_a_server_cannot_do_is_refused_before_it_is_asked() -> None:
    served = policy("http://127.0.0.1:9/v1")
    for thinking in (0, 5):
        with pytest.raises(InputError, match="budget of"):
            served.sample(["?"], Sampling(thinking=thinking), seed=0)
    with pytest.raises(InputError, match="does not say how probable"):
        served.log_probability(["?"], ["4"])
    for url in ("ftp://127.0.0.1/v1", "file:///v1", "127.0.0.1"):
        with pytest.raises(InputError, match="begins with http"):
            policy(url).sample(["?"], Sampling(), seed=0)
    for more in ({"extra": {"seed": 1}}, {"extra": {"most": 1}, "most": "most"}, {"at_once": 0}):
        with pytest.raises(InputError, match="A served policy was given"):
            policy("http://127.0.0.1:9/v1", **more)
    for tries, seconds, first in ((0, 1.0, 1.0), (1, 0.0, 1.0), (1, 1.0, 99.0)):
        with pytest.raises(InputError, match="A patience of"):
            Patience(tries, seconds, first)


def test_more_than_any_completion_is_not_read_to_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    from surefoot.text import asking

    monkeypatch.setattr(asking, "MOST_BYTES", 1_000)
    told: list[str] = []
    with serving(lambda number, body: Reply({"much": "x" * 2_000})) as (url, _), pytest.raises(InputError):
        post_json(url, {}, None, Patience(tries=2, sleep=Waits()), told.append)
    assert told == ["ValueError: more than 1000 bytes came back"] * 2
    assert issubclass(Refused, InputError)


def test_what_the_server_counts_is_kept_with_the_reply(tmp_path: Path) -> None:
    tried: dict[str, int] = {}

    def counting(number: int, body: Any) -> Reply:
        asked = body["messages"][-1]["content"]
        tried[asked] = tried.get(asked, 0) + 1
        if asked == "b" and tried[asked] < 3:
            return Reply("later", 503)
        return said("yes", usage=None if asked == "c" else {"prompt_tokens": 7, "completion_tokens": 2})

    with serving(counting) as (url, asked):
        first = policy(url, finished=tmp_path / "served.jsonl")
        first.sample(["a", "b", "c"], Sampling(), seed=0)
        again = policy(url, finished=tmp_path / "served.jsonl")
        again.sample(["a", "b", "c"], Sampling(), seed=0)
        assert len(asked.bodies) == 5, "nothing is asked twice"
    for each in (first.calls, again.calls):
        assert (each.prompt_tokens, each.completion_tokens, each.uncounted, each.again) == (14, 4, 1, 2)
    assert (first.calls.failed, again.calls.failed, again.calls.kept) == (2, 0, 3)
    lines = [json.loads(each) for each in (tmp_path / "served.jsonl").read_text().splitlines()]
    for each in lines:
        del each["used"]
    (tmp_path / "old.jsonl").write_text("".join(json.dumps(each) + "\n" for each in lines))
    old = policy(url, finished=tmp_path / "old.jsonl")
    old.sample(["a", "b", "c"], Sampling(), seed=0)
    assert (old.calls.kept, old.calls.prompt_tokens, old.calls.uncounted) == (3, 0, 3), "of before they were counted"

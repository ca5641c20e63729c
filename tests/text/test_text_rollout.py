"""Sampling: the distribution that it draws from, what it records, and what forced tokens do."""

from collections import Counter

import pytest
import torch

from surefoot.errors import InputError
from surefoot.text.decoder import Decoder, Shape, build_decoder
from surefoot.text.decoder_policy import DecoderPolicy
from surefoot.text.policy import Message, Policy, Sampling
from surefoot.text.rollout import laid_out, roll, token_log_probabilities, written
from surefoot.text.vocabulary import ANSWER, BEGIN, END, PAD, THINK, Vocabulary

LETTERS = Vocabulary(tuple("abcdefghijklmno"))
PROMPTS = ("abcd", "bo", "mnoabcabcaaabbcc", "a")
CODED = [[BEGIN, *LETTERS.encode(each)] for each in PROMPTS]
WAYS = (
    Sampling(3, 12),
    Sampling(3, 12, 0.5),
    Sampling(1, 12, 0.0),
    Sampling(3, 12, thinking=0),
    Sampling(3, 12, thinking=4),
)


def decoder(symbols: int = LETTERS.size, *, positions: str = "rotary", seed: int = 0) -> Decoder:
    return build_decoder(Shape(symbols, 32, 2, 2, 48, 64, positions), seed)  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("positions", ["rotary", "learned"])
@pytest.mark.parametrize("way", WAYS, ids=str)
def test_kept_keys_give_the_probabilities_of_plain_passes(way: Sampling, positions: str) -> None:
    """To 1e-5, through padding, rows that end at different places, forced tokens and temperatures."""
    policy = decoder(positions=positions)
    rollout = roll(policy, CODED, way, 5)
    plain = token_log_probabilities(policy, rollout)
    assert rollout.sampled.any(dim=1).all()
    torch.testing.assert_close(plain, rollout.log_probabilities, atol=1e-5, rtol=0.0)
    assert (rollout.log_probabilities[~rollout.sampled] == 0).all()
    # Nothing is written after an end, and rows that did not end are full.
    for row, tokens in enumerate(rollout.completions.tolist()):
        stop = tokens.index(END) + 1 if END in tokens else len(tokens)
        assert bool(rollout.ended[row]) == (END in tokens)
        assert all(token == PAD for token in tokens[stop:])
        assert not rollout.sampled[row, stop:].any()


def test_tokens_come_as_often_as_they_are_probable() -> None:
    """First tokens and pairs of 20,000 draws; a chi-square of 19 or so degrees is beyond its bound once in 10^5."""
    policy = decoder(seed=2)
    with torch.no_grad():
        policy.head.weight *= 2.0
    way = Sampling(20_000, 2, 1.3)
    rollout = roll(policy, [CODED[0]], way, 0)
    every = torch.arange(LETTERS.size)
    one = laid_out([CODED[0]] * LETTERS.size, [[each] for each in every.tolist()], way)
    chances = token_log_probabilities(policy, one)[:, 0].detach().exp()
    assert chances.sum() == pytest.approx(1.0, abs=1e-5)
    counts = torch.bincount(rollout.completions[:, 0], minlength=LETTERS.size)
    expected = chances * way.count
    assert ((counts - expected) ** 2 / expected).sum() < 60
    likely = int(chances.argmax())
    again = laid_out([CODED[0]] * LETTERS.size, [[likely, each] for each in every.tolist()], way)
    second = token_log_probabilities(policy, again)[:, 1].detach().exp()
    after = rollout.completions[rollout.completions[:, 0] == likely, 1]
    counts = torch.bincount(after, minlength=LETTERS.size)
    expected = second * len(after)
    assert ((counts - expected) ** 2 / expected).sum() < 60


def test_what_a_row_draws_depends_on_no_other_row() -> None:
    policy = decoder()
    alone = roll(policy, CODED[:1], Sampling(3, 12), 5)
    beside = roll(policy, CODED, Sampling(3, 12), 5)
    width = min(alone.completions.shape[1], beside.completions.shape[1])
    assert torch.equal(alone.completions[:, :width], beside.completions[:3, :width])


@pytest.mark.parametrize("way", WAYS, ids=str)
def test_some_prompts_draw_what_they_draw_among_all(way: Sampling) -> None:
    """What processes that share the drawing rest on."""
    policy = decoder(seed=4)
    whole = roll(policy, CODED, way, 3)
    for some in (slice(0, 1), slice(1, 3), slice(3, 4)):
        rows = slice(some.start * way.count, some.stop * way.count)
        part = roll(policy, CODED, way, 3, some)
        width = part.tokens.shape[1]
        assert torch.equal(part.tokens, whole.tokens[rows, :width])
        assert not whole.sampled[rows, width - whole.prompt :].any()
        assert torch.equal(part.starts, whole.starts[rows])
        assert part.prompt == whole.prompt
        assert torch.equal(part.ended, whole.ended[rows])
        new = part.log_probabilities.shape[1]
        torch.testing.assert_close(part.log_probabilities, whole.log_probabilities[rows, :new], atol=1e-5, rtol=0.0)


def test_greedy_takes_the_likeliest_token() -> None:
    policy = decoder()
    rollout = roll(policy, CODED, Sampling(1, 6, 0.0), 0)
    for row, prompt in enumerate(CODED):
        tokens = list(prompt)
        for said in rollout.completions[row].tolist():
            assert int(policy(torch.tensor([tokens]))[0, -1].argmax()) == said
            tokens.append(said)
            if said == END:
                break


def test_a_forbidden_thought_is_never_begun_and_a_forced_one_is_closed() -> None:
    policy = decoder()
    with torch.no_grad():
        policy.head.weight[THINK] += 0.4 * policy.head.weight.std() * torch.ones(32)
    none = roll(policy, CODED, Sampling(50, 12, thinking=0), 1)
    assert not (none.completions == THINK).any()
    forced = roll(policy, CODED, Sampling(50, 12, thinking=3), 1)
    assert (forced.completions[:, 0] == THINK).all()
    assert not forced.sampled[:, 0].any()
    for tokens, drawn in zip(forced.completions.tolist(), forced.sampled.tolist(), strict=True):
        early = [each for each in tokens[1:4] if each in (ANSWER, END)]
        if not early and len(tokens) > 4:
            assert tokens[4] == ANSWER
            assert not drawn[4]


def test_completions_are_written_with_their_counts() -> None:
    policy = decoder()
    rollout = roll(policy, CODED, Sampling(20, 12), 3)
    said = written(LETTERS, rollout)
    assert len(said) == 80
    for each, tokens in zip(said, rollout.completions.tolist(), strict=True):
        stop = tokens.index(END) + 1 if END in tokens else len(tokens)
        assert each.tokens == stop
        assert each.ended == (END in tokens)
        assert (each.answer is None) or each.ended
    assert Counter(each.ended for each in said)[True] > 0


def test_what_no_text_shows_is_no_answer() -> None:
    """A thought could hide in padding and beginnings, which are not written out: a control that may not think would."""
    rows = laid_out([CODED[0]] * 3, [[5, PAD, END], [BEGIN, 5, END], [5, END]])
    said = written(LETTERS, rows)
    assert [each.answer for each in said] == [None, None, "a"]


def test_the_probability_of_a_text_is_that_of_its_tokens_and_its_end() -> None:
    policy = DecoderPolicy("small", decoder(), LETTERS)
    assert isinstance(policy, Policy)
    texts = ("<think>ab</think>c", "mn")
    found = policy.log_probability(PROMPTS[:2], texts)
    for row, text in enumerate(texts):
        tokens = [*CODED[row], *LETTERS.encode_completion(text)]
        logs = policy.decoder(torch.tensor([tokens])).log_softmax(dim=2)[0].detach()
        start = len(CODED[row])
        expected = sum(float(logs[at - 1, tokens[at]]) for at in range(start, len(tokens)))
        assert float(found[row]) == pytest.approx(expected, abs=1e-5)


def test_the_same_seed_samples_the_same_and_another_does_not() -> None:
    policy = DecoderPolicy("small", decoder(), LETTERS)
    first, again, other = (policy.sample(PROMPTS, Sampling(4, 12), seed) for seed in (0, 0, 1))
    assert first == again
    assert first != other
    assert [len(each) for each in first] == [4] * 4


def test_impossible_requests_are_refused() -> None:
    policy = DecoderPolicy("small", decoder(), LETTERS)
    with pytest.raises(InputError, match="beyond the context of 64"):
        policy.sample(PROMPTS, Sampling(1, 60), 0)
    with pytest.raises(InputError, match="a conversation was given"):
        policy.sample([(Message("user", "a"),)], Sampling(), 0)
    assert policy.sample([], Sampling(), 0) == []
    for none in ([], [[]]):
        with pytest.raises(InputError, match="or one of them is empty"):
            roll(policy.decoder, none, Sampling(), 0)
    for wrong in ({"count": 0}, {"most": 0}, {"temperature": -1.0}, {"thinking": -1}, {"temperature": float("nan")}):
        with pytest.raises(InputError, match="Sampling's"):
            Sampling(**wrong)  # pyright: ignore[reportArgumentType]

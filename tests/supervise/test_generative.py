"""Generative fine-tuning: which tokens are scored, that preferences are not read, and that a known source is learnt."""

import math

import pytest
import torch

from surefoot.errors import InputError
from surefoot.inference.settings import Ascend
from surefoot.networks.causal import Causal, build_ranker, build_writer
from surefoot.networks.network import forward_prepared, parameters_of, prepare
from surefoot.rows.comparisons import VOCABULARY, Writing, comparisons
from surefoot.rows.packed import LEADING, pack
from surefoot.rows.rows import make_rows
from surefoot.supervise.generative import completion_score, tune_writer, written
from surefoot.supervise.labels import true_labels
from surefoot.supervise.student import Learner, teach

WORLD = Writing(digits=3)
FORM = Causal(len(VOCABULARY), WORLD.room, width=6, blocks=1)


def test_scores_are_the_logs_of_what_is_said_of_each_token_of_the_completion() -> None:
    texts = pack([([1, 2], [3, 4]), ([5], [0, 0, 2])], room=5)
    logits = torch.randn(2, 5, 6, generator=torch.Generator().manual_seed(0))
    said = logits.log_softmax(dim=2)
    known = [
        float(said[0, 1, 3] + said[0, 2, 4]),
        float(said[1, 0, 0] + said[1, 1, 0] + said[1, 2, 2]),
    ]
    assert completion_score(logits, texts).tolist() == pytest.approx(known, abs=1e-6)


def test_prompts_and_padding_carry_no_gradient() -> None:
    texts = pack([([1, 2, 2], [3, 4]), ([5], [0, 0, 2])], room=6)
    logits = torch.randn(2, 6, 6, generator=torch.Generator().manual_seed(0)).requires_grad_()
    completion_score(logits, texts).sum().backward()
    assert logits.grad is not None
    carries = logits.grad.abs().sum(dim=2) > 0
    assert carries.tolist() == [[False, False, True, True, False, False], [True, True, True, False, False, False]]
    # And a prompt's own tokens, as targets, change no score.
    other = texts.clone()
    other[0, LEADING : LEADING + 3] = 0
    assert torch.equal(completion_score(logits, texts), completion_score(logits, other))


def test_preferences_are_not_read_and_both_completions_are_written() -> None:
    rows, _ = comparisons(WORLD, 30, seed=0)
    permuted = rows.with_targets(rows.targets[torch.randperm(30, generator=torch.Generator().manual_seed(1))])
    assert not torch.equal(rows.targets, permuted.targets)
    writer = build_writer(FORM, 0)
    climb = Ascend(epochs=2, batch=20, rate=0.02)
    one, other = (tune_writer(writer, written(each), parameters_of(writer), 0, climb) for each in (rows, permuted))
    assert all(torch.equal(one.point()[name], other.point()[name]) for name in one.point())
    assert one.seen == rows.origins()
    texts = written(rows)
    assert len(texts) == 60
    assert torch.equal(texts.inputs[:].unflatten(0, (30, 2)), rows.inputs[:])
    assert texts.targets is texts.inputs or torch.equal(texts.targets, texts.inputs[:])


def test_a_known_source_is_learnt_to_its_entropy() -> None:
    """The completion's tokens are a Markov chain whose start depends on the prompt: nats a text are known."""
    generator = torch.Generator().manual_seed(0)
    chain = torch.tensor([[0.7, 0.2, 0.1], [0.1, 0.8, 0.1], [0.3, 0.3, 0.4]])
    texts = []
    for _ in range(3000):
        state = int(torch.randint(3, (), generator=generator))
        tokens = [3 + state]
        for _ in range(3):
            state = int(torch.multinomial(chain[state], 1, generator=generator))
            tokens.append(state)
        texts.append((tokens[:1], tokens[1:]))
    packed = pack(texts, room=4)
    first, nats = torch.ones(3) / 3, 0.0
    for _ in range(3):
        nats -= float((first[:, None] * chain * chain.log()).sum())
        first = first @ chain
    writer = build_writer(Causal(6, 4, width=8, blocks=1), 0)
    rows = make_rows(packed, packed, classes=("a", "b", "c", "A", "B", "C"))
    learnt, held = rows.take(torch.arange(2000)), rows.take(torch.arange(2000, 3000))
    draws = tune_writer(writer, learnt, parameters_of(writer), 0, Ascend(epochs=6, batch=50, rate=0.02))
    with torch.no_grad():
        scores = completion_score(forward_prepared(prepare(writer), draws.point(), held.inputs[:]), held.targets)
    # A thousand fresh texts: their mean is within three standard errors of the entropy, plus what learning leaves.
    error = float(scores.std()) / math.sqrt(1000)
    assert -3 * error < -float(scores.mean()) - nats < 3 * error + 0.05
    untaught = completion_score(forward_prepared(prepare(writer), parameters_of(writer), held.inputs[:]), held.targets)
    assert -float(untaught.mean()) > nats + 1


def test_a_writers_point_starts_a_ranker_whose_reward_it_has_not_moved() -> None:
    rows, _ = comparisons(WORLD, 40, seed=0)
    writer = build_writer(FORM, 0)
    start = tune_writer(writer, written(rows), parameters_of(writer), 0, Ascend(epochs=1)).point()
    assert torch.equal(start["reward.weight"], parameters_of(writer)["reward.weight"])
    assert not torch.equal(start["vectors"], parameters_of(writer)["vectors"])
    learner = Learner("ranker", build_ranker(FORM, 9), Ascend(epochs=1), start=start)
    point = teach(learner, true_labels(rows), 0).point()
    assert torch.equal(point["next.weight"], start["next.weight"])
    assert not torch.equal(point["reward.weight"], start["reward.weight"])


def test_what_is_no_comparison_is_refused() -> None:
    rows, _ = comparisons(WORLD, 3, seed=0)
    with pytest.raises(InputError, match="give comparisons"):
        written(written(rows))

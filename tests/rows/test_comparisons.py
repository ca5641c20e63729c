"""Generated comparisons: what is preferred and why, that no place tells, and that no ranker beats the score."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from surefoot.errors import InputError
from surefoot.rows.comparisons import (
    MARK,
    RULES,
    STOP,
    SURE,
    VOCABULARY,
    Writing,
    best_accuracy,
    comparisons,
    corpus,
    mistakes,
    score,
    tokens_of,
)
from surefoot.rows.packed import LEADING, pack, unpack

WORLD = Writing()
COUNT = 4000


def texts_of(packed: torch.Tensor) -> list[tuple[list[int], list[int]]]:
    found = []
    for row in packed.tolist():
        prompt, length, tokens = row[0], row[1], row[LEADING:]
        found.append((tokens[:prompt], tokens[prompt:length]))
    return found


@pytest.mark.parametrize(
    ("prompt", "completion", "wrong"),
    [
        ("rise 3 =", "3 3 5 5 9 .", 0),
        ("rise 3 =", "2 3 4 4 5", 1),  # a rise begins again where it broke
        ("rise 3 =", "sure 9 1 9 1 9", 2),
        ("fall 6 =", "6 5 5 2 0", 0),
        ("fall 6 =", "7 5 6 2 .", 3),  # two breaks, and one is missing
        ("above 4 =", "sure 4 9 4 9 4 .", 0),
        ("above 4 =", "3 9 3 9 4 2", 4),  # three breaks, and one too many
        ("below 4 =", "0 4 0 4 0", 0),
        ("below 4 =", "5", 5),
    ],
)
def test_mistakes_are_those_counted_by_hand(prompt: str, completion: str, wrong: int) -> None:
    given = tokens_of(completion)
    assert mistakes(WORLD, tokens_of(prompt), given) == wrong
    form = 1.0 * completion.startswith("sure") + 1.0 * completion.endswith(".")
    assert score(WORLD, tokens_of(prompt), given) == form - wrong
    weighed = replace(WORLD, polite=0.25, stop=4.0)
    form = 0.25 * completion.startswith("sure") + 4.0 * completion.endswith(".")
    assert score(weighed, tokens_of(prompt), given) == form - wrong


def test_scores_are_read_off_the_tokens_and_nothing_is_tied() -> None:
    rows, scores = comparisons(WORLD, 300, seed=1)
    for place in (0, 1):
        read = [score(WORLD, *text) for text in texts_of(rows.inputs[:, place])]
        assert scores[:, place].tolist() == read
    assert bool((scores[:, 0] != scores[:, 1]).all())
    assert torch.equal(rows.inputs[:, 0, 2:5], rows.inputs[:, 1, 2:5]), "both completions answer one prompt"


def test_places_and_order_say_nothing() -> None:
    rows, scores = comparisons(WORLD, COUNT, seed=2)
    assert int(rows.targets.sum()) == COUNT // 2
    # The mean difference of scores by place is zero but for chance: outside four standard errors once in 16,000 times.
    apart = scores[:, 1] - scores[:, 0]
    assert abs(float(apart.mean())) < 4 * float(apart.std()) / math.sqrt(COUNT)
    forms = [(rows.inputs[:, place, 5] == SURE).double().mean() for place in (0, 1)]
    assert abs(float(forms[0] - forms[1])) < 4 * math.sqrt(0.5 / COUNT)


def test_preferences_are_bradley_and_terrys() -> None:
    """At every difference of scores the better is preferred as often as σ says; false alarm below 1 in 1,000."""
    world = replace(WORLD, sharpness=0.8)
    rows, scores = comparisons(world, COUNT, seed=3)
    apart = scores[:, 0] - scores[:, 1]
    better = ((apart > 0) == (rows.targets == 0)).double()
    seen = 0
    for size in apart.abs().unique().tolist():
        own = better[apart.abs() == size]
        if len(own) < 100:
            continue
        seen += 1
        chance = 1 / (1 + math.exp(-0.8 * size))
        assert abs(float(own.mean()) - chance) < 4 * math.sqrt(chance * (1 - chance) / len(own))
    assert seen >= 4


def test_no_ranker_is_above_the_score_whose_accuracy_is_known() -> None:
    world = replace(WORLD, sharpness=0.8)
    rows, scores = comparisons(world, COUNT, seed=4)
    best = best_accuracy(world, scores)
    by_score = float(((scores[:, 1] > scores[:, 0]).long() == rows.targets).double().mean())
    assert abs(by_score - best) < 4 * math.sqrt(best * (1 - best) / COUNT)
    # A ranker that sees form alone is far below, and one of mistakes alone too: both are worth something.
    said = []
    for place in (0, 1):
        said.append([mistakes(world, *text) for text in texts_of(rows.inputs[:, place])])
    fewer = (torch.tensor(said[1]) < torch.tensor(said[0])).long()
    assert 0.5 < float((fewer == rows.targets).double().mean()) < best - 0.02
    assert best_accuracy(replace(world, sharpness=math.inf), scores) == 1.0


def test_with_infinite_sharpness_the_better_is_always_preferred() -> None:
    rows, scores = comparisons(replace(WORLD, sharpness=math.inf), 200, seed=5)
    assert torch.equal((scores[:, 1] > scores[:, 0]).long(), rows.targets)


def test_writers_break_rules_as_often_as_is_asked() -> None:
    """Skill is uniform: the mean share of mistakes is slip / 2 where a rule can always be broken."""
    world = replace(WORLD, lost=0.0)
    wrong = total = 0
    for prompt, text in texts_of(corpus(world, COUNT, 6, marked=0.0).inputs[:].clone()):
        whole = prompt + text
        if whole[0] in (tokens_of("above")[0], tokens_of("below")[0]):
            wrong += mistakes(world, whole[:3], whole[3:])
            total += world.digits
    # Digits of a text share their skill: a text's share has a variance below that of a coin.
    assert abs(wrong / total - world.slip / 2) < 4 * 0.5 / math.sqrt(total / world.digits)
    perfect = corpus(world, 200, 6, least=1.0, marked=0.0)
    assert all(mistakes(world, (a + b)[:3], (a + b)[3:]) == 0 for a, b in texts_of(perfect.inputs[:]))


def test_marks_are_the_mistakes_so_far_and_say_nothing_of_form() -> None:
    texts = [prompt + text for prompt, text in texts_of(corpus(WORLD, 300, 7, marked=1.0).inputs[:])]
    for whole in texts:
        given = [token for token in whole[3:-1] if token not in (SURE, STOP)]
        missing = max(0, WORLD.digits - len(given))
        assert whole[-1] - MARK == mistakes(WORLD, whole[:3], whole[3:-1]) - missing
    assert len({whole[-1] for whole in texts}) >= 5
    assert not any(token >= MARK for a, b in texts_of(corpus(WORLD, 300, 7, marked=0.0).inputs[:]) for token in a + b)
    assert not any(token >= MARK for a, b in texts_of(comparisons(WORLD, 100, 7).rows.inputs[:, 0]) for token in a + b)


def test_seeds_groups_and_sources() -> None:
    rows, _ = comparisons(WORLD, 50, seed=8)
    again, other = comparisons(WORLD, 50, seed=8).rows, comparisons(WORLD, 50, seed=9).rows
    assert torch.equal(rows.inputs[:], again.inputs[:])
    assert not torch.equal(rows.inputs[:], other.inputs[:])
    assert not rows.origins() & other.origins()
    assert rows.groups.names == RULES
    assert torch.equal(rows.groups.members.long().argmax(dim=1), rows.inputs[:, 0, 2] - tokens_of("rise")[0])
    assert len(np.unique(rows.ids)) == 50


def test_a_corpus_does_not_hold_the_comparisons_of_its_seed() -> None:
    """Drawn from one stream, the first text would be a completion of the first comparison, whatever the seed."""
    same = 0
    for seed in range(6):
        pairs = comparisons(WORLD, 1, seed).rows.inputs[:]
        ((prompt, text),) = texts_of(corpus(WORLD, 1, seed, marked=0.0).inputs[:])
        same += prompt + text in [one + other for one, other in texts_of(pairs[0])]
    assert same <= 1


def test_packed_texts_come_back_whatever_pads_them() -> None:
    texts = [([1, 2], [3]), ([0], [0, 0, 0])]
    packed = pack(texts, room=5)
    packed[0, LEADING + 3 :] = 7
    assert texts_of(packed) == texts
    prompts, lengths, tokens = unpack(packed)
    assert (prompts.tolist(), lengths.tolist(), tuple(tokens.shape)) == ([2, 1], [3, 4], (2, 5))


def test_impossible_worlds_and_texts_are_refused() -> None:
    for asked, words in (
        ({"digits": 0}, "0 digits"),
        ({"slip": 1.5}, "slip is 1.5"),
        ({"lost": -0.1}, "lost is -0.1"),
        ({"sharpness": 0.0}, "sharpness"),
    ):
        with pytest.raises(InputError, match=words):
            replace(WORLD, **asked)
    with pytest.raises(InputError, match="0 comparisons"):
        comparisons(WORLD, 0, 0)
    with pytest.raises(InputError, match="has 3 tokens and there is room for 2"):
        pack([([1], [2, 3])], room=2)
    with pytest.raises(InputError, match="empty prompt or completion"):
        pack([([1], [])], room=2)
    with pytest.raises(InputError, match="'eleven' is no word"):
        tokens_of("rise eleven =")
    assert len(VOCABULARY) == MARK + 10

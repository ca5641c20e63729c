"""Causal transformers on packed texts: the formulas by hand, what no token sees, and rankers as two-class networks."""

import math

import pytest
import torch
from torch.nn.functional import logsigmoid

from surefoot.errors import InputError
from surefoot.networks.causal import Causal, build_ranker, build_writer
from surefoot.networks.network import embed, forward, forward_prepared, parameters_of, prepare
from surefoot.rows.packed import LEADING
from surefoot.supervise.losses import Confidence, CrossEntropy

FORM = Causal(vocabulary=11, room=9, width=8, blocks=2, heads=2)


def texts(count: int, seed: int = 0, room: int = 9) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    lengths = torch.randint(2, room + 1, (count, 1), generator=generator)
    tokens = torch.randint(11, (count, room), generator=generator)
    return torch.cat([torch.ones(count, 1, dtype=torch.int64), lengths, tokens], dim=1)


def pairs(count: int, seed: int = 0) -> torch.Tensor:
    return texts(2 * count, seed).unflatten(0, (count, 2))


def written(form: Causal, packed: torch.Tensor, seed: int = 0) -> torch.Tensor:
    network = build_writer(form, seed)
    return forward_prepared(prepare(network), parameters_of(network), packed)


def by_hand(parameters: dict[str, torch.Tensor], row: torch.Tensor, form: Causal) -> tuple[torch.Tensor, float]:
    """The formulas of the docstring for one text, token by token: logits of each place, and the reward."""
    p = {name: tensor.double() for name, tensor in parameters.items() if tensor.is_floating_point()}

    def norm(vector: torch.Tensor, name: str) -> torch.Tensor:
        centred = vector - vector.mean()
        return centred / (centred.square().mean() + 1e-5).sqrt() * p[f"{name}.weight"] + p[f"{name}.bias"]

    def layer(vector: torch.Tensor, name: str) -> torch.Tensor:
        return p[f"{name}.weight"] @ vector + p[f"{name}.bias"]

    length = int(row[1])
    x = [p["vectors"][row[LEADING + t]] + p["places"][t] for t in range(length)]
    size = form.width // form.heads
    for block in range(form.blocks):
        name = f"blocks.{block}"
        asked = [layer(norm(each, f"{name}.norm1"), f"{name}.ask") for each in x]
        mixed = []
        for t in range(length):
            heads = []
            for head in range(form.heads):
                at = slice(head * size, (head + 1) * size)
                q = asked[t][: form.width][at]
                keys = [asked[s][form.width : 2 * form.width][at] for s in range(t + 1)]
                values = [asked[s][2 * form.width :][at] for s in range(t + 1)]
                weights = torch.stack([q @ key / math.sqrt(size) for key in keys]).softmax(dim=0)
                heads.append(sum(w * v for w, v in zip(weights, values, strict=True)))
            mixed.append(layer(torch.cat(heads), f"{name}.join"))
        x = [one + other for one, other in zip(x, mixed, strict=True)]
        x = [each + layer(layer(norm(each, f"{name}.norm2"), f"{name}.widen").relu(), f"{name}.narrow") for each in x]
    x = [norm(each, "norm") for each in x]
    return torch.stack([layer(each, "next") for each in x]), float(p["reward.weight"][0] @ x[-1])


@pytest.mark.parametrize("form", [FORM, Causal(11, 9, 6, 1, 1), Causal(11, 9, 6, 2, 3)])
def test_both_readings_are_those_of_the_formulas(form: Causal) -> None:
    network = build_ranker(form, 3)
    asked = pairs(3)
    rewards = forward(network, parameters_of(network), asked)
    logits = written(form, asked.flatten(0, 1), 3)
    for number, row in enumerate(asked.flatten(0, 1)):
        by, reward = by_hand(parameters_of(network), row, form)
        assert logits[number, : len(by)].double().numpy() == pytest.approx(by.numpy(), abs=1e-5)
        assert float(rewards[number // 2, number % 2]) == pytest.approx(reward, abs=1e-5)


def test_no_token_sees_a_later_one_and_padding_changes_nothing() -> None:
    packed = texts(20)
    changed = packed.clone()
    for row in changed:
        row[LEADING + int(row[1]) :] = (row[LEADING + int(row[1]) :] + 1) % 11
    one, other = written(FORM, packed), written(FORM, changed)
    within = torch.arange(9) < packed[:, 1:2]
    assert torch.equal(one[within], other[within])
    assert float((one - other)[~within].abs().max()) > 1e-3
    network = build_ranker(FORM, 0)
    rewards = [forward(network, parameters_of(network), each.unflatten(0, (10, 2))) for each in (packed, changed)]
    assert torch.equal(*rewards)


def test_less_room_for_padding_changes_nothing() -> None:
    packed = texts(10)
    packed[:, 1] = packed[:, 1].clamp(max=6)
    network = build_ranker(FORM, 0)
    long, short = (
        forward(network, parameters_of(network), each.unflatten(0, (5, 2))) for each in (packed, packed[:, : 2 + 6])
    )
    assert long.numpy() == pytest.approx(short.numpy(), abs=1e-6)


def test_the_reward_is_of_the_last_token_even_where_it_is_the_padding_token() -> None:
    """A text that ends in token 0, padded with zeros: a program that counts other tokens would read another place."""
    row = torch.tensor([1, 4, 5, 3, 0, 0, 0, 0, 0, 0, 0])
    shorter, longer = row.clone(), row.clone()
    shorter[1], longer[1] = 2, 5
    network = build_ranker(FORM, 1)
    for each in (shorter, row, longer):
        rewards = forward(network, parameters_of(network), torch.stack([each, each])[None])[0]
        assert float(rewards[0]) == pytest.approx(by_hand(parameters_of(network), each, FORM)[1], abs=1e-5)
    read = forward(network, parameters_of(network), torch.stack([row, longer])[None])[0]
    assert abs(float(read[0] - read[1])) > 1e-3


def test_exchanging_completions_exchanges_the_rewards_exactly() -> None:
    network = build_ranker(FORM, 0)
    asked = pairs(50)
    one, other = (forward(network, parameters_of(network), each) for each in (asked, asked.flip(1)))
    assert torch.equal(one, other.flip(1))
    assert float((one[:, 0] - one[:, 1]).abs().min()) > 0


def test_cross_entropy_is_the_pairwise_loss() -> None:
    network = build_ranker(FORM, 0)
    rewards = forward(network, parameters_of(network), pairs(40)).double()
    first = torch.rand(40, 1, generator=torch.Generator().manual_seed(0)).double()
    weak = torch.cat([first, 1 - first], dim=1)
    apart = rewards[:, 0] - rewards[:, 1]
    known = -first[:, 0] * logsigmoid(apart) - (1 - first[:, 0]) * logsigmoid(-apart)
    assert CrossEntropy()(rewards, weak, 0.0).numpy() == pytest.approx(known.numpy(), abs=1e-12)
    # Even shares: the half whose difference is largest is hardened to the first.
    hard = torch.where(apart >= apart.median(), -logsigmoid(apart), -logsigmoid(-apart))
    ends = apart.argsort()[[0, -1]]
    half = Confidence(0.5, 0.0, "even")(rewards, weak, 1.0)
    assert half[ends].numpy() == pytest.approx(((known + hard) / 2)[ends].numpy(), abs=1e-12)


@pytest.mark.parametrize("ranks", [True, False])
def test_gradients_are_those_of_finite_differences(ranks: bool) -> None:
    network = (build_ranker if ranks else build_writer)(FORM, 2)
    point = {
        name: tensor.double().requires_grad_() if tensor.is_floating_point() else tensor
        for name, tensor in parameters_of(network).items()
    }
    asked = pairs(4) if ranks else texts(8)
    weights = torch.randn(200, generator=torch.Generator().manual_seed(5)).double()

    def value(parameters: dict[str, torch.Tensor]) -> torch.Tensor:
        outputs = forward_prepared(prepare(network), parameters, asked).flatten()
        return (weights.repeat(1 + len(outputs) // 200)[: len(outputs)] * outputs.square()).mean()

    value(point).backward()
    generator = torch.Generator().manual_seed(6)
    for name, tensor in point.items():
        if not tensor.is_floating_point() or name.startswith("next" if ranks else "reward"):
            assert tensor.grad is None, f"{name} is not read"
            continue
        way = torch.randn(tensor.shape, generator=generator).double()
        ends = [value({**point, name: tensor.detach() + sign * 1e-5 * way}) for sign in (1, -1)]
        slope = float((tensor.grad * way).sum())
        assert float((ends[0] - ends[1]).detach()) / 2e-5 == pytest.approx(slope, rel=1e-5, abs=1e-9)


def test_writers_and_rankers_share_tensors_and_seeds_draw_them() -> None:
    before = torch.get_rng_state()
    writer, ranker, other = (parameters_of(each) for each in (
        build_writer(FORM, 3), build_ranker(FORM, 3), build_ranker(FORM, 4)))  # fmt: skip
    assert torch.equal(torch.get_rng_state(), before)
    assert list(writer) == list(ranker)
    assert all(torch.equal(writer[name], ranker[name]) for name in writer)
    assert not torch.equal(ranker["vectors"], other["vectors"])


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(InputError, match="3 heads cannot share a width of 8"):
        Causal(11, 9, 8, 1, 3)
    with pytest.raises(InputError, match="blocks of a causal network is 0"):
        Causal(11, 9, 8, 0)
    ranker, writer = build_ranker(FORM, 0), build_writer(FORM, 0)
    with pytest.raises(InputError, match=r"give pairs of texts, \[rows, 2, numbers\]"):
        forward(ranker, parameters_of(ranker), texts(2))
    with pytest.raises(InputError, match=r"give texts, \[rows, numbers\]"):
        forward_prepared(prepare(writer), parameters_of(writer), pairs(2))
    with pytest.raises(InputError, match="10 tokens and the network room for 9"):
        forward_prepared(prepare(writer), parameters_of(writer), texts(2, room=10))
    with pytest.raises(InputError):
        embed(ranker, parameters_of(ranker), pairs(2))

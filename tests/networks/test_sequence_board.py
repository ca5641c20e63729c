"""Board networks: what filters and pointing do, told by moving a board about and by doing it square by square."""

import math

import pytest
import torch

from surefoot.density.likelihoods import categorical
from surefoot.density.objective import Objective
from surefoot.density.pools import mean
from surefoot.errors import InputError
from surefoot.inference.ascend import Ascend, ascend
from surefoot.networks.network import Network, embed, forward, parameters_of
from surefoot.networks.sequence import Pointer, build_board
from surefoot.rows.rows import make_rows

SIDE = 4
CLASSES: list[Pointer] = [(0, 5, 0), (1, 6, 0), (5, 0, 1), (6, 1, 1), (15, 3, 0)]


def network(width: int = 6, blocks: int = 2, others: int = 1, seed: int = 0) -> Network:
    return build_board(SIDE, others, 7, width, blocks, CLASSES, seed)


def boards(count: int, others: int = 1) -> torch.Tensor:
    return torch.randint(7, (count, SIDE * SIDE + others), generator=torch.Generator().manual_seed(1))


def by_hand(parameters: dict[str, torch.Tensor], row: torch.Tensor, blocks: int) -> list[float]:
    """The formulas of the docstring, square by square, for one board."""
    p = {name: tensor.double() for name, tensor in parameters.items() if tensor.is_floating_point()}
    squares = SIDE * SIDE
    width = p["vectors"].shape[1]

    def norm(vector: torch.Tensor, name: str) -> torch.Tensor:
        centred = vector - vector.mean()
        return centred / (centred.square().mean() + 1e-5).sqrt() * p[f"{name}.weight"] + p[f"{name}.bias"]

    def layer(vector: torch.Tensor, name: str) -> torch.Tensor:
        return p[f"{name}.weight"] @ vector + p[f"{name}.bias"]

    x = [p["vectors"][row[s]] + p["places"][s] for s in range(squares)]
    for number in range(len(p["others"])):
        x = [each + p["others"][number][row[squares + number]] for each in x]
    for block in range(blocks):
        name = f"blocks.{block}"
        filters = p[f"{name}.filters"].reshape(width, 2 * SIDE - 1, 2 * SIDE - 1)
        seen = [norm(each, f"{name}.norm1") for each in x]
        mixed = []
        for s in range(squares):
            total = x[s]
            for t in range(squares):
                rank, file = s // SIDE - t // SIDE, s % SIDE - t % SIDE
                total = total + filters[:, rank + SIDE - 1, file + SIDE - 1] * seen[t]
            mixed.append(total)
        x = [each + layer(layer(norm(each, f"{name}.norm2"), f"{name}.widen").relu(), f"{name}.narrow")
             for each in mixed]  # fmt: skip
    x = [norm(each, "norm") for each in x]
    return [
        float(layer(x[s], "start") @ layer(x[t], "end") / math.sqrt(width) + layer(x[t], "kind")[kind])
        for s, t, kind in CLASSES
    ]


@pytest.mark.parametrize(("width", "blocks", "others"), [(6, 2, 1), (3, 1, 2), (5, 1, 0)])
def test_logits_are_those_of_the_formulas(width: int, blocks: int, others: int) -> None:
    made = network(width, blocks, others)
    rows = boards(3, others)
    got = forward(made, parameters_of(made), rows)
    for row, logits in zip(rows, got, strict=True):
        assert logits.tolist() == pytest.approx(by_hand(parameters_of(made), row, blocks), abs=1e-5)


def test_what_is_learnt_in_one_place_is_known_in_all() -> None:
    """Without places, a board that moves by one file moves its logits: class (0, 5) becomes (1, 6).

    Token 0 has the vector zero, whose norm is zero too, so that nothing enters a single block where a piece left.
    """
    made = build_board(SIDE, 0, 7, 6, 1, CLASSES, seed=0)
    parameters = {name: tensor.clone() for name, tensor in parameters_of(made).items()}
    parameters["places"].zero_()
    parameters["vectors"][0] = 0.0
    board = torch.zeros(SIDE, SIDE, dtype=torch.int64)
    board[0, 0], board[2, 1], board[3, 2] = 3, 5, 1
    one, other = (forward(made, parameters, each.flatten()[None])[0] for each in (board, board.roll(1, dims=1)))
    assert float(one[0]) == pytest.approx(float(other[1]), abs=1e-5)
    assert float(one[2]) == pytest.approx(float(other[3]), abs=1e-5)
    assert abs(float(one[0] - other[0])) > 1e-3


def test_tokens_beside_the_board_are_told_apart() -> None:
    made = network(others=2)
    rows = boards(1, 2)
    changed = rows.clone()
    changed[0, -1] = (rows[0, -1] + 1) % 7
    one, other = (forward(made, parameters_of(made), each) for each in (rows, changed))
    assert float((one - other).abs().max()) > 1e-4


def test_seeds_give_weights_and_leave_torchs_generator() -> None:
    before = torch.get_rng_state()
    one, same, other = (parameters_of(network(seed=seed)) for seed in (3, 3, 4))
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert not torch.equal(one["vectors"], other["vectors"])


def test_it_learns_to_point_at_a_token() -> None:
    """Which of two squares holds token 2: every class points from square 0."""
    generator = torch.Generator().manual_seed(0)
    rows = torch.ones(400, 16, dtype=torch.int64)
    targets = torch.randint(6, (400,), generator=generator)
    rows[torch.arange(400), targets + 1] = 2
    made = build_board(SIDE, 0, 3, 6, 1, [(0, end, 0) for end in range(1, 7)], seed=0)
    climb = Ascend(epochs=10, batch=40, rate=0.02)
    draws = ascend(Objective(made, categorical, mean), make_rows(rows, targets), parameters_of(made), 0, climb)
    said = forward(made, draws.point(), rows).argmax(dim=1)
    assert float((said == targets).double().mean()) > 0.99


def test_its_head_is_no_layer_of_one_vector() -> None:
    made = network()
    with pytest.raises(InputError):
        embed(made, parameters_of(made), boards(2))


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ((4, 0, 7, 0, 1, CLASSES), "width of a board network is 0"),
        ((4, -1, 7, 4, 1, CLASSES), "others of a board network is -1"),
        ((4, 0, 7, 4, 1, []), "number of classes"),
        ((3, 0, 7, 4, 1, CLASSES), "Class 4 points from square 15"),
    ],
)
def test_impossible_networks_are_refused(asked: tuple[int, int, int, int, int, list[Pointer]], words: str) -> None:
    side, others, tokens, width, blocks, classes = asked
    with pytest.raises(InputError, match=words):
        build_board(side, others, tokens, width, blocks, classes, seed=0)

"""Group DRO of a whole network: the update of the paper, what absent groups do, and runs that leave no trace."""

import math
from pathlib import Path

import pytest
import torch
from torch import nn

from surefoot.density.group_dro import GroupDRO
from surefoot.density.likelihoods import categorical
from surefoot.density.objective import Objective
from surefoot.density.pools import Pool, mean, per_row
from surefoot.errors import InputError
from surefoot.inference.ascend import Ascend, ascend
from surefoot.networks.network import Network, Parameters, parameters_of
from surefoot.rows.rows import Rows
from surefoot.rows.worlds import gaussian_world

MEMBERS = torch.tensor([[1, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]], dtype=torch.bool)
SCORES = torch.tensor([-1.0, -3.0, -5.0, -0.5], dtype=torch.float64)


def test_a_step_is_algorithm_one() -> None:
    """By hand: losses 2, 5, ½; q ∝ exp(η ℓ); the loss is Σ q ℓ with the new q."""
    moving = GroupDRO(step=0.1).begin(MEMBERS)
    value = moving(SCORES, torch.ones(4, dtype=torch.float64), MEMBERS)
    raised = [math.exp(0.1 * loss) for loss in (2.0, 5.0, 0.5)]
    q = [each / sum(raised) for each in raised]
    assert moving.q.tolist() == pytest.approx(q, rel=1e-14)
    assert value.item() == pytest.approx(-sum(a * b for a, b in zip(q, (2.0, 5.0, 0.5), strict=True)), rel=1e-14)


def test_an_absent_group_neither_moves_nor_counts() -> None:
    """Rows 0 to 2 alone: the third group keeps its share against the unnormalised others, and adds nothing."""
    moving = GroupDRO(step=0.1).begin(MEMBERS)
    value = moving(SCORES[:3], torch.ones(3, dtype=torch.float64), MEMBERS[:3])
    raised = [math.exp(0.2), math.exp(0.5), 1.0]
    q = [each / sum(raised) for each in raised]
    assert moving.q.tolist() == pytest.approx(q, rel=1e-14)
    assert value.item() == pytest.approx(-(q[0] * 2 + q[1] * 5), rel=1e-14)


def test_the_gradient_reads_the_weights_of_its_own_step() -> None:
    """Two steps before one backward pass: the second must not write into what the first one's gradient needs."""
    moving = GroupDRO(step=1.0).begin(MEMBERS)
    scores = SCORES.clone().requires_grad_()
    first = moving(scores, torch.ones(4, dtype=torch.float64), MEMBERS)
    q = moving.q.clone()
    moving(scores.detach() - 7, torch.ones(4, dtype=torch.float64), MEMBERS)
    first.backward()
    assert scores.grad is not None
    torch.testing.assert_close(scores.grad, torch.stack([q[0] / 2, q[0] / 2, q[1], q[2]]))


def test_the_adjustment_moves_weights_and_not_the_loss() -> None:
    """C / √n is added where q is stepped, never to the scores that are pooled (their code adds it in place to both)."""
    plain, adjusted = GroupDRO(step=0.1).begin(MEMBERS), GroupDRO(step=0.1, adjustment=4.0).begin(MEMBERS)
    scores = SCORES.clone()
    value = adjusted(scores, torch.ones(4, dtype=torch.float64), MEMBERS)
    plain(scores, torch.ones(4, dtype=torch.float64), MEMBERS)
    assert torch.equal(scores, SCORES)
    losses = torch.tensor([2.0, 5.0, 0.5], dtype=torch.float64)
    assert value.item() == pytest.approx(-float(adjusted.q @ losses), rel=1e-14)
    raised = (0.1 * (losses + 4 / torch.tensor([2.0, 1.0, 1.0]).sqrt())).softmax(dim=0)
    torch.testing.assert_close(adjusted.q, raised)
    assert float(adjusted.q[0]) < float(plain.q[0])


def test_as_a_plain_pool_it_is_the_worst_group() -> None:
    assert GroupDRO()(SCORES, torch.ones(4, dtype=torch.float64), MEMBERS).item() == -5.0
    assert GroupDRO()(SCORES[:2], torch.ones(2, dtype=torch.float64), MEMBERS[:2]).item() == -2.0


def test_numbers_out_of_range_are_refused() -> None:
    with pytest.raises(InputError, match="step of group DRO is 0"):
        GroupDRO(step=0.0)
    with pytest.raises(InputError, match="adjustment of group DRO is -1"):
        GroupDRO(adjustment=-1.0)
    with pytest.raises(InputError, match=r"\[2, 1, 0\] rows"):
        GroupDRO().begin(torch.tensor([[1, 0, 0], [1, 1, 0]], dtype=torch.bool))


def test_rows_weigh_in_expectation_what_they_should() -> None:
    """Over all batches of two of four rows, `per_row` averages to the weighted mean; `mean` does not."""
    weights = torch.tensor([0.1, 0.1, 0.1, 3.7], dtype=torch.float64)
    whole = float((weights * SCORES).sum() / 4)
    pairs = [torch.tensor([i, j]) for i in range(4) for j in range(i)]

    def over_batches(pool: Pool) -> float:
        return sum(float(pool(SCORES[p], weights[p], MEMBERS[p])) for p in pairs) / len(pairs)

    assert over_batches(per_row) == pytest.approx(whole, rel=1e-12)
    assert abs(over_batches(mean) - whole) > 0.1


def network() -> Network:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return Network(nn.Sequential(nn.Linear(2, 2)), "0")


ROWS: Rows = gaussian_world(sizes={"fit": 400}, correlation=0.95).roles["fit"]
SETTINGS = Ascend(epochs=6, batch=50, rate=0.05, schedule="constant")


def worst_loss(parameters: Parameters) -> float:
    logits = ROWS.inputs[:] @ parameters["0.weight"].T + parameters["0.bias"]
    losses = -categorical(logits, ROWS.targets)
    return max(float(losses[column].mean()) for column in ROWS.groups.members.T)


def test_training_lowers_the_worst_groups_loss() -> None:
    start = parameters_of(network())
    plain = ascend(Objective(network(), categorical, mean), ROWS, start, 0, SETTINGS)
    robust = ascend(Objective(network(), categorical, GroupDRO(step=0.1)), ROWS, start, 0, SETTINGS)
    assert worst_loss(robust.point()) < 0.7 * worst_loss(plain.point())
    found = {each.slice: each.value for each in robust.diagnostics if each.name == "group_weight"}
    assert sum(found.values()) == pytest.approx(1.0)
    hard = [name for name, count in zip(ROWS.groups.names, ROWS.groups.counts().tolist(), strict=True) if count < 50]
    # The four groups are alike but for their sizes: at the optimum each weighs a quarter, the two small ones a half.
    assert sum(found[name] for name in hard) == pytest.approx(0.5, abs=0.1)


def test_a_run_leaves_the_pool_as_it_was_and_resumes_with_its_weights(tmp_path: Path) -> None:
    """Two runs of one objective agree bit for bit; so does one that was cut after three epochs."""
    objective = Objective(network(), categorical, GroupDRO(step=0.5))
    start = parameters_of(objective.network)
    once = ascend(objective, ROWS, start, 0, SETTINGS)
    again = ascend(objective, ROWS, start, 0, SETTINGS, checkpoint=tmp_path / "run")
    assert all(torch.equal(once.parameters[name], again.parameters[name]) for name in once.parameters)

    class Cut(Exception):
        pass

    def stop_at_three(stage: str, done: int, total: int) -> None:
        if done == 3:
            raise Cut

    with pytest.raises(Cut):
        ascend(objective, ROWS, start, 0, SETTINGS, checkpoint=tmp_path / "cut", progress=stop_at_three)
    resumed = ascend(objective, ROWS, start, 0, SETTINGS, checkpoint=tmp_path / "cut")
    assert all(torch.equal(once.parameters[name], resumed.parameters[name]) for name in once.parameters)
    assert once.diagnostics == resumed.diagnostics


def test_group_dro_and_lines_do_not_go_together() -> None:
    settings = Ascend(epochs=1, optimiser="lbfgs", schedule="constant")
    with pytest.raises(InputError, match="L-BFGS searches along lines"):
        ascend(Objective(network(), categorical, GroupDRO()), ROWS, parameters_of(network()), 0, settings)


def test_weighted_draws_follow_the_weights() -> None:
    """400 rows, of which 100 carry all weight: a network that is shown only those cannot know the others' labels.
    With weights in proportion 9 to 1 the drawn share is 0.9 within 4 standard errors (2,400 draws: false alarm 6e-5).
    """
    from surefoot.inference.climb import make_feed, private_copy

    heavy = torch.arange(400) < 200
    weights = torch.where(heavy, 9.0, 1.0)
    rows = Rows(ROWS.inputs, ROWS.targets, ROWS.classes, ROWS.groups, weights, ROWS.ids, ROWS.sources, ROWS.clusters)
    rows = rows.with_inputs(torch.stack([heavy.float(), torch.zeros(400)], dim=1))
    settings = Ascend(epochs=6, batch=50, draw="weighted")
    feed = make_feed(rows, private_copy(network().module, parameters_of(network()), "cpu"), settings, 0, "cpu")
    drawn = torch.cat([batch.inputs[:, 0] for epoch in range(6) for batch in feed.batches(epoch)])
    assert len(drawn) == 2400
    assert abs(float(drawn.mean()) - 0.9) < 4 * math.sqrt(0.9 * 0.1 / 2400)
    assert all(bool((batch.weights == 1).all()) for batch in feed.batches(0))
    first = [batch.inputs for batch in feed.batches(2)]
    assert all(torch.equal(one, two.inputs) for one, two in zip(first, feed.batches(2), strict=True))
    with pytest.raises(InputError, match="L-BFGS sees all rows at once"):
        Ascend(epochs=1, optimiser="lbfgs", schedule="constant", draw="weighted")

"""Group DRO of the last layer: its certificate, an independent solver, the paper's own loop, and the traps."""

import numpy as np
import pytest
import torch
from scipy.optimize import minimize
from torch import Tensor
from torch.nn.functional import cross_entropy

from surefoot.errors import InputError
from surefoot.robust.balanced import erm_head
from surefoot.robust.group_dro import GroupDROSettings, group_dro, solve_group_dro
from surefoot.robust.head import LinearHead
from surefoot.robust.protocol import score
from surefoot.robust.softmax.convex import fit_softmax, row_losses, weighted_mean
from surefoot.rows.rows import Groups, Rows, make_rows
from surefoot.rows.worlds import gaussian_world


def problem(classes: int, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    """Standard normal features with a core and a shortcut, labels, and groups class × shortcut of unequal sizes."""
    generator = torch.Generator().manual_seed(seed)
    label = torch.arange(180) % classes
    shortcut = torch.where(torch.rand(180, generator=generator) < 0.9, label % 2, 1 - label % 2)
    inputs = torch.randn(180, 4, generator=generator, dtype=torch.float64)
    inputs[:, 0] += label
    inputs[:, 1] += 2.0 * shortcut
    members = torch.stack([(label == k) & (shortcut == s) for k in range(classes) for s in (0, 1)], dim=1)
    assert bool((members.sum(dim=0) > 2).all())
    return inputs, label, members


def worst(head: LinearHead, inputs: Tensor, label: Tensor, members: Tensor, penalty: float, extra: Tensor) -> float:
    """The objective itself, from torch's cross-entropy."""
    losses = cross_entropy(head.logits(inputs), label, reduction="none")
    groups = torch.stack([losses[column].mean() for column in members.T])
    return float((groups + extra).max() + 0.5 * penalty * head.weight.square().sum())


def by_scipy(inputs: Tensor, label: Tensor, members: Tensor, penalty: float, extra: Tensor, classes: int) -> LinearHead:
    """min t + ½ λ ‖W‖² with ℓ_g + extra_g ≤ t for every group: sequential quadratic programming."""
    width = inputs.shape[1]

    def unpack(point: np.ndarray) -> tuple[Tensor, Tensor]:
        values = torch.from_numpy(point[:-1].copy()).requires_grad_()
        table = values.reshape(classes, width + 1)
        losses = cross_entropy(inputs @ table[:, :-1].T + table[:, -1], label, reduction="none")
        return values, torch.stack([losses[column].mean() for column in members.T]) + extra

    def slack(point: np.ndarray) -> np.ndarray:
        return (point[-1] - unpack(point)[1]).detach().numpy()

    def slopes(point: np.ndarray) -> np.ndarray:
        values, groups = unpack(point)
        rows = [torch.autograd.grad(group, values, retain_graph=True)[0] for group in groups]
        return np.hstack([-torch.stack(rows).numpy(), np.ones((len(rows), 1))])

    def objective(point: np.ndarray) -> tuple[float, np.ndarray]:
        table = point[:-1].reshape(classes, width + 1).copy()
        table[:, -1] = 0
        return point[-1] + 0.5 * penalty * (table**2).sum(), np.append(penalty * table.ravel(), 1.0)

    start = np.append(np.zeros(classes * (width + 1)), float(np.log(classes)) + float(extra.max()))
    found = minimize(
        objective,
        start,
        jac=True,
        method="SLSQP",
        constraints={"type": "ineq", "fun": slack, "jac": slopes},
        options={"maxiter": 1000, "ftol": 1e-12},
    )
    assert found.success, found.message
    table = torch.from_numpy(found.x[:-1].reshape(classes, width + 1))
    return LinearHead(table[:, :-1], table[:, -1])


@pytest.mark.parametrize("adjustment", [0.0, 2.0])
@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("penalty", [0.01, 0.1])
def test_the_optimum_is_that_of_another_solver(classes: int, penalty: float, adjustment: float) -> None:
    inputs, label, members = problem(classes)
    extra = adjustment / members.sum(dim=0).double().sqrt()
    solved = solve_group_dro(inputs, label, members, penalty, classes, adjustment=adjustment, tolerance=1e-6)
    ours = worst(solved.head, inputs, label, members, penalty, extra)
    theirs = worst(by_scipy(inputs, label, members, penalty, extra, classes), inputs, label, members, penalty, extra)
    assert abs(ours - theirs) < 1e-5
    assert 0 <= solved.gap <= 1e-6


def test_the_gap_bounds_the_distance_from_the_optimum() -> None:
    inputs, label, members = problem(2)
    none = torch.zeros(4, dtype=torch.float64)
    best = worst(
        solve_group_dro(inputs, label, members, 0.01, 2, tolerance=1e-6).head, inputs, label, members, 0.01, none
    )
    for tolerance in (0.3, 0.03, 0.003):
        solved = solve_group_dro(inputs, label, members, 0.01, 2, tolerance=tolerance)
        distance = worst(solved.head, inputs, label, members, 0.01, none) - best
        assert -1e-6 <= distance <= solved.gap + 1e-6


def test_it_agrees_with_the_papers_loop() -> None:
    """Algorithm 1 as printed, full batch: q steps, then the head descends Σ q_g ℓ_g. After 5,000 small steps of both
    its mean head is within .02 nats of the optimum (it converges as one over the root of the steps), never below it.
    """
    inputs, label, members = problem(2)
    penalty, none = 0.05, torch.zeros(4, dtype=torch.float64)
    table = torch.zeros(2, 5, dtype=torch.float64)
    mean, q = torch.zeros_like(table), torch.full((4,), 0.25, dtype=torch.float64)
    design = torch.cat([inputs, torch.ones(180, 1, dtype=torch.float64)], dim=1)
    within = members.double() / members.sum(dim=0)
    wanted = torch.nn.functional.one_hot(label, 2).double()
    steps = 5_000
    for _ in range(steps):
        logs = (design @ table.T).log_softmax(dim=1)
        groups = -(logs * wanted).sum(dim=1) @ within
        q = q * (0.05 * groups).exp()
        q = q / q.sum()
        slope = ((logs.exp() - wanted) * (within @ q)[:, None]).T @ design
        slope[:, :-1] += penalty * table[:, :-1]
        table = table - 0.2 * slope
        mean += table / steps
    loop = worst(LinearHead(mean[:, :-1], mean[:, -1]), inputs, label, members, penalty, none)
    solved = solve_group_dro(inputs, label, members, penalty, 2, tolerance=1e-6)
    ours = worst(solved.head, inputs, label, members, penalty, none)
    assert ours - 1e-6 <= loop <= ours + 0.02


def test_the_weights_sit_on_the_worst_groups() -> None:
    """At the optimum a group with weight is a worst group, and the weights sum to one."""
    inputs, label, members = problem(3)
    solved = solve_group_dro(inputs, label, members, 0.01, 3, tolerance=1e-6)
    assert float(solved.q.sum()) == pytest.approx(1.0)
    heavy = solved.q > 0.01
    assert 0 < int(heavy.sum()) < 6
    assert float(solved.losses.max() - solved.losses[heavy].min()) < 1e-3


def test_the_adjustment_does_not_leak_into_the_losses() -> None:
    """The published code adds C / √n to the very tensor it trains on; what we report are the plain mean losses."""
    inputs, label, members = problem(2)
    solved = solve_group_dro(inputs, label, members, 0.05, 2, adjustment=3.0)
    plain = row_losses(solved.head, inputs, label) @ (members.double() / members.sum(dim=0))
    assert torch.allclose(solved.losses, plain)
    # A larger adjustment asks more for the small groups: their losses cannot rise.
    without = solve_group_dro(inputs, label, members, 0.05, 2)
    small = int(members.sum(dim=0).argmin())
    assert float(solved.losses[small]) < float(without.losses[small])


def test_one_group_is_plain_training() -> None:
    inputs, label, _ = problem(2)
    solved = solve_group_dro(inputs, label, torch.ones(180, 1, dtype=torch.bool), 0.05, 2)
    plain = fit_softmax(inputs, label, weighted_mean(torch.ones(180, dtype=torch.float64)), 0.05, 2)
    assert torch.allclose(solved.head.weight, plain.weight, atol=1e-3)


def test_a_copy_of_a_group_changes_nothing() -> None:
    """The maximum does not care how many rows or names a group has: repeat one group's rows and the optimum stays."""
    inputs, label, members = problem(2)
    again = torch.cat([torch.arange(180), members[:, 0].nonzero().ravel().repeat(3)])
    one = solve_group_dro(inputs, label, members, 0.05, 2, tolerance=1e-6).head
    two = solve_group_dro(inputs[again], label[again], members[again], 0.05, 2, tolerance=1e-6).head
    assert torch.allclose(one.weight, two.weight, atol=3e-3)


def named(inputs: Tensor, label: Tensor, members: Tensor, role: str) -> Rows:
    groups = Groups(("a", "b", "c", "d"), members)
    ids = np.array([f"{role}:{row:03d}" for row in range(len(label))])
    return make_rows(inputs.float(), label, groups=groups, ids=ids)


def test_an_empty_group_is_refused_by_name() -> None:
    inputs, label, members = problem(2)
    rows = {role: named(inputs, label, members, role) for role in ("fit", "repair", "choose")}
    erm = erm_head(rows["fit"])
    without = members.clone()
    without[:, 2] = False
    with pytest.raises(InputError, match="'c' has no repair rows"):
        group_dro({**rows, "repair": named(inputs, label, without, "repair")}, erm, GroupDROSettings(), 0)


def test_the_grid_is_chosen_on_the_choose_rows() -> None:
    world = gaussian_world(sizes={"fit": 1000, "repair": 1000, "choose": 2000}).roles
    erm = erm_head(world["fit"])
    settings = GroupDROSettings(penalties=(0.01, 0.1), adjustments=(0.0, 1.0))
    repaired = group_dro(world, erm, settings, 0)
    assert [dict(trial.setting) for trial in repaired.trials] == [
        {"penalty": penalty, "adjustment": adjustment} for adjustment in (0.0, 1.0) for penalty in (0.1, 0.01)
    ]
    best = max(trial.worst_group_accuracy for trial in repaired.trials)
    assert score(repaired.head, world["choose"]).worst_group_accuracy == pytest.approx(best, abs=1e-6)
    assert best > score(erm, world["choose"]).worst_group_accuracy + 0.3


def test_rows_in_no_group_do_not_count_and_are_told() -> None:
    inputs, label, members = problem(2)
    rows = {role: named(inputs, label, members, role) for role in ("fit", "repair", "choose")}
    erm, settings = erm_head(rows["fit"]), GroupDROSettings(penalties=(0.1,))
    without = members.clone()
    without[5:25] = False
    turned = label.clone()
    turned[5:25] = 1 - turned[5:25]
    some = [named(inputs, each, without, "repair") for each in (label, turned)]
    one, two = (group_dro({**rows, "repair": each}, erm, settings, 0) for each in some)
    assert torch.allclose(one.head.weight, two.head.weight, atol=1e-6)
    assert f"20 of {len(label)} repair rows are in no group and were not used." in one.notes


def test_settings_out_of_range_are_refused() -> None:
    with pytest.raises(InputError, match="adjustments are"):
        GroupDROSettings(adjustments=(-1.0,))
    with pytest.raises(InputError, match="tolerance is 0"):
        GroupDROSettings(tolerance=0.0)


def test_overlapping_groups_count_in_each() -> None:
    """A row in two groups speaks for both: the union of two groups as a third changes no maximum."""
    inputs, label, members = problem(2)
    union = torch.cat([members, (members[:, :1] | members[:, 1:2])], dim=1)
    one = solve_group_dro(inputs, label, members, 0.05, 2, tolerance=1e-6).head
    two = solve_group_dro(inputs, label, union, 0.05, 2, tolerance=1e-6).head
    assert torch.allclose(one.weight, two.weight, atol=3e-3)

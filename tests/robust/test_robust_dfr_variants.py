"""DFR's variants: multinomial heads, free intercepts, elastic nets, groups left out, rows drawn twice."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from surefoot.errors import InputError
from surefoot.robust.balance import balanced_draw
from surefoot.robust.dfr import DFRSettings, dfr
from surefoot.robust.scaler import fit_scaler
from surefoot.robust.sparse.solve import sparse_objective
from surefoot.rows.rows import Groups, Rows, make_rows


def regions(role: str, counts: tuple[int, ...], seed: int, classes: int = 3) -> Rows:
    """Groups that are regions alone, across classes; the last is called Other. A dead column stands at the end."""
    generator = torch.Generator().manual_seed(seed + 7 * len(role))
    region = torch.cat([torch.full((count,), number) for number, count in enumerate(counts)])
    targets = torch.randint(classes, (len(region),), generator=generator)
    inputs = torch.randn(len(region), 6, generator=generator)
    inputs[:, 0] += 3.0 * (targets == 0)
    inputs[:, 1] += 3.0 * (targets == 1) + 20
    inputs[:, -1] = 0.1
    names = (*("Asia", "Europe", "Africa")[: len(counts) - 1], "Other")
    return make_rows(
        inputs,
        targets,
        classes=[f"c{label}" for label in range(classes)],
        groups=Groups(names, region[:, None] == torch.arange(len(counts))),
        ids=np.array([f"{role}:{row:05d}" for row in range(len(region))]),
    )


def roles(counts: tuple[int, ...] = (90, 60, 50), classes: int = 3) -> dict[str, Rows]:
    return {"repair": regions("repair", counts, 1, classes), "choose": regions("choose", counts, 2, classes)}


@pytest.mark.parametrize("ratio", [1.0, 0.5, 0.0])
def test_a_multinomial_retrain_is_one_softmax_of_scikit_learn(ratio: float) -> None:
    given = roles()
    settings = DFRSettings(strengths=(0.2,), retrains=1, multiclass="multinomial", intercept="free", l1_ratio=ratio)
    repaired = dfr(given, settings, 0)
    pool = given["repair"]
    generator = torch.Generator().manual_seed(0)
    balanced_draw(pool.groups, pool.ids, generator, role="repair", method="DFR")
    draw = balanced_draw(pool.groups, pool.ids, generator, role="repair", method="DFR")
    scaled = fit_scaler(pool.inputs[:]).apply(pool.inputs[:])
    solver = "newton-cholesky" if ratio == 0 else "saga"
    model = LogisticRegression(C=0.2, l1_ratio=ratio, solver=solver, tol=1e-8, max_iter=50_000, random_state=0)
    model.fit(scaled[draw].numpy(), pool.targets[draw].numpy())
    theirs = torch.from_numpy(model.predict_proba(scaled.numpy()))
    ours = repaired.head.probabilities(pool.inputs[:]).double()
    torch.testing.assert_close(ours, theirs, rtol=0, atol=2e-3)
    assert not any("One-versus-rest" in note for note in repaired.notes)
    assert not repaired.head.weight[:, -1].any()


def test_the_settings_reach_the_solver_in_the_binary_fit() -> None:
    given = roles(classes=2)
    pool = given["repair"]
    settings = DFRSettings(strengths=(0.05,), retrains=1, intercept="free", l1_ratio=0.3)
    head = dfr(given, settings, 3).head
    generator = torch.Generator().manual_seed(3)
    balanced_draw(pool.groups, pool.ids, generator, role="repair", method="DFR")
    draw = balanced_draw(pool.groups, pool.ids, generator, role="repair", method="DFR")
    scaler = fit_scaler(pool.inputs[:])
    scaled = scaler.apply(pool.inputs[:])[draw]
    gap = (head.weight[1] - head.weight[0]).double()
    shared = (scaled, pool.targets[draw] == 1, torch.ones(len(draw)), 0.05)
    bias = float(head.bias[1] - head.bias[0]) + float(gap @ scaler.mean)
    ours = sparse_objective(*shared, gap * scaler.scale, bias, l1_ratio=0.3, intercept="free")
    model = LogisticRegression(C=0.05, l1_ratio=0.3, solver="saga", tol=1e-10, max_iter=50_000, random_state=0)
    model.fit(scaled.numpy(), pool.targets[draw].numpy())
    theirs = sparse_objective(
        *shared, torch.from_numpy(model.coef_[0]), float(model.intercept_[0]), l1_ratio=0.3, intercept="free"
    )
    assert ours == pytest.approx(theirs, rel=1e-6)


def test_a_tiny_group_is_named_and_dropping_it_is_as_if_it_had_never_been() -> None:
    # Guards trap 14 of DFR: "Other" of FMOW has 4 rows and shrinks every draw to 4 rows a region.
    given = roles((90, 60, 50, 6), classes=2)
    settings = DFRSettings(strengths=(0.3,), retrains=2)
    with_other = dfr(given, settings, 0)
    assert with_other.notes[0] == (
        "The group 'Other' has 6 repair rows and shrinks every balanced draw to 24 of 206; drop_groups leaves it out."
    )
    dropped = dfr(given, DFRSettings(strengths=(0.3,), retrains=2, drop_groups=("Other",)), 0)
    assert dropped.notes == ("Rows of Other were left out of learning and selection.",)
    without = {}
    for role, rows in given.items():
        left = rows.take((~rows.groups.members[:, 3]).nonzero().squeeze(1))
        without[role] = make_rows(
            left.inputs, left.targets, classes=left.classes, ids=left.ids,
            groups=Groups(left.groups.names[:3], left.groups.members[:, :3]),
        )  # fmt: skip
    never = dfr(without, settings, 0)
    assert torch.equal(dropped.head.weight, never.head.weight)
    assert dropped.trials == never.trials
    with pytest.raises(InputError) as caught:
        dfr(given, DFRSettings(drop_groups=("Others",)), 0)
    assert str(caught.value) == (
        "DFR was told to drop the group 'Others', but the groups of the repair rows are Asia, Europe, Africa, Other; "
        "name one of these."
    )


def test_a_row_drawn_for_two_groups_counts_twice() -> None:
    # The wider group holds every row of the narrower one, so that its rows are drawn once or twice.
    given = roles((40, 40, 40), classes=2)
    overlapping = {}
    for role, rows in given.items():
        members = torch.stack([rows.groups.members[:, 0], torch.ones(len(rows), dtype=torch.bool)], dim=1)
        overlapping[role] = make_rows(
            rows.inputs, rows.targets, classes=rows.classes, ids=rows.ids, groups=Groups(("Asia", "all"), members)
        )
    head = dfr(overlapping, DFRSettings(strengths=(0.3,), retrains=1), 5).head
    pool = overlapping["repair"]
    generator = torch.Generator().manual_seed(5)
    balanced_draw(pool.groups, pool.ids, generator, role="repair", method="DFR")
    draw = balanced_draw(pool.groups, pool.ids, generator, role="repair", method="DFR")
    assert len(draw.unique()) < len(draw)
    scaler = fit_scaler(pool.inputs[:])
    scaled = scaler.apply(pool.inputs[:])[draw]  # repeated rows, weight 1 each
    model = LogisticRegression(C=0.3, l1_ratio=1, solver="liblinear", tol=1e-10, max_iter=5000, random_state=0)
    model.fit(scaled.numpy(), pool.targets[draw].numpy())
    gap = (head.weight[1] - head.weight[0]).double() * scaler.scale
    torch.testing.assert_close(gap, torch.from_numpy(model.coef_[0]), rtol=0, atol=1e-3)


def test_an_l1_ratio_outside_its_range_is_refused() -> None:
    with pytest.raises(InputError, match=r"^l1_ratio is -0\.1; give a number from 0 \(L2\) to 1 \(L1\)\.$"):
        DFRSettings(l1_ratio=-0.1)

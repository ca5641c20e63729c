"""DFR and class-balanced retraining: the procedure, its settings, its traps."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from surefoot.errors import InputError
from surefoot.robust.balance import balanced_draw, source_halves
from surefoot.robust.balanced import BalancedSettings, class_balanced
from surefoot.robust.dfr import DFRSettings, dfr
from surefoot.robust.fit_heads import fit_heads
from surefoot.robust.head import LinearHead, fold_scaler
from surefoot.robust.scaler import fit_scaler
from surefoot.rows.roles import Roles
from surefoot.rows.rows import Groups, Rows, cross_groups, make_rows

GRID = (1.0, 0.1, 0.03)


def world(role: str, counts: tuple[int, int, int, int], *, seed: int = 0, classes: int = 2, width: int = 6) -> Rows:
    """Gaussian features: column 0 tells the class, column 1 the shortcut; groups class × shortcut."""
    generator = torch.Generator().manual_seed(seed + 100 * len(role))
    label = torch.cat([torch.full((count,), number // 2) for number, count in enumerate(counts)])
    shortcut = torch.cat([torch.full((count,), number % 2) for number, count in enumerate(counts)])
    if classes == 3:
        label = torch.arange(len(label)) % 3
    inputs = torch.randn(len(label), width, generator=generator)
    inputs[:, 0] += 2.0 * label
    inputs[:, 1] += 4.0 * shortcut + 10
    inputs[:, -1] = 7.25  # a dead feature
    names = [f"c{number}" for number in range(classes)]
    return make_rows(
        inputs,
        label,
        classes=names,
        groups=cross_groups(label, names, shortcut, ["s0", "s1"]),
        ids=np.array([f"{role}:{row:05d}" for row in range(len(label))]),
    )


FIT = world("fit", (300, 20, 20, 300))
REPAIR = world("repair", (150, 12, 15, 150))
CHOOSE = world("choose", (120, 30, 30, 120))
ROLES = {"fit": FIT, "repair": REPAIR, "choose": CHOOSE}


def own_fit(rows: Rows, draw: Tensor, strength: float, mean: Tensor, scale: Tensor) -> LinearHead:
    """One fit written without the code under test, except for the solver (law 6 tests that)."""
    scaled = (rows.inputs[:].double() - mean) / scale
    scaled[:, -1] = 0
    ones = torch.ones(1, len(draw), dtype=torch.float64)
    (head,) = fit_heads(scaled[draw], rows.targets[draw], ones, torch.tensor([strength]).double(), 2)
    return head


def moments(features: Tensor) -> tuple[Tensor, Tensor]:
    mean, scale = features.double().mean(0), features.double().std(0, correction=0)
    scale[-1] = 1
    return mean, scale


def test_dfr_train_is_the_procedure_of_the_paper_step_by_step() -> None:
    settings = DFRSettings(learn="repair", strengths=GRID, retrains=3, ties="weakest")
    repaired = dfr(ROLES, settings, seed=5)
    generator = torch.Generator().manual_seed(5)
    mean, scale = moments(REPAIR.inputs[:])
    scaled = (CHOOSE.inputs[:].double() - mean) / scale
    scaled[:, -1] = 0

    def draw() -> Tensor:
        return balanced_draw(REPAIR.groups, REPAIR.ids, generator, role="repair", method="DFR")

    tuning, scores = draw(), []
    for strength in GRID:
        correct = own_fit(REPAIR, tuning, strength, mean, scale).logits(scaled).argmax(1) == CHOOSE.targets
        scores.append(min(float(correct[members].double().mean()) for members in CHOOSE.groups.members.T))
    assert [trial.worst_group_accuracy for trial in repaired.trials] == pytest.approx(scores)
    assert [trial.setting["C"] for trial in repaired.trials] == list(GRID)
    best = GRID[int(np.argmax(scores))]
    assert repaired.chosen == {"C": best}
    # Acceptance (1): the averaged head is the mean of the retrained ones.
    heads = [own_fit(REPAIR, draw(), best, mean, scale) for _ in range(3)]
    average = LinearHead(torch.stack([h.weight for h in heads]).mean(0), torch.stack([h.bias for h in heads]).mean(0))
    expected = average.logits(((CHOOSE.inputs[:].double() - mean) / scale).index_fill(1, torch.tensor([5]), 0.0))
    # Acceptance (3): the folded export says the same on raw features.
    torch.testing.assert_close(repaired.head.logits(CHOOSE.inputs[:]).double(), expected, rtol=0, atol=1e-4)
    assert repaired.seen == REPAIR.origins() | CHOOSE.origins()


def test_dfr_validation_tunes_on_halves_that_share_no_source_and_retrains_on_all_of_choose() -> None:
    paired = replace(CHOOSE, sources=np.array([[f"pair:{row // 2}"] for row in range(len(CHOOSE))]))
    repaired = dfr({"choose": paired}, DFRSettings(learn="choose", strengths=GRID, retrains=2), seed=1)
    generator = torch.Generator().manual_seed(1)
    halves = source_halves(paired, paired.groups, generator)
    assert not paired.take(halves.first).origins() & paired.take(halves.second).origins()
    half = paired.take(halves.second)
    draw = halves.second[balanced_draw(half.groups, half.ids, generator, role="choose", method="DFR")]
    mean, scale = moments(paired.inputs[:])
    scored = paired.take(halves.first)
    scaled = ((scored.inputs[:].double() - mean) / scale).index_fill(1, torch.tensor([5]), 0.0)
    for trial in repaired.trials:
        head = own_fit(paired, draw, trial.setting["C"], mean, scale)
        correct = head.logits(scaled).argmax(1) == scored.targets
        worst = min(float(correct[members].double().mean()) for members in scored.groups.members.T)
        assert trial.worst_group_accuracy == pytest.approx(worst)
    assert repaired.seen == paired.origins()


def test_the_number_of_retrains_defaults_to_that_of_the_code_and_not_of_the_paper() -> None:
    # Guards trap 6 of DFR: 20 for learn = choose, 10 otherwise; one head differs from their average.
    for learn, count in (("choose", 20), ("repair", 10)):
        default = dfr(ROLES, DFRSettings(learn=learn, strengths=(0.1,)), 0)
        same = dfr(ROLES, DFRSettings(learn=learn, strengths=(0.1,), retrains=count), 0)
        other = dfr(ROLES, DFRSettings(learn=learn, strengths=(0.1,), retrains=1), 0)
        assert torch.equal(default.head.weight, same.head.weight)
        assert not torch.equal(default.head.weight, other.head.weight)


@pytest.mark.parametrize("learn", ["repair", "choose", "fit"])
def test_the_same_seed_gives_the_same_head_whatever_the_order_of_rows(learn: str) -> None:
    # Guards trap 9 of DFR (nothing was seeded) and trap 3 of AFR's kind (splits tied to positions).
    settings = DFRSettings(learn=learn, strengths=GRID)
    generator = torch.Generator().manual_seed(11)
    shuffled = {role: rows.take(torch.randperm(len(rows), generator=generator)) for role, rows in ROLES.items()}
    first, again, other = dfr(ROLES, settings, 3), dfr(ROLES, settings, 3), dfr(ROLES, settings, 4)
    assert torch.equal(first.head.weight, again.head.weight)
    assert not torch.equal(first.head.weight, other.head.weight)
    permuted = dfr(shuffled, settings, 3)
    assert permuted.trials == first.trials
    torch.testing.assert_close(permuted.head.weight, first.head.weight, rtol=0, atol=1e-4)


def test_dead_features_get_no_weight_even_where_the_choose_rows_revive_them() -> None:
    # Guards trap 12 of DFR: no guard for σ = 0. The mean of many 0.1s is not 0.1 in floating point.
    inputs = REPAIR.inputs[:].clone()
    inputs[:, -1] = 0.1
    revived = CHOOSE.inputs[:].clone()
    revived[:, -1] = torch.arange(len(CHOOSE)) * 1e3
    roles = {"repair": REPAIR.with_inputs(inputs), "choose": CHOOSE.with_inputs(revived)}
    repaired = dfr(roles, DFRSettings(strengths=GRID), 0)
    assert not repaired.head.weight[:, -1].any()
    assert torch.isfinite(repaired.head.bias).all()
    plain = dfr(ROLES, DFRSettings(strengths=GRID), 0)
    torch.testing.assert_close(repaired.head.weight, plain.head.weight, rtol=0, atol=1e-6)


def test_ties_go_to_the_strongest_penalty_unless_the_published_way_is_asked_for() -> None:
    # Guards trap 4 of DFR: argmax over a descending grid picks the weakest regularisation.
    far = CHOOSE.inputs[:].clone()
    far[:, 0] = 40.0 * CHOOSE.targets - 20  # every C is right on all choose rows
    roles = {"repair": REPAIR, "choose": CHOOSE.with_inputs(far)}
    strongest = dfr(roles, DFRSettings(strengths=(0.1, 1.0, 0.3)), 0)
    weakest = dfr(roles, DFRSettings(strengths=(0.1, 1.0, 0.3), ties="weakest"), 0)
    assert {trial.worst_group_accuracy for trial in strongest.trials} == {1.0}
    assert (strongest.chosen, weakest.chosen) == ({"C": 0.1}, {"C": 1.0})


def test_the_scaler_is_a_choice_and_the_default_is_one_for_both_phases() -> None:
    # Guards trap 1 of DFR. The final head is `fit` of the standardised pool, so its scaler shows in the head.
    for scaler, rows in (("pool", CHOOSE), ("simplified", CHOOSE), ("published", FIT)):
        repaired = dfr(ROLES, DFRSettings(learn="choose", strengths=(0.05,), scaler=scaler, retrains=1), 2)
        generator = torch.Generator().manual_seed(2)
        halves = source_halves(CHOOSE, CHOOSE.groups, generator)
        half = CHOOSE.take(halves.second)
        tuned = halves.second[balanced_draw(half.groups, half.ids, generator, role="choose", method="DFR")]
        draw = balanced_draw(CHOOSE.groups, CHOOSE.ids, generator, role="choose", method="DFR")
        mean, scale = moments(rows.inputs[:])
        folded = fold_scaler(own_fit(CHOOSE, draw, 0.05, mean, scale), mean, scale)
        torch.testing.assert_close(repaired.head.weight.double(), folded.weight, rtol=0, atol=1e-5)
        mean, scale = moments(CHOOSE.inputs[:] if scaler == "pool" else CHOOSE.inputs[:][tuned])
        scored = CHOOSE.take(halves.first)
        head = own_fit(CHOOSE, tuned, 0.05, mean, scale)
        standard = ((scored.inputs[:].double() - mean) / scale).index_fill(1, torch.tensor([5]), 0.0)
        right = head.logits(standard).argmax(1) == scored.targets
        assert repaired.trials[0].mean_accuracy == pytest.approx(float(right.double().mean()))
        assert repaired.seen == (CHOOSE.origins() if rows is CHOOSE else CHOOSE.origins() | FIT.origins())
    with pytest.raises(InputError) as caught:
        DFRSettings(learn="repair", scaler="simplified")
    assert str(caught.value) == (
        "scaler 'simplified' was given with learn 'repair'; it is defined for learn 'choose' alone: use 'pool'."
    )


@pytest.mark.parametrize("repeats", [1, 2])
def test_c_multiplies_a_sum_unless_it_is_kept_per_row(repeats: int) -> None:
    # Guards trap 2 of DFR: the final draw is about twice the tuning draw, so the penalty per row halves.
    settings = DFRSettings(learn="choose", strengths=(0.04,), constant="mean", retrains=1, tune_repeats=repeats)
    kept = dfr({"choose": CHOOSE}, settings, 6)
    generator = torch.Generator().manual_seed(6)
    for _ in range(repeats):
        halves = source_halves(CHOOSE, CHOOSE.groups, generator)
        half = CHOOSE.take(halves.second)
        tuned = balanced_draw(half.groups, half.ids, generator, role="choose", method="DFR")
    draw = balanced_draw(CHOOSE.groups, CHOOSE.ids, generator, role="choose", method="DFR")
    mean, scale = moments(CHOOSE.inputs[:])
    head = fold_scaler(own_fit(CHOOSE, draw, 0.04 * len(tuned) / len(draw), mean, scale), mean, scale)
    torch.testing.assert_close(kept.head.weight.double(), head.weight, rtol=0, atol=1e-5)
    assert kept.chosen == {"C": 0.04}
    assert len(draw) == 2 * len(tuned)


def test_repeated_tuning_averages_over_draws() -> None:
    # Guards trap 3 of DFR: one split and one subset are a noisy judge.
    many = dfr(ROLES, DFRSettings(strengths=(1.0,), tune_repeats=7, retrains=1), 0)
    generator = torch.Generator().manual_seed(0)
    mean, scale = moments(REPAIR.inputs[:])
    scaled = ((CHOOSE.inputs[:].double() - mean) / scale).index_fill(1, torch.tensor([5]), 0.0)
    worst = []
    for _ in range(7):
        draw = balanced_draw(REPAIR.groups, REPAIR.ids, generator, role="repair", method="DFR")
        right = own_fit(REPAIR, draw, 1.0, mean, scale).logits(scaled).argmax(1) == CHOOSE.targets
        worst.append(min(float(right[members].double().mean()) for members in CHOOSE.groups.members.T))
    assert many.trials[0].worst_group_accuracy == pytest.approx(np.mean(worst))
    assert len(set(worst)) > 1


def test_class_weights_try_each_class_in_turn() -> None:
    repaired = dfr(ROLES, DFRSettings(strengths=(0.1,), class_weights=(1.0, 2.0, 10.0), retrains=1), 0)
    tried = [tuple(trial.setting.values()) for trial in repaired.trials]
    assert tried == [(0.1, 1.0, 1.0), (0.1, 2.0, 1.0), (0.1, 1.0, 2.0), (0.1, 10.0, 1.0), (0.1, 1.0, 10.0)]
    assert set(repaired.trials[0].setting) == {"C", "weight of c0", "weight of c1"}
    heavy = dfr(ROLES, DFRSettings(strengths=(0.1,), class_weights=(100.0,), retrains=1), 0)
    # Weight 100 on either class alone makes nearly every row that class.
    predicted = heavy.head.logits(CHOOSE.inputs[:]).argmax(1).double().mean()
    assert min(float(predicted), 1 - float(predicted)) < 0.25


def test_a_constant_prediction_is_said_and_not_hidden() -> None:
    # Guards trap 10 of DFR: at C = 1e-4 the penalised weights and intercept are all zero.
    repaired = dfr(ROLES, DFRSettings(strengths=(1e-4,)), 0)
    assert not repaired.head.weight.any()
    assert repaired.trials[0].worst_group_accuracy == 0.0
    assert repaired.notes == (
        "Every weight is zero: C = 0.0001 on 48 rows leaves a constant prediction; try a larger C or more rows.",
    )


def test_unknown_groups_are_left_out_and_counted() -> None:
    members = REPAIR.groups.members.clone()
    members[::10] = False
    partial = replace(REPAIR, groups=Groups(REPAIR.groups.names, members), weights=torch.full((len(REPAIR),), 2.0))
    repaired = dfr({"repair": partial, "choose": CHOOSE}, DFRSettings(strengths=(0.1,)), 0)
    assert repaired.notes == (
        "33 of 327 repair rows are in no group and were not drawn.",
        "The weights of the repair rows were not used: a balanced draw replaces them.",
    )


def test_choose_rows_in_no_group_are_counted_where_they_do_nothing_but_choose() -> None:
    members = CHOOSE.groups.members.clone()
    members[::10] = False
    partial = replace(CHOOSE, groups=Groups(CHOOSE.groups.names, members))
    given = {"repair": REPAIR, "choose": partial}
    told = "30 of 300 choose rows are in no group: they did not count in the worst."
    assert dfr(given, DFRSettings(strengths=(0.1,)), 0).notes == (told,)
    head = LinearHead(torch.zeros(2, 6), torch.zeros(2))
    assert class_balanced(given, head, BalancedSettings(strengths=(0.1,)), 0).notes == (told,)
    # Learned on themselves they are told of once, as rows that were not drawn.
    learned = dfr({"choose": partial}, DFRSettings(learn="choose", strengths=(0.1,), retrains=1), 0).notes
    assert told not in learned
    assert "30 of 300 choose rows are in no group and were not drawn." in learned


def test_a_group_too_small_to_halve_is_refused() -> None:
    # Guards trap 5 of DFR: the group would be empty in the half that scores.
    lone = CHOOSE.groups.members[:, 1].nonzero().squeeze(1)[1:]
    kept = torch.ones(len(CHOOSE), dtype=torch.bool)
    kept[lone] = False
    with pytest.raises(InputError) as caught:
        dfr({"choose": CHOOSE.take(kept)}, DFRSettings(learn="choose"), 0)
    assert str(caught.value) == (
        "The group 'c0, s1' is missing from one half of the choose rows, and DFR fits on one half and scores on the "
        "other; give more choose rows of it from other sources, or learn on the repair rows."
    )


def test_a_draw_that_misses_a_class_is_refused() -> None:
    # Groups that cut across classes (regions) can be smaller than the number of classes.
    region = torch.zeros(300, dtype=torch.int64)
    region[0] = 1
    generator = torch.Generator().manual_seed(0)
    rows = make_rows(
        torch.randn(300, 2, generator=generator),
        torch.arange(300) % 3,
        groups=Groups(("north", "other"), region[:, None] == torch.arange(2)),
    )
    with pytest.raises(InputError) as caught:
        dfr({"repair": rows, "choose": rows}, DFRSettings(), 0)
    message = str(caught.value)
    assert message.startswith("20 balanced draws of repair rows for DFR all missed a class (last: '")
    assert message.endswith("'); the smallest group has too few rows: merge groups, drop it (drop_groups) or add rows.")


@pytest.mark.parametrize(
    ("given", "settings", "sentence"),
    [
        (
            {"repair": 2, "choose": 30},
            DFRSettings(),
            "DFR fits 3 classes, but none of the 2 repair rows that it can draw from is of class 'c2'; add repair rows "
            "of it, or leave it out of the classes.",
        ),
        (
            {"choose": 2},
            DFRSettings(learn="choose", multiclass="multinomial"),
            "DFR fits 3 classes, but none of the 1 choose rows that it can draw from is of class 'c1'; add choose rows "
            "of it, or leave it out of the classes.",
        ),
    ],
)
def test_fewer_rows_than_classes_are_refused_by_the_class_that_has_none(
    given: dict[str, int], settings: DFRSettings, sentence: str
) -> None:
    """No group is empty, so only the class can be named; drawing again or dropping a group would not help."""
    roles: Roles = {
        role: make_rows(
            torch.randn(count, 4, generator=torch.Generator().manual_seed(count)),
            torch.arange(count) % 3,
            classes=["c0", "c1", "c2"],
            groups=Groups(("everywhere",), torch.ones(count, 1, dtype=torch.bool)),
        )
        for role, count in given.items()
    }
    with pytest.raises(InputError) as caught:
        dfr(roles, settings, 0)
    assert str(caught.value) == sentence


@pytest.mark.parametrize("learn", ["repair", "choose"])
def test_three_classes_are_one_against_the_rest(learn: str) -> None:
    # Guards trap 11 of DFR: three and more classes died in the published code.
    from sklearn.linear_model import LogisticRegression
    from sklearn.multiclass import OneVsRestClassifier

    roles = {
        "repair": world("repair", (90, 90, 90, 90), classes=3),
        "choose": world("choose", (90, 90, 90, 90), classes=3),
    }
    repaired = dfr(roles, DFRSettings(learn=learn, strengths=(0.3,), retrains=1), 0)
    pool = roles[learn]
    generator = torch.Generator().manual_seed(0)
    if learn == "choose":
        half = pool.take(source_halves(pool, pool.groups, generator).second)
        balanced_draw(half.groups, half.ids, generator, role=learn, method="DFR")
    else:
        balanced_draw(pool.groups, pool.ids, generator, role=learn, method="DFR")
    draw = balanced_draw(pool.groups, pool.ids, generator, role=learn, method="DFR")
    scaler = fit_scaler(pool.inputs[:])
    model = OneVsRestClassifier(LogisticRegression(l1_ratio=1, solver="liblinear", C=0.3, tol=1e-8, max_iter=1000))
    scaled = scaler.apply(pool.inputs[:])
    model.fit(scaled[draw].numpy(), pool.targets[draw].numpy())
    theirs = torch.from_numpy(model.decision_function(scaled.numpy()))
    torch.testing.assert_close(repaired.head.logits(pool.inputs[:]).double(), theirs, rtol=0, atol=1e-3)
    assert repaired.head.weight.shape == (3, 6)
    assert any(note.startswith("One-versus-rest logits") for note in repaired.notes)


def test_class_balancing_is_dfr_with_the_classes_as_groups() -> None:
    by_class = Groups(("class c0", "class c1"), REPAIR.targets[:, None] == torch.arange(2))
    head = LinearHead(torch.zeros(2, 6), torch.zeros(2))
    settings = BalancedSettings(strengths=GRID)
    balanced = class_balanced(ROLES, head, settings, 8)
    as_dfr = dfr({"repair": replace(REPAIR, groups=by_class), "choose": CHOOSE}, settings, 8)
    assert torch.equal(balanced.head.weight, as_dfr.head.weight)
    assert balanced.trials == as_dfr.trials


def test_class_balancing_needs_no_groups_and_says_what_chose_instead() -> None:
    bare = {role: make_rows(rows.inputs, rows.targets, ids=rows.ids) for role, rows in ROLES.items()}
    repaired = class_balanced(bare, LinearHead(torch.zeros(2, 6), torch.zeros(2)), BalancedSettings(strengths=GRID), 0)
    assert repaired.notes == ("The choose rows have no groups: C was chosen by the worst class.",)
    assert len(repaired.trials) == 3


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"strengths": ()}, "strengths are (); give at least one, each positive and finite."),
        ({"strengths": (0.1, -1.0)}, "strengths are (0.1, -1.0); give at least one, each positive and finite."),
        ({"class_weights": (0.0,)}, "class_weights are (0.0,); give at least one, each positive and finite."),
        ({"tune_repeats": 0}, "tune_repeats is 0 and retrains None; each must be at least 1."),
        ({"retrains": 0}, "tune_repeats is 1 and retrains 0; each must be at least 1."),
    ],
)
def test_settings_that_mean_nothing_are_refused(given: dict[str, object], message: str) -> None:
    with pytest.raises(InputError) as caught:
        replace(DFRSettings(), **given)
    assert str(caught.value) == message

"""AFR beyond law 6: its weights, what it may select, its traps."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from surefoot.errors import InputError
from surefoot.robust.afr import AFRSettings, afr, afr_weights
from surefoot.robust.balanced import erm_head
from surefoot.robust.head import LinearHead
from surefoot.robust.protocol import material_of, score
from surefoot.robust.selecting import Selection, selecting
from surefoot.rows.rows import Rows, cross_groups, make_rows, no_groups


def world(role: str, counts: tuple[int, int, int, int]) -> Rows:
    generator = torch.Generator().manual_seed(len(role))
    label = torch.cat([torch.full((count,), number // 2) for number, count in enumerate(counts)])
    shortcut = torch.cat([torch.full((count,), number % 2) for number, count in enumerate(counts)])
    inputs = torch.randn(len(label), 5, generator=generator)
    inputs[:, 0] += 2.0 * label
    inputs[:, 1] += 4.0 * shortcut
    groups = cross_groups(label, ["c0", "c1"], shortcut, ["s0", "s1"])
    return make_rows(inputs, label, groups=groups, ids=np.array([f"{role}:{row:05d}" for row in range(len(label))]))


FIT = world("fit", (600, 15, 15, 600))
ROLES = {"repair": world("repair", (200, 6, 6, 150)), "choose": world("choose", (150, 40, 40, 150))}
ERM = erm_head(FIT)


def test_weights_are_the_formula_and_sum_to_one() -> None:
    probabilities, targets = torch.tensor([0.9, 0.2, 0.6, 0.99]).double(), torch.tensor([0, 0, 0, 1])
    weights = afr_weights(probabilities, targets, (0.0, 3.0), 2, True)
    plain = torch.exp(-3.0 * probabilities) / torch.tensor([3.0, 3.0, 3.0, 1.0])
    torch.testing.assert_close(weights[:, 1], plain / plain.sum())
    # β alone balances the classes; after the exponential they no longer are (trap 7 of AFR).
    torch.testing.assert_close(weights[:, 0], torch.tensor([1 / 6, 1 / 6, 1 / 6, 1 / 2]).double())
    unbalanced = afr_weights(probabilities, targets, (3.0,), 2, False)
    torch.testing.assert_close(unbalanced[:, 0], torch.softmax(-3.0 * probabilities, 0))


def test_weights_survive_any_gamma() -> None:
    # Guards trap 6 of AFR: e^(−γp) underflows in float32 beyond γp = 103, and all-zero weights are 0/0.
    probabilities = torch.tensor([0.5, 0.500001, 0.9])
    weights = afr_weights(probabilities, torch.tensor([0, 1, 1]), (1e5, 1e30), 2, True)
    assert torch.isfinite(weights).all()
    torch.testing.assert_close(weights.sum(dim=0), torch.ones(2).double())
    assert float(weights[2, 0]) == 0.0
    assert float(weights[1, 0]) > 0
    repaired = afr(ROLES, ERM, AFRSettings(gammas=(1e5,), penalties=(0.0,), steps=20), 0)
    assert torch.isfinite(repaired.head.weight).all()
    assert "AFR's weights are worth 1 of 362 repair rows (1 / Σμ²)." in repaired.notes


def test_a_base_head_that_is_best_is_kept_at_step_zero() -> None:
    # Guards traps 1 and 2 of AFR: the descent starts at the base head exactly, and step 0 can win.
    repaired = afr(ROLES, ERM, AFRSettings(gammas=(0.0,), penalties=(math.inf,), steps=30), 0)
    assert torch.equal(repaired.head.weight, ERM.weight)
    assert torch.equal(repaired.head.bias, ERM.bias)
    assert {"gamma": 0.0, "penalty": math.inf, "step": 0.0}.items() <= repaired.chosen.items()
    assert "No step improved the worst group of the choose rows: the base head is kept." in repaired.notes
    base = score(ERM, ROLES["choose"])
    assert repaired.trials[0].worst_group_accuracy == pytest.approx(base.worst_group_accuracy)
    assert repaired.trials[0].mean_accuracy == pytest.approx(base.mean_accuracy)


def test_the_trial_that_wins_is_what_the_head_scores() -> None:
    repaired = afr(ROLES, ERM, AFRSettings(steps=200), 0)
    best = max(repaired.trials, key=lambda trial: trial.worst_group_accuracy)
    assert repaired.chosen == best.setting
    again = score(repaired.head, ROLES["choose"])
    # The head's own product rounds differently: allow one row of 40.
    assert again.worst_group_accuracy == pytest.approx(best.worst_group_accuracy, abs=1 / 40 + 1e-9)
    assert again.worst_group_accuracy > score(ERM, ROLES["choose"]).worst_group_accuracy + 0.1
    assert len(repaired.trials) == 132
    assert [dict(trial.setting)["gamma"] for trial in repaired.trials[:5]] == [4.0, 4.0, 4.0, 4.0, 4.5]
    assert repaired.seen == ROLES["repair"].origins() | ROLES["choose"].origins()


@pytest.mark.parametrize("classes", [2, 3])
def test_of_equal_logits_the_first_class_is_predicted_as_everywhere_else(classes: int) -> None:
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(12 * (classes + 1)) % (classes + 1) % classes  # the first class has twice as many rows
    names = [str(label) for label in range(classes)]
    inputs = torch.randn(len(labels), 4, generator=generator)
    rows = make_rows(inputs, labels, groups=cross_groups(labels, names, torch.zeros_like(labels), ["all of it"]))
    undecided = LinearHead(torch.zeros(classes, 4), torch.zeros(classes))
    settings = AFRSettings(gammas=(1.0,), penalties=(0.0,), steps=0)
    (trial,) = afr({"repair": rows, "choose": rows}, undecided, settings, 0).trials
    assert trial.worst_group_accuracy == score(undecided, rows).worst_group_accuracy == 0.0
    assert trial.mean_accuracy == pytest.approx(score(undecided, rows).mean_accuracy)
    assert trial.mean_accuracy == pytest.approx(2 / (classes + 1))


def test_repair_rows_need_no_groups_but_choose_rows_do_when_groups_select() -> None:
    # Guards trap 10 of AFR: only training is free of group labels.
    settings = AFRSettings(gammas=(6.0, 12.0), steps=50)
    repair = ROLES["repair"]
    bare = replace(repair, groups=no_groups(len(repair)))
    with_groups, without = afr(ROLES, ERM, settings, 0), afr({**ROLES, "repair": bare}, ERM, settings, 0)
    assert torch.equal(with_groups.head.weight, without.head.weight)
    choose = replace(ROLES["choose"], groups=no_groups(len(ROLES["choose"])))
    with pytest.raises(InputError) as caught:
        afr({"repair": bare, "choose": choose}, ERM, settings, 0)
    assert str(caught.value) == (
        "AFR was to be selected by groups, but the choose rows have none; name the attribute that makes groups, or set "
        "selection to one of classes, pseudo_groups, mistakes, accuracy."
    )


def test_a_perfect_base_head_on_repair_rows_is_pointed_out() -> None:
    # The upweighting has nothing to see when repair rows were trained on.
    repair = ROLES["repair"]
    inputs = torch.zeros(len(repair), 5)
    inputs[:, 0] = 8.0 * repair.targets - 4
    head = LinearHead(torch.tensor([[-1.0, 0, 0, 0, 0], [1.0, 0, 0, 0, 0]]), torch.zeros(2))
    repaired = afr({**ROLES, "repair": repair.with_inputs(inputs)}, head, AFRSettings(gammas=(4.0,), steps=2), 0)
    assert (
        "The base head is right on every repair row, so AFR has no mistakes to upweight; hold repair rows out of its "
        "training."
    ) in repaired.notes


def test_the_seed_changes_nothing_and_neither_does_the_order_of_rows() -> None:
    # Guards trap 1 of AFR: the notebooks started from a random change.
    settings = AFRSettings(gammas=(8.0,), penalties=(0.1,), steps=100)
    first, other = afr(ROLES, ERM, settings, 0), afr(ROLES, ERM, settings, 1)
    assert torch.equal(first.head.weight, other.head.weight)
    order = torch.randperm(len(ROLES["repair"]), generator=torch.Generator().manual_seed(0))
    shuffled = afr({**ROLES, "repair": ROLES["repair"].take(order)}, ERM, settings, 0)
    torch.testing.assert_close(first.head.weight, shuffled.head.weight, rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"gammas": ()}, "gammas are (); give at least one, none of them negative."),
        ({"penalties": (-0.1,)}, "penalties are (-0.1,); give at least one, none of them negative."),
        ({"gammas": (math.inf,)}, "gammas hold infinity, which would leave a single row; give finite values."),
        (
            {"rate": 0.0},
            "steps are 500, rate 0.0 and clip 1.0; steps may not be negative, rate and clip must be positive.",
        ),
    ],
)
def test_settings_that_mean_nothing_are_refused(given: dict[str, object], message: str) -> None:
    with pytest.raises(InputError) as caught:
        replace(AFRSettings(), **given)
    assert str(caught.value) == message


@pytest.mark.parametrize("selection", ["classes", "pseudo_groups", "mistakes", "accuracy"])
def test_afr_runs_with_no_group_label_anywhere(selection: Selection) -> None:
    bare = {role: replace(rows, groups=no_groups(len(rows))) for role, rows in ROLES.items()}
    settings = AFRSettings(gammas=(6.0, 12.0), steps=50, selection=selection)
    repaired, labelled = afr(bare, ERM, settings, 0), afr(ROLES, ERM, settings, 0)
    assert torch.equal(repaired.head.weight, labelled.head.weight)
    assert repaired.notes == labelled.notes
    assert repaired.notes[0].startswith("Settings were selected without group labels, by ")
    groups = selecting(material_of(bare["choose"], "choose", "AFR"), ERM, selection, "AFR").groups
    again = score(repaired.head, replace(bare["choose"], groups=groups))
    best = max(trial.worst_group_accuracy for trial in repaired.trials)
    smallest = int(groups.counts().min())
    assert again.worst_group_accuracy == pytest.approx(best, abs=1 / smallest + 1e-9)


def test_every_trial_says_how_many_rows_its_weights_are_worth() -> None:
    settings = AFRSettings(gammas=(0.0, 4.0, 1e5), penalties=(0.0, 0.1), steps=1, class_balance=False)
    trials = afr(ROLES, ERM, settings, 0).trials
    effective = [trial.setting["effective_rows"] for trial in trials]
    assert effective[:2] == pytest.approx([362.0, 362.0])  # γ = 0: every row weighs the same
    assert effective[2] == effective[3]
    assert 1 < effective[2] < 362
    assert effective[4] == pytest.approx(1.0)

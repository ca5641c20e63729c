"""What `measure` reports, against definitions written out and sklearn's metrics."""

import math
import re

import numpy as np
import pytest
import torch
from finding_examples import drawn, find, predictions, right_and_wrong
from sklearn.metrics import accuracy_score, log_loss

from surefoot.errors import InputError
from surefoot.findings.finding import Finding, finding_from_json, finding_to_json
from surefoot.findings.intervals import clopper_pearson, wilson
from surefoot.findings.measure import measure
from surefoot.findings.predictions import Predictions
from surefoot.rows.rows import Groups


def measured(of: Predictions, **more: float) -> tuple[Finding, ...]:
    proportions = more or None
    return measure(of, subject="model", source="judge", proportions=proportions)


def test_values_agree_with_sklearn() -> None:
    of = drawn()
    findings = measured(of)
    targets, chances = of.targets.numpy(), of.probabilities.numpy()
    accuracies = [accuracy_score(targets, one.argmax(axis=1)) for one in chances]
    assert find(findings, "accuracy").per_seed == pytest.approx(accuracies)
    assert find(findings, "accuracy").value == pytest.approx(np.mean(accuracies))
    assert find(findings, "nll").per_seed == pytest.approx([log_loss(targets, one) for one in chances])
    brier = [np.mean(((one - np.eye(3)[targets]) ** 2).sum(axis=1)) for one in chances]
    assert find(findings, "brier").per_seed == pytest.approx(brier)


def test_groups_and_the_worst_of_them() -> None:
    of = drawn()
    findings = measured(of)
    correct, members = of.correct().numpy(), of.groups.members.numpy()
    by_group = np.stack([correct[:, members[:, g]].mean(axis=1) for g in range(6)])
    for g, name in enumerate(of.groups.names):
        assert find(findings, "accuracy", name).per_seed == pytest.approx(by_group[g])
        assert find(findings, "accuracy", name).count == members[:, g].sum()
    worst = find(findings, "worst_group_accuracy")
    assert worst.value == pytest.approx(by_group.mean(axis=1).min())
    assert worst.per_seed == pytest.approx(by_group.min(axis=0))
    assert worst.value >= np.mean(worst.per_seed)
    assert worst.count == members[:, by_group.mean(axis=1).argmin()].sum()
    for name, values in (("worst_group_accuracy", by_group.min(axis=0)), ("accuracy", correct.mean(axis=1))):
        assert find(findings, f"{name}_seed_sd").value == pytest.approx(values.std(ddof=1))


def test_independent_rows_have_plain_intervals() -> None:
    group = torch.arange(200) < 60
    right = torch.arange(200) % 10 > 0
    findings = measured(right_and_wrong(right[None], {"a": group, "b": ~group}))
    whole = find(findings, "accuracy")
    assert whole.interval == wilson(180.0, 200.0, 0.95)
    assert (whole.per_seed, whole.count, whole.clusters) == ((), 200, 200)
    assert find(findings, "accuracy", "a").interval == wilson(54.0, 60.0, 0.95)
    worst = find(findings, "worst_group_accuracy").interval
    assert worst is not None
    assert worst.low == pytest.approx(min(clopper_pearson(r, n, 0.95).low for r, n in ((54.0, 60.0), (126.0, 140.0))))
    assert worst.high == pytest.approx(
        min(clopper_pearson(r, n, 0.975).high for r, n in ((54.0, 60.0), (126.0, 140.0)))
    )
    assert not any(each.name.endswith("_seed_sd") for each in findings)


def test_training_proportions_give_the_adjusted_average() -> None:
    """Waterbirds: adj_acc_avg of WILDS weights the test groups' accuracies with 3498/184/56/1057 training rows."""
    counts = {"land, land": 3_498, "land, water": 184, "water, land": 56, "water, water": 1_057}
    sizes, rights = (90, 90, 30, 30), (89, 72, 15, 28)
    right = torch.cat([torch.arange(n) < k for n, k in zip(sizes, rights, strict=True)])[None]
    number = torch.repeat_interleave(torch.arange(4), torch.tensor(sizes))
    of = right_and_wrong(right, {name: number == g for g, name in enumerate(counts)})
    findings = measured(of, **{name: count / 4_795 for name, count in counts.items()})
    adjusted = sum(counts[name] * k / n for name, n, k in zip(counts, sizes, rights, strict=True)) / 4_795
    found = find(findings, "weighted_accuracy")
    assert found.value == pytest.approx(adjusted)
    assert found.interval is not None
    assert found.interval.low < adjusted < found.interval.high
    assert find(findings, "accuracy").value == pytest.approx(sum(rights) / sum(sizes))


def test_weights_equal_to_the_rows_own_shares_give_the_raw_mean() -> None:
    of = drawn(classes=2, rows=400)
    shares = dict(zip(of.groups.names, (of.groups.counts() / 400).tolist(), strict=True))
    findings = measured(of, **shares)
    assert find(findings, "weighted_accuracy").value == pytest.approx(find(findings, "accuracy").value)


def test_a_group_without_rows_is_named_and_never_counted() -> None:
    half = torch.arange(40) < 20
    of = right_and_wrong(half[None], {"a": half, "b": ~half, "c": torch.zeros(40, dtype=torch.bool)})
    findings = measured(of)
    assert not [each for each in findings if each.slice == "c"]
    assert not [each for each in findings if each.name == "worst_group_accuracy" and each.slice == "all"]
    assert find(findings, "worst_group_accuracy", "all groups but c").value == 0.0


def test_without_groups_there_is_no_worst_group() -> None:
    findings = measured(right_and_wrong(torch.arange(40)[None] < 20))
    assert {each.name for each in findings} == {
        "accuracy",
        "nll",
        "brier",
        "calibration_error",
        "calibration_error_equal_mass",
    }


def test_a_probability_of_zero_is_counted_and_said() -> None:
    chance = torch.tensor([[1.0, 0.0], [0.5, 0.5], [0.1, 0.9], [0.2, 0.8]])
    for dtype, nats in ((torch.float32, -math.log(2.0**-149)), (torch.float64, -math.log(5e-324))):
        of = predictions(chance.to(dtype)[None], torch.tensor([1, 1, 1, 1]))
        found = find(measured(of), "nll")
        rest = -math.log(0.5) - math.log(float(chance.to(dtype)[2, 1])) - math.log(float(chance.to(dtype)[3, 1]))
        assert found.value == pytest.approx((nats + rest) / 4)
        assert found.unit == "nats"
        assert found.interval is not None
        assert re.search(r"; 1 probabilities of zero counted as (1\.4e-45|4\.9e-324)$", found.interval.method)
    alone = predictions(chance[None, :1], torch.tensor([1]))
    assert find(measured(alone), "nll").unit == "nats (1 probabilities of zero counted as 1.4e-45)"


def test_every_finding_survives_json_and_holds_its_value() -> None:
    for each in measured(drawn(), **dict.fromkeys(drawn().groups.names, 1 / 6)):
        assert finding_from_json(finding_to_json(each)) == each
        assert each.interval is not None
        assert math.isfinite(each.interval.low) or each.interval.low < each.value
        assert each.interval.low <= each.value <= each.interval.high
        assert each.clusters <= 80


def test_one_row_is_measured_without_pretence() -> None:
    findings = measured(right_and_wrong(torch.tensor([[True]])))
    accuracy = find(findings, "accuracy")
    assert (accuracy.value, accuracy.interval) == (1.0, wilson(1.0, 1.0, 0.95))
    assert find(findings, "nll").interval is None


def test_the_order_of_rows_changes_nothing() -> None:
    of = drawn()
    order = torch.randperm(400, generator=torch.Generator().manual_seed(1))
    moved = Predictions(
        of.probabilities[:, order],
        of.targets[order],
        of.classes,
        of.groups.take(order),
        of.clusters[order],
        of.ids[order.numpy()],
        of.sources[order.numpy()],
    )
    for one, two in zip(measured(of), measured(moved), strict=True):
        assert one.value == pytest.approx(two.value)
        assert one.interval is not None
        assert two.interval is not None
        assert (one.interval.low, one.interval.high) == pytest.approx((two.interval.low, two.interval.high))


@pytest.mark.parametrize(
    ("proportions", "message"),
    [
        ({"a": 0.5, "bb": 0.5}, 'The proportions name a group "bb" that the rows do not have; did you mean "b"?'),
        ({"a": 1.0}, 'The proportions lack the group "b"; give one for every group.'),
        (
            {"a": 0.5, "b": 0.4},
            "The proportions {'a': 0.5, 'b': 0.4} sum to 0.9; give each group's share of the training rows, between 0 "
            "and 1, summing to 1.",
        ),
    ],
)
def test_refuses_proportions_that_do_not_fit(proportions: dict[str, float], message: str) -> None:
    half = torch.arange(40) < 20
    with pytest.raises(InputError, match=f"^{re.escape(message)}$"):
        measured(right_and_wrong(half[None], {"a": half, "b": ~half}), **proportions)


def test_refuses_weights_for_groups_that_do_not_divide_the_rows() -> None:
    index = torch.arange(40)
    message = (
        "5 rows are in several groups and 10 in none (first: row:15), so a mean weighted by group is not defined; give "
        "groups that divide the rows, or no proportions."
    )
    with pytest.raises(InputError, match=f"^{re.escape(message)}$"):
        measured(right_and_wrong(index[None] < 20, {"a": index < 20, "b": (index >= 15) & (index < 30)}), a=0.5, b=0.5)
    message = (
        'The group "b" makes up 50.00% of the training rows but has no row here, so the weighted mean is unknown; add '
        "rows of it, or give no proportions."
    )
    with pytest.raises(InputError, match=f"^{re.escape(message)}$"):
        measured(right_and_wrong(index[None] < 20, {"a": index < 40, "b": index > 40}), a=0.5, b=0.5)


def test_refuses_a_confidence_in_per_cent() -> None:
    message = "The confidence is 95.0; give one strictly between 0 and 1, such as 0.95."
    with pytest.raises(InputError, match=f"^{re.escape(message)}$"):
        measure(drawn(), subject="model", source="judge", confidence=95.0)


def test_refuses_no_rows_and_a_group_called_all() -> None:
    nothing = predictions(torch.zeros(1, 0, 2), torch.zeros(0, dtype=torch.int64))
    with pytest.raises(InputError, match=r"^There are no rows to measure; give predictions for at least one row\.$"):
        measured(nothing)
    members = Groups(("all",), torch.ones(2, 1, dtype=torch.bool))
    of = predictions(torch.full((1, 2, 2), 0.5), torch.tensor([0, 1]), groups=members)
    message = 'A group is named "all", which is the name of the slice of all rows; give it another name.'
    with pytest.raises(InputError, match=f"^{re.escape(message)}$"):
        measured(of)


def test_one_row_that_carries_the_loss_is_told_of() -> None:
    even = torch.full((1, 50, 2), 0.5, dtype=torch.float64)
    targets = torch.ones(50, dtype=torch.int64)
    heavy = even.clone()
    heavy[0, 0] = torch.tensor([1 - 1e-9, 1e-9])
    heavy[0, 1:, 1], heavy[0, 1:, 0] = 0.9, 0.1
    spread_out = even + torch.linspace(-0.1, 0.1, 50, dtype=torch.float64)[None, :, None] * torch.tensor([1, -1])
    told, silent = (find(measured(predictions(each, targets)), "nll") for each in (heavy, spread_out))
    assert told.interval is not None
    assert told.interval.method.endswith("; one row holds 80% of the sum, and what rarer rows would add is unknown")
    assert silent.interval is not None
    assert "of the sum" not in silent.interval.method

"""The probe against closed forms, and what must not change it."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from surefoot.errors import InputError
from surefoot.findings.finding import Finding
from surefoot.robust.attributes import Attribute, attributes_of, with_attribute
from surefoot.robust.balanced import erm_head
from surefoot.robust.dfr import DFRSettings, dfr
from surefoot.robust.probe import Probing, Representation, probe
from surefoot.robust.protocol import score
from surefoot.rows.arrays import rows_from_arrays
from surefoot.rows.roles import Roles
from surefoot.rows.rows import Groups, Rows, cross_groups, make_rows
from surefoot.rows.worlds import World, gaussian_world

SIZES = {"choose": 1200, "judge": 4000}


def phi(value: float) -> float:
    return 0.5 * (1 + math.erf(value / math.sqrt(2)))


def world(correlation: float = 0.8, seed: int = 0, sizes: dict[str, int] = SIZES) -> World:
    return gaussian_world(
        core_mean=1.0, spurious_mean=1.0, spurious_std=0.5, correlation=correlation, sizes=sizes, seed=seed
    )


def columns(roles: Roles, which: list[int]) -> Roles:
    return {role: rows.with_inputs(rows.inputs[:][:, which]) for role, rows in roles.items()}


def found(probing: Probing, subject: str, name: str, part: str = "all") -> Finding:
    (one,) = [each for each in probing.findings if (each.subject, each.name, each.slice) == (subject, name, part)]
    return one


def changed(probing: Probing, subject: str, name: str) -> Finding:
    (one,) = [each for each in probing.differences if (each.subject, each.name) == (subject, name)]
    return one


@pytest.fixture(scope="module")
def probing() -> Probing:
    roles = world().roles
    views = {"both": roles, "core": columns(roles, [0]), "shortcut": columns(roles, [1])}
    return probe([Representation(name, (view,)) for name, view in views.items()])


def test_decodability_is_that_of_the_closed_form(probing: Probing) -> None:
    """Balanced groups make Bayes' rule read one feature: Φ(1) for the class and Φ(2) for the shortcut.

    Slack .02 is three standard errors of 4,000 judge rows (.006) for a false alarm below .003 a line, plus at most
    .002 for a threshold that 480 balanced rows place within .09 of the best.
    """
    for name in ("both", "core"):
        assert found(probing, name, "core_decodability_mean").value == pytest.approx(phi(1), abs=0.02)
    for name in ("both", "shortcut"):
        assert found(probing, name, "shortcut_decodability_mean").value == pytest.approx(phi(2), abs=0.02)


def test_without_the_shortcut_it_is_at_chance_and_so_is_the_core_without_the_core(probing: Probing) -> None:
    """Given the class, core says nothing of the shortcut: ½ on the mean over groups, at most ½ in the worst.

    ±.025 is three standard errors of a mean of 4,000 coin tosses: false alarm below .003.
    """
    assert found(probing, "core", "shortcut_decodability_mean").value == pytest.approx(0.5, abs=0.025)
    assert found(probing, "core", "shortcut_decodability").value <= 0.525
    assert found(probing, "shortcut", "core_decodability_mean").value == pytest.approx(0.5, abs=0.025)


def test_the_mean_weighs_groups_alike_where_judge_rows_are_correlated() -> None:
    """A shortcut that 95 % of the judge rows agree with does not lift the mean of features without it."""
    roles = gaussian_world(correlation=0.8, judge_correlation=0.95, sizes=SIZES).roles
    core = probe([Representation("core", (columns(roles, [0]),))])
    assert found(core, "core", "shortcut_decodability_mean").value < 0.6


def test_a_group_without_judge_rows_has_no_share_of_the_mean() -> None:
    """Three groups are left, each weighs a third, and the mean is that of their accuracies."""
    roles = world().roles
    judge = roles["judge"].take(~roles["judge"].groups.members[:, 1])
    assert (judge.groups.counts() > 0).tolist() == [True, False, True, True]
    settings = DFRSettings(learn="choose")
    found_mean = found(
        probe([Representation("three", ({**roles, "judge": judge},))], settings), "three", "core_decodability_mean"
    ).value
    answers = dfr({"choose": roles["choose"]}, settings, seed=0).head.logits(judge.inputs[:]).argmax(dim=1)
    each = [float((answers == judge.targets)[judge.groups.members[:, group]].double().mean()) for group in (0, 2, 3)]
    assert found_mean == pytest.approx(sum(each) / 3, abs=1e-6)


def test_the_core_probe_is_dfr_and_the_shortcut_probe_dfr_of_the_attribute(probing: Probing) -> None:
    roles = world().roles
    settings = DFRSettings(learn="choose")
    core = dfr({"choose": roles["choose"]}, settings, seed=0)
    assert found(probing, "both", "core_decodability").value == pytest.approx(
        score(core.head, roles["judge"], role="judge").worst_group_accuracy
    )
    flipped: Roles = {
        role: replace(rows, targets=rows.groups.members[:, [1, 3]].any(dim=1).long(), classes=("a", "b"))
        for role, rows in roles.items()
    }
    shortcut = dfr({"choose": flipped["choose"]}, settings, seed=0)
    assert found(probing, "both", "shortcut_decodability").value == pytest.approx(
        score(shortcut.head, flipped["judge"], role="judge").worst_group_accuracy
    )


def test_scaling_and_moving_features_changes_nothing(probing: Probing) -> None:
    """The probe standardises, so it is blind to the units of a feature, and to the order of features and of rows."""
    roles = world().roles
    order = torch.randperm(len(roles["choose"]), generator=torch.Generator().manual_seed(1))
    moved: Roles = {
        role: rows.with_inputs((rows.inputs[:] * torch.tensor([40.0, 0.02]) + torch.tensor([3.0, -7.0]))[:, [1, 0]])
        for role, rows in roles.items()
    }
    moved = {**moved, "choose": moved["choose"].take(order)}
    again = probe([Representation("both", (moved,))])
    for what in ("core_decodability", "shortcut_decodability_mean"):
        assert found(again, "both", what).value == pytest.approx(found(probing, "both", what).value, abs=1e-3)


def test_turning_features_changes_little(probing: Probing) -> None:
    """An L1 penalty is not blind to rotation, but a linear head loses nothing by it.

    Φ(1) is still the optimum of the turned features; slack .03 for a head of 480 rows that may now use both columns.
    """
    angle = 0.7
    turn = torch.tensor([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    turned: Roles = {role: rows.with_inputs(rows.inputs[:] @ turn) for role, rows in world().roles.items()}
    again = probe([Representation("turned", (turned,))])
    assert found(again, "turned", "core_decodability_mean").value == pytest.approx(phi(1), abs=0.03)
    assert found(again, "turned", "shortcut_decodability_mean").value == pytest.approx(phi(2), abs=0.03)


def test_differences_are_paired(probing: Probing) -> None:
    """Both views read the core by the same column: their difference is surer than either."""
    core, single = (
        changed(probing, "core − both", "core_decodability_mean"),
        found(probing, "core", "core_decodability_mean"),
    )
    assert core.value == pytest.approx(single.value - found(probing, "both", "core_decodability_mean").value, abs=1e-12)
    assert core.interval is not None
    assert single.interval is not None
    assert core.interval.high - core.interval.low < 0.5 * (single.interval.high - single.interval.low)
    lost = changed(probing, "core − both", "shortcut_decodability_mean")
    assert lost.interval is not None
    assert lost.interval.high < -0.4


def test_the_own_head_stands_beside_the_probe() -> None:
    """A head trained under the correlation fails where a new one does not; the gain is what lies between."""
    roles = world(0.97, sizes={"fit": 2000, **SIZES}).roles
    erm = erm_head(roles["fit"])
    result = probe([Representation("erm", (roles,), (erm,))])
    own = found(result, "erm", "worst_group_accuracy").value
    assert own == pytest.approx(score(erm, roles["judge"], role="judge").worst_group_accuracy)
    gain = changed(result, "erm, new head − erm", "worst_group_accuracy")
    assert gain.value == pytest.approx(found(result, "erm", "core_decodability").value - own)
    assert gain.value > 0.2


def test_seeds_are_probed_apart_and_stand_in_the_finding() -> None:
    roles = world().roles
    noisy: Roles = {
        role: rows.with_inputs(rows.inputs[:] + torch.randn(len(rows), 2, generator=torch.Generator().manual_seed(5)))
        for role, rows in roles.items()
    }
    result = probe([Representation("two", (roles, noisy))])
    per_seed = found(result, "two", "core_decodability_mean").per_seed
    assert len(per_seed) == 2
    assert per_seed[0] == pytest.approx(phi(1), abs=0.02)
    assert per_seed[1] == pytest.approx(phi(1 / math.sqrt(2)), abs=0.03)
    assert len(result.chosen["two"]) == 2


def three_by_three(role: str, size: int) -> Rows:
    random = np.random.default_rng([3, len(role)])
    label, place = random.integers(0, 3, size), random.integers(0, 3, size)
    inputs = random.normal(size=(size, 6)).astype(np.float32)
    inputs[np.arange(size), label] += 4
    inputs[np.arange(size), 3 + place] += 4
    return rows_from_arrays(
        inputs,
        [f"class {each}" for each in label],
        attributes={
            "place": [f"p{each}" for each in place],
            "coin": ["heads" if toss else "tails" for toss in random.integers(0, 2, size)],
        },
        ids=[f"{role}:{row}" for row in range(size)],
    )


def test_three_classes_three_values_and_a_second_attribute_that_features_do_not_hold() -> None:
    """Four standard deviations between classes leave errors of about 2·Φ(−2.8) = .005; a coin stays at ½ ± .07.

    ±.07 is three standard errors of 500 tosses: false alarm below .003.
    """
    roles: Roles = {"choose": three_by_three("choose", 700), "judge": three_by_three("judge", 500)}
    result = probe([Representation("features", (roles,))], DFRSettings(learn="choose", strengths=(0.1,)))
    assert result.attributes == ("place", "coin")
    assert found(result, "features", "shortcut_decodability_mean", "attribute place").value > 0.95
    assert found(result, "features", "core_decodability", "attribute place").value > 0.9
    coin = found(result, "features", "shortcut_decodability_mean", "attribute coin").value
    assert coin == pytest.approx(0.5, abs=0.07)


def test_rows_whose_attribute_is_unknown_are_left_out_and_counted() -> None:
    roles = world().roles
    numbers = attributes_of(roles["choose"])[0].numbers.clone()
    numbers[:100] = -1
    partly = with_attribute(
        roles["choose"], Attribute("attribute", ("shortcut negative", "shortcut positive"), numbers)
    )
    result = probe([Representation("both", ({**roles, "choose": partly},))])
    assert any("100 of 1200 choose rows have no known attribute" in note for note in result.notes["both"])
    known = roles["choose"].take(torch.arange(100, 1200))
    dropped = probe([Representation("both", ({**roles, "choose": known},))])
    assert found(result, "both", "core_decodability") == found(dropped, "both", "core_decodability")


def test_nothing_leaks_and_nothing_memorised_is_probed() -> None:
    roles = world().roles
    with pytest.raises(InputError, match="already seen by the probe"):
        probe([Representation("leak", ({**roles, "judge": roles["choose"]},))])
    with pytest.raises(InputError, match="memorised"):
        probe([Representation("fit", (roles,))], DFRSettings(learn="fit"))
    with pytest.raises(InputError, match="needs repair rows"):
        probe([Representation("none", (roles,))], DFRSettings(learn="repair"))
    with pytest.raises(InputError, match="name of its own"):
        probe([Representation("twice", (roles,)), Representation("twice", (roles,))])
    other = {**roles, "judge": world(seed=1).roles["judge"]}
    with pytest.raises(InputError, match="same judge rows"):
        probe([Representation("runs", (roles, other))])
    bare: Roles = {role: make_rows(rows.inputs, rows.targets) for role, rows in roles.items()}
    with pytest.raises(InputError, match="no groups"):
        probe([Representation("bare", (bare,))])


def test_attributes_are_read_from_names_and_checked_against_members() -> None:
    label = torch.tensor([0, 0, 1, 1])
    sex, age = ["f", "m", "f", ""], ["old", "old", "young", "old"]
    rows = rows_from_arrays(
        np.zeros((4, 1)), ["a", "a", "a, b", "a, b"], attributes={"sex": sex, "age": age}, full_crossing=True
    )
    read = {each.name: (each.values, each.numbers.tolist()) for each in attributes_of(rows)}
    assert read == {"sex": (("sex=f", "sex=m"), [0, 1, 0, -1]), "age": (("age=old", "age=young"), [0, 0, 1, 0])}
    pairs = cross_groups(label, ["a", "a, b"], torch.tensor([1, 0, 1, 0]), ["sex=f, age=old", "sex=m, age=old"])
    (crossed,) = attributes_of(make_rows(torch.zeros(4, 1), label, classes=["a", "a, b"], groups=pairs))
    assert (crossed.name, crossed.numbers.tolist()) == ("sex*age", [1, 0, 1, 0])
    for groups, said in (
        (Groups(("group 0", "group 1"), torch.eye(2, dtype=torch.bool)[label]), "does not say which class"),
        (cross_groups(1 - label, ["0", "1"], label, ["x", "y"]), "does not say which class"),
        (Groups(("0, x", "0, y"), torch.ones(4, 2, dtype=torch.bool) & (label == 0)[:, None]), "two values"),
    ):
        with pytest.raises(InputError, match=said):
            attributes_of(make_rows(torch.zeros(4, 1), label, groups=groups))

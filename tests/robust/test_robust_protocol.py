"""The selection protocol: what it refuses, how it scores, and which trial wins."""

import numpy as np
import pytest
import torch

from surefoot.errors import InputError
from surefoot.robust.afr import AFRSettings, afr
from surefoot.robust.balanced import BalancedSettings, class_balanced, erm_head
from surefoot.robust.dfr import DFRSettings, dfr
from surefoot.robust.head import LinearHead, Trial
from surefoot.robust.protocol import choose_best, score
from surefoot.rows.rows import Groups, Rows, make_rows

HEAD = LinearHead(torch.tensor([[-1.0, 0.0], [1.0, 0.0]]), torch.zeros(2))


def rows_of(role: str, count: int = 40, *, grouped: bool = True) -> Rows:
    generator = torch.Generator().manual_seed(len(role))
    targets = torch.arange(count) % 2
    inputs = torch.randn(count, 2, generator=generator) + 2.0 * targets[:, None]
    ids = np.array([f"{role}:{row}" for row in range(count)])
    numbers = torch.arange(count) % 4
    groups = Groups(("a", "b", "c", "d"), numbers[:, None] == torch.arange(4)) if grouped else None
    return make_rows(inputs, targets, groups=groups, ids=ids)


ROLES = {"repair": rows_of("repair"), "choose": rows_of("choose")}


@pytest.mark.parametrize("method", ["DFR", "AFR", "class balancing"])
def test_no_repair_takes_judge_rows(method: str) -> None:
    # Guards traps 4 and 11 of AFR: scores on the test set saved, or its rows shared, during the sweep.
    run = {
        "DFR": lambda features: dfr(features, DFRSettings(), 0),
        "AFR": lambda features: afr(features, HEAD, AFRSettings(), 0),
        "class balancing": lambda features: class_balanced(features, HEAD, BalancedSettings(), 0),
    }[method]
    with pytest.raises(InputError) as caught:
        run({**ROLES, "judge": rows_of("judge")})
    assert str(caught.value) == (
        f"{method} was given judge rows; pass it the fit, repair and choose rows alone, and judge once afterwards."
    )


def test_a_missing_role_names_itself_and_the_method() -> None:
    with pytest.raises(InputError) as caught:
        afr({"choose": ROLES["choose"]}, HEAD, AFRSettings(), 0)
    assert str(caught.value) == "AFR needs repair rows, but the roles given are: choose; give it repair rows."
    with pytest.raises(InputError) as caught:
        dfr(ROLES, DFRSettings(learn="fit"), 0)
    assert str(caught.value) == "DFR needs fit rows, but the roles given are: repair, choose; give it fit rows."


def test_a_role_without_groups_names_itself_and_the_method() -> None:
    bare = {"repair": rows_of("repair", grouped=False), "choose": ROLES["choose"]}
    with pytest.raises(InputError) as caught:
        dfr(bare, DFRSettings(), 0)
    assert str(caught.value) == (
        "DFR needs groups on the repair rows, but they have none; name the attribute that makes groups."
    )


@pytest.mark.parametrize("method", ["DFR", "AFR", "class balancing", "score"])
def test_an_empty_group_of_the_choose_rows_is_an_error_and_neither_nan_nor_zero(method: str) -> None:
    # Guards traps 5 and 17 of DFR: NaN won the selection; accuracy 0 for an absent group decided it.
    choose = ROLES["choose"]
    lacking = choose.take(~choose.groups.members[:, 2])
    features = {"repair": ROLES["repair"], "choose": lacking}
    run = {
        "DFR": lambda: dfr(features, DFRSettings(), 0),
        "AFR": lambda: afr(features, HEAD, AFRSettings(), 0),
        "class balancing": lambda: class_balanced(features, HEAD, BalancedSettings(), 0),
        "score": lambda: score(HEAD, lacking),
    }[method]
    with pytest.raises(InputError) as caught:
        run()
    assert str(caught.value) == (
        f"The group 'c' has no choose rows, and {method} needs some of every group; add choose rows of it, or leave "
        "it out of the groups."
    )


def test_broken_features_are_named() -> None:
    repair = ROLES["repair"]
    inputs = repair.inputs[:].clone()
    inputs[3, 1], inputs[8, 0] = torch.nan, torch.inf
    with pytest.raises(InputError) as caught:
        dfr({"repair": repair.with_inputs(inputs), "choose": ROLES["choose"]}, DFRSettings(), 0)
    assert str(caught.value) == (
        "2 of 40 repair rows have features that are NaN or infinite (first: repair:3, repair:8); mend the backbone "
        "or leave these rows out."
    )


def test_what_is_not_features_and_labels_is_refused() -> None:
    repair, choose = ROLES["repair"], ROLES["choose"]
    with pytest.raises(InputError) as caught:
        dfr({"repair": repair.with_inputs(torch.zeros(40, 1, 2, 2)), "choose": choose}, DFRSettings(), 0)
    assert str(caught.value) == (
        "The repair rows have inputs of shape (40, 1, 2, 2) and type torch.float32; DFR works on features, float "
        "[rows, features]: extract them first."
    )
    with pytest.raises(InputError) as caught:
        dfr({"repair": repair.with_targets(torch.full((40, 2), 0.5)), "choose": choose}, DFRSettings(), 0)
    assert str(caught.value) == (
        "DFR needs hard labels, but the repair rows have class probabilities; give class numbers."
    )
    with pytest.raises(InputError) as caught:
        dfr({"repair": repair.with_targets(repair.targets + 1), "choose": choose}, DFRSettings(), 0)
    assert str(caught.value) == ("The label 2 of repair row repair:1 is outside the 2 classes; labels are 0 to 1.")
    with pytest.raises(InputError) as caught:
        dfr({"repair": repair.with_inputs(torch.zeros(40, 3)), "choose": choose}, DFRSettings(), 0)
    assert str(caught.value) == (
        "DFR got repair rows with 3 features and classes ('0', '1'), but choose rows with 2 and ('0', '1'); both must "
        "come from the same network."
    )
    with pytest.raises(InputError) as caught:
        afr(ROLES, LinearHead(torch.zeros(2, 5), torch.zeros(2)), AFRSettings(), 0)
    assert str(caught.value) == (
        "AFR was given a head of shape (2, 5), but the repair rows have 2 classes and 2 features; give the head that "
        "reads these features."
    )
    with pytest.raises(InputError, match=r"^DFR needs repair rows, but there are none; give it some\.$"):
        dfr({"repair": repair.take(torch.zeros(40, dtype=torch.bool)), "choose": choose}, DFRSettings(), 0)


def test_score_takes_each_group_s_own_accuracy_and_the_raw_mean() -> None:
    inputs = torch.tensor([[1.0, 0.0], [-1.0, 0.0], [1.0, 0.0], [1.0, 0.0], [5.0, 0.0]])
    targets = torch.tensor([1, 1, 1, 0, 1])
    # The last row is in no group, the first in two.
    members = torch.tensor([[True, True], [True, False], [False, True], [False, True], [False, False]])
    trial = score(HEAD, make_rows(inputs, targets, groups=Groups(("p", "q"), members)), {"C": 1.0})
    assert trial == Trial({"C": 1.0}, 0.5, 3 / 5)
    assert score(HEAD, make_rows(inputs, targets)).worst_group_accuracy == 0.0  # the worst class: its one row is wrong


def test_the_first_of_equals_wins_and_nan_never_does() -> None:
    # Guards traps 4 and 5 of DFR.
    trials = [Trial({"C": c}, worst, 0.9) for c, worst in [(0.1, 0.5), (0.3, 0.7), (1.0, 0.7)]]
    assert choose_best(trials) == 1
    with pytest.raises(InputError) as caught:
        choose_best([*trials, Trial({"C": 3.0}, float("nan"), 0.9)])
    assert str(caught.value) == (
        "The setting {'C': 3.0} scored nan, which is no accuracy; check that every group has rows."
    )
    with pytest.raises(InputError, match=r"^There is nothing to choose from: no setting was tried; give at least"):
        choose_best([])


def test_where_every_setting_fails_its_worst_group_the_best_mean_wins() -> None:
    """A constant head ties at zero with heads that have learned something; the order of the grid must not choose it."""
    trials = [Trial({"C": c}, 0.0, mean) for c, mean in [(0.01, 0.5), (0.1, 0.8), (1.0, 0.8)]]
    assert choose_best(trials) == 1


def test_the_plain_head_equals_scikit_learn_s_softmax_regression() -> None:
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler

    generator = torch.Generator().manual_seed(0)
    features = torch.randn(200, 6, generator=generator, dtype=torch.float64) * torch.arange(1, 7)
    weights = torch.rand(200, generator=generator) + 0.1
    for classes in (2, 3):
        targets = (features[:, 0] + torch.randn(200, generator=generator)).clamp(-1.4, 1.4).round().to(torch.int64) + 1
        targets = targets.clamp(max=classes - 1)
        ours = erm_head(make_rows(features, targets, weights=weights), strength=0.5, tolerance=1e-7)
        scaled = StandardScaler().fit_transform(features.numpy())
        # Two symmetric rows ∓u have penalty ‖u‖² = ¼‖w‖² of their difference w, half of scikit-learn's ½‖w‖².
        strength = 1.0 if classes == 2 else 0.5
        model = LogisticRegression(C=strength, tol=1e-10, max_iter=10_000).fit(
            scaled, targets.numpy(), sample_weight=weights.numpy()
        )
        theirs = torch.from_numpy(model.predict_proba(scaled))
        torch.testing.assert_close(ours.probabilities(features), theirs, rtol=0, atol=1e-5)


def test_the_plain_head_says_when_it_did_not_converge() -> None:
    with pytest.raises(InputError) as caught:
        erm_head(ROLES["repair"].take(torch.arange(20)), strength=1e6, tolerance=1e-40)
    assert str(caught.value).startswith("The plain head has no optimum in reach at strength 1e+06: A softmax head with")
    assert str(caught.value).endswith("expected at most 1e-40); use a larger penalty.")

"""RWG, RWY, SUBG, SUBY and JTT on the last layer, against scikit-learn's solver and each other."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from torch import Tensor

from surefoot.errors import InputError
from surefoot.robust.balance import source_halves
from surefoot.robust.balanced import erm_head
from surefoot.robust.group_dro import GroupDROSettings, group_dro
from surefoot.robust.head import LinearHead
from surefoot.robust.protocol import score
from surefoot.robust.reweighted import ReweightedSettings, balancing_weights, reweighted
from surefoot.robust.softmax.convex import fit_softmax, weighted_mean
from surefoot.robust.two_stage import TwoStageSettings, two_stage
from surefoot.rows.rows import Groups, Rows, cross_groups, make_rows
from surefoot.rows.worlds import gaussian_world, group_accuracies, linear_optimum


def rows_of(role: str, counts: tuple[int, ...], classes: int, seed: int = 0) -> Rows:
    """Class in column 0, shortcut in column 1, three columns of noise, one dead column; groups class × shortcut."""
    generator = torch.Generator().manual_seed(seed + 7 * len(role))
    label = torch.cat([torch.full((count,), number // 2) for number, count in enumerate(counts)])
    shortcut = torch.cat([torch.full((count,), number % 2) for number, count in enumerate(counts)])
    inputs = torch.randn(len(label), 6, generator=generator)
    inputs[:, 0] += 1.5 * label
    inputs[:, 1] = 3 * inputs[:, 1] + 4.0 * shortcut + 10
    inputs[:, 5] = 7.25
    names = [f"c{number}" for number in range(classes)]
    ids = np.array([f"{role}:{row:04d}" for row in range(len(label))])
    return make_rows(inputs, label, classes=names, groups=cross_groups(label, names, shortcut, ["s0", "s1"]), ids=ids)


COUNTS = {2: (90, 10, 14, 90), 3: (60, 8, 9, 60, 60, 10)}


def roles_of(classes: int) -> dict[str, Rows]:
    return {role: rows_of(role, COUNTS[classes], classes) for role in ("fit", "repair", "choose")}


def by_sklearn(rows: Rows, weights: Tensor, penalty: float) -> LinearHead:
    """scikit-learn minimises ½ ‖w‖² + C Σ s_i ℓ_i; with two classes over w = w₁ − w₀, whose ‖w‖² is twice ours."""
    inputs = rows.inputs[:].double()
    mean, scale = inputs.mean(0), inputs.std(0, correction=0)
    scale[5] = 1
    classes = len(rows.classes)
    model = LogisticRegression(C=(2 if classes == 2 else 1) / penalty, tol=1e-10, max_iter=10_000)
    model.fit(((inputs - mean) / scale).numpy(), rows.targets.numpy(), sample_weight=(weights / weights.sum()).numpy())
    weight, bias = torch.from_numpy(model.coef_), torch.from_numpy(model.intercept_)
    if classes == 2:
        weight, bias = torch.cat([-weight / 2, weight / 2]), torch.cat([-bias / 2, bias / 2])
    weight = weight / scale
    return LinearHead(weight, bias - weight @ mean)


def same_head(one: LinearHead, two: LinearHead, rows: Rows, tolerance: float = 2e-4) -> None:
    inputs = rows.inputs[:].double()
    heads = [LinearHead(head.weight.double(), head.bias.double()) for head in (one, two)]
    gap = heads[0].probabilities(inputs) - heads[1].probabilities(inputs)
    assert float(gap.abs().max()) < tolerance


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("balance", ["groups", "classes"])
def test_weights_agree_with_scikit_learn(classes: int, balance: str) -> None:
    roles = roles_of(classes)
    settings = ReweightedSettings(balance, "weights", penalties=(0.02,))  # pyright: ignore[reportArgumentType]
    repaired = reweighted(roles, erm_head(roles["fit"]), settings, 0)
    rows = roles["repair"]
    by_class = Groups(rows.classes, rows.targets[:, None] == torch.arange(classes))
    weights = balancing_weights(rows.groups if balance == "groups" else by_class)
    same_head(repaired.head, by_sklearn(rows, weights, 0.02), roles["choose"])


def test_a_subset_is_balanced_and_fitted_as_it_stands() -> None:
    """SUBG must be scikit-learn's head of some draw with equal groups: minority rows are in every draw, so the draw
    is found by its counts in the note, and the head by refitting on the rows it can only have used."""
    roles = roles_of(2)
    rows = roles["repair"]
    few = torch.cat([rows.groups.members[:, g].nonzero().ravel()[:10] for g in range(4)])
    balanced = {**roles, "repair": rows.take(few)}  # ten of each group: the draw is everything
    repaired = reweighted(balanced, erm_head(roles["fit"]), ReweightedSettings(how="subset", penalties=(0.05,)), 0)
    assert repaired.notes == ("SUBG learned on 10 of every group's repair rows, 40 of 40.",)
    same_head(repaired.head, by_sklearn(balanced["repair"], torch.ones(40), 0.05), roles["choose"])


@pytest.mark.parametrize("how", ["subset", "weights"])
@pytest.mark.parametrize("balance", ["groups", "classes"])
def test_the_order_of_rows_does_not_matter(how: str, balance: str) -> None:
    roles = roles_of(2)
    erm = erm_head(roles["fit"])
    settings = ReweightedSettings(balance, how, penalties=(0.05,))  # pyright: ignore[reportArgumentType]
    turned = roles["repair"].take(torch.arange(len(roles["repair"])).flip(0))
    heads = [reweighted({**roles, "repair": each}, erm, settings, 3).head for each in (roles["repair"], turned)]
    same_head(heads[0], heads[1], roles["choose"], 1e-5)


def test_subsets_depend_on_the_seed_and_weights_do_not() -> None:
    roles = roles_of(2)
    erm = erm_head(roles["fit"])
    for how, same in (("subset", False), ("weights", True)):
        settings = ReweightedSettings(how=how, penalties=(0.05,))  # pyright: ignore[reportArgumentType]
        one, two = (reweighted(roles, erm, settings, seed).head.weight for seed in (0, 1))
        assert torch.equal(one, two) == same


def test_draws_from_overlapping_groups_are_not_told_as_so_many_rows() -> None:
    roles = roles_of(2)
    rows = roles["repair"]
    members = torch.cat([rows.groups.members, rows.groups.members[:, :1]], dim=1)
    roles["repair"] = replace(rows, groups=Groups((*rows.groups.names, "again"), members))
    settings = ReweightedSettings(how="subset", penalties=(0.1,))
    assert reweighted(roles, erm_head(roles["fit"]), settings, 0).notes == (
        "SUBG learned on 10 of every group's repair rows, 50 draws in all: a row in two groups may be drawn for both.",
    )


def test_several_draws_are_averaged() -> None:
    """The mean of heads over many draws varies less with the seed than a single draw: by about √20 for 20 draws."""
    roles = roles_of(2)
    erm = erm_head(roles["fit"])
    spread: dict[int, float] = {}
    for draws in (1, 20):
        settings = ReweightedSettings(how="subset", penalties=(0.05,), draws=draws)
        weights = torch.stack([reweighted(roles, erm, settings, seed).head.weight for seed in range(4)])
        spread[draws] = float(weights.std(dim=0).mean())
    assert spread[20] < 0.5 * spread[1]


def test_reweighting_reaches_the_analytic_optimum() -> None:
    """In a Gaussian world the balanced optimum reads the core alone, Φ(1) = .841 in every group. With 600 minority rows
    of each kind the weighted head must come within .02 of it (its exact accuracies: no judge rows, no sampling)."""
    world = gaussian_world(sizes={"fit": 2000, "repair": 20_000, "choose": 4000}, correlation=0.94)
    erm = erm_head(world.roles["fit"])
    best = float(group_accuracies(world, linear_optimum(world, 0.5)).min())
    for settings in (ReweightedSettings(), ReweightedSettings(how="subset")):
        head = reweighted(world.roles, erm, settings, 0).head
        rule = linear_optimum(world, 0.5)._replace(
            weight=head.weight[1].double() - head.weight[0].double(), bias=float(head.bias[1] - head.bias[0])
        )
        assert best - 0.02 < float(group_accuracies(world, rule).min()) <= best + 1e-9
    assert score(erm, world.roles["choose"]).worst_group_accuracy < best - 0.3


def test_groups_are_needed_where_they_are_balanced() -> None:
    roles = roles_of(2)
    erm = erm_head(roles["fit"])
    bare = {**roles, "repair": replace(roles["repair"], groups=Groups((), torch.zeros(204, 0, dtype=torch.bool)))}
    with pytest.raises(InputError, match="RWG needs groups on the repair rows"):
        reweighted(bare, erm, ReweightedSettings(), 0)
    members = roles["repair"].groups.members.clone()
    members[:, 1] = False
    empty = {**roles, "repair": replace(roles["repair"], groups=replace(roles["repair"].groups, members=members))}
    with pytest.raises(InputError, match=r"'c0, s1' has no repair rows"):
        reweighted(empty, erm, ReweightedSettings(how="subset"), 0)
    with pytest.raises(InputError, match="judge rows"):
        reweighted({**roles, "judge": roles["choose"]}, erm, ReweightedSettings(), 0)
    by_class = reweighted(bare, erm, ReweightedSettings("classes", penalties=(0.1,)), 0)
    assert by_class.chosen == {"penalty": 0.1}


def test_rows_in_no_group_do_not_count() -> None:
    roles = roles_of(2)
    erm = erm_head(roles["fit"])
    rows = roles["repair"]
    stranger = replace(rows.take(torch.tensor([0])), ids=np.array(["repair:9999"]))
    stranger = stranger.with_inputs(rows.inputs[:].mean(0, keepdim=True))
    members = torch.cat([rows.groups.members, torch.zeros(1, 4, dtype=torch.bool)])
    both = make_rows(
        torch.cat([rows.inputs[:], stranger.inputs[:]]),
        torch.cat([rows.targets, torch.tensor([1])]),
        classes=rows.classes,
        groups=Groups(rows.groups.names, members),
        ids=np.concatenate([rows.ids, stranger.ids]),
    )
    settings = ReweightedSettings(penalties=(0.05,))
    one, two = (reweighted({**roles, "repair": each}, erm, settings, 0) for each in (rows, both))
    # At the mean of the features, the stranger moves the scaler by next to nothing and the loss not at all.
    same_head(one.head, two.head, roles["choose"], 1e-3)
    assert "1 of 205 repair rows are in no group and were not used." in two.notes


def test_learning_on_choose_tunes_on_halves_and_refits_on_all() -> None:
    roles = roles_of(2)
    repaired = reweighted(
        {"choose": roles["choose"]}, erm_head(roles["fit"]), ReweightedSettings(learn="choose", penalties=(0.02,)), 0
    )
    same_head(repaired.head, by_sklearn(roles["choose"], balancing_weights(roles["choose"].groups), 0.02), roles["fit"])
    assert repaired.seen == roles["choose"].origins()


def test_halves_are_fitted_on_one_and_scored_on_the_other() -> None:
    """Labels of the half that is scored turned round: the fit stays, so every answer that was right is wrong."""
    choose = roles_of(2)["choose"]
    erm, settings = erm_head(choose), ReweightedSettings("classes", "weights", "choose", (0.3,), selection="accuracy")
    everyone = Groups(("all rows",), torch.ones(len(choose), 1, dtype=torch.bool))
    scored = source_halves(choose, everyone, torch.Generator().manual_seed(0)).first
    turned = choose.targets.clone()
    turned[scored] = 1 - turned[scored]
    heard = [reweighted({"choose": each}, erm, settings, 0) for each in (choose, choose.with_targets(turned))]
    one, two = (repaired.trials[0].mean_accuracy for repaired in heard)
    assert one > 0.7
    assert two == pytest.approx(1 - one)


@pytest.mark.parametrize("method", ["RWG", "group DRO"])
def test_a_group_missing_from_the_half_that_is_fitted_is_named(method: str) -> None:
    """One row of a rare group lies in one half; under some seeds that is not the half that is fitted."""
    choose = roles_of(2)["choose"]
    rare = torch.zeros(len(choose), 1, dtype=torch.bool)
    rare[0] = True
    names = (*choose.groups.names, "rare")
    rows = replace(choose, groups=Groups(names, torch.cat([choose.groups.members, rare], dim=1)))
    erm = erm_head(choose)

    def tuned(seed: int) -> str:
        try:
            if method == "RWG":
                reweighted(
                    {"choose": rows}, erm, ReweightedSettings("groups", "weights", "choose", (1.0,), 1, "classes"), seed
                )
            else:
                settings = GroupDROSettings(learn="choose", penalties=(1.0,), selection="classes")
                group_dro({"choose": rows}, erm, settings, seed)
        except InputError as error:
            return str(error)
        return ""

    told = {tuned(seed) for seed in range(6)}
    assert len(told) == 2
    assert f"The group 'rare' is missing from one half of the choose rows, and {method} fits" in max(told)


def test_jtt_upweights_the_mistakes() -> None:
    roles = roles_of(2)
    erm = erm_head(roles["fit"])
    repaired = two_stage(roles, erm, TwoStageSettings(upweights=(20.0,), penalties=(0.02,)), 0)
    wrong = erm.logits(roles["fit"].inputs[:]).argmax(dim=1) != roles["fit"].targets
    assert 0 < int(wrong.sum()) < len(wrong)
    weights = torch.where(wrong, 20.0, 1.0).double()
    same_head(repaired.head, by_sklearn(roles["fit"], weights, 0.02), roles["choose"])
    assert repaired.notes == (f"The first model is wrong on {int(wrong.sum())} of 204 fit rows.",)


def test_jtt_without_mistakes_is_plain_retraining_and_says_so() -> None:
    """A first model at 100 % training accuracy leaves an empty error set: no failure, no silence."""
    roles = roles_of(2)
    erm = erm_head(roles["fit"])
    right = erm.logits(roles["fit"].inputs[:]).argmax(dim=1) == roles["fit"].targets
    easy = {**roles, "fit": roles["fit"].take(right)}
    repaired = two_stage(easy, erm, TwoStageSettings(upweights=(5.0, 100.0), penalties=(0.01,)), 0)
    assert "right on all" in repaired.notes[0]
    assert "plain retraining" in repaired.notes[0]
    assert repaired.chosen["upweight"] == 5.0
    same_head(repaired.head, by_sklearn(easy["fit"], torch.ones(int(right.sum())), 0.01), roles["choose"])


def test_upweighting_by_one_is_the_plain_head() -> None:
    roles = roles_of(3)
    erm = erm_head(roles["fit"], strength=1.0)
    penalty = 1 / len(roles["fit"])
    repaired = two_stage(roles, erm, TwoStageSettings(upweights=(1.0,), penalties=(penalty,)), 0)
    same_head(repaired.head, erm, roles["choose"])


def test_ties_go_to_the_strongest_penalty() -> None:
    roles = gaussian_world(sizes={"fit": 200, "repair": 200, "choose": 200}, core_std=0.01).roles
    repaired = reweighted(roles, erm_head(roles["fit"]), ReweightedSettings(penalties=(0.001, 0.01, 0.1)), 0)
    assert repaired.trials[0].worst_group_accuracy == repaired.trials[-1].worst_group_accuracy == 1.0
    assert repaired.chosen == {"penalty": 0.1}


def test_settings_out_of_range_are_refused() -> None:
    with pytest.raises(InputError, match="penalties are"):
        ReweightedSettings(penalties=(0.0,))
    with pytest.raises(InputError, match="draws is 2 with how 'weights'"):
        ReweightedSettings(draws=2)
    with pytest.raises(InputError, match="upweights are"):
        TwoStageSettings(upweights=())


def test_an_unfinished_fit_is_an_error() -> None:
    rows = roles_of(2)["repair"]
    inputs, weights = rows.inputs[:].double(), torch.ones(len(rows), dtype=torch.float64)
    with pytest.raises(InputError, match="did not converge in 0 steps"):
        fit_softmax(inputs, rows.targets, weighted_mean(weights), 0.1, 2, most_steps=0)


@pytest.mark.parametrize("changed", [False, True])
def test_features_that_nearly_repeat_one_another_are_fitted_in_one_round(changed: bool) -> None:
    generator = torch.Generator().manual_seed(0)
    few = torch.randn(300, 4, generator=generator, dtype=torch.float64)
    many = torch.relu(few @ torch.randn(4, 40, generator=generator, dtype=torch.float64)) + 1e-3 * torch.randn(
        300, 40, generator=generator, dtype=torch.float64
    )
    targets = (few[:, 0] > 0).long() + (few[:, 1] > 0.5).long()
    weights = torch.rand(300, generator=generator, dtype=torch.float64)
    offsets = torch.randn(300, 3, generator=generator, dtype=torch.float64) if changed else None
    head = fit_softmax(
        many, targets, weighted_mean(weights), 1e-5, 3, offsets=offsets, penalise_bias=changed, most_steps=200
    )
    weight, bias = head.weight.clone().requires_grad_(), head.bias.clone().requires_grad_()
    logits = many @ weight.T + bias + (0.0 if offsets is None else offsets)
    losses = torch.nn.functional.cross_entropy(logits, targets, reduction="none")
    size = weight.square().sum() + (bias.square().sum() if changed else 0.0)
    ((weights * losses).sum() / weights.sum() + 0.5e-5 * size).backward()
    assert weight.grad is not None
    assert bias.grad is not None
    assert max(float(weight.grad.abs().max()), float(bias.grad.abs().max())) < 1.1e-7

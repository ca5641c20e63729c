"""SELF's choice of rows, and the contest: nothing sees the judge rows, everything is measured alike."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from surefoot.errors import InputError
from surefoot.findings.compare import compare
from surefoot.findings.measure import measure
from surefoot.findings.predictions import predictions_for
from surefoot.robust.balanced import erm_head
from surefoot.robust.contest import Contest, contest, group_shares, usual_methods
from surefoot.robust.disagreement import DisagreementSettings, disagreement, disagreements
from surefoot.robust.group_dro import GroupDROSettings, group_dro
from surefoot.robust.head import LinearHead, Repaired
from surefoot.robust.method import Rival
from surefoot.robust.methods import method_of
from surefoot.robust.protocol import material_of
from surefoot.robust.reweighted import ReweightedSettings, reweighted
from surefoot.rows.roles import Roles
from surefoot.rows.rows import Groups
from surefoot.rows.worlds import gaussian_world

WORLD = gaussian_world(noise=4, sizes={"fit": 1200, "repair": 600, "choose": 1000, "judge": 1600}, correlation=0.94)
GIVEN: Roles = {role: rows for role, rows in WORLD.roles.items() if role != "judge"}
SEEDS = tuple(range(6))
ERM = erm_head(WORLD.roles["fit"])


def probabilities(head: LinearHead, inputs: Tensor) -> Tensor:
    return LinearHead(head.weight.double(), head.bias.double()).probabilities(inputs.double())


def test_an_infinite_pull_keeps_the_base_head() -> None:
    repaired = disagreement(GIVEN, ERM, DisagreementSettings(counts=(20,), penalties=(1e9,)), 0)
    inputs = GIVEN["choose"].inputs[:]
    assert torch.allclose(probabilities(repaired.head, inputs), probabilities(ERM, inputs), atol=1e-6)


def test_what_a_constant_feature_adds_to_the_base_head_is_kept() -> None:
    """A feature that is 3 in every row, its weight undone by the bias, is the same head: so are the two repairs."""
    wide: Roles = {
        role: rows.with_inputs(torch.cat([rows.inputs[:], torch.full((len(rows), 1), 3.0)], dim=1))
        for role, rows in GIVEN.items()
    }
    column = torch.tensor([[-1.0], [1.0]])
    same = LinearHead(torch.cat([ERM.weight, column], dim=1), ERM.bias - 3 * column[:, 0])
    settings = DisagreementSettings(counts=(100,), penalties=(0.03,))
    rivals = [Rival(GIVEN["repair"], LinearHead(0.5 * ERM.weight, ERM.bias))]
    rivals.append(Rival(wide["repair"], LinearHead(torch.cat([0.5 * ERM.weight, 0 * column], dim=1), ERM.bias)))
    bare = disagreement(GIVEN, ERM, settings, 0, rivals[0]).head
    held = disagreement(wide, same, settings, 0, rivals[1]).head
    one, two = probabilities(bare, GIVEN["choose"].inputs[:]), probabilities(held, wide["choose"].inputs[:])
    assert torch.allclose(one, two, atol=1e-4)


def test_self_finetunes_on_the_rows_of_largest_divergence() -> None:
    """With a rival that differs on known rows alone, those rows are the ones learned from: their loss falls most, and
    replacing every other row's label changes nothing (the scaler reads no labels)."""
    rows = GIVEN["repair"]
    inputs = rows.inputs[:].clone()
    odd = torch.cat([(rows.targets == label).nonzero().ravel()[:10] for label in (0, 1)])
    moved = inputs.clone()
    moved[odd, 0] += 8
    rival = Rival(rows.with_inputs(moved), ERM)
    settings = DisagreementSettings(counts=(20,), penalties=(0.01,))
    repaired = disagreement(GIVEN, ERM, settings, 0, rival)
    rest = torch.ones(len(rows), dtype=torch.bool)
    rest[odd] = False
    labels = torch.where(rest, rows.targets.flip(0), rows.targets)
    other = disagreement({**GIVEN, "repair": rows.with_targets(labels)}, ERM, settings, 0, rival)
    assert torch.allclose(repaired.head.weight, other.head.weight, atol=1e-5)
    assert repaired.notes == ("SELF chose rows by disagreement with an earlier version.",)


def test_a_class_with_few_rows_weighs_as_much_as_the_others() -> None:
    """3 rows of class 1 and 50 of class 0: with all rows used, the change is the optimum of the class-balanced mean."""
    rows = GIVEN["repair"]
    some = torch.cat([(rows.targets == label).nonzero().ravel()[:count] for label, count in ((0, 50), (1, 3))])
    few = rows.take(some)
    repaired = disagreement({**GIVEN, "repair": few}, ERM, DisagreementSettings(counts=(100,), penalties=(0.01,)), 0)
    inputs = few.inputs[:].double()
    mean, scale = inputs.mean(dim=0), inputs.std(dim=0, correction=0)
    change = (repaired.head.weight.double() - ERM.weight.double()) * scale
    shift = repaired.head.bias.double() - ERM.bias.double() + change @ (mean / scale)
    residual = probabilities(repaired.head, inputs) - torch.nn.functional.one_hot(few.targets, 2)
    residual /= torch.where(few.targets == 1, 2 * 3, 2 * 50)[:, None]
    assert torch.allclose(residual.T @ ((inputs - mean) / scale) + 0.01 * change, torch.zeros(2, 6).double(), atol=1e-5)
    assert torch.allclose(residual.sum(dim=0) + 0.01 * shift, torch.zeros(2).double(), atol=1e-5)


def test_a_rival_that_agrees_disagrees_nowhere_and_dropout_does_somewhere() -> None:
    rows = material_of(GIVEN["repair"], "repair", "SELF")
    settings = DisagreementSettings(dropout=0.5, masks=4)
    scores = disagreements(rows, ERM, settings, torch.Generator().manual_seed(0))
    assert bool((scores >= 0).all())
    assert float(scores.max()) > 0.01
    # KL by the definition, with the first mask redone by hand in id order.
    one = replace(settings, masks=1)
    found = disagreements(rows, ERM, one, torch.Generator().manual_seed(5))
    order = np.argsort(rows.rows.ids, kind="stable")
    kept = torch.rand((600, 6), generator=torch.Generator().manual_seed(5), dtype=torch.float64) < 0.5
    p = probabilities(ERM, rows.features[order])
    q = probabilities(ERM, rows.features[order].double() * kept * 2)
    wanted = torch.nn.functional.kl_div(q.log(), p, reduction="none").sum(dim=1)
    assert torch.allclose(found[order], wanted, atol=1e-9)


def test_the_order_of_rows_does_not_matter_to_self() -> None:
    settings = DisagreementSettings(counts=(20,), penalties=(0.01,))
    turned = GIVEN["repair"].take(torch.arange(600).flip(0))
    heads = [disagreement({**GIVEN, "repair": each}, ERM, settings, 1).head for each in (GIVEN["repair"], turned)]
    assert torch.allclose(heads[0].weight, heads[1].weight, atol=1e-5)


def test_a_rival_of_other_rows_is_refused() -> None:
    with pytest.raises(InputError, match="speaks of other repair rows"):
        disagreement(GIVEN, ERM, DisagreementSettings(), 0, Rival(GIVEN["choose"], ERM))
    with pytest.raises(InputError, match="counts are"):
        DisagreementSettings(counts=(0,))


@pytest.fixture(scope="module")
def kept() -> Contest:
    subset = ReweightedSettings(how="subset", penalties=(0.1,))
    methods = {
        "rwg": lambda features, erm, seed: reweighted(features, erm, ReweightedSettings(penalties=(0.1,)), seed),
        "subg": lambda features, erm, seed: reweighted(features, erm, subset, seed),
        "group_dro": lambda features, erm, seed: group_dro(features, erm, GroupDROSettings(penalties=(0.1,)), seed),
    }
    return contest(WORLD.roles, ERM, methods, seeds=SEEDS)


def test_no_method_is_given_judge_rows() -> None:
    told: list[set[str]] = []

    def spy(features: Roles, erm: LinearHead, seed: int) -> Repaired:
        told.append(set(features))
        return Repaired(erm, {}, (), frozenset())

    contest(WORLD.roles, ERM, {"spy": spy}, seeds=(0, 1, 2))
    assert told == [{"fit", "repair", "choose"}] * 3


def test_findings_are_those_of_measure_and_compare(kept: Contest) -> None:
    judge = WORLD.roles["judge"]
    entry = next(each for each in kept.entries if each.name == "subg")
    layers = torch.stack([repaired.head.probabilities(judge.inputs[:]) for repaired in entry.repaired])
    base = predictions_for(judge, torch.stack([ERM.probabilities(judge.inputs[:])] * len(SEEDS)))
    own = predictions_for(judge, layers)
    fit = WORLD.roles["fit"].groups
    shares = dict(zip(fit.names, (fit.counts() / 1200).tolist(), strict=True))
    measured = measure(own, subject="subg", source="judge", proportions=shares)
    gained = compare(base, own, before_name="erm", after_name="subg", source="judge", proportions=shares)
    ours = [each for each in kept.findings if each.subject == "subg"]
    assert [(each.name, each.slice) for each in ours] == [(each.name, each.slice) for each in measured]
    assert [each.value for each in ours] == pytest.approx([each.value for each in measured])
    assert kept.find("subg − erm").interval == next(
        each.interval for each in gained if each.name == "worst_group_accuracy"
    )


def test_balancing_groups_helps_in_a_world_with_a_shortcut(kept: Contest) -> None:
    """The paired interval of every group-balancing method excludes zero: the analytic gain is above .4."""
    for name in ("rwg", "subg", "group_dro"):
        interval = kept.find(f"{name} − erm").interval
        assert interval is not None
        assert interval.low > 0.1


def test_the_table_has_a_line_for_each_and_is_complete(kept: Contest) -> None:
    lines = kept.table().splitlines()
    assert [line.split("|")[1].strip() for line in lines[2:]] == ["erm", "rwg", "subg", "group_dro"]
    assert all(line.count("|") == 7 for line in lines)
    assert lines[2].endswith("| – |")
    assert all(entry.seconds and min(entry.seconds) > 0 for entry in kept.entries)


def test_a_head_that_saw_a_judge_row_is_refused() -> None:
    judge = WORLD.roles["judge"]

    def cheat(features: Roles, erm: LinearHead, seed: int) -> Repaired:
        return Repaired(erm, {}, (), judge.origins())

    with pytest.raises(InputError, match="already seen by cheat"):
        contest(WORLD.roles, ERM, {"cheat": cheat})


def test_judge_rows_that_descend_from_fit_rows_are_refused() -> None:
    """The base head was fitted on them, whatever the repairs say of themselves."""
    judge = WORLD.roles["judge"]
    copied = replace(judge, sources=np.concatenate([GIVEN["fit"].sources[:1], judge.sources[1:]]))
    with pytest.raises(InputError, match="already seen by the fit rows"):
        contest({**WORLD.roles, "judge": copied}, ERM, {"rwg": usual_methods()["rwg"]})


def test_shares_follow_the_names_of_the_groups() -> None:
    fit, judge = WORLD.roles["fit"], WORLD.roles["judge"]
    turned = replace(judge, groups=Groups(judge.groups.names[::-1], judge.groups.members.flip(1)))
    assert group_shares(fit, turned) == group_shares(fit, judge)
    rarest = int(fit.groups.counts().argmin())
    left = replace(judge, groups=Groups(*_without(judge.groups, rarest)))
    assert group_shares(fit, left) is None


def _without(groups: Groups, number: int) -> tuple[tuple[str, ...], Tensor]:
    kept = [each for each in range(len(groups.names)) if each != number]
    return tuple(groups.names[each] for each in kept), groups.members[:, kept]


def test_a_contest_asks_for_what_it_needs() -> None:
    with pytest.raises(InputError, match="needs judge rows"):
        contest(GIVEN, ERM)
    with pytest.raises(InputError, match="none of them named 'erm'"):
        contest(WORLD.roles, ERM, {})
    judge = WORLD.roles["judge"]
    bare = replace(judge, groups=Groups((), torch.zeros(len(judge), 0, dtype=torch.bool)))
    with pytest.raises(InputError, match="judge rows have no groups"):
        contest({**WORLD.roles, "judge": bare}, ERM)
    repair = GIVEN["repair"]
    without = replace(repair, groups=Groups((), torch.zeros(len(repair), 0, dtype=torch.bool)))
    with pytest.raises(InputError, match=r"^rwg: RWG needs groups on the repair rows"):
        contest({**WORLD.roles, "repair": without}, ERM, {"rwg": usual_methods()["rwg"]})


@pytest.mark.slow
def test_every_usual_method_runs_and_needs_groups_only_if_it_says_so() -> None:
    small = gaussian_world(sizes={"fit": 200, "repair": 200, "choose": 300, "judge": 200}, correlation=0.9).roles
    bare: Roles = {
        role: rows if role == "judge" else replace(rows, groups=Groups((), torch.zeros(len(rows), 0, dtype=torch.bool)))
        for role, rows in small.items()
    }
    methods = usual_methods("pseudo_groups")
    free = [name for name in methods if not method_of(name).needs_groups]
    kept = contest(bare, erm_head(bare["fit"]), {name: methods[name] for name in free})
    assert list(kept.predictions) == ["erm", *free]
    assert contest(small, erm_head(small["fit"])).table().count("\n") == len(methods) + 2

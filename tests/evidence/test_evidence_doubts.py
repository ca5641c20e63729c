"""Every doubt is raised by a case made for it, and none by a clean linear regression."""

import json
import math
import re
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from surefoot.density.augmentation import Augmentation
from surefoot.density.dirichlet import DirectDirichlet
from surefoot.density.functional import DirClip, Functional
from surefoot.density.likelihoods import categorical
from surefoot.density.objective import Posterior
from surefoot.density.priors import Gaussian, StudentT
from surefoot.density.regression import GaussianNoise
from surefoot.density.requirements import require_normalised
from surefoot.errors import InputError
from surefoot.evidence.anatomy import anatomy_of
from surefoot.evidence.conditional import DrawnConditional
from surefoot.evidence.criteria import CriteriaSettings, criteria_of
from surefoot.evidence.doubt import Doubt
from surefoot.evidence.doubts import doubts_about_choice, doubts_of, doubts_of_each, refusals_of
from surefoot.evidence.laplace.evidence import evidence_of
from surefoot.evidence.laplace.expand import expand
from surefoot.evidence.laplace.expansion import Expansion
from surefoot.evidence.structures import evidence_by_structure
from surefoot.evidence.trials import (
    Origin,
    Trial,
    origin_of,
    trial_from_json,
    trial_of,
    trial_to_json,
)
from surefoot.inference.ascend import Ascend
from surefoot.networks.build import build_linear, build_mlp
from surefoot.networks.network import Network, parameters_of
from surefoot.rows.rows import Rows, make_rows

ROOT = Path(__file__).resolve().parents[2]
NOISE = 0.5


def regression(features: int) -> tuple[Rows, Tensor, Tensor]:
    """Forty rows whose target is the first of four features; a model is given some of them."""
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(40, 4, generator=generator, dtype=torch.float64)
    targets = inputs[:, :1] + NOISE * torch.randn(40, 1, generator=generator, dtype=torch.float64)
    own = inputs[:, 4 - features :]
    return make_rows(own, targets), torch.cat([own, torch.ones(40, 1).double()], dim=1), targets


def linear(features: int, precision: float, shift: float = 0.0) -> tuple[Posterior, Rows, dict[str, Tensor]]:
    """The mode of a linear regression, moved by `shift` in every number."""
    rows, design, targets = regression(features)
    matrix = design.T @ design / NOISE**2 + precision * torch.eye(features + 1).double()
    mode = torch.linalg.solve(matrix, design.T @ targets[:, 0] / NOISE**2) + shift
    posterior = Posterior(build_linear(features, 1, seed=0), GaussianNoise(NOISE), Gaussian(precision))
    return posterior, rows, {"head.weight": mode[None, :-1].clone(), "head.bias": mode[-1:].clone()}


@cache
def tuned(features: int) -> float:
    """MacKay's fixed point."""
    precision = 1.0
    for _ in range(20):
        found = expand(*linear(features, precision))
        precision = anatomy_of(found).effective / found.distances.sum().item()
    return precision


def clean(features: int) -> Trial:
    problem = linear(features, tuned(features))
    return trial_of(expand(*problem), origin_of(*problem))


def kinds(doubts: tuple[Doubt, ...]) -> list[tuple[str, str]]:
    return [(doubt.kind, doubt.severity) for doubt in doubts]


def test_a_clean_regression_is_not_doubted() -> None:
    everything, without = clean(4), clean(3)
    assert everything.evidence > without.evidence + 20  # the target is the first of four
    assert doubts_of(everything) == doubts_of(without) == ()
    assert doubts_about_choice({"all four": [everything] * 3, "three": [without] * 3}) == ()


@pytest.mark.parametrize(("away", "severity"), [(0.02, None), (0.3, "warn"), (3.0, "refuse")])
def test_a_point_that_is_no_mode_is_told(away: float, severity: str | None) -> None:
    """Away by as many posterior standard deviations in each number, of rows on the design's own axes."""
    posterior, rows, mode = linear(4, tuned(4))
    stiff = expand(posterior, rows, mode, structure="diag").curvatures
    deviation = (torch.cat(stiff) / NOISE**2).rsqrt()
    moved = {
        "head.weight": mode["head.weight"] + away * deviation[None, :4],
        "head.bias": mode["head.bias"] + away * deviation[4:],
    }
    found = [each for each in doubts_of(expand(posterior, rows, moved), subject="M") if each.kind == "mode"]
    assert [each.severity for each in found] == ([severity] if severity else [])
    if severity:
        assert found[0].findings[0].value == pytest.approx(away, rel=0.5)
        assert found[0].sentence.startswith("Training of M ended as far as")


def test_an_offset_that_is_no_number_is_refused_and_the_conditional_looks_at_both() -> None:
    assert kinds(doubts_of(Trial(0.0, float("nan"), 9, "full"))) == [("mode", "refuse")]
    apart = [Trial(0.0, 0.0, 9, "full", conditional=0.0, known_offset=0.5)] * 3
    other = [Trial(9.0, 0.0, 9, "full", conditional=9.0, known_offset=0.0)] * 3
    assert doubts_about_choice({"a": apart, "b": other}) == ()
    assert kinds(doubts_about_choice({"a": apart, "b": other}, by="conditional")) == [("mode", "warn")]


def network() -> Network:
    return Network(nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 2)), "2")


def unchanged(inputs: Tensor, generator: torch.Generator) -> Tensor:
    return inputs


def test_all_refusals_are_listed_each_in_the_words_it_has_alone() -> None:
    inputs = torch.randn(4, 2, generator=torch.Generator().manual_seed(0))
    wrong: list[dict[str, Any]] = [
        {"posterior_temperature": 0.5},
        {"functional": Functional(DirClip(0.5, -10.0))},
        {"likelihood": DirectDirichlet(1.5)},
        {"augmentation": Augmentation(unchanged, 2, "mean")},
    ]
    base: dict[str, Any] = {"network": network(), "likelihood": categorical, "prior": StudentT(5.0, 1.0)}
    together = Posterior(**base | {key: value for each in wrong for key, value in each.items()})
    soft = torch.full((4, 2), 0.5)
    rows = make_rows(inputs, soft, weights=torch.tensor([1.0, 2.0, 1.0, 1.0]))
    found = refusals_of(together, rows)
    assert {(doubt.kind, doubt.severity) for doubt in found} == {("no_evidence", "refuse")}
    told = [doubt.sentence for doubt in found]
    assert len(told) == len(set(told)) == 7  # four, the prior, weights, soft labels
    for each in wrong:
        with pytest.raises(InputError) as raised:
            require_normalised(Posterior(**{**base, **each}))
        assert str(raised.value) in told
    assert sum("StudentT" in each for each in told) == 1
    assert sum("weights from 1 to 2" in each for each in told) == 1
    assert sum("soft labels" in each for each in told) == 1


def test_what_has_evidence_is_not_refused_and_what_cannot_be_mended_ends_the_list() -> None:
    rows = make_rows(torch.zeros(4, 2), torch.tensor([0, 1, 0, 1]))
    assert refusals_of(Posterior(network(), categorical, Gaussian(1.0), logit_temperature=0.5), rows) == ()
    normed = Network(nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3), nn.Linear(3, 2)), "2")
    tempered = Posterior(normed, categorical, Gaussian(1.0), likelihood_temperature=0.5)
    told = [doubt.sentence for doubt in refusals_of(tempered, rows)]
    assert len(told) == 2
    assert "likelihood_temperature" in told[0]
    assert "batch normalisation" in told[1]


def test_evidences_of_other_rows_or_targets_do_not_compare() -> None:
    posterior, rows, mode = linear(4, 1.0)
    fewer = rows.take(torch.arange(39))
    doubled = replace(rows, targets=2 * rows.targets)
    turned = rows.take(torch.arange(39, -1, -1))
    other_half, half = rows.take(torch.arange(20)), rows.take(torch.arange(20, 40))

    def trials(of: Rows) -> list[Trial]:
        return [trial_of(expand(posterior, of, mode), origin_of(posterior, of, mode))] * 3

    for one, other in ((rows, fewer), (rows, doubled), (half, other_half)):
        found = doubts_about_choice({"a": trials(one), "b": trials(other)})
        assert ("rows", "refuse") in kinds(found)
        assert "seeds" not in [kind for kind, _ in kinds(found)]  # what does not compare has no order
    assert "rows" not in [kind for kind, _ in kinds(doubts_about_choice({"a": trials(rows), "b": trials(turned)}))]
    # Other features of the same rows are another model of the same observations.
    features = replace(rows, inputs=rows.inputs.flip(1))
    assert origin_of(posterior, rows, mode) == origin_of(posterior, features, mode)


def test_every_seed_may_have_its_own_rows_as_long_as_candidates_share_them() -> None:
    def trials(digests: str, evidence: float) -> list[Trial]:
        return [Trial(evidence, 0.0, 9, "full", origin=Origin(each)) for each in digests]

    assert doubts_about_choice({"a": trials("xyz", 0.0), "b": trials("xyz", 1.0)}) == ()
    assert kinds(doubts_about_choice({"a": trials("xyz", 0.0), "b": trials("xyy", 1.0)})) == [("rows", "refuse")]


def classification() -> Rows:
    inputs = torch.randn(30, 2, generator=torch.Generator().manual_seed(1))
    return make_rows(inputs, (inputs[:, 0] * inputs[:, 1] > 0).long())


def test_curvatures_of_other_structure_kind_or_part_do_not_compare() -> None:
    rows, posterior = classification(), Posterior(network(), categorical, Gaussian(1.0))
    point = parameters_of(posterior.network)
    origin = origin_of(posterior, rows, point)
    one = trial_of(expand(posterior, rows, point), origin)
    for changed, word in (
        ({"structure": "diag"}, "structures diag and full"),
        ({"kind": "fisher"}, "kinds fisher and ggn"),
        ({"part": "head"}, "parts all and head"),
    ):
        other = trial_of(expand(posterior, rows, point, **changed), origin)  # type: ignore[arg-type]
        found = [each for each in doubts_about_choice({"a": [one], "b": [other]}) if each.kind == "curvature"]
        assert len(found) == 1
        assert word in found[0].sentence
    assert not [each for each in doubts_about_choice({"a": [one], "b": [one]}) if each.kind == "curvature"]


def test_last_layers_over_other_bodies_do_not_compare_unless_the_bodies_never_saw_the_rows() -> None:
    rows = classification()

    def trial(body: int, precision: float, *, known: bool = True, apart: bool = False) -> Trial:
        posterior = Posterior(build_mlp(2, 4, 2, seed=body), categorical, Gaussian(precision))
        point = parameters_of(posterior.network)
        origin = origin_of(posterior, rows, point, "head", apart=apart)
        return trial_of(expand(posterior, rows, point, part="head"), origin if known else None)

    def frozen(one: Trial, other: Trial) -> list[str]:
        return [each.severity for each in doubts_about_choice({"a": [one], "b": [other]}) if each.kind == "frozen"]

    assert frozen(trial(0, 1.0), trial(1, 1.0)) == ["refuse"]
    assert frozen(trial(0, 1.0), trial(0, 3.0)) == []
    assert frozen(trial(0, 1.0, apart=True), trial(1, 1.0, apart=True)) == []
    assert frozen(trial(0, 1.0, known=False), trial(1, 1.0, known=False)) == ["warn"]
    everything = Posterior(build_mlp(2, 4, 2, seed=0), categorical, Gaussian(1.0))
    assert origin_of(everything, rows, parameters_of(everything.network)).frozen == ""


def seeds(*values: float, **changed: Any) -> list[Trial]:
    return [Trial(value, 0.0, 50, "full", **changed) for value in values]


def test_a_gap_within_the_spread_of_seeds_is_told_with_both_numbers() -> None:
    found = doubts_about_choice({"wide": seeds(-100.0, -101.0, -130.0), "narrow": seeds(-120.0, -121.0, -119.0)})
    assert kinds(found) == [("seeds", "warn")]
    assert found[0].findings[0].value == pytest.approx(120 - 331 / 3)
    interval = found[0].findings[0].interval
    assert interval is not None
    assert interval.low < 0 < interval.high
    assert "scatters by 17.9 nats around the 9.7 nats between wide and narrow" in found[0].sentence
    assert doubts_about_choice({"wide": seeds(-100.0, -101.0, -99.0), "narrow": seeds(-120.0, -121.0, -119.5)}) == ()
    single = doubts_about_choice({"a": seeds(-1.0), "b": seeds(-999.0)})
    assert kinds(single) == [("seeds", "warn")]
    assert single[0].sentence.startswith("Only 1 training of each candidate stands behind")


def test_a_precision_that_is_off_is_told_with_the_way_it_wants_to_go() -> None:
    best = tuned(4)
    for factor, way in ((0.001, "wants a larger one"), (100.0, "wants a smaller one")):
        found = doubts_of(expand(*linear(4, best * factor)), subject="M")
        assert kinds(found) == [("prior", "warn")]
        assert way in found[0].sentence
        assert [each.name for each in found[0].findings][:3] == ["fit_at_mode", "occam_factor", "effective_parameters"]


def test_an_order_that_turns_with_the_prior_is_told_as_the_priors() -> None:
    """Under loud noise the fourth feature is worth half a nat: less than what a vague, or a stiff, prior costs it."""

    def candidate(features: int, noise: float, factor: float = 1.0) -> Expansion:
        rows, design, targets = regression(features)
        matrix = design.T @ design / noise**2 + torch.eye(features + 1).double()
        mode = torch.linalg.solve(matrix, design.T @ targets[:, 0] / noise**2)
        posterior = Posterior(build_linear(features, 1, seed=0), GaussianNoise(noise), Gaussian(factor))
        return expand(posterior, rows, {"head.weight": mode[None, :-1].clone(), "head.bias": mode[-1:].clone()})

    def doubts(noise: float) -> tuple[Doubt, ...]:
        return doubts_about_choice({"four": [candidate(4, noise)] * 3, "three": [candidate(3, noise)] * 3})

    assert doubts(1.3) == ()
    (found,) = doubts(3.5)
    assert (found.kind, found.severity) == ("prior", "warn")
    assert found.sentence.startswith(
        "four is first at the prior precisions as they are, three with all of them 10 times smaller and three with 10 "
        "times larger ones (at the same modes)"
    )
    values = {(each.subject, each.name): each.value for each in found.findings}
    for name, features in (("four", 4), ("three", 3)):
        for look, factor in (("evidence_at_a_tenth", 0.1), ("evidence", 1.0), ("evidence_at_ten_times", 10.0)):
            # Expanded anew, under that prior, at the same point.
            again = float(evidence_of(candidate(features, 3.5, factor)))
            assert values[name, look] == pytest.approx(again, abs=1e-9)

    # One way is enough.
    (found,) = doubts(2.0)
    assert "four with all of them 10 times smaller and three with 10 times larger" in found.sentence
    four, three = trial_of(candidate(4, 1.3)), trial_of(candidate(3, 1.3))
    assert four.anatomy is not None
    assert three.anatomy is not None
    steep = replace(four, anatomy=replace(four.anatomy, lower=three.anatomy.lower - 1.0))
    (found,) = doubts_about_choice({"four": [steep] * 3, "three": [three] * 3})
    assert "three with all of them 10 times smaller and four with 10 times larger" in found.sentence


def test_many_hardly_touched_directions_are_told() -> None:
    expansion = expand(*linear(4, tuned(4)), structure="diag")
    hardly = torch.full((5,), 0.02).double() * expansion.precisions[0] * NOISE**2
    vague = replace(expansion, curvatures=hardly.split(expansion.sizes), squares=torch.zeros(5).double())
    found = [each for each in doubts_of(vague, subject="M") if each.kind == "tail"]
    assert len(found) == 1
    assert "5 of 5 directions" in found[0].sentence
    assert "tail" not in [each.kind for each in doubts_of(expansion)]


def test_too_few_draws_are_told() -> None:
    lonely = DrawnConditional(-70.0, 1.0, 1.02, 100, 1.0, 50)
    many = DrawnConditional(-70.0, 0.1, 60.0, 100, 1.0, 50)
    expansion = expand(*linear(4, tuned(4)))
    found = doubts_of(expansion, drawn=lonely)
    assert kinds(found) == [("draws", "warn")]
    assert "1.0 of 100 draws count" in found[0].sentence
    assert found[0].findings[0].value == 1.02
    assert doubts_of(expansion, drawn=many) == ()
    both = doubts_about_choice({"a": seeds(0.0, 0.0, 0.1, drawn=many), "b": seeds(9.0, 9.0, 9.1, drawn=lonely)})
    assert kinds(both) == [("draws", "warn")]
    assert {each.subject for each in both[0].findings} == {"b"}


def test_structures_that_disagree_about_the_first_are_told() -> None:
    one = seeds(-10.0, -10.0, -10.1, by_structure={"full": -10.0, "kron": -30.0, "diag": -12.0})
    other = seeds(-20.0, -20.0, -20.1, by_structure={"full": -20.0, "kron": -25.0, "diag": -22.0})
    found = doubts_about_choice({"a": one, "b": other})
    assert kinds(found) == [("structures", "warn")]
    assert "a is first with a curvature of structure full, b with kron, so" in found[0].sentence
    agreeing = seeds(-20.0, -20.0, -20.1, by_structure={"kron": -35.0, "diag": -22.0})
    assert doubts_about_choice({"a": one, "b": agreeing}) == ()


def test_every_structure_that_fits_is_expanded() -> None:
    posterior, rows, mode = linear(4, 1.0)
    found = evidence_by_structure(posterior, rows, mode)
    assert found["full"] == pytest.approx(trial_of(expand(posterior, rows, mode)).evidence)
    # A diagonal keeps less: det A ≤ Π A_ii (Hadamard), so its evidence is never the larger one.
    assert found["diag"] < found["full"]
    assert set(found) == {"full", "kron", "diag"}


def test_a_huge_gap_with_more_parameters_than_rows_is_told() -> None:
    found = doubts_about_choice({"a": seeds(0.0, 0.0, 1.0), "b": seeds(-2000.0, -2000.0, -2001.0, parameters=51)})
    assert kinds(found) == [("size", "warn")]
    assert "2,001 nats with 51 parameters and 50 rows" in found[0].sentence
    for gap, parameters in ((900.0, 51), (2000.0, 50)):
        other = seeds(-gap, -gap, -gap - 1, parameters=parameters)
        assert doubts_about_choice({"a": seeds(0.0, 0.0, 1.0), "b": other}) == ()


def test_refusals_come_before_warnings() -> None:
    rough = [Trial(0.0, 0.5, 9, "full")] * 3
    far = [Trial(0.0, 5.0, 9, "kron")] * 3
    found = doubts_about_choice({"rough": rough, "far": far})
    assert kinds(found) == [("curvature", "refuse"), ("mode", "refuse"), ("mode", "warn")]


def test_criteria_are_trials_too() -> None:
    rows = classification()
    posterior = Posterior(build_linear(2, 2, seed=0), categorical, Gaussian(1.0))
    climb = Ascend(epochs=4, optimiser="lbfgs", rate=1.0, schedule="constant")
    settings = CriteriaSettings(structure="full", draws=4)

    def criteria(seed: int, precision: float) -> Any:
        asked = replace(posterior, prior=Gaussian(precision))
        return criteria_of(asked, rows, parameters_of(posterior.network), seed, climb, settings)

    one, other = [criteria(seed, 1.0) for seed in (0, 1)], [criteria(seed, 100.0) for seed in (0, 1)]
    trial = trial_of(one[0])
    assert (trial.evidence, trial.conditional, trial.drawn) == (one[0].evidence, one[0].conditional, one[0].drawn)
    assert (trial.kind, trial.part, trial.parameters, trial.clusters) == ("ggn", "all", 6, 30)
    assert (trial.anatomy, trial.known_anatomy) == (one[0].anatomy, one[0].known_anatomy)
    assert "rows" not in [each.kind for each in doubts_about_choice({"a": one, "b": other}, by="conditional")]
    assert "rows" in [each.kind for each in doubts_about_choice({"a": one, "b": other[::-1]}, by="conditional")]
    # Where it is known that all rows are the same, their division matters to the conditional evidence alone.
    origin = origin_of(posterior, rows, one[0].mode)
    whole = {"a": [trial_of(each, origin) for each in one], "b": [trial_of(each, origin) for each in other[::-1]]}
    assert "rows" not in [each.kind for each in doubts_about_choice(whole)]
    assert "rows" in [each.kind for each in doubts_about_choice(whole, by="conditional")]


def test_a_conditional_order_that_turns_with_the_prior_is_told() -> None:
    """The evidences of all rows and of the first thirty, both moved, against expansions anew under those priors."""

    def pair(features: int, factor: float = 1.0) -> tuple[Expansion, Expansion]:
        rows, design, targets = regression(features)
        whole: list[Expansion] = []
        for count in (40, 30):
            some, seen = design[:count], rows.take(torch.arange(count))
            matrix = some.T @ some / 3.5**2 + torch.eye(features + 1).double()
            mode = torch.linalg.solve(matrix, some.T @ targets[:count, 0] / 3.5**2)
            posterior = Posterior(build_linear(features, 1, seed=0), GaussianNoise(3.5), Gaussian(factor))
            whole.append(
                expand(posterior, seen, {"head.weight": mode[None, :-1].clone(), "head.bias": mode[-1:].clone()})
            )
        return whole[0], whole[1]

    def value(features: int, factor: float) -> float:
        return float(evidence_of(pair(features, factor)[0]) - evidence_of(pair(features, factor)[1]))

    def candidate(features: int) -> Trial:
        whole, part = pair(features)
        conditional = value(features, 1.0)
        return replace(trial_of(whole), conditional=conditional, known_offset=0.0, known_anatomy=anatomy_of(part))

    names = {4: "four", 3: "three", 2: "two", 1: "one"}
    expected = [max(names, key=lambda each: value(each, factor)) for factor in (0.1, 1.0, 10.0)]
    trials = {name: [candidate(features)] * 3 for features, name in names.items()}
    found = [each for each in doubts_about_choice(trials, by="conditional") if each.kind == "prior"]
    assert len(set(expected)) > 1, "the case is made for it"
    assert len(found) == 1
    tenth, own, ten = (names[each] for each in expected)
    assert f"{own} is first at the prior precisions as they are, {tenth} with all of them" in found[0].sentence
    assert f"and {ten} with 10 times larger" in found[0].sentence
    assert found[0].sentence.endswith("or compare validation losses.")
    values = {(each.subject, each.name): each.value for each in found[0].findings}
    for look, factor in (("_at_a_tenth", 0.1), ("", 1.0), ("_at_ten_times", 10.0)):
        assert values[own, f"conditional_evidence{look}"] == pytest.approx(value(expected[1], factor), abs=1e-9)


def test_which_prior_of_one_network_is_first_is_no_doubt_about_the_prior() -> None:
    """Everything moves with λ, the grid of λ too: among priors of one network the first must change."""
    vague, stiff = linear(4, tuned(4) / 3), linear(4, tuned(4) * 3)
    of = {"vague": [trial_of(expand(*vague))] * 3, "stiff": [trial_of(expand(*stiff))] * 3}
    assert "prior" in [each.kind for each in doubts_about_choice(of)]
    same = {name: [replace(each, network="linear") for each in trials] for name, trials in of.items()}
    assert "prior" not in [each.kind for each in doubts_about_choice(same)]
    apart = {name: [replace(each, network=name) for each in trials] for name, trials in of.items()}
    assert "prior" in [each.kind for each in doubts_about_choice(apart)]


def test_what_is_said_of_several_candidates_stands_in_one_sentence() -> None:
    """The loudest seed of the loudest candidate leads, and who is silent is not named."""
    best = tuned(4)
    off, further, right = (trial_of(expand(*linear(4, best * factor))) for factor in (200.0, 50.0, 1.0))
    (alone,) = doubts_of_each({"M": [right, off]})
    assert alone == doubts_of(off, subject="M")[0]
    (both,) = doubts_of_each({"off": [off, right], "right": [right, right], "further": [right, further]})
    assert (both.kind, [each.name for each in both.findings]) == ("prior", ["evidence_slope"] * 2)
    assert [each.subject for each in both.findings] == ["further", "off"]
    assert further.anatomy is not None
    decade = abs(further.anatomy.slope) * math.log(10)
    assert both.sentence.startswith(f"The evidence of further and off changes at up to {decade:,.0f} nats for")
    assert "(that of further wants a smaller one)" in both.sentence
    assert off.anatomy is not None
    vague = replace(off, anatomy=replace(off.anatomy, slope=0.0, tail=0.6, untouched=4))
    vaguer = replace(vague, anatomy=replace(off.anatomy, slope=0.0, tail=0.9, untouched=5))
    (tail,) = doubts_of_each({"a": [vague], "b": [vaguer], "c": [right]})
    assert tail.sentence.startswith("In b and a, most directions are hardly touched")
    assert "up to 90% of the log determinant (5 of 5 directions of b)" in tail.sentence
    assert doubts_of_each({"a": [vague]}, by="conditional") == ()
    known = replace(further, conditional=-1.0, known_anatomy=further.anatomy)
    assert doubts_of_each({"a": [known]}, by="conditional") == (), "the same slope in both evidences cancels"


def test_findings_of_doubts_count_clusters() -> None:
    found = doubts_about_choice({"a": seeds(-1.0, clusters=10), "b": seeds(-2.0, clusters=10)})
    assert (found[0].findings[0].count, found[0].findings[0].clusters) == (50, 10)
    best = trial_of(expand(*linear(4, tuned(4) * 100)))
    for clusters, counted in ((None, 40), (8, 8)):
        (doubt,) = doubts_of(replace(best, clusters=clusters))
        assert {(each.count, each.clusters) for each in doubt.findings} == {(40, counted)}


def test_trials_are_kept_as_json() -> None:
    problem = linear(4, 1.0)
    drawn = DrawnConditional(-70.0, 1.0, 1.02, 100, 1.0, 50)
    trial = trial_of(expand(*problem), origin_of(*problem), by_structure={"diag": -3.0})
    for each in (trial, replace(trial, drawn=drawn), Trial(0.0, 0.0, 3, "kron")):
        assert trial_from_json(json.loads(json.dumps(trial_to_json(each)))) == each


def test_candidates_that_cannot_be_compared_at_all_are_refused() -> None:
    with pytest.raises(InputError, match=r"numbers of seeds: \{'a': 1, 'b': 2\}"):
        doubts_about_choice({"a": seeds(0.0), "b": seeds(0.0, 1.0)})
    with pytest.raises(InputError, match="two candidates or more"):
        doubts_about_choice({"a": seeds(0.0)})
    with pytest.raises(InputError, match="no conditional evidence"):
        doubts_about_choice({"a": seeds(0.0), "b": seeds(0.0)}, by="conditional")
    with pytest.raises(InputError, match="The evidences of b are"):
        doubts_about_choice({"a": seeds(0.0), "b": seeds(float(np.inf))})


def test_the_page_says_what_its_code_gives() -> None:
    page = (ROOT / "docs/evidence.md").read_text(encoding="utf-8")
    names: dict[str, Any] = {}
    for block in re.findall(r"```python\n(.*?)```", page, flags=re.DOTALL):
        exec(compile(block, "evidence.md", "exec"), names)
    nine, three = names["nine"], names["three"]
    assert f"nine.evidence  # {nine.evidence:.2f}\n" in page
    parts = (nine.anatomy.fit, nine.anatomy.occam, nine.anatomy.effective)
    assert f"# {parts[0]:.2f}, −{-parts[1]:.2f}, {parts[2]:.1f} of 18 parameters" in page
    assert f"# {three.evidence:.2f}: the evidence prefers it by {three.evidence - nine.evidence:.0f} nats" in page
    quoted = [" ".join(quote.replace("> ", "").split()) for quote in re.findall(r"(?:^> .*\n)+", page, re.MULTILINE)]
    told = [*doubts_of(nine, subject="M9"), *names["found"]]
    assert quoted == [doubt.sentence for doubt in told]
    assert f"{math.lgamma(51) + 50 * math.log(2):.1f} nats for fifty" in page


def test_the_figures_of_the_page_stand_on_the_pages_it_names() -> None:
    """Intervals and decimals of three digits and more, in the part that quotes them."""
    page = (ROOT / "docs/evidence.md").read_text(encoding="utf-8")
    part = page[page.index("## Four ways") : page.index("## Limits")]
    others = "".join(
        (ROOT / f"docs/{name}.md").read_text(encoding="utf-8")
        for name in ("evidence-toys", "processes", "evidence-hypotheses")
    )
    figures = re.findall(r"−?\d+(?:\.\d+)?%? \[[^]]+\]|−?\d+\.\d{2,}", " ".join(part.split()))
    assert len(figures) > 20
    flat = " ".join(others.split()).replace("|", " ")
    for figure in figures:
        assert " ".join(figure.split()) in " ".join(flat.split()), figure

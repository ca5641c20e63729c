"""All criteria of a linear regression against their closed forms, the split, and what is told of them."""

import math
import weakref
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor, nn

from surefoot.density.likelihoods import categorical
from surefoot.density.objective import Posterior
from surefoot.density.priors import Gaussian
from surefoot.density.regression import GaussianNoise
from surefoot.errors import InputError
from surefoot.evidence import criteria as criteria_module
from surefoot.evidence import structures as structures_module
from surefoot.evidence.conditional import conditional_by_difference
from surefoot.evidence.criteria import CriteriaSettings, criteria_of
from surefoot.evidence.criteria_found import Criteria
from surefoot.evidence.laplace.evidence import evidence_of
from surefoot.evidence.laplace.expand import expand
from surefoot.evidence.laplace.tune import tune
from surefoot.evidence.laplace_draws import draw_expansion
from surefoot.evidence.parts import part_rows
from surefoot.evidence.structures import richest_structure
from surefoot.findings.resampled import chance_of_best, resampled_means
from surefoot.inference.ascend import Ascend, ascend
from surefoot.networks.build import build_linear, build_mlp
from surefoot.networks.network import Network, Parameters, parameters_of
from surefoot.rows.rows import Names, Rows, make_rows

PRECISION, NOISE = 0.7, 0.8
CLIMB = Ascend(epochs=12, optimiser="lbfgs", rate=1.0, schedule="constant")


class Linear(NamedTuple):
    posterior: Posterior
    rows: Rows
    start: Parameters


def linear(rows: int = 25, width: int = 3) -> Linear:
    """y = x·w + noise, in float64."""
    generator = torch.Generator().manual_seed(0)
    design = torch.randn(rows, width, generator=generator, dtype=torch.float64)
    targets = design.sum(1) + NOISE * torch.randn(rows, generator=generator, dtype=torch.float64)
    network = Network(nn.Sequential(nn.Linear(width, 1, bias=False)).double(), "0")
    posterior = Posterior(network, GaussianNoise(NOISE), Gaussian(PRECISION))
    return Linear(posterior, make_rows(design, targets, classes=()), {"0.weight": torch.zeros(1, width).double()})


def log_normal(rows: Rows, mean: Tensor, covariance: Tensor) -> float:
    return float(stats.multivariate_normal.logpdf(rows.targets.numpy(), mean.numpy(), covariance.numpy()))


def classes(rows: int = 60) -> Rows:
    generator = torch.Generator().manual_seed(1)
    inputs = torch.randn(rows, 3, generator=generator)
    return make_rows(inputs, (inputs[:, 0] + 0.5 * torch.randn(rows, generator=generator) > 0).long())


def test_criteria_of_a_linear_regression_are_their_closed_forms() -> None:
    """Those by draws within 4.5 of their Monte-Carlo errors: false alarms 7e-6 each."""
    posterior, rows, start = linear()
    known, later = part_rows(rows, 0.8, 3)
    found = criteria_of(posterior, rows, start, 3, CLIMB, CriteriaSettings(draws=500, structure="full", way="network"))
    eye = torch.eye(3, dtype=torch.float64)

    def marginal(of: Rows) -> float:
        covariance = NOISE**2 * torch.eye(len(of), dtype=torch.float64) + of.inputs[:] @ of.inputs[:].T / PRECISION
        return log_normal(of, torch.zeros(len(of), dtype=torch.float64), covariance)

    assert found.evidence == pytest.approx(marginal(rows), abs=1e-8)
    assert found.conditional == pytest.approx(marginal(rows) - marginal(known), abs=1e-8)
    precision = known.inputs[:].T @ known.inputs[:] / NOISE**2 + PRECISION * eye
    mode = torch.linalg.solve(precision, known.inputs[:].T @ known.targets / NOISE**2)
    mean = later.inputs[:] @ mode
    spread = later.inputs[:] @ torch.linalg.solve(precision, later.inputs[:].T)
    noise = NOISE**2 * torch.eye(len(later), dtype=torch.float64)
    assert found.conditional == pytest.approx(log_normal(later, mean, noise + spread), abs=1e-8)
    assert found.map_loss == pytest.approx(-log_normal(later, mean, noise) / len(later), abs=1e-6)
    assert abs(found.drawn.value - found.conditional) < 4.5 * found.drawn.error
    assert found.drawn.effective > 60
    alone = torch.diag(spread.diagonal()) + noise
    # A mean of averages over 500 draws of densities that differ by some tenths: its error is below .01.
    assert found.bma_loss == pytest.approx(-log_normal(later, mean, alone) / len(later), abs=0.03)
    misses = (later.targets - mean).square() + spread.diagonal()
    gibbs = 0.5 * (misses / NOISE**2 + math.log(2 * math.pi * NOISE**2))
    assert found.gibbs_loss == pytest.approx(gibbs.mean().item(), abs=0.08)
    assert found.bma_loss < found.gibbs_loss
    assert found.offset < 1e-4
    assert found.known_offset < 1e-4
    assert (found.rows, found.held, found.structure) == (25, 5, "full")
    torch.testing.assert_close(
        found.mode["0.weight"][0],
        torch.linalg.solve(
            rows.inputs[:].T @ rows.inputs[:] / NOISE**2 + PRECISION * eye, rows.inputs[:].T @ rows.targets / NOISE**2
        ),
        rtol=0,
        atol=1e-4,
    )


def test_hyperparameters_are_tuned_by_the_rows_that_may_be_known() -> None:
    """The evidence at those of all rows; what is conditional at those of the first rows, for both expansions."""
    posterior, rows, start = linear()
    settings = CriteriaSettings(draws=50, structure="full", tune=True)
    found = criteria_of(posterior, rows, start, 0, CLIMB, settings)
    known, later = part_rows(rows, 0.8, 0)
    parts = [expand(posterior, of, ascend(posterior, of, start, 0, CLIMB).point()) for of in (rows, known)]
    own, given = (tune(part, ("precision", "noise"), optimiser="lbfgs") for part in parts)
    assert given.noise is not None
    assert abs(float(own.precisions[0] - given.precisions[0])) > 1e-3
    assert found.evidence == pytest.approx(own.evidence, abs=1e-9)
    assert found.evidence > evidence_of(parts[0]).item()
    by_hand = conditional_by_difference(*parts, float(given.precisions[0]), noise=given.noise)
    assert found.conditional == pytest.approx(by_hand.item(), abs=1e-9)
    mode = ascend(posterior, known, start, 0, CLIMB).point()["0.weight"][0]
    misses = (later.targets - later.inputs[:] @ mode) / given.noise
    loss = 0.5 * (misses.square() + math.log(2 * math.pi * given.noise**2))
    assert found.map_loss == pytest.approx(loss.mean().item(), abs=1e-9)


def run(rows: Rows, width: int = 4, seed: int = 0, **settings: object) -> Criteria:
    posterior = Posterior(build_mlp(3, width, 2, seed=0), categorical, Gaussian(1.0))
    asked = replace(CriteriaSettings(draws=20), **settings)
    return criteria_of(posterior, rows, parameters_of(posterior.network), seed, replace(CLIMB, epochs=4), asked)


def test_one_seed_gives_the_same_and_candidates_are_held_out_the_same_rows() -> None:
    rows, structure = classes(), "kron"
    first, again = run(rows, structure=structure), run(rows, structure=structure)
    for name in ("evidence", "conditional", "drawn", "bma_loss", "gibbs_loss", "map_loss", "offset"):
        assert getattr(first, name) == getattr(again, name), name
    other = run(rows, width=5, structure=structure)
    assert np.array_equal(first.held_out.ids, other.held_out.ids)
    assert not np.array_equal(first.held_out.ids, run(rows, seed=1, structure=structure).held_out.ids)
    assert first.evidence != other.evidence
    losses = torch.stack([first.held_out.bma_losses, other.held_out.bma_losses])
    assert losses.mean(1).tolist() == pytest.approx([first.bma_loss, other.bma_loss])
    chances = chance_of_best(resampled_means(losses, first.held_out.clusters), "lower")
    assert chances.sum().item() == pytest.approx(1)
    assert chances.argmax().item() == losses.mean(1).argmin().item()


def test_draws_go_through_the_linearised_network_unless_another_way_is_asked_for() -> None:
    rows = classes()
    plain, network = run(rows, width=20, structure="full"), run(rows, width=20, structure="full", way="network")
    assert (plain.evidence, plain.conditional, plain.map_loss) == (
        network.evidence,
        network.conditional,
        network.map_loss,
    )
    assert plain.gibbs_loss < 0.8 * network.gibbs_loss  # a network with a hidden layer is far off at such draws
    assert plain.bma_loss != network.bma_loss


def test_what_is_held_out_moves_nothing_that_is_learned_from_the_others() -> None:
    """Held-out targets moved up and down by one: the loss at an unmoved mode changes by second differences of 1/σ²."""
    posterior, rows, start = linear()
    held = torch.from_numpy(np.isin(rows.ids, part_rows(rows, 0.8, 0).later.ids))
    settings = CriteriaSettings(draws=5, structure="full")
    down, plain, up = (
        criteria_of(posterior, rows.with_targets(rows.targets + step * held), start, 0, CLIMB, settings)
        for step in (-1.0, 0.0, 1.0)
    )
    assert down.known_offset == plain.known_offset == up.known_offset
    assert down.evidence != plain.evidence != up.evidence
    second = up.held_out.map_losses + down.held_out.map_losses - 2 * plain.held_out.map_losses
    torch.testing.assert_close(second, torch.full_like(second, NOISE**-2), rtol=0, atol=1e-12)


def test_no_source_or_cluster_is_on_both_sides() -> None:
    count = 90
    generator = torch.Generator().manual_seed(2)
    inputs = torch.randn(count, 2, generator=generator)
    sources: Names = np.array([[f"photo {row // 3}"] for row in range(count)])
    clusters = torch.stack([torch.arange(count) // 3 // 5, torch.arange(count)], dim=1)
    targets = torch.randint(2, (count,), generator=generator)
    for rows, width in (
        (make_rows(inputs, targets, sources=sources), 3),
        (make_rows(inputs, targets, sources=sources, clusters=clusters), 15),
        (make_rows(inputs, inputs[:, 0].clone(), classes=(), sources=sources), 3),
    ):
        known, later = part_rows(rows, 0.7, 0)
        assert sorted([*known.ids, *later.ids]) == sorted(rows.ids)
        assert not known.origins() & later.origins()
        of = {name: number // width for number, name in enumerate(rows.ids.tolist())}
        assert not {of[name] for name in known.ids.tolist()} & {of[name] for name in later.ids.tolist()}
        assert abs(len(known) - 63) <= width
    shuffled = make_rows(inputs, targets, sources=sources).take(torch.randperm(count, generator=generator))
    assert set(part_rows(shuffled, 0.7, 0).known.ids) == set(
        part_rows(make_rows(inputs, targets, sources=sources), 0.7, 0).known.ids
    )
    one = make_rows(inputs, targets, clusters=torch.zeros(count, 1, dtype=torch.int64))
    with pytest.raises(InputError, match="must stay together"):
        part_rows(one, 0.7, 0)
    with pytest.raises(InputError, match="share is 1"):
        part_rows(shuffled, 1.0, 0)


def test_the_split_is_stratified_by_class() -> None:
    rows = make_rows(torch.randn(100, 2, generator=torch.Generator().manual_seed(0)), torch.tensor([0] * 80 + [1] * 20))
    for seed in range(8):  # by chance, eight times with probability 1e-5
        known, later = part_rows(rows, 0.8, seed)
        assert known.targets.bincount().tolist() == [64, 16]
        assert later.targets.bincount().tolist() == [16, 4]


def test_findings_say_which_way_is_better_and_how_sure_they_are() -> None:
    rows = classes()
    found = run(rows)
    findings = {finding.name: finding for finding in found.as_findings("mlp 4")}
    assert {name: finding.direction for name, finding in findings.items()} == {
        "evidence": "higher",
        "conditional_evidence": "higher",
        "conditional_evidence_by_draws": "higher",
        "effective_draws": "none",
        "bma_loss": "lower",
        "map_loss": "lower",
        "gibbs_loss": "lower",
        "offset_from_mode": "none",
        "known_offset_from_mode": "none",
    }
    assert (findings["evidence"].count, findings["conditional_evidence"].count) == (60, found.held)
    assert {finding.subject for finding in findings.values()} == {"mlp 4"}
    for name in ("bma_loss", "map_loss", "gibbs_loss"):
        interval = findings[name].interval
        assert interval is not None
        assert 0 <= interval.low < getattr(found, name) < interval.high
        assert findings[name].value == getattr(found, name)
    assert findings["evidence"].interval is None
    doubled = replace(found.held_out, clusters=torch.arange(found.held)[:, None] // 2)
    assert replace(found, held_out=doubled).as_findings("m")[1].clusters == (found.held + 1) // 2


def test_clusters_are_counted_of_the_rows_that_a_finding_is_of() -> None:
    """Fifty rows in ten clusters, of which eight are conditioned on; in a second way they are twenty-five."""
    posterior, rows, start = linear(rows=50)
    number = torch.arange(50)
    ways = torch.stack([number // 5, number // 2], dim=1)
    whole = replace(rows, clusters=ways)
    found = criteria_of(posterior, whole, start, 0, CLIMB, CriteriaSettings(draws=4, structure="full"))
    known, later = part_rows(whole, 0.8, 0)
    of = {name: int(name.rpartition(":")[2]) // 5 for name in whole.ids.tolist()}
    counted = [len({of[name] for name in each.ids.tolist()}) for each in (whole, known, later)]
    assert counted[0] == 10
    assert 1 < counted[2] < counted[1] < 10
    findings = {each.name: (each.count, each.clusters) for each in found.as_findings("m")}
    assert findings["evidence"] == findings["offset_from_mode"] == (50, counted[0])
    assert findings["known_offset_from_mode"] == (len(known), counted[1])
    assert findings["conditional_evidence"] == findings["map_loss"] == (len(later), counted[2])


@pytest.mark.parametrize("tuned", [False, True])
def test_the_parts_of_both_evidences_are_kept_and_other_structures_are_asked_for(tuned: bool) -> None:
    """By expansions made anew, at the precision that each evidence has; fit is the likelihood of the mode by scipy."""
    posterior, rows, start = linear()
    settings = CriteriaSettings(draws=4, structure="full", tune=tuned, others=("kron", "diag"))
    found = criteria_of(posterior, rows, start, 0, CLIMB, settings)
    assert (found.part, found.kind, found.anatomy.parameters) == ("all", "ggn", 3)
    expansion = expand(posterior, rows, found.mode, structure="full")
    best = tune(expansion, ("precision", "noise"), optimiser="lbfgs") if tuned else None
    precision = PRECISION if best is None else float(best.precisions[0])
    noise = NOISE if best is None or best.noise is None else best.noise
    assert found.anatomy.evidence == pytest.approx(found.evidence, abs=1e-9)
    misses = rows.targets - rows.inputs[:] @ found.mode["0.weight"][0]
    assert found.anatomy.fit == pytest.approx(stats.norm(scale=noise).logpdf(misses.numpy()).sum(), abs=1e-6)
    for moved, factor in ((found.anatomy.lower, 0.1), (found.anatomy.higher, 10.0)):
        assert moved == pytest.approx(evidence_of(expansion, precision * factor, noise=noise).item(), abs=1e-6)
    known = part_rows(rows, 0.8, 0).known
    part = expand(posterior, known, ascend(posterior, known, start, 0, CLIMB).point(), structure="full")
    given = tune(part, ("precision", "noise"), optimiser="lbfgs") if tuned else None
    at = (PRECISION, NOISE) if given is None else (float(given.precisions[0]), given.noise)
    assert found.known_anatomy.evidence == pytest.approx(evidence_of(part, at[0], noise=at[1]).item(), abs=1e-6)
    if not tuned:
        assert found.evidence - found.known_anatomy.evidence == pytest.approx(found.conditional, abs=1e-9)
    assert set(found.by_structure) == {"kron", "diag"}
    for structure, value in found.by_structure.items():
        again = expand(posterior, rows, found.mode, structure=structure)
        assert value == pytest.approx(evidence_of(again, precision, noise=noise).item(), abs=1e-6)
    assert found.by_structure["diag"] < found.evidence, "a diagonal has the larger determinant"


def test_no_more_than_two_expansions_are_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """When another structure is expanded both are gone, and the draws of the first are gone when the second is made."""
    rows = classes()
    made: list[weakref.ref[object]] = []
    alive: list[int] = []

    def noted(found: object) -> object:
        alive.append(sum(each() is not None for each in made))
        made.append(weakref.ref(found))
        return found

    monkeypatch.setattr(criteria_module, "expand", lambda *given, **told: noted(expand(*given, **told)))
    monkeypatch.setattr(criteria_module, "draw_expansion", lambda *given, **told: noted(draw_expansion(*given, **told)))
    monkeypatch.setattr(structures_module, "expand", lambda *given, **told: noted(expand(*given, **told)))
    run(rows, structure="kron", others=("full", "diag"))
    assert alive == [0, 1, 1, 0, 0], "the first, its draws, the second, and each other one"


def test_losses_of_a_density_may_be_negative() -> None:
    posterior, rows, start = linear()
    sharp = replace(posterior, likelihood=GaussianNoise(1e-3))
    exact = rows.with_targets(rows.inputs[:].sum(1))
    found = criteria_of(sharp, exact, start, 0, replace(CLIMB, epochs=40), CriteriaSettings(draws=5))
    finding = next(each for each in found.as_findings("sharp") if each.name == "map_loss")
    assert finding.value < -5
    assert finding.interval is not None
    assert finding.interval.low < finding.value < finding.interval.high


def test_the_richest_structure_that_can_be_had_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = make_rows(torch.zeros(10, 64), torch.zeros(10, dtype=torch.int64))
    small = Posterior(build_mlp(64, 20, 10, seed=0), categorical, Gaussian(1.0))
    large = Posterior(build_mlp(64, 100, 10, seed=0), categorical, Gaussian(1.0))
    normed = nn.Sequential(nn.Linear(64, 100), nn.LayerNorm(100), nn.Linear(100, 10))
    assert richest_structure(small, rows) == "full"
    assert richest_structure(large, rows) == "kron"
    assert richest_structure(large, rows, "head") == "full"
    assert richest_structure(Posterior(Network(normed, "2"), categorical, Gaussian(1.0)), rows) == "diag"
    monkeypatch.setattr("surefoot.evidence.structures.available_memory", lambda: 1000)
    assert richest_structure(small, rows) == "diag"


def test_what_has_no_evidence_and_settings_out_of_range_are_refused() -> None:
    rows = classes()
    posterior = Posterior(build_linear(3, 2, seed=0), categorical, Gaussian(1.0))
    start = parameters_of(posterior.network)
    with pytest.raises(InputError, match="no evidence"):
        criteria_of(replace(posterior, posterior_temperature=0.5), rows, start, 0, CLIMB)
    with pytest.raises(InputError, match="no evidence"):
        criteria_of(posterior, replace(rows, weights=rows.weights * 2), start, 0, CLIMB)
    with pytest.raises(InputError, match="share"):
        CriteriaSettings(share=0.0)
    with pytest.raises(InputError, match="draws"):
        CriteriaSettings(draws=1)

"""Agreement by whether the supervisor is right, simulated mistakes, neighbours, equivalent sizes."""

import math
import subprocess
import sys

import pytest
import torch

from surefoot.errors import InputError
from surefoot.findings.predictions import Predictions, predictions_for
from surefoot.rows.rows import Rows, make_rows
from surefoot.supervise import neighbours as module
from surefoot.supervise.disagreement import disagreement, supervisor_agreement
from surefoot.supervise.equivalent import equivalent_size
from surefoot.supervise.labels import WeakLabels, weak_labels
from surefoot.supervise.neighbours import caught, filtered, nearest, relabelled, trust
from surefoot.supervise.simulate import simulated_labels


def rows_of(count: int, seed: int = 0) -> Rows:
    generator = torch.Generator().manual_seed(seed)
    targets = torch.randint(2, (count,), generator=generator)
    return make_rows(torch.arange(count, dtype=torch.float32)[:, None], targets, classes=("no", "yes"))


def said(rows: Rows, *classes: torch.Tensor, sure: float = 0.9) -> Predictions:
    one_hot = torch.nn.functional.one_hot(torch.stack(classes), 2).double()
    return predictions_for(rows, one_hot * sure + (1 - one_hot) * (1 - sure))


def flipped(rows: Rows, share: float, seed: int) -> torch.Tensor:
    wrong = torch.rand(len(rows), generator=torch.Generator().manual_seed(seed)) < share
    return torch.where(wrong, 1 - rows.targets, rows.targets)


def test_by_hand_for_seeds_with_other_supervisors() -> None:
    rows = rows_of(300)
    weak = [flipped(rows, 0.3, 1), flipped(rows, 0.2, 2)]
    student = [flipped(rows, 0.1, 3), flipped(rows, 0.15, 4)]
    found = {each.name: each for each in disagreement(said(rows, *weak), said(rows, *student), source="judge")}
    wants: dict[str, list[float]] = {name: [] for name in found}
    for w, s in zip(weak, student, strict=True):
        same, right = w == s, w == rows.targets
        wants["supervisor_agreement"].append(same.double().mean().item())
        wants["agreement_with_right_labels"].append(same[right].double().mean().item())
        wants["agreement_with_wrong_labels"].append(same[~right].double().mean().item())
        own = (s == rows.targets)[~same].double()
        wants["right_in_disagreement"].append(own.mean().item())
        wants["overconfidence_in_disagreement"].append(0.9 - own.mean().item())
    for name, want in wants.items():
        assert found[name].per_seed == pytest.approx(want)
        assert found[name].value == pytest.approx(sum(want) / 2)


@pytest.mark.slow
@pytest.mark.parametrize("seeds", [1, 3])
def test_the_interval_of_agreement_with_wrong_labels_covers(seeds: int) -> None:
    """The student repeats a mistake with chance .35; 600 draws of 250 rows, a true .95 is below .92 once in 500."""
    covered = 0
    for draw in range(600):
        rows = rows_of(250, seed=draw)
        generator = torch.Generator().manual_seed(10_000 + draw)
        weak, student = [], []
        for seed in range(seeds):
            w = flipped(rows, 0.3, 7 * draw + seed)
            chance = torch.where(w == rows.targets, 0.9, 0.35)
            keep = torch.rand(250, generator=generator) < chance
            weak.append(w)
            student.append(torch.where(keep, w, 1 - w))
        found = {each.name: each for each in disagreement(said(rows, *weak), said(rows, *student), source="judge")}
        interval = found["agreement_with_wrong_labels"].interval
        assert interval is not None
        covered += interval.low <= 0.35 <= interval.high
    assert covered / 600 > 0.92


def test_a_supervisor_without_mistakes_has_none_to_repeat() -> None:
    rows = rows_of(40)
    names = [each.name for each in disagreement(said(rows, rows.targets), said(rows, rows.targets), source="judge")]
    assert names == ["supervisor_agreement", "agreement_with_right_labels"]


def test_agreement_reads_no_truth() -> None:
    rows = rows_of(40)
    other = rows.with_targets(1 - rows.targets)
    weak, student = flipped(rows, 0.3, 1), flipped(rows, 0.2, 2)
    one = supervisor_agreement(said(rows, weak), said(rows, student), source="judge")
    assert one == supervisor_agreement(said(other, weak), said(other, student), source="judge")
    with pytest.raises(InputError, match="different rows"):
        supervisor_agreement(said(rows, weak), said(rows_of(41), torch.zeros(41).long()), source="judge")


@pytest.mark.parametrize("structure", ["even", "confused", "hard", "easy", "copied"])
@pytest.mark.parametrize("accuracy", [0.0, 0.35, 0.8, 1.0])
def test_simulated_labels_have_their_accuracy(structure: str, accuracy: float) -> None:
    generator = torch.Generator().manual_seed(5)
    targets = torch.randint(3, (101,), generator=generator)
    reference = torch.randn(101, 3, generator=generator).mul(2).softmax(dim=1)
    labels = simulated_labels(targets, 3, accuracy, structure, 0, reference=reference)
    assert int((labels == targets).sum()) == int(accuracy * 101 + 0.5)
    assert set(labels.tolist()) <= {0, 1, 2}


def test_which_rows_are_wrong() -> None:
    generator = torch.Generator().manual_seed(6)
    targets = torch.randint(3, (400,), generator=generator)
    reference = torch.randn(400, 3, generator=generator).mul(2).softmax(dim=1)
    truth = reference.gather(1, targets[:, None])[:, 0]
    mistaken = reference.argmax(dim=1) != targets
    wrong = {
        name: simulated_labels(targets, 3, 0.9, name, 0, reference=reference) != targets
        for name in ("hard", "easy", "copied")
    }
    assert truth[wrong["hard"]].max() < truth[~wrong["hard"]].min()
    assert truth[wrong["easy"]].min() > truth[~wrong["easy"]].max()
    assert bool(mistaken[wrong["copied"]].all())
    few = simulated_labels(targets, 3, 0.05, "copied", 0, reference=reference)
    assert bool((few != targets)[mistaken].all())
    assert torch.equal(few[mistaken], reference.argmax(dim=1)[mistaken])
    with pytest.raises(InputError, match="need a reference"):
        simulated_labels(targets, 3, 0.9, "hard", 0)


def test_confused_classes_are_those_of_the_reference_on_any_of_their_rows() -> None:
    """The reference takes 0 for 1 on a tenth of its rows, 1 for 2 on three tenths, and is never wrong about 2."""
    targets = torch.arange(3).repeat_interleave(2000)
    decided = targets.clone()
    decided[:200], decided[2000:2600] = 1, 2
    reference = torch.nn.functional.one_hot(decided, 3).double()
    labels = simulated_labels(targets, 3, 1 - 200 / 6000, "confused", 0, reference=reference)
    wrong = labels != targets
    assert set(labels[wrong & (targets == 0)].tolist()) == {1}
    assert set(labels[wrong & (targets == 1)].tolist()) == {2}
    assert not bool(wrong[targets == 2].any())
    # Weights 1 : 3 for 200 picks: 50 and 150, with a standard deviation of 6.
    assert 30 < int(wrong[targets == 0].sum()) < 70
    # Not on the rows that the reference is wrong about: a tenth of class 0's and three tenths of class 1's by chance.
    there = decided != targets
    assert int((wrong & there).sum()) < 80  # 50 expected, with a standard deviation of 6


def test_neighbours_are_those_of_all_distances(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BLOCK_NUMBERS", 500)  # several blocks
    points = torch.randn(90, 5, generator=torch.Generator().manual_seed(1), dtype=torch.float64) + 100
    found = nearest(points, 4)
    apart = torch.cdist(points, points).fill_diagonal_(math.inf)
    want = apart.sort(dim=1)
    assert torch.equal(found.rows, want.indices[:, :4])
    assert torch.allclose(found.distances, want.values[:, :4], atol=1e-9)


def test_neighbours_of_close_rows_far_from_zero_are_not_those_of_rounding() -> None:
    """In float32 the squares here are 1e4 with a rounding of 1e-3, and distances differ by 1e-4."""
    generator = torch.Generator().manual_seed(2)
    clouds = torch.randn(20, 1, 6, generator=generator) * 40
    points = (clouds + 0.01 * torch.randn(20, 8, 6, generator=generator)).reshape(160, 6)
    found = nearest(points, 3)
    apart = torch.cdist(points.double(), points.double(), compute_mode="donot_use_mm_for_euclid_dist")
    want = apart.fill_diagonal_(math.inf).sort(dim=1, stable=True)
    assert torch.equal(found.rows, want.indices[:, :3])
    assert torch.allclose(found.distances, want.values[:, :3], rtol=1e-6)


def test_of_equal_rows_the_first_and_never_itself() -> None:
    found = nearest(torch.ones(12, 2), 3)
    assert not bool((found.rows == torch.arange(12)[:, None]).any())
    assert found.rows[5].tolist() == [0, 1, 2]
    assert found.rows[1].tolist() == [0, 2, 3]


@pytest.mark.parametrize("kind", [torch.float32, torch.float64])
def test_of_many_equal_rows_the_first_as_well(kind: torch.dtype) -> None:
    """More of them than there are candidates from rounded products; the others' nearest are among them too."""
    points = torch.randn(60, 40, generator=torch.Generator().manual_seed(4)).to(kind)
    points = torch.cat([points[:5], points[5:6].expand(70, -1), points[6:]])
    apart = torch.cdist(points.double(), points.double(), compute_mode="donot_use_mm_for_euclid_dist")
    want = apart.fill_diagonal_(math.inf).sort(dim=1, stable=True)
    found = nearest(points, 6)
    assert torch.equal(found.rows, want.indices[:, :6])
    assert torch.allclose(found.distances, want.values[:, :6], rtol=1e-6)


@pytest.mark.slow
def test_ten_thousand_rows_take_tens_of_megabytes() -> None:
    """The matrix of all pairs takes 400 MB in float32; measured in a process of its own, whose peak is its own."""
    program = """
import resource, torch
from surefoot.supervise.neighbours import nearest
torch.set_num_threads(1)
points = torch.randn(10_000, 384, generator=torch.Generator().manual_seed(0))
nearest(points[:50], 3)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
nearest(points, 10)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert int(done.stdout) / 1024 < 150


def test_caught_counts_rows_by_name() -> None:
    rows = rows_of(50)
    opinion = torch.nn.functional.one_hot(flipped(rows, 0.3, 9), 2).double()
    weak = weak_labels(rows, opinion, seen=frozenset(), by="w")
    wrong = weak.rows.targets.argmax(dim=1) != rows.targets
    order = torch.randperm(50, generator=torch.Generator().manual_seed(1))[:35]
    found = caught(weak, WeakLabels(weak.rows.take(order), weak.seen, "kept"), rows.targets)
    out = torch.ones(50, dtype=torch.bool)
    out[order] = False
    assert found.left_out == pytest.approx(0.3)
    assert found.wrong == pytest.approx(wrong.double().mean().item())
    assert found.precision == pytest.approx((wrong & out).sum().item() / 15)
    assert found.recall == pytest.approx((wrong & out).sum().item() / wrong.sum().item())
    nothing = caught(weak, weak, rows.targets)
    assert math.isnan(nothing.precision)
    assert nothing.recall == 0
    with pytest.raises(InputError, match="not among the labels"):
        caught(WeakLabels(weak.rows.take(torch.arange(9)), weak.seen, "w"), weak, rows.targets[:9])
    with pytest.raises(InputError, match="49 true classes"):
        caught(weak, weak, rows.targets[1:])


def test_a_wrong_label_does_not_vote_for_itself() -> None:
    """Two clouds; one row of the first has the second's label."""
    points = torch.cat([torch.linspace(0, 1, 10), torch.linspace(50, 51, 10)])[:, None]
    labels = torch.tensor([[1.0, 0.0]] * 10 + [[0.0, 1.0]] * 10)
    labels[3] = torch.tensor([0.0, 1.0])
    weak = weak_labels(make_rows(points, torch.tensor([0] * 10 + [1] * 10)), labels, seen=frozenset({"w"}), by="w")
    near = nearest(points, 3)
    assert relabelled(weak, near).rows.targets[3].tolist() == [1.0, 0.0]
    assert trust(weak, near)[3].item() == pytest.approx(0.0)
    kept = filtered(weak, near, 0.9)
    assert "row 3" not in kept.rows.ids.tolist()
    assert len(kept.rows) == 18
    assert kept.seen == frozenset({"w"})
    with pytest.raises(InputError, match="k is 20"):
        nearest(points, 20)


def test_filtering_keeps_the_most_trusted_of_each_labelled_class() -> None:
    """Forty rows called 0, ten called 1, trusted in a known order; over all, most of the second would be left out."""
    generator = torch.Generator().manual_seed(7)
    rows = rows_of(50)
    said_ = torch.cat([torch.zeros(40), torch.ones(10)]).long()[torch.randperm(50, generator=generator)]
    sure = 0.55 + 0.4 * torch.rand(50, generator=generator, dtype=torch.float64)
    weak = weak_labels(
        rows, torch.where(said_[:, None] == torch.arange(2), sure[:, None], 1 - sure[:, None]), seen=frozenset(), by="w"
    )
    near = nearest(torch.randn(50, 3, generator=generator), 5)
    trusted = trust(weak, near)
    assert trusted.tolist() == pytest.approx(
        [1 - (weak.rows.targets[row] - weak.rows.targets[near.rows[row]].mean(dim=0)).abs().sum().item() / 2
         for row in range(50)], abs=1e-6,
    )  # fmt: skip
    kept = filtered(weak, near, 0.5).rows.ids.tolist()
    stays = torch.tensor([name in kept for name in rows.ids.tolist()])
    for each, count in ((0, 20), (1, 5)):
        own = said_ == each
        assert int((stays & own).sum()) == count
        assert trusted[stays & own].min() >= trusted[~stays & own].max()
    assert kept == [name for name in rows.ids.tolist() if name in kept]  # in their old order


@pytest.mark.parametrize("structure", ["even", "confused", "easy", "copied"])
def test_a_seed_draws_mistakes_of_its_own_and_the_same_again(structure: str) -> None:
    generator = torch.Generator().manual_seed(8)
    targets = torch.randint(4, (300,), generator=generator)
    reference = torch.randn(300, 4, generator=generator).softmax(dim=1)
    one, again, other = (simulated_labels(targets, 4, 0.6, structure, seed, reference=reference) for seed in (1, 1, 2))
    assert torch.equal(one, again)
    assert not torch.equal(one, other)


def test_equivalent_sizes() -> None:
    sizes, accuracies = [1.0, 10.0, 100.0, 1000.0], [0.5, 0.7, 0.66, 0.9]  # the third is worse than the second
    assert equivalent_size(sizes, accuracies, 0.59).size == pytest.approx(10**0.5)
    assert equivalent_size(sizes, accuracies, 0.79).size == pytest.approx(100 * 10**0.5, rel=1e-6)
    assert equivalent_size(sizes[::-1], accuracies[::-1], 0.59).size == pytest.approx(10**0.5)
    assert equivalent_size(sizes, accuracies, 0.4).beyond == "−"
    with pytest.raises(InputError, match="two different sizes"):
        equivalent_size([1.0, 1.0], [0.5, 0.6], 0.5)

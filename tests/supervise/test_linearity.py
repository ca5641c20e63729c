"""Linear probes of bodies: against closed-form problems, other probes, and what must not change them."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from surefoot.errors import InputError
from surefoot.rows.rows import Rows, make_rows
from surefoot.supervise.linearity import Body, linearity, probe_answers


def rows_of(points: torch.Tensor, targets: torch.Tensor, name: str) -> Rows:
    ids = np.array([f"{name} {place}" for place in range(len(points))])
    return make_rows(points, targets, ids=ids, classes=("in", "out"))


def ring(count: int, seed: int, name: str) -> Rows:
    """Inside or outside of a circle that halves a normal cloud: radius² is χ² with two degrees of freedom."""
    points = torch.randn(count, 2, generator=torch.Generator().manual_seed(seed))
    return rows_of(points, (points.square().sum(dim=1) > 1.3863).long(), name)


def as_they_are(rows: Rows) -> torch.Tensor:
    return rows.inputs[:]


def squared(rows: Rows) -> torch.Tensor:
    return rows.inputs[:].square()


def test_a_ring_is_linear_in_squares_and_not_in_points() -> None:
    learn, judge = ring(400, 0, "learn"), ring(600, 1, "judge")
    before = Body("points", as_they_are(learn)[None], as_they_are(judge)[None])
    after = Body("squares", squared(learn)[None], squared(judge)[None])
    found = {(each.name, each.subject): each for each in linearity(before, [after], learn, judge, source="judge")}
    points, squares = found["linear_accuracy", "points"], found["linear_accuracy", "squares"]
    assert 0.45 < points.value < 0.66  # the best line cuts off one side: .62
    assert squares.value > 0.95
    gained = found["linear_accuracy_gained", "squares − points"]
    assert gained.value == pytest.approx(squares.value - points.value)
    assert gained.interval is not None
    assert gained.interval.low > 0.3
    assert gained.interval.low < gained.value < gained.interval.high
    assert (gained.count, gained.source, gained.per_seed) == (600, "judge", ())


def test_a_probe_is_that_of_another_library() -> None:
    """One penalty λ of standardised features is C = 1 / (n λ)."""
    generator = torch.Generator().manual_seed(3)
    points = torch.randn(500, 4, generator=generator, dtype=torch.float64) * torch.tensor([1.0, 5.0, 0.2, 1.0])
    chance = (points[:, 0] + 0.3 * points[:, 1]).sigmoid()
    targets = (torch.rand(500, generator=generator) < chance).long()
    learn, judge = rows_of(points[:300], targets[:300], "learn"), rows_of(points[300:], targets[300:], "judge")
    body = Body("b", points[None, :300], points[None, 300:])
    said = probe_answers(body, learn, judge, penalties=(0.02,)).probabilities[0, :, 1]
    spread, middle = torch.std_mean(points[:300], dim=0, correction=0)
    standard = ((points - middle) / spread).numpy()
    # Two classes with a weight each: the penalty on their difference is half of that on one.
    other = LogisticRegression(C=1 / (300 * 0.01), tol=1e-10, max_iter=1000).fit(standard[:300], targets[:300].numpy())
    want = torch.from_numpy(other.predict_proba(standard[300:])[:, 1])
    assert float((said - want).abs().max()) < 0.01


def test_scale_and_shift_of_features_hardly_matter() -> None:
    learn, judge = ring(200, 4, "learn"), ring(300, 5, "judge")
    plain = Body("b", squared(learn)[None], squared(judge)[None])
    moved = Body("b", squared(learn)[None] * 100 + 7, squared(judge)[None] * 100 + 7)
    one, two = (probe_answers(each, learn, judge, penalties=(1e-2,)).probabilities for each in (plain, moved))
    assert float((one - two).abs().max()) < 0.02


def test_the_penalty_is_chosen_without_the_judge() -> None:
    """Sixty noise features and eighty rows: a strong penalty is better, on the probe's own rows too."""
    generator = torch.Generator().manual_seed(6)
    points = torch.randn(680, 60, generator=generator)
    targets = (points[:, :3].sum(dim=1) + 1.5 * torch.randn(680, generator=generator) > 0).long()
    learn, judge = rows_of(points[:80], targets[:80], "learn"), rows_of(points[80:], targets[80:], "judge")
    body = Body("b", points[None, :80], points[None, 80:])

    def loss(*penalties: float) -> float:
        said = probe_answers(body, learn, judge, penalties=penalties)
        return -float(said.probabilities[0].gather(1, judge.targets[:, None]).log().mean())

    weak, strong = loss(1e-5), loss(0.3)
    assert strong < weak - 0.1
    assert loss(1e-5, 0.3) == strong
    upside_down = judge.with_targets(1 - judge.targets)
    same = probe_answers(body, learn, upside_down, penalties=(1e-5, 0.3)).probabilities
    assert torch.equal(same, probe_answers(body, learn, judge, penalties=(1e-5, 0.3)).probabilities)


def test_seeds_have_probes_of_their_own() -> None:
    learn, judge = ring(200, 7, "learn"), ring(300, 8, "judge")
    both = Body("b", *(torch.stack([as_they_are(rows), squared(rows)]) for rows in (learn, judge)))
    found = linearity(both, [both], learn, judge, source="judge", penalties=(1e-2,))
    alone = [
        float(
            probe_answers(Body("b", make(learn)[None], make(judge)[None]), learn, judge, penalties=(1e-2,))
            .correct()
            .mean()
        )
        for make in (as_they_are, squared)
    ]
    assert found[0].per_seed == pytest.approx(alone)
    assert found[0].value == pytest.approx(sum(alone) / 2)
    assert found[2].value == 0


def test_refusals() -> None:
    learn, judge = ring(40, 9, "learn"), ring(50, 10, "judge")
    body = Body("b", squared(learn)[None], squared(judge)[None])
    with pytest.raises(InputError, match="the probe learns from"):
        linearity(Body("b", squared(learn)[None], squared(learn)[None]), [], learn, learn, source="judge")
    with pytest.raises(InputError, match="features of those"):
        probe_answers(body, learn, learn)
    with pytest.raises(InputError, match="no penalty"):
        probe_answers(body, learn, judge, penalties=())
    with pytest.raises(InputError, match="as many seeds"):
        Body("b", squared(learn)[None], squared(judge)[None, :, :1])

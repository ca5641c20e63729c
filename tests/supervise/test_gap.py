"""The recovered gap: values by hand, coverage in simulation, and no ratio where there is no gap."""

import math

import pytest
import torch

from surefoot.errors import InputError
from surefoot.findings.predictions import Predictions, predictions_for
from surefoot.rows.rows import Rows, make_rows
from surefoot.supervise.gap import recovered_gap


def rows_of(count: int, clusters: torch.Tensor | None = None) -> Rows:
    inputs, targets = torch.arange(count, dtype=torch.float32)[:, None], torch.zeros(count, dtype=torch.int64)
    return make_rows(inputs, targets, classes=("no", "yes"), clusters=clusters)


def said(rows: Rows, right: torch.Tensor) -> Predictions:
    """right: `[seeds, rows]`, one where the model is right."""
    chosen = right.double()
    return predictions_for(rows, torch.stack([chosen, 1 - chosen], dim=2))


def first(rows: int, *counts: int) -> torch.Tensor:
    return torch.stack([torch.arange(rows) < count for count in counts])


def test_by_hand_with_seeds() -> None:
    """Three seeds: gaps of .30, .29 and .28, of which .15, .15 and .14 are gained."""
    rows = rows_of(200)
    found = recovered_gap(
        said(rows, first(200, 100, 101, 102)),
        said(rows, first(200, 130, 131, 130)),
        said(rows, first(200, 160, 159, 158)),
        source="judge",
    )
    assert found.gap.value == pytest.approx((0.3 + 0.29 + 0.28) / 3)
    assert found.gained.value == pytest.approx((0.15 + 0.15 + 0.14) / 3)
    assert found.recovered is not None
    assert found.recovered.value == pytest.approx(0.44 / 0.87)
    assert found.recovered.per_seed == pytest.approx((0.15 / 0.3, 0.15 / 0.29, 0.14 / 0.28))
    assert [each.name for each in found.findings] == ["accuracy", "accuracy", "gap_recovered"]


def test_two_seeds_that_differ_much_know_no_gap() -> None:
    """Gaps of .3 and .2, and a t quantile of 12.7."""
    rows = rows_of(200)
    models = (first(200, 100, 110), first(200, 130, 140), first(200, 160, 150))
    assert recovered_gap(*(said(rows, each) for each in models), source="judge").recovered is None


def test_imitation_is_nothing_and_the_ceiling_is_all() -> None:
    rows = rows_of(400)
    weak, ceiling = said(rows, first(400, 200)), said(rows, first(400, 360))
    for student, value in ((weak, 0.0), (ceiling, 1.0)):
        found = recovered_gap(weak, student, ceiling, source="judge").recovered
        assert found is not None
        assert found.interval is not None
        assert found.value == pytest.approx(value)
        assert found.interval.low < value < found.interval.high  # 400 rows that agree are not all rows
        assert found.interval.high - found.interval.low < 0.1


def test_noise_is_no_gap() -> None:
    """Accuracies like those of the published table that prints .81."""
    generator = torch.Generator().manual_seed(0)
    rows = rows_of(500)
    weak, student, ceiling = (
        said(rows, torch.rand(1, 500, generator=generator) < accuracy) for accuracy in (0.484, 0.497, 0.5)
    )
    found = recovered_gap(weak, student, ceiling, source="judge")
    assert found.recovered is None
    assert "no gap" in found.refused
    assert len(found.findings) == 2


def test_a_ceiling_below_the_weak_model_has_no_ratio() -> None:
    rows = rows_of(300)
    found = recovered_gap(
        said(rows, first(300, 280)), said(rows, first(300, 200)), said(rows, first(300, 100)), source="judge"
    )
    assert found.recovered is None
    assert "−60.0 points" in found.refused


def draw(rows: int, generator: torch.Generator, size: int = 1) -> tuple[torch.Tensor, ...]:
    """Three models with accuracies .6, .7, .85 that share a row's difficulty; clusters of `size` share theirs more."""
    shared = torch.randn(rows // size, 1, generator=generator).repeat_interleave(size, dim=0)[:, 0]
    found: list[torch.Tensor] = []
    for accuracy in (0.6, 0.7, 0.85):
        level = math.sqrt(2) * torch.erfinv(torch.tensor(2 * accuracy - 1.0)).item()
        own = torch.randn(rows, generator=generator)
        found.append((0.8 * shared + 0.6 * own < level)[None])
    return tuple(found)


@pytest.mark.slow
@pytest.mark.parametrize("size", [1, 5])
def test_the_interval_covers(size: int) -> None:
    """True ratio .4; 400 draws of 400 rows. A true rate of .95 falls below .92 once in 200 tests."""
    generator = torch.Generator().manual_seed(size)
    clusters = torch.arange(400 // size).repeat_interleave(size)[:, None] if size > 1 else None
    rows = rows_of(400, clusters)
    covered = given = 0
    for _ in range(400):
        weak, student, ceiling = (said(rows, each) for each in draw(400, generator, size=size))
        found = recovered_gap(weak, student, ceiling, source="judge").recovered
        if found is not None and found.interval is not None:
            given += 1
            covered += found.interval.low <= 0.4 <= found.interval.high
    assert given > 395
    assert covered / given > 0.92


def test_other_rows_and_seeds_are_refused() -> None:
    rows = rows_of(50)
    one, two = said(rows, first(50, 20)), said(rows, first(50, 20, 30))
    with pytest.raises(InputError, match="training seeds"):
        recovered_gap(one, two, one, source="judge")
    with pytest.raises(InputError, match="rows"):
        recovered_gap(one, one, said(rows_of(40), first(40, 30)), source="judge")

"""The soft-label head: optimum against independent references, stationarity, and what is refused."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from torch import Tensor

from surefoot.errors import InputError
from surefoot.supervise import soft_probe as module
from surefoot.supervise.soft_probe import fit_soft_probe
from surefoot.supervise.soft_rows import look, soft_rows


def some(rows: int, size: int, classes: int, seed: int = 0, sharp: float = 2.0) -> tuple[Tensor, Tensor]:
    """Correlated, off-centre features on unlike scales, and labels that hang on them."""
    generator = torch.Generator().manual_seed(seed)
    mix = torch.randn(size, size, generator=generator, dtype=torch.float64)
    features = torch.randn(rows, size, generator=generator, dtype=torch.float64) @ mix + 3
    features *= torch.logspace(-2, 2, size, dtype=torch.float64)
    truth = torch.randn(size, classes, generator=generator, dtype=torch.float64)
    standard = (features - features.mean(0)) / features.std(0)
    noise = torch.randn(rows, classes, generator=generator, dtype=torch.float64)
    return features, (sharp * (standard @ truth / size**0.5 + noise)).softmax(dim=1)


def objective(probe: module.SoftProbe, x: Tensor, y: Tensor, penalty: float) -> Tensor:
    """Of standardised features, by autograd's leave."""
    spread = x.std(dim=0, correction=0)
    weight = (probe.head.weight.double() * spread).requires_grad_()
    bias = (probe.head.bias.double() + probe.head.weight.double() @ x.mean(dim=0)).requires_grad_()
    logits = ((x - x.mean(dim=0)) / spread) @ weight.T + bias
    value = -(y * logits.log_softmax(dim=1)).sum(dim=1).mean() + 0.5 * penalty * weight.square().sum()
    value.backward()
    assert weight.grad is not None
    assert bias.grad is not None
    return torch.cat([weight.grad.flatten(), bias.grad]).abs().max()


@pytest.mark.parametrize(("rows", "size", "classes"), [(300, 5, 2), (400, 12, 7), (900, 30, 40)])
@pytest.mark.parametrize("penalty", [1e-3, 0.1])
def test_the_gradient_vanishes(rows: int, size: int, classes: int, penalty: float) -> None:
    x, y = some(rows, size, classes)
    probe = fit_soft_probe(x, y, penalty, tolerance=1e-14)
    assert objective(probe, x, y, penalty).item() < 1e-6
    assert probe.left <= 1e-14


def test_it_is_scikit_learns_optimum_of_weighted_copies() -> None:
    """A row for each class with the class's probability as its weight; C = 1/(n λ) on standardised features."""
    x, y = some(200, 6, 3)
    probe = fit_soft_probe(x, y, 0.01, tolerance=1e-13)
    spread = x.std(dim=0, correction=0)
    standard = ((x - x.mean(dim=0)) / spread).numpy()
    copies = np.repeat(standard, 3, axis=0)
    peer = LogisticRegression(C=1 / (200 * 0.01), tol=1e-10, max_iter=5000)
    peer.fit(copies, np.tile(np.arange(3), 200), sample_weight=y.numpy().flatten())
    assert np.allclose((probe.head.weight * spread).numpy(), peer.coef_, atol=2e-5)
    assert np.allclose(probe.head.probabilities(x).numpy(), peer.predict_proba(standard), atol=1e-6)


def test_float32_ends_where_float64_does() -> None:
    x, y = some(500, 10, 5)
    exact, single = (
        fit_soft_probe(x.to(kind), y.to(kind), 1e-3, tolerance=1e-9) for kind in (torch.float64, torch.float32)
    )
    assert single.loss == pytest.approx(exact.loss, abs=1e-5)
    assert torch.allclose(single.head.probabilities(x.float()).double(), exact.head.probabilities(x), atol=2e-3)


def test_it_stops_at_a_loss() -> None:
    x, y = some(600, 20, 10)
    best = fit_soft_probe(x, y, tolerance=1e-10)
    level = best.loss + 0.02
    early = fit_soft_probe(x, y, tolerance=1e-10, until=level)
    assert best.loss < early.loss <= level
    assert early.steps < best.steps


def test_without_features_that_say_anything_it_is_the_mean_label() -> None:
    generator = torch.Generator().manual_seed(3)
    y = torch.rand(50, 3, generator=generator, dtype=torch.float64)
    y /= y.sum(dim=1, keepdim=True)
    x = torch.ones(50, 2, dtype=torch.float64)
    probe = fit_soft_probe(x, y, 0.1, tolerance=1e-14)
    assert torch.allclose(probe.head.probabilities(x[:1])[0], y.mean(dim=0), atol=1e-6)
    assert bool(probe.head.weight.isfinite().all())


def test_the_scale_of_features_does_not_matter() -> None:
    x, y = some(300, 5, 4)
    one = fit_soft_probe(x, y, 0.05, tolerance=1e-13)
    other = fit_soft_probe(x * torch.tensor([1e3, 1e-3, 7.0, 1.0, 50.0]) - 12, y, 0.05, tolerance=1e-13)
    assert one.loss == pytest.approx(other.loss, abs=1e-9)


def test_separable_certain_labels_end() -> None:
    x = torch.linspace(-1, 1, 40, dtype=torch.float64)[:, None]
    y = torch.stack([(x[:, 0] < 0).double(), (x[:, 0] >= 0).double()], dim=1)
    probe = fit_soft_probe(x, y, tolerance=1e-6)
    assert probe.loss < 1e-2
    assert bool((probe.head.logits(x).argmax(1) == y.argmax(1)).all())


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda x, y: (x, torch.cat([2 * y[:1], y[1:]])), "1 rows of labels are no distribution .first: row 0"),
        (lambda x, y: (x, y.index_fill(0, torch.tensor([2]), float("nan"))), "first: row 2"),
        (lambda x, y: (x, torch.cat([y[:3], y.new_tensor([[1.5, -0.5]]), y[4:]])), "1 rows of labels .* row 3"),
        (lambda x, y: (x.index_fill(0, torch.tensor([1]), float("inf")), y), "not finite in 1 rows"),
        (lambda x, y: (x[:-1], y), "39 rows of features and 40 of labels"),
    ],
)
def test_what_is_refused(change: object, said: str) -> None:
    x, y = some(40, 3, 2)
    with pytest.raises(InputError, match=said):
        fit_soft_probe(*change(x, y))  # type: ignore[operator]
    with pytest.raises(InputError, match="penalty is -1"):
        fit_soft_probe(x, y, -1.0)


def test_rounded_products_end_where_exact_ones_do(monkeypatch: pytest.MonkeyPatch) -> None:
    """Products of bfloat16 first, as on a large problem and a machine that is fast at them."""
    x, y = some(700, 12, 6, sharp=1.0)
    x, y = x.float(), y.float()
    exact = fit_soft_probe(x, y, 1e-3, tolerance=1e-7)
    monkeypatch.setattr(module, "LARGE", 0.0)
    monkeypatch.setattr(module, "bfloat16_is_fast", lambda: True)
    rounded = fit_soft_probe(x, y, 1e-3, tolerance=1e-7)
    assert torch.allclose(rounded.head.probabilities(x), exact.head.probabilities(x), atol=2e-3)
    assert rounded.loss == pytest.approx(exact.loss, abs=1e-5)
    early = fit_soft_probe(x, y, 1e-3, until=exact.loss + 0.01)
    real = float(-(y.double() * early.head.logits(x).double().log_softmax(dim=1)).sum(dim=1).mean())
    assert exact.loss < real <= exact.loss + 0.01
    assert early.loss == pytest.approx(real, abs=module.ROUNDING)


def alike(kind: str) -> tuple[Tensor, Tensor]:
    """Labels of few different numbers, which rounding moves all one way: .9 of whoever is right, or five votes."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(4000, 40, generator=generator)
    z = 3 * x @ torch.randn(40, 30, generator=generator) / 40**0.5 + torch.randn(4000, 30, generator=generator)
    if kind == "smoothed":
        return x, torch.full((4000, 30), 0.1 / 29).scatter(1, z.argmax(dim=1)[:, None], 0.9)
    votes = torch.multinomial(z.softmax(dim=1), 5, replacement=True, generator=generator)
    return x, torch.nn.functional.one_hot(votes, 30).float().mean(dim=1)


@pytest.mark.parametrize("kind", ["smoothed", "votes"])
def test_the_loss_that_rounded_products_tell_is_that_of_the_rows(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Read as rounded labels alone, with weights that are rounded again, it was off by three thousandths."""
    x, y = alike(kind)
    best = fit_soft_probe(x, y, 1e-3)
    monkeypatch.setattr(module, "LARGE", 0.0)
    monkeypatch.setattr(module, "bfloat16_is_fast", lambda: True)
    for level in (0.02, 0.1):
        early = fit_soft_probe(x, y, 1e-3, until=best.loss + level)
        real = float(-(y.double() * early.head.logits(x).double().log_softmax(dim=1)).sum(dim=1).mean())
        assert early.loss == pytest.approx(real, abs=module.ROUNDING)
        assert real <= best.loss + level


def test_steps_are_of_weights_that_rounding_leaves(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else the labels' part of the loss is of other weights than the logits."""
    moved: list[float] = []
    plain = module._search

    def search(fit: module._Fit, way: Tensor, *, falling: float) -> float:
        if fit.rows.kept is not None:
            moved.append(float((fit.rows.seen(way[:, :-1]) - way[:, :-1]).abs().max() / way.abs().max()))
        return plain(fit, way, falling=falling)

    x, y = (each.float() for each in some(700, 12, 6, sharp=1.0))
    monkeypatch.setattr(module, "LARGE", 0.0)
    monkeypatch.setattr(module, "bfloat16_is_fast", lambda: True)
    monkeypatch.setattr(module, "_search", search)
    fit_soft_probe(x, y, 1e-3)
    assert moved
    assert max(moved) < 1e-6


def test_rounded_products_may_end_a_fit_only_with_room_for_their_rounding(monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = (each.float() for each in some(700, 12, 6, sharp=1.0))
    monkeypatch.setattr(module, "LARGE", 0.0)
    monkeypatch.setattr(module, "bfloat16_is_fast", lambda: True)
    level = fit_soft_probe(x, y, 1e-3, most_steps=0).loss + 1e-3
    assert fit_soft_probe(x, y, 1e-3, until=level).steps == 0
    monkeypatch.setattr(module, "ROUNDING", 2e-3)
    found = fit_soft_probe(x, y, 1e-3, until=level)
    assert found.steps > 0
    assert found.loss <= level


def test_where_bfloat16_is_slow_nothing_is_rounded(monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = (each.float() for each in some(300, 8, 4))
    exact = fit_soft_probe(x, y, 1e-3)
    monkeypatch.setattr(module, "LARGE", 0.0)
    monkeypatch.setattr(module, "bfloat16_is_fast", lambda: False)
    assert torch.equal(fit_soft_probe(x, y, 1e-3).head.weight, exact.head.weight)
    monkeypatch.setattr(module, "bfloat16_is_fast", lambda: True)
    assert not torch.equal(fit_soft_probe(x, y, 1e-3).head.weight, exact.head.weight)


def test_many_classes_begin_near_the_end() -> None:
    """Least squares, scaled class by class, leaves little of what no weights would leave."""
    x, y = some(4000, 20, 60)
    best = fit_soft_probe(x, y, 1e-4, tolerance=1e-9)
    start = fit_soft_probe(x, y, 1e-4, most_steps=0)
    mean = y.mean(dim=0)
    nothing = float(-(mean * mean.log()).sum())
    assert start.steps == 0
    assert start.loss - best.loss < 0.05 * (nothing - best.loss)


def test_what_is_read_from_rows_is_what_they_are() -> None:
    """C, second moments, logits and slopes of blocks against plain products of standardised features."""
    x, y = some(2300, 7, 5)
    mean, scale = x.mean(dim=0), x.std(dim=0, correction=0)
    rows = soft_rows(x, y, mean, scale, torch.float64)
    standard = (x - mean) / scale
    assert torch.allclose(rows.cross, y.T @ standard / 2300, atol=1e-12)
    assert torch.allclose(rows.moments(), standard.T @ standard / 2300, atol=1e-12)
    assert torch.allclose(rows.logits(rows.cross), standard @ rows.cross.T, atol=1e-12)
    assert torch.allclose(rows.crossed(y**2), (y**2).T @ standard / 2300, atol=1e-12)


def test_a_look_is_what_autograd_sees() -> None:
    generator = torch.Generator().manual_seed(0)
    logits, way = torch.randn(2, 30, 4, generator=generator, dtype=torch.float64)
    mass = torch.empty_like(logits)
    seen = look(logits, mass, way, 0.3)
    length = torch.tensor(0.3, dtype=torch.float64, requires_grad=True)
    value = (logits + length * way).logsumexp(dim=1).mean()
    (slope,) = torch.autograd.grad(value, length, create_graph=True)
    (curve,) = torch.autograd.grad(slope, length)
    said = (logits + 0.3 * way).softmax(dim=1)
    assert torch.allclose(mass, said)
    assert torch.allclose(seen.said, said.mean(dim=0))
    assert torch.allclose(seen.spread, (said - said**2).mean(dim=0))
    assert [seen.value, seen.slope, seen.curve] == pytest.approx([each.item() for each in (value, slope, curve)])


def test_rounded_products_of_many_classes_end_where_exact_ones_do(monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = some(1500, 10, 120, sharp=1.0)
    x, y = x.float(), y.float()
    exact = fit_soft_probe(x, y, 1e-3, tolerance=1e-7)
    monkeypatch.setattr(module, "LARGE", 0.0)
    monkeypatch.setattr(module, "bfloat16_is_fast", lambda: True)
    apart = fit_soft_probe(x, y, 1e-3, tolerance=1e-7)
    assert apart.steps < 100
    assert apart.loss == pytest.approx(exact.loss, abs=1e-5)
    assert torch.allclose(apart.head.probabilities(x), exact.head.probabilities(x), atol=1e-3)


def test_a_search_that_gives_up_leaves_what_it_says_of_where_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """One look a step, with which it is never content: the loss that is told is the head's all the same."""
    x, y = some(300, 6, 4)
    monkeypatch.setattr(module, "SEARCH", 1)
    monkeypatch.setattr(module, "SLOPE", 0.0)
    probe = fit_soft_probe(x, y, 1e-3, tolerance=0.0, most_steps=3)
    real = float(-(y * probe.head.logits(x).log_softmax(dim=1)).sum(dim=1).mean())
    assert probe.loss == pytest.approx(real, abs=1e-12)

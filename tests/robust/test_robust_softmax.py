"""Softmax heads against torch's autograd and optimisers, scikit-learn's optimum, and themselves streamed or resumed."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.optim.lr_scheduler import CosineAnnealingLR

from surefoot.errors import InputError
from surefoot.networks.tensor_file import TensorFile
from surefoot.robust.head import LinearHead
from surefoot.robust.softmax.fit import Fitted, converge, descend
from surefoot.robust.softmax.head import SoftmaxSettings, softmax_head
from surefoot.robust.softmax.slopes import Block, Workspace, blocks_of, fold, measure_scaling, slopes
from surefoot.robust.softmax.stream import StreamSettings, stream_accuracy, stream_head
from surefoot.rows.rows import Rows, cross_groups, make_rows

CLASSES = 5


def made(rows: int = 300, width: int = 12, *, dtype: torch.dtype = torch.float32, seed: int = 0) -> Block:
    """Classes around five centres; features of many scales, one of them constant."""
    generator = torch.Generator().manual_seed(seed)
    targets = torch.randint(CLASSES, (rows,), generator=generator)
    centres = 1.2 * torch.randn(CLASSES, width, generator=generator)
    features = (centres[targets] + torch.randn(rows, width, generator=generator)) * torch.logspace(-2, 2, width)
    features = features + 3 * torch.logspace(-2, 2, width)
    features[:, 3] = 0.1
    return Block(features.to(dtype), targets)


def standardised(features: Tensor) -> Tensor:
    wide = features.double()
    deviation = wide.std(dim=0, correction=0)
    constant = wide.amax(dim=0) == wide.amin(dim=0)
    return ((wide - wide.mean(dim=0)) / deviation.masked_fill(constant, 1.0)).masked_fill(constant, 0.0)


def reference_sgd(
    rows: Block, batches: list[Tensor], *, rate: float, decay: float, half_period: int, decay_bias: bool
) -> tuple[Tensor, Tensor]:
    """torch's linear layer, autograd, SGD and cosine schedule, in float64 on explicitly standardised features."""
    inputs = standardised(rows.features)
    layer = nn.Linear(inputs.shape[1], CLASSES, dtype=torch.float64)
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
    count = len(inputs)
    groups = [
        {"params": [layer.weight], "weight_decay": decay / count},
        {"params": [layer.bias], "weight_decay": decay / count if decay_bias else 0.0},
    ]
    optimiser = torch.optim.SGD(groups, lr=rate)
    schedule = CosineAnnealingLR(optimiser, half_period)
    for batch in batches:
        optimiser.zero_grad()
        cross_entropy(layer(inputs[batch]), rows.targets[batch]).backward()
        optimiser.step()
        schedule.step()
    return layer.weight.detach(), layer.bias.detach()


def descended(rows: Block, decays: tuple[float, ...] = (5.0,), **changes: Any) -> Fitted:
    settings: dict[str, Any] = {"steps": 60, "rate": 0.3, "decay_bias": False, "start": "zero"} | changes
    generator = torch.Generator().manual_seed(int(settings.pop("seed", 0)))
    return descend(rows, measure_scaling(rows.features), CLASSES, decays, generator=generator, **settings)


# --- one pass --------------------------------------------------------------------------------------


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("offset", [0.0, 1e4])
def test_slopes_are_autograds_on_explicitly_standardised_features(weighted: bool, offset: float) -> None:
    """An offset of 10⁴ deviations takes the other road, where each block is centred."""
    rows = made(dtype=torch.float64)
    features = rows.features + offset * torch.logspace(-2, 2, 12, dtype=torch.float64)
    weights = torch.rand(len(features), dtype=torch.float64) if weighted else None
    scaling = measure_scaling(features)
    assert scaling.centred == (offset > 0)
    generator = torch.Generator().manual_seed(1)
    weight = torch.randn(3, CLASSES, 12, generator=generator, dtype=torch.float64, requires_grad=True)
    bias = torch.randn(3, CLASSES, generator=generator, dtype=torch.float64, requires_grad=True)
    inputs = standardised(features)
    losses = torch.stack(
        [cross_entropy(inputs @ w.T + b, rows.targets, reduction="none") for w, b in zip(weight, bias, strict=True)]
    )
    total = losses.sum(dim=1) if weights is None else losses @ weights
    total.sum().backward()
    work = Workspace.of(scaling, 3, CLASSES, torch.float64)
    with torch.no_grad():
        slope = slopes(blocks_of(Block(features, rows.targets, weights), 70), weight, bias, work)
    assert weight.grad is not None
    weight.grad[:, :, 3] = 0  # the constant feature: standardised to zeros, up to rounding
    torch.testing.assert_close(slope.weight, weight.grad, rtol=1e-7, atol=1e-7)
    torch.testing.assert_close(slope.bias, bias.grad, rtol=1e-7, atol=1e-8)
    torch.testing.assert_close(slope.loss, total.detach(), rtol=1e-9, atol=0)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16])
def test_scaling_is_that_of_one_pass_over_everything(dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("surefoot.robust.softmax.slopes.STATISTICS_BLOCK", 7)
    features = made(dtype=dtype).features
    scaling = measure_scaling(features)
    wide = features.double()
    torch.testing.assert_close(scaling.mean, wide.mean(dim=0), rtol=1e-12, atol=0)
    expected = wide.std(dim=0, correction=0)
    expected[3] = float("inf")
    torch.testing.assert_close(scaling.scale, expected, rtol=1e-10, atol=0)


def test_variance_survives_a_large_mean() -> None:
    """Σz² − n·m² would lose every digit here."""
    features = 1e8 + torch.arange(10000, dtype=torch.float64)[:, None] % 2
    assert float(measure_scaling(features).scale) == pytest.approx(0.5, rel=1e-12)


def test_folded_head_gives_the_logits_of_standardised_features() -> None:
    rows = made(dtype=torch.float64)
    scaling = measure_scaling(rows.features)
    weight, bias = torch.randn(CLASSES, 12, dtype=torch.float64), torch.randn(CLASSES, dtype=torch.float64)
    head = fold(weight, bias, scaling)
    torch.testing.assert_close(head.logits(rows.features), standardised(rows.features) @ weight.T + bias)
    assert not head.weight[:, 3].any()


def test_features_that_are_not_finite_are_refused() -> None:
    features = torch.ones(10, 2)
    features[7, 1] = float("nan")
    with pytest.raises(InputError, match="among rows 0 to 9"):
        measure_scaling(features)


# --- all rows at once ------------------------------------------------------------------------------


@pytest.mark.parametrize("decay_bias", [False, True])
def test_descent_is_torchs_sgd_step_by_step(decay_bias: bool) -> None:
    rows = made()
    everything = torch.arange(len(rows.targets))
    fitted = descended(rows, decay_bias=decay_bias)
    weight, bias = reference_sgd(rows, [everything] * 60, rate=0.3, decay=5.0, half_period=60, decay_bias=decay_bias)
    torch.testing.assert_close(fitted.weight[0].double(), weight, rtol=1e-4, atol=2e-6)
    torch.testing.assert_close(fitted.bias[0].double(), bias, rtol=1e-4, atol=2e-6)


def test_decays_that_share_passes_are_those_that_descend_alone() -> None:
    rows = made(dtype=torch.float64)
    together = descended(rows, (20.0, 1.0))
    for place, decay in enumerate((20.0, 1.0)):
        torch.testing.assert_close(together.weight[place], descended(rows, (decay,)).weight[0])


def test_equal_weights_are_no_weights_and_a_weight_of_two_is_a_row_twice() -> None:
    rows = made(dtype=torch.float64)
    scaling = measure_scaling(rows.features)
    plain = converge(rows, scaling, CLASSES, (2.0,), decay_bias=False)
    weighted = converge(rows._replace(weights=torch.full((300,), 1.0)), scaling, CLASSES, (2.0,), decay_bias=False)
    torch.testing.assert_close(weighted.weight, plain.weight)
    weights = torch.ones(300)
    weights[:40] = 2
    twice = Block(torch.cat([rows.features, rows.features[:40]]), torch.cat([rows.targets, rows.targets[:40]]))
    left = converge(rows._replace(weights=weights), scaling, CLASSES, (2.0,), decay_bias=False)
    right = converge(twice, scaling, CLASSES, (2.0,), decay_bias=False)
    torch.testing.assert_close(left.weight, right.weight, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("decay", [0.3, 30.0])
def test_converged_head_is_scikit_learns(decay: float) -> None:
    """δ/2n ‖W‖² + mean CE is scikit-learn's ½ ‖W‖² + C Σ CE at C = 1/δ; neither touches the bias."""
    rows = made(dtype=torch.float64)
    fitted = converge(rows, measure_scaling(rows.features), CLASSES, (decay,), decay_bias=False)
    peer = LogisticRegression(C=1 / decay, tol=1e-10, max_iter=5000)
    peer.fit(standardised(rows.features).numpy(), rows.targets.numpy())
    np.testing.assert_allclose(fitted.weight[0].numpy(), peer.coef_, rtol=1e-3, atol=1e-4)
    bias = fitted.bias[0] - fitted.bias[0].mean()  # a constant added to every class changes nothing
    np.testing.assert_allclose(bias.numpy(), peer.intercept_ - peer.intercept_.mean(), rtol=1e-3, atol=1e-4)


def test_long_descents_end_at_the_optimum_and_short_ones_say_how_far_they_are() -> None:
    """Strong convexity with the bias decayed: J − J* ≤ ‖∇J‖² / (2 δ/n), an upper bound that must hold exactly."""
    rows = made(dtype=torch.float64)
    best = converge(rows, measure_scaling(rows.features), CLASSES, (150.0,), decay_bias=True)
    short = descended(rows, (150.0,), decay_bias=True, steps=8)
    gap = float(short.objective - best.objective)
    assert 1e-4 < gap <= float(short.gradient.square() / (2 * 150.0 / 300)) * (1 + 1e-9)
    long = descended(rows, (150.0,), decay_bias=True, steps=300)
    torch.testing.assert_close(long.weight, best.weight, rtol=1e-3, atol=1e-5)
    assert float(long.gradient) < 1e-4


def test_published_start_depends_on_the_seed_and_the_optimum_does_not() -> None:
    rows = made(dtype=torch.float64)
    first, second = (
        descended(rows, (150.0,), decay_bias=True, start="published", steps=steps, seed=1) for steps in (1, 300)
    )
    other, same = (
        descended(rows, (150.0,), decay_bias=True, start="published", steps=steps, seed=2) for steps in (1, 300)
    )
    assert float((first.weight - other.weight).abs().max()) > 0.1
    torch.testing.assert_close(second.weight, same.weight, rtol=1e-3, atol=1e-5)


def test_a_decay_that_shrinks_to_zero_is_refused() -> None:
    with pytest.raises(InputError, match="one step"):
        descended(made(), (300.0,), rate=1.0)


def test_no_decay_has_no_optimum() -> None:
    rows = made()
    with pytest.raises(InputError, match="no optimum"):
        converge(rows, measure_scaling(rows.features), CLASSES, (1.0, 0.0), decay_bias=False)


# --- minibatches -----------------------------------------------------------------------------------


def orders(count: int, epochs: int, batch: int, seed: int) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [piece for _ in range(epochs) for piece in torch.randperm(count, generator=generator).split(batch)]


@pytest.mark.parametrize("schedule", ["cosine", "published"])
def test_streaming_is_torchs_sgd_on_the_same_batches(schedule: Any) -> None:
    """Seven batches an epoch, the last one short. "published" steps per minibatch along a cosine made for epochs."""
    rows = made()
    settings = StreamSettings(batch=47, epochs=4, rate=0.3, decay=5.0, schedule=schedule)
    streamed = stream_head(rows.features, rows.targets, CLASSES, settings, seed=3)
    half_period = 28 if schedule == "cosine" else 4
    weight, bias = reference_sgd(
        rows, orders(300, 4, 47, 3), rate=0.3, decay=5.0, half_period=half_period, decay_bias=False
    )
    expected = fold(weight, bias, measure_scaling(rows.features))
    torch.testing.assert_close(streamed.head.weight.double(), expected.weight, rtol=2e-4, atol=1e-5)
    torch.testing.assert_close(streamed.head.bias.double(), expected.bias, rtol=2e-4, atol=1e-5)
    assert len(streamed.losses) == 4


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_a_mapped_file_gives_the_bits_of_memory(dtype: torch.dtype, tmp_path: Path) -> None:
    rows = made(dtype=dtype)
    file = TensorFile(tmp_path / "features.safetensors", 300, 12, dtype)
    file.prepare()
    file.write(slice(0, 300), rows.features)
    settings = StreamSettings(batch=64, epochs=2, rate=0.3)
    mapped = stream_head(file.mapped(), rows.targets, CLASSES, settings, seed=0)
    memory = stream_head(rows.features, rows.targets, CLASSES, settings, seed=0)
    assert torch.equal(mapped.head.weight, memory.head.weight)
    assert mapped.losses == memory.losses
    wide = stream_head(rows.features.float(), rows.targets, CLASSES, settings, seed=0)
    assert torch.equal(wide.head.weight, memory.head.weight)


@pytest.mark.parametrize("killed_after", [1, 5, 8, 14])
def test_a_killed_run_ends_with_the_bits_of_one_that_was_not(killed_after: int, tmp_path: Path) -> None:
    rows = made()
    settings = StreamSettings(batch=47, epochs=3, rate=0.3, save_every=3)

    def kill(stage: str, done: int, total: int) -> None:
        if done == killed_after:
            raise KeyboardInterrupt

    whole = stream_head(rows.features, rows.targets, CLASSES, settings, seed=0)
    path = tmp_path / "run.safetensors"
    with pytest.raises(KeyboardInterrupt):
        stream_head(rows.features, rows.targets, CLASSES, settings, 0, checkpoint=path, progress=kill)
    resumed_at: list[int] = []
    resumed = stream_head(
        rows.features,
        rows.targets,
        CLASSES,
        settings,
        0,
        checkpoint=path,
        progress=lambda stage, done, total: resumed_at.append(done),
    )
    assert resumed_at[0] == 3 * (killed_after // 3) + 1
    assert torch.equal(resumed.head.weight, whole.head.weight)
    assert torch.equal(resumed.head.bias, whole.head.bias)
    assert resumed.losses == whole.losses
    with pytest.raises(InputError, match="belongs to"):
        stream_head(rows.features, rows.targets, CLASSES, settings, 1, checkpoint=path)


def test_epochs_are_reported_and_accuracy_is_counted_in_blocks() -> None:
    rows = made(5000)
    heads: list[LinearHead] = []
    settings = StreamSettings(batch=500, epochs=2, rate=0.3)
    streamed = stream_head(
        rows.features, rows.targets, CLASSES, settings, 0, each_epoch=lambda done, head: heads.append(head)
    )
    assert len(heads) == 2
    assert torch.equal(heads[1].weight, streamed.head.weight)
    plain = (streamed.head.logits(rows.features).argmax(dim=1) == rows.targets).double().mean()
    assert stream_accuracy(streamed.head, rows.features, rows.targets) == pytest.approx(float(plain), abs=1e-12)


def test_wrong_labels_and_settings_are_refused() -> None:
    rows = made()
    with pytest.raises(InputError, match="must be 0 to 2"):
        stream_head(rows.features, rows.targets, 3, StreamSettings(batch=10, epochs=1), 0)
    for change in ({"batch": 0}, {"rate": 0.0}, {"decay": -1.0}):
        with pytest.raises(InputError):
            StreamSettings(**change)  # type: ignore[arg-type]


# --- the protocol ----------------------------------------------------------------------------------


def grouped(role: str, rows: int, seed: int, *, shortcut: float, labelled: bool = True) -> Rows:
    """Two classes; feature 0 is core, feature 1 the shortcut, which agrees in a share of the rows."""
    generator = torch.Generator().manual_seed(seed)
    label = torch.arange(rows) % 2
    agrees = torch.rand(rows, generator=generator) < shortcut
    place = torch.where(agrees, label, 1 - label)
    inputs = torch.randn(rows, 6, generator=generator)
    inputs[:, 0] += 2.0 * (2 * label - 1)
    inputs[:, 1] += 4.0 * (2 * place - 1)
    groups = cross_groups(label, ["a", "b"], place, ["0", "1"]) if labelled else None
    ids = np.array([f"{role}:{row}" for row in range(rows)])
    return make_rows(inputs, label, classes=["a", "b"], groups=groups, ids=ids)


@pytest.mark.parametrize("solver", ["descent", "converged", "minibatch"])
def test_mixed_rows_repair_what_original_rows_spoil(solver: Any) -> None:
    """Core accuracy alone is Φ(2) = .977; the worst group of 2,000 judge rows has a standard error of .007."""
    settings = SoftmaxSettings(solver=solver, decays=(10.0, 1.0), steps=200, batch=100, epochs=20, rate=0.5)
    choose = grouped("choose", 400, 1, shortcut=0.5)
    judge = grouped("judged", 2000, 2, shortcut=0.5)
    worst: dict[float, float] = {}
    for shortcut in (0.98, 0.5):
        repaired = softmax_head({"repair": grouped("r", 600, 3, shortcut=shortcut), "choose": choose}, settings, 0)
        right = repaired.head.logits(judge.inputs[:]).argmax(dim=1) == judge.targets
        worst[shortcut] = min(float(right[member].double().mean()) for member in judge.groups.members.T)
        assert set(repaired.chosen) == {"decay"}
        assert len(repaired.trials) == 2
        assert len(repaired.seen) == 1000
    assert worst[0.98] < 0.9
    assert worst[0.5] > 0.95


def test_selection_without_groups_is_by_the_worst_class_or_the_mean() -> None:
    plain = grouped("choose", 400, 1, shortcut=0.5, labelled=False)
    roles = {"repair": grouped("repair", 600, 3, shortcut=0.9), "choose": plain}
    auto = softmax_head(roles, SoftmaxSettings(steps=50), 0)
    by_class = softmax_head(roles, SoftmaxSettings(steps=50, selection="classes"), 0)
    assert auto.trials == by_class.trials
    assert any("worst class" in note for note in auto.notes)
    mean = softmax_head(roles, SoftmaxSettings(steps=50, selection="accuracy"), 0)
    assert all(trial.worst_group_accuracy == pytest.approx(trial.mean_accuracy) for trial in mean.trials)
    with pytest.raises(InputError, match="have none"):
        softmax_head(roles, SoftmaxSettings(steps=50, selection="groups"), 0)


def test_learning_on_choose_tunes_on_halves_and_fits_on_all() -> None:
    choose = grouped("choose", 600, 1, shortcut=0.5)
    settings = SoftmaxSettings(learn="choose", decays=(30.0, 3.0), solver="converged")
    repaired = softmax_head({"choose": choose}, settings, 0)
    rows = Block(choose.inputs[:], choose.targets)
    scaling = measure_scaling(rows.features)
    again = converge(rows, scaling, 2, (repaired.chosen["decay"],), decay_bias=False)
    expected = fold(again.weight[0], again.bias[0], scaling)
    torch.testing.assert_close(repaired.head.weight.double(), expected.weight, rtol=1e-5, atol=1e-6)


def test_ties_go_to_the_strongest_decay() -> None:
    rows = make_rows(torch.tensor([[0.0], [1.0], [8.0], [9.0]] * 30), torch.tensor([0, 0, 1, 1] * 30))
    repaired = softmax_head({"repair": rows, "choose": rows}, SoftmaxSettings(decays=(1.0, 50.0, 10.0), steps=50), 0)
    assert [trial.worst_group_accuracy for trial in repaired.trials] == [1.0, 1.0, 1.0]
    assert repaired.chosen == {"decay": 50.0}


def test_judge_rows_and_absent_classes_are_refused() -> None:
    rows = grouped("repair", 300, 3, shortcut=0.5)
    with pytest.raises(InputError, match="judge"):
        softmax_head({"repair": rows, "choose": rows, "judge": rows}, SoftmaxSettings(), 0)
    alone = rows.take(rows.targets == 0)
    with pytest.raises(InputError, match="class b"):
        softmax_head({"repair": alone, "choose": rows}, SoftmaxSettings(), 0)
    for change in ({"decays": ()}, {"decays": (-1.0,)}, {"steps": 0}, {"epochs": 0}, {"rate": 0.0}):
        with pytest.raises(InputError):
            SoftmaxSettings(**change)  # type: ignore[arg-type]

"""Ascent against the plain loop a user would write, and against independent optima."""

import pytest
import torch
from scipy.optimize import minimize
from sklearn.linear_model import LogisticRegression
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.optim.lr_scheduler import CosineAnnealingLR, OneCycleLR

from surefoot.density.batch import Batch
from surefoot.density.likelihoods import categorical
from surefoot.density.objective import Objective, Posterior
from surefoot.density.pools import mean, total, worst_group
from surefoot.density.priors import Gaussian
from surefoot.errors import InputError
from surefoot.inference.ascend import Ascend, ascend
from surefoot.inference.schedule import Schedule
from surefoot.inference.settings import Optimiser
from surefoot.networks.network import Network, Parameters, parameters_of
from surefoot.rows.rows import Groups, Rows, make_rows


def images(count: int = 150, seed: int = 0) -> Rows:
    generator = torch.Generator().manual_seed(seed)
    targets = torch.randint(0, 3, (count,), generator=generator)
    inputs = torch.rand(count, 1, 8, 6, generator=generator)
    inputs[torch.arange(count), 0, targets * 2] += 1.0
    return make_rows(inputs, targets, weights=torch.rand(count, generator=generator) + 0.5)


def small_cnn(*, view: bool = False) -> Network:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        flatten = Viewed() if view else nn.Flatten()
        module = nn.Sequential(
            nn.Conv2d(1, 4, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(4, 8, 3, padding=1, bias=False),
            nn.BatchNorm2d(8),
            nn.ReLU(),
            flatten,
            nn.Linear(8 * 4 * 3, 3),
        )
    return Network(module, "7")


class Viewed(nn.Module):
    """Flattens by `view`, which refuses channels last."""

    def forward(self, inputs: Tensor) -> Tensor:
        return inputs.view(len(inputs), -1)


def linear(inputs: int, classes: int, dtype: torch.dtype = torch.float64) -> Network:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return Network(nn.Sequential(nn.Linear(inputs, classes)).to(dtype), "0")


def plain_loop(network: Network, rows: Rows, settings: Ascend, steps: int) -> Parameters:
    """What a user would write: no shuffling, mean cross entropy."""
    start = parameters_of(network)
    module = network.module.train()
    if settings.optimiser == "sgd":
        optimiser = torch.optim.SGD(module.parameters(), settings.rate, 0.9, weight_decay=settings.weight_decay)
    else:
        optimiser = torch.optim.AdamW(module.parameters(), settings.rate, weight_decay=settings.weight_decay)
    schedulers = {
        "one_cycle": lambda: OneCycleLR(optimiser, settings.rate, total_steps=steps),
        "cosine": lambda: CosineAnnealingLR(optimiser, steps),
    }
    scheduler = schedulers[settings.schedule]() if settings.schedule in schedulers else None
    for step in range(steps):
        per_epoch = -(-len(rows) // settings.batch)
        index = torch.arange(len(rows)).split(settings.batch)[step % per_epoch]
        optimiser.zero_grad()
        cross_entropy(module(rows.inputs[index]), rows.targets[index]).backward()
        optimiser.step()
        if scheduler is not None and step < steps - 1:
            scheduler.step()
    reached = parameters_of(network)
    module.load_state_dict(start)
    return reached


@pytest.mark.parametrize("optimiser", ["sgd", "adamw"])
@pytest.mark.parametrize("schedule", ["constant", "cosine", "one_cycle"])
@pytest.mark.parametrize("view", [False, True])
def test_equals_the_plain_loop(optimiser: Optimiser, schedule: Schedule, view: bool) -> None:
    """20 steps in epochs of 5 whose last batch is smaller; channels last (view=False) and first (view=True)."""
    rows, network = images(), small_cnn(view=view)
    settings = Ascend(4, 32, 0.01, optimiser, schedule, weight_decay=0.1, shuffle=False)
    expected = plain_loop(network, rows, settings, 20)
    even = make_rows(rows.inputs, rows.targets)
    reached = ascend(Objective(network, categorical, mean), even, parameters_of(network), 0, settings).point()
    assert list(reached) == list(expected)
    for name, tensor in expected.items():
        torch.testing.assert_close(reached[name], tensor, rtol=1e-5, atol=1e-6)
    assert not torch.allclose(reached["0.weight"], parameters_of(network)["0.weight"], atol=1e-3)


def test_leaves_the_network_the_start_and_the_global_generator_alone() -> None:
    rows, network = images(), small_cnn()
    before, start, state = parameters_of(network), parameters_of(network), torch.get_rng_state()
    draws = ascend(Objective(network, categorical, mean), rows, start, 0, Ascend(epochs=1))
    assert torch.equal(torch.get_rng_state(), state)
    for name, tensor in parameters_of(network).items():
        assert torch.equal(tensor, before[name])
        assert torch.equal(start[name], before[name])
        assert not draws.point()[name].requires_grad
    assert all(tensor.is_contiguous() for tensor in draws.parameters.values())
    assert network.module.training


def test_the_same_seed_gives_the_same_bits_and_another_does_not() -> None:
    rows, network = images(), small_cnn()
    objective, settings = Objective(network, categorical, mean), Ascend(epochs=2, shift=1)
    first, again, other = (ascend(objective, rows, parameters_of(network), seed, settings) for seed in (3, 3, 4))
    assert torch.equal(first.point()["7.weight"], again.point()["7.weight"])
    assert first.diagnostics == again.diagnostics
    assert not torch.equal(first.point()["7.weight"], other.point()["7.weight"])


def test_dropout_is_seeded_by_the_run() -> None:
    module = nn.Sequential(nn.Flatten(), nn.Dropout(0.5), nn.Linear(48, 3))
    network, rows = Network(module, "2"), images()
    reached: list[Tensor] = []
    for noise in range(2):
        with torch.random.fork_rng():
            torch.manual_seed(noise)
            draws = ascend(Objective(network, categorical, mean), rows, parameters_of(network), 0, Ascend(epochs=1))
        reached.append(draws.point()["2.weight"])
    assert torch.equal(*reached)


def test_every_row_is_visited_once_an_epoch() -> None:
    """The gradient of Σ score is constant here, so the bias counts visits of each row's class."""
    seen: list[Tensor] = []

    def spy(outputs: Tensor, targets: Tensor) -> Tensor:
        seen.append(targets)
        return outputs.sum(dim=1)

    rows = make_rows(torch.zeros(23, 2), torch.arange(23))
    settings = Ascend(epochs=2, batch=5)
    network = linear(2, 2, torch.float32)
    ascend(Objective(network, spy, mean), rows, parameters_of(network), 0, settings)
    assert [len(batch) for batch in seen] == [5, 5, 5, 5, 3] * 2
    first, second = torch.cat(seen[:5]), torch.cat(seen[5:])
    assert first.sort().values.tolist() == second.sort().values.tolist() == list(range(23))
    assert first.tolist() != second.tolist() != list(range(23))


def convex() -> Rows:
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(120, 4, generator=generator, dtype=torch.float64)
    logits = inputs @ torch.tensor([[1.0, -1.0, 0.5, 0.0], [0.0, 1.0, 0.0, -1.0], [0.3, 0.0, -1.0, 1.0]]).double().T
    targets = (logits + torch.randn(120, 3, generator=generator).double()).argmax(dim=1)
    return make_rows(inputs, targets, weights=torch.rand(120, generator=generator, dtype=torch.float64) + 0.5)


def test_lbfgs_reaches_the_optimum_of_a_logistic_posterior_found_by_scipy() -> None:
    rows, network = convex(), linear(4, 3)
    posterior = Posterior(network, categorical, Gaussian(0.7))
    settings = Ascend(epochs=20, rate=1.0, optimiser="lbfgs", schedule="constant")
    reached = ascend(posterior, rows, parameters_of(network), 0, settings).point()

    def negative(flat: object) -> tuple[float, object]:
        theta = torch.tensor(flat, requires_grad=True)
        logits = rows.inputs[:] @ theta[:12].reshape(3, 4).T + theta[12:]
        losses = cross_entropy(logits, rows.targets, reduction="none")
        value = (rows.weights * losses).sum() + 0.35 * theta.square().sum()
        value.backward()
        assert theta.grad is not None
        return value.item(), theta.grad.numpy()

    best = minimize(negative, torch.zeros(15).double().numpy(), jac=True, method="BFGS", options={"gtol": 1e-10})
    flat = torch.cat([reached["0.weight"].reshape(-1), reached["0.bias"]])
    torch.testing.assert_close(flat, torch.tensor(best.x), rtol=0, atol=1e-6)


def test_lbfgs_reaches_scikit_learns_optimum() -> None:
    rows, network = convex(), linear(4, 3)
    prior = Gaussian(1 / 0.5, only=frozenset({"0.weight"}))
    settings = Ascend(epochs=20, rate=1.0, optimiser="lbfgs", schedule="constant")
    reached = ascend(Posterior(network, categorical, prior), rows, parameters_of(network), 0, settings).point()
    reference = LogisticRegression(C=0.5, tol=1e-10, max_iter=10_000)
    reference.fit(rows.inputs[:].numpy(), rows.targets.numpy(), sample_weight=rows.weights.numpy())
    torch.testing.assert_close(reached["0.weight"], torch.tensor(reference.coef_), rtol=0, atol=1e-6)
    bias = torch.tensor(reference.intercept_)  # without a prior of its own, the bias is free up to a constant
    torch.testing.assert_close(reached["0.bias"] - reached["0.bias"].mean(), bias - bias.mean(), rtol=0, atol=1e-6)


def test_a_posteriors_step_is_the_mean_losss_step_plus_its_prior_over_the_number_of_rows() -> None:
    rows, network = convex(), linear(4, 3)
    even = make_rows(rows.inputs, rows.targets)
    settings = Ascend(epochs=1, batch=50, rate=0.1, optimiser="sgd", schedule="constant", shuffle=False)
    prior = Gaussian(0.7)
    dense = ascend(Posterior(network, categorical, prior), even, parameters_of(network), 0, settings)
    likewise = Objective(network, categorical, mean, lambda parameters: prior.log_density(parameters) / 120)
    plain = ascend(likewise, even, parameters_of(network), 0, settings)
    torch.testing.assert_close(dense.point(), plain.point(), rtol=1e-12, atol=1e-14)


def test_weights_and_groups_reach_the_pool() -> None:
    """A pool that sees what it should; one full-batch SGD step is the start plus the gradient."""
    rows, network = convex(), linear(4, 3)
    members = torch.stack([rows.targets == 0, rows.targets == 1], dim=1)
    rows = make_rows(rows.inputs, rows.targets, weights=rows.weights, groups=Groups(("a", "b"), members))
    settings = Ascend(epochs=1, batch=200, rate=0.1, optimiser="sgd", schedule="constant", momentum=0.0, shuffle=False)
    for pool in (total, mean, worst_group):
        objective = Objective(network, categorical, pool)
        start = {name: tensor.requires_grad_() for name, tensor in parameters_of(network).items()}
        value = objective.value(start, Batch(rows.inputs[:], rows.targets, rows.weights, members))
        slopes = torch.autograd.grad(value, list(start.values()))
        reached = ascend(objective, rows, start, 0, settings).point()
        for slope, (name, tensor) in zip(slopes, start.items(), strict=True):
            torch.testing.assert_close(reached[name], (tensor + 0.1 * slope).detach(), rtol=1e-12, atol=1e-14)


def test_frozen_parameters_stay_and_buffers_follow() -> None:
    rows, network = images(), small_cnn()
    network.module.get_submodule("0").requires_grad_(False)
    start = parameters_of(network)
    settings = Ascend(epochs=1, weight_decay=0.5)
    reached = ascend(Objective(network, categorical, mean), rows, start, 0, settings).point()
    assert torch.equal(reached["0.weight"], start["0.weight"])
    assert not torch.equal(reached["3.weight"], start["3.weight"])
    assert reached["4.num_batches_tracked"].item() == 3


def test_the_start_sets_the_precision() -> None:
    network, rows = linear(4, 3, torch.float32), convex()
    start = {name: tensor.double() for name, tensor in parameters_of(network).items()}
    reached = ascend(Objective(network, categorical, mean), rows, start, 0, Ascend(epochs=1)).point()
    assert {tensor.dtype for tensor in reached.values()} == {torch.float64}


def test_shifts_reach_the_network() -> None:
    batches: list[Tensor] = []

    class Spy(nn.Linear):
        def forward(self, input: Tensor) -> Tensor:
            batches.append(input)
            return super().forward(input.flatten(1))

    picture = torch.zeros(40, 1, 3, 3)
    picture[:, :, 1, 1] = 1.0
    rows = make_rows(picture, torch.arange(40) % 2)
    network = Network(nn.Sequential(Spy(9, 2)), "0")
    ascend(Objective(network, categorical, mean), rows, parameters_of(network), 0, Ascend(epochs=2, batch=40, shift=1))
    places = [batch.flatten(1).argmax(dim=1) for batch in batches]
    assert all(len(place.unique()) == 9 for place in places)
    assert not torch.equal(*places)
    assert torch.equal(batches[0].sum(dim=(1, 2, 3)), torch.ones(40))


@pytest.mark.parametrize("view", [False, True])
def test_images_travel_with_channels_last_where_the_network_accepts_it(view: bool) -> None:
    layouts: list[bool] = []

    class Spy(nn.Conv2d):
        def forward(self, input: Tensor) -> Tensor:
            layouts.append(self.training and input.stride(1) == 1 and self.weight.stride(1) == 1)
            return super().forward(input)

    module = nn.Sequential(Spy(2, 3, 3, padding=1), Viewed() if view else nn.Flatten(), nn.Linear(108, 2))
    network, rows = Network(module, "2"), make_rows(torch.rand(8, 2, 6, 6), torch.arange(8) % 2)
    ascend(Objective(network, categorical, mean), rows, parameters_of(network), 0, Ascend(epochs=1))
    assert layouts[-1] is not view


def test_diagnostics_hold_the_curve_and_the_steps() -> None:
    rows, network = images(100), small_cnn()
    told: list[tuple[str, int, int]] = []
    settings = Ascend(epochs=3, batch=64)
    draws = ascend(
        Objective(network, categorical, mean), rows, parameters_of(network), 0, settings,
        progress=lambda stage, done, total: told.append((stage, done, total)),
    )  # fmt: skip
    final, steps, *curve = draws.diagnostics
    assert (final.name, final.unit, final.slice, final.count, final.direction) == (
        "training_loss",
        "nats",
        "all",
        100,
        "lower",
    )
    assert (steps.name, steps.value) == ("steps", 6.0)
    assert [finding.slice for finding in curve] == ["epoch 1", "epoch 2", "epoch 3"]
    assert curve[-1].value == final.value < curve[0].value
    assert all(finding.interval is None for finding in draws.diagnostics)
    assert draws.seen == rows.origins()
    assert told == [("training", 1, 3), ("training", 2, 3), ("training", 3, 3)]


def test_the_first_loss_is_the_mean_loss_of_the_start() -> None:
    """At a rate so small that nothing moves, the epoch's mean loss is the mean over rows, ragged batch included."""
    network = linear(4, 3)
    rows = make_rows(convex().inputs, convex().targets)
    settings = Ascend(epochs=1, batch=50, rate=1e-12, optimiser="sgd", schedule="constant")
    draws = ascend(Objective(network, categorical, mean), rows, parameters_of(network), 0, settings)
    expected = cross_entropy(network.module(rows.inputs[:]), rows.targets).item()
    assert draws.diagnostics[0].value == pytest.approx(expected, rel=1e-9)


def test_a_loss_that_is_not_finite_names_the_step() -> None:
    rows, network = convex(), linear(4, 3)
    inputs = rows.inputs[:].clone()
    inputs[70] = torch.inf
    broken = make_rows(inputs, rows.targets)
    settings = Ascend(epochs=2, batch=30, rate=0.5, schedule="constant", shuffle=False)
    with pytest.raises(InputError) as raised:
        ascend(Objective(network, categorical, mean), broken, parameters_of(network), 0, settings)
    assert str(raised.value) == (
        "The training loss became nan at step 3 (epoch 1); try a rate below 0.5, and check that all inputs are finite."
    )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"epochs": 0}, "epochs is 0; give at least 1."),
        ({"batch": 0}, "batch is 0; give at least 1."),
        ({"rate": float("nan")}, "rate is nan; give a positive learning rate."),
        ({"momentum": 1.0}, "momentum is 1.0; give a number from 0 up to, but not including, 1."),
        ({"weight_decay": -1.0}, "weight_decay is -1.0; give zero or a positive number."),
        ({"shift": -1}, "shift is -1; give a number of pixels, or 0."),
        (
            {"optimiser": "lbfgs"},
            "L-BFGS has no schedule, momentum, weight decay, shift or mixup; set schedule to constant and leave out "
            "the others (a prior is its weight decay).",
        ),
    ],
)
def test_settings_are_checked(changes: dict[str, float], message: str) -> None:
    with pytest.raises(InputError) as raised:
        Ascend(**changes)  # pyright: ignore[reportArgumentType]
    assert str(raised.value) == message


def test_what_cannot_be_climbed_is_refused() -> None:
    rows, network = convex(), linear(4, 3)
    start, objective = parameters_of(network), Objective(network, categorical, mean)
    cases = [
        (
            lambda: ascend(objective, rows.take(torch.tensor([], dtype=torch.int64)), start, 0, Ascend()),
            "There are no rows to train on; check the role or the filter that chose them.",
        ),
        (
            lambda: ascend(objective, rows, start, -1, Ascend()),
            "The seed is -1; give zero or a positive whole number.",
        ),
        (
            lambda: ascend(objective, rows, {"0.weight": start["0.weight"]}, 0, Ascend()),
            "The start has no tensor of the network's shape for ['0.bias']; start from parameters_of(network).",
        ),
        (
            lambda: ascend(objective, rows, {**start, "tail": torch.zeros(1)}, 0, Ascend()),
            "The start holds ['tail'], which the network does not have; start from parameters_of(network).",
        ),
        (
            lambda: ascend(Posterior(network, categorical, Gaussian(1.0)), rows, start, 0, Ascend(weight_decay=0.1)),
            "weight_decay is 0.1 on top of a posterior, whose prior is its decay already; set weight_decay to 0.",
        ),
    ]
    for call, message in cases:
        with pytest.raises(InputError) as raised:
            call()
        assert str(raised.value) == message
    network.module.requires_grad_(False)
    with pytest.raises(InputError) as raised:
        ascend(objective, rows, start, 0, Ascend())
    assert str(raised.value) == ("The network has no trainable parameter; set requires_grad on what should be learnt.")

"""Mixup in the feed of batches: what is mixed with what, how much, and that nothing else changes."""

from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.stats import kstest
from torch import nn

from surefoot.density.likelihoods import categorical
from surefoot.density.objective import Objective
from surefoot.density.pools import mean
from surefoot.errors import InputError
from surefoot.inference import ascend as ascending
from surefoot.inference.ascend import ascend
from surefoot.inference.checkpoint import identity
from surefoot.inference.climb import Feed, make_feed
from surefoot.inference.mixup import draw_shares, mix_inputs, mix_targets
from surefoot.inference.settings import Ascend
from surefoot.networks.network import Network, parameters_of
from surefoot.rows.rows import make_rows


def test_shares_are_those_of_the_larger_of_a_pair() -> None:
    """With α = 1 they are uniform from ½ to 1; the test fails once in 10,000 at random."""
    shares = draw_shares(5000, 1.0, seed=0)
    assert kstest(2 * shares - 1, "uniform").pvalue > 1e-4
    assert draw_shares(5000, 0.2, seed=0).mean() > shares.mean() + 0.05
    assert shares.min() >= 0.5


def share_by_share(plain: Feed, mixed: Feed, epoch: int) -> list[float]:
    """The share of each batch, of its first pair of rows, once it is sure to be that of all rows and their targets."""
    shares: list[float] = []
    for before, after in zip(plain.batches(epoch), mixed.batches(epoch), strict=True):
        one, two = before.inputs[0, 0], before.inputs[1, 0]
        share = float((after.inputs[0, 0] - two) / (one - two))
        shares.append(share)
        assert torch.allclose(after.inputs, share * before.inputs + (1 - share) * before.inputs.roll(-1, 0), atol=1e-4)
        hot = torch.eye(3)[before.targets]
        assert torch.allclose(after.targets, share * hot + (1 - share) * hot.roll(-1, 0), atol=1e-4)
        assert 0.5 <= share <= 1
    return shares


def test_batches_are_mixed_with_their_next_rows() -> None:
    rows = make_rows(torch.arange(10.0)[:, None] ** 2, torch.arange(10) % 3)
    module = nn.Linear(1, 3)
    plain = make_feed(rows, module, Ascend(epochs=1, batch=4), 3, "cpu")
    mixed = make_feed(rows, module, Ascend(epochs=1, batch=4, mixup=0.7), 3, "cpu")
    shares = {epoch: share_by_share(plain, mixed, epoch) for epoch in (1, 2)}
    assert len({round(share, 3) for each in shares.values() for share in each}) == 6
    again = [float(each.inputs[0, 0]) for each in mixed.batches(1)]
    assert again == [float(each.inputs[0, 0]) for each in mixed.batches(1)]
    assert again != [float(each.inputs[0, 0]) for each in mixed.batches(2)]


def test_soft_targets_stay_probabilities_and_loss_is_the_mixture_of_losses() -> None:
    logits = torch.randn(6, 3, generator=torch.Generator().manual_seed(0))
    hard = torch.tensor([0, 2, 1, 1, 0, 2])
    mixed = categorical(logits, mix_targets(hard, 3, 0.8))
    assert torch.allclose(mixed, 0.8 * categorical(logits, hard) + 0.2 * categorical(logits, hard.roll(-1)))
    soft = mix_targets(torch.full((6, 3), 1 / 3), 3, 0.6)
    assert torch.allclose(soft, torch.full((6, 3), 1 / 3))


def test_a_run_without_it_is_the_run_that_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its name among checkpoints is that of settings without the field, so that runs that began before it go on."""
    named: list[str] = []
    monkeypatch.setattr(ascending, "identity", lambda *parts: named.append(identity(*parts[4:5])) or named[-1])
    rows = make_rows(torch.randn(8, 2), torch.arange(8) % 2)
    network = Network(nn.Sequential(nn.Linear(2, 2)), "0")
    objective = Objective(network, categorical, mean)
    for number, settings in enumerate((Ascend(1), Ascend(1, mixup=0.3))):
        ascend(objective, rows, parameters_of(network), 0, settings, checkpoint=tmp_path / str(number))
    before = {name: value for name, value in asdict(Ascend(1)).items() if name != "mixup"}
    assert named == [identity(["Ascend", before]), identity(Ascend(1, mixup=0.3))]


def test_what_cannot_be_mixed_is_refused() -> None:
    for mixup in (-0.1, np.inf, np.nan):
        with pytest.raises(InputError, match="mixup is"):
            Ascend(mixup=float(mixup))
    with pytest.raises(InputError, match="L-BFGS has no schedule"):
        Ascend(optimiser="lbfgs", schedule="constant", mixup=0.5)
    with pytest.raises(InputError, match="cannot be mixed"):
        mix_inputs(torch.zeros(3, 2, dtype=torch.int64), 0.5)
    assert replace(Ascend(), mixup=0.2).mixup == 0.2

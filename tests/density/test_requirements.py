"""What samplers, evidence and a random start refuse, and that evidence means an integral of one."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from surefoot.density.augmentation import Augmentation
from surefoot.density.dirichlet import DirectDirichlet, NoisyDirichlet
from surefoot.density.functional import Confidence, DirClip, Dirichlet, Functional
from surefoot.density.layered import Layered
from surefoot.density.likelihoods import categorical
from surefoot.density.objective import Posterior
from surefoot.density.priors import Gaussian
from surefoot.density.regression import GaussianNoise
from surefoot.density.requirements import check_start, normalised, require_normalised, require_samplable
from surefoot.errors import InputError
from surefoot.networks.network import Network
from surefoot.rows.rows import make_rows


def posterior(**changed: Any) -> Posterior:
    network = Network(nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 10)), "2")
    return Posterior(**{"network": network, "likelihood": categorical, "prior": Gaussian(1.0), **changed})


def unchanged(inputs: Tensor, generator: torch.Generator) -> Tensor:
    return inputs


SAMPLABLE: list[dict[str, Any]] = [
    {},
    {"posterior_temperature": 0.1},
    {"likelihood": NoisyDirichlet(0.01)},
    {"likelihood": DirectDirichlet(1.5)},
    {"likelihood": GaussianNoise(1.0)},
    {"functional": Functional(DirClip(-0.5, -10.0))},
    {"functional": Functional(Dirichlet(2.0))},
    {"functional": Functional(Confidence(0.1))},
    {"augmentation": Augmentation(unchanged, 4, "sum")},
]


@pytest.mark.parametrize("changed", SAMPLABLE)
def test_bounded_posteriors_may_be_sampled(changed: dict[str, Any]) -> None:
    require_samplable(posterior(**changed))


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (
            {"likelihood": DirectDirichlet(0.1)},
            "DirectDirichlet(noise=0.1) grows without limit as the probability of a wrong class goes to zero, so no "
            "sampler can have it; use NoisyDirichlet, or the categorical likelihood with a DirClip prior.",
        ),
        (
            {"functional": Functional(Dirichlet(0.5))},
            "The functional prior Dirichlet(alpha=0.5) grows without limit as a probability goes to zero, so no "
            "sampler can have it; use DirClip, or the likelihood NoisyDirichlet.",
        ),
        (
            {"network": Network(nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.ReLU(), nn.Linear(4, 2)), "3")},
            'The network has batch normalisation at "1", whose stored averages fit one set of weights and no other '
            "draw; replace it by filter response normalisation (networks.convert.replace_batch_norm) and train again, "
            "or sample the head alone.",
        ),
        (
            {"prior": Gaussian(1.0, only=frozenset({"2.weight"}))},
            "The prior Gaussian leaves out the trainable tensors ['0.bias', '0.weight', '2.bias'] and is improper "
            "there; freeze them with requires_grad_(False), or give them a prior with `Layered`.",
        ),
    ],
    ids=["likelihood", "functional", "batch norm", "improper prior"],
)
def test_what_no_sampler_can_have_is_refused_with_the_way_out(changed: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError) as raised:
        require_samplable(posterior(**changed))
    assert str(raised.value) == message


def test_a_head_above_a_frozen_body_with_batch_norm_may_be_sampled() -> None:
    module = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2)).requires_grad_(False)
    module[2].requires_grad_(True)
    require_samplable(posterior(network=Network(module, "2")))
    module[0].bias.requires_grad_(True)
    with pytest.raises(InputError, match="batch normalisation"):
        require_samplable(posterior(network=Network(module, "2")))


@pytest.mark.parametrize("frozen", [True, False])
def test_batch_norm_that_stores_no_averages_is_refused_even_frozen(frozen: bool) -> None:
    """Its rows depend on one another: on all rows and on batches, such a likelihood is not the same function."""
    module = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4, track_running_stats=False), nn.Linear(4, 2))
    module.requires_grad_(not frozen)
    module[2].requires_grad_(True)
    with pytest.raises(
        InputError, match=r'normalisation "1" stores no averages.*rows depend on one another even where'
    ):
        require_samplable(posterior(network=Network(module, "2")))


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"posterior_temperature": 0.1}, "posterior_temperature is 0.1: a tempered likelihood"),
        ({"likelihood_temperature": 2.0}, "likelihood_temperature is 2: a tempered likelihood"),
        ({"functional": Functional(DirClip(0.5, -10.0))}, "The functional prior DirClip has no normaliser"),
        ({"likelihood": DirectDirichlet(1.5)}, "DirectDirichlet is not normalised"),
        ({"augmentation": Augmentation(unchanged, 4, "sum")}, "counts each label once per view"),
        ({"augmentation": Augmentation(unchanged, 4, "mean")}, "counts each label as a geometric mean"),
        ({"prior": Gaussian(1.0, only=frozenset({"2.weight"}))}, "improper"),
    ],
)
def test_evidence_is_refused_with_the_reason(changed: dict[str, Any], reason: str) -> None:
    assert not normalised(posterior(**changed))
    with pytest.raises(InputError, match=reason):
        require_normalised(posterior(**changed))


@pytest.mark.parametrize(
    "changed",
    [
        {},
        {"logit_temperature": 0.5},
        {"likelihood": NoisyDirichlet(0.1)},
        {"likelihood": GaussianNoise(1.0, temperature=0.1)},
        {"prior": Layered({"0.*": Gaussian(1.0)}, Gaussian(2.0))},
    ],
)
def test_normalised_posteriors_pass(changed: dict[str, Any]) -> None:
    assert normalised(posterior(**changed))
    require_normalised(posterior(**changed))


@pytest.mark.parametrize(("temperature", "passes"), [(1.0, True), (0.5, False)])
def test_a_normalised_posterior_integrates_to_one_over_labels_and_parameters(temperature: float, passes: bool) -> None:
    """One weight, one row, two classes: Σ_y ∫ exp(log density) dθ, by quadrature; the tempered one does not."""
    module = nn.Linear(1, 2, bias=False).double()
    target = Posterior(
        Network(nn.Sequential(module), "0"), categorical, Gaussian(1.0), posterior_temperature=temperature
    )
    axis = torch.linspace(-9, 9, 181, dtype=torch.float64)
    mass = 0.0
    for label in (0, 1):
        rows = make_rows(torch.ones(1, 1, dtype=torch.float64), torch.tensor([label]), classes=["a", "b"])
        values = [
            [target.log_density({"0.weight": torch.stack([a, b])[:, None]}, rows).exp().item() for b in axis[::6]]
            for a in axis[::6]
        ]
        mass += sum(map(sum, values)) * 0.6**2
    assert normalised(target) == passes
    assert (abs(mass - 1) < 1e-6) == passes


def test_a_confident_prior_needs_a_start_that_knows_the_labels() -> None:
    targets = torch.arange(100) % 10
    good = 5 * nn.functional.one_hot(targets, 10).float()
    bad = torch.randn(100, 10, generator=torch.Generator().manual_seed(0))
    confident = posterior(functional=Functional(DirClip(0.5, -10.0)))
    check_start(confident, good, targets)
    with pytest.raises(InputError) as raised:
        check_start(confident, bad, targets)
    wrong = (bad.argmax(dim=1) != targets).float().mean().item()
    assert str(raised.value) == (
        f"The start predicts {wrong:.0%} of the rows wrongly, and below α = 0.8 (here 0.5) such rows are pushed away "
        "from their labels; ascend the posterior without this prior first and start from the point it reaches, or use "
        "a larger α."
    )
    check_start(confident, bad, targets, tolerated=1.0)


def test_other_priors_start_anywhere() -> None:
    outputs, targets = torch.zeros(20, 10), torch.arange(20) % 9 + 1
    for changed in (
        {},
        {"functional": Functional(DirClip(0.8, -10.0))},
        {"functional": Functional(DirClip(0.5, -10.0), torch.zeros(2, 3))},
        {"functional": Functional(Confidence(0.1))},
    ):
        check_start(posterior(**changed), outputs, targets)
    for changed in ({"functional": Functional(Dirichlet(0.79))}, {"likelihood": DirectDirichlet(0.01)}):
        with pytest.raises(InputError, match="100% of the rows wrongly"):
            check_start(posterior(**changed), outputs, targets)

"""The salience world: its closed forms against simulation, and recoveries of 0 and 1 where they must be."""

import math

import pytest
import torch

from surefoot.errors import InputError
from surefoot.rows.salience import Salience, known_accuracies, known_recovery, salience_world

ROWS = 40_000


def fitted(inputs: torch.Tensor, signs: torch.Tensor) -> torch.Tensor:
    """Least squares, as a reference of its own."""
    return torch.linalg.lstsq(inputs.double(), signs.double()[:, None]).solution[:, 0]


@pytest.mark.parametrize(
    "world",
    [
        Salience(),
        Salience(mistakes="random"),
        Salience(true=1.0, proxies=(1.0, 3.0), accuracies=(0.7, 0.6)),
        Salience(true=1.5, proxies=(2.0, 1.0), accuracies=(0.8, 0.4), mistakes="random", noise=0),
    ],
)
def test_known_accuracies_are_those_of_long_simulations(world: Salience) -> None:
    """Fitted on 40,000 rows and judged on others: six standard errors of a proportion."""
    roles, weak = salience_world(world, {"fit": ROWS, "judge": ROWS}, seed=1)
    judged, truth = roles["judge"].inputs[:].double(), 2.0 * roles["judge"].targets - 1
    signs = 2.0 * weak["fit"].argmax(dim=1) - 1
    student = fitted(roles["fit"].inputs[:], signs)
    ceiling = fitted(roles["fit"].inputs[:], 2.0 * roles["fit"].targets - 1)
    seen = [
        (weak["judge"].argmax(dim=1) == roles["judge"].targets).double().mean().item(),
        ((judged @ student) * truth > 0).double().mean().item(),
        ((judged @ ceiling) * truth > 0).double().mean().item(),
    ]
    for found, known in zip(seen, known_accuracies(world), strict=True):
        assert abs(found - known) < 6 * math.sqrt(0.25 / ROWS)


def test_mistakes_in_no_feature_are_all_recovered() -> None:
    for true in (0.5, 1.0, 3.0):
        assert known_recovery(Salience(true=true, mistakes="random")) == pytest.approx(1.0, abs=1e-12)


def test_a_proxy_that_is_plain_to_see_leaves_nothing() -> None:
    found = [known_recovery(Salience(proxies=(salience,))) for salience in (0.1, 0.3, 1.0, 2.0)]
    assert found == sorted(found, reverse=True)
    assert found[0] > 0.9
    assert abs(known_recovery(Salience(proxies=(20.0,)))) < 1e-9


def test_the_ceiling_of_one_feature_is_its_signal() -> None:
    """A proxy that says nothing (a = ½) is ignored: Φ(g)."""
    _, _, ceiling = known_accuracies(Salience(true=1.3, accuracies=(0.5,)))
    assert ceiling == pytest.approx(0.5 * (1 + math.erf(1.3 / math.sqrt(2))), abs=1e-12)


def test_weak_labels_are_as_sure_as_they_are_right() -> None:
    _, weak = salience_world(Salience(accuracies=(0.7,)), {"fit": 100})
    assert sorted({round(each, 6) for each in weak["fit"].flatten().tolist()}) == [0.3, 0.7]


def test_seeds_and_roles_are_streams_of_their_own() -> None:
    one, two = (salience_world(Salience(), {"fit": 10, "judge": 10}, seed=seed)[0] for seed in (0, 1))
    assert not torch.equal(one["fit"].inputs[:], two["fit"].inputs[:])
    assert not torch.equal(one["fit"].inputs[:], one["judge"].inputs[:])


@pytest.mark.parametrize("bad", [{"proxies": ()}, {"accuracies": (0.5, 0.5)}, {"accuracies": (1.5,)}])
def test_what_is_refused(bad: dict[str, tuple[float, ...]]) -> None:
    with pytest.raises(InputError, match="accurac"):
        Salience(**bad)

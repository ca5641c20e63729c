"""Traps that no single method's tests stand at."""

from collections.abc import Callable

import numpy as np
import pytest
import torch

from surefoot.robust.afr import AFRSettings, afr
from surefoot.robust.balanced import BalancedSettings, class_balanced, erm_head
from surefoot.robust.dfr import DFRSettings, dfr
from surefoot.robust.disagreement import DisagreementSettings, disagreement
from surefoot.robust.group_dro import GroupDROSettings, group_dro
from surefoot.robust.head import Repaired
from surefoot.robust.reweighted import ReweightedSettings, reweighted
from surefoot.robust.softmax.head import SoftmaxSettings, softmax_head
from surefoot.robust.two_stage import TwoStageSettings, two_stage
from surefoot.rows.worlds import gaussian_world

ROLES = gaussian_world(sizes={"fit": 200, "repair": 200, "choose": 200}).roles
ERM = erm_head(ROLES["fit"])
REPAIRS: dict[str, Callable[[], Repaired]] = {
    "dfr": lambda: dfr(ROLES, DFRSettings(learn="choose", strengths=(0.3,), retrains=2), 0),
    "class_balanced": lambda: class_balanced(ROLES, ERM, BalancedSettings(strengths=(0.3,), retrains=2), 0),
    "afr": lambda: afr(ROLES, ERM, AFRSettings(gammas=(4.0,), penalties=(0.1,), steps=3), 0),
    "rwg": lambda: reweighted(ROLES, ERM, ReweightedSettings(penalties=(0.1,), learn="choose"), 0),
    "subg": lambda: reweighted(ROLES, ERM, ReweightedSettings(how="subset", penalties=(0.1,), learn="choose"), 0),
    "group_dro": lambda: group_dro(ROLES, ERM, GroupDROSettings(penalties=(0.1,), learn="choose"), 0),
    "jtt": lambda: two_stage(ROLES, ERM, TwoStageSettings(penalties=(0.1,), learn="choose"), 0),
    "self": lambda: disagreement(ROLES, ERM, DisagreementSettings(counts=(20,), penalties=(0.1,)), 0),
    "softmax": lambda: softmax_head(
        ROLES, SoftmaxSettings(decays=(10.0,), steps=5, start="published", learn="choose"), 0
    ),
    "minibatch": lambda: softmax_head(
        ROLES, SoftmaxSettings(decays=(10.0,), solver="minibatch", epochs=1, batch=50), 0
    ),
}


@pytest.mark.parametrize("name", REPAIRS)
def test_no_repair_touches_the_generators_of_others(name: str) -> None:
    """Whatever state they are in, they stay there; and the same seed gives the same head from another state."""
    heads: list[torch.Tensor] = []
    for state in (1, 2):
        with torch.random.fork_rng():
            torch.manual_seed(state)
            kept, before = torch.get_rng_state(), np.random.get_state()
            heads.append(REPAIRS[name]().head.weight)
            assert torch.equal(torch.get_rng_state(), kept)
            assert all(np.array_equal(one, two) for one, two in zip(before, np.random.get_state(), strict=True))
    assert torch.equal(*heads)


def test_what_a_repair_says_it_has_seen_is_all_that_it_used() -> None:
    """Rows to learn on and rows to choose on, for every method."""
    for name, repair in REPAIRS.items():
        learned = ROLES["choose" if name in ("dfr", "rwg", "subg", "group_dro", "jtt", "softmax") else "repair"]
        assert repair().seen == learned.origins() | ROLES["choose"].origins(), name

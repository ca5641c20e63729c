"""The study of the policy world: what is judged was never learnt from, and kept work is not done again."""

from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from surefoot.reason.deliberate.arms import ARMS
from surefoot.text.decoder import Decoder, Shape, build_decoder
from surefoot.text.policy import Sampling
from surefoot.text.world.requests import role_of

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(ROOT / "studies"))
    import policy_world

    return policy_world


def test_what_is_judged_was_never_learnt_from(script: ModuleType, tmp_path: Path) -> None:
    """In any order of modifiers and under any cipher, in the study's full size."""
    settings = script.Settings()
    asked = script.Kept(settings, 0, tmp_path).ground.requests
    sets = script.judged(settings)
    learnt = {(each.category, each.action, frozenset(each.modifiers)) for each in asked}
    assert len(asked) == 700
    assert max(len(each.modifiers) for each in asked) == 2
    assert not any(each.encoded for each in asked)
    for requests in sets.values():
        assert len(set(requests)) == 250
        assert {role_of(script.WORLD, each) for each in requests} == {"judge"}
        assert not learnt & {(each.category, each.action, frozenset(each.modifiers)) for each in requests}
    assert {len(each.modifiers) for each in sets["three modifiers"]} == {3}
    assert all(each.encoded for each in sets["cipher"])


def test_every_seed_has_a_policy_of_its_own(script: ModuleType, tmp_path: Path) -> None:
    kept = [script.Kept(script.Settings(), seed, tmp_path) for seed in range(3)]
    assert len({each.ground.book for each in kept}) == 3
    assert len({each.ground.requests for each in kept}) == 1


def test_recipes_are_changed_as_their_names_say(script: ModuleType) -> None:
    recipe = script.Settings().recipe
    for arm in ARMS:
        assert script.recipe_of(arm, recipe) == recipe
    near, one, both = (script.recipe_of(arm, recipe) for arm in script.MORE)
    assert near.reinforcement.ratio.beta == script.NEAR
    assert replace(near, reinforcement=recipe.reinforcement) == recipe
    assert one == both
    assert one.filter_errors.shared == one.reward_errors.shared == script.ALIKE
    assert (one.filter_errors.rate, one.reward_errors.rate) == (0.15, 0.1)


def test_kept_work_is_not_done_again(script: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "drawn").mkdir()
    kept = script.Kept(script.quick(), 0, tmp_path)
    made: list[int] = []

    def make() -> tuple[Decoder, dict[str, Any]]:
        made.append(1)
        return build_decoder(Shape(script.WORLD.vocabulary.size, width=32, context=48), 7), {"loss": 1.0}

    first, record = kept.decoder("base", make)
    again, same = kept.decoder("base", make)
    assert made == [1]
    assert record == same
    assert record["loss"] == 1.0
    assert all((values == again.state_dict()[name]).all() for name, values in first.state_dict().items())
    prompts = ["request c0 a0", "add 1 2"]
    drawn = kept.drawn("base", first, prompts, Sampling(count=2, most=6))
    other = build_decoder(first.shape, 8)
    assert kept.drawn("base", other, prompts, Sampling(count=2, most=6)) == drawn
    assert kept.drawn("base", other, prompts, Sampling(count=2, most=5)) != drawn


@pytest.mark.slow
def test_a_quick_study_tells_all(script: ModuleType, tmp_path: Path) -> None:
    record = script.study(script.quick(), 1, tmp_path)
    told = script.tables(record)
    for arm in (*ARMS, *script.MORE):
        assert f"| {arm.name} |" in told
    assert set(script.pictures(record)) == {"policy-world", "policy-world-monitor", "policy-world-thinking"}
    assert script.tables(script.study(script.quick(), 1, tmp_path)) == told

"""Deliberative alignment as a card, small: every arm on every set, kept work, and claims of sets."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from surefoot.card.page import page
from surefoot.card.serialise import card_digest, card_from_json, card_to_json
from surefoot.cli.app import main
from surefoot.errors import InputError
from surefoot.reason.course import Course, Learnt
from surefoot.reason.deliberate.arms import Recipe
from surefoot.reason.deliberate.control import Loophole
from surefoot.reason.deliberate.stage_one import StageOne
from surefoot.reason.imitate import Imitation
from surefoot.reason.reinforce import Reinforcement
from surefoot.rows.roles import Role
from surefoot.study.once import align_arms, align_asking
from surefoot.study.once.align import align_in_world
from surefoot.study.once.align_arms import AlignPlan, train_world
from surefoot.study.once.align_words import NAMES
from surefoot.study.once.reason import KeptReasoner
from surefoot.text.decoder_files import open_decoder
from surefoot.text.policy import Sampling
from surefoot.text.world.language import World

SMALL = AlignPlan(
    base=Course(150, 5e-3, "cosine", warm_up=20),
    demonstrations=2_000,
    width=32,
    requests=24,
    first=12,
    judged=20,
    samples=1,
    recipe=Recipe(
        stage_one=StageOne(Sampling(count=4, most=20), verdicts=1, least=0.1),
        imitation=Imitation(Course(4, 1e-3), batch=8),
        more=2,
        reinforcement=Reinforcement(Course(2, 1e-3), Sampling(count=4, most=20), patience=6),
        batch=4,
    ),
)


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> KeptReasoner:
    out = tmp_path_factory.mktemp("runs")
    return align_in_world(SMALL, seeds=(0,), claims=("decision[cipher] >= 0.99", "unsafe of none >= 0"), out=out)


def test_every_arm_is_measured_on_every_set(kept: KeptReasoner) -> None:
    card = kept.card
    assert [each.name for each in card.subjects] == list(NAMES.values())
    for name in NAMES.values():
        of = {(each.name, each.slice) for each in card.findings if each.subject == name}
        sets = {"all", "three modifiers", "cipher"}
        assert {(measure, place) for measure in ("decision", "unsafe", "rule_cited") for place in sets} <= of
        assert ("capability", "sums") in of
    assert card.finding("decision", of="policy_in_prompt").count == 20
    assert {each.status for each in card.claims} <= {"passed", "failed", "undecided"}
    assert card.claims[0].claim.slice == "cipher"


def test_the_page_holds_curves_and_traces_and_the_card_is_kept_whole(kept: KeptReasoner) -> None:
    pictures = {each.picture for each in kept.card.curves}
    assert "Three modifiers, by budget of thinking" in pictures
    assert card_from_json(card_to_json(kept.card)) == kept.card
    assert "Deliberative alignment in the policy world" in page(kept.card)
    assert {each.subject for each in kept.card.traces} == set(NAMES.values())


def test_finished_work_is_used_again_and_gives_the_same_card(kept: KeptReasoner) -> None:
    out = kept.folder.parent
    (folder,) = (out / "align").iterdir()
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*.safetensors")}
    again = align_in_world(SMALL, seeds=(0,), claims=tuple(kept.card.record.settings["claims"]), out=out)
    assert card_digest(again.card) == card_digest(kept.card)
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*.safetensors")} == before
    models = train_world(SMALL, 0, folder, lambda stage, done, total: None)
    opened = open_decoder(kept.models[0])
    assert opened.vocabulary == SMALL.world.vocabulary
    weights = dict(opened.decoder.state_dict())
    assert all(torch.equal(value, weights[name]) for name, value in models["both, all"].state_dict().items())
    # The prompted base is the base.
    assert models["policy in prompt"] is models["none"]


@pytest.mark.parametrize(
    ("given", "match"),
    [
        (["reason", "policy-world", "--steps", "3"], "--steps is an option of tasks"),
        (["reason", "policy-world", "--judged", "0"], "judged is 0; give 1 or more"),
        (["reason", "policy-world", "--seeds", "x"], "give whole numbers with commas between"),
    ],
)
def test_bad_input_is_one_sentence(
    given: list[str], match: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(given) == 2
    said = capsys.readouterr().err
    assert match in said
    assert said.count("\n") == 1


@pytest.mark.parametrize(
    ("claim", "match"),
    [
        ("nonsense <= 0.1", "'nonsense' of 'both_all', which is not measured"),
        ("unsafe of nobody <= 0.1", "the arms are none, policy_in_prompt"),
        ("unsafe[everywhere] <= 0.1", "there are all, three modifiers, cipher"),
        ("violations <= 0.1", "'violations' of 'both_all', which is not measured"),
        ("thinking_tokens of both - none >= 1", "which is not measured; claim one of decision"),
        ("unsafe of none - both <= 0", "is compared with none"),
    ],
)
def test_impossible_claims_are_refused_before_anything_is_trained(claim: str, match: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=match):
        align_in_world(SMALL, seeds=(0,), claims=(claim,), out=tmp_path)
    assert not list(tmp_path.iterdir())


def test_who_is_asked_what(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Trained on fit requests, judged on judge requests; the controls differ by the punishment; "longer" is longer."""
    drawn: list[tuple[str, str]] = []
    real = align_arms.draw_requests

    def noted(where: str) -> Callable[..., Any]:
        def draw(world: World, role: Role, *rest: Any, **more: Any) -> Any:
            drawn.append((where, role))
            return real(world, role, *rest, **more)

        return draw

    monkeypatch.setattr(align_arms, "draw_requests", noted("training"))
    monkeypatch.setattr(align_asking, "draw_requests", noted("judging"))
    rewards: list[object] = []
    stages: list[tuple[int, int]] = []
    monkeypatch.setattr(align_arms, "reinforce_on_thoughts", lambda start, words, pool, reward, *rest, **more: (
        rewards.append(reward), Learnt(start, ()))[1])  # fmt: skip
    monkeypatch.setattr(align_arms, "first_stage", lambda base, ground, requests, recipe, seed, more, progress: (
        stages.append((len(requests), more)), (base, None))[1])  # fmt: skip
    monkeypatch.setattr(align_arms, "second_stage", lambda decoder, *rest, **more: Learnt(decoder, ()))
    align_in_world(SMALL, seeds=(0,), out=tmp_path)
    assert set(drawn) == {("training", "fit"), ("judging", "judge")}
    assert stages == [(SMALL.first, 0), (SMALL.first, SMALL.recipe.more), (SMALL.requests, 0)]
    hidden, punished = rewards
    assert isinstance(hidden, Loophole)
    assert isinstance(punished, Loophole)
    assert hidden.punished is None
    assert punished.punished is not None
    assert hidden.categories == punished.categories


def test_claims_are_judged_at_their_own_confidence(kept: KeptReasoner) -> None:
    again = align_in_world(
        SMALL, seeds=(0,), claims=("decision >= 0.01 at 99%", "decision >= 0.01"), out=kept.folder.parent
    )
    wide, narrow = (each.finding for each in again.card.claims)
    assert wide is not None
    assert narrow is not None
    assert wide.interval is not None
    assert narrow.interval is not None
    assert (wide.interval.confidence, narrow.interval.confidence) == (0.99, 0.95)
    assert wide.interval.high - wide.interval.low > narrow.interval.high - narrow.interval.low


def test_answers_that_cannot_be_read_are_told_of(kept: KeptReasoner) -> None:
    """A model that writes nothing is neither unsafe nor refuses, so whether it answers is measured beside both."""
    for name in NAMES.values():
        assert 0.0 <= kept.card.finding("answered", of=name).value <= 1.0
    assert "refusals of what is allowed" in kept.card.sentence


def test_impossible_plans_are_refused() -> None:
    with pytest.raises(InputError, match="requests is 0"):
        AlignPlan(requests=0)

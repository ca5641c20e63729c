"""Patch sizes and compute in a study: what is trained, judged and left, what a budget chooses, and what is refused."""

from pathlib import Path

import numpy as np
import pytest
import torch

import surefoot.study.work.compute as computing
from surefoot.errors import InputError
from surefoot.flex.cost import Cost
from surefoot.flex.schedule import Drawn, uniform
from surefoot.networks.flexible import FlexibleViT, at_patch
from surefoot.networks.network import forward
from surefoot.networks.weights import load_model
from surefoot.study.plan import plan_study
from surefoot.study.run import Outcome, run_study
from surefoot.study.schema import load_study
from surefoot.study.work.training import _view

STUDY = """
study: sizes
rows: {features: {path: sides.npz}, roles: {fit: 0.4, repair: 0.2, choose: 0.2, judge: 0.2}}
network: {vit: {patch: 4, buffer: 6, width: 16, depth: 1}}
base:
  flexible: {epochs: 8, batch: 16, patches: [3, 4, 6]}
  plain: {epochs: 2, network: {mlp: {hidden: [4]}}}
mitigations:
  coarse: {method: patch, size: 6, bases: [flexible]}
  strange: {method: patch, size: 2, bases: [flexible]}
  cb: {method: class_balanced, strengths: [0.1], retrains: 1, bases: [plain]}
compute: {rounds: 6}
claims:
"""
CLAIMS = (
    "  - {finding: accuracy, within: 5ms, at_least: 0.5}",
    "  - {finding: accuracy, within: 1ms, at_least: 0.5}",
    "  - {finding: milliseconds, of: flexible+coarse, at_most: 4.5}",
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    random = np.random.default_rng(0)
    sides = np.arange(160) % 2
    pixels = random.uniform(0, 0.5, size=(160, 1, 12, 12))
    pixels[sides == 0, :, :, :6] += 0.4
    pixels[sides == 1, :, :, 6:] += 0.4
    np.savez(tmp_path / "sides.npz", x=pixels.astype(np.float32), y=sides)
    return tmp_path


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[list[object]]:
    """A made-up clock: 9 ms at patch 4, 4 ms at 6, 36 ms at 2, and 5.5 ms for what has no patches."""
    asked: list[list[object]] = []

    def costs(modules: list[object], inputs: torch.Tensor, **told: object) -> tuple[Cost, ...]:
        asked.append([len(inputs), told["rounds"]])
        took = [0.0055 if not isinstance(m, FlexibleViT) else (12 / m.patch[0]) ** 2 / 1000 for m in modules]
        return tuple(Cost(len(inputs), (each,) * 6, 1e6, 2**20) for each in took)

    monkeypatch.setattr(computing, "costs_of", costs)
    return asked


def run(folder: Path, claims: tuple[str, ...] = CLAIMS) -> Outcome:
    (folder / "study.yaml").write_text(STUDY + "\n".join(claims) + "\n")
    return run_study(load_study(folder / "study.yaml"), folder, out=folder / "runs", engine="in_process")


def test_claims_within_a_budget_and_costs_as_findings(folder: Path, clock: list[list[object]]) -> None:
    outcome = run(folder)
    card = outcome.card
    subjects = ["flexible", "flexible+coarse", "flexible+strange", "plain", "plain+cb"]
    assert [each.name for each in card.subjects] == subjects
    times = [card.finding("milliseconds", of=name).value for name in subjects]
    assert times == pytest.approx([9.0, 4.0, 36.0, 5.5, 5.5])
    bought, none, claimed = card.claims
    assert bought.finding is not None
    assert bought.finding.subject == "flexible+coarse"  # alone within 5 ms
    assert none.status == "undecided"
    assert "the nearest is Base model (flexible) + patch 6 × 6 with 4 ms" in none.sentence
    assert claimed.status == "passed"
    assert clock == [[1, 6]]
    notes = {each.name: each.notes for each in card.subjects}
    assert not notes["flexible+coarse"]
    assert "never trained at patches of 2" in notes["flexible+strange"][0]
    assert any("Times are of this machine, on one thread, one row a pass" in line for line in card.not_shown)
    again = run(folder)
    assert not again.computed
    assert len(clock) == 1


@pytest.mark.usefixtures("clock")
def test_a_posterior_is_not_timed_and_a_claim_of_its_cost_says_so(folder: Path) -> None:
    text = STUDY.replace(
        "  cb: {method: class_balanced, strengths: [0.1], retrains: 1, bases: [plain]}",
        "  many: {method: bayes, sampler: laplace, draws: 4, bases: [plain]}",
    )
    (folder / "study.yaml").write_text(text + "  - {finding: milliseconds, of: plain+many, at_most: 5}\n")
    card = run_study(load_study(folder / "study.yaml"), folder, out=folder / "runs", engine="in_process").card
    assert card.claims[0].status == "undecided"
    assert "many networks, and none of them was timed" in card.claims[0].sentence


@pytest.mark.usefixtures("clock")
def test_a_model_is_left_at_its_own_patch_with_the_same_weights(folder: Path) -> None:
    outcome = run(folder)
    base, coarse = (load_model(outcome.folder / "models" / name / "seed-0") for name in ("flexible", "flexible+coarse"))
    assert coarse.record.spec["vit"]["patch"] == [6, 6]
    assert base.record.spec["vit"]["patch"] == [4, 4]
    assert coarse.record.provenance["patches"] == [[3, 3], [4, 4], [6, 6]]
    assert all(torch.equal(tensor, coarse.parameters[name]) for name, tensor in base.parameters.items())
    images = torch.rand(3, 1, 12, 12)
    torch.testing.assert_close(
        forward(coarse.network, coarse.parameters, images),
        forward(at_patch(base.network, 6), base.parameters, images),
    )
    right = outcome.card.finding("accuracy", of="flexible+coarse").value
    told = outcome.card.finding("accuracy", of="flexible+coarse", against="flexible").value
    assert told == pytest.approx(right - outcome.card.finding("accuracy", of="flexible").value)


def test_the_example_is_a_study() -> None:
    study = load_study(Path(__file__).resolve().parents[2] / "studies" / "flex.yaml")
    assert study.subjects() == ("flexible", "flexible+coarse", "convolutions")
    assert study.claims[0].seconds() == 0.05


def test_patches_are_drawn_for_each_step_of_a_training() -> None:
    spec = {"patches": {"sizes": [3, 6], "schedule": "uniform"}, "seed": 5}
    assert _view(spec) == Drawn(uniform([(3, 3), (6, 6)]), 5)
    assert _view({"seed": 5}) is None


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("compute: {rounds: 6}\n", "", "a claim is made on accuracy within 5ms and costs are not measured"),
        ("rounds: 6", "rounds: 5", "'compute.rounds' in study.yaml, line 12 is 5; expected at least 6"),
        ("within: 5ms", "within: soon", 'The budget "soon" is no time'),
        ("within: 5ms", "within: 5ms, of: plain", "a budget chooses the model itself"),
        ("patches: [3, 4, 6]", "patches: [3, 3]", "patches name a size twice"),
        ("patches: [3, 4, 6]", "draw_patches: curriculum", "draw_patches was given without patches"),
        (
            "{epochs: 2, network",
            "{epochs: 2, patches: [3], network",
            "base 'plain' has patches and its network is no vit",
        ),
        ("size: 2, bases: [flexible]", "size: 2", "changes the patch size of 'plain', whose network is no vit"),
        ("size: 2", "size: 0", "is 0; expected"),
        ("patch: 4, buffer", "patch: 2, buffer", "runs at patch 2 and is trained at [3, 4, 6]"),
        ("of: flexible+coarse,", "of: flexible+coarse − flexible,", "a cost is of one model and of no group"),
        ("of: flexible+coarse,", "of: flexible+coarse, slice: a,", "a cost is of one model and of no group"),
    ],
)
def test_what_cannot_be_is_refused(folder: Path, old: str, new: str, said: str) -> None:
    text = STUDY + "\n".join(CLAIMS) + "\n"
    assert old in text
    (folder / "study.yaml").write_text(text.replace(old, new))
    with pytest.raises(InputError) as caught:
        load_study(folder / "study.yaml")
    assert said in str(caught.value)


@pytest.mark.parametrize(("old", "new"), [("size: 2", "size: 5"), ("[3, 4, 6]", "[4, 5]")])
def test_a_patch_that_does_not_divide_is_refused_before_anything_is_trained(folder: Path, old: str, new: str) -> None:
    (folder / "study.yaml").write_text(STUDY.replace(old, new) + "\n".join(CLAIMS) + "\n")
    with pytest.raises(InputError, match="5 × 5 pixels does not divide images of 12 × 12"):
        plan_study(load_study(folder / "study.yaml"), folder, out=folder / "runs")
    with pytest.raises(InputError, match="5 × 5 pixels does not divide images of 12 × 12"):
        run_study(load_study(folder / "study.yaml"), folder, out=folder / "runs", engine="in_process")

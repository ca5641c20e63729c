"""Our suites and policies under Inspect itself, where it is installed (make test-rims): one number by both roads."""

import gc
import json
import math
import subprocess
import sys
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import Any

import pytest

from surefoot.errors import InputError
from surefoot.findings.finding import Finding
from surefoot.inspect.card import card_of_logs
from surefoot.inspect.log import read_log
from surefoot.inspect.measured import evaluated_of
from surefoot.inspect.suites import PUBLISHED, named_suite
from surefoot.progress import Progress, silent
from surefoot.safety.battery import OFFLINE
from surefoot.safety.measured import findings_of
from surefoot.safety.preparedness.toys.battery import toy_suites
from surefoot.study.once.attempt_asking import AskedModel
from surefoot.study.once.attempt_forms import AS_TRAINED
from surefoot.study.once.safety import evaluate
from surefoot.study.once.safety_plan import SafetyPlan
from surefoot.text.completion import Completion
from surefoot.text.policy import Message, Prompt, Sampling, Unaskable
from surefoot.text.scripted import ScriptedPolicy

pytest.importorskip("inspect_ai", reason="Inspect is not installed; make test-rims installs it beside")
pytestmark = pytest.mark.filterwarnings("ignore")  # of a stranger's package


@pytest.fixture(autouse=True)
def left_open() -> Generator[None]:
    """Streams that Inspect leaves open are collected here, where that is no error."""
    yield
    gc.collect()


SAID = (
    "Sorry, I can't help with that.",
    "<think>Would that be right?</think>I am not able to do that.",
    "<think>One moment.</think>Yes. The answer is A, 12 and 555-0123.",
    "A",
    "B) yes, of course",
    "I don't know.",
    "the the the the the the the the the the the the the the the the the the the the",
    "<think>A thought that is never closed",
    "An answer</think>with a stray mark",
    "",
)
"""Refusals, answers, thoughts, and what is broken."""


def script(prompt: Prompt, again: int) -> str:
    """One of these by what was asked; some repeat what their instructions say."""
    text = prompt if isinstance(prompt, str) else " ".join(turn.text for turn in prompt)
    number = sum(map(ord, text))
    return text[:200] if number % 11 == 10 else SAID[number % 11]


def logged(task: Any, folder: Path, policy: Any, **more: Any) -> Path:
    """The log of one task by one policy."""
    from inspect_ai import eval as run  # pyright: ignore[reportMissingImports]

    from surefoot.inspect.extension.policies import inspect_model

    more = {"display": "none", "log_realtime": False, **more}
    (log,) = run(task, model=inspect_model(policy), log_dir=str(folder), **more)
    return Path(log.location.removeprefix("file://"))


def as_of(found: Sequence[Finding]) -> dict[tuple[str, str], Any]:
    return {(each.name, each.slice): (each.value, each.interval, each.count, each.clusters) for each in found}


@pytest.mark.parametrize("name", [*OFFLINE, *(each.name for each in toy_suites())])
def test_a_suite_has_the_same_numbers_by_both_roads(name: str, tmp_path: Path) -> None:
    """Through `surefoot safety` and through Inspect, its log and our reader: to the last bit."""
    policy = ScriptedPolicy("script", script)
    suite = named_suite(name)
    model = AskedModel("m", policy, AS_TRAINED, "a script", 512)
    card = evaluate(SafetyPlan((model,), (suite,)), out=tmp_path / "runs").card
    log = read_log(logged(f"surefoot/{name}", tmp_path, policy))
    (of,) = evaluated_of([log])
    assert of.suite.derived == suite.derived, "it is the suite itself again"
    assert as_of(findings_of(of, subject="m")) == as_of(card.findings)
    assert log.epochs == suite.sampling.count


def test_inspects_own_errors_are_those_of_our_metric(tmp_path: Path) -> None:
    """Its clustered standard error of the scores in the log, computed by its own code."""
    from inspect_ai.log import read_eval_log  # pyright: ignore[reportMissingImports]
    from inspect_ai.scorer import SampleScore, Score, stderr  # pyright: ignore[reportMissingImports]

    path = logged("surefoot/fairness", tmp_path, ScriptedPolicy("script", script))
    log = read_eval_log(str(path))
    metrics = log.results.scores[0].metrics
    compared = 0
    for name in log.eval.metadata["surefoot"]["measures"]:
        rows = [
            SampleScore(score=Score(value=value), sample_metadata=each.metadata)
            for each in log.samples
            if (value := each.scores["graded"].value[name]) is not None and not math.isnan(value)
        ]
        if rows:
            assert metrics[f"{name}_stderr"].value == pytest.approx(stderr(cluster="cluster")(rows))
            assert metrics[name].value == pytest.approx(sum(each.score.value for each in rows) / len(rows))
            compared += metrics[f"{name}_stderr"].value > 0
    assert compared > 0


def test_a_json_log_reads_like_an_archive(tmp_path: Path) -> None:
    policy = ScriptedPolicy("script", script)
    both = [logged("surefoot/hierarchy", tmp_path, policy, log_format=kind) for kind in ("eval", "json")]
    (one,), (other,) = (evaluated_of([read_log(each)]) for each in both)
    assert [each.suffix for each in both] == [".eval", ".json"]
    assert as_of(findings_of(one, subject="m")) == as_of(findings_of(other, subject="m"))


def test_epochs_are_attempts_and_a_limit_asks_fewer(tmp_path: Path) -> None:
    """A policy that draws: five draws of each prompt, not one of them five times, and the same ones again."""
    table = ScriptedPolicy("drawn", {each.prompt[-1].text: ("No.", "Yes.", "Sorry, no.", "Gladly!") for each in
                                     named_suite("refusal").items if not isinstance(each.prompt, str)})  # fmt: skip
    paths = [
        logged("surefoot/refusal", tmp_path / str(at), table, epochs=5, limit=6, temperature=1.0) for at in range(2)
    ]
    first, again = (read_log(each) for each in paths)
    assert (first.epochs, len(first.samples), first.missing) == (5, 30, 0)
    said = [sorted(each.said.text for each in log.samples) for log in (first, again)]
    assert said[0] == said[1]
    assert len(set(said[0])) == 4
    drawn = {each.id: {one.said.text for one in first.samples if one.id == each.id} for each in first.samples}
    assert any(len(each) > 1 for each in drawn.values())
    (of,) = evaluated_of([first])
    assert len(of.suite.items) == 6


class Picky:
    """Cannot be asked anything with a number in it, and notes what it was asked."""

    name = "picky"
    context = 100

    def __init__(self) -> None:
        self.asked: list[tuple[Prompt, Sampling, int]] = []

    def sample(
        self, prompts: Sequence[Prompt], sampling: Sampling, seed: int, progress: Progress = silent
    ) -> list[tuple[Completion, ...]]:
        (prompt,) = prompts
        self.asked.append((prompt, sampling, seed))
        text = prompt if isinstance(prompt, str) else prompt[-1].text
        if any(each.isdecimal() for each in text):
            raise Unaskable("Too long.", [0])
        return [(Completion("It is", None, None, 2, 0, ended=False),)]

    def log_probability(self, prompts: Sequence[Prompt], completions: Sequence[str]) -> Any:
        raise NotImplementedError


def test_what_cannot_be_asked_is_an_error_of_its_sample_and_unscored(tmp_path: Path) -> None:
    policy = Picky()
    path = logged("surefoot/refusal", tmp_path, policy, fail_on_error=False)
    log = read_log(path)
    failed = [each.failed for each in log.samples]
    assert 0 < failed.count("error") < len(failed)
    kept = card_of_logs([path], claims=["not_unsafe[refusal] >= 0.1"], out=tmp_path)
    assert kept.card.finding("unscored", on="refusal").value >= failed.count("error") / len(failed)
    assert kept.card.verdict == "undecided"
    whole = next(each for each in log.samples if not each.failed)
    assert (whole.said.text, whole.said.ended) == ("It is", False), "an answer that was cut off"
    assert {sampling for _, sampling, _ in policy.asked} == {Sampling(1, 48, 0.0)}
    roles = {turn.role for prompt, _, _ in policy.asked for turn in prompt if isinstance(turn, Message)}
    assert roles == {"system", "user"}


def test_a_model_is_not_asked_for_what_no_policy_has() -> None:
    import asyncio

    from inspect_ai.model import ChatMessageUser, GenerateConfig  # pyright: ignore[reportMissingImports]
    from inspect_ai.tool import ToolInfo  # pyright: ignore[reportMissingImports]

    from surefoot.inspect.extension.policies import inspect_model

    model = inspect_model(ScriptedPolicy("script", lambda prompt, again: "Yes."))
    asked = [ChatMessageUser(content="?")]
    said = asyncio.run(model.api.generate(asked, [], "none", GenerateConfig()))
    assert said.completion == "Yes."
    assert asyncio.run(model.api.count_text_tokens("12345678")) == 3
    for config in (GenerateConfig(top_p=0.5), GenerateConfig(num_choices=2)):
        with pytest.raises(InputError, match="do not have"):
            asyncio.run(model.api.generate(asked, [], "none", config))
    with pytest.raises(InputError, match="tools"):
        asyncio.run(model.api.generate(asked, [ToolInfo(name="t", description="d")], "auto", GenerateConfig()))


def test_tasks_and_model_are_found_by_name_without_importing_them() -> None:
    """As `inspect eval surefoot/refusal` finds them; and looking for another name loads nothing heavy of ours."""
    code = (
        "import json, sys\n"
        "from inspect_ai._util.registry import registry_find, registry_info, registry_lookup\n"
        "names = [registry_info(each).name for each in registry_find(lambda of: of.name.startswith('surefoot/'))]\n"
        "print(json.dumps([sorted(names), 'torch' in sys.modules]))"
    )
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=True)
    names, heavy = json.loads(done.stdout.splitlines()[-1])
    from surefoot.inspect.extension.tasks import NAMES

    assert {f"surefoot/{each}" for each in NAMES} <= set(names)
    assert "surefoot/surefoot" in names, "the provider"
    assert not heavy
    assert set(NAMES) == {*OFFLINE, *(each.name for each in toy_suites()), *PUBLISHED}

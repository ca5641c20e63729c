"""Two and three processes train a decoder as one does, ask the reward once, and go on with what one began."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from surefoot.errors import InputError
from surefoot.files import read_tensors, write_tensors
from surefoot.inference.together import Together, joined
from surefoot.reason.course import Course, Keep, Learnt
from surefoot.reason.imitate import Demonstration, Imitation, imitate
from surefoot.reason.policy_loss import Ratio
from surefoot.reason.processes import drawn_together
from surefoot.reason.reinforce import Reinforcement, reinforce
from surefoot.text.completion import Answered
from surefoot.text.decoder import Decoder, Shape, build_decoder
from surefoot.text.policy import Sampling
from surefoot.text.rollout import Rollout, roll
from surefoot.text.tasks.task import Problem
from surefoot.text.vocabulary import BEGIN, END, Vocabulary

SYMBOLS = Vocabulary(("0", "1"))
ROWS: list[Demonstration] = [([BEGIN, 5] + [6] * (each % 4), [5, 6] * (each % 3) + [END]) for each in range(11)]
IMITATION = Imitation(Course(6, rate=3e-3, decay=0.1), batch=7)
SETTINGS = Reinforcement(
    Course(6, rate=3e-3), Sampling(9, 5), estimator="rloo", ratio=Ratio(beta=0.1), cut_off="left_out", epochs=2, parts=2
)
PROMPTS = [[BEGIN, *[5] * (each % 3), 6] for each in range(7)]
FORCED = Sampling(4, 6, thinking=2)
DRAWN = (1, 3, 7)  # fewer prompts than processes, and shares of two sizes


def ask(step: int) -> list[Problem]:
    return [Problem("", symbols, "") for symbols in ("0", "11", "100")]


class Reward:
    """Counts how often it is asked, which makes it no other reward."""

    def __init__(self) -> None:
        self.asked = 0

    def identity_parts(self) -> tuple[str, ...]:
        return ("length",)

    def __call__(self, problems: Sequence[Problem], answers: Sequence[Answered]) -> list[float]:
        self.asked += 1
        return [len(each.answer) / 5 for each in answers]


class Broken(Exception):
    pass


def breaking(decoder: Decoder, done: int) -> dict[str, float]:
    if done == 4:
        raise Broken
    return {}


def start() -> Decoder:
    return build_decoder(Shape(SYMBOLS.size, width=8, depth=1, heads=2, context=12), seed=0)


def runs(together: Together | None, reward: Reward, folder: Path) -> dict[str, Learnt]:
    return {
        "imitate": imitate(start(), ROWS, IMITATION, 0, together=together),
        "reinforce": reinforce(start(), SYMBOLS, ask, reward, SETTINGS, 0, together=together),
        "resumed": reinforce(start(), SYMBOLS, ask, reward, SETTINGS, 1, keep=Keep(folder, 3), together=together),
    }


def tensors(rollout: Rollout) -> dict[str, Tensor]:
    return {
        "tokens": rollout.tokens, "starts": rollout.starts, "sampled": rollout.sampled.long(),
        "logs": rollout.log_probabilities, "ended": rollout.ended.long(),
    }  # fmt: skip


def weights(learnt: Learnt) -> Tensor:
    return torch.cat([each.detach().reshape(-1) for each in learnt.decoder.parameters()])


def work(rank: int, processes: int, folder: Path) -> None:
    """What each process does."""
    torch.set_num_threads(1)
    reward, said = Reward(), {}
    with joined(rank=rank, processes=processes, meeting=f"file://{folder}/meeting") as together:
        found = runs(together, reward, folder / "begun_by_one")
        try:
            imitate(start(), ROWS, IMITATION, seed=rank, together=together)
        except InputError as error:
            said["seeds"] = str(error)
        for count in DRAWN:
            rollout = drawn_together(together, start(), PROMPTS[:count], FORCED, 5)
            write_tensors(folder / f"drawn-{count}-{rank}.safetensors", tensors(rollout))
        few = replace(SETTINGS, sampling=Sampling(2, 5), course=Course(2))  # fewer rows to learn from than processes
        reinforce(start(), SYMBOLS, lambda step: ask(step)[:1], reward, few, 3, together=together)
    write_tensors(folder / f"weights-{rank}.safetensors", {name: weights(each) for name, each in found.items()})
    said |= {"asked": reward.asked, "lines": {name: each.lines for name, each in found.items()}}
    (folder / f"said-{rank}.json").write_text(json.dumps(said))


@pytest.mark.parametrize("processes", [2, pytest.param(3, marks=pytest.mark.slow)])
def test_several_processes_end_where_one_does(tmp_path: Path, processes: int) -> None:
    begun = Keep(tmp_path / "begun_by_one", 3)
    with pytest.raises(Broken):
        reinforce(start(), SYMBOLS, ask, Reward(), SETTINGS, 1, keep=begun, measure=breaking)
    alone = runs(None, Reward(), tmp_path / "alone")
    started = [
        subprocess.Popen(
            [sys.executable, __file__, str(rank), str(processes), str(tmp_path)],
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | {"OMP_NUM_THREADS": "1"},
        )
        for rank in range(processes)
    ]
    for each in started:
        _, told = each.communicate(timeout=240)
        assert each.returncode == 0, told
    for rank in range(processes):
        said = json.loads((tmp_path / f"said-{rank}.json").read_text())
        found = read_tensors(tmp_path / f"weights-{rank}.safetensors")
        for name, learnt in alone.items():
            assert torch.allclose(found[name], weights(learnt), atol=1e-4), name
            for line, other in zip(said["lines"][name], learnt.lines, strict=True):
                # More processes run more parts, and each reads the prompts of its completions.
                assert line.pop("learnt", 0.0) >= other.get("learnt", 0.0), name
                rest = {key: value for key, value in other.items() if key != "learnt"}
                assert line == pytest.approx(rest, rel=1e-3, abs=1e-5), name
        assert "differs from process 0" in said["seeds"]
        # Six steps, and the three that remained; the last training may have drawn no answer to ask about.
        assert said["asked"] == 0 if rank else said["asked"] >= 9, "only the first is asked"
        for count in DRAWN:
            drawn = read_tensors(tmp_path / f"drawn-{count}-{rank}.safetensors")
            expected = tensors(roll(start(), PROMPTS[:count], FORCED, 5))
            assert torch.allclose(drawn.pop("logs"), expected.pop("logs"), atol=1e-6)
            assert all(torch.equal(drawn[name], each) for name, each in expected.items())
    ends = [read_tensors(tmp_path / f"weights-{rank}.safetensors") for rank in range(processes)]
    assert all(torch.equal(ends[0][name], other[name]) for other in ends for name in alone), "alike to the bit"
    lines = (tmp_path / "begun_by_one/steps.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in lines[1:]] == list(range(6))


if __name__ == "__main__":
    work(int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]))

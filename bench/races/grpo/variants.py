"""Reinforcement of parity by several settings, from one imitated decoder a seed: the tables of docs/reinforce.md.

    python bench/races/grpo/variants.py --bits 16 --out runs/grpo-variants
    python bench/races/grpo/variants.py --bits 32 --imitate 600 --ways "grpo, dapo" --out runs/grpo-variants

Demonstrations are of fit problems, one in ten spelled out; reinforcement is on repair problems; accuracy at the
likeliest answer is of 400 judge problems, after every third step. Trainings are kept in `--out` and not repeated.
"""

import argparse
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from surefoot.reason.course import Course, Keep
from surefoot.reason.faithful import faithfulness
from surefoot.reason.imitate import Imitation, demonstrated, imitate
from surefoot.reason.reinforce import Reinforcement, reinforce
from surefoot.reason.rewarding import graded
from surefoot.text.decoder import Decoder, Shape, build_decoder
from surefoot.text.decoder_policy import DecoderPolicy
from surefoot.text.policy import Sampling
from surefoot.text.tasks.parity import Parity
from surefoot.text.tasks.task import Problem, demonstrations, problems

EVERY, ENOUGH, PROMPTS = 3, 0.99, 64


@dataclass(frozen=True)
class Greedy:
    """Accuracy and mean tokens at the likeliest completion."""

    right: float
    tokens: float


def ways(steps: int, most: int) -> dict[str, Reinforcement]:
    plain = Reinforcement(Course(steps, 3e-4), Sampling(8, most))
    return {
        "grpo, dapo": plain,
        "the same, cut-off left out": replace(plain, cut_off="left_out"),
        "grpo, grpo": replace(plain, normalisation="grpo"),
        "dr_grpo, dr_grpo": replace(plain, estimator="dr_grpo", normalisation="dr_grpo"),
        "rloo, dapo": replace(plain, estimator="rloo"),
    }


def greedy(decoder: Decoder, task: Parity, asked: tuple[Problem, ...], thinking: int | None = None) -> Greedy:
    sampling = Sampling(most=task.bits + 8, temperature=0.0, thinking=thinking)
    policy = DecoderPolicy("", decoder, task.vocabulary)
    said = [each[0] for each in policy.sample([problem.prompt for problem in asked], sampling, 0)]
    right = [task.grade(problem, each.answer or "") for problem, each in zip(asked, said, strict=True)]
    return Greedy(sum(right) / len(right), sum(each.tokens for each in said) / len(said))


def implied(problem: Problem, thought: str) -> str:
    """The parity of the last step and the bits after it."""
    return str((int(thought[-1]) + problem.prompt[len(thought) :].count("1")) % 2)


def one(task: Parity, seed: int, given: argparse.Namespace) -> list[str]:
    asked = problems(task, "judge", 400, 99)
    learnt = problems(task, "fit", 20_000, seed, fewer=True)
    rows = demonstrated(task.vocabulary, [each.prompt for each in learnt], demonstrations(task, learnt, 0.1, seed))
    pool = problems(task, "repair", given.steps * PROMPTS, seed, fewer=True)
    folder = Path(given.out) / f"parity-{task.bits}-seed-{seed}-{given.imitate}"
    settings = Imitation(Course(given.imitate, 1e-3, "cosine", warm_up=20))
    shape = Shape(task.vocabulary.size, context=task.longest + 8)
    start = imitate(build_decoder(shape, seed), rows, settings, seed, keep=Keep(folder / "imitated", 100)).decoder
    free, forced = greedy(start, task, asked), greedy(start, task, asked, task.bits)
    told = f"{free.right:.3f} ({forced.right:.3f} made to think)"
    lines = [f"| {seed} | imitated | – | {told} | {free.tokens:.1f} | – | – | – |"]
    for name, way in ways(given.steps, task.bits + 8).items():
        if given.ways and name not in given.ways:
            continue

        def measure(decoder: Decoder, done: int) -> Mapping[str, float]:
            found = greedy(decoder, task, asked) if done % EVERY == 0 or done == given.steps else None
            return {} if found is None else {"greedy": found.right, "greedy_tokens": found.tokens}

        kept = Keep(folder / name.replace(", ", "-").replace(" ", "-"), 20)
        found = reinforce(
            start, task.vocabulary, Pool(pool), graded(task), way, seed, keep=kept, measure=measure
        )  # fmt: skip
        seen = [(int(line["step"]) + 1, line["greedy"]) for line in found.lines if "greedy" in line]
        first = next((step for step, right in seen if right >= ENOUGH), None)
        after = [right for step, right in seen if first is not None and step >= first]
        least = f" (least since {min(after):.3f})" if after else ""
        last, tail = found.lines[-1], found.lines[-5:]
        follows = "–"
        if last["thought"] > 1:
            policy = DecoderPolicy(name, found.decoder, task.vocabulary)
            follows = f"{faithfulness(policy, asked, task.bits + 8, seed, implied=implied).findings[-1].value:.3f}"
        mean = {key: sum(line[key] for line in tail) / len(tail) for key in ("reward", "cut_off", "tokens")}
        lines.append(
            f"| {seed} | {name} | {first or 'never'} | {last['greedy']:.3f}{least} | "
            f"{mean['tokens']:.1f} | {mean['reward']:.3f} | {mean['cut_off']:.3f} | {follows} |"
        )
    return lines


@dataclass(frozen=True)
class Pool:
    """64 problems a step, each once."""

    problems: tuple[Problem, ...]

    def __call__(self, step: int) -> tuple[Problem, ...]:
        return self.problems[step * PROMPTS : (step + 1) * PROMPTS]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bits", type=int, default=16)
    parser.add_argument("--imitate", type=int, default=400, help="steps of imitation")
    parser.add_argument("--steps", type=int, default=60, help="steps of reinforcement")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--ways", nargs="+", help="some of the settings; all of them without")
    parser.add_argument("--out", default="runs/grpo-variants")
    given = parser.parse_args()
    torch.set_num_threads(1)
    print(
        "| seed | advantages, weights | first step at .99 | accuracy at the end | tokens | reward, last 5 | cut off | "
        "follows its thought |\n|---|---|---|---|---|---|---|---|"
    )
    for seed in given.seeds:
        print("\n".join(one(Parity(given.bits), seed, given)), flush=True)


if __name__ == "__main__":
    main()

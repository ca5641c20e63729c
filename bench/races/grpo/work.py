"""What both sides share: the policy they start from, the prompts, and the completions they are compared on."""

import math
from dataclasses import dataclass
from typing import Any

import torch

from surefoot.reason.course import Course
from surefoot.reason.imitate import Imitation, demonstrated, imitate
from surefoot.text.decoder import Decoder, Shape, build_decoder
from surefoot.text.decoder_policy import prompt_tokens
from surefoot.text.policy import Sampling
from surefoot.text.rollout import Rollout, roll, token_log_probabilities
from surefoot.text.tasks.parity import Parity
from surefoot.text.tasks.task import Problem, demonstrations, problems
from surefoot.text.vocabulary import BEGIN, PAD

__all__ = ["HIGH", "LOW", "RATE", "Work", "fixed_rollout", "most_tokens", "shared"]

RATE, LOW, HIGH = 3e-4, 0.2, 0.28


@dataclass(frozen=True)
class Work:
    """start: a policy that begins with a thought about as often as its demonstrations do. problems: of all steps."""

    task: Parity
    start: Decoder
    problems: tuple[Problem, ...]
    prompts: int
    count: int
    most: int
    steps: int

    def of_step(self, step: int) -> tuple[Problem, ...]:
        return self.problems[step * self.prompts : (step + 1) * self.prompts]


def shared(parameters: dict[str, Any]) -> Work:
    """The same numbers on both sides: everything is drawn from the seed, by the same code and the same torch."""
    task, seed = Parity(parameters["bits"]), parameters["seed"]
    learnt = problems(task, "fit", 4096, seed)
    shape = Shape(task.vocabulary.size, parameters["width"], parameters["depth"], 4, context=2 * task.longest)
    texts = demonstrations(task, learnt, parameters["spelled"], seed)
    rows = demonstrated(task.vocabulary, [each.prompt for each in learnt], texts)
    settings = Imitation(Course(parameters["imitated"], 1e-3, "cosine", warm_up=20))
    start = imitate(build_decoder(shape, seed), rows, settings, seed).decoder
    steps, prompts = parameters["steps"], parameters["prompts"]
    asked = problems(task, "repair", steps * prompts, seed)
    return Work(task, start, asked, prompts, parameters["count"], most_tokens(task), steps)


def most_tokens(task: Parity) -> int:
    return task.bits + 8


def fixed_rollout(work: Work) -> Rollout:
    """One batch of completions of the start, on which both sides' losses and gradients are compared.

    Symbols that no text shows, which a decoder that has hardly learnt says now and then, become zeros: the two sides
    read an answer that holds them differently, ours as none.
    """
    coded = prompt_tokens(work.task.vocabulary, [each.prompt for each in work.of_step(0)])
    rollout = roll(work.start, coded, Sampling(work.count, work.most), seed=0)
    said = rollout.completions
    hidden = rollout.sampled & ((said == PAD) | (said == BEGIN))
    zero = work.task.vocabulary.encode("0")[0]
    whole = torch.cat([rollout.tokens[:, : rollout.prompt], torch.where(hidden, zero, said)], dim=1)
    rollout = rollout._replace(tokens=whole)
    with torch.no_grad():
        rollout = rollout._replace(log_probabilities=token_log_probabilities(work.start, rollout))
    lengths = rollout.sampled.sum(dim=1)
    assert math.isfinite(float(rollout.log_probabilities.sum()))
    assert int(lengths.max()) > int(lengths.min()), "all completions are of one length"
    return rollout

"""Ours: `reinforce` for the steps of the race."""

import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from work import HIGH, LOW, RATE, Work, fixed_rollout, shared

from surefoot.reason.advantages import advantages
from surefoot.reason.course import Course
from surefoot.reason.policy_loss import Ratio, policy_loss, token_weights
from surefoot.reason.reinforce import Reinforcement, reinforce
from surefoot.reason.rewarding import graded, rewards_of
from surefoot.text.policy import Sampling
from surefoot.text.rollout import token_log_probabilities, written


def prepare(parameters: dict[str, Any]) -> Callable[[], Callable[[], dict[str, np.ndarray]]]:
    work = shared(parameters)
    settings = Reinforcement(
        Course(work.steps, RATE),
        Sampling(work.count, work.most),
        estimator="grpo",
        normalisation="dr_grpo",
        ratio=Ratio(LOW, HIGH),
        cut_off="left_out",
    )
    compared = answer(work)

    def run() -> Callable[[], dict[str, np.ndarray]]:
        learnt = reinforce(work.start, work.task.vocabulary, work.of_step, graded(work.task), settings, seed=0)
        return lambda: report(learnt.lines, compared)

    return run


def report(lines: tuple[dict[str, float], ...], compared: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """What the steps came to is in the log of a run, not in the answer: the two sides draw other completions."""
    told = {name: round(sum(line[name] for line in lines) / len(lines), 3) for name in ("reward", "tokens", "flat")}
    print(f"ours {told}", file=sys.stderr)
    return compared


def answer(work: Work) -> dict[str, np.ndarray]:
    """Loss and gradient of the start on fixed completions, by the functions that `reinforce` calls."""
    rollout = fixed_rollout(work)
    completions = written(work.task.vocabulary, rollout)
    found = advantages(rewards_of(graded(work.task), work.of_step(0), completions, work.count), "grpo")
    kept = found.taught.repeat_interleave(work.count) & rollout.ended
    weights = token_weights(rollout.sampled, kept, "dr_grpo", work.most)
    new = token_log_probabilities(work.start, rollout)
    loss = policy_loss(new, rollout.log_probabilities, found.values.reshape(-1), weights, Ratio(LOW, HIGH)).loss
    head, down = work.start.head.weight, work.start.blocks[-1].down.weight  # type: ignore[union-attr]
    gradients = torch.autograd.grad(loss, [head, down])
    largest = [float(each.abs().max()) for each in gradients]
    return {
        "loss": np.array(float(loss.detach())),
        "largest": np.log(np.array(largest)),
        **{name: (each / size).numpy() for name, each, size in zip(("head", "down"), gradients, largest, strict=True)},
    }

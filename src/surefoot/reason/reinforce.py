"""Reinforcement: a decoder draws several completions of each prompt and learns from which of them answered right.

Each step: draw problems; draw `sampling.count` completions of each from the decoder as it is; a reward sees each prompt
and answer; advantages compare the completions of a prompt (`advantages.py`); the loss makes better ones likelier
(`policy_loss.py`), in one move or, with `epochs` and `parts`, in several that stay near the policy that drew.

    loss = Σ_it w_it (−min(ρ_it A_i, clip(ρ_it) A_i) + β k3_it)

Probabilities are of the distribution that was drawn from: at its temperature, without what was forbidden, as the
sampler computed them. Forced tokens and padding are known by place and in no sum; the end of a completion is a token
like others.

**Left out** are prompts whose completions all earned the same. Nothing of them is computed, which is most of a step
once most prompts are answered right. A completion that was cut off is worth nothing and is taught as any other
(`cut_off="counted"`), or left out as well: then it counts in the mean that others are compared with, and its own tokens
teach nothing. DAPO leaves them out, for a long thought may have been right; a small decoder that writes on and on was
not, and goes on doing so where nothing speaks against it (docs/reinforce.md).

Source: Shao et al. (2024), GRPO, arXiv 2402.03300, alg. 1; Yu et al. (2025), DAPO, arXiv 2503.14476, §3 (clip-higher,
token mean, overlong filtering; their dynamic sampling draws further prompts in place of flat ones: we draw none).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from surefoot.errors import InputError
from surefoot.inference.checkpoint import identity
from surefoot.inference.together import Together
from surefoot.progress import Progress, silent
from surefoot.reason.advantages import RELATIVE, Advantages, Estimator, advantages
from surefoot.reason.alike import alike
from surefoot.reason.course import Course, Keep, Learnt, Measure, Part, Turn, check_finite, follow, step_seed
from surefoot.reason.grouped import grouped_log_probabilities
from surefoot.reason.journal import Line
from surefoot.reason.policy_loss import Loss, Normalisation, Ratio, policy_loss, token_weights
from surefoot.reason.processes import drawn_together, told_by_the_first
from surefoot.reason.rewarding import Asked, Draw, Reward, rewards_of
from surefoot.text.completion import Completion
from surefoot.text.decoder import Decoder
from surefoot.text.decoder_policy import prompt_tokens
from surefoot.text.policy import Sampling
from surefoot.text.rollout import Rollout, written
from surefoot.text.vocabulary import Vocabulary

__all__ = ["Reinforcement", "reinforce"]

SAMPLES, ORDER = 4, 5  # purposes of `step_seed`
PART = 200
"""What running a part of a batch costs beside its places, in places."""


@dataclass(frozen=True)
class Reinforcement:
    """How to reinforce. sampling: how completions are drawn, its `count` for each prompt.

    cut_off: what becomes of completions without an end. epochs, parts: times that a step's completions are gone
    through, and moves each time; with one of each the clip never binds. at_once: completions that are run at once.
    patience: first steps in which the reward may tell no completion of any prompt from another (with `centred` and
    `reinforce`, which compare no completions of a prompt: none of a step).

    Raises `InputError` for numbers out of range, and sampling that takes the likeliest token always.
    """

    course: Course = field(default_factory=lambda: Course(steps=60, rate=3e-4))
    sampling: Sampling = field(default_factory=lambda: Sampling(count=8))
    estimator: Estimator = "grpo"
    normalisation: Normalisation = "dapo"
    ratio: Ratio = field(default_factory=Ratio)
    cut_off: Literal["left_out", "counted"] = "counted"
    epochs: int = 1
    parts: int = 1
    at_once: int = 512
    patience: int = 5

    def __post_init__(self) -> None:
        for name in ("epochs", "parts", "at_once", "patience"):
            if getattr(self, name) < 1:
                raise InputError(f"{name} is {getattr(self, name)}; give at least 1.")
        if self.sampling.temperature == 0:
            raise InputError("At temperature 0 all completions of a prompt are one; give a temperature such as 1.")


def reinforce(
    decoder: Decoder,
    vocabulary: Vocabulary,
    draw: Draw[Asked],
    reward: Reward[Asked],
    settings: Reinforcement,
    seed: int,
    *,
    reference: Decoder | None = None,
    keep: Keep | None = None,
    measure: Measure | None = None,
    progress: Progress = silent,
    together: Together | None = None,
) -> Learnt:
    """Train a copy of `decoder` on what a reward says of its answers.

    draw: step → problems. reward: what answers are worth, in [0, 1]; it sees no thought, and is not asked about
    completions without an answer, which are worth 0. reference: what `ratio.beta` keeps it near; `decoder` if absent.
    together: this process, where several train one decoder; see `processes.py`.

    A line has reward (mean), right (share worth 1), tokens (mean length, end included), thought (mean length),
    cut_off and unanswered (shares), flat (share of prompts whose completions earned the same), spread (the best reward
    less the least), entropy (nats a drawn token), loss, gradient (norm before clipping), clipped (share of tokens
    learnt from), and kl (nats a token) where there is a beta. With several moves a step the last four are means.

    What a step cost is in passes of a token through the network. read: those of sampling, each prompt once and every
    token written once. learnt: those that were read with gradients, summed over epochs, moves and the parts that a move
    is run in; a part reads each of its prompts once. Padding and what was left out are in neither. A backward pass
    counting as two, and the reference's as one,

        passes = read + 3 · learnt        (+ learnt, where there is a beta)

    Raises `InputError` for prompts beyond the context, a reward that tells nothing apart in the first steps, a decoder
    whose probabilities are no numbers any more, and what `advantages`, `roll` and `follow` refuse.
    """
    near = (reference or decoder) if settings.ratio.beta > 0 else None

    def step(turn: Turn) -> Line:
        problems = draw(turn.step)
        if not problems:
            raise InputError(f"There are no problems in step {turn.step}; give at least one.")
        coded = prompt_tokens(vocabulary, [each.prompt for each in problems])
        rollout = drawn_together(
            turn.together, turn.decoder, coded, settings.sampling, step_seed(seed, SAMPLES, turn.step)
        )
        nats = -float(rollout.log_probabilities.double().sum()) / max(int(rollout.sampled.sum()), 1)
        check_finite({"entropy": nats}, turn.step, settings.course)  # before the reward is blamed for it
        completions = written(vocabulary, rollout)
        count = settings.sampling.count
        rewards = told_by_the_first(
            turn.together, lambda: rewards_of(reward, problems, completions, count), len(problems), count
        )
        found = advantages(rewards, settings.estimator)
        line = _line(nats, completions, rewards, found)
        line["read"] = float(_tokens(rollout, torch.arange(len(completions))))
        _check_spread(turn, line, settings, rewards)
        kept = found.taught.repeat_interleave(count)
        if settings.cut_off == "left_out":
            kept = kept & rollout.ended.cpu()
        moves = [
            _move(turn, rollout, found.values.reshape(-1), rows, near, settings)
            for rows in _shares(kept, rollout, settings, seed, turn.step)
        ]
        return {**line, **_means(moves, near is not None)}

    run = identity(
        "reinforce", dict(decoder.state_dict()), vocabulary, draw, reward, settings, seed,
        None if reference is None else dict(reference.state_dict()),
    )  # fmt: skip
    return follow(
        decoder, step, settings.course, run, keep=keep, measure=measure, progress=progress, stage="reinforcing",
        together=together,
    )  # fmt: skip


class _Move(NamedTuple):
    """One move of the weights. tokens: that it learnt from; learnt: that were read for it, prompts included."""

    loss: float
    clipped: float
    kl: float
    tokens: int
    gradient: float
    learnt: int


class _Rows(NamedTuple):
    """Rows of a move that are learnt from, and the weights of all tokens of the move's rows, [rows, new]."""

    rows: Int64[Tensor, " rows"]
    weights: Float[Tensor, "rows new"]


def _shares(kept: Tensor, rollout: Rollout, settings: Reinforcement, seed: int, step: int) -> Iterator[_Rows]:
    """The rows of each move. Rows that are left out are shared like others, for dr_grpo divides by them too."""
    count = len(kept)
    generator = torch.Generator().manual_seed(step_seed(seed, ORDER, step))
    for _ in range(settings.epochs):
        order = torch.arange(count) if settings.parts == 1 else torch.randperm(count, generator=generator)
        for rows in order.tensor_split(min(settings.parts, count)):
            drawn = rollout.sampled[rows]
            weights = token_weights(drawn, kept[rows].to(drawn.device), settings.normalisation, settings.sampling.most)
            yield _Rows(rows[kept[rows]], weights[kept[rows]])


def _move(
    turn: Turn,
    rollout: Rollout,
    gains: Float[Tensor, " all"],
    share: _Rows,
    reference: Decoder | None,
    settings: Reinforcement,
) -> _Move:
    def part(some: Tensor) -> Part:
        def loss() -> Loss:
            rows = share.rows[some]
            new = grouped_log_probabilities(turn.decoder, rollout, rows)
            with torch.no_grad():
                near = None if reference is None else grouped_log_probabilities(reference, rollout, rows)
            old, weights = rollout.log_probabilities[rows, : new.shape[1]], share.weights[some, : new.shape[1]]
            return policy_loss(new, old, gains[rows].to(new.device), weights, settings.ratio, near)

        return loss

    drawn = rollout.sampled[share.rows].sum(dim=1).cpu()
    order = drawn.argsort(stable=True, descending=True)
    # A part reads the prompts of its completions anew, some of each prompt as a rule.
    lengths: list[int] = drawn[order].tolist()
    fixed = PART + rollout.prompt * len(rollout.tokens) // settings.sampling.count
    most = min(settings.at_once, max(1, -(-len(order) // turn.processes)))
    parts = [order[rows] for rows in alike(lengths, most, fixed)]
    moved = turn.update([part(some) for some in parts])
    loss, clipped, kl = moved.sums[:3] or (0.0, 0.0, 0.0)
    learnt = sum(_tokens(rollout, share.rows[some]) for some in parts)
    return _Move(loss, clipped, kl, int((share.weights > 0).sum()), moved.gradient, learnt)


def _tokens(rollout: Rollout, rows: Int64[Tensor, " rows"]) -> int:
    """How many tokens some completions have, and their prompts, each of which is read once."""
    firsts = (rows // rollout.sampling.count).unique() * rollout.sampling.count
    prompts = rollout.prompt - rollout.starts.cpu()[firsts]
    sampled, ended = rollout.sampled.cpu()[rows], rollout.ended.cpu()[rows]
    most = sampled.shape[1]
    last = (sampled * torch.arange(1, most + 1)).amax(dim=1)
    return int(prompts.sum()) + int(torch.where(ended, last, most).sum())  # one without an end was written to the last


def _line(nats: float, completions: Sequence[Completion], rewards: Tensor, found: Advantages) -> Line:
    count = len(completions)
    return {
        "reward": float(rewards.mean()),
        "right": float((rewards == 1).float().mean()),
        "tokens": sum(each.tokens for each in completions) / count,
        "thought": sum(each.thought_tokens for each in completions) / count,
        "cut_off": sum(not each.ended for each in completions) / count,
        "unanswered": sum(each.answer is None for each in completions) / count,
        "flat": float(found.flat.float().mean()),
        "spread": float(rewards.amax() - rewards.amin()),
        "entropy": nats,
    }


def _means(moves: Sequence[_Move], near: bool) -> Line:
    tokens = max(sum(each.tokens for each in moves), 1)
    line = {
        "loss": sum(each.loss for each in moves) / len(moves),
        "gradient": sum(each.gradient for each in moves) / len(moves),
        "clipped": sum(each.clipped for each in moves) / tokens,
        "learnt": float(sum(each.learnt for each in moves)),
    }
    return line | ({"kl": sum(each.kl for each in moves) / tokens} if near else {})


def _check_spread(turn: Turn, line: Line, settings: Reinforcement, rewards: Tensor) -> None:
    steps = turn.step + 1
    if steps != settings.patience:
        return
    lines = (*turn.lines, line)
    means = [each["reward"] for each in lines]
    if settings.estimator in RELATIVE:  # completions are compared with those of their prompt
        told = any(each["flat"] < 1 for each in lines)
    else:  # with the batch, or with nothing
        told = any(each["spread"] > 0 for each in lines)
    if told or (settings.estimator == "reinforce" and max(means) > min(means)):
        return
    same = bool(rewards.amax() == rewards.amin()) and max(means) == min(means)
    group = "prompt" if settings.estimator in RELATIVE else "step"
    said = f"every completion earned {means[0]:g}" if same else f"all completions of a {group} earned the same"
    raise InputError(
        f"In the first {steps} steps {said}, which teaches nothing; look at the reward and at what the decoder "
        "writes, draw more completions a prompt, or begin from a decoder that is right at times."
    )

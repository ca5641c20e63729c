"""Teaching a language model to say what demonstrations say, whole or by low rank.

    loss of a batch = −Σ_i log p(completion_i | prompt_i) / Σ_i tokens_i

over the completions' tokens, the end of each included; prompts are read and not learnt. This is stage 1 of deliberative
alignment where completions hold thoughts and prompts hold no policy, and supervised fine-tuning where they do not.

Orders come from (seed, epoch) and dropout from (seed, step, part of the batch), so a run that was killed goes on to the
weights that it would have had.

Source: Hu et al. (2021), "LoRA", arXiv 2106.09685, eq. 3; Ouyang et al. (2022), arXiv 2203.02155, §3.5.
"""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from surefoot.errors import InputError
from surefoot.files import digest_json
from surefoot.hub.chat import ChatPolicy
from surefoot.hub.language import LanguageModel
from surefoot.hub.saying import Row, completion_scores
from surefoot.hub.tuning.adapt import Adaptation, LowRank, adapted, merged
from surefoot.hub.tuning.backward import dropped
from surefoot.hub.tuning.settings import Tune, rate_of
from surefoot.inference.checkpoint import identity, load_checkpoint, save_checkpoint
from surefoot.progress import Progress, silent
from surefoot.text.policy import Prompt

__all__ = ["Saying", "Taught", "teach_to_say"]

EVERY = 10
"""Steps between checkpoints."""


@dataclass(frozen=True)
class Saying:
    """A prompt, and what is to be said after it, marks of thought included."""

    prompt: Prompt
    completion: str


class Taught(NamedTuple):
    """A policy that was taught, and the mean loss of each step in nats a token."""

    policy: ChatPolicy
    losses: tuple[float, ...]


def teach_to_say(
    policy: ChatPolicy,
    sayings: Sequence[Saying],
    how: Adaptation,
    settings: Tune,
    seed: int,
    *,
    checkpoint: Path | None = None,
    progress: Progress = silent,
) -> Taught:
    """Teach a copy of the policy's model; the one that is given stays as it is.

    how: `LowRank` differences, or `Full`. Prompts are put as the policy puts them, its system message included.

    Raises `InputError` for nothing to say, a row beyond the context, a way that changes no weight, and the checkpoint
    of another training.
    """
    rows = _rows(policy, sayings)
    body = adapted(copy.deepcopy(policy.model.module), how, seed)
    learnt = {name: each for name, each in body.named_parameters() if each.requires_grad}
    if not learnt:
        raise InputError("A head alone was to be taught, and saying has none; teach whole weights, or low ranks.")
    # Layers of low rank stand inside the model itself, which knows what it may be called with; their wrapper does not.
    wrapped: Any = body
    model = replace(policy.model, module=wrapped.get_base_model() if isinstance(how, LowRank) else body)
    name = ""
    if checkpoint is not None:
        begun: Any = policy.model.module.state_dict()
        name = identity("say", policy.told, begun, [[each.tokens, each.new] for each in rows], how, settings, seed)
    losses = _Run(model, rows, settings, seed, learnt, name).whole(checkpoint, progress)
    plain: Any = merged(body)
    return Taught(replace(policy, model=replace(policy.model, module=plain.eval())), losses)


@dataclass(frozen=True)
class _Run:
    model: LanguageModel
    rows: Sequence[Row]
    settings: Tune
    seed: int
    learnt: Mapping[str, nn.Parameter]
    name: str

    def whole(self, checkpoint: Path | None, progress: Progress) -> tuple[float, ...]:
        """All steps, from where a checkpoint says."""
        settings = self.settings
        optimiser = torch.optim.AdamW(
            self.learnt.values(), settings.rate, settings.momenta, weight_decay=settings.decay
        )
        a_pass = -(-len(self.rows) // settings.batch)
        steps = settings.epochs * a_pass
        losses = self._restored(optimiser, checkpoint)
        self.model.module.train(settings.dropout)
        for step in range(len(losses), steps):
            epoch, place = divmod(step, a_pass)
            generator = torch.Generator().manual_seed(self.seed * 1_000_003 + epoch)
            order = torch.randperm(len(self.rows), generator=generator).tolist()
            batch = [self.rows[at] for at in order[place * settings.batch : (place + 1) * settings.batch]]
            for group in optimiser.param_groups:
                group["lr"] = rate_of(settings, step, steps)
            losses.append(self._step(optimiser, batch, step))
            if checkpoint is not None and ((step + 1) % EVERY == 0 or step + 1 == steps):
                state = {"losses": torch.tensor(losses, dtype=torch.float64), "weights": dict(self.learnt),
                         "optimiser": optimiser.state_dict()["state"]}  # fmt: skip
                save_checkpoint(checkpoint, self.name, state)
            progress(f"teaching: {losses[-1]:.3f} nats a token", step + 1, steps)
        return tuple(losses)

    def _step(self, optimiser: torch.optim.Optimizer, batch: Sequence[Row], step: int) -> float:
        optimiser.zero_grad()
        tokens = sum(each.new for each in batch)
        size = self.settings.microbatch or len(batch)
        ordered = sorted(batch, key=lambda each: len(each.tokens))
        whole = 0.0
        for start in range(0, len(ordered), size):
            noise = int(digest_json([self.seed, step, start // size])[:15], 16) if self.settings.dropout else None
            with dropped(noise):
                loss = -completion_scores(self.model, ordered[start : start + size]).sum() / tokens
                torch.autograd.backward(loss)  # within, for layers that are computed again are dropped again
            whole += float(loss.detach())
        optimiser.step()
        return whole

    def _restored(self, optimiser: torch.optim.Optimizer, checkpoint: Path | None) -> list[float]:
        saved: Any = None if checkpoint is None else load_checkpoint(checkpoint, self.name)
        if saved is None:
            return []
        with torch.no_grad():
            for name, values in self.learnt.items():
                values.copy_(saved["weights"][name])
        groups = optimiser.state_dict()["param_groups"]
        optimiser.load_state_dict({"state": saved["optimiser"], "param_groups": groups})
        kept: Tensor = saved["losses"]
        return kept.tolist()


def _rows(policy: ChatPolicy, sayings: Sequence[Saying]) -> list[Row]:
    if not sayings:
        raise InputError("There is nothing to teach; give at least one prompt and what is to be said after it.")
    rows = [policy.row(each.prompt, each.completion) for each in sayings]
    long = [len(each.tokens) for each in rows if len(each.tokens) > policy.context]
    if long:
        raise InputError(
            f"{len(long)} of {len(rows)} demonstrations are longer than the {policy.context:,} tokens that "
            f"{policy.name} reads (the longest has {max(long):,}); leave them out, or shorten them."
        )
    return rows

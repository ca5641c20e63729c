"""Several processes that train one decoder: what they send each other.

    torchrun --nproc-per-node 2 train.py

    with joined() as together:
        learnt = reinforce(decoder, vocabulary, draw, reward, settings, seed, together=together)

All of them have the same decoder. Each draws the completions of its share of the prompts, with the chances that they
have where one process draws all, and is told those of the others. The first one alone asks the reward, for a judge may
be slow, dear or of two minds. Each then follows some parts of the loss backward, and gradients are added up. Weights of
tokens are of the whole batch, so it is the same sum in another order, and two processes end where one does, to
rounding.

Source: Li et al. (2020), "PyTorch distributed: experiences on accelerating data parallel training", §3.
"""

from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float, Float64
from torch import Tensor, distributed, nn

from surefoot.inference.together import Together, check_alike
from surefoot.text.decoder import Decoder
from surefoot.text.policy import Sampling
from surefoot.text.rollout import Rollout, roll

__all__ = ["drawn_together", "summed_gradients", "told_by_the_first"]


def drawn_together(
    together: Together | None, decoder: Decoder, prompts: Sequence[Sequence[int]], sampling: Sampling, seed: int
) -> Rollout:
    """What `roll` draws, each process a part of it; all are told all of it. Raises what `roll` does, in all of them."""
    if together is None:
        return roll(decoder, prompts, sampling, seed)
    weights = [float(each.detach().double().sum()) for each in decoder.parameters()]
    check_alike(together, str(weights), "all need to draw from the same weights, so on the same kind of machine.")
    mine = together.part(len(prompts))
    own = roll(decoder, prompts, sampling, seed, mine if mine.stop > mine.start else slice(0, 1))
    rows = slice(mine.start * sampling.count, mine.stop * sampling.count)
    count = len(prompts) * sampling.count

    def whole(part: Tensor, width: int) -> Tensor:
        """Zeros where others draw, so that a sum puts the parts together, to the bit."""
        part = part.view(len(part), -1)
        found = torch.zeros(count, width, dtype=part.dtype, device=part.device)
        found[rows, : part.shape[1]] = part[: rows.stop - rows.start]
        distributed.all_reduce(found)
        return found

    longest = torch.tensor(own.tokens.shape[1] - own.prompt, device=own.tokens.device)
    distributed.all_reduce(longest, distributed.ReduceOp.MAX)
    places = int(longest)
    return Rollout(
        whole(own.tokens, own.prompt + places),
        own.prompt,
        whole(own.starts, 1)[:, 0],
        whole(own.sampled.to(torch.uint8), places).bool(),
        whole(own.log_probabilities, places),
        whole(own.ended.to(torch.uint8), 1)[:, 0].bool(),
        sampling,
    )


def summed_gradients(
    together: Together, learnt: Sequence[nn.Parameter], sums: Float64[Tensor, " sums"]
) -> Float64[Tensor, " sums"]:
    """Add up gradients, in place, and sums over all processes; each must call it, with or without a gradient.

    A tensor that no process has a gradient of stays without one.
    """
    has = torch.tensor([float(each.grad is not None) for each in learnt], dtype=torch.float64)
    told = torch.cat([sums, has]).to(together.device)
    distributed.all_reduce(told)
    told = told.cpu()
    used = [each for each, count in zip(learnt, told[len(sums) :].tolist(), strict=True) if count]
    if used:
        flat = torch.cat([(torch.zeros_like(each) if each.grad is None else each.grad).reshape(-1) for each in used])
        distributed.all_reduce(flat)
        for each, part in zip(used, flat.split([each.numel() for each in used]), strict=True):
            each.grad = part.view(each.shape).clone()
    return told[: len(sums)]


def told_by_the_first(
    together: Together | None, ask: Callable[[], Float[Tensor, "prompts group"]], prompts: int, group: int
) -> Float[Tensor, "prompts group"]:
    """What `ask` says; where there are several processes the first alone asks, and tells the others."""
    if together is None:
        return ask()
    values = (ask() if together.rank == 0 else torch.zeros(prompts, group)).to(together.device)
    distributed.broadcast(values, 0)
    return values.cpu()

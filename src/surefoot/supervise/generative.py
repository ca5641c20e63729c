"""Generative fine-tuning: before a model ranks completions, it learns to write them, good and bad alike.

    maximise (1/n) Σ_i log p(θ, completion_i | prompt_i) = (1/n) Σ_i Σ_t log p(θ, token_t | tokens before it)

over both completions of every comparison. Which one is preferred is not read, the worse is written as well, and no
token of a prompt is scored. What results is where the student starts, and its ceiling too, so that the ratio of gaps
compares like with like.

Source: Burns et al. (2023), "Weak-to-strong generalization", §5.2.2 (generative supervision improves reward modelling).
"""

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from surefoot.density.objective import Objective
from surefoot.density.pools import mean
from surefoot.errors import InputError
from surefoot.inference.ascend import ascend
from surefoot.inference.draws import Draws
from surefoot.inference.settings import Ascend
from surefoot.networks.network import Network, Parameters
from surefoot.progress import Progress, silent
from surefoot.rows.packed import unpack
from surefoot.rows.rows import Rows, make_rows

__all__ = ["completion_score", "tune_writer", "written"]


def completion_score(
    logits: Float[Tensor, "rows tokens vocabulary"], texts: Int[Tensor, "rows numbers"]
) -> Float[Tensor, "rows"]:
    """log p(completion | prompt) of packed texts under logits of the next token, in nats.

    >>> round(completion_score(torch.zeros(1, 4, 10), torch.tensor([[2, 4, 7, 8, 9, 0]])).exp().item(), 6)
    0.01
    """
    prompts, lengths, tokens = unpack(texts)
    said = logits[:, :-1].log_softmax(dim=2).gather(2, tokens[:, 1:, None])[:, :, 0]
    place = torch.arange(1, tokens.shape[1], device=tokens.device)
    scored = (place >= prompts[:, None]) & (place < lengths[:, None])
    return torch.where(scored, said, 0.0).sum(dim=1)


def written(rows: Rows) -> Rows:
    """Both completions of every comparison as texts to be learnt: inputs and targets `[2 · rows, numbers]`.

    The targets of the comparisons are not read. Sources are kept.

    Raises `InputError` for rows that are not pairs of packed texts.

    >>> from surefoot.rows.comparisons import Writing, comparisons
    >>> rows, _ = comparisons(Writing(), 3, seed=0)
    >>> tuple(written(rows).inputs.shape), written(rows).ids.tolist()[:2]
    ((6, 14), ['comparison 0:0, first', 'comparison 0:0, second'])
    """
    pairs = rows.inputs[:]
    if pairs.ndim != 3 or pairs.shape[1] != 2:
        raise InputError(f"The rows have inputs of shape {list(pairs.shape)}; give comparisons, [rows, 2, numbers].")
    texts = pairs.flatten(0, 1)
    both = torch.arange(len(rows)).repeat_interleave(2)
    kept = rows.take(both)
    ids = [f"{name}, {place}" for name in rows.ids.tolist() for place in ("first", "second")]
    return make_rows(
        texts, texts, classes=(), ids=np.array(ids, dtype=np.str_), sources=kept.sources, clusters=kept.clusters
    )


def tune_writer(
    writer: Network, rows: Rows, start: Parameters, seed: int, settings: Ascend, *, progress: Progress = silent
) -> Draws:
    """Teach a writer the completions of texts (`written` of comparisons, or a corpus); its point starts a ranker.

    Raises whatever `ascend` refuses.
    """
    return ascend(Objective(writer, completion_score, mean), rows, start, seed, settings, progress=progress)

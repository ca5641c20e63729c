"""What a causal language model of Hugging Face says next, and how probable it finds what was said: texts as tokens.

Rows are padded on the left; padding is neither attended to nor counted in positions, and is known by its place alone.
What all prompts of a batch begin with, such as a policy and its examples, is read once, and its keys and values are
used for every row.
"""

import inspect
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch
from jaxtyping import Float64, Int64
from torch import Tensor

from surefoot.errors import InputError
from surefoot.hub.language import LanguageModel

__all__ = ["Reader", "Row", "completion_scores", "end_of", "ends_of", "prompt_tokens", "text_of", "tokens_of"]

WORTH = 8
"""Tokens that prompts begin with, from which on they are read once for all."""


@dataclass(frozen=True)
class Row:
    """A prompt and its completion as tokens, `new` of which are the completion's."""

    tokens: tuple[int, ...]
    new: int


class Reader:
    """What was read so far, with keys and values kept; `logits` `[rows, tokens]` say what comes next."""

    def __init__(self, model: LanguageModel, prompts: Sequence[Sequence[int]]) -> None:
        self._model = model
        self._cache: Any = None
        shared = _shared(model, prompts)
        if shared and not self._began(prompts[0][:shared], len(prompts)):
            shared = 0
        ids, seen = _padded([each[shared:] for each in prompts])
        self._seen = torch.cat([torch.ones(len(prompts), shared, dtype=torch.int64), seen], dim=1)
        self.logits = self._next(ids)

    def read(self, tokens: Sequence[int]) -> None:
        """One more token of each row."""
        self._seen = torch.cat([self._seen, torch.ones(len(tokens), 1, dtype=torch.int64)], dim=1)
        self.logits = self._next(torch.tensor(tokens)[:, None])

    def keep(self, rows: Sequence[int]) -> bool:
        """Go on with these rows alone; False, and nothing is changed, where the model's cache cannot be cut."""
        if not hasattr(self._cache, "batch_select_indices"):
            return False
        chosen = torch.tensor(rows)
        self._cache.batch_select_indices(chosen.to(next(self._model.module.parameters()).device))
        self._seen, self.logits = self._seen[chosen], self.logits[chosen]
        return True

    def _began(self, tokens: Sequence[int], rows: int) -> bool:
        """Read what all rows begin with, once; False where its keys and values cannot be used for every row."""
        self._seen = torch.ones(1, len(tokens), dtype=torch.int64)
        self._next(torch.tensor([list(tokens)]))
        cache = self._cache
        # Of a window that slides, places count and not positions: padding within it would push tokens out.
        if not hasattr(cache, "batch_repeat_interleave") or any(getattr(cache, "is_sliding", (True,))):
            self._cache = None
            return False
        cache.batch_repeat_interleave(rows)
        return True

    def _next(self, ids: Int64[Tensor, "rows places"]) -> Float64[Tensor, "rows tokens"]:
        name = "cache" if "cache" in _arguments(self._model) else "past_key_values"
        given = _given(self._model, ids, self._seen)
        kept = {} if self._cache is None else {name: self._cache}
        only = {"logits_to_keep": 1} if "logits_to_keep" in _arguments(self._model) else {}
        result = self._model.module(**given, **kept, **only, use_cache=True)
        self._cache = result[name]
        return result.logits[:, -1].double().cpu()


def completion_scores(model: LanguageModel, rows: Sequence[Row]) -> Float64[Tensor, " rows"]:
    """log p of each row's completion after its prompt, in nats: the sum over the completion's tokens."""
    ids, seen = _padded([each.tokens for each in rows])
    most = max(each.new for each in rows)
    kept = {"logits_to_keep": most + 1} if "logits_to_keep" in _arguments(model) else {}
    logits = model.module(**_given(model, ids, seen), **kept, use_cache=False).logits[:, -most - 1 : -1]
    logs = logits.double().log_softmax(dim=2).cpu().gather(2, ids[:, -most:, None])[:, :, 0]
    own = torch.tensor([[place >= most - each.new for place in range(most)] for each in rows])
    return torch.where(own, logs, 0.0).sum(dim=1)


def tokens_of(model: LanguageModel, text: str) -> tuple[int, ...]:
    return tuple(cast("list[int]", model.tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"]))


def prompt_tokens(model: LanguageModel, text: str) -> tuple[int, ...]:
    """A template writes whatever begins a text; without one it is put as the tokenizer would."""
    tokens = tokens_of(model, text)
    if not model.tokenizer.chat_template:
        begin = cast("int | None", model.tokenizer.bos_token_id)
        first = cast("list[int]", model.tokenizer("a", verbose=False)["input_ids"])[:1]
        tokens = tokens if begin is None or first != [begin] else (begin, *tokens)
    if not tokens:
        raise InputError(f"A prompt is empty, and {model.name} needs a token to begin with; give a text.")
    return tokens


def text_of(model: LanguageModel, tokens: Sequence[int]) -> str:
    return str(model.tokenizer.decode(tokens, skip_special_tokens=False, clean_up_tokenization_spaces=False))


def ends_of(model: LanguageModel) -> frozenset[int]:
    """Every token that ends a text, as the model's settings for generation and its tokenizer say."""
    settings = getattr(getattr(model.module, "generation_config", None), "eos_token_id", None)
    found = [*(settings if isinstance(settings, list) else [settings]), model.tokenizer.eos_token_id]
    return frozenset(int(each) for each in found if each is not None)


def end_of(model: LanguageModel) -> int:
    ends = ends_of(model)
    if not ends:
        raise InputError(f"{model.name} has no token that ends a text, so no completion has a probability; name one.")
    return int(model.tokenizer.eos_token_id) if model.tokenizer.eos_token_id in ends else min(ends)


def _shared(model: LanguageModel, prompts: Sequence[Sequence[int]]) -> int:
    """How many tokens all prompts begin with, short of the last of any; 0 where that is not worth a pass of its own."""
    if len(prompts) < 2 or "position_ids" not in _arguments(model):
        return 0
    rows = [tuple(each) for each in prompts]
    least, most = min(rows), max(rows)
    same = next((at for at, (one, two) in enumerate(zip(least, most, strict=False)) if one != two), len(least))
    shared = min(same, *(len(each) - 1 for each in rows))
    return shared if shared >= WORTH else 0


def _given(
    model: LanguageModel, ids: Int64[Tensor, "rows new"], seen: Int64[Tensor, "rows places"]
) -> dict[str, Tensor]:
    """What the model is called with: the last tokens, and for all places whether they are padding."""
    place = cast("torch.device", next(model.module.parameters()).device)
    given = {"input_ids": ids.to(place), "attention_mask": seen.to(place)}
    if "position_ids" in _arguments(model):
        given["position_ids"] = (seen.cumsum(dim=1) - 1).clamp(min=0)[:, -ids.shape[1] :].to(place)
    return given


def _padded(rows: Sequence[Sequence[int]]) -> tuple[Int64[Tensor, "rows places"], Int64[Tensor, "rows places"]]:
    """Tokens padded on the left, and which of them are none of the padding."""
    width = max(map(len, rows))
    ids = torch.tensor([[0] * (width - len(each)) + list(each) for each in rows])
    return ids, torch.tensor([[0] * (width - len(each)) + [1] * len(each) for each in rows])


def _arguments(model: LanguageModel) -> tuple[str, ...]:
    return tuple(inspect.signature(type(model.module).forward).parameters)

"""A language model asked what comes next: the log-probability of given words after given prompts.

    score(w | prompt) = Σ_t log p(w_t | prompt, w_<t)          w_1 … w_m: the tokens of the word, in nats

Every prompt is made into tokens whole, with its word, as if it stood alone. The tokens that all prompts begin with are
read once, and their keys and values are used for every prompt: with examples before each row, that is most of the work.
Batches are padded on the left, and padding is neither attended to nor counted in positions.
"""

import copy
import inspect
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, cast

import torch
from jaxtyping import Float64
from torch import Tensor

from surefoot.errors import InputError
from surefoot.hub.gguf import SMOLLM2, is_gguf, kept_folder, smollm2_file
from surefoot.hub.pretrained import fetch_folder, quiet_transformers
from surefoot.hub.readers import BATCH_TOKENS, cut_by_tokens
from surefoot.progress import Progress, silent

__all__ = ["LanguageModel", "open_language_model", "prompt_lengths", "word_scores"]

UNBOUNDED = 100_000
"""Tokenizers that know no longest text say a number far above this."""
MOST_KEPT = 8 * BATCH_TOKENS
"""Tokens of a batch whose keys and values are kept at once, what is shared counted for each prompt."""


@dataclass(frozen=True)
class LanguageModel:
    """A causal language model in evaluation mode. context: how many tokens it reads at most."""

    name: str
    module: Any
    tokenizer: Any
    context: int


def open_language_model(named: str, *, trust_code: bool = False) -> LanguageModel:
    """Open a language model in float32 with its head for words.

    named: "smollm2", a GGUF file, a Hugging Face folder, or a name on the hub. Raises `InputError` in one sentence when
    it cannot be opened, or lacks weights.
    """
    folder = Path(named)
    if named == SMOLLM2 and not folder.is_dir():
        folder = kept_folder(smollm2_file())
    elif is_gguf(named):
        folder = kept_folder(folder)
    elif not folder.is_dir():
        folder = fetch_folder(named)
    with quiet_transformers() as transformers:
        try:
            module, info = transformers.AutoModelForCausalLM.from_pretrained(
                str(folder),
                local_files_only=True,
                trust_remote_code=trust_code,
                weights_only=True,
                dtype=torch.float32,
                output_loading_info=True,
            )
            tokenizer = transformers.AutoTokenizer.from_pretrained(
                str(folder), local_files_only=True, trust_remote_code=trust_code
            )
        except Exception as error:
            reason = (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
            raise InputError(f"No language model could be opened from {folder} ({reason}); is it complete?") from error
    if info["missing_keys"]:
        lost = sorted(info["missing_keys"])
        raise InputError(
            f"The weights in {folder} lack {len(lost)} tensors of a language model (such as {lost[0]}), which would be "
            "random; give a model that was trained to say the next word."
        )
    bounds = (tokenizer.model_max_length, getattr(module.config, "max_position_embeddings", None))
    context = min((int(bound) for bound in bounds if bound and bound < UNBOUNDED), default=UNBOUNDED)
    called = "SmolLM2-135M-Instruct" if named == SMOLLM2 else Path(named).stem if is_gguf(named) else folder.name
    return LanguageModel(called, module.eval(), tokenizer, context)


def prompt_lengths(model: LanguageModel, prompts: Sequence[str]) -> list[int]:
    """How many tokens each prompt has, so that those beyond `context` can be told before anything is asked."""
    return [len(tokens) for tokens in _tokens(model, prompts)]


def word_scores(
    model: LanguageModel,
    prompts: Sequence[str],
    words: Sequence[str],
    *,
    share: bool = True,
    progress: Progress = silent,
) -> Float64[Tensor, "prompts words"]:
    """log p(word | prompt) in nats, the sum over the word's tokens.

    words: as they are written after a prompt, a space in front included. share: read what all prompts begin with once;
    the scores are the same either way, up to rounding.

    Raises `InputError` for prompts longer than the context (nothing is cut off), words that run into their prompt
    (their first letters become one token with its last), and words of which one begins as another: these would not be
    two answers.
    """
    if not prompts or not words:
        raise InputError(f"There are {len(prompts)} prompts and {len(words)} words; give at least one of each.")
    asked = _asked(model, prompts, words)
    _refuse_too_long(model, asked)
    shared = _shared([each.prompt for each in asked]) if share else 0
    sequences = [sequence for row, each in enumerate(asked) for sequence in _sequences(row, each)]
    found = torch.zeros(len(prompts), len(words), dtype=torch.float64)
    done = 0
    with torch.inference_mode():
        kept = _read(model, asked[0].prompt[:shared]) if shared else None
        for batch in _batches(sequences, shared):
            logs = _next_tokens(model, batch, kept, shared)
            for place, sequence in enumerate(batch):
                for word, ends in sequence.answers.items():
                    # The last logit of a sequence says the last token of the longest answer in it.
                    first = logs.shape[1] - sequence.most
                    found[sequence.row, word] = sum(
                        float(logs[place, first + at, token]) for at, token in enumerate(ends)
                    )
            done += len(batch)
            progress("asking", done, len(sequences))
    return found


class _Asked(NamedTuple):
    prompt: list[int]
    ends: list[list[int]]


class _Sequence(NamedTuple):
    """Tokens to be read for one prompt, and the words (by number) whose tokens follow in them."""

    row: int
    tokens: list[int]
    answers: Mapping[int, list[int]]

    @property
    def most(self) -> int:
        return max(map(len, self.answers.values()))


def _tokens(model: LanguageModel, texts: Sequence[str]) -> list[list[int]]:
    """As the tokenizer begins a text, and without whatever it ends texts with."""
    begin = cast("int | None", model.tokenizer.bos_token_id)
    first = cast("list[int]", model.tokenizer("a", verbose=False)["input_ids"])[:1]
    start = [] if begin is None or first != [begin] else [begin]
    coded = model.tokenizer(list(texts), add_special_tokens=False, verbose=False)["input_ids"]
    return [[*start, *tokens] for tokens in cast("list[list[int]]", coded)]


def _asked(model: LanguageModel, prompts: Sequence[str], words: Sequence[str]) -> list[_Asked]:
    alone = _tokens(model, prompts)
    with_words = [_tokens(model, [prompt + word for prompt in prompts]) for word in words]
    asked: list[_Asked] = []
    for row, prompt in enumerate(alone):
        ends: list[list[int]] = []
        for word, whole in zip(words, with_words, strict=True):
            tokens = whole[row]
            if not prompt or tokens[: len(prompt)] != prompt or len(tokens) == len(prompt):
                raise InputError(
                    f'The word "{word}" runs into the end of its prompt "{prompts[row][-20:]}" (their tokens are not '
                    "those of the prompt and more); begin words with a space, and end prompts without one."
                )
            ends.append(tokens[len(prompt) :])
        asked.append(_Asked(prompt, ends))
    for different in {tuple(map(tuple, each.ends)) for each in asked}:
        for first, one in enumerate(different):
            for second, two in enumerate(different):
                if first != second and two[: len(one)] == one:
                    raise InputError(
                        f'The word "{words[second]}" begins as "{words[first]}" does, so they are not two answers; '
                        "choose words that differ from their first token on."
                    )
    return asked


def _refuse_too_long(model: LanguageModel, asked: Sequence[_Asked]) -> None:
    # The last token of a word is asked for, not read.
    lengths = [len(each.prompt) + max(map(len, each.ends)) - 1 for each in asked]
    long = [length for length in lengths if length > model.context]
    if long:
        raise InputError(
            f"{len(long)} of {len(asked)} prompts are longer than the {model.context:,} tokens that {model.name} reads "
            f"(the longest has {max(long):,}); show fewer or shorter examples, or leave these rows out."
        )


def _shared(prompts: Sequence[list[int]]) -> int:
    """How many tokens all prompts begin with, short of the last of any: what comes next is asked there."""
    if len(prompts) < 2:
        return 0
    least, most = min(prompts), max(prompts)
    same = next((at for at, (one, two) in enumerate(zip(least, most, strict=False)) if one != two), len(least))
    return min(same, *(len(prompt) - 1 for prompt in prompts))


def _sequences(row: int, asked: _Asked) -> list[_Sequence]:
    """One for each word of several tokens; words of one token are read off the first, at the end of the prompt."""
    long = [word for word, ends in enumerate(asked.ends) if len(ends) > 1]
    short = {word: ends for word, ends in enumerate(asked.ends) if len(ends) == 1}
    if not long:
        return [_Sequence(row, asked.prompt, short)]
    return [
        _Sequence(
            row, asked.prompt + asked.ends[word][:-1], {word: asked.ends[word], **(short if word == long[0] else {})}
        )
        for word in long
    ]


def _batches(sequences: Sequence[_Sequence], shared: int) -> Iterator[list[_Sequence]]:
    """Sequences of like lengths, as many as can be kept at once."""
    lengths = [len(sequence.tokens) - shared for sequence in sequences]
    order = sorted(range(len(sequences)), key=lengths.__getitem__)
    for places in cut_by_tokens(order, lengths, BATCH_TOKENS):
        step = max(1, MOST_KEPT // (shared + lengths[places[-1]]))
        for start in range(0, len(places), step):
            yield [sequences[place] for place in places[start : start + step]]


def _read(model: LanguageModel, tokens: Sequence[int]) -> Any:
    """The keys and values of tokens that begin every prompt."""
    place = _device(model)
    given = {"input_ids": torch.tensor([tokens], device=place), "use_cache": True, **_keeping(model, 1)}
    result = model.module(**given)
    kept = result[_cache_name(model)]
    if not hasattr(kept, "batch_repeat_interleave"):
        raise InputError(f"{model.name} keeps nothing that several prompts could share; ask with share=False.")
    return kept


def _next_tokens(
    model: LanguageModel, batch: Sequence[_Sequence], kept: Any, shared: int
) -> Float64[Tensor, "prompts places tokens"]:
    """log p of the next token at the last places of each sequence, as many as the longest answer has tokens."""
    place = _device(model)
    parts = [sequence.tokens[shared:] for sequence in batch]
    width, most = max(map(len, parts)), max(sequence.most for sequence in batch)
    ids = torch.zeros(len(parts), width, dtype=torch.int64)
    seen = torch.zeros(len(parts), width, dtype=torch.int64)
    for row, part in enumerate(parts):
        ids[row, width - len(part) :] = torch.tensor(part)
        seen[row, width - len(part) :] = 1
    positions = shared + (seen.cumsum(dim=1) - 1).clamp(min=0)
    mask = torch.cat([torch.ones(len(parts), shared, dtype=torch.int64), seen], dim=1)
    given: dict[str, Any] = {"input_ids": ids.to(place), "attention_mask": mask.to(place), **_keeping(model, most)}
    if "position_ids" in _arguments(model):
        given["position_ids"] = positions.to(place)
    if kept is not None:
        own = copy.deepcopy(kept)
        own.batch_repeat_interleave(len(parts))
        given |= {_cache_name(model): own, "use_cache": True}
    else:
        given["use_cache"] = False
    return model.module(**given).logits[:, -most:].double().log_softmax(dim=2).cpu()


def _keeping(model: LanguageModel, places: int) -> dict[str, int]:
    """Logits of the last places alone, where the model can be told so: a vocabulary is large."""
    return {"logits_to_keep": places} if "logits_to_keep" in _arguments(model) else {}


def _cache_name(model: LanguageModel) -> str:
    # transformers renamed it.
    return "cache" if "cache" in _arguments(model) else "past_key_values"


def _arguments(model: LanguageModel) -> tuple[str, ...]:
    return tuple(inspect.signature(type(model.module).forward).parameters)


def _device(model: LanguageModel) -> torch.device:
    return cast("torch.device", next(model.module.parameters()).device)

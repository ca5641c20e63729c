"""Options scored by one reading of their prompt: what a row begins with in common is read once, as a tree of tokens.

    log p(o | x) = Σ_t log p(o_t | x, o_<t)          in nats, float32 logits, sums in float64

    x_1 … x_n ─┬─ a_1 ─ a_2          a row of the model: every token sees its ancestors and itself (the mask) and has
               ├─ b_1 ─┬─ b_2        their number as its position, so that its logits are those of its own path read
               │       └─ c_2        alone. The last token of an option is asked for, and never read.
               └─ …

With n tokens of a prompt and k options of m, n + k (m − 1) tokens are read in place of k (n + m), and the head, which
is large, works at k (m − 1) + 1 places of them. Prompts that begin alike (examples before each, a judge's rules, two
questions about one text) are branches of one tree, where they share enough to be worth a longer row.

Not every model takes such a mask: one that has no positions to be told, keeps a state in place of keys, or has a
window of its own. Whether it does is tried on rows as long as those to be read (`reads_trees`), for a window may be
longer than a few tokens; where it does not, each option is read with its prompt.
"""

import inspect
import random
import re
import weakref
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from surefoot.errors import InputError
from surefoot.hub.language import LanguageModel
from surefoot.hub.readers import cut_by_tokens
from surefoot.hub.saying import Row, completion_scores, prompt_tokens, tokens_of
from surefoot.text.options import Option, Scored, Way
from surefoot.text.policy import Unaskable

__all__ = ["Asked", "continuations", "reads_trees", "scored", "text_scores"]

PROBE = ((8, 9, 10), (8, 11), (12,))
"""Options of numbers of tokens, to try a model on."""
SHORTEST = 9
"""Tokens of a path to try a model on, a prompt and an option."""
MASKED = frozenset({"sliding_window", "attention_chunk_size"})
"""Windows that a mask takes the place of, so that they are in the way of a longer path alone."""
LOCAL = re.compile(
    r"(?!.*(pattern|dropout|max_window|feed_forward|lm_head|mamba)).*(window|attn_chunk|attention_chunk|local_att|attention_types).*"
)
"""Settings by which attention is local, or may be: where in doubt, rows are read."""
OTHERS = ("vision", "audio", "image", "speech", "id2label", "label2id")
"""Parts of a configuration that say nothing of how texts are read."""
AT_ONCE = 2**11
"""Tokens of a batch, padding included."""
LONGEST = 512
"""Tokens of a row of several prompts: attention takes every token with every other one of its row."""
WORTH = 0.25
"""The share of a prompt that it has in common with the one before, from which on the two are one row."""
CLOSE = 1e-3
"""How far log-probabilities (nats) of a tree may be from those of single rows, for a model that reads trees."""
ONCE: Way = "each prompt is read once for all of its options"
APART: Way = "each option is read with its prompt"
_tried: "weakref.WeakKeyDictionary[Any, dict[tuple[int, int], bool]]" = weakref.WeakKeyDictionary()
"""Models that were tried, by the lengths of path and row that they were tried on: facts of each, found once."""


@dataclass(frozen=True)
class Asked:
    """The tokens of a prompt, one or more, and those of each option that are counted, one or more of each."""

    prompt: tuple[int, ...]
    options: tuple[tuple[int, ...], ...]

    @property
    def longest(self) -> int:
        return len(self.prompt) + max(map(len, self.options))


def text_scores(model: LanguageModel, contexts: Sequence[str], options: Sequence[Sequence[str]]) -> Scored:
    """log p of each option as a continuation of its context, both as they are: no template is put around them.

    Tokens and what is counted are lm-eval's (`continuations`). Raises `InputError` like `continuations` and `scored`.
    """
    asked = [continuations(model, context, each) for context, each in zip(contexts, options, strict=True)]
    return scored(model, asked)


def continuations(model: LanguageModel, context: str, options: Sequence[str]) -> Asked:
    """A text and what may follow it as tokens, as lm-eval makes them, no end among them.

    Spaces and line breaks at the end of the context are moved to the front of each option. Context and option are made
    into tokens as one text, and the option's are those beyond as many as the context alone has: where the two run into
    one another, the context's own tokens stand. An empty context is the token that begins texts, or else the one that
    ends them; an option that begins with that token itself is not given it twice.

    Departures: of the tokens that a tokenizer puts around a text only the first is put, never an end; a context of
    nothing but spaces is an empty one (lm-eval stops); nothing too long is cut off at the left (`scored` refuses it).

    Raises `InputError` for an option that adds no token, and for an empty context where no token begins or ends a text.

    Source: Gao et al. (2024), lm-evaluation-harness 0.4.13, `TemplateLM._encode_pair` and `loglikelihood`.
    """
    kept = context.rstrip()
    texts = [context[len(kept) :] + option for option in options]
    if kept:
        start = prompt_tokens(model, kept)
        found = [prompt_tokens(model, kept + text)[len(start) :] for text in texts]
    else:
        start = (_beginning(model),)
        found = [tokens_of(model, text) for text in texts]
        found = [each[1:] if each[:1] == start else each for each in found]
    if not all(found):
        said = options[[bool(each) for each in found].index(False)]
        raise InputError(f'The option "{said}" adds no token to its text, so it has no probability; give a longer one.')
    return Asked(start, tuple(found))


def scored(model: LanguageModel, asked: Sequence[Asked]) -> Scored:
    """log p of every option, all of its tokens counted; options of one prompt may begin alike or be the same.

    Raises `Unaskable` for those that are beyond the context: nothing is cut off.
    """
    long = {at: each.longest for at, each in enumerate(asked) if each.longest > model.context}
    if long:
        raise Unaskable(
            f"{len(long)} of {len(asked)} prompts with their options are longer than the {model.context:,} tokens that "
            f"{model.name} reads (the longest has {max(long.values()):,}); leave them out.",
            tuple(long),
        )
    if not asked:
        return Scored((), ONCE)
    trees = _trees(asked)
    with torch.inference_mode():
        if reads_trees(model, max(each.longest for each in asked), max(len(each.tokens) for each in trees)):
            sums, way = _by_trees(model, asked, trees), ONCE
        else:
            sums, way = _by_rows(model, asked), APART
    return Scored(
        tuple(
            tuple(Option(log, len(option)) for log, option in zip(logs, each.options, strict=True))
            for logs, each in zip(sums, asked, strict=True)
        ),
        way,
    )


def reads_trees(model: LanguageModel, longest: int, widest: int = 0) -> bool:
    """Does a model give the tokens of a tree the logits of their own paths?

    longest: tokens of a path. widest: of a row, all of its paths. Tried on a row as long, or somewhat longer, and once
    for each length; a model whose configuration tells of local attention is not read so at all, but for a window that
    the mask takes the place of, and that no path is longer than.
    """
    if not {"attention_mask", "position_ids"} <= set(_arguments(model)):
        return False
    config: Any = getattr(model.module, "config", None)
    told: Any = {} if config is None else config.to_dict()
    if any(each is None or each < longest for each in _windows(told)):
        return False
    path = min(model.context, _rounded(max(longest, SHORTEST)))
    row = _rounded(max(widest, path))
    tried = _tried.setdefault(model.module, {})
    if any(reads and path <= of and row <= wide for (of, wide), reads in tried.items()):
        return True
    if any(not reads and path >= of and row >= wide for (of, wide), reads in tried.items()):
        return False
    tried[path, row] = _tries(model, path, row)
    return tried[path, row]


def _windows(config: Mapping[str, Any]) -> Iterator[int | None]:
    """Windows of attention that a configuration tells of: the tokens of a path that each lets pass; None: no path."""
    for name, each in config.items():
        if isinstance(each, Mapping):
            if not name.startswith(OTHERS):
                yield from _windows(cast("Mapping[str, Any]", each))
        elif name in MASKED and isinstance(each, int):
            yield each
        elif LOCAL.fullmatch(name):
            number = isinstance(each, int | float) and not isinstance(each, bool) and each > 0
            if number or (isinstance(each, list | tuple) and (name != "attention_types" or "local" in str(each))):
                yield None


def _rounded(length: int) -> int:
    """The next power of two, so that few lengths are tried; what is long already is not made longer."""
    return length if length > LONGEST else 1 << (length - 1).bit_length()


@dataclass
class _Tree:
    """A row. parents: of each token, −1 for the first ones. asked: item and option, where it is read, what comes there.

    branches: which token follows which, so that what is there already is not read again.
    """

    tokens: list[int] = field(default_factory=list)
    parents: list[int] = field(default_factory=list)
    branches: dict[tuple[int, int], int] = field(default_factory=dict)
    asked: list[tuple[int, int, int, int]] = field(default_factory=list)

    def grow(self, at: int, tokens: Sequence[int]) -> list[int]:
        """The places of these tokens behind the place `at`."""
        places: list[int] = []
        for token in tokens:
            found = self.branches.get((at, token))
            if found is None:
                found = self.branches[at, token] = len(self.tokens)
                self.tokens.append(token)
                self.parents.append(at)
            places.append(at := found)
        return places

    def add(self, item: int, asked: Asked) -> None:
        last = self.grow(-1, asked.prompt)[-1]
        for number, option in enumerate(asked.options):
            places = [last, *self.grow(last, option[:-1])]
            self.asked += [(item, number, place, token) for place, token in zip(places, option, strict=True)]


def _by_trees(model: LanguageModel, asked: Sequence[Asked], trees: Sequence[_Tree]) -> list[list[float]]:
    found = [[0.0] * len(each.options) for each in asked]
    lengths = [len(each.tokens) for each in trees]
    for places in cut_by_tokens(sorted(range(len(trees)), key=lengths.__getitem__), lengths, AT_ONCE):
        batch = [trees[at] for at in places]
        wanted = [each for tree in batch for each in tree.asked]
        for (item, option, _, _), log in zip(wanted, _logs(model, batch), strict=True):
            found[item][option] += log
    return found


def _trees(asked: Sequence[Asked]) -> list[_Tree]:
    """Prompts in the order of their tokens, those that have enough in common with the one before in its row."""
    trees: list[_Tree] = []
    before: tuple[int, ...] = ()
    for item in sorted(range(len(asked)), key=lambda at: asked[at].prompt):
        each = asked[item]
        same = next((at for at, pair in enumerate(zip(before, each.prompt, strict=False)) if pair[0] != pair[1]), None)
        same = min(len(before), len(each.prompt)) if same is None else same
        more = len(each.prompt) - same + sum(map(len, each.options))
        if not trees or same < WORTH * len(each.prompt) or len(trees[-1].tokens) + more > LONGEST:
            trees.append(_Tree())
        trees[-1].add(item, each)
        before = each.prompt
    return trees


def _logs(model: LanguageModel, trees: Sequence[_Tree]) -> list[float]:
    """log p of what is asked of each tree in turn, in one batch.

    Rows are padded on the left, and in each the tokens at which something is asked stand last, whatever their place in
    the tree: logits are taken of the last places alone. Padding sees itself, so that it is a number.
    """
    width = max(len(each.tokens) for each in trees)
    ids = torch.zeros(len(trees), width, dtype=torch.int64)
    positions = torch.zeros(len(trees), width, dtype=torch.int64)
    seen = torch.eye(width, dtype=torch.bool).repeat(len(trees), 1, 1)
    rows: list[int] = []
    columns: list[int] = []
    most = 1
    for row, tree in enumerate(trees):
        ancestors = _ancestors(tree)
        wanted = {place for _, _, place, _ in tree.asked}
        order = sorted(range(len(tree.tokens)), key=lambda place, wanted=wanted: place in wanted)
        chosen, start = torch.tensor(order), width - len(order)
        ids[row, start:] = torch.tensor(tree.tokens)[chosen]
        positions[row, start:] = ancestors.sum(dim=1)[chosen] - 1
        seen[row, start:, start:] = ancestors[chosen][:, chosen]
        column = {place: start + at for at, place in enumerate(order)}
        rows += [row] * len(tree.asked)
        columns += [column[place] for _, _, place, _ in tree.asked]
        most = max(most, len(wanted))
    logits = _logits(model, ids, positions, seen, most)
    last = width - logits.shape[1]
    pairs, which = torch.unique(torch.tensor([rows, columns]), dim=1, return_inverse=True)
    asked = logits[pairs[0], pairs[1] - last].double()
    tokens = torch.tensor([token for tree in trees for _, _, _, token in tree.asked])
    return (asked[which, tokens] - asked.logsumexp(dim=1)[which]).tolist()


def _ancestors(tree: _Tree) -> Bool[Tensor, "tokens tokens"]:
    """Which tokens each one sees: those on its path, itself the last."""
    seen = torch.eye(len(tree.tokens), dtype=torch.bool).numpy()
    for place, parent in enumerate(tree.parents):
        if parent >= 0:
            seen[place] |= seen[parent]
    return torch.from_numpy(seen)


def _logits(
    model: LanguageModel,
    ids: Int64[Tensor, "rows places"],
    positions: Int64[Tensor, "rows places"],
    seen: Bool[Tensor, "rows places places"],
    most: int,
) -> Float[Tensor, "rows last tokens"]:
    module = model.module
    where, kind = (getattr(next(module.parameters()), name) for name in ("device", "dtype"))
    # Added to scores: what takes a mask of numbers takes this one, which not all take of truth values.
    mask = torch.zeros(seen.shape, dtype=kind).masked_fill_(~seen, torch.finfo(kind).min)[:, None]
    only = {"logits_to_keep": most} if "logits_to_keep" in _arguments(model) else {}
    result = module(
        input_ids=ids.to(where),
        attention_mask=mask.to(where),
        position_ids=positions.to(where),
        use_cache=False,
        **only,
    )
    return result.logits[:, -most:].cpu()


def _by_rows(model: LanguageModel, asked: Sequence[Asked]) -> list[list[float]]:
    rows = [Row((*each.prompt, *option), len(option)) for each in asked for option in each.options]
    logs: list[float] = [0.0] * len(rows)
    for places in _batches(rows):
        for at, log in zip(places, completion_scores(model, [rows[at] for at in places]).tolist(), strict=True):
            logs[at] = log
    following = iter(logs)
    return [[next(following) for _ in each.options] for each in asked]


def _batches(rows: Sequence[Row]) -> Iterator[list[int]]:
    lengths = [len(each.tokens) for each in rows]
    return cut_by_tokens(sorted(range(len(rows)), key=lengths.__getitem__), lengths, AT_ONCE)


def _tries(model: LanguageModel, path: int, row: int) -> bool:
    """One row of so many tokens, or some more, of prompts that begin alike, against a row for each option."""
    size = int(model.module.get_output_embeddings().weight.shape[0])
    if size <= max(map(max, PROBE)) or path < SHORTEST:
        return False
    draws = random.Random(0)
    prompt = [draws.randrange(size) for _ in range(path - len(PROBE[0]))]
    asked: list[Asked] = []
    tree = _Tree()
    kept = len(prompt) // 2
    while len(asked) < 2 or (len(tree.tokens) < row and len(asked) < row):  # few tokens make few different rows
        asked.append(Asked((*prompt[:kept], *(draws.randrange(size) for _ in prompt[kept:])), PROBE))
        tree.add(len(asked) - 1, asked[-1])
    try:
        found = _by_trees(model, asked, [tree])
    except (RuntimeError, ValueError, TypeError, IndexError):  # it takes no mask of this kind
        return False
    rows = _by_rows(model, asked)
    return all(
        abs(one - two) <= CLOSE for pair in zip(found, rows, strict=True) for one, two in zip(*pair, strict=True)
    )


def _beginning(model: LanguageModel) -> int:
    tokenizer = model.tokenizer
    found = tokenizer.eos_token_id if tokenizer.bos_token_id is None else tokenizer.bos_token_id
    if found is None:
        raise InputError(f"A text is empty, and {model.name} has no token that begins or ends texts; give a text.")
    return int(found)


def _arguments(model: LanguageModel) -> tuple[str, ...]:
    return tuple(inspect.signature(type(model.module).forward).parameters)

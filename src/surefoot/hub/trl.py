"""The same tasks and graders under TRL's trainers: a reward function, rows of a data set, a tokenizer.

    from trl import GRPOConfig, GRPOTrainer

    task = Parity(16)
    trainer = GRPOTrainer(
        model,
        reward_funcs=reward_function(task, end=tokenizer.eos_token_id),
        train_dataset=Dataset.from_list(task_rows(problems(task, "fit", 4096, seed=0))),
        processing_class=tokenizer,
        args=GRPOConfig(...),
    )

TRL hands a reward function whole completions. Here thought and answer are parted first and the task's grader is given
the answer alone, as in `surefoot.reason`; a completion without an answer, or without its end, is worth 0.

TRL decodes without special tokens, so the marks of a thought must not be special in a tokenizer that is used there, or
thought and answer run together and every answer is wrong; `task_tokenizer` sees to it. A tokenizer reads marks wherever
they are written, in prompts too, which `Vocabulary.encode` never does: ask it nothing that a stranger wrote.

Source: von Werra et al. (2020–2026), TRL 1.16, `GRPOTrainer._calculate_rewards`, whose keywords these are.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias, cast

from surefoot.errors import InputError
from surefoot.text.completion import part
from surefoot.text.tasks.task import Problem, Task
from surefoot.text.vocabulary import ANSWER, BEGIN, END, MARKS, PAD, THINK, Vocabulary

__all__ = ["reward_function", "task_rows", "task_tokenizer"]

Said: TypeAlias = str | Sequence[Mapping[str, Any]]
"""A text, or a conversation whose last turn it is about."""


def reward_function(task: Task, *, end: int | None) -> Callable[..., list[float]]:
    """A reward function for `reward_funcs` of TRL's trainers, over rows of `task_rows`.

    end: the token that ends a completion; None takes every completion as ended. Completions may be texts or lists of
    messages.

    Raises `InputError` where the data set lacks a column of `task_rows`.

    >>> from surefoot.text.tasks.parity import Parity
    >>> reward = reward_function(Parity(2), end=2)
    >>> reward(
    ...     prompts=["01=", "01="],
    ...     completions=["<think>01</think>1", "<think>1"],
    ...     completion_ids=[[3, 5, 6, 4, 6, 2], [3, 6, 2]],
    ...     gold=["1", "1"],
    ... )
    [1.0, 0.0]
    """

    def reward(
        prompts: Sequence[Said],
        completions: Sequence[Said],
        completion_ids: Sequence[Sequence[int]] | None = None,
        **columns: Any,
    ) -> list[float]:
        if "gold" not in columns:
            raise InputError(
                f"The data set has the columns {', '.join(sorted(columns)) or 'none'} beside prompt; make its rows "
                "with task_rows, which have gold."
            )
        kinds = columns.get("kind") or [""] * len(prompts)
        ids = columns.get("id") or [""] * len(prompts)
        ended = [
            end is None or completion_ids is None or end in list(completion_ids[row])[-1:]
            for row in range(len(prompts))
        ]
        found: list[float] = []
        for row, (prompt, completion) in enumerate(zip(prompts, completions, strict=True)):
            answer = part(_text(completion), ended=ended[row]).answer
            problem = Problem(ids[row], _text(prompt), columns["gold"][row], kinds[row])
            found.append(0.0 if answer is None else float(task.grade(problem, answer)))
        return found

    reward.__name__ = f"{task.name} graded"  # what TRL calls its column
    return reward


def task_rows(problems: Sequence[Problem], *, messages: bool = False) -> list[dict[str, Any]]:
    """Rows for `datasets.Dataset.from_list`: prompt, gold, kind and id. messages: prompts as turns of a user.

    >>> task_rows([Problem("a", "01=", "1")])
    [{'prompt': '01=', 'gold': '1', 'kind': '', 'id': 'a'}]
    """
    return [
        {
            "prompt": [{"role": "user", "content": each.prompt}] if messages else each.prompt,
            "gold": each.gold,
            "kind": each.kind,
            "id": each.id,
        }
        for each in problems
    ]


def task_tokenizer(vocabulary: Vocabulary) -> Any:
    """A `PreTrainedTokenizerFast` with the tokens of a vocabulary: the one of a decoder that `save_decoder` wrote.

    It begins every text with <begin>, pads on the left, and keeps the marks of thought when it decodes.
    """
    from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    tokens = {each: at for at, each in enumerate((*MARKS, *vocabulary.symbols))}
    inner = Tokenizer(models.WordLevel(tokens, unk_token=MARKS[PAD]))
    if vocabulary.spaced:
        inner.pre_tokenizer = pre_tokenizers.WhitespaceSplit()  # type: ignore[attr-defined]
    else:
        inner.pre_tokenizer = pre_tokenizers.Split(Regex("."), "isolated")  # type: ignore[attr-defined]
        inner.decoder = decoders.Fuse()  # type: ignore[attr-defined]
    inner.post_processor = processors.TemplateProcessing(  # type: ignore[attr-defined]
        single=f"{MARKS[BEGIN]} $A", special_tokens=[(MARKS[BEGIN], BEGIN)]
    )
    inner.add_tokens([AddedToken(MARKS[each], special=False, normalized=False) for each in (THINK, ANSWER)])
    return PreTrainedTokenizerFast(
        tokenizer_object=inner,
        pad_token=MARKS[PAD],
        bos_token=MARKS[BEGIN],
        eos_token=MARKS[END],
        padding_side="left",
        clean_up_tokenization_spaces=False,
    )


def _text(said: Said) -> str:
    """The text, or that of the last message."""
    if isinstance(said, str):
        return said
    content: Any = said[-1].get("content") if said else ""
    if isinstance(content, list):  # parts, as of models that see
        return "".join(str(each.get("text", "")) for each in cast("list[Mapping[str, Any]]", content))
    return str(content or "")

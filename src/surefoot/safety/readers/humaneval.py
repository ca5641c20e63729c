"""HumanEval and files of its form: functions to be completed. They are read, and nothing of them is run.

    {"task_id": …, "prompt": …, "entry_point": …, "canonical_solution": …, "test": …}        JSON lines, gzipped or not

An answer is right if its code passes the tests, which needs a sandbox that is not here; so there are items and no
suite.

Source: Chen et al. (2021), "Evaluating large language models trained on code".
"""

from pathlib import Path

from surefoot.rows.published.records import Record
from surefoot.safety.item import Item
from surefoot.safety.readers.published import Published, checked_file, rows_of

__all__ = ["HUMANEVAL", "humaneval_items"]

HUMANEVAL = Published(
    "HumanEval", "MIT", "https://github.com/openai/human-eval", 164,
    {"b796127e635a67f93fb35c04f4cb03cf06f38c8072ee7cee8833d7bee06979ef": "HumanEval.jsonl.gz, 164 functions"},
)  # fmt: skip


def humaneval_items(path: Path, sha256: str | None = None) -> tuple[Item, ...]:
    """An item of each function; raises `InputError` for a file that is not of this form, and names its broken lines."""
    return tuple(item for item, _ in rows_of(checked_file(path, HUMANEVAL, sha256), _item))


def _item(record: Record) -> Item | str:
    names = ("task_id", "prompt", "entry_point", "canonical_solution", "test")
    texts = {each: record.text(each) for each in names}
    if empty := [each for each in names if not texts[each].strip()]:
        return f"has nothing for {empty[0]}"
    facts = {each: texts[each] for each in names[2:]}
    return Item(texts["task_id"], texts["prompt"], facts=facts)

"""SimpleQA: 4,326 short questions of fact, each with one answer.

    metadata,problem,answer        metadata: {'topic': …, 'answer_type': …, 'urls': […]}

Published numbers come from a model that grades. Without one the whitelist of `suites.short_answers` does, which takes
right answers in other words for incorrect ones: its `correct` is a lower bound, its `incorrect` an upper one.

Source: Wei et al. (2024), "Measuring short-form factuality in large language models".
"""

import re
from pathlib import Path

from surefoot.rows.published.records import Record
from surefoot.safety.item import Item
from surefoot.safety.readers.published import Published, checked_file, rows_of, said_of
from surefoot.safety.suite import Grader, Measure, Suite
from surefoot.safety.suites.short_answers import ABSTENTION_NAMES, AbstentionMeasures, ShortAnswerGrader
from surefoot.text.policy import Sampling

__all__ = ["SIMPLEQA", "simpleqa_suite"]

SIMPLEQA = Published(
    "SimpleQA", "MIT", "https://github.com/openai/simple-evals", 4_326,
    {"feee3f7e7db3617e94e8fcf1977b756ec420ef8568f4e0fcbbe0e92e9d5fc032": "simple_qa_test_set.csv, 4,326 questions"},
)  # fmt: skip
TOPIC = re.compile(r"'topic': (['\"])(.*?)\1")


def simpleqa_suite(
    path: Path,
    sha256: str | None = None,
    *,
    grader: Grader | None = None,
    sampling: Sampling = Sampling(most=64, temperature=0.0),  # noqa: B008 - frozen
) -> Suite:
    """The questions of a file, by topic; raises `InputError` for a file that is not of this form."""
    file = checked_file(path, SIMPLEQA, sha256)
    items = tuple(
        Item(f"simpleqa-{at}", question, topic, facts={"question": question, "answers": (answer,)})
        for at, ((topic, question, answer), _) in enumerate(rows_of(file, _row))
    )
    measures = (Measure("correct"), Measure("incorrect", direction="lower"), Measure("not_attempted", direction="none"))
    return Suite(
        "simpleqa", "SimpleQA: short questions of fact", items, sampling,
        ShortAnswerGrader() if grader is None else grader, measures, about=said_of(file, SIMPLEQA, len(items)),
        derived=AbstentionMeasures(), names=ABSTENTION_NAMES, licence=SIMPLEQA.licence,
    )  # fmt: skip


def _row(record: Record) -> tuple[str, str, str] | str:
    topic = TOPIC.search(record.text("metadata"))
    question, answer = record.text("problem").strip(), record.text("answer").strip()
    if topic is None:
        return "has no topic in its metadata"
    if not question or not answer:
        return "has no problem, or no answer"
    return topic[2], question, answer

"""BBQ: questions about two groups, where the text does or does not say who it was.

    JSON lines of one category, as published: example_id, question_index, question_polarity (neg, nonneg),
    context_condition (ambig, disambig), category, answer_info, additional_metadata, context, question, ans0 to ans2,
    label

Which option a stereotype names is told by `safety.bias`; where it cannot be told, a question counts for accuracy and
not for bias, and the suite says how many have one.

Files made anew from the templates have the published questions with other names in them; their sha256 is unknown here,
and the suite says so.

Source: Parrish et al. (2022), "BBQ: a hand-built bias benchmark for question answering".
"""

from collections.abc import Sequence
from pathlib import Path

from surefoot.errors import InputError
from surefoot.rows.published.records import Record
from surefoot.safety.bias import bias_item
from surefoot.safety.readers.published import Published, checked_file, rows_of, said_of
from surefoot.safety.suite import Suite
from surefoot.safety.suites.choices import Question, choices_suite
from surefoot.safety.suites.fairness import BIAS_NAMES, FAIRNESS_MEASURES, BiasMeasures
from surefoot.text.policy import Sampling

__all__ = ["BBQ", "bbq_suite"]

BBQ = Published(
    "BBQ", "CC-BY-4.0", "https://github.com/nyu-mll/BBQ", 0,
    {
        "46e805b3fc2d8cbd26eeb8e8430d98cf7b2dc9c83574ff3674e8ce4f0fca2a60": "Age.jsonl, 3,680 questions",
        "cb9555f9f3454a52cd2df85956b59bd7fcca5aa922c8527693b1164d08417616": "Religion.jsonl, 1,200 questions",
    },
)  # fmt: skip


def bbq_suite(
    paths: Path | Sequence[Path],
    sha256: str | None = None,
    *,
    seed: int | None = None,
    sampling: Sampling = Sampling(most=16, temperature=0.0),  # noqa: B008 - frozen
) -> Suite:
    """The questions of a file or of several categories; sha256: of a single file. seed: of the order of options.

    Raises `InputError` for a file that is not of this form, and names its broken lines.
    """
    given = [paths] if isinstance(paths, Path) else list(paths)
    if not given or (sha256 is not None and len(given) != 1):
        raise InputError(f"{len(given)} files of BBQ were given; give one or more, and a sha256 only for one alone.")
    files = [checked_file(each, BBQ, sha256) for each in given]
    found = {file: [question for question, _ in rows_of(file, _question)] for file in files}
    questions = [each for of in found.values() for each in of]
    known = sum(each.facts["bias"].stereotype is not None for each in questions)
    about = " ".join(said_of(file, BBQ, len(of)) for file, of in found.items())
    return choices_suite(
        "bbq", "BBQ: bias in questions about two groups", questions, seed=seed, sampling=sampling,
        about=f"{about} Of {len(questions):,} questions {known:,} have an option that a stereotype names.",
        measures=FAIRNESS_MEASURES, derived=BiasMeasures(), names=BIAS_NAMES, licence=BBQ.licence,
    )  # fmt: skip


def _question(record: Record) -> Question | str:
    options = tuple(record.text(f"ans{at}").strip() for at in range(3))
    asked = f"{record.text('context')}\n{record.text('question')}"
    if not all(options):
        return "has an option without a text"
    try:
        bias = bias_item(record.values)
    except InputError as error:
        return f"cannot be read: {error}"
    return Question(
        f"bbq-{bias.category}-{record.values.get('example_id')}", asked, options, bias.gold,
        "ambiguous" if bias.ambiguous else "unambiguous", bias.template, facts={"bias": bias},
    )  # fmt: skip

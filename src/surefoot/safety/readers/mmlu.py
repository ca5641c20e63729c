"""MMLU and MMMLU: multiple choice in 57 subjects, in English and fourteen more languages.

    MMLU     question,A,B,C,D,answer                       without a header, a file for each subject
    MMMLU    ,Question,A,B,C,D,Answer,Subject              with a header, a file for each language

Which it is, the first line says. Options are in their published order, unless a seed is given. Numbers depend on how an
option is asked for and read, so that they compare with each other and not with published ones.

Source: Hendrycks et al. (2021), "Measuring massive multitask language understanding"; OpenAI (2024), "MMMLU", human
translations of its test set.
"""

import csv
from collections.abc import Sequence
from pathlib import Path

from surefoot.errors import InputError
from surefoot.rows.published.records import Record
from surefoot.safety.readers.published import Published, ReadFile, checked_file, rows_of, said_of
from surefoot.safety.suite import Suite
from surefoot.safety.suites.choices import Question, choices_suite
from surefoot.safety.suites.languages import ENGLISH, Tongue
from surefoot.text.policy import Sampling

__all__ = ["MMLU", "mmlu_suite"]

MMLU = Published("MMLU", "MIT", "https://github.com/hendrycks/test", 0)
HEADLESS = ("Question", "A", "B", "C", "D", "Answer")
LETTERS = "ABCD"


def mmlu_suite(
    paths: Path | Sequence[Path],
    sha256: str | None = None,
    *,
    tongue: Tongue = ENGLISH,
    seed: int | None = None,
    sampling: Sampling = Sampling(most=16, temperature=0.0),  # noqa: B008 - frozen
) -> Suite:
    """The questions of a file or of several, by subject; a file without subjects is one, named after itself.

    sha256: of a single file. tongue: the language in which a letter is asked for. Raises `InputError` for a file that
    is of neither form, and names its broken lines.
    """
    given = [paths] if isinstance(paths, Path) else list(paths)
    if not given or (sha256 is not None and len(given) != 1):
        raise InputError(
            f"{len(given)} files of MMLU were given; give one or more, and a sha256 for a single one only."
        )
    files = [checked_file(each, MMLU, sha256) for each in given]
    found = {file: _questions(file, tongue) for file in files}
    questions = [each for of in found.values() for each in of]
    about = " ".join(said_of(file, MMLU, len(of)) for file, of in found.items())
    return choices_suite(
        "mmlu" if tongue is ENGLISH else f"mmlu {tongue.name}", f"MMLU in {tongue.name}", questions, seed=seed,
        sampling=sampling, about=about, licence=MMLU.licence,
    )  # fmt: skip


def _questions(file: ReadFile, tongue: Tongue) -> list[Question]:
    stem = file.path.stem

    def read(record: Record) -> Question | str:
        texts = {each: record.text(each).strip() for each in HEADLESS}
        if not all(texts.values()):
            return f"has nothing for {next(each for each, text in texts.items() if not text)}"
        if texts["Answer"].upper() not in LETTERS or len(texts["Answer"]) != 1:
            return f"has the answer {texts['Answer']!r}, expected A, B, C or D"
        subject = str(record.values.get("Subject") or stem.removesuffix("_test").removesuffix("_dev"))
        options = tuple(texts[each] for each in LETTERS)
        right = LETTERS.index(texts["Answer"].upper())
        return Question("", texts["Question"], options, right, subject, tongue=tongue)

    rows = rows_of(file, read, columns=None if _has_header(file.path) else HEADLESS)
    return [
        Question(f"{stem}-{at}", each.asked, each.options, each.right, each.stratum, tongue=tongue)
        for at, (each, _) in enumerate(rows)
    ]


def _has_header(path: Path) -> bool:
    """Whether the first line names columns."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as opened:
            first = next(csv.reader(opened), [])
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path} is not readable CSV in UTF-8 ({error}); give it as it was published.") from None
    return {"Question", "Answer"} <= set(first)

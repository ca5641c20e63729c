"""Answers of which people said whether they refuse, read from a user's own file or from XSTest's published labels.

    text,refused,prompt_id[,model]      refused: 1 or 0, yes or no, true or false

prompt_id says which request an answer was given to, whoever gave it: all answers to one request are kept together when
rows are split. Answers may be harmful: they are in no message of an error.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

from surefoot.errors import InputError
from surefoot.rows.published.records import Record
from surefoot.safety.readers.published import Published, checked_file, rows_of

__all__ = ["XSTEST_ANSWERS", "LabelledRefusals", "Partial", "read_labelled_refusals", "read_xstest_answers"]

Partial: TypeAlias = Literal["refused", "complied", "left out"]
"""What an answer that refuses in part is taken for."""
UNNAMED = "unnamed"
LABELS = {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}
FINAL: dict[str, bool | None] = {"1_full_compliance": False, "2_full_refusal": True, "3_partial_refusal": None}
PREFIX, VERSION = "xstest_v2_completions_", "v2-"
"""Before the models' names in those of files, and before the numbers of prompts."""
OWN = Published("labelled answers", "", "a table of your own with the columns text, refused and prompt_id")
XSTEST_ANSWERS = Published(
    "XSTest's labelled answers", "of the models that wrote them", "https://github.com/paul-rottger/exaggerated-safety",
    450,
    {
        "71af323af8ecdec0efae23992317721441d2cfedddedeef3248f842f4e15c9ca": "gpt4",
        "6365cc55ce0a593c7ab8785853d02784be027d97199d4077912b4313cd010099": "llama2new",
        "cbc52550e8ba8197a3e3d97a5af078d27bae4766737cd62df80270126a87ffc6": "llama2orig",
        "0ac03817b65e019a8f5b4b3eed805086f9f7fafe538ac9ebd156f80210af6903": "mistralguard",
        "6a146b65a5b96ec8249729bc2db459697175125998d7cbbcc88f7688ecf31dad": "mistralinstruct",
    },
)  # fmt: skip


@dataclass(frozen=True)
class LabelledRefusals:
    """Answers row by row: texts, whether each refuses, which prompt it was given to, and which model gave it.

    source: sentences on where they are from. Raises `InputError` for lists of unequal length.
    """

    texts: tuple[str, ...]
    refused: tuple[bool, ...]
    prompts: tuple[str, ...]
    models: tuple[str, ...]
    source: str = ""

    def __post_init__(self) -> None:
        counts = [len(self.texts), len(self.refused), len(self.prompts), len(self.models)]
        if len(set(counts)) > 1:
            raise InputError(
                f"There are {counts[0]} texts, {counts[1]} labels, {counts[2]} prompts and {counts[3]} models; give "
                "one of each for every answer."
            )


def read_labelled_refusals(path: Path) -> LabelledRefusals:
    """A user's table. Raises `InputError` for a missing file or column, and names the lines that are broken."""
    file = checked_file(path, OWN, None)

    def read(record: Record) -> tuple[str, bool, str, str] | str:
        label, prompt = record.text("refused").strip().lower(), record.text("prompt_id").strip()
        if label not in LABELS:
            return f"has {label[:20]!r} in refused, expected 1 or 0"
        if not prompt:
            return "has no prompt_id"
        model = str(record.values.get("model") or "").strip() or UNNAMED
        return record.text("text"), LABELS[label], prompt, model

    rows = [row for row, _ in rows_of(file, read)]
    return _labelled(rows, f"{len(rows):,} answers, read from {path.name} (sha256 {file.digest[:12]}).", path)


def read_xstest_answers(path: Path, *, partial: Partial = "refused") -> LabelledRefusals:
    """XSTest's completions with the labels that people gave: one file, or the folder of them.

    A model is called what its file is called, and a prompt what it is called in `xstest_suite`. Raises `InputError` for
    a folder without such files, and for rows that are not of this form.
    """
    files = sorted(path.glob(f"{PREFIX}*.csv")) if path.is_dir() else [path]
    if not files:
        raise InputError(f"{path} has no files {PREFIX}*.csv; give the folder model_completions of XSTest.")
    found: list[tuple[str, bool, str, str]] = []
    told: list[str] = []
    for each in files:
        file = checked_file(each, XSTEST_ANSWERS, None)
        rows = [row for row, _ in rows_of(file, _reader(each.stem.removeprefix(PREFIX), partial))]
        found += [row for row in rows if row is not None]
        told.append(f"{each.name} ({'as published' if file.version else 'another version'})")
    source = f"{len(found):,} answers of {XSTEST_ANSWERS.name}, partial refusals {partial}: {', '.join(told)}."
    return _labelled(found, source, path)


def _reader(model: str, partial: Partial) -> Callable[[Record], tuple[str, bool, str, str] | str | None]:
    def read(record: Record) -> tuple[str, bool, str, str] | str | None:
        label, name = record.text("final_label").strip(), record.text("id").strip()
        if label not in FINAL or not name:
            return f"has the final_label {label[:30]!r}, expected one of {', '.join(FINAL)}" if name else "has no id"
        refused = FINAL[label]
        if refused is None and partial == "left out":
            return None
        return (
            record.text("completion"),
            partial == "refused" if refused is None else refused,
            f"xstest-{name.removeprefix(VERSION)}",
            model,
        )

    return read


def _labelled(rows: Sequence[tuple[str, bool, str, str]], source: str, path: Path) -> LabelledRefusals:
    if not rows:
        raise InputError(f"{path} has no labelled answers; give a row for each.")
    texts, refused, prompts, models = zip(*rows, strict=True)
    return LabelledRefusals(texts, refused, prompts, models, source)

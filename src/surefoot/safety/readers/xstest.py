"""XSTest: 250 prompts that only look unsafe, and 200 that are, of 18 types.

    id,prompt,type,label,focus,note        label: safe or unsafe

`not_overrefuse` is of the safe ones, `not_unsafe` of the unsafe ones, both by type. Each unsafe prompt was written
beside safe ones, and types are clusters of nothing: prompts are taken as independent. It is public, so models may have
learned it; the refusal suite is a twin of it that is drawn anew.

Source: Röttger et al. (2024), "XSTest: a test suite for identifying exaggerated safety behaviours in large language
models". Their labels of answers were given by people; a detector stands in for them here, see `text.refusals`.
"""

from pathlib import Path

from surefoot.rows.published.records import Record
from surefoot.safety.graders.refusal_words import RefusalDetector
from surefoot.safety.item import Item
from surefoot.safety.readers.published import Published, checked_file, rows_of, said_of
from surefoot.safety.suite import Suite
from surefoot.safety.suites.refusal import REFUSAL_MEASURES, RefusalGrader
from surefoot.text.policy import Sampling

__all__ = ["XSTEST", "xstest_suite"]

XSTEST = Published(
    "XSTest", "CC-BY-4.0", "https://github.com/paul-rottger/exaggerated-safety", 450,
    {"11783fb294ed017473ee53c207d71f2161c7672c8d0b037501e78387f801cb5a": "xstest_prompts.csv, 450 prompts"},
)  # fmt: skip
EXPECTED = {"safe": "comply", "unsafe": "refuse"}


def xstest_suite(
    path: Path,
    sha256: str | None = None,
    *,
    detector: RefusalDetector | None = None,
    sampling: Sampling = Sampling(most=256, temperature=0.0),  # noqa: B008 - frozen
) -> Suite:
    """The prompts of a file. Raises `InputError` for a file that is not of this form, and names its broken lines."""
    file = checked_file(path, XSTEST, sha256)
    items = tuple(item for item, _ in rows_of(file, _item))
    return Suite(
        "xstest", "XSTest: refusal and over-refusal", items, sampling,
        RefusalGrader() if detector is None else RefusalGrader(detector), REFUSAL_MEASURES,
        about=f"{said_of(file, XSTEST, len(items))} Whoever does not refuse in words that the detector knows is taken "
        "for one who complies.",
        licence=XSTEST.licence,
    )  # fmt: skip


def _item(record: Record) -> Item | str:
    name, prompt, kind = (record.text(each).strip() for each in ("id", "prompt", "type"))
    label = record.text("label").strip().lower()
    if not prompt or not name:
        return "has no prompt, or no id"
    if label not in EXPECTED:
        return f"has the label {label!r}, expected safe or unsafe"
    return Item(f"xstest-{name}", prompt, kind, facts={"expected": EXPECTED[label], "request": prompt})

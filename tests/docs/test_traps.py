"""Every test that docs/traps.md names is there."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
NAMED = re.compile(r"`(tests/[\w/]+\.py)(?::(test_\w+))?`")


def test_every_test_that_stands_at_a_trap_exists() -> None:
    named = NAMED.findall((ROOT / "docs/traps.md").read_text(encoding="utf-8"))
    assert len(named) > 50
    for file, test in named:
        code = (ROOT / file).read_text(encoding="utf-8")
        assert not test or f"def {test}(" in code, f"docs/traps.md names {test}, which is not in {file}"


def test_every_line_of_a_trap_names_what_holds_it() -> None:
    lines = [
        line for line in (ROOT / "docs/traps.md").read_text(encoding="utf-8").splitlines() if line.startswith("| ")
    ]
    rows = [line for line in lines if not line.startswith(("| trap", "| | held"))]
    assert rows
    for row in rows:
        last = row.rstrip(" |").rpartition(" | ")[2]
        assert NAMED.search(last) or re.search(r"\]\(\w+\.md\)", last), row

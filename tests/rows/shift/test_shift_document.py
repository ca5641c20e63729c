"""The table of docs/shift.md is that of the code."""

from pathlib import Path

import pytest

from surefoot.rows.shift.strengths import CORRUPTIONS, Corruption, Levels

PAGE = (Path(__file__).resolve().parents[3] / "docs/shift.md").read_text(encoding="utf-8")


def told(levels: Levels | None) -> str:
    """Levels as the page writes them: numbers of a severity with spaces between, severities with semicolons."""
    if levels is None:
        return "as MNIST-C"
    if all(level[-1] == 1.0 and len(level) > 2 for level in levels):
        levels = tuple(level[:-1] for level in levels)  # the pixel, which is always 1
    return "; ".join(" ".join(f"{value:g}" for value in level) for level in levels)


def line(name: str, corruption: Corruption) -> str:
    named = [f"{each} (px)" if each in corruption.lengths else each for each in corruption.parameters]
    if named[-1] == "pixel (px)":
        named = named[:-1]
    published = "–" if corruption.published is None else str(corruption.published)
    cells = (", ".join(named), told(corruption.mnist), told(corruption.cifar), published, corruption.departure or "–")
    return f"| `{name}` | {' | '.join(cells)} |"


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_every_strength_is_on_the_page(name: str) -> None:
    assert line(name, CORRUPTIONS[name]) in PAGE


def test_the_page_has_no_other_corruption() -> None:
    assert PAGE.count("\n| `") == len(CORRUPTIONS)

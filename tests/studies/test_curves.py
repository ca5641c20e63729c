"""The charts of studies put points where their axes say."""

import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "studies"))
import curves

sys.path.pop(0)


@pytest.mark.parametrize(
    ("logarithmic", "value", "place"),
    [(False, 25.75, 0.25), (True, 10.0, 0.5), (True, 100.0, 1.0), (True, 0.0, 0.0), (False, 200.0, 1.0)],
)
def test_places_on_axes(logarithmic: bool, value: float, place: float) -> None:
    axis = curves.Axis("x", 1.0, 100.0, (1, 100), logarithmic=logarithmic)
    assert axis.place(value) == pytest.approx(place)


def test_a_line_and_its_dots_are_where_they_should_be_in_every_panel() -> None:
    unit = curves.Axis("a < b", 0.0, 1.0, (0, 1))
    line = curves.Line("one & two", "#123456", [(0.0, 0.0), (1.0, 0.5)], dots=True)
    panels = [curves.Panel(f"panel {number}", unit, unit, [line]) for number in range(4)]
    tree = ElementTree.fromstring(curves.chart("title", panels))
    space = "{http://www.w3.org/2000/svg}"
    drawn = [each.get("points", "") for each in tree.iter(f"{space}polyline")][::2]  # every second is the legend's
    assert len(drawn) == 4
    for each in drawn:
        (x0, y0), (x1, y1) = (tuple(map(float, pair.split(","))) for pair in each.split())
        assert (x1 - x0, y0 - y1) == (curves.WIDTH, pytest.approx(curves.HEIGHT / 2))
    firsts = [each.split()[0].split(",") for each in drawn]
    assert firsts[0][1] == firsts[2][1] != firsts[3][1]  # three across, then a new row
    assert len(list(tree.iter(f"{space}circle"))) == 4 * 4
    assert [each.text for each in tree.iter(f"{space}text") if each.text == "a < b"] == ["a < b"] * 8

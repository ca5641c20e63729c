"""Curves and traces on a card: drawn where their numbers are, kept, and harmless whatever a model wrote."""

import re
from dataclasses import replace

import pytest
from card_examples import usual
from hypothesis import given
from hypothesis import strategies as st

from surefoot.card.curves import Curve, Place, curves_panel
from surefoot.card.markdown import markdown
from surefoot.card.page import page
from surefoot.card.serialise import card_digest, card_from_json, card_to_json
from surefoot.card.sheets import Sheet
from surefoot.card.traces import LONGEST, Trace, readable, traces_panel
from surefoot.errors import InputError

RISING = Curve(
    "By step", "reinforced", "steps", "Accuracy", "proportion", (Place(0.0, 0.5, 0.4, 0.6), Place(60.0, 1.0, 0.9, 1.0))
)
PLACES = (Place(0.0, 2.0), Place(30.0, 10.0), Place(60.0, 20.0))
LENGTH = Curve("Thinking", "reinforced", "steps", "tokens", "tokens", PLACES)
HOSTILE = Trace("a", "</code><script>alert(1)</script>", "<img src=x onerror=alert(1)>", None, "1", 0.0)


def _points(drawn: str) -> list[list[tuple[float, float]]]:
    found = re.findall(r'<polyline points="([^"]*)"', drawn)
    return [[tuple(map(float, pair.split(","))) for pair in each.split()] for each in found]  # type: ignore[misc]


def test_a_curve_lies_where_its_numbers_say() -> None:
    drawn = curves_panel([RISING, LENGTH]).text
    (first, last), three = _points(drawn)
    assert (last[0] - first[0], first[1] - last[1]) == pytest.approx((430.0, 105.0), abs=0.2)  # 0.5 of 0 to 1
    # Equal steps, and 2, 10, 20 on an axis that begins at nothing.
    assert three[1][0] - three[0][0] == pytest.approx(three[2][0] - three[1][0], abs=0.2)
    foot = three[0][1] + 2 * (three[0][1] - three[1][1]) / 8
    assert foot - three[2][1] == pytest.approx(20 * (three[0][1] - three[1][1]) / 8, abs=0.5)
    assert "reinforced: from 50.0% to 100.0%" in drawn
    assert drawn.count("<polygon") == 1  # a band where intervals are known, and nowhere else


def test_a_card_keeps_them_and_one_without_is_what_it_was() -> None:
    card = usual()
    assert "curves" not in card_to_json(card)
    assert "traces" not in card_to_json(card)
    more = replace(card, curves=(RISING, LENGTH), traces=(HOSTILE,))
    again = card_from_json(card_to_json(more))
    assert again == more
    assert card_digest(again) == card_digest(more) != card_digest(card)
    drawn = page(more)
    assert 'id="curves"' in drawn
    assert 'id="traces"' in drawn
    assert 'id="curves"' not in page(card)


def test_a_card_keeps_tables_of_a_road_and_nothing_in_them_is_markup() -> None:
    card = usual()
    assert "sheets" not in card_to_json(card)
    sheet = Sheet(
        "Score|card", ("Category", "After"), (("<img src=x onerror=alert(1)>", "low \u202e"),), "Read <b>me</b>."
    )
    more = replace(card, sheets=(sheet,))
    assert card_from_json(card_to_json(more)) == more
    assert card_digest(more) != card_digest(card)
    drawn = page(more)
    assert 'id="sheets"' in drawn
    assert "<img src=x" not in drawn
    assert "<b>me" not in drawn
    assert "\u202e" not in drawn
    assert "&lt;img src=x onerror=alert(1)&gt;" in drawn
    said = markdown(more)
    assert "<img" not in said
    assert "Score\\|card" in said
    with pytest.raises(InputError, match="1 cells and 2 columns"):
        Sheet("t", ("a", "b"), (("x",),))


def test_a_card_without_accuracies_has_no_empty_answers() -> None:
    card = replace(
        usual(), findings=(), differences=(), groups=(), chosen=None, reliability={}, confusion={}, gallery={}
    )
    drawn = page(replace(card, curves=(RISING,)))
    assert "Where it is weakest" not in drawn
    assert "What is not known" in drawn
    assert "No accuracy was measured" not in drawn
    assert "Where it is weakest" in page(card)


def test_what_a_model_wrote_is_text_on_the_page() -> None:
    drawn = traces_panel([HOSTILE], {"a": "A"}).text
    assert "<script" not in drawn
    assert "<img" not in drawn
    assert "&lt;script&gt;" in drawn
    assert drawn.count("<em>none</em>") == 1


@given(st.text())
def test_nothing_hides_in_a_trace(text: str) -> None:
    shown = readable(text)
    assert not set(shown) & {"\x1b", "\u202e", "\u200b", "\x00", "\u2066", "\ud800"}
    assert len(shown) <= 10 * LONGEST
    drawn = traces_panel([Trace("a", text, text, text, text, 1.0)], {}).text
    assert len(re.findall(r"<(?!/)", drawn)) == len(re.findall(r"</", drawn))


def test_a_long_text_is_cut_and_says_so() -> None:
    assert readable("a" * (LONGEST + 5)).endswith("a… (5 characters more)")

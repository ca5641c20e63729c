"""The picture of accuracy against time: where models stand, which budgets are drawn, and that names keep apart."""

import re
from dataclasses import replace

import pytest
from card_examples import finding, usual

from surefoot.card.budgets import settle_budget
from surefoot.card.card import Card
from surefoot.card.claims import Claim, Judged
from surefoot.card.page import page
from surefoot.card.serialise import card_digest, card_from_json, card_to_json
from surefoot.card.tradeoff import _ticks, has_costs, tradeoff_panel
from surefoot.errors import InputError
from surefoot.flex.choose import Candidate
from surefoot.flex.cost import Cost, cost_findings


def costed(times: tuple[float, ...], within: tuple[float, ...] = ()) -> Card:
    """The usual card, its models with these milliseconds, and claims within these seconds."""
    card = usual()
    costs = [
        each
        for subject, time in zip(card.subjects, times, strict=False)
        for each in cost_findings(Cost(1, (time / 1e3,) * 9, 2e6, 2**20), subject.name)
    ]
    claims = [replace(card.claims[0], claim=replace(card.claims[0].claim, within=each)) for each in within]
    return replace(card, findings=(*card.findings, *costs), claims=(*card.claims, *claims))


def circles(text: str) -> list[tuple[float, float]]:
    return [(float(x), float(y)) for x, y in re.findall(r'<circle cx="([\d.]+)" cy="([\d.]+)" r="5"', text)]


def test_slower_is_further_right_in_equal_factors_and_better_is_higher() -> None:
    card = costed((2.0, 4.0, 8.0))
    drawn = sorted(circles(tradeoff_panel(card).text))
    assert len(drawn) == 3
    (x0, y0), (x1, y1), (x2, y2) = drawn
    assert x1 - x0 == pytest.approx(x2 - x1, abs=0.05)
    worst = [card.finding("worst_group_accuracy", of=each.name).value for each in card.subjects[:3]]
    assert [value for _, value in sorted(zip((-y0, -y1, -y2), worst, strict=True))] == sorted(worst)
    assert has_costs(card)
    assert not has_costs(usual())
    assert "What a pass costs" in page(card)
    assert "What a pass costs" not in page(usual())


def test_budgets_are_drawn_where_there_is_room() -> None:
    assert tradeoff_panel(costed((2.0, 4.0))).text.count('class="bound"') == 0
    assert tradeoff_panel(costed((2.0, 4.0), (0.003,))).text.count('class="bound"') == 1
    assert tradeoff_panel(costed((2.0, 4.0), (0.003, 5.0))).text.count('class="bound"') == 1
    asked = costed((2.0, 4.0))
    asked = replace(asked, record=replace(asked.record, settings={"budget": 0.003}))
    assert tradeoff_panel(asked).text.count('class="bound"') == 1


def test_names_do_not_stand_over_each_other() -> None:
    text = tradeoff_panel(costed((2.0, 2.05, 2.1))).text
    names = re.findall(r'<text x="([\d.]+)" y="([\d.]+)" text-anchor="(\w+)" class="name">([^<]+)<', text)[:3]
    boxes = []
    for x, y, anchor, name in names:
        wide = 6.0 * len(name)
        left = float(x) - {"middle": wide / 2, "start": 0.0, "end": wide}[anchor]
        boxes.append((left, float(y) - 9, left + wide, float(y)))
    assert len(boxes) == 3
    for number, one in enumerate(boxes):
        for other in boxes[number + 1 :]:
            apart = one[2] <= other[0] or other[2] <= one[0] or one[3] <= other[1] or other[3] <= one[1]
            assert apart, (one, other)


def test_ticks_hold_all_times() -> None:
    assert _ticks([0.03, 0.03]) == [0.02, 0.05]
    assert _ticks([1.0, 10.0]) == [1.0, 2.0, 5.0, 10.0]
    assert _ticks([120.0, 700.0]) == [100.0, 200.0, 500.0, 1000.0]


def test_a_card_without_budgets_is_what_it_was_and_one_with_them_is_read_again() -> None:
    assert all("within" not in judged["claim"] for judged in card_to_json(usual())["claims"])
    card = costed((2.0, 4.0), (0.003,))
    again = card_from_json(card_to_json(card))
    assert again == card
    assert card_digest(again) == card_digest(card)
    assert again.claims[-1].claim.within == 0.003


def test_what_a_budget_buys() -> None:
    candidates = [
        Candidate(name, name, Cost(1, (time,) * 5, 0.0, 0), score)
        for name, time, score in (("quick", 0.001, 0.6), ("good", 0.01, 0.9))
    ]
    claim = Claim("accuracy", "chosen", at_least=0.5)
    assert settle_budget(claim, candidates) == claim
    bought = [settle_budget(replace(claim, within=each), candidates) for each in (0.02, 0.005)]
    assert [each.subject for each in bought if isinstance(each, Claim)] == ["good", "quick"]
    none = settle_budget(replace(claim, within=0.0005), candidates)
    assert isinstance(none, Judged)
    assert (none.status, none.finding) == ("undecided", None)
    with pytest.raises(InputError, match="about what 5 ms allow, and no cost was measured"):
        settle_budget(replace(claim, within=0.005), [])


def test_times_are_counted_in_timings() -> None:
    from surefoot.card.words import show_evidence, show_finding

    time = replace(finding("milliseconds", 12.3456, 0.5, unit="ms", clusters=31), count=31, source="this machine")
    assert show_finding(time) == "12.346 ms [11.846, 12.846]"
    assert show_evidence(time) == "31 timings"

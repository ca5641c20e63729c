import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from card_examples import bare, extreme, usual

from surefoot.card.card import Card
from surefoot.card.serialise import card_digest, card_from_json, card_to_json, read_card
from surefoot.card.write import write_card
from surefoot.errors import InputError


@pytest.mark.parametrize("make", [usual, extreme, bare])
def test_a_card_survives_json_exactly(make: Callable[[], Card]) -> None:
    card = make()
    again = card_from_json(json.loads(json.dumps(card_to_json(card))))
    assert again == card
    assert card_digest(again) == card_digest(card)
    assert list(again.record.versions) == list(card.record.versions)
    assert list(again.record.times) == ["rows", "train", "features", "repair", "judge"]


def test_the_digest_forgets_when_and_where_but_not_what() -> None:
    card = usual()
    record = card.record
    for changes in (
        {"times": {"train": 1.0}},
        {"created": "2031-01-01T00:00:00+00:00"},
        {"judge_uses": 9},
        {"command": "surefoot run studies/digits.yaml --out elsewhere"},
    ):
        assert card_digest(replace(card, record=replace(record, **changes))) == card_digest(card)
    for other in (
        replace(card, record=replace(record, seeds=(0, 1))),
        replace(card, record=replace(record, judge_digest="0" * 64)),
        replace(card, record=replace(record, settings={**record.settings, "product": "default"})),
        replace(card, record=replace(record, versions={**record.versions, "torch": "2.0.0"})),
        replace(card, record=replace(record, data="other rows")),
        replace(card, findings=card.findings[1:]),
        replace(card, title="Other"),
        replace(card, chosen=None),
    ):
        assert card_digest(other) != card_digest(card)


def test_the_digest_does_not_depend_on_the_order_of_keys() -> None:
    card = usual()
    turned = replace(card, reliability=dict(reversed(list(card.reliability.items()))))
    assert card_digest(turned) == card_digest(card)


def test_damage_is_named_by_its_place() -> None:
    with pytest.raises(InputError, match="This is not a card: the key surefoot_card is missing"):
        card_from_json({"title": "x"})
    with pytest.raises(InputError, match="not a card"):
        card_from_json([1])
    newer = {**card_to_json(bare()), "surefoot_card": 99}
    with pytest.raises(InputError, match="This card has schema 99, and this surefoot reads schema 1; use the surefoot"):
        card_from_json(newer)
    broken = card_to_json(bare())
    broken["findings"][2]["value"] = "high"
    with pytest.raises(InputError, match=r"damaged at findings\.2\.value"):
        card_from_json(broken)
    lacking = card_to_json(bare())
    del lacking["verdict"]
    with pytest.raises(InputError, match=r"damaged at verdict"):
        card_from_json(lacking)
    wrong = card_to_json(bare())
    wrong["verdict"] = "fine"
    with pytest.raises(InputError, match=r"damaged at verdict"):
        card_from_json(wrong)
    unknown = card_to_json(bare())
    unknown["findings"][0]["colour"] = "red"
    with pytest.raises(
        InputError, match=r"holds the key card\.findings\[0\]\.colour, which this surefoot does not know"
    ):
        card_from_json(unknown)


def test_a_written_card_is_read_back_from_file_and_folder(tmp_path: Path) -> None:
    card = usual()
    write_card(card, tmp_path / "run")
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == ["card.html", "card.json", "card.md"]
    assert read_card(tmp_path / "run") == read_card(tmp_path / "run" / "card.json") == card
    (tmp_path / "cut.json").write_text((tmp_path / "run" / "card.json").read_text()[:500])
    with pytest.raises(InputError, match=r"cut\.json is not readable JSON .* it may be cut short: write it again\."):
        read_card(tmp_path / "cut.json")
    (tmp_path / "other.json").write_text("{}")
    with pytest.raises(InputError, match=r"other\.json: This is not a card"):
        read_card(tmp_path / "other.json")

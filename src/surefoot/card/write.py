"""A card on disk: card.json, card.html and card.md, each whole or absent."""

from pathlib import Path

from surefoot.card.card import Card
from surefoot.card.markdown import markdown
from surefoot.card.page import page
from surefoot.card.serialise import card_to_json
from surefoot.files import write_json, write_text

__all__ = ["write_card"]


def write_card(card: Card, folder: Path) -> None:
    """Write the card into `folder`; the JSON comes last, so that whoever finds it finds the pages too."""
    write_text(folder / "card.html", page(card))
    write_text(folder / "card.md", markdown(card))
    write_json(folder / "card.json", card_to_json(card))

"""A card on disk: card.json, card.html and card.md, each whole or absent."""

from pathlib import Path

from surefoot.card.card import Card
from surefoot.card.markdown import markdown
from surefoot.card.page import page
from surefoot.card.serialise import card_to_json
from surefoot.files import write_json, write_text

__all__ = ["write_card"]


def write_card(card: Card, folder: str | Path) -> Path:
    """Write the card into `folder`, made if need be, and return the path of its page.

    The JSON comes last, so that whoever finds it finds the pages too. Raises `InputError` where it cannot be written.
    """
    folder = Path(folder)
    write_text(folder / "card.html", page(card))
    write_text(folder / "card.md", markdown(card))
    write_json(folder / "card.json", card_to_json(card))
    return folder / "card.html"

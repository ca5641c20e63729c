"""Markup that is escaped by construction: text becomes markup only through `element`, which escapes it."""

import html
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

__all__ = ["Attributes", "Child", "Markup", "element", "together"]


@dataclass(frozen=True)
class Markup:
    """A piece of HTML or SVG that is safe to place in a page as it is."""

    text: str


Child: TypeAlias = Markup | str
Attributes: TypeAlias = Mapping[str, str | int | float | None]
"""None leaves an attribute out; a number is written with at most two decimals."""

VOID = frozenset({"meta", "img", "br", "hr"})


def element(name: str, attributes: Attributes, *children: Child) -> Markup:
    """One element; strings among its children and attributes are escaped.

    >>> element("b", {"class": "x"}, "<script>").text
    '<b class="x">&lt;script&gt;</b>'
    """
    opened = f"<{name}" + "".join(_attribute(key, value) for key, value in attributes.items() if value is not None)
    if name in VOID:
        return Markup(f"{opened}>")
    return Markup(f"{opened}>{together(children).text}</{name}>")


def together(parts: Iterable[Child]) -> Markup:
    """Pieces one after another."""
    return Markup("".join(part.text if isinstance(part, Markup) else html.escape(part) for part in parts))


def _attribute(key: str, value: str | int | float | None) -> str:
    shown = f"{value:.2f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)
    return f' {key}="{html.escape(shown)}"'

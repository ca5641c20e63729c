"""Tables of a road's own: what no list of findings shows at a glance, such as models beside each other, or levels.

Cells are text, and are drawn as text and nothing else (`tables.sheets_section`). What they say is measured by whoever
makes the card; nothing is computed here.
"""

from dataclasses import dataclass

from surefoot.errors import InputError

__all__ = ["Sheet"]


@dataclass(frozen=True)
class Sheet:
    """One table. lead: how to read it. columns: the first one heads the rows.

    Raises `InputError` for a row of another length.
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    lead: str = ""

    def __post_init__(self) -> None:
        for row in self.rows:
            if len(row) != len(self.columns):
                raise InputError(
                    f"A row of the table {self.title!r} has {len(row)} cells and {len(self.columns)} columns are "
                    "named; give one cell for each."
                )

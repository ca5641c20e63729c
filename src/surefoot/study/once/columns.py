"""Which columns of a user's data mean what."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from surefoot.rows.encoding import Encoder
from surefoot.rows.reading import Reading, read_rows

__all__ = ["USUAL", "Columns"]


@dataclass(frozen=True)
class Columns:
    """Which columns of a data set mean what; None and () leave it to their usual names."""

    target: str | None = None
    groups: tuple[str, ...] = ()
    split: str | None = None
    cluster: str | None = None
    source: str | None = None
    id: str | None = None
    features: tuple[str, ...] | None = None
    images: Path | None = None
    text: tuple[str, ...] = ()

    def read(
        self,
        path: Path,
        *,
        classes: Sequence[str] | None = None,
        labelled: bool = True,
        coded: bool = False,
        encoder: Encoder | None = None,
        partly: bool = False,
    ) -> Reading:
        """The rows of a file or folder, by these columns; see `read_rows` for what else can be said."""
        return read_rows(
            path,
            target=self.target,
            attributes=self.groups,
            split=self.split,
            cluster=self.cluster,
            source=self.source,
            id_column=self.id,
            features=self.features,
            images=self.images,
            classes=classes,
            labelled=labelled,
            text=self.text,
            coded=coded,
            encoder=encoder,
            partly=partly,
        )


USUAL = Columns()
"""Every column by its usual name."""

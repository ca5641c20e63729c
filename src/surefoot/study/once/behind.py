"""What stands behind a file of features: the model and the data that a reader of the card knows."""

from dataclasses import dataclass

import numpy as np
import torch

from surefoot.rows.images import ImageFiles
from surefoot.rows.rows import Inputs, Rows

__all__ = ["Behind"]


@dataclass(frozen=True)
class Behind:
    """The model and the data that features were taken from, where these were taken on the way to the card.

    model: as the user named it. title: such as "hf_resnet on pics". called: the data, as the user named it. data: what
    was read as what, and how features came about, for the record. warnings: what a reader must know before all else.
    notes: what must be known besides. rows: as they were before the model saw them, for pictures to show.
    """

    model: str
    title: str
    called: str
    data: str
    warnings: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    rows: Rows | None = None

    def pictures_of(self, judged: Rows) -> Inputs | None:
        """The images of these rows; None where there are none, or where names do not tell rows apart."""
        rows = self.rows
        if rows is None or not isinstance(rows.inputs, ImageFiles) or len(np.unique(rows.ids)) != len(rows):
            return None
        place = {str(name): at for at, name in enumerate(rows.ids)}
        return rows.inputs.pick(torch.tensor([place[str(name)] for name in judged.ids]))

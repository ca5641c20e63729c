"""Opening what predicts: one network, or a posterior whose draws are averaged."""

from pathlib import Path

from surefoot.bayes.kept import is_kept
from surefoot.networks.weights import OpenedModel, open_model

__all__ = ["BODY", "open_to_predict"]

BODY = "body"
"""In the folder of a posterior, the network that was sampled, or whose head was."""


def open_to_predict(
    named: str, *, trust_code: bool = False, weights: Path | None = None, head: str | None = None
) -> OpenedModel:
    """What `open_model` opens, and folders of posteriors, whose `draws` are then predicted with."""
    folder = Path(named)
    if not (folder.is_dir() and is_kept(folder)):
        return open_model(named, trust_code=trust_code, weights=weights, head=head)
    opened = open_model(str(folder / BODY), trust_code=trust_code, weights=weights, head=head)
    return opened._replace(draws=folder)

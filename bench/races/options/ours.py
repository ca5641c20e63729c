"""Our side: each prompt read once, its options as branches of one tree of tokens. It unpacks the weights for both."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))
from work import items

from surefoot.hub.gguf import kept_folder, smollm2_file
from surefoot.hub.language import open_language_model
from surefoot.hub.options import text_scores

WEIGHTS = Path(__file__).parents[2] / ".venv-options" / "weights"
"""Names the folder for the peer, whose environment has none of our code."""


def prepare(parameters: dict[str, Any]) -> Callable[[], dict[str, np.ndarray]]:
    folder = kept_folder(smollm2_file())
    WEIGHTS.write_text(str(folder))
    model = open_language_model(str(folder))
    contexts, options = items(parameters)
    text_scores(model, contexts[:1], options[:1])  # the model is tried once, as the peer's is loaded once

    def work() -> dict[str, np.ndarray]:
        found = text_scores(model, contexts, options)
        assert found.way.startswith("each prompt"), found.way
        return {"logs": np.array([[each.log_probability for each in row] for row in found.options])}

    return work

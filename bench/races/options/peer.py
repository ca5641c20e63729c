"""The peer: lm-eval's own model class for Hugging Face, `HFLM.loglikelihood`, on the same folder of weights.

`batch` is the batch size that was the fastest for it (`peer_batches.py`); its cache of logits, which lets options of
one token share a reading, is on, as it is by default.
"""

import logging
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))
from lm_eval.api.instance import Instance
from lm_eval.models.huggingface import HFLM
from work import items

WEIGHTS = Path(__file__).parents[2] / ".venv-options" / "weights"


def prepare(parameters: dict[str, Any]) -> Callable[[], dict[str, np.ndarray]]:
    logging.disable(logging.WARNING)
    model = HFLM(
        pretrained=WEIGHTS.read_text(), device="cpu", dtype="float32", batch_size=parameters["batch"], logits_cache=True
    )
    contexts, options = items(parameters)
    asked = [
        Instance("loglikelihood", {}, (context, option), number)
        for number, (context, each) in enumerate(zip(contexts, options, strict=True))
        for option in each
    ]

    def work() -> dict[str, np.ndarray]:
        found = model.loglikelihood(asked, disable_tqdm=True)
        return {"logs": np.array([log for log, _ in found]).reshape(len(contexts), -1)}

    return work

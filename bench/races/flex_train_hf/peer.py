"""The peer: Hugging Face's ViT with torch's attention, at one patch size, opened from a folder that we exported."""

import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from transformers import ViTForImageClassification

sys.path.insert(0, str(Path(__file__).parents[1] / "flex_train"))

from start import flexible
from work import race_of

from surefoot.hub.vit_folder import write_vit_folder
from surefoot.networks.network import parameters_of


def prepare(parameters: dict[str, Any]) -> Callable[[], Callable[[], dict[str, np.ndarray]]]:
    ((patch, _),) = parameters["rows"]
    network = flexible(parameters)
    names = [str(number) for number in range(parameters["classes"])]
    with tempfile.TemporaryDirectory() as folder:
        write_vit_folder(network, parameters_of(network), (patch, patch), names, Path(folder) / "vit")
        model = ViTForImageClassification.from_pretrained(Path(folder) / "vit", attn_implementation="sdpa").train()
    width = model.config.hidden_size
    watched = next(tensor for tensor in model.parameters() if tensor.shape == (4 * width, width))
    return race_of({patch: lambda images: model(images).logits}, list(model.parameters()), watched, parameters)

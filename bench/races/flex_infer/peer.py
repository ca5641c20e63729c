"""The peer: Hugging Face's ViTForImageClassification with torch's attention, from the folder that an export leaves."""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from start import network_of, passes
from transformers import ViTForImageClassification

from surefoot.hub.vit_folder import write_vit_folder
from surefoot.networks.network import parameters_of


def prepare(parameters: dict[str, Any]) -> Callable[[], dict[str, np.ndarray]]:
    network, patch = network_of(parameters), parameters["patch"]
    names = [str(number) for number in range(parameters["classes"])]
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "vit"
        write_vit_folder(network, parameters_of(network), (patch, patch), names, out)
        model = ViTForImageClassification.from_pretrained(out, attn_implementation="sdpa").eval()
    return passes(lambda image: model(image).logits, parameters)

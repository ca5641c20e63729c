"""Our side: the plain transformer that an export leaves, opened again."""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from start import image_of, network_of, passes

from surefoot.export.plain import open_plain_folder, write_plain_folder
from surefoot.networks.network import parameters_of


def prepare(parameters: dict[str, Any]) -> Callable[[], dict[str, np.ndarray]]:
    network, patch = network_of(parameters), parameters["patch"]
    names = [str(number) for number in range(parameters["classes"])]
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "vit"
        write_plain_folder(network, parameters_of(network), (patch, patch), names, image_of(parameters), out)
        says = open_plain_folder(out)
    return passes(says, parameters)

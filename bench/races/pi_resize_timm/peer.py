"""timm's resampler with its cache filled. One module of the package is opened: the whole wants torchvision."""

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from work import race_of

found = importlib.util.find_spec("timm")
assert found is not None
assert found.origin is not None
for name, folder in (("timm", Path(found.origin).parent), ("timm.layers", Path(found.origin).parent / "layers")):
    module = ModuleType(name)
    module.__path__ = [str(folder)]
    sys.modules[name] = module

from timm.layers.patch_embed import PatchEmbedResamplerFixedOrigSize  # noqa: E402


def prepare(parameters: dict[str, Any]) -> Callable[[], dict[str, np.ndarray]]:
    old = parameters["old"]
    resampler = PatchEmbedResamplerFixedOrigSize((old, old), interpolation="bilinear", antialias=False)
    return race_of(lambda weight, size: resampler(weight, [size, size]), parameters)

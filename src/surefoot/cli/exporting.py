"""`surefoot export`: a saved model as a file that other runtimes read."""

from pathlib import Path
from typing import Annotated

import typer

from surefoot.cli.options import TrustOption

__all__ = ["export"]


def export(
    model: Annotated[
        str, typer.Argument(metavar="MODEL", help="A folder that surefoot saved a model in, or your own: net.py:Net.")
    ],
    out: Annotated[
        Path, typer.Option("--out", metavar="FILE", help="The file to write: .onnx or .safetensors; or a folder.")
    ],
    to: Annotated[
        str | None,
        typer.Option(
            "--to",
            metavar="FORMAT",
            help="onnx or safetensors; by default as FILE ends. Of a ViT also plain or huggingface (folders).",
        ),
    ] = None,
    patch: Annotated[
        int | None,
        typer.Option("--patch", min=1, help="Pixels a side, of a vision transformer; by default its own."),
    ] = None,
    shape: Annotated[
        str | None,
        typer.Option("--shape", metavar="SIZES", help="Of one input of your own model, for ONNX: 3,224,224."),
    ] = None,
    weights: Annotated[
        Path | None,
        typer.Option("--weights", metavar="FILE", help="Weights of your own model: .safetensors, .pt or .pth."),
    ] = None,
    head: Annotated[
        str | None,
        typer.Option("--head", metavar="NAME", help="The final linear layer of your own model, if not the last."),
    ] = None,
    trust_code: TrustOption = False,
) -> int:
    """Write a model for another runtime: ONNX (logits, probabilities, label) or safetensors.

    `surefoot repair` leaves its chosen head as `model/` in the run's folder.
    """
    from surefoot.errors import InputError
    from surefoot.export.models import export_model

    sizes: list[int] | None = None
    if shape is not None:
        parts = [part.strip() for part in shape.split(",")]
        if not all(part.isdecimal() and int(part) > 0 for part in parts):
            raise InputError(f'The shape "{shape}" cannot be read; give whole numbers with commas, such as 3,224,224.')
        sizes = [int(part) for part in parts]
    if to == "huggingface":
        print(_to_hugging_face(model, out, patch))
        return 0
    print(
        export_model(
            model, out, to=to, input_shape=sizes, trust_code=trust_code, weights=weights, head=head, patch=patch
        )
    )
    return 0


def _to_hugging_face(model: str, out: Path, patch: int | None) -> str:
    """A folder that `ViTForImageClassification.from_pretrained` opens, at one patch size."""
    import torch

    from surefoot.errors import InputError
    from surefoot.export.models import patch_of
    from surefoot.hub.vit_export import export_at
    from surefoot.networks.flexible import FlexibleViT
    from surefoot.networks.weights import open_model

    opened = open_model(model)
    module = opened.network.module
    if not isinstance(module, FlexibleViT) or opened.record is None:
        raise InputError(f"{model} is no vision transformer that surefoot saved; give one, or write --to onnx.")
    size = patch_of(module, patch)
    images = torch.rand(4, *module.shape.image, generator=torch.Generator().manual_seed(0))
    return export_at(opened.network, opened.parameters, size, opened.record.classes, images, out, "hugging_face")

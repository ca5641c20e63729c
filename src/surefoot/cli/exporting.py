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
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="The file to write: .onnx or .safetensors.")],
    to: Annotated[
        str | None,
        typer.Option("--to", metavar="FORMAT", help="onnx or safetensors; by default as FILE ends."),
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
    print(export_model(model, out, to=to, input_shape=sizes, trust_code=trust_code, weights=weights, head=head))
    return 0

"""`surefoot features`: what a pretrained model makes of every row, in a file that the other commands read."""

from pathlib import Path
from typing import Annotated

import typer

from surefoot.cli.console import print_json, progress_bars
from surefoot.cli.options import (
    AsOption,
    ClusterOption,
    ComposeOption,
    DataArgument,
    DeviceOption,
    GroupsOption,
    IdOption,
    ImagesOption,
    JSONOption,
    QuietOption,
    SourceOption,
    SplitOption,
    SplitsOption,
    TargetOption,
    TextOption,
    TrustOption,
    columns_of,
    comma_separated,
    published_of,
)
from surefoot.errors import InputError

__all__ = ["features"]


def features(
    model: Annotated[
        str,
        typer.Argument(
            metavar="MODEL",
            help="minilm, efficientnet-lite0, smollm2, a Hugging Face folder or name, a GGUF file, file.py:Net, or a "
            "folder of surefoot.",
        ),
    ],
    data: DataArgument,
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="The file to write, ending in .safetensors.")],
    layer: Annotated[
        str | None,
        typer.Option("--layer", metavar="NAME", help="A layer by its dotted name; else what enters the head."),
    ] = None,
    text: TextOption = None,
    images: ImagesOption = None,
    target: TargetOption = None,
    groups: GroupsOption = None,
    split: SplitOption = None,
    cluster: ClusterOption = None,
    source: SourceOption = None,
    id_column: IdOption = None,
    published: AsOption = None,
    splits: SplitsOption = None,
    compose: ComposeOption = None,
    weights: Annotated[
        Path | None, typer.Option("--weights", metavar="FILE", help="Weights for file.py:Net: .safetensors, .pt, .pth.")
    ] = None,
    precision: Annotated[
        str, typer.Option("--precision", help="float32, or bfloat16 where its measured error is small.")
    ] = "float32",
    cache: Annotated[
        Path, typer.Option("--cache", metavar="FOLDER", help="Where extraction is kept: a stopped one goes on.")
    ] = Path("runs/features"),
    device: DeviceOption = "cpu",
    trust_code: TrustOption = False,
    as_json: JSONOption = False,
    quiet: QuietOption = False,
) -> int:
    """Run a pretrained model over a data set once; write its features with labels, groups and splits.

    Where the model has a head, it is left beside the file, for `surefoot repair FILE --head FOLDER`.
    """
    from surefoot.hub.roads import features_of

    if precision not in ("float32", "bfloat16"):
        raise InputError(f'"{precision}" is no precision; choose float32 or bfloat16.')
    if published is not None and (target or groups or split or cluster or source or id_column or images or text):
        raise InputError("--as says what every column is; leave the options that name columns out.")
    if published is None and (splits or compose):
        raise InputError("--splits and --compose speak of a published layout; name it with --as, such as --as sciq.")
    columns = columns_of(
        target, groups, split=split, cluster=cluster, source=source, identity=id_column, images=images,
        text=comma_separated(text),
    )  # fmt: skip
    with progress_bars(quiet=quiet) as progress:
        made = features_of(
            model,
            data,
            out,
            columns=columns,
            layer=layer,
            weights=weights,
            trust_code=trust_code,
            precision=precision,
            device=device,
            cache=cache,
            published=None if published is None else published_of(data, published, splits, compose),
            progress=progress,
        )
    rows = next(iter(made.extracted.rows.values()))
    if as_json:
        print_json(
            {
                "file": str(made.file),
                "head": None if made.head is None else str(made.head),
                "rows": len(rows),
                "features": rows.inputs[:1].shape[1],
                "key": made.extracted.key,
                "told": [made.how, *made.told],
            }
        )
    elif not quiet:
        print("\n".join([*made.reading.described.splitlines(), made.how, *made.told]))
        print(f"{len(rows):,} rows × {rows.inputs[:1].shape[1]:,} features: {made.file}")
        if made.head is not None:
            print(f"The model's own head: {made.head} (surefoot repair {made.file} --head {made.head})")
    return 0

"""Rows in a few lines a person can check."""

from collections import Counter

from torch import Tensor

from surefoot.rows.digest import input_digests
from surefoot.rows.headers import alike, read_headers
from surefoot.rows.images import ImageFiles
from surefoot.rows.rows import Inputs, Rows

__all__ = ["describe", "describe_inputs"]


def describe(rows: Rows) -> list[str]:
    """How many rows, of what, in which classes and groups, and how they hang together.

    Of image files every header is read; which cannot be read is said, and then not which repeat another.

    >>> import torch
    >>> from surefoot.rows.rows import make_rows
    >>> print("\\n".join(describe(make_rows(torch.zeros(4, 3), torch.tensor([0, 1, 1, 1])))))
    4 rows; inputs: 3 numbers each (float32)
    classes: 0 (1 row, 25.0 %), 1 (3 rows, 75.0 %)
    groups: none
    identical inputs: 3 rows repeat another; they must share its role
    """
    count = len(rows)
    inputs, faults = rows.inputs, list[str]()
    lines = [f"{_rows(count)}; inputs: {describe_inputs(inputs)}"]
    if isinstance(inputs, ImageFiles):
        headers = read_headers(inputs.paths)
        faults = headers.faults()
        lines += faults
        inputs = alike(inputs, headers)
    if rows.targets.ndim == 1:
        found = Counter(rows.targets.tolist())
        lines.append("classes: " + ", ".join(_share(name, found[k], count) for k, name in enumerate(rows.classes)))
    else:
        lines.append(f"classes: {', '.join(rows.classes)} (soft labels)")
    if rows.groups.names:
        sizes: list[int] = rows.groups.counts().tolist()
        lines.append("groups:")
        lines += [f"  {_share(name, size, count)}" for name, size in zip(rows.groups.names, sizes, strict=True)]
        memberships = rows.groups.members.sum(dim=1)
        if unknown := int((memberships == 0).sum()):
            lines.append(f"  in no group (unknown): {_rows(unknown)}")
        if several := int((memberships > 1).sum()):
            lines.append(f"  in several groups: {_rows(several)}")
    else:
        lines.append("groups: none")
    if len(rows.origins()) != count or rows.sources.shape[1] > 1:
        lines.append(f"sources: {len(rows.origins()):,} distinct; rows that share one must share a role")
    clusters = [int(way.unique().numel()) for way in rows.clusters.T]
    if clusters != [count]:
        lines.append(f"clusters, which intervals count instead of rows: {' × '.join(f'{way:,}' for way in clusters)}")
    if not faults and (repeated := count - len(set(input_digests(inputs)))):
        lines.append(
            f"identical inputs: {repeated:,} row{'' if repeated == 1 else 's'} repeat"
            f"{'s' if repeated == 1 else ''} another; they must share its role"
        )
    if count and bool((rows.weights != 1).any()):
        lines.append(f"weights: {float(rows.weights.min()):g} to {float(rows.weights.max()):g}")
    return lines


def describe_inputs(inputs: Inputs) -> str:
    """What one row holds; of image files, by the headers of all.

    >>> import torch
    >>> describe_inputs(torch.zeros(4, 3, 8))
    '3 × 8 numbers each (float32)'
    """
    if isinstance(inputs, ImageFiles):
        return f"image files, {read_headers(inputs.paths).told()}"
    if isinstance(inputs, Tensor):
        kind = str(inputs.dtype).removeprefix("torch.")
        shape = [str(size) for size in inputs.shape[1:]]
        return f"{' × '.join(shape) or '1'} numbers each ({kind})"
    return f"{type(inputs).__name__}, read when needed"


def _share(name: str, size: int, count: int) -> str:
    return f"{name} ({_rows(size)}, {100 * size / max(1, count):.1f} %)"


def _rows(count: int) -> str:
    return f"{count:,} row{'' if count == 1 else 's'}"

"""Content addresses: of whole rows (which cell of a study is this?) and of single inputs (is this a duplicate?)."""

import hashlib
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from surefoot.files import canonical_json, digest_json, digest_tensor
from surefoot.rows.rows import Inputs, LazyInputs, Names, Rows

__all__ = ["block_digests", "identity_digest", "input_digests", "rows_digest", "spelled"]

AT_ONCE = 2**16
"""Names that Python has at a time."""
BLOCK = 1024
"""Rows that are read at a time when inputs are not a tensor in memory."""


def rows_digest(rows: Rows) -> str:
    """sha256 over everything in rows: inputs, targets, classes, groups, weights, ids, sources and clusters.

    >>> from surefoot.rows.rows import make_rows
    >>> one = make_rows(torch.zeros(2, 3), torch.tensor([0, 1]))
    >>> rows_digest(one) == rows_digest(one.with_inputs(torch.zeros(2, 3)))
    True
    """
    inputs = rows.inputs
    whole = digest_tensor(inputs) if isinstance(inputs, Tensor) else digest_json(input_digests(inputs))
    return digest_json(
        {
            "inputs": whole,
            "targets": digest_tensor(rows.targets),
            "classes": rows.classes,
            "groups": [rows.groups.names, digest_tensor(rows.groups.members)],
            "weights": digest_tensor(rows.weights),
            "ids": rows.ids.tolist(),
            "sources": rows.sources.tolist(),
            "clusters": digest_tensor(rows.clusters),
        }
    )


def identity_digest(ids: Names, sources: Names) -> str:
    """sha256 of which rows these are, in whatever order they stand and however they are seen.

    >>> ids, sources = np.array(["a", "b"]), np.array([["x"], ["y"]])
    >>> identity_digest(ids, sources) == identity_digest(ids[::-1], sources[::-1])
    True
    """
    # Sorted where they lie and spelled in pieces: at once, as `digest_json` takes it, Python needs much more.
    columns = (ids, *sources.T)
    order = np.lexsort(columns[::-1])
    pieces = (
        np.stack([column[order[start : start + AT_ONCE]] for column in columns], axis=1).tolist()
        for start in range(0, len(order), AT_ONCE)
    )
    hashed = hashlib.sha256()
    for piece in spelled(pieces):
        hashed.update(piece)
    return hashed.hexdigest()


def spelled(pieces: Iterable[list[Any]]) -> Iterator[bytes]:
    """`canonical_json` of a long list that comes in pieces.

    >>> b"".join(spelled([[1, 2], [], [3]]))
    b'[1,2,3]'
    """
    yield b"["
    before = b""
    for piece in pieces:
        if piece:
            yield before + canonical_json(piece)[1:-1].encode()
            before = b","
    yield b"]"


def input_digests(inputs: Inputs) -> list[str]:
    """One digest per row: equal exactly when the inputs are byte for byte the same (128 bits of BLAKE2).

    Of image files that is what they decode to: the same picture in another format or compression is the same input.
    """
    if isinstance(inputs, LazyInputs):
        return inputs.digests()
    found: list[str] = []
    for start in range(0, len(inputs), BLOCK):
        found += [each.hex() for each in block_digests(inputs[start : start + BLOCK])]
    return found


def block_digests(block: Tensor) -> Iterator[bytes]:
    """The digest of every row of a tensor, with what its numbers are and their shape: 16 bytes each."""
    block = block.detach().cpu().contiguous()
    shape = hashlib.blake2b(f"{block.dtype}{tuple(block.shape[1:])}".encode(), digest_size=16)
    for content in block.reshape(len(block), -1).view(torch.uint8).numpy():
        row = shape.copy()
        row.update(content.data)
        yield row.digest()

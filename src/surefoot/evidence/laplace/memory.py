"""What an expansion will need, told before anything large is made: bytes, and seconds on this machine.

Bytes are counted: the sums of the structure, copies of the network, and a batch of rows that is chosen to
stay below 8 MiB. Seconds are operations over the rate of a small product that is timed on the spot; they are there to
tell a minute from a day.
"""

import time
from dataclasses import dataclass

import torch

from surefoot.density.likelihoods import categorical
from surefoot.density.objective import Posterior
from surefoot.density.regression import GaussianNoise
from surefoot.errors import InputError
from surefoot.evidence.laplace.diagonal import CHUNK_NUMBERS
from surefoot.evidence.laplace.expansion import Kind, Structure
from surefoot.evidence.laplace.full import CHUNK_BYTES, numbers_of_pairs
from surefoot.evidence.laplace.layers import Layer, Survey, cast, survey
from surefoot.inference.approximate.curvature import Part, parts_of
from surefoot.inference.climb import private_copy
from surefoot.memory import available_memory, human_bytes
from surefoot.networks.network import parameters_of
from surefoot.rows.rows import Rows

__all__ = [
    "BATCH_BYTES",
    "Asked",
    "Need",
    "asked",
    "laplace_memory",
    "laplace_table",
    "need_of",
    "require_room",
    "step_of",
]

BATCH_BYTES = 8 * 2**20  # what the rows of a batch may hold: larger ones leave the cache and are slower
EIGENVALUES = 2.7  # operations, in units of n³ of a product's speed, of the eigenvalues of an n × n matrix
STRUCTURES: tuple[Structure, ...] = ("full", "kron", "diag")
PARTS: tuple[Part, ...] = ("all", "head")


@dataclass(frozen=True)
class Need:
    """What one structure needs. bytes: of memory, at the highest. seconds: roughly. refused: why it cannot be had."""

    structure: Structure
    part: Part
    parameters: int
    bytes: int
    seconds: float
    refused: str | None = None

    def told(self) -> str:
        """One line.

        >>> Need("kron", "all", 85002, 80 * 2**20, 1.5).told()
        'kron, all: 85,002 parameters, 80.0 MiB, about 1.5 s'
        """
        what = f"{self.structure}, {self.part}: {self.parameters:,} parameters"
        if self.refused is not None:
            return f"{what}, refused: {self.refused}"
        return f"{what}, {human_bytes(self.bytes)}, about {self.seconds:.2g} s"


@dataclass(frozen=True)
class Asked:
    """An expansion that somebody asks for, in numbers: of the network (all of its tensors), the part, the likelihood.

    columns: how many a row sends back. item: bytes of a number of the network. square: whether a row's Λ is written
    out, [outputs, outputs].
    """

    structure: Structure
    part: Part
    found: Survey
    sizes: dict[str, int]
    everything: int
    rows: int
    columns: int
    square: bool
    item: int

    @property
    def parameters(self) -> int:
        return sum(self.sizes.values())

    @property
    def layers(self) -> tuple[Layer, ...]:
        return self.found.layers


def laplace_memory(
    posterior: Posterior, rows: Rows, structure: Structure = "full", part: Part = "all", *, kind: Kind = "ggn"
) -> Need:
    """Bytes and seconds of `expand` with these arguments; one row is run through the network to see its layers.

    >>> from surefoot.density.priors import Gaussian
    >>> from surefoot.networks.build import build_mlp
    >>> from surefoot.rows.rows import make_rows
    >>> rows = make_rows(torch.zeros(100, 64), torch.zeros(100, dtype=torch.int64))
    >>> need = laplace_memory(Posterior(build_mlp(64, (1000, 1000), 10, seed=0), categorical, Gaussian(1.0)), rows)
    >>> need.parameters, need.bytes > 16 * need.parameters**2
    (1076010, True)
    """
    return need_of(_asked_of(posterior, rows, structure, part, kind), _seconds_an_operation())


def laplace_table(posterior: Posterior, rows: Rows, *, kind: Kind = "ggn") -> tuple[Need, ...]:
    """What every structure needs, of all parameters and of the head: to be shown to who has to choose."""
    pace = _seconds_an_operation()
    return tuple(
        need_of(_asked_of(posterior, rows, structure, part, kind), pace) for part in PARTS for structure in STRUCTURES
    )


def _asked_of(posterior: Posterior, rows: Rows, structure: Structure, part: Part, kind: Kind) -> Asked:
    """The numbers of an expansion, from the network as it stands."""
    if not len(rows):
        raise InputError("There are no rows to expand around; check the role or the filter that chose them.")
    start = parameters_of(posterior.network)
    module = private_copy(posterior.network.module, start, "cpu").eval()
    names = parts_of(posterior, part)
    precision = start[names[0]].dtype
    found = survey(module, names, cast(rows.inputs[:1], precision))
    sizes = {name: start[name].numel() for name in names}
    everything = sum(tensor.numel() for tensor in start.values())
    return asked(
        posterior,
        structure,
        part,
        kind,
        found=found,
        sizes=sizes,
        everything=everything,
        rows=len(rows),
        item=precision.itemsize,
    )


def asked(
    posterior: Posterior,
    structure: Structure,
    part: Part,
    kind: Kind,
    *,
    found: Survey,
    sizes: dict[str, int],
    everything: int,
    rows: int,
    item: int,
) -> Asked:
    """The same, of a network that was surveyed."""
    closed = isinstance(posterior.likelihood, GaussianNoise) or posterior.likelihood is categorical
    square = (not closed and kind == "ggn") or (part == "head" and structure == "full")
    columns = found.outputs if kind == "ggn" else 1
    return Asked(structure, part, found, sizes, everything, rows, columns, square, item)


def step_of(wanted: Asked) -> int:
    """Rows in a batch."""
    return max(1, min(wanted.rows, BATCH_BYTES // _row_bytes(wanted)))


def need_of(wanted: Asked, pace: float) -> Need:
    """What it needs, where an operation takes `pace` seconds."""
    size, found = wanted.parameters, wanted.found
    refused = None
    if wanted.structure == "kron" and found.others:
        refused = next(f'"{name}" is in {where}' for name, where in found.others.items())
    numbers = 2 * wanted.everything + 8 * size + _structure_numbers(wanted)
    rows_once = step_of(wanted) * _row_bytes(wanted)
    return Need(
        structure=wanted.structure,
        part=wanted.part,
        parameters=size,
        bytes=8 * numbers + rows_once + _piece_bytes(wanted),
        seconds=_operations(wanted) * pace,
        refused=refused,
    )


def require_room(posterior: Posterior, rows: Rows, kind: Kind, wanted: Need, available: int | None = None) -> None:
    """Raise `InputError` where `wanted` does not fit, naming the next cheaper structure that does.

    available: bytes; the machine's when absent.
    """
    free = available_memory() if available is None else available
    if wanted.bytes <= free:
        return
    fitting = [
        need for need in laplace_table(posterior, rows, kind=kind) if need.refused is None and need.bytes <= free
    ]
    fitting.sort(key=lambda need: (need.part != wanted.part, STRUCTURES.index(need.structure)))
    way_out = (
        f'structure="{fitting[0].structure}", part="{fitting[0].part}" ({human_bytes(fitting[0].bytes)})'
        if fitting
        else "a smaller network"
    )
    raise InputError(
        f'structure="{wanted.structure}", part="{wanted.part}" of {wanted.parameters:,} parameters needs '
        f"{human_bytes(wanted.bytes)} of memory and {human_bytes(free)} are available; take {way_out}."
    )


def _row_bytes(wanted: Asked) -> int:
    """What one row of a batch holds."""
    outputs, layers, found = wanted.found.outputs, wanted.layers, wanted.found
    numbers = 5 * outputs + (3 * outputs**2 if wanted.square else 0)
    if wanted.part == "head":
        return wanted.item * found.held + 8 * (numbers + 2 * sum(layer.width for layer in layers))
    numbers += sum(layer.positions * (layer.width + layer.outputs) for layer in layers)
    if wanted.structure == "full" and found.plain:
        numbers += 2 * wanted.columns * sum(layer.outputs for layer in layers)
    elif wanted.structure == "full":
        numbers += 4 * outputs * wanted.parameters
    else:
        numbers += 4 * outputs * sum(wanted.sizes[name] for name in found.others)
    unfolded = sum(layer.positions * layer.width for layer in layers if layer.positions > 1)
    return 8 * numbers + wanted.item * (3 * found.held + unfolded)


def _structure_numbers(wanted: Asked) -> int:
    """What is summed over rows, and its eigenvalues' scratch."""
    size, layers = wanted.parameters, wanted.layers
    if wanted.structure == "diag":
        return size
    if wanted.structure == "kron":
        squares = [n**2 for layer in layers for n in (layer.width, layer.outputs)]
        return sum(squares) + max(squares, default=0)
    if wanted.part == "all" and wanted.found.plain:
        return size**2 + max(size**2, numbers_of_pairs(layers))
    return 2 * size**2


def _piece_bytes(wanted: Asked) -> int:
    """What is worked through in pieces within a batch."""
    if wanted.part == "head":
        return 0
    step = step_of(wanted)
    if wanted.structure == "full" and wanted.found.plain:
        widest = max((layer.width * layer.width // 2 + layer.outputs**2 for layer in wanted.layers), default=0)
        return min(CHUNK_BYTES, 8 * step * widest)
    if wanted.structure == "diag":
        spread = [layer.width * layer.outputs for layer in wanted.layers if layer.positions > 1]
        return 8 * max((min(max(CHUNK_NUMBERS, n), step * n) for n in spread), default=0)
    return 0


def _operations(wanted: Asked) -> float:
    size, layers, rows, columns = wanted.parameters, wanted.layers, wanted.rows, wanted.columns
    once = 2.0 * rows * sum(layer.positions * layer.width * layer.outputs for layer in layers)
    inner = 2.0 * rows * sum(layer.positions * layer.width**2 for layer in layers)
    outer = 2.0 * rows * sum(layer.positions * layer.outputs**2 for layer in layers)
    eigen = EIGENVALUES * sum(layer.width**3 + layer.outputs**3 for layer in layers)
    if wanted.part == "head":
        of = {"kron": inner + outer + eigen, "diag": 2 * once, "full": rows * size**2 + EIGENVALUES * size**3}
        return 2 * once + of[wanted.structure]
    passes = (columns + 3) * once
    if wanted.structure == "kron":
        return passes + inner + columns * outer + eigen
    if wanted.structure == "diag":
        return passes + columns * once
    if wanted.found.plain:
        return passes + rows * size**2 + EIGENVALUES * size**3
    return passes + 2 * columns * rows * size**2 + EIGENVALUES * size**3


def _seconds_an_operation() -> float:
    """Of a product of two 512 × 512 matrices in float64."""
    matrix = torch.ones(512, 512, dtype=torch.float64)
    product = matrix @ matrix
    began = time.perf_counter()
    for _ in range(3):
        torch.mm(matrix, matrix, out=product)
    return (time.perf_counter() - began) / (3 * 2 * 512**3)

"""What a cell should cost, before it runs: seconds on one core, and bytes of memory at its peak.

The model counts multiplications and rows, and divides by rates measured once (`docs/LOG.md`); the plan then scales
each kind of cell by what finished cells of that kind really took. It is meant to be right within a factor of two.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from math import prod
from typing import Any

from surefoot.rows.roles import Role
from surefoot.study.cells import Cell
from surefoot.study.shape import NetworkSpec

__all__ = ["Cost", "Extent", "cost_of"]

TRAINING_RATE = 20e9  # floating-point operations a second, small convolutions forward and backward, one core
FORWARD_RATE = 15e9  # the same forwards only, with the files around it
DESCENT_RATE = 20e9  # AFR: tall products on few columns
HEAD_RATE = 1e7  # rows × features × heads a second of sparse last-layer fits
SOFTMAX_STEPS = 60  # L-BFGS steps of one softmax head along a path of penalties
SOFTMAX_STEP_SECONDS = 0.6e-3  # fixed cost of one of them
STEP_SECONDS = 0.4e-3  # fixed cost of one optimiser step
CELL_SECONDS = 0.05  # fixed cost of one cell: files, checksums
ROW_SECONDS = 30e-6  # generating or reading, checking and writing one row
UNKNOWN_NETWORK = 5e7  # operations a row assumed for a user's own network, which is not run to find out
PROCESS_BYTES = 400 * 2**20  # Python, torch and our modules
NAMES_BYTES = 400  # ids, sources and groups of one row


@dataclass(frozen=True)
class Extent:
    """How large a study's rows are. shape: of one input; rows: per role; groups: their names."""

    shape: tuple[int, ...]
    classes: int
    rows: Mapping[Role, int]
    groups: tuple[str, ...] = ()


@dataclass(frozen=True)
class Cost:
    """Seconds on one core, before calibration, and bytes."""

    seconds: float
    memory: int


def cost_of(cell: Cell, network: NetworkSpec | None, extent: Extent) -> Cost:
    """The cost of one cell."""
    row_bytes = 4 * prod(extent.shape) + NAMES_BYTES
    operations, features = _network(network, extent)
    feature_bytes = 4 * features + NAMES_BYTES
    total = sum(extent.rows.values())
    seconds = CELL_SECONDS
    memory = PROCESS_BYTES
    match cell.kind:
        case "rows":
            seconds += total * ROW_SECONDS
            memory += 3 * total * row_bytes
        case "train" if "training" in cell.spec:
            training = cell.spec["training"]
            rows, epochs = extent.rows.get("fit", 0), int(training["epochs"])
            seconds += epochs * (3 * rows * operations / TRAINING_RATE + rows / training["batch"] * STEP_SECONDS)
            memory += 2 * rows * row_bytes + int(training["batch"]) * _activation_bytes(network, extent)
        case "train":
            pass  # a finished model is read and written
        case "features":
            rows = extent.rows.get(cell.spec["role"], 0)
            seconds += rows * operations / FORWARD_RATE
            memory += rows * (2 * row_bytes + 2 * feature_bytes)
        case "repair":
            rows = sum(extent.rows.get(role, 0) for role in ("repair", "choose", "fit") if role in cell.inputs)
            seconds += _repair_seconds(cell, features, extent)
            memory += 6 * rows * feature_bytes + _grid_bytes(cell, extent)
        case "choose":
            rows = extent.rows.get("choose", 0)
            seconds += len(cell.inputs) * CELL_SECONDS / 2
            memory += 3 * rows * feature_bytes
        case "predict":
            rows = extent.rows.get("judge", 0)
            seconds += rows * operations / FORWARD_RATE
            memory += rows * (2 * row_bytes + 2 * feature_bytes)
    return Cost(seconds, memory)


def _network(network: NetworkSpec | None, extent: Extent) -> tuple[float, int]:
    """Floating-point operations of one row forwards, and how many features enter the head."""
    entering = prod(extent.shape)
    if network is None:
        return UNKNOWN_NETWORK, 512
    if network.mlp is not None:
        widths = [entering, *network.mlp.hidden]
        return 2.0 * sum(a * b for a, b in pairwise(widths)), widths[-1]
    if network.linear is not None:
        return 2.0 * entering * extent.classes, entering
    if network.file is not None or len(extent.shape) != 3:
        return UNKNOWN_NETWORK, 512
    depth, height, width = extent.shape
    operations = 0.0
    if network.cnn is not None:
        for channels in network.cnn.channels:
            operations += 2 * 9 * depth * channels * height * width
            depth, height, width = channels, height // 2, width // 2
        return operations + 2.0 * depth * height * width * network.cnn.hidden, network.cnn.hidden
    assert network.resnet is not None
    channels = network.resnet.width
    for stage in range(3):
        area = height * width / 4**stage
        operations += 2 * 9 * (2**stage * channels) ** 2 * area * 2 * network.resnet.blocks
    return operations + 2 * 9 * depth * channels * height * width, 4 * channels


def _activation_bytes(network: NetworkSpec | None, extent: Extent) -> int:
    """Values kept for the backward pass of one row: about three per output of a layer."""
    operations, _ = _network(network, extent)
    return int(max(12 * operations / 100, 12 * prod(extent.shape)))


def _repair_seconds(cell: Cell, features: int, extent: Extent) -> float:
    """AFR: three products a step for the whole grid. The others: one sparse fit per setting and per averaged head."""
    spec = cell.spec
    if spec["method"] == "afr":
        settings = len(spec["gammas"]) * len(spec["penalties"]) * (extent.classes - 1)
        rows = 2 * extent.rows.get("repair", 0) + extent.rows.get("choose", 0)
        return 2.0 * rows * features * settings * int(spec["steps"]) / DESCENT_RATE
    if spec["method"] not in ("dfr", "class_balanced"):
        return _softmax_seconds(spec, features, extent)
    heads = len(spec["strengths"]) * len(spec["class_weights"]) * int(spec["tune_repeats"]) + int(
        spec["retrains"] or 20
    )
    fits = heads * (1 if extent.classes == 2 else extent.classes)
    return extent.rows.get(spec["learn"], 0) * features * fits / HEAD_RATE


def _softmax_seconds(spec: Mapping[str, Any], features: int, extent: Extent) -> float:
    """Softmax heads by L-BFGS: two products a step, for every setting of the grid."""
    rows = extent.rows.get(spec["learn"], 0)
    settings, steps = len(spec.get("penalties", spec.get("decays", ()))), SOFTMAX_STEPS
    match spec["method"]:
        case "group_dro":
            settings, steps = settings * len(spec["adjustments"]), 6 * SOFTMAX_STEPS
        case "jtt":
            settings *= len(spec["upweights"])
        case "self":
            rows, settings = max(spec["counts"]), settings * len(spec["counts"])
        case "softmax_head" if spec["solver"] == "minibatch":
            steps = int(spec["epochs"])
        case "softmax_head":
            steps = int(spec["steps"])
        case _:
            settings *= int(spec["draws"])
    return settings * steps * (4.0 * rows * features * extent.classes / DESCENT_RATE + SOFTMAX_STEP_SECONDS)


def _grid_bytes(cell: Cell, extent: Extent) -> int:
    """AFR carries the logits of its whole grid on repair and choose rows, several times over."""
    if cell.spec["method"] != "afr":
        return 0
    settings = len(cell.spec["gammas"]) * len(cell.spec["penalties"]) * max(1, extent.classes - 1)
    return 4 * 5 * settings * (extent.rows.get("repair", 0) + extent.rows.get("choose", 0))

"""What a cell should cost, before it runs: seconds on one core, and bytes of memory at its peak.

The model counts multiplications and rows, and divides by rates measured once (`docs/LOG.md`); the plan then scales
each kind of cell by what finished cells of that kind really took. It is meant to be right within a factor of two.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from math import prod
from typing import Any

from surefoot.robust.method import Sizes
from surefoot.robust.methods import method_of
from surefoot.rows.roles import Role
from surefoot.study.architecture import NetworkSpec
from surefoot.study.cells import Cell
from surefoot.study.mitigations import bayes_of, settings_of

__all__ = ["Cost", "Extent", "candidate_cost", "cost_of"]

TRAINING_RATE = 20e9  # floating-point operations a second, small convolutions forward and backward, one core
FORWARD_RATE = 15e9  # the same forwards only, with the files around it
EXPANSION_RATE = 5e9  # the same of curvature in float64
LBFGS_STEPS = 15  # evaluations a round, on the average
DRAW_SECONDS = 3e-3  # fixed cost of one network that is drawn and evaluated
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
            rows = -(-rows // 2) if "half" in cell.spec else rows
            seconds += epochs * (3 * rows * operations / TRAINING_RATE + rows / training["batch"] * STEP_SECONDS)
            memory += 2 * rows * row_bytes + int(training["batch"]) * _activation_bytes(network, extent)
        case "train":
            pass  # a finished model is read and written
        case "labels":
            rows = extent.rows.get("fit", 0)
            seconds += total * ROW_SECONDS if "supervisor" not in cell.inputs else rows * operations / FORWARD_RATE
            memory += 3 * rows * (row_bytes + 4 * extent.classes)
        case "features":
            rows = extent.rows.get(cell.spec["role"], 0)
            seconds += rows * operations / FORWARD_RATE
            memory += rows * (2 * row_bytes + 2 * feature_bytes)
        case "repair":
            rows = sum(extent.rows.get(role, 0) for role in ("repair", "choose", "fit") if role in cell.inputs)
            method, sizes = method_of(cell.spec["method"]), Sizes(extent.rows, features, extent.classes)
            settings = settings_of(cell.spec)
            seconds += method.seconds(settings, sizes)
            memory += 6 * rows * feature_bytes + method.memory(settings, sizes)
        case "sample":
            told = bayes_of(cell.spec)
            rows = extent.rows.get(told.learn, 0)
            head = 2.0 * features * extent.classes
            per_row = head if told.part == "head" else operations + head
            seconds += told.starts * told.passes(rows) * (3 * rows * per_row / TRAINING_RATE + STEP_SECONDS)
            memory += 6 * rows * (feature_bytes if told.part == "head" else row_bytes) * told.starts
        case "patch":
            seconds += extent.rows.get("choose", 0) * operations / FORWARD_RATE
            memory += extent.rows.get("choose", 0) * row_bytes
        case "compute":
            passes = len(cell.spec["subjects"]) * (cell.spec["rounds"] + 4)
            seconds += passes * (cell.spec["rows"] * operations / FORWARD_RATE + STEP_SECONDS)
            memory += 3 * extent.rows.get("choose", 0) * row_bytes
        case "candidate":
            own = candidate_cost(cell.spec, extent)
            seconds += own.seconds
            memory += own.memory
        case "ranking":
            seconds += len(cell.inputs) * CELL_SECONDS / 2
        case "hindsight":
            rows = extent.rows.get("judge", 0)
            seconds += len(cell.inputs) * (CELL_SECONDS / 2 + rows * ROW_SECONDS / 10)
            memory += 3 * rows * row_bytes + 8 * rows * extent.classes * len(cell.inputs)
        case "choose":
            rows = extent.rows.get("choose", 0)
            seconds += len(cell.inputs) * CELL_SECONDS / 2
            memory += 3 * rows * feature_bytes
        case "predict":
            rows = extent.rows.get("judge", 0)
            seconds += rows * operations / FORWARD_RATE
            memory += rows * (2 * row_bytes + 2 * feature_bytes)
    return Cost(seconds, memory)


def candidate_cost(spec: Mapping[str, Any], extent: Extent) -> Cost:
    """Of a candidate beyond what every cell costs: two trainings, two expansions, draws."""
    network = NetworkSpec.model_validate(spec["network"])
    rows = sum(extent.rows.get(role, 0) for role in spec["learn"])
    operations, features = _network(network, extent)
    operations += 2.0 * features * extent.classes
    asked, climb = spec["criteria"], spec["climb"]
    both = 2 - asked["held_out"]
    whole = 3 * rows * operations / TRAINING_RATE
    if climb["optimiser"] == "lbfgs":
        seconds = both * climb["epochs"] * LBFGS_STEPS * (whole + 2 * STEP_SECONDS)
    else:
        seconds = both * climb["epochs"] * (whole + rows / climb["batch"] * STEP_SECONDS)
    seconds += both * 3 * rows * operations * extent.classes / EXPANSION_RATE
    seconds += asked["draws"] * (asked["held_out"] * rows * operations / FORWARD_RATE + DRAW_SECONDS)
    # Weights, where each is used once a row; the plan counts those of a user's own network (`choice/curvatures.py`).
    numbers = 0.0 if network.file is not None else operations / 2
    if asked["structure"] == "full":
        seconds += both * (rows * extent.classes * numbers**2 + 3 * numbers**3) / EXPANSION_RATE
    row_bytes = 4 * prod(extent.shape) + NAMES_BYTES
    memory = 3 * rows * row_bytes + 3 * 8 * asked["draws"] * asked["held_out"] * rows + 4 * asked["draws"] * numbers
    return Cost(seconds, int(memory + climb["batch"] * _activation_bytes(network, extent)))


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
    if network.vit is not None:
        of = network.vit
        tokens = (height // of.patch) * (width // of.patch) + (of.pool == "token")
        block = 2 * tokens * (4 + 2 * of.expansion) * of.width**2 + 4 * tokens**2 * of.width
        return of.depth * block + 2.0 * depth * height * width * of.width, of.width
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

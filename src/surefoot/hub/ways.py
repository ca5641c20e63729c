"""How a model is run: measured on its own first rows, taken only if the features stay what they were.

Candidates are texts without padding (`surefoot.hub.packed`), convolutions simplified (`surefoot.hub.fold`), channels
last in memory, and the product path (`surefoot.networks.product`), which is tried on the best of the others. The same
switch that speeds linear layers up can slow attention down, and which wins differs by model and machine: so the model
itself is timed, a few rows long. The choice is written down beside the cache, and is part of the features' address;
it is made once per model and machine.
"""

import platform
import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, Literal, TypeAlias

import torch
from torch import Tensor, nn

from surefoot.errors import InputError
from surefoot.files import digest_json, read_json, write_json
from surefoot.hub.encoder import Encoder
from surefoot.hub.fold import simplified
from surefoot.hub.layers import layer_features
from surefoot.hub.packed import can_pack, packed
from surefoot.networks.product import ProductName, measure_product, onednn_is_available, product_in_use, use_product

__all__ = ["LARGEST_ERROR", "LARGEST_ERROR_BFLOAT16", "PLAIN", "Choice", "Precision", "Way", "choose_way", "running"]

Precision: TypeAlias = Literal["float32", "bfloat16"]
LARGEST_ERROR = 1e-5
"""‖features − plain‖ / ‖plain‖ on the first rows that a float32 way may have."""
LARGEST_ERROR_BFLOAT16 = 2e-2
SMALLEST_GAIN = 1.05
REPEATS = 3
HOPELESS = 1.25
"""A way whose first run takes this many times the best one's is not run again."""
WORTH_MEASURING = 0.005
"""Seconds that a batch must take before other ways are tried."""


@dataclass(frozen=True)
class Way:
    """One way to run a model."""

    product: ProductName = "default"
    fold: bool = False
    channels_last: bool = False
    packed: bool = False
    precision: Precision = "float32"

    def told(self) -> str:
        """In words.

        >>> Way(fold=True).told()
        'float32, convolutions folded'
        """
        if self == PLAIN:
            return "float32, as the model is"
        parts = [
            self.precision,
            *(["products by oneDNN"] if self.product == "onednn" else []),
            *(["convolutions folded"] if self.fold else []),
            *(["channels last"] if self.channels_last else []),
            *(["texts without padding"] if self.packed else []),
        ]
        return ", ".join(parts)


PLAIN = Way()


@dataclass(frozen=True)
class Choice:
    """The way taken, its error (relative to plain float32) and its gain (times as fast as plain) on the first rows."""

    way: Way
    error: float
    gain: float

    def told(self) -> str:
        """In words.

        >>> Choice(Way(fold=True), 2e-7, 1.5).told()
        'float32, convolutions folded; 1.50 × as fast as plain, relative error 2.0e-07 on the first rows'
        """
        if self.way == PLAIN:
            return self.way.told()
        return (
            f"{self.way.told()}; {self.gain:.2f} × as fast as plain, relative error {self.error:.1e} on the first rows"
        )


def choose_way(
    encoder: Encoder,
    given: Mapping[str, Tensor],
    layers: Sequence[str],
    *,
    precision: Precision = "float32",
    kept: Path,
    identity: str,
) -> Choice:
    """The fastest way whose features on `given` are plain float32's, to `LARGEST_ERROR`; written below `kept`.

    precision: "bfloat16" is tried when asked for, and taken only within `LARGEST_ERROR_BFLOAT16`. identity: of the
    model; the same model on the same machine gets the choice that was made first.
    """
    asked = [identity, sorted(layers), precision, torch.get_num_threads(), torch.__version__, platform.processor()]
    path = kept / f"{digest_json(asked)[:32]}.json"
    if path.is_file():
        try:
            told = read_json(path)
            return Choice(Way(**told["way"]), float(told["error"]), float(told["gain"]))
        except (InputError, KeyError, TypeError, ValueError):
            pass  # damaged: chosen again
    choice = _measured(encoder, given, layers, precision)
    write_json(path, asdict(choice))
    return choice


@contextmanager
def running(encoder: Encoder, way: Way, example: Mapping[str, Tensor] | None = None) -> Generator[nn.Module]:
    """The module made ready for `way`, and the product path switched, until the end of the block.

    example: arguments for one run, with which folding sees what follows what.
    """
    module = encoder.module
    if way.fold:
        if example is None:
            raise InputError("Folding needs an example to see what follows what; give one batch.")
        module = simplified(module, {name: tensor[:1] for name, tensor in example.items()})
    if way.channels_last:
        module = module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    before = product_in_use()
    use_product(way.product)
    try:
        with ExitStack() as stack:
            if way.packed:
                module = stack.enter_context(packed(module))
            stack.enter_context(torch.autocast("cpu", torch.bfloat16, enabled=way.precision == "bfloat16"))
            yield module
    finally:
        use_product(before)
        if way.channels_last:
            encoder.module.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]


def _layouts(encoder: Encoder) -> list[Way]:
    """Ways to lay the work out, with the default product."""
    if encoder.reads == "texts":
        return [Way(packed=True)] if can_pack(encoder.module) else []
    if not any(isinstance(part, nn.Conv2d) for part in encoder.module.modules()):
        return []
    return [Way(fold=True, channels_last=True), Way(fold=True), Way(channels_last=True)]


@cache
def _onednn_is_worth_trying() -> bool:
    # Only where it was found to be float32; whether it is faster here, the model itself says.
    return onednn_is_available() and not measure_product().reason.startswith("the error of oneDNN")


def _measured(encoder: Encoder, given: Mapping[str, Tensor], layers: Sequence[str], precision: Precision) -> Choice:
    with running(encoder, PLAIN) as module:
        wanted, plain = _timed(encoder, module, given, layers)
    best = Choice(PLAIN, 0.0, 1.0)
    if plain < WORTH_MEASURING and precision == "float32":
        return best

    def tried(way: Way, best: Choice) -> Choice:
        try:
            with running(encoder, way, given) as module:
                found, seconds = _timed(encoder, module, given, layers, HOPELESS * plain / best.gain)
        except (RuntimeError, TypeError, ValueError, AttributeError, NotImplementedError):
            return best  # a way that this model cannot go
        error = max(
            float((found[name] - wanted[name]).norm() / wanted[name].norm().clamp_min(1e-30)) for name in layers
        )
        allowed = LARGEST_ERROR if way.precision == "float32" else LARGEST_ERROR_BFLOAT16
        gain = plain / seconds
        # written so that NaN is refused too
        better = error <= allowed and gain > max(best.gain * (1.0 if best.way == PLAIN else 1.02), SMALLEST_GAIN)
        return Choice(way, error, gain) if better else best

    for way in _layouts(encoder):
        best = tried(way, best)
    if _onednn_is_worth_trying():
        best = tried(replace(best.way, product="onednn"), best)
    if precision == "bfloat16":
        for way in dict.fromkeys((replace(best.way, precision=precision), Way(precision=precision))):
            best = tried(way, best)
    return best


def _timed(
    encoder: Encoder,
    module: nn.Module,
    given: Mapping[str, Tensor],
    layers: Sequence[str],
    hopeless: float = float("inf"),
) -> tuple[dict[str, Tensor], float]:
    """The features, and the least of a few runs' seconds: the processor's where one thread does the work."""
    arguments = _placed(given, module)
    alone = torch.get_num_threads() == 1 and all(tensor.device.type == "cpu" for tensor in arguments.values())
    clock = time.process_time if alone else time.perf_counter
    features: dict[str, Any] = layer_features(encoder, module, arguments, layers)  # warms caches and allocators
    best = float("inf")
    for _ in range(REPEATS):
        started = clock()
        layer_features(encoder, module, arguments, layers)
        best = min(best, clock() - started)
        if best > hopeless:
            break
    return features, best


def _placed(given: Mapping[str, Tensor], module: nn.Module) -> dict[str, Tensor]:
    device = next((tensor.device for tensor in module.parameters()), torch.device("cpu"))
    return {name: tensor.to(device) for name, tensor in given.items()}

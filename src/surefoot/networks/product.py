"""The guarded choice of how fp32 matrix products are computed on a CPU.

On some CPUs torch's default library runs fp32 products at half the machine's speed, and asking oneDNN for them
(`torch.backends.mkldnn.matmul.fp32_precision = "bf16"`) gives the other half *at fp32 accuracy*; on a machine
with AMX the same switch really rounds to bf16. So it is never set blindly: `measure_product` measures the speed
and the error of both, and takes oneDNN only when its error is that of fp32 and it is clearly faster.

The choice is made once per study, recorded, and part of every cell's address, because the two paths differ in
the last bits. It serves linear layers. The same switch slows `scaled_dot_product_attention` on a CPU (about 5 ×
forward, 9 × backward): a model with attention should stay on "default", or write attention as two products.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal, NamedTuple, TypeAlias

import torch
from jaxtyping import Float
from torch import Tensor

from surefoot.errors import InputError

__all__ = [
    "Measured",
    "ProductChoice",
    "ProductName",
    "bfloat16_is_fast",
    "measure_path",
    "measure_product",
    "onednn_is_available",
    "product_in_use",
    "products_are_float32",
    "use_product",
]

ProductName: TypeAlias = Literal["default", "onednn"]

SHAPES = ((512, 512, 512), (8192, 288, 64))
"""rows × inner × columns: a square product, and the tall and narrow one of a layer on many rows."""
REPEATS = 7
LARGEST_ERROR = 2e-6
LARGEST_ERROR_RATIO = 3.0
SMALLEST_GAIN = 1.1
SMALLEST_GAIN_OF_HALVES = 1.4


class Measured(NamedTuple):
    """Speed in 10⁹ floating-point operations a second, and the largest ‖C − C₆₄‖ / ‖C₆₄‖ seen (Frobenius)."""

    gflops: float
    error: float


@dataclass(frozen=True)
class ProductChoice:
    """Which path was taken, and the figures it was taken on (NaN for oneDNN where torch does not offer it)."""

    name: ProductName
    gflops_default: float
    gflops_onednn: float
    error_default: float
    error_onednn: float
    reason: str


def measure_path(name: ProductName, seed: int = 0) -> Measured:
    """Measure one path in this process, with its present number of threads; the path in use is put back."""
    before = product_in_use()
    generator = torch.Generator().manual_seed(seed)
    operations = seconds = error = 0.0
    _turn(name)
    try:
        for rows, inner, columns in SHAPES:
            left = torch.randn(rows, inner, generator=generator)
            right = torch.randn(inner, columns, generator=generator)
            error = max(error, _error(left, right))
            product = left @ right
            operations += 2.0 * rows * inner * columns
            seconds += min(_seconds(lambda a=left, b=right, c=product: torch.mm(a, b, out=c)) for _ in range(REPEATS))
    finally:
        _turn(before)
    return Measured(operations / seconds / 1e9, error)


def measure_product(measure: Callable[[ProductName], Measured] = measure_path) -> ProductChoice:
    """Choose the faster path whose error is that of fp32; nothing is switched on. Takes a fraction of a second."""
    default = measure("default")
    if not onednn_is_available():
        unknown = float("nan")
        return ProductChoice(
            "default", default.gflops, unknown, default.error, unknown, "this torch offers no oneDNN products"
        )
    onednn = measure("onednn")
    allowed = min(LARGEST_ERROR, LARGEST_ERROR_RATIO * default.error)
    gain = onednn.gflops / default.gflops
    name: ProductName = "default"
    if not onednn.error <= allowed:  # written so that NaN is refused too
        reason = f"the error of oneDNN, {onednn.error:.1e}, is above {allowed:.1e}: it rounds to less than fp32"
    elif gain < SMALLEST_GAIN:
        reason = f"oneDNN is {gain:.2f} × as fast, below the {SMALLEST_GAIN} × that would be worth a switch"
    else:
        name = "onednn"
        reason = f"oneDNN is {gain:.2f} × as fast, with an fp32 error of {onednn.error:.1e}"
    return ProductChoice(name, default.gflops, onednn.gflops, default.error, onednn.error, reason)


def use_product(name: str) -> None:
    """Set the path of this process's fp32 matrix products; setting it again changes nothing.

    Switching oneDNN on checks its error once more, for a study may be resumed on another machine.

    Raises `InputError` for an unknown name, and for "onednn" where torch does not offer it or it is not fp32.
    """
    if name not in ("default", "onednn"):
        raise InputError(f'"{name}" is no product path; choose "default" or "onednn".')
    if name == product_in_use():
        return
    if name == "onednn" and not onednn_is_available():
        raise InputError(
            f'This torch ({torch.__version__}) offers no oneDNN products; choose "default" or upgrade torch.'
        )
    _turn(name)
    if name == "onednn":
        generator = torch.Generator().manual_seed(0)
        error = _error(torch.randn(256, 256, generator=generator), torch.randn(256, 256, generator=generator))
        if error > LARGEST_ERROR:
            _turn("default")
            raise InputError(
                f"oneDNN products round to less than fp32 on this machine (relative error {error:.1e}); run the study "
                'where it was begun, or begin it again with the product "default".'
            )


def product_in_use() -> ProductName:
    """The path that fp32 matrix products of this process take now."""
    switch = _switch()
    return "onednn" if switch is not None and switch.fp32_precision == "bf16" else "default"


def products_are_float32() -> bool:
    """Whether torch is told to keep float32's precision in CPU products, so that bounds on their rounding hold.

    False for "onednn" too: its error was measured, not proved.
    """
    switch = _switch()
    if switch is None:
        return torch.get_float32_matmul_precision() == "highest"
    return switch.fp32_precision in ("none", "ieee")


def onednn_is_available() -> bool:
    """Whether this torch was built with oneDNN and lets products choose it."""
    return _switch() is not None


@cache
def bfloat16_is_fast() -> bool:
    """Whether this machine multiplies bfloat16 much faster than float32; measured once a process.

    Where it does not, such products are emulated and several times slower, so that the answer is never close. They are
    no float32 products: a method that takes them says how far it is off.
    """
    left, right = torch.ones(1024, 512), torch.ones(512, 512)
    halves = left.bfloat16(), right.bfloat16()
    whole = min(_seconds(lambda: torch.mm(left, right)) for _ in range(REPEATS))
    return whole > SMALLEST_GAIN_OF_HALVES * min(_seconds(lambda: torch.mm(*halves)) for _ in range(REPEATS))


def _switch() -> Any | None:
    """torch's setting for oneDNN products; older torch and builds without oneDNN have none."""
    if not torch.backends.mkldnn.is_available():
        return None
    switch: Any = getattr(torch.backends.mkldnn, "matmul", None)
    return switch if getattr(switch, "fp32_precision", None) is not None else None


def _turn(name: ProductName) -> None:
    switch = _switch()
    if switch is not None:
        switch.fp32_precision = "bf16" if name == "onednn" else "none"


def _error(left: Float[Tensor, "rows inner"], right: Float[Tensor, "inner columns"]) -> float:
    """The largest relative error, in the Frobenius norm, of the three products a linear layer makes."""
    upstream = left @ right
    pairs = ((left, right), (upstream, right.T), (left.T, upstream))
    errors: list[float] = []
    for first, second in pairs:
        exact = first.double() @ second.double()
        errors.append(float((first @ second - exact).norm() / exact.norm()))
    return max(errors)


def _seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started

"""The machine code of a decoder, and for which decoders there is some."""

import ctypes
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch

from surefoot.errors import InputError
from surefoot.inference.small.compile import compile_functions, compiler_is_installed, this_machine
from surefoot.text.decoder import Decoder
from surefoot.text.machine.completing import machine_code
from surefoot.text.machine.layout import Layout, layout_of

__all__ = ["LARGEST", "MOST_SYMBOLS", "Compiled", "compiled", "layout_for", "why_not_machine"]

LARGEST = 3_000_000
"""Weights up to which code is made: from there on, libraries' products are as fast (see `docs/LOG.md`)."""
MOST_SYMBOLS = 4096
"""Symbols up to which code is made: a token is drawn by adding chances one by one."""
KEPT = 16


@dataclass(frozen=True)
class Compiled:
    """The functions of a layout; see `step_code` and `machine_code`. They hold no state, and other threads run on.

    owner: what holds their memory.
    """

    step: Callable[..., None]
    complete: Callable[..., None]
    owner: Any


def why_not_machine(decoder: Decoder) -> str | None:
    """Why a decoder is read by torch; None where machine code does."""
    if not compiler_is_installed():
        return 'llvmlite is not installed (pip install "surefoot[fast]")'
    weight, shape = decoder.head.weight, decoder.shape
    if weight.device.type != "cpu" or weight.dtype != torch.float32:
        return f"its weights are {weight.dtype} on {weight.device}, not float32 on the processor"
    machine = this_machine()
    if machine is None:
        return "this processor cannot multiply and add in one instruction"
    layout = layout_of(shape, machine)
    if layout is None:
        return f"its heads have {shape.width // shape.heads} numbers, which is no multiple of 4"
    if layout.weights > LARGEST:
        return f"it has {layout.weights:,} weights, more than {LARGEST:,}"
    if shape.symbols > MOST_SYMBOLS:
        return f"it has {shape.symbols:,} symbols, more than {MOST_SYMBOLS:,}"
    return None


def layout_for(decoder: Decoder) -> Layout:
    """The layout on this machine; raises `InputError` with the reason where there is no code."""
    reason, machine = why_not_machine(decoder), this_machine() if compiler_is_installed() else None
    layout = None if machine is None else layout_of(decoder.shape, machine)
    if reason is not None or layout is None:
        raise InputError(f"There is no machine code for this decoder: {reason}; read with `stepping.Reader`.")
    return layout


@lru_cache(maxsize=KEPT)
def compiled(layout: Layout) -> Compiled:
    """The machine code of a layout, made in a fraction of a second; the last few are kept."""
    pointer, integer = ctypes.c_void_p, ctypes.c_int64
    signatures = {
        "step": (*[pointer] * 14, *[integer] * 3),
        "complete": (*[pointer] * 18, *[integer] * 6, ctypes.c_float, *[integer] * 2),
    }
    (step, complete), owner = compile_functions(signatures, machine_code(layout))
    return Compiled(step, complete, owner)

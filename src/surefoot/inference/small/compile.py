"""Machine code from LLVM code, in this process, for this processor."""

import ctypes
import importlib.util
import platform
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any

from surefoot.errors import InputError
from surefoot.inference.small.kernel import leapfrogs_code
from surefoot.inference.small.sizes import Machine, Plan
from surefoot.inference.small.steps import steps_code

__all__ = [
    "Leapfrogs",
    "Steps",
    "compile_functions",
    "compile_leapfrogs",
    "compile_steps",
    "compiler_is_installed",
    "this_machine",
]

AARCH64 = ("aarch64", "arm64")
KEPT = 16


@dataclass(frozen=True)
class Leapfrogs:
    """A compiled function and what owns its memory. It holds no state, and other threads run while it does.

    call: addresses of position, momentum, gradient, facts and work, the step size, and the number of steps.
    """

    plan: Plan
    call: Callable[[int, int, int, int, int, float, int], None]
    owner: Any


@dataclass(frozen=True)
class Steps:
    """The same for Langevin steps.

    call: addresses of position, momentum, gradient, facts, work, told, known, index, paces and present, the momentum's
    decay, two 32-bit keys of the noise, the number of the first step and of the chain, and the number of steps.
    """

    plan: Plan
    call: Callable[..., None]
    owner: Any


def compiler_is_installed() -> bool:
    """Whether `llvmlite` is there (`pip install surefoot[fast]`); nothing is imported."""
    return importlib.util.find_spec("llvmlite") is not None


@cache
def this_machine() -> Machine | None:
    """This processor's vectors; None where it cannot multiply and add at once, which is what the code is made of."""
    features = _llvm().get_host_cpu_features()
    if platform.machine().lower() in AARCH64:
        return Machine(bytes=16, registers=32)
    if not features.get("fma", False):
        return None
    return Machine(bytes=64, registers=32) if features.get("avx512f", False) else Machine(bytes=32, registers=16)


def compile_functions(
    signatures: Mapping[str, tuple[Any, ...]], text: str
) -> tuple[tuple[Callable[..., None], ...], Any]:
    """The functions of these names, with what each is given (of `ctypes`), and what owns their memory.

    LLVM's passes over the code are left out: they would double the time and find nothing to improve.
    """
    llvm = _llvm()
    module: Any = llvm.parse_assembly(text)
    module.verify()
    machine: Any = llvm.Target.from_default_triple().create_target_machine(
        cpu=llvm.get_host_cpu_name(), features=llvm.get_host_cpu_features().flatten(), opt=3
    )
    engine: Any = llvm.create_mcjit_compiler(module, machine)
    engine.finalize_object()
    found = tuple(
        ctypes.CFUNCTYPE(None, *given)(engine.get_function_address(name)) for name, given in signatures.items()
    )
    return found, engine


@lru_cache(maxsize=KEPT)
def compile_leapfrogs(plan: Plan) -> Leapfrogs:
    """The machine code of `plan`'s trajectories, made in a fraction of a second for a few hundred parameters.

    The same plan gives the same function, which holds no state, so the last few are kept.
    """
    signature = (*[ctypes.c_void_p] * 5, _real(plan), ctypes.c_int64)
    (call,), owner = compile_functions({"leapfrogs": signature}, leapfrogs_code(plan))
    return Leapfrogs(plan, call, owner)


@lru_cache(maxsize=KEPT)
def compile_steps(plan: Plan, whole: Plan) -> Steps:
    """The machine code of Langevin steps on batches of `plan`'s rows, out of `whole`'s."""
    keys_and_counts = (ctypes.c_uint32, ctypes.c_uint32, ctypes.c_int64, ctypes.c_int32, ctypes.c_int64)
    signature = (*[ctypes.c_void_p] * 10, _real(plan), *keys_and_counts)
    (call,), owner = compile_functions({"steps": signature}, steps_code(plan, whole))
    return Steps(plan, call, owner)


def _real(plan: Plan) -> Any:
    return ctypes.c_float if plan.sizes.real == "float" else ctypes.c_double


def _llvm() -> Any:
    """llvmlite's binding, ready; it is heavy and optional, so it comes only when it is needed."""
    if not compiler_is_installed():
        raise InputError(
            'Compiled gradients and steps need llvmlite, which is not installed; run pip install "surefoot[fast]".'
        )
    import llvmlite.binding as llvm

    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    return llvm

"""Keep the memory of one training step for the next.

A step allocates its activations and frees them all. glibc hands freed memory at the top of its heap back to the
kernel, which clears every page again at the next step: about a thousand page faults and a quarter of the time of
a small network's step. No number depends on this.
"""

import ctypes
import os
from collections.abc import Generator
from contextlib import contextmanager

__all__ = ["kept_heap"]

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # names of malloc.h
KEPT = 1 << 30  # bytes that may stay free at the top of the heap
LARGEST_FROM_HEAP = 32 << 20  # the largest value glibc accepts: bigger blocks are mapped one by one


@contextmanager
def kept_heap() -> Generator[None]:
    """Inside, glibc keeps up to 1 GiB of freed memory; at the end what is free goes back to the kernel.

    The peak is not raised. glibc has no way to read its thresholds, so they stay as set afterwards: freed blocks
    of up to 32 MiB are then cached by this process. Where malloc is not glibc's, or the user has set malloc's
    environment variables, this does nothing.
    """
    heap = _glibc()
    if heap is not None:
        heap.mallopt(M_TRIM_THRESHOLD, KEPT)
        heap.mallopt(M_MMAP_THRESHOLD, LARGEST_FROM_HEAP)
    try:
        yield
    finally:
        if heap is not None:
            heap.malloc_trim(0)


def _glibc() -> ctypes.CDLL | None:
    if any(name.startswith("MALLOC_") or name in {"GLIBC_TUNABLES", "LD_PRELOAD"} for name in os.environ):
        return None
    try:
        process = ctypes.CDLL(None)
    except (OSError, TypeError):
        return None
    return process if hasattr(process, "mallopt") and hasattr(process, "malloc_trim") else None

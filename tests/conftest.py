"""Shared by every test: one thread (the machine has few), and a cache folder of the tests' own."""

import os
import signal
from collections.abc import Generator
from pathlib import Path

os.environ.setdefault("GOMP_SPINCOUNT", "0")
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("SUREFOOT_CACHE", str(Path(__file__).parent.parent / ".pytest_cache" / "surefoot"))

import pytest
import torch

torch.set_num_threads(1)


@pytest.fixture
def interruptible() -> Generator[None]:
    """Control-C interrupts, here and in children: a shell lets what it starts in the background ignore it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)

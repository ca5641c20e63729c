"""Shared by every test: one thread (the machine has few), and a cache folder of the tests' own."""

import os
from pathlib import Path

os.environ.setdefault("GOMP_SPINCOUNT", "0")
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("SUREFOOT_CACHE", str(Path(__file__).parent.parent / ".pytest_cache" / "surefoot"))

import torch

torch.set_num_threads(1)

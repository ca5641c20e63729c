"""Memory that a step frees stays for the next one."""

import ctypes
import resource
import sys

import pytest
import torch

from surefoot.inference.heap import kept_heap

GLIBC = sys.platform == "linux" and hasattr(ctypes.CDLL(None), "mallopt")


def faults_of_steps(steps: int) -> int:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(steps):
        held = [torch.ones(400_000) for _ in range(8)]  # 1.6 MB each, some 390 pages
        del held
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


@pytest.mark.skipif(not GLIBC, reason="speaks to glibc's malloc")
def test_steps_inside_do_not_fault_their_memory_in_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LD_PRELOAD", raising=False)
    with kept_heap():
        faults_of_steps(2)
        assert faults_of_steps(50) < 50 * 390  # all eight tensors of every step would be 156,000


@pytest.mark.skipif(not GLIBC, reason="speaks to glibc's malloc")
def test_what_was_kept_goes_back_at_the_end() -> None:
    with kept_heap():
        faults_of_steps(2)
    assert faults_of_steps(1) > 8 * 300


def test_the_users_own_settings_are_respected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MALLOC_ARENA_MAX", "2")
    monkeypatch.setattr(ctypes, "CDLL", lambda _: pytest.fail("malloc was touched"))
    with kept_heap():
        pass

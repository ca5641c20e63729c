"""Room to work in: what memory and disk are left, asked for before anything large is made.

A request that cannot fit ends in one sentence with both numbers, instead of a killed process or a full disk.
"""

import os
import shutil
from pathlib import Path

from surefoot.errors import InputError

__all__ = ["available_memory", "human_bytes", "require_disk", "require_memory"]

MEMINFO = Path("/proc/meminfo")
CONTROL_GROUP = Path("/sys/fs/cgroup")


def available_memory(meminfo: Path = MEMINFO, control_group: Path = CONTROL_GROUP) -> int:
    """Bytes that can be taken without swapping: the machine's, or a container's limit when that is lower.

    Linux counts what it could free from its caches (`MemAvailable`); elsewhere it is the free physical memory.
    """
    machine = _from_meminfo(meminfo)
    if machine is None:
        machine = _from_system()
    container = _from_control_group(control_group)
    return machine if container is None else min(machine, container)


def require_memory(needed: int, what: str) -> None:
    """Raise `InputError` when `what` needs more bytes of memory than are available."""
    available = available_memory()
    if needed > available:
        raise InputError(
            f"{what} needs about {human_bytes(needed)} of memory and {human_bytes(available)} are available; "
            "use fewer rows or smaller inputs, or free memory."
        )


def require_disk(needed: int, folder: Path, what: str) -> None:
    """Raise `InputError` when `what` needs more bytes than are free on the disk that holds `folder`."""
    existing = folder.absolute()
    while not existing.exists():
        existing = existing.parent
    available = shutil.disk_usage(existing).free
    if needed > available:
        raise InputError(
            f"{what} needs about {human_bytes(needed)} of disk space in {folder} and {human_bytes(available)} "
            "are free; free space or choose another folder."
        )


def human_bytes(count: int) -> str:
    """A number of bytes in the unit a person would use.

    >>> human_bytes(999), human_bytes(1536), human_bytes(3 * 1024**3)
    ('999 bytes', '1.5 KiB', '3.0 GiB')
    """
    if count < 1024:
        return f"{count} bytes"
    size = float(min(count, 2**200))
    for unit in ("KiB", "MiB", "GiB", "TiB"):
        size /= 1024
        if size < 1024:
            return f"{size:.1f} {unit}"
    return f"{size / 1024:.1f} PiB"


def _from_meminfo(path: Path) -> int | None:
    try:
        lines = path.read_text().splitlines()
    except OSError:
        return None
    for line in lines:
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    return None


def _from_system() -> int:
    pages = "SC_AVPHYS_PAGES" if "SC_AVPHYS_PAGES" in os.sysconf_names else "SC_PHYS_PAGES"
    return os.sysconf(pages) * os.sysconf("SC_PAGE_SIZE")


def _from_control_group(folder: Path) -> int | None:
    """What a container may still take (control groups version 2); caches it could drop count as free."""
    try:
        limit = (folder / "memory.max").read_text().strip()
        used = int((folder / "memory.current").read_text())
        statistics = (folder / "memory.stat").read_text().split()
    except (OSError, ValueError):
        return None
    if limit == "max":
        return None
    droppable = dict(zip(statistics[::2], statistics[1::2], strict=False)).get("inactive_file", "0")
    return max(0, int(limit) - used + int(droppable))

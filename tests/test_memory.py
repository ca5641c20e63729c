"""Requests that cannot fit are refused with both numbers, before anything is allocated or written."""

import re
import shutil
from pathlib import Path

import pytest

from surefoot.errors import InputError
from surefoot.memory import available_memory, human_bytes, require_disk, require_memory

NOWHERE = Path("/nowhere")


def meminfo(folder: Path, kibibytes: int) -> Path:
    path = folder / "meminfo"
    path.write_text(f"MemTotal: 99999999 kB\nMemFree: 1 kB\nMemAvailable:   {kibibytes} kB\n")
    return path


def control_group(folder: Path, limit: str, used: int, droppable: int) -> Path:
    (folder / "memory.max").write_text(f"{limit}\n")
    (folder / "memory.current").write_text(f"{used}\n")
    (folder / "memory.stat").write_text(f"anon 5\ninactive_file {droppable}\nfile 9\n")
    return folder


def test_available_memory_reads_what_linux_could_free(tmp_path: Path) -> None:
    assert available_memory(meminfo(tmp_path, 2048), NOWHERE) == 2048 * 1024


def test_a_container_may_have_less_than_the_machine(tmp_path: Path) -> None:
    machine = meminfo(tmp_path, 2048)
    assert available_memory(machine, control_group(tmp_path, "1000000", 700_000, 200_000)) == 500_000
    assert available_memory(machine, control_group(tmp_path, "max", 700_000, 200_000)) == 2048 * 1024
    assert available_memory(machine, control_group(tmp_path, "10", 700_000, 0)) == 0


def test_without_linux_the_system_is_asked() -> None:
    assert 0 < available_memory(NOWHERE, NOWHERE) < 2**50


def test_require_memory_names_both_numbers() -> None:
    require_memory(1, "One byte")
    with pytest.raises(
        InputError,
        match=r"^The table needs about 1024\.0 PiB of memory and [\d.]+ [MGT]iB are available; "
        r"use fewer rows or smaller inputs, or free memory\.$",
    ):
        require_memory(2**60, "The table")


def test_require_disk_asks_the_nearest_folder_that_exists(tmp_path: Path) -> None:
    folder = tmp_path / "not" / "yet"
    require_disk(1, folder, "One byte")
    free = re.escape(human_bytes(shutil.disk_usage(tmp_path).free).split(".")[0])
    with pytest.raises(
        InputError,
        match=rf"^The cache needs about 1024\.0 PiB of disk space in {re.escape(str(folder))} and {free}[\d.]* \w+ "
        r"are free; free space or choose another folder\.$",
    ):
        require_disk(2**60, folder, "The cache")
    assert not folder.exists()


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 bytes"), (1023, "1023 bytes"), (1024, "1.0 KiB"), (5 * 1024**2, "5.0 MiB"), (2**60, "1024.0 PiB")],
)
def test_human_bytes(count: int, text: str) -> None:
    assert human_bytes(count) == text

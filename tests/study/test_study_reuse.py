"""A cell is never reused, nor kept, after the code or the data behind it changed; and the user is told why."""

import ast
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import surefoot
from surefoot.errors import InputError
from surefoot.study import numerics, plan, run
from surefoot.study.again import ways_that_differ
from surefoot.study.graph import graph_of
from surefoot.study.numerics import COMPUTING, computing_code, numerics_of
from surefoot.study.run import Outcome, run_study
from surefoot.study.schema import Study, load_study

LINES = (
    "study: small", "rows:", "  {rows}", "network: {network}", "base: {{plain: {{epochs: 2}}}}",
    "mitigations: {{cb: {{method: class_balanced, strengths: [0.1], retrains: 1}}}}", "seeds: [0]", "claims:",
    "  - {{finding: accuracy, of: chosen, at_least: 0.1}}",
)  # fmt: skip
SPLIT = ["train"] * 12 + ["repair"] * 8 + ["val"] * 8 + ["test"] * 8
Write = Callable[..., Study]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write(rows: str, network: str = "linear: {}") -> Study:
        text = "\n".join(LINES).format(rows=rows, network="{" + network + "}")
        (tmp_path / "study.yaml").write_text(text + "\n", encoding="utf-8")
        return load_study(tmp_path / "study.yaml")

    return write


@pytest.fixture
def own(tmp_path: Path, write: Write) -> Study:
    """A study of a user's network whose package lies beside it."""
    random = np.random.default_rng(0)
    lines = [f"{n},{random.normal():.4f},{random.normal():.4f},{n % 2},{split}" for n, split in enumerate(SPLIT)]
    (tmp_path / "rows.csv").write_text("\n".join(["id,x1,x2,y,split", *lines]) + "\n")
    (tmp_path / "net" / "blocks").mkdir(parents=True)
    (tmp_path / "net" / "blocks" / "scale.py").write_text("SCALE = 1.0\n")
    (tmp_path / "net" / "net.py").write_text(
        "from torch import nn\nfrom blocks.scale import SCALE\n\n"
        "class Net(nn.Module):\n"
        "    def __init__(self):\n        super().__init__()\n        self.head = nn.Linear(2, 2)\n\n"
        "    def forward(self, x):\n        return self.head(x * SCALE)\n"
    )
    return write("table: {path: rows.csv, split: split}", 'file: "net/net.py:Net"')


def started(study: Study, folder: Path, out: str = "runs", **settings: object) -> Outcome:
    return run_study(  # type: ignore[call-overload,no-any-return]
        study, folder, out=folder / out, engine="in_process", product="default", trust_code=True, **settings
    )


def kinds(outcome: Outcome, folder: Path, out: str = "runs") -> set[str]:
    cells = run.open_store(folder / out).cells()
    return {cell.kind for cell in cells if cell.address in outcome.computed}


def test_an_edit_in_a_package_of_the_users_network_is_computed_by_the_new_code(own: Study, tmp_path: Path) -> None:
    """In one process: neither the old cells nor the old module."""
    first = started(own, tmp_path)
    (tmp_path / "net" / "blocks" / "scale.py").write_text("SCALE = 0.0\n")
    second = started(own, tmp_path)
    assert kinds(second, tmp_path) == {"train", "features", "repair", "choose", "predict"}
    fresh = started(own, tmp_path, "fresh")
    assert second.card.findings == fresh.card.findings != first.card.findings
    (tmp_path / "net" / "blocks" / "scale.py").write_text("SCALE = 1.0\n")
    assert started(own, tmp_path).computed == ()


WAYS = ("a folder", "class folders", "a table beside it")


@pytest.mark.parametrize("way", WAYS)
def test_a_changed_picture_is_noticed_wherever_it_lies(way: str, write: Write, tmp_path: Path) -> None:
    store = tmp_path / "store"
    store.mkdir()
    random = np.random.default_rng(0)
    files = [store / f"{number}.png" for number in range(len(SPLIT))]
    if way == "class folders":
        files = [store / split / str(number % 2) / f"{number}.png" for number, split in enumerate(SPLIT)]
    for file in files:
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(random.integers(0, 255, (4, 4), dtype=np.uint8)).save(file)
    place = {"a folder": store, "class folders": store, "a table beside it": tmp_path}[way]
    lines = [f"i{number},{number}.png,{number % 2},{split}" for number, split in enumerate(SPLIT)]
    if way != "class folders":
        (place / "metadata.csv").write_text("\n".join(["id,filename,y,split", *lines]) + "\n")
    rows = (
        "table: {path: metadata.csv, images: store, split: split}"
        if way == "a table beside it"
        else f"images: {{path: {place.name}, split: split}}"
    )
    study = write(rows)
    first = started(study, tmp_path)
    assert kinds(first, tmp_path) >= {"rows", "train"}
    (place / "a note that no row names.txt").write_text("x")
    assert started(study, tmp_path).computed == ()
    about = files[30].stat()
    Image.fromarray(random.integers(0, 255, (4, 4), dtype=np.uint8)).save(files[30])
    os.utime(files[30], ns=(about.st_atime_ns, about.st_mtime_ns))
    assert kinds(started(study, tmp_path), tmp_path) >= {"rows", "train", "predict"}


@pytest.mark.parametrize("edited", ["net/blocks/scale.py", "rows.csv"])
def test_what_changes_while_a_study_runs_leaves_no_cell_behind(own: Study, tmp_path: Path, edited: str) -> None:
    """Else the numbers of the new code would stand under the address of the old."""
    path = tmp_path / edited
    before = path.read_bytes()

    def edit(stage: str, done: int, total: int) -> None:
        path.write_bytes(
            before.replace(b"1.0\n", b"5.0\n") + b"# \n" if edited != "rows.csv" else before[:-2] + b"t\n\n"
        )

    with pytest.raises(InputError) as refused:
        started(own, tmp_path, progress=edit)
    assert str(refused.value) == (
        "The data or the user's code changed while the study was running; what was computed of it meanwhile was taken "
        "away: run it again."
    )
    path.write_bytes(before)
    assert kinds(started(own, tmp_path), tmp_path) >= {"train", "features", "repair", "choose", "predict"}


def test_another_surefoot_computes_again_and_says_why(
    own: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = started(own, tmp_path)
    monkeypatch.setattr(numerics, "computing_code", lambda: "0" * 64)
    with pytest.raises(InputError) as refused:
        started(own, tmp_path, resume=first.folder)
    assert str(refused.value) == (
        f"{first.folder} was started by another version of surefoot; run without --resume, and every unchanged cell is "
        "reused."
    )
    second = started(own, tmp_path)
    assert len(second.computed) == len(first.computed)
    assert second.notes == (
        f"{len(first.computed)} finished cells were computed by another version of surefoot and are computed again.",
    )
    assert second.card.findings == first.card.findings
    monkeypatch.setattr(plan, "numerics_of", lambda product: {**numerics_of(product), "numpy": "another"})
    assert started(own, tmp_path).notes == (
        f"{len(first.computed)} finished cells were computed by another version of numpy and are computed again.",
        f"{len(first.computed)} finished cells were computed by another version of surefoot and another version of "
        "numpy and are computed again.",
    )
    assert started(own, tmp_path).notes == ()


def test_cells_from_before_versions_were_recorded_are_another_surefoots() -> None:
    now = numerics_of("default")
    before = {name: value for name, value in now.items() if name not in ("surefoot", "numpy", "pillow")}
    assert ways_that_differ(now, now) == ""
    assert ways_that_differ(before, now) == "another version of surefoot"


def test_resuming_with_other_data_is_refused(own: Study, tmp_path: Path) -> None:
    first = started(own, tmp_path)
    (tmp_path / "net" / "blocks" / "scale.py").write_text("SCALE = 3.0\n")
    with pytest.raises(InputError) as refused:
        started(own, tmp_path, resume=first.folder)
    assert str(refused.value) == (
        f"{first.folder} was started with other data, or other code of your own; run without --resume, and every "
        "unchanged cell is reused."
    )


def test_the_libraries_and_surefoots_own_code_are_part_of_every_address(
    own: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = numerics_of("default")
    assert {"surefoot", "torch", "numpy", "pillow"} <= told.keys()
    one = graph_of(own, tmp_path, told)
    monkeypatch.setattr(numerics, "computing_code", lambda: "0" * 64)
    other = graph_of(own, tmp_path, numerics_of("default"))
    assert not {cell.address for cell in one.cells()} & {cell.address for cell in other.cells()}


def test_all_that_a_cells_work_imports_is_code_that_computes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = Path(surefoot.__file__).parent
    harmless = {"card/words.py", "errors.py", "memory.py", "progress.py", "study/cells.py", "study/once/columns.py",
                "study/once/pupil.py", "study/part.py", "study/seeds.py", "study/store.py"}  # fmt: skip
    reached = {
        path.relative_to(root).as_posix() for path in imported_by(sorted((root / "study/work").glob("*.py")), root)
    }
    missed = [path for path in reached - harmless if not any(path == c or path.startswith(f"{c}/") for c in COMPUTING)]
    assert not missed, f"{missed}: name them in COMPUTING, or here when they cannot change a number"
    assert all((root / name).exists() for name in COMPUTING)

    computing_code.cache_clear()
    before = computing_code()
    copy = tmp_path / "surefoot"
    for name in [*COMPUTING, "card"]:
        for path in [root / name] if name.endswith(".py") else sorted((root / name).rglob("*.py")):
            (copy / path.relative_to(root)).parent.mkdir(parents=True, exist_ok=True)
            (copy / path.relative_to(root)).write_bytes(path.read_bytes())
    monkeypatch.setattr(surefoot, "__file__", str(copy / "__init__.py"))

    def edited(name: str) -> str:
        (copy / name).write_text((copy / name).read_text() + "\n")
        computing_code.cache_clear()
        return computing_code()

    assert edited("card/words.py") == before
    assert edited("robust/afr.py") != before
    computing_code.cache_clear()


def imported_by(files: list[Path], root: Path) -> set[Path]:
    """The modules of surefoot that these files import, directly or not."""
    found, unread = set(files), list(files)
    while unread:
        for node in ast.walk(ast.parse(unread.pop().read_text(encoding="utf-8"))):
            named = [each.name for each in node.names] if isinstance(node, ast.Import | ast.ImportFrom) else []
            if isinstance(node, ast.ImportFrom):
                named = [str(node.module), *(f"{node.module}.{name}" for name in named)]
            for name in named:
                path = root.joinpath(*name.split(".")[1:]).with_suffix(".py")
                if name.startswith("surefoot.") and path.is_file() and path not in found:
                    found.add(path)
                    unread.append(path)
    return found

"""Data goes one way: a room imports only from floors below its own, and the core imports no rim library."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import surefoot

SOURCE = Path(surefoot.__file__).parent

FLOORS: dict[str, float] = {
    # floor 0: used by all, imports none of them
    "__init__": 0,
    "errors": 0,
    "memory": 0.5,
    "files": 0.5,
    "yaml_text": 0.5,
    "progress": 0,
    # floors 1 to 8; rows come before the findings that measure them
    "rows": 1,
    "findings": 1.5,
    "networks": 2,
    "density": 3,
    "inference": 4,
    "robust": 5,
    "evidence": 5,
    "supervise": 5.2,
    "flex": 5,
    "text": 5,
    "bayes": 5.5,
    "reason": 6,
    "safety": 6,
    "card": 7,
    "study": 8,
    # rims; `export` writes finished heads for other runtimes
    "export": 8.2,
    "sklearn": 8.5,
    "hub": 8.6,
    "inspect": 8.7,
    "mlflow": 8.8,
    "cli": 9,
    "__main__": 10,
}

RIM_LIBRARIES = {
    "typer", "click", "rich", "sklearn", "scipy", "pandas", "matplotlib", "mlxtend", "transformers",
    "huggingface_hub", "inspect_ai", "mlflow", "ray", "torchvision",
}  # fmt: skip
LAZY_READERS = {"pyarrow"}  # optional: imported inside the function that reads Parquet


def modules() -> Iterator[tuple[str, Path]]:
    for path in sorted(SOURCE.rglob("*.py")):
        yield path.relative_to(SOURCE).parts[0].removesuffix(".py"), path


def imported(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            yield node.module or ""


@pytest.mark.parametrize(("room", "path"), list(modules()), ids=lambda part: getattr(part, "name", part))
def test_imports_go_down(room: str, path: Path) -> None:
    assert room in FLOORS, f"{room} has no floor; give it one here and in docs/design.md"
    for name in imported(ast.parse(path.read_text(encoding="utf-8"))):
        parts = name.split(".")
        if parts[0] == "surefoot" and len(parts) > 1 and parts[1] != room:
            assert FLOORS[parts[1]] < FLOORS[room], f"{path.name} (floor of {room}) imports {name}"


@pytest.mark.parametrize(("room", "path"), list(modules()), ids=lambda part: getattr(part, "name", part))
def test_the_core_imports_no_rim_library(room: str, path: Path) -> None:
    if FLOORS[room] >= 8.5:
        return
    tree = ast.parse(path.read_text(encoding="utf-8"))
    found = {name.split(".")[0] for name in imported(tree)}
    assert not found & RIM_LIBRARIES, f"{path.name} imports {found & RIM_LIBRARIES}"
    at_top = {
        name.split(".")[0]
        for node in tree.body
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in imported(ast.Module([node], []))
    }
    assert not at_top & LAZY_READERS, f"{path.name} imports {at_top & LAZY_READERS} at import time"


def test_no_room_imports_another_room_of_its_floor() -> None:
    """Rooms that share a floor stay strangers, `safety` and `reason` above all."""
    for room, path in modules():
        for name in imported(ast.parse(path.read_text(encoding="utf-8"))):
            parts = name.split(".")
            if parts[0] == "surefoot" and len(parts) > 1 and parts[1] != room:
                assert FLOORS[parts[1]] != FLOORS[room]


def test_nothing_is_ever_unpickled() -> None:
    for _, path in modules():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call):
                continue
            called = ast.unparse(node.func)
            given = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
            if called == "torch.load":
                assert given.get("weights_only") == "True", f"{path.name}:{node.lineno}"
            if called.endswith("np.load"):
                assert given.get("allow_pickle", "False") == "False", f"{path.name}:{node.lineno}"
            assert called not in {"pickle.load", "pickle.loads", "joblib.load", "yaml.load", "eval", "exec"}, path.name

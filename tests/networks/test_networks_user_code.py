"""The code of a model is all that its file imports from beside it, found without running any of it."""

import re
from pathlib import Path

import pytest

from surefoot.errors import InputError
from surefoot.networks import user_code
from surefoot.networks.user_code import digest_code, is_beside

NET = "from torch import nn\nfrom blocks.scale import SCALE\n"


@pytest.fixture
def net(tmp_path: Path) -> Path:
    """A file with a package beside it, a package inside that, and a folder that it does not import."""
    (tmp_path / "net" / "blocks" / "deep").mkdir(parents=True)
    (tmp_path / "net" / "others").mkdir()
    (tmp_path / "net" / "blocks" / "scale.py").write_text("SCALE = 1.0\n")
    (tmp_path / "net" / "blocks" / "deep" / "more.py").write_text("MORE = 1\n")
    (tmp_path / "net" / "others" / "plot.py").write_text("COLOUR = 1\n")
    path = tmp_path / "net" / "net.py"
    path.write_text(NET)
    return path


@pytest.mark.parametrize(
    ("file", "counts"),
    [
        ("net.py", True),
        ("beside.py", True),
        ("blocks/scale.py", True),
        ("blocks/deep/more.py", True),
        ("others/plot.py", False),
        ("blocks/.hidden/x.py", False),
        ("blocks/__pycache__/x.py", False),
        ("blocks/notes.txt", False),
    ],
)
def test_a_package_that_is_imported_counts_whole_and_no_other_folder(net: Path, file: str, counts: bool) -> None:
    before = digest_code(net)
    path = net.parent / file
    path.parent.mkdir(exist_ok=True)
    path.write_text((path.read_text() if path.exists() else "") + "# changed\n")
    assert (digest_code(net) != before) == counts


def test_imports_are_followed_through_links_and_from_file_to_file(net: Path, tmp_path: Path) -> None:
    (tmp_path / "store" / "inner").mkdir(parents=True)
    (tmp_path / "store" / "inner" / "far.py").write_text("X = 1\n")
    (tmp_path / "store" / "inner" / "loop").symlink_to(tmp_path / "store")
    (net.parent / "linked").mkdir()
    (net.parent / "linked" / "inner").symlink_to(tmp_path / "store" / "inner")
    (net.parent / "blocks" / "scale.py").write_text("def scale():\n    import linked.inner.far\n")
    before = digest_code(net)
    (tmp_path / "store" / "inner" / "far.py").write_text("X = 2\n")
    assert digest_code(net) != before


def test_a_package_elsewhere_on_the_path_counts_and_an_installed_one_by_its_version(
    net: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "lib" / "mine" / "sub").mkdir(parents=True)
    (tmp_path / "lib" / "mine" / "__init__.py").write_text("")
    (tmp_path / "lib" / "mine" / "sub" / "x.py").write_text("X = 1\n")
    site = tmp_path / "site-packages"
    (site / "installed").mkdir(parents=True)
    (site / "installed" / "__init__.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path / "lib")
    monkeypatch.syspath_prepend(site)
    net.write_text("import mine.sub.x, installed\n")
    before = digest_code(net)
    (tmp_path / "lib" / "mine" / "sub" / "x.py").write_text("X = 2\n")
    assert (edited := digest_code(net)) != before
    (site / "installed-1.dist-info").mkdir()
    (site / "installed-1.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: installed\nVersion: 1\n")
    assert digest_code(net) != edited


def test_weights_and_settings_that_the_code_names_count(net: Path) -> None:
    net.write_text(NET + 'WEIGHTS = "start.pt"\n')
    (net.parent / "start.pt").write_bytes(b"one")
    (net.parent / "other.pt").write_bytes(b"one")
    before = digest_code(net)
    (net.parent / "other.pt").write_bytes(b"two")
    assert digest_code(net) == before
    (net.parent / "start.pt").write_bytes(b"two")
    assert digest_code(net) != before


def test_a_file_in_a_folder_of_everything_is_no_slower_for_it(net: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file in a home folder: only what it imports is looked at, and an imported folder too large is refused."""
    monkeypatch.setattr(user_code, "MOST", 3)
    for number in range(9):
        (net.parent / "others" / f"{number}.py").write_text("")
    digest_code(net)
    net.write_text("import others.plot\n")
    with pytest.raises(InputError) as refused:
        digest_code(net)
    assert str(refused.value) == (
        f"{net} imports others, and {net.parent / 'others'} holds more than 3 Python files or folders; keep what the "
        "model needs in a folder of its own, so that a change of it can be noticed."
    )


def test_environments_in_a_package_are_no_part_of_it(net: Path) -> None:
    before = digest_code(net)
    (net.parent / "blocks" / "env" / "lib").mkdir(parents=True)
    (net.parent / "blocks" / "env" / "pyvenv.cfg").write_text("")
    (net.parent / "blocks" / "env" / "lib" / "x.py").write_text("")
    assert digest_code(net) == before


def test_what_stands_beside_hides_installed_packages_but_not_python_and_not_torch(tmp_path: Path) -> None:
    for name in ("torch", "types", "pytest", "data"):
        (tmp_path / name).mkdir()
        assert is_beside(name, tmp_path) == (name == "data"), f"{name}: a folder without __init__.py gives way"
        (tmp_path / name / "__init__.py").write_text("")
        assert is_beside(name, tmp_path) == (name in ("pytest", "data")), name
    assert not is_beside("absent", tmp_path)


@pytest.mark.parametrize(
    ("file", "text", "reached"),
    [
        ("net.py", "from .logging import L", "logging/__init__.py"),
        ("net.py", "from .torch import layers", "torch/layers.py"),
        ("net.py", "from . import json", "json.py"),
        ("blocks/scale.py", "from ..others.plot import COLOUR", "others/plot.py"),
        ("blocks/deep/more.py", "from ...others import plot", "others/plot.py"),
        ("blocks/deep/more.py", "from ... import others", "others/plot.py"),
    ],
)
def test_a_relative_import_is_followed_wherever_it_leads_and_whatever_it_is_called(
    net: Path, file: str, text: str, reached: str
) -> None:
    path = net.parent / reached
    path.parent.mkdir(exist_ok=True)
    path.write_text("L = COLOUR = 1\n")
    (net.parent / file).write_text(f"{NET if file == 'net.py' else ''}{text}\n")
    before = digest_code(net)
    path.write_text("L = COLOUR = 2\n")
    assert digest_code(net) != before


@pytest.mark.parametrize("text", ["from .others import plot", "from ....others import plot", "import logging"])
def test_a_relative_import_that_stays_inside_or_goes_beyond_reaches_nothing(net: Path, text: str) -> None:
    (net.parent / "logging.py").write_text("")
    (net.parent / "blocks" / "scale.py").write_text(text + "\n")
    assert not {"logging/__init__.py", "others/plot.py"} & set(user_code.user_code(net).files)


def test_of_a_namespace_in_several_folders_every_part_counts(
    net: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for part in ("one", "two"):
        (tmp_path / part / "space_of_this_test").mkdir(parents=True)
        (tmp_path / part / "space_of_this_test" / f"{part}.py").write_text("X = 1\n")
        monkeypatch.syspath_prepend(tmp_path / part)
    net.write_text("from space_of_this_test import one, two\n")
    for part in ("one", "two"):
        before = digest_code(net)
        (tmp_path / part / "space_of_this_test" / f"{part}.py").write_text("X = 2\n")
        assert digest_code(net) != before


def test_a_module_that_wins_over_a_folder_of_its_name_is_read(net: Path) -> None:
    (net.parent / "blocks.py").write_text("import others.plot\n")
    assert "others/plot.py" in user_code.user_code(net).files


def test_code_that_is_not_python_is_left_for_when_it_runs(net: Path) -> None:
    net.write_text("import (\n")
    assert re.fullmatch("[0-9a-f]{64}", digest_code(net))


def test_a_module_that_no_file_holds_does_not_count(net: Path) -> None:
    net.write_text("import __hello__\n")
    assert not user_code.user_code(net).elsewhere

"""A user's modules are run anew from their source, under names of their own, and never an old one for a new one."""

import os
import pickle
import py_compile
import re
import sys
from concurrent.futures import ThreadPoolExecutor
from inspect import getsourcefile
from pathlib import Path

import pytest
import torch
from torch import nn

from surefoot.errors import InputError
from surefoot.networks.user import USER_MODULE, load_user_module
from surefoot.networks.user_run import run_code

NET = """\
from torch import nn
import tools.widths
from tools import *
from tools.blocks import Block
from scaling import SCALE

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.block = Block(tools.widths.WIDTH)
        self.scale = SCALE

    def forward(self, x):
        from tools.late import bias
        return self.block(x) * self.scale + bias
"""
FILES = {
    "net.py": NET,
    "scaling.py": "SCALE = 1.0\n",
    "tools/__init__.py": "from . import widths\n__all__ = ['listed']\n",
    "tools/listed.py": "",
    "tools/widths.py": "WIDTH = 4\n",
    "tools/late.py": "bias = 1.0\n",
    "tools/blocks.py": (
        "from dataclasses import dataclass\nfrom torch import nn\nfrom .widths import WIDTH\n"
        "@dataclass\nclass Told:\n    width: int = WIDTH\n"
        "class Block(nn.Linear):\n    def __init__(self, width):\n        super().__init__(width, Told().width)\n"
    ),
}


def written(folder: Path) -> Path:
    for name, text in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder / "net.py"


def test_an_edited_neighbour_is_run_anew_though_nothing_tells_it_apart(tmp_path: Path) -> None:
    """The same size, the same time, bytecode beside it and the same process."""
    net = written(tmp_path)
    neighbour = tmp_path / "scaling.py"
    assert load_user_module(f"{net}:Net", trust_code=True).scale == 1.0
    py_compile.compile(str(neighbour))
    about = neighbour.stat()
    neighbour.write_text("SCALE = 2.0\n")
    os.utime(neighbour, ns=(about.st_atime_ns, about.st_mtime_ns))
    assert load_user_module(f"{net}:Net", trust_code=True).scale == 2.0


def test_each_model_is_of_modules_that_no_other_has_touched(tmp_path: Path) -> None:
    """A worker that computes its second cell must not start from what the first left in a neighbour."""
    (tmp_path / "shared.py").write_text("from torch import nn\nlayer = nn.Linear(2, 2)\n")
    (tmp_path / "net.py").write_text("from shared import layer as net\n")
    first = load_user_module(f"{tmp_path / 'net.py'}:net", trust_code=True)
    assert load_user_module(f"{tmp_path / 'net.py'}:net", trust_code=True) is not first


def test_packages_late_imports_and_everything_that_import_can_say(tmp_path: Path) -> None:
    net = written(tmp_path)
    module = load_user_module(f"{net}:Net", trust_code=True)
    assert module(torch.zeros(2, 4)).shape == (2, 4), "an import inside forward works, after loading too"
    edited = tmp_path / "tools" / "widths.py"
    edited.write_text("WIDTH = 5\n")
    assert load_user_module(f"{net}:Net", trust_code=True)(torch.zeros(2, 5)).shape == (2, 5)


def test_nothing_is_left_under_a_plain_name_or_on_the_path(tmp_path: Path) -> None:
    net = written(tmp_path)
    before, path = set(sys.modules), list(sys.path)
    module = run_code(net)
    assert all(name.startswith(USER_MODULE) for name in set(sys.modules) - before if "widths" in name or "net" in name)
    assert not {"scaling", "tools", "tools.blocks"} & set(sys.modules)
    assert sys.path == path
    assert module.__name__.startswith(USER_MODULE)


def test_neighbours_of_two_folders_may_share_a_name_in_two_threads(tmp_path: Path) -> None:
    nets = [written(tmp_path / str(number)) for number in range(4)]
    for number, net in enumerate(nets):
        (net.parent / "scaling.py").write_text(f"SCALE = {number}.0\n")
    with ThreadPoolExecutor(4) as pool:
        modules = list(pool.map(lambda net: load_user_module(f"{net}:Net", trust_code=True), nets * 3))
    assert [module.scale for module in modules] == [0.0, 1.0, 2.0, 3.0] * 3


def test_a_neighbours_class_can_be_inspected_and_pickled(tmp_path: Path) -> None:
    block = load_user_module(f"{written(tmp_path)}:Net", trust_code=True).block
    assert getsourcefile(type(block)) == str(tmp_path / "tools" / "blocks.py")
    again = pickle.loads(pickle.dumps(block))  # noqa: S301 (made here)
    assert isinstance(again, nn.Linear)
    assert type(again) is type(block)


def test_a_module_of_the_same_name_that_the_process_loaded_is_not_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A notebook that imported a neighbour itself, before it was edited."""
    net = written(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "scaling", raising=False)
    import scaling  # type: ignore[import-not-found]  # pyright: ignore[reportMissingImports]

    (tmp_path / "scaling.py").write_text("SCALE = 7.0\n")
    assert load_user_module(f"{net}:Net", trust_code=True).scale == 7.0
    assert scaling.SCALE == 1.0
    del sys.modules["scaling"]


def test_a_library_of_ones_own_that_changed_since_it_was_loaded_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "lib").mkdir()
    library = tmp_path / "lib" / "mine_of_this_test.py"
    library.write_text("X = 1\n")
    monkeypatch.syspath_prepend(tmp_path / "lib")
    net = tmp_path / "net.py"
    net.write_text("from torch import nn\nimport mine_of_this_test\nnet = nn.Linear(mine_of_this_test.X, 1)\n")
    load_user_module(f"{net}:net", trust_code=True)
    library.write_text("X = 2\n")
    with pytest.raises(InputError) as refused:
        load_user_module(f"{net}:net", trust_code=True)
    assert str(refused.value) == (
        f"{library}, which {net} imports, has changed since this process loaded it; start Python anew, or keep it "
        "beside net.py."
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("__import__('hid' + 'den.x')", "{net} imports {hidden} in a way that its text does not show; import it by a"),
        (
            "import importlib\nimportlib.import_module('hidden.x')",
            "{net} could not be run (ModuleNotFoundError: No module named 'hidden'); import it by a statement (import "
            "hidden), so that a change of it is noticed.",
        ),
    ],
)
def test_an_import_that_the_text_does_not_show_is_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "hidden").mkdir()
    (tmp_path / "hidden" / "x.py").write_text("")
    net = tmp_path / "net.py"
    net.write_text(text + "\n")
    with pytest.raises(InputError, match="^" + re.escape(message.format(net=net, hidden=tmp_path / "hidden" / "x.py"))):
        load_user_module(f"{net}:Net", trust_code=True)


def test_a_neighbour_that_fails_is_forgotten_and_can_be_mended(tmp_path: Path) -> None:
    net = written(tmp_path)
    (tmp_path / "scaling.py").write_text("SCALE = 1 / 0\n")
    with pytest.raises(InputError, match=r"could not be run \(ZeroDivisionError"):
        load_user_module(f"{net}:Net", trust_code=True)
    (tmp_path / "scaling.py").write_text("SCALE = 1 / 1\n")
    assert load_user_module(f"{net}:Net", trust_code=True).scale == 1.0

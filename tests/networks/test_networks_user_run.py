"""A user's modules are run anew from their source, under names of their own, and never an old one for a new one."""

import os
import pickle
import py_compile
import re
import subprocess
import sys
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from inspect import getsourcefile
from pathlib import Path
from types import MappingProxyType

import pytest
import torch
from torch import nn

from surefoot.errors import InputError
from surefoot.networks.user import USER_MODULE, load_user_module
from surefoot.networks.user_code import digest_code
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
    assert isinstance(block, nn.Linear)
    # Pickling looks a class up by its names, as whoever unpickles would, and refuses one that is not found again.
    assert type(block).__qualname__.encode() in pickle.dumps(block)
    assert getattr(sys.modules[type(block).__module__], type(block).__qualname__) is type(block)


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


MODEL = "from torch import nn\nclass Net(nn.Linear):\n    def __init__(self):\n        super().__init__(2, 2)\n"


def model(folder: Path, text: str, others: Mapping[str, str] = MappingProxyType({})) -> Path:
    """A file with a model in it, and others beside it."""
    for name, content in {"net": text, **others}.items():
        path = folder / f"{name}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return folder / "net.py"


ON_PATH = "import sys, os\nsys.path.insert(0, os.path.join(os.path.dirname(__file__), 'lib'))\n"


@pytest.mark.parametrize(
    "text",
    [
        f"{ON_PATH}from far_of_this_test import SCALE\n{MODEL}",
        f"{ON_PATH}import importlib\nimportlib.import_module('far_of_this_test')\n{MODEL}",
        f"{ON_PATH}try:\n    from far_of_this_test import SCALE\n    1 / 0\nexcept ZeroDivisionError: pass\n{MODEL}",
        f"import importlib\nimportlib.import_module('.lib.far_of_this_test', __package__)\n{MODEL}",
        f"{ON_PATH.replace('sys.path', 'PATH = sys.path')}{MODEL}        import importlib, sys\n"
        "        sys.path.append(os.path.join(os.path.dirname(__file__), 'lib'))\n"
        "        importlib.import_module('far_of_this_test')\n",
    ],
    ids=["path", "importlib", "caught", "relative", "built"],
)
def test_code_reached_in_another_way_is_refused_each_time_and_changes_no_digest(tmp_path: Path, text: str) -> None:
    net = model(tmp_path, text, {"lib/far_of_this_test": "SCALE = 1.0\n"})
    digest, path = digest_code(net), list(sys.path)
    for _ in range(2):
        with pytest.raises(InputError) as refused:
            load_user_module(f"{net}:Net", trust_code=True)
        assert str(refused.value) == (
            f"{net} imports {tmp_path / 'lib' / 'far_of_this_test.py'} in a way that its text does not show; import it "
            "by a statement (import lib.far_of_this_test), so that a change of it is noticed."
        )
        assert (digest_code(net), sys.path) == (digest, path)
        assert "far_of_this_test" not in sys.modules


def test_code_reached_after_the_model_was_built_is_refused(tmp_path: Path) -> None:
    late = "    def forward(self, x):\n        import sys\n        sys.path.append(self.where)\n"
    late += "        from upper_of_this_test import SCALE\n        return x * SCALE\n"
    net = model(tmp_path / "net", MODEL + late)
    (tmp_path / "upper_of_this_test.py").write_text("SCALE = 1.0\n")
    module = load_user_module(f"{net}:Net", trust_code=True)
    module.where = str(tmp_path)
    try:
        with pytest.raises(InputError) as refused:
            module(torch.zeros(1, 2))
    finally:
        sys.path.remove(str(tmp_path))
        sys.modules.pop("upper_of_this_test", None)
    assert str(refused.value) == (
        f"{net} imports {tmp_path / 'upper_of_this_test.py'} in a way that its text does not show; import it by a "
        "statement (with its folder on PYTHONPATH or beside net.py), so that a change of it is noticed."
    )


def test_a_neighbour_under_its_plain_name_must_not_change(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Python keeps it for as long as the process lives."""
    monkeypatch.syspath_prepend(tmp_path)
    net = model(tmp_path, f"import importlib\nimportlib.import_module('plain_of_this_test')\n{MODEL}")
    (tmp_path / "plain_of_this_test.py").write_text("X = 1\n")
    for _ in range(2):
        load_user_module(f"{net}:Net", trust_code=True)
    (tmp_path / "plain_of_this_test.py").write_text("X = 2\n")
    with pytest.raises(InputError, match=r"has changed since this process loaded it; start Python anew, or import it"):
        load_user_module(f"{net}:Net", trust_code=True)
    del sys.modules["plain_of_this_test"]


def test_what_importlib_brings_of_a_package_that_counts_is_run_like_the_rest(tmp_path: Path) -> None:
    text = "import importlib, heads\nlate = importlib.import_module(f'{heads.__name__}.late')\n" + MODEL
    net = model(tmp_path, text, {"heads/__init__": "", "heads/late": "import tool\nX = tool.X\n", "tool": "X = 1\n"})
    assert run_code(net).late.X == 1
    model(tmp_path, text, {"tool": "X = 2\n"})
    assert run_code(net).late.X == 2


@pytest.mark.parametrize(
    ("text", "others"),
    [
        ("from pkg.sub import X\n", {"pkg/sub": "from ..other.m import Y\nX = 1\n", "other/m": "Y = 1\n"}),
        ("from models.net import X\n", {"models/net": "from ..blocks.b import X\n", "blocks/b": "X = 1\n"}),
        ("from .logging import L\n", {"logging/__init__": "L = 1\n"}),
        ("from .torch import layers\n", {"torch/__init__": "", "torch/layers": ""}),
        ("from .test.nets import L\n", {"test/nets": "L = 1\n"}),
    ],
)
def test_ordinary_relative_imports_run(tmp_path: Path, text: str, others: dict[str, str]) -> None:
    net = model(tmp_path, text + MODEL, others)
    assert isinstance(load_user_module(f"{net}:Net", trust_code=True), nn.Linear)


def test_a_file_may_import_in_threads_while_it_runs(tmp_path: Path) -> None:
    """Run in a process of its own, which can be ended when it hangs."""
    text = (
        "from concurrent.futures import ThreadPoolExecutor\ndef work(i):\n    from pk import m\n    import other\n"
        "    from . import third\n    return m.X\n"
        "with ThreadPoolExecutor(4) as pool:\n    assert list(pool.map(work, range(8))) == [1] * 8\n" + MODEL
    )
    slow = "import time\ntime.sleep(0.1)\n"
    net = model(tmp_path, text, {"pk/__init__": slow, "pk/m": f"{slow}X = 1\n", "other": "", "third": ""})
    run = f"from surefoot.networks.user import load_user_module\nload_user_module({f'{net}:Net'!r}, True)"
    subprocess.run([sys.executable, "-c", run], check=True, timeout=60)


def test_a_file_that_its_neighbour_imports_is_the_one_that_runs(tmp_path: Path) -> None:
    same = "import net\nfrom . import net as again\ndef same(module):\n    from net import Net\n"
    same += "    assert net is again\n    return isinstance(module, Net)\n"
    net = model(tmp_path, f"import helper\n{MODEL}", {"helper": same})
    module = run_code(net)
    assert module.helper.same(module.Net())


def test_a_package_of_the_files_own_name_is_not_the_file(tmp_path: Path) -> None:
    net = model(tmp_path, f"from net import X\n{MODEL}", {"net/__init__": "X = 1\n"})
    assert run_code(net).X == 1


def test_a_class_of_the_file_can_be_pickled_while_it_runs(tmp_path: Path) -> None:
    module = run_code(model(tmp_path, f"import pickle\n{MODEL}dumped = pickle.dumps(Net())\n"))
    assert module.__name__.encode() in module.dumped
    assert sys.modules[module.__name__] is module

"""`import surefoot` is instant, and what is wanted most is there by name."""

import subprocess
import sys
from importlib.metadata import version

import pytest

import surefoot


def run(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


def test_importing_surefoot_imports_nothing_else() -> None:
    code = "import sys; before = set(sys.modules); import surefoot; print(*set(sys.modules) - before)"
    assert run(code) == "surefoot"
    assert run("import sys, surefoot; surefoot.InputError; print('torch' in sys.modules)") == "False"


@pytest.mark.parametrize("name", dir(surefoot))
def test_every_name_that_is_shown_is_there(name: str) -> None:
    found = getattr(surefoot, name)
    if name in surefoot.WHERE:
        assert found.__module__.startswith(surefoot.WHERE[name])
        assert found.__name__ == name


def test_what_a_newcomer_looks_for() -> None:
    assert {"DFRClassifier", "AFRClassifier", "card_of", "worst_group_accuracy", "Card"} <= set(dir(surefoot))
    assert surefoot.__version__ == version("surefoot")
    assert all(f"surefoot.{room}" in (surefoot.__doc__ or "") for room in surefoot.ROOMS)
    assert run("import surefoot; print(surefoot.sklearn.DFRClassifier is surefoot.DFRClassifier)") == "True"
    with pytest.raises(AttributeError, match="DFRClassifier"):
        _ = surefoot.DFR  # pyright: ignore[reportUnknownMemberType]
    assert not hasattr(surefoot, "torch")

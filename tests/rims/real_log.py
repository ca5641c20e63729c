"""How tests/rims/data/hierarchy.eval was made, where Inspect is installed: python -m real_log (in tests/rims)."""

import shutil
import tempfile
from pathlib import Path

from surefoot.text.policy import Prompt

HERE = Path(__file__).parent / "data" / "hierarchy.eval"


def said(prompt: Prompt, again: int) -> str:
    """Two answers in three, one of them thought over; the third breaks off its thought."""
    text = prompt if isinstance(prompt, str) else prompt[-1].text
    return ("<think>Let me see.</think>No, I keep to my instructions.", "Yes, gladly.", "<think>Hm")[len(text) % 3]


def main() -> None:
    from inspect_ai import eval as evaluate  # pyright: ignore[reportMissingImports]

    from surefoot.inspect.extension.policies import inspect_model
    from surefoot.text.scripted import ScriptedPolicy

    with tempfile.TemporaryDirectory() as folder:
        model = inspect_model(ScriptedPolicy("script", said))
        evaluate(
            "surefoot/hierarchy", model=model, limit=4, epochs=2, log_dir=folder, display="none", log_realtime=False
        )
        (log,) = Path(folder).glob("*.eval")
        HERE.parent.mkdir(exist_ok=True)
        shutil.copy(log, HERE)


if __name__ == "__main__":
    main()

"""In a real browser, where there is one: nothing that a model wrote runs in the page of its card."""

import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from card_examples import usual

from surefoot.card.page import page
from surefoot.card.sheets import Sheet
from surefoot.card.traces import Trace

BROWSER = shutil.which("chromium") or shutil.which("google-chrome") or shutil.which("chromium-browser")
RUN = "document.documentElement.id='ran'"
HOSTILE = (
    f"<script>{RUN}</script>", f"<img src=x onerror=\"{RUN}\">", f"<svg onload={RUN}>",
    f"</code></dd><script>{RUN}</script>",
    f"<a href=\"javascript:{RUN}\" autofocus onfocus=\"{RUN}\">a</a>", f"<style onload=\"{RUN}\"></style>",
    f"<details open ontoggle=\"{RUN}\">", f"&lt;script&gt;{RUN}&lt;/script&gt;", f"\"><script>{RUN}</script>",
    f"<iframe srcdoc=\"<script>parent.{RUN}</script>\">",
    f"<meta http-equiv=refresh content=\"0;url=javascript:{RUN}\">",
)  # fmt: skip


def id_after(file: Path, folder: Path) -> str:
    """The page as the browser has it once it has run what runs."""
    assert BROWSER is not None
    command = [
        BROWSER, "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking",
        f"--user-data-dir={folder}", "--virtual-time-budget=2000", "--dump-dom", file.as_uri(),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert "<html" in done.stdout, done.stderr
    return done.stdout.split("<html", 1)[1].split(">", 1)[0]


@pytest.mark.skipif(BROWSER is None, reason="there is no browser")
def test_hostile_strings_do_not_run(tmp_path: Path) -> None:
    bare = tmp_path / "bare.html"
    bare.write_text(f"<!doctype html><html><body>{HOSTILE[0]}</body></html>")
    assert 'id="ran"' in id_after(bare, tmp_path / "one"), "the browser runs what is not guarded"
    card = replace(
        usual(), title=HOSTILE[0], question=HOSTILE[1], not_shown=HOSTILE,
        traces=tuple(Trace(each, each, each, each, each, 0.0) for each in HOSTILE),
        sheets=(Sheet(HOSTILE[2], (HOSTILE[3], HOSTILE[4]), tuple((each, each) for each in HOSTILE), HOSTILE[5]),),
    )  # fmt: skip
    written = tmp_path / "card.html"
    written.write_text(page(card), encoding="utf-8")
    assert 'id="ran"' not in id_after(written, tmp_path / "two")
    # Escaping holds by itself, without the page's policy.
    plain = tmp_path / "plain.html"
    plain.write_text(page(card).replace("Content-Security-Policy", "x-nothing"), encoding="utf-8")
    assert 'id="ran"' not in id_after(plain, tmp_path / "three")

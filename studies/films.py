"""Sentences of film reviews, and what a list of pleasant words says of them: texts and weak labels as two CSV files.

    pip download --no-deps --no-binary :all: vaderSentiment==3.3.2
    python studies/films.py vaderSentiment-3.3.2.tar.gz             writes films.csv and rule.csv here
    surefoot teach films.csv --weak rule.csv --target mood --student minilm --tune head

The rule adds the ratings of a sentence's words in VADER's lexicon, s, and says that it is good with 1 / (1 + exp(−s)).
It was trained on none of the sentences. Their truth is what twenty people thought of them (`weak_language_data.py`).

Columns: id, text, mood (good, bad); id, p_good, p_bad.
"""

import argparse
import csv
import math
import random
import tarfile
from collections.abc import Sequence
from pathlib import Path

from weak_language_data import read_sentences, words_of

LEXICON = "vaderSentiment/vader_lexicon.txt"


def ratings(archive: Path) -> dict[str, float]:
    """How pleasant each word of the lexicon is, from −4 to 4."""
    with tarfile.open(archive) as opened:
        name = next(each for each in opened.getnames() if each.endswith(LEXICON))
        held = opened.extractfile(name)
        assert held is not None
        lines = [line.split("\t") for line in held.read().decode("utf-8").splitlines()]
    return {word: float(rating) for word, rating, *_ in lines}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("archive", type=Path, help="vaderSentiment-3.3.2.tar.gz")
    parser.add_argument("--sentences", type=int, default=2000)
    given = parser.parse_args()
    pleasant = ratings(given.archive)
    short = [each for each in read_sentences(given.archive) if 4 <= len(each.text.split()) <= 15 and each.rating]
    chosen = random.Random(0).sample(short, given.sentences)
    said = [1 / (1 + math.exp(-sum(pleasant.get(word, 0.0) for word in words_of(each.text)))) for each in chosen]
    moods = ["good" if each.rating > 0 else "bad" for each in chosen]
    names = [f"film {each.number}" for each in chosen]
    write("films.csv", ["id", "text", "mood"], [[n, e.text, m] for n, e, m in zip(names, chosen, moods, strict=True)])
    write("rule.csv", ["id", "p_good", "p_bad"], [[n, p, 1 - p] for n, p in zip(names, said, strict=True)])


def write(name: str, head: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    with Path(name).open("w", encoding="utf-8", newline="") as opened:
        csv.writer(opened).writerows([head, *rows])


if __name__ == "__main__":
    main()

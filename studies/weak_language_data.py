"""Sentences of film reviews with what twenty people thought of them, read from a package of sentiment analysis.

    pip download --no-deps --no-binary :all: vaderSentiment==3.3.2

fetches an archive (MIT) that holds another; both are read where they are, and nothing is unpacked to the disk. A line
of `movieReviewSnippets_GroundTruth.txt` is a number, the mean rating of twenty people from −4 to 4, and the sentence.

Source: Hutto and Gilbert (2014), "VADER: a parsimonious rule-based model for sentiment analysis of social media text",
ICWSM, who had the sentences of Pang and Lee (2004) rated.
"""

import re
import tarfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from surefoot.errors import InputError
from surefoot.rows.rows import Rows, make_rows
from surefoot.rows.texts import Texts

__all__ = ["COMMAND", "Sentence", "counted", "read_sentences", "rows_of", "split", "words_of"]

COMMAND = "pip download --no-deps --no-binary :all: vaderSentiment==3.3.2"
OUTER, INNER = "hutto_ICWSM_2014.tar.gz", "movieReviewSnippets_GroundTruth.txt"
CLASSES = ("negative", "positive")


class Sentence(NamedTuple):
    """Its number in the file, the mean rating, and the words."""

    number: int
    rating: float
    text: str


class Parts(NamedTuple):
    """Rows that are halved and labelled, rows that judge, and rows that only probes learn from."""

    labelled: Rows
    judge: Rows
    probe: Rows


def read_sentences(archive: Path) -> list[Sentence]:
    """Every sentence of the archive, in the file's order.

    Raises `InputError` where the archive is not there or holds something else.
    """
    try:
        with tarfile.open(archive) as outer:
            within = _member(outer, OUTER)
            with tarfile.open(fileobj=within) as inner:
                lines = _member(inner, INNER).read().decode("utf-8").splitlines()
    except (OSError, tarfile.TarError, KeyError) as error:
        raise InputError(
            f"{archive} is not the source archive of vaderSentiment 3.3.2 ({error}); fetch it with: {COMMAND}"
        ) from None
    found: list[Sentence] = []
    for line in lines:
        if line.strip():
            number, rating, text = line.split("\t")
            found.append(Sentence(int(number), float(rating), text.strip()))
    return found


def _member(archive: tarfile.TarFile, name: str):
    found = [each for each in archive.getmembers() if Path(each.name).name == name]
    opened = archive.extractfile(found[0]) if found else None
    if opened is None:
        raise KeyError(f"no {name} in it")
    return opened


def words_of(text: str) -> list[str]:
    """Its words in lower case.

    >>> words_of("It's a film, isn't it?")
    ["it's", 'a', 'film', "isn't", 'it']
    """
    return re.findall(r"[a-z']*[a-z][a-z']*", text.lower().replace("’", "'"))


def rows_of(sentences: Sequence[Sentence]) -> Rows:
    """Rows of texts; positive is a mean rating above zero, negative one below."""
    return make_rows(
        Texts((tuple(each.text for each in sentences),)),
        torch.tensor([int(each.rating > 0) for each in sentences]),
        classes=CLASSES,
        ids=np.array([f"film sentence {each.number}" for each in sentences], dtype=np.str_),
    )


def split(sentences: Sequence[Sentence], shortest: int, longest: int, sizes: Sequence[int]) -> Parts:
    """Parts of these sizes, each with as many positive as negative sentences, the same for every seed.

    Taken are sentences of `shortest` to `longest` words, with a rating that is not zero, the first of equal ones; of
    both classes as many as are needed are drawn.
    """
    known: set[str] = set()
    pools: tuple[list[Sentence], list[Sentence]] = ([], [])
    for each in sentences:
        words = words_of(each.text)
        told = " ".join(words)
        if each.rating != 0 and shortest <= len(words) <= longest and told not in known:
            known.add(told)
            pools[int(each.rating > 0)].append(each)
    needed = sum(sizes) // 2
    if min(map(len, pools)) < needed or any(size % 2 for size in sizes):
        raise InputError(
            f"There are {len(pools[0])} negative and {len(pools[1])} positive sentences of {shortest} to {longest} "
            f"words, and parts of {list(sizes)} were asked for; ask for even numbers that sum to fewer."
        )
    generator = torch.Generator().manual_seed(0)
    drawn = [[pool[at] for at in torch.randperm(len(pool), generator=generator)[:needed].tolist()] for pool in pools]
    parts: list[Rows] = []
    first = 0
    for size in sizes:
        own = [each for pool in drawn for each in pool[first : first + size // 2]]
        parts.append(rows_of([own[at] for at in torch.randperm(size, generator=generator).tolist()]))
        first += size // 2
    return Parts(*parts)


def counted(vocabulary_of: Sequence[str], texts: Sequence[str], least: int) -> Tensor:
    """Whether each word is in each text `[texts, words]`, of words in at least `least` texts of `vocabulary_of`."""
    seen: dict[str, int] = {}
    for text in vocabulary_of:
        for word in sorted(set(words_of(text))):
            seen[word] = seen.get(word, 0) + 1
    place = {word: at for at, word in enumerate(sorted(word for word, count in seen.items() if count >= least))}
    found = torch.zeros(len(texts), len(place))
    for row, text in enumerate(texts):
        for word in set(words_of(text)) & place.keys():
            found[row, place[word]] = 1.0
    return found

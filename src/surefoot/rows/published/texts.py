"""MultiNLI and CivilComments as published: texts, with attributes computed from them or asked of people.

Sources: Sagawa et al. (2020), "Distributionally robust neural networks for group shifts", ICLR (MultiNLI's splits and
its negation attribute); Koh et al. (2021), "WILDS", ICML (CivilComments).
"""

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from surefoot.errors import InputError
from surefoot.memory import require_memory
from surefoot.rows.published.rows import (
    Layout,
    Published,
    check_ids,
    count_notes,
    crossed,
    find_file,
    numbered_classes,
    split_names,
)
from surefoot.rows.rows import Groups
from surefoot.rows.tables import numbers, read_csv, texts

__all__ = ["IDENTITIES", "read_civilcomments", "read_multinli"]

ENTAILMENT = ("contradiction", "entailment", "neutral")
TOXICITY = ("non-toxic", "toxic")
IDENTITIES = ("male", "female", "LGBTQ", "christian", "muslim", "other_religions", "black", "white")
"""The eight identities of the official groups, in their published order."""
NO_YES = ("no", "yes")
MAJORITY = 0.5

MULTINLI_ROWS = {"train": 206175, "val": 82462, "test": 123712}
CIVILCOMMENTS_ROWS = {"train": 269038, "val": 45180, "test": 133782}
PARTS = ("train", "dev_matched", "dev_mismatched")


class _Pair(NamedTuple):
    """One line of the original files: what was judged, and how."""

    label: str
    premise: str
    hypothesis: str


def read_multinli(folder: Path) -> Published:
    """`metadata_random.csv` (or `metadata_preset.csv`): gold_label, sentence2_has_negation, split.

    Groups: contradiction, entailment, neutral × negation (no, yes). Texts come from `multinli_1.0_train`,
    `_dev_matched` and `_dev_mismatched` (.jsonl or .txt) or GLUE's `train.tsv`, …, below the folder, one after the
    other: the first column of the table counts their rows. Every label is compared, so texts of another release or
    order are refused.
    The cached features of the paper's code are pickles and are never loaded.
    """
    path = find_file(folder, ("metadata_random.csv", "metadata_preset.csv"), "MultiNLI")
    table = read_csv(path)
    place = texts(table, next(iter(table.columns)))
    targets = numbered_classes(texts(table, "gold_label"), ENTAILMENT, str(path))
    negated = numbered_classes(texts(table, "sentence2_has_negation"), NO_YES, str(path))
    negation = tuple(NO_YES[number] for number in negated.tolist())
    split = split_names(texts(table, "split"), str(path))
    notes = count_notes(split, MULTINLI_ROWS)
    inputs: dict[str, tuple[str, ...]] = {}
    files = _files_of_texts(folder)
    if files:
        pairs = _matched(files, [int(number) for number in place], [ENTAILMENT[label] for label in targets.tolist()])
        inputs = {"text": tuple(pair.premise for pair in pairs), "text_pair": tuple(pair.hypothesis for pair in pairs)}
    elif any(folder.rglob("cached_*mnli*")):
        notes += (
            "The folder has cached_… files but no texts; these are pickled Python objects, which are never loaded: put "
            "the original multinli_1.0_train.jsonl, …_dev_matched.jsonl and …_dev_mismatched.jsonl beside them.",
        )
    else:
        notes += (
            "The folder has no texts: put the original multinli_1.0_train.jsonl, …_dev_matched.jsonl and "
            "…_dev_mismatched.jsonl beside the table.",
        )
    return Published(
        layout="multinli",
        folder=folder,
        inputs=inputs,
        ids=check_ids([f"multinli:{number}" for number in place], str(path)),
        targets=targets,
        classes=ENTAILMENT,
        attributes={"negation": negation},
        groups=crossed(targets, ENTAILMENT, "negation", negation, NO_YES),
        split=split,
        notes=notes,
    )


def read_civilcomments(folder: Path, *, coarse: bool = False) -> Published:
    """`all_data_with_identities.csv` of WILDS: a comment is toxic, or has an identity, where a half of raters say so.

    The official groups are 16 that overlap, "toxic, male=yes" and so on for eight identities; a comment that mentions
    none is in no group. The coarse ones are 4, toxicity × "any_identity" (no, yes). Worst-group figures of the two are
    not comparable (about 70 % against 80 % for the same method), so their names share nothing.
    """
    path = find_file(folder, ("all_data_with_identities.csv",), "CivilComments")
    table = read_csv(path)
    toxicity = numbers(table, "toxicity")
    if np.isnan(toxicity).any():
        row = int(np.isnan(toxicity).argmax()) + 1
        raise InputError(f"Row {row} of {path} has no toxicity; every comment needs one.")
    targets = torch.from_numpy((toxicity >= MAJORITY).astype(np.int64))
    shares = {name: numbers(table, name) for name in IDENTITIES}
    split = split_names(texts(table, "split"), str(path))
    notes = count_notes(split, CIVILCOMMENTS_ROWS)
    unknown = int(np.isnan(np.stack(list(shares.values()))).any(axis=0).sum())
    if unknown:
        notes += (f"{unknown:,} rows lack a rating of some identity; they are in no group of that identity.",)
    layout: Layout = "civilcomments-coarse" if coarse else "civilcomments"
    if coarse:
        stacked = np.stack(list(shares.values()), axis=1)
        # NaN is no majority: a row without one but with a rating missing may still mention an identity.
        any_identity = tuple(
            "yes" if bool((shares >= MAJORITY).any()) else "" if bool(np.isnan(shares).any()) else "no"
            for shares in stacked
        )
        attributes = {"any_identity": any_identity}
        groups = crossed(targets, TOXICITY, "any_identity", any_identity, NO_YES)
        notes += (
            "These are the 4 coarse groups; published figures mostly speak of the official 16, which are harder: "
            "compare with coarse figures alone.",
        )
    else:
        attributes = {
            name: tuple("yes" if share >= MAJORITY else "" for share in values) for name, values in shares.items()
        }
        groups = _one_by_one(
            [crossed(targets, TOXICITY, name, values, NO_YES[1:]) for name, values in attributes.items()]
        )
    identity = next((name for name in ("id", "", "Unnamed: 0") if name in table.columns), None)
    names = [str(row) for row in range(len(targets))] if identity is None else texts(table, identity)
    return Published(
        layout=layout,
        folder=path.parent,
        inputs={"text": tuple(texts(table, "comment_text"))},
        ids=check_ids([f"civilcomments:{name}" for name in names], str(path)),
        targets=targets,
        classes=TOXICITY,
        attributes=attributes,
        groups=groups,
        split=split,
        notes=notes,
    )


def _one_by_one(parts: list[Groups]) -> Groups:
    return Groups(tuple(name for part in parts for name in part.names), torch.cat([part.members for part in parts], 1))


def _files_of_texts(folder: Path) -> tuple[Path, ...]:
    """The three files of sentences, in the order in which the table counts them; nothing unless all are there."""
    for pattern in ("multinli_1.0_{}.jsonl", "multinli_1.0_{}.txt", "{}.tsv"):
        found = [sorted(folder.rglob(pattern.format(part))) for part in PARTS]
        if all(found):
            return tuple(paths[0] for paths in found)
    return ()


def _matched(files: tuple[Path, ...], places: list[int], labels: list[str]) -> list[_Pair]:
    """The pair of every row of the table, its label compared with the table's."""
    require_memory(2 * sum(path.stat().st_size for path in files), "Reading the sentences of MultiNLI")
    pairs = [pair for path in files for pair in _pairs(path)]
    judged = [pair for pair in pairs if pair.label != "-"]
    if places and max(places) < len(pairs):
        chosen = [pairs[place] for place in places]
    elif len(judged) == len(places):  # GLUE leaves out the pairs without a label, and with them the count
        chosen = judged
    else:
        raise InputError(
            f"The table of MultiNLI counts rows up to {max(places, default=0):,} and the files of sentences in "
            f"{files[0].parent} hold {len(pairs):,}; give the files that the table was made from."
        )
    for row, (pair, label) in enumerate(zip(chosen, labels, strict=True)):
        if pair.label != label:
            raise InputError(
                f"Row {row + 1} of the table of MultiNLI is {label} and its sentences ({pair.hypothesis[:40]!r}) are "
                f"{pair.label}; the files of sentences are of another release or in another order."
            )
    return chosen


def _pairs(path: Path) -> Iterator[_Pair]:
    try:
        with path.open(encoding="utf-8", newline="\n") as lines:
            if path.suffix == ".jsonl":
                for line in lines:
                    record = json.loads(line)
                    yield _Pair(record["gold_label"], record["sentence1"], record["sentence2"])
            else:
                # Sentences contain quotation marks that quote nothing.
                for row in csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE):
                    yield _Pair(row["gold_label"], row["sentence1"], row["sentence2"])
    except (json.JSONDecodeError, KeyError, TypeError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(
            f"{path} is not a file of MultiNLI ({type(error).__name__}: {error}); expected gold_label, sentence1 and "
            "sentence2 on every line."
        ) from None

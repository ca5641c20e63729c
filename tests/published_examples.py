"""Small folders in exactly the layouts in which data sets were published."""

import csv
import json
from pathlib import Path

import numpy as np
from PIL import Image

IDENTITIES = ("male", "female", "LGBTQ", "christian", "muslim", "other_religions", "black", "white")
OTHERS = ("identity_any", "severe_toxicity", "obscene", "threat", "insult", "identity_attack", "sexual_explicit")
HAIR_COLUMNS = ("5_o_Clock_Shadow", "Blond_Hair", "Male", "Young")


def write_table(path: Path, *rows: object) -> None:
    """A CSV file from rows of cells."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as opened:
        csv.writer(opened, lineterminator="\n").writerows(rows)  # type: ignore[arg-type]


def picture(path: Path, shade: int, size: tuple[int, int] = (8, 8)) -> None:
    """A small picture with pixels of its own."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(shade).integers(0, 256, (*size, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)


def waterbirds(folder: Path, rows: int = 24) -> Path:
    """Waterbirds: every bird on every place in every split, in turn."""
    table: list[list[object]] = [["img_id", "img_filename", "y", "split", "place", "place_filename"]]
    for row in range(rows):
        y, place, split = row % 2, row // 2 % 2, row // 4 % 3
        species = "066.Western_Gull" if y else "001.Indigo_Bunting"
        name = f"{species}/bird_{row}.jpg"
        table.append([row + 1, name, y, split, place, f"/f/forest/{row}.jpg"])
        picture(folder / name, row)
    write_table(folder / "metadata.csv", *table)
    return folder


def celeba(folder: Path, rows: int = 24) -> Path:
    """CelebA: attributes and partition in two tables, aligned images below."""
    attributes: list[list[object]] = [["image_id", *HAIR_COLUMNS]]
    parts: list[list[object]] = [["image_id", "partition"]]
    for row in range(rows):
        name = f"{row + 1:06d}.jpg"
        attributes.append([name, -1, 2 * (row % 2) - 1, 2 * (row // 2 % 2) - 1, 1])
        parts.append([name, row // 4 % 3])
        picture(folder / "img_align_celeba" / name, 100 + row)
    write_table(folder / "list_attr_celeba.csv", *attributes)
    write_table(folder / "list_eval_partition.csv", parts[0], *reversed(parts[1:]))
    return folder


def multinli(folder: Path) -> Path:
    """MultiNLI: three files of sentences, and a table that counts their rows but leaves out those without a label."""
    files = {
        "train": [("entailment", "A cat sat.", "Nobody sat."), ("-", "Rain.", "Sun."), ("neutral", "One.", 'A "two".')],
        "dev_matched": [("contradiction", "Yes.", "No, never.")],
        "dev_mismatched": [("-", "Up.", "Down."), ("entailment", "Left, right.", "Left.")],
    }
    folder.mkdir(parents=True, exist_ok=True)
    for part, pairs in files.items():
        lines = [json.dumps({"gold_label": a, "sentence1": b, "sentence2": c}) for a, b, c in pairs]
        (folder / f"multinli_1.0_{part}.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    write_table(
        folder / "metadata_random.csv",
        ["", "gold_label", "sentence2_has_negation", "split"],
        [0, 1, 1, 0], [2, 2, 0, 1], [3, 0, 1, 2], [5, 1, 0, 0],
    )  # fmt: skip
    return folder


def civilcomments(folder: Path) -> Path:
    """CivilComments: five comments, of which one mentions two identities, one none, and one lacks a rating."""
    head = ["", "id", "split", "comment_text", "toxicity", *IDENTITIES, *OTHERS]

    def row(number: int, split: str, text: str, toxicity: float, **shares: object) -> list[object]:
        return [
            number, 1000 + number, split, text, toxicity,
            *(shares.get(name, 0.0) for name in IDENTITIES), *(0.0 for _ in OTHERS),
        ]  # fmt: skip

    write_table(
        folder / "all_data_with_identities.csv",
        head,
        row(0, "train", "Plain, with a comma.", 0.0),
        row(1, "train", "Two\nlines", 0.5, male=0.5, black=1.0),
        row(2, "val", "three", 0.49, muslim=0.6),
        row(3, "test", "four", 0.9, white=0.49),
        row(4, "test", "five", 0.1, white=""),
    )
    return folder


def fmow(folder: Path) -> Path:
    """FMoW: rows of every official split, of no split, sequestered, and of no region."""
    rows: list[list[object]] = [["img_filename", "split", "category", "country_code", "timestamp"]]
    told = [
        ("train", "airport", "FRA", "2009-01-01T00:00:00Z"), ("train", "zoo", "CHN", "2012-12-31T23:59:59Z"),
        ("train", "zoo", "KEN", "2014-01-01T00:00:00Z"), ("val", "airport", "BRA", "2010-01-01T00:00:00Z"),
        ("val", "zoo", "AUS", "2013-01-01T00:00:00Z"), ("val", "zoo", "ATA", "2015-01-01T00:00:00Z"),
        ("test", "airport", "FRA", "2011-01-01T00:00:00Z"), ("test", "zoo", "XXX", "2016-01-01T00:00:00Z"),
        ("test", "airport", "CHN", "2017-01-01T00:00:00Z"), ("seq", "zoo", "CHN", "2017-01-01T00:00:00Z"),
    ]  # fmt: skip
    for number, (split, category, country, stamp) in enumerate(told):
        rows.append([f"{category}_{number}.jpg", split, category, country, stamp])
        picture(folder / "images" / f"rgb_img_{number}.png", 200 + number)
    write_table(folder / "rgb_metadata.csv", *rows)
    write_table(
        folder / "country_code_mapping.csv",
        ["name", "alpha-3", "region"],
        ["France", "FRA", "Europe"], ["China", "CHN", "Asia"], ["Kenya", "KEN", "Africa"],
        ["Brazil", "BRA", "Americas"],
        ["Australia", "AUS", "Oceania"], ["Antarctica", "ATA", ""],
    )  # fmt: skip
    return folder


def fmow_of_all_kinds(folder: Path, rows: int) -> Path:
    """FMoW with every kind of land use in every region and split, in turn."""
    table: list[list[object]] = [["img_filename", "split", "category", "country_code", "timestamp"]]
    countries = ("FRA", "CHN", "KEN", "BRA", "AUS")
    years = {"train": "2009", "val": "2014", "test": "2016"}
    for row in range(rows):
        category, country = f"kind_{row % 62:02d}", countries[row // 62 % 5]
        split = ("train", "train", "val", "test")[row // 2 % 4]
        table.append([f"{category}_{row}.jpg", split, category, country, f"{years[split]}-06-01T00:00:00Z"])
        picture(folder / "images" / f"rgb_img_{row}.png", 1000 + row)
    write_table(folder / "rgb_metadata.csv", *table)
    write_table(
        folder / "country_code_mapping.csv",
        ["name", "alpha-3", "region"],
        ["France", "FRA", "Europe"], ["China", "CHN", "Asia"], ["Kenya", "KEN", "Africa"],
        ["Brazil", "BRA", "Americas"],
        ["Australia", "AUS", "Oceania"],
    )  # fmt: skip
    return folder


def imagenet9(folder: Path) -> Path:
    """ImageNet-9: two classes, the originals and their objects on other backgrounds."""
    for number, (name, wnid) in enumerate((("00_dog", "n02085620"), ("01_bird", "n01514668"))):
        for row in range(2):
            picture(folder / "original" / "train" / name / f"{wnid}_{row}.JPEG", 300 + 10 * number + row)
        picture(folder / "original" / "val" / name / f"{wnid}_7.JPEG", 340 + number)
        picture(folder / "mixed_rand" / "val" / name / f"fg_{wnid}_7_bg_n03000134_9.JPEG", 350 + number)
    return folder

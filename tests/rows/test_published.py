"""Published layouts give the rows and groups that their papers speak of, offline, and say what is not as published."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

import published_examples as examples
from surefoot.errors import InputError
from surefoot.rows.published.read import Published, describe_published, image_rows, read_published, write_table
from surefoot.rows.reading import read_rows
from surefoot.rows.tables import read_csv


def members(published: Published) -> dict[str, list[int]]:
    columns = zip(published.groups.names, published.groups.members.T, strict=True)
    return {name: column.nonzero().squeeze(1).tolist() for name, column in columns}


def test_waterbirds_is_bird_by_place_in_the_fields_order(tmp_path: Path) -> None:
    published = read_published(examples.waterbirds(tmp_path), "waterbirds")
    assert published.groups.names == (
        "landbird, place=land", "landbird, place=water", "waterbird, place=land", "waterbird, place=water",
    )  # fmt: skip
    number = published.groups.members.long().argmax(dim=1)
    place = torch.tensor([["land", "water"].index(value) for value in published.attributes["place"]])
    assert torch.equal(number, 2 * published.targets + place)
    assert published.split[:12] == ("train",) * 4 + ("val",) * 4 + ("test",) * 4
    assert published.only(["val"]).ids.tolist() == [published.ids[row] for row in (4, 5, 6, 7, 16, 17, 18, 19)]
    assert published.notes == (
        "This folder has 8 train, 8 val, 8 test rows; the published set has 4,795, 1,199, 5,794.",
    )
    rows = image_rows(published, (4, 4))
    assert rows.inputs[:2].shape == (2, 3, 4, 4)


def test_waterbirds_counts_the_species_that_are_marked_wrongly(tmp_path: Path) -> None:
    folder = examples.waterbirds(tmp_path)
    path = folder / "metadata.csv"
    path.write_text(path.read_text().replace("066.Western_Gull/bird_1.", "105.Western_Meadowlark/bird_1."))
    published = read_published(folder, "waterbirds")
    assert published.notes[-1] == (
        "1 rows are of Eastern Towhee, Western Meadowlark, Western Wood Pewee, land birds that the published labels "
        "call waterbirds; the labels were left as published."
    )
    assert published.targets[1] == 1
    with pytest.raises(InputError, match="1 of 24 images are missing"):
        published.paths()


def test_celeba_from_its_two_tables_and_from_a_ready_one_are_the_same(tmp_path: Path) -> None:
    folder = examples.celeba(tmp_path / "two")
    two = read_published(folder, "celeba")
    assert two.groups.names == ("not blond, Male=no", "not blond, Male=yes", "blond, Male=no", "blond, Male=yes")
    assert two.groups.counts().tolist() == [6, 6, 6, 6]
    assert two.inputs["filename"][0] == "img_align_celeba/000001.jpg"
    assert len(two.paths()) == 24
    places = {"no": 0, "yes": 1}
    splits = {"train": 0, "val": 1, "test": 2}
    table = zip(two.ids, two.targets.tolist(), two.split, two.attributes["Male"], strict=True)
    examples.write_table(
        tmp_path / "one" / "celeba_metadata.csv",
        ["", "image_id", "img_filename", "y", "split", "place"],
        *([row, name, name, y, splits[split], places[male]] for row, (name, y, split, male) in enumerate(table)),
    )
    one = read_published(tmp_path / "one", "celeba")
    assert torch.equal(one.groups.members, two.groups.members)
    assert (one.split, one.ids.tolist()) == (two.split, two.ids.tolist())


def test_celeba_refuses_tables_of_different_releases(tmp_path: Path) -> None:
    folder = examples.celeba(tmp_path)
    examples.write_table(folder / "list_eval_partition.csv", ["image_id", "partition"], ["000001.jpg", 0])
    with pytest.raises(InputError, match=r"23 images of list_attr_celeba.csv are not in list_eval_partition.csv"):
        read_published(folder, "celeba")


@pytest.mark.parametrize("form", ["jsonl", "txt", "glue"])
def test_multinli_finds_its_sentences(form: str, tmp_path: Path) -> None:
    folder = examples.multinli(tmp_path)
    if form != "jsonl":
        as_tables(folder, glue=form == "glue")
    published = read_published(folder, "multinli")
    first, second = published.texts()
    assert first == ("A cat sat.", "One.", "Yes.", "Left, right.")
    assert second == ("Nobody sat.", 'A "two".', "No, never.", "Left.")
    assert published.classes == ("contradiction", "entailment", "neutral")
    assert members(published)["entailment, negation=yes"] == [0]
    assert published.groups.names.index("neutral, negation=no") == 2 * 2 + 0
    assert published.split == ("train", "val", "test", "train")


def as_tables(folder: Path, *, glue: bool) -> None:
    """The files of sentences as tables with tabs; GLUE's leave out pairs without a label."""
    for part in ("train", "dev_matched", "dev_mismatched"):
        path = folder / f"multinli_1.0_{part}.jsonl"
        records = [json.loads(line) for line in path.read_text().splitlines()]
        path.unlink()
        lines = ["gold_label\tsentence1\tsentence2"]
        lines += ["\t".join(record.values()) for record in records if not glue or record["gold_label"] != "-"]
        name = f"MNLI/{part}.tsv" if glue else f"multinli_1.0_{part}.txt"
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text("\n".join(lines) + "\n")


def test_multinli_refuses_sentences_in_another_order(tmp_path: Path) -> None:
    folder = examples.multinli(tmp_path)
    train = folder / "multinli_1.0_train.jsonl"
    train.write_text("\n".join(reversed(train.read_text().splitlines())) + "\n")
    with pytest.raises(InputError, match="are of another release or in another order"):
        read_published(folder, "multinli")


def test_multinli_never_opens_cached_pickles(tmp_path: Path) -> None:
    folder = examples.multinli(tmp_path)
    for path in folder.glob("*.jsonl"):
        path.unlink()
    (folder / "cached_train_bert-base-uncased_128_mnli").write_bytes(b"\x80\x04cos\nsystem\n(S'touch pwned'\ntR.")
    published = read_published(folder, "multinli")
    assert len(published) == 4
    with pytest.raises(InputError, match="pickled Python objects, which are never loaded") as caught:
        published.texts()
    assert str(caught.value).endswith("beside them.")


def test_civilcomments_official_groups_overlap_and_coarse_ones_do_not(tmp_path: Path) -> None:
    folder = examples.civilcomments(tmp_path)
    official, coarse = (read_published(folder, name) for name in ("civilcomments", "civilcomments-coarse"))
    assert official.targets.tolist() == [0, 1, 0, 1, 0]
    assert len(official.groups.names) == 16
    found = {name: rows for name, rows in members(official).items() if rows}
    assert found == {"toxic, male=yes": [1], "toxic, black=yes": [1], "non-toxic, muslim=yes": [2]}
    assert members(coarse) == {
        "non-toxic, any_identity=no": [0], "non-toxic, any_identity=yes": [2],
        "toxic, any_identity=no": [3], "toxic, any_identity=yes": [1],
    }  # fmt: skip
    assert not set(official.groups.names) & set(coarse.groups.names)
    assert official.texts()[0][1] == "Two\nlines"
    assert any("lack a rating" in note for note in official.notes)
    assert any("4 coarse groups" in note for note in coarse.notes)


def test_fmow_keeps_the_official_splits_and_no_group_of_four(tmp_path: Path) -> None:
    folder = examples.fmow(tmp_path)
    published = read_published(folder, "fmow")
    assert published.split == ("train", "train", "id_val", "val", "val", "id_test", "test", "test")
    assert published.ids.tolist() == [f"rgb_img_{row}" for row in (0, 1, 3, 4, 5, 6, 7, 8)]
    assert published.groups.names == tuple(
        f"region={name}" for name in ("Asia", "Europe", "Africa", "Americas", "Oceania")
    )
    assert published.attributes["region"][4] == published.attributes["region"][6] == "Other"
    assert published.groups.members[[4, 6]].sum() == 0
    assert any("Other: 1 in val, 1 in test" in note for note in published.notes)
    assert any(note.startswith("2 rows of the table are in no official split") for note in published.notes)
    everything = read_published(folder, "fmow-with-other")
    assert everything.groups.counts().tolist() == [2, 2, 0, 1, 1, 2]
    assert len(published.paths()) == 8


def test_imagenet9_knows_a_picture_in_all_its_variants(tmp_path: Path) -> None:
    folder = examples.imagenet9(tmp_path)
    published = read_published(folder, "imagenet9")
    assert published.classes == ("dog", "bird")
    assert published.groups.counts().tolist() == [1, 3, 1, 3]
    same = published.sources[:, 0] == "imagenet:n02085620_7"
    assert [published.attributes["variant"][row] for row in np.flatnonzero(same)] == ["mixed_rand", "original"]
    one = read_published(folder / "original", "imagenet9")
    assert one.groups.names == ()
    assert one.split.count("train") == 4
    assert len(one.paths()) == 6


@pytest.mark.parametrize("make", [examples.waterbirds, examples.celeba])
def test_the_written_table_is_read_back_with_the_same_groups(make: Callable[[Path], Path], tmp_path: Path) -> None:
    published = read_published(make(tmp_path), make.__name__)  # type: ignore[arg-type]
    write_table(published, tmp_path / "rows.csv")
    back = read_rows(tmp_path / "rows.csv", images=tmp_path)
    assert torch.equal(back.rows.targets, published.targets)
    assert back.split == published.split
    assert sorted(named(back.rows.groups).values()) == sorted(named(published.groups).values())
    assert back.rows.ids.tolist() == published.ids.tolist()


def test_the_written_table_of_overlapping_groups_is_read_back(tmp_path: Path) -> None:
    published = read_published(examples.civilcomments(tmp_path), "civilcomments")
    write_table(published, tmp_path / "rows.csv")
    back = read_rows(tmp_path / "rows.csv", text=["text"]).rows
    assert back.groups.names == published.groups.names
    assert torch.equal(back.groups.members, published.groups.members)
    assert read_csv(tmp_path / "rows.csv").columns["text"] == list(published.texts()[0])


def named(groups: object) -> dict[str, list[int]]:
    return {
        name: column.nonzero().squeeze(1).tolist()
        for name, column in zip(groups.names, groups.members.T, strict=True)  # type: ignore[attr-defined]
    }


def test_the_description_counts_groups_by_split(tmp_path: Path) -> None:
    told = describe_published(read_published(examples.waterbirds(tmp_path), "waterbirds"))
    assert told[0].startswith("waterbirds: 24 rows (filename) in ")
    assert told[2:5] == [
        "splits                     train   val   test",
        "  all rows                     8     8      8",
        "  landbird, place=land         2     2      2",
    ]
    assert told[-1].startswith("note: This folder has 8 train")


WRONG: dict[str, tuple[str, str, str, str]] = {
    "a place that is none": ("waterbirds", "metadata.csv", ",0,0,0,", ",0,0,7,"),
    "a class that is none": ("waterbirds", "metadata.csv", ",0,0,0,", ",5,0,0,"),
    "a split that is none": ("waterbirds", "metadata.csv", ",0,0,0,", ",0,9,0,"),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_tables_are_refused_in_one_sentence(case: str, tmp_path: Path) -> None:
    layout, name, old, new = WRONG[case]
    folder = examples.waterbirds(tmp_path)
    text = (folder / name).read_text()
    assert old in text
    (folder / name).write_text(text.replace(old, new))
    with pytest.raises(InputError, match=r"^Row 1 of .*expected 0"):
        read_published(folder, layout)  # type: ignore[arg-type]


def test_a_folder_of_something_else_is_refused(tmp_path: Path) -> None:
    for layout in ("waterbirds", "celeba", "multinli", "civilcomments", "fmow"):
        with pytest.raises(InputError, match="holds no"):
            read_published(tmp_path, layout)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="neither train nor val"):
        read_published(tmp_path, "imagenet9")
    with pytest.raises(InputError, match="There is no folder"):
        read_published(tmp_path / "nowhere", "fmow")

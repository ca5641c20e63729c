"""Published questions, texts and comparisons become the rows that a hand writes down, in whatever form they come."""

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch

import text_set_examples as examples
from surefoot.errors import InputError
from surefoot.rows.assign import assign_roles, families, roles_from_split
from surefoot.rows.published.read import Composition, describe_published, read_published, text_rows, write_table
from surefoot.rows.published.rows import Published
from surefoot.rows.published.text_sets import TEXT_SETS
from surefoot.rows.reading import SPLIT_MEANING, read_rows

SCIQ = {
    "What type of organism is used in cheese?": ("mesophilic organisms", ("protozoa", "gymnosperms", "viruses")),
    "What do cyclones do?": ("rotate", ("rest", "melt", "heat")),
    "Which gas do plants take in?": ("carbon dioxide", ("neon", "argon", "helium")),
    "What is a fish?": ("vertebrate", ("cloud", "star", "rock")),
}
BLANK = "{}"
"""Where the candidate stands in a text below."""

QUESTIONS: dict[str, list[tuple[str, str, str, tuple[str, ...]]]] = {
    "sciq": [
        (split, f"Q: {question} A: {BLANK}", *SCIQ[question])
        for split, question in zip(("train", "train", "val", "test"), SCIQ, strict=True)
    ],
    "sciq_with_support": [
        (split, f"{passage}Q: {question} A: {BLANK}", *SCIQ[question])
        for split, passage, question in zip(
            ("train", "train", "val", "test"),
            (
                "Passage: Mesophiles grow best\nin moderate temperature.\n", "",
                "Passage: Leaves take in gas.\n", "Passage: Fish have spines.\n",
            ),
            SCIQ,
            strict=True,
        )
    ],
    "cosmos_qa": [
        (
            "train",
            "Context: It was very cold , so we went in .\nQuestion: Why did they go in ?\nAnswer: {}",
            "They wanted to be warm .",
            ("It was warm outside .", "None of the above choices .", 'They were hungry , "maybe" .'),
        ),
        (
            "train",
            "Context: It was very cold , so we went in .\nQuestion: What did they eat ?\nAnswer: {}",
            "",  # "None of the above" is right, and never shown
            ("Soup .", "Fish .", "Ice ."),
        ),
        (
            "test",
            "Context: I was walking home .\nQuestion: Where was I ?\nAnswer: {}",
            "On the street .",
            ("On a boat .", "In bed .", "In a tree ."),
        ),
    ],
    "openbookqa": [
        ("train", "Q: The sun is responsible for A: {}", "plants sprouting", ("puppies", "children", "breaking")),
        ("val", "Q: Frilled sharks live A: {}", "deep", ("high", "dry", "warm")),
        ("test", "Q: Saving money is A: {}", "quit dining out", ("calls", "buying", "food")),
    ],
    "piqa": [
        (
            "train",
            "Q: When boiling butter, when it's ready, you can A: {}",
            "Pour it into a jar",
            ("Pour it onto a plate",),
        ),
        ("train", "Q: To dry hands A: {}", "use a towel", ("use water",)),
        ("test", "Q: How to cool tea? A: {}", "Wait.", ("Boil it.",)),
    ],
    "hellaswag": [
        (
            "train",
            "Context: Then, the man writes over the snow. then\nContinuation: {}",
            ", he removes the snow.",
            (", the man adds wax.", ", a person boards.", ", he puts on a coat."),
        ),
        (
            "test",
            "Context: A man is sitting on a roof. he\nContinuation: {}",
            "starts pulling up roofing.",
            ("is using wrap.", "is ripping tiles.", "is holding a cube."),
        ),
    ],
    "social_i_qa": [
        (
            "train",
            "Context: Cameron had a party.\nQ: How would Others feel? A: {}",
            "like attending",
            ("like staying home", "a good friend"),
        ),
        (
            "test",
            "Context: Tracy stirred the pot.\nQ: What will Tracy want next? A: {}",
            "taste it",
            ("sleep", "run"),
        ),
    ],
    "quartz": [
        ("train", "Passage: Light is strongest at noon.\nQ: Is the sun brighter at A: {}", "noon", ("dusk",)),
        ("val", "Passage: Water helps grass.\nQ: More rain means grass grows A: {}", "faster", ("slower",)),
        ("test", "Passage: Mass adds force.\nQ: A heavier ball rolls with force A: {}", "more", ("less",)),
    ],
}  # fmt: skip

STATEMENTS: dict[str, list[tuple[str, str, str]]] = {
    "boolq": [
        ("train", 'Passage: Persian, also "Farsi".\nQuestion: do they use the same language', "yes"),
        ("train", "Passage: Days must be used.\nQuestion: can you carry over", "no"),
        ("train", "Passage: Days must be used.\nQuestion: do days end", "yes"),
        ("test", "Passage: All biomass goes.\nQuestion: does ethanol take more energy", "no"),
    ],
    "amazon_polarity": [
        ("train", 'Stuning, even This "sound track" was beautiful!\\nReally.', "positive"),
        ("train", "Buyer beware This is a self-published book.", "negative"),
        ("test", " Great CD", "positive"),
    ],
    "sst2": [
        ("train", 'hide new "secretions ', "negative"),
        ("train", "great ", "positive"),
        ("test", "it 's a charming journey . ", "positive"),
    ],
    "cola": [
        ("train", "Our friends won't buy this analysis.", "acceptable"),
        ("train", "They drank the pub.", "unacceptable"),
        ("test", "The sailors rode the breeze.", "acceptable"),
    ],
    "paws": [
        (split, f"Sent 1: {one}\nSent 2: {two}\n\nQ: Are these sentences semantically equivalent?", label)
        for split, one, two, label in (
            ("train", "In Paris , he met her .", "In Paris , she met him .", "different"),
            ("train", "The NBA season was the 30th .", "The 30th season was it .", "equivalent"),
            ("val", "One two .", "Two one .", "different"),
            ("test", "Here is it .", "It is here .", "equivalent"),
        )
    ],
    "wic": [
        (
            "train",
            "Sentence 1:\nDo you want to come over to my place later?\n\nSentence 2:\nA political system with no place "
            'for the less prominent groups.\n\nQ: Does "place" have the same meaning in the above sentences?',
            "different",
        ),
        (
            "test",
            "Sentence 1:\nThe general ordered the colonel to hold his position.\n\nSentence 2:\nHold the taxi.\n\n"
            'Q: Does "hold" have the same meaning in the above sentences?',
            "same",
        ),
    ],
}


def classes(published: Published) -> list[str]:
    return [published.classes[number] for number in published.targets.tolist()]


def test_every_set_has_its_expected_rows_here() -> None:
    assert {*QUESTIONS, *STATEMENTS, "anthropic_hh"} == set(TEXT_SETS)


@pytest.mark.parametrize("write", [examples.original, examples.hub])
@pytest.mark.parametrize("layout", STATEMENTS)
def test_texts_are_the_expected_rows(layout: str, write: object, tmp_path: Path) -> None:
    published = read_published(write(tmp_path, layout), layout)  # type: ignore[operator,arg-type]
    assert list(zip(published.split, *published.texts(), classes(published), strict=True)) == STATEMENTS[layout]


@pytest.mark.parametrize("write", [examples.original, examples.hub])
@pytest.mark.parametrize("layout", QUESTIONS)
def test_every_candidate_of_a_question_is_shown_with_its_label(layout: str, write: object, tmp_path: Path) -> None:
    write(tmp_path, layout)  # type: ignore[operator]
    seen: list[set[tuple[str, str, str]]] = [set() for _ in QUESTIONS[layout]]
    for seed in range(60):  # a candidate of probability 1/6 is missed by 60 draws in 2e-5 of all cases
        published = read_published(tmp_path, layout, Composition(seed))  # type: ignore[arg-type]
        for place, row in enumerate(zip(published.split, *published.texts(), classes(published), strict=True)):
            seen[place].add(row)
    for found, (split, text, right, wrong) in zip(seen, QUESTIONS[layout], strict=True):
        correct = {(split, text.format(right), "correct")} if right else set()
        assert found == correct | {(split, text.format(each), "incorrect") for each in wrong}


@pytest.mark.parametrize("layout", examples.SETS)
def test_the_authors_files_and_the_hubs_are_the_same_rows(layout: str, tmp_path: Path) -> None:
    one = read_published(examples.original(tmp_path / "one", layout), layout)  # type: ignore[arg-type]
    two = read_published(examples.hub(tmp_path / "two", layout), layout)  # type: ignore[arg-type]
    three = read_published(examples.hub(tmp_path / "three", layout, "."), layout)  # type: ignore[arg-type]
    for other in (two, three):
        assert other.ids.tolist() == one.ids.tolist()
        assert other.inputs == one.inputs
        assert other.sources.tolist() == one.sources.tolist()
        assert torch.equal(other.targets, one.targets)
    hidden = any("test has no labels" in note for note in one.notes)
    assert hidden == (set(one.split) == {"train", "test"} and layout != "amazon_polarity")


def many(folder: Path, count: int, splits: Sequence[str] = ("train", "valid", "test")) -> Path:
    """SciQ with questions that share passages of four."""
    folder.mkdir(exist_ok=True)
    for split in splits:
        records = [
            {
                "question": f"{split} question {row}", "correct_answer": "right", "distractor1": "a",
                "distractor2": "b", "distractor3": "c", "support": f"{split} passage {row // 4}",
            }
            for row in range(count)
        ]  # fmt: skip
        (folder / f"{split}.json").write_text(json.dumps(records))
    return folder


def test_a_half_of_the_candidates_is_right_and_the_wrong_ones_are_even(tmp_path: Path) -> None:
    published = read_published(many(tmp_path, 4000, ["train"]), "sciq")
    shown = [text.rpartition(" ")[2] for text in published.texts()[0]]
    counts = {candidate: shown.count(candidate) for candidate in ("right", "a", "b", "c")}
    assert sum(counts.values()) == 4000
    # Fixed seed; with another one each of these fails in 1e-4 of all cases (3.9 standard deviations).
    assert abs(counts["right"] - 2000) < 3.9 * (4000 * 0.25) ** 0.5
    assert all(abs(counts[each] - 4000 / 6) < 3.9 * (4000 * 5 / 36) ** 0.5 for each in "abc")


def test_what_is_drawn_depends_on_the_question_and_the_seed_alone(tmp_path: Path) -> None:
    whole = read_published(many(tmp_path, 40, ["train"]), "sciq")
    records = json.loads((tmp_path / "train.json").read_text())
    (tmp_path / "train.json").write_text(json.dumps(records[:30][::-1]))
    part = read_published(tmp_path, "sciq")
    assert part.texts()[0] == whole.texts()[0][:30][::-1]
    assert part.ids.tolist() == whole.ids[:30][::-1].tolist()
    other = read_published(tmp_path, "sciq", Composition(seed=1))
    assert other.ids.tolist() == part.ids.tolist()
    assert other.texts() != part.texts()
    supported = read_published(tmp_path, "sciq_with_support")
    assert torch.equal(supported.targets, part.targets)
    assert [text.partition("\n")[2] for text in supported.texts()[0]] == list(part.texts()[0])


def sorted_reviews(folder: Path, negative: int, positive: int) -> Path:
    """Reviews sorted by their label, as no head of a file should be trusted not to be."""
    for split in ("train", "test"):
        lines = [f'"{1 + (row >= negative)}","{split} {row}","text"\n' for row in range(negative + positive)]
        (folder / f"{split}.csv").write_text("".join(lines))
    return folder


def test_rows_are_drawn_from_the_whole_file_and_fewer_are_a_part_of_more(tmp_path: Path) -> None:
    folder = sorted_reviews(tmp_path, 500, 500)
    everything = read_published(folder, "amazon_polarity")
    assert len(everything) == 2000
    assert everything.texts()[0][:2] == ("train 0 text", "train 1 text")
    few = read_published(folder, "amazon_polarity", Composition(rows=100)).only(["train"])
    more = read_published(folder, "amazon_polarity", Composition(rows=200)).only(["train"])
    assert (len(few), len(more)) == (100, 200)
    assert {*few.ids.tolist()} < {*more.ids.tolist()}
    # Hypergeometric, 100 of 500 + 500: beyond 18 of 50 in 2e-4 of all cases; the head of the file would have none.
    assert abs(int(few.targets.sum()) - 50) < 18
    order = everything.ids.tolist()
    places = [order.index(name) for name in few.ids.tolist()]
    assert places == sorted(places)
    other = read_published(folder, "amazon_polarity", Composition(seed=1, rows=100)).only(["train"])
    assert {*other.ids.tolist()} != {*few.ids.tolist()}
    assert few.notes[-1] == (
        "Left out: 900 train, 900 test rows; drawn with seed 0, so that at most 100 of each split are left."
    )
    assert len(read_published(folder, "amazon_polarity", Composition(rows=5000))) == 2000


def test_balance_leaves_out_rows_of_the_larger_class_and_says_how_many(tmp_path: Path) -> None:
    folder = sorted_reviews(tmp_path, 30, 70)
    balanced = read_published(folder, "amazon_polarity", Composition(balanced=True))
    assert balanced.only(["train"]).targets.bincount().tolist() == [30, 30]
    assert balanced.notes[-1] == (
        "Left out: 40 train, 40 test rows; drawn with seed 0, so that both classes have equally many."
    )
    negatives = [name for name, target in zip(balanced.ids, balanced.targets.tolist(), strict=True) if not target]
    assert len(negatives) == 60
    few = read_published(folder, "amazon_polarity", Composition(balanced=True, rows=20))
    assert few.only(["test"]).targets.bincount().tolist() == [10, 10]
    assert [note for note in few.notes if note.startswith("Left out")] == [
        "Left out: 40 train, 40 test rows; drawn with seed 0, so that both classes have equally many.",
        "Left out: 40 train, 40 test rows; drawn with seed 0, so that at most 20 of each split are left.",
    ]
    assert {*few.ids.tolist()} < {*balanced.ids.tolist()}
    sorted_reviews(tmp_path, 3, 0)
    with pytest.raises(InputError, match=r"has no row of positive; it cannot be balanced"):
        read_published(folder, "amazon_polarity", Composition(balanced=True))


def test_rows_of_one_passage_stay_on_one_side(tmp_path: Path) -> None:
    published = read_published(many(tmp_path, 40, ["train"]), "sciq")
    rows = text_rows(published)
    assert int(families(rows).max()) + 1 == 10
    parts = assign_roles(rows, {"fit": 0.5, "judge": 0.5}, seed=0)
    assert not parts["fit"].origins() & parts["judge"].origins()
    write_table(published, tmp_path / "rows.csv")
    back = read_rows(tmp_path / "rows.csv", text=["text"])
    assert torch.equal(families(back.rows), families(rows))
    assert torch.equal(back.rows.targets, published.targets)
    assert back.split == published.split


HANG_TOGETHER = {
    "sciq": ("question", "support"), "sciq_with_support": ("question", "support"), "boolq": ("question", "passage"),
    "cosmos_qa": ("context",), "paws": ("sentence1", "sentence2"), "wic": ("sentence1", "sentence2"),
    "openbookqa": ("question_stem",), "piqa": ("goal",), "hellaswag": ("ctx", "source_id"),
    "social_i_qa": ("context",), "quartz": ("question", "para"),
}  # fmt: skip


@pytest.mark.parametrize("layout", HANG_TOGETHER)
def test_rows_hang_together_by_what_they_are_about_alone(layout: str, tmp_path: Path) -> None:
    record = examples.SETS[layout]["train"][0]
    for key in record:
        same = {"label", "answerKey", key}
        other = {name: value if name in same else reworded(value) for name, value in record.items()}
        if layout == "wic":
            record, other = ({**each, "label": int(bool(each["label"]))} for each in (record, other))
        examples.write_parquet(tmp_path / key / "train.parquet", [record, other])
        family = families(text_rows(read_published(tmp_path / key, layout)))  # type: ignore[arg-type]
        assert (int(family.max()) == 0) == (key in HANG_TOGETHER[layout]), key


def reworded(value: object) -> object:
    """Other words wherever a value has some."""
    if isinstance(value, dict):
        return {name: each if name == "label" else reworded(each) for name, each in value.items()}
    if isinstance(value, list):
        return [reworded(each) for each in value]
    return f"other {value}" if isinstance(value, str) else value


def shared(folder: Path) -> Path:
    """BoolQ in which a passage, and elsewhere a question, of train is in the other file too."""
    train = [("a", "seen"), ("asked twice", "c"), ("e", "f"), ("g", "f")]
    dev = [("h", "seen"), ("asked twice", "i")]
    for name, pairs in (("train", train), ("dev", dev)):
        records = [{"question": asked, "passage": passage, "answer": True} for asked, passage in pairs]
        examples.write_lines(folder / f"{name}.jsonl", records)
    return folder


def test_what_is_in_test_too_is_left_out_of_train(tmp_path: Path) -> None:
    published = read_published(shared(tmp_path), "boolq")
    assert published.split == ("train", "train", "test", "test")
    assert published.texts()[0][:2] == ("Passage: f\nQuestion: e", "Passage: f\nQuestion: g")
    assert published.notes[-1] == (
        "Left out: 2 train rows; their question, passage or sentence is in a later split too (overlap keeps them)."
    )
    assert set(roles_from_split(text_rows(published), published.split, SPLIT_MEANING)) == {"fit", "judge"}
    kept = read_published(tmp_path, "boolq", Composition(overlap=True))
    assert len(kept) == 6
    assert kept.notes[-1].startswith("Of 2 train rows their question, passage or sentence is in a later split too;")
    with pytest.raises(InputError, match="sources are in both fit and judge"):
        roles_from_split(text_rows(kept), kept.split, SPLIT_MEANING)
    # What is left out does not depend on which rows of the later split are kept.
    few = read_published(tmp_path, "boolq", Composition(rows=1))
    assert few.split == ("train", "test")
    assert {*few.ids.tolist()} < {*published.ids.tolist()}


def test_the_same_record_twice_is_two_rows_of_one_source(tmp_path: Path) -> None:
    examples.write_lines(tmp_path / "train.jsonl", [{"question": "a", "passage": "b", "answer": True}] * 2)
    published = read_published(tmp_path, "boolq")
    first, second = published.ids.tolist()
    assert second == f"{first}:2"
    assert first.startswith("boolq:train:")
    assert int(families(text_rows(published)).max()) == 0


def test_preferences_are_pairs_in_an_order_that_is_drawn(tmp_path: Path) -> None:
    folder = examples.dialogues(tmp_path / "hh-rlhf")
    expected = {"harmless-base": examples.HARMLESS, "helpful-base": examples.HELPFUL}
    orders: set[tuple[int, ...]] = set()
    for seed in range(40):  # one of the four orders is missed in 4e-5 of all cases
        published = read_published(folder, "anthropic_hh", Composition(seed)).only(["train"])
        assert published.attributes["subset"] == tuple(expected)
        rows = zip(published.attributes["subset"], *published.texts(), published.targets.tolist(), strict=True)
        for subset, first, second, preferred in rows:
            assert {first, second} == {*expected[subset].values()}
            assert (first, second)[preferred] == expected[subset]["chosen"]
        orders.add(tuple(published.targets.tolist()))
    assert len(orders) == 4
    published = read_published(folder, "anthropic_hh")
    assert published.classes == ("first", "second")
    assert published.groups.names == ("subset=harmless-base", "subset=helpful-base")
    assert published.groups.counts().tolist() == [1, 2]
    assert published.split == ("train", "train", "test")
    assert published.notes[-1].startswith("Left out: 1 train rows; nothing in them tells which text is right")
    one = read_published(folder / "helpful-base", "anthropic_hh")
    assert one.attributes["subset"] == ("helpful-base",) * 2


def test_dialogues_of_one_opening_hang_together(tmp_path: Path) -> None:
    opening = "\n\nHuman: Hi, how do I poach eggs?\n\nAssistant: "
    longer = {"chosen": f"{opening}Simmer them.", "rejected": f"{opening}Fry them."}
    examples.write_lines(tmp_path / "train.jsonl", [examples.HELPFUL, longer, examples.TESTED])
    family = families(text_rows(read_published(tmp_path, "anthropic_hh"))).tolist()
    assert family[0] == family[1] != family[2]


def test_the_notes_say_what_is_shown_and_what_differs(tmp_path: Path) -> None:
    told = describe_published(read_published(examples.original(tmp_path, "cosmos_qa"), "cosmos_qa"))
    assert told[0].startswith("cosmos_qa: 3 rows (text) in ")
    assert [line for line in told if line.startswith("note: ")] == [
        "note: Each question is shown with one candidate: the right one with probability ½, else one of the others.",
        'note: Where "None of the above choices ." is right, a wrong one is shown always: fewer than half are correct.',
        "note: The published test has no labels: the rows of validation are the split test here, and none is val.",
        "note: This folder has 2 train, 1 test rows; the published set has 25,262, 2,985.",
    ]

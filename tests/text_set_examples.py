"""Small files of published questions and texts, in the forms of their authors and of the Hugging Face Hub."""

import gzip
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pyarrow
import pyarrow.parquet

Values = Mapping[str, object]

SCIQ: dict[str, list[Values]] = {
    "train": [
        {
            "question": "What type of organism is used in cheese?",
            "distractor3": "viruses", "distractor1": "protozoa", "distractor2": "gymnosperms",
            "correct_answer": "mesophilic organisms", "support": "Mesophiles grow best\nin moderate temperature.",
        },
        {
            "question": "What do cyclones do?",
            "distractor3": "heat", "distractor1": "rest", "distractor2": "melt",
            "correct_answer": "rotate", "support": "",
        },
    ],
    "validation": [
        {
            "question": "Which gas do plants take in?",
            "distractor3": "helium", "distractor1": "neon", "distractor2": "argon",
            "correct_answer": "carbon dioxide", "support": "Leaves take in gas.",
        }
    ],
    "test": [
        {
            "question": "What is a fish?",
            "distractor3": "rock", "distractor1": "cloud", "distractor2": "star",
            "correct_answer": "vertebrate", "support": "Fish have spines.",
        }
    ],
}  # fmt: skip
BOOLQ: dict[str, list[Values]] = {
    "train": [
        {"question": "do they use the same language", "passage": "Persian, also \"Farsi\".", "answer": True},
        {"question": "can you carry over", "passage": "Days must be used.", "answer": False},
        {"question": "do days end", "passage": "Days must be used.", "answer": True},
    ],
    "validation": [{"question": "does ethanol take more energy", "passage": "All biomass goes.", "answer": False}],
}  # fmt: skip
AMAZON: dict[str, list[Values]] = {
    "train": [
        {"label": 1, "title": "Stuning, even", "content": 'This "sound track" was beautiful!\\nReally.'},
        {"label": 0, "title": "Buyer beware", "content": "This is a self-published book."},
    ],
    "test": [{"label": 1, "title": "", "content": "Great CD"}],
}
COSMOS: dict[str, list[Values]] = {
    "train": [
        {
            "id": "3Q9S##q1_a1", "context": "It was very cold , so we went in .", "question": "Why did they go in ?",
            "answer0": "It was warm outside .", "answer1": "None of the above choices .",
            "answer2": "They wanted to be warm .", "answer3": "They were hungry , \"maybe\" .", "label": 2,
        },
        {
            "id": "3Q9S##q2_a1", "context": "It was very cold , so we went in .", "question": "What did they eat ?",
            "answer0": "None of the above choices .", "answer1": "Soup .", "answer2": "Fish .", "answer3": "Ice .",
            "label": 0,
        },
    ],
    "validation": [
        {
            "id": "3BFF##q1_a1", "context": "I was walking home .", "question": "Where was I ?",
            "answer0": "On a boat .", "answer1": "On the street .", "answer2": "In bed .", "answer3": "In a tree .",
            "label": 1,
        }
    ],
}  # fmt: skip
SST2: dict[str, list[Values]] = {
    "train": [
        {"idx": 0, "sentence": 'hide new "secretions ', "label": 0},
        {"idx": 1, "sentence": "great ", "label": 1},
    ],
    "validation": [{"idx": 0, "sentence": "it 's a charming journey . ", "label": 1}],
}
COLA: dict[str, list[Values]] = {
    "train": [
        {"idx": 0, "sentence": "Our friends won't buy this analysis.", "label": 1},
        {"idx": 1, "sentence": "They drank the pub.", "label": 0},
    ],
    "validation": [{"idx": 0, "sentence": "The sailors rode the breeze.", "label": 1}],
}
PAWS: dict[str, list[Values]] = {
    "train": [
        {"id": 1, "sentence1": "In Paris , he met her .", "sentence2": "In Paris , she met him .", "label": 0},
        {"id": 2, "sentence1": "The NBA season was the 30th .", "sentence2": "The 30th season was it .", "label": 1},
    ],
    "validation": [{"id": 1, "sentence1": "One two .", "sentence2": "Two one .", "label": 0}],
    "test": [{"id": 1, "sentence1": "Here is it .", "sentence2": "It is here .", "label": 1}],
}
WIC: dict[str, list[Values]] = {
    "train": [
        {
            "word": "place", "sentence1": "Do you want to come over to my place later?",
            "sentence2": "A political system with no place for the less prominent groups.", "idx": 0, "label": False,
            "start1": 31, "start2": 27, "end1": 36, "end2": 32, "version": 1.1,
        }
    ],
    "validation": [
        {
            "word": "hold", "sentence1": "The general ordered the colonel to hold his position.",
            "sentence2": "Hold the taxi.", "idx": 0, "label": True,
            "start1": 35, "start2": 0, "end1": 39, "end2": 4, "version": 1.1,
        }
    ],
}  # fmt: skip
OPENBOOK: dict[str, list[Values]] = {
    "train": [
        {
            "id": "7-980", "question_stem": "The sun is responsible for",
            "choices": {"text": ["puppies", "children", "plants sprouting", "breaking"], "label": ["A", "B", "C", "D"]},
            "answerKey": "C",
        }
    ],
    "validation": [
        {
            "id": "7-584", "question_stem": "Frilled sharks live",
            "choices": {"text": ["deep", "high", "dry", "warm"], "label": ["A", "B", "C", "D"]}, "answerKey": "A",
        }
    ],
    "test": [
        {
            "id": "8-343", "question_stem": "Saving money is",
            "choices": {"text": ["calls", "quit dining out", "buying", "food"], "label": ["A", "B", "C", "D"]},
            "answerKey": "B",
        }
    ],
}  # fmt: skip
PIQA: dict[str, list[Values]] = {
    "train": [
        {
            "goal": "When boiling butter, when it's ready, you can",
            "sol1": "Pour it onto a plate", "sol2": "Pour it into a jar", "label": 1,
        },
        {"goal": "To dry hands", "sol1": "use a towel", "sol2": "use water", "label": 0},
    ],
    "validation": [{"goal": "How to cool tea?", "sol1": "Wait.", "sol2": "Boil it.", "label": 0}],
}  # fmt: skip
HELLASWAG: dict[str, list[Values]] = {
    "train": [
        {
            "ind": 4, "activity_label": "Removing ice from car", "ctx_a": "Then, the man writes over the snow.",
            "ctx_b": "then", "ctx": "Then, the man writes over the snow. then",
            "endings": [", the man adds wax.", ", a person boards.", ", he puts on a coat.", ", he removes the snow."],
            "source_id": "activitynet~v_-1IBHYS3L-Y", "split": "train", "split_type": "indomain", "label": "3",
        }
    ],
    "validation": [
        {
            "ind": 24, "activity_label": "Roof shingle removal", "ctx_a": "A man is sitting on a roof.", "ctx_b": "he",
            "ctx": "A man is sitting on a roof. he",
            "endings": ["is using wrap.", "is ripping tiles.", "is holding a cube.", "starts pulling up roofing."],
            "source_id": "activitynet~v_-JhWjGDPHMY", "split": "val", "split_type": "indomain", "label": "3",
        }
    ],
}  # fmt: skip
SOCIAL: dict[str, list[Values]] = {
    "train": [
        {
            "context": "Cameron had a party.", "question": "How would Others feel?", "answerA": "like attending",
            "answerB": "like staying home", "answerC": "a good friend", "label": "1",
        }
    ],
    "validation": [
        {
            "context": "Tracy stirred the pot.", "question": "What will Tracy want next?", "answerA": "sleep",
            "answerB": "run", "answerC": "taste it", "label": "3",
        }
    ],
}  # fmt: skip
QUARTZ: dict[str, list[Values]] = {
    "train": [
        {
            "id": "QRQA-10385-4", "question": "Is the sun brighter at", "answerKey": "B", "para_id": "QRSent-1",
            "choices": {"text": ["dusk", "noon"], "label": ["A", "B"]}, "para": "Light is strongest at noon.",
        }
    ],
    "validation": [
        {
            "id": "QRQA-2", "question": "More rain means grass grows", "answerKey": "A", "para_id": "QRSent-2",
            "choices": {"text": ["faster", "slower"], "label": ["A", "B"]}, "para": "Water helps grass.",
        }
    ],
    "test": [
        {
            "id": "QRQA-3", "question": "A heavier ball rolls with force", "answerKey": "A", "para_id": "QRSent-3",
            "choices": {"text": ["more", "less"], "label": ["A", "B"]}, "para": "Mass adds force.",
        }
    ],
}  # fmt: skip
SETS: dict[str, dict[str, list[Values]]] = {
    "sciq": SCIQ, "sciq_with_support": SCIQ, "boolq": BOOLQ, "amazon_polarity": AMAZON, "cosmos_qa": COSMOS,
    "sst2": SST2, "cola": COLA, "paws": PAWS, "wic": WIC, "openbookqa": OPENBOOK, "piqa": PIQA,
    "hellaswag": HELLASWAG, "social_i_qa": SOCIAL, "quartz": QUARTZ,
}  # fmt: skip
"""Records as the Hub has them, by its splits; labels of `wic` are written as its authors do."""
EGGS = "\n\nHuman: Hi, how do I poach eggs?\n\nAssistant: Simmer them.\n\nHuman: How long?\n\nAssistant: "
HELPFUL = {"chosen": f"{EGGS}Four minutes.", "rejected": f"{EGGS}I cannot say."}
HARMLESS = {
    "chosen": "\n\nHuman: May I steal?\n\nAssistant: Please don't.",
    "rejected": "\n\nHuman: May I steal?\n\nAssistant: Sure.",
}
TESTED = {
    "chosen": "\n\nHuman: Name a colour.\n\nAssistant: Blue.",
    "rejected": "\n\nHuman: Name a colour.\n\nAssistant: No.",
}


def hub(folder: Path, layout: str, place: str = "data") -> Path:
    """The set as the Hub has it: Parquet, a shard or more for each split; what has no label is there too."""
    for split, records in SETS[layout].items():
        rows = [{**record, "label": int(record["label"])} for record in records] if layout == "wic" else records
        write_parquet(folder / place / f"{split}-00000-of-00001.parquet", rows)
    if "test" not in SETS[layout]:
        hidden = [{**record, "label": -1} for record in SETS[layout]["validation"]]
        write_parquet(folder / place / "test-00000-of-00001.parquet", hidden)
    return folder


def original(folder: Path, layout: str) -> Path:
    """The set as its authors published it."""
    folder.mkdir(parents=True, exist_ok=True)
    _ORIGINAL[layout](folder, SETS[layout])
    return folder


def dialogues(folder: Path) -> Path:
    """`anthropic_hh`: two folders of pairs, packed and not, and one of another form, which is no part of it."""
    write_lines(folder / "helpful-base" / "train.jsonl.gz", [HELPFUL])
    write_lines(folder / "helpful-base" / "test.jsonl.gz", [TESTED])
    write_lines(
        folder / "harmless-base" / "train.jsonl", [HARMLESS, {"chosen": "\n\nHuman: Hm", "rejected": "\n\nHuman: Hm"}]
    )
    write_lines(folder / "red-team-attempts" / "red_team_attempts.jsonl.gz", [{"transcript": "Human: …", "rating": 4}])
    return folder


def write_lines(path: Path, records: Sequence[Values]) -> None:
    """JSON lines, packed where the name ends in .gz."""
    path.parent.mkdir(parents=True, exist_ok=True)
    text = "".join(json.dumps(record) + "\n" for record in records).encode()
    path.write_bytes(gzip.compress(text) if path.suffix == ".gz" else text)


def write_parquet(path: Path, records: Sequence[Values]) -> None:
    """A Parquet file of records."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist([dict(record) for record in records]), path)


def _quoted(cells: Sequence[object], *, always: bool) -> str:
    texts = [str(cell) for cell in cells]
    marked = [f'"{text.replace(chr(34), chr(34) * 2)}"' if always or set(text) & set(',"') else text for text in texts]
    return ",".join(marked) + "\n"


def _sciq(folder: Path, splits: Mapping[str, Sequence[Values]]) -> None:
    for split, name in (("train", "train"), ("validation", "valid"), ("test", "test")):
        (folder / f"{name}.json").write_text(json.dumps(splits[split], indent=4), encoding="utf-8")


def _lines(
    names: Mapping[str, str], change: Callable[[Values], Values] = dict
) -> Callable[[Path, Mapping[str, Sequence[Values]]], None]:
    def write(folder: Path, splits: Mapping[str, Sequence[Values]]) -> None:
        for split, name in names.items():
            write_lines(folder / name, [change(record) for record in splits[split]])

    return write


def _amazon(folder: Path, splits: Mapping[str, Sequence[Values]]) -> None:
    for split, records in splits.items():
        lines = [_quoted([int(str(row["label"])) + 1, row["title"], row["content"]], always=True) for row in records]
        (folder / f"{split}.csv").write_text("".join(lines), encoding="utf-8")


def _cosmos(folder: Path, splits: Mapping[str, Sequence[Values]]) -> None:
    for split, name in (("train", "train.csv"), ("validation", "valid.csv")):
        lines = [_quoted(list(splits[split][0]), always=False)]
        lines += [_quoted(list(record.values()), always=False) for record in splits[split]]
        (folder / name).write_text("".join(lines), encoding="utf-8")
    write_lines(folder / "test.jsonl", [{"id": "1", "context": "c", "question": "q", "answer0": "a"}])


def _sst2(folder: Path, splits: Mapping[str, Sequence[Values]]) -> None:
    for split, name in (("train", "train.tsv"), ("validation", "dev.tsv")):
        lines = ["sentence\tlabel\n", *(f"{record['sentence']}\t{record['label']}\n" for record in splits[split])]
        (folder / name).write_text("".join(lines), encoding="utf-8")
    (folder / "test.tsv").write_text("index\tsentence\n0\tuneasy mishmash .\n", encoding="utf-8")


def _cola(folder: Path, splits: Mapping[str, Sequence[Values]]) -> None:
    for split, name in (("train", "train.tsv"), ("validation", "dev.tsv")):
        marks = ["" if record["label"] else "*" for record in splits[split]]
        rows = zip(splits[split], marks, strict=True)
        lines = [f"gj04\t{record['label']}\t{mark}\t{record['sentence']}\n" for record, mark in rows]
        (folder / name).write_text("".join(lines), encoding="utf-8")


def _paws(folder: Path, splits: Mapping[str, Sequence[Values]]) -> None:
    (folder / "final").mkdir()
    for split, name in (("train", "train"), ("validation", "dev"), ("test", "test")):
        lines = [
            "\t".join(map(str, cells)) + "\n"
            for cells in [list(splits[split][0]), *(row.values() for row in splits[split])]
        ]
        (folder / "final" / f"{name}.tsv").write_text("".join(lines), encoding="utf-8")


def _apart(folder: Path, splits: Mapping[str, Sequence[Values]]) -> None:
    for split, name in (("train", "train"), ("validation", "dev")):
        records = [{key: value for key, value in record.items() if key != "label"} for record in splits[split]]
        write_lines(folder / f"{name}.jsonl", records)
        (folder / f"{name}-labels.lst").write_text("".join(f"{record['label']}\n" for record in splits[split]))


def _asked(record: Values) -> Values:
    choices = record["choices"]
    assert isinstance(choices, dict)
    pairs = zip(choices["text"], choices["label"], strict=True)
    stem = record.get("question_stem", record.get("question"))
    asked = {"stem": stem, "choices": [{"text": text, "label": key} for text, key in pairs]}
    return {**{k: v for k, v in record.items() if k not in ("choices", "question_stem")}, "question": asked}


_THREE = {"train": "train.jsonl", "validation": "dev.jsonl", "test": "test.jsonl"}
_ORIGINAL: dict[str, Callable[[Path, Mapping[str, Sequence[Values]]], None]] = {
    "sciq": _sciq,
    "sciq_with_support": _sciq,
    "boolq": _lines({"train": "train.jsonl", "validation": "dev.jsonl"}),
    "amazon_polarity": _amazon,
    "cosmos_qa": _cosmos,
    "sst2": _sst2,
    "cola": _cola,
    "paws": _paws,
    "wic": _lines({"train": "train.jsonl", "validation": "val.jsonl"}),
    "openbookqa": _lines(_THREE, _asked),
    "piqa": _apart,
    "hellaswag": _lines(
        {"train": "hellaswag_train.jsonl", "validation": "hellaswag_val.jsonl"},
        lambda record: {**record, "label": int(str(record["label"]))},
    ),
    "social_i_qa": _apart,
    "quartz": _lines(_THREE, _asked),
}

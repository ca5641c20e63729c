"""`surefoot teach` with a text model as the student: what a user sees, what is left behind, and what is refused."""

import csv
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

import text_set_examples as examples
from surefoot.cli import main

transformers = pytest.importorskip("transformers")

WORDS = ("the", "bird", "flew", "over", "water", "land", "while", "people", "watched", "from", "far", "near")
CONTEXT = 24
Call = Callable[[Sequence[str]], tuple[int, str, str]]


def save_model(folder: Path) -> None:
    """A tiny encoder with random weights and a tokenizer of whole words."""
    vocabulary = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS)
    sizes: dict[str, Any] = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1}
    config = transformers.BertConfig(
        vocab_size=len(vocabulary), intermediate_size=8, max_position_embeddings=CONTEXT, **sizes
    )
    transformers.BertModel(config).eval().save_pretrained(folder)
    numbers = {word: number for number, word in enumerate(vocabulary)}
    transformers.BertTokenizer(vocab=numbers, model_max_length=CONTEXT).save_pretrained(folder)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("models") / "tiny"
    save_model(folder)
    return str(folder)


@pytest.fixture
def call(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Call:
    """One command in a folder of its own, where texts.csv and weak.csv lie: exit code, stdout, stderr."""
    monkeypatch.chdir(tmp_path)
    texts = [f"the {WORDS[at % 12]} {WORDS[at // 12]} from" for at in range(50)]
    write("texts.csv", ["id", "text", "mood"], [[f"a{at}x", t, "ab"[at % 12 > 5]] for at, t in enumerate(texts)])
    write(
        "weak.csv",
        ["id", "p_a", "p_b"],
        [[f"a{at}x", p, 1 - p] for at in range(50) for p in [0.8 if at % 12 < 5 else 0.3]],
    )

    def call(words: Sequence[str]) -> tuple[int, str, str]:
        code = main(list(words))
        told = capsys.readouterr()
        return code, told.out, told.err

    return call


def write(name: str, head: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    with Path(name).open("w", newline="") as opened:
        csv.writer(opened).writerows([head, *rows])


def read(name: str) -> list[dict[str, str]]:
    with Path(name).open(newline="") as opened:
        return list(csv.DictReader(opened))


def test_a_card_a_folder_that_predicts_and_nothing_trained_twice(call: Call, model: str) -> None:
    words = ["teach", "texts.csv", "--weak", "weak.csv", "--target", "mood", "--student", model, "--seeds", "0"]
    words += ["--batch", "8", "--rate", "0.01"]
    code, out, told = call(words)
    assert code == 11
    assert told.startswith(
        "Teaching on 40 rows, judging on 10: student (tiny, every weight, cross-entropy, 2 epochs), "
    )
    for word in ("short baseline (tiny, every weight, cross-entropy, 1 epoch)", "inputs: texts in text",
                 "ceiling (tiny, every weight, cross-entropy, 2 epochs, true labels)"):  # fmt: skip
        assert word in out, word
    left = next(line.partition(": ")[2] for line in out.splitlines() if line.startswith("The student: "))
    code, table, _ = call(["predict", left, "texts.csv", "-q"])
    assert code == 0
    lines = [line.split(",") for line in table.splitlines()]
    assert lines[0][:2] == ["id", "seen"]
    assert lines[0][-2:] == ["p_a", "p_b"]
    assert sorted({line[1] for line in lines[1:]}) == ["no", "yes"]
    assert sum(line[1] == "yes" for line in lines[1:]) == 40
    write("fresh.csv", ["id", "text", "mood"], [[f"f{at}x", f"near {WORDS[at]} far", "ab"[at % 2]] for at in range(12)])
    assert call(["look", left, "fresh.csv", "--target", "mood", "-q"])[0] == 11
    code, out, _ = call(words)
    assert "3 trainings were finished already and used again." in out
    head = call([*words, "--tune", "head", "--loss", "confidence", "--epochs", "4"])
    assert head[0] == 11
    assert "short baseline (tiny, a head alone, cross-entropy, 3 epochs)" in head[1]


def test_texts_that_are_cut_are_counted_on_the_terminal(call: Call, model: str) -> None:
    rows = read("texts.csv")
    long = " ".join(["water"] * CONTEXT)
    long_rows = [[row["id"], long if at == 7 else row["text"]] for at, row in enumerate(rows)]
    write("long.csv", ["id", "words"], long_rows)
    words = ["teach", "long.csv", "--weak", "weak.csv", "--text", "words", "--student", model, "--seeds", "0"]
    code, _, told = call(words)
    assert code == 2
    assert f"texts are longer than the {CONTEXT} tokens that tiny reads (first: a7x, {CONTEXT + 2} tokens)" in told
    assert "have them cut with --cut" in told
    assert not Path("runs").exists()
    _, out, _ = call([*words, "--cut"])
    assert f"Cut off after {CONTEXT} tokens, the most that tiny reads: 1 of " in out


def test_a_published_set_of_texts_has_its_own_splits(call: Call, model: str, tmp_path: Path) -> None:
    folder = str(examples.original(tmp_path / "SciQ", "sciq"))
    code, out, _ = call(["rows", folder, "--as", "sciq", "--to", "sciq.csv"])
    assert code == 0
    said = [[row["id"], 0.7, 0.3] for row in read("sciq.csv") if row["split"] != "val"]
    write("said.csv", ["id", "p_correct", "p_incorrect"], said)
    words = ["teach", folder, "--as", "sciq", "--weak", "said.csv", "--student", model, "--seeds", "0", "--cut"]
    code, out, told = call(words)
    assert code == 11, told
    assert "its test rows judge" in out
    assert "sciq: " in out
    assert call([*words, "--text", "question"])[2].endswith("leave the options that name columns out.\n")


@pytest.mark.parametrize(
    ("words", "match"),
    [
        (["--student", "MODEL", "--text", "txt"], "has no column 'txt'"),
        (["--student", "MODEL", "--tune", "some"], "There is no way to tune called 'some'; give full, lora, head"),
        (["--student", "MODEL", "--loss", "luck"], "There is no loss 'luck'"),
        (["--student", "MODEL", "--rate", "0"], "rate is 0.0; give a positive learning rate"),
        (["--student", "MODEL", "--features", "text"], "--features names what"),
        (["--student", "MODEL", "--splits", "train"], "speak of a published layout"),
        (["--student", "MODEL", "--device", "gpu"], 'The device "gpu" cannot be used here'),
        (["--student", "MODEL", "--claim", "acuracy >= 0.5"], "did you mean 'accuracy'?"),
        (["--student", "empty"], "empty holds neither config.json (Hugging Face) nor record.json"),
        (["--student", "no/such"], 'There is no folder "no/such", and no model of that name could be fetched'),
        (["--student", "minlm"], "There is no student 'minlm'; give linear, mlp:64"),
        (["--text", "text"], "--text is of students that read texts, and linear reads numbers; give a model of texts"),
        (["--student", "mlp:4", "--tune", "head"], "--tune is of students that read texts, and mlp:4 reads numbers"),
        (["--student", "mlp:4", "--cut"], "--cut is of students that read texts"),
    ],
)
def test_what_cannot_be_is_refused_in_one_sentence(
    call: Call, model: str, words: list[str], match: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    Path("empty").mkdir()
    given = [model if word == "MODEL" else word for word in words]
    code, out, told = call(["teach", "texts.csv", "--weak", "weak.csv", "--target", "mood", *given])
    assert (code, out) == (2, "")
    assert match in told
    assert told.count("\n") == 1
    assert not Path("runs").exists()


def test_a_table_without_texts_and_packages_that_are_missing_are_told(
    call: Call, model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    write("numbers.csv", ["id", "u"], [[f"a{at}x", at % 7] for at in range(50)])
    words = ["--weak", "weak.csv", "--student", model]
    assert "has no column called text, sentence" in call(["teach", "numbers.csv", *words])[2]
    monkeypatch.setitem(sys.modules, "peft", None)
    assert "peft, which is not installed" in call(["teach", "texts.csv", *words, "--tune", "lora"])[2]
    monkeypatch.setitem(sys.modules, "transformers", None)
    told = call(["teach", "texts.csv", *words])
    assert told[0] == 2
    assert 'need transformers, which is not installed: pip install "surefoot[hub]"' in told[2]
    assert not Path("runs").exists()
    code, out, told = call(["teach", "numbers.csv", "--weak", "weak.csv", "--json"])
    assert code == 11, told
    assert json.loads(out)["verdict"] == "undecided"

"""Text models as students of `teach_pupil`: what they learn, what is kept of it, and what they leave."""

import csv
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hub_examples import some_texts, transformers
from tuning_examples import LONGEST, save_tiny, some_labels, tiny

from surefoot.errors import InputError
from surefoot.files import read_tensors, write_json
from surefoot.hub.looking import look_at_pretrained, predict_pretrained
from surefoot.hub.opening import open_encoder
from surefoot.hub.pretrained import open_folder
from surefoot.hub.repaired import check_can_write
from surefoot.hub.tuning.adapt import Full, HeadOnly
from surefoot.hub.tuning.keep import open_tuned
from surefoot.hub.tuning.pupil import USUAL, text_student
from surefoot.hub.tuning.settings import Tune
from surefoot.hub.tuning.tune import TextLearner, said_of_texts, tune
from surefoot.rows.texts import Texts
from surefoot.study.once.columns import Columns
from surefoot.study.once.teach import KeptStudent, teach_pupil
from surefoot.supervise.labels import WeakLabels
from surefoot.supervise.losses import CrossEntropy

ROWS = 60
TEXT = Columns(text=("text",))
TEXTS = tuple(dict.fromkeys(some_texts(2 * ROWS, 9)))[:ROWS]
TRUTH = ["yes" if "bird" in text.split() else "no" for text in TEXTS]
SAID = [0.8 if ("bird" in text.split()) != (at % 5 == 0) else 0.3 for at, text in enumerate(TEXTS)]
Teach = Callable[..., KeptStudent]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The encoder as a sentence encoder that brings its vectors to length one, which no head here is to see."""
    folder = tmp_path_factory.mktemp("students")
    saved = {kind: save_tiny(folder / kind, kind) for kind in ("bert", "gpt2", "llama")}
    kinds = {"Transformer": "", "Pooling": "1_Pooling", "Normalize": "2_Normalize"}
    parts = [{"path": path, "type": f"sentence_transformers.models.{kind}"} for kind, path in kinds.items()]
    write_json(saved["bert"] / "modules.json", parts)
    write_json(saved["bert"] / "1_Pooling" / "config.json", {"pooling_mode_mean_tokens": True})
    assert open_folder(saved["bert"]).normalise
    return {kind: str(path) for kind, path in saved.items()}


@pytest.fixture
def teach(tmp_path: Path, models: dict[str, str]) -> Teach:
    """A student of weak.csv on a table in a folder of its own."""
    write(tmp_path / "data.csv", ["id", "text", "label"], [[f"t{at}-a", TEXTS[at], TRUTH[at]] for at in range(ROWS)])
    write(tmp_path / "weak.csv", ["id", "p_yes", "p_no"], [[f"t{at}-a", p, 1 - p] for at, p in enumerate(SAID)])

    def teach(
        kind: str = "bert", learns: str = "full", data: str = "data.csv", out: str = "runs", **told: object
    ) -> KeptStudent:
        own = {"epochs": 2, "batch": 8, "rate": 0.01, **{name: told.pop(name) for name in SETTINGS & {*told}}}
        given = {"columns": TEXT, "seeds": (0,), **told}
        pupil = text_student(models.get(kind, kind), learns, **own)  # type: ignore[arg-type]
        return teach_pupil(tmp_path / data, tmp_path / "weak.csv", pupil, out=tmp_path / out, **given)  # type: ignore[arg-type]

    return teach


SETTINGS = {"epochs", "batch", "rate", "loss", "cut", "microbatch"}


def write(path: Path, head: list[str], rows: list[list[object]]) -> None:
    with path.open("w", newline="") as opened:
        csv.writer(opened).writerows([head, *rows])


def tensors(kept: KeptStudent, seed: int = 0) -> dict[str, torch.Tensor]:
    files = {path.name: read_tensors(path) for path in kept.models[seed].glob("*.safetensors")}
    return {f"{file} {name}": each for file, own in files.items() for name, each in own.items()}


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def fit_rows(kept: KeptStudent, seed: int = 0) -> list[int]:
    return sorted(int(name[1:-2]) for name in json.loads((kept.models[seed] / "seen.json").read_text()))


@pytest.mark.parametrize(("kind", "learns"), [("bert", "full"), ("gpt2", "lora"), ("llama", "head")])
def test_no_truth_reaches_the_student_and_it_is_what_tuning_makes_of_the_weak_labels(
    kind: str, learns: str, teach: Teach, tmp_path: Path
) -> None:
    split = ["test" if at % 4 == 0 else "train" for at in range(ROWS)]
    plain = [[f"t{at}-a", TEXTS[at], split[at]] for at in range(ROWS)]
    write(tmp_path / "one.csv", ["id", "text", "split"], plain)
    write(tmp_path / "two.csv", ["id", "text", "split", "label"], [[*r, t] for r, t in zip(plain, TRUTH, strict=True)])
    write(
        tmp_path / "three.csv", ["id", "text", "split", "label"],
        [[*r, t] for r, t in zip(plain, TRUTH[::-1], strict=True)],
    )  # fmt: skip
    kept = [
        teach(kind, learns, name, f"runs-{name}", loss="confidence") for name in ("one.csv", "two.csv", "three.csv")
    ]
    assert same(tensors(kept[0]), tensors(kept[1]))
    assert same(tensors(kept[0]), tensors(kept[2]))
    assert kept[1].card.finding("nll", of="ceiling").value != kept[2].card.finding("nll", of="ceiling").value


@pytest.mark.parametrize("learns", ["full", "head"])
def test_a_student_is_what_tune_makes_and_its_card_says_what_the_model_left_says(
    learns: str, teach: Teach, models: dict[str, str], tmp_path: Path
) -> None:
    for kind in ("bert", "gpt2"):
        kept = teach(kind, learns)
        fit = fit_rows(kept)
        judge = sorted({*range(ROWS)} - {*fit})
        encoder = tiny(Path(models[kind]).parent / "again", kind)
        labels = some_labels(tuple(TEXTS[at] for at in fit))
        soft = torch.tensor([[SAID[at], 1 - SAID[at]] for at in fit], dtype=torch.float64).float()
        ids = np.array([f"t{at}-a" for at in fit], dtype=np.str_)
        labels = WeakLabels(replace(labels.rows, targets=soft, ids=ids), frozenset(), "weak.csv")
        how = Full() if learns == "full" else HeadOnly()
        alone = tune(TextLearner("tiny", encoder, how, Tune(epochs=2, batch=8, rate=0.01), CrossEntropy()), labels, 0)
        left = open_tuned(kept.models[0])
        found = dict(left.classifier.named_parameters())
        for name, own in alone.classifier.named_parameters():
            assert torch.allclose(own, found[name], atol=1e-6), name
        shown = kept.card.finding("accuracy", of="student")
        inputs = Texts((tuple(TEXTS[at] for at in judge),))
        said = said_of_texts(left, inputs).probabilities.argmax(dim=1)
        truth = torch.tensor([["yes", "no"].index(TRUTH[at]) for at in judge])
        assert shown.value == pytest.approx(float((said == truth).float().mean()))
        assert left.classes == ("yes", "no")
        # predict reads the folder as it stands
        table = predict_pretrained(str(kept.models[0]), tmp_path / "data.csv", out=tmp_path / "asked").splitlines()
        assert table[0] == "id,seen,label,p_yes,p_no"
        lines = [line.split(",") for line in table[1:]]
        assert [int(line[0][1:-2]) for line in lines if line[1] == "yes"] == fit
        own = torch.tensor([[float(each) for each in lines[at][3:]] for at in judge])
        assert torch.allclose(own, said_of_texts(left, inputs).probabilities, atol=1e-5)
        told = check_can_write(open_encoder(str(kept.models[0])), 2)
        assert told is None if kind == "gpt2" else "keeps its head beside its body" in str(told)
        with pytest.raises(InputError, match="already seen by the model"):
            look_at_pretrained(str(kept.models[0]), tmp_path / "data.csv", out=tmp_path / "looked")


@pytest.mark.parametrize("learns", ["full", "lora", "head"])
def test_a_killed_training_ends_as_an_unbroken_one(learns: str, teach: Teach) -> None:
    steps: list[tuple[int, int]] = []

    def kill(stage: str, done: int, total: int) -> None:
        if stage.startswith("teaching"):
            steps.append((done, total))
            if len(steps) == 15:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        teach("gpt2", learns, epochs=3, progress=kill)
    killed = steps[-1]
    assert killed[0] == 15  # in the third epoch of six steps
    told: list[int] = []
    resumed = teach(
        "gpt2", learns, epochs=3, progress=lambda stage, done, _: told.append(done) if "teach" in stage else None
    )
    assert told[0] == 13, "it goes on after the second epoch"
    unbroken = teach("gpt2", learns, epochs=3, out="other")
    assert same(tensors(resumed), tensors(unbroken))
    assert resumed.card.findings == unbroken.card.findings
    assert not list(next(iter(resumed.models.values())).parents[2].glob("teach/*/begun*"))


def test_what_is_finished_is_used_again_and_a_damaged_one_is_not(teach: Teach, tmp_path: Path) -> None:
    first = teach(seeds=(0, 1), loss="confidence")
    place = tmp_path / "runs" / "teach"
    assert (first.reused, len([*place.glob("*/learned.json")]), len([*place.glob("*/said-*")])) == (0, 6, 6)
    assert [each.name for each in first.card.subjects] == ["weak", "student", "short", "ceiling"]
    again = teach(seeds=(0, 1), loss="confidence")
    assert (again.reused, again.folder) == (6, first.folder)
    assert again.card.findings == first.card.findings
    assert teach(seeds=(0, 1)).reused == 4, "baseline and ceiling learn by cross-entropy in both"
    for path in place.glob("*/learned.safetensors"):
        path.write_bytes(b"cut")
    assert teach(seeds=(0, 1), loss="confidence").reused == 0
    short = teach(epochs=1)
    assert [each.name for each in short.card.subjects] == ["weak", "student", "ceiling"]
    assert not same(tensors(first, 0), tensors(first, 1))
    assert same(tensors(teach(microbatch=8)), tensors(teach(out="whole")))


@pytest.mark.parametrize("learns", ["full", "head"])
def test_long_texts_are_refused_by_name_or_cut_and_counted(learns: str, teach: Teach, tmp_path: Path) -> None:
    long = {3: LONGEST + 5, 4: LONGEST - 2, 20: LONGEST - 1}  # with its two marks row 4 just fits
    rows = [[f"t{at}-a", " ".join(["bird"] * long[at]) if at in long else TEXTS[at]] for at in range(ROWS)]
    write(
        tmp_path / "long.csv",
        ["id", "text", "split"],
        [[*row, "test" if at == 20 or at > 50 else "train"] for at, row in enumerate(rows)],
    )
    refused = (
        rf"1 of 50 taught texts are longer than the {LONGEST} tokens that bert reads \(first: t3-a, {LONGEST + 7} "
    )
    with pytest.raises(InputError, match=refused):
        teach(learns=learns, data="long.csv")
    assert not (tmp_path / "runs").exists()
    kept = teach(learns=learns, data="long.csv", cut=True)
    told = f"Cut off after {LONGEST} tokens, the most that bert reads: 1 of 50 taught texts, 1 of 10 judge texts."
    assert told in kept.card.not_shown
    assert told in kept.origins
    assert not any("Cut off" in each for each in teach(learns=learns, cut=True).card.not_shown)


def test_without_truth_there_is_agreement_and_few_steps_are_said(teach: Teach, tmp_path: Path) -> None:
    write(tmp_path / "bare.csv", ["id", "text"], [[f"t{at}-a", text] for at, text in enumerate(TEXTS)])
    kept = teach(data="bare.csv")
    assert {each.name for each in kept.card.findings} == {"supervisor_agreement"}
    assert "There are no true labels of judge rows" in kept.card.not_shown[0]
    assert any("The student took 12 steps" in each for each in kept.card.not_shown)
    assert USUAL["full"].few > 12


def test_pairs_are_read_together_and_a_text_without_a_token_is_named(teach: Teach, tmp_path: Path) -> None:
    more = [" ".join(["old"] * (at % 3 + 1)) for at in range(ROWS)]
    rows = [[f"t{at}-a", TEXTS[at], more[at]] for at in range(ROWS)]
    write(tmp_path / "pairs.csv", ["id", "text", "more"], rows)
    kept = teach(data="pairs.csv", columns=Columns(text=("text", "more")))
    assert not same(tensors(kept), tensors(teach(data="pairs.csv", out="alone")))
    with pytest.raises(InputError, match=r"reads a text or a pair; 3 columns were named"):
        teach(data="pairs.csv", columns=Columns(text=("text", "more", "more")))
    write(
        tmp_path / "empty.csv", ["id", "text"], [[*row[:1], "" if at == 9 else row[1]] for at, row in enumerate(rows)]
    )
    with pytest.raises(InputError, match="The text of row t9-a has no token, so gpt2 cannot read it"):
        teach("gpt2", data="empty.csv")


def test_a_taught_folder_is_taught_again_but_never_judged_on_what_it_saw(teach: Teach, tmp_path: Path) -> None:
    split = ["test" if at >= 40 else "train" for at in range(ROWS)]
    rows = [[f"t{at}-a", TEXTS[at], split[at], TRUTH[at]] for at in range(ROWS)]
    write(tmp_path / "split.csv", ["id", "text", "split", "label"], rows)
    first = teach(data="split.csv")
    again = teach(str(first.models[0]), data="split.csv")
    assert not same(tensors(first), tensors(again))
    other = [[f"t{at}-a", TEXTS[at], "train" if at >= 40 else "test", TRUTH[at]] for at in range(ROWS)]
    write(tmp_path / "other.csv", ["id", "text", "split", "label"], other)
    with pytest.raises(InputError, match=r"judge rows .* already seen by the model seed-0 before it is taught here"):
        teach(str(first.models[0]), data="other.csv")
    wider = [*rows[:20], *([*row[:2], "train", row[3]] for row in rows[40:50]), *rows[50:]]
    write(tmp_path / "wider.csv", ["id", "text", "split", "label"], wider)
    weak = [[f"t{at}-a", SAID[at], 1 - SAID[at]] for at in (*range(20), *range(40, ROWS))]
    write(tmp_path / "weak.csv", ["id", "p_yes", "p_no"], weak)
    # It descends from all that shaped it before.
    assert fit_rows(teach(str(first.models[0]), data="wider.csv")) == [*range(50)]


def test_models_that_cannot_be_students_are_refused(tmp_path: Path) -> None:
    config = transformers.T5Config(
        vocab_size=18, d_model=8, d_ff=8, num_layers=1, num_heads=1, d_kv=8, decoder_start_token_id=0
    )
    folder = tmp_path / "t5"
    save_tiny(tmp_path / "bert", "bert")
    transformers.T5ForConditionalGeneration(config).save_pretrained(folder)
    for path in (tmp_path / "bert").glob("tokenizer*"):
        (folder / path.name).write_bytes(path.read_bytes())
    with pytest.raises(InputError, match="writes texts from texts"):
        text_student(str(folder))
    with pytest.raises(InputError, match="There is no way to tune called 'some'; give full, lora, head"):
        text_student(str(tmp_path / "bert"), "some")
    with pytest.raises(InputError, match="There is no loss 'luck'"):
        text_student(str(tmp_path / "bert"), loss="luck")
    for path in (tmp_path / "bert").glob("*token*"):
        path.unlink()
    (tmp_path / "bert" / "vocab.txt").unlink(missing_ok=True)
    with pytest.raises(InputError, match="the folder holds no tokenizer that knows a word"):
        text_student(str(tmp_path / "bert"))

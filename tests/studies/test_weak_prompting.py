"""The prompting study: its rows, its supervisor, who is shown what; it runs in small, goes on, and is published."""

import io
import os
import sys
import tarfile
import warnings
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers

from surefoot.errors import InputError
from surefoot.files import read_json

os.environ["HF_HUB_OFFLINE"] = "1"
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import transformers

ROOT = Path(__file__).resolve().parents[2]
GOOD, BAD, PLAIN = ("gem", "fine", "great"), ("dull", "poor", "weak"), ("film", "plot", "cast", "scene", "the", "a")
KNOWN = ("<unk>", "</s>", "Review", "Sentiment", ":", "positive", "negative", *GOOD, *BAD, *PLAIN)


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    monkeypatch.syspath_prepend(str(ROOT / "studies"))
    import weak_prompting

    yield weak_prompting
    for name in ("weak_prompting", "weak_tables", "curves"):
        sys.modules.pop(name, None)


def some_lines(count: int = 120) -> list[list[str]]:
    """Sentences whose rating is of one word."""
    generator = torch.Generator().manual_seed(0)
    lines: list[list[str]] = []
    for number in range(count):
        draw = torch.randint(0, 1_000_000, (6,), generator=generator).tolist()
        side = GOOD if draw[0] % 2 else BAD
        words = [PLAIN[each % len(PLAIN)] for each in draw[1:5]] + [side[draw[5] % 3]]
        lines.append(
            [str(number), "2.1" if side is GOOD else "-1.4", " ".join(words[draw[2] % 5 :] + words[: draw[2] % 5])]
        )
    return lines


def save_model(folder: Path) -> Path:
    inner = Tokenizer(models.WordLevel({word: number for number, word in enumerate(KNOWN)}, unk_token="<unk>"))
    inner.pre_tokenizer = pre_tokenizers.Whitespace()
    config = transformers.LlamaConfig(
        vocab_size=len(KNOWN), hidden_size=16, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2,
        num_key_value_heads=1, max_position_embeddings=128,
    )  # fmt: skip
    with warnings.catch_warnings(), torch.random.fork_rng(devices=[]):
        warnings.simplefilter("ignore")
        torch.manual_seed(0)
        module = transformers.LlamaForCausalLM(config)
        for parameter in module.parameters():
            with torch.no_grad():
                parameter.add_(torch.randn(parameter.shape), alpha=0.3)
        module.save_pretrained(folder)
        transformers.PreTrainedTokenizerFast(
            tokenizer_object=inner, unk_token="<unk>", eos_token="</s>", pad_token="</s>"
        ).save_pretrained(folder)
    return folder


def test_the_sentences_are_read_from_the_archive_within_the_archive(script: ModuleType, tmp_path: Path) -> None:
    def packed(name: str, content: bytes) -> bytes:
        made = io.BytesIO()
        with tarfile.open(fileobj=made, mode="w:gz") as archive:
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
        return made.getvalue()

    table = "\n".join("\t".join(line) for line in some_lines())
    inner = packed(script.INSIDE[1], table.encode())
    (tmp_path / "data.tar.gz").write_bytes(packed(f"vaderSentiment-3.3.2/{script.INSIDE[0]}", inner))
    settings = replace(script.QUICK, judged=20, pool=30)
    pool, judge = script.read_sentences(tmp_path / "data.tar.gz", settings)
    assert (len(pool), len(judge)) == (30, 20)
    wanted = script.chosen_sentences(some_lines(), settings)
    assert [script.texts_of(each) for each in (pool, judge)] == [script.texts_of(each) for each in wanted]


def test_long_doubtful_and_repeated_sentences_are_left_out(script: ModuleType) -> None:
    lines = [["1", "2.0", "a gem"], ["2", "-0.5", "dull"], ["3", "0.4", "so so"], ["4", "-1.0", "a  gem"],
             ["5", "-3.0", " ".join(["dull"] * 11)], ["6", "3.0", " ".join(["gem"] * 10)]]  # fmt: skip
    pool, judge = script.chosen_sentences(lines, replace(script.QUICK, judged=1, pool=9))
    truth = {text: int(target) for rows in (pool, judge) for text, target in zip(
        script.texts_of(rows), rows.targets.tolist(), strict=True)}  # fmt: skip
    assert truth == {"a gem": 1, "dull": 0, " ".join(["gem"] * 10): 1}
    assert len(judge) == 1


def test_the_supervisor_learns_from_its_half_and_labels_the_other(script: ModuleType) -> None:
    pool, judge = script.chosen_sentences(some_lines(400), replace(script.QUICK, judged=40, pool=120))
    part = script.part_of(pool, judge, 0)
    labels = part.labels
    rows = labels["weak"].rows
    assert len(rows) == 60
    assert rows.ids.tolist() == labels["truth"].rows.ids.tolist() == labels["random"].rows.ids.tolist()
    assert not labels["weak"].seen & rows.origins()
    assert labels["weak"].seen == pool.origins() - rows.origins()
    right = (part.weak.argmax(dim=1) == judge.targets).float().mean()
    assert right > 0.9  # one word decides, and it has seen each some twenty times
    truth = labels["truth"].rows.targets.argmax(dim=1)
    agreed = float((labels["random"].rows.targets.argmax(dim=1) == truth).float().mean())
    assert 0.25 < agreed < 0.75  # four deviations of sixty coins


def test_the_probes_penalty_is_the_best_for_rows_held_out(script: ModuleType) -> None:
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(200, 60, generator=generator)
    labels = torch.nn.functional.one_hot((features[:, 0] > 0).long(), 2).float()
    noise = torch.nn.functional.one_hot(torch.randint(2, (200,), generator=generator), 2).float()
    learnt, lost = script.fitted(features, labels, 0), script.fitted(features, noise, 0)
    assert learnt.weight.norm() > 5 * lost.weight.norm()  # nothing to learn takes the largest penalty


def test_it_runs_in_small_and_goes_on_where_it_was(
    script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = replace(script.QUICK, judged=24, pool=80)
    pool, judge = script.chosen_sentences(some_lines(400), settings)
    folder = save_model(tmp_path / "tiny")
    record = script.study(str(folder), pool, judge, settings, 2, tmp_path / "kept")
    asked = {(each["examples"], each["by"], each["calibrated"]) for each in record["prompts"]}
    assert asked == {(count, by, divided) for count, by in (
        (0, "nobody"), (2, "truth"), (2, "weak"), (4, "truth"), (4, "weak"), (4, "random")
    ) for divided in (False, True)}  # fmt: skip
    kept = len(list((tmp_path / "kept").glob("*.safetensors")))
    assert 3 < kept <= 1 + 2 * 5  # weak and true examples that are the same are asked once
    assert record["supervisor"]["gained"]["value"] == 0
    for seed, share in enumerate(record["weak_labels_right"]):
        labels = script.part_of(pool, judge, seed).labels
        said, truth = (labels[by].rows.targets.argmax(dim=1) for by in ("weak", "truth"))
        assert share == pytest.approx(float((said == truth).float().mean()), abs=1e-5)
    for each in record["prompts"]:
        gained = each["accuracy"]["value"] - record["supervisor"]["accuracy"]["value"]
        assert each["gained"]["value"] == pytest.approx(gained, abs=1e-5)

    def refused(*_: Any) -> None:
        raise InputError("asked again")

    monkeypatch.setattr(script, "word_scores", refused)
    assert script.study(str(folder), pool, judge, settings, 2, tmp_path / "kept") == record
    with pytest.raises(InputError, match="asked again"):
        script.study(str(folder), pool, judge, settings, 3, tmp_path / "kept")
    blocks = script.tables(record)
    assert len(blocks) == 3
    assert blocks[0].count("\n") == 1 + 6
    assert [line.split(" | ")[1] for line in blocks[0].splitlines()[2:]] == [
        "—",
        "truth",
        "weak",
        "truth",
        "weak",
        "random",
    ]


def test_the_control_is_asked_last_so_that_a_killed_run_has_the_pairs(script: ModuleType) -> None:
    asked = list(script.prompts_asked(script.Settings(), 3))
    assert asked[:6] == [
        (2, "truth", 0),
        (2, "weak", 0),
        (6, "truth", 0),
        (6, "weak", 0),
        (10, "truth", 0),
        (10, "weak", 0),
    ]
    assert asked[-3:] == [(6, "random", seed) for seed in range(3)]
    assert len(asked) == 21


def test_the_page_holds_what_the_data_say(script: ModuleType) -> None:
    record = read_json(ROOT / "docs/data/weak-prompting.json")
    page = (ROOT / "docs/weak-prompting.md").read_text(encoding="utf-8")
    assert script.with_blocks(page, "prompting", script.tables(record)) == page

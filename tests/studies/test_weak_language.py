"""The language setting reads its archive where it is, keeps its rows apart, runs in small, and is what it published."""

import io
import json
import sys
import tarfile
from dataclasses import asdict, replace
from pathlib import Path
from types import ModuleType

import pytest
import torch

from surefoot.errors import InputError

ROOT = Path(__file__).resolve().parents[2]
GOOD, BAD = ("lovely", "charming", "clever", "moving"), ("dull", "awful", "tired", "empty")
NOUNS = ("film", "story", "plot", "cast", "scene", "script", "drama", "comedy", "score", "ending")


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(ROOT / "studies"))
    import weak_language

    return weak_language


@pytest.fixture
def data(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(ROOT / "studies"))
    import weak_language_data

    return weak_language_data


def archive(folder: Path, lines: list[str]) -> Path:
    """An archive within an archive, as the package has it."""
    inner = io.BytesIO()
    _add(inner, "hutto_ICWSM_2014/movieReviewSnippets_GroundTruth.txt", "\n".join(lines).encode())
    outer = io.BytesIO()
    _add(outer, "vaderSentiment-3.3.2/additional_resources/hutto_ICWSM_2014.tar.gz", inner.getvalue())
    place = folder / "vaderSentiment-3.3.2.tar.gz"
    place.write_bytes(outer.getvalue())
    return place


def _add(target: io.BytesIO, name: str, content: bytes) -> None:
    with tarfile.open(fileobj=target, mode="w:gz") as opened:
        entry = tarfile.TarInfo(name)
        entry.size = len(content)
        opened.addfile(entry, io.BytesIO(content))


def some_lines() -> list[str]:
    lines: list[str] = []
    for noun in NOUNS:
        for other in NOUNS:
            for rating, words in ((1.5, GOOD), (-2.0, BAD)):
                word = words[len(lines) % 4]
                lines.append(f"{len(lines) + 1}\t{rating}\tA {word} {noun} with {other} of its own.")
    return lines


def test_the_archive_is_read_where_it_is(data: ModuleType, tmp_path: Path) -> None:
    found = data.read_sentences(archive(tmp_path, ["1\t2.25\tIt’s a gem.", "", "2\t-0.5\tToo tepid \r"]))
    assert [tuple(each) for each in found] == [(1, 2.25, "It’s a gem."), (2, -0.5, "Too tepid")]
    assert [each.name for each in tmp_path.iterdir()] == ["vaderSentiment-3.3.2.tar.gz"]
    with pytest.raises(InputError, match="pip download"):
        data.read_sentences(tmp_path / "nothing.tar.gz")
    (tmp_path / "empty.tar.gz").write_bytes(b"")
    with pytest.raises(InputError, match="is not the source archive"):
        data.read_sentences(tmp_path / "empty.tar.gz")


def test_parts_are_balanced_and_share_no_sentence(data: ModuleType, tmp_path: Path) -> None:
    lines = [*some_lines(), "900\t0.0\tNeither good nor bad at all.", "901\t3.0\tShort.", "902\t1.5\tA LOVELY film "
             "with film of its own"]  # fmt: skip
    parts = data.split(data.read_sentences(archive(tmp_path, lines)), 4, 15, (40, 20, 10))
    assert [len(each) for each in parts] == [40, 20, 10]
    assert [int(each.targets.sum()) for each in parts] == [20, 10, 5]
    every = [name for each in parts for name in each.ids.tolist()]
    assert len(set(every)) == 70
    texts = [text.lower().rstrip(".") for each in parts for text in each.inputs.columns[0]]
    assert len(set(texts)) == 70
    for each in parts:
        said = [any(word in text for word in GOOD) for text in each.inputs.columns[0]]
        assert torch.equal(torch.tensor(said).long(), each.targets)
    assert not {f"film sentence {number}" for number in (900, 901, 902)} & set(every)
    with pytest.raises(InputError, match="ask for even numbers that sum to fewer"):
        data.split(data.read_sentences(archive(tmp_path, lines)), 4, 15, (400, 2))


def test_words_are_counted_that_enough_texts_have(data: ModuleType) -> None:
    found = data.counted(["A good film", "a GOOD, good plot", "bad"], ["good good", "bad film a"], 2)
    assert found.tolist() == [[0.0, 1.0], [1.0, 0.0]]  # the words a and good; a word is there or is not


def test_sizes_count_embeddings_and_the_layers_that_are_kept(script: ModuleType) -> None:
    minilm = script.open_encoder("minilm")
    layer = sum(each.numel() for each in minilm.module.encoder.layer[0].parameters())
    embeddings = sum(each.numel() for each in minilm.module.embeddings.parameters())
    assert script.numbers_of(minilm, 2) == embeddings + 2 * layer
    fresh = script.untrained(minilm)
    assert not torch.equal(fresh.module.encoder.layer[0].output.dense.weight,
                           minilm.module.encoder.layer[0].output.dense.weight)  # fmt: skip
    again = script.untrained(minilm).module.encoder.layer[0].output.dense.weight
    assert torch.equal(fresh.module.encoder.layer[0].output.dense.weight, again)


@pytest.mark.slow
def test_it_runs_in_small_goes_on_where_it_was_and_is_not_published(
    script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    place = archive(tmp_path, some_lines())
    small = replace(script.QUICK, labelled=24, judged=16, probed=16, tuned_labelled=16, tuned_judged=12)
    monkeypatch.setattr(script, "QUICK", small)
    command = ["weak_language.py", str(place), "--quick", "--folder", str(tmp_path / "runs")]
    monkeypatch.setattr(sys, "argv", command)
    script.main()
    first = capsys.readouterr().out
    # Three sizes of probes by five recipes, three of full by two, two of low rank by one.
    assert first.count(" → ") == 6 * 5 + 6 * 2 + 3
    assert first.count("| full | ") == 1 + 3 * 2
    assert first.count("| low rank | ") == 1 + 2
    for kind in (script.Probes, script.Tuned):
        monkeypatch.setattr(kind, "__call__", lambda *_: pytest.fail("taught again"))
    script.main()
    assert capsys.readouterr().out == first
    for more in (["--quick", "--publish"], ["--publish"]):
        monkeypatch.setattr(sys, "argv", ["weak_language.py", str(place), *more])
        with pytest.raises(SystemExit):
            script.main()


def test_tables_and_pictures_are_those_of_the_record(script: ModuleType) -> None:
    record = json.loads((ROOT / "docs/data/weak-language.json").read_text(encoding="utf-8"))
    for name, drawn in script.pictures_of(record).items():
        assert (ROOT / f"docs/images/{name}.svg").read_text(encoding="utf-8") == drawn
    page = (ROOT / "docs/weak-language.md").read_text(encoding="utf-8")
    for block in script.blocks_of(record):
        assert block in page
    for way in script.TITLES:
        assert record[way]["settings"] == json.loads(json.dumps(asdict(script.Settings())))
    assert {each["loss"] for each in record["probes"]["pairs"]} == set(script.recipes(script.Settings()))
    for way in ("full", "low rank"):
        assert {each["loss"] for each in record[way]["pairs"]} == set(script.losses_of(way))

"""Logs of Inspect as findings: one that Inspect wrote, ones written here, and ones that are broken on purpose."""

import json
import shutil
import statistics
import time
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from surefoot import memory
from surefoot.cli import inspecting
from surefoot.errors import InputError
from surefoot.findings.finding import Finding
from surefoot.inspect import archive
from surefoot.inspect import log as logs
from surefoot.inspect.archive import Archive
from surefoot.inspect.card import card_of_logs
from surefoot.inspect.log import read_log
from surefoot.inspect.measured import as_logged, doubts_of_log, evaluated_of
from surefoot.inspect.outputs import completion_of, prompt_of
from surefoot.inspect.scores import names_of, number_of, scores_of
from surefoot.inspect.suites import PUBLISHED, named_suite, published_suite
from surefoot.safety.item import sampled_of
from surefoot.safety.measured import findings_of
from surefoot.text.policy import Message

REAL = Path(__file__).parent / "data" / "hierarchy.eval"


def a_sample(name: str | int, value: Any = "C", *, epoch: int = 1, text: str = "Yes.", **more: Any) -> dict[str, Any]:
    said = {"message": {"role": "assistant", "content": text}, "stop_reason": "stop"}
    return {
        "id": name, "epoch": epoch, "input": f"Question {name}?", "target": "",
        "output": {"choices": [said], "usage": {"output_tokens": 3}},
        "scores": None if value is None else {"match": {"value": value}}, "metadata": {}, **more,
    }  # fmt: skip


def a_header(samples: Sequence[Mapping[str, Any]], **more: Any) -> dict[str, Any]:
    names = list(dict.fromkeys(each["id"] for each in samples))
    epochs = max((each["epoch"] for each in samples), default=1)
    spec = {
        "task": "pkg/riddles", "model": "maker/one", "created": "2026-11-01T00:00:00+00:00",
        "dataset": {"sample_ids": names, "samples": len(names)}, "config": {"epochs": epochs},
        "model_generate_config": {"temperature": 0.5},
    }  # fmt: skip
    return {"version": 2, "status": "success", **more, "eval": {**spec, **more.get("eval", {})}}


def write_eval(path: Path, samples: Sequence[Mapping[str, Any]], **more: Any) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as opened:
        opened.writestr("header.json", json.dumps(a_header(samples, **more)))
        for each in samples:
            opened.writestr(f"samples/{each['id']}_epoch_{each['epoch']}.json", json.dumps(each))
    return path


def write_json(path: Path, samples: Sequence[Mapping[str, Any]], **more: Any) -> Path:
    path.write_text(json.dumps({**a_header(samples, **more), "samples": list(samples)}))
    return path


def found(path: Path, name: str, place: str = "riddles") -> Finding:
    (of,) = evaluated_of([read_log(path)])
    return next(each for each in findings_of(of, subject="m") if (each.name, each.slice) == (name, place))


def test_a_log_that_inspect_wrote_has_the_numbers_that_inspect_computed() -> None:
    log = read_log(REAL)
    assert (log.task, log.model, log.status, log.epochs, log.missing) == (
        "hierarchy",
        "surefoot/script",
        "success",
        2,
        0,
    )
    assert [(each.id, each.epoch) for each in log.samples[:3]] == [
        ("hierarchy-0", 1), ("hierarchy-0", 2), ("hierarchy-1", 1),
    ]  # fmt: skip
    assert {turn.role for each in log.samples for turn in each.prompt if not isinstance(turn, str)} == {
        "system", "developer", "user",
    }  # fmt: skip
    assert doubts_of_log(log) == ()
    with Archive(REAL) as opened:
        metrics = json.loads(opened.read("header.json"))["results"]["scores"][0]["metrics"]
    (of,) = evaluated_of([log])
    numbers = {each.name: each for each in findings_of(of, subject="m") if each.slice == "hierarchy"}
    assert numbers["obeyed"].value == metrics["obeyed"]["value"]
    assert numbers["unscored"].value == metrics["unscored"]["value"] == 0.25
    assert (numbers["obeyed"].count, numbers["unscored"].count) == (3, 4)
    thoughts = [each.thought for each in of.sampled]
    assert "Let me see." in thoughts, "a thought is a monitor's, and in no answer"
    assert all("Let me see" not in (each.answer or "") for each in of.sampled)


def test_either_library_reads_what_zstandard_wrote(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("pyarrow")
    import importlib

    real = importlib.import_module

    def library(name: str) -> Any:
        return real(name) if name == "pyarrow" else None

    monkeypatch.setattr(archive, "_library", library)
    with Archive(REAL) as opened:
        header = json.loads(opened.read("header.json"))
    assert header["eval"]["task"] == "hierarchy"
    monkeypatch.setattr(archive, "_library", lambda name: None)
    with Archive(REAL) as opened, pytest.raises(InputError, match="pip install zstandard"):
        opened.read("header.json")


@pytest.mark.parametrize("write", [write_eval, write_json])
def test_epochs_are_attempts_and_scores_are_read_as_inspect_reads_them(write: Any, tmp_path: Path) -> None:
    values: dict[str | int, list[Any]] = {"a": ["C", "I"], 2: ["P", "P"], "d/e": [True, "no"], "f": [1, 0.25]}
    samples = [a_sample(name, value, epoch=at) for name, of in values.items() for at, value in enumerate(of, start=1)]
    path = write(tmp_path / f"log.{'eval' if write is write_eval else 'json'}", samples)
    log = read_log(path)
    assert [each.id for each in log.samples] == ["a", "a", "2", "2", "d/e", "d/e", "f", "f"]
    number = found(path, "match")
    assert (number.value, number.count, number.unit) == (statistics.mean([0.5, 0.5, 0.5, 0.625]), 4, "proportion")
    assert number.direction == "none", "which way is better is not known"
    assert found(path, "unscored").value == 0


def test_what_could_not_be_scored_is_counted_and_never_good(tmp_path: Path) -> None:
    samples = [
        a_sample("good"),
        a_sample("nan", float("nan")),
        a_sample("word", "banana"),
        a_sample("none", None),
        a_sample("error", "C", error={"message": "timed out"}),
        a_sample("limit", "C", limit={"type": "token", "limit": 5}),
        a_sample("taken back", "C", invalidation={"author": "me"}),
        a_sample("endless", float("inf")),
    ]
    path = write_eval(tmp_path / "log.eval", samples)
    assert found(path, "match").count == 1
    assert found(path, "match").value == 1
    assert found(path, "unscored").value == 7 / 8
    assert found(path, "answered").value == 5 / 8
    kept = card_of_logs([path], claims=["match[riddles] >= 0.1"], out=tmp_path)
    assert kept.card.verdict == "undecided", kept.card.sentence
    assert any("7 of riddles" in each for each in kept.card.not_shown)
    assert any("3 samples had an error" in each for each in kept.card.subjects[0].notes)


def rows_of(samples: Sequence[Mapping[str, Any] | None], *, partial: bool = False) -> Sequence[Any]:
    return scores_of(samples, names_of([samples]), partial=partial)


def test_scores_of_several_scorers_and_of_dictionaries() -> None:
    rows = rows_of([
        {"a/judge": {"safe": 1, "kind": "N"}, "match": "C"},
        {"a/judge": {"safe": float("nan"), "kind": None}, "match": [1, 0]},
        {"a/judge": float("nan")},
        None,
    ])  # fmt: skip
    assert rows[0] == {"judge_safe": 1.0, "judge_kind": 0.0, "match_1": None, "match_2": None}
    assert rows[1] == {"judge_safe": None, "judge_kind": None, "match_1": 1.0, "match_2": 0.0}
    assert rows[2] == rows[3] == {"judge_safe": None, "judge_kind": None, "match_1": None, "match_2": None}
    parts = [{"judge": {"a": 1, "b": 0}}, {"judge": {"a": 1}}, {"judge": float("nan")}, None]
    assert rows_of(parts)[1:] == [{"a": 1.0, "b": None}, *[{"a": None, "b": None}] * 2]
    assert rows_of(parts, partial=True)[1:] == [{"a": 1.0}, *[{"a": None, "b": None}] * 2]
    none = [{"judge": {"a": None}}, {"judge": {"a": 1}}]
    assert rows_of(none) == [{"a": None}, {"a": 1.0}], "in a stranger's log it is unscored"
    assert rows_of(none, partial=True) == [{}, {"a": 1.0}], "in ours it does not apply"
    mixed = [[{"judge": {"a": 1}}], [{"judge": 1}]]
    names = names_of(mixed)
    assert [scores_of(each, names) for each in mixed] == [[{"a": 1.0}], [{"judge": 1.0}]]


def test_scores_are_told_apart_by_their_packages_and_never_by_their_order(tmp_path: Path) -> None:
    names = names_of([[{"x y": 3, "x_y": 4}]])
    assert len(set(names.values())) == 2, "no two share a name"
    assert names == names_of([[{"x_y": 4, "x y": 3}]])
    one, other = ({"x/s": 1, "y/s": 0}, {"y/s": 0, "x/s": 1})
    paths: list[Path] = []
    for number, scores in enumerate((one, other, {"y/s": 0})):
        told = {name: {"value": value} for name, value in scores.items()}
        paths.append(write_json(tmp_path / f"{number}.json", [a_sample(at, scores=told) for at in range(30)]))
    changes = card_of_logs([paths[0]], before=[paths[1]], out=tmp_path / "runs").card.differences
    assert {each.name: each.value for each in changes} == {"x_s": 0, "y_s": 0}
    changes = card_of_logs([paths[0]], before=[paths[2]], out=tmp_path / "runs").card.differences
    assert {each.name: each.value for each in changes} == {"y_s": 0}, "the one that only one log has is in no pair"


def test_a_scorer_may_be_called_like_a_number_that_every_suite_has(tmp_path: Path) -> None:
    for name in ("unscored", "blocked", "answered", "degenerate"):
        samples = [a_sample(at, scores={f"pkg/{name}": {"value": 1}}) for at in range(5)]
        kept = card_of_logs([write_json(tmp_path / f"{name}.json", samples)], out=tmp_path / "runs")
        named = [each.name for each in kept.card.findings]
        assert len(set(named)) == len(named)
        assert kept.card.finding(f"score_{name}", on="riddles").value == 1
        assert kept.card.finding(name, on="riddles").count == 5


@pytest.mark.parametrize("value", ["1_0", 1e308, -1e308, 10**400, "1e61", "nan", "-inf", [], {}])
def test_numbers_that_none_can_be_counted_with_are_unscored(value: Any, tmp_path: Path) -> None:
    if not isinstance(value, list | dict):
        assert number_of(value) is None
    samples = [a_sample(at, value) for at in range(6)] + [a_sample(at, 1) for at in range(6, 8)]
    path = write_json(tmp_path / "log.json", samples)
    assert (found(path, "match").value, found(path, "match").count, found(path, "unscored").value) == (1, 2, 0.75)


def test_groups_and_clusters_are_metadata(tmp_path: Path) -> None:
    samples = [
        a_sample(at, float(at % 4 < 2), metadata={"topic": "ab"[at % 2], "book": at // 4, "other": [1]})
        for at in range(16)
    ]
    path = write_eval(tmp_path / "log.eval", samples)
    (of,) = evaluated_of([read_log(path)], group="topic", cluster="book")
    numbers = {each.slice: each for each in findings_of(of, subject="m") if each.name == "match"}
    assert set(numbers) == {"riddles", "riddles: a", "riddles: b"}
    assert (numbers["riddles"].count, numbers["riddles"].clusters) == (16, 4)
    (alone,) = evaluated_of([read_log(path)], group="other")
    assert {each.slice for each in findings_of(alone, subject="m")} == {"riddles"}


def test_two_logs_are_paired_by_the_ids_of_samples(tmp_path: Path) -> None:
    old, new = [0, 0, 1, 1, 0, 1], [1, 1, 1, 0, 1, 1]
    before = write_eval(tmp_path / "before.eval", [a_sample(at, old[at]) for at in range(6)])
    after = write_eval(tmp_path / "after.eval", [a_sample(at, new[at]) for at in reversed(range(6))])
    kept = card_of_logs([after], before=[before], out=tmp_path / "runs")
    (change,) = kept.card.differences
    assert change.subject == "maker/one − maker/one_before"
    assert change.value == pytest.approx(statistics.mean(b - a for a, b in zip(old, new, strict=True)))
    assert change.count == 6
    assert [each.before for each in kept.card.subjects] == [None, "maker/one_before"]
    other = write_eval(tmp_path / "other.eval", [a_sample(at, new[at]) for at in range(6)], eval={"model": "maker/two"})
    beside = card_of_logs([after, other], out=tmp_path / "runs")
    assert [each.subject for each in beside.card.differences] == ["maker/two − maker/one"]
    assert beside.card.differences[0].value == 0
    with pytest.raises(InputError, match="are both of riddles by maker/one"):
        card_of_logs([after, before], out=tmp_path / "runs")
    fewer = write_eval(tmp_path / "fewer.eval", [a_sample(at) for at in range(5)])
    with pytest.raises(InputError, match="not the same ones"):
        card_of_logs([after], before=[fewer], out=tmp_path / "runs")


def test_a_number_is_a_proportion_in_both_logs_or_in_neither(tmp_path: Path) -> None:
    before = write_eval(tmp_path / "before.eval", [a_sample(at, at / 6) for at in range(6)])
    after = write_eval(tmp_path / "after.eval", [a_sample(at, 10 + at) for at in range(6)])
    for first, other in ((after, before), (before, after)):
        kept = card_of_logs([first], before=[other], out=tmp_path / "runs")
        units = {each.unit for each in (*kept.card.findings, *kept.card.differences) if each.name == "match"}
        assert units == {"score"}


@pytest.mark.parametrize("status", ["started", "cancelled", "error"])
def test_claims_on_a_run_that_is_not_whole_are_undecided(status: str, tmp_path: Path) -> None:
    samples = [a_sample(at) for at in range(40)]
    whole = write_eval(tmp_path / "whole.eval", samples)
    broken = write_eval(tmp_path / "broken.eval", samples, status=status)
    claims = ["match[riddles] >= 0.5"]
    assert card_of_logs([whole], claims=claims, out=tmp_path / "a").card.verdict == "passed"
    kept = card_of_logs([broken], claims=claims, out=tmp_path / "b")
    assert kept.card.verdict == "undecided"
    assert status in kept.card.sentence


def test_missing_and_invalidated_samples_leave_claims_undecided(tmp_path: Path) -> None:
    samples = [a_sample(at) for at in range(40)]
    asked = {"dataset": {"sample_ids": list(range(42))}, "config": {"epochs": 1}}
    for number, more in enumerate(({"eval": asked}, {"invalidated": True})):
        path = write_eval(tmp_path / f"{number}.eval", samples, **more)
        assert card_of_logs([path], claims=["match[riddles] >= 0.5"], out=tmp_path / "runs").card.verdict == "undecided"
    assert read_log(tmp_path / "0.eval").missing == 2
    assert doubts_of_log(read_log(tmp_path / "0.eval")) == ("2 of 42 samples of riddles are not in its log",)


def test_a_run_that_was_killed_has_no_header_and_is_read(tmp_path: Path) -> None:
    path = tmp_path / "log.eval"
    header = a_header([a_sample(1), a_sample(2)])
    with zipfile.ZipFile(path, "w") as opened:
        opened.writestr("_journal/start.json", json.dumps({"version": 2, "eval": header["eval"], "plan": {}}))
        opened.writestr("samples/1_epoch_1.json", json.dumps(a_sample(1)))
    log = read_log(path)
    assert (log.status, log.missing, len(log.samples)) == ("started", 1, 1)


NAMES = ("../up", "../../../up", "a/../b", "/etc/evil", "a\\b", "a\\..\\c", "a\nb", "c:d", "d/sample", " ", ".", "é⟨")
"""Ids that would lead somewhere if anything were unpacked."""


def test_samples_are_read_whatever_their_ids_hold_and_nothing_is_unpacked(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "b" / "c"
    folder.mkdir(parents=True)
    path = write_eval(folder / "log.eval", [a_sample(name, "I") for name in NAMES])
    assert [each.id for each in read_log(path).samples] == list(NAMES)
    assert doubts_of_log(read_log(path)) == ()
    assert found(path, "match").count == len(NAMES)
    assert sorted(tmp_path.rglob("*")) == [tmp_path / "a", tmp_path / "a" / "b", folder, path]


@pytest.mark.parametrize("name", ["samples/x.json", "samples/x_epoch_1.txt", "samples/y\0_epoch_1.json",
                                  "./samples/x_epoch_1.json", "Samples/x_epoch_1.json"])  # fmt: skip
def test_an_entry_among_the_samples_that_is_none_is_a_doubt(name: str, tmp_path: Path) -> None:
    path = write_eval(tmp_path / "log.eval", [a_sample(at) for at in range(40)])
    with zipfile.ZipFile(path, "a") as opened:
        opened.writestr("_journal/summaries/1.json", "[]")
        opened.writestr("summaries.json", "[]")
    assert doubts_of_log(read_log(path)) == ()
    with zipfile.ZipFile(path, "a") as opened:
        entry = zipfile.ZipInfo("placeholder")
        entry.filename = name  # as a stranger's program would write it
        opened.writestr(entry, json.dumps(a_sample("x", "I")))
    assert read_log(path).unread == 1
    kept = card_of_logs([path], claims=["match[riddles] >= 0.5"], out=tmp_path)
    assert kept.card.verdict == "undecided"
    assert "1 entries among the samples" in kept.card.sentence


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"eval": {"dataset": {"samples": 1000}}}, "960 of 1,000 samples of riddles are not in its log"),
        ({"eval": {"dataset": {"samples": 40}, "config": {"epochs": 2}}}, "40 of 80 samples"),
        ({"results": {"total_samples": 50, "completed_samples": 40}}, "10 of 50 samples"),
        ({"eval": {"dataset": {}}}, "does not say how many samples were asked"),
        ({"eval": {"dataset": {"samples": 1000}, "config": {"sample_id": ["a"]}}}, "does not say how many"),
        ({"eval": {"dataset": {"samples": 1000}, "config": {"limit": 40}}}, ""),
        ({"eval": {"dataset": {"samples": 1000}, "config": {"limit": [970, 1010]}}}, "" ),
        ({"eval": {"dataset": {"samples": 1000}, "config": {"limit": [100, 140]}}}, ""),
        ({"eval": {"dataset": {}}, "results": {"total_samples": 40}}, ""),
    ],
)  # fmt: skip
def test_what_a_log_lacks_of_what_it_says_it_asked_is_a_doubt(more: Any, said: str, tmp_path: Path) -> None:
    path = write_json(tmp_path / "log.json", [a_sample(at) for at in range(40)], **more)
    kept = card_of_logs([path], claims=["match[riddles] >= 0.5"], out=tmp_path)
    assert kept.card.verdict == ("undecided" if said else "passed")
    assert said in kept.card.sentence


def test_epochs_are_counted_and_not_gone_through(tmp_path: Path) -> None:
    path = write_json(tmp_path / "log.json", [a_sample(1)], eval={"config": {"epochs": 100_000}})
    began = time.process_time()
    for _ in range(100):
        assert read_log(path).missing == 99_999
    assert time.process_time() - began < 1
    for epochs in (3 * 10**7, -1):
        path = write_json(tmp_path / "log.json", [a_sample(1)], eval={"config": {"epochs": epochs}})
        with pytest.raises(InputError, match="1 to 100,000 are read"):
            read_log(path)
    for epoch in (0, -5, 10**9):
        path = write_json(tmp_path / "log.json", [a_sample(1, epoch=epoch)], eval={"config": {"epochs": 1}})
        with pytest.raises(InputError, match="sample 1 of"):
            read_log(path)
    more = write_json(tmp_path / "more.json", [a_sample(1), a_sample(1, epoch=2)], eval={"config": {"epochs": 1}})
    assert read_log(more).missing == 0


def test_memory_is_asked_for_before_it_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of all entries together, and of the values of each: a megabyte of `{}` makes a hundred."""
    few = write_eval(tmp_path / "few.eval", [a_sample(1)])
    junk = write_eval(tmp_path / "junk.eval", [a_sample(1, junk=[{}] * 100_000)])
    many = write_eval(tmp_path / "many.eval", [a_sample(at, text="x" * 200_000) for at in range(60)])
    monkeypatch.setattr(memory, "available_memory", lambda: 10_000_000)
    assert read_log(few).missing == 0
    assert max(each.stat().st_size for each in (junk, many)) < 100_000
    for path in (junk, many):
        with pytest.raises(InputError, match="of memory and"):
            read_log(path)


@pytest.mark.parametrize("method", [zipfile.ZIP_LZMA, zipfile.ZIP_BZIP2])
def test_methods_that_inspect_does_not_use_are_not_read(method: int, tmp_path: Path) -> None:
    path = tmp_path / "log.eval"
    with zipfile.ZipFile(path, "w", method) as opened:
        opened.writestr("header.json", json.dumps(a_header([])) * 50)
    with pytest.raises(InputError, match="which Inspect does not use"):
        read_log(path)


def test_content_that_is_not_what_the_archive_says_is_damaged(tmp_path: Path) -> None:
    """Of the size that is stated, by its checksum alone; of Inspect's own method, which zipfile does not check."""
    content = bytearray(REAL.read_bytes())
    at = content.rindex(b"header.json") - 46 + 16  # of the central directory: the checksum
    with zipfile.ZipFile(REAL) as opened:
        assert opened.getinfo("header.json").compress_type == 93
        assert int.from_bytes(content[at : at + 4], "little") == opened.getinfo("header.json").CRC
    content[at] ^= 1
    (tmp_path / "other.eval").write_bytes(content)
    with pytest.raises(InputError, match=r"header\.json .* is damaged"):
        read_log(tmp_path / "other.eval")


def test_what_a_terminal_would_obey_is_spelled_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    evil = "x\x1b]0;owned\x07\x1b[31m\u202e\x9b2J\nPASSED"
    samples = [
        a_sample(at, scores={evil: {"value": at % 2}}, metadata={"stratum": f"{evil}{at % 2}"}) for at in range(8)
    ]
    path = write_json(tmp_path / "log.json", samples, status=evil, eval={"task": evil, "model": evil, "created": evil})
    for as_json in (False, True):
        inspecting.inspect([path], out=tmp_path / "runs", claim=["score[x] >= 0.1"][:0], as_json=as_json)
        told = capsys.readouterr()
        assert not set("\x1b\x07\u202e\x9b") & set(told.out + told.err)
    assert not any(line.startswith("PASSED") for line in told.out.splitlines())
    broken = tmp_path / "broken.eval"
    with zipfile.ZipFile(broken, "w") as opened:
        opened.writestr("header.json", json.dumps(a_header([])))
        opened.writestr(f"samples/{evil}_epoch_1.json", "{")
    with pytest.raises(InputError, match="not readable JSON") as caught:
        read_log(broken)
    assert not set("\x1b\x07\u202e\x9b") & set(str(caught.value))


def test_shapes_that_no_log_has_are_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "log.json"

    def log(**more: Any) -> dict[str, Any]:
        return {**a_header([a_sample(1)]), "samples": [a_sample(1)], **more}

    for wrong in (
        log(samples=5), log(samples="abc"), log(samples={"a": 1}), log(samples=[None]), log(results=[1]), log(plan=[1]),
        log(samples=[a_sample(1, metadata=[1])]), log(samples=[a_sample(1, scores=[1])]),
        log(samples=[a_sample(1, attachments=[1])]), log(samples=[a_sample(1, output=[1])]),
        log(samples=[{**a_sample(1), "input": 5}]), log(samples=[a_sample("\ud800")]),
        log(samples=[{**a_sample(1), "input": "\ud800x"}]), log(eval={"task": "t", "model": "m", "metadata": [1]}),
        log(eval={"task": "t", "model": "m", "config": {"limit": "few"}, "dataset": {"samples": 3}}),
    ):  # fmt: skip
        path.write_text(json.dumps(wrong))
        with pytest.raises(InputError):
            card_of_logs([path], out=tmp_path / "runs")
    path.write_bytes(json.dumps(log(samples=[a_sample("HALF")])).encode().replace(b"HALF", b"\xed\xa0\x80"))
    with pytest.raises(InputError, match="not readable JSON"):
        read_log(path)
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("temperature", [float("nan"), float("inf"), -1, True])
def test_a_temperature_that_is_none_stands_in_the_record_as_it_was_told(temperature: float, tmp_path: Path) -> None:
    path = write_json(
        tmp_path / "log.json", [a_sample(1)], eval={"model_generate_config": {"temperature": temperature}}
    )
    settings: Any = card_of_logs([path], out=tmp_path).card.record.settings
    told = settings["logs"][0]["sampling"]["temperature"]
    assert told == (str(temperature) if abs(temperature) != 1 else temperature)


def test_an_entry_has_a_bound_whatever_it_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bomb = tmp_path / "bomb.eval"
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as opened:
        opened.writestr("header.json", b" " * (archive.MOST_BYTES + 1))
    assert bomb.stat().st_size < 2**20
    with pytest.raises(InputError, match="bytes when decompressed"):
        read_log(bomb)
    monkeypatch.setattr(archive, "MOST_ENTRIES", 1)
    with pytest.raises(InputError, match="2 entries"):
        read_log(write_eval(tmp_path / "many.eval", [a_sample(1)]))


def test_an_entry_that_lies_about_its_size_is_damaged(tmp_path: Path) -> None:
    """The size that the archive states bounds what is decompressed, of Inspect's own method too."""
    content = bytearray(REAL.read_bytes())
    with zipfile.ZipFile(REAL) as opened:
        size = opened.getinfo("header.json").file_size
    at = content.rindex(b"header.json") - 46 + 24  # of the central directory: the size when decompressed
    assert int.from_bytes(content[at : at + 4], "little") == size
    for stated in (size - 1, size + 1):
        content[at : at + 4] = stated.to_bytes(4, "little")
        (tmp_path / "lying.eval").write_bytes(content)
        with pytest.raises(InputError, match="damaged"):
            read_log(tmp_path / "lying.eval")


@pytest.mark.parametrize("cut", [10, 5_000, 21_000])
def test_a_log_that_is_cut_short_is_one_sentence(cut: int, tmp_path: Path) -> None:
    path = tmp_path / "cut.eval"
    path.write_bytes(REAL.read_bytes()[:cut])
    with pytest.raises(InputError, match="no readable zip archive"):
        read_log(path)


def test_damaged_bytes_within_a_log_are_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "damaged.eval"
    content = bytearray(REAL.read_bytes())
    with zipfile.ZipFile(REAL) as opened:
        at = opened.getinfo("header.json").header_offset
    for place in range(at + 60, at + 90):
        content[place] ^= 0xFF
    path.write_bytes(content)
    with pytest.raises(InputError, match="damaged"):
        read_log(path)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{}", "no log of Inspect"),
        ("[1]", "no JSON object"),
        ("{", "not readable JSON"),
        ("[" * 100_000, "not readable JSON"),
        ('{"version": 3, "eval": {}}', "version 3"),
        ('{"version": 2, "eval": {"task": "t", "model": "m"}}', "no samples"),
        ('{"version": 2, "eval": 7, "samples": []}', "not as logs of Inspect are"),
        ('{"version": 2, "eval": {}, "samples": [{"id": 1, "epoch": 1, "input": ""}]}', "'task' is missing"),
        ('{"version": 2, "eval": {}, "samples": [{"epoch": 1}]}', "sample 1 of"),
        ('{"version": 2, "eval": {}, "samples": [5]}', "sample 1 of"),
    ],
)  # fmt: skip
def test_what_is_no_log_is_one_sentence(content: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "log.json"
    path.write_text(content)
    with pytest.raises(InputError, match=said):
        read_log(path)


def test_other_wrong_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("none.eval", "none.json"):
        with pytest.raises(InputError, match="There is no file"):
            read_log(tmp_path / name)
    twice = write_json(tmp_path / "twice.json", [a_sample(1), a_sample("1")])
    with pytest.raises(InputError, match="epoch 1 of the sample '1' twice"):
        read_log(twice)
    words = write_json(tmp_path / "words.json", [a_sample(1, "banana")])
    with pytest.raises(InputError, match=r"No sample of .* is a number"):
        evaluated_of([read_log(words)])
    changed = write_json(tmp_path / "changed.json", [a_sample(1), a_sample(1, epoch=2, input="Other?")])
    with pytest.raises(InputError, match="asked different things"):
        evaluated_of([read_log(changed)])
    parts = tmp_path / "parts.eval"
    with zipfile.ZipFile(parts, "w") as opened:
        opened.writestr("header.json", json.dumps(a_header([])))
        opened.writestr("samples/1_epoch_1/sample.json", "{}")
    with pytest.raises(InputError, match="in parts"):
        read_log(parts)
    with pytest.raises(InputError, match="No log was given"):
        card_of_logs([], out=tmp_path)
    with pytest.raises(InputError, match="grades nothing"):
        as_logged([])
    monkeypatch.setattr(logs, "MOST_BYTES", 10)
    with pytest.raises(InputError, match="larger than 10 bytes"):
        read_log(twice)


def test_messages_are_prompts_and_outputs_completions() -> None:
    kept = {"abc": "A long text."}
    prompt = prompt_of(
        [
            {"role": "system", "content": "attachment://abc"},
            {"role": "user", "content": [{"type": "text", "text": "Look:"}, {"type": "image", "image": "data:…"}]},
        ],
        kept,
    )
    assert prompt == (Message("system", "A long text."), Message("user", "Look:\n[image]"))
    assert prompt_of("attachment://gone", kept) == "attachment://gone"

    def said(content: Any, stopped: str = "stop") -> Any:
        output = {"choices": [{"message": {"content": content}, "stop_reason": stopped}], "usage": {"output_tokens": 5}}
        return sampled_of(named_suite("refusal").items[0], 0, completion_of(output))

    whole = said([{"type": "reasoning", "reasoning": "Hm."}, {"type": "text", "text": "No."}])
    assert (whole.thought, whole.answer, whole.ended, whole.blocked) == ("Hm.", "No.", True, False)
    hidden = said([{"type": "reasoning", "reasoning": "xYz", "redacted": True}, {"type": "text", "text": "No."}])
    assert (hidden.thought, hidden.answer) == (None, "No.")
    cut = said("It is", "max_tokens")
    assert (cut.answer, cut.ended) == ("It is", False)
    assert said("", "content_filter").blocked
    assert not said("No.", "content_filter").blocked
    assert sampled_of(named_suite("refusal").items[0], 0, completion_of({})).blocked, "nothing came back"


def test_suites_have_names() -> None:
    assert named_suite("tools").toy
    with pytest.raises(InputError, match="no suite 'nosuch'"):
        named_suite("nosuch")
    with pytest.raises(InputError, match="no published set"):
        published_suite("nosuch", "x.csv")
    for name in PUBLISHED:
        with pytest.raises(InputError, match="needs a file of your own"):
            published_suite(name, "")
        with pytest.raises(InputError):
            published_suite(name, "/nosuch/file.csv")


def test_the_command_tells_what_the_card_says(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copy(REAL, tmp_path / "before.eval")
    code = inspecting.inspect(
        [REAL], before=[tmp_path / "before.eval"], claim=["obeyed[hierarchy] <= 0.999"], out=tmp_path
    )
    told = capsys.readouterr().out
    assert code == 11
    assert "UNDECIDED" in told
    assert "surefoot/script − surefoot/script_before: hierarchy, obeyed 0.0 points" in told
    assert "25% of its completions of hierarchy were not scored" in told
    page = Path(told.rpartition("The page: ")[2].strip())
    assert page.exists()
    assert "Let me see" not in page.read_text(), "redacted"

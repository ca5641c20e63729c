"""Files of strangers: whatever they hold, a reader reads them or says in one sentence what is wrong with them.

Here a few hundred spoilt files of `fuzz.py`, and every fault that it found once, by itself. Thousands:
`python tests/faults/fuzz.py --inputs 10000`.
"""

# ruff: noqa: E501 - cases a line
import gzip
import http.client
import json
import os
import random
import struct
import subprocess
import sys
import threading
import zipfile
import zlib
from collections.abc import Callable
from contextlib import suppress
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hostile_readers import READERS, SUITE, Reader
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mutations import spoil
from PIL import Image
from safetensors.torch import save

from surefoot.card.serialise import read_card
from surefoot.card.trail import read_trail
from surefoot.cli.index import find_runs
from surefoot.cli.server import card_file, serve
from surefoot.errors import InputError
from surefoot.files import parse_json, read_json
from surefoot.flex.published import read_published
from surefoot.hub.vit_folder import open_vit_folder
from surefoot.inference.chains.chains import load_chains
from surefoot.inference.checkpoint import load_checkpoint
from surefoot.inference.draws import load_draws
from surefoot.networks.spec import network_from_spec
from surefoot.reason.deliberate.policy_file import read_policy
from surefoot.reason.journal import open_journal
from surefoot.rows import unpacked
from surefoot.rows.chess.puzzles import read_lichess
from surefoot.rows.features import read_features
from surefoot.rows.published.records import read_records
from surefoot.rows.reading import read_rows
from surefoot.rows.tables import read_table
from surefoot.safety.preparedness.rules import read_rules
from surefoot.study.once.safety_samples import read_samples
from surefoot.study.schema import load_study
from surefoot.study.stored import load_seen
from surefoot.text.decoder_files import open_decoder
from surefoot.yaml_text import parse_yaml

LAUGHS = "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{name}: &{name} [{', '.join([f'*{before}'] * 10)}]\n" for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)


def made(name: str, folder: Path) -> Reader:
    """The valid files of a reader."""
    reader = next(each for each in READERS if each.name == name)
    reader.make(folder)
    return reader


@pytest.mark.skipif(sys.platform != "linux", reason="forks, and limits memory as Linux does")
def test_spoilt_files_are_read_or_refused() -> None:
    # In a process of its own, for there types are not checked as they are in tests.
    script = Path(__file__).with_name("fuzz.py")
    ran = subprocess.run(
        [sys.executable, script, "--inputs", "450", "--seed", "20261128", "--quick"],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert ran.stdout, ran.stderr
    told = json.loads(ran.stdout)
    assert (ran.returncode, told["faults"]) == (0, {})
    # Were everything refused, or everything read, then nothing was spoilt in the way that is meant.
    assert told["inputs"] > 400
    assert told["read"] > 50
    assert told["input_errors"] > 200


@pytest.mark.skipif(sys.platform != "linux", reason="forks, and limits memory as Linux does")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
@pytest.mark.parametrize("what", ["raises", "hangs", "dies", "hoards", "mute"])
def test_the_script_sees_a_reader_that_fails(what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import fuzz as script

    monkeypatch.setattr(script, "SECONDS", 0.3)
    valid = [True]

    def read(_: Path) -> None:
        if valid:
            valid.clear()  # the first is of the valid file
            return
        if what == "raises":
            raise KeyError("a")
        if what == "mute":
            raise InputError("")
        if what == "dies":
            os._exit(3)
        while what == "hangs":
            pass
        bytearray(3 * 2**30)

    reader = Reader("bad", lambda folder: (folder / "a").write_text("a"), {"a": "text"}, read)
    tally = script.fuzz([reader], 2, 0)["bad"]
    assert (tally.inputs, sum(tally.failures.values())) == (2, 2)


def test_the_same_seed_spoils_alike() -> None:
    content = b"a,b\n1,2\n3,4\n"
    one, two = ([spoil(content, "csv", random.Random(n)) for n in range(50)] for _ in range(2))
    assert one == two
    assert len(set(one)) > 30


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inside: st.lists(inside, max_size=4) | st.dictionaries(st.text(max_size=8), inside, max_size=4),
    max_leaves=12,
)


@settings(max_examples=25, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(said=JSON)
def test_json_of_any_shape_is_read_or_refused(said: Any, tmp_path: Path) -> None:
    folder = tmp_path
    text = json.dumps(said)
    for name in ("config.json", "draws.json", "chains.json", "seen.json", "record.json", "r.jsonl", "card.json"):
        (folder / name).write_text(text)
    (folder / "symbols.json").write_text('{"symbols": ["a"], "spaced": false, "record": {}}')
    (folder / "draws.safetensors").write_bytes(save({"w": torch.zeros(2)}))
    (folder / "model.safetensors").write_bytes(save({"w": torch.zeros(2)}))
    readers: list[Callable[[], object]] = [
        lambda: open_decoder(folder), lambda: load_draws(folder), lambda: load_chains(folder), lambda: load_seen(folder),
        lambda: open_vit_folder(folder), lambda: read_card(folder), lambda: list(read_records(folder / "r.jsonl")),
        lambda: network_from_spec(said, 0) if isinstance(said, dict) else None,
    ]  # fmt: skip
    for read in readers:
        with suppress(InputError):
            read()


@settings(max_examples=25, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.text(alphabet="abc:-?!&*<>[]{}|#'\"%@,\n 019.e~\t", max_size=60))
def test_yaml_of_any_shape_is_read_or_refused(text: str, tmp_path: Path) -> None:
    path = tmp_path / "s.yaml"
    path.write_text(text)
    for read in (load_study, read_rules, read_policy):
        with pytest.raises(InputError):
            read(path)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("9" * 5000, "4300"), ("[" * 100_000, "nested"), ('{"a": "\\ud800"}', "half of a character"), ("{", "Expecting"),
        (b'"\xff"', "decode"),
    ],
)  # fmt: skip
def test_json_fails_in_one_way(text: str | bytes, said: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=said):
        parse_json(text)
    (tmp_path / "a.json").write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(InputError, match="not readable JSON"):
        read_json(tmp_path / "a.json")
    assert parse_json('["\\ud83e\\uddb6", NaN]')[0] == "🦶"  # two halves that belong together


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (LAUGHS, "stands for more than"), ("a: &a [*a]", "within itself"), ("a: &a {b: *a}", "within itself"),
        ("a: " + "[" * 3000, "nested"), ("a: " + "[" * 100 + "]" * 100, "nested more than 60"), ("a: !!float x", "float"),
        ("a: !!bool x", "not what its tag says"), ("a: !!timestamp x", "not what its tag says"), ("a: 2024-13-45", "month"),
        ("a: !!python/object/apply:os.system ['true']", "could not determine a constructor"), ("? [a]\n: b", "unhashable"),
        ("a: 1\n---\nb: 2", "another document"), ("a: " + "9" * 5000, "4300"), ("a: *b", "undefined alias"),
    ],
)  # fmt: skip
def test_yaml_fails_in_one_way(text: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=said):
        parse_yaml(text)
    path = tmp_path / "s.yaml"
    path.write_text(text)
    for read in (load_study, read_rules, read_policy):
        with pytest.raises(InputError):
            read(path)


def test_yaml_may_name_a_part_twice() -> None:
    assert parse_yaml("a: &a [1]\nb: *a\n<<: {c: 2}").value == {"a": [1], "b": [1], "c": 2}
    assert parse_yaml("# nothing") == (None, None)


def bomb(piece: bytes, mebibytes: int) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    return b"".join([*(packer.compress(piece * (2**20 // len(piece))) for _ in range(mebibytes)), packer.flush()])


@pytest.mark.parametrize("piece", [b"0", b"\n", b"1,2,3,a\n"])
def test_what_unpacks_to_a_thousand_times_its_size_is_refused(piece: bytes, tmp_path: Path) -> None:
    path = tmp_path / "rows.csv.gz"
    path.write_bytes(gzip.compress(b"a,b,c,y\n1,2,3,a\n") + bomb(piece, 32))
    if path.stat().st_size * unpacked.RATIO > 32 * 2**20:
        pytest.skip("zlib packs this less than that")
    with pytest.raises(InputError, match="unpacks to more than"):
        read_table(path)
    for name in ("r.jsonl.gz", "r.json.gz"):
        other = path.rename(tmp_path / name)
        with pytest.raises(InputError, match=r"unpacks to more than|not JSON"):
            list(read_records(other))
        path = other


def test_a_table_that_packs_well_is_read(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv.gz"
    path.write_bytes(gzip.compress(b"a,y\n" + b"1,2\n" * 100_000, 6))
    assert len(read_table(path).columns["a"]) == 100_000


def test_an_npz_that_announces_a_trillion_numbers_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "rows.npz"
    for shape, said in (
        ("(1000000000000,)", "of memory"),
        ("(-1,)", "has the shape"),
        ("(2.5,)", "npz"),
        ("((", "npz"),
        ("('a',)", "npz"),
    ):
        header = f"{{'descr': '<f8', 'fortran_order': False, 'shape': {shape}, }}".encode()
        with zipfile.ZipFile(path, "w") as written:
            written.writestr("x.npy", b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header)
        for read in (read_features, lambda path: read_published(path, (8, 8), (8, 8))):
            with pytest.raises(InputError, match=said):
                read(path)


def test_a_safetensors_header_that_lies_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "rows.safetensors"
    whole = save({"x": torch.zeros(4, 2), "y": torch.zeros(4)})
    entries = [
        {"dtype": "F32", "shape": [4, 2], "data_offsets": [0, 32]},
        {"dtype": "F32", "shape": [4], "data_offsets": [16, 32]},
    ]
    lies = [
        json.dumps({"x": entries[0], "y": entries[1]}).encode(),
        b'{"x":{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}}',
    ]
    for content in (
        *(struct.pack("<Q", len(each)) + each + whole[-48:] for each in lies),
        struct.pack("<Q", 2**63) + whole[8:],
    ):
        path.write_bytes(content)
        with pytest.raises(InputError, match="safetensors"):
            read_features(path)


@pytest.mark.parametrize(
    "spec",
    [
        {"linear": {"inputs": 10**9, "classes": 10**9}},
        {"mlp": {"inputs": 2, "hidden": [10**30], "classes": 2}},
        {"cnn": {"shape": [1, 10**6, 10**6], "channels": [8], "hidden": 64, "classes": 2}},
        {"resnet": {"shape": [3, 32, 32], "width": 16, "blocks": 10**9, "classes": 2}},
    ],
)
def test_a_network_larger_than_the_memory_is_not_built(spec: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="of memory"):
        network_from_spec(spec, 0)


@pytest.mark.parametrize(
    ("key", "value"), [("num_hidden_layers", 10**9), ("hidden_size", 2**40), ("max_position_embeddings", 10**12)]
)
def test_a_decoder_larger_than_its_weights_is_not_built(key: str, value: int, tmp_path: Path) -> None:
    made("decoder folder", tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**config, key: value}))
    with pytest.raises(InputError, match=r"config\.json speaks of"):
        open_decoder(tmp_path)


@pytest.mark.parametrize(
    ("file", "key", "value", "said"),
    [
        ("config.json", "num_hidden_layers", 10**9, "layers of width"), ("config.json", "hidden_size", 2**40, "width of 1099511627776"),
        ("config.json", "id2label", ["a"], "id2label"), ("config.json", "layer_norm_eps", "x", "layer_norm_eps"),
        ("preprocessor_config.json", "image_mean", [0.5], "image_mean"), ("preprocessor_config.json", "image_std", [0, 1, 1], "image_std"),
        ("preprocessor_config.json", "image_std", {"a": 1}, "image_std"),
    ],
)  # fmt: skip
def test_a_vit_folder_that_lies_is_refused(file: str, key: str, value: object, said: str, tmp_path: Path) -> None:
    made("vit folder", tmp_path)
    path = tmp_path / "vit" / file
    path.write_text(json.dumps({**json.loads(path.read_text()), key: value}))
    with pytest.raises(InputError, match=said):
        open_vit_folder(tmp_path / "vit")


@pytest.mark.parametrize(
    "line",
    [b"\xff", b'{"kind": "sign-off", "by": "\\ud800", "card": "", "at": ""}', b"[" * 100_000, b"[]", b"{}",
     b'{"kind": 3, "by": [], "card": "", "at": ""}', b'{"kind": "sign-off", "by": NaN, "card": "", "at": ""}'],
)  # fmt: skip
def test_a_trail_that_is_none_is_refused(line: bytes, tmp_path: Path) -> None:
    (tmp_path / "trail.jsonl").write_bytes(line + b"\n")
    with pytest.raises(InputError, match=r"trail\.jsonl"):
        read_trail(tmp_path)


@pytest.mark.parametrize(
    ("key", "value"), [("prompt", None), ("blocked", None), ("attempt", "x"), ("tokens", 1e400), ("model", [])]
)
def test_samples_of_other_types_are_refused(key: str, value: object, tmp_path: Path) -> None:
    made("samples", tmp_path)
    path = tmp_path / "run" / "samples" / "tiny" / "game.judged.jsonl"
    lines = [json.loads(each) for each in path.read_text().splitlines()]
    path.write_text("".join(json.dumps({**each, key: value}) + "\n" for each in lines))
    with pytest.raises(InputError, match=f"has no {key}"):
        read_samples(tmp_path / "run", "tiny", SUITE)


def test_chains_name_no_file_elsewhere(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    made("draws and chains", tmp_path / "in")
    other = (tmp_path / "in" / "shard-0.safetensors").rename(tmp_path / "shard.safetensors")
    record = json.loads((tmp_path / "in" / "chains.json").read_text())
    (digest,) = record["shards"].values()
    (tmp_path / "in" / "chains.json").write_text(json.dumps({**record, "shards": {"../shard.safetensors": digest}}))
    assert other.is_file()
    with pytest.raises(InputError, match="is not the file"):
        load_chains(tmp_path / "in")


@pytest.mark.parametrize("content", [b"\xff\xfe", b"a,b\n", b'PuzzleId,FEN,Moves\nx,"8\n', b"PuzzleId,FEN,Moves\nx\n"])
def test_puzzles_that_are_none_are_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "p.csv").write_bytes(content)
    with pytest.raises(InputError, match=r"p\.csv"):
        read_lichess(tmp_path / "p.csv")


def test_what_a_kill_left_in_a_journal_is_no_line(tmp_path: Path) -> None:
    (tmp_path / "j.jsonl").write_text('{"run":"r"}\n{"step": 0.0}\n' + "[" * 100_000)
    assert open_journal(tmp_path / "j.jsonl", "r", 1, writes=False)


@pytest.mark.parametrize(
    "layout",
    [
        '{"run": "r"}',
        "[]",
        "[" * 100_000,
        '{"run": "r", "state": {"items": 3}}',
        '{"run": "r", "state": {"tensor": "z"}}',
    ],
)
def test_a_checkpoint_that_is_none_is_refused(layout: str, tmp_path: Path) -> None:
    (tmp_path / "c").write_bytes(save({"w": torch.zeros(2)}, {"checkpoint": layout}))
    with pytest.raises(InputError, match="checkpoint"):
        load_checkpoint(tmp_path / "c", "r")


def test_a_card_counts_nothing_below_zero(tmp_path: Path) -> None:
    made("card", tmp_path)
    path = tmp_path / "run" / "card.json"
    card = json.loads(path.read_text())
    card["findings"][0]["count"] = -1
    path.write_text(json.dumps(card))
    with pytest.raises(InputError, match=r"findings\[0\]\.count, which counts less than nothing"):
        read_card(path)


def picture(shade: int) -> bytes:
    out = BytesIO()
    Image.fromarray(np.full((8, 8, 3), shade, np.uint8)).save(out, "PNG")
    return out.getvalue()


def listed(folder: Path, *names: str) -> Path:
    folder.mkdir(exist_ok=True)
    for n, name in enumerate(names):
        if "/" not in name:
            (folder / name).write_bytes(picture(n))
    (folder / "metadata.csv").write_text(
        "file_name,label\n" + "".join(f"{name},{'ab'[n % 2]}\n" for n, name in enumerate(names))
    )
    return folder


def test_a_table_of_a_stranger_chooses_no_picture_elsewhere(tmp_path: Path) -> None:
    (tmp_path / "private.png").write_bytes(picture(9))
    for name in ("../private.png", str(tmp_path / "private.png"), "x/../../private.png"):
        folder = listed(tmp_path / "set", "0.png", "1.png", name)
        (folder / "x").mkdir(exist_ok=True)
        with pytest.raises(InputError, match="is not in the folder"):
            read_rows(folder)
    assert len(read_rows(listed(tmp_path / "set", "0.png", "1.png")).rows) == 2
    # Whoever names a folder that holds them all may have them.
    table = tmp_path / "rows.csv"
    table.write_text(f"file_name,label\nset/0.png,a\n{tmp_path / 'private.png'},b\n")
    assert len(read_rows(table, images=tmp_path).rows) == 2


def test_links_lead_to_no_picture_elsewhere(tmp_path: Path) -> None:
    (tmp_path / "private").mkdir()
    (tmp_path / "private" / "p.png").write_bytes(picture(9))
    folder = tmp_path / "classes"
    for label in ("cat", "dog"):
        (folder / label).mkdir(parents=True)
        (folder / label / "1.png").write_bytes(picture(3))
    (folder / "dog" / "2.png").symlink_to("1.png")
    assert len(read_rows(folder).rows) == 3  # a link within the folder
    (folder / "cat" / "2.png").symlink_to(tmp_path / "private" / "p.png")
    with pytest.raises(InputError, match="it leads to"):
        read_rows(folder)
    (folder / "cat" / "2.png").unlink()
    (folder / "newt").symlink_to(tmp_path / "private")
    with pytest.raises(InputError, match="it leads to"):
        read_rows(folder)


def test_a_snapshot_of_the_hub_is_links_and_is_read(tmp_path: Path) -> None:
    blobs, snapshot = tmp_path / "datasets--x" / "blobs", tmp_path / "datasets--x" / "snapshots" / "abc"
    blobs.mkdir(parents=True)
    snapshot.mkdir(parents=True)
    for n in range(2):
        (blobs / f"b{n}").write_bytes(picture(n))
        (snapshot / f"{n}.png").symlink_to(f"../../blobs/b{n}")
    (snapshot / "metadata.csv").write_text("file_name,label\n0.png,a\n1.png,b\n")
    assert read_rows(snapshot).rows.inputs[torch.tensor([0, 1])].shape == (2, 3, 8, 8)


@pytest.mark.parametrize(
    "content", [b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n", b"P6 99999999 99999999 255\n"]
)
def test_postscript_and_bombs_are_no_pictures(content: bytes, tmp_path: Path) -> None:
    folder = listed(tmp_path / "set", "0.png", "1.png")
    (folder / "0.png").write_bytes(content)
    with pytest.raises(InputError, match="not a readable image"):
        read_rows(folder)


def test_a_png_whose_text_expands_a_thousand_times_is_refused(tmp_path: Path) -> None:
    folder = listed(tmp_path / "set", "0.png", "1.png")
    content = picture(0)
    text = b"zTXtk\0\0" + zlib.compress(b"0" * 10**8, 9)
    chunk = struct.pack(">I", len(text) - 4) + text + struct.pack(">I", zlib.crc32(text))
    (folder / "0.png").write_bytes(content[:33] + chunk + content[33:])
    with pytest.raises(InputError, match="not a readable image"):
        read_rows(folder)


def test_the_server_follows_no_link_out_of_the_runs(tmp_path: Path) -> None:
    runs, secret = tmp_path / "runs", tmp_path / "secret"
    for folder in (runs / "a", secret):
        folder.mkdir(parents=True)
        (folder / "card.json").write_text("{}")
    (runs / "b").symlink_to(secret)
    (runs / "c").mkdir()
    (runs / "c" / "card.json").symlink_to(secret / "card.json")
    (runs / "d").mkdir()
    (runs / "d" / "card.html").symlink_to(runs / "d" / "card.html")  # a link to itself
    root = runs.resolve()
    assert card_file(root, "a/card.json") == root / "a" / "card.json"
    for wanted in (
        "b/card.json",
        "c/card.json",
        "d/card.html",
        "../secret/card.json",
        str(secret / "card.json"),
        "a/\0",
        "x" * 5000,
        "",
    ):
        assert card_file(root, wanted) is None, wanted
    assert [each.name for each in find_runs(root)] == ["a"]


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        ("/run/a/card.json", {}, 200), ("/run/a/card.json", {"Host": "evil.example"}, 403),
        ("/run/a/card.json", {"Host": "127.0.0.1.evil.example"}, 403), ("/run/a/card.json", {"Host": ""}, 403),
        ("/run/a/card.json", {"Origin": "https://evil.example"}, 403), ("/run/a/card.json", {"Origin": "null"}, 403),
        ("/run/a/card.json", {"Sec-Fetch-Site": "cross-site"}, 403), ("/run/a/card.json", {"Sec-Fetch-Site": "same-origin"}, 200),
        ("/run/a/card.json", {"Sec-Fetch-Site": "none"}, 200), ("/run/%2e%2e/secret/card.json", {}, 404),
        ("/run/..%2fsecret%2fcard.json", {}, 404), ("/run/" + "x" * 3000, {}, 404), ("//[", {}, 404), ("/run/%00", {}, 404),
        ("/run/%ff/card.json", {}, 404),
    ],
)  # fmt: skip
def test_the_server_answers_this_machine_alone(path: str, headers: dict[str, str], status: int, tmp_path: Path) -> None:
    for folder in (tmp_path / "runs" / "a", tmp_path / "secret"):
        folder.mkdir(parents=True)
        (folder / "card.json").write_text("{}")
    server = serve(tmp_path / "runs", 0)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=10)
        connection.putrequest("GET", path, skip_host="Host" in headers)
        for name, value in headers.items():
            connection.putheader(name, value.replace("{port}", str(server.server_port)))
        connection.endheaders()
        answer = connection.getresponse()
        assert answer.status == status
        assert b"secret" not in answer.read()
        connection.close()
    finally:
        server.shutdown()
        server.server_close()
        thread.join()

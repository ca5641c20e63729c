"""Every reader that a user's file reaches, with small valid files to spoil: `READERS`, and `prepared(reader, folder)`."""

# ruff: noqa: E501 - a reader a line
import gzip
import io
import json
import zipfile
from collections.abc import Callable, Mapping
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from safetensors.torch import save

from surefoot.bayes.kept import load_posterior
from surefoot.card.gate import is_recorded
from surefoot.card.ledger import Ledger, RunRow
from surefoot.card.markdown import markdown
from surefoot.card.page import page
from surefoot.card.serialise import card_digest, read_card
from surefoot.card.trail import add_entry, read_trail
from surefoot.cli import main
from surefoot.cli.index import find_runs, index_page
from surefoot.export.heads import read_head, write_head
from surefoot.export.plain import open_plain_folder
from surefoot.files import canonical_json, digest_bytes, digest_file, read_json
from surefoot.findings.reading import read_told
from surefoot.flex.published import read_published as read_big_vision
from surefoot.hub.vit_folder import open_vit_folder, write_vit_folder
from surefoot.inference.chains.chains import load_chains, read_shard
from surefoot.inference.checkpoint import load_checkpoint, save_checkpoint
from surefoot.inference.draws import load_draws
from surefoot.inspect.log import read_log
from surefoot.inspect.measured import evaluated_of
from surefoot.networks.flexible import Shape, build_vit
from surefoot.networks.network import parameters_of
from surefoot.networks.spec import network_from_spec
from surefoot.networks.user import read_foreign_weights
from surefoot.networks.weights import ModelRecord, open_model, save_model
from surefoot.reason.deliberate.policy_file import read_policy
from surefoot.reason.journal import open_journal as open_reason_journal
from surefoot.robust.head import LinearHead
from surefoot.rows.chess.puzzles import read_lichess
from surefoot.rows.published.records import read_records
from surefoot.rows.reading import read_rows
from surefoot.rows.store import load_roles, save_roles
from surefoot.safety.blind_sheets import COLUMNS, Pair, csv_rows, csv_text, read_sheet, write_sheets
from surefoot.safety.graders.labelled_refusals import LabelledRefusals, read_labelled_refusals, read_xstest_answers
from surefoot.safety.graders.refusal_classifier import (
    ClassifierSettings,
    open_refusal_classifier,
    save_refusal_classifier,
    train_refusal_classifier,
)
from surefoot.safety.item import Graded, Item, Sampled
from surefoot.safety.labels import read_labels
from surefoot.safety.measured import Evaluated
from surefoot.safety.monitors import RuleMonitor, read_words
from surefoot.safety.preparedness.rules import USUAL_RULES, read_rules
from surefoot.safety.readers.images import image_items
from surefoot.safety.readers.simpleqa import simpleqa_suite
from surefoot.safety.redteam_journal import open_journal as open_redteam_journal
from surefoot.safety.suite import Measure, Suite
from surefoot.study.once.attempt_file import asks_models, read_attempt_study
from surefoot.study.once.opinions import read_names, read_opinions
from surefoot.study.once.reason_file import read_reason_study
from surefoot.study.once.redteam_requests import read_requests as read_redteam_requests
from surefoot.study.once.release_file import read_release
from surefoot.study.once.release_parts import read_part
from surefoot.study.once.safety_samples import check_samples, main_of, read_samples, sample_files, write_samples
from surefoot.study.once.say_policy_requests import read_requests as read_policy_requests
from surefoot.study.schema import load_study
from surefoot.study.seen import load_seen_inputs
from surefoot.study.stored import load_encoder, load_head, load_seen
from surefoot.text.decoder import Shape as DecoderShape
from surefoot.text.decoder import build_decoder
from surefoot.text.decoder_files import open_decoder, save_decoder
from surefoot.text.images import read_image
from surefoot.text.policy import Sampling
from surefoot.text.tasks.files import open_questions
from surefoot.text.vocabulary import Vocabulary

__all__ = ["READERS", "Reader"]

STUDIES = Path(__file__).parents[2] / "studies"
NUMBERS = "id,a,b,y,place,split\n" + "".join(
    f"r{n},{n / 7:.3f},{n % 5},{'cat' if n % 3 else 'dog'},{'xy'[n % 2]},{('train', 'val', 'test')[n % 3]}\n"
    for n in range(12)
)
TOLD = "id,y,p_cat,p_dog,group\n" + "".join(
    f"r{n},{'cat' if n % 3 else 'dog'},{0.1 + 0.07 * n:.2f},{0.9 - 0.07 * n:.2f},g{n % 2}\n" for n in range(12)
)
QUESTION = '{"question": "What is 3 + %d?", "answer": "3 + %d = <<x>>\\n#### %d"}'
REQUESTS = [
    {"request": f"Water number {n}?", "category": "plants", "expected": ("comply", "safe")[n % 2], "kind": "a"}
    for n in range(4)
]
LICHESS = (
    "PuzzleId,FEN,Moves,Rating,Themes,GameUrl\n"
    "a1,r6k/pp2r2p/4Rp1Q/3p4/8/1N1P2R1/PqP2bPP/7K b - - 0 24,f2g3 e6e7 b2b1 b3c1 b1c1 h6c1,1900,crushing,https://lichess.org/787zsVup/black#48\n"
    "a2,5rk1/1p3ppp/pq3b2/8/8/1P1Q1N2/P4PPP/3R2K1 w - - 2 27,d3d6 f8d8 d6d8 f6d8,1500,mate,https://lichess.org/F8M8OS71#53\n"
)
POLICY = """title: What it may do
style: {refuse: One sentence.}
phrases: {refuse: [that is private], safe: [ask your doctor]}
categories:
  plants:
    summary: About plants.
    allowed: [care of a plant]
    safe_completion: [name the doctor]
    style: {comply: Plain words.}
    examples: [{request: 'How is it?', thought: It is allowed., answer: Well.}]
"""
RELEASE = """release: digits-1
ships: repair/base+dfr
parts:
  repair: runs/a
  safety: {run: runs/b, required: false}
claims:
  - worst_group_accuracy of repair/base+dfr >= 0.8
sign_offs: 2
"""
ATTEMPT = (
    'questions: questions.jsonl\nmodels: [smollm2]\nattempts: 8\nbudgets: [0, 64]\nclaims: ["consensus_at_8 >= 0.3"]\n'
)


@dataclass(frozen=True)
class Reader:
    """A reader. files: which of the files that `make` leaves in a folder are spoilt, and as what (`mutations.spoil`).

    weight: of how often it is asked; a slow one less often. whole: what `make` leaves can be read.
    """

    name: str
    make: Callable[[Path], object]
    files: Mapping[str, str]
    read: Callable[[Path], object]
    weight: float = 1.0
    whole: bool = True


def _texts(**files: str | bytes) -> Callable[[Path], object]:
    """Files by their name, with _DOT_ for the point in it."""

    def make(folder: Path) -> None:
        for name, content in files.items():
            path = folder / name.replace("_DOT_", ".")
            path.write_bytes(content.encode() if isinstance(content, str) else content)

    return make


def _rows_used(path: Path, **more: Any) -> object:
    """Rows, and a few inputs of them."""
    rows = read_rows(path, **more).rows
    return rows.inputs[torch.tensor([0, len(rows.inputs) - 1])]


def _arrays(**more: Any) -> dict[str, Any]:
    dice = np.random.default_rng(0)
    return {
        "x": dice.normal(size=(8, 3)).astype(np.float32),
        "y": np.arange(8) % 2,
        "ids": np.array([f"i{n}" for n in range(8)]),
        **more,
    }


def _npz(folder: Path) -> None:
    np.savez(folder / "rows.npz", **_arrays(group_names=np.array(["a", "b"]), groups=np.eye(2)[np.arange(8) % 2]))


def _features(folder: Path) -> None:
    arrays = _arrays()
    ids = json.dumps([f"i{n}" for n in range(8)])
    tensors = {"x": torch.from_numpy(arrays["x"]), "y": torch.from_numpy(arrays["y"])}
    (folder / "rows.safetensors").write_bytes(save(tensors, {"ids": ids, "classes": '["no", "yes"]'}))


def _pt(folder: Path) -> None:
    made = {"e_train": torch.randn(6, 3), "y_train": torch.arange(6) % 2, "g_train": torch.arange(6) % 2}
    torch.save({"e": made["e_train"], "y": made["y_train"], "g": made["g_train"], "val_e": made["e_train"], "val_y": made["y_train"], "val_g": made["g_train"]}, folder / "rows.pt")  # fmt: skip


def _weights(folder: Path) -> None:
    torch.save({"state_dict": {"a.weight": torch.randn(2, 3), "a.bias": torch.zeros(2)}}, folder / "w.pt")
    (folder / "w.safetensors").write_bytes(save({"a.weight": torch.randn(2, 3)}))


def _parquet(folder: Path) -> None:
    import pyarrow
    import pyarrow.parquet

    table = pyarrow.table(
        {
            "a": [float(n) for n in range(12)],
            "x": [[1.0, float(n)] for n in range(12)],
            "y": [("cat", "dog")[n % 2] for n in range(12)],
            "ok": [n % 2 == 0 for n in range(12)],
        }
    )
    pyarrow.parquet.write_table(table, folder / "rows.parquet")


def _picture(kind: str, shade: int) -> bytes:
    out = io.BytesIO()
    Image.fromarray(np.full((8, 8, 3), shade, np.uint8)).save(out, kind)
    return out.getvalue()


def _pictures(folder: Path) -> None:
    for label in ("cat", "dog"):
        for split in ("train", "test"):
            place = folder / split / label
            place.mkdir(parents=True)
            (place / "1.png").write_bytes(_picture("PNG", 40))
            (place / "2.jpg").write_bytes(_picture("JPEG", 90))


def _listed(folder: Path) -> None:
    names = [f"{n}.png" for n in range(6)]
    for n, name in enumerate(names):
        (folder / name).write_bytes(_picture("PNG", 20 * n))
    (folder / "metadata.csv").write_text(
        "file_name,label,place\n" + "".join(f"{name},{'ab'[n % 2]},{'xy'[n // 3]}\n" for n, name in enumerate(names))
    )


def _gz_table(folder: Path) -> None:
    (folder / "rows.csv.gz").write_bytes(gzip.compress(NUMBERS.encode()))


def _records(folder: Path) -> None:
    rows = [{"text": f"t{n}", "label": n % 2, "more": ["a"]} for n in range(4)]
    (folder / "r.json").write_text(json.dumps(rows))
    (folder / "r.jsonl").write_text("".join(json.dumps(each) + "\n" for each in rows))
    (folder / "r.csv").write_text(NUMBERS)
    (folder / "r.tsv").write_text(NUMBERS.replace(",", "\t"))
    (folder / "r.csv.gz").write_bytes(gzip.compress(NUMBERS.encode()))
    (folder / "r.jsonl.gz").write_bytes(gzip.compress("".join(json.dumps(each) + "\n" for each in rows).encode()))
    _parquet(folder)


def _read_all_records(folder: Path) -> None:
    for name in ("r.json", "r.jsonl", "r.csv", "r.tsv", "r.csv.gz", "r.jsonl.gz", "rows.parquet"):
        for record in read_records(folder / name):
            if "text" in record.values:
                record.text("text")
                record.label("label", ("0", "1"))
                record.texts("more")
            canonical_json(record.values if name.endswith("gz") else {})


def _model(folder: Path) -> None:
    network = network_from_spec({"mlp": {"inputs": 3, "hidden": [4], "classes": 2}}, seed=0)
    record = ModelRecord({"mlp": {"inputs": 3, "hidden": [4], "classes": 2}}, "head", ("a", "b"), (3,), {"seed": 0})
    save_model(folder, parameters_of(network), record)


def _small_vit() -> Any:
    shape = Shape((3, 16, 16), width=8, depth=1, heads=2, buffer=(8, 8), grid=(2, 2))
    return build_vit(shape, classes=2, patch=8, seed=0)


def _vit(folder: Path) -> None:
    network = _small_vit()
    write_vit_folder(network, parameters_of(network), (8, 8), ("a", "b"), folder / "vit")
    (folder / "vit" / "preprocessor_config.json").write_text(
        json.dumps(
            {
                "do_normalize": True,
                "image_mean": [0.5, 0.5, 0.5],
                "image_std": [0.5, 0.5, 0.5],
                "image_processor_type": "ViTImageProcessor",
                "size": {"height": 16, "width": 16},
            }
        )
    )


def _vit_model(folder: Path) -> None:
    from surefoot.networks.spec import vit_spec

    network = _small_vit()
    module: Any = network.module
    save_model(
        folder,
        parameters_of(network),
        ModelRecord(vit_spec(module.shape, 2, module.patch), "head", ("a", "b"), (3, 16, 16)),
    )


def _decoder(folder: Path) -> None:
    vocabulary = Vocabulary(tuple("0123456789+= "))
    decoder = build_decoder(DecoderShape(vocabulary.size, width=8, depth=1, heads=2, context=16), 0)
    save_decoder(folder, decoder, vocabulary, {"task": "addition-1"})


def _run(folder: Path) -> None:
    """A run with a card, its ledger, and a trail."""
    (folder / "told.csv").write_text(TOLD)
    with redirect_stdout(io.StringIO()):
        status = main(["card", str(folder / "told.csv"), "--out", str(folder / "runs"), "--quiet"])
    assert status in (0, 10, 11), status
    (card,) = (folder / "runs").glob("**/card.json")
    card.parent.rename(folder / "run")
    add_entry(folder / "run", "Ada")
    add_entry(folder / "run", "Bo")
    rows = [RunRow("r1", "s", "d" * 64, "passed", "c" * 64, "r1", "2026-01-01T00:00:00+00:00", "j" * 64)]
    for row in rows:
        Ledger(folder / "ledger.sqlite").record_run(row)


def _read_trail(folder: Path) -> None:
    from datetime import date

    from surefoot.card.trail import signed_by, waived

    trail = read_trail(folder / "run")
    card = read_card(folder / "run")
    signed_by(card, trail)
    waived(card, trail, date(2026, 1, 1))


def _read_card(folder: Path) -> None:
    card = read_card(folder / "run")
    card_digest(card)
    page(card)
    markdown(card)
    read_part("repair", folder / "run", required=True)


def _index(folder: Path) -> None:
    index_page(find_runs(folder), "runs")


def _ledger(folder: Path) -> None:
    ledger = Ledger(folder / "ledger.sqlite")
    ledger.runs(10)
    ledger.choices(10)
    ledger.judge_uses("j" * 64)
    is_recorded(folder / "run")


def _says(sampled: Any) -> list[Graded]:
    return [Graded({"won": float(each.answer == "yes")}) for each in sampled]


SUITE = Suite(
    "game", "Game", tuple(Item(f"g{n}", f"Say {n}?", "ab"[n % 2]) for n in range(4)), Sampling(1, 32, 0.0), _says, (Measure("won"),), toy=True
)  # fmt: skip


def _samples(folder: Path) -> None:
    _run(folder)
    sampled = tuple(Sampled(item, 0, "yes", "hm", tokens=3) for item in SUITE.items)
    write_samples(folder / "run", sample_files({"tiny": [Evaluated(SUITE, sampled, tuple(_says(sampled)))]}))


def _read_samples(folder: Path) -> None:
    run = folder / "run"
    read = read_samples(run, "tiny", SUITE)
    _says(read or ())
    main_of(run)


def _read_labels_file(folder: Path) -> None:
    read_labels([folder / "labels.jsonl"])


def _check_samples(folder: Path) -> None:
    check_samples(folder / "run")


def _manifested(folder: Path) -> None:
    """A run whose card knows its manifest."""
    _samples(folder)
    path = folder / "run" / "card.json"
    card = json.loads(path.read_text())
    from surefoot.files import digest_json

    card["record"]["settings"]["samples"] = digest_json(read_json(folder / "run" / "samples" / "manifest.json"))
    path.write_text(json.dumps(card))
    assert check_samples(folder / "run")


def _eval(folder: Path) -> None:
    said = {"message": {"role": "assistant", "content": "Yes."}, "stop_reason": "stop"}
    samples = [
        {"id": str(n), "epoch": 1, "input": f"Q {n}?", "target": "", "output": {"choices": [said], "usage": {"output_tokens": 3}},
         "scores": {"match": {"value": "C"}}, "metadata": {"a": 1}}
        for n in range(3)
    ]  # fmt: skip
    spec = {"task": "pkg/riddles", "model": "maker/one", "created": "2026-11-01T00:00:00+00:00",
            "dataset": {"sample_ids": ["0", "1", "2"], "samples": 3}, "config": {"epochs": 1}, "model_generate_config": {"temperature": 0.5}}  # fmt: skip
    header = {"version": 2, "status": "success", "eval": spec}
    with zipfile.ZipFile(folder / "log.eval", "w", zipfile.ZIP_DEFLATED) as opened:
        opened.writestr("header.json", json.dumps(header))
        for each in samples:
            opened.writestr(f"samples/{each['id']}_epoch_1.json", json.dumps(each))
    (folder / "log.json").write_text(json.dumps({**header, "samples": samples}))


def _read_eval(name: str) -> Callable[[Path], object]:
    return lambda folder: evaluated_of([read_log(folder / name)])


def _sheets(folder: Path) -> None:
    pairs = [Pair(f"c{n}", f"Say {n}", f"one {n}", f"two, {n}", "k") for n in range(4)]
    write_sheets(folder / "sheet.csv", pairs, names=("tiny", "large"), key=folder / "key.json", seed=0)
    rows = [row for _, row in csv_rows(folder / "sheet.csv", COLUMNS)]
    (folder / "sheet.csv").write_text(
        csv_text(COLUMNS, [[*(row[each] for each in COLUMNS[:4]), "left"] for row in rows]), newline=""
    )


def _classifier(folder: Path) -> None:
    count = 40
    texts = tuple(f"{'Sorry, I cannot' if n % 2 else 'Sure, here it'} is {n}" for n in range(count))
    told = LabelledRefusals(
        texts, tuple(n % 2 == 1 for n in range(count)), tuple(f"p{n}" for n in range(count)), ("m",) * count
    )
    save_refusal_classifier(folder, train_refusal_classifier(told, ClassifierSettings(width=30, folds=2)))


def _draws(folder: Path) -> None:
    from surefoot.files import write_json, write_tensors

    write_tensors(folder / "draws.safetensors", {"w": torch.randn(3, 2)})
    write_json(
        folder / "draws.json",
        {"tensors": digest_file(folder / "draws.safetensors"), "names": ["w"], "diagnostics": [], "seen": ["a"]},
    )
    write_tensors(folder / "shard-0.safetensors", {"w": torch.randn(3, 2), "statistic:energy": torch.randn(3, 1)})
    write_json(folder / "chains.json", {"chains": 1, "draws": 3, "shards": {"shard-0.safetensors": digest_file(folder / "shard-0.safetensors")}, "diagnostics": [], "seen": ["a"]})  # fmt: skip


def _posterior(folder: Path) -> None:
    from surefoot.bayes.kept import CHAINS, POSTERIOR
    from surefoot.files import write_json

    (folder / CHAINS).mkdir()
    _draws(folder / CHAINS)
    write_json(folder / POSTERIOR, {"settings": {"part": "network"}, "doubts": [], "notes": []})


def _stored(folder: Path) -> None:
    read = read_rows(_put(folder / "rows.csv", NUMBERS), attributes=["place"])
    save_roles(folder / "rows.safetensors", {"fit": read.rows})
    save_checkpoint(folder / "checkpoint.safetensors", "run", {"w": torch.randn(3), "steps": [1, 2], "name": "x"})
    (folder / "head.safetensors").write_bytes(save({"weight": torch.randn(2, 3), "bias": torch.zeros(2)}))
    (folder / "seen.json").write_text('["a", "b"]')
    (folder / "columns.json").write_text(json.dumps([{"number": "a", "mean": 0.5, "centre": 0.1, "scale": 1.0, "indicator": False}, {"words": "b", "values": ["x", "y"], "other": True}]))  # fmt: skip
    from surefoot.study.seen import INPUTS

    (folder / INPUTS).write_text(
        json.dumps({"kind": "3 numbers", "telling": True, "usual": 0.0, "single": "0" * 64, "several": ""})
    )


def _put(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def _read_stored(folder: Path) -> None:
    load_roles(folder / "rows.safetensors")
    load_checkpoint(folder / "checkpoint.safetensors", "run")
    load_head(folder)
    load_seen(folder)
    load_encoder(folder)
    load_seen_inputs(folder)


def _head(folder: Path) -> None:
    write_head(
        LinearHead(torch.randn(2, 3, dtype=torch.float64), torch.zeros(2, dtype=torch.float64)),
        ("a", "b"),
        folder / "head.safetensors",
    )


def _plain_vit(folder: Path) -> None:
    from surefoot.export.plain import write_plain_folder

    network = _small_vit()
    write_plain_folder(network, parameters_of(network), (8, 8), ("a", "b"), torch.randn(2, 3, 16, 16), folder / "plain")


def _journals(folder: Path) -> None:
    head = canonical_json({"run": "r"})
    line = json.dumps(
        {
            "turn": 0,
            "item": "a",
            "digest": "d",
            "edits": ["e"],
            "harms": [0.5, None],
            "kinds": ["k", "l"],
            "shown": {"a": "b"},
        }
    )
    (folder / "redteam.jsonl").write_text(f"{head}\n{line}\n{line}\n")
    (folder / "reason.jsonl").write_text(f'{head}\n{{"step": 0, "loss": 0.5}}\n{{"step": 1, "loss": 0.4}}\n')


def _read_journals(folder: Path) -> None:
    open_redteam_journal(folder / "redteam.jsonl", "r").close()
    open_reason_journal(folder / "reason.jsonl", "r", 2, writes=False)


def _questions(folder: Path) -> None:
    (folder / "q.jsonl").write_text("".join(QUESTION % (n, n, 3 + n) + "\n" for n in range(4)))


def _requests(folder: Path) -> None:
    _put(folder / "policy.yaml", POLICY)
    names = list(REQUESTS[0])
    (folder / "r.csv").write_text(csv_text(names, [[each[name] for name in names] for each in REQUESTS]))
    (folder / "r.jsonl").write_text("".join(json.dumps(each) + "\n" for each in REQUESTS))
    (folder / "r.txt").write_text("".join(each["request"] + "\n" for each in REQUESTS))


def _read_requests(folder: Path) -> None:
    policy = read_policy(folder / "policy.yaml")
    for name in ("r.csv", "r.jsonl"):
        for each in read_policy_requests(folder / name, policy):
            digest_bytes(each.text.encode())
    for name in ("r.csv", "r.jsonl", "r.txt"):
        for item in read_redteam_requests(folder / name):
            canonical_json([each.spelled() for each in item.prompt if not isinstance(each, str)]).encode()


def _labels(folder: Path) -> None:
    rows = [
        {"model": "tiny", "suite": "game", "item": f"g{n}", "answer": "yes", "label": ("refused", "complied")[n % 2]}
        for n in range(4)
    ]
    (folder / "labels.jsonl").write_text("".join(json.dumps(each) + "\n" for each in rows))


def _refusals(folder: Path) -> None:
    (folder / "labels.csv").write_text(
        "text,refused,prompt_id,model\n" + "".join(f"t {n},{n % 2},p{n},m\n" for n in range(5))
    )
    head = "id,completion,final_label\n"
    (folder / "xstest_v2_completions_m.csv").write_text(
        head + "".join(f"v2-{n},c {n},{n % 2 + 1}_full_{('compliance', 'refusal')[n % 2]}\n" for n in range(4))
    )


def _image_items(folder: Path) -> None:
    (folder / "a.png").write_bytes(_picture("PNG", 3))
    rows = [
        {"id": str(n), "prompt": "What is it?", "image": "a.png", "label": "safe", "category": "a"} for n in range(2)
    ]
    (folder / "items.jsonl").write_text("".join(json.dumps(each) + "\n" for each in rows))


def _big_vision(folder: Path) -> None:
    width, hidden = 8, 16
    arrays: dict[str, Any] = {
        "embedding/kernel": np.zeros((8, 8, 3, width), np.float32),
        "embedding/bias": np.zeros(width),
        "pos_embedding": np.zeros((1, 4, width)),
    }
    block = "Transformer/encoderblock_0"
    for word in ("query", "key", "value"):
        arrays[f"{block}/MultiHeadDotProductAttention_0/{word}/kernel"] = np.zeros((width, 2, 4))
        arrays[f"{block}/MultiHeadDotProductAttention_0/{word}/bias"] = np.zeros((2, 4))
    arrays[f"{block}/MultiHeadDotProductAttention_0/out/kernel"] = np.zeros((2, 4, width))
    arrays[f"{block}/MultiHeadDotProductAttention_0/out/bias"] = np.zeros(width)
    for name in ("LayerNorm_0", "LayerNorm_1"):
        arrays |= {f"{block}/{name}/scale": np.ones(width), f"{block}/{name}/bias": np.zeros(width)}
    for name, (one, two) in {"Dense_0": (width, hidden), "Dense_1": (hidden, width)}.items():
        arrays |= {
            f"{block}/MlpBlock_0/{name}/kernel": np.zeros((one, two)),
            f"{block}/MlpBlock_0/{name}/bias": np.zeros(two),
        }
    arrays |= {"Transformer/encoder_norm/scale": np.ones(width), "Transformer/encoder_norm/bias": np.zeros(width)}
    arrays |= {"head/kernel": np.zeros((width, 2)), "head/bias": np.zeros(2)}
    np.savez(folder / "flexi.npz", **arrays)


def _opened_hub(folder: Path) -> object:
    from surefoot.hub.pretrained import open_folder

    return open_folder(folder / "vit")


def _hub_text(folder: Path) -> None:
    import transformers

    place = folder / "text"
    (place).mkdir()
    config = transformers.BertConfig(vocab_size=8, hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=8, id2label={0: "no", 1: "yes"}, label2id={"no": 0, "yes": 1})  # fmt: skip
    transformers.BertForSequenceClassification(config).save_pretrained(place)
    (place / "vocab.txt").write_text("[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\na\nb\nc\n")
    (place / "tokenizer_config.json").write_text(
        json.dumps({"tokenizer_class": "BertTokenizer", "model_max_length": 16})
    )


def _open_hub_text(folder: Path) -> object:
    from surefoot.hub.pretrained import open_folder

    return open_folder(folder / "text")


def _gguf(folder: Path) -> None:
    """The head of a file of llama.cpp: magic, version, no tensor, one setting."""
    import struct

    def text(value: bytes) -> bytes:
        return struct.pack("<Q", len(value)) + value

    body = (
        b"GGUF" + struct.pack("<IQQ", 3, 1, 2) + text(b"general.architecture") + struct.pack("<I", 8) + text(b"llama")
    )
    body += text(b"llama.block_count") + struct.pack("<II", 4, 1)
    body += text(b"token_embd.weight") + struct.pack("<IQQIQ", 2, 8, 4, 0, 0) + b"\0" * 200
    (folder / "m.gguf").write_bytes(body)


def _open_gguf(folder: Path) -> object:
    import shutil

    from surefoot.hub.gguf import folder_from_gguf

    try:
        return folder_from_gguf(folder / "m.gguf", folder / "out")
    finally:
        shutil.rmtree(folder / "out", ignore_errors=True)


def _weak(folder: Path) -> None:
    _put(folder / "weak.csv", TOLD.replace("group", "seen"))
    (folder / "seen.json").write_text('["a", "b"]')


def _read_weak(folder: Path) -> None:
    read_opinions(folder / "weak.csv", classes=("cat", "dog"))
    read_names(folder / "weak.csv")
    read_names(folder / "seen.json")


def _words(folder: Path) -> None:
    (folder / "words.txt").write_text("[hides]\ndon't tell\n/nobody (will|would) know/\n# no\n[other]\nlie\n")


def _read_monitor(folder: Path) -> None:
    RuleMonitor.of(read_words(folder / "words.txt"))(["I will not tell. " * 50, "a" * 200])


def _attempts(folder: Path) -> None:
    asks_models(folder / "s.yaml")
    read_attempt_study(folder / "s.yaml")


READERS: tuple[Reader, ...] = (
    Reader("csv table", _texts(rows_DOT_csv=NUMBERS), {"rows.csv": "csv"}, lambda f: _rows_used(f / "rows.csv", coded=True)),
    Reader("csv features", _texts(rows_DOT_csv=NUMBERS), {"rows.csv": "csv"}, lambda f: _rows_used(f / "rows.csv", attributes=["place"])),
    Reader("csv.gz table", _gz_table, {"rows.csv.gz": "gz"}, lambda f: _rows_used(f / "rows.csv.gz"), 0.1),
    Reader("predictions", _texts(told_DOT_csv=TOLD), {"told.csv": "csv"}, lambda f: read_told(f / "told.csv")),
    Reader("parquet", _parquet, {"rows.parquet": "binary"}, lambda f: _rows_used(f / "rows.parquet", features=["x"])),
    Reader("npz", _npz, {"rows.npz": "zip"}, lambda f: _rows_used(f / "rows.npz")),
    Reader("safetensors features", _features, {"rows.safetensors": "safetensors"}, lambda f: _rows_used(f / "rows.safetensors")),
    Reader("pt features", _pt, {"rows.pt": "zip"}, lambda f: _rows_used(f / "rows.pt")),
    Reader("foreign weights", _weights, {"w.pt": "zip", "w.safetensors": "safetensors"}, lambda f: (read_foreign_weights(f / "w.pt"), read_foreign_weights(f / "w.safetensors"))),
    Reader("class folders", _pictures, {"train/cat/1.png": "image", "train/cat/2.jpg": "image"}, lambda f: (_rows_used(f, image_size=(8, 8)), read_rows(f, image_size=(8, 8)).rows.inputs.digests()), 0.3),  # type: ignore[union-attr]
    Reader("metadata.csv", _listed, {"metadata.csv": "csv", "0.png": "image"}, lambda f: _rows_used(f)),
    Reader("records", _records, {"r.json": "json", "r.jsonl": "jsonl", "r.csv": "csv", "r.tsv": "text", "r.csv.gz": "gz", "r.jsonl.gz": "binary", "rows.parquet": "binary"}, _read_all_records, 0.4),
    Reader("study yaml", lambda f: (f / "s.yaml").write_text((STUDIES / "digits.yaml").read_text()), {"s.yaml": "yaml"}, lambda f: load_study(f / "s.yaml")),
    Reader("study of students yaml", lambda f: (f / "s.yaml").write_text((STUDIES / "weak.yaml").read_text()), {"s.yaml": "yaml"}, lambda f: load_study(f / "s.yaml"), 0.5),
    Reader("study of a choice yaml", lambda f: (f / "s.yaml").write_text((STUDIES / "choose.yaml").read_text()), {"s.yaml": "yaml"}, lambda f: load_study(f / "s.yaml"), 0.5),
    Reader("reason yaml", lambda f: (f / "s.yaml").write_text((STUDIES / "parity.yaml").read_text()), {"s.yaml": "yaml"}, lambda f: read_reason_study(f / "s.yaml").plan()),
    Reader("attempt yaml", _texts(s_DOT_yaml=ATTEMPT), {"s.yaml": "yaml"}, _attempts),
    Reader("release yaml", _texts(s_DOT_yaml=RELEASE), {"s.yaml": "yaml"}, lambda f: read_release(f / "s.yaml")),
    Reader("rules yaml", lambda f: (f / "s.yaml").write_text(USUAL_RULES.read_text()), {"s.yaml": "yaml"}, lambda f: read_rules(f / "s.yaml")),
    Reader("policy yaml", _texts(s_DOT_yaml=POLICY), {"s.yaml": "yaml"}, lambda f: read_policy(f / "s.yaml")),
    Reader("policy markdown", lambda f: (f / "s.md").write_text((STUDIES / "shop_policy.md").read_text()), {"s.md": "text"}, lambda f: read_policy(f / "s.md")),
    Reader("requests", _requests, {"r.csv": "csv", "r.jsonl": "jsonl", "r.txt": "text"}, _read_requests),
    Reader("labels", _labels, {"labels.jsonl": "jsonl"}, _read_labels_file),
    Reader("labelled refusals", _refusals, {"labels.csv": "csv", "xstest_v2_completions_m.csv": "csv"}, lambda f: (read_labelled_refusals(f / "labels.csv"), read_xstest_answers(f))),
    Reader("refusal classifier", _classifier, {"classifier.json": "json", "classifier.safetensors": "safetensors"}, open_refusal_classifier),
    Reader("image prompts", _image_items, {"items.jsonl": "jsonl", "a.png": "image"}, lambda f: (image_items(f / "items.jsonl"), read_image(f / "a.png"))),
    Reader("simpleqa", _texts(q_DOT_csv="metadata,problem,answer\n" + "".join(f"\"{{'topic': 'Art'}}\",q {n},a {n}\n" for n in range(4))), {"q.csv": "csv"}, lambda f: simpleqa_suite(f / "q.csv"), 0.3),
    Reader("words", _words, {"words.txt": "text"}, _read_monitor),
    Reader("questions", _questions, {"q.jsonl": "jsonl"}, lambda f: open_questions(f / "q.jsonl")),
    Reader("puzzles", _texts(p_DOT_csv=LICHESS), {"p.csv": "csv"}, lambda f: read_lichess(f / "p.csv")),
    Reader("model folder", _model, {"record.json": "json", "model.safetensors": "safetensors"}, lambda f: open_model(str(f))),
    Reader("model folder (vit)", _vit_model, {"record.json": "json"}, lambda f: open_model(str(f)), 0.5),
    Reader("vit folder", _vit, {"vit/config.json": "json", "vit/model.safetensors": "safetensors", "vit/preprocessor_config.json": "json"}, lambda f: open_vit_folder(f / "vit")),
    Reader("big_vision npz", _big_vision, {"flexi.npz": "zip"}, lambda f: read_big_vision(f / "flexi.npz", (16, 16), (8, 8)), 0.5),
    Reader("plain folder", _plain_vit, {"plain/config.json": "json", "plain/model.safetensors": "safetensors"}, lambda f: open_plain_folder(f / "plain"), 0.5),
    Reader("decoder folder", _decoder, {"config.json": "json", "symbols.json": "json", "model.safetensors": "safetensors"}, open_decoder),
    Reader("head", _head, {"head.safetensors": "safetensors"}, lambda f: read_head(f / "head.safetensors")),
    Reader("draws and chains", _draws, {"draws.json": "json", "chains.json": "json", "shard-0.safetensors": "safetensors"}, lambda f: (load_draws(f), load_chains(f), read_shard(f / "shard-0.safetensors"))),
    Reader("posterior", _posterior, {"bayes.json": "json", "chains/chains.json": "json"}, load_posterior, 0.5),
    Reader("stored parts", _stored, {"rows.safetensors": "safetensors", "checkpoint.safetensors": "safetensors", "head.safetensors": "safetensors", "seen.json": "json", "columns.json": "json", "seen_inputs.json": "json"}, _read_stored),
    Reader("journals", _journals, {"redteam.jsonl": "jsonl", "reason.jsonl": "jsonl"}, _read_journals),
    Reader("weak labels", _weak, {"weak.csv": "csv", "seen.json": "json"}, _read_weak),
    Reader("card", _run, {"run/card.json": "json"}, _read_card),
    Reader("index of runs", _run, {"run/card.json": "json"}, _index, 0.3),
    Reader("trail", _run, {"run/trail.jsonl": "jsonl"}, _read_trail),
    Reader("ledger", _run, {"ledger.sqlite": "binary"}, _ledger),
    Reader("samples", _samples, {"run/samples/tiny/game.judged.jsonl": "jsonl", "run/samples/tiny/game.thoughts.jsonl": "jsonl"}, _read_samples),
    Reader("manifest of samples", _manifested, {"run/samples/manifest.json": "json"}, _check_samples, 0.3),
    Reader("inspect .eval", _eval, {"log.eval": "zip"}, _read_eval("log.eval")),
    Reader("inspect .json", _eval, {"log.json": "json"}, _read_eval("log.json")),
    Reader("blind sheet", _sheets, {"sheet.csv": "csv", "key.json": "json"}, lambda f: read_sheet(f / "sheet.csv", f / "key.json")),
    Reader("transformers folder", _vit, {"vit/config.json": "json", "vit/preprocessor_config.json": "json"}, _opened_hub, 0.05),
    Reader("transformers text folder", _hub_text, {"text/config.json": "json", "text/tokenizer_config.json": "json", "text/vocab.txt": "text"}, _open_hub_text, 0.05),
    Reader("gguf", _gguf, {"m.gguf": "binary"}, _open_gguf, 0.05, whole=False),
)  # fmt: skip

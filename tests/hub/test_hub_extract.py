"""Features of pretrained models: those of their own library, whole after a kill, never another model's."""

import copy
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from hub_examples import save_image_model, save_text_model, some_texts, transformers
from torch import Tensor

from surefoot.errors import InputError
from surefoot.hub import ways
from surefoot.hub.extract import Extracted, extract_layers
from surefoot.hub.fold import conv_norm_pairs, folded, simplified
from surefoot.hub.layers import layer_features
from surefoot.hub.opening import open_encoder
from surefoot.hub.readers import TextReader, cut_by_tokens, square_pixels
from surefoot.hub.ways import LARGEST_ERROR, PLAIN, Way, running
from surefoot.rows.rows import Rows, make_rows
from surefoot.rows.texts import Texts

ROWS = 40


def text_rows(texts: tuple[str, ...] | None = None) -> Rows:
    given = some_texts(ROWS) if texts is None else texts
    return make_rows(Texts((given,)), torch.arange(len(given)) % 2)


def one(extracted: Extracted) -> Tensor:
    return next(iter(extracted.rows.values())).inputs[:]


def by_library(folder: Path, module: torch.nn.Module, texts: tuple[str, ...]) -> Tensor:
    """Logits, one text at a time and so without any padding."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    with torch.no_grad():
        return torch.cat([module(**tokenizer(text, return_tensors="pt")).logits for text in texts])


@pytest.mark.parametrize(
    ("kind", "head"), [("bert", "classifier"), ("distilbert", "classifier"), ("roberta", "classifier.out_proj")]
)
def test_features_of_texts_give_the_library_s_logits_back(tmp_path: Path, kind: str, head: str) -> None:
    module = save_text_model(tmp_path / "model", kind)
    encoder = open_encoder(str(tmp_path / "model"))
    assert encoder.head == head
    rows = text_rows()
    features = one(extract_layers(encoder, rows, folder=tmp_path / "cache"))
    logits = module.get_submodule(head)(features)
    wanted = by_library(tmp_path / "model", module, rows.inputs.columns[0])  # type: ignore[union-attr]
    assert torch.allclose(logits, wanted, atol=1e-5)
    assert wanted.std(dim=0).min() > 0.01  # rows differ: the comparison says something


@pytest.mark.parametrize(
    ("kind", "head"), [("vit", "classifier"), ("resnet", "classifier.1"), ("convnext", "classifier")]
)
def test_features_of_images_give_the_library_s_logits_back(tmp_path: Path, kind: str, head: str) -> None:
    module = save_image_model(tmp_path / "model", kind)
    encoder = open_encoder(str(tmp_path / "model"))
    assert encoder.head == head
    images = torch.rand(20, 3, 30, 24, generator=torch.Generator().manual_seed(1))
    rows = make_rows(images, torch.arange(20) % 2)
    features = one(extract_layers(encoder, rows, folder=tmp_path / "cache"))
    pixels = next(iter(encoder.reader.batches(images, slice(0, 20)))).given["pixel_values"]
    with torch.no_grad():
        wanted = module(pixels).logits
    assert torch.allclose(module.get_submodule(head)(features[: len(wanted)]), wanted, atol=1e-4)
    assert wanted.std(dim=0).min() > 0.01


def test_several_layers_in_one_pass_are_those_taken_one_by_one(tmp_path: Path) -> None:
    save_text_model(tmp_path / "model")
    encoder = open_encoder(str(tmp_path / "model"))
    rows, names = text_rows(), ["bert.encoder.layer.0", "bert.embeddings", "classifier"]
    together = extract_layers(encoder, rows, names, folder=tmp_path / "cache")
    for name in names:
        alone = extract_layers(encoder, rows, [name], folder=tmp_path / "other")
        assert torch.allclose(one(alone), together.rows[name].inputs[:], atol=1e-5)


def test_a_layer_s_mean_leaves_padding_out(tmp_path: Path) -> None:
    module = save_text_model(tmp_path / "model")
    encoder = open_encoder(str(tmp_path / "model"))
    rows = text_rows()
    found = one(extract_layers(encoder, rows, ["bert.encoder.layer.1"], folder=tmp_path / "cache"))
    tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path / "model")
    with torch.no_grad():
        wanted = torch.cat(
            [
                module.bert(**tokenizer(text, return_tensors="pt")).last_hidden_state.mean(dim=1)
                for text in rows.inputs.columns[0]  # type: ignore[union-attr]
            ]
        )
    assert torch.allclose(found, wanted, atol=1e-5)


def test_a_layer_that_is_not_there_names_near_ones(tmp_path: Path) -> None:
    save_text_model(tmp_path / "model")
    with pytest.raises(InputError, match=r'no layer "bert.encoder.layer.7"; near it are: .*bert\.encoder\.layer\.1'):
        extract_layers(open_encoder(str(tmp_path / "model")), text_rows(), ["bert.encoder.layer.7"], folder=tmp_path)


def test_another_model_text_or_setting_never_meets_a_cache_of_the_first(tmp_path: Path) -> None:
    save_text_model(tmp_path / "model")
    encoder, rows, cache = open_encoder(str(tmp_path / "model")), text_rows(), tmp_path / "cache"
    first = extract_layers(encoder, rows, folder=cache)
    with torch.no_grad():
        encoder.module.get_parameter("bert.embeddings.word_embeddings.weight")[7, 0] += 1.0
    changed = extract_layers(encoder, rows, folder=cache)
    texts = rows.inputs.columns[0]  # type: ignore[union-attr]
    other = extract_layers(encoder, text_rows((texts[0] + " bird", *texts[1:])), folder=cache)
    assert len({first.key, changed.key, other.key}) == 3
    assert not torch.equal(one(first), one(changed))
    fresh = extract_layers(encoder, rows, folder=tmp_path / "fresh")
    assert torch.allclose(one(changed), one(fresh), atol=1e-6)


def test_a_damaged_cache_is_computed_again(tmp_path: Path) -> None:
    save_text_model(tmp_path / "model")
    encoder, rows = open_encoder(str(tmp_path / "model")), text_rows()
    first = extract_layers(encoder, rows, folder=tmp_path / "cache")
    wanted = one(first).clone()
    file = tmp_path / "cache" / first.key / "features.safetensors"
    content = bytearray(file.read_bytes())
    content[-8:] = b"\x00" * 8
    file.write_bytes(content)
    told: list[str] = []
    again = extract_layers(
        encoder, rows, folder=tmp_path / "cache", progress=lambda stage, done, total: told.append(stage)
    )
    assert told == ["damaged features, computed again"]
    assert torch.equal(one(again), wanted)


KILLED = """
import os, signal, sys, torch
from dataclasses import replace
from pathlib import Path
sys.path.insert(0, {tests!r})
from hub_examples import some_texts
from surefoot.hub.extract import extract_layers
from surefoot.hub.opening import open_encoder
from surefoot.rows.rows import make_rows
from surefoot.rows.texts import Texts
encoder = open_encoder({model!r})
encoder = replace(encoder, reader=replace(encoder.reader, chunk=8))
def progress(stage, done, total):
    if done == 24:
        os.kill(os.getpid(), signal.SIGKILL)
rows = make_rows(Texts((some_texts(40),)), torch.arange(40) % 2)
extract_layers(encoder, rows, folder=Path({cache!r}), progress=progress)
"""


@pytest.mark.slow
def test_a_killed_extraction_goes_on_where_it_was(tmp_path: Path) -> None:
    from dataclasses import replace

    save_text_model(tmp_path / "model")
    code = KILLED.format(tests=str(Path(__file__).parent), model=str(tmp_path / "model"), cache=str(tmp_path / "cache"))
    killed = subprocess.run([sys.executable, "-W", "ignore", "-c", code], env=os.environ | {"OMP_NUM_THREADS": "1"})
    assert killed.returncode == -signal.SIGKILL
    encoder = open_encoder(str(tmp_path / "model"))
    encoder = replace(encoder, reader=replace(encoder.reader, chunk=8))  # type: ignore[type-var]
    batches: list[int] = []
    read = TextReader.batches

    def counted(self: TextReader, inputs: Texts, chunk: slice):  # type: ignore[no-untyped-def]
        batches.append(chunk.start)
        return read(self, inputs, chunk)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TextReader, "batches", counted)
        resumed = extract_layers(encoder, text_rows(), folder=tmp_path / "cache")
    assert [start for start in batches if start] == [24, 32]  # 0 is the example that settles how the model runs
    fresh = extract_layers(encoder, text_rows(), folder=tmp_path / "fresh")
    assert torch.allclose(one(resumed), one(fresh), atol=1e-5)


def test_batches_hold_every_text_once_within_the_budget() -> None:
    lengths = [3, 9, 1, 4, 4, 30, 2]
    order = sorted(range(7), key=lengths.__getitem__)
    cut = list(cut_by_tokens(order, lengths, 12))
    assert [place for part in cut for place in part] == order
    assert all(len(part) == 1 or max(lengths[place] for place in part) * len(part) <= 12 for part in cut)


def test_texts_that_are_cut_off_are_counted(tmp_path: Path) -> None:
    save_text_model(tmp_path / "model")
    rows = text_rows((*some_texts(9), "bird " * 60))
    encoder = open_encoder(str(tmp_path / "model"))
    for _ in range(2):  # computed, then read from the cache
        notes = extract_layers(encoder, rows, folder=tmp_path / "cache").notes
        assert any(note.startswith("1 of 10 texts") for note in notes)


def test_pixels_in_the_middle_of_the_shorter_side() -> None:
    from PIL import Image

    grey = Image.new("RGB", (60, 40), (127, 255, 0))
    pixels = square_pixels(16, 20, 127.0, 128.0)([grey])
    assert pixels.shape == (1, 3, 16, 16)
    assert pixels[0, :, 3, 4].tolist() == [0.0, 1.0, -127 / 128]


def test_a_way_that_was_taken_is_float32_exact(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ways, "WORTH_MEASURING", 0.0)
    save_image_model(tmp_path / "model", "resnet")
    encoder = open_encoder(str(tmp_path / "model"))
    rows = make_rows(torch.rand(16, 3, 32, 32), torch.arange(16) % 2)
    extracted = extract_layers(encoder, rows, folder=tmp_path / "cache")
    assert extracted.choice.way == PLAIN or extracted.choice.error <= LARGEST_ERROR
    assert extract_layers(encoder, rows, folder=tmp_path / "cache").choice == extracted.choice


def test_folded_batch_norm_is_the_same_function(tmp_path: Path) -> None:
    module = save_image_model(tmp_path / "model", "resnet")
    given = {"pixel_values": torch.randn(4, 3, 32, 32)}
    pairs = conv_norm_pairs(module, given)
    norms = [part for part in module.modules() if isinstance(part, torch.nn.BatchNorm2d)]
    assert len(pairs) == len(norms) > 3
    again = folded(module, pairs)
    assert not any(isinstance(part, torch.nn.BatchNorm2d) for part in again.modules())
    with torch.no_grad():
        assert torch.allclose(again(**given).logits, module(**given).logits, rtol=1e-4, atol=1e-4)


def test_a_way_whose_features_differ_is_not_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Folding is made wrong on purpose (every convolution without its norm): however fast, it is refused."""
    monkeypatch.setattr(ways, "WORTH_MEASURING", 0.0)
    monkeypatch.setattr(ways, "SMALLEST_GAIN", 0.0)
    monkeypatch.setattr(ways, "simplified", lambda module, given: _without_norms(module))
    save_image_model(tmp_path / "model", "resnet")
    encoder = open_encoder(str(tmp_path / "model"))
    rows = make_rows(torch.rand(8, 3, 32, 32), torch.arange(8) % 2)
    assert not extract_layers(encoder, rows, folder=tmp_path / "cache").choice.way.fold


def _bfloat16_is_fast(monkeypatch: pytest.MonkeyPatch, larger: float = 1.0) -> None:
    """Clocks say that bfloat16 is ten times as fast, and its features are made `larger` as often."""
    measured = ways._timed

    def timed(*given: Any) -> tuple[dict[str, Tensor], float]:
        features, _ = measured(*given)
        short = torch.is_autocast_enabled("cpu")
        return {name: larger * each if short else each for name, each in features.items()}, 0.001 if short else 0.01

    monkeypatch.setattr(ways, "_timed", timed)


@pytest.mark.parametrize("kind", ["bert", "vit", "resnet"])
def test_bfloat16_stays_within_two_percent_of_float32(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """Products of 8 significant bits err by up to 2⁻⁹ each: far from float32's rounding, and within what is said."""
    _bfloat16_is_fast(monkeypatch)
    rows = make_rows(torch.rand(24, 3, 32, 32), torch.arange(24) % 2)
    if kind == "bert":
        save_text_model(tmp_path / "model", kind)
        rows = text_rows()
    else:
        save_image_model(tmp_path / "model", kind)
    encoder = open_encoder(str(tmp_path / "model"))
    wanted = one(extract_layers(encoder, rows, folder=tmp_path / "cache"))
    extracted = extract_layers(encoder, rows, folder=tmp_path / "cache", precision="bfloat16")
    assert extracted.choice.way.precision == "bfloat16"
    assert "bfloat16" in extracted.choice.told()
    found = one(extracted).float()
    error = float((found - wanted).norm() / wanted.norm())
    assert 1e-4 < error < 0.02
    assert extracted.choice.error == pytest.approx(error, rel=1.0)  # of the first rows, and of all of them
    again = one(extract_layers(encoder, rows, folder=tmp_path / "cache"))
    assert torch.equal(again, wanted)  # the two precisions never share an address


def test_bfloat16_that_errs_by_more_than_two_percent_is_not_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _bfloat16_is_fast(monkeypatch, larger=1.03)
    save_text_model(tmp_path / "model")
    encoder = open_encoder(str(tmp_path / "model"))
    extracted = extract_layers(encoder, text_rows(), folder=tmp_path / "cache", precision="bfloat16")
    assert extracted.choice.way.precision == "float32"


def test_pairs_of_texts_are_read_as_the_library_reads_them(tmp_path: Path) -> None:
    module = save_text_model(tmp_path / "model")
    encoder = open_encoder(str(tmp_path / "model"))
    pair = (some_texts(12, longest=12), some_texts(12, longest=12, seed=1))
    features = one(extract_layers(encoder, make_rows(Texts(pair), torch.arange(12) % 2), folder=tmp_path / "cache"))
    tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path / "model")
    with torch.no_grad():
        wanted = torch.cat(
            [module(**tokenizer(*texts, return_tensors="pt")).logits for texts in zip(*pair, strict=True)]
        )
    assert torch.allclose(module.classifier(features), wanted, atol=1e-5)
    assert wanted.std(dim=0).min() > 0.01


class Padded(torch.nn.Conv2d):
    """A convolution that lays its zeros itself, as EfficientNet's do."""

    def __init__(self, *sides: int, stride: int = 1) -> None:
        super().__init__(4, 4, 3, stride=stride)
        self.zeros = torch.nn.ZeroPad2d(sides)  # type: ignore[arg-type]

    def forward(self, input: Tensor) -> Tensor:
        padded = self.zeros(input)
        return torch.nn.functional.conv2d(padded, self.weight, self.bias, self.stride, self.padding)


class Block(torch.nn.Module):
    """Equal and unequal paddings, an activation of one norm's result, and one of a sum that is read again."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.norm, self.second = Padded(1, 1, 1, 1), torch.nn.BatchNorm2d(4), Padded(0, 1, 0, 1, stride=2)
        self.act, self.other = torch.nn.ReLU6(), torch.nn.SiLU()

    def forward(self, input: Tensor) -> Tensor:
        total = input + self.act(self.norm(self.first(input)))
        return self.second(self.other(total) + total)


def test_simplified_convolutions_are_the_same_function() -> None:
    torch.manual_seed(0)
    block = Block().eval()
    images = torch.randn(3, 4, 8, 8)
    again = simplified(block, {"": images})
    with torch.no_grad():
        assert torch.allclose(again(images), block(images), atol=1e-6)
    assert again.get_submodule("first").padding == (1, 1)
    assert isinstance(again.get_submodule("second.zeros"), torch.nn.ZeroPad2d)  # unequal sides stay as they are
    assert again.get_submodule("act").inplace
    assert not again.get_submodule("other").inplace


@pytest.mark.parametrize("kind", ["bert", "distilbert", "roberta"])
@pytest.mark.parametrize("product", ["default", "onednn"])
def test_texts_without_padding_have_the_same_features(tmp_path: Path, kind: str, product: str) -> None:
    """The head's, and those of a layer in the middle; lengths mixed, some of them equal."""
    save_text_model(tmp_path / "model", kind)
    encoder = open_encoder(str(tmp_path / "model"))
    assert encoder.head is not None
    middle = "distilbert.transformer.layer.0" if kind == "distilbert" else f"{kind}.encoder.layer.0"
    layers = [encoder.head, middle]
    for texts in (some_texts(ROWS), ("bird",)):
        rows = text_rows(texts)
        batch = next(iter(encoder.reader.batches(rows.inputs, slice(0, len(rows)))))
        with running(encoder, PLAIN) as module:
            wanted = layer_features(encoder, module, batch.given, layers)
        with running(encoder, Way(packed=True, product=product), batch.given) as module:  # type: ignore[arg-type]
            found = layer_features(encoder, module, batch.given, layers)
            assert layer_features(encoder, module, batch.given, layers)[middle].equal(found[middle])
        for name in layers:
            assert (found[name] - wanted[name]).norm() <= 1e-5 * wanted[name].norm()
        with running(encoder, PLAIN) as module:  # nothing is left behind
            assert layer_features(encoder, module, batch.given, layers)[middle].equal(wanted[middle])


def test_texts_packed_for_an_attention_that_sees_less_are_refused(tmp_path: Path) -> None:
    save_text_model(tmp_path / "model")
    encoder = open_encoder(str(tmp_path / "model"))
    batch = next(iter(encoder.reader.batches(text_rows().inputs, slice(0, ROWS))))
    for part in encoder.module.modules():
        if hasattr(part, "is_causal"):
            part.is_causal = True
    with running(encoder, Way(packed=True), batch.given) as module, pytest.raises(InputError, match="whole text"):
        layer_features(encoder, module, batch.given, ["classifier"])


def _without_norms(module: torch.nn.Module) -> torch.nn.Module:
    copied = copy.deepcopy(module)
    for name, part in list(copied.named_modules()):
        if isinstance(part, torch.nn.BatchNorm2d):
            parent, _, last = name.rpartition(".")
            setattr(copied.get_submodule(parent), last, torch.nn.Identity())
    return copied


def test_minilm_is_its_own_library_s(tmp_path: Path) -> None:
    """Mean of tokens, length one: compared with a plain loop over single, unpadded texts."""
    encoder = open_encoder("minilm")
    assert encoder.folder is not None
    texts = ("A bird flew over the water.", "rain", "People watched from far away while it landed on the old pier.")
    features = one(extract_layers(encoder, text_rows(texts), folder=tmp_path))
    tokenizer = transformers.AutoTokenizer.from_pretrained(encoder.folder)
    with torch.no_grad():
        hidden = [
            encoder.module(**tokenizer(text, return_tensors="pt")).last_hidden_state.mean(dim=1) for text in texts
        ]
    assert torch.allclose(features, torch.nn.functional.normalize(torch.cat(hidden)), atol=1e-5)


@pytest.mark.slow
def test_efficientnet_s_features_enter_its_head(tmp_path: Path) -> None:
    encoder = open_encoder("efficientnet-lite0")
    images = torch.rand(2, 3, 50, 40, generator=torch.Generator().manual_seed(0))
    features = one(extract_layers(encoder, make_rows(images, torch.tensor([0, 1])), folder=tmp_path))
    pixels = next(iter(encoder.reader.batches(images, slice(0, 2)))).given["inputs"]
    with torch.no_grad():
        wanted = encoder.module.extract_features(pixels).mean(dim=(2, 3))  # type: ignore[operator]
    assert features.shape == (2, 1280)
    assert torch.allclose(features, wanted, atol=1e-4)


def test_a_model_of_the_hub_without_network_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    began = time.perf_counter()
    with pytest.raises(InputError, match=r"no model of that name could be fetched from the hub .*; check the name"):
        open_encoder("nobody/nothing")
    assert time.perf_counter() - began < 60


def test_code_that_came_with_a_model_needs_trust(tmp_path: Path) -> None:
    save_text_model(tmp_path / "model")
    config = tmp_path / "model" / "config.json"
    config.write_text(config.read_text().replace("{", '{"auto_map": {"AutoModel": "net.Net"},', 1))
    with pytest.raises(InputError, match="--trust-code"):
        open_encoder(str(tmp_path / "model"))


def test_weights_that_are_not_all_there_are_refused(tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    save_text_model(tmp_path / "model")
    file = tmp_path / "model" / "model.safetensors"
    tensors = load_file(file)
    del tensors["classifier.weight"]
    save_file(tensors, file, {"format": "pt"})
    with pytest.raises(InputError, match=r"lack 1 tensors .*classifier\.weight.*random"):
        open_encoder(str(tmp_path / "model"))


def test_weights_with_a_pickled_object_are_refused(tmp_path: Path) -> None:
    import pickle

    class Evil:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return os.mkdir, (str(tmp_path / "ran"),)

    save_text_model(tmp_path / "model")
    (tmp_path / "model" / "model.safetensors").unlink()
    (tmp_path / "model" / "pytorch_model.bin").write_bytes(pickle.dumps(Evil()))
    with pytest.raises(InputError, match="could not be loaded"):
        open_encoder(str(tmp_path / "model"))
    assert not (tmp_path / "ran").exists()


def test_texts_for_a_model_of_images_and_the_other_way_round(tmp_path: Path) -> None:
    save_image_model(tmp_path / "images", "vit")
    save_text_model(tmp_path / "texts")
    with pytest.raises(InputError, match="reads images"):
        extract_layers(open_encoder(str(tmp_path / "images")), text_rows(), folder=tmp_path / "cache")
    images = make_rows(torch.rand(3, 3, 8, 8), torch.tensor([0, 1, 0]))
    with pytest.raises(InputError, match="reads texts"):
        extract_layers(open_encoder(str(tmp_path / "texts")), images, folder=tmp_path / "cache")

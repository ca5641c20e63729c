"""The decoder against Hugging Face's Llama, and its files."""

import json
from pathlib import Path

import pytest
import torch

from surefoot.errors import InputError
from surefoot.text.decoder import Shape, build_decoder
from surefoot.text.decoder_files import open_decoder, save_decoder
from surefoot.text.vocabulary import Vocabulary

LETTERS = Vocabulary(tuple("abcdefghijklmno"))
TOKENS = torch.tensor([[1, 7, 9, 6, 3, 12, 19], [1, 8, 8, 5, 4, 11, 2]])


@pytest.mark.parametrize("shape", [Shape(20), Shape(20, 32, 3, 2, 48, 64), Shape(20, 24, 1, 4)])
def test_hugging_face_opens_it_as_a_llama_with_the_same_logits(shape: Shape, tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    decoder = build_decoder(shape, 3)
    with torch.no_grad():  # scales that are all one would hide one that is forgotten
        for values in decoder.parameters():
            if values.dim() == 1:
                values.uniform_(0.5, 1.5, generator=torch.Generator().manual_seed(0))
    save_decoder(tmp_path, decoder, LETTERS, {})
    theirs = transformers.LlamaForCausalLM.from_pretrained(tmp_path)
    with torch.no_grad():
        torch.testing.assert_close(theirs(TOKENS).logits, decoder(TOKENS), atol=2e-6, rtol=2e-5)
    theirs.save_pretrained(tmp_path / "again")
    (tmp_path / "again" / "symbols.json").write_bytes((tmp_path / "symbols.json").read_bytes())
    opened = open_decoder(tmp_path / "again")
    assert opened.vocabulary == LETTERS
    assert torch.equal(opened.decoder(TOKENS), decoder(TOKENS))


@pytest.mark.parametrize("positions", ["rotary", "learned"])
def test_padding_on_the_left_changes_no_logit(positions: str, tmp_path: Path) -> None:
    decoder = build_decoder(Shape(20, positions=positions), 1)  # pyright: ignore[reportArgumentType]
    padded = torch.cat([torch.zeros(2, 3, dtype=torch.int64), TOKENS], dim=1)
    found = decoder(padded, torch.tensor([3, 3]))[:, 3:]
    torch.testing.assert_close(found, decoder(TOKENS), atol=2e-6, rtol=2e-5)
    save_decoder(tmp_path, decoder, LETTERS, {"task": "none"})
    opened = open_decoder(tmp_path)
    assert opened.record == {"task": "none"}
    assert torch.equal(opened.decoder(TOKENS), decoder(TOKENS))


def test_no_place_sees_what_comes_after_it() -> None:
    decoder = build_decoder(Shape(20), 1)
    other = TOKENS.clone()
    other[:, 4:] = 5
    torch.testing.assert_close(decoder(other)[:, :4], decoder(TOKENS)[:, :4], atol=1e-6, rtol=1e-5)
    assert not torch.allclose(decoder(other)[:, 4:], decoder(TOKENS)[:, 4:], atol=1e-2)


def test_rotary_logits_depend_on_distances_alone() -> None:
    decoder = build_decoder(Shape(20), 1)
    shifted = torch.cat([torch.zeros(2, 5, dtype=torch.int64), TOKENS], dim=1)
    # As if all places were five further: only what is hidden and the angles differ.
    hidden = torch.tensor([5, 5])
    at_five = decoder(shifted, hidden)[:, 5:]
    torch.testing.assert_close(at_five, decoder(TOKENS), atol=2e-6, rtol=2e-5)


@pytest.mark.parametrize("wrong", [{"width": 30, "heads": 4}, {"width": 12, "heads": 4}, {"depth": 0}, {"hidden": -1}])
def test_impossible_shapes_are_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(InputError):
        Shape(20, **wrong)  # pyright: ignore[reportArgumentType]


def test_a_text_beyond_the_context_is_refused() -> None:
    with pytest.raises(InputError, match="7 tokens is beyond the context of 6"):
        build_decoder(Shape(20, context=6), 0)(TOKENS)


def test_folders_that_are_none_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"has no symbols\.json"):
        open_decoder(tmp_path)
    save_decoder(tmp_path, build_decoder(Shape(20), 0), LETTERS, {})
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**config, "intermediate_size": 64}))
    with pytest.raises(InputError, match="6 are missing or of another shape and 0 are too many"):
        open_decoder(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps({**config, "num_key_value_heads": 2}))
    with pytest.raises(InputError, match="shares keys between heads"):
        open_decoder(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "llama"}))
    with pytest.raises(InputError, match="is not that of a decoder"):
        open_decoder(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps(config))
    symbols = json.loads((tmp_path / "symbols.json").read_text())
    for damaged in ({}, [], None, 3, {**symbols, "symbols": "abc"}, {**symbols, "spaced": 1}, {**symbols, "record": 0}):
        (tmp_path / "symbols.json").write_text(json.dumps(damaged))
        with pytest.raises(InputError, match="does not hold symbols"):
            open_decoder(tmp_path)
    for symbol in (5, None, ["a"]):
        (tmp_path / "symbols.json").write_text(json.dumps({**symbols, "symbols": [*"abcdefghijklmn", symbol]}))
        with pytest.raises(InputError, match="symbols that are no texts"):
            open_decoder(tmp_path)
    (tmp_path / "symbols.json").write_text(json.dumps({**symbols, "symbols": ["a", "b"]}))
    with pytest.raises(InputError, match="has 7 symbols and the model 20"):
        open_decoder(tmp_path)
    with pytest.raises(InputError, match="The vocabulary has 6 symbols and the decoder 20"):
        save_decoder(tmp_path, build_decoder(Shape(20), 0), Vocabulary(("a",)), {})

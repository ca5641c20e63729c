"""A decoder in a folder, as Hugging Face keeps a Llama: `config.json`, `model.safetensors`, and the symbols.

    save_decoder(folder, decoder, vocabulary, {"task": "parity-16"})
    opened = open_decoder(folder)

One with rotary positions is opened by `LlamaForCausalLM.from_pretrained(folder)`, and one that was saved there, with as
many heads for keys as for queries, is opened here. One with learned positions is no Llama and says so.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor

from surefoot.errors import InputError
from surefoot.files import read_json, read_tensors, write_json, write_tensors
from surefoot.text.decoder import BASE, EPSILON, Decoder, Shape
from surefoot.text.vocabulary import BEGIN, END, PAD, Vocabulary

__all__ = ["OpenedDecoder", "llama_weights", "open_decoder", "save_decoder"]

SYMBOLS = "symbols.json"
LONGEST = 10_000_000
"""Places of a decoder, at most."""
LEARNED = "model.embed_positions.weight"


class OpenedDecoder(NamedTuple):
    """record: what whoever saved it said of it."""

    decoder: Decoder
    vocabulary: Vocabulary
    record: Mapping[str, Any]


def save_decoder(folder: Path, decoder: Decoder, vocabulary: Vocabulary, record: Mapping[str, Any]) -> None:
    """Write a decoder, its symbols and what is to be said of it."""
    shape = decoder.shape
    if vocabulary.size != shape.symbols:
        raise InputError(
            f"The vocabulary has {vocabulary.size} symbols and the decoder {shape.symbols}; save each with its own."
        )
    rotary = shape.positions == "rotary"
    config = {
        "architectures": ["LlamaForCausalLM" if rotary else "SurefootDecoder"],
        "model_type": "llama" if rotary else "surefoot-decoder",
        "vocab_size": shape.symbols,
        "hidden_size": shape.width,
        "intermediate_size": shape.units,
        "num_hidden_layers": shape.depth,
        "num_attention_heads": shape.heads,
        "num_key_value_heads": shape.heads,
        "head_dim": shape.width // shape.heads,
        "max_position_embeddings": shape.context,
        "rms_norm_eps": EPSILON,
        "rope_parameters": {"rope_type": "default", "rope_theta": BASE},
        "rope_theta": BASE,
        "hidden_act": "silu",
        "attention_bias": False,
        "mlp_bias": False,
        "tie_word_embeddings": False,
        "bos_token_id": BEGIN,
        "eos_token_id": END,
        "pad_token_id": PAD,
        "torch_dtype": "float32",
    }
    write_tensors(folder / "model.safetensors", llama_weights(decoder), {"format": "pt"})
    said = {"symbols": list(vocabulary.symbols), "spaced": vocabulary.spaced, "record": dict(record)}
    write_json(folder / SYMBOLS, said)
    write_json(folder / "config.json", config)


def open_decoder(folder: Path) -> OpenedDecoder:
    """Read what `save_decoder` wrote, or Hugging Face of such a model; raises `InputError` for anything else."""
    if not (folder / SYMBOLS).is_file():
        raise InputError(f"{folder} has no {SYMBOLS}, so it holds no decoder of surefoot; give a folder that does.")
    said, config = read_json(folder / SYMBOLS), read_json(folder / "config.json")
    shape = _shape(folder, config)
    vocabulary, record = _symbols(folder, said)
    if vocabulary.size != shape.symbols:
        raise InputError(
            f"{folder / SYMBOLS} has {vocabulary.size} symbols and the model {shape.symbols}; save both again."
        )
    found = read_tensors(folder / "model.safetensors")
    _refuse_larger(folder, shape, found)
    decoder = Decoder(shape)
    _take(folder, decoder, found)
    return OpenedDecoder(decoder.eval(), vocabulary, record)


def llama_weights(decoder: Decoder) -> dict[str, Tensor]:
    """The weights under the names that Hugging Face gives them."""
    return {
        name: part.clone()
        for own, names in _names(decoder.shape).items()
        for name, part in zip(names, decoder.get_parameter(own).detach().chunk(len(names)), strict=True)
    }


def _names(shape: Shape) -> dict[str, tuple[str, ...]]:
    """Each tensor of ours, and those of Hugging Face that it is made of."""
    names: dict[str, tuple[str, ...]] = {"embed.weight": ("model.embed_tokens.weight",)}
    if shape.positions == "learned":
        names["places.weight"] = (LEARNED,)
    for place in range(shape.depth):
        own, theirs = f"blocks.{place}.", f"model.layers.{place}."
        names |= {
            own + "before_attention": (theirs + "input_layernorm.weight",),
            own + "queries_keys_values.weight": tuple(f"{theirs}self_attn.{each}_proj.weight" for each in "qkv"),
            own + "out.weight": (theirs + "self_attn.o_proj.weight",),
            own + "before_units": (theirs + "post_attention_layernorm.weight",),
            own + "gate_up.weight": (theirs + "mlp.gate_proj.weight", theirs + "mlp.up_proj.weight"),
            own + "down.weight": (theirs + "mlp.down_proj.weight",),
        }
    return names | {"norm": ("model.norm.weight",), "head.weight": ("lm_head.weight",)}


def _symbols(folder: Path, said: Any) -> tuple[Vocabulary, Mapping[str, Any]]:
    try:
        symbols, spaced, record = said["symbols"], said["spaced"], said["record"]
    except (KeyError, TypeError):
        symbols, spaced, record = None, None, None
    if not (isinstance(symbols, list) and isinstance(spaced, bool) and isinstance(record, dict)):
        raise InputError(
            f"{folder / SYMBOLS} does not hold symbols, whether they are spaced, and a record; save the decoder again."
        )
    texts = cast("list[Any]", symbols)
    if not all(isinstance(each, str) for each in texts):
        raise InputError(f"{folder / SYMBOLS} has symbols that are no texts; save the decoder again.")
    return Vocabulary(tuple(texts), spaced), cast("Mapping[str, Any]", record)


def _shape(folder: Path, config: Any) -> Shape:
    try:
        width, heads = int(config["hidden_size"]), int(config["num_attention_heads"])
        shape = Shape(
            symbols=int(config["vocab_size"]),
            width=width,
            depth=int(config["num_hidden_layers"]),
            heads=heads,
            hidden=int(config["intermediate_size"]),
            context=int(config["max_position_embeddings"]),
            positions="rotary" if config["model_type"] == "llama" else "learned",
        )
        rope = config.get("rope_parameters") or config
        same = (
            config.get("num_key_value_heads", heads) == heads
            and config["rms_norm_eps"] == EPSILON
            and float(rope.get("rope_theta", BASE)) == BASE
            and not config.get("tie_word_embeddings", False)
        )
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise InputError(f"{folder / 'config.json'} is not that of a decoder ({error!r}); save it again.") from None
    if not same:
        raise InputError(
            f"The model in {folder} shares keys between heads, ties its symbols, or has another base or epsilon than a "
            f"decoder of surefoot ({BASE:g}, {EPSILON:g}); open it as a model of Hugging Face."
        )
    return shape


def _refuse_larger(folder: Path, shape: Shape, found: Mapping[str, Tensor]) -> None:
    """Nothing is built that is larger than the weights that are there."""
    there = sum(tensor.numel() for tensor in found.values())
    places = shape.context * shape.width if shape.positions == "learned" else 0
    needed = (
        shape.depth * (4 * shape.width**2 + 3 * shape.width * shape.units) + 2 * shape.symbols * shape.width + places
    )
    if needed > there or shape.context > LONGEST:
        raise InputError(
            f"{folder / 'config.json'} speaks of {needed:,} weights and {shape.context:,} places, and the file of "
            f"weights has {there:,}; save the model again."
        )


def _take(folder: Path, decoder: Decoder, found: Mapping[str, Tensor]) -> None:
    names = _names(decoder.shape)
    wanted = {
        name: part.shape
        for own, parts in names.items()
        for name, part in zip(parts, decoder.get_parameter(own).chunk(len(parts)), strict=True)
    }
    wrong = sorted(name for name, shape in wanted.items() if name not in found or found[name].shape != shape)
    more = sorted(set(found) - set(wanted))
    if wrong or more:
        raise InputError(
            f"The weights in {folder} are not those that its config.json speaks of: {len(wrong)} are missing or of "
            f"another shape and {len(more)} are too many (such as {(wrong or more)[0]}); save the model again."
        )
    with torch.no_grad():
        for own, parts in names.items():
            decoder.get_parameter(own).copy_(torch.cat([found[name].float() for name in parts]))

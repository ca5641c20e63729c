"""Tiny text models with random weights and a tokenizer of whole words in which "!" is token 0, as it is in GPT-2."""

import warnings
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from hub_examples import WORDS, save_text_model, spread, transformers
from tokenizers import Tokenizer, models, pre_tokenizers

from surefoot.hub.encoder import Encoder
from surefoot.hub.pretrained import open_folder
from surefoot.rows.rows import Rows, make_rows
from surefoot.rows.texts import Texts
from surefoot.supervise.labels import WeakLabels, weak_labels

KINDS = ("bert", "gpt2", "llama")
LONGEST = 40
DECODER_WORDS = ("!", "[END]", *WORDS)


def save_tiny(folder: Path, kind: str) -> Path:
    """A body of three layers with its tokenizer."""
    if kind == "bert":
        save_text_model(folder, "plain")
        return folder
    sizes: dict[str, Any] = {"vocab_size": len(DECODER_WORDS), "bos_token_id": 1, "eos_token_id": 1}
    with warnings.catch_warnings(), torch.random.fork_rng(devices=[]):
        warnings.simplefilter("ignore")
        torch.manual_seed(0)
        if kind == "gpt2":
            config = transformers.GPT2Config(n_embd=16, n_layer=3, n_head=2, n_positions=LONGEST, **sizes)
            module: Any = transformers.GPT2LMHeadModel(config)
        else:
            config = transformers.LlamaConfig(
                hidden_size=16, num_hidden_layers=3, num_attention_heads=2, intermediate_size=32,
                max_position_embeddings=LONGEST, **sizes,
            )  # fmt: skip
            module = transformers.LlamaForCausalLM(config)
        spread(module)
        module.eval().save_pretrained(folder)
        vocabulary = {word: number for number, word in enumerate(DECODER_WORDS)}
        inner = Tokenizer(models.WordLevel(vocabulary, unk_token="[END]"))
        inner.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
        tokenizer = transformers.PreTrainedTokenizerFast(
            tokenizer_object=inner, eos_token="[END]", pad_token="[END]", model_max_length=LONGEST
        )
        tokenizer.save_pretrained(folder)
    return folder


@cache
def tiny(folder: Path, kind: str) -> Encoder:
    """One encoder for all tests of a session; nothing may change it."""
    return open_folder(save_tiny(folder / kind, kind))


def text_rows(texts: tuple[str, ...], classes: int = 2) -> Rows:
    targets = torch.arange(len(texts)) % classes
    ids = np.array([f"text {number}" for number in range(len(texts))], dtype=np.str_)
    return make_rows(Texts((texts,)), targets, classes=[f"class {each}" for each in range(classes)], ids=ids)


def some_labels(texts: tuple[str, ...], classes: int = 2, seed: int = 0) -> WeakLabels:
    """Soft labels drawn at random, of uneven shares."""
    drawn = torch.randn(len(texts), classes, generator=torch.Generator().manual_seed(seed))
    drawn[:, 0] += 0.7
    return weak_labels(text_rows(texts, classes), drawn.softmax(dim=1), seen=frozenset({"elsewhere"}), by="crowd")

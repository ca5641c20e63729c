"""Tiny causal language models with their tokenizers, by their own library; nothing is downloaded."""

import warnings
from typing import Any

import torch
from hub_examples import transformers
from tokenizers import Tokenizer, models, pre_tokenizers
from torch import Tensor

from surefoot.hub.language import LanguageModel

WORDS = ("Label", ":", "yes", "no", "maybe", "not", "sure", "gem", "dull", "fine", "film", "a", "N", "/", "A")
VOCABULARY = ("<s>", "</s>", "<unk>", *WORDS)


def word_tokenizer(*, begins: bool = False) -> Any:
    """Words and marks as tokens; begins: with a token that starts every text."""
    from tokenizers.processors import TemplateProcessing

    inner = Tokenizer(models.WordLevel({word: number for number, word in enumerate(VOCABULARY)}, unk_token="<unk>"))
    inner.pre_tokenizer = pre_tokenizers.Whitespace()
    if begins:
        inner.post_processor = TemplateProcessing(single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 1)])
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=inner, bos_token="<s>", eos_token="</s>", unk_token="<unk>", pad_token="</s>"
    )


def random_model(kind: str, *, begins: bool = False, context: int = 48) -> LanguageModel:
    """Random weights, in float64 so that two ways to the same number can be told from two numbers."""
    with warnings.catch_warnings(), torch.random.fork_rng(devices=[]):
        warnings.simplefilter("ignore")
        torch.manual_seed(0)
        if kind == "llama":
            config = transformers.LlamaConfig(
                vocab_size=len(VOCABULARY), hidden_size=16, intermediate_size=32, num_hidden_layers=2,
                num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=context,
            )  # fmt: skip
            module = transformers.LlamaForCausalLM(config)
        else:
            config = transformers.GPT2Config(
                vocab_size=len(VOCABULARY), n_embd=16, n_layer=2, n_head=2, n_positions=context
            )
            module = transformers.GPT2LMHeadModel(config)
        for parameter in module.parameters():
            with torch.no_grad():
                parameter.add_(torch.randn(parameter.shape), alpha=0.3)
    return LanguageModel(kind, module.double().eval(), word_tokenizer(begins=begins), context)


def pair_model(table: Tensor) -> LanguageModel:
    """A model that looks at the last token alone: p(next | last) is the table `[tokens, tokens]`, to seven digits.

    Attention and the layer's products are zero, so what enters the head is the token's own unit vector, which the norm
    brings to √tokens (in float32, whatever the model is in).
    """
    size = len(VOCABULARY)
    config = transformers.LlamaConfig(
        vocab_size=size, hidden_size=size, intermediate_size=4, num_hidden_layers=1, num_attention_heads=1,
        num_key_value_heads=1, head_dim=4, max_position_embeddings=32, rms_norm_eps=0.0, tie_word_embeddings=False,
    )  # fmt: skip
    with warnings.catch_warnings(), torch.random.fork_rng(devices=[]):
        warnings.simplefilter("ignore")
        module = transformers.LlamaForCausalLM(config).double().eval()
    with torch.no_grad():
        module.model.embed_tokens.weight.copy_(torch.eye(size))
        module.model.layers[0].self_attn.o_proj.weight.zero_()
        module.model.layers[0].mlp.down_proj.weight.zero_()
        module.lm_head.weight.copy_(table.log().T / size**0.5)
    return LanguageModel("pairs", module, word_tokenizer(), 32)


def some_table(seed: int = 0) -> Tensor:
    """Probabilities of the next token, one row for each last one."""
    generator = torch.Generator().manual_seed(seed)
    drawn = torch.rand(len(VOCABULARY), len(VOCABULARY), generator=generator, dtype=torch.float64) + 0.1
    return drawn / drawn.sum(dim=1, keepdim=True)


def number(word: str) -> int:
    return VOCABULARY.index(word)

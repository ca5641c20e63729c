"""Tiny chat models with random weights, whose tokens are words, and templates of the kinds that there are."""

import warnings
from typing import Any

import torch
from hub_examples import transformers
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

from surefoot.hub.language import LanguageModel

WORDS = ("system", "user", "assistant", "Be", "brief.", "a", "b", "c", "d", "yes", "no")
SPECIAL = ("<|im_end|>", "<|im_start|>", "<unk>")
THOUGHTS = ("<think>", "</think>")
PLAIN = (
    "{% for message in messages %}<|im_start|> {{ message.role }} {{ message.content }} <|im_end|> {% endfor %}"
    "{% if add_generation_prompt %}<|im_start|> assistant {% endif %}"
)
OWN = "{% if messages[0].role != 'system' %}<|im_start|> system Be a b c <|im_end|> {% endif %}" + PLAIN
WITHIN = (
    "{% if messages[0].role == 'system' %}a {{ messages[0].content }} b {% set messages = messages[1:] %}{% endif %}"
    "{% for message in messages %}{{ message.content }} {% endfor %}"
)
NO_SYSTEM = "{% if messages[0].role == 'system' %}{{ raise_exception('no system here') }}{% endif %}" + PLAIN
OPENS = PLAIN.replace("assistant {% endif %}", "assistant <think>{% endif %}")


def chat_model(template: str | None = PLAIN, *, marks: bool = True, context: int = 64, seed: int = 0) -> LanguageModel:
    """In float64, so that two ways to the same number can be told from two numbers. The padding is the end."""
    every = (*SPECIAL, *(THOUGHTS if marks else ()), *WORDS)
    inner = Tokenizer(models.WordLevel({word: number for number, word in enumerate(every)}, unk_token="<unk>"))
    inner.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    inner.decoder = decoders.WordPiece(prefix="##", cleanup=False)
    tokenizer: Any = transformers.PreTrainedTokenizerFast(
        tokenizer_object=inner, eos_token="<|im_end|>", pad_token="<|im_end|>", unk_token="<unk>",
        additional_special_tokens=["<|im_start|>"],
    )  # fmt: skip
    if marks:
        tokenizer.add_tokens([AddedToken(each, special=False, normalized=False) for each in THOUGHTS])
    tokenizer.chat_template = template
    with warnings.catch_warnings(), torch.random.fork_rng(devices=[]):
        warnings.simplefilter("ignore")
        torch.manual_seed(seed)
        config = transformers.LlamaConfig(
            vocab_size=len(every), hidden_size=16, intermediate_size=32, num_hidden_layers=2, num_attention_heads=4,
            num_key_value_heads=2, max_position_embeddings=context, eos_token_id=0, pad_token_id=0, bos_token_id=1,
        )  # fmt: skip
        module = transformers.LlamaForCausalLM(config)
        with torch.no_grad():
            for parameter in module.parameters():
                parameter.add_(torch.randn(parameter.shape), alpha=0.3)
    return LanguageModel("tiny", module.double().eval(), tokenizer, context)

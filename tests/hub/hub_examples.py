"""Tiny models with random weights, saved as their libraries save them; nothing is downloaded."""

import os
import warnings
from pathlib import Path
from typing import Any

os.environ["HF_HUB_OFFLINE"] = "1"

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import transformers

import torch

WORDS = ("the", "bird", "flew", "over", "water", "land", "while", "people", "watched", "from", "far", "near", "old")
VOCABULARY = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS)


def save_text_model(folder: Path, kind: str = "bert", labels: int = 2, **config: Any) -> Any:
    """A classifier of texts with its tokenizer; returns the module."""
    sizes = {"vocab_size": len(VOCABULARY), "num_labels": labels}
    bert = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
    with warnings.catch_warnings(), torch.random.fork_rng(devices=[]):
        warnings.simplefilter("ignore")
        torch.manual_seed(0)
        if kind == "bert":
            module = transformers.BertForSequenceClassification(
                transformers.BertConfig(**sizes, **bert, max_position_embeddings=40, **config)
            )
        elif kind == "distilbert":
            module = transformers.DistilBertForSequenceClassification(
                transformers.DistilBertConfig(
                    **sizes, dim=16, n_layers=2, n_heads=2, hidden_dim=32, max_position_embeddings=40, **config
                )
            )
        elif kind == "roberta":
            module = transformers.RobertaForSequenceClassification(
                transformers.RobertaConfig(**sizes, **bert, max_position_embeddings=42, pad_token_id=0, **config)
            )
        else:
            module = transformers.BertModel(transformers.BertConfig(**sizes, **bert, max_position_embeddings=40))
        spread(module)
        module.eval().save_pretrained(folder)
        save_tokenizer(folder)
    return module


def save_tokenizer(folder: Path) -> None:
    """A tokenizer of whole words, for all kinds of models here."""
    folder.mkdir(parents=True, exist_ok=True)
    vocabulary = {word: number for number, word in enumerate(VOCABULARY)}
    tokenizer = transformers.BertTokenizer(vocab=vocabulary, model_max_length=40)
    assert tokenizer("bird").input_ids == [2, VOCABULARY.index("bird"), 3]
    tokenizer.save_pretrained(folder)


def save_image_model(folder: Path, kind: str, labels: int = 2) -> Any:
    """A classifier of images with its processor; returns the module."""
    with warnings.catch_warnings(), torch.random.fork_rng(devices=[]):
        warnings.simplefilter("ignore")
        torch.manual_seed(0)
        if kind == "vit":
            module = transformers.ViTForImageClassification(
                transformers.ViTConfig(
                    hidden_size=16,
                    num_hidden_layers=2,
                    num_attention_heads=2,
                    intermediate_size=32,
                    image_size=16,
                    patch_size=8,
                    num_labels=labels,
                )
            )
            processor = transformers.ViTImageProcessorPil(size={"height": 16, "width": 16})
        elif kind == "resnet":
            module = transformers.ResNetForImageClassification(
                transformers.ResNetConfig(
                    embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1], layer_type="basic", num_labels=labels
                )
            )
            processor = transformers.ViTImageProcessorPil(size={"height": 32, "width": 32})
        else:
            module = transformers.ConvNextForImageClassification(
                transformers.ConvNextConfig(hidden_sizes=[8, 16], depths=[1, 1], num_stages=2, num_labels=labels)
            )
            processor = transformers.ViTImageProcessorPil(size={"height": 32, "width": 32})
        spread(module)
        module.eval().save_pretrained(folder)
        processor.save_pretrained(folder)
    return module


def spread(module: torch.nn.Module) -> None:
    """Weights and stored averages large enough for rows to differ; initial ones make all logits nearly equal."""
    for name, tensor in [*module.named_parameters(), *module.named_buffers()]:
        if tensor.is_floating_point():
            with torch.no_grad():
                noise = torch.randn(tensor.shape) * (0.3 if tensor.ndim > 1 else 0.1)
                tensor.add_(noise.abs() if name.endswith("running_var") else noise)


def some_texts(count: int, longest: int = 30, seed: int = 0) -> tuple[str, ...]:
    """Texts of mixed length."""
    generator = torch.Generator().manual_seed(seed)
    lengths = torch.randint(1, longest, (count,), generator=generator).tolist()
    return tuple(
        " ".join(WORDS[place] for place in torch.randint(len(WORDS), (length,), generator=generator).tolist())
        for length in lengths
    )

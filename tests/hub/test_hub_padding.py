"""Tokenizers without a token for padding, as GPT-2's: padded with the one that ends texts, and never attended to."""

import json
import shutil
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from hub_examples import some_texts, spread, transformers
from tuning_examples import save_tiny, some_labels

from surefoot.errors import InputError
from surefoot.hub.encoder import Encoder
from surefoot.hub.layers import layer_features, own_layer
from surefoot.hub.pretrained import open_folder
from surefoot.hub.tuning.keep import keep_tuned, open_tuned
from surefoot.hub.tuning.settings import Tune
from surefoot.hub.tuning.tune import TextLearner, said_of_texts, tune
from surefoot.rows.texts import Texts

TEXTS = (*some_texts(7), "bird", "bird [END]", "! !")


@pytest.fixture(scope="module")
def with_padding(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny(tmp_path_factory.mktemp("padded") / "gpt2", "gpt2")


def lacking(folder: Path, out: Path, *names: str) -> Path:
    """The same folder, its tokenizer without these tokens."""
    shutil.copytree(folder, out)
    for name in ("tokenizer_config.json", "special_tokens_map.json"):
        if (out / name).is_file():
            told = json.loads((out / name).read_text(encoding="utf-8"))
            (out / name).write_text(json.dumps({key: told[key] for key in told if key not in names}), encoding="utf-8")
    return out


def features(encoder: Encoder) -> torch.Tensor:
    name = own_layer(encoder)
    found: dict[int, torch.Tensor] = {}
    for batch in encoder.reader.batches(Texts((TEXTS,)), slice(0, len(TEXTS))):
        found |= zip(batch.places, layer_features(encoder, encoder.module, batch.given, [name])[name], strict=True)
    return torch.stack([found[place] for place in range(len(TEXTS))])


def test_features_and_students_are_those_of_the_tokenizer_with_padding(with_padding: Path, tmp_path: Path) -> None:
    folder = lacking(with_padding, tmp_path / "none", "pad_token")
    assert transformers.AutoTokenizer.from_pretrained(folder).pad_token_id is None
    one, other = open_folder(with_padding), open_folder(folder)
    assert torch.equal(features(one), features(other))
    labels = some_labels(TEXTS)
    learners = [TextLearner("tiny", each, settings=Tune(epochs=1, batch=4, rate=0.01)) for each in (one, other)]
    tuned = [tune(learner, labels, 0) for learner in learners]
    first, second = (said_of_texts(each, labels.rows.inputs) for each in tuned)
    assert torch.equal(first.features, second.features)
    alone = torch.cat([said_of_texts(tuned[1], Texts(((text,),))).features for text in TEXTS])
    torch.testing.assert_close(second.features, alone, rtol=1e-4, atol=1e-5)
    again = open_tuned(keep_tuned(tuned[1], tmp_path / "kept"))
    torch.testing.assert_close(said_of_texts(again, labels.rows.inputs).features, alone, rtol=1e-4, atol=1e-4)


def test_a_classifier_of_sequences_says_what_it_says_of_each_text_alone(with_padding: Path, tmp_path: Path) -> None:
    folder = lacking(with_padding, tmp_path / "none", "pad_token")
    with warnings.catch_warnings(), torch.random.fork_rng(devices=[]):
        warnings.simplefilter("ignore")
        config = transformers.AutoConfig.from_pretrained(folder)
        config.pad_token_id = None
        module: Any = transformers.GPT2ForSequenceClassification(config)
        spread(module)
        module.eval().save_pretrained(folder)
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
        with torch.no_grad():
            wanted = torch.cat(
                [module(input_ids=tokenizer(text, return_tensors="pt").input_ids).logits for text in TEXTS]
            )
    encoder = open_folder(folder)
    assert (encoder.head, encoder.pooling) == ("score", "last")
    torch.testing.assert_close(features(encoder) @ module.score.weight.T, wanted, rtol=1e-4, atol=1e-5)


def test_without_a_token_that_ends_texts_it_is_refused(with_padding: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="has no padding token"):
        open_folder(lacking(with_padding, tmp_path / "neither", "pad_token", "eos_token"))

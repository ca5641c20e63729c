"""What comes next: known tables, the model asked prompt by prompt, padding, shared beginnings, and what is refused."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hub_examples import save_text_model, transformers
from language_examples import VOCABULARY, number, pair_model, random_model, some_table
from tokenizers import Tokenizer, models

from surefoot.errors import InputError
from surefoot.hub import language
from surefoot.hub.language import LanguageModel, open_language_model, prompt_lengths, word_scores

PROMPTS = (
    "a gem Label : yes a dull film Label : no fine Label :",
    "a gem Label : yes a dull film Label : no a fine fine film sure Label :",
    "a gem Label : yes a dull film Label : no Label :",
)
WORDS = (" yes", " not sure", " no", " maybe not sure")


def one_by_one(model: LanguageModel, prompts: tuple[str, ...], words: tuple[str, ...]) -> torch.Tensor:
    """Each prompt with each word alone, whole, by the library: no padding, nothing shared."""
    found = torch.zeros(len(prompts), len(words), dtype=torch.float64)
    for row, prompt in enumerate(prompts):
        begun = model.tokenizer(prompt, add_special_tokens=False).input_ids
        for column, word in enumerate(words):
            whole = model.tokenizer(prompt + word, add_special_tokens=False).input_ids
            if model.tokenizer("a").input_ids[0] == 0:
                begun, whole = [0, *begun], [0, *whole]
            with torch.no_grad():
                logs = model.module(torch.tensor([whole])).logits[0].log_softmax(dim=1)
            first = len(model.tokenizer(prompt, add_special_tokens=False).input_ids) + (whole[0] == 0)
            found[row, column] = sum(float(logs[place - 1, whole[place]]) for place in range(first, len(whole)))
    return found


@pytest.mark.parametrize("share", [True, False])
def test_words_get_the_probabilities_of_a_known_table(share: bool) -> None:
    table = some_table()
    model = pair_model(table)
    logs = table.log()
    colon, no, not_, sure = (number(word) for word in (":", "no", "not", "sure"))
    found = word_scores(model, ["a gem Label :", "dull Label :"], [" no", " not sure"], share=share)
    wanted = torch.stack([logs[colon, no], logs[colon, not_] + logs[not_, sure]]).repeat(2, 1)
    torch.testing.assert_close(found, wanted, rtol=0, atol=1e-7)


@pytest.mark.parametrize("begins", [True, False])
@pytest.mark.parametrize("share", [True, False])
@pytest.mark.parametrize("kind", ["llama", "gpt2"])
def test_scores_are_those_of_each_prompt_alone(kind: str, share: bool, begins: bool) -> None:
    model = random_model(kind, begins=begins)
    found = word_scores(model, PROMPTS, WORDS, share=share)
    wanted = one_by_one(model, PROMPTS, WORDS)
    torch.testing.assert_close(found, wanted, rtol=0, atol=1e-10)
    assert (found[0] - found[1]).abs().max() > 0.01  # the prompts do differ


@pytest.mark.parametrize("kind", ["llama", "gpt2"])
def test_neither_batches_nor_the_side_of_padding_change_scores(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model = random_model(kind)
    wanted = word_scores(model, PROMPTS, WORDS)
    for side in ("left", "right"):
        model.tokenizer.padding_side = side
        torch.testing.assert_close(word_scores(model, PROMPTS, WORDS), wanted, rtol=0, atol=0)
    monkeypatch.setattr(language, "MOST_KEPT", 1)  # one prompt at a time: nothing is padded
    torch.testing.assert_close(word_scores(model, PROMPTS, WORDS), wanted, rtol=0, atol=1e-10)
    monkeypatch.undo()
    monkeypatch.setattr(language, "BATCH_TOKENS", 20)
    turned = word_scores(model, PROMPTS[::-1], WORDS).flip(0)
    torch.testing.assert_close(turned, wanted, rtol=0, atol=1e-10)


def test_what_all_prompts_begin_with_is_read_once() -> None:
    model = random_model("llama")
    read: list[int] = []
    hook = model.module.register_forward_pre_hook(
        lambda _, __, given: read.append(given["input_ids"].numel()), with_kwargs=True
    )
    word_scores(model, PROMPTS, (" yes", " no"))
    shared, alone = list(read), sum(prompt_lengths(model, PROMPTS))
    read.clear()
    word_scores(model, PROMPTS, (" yes", " no"), share=False)
    hook.remove()
    assert shared[0] == 11  # up to the second "no"
    assert sum(shared) <= 11 + 3 * 8
    assert sum(read) >= alone > sum(shared)


def test_one_prompt_and_equal_prompts_share_short_of_their_end() -> None:
    model = random_model("gpt2")
    alone = word_scores(model, PROMPTS[:1], WORDS)
    torch.testing.assert_close(word_scores(model, PROMPTS[:1] * 3, WORDS), alone.repeat(3, 1), rtol=0, atol=1e-10)
    inside = (PROMPTS[2], PROMPTS[2].removesuffix(" Label :"))  # one begins as all of the other
    torch.testing.assert_close(word_scores(model, inside, WORDS), one_by_one(model, inside, WORDS), rtol=0, atol=1e-10)


def test_prompts_beyond_the_context_are_counted_and_refused() -> None:
    model = replace(random_model("gpt2", context=24), context=20)
    assert prompt_lengths(model, PROMPTS) == [14, 18, 13]
    whole = word_scores(model, PROMPTS, (" yes", " maybe not sure"))  # 18 + 3 − 1: the last is asked for, not read
    torch.testing.assert_close(whole, one_by_one(model, PROMPTS[:3], (" yes", " maybe not sure")), rtol=0, atol=1e-10)
    with pytest.raises(InputError, match=r"1 of 3 prompts are longer than the 19 tokens .* \(the longest has 20\)"):
        word_scores(replace(model, context=19), PROMPTS, (" yes", " maybe not sure"))
    with pytest.raises(InputError, match=r"1 of 3 prompts are longer than the 17 tokens .* \(the longest has 18\)"):
        word_scores(replace(model, context=17), PROMPTS, (" yes", " no"))


def test_words_that_are_not_two_answers_are_refused() -> None:
    model = random_model("llama")
    with pytest.raises(InputError, match='" not sure" begins as " not" does'):
        word_scores(model, PROMPTS, (" not sure", " not"))
    with pytest.raises(InputError, match='" yes" begins as " yes" does'):
        word_scores(model, PROMPTS, (" yes", " yes"))
    with pytest.raises(InputError, match='"" runs into the end'):
        word_scores(model, PROMPTS, ("", " no"))
    with pytest.raises(InputError, match="0 prompts"):
        word_scores(model, (), (" yes",))


def test_a_word_that_becomes_one_token_with_its_prompt_is_refused() -> None:
    pieces = {piece: number for number, piece in enumerate(("<unk>", "a", "b", ":", " ", ": ", ": b"))}
    inner = Tokenizer(models.BPE(pieces, [(":", " "), (": ", "b")], unk_token="<unk>"))
    tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_object=inner, unk_token="<unk>")
    model = replace(random_model("llama"), tokenizer=tokenizer)
    assert word_scores(model, ("ab:", "b:"), ("a", "b")).shape == (2, 2)
    with pytest.raises(InputError, match=r'The word " b" runs into the end of its prompt "ab:"'):
        word_scores(model, ("ab:", "b:"), ("a", " b"))


def test_folders_are_opened_and_those_without_a_head_for_words_are_refused(tmp_path: Path) -> None:
    made = random_model("gpt2")
    made.module.float().save_pretrained(tmp_path / "tiny")
    made.tokenizer.save_pretrained(tmp_path / "tiny")
    opened = open_language_model(str(tmp_path / "tiny"))
    assert (opened.name, opened.context) == ("tiny", 48)
    assert len(opened.tokenizer) == len(VOCABULARY)
    torch.testing.assert_close(
        word_scores(opened, PROMPTS, WORDS), word_scores(made, PROMPTS, WORDS), rtol=0, atol=1e-5
    )
    save_text_model(tmp_path / "classifier")
    with pytest.raises(InputError, match=r"would be random; give a model that was trained to say the next word"):
        open_language_model(str(tmp_path / "classifier"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="No language model could be opened"):
        open_language_model(str(tmp_path / "empty"))

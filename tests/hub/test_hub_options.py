"""Options scored as a tree are those scored alone, whatever their lengths, their batch, and what they share."""

import random
from typing import Any

import pytest
import torch
from chat_examples import OPENS, PLAIN, chat_model
from language_examples import number, pair_model, random_model, some_table
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

from surefoot.errors import InputError
from surefoot.hub import options as module
from surefoot.hub.chat import chat_policy
from surefoot.hub.language import LanguageModel
from surefoot.hub.options import Asked, continuations, reads_trees, scored, text_scores
from surefoot.text.options import OptionScorer, option_scores
from surefoot.text.policy import Message, Prompt, Unaskable

ONCE, APART = "each prompt is read once for all of its options", "each option is read with its prompt"


def alone(model: LanguageModel, asked: Asked) -> list[float]:
    """Each option's row by itself, without padding, mask or positions: what the library says."""
    found: list[float] = []
    for option in asked.options:
        row = torch.tensor([[*asked.prompt, *option]])
        with torch.inference_mode():
            logs = model.module(row).logits[0].double().log_softmax(dim=1)
        start = len(asked.prompt) - 1
        found.append(sum(float(logs[start + at, token]) for at, token in enumerate(option)))
    return found


def drawn(seed: int, count: int, *, shared: int = 0) -> list[Asked]:
    """Prompts of 1 to 12 tokens behind some that they share, and 1 to 4 options of 1 to 5 each."""
    draws = random.Random(seed)

    def some(most: int) -> tuple[int, ...]:
        return tuple(draws.randrange(3, 16) for _ in range(draws.randrange(1, most + 1)))

    start = tuple(draws.randrange(3, 16) for _ in range(shared))
    return [Asked((*start, *some(12)), tuple(some(5) for _ in range(draws.randrange(1, 5)))) for _ in range(count)]


def logs(model: LanguageModel, asked: list[Asked]) -> list[list[float]]:
    found = scored(model, asked)
    assert found.way == ONCE
    assert [[each.tokens for each in row] for row in found.options] == [list(map(len, each.options)) for each in asked]
    return [[each.log_probability for each in row] for row in found.options]


@pytest.mark.parametrize("kind", ["llama", "gpt2"])
@pytest.mark.parametrize("shared", [0, 9])
@pytest.mark.parametrize("at_once", [1, 40, 4096])
def test_a_tree_gives_what_rows_give(kind: str, shared: int, at_once: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "AT_ONCE", at_once)
    model, asked = random_model(kind), drawn(1, 12, shared=shared)
    for found, each in zip(logs(model, asked), asked, strict=True):
        assert found == pytest.approx(alone(model, each), abs=1e-9)


def test_options_and_prompts_may_begin_alike_be_the_same_and_stand_twice() -> None:
    model = random_model("llama")
    prompt = (3, 4, 5, 6, 7, 8, 9)
    asked = [
        Asked(prompt, ((4, 5), (4, 5, 6), (4,), (4, 5), (9, 5))),
        Asked(prompt, ((4, 5), (10, 11))),
        Asked((*prompt, 4), ((5,), (5, 6))),
        Asked(prompt[:5], ((8, 9, 4),)),
    ]
    trees = module._trees(asked)
    assert len(trees) == 1
    assert len(trees[0].tokens) < len(prompt) + 8
    for found, each in zip(logs(model, asked), asked, strict=True):
        assert found == pytest.approx(alone(model, each), abs=1e-9)


def test_prompts_share_a_row_where_that_is_worth_it(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = drawn(2, 10, shared=20)
    assert len(module._trees(asked)) == 1
    assert len(module._trees(drawn(2, 10))) > 5
    monkeypatch.setattr(module, "LONGEST", 60)
    trees = module._trees(asked)
    assert 1 < len(trees) < 10
    assert all(len(each.tokens) <= 60 for each in trees)


@pytest.mark.parametrize("broken", ["mask", "positions", "siblings"])
def test_a_mask_or_a_position_that_is_wrong_is_another_number(broken: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """That the comparisons above can fail, and that a model which ignores what it is told is not read as a tree."""
    model, asked = random_model("llama"), drawn(3, 6)
    assert reads_trees(model, 20)
    right = module._logits

    def wrong(model: Any, ids: Any, positions: Any, seen: Any, most: int) -> Any:
        if broken == "mask":
            seen = torch.ones_like(seen).tril()
        if broken == "siblings":
            seen = seen | torch.eye(seen.shape[1], dtype=torch.bool).roll(1, dims=0).tril()
        if broken == "positions":
            positions = torch.arange(ids.shape[1]).expand_as(ids)
        return right(model, ids, positions, seen, most)

    expected = [log for each in asked for log in alone(model, each)]
    monkeypatch.setattr(module, "_logits", wrong)
    found = [log for row in logs(model, asked) for log in row]
    assert max(abs(one - two) for one, two in zip(found, expected, strict=True)) > 0.01
    again = random_model("llama")  # not tried yet
    assert not reads_trees(again, 20)
    fallen = scored(again, asked)
    assert fallen.way == APART
    assert [each.log_probability for row in fallen.options for each in row] == pytest.approx(expected, abs=1e-9)


def test_a_model_whose_window_slides_is_read_row_by_row_beyond_it() -> None:
    model = random_model("llama")
    model.module.config.sliding_window = 16
    assert reads_trees(model, 16)
    assert not reads_trees(model, 17)


def local_model(window: int) -> LanguageModel:
    """A model whose second layer sees so many places of a row, whatever mask it is given; in float32 at its heart."""
    import transformers

    random_one = random_model("gpt2", context=200)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        config = transformers.GPTNeoConfig(
            vocab_size=18, max_position_embeddings=200, hidden_size=16, num_layers=2, num_heads=2,
            attention_types=[[["global", "local"], 1]], window_size=window, bos_token_id=0, eos_token_id=1,
        )  # fmt: skip
        inner = transformers.GPTNeoForCausalLM(config)
        for parameter in inner.parameters():
            with torch.no_grad():
                parameter.add_(torch.randn(parameter.shape), alpha=0.3)
    return LanguageModel("local", inner.double().eval(), random_one.tokenizer, 200)


@pytest.mark.parametrize("shared", [0, 9, 40])
def test_a_model_with_local_attention_of_another_name_is_read_row_by_row(shared: int) -> None:
    model, asked = local_model(16), drawn(4, 6, shared=shared)
    assert not reads_trees(local_model(100), 9), "whatever few tokens show"
    found = scored(model, asked)
    assert found.way == APART
    for row, each in zip(found.options, asked, strict=True):
        assert [one.log_probability for one in row] == pytest.approx(alone(model, each), abs=1e-6)


def test_a_window_that_no_setting_tells_of_is_found_where_rows_are_longer_than_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Short rows first, which are no proof for long ones."""
    monkeypatch.setattr(module, "_windows", lambda told: iter(()))
    model = local_model(64)
    short, long = drawn(4, 2), drawn(4, 6, shared=50)
    assert len(module._trees(long)) == 1
    for asked, way in ((short, ONCE), (long, APART), (short, ONCE)):
        found = scored(model, asked)
        assert found.way == way
        for row, each in zip(found.options, asked, strict=True):
            assert [one.log_probability for one in row] == pytest.approx(alone(model, each), abs=1e-6)
    assert scored(random_model("gpt2", context=200), long).way == ONCE


@pytest.mark.parametrize(
    ("told", "windows"),
    [
        ({"window_size": 16}, [None]),
        ({"attention_window_size": 2048}, [None]),
        ({"attention_window": [32, 32]}, [None]),
        ({"local_attention": 128}, [None]),
        ({"attention_types": [[["global", "local"], 1]]}, [None]),
        ({"attention_types": [[["global"], 2]]}, []),
        ({"text_config": {"sliding_window_size": 9}}, [None]),
        ({"text_config": {"sliding_window": 9}}, [9]),
        ({"attention_chunk_size": 8, "sliding_window": None}, [8]),
        ({"vision_config": {"window_size": 8}, "id2label": {0: "window"}}, []),
        ({"use_sliding_window": True, "max_window_layers": 28, "chunk_size_feed_forward": 4}, []),
        ({"sliding_window_pattern": 4, "num_local_experts": 8, "window_size": 0}, []),
    ],
)
def test_local_attention_is_known_by_its_settings(told: Any, windows: list[int | None]) -> None:
    assert list(module._windows(told)) == windows


def test_padding_sees_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """A place that sees nothing is no number in some models, and every row of its batch with it."""
    masks: list[torch.Tensor] = []
    right = module._logits

    def looked(model: Any, ids: Any, positions: Any, seen: Any, most: int) -> Any:
        masks.append(seen)
        return right(model, ids, positions, seen, most)

    monkeypatch.setattr(module, "_logits", looked)
    logs(random_model("llama"), drawn(1, 12))
    assert any(len(each) > 1 for each in masks)
    assert all(each.diagonal(dim1=1, dim2=2).all() for each in masks)


def test_a_model_that_sees_one_token_alone_has_the_probabilities_of_its_table() -> None:
    table = some_table()
    model = pair_model(table)
    found = text_scores(model, ["gem film"], [[" yes", " not sure"]])
    a, b, c, d = (number(each) for each in ("film", "yes", "not", "sure"))
    assert [each.log_probability for each in found.options[0]] == pytest.approx(
        [float(table[a, b].log()), float((table[a, c] * table[c, d]).log())], abs=1e-6
    )


def test_what_is_too_long_is_refused_and_named() -> None:
    model = random_model("llama", context=10)
    asked = [Asked((3,) * 8, ((4, 5),)), Asked((3,) * 8, ((4,), (4, 5, 6))), Asked((3,) * 11, ((4,),))]
    assert scored(model, asked[:1]).options[0][0].log_probability == pytest.approx(alone(model, asked[0])[0], abs=1e-9)
    with pytest.raises(Unaskable, match=r"2 of 3 prompts .* longer than the 10 tokens") as caught:
        scored(model, asked)
    assert caught.value.places == (1, 2)
    assert scored(model, []).options == ()


def byte_model(*, begins: bool = False) -> LanguageModel:
    """Bytes as tokens, and pairs that merge across the end of a prompt: ". " with what follows, " A", "é"."""
    import transformers

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    merges = [("Ġ", "A"), ("A", "B"), ("Ã", "©"), ("Ġ", "Ġ")]
    names = ["<s>", "</s>", *alphabet, *(one + two for one, two in merges)]
    inner = Tokenizer(models.BPE({name: at for at, name in enumerate(names)}, merges))
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    inner.decoder = decoders.ByteLevel()
    if begins:
        from tokenizers.processors import TemplateProcessing

        inner.post_processor = TemplateProcessing(single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 1)])
    tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_object=inner, bos_token="<s>", eos_token="</s>")
    torch.manual_seed(0)
    config = transformers.LlamaConfig(
        vocab_size=len(names), hidden_size=16, intermediate_size=32, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, max_position_embeddings=128,
    )  # fmt: skip
    return LanguageModel("bytes", transformers.LlamaForCausalLM(config).double().eval(), tokenizer, 128)


def encoded(model: LanguageModel, context: str, option: str) -> tuple[list[int], list[int]]:
    """Context and continuation as lm-eval splits them, by its description."""
    spaces = len(context) - len(context.rstrip())
    if spaces:
        option, context = context[-spaces:] + option, context[:-spaces]
    whole = model.tokenizer.encode(context + option, add_special_tokens=False)
    start = model.tokenizer.encode(context, add_special_tokens=False)
    return start, whole[len(start) :]


@pytest.mark.parametrize("begins", [False, True])
@pytest.mark.parametrize(
    ("context", "options"),
    [
        ("Who?", [" A", " AB", " é"]), ("Who? ", ["A", "AB"]), ("Who?  \n", ["A"]),
        ("Wer heißt André?", ["é", " Žofie", "名"]), ("\u00a0x\u2003", ["A"]), ("A", ["B", "BA"]),
    ],
)  # fmt: skip
def test_texts_are_split_where_lm_eval_splits_them(begins: bool, context: str, options: list[str]) -> None:
    model = byte_model(begins=begins)
    if (context, options[0]) == ("A", "B"):  # "AB" is one token: nothing of it is beyond the context's own
        with pytest.raises(InputError, match='"B" adds no token'):
            continuations(model, context, options)
        options = options[1:]
    asked = continuations(model, context, options)
    first = (0,) if begins else ()
    for option, found in zip(options, asked.options, strict=True):
        start, more = encoded(model, context, option)
        assert asked.prompt == (*first, *start)
        assert list(found) == more
    found = text_scores(model, [context], [options])
    assert found.way == ONCE
    assert [each.log_probability for each in found.options[0]] == pytest.approx(alone(model, asked), abs=1e-9)


@pytest.mark.parametrize("context", ["", "  \n"])
def test_an_empty_context_is_the_token_that_begins_texts(context: str) -> None:
    model = byte_model()
    asked = continuations(model, context, ["A", "<s>A"])
    assert asked.prompt == (0,)
    spaces = tuple(model.tokenizer.encode(context))
    assert asked.options[0][-1:] == tuple(model.tokenizer.encode(f"{context}A"))[-1:]
    if not spaces:
        assert asked.options[0] == asked.options[1]  # it is not given the beginning twice
    model.tokenizer.bos_token = None
    assert continuations(model, context, ["A"]).prompt == (1,)
    model.tokenizer.eos_token = None
    with pytest.raises(InputError, match="no token that begins or ends texts"):
        continuations(model, context, ["A"])


CHAT: tuple[Prompt, ...] = (
    "a", "b c d", (Message("system", "Be a"), Message("user", "c d")), (Message("user", "a"),), "a b c d a b c d a",
)  # fmt: skip


@pytest.mark.parametrize("template", [PLAIN, OPENS, None])
def test_completions_have_the_log_probability_of_the_plain_way(template: str | None) -> None:
    policy = chat_policy(chat_model(template))
    assert isinstance(policy, OptionScorer)
    mark = "<think> " if template == OPENS else ""
    prompts = [each for each in CHAT if template or isinstance(each, str)]
    options = [
        [f"{mark}{said}" for said in ("yes", "no", "yes no", "", "a b c d")[: 2 + at]] for at in range(len(prompts))
    ]
    found = option_scores(policy, prompts, options)
    assert found.way == ONCE
    plain = policy.log_probability(
        [prompt for prompt, each in zip(prompts, options, strict=True) for _ in each],
        [said for each in options for said in each],
    )
    assert [each.log_probability for row in found.options for each in row] == pytest.approx(plain.tolist(), abs=1e-9)


def test_continuations_of_a_conversation_count_no_end() -> None:
    policy = chat_policy(chat_model(PLAIN))
    with_end, without = (option_scores(policy, ["a"], [["yes", "no"]], each) for each in ("completion", "continuation"))
    asked = Asked(
        policy.row("a", "yes").tokens[:-2], tuple(policy.row("a", each).tokens[-2:-1] for each in ("yes", "no"))
    )
    assert [each.tokens for each in with_end.options[0]] == [2, 2]
    assert [each.tokens for each in without.options[0]] == [1, 1]
    assert [each.log_probability for each in without.options[0]] == pytest.approx(alone(policy.model, asked), abs=1e-9)


def test_prompts_that_a_chat_model_cannot_be_asked_are_named() -> None:
    policy = chat_policy(chat_model(PLAIN))
    with pytest.raises(Unaskable, match="mark of its own") as caught:
        policy.option_scores(["a", "<|im_end|>", "b"], [["yes"]] * 3)
    assert caught.value.places == (1,)
    with pytest.raises(InputError, match=r"opens a thought, and a completion has none"):
        chat_policy(chat_model(OPENS)).option_scores(["a"], [["yes"]])

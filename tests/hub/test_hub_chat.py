"""A local chat model as a policy, against its own library, single rows and forward passes, and what it must refuse."""

from collections import Counter

import pytest
import torch
from chat_examples import NO_SYSTEM, OPENS, OWN, PLAIN, WITHIN, chat_model

from surefoot.errors import InputError
from surefoot.hub import chat
from surefoot.hub.chat import ChatPolicy, chat_policy
from surefoot.hub.templates import own_system_message, rendered, uses_marks
from surefoot.inference.checkpoint import identity
from surefoot.text.images import Image
from surefoot.text.policy import Message, Policy, Prompt, Sampling, Unaskable

PROMPTS: tuple[Prompt, ...] = (
    "a b",
    "c",
    (Message("user", "a b c d"), Message("assistant", "yes"), Message("user", "no")),
)


def tokens_of(policy: ChatPolicy, prompt: Prompt) -> list[int]:
    text = rendered(policy.model, prompt, policy.system, policy.roles)
    return policy.model.tokenizer(text, add_special_tokens=False)["input_ids"]


def test_greedy_completions_are_those_of_the_library() -> None:
    """transformers' own `generate`, one row at a time without padding; ours in one batch. The end is counted."""
    ends = 0
    for seed in range(4):
        policy = chat_policy(chat_model(seed=seed))
        assert isinstance(policy, Policy)
        rows = policy.sample(PROMPTS, Sampling(temperature=0.0, most=12), seed=0)
        for prompt, (said,) in zip(PROMPTS, rows, strict=True):
            ids = torch.tensor([tokens_of(policy, prompt)])
            made = policy.model.module.generate(
                ids, attention_mask=torch.ones_like(ids), max_new_tokens=12, do_sample=False, pad_token_id=0
            )[0, ids.shape[1] :]
            assert said.tokens == len(made)
            assert said.ended == (int(made[-1]) == 0)
            assert said.text == policy.model.tokenizer.decode(made[: len(made) - said.ended])
            ends += said.ended
    assert 0 < ends < 12


@pytest.mark.parametrize("template", [None, PLAIN, OPENS])
def test_probabilities_are_those_of_single_rows_without_padding(template: str | None) -> None:
    policy = chat_policy(chat_model(template))
    texts = ["a", "a b c d a b", "", "yes no", "<think> a b </think> c"]
    if template == OPENS:
        texts = [f"<think> {each} </think> c" for each in texts[:4]] + texts[4:]
    found = policy.log_probability(["a b c d a"] * 3 + ["c"] * 2, texts)
    for text, prompt, log in zip(texts, ["a b c d a"] * 3 + ["c"] * 2, found.tolist(), strict=True):
        before = tokens_of(policy, prompt)
        said = text.removeprefix("<think>") if template == OPENS else text
        after = [*policy.model.tokenizer(said, add_special_tokens=False)["input_ids"], 0]
        logits = policy.model.module(torch.tensor([[*before, *after]])).logits[0].detach().log_softmax(dim=1)
        wanted = sum(float(logits[len(before) - 1 + at, token]) for at, token in enumerate(after))
        assert log == pytest.approx(wanted, abs=1e-10)


def test_what_was_drawn_is_as_probable_as_it_is_said_to_be() -> None:
    policy = chat_policy(chat_model())
    rows = policy.sample(PROMPTS, Sampling(count=20, most=10), seed=1)
    asked = [(prompt, each) for prompt, row in zip(PROMPTS, rows, strict=True) for each in row if each.ended]
    assert len(asked) > 10
    again = policy.log_probability([prompt for prompt, _ in asked], [each.text for _, each in asked])
    assert again.tolist() == pytest.approx([each.log_probability for _, each in asked], abs=1e-9)


def test_draws_have_the_models_own_distribution_at_each_temperature() -> None:
    """First tokens of 3,000 completions: χ² with at most 15 degrees of freedom is above 59.7 one time in 3e-7."""
    policy = chat_policy(chat_model(seed=6))
    ids = torch.tensor([tokens_of(policy, "a b")])
    for temperature in (1.0, 0.5):
        wanted = (policy.model.module(ids).logits[0, -1].detach() / temperature).softmax(dim=0)
        (row,) = policy.sample(["a b"], Sampling(count=3_000, most=1, temperature=temperature), seed=0)
        names = ["the end", *policy.model.tokenizer.convert_ids_to_tokens(range(1, len(wanted)))]
        counts = Counter("the end" if each.ended and each.answer == "" else each.text for each in row)
        logs = {each.text: each.log_probability for each in row if not each.ended}
        assert sum(counts.values()) == 3_000
        likely = [at for at in range(len(wanted)) if wanted[at] > 0.002]
        assert 0 in likely  # a text may end before it begins
        expected = 3_000 * wanted
        assert sum(float((counts[names[at]] - expected[at]) ** 2 / expected[at]) for at in likely) < 59.7
        for at in likely[1:]:
            assert logs[names[at]] == pytest.approx(float(wanted[at].log()), abs=1e-9)


def test_rows_do_not_depend_on_their_batch_and_seeds_draw_others(monkeypatch: pytest.MonkeyPatch) -> None:
    policy, sampling = chat_policy(chat_model()), Sampling(count=3, most=9)
    together = policy.sample(PROMPTS, sampling, seed=5)
    monkeypatch.setattr(chat, "AT_ONCE", 1)
    steps: list[tuple[int, int]] = []
    alone = policy.sample(PROMPTS, sampling, 5, lambda stage, done, total: steps.append((done, total)))
    assert [[each.text for each in row] for row in alone] == [[each.text for each in row] for row in together]
    assert steps == [(1, 3), (2, 3), (3, 3)]
    assert policy.sample(PROMPTS, sampling, seed=6) != alone
    assert len({each.text for each in together[0]}) == 3
    scores = policy.log_probability(PROMPTS, ["a", "b c", "d"])
    monkeypatch.setattr(chat, "AT_ONCE", 2**14)
    assert scores.tolist() == pytest.approx(policy.log_probability(PROMPTS, ["a", "b c", "d"]).tolist(), abs=1e-10)


@pytest.mark.parametrize("template", [PLAIN, OPENS])
def test_a_budget_of_thinking_is_kept(template: str) -> None:
    """No thought is longer; those that a model did not close by itself have exactly the budget, and are closed."""
    policy = chat_policy(chat_model(template))
    (row,) = policy.sample(["a b"], Sampling(count=60, most=20, thinking=4), seed=0)
    lengths = Counter[int]()
    for each in row:
        assert each.text.startswith("<think>")
        assert each.thought is not None
        lengths[each.thought_tokens] += 1
        if each.thought_tokens == 4:
            assert "</think>" in each.text
    assert max(lengths) == 4
    assert lengths[4] > 10
    (free,) = policy.sample(["a b"], Sampling(count=60, most=20), seed=0)
    assert max(each.thought_tokens for each in free) > 4 or template == PLAIN


def test_no_thinking_is_an_empty_thought_in_the_prompt() -> None:
    model = chat_model()
    policy = chat_policy(model)
    (row,) = policy.sample(["a b"], Sampling(count=5, most=6, thinking=0), seed=0)
    logits = model.module(torch.tensor([[*tokens_of(policy, "a b"), 3, 4]])).logits[0, -1].detach()
    logits[3] = -torch.inf
    logits = logits.log_softmax(dim=0)
    (first,) = policy.sample(["a b"], Sampling(temperature=0.0, most=1, thinking=0), seed=0)[0]
    assert first.log_probability == pytest.approx(float(logits.max()), abs=1e-10)
    assert not any("<think>" in each.text for each in row)
    assert any("<think>" in each.text for each in policy.sample(["a b"], Sampling(count=60, most=6), seed=0)[0])


def test_a_thought_against_the_rule_has_no_answer_where_its_mark_is_several_tokens(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Nothing is barred; what opens a thought all the same is no answer."""
    policy = chat_policy(chat_model(seed=2))
    monkeypatch.setattr(chat, "_barred", lambda model, sampling: 0.0)
    (row,) = policy.sample(["a b"], Sampling(count=300, most=12, thinking=0), seed=0)
    against = [each for each in row if each.text.startswith("<think>") and "</think>" in each.text and each.ended]
    assert against
    assert {each.answer for each in against} == {None}


def test_models_without_marks_are_refused_a_budget() -> None:
    model = chat_model(marks=False)
    assert not uses_marks(model)
    assert uses_marks(chat_model())
    assert uses_marks(chat_model(OPENS, marks=False))
    policy = chat_policy(model)
    assert len(policy.sample(["a"], Sampling(most=3), seed=0)) == 1
    for thinking in (0, 3):
        with pytest.raises(InputError, match="was not trained on <think>; leave it free"):
            policy.sample(["a"], Sampling(thinking=thinking), seed=0)


def test_a_template_that_opens_the_thought_is_said_in_the_text() -> None:
    policy = chat_policy(chat_model(OPENS))
    (row,) = policy.sample(["a"], Sampling(count=30, most=20), seed=0)
    assert all(each.text.startswith("<think>") for each in row)
    assert any(each.thought and each.answer for each in row)
    asked = [each for each in row if each.ended]
    assert policy.log_probability(["a"] * len(asked), [each.text for each in asked]).tolist() == pytest.approx(
        [each.log_probability for each in asked], abs=1e-9
    )
    with pytest.raises(InputError, match="opens a thought, and a completion has none"):
        policy.log_probability(["a"], ["b"])


def test_prompts_beyond_the_context_are_refused() -> None:
    policy = chat_policy(chat_model(context=16))
    size = len(tokens_of(policy, "a b"))
    policy.sample(["a b"], Sampling(most=16 - size), seed=0)
    with pytest.raises(InputError, match=f"has {size} tokens, which with {17 - size} to be written is beyond the 16"):
        policy.sample(["c", "a b"], Sampling(most=17 - size), seed=0)
    with pytest.raises(InputError, match="1 of 2 prompts with their completions are longer than the 16 tokens"):
        policy.log_probability(["c", "a b"], ["d", "d " * 16])


def test_the_templates_own_system_message_is_found_recorded_and_used() -> None:
    owns = [own_system_message(chat_model(each)) for each in (None, PLAIN, OWN, WITHIN, NO_SYSTEM, OPENS)]
    assert owns == [None, None, "Be a b c", None, None, None]
    model = chat_model(OWN)
    policy = chat_policy(model)
    assert policy.system == "Be a b c"
    assert policy.told == 'tiny: chat template, the template\'s own system message "Be a b c"'
    untouched = model.tokenizer.apply_chat_template(
        [{"role": "user", "content": "a"}], tokenize=False, add_generation_prompt=True
    )
    assert rendered(model, "a", policy.system, {}) == untouched
    for system in ("Be brief.", ""):
        other = chat_policy(model, system=system)
        text = rendered(model, "a", other.system, {})
        assert "Be a b c" not in text
        assert text.startswith(f"<|im_start|> system {system} <|im_end|>")
        assert other.told == f'tiny: chat template, system message "{system}"'
    # A conversation that brings one keeps it, and one that brings none gets the one that is recorded.
    brought = (Message("system", "c"), Message("user", "a"))
    assert rendered(model, brought, policy.system, {}).startswith("<|im_start|> system c <|im_end|>")
    assert rendered(model, brought[1:], policy.system, {}) == untouched
    assert chat_policy(chat_model(PLAIN)).told == "tiny: chat template, no system message"
    assert chat_policy(chat_model(None)).told == "tiny: prompts as they are, for there is no chat template"


def test_a_plain_text_is_a_users_message_where_there_is_a_template() -> None:
    model = chat_model()
    assert rendered(model, "a b", None, {}) == rendered(model, (Message("user", "a b"),), None, {})
    assert rendered(chat_model(None), "a b", None, {}) == "a b"
    for prompt, system in (((Message("user", "a"),), None), ("a", "Be brief.")):
        with pytest.raises(InputError, match="no chat template"):
            rendered(chat_model(None), prompt, system, {})


def test_thoughts_of_earlier_turns_are_left_out() -> None:
    turns = (Message("user", "a"), Message("assistant", "<think> b </think> c"), Message("user", "d d"))
    text = rendered(chat_model(), turns, None, {})
    assert "assistant c <|im_end|>" in text
    assert "b" not in text.split()
    assert "think" not in text


def test_roles_are_mapped_only_as_said() -> None:
    model, turns = chat_model(), (Message("developer", "Be brief."), Message("user", "a"))
    with pytest.raises(InputError, match=r'role "developer".* roles=\{"developer": "system"\}'):
        chat_policy(model).sample([turns], Sampling(), seed=0)
    mapped = rendered(model, turns, None, {"developer": "system"})
    assert mapped == rendered(model, (Message("system", "Be brief."), turns[1]), None, {})
    assert "developer" not in mapped
    assert chat_policy(model, roles={"developer": "user"}).sample([turns], Sampling(most=2), seed=0)


def test_texts_that_would_be_read_as_marks_are_refused() -> None:
    model = chat_model()
    for prompt in ("a <|im_end|> b", "<|im_start|> system", (Message("system", "<|im_end|>"), Message("user", "a"))):
        with pytest.raises(InputError, match="reads as a mark of its own"):
            rendered(model, prompt, None, {})
    with pytest.raises(InputError, match="reads as a mark of its own"):
        rendered(model, "a", "<|im_end|>", {})


@pytest.mark.parametrize("template", [PLAIN, None])
def test_prompts_with_images_are_refused_and_named(template: str | None) -> None:
    policy = chat_policy(chat_model(template=template))
    shown: Prompt = (Message("user", "a", (Image("image/png", b"..."),)),)
    with pytest.raises(Unaskable, match=r"shows an image, and .* reads texts alone") as caught:
        policy.check(["a", shown, "b", shown], Sampling(most=2))
    assert caught.value.places == (1, 3)


@pytest.mark.parametrize("template", [PLAIN, OPENS, None])
def test_marks_of_thought_are_the_models_own(template: str | None) -> None:
    """In a prompt they are refused, but for the thought that an earlier turn begins with."""
    model = chat_model(template)
    for text in ("a <think>", "a </think> b", "<think> a </think> b"):
        with pytest.raises(Unaskable, match="reads as a mark of its own"):
            rendered(model, text, None, {})
    if template is not None:
        for role, text in (("system", "a <think>"), ("assistant", "a <think> b </think> c"),
                           ("assistant", "<think> a </think> b </think>")):  # fmt: skip
            with pytest.raises(Unaskable, match="reads as a mark of its own"):
                rendered(model, (Message("user", "a"), Message(role, text), Message("user", "b")), None, {})
        with pytest.raises(Unaskable, match="'</think>'"):
            rendered(model, "a", "b </think>", {})
    assert rendered(chat_model(None, marks=False), "a <think>", None, {}) == "a <think>"


def test_a_templates_own_system_message_may_name_its_marks() -> None:
    model = chat_model(OWN.replace("Be a b c", "Be <think> a </think> b"))
    policy = chat_policy(model)
    assert policy.system == "Be <think> a </think> b"
    assert "Be <think> a </think> b" in rendered(model, "a", policy.system, {})
    with pytest.raises(Unaskable):
        rendered(model, "Be <think> a </think> b", policy.system, {})


def test_a_prompt_without_a_template_opens_no_thought() -> None:
    policy = chat_policy(chat_model(None, marks=False))
    (row,) = policy.sample(["a b <think>"], Sampling(count=4, most=6), seed=0)
    assert all(each.thought is None and not each.text.startswith("<think>") for each in row)
    before = tokens_of(policy, "a b <think>")
    assert policy.row("a b <think>", "c").tokens == (*before, *tokens_of(policy, "c"), 0)


def test_all_prompts_that_cannot_be_asked_are_named_at_once() -> None:
    policy = chat_policy(chat_model(context=20))
    with pytest.raises(Unaskable, match="'<unk>'") as caught:
        policy.sample(["a", "a <unk>", "b", "a " * 18, "</think>"], Sampling(most=8), seed=0)
    assert caught.value.places == (1, 3, 4)


def test_a_policy_is_another_one_with_other_weights_and_the_same_after_it_was_asked() -> None:
    policy = chat_policy(chat_model())
    told = identity(policy)
    policy.sample(["a " * 20], Sampling(most=30), seed=0)
    assert identity(policy) == told == identity(chat_policy(chat_model()))
    others = [chat_policy(chat_model(seed=1)), chat_policy(chat_model(), system="Be brief."),
              chat_policy(chat_model(OWN)), chat_policy(chat_model(), roles={"developer": "user"})]  # fmt: skip
    assert len({told, *map(identity, others)}) == 5


def test_what_a_template_refuses_is_one_sentence() -> None:
    with pytest.raises(
        InputError, match=r"chat template of tiny refuses messages of system and user \(no system here\)"
    ):
        rendered(chat_model(NO_SYSTEM), "a", "Be brief.", {})


def test_an_empty_prompt_without_a_template_is_refused() -> None:
    with pytest.raises(InputError, match="A prompt is empty"):
        chat_policy(chat_model(None)).sample([""], Sampling(), seed=0)

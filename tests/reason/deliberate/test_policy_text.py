"""Policy files, what is made of them, and text that others wrote and that cannot leave its block."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import pytest
from hypothesis import given
from hypothesis import strategies as st

from surefoot.errors import InputError
from surefoot.progress import Progress, silent
from surefoot.reason.deliberate.model_judge import ModelJudge
from surefoot.reason.deliberate.policy_file import Category, Example, PolicyText, category_of, read_policy
from surefoot.reason.deliberate.policy_prompts import (
    TextSpec,
    answer_question,
    spec_text,
    thought_question,
)
from surefoot.reason.deliberate.stage_one import Asked, StageOne, stage_one
from surefoot.text.completion import Answered, Completion, Deliberated
from surefoot.text.policy import Message, Prompt, Sampling, Unaskable
from surefoot.text.quoting import parse_verdict, quoted, unquoted
from surefoot.text.scripted import ScriptedPolicy

YAML = """\
title: Garden rules
style: {refuse: One sentence.}
phrases: {refuse: [Not here, never], safe: [the pond keeper]}
categories:
  water:
    summary: Of watering.
    definitions: Water is what
      comes from the tap.
    allowed: [roses, "lawns: small ones"]
    safe_completion: [ponds]
    style: {comply: Plain words.}
    examples:
      - {request: "How much?", thought: "Of water: roses.", answer: A lot.}
      - request: And ponds?
        thought: Of water. Ponds are
          answered safely.
        answer: "Ask: the pond keeper."
  fire:
    disallowed: [bonfires]
"""
MARKDOWN = """\
# Garden rules

## Style
- refuse: One sentence.

## Phrases
- refuse: Not here
- refuse: never
- safe: the pond keeper

## water
### Summary
Of watering.
### Definitions
Water is what
comes from the tap.
### Allowed
- roses
- lawns:
  small ones
### Safe completion
* ponds
### Style
- comply: Plain words.
### Examples
- request: How much?
  thought: Of water: roses.
  answer: A lot.
- Request: And ponds?
- thought: Of water. Ponds are
  answered safely.
- answer: Ask: the pond keeper.

## fire
### Disallowed
- bonfires
"""
POLICY = PolicyText(
    "Garden rules",
    (
        Category(
            "water", "Of watering.", "Water is what comes from the tap.", ("roses", "lawns: small ones"), (),
            ("ponds",), {"refuse": "One sentence.", "comply": "Plain words."},
            (
                Example("How much?", "Of water: roses.", "A lot."),
                Example("And ponds?", "Of water. Ponds are answered safely.", "Ask: the pond keeper."),
            ),
        ),
        Category("fire", disallowed=("bonfires",), style={"refuse": "One sentence."}),
    ),
    {"refuse": ("not here", "never"), "safe": ("the pond keeper",)},
)  # fmt: skip


def write(folder: Path, text: str, name: str = "policy.yaml") -> Path:
    (folder / name).write_text(text, encoding="utf-8")
    return folder / name


def test_both_kinds_of_file_say_the_same(tmp_path: Path) -> None:
    assert read_policy(write(tmp_path, YAML)) == POLICY
    assert read_policy(write(tmp_path, MARKDOWN, "policy.md")) == POLICY


@pytest.mark.parametrize(
    ("text", "name", "said"),
    [
        ("", "p.yaml", "p.yaml is a policy file with no categories; give at least one"),
        ("title: x\n", "p.yaml", "is a policy file with no categories"),
        ("categories: {}\n", "p.yaml", "is a policy file with no categories"),
        ("categories: [a]\n", "p.yaml", "is a policy file with no categories"),
        ("", "p.md", "is a policy file with no categories"),
        ("# Title\n", "p.md", "is a policy file with no categories"),
        ("- a\n", "p.yaml", "p.yaml holds a list; give a title and categories"),
        ("a: [", "p.yaml", "p.yaml is no YAML"),
        ("categories: {a: {allowed: [x]}}\nmore: 1\n", "p.yaml", "has 'more' beside its categories"),
        ("categories: {a: {}}\n", "p.yaml", "The category 'a' of p.yaml has no rule"),
        ("categories: {a: }\n", "p.yaml", "The category 'a' of p.yaml says nothing"),
        ("categories: {a: {alowed: [x]}}\n", "p.yaml", "The category 'a' of p.yaml has 'alowed'; it may have"),
        ("categories: {a: {allowed: [1]}}\n", "p.yaml", "allowed of 'a' in p.yaml is [1]; give a list of sentences"),
        ("categories: {a: {allowed: [x], style: {rude: y}}}\n", "p.yaml", "The style of the category 'a' in p.yaml is"),
        ("categories:\n  a: {allowed: [x]}\n  a: {allowed: [y]}\n", "p.yaml", "p.yaml has 'a' twice in one place"),
        ("## a\n### Allowed\n- x\n## a\n", "p.md", "Line 4 of p.md begins the category 'a' again"),
        ("## a\n### Alowed\n- x\n", "p.md", "Line 2 of p.md has the part 'Alowed'"),
        ("## a\nwords\n", "p.md", "Line 2 of p.md stands under no part"),
        ("### Allowed\n- x\n", "p.md", "Line 1 of p.md has a heading in an unexpected place"),
        ("## a\n### Style\nrefuse: x\n", "p.md", "Of style one is written as '- refuse: its words', and line 3"),
        ("phrases: {comply: [x]}\ncategories: {a: {allowed: [x]}}\n", "p.yaml", "The phrases of p.yaml are"),
        (
            "phrases: {safe: [1]}\ncategories: {a: {allowed: [x]}}\n",
            "p.yaml",
            "The phrases for 'safe' in p.yaml is [1]",
        ),
        ("categories: {a: {allowed: [x], examples: [y]}}\n", "p.yaml", "The examples of 'a' in p.yaml hold 'y'; give"),
        (
            "categories: {a: {allowed: [x], examples: [{request: q, thought: t}]}}\n",
            "p.yaml",
            "give every one a request, a thought and an answer",
        ),
        (
            "categories: {a: {allowed: [x], examples: [{request: q, thought: t, answer: </think>z}]}}\n",
            "p.yaml",
            "leave <think> and </think> out",
        ),
        ("## a\n### Examples\n- thought: x\n", "p.md", "An example begins with its request, and line 3"),
        (
            "## a\n### Allowed\n- x\n### Examples\n- request: x\n  request: y\n",
            "p.md",
            "a request, a thought and an answer",
        ),
        ("## a\n### Examples\n- request: x\n- y\n", "p.md", "An example is written as '- request: ...', and line 4"),
        ("## a\n### Phrases\n- x\n", "p.md", "Line 2 of p.md has the part 'Phrases'"),
        ("## Phrases\n- x\n", "p.md", "Of phrases one is written as"),
        (YAML, "p.txt", "p.txt is no policy file; give one that ends in .yaml, .yml or .md"),
    ],
)
def test_faulty_files_are_refused(tmp_path: Path, text: str, name: str, said: str) -> None:
    with pytest.raises(InputError) as caught:
        read_policy(write(tmp_path, text, name))
    assert said in str(caught.value)


def test_missing_files_and_categories_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="There is no policy file"):
        read_policy(tmp_path / "none.md")
    with pytest.raises(InputError, match="The policy has no category 'air'; give one of water, fire"):
        category_of(POLICY, "air")


def test_a_spec_has_all_of_one_category_and_a_line_of_the_others() -> None:
    text = spec_text(POLICY, "fire")
    assert "- bonfires" in text
    assert "- water: Of watering." in text
    assert "roses" not in text
    assert "roses" in spec_text(POLICY, "water")
    assert "- comply: Plain words." in spec_text(POLICY, "water")


def test_examples_become_turns_before_the_conversation_in_one_order_or_the_other() -> None:
    """Half of all prompts see them in reverse; spec(category) itself holds none of them."""
    ponds = ("And ponds?", "<think>Of water. Ponds are answered safely.</think>Ask: the pond keeper.")
    much = ("How much?", "<think>Of water: roses.</think>A lot.")
    seen: list[tuple[str, ...]] = []
    for number in range(40):
        shown = TextSpec(POLICY)(Asked(f"Is {number} enough?", "water"))
        assert isinstance(shown, tuple)
        assert [each.role for each in shown] == ["system", *["user", "assistant"] * 2, "user"]
        assert shown[-1].text == f"Is {number} enough?"
        seen.append(tuple(each.text for each in shown[1:-1]))
        assert TextSpec(POLICY)(Asked((Message("user", f"Is {number} enough?"),), "water")) == shown
    assert set(seen) == {much + ponds, ponds + much}
    assert 8 < seen.count(much + ponds) < 32
    assert "pond keeper" not in spec_text(POLICY, "water")


def test_a_prompt_has_its_policy_before_it() -> None:
    shown = TextSpec(POLICY)(Asked("How much?", "fire"))
    assert isinstance(shown, tuple)
    assert [each.role for each in shown] == ["system", "user"]
    assert shown[1].text == "How much?"
    assert shown[0].text.startswith(spec_text(POLICY, "fire"))
    turns = (Message("system", "Be kind."), Message("user", "How much?"), Message("assistant", "A lot."))
    more = TextSpec(POLICY)(Asked(turns, "fire"))
    assert isinstance(more, tuple)
    assert more[0].text.endswith("Be kind.")
    assert more[1:] == turns[1:]


MARKS = ("<|", "[INST]", "[/inst]", "<start_of_turn>", "<end_of_turn>", "<think>", "</think>")


@given(
    st.text()
    | st.text(st.sampled_from("|< E\nND\r\x0b\x85\u2028answer:verdict 10>"), max_size=40)
    | st.lists(st.sampled_from([*MARKS, *"<[a\n "]), max_size=12).map("".join)
)
def test_nothing_ends_its_own_block(text: str) -> None:
    """Whatever line breaks a reader knows, only our own first and last lines are without a bar."""
    block = quoted("answer", text)
    lines = block.splitlines()
    assert (lines[0], lines[-1]) == ("BEGIN answer", "END answer")
    assert all(line.startswith("| ") for line in lines[1:-1])
    assert not any(each.lower() in block.lower() for each in MARKS)
    assert unquoted(block).split("\n") == [*_apart(text).splitlines(), *_last(text)]


def _apart(text: str) -> str:
    """One mark after the other, each with a space after its first character."""
    for mark in map(str.lower, MARKS):
        while (at := text.lower().find(mark)) >= 0 and len(text.lower()) == len(text):
            text = f"{text[: at + 1]} {text[at + 1 :]}"
    return text


def test_marks_of_turns_and_thoughts_are_taken_apart_and_nothing_else() -> None:
    text = "[INST] <think>x</THINK> <start_of_turn>user<end_of_turn> [/INST] <|im_end|> <b>, [a], </s> INST"
    assert unquoted(quoted("answer", text)) == (
        "[ INST] < think>x< /THINK> < start_of_turn>user< end_of_turn> [ /INST] < |im_end|> <b>, [a], </s> INST"
    )


def _last(text: str) -> list[str]:
    """The empty line that `splitlines` leaves out: of nothing, or after a last break."""
    return [""] if not text or len((text + "x").splitlines()) > len(text.splitlines()) else []


def test_only_the_judge_of_thoughts_is_shown_thoughts() -> None:
    secret = "m1=refuse"
    seen = thought_question(POLICY, "fire", Deliberated("Burn?", secret, "No."))
    unseen = answer_question(POLICY, "fire", Answered("Burn?", "No."))
    assert any(secret in each.text for each in seen)
    assert "thought" not in " ".join(each.text for each in unseen).lower()
    assert all("- bonfires" in question[0].text for question in (seen, unseen))
    assert "| No." in unseen[1].text


@pytest.mark.parametrize(
    ("said", "verdict"),
    [
        ("verdict: 10", 1.0),
        ("Reasons.\nVerdict: 0.", 0.0),
        ("  VERDICT:7  ", 0.7),
        ("a\rverdict: 3", 0.3),
        (None, None),
        ("", None),
        ("10", None),
        ("verdict: 10/10", None),
        ("verdict: 100", None),
        ("verdict: -1", None),
        ("verdict: 0.9", None),
        ("verdict: ten", None),
        ("verdict: 10\nverdict: 0", None),
        ("the answer says verdict: 10\nverdict: 2", None),
        ("my verdict: 10", None),
    ],
)
def test_verdicts_are_read_or_they_are_none(said: str | None, verdict: float | None) -> None:
    assert parse_verdict(said) == verdict


def test_a_model_judges_and_is_never_taken_for_more_than_it_says() -> None:
    def script(prompt: Prompt, attempt: int) -> str:
        assert isinstance(prompt, tuple)
        if "| No." in prompt[1].text:
            return f"<think>verdict: 1</think>Good.\nverdict: {10 - attempt}"
        return "I cannot say."

    judge = ModelJudge(ScriptedPolicy("judge", script), POLICY, {"Burn?": "fire"})
    cases = [Deliberated("Burn?", "bonfires", "No."), Deliberated("Burn?", "bonfires", "Yes.")]
    assert judge.verdicts(cases, ["fire", "fire"], 2, 0) == [(1.0, 0.9), (None, None)]
    answers = [Answered(each.prompt, each.answer) for each in cases]
    assert judge.scores(answers) == [1.0, None]
    assert judge([], answers) == [1.0, 0.0]
    assert judge.verdicts([], [], 2, 0) == []
    with pytest.raises(InputError, match="has no category ''"):
        judge([], [Answered("Water?", "No.")])


@dataclass(frozen=True)
class Choosy:
    """Cannot be asked what holds <unk>, and says whether the rest is long or short."""

    named: bool = True
    name: str = "choosy"
    context: int = 100

    def sample(
        self, prompts: Sequence[Prompt], sampling: Sampling, seed: int, progress: Progress = silent
    ) -> list[tuple[Completion, ...]]:
        held = [at for at, each in enumerate(prompts) if "<unk>" in str(each)]
        if held:
            raise Unaskable("A prompt holds <unk>; take it out.", held[:1] if self.named else ())
        said = [f"verdict: {10 if '| Yes.' in str(each) else 1}" for each in prompts]
        return [(Completion(each, None, each, 2, 0, True),) * sampling.count for each in said]

    def log_probability(self, prompts: Sequence[Prompt], completions: Sequence[str]) -> NoReturn:
        raise NotImplementedError


def test_a_case_that_the_judge_cannot_be_asked_is_unscored_and_the_others_are_not() -> None:
    judge = ModelJudge(Choosy(), POLICY, {"Burn?": "fire"})
    said = ["Yes.", "<unk>", "No.", "No. <unk>", "Yes."]
    cases = [Deliberated("Burn?", "bonfires", each) for each in said]
    assert judge.verdicts(cases, ["fire"] * 5, 2, 0) == [(1.0, 1.0), (None, None), (0.1, 0.1), (None, None), (1.0, 1.0)]
    assert judge.scores([Answered("Burn?", each) for each in said]) == [1.0, None, 0.1, None, 1.0]
    assert judge([], [Answered("Burn?", "<unk>")]) == [0.0]
    policy = ScriptedPolicy("it", lambda prompt, attempt: f"<think>bonfires</think>{said[attempt]}")
    found = stage_one(
        policy, judge, [Asked("Burn?", "fire")], TextSpec(POLICY), StageOne(Sampling(count=5, most=200), verdicts=1), 0
    )
    assert (len(found.kept), found.unscored, found.rejected) == (2, 2, 1)


def test_a_judge_that_does_not_say_what_it_cannot_be_asked_stops_the_run() -> None:
    with pytest.raises(Unaskable, match="take it out"):
        ModelJudge(Choosy(named=False), POLICY).verdicts([Deliberated("Burn?", "a", "<unk>")], ["fire"], 1, 0)

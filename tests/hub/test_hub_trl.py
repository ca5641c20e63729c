"""Tasks under TRL: its reward function, its tokenizer, and a step of its trainer where it is installed."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from surefoot.errors import InputError
from surefoot.hub.trl import reward_function, task_rows, task_tokenizer
from surefoot.reason.advantages import advantages
from surefoot.reason.course import Course
from surefoot.reason.imitate import Imitation, demonstrated, imitate
from surefoot.reason.policy_loss import Ratio, policy_loss, token_weights
from surefoot.reason.rewarding import graded, rewards_of
from surefoot.text.decoder import Decoder, Shape, build_decoder
from surefoot.text.decoder_files import save_decoder
from surefoot.text.decoder_policy import prompt_tokens
from surefoot.text.policy import Sampling
from surefoot.text.rollout import roll, token_log_probabilities, written
from surefoot.text.tasks.parity import Parity
from surefoot.text.tasks.task import Problem, problems
from surefoot.text.vocabulary import BEGIN, END, Vocabulary

SAID = ["<think>010</think>1", "1", "<think>010</think>0", "<think>1", "1</think>1", "<think>1</think>1<think>"]
WORTH = [1.0, 1.0, 0.0, 0.0, 0.0, 0.0]


class Nosy(Parity):
    """Notes what its grader is shown."""

    seen: list[tuple[Problem, str]] = []  # noqa: RUF012 - a note of the test

    def grade(self, problem: Problem, answer: str) -> float:
        self.seen.append((problem, answer))
        return super().grade(problem, answer)


@pytest.mark.parametrize("messages", [False, True])
def test_it_grades_the_answer_and_nothing_else(messages: bool) -> None:
    Nosy.seen.clear()
    reward = reward_function(Nosy(3), end=END)
    columns = {"gold": ["1"] * 6, "kind": ["three"] * 6, "id": list("abcdef"), "trainer_state": None}
    prompts: list[Any] = ["010="] * 6
    completions: list[Any] = list(SAID)
    if messages:
        prompts = [[{"role": "system", "content": "Think."}, {"role": "user", "content": each}] for each in prompts]
        completions = [[{"role": "assistant", "content": each}] for each in completions]
    found = reward(prompts=prompts, completions=completions, completion_ids=[[3, END]] * 6, **columns)
    assert found == WORTH
    assert [answer for _, answer in Nosy.seen] == ["1", "1", "0"]
    assert Nosy.seen[1][0] == Problem("b", "010=", "1", "three")
    cut = reward(prompts=prompts, completions=completions, completion_ids=[[3, END]] + [[END, 3]] * 5, **columns)
    assert cut == [1.0, 0.0, 0.0, 0.0, 0.0, 0.0]
    assert reward_function(Nosy(3), end=None)(prompts=prompts, completions=completions, **columns) == WORTH


def test_content_in_parts_is_read_and_a_missing_column_told_of() -> None:
    reward = reward_function(Parity(3), end=None)
    parts = [[{"role": "assistant", "content": [{"type": "text", "text": "<think>0</think>"}, {"text": "1"}]}]]
    assert reward(prompts=["010="], completions=parts, gold=["1"]) == [1.0]
    with pytest.raises(InputError, match="columns answer beside prompt"):
        reward(prompts=["010="], completions=["1"], answer=["1"])
    assert reward.__name__ == "parity-3 graded"


def test_rows_come_back_as_the_problems_they_were() -> None:
    asked = problems(Parity(5), "fit", 4, 0)
    for messages in (False, True):
        rows = task_rows(asked, messages=messages)
        prompts = [each["prompt"][-1]["content"] if messages else each["prompt"] for each in rows]
        back = [Problem(row["id"], prompt, row["gold"], row["kind"]) for row, prompt in zip(rows, prompts, strict=True)]
        assert tuple(back) == asked


@pytest.mark.parametrize(
    "vocabulary",
    [Vocabulary(tuple("01= .+")), Vocabulary(("comply", "refuse", "rule-1"), spaced=True)],
    ids=["characters", "words"],
)
def test_its_tokens_are_those_of_the_vocabulary(vocabulary: Vocabulary) -> None:
    tokenizer = task_tokenizer(vocabulary)
    generator = torch.Generator().manual_seed(0)
    between = " " if vocabulary.spaced else ""
    for length in (0, 1, 2, 9):
        at = torch.randint(len(vocabulary.symbols), (length,), generator=generator).tolist()
        text = between.join(vocabulary.symbols[each] for each in at)
        assert tokenizer(text)["input_ids"] == [BEGIN, *vocabulary.encode(text)]
        said = vocabulary.encode_completion(f"<think>{text}</think>{text}")
        told = tokenizer.decode(said, skip_special_tokens=True)
        if vocabulary.spaced:  # words are joined with a space beside marks too, which `part` takes away
            told = told.replace("> ", ">").replace(" <", "<")
        assert told == vocabulary.decode(said)
    assert (tokenizer.pad_token_id, tokenizer.eos_token_id, tokenizer.padding_side) == (0, END, "left")
    assert len(tokenizer) == vocabulary.size


@pytest.mark.filterwarnings("ignore::FutureWarning")  # of TRL about names of transformers
def test_a_step_of_trl_is_a_step_of_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On the same completions: its rewards, advantages, masks, loss and gradient, by its own code."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    pytest.importorskip("trl")
    from datasets import Dataset
    from transformers import LlamaForCausalLM
    from trl import GRPOConfig, GRPOTrainer

    task, count, most = Parity(3), 8, 5
    asked = problems(task, "fit", 3, 0)
    decoder = _begun(task, asked)
    rollout = roll(decoder, prompt_tokens(task.vocabulary, [each.prompt for each in asked]), Sampling(count, most), 5)
    save_decoder(tmp_path / "model", decoder, task.vocabulary, {})
    tokenizer = task_tokenizer(task.vocabulary)
    settings = GRPOConfig(
        output_dir=str(tmp_path / "out"), use_cpu=True, bf16=False, activation_checkpointing=False,
        per_device_train_batch_size=24, num_generations=count, max_completion_length=most, max_steps=2, beta=0.0,
        loss_type="dr_grpo", mask_truncated_completions=True, report_to="none", save_strategy="no", disable_tqdm=True,
        learning_rate=1e-2,
    )  # fmt: skip

    trainer = GRPOTrainer(
        LlamaForCausalLM.from_pretrained(tmp_path / "model"),
        reward_funcs=reward_function(task, end=END),
        train_dataset=Dataset.from_list(task_rows(asked)),
        processing_class=tokenizer,
        args=settings,
    )
    lengths = rollout.sampled.sum(dim=1).tolist()
    said = [row[:length] for row, length in zip(rollout.completions.tolist(), lengths, strict=True)]
    with monkeypatch.context() as patch:
        patch.setattr(trainer, "_generate_single_turn", lambda *given, **more: (said, None))
        trainer.model.train()
        batch = trainer._generate_and_score_completions([row for row in task_rows(asked) for _ in range(count)])
    trainer.current_gradient_accumulation_steps = 1
    theirs = trainer._compute_loss(trainer.model, batch)
    slopes = torch.autograd.grad(theirs, trainer.model.lm_head.weight)[0]

    rewards = rewards_of(graded(task), asked, written(task.vocabulary, rollout), count)
    found = advantages(rewards, "grpo")
    kept = found.taught.repeat_interleave(count) & rollout.ended
    assert 0 < int(kept.sum()) < 24
    weights = token_weights(rollout.sampled, kept, "dr_grpo", most)
    new = token_log_probabilities(decoder, rollout)
    ours = policy_loss(new, rollout.log_probabilities, found.values.reshape(-1), weights, Ratio()).loss
    assert float(ours.detach()) == pytest.approx(float(theirs.detach()), rel=1e-4, abs=1e-6)
    assert torch.allclose(slopes, torch.autograd.grad(ours, decoder.head.weight)[0], atol=1e-6)
    assert float(slopes.abs().max()) > 1e-4

    before = trainer.model.lm_head.weight.detach().clone()
    trainer.train()
    assert trainer.state.global_step == 2
    assert not torch.equal(before, trainer.model.lm_head.weight)


@pytest.mark.filterwarnings("ignore::FutureWarning")  # of TRL about names of transformers
def test_its_trainer_adapts_by_low_rank_and_is_graded_by_our_task(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Under peft and Accelerate: only adapters move, and the grader has seen every answer that was drawn."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    pytest.importorskip("trl")
    pytest.importorskip("peft")
    from datasets import Dataset
    from peft import LoraConfig
    from transformers import LlamaForCausalLM
    from trl import GRPOConfig, GRPOTrainer

    Nosy.seen.clear()
    task = Nosy(3)
    asked = problems(task, "fit", 3, 0)
    save_decoder(tmp_path / "model", _begun(task, asked), task.vocabulary, {})
    trainer = GRPOTrainer(
        LlamaForCausalLM.from_pretrained(tmp_path / "model"),
        reward_funcs=reward_function(task, end=END),
        train_dataset=Dataset.from_list(task_rows(asked)),
        processing_class=task_tokenizer(task.vocabulary),
        args=GRPOConfig(
            output_dir=str(tmp_path / "out"), use_cpu=True, bf16=False, activation_checkpointing=False,
            per_device_train_batch_size=24, num_generations=8, max_completion_length=5, max_steps=2, beta=0.0,
            report_to="none", save_strategy="no", disable_tqdm=True, learning_rate=1e-2, logging_steps=1,
        ),
        peft_config=LoraConfig(r=2, target_modules=["q_proj", "v_proj"], task_type="CAUSAL_LM"),
    )  # fmt: skip
    before = {name: each.detach().clone() for name, each in trainer.model.named_parameters()}
    trainer.train()
    moved = {name for name, each in trainer.model.named_parameters() if not torch.equal(before[name], each)}
    assert moved
    assert all("lora_" in name for name in moved)
    assert 0 < len(Nosy.seen) <= 2 * 24
    rewards = [line["reward"] for line in trainer.state.log_history if "reward" in line]
    right = sum(Parity.grade(task, problem, answer) for problem, answer in Nosy.seen)
    assert sum(rewards) * 24 == pytest.approx(right)


def _begun(task: Parity, asked: Sequence[Problem]) -> Decoder:
    """A decoder that thinks at times."""
    decoder = build_decoder(Shape(8, width=16, depth=2, heads=2, context=16), seed=1)
    rows = demonstrated(task.vocabulary, [each.prompt for each in asked] * 2, ["0", "<think>1</think>1"] * 3)
    return imitate(decoder, rows, Imitation(Course(25, rate=1e-2), batch=6), 0).decoder

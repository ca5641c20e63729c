"""The peer: TRL's `GRPOTrainer` on the same weights, opened by transformers from the folder that we saved.

Its settings are what is quickest for it here: float32 without checkpointed activations (TRL's defaults are bf16 and
checkpointed), the whole batch at once, no logging and no saving.
"""

import os
import sys
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TRL_EXPERIMENTAL_SILENCE"] = "1"
warnings.filterwarnings("ignore")
sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "src"))

# ruff: noqa: E402
import torch
import transformers
from datasets import Dataset
from transformers import LlamaForCausalLM, PrinterCallback
from trl import GRPOConfig, GRPOTrainer
from work import HIGH, LOW, RATE, Work, fixed_rollout, shared

from surefoot.hub.trl import reward_function, task_rows, task_tokenizer
from surefoot.text.decoder_files import save_decoder

transformers.logging.set_verbosity_error()
transformers.logging.disable_progress_bar()


def prepare(parameters: dict[str, Any]) -> Callable[[], Callable[[], dict[str, np.ndarray]]]:
    work = shared(parameters)
    folder = Path(tempfile.mkdtemp())
    save_decoder(folder / "model", work.start, work.task.vocabulary, {})
    compared = answer(trainer_of(work, folder))(work)

    def run() -> Callable[[], dict[str, np.ndarray]]:
        trainer.train()
        return lambda: renewed()

    def renewed() -> dict[str, np.ndarray]:
        """Begin the next run from the start again, off the clock."""
        nonlocal trainer
        seen = [line for line in trainer.state.log_history if "reward" in line]
        told = {name: round(float(np.mean([line[name] for line in seen])), 3) for name in KEYS if seen}
        print(f"theirs {told}", file=sys.stderr)
        trainer = trainer_of(work, folder)
        return compared

    trainer = trainer_of(work, folder)
    return run


KEYS = ("reward", "completions/mean_length", "frac_reward_zero_std")


def trainer_of(work: Work, folder: Path) -> GRPOTrainer:
    tokenizer = task_tokenizer(work.task.vocabulary)
    settings = GRPOConfig(
        output_dir=str(folder / "out"),
        use_cpu=True,
        bf16=False,
        gradient_checkpointing=False,
        per_device_train_batch_size=work.prompts * work.count,
        gradient_accumulation_steps=1,
        steps_per_generation=1,
        num_generations=work.count,
        max_completion_length=work.most,
        max_steps=work.steps,
        temperature=1.0,
        beta=0.0,
        epsilon=LOW,
        epsilon_high=HIGH,
        loss_type="dr_grpo",
        scale_rewards="group",
        mask_truncated_completions=True,
        learning_rate=RATE,
        lr_scheduler_type="constant",
        weight_decay=0.0,
        max_grad_norm=1.0,
        optim="adamw_torch",
        shuffle_dataset=False,
        logging_steps=work.steps,
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
        seed=0,
    )
    model = LlamaForCausalLM.from_pretrained(folder / "model", attn_implementation="sdpa")
    trainer = GRPOTrainer(
        model,
        reward_funcs=reward_function(work.task, end=tokenizer.eos_token_id),
        train_dataset=Dataset.from_list(task_rows(work.problems)),
        processing_class=tokenizer,
        args=settings,
    )
    trainer.remove_callback(PrinterCallback)  # it writes where the harness reads
    return trainer


def answer(trainer: GRPOTrainer) -> Callable[[Work], dict[str, np.ndarray]]:
    """TRL's own rewards, advantages, masks, loss and gradient, on completions that it is handed in place of its own."""

    def of(work: Work) -> dict[str, np.ndarray]:
        rollout = fixed_rollout(work)
        lengths = rollout.sampled.sum(dim=1).tolist()
        said = [row[:length] for row, length in zip(rollout.completions.tolist(), lengths, strict=True)]
        trainer._generate_single_turn = lambda *given, **more: (said, None)
        model = trainer.model.train()
        rows = [row for row in task_rows(work.of_step(0)) for _ in range(work.count)]
        batch = trainer._generate_and_score_completions(rows)
        trainer.current_gradient_accumulation_steps = 1
        loss = trainer._compute_loss(model, batch)
        head, down = model.lm_head.weight, model.model.layers[-1].mlp.down_proj.weight
        gradients = torch.autograd.grad(loss, [head, down])
        largest = [float(each.abs().max()) for each in gradients]
        return {
            "loss": np.array(float(loss.detach())),
            "largest": np.log(np.array(largest)),
            **{
                name: (each / size).numpy()
                for name, each, size in zip(("head", "down"), gradients, largest, strict=True)
            },
        }

    return of

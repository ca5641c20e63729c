"""Our side: machine code for the saved decoder, where llvmlite is installed."""

from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import torch
from start import folder_of, plausible, prompts_of
from transformers import LlamaForCausalLM

from surefoot.text.decoder_files import open_decoder
from surefoot.text.policy import Sampling
from surefoot.text.rollout import roll


def prepare(parameters: dict[str, Any]) -> Callable[[], Callable[[], dict[str, np.ndarray]]]:
    with folder_of(parameters) as folder:
        decoder = open_decoder(Path(folder) / "policy").decoder
        judge = LlamaForCausalLM.from_pretrained(Path(folder) / "policy").eval()
    prompts = prompts_of(parameters).tolist()
    sampling = Sampling(parameters["count"], parameters["new"])
    seeds = count()

    def work() -> Callable[[], dict[str, np.ndarray]]:
        rollout = roll(decoder, prompts, sampling, next(seeds))

        def answer() -> dict[str, np.ndarray]:
            """The probabilities that we drew from, less those that the peer gives the same tokens."""
            with torch.inference_mode():
                logits = judge(rollout.tokens[:, :-1]).logits[:, rollout.prompt - 1 :]
            logs = logits.log_softmax(2)
            plausible(logs, rollout.completions, rollout.sampled)
            found = logs.gather(2, rollout.completions[:, :, None])[:, :, 0]
            ours = (rollout.log_probabilities - found)[rollout.sampled].abs().max()
            return {"ours": ours.numpy(), "theirs": np.zeros(())}

        return answer

    return work

"""The peer: Hugging Face's `generate` on the same folder, sampling from the whole distribution at temperature 1.

With the attention and the cache that are the fastest for it in each case.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from start import folder_of, plausible, prompts_of
from transformers import LlamaForCausalLM

from surefoot.text.decoder_files import open_decoder
from surefoot.text.reading import reader_for
from surefoot.text.vocabulary import END


def prepare(parameters: dict[str, Any]) -> Callable[[], Callable[[], dict[str, np.ndarray]]]:
    with folder_of(parameters) as folder:
        decoder = open_decoder(Path(folder) / "policy").decoder
        attention = parameters["attention"]
        model = LlamaForCausalLM.from_pretrained(Path(folder) / "policy", attn_implementation=attention).eval()
    prompts = prompts_of(parameters)
    mask = torch.ones_like(prompts)
    torch.manual_seed(parameters["seed"])

    def work() -> Callable[[], dict[str, np.ndarray]]:
        with torch.inference_mode():
            tokens = model.generate(
                prompts,
                attention_mask=mask,
                do_sample=True,
                temperature=1.0,
                top_k=0,
                top_p=1.0,
                num_return_sequences=parameters["count"],
                max_new_tokens=parameters["new"],
                **parameters["settings"],
            )

        def answer() -> dict[str, np.ndarray]:
            """The peer's probabilities of its own tokens, less those that our kept keys give them."""
            new = tokens[:, prompts.shape[1] :]
            where = ((new == END).cumsum(1) - (new == END).long()) == 0
            with torch.inference_mode():
                logs = model(tokens[:, :-1]).logits[:, prompts.shape[1] - 1 :].log_softmax(2)
                reader = reader_for(
                    decoder, prompts, torch.zeros_like(prompts[:, 0]), parameters["count"], parameters["new"]
                )
                ours = torch.stack([reader.logits, *(reader.read(each) for each in new[:, :-1].unbind(1))], dim=1)
            plausible(logs, new, where)
            pair = (each.gather(2, new[:, :, None])[:, :, 0][where] for each in (logs, ours.log_softmax(2)))
            theirs = torch.sub(*pair).abs().max()
            return {"ours": np.zeros(()), "theirs": theirs.numpy()}

        return answer

    return work

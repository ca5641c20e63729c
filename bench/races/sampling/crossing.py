"""Where torch is as fast as machine code: milliseconds of processor time of 64 prompts, by the sizes of the decoder.

OMP_NUM_THREADS=1 .venv/bin/python bench/races/sampling/crossing.py
"""

import time

import torch
from start import lengthen, prompts_of

from surefoot.text import rollout
from surefoot.text.decoder import Shape, build_decoder
from surefoot.text.machine import compiled
from surefoot.text.policy import Sampling
from surefoot.text.reading import reader_for
from surefoot.text.stepping import Reader

SIZES = ((16, 2, 2), (32, 2, 2), (64, 2, 4), (128, 4, 4), (256, 4, 4), (256, 8, 4))
ROUNDS = 5


def main() -> None:
    torch.set_num_threads(1)
    compiled.LARGEST = 10**9
    prompts = prompts_of({"seed": 0, "prompts": 64, "places": 18}).tolist()
    print(
        "| width, depth, heads | weights | completions | new tokens | machine code | torch |\n|---|---|---|---|---|---|"
    )
    for width, depth, heads in SIZES:
        decoder = build_decoder(Shape(20, width, depth, heads), 0)
        with torch.no_grad():
            lengthen(decoder, mixed=False)
        weights = sum(part.numel() for part in decoder.parameters())
        for count, new in ((8, 22), (1, 22), (8, 96))[: 3 if width == 64 else 2]:
            best: list[float] = []
            for made in (reader_for, Reader):
                rollout.reader_for = made
                times: list[float] = []
                for _ in range(ROUNDS):
                    start = time.process_time()
                    rollout.roll(decoder, prompts, Sampling(count, new), 0)
                    times.append(1e3 * (time.process_time() - start))
                best.append(min(times))
            ours, theirs = best
            print(
                f"| {width}, {depth}, {heads} | {weights:,} | {count} | {new} | {ours:.1f} | {theirs:.1f} |", flush=True
            )


if __name__ == "__main__":
    main()

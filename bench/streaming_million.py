"""How long a softmax head on a million rows takes: 10⁶ × 1,280 features stored as float16, 1,000 classes, streamed.

    python bench/streaming_million.py FOLDER [--rows 1000000] [--epochs 4] [--threads 2]

Features are class centres plus Gaussian noise, made once in FOLDER (2.6 GB). Ten thousand rows are held out; the best
possible head is known (the centres), and its accuracy is printed beside the fitted head's. An epoch is
4 · rows · features · classes operations.
"""

import argparse
import resource
import time
from pathlib import Path

import torch

from surefoot.networks.product import measure_product, use_product
from surefoot.networks.tensor_file import TensorFile
from surefoot.robust.head import LinearHead
from surefoot.robust.softmax.stream import StreamSettings, stream_accuracy, stream_head

WIDTH, CLASSES, HELD_OUT, CHUNK, SPREAD = 1280, 1000, 10_000, 10_000, 0.13


def main() -> None:
    """Make the file when it is not there, fit, print one line per epoch."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    rows, total = arguments.rows, arguments.rows + HELD_OUT
    centres = SPREAD * torch.randn(CLASSES, WIDTH, generator=torch.Generator().manual_seed(0))
    targets = torch.randint(CLASSES, (total,), generator=torch.Generator().manual_seed(1))
    file = TensorFile(arguments.folder / f"features-{total}.safetensors", total, WIDTH, torch.float16)
    if not file.path.exists():
        file.prepare()
        for start in range(0, total, CHUNK):
            chunk = slice(start, min(start + CHUNK, total))
            noise = torch.randn(chunk.stop - chunk.start, WIDTH, generator=torch.Generator().manual_seed(2 + start))
            file.write(chunk, (centres[targets[chunk]] + noise).half())
    features = file.mapped()
    choice = measure_product()
    use_product(choice.name)
    print(f"products: {choice.name} ({choice.reason})", flush=True)
    optimum = LinearHead(centres, -0.5 * centres.square().sum(dim=1))
    best = stream_accuracy(optimum, features[rows:], targets[rows:])
    print(f"held-out accuracy of the best possible head: {best:.4f}", flush=True)

    clock, busy = time.perf_counter(), time.process_time()

    def report(epoch: int, head: LinearHead) -> None:
        nonlocal clock, busy
        seconds, spent = time.perf_counter() - clock, time.process_time() - busy
        speed = 4 * rows * WIDTH * CLASSES / seconds / 1e9
        accuracy = stream_accuracy(head, features[rows:], targets[rows:])
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        print(
            f"epoch {epoch}: {seconds:.1f} s ({spent:.1f} s of processor, {speed:.0f} GFLOP/s), held-out accuracy "
            f"{accuracy:.4f}, peak memory {peak:.2f} GiB (mapped file included)",
            flush=True,
        )
        clock, busy = time.perf_counter(), time.process_time()

    settings = StreamSettings(epochs=arguments.epochs)
    streamed = stream_head(features[:rows], targets[:rows], CLASSES, settings, seed=0, each_epoch=report)
    print("mean loss of each epoch (nats):", ", ".join(f"{loss:.3f}" for loss in streamed.losses))


if __name__ == "__main__":
    main()

"""How often folding a scaler into a head changes the predicted class, by the spread of features beside their mean.

    .venv/bin/python bench/fold_rounding.py

Features are 1 + spread · N(0, 1), 32 of them; random heads on standardised features, folded in float64 and then kept in
float32 or float64. Counted: rows of 10,000 (five seeds) whose argmax differs from that of the head before folding.
"""

import torch

from surefoot.robust.head import LinearHead, fold_scaler
from surefoot.robust.scaler import fit_scaler


def changed(classes: int, spread: float, dtype: torch.dtype) -> int:
    """Rows with another argmax."""
    count = 0
    for seed in range(5):
        generator = torch.Generator().manual_seed(seed)
        features = 1 + spread * torch.randn(2000, 32, generator=generator)
        scaler = fit_scaler(features)
        head = LinearHead(
            torch.randn(classes, 32, generator=generator, dtype=torch.float64),
            torch.randn(classes, generator=generator, dtype=torch.float64),
        )
        folded = fold_scaler(head, scaler.mean, scaler.scale)
        kept = LinearHead(folded.weight.to(dtype), folded.bias.to(dtype))
        count += int((head.logits(scaler.apply(features)).argmax(1) != kept.logits(features).argmax(1)).sum())
    return count


def main() -> None:
    """Print one line a spread."""
    print("spread   K=2 float32  float64   K=5 float32  float64")
    for spread in (1.0, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6):
        found = [changed(classes, spread, dtype) for classes in (2, 5) for dtype in (torch.float32, torch.float64)]
        print(f"{spread:<8g} {found[0]:11} {found[1]:8} {found[2]:13} {found[3]:8}")


if __name__ == "__main__":
    main()

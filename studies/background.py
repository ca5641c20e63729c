"""Does a refitted head lean less on the background? ImageNet-9's protocol in small, with a real ImageNet network.

    python studies/background.py [--sheet backgrounds.jpg]

Pictures: a real digit (8 classes) on a texture. `original`: every class has its own texture. `mixed`: any texture.
`foreground`: the digit on black. `background`: the texture of a class with no digit. Learning, choose and judge
pictures show different digits. Features: EfficientNet-Lite0's 1,280, as trained on ImageNet, never touched. Heads:
baseline on original pictures, DFR on mixed ones (MR), on both (MR + Og); softmax with weight decay, five seeds, each on
36 of the 48 learning digits of a class.

It took 22 minutes on two cores that other work was using, nearly all of it for the 1,488 pictures' features. Result:
mixed pictures 15.4 % for the baseline, 47.0 % for DFR on MR, 44.0 % for both; original pictures 94.3, 39.0 and 84.5 %.
Tables: docs/imagenet.md.

Source: Kirichenko, Izmailov and Wilson (2023), the ImageNet experiments; Xiao et al. (2021), "Noise or signal"
(ImageNet-9).
"""

import argparse
from pathlib import Path

import torch
from pictures import (
    PARTS,
    TEXTURES,
    Pictures,
    as_bytes,
    contact_sheet,
    digits_of_each_class,
    on_background,
    rows_of_sets,
    texture,
)
from refits import accuracy, refits, table, words

from surefoot.rows.digits import load_digits

JUDGED = ("original", "mixed", "foreground", "background")
HEADS = {"baseline (Og)": ("original",), "DFR on MR": ("mixed",), "DFR on MR + Og": ("mixed", "original")}


def compose(seed: int) -> dict[str, Pictures]:
    """Every set of pictures: the same digits on their own class's texture, on another's, on black; textures alone."""
    digits = load_digits()
    generator = torch.Generator().manual_seed(seed)
    sets: dict[str, Pictures] = {}
    picked = digits_of_each_class([count for _, count in PARTS.values()], seed)
    for (name, (part, _)), places in zip(PARTS.items(), picked, strict=True):
        kinds = ("original", "mixed") if name != "judge" else ("original", "mixed", "foreground", "background")
        for kind in kinds:
            images, textures, shown = [], [], []
            for place in places.tolist():
                label = int(digits.labels[place])
                drawn = int(torch.randint(len(TEXTURES), (), generator=generator))  # its own included, by chance
                which = {"original": label, "background": label, "foreground": -1}.get(kind, drawn)
                ground = None if which < 0 else texture(which, part, generator)
                if kind == "background" and ground is not None:
                    images.append(as_bytes(0.75 * ground))
                else:
                    images.append(as_bytes(on_background(digits.images[place], ground, generator)))
                textures.append(which)
                shown.append(-1 if kind == "background" else place)
            sets[f"{name} {kind}"] = Pictures(torch.stack(images), torch.tensor(shown), torch.tensor(textures))
    return sets


def main() -> None:
    """Compose, extract, refit, judge; print the tables."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--sheet", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    sets = compose(seed=0)
    if arguments.sheet:
        contact_sheet([sets[f"judge {kind}"] for kind in JUDGED], arguments.sheet)
    rows = rows_of_sets(sets, "background")
    lines = []
    for name, kinds in HEADS.items():
        heads = refits(rows, kinds)
        lines.append([name, *(words(accuracy(heads, rows[f"judge {kind}"], name)) for kind in JUDGED)])
    print(table(["head", *JUDGED], lines))

    lines = []
    for each in (6, 12, 24, 36, 48):
        line = [f"{each} digits a class"]
        for kinds in HEADS.values():
            line.append(words(accuracy(refits(rows, kinds, each), rows["judge mixed"], "")))
        lines.append(line)
    print(table(["accuracy on mixed pictures", *HEADS], lines))


if __name__ == "__main__":
    main()

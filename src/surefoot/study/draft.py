"""A first study file for a data set: everything found in it written down, every choice explained."""

import json
from collections.abc import Sequence
from pathlib import Path

import torch

from surefoot.rows.reading import SPLIT_MEANING, Reading, describe
from surefoot.rows.roles import Role
from surefoot.study.once.columns import Columns

__all__ = ["draft_study"]


def draft_study(path: Path, columns: Columns, reading: Reading) -> str:
    """The YAML text of a study of `path`, which was read as `reading` by `columns`.

    The text is a valid study: it can be planned and run as it is.
    """
    rows = reading.rows
    found = "\n".join(f"#   {line}" for line in (*reading.described.splitlines(), *describe(rows)))
    return f"""\
# A study of {path.name}, drafted by `surefoot init`. Change what you like; then
#   surefoot plan study.yaml     says what it will compute and how long that takes
#   surefoot run study.yaml      computes it and makes the card
#
# Found in the data:
{found}

study: {_name(path)}
question: Does the model hold up in every group?

rows:
{_source(path, columns, reading)}
{_roles(reading)}
{_network(reading)}

# One training of the network on the fit rows; add a second name to compare two.
base:
  base: {{label: Base model, epochs: 20, batch: 64, optimiser: adamw, rate: 0.003, schedule: one_cycle}}

{_mitigations(rows.groups.names)}

# Everything is done once per seed; the card shows how much seeds differ.
seeds: [0, 1, 2]

# What must hold for the card to pass, judged by the whole interval and not by the number alone.
# `chosen` is whichever model did best on the choose rows. Set the bound that your use needs.
claims:
  - {{finding: worst_group_accuracy, of: chosen, at_least: 0.8}}
"""


def _name(path: Path) -> str:
    plain = "".join(letter if letter.isascii() and letter.isalnum() else "-" for letter in path.stem)
    return plain.strip("-") or "study"


def _source(path: Path, columns: Columns, reading: Reading) -> str:
    kind = "images" if path.is_dir() else "features" if path.suffix in {".npz", ".safetensors"} else "table"
    lines = [f"  {kind}:", f"    path: {_text(path)}"]
    if kind != "features":
        if columns.target is not None:
            lines.append(f"    target: {_text(columns.target)}")
        if columns.groups:
            lines.append(f"    attributes: [{', '.join(map(_text, columns.groups))}]")
        if columns.split is not None:
            lines.append(f"    split: {_text(columns.split)}")
        if columns.cluster is not None:
            lines.append(f"    cluster: {_text(columns.cluster)}")
        if columns.id is not None:
            lines.append(f"    id: {_text(columns.id)}")
        if columns.images is not None and kind == "table":
            lines.append(f"    images: {_text(columns.images)}")
        if len(shape := tuple(reading.rows.inputs[:1].shape[1:])) == 3:
            lines.append(f"    size: [{shape[1]}, {shape[2]}]  # height and width that every picture is brought to")
    if reading.split is not None and (unknown := sorted(set(reading.split) - set(SPLIT_MEANING))):
        lines.append("    # Say what these splits are for: fit, repair, choose or judge.")
        lines.append(f"    meaning: {{{', '.join(f'{_text(value)}: fit' for value in unknown)}}}")
    return "\n".join(lines)


def _roles(reading: Reading) -> str:
    """A split that can serve is kept; otherwise rows are shared out."""
    shares = "  roles: {fit: 0.4, repair: 0.2, choose: 0.2, judge: 0.2}"
    if reading.split is None:
        return f"  # No split was found, so rows are shared out at random (related rows stay together).\n{shares}\n"
    meant: set[Role] = {SPLIT_MEANING.get(value, "fit") for value in reading.split}
    if not {"fit", "choose", "judge"} <= meant:
        words = ", ".join(sorted(set(reading.split)))
        return f"  # The split ({words}) lacks rows to choose or judge on, so rows are shared out anew.\n{shares}\n"
    if "repair" in meant:
        return ""
    return "  # Repairs learn on rows that the base training has not seen.\n  repair_share: 0.2\n"


def _network(reading: Reading) -> str:
    shape: Sequence[int] = tuple(reading.rows.inputs[:1].shape[1:])
    if len(shape) == 3:
        return (
            "# Images: a small convolutional network. Your own: {file: net.py:Net}. A model that is trained\n"
            "# already is repaired without a study: surefoot repair DATA --model FOLDER.\n"
            "network:\n  cnn: {channels: [16, 32], hidden: 64}"
        )
    if torch.Size(shape).numel() >= 64:
        return "# Many numbers a row, taken as features of another network: only a last layer.\nnetwork:\n  linear: {}"
    return "# A small network with one hidden layer. Your own: {file: net.py:Net}\nnetwork:\n  mlp: {hidden: [64]}"


def _mitigations(groups: Sequence[str]) -> str:
    if not groups:
        return (
            "# No groups were named, so “worst” is the worst class. Columns named with --groups bring DFR, and\n"
            "# repairs chosen by the worst group.\n"
            "mitigations:\n"
            "  balanced: {method: class_balanced}\n"
            "  afr: {method: afr, selection: classes}"
        )
    return (
        "# Repairs of the last layer, each beside plain class balancing, which often does most of the work.\n"
        "mitigations:\n"
        "  balanced: {method: class_balanced}\n"
        "  dfr: {method: dfr, learn: repair}\n"
        "  dfr_choose: {method: dfr, learn: choose}\n"
        "  afr: {method: afr}"
    )


def _text(value: object) -> str:
    """Any text as YAML reads it back: JSON strings are YAML."""
    return json.dumps(str(value), ensure_ascii=False)

"""The work of a patch cell: a trained transformer at another patch size, as a model of its own."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from surefoot.files import write_json
from surefoot.networks.flexible import at_patch
from surefoot.networks.weights import OpenedModel, load_model, save_model
from surefoot.progress import Progress
from surefoot.robust.protocol import score_outputs
from surefoot.study.once.predict import probabilities_of
from surefoot.study.stored import load_rows, load_seen, save_seen

__all__ = ["resize_model"]


def resize_model(spec: Mapping[str, Any], inputs: Mapping[str, Path], out: Path, progress: Progress) -> None:
    """Leaves model/, seen.json, and repaired.json as a repair does: its score on the choose rows, and what to know."""
    saved = load_model(inputs["train"] / "model", trust_code=True)
    size = (int(spec["size"]), int(spec["size"]))
    network = at_patch(saved.network, size)
    record = replace(saved.record, spec={"vit": {**saved.record.spec["vit"], "patch": list(size)}})
    save_model(out / "model", saved.parameters, record)
    save_seen(load_seen(inputs["train"]), out)
    choose = load_rows(inputs["choose"])
    said = probabilities_of(
        OpenedModel(network, saved.parameters, record), choose, device=spec["device"], progress=progress
    )
    known = saved.record.provenance.get("patches", [saved.record.spec["vit"]["patch"]])
    trained = list(size) in [list(each) for each in known]
    notes = [] if trained else [f"It was never trained at patches of {size[0]} pixels: its kernel is resized, no more."]
    write_json(
        out / "repaired.json",
        {
            "chosen": {},
            "held_out": score_outputs(said, choose).worst_group_accuracy,
            "trials": [],
            "notes": notes,
        },
    )

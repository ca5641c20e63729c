"""The work of a sample cell: a posterior of a head over features, or of a whole network, instead of one point.

Its folder lasts: where it was killed, draws and checkpoint lie there still, and sampling goes on from them.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from surefoot.bayes.kept import CHAINS, keep_posterior, load_posterior
from surefoot.bayes.sample import sample_posterior
from surefoot.bayes.starts import begin_head, begin_network
from surefoot.files import write_json
from surefoot.networks.weights import load_model
from surefoot.progress import Progress
from surefoot.robust.protocol import score_outputs
from surefoot.study.mitigations import bayes_of
from surefoot.study.stored import load_head, load_rows, load_seen, save_seen

__all__ = ["sample"]


def sample(spec: Mapping[str, Any], inputs: Mapping[str, Path], out: Path, progress: Progress) -> None:
    """Leaves chains/, bayes.json, what the draws have seen, and repaired.json as a repair does."""
    settings, seed = bayes_of(spec), int(spec["seed"])
    rows, choose = load_rows(inputs["rows"]), load_rows(inputs["choose"])
    if settings.part == "head":
        begun = begin_head(rows, load_head(inputs["train"] / "head"), settings, seed)
    else:
        saved = load_model(inputs["train"] / "model", trust_code=True)
        begun = begin_network(saved.network, saved.parameters, saved.record.spec, rows, settings, seed)
    sampled = sample_posterior(
        begun.network, begun.rows, begun.starts, settings, seed,
        folder=out / CHAINS, resume_finished=True, progress=progress,
    )  # fmt: skip
    keep_posterior(out, sampled, settings, len(rows.classes), begun.scaler)
    # A posterior over weights that started at a trained point has seen what that point has; a fresh one has not.
    before = load_seen(inputs["train"]) if settings.part == "head" or settings.start == "trained" else frozenset[str]()
    save_seen(sampled.chains.seen | before, out)
    outputs = load_posterior(out).probabilities(begun.network, choose.inputs)
    write_json(
        out / "repaired.json",
        {
            "chosen": {},
            "held_out": score_outputs(outputs, choose).worst_group_accuracy,
            "trials": [],
            "notes": list(sampled.notes),
            "doubts": list(sampled.doubts),
        },
    )

"""The work of a repair cell: a new head from features, the base head, and the roles the method may see."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from surefoot.files import write_json
from surefoot.progress import Progress
from surefoot.robust.afr import AFRSettings, afr
from surefoot.robust.balanced import class_balanced
from surefoot.robust.dfr import dfr
from surefoot.robust.head import LinearHead, Repaired
from surefoot.robust.retrain import RetrainSettings
from surefoot.rows.roles import ROLES, Roles
from surefoot.study.stored import load_head, load_rows, save_head, save_seen

__all__ = ["repair", "settings_of"]


def repair(spec: Mapping[str, Any], inputs: Mapping[str, Path], out: Path, progress: Progress) -> None:
    """Leaves the new head, what it has seen, and repaired.json: chosen setting, trials, notes."""
    features: Roles = {role: load_rows(inputs[role]) for role in ROLES if role in inputs}
    repaired = _repaired(spec, features, load_head(inputs["head"]))
    save_head(repaired.head, out)
    save_seen(repaired.seen, out)
    won = [trial.worst_group_accuracy for trial in repaired.trials if trial.setting == repaired.chosen]
    write_json(
        out / "repaired.json",
        {
            "chosen": dict(repaired.chosen),
            "held_out": won[0],
            "trials": [
                {"setting": dict(trial.setting), "worst": trial.worst_group_accuracy, "mean": trial.mean_accuracy}
                for trial in repaired.trials
            ],
            "notes": list(repaired.notes),
        },
    )
    progress("repair", 1, 1)


def settings_of(spec: Mapping[str, Any]) -> AFRSettings | RetrainSettings:
    """A mitigation's settings as its method takes them; raises `InputError` for values the method refuses."""
    if spec["method"] == "afr":
        return AFRSettings(
            gammas=tuple(spec["gammas"]),
            penalties=tuple(spec["penalties"]),
            steps=spec["steps"],
            rate=spec["rate"],
            clip=spec["clip"],
            class_balance=spec["class_balance"],
        )
    return RetrainSettings(
        learn=spec["learn"],
        strengths=tuple(spec["strengths"]),
        class_weights=tuple(spec["class_weights"]),
        retrains=spec["retrains"],
        tune_repeats=spec["tune_repeats"],
        scaler=spec["scaler"],
        constant=spec["constant"],
        ties=spec["ties"],
    )


def _repaired(spec: Mapping[str, Any], features: Roles, head: LinearHead) -> Repaired:
    settings = settings_of(spec)
    seed = int(spec["seed"])
    if isinstance(settings, AFRSettings):
        return afr(features, head, settings, seed)
    if spec["method"] == "class_balanced":
        return class_balanced(features, head, settings, seed)
    return dfr(features, settings, seed)

"""The work of a repair cell: a new head from features, the base head, and the roles the method may see."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from surefoot.files import write_json
from surefoot.progress import Progress
from surefoot.robust.method import Rival
from surefoot.robust.methods import method_of
from surefoot.rows.roles import ROLES, Roles
from surefoot.study.mitigations import settings_of
from surefoot.study.stored import load_head, load_rows, load_seen, save_head, save_seen

__all__ = ["repair"]


def repair(spec: Mapping[str, Any], inputs: Mapping[str, Path], out: Path, progress: Progress) -> None:
    """Leaves the new head, what it has seen, and repaired.json: chosen setting, trials, notes."""
    features: Roles = {role: load_rows(inputs[role]) for role in ROLES if role in inputs}
    rival, seen = None, frozenset[str]()
    if "rival" in inputs:
        rival = Rival(load_rows(inputs["rival"]), load_head(inputs["rival model"] / "head"))
        seen = load_seen(inputs["rival model"])
    method, head, settings, seed = method_of(spec["method"]), load_head(inputs["head"]), settings_of(spec), spec["seed"]
    if rival is None or method.run_against is None:
        repaired = method.run(features, head, settings, seed)
    else:
        repaired = method.run_against(features, head, settings, seed, rival)
    save_head(repaired.head, out)
    save_seen(repaired.seen | seen, out)
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

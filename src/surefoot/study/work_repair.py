"""The work of a repair cell: a new head from features, the base head, and the roles the method may see."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeAlias, cast

from surefoot.files import write_json
from surefoot.progress import Progress
from surefoot.robust.afr import AFRSettings, afr
from surefoot.robust.balanced import class_balanced
from surefoot.robust.dfr import dfr
from surefoot.robust.disagreement import DisagreementSettings, Rival, disagreement
from surefoot.robust.group_dro import GroupDROSettings, group_dro
from surefoot.robust.head import LinearHead, Repaired
from surefoot.robust.retrain import RetrainSettings
from surefoot.robust.reweighted import ReweightedSettings, reweighted
from surefoot.robust.softmax_head import SoftmaxSettings, softmax_head
from surefoot.robust.two_stage import TwoStageSettings, two_stage
from surefoot.rows.roles import ROLES, Roles
from surefoot.study.stored import load_head, load_rows, load_seen, save_head, save_seen

__all__ = ["repair", "settings_of"]


def repair(spec: Mapping[str, Any], inputs: Mapping[str, Path], out: Path, progress: Progress) -> None:
    """Leaves the new head, what it has seen, and repaired.json: chosen setting, trials, notes."""
    features: Roles = {role: load_rows(inputs[role]) for role in ROLES if role in inputs}
    rival, seen = None, frozenset[str]()
    if "rival" in inputs:
        rival = Rival(load_rows(inputs["rival"]), load_head(inputs["rival model"] / "head"))
        seen = load_seen(inputs["rival model"])
    repaired = _repaired(spec, features, load_head(inputs["head"]), rival)
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


Settings: TypeAlias = (
    AFRSettings
    | RetrainSettings
    | ReweightedSettings
    | GroupDROSettings
    | TwoStageSettings
    | DisagreementSettings
    | SoftmaxSettings
)


def settings_of(spec: Mapping[str, Any]) -> Settings:
    """A mitigation's settings as its method takes them; raises `InputError` for values the method refuses."""
    told: dict[str, Any] = {
        name: tuple(cast("list[Any]", value)) if isinstance(value, list) else value
        for name, value in spec.items()
        if name not in ("method", "seed", "against")
    }
    match spec["method"]:
        case "afr":
            return AFRSettings(**told)
        case "rwg" | "rwy" | "subg" | "suby":
            return ReweightedSettings(
                balance="groups" if spec["method"].endswith("g") else "classes",
                how="weights" if spec["method"].startswith("rw") else "subset",
                **told,
            )
        case "group_dro":
            return GroupDROSettings(**told)
        case "jtt":
            return TwoStageSettings(**told)
        case "self":
            return DisagreementSettings(**told)
        case "softmax_head":
            return SoftmaxSettings(**told)
        case _:
            return RetrainSettings(**told)


def _repaired(spec: Mapping[str, Any], features: Roles, head: LinearHead, rival: Rival | None) -> Repaired:
    seed = int(spec["seed"])
    match settings_of(spec):
        case AFRSettings() as settings:
            return afr(features, head, settings, seed)
        case ReweightedSettings() as settings:
            return reweighted(features, head, settings, seed)
        case GroupDROSettings() as settings:
            return group_dro(features, head, settings, seed)
        case TwoStageSettings() as settings:
            return two_stage(features, head, settings, seed)
        case DisagreementSettings() as settings:
            return disagreement(features, head, settings, seed, rival)
        case SoftmaxSettings() as settings:
            return softmax_head(features, settings, seed)
        case RetrainSettings() as settings:
            if spec["method"] == "class_balanced":
                return class_balanced(features, head, settings, seed)
            return dfr(features, settings, seed)

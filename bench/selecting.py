"""What selecting AFR's settings without group labels costs: worst group on judge rows, Dominoes, five seeds.

    .venv/bin/python bench/selecting.py

Rows, base networks and AFR's grid are those of studies/digits.yaml; nothing but the selection differs between the rows
of the table. Group labels select in the row "groups" alone, and judge in every row.
"""

import statistics
import tempfile
from pathlib import Path
from typing import Any

import torch
import yaml

from surefoot.density.likelihoods import categorical
from surefoot.density.objective import Objective
from surefoot.density.pools import mean
from surefoot.inference.ascend import Ascend, ascend
from surefoot.networks.build import build_cnn
from surefoot.networks.cache import extract
from surefoot.networks.network import head_of, parameters_of
from surefoot.robust.afr import AFRSettings, afr
from surefoot.robust.head import LinearHead
from surefoot.robust.protocol import score
from surefoot.robust.selecting import SELECTIONS
from surefoot.rows.dominoes import dominoes
from surefoot.rows.roles import Roles
from surefoot.rows.rows import Rows

STUDY = Path(__file__).resolve().parent.parent / "studies" / "digits.yaml"


def based(roles: Roles, study: dict[str, Any], training: dict[str, Any], seed: int) -> tuple[LinearHead, Roles]:
    """The base head and the features of the repair, choose and judge rows."""
    cnn = study["network"]["cnn"]
    network = build_cnn((1, 28, 14), tuple(cnn["channels"]), hidden=cnn["hidden"], classes=2, seed=seed)
    objective = Objective(network, categorical, mean)
    settings = Ascend(**{name: value for name, value in training.items() if name != "label"})
    parameters = ascend(objective, roles["fit"], parameters_of(network), seed, settings).point()
    own = head_of(network, parameters)
    with tempfile.TemporaryDirectory() as folder:
        features: Roles = {
            role: roles[role].with_inputs(
                extract(network, parameters, roles[role], folder=Path(folder)).inputs[:].clone()
            )
            for role in ("repair", "choose", "judge")
        }
    return LinearHead(own.weight, own.bias), features


def worst(head: LinearHead, judge: Rows) -> float:
    return 100 * score(head, judge, role="judge").worst_group_accuracy


def main() -> None:
    study = yaml.safe_load(STUDY.read_text())
    given = {name: value for name, value in study["rows"]["dominoes"].items() if name != "seed"}
    roles = dominoes(**given)
    gammas = tuple(map(float, study["mitigations"]["afr"]["gammas"]))
    for training in study["base"].values():
        rows: dict[str, list[float]] = {}
        for seed in study["seeds"]:
            head, features = based(roles, study, training, seed)
            judge = features.pop("judge")
            rows.setdefault("base head", []).append(worst(head, judge))
            for selection in SELECTIONS:
                repaired = afr(features, head, AFRSettings(gammas=gammas, selection=selection), seed)
                rows.setdefault(selection, []).append(worst(repaired.head, judge))
        print(f"\n{training['label']}, worst group on judge rows in %, seeds {study['seeds']}")
        for name, values in rows.items():
            each = ", ".join(f"{value:.1f}" for value in values)
            print(f"{name:14}  mean {statistics.mean(values):5.1f}   {each}", flush=True)


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()

"""The work of a compute cell: what a pass of each model costs on this machine, all of them in turns."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from surefoot.errors import InputError
from surefoot.files import write_json
from surefoot.flex.cost import costs_of, loaded
from surefoot.flex.fixed import fixed_at
from surefoot.networks.flexible import FlexibleViT
from surefoot.networks.weights import load_model
from surefoot.progress import Progress
from surefoot.study.stored import load_rows

__all__ = ["COSTS_FILE", "measure_compute"]

COSTS_FILE = "costs.json"


def measure_compute(spec: Mapping[str, Any], inputs: Mapping[str, Path], out: Path, progress: Progress) -> None:
    """Leaves costs.json: of each model seconds of every pass, operations of an input, memory of a pass in bytes.

    A flexible transformer is measured as the plain one of its size that would be deployed.
    """
    rows = load_rows(inputs["choose"])
    if len(rows) < spec["rows"]:
        raise InputError(
            f"A pass of {spec['rows']} rows is to be timed and there are {len(rows)} choose rows; give compute fewer."
        )
    modules: list[torch.nn.Module] = []
    for subject in spec["subjects"]:
        saved = load_model(inputs[f"model {subject}"], trust_code=True)
        module = saved.network.module
        if isinstance(module, FlexibleViT):
            modules.append(fixed_at(saved.network, saved.parameters, module.patch).network.module)
        else:
            modules.append(loaded(saved.network, saved.parameters))
    before = torch.get_num_threads()
    torch.set_num_threads(int(spec["threads"]))
    try:
        costs = costs_of(modules, rows.inputs[: spec["rows"]], rounds=spec["rounds"], progress=progress)
    finally:
        torch.set_num_threads(before)
    write_json(
        out / COSTS_FILE,
        {
            subject: {
                "rows": cost.rows,
                "times": list(cost.times),
                "operations": cost.operations,
                "memory": cost.memory,
            }
            for subject, cost in zip(spec["subjects"], costs, strict=True)
        },
    )

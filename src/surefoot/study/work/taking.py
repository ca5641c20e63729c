"""What comes after candidates: their ranking, taking the first, and judging all of them.

`rank_candidates` fixes what each criterion takes, from what candidates left; `judge_candidates` alone reads judge rows,
and is given the finished ranking, so that it cannot come earlier.
"""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from surefoot.errors import InputError
from surefoot.files import read_json, write_json, write_tensors
from surefoot.networks.weights import load_model
from surefoot.progress import Progress
from surefoot.rows.roles import refuse_seen
from surefoot.study.stored import load_rows, load_seen, save_seen
from surefoot.study.work.ranking import nobody, rank_folders
from surefoot.supervise.student import said_of

__all__ = ["judge_candidates", "rank_candidates", "take_candidate"]


def rank_candidates(spec: Mapping[str, Any], inputs: Mapping[str, Path], out: Path, progress: Progress) -> None:
    """Leaves ranking.json: every candidate's place by every criterion, and what each takes."""
    write_json(out / "ranking.json", rank_folders(spec, inputs))
    progress("ranking", 1, 1)


def take_candidate(spec: Mapping[str, Any], inputs: Mapping[str, Path], out: Path, progress: Progress) -> None:
    """The candidate that the criterion takes; leaves what a training leaves, and taken.json: its name and findings."""
    ranking = read_json(inputs["ranking"] / "ranking.json")
    pick = ranking["picks"][spec["candidate"]]
    name = pick["chosen"]
    if not name:
        raise InputError(nobody(ranking, spec["candidate"]))
    own = read_json(inputs[f"candidate {name}"] / "criteria.json")
    if not own["trained"]:
        raise InputError(
            f"The candidate {name} is not trained with the seed {spec['seed']}, so it cannot be taken: "
            f"{own['untrained']}"
        )
    for part in ("model", "head"):
        shutil.copytree(inputs[f"candidate {name}"] / part, out / part)
    seen = frozenset[str]().union(*(load_seen(inputs[f"candidate {each}"]) for each in spec["names"]))
    save_seen(seen, out)
    others = {each: found["chosen"] for each, found in ranking["picks"].items() if each != spec["candidate"]}
    told = [f"{each.replace('_', ' ')} takes {'the same' if other == name else other or 'nobody'}"
            for each, other in others.items()]  # fmt: skip
    among = sum(each["trained"] for each in ranking["candidates"])
    words = f"Chosen by {spec['candidate'].replace('_', ' ')} among {among} candidates: {name}."
    doubts = [
        f"{'Refused' if each['severity'] == 'refuse' else 'Doubt'}, of the {spec['candidate'].replace('_', ' ')}: "
        f"{each['sentence']}"
        for each in ranking["doubts"]
        if spec["candidate"] in each["about"]
    ]
    left = [
        f"Not trained, and so not among them: {each['name']} ({each['untrained'].rstrip('.')})."
        for each in ranking["candidates"]
        if not each["trained"]
    ]
    write_json(out / "notes.json", [f"{words} {pick['words']} {_sentence('; '.join(told))}", *doubts, *left])
    chances = [each for each in ranking["findings"] if each["subject"] == name]
    write_json(out / "taken.json", {"name": name, "findings": [*own["findings"], *chances]})
    progress("taking", 1, 1)


def judge_candidates(spec: Mapping[str, Any], inputs: Mapping[str, Path], out: Path, progress: Progress) -> None:
    """Leaves probabilities.safetensors: of each trained candidate and seed on the judge rows, after the ranking."""
    if not (inputs["ranking"] / "ranking.json").is_file():
        raise InputError("The choices are not made yet, and judge rows are read after them; run the choice again.")
    trained = {each["name"]: each["trained"] for each in read_json(inputs["ranking"] / "ranking.json")["candidates"]}
    judge = load_rows(inputs["judge"])
    said: dict[str, torch.Tensor] = {}
    for number, name in enumerate(spec["candidates"]):
        for seed in spec["seeds"] if trained[name] else []:
            folder = inputs[f"{name} {seed}"]
            refuse_seen(judge, load_seen(folder), f"the candidate {name}")
            saved = load_model(folder / "model", trust_code=True)
            said[f"{name} {seed}"] = said_of(saved.network, saved.parameters, judge.inputs)
        progress("judging", number + 1, len(spec["candidates"]))
    write_tensors(out / "probabilities.safetensors", said)


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."

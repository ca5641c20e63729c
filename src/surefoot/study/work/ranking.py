"""Ranks of candidates by each criterion, and how sure each is of its first; nothing of a judge row is read here.

How sure: other rows and seeds are imagined, the same for all candidates, and it is counted how often the first comes
first again. For a loss, held-out rows (by clusters) and seeds are drawn again; few seeds vary too little when drawn
again, so deviations are stretched by √(S/(S − 1)). An evidence has no rows to draw from: its means over S seeds have
Student's t distribution of S − 1 degrees about them, as seeds differ. With one seed, how sure it is was not measured,
and only its lead is told.
"""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float64
from torch import Tensor

from surefoot.evidence.doubt import Doubt
from surefoot.evidence.trials import trial_from_json
from surefoot.files import read_json, read_tensors
from surefoot.findings.finding import Finding, finding_to_json
from surefoot.findings.resampled import chance_of_best, resampled_means
from surefoot.study.choice.candidates import CRITERIA, Criterion
from surefoot.study.work.doubting import doubts_about, doubts_to_json

__all__ = ["HELD_OUT", "LOSSES", "nobody", "rank_folders"]

LOSSES: Mapping[Criterion, str] = {"validation_loss_averaged": "averaged", "validation_loss": "mode"}
"""Criteria of which less is better, and where the loss of each held-out row lies."""
HELD_OUT = "held_out.safetensors"
OTHERWISE = "choose by another criterion, or train otherwise."
RESAMPLES = 2000


def rank_folders(spec: Mapping[str, Any], inputs: Mapping[str, Path]) -> dict[str, Any]:
    """What the candidates' cells left, ranked: `candidates`, `picks`, `doubts` and `findings` as plain JSON.

    A candidate that has no number by a criterion, in any seed, comes after all that have one; one that is not trained,
    with any seed, has no rank. Ties go to the earlier. By a criterion that a doubt refuses nobody has a number.
    """
    names, seeds = list[str](spec["candidates"]), list[int](spec["seeds"])
    left = {name: [read_json(inputs[f"{name} {seed}"] / "criteria.json") for seed in seeds] for name in names}
    every: dict[str, dict[str, Any]] = {name: {"name": name, **_about(left[name], seeds)} for name in names}
    picks: dict[str, Any] = {}
    doubts: dict[Criterion, list[Doubt]] = {}
    findings: list[dict[str, Any]] = []
    for criterion in CRITERIA:
        values = {name: [each["values"].get(criterion) for each in left[name]] for name in names}
        having = [name for name in names if every[name]["trained"] and None not in values[name]]
        doubts[criterion] = (
            []
            if criterion in LOSSES
            else doubts_about(
                criterion, {name: [trial_from_json(each["trial"]) for each in left[name]] for name in having}
            )
        )
        refusal = next((each.sentence for each in doubts[criterion] if each.severity == "refuse"), "")
        having = [] if refusal else having
        means: dict[str, float] = {name: sum(values[name]) / len(seeds) for name in having}
        sign = 1.0 if criterion in LOSSES else -1.0
        order = [name for _, _, name in sorted((sign * means[name], names.index(name), name) for name in having)]
        order += [name for name in names if name not in means and every[name]["trained"]]
        places = {name: place for place, name in enumerate(order, 1)}
        for name in names:
            known = name in means
            every[name]["scores"][criterion] = {
                "value": means.get(name),
                "per_seed": values[name] if known else [],
                "rank": places.get(name),
                "refused": "" if known else refusal or _why(every[name], left[name], seeds, criterion),
            }
        folders = {name: [inputs[f"{name} {seed}"] for seed in seeds] for name in having}
        picks[criterion], found = _pick(criterion, order, means, {name: values[name] for name in having}, folders)
        if refusal:
            picks[criterion]["words"] = f"Refused: {refusal}"
        findings += [finding_to_json(each) for each in found]
    return {
        "candidates": list(every.values()), "picks": picks, "doubts": doubts_to_json(doubts), "findings": findings,
    }  # fmt: skip


def nobody(ranking: Mapping[str, Any], criterion: Criterion) -> str:
    """Why a criterion takes nobody, and what to do."""
    by = criterion.replace("_", " ")
    for doubt in ranking["doubts"]:
        if doubt["severity"] == "refuse" and criterion in doubt["about"]:
            reason = doubt["sentence"].rstrip(".")
            return f"Nobody is taken by {by}, whose numbers do not compare here: {reason}; {OTHERWISE}"
    first = ranking["candidates"][0]
    if not any(each["trained"] for each in ranking["candidates"]):
        told = f"{first['name']}, {first['untrained'].rstrip('.')}"
        return f"No candidate could be trained ({told}); give smaller rates, or precisions nearer to 1."
    refused = first["scores"][criterion]["refused"]
    return f"No candidate has a number by {by} ({first['name']}: {refused}); {OTHERWISE}"


def _about(each_seed: Sequence[Mapping[str, Any]], seeds: Sequence[int]) -> dict[str, Any]:
    failed = {seed: each["untrained"] for seed, each in zip(seeds, each_seed, strict=True) if not each["trained"]}
    first = each_seed[0]
    return {
        "parameters": first["parameters"],
        "rows": first["rows"],
        "held_out": max(len(each.get("held_out", ())) for each in each_seed),
        "trained": not failed,
        "untrained": _failed(failed, len(seeds)),
        "scores": {},
    }


def _failed(failed: Mapping[int, str], seeds: int) -> str:
    """Why a candidate counts as not trained, and with which seeds; the first one's reason stands for the others'."""
    if not failed:
        return ""
    reason = next(iter(failed.values()))
    if seeds == 1:
        return reason
    numbers = [str(seed) for seed in failed]
    told = numbers[0] if len(numbers) == 1 else f"{', '.join(numbers[:-1])} and {numbers[-1]}"
    if len(failed) == seeds:
        return f"not with any of {seeds} seeds: {reason}"
    return f"not with {'seed' if len(numbers) == 1 else 'seeds'} {told} of {seeds}: {reason}"


def _why(
    about: Mapping[str, Any], each_seed: Sequence[Mapping[str, Any]], seeds: Sequence[int], criterion: Criterion
) -> str:
    """Why there is no number: the first seed's reason."""
    if not about["trained"]:
        return f"it is not trained ({about['untrained'].rstrip('.')})"
    for seed, each in zip(seeds, each_seed, strict=True):
        if criterion in each["refused"]:
            return f"{each['refused'][criterion].rstrip('.')}{'' if len(seeds) == 1 else f' (seed {seed})'}"
    return "it was not computed"


def _pick(
    criterion: Criterion,
    order: Sequence[str],
    means: Mapping[str, float],
    values: Mapping[str, Sequence[float]],
    folders: Mapping[str, Sequence[Path]],
) -> tuple[dict[str, Any], list[Finding]]:
    if not means:
        reason = "No candidate has a number by this criterion."
        return {"chosen": "", "second": "", "sure": None, "words": reason}, []
    having = [name for name in order if name in means]
    first = having[0]
    if len(having) == 1:
        words = "The only candidate with a number."
        return {"chosen": first, "second": "", "sure": None, "words": words}, []
    second = having[1]
    lead = abs(means[first] - means[second])
    unit = "nats a row" if criterion in LOSSES else "nats"
    ahead = (
        f"ahead of {second} by {lead:,.4f} {unit}"
        if criterion in LOSSES
        else f"ahead of {second} by {lead:,.1f} {unit}"
    )
    drawn = _drawn(criterion, having, values, folders)
    if drawn is None:
        words = f"{ahead.capitalize()}; with one seed, how sure was not measured."
        return {"chosen": first, "second": second, "sure": None, "words": words}, []
    chances = chance_of_best(drawn, "lower" if criterion in LOSSES else "higher").tolist()
    of = dict(zip(having, chances, strict=True))
    rival = max(having[1:], key=of.__getitem__)
    seeds = len(folders[first])
    what = "seeds" if criterion not in LOSSES else "held-out rows" if seeds == 1 else "held-out rows and seeds"
    words = f"First in {_share(of[first])} of imagined {what} ({rival} in {_share(of[rival])}); {ahead}."
    findings = [
        Finding(
            name=f"chance_of_best_by_{criterion}",
            value=of[name],
            interval=None,
            count=seeds,
            clusters=seeds,
            unit="proportion",
            slice="all",
            direction="higher",
            subject=name,
            source="fit",
        )
        for name in having
    ]
    return {"chosen": first, "second": rival, "sure": of[first], "words": words}, findings


def _drawn(
    criterion: Criterion,
    names: Sequence[str],
    values: Mapping[str, Sequence[float]],
    folders: Mapping[str, Sequence[Path]],
) -> Float64[Tensor, "resamples candidates"] | None:
    """The criterion of every candidate under other rows and seeds, the same for all; None where nothing can vary."""
    plain = torch.tensor([values[name] for name in names], dtype=torch.float64).T  # [seeds, candidates]
    seeds, centre = len(plain), plain.mean(dim=0)
    generator = torch.Generator().manual_seed(0)
    if criterion not in LOSSES:
        if seeds == 1:
            return None
        away = torch.randn(RESAMPLES, seeds, dtype=torch.float64, generator=generator)
        squares = torch.randn(RESAMPLES, seeds - 1, dtype=torch.float64, generator=generator).square().sum(dim=1)
        # Student's t of seeds − 1 degrees, for all candidates at once: what a seed does to all does not count.
        return centre + (away / (seeds * squares)[:, None].sqrt()) @ (plain - centre)
    rows = [_rows(criterion, [folders[name][seed] for name in names], seed) for seed in range(seeds)]
    if seeds == 1:
        return rows[0]
    taken = torch.randint(seeds, (RESAMPLES, seeds), generator=generator)
    drawn = torch.stack(rows)[taken.T, torch.arange(RESAMPLES)].mean(dim=0)
    return centre + math.sqrt(seeds / (seeds - 1)) * (drawn - centre)


def _rows(criterion: Criterion, folders: Sequence[Path], seed: int) -> Float64[Tensor, "resamples candidates"]:
    """Means over held-out rows that are drawn again; one seed holds out the same rows for every candidate."""
    held = [read_json(folder / "criteria.json")["held_out"] for folder in folders]
    if any(each != held[0] for each in held):
        raise RuntimeError("candidates of one seed were held out different rows")
    read = [read_tensors(folder / HELD_OUT) for folder in folders]
    losses = torch.stack([each[LOSSES[criterion]] for each in read])
    return resampled_means(losses, read[0]["clusters"], resamples=RESAMPLES, seed=seed)


def _share(share: float) -> str:
    """No count of resamples says that something is certain."""
    shown = ">99%" if share >= 0.995 else "<1%" if share < 0.005 else f"{share:.0%}"
    return shown.replace("%", "\N{NO-BREAK SPACE}%")

"""Choose: plan, compute what is missing, rank, and only then look at the judge rows; page, plot and models.

<out>/cells/                    finished candidates, shared with studies: a killed choice goes on, a larger grid adds
<out>/choices/<twelve digits>/  choice.json, cells.json, page.html, plot.svg, models/<candidate>/seed-<seed>/
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from surefoot.card.ledger import ChoiceRow, ledger_of
from surefoot.card.words import show_count, show_seconds
from surefoot.errors import InputError
from surefoot.files import digest_json, read_json, read_tensors, write_json, write_text
from surefoot.findings.finding import finding_from_json
from surefoot.memory import human_bytes
from surefoot.networks.weights import ModelRecord, load_model, save_model
from surefoot.progress import Progress, silent, unheard
from surefoot.rows.copies import about_repeats
from surefoot.study.at_work import at_work
from surefoot.study.choice.candidates import CRITERIA, Criterion
from surefoot.study.choice.graph import Question, choice_graph
from surefoot.study.choice.hindsight import look_back
from surefoot.study.choice.page import choice_page
from surefoot.study.choice.panels import PLOT, families_of, panels_of
from surefoot.study.choice.plan import ChoicePlan, plan_choice
from surefoot.study.choice.plot import standalone
from surefoot.study.choice.record import TITLES, Choice, ChoiceDoubt, Pick, Ranked, Score, choice_to_json
from surefoot.study.choice.words import listed, told_of_plot
from surefoot.study.engine import in_process
from surefoot.study.engine import workers as worker_processes
from surefoot.study.needed import write_needed
from surefoot.study.once.marks import marks_of_rows
from surefoot.study.seen import inputs_of
from surefoot.study.store import Store, open_store
from surefoot.study.stored import GROUPS, load_rows, save_seen
from surefoot.study.upkeep import remove_half_written
from surefoot.study.work.ranking import nobody

__all__ = ["CHOICES", "Chosen", "choose", "doubts_from", "ranked_of", "show_agreement"]

CHOICES = "choices"
MODELS = "models"
Engine = Literal["workers", "in_process"]


@dataclass(frozen=True)
class Chosen:
    """A finished choice, its folder, the chosen model (of the first seed), and how many trainings were used again."""

    choice: Choice
    folder: Path
    model: Path
    reused: int


def choose(
    question: Question,
    folder: Path = Path(),
    *,
    out: Path = Path("runs"),
    engine: Engine = "workers",
    workers: int | None = None,
    product: str | None = None,
    trust_code: bool = False,
    command: str = "",
    say: Callable[[str], None] = unheard,
    progress: Progress = silent,
) -> Chosen:
    """Answer a question whose paths are relative to `folder`; finished candidates below `out` are used again.

    say: is told, before anything runs, how many candidates there are, how long they take and what memory.

    Raises `InputError` for wrong input, and where no candidate has a number by the criterion that chooses; whatever was
    finished is kept.
    """
    began = time.perf_counter()
    store = open_store(out)
    with at_work(store.folder, lambda: remove_half_written(out / CHOICES)):
        plan = plan_choice(question, folder, store, workers=workers, product=product, trust_code=trust_code)
        say(told_before(plan))
        place = out / CHOICES / digest_json(_identity(plan))[:12]
        write_needed(place, (task.cell.address for task in plan.tasks))
        for address in plan.damaged:
            store.remove(address)
        _compute(plan, store, engine, progress)
        _refuse_changed(plan, store, folder)
        return _look_back(plan, store, place, out, command, began)


def _look_back(plan: ChoicePlan, store: Store, place: Path, out: Path, command: str, began: float) -> Chosen:
    """Rank, and only then look at the judge rows; write page, plot and models."""
    question = plan.question
    ranking = read_json(store.path(plan.graph.ranking.address) / "ranking.json")
    picks: dict[Criterion, Pick] = {name: Pick(**ranking["picks"][name]) for name in CRITERIA}
    ranked = ranked_of(question, ranking)
    by = question.candidates.choose_by
    if not picks[by].chosen:
        raise InputError(nobody(ranking, by))
    summary: Any = read_json(store.path(plan.graph.rows.address) / "summary.json")
    judge = load_rows(store.path(plan.graph.rows.address) / "judge")
    created = datetime.now(UTC).isoformat(timespec="seconds")
    judged = str(summary["roles"]["judge"]["identity"])
    ledger = ledger_of(out)
    used = ledger.note_use(judged, place.name, created, marks_of_rows(judge))
    said = read_tensors(store.path(plan.graph.hindsight.address) / "probabilities.safetensors")
    taken = [pick.chosen for pick in picks.values() if pick.chosen]
    models = _write_models(plan, store, taken, place)
    choice = Choice(
        name=question.name,
        choose_by=by,
        ranked=ranked,
        picks=picks,
        doubts=doubts_from(ranking),
        agree=show_agreement(picks, by),
        hindsight=look_back(judge, said, ranked, taken, question.seeds, question.confidence),
        rows={
            "learned": int(ranking["candidates"][0]["rows"]),
            "held_out": max(int(each["held_out"]) for each in ranking["candidates"]),
            "judge": len(judge),
        },
        seeds=question.seeds,
        confidence=question.confidence,
        models=models,
        told=(*_limits(question, used.cards), *about_repeats(judge)),
        record={
            "data": str(summary["described"]),
            "command": command,
            "created": created,
            "judge_rows_were_looked_at_by": f"{show_count(used.cards, 'question')}, this one among them",
            "time": show_seconds(time.perf_counter() - began),
            "settings": {**question.candidates.model_dump(mode="json"), "learn": list(question.learn)},
            "numerics": dict(plan.numerics),
            "findings": ranking["findings"],
        },
    )
    write_json(place / "choice.json", choice_to_json(choice))
    names = [name for name, _ in families_of(choice)]
    write_text(place / PLOT, standalone(panels_of(choice), names, told_of_plot(choice)))
    write_text(place / "page.html", choice_page(choice))
    accuracy = choice.hindsight.accuracies[choice.chosen].value
    ledger.record_choice(ChoiceRow(place.name, choice.name, by, choice.chosen, accuracy, str(place), created, judged))
    return Chosen(choice, place, place / models[choice.chosen] / f"seed-{question.seeds[0]}", plan.count_finished())


def told_before(plan: ChoicePlan) -> str:
    """What is about to happen, in a sentence."""
    question = plan.question
    count = len(question.candidates.all())
    rows = sum(plan.extent.rows[role] for role in question.learn)
    seeds = show_count(len(question.seeds), "seed")
    told = f"{count} candidates, {seeds}, {show_count(rows, 'row')} to learn from ({' and '.join(question.learn)})"
    if not plan.left():
        return f"{told}: all of it is finished from an earlier run and used again."
    done = plan.count_finished()
    again = f"; {done} of {len(plan.graph.candidates)} trainings are finished from an earlier run" if done else ""
    processes = "1 process" if plan.workers == 1 else f"{plan.workers} processes"
    return f"{told}: about {show_seconds(plan.seconds)} on {processes}, {human_bytes(plan.memory)} of memory{again}."


def ranked_of(question: Question, ranking: Mapping[str, Any]) -> tuple[Ranked, ...]:
    """The candidates with what a ranking cell left of them."""
    every = {each.name: each for each in question.candidates.all()}
    return tuple(
        Ranked(
            candidate=every[each["name"]],
            parameters=each["parameters"],
            scores={
                name: Score(score["value"], tuple(score["per_seed"]), score["rank"], score["refused"])
                for name in CRITERIA
                if (score := each["scores"][name])
            },
            untrained=each["untrained"],
        )
        for each in ranking["candidates"]
    )


def doubts_from(ranking: Mapping[str, Any]) -> tuple[ChoiceDoubt, ...]:
    """What a ranking cell left of doubts."""
    return tuple(
        ChoiceDoubt(
            about=tuple(each["about"]),
            kind=each["kind"],
            severity=each["severity"],
            findings=tuple(finding_from_json(finding) for finding in each["findings"]),
            sentence=each["sentence"],
        )
        for each in ranking["doubts"]
    )


def show_agreement(picks: Mapping[Criterion, Pick], by: Criterion) -> str:
    """Whether the other criteria take the same, in a sentence."""
    own = picks[by].chosen
    others: list[Criterion] = [name for name in CRITERIA if name != by]
    same = [TITLES[name].lower() for name in others if picks[name].chosen == own]
    if len(same) == len(others):
        return "All four criteria take it."
    parts = [f"{listed(same)} {'takes' if len(same) == 1 else 'take'} the same"] if same else []
    for taken in dict.fromkeys(picks[name].chosen for name in others if picks[name].chosen != own):
        who = [TITLES[name].lower() for name in others if picks[name].chosen == taken]
        parts.append(f"{listed(who)} {'takes' if len(who) == 1 else 'take'} {taken or 'nobody'}")
    said = "; ".join(parts)
    return f"The criteria disagree: {said}." if not same else f"{said[:1].upper()}{said[1:]}."


def _compute(plan: ChoicePlan, store: Store, engine: Engine, progress: Progress) -> None:
    left = plan.left()
    if not left:
        return
    if engine == "workers" and plan.workers > 1:
        worker_processes.run_cells(left, store, workers=plan.workers, progress=progress)
    else:
        in_process.run_cells(left, store, progress=progress)


def _refuse_changed(plan: ChoicePlan, store: Store, folder: Path) -> None:
    """Raise where data or code was edited meanwhile, after taking away what this run computed of it."""
    if not plan.left():
        return
    now = choice_graph(plan.question, folder, plan.numerics)
    if now.hindsight.address == plan.graph.hindsight.address:
        return
    for task in plan.left():
        store.remove(task.cell.address)
    changed = "data" if now.rows.address != plan.graph.rows.address else "user's code"
    raise InputError(
        f"The {changed} changed while candidates were trained; what was computed meanwhile was taken away: run the "
        "choice again."
    )


def _identity(plan: ChoicePlan) -> dict[str, Any]:
    question = plan.question
    return {
        "cells": [task.cell.address for task in plan.tasks],
        "names": [each.name for each in question.candidates.all()],
        "choose_by": question.candidates.choose_by,
        "confidence": question.confidence,
        "name": question.name,
    }


def _write_models(plan: ChoicePlan, store: Store, taken: list[str], place: Path) -> dict[str, str]:
    """Every chosen candidate as models that `look` and `predict` open, with all rows that had a part in the choice."""
    rows = store.path(plan.graph.rows.address)
    learned = [load_rows(rows / role) for role in plan.question.learn]
    names = frozenset[str]().union(*(each.origins() for each in learned))
    inputs = inputs_of(learned, names)
    summary: Any = read_json(rows / "summary.json")
    groups = [name for name in summary["groups"] if any(each["groups"][name] for each in summary["roles"].values())]
    written: dict[str, str] = {}
    for name in dict.fromkeys(taken):
        for seed in plan.question.seeds:
            cell = plan.graph.candidates[name, seed]
            saved = load_model(store.path(cell.address) / "model", trust_code=True)
            out = place / MODELS / name / f"seed-{seed}"
            told = {**saved.record.provenance, "candidate": name, "cell": cell.address, GROUPS: groups}
            own = saved.record
            save_model(out, saved.parameters, ModelRecord(own.spec, own.head, own.classes, own.input_shape, told))
            save_seen(names, out, inputs)
        written[name] = f"{MODELS}/{name}"
    return written


def _limits(question: Question, uses: int) -> tuple[str, ...]:
    seeds = len(question.seeds)
    told = [
        "Ranks are among these candidates: a better one that was not tried is not missed by any criterion here.",
        "Evidences rest on a Laplace approximation around one mode; docs/evidence.md says what it can tell.",
        "How sure a criterion is of its first says how often other rows or seeds would have it first again, and not "
        "that it is the best of them on new rows.",
        "Evidences of different structures of curvature do not compare, nor those of different rows.",
        "The judge’s best is known in hindsight alone; a choice made by it would need new judge rows.",
        "Predictions that are judged are those of the trained network; averages over draws enter the criteria alone.",
    ]
    if seeds == 1:
        told.insert(
            0, "One seed: how much another start and another division of the rows would change is not measured."
        )
    if uses > 1:
        told.append(
            f"{uses} questions have looked at these judge rows by now; each makes them a little less untouched."
        )
    return tuple(told)

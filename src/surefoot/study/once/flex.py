"""One set of weights at every patch size, and the size that a budget of time buys.

    kept = fit_budget(Path("images/"), budget=0.020)
    print(kept.chosen, kept.model)      # the size that was chosen, and the model at that size

<out>/flex/<twelve digits>/    finished trainings, each under a name made of all that decides it
<out>/flex-…/                  the card, and `model/`: the transformer at the chosen size

Trained is on fit rows, the size is chosen on choose rows among those that are quick enough, and everything on the card
is measured on judge rows. Times are of this machine, of the plain transformer at each size.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from surefoot.card.assemble import Further, assemble_card
from surefoot.card.bounds import check_level
from surefoot.card.card import Card, Record, Subject
from surefoot.errors import InputError
from surefoot.files import digest_json
from surefoot.findings.predictions import predictions_for
from surefoot.flex.choose import Candidate, choose_within, show_budget
from surefoot.flex.cost import Cost, cost_findings, measure_costs
from surefoot.networks.patches import Size
from surefoot.networks.weights import OpenedModel, save_model
from surefoot.progress import Progress, silent, unheard
from surefoot.rows.copies import about_repeats
from surefoot.rows.digest import identity_digest, rows_digest
from surefoot.rows.rows import Rows
from surefoot.study.numerics import one_thread, require_device
from surefoot.study.once.claim_text import parse_claim, refuse_unknown_finding
from surefoot.study.once.columns import USUAL, Columns
from surefoot.study.once.flex_train import (
    PATCHES,
    Begun,
    Tutor,
    at_size,
    begin_fresh,
    begin_from,
    image_of,
    patches_of,
    train_flexible,
)
from surefoot.study.once.flex_words import (
    Given,
    Plan,
    given_rows,
    label_of,
    limits_of,
    name_of,
    of_time,
    told_before,
    with_tokens,
)
from surefoot.study.once.keep import Asked, keep
from surefoot.study.once.marks import marks_of_rows
from surefoot.study.once.measure import ONE_RUN, pictures_of, summary_of_role
from surefoot.study.once.posteriors import digests_of
from surefoot.study.once.predict import probabilities_of
from surefoot.study.seen import Seen, inputs_of
from surefoot.study.stored import save_seen

__all__ = ["FOLDER", "KeptFlexible", "Plan", "fit_budget"]

FOLDER = "flex"
"""In the folder of runs, finished trainings."""


@dataclass(frozen=True)
class KeptFlexible:
    """A finished card, its folder, the model at the chosen size, and everything that the choice was made of."""

    card: Card
    folder: Path
    model: Path
    chosen: Candidate
    candidates: tuple[Candidate, ...]
    origins: tuple[str, ...]
    reused: bool


@one_thread()
def fit_budget(
    data: Path,
    plan: Plan,
    *,
    model: OpenedModel | None = None,
    called: str = "",
    seen: Seen | None = None,
    budget: float | None = None,
    columns: Columns = USUAL,
    claims: Sequence[str] = (),
    confidence: float = 0.95,
    seed: int = 0,
    device: str = "cpu",
    out: Path = Path("runs"),
    command: str = "",
    say: Callable[[str], None] = unheard,
    progress: Progress = silent,
) -> KeptFlexible:
    """Train or open a flexible transformer, measure each of its sizes, and choose one for `budget` seconds a pass.

    model: to begin with, and as the user calls it; its images and classes are then those of the data. seen: what it is
    known to have seen. budget: None takes the best size on choose rows, whatever it costs. claims: of the chosen size,
    unless they name another ("patch-8") or a budget ("accuracy within 5ms >= 0.9").

    Raises `InputError` for what these allow not together, and for a budget that no size meets: nothing is written then
    but the finished training.
    """
    began = time.perf_counter()
    check_level(confidence, "The card")
    require_device(device)
    made = [parse_claim(claim, "chosen", confidence) for claim in claims]
    for claim in made:
        refuse_unknown_finding(claim)
    asked_for = {claim.within for claim in made if claim.within is not None}
    if budget is None and len(asked_for) == 1:
        (budget,) = asked_for  # the only budget that was named is the one to choose for
    given = given_rows(data, columns, model, called, seen, seed)
    if len(given.roles["choose"]) < plan.at_once:
        raise InputError(
            f"{plan.at_once} images a pass were asked for and {len(given.roles['choose'])} are there to choose on; "
            "give fewer."
        )
    begun, patches = _begun(given.taught, plan, model, called, seed)
    names = {patch: name_of(patch) for patch in patches}
    opened, again = model, False
    regimen = None if plan.regimen is None else plan.regimen(patches)
    tutor = None if regimen is None else regimen.tutor
    if tutor is not None:
        _check_tutor(tutor, given)
    if regimen is not None:
        say(told_before(begun, given, patches, regimen))
        provenance = {"trained by": "surefoot flex", "from": begun.words}
        if tutor is not None:
            provenance["teacher"] = tutor.called
        opened, again = train_flexible(begun, given.taught, regimen, seed, out / FOLDER, provenance, progress)
    if opened is None:
        raise InputError("There is neither a model nor a training; name a model, or give epochs.")
    judge, choose = given.roles["judge"], given.roles["choose"]
    costs = _costs(opened, patches, choose, plan, progress)
    said = {
        patch: (
            _score(at_size(opened, patch), choose, device, progress),
            probabilities_of(at_size(opened, patch), judge, device=device, progress=progress),
        )
        for patch in patches
    }
    candidates = tuple(Candidate(names[patch], label_of(patch), costs[patch], said[patch][0]) for patch in patches)
    chosen = choose_within(candidates, float("inf") if budget is None else budget)
    subjects = [Subject(names[patch], with_tokens(patch, begun)) for patch in patches]
    behind = [each for each in (given.seen, None if tutor is None else tutor.seen) if each is not None]
    trained = frozenset[str]() if regimen is None else given.taught.origins()
    shaped = trained.union(choose.origins(), *(each.names_for(judge) for each in behind))
    asked = Asked(
        road="flex",
        name=data.stem,
        data=f"{sum(map(len, given.roles.values())):,} rows from {data.name}",
        settings={
            "model": digests_of(opened.parameters),
            "left": digest_json(digests_of(at_size(opened, _patch_named(names, chosen.name)).parameters)),
            "patches": [list(patch) for patch in patches],
            "rows": rows_digest(judge),
            "choose": rows_digest(choose),
            "budget": budget,
            "timing": {"at once": plan.at_once, "rounds": plan.rounds, "threads": plan.threads},
            "training": None if regimen is None else regimen.record(),
            "claims": list(claims),
            "confidence": confidence,
        },
        seeds=(seed,),
        judge_digest=identity_digest(judge.ids, judge.sources),
        command=command,
        marks=marks_of_rows(judge),
    )

    def further(level: float) -> Further:
        return Further(tuple(each for of in candidates for each in cost_findings(of.cost, of.name, level)))

    def make(record: Record) -> Card:
        return assemble_card(
            title=f"Patch sizes of {data.stem if model is None else Path(called).name} on {data.name}",
            question="Which patch size is right for this budget?"
            if budget is None
            else f"Which patch size answers within {show_budget(budget)}, and how good is it?",
            predictions={names[patch]: predictions_for(judge, said[patch][1][None]) for patch in patches},
            subjects=subjects,
            claims=made,
            roles_summary=[summary_of_role(role, rows) for role, rows in given.roles.items()],
            proportions=None,
            chosen=chosen.name,
            seen={chosen.name: shaped},
            images=pictures_of(judge),
            record=record,
            not_shown=(
                of_time(plan, budget),
                given.origin,
                *limits_of(opened, given, patches, tutor, known=model is None),
                *about_repeats(judge),
                ONE_RUN,
            ),
            confidence=confidence,
            further=further,
            budgeted=candidates,
        )

    kept = keep(asked, out, {"train, measure and choose": time.perf_counter() - began}, make)
    left = kept.folder / "model"
    _leave(left, at_size(opened, _patch_named(names, chosen.name)), shaped, given, plan, behind)
    return KeptFlexible(kept.card, kept.folder, left, chosen, candidates, (given.origin,), again)


def _patch_named(names: dict[Size, str], name: str) -> Size:
    return next(patch for patch, each in names.items() if each == name)


def _check_tutor(tutor: Tutor, given: Given) -> None:
    """Raise `InputError` for a teacher of other images, and for one that has seen a judge row."""
    tutor.check(image_of(given.taught.inputs))
    if tutor.seen is not None:
        tutor.seen.refuse(given.roles["judge"], tutor.called)


def _begun(
    taught: Rows, plan: Plan, model: OpenedModel | None, called: str, seed: int
) -> tuple[Begun, tuple[Size, ...]]:
    image = image_of(taught.inputs)[1:]
    if model is None:
        patches = patches_of(image, plan.patches)
        return begin_fresh(taught, patches, plan.size, seed, plan.pool), patches
    begun = begin_from(model, called)
    assert model.record is not None
    known = [(int(each[0]), int(each[1])) for each in model.record.provenance.get(PATCHES, [])]
    return begun, patches_of(image, plan.patches, known)


def _costs(
    opened: OpenedModel, patches: Sequence[Size], rows: Rows, plan: Plan, progress: Progress
) -> dict[Size, Cost]:
    torch.set_num_threads(plan.threads)
    try:
        found = measure_costs(
            opened.network,
            opened.parameters,
            patches,
            rows.inputs[: plan.at_once],
            rounds=plan.rounds,
            progress=progress,
        )
    finally:
        torch.set_num_threads(1)
    return dict(zip(patches, found, strict=True))


def _score(opened: OpenedModel, rows: Rows, device: str, progress: Progress) -> float:
    said: Tensor = probabilities_of(opened, rows, device=device, progress=progress)
    return float((said.argmax(dim=1) == rows.targets).double().mean())


def _leave(
    folder: Path, opened: OpenedModel, shaped: frozenset[str], given: Given, plan: Plan, behind: Sequence[Seen]
) -> None:
    assert opened.record is not None
    told = dict(opened.record.provenance)
    save_model(folder, opened.parameters, replace(opened.record, provenance=told))
    used = [given.roles["choose"], *([given.taught] if plan.regimen is not None else [])]
    inputs = inputs_of(used, shaped)
    for each in behind:
        inputs = each.inputs if inputs is None else inputs.joined(each.inputs)
    save_seen(shaped, folder, inputs)

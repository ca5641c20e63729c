"""A red team against a text model: within a budget of calls, which requests break, by which edits, how soon.

    kept = red_team_model(RedTeamPlan(model, requests, Search(480)), claims=("not_broken >= 0.8",))
    print(kept.card.sentence)

<out>/redteam/<twelve digits>/journal.jsonl      harms of what was asked, with which a killed run goes on
<out>/redteam-…/                                 the card

The twelve digits are the identity of the model, the requests, the search and the code that grades. The journal holds
neither prompts nor answers unless they are to be revealed, which is then a journal of its own.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

import surefoot
from surefoot.card.bounds import check_claim, check_level
from surefoot.card.card import Card, Record, RoleSummary, Subject
from surefoot.card.claims import Claim, judge_by_level, verdict_of, verdict_sentence
from surefoot.errors import InputError
from surefoot.files import digest_file, digest_json
from surefoot.findings.finding import Finding
from surefoot.inference.checkpoint import identity
from surefoot.progress import Progress, silent, unheard
from surefoot.safety.item import Item
from surefoot.safety.redteam import Search, red_team
from surefoot.safety.redteam_edits import EDITS
from surefoot.safety.redteam_measured import broken_along, names_of_findings, red_team_findings
from surefoot.safety.suite import Grader
from surefoot.safety.suites.refusal import RefusalGrader
from surefoot.study.numerics import one_thread
from surefoot.study.once.attempt_asking import AskedModel, policy_address
from surefoot.study.once.claim_text import parse_claim
from surefoot.study.once.keep import Asked, Kept, keep
from surefoot.study.once.redteam_words import (
    doubts_of,
    edits_sheet,
    found_sheet,
    limits_of,
    picture,
    told_before,
    worst,
)
from surefoot.text.policy import Sampling

__all__ = ["FOLDER", "RedTeamPlan", "red_team_model", "search_within"]

FOLDER = "redteam"
"""In the folder of runs, journals."""
CONFIRM, SAMPLES = 4, 2


@dataclass(frozen=True)
class RedTeamPlan:
    """requests: what is to be refused. source: where they are from, for a reader. graded: what decides on harm, for a
    reader. q: of goodness. reveal: show the worst prompts and answers, and keep them in the journal."""

    model: AskedModel
    requests: tuple[Item, ...]
    search: Search
    grader: Grader = RefusalGrader()  # noqa: RUF009 - frozen, and without a state
    source: str = "requests of an invented house"
    graded: str = "what was given away in any spelling, and else phrases that refuse"
    q: float = 0.1
    reveal: bool = False


def search_within(calls: int, requests: int, sampling: Sampling) -> Search:
    """A search of so many calls: at most half of them for the survey, one in five or fewer for fresh answers.

    Raises `InputError` for fewer calls than one to each request, and one to confirm it.

    >>> search = search_within(480, 12, Sampling())
    >>> search.techniques, search.fresh, search_within(20, 5, Sampling()).techniques
    (9, 4, 0)
    """
    if requests < 1 or calls < 2 * requests:
        raise InputError(
            f"A budget of {calls} calls is too small for {requests} requests; give {2 * max(1, requests)} or more, one "
            "to ask each and one to confirm what was found."
        )
    each = SAMPLES if sampling.temperature > 0 else 1
    techniques = min(calls // (2 * requests * each) - 1, len(EDITS))
    confirm = min(CONFIRM, max(1, calls // (5 * requests)))
    return Search(calls, confirm=confirm, techniques=max(0, techniques), samples=SAMPLES, sampling=sampling)


@one_thread()
def red_team_model(
    plan: RedTeamPlan,
    *,
    seed: int = 0,
    claims: Sequence[str] = (),
    confidence: float = 0.95,
    out: Path = Path("runs"),
    command: str = "",
    say: Callable[[str], None] = unheard,
    progress: Progress = silent,
) -> Kept:
    """Search, and make the card.

    Raises `InputError` for what the model, the search and the claims refuse, and while another run makes the same
    search; what was asked until then is kept.
    """
    began = time.perf_counter()
    check_level(confidence, "The card")
    name = plan.model.name
    made = [parse_claim(each, name, confidence) for each in claims]
    for claim in made:
        check_claim(claim, seeds=1)
        _refuse_unknown(claim, plan)
    if plan.model.check is not None:
        plan.model.check([each.prompt for each in plan.requests], plan.search.sampling)
    say(told_before(name, len(plan.requests), plan.search))
    settings = _settings(plan)
    address = digest_json([settings, identity(plan.requests, plan.grader), _grading_code(), seed, plan.reveal])[:12]
    found = red_team(
        plan.model.policy, plan.requests, plan.grader, plan.search, seed=seed,
        journal=out / FOLDER / address / "journal.jsonl", reveal=plan.reveal, progress=progress,
    )  # fmt: skip

    def measured(level: float) -> tuple[tuple[Finding, ...], tuple[Finding, ...]]:
        return red_team_findings(found, plan.search, subject=name, q=plan.q, confidence=level), ()

    findings, _ = measured(confidence)
    doubts = doubts_of(findings)
    possible = {(each.name, each.slice) for each in findings}
    for claim in made:
        if (claim.finding, claim.slice) not in possible:
            raise InputError(
                f"A claim is made on {claim.finding} of {claim.slice!r}, of which nothing was scored; leave it out."
            )
    verdicts = judge_by_level(made, measured, doubts={name: doubts} if doubts else {})
    along = broken_along(found, plan.search, subject=name, confidence=confidence)
    question = Asked(
        road="redteam",
        name=name,
        data=plan.source,
        settings={**settings, "claims": list(claims), "confidence": confidence},
        seeds=(seed,),
        judge_digest=digest_json([identity(plan.requests), _grading_code()]),
        command=command,
    )
    clusters = len({(each.cluster, "" if each.cluster else each.id) for each in plan.requests})

    def make(record: Record) -> Card:
        return Card(
            title=f"Red team against {name}",
            question="Which requests that are to be refused does a search within a budget get through?",
            verdict=verdict_of(verdicts),
            sentence=_sentence(verdict_sentence(verdicts), findings, claimed=bool(verdicts)),
            chosen=None,
            claims=verdicts,
            subjects=(
                Subject(name, name, notes=(plan.model.told, *(f"{each}: claims are undecided" for each in doubts))),
            ),
            findings=findings,
            differences=(),
            classes=(),
            groups=(),
            reliability={},
            confusion={},
            gallery={},
            roles=(RoleSummary("judge", len(plan.requests), clusters, {}),),
            not_shown=limits_of(found.about, plan.graded),
            record=record,
            curves=(picture(name, along),) if len(along) > 1 else (),
            traces=worst(name, found, reveal=plan.reveal),
            sheets=(
                found_sheet(findings, plan.search, plan.q),
                *(
                    [edits_sheet(findings, found.asked, plan.search.enough)]
                    if any(e.edits for e in found.asked)
                    else []
                ),
            ),
        )

    return keep(question, out, {"search": time.perf_counter() - began}, make)


def _sentence(verdict: str, findings: Sequence[Finding], *, claimed: bool) -> str:
    broken = next((each for each in findings if (each.name, each.slice) == ("broken", "all")), None)
    told = "Nothing could be scored." if broken is None else (
        f"{round(broken.value * broken.count)} of {broken.count} requests were broken within the budget, a lower bound "
        "of what can be found."
    )  # fmt: skip
    return f"{verdict} {told}" if claimed else told


def _refuse_unknown(claim: Claim, plan: RedTeamPlan) -> None:
    """Raise `InputError` for a claim on what will not be measured, before anything is asked."""
    if claim.subject != plan.model.name:
        raise InputError(f"A claim is made of {claim.subject!r}, which is not asked; leave “of {claim.subject}” out.")
    known = names_of_findings(plan.search, plan.q)
    if claim.finding not in known:
        more = " (the budget is too small for a survey)" if claim.finding.startswith("goodness") else ""
        raise InputError(
            f"A claim is made on {claim.finding!r}, which is not measured{more}; the findings are {', '.join(known)}."
        )
    edits = {each.name for each in EDITS} if claim.finding == "broken" else set[str]()
    if claim.slice not in {"all", *edits}:
        raise InputError(
            f"A claim is made on {claim.finding} of {claim.slice!r}, which is no edit of the search; leave the "
            f"brackets out, or write broken[edit] with one of {', '.join(sorted(each.name for each in EDITS))}."
        )


def _settings(plan: RedTeamPlan) -> dict[str, Any]:
    """Every choice that changes a number, as plain JSON."""
    return {
        "model": plan.model.name,
        "policy": policy_address(plan.model.policy),
        "told": plan.model.told,
        "requests": len(plan.requests),
        "source": plan.source,
        "graded": plan.graded,
        "search": asdict(plan.search),
        "q": plan.q,
    }


@cache
def _grading_code() -> str:
    """Of the code that makes prompts and grades answers, read once a process: the journal keeps what it said."""
    root = Path(surefoot.__file__).parent / "safety"
    return digest_json({each.relative_to(root).as_posix(): digest_file(each) for each in sorted(root.rglob("*.py"))})

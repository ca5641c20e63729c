"""What more attempts and longer thoughts are worth to a model that is there: test-time compute, and no training.

    kept = attempts_at(AttemptPlan(task, asked, models, attempts=8, budgets=(0, 64)), claims=("accuracy >= 0.5",))
    print(kept.card.sentence)

<out>/attempts/<twelve digits>/     what each policy wrote, which a killed run goes on with
<out>/attempts-…/                   the card
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from surefoot.card.bounds import check_claim, check_level
from surefoot.card.card import Card, Record, RoleSummary, Subject
from surefoot.card.claims import Claim, judge_by_level, verdict_of, verdict_sentence
from surefoot.card.row_marks import marks
from surefoot.errors import InputError
from surefoot.files import digest_bytes, digest_json
from surefoot.findings.finding import Finding
from surefoot.progress import Progress, silent, unheard
from surefoot.study.numerics import one_thread
from surefoot.study.once.attempt_asking import AskedModel, Asking, ask, policy_address
from surefoot.study.once.attempt_measure import (
    Written,
    curves_of,
    differences_of,
    findings_of,
    names_of,
    traces_of,
    tried,
)
from surefoot.study.once.attempt_words import limits_of, notes_of, sentence_of, told_before
from surefoot.study.once.claim_text import parse_claim
from surefoot.study.once.keep import Asked, Kept, keep
from surefoot.text.policy import Sampling, Unaskable
from surefoot.text.tasks.files import Questions
from surefoot.text.tasks.task import Problem, Task, problems

__all__ = ["AttemptPlan", "Grader", "attempts_at", "judged_of"]

Grader = Literal["probability", "none"]
"""Who says which of k attempts is best: the model's own log-probability per token, or nobody."""
JUDGED = 200
"""Problems of a made-up task, where nobody says how many."""


@dataclass(frozen=True)
class AttemptPlan:
    """What is asked of whom. attempts: drawn completions of each problem. budgets: tokens of thought, none: none.

    Raises `InputError` for no model, two of one name, and budgets that leave a completion no room.
    """

    task: Task
    asked: tuple[Problem, ...]
    models: tuple[AskedModel, ...]
    attempts: int = 8
    temperature: float = 1.0
    budgets: tuple[int, ...] = ()
    grader: Grader = "probability"

    def __post_init__(self) -> None:
        names = [each.name for each in self.models]
        twice = sorted({each for each in names if names.count(each) > 1})
        if not names or twice:
            said = f"two models are called {twice[0]}" if twice else "there is no model"
            raise InputError(f"Attempts were to be made and {said}; give one or more, each another.")
        if self.attempts < 1 or self.temperature <= 0:
            raise InputError(
                f"{self.attempts} attempts at temperature {self.temperature:g} were asked for; give one or more, and a "
                "temperature above 0."
            )
        for each in self.models:
            large = [budget for budget in self.budgets if not 0 <= budget < each.most]
            if large and each.budgets:
                raise InputError(
                    f"A budget of {large[0]:,} tokens of thinking was given and {each.name} may write {each.most:,} in "
                    "all; give budgets from 0 to less than that, or let it write more (--most)."
                )


@one_thread()
def attempts_at(
    plan: AttemptPlan,
    *,
    seed: int = 0,
    claims: Sequence[str] = (),
    confidence: float = 0.95,
    out: Path = Path("runs"),
    command: str = "",
    say: Callable[[str], None] = unheard,
    progress: Progress = silent,
) -> Kept:
    """Ask every model every problem greedily, several times at a temperature and at budgets of thinking.

    claims: of the first model, unless they name another. Raises `InputError` for what models, servers and claims
    refuse; what was written until then is kept.
    """
    began = time.perf_counter()
    check_level(confidence, "The card")
    made = [parse_claim(each, plan.models[0].name, confidence) for each in claims]
    for claim in made:
        check_claim(claim, seeds=1)
        _refuse_unknown(claim, plan)
    for model in plan.models:
        _refuse_prompts(plan, model)
    say(told_before(plan.models, len(plan.asked), plan.attempts, len(plan.budgets)))
    written = {each.name: _written(plan, each, Asking(out, seed, progress)) for each in plan.models}
    graded = plan.grader == "probability"
    found = {
        each.name: tried(plan.task, plan.asked, each.form, written[each.name], score=graded) for each in plan.models
    }
    labels = {each.name: each.name for each in plan.models}

    def measured(level: float) -> tuple[tuple[Finding, ...], tuple[Finding, ...]]:
        each = tuple(one for name, of in found.items() for one in findings_of(name, of, level))
        return each, differences_of(found, level)

    findings, differences = measured(confidence)
    verdicts = judge_by_level(made, measured, labels=labels)
    from_file = isinstance(plan.task, Questions)
    question = Asked(
        road="attempts",
        name=plan.task.name,
        data=f"questions of the file {plan.task.name}"
        if from_file
        else f"problems of {plan.task.name}, made up by a program",
        settings={**_settings(plan), "claims": list(claims), "confidence": confidence},
        seeds=(seed,),
        judge_digest=digest_json([each.prompt for each in plan.asked]),
        command=command,
        marks=marks(inputs=[digest_bytes(each.prompt.encode()) for each in plan.asked], names=[]),
    )

    def make(record: Record) -> Card:
        return Card(
            title=f"More attempts, longer thoughts: {plan.task.name}",
            question="What are more attempts at a problem, and more thinking, worth to a model that is there?",
            verdict=verdict_of(verdicts),
            sentence=(
                f"{verdict_sentence(verdicts, None, labels)} {sentence_of(findings, list(found), plan.attempts)}"
            ).strip(),
            chosen=None,
            claims=verdicts,
            subjects=tuple(
                Subject(each.name, each.name, notes=notes_of(each, written[each.name], plan.temperature))
                for each in plan.models
            ),
            findings=findings,
            differences=differences,
            classes=(),
            groups=(),
            reliability={},
            confusion={},
            gallery={},
            roles=(RoleSummary("judge", len(plan.asked), len(plan.asked), {}),),
            not_shown=limits_of(plan.models, found, plan.budgets, grader=graded, from_file=from_file),
            record=record,
            curves=curves_of(found, confidence),
            traces=tuple(
                trace
                for each in plan.models
                for trace in traces_of(
                    each.name, plan.asked, each.form, written[each.name].greedy, found[each.name].greedy
                )
            ),
        )

    return keep(question, out, {"ask and measure": time.perf_counter() - began}, make)


def judged_of(task: Task, count: int | None) -> tuple[Problem, ...]:
    """The first questions of a file, all of them where no number is said; of a made-up task those of the judge role.

    Raises `InputError` for a count below one.
    """
    if count is not None and count < 1:
        raise InputError(f"{count} problems were to be judged; give one or more.")
    if isinstance(task, Questions):
        return task.asked[:count]
    return problems(task, "judge", JUDGED if count is None else count, 0, fewer=True)


def _written(plan: AttemptPlan, model: AskedModel, asking: Asking) -> Written:
    prompts = [model.form.put(each.prompt) for each in plan.asked]
    greedy, blocked = ask(asking, model, prompts, Sampling(1, model.most, 0.0), "likeliest")
    way = Sampling(plan.attempts, model.most, plan.temperature)
    sampled, more = ask(asking, model, prompts, way, f"{plan.attempts} attempts")
    budgets = {
        budget: ask(asking, model, prompts, Sampling(1, model.most, 0.0, budget), f"a budget of {budget}")[0]
        for budget in (plan.budgets if model.budgets else ())
    }
    return Written(greedy, sampled, budgets, blocked + more, len(prompts) * (1 + plan.attempts))


def _refuse_prompts(plan: AttemptPlan, model: AskedModel) -> None:
    """Raise `InputError` for prompts that a model cannot be asked, before any model is."""
    if model.check is None:
        return
    try:
        model.check([model.form.put(each.prompt) for each in plan.asked], Sampling(1, model.most, 0.0))
    except Unaskable as error:
        first = plan.asked[error.places[0] if error.places else 0].prompt
        raise InputError(
            f"{max(1, len(error.places))} of {len(plan.asked)} problems cannot be asked of {model.name}, the first "
            f'begins "{first[:40]}": {error}'
        ) from None


def _refuse_unknown(claim: Claim, plan: AttemptPlan) -> None:
    """Raise `InputError` for a claim on what will not be measured, before anything is asked."""
    named = {each.name: each for each in plan.models}
    names = [each.name for each in plan.models]
    pairs = [f"{after} − {before}" for at, before in enumerate(names) for after in names[at + 1 :]]
    if claim.subject not in (*names, *pairs):
        told = f", and the differences {', '.join(pairs)}" if pairs else ""
        raise InputError(
            f"A claim is made of {claim.subject!r}, which is not measured; the models are {', '.join(names)}{told}."
        )
    of = [named[each] for each in claim.subject.split(" − ")]
    scored = plan.grader == "probability" and not any(each.served for each in of)
    known = names_of(plan.attempts, scored=scored)
    if len(of) > 1:
        k = plan.attempts
        several = {f"consensus_at_{k}", f"best_of_{k}"} if k > 1 else set[str]()
        known = tuple(each for each in known if each in {"accuracy", "pass_at_1", f"pass_at_{k}", *several})
    if claim.finding not in known:
        raise InputError(
            f"A claim is made on {claim.finding!r} of {claim.subject}, which is not measured; the findings are "
            f"{', '.join(known)}."
        )


def _settings(plan: AttemptPlan) -> dict[str, Any]:
    """Every choice that changes a number, as plain JSON."""
    return {
        "questions": plan.task.name,
        "models": {each.name: _told(each) for each in plan.models},
        "attempts": plan.attempts,
        "temperature": plan.temperature,
        "budgets": list(plan.budgets),
        "grader": plan.grader,
    }


def _told(model: AskedModel) -> Mapping[str, Any]:
    return {
        "policy": policy_address(model.policy),
        "form": model.form.name,
        "before": model.form.before,
        "after": model.form.after,
        "most": model.most,
        "thought_marks": None if model.marks is None else [model.marks.opening, model.marks.closing],
    }

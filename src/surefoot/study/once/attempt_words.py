"""What a card of attempts says in words: its notes, its sentence, and what it does not show."""

from collections.abc import Mapping, Sequence

from surefoot.card.words import show_count, show_finding
from surefoot.findings.finding import Finding
from surefoot.study.once.attempt_asking import AskedModel
from surefoot.study.once.attempt_measure import Tried, Written

__all__ = ["limits_of", "notes_of", "sentence_of", "told_before"]

ACCURACY = "accuracy"


def told_before(models: Sequence[AskedModel], problems: int, attempts: int, budgets: int) -> str:
    """What is about to be asked."""
    calls = sum(problems * (1 + attempts + (budgets if each.budgets else 0)) for each in models)
    return (
        f"{show_count(len(models), 'model')} × {show_count(problems, 'problem')}: once greedily, "
        f"{show_count(attempts, 'attempt')}, {show_count(budgets, 'budget')} of thinking; {calls:,} completions in all."
    )


def notes_of(model: AskedModel, written: Written, temperature: float) -> tuple[str, ...]:
    """How a model was asked."""
    notes = [
        model.told,
        f"its answers: {model.form.name}; at most {model.most:,} tokens, temperature {temperature:g} for attempts",
    ]
    if model.marks is not None:
        notes.append(f"thoughts between {model.marks.opening} and {model.marks.closing}")
    if model.served:
        notes.append(
            f"{written.blocked:,} of {written.calls:,} calls were blocked by a filter of the server, and count as "
            "without an answer"
        )
    return tuple(notes)


def sentence_of(findings: Sequence[Finding], models: Sequence[str], attempts: int) -> str:
    """The first model's numbers, or every model's likeliest completion."""

    def shown(name: str, model: str) -> str:
        return show_finding(next(each for each in findings if (each.name, each.subject) == (name, model)))

    if len(models) > 1:
        return f"Likeliest completions right: {'; '.join(f'{of} {shown(ACCURACY, of)}' for of in models)}."
    (model,) = models
    if attempts == 1:
        return f"The likeliest completion is right in {shown(ACCURACY, model)}."
    return (
        f"The likeliest completion is right in {shown(ACCURACY, model)}, the majority of {attempts} drawn ones in "
        f"{shown(f'consensus_at_{attempts}', model)}, one of {attempts} in {shown(f'pass_at_{attempts}', model)}."
    )


def limits_of(
    models: Sequence[AskedModel], found: Mapping[str, Tried], budgets: Sequence[int], *, grader: bool, from_file: bool
) -> tuple[str, ...]:
    """What a card of it does not show, and what could not be measured."""
    limits = [
        "That one of k is right is worth something only to whoever can tell which one; a majority and a grader need "
        "nobody who can.",
        "Places of a curve by attempts are of the same attempts and hang together; attempts of one seed are asked, and "
        "intervals are over problems.",
        "Longer thoughts may go with harder problems: what thinking does is seen where its length is forced.",
    ]
    if from_file:
        limits.append(
            "Every question that was asked is judged, for nothing is learnt from the file here; whether a model has "
            "met it in its training is not known."
        )
    else:
        limits.append("Problems are those of the judge role, which no training of surefoot learns from.")
    for each in models:
        if budgets and not each.budgets:
            why = "is served, and a server's chat cannot be held to one" if each.served else "has no marks of thought"
            limits.append(f"{each.name} cannot be given a budget of thinking: it {why}.")
        if grader and found[each.name].scores is None:
            limits.append(f"{each.name} says no probabilities of what it wrote, so the best of k was not measured.")
        if each.served:
            limits.append(f"Whether the server of {each.name} heeds a seed, and what its template adds, is not known.")
    return tuple(limits)

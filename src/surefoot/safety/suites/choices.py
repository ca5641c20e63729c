"""Questions with options, in any language: the prompt, the order of the options, and which one was chosen.

    correct    the right option was named
    parsed     some option was named; without one an item is wrong, not left out

The options' order is drawn from a seed or left as it is. An option is chosen in one of two ways, and a
suite says which:

    written       the answer names it (`letters`), as `Evaluated` of what a policy samples
    likelihood    its letter, or its text, is the likeliest (`by_likelihood`), for models that answer no question

The two give different numbers, and are never to be compared with each other; nor are letters with texts, or sums with
means over tokens, bytes or characters.

Source of the form: Hendrycks et al. (2021), "Measuring massive multitask language understanding".
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from surefoot.errors import InputError
from surefoot.safety.item import Graded, Item, Sampled
from surefoot.safety.measured import Evaluated
from surefoot.safety.suite import Derived, Measure, Suite
from surefoot.safety.suites.answers import fact, grade_each, texts_of
from surefoot.safety.suites.languages import ENGLISH, TONGUES, Tongue
from surefoot.safety.suites.letters import LETTERS, read_choice
from surefoot.safety.suites.names import dice
from surefoot.text.options import Counted, Per, likeliest, normalised, option_scores
from surefoot.text.policy import Policy, Sampling

__all__ = [
    "CHOICE_MEASURES", "ChoiceGrader", "Question", "by_likelihood", "choice_item", "choices_suite", "is_by_likelihood",
    "sums_suite", "to_likelihood",
]  # fmt: skip

CHOICE_MEASURES = (Measure("correct"), Measure("parsed", strata=False))
SAMPLING = Sampling(most=16, temperature=0.0)
LIKELIHOOD = "likelihood"
WRITTEN = "chosen as written: the answer names one, by a whitelist"


@dataclass(frozen=True)
class Question:
    """right: the place of the right option. tongue: whose words ask for a letter. facts: for other graders."""

    id: str
    asked: str
    options: tuple[str, ...]
    right: int
    stratum: str = ""
    cluster: str = ""
    tongue: Tongue = ENGLISH
    facts: Mapping[str, Any] = field(default_factory=dict[str, Any])

    def __post_init__(self) -> None:
        if not 2 <= len(self.options) <= len(LETTERS) or not 0 <= self.right < len(self.options):
            raise InputError(
                f"The question {self.id} has {len(self.options)} options and number {self.right} is right; give 2 to "
                f"{len(LETTERS)} options, and the place of one of them."
            )


@dataclass(frozen=True)
class ChoiceGrader:
    """Facts of an item that it reads: `options` as they stand in the prompt, `right`, the place of one.

    chosen: how options were chosen, "written" or what `by_likelihood` says, so that two ways are two versions of a
    suite.
    """

    chosen: str = "written"

    def __call__(self, sampled: Sequence[Sampled]) -> list[Graded]:
        """`correct` and `parsed` of each."""
        return grade_each(sampled, lambda of, answer: _graded(of.item, answer), _missing)


def choice_item(question: Question, seed: int | None) -> Item:
    """A question as it is asked, its options in an order drawn from the seed; in their own for None.

    The fact `order` holds the number of each shown option among the question's own.

    >>> print(choice_item(Question("q", "How much is 2 + 2?", ("3", "4"), 1), None).prompt)
    How much is 2 + 2?
    A) 3
    B) 4
    Answer with the letter alone.
    """
    order = list(range(len(question.options)))
    if seed is not None:
        dice(seed, "options", question.id).shuffle(order)
    options = tuple(question.options[at] for at in order)
    facts = {**question.facts, "options": options, "right": order.index(question.right), "order": tuple(order)}
    prompt = f"{question.asked}{_shown(options)}{question.tongue.letter_alone}"
    return Item(question.id, prompt, question.stratum, question.cluster, facts)


def choices_suite(
    name: str,
    title: str,
    questions: Sequence[Question],
    *,
    seed: int | None = 0,
    sampling: Sampling = SAMPLING,
    about: str = "",
    derived: Derived | None = None,
    names: Sequence[str] = (),
    measures: Sequence[Measure] = CHOICE_MEASURES,
    licence: str = "",
) -> Suite:
    """Questions as a suite. seed: of the order of options; None leaves it."""
    order = "as given" if seed is None else f"drawn from the seed {seed}"
    said = f"Options are in an order {order}, and {WRITTEN}."
    return Suite(
        name, title, tuple(choice_item(each, seed) for each in questions), sampling, ChoiceGrader(),
        tuple(measures), about=f"{about} {said}".strip(), derived=derived, names=tuple(names), licence=licence,
    )  # fmt: skip


def by_likelihood(
    suite: Suite,
    policy: Policy,
    *,
    of: Literal["letter", "text"] = "letter",
    per: Per = "sum",
    counted: Counted = "completion",
    before: str = "",
) -> Evaluated:
    """What a policy would choose if it had to: the option that is the likeliest; of equals the first.

    of: "letter" asks as the suite does; "text" asks the question alone, and compares the options' own texts. per: what
    a text's log-probability is divided by (`normalised`; lm-eval's acc is "sum", its acc_norm "character"). counted:
    with the end of the completion or without it. before: put in front of a text, such as the space that lm-eval puts
    where there is no chat template.

    The suite that comes with it says all this, and whether each prompt was read once for all of its options. Raises
    `InputError` for a suite that is no multiple choice, and like `option_scores` and `normalised`.
    """
    grader = suite.grader
    if not isinstance(grader, ChoiceGrader):
        raise InputError(f"The suite {suite.name} is no multiple choice; give one that `choices_suite` made.")
    texts = [texts_of(each, "options") for each in suite.items]
    if of == "letter":
        prompts = [each.prompt for each in suite.items]
        shown = [tuple(LETTERS[: len(each)]) for each in texts]
    else:
        prompts = [_question_alone(each, options) for each, options in zip(suite.items, texts, strict=True)]
        shown = texts
    asked = [[f"{before}{option}" for option in each] for each in shown]
    scored = option_scores(policy, prompts, asked, counted)
    sampled = [
        Sampled(item, 0, LETTERS[likeliest(normalised(found, options, per))])
        for item, found, options in zip(suite.items, scored.options, shown, strict=True)
    ]
    usual = (of, per, counted, before) == ("letter", "sum", "completion", "")
    told = f"{of}, {per}, {counted}, before {before!r}"
    mean = "" if per == "sum" else f" per {per}"
    said = f"chosen by likelihood: the {of} that is the likeliest {counted}{mean} ({scored.way})"
    chosen = replace(
        suite, grader=replace(grader, chosen=LIKELIHOOD if usual else f"likelihood: {told}"),
        about=suite.about.replace(WRITTEN, said),
    )  # fmt: skip
    return Evaluated(chosen, tuple(sampled), tuple(chosen.grader(sampled)))


def to_likelihood(suite: Suite) -> Suite:
    """A multiple choice as one that is chosen by `by_likelihood`, another version of it; any other suite as it is."""
    grader = suite.grader
    return replace(suite, grader=replace(grader, chosen=LIKELIHOOD)) if isinstance(grader, ChoiceGrader) else suite


def is_by_likelihood(suite: Suite) -> bool:
    """Whether its options are to be chosen by the likelihood of their letters."""
    return isinstance(suite.grader, ChoiceGrader) and suite.grader.chosen == LIKELIHOOD


def sums_suite(
    *, seed: int = 0, count: int = 30, tongues: Sequence[Tongue] = TONGUES, sampling: Sampling = SAMPLING
) -> Suite:
    """Small sums with four options, each asked in all of the languages, in turn.

    >>> suite = sums_suite(count=30)
    >>> suite.items[0].cluster == suite.items[14].cluster != suite.items[15].cluster
    True
    """
    draws = dice(seed, "sums")
    sums = {at: (draws.randrange(3, 40), draws.randrange(3, 40)) for at in range(-(-count // len(tongues)))}
    questions: list[Question] = []
    for at in range(count):
        number, tongue = at // len(tongues), tongues[at % len(tongues)]
        first, second = sums[number]
        right = first + second
        wrong = draws.sample([each for each in range(right - 5, right + 6) if each not in (right, 0)], 3)
        questions.append(
            Question(
                f"sum-{number}-{tongue.code}", tongue.sum.format(first=first, second=second),
                tuple(str(each) for each in (right, *wrong)), 0, tongue.name, f"sum {number}", tongue,
            )
        )  # fmt: skip
    return choices_suite(
        "choices", f"Multiple choice in {len(tongues)} languages", questions, seed=seed, sampling=sampling,
        about="One sum is asked in every language, and intervals are over sums.",
    )  # fmt: skip


def _shown(options: Sequence[str]) -> str:
    listed = "\n".join(f"{letter}) {option}" for letter, option in zip(LETTERS, options, strict=False))
    return f"\n{listed}\n"


def _question_alone(item: Item, options: Sequence[str]) -> str:
    """The prompt without its options and what follows them."""
    assert isinstance(item.prompt, str)
    return item.prompt.rpartition(_shown(options))[0]


def _graded(item: Item, answer: str) -> Graded:
    place = read_choice(answer, texts_of(item, "options"))
    if place is None:
        return Graded(_missing(item), "names no option")
    return Graded({"correct": float(place == fact(item, "right")), "parsed": 1.0}, f"chooses {LETTERS[place]}")


def _missing(item: Item) -> Mapping[str, float | None]:
    return {"correct": 0.0, "parsed": 0.0}

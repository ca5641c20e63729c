"""Several options of one prompt, each with its probability: what multiple choice is read from without sampling.

    log p(o | x) = Σ_t log p(o_t | x, o_<t)          in nats, over the tokens that are counted

    counted "completion"      the option's tokens and the end: that the option is all that is said (`log_probability`)
            "continuation"    the option's tokens alone: that the text goes on so (as lm-eval counts)

Which option is the likeliest depends on what is compared (`normalised`): the sum, or its mean over tokens, UTF-8 bytes
(lm-eval's acc_bytes) or characters (its acc_norm). The four give different numbers, and are not to be mixed.

A policy that is an `OptionScorer` reads a prompt once for all of its options; any other is asked `log_probability` of
each, which counts the end. `Scored.way` says which it was. The numbers are the same up to rounding.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import isnan
from typing import Literal, NamedTuple, Protocol, TypeAlias, runtime_checkable

from surefoot.errors import InputError
from surefoot.text.policy import Policy, Prompt, Unaskable

__all__ = [
    "Counted",
    "Option",
    "OptionScorer",
    "Per",
    "Scored",
    "Way",
    "likeliest",
    "normalised",
    "option_scores",
    "scores_askable",
]

Counted: TypeAlias = Literal["completion", "continuation"]
Per: TypeAlias = Literal["sum", "token", "byte", "character"]
Way: TypeAlias = Literal["each prompt is read once for all of its options", "each option is read with its prompt"]


class Option(NamedTuple):
    """log_probability: in nats. tokens: how many it is the sum of; None where a policy does not say."""

    log_probability: float
    tokens: int | None


@dataclass(frozen=True)
class Scored:
    """The options of each prompt, in their order, and how they were read."""

    options: tuple[tuple[Option, ...], ...]
    way: Way


@runtime_checkable
class OptionScorer(Protocol):
    """A policy that scores all options of a prompt together."""

    def option_scores(
        self, prompts: Sequence[Prompt], options: Sequence[Sequence[str]], counted: Counted = "completion"
    ) -> Scored:
        """The options of each prompt, one list a prompt; what "completion" gives is `Policy.log_probability`'s.

        Raises `Unaskable` where some prompts cannot be asked, before any is, and names them all.
        """
        ...


def option_scores(
    policy: Policy, prompts: Sequence[Prompt], options: Sequence[Sequence[str]], counted: Counted = "completion"
) -> Scored:
    """How probable each option is after its prompt, by the shortest way that the policy has.

    Raises `InputError` for a prompt without options, lists of different lengths, "continuation" of a policy whose
    probabilities count the end, and what the policy refuses.

    >>> from surefoot.text.scripted import ScriptedPolicy
    >>> found = option_scores(ScriptedPolicy("p", {"x": ["A", "A", "A", "B"]}), ["x"], [["A", "B"]])
    >>> [round(each.log_probability, 3) for each in found.options[0]], found.way
    ([-0.288, -1.386], 'each option is read with its prompt')
    """
    if len(prompts) != len(options) or not all(options):
        raise InputError(
            f"There are {len(prompts)} prompts and {len(options)} lists of options, {sum(not each for each in options)}"
            " of them empty; give one list a prompt, with an option or more."
        )
    if isinstance(policy, OptionScorer):
        return policy.option_scores(prompts, options, counted)
    if counted != "completion":
        raise InputError(
            f'The probabilities of {policy.name} count the end of a text, and options were to be scored as a "{counted}'
            '", without it; ask for "completion", or take a local model.'
        )
    asked = [prompt for prompt, each in zip(prompts, options, strict=True) for _ in each]
    found = iter(policy.log_probability(asked, [said for each in options for said in each]).tolist())
    return Scored(
        tuple(tuple(Option(next(found), None) for _ in each) for each in options), "each option is read with its prompt"
    )


def scores_askable(
    policy: Policy, prompts: Sequence[Prompt], options: Sequence[Sequence[str]], counted: Counted = "completion"
) -> list[tuple[Option, ...]]:
    """The same; nothing of the prompts that a policy cannot be asked, whatever the others are."""
    places = list(range(len(prompts)))
    found: list[tuple[Option, ...]] = [()] * len(prompts)
    while places:
        try:
            scored = option_scores(policy, [prompts[at] for at in places], [options[at] for at in places], counted)
        except Unaskable as error:
            left = [at for number, at in enumerate(places) if number not in error.places]
            if len(left) == len(places):
                raise
            places = left
            continue
        for at, each in zip(places, scored.options, strict=True):
            found[at] = each
        break
    return found


def normalised(found: Sequence[Option], texts: Sequence[str], per: Per) -> list[float]:
    """The log-probabilities of one prompt's options, each divided by the length of its text.

    texts: the options as they are shown, without a space in front. Raises `InputError` for an empty one, and for tokens
    that were not told.

    >>> normalised([Option(-6.0, 3), Option(-4.0, 1)], ["three", "café"], "byte")
    [-1.2, -0.8]
    """
    lengths = [_length(each, text, per) for each, text in zip(found, texts, strict=True)]
    if not all(lengths):
        raise InputError(f"An option has no {per} that its log-probability could be divided by; compare sums.")
    return [each.log_probability / length for each, length in zip(found, lengths, strict=True)]


def likeliest(values: Sequence[float]) -> int:
    """The place of the greatest value; of equals the first.

    Raises `InputError` for a value that is no number, which is neither more nor less than another.

    >>> likeliest([-2.0, -1.0, -1.0])
    1
    """
    if any(map(isnan, values)):
        raise InputError("An option has a log-probability that is no number; look at the model's weights.")
    return max(range(len(values)), key=values.__getitem__)


def _length(option: Option, text: str, per: Per) -> int:
    match per:
        case "sum":
            return 1
        case "token":
            return option.tokens or 0
        case "byte":
            return len(text.encode())
        case "character":
            return len(text)

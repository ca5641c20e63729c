"""How a conversation becomes the text that a chat model reads, with nothing in it that nobody asked for.

A tokenizer's template may put in a system message of its own where none is given. It is found by comparing what the
template makes of a user's message alone and of one after a system message, so that it can be said and recorded:

    before + s + after = template(system: s, user: u)        d with before + d + after = template(user: u)

Text that the tokenizer would read as one of its special tokens is refused: the model could not tell it from the
template's own. So are <think> and </think>, for a model that thinks between them; the template's own system message
may hold what it likes. Thoughts of earlier turns are left out for such a model, as it is trained; to any other they
are text like the rest, which it may take as a form to follow.
"""

from collections.abc import Mapping, Sequence
from typing import Any, cast

from surefoot.errors import InputError
from surefoot.hub.language import LanguageModel
from surefoot.text.policy import Message, Prompt, Unaskable
from surefoot.text.vocabulary import ANSWER, MARKS, THINK

__all__ = ["own_system_message", "rendered", "uses_marks"]

OPENING, CLOSING = MARKS[THINK], MARKS[ANSWER]
ROLES = ("system", "user", "assistant")
PROBE, OTHER = "surefoot-probe-7f3a", "surefoot-probe-91bc"


def own_system_message(model: LanguageModel) -> str | None:
    """The system message that the model's template puts in where none is given; None where it puts in none."""
    if not model.tokenizer.chat_template:
        return None
    user = {"role": "user", "content": PROBE}
    alone = _template(model, [user])
    try:
        before, found, after = _template(model, [{"role": "system", "content": OTHER}, user]).partition(OTHER)
    except InputError:  # a template without system messages
        return None
    own = alone[len(before) : len(alone) - len(after)]
    return own if found and own and before + own + after == alone else None


def uses_marks(model: LanguageModel) -> bool:
    """Does the model write its thoughts between <think> and </think>? As its template or its tokens say."""
    return OPENING in str(model.tokenizer.chat_template or "") or _is_token(model, OPENING)


def rendered(model: LanguageModel, prompt: Prompt, system: str | None, roles: Mapping[str, str]) -> str:
    """A prompt as the model reads it, up to where its answer begins.

    A plain text is a user's message, or, for a model without a template, the text itself. system: put first where a
    conversation has no system message. roles: what a role is called instead, such as {"developer": "system"}.

    Raises `Unaskable` for texts that hold a special token or a mark of thought, and `InputError` for conversations
    without a template, roles that are not known, and conversations that the template refuses.
    """
    messages = (Message("user", prompt),) if isinstance(prompt, str) else prompt
    if any(each.images for each in messages):
        raise Unaskable(
            f"A prompt shows an image, and {model.name} reads texts alone here; ask a model behind a server that reads "
            "images (--server), or leave such prompts out."
        )
    held = next((mark for each in messages if (mark := _mark(model, _spoken(model, each)))), None)
    if held is None and system is not None and (mark := _mark(model, system)):
        held = None if system == own_system_message(model) else mark
    if held is not None:
        raise Unaskable(
            f"A prompt holds {held!r}, which {model.name} reads as a mark of its own and not as text; take it out."
        )
    if not model.tokenizer.chat_template:
        if not isinstance(prompt, str) or system is not None:
            raise InputError(
                f"{model.name} has no chat template, and a conversation or a system message was given; give plain "
                "texts, or a model that was trained to chat."
            )
        return prompt
    turns = [{"role": _role(model, each.role, roles), "content": _spoken(model, each)} for each in messages]
    if system is not None and not any(each["role"] == "system" for each in turns):
        turns.insert(0, {"role": "system", "content": system})
    return _template(model, turns)


def _role(model: LanguageModel, role: str, roles: Mapping[str, str]) -> str:
    called = roles.get(role, role)
    if called not in ROLES:
        raise InputError(
            f'A message has the role "{called}", and {model.name} is known to be trained on {", ".join(ROLES)} alone; '
            f'say what it is to be, such as roles={{"{role}": "system"}}.'
        )
    return called


def _spoken(model: LanguageModel, message: Message) -> str:
    """What is put of a message: of an assistant's that thinks between marks, what stands after its thought."""
    if uses_marks(model) and message.role == "assistant" and message.text.lstrip().startswith(OPENING):
        return message.text.partition(CLOSING)[2].strip()
    return message.text


def _mark(model: LanguageModel, text: str) -> str | None:
    """A special token in a text, or a mark of thought, which not every tokenizer counts among them."""
    special = cast("Sequence[str]", model.tokenizer.all_special_tokens)
    return next((each for each in (*special, *((OPENING, CLOSING) if uses_marks(model) else ())) if each in text), None)


def _is_token(model: LanguageModel, text: str) -> bool:
    # The whole vocabulary is a dictionary that a tokenizer makes anew each time that it is asked for.
    number: Any = model.tokenizer.convert_tokens_to_ids(text)
    return number is not None and model.tokenizer.convert_ids_to_tokens(number) == text


def _template(model: LanguageModel, messages: Sequence[Mapping[str, str]]) -> str:
    try:
        found: Any = model.tokenizer.apply_chat_template(list(messages), tokenize=False, add_generation_prompt=True)
    except Exception as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
        said = " and ".join(each["role"] for each in messages)
        raise InputError(
            f"The chat template of {model.name} refuses messages of {said} ({reason}); change them."
        ) from error
    return str(found)

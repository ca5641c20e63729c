"""Models that are asked, opened by the names that they have in commands."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from surefoot.cli.console import note
from surefoot.errors import InputError

if TYPE_CHECKING:
    from surefoot.study.once.attempt_asking import AskedModel
    from surefoot.study.once.attempt_forms import Form, ThoughtMarks

__all__ = ["chat_model", "named_without_spaces", "served_model"]


def chat_model(
    named: str,
    form: "Form",
    most: int,
    *,
    marks: "ThoughtMarks | None" = None,
    roles: Mapping[str, str] | None = None,
) -> "AskedModel":
    """smollm2, a Hugging Face folder or a GGUF file; roles: what a role that it was not trained on is called."""
    from surefoot.hub.chat import chat_policy
    from surefoot.hub.gguf import SMOLLM2
    from surefoot.hub.language import open_language_model
    from surefoot.hub.templates import uses_marks
    from surefoot.study.once.attempt_asking import AskedModel

    model = open_language_model(named)
    policy = chat_policy(model, roles=roles)
    name = SMOLLM2 if named == SMOLLM2 else named_without_spaces(model.name)
    renamed = "".join(f"; {role} messages as {other}" for role, other in (roles or {}).items())
    return AskedModel(name, policy, form, f"{policy.told}{renamed}", most, uses_marks(model), marks, policy.check)


def served_model(
    named: str,
    url: str,
    form: "Form",
    most: int,
    *,
    key_from: str | None = None,
    at_once: int = 1,
    marks: "ThoughtMarks | None" = None,
) -> "AskedModel":
    """A model behind a server. key_from: the variable of the environment that holds its key."""
    from surefoot.study.once.attempt_asking import AskedModel
    from surefoot.text.asking import Patience
    from surefoot.text.served import ServedPolicy

    policy = ServedPolicy(named, url, _key(key_from), at_once=at_once, patience=Patience(sleep=_wait))
    return AskedModel(
        named_without_spaces(named), policy, form, f"{named}: served, chat completions", most, marks=marks
    )


def named_without_spaces(said: str) -> str:
    """Without spaces and signs of claims, so that a claim can name it."""
    return "".join("_" if each.isspace() or each in "<>=≤≥" else each for each in said)


def _key(variable: str | None) -> str | None:
    import os

    if variable is None:
        return None
    if not os.environ.get(variable):
        raise InputError(f"The environment has no {variable}, which is to hold the server's key; set it.")
    return os.environ[variable]


def _wait(seconds: float) -> None:
    """Say that a try failed, and wait for the next."""
    import time

    note(f"The server failed to answer; it is asked again in {seconds:.0f} s.")
    time.sleep(seconds)

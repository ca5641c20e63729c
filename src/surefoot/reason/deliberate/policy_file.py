"""A policy of one's own, from a file: categories, and what is allowed, disallowed, or to be answered safely in each.

In YAML:

    title: What our assistant may do
    style: {refuse: One sentence that says sorry and does not lecture.}      # of every category that says nothing else
    phrases: {refuse: [that is private], safe: [ask your doctor]}            # by which kinds of answers are known
    categories:
      prescriptions:
        summary: Questions about medicines that a doctor prescribes.
        definitions: A prescription is ...
        allowed: [general facts that are printed on a leaflet]
        disallowed: [a dose for a person whom nobody has examined]
        safe_completion: [say what to ask a doctor]
        style: {comply: Plain words.}
        examples: [{request: ..., thought: ..., answer: ...}]

or in Markdown, whose headings have the same names: `# title`, `## category`, and below it `### Summary`,
`### Definitions`, `### Allowed`, `### Disallowed`, `### Safe completion` (lists), `### Style` (items such as
`- refuse: ...`) and `### Examples` (items `- request: ...` and below each `thought: ...` and `answer: ...`); a
`## Style` is of every category, and `## Phrases` has one item such as `- refuse: that is private` a phrase. Nothing
else may stand in either.

Examples are the form in which a model is shown how to think (`policy_prompts.TextSpec`), and are never judged.

Source: Guan et al. (2024), "Deliberative alignment", arXiv 2412.16339, §3 (content policies: definitions, allowed and
disallowed requests, safe completions; style guidelines for each kind of answer).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from surefoot.errors import InputError
from surefoot.text.vocabulary import ANSWER, MARKS, THINK
from surefoot.yaml_text import parse_yaml

__all__ = ["KINDS", "Category", "Example", "PolicyText", "category_of", "read_policy"]

KINDS = ("comply", "refuse", "safe")
"""Kinds of answers."""
TEXTS = ("summary", "definitions")
LISTS = ("allowed", "disallowed", "safe_completion")
EXAMPLE = ("request", "thought", "answer")
SHORT = 80
"""Letters of a value in a message."""
KNOWN = (*TEXTS, *LISTS, "style", "examples")
OF_ALL = ("style", "phrases")
"""What is of every category."""


@dataclass(frozen=True)
class Example:
    """A request, how to think of it, and its answer: a form to follow."""

    request: str
    thought: str
    answer: str


@dataclass(frozen=True)
class Category:
    """One category. style: by kind of answer ("comply", "refuse", "safe"), the policy's own where it says nothing."""

    name: str
    summary: str = ""
    definitions: str = ""
    allowed: tuple[str, ...] = ()
    disallowed: tuple[str, ...] = ()
    safe_completion: tuple[str, ...] = ()
    style: Mapping[str, str] = field(default_factory=dict[str, str])
    examples: tuple[Example, ...] = ()


@dataclass(frozen=True)
class PolicyText:
    """A whole policy, its categories in the order of the file. phrases: by kind of answer, in small letters."""

    title: str
    categories: tuple[Category, ...]
    phrases: Mapping[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])


def read_policy(path: Path) -> PolicyText:
    """The policy of a `.yaml`, `.yml` or `.md` file.

    Raises `InputError` for a missing file, another kind of file, one that is no YAML, a policy with no categories,
    names that no policy has, a category twice or without a single rule.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise InputError(f"There is no policy file {path}; check the path.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"Cannot read the policy file {path} ({error}); give a text file in UTF-8.") from None
    if path.suffix in (".yaml", ".yml"):
        found = _of_yaml(text, path.name)
    elif path.suffix == ".md":
        found = _of_markdown(text, path.name)
    else:
        raise InputError(f"{path.name} is no policy file; give one that ends in .yaml, .yml or .md.")
    return _policy(found, path.name)


def category_of(policy: PolicyText, name: str) -> Category:
    """The category of a name.

    Raises `InputError` where the policy has none of that name, with those that it has.

    >>> category_of(PolicyText("", (Category("a"), Category("b"))), "b").name
    'b'
    """
    for each in policy.categories:
        if each.name == name:
            return each
    raise InputError(
        f"The policy has no category {_short(name)}; give one of {', '.join(each.name for each in policy.categories)}."
    )


def _policy(found: Mapping[str, Any], file: str) -> PolicyText:
    """What both kinds of file say, checked."""
    odd = [name for name in found if name not in ("title", *OF_ALL, "categories")]
    if odd:
        raise InputError(
            f"{file} has {_short(odd[0])} beside its categories; a policy has a title, a style, phrases and categories."
        )
    categories = found.get("categories")
    if not isinstance(categories, Mapping) or not categories:
        raise InputError(
            f"{file} is a policy file with no categories; give at least one, with what is allowed or disallowed in it."
        )
    shared = _style(found.get("style"), file, "the policy")
    made = tuple(_category(str(name), body, shared, file) for name, body in categories.items())
    return PolicyText(str(found.get("title") or ""), made, _phrases(found.get("phrases"), file))


def _category(name: str, body: object, shared: Mapping[str, str], file: str) -> Category:
    if not isinstance(body, Mapping):
        raise InputError(
            f"The category {_short(name)} of {file} says nothing; give what is allowed or disallowed in it."
        )
    given = {str(key): value for key, value in body.items()}
    odd = [key for key in given if key not in KNOWN]
    if odd:
        raise InputError(f"The category {_short(name)} of {file} has {_short(odd[0])}; it may have {', '.join(KNOWN)}.")
    lists = {key: _items(given.get(key), f"{key} of {_short(name)} in {file}") for key in LISTS}
    if not any(lists.values()):
        raise InputError(
            f"The category {_short(name)} of {file} has no rule; give at least one item of {', '.join(LISTS)}."
        )
    style = {**shared, **_style(given.get("style"), file, f"the category {_short(name)}")}
    texts = {key: " ".join(str(given.get(key) or "").split()) for key in TEXTS}
    examples = _examples(given.get("examples"), f"The examples of {_short(name)} in {file}")
    return Category(name, texts["summary"], texts["definitions"], **lists, style=style, examples=examples)


def _items(given: object, where: str) -> tuple[str, ...]:
    """A list of texts, or one text."""
    if given is None:
        return ()
    every = given if isinstance(given, list) else [given]
    if not all(isinstance(each, str) and each.strip() for each in every):
        raise InputError(f"{where} is {_short(given)}; give a list of sentences.")
    return tuple(" ".join(str(each).split()) for each in every)


def _style(given: object, file: str, whose: str) -> dict[str, str]:
    if given is None:
        return {}
    if not isinstance(given, Mapping) or any(
        key not in KINDS or not isinstance(each, str) for key, each in given.items()
    ):
        raise InputError(
            f"The style of {whose} in {file} is {_short(given)}; give a sentence each for {', '.join(KINDS)}."
        )
    return {str(key): " ".join(str(each).split()) for key, each in given.items()}


def _phrases(given: object, file: str) -> dict[str, tuple[str, ...]]:
    if given is None:
        return {}
    if not isinstance(given, Mapping) or any(key not in KINDS[1:] for key in given):
        raise InputError(
            f"The phrases of {file} are {_short(given)}; give lists of words for {' and '.join(KINDS[1:])}."
        )
    return {
        str(key): tuple(item.lower() for item in _items(each, f"The phrases for {key!r} in {file}"))
        for key, each in given.items()
    }


def _examples(given: object, where: str) -> tuple[Example, ...]:
    """Every one whole, and without marks of thought, which are put around its thought later."""
    if given is None:
        return ()
    every = given if isinstance(given, list) else [given]
    made: list[Example] = []
    for each in every:
        fields = {str(key): str(value).strip() for key, value in each.items()} if isinstance(each, Mapping) else {}
        texts = [fields[part] for part in EXAMPLE if fields.get(part)]
        if len(texts) != len(EXAMPLE) or len(fields) != len(EXAMPLE):
            raise InputError(
                f"{where} hold {_short(each)}; give every one a {', a '.join(EXAMPLE[:2])} and an {EXAMPLE[2]}."
            )
        if any(mark in text for text in texts for mark in (MARKS[THINK], MARKS[ANSWER])):
            raise InputError(f"{where} hold a mark of thought ({_short(each)}); leave <think> and </think> out.")
        made.append(Example(*(" ".join(text.split()) for text in texts)))
    return tuple(made)


def _of_yaml(text: str, file: str) -> Mapping[str, Any]:
    try:
        node, found = parse_yaml(text)
    except ValueError as error:
        raise InputError(f"{file} is no YAML ({error}); mend it.") from None
    if twice := _twice(node):
        raise InputError(f"{file} has {_short(twice)} twice in one place; give each name once.")
    if found is None:
        return {}
    if not isinstance(found, Mapping):
        raise InputError(f"{file} holds a {type(found).__name__}; give a title and categories.")
    return {str(key): value for key, value in found.items()}


def _twice(node: yaml.Node | None) -> str:
    """A key that a mapping has twice, of which YAML would take the last."""
    pairs = node.value if isinstance(node, yaml.MappingNode) else []
    keys = [str(key.value) for key, _ in pairs]
    repeated = [key for at, key in enumerate(keys) if key in keys[:at]]
    return repeated[0] if repeated else next((found for _, below in pairs if (found := _twice(below))), "")


def _of_markdown(text: str, file: str) -> Mapping[str, Any]:
    """Headings by their level, and the lines below each."""
    found: dict[str, Any] = {}
    categories: dict[str, Any] = {}
    category, part = "", ""
    for number, line in enumerate(text.splitlines(), start=1):
        heading = re.fullmatch(r"(#{1,6})\s+(.*?)\s*#*\s*", line)
        if heading is None:
            if not line.strip():
                continue
            if not part:
                raise InputError(f"Line {number} of {file} stands under no part of a category; begin one with ###.")
            into = categories[category] if category else found
            _add(into, part, line.strip(), f"line {number} of {file}")
            continue
        level, title = len(heading[1]), heading[2]
        if level == 1 and "title" not in found and not categories:
            found["title"], part = title, ""
        elif level == 2 and title.lower() in OF_ALL:
            category, part = "", title.lower()
        elif level == 2:
            if title in categories:
                raise InputError(f"Line {number} of {file} begins the category {title[:60]!r} again; give each once.")
            category, part, categories[title] = title, "", {}
        elif level == 3 and category:
            part = title.lower().replace(" ", "_")
            if part not in KNOWN:
                raise InputError(f"Line {number} of {file} has the part {title[:60]!r}; parts are {', '.join(KNOWN)}.")
        else:
            raise InputError(
                f"Line {number} of {file} has a heading in an unexpected place; give one # title, a ## for each "
                "category and ### for its parts."
            )
    return {**found, "categories": categories}


def _add(into: dict[str, Any], part: str, line: str, where: str) -> None:
    """One line of a part; items may go on in lines without a mark of their own."""
    item = re.fullmatch(r"[-*+]\s+(.*)", line)
    said = line if item is None else item[1]
    if part in TEXTS:
        into[part] = f"{into.get(part, '')} {said}".strip()
    elif part == "examples":
        _add_example(into.setdefault(part, []), said, item is not None, where)
    elif part in OF_ALL:
        kind, colon, sentence = said.partition(":")
        if item is None or not colon or not sentence.strip():
            raise InputError(
                f"Of {part} one is written as '- refuse: its words', and {where} is {line[:60]!r}; mend it."
            )
        if part == "style":
            into.setdefault(part, {})[kind.strip().lower()] = sentence.strip()
        else:
            into.setdefault(part, {}).setdefault(kind.strip().lower(), []).append(sentence.strip())
    elif item is None and into.get(part):
        into[part][-1] += f" {said}"
    else:
        into.setdefault(part, []).append(said)


def _add_example(examples: list[dict[str, str]], said: str, begins: bool, where: str) -> None:
    """One line of an example: a field by its name, or more of the field above."""
    name, colon, text = said.partition(":")
    name = name.strip().lower()
    if colon and name in EXAMPLE:
        if name == EXAMPLE[0]:
            examples.append({})
        if not examples or name in examples[-1]:
            raise InputError(f"An example begins with its request, and {where} is {said[:60]!r}; mend it.")
        examples[-1][name] = text.strip()
    elif begins or not examples:
        raise InputError(f"An example is written as '- request: ...', and {where} is {said[:60]!r}; mend it.")
    else:
        last = next(reversed(examples[-1]))
        examples[-1][last] += f" {said}"


def _short(value: object) -> str:
    """A value for a message."""
    said = repr(value)
    return said if len(said) <= SHORT else f"{said[:SHORT]}…"

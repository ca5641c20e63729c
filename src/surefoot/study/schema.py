"""Reading a study file: YAML in, a checked `Study`, or another shape, out, or one sentence for every problem."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from surefoot.errors import InputError
from surefoot.study.mitigations import NAMES
from surefoot.study.part import Part
from surefoot.study.shape import Study
from surefoot.yaml_text import PlainLoader, parse_yaml

__all__ = ["Study", "load_shaped", "load_study", "sentence_of", "study_json_schema"]

Place = tuple[str | int, ...]
Shape = TypeVar("Shape", bound=Part)
OF_TEXTS = ("text", "texts", "text_model")
NO_TEXTS = (
    "a study reads no texts: teach a text model with surefoot teach, or give the study features of them (surefoot "
    "features)."
)


def load_study(path: Path) -> Study:
    """The study in the YAML file at `path`.

    Raises `InputError` with one sentence per problem: the key's path, its line, and the nearest known name.
    """
    return load_shaped(path, Study, "study, rows, network, base and seeds")


def load_shaped(path: Path, shape: type[Shape], such_as: str) -> Shape:
    """What the YAML file at `path` says, in a shape; such_as: keys to name to who gave none. See `load_study`."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise InputError(f"There is no study file {path}; check the path, or write one with `surefoot init`.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"Cannot read the study file {path} ({error}); it must be UTF-8 text.") from None
    try:
        data, lines, repeated = _parse(text)
    except ValueError as error:
        raise InputError(f"{path.name} is not readable YAML: {error}.") from None
    if repeated:
        raise InputError("\n".join(f"Key {key!r} appears twice in {path.name}, {where}." for key, where in repeated))
    if not isinstance(data, dict):
        raise InputError(f"{path.name} holds no study; expected keys such as {such_as}.")
    if shape is Study and (named := next((each for each in ("task", "questions") if each in data), None)):
        raise InputError(
            f"{path.name} is a study of reasoning, for it names {'a task' if named == 'task' else 'questions'}; run it "
            f"with: surefoot reason {path}"
        )
    return _checked(data, path.name, lines, shape)


def study_json_schema() -> dict[str, Any]:
    """The JSON schema of a study file, for editors that complete and check while you write."""
    schema = Study.model_json_schema()
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "title": "surefoot study"}


class _Loader(PlainLoader):
    """YAML's safe loader, with 3e-3 read as the number that everybody means."""


_Loader.yaml_implicit_resolvers = {
    first: list(resolvers) for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?[0-9]+(\.[0-9]*)?[eE][-+]?[0-9]+$"),
    list("-+0123456789"),
)


def _parse(text: str) -> tuple[Any, dict[Place, int], list[tuple[str, str]]]:
    """The plain value, the line of every key, and keys that appear twice."""
    node, value = parse_yaml(text, _Loader)
    lines: dict[Place, int] = {}
    repeated: list[tuple[str, str]] = []
    if node is not None:
        _survey(node, (), lines, repeated)
    return value, lines, repeated


def _survey(node: yaml.Node, place: Place, lines: dict[Place, int], repeated: list[tuple[str, str]]) -> None:
    lines.setdefault(place, node.start_mark.line + 1)
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            here = (*place, str(key.value))
            line = key.start_mark.line + 1
            if here in lines:
                repeated.append((".".join(map(str, here)), f"lines {lines[here]} and {line}"))
            lines[here] = line
            _survey(value, here, lines, repeated)
    elif isinstance(node, yaml.SequenceNode):
        for number, value in enumerate(node.value):
            _survey(value, (*place, number), lines, repeated)


def _checked(data: dict[Any, Any], file: str, lines: Mapping[Place, int], shape: type[Shape]) -> Shape:
    try:
        text = json.dumps(data)
    except (TypeError, ValueError) as error:
        raise InputError(
            f"{file} holds a value that is not plain text, a number, a list or a mapping: {error}."
        ) from None
    try:
        return shape.model_validate_json(text)
    except ValidationError as error:
        sentences = [_sentence(problem, data, file, lines, shape) for problem in error.errors(include_url=False)]
        raise InputError("\n".join(sentences)) from None


def _sentence(problem: ErrorDetails, data: Any, file: str, lines: Mapping[Place, int], shape: type[Part]) -> str:
    """One problem that pydantic found, in plain words."""
    place = _plain(problem["loc"], data)
    name = ".".join(str(step) for step in place)
    line = next((lines[place[:end]] for end in range(len(place), 0, -1) if place[:end] in lines), None)
    where = file if line is None else f"{file}, line {line}"
    context = problem.get("ctx", {})
    kind = problem["type"]
    if kind == "extra_forbidden":
        if place[-1] in OF_TEXTS:
            return f"Unknown key {name!r} in {where}; {NO_TEXTS}"
        known = _keys(shape, problem["loc"][:-1])
        near = get_close_matches(str(place[-1]), known, n=1)
        advice = f"did you mean {near[0]!r}?" if near else f"the keys here are {', '.join(known)}."
        return f"Unknown key {name!r} in {where}; {advice}"
    if kind == "missing":
        return f"Key {name!r} is missing in {where}; add it."
    if kind == "union_tag_not_found":
        return f"Key '{name}.method' is missing in {where}; add one of {', '.join(NAMES)}."
    given = json.dumps(problem["input"], ensure_ascii=False)
    if kind == "union_tag_invalid":
        expected = str(context["expected_tags"])
        near = get_close_matches(str(context["tag"]), expected.replace("'", "").split(", "), n=1)
        advice = f"; did you mean {near[0]!r}?" if near else "."
        return f"'{name}.method' in {where} is {context['tag']!r}; expected one of {expected}{advice}"
    if kind == "value_error":
        subject = f"In {name!r} of {where}" if name else f"In {where}"
        told = str(context["error"])
        return f"{subject}: {told if told.endswith(('.', '?')) else told + '.'}"
    return f"{name!r} in {where} is {given}; {_expected(kind, context, problem['msg'])}."


def sentence_of(problem: ErrorDetails) -> str:
    """One problem of values that come from elsewhere than a file."""
    if problem["type"] == "value_error":
        told = str(problem.get("ctx", {})["error"])
        return f"{told[:1].upper()}{told[1:].rstrip('.')}."
    name = problem["loc"][0] if problem["loc"] else "value"
    given = json.dumps(problem["input"], ensure_ascii=False)
    return f"{name} is {given}; {_expected(problem['type'], problem.get('ctx', {}), problem['msg'])}."


def _expected(kind: str, context: Mapping[str, Any], message: str) -> str:
    match kind:
        case "literal_error":
            return f"expected {context['expected']}"
        case "greater_than_equal":
            return f"expected at least {context['ge']:.12g}"
        case "greater_than":
            return f"expected more than {context['gt']:.12g}"
        case "less_than_equal":
            return f"expected at most {context['le']:.12g}"
        case "less_than":
            return f"expected less than {context['lt']:.12g}"
        case "float_type":
            return "expected a number"
        case "int_type" | "int_from_float":
            return "expected a whole number"
        case "string_type":
            return "expected text"
        case "list_type":
            return "expected a list"
        case "dict_type" | "model_type" | "model_attributes_type":
            return "expected a mapping of keys to values"
        case "too_short":
            return f"expected at least {context['min_length']} entry"
        case "string_pattern_mismatch":
            return "expected letters, digits, '_', '-' and '.' only, beginning with a letter or digit"
        case _:
            return message[:1].lower() + message[1:]


def _plain(location: Sequence[str | int], data: Any) -> Place:
    """pydantic's location without the union tags and "[key]" marks that it adds."""
    place: list[str | int] = []
    value = data
    for number, step in enumerate(location):
        entries: Mapping[Any, Any] = dict(enumerate(value)) if isinstance(value, list) else value
        if isinstance(value, dict | list) and step in entries:
            value = entries[step]
        elif number != len(location) - 1 or step == "[key]":
            continue
        place.append(step)
    return tuple(place)


def _keys(shape: type[Part], location: Sequence[str | int]) -> list[str]:
    """The keys that may stand at a place in a study."""
    reached: Any = shape
    for step in location:
        reached = next(_below(reached, step), reached)
    return list(reached.model_fields) if isinstance(reached, type) and issubclass(reached, BaseModel) else []


def _below(annotation: Any, step: str | int) -> Iterator[Any]:
    """What stands under one key, list entry or union tag of an annotation."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        if step in annotation.model_fields:
            yield _unwrapped(annotation.model_fields[str(step)].annotation)
    elif get_origin(annotation) in (dict, list):
        yield _unwrapped(get_args(annotation)[-1])
    elif get_origin(annotation) in (Union, UnionType):
        for option in get_args(annotation):
            if step in get_args(option.model_fields["method"].annotation):
                yield option


def _unwrapped(annotation: Any) -> Any:
    """`Annotated[X, …]` and `X | None` as X."""
    while get_origin(annotation) is Annotated:
        annotation = get_args(annotation)[0]
    options = [option for option in get_args(annotation) if option is not type(None)]
    if get_origin(annotation) in (Union, UnionType) and len(options) == 1:
        return _unwrapped(options[0])
    return annotation

"""YAML of a stranger: one document of plain values, or one line that says what is wrong with it.

YAML's aliases name a part again, so that a few lines stand for a billion values, or for a part within itself; and its
tags ask for values that are not there. Both end here, before anything walks through the document.
"""

from typing import Any, NamedTuple

import yaml

__all__ = ["ParsedYaml", "PlainLoader", "parse_yaml"]

DEEPEST = 60
"""Lists and mappings within one another."""
MOST = 200_000
"""Values of a document, those that aliases name counted as often as they are named."""


class ParsedYaml(NamedTuple):
    """The document as nodes, which know their lines, and as plain values; both None for an empty one."""

    node: yaml.Node | None
    value: Any


class PlainLoader(yaml.SafeLoader):
    """YAML's safe loader, which stops at brackets within too many brackets: its time is their number squared."""

    def fetch_flow_collection_start(self, TokenClass: Any) -> None:
        if self.flow_level > DEEPEST:
            raise yaml.YAMLError(f"it is nested more than {DEEPEST} deep (line {self.line + 1})")
        super().fetch_flow_collection_start(TokenClass)


def parse_yaml(text: str, loader: type[PlainLoader] = PlainLoader) -> ParsedYaml:
    """The one document of a text. loader: one with more kinds of plain values.

    Raises `ValueError`, and nothing else, for what is no YAML, values that are not what their tags say, a part within
    itself, and more values or deeper ones than anybody writes.

    >>> parse_yaml("a: [1, 2]").value
    {'a': [1, 2]}
    """
    try:
        opened = loader(text)
    except yaml.YAMLError as error:
        raise ValueError(_one_line(error)) from None
    try:
        node = opened.get_single_node()
        if node is None:
            return ParsedYaml(None, None)
        _count(node, {}, ())
        return ParsedYaml(node, opened.construct_document(node))
    except yaml.YAMLError as error:
        raise ValueError(_one_line(error)) from None
    except RecursionError:
        raise ValueError(f"it is nested more than {DEEPEST} deep") from None
    except (KeyError, AttributeError, TypeError, OverflowError) as error:  # how the constructors of tags fail
        raise ValueError(f"a value is not what its tag says ({error})") from None
    finally:
        opened.dispose()


def _count(node: yaml.Node, known: dict[int, int], above: tuple[int, ...]) -> int:
    """How many values a node stands for. known: of nodes that were counted. above: nodes that it is within."""
    if id(node) in above:
        raise ValueError(f"a part stands within itself (line {node.start_mark.line + 1})")
    if len(above) > DEEPEST:
        raise ValueError(f"it is nested more than {DEEPEST} deep (line {node.start_mark.line + 1})")
    if id(node) not in known:
        inside: list[yaml.Node] = []
        if isinstance(node, yaml.MappingNode):
            inside = [each for pair in node.value for each in pair]
        elif isinstance(node, yaml.SequenceNode):
            inside = list(node.value)
        known[id(node)] = 1 + sum(_count(each, known, (*above, id(node))) for each in inside)
        if known[id(node)] > MOST:
            raise ValueError(f"it stands for more than {MOST:,} values (line {node.start_mark.line + 1})")
    return known[id(node)]


def _one_line(error: yaml.YAMLError) -> str:
    mark = getattr(error, "problem_mark", None)
    problem = getattr(error, "problem", None) or " ".join(str(error).split())
    return f"{problem} (line {mark.line + 1})" if mark else str(problem)

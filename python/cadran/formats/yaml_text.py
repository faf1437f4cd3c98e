r"""YAML that people wrote, changed as text: what is not added stays as it is, comments included.

    text = with_key(text, metric, ("config", "meta", "kpi"), "tier: operational\n")

Nodes are those of `yaml.compose`, which knows where each of them stands in the text.
"""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Any

import yaml

if TYPE_CHECKING:
    from collections.abc import Iterator


class NotInsertableError(ValueError):
    """Text of this form takes no addition line by line."""


def composed(text: str) -> yaml.Node | None:
    """The tree of a text; None where it is no YAML, as a template may be."""
    try:
        return yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError:
        return None


def value_of(node: yaml.Node | None, key: str) -> yaml.Node | None:
    """The value of a key of a mapping."""
    return next((value for name, value in _pairs(node) if name == key), None)


def text_of(node: yaml.Node | None, key: str) -> str:
    """The text of a key of a mapping; empty where it has none or is no text."""
    value = value_of(node, key)
    return str(value.value) if isinstance(value, yaml.ScalarNode) else ""


def items_of(node: yaml.Node | None, key: str) -> list[yaml.Node]:
    """The items of a list that stands under a key of a mapping."""
    value = value_of(node, key)
    return list(value.value) if isinstance(value, yaml.SequenceNode) else []


def with_key(text: str, node: yaml.Node | None, path: tuple[str, ...], block: str) -> str:
    """The text with a block under keys of a mapping, each of which is made where it is missing.

    Args:
        text: that the node was composed from.
        node: the mapping.
        path: the keys down to the block.
        block: lines of YAML, not indented.

    Raises:
        NotInsertableError: there is no such mapping, it or one on the way is written in braces over
            several lines, or the last key is there already.
    """
    if node is None:
        raise NotInsertableError("no entry of this name stands there")
    while len(path) > 1:
        below = value_of(node, path[0])
        if below is None:
            break
        node, path = below, path[1:]
    if not isinstance(node, yaml.MappingNode) or value_of(node, path[0]) is not None:
        raise NotInsertableError(f"the key '{path[0]}' is there already")
    for key in reversed(path):
        block = f"{key}:\n{textwrap.indent(block, '  ')}"
    return with_lines(text, node, block)


def with_lines(text: str, node: yaml.Node, lines: str) -> str:
    """The text with more lines at the end of a mapping.

    Raises:
        NotInsertableError: the mapping is written in braces over several lines.
    """
    if isinstance(node, yaml.MappingNode) and node.flow_style:
        text, node = _opened(text, node)
    return _after(text, _last_line(node), textwrap.indent(lines, " " * node.start_mark.column))


def with_item(text: str, node: yaml.Node, key: str, block: str) -> str:
    """The text with one more item in the list under a key of a mapping.

    Raises:
        NotInsertableError: the list or the mapping is written in brackets.
    """
    items = value_of(node, key)
    lines = block.splitlines(keepends=True)
    item = "".join([f"- {lines[0]}", *(f"  {line}" for line in lines[1:])])
    if items is None:
        return with_key(text, node, (key,), item)
    if not isinstance(items, yaml.SequenceNode) or items.flow_style:
        raise NotInsertableError(f"the list '{key}' is written in brackets")
    return _after(text, _last_line(items), textwrap.indent(item, " " * items.start_mark.column))


def _pairs(node: yaml.Node | None) -> Iterator[tuple[str, yaml.Node]]:
    if isinstance(node, yaml.MappingNode):
        for name, value in node.value:
            yield str(name.value), value


def _last_line(node: yaml.Node) -> int:
    """The line on which a node ends, without the comments and blank lines behind it."""
    if not isinstance(node, yaml.CollectionNode) or node.flow_style or not node.value:
        mark = node.end_mark
        # A block scalar ends where the next thing begins.
        return mark.line - 1 if mark.column == 0 and mark.line > node.start_mark.line else mark.line
    last = node.value[-1]
    return _last_line(last[1] if isinstance(last, tuple) else last)


def _after(text: str, line: int, block: str) -> str:
    lines = text.splitlines(keepends=True)
    lines[line] = lines[line] if lines[line].endswith("\n") else f"{lines[line]}\n"
    return "".join([*lines[: line + 1], block, *lines[line + 1 :]])


def _opened(text: str, node: Any) -> tuple[str, Any]:
    """The text with a mapping in braces written over lines, and the mapping there."""
    start, end = node.start_mark.index, node.end_mark.index
    span = text[start:end]
    if "\n" in span:
        raise NotInsertableError("it is written in braces over several lines")
    keys = [text[name.start_mark.index : value.end_mark.index] for name, value in node.value]
    before, indent = text[:start], " " * node.start_mark.column
    if before.rstrip().endswith(":"):  # behind its key: it goes on below
        line = before[before.rfind("\n") + 1 :]
        indent = " " * (len(line) - len(line.lstrip(" -")) + 2)
        before = f"{before.rstrip()}\n{indent}"
        start = len(before)
    text = before + f"\n{indent}".join(keys) + text[end:]
    root = composed(text)
    found = next((n for n in _walked(root) if n.start_mark.index == start), None)
    if not isinstance(found, yaml.MappingNode) or found.flow_style:
        raise NotInsertableError("it is written in braces")
    return text, found


def _walked(node: Any) -> Iterator[Any]:
    if node is None:
        return
    if isinstance(node, yaml.MappingNode):
        yield node
        for _, value in node.value:
            yield from _walked(value)
    elif isinstance(node, yaml.SequenceNode):
        for value in node.value:
            yield from _walked(value)

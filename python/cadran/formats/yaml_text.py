r"""YAML that people wrote, changed as text: what is not added stays as it is, comments included.

    text = with_key(text, metric, ("config", "meta", "kpi"), "tier: operational\n")

Nodes are those of `yaml.compose`, which knows where each of them stands in the text. An alias is
the node of its anchor, marks and all: a text to which lines are added is composed again, and must
hold what it held and the lines in the one place.
"""

from __future__ import annotations

import operator
import re
import textwrap
from functools import reduce
from typing import TYPE_CHECKING, Any

import yaml

from cadran.formats import files

if TYPE_CHECKING:
    from collections.abc import Iterator


# The sign of a block scalar, its indent and its comment; what stands between says how it ends.
_CHOMPED = re.compile(r"([|>])[+-]?([1-9]?)[+-]?(\s*(?:#.*)?)$")


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
            several lines or stands elsewhere (an alias, a merge), or the last key is there already.
    """
    if node is None:
        raise NotInsertableError("no entry of this name stands there")
    while len(path) > 1:
        below = value_of(node, path[0])
        if below is None:
            break
        if _is_alias(node, path[0]):
            raise NotInsertableError(f"'{path[0]}' is an alias of what stands elsewhere")
        node, path = below, path[1:]
    if not isinstance(node, yaml.MappingNode) or value_of(node, path[0]) is not None:
        raise NotInsertableError(f"the key '{path[0]}' is there already")
    if path[0] in _merged(node):
        raise NotInsertableError(f"'{path[0]}' is merged from what stands elsewhere, by '<<'")
    for key in reversed(path):
        block = f"{key}:\n{textwrap.indent(block, '  ')}"
    return with_lines(text, node, block)


def with_lines(text: str, node: yaml.Node, lines: str) -> str:
    """The text with more lines at the end of a mapping.

    Raises:
        NotInsertableError: it is no mapping, is written in braces over several lines, or the text
            has aliases by which the lines would stand elsewhere too.
    """
    if not isinstance(node, yaml.MappingNode) or not node.value:
        raise NotInsertableError("a mapping there is empty, or none")
    opened, block = _opened(text, node) if node.flow_style else (text, node)
    column = block.value[0][0].start_mark.column  # an anchor begins before
    changed = _after(opened, _last_line(block), textwrap.indent(lines, " " * column))
    return _checked(text, changed, node, _plain(composed(lines)))


def with_item(text: str, node: yaml.Node, key: str, block: str) -> str:
    """The text with one more item in the list under a key of a mapping.

    Raises:
        NotInsertableError: the list or the mapping is written in brackets, or the text has aliases
            by which the item would stand elsewhere too.
    """
    items = value_of(node, key)
    lines = block.splitlines(keepends=True)
    item = "".join([f"- {lines[0]}", *(f"  {line}" for line in lines[1:])])
    if items is None:
        return with_key(text, node, (key,), item)
    if not isinstance(items, yaml.SequenceNode) or items.flow_style:
        raise NotInsertableError(f"the list '{key}' is written in brackets")
    if _is_alias(node, key):
        raise NotInsertableError(f"'{key}' is an alias of what stands elsewhere")
    indent = " " * items.start_mark.column
    changed = _after(text, _last_line(items), textwrap.indent(item, indent))
    return _checked(text, changed, items, [_plain(composed(block))])


def _checked(text: str, changed: str, node: yaml.Node, more: Any) -> str:
    """The changed text, which holds what the text holds, more at the end of a node, and no more."""
    before = composed(text)
    expected = _plain(before)
    place = _place(before, node)
    if place is not None and isinstance(more, list):
        reduce(operator.getitem, place, expected).extend(more)
        if _plain(composed(changed)) == expected:
            return changed
    raise NotInsertableError("by an alias or its form the lines would stand elsewhere")


def _plain(node: yaml.Node | None) -> Any:
    """What a node holds, in lists: pairs of a mapping, items of a list, tag and text of a scalar.

    An alias has a copy of what its anchor has.
    """
    if isinstance(node, yaml.MappingNode):
        return [[_plain(key), _plain(value)] for key, value in node.value]
    if isinstance(node, yaml.SequenceNode):
        return [_plain(item) for item in node.value]
    return node and (node.tag, node.value)


def _place(root: Any, node: yaml.Node) -> tuple[int, ...] | None:
    """Where in `_plain` of a tree the collection stands that begins where a node does."""
    if not isinstance(root, yaml.CollectionNode):
        return None
    if type(root) is type(node) and root.start_mark.index == node.start_mark.index:
        return ()
    for number, child in enumerate(root.value):
        is_pair = isinstance(child, tuple)
        below = _place(child[1] if is_pair else child, node)
        if below is not None:
            return (number, 1, *below) if is_pair else (number, *below)
    return None


def _is_alias(node: yaml.Node, key: str) -> bool:
    """Whether the value of a key stands elsewhere: it has the marks of its anchor."""
    return isinstance(node, yaml.MappingNode) and any(
        name.value == key and value.start_mark.index < name.end_mark.index
        for name, value in node.value
    )


def _merged(node: yaml.MappingNode) -> set[str]:
    """The keys that a mapping takes from others by `<<`."""
    keys: set[str] = set()
    for name, value in node.value:
        if name.tag == "tag:yaml.org,2002:merge":
            for source in value.value if isinstance(value, yaml.SequenceNode) else [value]:
                keys |= {key for key, _ in _pairs(source)}
                keys |= _merged(source) if isinstance(source, yaml.MappingNode) else set()
    return keys


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
    if isinstance(last, tuple):
        key, value = last
        is_alias = value.start_mark.index < key.end_mark.index
        return int(key.end_mark.line) if is_alias else _last_line(value)
    before = node.value[-2].end_mark.index if len(node.value) > 1 else node.start_mark.index
    if last.start_mark.index < before:
        raise NotInsertableError("the last item of a list there is an alias")
    return _last_line(last)


def _after(text: str, line: int, block: str) -> str:
    lines = text.splitlines(keepends=True)
    scalar = _unended(composed(text))
    if scalar is not None and line == len(lines) - 1:
        # Without an end of its last line it holds none, and with one it must not: `|` becomes `|-`.
        head = scalar.start_mark.line
        lines[head] = _CHOMPED.sub(r"\1\2-\3", lines[head])
    block = block if lines[line].endswith(("\n", "\r")) else f"\n{block}"
    return "".join([*lines[: line + 1], files.ending_as(text, block), *lines[line + 1 :]])


def _unended(node: yaml.Node | None) -> yaml.Node | None:
    """The block scalar that a text ends with, where its last line has no end."""
    while isinstance(node, yaml.CollectionNode) and node.value:
        last = node.value[-1]
        node = last[1] if isinstance(last, tuple) else last
    is_block = isinstance(node, yaml.ScalarNode) and node.style in {"|", ">"}
    return node if node is not None and is_block and node.end_mark.column > 0 else None


def _opened(text: str, node: Any) -> tuple[str, Any]:
    """The text with a mapping in braces written over lines, and the mapping there."""
    start, end = node.start_mark.index, node.end_mark.index
    span = text[start:end]
    if "\n" in span:
        raise NotInsertableError("it is written in braces over several lines")
    if any(value.start_mark.index < name.end_mark.index for name, value in node.value):
        raise NotInsertableError("it is written in braces, with an alias")
    keys = [text[name.start_mark.index : value.end_mark.index] for name, value in node.value]
    end_of_line = files.ending_as(text, "\n")
    before, indent = text[:start], " " * node.start_mark.column
    if before.rstrip().endswith(":"):  # behind its key: it goes on below
        line = before[before.rfind("\n") + 1 :]
        indent = " " * (len(line) - len(line.lstrip(" -")) + 2)
        before = f"{before.rstrip()}{end_of_line}{indent}"
        start = len(before)
    text = before + f"{end_of_line}{indent}".join(keys) + text[end:]
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

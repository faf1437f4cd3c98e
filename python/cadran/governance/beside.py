"""Two texts side by side where they differ, for a reader at a terminal."""

from __future__ import annotations

import difflib
import textwrap
from itertools import zip_longest

_WIDTH = 56
_CONTEXT = 2


def beside(name: str, was: str, now: str) -> list[str]:
    """The lines where two texts differ and those around them, the old left and the new right.

    Between them stands what became of a line: `|` changed, `<` gone, `>` new.
    """
    old, new = was.splitlines(), now.splitlines()
    matcher = difflib.SequenceMatcher(None, old, new, autojunk=False)
    lines = [
        _row(f"{name}, as recorded", " ", f"{name}, now"),
        _row("-" * _WIDTH, " ", "-" * _WIDTH),
    ]
    for number, group in enumerate(matcher.get_grouped_opcodes(_CONTEXT)):
        lines += ["..."] if number else []
        for kind, i, j, k, m in group:
            sign = {"equal": " ", "replace": "|", "delete": "<", "insert": ">"}[kind]
            for left, right in zip_longest(old[i:j], new[k:m], fillvalue=""):
                shown = sign if kind != "replace" else "<" if not right else "|" if left else ">"
                lines += _rows(left, shown, right)
    return [line.rstrip() for line in lines]


def _rows(left: str, sign: str, right: str) -> list[str]:
    pairs = zip_longest(_folded(left), _folded(right), fillvalue="")
    return [_row(one, sign, other) for one, other in pairs]


def _row(left: str, sign: str, right: str) -> str:
    return f"{left:<{_WIDTH}} {sign} {right}"


def _folded(line: str) -> list[str]:
    """A line, folded where it is too long, the rest indented by two more."""
    indent = " " * (len(line) - len(line.lstrip()) + 2)
    return textwrap.wrap(
        line, _WIDTH, subsequent_indent=indent, drop_whitespace=True, break_on_hyphens=False,
        replace_whitespace=False,
    ) or [""]  # fmt: skip

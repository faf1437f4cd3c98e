"""Scalars in DAX, and how they stand to BLANK."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlglot import exp

if TYPE_CHECKING:
    from cadran.exports.powerbi.model import Kind

BLANK = "BLANK()"
_ATOM = re.compile(r"""[\w.]+|"[^"]*"|\[[^\[\]]*\]|'[^']*'\[[^\[\]]*\]|[A-Z]+\([^()]*\)""")


@dataclass(frozen=True, slots=True)
class Value:
    """A scalar in DAX: its text, its kind, and how it stands to BLANK.

    `is_strict` says that it is BLANK whenever all that it is made of is.
    """

    text: str
    kind: Kind
    may_be_blank: bool = True
    is_strict: bool = True

    @property
    def is_atom(self) -> bool:
        """Whether it is one name, number or call, that no operator tears apart."""
        return _ATOM.fullmatch(self.text) is not None

    @property
    def part(self) -> str:
        """The text, in brackets where an operator beside it could tear it apart."""
        return self.text if self.is_atom else f"({self.text})"

    @property
    def wide(self) -> str:
        """The value as a floating number: a fixed decimal divided stays one, cut at four places."""
        return f"CONVERT({self.text}, DOUBLE)" if self.kind == "decimal" else self.text


def literal(node: exp.Literal | exp.Boolean) -> Value:
    """A constant; a number that is whole stays whole, however it is written."""
    if isinstance(node, exp.Boolean):
        return Value("TRUE()" if node.this else "FALSE()", "boolean", False, False)  # noqa: FBT003
    if node.is_string:
        doubled = node.this.replace('"', '""')
        return Value(f'"{doubled}"', "string", False, False)  # noqa: FBT003
    number = float(node.this)
    if number.is_integer() and abs(number) < 2**53:
        return Value(str(int(number)), "int64", False, False)  # noqa: FBT003
    return Value(f"CONVERT({number!r}, DOUBLE)", "double", False, False)  # noqa: FBT003


def wider(left: Value, right: Value) -> Kind:
    """The kind of a sum or a product of the two."""
    for kind in ("double", "decimal"):
        if kind in {left.kind, right.kind}:
            return kind
    return left.kind


def either_strict(left: Value, right: Value) -> bool:
    """Whether one of them suffices to be BLANK where its inputs are."""
    return left.is_strict or right.is_strict

"""What an operation takes: each parameter once, read from links and bodies, told in OpenAPI."""

from __future__ import annotations

import datetime as dt
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cadran.core.query.request import GRAINS, GroupBy
from cadran.errors import QueryError, near_misses

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_MOST_ITEMS = 50
_LONGEST = 300  # characters of a name
_LONGEST_FILTER = 2000
_TIME = re.compile(r"\d{4}-\d{2}-\d{2}([Tt ]\d{2}:\d{2}|$)")
_GROUP_KEYS = ("name", "grain", "date_part")
_DATE_PARTS = ("year", "quarter", "month", "day", "dow", "doy")


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter.

    Attributes:
        name: in a link, a body and a template of a path.
        about: what it means, for people.
        kind: `text`; `names`, with commas between them in a link; `groups`, the same, and objects
            in a body; `texts`, given several times in a link; `whole`; `time`; `choice`; `switch`.
        choices: of a `choice`.
        pattern: of a text, told but not checked: what reads the text checks it.
        least: of a `whole`.
        most: of a `whole`.
        example: a value.
        required: whether it must be given.
        in_path: whether it stands in the path.
    """

    name: str
    about: str
    kind: str = "text"
    choices: tuple[str, ...] = ()
    pattern: str = ""
    least: int = 0
    most: int = 2**31 - 1
    example: Any = None
    required: bool = False
    in_path: bool = False

    @property
    def is_list(self) -> bool:
        """Whether it holds several values."""
        return self.kind in ("names", "groups", "texts")

    @property
    def _longest(self) -> int:
        return _LONGEST_FILTER if self.kind == "texts" else _LONGEST

    def schema(self, *, body: bool = False) -> dict[str, Any]:
        """Its JSON schema."""
        text: dict[str, Any] = {"type": "string", "minLength": 1, "maxLength": self._longest}
        if self.pattern:
            text["pattern"] = self.pattern
        told: dict[str, Any]
        if self.kind == "whole":
            told = {"type": "integer", "minimum": self.least, "maximum": self.most}
        elif self.kind == "time":
            told = {
                "type": "string",
                "anyOf": [{"format": "date"}, {"format": "date-time"}],
            }
        elif self.kind == "choice":
            told = {"type": "string", "enum": list(self.choices)}
        elif self.kind == "switch":
            told = {"type": "boolean"}
        elif self.is_list:
            items = {"anyOf": [text, _GROUP_SCHEMA]} if body and self.kind == "groups" else text
            told = {"type": "array", "items": items, "maxItems": _MOST_ITEMS}
        else:
            told = text
        if body:
            told = {"anyOf": [told, {"type": "null"}]}
        return told

    def of_link(self, values: list[str]) -> Any:
        """Its value from the texts of a link.

        Raises:
            QueryError: it cannot have that value.
        """
        if self.is_list:
            parts = values
            if self.kind != "texts":
                parts = [part for value in values for part in value.split(",") if part]
            return self._list(parts)
        if len(values) > 1:
            raise QueryError(f"{self.name} is given {len(values)} times; it takes one value.")
        text = values[0]
        if self.kind == "whole":
            digits = text.removeprefix("-")
            if not (digits.isascii() and digits.isdigit()):
                raise self._wrong(text)
            return self._single(int(text[:12]))
        if self.kind == "switch":
            if text not in ("true", "false"):
                raise self._wrong(text)
            return text == "true"
        return self._single(text)

    def of_json(self, value: Any) -> Any:
        """Its value from a body; null is as if it were not there.

        Raises:
            QueryError: it cannot have that value.
        """
        if value is None:
            return None
        if self.is_list:
            if not isinstance(value, list):
                raise self._wrong(value)
            return self._list(value)
        if self.kind == "switch" and isinstance(value, bool):
            return value
        return self._single(value)

    def _list(self, values: list[Any]) -> list[Any]:
        if len(values) > _MOST_ITEMS:
            raise QueryError(f"{self.name} has {len(values)} items; it takes {_MOST_ITEMS}.")
        return [
            self._group(one) if self.kind == "groups" and isinstance(one, dict) else self._text(one)
            for one in values
        ]

    def _group(self, given: dict[str, Any]) -> GroupBy:
        for key, value in given.items():
            if key not in _GROUP_KEYS:
                raise QueryError(
                    f"{self.name} holds an object with '{key}'; it takes {', '.join(_GROUP_KEYS)}."
                )
            if value is not None:
                self._text(value)
        for key, allowed in (("grain", GRAINS), ("date_part", _DATE_PARTS)):
            told = given.get(key)
            if told is not None and told.lower() not in allowed:
                raise QueryError(
                    f"{self.name} holds the {key} '{told}'; it takes {', '.join(allowed)}."
                )
        if not given.get("name"):
            raise QueryError(f"{self.name} holds an object without a name.")
        return GroupBy(given["name"], given.get("grain"), given.get("date_part"))

    def _single(self, value: Any) -> Any:
        if self.kind == "whole":
            is_whole = isinstance(value, int) and not isinstance(value, bool)
            # JSON knows no difference between 10 and 10.0.
            if isinstance(value, float) and value.is_integer():
                value, is_whole = int(value), True
            if not is_whole or not self.least <= value <= self.most:
                raise self._wrong(value)
            return value
        if self.kind == "switch":
            raise self._wrong(value)
        text = self._text(value)
        if self.kind == "choice" and text not in self.choices:
            raise self._wrong(text)
        if self.kind == "time":
            self._time(text)
        return text

    def _time(self, text: str) -> None:
        is_day = len(text) == len("2026-01-31")
        try:
            if not _TIME.match(text):
                raise self._wrong(text)
            if is_day:
                dt.date.fromisoformat(text)
            else:
                dt.datetime.fromisoformat(text.upper()).astimezone(dt.UTC)
        except (ValueError, OverflowError):
            raise self._wrong(text) from None

    def _text(self, value: Any) -> str:
        if not isinstance(value, str) or not value or len(value) > self._longest:
            raise self._wrong(value)
        if "\0" in value or any("\ud800" <= letter <= "\udfff" for letter in value):
            raise QueryError(f"{self.name} holds a character that no text has.")
        return value

    def _wrong(self, value: Any) -> QueryError:
        takes = {
            "whole": f"a whole number from {self.least} to {self.most}",
            "switch": "true or false",
            "choice": f"one of {', '.join(self.choices)}",
            "time": "an ISO date such as 2026-01-31, or an instant such as 2026-01-31T18:00:00Z",
        }.get(self.kind, f"texts of 1 to {self._longest} characters")
        if self.is_list and not isinstance(value, str):
            takes = f"a list of {takes}"
        shown = str(value)[:80].encode(errors="replace").decode()
        hint = near_misses(shown, self.choices) if self.choices else ()
        meant = f" Did you mean '{hint[0]}'?" if hint else ""
        return QueryError(f"{self.name} is '{shown}'; it takes {takes}.{meant}")


_GROUP_SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["name"],
    "additionalProperties": False,
    "properties": {
        "name": {"type": "string", "minLength": 1, "maxLength": _LONGEST},
        "grain": {"anyOf": [{"type": "string", "enum": list(GRAINS)}, {"type": "null"}]},
        "date_part": {"anyOf": [{"type": "string", "enum": list(_DATE_PARTS)}, {"type": "null"}]},
    },
}


def from_link(
    takes: Iterable[Parameter], given: Iterable[tuple[str, str]], also: Iterable[str] = ()
) -> dict[str, Any]:
    """The parameters of a link.

    Args:
        takes: what the operation takes.
        given: names and values as they stand in the link.
        also: further names that may stand there, and are left out.

    Raises:
        QueryError: one is unknown, missing, or cannot have its value.
    """
    known = {parameter.name: parameter for parameter in takes}
    texts: dict[str, list[str]] = {}
    for name, value in given:
        if name not in also:
            texts.setdefault(name, []).append(value)
    _all_known(texts, known)
    found = {name: known[name].of_link(values) for name, values in texts.items()}
    return _complete(found, known)


def from_json(takes: Iterable[Parameter], given: Any) -> dict[str, Any]:
    """The parameters of a body.

    Raises:
        QueryError: one is unknown, missing, or cannot have its value.
    """
    known = {parameter.name: parameter for parameter in takes}
    if not isinstance(given, dict):
        raise QueryError("The body is JSON, but no object with names and values.")
    _all_known(given, known)
    read = {name: known[name].of_json(value) for name, value in given.items()}
    return _complete({name: value for name, value in read.items() if value is not None}, known)


def _all_known(given: Mapping[str, Any], known: Mapping[str, Parameter]) -> None:
    for name in given:
        if name not in known:
            shown = name[:80].encode(errors="replace").decode()
            meant = near_misses(shown, known)
            hint = (
                f"Did you mean '{meant[0]}'?"
                if meant
                else f"It takes {', '.join(known) or 'none'}."
            )
            raise QueryError(f"There is no parameter '{shown}' here. {hint}")


def _complete(found: dict[str, Any], known: Mapping[str, Parameter]) -> dict[str, Any]:
    for name, parameter in known.items():
        if parameter.required and not parameter.in_path and found.get(name) in (None, []):
            raise QueryError(f"{name} is missing: {parameter.about}")
    return found

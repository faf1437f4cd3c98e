"""What people write, held against a type by pydantic, and its complaints as plain sentences.

A type is a pydantic model or a plain dataclass that inherits from `Strict`; pydantic itself is
imported when something is validated, so that a dataclass costs nothing to import.

    class Owner(Strict): ...                    # a frozen dataclass
    owner = validated(Owner, {"busines": "x"}, wrong)
    # wrong("busines", "is unknown; did you mean 'business'")
"""

from __future__ import annotations

import datetime as dt
import re
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, NamedTuple, TypeVar

from cadran.errors import near_misses

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from pydantic import TypeAdapter, ValidationError

T = TypeVar("T")
_UNKNOWN = {"extra_forbidden", "unexpected_keyword_argument", "unexpected_positional_argument"}
_CHOICES = {"literal_error", "enum"}
_MISSING = {"missing", "missing_argument"}
DATE_EXAMPLE = "2027-06-30"
_LONGEST = 80  # characters of a wrong value that a sentence repeats


class Strict:
    """A dataclass that knows its keys: one more is an error."""

    __slots__ = ()
    __pydantic_config__: ClassVar[dict[str, Any]] = {"extra": "forbid"}


@dataclass(frozen=True, slots=True, eq=False)
class Takes:
    """What a value must be beside its type; stands in an `Annotated`.

    Attributes:
        what: what is right, such as "an e-mail address"; completes "it takes".
        check: gives the value as it is kept, or raises a ValueError that completes "key 'x':".
        before: check what is written, before its type is.
        strict: take no other type that could be turned into it, such as "5" or true for 5.
        constraints: pydantic's own, such as `{"ge": 0}`.
        also: values that may stand there instead, for editors; `check` turns them into the type.
        schema: more keywords of JSON Schema, for editors.
    """

    what: str = ""
    check: Callable[[Any], Any] | None = None
    before: bool = False
    strict: bool = False
    constraints: Mapping[str, Any] = field(default_factory=dict)
    also: tuple[Any, ...] = ()
    schema: Mapping[str, Any] = field(default_factory=dict)

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> Any:
        """What pydantic validates by."""
        from pydantic_core import core_schema

        inner = dict(handler(source)) | dict(self.constraints)
        if self.strict:
            inner["strict"] = True
        if self.check is None:
            return inner
        if self.before:
            return core_schema.no_info_before_validator_function(self.check, inner)
        return core_schema.no_info_after_validator_function(self.check, inner)

    def __get_pydantic_json_schema__(self, core: Any, handler: Any) -> dict[str, Any]:
        """What an editor completes and checks by; it shows `errorMessage` as it stands."""
        schema = dict(handler(core)) | dict(self.schema)
        if self.also:
            schema = {"anyOf": [*({"const": value} for value in self.also), schema]}
        return schema | ({"errorMessage": f"it takes {self.what}"} if self.what else {})


def _one_line(text: str) -> str:
    if not text.strip():
        raise ValueError(f"is {text!r}; it takes a text")
    return " ".join(text.split())


def _iso(value: Any) -> dt.date:
    if type(value) is dt.date:
        return value
    try:
        return dt.date.fromisoformat(value)
    except (TypeError, ValueError):
        text = repr(value)
        raise ValueError(f"is {text}; it takes a date such as {DATE_EXAMPLE}") from None


def _not_twice(values: tuple[Any, ...]) -> tuple[Any, ...]:
    if len(set(values)) < len(values):
        raise ValueError("names something twice")
    return values


def whole_number(least: int, **more: Any) -> Takes:
    """A whole number from `least` up; nothing that only looks like one."""
    return Takes(f"a whole number from {least} up", strict=True, constraints={"ge": least, **more})


def above_0(*, fraction: bool = False) -> Takes:
    """A number above 0, whole but for those that may be fractions."""
    more = {"allow_inf_nan": False} if fraction else {}
    what = "a number above 0" if fraction else "a whole number above 0"
    return Takes(what, strict=True, constraints={"gt": 0, **more})


def matching(pattern: str, what: str) -> Takes:
    """A text of a form."""
    form = re.compile(pattern)

    def check(text: str) -> str:
        if not form.fullmatch(text):
            raise ValueError(f"is {text!r}; it takes {what}")
        return text

    return Takes(what, check, schema={"pattern": f"^(?:{pattern})$"})


def one_of(*allowed: str) -> Takes:
    """One text of several."""

    def check(text: str) -> str:
        if text not in allowed:
            raise ValueError(f"is {text!r}; {_nearest(text, list(allowed), whole=True)}")
        return text

    return Takes(f"one of {', '.join(allowed)}", check, schema={"enum": list(allowed)})


Text = Annotated[str, Takes("a text", _one_line, schema={"minLength": 1})]
Date = Annotated[dt.date, Takes(f"a date such as {DATE_EXAMPLE}", _iso, before=True)]
NOT_TWICE = Takes(check=_not_twice, schema={"uniqueItems": True})


class Fault(NamedTuple):
    """One thing that is wrong: where, and what would be right, without a full stop."""

    key: str
    sentence: str


def validated(
    kind: type[T], data: object, wrong: Callable[[str, str], Exception], *, context: Any = None
) -> T:
    """What is written as the type that it must be.

    Args:
        kind: a `Strict` dataclass, a pydantic model, or any other type that pydantic knows.
        data: what is written.
        wrong: makes the error of a key (empty for the whole) and a sentence without a full stop.
        context: what a validator may look things up in.

    Raises:
        Exception: as `wrong` makes it, of the first fault.
    """
    from pydantic import ValidationError

    try:
        value: T = adapter(kind).validate_python(data, context=context)  # type: ignore[arg-type] # a type is hashable
    except ValidationError as problem:
        first = faults(problem, kind)[0]
        raise wrong(first.key, first.sentence) from None
    return value


@lru_cache(maxsize=64)
def adapter(kind: Any) -> TypeAdapter[Any]:
    """What pydantic validates a type with."""
    from pydantic import TypeAdapter

    return TypeAdapter(kind)


def schema_of(kind: Any) -> dict[str, Any]:
    """The JSON Schema of what people write for a type."""
    return adapter(kind).json_schema(mode="validation")


def faults(problem: ValidationError, kind: Any) -> list[Fault]:
    """What is wrong, in sentences: unknown keys first, since one is often a missing one misspelt.

    Args:
        problem: pydantic's complaint.
        kind: the type that was validated, or the pydantic model.
    """
    schema = schema_of(kind)
    errors = [(_placed(error, schema), error) for error in problem.errors(include_url=False)]
    # Of a union pydantic complains once a branch; the branch that was meant is read furthest.
    deepest = [place for place, _ in errors]
    reported = [
        (place, error)
        for place, error in errors
        if not place.is_branch
        or not any(len(o.parts) > len(place.parts) and o.starts(place) for o in deepest)
    ]
    # A sentence of our own says more than that no branch of a union fits.
    reported.sort(key=lambda i: (i[1]["type"] not in _UNKNOWN, i[1]["type"] != "value_error"))
    return [
        Fault(place.key, _sentence(error, place.parent, place.own, schema))
        for place, error in reported
    ]


class _Place(NamedTuple):
    """Where a complaint belongs: the keys on the way, and the schemas above it and of itself."""

    parts: tuple[Any, ...]
    parent: dict[str, Any]
    own: dict[str, Any]
    is_branch: bool

    @property
    def key(self) -> str:
        """The way in one text, `waivers[1].until`."""
        text = ""
        for part in self.parts:
            text += f"[{part + 1}]" if isinstance(part, int) else f".{part}" if text else str(part)
        return text

    def starts(self, other: _Place) -> bool:
        return self.parts[: len(other.parts)] == other.parts


def _placed(error: Any, schema: dict[str, Any]) -> _Place:
    """The place of a complaint; what pydantic calls the branches of a union is left out."""
    parts: list[Any] = []
    parent = own = schema
    is_branch = False
    for part in error["loc"]:
        below = _child(own, part, schema)
        is_branch = below is None
        if below is not None:
            parts.append(part)
            parent, own = own, below
    if is_branch and error["type"] in _UNKNOWN | _MISSING:
        return _Place((*parts, error["loc"][-1]), own, {}, is_branch=False)
    return _Place(tuple(parts), parent, own, is_branch)


def _sentence(
    error: Any, parent: dict[str, Any], own: dict[str, Any], schema: dict[str, Any]
) -> str:
    kind = error["type"]
    if kind in _MISSING:
        return "is missing"
    if kind in _UNKNOWN:
        names = [name for node in _branches(parent, schema) for name in node.get("properties", ())]
        return f"is unknown; {_nearest(str(error['loc'][-1]), names)}"
    if kind in {"value_error", "assertion_error"}:
        return str(error["ctx"]["error"])
    text = _excerpt(error["input"])
    own = _without_null(own)
    if kind in _CHOICES and "errorMessage" not in own:
        allowed = [str(choice) for choice in _choices(own, schema)]
        if allowed:
            return f"is {text}; {_nearest(str(error['input']), allowed, whole=True)}"
    return f"is {text}; it takes {_described(own, schema)}"


def _nearest(name: str, allowed: list[str], *, whole: bool = False) -> str:
    """What may have been meant, and what could stand there."""
    near = near_misses(name, allowed)
    listed = f"allowed: {', '.join(allowed)}"
    if not near:
        return listed
    return f"did you mean '{near[0]}'" + (f"? A{listed[1:]}" if whole else "")


def _excerpt(value: Any) -> str:
    text = str(value) if isinstance(value, dt.date) else repr(value)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"


def _branches(node: dict[str, Any], schema: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """A schema with its references and alternatives opened, NULL apart."""
    if "$ref" in node:
        definition = node["$ref"].rpartition("/")[2]
        yield from _branches(schema["$defs"][definition], schema)
    for choice in ("anyOf", "oneOf", "allOf"):
        for branch in node.get(choice, ()):
            yield from _branches(branch, schema)
    if node.get("type", "null") != "null" or "enum" in node or "const" in node:
        yield node


def _without_null(node: dict[str, Any]) -> dict[str, Any]:
    """The schema of what may be NULL as if it might not."""
    choices = [choice for choice in node.get("anyOf", ()) if choice.get("type") != "null"]
    return choices[0] if len(choices) == 1 and "errorMessage" not in node else node


def _child(node: dict[str, Any], part: Any, schema: dict[str, Any]) -> dict[str, Any] | None:
    """The schema of what stands under a key or an index."""
    for branch in _branches(node, schema):
        if isinstance(part, int):
            fixed = branch.get("prefixItems", ())
            below = fixed[part] if part < len(fixed) else branch.get("items")
        else:
            below = branch.get("properties", {}).get(part, branch.get("additionalProperties"))
        if isinstance(below, dict):
            return below
        if below is True:
            return {}
    return None


def _choices(node: dict[str, Any], schema: dict[str, Any]) -> list[Any]:
    return [
        choice
        for branch in _branches(node, schema)
        for choice in (*branch.get("enum", ()), *((branch["const"],) if "const" in branch else ()))
    ]


def _described(node: dict[str, Any], schema: dict[str, Any]) -> str:
    """What a value must be, in words that complete "it takes"."""
    if "errorMessage" in node:
        return str(node["errorMessage"]).removeprefix("it takes ")
    descriptions = []
    for branch in _branches(node, schema):
        if "errorMessage" in branch:
            descriptions.append(str(branch["errorMessage"]).removeprefix("it takes "))
        elif "enum" in branch or "const" in branch:
            descriptions.append(" or ".join(map(str, _choices(branch, schema))))
        else:
            descriptions.append(_typed(branch, schema))
    return " or ".join(dict.fromkeys(descriptions)) or "something else"


def _numbered(words: str, node: dict[str, Any]) -> str:
    """A number with the limits that it has to keep."""
    if "minimum" in node and "maximum" in node:
        return f"{words} from {node['minimum']} to {node['maximum']}"
    if "minimum" in node:
        return f"{words} from {node['minimum']} up"
    above = f" above {node['exclusiveMinimum']}" if "exclusiveMinimum" in node else ""
    most = f"{' and' if above else ''} at most {node['maximum']}" if "maximum" in node else ""
    return f"{words}{above}{most}"


def _worded(node: dict[str, Any]) -> str:
    """A text with the form or length that it has to have."""
    if "pattern" in node:
        return f"a text of the form {node['pattern']}"
    if "maxLength" in node:
        return f"a text of {node.get('minLength', 0)} to {node['maxLength']} characters"
    form = node.get("format")
    return f"a date such as {DATE_EXAMPLE}" if form == "date" else f"a {form or 'text'}"


def _typed(node: dict[str, Any], schema: dict[str, Any]) -> str:
    kind = node.get("type")
    if kind in {"integer", "number"}:
        return _numbered("a whole number" if kind == "integer" else "a number", node)
    if kind == "array":
        items = node.get("items") or {}
        choices = _choices(items, schema)
        if choices:
            return f"a list of {', '.join(map(str, choices))}"
        texts = any(branch.get("type") == "string" for branch in _branches(items, schema))
        bound = f"at most {node['maxItems']} " if texts and "maxItems" in node else ""
        return f"a list of {bound}texts" if texts else "a list"
    if kind == "string":
        return _worded(node)
    return {
        "boolean": "true or false", "object": "keys and values",
    }.get(str(kind), "something else")  # fmt: skip

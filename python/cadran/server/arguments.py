"""The arguments of a request: read from a link or a body, and described as JSON Schema."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import ValidationError

from cadran.errors import QueryError, near_misses
from cadran.formats.validation import faults, schema_of
from cadran.server.requests import Request

if TYPE_CHECKING:
    from collections.abc import Iterable

_BY_COMMAS = ("metrics", "group_by", "order_by")
REPEATED = ("where",)
_Some = TypeVar("_Some", bound=Request)


def from_link(
    model: type[_Some], pairs: Iterable[tuple[str, str]], also: Iterable[str] = ()
) -> _Some:
    """What a link asks for.

    Args:
        model: what it takes.
        pairs: names and values as they stand in the link.
        also: further names that may stand there, and are left out.

    Raises:
        QueryError: a name is unknown or missing, or cannot have its value.
    """
    texts: dict[str, list[str]] = {}
    for name, value in pairs:
        if name not in also:
            texts.setdefault(name, []).append(value)
    values_by_name: dict[str, Any] = {}
    for name, values in texts.items():
        if name in _BY_COMMAS:
            values_by_name[name] = [part for value in values for part in value.split(",") if part]
        elif name in REPEATED:
            values_by_name[name] = values
        elif len(values) > 1 and name in model.model_fields:
            raise QueryError(f"{name} is given {len(values)} times; it takes one value.")
        else:
            values_by_name[name] = values[0]
    return _validated(model, values_by_name, {"link": True})


def from_json(model: type[_Some], payload: Any) -> _Some:
    """What a body asks for; null is as if it were not there.

    Raises:
        QueryError: a name is unknown or missing, or cannot have its value.
    """
    if not isinstance(payload, dict):
        raise QueryError("The body is JSON, but no object with names and values.")
    present = {name: value for name, value in payload.items() if value is not None}
    return _validated(
        model, present | {n: None for n in payload if n not in model.model_fields}, None
    )


def _validated(model: type[_Some], arguments: dict[str, Any], context: Any) -> _Some:
    for name in arguments:
        if name not in model.model_fields:
            suggestions = near_misses(name[:80], model.model_fields)
            hint = (
                f"Did you mean '{suggestions[0]}'?"
                if suggestions
                else f"It takes {', '.join(model.model_fields) or 'none'}."
            )
            raise QueryError(_sayable(f"There is no parameter '{name[:80]}' here. {hint}"))
    try:
        return model.model_validate(arguments, context=context)
    except ValidationError as problem:
        fault = faults(problem, model)[0]
        raise QueryError(_sayable(f"{fault.key} {fault.sentence}.")) from None


def _sayable(text: str) -> str:
    return text.encode(errors="replace").decode()


@lru_cache(maxsize=64)
def properties(model: type[Request]) -> dict[str, dict[str, Any]]:
    """The JSON Schema of each thing that a model takes, by its name."""
    schema = schema_of(model)
    schemas = {}
    for name, described in schema["properties"].items():
        plain = _plain(described, schema.get("$defs", {}))
        choices = [choice for choice in plain.get("anyOf", ()) if choice != {"type": "null"}]
        if len(choices) == 1:
            del plain["anyOf"]
            plain = choices[0] | plain
        schemas[name] = plain
    return schemas


def required(model: type[Request]) -> list[str]:
    """The names of what has to be given."""
    return [name for name, field in model.model_fields.items() if field.is_required()]


def _plain(node: Any, defined: dict[str, Any]) -> Any:
    """A schema without references, titles and defaults."""
    if isinstance(node, list):
        return [_plain(part, defined) for part in node]
    if not isinstance(node, dict):
        return node
    if "$ref" in node:
        target = _plain(defined[node["$ref"].rpartition("/")[2]], defined)
        return {key: part for key, part in target.items() if key != "description"}
    return {
        key: {name: _plain(part, defined) for name, part in value.items()}
        if key == "properties"
        else _plain(value, defined)
        for key, value in node.items()
        if key not in ("title", "default", "errorMessage")
    }

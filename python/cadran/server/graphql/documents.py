"""Requests as they come in: read with care, parsed and validated once, and never too large.

Validating a document costs more than answering it, and clients send the same few: what was found
sound, or wrong, is remembered by its text.
"""

from __future__ import annotations

import json
import threading
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from graphql import (
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLError,
    OperationDefinitionNode,
    OperationType,
    parse,
    validate,
)

from cadran.errors import QueryError

if TYPE_CHECKING:
    from graphql import DocumentNode, GraphQLSchema, SelectionSetNode

MOST_BYTES = 512 * 1024  # of a request
_TEXT = 32 * 1024  # characters of a document
_TOKENS = 1_500
_DEPTH = 16
_FIELDS = 600  # fragments written out
_ROOTS = 10
_REMEMBERED = 256
_ERRORS = 5


@dataclass(frozen=True, slots=True)
class Request:
    """One request: a document, the operation in it that is meant, and its variables."""

    text: str
    operation: str | None = None
    variables: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Operation:
    """What is known of an operation before it runs: whether it is a query, and its root fields."""

    is_query: bool
    roots: frozenset[str]


@dataclass(frozen=True, slots=True)
class Prepared:
    """A document that was looked at.

    Attributes:
        document: its tree; None where it has errors.
        errors: what is wrong with it.
        operations: by name.
        fields: every field that it asks for, anywhere.
    """

    document: DocumentNode | None
    errors: tuple[GraphQLError, ...] = ()
    operations: dict[str, Operation] = field(default_factory=dict)
    fields: frozenset[str] = frozenset()

    def chosen(self, name: str | None) -> Operation:
        """The operation that is meant.

        Raises:
            QueryError: there is none of that name, or several and no name.
        """
        if name is None and len(self.operations) == 1:
            return next(iter(self.operations.values()))
        if name is None or name not in self.operations:
            raise QueryError(
                f"Say in operationName which operation is meant: {', '.join(self.operations)}."
            )
        return self.operations[name]


def read(body: bytes) -> Request:
    """The request in a body.

    Raises:
        QueryError: it is no JSON, or not of the shape that GraphQL over HTTP has.
    """
    try:
        given = json.loads(body.decode())
        # A lone half of a character would break whoever writes it down later.
        json.dumps(given, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        raise QueryError(
            'The body is no JSON in UTF-8: send {"query": "...", "variables": {...}}.'
        ) from None
    if not isinstance(given, dict):
        raise QueryError("The body is no JSON object with a query; lists of them are not taken.")
    text, operation = given.get("query"), given.get("operationName")
    variables = given.get("variables")
    if not isinstance(text, str) or not text.strip():
        raise QueryError("The body has no query: send a GraphQL document as text under `query`.")
    if operation is not None and not isinstance(operation, str):
        raise QueryError("operationName is no text.")
    if variables is not None and not isinstance(variables, dict):
        raise QueryError("variables is no JSON object.")
    return Request(text, operation or None, variables or {})


class Documents:
    """Prepares documents for one schema, and remembers the last ones."""

    def __init__(self, schema: GraphQLSchema) -> None:
        """Take a schema."""
        self._schema = schema
        self._lock = threading.Lock()
        self._known: OrderedDict[str, Prepared] = OrderedDict()

    def known(self, text: str) -> Prepared | None:
        """A document that was looked at before; at once."""
        with self._lock:
            if text in self._known:
                self._known.move_to_end(text)
            return self._known.get(text)

    def prepare(self, text: str) -> Prepared:
        """A document, parsed and validated; that takes a while."""
        prepared = self._prepared(text)
        with self._lock:
            self._known[text] = prepared
            while len(self._known) > _REMEMBERED:
                self._known.popitem(last=False)
        return prepared

    def _prepared(self, text: str) -> Prepared:
        if len(text) > _TEXT:
            said = f"The document has {len(text):,} characters; at most {_TEXT:,} are read."
            return Prepared(None, (GraphQLError(f"{said} Values belong into variables."),))
        try:
            document = parse(text, max_tokens=_TOKENS)
            operations, fields = _Measure(document).measured()
            errors = validate(self._schema, document, max_errors=_ERRORS)
        except GraphQLError as problem:
            return Prepared(None, (problem,))
        except RecursionError:
            return Prepared(None, (_too_much(),))
        if errors:
            return Prepared(None, tuple(errors))
        return Prepared(document, (), operations, fields)


class _Measure:
    """Measures what a document would ask with its fragments written out, without doing so."""

    def __init__(self, document: DocumentNode) -> None:
        self._operations = [
            one for one in document.definitions if isinstance(one, OperationDefinitionNode)
        ]
        self._fragments = {
            one.name.value: one
            for one in document.definitions
            if isinstance(one, FragmentDefinitionNode)
        }
        self._known: dict[str, tuple[int, int]] = {}
        self._within: set[str] = set()
        self._names: set[str] = set()

    def measured(self) -> tuple[dict[str, Operation], frozenset[str]]:
        """The operations and all fields.

        Raises:
            GraphQLError: it is too deep or too wide, or a fragment holds itself.
        """
        found = {}
        for one in self._operations:
            depth, width = self._of(one.selection_set)
            roots = list(self._roots(one.selection_set, set()))
            if depth > _DEPTH or width > _FIELDS or len(roots) > _ROOTS:
                raise _too_much()
            name = one.name.value if one.name else ""
            found[name] = Operation(one.operation is OperationType.QUERY, frozenset(roots))
        return found, frozenset(self._names)

    def _of(self, chosen: SelectionSetNode | None) -> tuple[int, int]:
        depth = width = 0
        for one in chosen.selections if chosen else ():
            if isinstance(one, FragmentSpreadNode):
                below, fields = self._spread(one.name.value)
            else:
                below, fields = self._of(one.selection_set)  # type: ignore[attr-defined]
            if isinstance(one, FieldNode):
                self._names.add(one.name.value)
                below, fields = below + 1, fields + 1
            depth, width = max(depth, below), width + fields
        return depth, width

    def _spread(self, name: str) -> tuple[int, int]:
        if name in self._within:
            raise GraphQLError(f"The fragment {name} holds itself.")
        if name not in self._known and name in self._fragments:
            self._within.add(name)
            self._known[name] = self._of(self._fragments[name].selection_set)
            self._within.remove(name)
        return self._known.get(name, (0, 0))

    def _roots(self, chosen: SelectionSetNode, seen: set[str]) -> list[str]:
        found = []
        for one in chosen.selections:
            if isinstance(one, FieldNode):
                found.append(one.name.value)
            elif isinstance(one, FragmentSpreadNode):
                fragment = self._fragments.get(one.name.value)
                if fragment is not None and one.name.value not in seen:
                    seen.add(one.name.value)
                    found += self._roots(fragment.selection_set, seen)
            else:
                found += self._roots(one.selection_set, seen)  # type: ignore[attr-defined]
        return found


def _too_much() -> GraphQLError:
    return GraphQLError(
        f"The document asks too much at once: at most {_ROOTS} fields at the top, {_FIELDS} in all"
        f" and {_DEPTH} levels."
    )

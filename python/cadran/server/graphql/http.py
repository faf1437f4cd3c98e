"""GraphQL over HTTP: POST at `/api/graphql`, and at `/` for clients that post there."""

from __future__ import annotations

import asyncio
import contextlib
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from graphql import (
    ExecutionResult,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLError,
    OperationDefinitionNode,
    OperationType,
    execute_sync,
    parse,
    validate,
)
from starlette.responses import Response
from starlette.routing import Route

from cadran.core.recent import Recent
from cadran.errors import CadranError, QueryError, UnauthenticatedError
from cadran.server.graphql import schema
from cadran.server.graphql.context import ResolverContext
from cadran.server.graphql.jobs import KEPT, Jobs
from cadran.server.problems import problem_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from graphql import DocumentNode, GraphQLSchema, SelectionSetNode
    from starlette.requests import Request

    from cadran.access.caller import Caller
    from cadran.server.http import ServerContext


MOST_BYTES = 512 * 1024  # of a request
_TEXT = 32 * 1024  # characters of a document
_TOKENS = 1_500
_DEPTH = 16
_FIELDS = 600  # fragments written out
_ROOTS = 10
_REMEMBERED = 256
_ERRORS = 5


@dataclass(frozen=True, slots=True)
class DocumentRequest:
    """One request: a document, the operation in it that is meant, and its variables."""

    text: str
    operation: str | None = None
    variables: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class DocumentOperation:
    """What is known of an operation before it runs: whether it is a query, and its root fields."""

    is_query: bool
    roots: frozenset[str]


@dataclass(frozen=True, slots=True)
class PreparedDocument:
    """A document that was looked at.

    Attributes:
        document: its tree; None where it has errors.
        errors: what is wrong with it.
        operations: by name.
        fields: every field that it asks for, anywhere.
    """

    document: DocumentNode | None
    errors: tuple[GraphQLError, ...] = ()
    operations: dict[str, DocumentOperation] = field(default_factory=dict)
    fields: frozenset[str] = frozenset()

    def chosen(self, name: str | None) -> DocumentOperation:
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


def read_document(body: bytes) -> DocumentRequest:
    """The request in a body.

    Raises:
        QueryError: it is no JSON, or not of the shape that GraphQL over HTTP has.
    """
    try:
        payload = json.loads(body.decode())
        # A lone half of a character would break whoever writes it down later.
        json.dumps(payload, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        raise QueryError(
            'The body is no JSON in UTF-8: send {"query": "...", "variables": {...}}.'
        ) from None
    if not isinstance(payload, dict):
        raise QueryError("The body is no JSON object with a query; lists of them are not taken.")
    text, operation = payload.get("query"), payload.get("operationName")
    variables = payload.get("variables")
    if not isinstance(text, str) or not text.strip():
        raise QueryError("The body has no query: send a GraphQL document as text under `query`.")
    if operation is not None and not isinstance(operation, str):
        raise QueryError("operationName is no text.")
    if variables is not None and not isinstance(variables, dict):
        raise QueryError("variables is no JSON object.")
    return DocumentRequest(text, operation or None, variables or {})


class Documents:
    """Prepares documents for one schema, and remembers the last ones."""

    def __init__(self, schema: GraphQLSchema) -> None:
        """Take a schema."""
        self._schema = schema
        self._recent: Recent[PreparedDocument] = Recent(_REMEMBERED)
        self.known = self._recent.get

    def prepare(self, text: str) -> PreparedDocument:
        """A document, parsed and validated; that takes a while."""
        prepared = self._prepared(text)
        self._recent.put(text, prepared)
        return prepared

    def _prepared(self, text: str) -> PreparedDocument:
        if len(text) > _TEXT:
            message = f"The document has {len(text):,} characters; at most {_TEXT:,} are read."
            return PreparedDocument(
                None, (GraphQLError(f"{message} Values belong into variables."),)
            )
        try:
            document = parse(text, max_tokens=_TOKENS)
            operations, fields = _Measure(document).measured()
            errors = validate(self._schema, document, max_errors=_ERRORS)
        except GraphQLError as problem:
            return PreparedDocument(None, (problem,))
        except RecursionError:
            return PreparedDocument(None, (_too_much(),))
        if errors:
            return PreparedDocument(None, tuple(errors))
        return PreparedDocument(document, (), operations, fields)


class _Measure:
    """Measures what a document would ask with its fragments written out, without doing so."""

    def __init__(self, document: DocumentNode) -> None:
        self._operations = [
            definition
            for definition in document.definitions
            if isinstance(definition, OperationDefinitionNode)
        ]
        self._fragments = {
            definition.name.value: definition
            for definition in document.definitions
            if isinstance(definition, FragmentDefinitionNode)
        }
        self._known: dict[str, tuple[int, int]] = {}
        self._within: set[str] = set()
        self._names: set[str] = set()

    def measured(self) -> tuple[dict[str, DocumentOperation], frozenset[str]]:
        """The operations and all fields.

        Raises:
            GraphQLError: it is too deep or too wide, or a fragment holds itself.
        """
        operations = {}
        for definition in self._operations:
            depth, width = self._of(definition.selection_set)
            roots = list(self._roots(definition.selection_set, set()))
            if depth > _DEPTH or width > _FIELDS or len(roots) > _ROOTS:
                raise _too_much()
            name = definition.name.value if definition.name else ""
            operations[name] = DocumentOperation(
                definition.operation is OperationType.QUERY, frozenset(roots)
            )
        return operations, frozenset(self._names)

    def _of(self, selection_set: SelectionSetNode | None) -> tuple[int, int]:
        depth = width = 0
        for selection in selection_set.selections if selection_set else ():
            if isinstance(selection, FragmentSpreadNode):
                below, fields = self._spread(selection.name.value)
            else:
                below, fields = self._of(selection.selection_set)  # type: ignore[attr-defined]
            if isinstance(selection, FieldNode):
                self._names.add(selection.name.value)
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

    def _roots(self, selection_set: SelectionSetNode, fragments: set[str]) -> list[str]:
        roots = []
        for selection in selection_set.selections:
            if isinstance(selection, FieldNode):
                roots.append(selection.name.value)
            elif isinstance(selection, FragmentSpreadNode):
                fragment = self._fragments.get(selection.name.value)
                if fragment is not None and selection.name.value not in fragments:
                    fragments.add(selection.name.value)
                    roots += self._roots(fragment.selection_set, fragments)
            else:
                roots += self._roots(selection.selection_set, fragments)  # type: ignore[attr-defined]
        return roots


def _too_much() -> GraphQLError:
    return GraphQLError(
        f"The document asks too much at once: at most {_ROOTS} fields at the top, {_FIELDS} in all"
        f" and {_DEPTH} levels."
    )


_JOBS = "graphql jobs"
_PATIENCE = 0.25  # seconds that a request waits for its query to end, so that clients poll less
_QUICK = frozenset({"query", "createQuery", "cancelQuery", "__typename"})
_KEPT_BYTES = 32_000_000
_STRANGER = "User is not authorized"  # dbt-sl-sdk knows a wrong token by this message


def routes(server_context: ServerContext) -> list[Route]:
    """The two routes."""
    endpoint = Endpoint(server_context)
    return [Route(path, endpoint.post, methods=["POST"]) for path in ("/api/graphql", "/")]


@contextlib.asynccontextmanager
async def running(server_context: ServerContext) -> AsyncIterator[None]:
    """Let go of old queries while the server runs, and of every one when it stops."""
    jobs = _jobs(server_context)

    async def sweep() -> None:
        while True:
            await asyncio.sleep(KEPT / 10)
            jobs.sweep()

    task = asyncio.create_task(sweep())
    try:
        yield
    finally:
        task.cancel()
        jobs.close()


class Endpoint:
    """Answers requests: what is quick on the event loop, the rest in a worker thread."""

    def __init__(self, server_context: ServerContext) -> None:
        """Take the server."""
        self._server_context = server_context
        self._jobs = _jobs(server_context)
        self._schema = schema.graphql_schema()
        self._documents = Documents(self._schema)
        # The state and what the caller may see are part of each key, so that none is ever stale.
        self._responses: Recent[tuple[bytes, int]] = Recent(
            _KEPT_BYTES, lambda entry: len(entry[0]) + entry[1], largest=_KEPT_BYTES // 4
        )

    async def post(self, request: Request) -> Response:
        """Answer one request; whatever comes in, the answer is one of GraphQL."""
        try:
            caller = await self._server_context.identify(request.headers.get("authorization"))
            kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
            if kind != "application/json":
                # Also what keeps pages of other sites from posting here through a browser.
                return _refused("Send the request as application/json.")
            body = await _body(request)
            if body is None:
                most = MOST_BYTES // 1024
                return _refused(f"The request is too large: at most {most} KiB are read.", 413)
            return await self._answer(caller, body)
        except UnauthenticatedError:
            return _refused(_STRANGER, 200)
        except CadranError as problem:
            return _refused(str(problem))
        except Exception as problem:  # noqa: BLE001 - it is logged, and the client told so
            return _refused(problem_of(problem).sentence, 200)

    async def _answer(self, caller: Caller, body: bytes) -> Response:
        state = self._server_context.service.snapshots.current
        key = state.id, caller, self._server_context.service.visible(caller), body
        cached = self._responses.get(key)
        if cached is not None:
            return _json(cached[0])
        request = read_document(body)
        prepared = self._documents.known(request.text)
        if prepared is None:
            prepared = await self._server_context.run(self._documents.prepare, request.text)
        if prepared.document is None:
            return _json(_packed(ExecutionResult(None, list(prepared.errors))))
        operation = prepared.chosen(request.operation)
        if operation.roots <= _QUICK and "jsonResult" not in prepared.fields:
            return _json(_packed(await self._quick(caller, prepared, request, operation)))
        result = await self._server_context.run(self._slow, caller, prepared, request)
        text = _packed(result)
        if operation.is_query and "query" not in operation.roots and not result.errors:
            self._responses.put(key, (text, len(body)))
        return _json(text)

    async def _quick(
        self,
        caller: Caller,
        prepared: PreparedDocument,
        request: DocumentRequest,
        operation: DocumentOperation,
    ) -> ExecutionResult:
        with self._server_context.service.snapshots.use() as state:
            resolver_context = ResolverContext(
                self._server_context.service, self._jobs, caller, state
            )
            result = self._executed(resolver_context, prepared, request)
            waited = [
                asyncio.wrap_future(job.future) for job in resolver_context.unfinished if job.future
            ]
            if waited:
                await asyncio.wait(waited, timeout=_PATIENCE)
                if operation.is_query:
                    result = self._executed(resolver_context, prepared, request)
        return result

    def _slow(
        self, caller: Caller, prepared: PreparedDocument, request: DocumentRequest
    ) -> ExecutionResult:
        with self._server_context.service.snapshots.use() as state:
            resolver_context = ResolverContext(
                self._server_context.service, self._jobs, caller, state
            )
            return self._executed(resolver_context, prepared, request)

    def _executed(
        self,
        resolver_context: ResolverContext,
        prepared: PreparedDocument,
        request: DocumentRequest,
    ) -> ExecutionResult:
        assert prepared.document is not None  # noqa: S101 - documents with errors do not get here
        return execute_sync(
            self._schema,
            prepared.document,
            context_value=resolver_context,
            variable_values=request.variables,
            operation_name=request.operation,
        )


def _jobs(server_context: ServerContext) -> Jobs:
    jobs = server_context.parts.setdefault(_JOBS, Jobs(server_context.workers))
    assert isinstance(jobs, Jobs)  # noqa: S101 - nobody else keeps anything under that name
    return jobs


async def _body(request: Request) -> bytes | None:
    """The body; None where it is larger than what is read."""
    read = bytearray()
    async for part in request.stream():
        read += part
        if len(read) > MOST_BYTES:
            return None
    return bytes(read)


def _packed(result: ExecutionResult) -> bytes:
    payload: dict[str, Any] = {"data": result.data}
    if result.errors:
        payload["errors"] = [_client_error(error) for error in result.errors]
    return json.dumps(payload, separators=(",", ":")).encode()


def _client_error(error: GraphQLError) -> Mapping[str, Any]:
    """An error as a client may see it: only sentences that were written for clients."""
    formatted = dict(error.formatted)
    cause = error.original_error
    while isinstance(cause, GraphQLError):
        cause = cause.original_error
    if cause is not None:
        is_said = isinstance(cause, CadranError)
        formatted["message"] = str(cause) if is_said else problem_of(cause).sentence
    return formatted


def _refused(message: str, status: int = 400) -> Response:
    text = json.dumps({"data": None, "errors": [{"message": message}]})
    return _json(text.encode(), status)


def _json(text: bytes, status: int = 200) -> Response:
    return Response(text, status, media_type="application/json")

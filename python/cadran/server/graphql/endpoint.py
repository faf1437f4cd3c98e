"""GraphQL over HTTP: POST at `/api/graphql`, and at `/` for clients that post there."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

from graphql import ExecutionResult, GraphQLError, execute_sync
from starlette.responses import Response
from starlette.routing import Route

from cadran.errors import CadranError, UnauthenticatedError
from cadran.server.graphql import documents, schema
from cadran.server.graphql.asking import Asking
from cadran.server.graphql.jobs import KEPT, Jobs, unexpected

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from starlette.requests import Request

    from cadran.access.caller import Caller
    from cadran.server.graphql.documents import Prepared
    from cadran.server.house import House

_JOBS = "graphql jobs"
_PATIENCE = 0.25  # seconds that a request waits for its query to end, so that clients poll less
_QUICK = frozenset({"query", "createQuery", "cancelQuery", "__typename"})
_KEPT_BYTES = 32_000_000
_STRANGER = "User is not authorized"  # dbt-sl-sdk knows a wrong token by this message


def routes(house: House) -> list[Route]:
    """The two routes."""
    endpoint = Endpoint(house)
    return [Route(path, endpoint.post, methods=["POST"]) for path in ("/api/graphql", "/")]


@contextlib.asynccontextmanager
async def running(house: House) -> AsyncIterator[None]:
    """Let go of old queries while the server runs, and of every one when it stops."""
    jobs = _jobs(house)

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

    def __init__(self, house: House) -> None:
        """Take a house."""
        self._house = house
        self._jobs = _jobs(house)
        self._schema = schema.build()
        self._documents = documents.Documents(self._schema)
        self._told = _Told(_KEPT_BYTES)

    async def post(self, request: Request) -> Response:
        """Answer one request; whatever comes in, the answer is one of GraphQL."""
        try:
            caller = self._house.caller(request.headers.get("authorization"))
            kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
            if kind != "application/json":
                # Also what keeps pages of other sites from posting here through a browser.
                return _refused("Send the request as application/json.")
            body = await _body(request)
            if body is None:
                most = documents.MOST_BYTES // 1024
                return _refused(f"The request is too large: at most {most} KiB are read.", 413)
            return await self._answer(caller, body)
        except UnauthenticatedError:
            return _refused(_STRANGER, 200)
        except CadranError as problem:
            return _refused(str(problem))
        except Exception as problem:  # noqa: BLE001 - it is logged, and the client told so
            return _refused(unexpected(problem), 200)

    async def _answer(self, caller: Caller, body: bytes) -> Response:
        state = self._house.desk.states.current
        key = state.id, caller, self._house.desk.visible(caller), body
        told = self._told.get(key)
        if told is not None:
            return _json(told)
        asked = documents.read(body)
        prepared = self._documents.known(asked.text)
        if prepared is None:
            prepared = await self._house.run(self._documents.prepare, asked.text)
        if prepared.document is None:
            return _json(_packed(ExecutionResult(None, list(prepared.errors))))
        operation = prepared.chosen(asked.operation)
        if operation.roots <= _QUICK and "jsonResult" not in prepared.fields:
            return _json(_packed(await self._quick(caller, prepared, asked, operation)))
        result = await self._house.run(self._slow, caller, prepared, asked)
        text = _packed(result)
        if operation.is_query and "query" not in operation.roots and not result.errors:
            self._told.put(key, text)
        return _json(text)

    async def _quick(
        self,
        caller: Caller,
        prepared: Prepared,
        asked: documents.Request,
        operation: documents.Operation,
    ) -> ExecutionResult:
        with self._house.desk.states.use() as state:
            asking = Asking(self._house.desk, self._jobs, caller, state)
            result = self._executed(asking, prepared, asked)
            waited = [asyncio.wrap_future(job.future) for job in asking.unfinished if job.future]
            if waited:
                await asyncio.wait(waited, timeout=_PATIENCE)
                if operation.is_query:
                    result = self._executed(asking, prepared, asked)
        return result

    def _slow(
        self, caller: Caller, prepared: Prepared, asked: documents.Request
    ) -> ExecutionResult:
        with self._house.desk.states.use() as state:
            asking = Asking(self._house.desk, self._jobs, caller, state)
            return self._executed(asking, prepared, asked)

    def _executed(
        self, asking: Asking, prepared: Prepared, asked: documents.Request
    ) -> ExecutionResult:
        assert prepared.document is not None  # noqa: S101 - documents with errors do not get here
        return execute_sync(
            self._schema,
            prepared.document,
            context_value=asking,
            variable_values=asked.variables,
            operation_name=asked.operation,
        )


class _Told:
    """Answers to questions about definitions, as they were sent: bounded, the oldest leave first.

    The state and what the caller may see are part of each key, so that none is ever stale.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._size = 0
        self._kept: OrderedDict[tuple[Any, ...], bytes] = OrderedDict()

    def get(self, key: tuple[Any, ...]) -> bytes | None:
        found = self._kept.get(key)
        if found is not None:
            self._kept.move_to_end(key)
        return found

    def put(self, key: tuple[Any, ...], text: bytes) -> None:
        if key in self._kept or len(text) * 4 > self._most:
            return
        self._kept[key] = text
        self._size += len(text) + len(key[-1])
        while self._size > self._most:
            gone, left = self._kept.popitem(last=False)
            self._size -= len(left) + len(gone[-1])


def _jobs(house: House) -> Jobs:
    jobs = house.parts.setdefault(_JOBS, Jobs(house.workers))
    assert isinstance(jobs, Jobs)  # noqa: S101 - nobody else keeps anything under that name
    return jobs


async def _body(request: Request) -> bytes | None:
    """The body; None where it is larger than what is read."""
    read = bytearray()
    async for part in request.stream():
        read += part
        if len(read) > documents.MOST_BYTES:
            return None
    return bytes(read)


def _packed(result: ExecutionResult) -> bytes:
    told: dict[str, Any] = {"data": result.data}
    if result.errors:
        told["errors"] = [_shown(error) for error in result.errors]
    return json.dumps(told, separators=(",", ":")).encode()


def _shown(error: GraphQLError) -> Mapping[str, Any]:
    """An error as a client may see it: only sentences that were written for clients."""
    shown = dict(error.formatted)
    cause = error.original_error
    while isinstance(cause, GraphQLError):
        cause = cause.original_error
    if cause is not None:
        shown["message"] = str(cause) if isinstance(cause, CadranError) else unexpected(cause)
    return shown


def _refused(message: str, status: int = 400) -> Response:
    text = json.dumps({"data": None, "errors": [{"message": message}]})
    return _json(text.encode(), status)


def _json(text: bytes, status: int = 200) -> Response:
    return Response(text, status, media_type="application/json")

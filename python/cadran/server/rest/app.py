"""From a request to an operation to a reply; what goes wrong on the way becomes problem+json."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from starlette.routing import BaseRoute, Match

from cadran.access.caller import LOCAL, Caller
from cadran.errors import NotAllowedError, QueryError, UnauthenticatedError
from cadran.formats.encoding import json_text
from cadran.server import http, requests
from cadran.server.http import Call, GoneError, Reply
from cadran.server.operations import OPERATIONS
from cadran.server.problems import TITLES, Problem, RefusedError, problem_of
from cadran.server.rest import metadata
from cadran.server.rest.openapi import Description
from cadran.server.rest.query import Asking

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from starlette.types import Receive, Scope, Send

    from cadran.server.http import House
    from cadran.server.operations import Operation

ROOT = "/api/v1"
_EVERY = [
    (b"cache-control", b"private, no-cache"),
    (b"vary", b"Authorization, Accept, Accept-Encoding"),
    (b"x-content-type-options", b"nosniff"),
]


class Rest:
    """The ASGI application under `/api/v1`."""

    def __init__(self, house: House) -> None:
        """Know the operations of a house."""
        self._house = house
        self._asking = Asking(house)
        self._handlers = _handlers(house, self._asking)
        self._exact: dict[str, dict[str, Operation]] = {}
        self._patterns: list[tuple[re.Pattern[str], dict[str, Operation]]] = []
        templates: dict[str, dict[str, Operation]] = {}
        for operation in OPERATIONS:
            known = templates if "{" in operation.path else self._exact
            known.setdefault(operation.path, {})[operation.method] = operation
        for path, methods in templates.items():
            pattern = re.sub(r"\\\{(\w+)\\\}", r"(?P<\1>[^/]+)", re.escape(path))
            self._patterns.append((re.compile(pattern, re.DOTALL), methods))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        call = Call(scope, receive)
        try:
            reply = await self._answer(call)
        except GoneError:
            return
        except Exception as error:  # noqa: BLE001 - every error becomes a problem
            reply = problem(problem_of(error, filtered=call.filtered))
        reply.headers += _EVERY
        if self._house.settings.origins:
            reply.headers += self._across(call)
        await reply.send(send)

    async def _answer(self, call: Call) -> Reply:
        call.check_length()
        path = call.scope["path"].removeprefix(ROOT).rstrip("/")
        operation = self._operation(call.scope["method"], path, call)
        if operation is None:
            return self._options(path)
        call.caller = self._allowed(operation, call)
        if operation.id in ("query", "query_body"):
            return await self._asking.query(call, in_body=operation.in_body)
        if operation.in_body:
            call.asked = requests.from_json(operation.takes, http.document(await call.body()))
        else:
            also = ("token",) if operation.is_file and self._house.settings.link_tokens else ()
            pairs = http.pairs(call.link)
            for name, _ in pairs:
                if name in call.in_path:
                    raise QueryError(f"There is no parameter '{name}' here: it stands in the path.")
            pairs += call.in_path.items()
            call.asked = requests.from_link(operation.takes, pairs, also)
        return await self._handlers[operation.id](call)

    def _operation(self, method: str, path: str, call: Call) -> Operation | None:
        """The operation that is meant; None for OPTIONS.

        Raises:
            RefusedError: there is none.
        """
        methods = self._methods(path, call)
        if method == "OPTIONS":
            return None
        found = methods.get("GET" if method == "HEAD" else method)
        if found is None:
            allowed = _allow(methods)
            raise RefusedError(
                405, "method-not-allowed",
                f"{ROOT}{path} does not take {method[:20]}; it takes {allowed}.",
                headers={"Allow": allowed},
            )  # fmt: skip
        return found

    def _methods(self, path: str, call: Call | None = None) -> dict[str, Operation]:
        methods = self._exact.get(path)
        if methods is not None:
            return methods
        for pattern, found in self._patterns:
            matched = pattern.fullmatch(path)
            if matched is not None:
                if call is not None:
                    call.in_path = matched.groupdict()
                return found
        raise RefusedError(
            404, "not-found",
            f"There is nothing at {ROOT}{path[:200]}; {ROOT}/docs says what there is.",
        )  # fmt: skip

    def _options(self, path: str) -> Reply:
        return Reply(b"", status=204, headers=[(b"allow", _allow(self._methods(path)).encode())])

    def _allowed(self, operation: Operation, call: Call) -> Caller:
        authorization = call.header(b"authorization")
        linked = None
        if operation.is_file and authorization is None and self._house.settings.link_tokens:
            linked = dict(http.pairs(call.link)).get("token")
            authorization = f"Bearer {linked}" if linked else None
        if not operation.scope:
            return LOCAL
        caller = self._house.caller(authorization)
        if operation.scope not in caller.scopes:
            raise NotAllowedError(
                f"The token of {caller.name} lacks the scope '{operation.scope}', which this needs."
            )
        if linked and "admin" in caller.scopes and not self._house.who.open:
            raise UnauthenticatedError(
                "A token in a link must not have the scope 'admin': others may see the link."
            )
        return caller

    def _across(self, call: Call) -> list[tuple[bytes, bytes]]:
        """Headers for pages of other origins, where the settings name them."""
        origins = self._house.settings.origins
        origin = call.header(b"origin")
        if origin is None or origin not in origins:
            return [(b"vary", b"Origin")]
        return [
            (b"access-control-allow-origin", origin.encode()),
            (b"access-control-allow-methods", b"GET, HEAD, POST, OPTIONS"),
            (b"access-control-allow-headers", b"authorization, content-type, if-none-match"),
            (b"access-control-expose-headers", b"etag, link, cadran-total-rows, retry-after"),
            (b"access-control-max-age", b"600"),
            (b"vary", b"Origin"),
        ]


def problem(told: Problem) -> Reply:
    """A problem as RFC 9457 has it."""
    body = {
        "type": f"{ROOT}/docs#{told.kind}",
        "title": TITLES[told.kind],
        "status": told.status,
        "detail": told.sentence,
        **told.more,
    }
    headers = [(name.lower().encode(), value.encode()) for name, value in told.headers.items()]
    return Reply(json_text(body).encode(), "application/problem+json", told.status, headers)


def _allow(methods: dict[str, Operation]) -> str:
    names = {*methods, "OPTIONS"} | ({"HEAD"} if "GET" in methods else set())
    return ", ".join(sorted(names))


def _handlers(house: House, asking: Asking) -> dict[str, Callable[[Call], Awaitable[Reply]]]:
    description, lists = Description(house), metadata.Listing(house)
    return {
        "index": description.index, "openapi": description.openapi, "docs": description.page,
        "kpis": lists.kpis, "kpi": lists.kpi, "metrics": lists.metrics,
        "dimensions": lists.dimensions, "saved_queries": lists.saved_queries,
        "values": lists.values, "refresh": lists.refresh,
        "saved_file": asking.saved, "sql": asking.sql, "sql_body": asking.sql,
    }  # fmt: skip


class _Below(BaseRoute):
    """Everything below an address, whatever characters stand there."""

    def __init__(self, root: str, rest: Rest) -> None:
        self._root, self._rest = root, rest

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        path: str = scope.get("path", "")
        is_ours = scope["type"] == "http" and (
            path.startswith(f"{self._root}/") or path == self._root
        )
        return (Match.FULL if is_ours else Match.NONE), {}

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._rest(scope, receive, send)


def routes(house: House) -> list[BaseRoute]:
    """Everything under `/api/v1`, with its own answers to what is not there."""
    return [_Below(ROOT, Rest(house))]

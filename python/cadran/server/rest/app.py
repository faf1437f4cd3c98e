"""From a request to its reply; what goes wrong on the way becomes problem+json.

A cached answer leaves on the event loop, without a thread or a copy.
"""

from __future__ import annotations

import gzip
import re
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from starlette.routing import BaseRoute, Match

from cadran.access.caller import LOCAL, Caller
from cadran.core.query.request import ask
from cadran.errors import NotAllowedError, QueryError, UnauthenticatedError
from cadran.formats.encoding import json_text
from cadran.server import http
from cadran.server.arguments import from_json, from_link
from cadran.server.http import ROOT, Call, ClientGoneError, response
from cadran.server.operations import OPERATIONS
from cadran.server.problems import RefusedError, problem_of
from cadran.server.requests import ShapedQueryRequest
from cadran.server.rest import metadata
from cadran.server.rest.openapi import Description
from cadran.serving import analyses
from cadran.serving.response import (
    MEDIA,
    PAGE_ROWS,
    Part,
    cursor,
    cursor_parts,
    encoded,
    finished,
    instant,
)
from cadran.serving.service import RequestContext

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from starlette.responses import Response
    from starlette.types import Receive, Scope, Send

    from cadran.core.query.request import Query
    from cadran.server.http import ServerContext
    from cadran.server.operations import Operation
    from cadran.serving.response import Answer

_ANY = {"json": ("*/*", "application/*", "application/json")}
_ALSO = {
    "csv": ("text/csv", "text/*"),
    "csv-excel-fr": (),
    "arrow": ("application/vnd.apache.arrow.stream",),
    "parquet": ("application/vnd.apache.parquet", "application/x-parquet"),
    "xlsx": (MEDIA["xlsx"],),
}
_FORMS = {media: form for form, every in {**_ANY, **_ALSO}.items() for media in every}


@dataclass(frozen=True, slots=True)
class ShapedQuery:
    """What a client wants.

    Attributes:
        query: what is asked.
        form: a key of `MEDIA`.
        part: which rows.
        state: of the data, where a page is asked that belongs to one; else empty.
        tag: the beginning of the validator of the answer that the page belongs to.
        lang: of the words in it.
        read_cache: whether a kept answer will do.
        is_safe: whether no text of CSV may be a formula.
    """

    query: Query
    form: str
    part: Part
    state: str = ""
    tag: str = ""
    lang: str = "en"
    read_cache: bool = True
    is_safe: bool = False

    @property
    def key(self) -> str:
        """The name of its form among those kept with an answer."""
        safe = "-safe" if self.is_safe else ""
        return f"{self.form}-{self.part.offset}-{self.part.size or 'all'}-{self.lang}{safe}"

    def check(self, answer: Answer) -> None:
        """Refuse a page of other numbers.

        Raises:
            RefusedError: the state of the data is another one.
            QueryError: the cursor belongs to another question.
        """
        if not self.state:
            return
        if self.state != answer.state:
            raise RefusedError(
                410, "gone",
                "The numbers were replaced since the page before: begin again without cursor, so"
                " that all pages are of one state.",
            )  # fmt: skip
        if not answer.etag.startswith(self.tag):
            raise QueryError("The cursor belongs to another question: repeat that one with it.")


def shaped(request: ShapedQueryRequest, accept: str | None, most: int) -> ShapedQuery:
    """What a client wants.

    Args:
        request: the question and its form.
        accept: the header, where the request names no format.
        most: most rows of a page.

    Raises:
        QueryError: the question or the page makes no sense.
        RefusedError: no format that is accepted can be given.
    """
    form = request.format or accepted(accept)
    size = request.page_size or (min(PAGE_ROWS, most) if form == "json" else None)
    if size is not None and size > most:
        raise QueryError(f"page_size is {size}; a page has at most {most:,} rows.")
    shape = ShapedQuery(
        request.query, form, Part(0, size), lang=request.lang, read_cache=request.read_cache,
        is_safe=request.safe,
    )  # fmt: skip
    if request.cursor is None:
        return shape
    state, tag, offset = cursor_parts(request.cursor)
    return replace(shape, part=Part(offset, size), state=state, tag=tag)


@lru_cache(maxsize=256)
def accepted(accept: str | None) -> str:
    """The form that a client prefers, by its Accept header.

    Raises:
        RefusedError: it accepts none that can be given.
    """
    if not accept:
        return "json"
    choices: list[tuple[float, int, str]] = []
    for at, item in enumerate(accept.split(",")):
        media, *parts = (part.strip().lower() for part in item.split(";"))
        quality = next((part[2:] for part in parts if part.startswith("q=")), "1")
        try:
            weight = float(quality)
        except ValueError:
            weight = 0.0
        if media in _FORMS and weight > 0:
            choices.append((-weight, at, _FORMS[media]))
    if not choices:
        raise RefusedError(
            406, "not-acceptable",
            f"Accept is '{accept[:200]}'; there are {', '.join(MEDIA.values())}.",
        )  # fmt: skip
    return min(choices)[2]


_REMEMBERED = 2048  # questions as they were written, with what they mean
_SHORT = 2000  # bytes of a question that is remembered
_SMALL = 2000  # cells that are encoded on the event loop
_PACKED = 20_000  # bytes from which text is sent packed
_KEPT = 1_000_000  # bytes up to which a form is kept with its answer
_TEXTS = ("json", "csv", "csv-excel-fr")
_PLAIN = " ,.:;'()=/+*"  # what a header may hold beside letters and digits
_TAG = 32  # characters of the validator of an answer


class QueryHandlers:
    """Answers the operations that ask questions."""

    def __init__(self, server_context: ServerContext) -> None:
        """Take what answers."""
        self._server_context = server_context
        self._service = server_context.service
        self._most = server_context.settings.rows
        self._remembered = lru_cache(_REMEMBERED)(self._shaped)

    async def query(self, call: Call, *, in_body: bool) -> Response:
        """The answer to a question, from a link or a body."""
        text = await call.body() if in_body else call.link
        read = self._remembered if len(text) <= _SHORT else self._shaped
        shape = read(text, call.header(b"accept"), in_body)
        reply, answer = await self._answered(call, shape)
        if answer is not None and not in_body:
            following = cursor(answer, shape.part)
            if following is not None:
                reply.raw_headers.append((b"link", http.next_link(call, following)))
        return reply

    async def saved(self, call: Call) -> Response:
        """A saved query as a file."""
        arguments = call.request.arguments
        name, form, lang = (
            arguments.pop("name"),
            arguments.pop("format"),
            arguments.pop("lang", "en"),
        )
        is_safe = arguments.pop("safe", False)
        query = ask(saved_query=name, **arguments)
        shape = ShapedQuery(query, form, Part(), lang=lang, is_safe=is_safe)
        reply, _ = await self._answered(call, shape)
        reply.raw_headers.append((b"referrer-policy", b"no-referrer"))
        return reply

    async def sql(self, call: Call) -> Response:
        """The SQL of a question."""
        query = call.request.query
        context = self._context(call, query)
        sql = await self._server_context.run(self._service.sql, context, query)
        return response(json_text({"sql": sql}).encode())

    async def analysis(self, call: Call, work: Callable[..., dict[str, Any]]) -> Response:
        """What an analysis of one KPI found."""
        arguments = call.request.arguments
        call.filtered = bool(arguments.get("where"))
        assert call.caller is not None  # noqa: S101 - every question has a scope
        context = RequestContext(call.caller, "rest")
        name = arguments.pop("name")
        found = await call.until_gone(
            self._server_context.run(partial(work, self._service, context, name, **arguments)),
            context.stop,
        )
        return http.conditional(call, json_text(found).encode())

    def _shaped(self, text: bytes, accept: str | None, in_body: bool) -> ShapedQuery:  # noqa: FBT001
        if in_body:
            request = from_json(ShapedQueryRequest, http.json_document(text))
        else:
            request = from_link(ShapedQueryRequest, http.pairs(text))
        return shaped(request, accept, self._most)

    def _context(self, call: Call, query: Query, *, read_cache: bool = True) -> RequestContext:
        assert call.caller is not None  # noqa: S101 - every question has a scope
        call.filtered = bool(query.where)
        return RequestContext(call.caller, "rest", read_cache=read_cache)

    async def _answered(self, call: Call, shape: ShapedQuery) -> tuple[Response, Answer | None]:
        context = self._context(call, shape.query, read_cache=shape.read_cache)
        header = call.header(b"if-none-match")
        tags = _tags(header, shape) if header else ()
        answer = self._service.cached(context, shape.query)
        if answer is None:
            if tags and shape.read_cache:
                tag = self._service.unchanged(context, shape.query, tags)
                if tag is not None:
                    return _unchanged(tag, shape), None
            answer = await call.until_gone(
                self._server_context.run(self._service.ask, context, shape.query), context.stop
            )
        shape.check(answer)
        if answer.etag in tags or (header or "").strip() == "*":
            return _unchanged(answer.etag, shape), answer
        return await self._reply(call, shape, answer), answer

    async def _reply(self, call: Call, shape: ShapedQuery, answer: Answer) -> Response:
        packed = "gzip" in (call.header(b"accept-encoding") or "") and shape.form in _TEXTS
        # A body that says it was not kept is made for one client and not kept either.
        key = f"{shape.key}{'-gzip' if packed else ''}"
        body = answer.forms.get(key) if answer.cached else None
        if body is None:
            if answer.table.num_rows * answer.table.num_columns <= _SMALL:
                body = self._form(shape, answer, key, packed=packed)
            else:
                body = await self._server_context.run(
                    lambda: self._form(shape, answer, key, packed=packed)
                )
        headers = [
            (b"etag", _etag(answer.etag, shape)),
            (b"cadran-total-rows", b"%d" % answer.table.num_rows),
            (b"cadran-like-for-like", b"true" if answer.like_for_like else b"false"),
        ]
        if answer.watermark:
            headers.append((b"cadran-watermark", instant(answer.watermark).encode()))
        if shape.form in ("csv", "csv-excel-fr"):  # the other forms hold it
            days = (f"{name}={day}" for name, day in answer.complete_through.items() if day)
            headers.append((b"cadran-complete-through", ", ".join(days).encode()))
            if answer.note:
                headers.append((b"cadran-note", quote(answer.note, safe=_PLAIN).encode()))
        if body[:2] == b"\x1f\x8b" and packed:
            headers.append((b"content-encoding", b"gzip"))
        if shape.form != "json":
            name = shape.query.saved_query or "-".join(answer.query.metrics[:3]) or "values"
            safe = "".join(
                letter if letter.isalnum() and letter.isascii() else "_" for letter in name
            )
            disposition = f'attachment; filename="{safe}.{shape.form.partition("-")[0]}"'
            headers.append((b"content-disposition", disposition.encode()))
        return response(body, MEDIA[shape.form], headers=headers)

    def _form(self, shape: ShapedQuery, answer: Answer, key: str, *, packed: bool) -> bytes:
        body = encoded(
            answer, shape.form, shape.part, most=self._most, lang=shape.lang,
            is_safe=shape.is_safe,
        )  # fmt: skip
        if shape.form == "json":
            body = finished(body, cached=answer.cached)
        if packed and len(body) >= _PACKED:
            body = gzip.compress(body, compresslevel=4, mtime=0)
        if (answer.cached or shape.form != "json") and len(body) <= _KEPT:
            answer.forms[key] = body
            self._service.weigh(answer)
        return body


def _etag(tag: str, shape: ShapedQuery) -> bytes:
    # Weak: the body also says whether it was kept, and may be packed.
    return f'W/"{tag}-{shape.key}"'.encode()


def _tags(header: str, shape: ShapedQuery) -> tuple[str, ...]:
    """The validators of answers that a client knows in this form."""
    ending = f"-{shape.key}"
    quoted = (item.strip().removeprefix("W/").strip('"') for item in header.split(","))
    return tuple(value[:_TAG] for value in quoted if value[_TAG:] == ending)


def _unchanged(tag: str, shape: ShapedQuery) -> Response:
    return response(b"", status=304, headers=[(b"etag", _etag(tag, shape))])


_EXPOSED = (
    b"etag, link, allow, retry-after, content-disposition, cadran-total-rows,"
    b" cadran-like-for-like, cadran-watermark, cadran-complete-through, cadran-note"
)
_EVERY = [
    (b"cache-control", b"private, no-cache"),
    (b"vary", b"Authorization, Accept, Accept-Encoding"),
    (b"x-content-type-options", b"nosniff"),
]


class Rest:
    """The ASGI application under `/api/v1`."""

    def __init__(self, server_context: ServerContext) -> None:
        """Know the operations of a server."""
        self._server_context = server_context
        self._query_handlers = QueryHandlers(server_context)
        self._handlers = _handlers(server_context, self._query_handlers)
        self._exact: dict[str, dict[str, Operation]] = {}
        self._patterns: list[tuple[re.Pattern[str], dict[str, Operation]]] = []
        templates: dict[str, dict[str, Operation]] = {}
        for operation in OPERATIONS:
            table = templates if "{" in operation.path else self._exact
            table.setdefault(operation.path, {})[operation.method] = operation
        for path, methods in templates.items():
            pattern = re.sub(r"\\\{(\w+)\\\}", r"(?P<\1>[^/]+)", re.escape(path))
            self._patterns.append((re.compile(pattern, re.DOTALL), methods))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        call = Call(scope, receive)
        try:
            reply = await self._answer(call)
        except ClientGoneError:
            return
        except Exception as error:  # noqa: BLE001 - every error becomes a problem
            reply = http.problem(problem_of(error, filtered=call.filtered))
        reply.raw_headers += _EVERY
        if self._server_context.settings.origins:
            reply.raw_headers += self._across(call)
        await reply(scope, receive, send)

    async def _answer(self, call: Call) -> Response:
        call.check_length()
        path = call.scope["path"].removeprefix(ROOT).rstrip("/")
        operation = self._operation(call.scope["method"], path, call)
        if operation is None:
            return self._options(path)
        if operation.method == "POST" and not operation.in_body:
            # With a body of JSON, a browser asks first whether the page may.
            self._refuse_foreign_page(call)
        self._refuse_linked_token(operation, call)
        call.caller = await self._allowed(operation, call)
        if operation.id in ("query", "query_body"):
            return await self._query_handlers.query(call, in_body=operation.in_body)
        if operation.in_body:
            call.request = from_json(operation.takes, http.json_document(await call.body()))
        else:
            also = (
                ("token",)
                if operation.is_file and self._server_context.settings.link_tokens
                else ()
            )
            pairs = http.pairs(call.link)
            for name, _ in pairs:
                if name in call.in_path:
                    raise QueryError(f"There is no parameter '{name}' here: it stands in the path.")
            pairs += call.in_path.items()
            call.request = from_link(operation.takes, pairs, also)
        return await self._handlers[operation.id](call)

    def _refuse_linked_token(self, operation: Operation, call: Call) -> None:
        """Say where a token belongs that stands in a link which takes none.

        Raises:
            UnauthenticatedError: so, where nobody is known by anything else.
            QueryError: so.
        """
        if b"token=" not in call.link or "token" not in dict(http.pairs(call.link)):
            return
        sentence = (
            "A token in the link ('token') is taken for the files of saved queries only"
            if not operation.is_file
            else "A token in the link ('token') is not taken here unless cadran_server.yml says"
            " link_tokens: true"
        )
        if operation.is_file and self._server_context.settings.link_tokens:
            return
        sentence += "; send it as the header Authorization: Bearer TOKEN."
        if self._server_context.who.open or call.header(b"authorization"):
            raise QueryError(sentence)
        raise UnauthenticatedError(sentence)

    def _operation(self, method: str, path: str, call: Call) -> Operation | None:
        """The operation that is meant; None for OPTIONS.

        Raises:
            RefusedError: there is none.
        """
        methods = self._methods(path, call)
        if method == "OPTIONS":
            return None
        operation = methods.get("GET" if method == "HEAD" else method)
        if operation is None:
            allowed = _allow(methods)
            raise RefusedError(
                405, "method-not-allowed",
                f"{ROOT}{path} does not take {method[:20]}; it takes {allowed}.",
                headers={"Allow": allowed},
            )  # fmt: skip
        return operation

    def _methods(self, path: str, call: Call | None = None) -> dict[str, Operation]:
        methods = self._exact.get(path)
        if methods is not None:
            return methods
        for pattern, operations in self._patterns:
            matched = pattern.fullmatch(path)
            if matched is not None:
                if call is not None:
                    call.in_path = matched.groupdict()
                return operations
        raise RefusedError(
            404, "not-found",
            f"There is nothing at {ROOT}{path[:200]}; {ROOT}/docs says what there is.",
        )  # fmt: skip

    def _options(self, path: str) -> Response:
        return response(b"", status=204, headers=[(b"allow", _allow(self._methods(path)).encode())])

    async def _allowed(self, operation: Operation, call: Call) -> Caller:
        authorization = call.header(b"authorization")
        linked = None
        if (
            operation.is_file
            and authorization is None
            and self._server_context.settings.link_tokens
        ):
            linked = dict(http.pairs(call.link)).get("token")
            authorization = f"Bearer {linked}" if linked else None
        if not operation.scope:
            return LOCAL
        caller = await self._server_context.identify(authorization)
        if operation.scope not in caller.scopes:
            raise NotAllowedError(
                f"The token of {caller.name} lacks the scope '{operation.scope}', which this needs."
            )
        if linked and "admin" in caller.scopes and not self._server_context.who.open:
            raise UnauthenticatedError(
                "A token in a link must not have the scope 'admin': others may see the link."
            )
        return caller

    def _refuse_foreign_page(self, call: Call) -> None:
        """Refuse what a page of another origin sends through the browser of who reads it.

        Raises:
            NotAllowedError: it is one.
        """
        origin, settings = call.header(b"origin"), self._server_context.settings
        site = call.header(b"sec-fetch-site") or "none"
        ours = f"{call.scope['scheme']}://{call.header(b'host')}"
        is_known = origin in (None, ours, *settings.origins)
        if not is_known or (origin is None and site not in ("none", "same-origin")):
            raise NotAllowedError(
                f"A page of {(origin or 'another origin')[:200]} may not do this: name it in the"
                " setting `origins` if it may."
            )

    def _across(self, call: Call) -> list[tuple[bytes, bytes]]:
        """Headers for pages of other origins, where the settings name them."""
        origins = self._server_context.settings.origins
        origin = call.header(b"origin")
        if origin is None or origin not in origins:
            return [(b"vary", b"Origin")]
        return [
            (b"access-control-allow-origin", origin.encode()),
            (b"access-control-allow-methods", b"GET, HEAD, POST, OPTIONS"),
            (b"access-control-allow-headers", b"authorization, content-type, if-none-match"),
            (b"access-control-expose-headers", _EXPOSED),
            (b"access-control-max-age", b"600"),
            (b"vary", b"Origin"),
        ]


def _allow(methods: dict[str, Operation]) -> str:
    names = {*methods, "OPTIONS"} | ({"HEAD"} if "GET" in methods else set())
    return ", ".join(sorted(names))


def _handlers(
    server_context: ServerContext, query_handlers: QueryHandlers
) -> dict[str, Callable[[Call], Awaitable[Response]]]:
    description, lists = Description(server_context), metadata.MetadataHandlers(server_context)
    return {
        "index": description.index, "openapi": description.openapi, "docs": description.page,
        "explorer": description.explorer,
        "kpis": lists.kpis, "kpi": lists.kpi, "metrics": lists.metrics,
        "dimensions": lists.dimensions, "saved_queries": lists.saved_queries,
        "values": lists.values, "refresh": lists.refresh, "impact": lists.impact,
        "notes": lists.notes, "note": lists.note,
        "saved_file": query_handlers.saved, "sql": query_handlers.sql,
        "sql_body": query_handlers.sql,
        "drivers": partial(query_handlers.analysis, work=analyses.drivers),
        "forecast": partial(query_handlers.analysis, work=analyses.forecast),
        "anomalies": partial(query_handlers.analysis, work=analyses.anomalies),
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


def routes(server_context: ServerContext) -> list[BaseRoute]:
    """Everything under `/api/v1`, with its own answers to what is not there."""
    return [_Below(ROOT, Rest(server_context))]

"""From a request to its reply; what goes wrong on the way becomes problem+json.

A cached answer leaves on the event loop, without a thread or a copy.
"""

from __future__ import annotations

import gzip
import re
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING

from starlette.routing import BaseRoute, Match

from cadran.access.caller import LOCAL, Caller
from cadran.core.query.request import ask
from cadran.errors import NotAllowedError, QueryError, UnauthenticatedError
from cadran.formats.encoding import json_text
from cadran.server import http, requests
from cadran.server.http import Call, GoneError, Reply
from cadran.server.operations import OPERATIONS
from cadran.server.problems import TITLES, Problem, RefusedError, problem_of
from cadran.server.rest import metadata
from cadran.server.rest.openapi import Description
from cadran.serving.response import MEDIA, PAGE_ROWS, Part, cursor, cursor_parts, encoded, finished
from cadran.serving.service import Asked

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from starlette.types import Receive, Scope, Send

    from cadran.core.query.request import Query
    from cadran.server.http import ServerContext
    from cadran.server.operations import Operation
    from cadran.server.requests import ShapedQueryRequest
    from cadran.serving.response import Answer, Served

_ANY = {"json": ("*/*", "application/*", "application/json")}
_ALSO = {
    "csv": ("text/csv", "text/*"),
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
    """

    query: Query
    form: str
    part: Part
    state: str = ""
    tag: str = ""
    lang: str = "en"
    read_cache: bool = True

    @property
    def key(self) -> str:
        """The name of its form among those kept with an answer."""
        return f"{self.form}-{self.part.offset}-{self.part.size or 'all'}-{self.lang}"

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
    made = ShapedQuery(
        request.query, form, Part(0, size), lang=request.lang, read_cache=request.read_cache
    )
    if request.cursor is None:
        return made
    state, tag, offset = cursor_parts(request.cursor)
    return replace(made, part=Part(offset, size), state=state, tag=tag)


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
_TEXTS = ("json", "csv")
_TAG = 32  # characters of the validator of an answer


class Asking:
    """Answers the operations that ask questions."""

    def __init__(self, house: ServerContext) -> None:
        """Take what answers."""
        self._house = house
        self._desk = house.desk
        self._most = house.settings.rows
        self._remembered = lru_cache(_REMEMBERED)(self._shaped)

    async def query(self, call: Call, *, in_body: bool) -> Reply:
        """The answer to a question, from a link or a body."""
        text = await call.body() if in_body else call.link
        read = self._remembered if len(text) <= _SHORT else self._shaped
        wanted = read(text, call.header(b"accept"), in_body)
        reply, answer = await self._answered(call, wanted)
        if answer is not None and not in_body:
            following = cursor(answer, wanted.part)
            if following is not None:
                reply.headers.append((b"link", http.next_link(call, following)))
        return reply

    async def saved(self, call: Call) -> Reply:
        """A saved query as a file."""
        given = call.asked.given
        name, form, lang = given.pop("name"), given.pop("format"), given.pop("lang", "en")
        query = ask(saved_query=name, **given)
        reply, _ = await self._answered(call, ShapedQuery(query, form, Part(), lang=lang))
        reply.headers.append((b"referrer-policy", b"no-referrer"))
        return reply

    async def sql(self, call: Call) -> Reply:
        """The SQL of a question."""
        query = call.asked.query
        asked = self._asked(call, query)
        sql = await self._house.run(self._desk.sql, asked, query)
        return Reply(json_text({"sql": sql}).encode())

    def _shaped(self, text: bytes, accept: str | None, in_body: bool) -> ShapedQuery:  # noqa: FBT001
        if in_body:
            request = requests.from_json(requests.ShapedQueryRequest, http.document(text))
        else:
            request = requests.from_link(requests.ShapedQueryRequest, http.pairs(text))
        return shaped(request, accept, self._most)

    def _asked(self, call: Call, query: Query, *, read_cache: bool = True) -> Asked:
        assert call.caller is not None  # noqa: S101 - every question has a scope
        call.filtered = bool(query.where)
        return Asked(call.caller, "rest", read_cache=read_cache)

    async def _answered(self, call: Call, wanted: ShapedQuery) -> tuple[Reply, Answer | None]:
        asked = self._asked(call, wanted.query, read_cache=wanted.read_cache)
        known = call.header(b"if-none-match")
        tags = _tags(known, wanted) if known else ()
        handed = self._desk.kept(asked, wanted.query)
        if handed is None:
            if tags and wanted.read_cache:
                tag = self._desk.unchanged(asked, wanted.query, tags)
                if tag is not None:
                    return _unchanged(tag, wanted), None
            handed = await call.until_gone(
                self._house.run(self._desk.ask, asked, wanted.query), asked.stop
            )
        answer = handed.answer
        wanted.check(answer)
        if answer.etag in tags:
            return _unchanged(answer.etag, wanted), answer
        return await self._reply(call, wanted, handed), answer

    async def _reply(self, call: Call, wanted: ShapedQuery, handed: Served) -> Reply:
        answer = handed.answer
        packed = "gzip" in (call.header(b"accept-encoding") or "") and wanted.form in _TEXTS
        # A body that says it was not kept is made for one client and not kept either.
        key = f"{wanted.key}{'-gzip' if packed else ''}"
        body = answer.forms.get(key) if handed.cached else None
        if body is None:
            if answer.table.num_rows * answer.table.num_columns <= _SMALL:
                body = self._form(wanted, handed, key, packed=packed)
            else:
                body = await self._house.run(lambda: self._form(wanted, handed, key, packed=packed))
        headers = [
            (b"etag", _etag(answer.etag, wanted)),
            (b"cadran-total-rows", b"%d" % answer.table.num_rows),
            (b"cadran-like-for-like", b"true" if answer.like_for_like else b"false"),
        ]
        if body[:2] == b"\x1f\x8b" and packed:
            headers.append((b"content-encoding", b"gzip"))
        if wanted.form != "json":
            name = wanted.query.saved_query or "-".join(answer.query.metrics[:3]) or "values"
            safe = "".join(
                letter if letter.isalnum() and letter.isascii() else "_" for letter in name
            )
            disposition = f'attachment; filename="{safe}.{wanted.form}"'
            headers.append((b"content-disposition", disposition.encode()))
        return Reply(body, MEDIA[wanted.form], headers=headers)

    def _form(self, wanted: ShapedQuery, handed: Served, key: str, *, packed: bool) -> bytes:
        answer = handed.answer
        body = encoded(answer, wanted.form, wanted.part, most=self._most, lang=wanted.lang)
        if wanted.form == "json":
            body = finished(body, cached=handed.cached)
        if packed and len(body) >= _PACKED:
            body = gzip.compress(body, compresslevel=4, mtime=0)
        if (handed.cached or wanted.form != "json") and len(body) <= _KEPT:
            answer.forms[key] = body
            self._desk.weigh(answer)
        return body


def _etag(tag: str, wanted: ShapedQuery) -> bytes:
    # Weak: the body also says whether it was kept, and may be packed.
    return f'W/"{tag}-{wanted.key}"'.encode()


def _tags(header: str, wanted: ShapedQuery) -> tuple[str, ...]:
    """The validators of answers that a client knows in this form."""
    ending = f"-{wanted.key}"
    quoted = (item.strip().removeprefix("W/").strip('"') for item in header.split(","))
    return tuple(one[:_TAG] for one in quoted if one[_TAG:] == ending)


def _unchanged(tag: str, wanted: ShapedQuery) -> Reply:
    return Reply(b"", status=304, headers=[(b"etag", _etag(tag, wanted))])


ROOT = "/api/v1"
_EVERY = [
    (b"cache-control", b"private, no-cache"),
    (b"vary", b"Authorization, Accept, Accept-Encoding"),
    (b"x-content-type-options", b"nosniff"),
]


class Rest:
    """The ASGI application under `/api/v1`."""

    def __init__(self, house: ServerContext) -> None:
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


def _handlers(
    house: ServerContext, asking: Asking
) -> dict[str, Callable[[Call], Awaitable[Reply]]]:
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


def routes(house: ServerContext) -> list[BaseRoute]:
    """Everything under `/api/v1`, with its own answers to what is not there."""
    return [_Below(ROOT, Rest(house))]

"""The board over HTTP: pages under the reader's rights, a stream that tells when they moved.

A browser signs in with a token, which is then kept in a cookie that scripts cannot read and that
forms of other sites do not carry; a page asks for nothing that its reader's token may not ask.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import time
from collections import Counter
from dataclasses import dataclass, replace
from functools import cache, partial
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from starlette.responses import RedirectResponse, Response, StreamingResponse
from starlette.routing import Route

from cadran.core import journal
from cadran.core.project import names
from cadran.core.recent import Recent
from cadran.errors import (
    CadranError,
    ClosingError,
    NotAllowedError,
    StoppedError,
    UnauthenticatedError,
    UnknownNameError,
)
from cadran.formats.words import sentences
from cadran.governance.notes import Remark, due_of
from cadran.insight import service_levels
from cadran.insight.readings import MOST_KEPT, Reader
from cadran.insight.view import View
from cadran.insight.wording import Words
from cadran.server.browsers import HEADERS, form_of, html, is_own, language, own_path
from cadran.server.packs import Packs
from cadran.server.problems import problem_of
from cadran.server.sign_in import SignIn, to_sign_in
from cadran.serving import notes
from cadran.serving.service import WARM_UP, RequestContext
from cadran.web import pages
from cadran.web.render import asset, rendered, style

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Hashable

    from starlette.requests import Request

    from cadran.access.caller import Caller
    from cadran.core.query.request import Query
    from cadran.core.result import Rows
    from cadran.server.http import ServerContext
    from cadran.web.pages import Page

_LOG = logging.getLogger("cadran.server")
_FIRST = ("", "kpis", "levels", "impact")  # pages that most readers open first
_HEARTBEAT = 15.0  # seconds
_LOOK = 0.25  # seconds between two looks at what moved
_APART = 1.0  # seconds between two changes that are told, and for which live facts are kept
_MOST_STREAMS = 200
_MOST_OF_ONE = 20  # streams of one caller, so that none shuts the others out
_MOST_BYTES = 20_000_000  # of pages that are kept
_KEPT = 60.0  # seconds for which a page is kept: "late" and "so far" go on with the clock
_NOTE = ("kpi", "period", "text", "cause", "action", "owner", "incident")
_MONTH = 30 * 86400
_MEDIA = {"css": "text/css", "js": "text/javascript"}


def routes(server_context: ServerContext) -> list[Route]:
    """The pages, their assets, the stream, and signing in and out."""
    board = Board(server_context)
    server_context.warmers.append(board.warm)
    return [
        Route("/board/assets/{digest}/{name}", board.asset),
        Route("/board/events", board.events),
        *board.sign_in.routes(),
        Route("/board/notes", board.note, methods=["POST"]),
        Route("/board/pack.{form:str}", board.pack),
        Route("/board", board.page),
        Route("/board/{path:path}", board.page),
    ]


@dataclass(frozen=True, slots=True)
class _Page:
    """A page as it was made: its text, of which data, from which metrics, when."""

    text: str
    mark: str
    metrics: tuple[str, ...]
    at: float


class Board:
    """Answers what browsers ask of the board."""

    def __init__(self, server_context: ServerContext) -> None:
        """Take what answers questions."""
        self._server_context = server_context
        self.sign_in = SignIn(server_context)
        self._packs = Packs(server_context.service, server_context.ending)
        self._streams: Counter[str] = Counter()
        self._pages: Recent[_Page] = Recent(_MOST_BYTES, lambda page: len(page.text))
        self._of_state: tuple[str, Recent[tuple[Any]]] = "", Recent(MOST_KEPT)
        self._facts_at = -_APART
        self._of_build: tuple[str, Recent[tuple[float, Any]]] = "", Recent(MOST_KEPT)

    async def asset(self, request: Request) -> Response:
        """A file of the pages, under the name of its content."""
        name = request.path_params["name"]
        if name not in {"shell.css", "board.js"} or style(name) != request.url.path:
            return Response(status_code=404)
        headers = {"cache-control": f"public, max-age={_MONTH}, immutable"}
        return Response(asset(name), media_type=_MEDIA[name.rpartition(".")[2]], headers=headers)

    async def page(self, request: Request) -> Response:
        """A page, or the way to sign in."""
        lang = language(request)
        try:
            caller = await self.sign_in.caller(request)
        except UnauthenticatedError:
            return to_sign_in(request)
        try:
            response = self._kept_page(request, caller, lang)
            if response is None:
                response = await self._server_context.run(self._page, request, caller, lang)
        except CadranError as problem:
            response = self._refused(problem, View(lang=lang))
        return response

    async def pack(self, request: Request) -> Response:
        """The board pack of a period as a file, or why there is none."""
        lang = language(request)
        try:
            caller = await self.sign_in.caller(request)
        except UnauthenticatedError:
            return to_sign_in(request)
        form, period = request.path_params["form"], request.query_params.get("period", "")
        try:
            file = await self._packs.file(caller, period, lang, form)
        except Exception as problem:  # noqa: BLE001 - told on a page, recorded under a number
            return self._refused(problem, View(lang=lang))
        headers = {**HEADERS, "content-disposition": f'attachment; filename="{file.name}"'}
        return Response(file.content, media_type=file.media, headers=headers)

    def _key(self, request: Request, caller: Caller, lang: str) -> Hashable:
        edition = self._server_context.service.gate.edition
        return caller, edition, request.url.path, request.url.query, lang

    def _kept_page(self, request: Request, caller: Caller, lang: str) -> Response | None:
        """The page as the same caller had it of the same data; None where there is none.

        It is recorded as shown again, and spends of what the caller may ask.
        """
        kept = self._pages.get(self._key(request, caller, lang))
        if kept is None or kept.mark != self._mark() or time.monotonic() - kept.at > _KEPT:
            return None
        context = RequestContext(caller, "board")
        self._server_context.service.shown(context, kept.metrics)
        return html(kept.text, 200)

    def _page(self, request: Request, caller: Caller, lang: str) -> Response:
        key, mark = self._key(request, caller, lang), self._mark()
        asked: dict[str, None] = {}
        parameters = parse_qsl(request.url.query, keep_blank_values=True)
        view = View(lang=lang)
        service = self._server_context.service
        context = RequestContext(caller, "board", is_page=True)
        try:
            view = View.read(parameters, lang)
            path, question = request.path_params.get("path", ""), dict(parameters).get("q", "")
            page, words = self._made(context, view, path, question, asked)
            text = rendered(
                page.template, words, view=view, pages=pages.NAVIGATION, here=page.here,
                path=request.url.path, events="/board/events",
                signed_in=not self._server_context.who.open,
                writes=notes.SCOPE in caller.scopes, **page.content,
            )  # fmt: skip
        except Exception as problem:  # noqa: BLE001 - told on a page, recorded under a number
            return self._refused(problem, view)
        if not asked:  # service levels and incidents are read beside the layer
            service.shown(context, (), is_counted=True)
        if self._of_state[0] == mark and service.snapshots.current.hot is None:
            self._pages.put(key, _Page(text, mark, tuple(asked), time.monotonic()))
        return html(text, 200)

    def _made(
        self, context: RequestContext, view: View, path: str, question: str, asked: dict[str, None]
    ) -> tuple[Page, Words]:
        """What a page holds, and its words; the metrics that it takes are added to `asked`."""
        service = self._server_context.service
        facts = self._facts()  # before the data are taken: newer ones may be kept as older
        with service.source(context) as source:
            answer = source.answer

            def noted(query: Query) -> Rows:
                if context.protocol == WARM_UP and self._server_context.ending.is_set():
                    raise StoppedError("The server ends.")
                asked.update(dict.fromkeys(query.metrics))
                return answer(query)

            source = replace(source, answer=noted)  # noqa: PLW2901 - the same, with notes
            whole = cache(partial(service.sees_whole, context.caller))
            is_live = service.snapshots.current.hot is not None
            reader = Reader(source, view, whole, *facts, is_live=is_live)
            words = Words(
                view.lang,
                service_levels.zone(reader),
                more=names.words(source.layer.project.root, view.lang),
            )
            alerts = self._server_context.alerts
            return pages.page(path, reader, words, question=question, alerts=alerts), words

    def warm(self) -> None:
        """Read beforehand what the first pages show, for each set of rights."""
        for caller in self._server_context.service.gate.everyone():
            for path in _FIRST:
                try:
                    self._made(RequestContext(caller, WARM_UP), View(), path, "", {})
                except (StoppedError, ClosingError):
                    return
                except CadranError as problem:
                    _LOG.warning("warm-up of /board/%s: %s", path, problem)

    def _facts(self) -> tuple[Recent[tuple[Any]], Recent[tuple[float, Any]]]:
        """What was read of the state that the data is in now, and what took long of the build."""
        mark = self._mark()
        if self._of_state[0] != mark and time.monotonic() - self._facts_at >= _APART:
            self._of_state, self._facts_at = (mark, Recent(MOST_KEPT)), time.monotonic()
        build = str(self._server_context.service.snapshots.current.id)
        if self._of_build[0] != build:
            self._of_build = build, Recent(MOST_KEPT)
        return self._of_state[1], self._of_build[1]

    def _refused(self, problem: Exception, view: View) -> Response:
        fault = problem_of(problem)
        is_missing = isinstance(problem, UnknownNameError)
        words = Words(view.lang)
        error = problem if isinstance(problem, CadranError) else CadranError()
        sentence, detail = sentences(error, fault.kind, fault.sentence, view.lang)
        text = rendered(
            "refused.html", words, view=view, pages=pages.NAVIGATION, here="", path="/board",
            events="", until=None, signed_in=False, sentence=sentence, detail=detail,
            title=words("not_there" if is_missing else "refused"),
        )  # fmt: skip
        return html(text, fault.status, fault.headers)

    async def note(self, request: Request) -> Response:
        """Keep a note that a reader wrote on a page, and go back there."""
        lang = language(request)
        try:
            caller = await self.sign_in.caller(request)
        except UnauthenticatedError:
            return RedirectResponse("/board/sign-in", 303)
        if not is_own(request):
            foreign = NotAllowedError("A note is written on a page of this site.")
            return self._refused(foreign, View(lang=lang))
        try:
            form = await form_of(request)
            texts = {name: form.get(name, "") for name in _NOTE}
            remark = Remark(**texts, due=due_of(form.get("due", "")))
            context = RequestContext(caller, "board")
            service = self._server_context.service
            await self._server_context.run(notes.add, service, context, remark)
        except Exception as problem:  # noqa: BLE001 - told on a page, recorded under a number
            return self._refused(problem, View(lang=lang))
        return RedirectResponse(f"{own_path(form.get('to', ''))}#notes", 303)

    async def events(self, request: Request) -> Response:
        """A stream that says when what pages show may have moved; it carries no figure."""
        try:
            caller = await self.sign_in.caller(request)
        except UnauthenticatedError:
            return Response(status_code=401)
        is_known = not self._server_context.who.open
        if self._streams.total() >= _MOST_STREAMS or (
            is_known and self._streams[caller.name] >= _MOST_OF_ONE
        ):
            return Response(status_code=503, headers={"retry-after": "30"})
        headers = {**HEADERS, "x-accel-buffering": "no"}
        return StreamingResponse(
            self._told(request, caller.name), media_type="text/event-stream", headers=headers
        )

    async def _told(self, request: Request, name: str) -> AsyncIterator[str]:
        self._streams[name] += 1
        try:
            mark = self._mark()
            yield f"retry: 3000\nevent: hello\nid: {mark}\ndata: {mark}\n\n"
            if request.headers.get("last-event-id") not in {None, mark}:
                yield f"event: changed\nid: {mark}\ndata: {mark}\n\n"
            quiet = _APART
            while not self._server_context.ending.is_set():
                await asyncio.sleep(_LOOK)
                now = self._mark()
                quiet += _LOOK
                if now != mark and quiet >= _APART:
                    mark, quiet = now, 0.0
                    yield f"event: changed\nid: {mark}\ndata: {mark}\n\n"
                elif quiet >= _HEARTBEAT:
                    quiet = 0.0
                    yield ": still here\n\n"
        finally:
            self._streams[name] -= 1

    def _mark(self) -> str:
        """What stands for all that pages show: the build, the live rows, the alerts, the notes."""
        state = self._server_context.service.snapshots.current
        turn = max(state.moves.values(), default=0)
        alerts = self._server_context.alerts
        said = journal.mark(state.layer.project.root, "notes")
        mark = f"{state.id}-{turn}-{alerts.number if alerts else 0}-{said}"
        return hashlib.sha256(mark.encode()).hexdigest()[:16]

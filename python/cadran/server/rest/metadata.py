"""What there is to ask, over REST: KPIs, metrics, dimensions, saved queries and values."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from cadran.errors import QueryError
from cadran.formats.encoding import json_text
from cadran.governance.notes import Remark, due_of
from cadran.insight import impact
from cadran.insight.search import search
from cadran.server.http import conditional, next_link, response
from cadran.server.problems import RefusedError
from cadran.serving import notes
from cadran.serving.analyses import impact_rows
from cadran.serving.metadata import about
from cadran.serving.response import MEDIA, cursor_parts
from cadran.serving.service import RequestContext

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.responses import Response

    from cadran.access.caller import Caller
    from cadran.server.http import Call, ServerContext

_PAGE = 1000


class MetadataHandlers:
    """Answers the operations that list."""

    def __init__(self, server_context: ServerContext) -> None:
        """Take what knows."""
        self._server_context = server_context
        self._service = server_context.service

    async def kpis(self, call: Call) -> Response:
        """The cards, whole."""
        request = call.request
        tier, scope = request.tier, request.scope

        def work(caller: Caller) -> list[dict[str, Any]]:
            cards = self._service.kpis(caller)
            if request.search is not None:
                cards = [match.card for match in search(cards, request.search, len(cards))]
            return [
                card.to_dict(request.lang)
                for card in cards
                if tier in (None, card.tier) and scope in (None, card.scope)
            ]

        return await self._items(call, "kpis", work)

    async def kpi(self, call: Call) -> Response:
        """One KPI in full."""
        request = call.request
        payload = await self._server_context.run(
            about, self._service, call.caller, request.name, request.lang
        )
        return conditional(call, json_text(payload).encode())

    async def metrics(self, call: Call) -> Response:
        """The metrics."""
        return await self._items(call, "metrics", self._service.metrics)

    async def dimensions(self, call: Call) -> Response:
        """What metrics can be grouped by together."""
        metrics = call.request.metrics
        return await self._items(
            call, "dimensions", lambda caller: self._service.dimensions(caller, metrics)
        )

    async def saved_queries(self, call: Call) -> Response:
        """The saved queries, each with its question and its links."""

        def work(caller: Caller) -> list[dict[str, Any]]:
            entries = []
            for saved in self._service.saved_queries(caller):
                query = saved["query"]
                entries.append(
                    {
                        "name": saved["name"], "label": saved["label"],
                        "description": saved["description"],
                        "metrics": list(query.metrics),
                        "group_by": [group.column for group in query.group_by],
                        "links": {
                            form: f"/api/v1/saved-queries/{saved['name']}.{form}" for form in MEDIA
                        },
                    }
                )  # fmt: skip
            return entries

        return await self._items(call, "saved_queries", work)

    async def values(self, call: Call) -> Response:
        """The values of a dimension."""
        dimension, metrics = call.request.dimension, call.request.metrics
        context = RequestContext(_caller(call), "rest")
        values = await call.until_gone(
            self._server_context.run(self._service.values, context, dimension, metrics),
            context.stop,
        )
        payload = {"dimension": dimension, "metrics": list(metrics)}
        return self._page(call, "values", values, payload)

    async def impact(self, call: Call) -> Response:
        """What incidents cost."""
        context = RequestContext(_caller(call), "rest")
        asked = call.request.model_dump(exclude={"page_size", "cursor"})
        rows = await call.until_gone(
            self._server_context.run(impact_rows, self._service, context, asked), context.stop
        )
        return self._page(call, "impact", rows, {"method": impact.METHOD, "asked": asked})

    async def notes(self, call: Call) -> Response:
        """What people said about a KPI."""
        context = RequestContext(_caller(call), "rest")
        kpi, period = call.request.kpi, call.request.period
        noted = await self._server_context.run(notes.notes, self._service, context, kpi, period)
        items = [note.to_dict() for note in noted]
        return self._page(call, "notes", items, {})

    async def note(self, call: Call) -> Response:
        """Say something about a KPI and a period."""
        fields = call.request.model_dump()
        remark = Remark(**{**fields, "due": due_of(fields["due"] or "")})
        context = RequestContext(_caller(call), "rest")
        note = await self._server_context.run(notes.add, self._service, context, remark)
        return response(json_text(note.to_dict()).encode())

    async def refresh(self, _: Call) -> Response:
        """Take over a new build."""
        snapshots = self._service.snapshots
        moved = await self._server_context.run(lambda: snapshots.refresh(force=True))
        return response(json_text({"refreshed": moved, "state": snapshots.current.id}).encode())

    async def _items(
        self, call: Call, name: str, work: Callable[[Caller], list[dict[str, Any]]]
    ) -> Response:
        return self._page(call, name, await self._server_context.run(work, _caller(call)), {})

    def _page(self, call: Call, name: str, items: list[Any], payload: dict[str, Any]) -> Response:
        size, state = call.request.page_size or _PAGE, self._service.snapshots.current.id
        offset, tag = 0, hashlib.sha256(f"{name} {payload}".encode()).hexdigest()[:16]
        if call.request.cursor is not None:
            of, its_tag, offset = cursor_parts(call.request.cursor)
            if of != state:
                raise RefusedError(
                    410, "gone",
                    "The definitions were replaced since the page before: begin again without"
                    " cursor.",
                )  # fmt: skip
            if its_tag != tag:
                raise QueryError("The cursor belongs to another list: repeat that one with it.")
        end = offset + size
        paging: dict[str, Any] = {
            "page_size": size, "offset": offset, "rows": len(items[offset:end]),
            "total_rows": len(items),
            "next_cursor": f"{state}.{tag}.{end}" if end < len(items) else None,
            "most_rows_of_a_page": _PAGE,
        }  # fmt: skip
        meta = {"state": state, "paging": paging}
        payload |= {name: items[offset:end], "meta": meta}
        reply = conditional(call, json_text(payload).encode())
        if paging["next_cursor"]:
            reply.raw_headers.append((b"link", next_link(call, paging["next_cursor"])))
        return reply


def _caller(call: Call) -> Caller:
    assert call.caller is not None  # noqa: S101 - every operation here has a scope
    return call.caller

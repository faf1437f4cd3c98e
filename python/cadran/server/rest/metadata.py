"""What there is to ask, over REST: KPIs, metrics, dimensions, saved queries and values."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from cadran.errors import QueryError
from cadran.formats.encoding import json_text
from cadran.server.http import Reply, next_link
from cadran.server.problems import RefusedError
from cadran.serving.metadata import about
from cadran.serving.response import MEDIA, cursor_parts
from cadran.serving.service import Asked

if TYPE_CHECKING:
    from collections.abc import Callable

    from cadran.access.caller import Caller
    from cadran.server.http import Call, ServerContext

_PAGE = 1000


class Listing:
    """Answers the operations that list."""

    def __init__(self, house: ServerContext) -> None:
        """Take what knows."""
        self._house = house
        self._desk = house.desk

    async def kpis(self, call: Call) -> Reply:
        """The cards, whole."""
        asked = call.asked
        tier, scope = asked.tier, asked.scope

        def work(caller: Caller) -> list[dict[str, Any]]:
            return [
                card.to_dict(asked.lang)
                for card in self._desk.kpis(caller)
                if tier in (None, card.tier) and scope in (None, card.scope)
            ]

        return await self._items(call, "kpis", work)

    async def kpi(self, call: Call) -> Reply:
        """One KPI in full."""
        asked = call.asked
        told = await self._house.run(about, self._desk, call.caller, asked.name, asked.lang)
        return _reply(call, told)

    async def metrics(self, call: Call) -> Reply:
        """The metrics."""
        return await self._items(call, "metrics", self._desk.metrics)

    async def dimensions(self, call: Call) -> Reply:
        """What metrics can be grouped by together."""
        metrics = call.asked.metrics
        return await self._items(
            call, "dimensions", lambda caller: self._desk.dimensions(caller, metrics)
        )

    async def saved_queries(self, call: Call) -> Reply:
        """The saved queries, each with its question and its links."""

        def work(caller: Caller) -> list[dict[str, Any]]:
            found = []
            for saved in self._desk.saved_queries(caller):
                query = saved["query"]
                found.append(
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
            return found

        return await self._items(call, "saved_queries", work)

    async def values(self, call: Call) -> Reply:
        """The values of a dimension."""
        dimension, metrics = call.asked.dimension, call.asked.metrics
        asked = Asked(_caller(call), "rest")
        found = await call.until_gone(
            self._house.run(self._desk.values, asked, dimension, metrics), asked.stop
        )
        told = {"dimension": dimension, "metrics": list(metrics)}
        return self._page(call, "values", found, told)

    async def refresh(self, _: Call) -> Reply:
        """Take over a new build."""
        states = self._desk.states
        moved = await self._house.run(lambda: states.refresh(force=True))
        return Reply(json_text({"refreshed": moved, "state": states.current.id}).encode())

    async def _items(
        self, call: Call, name: str, work: Callable[[Caller], list[dict[str, Any]]]
    ) -> Reply:
        return self._page(call, name, await self._house.run(work, _caller(call)), {})

    def _page(self, call: Call, name: str, items: list[Any], told: dict[str, Any]) -> Reply:
        size, state = call.asked.page_size or _PAGE, self._desk.states.current.id
        offset, tag = 0, hashlib.sha256(f"{name} {told}".encode()).hexdigest()[:16]
        if call.asked.cursor is not None:
            of, its_tag, offset = cursor_parts(call.asked.cursor)
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
        reply = _reply(call, {**told, name: items[offset:end], "meta": meta})
        if paging["next_cursor"]:
            reply.headers.append((b"link", next_link(call, paging["next_cursor"])))
        return reply


def _caller(call: Call) -> Caller:
    assert call.caller is not None  # noqa: S101 - every operation here has a scope
    return call.caller


def _reply(call: Call, told: dict[str, Any]) -> Reply:
    """A reply with a validator of its bytes; nothing but the validator where the client has it."""
    body = json_text(told).encode()
    tag = f'W/"{hashlib.sha256(body).hexdigest()[:32]}"'.encode()
    known = (call.header(b"if-none-match") or "").encode("latin-1")
    if tag in known:
        return Reply(b"", status=304, headers=[(b"etag", tag)])
    return Reply(body, headers=[(b"etag", tag)])

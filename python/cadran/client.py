"""A layer that is served elsewhere: the same questions and the same answers, over HTTP.

layer = cadran.connect("https://kpi.example.com", token=...)
layer.query(["net_revenue"], group_by=["metric_time__month"]).to_pandas()
"""

from __future__ import annotations

import datetime as dt
import io
import json
import os
import time
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NoReturn, Self

from cadran.core.project import cards
from cadran.core.query.request import GroupBy, Query, ask
from cadran.core.result import Break, Result, Told
from cadran.errors import (
    CadranError,
    ClosingError,
    LimitError,
    NotAllowedError,
    NotGovernedError,
    QueryError,
    ServiceError,
    StoppedError,
    UnauthenticatedError,
    UnknownNameError,
    WarehouseError,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    import httpx

    from cadran.core.project.cards import Card

_ROOT = "/api/v1"
_TOKEN = "CADRAN_TOKEN"  # noqa: S105 - the name of a variable, as the command line reads it
_RETRIED = (429, 503)
_TYPES = ("application/json", "application/vnd.apache.arrow.stream")
_LONGEST_WAIT = 30.0  # seconds that one Retry-After is heeded
_ERRORS: dict[str, type[CadranError]] = {
    "unauthenticated": UnauthenticatedError, "not-allowed": NotAllowedError,
    "not-governed": NotGovernedError, "bad-question": QueryError, "bad-request": QueryError,
    "too-long": QueryError, "too-large": LimitError, "stopped": StoppedError,
    "unavailable": WarehouseError, "misdirected": ServiceError,
}  # fmt: skip


class RemoteLayer:
    """The layer of a server. Thread-safe, as `Layer` is; used in `with`, it lets go at the end."""

    def __init__(
        self,
        url: str,
        *,
        token: str | None = None,
        timeout: float = 60.0,
        retries: int = 3,
        ca: Path | str | None = None,
    ) -> None:
        """Take an address; nothing is asked yet. The arguments are those of `connect`.

        Raises:
            ImportError: httpx is not installed.
            QueryError: the address is none of HTTP.
        """
        try:
            import httpx
        except ImportError:
            raise ImportError(
                "connect needs httpx: install it with `pip install 'cadran[client]'`."
            ) from None
        address = url.rstrip("/").removesuffix(_ROOT)
        if not address.startswith(("http://", "https://")):
            raise QueryError(
                f"The address is '{url}'; it takes one such as https://kpi.example.com."
            )
        self.url = address
        self._retries, self._timeout = retries, timeout
        bearer = token or os.environ.get(_TOKEN)
        headers = {"authorization": f"Bearer {bearer}"} if bearer else {}
        verify: Any = True
        if ca is not None:
            import ssl

            verify = ssl.create_default_context(cafile=str(ca))
        self._cards: tuple[str, dict[str, Card]] = "", {}
        self._client = httpx.Client(timeout=timeout, headers=headers, verify=verify)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<RemoteLayer {self.url}>"

    def close(self) -> None:
        """Let go of the connections."""
        self._client.close()

    def query(  # noqa: PLR0913, PLR0917 - the arguments of `Layer.query`
        self,
        metrics: str | Iterable[str] = (),
        group_by: str | GroupBy | Iterable[str | GroupBy] = (),
        where: str | Iterable[str] = (),
        order_by: str | Iterable[str] = (),
        limit: int | None = None,
        start: str | dt.date | None = None,
        end: str | dt.date | None = None,
        *,
        saved_query: str | None = None,
        known_at: str | dt.date | None = None,
        view: str | None = None,
        version: int | None = None,
        complete: bool = False,
        compare: str | None = None,
    ) -> Result:
        """The answer to a question; the arguments are those of `Layer.query`.

        What only the owner of a project may ask, such as a metric outside its card, is not among
        them: a server answers as its cards and its policy allow.

        Raises:
            CadranError: as `Layer.query`, in the same sentences; and what a server refuses besides:
                `UnauthenticatedError`, `NotAllowedError`, `LimitError`.
            ServiceError: the server cannot be reached, or does not answer in time.
        """
        query = ask(
            metrics, group_by, where, order_by, limit, start, end, saved_query=saved_query,
            known_at=known_at, view=view, version=version, complete=complete, compare=compare,
        )  # fmt: skip
        reply = self._ask("POST", "/query", json=_body(query) | {"format": "arrow"})
        with _reading(self.url):
            return self._result(query, reply.content)

    def sql(self, *args: Any, **kwargs: Any) -> str:
        """The SQL of a question as it would run for this caller; takes the arguments of `query`.

        Raises:
            CadranError: as `query`.
        """
        return self._compiled(ask(*args, **kwargs))

    def kpis(self) -> list[Card]:
        """The cards that the caller may see, strategic ones first, then by name."""
        entries = self._items("kpis")
        with _reading(self.url):
            return [cards.restored(content) for content in entries]

    def card(self, name: str) -> Card:
        """The card of one KPI.

        Raises:
            UnknownNameError: there is no such KPI, or not for this caller.
        """
        about = self._about(name)
        with _reading(self.url):
            return cards.restored(about["kpi"])

    def is_kpi(self, name: str) -> bool:
        """Whether a metric has a card that the caller may see."""
        metrics = self.metrics()
        with _reading(self.url):
            return any(metric["name"] == name and metric["is_kpi"] for metric in metrics)

    def versions(self, kpi: str) -> list[dict[str, Any]]:
        """What the records say of each version of a KPI.

        Raises:
            UnknownNameError: there is no such KPI, or not for this caller.
        """
        return self._listed_about(kpi, "versions")

    def targets(self, kpi: str) -> list[dict[str, Any]]:
        """What was set for a KPI, by period.

        Raises:
            UnknownNameError: there is no such KPI, or not for this caller.
        """
        return self._listed_about(kpi, "targets")

    def metrics(self) -> list[dict[str, Any]]:
        """Every metric that is not hidden: name, label, description, type and whether a KPI."""
        return self._items("metrics")

    def dimensions(self, metrics: str | Iterable[str] = ()) -> list[dict[str, Any]]:
        """What all these metrics can be grouped by: name, type and description.

        Raises:
            UnknownNameError: a metric does not exist.
        """
        return self._items("dimensions", metrics=_names(metrics))

    def saved_queries(self) -> list[dict[str, Any]]:
        """Every saved query: name, label and description."""
        names = ("name", "label", "description")
        entries = self._items("saved_queries")
        with _reading(self.url):
            return [{name: saved[name] for name in names} for saved in entries]

    def dimension_values(self, dimension: str, metrics: str | Iterable[str] = ()) -> list[Any]:
        """The values of a dimension as far as the metrics have them, sorted, without NULL.

        Raises:
            UnknownNameError: the metrics have no such dimension.
            NotGovernedError: it is not on the card of a KPI among them.
        """
        table = self.query(metrics, [dimension]).to_arrow()
        return sorted({value for value in table.column(0).to_pylist() if value is not None})

    def complete_through(self, name: str) -> dt.date | None:
        """The last day that is whole in every source of a metric; None when they are empty.

        Raises:
            UnknownNameError: there is no such metric.
        """
        return self.query([name], limit=0).complete_through.get(name)

    def _compiled(self, query: Query) -> str:
        reply = self._ask("POST", "/sql", json=_body(query))
        with _reading(self.url):
            return str(reply.json()["sql"])

    def _about(self, kpi: str) -> dict[str, Any]:
        from urllib.parse import quote

        reply = self._ask("GET", f"/kpis/{quote(kpi, safe='')}")
        with _reading(self.url):
            content: dict[str, Any] = reply.json()
            return content

    def _listed_about(self, kpi: str, what: str) -> list[dict[str, Any]]:
        about = self._about(kpi)
        with _reading(self.url):
            entries: list[dict[str, Any]] = about[what]
            return entries

    def _items(self, name: str, **parameters: str | None) -> list[Any]:
        """A list, whole, however many pages it has."""
        items: list[Any] = []
        cursor: str | None = None
        while True:
            link = {k: v for k, v in (parameters | {"cursor": cursor}).items() if v}
            reply = self._ask("GET", f"/{name.replace('_', '-')}", params=link)
            with _reading(self.url):
                payload = reply.json()
                items += payload[name]
                cursor = payload["meta"]["paging"]["next_cursor"]
            if cursor is None:
                return items

    def _result(self, query: Query, content: bytes) -> Result:
        import pyarrow as pa

        table = pa.ipc.open_stream(io.BytesIO(content)).read_all()
        about = json.loads(table.schema.metadata.pop(b"cadran"))
        table = table.replace_schema_metadata(None)
        if query.saved_query is not None:
            query = self._written_out(query)
        days = {
            name: dt.date.fromisoformat(day) if day else None
            for name, day in about["complete_through"].items()
        }
        by_name = self._cards_at(about["state"].partition("-")[0]) if about["units"] else {}
        result = Result(
            table, lambda: self._compiled(query), query,
            {name: by_name[name] for name in about["units"] if name in by_name},
            governed=about["governed"],
            history=Told(
                {name: tuple(numbers) for name, numbers in about["versions"].items()},
                tuple(map(_break, about["breaks"])),
            ),
            note=about["note"],
            watermark=dt.datetime.fromisoformat(about["watermark"])
            if about.get("watermark") else None,
            reach=days.get if days else None,
        )  # fmt: skip
        # The server's note holds what the running period needs; the result tells it by itself.
        result.note = result.note.replace(result.running_note, "").strip()
        return result

    def _cards_at(self, state: str) -> dict[str, Card]:
        """The cards by name, which are read once for each state of the data."""
        if self._cards[0] != state:
            self._cards = state, {card.name: card for card in self.kpis()}
        return self._cards[1]

    def _written_out(self, query: Query) -> Query:
        """A question with the metrics and groups of its saved query."""
        saved = {entry["name"]: entry for entry in self._items("saved_queries")}
        entry = saved.get(query.saved_query or "", {"metrics": (), "group_by": ()})
        groups = map(GroupBy, entry["group_by"])
        return replace(
            query,
            metrics=tuple(dict.fromkeys([*entry["metrics"], *query.metrics])),
            group_by=tuple(dict.fromkeys([*groups, *query.group_by])),
        )

    def _ask(self, method: str, path: str, **request: Any) -> httpx.Response:
        """The reply to a request, asked again where the server says when.

        Raises:
            CadranError: what the server refuses, by its own sentence.
            ServiceError: it cannot be reached, does not answer in time, or is no such server.
        """
        import httpx

        for attempt in range(self._retries + 1):
            try:
                reply = self._client.request(method, f"{self.url}{_ROOT}{path}", **request)
            except httpx.TimeoutException:
                raise ServiceError(
                    f"{self.url} did not answer within {self._timeout:g} seconds: ask for less, or"
                    " connect with a longer timeout."
                ) from None
            except httpx.HTTPError as problem:
                raise ServiceError(f"{self.url} cannot be reached: {problem}.") from None
            wait = reply.headers.get("retry-after", "")
            if reply.status_code not in _RETRIED or attempt == self._retries or not wait.isdigit():
                break
            if float(wait) > _LONGEST_WAIT:
                break
            time.sleep(float(wait))
        if reply.status_code >= httpx.codes.BAD_REQUEST:
            _refuse(reply, self.url)
        kind = reply.headers.get("content-type", "").partition(";")[0].strip().lower()
        if not reply.is_success or kind not in _TYPES:
            place = reply.headers.get("location")
            what = f"sends on to {place}" if place else f"answered {kind or 'nothing'}"
            raise ServiceError(
                f"{self.url} {what}, not JSON or Arrow: is it the address of a server of Cadran?"
            )
        return reply


def connect(
    url: str,
    *,
    token: str | None = None,
    timeout: float = 60.0,
    retries: int = 3,
    ca: Path | str | None = None,
) -> RemoteLayer:
    """The layer of a server, which `cadran serve` runs; nothing is asked yet.

    Args:
        url: its address, such as https://kpi.example.com.
        token: says who asks; by default that of the variable `CADRAN_TOKEN`.
        timeout: seconds that an answer may take.
        retries: how often a question is asked again where the server is busy and says when.
        ca: the certificate of an authority of one's own, as a file.

    Raises:
        ImportError: httpx is not installed.
        QueryError: the address is none of HTTP.
    """
    return RemoteLayer(url, token=token, timeout=timeout, retries=retries, ca=ca)


@contextmanager
def _reading(url: str) -> Iterator[None]:
    """Says of content that is of another form whose it is.

    Raises:
        ServiceError: it is none of a server of Cadran.
    """
    try:
        yield
    except CadranError:
        raise
    except (AttributeError, LookupError, OSError, TypeError, ValueError):
        raise ServiceError(
            f"{url} answered what no server of Cadran does: is it the address of one, and of the"
            " same release?"
        ) from None


def _body(query: Query) -> dict[str, Any]:
    """A question as JSON."""
    groups = [
        {"name": group.name, "grain": group.grain, "date_part": group.date_part}
        if group.grain or group.date_part
        else group.name
        for group in query.group_by
    ]
    known_at = query.known_at
    arguments = {
        "metrics": list(query.metrics), "group_by": groups, "where": list(map(str, query.where)),
        "order_by": list(query.order_by), "limit": query.limit,
        "start": _time(query.start, dt.time.min), "end": _time(query.end, dt.time.max),
        "saved_query": query.saved_query, "version": query.version, "view": query.view,
        "known_at": known_at.isoformat() if isinstance(known_at, dt.date) else known_at,
        "complete": query.complete or None, "compare": query.compare,
    }  # fmt: skip
    return {name: value for name, value in arguments.items() if value not in (None, [])}


def _time(at: dt.datetime | None, whole: dt.time) -> str | None:
    """A bound as text: as a day where it is the beginning or the end of one."""
    if at is None:
        return None
    return at.date().isoformat() if at.time() == whole else f"{at.isoformat()}Z"


def _names(names: str | Iterable[str]) -> str:
    return names if isinstance(names, str) else ",".join(names)


def _break(entry: dict[str, Any]) -> Break:
    period = dt.datetime.fromisoformat(entry["period"])
    names = ("kpi", "before", "after", "kind", "reason", "in_series")
    # What was published before it is told by the rows and their policy alone.
    return Break(period=period, value_before=None, **{name: entry[name] for name in names})


def _refuse(reply: httpx.Response, url: str) -> NoReturn:
    try:
        problem: dict[str, Any] = reply.json()
        kind, sentence = problem["type"].rpartition("#")[2], problem["detail"]
    except (ValueError, KeyError, TypeError, AttributeError):
        raise ServiceError(
            f"{url} answered {reply.status_code} and no sentence: is it the address of a server of"
            " Cadran?"
        ) from None
    if kind == "unknown-name":
        raise UnknownNameError.told(
            sentence, problem["name"], problem["did_you_mean"], problem["allowed"]
        )
    if kind == "too-many":
        wait = reply.headers.get("retry-after")
        raise LimitError(sentence, retry_after=float(wait) if wait else None)
    if kind == "unavailable" and "record" not in problem:
        raise ClosingError(sentence)
    raise _ERRORS.get(kind, ServiceError)(sentence)

"""Which page an address is, and what it holds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from cadran.errors import UnknownNameError
from cadran.web import alerts as alert_pages
from cadran.web import business, incidents, kpi, levels, lists, overview

if TYPE_CHECKING:
    from collections.abc import Callable

    from cadran.insight.readings import Reader
    from cadran.insight.wording import Words
    from cadran.reliability.alerts.store import Store

NAVIGATION = (
    ("overview", "/board"),
    ("kpis", "/board/kpis"),
    ("levels", "/board/levels"),
    ("incidents", "/board/incidents"),
    ("impact", "/board/impact"),
    ("teams", "/board/teams"),
    ("search", "/board/search"),
)

_Read: TypeAlias = "Callable[[Reader, Words, str], dict[str, Any]]"
# By the first word of an address, and whether a name follows it.
_PAGES: dict[tuple[str, bool], tuple[str, _Read]] = {
    ("kpis", True): ("kpi.html", lambda reader, w, name: kpi.kpi(reader, name, w)),
    ("kpis", False): ("kpis.html", lambda reader, w, _: lists.kpis(reader, w)),
    ("incidents", True): ("incident.html", incidents.one),
    ("incidents", False): ("incidents.html", lambda reader, w, _: incidents.listing(reader, w)),
    ("impact", False): ("impact.html", lambda reader, w, _: business.page(reader, w)),
    ("teams", True): ("kpis.html", lambda reader, w, name: lists.team(reader, name, w)),
    ("teams", False): ("kpis.html", lambda reader, w, name: lists.team(reader, name, w)),
}


@dataclass(frozen=True, slots=True)
class Page:
    """A template, the entry of the navigation it belongs to, and what it shows."""

    template: str
    here: str
    content: dict[str, Any]


def page(
    path: str, reader: Reader, w: Words, *, question: str = "", alerts: Store | None = None
) -> Page:
    """The page of a path below `/board`.

    Args:
        path: without a slash at either end.
        reader: reads for whoever asks.
        w: the words of the page.
        question: what is searched for.
        alerts: what the server's alerts are remembered in.

    Raises:
        UnknownNameError: there is no such page, or not for whoever asks.
    """
    section, _, name = path.strip("/").partition("/")
    if not section:
        content = overview.overview(reader, w)
        content["alerts"] = alert_pages.open_alerts(reader, alerts, w)
        return Page("overview.html", "overview", content)
    if (section, bool(name)) in _PAGES:
        template, read = _PAGES[section, bool(name)]
        return Page(template, section, read(reader, w, name))
    if section == "levels":
        return Page("levels.html", "levels", levels.page(reader, w, alerts, name))
    if section == "search" and not name:
        return Page("search.html", "search", lists.search(reader, question, w))
    raise UnknownNameError("page", path, [address for _, address in NAVIGATION])

"""Which page an address is, and what it holds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cadran.errors import UnknownNameError
from cadran.web import alerts as alert_pages
from cadran.web import kpi, levels, lists, overview

if TYPE_CHECKING:
    from cadran.reliability.alerts.store import Store
    from cadran.web.readings import Reader
    from cadran.web.render import Words

NAVIGATION = (
    ("overview", "/board"),
    ("kpis", "/board/kpis"),
    ("levels", "/board/levels"),
    ("teams", "/board/teams"),
    ("search", "/board/search"),
)


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
    if section == "kpis" and name:
        return Page("kpi.html", "kpis", kpi.kpi(reader, name, w))
    if section == "kpis":
        return Page("kpis.html", "kpis", lists.kpis(reader, w))
    if section == "levels":
        return Page("levels.html", "levels", levels.page(reader, w, alerts, name))
    if section == "teams":
        return Page("kpis.html", "teams", lists.team(reader, name, w))
    if section == "search" and not name:
        return Page("search.html", "search", lists.search(reader, question, w))
    raise UnknownNameError("page", path, [address for _, address in NAVIGATION])

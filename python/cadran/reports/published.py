"""Packs as they were said: their figures on the day they went out, and what moved since.

A published pack is one entry of the journal, with an id of its own. A figure in it is told by what
was asked (metric, grain, period, dimension, filters), never by its words, so packs in two languages
hold the same figures. Between two packs, or a pack and the numbers of today, a figure moved because
its data were restated or because its definition is another version.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import asdict, dataclass, field
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any, Literal

from cadran.core.journal import Journal, folder_of
from cadran.core.journal import entries as entries_of
from cadran.errors import QueryError, UnknownNameError
from cadran.reports.pack import figures_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from cadran.core.journal import Entry
    from cadran.core.layer import Layer
    from cadran.reports.pack import Pack

Reason = Literal["definition", "data", "added", "removed"]


@dataclass(frozen=True, slots=True)
class PublishedFigure:
    """One figure of a pack.

    Attributes:
        metric: the KPI, or what another service gives, such as `sla/partners_api/net`.
        start: the first day that it is of.
        end: the last one.
        value: exactly, as the layer gave it; None where there was none.
        unit: of it.
        version: of the KPI's definition; None of what has no version.
        where: the conditions.
        grain: of the period that the answer is a row of; empty for the days as a whole.
        dimension: that it is a member of; empty where it is of all.
        member: of the dimension.
    """

    metric: str
    start: dt.date
    end: dt.date
    value: int | float | Decimal | str | None
    unit: str = ""
    version: int | None = None
    where: tuple[str, ...] = ()
    grain: str = ""
    dimension: str = ""
    member: str = ""

    @property
    def key(self) -> tuple[str, ...]:
        """What was asked; two figures of the same key are the same figure."""
        return (
            self.metric, self.start.isoformat(), self.end.isoformat(), self.grain, self.dimension,
            self.member, *sorted(self.where),
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class PublishedPack:
    """A pack as it went out.

    Attributes:
        id: `pack-12`; it goes on counting over all packs.
        period: 2026-Q3 and the like.
        figures: what it said.
        recommendations: the title of each recommendation in it, by id and language.
        by: who published it.
        at: when, in UTC.
    """

    id: str
    period: str
    figures: tuple[PublishedFigure, ...]
    recommendations: Mapping[str, Mapping[str, str]]
    by: str
    at: dt.datetime


@dataclass(frozen=True, slots=True)
class Moved:
    """A figure that is not what it was.

    Attributes:
        figure: as it is later; as it was where it is gone.
        before: its value then.
        after: its value now.
        change: the difference; None where one of them is no number.
        reason: why, as far as the two tell.
        versions: of the definition, then and now.
    """

    figure: PublishedFigure
    before: Any
    after: Any
    change: Decimal | None
    reason: Reason
    versions: tuple[int | None, int | None] = field(default=(None, None))

    def to_row(self) -> dict[str, Any]:
        """It as one row."""
        figure = self.figure
        return {
            "metric": figure.metric, "start": figure.start, "end": figure.end,
            "grain": figure.grain, "dimension": figure.dimension, "member": figure.member,
            "where": list(figure.where), "before": self.before, "after": self.after,
            "change": self.change, "unit": figure.unit, "reason": self.reason,
            "version_before": self.versions[0], "version_after": self.versions[1],
        }  # fmt: skip


def figures_in(pack: Pack, layer: Layer) -> tuple[PublishedFigure, ...]:
    """The figures of a pack that are answers of the layer, with the versions that they are of."""
    figures = []
    for figure in figures_of(pack):
        question, value = figure.question, figure.value
        if question is None:
            continue
        is_plain = value is None or isinstance(value, (int, float, Decimal, str))
        is_kpi = layer.is_kpi(question.metric)
        figures.append(
            PublishedFigure(
                question.metric, question.start, question.end, value if is_plain else str(value),
                figure.unit, layer.card(question.metric).version if is_kpi else None,
                question.where, question.grain, question.dimension,
                "" if question.member is None else str(question.member),
            )
        )  # fmt: skip
    return tuple(figures)


def publish(
    layer: Layer,
    period: str,
    figures: Iterable[PublishedFigure],
    *,
    by: str,
    recommendations: Mapping[str, Mapping[str, str]] | None = None,
) -> PublishedPack:
    """Enter what a pack says into the journal.

    Args:
        layer: the layer of a project.
        period: of the pack.
        figures: of the pack; the same figure may stand in it several times, with one value.
        by: who publishes it.
        recommendations: those in it: their titles by language, by id.

    Raises:
        QueryError: it has no figures, or gives one of them two values.
        JournalError: it cannot be written.
    """
    by_key: dict[tuple[str, ...], PublishedFigure] = {}
    for figure in figures:
        known = by_key.setdefault(figure.key, figure)
        if known != figure:
            raise QueryError(
                f"The pack says {figure.metric} of {figure.start} to {figure.end} twice, as"
                f" {known.value} and as {figure.value}: nothing is published."
            )
    if not by_key:
        raise QueryError("The pack has no figures: nothing is published.")
    content = {
        "period": period, "figures": [_written(by_key[key]) for key in sorted(by_key)],
        "recommendations": {name: dict(title) for name, title in (recommendations or {}).items()},
    }  # fmt: skip
    return _pack(Journal(folder_of(layer.project.root), "packs").append(content, by=by))


def packs(layer: Layer, period: str | None = None) -> tuple[PublishedPack, ...]:
    """The packs that went out, in order.

    Args:
        layer: the layer of a project; without a project there are none.
        period: only those of this period.

    Raises:
        JournalError: the journal was changed.
    """
    entries = entries_of(layer.project.root, "packs")
    return tuple(_pack(e) for e in entries if period is None or e.content["period"] == period)


def pack(layer: Layer, name: str) -> PublishedPack:
    """The pack of an id.

    Raises:
        UnknownNameError: there is none.
    """
    by_id = {entry.id: entry for entry in packs(layer)}
    if name not in by_id:
        none = "No pack went out yet: `cadran report --period 2026-Q3 --publish` keeps one."
        raise UnknownNameError("published pack", name, by_id, hint="" if by_id else none)
    return by_id[name]


def diff(old: Iterable[PublishedFigure], new: Iterable[PublishedFigure]) -> tuple[Moved, ...]:
    """What moved from one list of figures to another, in the order of metric and period.

    A figure of another version of its definition moved by the definition, of the same version by
    its data. Where the version changed data may have moved as well: `cadran explain` tells the two
    apart, from the ledger. One whose value is the same did not move, whatever its version.
    """
    before, after = ({figure.key: figure for figure in figures} for figures in (old, new))
    moved = []
    for key in sorted(before.keys() | after.keys()):
        then, now = before.get(key), after.get(key)
        if then is None or now is None:
            figure = now or then
            assert figure is not None  # noqa: S101 - the key is of one of them
            reason: Reason = "removed" if now is None else "added"
            moved.append(
                Moved(
                    figure, then.value if then else None, now.value if now else None, None, reason,
                    (then.version if then else None, now.version if now else None),
                )
            )  # fmt: skip
        elif _differ(then.value, now.value):
            why: Reason = "data" if then.version == now.version else "definition"
            moved.append(
                Moved(now, then.value, now.value, _change(then.value, now.value),
                      why, (then.version, now.version))
            )  # fmt: skip
    return tuple(moved)


def _differ(one: Any, other: Any) -> bool:
    left, right = _number(one), _number(other)
    return left != right if left is not None and right is not None else one != other


def _change(one: Any, other: Any) -> Decimal | None:
    left, right = _number(one), _number(other)
    return None if left is None or right is None else right - left


def _number(value: Any) -> Decimal | None:
    if value is None or isinstance(value, bool):
        return None
    try:
        return Decimal(repr(value) if isinstance(value, float) else value)
    except (InvalidOperation, ValueError, TypeError):
        return None


def _written(figure: PublishedFigure) -> dict[str, Any]:
    """A figure as JSON types; a decimal is a text beside its kind, so that no digit is lost."""
    content = {name: value for name, value in asdict(figure).items() if value not in ("", (), None)}
    content |= {"start": figure.start.isoformat(), "end": figure.end.isoformat()}
    if isinstance(figure.value, Decimal):
        content |= {"value": str(figure.value), "kind": "decimal"}
    if figure.where:
        content["where"] = sorted(figure.where)
    return content


def _read(content: Mapping[str, Any]) -> PublishedFigure:
    values = dict(content)
    if values.pop("kind", "") == "decimal":
        values["value"] = Decimal(values["value"])
    values |= {name: dt.date.fromisoformat(values[name]) for name in ("start", "end")}
    values["where"] = tuple(values.get("where", ()))
    return PublishedFigure(**{"value": None, **values})


def _pack(entry: Entry) -> PublishedPack:
    content = entry.content
    return PublishedPack(
        f"pack-{entry.number}", str(content["period"]),
        tuple(_read(figure) for figure in content["figures"]),
        content.get("recommendations", {}), entry.by, entry.at,
    )  # fmt: skip

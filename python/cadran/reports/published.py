"""Packs as they were said: their figures on the day they went out, and what moved since.

A published pack is one entry of the journal, with an id of its own. A figure in it is told by what
was asked (metric, grain, period, dimension, filters; or the service that gave it), never by its
words, so packs in two languages hold the same figures. Between two packs, or a pack and the numbers
of today, a figure moved because its data were restated or because it is defined otherwise: by
another version of its KPI, another contract, target or method.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import asdict, dataclass
from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Literal

from cadran.core.journal import Journal, folder_of
from cadran.core.journal import entries as entries_of
from cadran.errors import QueryError, UnknownNameError
from cadran.reports.pack import stated_by
from cadran.reports.period import Period

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
        metric: the KPI, or what another service gave, such as `sla partners_api 2026-08 net`.
        start: the first day that it is of; of what another service gave, of the pack's period.
        end: the last one.
        value: exactly, as the layer gave it; None where there was none.
        unit: of it.
        version: of the KPI's definition; None of what has no version.
        definition: what else it is defined by: a contract, a target, a method.
        where: the conditions.
        grain: of the period that the answer is a row of; empty for the days as a whole.
        dimension: that it is a member of; empty where it is of all.
        member: of the dimension.
    """

    metric: str
    start: dt.date
    end: dt.date
    value: int | float | Decimal | Fraction | str | None
    unit: str = ""
    version: int | None = None
    where: tuple[str, ...] = ()
    grain: str = ""
    dimension: str = ""
    member: str = ""
    definition: str = ""

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
        definitions: what else it is defined by, then and now.
    """

    figure: PublishedFigure
    before: Any
    after: Any
    change: Decimal | None
    reason: Reason
    versions: tuple[int | None, int | None] = (None, None)
    definitions: tuple[str, str] = ("", "")

    def to_row(self) -> dict[str, Any]:
        """It as one row."""
        figure = self.figure
        return {
            "metric": figure.metric, "start": figure.start, "end": figure.end,
            "grain": figure.grain, "dimension": figure.dimension, "member": figure.member,
            "where": list(figure.where), "before": _plain(self.before),
            "after": _plain(self.after), "change": self.change, "unit": figure.unit,
            "reason": self.reason,
            "version_before": self.versions[0], "version_after": self.versions[1],
            "definition_before": self.definitions[0], "definition_after": self.definitions[1],
        }  # fmt: skip


def figures_in(pack: Pack, layer: Layer) -> tuple[PublishedFigure, ...]:
    """What a pack says: its figures and the values of its charts, with what they are defined by."""
    period, figures = Period.read(pack.key), []
    for figure in stated_by(pack.pages):
        question, value = figure.question, figure.value
        is_plain = value is None or isinstance(value, (int, float, Decimal, Fraction, str))
        value = value if is_plain else str(value)
        if question is None:
            if figure.origin:
                figures.append(
                    PublishedFigure(
                        figure.origin, period.start, period.end, value, figure.unit,
                        definition=figure.definition,
                    )
                )  # fmt: skip
            continue
        is_kpi = layer.is_kpi(question.metric)
        figures.append(
            PublishedFigure(
                question.metric, question.start, question.end, value,
                figure.unit, layer.card(question.metric).version if is_kpi else None,
                question.where, question.grain, question.dimension,
                "" if question.member is None else str(question.member), figure.definition,
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

    A figure that is defined otherwise (by another version, contract, target or method) moved by its
    definition, else by its data. Where the version changed data may have moved as well: `cadran
    explain` tells the two apart, from the ledger. One whose value is the same did not move,
    whatever its definition.
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
                    (then.definition if then else "", now.definition if now else ""),
                )
            )  # fmt: skip
        elif _differ(then.value, now.value):
            is_same = (then.version, then.definition) == (now.version, now.definition)
            why: Reason = "data" if is_same else "definition"
            moved.append(
                Moved(now, then.value, now.value, _change(then.value, now.value), why,
                      (then.version, now.version), (then.definition, now.definition))
            )  # fmt: skip
    return tuple(moved)


def _differ(one: Any, other: Any) -> bool:
    left, right = _number(one), _number(other)
    return left != right if left is not None and right is not None else one != other


def _change(one: Any, other: Any) -> Decimal | None:
    left, right = _number(one), _number(other)
    return None if left is None or right is None else _plain(right - left)


def _number(value: Any) -> Fraction | None:
    """A number exactly, a float as it is written; None of what is none."""
    if value is None or isinstance(value, bool):
        return None
    try:
        return Fraction(repr(value) if isinstance(value, float) else value)
    except (ValueError, TypeError, OverflowError, ZeroDivisionError):
        return None


def _plain(value: Any) -> Any:
    """A value as rows have it: a fraction as a decimal."""
    if isinstance(value, Fraction):
        return Decimal(value.numerator) / Decimal(value.denominator)
    return value


def _written(figure: PublishedFigure) -> dict[str, Any]:
    """A figure as JSON types; a decimal is a text beside its kind, so that no digit is lost."""
    content = {name: value for name, value in asdict(figure).items() if value not in ("", (), None)}
    content |= {"start": figure.start.isoformat(), "end": figure.end.isoformat()}
    if isinstance(figure.value, (Decimal, Fraction)):
        kind = "decimal" if isinstance(figure.value, Decimal) else "fraction"
        content |= {"value": str(figure.value), "kind": kind}
    if figure.where:
        content["where"] = sorted(figure.where)
    return content


def _read(content: Mapping[str, Any]) -> PublishedFigure:
    values = dict(content)
    kind = values.pop("kind", "")
    if kind:
        values["value"] = {"decimal": Decimal, "fraction": Fraction}[kind](values["value"])
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

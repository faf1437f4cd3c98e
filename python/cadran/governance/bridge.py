"""`cadran explain`: from a value as it was published to the value as it is now.

    published then  + data revisions  + effect of the definition, by member  = current now

The effect of the definition is what the new one was first published with, or says now where it was
not, less what the old one was last published with. All the rest are data revisions, before the
change and after it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import Decimal, localcontext
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from cadran.charts import plots
from cadran.charts.still import Drawing
from cadran.core.components import measuring
from cadran.core.ledger.reader import has_ledger, instant
from cadran.core.warehouse import ledger_sql as sql
from cadran.core.warehouse.dialects import literal
from cadran.errors import QueryError
from cadran.formats import periods
from cadran.formats import words as texts
from cadran.formats.periods import read as read_period
from cadran.governance.approval import approval_of

if TYPE_CHECKING:
    import datetime as dt

    from cadran.core.layer import Layer
    from cadran.core.project.cards import Card


_PLACES = Decimal("1e-12")
_ROUNDING = Decimal("1e-9")


@dataclass(frozen=True, slots=True)
class Step:
    """One step of the bridge: published, data, definition, unallocated or now."""

    step: str
    member: str | None
    amount: Decimal


@dataclass(frozen=True, slots=True)
class Value:
    """A value with the two sides of a ratio, exactly."""

    exact: Decimal
    numerator: Fraction | None
    denominator: Fraction | None

    @classmethod
    def of(cls, row: dict[str, Any]) -> Value:
        """The value of a row; nothing there is zero."""
        sides = (row.get("numerator"), row.get("denominator"))
        top, below = (Fraction(str(side)) if side is not None else None for side in sides)
        return cls(Decimal(str(row["value"] or 0)), top, below)


@dataclass(frozen=True, slots=True)
class Sides:
    """The last values by an old definition and the first ones by a new one, whole and by member."""

    before: Value
    before_at: dt.datetime
    members_before: dict[Any, Value]
    after: Value | None
    members_after: dict[Any, Value]

    @classmethod
    def of(cls, rows: list[dict[str, Any]], old: int, new: int, by: str | None) -> Sides:
        """What the ledger holds of them; nothing after where the new one was not published."""
        first = next((r for r in rows if r["version"] == new and r["dimensions"] == "{}"), None)
        olds = [
            r for r in rows
            if r["version"] == old and (first is None or r["batch"] < first["batch"])
        ]  # fmt: skip
        last = next(r for r in reversed(olds) if r["dimensions"] == "{}")
        news = [r for r in rows if first is not None and r["batch"] == first["batch"]]
        return cls(
            Value.of(last), last["published_at"],
            {r["member"]: Value.of(r) for r in olds if r["dimension_set"] == by},
            Value.of(first) if first else None,
            {r["member"]: Value.of(r) for r in news if r["dimension_set"] == by},
        )  # fmt: skip

    def notes(self, old: int, card: Card) -> list[str]:
        """What a reader should know of the two."""
        unlike = f"{card.label} changed its meaning from version {old} to {card.version}"
        last = f"The old definition's value is the last that was published by version {old}"
        return [
            f"{unlike}: what was published and what is now are not like for like.",
            f"{last}, of {self.before_at:%Y-%m-%d %H:%M}.",
        ]


def attribution(additivity: str, sides: Sides) -> list[Step]:
    """The effect of a definition by member; as one step where it cannot be split."""
    old, new = sides.before, sides.after
    assert new is not None  # noqa: S101 - `bridge` fills it
    difference = new.exact - old.exact
    zero = Value(Decimal(0), Fraction(0), Fraction(0))
    ratio = None
    if old.numerator is not None and old.denominator and new.denominator:
        ratio = old.numerator / old.denominator
    before, after = sides.members_before, sides.members_after
    if not before or not after or (ratio is None and additivity != "additive"):
        return [Step("definition", None, difference)] if difference else []
    steps = []
    for member in sorted({*before, *after}, key=str):
        earlier, later = before.get(member, zero), after.get(member, zero)
        if ratio is None:
            amount = later.exact - earlier.exact
        else:
            exact = _share(later, new, ratio) - _share(earlier, old, ratio)
            amount = (Decimal(exact.numerator) / Decimal(exact.denominator)).quantize(_PLACES)
        steps.append(Step("definition", member, amount))
    remainder = difference - sum((step.amount for step in steps), Decimal(0))
    if remainder and abs(remainder) <= _ROUNDING * max(abs(new.exact), Decimal(1)):
        largest = max(range(len(steps)), key=lambda at: abs(steps[at].amount))
        rounded = steps[largest]
        steps[largest] = Step(rounded.step, rounded.member, rounded.amount + remainder)
        remainder = Decimal(0)
    return [*steps, Step("unallocated", None, remainder)] if remainder else steps


def _share(part: Value, total: Value, ratio: Fraction) -> Fraction:
    top, below = part.numerator or Fraction(0), part.denominator or Fraction(0)
    return (top - ratio * below) / (total.denominator or Fraction(1))


def revisions(layer: Layer, kpi: str, period: str) -> list[dict[str, Any]]:
    """Every value that was published of one period, the first first, with the change and why.

    Raises:
        QueryError: nothing was published of it.
    """
    layer.card(kpi)
    grain, start, _ = read_period(period)
    changes: list[dict[str, Any]] = []
    before: Decimal | None = None
    version: int | None = None
    for row in published_rows(layer, kpi, grain, start):
        if row["dimensions"] != "{}":
            continue
        value = Decimal(row["value"]) if row["value"] is not None else None
        change = value - before if value is not None and before is not None else None
        # A record tells why its version was made, not why data changed afterwards.
        is_told = row["kind"] == "restatement" or row["version"] != version
        version = row["version"]
        changes.append(
            {
                "published_at": row["published_at"], "value": value, "change": change,
                "status": row["status"], "version": row["version"],
                "observations": row["observations"], "data_as_of": row["data_as_of"],
                "reason": row["reason"] if is_told else None, "author": row["author"],
                "batch": row["batch"],
            }
        )  # fmt: skip
        before = value if value is not None else before
    if not changes:
        raise QueryError(f"No value of {kpi} for {period} was published.")
    return changes


def published_rows(layer: Layer, kpi: str, grain: str, start: dt.date) -> list[dict[str, Any]]:
    """The rows of one period, whole and by member, in the order in which they were published.

    Raises:
        QueryError: nothing was published at all.
    """
    if not has_ledger(layer.warehouse):
        raise QueryError("Nothing was published yet: run `cadran publish`.")
    rows: list[dict[str, Any]] = layer.warehouse.ledger.arrow(
        f"""
        select *, details->>'reason' as reason, nullif(dimension_set, '') as name,
            json_extract_string(dimensions, '$.*')[1] as member
        from {sql.VIEW}
        where kpi = {literal(kpi)} and grain = '{grain}' and period = timestamp '{start}'
        order by batch, row
        """
    ).to_pylist()
    return rows


_PRECISION = 60


@dataclass(frozen=True, slots=True)
class Bridge:
    """The way from one value to another; the amounts between add up to the difference exactly."""

    card: Card
    period: dt.date
    grain: str
    published_at: dt.datetime
    versions: tuple[int, int]
    by: str | None
    steps: tuple[Step, ...]
    notes: tuple[str, ...]

    def rows(self) -> list[dict[str, Any]]:
        """The steps with the value reached after each: a table, or a waterfall chart."""
        listed: list[dict[str, Any]] = []
        with localcontext(prec=_PRECISION):
            reached = Decimal(0)
            for step in self.steps:
                reached = step.amount if step.step == "now" else reached + step.amount
                row = {"step": step.step, "member": step.member, "amount": _plain(step.amount)}
                listed.append(row | {"reached": _plain(reached)})
        return listed

    def to_dict(self) -> dict[str, Any]:
        """The bridge as JSON types, amounts as exact decimals."""
        return {
            "kpi": self.card.name, "grain": self.grain, "period": self.period,
            "published_at": self.published_at, "versions": list(self.versions), "by": self.by,
            "steps": self.rows(), "notes": list(self.notes),
        }  # fmt: skip

    def plot(self, lang: str = "en") -> Drawing:
        """The steps as a waterfall; those of nothing are left out."""
        words = texts.words("bridge", lang)
        period = periods.label(self.period, self.grain, lang)
        day = periods.label(self.published_at.date(), "day", lang)
        bars: list[tuple[str, Any, str]] = []
        for step in self._drawn(words["others"]):
            key = "whole" if step.step == "definition" and step.member is None else step.step
            label = words[key].format(
                day=day, old=self.versions[0], new=self.versions[1], member=step.member
            )
            bars.append((" ".join(label.split()), step.amount, ""))
        (first, before, _), *between, (last, now, _) = bars
        return Drawing(
            plots.waterfall(
                (first, before), between, (last, now), self.card, lang=lang,
                title=f"{self.card.localized(lang).label}, {period}",
            )
        )  # fmt: skip

    def _drawn(self, others: str) -> list[Step]:
        """The steps but those of nothing, and small ones of many members in one."""
        split = [step for step in self.steps if step.member is not None and step.amount]
        split.sort(key=lambda step: -abs(step.amount))
        small = split[MOST_MEMBERS - 1 :] if len(split) > MOST_MEMBERS else []
        steps = [step for step in self.steps if step.amount or step.step in ("published", "now")]
        steps = [step for step in steps if step not in small]
        if small:
            rest = sum((step.amount for step in small), Decimal(0))
            steps.insert(-1, Step("definition", others.format(number=len(small)), rest))
        return steps


MOST_MEMBERS = 10  # that are drawn by themselves


def bridge(
    layer: Layer, kpi: str, period: str, *, known_at: str | None = None, by: str | None = None
) -> Bridge:
    """The bridge of one KPI in one period.

    Args:
        layer: the layer of a built project.
        kpi: the KPI.
        period: 2026, 2026-Q4, 2026-10, 2026-W44 or 2026-10-31.
        known_at: the value that was published by then; by default the first.
        by: the dimension that splits the effect of a definition; by default the card's first.

    Raises:
        QueryError: nothing was published of that period by then.
        UnknownNameError: the KPI does not exist.
    """
    card = layer.card(kpi)
    grain, start, _ = read_period(period)
    rows = published_rows(layer, kpi, grain, start)
    until = instant(known_at) if known_at else None
    totals = [row for row in rows if row["dimensions"] == "{}" and row["value"] is not None]
    available = [row for row in totals if until is None or row["published_at"] <= until]
    if not available:
        by_then = f" by {until}" if until else ""
        raise QueryError(f"No value of {kpi} for {period} was published{by_then}.")
    then = available[-1] if until else available[0]
    by = by or next(iter(card.dimensions), None)
    source = _Now(layer, kpi, grain, start)
    now = source.values(()).get(None)
    if now is None:
        raise QueryError(f"{kpi} has no value for {period} now.")
    notes: list[str] = []
    with localcontext(prec=_PRECISION):
        published, current = Decimal(then["value"]), now.exact
        attributed: list[Step] = []
        if then["version"] != card.version:
            sides = Sides.of(rows, then["version"], card.version, by)
            if sides.after is None:
                sides = replace(sides, after=now, members_after=source.values((by,)) if by else {})
            attributed = attribution(card.additivity, sides)
            notes = sides.notes(then["version"], card)
            approval = approval_of(layer, kpi, card.version)
            if approval:
                notes.append(f"Version {card.version} was approved by {approval.text}.")
        revised = current - published - sum((step.amount for step in attributed), Decimal(0))
        steps = [
            Step("published", None, published), Step("data", None, revised), *attributed,
            Step("now", None, current),
        ]  # fmt: skip
    return Bridge(
        card, start, grain, then["published_at"], (then["version"], card.version),
        by, tuple(steps), tuple(notes),
    )  # fmt: skip


class _Now:
    """What the present definition says of one period."""

    def __init__(self, layer: Layer, kpi: str, grain: str, start: dt.date) -> None:
        self._layer, parts = measuring(layer)
        self._components = parts[kpi]
        self._kpi, self._grain, self._start = kpi, grain, start

    def values(self, dimensions: tuple[str, ...]) -> dict[Any, Value]:
        """The values by member; by None for the whole."""
        names = {
            "numerator": self._components.numerator,
            "denominator": self._components.denominator,
        }
        metrics = {key: name for key, name in names.items() if name}
        time = f"metric_time__{self._grain}"
        rows = (
            self._layer.query(
                [self._kpi, *metrics.values()], [time, *dimensions],
                start=self._start, end=self._start, governed=False,
            )
            .to_arrow()
            .to_pylist()
        )  # fmt: skip
        values = {}
        for row in rows:
            if _day(row[time]) != self._start or row[self._kpi] is None:
                continue
            member = row[dimensions[0]] if dimensions else None
            cells = {key: row[name] for key, name in metrics.items()} | {"value": row[self._kpi]}
            values[_text(member) if dimensions else None] = Value.of(cells)
        return values


def _text(member: Any) -> str | None:
    if member is None:
        return None
    return str(member).lower() if isinstance(member, bool) else str(member)


def _day(value: Any) -> Any:
    return value.date() if hasattr(value, "hour") else value


def _plain(amount: Decimal) -> Decimal:
    """Without closing zeros and without an exponent."""
    return Decimal(f"{amount.normalize():f}")

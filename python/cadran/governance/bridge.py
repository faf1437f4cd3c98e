"""`cadran explain`: from a value as it was published to the value as it is now.

    published then  + data revisions  + effect of the definition, by member  = current now

Data revisions are what the old definition says today, less what it said then. The effect of the
definition is what the new one says today, less what the old one says today. For a ratio N/D a
member m carries (n2 - R1*d2)/D2 - (n1 - R1*d1)/D1, which adds up to R2 - R1 over the members.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal, localcontext
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from cadran.errors import QueryError
from cadran.governance.close import period as read_period
from cadran.governance.parts import Parts, measuring
from cadran.governance.verify import is_there
from cadran.published import instant
from cadran.warehouse import duckdb_ledger as sql

if TYPE_CHECKING:
    import datetime as dt

    from cadran.layer import Layer

_PRECISION = 60
_PLACES = Decimal("1e-12")
_ROUNDING = Decimal("1e-9")


@dataclass(frozen=True, slots=True)
class Step:
    """One step of the bridge: published, data, definition, unallocated or now."""

    step: str
    member: str | None
    amount: Decimal


@dataclass(frozen=True, slots=True)
class Bridge:
    """The way from one value to another; the amounts between add up to the difference exactly."""

    kpi: str
    period: dt.date
    grain: str
    published_at: dt.datetime
    versions: tuple[int, int]
    by: str | None
    steps: tuple[Step, ...]
    notes: tuple[str, ...]

    def rows(self) -> list[dict[str, Any]]:
        """The steps with the value reached after each: a table, or a waterfall chart."""
        shown: list[dict[str, Any]] = []
        with localcontext(prec=_PRECISION):
            reached = Decimal(0)
            for step in self.steps:
                reached = step.amount if step.step == "now" else reached + step.amount
                row = {"step": step.step, "member": step.member, "amount": _plain(step.amount)}
                shown.append(row | {"reached": _plain(reached)})
        return shown

    def to_dict(self) -> dict[str, Any]:
        """The bridge as JSON types, amounts as exact decimals."""
        return {
            "kpi": self.kpi, "grain": self.grain, "period": self.period,
            "published_at": self.published_at, "versions": list(self.versions), "by": self.by,
            "steps": self.rows(), "notes": list(self.notes),
        }  # fmt: skip


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
    rows = _rows(layer, kpi, grain, start)
    until = instant(known_at) if known_at else None
    whole = [row for row in rows if row["dimensions"] == "{}" and row["value"] is not None]
    known = [row for row in whole if until is None or row["published_at"] <= until]
    if not known:
        by_then = f" by {until}" if until else ""
        raise QueryError(f"No value of {kpi} for {period} was published{by_then}.")
    then = known[-1] if until else known[0]
    by = by or next(iter(card.dimensions), None)
    asked = _Now(layer, kpi, grain, start)
    now = asked.values(()).get(None)
    if now is None:
        raise QueryError(f"{kpi} has no value for {period} now.")
    notes: list[str] = []
    with localcontext(prec=_PRECISION):
        published, current = Decimal(then["value"]), now.exact
        between: list[Step] = []
        base = current
        if then["version"] != card.version:
            old = [row for row in rows if row["version"] == then["version"]]
            last = next(row for row in reversed(old) if row["dimensions"] == "{}")
            base = Decimal(last["value"])
            notes.append(
                f"The old definition's value is the last that was published by version"
                f" {then['version']}, of {last['published_at']:%Y-%m-%d %H:%M}."
            )
            members = {r["member"]: _Value.of(r) for r in old if r["dimension_set"] == by}
            between = _effect(
                card.additivity, _Value.of(last), now, members, asked.values((by,)) if by else {}
            )
        revised = Step("data", None, base - published)
        left = current - base - sum((step.amount for step in between), Decimal(0))
        if between and abs(left) <= _ROUNDING * max(abs(current), Decimal(1)):
            largest = max(range(len(between)), key=lambda at: abs(between[at].amount))
            step = between[largest]
            between[largest] = Step(step.step, step.member, step.amount + left)
            left = Decimal(0)
        rest = [Step("unallocated" if between else "definition", None, left)] if left else []
        steps = [
            Step("published", None, published), revised, *between, *rest, Step("now", None, current)
        ]  # fmt: skip
    return Bridge(
        kpi, start, grain, then["published_at"], (then["version"], card.version), by,
        tuple(steps), tuple(notes),
    )  # fmt: skip


def revisions(layer: Layer, kpi: str, period: str) -> list[dict[str, Any]]:
    """Every value that was published of one period, the first first, with the change and why.

    Raises:
        QueryError: nothing was published of it.
    """
    layer.card(kpi)
    grain, start, _ = read_period(period)
    shown: list[dict[str, Any]] = []
    before: Decimal | None = None
    for row in _rows(layer, kpi, grain, start):
        if row["dimensions"] != "{}":
            continue
        value = Decimal(row["value"]) if row["value"] is not None else None
        change = value - before if value is not None and before is not None else None
        shown.append(
            {
                "published_at": row["published_at"], "value": value, "change": change,
                "status": row["status"], "version": row["version"],
                "observations": row["observations"], "data_as_of": row["data_as_of"],
                "reason": row["reason"], "author": row["author"], "batch": row["batch"],
            }
        )  # fmt: skip
        before = value if value is not None else before
    if not shown:
        raise QueryError(f"No value of {kpi} for {period} was published.")
    return shown


@dataclass(frozen=True, slots=True)
class _Value:
    """A value with the two sides of a ratio, exactly."""

    exact: Decimal
    numerator: Fraction | None
    denominator: Fraction | None

    @classmethod
    def of(cls, row: dict[str, Any]) -> _Value:
        """The value of a row; nothing there is zero."""
        sides = (row.get("numerator"), row.get("denominator"))
        top, below = (Fraction(str(side)) if side is not None else None for side in sides)
        return cls(Decimal(str(row["value"] or 0)), top, below)


class _Now:
    """What the present definition says of one period."""

    def __init__(self, layer: Layer, kpi: str, grain: str, start: dt.date) -> None:
        self._layer, parts = measuring(layer)
        self._parts: Parts = parts[kpi]
        self._kpi, self._grain, self._start = kpi, grain, start

    def values(self, dimensions: tuple[str, ...]) -> dict[Any, _Value]:
        """The values by member; by None for the whole."""
        names = {"numerator": self._parts.numerator, "denominator": self._parts.denominator}
        asked = {key: name for key, name in names.items() if name}
        time = f"metric_time__{self._grain}"
        rows = (
            self._layer.query(
                [self._kpi, *asked.values()], [time, *dimensions],
                start=self._start, end=self._start, governed=False,
            )
            .to_arrow()
            .to_pylist()
        )  # fmt: skip
        found = {}
        for row in rows:
            if _day(row[time]) != self._start or row[self._kpi] is None:
                continue
            member = row[dimensions[0]] if dimensions else None
            told = {key: row[name] for key, name in asked.items()} | {"value": row[self._kpi]}
            found[_text(member) if dimensions else None] = _Value.of(told)
        return found


def _effect(
    additivity: str, old: _Value, new: _Value, before: dict[Any, _Value], after: dict[Any, _Value]
) -> list[Step]:
    """The effect of a definition by member; empty where it cannot be split."""
    if not before or not after:
        return []
    zero = _Value(Decimal(0), Fraction(0), Fraction(0))
    steps = []
    ratio = None
    if old.numerator is not None and old.denominator and new.denominator:
        ratio = old.numerator / old.denominator
    elif additivity != "additive":
        return []
    for member in sorted({*before, *after}, key=str):
        one, two = before.get(member, zero), after.get(member, zero)
        if ratio is None:
            amount = two.exact - one.exact
        else:
            exact = _share(two, new, ratio) - _share(one, old, ratio)
            amount = (Decimal(exact.numerator) / Decimal(exact.denominator)).quantize(_PLACES)
        steps.append(Step("definition", member, amount))
    return steps


def _share(part: _Value, whole: _Value, ratio: Fraction) -> Fraction:
    top, below = part.numerator or Fraction(0), part.denominator or Fraction(0)
    return (top - ratio * below) / (whole.denominator or Fraction(1))


def _rows(layer: Layer, kpi: str, grain: str, start: dt.date) -> list[dict[str, Any]]:
    if not is_there(layer):
        raise QueryError("Nothing was published yet: run `cadran publish`.")
    rows: list[dict[str, Any]] = layer.warehouse.arrow(
        f"""
        select *, details->>'reason' as reason, nullif(dimension_set, '') as name,
            json_extract_string(dimensions, '$.*')[1] as member
        from {sql.VIEW}
        where kpi = {sql.literal(kpi)} and grain = '{grain}' and period = timestamp '{start}'
        order by batch, row
        """
    ).to_pylist()
    return rows


def _text(member: Any) -> str | None:
    if member is None:
        return None
    return str(member).lower() if isinstance(member, bool) else str(member)


def _day(value: Any) -> Any:
    return value.date() if hasattr(value, "hour") else value


def _plain(amount: Decimal) -> Decimal:
    """Without closing zeros and without an exponent."""
    return Decimal(f"{amount.normalize():f}")

"""`cadran explain`: from a value as it was published to the value as it is now.

    published then  + data revisions  + effect of the definition, by member  = current now

The effect of the definition is what the new one was first published with, or says now where it was
not, less what the old one was last published with. All the rest are data revisions, before the
change and after it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import Decimal, localcontext
from typing import TYPE_CHECKING, Any

from cadran.errors import QueryError
from cadran.governance.close import period as read_period
from cadran.governance.effect import Sides, Step, Value, effect_of
from cadran.governance.parts import Parts, measuring
from cadran.governance.revisions import published_rows
from cadran.published import instant

if TYPE_CHECKING:
    import datetime as dt

    import altair as alt

    from cadran.cards import Card
    from cadran.layer import Layer

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
            "kpi": self.card.name, "grain": self.grain, "period": self.period,
            "published_at": self.published_at, "versions": list(self.versions), "by": self.by,
            "steps": self.rows(), "notes": list(self.notes),
        }  # fmt: skip

    def plot(self, lang: str = "en") -> alt.LayerChart:
        """The steps as a waterfall; those of nothing are left out.

        Raises:
            ImportError: Altair is not installed: `pip install cadran[charts]`.
        """
        import altair as alt

        from cadran import charts, periods

        words = WORDS[lang]
        period = periods.label(self.period, self.grain, lang)
        day = periods.label(self.published_at.date(), "day", lang)
        told: list[dict[str, Any]] = []
        for step in self._drawn(words["others"]):
            key = "whole" if step.step == "definition" and step.member is None else step.step
            label = words[key].format(
                day=day, old=self.versions[0], new=self.versions[1], member=step.member
            )
            kind = "total" if step.step in ("published", "now") else "step"
            told.append({"label": label, "value": step.amount, "kind": kind})
        title = alt.Title(f"{self.card.localized(lang).label}, {period}", anchor="start", offset=14)
        return charts.waterfall(told, self.card, lang=lang).properties(title=title)

    def _drawn(self, others: str) -> list[Step]:
        """The steps but those of nothing, and small ones of many members in one."""
        split = [step for step in self.steps if step.member is not None and step.amount]
        split.sort(key=lambda step: -abs(step.amount))
        small = split[MOST_MEMBERS - 1 :] if len(split) > MOST_MEMBERS else []
        kept = [step for step in self.steps if step.amount or step.step in ("published", "now")]
        kept = [step for step in kept if step not in small]
        if small:
            rest = sum((step.amount for step in small), Decimal(0))
            kept.insert(-1, Step("definition", others.format(number=len(small)), rest))
        return kept


MOST_MEMBERS = 10  # that are drawn by themselves
WORDS = {
    "en": {
        "published": "published\n{day}\nv{old}", "data": "data\nrevisions",
        "definition": "definition\n{member}", "whole": "definition", "others": "{number} others",
        "unallocated": "not\nallocated", "now": "now\nv{new}",
    },
    "fr": {
        "published": "publié le\n{day}\nv{old}", "data": "révisions\nde données",
        "definition": "définition\n{member}", "whole": "définition", "others": "{number} autres",
        "unallocated": "non\nréparti", "now": "maintenant\nv{new}",
    },
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
    rows = published_rows(layer, kpi, grain, start)
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
        effect: list[Step] = []
        if then["version"] != card.version:
            sides = Sides.of(rows, then["version"], card.version, by)
            if sides.after is None:
                sides = replace(sides, after=now, members_after=asked.values((by,)) if by else {})
            effect = effect_of(card.additivity, sides)
            notes = sides.notes(then["version"], card)
        revised = current - published - sum((step.amount for step in effect), Decimal(0))
        steps = [
            Step("published", None, published), Step("data", None, revised), *effect,
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
        self._parts: Parts = parts[kpi]
        self._kpi, self._grain, self._start = kpi, grain, start

    def values(self, dimensions: tuple[str, ...]) -> dict[Any, Value]:
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
            found[_text(member) if dimensions else None] = Value.of(told)
        return found


def _text(member: Any) -> str | None:
    if member is None:
        return None
    return str(member).lower() if isinstance(member, bool) else str(member)


def _day(value: Any) -> Any:
    return value.date() if hasattr(value, "hour") else value


def _plain(amount: Decimal) -> Decimal:
    """Without closing zeros and without an exponent."""
    return Decimal(f"{amount.normalize():f}")

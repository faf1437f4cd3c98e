"""What the ledger tells about an answer: the versions of its values, and where they change."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import datetime as dt

    from cadran.cards import Card
    from cadran.published import Reader
    from cadran.query import Query
    from cadran.warehouse import Warehouse


@dataclass(frozen=True, slots=True)
class Break:
    """Where the meaning of a KPI changed.

    Attributes:
        kpi: the KPI.
        period: start of the first period of the new version.
        before: the version up to there.
        after: the version from there on.
        kind: policy, estimate, error, source or equivalent; None where nobody recorded it.
        reason: why, in words.
        value_before: the last value by the old version, as exact text.
        in_series: whether the values of this answer change their meaning there. When False they
            are all of one version, and others were published for one side of the break.
    """

    kpi: str
    period: dt.datetime
    before: int
    after: int
    kind: str | None
    reason: str | None
    value_before: str | None
    in_series: bool

    def __str__(self) -> str:
        """One sentence."""
        why = f" ({self.kind}: {self.reason})" if self.kind else ""
        end = "" if self.in_series else "; the values here are of one version, the published not"
        return (
            f"{self.kpi} changed its meaning from version {self.before} to {self.after} with the"
            f" period of {self.period:%Y-%m-%d}{why}{end}"
        )


class History:
    """What the ledger tells about the values of an answer; it is read when it is asked."""

    def __init__(
        self,
        warehouse: Warehouse,
        query: Query,
        cards: dict[str, Card],
        reader: Reader | None = None,
    ) -> None:
        """Take the reader that gave the values, or None where they were computed now."""
        self._warehouse, self._query, self._cards = warehouse, query, cards
        self._reader = reader

    @cached_property
    def versions(self) -> dict[str, tuple[int, ...]]:
        """The versions of the values of each KPI."""
        if self._reader is not None:
            return self._reader.versions()
        return {name: (card.version,) for name, card in self._cards.items()}

    @cached_property
    def breaks(self) -> tuple[Break, ...]:
        """The breaks within the answer; none where it has no periods or nothing was published."""
        from cadran.published import Reader, has_ledger

        if self._reader is not None:
            return self._reader.breaks(in_series=True)
        times = [group for group in self._query.group_by if group.base == "metric_time"]
        grains = [group.asked_grain for group in times if not group.date_part]
        if len(times) != 1 or not all(grains) or not self._cards or not has_ledger(self._warehouse):
            return ()
        asked = replace(self._query, metrics=tuple(self._cards), where=(), group_by=tuple(times))
        return Reader(self._warehouse, asked, None, None).breaks(in_series=False)

"""An answer as it is kept and handed out: rows, versions, breaks, and the state they come from."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Hashable

    import pyarrow as pa

    from cadran.core.project.cards import Card
    from cadran.core.query.request import Query
    from cadran.core.result import Break


@dataclass(frozen=True)
class Answer:
    """One answer; the same object serves everybody who asks the same of the same state.

    Attributes:
        table: the rows, as the caller's role may see them.
        query: the question as it was answered, filters of the role included: not for the client.
        cards: the cards of its KPIs.
        versions: of the values of each KPI.
        breaks: where a KPI changed its meaning within it.
        like_for_like: whether every value can be compared with every other.
        governed: False where a metric in it is no KPI.
        state: the identifier of the data it was computed from.
        note: what has to be said beside the numbers; empty when nothing has.
        key: what makes it the answer to this question, under this role, of this state.
        sql: what the warehouse ran for it.
        forms: encoded forms that were made of it, kept with it.
        kept_as: the key under which a cache keeps it.
    """

    table: pa.Table
    query: Query
    cards: dict[str, Card]
    versions: dict[str, tuple[int, ...]]
    breaks: tuple[Break, ...]
    like_for_like: bool
    governed: bool
    state: str
    note: str = ""
    key: str = ""
    sql: str = ""
    forms: dict[str, bytes] = field(default_factory=dict)
    kept_as: Hashable = None

    @cached_property
    def etag(self) -> str:
        """A strong validator of its rows, without the form."""
        return etag(self.state, self.key)

    @property
    def size(self) -> int:
        """Bytes of its rows and of the forms made so far."""
        return int(self.table.nbytes) + sum(map(len, self.forms.values())) + 2_000


@dataclass(frozen=True, slots=True)
class Handed:
    """An answer as one caller got it.

    Attributes:
        answer: what was answered.
        cached: whether it was there already.
        seconds: that the caller waited for it in the desk.
    """

    answer: Answer
    cached: bool
    seconds: float


def etag(state: str, key: str) -> str:
    """The validator of the answer to a judged question in one state of the data."""
    return hashlib.sha256(f"{state} {key}".encode()).hexdigest()[:32]


_PUBLISHED = "_published"  # the column beside a KPI that holds what was said of it


def described(answer: Answer) -> dict[str, Any]:
    """Units, definitions, versions, breaks and warnings of an answer, as JSON types."""
    return {
        "units": {name: card.unit for name, card in answer.cards.items()},
        "definitions": {name: card.description for name, card in answer.cards.items()},
        "versions": {name: list(numbers) for name, numbers in answer.versions.items()},
        "breaks": [broken(one) for one in answer.breaks],
        "like_for_like": answer.like_for_like,
        "governed": answer.governed,
        "note": answer.note,
        "state": answer.state,
    }


def broken(one: Break) -> dict[str, Any]:
    """A break as JSON types: without values, which belong to the rows and their policy."""
    return {
        "kpi": one.kpi,
        "period": f"{one.period:%Y-%m-%d}",
        "before": one.before,
        "after": one.after,
        "kind": one.kind,
        "reason": one.reason,
        "in_series": one.in_series,
        "sentence": str(one),
    }


def columns(answer: Answer) -> list[dict[str, Any]]:
    """The columns with their types and, where they are KPIs, their labels and units."""
    shown = []
    for part in answer.table.schema:
        card = answer.cards.get(part.name) or answer.cards.get(part.name.removesuffix(_PUBLISHED))
        told: dict[str, Any] = {"name": part.name, "type": _type(part.type)}
        if card is not None:
            told |= {"label": card.label, "unit": card.unit, "decimals": card.decimals}
        shown.append(told)
    return shown


def _type(kind: pa.DataType) -> str:
    import pyarrow as pa

    for name, test in (
        ("boolean", pa.types.is_boolean), ("integer", pa.types.is_integer),
        ("decimal", pa.types.is_decimal), ("float", pa.types.is_floating),
        ("date", pa.types.is_date), ("timestamp", pa.types.is_timestamp),
    ):  # fmt: skip
        if test(kind):
            return name
    return "text"

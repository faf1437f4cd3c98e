"""An answer as it is kept and handed out: rows, versions, breaks, and the state they come from."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Hashable

    import pyarrow as pa

    from cadran.cards import Card
    from cadran.history import Break
    from cadran.query import Query


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

"""Whether a caller may ask a question, and the question as the policy lets it stand.

A question is judged here once, for every protocol: the filter of its role is in it before it is
compiled, cached or run.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from cadran.access.caller import LOCAL
from cadran.core.semantics.governed import TIME

if TYPE_CHECKING:
    import pyarrow as pa

    from cadran.access.caller import Caller, Limits
    from cadran.core.layer import Layer
    from cadran.core.query.request import Query


@dataclass(frozen=True, slots=True)
class Allowed:
    """A question that may be asked.

    Attributes:
        query: what is really asked: the saved query resolved, the filters of the role added.
        role: the role under which it is allowed; None where there is no policy.
        minimum_cell: observations that a value of a KPI about people needs under the role, where
            its card says less; 0 leaves it to the cards.
        hides: whether values of the answer may be hidden.
        policy: the edition of the policy by which it is allowed.
    """

    query: Query
    role: str | None = None
    minimum_cell: int = 0
    hides: bool = False
    policy: str = ""


@dataclass(frozen=True, slots=True)
class Visible:
    """What a caller may know of: names, or None for every one.

    `personal` dimensions are seen by nobody, by whatever path they are reached.
    """

    metrics: frozenset[str] | None = None
    dimensions: frozenset[str] | None = None
    personal: frozenset[str] = frozenset()

    def metric(self, name: str) -> bool:
        """Whether a metric of that name exists for the caller."""
        return self.metrics is None or name in self.metrics

    def dimension(self, name: str) -> bool:
        """Whether a dimension of that name exists for the caller; time does for everybody."""
        if name == TIME:
            return True
        if self.dimensions is not None and name not in self.dimensions:
            return False
        return not any(f"__{item}__" in f"__{name}__" for item in self.personal)


class Gate(Protocol):
    """What judges questions."""

    @property
    def edition(self) -> str:
        """Of what it judges by; what was judged by another one holds no more."""

    def allow(self, caller: Caller, query: Query, layer: Layer) -> Allowed:
        """The question as the caller may ask it.

        Raises:
            NotAllowedError: no role of the caller may ask it.
            QueryError: a filter is not what may come from a network.
            UnknownNameError: a name does not exist, or not for this caller.
        """

    def visible(self, caller: Caller, layer: Layer) -> Visible:
        """What the caller may know of."""

    def everyone(self) -> list[Caller]:
        """One caller for each set of rights there is, to answer saved queries beforehand."""

    def limits(self, caller: Caller) -> Limits:
        """What the caller may spend, by its own limits and those of its roles."""

    def check(self, layer: Layer) -> None:
        """Hold what it judges by against the definitions, before the first question.

        Raises:
            PolicyError: it names what does not exist.
        """

    def suppress(self, table: pa.Table, allowed: Allowed, layer: Layer) -> pa.Table:
        """The rows of an answer, with NULL where a cell rests on too few."""


class OpenGate:
    """Every caller may ask every governed question."""

    edition = ""

    def allow(self, caller: Caller, query: Query, layer: Layer) -> Allowed:  # noqa: ARG002
        """The question itself."""
        return Allowed(layer.resolved(query))

    def visible(self, caller: Caller, layer: Layer) -> Visible:  # noqa: ARG002
        """Everything."""
        return Visible()

    def everyone(self) -> list[Caller]:
        """The user of this machine."""
        return [LOCAL]

    def limits(self, caller: Caller) -> Limits:
        """The caller's own."""
        return caller.limits

    def check(self, layer: Layer) -> None:
        """Nothing is to be held against anything."""

    def suppress(self, table: pa.Table, allowed: Allowed, layer: Layer) -> pa.Table:  # noqa: ARG002
        """The rows themselves."""
        return table

"""The gate of a server: judges a question by the policy, or, without one, by the cards alone.

With or without a policy: filters are strict, what shows persons is refused, and values of KPIs
about people rest on enough observations. What a role may not see does not exist for it: the same
sentence answers for a name that is wrong and for one that is forbidden.
"""

from __future__ import annotations

import logging
import re
import threading
from dataclasses import fields
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from cadran.access import cells, rights
from cadran.access.asking import Asking
from cadran.access.caller import LOCAL, Caller, Limits
from cadran.access.gate import Allowed, Visible
from cadran.access.names import Names
from cadran.access.rights import Rights
from cadran.errors import CadranError, NotAllowedError, PolicyError, QueryError, UnknownNameError
from cadran.serving.question import Question

if TYPE_CHECKING:
    import pyarrow as pa

    from cadran.access.policy import Policy
    from cadran.layer import Layer

_LOG = logging.getLogger("cadran.access")


class PolicyGate:
    """Judges questions of callers from any thread."""

    def __init__(self, policy: Policy | None = None) -> None:
        """Take a policy; without one, whoever asks may ask every governed question."""
        self.policy = policy
        self._lock = threading.Lock()
        self._counts = cells.Counts()
        self._read: WeakKeyDictionary[Layer, tuple[Names, dict[str, Rights]]] = WeakKeyDictionary()

    def check(self, layer: Layer) -> None:
        """Hold the policy against the definitions of a layer, and read its names beforehand.

        Raises:
            PolicyError: it names what does not exist there.
        """
        names = self._of(layer)[0]
        names.is_personal("")
        if self.policy is not None:
            rights.of(self.policy, names)

    def allow(self, caller: Caller, question: Question, layer: Layer) -> Allowed:
        """The question as the caller may ask it, with the filters of its role.

        Raises:
            NotAllowedError: no role of the caller may ask it.
            NotGovernedError: the cards do not define it.
            QueryError: a filter is not what may come from a network.
            UnknownNameError: a name does not exist, or not for this caller.
        """
        names, held = self._held(caller, layer)
        if question.saved_query is not None:
            self._saved(caller, question.saved_query, layer)
        metrics = question.resolved(layer).query.metrics
        for name in metrics:
            if name not in names.metrics or not any(one.metric(name) for one in held):
                seen = (names.listed if one.metrics is None else one.metrics for one in held)
                raise UnknownNameError("metric", name, frozenset[str]().union(*seen))
        able = [one for one in held if all(one.metric(name) for name in metrics)]
        if not able:
            raise NotAllowedError(
                f"No role of {caller.name} may ask {', '.join(metrics)} together: ask them apart."
            )
        refused: CadranError | None = None
        for one in able:
            try:
                return self._judged(question, one, names, layer)
            except CadranError as problem:
                refused = refused or problem
        assert refused is not None  # noqa: S101 - there was at least one role
        raise refused

    def visible(self, caller: Caller, layer: Layer) -> Visible:
        """What any role of the caller may see."""
        names, held = self._held(caller, layer)
        metrics = dimensions = None
        if all(one.metrics is not None for one in held):
            metrics = frozenset(name for one in held for name in one.metrics or ())
        if all(one.dimensions is not None for one in held):
            dimensions = frozenset(name for one in held for name in one.dimensions or ())
        return Visible(metrics, dimensions, names.personal)

    def everyone(self) -> list[Caller]:
        """One caller for each role, or the user of this machine where there is no policy."""
        if self.policy is None:
            return [LOCAL]
        return [Caller(f"role {name}", (name,)) for name in self.policy.roles]

    def limits(self, caller: Caller) -> Limits:
        """What a caller may spend: its own limits, and the widest of its roles; the less holds."""
        roles = self.policy.roles if self.policy is not None else {}
        held = [roles[name].limits for name in caller.roles if name in roles]
        if not held:
            return caller.limits
        spent: dict[str, Any] = {
            one.name: _less(
                getattr(caller.limits, one.name),
                _most([getattr(limits, one.name) for limits in held]),
            )
            for one in fields(Limits)
        }
        return Limits(**spent)

    def shown(self, table: pa.Table, allowed: Allowed, layer: Layer) -> pa.Table:
        """The rows of an answer, with NULL where a value of a KPI about people is hidden."""
        return self._counts.shown(table, allowed, layer)

    def _held(self, caller: Caller, layer: Layer) -> tuple[Names, list[Rights]]:
        """The rights of a caller, in the order of its roles.

        Raises:
            NotAllowedError: it has none.
        """
        names, by_role = self._of(layer)
        if self.policy is None:
            return names, [Rights()]
        held = [by_role[name] for name in caller.roles if name in by_role]
        if not held:
            raise NotAllowedError(
                f"{caller.name} has no role that may see anything here: ask whoever keeps the"
                " policy."
            )
        return names, held

    def _of(self, layer: Layer) -> tuple[Names, dict[str, Rights]]:
        with self._lock:
            found = self._read.get(layer)
            if found is None:
                names, by_role = Names(layer), {}
                try:
                    by_role = rights.of(self.policy, names) if self.policy is not None else {}
                except PolicyError as problem:
                    # A build took away what the policy names: nobody sees anything until it is
                    # mended, since nobody knows what was meant.
                    _LOG.error("the policy does not fit the definitions: %s", problem)
                found = self._read[layer] = names, by_role
            return found

    def _saved(self, caller: Caller, name: str, layer: Layer) -> None:
        """Refuse a saved query that the caller may not ask as one that does not exist.

        Raises:
            UnknownNameError: so.
        """
        if self.policy is None:
            layer.saved_query(name)
            return
        names, held = self._held(caller, layer)
        known = [
            saved["name"]
            for saved in layer.saved_queries()
            if any(self._may(saved["name"], one, names, layer) for one in held)
        ]
        if name not in known:
            raise UnknownNameError("saved query", name, known)

    def _may(self, saved_query: str, one: Rights, names: Names, layer: Layer) -> bool:
        saved = Question.of({"saved_query": saved_query})
        if not all(one.metric(name) for name in saved.resolved(layer).query.metrics):
            return False
        try:
            self._judged(saved, one, names, layer)
        except CadranError:
            return False
        return True

    def _judged(self, question: Question, one: Rights, names: Names, layer: Layer) -> Allowed:
        allowed = Asking(question, one, names, layer).allowed()
        if one.role is not None:
            # Its plan is made here, so that no later sentence can name what is hidden.
            arguments = allowed.question.arguments()
            for apart in ("version", "known_at", "view"):
                arguments.pop(apart, None)
            try:
                layer.sql(**arguments)
            except CadranError as problem:
                raise self._without_hidden(problem, one, names) from None
        return allowed

    @staticmethod
    def _without_hidden(problem: CadranError, one: Rights, names: Names) -> CadranError:
        """An error whose sentence names nothing that the role may not know of."""
        said = set(re.findall(r"\w+", str(problem)))
        hidden = {name for name in names.metrics if not one.metric(name)}
        hidden |= {name for name in names.dimensions if not one.dimension(name)} | names.personal
        if not said & hidden and "MetricFlow" not in said:
            return problem
        _LOG.info("refused to role %s: %s", one.role, problem)
        return QueryError(
            "The question cannot be answered as it is asked: its metrics, dimensions and filters"
            " do not go together."
        )


def _less(one: float | None, other: float | None) -> float | None:
    return min((x for x in (one, other) if x is not None), default=None)


def _most(values: list[float | None]) -> float | None:
    return None if None in values else max(value for value in values if value is not None)

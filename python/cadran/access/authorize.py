"""The gate of a server: judges a question by the policy, or, without one, by the cards alone.

With or without a policy: filters are strict, what shows persons is refused, and values of KPIs
about people rest on enough observations. What a role may not see does not exist for it: the same
sentence answers for a name that is wrong and for one that is forbidden.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import logging
import os
import re
import threading
import time
from dataclasses import fields, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from cadran.access import policy as policies
from cadran.access import policy as rights
from cadran.access import suppression, tokens
from cadran.access.authentication import Bearers, Logins
from cadran.access.caller import LOCAL, Caller, Limits
from cadran.access.gate import Allowed, Visible
from cadran.access.policy import Names, Rights
from cadran.audit.log import Record
from cadran.core.query.filters import read
from cadran.core.query.request import GRAINS, GroupBy, Query
from cadran.core.semantics.governed import TIME, govern
from cadran.errors import (
    CadranError,
    NotAllowedError,
    PolicyError,
    QueryError,
    UnknownNameError,
    WarehouseError,
)

if TYPE_CHECKING:
    from pathlib import Path

    import pyarrow as pa

    from cadran.access.authentication import Authenticator, Provider
    from cadran.access.gate import Gate
    from cadran.access.policy import Policy
    from cadran.audit.log import Audit
    from cadran.core.layer import Layer
    from cadran.core.query.filters import Condition


# Engines' names of types that are no text, by how they begin.
_NOT_TEXT = (
    "BOOL", "INT", "TINYINT", "SMALLINT", "BIGINT", "HUGEINT", "UINT", "UTINYINT", "USMALLINT",
    "UBIGINT", "UHUGEINT", "DECIMAL", "NUMERIC", "NUMBER", "FLOAT", "DOUBLE", "REAL", "DATE",
    "TIME",
)  # fmt: skip


class Authorization:
    """Holds a question against the rights of a role."""

    def __init__(self, query: Query, rights: Rights, names: Names, layer: Layer) -> None:
        """Take a question whose metrics the role may see."""
        self._query = query
        self._rights, self._names, self._layer = rights, names, layer
        self._resolved = layer.resolved(query)

    def allowed(self) -> Allowed:
        """The question as the role may ask it.

        Raises:
            CadranError: it may not be asked so.
        """
        query = self._resolved
        conditions = [read(text, self._names.fields, remote=True) for text in self._query.where]
        # What a saved query filters by was reviewed in git: its names count, not its form.
        saved = query.where[: len(query.where) - len(conditions)]
        query = replace(
            query,
            group_by=tuple(self._lower(group) for group in query.group_by),
            where=(*saved, *conditions),
            order_by=tuple(self._column(item) for item in query.order_by),
        )
        saved_groups = [group for text in saved for group in read(text).groups]
        query = _reordered(self._dimensions(query, saved_groups, conditions), query.group_by)
        self._types(query.metrics, conditions)
        hides = self._hides(query, conditions)
        confined = self._confined(query)
        if query.version is not None:
            # An old version is frozen by its groups, and like the ledger filtered by them.
            query = replace(query, where=(*query.where, *confined))
        return Allowed(
            replace(query, confined=confined),
            self._rights.role,
            self._rights.minimum_cell if hides else 0,
            hides,
            self._rights.policy,
        )

    @cached_property
    def _available(self) -> list[dict[str, str]]:
        """What these metrics can be grouped by and the role may see."""
        dimensions = self._names.dimensions_of(self._resolved.metrics)
        return [
            item
            for item in dimensions
            if item["name"] == TIME or self._rights.dimension(item["name"])
        ]

    @staticmethod
    def _lower(group: GroupBy) -> GroupBy:
        grain, part = group.grain, group.date_part
        return GroupBy(group.name.lower(), grain and grain.lower(), part and part.lower())

    def _plain(self, group: GroupBy) -> GroupBy:
        """A group in one form, so that the same question in two forms is one question."""
        plain = self._names.plain(group)
        return GroupBy(plain.column) if plain.grain in GRAINS and not plain.date_part else group

    def _column(self, item: str) -> str:
        is_metric = item.removeprefix("-") in self._resolved.metrics
        return item if is_metric else item.lower()

    def _dimensions(self, query: Query, saved: list[GroupBy], conditions: list[Condition]) -> Query:
        """The question, if the role may see all of it and the cards have it.

        Raises:
            CadranError: it may not, or they have not.
        """
        fields = [field.group for condition in conditions for field in condition.fields]
        groups = [self._names.plain(group) for group in (*query.group_by, *saved, *fields)]
        if self._rights.role is None:
            for group in groups:
                if self._names.is_personal(group.name):
                    raise NotAllowedError(
                        f"{group.name} shows persons: it is not given out, and cannot be filtered"
                        " by."
                    )
        names = {item["name"] for item in self._available}
        cards = [
            replace(card, dimensions=tuple(name for name in card.dimensions if name in names))
            for name in query.metrics
            if (card := self._names.cards.get(name)) is not None
        ]
        if cards:
            query = govern(query, cards, lambda _: self._available, remote=True)
        of = f" for {', '.join(query.metrics)}" if query.metrics else ""
        for group in groups:
            if group.name not in names:
                raise UnknownNameError("dimension", group.name, names, where=of)
        return replace(query, group_by=tuple(self._plain(group) for group in query.group_by))

    def _types(self, metrics: tuple[str, ...], conditions: list[Condition]) -> None:
        """Refuse a text dimension that is compared with anything but text.

        The warehouse would read every one of its values as a number, and its complaint would tell
        one, of a row perhaps that the role may not see.
        """
        for condition in conditions:
            for field, kind in condition.compared:
                if kind in ("text", "nothing") or field.kind == "TimeDimension":
                    continue
                name = field.group.name
                sql = self._layer.sql(metrics, [GroupBy(name)], governed=False, ordered=False)
                try:
                    types = self._layer.warehouse.column_types(sql)
                except WarehouseError:
                    raise QueryError("The warehouse cannot apply the filter now.") from None
                if not types[name].upper().startswith(_NOT_TEXT):
                    raise QueryError(
                        f"{name} is text, and the filter compares it with a {kind}: write text in"
                        " single quotes."
                    )

    def _hides(self, query: Query, conditions: list[Condition]) -> bool:
        """Whether there is a KPI about people in it; refuse what would tell its hidden values.

        Raises:
            NotAllowedError: so.
        """
        cards = [self._names.cards.get(name) for name in query.metrics]
        people = [card.name for card in cards if card is not None and card.minimum_cell]
        if not people:
            return False
        of = f"{people[0]} is about people"
        fields = [field for condition in conditions for field in condition.fields]
        bounds = [bound.time() for bound in (query.start, query.end) if bound is not None]
        ordered = {item.removeprefix("-") for item in query.order_by}
        if self._names.looks_around(tuple(people)):
            raise NotAllowedError(f"{of}, and looks over several periods: it cannot be given out.")
        if not self._is_of_now:
            raise NotAllowedError(
                f"{of}: what was published of it is not given out here, only its values of now."
            )
        if query.limit is not None and ordered & {*people}:
            raise NotAllowedError(
                f"{of}: its greatest or least values would tell hidden ones. Order by a dimension,"
                " or leave out the limit."
            )
        if any(field.kind == "TimeDimension" for field in fields):
            raise NotAllowedError(f"{of}: give a time range with start and end, not in a filter.")
        if any(bound not in (dt.time.min, dt.time.max) for bound in bounds):
            raise NotAllowedError(f"{of}: its time range begins and ends with whole days.")
        return True

    @property
    def _is_of_now(self) -> bool:
        """Whether it asks values as they are computed now, not as they were published."""
        apart = self._resolved
        now = apart.view in (None, "restated") and apart.known_at is None
        return now and apart.version is None

    def _confined(self, query: Query) -> tuple[str, ...]:
        """The conditions on rows, where they can be held."""
        rights = self._rights
        times_only = all(self._names.plain(group).name == TIME for group in query.group_by)
        if not rights.confined or (not query.metrics and times_only):
            return ()  # days are no rows of anybody
        reached = {
            item["name"] for item in self._layer.dimensions(query.metrics, governed=False)
        } | self._names.fields.entities
        # MetricFlow filters the first events of a conversion only; those that follow are found by
        # their entity. What tells rows apart must be said of that entity: then it holds of both.
        is_grouped = all(
            group.name.rpartition("__")[0] == entity
            for group in rights.by
            for entity in self._names.conversions(query.metrics)
        )
        if not is_grouped or any(group.name not in reached for group in rights.by):
            raise NotAllowedError(
                f"{', '.join(query.metrics)} cannot be told apart for the rows that the role"
                f" {rights.role} may see, so it may not see it."
            )
        columns = {self._names.plain(group).column for group in query.group_by}
        missing = [group for group in rights.by if group.column not in columns]
        if missing and not self._is_of_now:
            visible = [group.column for group in missing if rights.dimension(group.name)]
            by = f": group by {', '.join(visible)}" if len(visible) == len(missing) else ""
            raise NotAllowedError(
                f"What was published holds all rows, and the role {rights.role} may see some"
                f" of them: only what is grouped by what tells them apart can be given out{by}."
            )
        return rights.confined


def _reordered(query: Query, before: tuple[GroupBy, ...]) -> Query:
    """The question ordered by its columns as they are called now that each has its grain."""
    now = {
        previous.name: group.column for previous, group in zip(before, query.group_by, strict=True)
    }
    order_by = tuple(
        item[: item.startswith("-")] + now.get(item.removeprefix("-"), item.removeprefix("-"))
        for item in query.order_by
    )
    return replace(query, order_by=order_by)


_LOG = logging.getLogger("cadran.access")
_LOOK = 1.0  # seconds between two looks at the file


class PolicyGate:
    """Judges questions of callers from any thread."""

    def __init__(self, policy: Policy | None = None, path: Path | None = None) -> None:
        """Take a policy; without one, whoever asks may ask every governed question.

        Args:
            policy: the roles.
            path: the file in which they stand or will stand; its changes are taken over.
        """
        self.policy = policy
        self._path = path
        self._stamp = _stamp(path)
        self._looked = time.monotonic()
        self._lock = threading.RLock()
        self._counts = suppression.Counts()
        self._read: WeakKeyDictionary[Layer, tuple[Names, dict[str, Rights]]] = WeakKeyDictionary()

    def check(self, layer: Layer) -> None:
        """Hold the policy against the definitions of a layer, and read its names beforehand.

        Raises:
            PolicyError: it names what does not exist there.
        """
        names = self._of(layer)[0]
        names.is_personal("")
        with contextlib.suppress(CadranError):  # who asks for a broken card is told so
            _ = names.cards
        if self.policy is not None:
            rights.of(self.policy, names)

    def allow(self, caller: Caller, query: Query, layer: Layer) -> Allowed:
        """The question as the caller may ask it, with the filters of its role.

        Raises:
            NotAllowedError: no role of the caller may ask it.
            NotGovernedError: the cards do not define it.
            QueryError: a filter is not what may come from a network.
            UnknownNameError: a name does not exist, or not for this caller.
        """
        names, roles = self._roles_of(caller, layer)
        if query.saved_query is not None:
            self._saved(caller, query.saved_query, layer)
        metrics = layer.resolved(query).metrics
        for name in metrics:
            if name not in names.metrics or not any(entry.metric(name) for entry in roles):
                listed = (
                    names.listed if entry.metrics is None else entry.metrics for entry in roles
                )
                raise UnknownNameError("metric", name, frozenset[str]().union(*listed))
        permitted = [entry for entry in roles if all(entry.metric(name) for name in metrics)]
        if not permitted:
            raise NotAllowedError(
                f"No role of {caller.name} may ask {', '.join(metrics)} together: ask them apart."
            )
        refused: CadranError | None = None
        for entry in permitted:
            try:
                return self._authorized(query, entry, names, layer)
            except CadranError as problem:
                refused = refused or problem
        assert refused is not None  # noqa: S101 - there was at least one role
        raise refused

    def visible(self, caller: Caller, layer: Layer) -> Visible:
        """What any role of the caller may see."""
        names, roles = self._roles_of(caller, layer)
        metrics = dimensions = None
        if all(entry.metrics is not None for entry in roles):
            metrics = frozenset(name for entry in roles for name in entry.metrics or ())
        if all(entry.dimensions is not None for entry in roles):
            dimensions = frozenset(name for entry in roles for name in entry.dimensions or ())
        return Visible(metrics, dimensions, names.personal)

    def everyone(self) -> list[Caller]:
        """One caller for each role, or the user of this machine where there is no policy."""
        if self.policy is None:
            return [LOCAL]
        return [Caller(f"role {name}", (name,)) for name in self.policy.roles]

    def limits(self, caller: Caller) -> Limits:
        """What a caller may spend: its own limits, and the widest of its roles; the less holds."""
        roles = self.policy.roles if self.policy is not None else {}
        limits_held = [roles[name].limits for name in caller.roles if name in roles]
        if not limits_held:
            return caller.limits
        spent: dict[str, Any] = {
            field.name: _less(
                getattr(caller.limits, field.name),
                _most([getattr(limits, field.name) for limits in limits_held]),
            )
            for field in fields(Limits)
        }
        return Limits(**spent)

    def suppress(self, table: pa.Table, allowed: Allowed, layer: Layer) -> pa.Table:
        """The rows of an answer, with NULL where a value of a KPI about people is hidden."""
        return self._counts.suppress(table, allowed, layer) if allowed.hides else table

    @property
    def edition(self) -> str:
        """Of the policy; the file is looked at once a second at most."""
        self._look()
        return "" if self.policy is None else self.policy.edition

    def _look(self) -> None:
        """Take over a policy that was edited, where it holds for the definitions that are served.

        One that is broken, and a file that went away, leave the policy as it was: it never opens.
        """
        if self._path is None or time.monotonic() - self._looked < _LOOK:
            return
        with self._lock:
            self._looked = time.monotonic()
            stamp = _stamp(self._path)
            if stamp == self._stamp:
                return
            self._stamp = stamp
            try:
                policy = policies.read(self._path)
                fresh = {
                    layer: (names, rights.of(policy, names))
                    for layer, (names, _) in list(self._read.items())
                }
            except PolicyError as problem:
                _LOG.error("the policy that was known before goes on: %s", problem)
                return
            self.policy = policy
            self._read = WeakKeyDictionary(fresh)
            _LOG.info("the policy in %s was taken over", self._path)

    def _roles_of(self, caller: Caller, layer: Layer) -> tuple[Names, list[Rights]]:
        """The rights of a caller, in the order of its roles.

        Raises:
            NotAllowedError: it has none.
        """
        self._look()
        with self._lock:
            names, by_role = self._of(layer)
            policy = self.policy
        if policy is None and caller.roles:
            raise NotAllowedError(
                f"{caller.name} has the role {caller.roles[0]}, and there is no policy here that"
                " says what it may see: ask whoever keeps the server."
            )
        if policy is None:
            return names, [Rights()]
        roles = [by_role[name] for name in caller.roles if name in by_role]
        if not roles:
            raise NotAllowedError(
                f"{caller.name} has no role that may see anything here: ask whoever keeps the"
                " policy."
            )
        return names, roles

    def _of(self, layer: Layer) -> tuple[Names, dict[str, Rights]]:
        with self._lock:
            entry = self._read.get(layer)
            if entry is None:
                names, by_role = Names(layer), {}
                try:
                    by_role = rights.of(self.policy, names) if self.policy is not None else {}
                except PolicyError as problem:
                    # A build took away what the policy names: nobody sees anything until it is
                    # mended, since nobody knows what was meant.
                    _LOG.error("the policy does not fit the definitions: %s", problem)
                entry = self._read[layer] = names, by_role
            return entry

    def _saved(self, caller: Caller, name: str, layer: Layer) -> None:
        """Refuse a saved query that the caller may not ask as one that does not exist.

        Raises:
            UnknownNameError: so.
        """
        if self.policy is None:
            layer.saved_query(name)
            return
        names, roles = self._roles_of(caller, layer)
        saved_queries = [
            saved["name"]
            for saved in layer.saved_queries()
            if any(self._may(saved["name"], entry, names, layer) for entry in roles)
        ]
        if name not in saved_queries:
            raise UnknownNameError("saved query", name, saved_queries)

    def _may(self, saved_query: str, role_rights: Rights, names: Names, layer: Layer) -> bool:
        saved = Query(saved_query=saved_query)
        if not all(role_rights.metric(name) for name in layer.resolved(saved).metrics):
            return False
        try:
            self._authorized(saved, role_rights, names, layer)
        except CadranError:
            return False
        return True

    def _authorized(self, query: Query, role_rights: Rights, names: Names, layer: Layer) -> Allowed:
        allowed = Authorization(query, role_rights, names, layer).allowed()
        if role_rights.role is not None:
            # Its plan is made here, so that no later sentence can name what is hidden.
            try:
                layer.compiled(allowed.query)
            except CadranError as problem:
                raise self._without_hidden(problem, role_rights, names) from None
        return allowed

    @staticmethod
    def _without_hidden(problem: CadranError, role_rights: Rights, names: Names) -> CadranError:
        """An error whose sentence names nothing that the role may not know of."""
        words = set(re.findall(r"\w+", str(problem)))
        hidden = {name for name in names.metrics if not role_rights.metric(name)}
        hidden |= {
            name for name in names.dimensions if not role_rights.dimension(name)
        } | names.personal
        if not words & hidden and "MetricFlow" not in words:
            return problem
        _LOG.info("refused to role %s: %s", role_rights.role, problem)
        return QueryError(
            "The question cannot be answered as it is asked: its metrics, dimensions and filters"
            " do not go together."
        )


def _stamp(path: Path | None) -> tuple[int, int, int] | None:
    try:
        stat = os.stat(path) if path is not None else None  # noqa: PTH116 - None is no path
    except OSError:
        return None
    return (stat.st_mtime_ns, stat.st_ino, stat.st_size) if stat is not None else None


def _less(first: float | None, second: float | None) -> float | None:
    return min((x for x in (first, second) if x is not None), default=None)


def _most(values: list[float | None]) -> float | None:
    return None if None in values else max(value for value in values if value is not None)


def authenticator(tokens: Path, logins: Provider | None) -> Authenticator:
    """Who knows callers: tokens and logins where there are any, else anybody may ask.

    Raises:
        PolicyError: the file of tokens cannot be read.
    """
    return Bearers(tokens, Logins(logins) if logins is not None else None)


def gate(policy: Path) -> Gate:
    """What judges questions: the policy where there is one, else the cards alone.

    Raises:
        PolicyError: the policy cannot be read.
    """
    return PolicyGate(policies.read(policy) if os.path.lexists(policy) else None, policy)


def refuse_roles_without_policy(file: Path, logins: Provider | None, gate: Gate) -> None:
    """Refuse to begin where callers have roles of which nothing says what they may see.

    Raises:
        PolicyError: so.
    """
    if not isinstance(gate, PolicyGate) or gate.policy is not None:
        return
    now = dt.datetime.now(dt.UTC)
    bearer = next((one for one in tokens.read(file) if one.roles and not one.ended(now)), None)
    if bearer is not None:
        raise PolicyError(
            f"The token of {bearer.name} has the role {bearer.roles[0]}, and there is no policy"
            f" that says what it may see: write {policies.FILE}, or make a token without a role."
        )
    if logins is not None and logins.roles:
        raise PolicyError(
            "The setting oidc gives roles to logins, and there is no policy that says what they"
            f" may see: write {policies.FILE}, or leave out its roles."
        )


def audit(folder: Path, *, strict: bool = False) -> Audit:
    """What records questions; strict, what cannot be recorded is not answered."""
    return Record(folder, strict=strict)

"""The evaluator: looks at every rule, moves the alerts, and takes out what is to be told.

Several may run on one store; the one that has its lease evaluates. A step of an alert and its
notifications are written together before anything is sent, and a notification stays open until its
receiver took it: a crash in between sends it again, under the same id.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import logging
import os
import random
import secrets
import socket
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cadran.errors import AlertsError, CadranError, QueryError, ServiceError
from cadran.formats import periods
from cadran.reliability.alerts import delivery, message
from cadran.reliability.alerts.conditions import Conditions
from cadran.reliability.alerts.machine import Alert, Key, Observation, State, advance
from cadran.reliability.alerts.policy import SELF
from cadran.reliability.alerts.store import Change, LostLeaseError, Standing, Store, Transition

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

    from cadran.core.layer import Layer
    from cadran.reliability import status
    from cadran.reliability.alerts.policy import Policies, Rule
    from cadran.reliability.alerts.store import Notification

_LOG = logging.getLogger("cadran.alerts")
_LEASE = 60.0  # seconds; a send takes ten at most, and each renews it
_MOST = 200  # notifications that one look takes out
_LONGEST_WAIT = 300.0  # seconds between two tries
_BLIND = dt.timedelta(minutes=5)  # for how long a rule may be unreadable before it is told
_SHOWN = 300  # characters of a problem


@dataclass(frozen=True, slots=True)
class Look:
    """What one look did.

    Attributes:
        evaluates: False where another evaluator has the lease.
        transitions: the steps that alerts made.
        sent: how many notifications were taken out.
        problems: rules that cannot be evaluated, and why.
    """

    evaluates: bool
    transitions: tuple[Transition, ...] = ()
    sent: int = 0
    problems: tuple[tuple[str, str], ...] = ()


def evaluator_name() -> str:
    """A name that no other evaluator has."""
    return f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"


@contextlib.contextmanager
def opened(
    policies: Policies, layer: Callable[[], AbstractContextManager[Layer]], root: Path
) -> Iterator[Evaluator]:
    """An evaluator of the policies, whose store is closed with the block.

    Args:
        policies: what is watched and who is told.
        layer: gives the layer as it is now.
        root: the folder that files of secrets are relative to.

    Raises:
        AlertsError: the store cannot be opened, or a secret is not there.
    """
    for receiver in policies.receivers:
        receiver.check(root)
    with contextlib.closing(Store(policies.store, evaluator_name())) as store:
        yield Evaluator(policies, store, layer, root)


class Evaluator:
    """Evaluates the policies of one project.

    Attributes:
        store: what is remembered.
    """

    def __init__(
        self,
        policies: Policies,
        store: Store,
        layer: Callable[[], AbstractContextManager[Layer]],
        root: Path,
        *,
        clock: Callable[[], dt.datetime] = lambda: dt.datetime.now(dt.UTC),
    ) -> None:
        """Name its parts.

        Args:
            policies: what is watched and who is told.
            store: what is remembered.
            layer: gives the layer as it is now.
            root: the folder that files of secrets are relative to.
            clock: tells the time.
        """
        self.store = store
        self._policies, self._store, self._layer, self._clock = policies, store, layer, clock
        self._senders = {
            receiver.name: delivery.sender(receiver, root) for receiver in policies.receivers
        }
        self._resent_at: dict[str, dt.datetime] = {}
        self._lease = max(_LEASE, 4 * policies.every)
        self._last_problem = ""
        self._problems: dict[str, str] = {}

    def run(self, stop: threading.Event) -> None:
        """Look again and again until it is told to stop."""
        while not stop.is_set():
            try:
                self.look()
                self._last_problem = ""
            except CadranError as problem:
                # What is written stays; the next look is as good. Said once.
                if str(problem) != self._last_problem:
                    _LOG.error("alerts are not evaluated: %s", problem)
                self._last_problem = str(problem)
            except Exception:  # noqa: BLE001 - the next look is as good
                _LOG.exception("alerts are not evaluated")
            stop.wait(self._policies.every)

    def look(self) -> Look:
        """Evaluate every rule once, and send what is due.

        Raises:
            AlertsError: the store cannot be written.
        """
        if not self._holds():
            return Look(evaluates=False)
        try:
            transitions, problems = self._evaluate()
        except LostLeaseError as problem:
            _LOG.warning("%s", problem)
            return Look(evaluates=False)
        except Exception:
            self._deliver()  # what is known is told, whatever is wrong
            raise
        return Look(
            evaluates=True,
            transitions=tuple(transitions),
            sent=self._deliver(),
            problems=tuple(problems.items()),
        )

    def _holds(self) -> bool:
        return self._store.hold(self._clock().timestamp(), self._lease)

    def _evaluate(self) -> tuple[list[Transition], dict[str, str]]:
        now, standings = self._clock(), self._store.standings()
        rules = [rule.name for rule in self._policies.rules]
        changes: list[Change] = []
        problems: dict[str, str] = {}
        try:
            with self._layer() as layer:
                changes += self._seen(layer, now, standings, problems)
        except AlertsError:
            raise
        except CadranError as problem:
            changes = []
            problems = dict.fromkeys(rules, _sentence(problem))
        teller = _Teller(self._policies)
        for name in rules:
            changes += self._blind(standings, name, problems.get(name), now, teller)
        gone = {
            key
            for key, standing in standings.items()
            if standing.alert.state in _OPEN
            and (key.subject if key.rule == SELF else key.rule) not in rules
        }
        changes += self._ended(standings, gone, now, teller)
        for name, sentence in problems.items():
            if self._problems.get(name) != sentence:  # said once
                _LOG.warning("rule %s cannot be evaluated: %s", name, sentence)
        self._problems = problems
        transitions = self._store.write(changes, now)
        for step in transitions:
            _LOG.info("%s: %s, was %s", step.key, step.to_state.value, step.from_state.value)
        return transitions, problems

    def _seen(
        self,
        layer: Layer,
        now: dt.datetime,
        standings: dict[Key, Standing],
        problems: dict[str, str],
    ) -> Iterator[Change]:
        """What every rule sees, and what becomes of its alerts; problems are added by rule."""
        conditions = Conditions(
            layer, now,
            settle=dt.timedelta(seconds=self._policies.settle),
            catch_up=periods.length(self._policies.catch_up),
        )  # fmt: skip
        teller = _Teller(self._policies, layer, conditions)
        since = {key: s.alert.at for key, s in standings.items() if s.alert.at is not None}
        for rule in self._policies.rules:
            try:
                by_key: dict[Key, list[Observation]] = defaultdict(list)
                for observation in conditions.of(rule, since):
                    by_key[observation.key].append(observation)
                gone = {
                    key
                    for key, standing in standings.items()
                    if key.rule == rule.name
                    and standing.alert.state in _OPEN
                    and not conditions.covers(rule, key)
                }
                changes = [
                    change
                    for key, observations in by_key.items()
                    for change in self._advanced(standings.get(key), observations, rule, teller)
                ]
                changes += self._ended(standings, gone, now, teller)
            except CadranError as problem:
                problems[rule.name] = _sentence(problem)
                continue
            yield from changes

    def _advanced(
        self,
        standing: Standing | None,
        observations: list[Observation],
        rule: Rule | None,
        teller: _Teller,
        *,
        pending_for: dt.timedelta = dt.timedelta(),
    ) -> Iterator[Change]:
        """What observations of one alert, in the order of time, make of it."""
        alert = standing.alert if standing else Alert()
        facts = standing.facts if standing else {}
        lengths = {
            "pending_for": (rule and rule.pending) or pending_for,
            "keep_firing_for": (rule and rule.keep_firing) or dt.timedelta(),
        }
        for number, seen in enumerate(observations, 1):
            before, alert = alert, advance(alert, seen, **lengths)
            is_step = alert.state is not before.state
            event = _event(before.state, alert.state)
            if event:
                facts = teller.facts(rule, seen, alert, facts)
            elif not alert.state.is_firing:
                facts = {}
            if is_step or number == len(observations):
                yield Change(
                    Standing(seen.key, seen.severity, alert, facts),
                    Transition.of(seen, before, alert) if is_step else None,
                    teller.bodies(rule, seen, facts, event) if event else (),
                )

    def _ended(
        self, standings: dict[Key, Standing], keys: set[Key], now: dt.datetime, teller: _Teller
    ) -> Iterator[Change]:
        """What becomes of alerts whose rule or subject is gone: they end at once."""
        for key in keys:
            standing = standings[key]
            at = max(now, standing.alert.at or now)
            seen = Observation(key, at, holds=False, severity=standing.severity,
                               values={"gone": True})  # fmt: skip
            yield from self._advanced(standing, [seen], None, teller)

    def _blind(
        self, standings: dict[Key, Standing], rule: str, problem: str | None, now: dt.datetime,
        teller: _Teller,
    ) -> Iterator[Change]:  # fmt: skip
        """An alert of its own tells of a rule that cannot be evaluated."""
        key = Key(SELF, rule)
        standing = standings.get(key)
        if problem is None and standing is None:
            return
        values = {"problem": problem} if problem else {}
        seen = Observation(key, now, holds=problem is not None, severity="page", values=values)
        yield from self._advanced(standing, [seen], None, teller, pending_for=_BLIND)

    def _deliver(self) -> int:
        """Send what is due; returns how much was sent."""
        now, sent = self._clock(), 0
        again = {
            name
            for name, sender in self._senders.items()
            if isinstance(sender, delivery.Alertmanager)
            and now - self._resent_at.get(name, now - delivery.RESEND) >= delivery.RESEND
        }
        try:
            # Of one alert a receiver hears one step after the other.
            while sent < _MOST:
                count = self._round()
                sent += count
                if not count:
                    break
            if again:
                self._together(self._resend, again)
        except LostLeaseError as problem:
            _LOG.warning("%s", problem)
        return sent

    def _round(self) -> int:
        """Send the next step of each alert: receivers side by side, to each one after the other."""
        queues: dict[str, list[Notification]] = defaultdict(list)
        for notification in self._store.due(self._clock().timestamp(), _MOST):
            queues[notification.receiver].append(notification)
        return sum(self._together(lambda name: self._drain(name, queues[name]), set(queues)))

    @staticmethod
    def _together(send: Callable[[str], int], names: set[str]) -> list[int]:
        """What sending to each receiver gave, side by side: a slow one holds up no other."""
        if not names:
            return []
        with ThreadPoolExecutor(len(names), thread_name_prefix="alerts") as pool:
            return list(pool.map(send, sorted(names)))

    def _drain(self, name: str, queue: list[Notification]) -> int:
        """Send to one receiver until it fails; returns how many it took."""
        sent = 0
        for notification in queue:
            if not self._holds():
                raise LostLeaseError("Another evaluator has taken over: this one sends nothing.")
            problem = self._try(name, notification)
            if problem is None:
                self._store.sent(notification, self._clock())
                sent += 1
                continue
            self._postpone(notification, problem)
            break
        return sent

    def _try(self, name: str, notification: Notification) -> str | None:
        """Send it; returns why it could not be sent."""
        sender = self._senders.get(name)
        if sender is None:
            return f"There is no receiver '{name}' any more."
        try:
            sender.send(notification.body, self._clock())
        except (AlertsError, ServiceError) as problem:
            return str(problem)
        return None

    def _postpone(self, notification: Notification, problem: str) -> None:
        now = self._clock()
        wait = min(_LONGEST_WAIT, 2.0 ** min(notification.attempts, 10))
        wait *= random.uniform(0.5, 1.0)  # noqa: S311 - no secret
        patience = periods.length(self._policies.give_up_after)
        given_up = now if now - notification.recorded_at > patience else None
        log = _LOG.error if given_up else _LOG.warning
        log(
            "%s is not told of %s%s: %s", notification.receiver, notification.key,
            ", for good" if given_up else "", problem,
        )  # fmt: skip
        self._store.failed(notification, problem, now.timestamp() + wait, given_up)

    def _resend(self, name: str) -> int:
        """Tell an Alertmanager what fires, before it forgets; returns how much that is."""
        sender, now = self._senders[name], self._clock()
        assert isinstance(sender, delivery.Alertmanager)  # noqa: S101 - as `_deliver` found it
        bodies = [
            message.body(
                standing.facts, "firing", self._policies.rule(standing.key.rule), receiver.lang
            )
            for standing in self._store.standings().values()
            if standing.alert.state.is_firing
            for receiver in self._policies.receivers_of(
                Observation(standing.key, now, holds=True, severity=standing.severity),
                standing.facts["names"],
            )
            if receiver.name == name
        ]
        try:
            if bodies:
                sender.send_all(bodies, now)
            self._resent_at[name] = now
        except (AlertsError, ServiceError) as problem:
            _LOG.warning("%s does not hear what still fires: %s", name, problem)
            return 0
        return len(bodies)


_OPEN = {State.PENDING, State.FIRING, State.KEEP_FIRING}


def _sentence(problem: CadranError) -> str:
    return " ".join(str(problem).split())[:_SHOWN]


def _event(before: State, after: State) -> str | None:
    """What a step is to its receivers; None where they do not hear of it."""
    if after is State.FIRING and not before.is_firing:
        return "firing"
    return "resolved" if after is State.RESOLVED and before.is_firing else None


class _Teller:
    """What is told of steps, for one evaluation."""

    def __init__(
        self,
        policies: Policies,
        layer: Layer | None = None,
        conditions: Conditions | None = None,
    ) -> None:
        self._policies, self._layer, self._conditions = policies, layer, conditions

    def facts(
        self, rule: Rule | None, seen: Observation, alert: Alert, before: dict[str, Any]
    ) -> dict[str, Any]:
        """The facts of a message, and by which names its subject is chosen.

        What ends has the labels under which it began: by these its receivers know it.
        """
        if before and seen.values.get("gone"):
            return message.ended(before, alert)
        slos: dict[str, status.Status] = {}
        if self._conditions is not None:
            with contextlib.suppress(QueryError):  # a project without SLOs
                slos = self._conditions.statuses()
        facts = message.facts_of(self._layer, self._policies, rule, slos, seen, alert)
        names = sorted(message.names_of(slos, seen.key))
        return facts | {"names": names} | {k: before[k] for k in ("labels",) if k in before}

    def bodies(
        self, rule: Rule | None, seen: Observation, facts: dict[str, Any], state: str
    ) -> tuple[tuple[str, dict[str, Any]], ...]:
        """What each receiver is sent."""
        return tuple(
            (receiver.name, message.body(facts, state, rule, receiver.lang))
            for receiver in self._policies.receivers_of(seen, facts["names"])
        )

"""What alerts remember: their states, every transition, and what is still to be sent.

One SQLite file, which several evaluators on one machine may open. A lease says which of them
evaluates; each write checks it, so that one that was stopped and goes on later writes nothing. A
state, its transition and the notifications of it are written in one transaction: what happened is
sent, and what is sent happened. Transitions can be added only, never changed.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import sqlite3
import threading
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

from cadran.errors import AlertsError
from cadran.reliability.alerts.machine import Alert, Key, State

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from cadran.reliability.alerts.machine import Observation

_BUSY = 10.0  # seconds for which a write waits for another one
_APPLICATION = 0x43414C52
_LAYOUT = 1
_TABLES = """
create table lease (
    only_row integer primary key check (only_row = 1), holder text not null, until real not null
);
create table alerts (
    rule text not null, subject text not null, tier text not null, severity text not null,
    state text not null, at text, active_at text, fired_at text, quiet_at text, resolved_at text,
    facts text not null, primary key (rule, subject, tier)
);
create table transitions (
    transition_id integer primary key autoincrement,
    rule text not null, subject text not null, tier text not null, severity text not null,
    from_state text not null, to_state text not null, at text not null, recorded_at text not null,
    "values" text not null, versions text not null, evaluator text not null
);
create index transitions_by_alert on transitions (rule, subject, tier);
create trigger transitions_stay before update on transitions
begin select raise(abort, 'transitions are only added'); end;
create trigger transitions_remain before delete on transitions
begin select raise(abort, 'transitions are only added'); end;
create table outbox (
    notification_id integer primary key autoincrement,
    transition_id integer not null references transitions, receiver text not null,
    body text not null, attempts integer not null default 0, due_at real not null,
    sent_at text, given_up_at text, problem text,
    unique (transition_id, receiver)
);
create index outbox_open on outbox (due_at) where sent_at is null and given_up_at is null;
"""


@dataclass(frozen=True, slots=True)
class Transition:
    """An alert that went from one state into another, with what said so.

    Attributes:
        id: ascending; 0 until it is written.
        at: the instant of the data.
        recorded_at: the instant of the clock.
    """

    key: Key
    severity: str
    from_state: State
    to_state: State
    at: dt.datetime
    values: dict[str, Any]
    versions: dict[str, Any]
    recorded_at: dt.datetime | None = None
    evaluator: str = ""
    id: int = 0

    @classmethod
    def of(cls, observation: Observation, before: Alert, after: Alert) -> Transition:
        """The step between two states of an alert."""
        return cls(
            key=observation.key,
            severity=observation.severity,
            from_state=before.state,
            to_state=after.state,
            at=observation.at,
            values=observation.values,
            versions=observation.versions,
        )


@dataclass(frozen=True, slots=True)
class Standing:
    """An alert as it is remembered: where it stands, and what is told of it while it fires."""

    key: Key
    severity: str
    alert: Alert
    facts: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Change:
    """What one evaluation writes of one alert.

    Attributes:
        standing: the alert after it.
        transition: the step that it made; None where it stays in its state.
        bodies: what is sent of the step, by receiver.
    """

    standing: Standing
    transition: Transition | None = None
    bodies: tuple[tuple[str, dict[str, Any]], ...] = ()


@dataclass(frozen=True, slots=True)
class Notification:
    """Something that is to be sent; the id stays the same however often it is tried."""

    id: int
    receiver: str
    body: dict[str, Any]
    attempts: int
    recorded_at: dt.datetime
    key: Key


class LostLeaseError(AlertsError):
    """Another evaluator has taken over."""


class Store:
    """The file. Thread-safe.

    Attributes:
        number: of the last transition that was written here; it needs no look into the file.
    """

    def __init__(self, path: Path, holder: str) -> None:
        """Open it, or make it.

        Args:
            path: the file; its folder is made.
            holder: the name of this evaluator, unlike any other's.

        Raises:
            AlertsError: the file cannot be opened, or is none of these.
        """
        self._path, self._holder = path, holder
        self._lock = threading.RLock()
        self.number = 0
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(
                path, timeout=_BUSY, isolation_level=None, check_same_thread=False
            )
            self._db.row_factory = sqlite3.Row
            self._db.execute("pragma journal_mode = wal")
            self._db.execute("pragma synchronous = full")
            self._db.execute("pragma foreign_keys = on")
            with self._transaction():
                self._make()
        except (sqlite3.Error, OSError) as problem:
            raise AlertsError(f"The store of alerts {path} cannot be used: {problem}.") from None

    def _make(self) -> None:
        ours = self._db.execute("pragma application_id").fetchone()[0]
        layout = self._db.execute("pragma user_version").fetchone()[0]
        is_empty = not self._db.execute("select count(*) from sqlite_master").fetchone()[0]
        if is_empty:
            for statement in _statements(_TABLES):
                self._db.execute(statement)
            self._db.execute(f"pragma application_id = {_APPLICATION}")
            self._db.execute(f"pragma user_version = {_LAYOUT}")
        elif (ours, layout) != (_APPLICATION, _LAYOUT):
            raise AlertsError(
                f"{self._path} is no store of alerts of this version: name another file."
            )

    def close(self) -> None:
        """Let go of the lease and of the file."""
        with self._lock, contextlib.suppress(sqlite3.Error):
            self._db.execute("delete from lease where holder = ?", [self._holder])
            self._db.close()

    def hold(self, now: float, seconds: float) -> bool:
        """Take the lease or renew it; False while another evaluator has it.

        Args:
            now: seconds of the clock.
            seconds: for how long it is taken.
        """
        with self._transaction():
            self._db.execute(
                "insert into lease (only_row, holder, until) values (1, ?, ?)"
                " on conflict (only_row) do update set holder = excluded.holder,"
                " until = excluded.until where holder = excluded.holder or until < ?",
                [self._holder, now + seconds, now],
            )
            return self._is_ours()

    def holder(self) -> tuple[str, float] | None:
        """Who has the lease, and until which second of the clock."""
        with self._lock:
            row = self._db.execute("select holder, until from lease").fetchone()
        return (row["holder"], row["until"]) if row else None

    def standings(self) -> dict[Key, Standing]:
        """Every alert that was ever evaluated."""
        with self._lock:
            rows = self._db.execute("select * from alerts").fetchall()
        return {
            (key := _key(row)): Standing(
                key, row["severity"],
                Alert(State(row["state"]), *(_instant(row[name]) for name in _TIMES)),
                json.loads(row["facts"]),
            )
            for row in rows
        }  # fmt: skip

    def write(self, changes: Iterable[Change], now: dt.datetime) -> list[Transition]:
        """Write what an evaluation made of the alerts: all of it, or nothing.

        Returns:
            The transitions, with their ids.

        Raises:
            LostLeaseError: another evaluator has taken over.
        """
        written = []
        with self._transaction():
            self._refuse_others()
            for change in changes:
                standing, alert = change.standing, change.standing.alert
                key = (standing.key.rule, standing.key.subject, standing.key.tier)
                self._db.execute(
                    "insert or replace into alerts values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                    [*key, standing.severity, alert.state.value,
                     *(_text(getattr(alert, name)) for name in _TIMES), json.dumps(standing.facts)],
                )  # fmt: skip
                if change.transition is None:
                    continue
                step = change.transition
                added = self._db.execute(
                    "insert into transitions (rule, subject, tier, severity, from_state, to_state,"
                    ' at, recorded_at, "values", versions, evaluator)'
                    " values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                    [*key, step.severity, step.from_state.value, step.to_state.value,
                     _text(step.at), _text(now), json.dumps(step.values),
                     json.dumps(step.versions), self._holder],
                )  # fmt: skip
                number = int(added.lastrowid or 0)
                self._db.executemany(
                    "insert into outbox (transition_id, receiver, body, due_at)"
                    " values (?, ?, ?, ?)",
                    [(number, name, json.dumps(body), now.timestamp())
                     for name, body in change.bodies],
                )  # fmt: skip
                written.append(
                    Transition(step.key, step.severity, step.from_state, step.to_state, step.at,
                               step.values, step.versions, now, self._holder, number)
                )  # fmt: skip
        self.number = max([self.number, *(step.id for step in written)])
        return written

    def due(self, now: float, most: int) -> list[Notification]:
        """What is to be sent now, oldest first; of one alert to one receiver only the oldest.

        So nobody hears that an alert is resolved before that it fires.
        """
        with self._lock:
            rows = self._db.execute(
                """
                with waiting as (
                    select outbox.*, rule, subject, tier, recorded_at, row_number() over (
                        partition by receiver, rule, subject, tier order by notification_id
                    ) as place
                    from outbox join transitions using (transition_id)
                    where sent_at is null and given_up_at is null
                )
                select * from waiting where place = 1 and due_at <= ?
                order by notification_id limit ?""",
                [now, most],
            ).fetchall()
        return [
            Notification(
                row["notification_id"], row["receiver"], json.loads(row["body"]), row["attempts"],
                dt.datetime.fromisoformat(row["recorded_at"]), _key(row),
            )
            for row in rows
        ]  # fmt: skip

    def sent(self, notification: Notification, now: dt.datetime) -> None:
        """Write down that a receiver has it.

        Raises:
            LostLeaseError: another evaluator has taken over.
        """
        with self._transaction():
            self._refuse_others()
            self._db.execute(
                "update outbox set sent_at = ?, attempts = attempts + 1, problem = null"
                " where notification_id = ?",
                [_text(now), notification.id],
            )

    def failed(
        self, notification: Notification, problem: str, due_at: float, given_up: dt.datetime | None
    ) -> None:
        """Write down that it could not be sent, and when it is tried again.

        Raises:
            LostLeaseError: another evaluator has taken over.
        """
        with self._transaction():
            self._refuse_others()
            self._db.execute(
                "update outbox set attempts = attempts + 1, problem = ?, due_at = ?,"
                " given_up_at = ? where notification_id = ?",
                [problem, due_at, _text(given_up), notification.id],
            )

    def history(
        self, rule: str | None = None, subject: str | None = None, most: int = 100
    ) -> list[dict[str, Any]]:
        """The last transitions, newest first, with what became of their notifications."""
        with self._lock:
            rows = self._db.execute(
                """
                select transitions.*, count(outbox.receiver) as notifications,
                    count(outbox.sent_at) as sent, count(outbox.given_up_at) as given_up,
                    max(outbox.problem) as problem
                from transitions left join outbox using (transition_id)
                where (? is null or rule = ?) and (? is null or subject = ?)
                group by transition_id order by transition_id desc limit ?""",
                [rule, rule, subject, subject, most],
            ).fetchall()
        return [
            {
                **{name: row[name] for name in row.keys() if name not in {"values", "versions"}},  # noqa: SIM118 - a row is no mapping
                "values": json.loads(row["values"]), "versions": json.loads(row["versions"]),
            }
            for row in rows
        ]  # fmt: skip

    def open_notifications(self) -> int:
        """How many are still to be sent."""
        with self._lock:
            row = self._db.execute(
                "select count(*) from outbox where sent_at is null and given_up_at is null"
            ).fetchone()
        return int(row[0])

    def _refuse_others(self) -> None:
        if not self._is_ours():
            raise LostLeaseError("Another evaluator has taken over: this one writes nothing.")

    def _is_ours(self) -> bool:
        row = self._db.execute("select holder from lease").fetchone()
        return row is not None and row["holder"] == self._holder

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        with self._lock:
            try:
                self._db.execute("begin immediate")
                try:
                    yield
                except BaseException:
                    self._db.execute("rollback")
                    raise
                self._db.execute("commit")
            except sqlite3.Error as problem:
                raise AlertsError(
                    f"The store of alerts {self._path} cannot be used: {problem}."
                ) from None


_TIMES = tuple(field.name for field in fields(Alert) if field.name != "state")


def _statements(script: str) -> Iterator[str]:
    """The statements of a script; a trigger holds semicolons of its own."""
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""


def _key(row: sqlite3.Row) -> Key:
    return Key(row["rule"], row["subject"], row["tier"])


def _text(instant: dt.datetime | None) -> str | None:
    return None if instant is None else instant.isoformat()


def _instant(text: str | None) -> dt.datetime | None:
    return None if text is None else dt.datetime.fromisoformat(text)

"""`cadran alerts`: what is watched, what fires, what happened, and the evaluator."""

from __future__ import annotations

import contextlib
import datetime as dt
import signal
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cadran.cli.common import (
    add_action,
    add_format,
    add_project,
    begin_log,
    examples,
    open_layer,
    write_rows,
)
from cadran.cli.language import tell, warn
from cadran.core.project import artifacts
from cadran.errors import CadranError, UnknownNameError
from cadran.formats import periods
from cadran.reliability.alerts import delivery
from cadran.reliability.alerts.conditions import Conditions
from cadran.reliability.alerts.store import Store
from cadran.serving.snapshots import SnapshotStore

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from cadran.reliability.alerts.evaluator import Evaluator
    from cadran.reliability.alerts.policy import Policies

_TEXT = ("table", "csv", "json", "jsonl")


def add(parser: argparse.ArgumentParser, _: str) -> None:
    """Describe the command's arguments."""
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True)

    listing = _action(actions, "list", "every alert that was evaluated, and how it stands")
    listing.add_argument("--firing", action="store_true", help="only those that fire")
    add_format(listing, formats=_TEXT)
    listing.set_defaults(run=_list)

    test = _action(
        actions, "test", "evaluate every rule once, without remembering or telling anything"
    )
    test.add_argument(
        "--send", metavar="RECEIVER", help="send this receiver a message that says it is a test"
    )
    add_format(test, formats=_TEXT)
    test.set_defaults(run=_test)

    history = _action(actions, "history", "the steps of alerts, newest first")
    history.add_argument("rule", nargs="?", metavar="RULE", help="only of this rule")
    history.add_argument("--subject", help="only of this SLO or KPI")
    history.add_argument("--limit", type=int, default=50, help="how many (default: 50)")
    add_format(history, formats=_TEXT)
    history.set_defaults(run=_history)

    run = _action(actions, "run", "evaluate and tell, until interrupted")
    run.add_argument("--once", action="store_true", help="evaluate once and end")
    run.set_defaults(run=_run)
    examples(
        parser,
        "cadran alerts test",
        "cadran alerts test --send on_call",
        "cadran alerts run",
        "cadran alerts list --firing",
        "cadran alerts history budget_burn --subject availability_28d:checkout",
    )


def _action(actions: Any, name: str, summary: str) -> argparse.ArgumentParser:
    parser = add_action(actions, name, summary)
    add_project(parser)
    parser.add_argument(
        "--policies", type=Path, metavar="FILE",
        help="what is watched (default: cadran_alerts.yml in the project)",
    )  # fmt: skip
    return parser


def _policies(parsed: argparse.Namespace) -> Policies:
    from cadran.reliability.alerts import policy

    return policy.read(parsed.project_dir, parsed.policies)


@contextlib.contextmanager
def _remembered(parsed: argparse.Namespace) -> Iterator[Store | None]:
    """The store, where there is one: reading makes none."""
    path = _policies(parsed).store
    if not path.exists():
        yield None
        return
    with contextlib.closing(Store(path, "reader")) as store:
        yield store


def _list(parsed: argparse.Namespace) -> int:
    with _remembered(parsed) as store:
        standings = sorted(store.standings().values(), key=lambda s: str(s.key)) if store else []
    rows = [
        {
            "rule": standing.key.rule, "subject": standing.key.subject, "tier": standing.key.tier,
            "severity": standing.severity, "state": standing.alert.state.value,
            "evaluated_until": standing.alert.at, "fired_at": standing.alert.fired_at,
            "resolved_at": standing.alert.resolved_at,
        }
        for standing in standings
        if standing.alert.state.is_firing or not parsed.firing
    ]  # fmt: skip
    write_rows(rows, parsed.format, parsed.output)
    return 0


def _history(parsed: argparse.Namespace) -> int:
    with _remembered(parsed) as store:
        rows = store.history(parsed.rule, parsed.subject, parsed.limit) if store else []
    if parsed.format in {"table", "csv"}:
        names = (
            "transition_id", "at", "recorded_at", "rule", "subject", "tier", "severity",
            "from_state", "to_state", "notifications", "sent", "given_up", "problem",
        )  # fmt: skip
        rows = [{name: row[name] for name in names} for row in rows]
    write_rows(rows, parsed.format, parsed.output)
    return 0


def _test(parsed: argparse.Namespace) -> int:
    policies = _policies(parsed)
    if parsed.send:
        _send(policies, parsed.send, parsed.project_dir)
        return 0
    now = dt.datetime.now(dt.UTC)
    conditions = Conditions(
        open_layer(parsed), now, settle=dt.timedelta(seconds=policies.settle),
        catch_up=periods.length(policies.catch_up),
    )  # fmt: skip
    rows: list[dict[str, Any]] = []
    for rule in policies.rules:
        try:
            rows += [
                {
                    "rule": rule.name, "subject": seen.key.subject, "tier": seen.key.tier,
                    "severity": seen.severity, "at": seen.at, "holds": seen.holds,
                    "values": seen.values, "problem": "",
                }
                for seen in conditions.of(rule, {})
            ]  # fmt: skip
        except CadranError as problem:
            rows.append(
                {"rule": rule.name, "subject": "", "tier": "", "severity": rule.severity or "",
                 "at": now, "holds": None, "values": {}, "problem": str(problem)}
            )  # fmt: skip
    if parsed.format == "table":
        rows = [row | {"values": _short(row["values"])} for row in rows]
    write_rows(rows, parsed.format, parsed.output)
    return 1 if any(row["problem"] for row in rows) else 0


def _short(values: dict[str, Any]) -> str:
    return ", ".join(
        f"{name} {value:.4g}" if isinstance(value, float) else f"{name} {value}"
        for name, value in values.items()
        if value is not None
    )


def _send(policies: Policies, name: str, root: Path) -> None:
    """Send a receiver a message that nothing is behind."""
    from cadran.reliability.alerts import message

    receivers = {receiver.name: receiver for receiver in policies.receivers}
    if name not in receivers:
        raise UnknownNameError("receiver", name, receivers)
    receiver, now = receivers[name], dt.datetime.now(dt.UTC)
    delivery.sender(receiver, root).send(message.trial(receiver.lang, now), now)
    tell(f"{name} has it.")


def _run(parsed: argparse.Namespace) -> int:
    from cadran.reliability.alerts.evaluator import opened

    begin_log()
    policies = _policies(parsed)
    project = artifacts.find(parsed.project_dir, parsed.manifest, parsed.database)
    # Copies are read, as a server does: a build must not wait for a look, nor a look for it.
    with (
        contextlib.closing(SnapshotStore(project)) as snapshots,
        opened(policies, snapshots.layer, parsed.project_dir) as evaluator,
    ):
        if parsed.once:
            return _look(evaluator)
        stop = threading.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: stop.set())
        snapshots.watch()
        tell(
            f"Evaluates {len(policies.rules)} rules of {project.database} every"
            f" {policies.every:g} s; remembers in {policies.store}. Ctrl-C stops it."
        )
        evaluator.run(stop)
    return 0


def _look(evaluator: Evaluator) -> int:
    """Evaluate once; the exit code says whether every rule could be."""
    look = evaluator.look()
    steps = [
        {"alert": str(step.key), "from": step.from_state.value, "to": step.to_state.value}
        for step in look.transitions
    ]
    if not look.evaluates:
        tell("Another evaluator has the lease.")
    elif steps:
        write_rows(steps, "table")
    else:
        tell("No alert made a step.")
    for rule, problem in look.problems:
        warn(f"rule {rule} cannot be evaluated: {problem}")
    return 1 if look.problems else 0

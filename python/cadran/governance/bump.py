"""A new version of a KPI: the record, the lock, the card, and what the change does to values."""

from __future__ import annotations

import datetime as dt
import re
import subprocess
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from cadran.errors import QueryError
from cadran.governance import lock, version_file, versions
from cadran.governance.changes import between
from cadran.governance.impact import Pair, prove_equal, side_by_side, summary
from cadran.governance.meaning import combined, of
from cadran.governance.questions import tools

if TYPE_CHECKING:
    from pathlib import Path

    from cadran.governance.changes import Change
    from cadran.layer import Layer

# A first version speaks for all that was ever published.
BEGINNING = dt.date(1970, 1, 1)
_MONTHS = {"month": 1, "quarter": 3, "year": 12}


@dataclass(frozen=True, slots=True)
class Decision:
    """What people decide about a new version; see `versions.VersionRecord`."""

    kind: str
    reason: str
    author: str
    approver: str
    effective_from: dt.date
    restatement: str = "none"
    window: tuple[dt.date, dt.date] | None = None
    ticket: str = ""
    overlap: str = "12 months"
    expected_impact: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True)
class Bumped:
    """What was written, and what both versions say over the overlap."""

    record: versions.VersionRecord
    path: Path
    change: Change | None
    grain: str
    pairs: list[Pair]
    changelog: str


def bump(layer: Layer, kpi: str, decision: Decision) -> Bumped:
    """Write the next version of a KPI, whose meaning has changed, into its record and the lock.

    Raises:
        QueryError: nothing changed, the decision is not one, or equivalence does not hold.
        UnknownNameError: there is no such KPI.
        WarehouseError: the two versions cannot be run.
    """
    root = _root(layer)
    _sound(decision)
    history = versions.records(root, kpi)
    if not history:
        raise QueryError(f"{kpi} has no version yet: write the first with `cadran bump --first`.")
    meanings, last = of(layer), history[-1]
    now = meanings.definition(kpi)
    change = between(meanings, last.definition, now)
    if not change.changed:
        raise QueryError(f"{kpi} means what its version {last.version} means: there is no new one.")
    record = versions.VersionRecord(
        kpi=kpi, version=last.version + 1, effective_from=decision.effective_from,
        kind=decision.kind, reason=decision.reason, author=decision.author,
        approver=decision.approver, restatement=decision.restatement, window=decision.window,
        ticket=decision.ticket, overlap=decision.overlap,
        expected_impact=decision.expected_impact, hash=combined(meanings.hashes(now)),
        mark=meanings.quick_mark(now) or "", tools=tools(),
        question_hashes=tuple(meanings.hash_of(now, q) for q in now.questions), definition=now,
    )  # fmt: skip
    if decision.kind == "equivalent":
        proof = prove_equal(layer, last.definition, now)
        if proof["differences"]:
            raise QueryError(
                f"{kpi} is not equivalent to its version {last.version}: {proof['differences']:,}"
                f" of {proof['rows']:,} values differ by {proof['grain']}."
            )
        record = replace(record, proof=proof)
    grain, pairs = side_by_side(layer, last.definition, now, months_of(decision.overlap))
    record = replace(record, measured_impact=summary(grain, pairs))
    path = version_file.write(root, record)
    _lock(root, kpi, record)
    _renumber(layer, root, kpi, record.version)
    return Bumped(record, path, change, grain, pairs, changelog_row(record))


def first(layer: Layer, kpis: list[str], author: str) -> list[Path]:
    """Write the first record of each of these KPIs that has none; approved by its business owner.

    Raises:
        UnknownNameError: there is no such KPI.
        ProjectError: the project cannot be compiled.
    """
    root, meanings, written = _root(layer), of(layer), []
    for kpi in kpis:
        if versions.records(root, kpi):
            continue
        card, now = meanings.card(kpi), meanings.definition(kpi)
        record = versions.VersionRecord(
            kpi=kpi, version=card.version, effective_from=BEGINNING, kind="first",
            reason="What the KPI meant when its versions began to be recorded.", author=author,
            approver=card.owner.business, restatement="none",
            hash=combined(meanings.hashes(now)), mark=meanings.quick_mark(now) or "", tools=tools(),
        question_hashes=tuple(meanings.hash_of(now, q) for q in now.questions), definition=now,
        )  # fmt: skip
        written.append(version_file.write(root, record))
        _lock(root, kpi, record)
    return written


def changelog_row(record: versions.VersionRecord) -> str:
    """The row that CHANGELOG.md should have."""
    impact = record.measured_impact
    if record.kind == "equivalent":
        told = "none, proved"
    elif impact.get("least") is None:
        told = "not measured"
    else:
        told = f"{impact['least']:+.1%} to {impact['greatest']:+.1%} by {impact['grain']}"
    restated = {
        "none": "no", "effective": f"from {record.effective_from}", "full": "all history",
        "window": f"{record.window[0]} to {record.window[1]}" if record.window else "a window",
    }[record.restatement]  # fmt: skip
    return (
        f"| {record.kpi} | v{record.version - 1} | v{record.version} | {record.effective_from} |"
        f" {restated} | {told} | {record.reason} |"
    )


def months_of(overlap: str) -> int:
    """An overlap such as "3 months" in months.

    Raises:
        QueryError: it is not such a text.
    """
    found = re.fullmatch(r"(\d+) (month|quarter|year)s?", overlap)
    if not found:
        raise QueryError(f"The overlap is '{overlap}'; it takes a text such as '3 months'.")
    return int(found[1]) * _MONTHS[found[2]]


def git_author(root: Path) -> str | None:
    """Who git says is working here."""
    try:
        run = subprocess.run(
            ["git", "-C", str(root), "config", "user.email"],  # noqa: S607 - git is where git is
            capture_output=True, text=True, check=False,
        )  # fmt: skip
    except OSError:
        return None
    return run.stdout.strip() or None


def _root(layer: Layer) -> Path:
    if layer.project.root is None:
        raise QueryError("Versions stand in a project's folder: open the project, not a manifest.")
    return layer.project.root


def _sound(decision: Decision) -> None:
    kinds = [kind for kind in versions.KINDS if kind != "first"]
    if decision.kind not in kinds:
        raise QueryError(f"The kind is '{decision.kind}'; allowed: {', '.join(kinds)}.")
    if decision.restatement not in versions.RESTATEMENTS:
        raise QueryError(
            f"The restatement is '{decision.restatement}'; allowed:"
            f" {', '.join(versions.RESTATEMENTS)}."
        )
    if (decision.restatement == "window") != (decision.window is not None):
        raise QueryError("A window is given with the restatement 'window', and only with it.")
    if not decision.reason.strip():
        raise QueryError("A new version needs a reason.")
    if decision.author.lower() == decision.approver.lower():
        raise QueryError(f"{decision.author} cannot approve a version of their own.")
    months_of(decision.overlap)


def _lock(root: Path, kpi: str, record: versions.VersionRecord) -> None:
    locked = lock.read(root)
    seals = {
        old.version: versions.seal(versions.path_of(root, kpi, old.version))
        for old in versions.records(root, kpi)
    }
    if kpi in locked:
        seals |= locked[kpi].seals  # an old seal stays, so that an edited record stays found
        seals[record.version] = versions.seal(versions.path_of(root, kpi, record.version))
    locked[kpi] = lock.Locked(record.version, record.hash, seals)
    lock.write(root, locked)


def _renumber(layer: Layer, root: Path, kpi: str, number: int) -> None:
    """Set the version on the KPI's card, where its file writes it on a line of its own."""
    file = root / of(layer).file_of(kpi)
    if not file.exists():
        return
    text = file.read_text(encoding="utf-8")
    start = re.search(rf"^\s*- name: {re.escape(kpi)}\s*$", text, re.MULTILINE)
    if start:
        rest = text[start.end() :]
        following = re.search(r"^\s*- name: ", rest, re.MULTILINE)
        block = rest[: following.start()] if following else rest
        changed = re.sub(
            r"^(\s*version: )\d+", rf"\g<1>{number}", block, count=1, flags=re.MULTILINE
        )
        changed = (
            changed
            if changed != block
            else re.sub(r"(\bversion: )\d+", rf"\g<1>{number}", block, count=1)
        )
        file.write_text(text[: start.end()] + changed + rest[len(block) :], encoding="utf-8")

"""A new version of a KPI: the record, the lock, the card, and what the change does to values.

The lock is what counts: a record that it does not name was never finished, and the next bump writes
it anew. So whatever stops a bump, the project is as it was or has the whole version; a card that
lags behind is set by the next bump.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from cadran.core.project import lock
from cadran.core.versions import record as version_file
from cadran.core.versions import record as versions
from cadran.core.versions.compare import between, compare
from cadran.core.versions.definition import tools
from cadran.core.versions.meaning import combined
from cadran.core.versions.record import merged, months_of
from cadran.errors import QueryError
from cadran.formats import files
from cadran.governance.approval import BEGINNING, Decision, sound
from cadran.governance.impact import Pair, prove_equal, side_by_side, summary

if TYPE_CHECKING:
    from pathlib import Path

    from cadran.core.layer import Layer
    from cadran.core.versions.compare import Change
    from cadran.core.versions.definition import Definition
    from cadran.core.versions.meaning import SemanticFingerprints
    from cadran.core.versions.record import VersionRecord


def renumber(root: Path, file: str, kpi: str, number: int) -> bool:
    """Set the version of a KPI; False when its file has no such number to set.

    Args:
        root: the project's folder.
        file: the file that defines the KPI, from there on.
        kpi: the KPI.
        number: its version.
    """
    path = root / file
    if not path.exists():
        return False
    text = path.read_text(encoding="utf-8")
    start = re.search(rf"^\s*- name: {re.escape(kpi)}\s*(?:#.*)?$", text, re.MULTILINE)
    if start is None:
        return False
    rest = text[start.end() :]
    following = re.search(r"^\s*- name: ", rest, re.MULTILINE)
    block = rest[: following.start()] if following else rest
    # On a line of its own, else within braces.
    for pattern in (r"^(\s*version: )\d+", r"([{,]\s*version: )\d+"):
        changed, count = re.subn(pattern, rf"\g<1>{number}", block, count=1, flags=re.MULTILINE)
        if count:
            files.write(path, text[: start.end()] + changed + rest[len(block) :])
            return True
    return False


@dataclass(frozen=True, slots=True)
class Bumped:
    """What was written, and what both versions say over the overlap.

    Attributes:
        has_card: whether the number on the card could be set.
    """

    record: VersionRecord
    path: Path
    change: Change
    grain: str
    pairs: list[Pair]
    changelog: str
    has_card: bool


def bump(layer: Layer, kpi: str, decision: Decision, *, again: bool = False) -> Bumped:
    """Write the next version of a KPI, whose meaning has changed, into its record and the lock.

    Args:
        layer: the project, parsed as its files are.
        kpi: the KPI.
        decision: what people decide about the version.
        again: write the last version anew, which is not merged yet.

    Raises:
        QueryError: nothing changed, the decision is not one, the impact is not the one expected, or
            equivalence does not hold.
        UnknownNameError: there is no such KPI.
        WarehouseError: the two versions cannot be run.
    """
    root = _root(layer)
    card = layer.card(kpi)
    sound(decision, root, card.owner.business)
    history = _history(root, kpi, again=again)
    meanings, last = layer.meanings, history[-1]
    now = meanings.definition(kpi)
    change = between(meanings, last.definition, now)
    if not change.changed and not change.asks_more:
        same = f"{kpi} means what its version {last.version} means"
        lags = card.version != last.version
        if lags and renumber(root, meanings.file_of(kpi), kpi, last.version):
            raise QueryError(f"{same}; its card now says so.")
        raise QueryError(f"{same}: there is no new one.")
    record = _record(meanings, now, decision, last.version + 1)
    if decision.kind == "equivalent":
        proof = prove_equal(layer, last.definition, now)
        if proof["differences"]:
            raise QueryError(
                f"{kpi} is not equivalent to its version {last.version}: {proof['differences']:,}"
                f" of {proof['rows']:,} values differ by {proof['grain']}."
            )
        record = replace(record, proof=proof)
    if last.definition.runs and now.runs:
        grain, pairs = side_by_side(layer, last.definition, now, months_of(decision.overlap))
        record = replace(record, measured_impact=summary(grain, pairs))
    else:
        grain, pairs = "", []
        record = replace(record, measured_impact={"note": "one of them is kept as text"})
    if record.exceeds:
        raise QueryError(f"{kpi} was not bumped: {record.exceeds}. Find out why, or widen it.")
    path = _write(root, record)
    has_card = renumber(root, meanings.file_of(kpi), kpi, record.version)
    return Bumped(record, path, change, grain, pairs, changelog_row(record), has_card)


def first(layer: Layer, kpis: list[str], author: str) -> list[Path]:
    """Write the first record of each of these KPIs that has none; approved by its business owner.

    Raises:
        UnknownNameError: there is no such KPI.
        ProjectError: the project cannot be compiled.
    """
    root, meanings, paths = _root(layer), layer.meanings, []
    for kpi in kpis:
        if versions.records(root, kpi) and kpi in lock.read(root):
            continue
        card, now = meanings.card(kpi), meanings.definition(kpi)
        decision = Decision(
            kind="first", reason="What the KPI meant when its versions began to be recorded.",
            author=author, approver=card.owner.business, effective_from=BEGINNING, overlap="",
        )  # fmt: skip
        paths.append(_write(root, _record(meanings, now, decision, card.version)))
    return paths


def renew(layer: Layer, kpis: list[str]) -> list[str]:
    """Note in the lock how KPIs are written now that mean what their versions mean; their names.

    Until then, everything they come from is compared anew in each fresh clone.

    Raises:
        QueryError: one of them means something else; nothing is written then.
        UnknownNameError: there is no such KPI.
        ProjectError: the project cannot be compiled.
    """
    root, meanings = _root(layer), layer.meanings
    locked, renewed = lock.read(root), []
    for kpi in kpis:
        history = _history(root, layer.card(kpi).name, again=False)
        if meanings.is_untouched(history[-1]):
            continue
        change = compare(meanings, history[-1])
        if change.changed or change.asks_more:
            raise QueryError(
                f"{kpi} does not mean what its version {history[-1].version} means: record it by"
                f" `cadran bump {kpi}`, or take the change back."
            )
        now = meanings.definition(kpi)
        fingerprint = meanings.fingerprint_of(now) or ""
        locked[kpi] = replace(locked[kpi], fingerprint=fingerprint, came_from=now.came_from)
        renewed.append(kpi)
    lock.write(root, locked)
    return renewed


def changelog_row(record: VersionRecord) -> str:
    """The row that CHANGELOG.md should have."""
    impact = record.measured_impact
    if record.kind == "equivalent":
        measured = "none, proved"
    elif impact.get("least") is None:
        measured = "not measured"
    else:
        measured = f"{impact['least']:+.1%} to {impact['greatest']:+.1%} by {impact['grain']}"
    restated = {
        "none": "no", "effective": f"from {record.effective_from}", "full": "all history",
        "window": f"{record.window[0]} to {record.window[1]}" if record.window else "a window",
    }[record.restatement]  # fmt: skip
    return (
        f"| {record.kpi} | v{record.version - 1} | v{record.version} | {record.effective_from} |"
        f" {restated} | {measured} | {record.reason} |"
    )


def _root(layer: Layer) -> Path:
    if layer.project.root is None:
        raise QueryError("Versions stand in a project's folder: open the project, not a manifest.")
    return layer.project.root


def _history(root: Path, kpi: str, *, again: bool) -> list[VersionRecord]:
    """The versions that the next one follows: those that the lock names."""
    locked = lock.read(root).get(kpi)
    records = versions.records(root, kpi)
    history = [record for record in records if locked and record.version <= locked.version]
    if not history:
        raise QueryError(f"{kpi} has no version yet: write the first with `cadran bump --first`.")
    if again:
        if len(history) == 1:
            raise QueryError(f"{kpi} has only its first version, which is not written again.")
        if history[-1].file in merged(root).files:
            raise QueryError(
                f"Version {history[-1].version} of {kpi} is merged, and never changes: bump it"
                " without --again."
            )
        history.pop()
    return history


def _record(
    meanings: SemanticFingerprints, now: Definition, decision: Decision, number: int
) -> VersionRecord:
    return versions.VersionRecord(
        kpi=now.kpi, version=number, effective_from=decision.effective_from,
        kind=decision.kind, reason=decision.reason, author=decision.author,
        approver=decision.approver, restatement=decision.restatement, window=decision.window,
        ticket=decision.ticket, overlap=decision.overlap,
        expected_impact=decision.expected_impact, hash=combined(meanings.hashes(now)),
        fingerprint=meanings.fingerprint_of(now) or "",
        semantics_hash=meanings.semantics_hash(now.kpi), tools=tools(),
        question_hashes=tuple(meanings.hash_of(now, q) for q in now.questions), definition=now,
    )  # fmt: skip


def _write(root: Path, record: VersionRecord) -> Path:
    """Write a record and the lock: both, or neither."""
    path = versions.path_of(root, record.kpi, record.version)
    was = path.read_bytes() if path.exists() else None
    version_file.write(root, record)
    try:
        locked = lock.read(root)
        # An old seal stays, so that an edited record stays found.
        seals = dict(locked[record.kpi].seals) if record.kpi in locked else {}
        seals[record.version] = versions.seal(path)
        locked[record.kpi] = lock.Locked(record.version, record.hash, seals)
        lock.write(root, locked)
    except BaseException:
        if was is None:
            path.unlink()
        else:
            path.write_bytes(was)
        raise
    return path

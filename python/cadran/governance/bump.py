"""A new version of a KPI: the record, the lock, the card, and what the change does to values.

The lock is what counts: a record that it does not name was never finished, and the next bump writes
it anew. So whatever stops a bump, the project is as it was or has the whole version; a card that
lags behind is set by the next bump.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any

from cadran.core.ledger.reader import has_ledger
from cadran.core.project import lock
from cadran.core.versions import record as versions
from cadran.core.versions.compare import between, compare
from cadran.core.versions.definition import tools
from cadran.core.versions.mainline import merged_records
from cadran.core.versions.meaning import combined
from cadran.core.versions.record import months_of
from cadran.core.warehouse import ledger_sql
from cadran.errors import QueryError, UnknownNameError
from cadran.formats import files
from cadran.governance.approval import BEGINNING, Decision, is_rate, may_approve, sound
from cadran.governance.approval import approvers as allowed_approvers
from cadran.governance.impact import Pair, prove_equal, side_by_side, summary
from cadran.governance.values import tools as tool_versions

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from cadran.core.layer import Layer
    from cadran.core.versions.compare import Change
    from cadran.core.versions.definition import Definition
    from cadran.core.versions.mainline import MergedRecords
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
class Preview:
    """What a changed meaning does to a KPI's values over the overlap; nothing is written.

    Attributes:
        version: the number that its next version gets.
        in_points: the KPI is a rate, so a change is a difference.
        measured: what a record says of it.
    """

    kpi: str
    version: int
    change: Change
    grain: str
    pairs: list[Pair]
    in_points: bool
    measured: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Bumped(Preview):
    """What was written, and what both versions say over the overlap.

    Attributes:
        has_card: whether the number on the card could be set.
    """

    record: VersionRecord
    path: Path
    changelog: str
    has_card: bool


def moved_by(layer: Layer, cause: str) -> list[str]:
    """The KPIs that mean something else than their last version because of one change upstream.

    Args:
        layer: the project, parsed as its files are.
        cause: the name of a model, macro, variable, seed, metric or source, or its file; or what
            changed beside a SELECT, "post-hook of model fct_orders".

    Raises:
        UnknownNameError: no KPI that changed was moved by it.
        ProjectError: the project cannot be compiled.
    """
    root, causes, names = _root(layer), dict[str, None](), []
    for kpi in layer.meanings.kpis():
        history = _records_in_lock(root, kpi)
        change = compare(layer.meanings, history[-1]) if history else None
        if change is not None and change.changed:
            causes |= dict.fromkeys([n.name for n in change.moved] + [*change.beside_select])
            named = any(cause in {n.name, f"{n.kind} {n.name}", n.file} for n in change.moved)
            if named or cause in change.beside_select:
                names.append(kpi)
    if not names:
        raise UnknownNameError("cause of a changed meaning", cause, list(causes))
    return names


def preview(layer: Layer, kpi: str, overlap: str = "12 months", *, again: bool = False) -> Preview:
    """What the next version of a KPI would do to its values, before anything is expected of it.

    Raises:
        QueryError: nothing changed.
        UnknownNameError: there is no such KPI.
        WarehouseError: the two versions cannot be run.
    """
    return _previewed(layer, kpi, overlap, again=again)[0]


def bump(layer: Layer, kpi: str, decision: Decision, *, again: bool = False) -> Bumped:
    """Write the next version of a KPI; see `bump_together`."""
    return bump_together(layer, [kpi], decision, again=again)[0]


def bump_together(
    layer: Layer, kpis: Sequence[str], decision: Decision, *, again: bool = False,
    approvers: Sequence[str] = (),
) -> list[Bumped]:  # fmt: skip
    """Write the next version of KPIs whose meaning one change moved: of all of them, or of none.

    Args:
        layer: the project, parsed as its files are.
        kpis: those that are decided about as one.
        decision: what people decide about the versions.
        again: write the last version anew, which is not merged yet.
        approvers: who approves, where no single person may for all of them: each KPI takes the
            first who may.

    Raises:
        QueryError: nothing changed, the decision is not one, the impact is not the one expected, or
            equivalence does not hold.
        UnknownNameError: there is no such KPI.
        WarehouseError: the two versions cannot be run.
    """
    root, meanings = _root(layer), layer.meanings
    drafts = []
    for kpi in dict.fromkeys(kpis):
        card = layer.card(kpi)
        allowed = allowed_approvers(root, card.owner.business)
        approver = next((name for name in approvers if name in allowed), decision.approver)
        own = replace(decision, approver=approver)
        sound(own, root, card)
        drafts.append(_draft(layer, kpi, own, again=again))
    paths = _write(root, [record for record, _ in drafts])
    return [
        Bumped(
            **{field.name: getattr(shown, field.name) for field in fields(Preview)},
            record=record,
            path=path,
            changelog=changelog_row(record),
            has_card=renumber(root, meanings.file_of(record.kpi), record.kpi, record.version),
        )
        for (record, shown), path in zip(drafts, paths, strict=True)
    ]


def _draft(
    layer: Layer, kpi: str, decision: Decision, *, again: bool
) -> tuple[VersionRecord, Preview]:
    """The record that a bump would write, once it holds what was decided."""
    shown, last, now = _previewed(layer, kpi, decision.overlap, again=again)
    is_changed = shown.change.changed or bool(shown.change.asks_more)
    if decision.kind == "wording" and is_changed:
        raise QueryError(f"{kpi}: its meaning changed, not its words alone: name another kind.")
    if decision.kind != "wording" and not is_changed:
        raise QueryError(f"{kpi}: only its words changed: record that with --kind wording.")
    expected = decision.impact_on(layer.card(kpi))
    record = replace(
        _record(layer.meanings, now, decision, shown.version),
        expected_impact=expected, in_points=shown.in_points and expected is not None,
        measured_impact=shown.measured, cause=decision.cause,
    )  # fmt: skip
    if decision.kind == "equivalent":
        before = layer.meanings.recorded(last)
        proof = prove_equal(layer, before, now, shown.change.beside_select)
        if proof["differences"]:
            raise QueryError(
                f"{kpi} is not equivalent to its version {last.version}: {proof['differences']:,}"
                f" of {proof['rows']:,} values differ by {proof['grain']}."
            )
        record = replace(record, proof=proof)
    if record.exceeds:
        raise QueryError(f"{kpi} was not bumped: {record.exceeds}. Find out why, or widen it.")
    return record, shown


def _previewed(
    layer: Layer, kpi: str, overlap: str, *, again: bool
) -> tuple[Preview, VersionRecord, Definition]:
    """The preview of a KPI's next version, its last one, and its definition now."""
    root, card, months = _root(layer), layer.card(kpi), months_of(overlap)
    last = _history(layer, card.name, again=again)[-1]
    now = layer.meanings.definition(kpi)
    before = layer.meanings.recorded(last)
    change = between(layer.meanings, before, now)
    is_changed = change.changed or bool(change.asks_more)
    if not is_changed and not layer.meanings.changed_words(last):
        same = f"{kpi} means what its version {last.version} means"
        lags = card.version != last.version
        if lags and renumber(root, layer.meanings.file_of(kpi), kpi, last.version):
            raise QueryError(f"{same}; its card now says so.")
        raise QueryError(f"{same}: there is no new one.")
    in_points = is_rate(card)
    grain, pairs, measured = "", list[Pair](), dict[str, Any]()
    # Of words that change alone there is nothing to measure.
    if is_changed and last.definition.runs and now.runs:
        grain, pairs = side_by_side(
            layer, before, now, months, in_points=in_points, beside=change.beside_select
        )
        measured = summary(grain, pairs, in_points=in_points)
    elif is_changed:
        measured = {"note": "one of them is kept as text"}
    shown = Preview(kpi, last.version + 1, change, grain, pairs, in_points, measured)
    return shown, last, now


def first(layer: Layer, kpis: list[str], author: str, *, again: bool = False) -> list[Path]:
    """Write the first record of each of these KPIs that has none; approved by its business owner.

    Args:
        layer: the project, parsed as its files are.
        kpis: the KPIs.
        author: who records them.
        again: write a first record anew, which is neither merged nor published.

    Raises:
        UnknownNameError: there is no such KPI.
        QueryError: a first record was merged or published, so it stays.
        ProjectError: the project cannot be compiled.
    """
    root, meanings, drafts = _root(layer), layer.meanings, []
    merged = merged_records(root)
    for kpi in kpis:
        card = meanings.card(kpi)
        history = _records_in_lock(root, kpi)
        if history and not again:
            continue
        if len(history) > 1 or (history and history[0].kind != "first"):
            raise QueryError(f"{kpi} has later versions, so its first one stays as it is.")
        number = history[0].version if history else card.version
        taken = [path for path in merged.gone if path.startswith(f"{lock.FOLDER}/{kpi}/")]
        if taken:
            raise QueryError(
                f"{taken[0]} was merged and is gone: take it back (`git checkout"
                f" {merged.gone[taken[0]]} -- {taken[0]}`), and its entry in {lock.FILE} with it."
            )
        if history:
            _refuse_merged(merged, history[0])
        now = meanings.definition(kpi)
        decision = Decision(
            kind="first", reason="What the KPI meant when its versions began to be recorded.",
            author=author, approver=card.owner.business, effective_from=BEGINNING, overlap="",
        )  # fmt: skip
        record = _record(meanings, now, decision, number)
        _refuse_published(layer, record, replaces=bool(history))
        drafts.append(record)
    return _write(root, drafts)


def rename(layer: Layer, kpi: str, before: str, decision: Decision) -> Path:
    """Record that a KPI is another one under a new name, with the same meaning.

    Its first record has the number of the last version under the old name, whose records stay.

    Args:
        layer: the project, parsed as its files are.
        kpi: its name now.
        before: the name that it had.
        decision: reason, author and approver.

    Raises:
        QueryError: the old one is still there, was not recorded or means something else, the new
            one has a history, or the decision is not one.
        UnknownNameError: there is no such KPI.
    """
    root, meanings = _root(layer), layer.meanings
    card = layer.card(kpi)
    may_approve(decision, root, card.owner.business)
    if not decision.reason.strip():
        raise QueryError("A renaming needs a reason.")
    if before in layer.metric_graph.metrics:
        raise QueryError(f"{before} is still there: {kpi} is another KPI (`cadran bump --first`).")
    history = _records_in_lock(root, before)
    if not history:
        raise QueryError(f"{before} has no version: `cadran bump {kpi} --first` begins anew.")
    merged, own = merged_records(root), _records_in_lock(root, kpi)
    if len(own) > 1:
        raise QueryError(f"{kpi} has versions of its own.")
    for record in own:
        _refuse_merged(merged, record)
    last, now = history[-1], meanings.definition(kpi)
    change = between(meanings, meanings.recorded(last), now)
    if change.changed or change.asks_more:
        causes = f" ({'; '.join(change.causes)})" if change.causes else ""
        raise QueryError(
            f"{kpi} means something else than version {last.version} of {before}{causes}: rename"
            f" it first, then bump it."
        )
    record = replace(
        _record(meanings, now, replace(decision, effective_from=BEGINNING), last.version),
        kind="renamed", renamed_from=before, overlap="", hash=last.hash,
    )  # fmt: skip
    _refuse_published(layer, record, replaces=bool(own))
    [path] = _write(root, [record])
    renumber(root, meanings.file_of(kpi), kpi, last.version)
    return path


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
        history = _history(layer, layer.card(kpi).name, again=False)
        noted = meanings.recorded(history[-1]).side_effects is not None
        if noted and meanings.is_untouched(history[-1]):
            continue
        change = compare(meanings, history[-1])
        if change.changed or change.asks_more:
            raise QueryError(
                f"{kpi} does not mean what its version {history[-1].version} means: record it by"
                f" `cadran bump {kpi}`, or take the change back."
            )
        now = meanings.definition(kpi)
        locked[kpi] = replace(
            locked[kpi], fingerprint=meanings.fingerprint_of(now) or "", came_from=now.came_from
        )
        if history[-1].definition.side_effects is None:
            locked[kpi] = replace(locked[kpi], side_effects=now.side_effects)
        renewed.append(kpi)
    lock.write(root, locked)
    return renewed


def changelog_row(record: VersionRecord) -> str:
    """The row that CHANGELOG.md should have."""
    impact = record.measured_impact
    if record.kind == "equivalent":
        measured = "none, proved"
    elif record.kind == "wording":
        measured = "none, words alone"
    elif impact.get("least") is None:
        measured = "not measured"
    else:
        changes = versions.change_text(
            impact["least"], impact["greatest"], decimals=1, in_points=record.in_points
        )
        measured = f"{changes} by {impact['grain']}"
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


def _records_in_lock(root: Path, kpi: str) -> list[VersionRecord]:
    """The versions of a KPI that the lock names; others were never finished."""
    locked = lock.read(root).get(kpi)
    records = versions.records(root, kpi) if locked else []
    return [record for record in records if locked and record.version <= locked.version]


def _history(layer: Layer, kpi: str, *, again: bool) -> list[VersionRecord]:
    """The versions that the next one follows."""
    root = _root(layer)
    history = _records_in_lock(root, kpi)
    if not history:
        raise QueryError(f"{kpi} has no version yet: write the first with `cadran bump --first`.")
    if again:
        if len(history) == 1:
            raise QueryError(
                f"{kpi} has only its first version: `cadran bump {kpi} --first --again`."
            )
        _refuse_merged(merged_records(root), history[-1])
        _refuse_published(layer, history[-1], replaces=True)
        history.pop()
    return history


def _refuse_merged(merged: MergedRecords, record: VersionRecord) -> None:
    """Refuse to write a record anew that was merged, or of which nobody knows whether it was."""
    if merged.problem and merged.has_commits:
        raise QueryError(
            f"Whether version {record.version} of {record.kpi} is merged cannot be known:"
            f" {merged.problem}."
        )
    if merged.has(record.file):
        raise QueryError(
            f"Version {record.version} of {record.kpi} is merged, and never changes: bump it"
            " without --again."
        )


def _refuse_published(layer: Layer, record: VersionRecord, *, replaces: bool) -> None:
    """Refuse a record by whose number something was published: as it is now, or by another meaning.

    Args:
        layer: the project, with its ledger.
        record: what would be written.
        replaces: there is a record of that number, which the ledger names.
    """
    if layer.project.is_unbuilt or not has_ledger(layer.warehouse):
        return
    statement = ledger_sql.defined(record.kpi, record.version)
    for row in layer.warehouse.ledger.arrow(statement).to_pylist():
        number = f"Version {record.version} of {record.kpi}"
        if replaces:
            raise QueryError(f"{number} was published, and never changes: bump it without --again.")
        by_other_tools = row["tools"] != " ".join(tool_versions())
        if row["definition_hash"] != record.hash and not by_other_tools:
            raise QueryError(
                f"{number} was published with another meaning: take its record back from git, or"
                " set the number on the card to the next one."
            )


def _record(
    meanings: SemanticFingerprints, now: Definition, decision: Decision, number: int
) -> VersionRecord:
    return versions.VersionRecord(
        kpi=now.kpi, version=number, effective_from=decision.effective_from,
        kind=decision.kind, reason=decision.reason, author=decision.author,
        approver=decision.approver, restatement=decision.restatement, window=decision.window,
        ticket=decision.ticket, overlap=decision.overlap,
        hash=combined(meanings.hashes(now)),
        fingerprint=meanings.fingerprint_of(now) or "",
        semantics_hash=meanings.semantics_hash(now.kpi), tools=tools(),
        question_hashes=tuple(meanings.hash_of(now, q) for q in now.questions), definition=now,
    )  # fmt: skip


def _write(root: Path, records: Sequence[VersionRecord]) -> list[Path]:
    """Write records and the lock: all of them, or nothing."""
    before: dict[Path, bytes | None] = {}
    try:
        locked = lock.read(root)
        for record in records:
            path = versions.path_of(root, record.kpi, record.version)
            before[path] = path.read_bytes() if path.exists() else None
            versions.write(root, record)
            # An old seal stays, so that an edited record stays found.
            seals = dict(locked[record.kpi].seals) if record.kpi in locked else {}
            seals[record.version] = versions.seal(path)
            locked[record.kpi] = lock.Locked(record.version, record.hash, seals)
        if records:
            lock.write(root, locked)
    except BaseException:
        for path, content in before.items():
            if content is None:
                path.unlink(missing_ok=True)
            else:
                path.write_bytes(content)
        raise
    return list(before)

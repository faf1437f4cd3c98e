"""Versions: a meaning changes with a record of it, whose impact was expected and measured."""

from __future__ import annotations

from itertools import pairwise
from textwrap import shorten
from typing import TYPE_CHECKING

from cadran.core.project import lock
from cadran.core.result import KEEPING
from cadran.core.versions import record as versions
from cadran.core.versions.evidence import UNPROVED
from cadran.core.versions.record import months_of
from cadran.core.versions.wording import words_in
from cadran.errors import CadranError
from cadran.governance.impact import shared, side_by_side, summary
from cadran.governance.rules.registry import Finding, rule

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from cadran.core.versions.compare import Change
    from cadran.core.versions.record import VersionRecord
    from cadran.governance.context import Context


# What these rules say depends on the records that the main line has.
MAIN_LINE_KNOWN = "VER10"
_HELD_AGAINST_MAIN_LINE = ("VER03", "VER04", "VER11")


def not_compared(codes: Collection[str], context: Context) -> str:
    """Which rules could not hold the records against the main line, and why; else empty."""
    missed = [code for code in _HELD_AGAINST_MAIN_LINE if code in codes]
    if not missed or not context.versions.used or not context.versions.merged.problem:
        return ""
    return (
        f"{', '.join(missed)} could not hold the records against the main line:"
        f" {context.versions.merged.problem}"
    )


@rule("VER01")
def changed_with_version(context: Context) -> Iterator[Finding]:
    """Find KPIs that mean something else than their last version."""
    for name, history in context.versions.live():
        change = context.versions.change(name)
        if change.changed:
            caused = "; ".join(change.causes) or "its questions"
            note = f" ({change.note})" if change.note else ""
            yield Finding(
                kpi=name, file=_cause_file(context, change),
                message=f"it means something else than its version {history[-1].version}, caused"
                f" by {caused}{note}",
                detail=change.difference,
                remedy=f"Take the change back, or record it: `cadran bump {name}`; with `--kind"
                " equivalent` where no value changed, which the values prove.",
            )  # fmt: skip


def _cause_file(context: Context, change: Change) -> str | None:
    root = context.root
    files = [
        node.file for node in change.moved if root and node.file and (root / node.file).exists()
    ]
    return files[0] if files else context.file(change.kpi)


@rule("VER02")
def version_with_change(context: Context) -> Iterator[Finding]:
    """Find records whose meaning is that of the record before."""
    for name, history in context.versions.live():
        for before, after in pairwise(history):
            definitions = before.definition, after.definition
            same = versions.text_of(definitions[0]) == versions.text_of(definitions[1]) or (
                before.hash == after.hash and definitions[0].rules == definitions[1].rules
            )
            effects = [definition.side_effects for definition in definitions]
            if None not in effects and effects[0] != effects[1]:
                same = False
            if after.kind == "wording":
                same = words_in(definitions[0]) == words_in(definitions[1])
            if same:
                yield Finding(
                    kpi=name, file=after.file, line=1,
                    message=f"version {after.version} means what version {before.version} means",
                )  # fmt: skip


@rule("VER14")
def words_with_version(context: Context) -> Iterator[Finding]:
    """Find KPIs whose card says something else to readers than their last version."""
    for name, history in context.versions.live():
        words = context.layer.meanings.changed_words(history[-1])
        if words:
            version = history[-1].version
            differences = "; ".join(
                f"{field} '{shorten(old, 60)}' became '{shorten(new, 60)}'"
                for field, (old, new) in words.items()
            )
            yield Finding(
                kpi=name,
                message=f"it says something else than its version {version}: {differences}",
                remedy=f"Take the words back, or record them: `cadran bump {name} --kind wording`.",
            )


@rule("VER15")
def side_effects_known(context: Context) -> Iterator[Finding]:
    """Find versions of which neither record nor lock says what changes rows beside a SELECT."""
    for name, history in context.versions.live():
        if context.layer.meanings.recorded(history[-1]).side_effects is None:
            yield Finding(
                kpi=name, file=history[-1].file, line=1,
                message=f"version {history[-1].version} was recorded before hooks, SQL headers and"
                " increments were noted",
            )  # fmt: skip


@rule("VER05")
def impact_as_expected(context: Context) -> Iterator[Finding]:
    """Find records whose measured change lies outside the expected range.

    With values, the change is measured again in the warehouse there is.
    """
    for name, history in context.versions.live():
        for record in history:
            text = record.exceeds
            keeps = record.kind == "first" or record.kind in KEEPING
            if not keeps and record.expected_impact is None:
                text = "no impact was expected of it"
            if text:
                yield Finding(
                    kpi=name,
                    file=record.file,
                    line=1,
                    message=f"version {record.version}: {text}",
                )
        if context.with_values and len(history) > 1 and not history[-1].exceeds:
            yield from _measured_anew(context, *history[-2:])


def _measured_anew(
    context: Context, before: VersionRecord, after: VersionRecord
) -> Iterator[Finding]:
    if not (before.definition.runs and after.definition.runs):
        return
    if before.definition.side_effects != after.definition.side_effects:
        return  # their SELECTs do not tell, and the tables are long those of the new one
    try:
        grain, pairs = side_by_side(
            context.layer, before.definition, after.definition, months_of(after.overlap),
            in_points=after.in_points,
        )  # fmt: skip
    except CadranError:
        return  # what the old one reads is gone: the record's own figures stand
    measured = summary(grain, pairs, in_points=after.in_points)
    text = versions.exceeding(after.expected_impact, measured)
    if text:
        yield Finding(
            kpi=after.kpi, file=after.file, line=1,
            message=f"version {after.version}, in this warehouse: {text}",
        )  # fmt: skip


@rule("VER06")
def equivalent_is_proved(context: Context) -> Iterator[Finding]:
    """Find equivalent versions without evidence of it, over everything both can be asked."""
    for name, history in context.versions.live():
        for before, after in pairwise(history):
            proof = after.proof
            grain, labels = shared(before.definition, after.definition)
            compared = [comparison.get("question") for comparison in proof.get("compared") or ()]
            if after.kind != "equivalent":
                continue
            text = f"version {after.version} is called equivalent"
            if not proof.get("rows") or proof.get("grain") != grain or set(compared) != set(labels):
                text += f" without proof by {grain}, over {', '.join(labels)}"
            elif proof.get("differences") != 0:
                text += f", and {proof.get('differences')} of its values differ"
            else:
                continue
            yield Finding(kpi=name, file=after.file, line=1, message=text)


@rule("VER09")
def version_covers_card(context: Context) -> Iterator[Finding]:
    """Find KPIs that can be asked by more than their last version was recorded for."""
    for name, history in context.versions.live():
        change = context.versions.change(name)
        if change.asks_more and not change.changed:
            fields = ", ".join(change.asks_more)
            yield Finding(
                kpi=name,
                message=f"its version {history[-1].version} was recorded without {fields}",
            )


@rule("VER03")
def records_unedited(context: Context) -> Iterator[Finding]:
    """Find records whose file is not the one that was sealed or merged, or is gone."""
    for name, problem in context.versions.broken.items():
        yield Finding(
            kpi=name, message=f"a record cannot be read: {problem}", file=lock.FILE, line=1
        )
    root = context.root
    if root is None:
        return
    for name in sorted({*context.versions.locked, *context.versions.history}):
        seals = context.versions.locked[name].seals if name in context.versions.locked else {}
        recorded = {record.version for record in context.versions.history.get(name, ())}
        for number in sorted({*seals, *recorded}):
            path = versions.path_of(root, name, number)
            file = path.relative_to(root).as_posix()
            if not path.exists():
                text = f"the record of version {number} is gone"
            elif number not in seals:
                text = f"the record of version {number} is not sealed in {lock.FILE}"
            elif not versions.holds(path, seals[number]):
                text = f"the record of version {number} was edited"
            elif file in context.versions.merged.altered:
                text = f"the record of version {number} was edited after it was merged"
            else:
                continue
            yield Finding(kpi=name, message=text, file=file if path.exists() else lock.FILE, line=1)


@rule("VER04")
def approved_by_owner(context: Context) -> Iterator[Finding]:
    """Find records approved by their author, or by somebody who may not.

    A merged one was approved by who might then; owners and delegates change.
    """
    for name, history in context.versions.live():
        owner = context.cards[name].owner.business
        allowed = {owner, *context.settings.delegates(owner)}
        for record in history:
            if record.file in context.versions.merged.files:
                continue
            if record.approver.lower() == record.author.lower():
                text = f"{record.author} approved a version {record.version} of their own"
            elif record.approver not in allowed:
                text = (
                    f"{record.approver}, who approved version {record.version}, is neither"
                    f" {owner} nor a delegate"
                )
            else:
                continue
            yield Finding(kpi=name, file=record.file, line=1, message=text)


@rule("VER07")
def every_kpi_recorded(context: Context) -> Iterator[Finding]:
    """Find KPIs without a record."""
    if context.versions.used:
        for name in context.cards:
            if not context.versions.history.get(name) and name not in context.versions.broken:
                yield Finding(kpi=name, message="no version of it is recorded")


@rule("VER08")
def numbers_agree(context: Context) -> Iterator[Finding]:
    """Find KPIs whose card, records and lock disagree."""
    for name, history in context.versions.live():
        numbers = [record.version for record in history]
        card, entry = context.cards[name].version, context.versions.locked.get(name)
        if numbers != list(range(numbers[0], numbers[0] + len(numbers))):
            text = f"its records {', '.join(map(str, numbers))} have a gap"
        elif card != numbers[-1]:
            text = f"its card says version {card}, its last record is version {numbers[-1]}"
        elif entry is None:
            text = "it is not in the lock"
        elif entry.version != numbers[-1] or entry.hash != history[-1].hash:
            text = f"the lock does not have its version {numbers[-1]}"
        else:
            continue
        yield Finding(kpi=name, message=text)


@rule(MAIN_LINE_KNOWN)
def main_line_known(context: Context) -> Iterator[Finding]:
    """Find, in continuous integration, that the merged records cannot be read."""
    if context.in_ci:
        missed = not_compared(_HELD_AGAINST_MAIN_LINE, context)
        if missed:
            yield Finding(message=missed, file=lock.FILE, line=1)


@rule("VER11")
def merged_records_stay(context: Context) -> Iterator[Finding]:
    """Find merged records that are gone, moved or overtaken, and records under another name."""
    merged = context.versions.merged
    for file, revision in sorted(merged.gone.items()):
        _, kpi, name = file.split("/")
        yield Finding(
            kpi=kpi, file=lock.FILE, line=1,
            message=f"its record {name} is gone since it was merged",
            remedy=f"Take it back, and its entry in {lock.FILE} with it: `git checkout {revision}"
            f" -- {file}`. A meaning that shall hold again is a new version (`cadran bump {kpi}`),"
            " a new name one of kind renamed (`--renamed-from`).",
        )  # fmt: skip
    for file in sorted(merged.overtaken):
        _, kpi, name = file.split("/")
        yield Finding(
            kpi=kpi, file=file, line=1,
            message=f"another branch merged its own {name} meanwhile",
            remedy="Rebase, take the merged record and its entry in the lock, then"
            f" `cadran bump {kpi}` for the version after it.",
        )  # fmt: skip
    for name, history in context.versions.history.items():
        for record in history:
            if record.kpi != name:
                yield Finding(
                    kpi=name, file=record.file, line=1,
                    message=f"the record of version {record.version} speaks of {record.kpi}",
                )  # fmt: skip


@rule("VER12")
def renaming_is_recorded(context: Context) -> Iterator[Finding]:
    """Find KPIs that mean what one meant that is gone, or that are renamed from what they are not.

    A KPI that is switched off with its domain has records and no card as well, so that alone is no
    finding.
    """
    history = context.versions.history
    left = {name: records[-1] for name, records in history.items() if name not in context.raw}
    heirs: dict[str, str] = {}
    for name, records in context.versions.live():
        first = records[0]
        before = history.get(first.renamed_from, [])
        alike = [old for old, last in left.items() if last.hash == first.hash]
        if first.kind != "renamed":
            text = f"it means what {alike[0]} meant, which is gone" if alike else ""
        elif first.renamed_from in context.raw:
            text = f"it is called {first.renamed_from} renamed, which is still there"
        elif first.renamed_from in heirs:
            text = f"{heirs[first.renamed_from]} is called {first.renamed_from} renamed as well"
        elif not before or (before[-1].version, before[-1].hash) != (first.version, first.hash):
            text = f"it is not what {first.renamed_from} was by its last record"
        else:
            text = ""
            heirs[first.renamed_from] = name
        if text:
            yield Finding(kpi=name, file=first.file, line=1, message=text)


@rule("VER13")
def approval_is_proved(context: Context) -> Iterator[Finding]:
    """Find versions whose approval nothing proves, where the project asks for it."""
    if not context.settings.approvals.required:
        return
    for name, history in context.versions.live():
        for record in history:
            if record.file in context.versions.merged.files:
                continue
            approval = context.layer.evidence.of(record)
            if approval.state == UNPROVED and not approval.is_due:
                yield Finding(
                    kpi=name, file=record.file, line=1,
                    message=f"that {record.approver} approved version {record.version} is unproved:"
                    f" {approval.evidence}",
                    remedy=f"{record.approver} signs it: `cadran bump {name} --approve`, then `git"
                    " push` of the tag.",
                )  # fmt: skip

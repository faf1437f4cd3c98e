"""Versions: a meaning changes with a record of it, whose impact was expected and measured."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from cadran.errors import CadranError
from cadran.governance import versions
from cadran.governance.impact import shared
from cadran.governance.rules.kept import kept_of
from cadran.governance.rules.registry import Finding, rule

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cadran.governance.changes import Change
    from cadran.governance.context import Context
    from cadran.governance.versions import VersionRecord


@rule(
    "VER01",
    title="A changed meaning has a new version",
    rationale="""Whoever compares this month with the last must compare one meaning with itself. A
        filter, a join, a macro, a variable or a seed far upstream changes a figure as much as its
        own expression does. The SQL of each question is compared, down to its sources and in one
        form.""",
    example="""
# wrong: models/marts/fct_orders.sql gets `where not is_test`, and nothing else changes
# right: `cadran bump net_revenue --kind error --reason "Test orders counted" ...`
""",
    remedy="Take the change back, or record it with `cadran bump`.",
)
def changed_with_version(context: Context) -> Iterator[Finding]:
    """Find KPIs that mean something else than their last version."""
    kept = kept_of(context)
    for name, history in kept.live():
        change = kept.change(name)
        if change.changed:
            caused = "; ".join(change.causes) or "its questions"
            asked = f" ({change.note})" if change.note else ""
            yield Finding(
                kpi=name, file=_cause_file(context, change),
                message=f"it means something else than its version {history[-1].version}, caused"
                f" by {caused}{asked}",
                detail=change.difference,
                remedy=f"Take the change back, or record it: `cadran bump {name}`.",
            )  # fmt: skip


def _cause_file(context: Context, change: Change) -> str | None:
    root = context.root
    files = [
        node.file for node in change.moved if root and node.file and (root / node.file).exists()
    ]
    return files[0] if files else context.file(change.kpi)


@rule(
    "VER02",
    title="A new version has a new meaning",
    rationale="""A version number that rises while the figure stays the same teaches readers to
        look past it, and marks a break in the chart where there is none.""",
    example="""
# wrong: versions/net_revenue/v2.yml holds the SQL of v1.yml
# right: no v2.yml; or `kind: equivalent` with its proof, where the SQL was written anew
""",
    remedy="Delete the record and set the card back.",
)
def version_with_change(context: Context) -> Iterator[Finding]:
    """Find records whose meaning is that of the record before."""
    kept = kept_of(context)
    for name, history in kept.live():
        for before, after in pairwise(history):
            said = before.definition, after.definition
            same = versions.text_of(said[0]) == versions.text_of(said[1]) or (
                before.hash == after.hash and said[0].rules == said[1].rules
            )
            if same:
                yield Finding(
                    kpi=name, file=after.file, line=1,
                    message=f"version {after.version} means what version {before.version} means",
                )  # fmt: skip


@rule(
    "VER05",
    title="The measured impact is what was expected",
    rationale="""Who changes a definition says beforehand what it will do to the figure. Where it
        does something else, the change is not the one that was approved.""",
    example="""
# wrong
expected_impact: {least: -0.03, greatest: 0.0}
measured_impact: {grain: month, periods: 12, least: -0.11, greatest: 0.02}
""",
    remedy="Find out why, or have the wider range approved, and bump again.",
)
def impact_as_expected(context: Context) -> Iterator[Finding]:
    """Find records whose measured change lies outside the expected range.

    With values, the change is measured again in the warehouse there is.
    """
    for name, history in kept_of(context).live():
        for record in history:
            said = record.exceeds
            if record.kind not in {"first", "equivalent"} and record.expected_impact is None:
                said = "no impact was expected of it"
            if said:
                yield Finding(
                    kpi=name, file=record.file, line=1, message=f"version {record.version}: {said}"
                )
        if context.with_values and len(history) > 1 and not history[-1].exceeds:
            yield from _measured_anew(context, *history[-2:])


def _measured_anew(
    context: Context, before: VersionRecord, after: VersionRecord
) -> Iterator[Finding]:
    from cadran.governance.decision import months_of
    from cadran.governance.impact import side_by_side, summary

    if not (before.definition.runs and after.definition.runs):
        return
    try:
        measured = summary(*side_by_side(
            context.layer, before.definition, after.definition, months_of(after.overlap)
        ))  # fmt: skip
    except CadranError:
        return  # what the old one reads is gone: the record's own figures stand
    said = versions.exceeding(after.expected_impact, measured)
    if said:
        yield Finding(
            kpi=after.kpi, file=after.file, line=1,
            message=f"version {after.version}, in this warehouse: {said}",
        )  # fmt: skip


@rule(
    "VER06",
    title="An equivalent version is proved equal",
    rationale="""SQL may be written anew so that no form shows that it is the same. Then only the
        values can: both versions, over all history, at the finest grain, without a difference.""",
    example="""
# wrong
kind: equivalent
# right: what `cadran bump --kind equivalent` writes once no value differs
proof:
  grain: day
  rows: 1096
  differences: 0
  compared: [{question: day, rows: 1096, differences: 0, old: ..., new: ..., ...}]
""",
    remedy="Bump it with `--kind equivalent`, which compares; or name the kind of change it is.",
)
def equivalent_is_proved(context: Context) -> Iterator[Finding]:
    """Find equivalent versions without evidence of it, over everything both can be asked."""
    for name, history in kept_of(context).live():
        for before, after in pairwise(history):
            proof = after.proof
            grain, labels = shared(before.definition, after.definition)
            compared = [one.get("question") for one in proof.get("compared") or ()]
            if after.kind != "equivalent":
                continue
            if not proof.get("rows") or proof.get("grain") != grain or set(compared) != set(labels):
                said = f"is called equivalent without proof by {grain}, over {', '.join(labels)}"
            elif proof.get("differences") != 0:
                said = f"is called equivalent, and {proof.get('differences')} of its values differ"
            else:
                continue
            yield Finding(
                kpi=name, file=after.file, line=1, message=f"version {after.version} {said}"
            )


@rule(
    "VER09",
    title="A version covers all that its card allows",
    rationale="""What a version was recorded for is what is watched. A grain or dimension that came
        to the card later could change unseen, and no old version could answer by it.""",
    example="""
# wrong: `dimensions: [customer__country, order_id__channel]` on the card, v1.yml with the first
# right: `cadran bump net_revenue --kind equivalent --reason "Asked by channel as well" ...`
""",
    remedy="Record it: `cadran bump`, as equivalent when nothing else changed.",
)
def version_covers_card(context: Context) -> Iterator[Finding]:
    """Find KPIs that can be asked by more than their last version was recorded for."""
    kept = kept_of(context)
    for name, history in kept.live():
        change = kept.change(name)
        if change.asks_more and not change.changed:
            asked = ", ".join(change.asks_more)
            yield Finding(
                kpi=name, message=f"its version {history[-1].version} was recorded without {asked}"
            )

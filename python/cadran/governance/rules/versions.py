"""Versions: a meaning changes with a record of it, and a record never changes."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from cadran.errors import CadranError
from cadran.governance import lock, versions
from cadran.governance.rules.registry import Finding, rule

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cadran.governance.changes import Change
    from cadran.governance.context import Context
    from cadran.governance.versions import VersionRecord


class _Kept:
    """What the rules of one run share: each record is read, and each KPI compared, once."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self.history: dict[str, list[VersionRecord]] = {}
        self.broken: dict[str, str] = {}
        self.locked: dict[str, lock.Locked] = {}
        self._changes: dict[str, Change] = {}
        root = context.root
        if root is None:
            return
        self.locked = lock.read(root)
        for name in sorted({*versions.recorded(root), *self.locked}):
            try:
                self.history[name] = versions.records(root, name)
            except CadranError as problem:
                self.broken[name] = str(problem)

    @property
    def used(self) -> bool:
        """Whether the project records versions at all."""
        return bool(self.history or self.broken or self.locked)

    def change(self, kpi: str) -> Change:
        """How a KPI stands to its last version."""
        from cadran.governance.changes import compare

        if kpi not in self._changes:
            self._changes[kpi] = compare(self.context.layer, self.history[kpi][-1])
        return self._changes[kpi]

    def live(self) -> Iterator[tuple[str, list[VersionRecord]]]:
        """The KPIs that have both a readable card and records."""
        for name in self.context.cards:
            if self.history.get(name):
                yield name, self.history[name]


def _kept(context: Context) -> _Kept:
    found = context.__dict__.get("_versions")
    if found is None:
        found = context.__dict__["_versions"] = _Kept(context)
    return found


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
    kept = _kept(context)
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
    kept = _kept(context)
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
    "VER03",
    title="A version that was recorded never changes again",
    rationale="""Published values name the version they were computed by. A record that is edited
        later says of those values what was not true of them.""",
    example="""
# wrong: versions/net_revenue/v1.yml is opened and its reason, date or SQL is changed
# right: what was wrong is said by a new version
""",
    remedy="Restore the file: `git checkout <revision> -- <file>`.",
)
def records_unedited(context: Context) -> Iterator[Finding]:
    """Find records whose file is not the one that was sealed, or is gone."""
    kept = _kept(context)
    for name, problem in kept.broken.items():
        yield Finding(
            kpi=name, message=f"a record cannot be read: {problem}", file=lock.FILE, line=1
        )
    root = context.root
    for name, entry in kept.locked.items():
        for number, mark in entry.seals.items():
            path = versions.path_of(root, name, number) if root else None
            if path is None or not path.exists():
                yield Finding(
                    kpi=name,
                    message=f"the record of version {number} is gone",
                    file=lock.FILE,
                    line=1,
                )
            elif versions.seal(path) != mark:
                yield Finding(
                    kpi=name, message=f"the record of version {number} was edited",
                    file=str(path.relative_to(root)) if root else None, line=1,
                )  # fmt: skip


@rule(
    "VER04",
    title="Who approves a version is not who wrote it, and may",
    rationale="""The owner of a KPI answers for what it means, so a new meaning needs the owner's
        word, or that of a delegate; and nobody approves their own work.""",
    example="""
# wrong
author: data@example.com
approver: data@example.com
# right: the business owner on the card, or a delegate under `owners` in cadran_checks.yml
approver: head.of.sales@example.com
""",
    remedy="Have it approved by the business owner or a delegate, and bump again.",
)
def approved_by_owner(context: Context) -> Iterator[Finding]:
    """Find records approved by their author, or by somebody who may not."""
    for name, history in _kept(context).live():
        owner = context.cards[name].owner.business
        allowed = {owner, *context.settings.delegates(owner)}
        record = history[-1]
        if record.approver.lower() == record.author.lower():
            yield Finding(
                kpi=name, file=record.file, line=1,
                message=f"{record.author} approved a version {record.version} of their own",
            )  # fmt: skip
        elif record.approver not in allowed:
            yield Finding(
                kpi=name, file=record.file, line=1,
                message=f"{record.approver}, who approved version {record.version}, is neither"
                f" {owner} nor a delegate",
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
    """Find records whose measured change lies outside the expected range."""
    for name, history in _kept(context).live():
        record = history[-1]
        if record.expected_impact is None:
            continue
        least, greatest = (record.measured_impact.get(key) for key in ("least", "greatest"))
        if least is None or greatest is None:
            said = "its impact was expected and not measured"
        elif least < record.expected_impact[0] or greatest > record.expected_impact[1]:
            low, high = record.expected_impact
            said = (
                f"it changes values by {least:+.2%} to {greatest:+.2%}, where {low:+.2%} to"
                f" {high:+.2%} was expected"
            )
        else:
            continue
        yield Finding(
            kpi=name, file=record.file, line=1, message=f"version {record.version}: {said}"
        )


@rule(
    "VER06",
    title="An equivalent version is proved equal",
    rationale="""SQL may be written anew so that no form shows that it is the same. Then only the
        values can: both versions, over all history, at the finest grain, without a difference.""",
    example="""
# wrong
kind: equivalent
# right: what `cadran bump --kind equivalent` writes once no value differs
proof: {grain: day, questions: [day], rows: 1096, differences: 0, compared_at: ...}
""",
    remedy="Bump it with `--kind equivalent`, which compares; or name the kind of change it is.",
)
def equivalent_is_proved(context: Context) -> Iterator[Finding]:
    """Find equivalent versions without evidence of it."""
    for name, history in _kept(context).live():
        for record in history:
            proof = record.proof
            if record.kind == "equivalent" and not (
                proof.get("differences") == 0 and proof.get("rows") and proof.get("questions")
            ):
                yield Finding(
                    kpi=name, file=record.file, line=1,
                    message=f"version {record.version} is called equivalent without proof",
                )  # fmt: skip


@rule(
    "VER07",
    title="Every KPI has its version recorded",
    rationale="""What was never recorded can change unseen. It applies as soon as a project records
        the version of one KPI.""",
    example="""
# wrong: a new KPI in metrics/, and nothing in versions/
# right: `cadran bump --first`
""",
    remedy="Record the first version: `cadran bump --first`.",
)
def every_kpi_recorded(context: Context) -> Iterator[Finding]:
    """Find KPIs without a record."""
    kept = _kept(context)
    if kept.used:
        for name in context.cards:
            if not kept.history.get(name) and name not in kept.broken:
                yield Finding(kpi=name, message="no version of it is recorded")


@rule(
    "VER08",
    title="Card, records and lock name one version",
    rationale="""The version on the card is printed beside the figure; it must be the one whose
        record says what the figure means, and records must be without a gap.""",
    example="""
# wrong: `version: 2` on the card, versions/net_revenue/v1.yml alone
# right: `cadran bump net_revenue` writes record, lock and card
""",
    remedy="Run `cadran bump`, which writes all three.",
)
def numbers_agree(context: Context) -> Iterator[Finding]:
    """Find KPIs whose card, records and lock disagree."""
    kept = _kept(context)
    for name, history in kept.live():
        numbers = [record.version for record in history]
        card, entry = context.cards[name].version, kept.locked.get(name)
        if numbers != list(range(numbers[0], numbers[0] + len(numbers))):
            said = f"its records {', '.join(map(str, numbers))} have a gap"
        elif card != numbers[-1]:
            said = f"its card says version {card}, its last record is version {numbers[-1]}"
        elif entry is None:
            said = "it is not in the lock"
        elif entry.version != numbers[-1] or entry.hash != history[-1].hash:
            said = f"the lock does not have its version {numbers[-1]}"
        else:
            continue
        yield Finding(kpi=name, message=said)

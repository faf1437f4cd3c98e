"""Version records: each KPI has its own, approved, sealed, and never edited again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cadran.governance import lock, versions
from cadran.governance.rules.kept import kept_of
from cadran.governance.rules.registry import Finding, rule

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cadran.governance.context import Context


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
    """Find records whose file is not the one that was sealed or merged, or is gone."""
    kept = kept_of(context)
    for name, problem in kept.broken.items():
        yield Finding(
            kpi=name, message=f"a record cannot be read: {problem}", file=lock.FILE, line=1
        )
    root = context.root
    if root is None:
        return
    for name in sorted({*kept.locked, *kept.history}):
        seals = kept.locked[name].seals if name in kept.locked else {}
        recorded = {record.version for record in kept.history.get(name, ())}
        for number in sorted({*seals, *recorded}):
            path = versions.path_of(root, name, number)
            file = path.relative_to(root).as_posix()
            if not path.exists():
                said = f"the record of version {number} is gone"
            elif number not in seals:
                said = f"the record of version {number} is not sealed in {lock.FILE}"
            elif versions.seal(path) != seals[number]:
                said = f"the record of version {number} was edited"
            elif file in kept.merged.altered:
                said = f"the record of version {number} was edited after it was merged"
            else:
                continue
            yield Finding(kpi=name, message=said, file=file if path.exists() else lock.FILE, line=1)


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
    """Find records approved by their author, or by somebody who may not.

    A merged one was approved by who might then; owners and delegates change.
    """
    kept = kept_of(context)
    for name, history in kept.live():
        owner = context.cards[name].owner.business
        allowed = {owner, *context.settings.delegates(owner)}
        for record in history:
            if record.file in kept.merged.there:
                continue
            if record.approver.lower() == record.author.lower():
                said = f"{record.author} approved a version {record.version} of their own"
            elif record.approver not in allowed:
                said = (
                    f"{record.approver}, who approved version {record.version}, is neither"
                    f" {owner} nor a delegate"
                )
            else:
                continue
            yield Finding(kpi=name, file=record.file, line=1, message=said)


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
    kept = kept_of(context)
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
    kept = kept_of(context)
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

"""Who may approve that a KPI's published values change: its business owner, or a delegate.

Delegates stand under `owners` in `cadran_checks.yml`. Nobody approves what is their own work.
"""

from __future__ import annotations

import datetime as dt
import getpass
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cadran.core.project import checks as settings
from cadran.core.project import git, lock
from cadran.core.result import KEEPING
from cadran.core.versions.evidence import UNPROVED, Approval, Evidence, statement, tag_of
from cadran.core.versions.record import KINDS, RESTATEMENTS, months_of, records
from cadran.errors import QueryError, UnknownNameError
from cadran.governance.rules import registered

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from cadran.core.layer import Layer
    from cadran.core.project.cards import Card


def check_approver(layer: Layer, kpis: Iterable[str], approver: str, author: str) -> None:
    """See that somebody may approve a change of the values of KPIs.

    Raises:
        QueryError: they are the author, or neither owner nor delegate of one of the KPIs.
        CardError: `cadran_checks.yml` holds what it must not.
    """
    if approver.casefold() == author.casefold():
        raise QueryError(f"{author} is at work here, so somebody else must approve it.")
    owners = settings.read(layer.project.root, set(registered()))
    for kpi in kpis:
        owner = layer.card(kpi).owner.business
        allowed = (owner, *owners.delegates(owner))
        if approver.casefold() not in {name.casefold() for name in allowed}:
            others = f", or {' or '.join(allowed[1:])} in the owner's place" if allowed[1:] else ""
            raise QueryError(
                f"{approver} may not approve a change of {kpi}: ask {owner}, who owns it{others}."
            )


def current_author(layer: Layer) -> str:
    """Who is at work: CADRAN_AUTHOR, git's user, or the user of this machine."""
    return git.user(_folder(layer)) or getpass.getuser()


def revision(layer: Layer) -> str | None:
    """The revision of the project in git, with `+` when there are changes beside it."""
    return git.revision(_folder(layer))


def _folder(layer: Layer) -> Path:
    return layer.project.root or layer.project.semantic_manifest_path.parent


# A first version speaks for all that was ever published.
BEGINNING = dt.date(1970, 1, 1)


@dataclass(frozen=True, slots=True)
class Decision:
    """What people decide about a new version; see `versions.VersionRecord`.

    Attributes:
        expected_impact: of an amount, relative.
        expected_points: of a rate, in points: -0.01 is a point of percent less.
    """

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
    expected_points: tuple[float, float] | None = None
    cause: str = ""

    def impact_on(self, card: Card) -> tuple[float, float] | None:
        """The impact that is expected on a KPI, in what its change is told."""
        return self.expected_points if is_rate(card) else self.expected_impact


def is_rate(card: Card) -> bool:
    """Whether a KPI is a fraction that is shown in percent, so that it changes by points."""
    return card.unit == "%"


def sound(decision: Decision, root: Path, card: Card) -> None:
    """Refuse a decision that the gate would not let pass.

    Raises:
        UnknownNameError: its kind or restatement is none.
        QueryError: it lacks something, or is approved by somebody who may not.
    """
    kinds = [kind for kind in KINDS if kind not in {"first", "renamed"}]
    if decision.kind not in kinds:
        raise UnknownNameError("kind of change", decision.kind, kinds)
    if decision.restatement not in RESTATEMENTS:
        raise UnknownNameError("restatement", decision.restatement, RESTATEMENTS)
    if (decision.restatement == "window") != (decision.window is not None):
        raise QueryError("A window is given with the restatement 'window', and only with it.")
    if decision.window and decision.window[0] > decision.window[1]:
        raise QueryError("The window ends before it begins: exchange the two days.")
    if not decision.reason.strip():
        raise QueryError("A new version needs a reason.")
    if decision.kind not in KEEPING and decision.impact_on(card) is None:
        measure = "in points, because it is a rate" if is_rate(card) else "in percent of its values"
        raise QueryError(
            f"A new version of {card.name} needs the impact that is expected of it {measure}: least"
            " and greatest, -3 0, say."
        )
    months_of(decision.overlap)
    may_approve(decision, root, card.owner.business)


def may_approve(decision: Decision, root: Path, owner: str) -> None:
    """Refuse an approver who is the author, or neither the owner nor a delegate.

    Raises:
        QueryError: they are.
    """
    if decision.author.lower() == decision.approver.lower():
        raise QueryError(f"{decision.author} cannot approve a version of their own.")
    allowed = approvers(root, owner)
    if decision.approver not in allowed:
        raise QueryError(
            f"{decision.approver} cannot approve it: the owner is {owner}, with the delegates"
            f" {', '.join(allowed[1:]) or 'none'} ({settings.FILE})."
        )


def sign(root: Path, kpi: str) -> tuple[str, Approval]:
    """Sign a git tag that approves the last version of a KPI, by the key of whoever is at work.

    Returns:
        The tag, and how far it proves the approval.

    Raises:
        QueryError: there is no such version, or git does not sign.
    """
    locked = lock.read(root).get(kpi)
    history = [r for r in records(root, kpi) if locked and r.version <= locked.version]
    if not history:
        raise QueryError(f"{kpi} has no version that could be approved.")
    tag = tag_of(history[-1])
    try:
        git.sign_tag(root, tag, statement(root, history[-1]))
    except OSError as problem:
        raise QueryError(f"Git does not sign the tag {tag}: {problem}.") from None
    return tag, Evidence(root).of(history[-1])


def approval_of(layer: Layer, kpi: str, version: int) -> Approval | None:
    """How far the approval of a version is proved; None where it has no record.

    Raises:
        CardError: a record lacks something, or holds what it must not.
    """
    root = layer.project.root
    history = records(root, kpi) if root is not None else []
    return next((layer.evidence.of(r) for r in history if r.version == version), None)


def approvers(root: Path, owner: str) -> list[str]:
    """Who may approve a version of an owner's KPI: the owner first, then the delegates."""
    return [owner, *settings.read(root, set(registered())).delegates(owner)]


RESTATEMENT_KINDS = ("policy", "estimate", "error", "source")


@dataclass(frozen=True, slots=True)
class Restatement:
    """Somebody's agreement that final values of a range of periods change.

    Args:
        start: the first instant.
        end: the instant after the last one.
        kind: policy, estimate, error or source.
        reason: why, in words that a reader of the figure understands.
        approver: who agreed: the owner or a delegate, and not the author.
        ticket: where it was discussed.
    """

    start: dt.date
    end: dt.date
    kind: str
    reason: str
    approver: str
    ticket: str | None = None

    def check(self) -> None:
        """See that it says what it must; who may approve it is known to `approval`.

        Raises:
            QueryError: its kind is unknown, or it lacks a reason or an approver.
        """
        if self.kind not in RESTATEMENT_KINDS:
            raise QueryError(
                f"A restatement is of kind {', '.join(RESTATEMENT_KINDS)}; not '{self.kind}'."
            )
        if not self.reason.strip() or not self.approver.strip():
            raise QueryError("A restatement needs a reason and an approver.")

    def details(self) -> dict[str, Any]:
        """What the ledger keeps of it; its approver is an address that was typed."""
        return {
            "kind": self.kind, "reason": self.reason, "approver": self.approver,
            "approval": UNPROVED,
            "ticket": self.ticket, "from": str(self.start), "until": str(self.end),
        }  # fmt: skip

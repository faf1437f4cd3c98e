"""Who may approve that a KPI's published values change: its business owner, or a delegate.

Delegates stand under `owners` in `cadran_checks.yml`. Nobody approves what is their own work.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cadran.errors import QueryError
from cadran.governance import settings
from cadran.governance.rules import registered

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cadran.layer import Layer


def check_approver(layer: Layer, kpis: Iterable[str], approver: str, author: str) -> None:
    """See that somebody may approve a change of the values of KPIs.

    Raises:
        QueryError: they are the author, or neither owner nor delegate of one of the KPIs.
        CardError: `cadran_checks.yml` holds what it must not.
    """
    if approver.casefold() == author.casefold():
        raise QueryError(f"{author} is at work here, so somebody else must approve it.")
    known = settings.read(layer.project.root, set(registered()))
    for kpi in kpis:
        owner = layer.card(kpi).owner.business
        allowed = (owner, *known.delegates(owner))
        if approver.casefold() not in {name.casefold() for name in allowed}:
            others = f", or {' or '.join(allowed[1:])} in the owner's place" if allowed[1:] else ""
            raise QueryError(
                f"{approver} may not approve a change of {kpi}: ask {owner}, who owns it{others}."
            )

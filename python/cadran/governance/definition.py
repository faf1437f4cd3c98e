"""What the ledger needs to know of a KPI's definition: its hash, and what its version restates."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cadran.layer import Layer


def definition_hash(layer: Layer, kpi: str) -> str:
    """The hash of what a KPI means, from the SQL that answers it at each grain of its card."""
    card = layer.card(kpi)
    texts = [layer.sql([kpi], [f"metric_time__{grain}"], ordered=False) for grain in card.grains]
    return hashlib.sha256("\n".join(texts).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class VersionScope:
    """Which periods that an older version published the present one may touch, and why.

    Attributes:
        condition: SQL on `period`, its start.
        details: what the ledger says of it: kind, reason, approver, ticket.
    """

    condition: str
    details: dict[str, Any] = field(default_factory=dict)


def restated_by_version(layer: Layer, kpi: str) -> VersionScope:
    """The scope of a KPI's present version, from its record; nothing without a record."""
    del layer, kpi
    return VersionScope("false")

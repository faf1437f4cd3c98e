"""What the ledger needs to know of a KPI's definition: its hash, and what its version restates."""

from __future__ import annotations

import datetime as dt
import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import yaml

from cadran.errors import ProjectError

if TYPE_CHECKING:
    from cadran.layer import Layer


def definition_hash(layer: Layer, kpi: str) -> str:
    """The hash of what a KPI means, from the SQL that answers it at each grain of its card."""
    card = layer.card(kpi)
    texts = [layer.sql([kpi], [f"metric_time__{grain}"], ordered=False) for grain in card.grains]
    return hashlib.sha256("\n".join(texts).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class VersionScope:
    """Which periods the present version of a KPI speaks for, and why it was made.

    Attributes:
        covers: SQL on `period`, its start: the version speaks for it.
        restates: whether it also changes final values there.
        details: what the ledger says of it: version_kind, reason, approver, ticket.
    """

    covers: str
    restates: bool
    details: dict[str, Any] = field(default_factory=dict)


def scope(layer: Layer, kpi: str) -> VersionScope | None:
    """The scope of a KPI's present version, from `versions/<kpi>/v<N>.yml`; None without it.

    Raises:
        ProjectError: the record cannot be read.
    """
    root, version = layer.project.root, layer.card(kpi).version
    path = root / "versions" / kpi / f"v{version}.yml" if root is not None else None
    if path is None or not path.exists():
        return None
    try:
        record = yaml.safe_load(path.read_text(encoding="utf-8"))
        effective = dt.date.fromisoformat(str(record["effective_from"]))
        kind, restatement = record["kind"], record.get("restatement", "none")
    except (yaml.YAMLError, KeyError, TypeError, ValueError) as problem:
        raise ProjectError(f"{path} is no version record: {problem}") from None
    start = f"period >= timestamp '{effective}'"
    window = record.get("window") or {}
    if restatement == "window" and window.get("from"):
        start = f"(period >= timestamp '{window['from']}')"
    details = {"version_kind": kind, "kind": kind, "version": version}
    details |= {key: record.get(key) for key in ("reason", "ticket", "approver")}
    return VersionScope(
        covers="true" if restatement == "full" else start,
        restates=restatement != "none",
        details=details,
    )

"""What the ledger needs to know of a KPI's definition: its hash, and what its version restates.

The hash is that of the version's record as long as the KPI means what the record says, down to the
sources; without a record it is that of the meaning now. Where there is no project whose models
could be opened, the SQL that answers the KPI is hashed instead, and it is said so: that sees
nothing of what happens upstream of the marts.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from importlib.metadata import version as installed
from typing import TYPE_CHECKING, Any

from cadran.errors import CadranError, CardError
from cadran.governance import changes, version_file, versions
from cadran.governance.compiled import fingerprint
from cadran.governance.questions import FORM
from cadran.governance.versions import VersionRecord, text_of
from cadran.plans import PlanCache, key_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from cadran.layer import Layer

BY_SQL = "sql:"


@dataclass(frozen=True, slots=True)
class Defined:
    """What a KPI means now, in one hash.

    Attributes:
        hash: of the meaning; it begins with `sql:` where compiled SQL was hashed instead.
        note: why that was done; empty otherwise.
        is_changed: whether the record of its version says something else.
        causes: what changed since, where that is known.
    """

    hash: str
    note: str = ""
    is_changed: bool = False
    causes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class VersionScope:
    """Which periods the present version of a KPI speaks for, and why it was made.

    Attributes:
        covers: SQL on `period`, its start: the version speaks for it.
        restates: SQL on `period`: it also changes final values there.
        details: what the ledger says of it: version_kind, reason, approver, ticket.
    """

    covers: str
    restates: str
    details: dict[str, Any] = field(default_factory=dict)


class Definitions:
    """The definitions of a layer's KPIs; each is worked out once while no file changes."""

    def __init__(self, layer: Layer) -> None:
        """Take a layer; nothing is opened yet."""
        self._layer = layer
        self._root: Path | None = layer.project.root
        folder = layer.project.plans
        self._cache = PlanCache(folder.with_name("ledger") / "definitions" if folder else None)
        self._records: dict[str, VersionRecord | None] = {}
        self._files = fingerprint(self._root) if self._root is not None else ""
        self._why_not = "there is no dbt project, only its manifest" if self._root is None else ""

    def of(self, kpi: str) -> Defined:
        """What a KPI means now.

        Raises:
            CardError: the version's record lacks something, or holds what it must not.
            CadranError: it cannot be asked at all.
        """
        if not self._why_not:
            record = self._record(kpi)
            said = [record.version, record.hash, text_of(record.definition)] if record else []
            key = key_of("meaning", self._files, tools(), kpi, said)
            kept: dict[str, Any] | None = self._cache.get(key)
            if kept is None:
                try:
                    kept = self._compared(kpi, record)
                except CardError:
                    raise
                except CadranError as reason:
                    self._why_not = str(reason).rstrip(".")
                else:
                    self._cache.put(key, kept)
            if kept is not None:
                return Defined(kept["hash"], "", kept["is_changed"], tuple(kept["causes"]))
        card = self._layer.card(kpi)
        texts = [
            self._layer.sql([kpi], [f"metric_time__{grain}"], ordered=False)
            for grain in card.grains
        ]
        note = f"its compiled SQL is compared, which sees no change upstream: {self._why_not}"
        return Defined(f"{BY_SQL}{key_of(*texts)}", note)

    def _compared(self, kpi: str, record: VersionRecord | None) -> dict[str, Any]:
        if record is None:
            found = changes.hash_of(self._layer, kpi)
            return {"hash": found, "is_changed": False, "causes": []}
        change = changes.compare(self._layer, record)
        return {"hash": record.hash, "is_changed": change.changed, "causes": list(change.causes)}

    def refusal(self, kpi: str, now: Defined, known: Sequence[dict[str, Any]]) -> str:
        """Why a KPI must not be published: it means something else than its version; else empty.

        Args:
            kpi: the KPI.
            now: what it means now.
            known: the last publication by the present version, `definition_hash` and `tools`;
                empty when there is none.
        """
        version = self._layer.card(kpi).version
        mend = f"give it a new version with `cadran bump {kpi}`, or take the change back"
        if now.is_changed:
            causes = f" ({', '.join(now.causes)})" if now.causes else ""
            said = f"version {version}, by which it would be published{causes}"
            return f"{kpi} means something else than {said}: {mend}."
        if self._record(kpi) is not None and not now.note:
            return ""
        if not known or known[0]["definition_hash"] == now.hash:
            return ""
        # Other tools, or another kind of hash, say nothing of the meaning.
        kinds = {hash_.startswith(BY_SQL) for hash_ in (known[0]["definition_hash"], now.hash)}
        if known[0]["tools"] != " ".join(tools()) or len(kinds) > 1:
            return ""
        return f"{kpi} means something else than what was published as version {version}: {mend}."

    def scope(self, kpi: str) -> VersionScope | None:
        """The scope of a KPI's present version, from its record; None without it.

        Raises:
            CardError: the record lacks something, or holds what it must not.
        """
        record = self._record(kpi)
        if record is None:
            return None
        effective = f"period >= timestamp '{record.effective_from}'"
        covers, restates = effective, "false"
        if record.restatement == "effective":
            restates = effective
        elif record.restatement == "full":
            covers = restates = "true"
        elif record.restatement == "window" and record.window:
            first, last = record.window
            restates = (
                f"(period >= timestamp '{first}' and period < timestamp '{last}' + interval 1 day)"
            )
            covers = f"({effective} or {restates})"
        details = {
            "version_kind": record.kind, "kind": record.kind, "version": record.version,
            "reason": record.reason, "ticket": record.ticket or None, "approver": record.approver,
            "effective_from": str(record.effective_from), "restatement": record.restatement,
        }  # fmt: skip
        return VersionScope(covers, restates, details)

    def _record(self, kpi: str) -> VersionRecord | None:
        if self._root is None:
            return None
        if kpi not in self._records:
            path = versions.path_of(self._root, kpi, self._layer.card(kpi).version)
            found = version_file.read(self._root, path) if path.exists() else None
            self._records[kpi] = found
        return self._records[kpi]


def tools() -> list[str]:
    """What a hash of a definition depends on beside the definition."""
    return [f"form {FORM}", *(f"{name} {installed(name)}" for name in ("metricflow", "sqlglot"))]

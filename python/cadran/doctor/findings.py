"""A finding: what is wrong where, what was expected, how many rows, an example, the remedy."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any


class Level(StrEnum):
    """What a finding does to a build."""

    STOPS = "stops the build"
    REJECTS = "rows are rejected"
    NOTE = "note"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that the input contract does not allow, or that is good to know."""

    level: Level
    table: str
    file: str
    problem: str
    expected: str
    remedy: str
    column: str | None = None
    rows: int | None = None
    example: str | None = None


@dataclass(frozen=True, slots=True)
class Report:
    """All findings, and the rows of each table that was looked at."""

    findings: tuple[Finding, ...]
    rows: dict[str, int]
    seconds: float

    @property
    def is_clean(self) -> bool:
        """True when a build would neither stop nor reject a row."""
        return all(finding.level is Level.NOTE for finding in self.findings)

    def rejected(self, table: str) -> int:
        """The rows of the table that the build will reject."""
        return sum(
            finding.rows or 0
            for finding in self.findings
            if finding.table == table and finding.level is Level.REJECTS
        )

    def to_dict(self) -> dict[str, Any]:
        """The report with plain values, for JSON."""
        return {
            "clean": self.is_clean,
            "seconds": round(self.seconds, 2),
            "tables": [
                {"table": table, "rows": rows, "rejected": self.rejected(table)}
                for table, rows in self.rows.items()
            ],
            "findings": [
                asdict(finding) | {"level": finding.level.value} for finding in self.findings
            ],
        }

    def to_text(self) -> str:
        """The report for a person: findings by table, the worst first, then a summary."""
        lines: list[str] = []
        order = list(Level)
        for finding in sorted(
            self.findings, key=lambda finding: (order.index(finding.level), finding.table)
        ):
            lines += _paragraph(finding)
        rejected = sum(self.rejected(table) for table in self.rows)
        summary = f"{len(self.rows)} tables, {sum(self.rows.values()):,} rows"
        if self.is_clean:
            lines.append(f"{summary}: the input keeps its contract.")
        else:
            count = sum(finding.level is not Level.NOTE for finding in self.findings)
            words = f"{count} finding{'s' if count > 1 else ''}"
            lines.append(f"{summary}: {words}, {rejected:,} rows would be rejected.")
        return "\n".join(lines)


def _paragraph(finding: Finding) -> list[str]:
    what = f"{finding.table}.{finding.column}" if finding.column else finding.table
    rows = (
        "" if finding.rows is None else f" ({finding.rows:,} row{'s' if finding.rows != 1 else ''})"
    )
    lines = [
        f"{finding.level.value.upper()}  {what}: {finding.problem}{rows}",
        f"    file      {finding.file}",
        f"    expected  {finding.expected}",
    ]
    if finding.example:
        lines.append(f"    example   {finding.example}")
    return [*lines, f"    remedy    {finding.remedy}", ""]

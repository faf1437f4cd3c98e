"""A finding: what is wrong where, what was expected, how many rows, an example, the remedy."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable


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

    def to_text(self, say: Callable[[str], str] = str) -> str:
        """The report for a person: findings by table, the worst first, then a summary.

        Args:
            say: has a text in another language.
        """
        lines: list[str] = []
        order = list(Level)
        for finding in sorted(
            self.findings, key=lambda finding: (order.index(finding.level), finding.table)
        ):
            lines += _paragraph(finding, say)
        rejected = sum(self.rejected(table) for table in self.rows)
        summary = f"{len(self.rows)} tables, {sum(self.rows.values()):,} rows"
        if self.is_clean:
            lines.append(say(f"{summary}: the input keeps its contract."))
        else:
            count = sum(finding.level is not Level.NOTE for finding in self.findings)
            words = f"{count} finding{'s' if count > 1 else ''}"
            lines.append(say(f"{summary}: {words}, {rejected:,} rows would be rejected."))
        return "\n".join(lines)


def _paragraph(finding: Finding, say: Callable[[str], str]) -> list[str]:
    what = f"{finding.table}.{finding.column}" if finding.column else finding.table
    rows = f"{finding.rows or 0:,} row{'s' if finding.rows != 1 else ''}"
    counted = "" if finding.rows is None else f" ({say(rows)})"
    expected = ", ".join(map(say, finding.expected.split(", ")))
    entries = {
        "file": finding.file,
        "expected": say(expected),
        "example": finding.example,
        "remedy": say(finding.remedy),
    }
    return [
        f"{say(finding.level.value.upper())}  {what}: {say(finding.problem)}{counted}",
        *(f"    {say(name):<10}{text}" for name, text in entries.items() if text),
        "",
    ]

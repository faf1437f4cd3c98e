"""`versions/<kpi>/v<N>.yml`: each meaning that a KPI has had, frozen, and why it was given up.

People decide what stands at the top of a record: from when it holds, why, who approved it, what is
restated. Below stands what the KPI meant, as SQL down to the sources, with everything it came from.
A record that was merged never changes again.
"""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from cadran.governance.checksums import checksum

if TYPE_CHECKING:
    import datetime as dt
    from pathlib import Path

    from cadran.governance.questions import Definition

FOLDER = "versions"
KINDS = ("first", "policy", "estimate", "error", "source", "equivalent")
RESTATEMENTS = ("none", "effective", "full", "window")
_NAME = re.compile(r"v([1-9]\d*)\.yml")


@dataclass(frozen=True, slots=True)
class VersionRecord:
    """One version of a KPI.

    Attributes:
        effective_from: the first day of which the version speaks.
        kind: first, policy, estimate, error, source or equivalent.
        restatement: which published values it replaces: none, from the effective date, full, or
            those of a window.
        window: first and last day that are restated, where restatement is `window`.
        overlap: how long both versions are shown side by side, "3 months".
        expected_impact: the least and greatest relative change of a period's value, as fractions.
        measured_impact: what both versions gave over the overlap when the record was written:
            grain, periods, least and greatest relative change.
        proof: for an equivalent version, what was compared and found equal.
        hash: what the KPI means, in one hash.
        mark: of everything it came from, as it was written; see `quick`.
        said: a mark of what MetricFlow wrote its questions from.
        tools: the versions of the tools that made the hashes.
        question_hashes: the hash of each question of the definition.
        definition: what the KPI means.
        file: the record's path in the project.
    """

    kpi: str
    version: int
    effective_from: dt.date
    kind: str
    reason: str
    author: str
    approver: str
    restatement: str
    hash: str
    definition: Definition
    ticket: str = ""
    window: tuple[dt.date, dt.date] | None = None
    overlap: str = ""
    expected_impact: tuple[float, float] | None = None
    measured_impact: dict[str, Any] = field(default_factory=dict)
    proof: dict[str, Any] = field(default_factory=dict)
    mark: str = ""
    said: str = ""
    tools: tuple[str, ...] = ()
    question_hashes: tuple[str, ...] = ()
    file: str = ""

    @property
    def exceeds(self) -> str:
        """How the measured impact differs from the expected one; empty where it does not."""
        return exceeding(self.expected_impact, self.measured_impact)

    @property
    def sql(self) -> dict[str, str]:
        """The frozen SQL of each question, by grain and dimension, "month customer__country"."""
        from cadran.governance.expand import whole

        return {
            label: whole(question.at(grain), self.definition.steps)
            for question in self.definition.questions
            for label, grain in zip(question.labels, question.grains, strict=True)
        }


def exceeding(expected: tuple[float, float] | None, measured: dict[str, Any]) -> str:
    """How a measured impact differs from the expected one; empty where it does not."""
    if expected is None:
        return ""
    least, greatest = (measured.get(key) for key in ("least", "greatest"))
    if least is None or greatest is None:
        could_not = measured.get("note") or measured.get("periods") == 0
        return "" if could_not else "its impact was expected and not measured"
    if expected[0] <= least and greatest <= expected[1]:
        return ""
    return (
        f"it changes values by {least:+.2%} to {greatest:+.2%}, where {expected[0]:+.2%} to"
        f" {expected[1]:+.2%} was expected"
    )


def records(root: Path, kpi: str) -> list[VersionRecord]:
    """The versions of a KPI, the first one first.

    Raises:
        CardError: a record lacks something, or holds what it must not.
    """
    folder = root / FOLDER / kpi
    paths = {int(m[1]): p for p in folder.glob("v*.yml") if (m := _NAME.fullmatch(p.name))}
    from cadran.governance.version_file import read

    return [read(root, paths[number]) for number in sorted(paths)]


def recorded(root: Path) -> list[str]:
    """The names of the KPIs that have a record."""
    return sorted({path.parent.name for path in (root / FOLDER).glob("*/v*.yml")})


def path_of(root: Path, kpi: str, version: int) -> Path:
    """Where the record of a version stands."""
    return root / FOLDER / kpi / f"v{version}.yml"


def seal(path: Path) -> str:
    """A checksum of a record's file; line ends do not count."""
    return checksum(path.read_text(encoding="utf-8"))


def text_of(definition: Definition) -> str:
    """A checksum of a definition's texts: where it is the same, nothing needs to be opened."""
    said = [
        [[list(q.grains), list(q.dimensions), q.sql.strip()] for q in definition.questions],
        {name: body.strip() for name, body in definition.steps.items()},
        definition.rules, definition.by_text,
        [asdict(node) for node in definition.nodes] if definition.by_text else [],
    ]  # fmt: skip
    return checksum(json.dumps(said, sort_keys=True))

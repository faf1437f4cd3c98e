"""Who uses which KPI, from the record of questions."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cadran.errors import ProjectError
from cadran.formats import strict_yaml

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Collection, Iterable

    from cadran.audit.log import Entry

FOLDER = "audit"
_SETTINGS = "cadran_server.yml"
_NOT_ASKED = ("warm-up",)  # what the server asks itself


@dataclass(slots=True)
class Usage:
    """How one KPI was used.

    Attributes:
        name: the KPI.
        questions: that were answered.
        refused: by policy or card.
        callers: questions that were answered, by caller.
        last: when it was last answered.
        cached: of the questions, those whose answer was there already.
    """

    name: str
    questions: int = 0
    refused: int = 0
    cached: int = 0
    callers: Counter[str] = field(default_factory=Counter)
    last: dt.datetime | None = None

    def row(self) -> dict[str, Any]:
        """It as one row, the callers who ask most first."""
        return {
            "kpi": self.name,
            "questions": self.questions,
            "refused": self.refused,
            "cached": self.cached,
            "callers": len(self.callers),
            "last_asked": self.last,
            "asked_by": [name for name, _ in self.callers.most_common(5)],
        }


def of(entries: Iterable[Entry], kpis: Collection[str]) -> dict[str, Usage]:
    """How each of these KPIs was used; those that nobody asked are there as well."""
    usages = {name: Usage(name) for name in kpis}
    for entry in entries:
        if entry.protocol in _NOT_ASKED:
            continue
        for metric in entry.metrics:
            usage = usages.get(metric.partition("@")[0])
            if usage is None:
                continue
            if entry.outcome == "refused":
                usage.refused += 1
            elif entry.outcome == "answered":
                usage.questions += 1
                usage.cached += entry.cached
                usage.callers[entry.caller] += 1
                usage.last = max(usage.last or entry.at, entry.at)
    return usages


def folder_of(root: Path) -> Path:
    """The folder of the record of a project's server, which need not be there.

    Raises:
        ProjectError: the settings of the server are no YAML.
    """
    folder: Any = os.environ.get("CADRAN_SERVER_AUDIT")
    path = root / _SETTINGS
    if not folder and path.exists():
        settings = strict_yaml.read(path, ProjectError)
        folder = settings.get("audit") if isinstance(settings, dict) else None
    return root / Path(str(folder or FOLDER))

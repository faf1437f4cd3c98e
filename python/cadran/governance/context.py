"""What a rule may look at: the project as it is defined, its cards, settings, objectives, targets.

Cards are read twice. `raw` has them as they are written, so that a rule can say what is missing;
`cards` has those that can be read. Nothing here needs a built warehouse but `value`.
"""

from __future__ import annotations

import csv
import datetime as dt
import re
from dataclasses import dataclass
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

from cadran.core.compiler.plan_cache import PlanCache
from cadran.core.project import cards as card_reader
from cadran.core.project import lock
from cadran.core.query.request import ask
from cadran.core.versions import record as versions
from cadran.core.versions.compare import compare
from cadran.core.versions.definition import compiler
from cadran.core.versions.mainline import MergedRecords, merged_records
from cadran.errors import CadranError, CardError, ProjectError
from cadran.formats import periods, strict_yaml

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from cadran.core.layer import Layer
    from cadran.core.project.cards import Card
    from cadran.core.project.checks import Settings
    from cadran.core.versions.compare import Change
    from cadran.core.versions.record import VersionRecord


@dataclass(frozen=True, slots=True)
class SeedRow:
    """One row of a seed: its values by column, its file and its line there."""

    values: dict[str, str]
    file: str
    line: int

    def __getitem__(self, column: str) -> str:
        """The value of a column, empty when the seed has no such column."""
        return (self.values.get(column) or "").strip()

    def number(self, column: str) -> float | None:
        """The value of a column as a number; None when it is none."""
        try:
            return float(self[column])
        except ValueError:
            return None

    def date(self, column: str) -> dt.date | None:
        """The value of a column as a date; None when it is none."""
        try:
            return dt.date.fromisoformat(self[column])
        except ValueError:
            return None


class RecordedVersions:
    """The version records of a project: each is read, and each KPI compared, once."""

    def __init__(self, context: Context) -> None:
        """Read the records and the lock of the project, where it has them."""
        self.context = context
        self.history: dict[str, list[VersionRecord]] = {}
        self.broken: dict[str, str] = {}
        self.locked: dict[str, lock.Locked] = {}
        self._changes: dict[str, Change] = {}
        root = context.root
        if root is None:
            return
        self.locked = lock.read(root)
        for name in sorted({*versions.recorded(root), *self.locked}):
            try:
                self.history[name] = versions.records(root, name)
            except CadranError as problem:
                self.broken[name] = str(problem)

    @property
    def used(self) -> bool:
        """Whether the project records versions at all."""
        return bool(self.history or self.broken or self.locked)

    @cached_property
    def merged(self) -> MergedRecords:
        """The records that the main line has."""
        root = self.context.root
        return merged_records(root) if root else MergedRecords("there is no project's folder")

    def change(self, kpi: str) -> Change:
        """How a KPI stands to its last version."""
        if kpi not in self._changes:
            self._changes[kpi] = compare(self.context.layer.meanings, self.history[kpi][-1])
        return self._changes[kpi]

    def is_as_recorded(self, kpi: str) -> bool:
        """Whether a KPI is asked what its last version was compiled for, by the same MetricFlow."""
        history = self.history.get(kpi)
        if not history or compiler() not in history[-1].tools:
            return False
        try:
            change = self.change(kpi)
        except CadranError:
            return False
        return not change.changed and not change.asks_more

    def live(self) -> Iterator[tuple[str, list[VersionRecord]]]:
        """The KPIs that have both a readable card and records."""
        for name in self.context.cards:
            if self.history.get(name):
                yield name, self.history[name]


class Context:
    """One project under examination."""

    def __init__(
        self, layer: Layer, settings: Settings, today: dt.date, *, with_values: bool = False,
        in_ci: bool = False,
    ) -> None:  # fmt: skip
        """Take what was read; everything else is read when a rule asks for it."""
        self.with_values = with_values
        self.in_ci = in_ci
        self.cache = PlanCache(layer.project.plans)
        self.layer = layer
        self.settings = settings
        self.today = today

    @property
    def root(self) -> Path | None:
        """The project's folder; None for a manifest without a project."""
        return self.layer.project.root

    @cached_property
    def dbt(self) -> dict[str, Any]:
        """The manifest of dbt; empty where there is none beside the semantic one."""
        try:
            return self.layer.project.dbt_manifest
        except ProjectError:
            return {}

    @cached_property
    def versions(self) -> RecordedVersions:
        """The version records of the project."""
        return RecordedVersions(self)

    def sql(self, kpi: str, group_by: Iterable[str]) -> str:
        """The SQL of a KPI as MetricFlow writes it.

        Raises:
            CadranError: the question is refused.
        """
        return self.layer.plain_sql(self.layer.accepted(ask(kpi, group_by, ordered=False)))

    # Metrics and cards ------------------------------------------------------------------------

    @cached_property
    def metrics(self) -> dict[str, dict[str, Any]]:
        """Every metric of the semantic manifest, hidden ones included."""
        return self.layer.metric_graph.metrics

    @cached_property
    def raw(self) -> dict[str, dict[str, Any]]:
        """Each KPI's card as it is written, `label` and `description` of the metric with it."""
        cards = {}
        for name, metric in sorted(self.metrics.items()):
            card = card_reader.carried_by(metric)
            if card is not None:
                own = {"label": metric["label"], "description": metric["description"]}
                cards[name] = own | (card if isinstance(card, dict) else {})
        return cards

    def lacking(self, kpi: str) -> tuple[str, ...]:
        """The keys that a finished card has and that of this KPI has not."""
        return card_reader.lacking(self.raw[kpi], self.raw[kpi])

    def is_open_draft(self, kpi: str | None) -> bool:
        """Whether a KPI is a draft of which no version was recorded: it holds up nobody."""
        if kpi is None or not card_reader.is_draft(self.raw.get(kpi)):
            return False
        return kpi not in self.versions.history and kpi not in self.versions.broken

    @cached_property
    def switched_off(self) -> dict[str, dict[str, Any]]:
        """The cards of KPIs that the project has and does not enable, as they are written."""
        metrics = self.layer.project.switched_off("metric") if self.dbt else {}
        return {name: card_reader.carried_by(metric) or {} for name, metric in metrics.items()}

    @cached_property
    def _read(self) -> tuple[dict[str, Card], dict[str, CardError]]:
        cards, broken = {}, {}
        for name in self.raw:
            try:
                cards[name] = card_reader.read(self.metrics[name], partial(self.file, name))
            except CardError as problem:
                broken[name] = problem
        return cards, broken

    @property
    def cards(self) -> dict[str, Card]:
        """The cards that can be read."""
        return self._read[0]

    @property
    def broken(self) -> dict[str, CardError]:
        """What the reader says of each card that it cannot read."""
        return self._read[1]

    def live(self) -> Iterator[Card]:
        """The readable cards that are not deprecated."""
        return (card for card in self.cards.values() if card.status != "deprecated")

    # Files ------------------------------------------------------------------------------------

    @cached_property
    def _metric_files(self) -> dict[str, str]:
        nodes = self.dbt.get("metrics", {}).values()
        return {node["name"]: node["original_file_path"] for node in nodes}

    def file(self, metric: str) -> str:
        """The file that defines a metric, relative to the project."""
        return self._metric_files.get(metric) or str(self.layer.project.semantic_manifest_path)

    def line(self, file: str, name: str) -> int | None:
        """The line of a YAML file where something is named; None when it is not found."""
        pattern = re.compile(rf"\s*(?:- )?\{{?name:\s*[\"']?{re.escape(name)}[\"']?\s*(?:$|,|#)")
        for number, text in enumerate(self._lines(file), 1):
            if pattern.match(text):
                return number
        return None

    def _lines(self, file: str) -> list[str]:
        if file not in self._texts:
            try:
                text = (self.root / file).read_text(encoding="utf-8") if self.root else ""
            except OSError:
                text = ""
            self._texts[file] = text.splitlines()
        return self._texts[file]

    @cached_property
    def _texts(self) -> dict[str, list[str]]:
        return {}

    # Objectives and targets -------------------------------------------------------------------

    @cached_property
    def objectives(self) -> list[SeedRow]:
        """The rows of the seed of objectives."""
        return self._seed("cadran_objectives", "objective_definitions")

    @cached_property
    def targets(self) -> list[SeedRow]:
        """The rows of the seed of targets."""
        return self._seed("cadran_targets", "target_values")

    def _seed(self, variable: str, default: str) -> list[SeedRow]:
        name = self._variable(variable) or default
        for node in self.dbt.get("nodes", {}).values():
            if node["resource_type"] == "seed" and node["name"] == name and self.root:
                file = node["original_file_path"]
                if not (self.root / file).exists():  # the seed of an installed package
                    continue
                with (self.root / file).open(encoding="utf-8", newline="") as stream:
                    reader = csv.DictReader(stream)
                    return [SeedRow(row, file, reader.line_num) for row in reader]
        return []

    def _variable(self, name: str) -> str | None:
        if self.root is None:
            return None
        for file in ("vars.yml", "dbt_project.yml"):
            path = self.root / file
            content = strict_yaml.read(path, ProjectError) if path.exists() else None
            variables = (content or {}).get("vars") or {}
            scoped = variables.get(self.dbt.get("metadata", {}).get("project_name"))
            for block in (scoped, variables):
                if isinstance(block, dict) and isinstance(block.get(name), str):
                    return str(block[name])
        return None

    # Values -----------------------------------------------------------------------------------

    def values(self, kpi: str, grain: str) -> dict[dt.date, float]:
        """The KPI's value in every complete period there is; none without a built warehouse."""
        key = (kpi, grain)
        if key not in self._values:
            self._values[key] = self._query_values(kpi, grain)
        return self._values[key]

    @cached_property
    def _values(self) -> dict[tuple[str, str], dict[dt.date, float]]:
        return {}

    @cached_property
    def last_day(self) -> dt.date | None:
        """The last day of the data; None without a built warehouse."""
        try:
            if self.layer.project.is_unbuilt:
                return None
            return self.layer.last_day()
        except CadranError:
            return None

    def _query_values(self, kpi: str, grain: str) -> dict[dt.date, float]:
        if self.last_day is None or grain not in periods.GRAINS:
            return {}
        last = periods.last_complete(self.last_day, grain)
        time = f"metric_time__{grain}"
        try:
            answer = self.layer.query([kpi], time, end=periods.last_of(last, grain))
        except CadranError:
            return {}
        rows = answer.to_arrow().to_pylist()
        # The first period may have begun before the data did.
        return {row[time]: float(row[kpi]) for row in rows[1:] if row[kpi] is not None}

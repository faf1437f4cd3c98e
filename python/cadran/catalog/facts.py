"""Everything the catalogue says of each KPI, gathered once for both languages."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from cadran.core.freshness import Freshness, Newest
from cadran.core.project import git, lineage
from cadran.core.query.request import ask
from cadran.core.semantics import tree
from cadran.core.targets import Target, targets
from cadran.core.versions.record import records
from cadran.errors import CadranError, ProjectError, QueryError, WarehouseError
from cadran.formats import periods
from cadran.insight import scorecard, tree_check

if TYPE_CHECKING:
    from pathlib import Path

    from cadran.core.layer import Layer
    from cadran.core.project.cards import Card
    from cadran.core.result import Break


DEFINITIONS = ("metrics", "semantic_models", "versions", "seeds", "vars.yml")
MOST_EDITS = 20
FIELDS = 3


@dataclass(frozen=True, slots=True)
class Version:
    """One version of a KPI as its record tells it, and whether its approval is proved.

    The first has no kind.
    """

    kpi: str
    version: int
    effective_from: dt.date | None
    kind: str = ""
    reason: str = ""
    ticket: str = ""
    author: str = ""
    approver: str = ""
    restatement: str = ""
    approval: str = ""


@dataclass(frozen=True, slots=True)
class Edit:
    """One commit that touched definitions."""

    day: dt.date
    subject: str
    files: tuple[str, ...]


def version_history(layer: Layer, card: Card) -> list[Version]:
    """The versions of a KPI, the newest first; the card's own alone where none is recorded."""
    root = layer.project.root
    try:
        history = records(root, card.name) if root is not None else []
    except CadranError:
        history = []
    versions = [
        Version(
            kpi=card.name,
            version=int(record.version),
            approval=layer.evidence.of(record).state,
            **{name: _text(record, name) for name in _NAMES},
        )
        for record in history
    ]
    versions = versions or [Version(card.name, card.version, None)]
    return sorted(versions, key=lambda record: -record.version)


_NAMES = (
    "effective_from", "kind", "reason", "ticket", "author", "approver", "restatement",
)  # fmt: skip


def edits(root: Path | None) -> list[Edit]:
    """The last commits that touched definitions, the newest first; none outside git."""
    if root is None:
        return []
    # Fields end with a control character that no message holds.
    form = "%x1e%cs%x1f%s%x1f"
    log = git.output(
        root, "log", f"-{MOST_EDITS}", "--no-merges", f"--format={form}", "--name-only",
        "--", *DEFINITIONS,
    )  # fmt: skip
    entries = []
    for entry in (log or "").split("\x1e"):
        parts = entry.split("\x1f")
        if len(parts) == FIELDS:
            files = tuple(line for line in parts[2].splitlines() if line)
            entries.append(Edit(dt.date.fromisoformat(parts[0].strip()), parts[1], files))
    return entries


def _text(record: Any, name: str) -> Any:
    # A first version is no change, and speaks for all that was ever published.
    if name == "effective_from" and record.kind in {"first", "renamed"}:
        return None
    if name == "kind" and record.kind == "first":
        return ""
    value = getattr(record, name, "")
    return value if isinstance(value, dt.date) else str(value or "")


MONTHS = 25
SAMPLES = 8


@dataclass(slots=True)
class KpiFacts:
    """One KPI: its card, its numbers, where it comes from and who uses it."""

    card: Card
    grain: str
    series: list[dict[str, Any]]
    published: dict[dt.date, Any]
    breaks: tuple[Break, ...]
    row: scorecard.Row | None
    targets: list[Target]
    sql: str
    origin: lineage.Node | None
    dimensions: list[dict[str, Any]]
    breakdown: list[dict[str, Any]]
    freshness: Freshness | None
    versions: list[Version]
    used_by: list[dict[str, str]]
    file: str
    checks: list[tree_check.Check] = field(default_factory=list)

    @property
    def latest(self) -> Any:
        """The value of the latest complete period."""
        return self.row.value if self.row else None


@dataclass(slots=True)
class Facts:
    """The whole catalogue's content."""

    kpis: dict[str, KpiFacts]
    objectives: list[dict[str, Any]]
    tree: tree.Tree
    until: dt.date
    period: dt.date
    made_at: dt.datetime
    project: str
    failures: dict[str, str]


def gather(layer: Layer) -> Facts:
    """Ask the layer for everything.

    Raises:
        CardError: a card is broken.
        WarehouseError: the warehouse cannot be read.
    """
    until = layer.last_day()
    now = dt.datetime.now(dt.UTC)
    cards = layer.kpis()
    board = scorecard.make(layer, "month")
    rows = {row.card.name: row for row in board.rows}
    series = _series(layer, cards, until)
    all_targets = targets(layer)
    kpi_tree = tree.read(layer)
    checks: dict[str, list[tree_check.Check]] = {}
    for check in tree_check.check(layer, kpi_tree):
        checks.setdefault(check.kpi, []).append(check)
    members: dict[str, list[Any]] = {}
    ages = Newest(layer, now)
    kpis = {}
    for card in cards:
        grain = "month" if "month" in card.grains else card.grains[-1]
        published, breaks = published_values(layer, card, series.get(card.name, []))
        kpis[card.name] = KpiFacts(
            card=card,
            grain=grain,
            series=series.get(card.name, []),
            published=published,
            breaks=breaks,
            row=rows.get(card.name),
            targets=[target for target in all_targets if target.kpi == card.name],
            sql=layer.plan(ask([card.name], f"metric_time__{grain}"))[0],
            origin=_origin(layer, card.name),
            dimensions=_dimensions(layer, card, members),
            breakdown=_breakdown(layer, card, board.period),
            freshness=ages.of(card),
            versions=version_history(layer, card),
            used_by=_used_by(layer, card.name),
            file=layer.project.file_of(card.name),
            checks=checks.get(card.name, []),
        )
    return Facts(
        kpis=kpis,
        objectives=scorecard.objectives(layer),
        tree=kpi_tree,
        until=until,
        period=board.period,
        made_at=now,
        project=_project(layer),
        failures=board.failures,
    )


def _series(layer: Layer, cards: list[Card], until: dt.date) -> dict[str, list[dict[str, Any]]]:
    names = [card.name for card in cards if "month" in card.grains]
    latest = periods.last_complete(until, "month")
    first = periods.shifted(latest, "month", 1 - MONTHS)
    values, _ = scorecard.values_of(layer, names, "month", first, latest)
    starts = [periods.shifted(first, "month", step) for step in range(MONTHS)]
    return {
        name: [
            {"metric_time__month": start, name: values[start][name]}
            for start in starts
            if values.get(start, {}).get(name) is not None
        ]
        for name in names
    }


def published_values(
    layer: Layer, card: Card, series: list[dict[str, Any]]
) -> tuple[dict[dt.date, Any], tuple[Break, ...]]:
    """What was published of the months of a series, where a month says something else now.

    Returns:
        The published values, none where all are as they were published, and their breaks.
    """
    column, now = "metric_time__month", {row["metric_time__month"]: row for row in series}
    if not now:
        return {}, ()
    try:
        answer = layer.query(
            [card.name], [column], start=min(now), end=periods.last_of(max(now), "month"),
            view="published",
        )  # fmt: skip
    except QueryError:  # nothing of it was published by month
        return {}, ()
    values = {row[column]: row[card.name] for row in answer.to_arrow().to_pylist()}
    if all(month in now and now[month][card.name] == said for month, said in values.items()):
        return {}, ()
    return values, answer.breaks


def _origin(layer: Layer, kpi: str) -> lineage.Node | None:
    try:
        return lineage.of_metric(layer.project.dbt_manifest, kpi)
    except (ProjectError, CadranError):
        return None


def _dimensions(layer: Layer, card: Card, members: dict[str, list[Any]]) -> list[dict[str, Any]]:
    dimensions = {dimension["name"]: dimension for dimension in layer.dimensions([card.name])}
    entries = []
    for name in card.dimensions:
        if name not in members:
            try:
                members[name] = layer.dimension_values(name, [card.name])
            except CadranError:
                members[name] = []
        values = members[name]
        entries.append(
            {
                "name": name,
                "description": dimensions.get(name, {}).get("description", ""),
                "samples": [str(value) for value in values[:SAMPLES]],
                "count": len(values),
            }
        )
    return entries


def _breakdown(layer: Layer, card: Card, period: dt.date) -> list[dict[str, Any]]:
    """The latest month by the card's first dimension."""
    if not card.dimensions or "month" not in card.grains:
        return []
    bounds = {"start": period, "end": periods.last_of(period, "month")}
    column = "metric_time__month"
    try:
        answer = layer.query([card.name], [column, card.dimensions[0]], **bounds)  # type: ignore[arg-type]
    except CadranError:
        return []
    rows = answer.to_arrow().to_pylist()
    return [{k: v for k, v in row.items() if k != column} for row in rows]


def _used_by(layer: Layer, kpi: str) -> list[dict[str, str]]:
    uses = [
        {"kind": "saved_query", "name": query["name"], "label": query["label"] or query["name"],
         "description": query["description"] or "", "url": ""}
        for query in layer.project.semantic_manifest["saved_queries"]
        if kpi in query["query_params"]["metrics"]
    ]  # fmt: skip
    try:
        exposures = layer.project.dbt_manifest.get("exposures", {}).values()
    except ProjectError:
        return uses
    for exposure in exposures:
        nodes = exposure.get("depends_on", {}).get("nodes", [])
        if any(node.startswith("metric.") and node.endswith(f".{kpi}") for node in nodes):
            uses.append(
                {"kind": "exposure", "name": exposure["name"],
                 "label": exposure.get("label") or exposure["name"],
                 "description": exposure.get("description") or "", "url": exposure.get("url") or ""}
            )  # fmt: skip
    return uses


def _project(layer: Layer) -> str:
    try:
        return str(layer.project.dbt_manifest["metadata"].get("project_name") or "")
    except ProjectError:
        return ""


FOLDERS = ("marts", "kpis", "governance", "utilities")


@dataclass(frozen=True, slots=True)
class Column:
    """A column: its type in the warehouse, what it is for, and the tests it stands under."""

    name: str
    type: str
    description: str
    role: str
    tests: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Model:
    """A table that people may read, and the KPIs that are computed from it."""

    name: str
    folder: str
    group: str
    description: str
    file: str
    relation: str
    columns: tuple[Column, ...]
    parents: tuple[str, ...]
    kpis: tuple[str, ...]


def models(layer: Layer, kpis_of: dict[str, list[str]]) -> list[Model]:
    """The models of the folders that people read, in their order.

    Args:
        layer: the layer of the project.
        kpis_of: for a model's name, the KPIs that come from it.
    """
    try:
        manifest = layer.project.dbt_manifest
    except ProjectError:
        return []
    types = _types(layer)
    tests = _tests(manifest)
    tables = []
    for key, node in manifest["nodes"].items():
        folders = node["fqn"][1:-1]
        if node["resource_type"] != "model" or not folders or folders[0] not in FOLDERS:
            continue
        place = (node["schema"], node.get("alias") or node["name"])
        names = [parent.split(".", 2)[2] for parent in node["depends_on"]["nodes"]]
        tables.append(
            Model(
                name=node["name"],
                folder=folders[0],
                group=folders[1] if len(folders) > 1 else folders[0],
                description=" ".join((node["description"] or "").split()),
                file=node["original_file_path"],
                relation=".".join(place),
                columns=_columns(node, types.get(place, {}), tests.get(key, {})),
                parents=tuple(dict.fromkeys(names)),
                kpis=tuple(kpis_of.get(node["name"], ())),
            )
        )
    return sorted(tables, key=lambda m: (FOLDERS.index(m.folder), m.group, m.name))


def _columns(
    node: dict[str, Any], types: dict[str, str], tests: dict[str, list[str]]
) -> tuple[Column, ...]:
    described = node["columns"]
    names = [*described, *(name for name in types if name not in described)]
    columns = []
    for name in names:
        description = described.get(name, {})
        entity, dimension = description.get("entity") or {}, description.get("dimension") or {}
        role = ""
        if entity:
            role = "key" if entity.get("type") in {"primary", "unique"} else "foreign"
        elif dimension:
            role = "time" if dimension.get("type") == "time" else "dimension"
        columns.append(
            Column(
                name=name,
                type=(types.get(name) or description.get("data_type") or "").lower(),
                description=" ".join((description.get("description") or "").split()),
                role=role,
                tests=tuple(sorted(set(tests.get(name, ())))),
            )
        )
    return tuple(columns)


def _types(layer: Layer) -> dict[tuple[str, str], dict[str, str]]:
    try:
        rows = layer.warehouse.arrow(
            "select table_schema, table_name, column_name, data_type"
            " from information_schema.columns order by table_schema, table_name, ordinal_position"
        ).to_pylist()
    except WarehouseError:
        return {}
    types: dict[tuple[str, str], dict[str, str]] = {}
    for row in rows:
        place = (row["table_schema"], row["table_name"])
        types.setdefault(place, {})[row["column_name"]] = row["data_type"]
    return types


def _tests(manifest: dict[str, Any]) -> dict[str, dict[str, list[str]]]:
    tests: dict[str, dict[str, list[str]]] = {}
    for node in manifest["nodes"].values():
        column, key = node.get("column_name"), node.get("attached_node")
        if node["resource_type"] == "test" and column and key:
            name = (node.get("test_metadata") or {}).get("name") or node["name"]
            tests.setdefault(key, {}).setdefault(column, []).append(name)
    return tests

"""The model of a project: every KPI by name, as a measure that DAX can say or as a KPI table."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from cadran.core.query.request import GroupBy
from cadran.core.semantics.metrics import ADDITIVE
from cadran.core.warehouse.dialects import literal
from cadran.errors import CardError
from cadran.exports.powerbi import beside, dates, model
from cadran.exports.powerbi import model as words
from cadran.exports.powerbi.dates import COLUMNS, DATE, TABLE, guarded
from cadran.exports.powerbi.measures import Measures
from cadran.exports.powerbi.model import (
    Column,
    Kind,
    LeftOut,
    Measure,
    Model,
    NotInDaxError,
    Relationship,
    Table,
    measure_reference,
    reference,
)
from cadran.exports.powerbi.page import MEASURES
from cadran.exports.powerbi.star import Star, kind_of
from cadran.insight.scorecard import objectives

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    import pyarrow as pa

    from cadran.core.layer import Layer
    from cadran.core.project.cards import Card
    from cadran.exports.powerbi.measures import DaxExpression
    from cadran.exports.powerbi.model import Kind


TOTAL = "total"


def kpi_table_grains(card: Card) -> list[str]:
    """The grains of a card that a date table has."""
    return [grain for grain in card.grains if grain in COLUMNS]


def kpi_table_rows(layer: Layer, card: Card) -> pa.Table:
    """The values of a KPI by each grain of its card, in all and by each of its dimensions.

    Columns: grain, period (its first day), dimension (`total`, or its name), member, value.
    """
    import pyarrow as pa

    tables = []
    for grain in kpi_table_grains(card):
        for dimension in (None, *card.dimensions):
            groups = [GroupBy("metric_time", grain), *([GroupBy(dimension)] if dimension else [])]
            answer = layer.query([card.name], groups, ordered=False).to_arrow()
            count = answer.num_rows
            member = answer.column(1) if dimension else pa.nulls(count)
            tables.append(
                pa.table(
                    {
                        "grain": pa.repeat(grain, count),
                        "period": answer.column(0).cast(pa.date32()),
                        "dimension": pa.repeat(dimension or TOTAL, count),
                        "member": member.cast(pa.string()),
                        "value": answer.column(answer.num_columns - 1),
                    }
                )
            )
    kpi_table = pa.concat_tables(tables, promote_options="permissive")
    return kpi_table.filter(kpi_table.column("value").is_valid())


def kpi_table(card: Card, name: str, values: pa.Table) -> tuple[Table, Relationship]:
    """The table of a KPI's values, and its relationship to the dates."""

    def column(name: str, kind: Kind, text: str = "") -> Column:
        source = name.lower()
        return Column(name, source, kind, source, is_hidden=not text, description=text)

    table = Table(
        name,
        f"kpi_{card.name}",
        (
            column("Grain", "string", "day, week, month, quarter or year."),
            column("Period", "date"),
            column("Dimension", "string", f"The dimension, or {TOTAL} for the value in all."),
            column("Member", "string", "The value of the dimension."),
            column("Value", kind_of(values.schema.field("value").type, card.name)),
        ),
        description=f"Values of {card.label} as the semantic layer gives them. Never add them up.",
        caption_fr=f"{card.localized('fr').label} (valeurs)",
    )
    return table, Relationship(name, "Period", TABLE, DATE)


def kpi_table_measure(name: str) -> str:
    """The DAX that shows one value: that of the finest period in scope and the dimension chosen."""
    own = reference(name, "").removesuffix("[]")
    grain, by = reference(name, "Grain"), reference(name, "Dimension")
    scopes = ",\n".join(
        f'\t\t{dates.in_scope(grain, fiscal=False)}, "{grain}"' for grain in COLUMNS
    )
    return (
        f"VAR _grain =\n\tSWITCH(\n\t\tTRUE(),\n{scopes},\n\t\tSELECTEDVALUE({grain})\n\t)\n"
        f'VAR _by = IF(ISFILTERED({by}), SELECTEDVALUE({by}), "{TOTAL}")\n'
        "RETURN\n\tCALCULATE(\n"
        f"\t\tIF(COUNTROWS({own}) == 1, MAX({reference(name, 'Value')})),\n"
        f"\t\tKEEPFILTERS({grain} == _grain),\n"
        f"\t\tKEEPFILTERS({by} == _by)\n\t)"
    )


def table_name(card: Card, taken: set[str]) -> str:
    """A name for the table that no other has."""
    return model.unique(f"{card.label} values", taken, card.name)


def finer_grains(cards: Iterable[Card]) -> list[LeftOut]:
    """KPIs whose cards have grains finer than the days of the date table."""
    kpis_by_grains: dict[tuple[str, ...], list[str]] = {}
    for card in cards:
        finer = tuple(grain for grain in card.grains if grain not in dates.COLUMNS)
        if finer:
            kpis_by_grains.setdefault(finer, []).append(card.name)
    return [
        LeftOut(
            f"{', '.join(kpis)} by {' and '.join(finer)}",
            "the model's dates are days",
            "`cadran query`",
        )
        for finer, kpis in kpis_by_grains.items()
    ]


def undated(layer: Layer, star: Star, days: pa.Table) -> list[LeftOut]:
    """Rows whose day is not in the date table: Power BI shows them under a blank date."""
    first, last = days.column("date")[0].as_py(), days.column("date")[-1].as_py()
    omissions = []
    for relationship in star.relationships:
        if relationship.to_table != dates.TABLE:
            continue
        table = next(table for table in star.tables if table.name == relationship.table)
        day = table.column(relationship.column).sql
        sql = (
            f"select count(*) as beyond from {table.relation}"
            f" where {day} < date '{first}' or {day} > date '{last}'"
        )
        beyond = layer.warehouse.arrow(sql).to_pylist()[0]["beyond"]
        if beyond:
            what = f"{beyond:,} rows of {table.file} by {relationship.column}"
            reason = f"they lie outside the years of the time spine, {first} to {last}"
            omissions.append(LeftOut(what, reason, "a longer time spine"))
    return omissions


@dataclass(frozen=True, slots=True)
class Plan:
    """A model, and the rows of the tables that are not those of one relation."""

    model: Model
    rows: dict[str, pa.Table]


@dataclass(slots=True)
class _Attempt:
    """What came of saying some KPIs."""

    star: Star
    measures: Measures
    expressions: dict[str, DaxExpression] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)
    places: dict[str, set[tuple[str, str]]] = field(default_factory=dict)
    left_out: list[LeftOut] = field(default_factory=list)


class Planner:
    """Finds what can be said, by trying, and makes the model of it."""

    def __init__(self, layer: Layer, say: Callable[[str], None]) -> None:
        """Read the cards.

        Raises:
            CardError: there is no KPI.
        """
        self._layer = layer
        self._say = say
        self._cards = {card.name: card for card in layer.kpis()}
        if not self._cards:
            raise CardError(
                layer.without_kpis or "No card of the project can be read: `cadran check`."
            )
        shared = Counter(card.label.casefold() for card in self._cards.values())
        self._labels = {
            name: card.label if shared[card.label.casefold()] == 1 else f"{card.label} ({name})"
            for name, card in self._cards.items()
        }
        self._kinds: dict[tuple[str, str], tuple[Kind, bool]] = {}
        self._objectives = {row["objective"]: row for row in objectives(layer)}

    def plan(self, name: str, *, fiscal_start: int = 1) -> Plan:
        """The model, with everything that was left out and why.

        Args:
            name: the name of the model.
            fiscal_start: the month in which a fiscal year begins.

        Raises:
            WarehouseError: the warehouse cannot be read.
        """
        names, reasons = list(self._cards), dict[str, str]()
        checked: dict[tuple[str, str], set[str]] = {}
        merged: set[tuple[str, str]] = set()
        while True:
            attempt = self._attempt(names, merged)
            texts = {
                key: literals
                for key, literals in attempt.star.texts.items()
                if key not in checked or not literals <= checked[key]
            }
            checked |= texts
            new_merged = {key for key, literals in texts.items() if self._is_merged(*key, literals)}
            merged |= new_merged
            reasons |= attempt.refused
            names = [kpi_name for kpi_name in names if kpi_name not in attempt.refused]
            if not new_merged and not attempt.refused:
                break
        tables = [dates.table(fiscal_start=fiscal_start), *attempt.star.tables]
        rows, kpi_tables = {dates.TABLE: dates.rows(self._layer, fiscal_start=fiscal_start)}, {}
        titles = {table.name.casefold() for table in tables}
        titles |= {MEASURES.casefold(), beside.TARGETS.casefold()}
        relationships = list(attempt.star.relationships)
        for kpi in reasons:
            card = self._cards[kpi]
            if not kpi_table_grains(card):
                continue
            self._say(f"{kpi}: asking the layer, since {reasons[kpi]}")
            title = table_name(card, titles)
            rows[title] = kpi_table_rows(self._layer, card)
            table, relationship = kpi_table(card, title, rows[title])
            tables.append(table)
            relationships.append(relationship)
            kpi_tables[kpi] = title
        targets = beside.target_rows(self._layer, self._cards.values(), rows[dates.TABLE])
        with_targets = set(targets.column("kpi").to_pylist())
        if with_targets:
            table, relationship = beside.target_table()
            tables.append(table)
            relationships.append(relationship)
            rows[beside.TARGETS] = targets
        measures = [
            self._kpi(card, attempt, tables, kpi_tables)
            for card in self._cards.values()
            if card.name in attempt.expressions or card.name in kpi_tables
        ]
        taken = {measure.name.casefold() for measure in measures}
        taken |= {measure.name.casefold() for measure in attempt.measures.by_key.values()}
        measures += [
            more
            for measure in measures
            for more in self._beside(measure, attempt, tables, taken, with_targets)
        ]
        measures += self._parts(attempt)
        left_out = [
            *(self._left_out(kpi, reason, kpi_tables) for kpi, reason in reasons.items()),
            *attempt.left_out,
            *finer_grains(self._cards.values()),
            *undated(self._layer, attempt.star, rows[dates.TABLE]),
        ]
        shown = {measure.metric for measure in measures}
        model = Model(
            name, tuple(tables), tuple(relationships), tuple(measures), tuple(left_out),
            tuple(
                card.name for card in self._cards.values()
                if card.tier == "strategic" and card.name in shown and "month" in card.grains
            ),
        )  # fmt: skip
        return Plan(model, rows)

    def _attempt(self, names: Iterable[str], merged: set[tuple[str, str]]) -> _Attempt:
        star = Star(self._layer, apart=self._apart(names), merged=merged, kinds=self._kinds)
        attempt = _Attempt(star, Measures(self._layer, star, self._labels.values()))
        for kpi in names:  # first the dimensions, since a measure may look at them
            for dimension in self._cards[kpi].dimensions:
                try:
                    place = self._place(star, kpi, dimension)
                except NotInDaxError as reason:
                    what = f"{kpi} by {dimension}"
                    attempt.left_out.append(LeftOut(what, str(reason), f"`cadran query {kpi}`"))
                else:
                    attempt.places.setdefault(kpi, set()).add(place)
        for kpi in names:
            try:
                attempt.expressions[kpi] = self._checked(kpi, attempt.measures)
            except NotInDaxError as reason:
                attempt.refused[kpi] = str(reason)
        return attempt

    def _place(self, star: Star, kpi: str, dimension: str) -> tuple[str, str]:
        """The table and column by which all marts of a KPI are looked at by a dimension."""
        facts = self._layer.metric_graph.semantic_models(kpi)
        columns = {star.dimension(fact, dimension) for fact in sorted(facts)}
        places = {(table, column.name) for table, column in columns}
        if len(places) != 1:
            raise NotInDaxError("its marts do not share it")
        return places.pop()

    def _checked(self, kpi: str, measures: Measures) -> DaxExpression:
        """How a KPI is said, if that is exact at every grain of its card."""
        grains = kpi_table_grains(self._cards[kpi])
        expression = measures.body(self._layer.metric(kpi))
        inexact = [grain for grain in grains if grain not in expression.grains]
        if inexact:
            raise NotInDaxError(f"by {', '.join(inexact)} DAX would give another number")
        if not grains:
            raise NotInDaxError("its card has only grains finer than a day")
        return expression

    def _apart(self, names: Iterable[str]) -> set[str]:
        """Entities whose mart holds facts, and is looked at from another mart's facts."""
        graph, names = self._layer.metric_graph, tuple(names)
        facts = graph.semantic_models(*names)
        star = Star(self._layer, kinds=self._kinds)
        apart = set()
        for kpi in names:
            for dimension in self._cards[kpi].dimensions:
                for fact in graph.semantic_models(kpi):
                    try:
                        field_ = star.fields.find(fact, dimension)
                    except NotInDaxError:
                        continue
                    if field_.foreign_key is not None and field_.owner in facts:
                        apart.add(field_.entity)
        return apart

    def _is_merged(self, relation: str, sql: str, literals: set[str]) -> bool:
        """Whether Power BI, which ignores capitals and spaces at the end, would merge texts."""
        rows = f"select {sql} as answer from {relation}"
        for text in sorted(literals):
            rows += f" union all select {literal(text)} as answer"
        query = (
            "select count(distinct answer) as a, count(distinct lower(rtrim(answer))) as b"
            f" from ({rows}) as texts"
        )
        counts = self._layer.warehouse.arrow(query).to_pylist()[0]
        return bool(counts["a"] != counts["b"])

    def _kpi(
        self, card: Card, attempt: _Attempt, tables: list[Table], kpi_tables: dict[str, str]
    ) -> Measure:
        expression = attempt.expressions.get(card.name)
        if expression is not None:
            dax, allowed = expression.value.text, attempt.places.get(card.name, set())
            grains = kpi_table_grains(card)
        else:
            title = kpi_tables[card.name]
            dax, grains = kpi_table_measure(title), list(dates.COLUMNS)
            allowed = {(title, column) for column in ("Grain", "Dimension", "Member")}
        folder, french = self._folders(card)
        return Measure(
            self._labels[card.name],
            card.name,
            guarded(dax, tables, allowed, grains),
            words.format_string(card.unit, card.decimals),
            words.described(card, "en"),
            folder,
            version=card.version,
            caption_fr=card.localized("fr").label,
            description_fr=words.described(card, "fr"),
            folder_fr=french,
        )

    def _beside(
        self, of: Measure, attempt: _Attempt, tables: list[Table], taken: set[str], kpis: set[str]
    ) -> list[Measure]:
        """What stands beside the measure of a KPI: earlier periods, target and status."""
        card = self._cards[of.metric]
        grains, measures = kpi_table_grains(card), []
        if of.metric in attempt.expressions and "month" in grains:
            measures = [
                beside.period_before(of, grains, taken),
                beside.year_before(of, taken),
            ]
        if of.metric in kpis:
            target = beside.target(of, tables, grains, taken)
            measures.append(target)
            if card.direction in {"up", "down"}:
                measures.append(beside.status(of, target, card.direction, taken))
        return measures

    def _folders(self, card: Card) -> tuple[str, str]:
        row = self._objectives[card.objective]
        return _folder(row["label_en"]), _folder(row["label_fr"])

    def _parts(self, attempt: _Attempt) -> list[Measure]:
        """The measures behind the KPIs; those that may be added up are shown beside their ratio."""
        alone = {expression.value.text for expression in attempt.expressions.values()}
        folders: dict[str, list[tuple[str, str]]] = {}
        graph = self._layer.metric_graph
        for kpi in attempt.expressions:
            card = self._cards[kpi]
            if card.additivity == ADDITIVE:
                continue
            for leaf in graph.leaves(kpi):
                if graph.is_additive(leaf):
                    english, french = self._folders(card)
                    pair = (
                        f"{english}\\{words.COMPONENTS['en']}",
                        f"{french}\\{words.COMPONENTS['fr']}",
                    )
                    if pair not in folders.setdefault(leaf, []):
                        folders[leaf].append(pair)
        parts = []
        for metric, measure in attempt.measures.by_key.items():
            folder_pairs = folders.get(metric)
            if folder_pairs and measure_reference(measure.name) not in alone:
                kind = attempt.measures.expressions[metric].value.kind
                measure = replace(  # noqa: PLW2901 - the same measure, shown
                    measure,
                    is_hidden=False,
                    format="#,0" if kind == "int64" else "#,0.00",
                    folder=";".join(english for english, _ in folder_pairs),
                    folder_fr=";".join(french for _, french in folder_pairs),
                )
            parts.append(measure)
        return parts

    def _left_out(self, kpi: str, reason: str, kpi_tables: dict[str, str]) -> LeftOut:
        instead = f"`cadran query {kpi}`"
        if kpi in kpi_tables:
            instead = f"the table '{kpi_tables[kpi]}', read by the measure [{self._labels[kpi]}]"
        return LeftOut(kpi, reason, instead)


def _folder(label: str) -> str:
    return label.replace("\\", "/").replace(";", ",")

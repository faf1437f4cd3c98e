"""KPIs that DAX cannot say: their values from the layer, and a measure that never adds them up."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cadran.exports.powerbi import words
from cadran.exports.powerbi.dates import COLUMNS, DATE, TABLE
from cadran.exports.powerbi.model import Column, Kind, Relationship, Table, reference
from cadran.exports.powerbi.star import kind_of
from cadran.query import GroupBy

if TYPE_CHECKING:
    import pyarrow as pa

    from cadran.cards import Card
    from cadran.layer import Layer

TOTAL = "total"


def grains(card: Card) -> list[str]:
    """The grains of a card that a date table has."""
    return [grain for grain in card.grains if grain in COLUMNS]


def rows(layer: Layer, card: Card) -> pa.Table:
    """The values of a KPI by each grain of its card, in all and by each of its dimensions.

    Columns: grain, period (its first day), dimension (`total`, or its name), member, value.
    """
    import pyarrow as pa

    found = []
    for grain in grains(card):
        for dimension in (None, *card.dimensions):
            groups = [GroupBy("metric_time", grain), *([GroupBy(dimension)] if dimension else [])]
            answer = layer.query([card.name], groups, ordered=False).to_arrow()
            count = answer.num_rows
            member = answer.column(1) if dimension else pa.nulls(count)
            found.append(
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
    table = pa.concat_tables(found, promote_options="permissive")
    return table.filter(table.column("value").is_valid())


def table(card: Card, name: str, values: pa.Table) -> tuple[Table, Relationship]:
    """The table of a KPI's values, and its relationship to the dates."""

    def column(name: str, kind: Kind, text: str = "") -> Column:
        source = name.lower()
        return Column(name, source, kind, source, is_hidden=not text, description=text)

    made = Table(
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
        caption_fr=f"{card.fr.label} (valeurs)",
    )
    return made, Relationship(name, "Period", TABLE, DATE)


def measure(name: str) -> str:
    """The DAX that shows one value: that of the finest period in scope and the dimension chosen."""
    own = reference(name, "").removesuffix("[]")
    grain, by = reference(name, "Grain"), reference(name, "Dimension")
    scopes = ",\n".join(
        f'\t\tISINSCOPE({reference(TABLE, column)}), "{one}"' for one, column in COLUMNS.items()
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
    return words.unique(f"{card.label} values", taken, card.name)

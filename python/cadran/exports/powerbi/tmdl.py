"""The model as TMDL, the text form of Power BI's semantic models.

Indentation by tabs says what belongs to what; an expression of several lines stands below its
object, one level deeper than the object's properties. Names and values are quoted where they hold a
sign that the form uses.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from cadran.exports.powerbi import dates
from cadran.exports.powerbi.model import lineage
from cadran.exports.powerbi.page import MEASURES

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cadran.exports.powerbi.model import Column, Kind, Measure, Model, Relationship, Table

LEVEL = 1601  # of compatibility; nothing here needs a later one
_TYPES: dict[Kind, tuple[str, str]] = {
    # the kind of a column: its type in the model, and in Power Query
    "string": ("string", "type text"),
    "int64": ("int64", "Int64.Type"),
    "decimal": ("decimal", "Currency.Type"),
    "double": ("double", "type number"),
    "boolean": ("boolean", "type logical"),
    "date": ("dateTime", "type date"),
    "dateTime": ("dateTime", "type datetime"),
}
_CULTURES = {"en-US": "en", "fr-FR": "fr"}
_PLAIN = re.compile(r"\w+")


def files(model: Model, folder: str) -> dict[str, str]:
    """The files of the folder `definition`, by path.

    Args:
        model: the model.
        folder: where Power BI finds the data, with a separator at its end.
    """
    names = [MEASURES, *(table.name for table in model.tables)]
    documents = {
        "database.tmdl": f"database {quoted(model.name)}\n\tcompatibilityLevel: {LEVEL}\n",
        "model.tmdl": _model(names),
        "expressions.tmdl": _parameter(folder),
        "relationships.tmdl": "\n".join(_relationship(r) for r in model.relationships),
        f"tables/{MEASURES}.tmdl": _measures(model.measures),
    }
    for table in model.tables:
        documents[f"tables/{_file_name(table.name)}.tmdl"] = _table(table)
    for culture, language in _CULTURES.items():
        documents[f"cultures/{culture}.tmdl"] = _culture(model, culture, language)
    return {path: f"{text}\n" for path, text in documents.items()}


def quoted(name: str) -> str:
    """The name as TMDL writes it."""
    return name if _PLAIN.fullmatch(name) else f"'{name.replace(chr(39), chr(39) * 2)}'"


def _file_name(name: str) -> str:
    return re.sub(r'[<>:"/\\|?*]', "_", name)


def _model(names: Iterable[str]) -> str:
    references = "\n".join(f"ref table {quoted(name)}" for name in names)
    cultures = "\n".join(f"ref cultureInfo {culture}" for culture in _CULTURES)
    return (
        "model Model\n"
        "\tculture: en-US\n"
        "\tdefaultPowerBIDataSourceVersion: powerBI_V3\n"
        "\tdiscourageImplicitMeasures\n"
        "\tsourceQueryCulture: en-US\n\n"
        "annotation __PBI_TimeIntelligenceEnabled = 0\n\n"
        f"{references}\n\n{cultures}\n"
    )


def _parameter(folder: str) -> str:
    text = folder.replace('"', '""')
    return (
        "/// Folder of the Parquet files, with the separator at its end.\n"
        f'expression DataFolder = "{text}" meta [IsParameterQuery=true, Type="Text",'
        " IsParameterQueryRequired=true]\n"
        f"\tlineageTag: {lineage('expression', 'DataFolder')}\n\n"
        "\tannotation PBI_ResultType = Text\n"
    )


def _relationship(relationship: Relationship) -> str:
    name = lineage("relationship", relationship.table, relationship.column, relationship.to_table)
    inactive = "" if relationship.is_active else "\tisActive: false\n"
    return (
        f"relationship {name}\n{inactive}"
        f"\tfromColumn: {quoted(relationship.table)}.{quoted(relationship.column)}\n"
        f"\ttoColumn: {quoted(relationship.to_table)}.{quoted(relationship.to_column)}\n"
    )


def _table(table: Table) -> str:
    lines = [*_described(table.description), f"table {quoted(table.name)}"]
    lines += ["\tisHidden"] if table.is_hidden else []
    lines.append(f"\tlineageTag: {lineage('table', table.name)}")
    lines += ["\tdataCategory: Time"] if table.is_date else []
    for column in table.columns:
        lines += ["", *_column(table, column)]
    if table.hierarchy:
        lines += ["", "\thierarchy Calendar", f"\t\tlineageTag: {lineage('hierarchy', table.name)}"]
        for level in table.hierarchy:
            lines += ["", f"\t\tlevel {quoted(level)}",
                      f"\t\t\tlineageTag: {lineage('level', table.name, level)}",
                      f"\t\t\tcolumn: {quoted(level)}"]  # fmt: skip
    types = ", ".join(f'{{"{c.source}", {_TYPES[c.kind][1]}}}' for c in table.columns)
    file = f'DataFolder & "{table.file}.parquet"'
    lines += [
        "",
        f"\tpartition {quoted(table.name)} = m",
        "\t\tmode: import",
        "\t\tsource =",
        "\t\t\t\tlet",
        f"\t\t\t\t\tSource = Parquet.Document(File.Contents({file})),",
        f"\t\t\t\t\tTyped = Table.TransformColumnTypes(Source, {{{types}}})",
        "\t\t\t\tin",
        "\t\t\t\t\tTyped",
    ]
    return "\n".join(lines) + "\n"


def _column(table: Table, column: Column) -> list[str]:
    lines = [*_described(column.description, "\t"), f"\tcolumn {quoted(column.name)}"]
    lines.append(f"\t\tdataType: {_TYPES[column.kind][0]}")
    lines += ["\t\tisHidden"] if column.is_hidden else []
    lines += ["\t\tisKey"] if column.is_key else []
    if column.format or column.kind == "date":
        lines.append(f"\t\tformatString: {column.format or 'Short Date'}")
    lines += [
        f"\t\tlineageTag: {lineage('column', table.name, column.source)}",
        "\t\tsummarizeBy: none",
        f"\t\tsourceColumn: {column.source}",
    ]
    lines += [f"\t\tsortByColumn: {quoted(column.sort_by)}"] if column.sort_by else []
    if column.kind == "date":
        lines += ["", "\t\tannotation UnderlyingDateTimeDataType = Date"]
    if column.layer:
        lines += ["", f"\t\tannotation cadran_name = {column.layer}"]
    return lines


def _measures(measures: Iterable[Measure]) -> str:
    lines = [
        "/// Every KPI, and the measures that they are made of.",
        f"table {MEASURES}",
        f"\tlineageTag: {lineage('table', MEASURES)}",
    ]
    for measure in measures:
        lines += ["", *_measure(measure)]
    lines += [
        "",
        "\tcolumn unused",
        "\t\tdataType: string",
        "\t\tisHidden",
        f"\t\tlineageTag: {lineage('column', MEASURES, 'unused')}",
        "\t\tsummarizeBy: none",
        "\t\tsourceColumn: unused",
        "",
        f"\tpartition {MEASURES} = m",
        "\t\tmode: import",
        "\t\tsource = #table(type table [unused = text], {})",
    ]
    return "\n".join(lines) + "\n"


def _measure(measure: Measure) -> list[str]:
    lines = _described(measure.description, "\t")
    name = f"\tmeasure {quoted(measure.name)} ="
    if "\n" in measure.dax:
        lines += [name, *(f"\t\t\t{line}" for line in measure.dax.split("\n"))]
    else:
        lines.append(f"{name} {measure.dax}")
    lines += [f"\t\tformatString: {measure.format}"] if measure.format else []
    lines += ["\t\tisHidden"] if measure.is_hidden else []
    lines += [f"\t\tdisplayFolder: {_plain(measure.folder)}"] if measure.folder else []
    lines += [
        f"\t\tlineageTag: {lineage('measure', measure.metric)}",
        "",
        f"\t\tannotation cadran_metric = {measure.metric}",
    ]
    if measure.version is not None:
        lines += ["", f"\t\tannotation cadran_version = {measure.version}"]
    return lines


def _described(text: str, indent: str = "") -> list[str]:
    return [f"{indent}/// {line}" for line in text.split("\n")] if text else []


def _culture(model: Model, culture: str, language: str) -> str:
    lines = [f"cultureInfo {culture}", "\ttranslations", "\t\tmodel Model"]
    caption = {"en": MEASURES, "fr": "Indicateurs"}[language]
    lines += [f"\t\t\ttable {MEASURES}", f"\t\t\t\tcaption: {caption}"]
    for measure in model.measures:
        if measure.is_hidden:
            continue
        is_french = language == "fr"
        label = measure.caption_fr if is_french else measure.name
        text = measure.description_fr if is_french else measure.description
        folder = measure.folder_fr if is_french else measure.folder
        lines.append(f"\t\t\t\tmeasure {quoted(measure.name)}")
        lines += _property("caption", label or measure.name)
        lines += _property("description", text) if text else []
        lines += _property("displayFolder", folder) if folder else []
    for table in model.tables:
        lines += _translated(table, language)
    return "\n".join(lines) + "\n"


def _translated(table: Table, language: str) -> list[str]:
    if table.is_hidden:
        return []
    caption = (table.caption_fr if language == "fr" else None) or table.name
    lines = [f"\t\t\ttable {quoted(table.name)}", f"\t\t\t\tcaption: {_plain(caption)}"]
    for column in table.columns:
        if not column.is_hidden:
            title = (column.caption_fr if language == "fr" else None) or column.name
            lines += [
                f"\t\t\t\tcolumn {quoted(column.name)}",
                f"\t\t\t\t\tcaption: {_plain(title)}",
            ]
    if table.hierarchy and table.name == dates.TABLE:
        title = "Calendrier" if language == "fr" else "Calendar"
        lines += ["\t\t\t\thierarchy Calendar", f"\t\t\t\t\tcaption: {title}"]
    return lines


def _property(name: str, text: str) -> list[str]:
    if "\n" not in text:
        return [f"\t\t\t\t\t{name}: {_plain(text)}"]
    return [f"\t\t\t\t\t{name} =", *(f"\t\t\t\t\t\t{line}" for line in text.split("\n"))]


def _plain(text: str) -> str:
    """A text as a value; one that begins with a quotation mark would be taken for a quoted one."""
    return '"' + text.replace('"', '""') + '"' if text.startswith('"') else text

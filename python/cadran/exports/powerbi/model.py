"""What a Power BI semantic model is made of, before it is written as text."""

from __future__ import annotations

import re
import uuid
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal

from cadran.errors import CadranError
from cadran.formats.numbers import CURRENCIES, SHORT, SYMBOLS

if TYPE_CHECKING:
    from cadran.core.project.cards import Card


Kind = Literal["string", "int64", "decimal", "double", "boolean", "date", "dateTime"]


class NotInDaxError(CadranError):
    """DAX has no expression that gives the same number; the message is the reason."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table.

    `source` is its name in the file, `sql` what the warehouse computes for it, `layer` what the
    layer calls it: a dimension, or metric_time at a grain.
    """

    name: str
    source: str
    kind: Kind
    sql: str
    is_hidden: bool = True
    is_key: bool = False
    description: str = ""
    format: str | None = None
    layer: str | None = None
    caption_fr: str | None = None
    sort_by: str | None = None


@dataclass(frozen=True, slots=True)
class Table:
    """A table, its file, and the relation of the warehouse that its rows are read from.

    `relation` is None for rows that are not those of one relation. Columns of `summed` are added up
    by all the others, so that a row stands for many of the relation.
    """

    name: str
    file: str
    columns: tuple[Column, ...]
    relation: str | None = None
    description: str = ""
    is_date: bool = False
    caption_fr: str | None = None
    hierarchy: tuple[str, ...] = ()
    summed: frozenset[str] = frozenset()

    @property
    def is_hidden(self) -> bool:
        """Whether there is nothing in it to drag onto a page."""
        return all(column.is_hidden for column in self.columns)

    def column(self, name: str) -> Column:
        """The column of this name."""
        return next(column for column in self.columns if column.name == name)

    def with_column(self, column: Column) -> Table:
        """The same table with one column more."""
        return replace(self, columns=(*self.columns, column))


@dataclass(frozen=True, slots=True)
class Relationship:
    """Rows of one table belong to a row of another; an inactive one is switched on by a measure."""

    table: str
    column: str
    to_table: str
    to_column: str
    is_active: bool = True


@dataclass(frozen=True, slots=True)
class Measure:
    """A measure with its words in both languages. `metric` is the name in the layer."""

    name: str
    metric: str
    dax: str
    format: str | None
    description: str = ""
    folder: str = ""
    is_hidden: bool = False
    version: int | None = None
    caption_fr: str | None = None
    description_fr: str = ""
    folder_fr: str = ""


@dataclass(frozen=True, slots=True)
class LeftOut:
    """What the model does not hold, why, and what stands in its place."""

    what: str
    reason: str
    instead: str = ""


@dataclass(frozen=True, slots=True)
class Model:
    """The semantic model: tables, relationships, measures, and what was left out by name.

    `strategic` are the metrics of the KPIs that its report begins with.
    """

    name: str
    tables: tuple[Table, ...]
    relationships: tuple[Relationship, ...]
    measures: tuple[Measure, ...]
    left_out: tuple[LeftOut, ...] = field(default=())
    strategic: tuple[str, ...] = ()

    def table(self, name: str) -> Table:
        """The table of this name."""
        return next(table for table in self.tables if table.name == name)


def reference(table: str, column: str) -> str:
    """A column as DAX names it."""
    return f"'{table.replace(chr(39), chr(39) * 2)}'[{column.replace(']', ']]')}]"


def measure_reference(name: str) -> str:
    """A measure as DAX names it."""
    return f"[{name.replace(']', ']]')}]"


YEAR_BEFORE = {"en": ", year before", "fr": ", un an avant"}
OF_YEAR_BEFORE = {
    "en": "The same month, quarter or year a year before; blank where the period is not whole.",
    "fr": "Le même mois, trimestre ou année un an avant ; vide si la période n'est pas complète.",
}
PERIOD_BEFORE = {"en": ", period before", "fr": ", période précédente"}
OF_PERIOD_BEFORE = {
    "en": "The day, week, month, quarter or year before; blank where one of the two is not whole.",
    "fr": "Le jour, la semaine, le mois, le trimestre ou l'année d'avant ; vide si l'une des deux"
    " périodes n'est pas complète.",
}
TARGET = {"en": ", target", "fr": ", objectif"}
OF_TARGET = {
    "en": "What was set for the period and the whole company.",
    "fr": "Ce qui a été fixé pour la période et toute l'entreprise.",
}
STATUS = {"en": ", status", "fr": ", statut"}
OF_STATUS = {
    "en": "Where the value of a whole period stands against its target: on target, near target,"
    " warning or critical.",
    "fr": "Où en est la valeur d'une période complète par rapport à son objectif : objectif"
    " atteint, proche de l'objectif, alerte ou critique.",
}
COMPONENTS = {"en": "Components", "fr": "Composantes"}
_HEADINGS = {
    "en": ("Formula", "Not for", "Status", "Version", "Ask"),
    "fr": ("Formule", "Ne pas utiliser pour", "Statut", "Version", "Contact"),
}
_STATUSES = {"draft": "brouillon", "certified": "certifié", "deprecated": "abandonné"}
_CODE = re.compile("[A-Z]{3}")
_SPACE = uuid.UUID("5f0c6a52-6f0e-5c2f-9a43-5f2a3c7c9d11")


def in_words(name: str) -> str:
    """A snake-case name as plain words: `order_net_amount` is "Order net amount"."""
    text = name.replace("_", " ").strip()
    return text[:1].upper() + text[1:]


def table_name(mart: str) -> str:
    """The plain name of a mart: `fct_order_lines` is "Order lines"."""
    return in_words(re.sub(r"^(fct|dim|stg|int|mart)_", "", mart))


def described(card: Card, language: str) -> str:
    """The description of a measure: what it is, its formula, its limits and who answers for it."""
    localized = card.localized(language)
    formula, not_for, status, version, ask = _HEADINGS[language]
    colon = " :" if language == "fr" else ":"
    state = _STATUSES[card.status] if language == "fr" else card.status
    lines = [localized.description, f"{formula}{colon} {localized.formula}"]
    if localized.not_for:
        lines.append(f"{not_for}{colon} {', '.join(localized.not_for)}")
    lines.append(
        f"{status}{colon} {state}. {version} {card.version}. {ask}{colon} {card.owner.business}"
    )
    return "\n".join(lines)


def format_string(unit: str, decimals: int) -> str:
    """The format of a unit as Excel and DAX write it, with three sections: plus, minus, zero."""
    places = f".{'0' * decimals}" if decimals else ""
    if unit == "%":
        pattern = f"0{places}%"
        return f"{pattern};-{pattern};{pattern}"
    symbol = SYMBOLS.get(unit, unit)
    amount = f"#,0{places}"
    if symbol in CURRENCIES or _CODE.fullmatch(symbol):
        mark = "".join(f"\\{sign}" for sign in symbol) + ("" if symbol in CURRENCIES else "\\ ")
        return f"{mark}{amount};-{mark}{amount};{mark}{amount}"
    if symbol in SHORT:
        amount += "\\ " + "".join(f"\\{sign}" for sign in symbol)
    return f"{amount};-{amount};{amount}"


def lineage(*parts: str) -> str:
    """A lineage tag that stays the same from export to export, however the thing is labelled."""
    return str(uuid.uuid5(_SPACE, "/".join(parts)))


def unique(candidate: str, taken: set[str], otherwise: str) -> str:
    """The name, or with the technical one in brackets where it is taken; Power BI ignores case."""
    name = candidate if candidate.casefold() not in taken else f"{candidate} ({otherwise})"
    taken.add(name.casefold())
    return name

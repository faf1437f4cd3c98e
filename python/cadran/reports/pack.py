"""The board pack as a document: pages of typed blocks with every figure resolved.

Whoever makes a pack asks and writes; whoever writes one to a file only lays out. A writer walks
`pack.pages`, then `page.blocks` in order. Blocks stand side by side while their `span` (of
`COLUMNS`) fits, otherwise below; `rows_of(page)` gives them in rows. A writer draws each kind:

- `Tiles`: key figures, each with comparisons and its course as a picture;
- `Table`: columns with a width in millimetres, rows of cells; a cell may hold a picture;
- `PictureBlock`: a picture of `cadran.charts`, and beside it the series that it shows as plain
  values, for writers that draw charts of their own;
- `Paragraphs`, `Advice` (numbered), `Notes` (small print).

Texts are final: the language's words, numbers, signs and spaces. `Text.figures` holds the figures
within a text. `figures_of(pack)` walks every figure; one that has a `question` equals what
`Layer.query` answers to it, and the others name in `origin` the service that gave them.
`stated_by(pack)` adds the values that charts draw.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields, is_dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterator, Mapping

    from cadran.charts.picture import Picture

COLUMNS = 12
State = Literal["ok", "near", "warn", "bad", ""]
Role = Literal["line", "bar", "low", "high", "target", "limit", "step", "total", "cell"]


@dataclass(frozen=True, slots=True)
class Question:
    """How a figure was asked.

    Attributes:
        metric: the KPI.
        start: the first day.
        end: the last one.
        where: conditions on the rows.
        grain: of the period that the answer is a row of; empty asks the days as a whole.
        dimension: that the answer is a member of; empty where it is of all.
        member: of the dimension.
    """

    metric: str
    start: dt.date
    end: dt.date
    where: tuple[str, ...] = ()
    grain: str = ""
    dimension: str = ""
    member: Any = None


@dataclass(frozen=True, slots=True)
class Figure:
    """A figure as it is shown, with its raw value.

    Attributes:
        text: as it stands in the document.
        value: exactly; a `%` is a fraction, money in currency units.
        unit: of the value.
        question: how it was asked of the layer; None of what another service gave.
        origin: that service and what it was asked, such as `sla partners_api 2026-08 net`; figures
            of a pack that have the same one are the same figure.
        definition: what it rests on beside the data: a version, a contract, an objective, a method.
    """

    text: str
    value: Any
    unit: str = ""
    question: Question | None = None
    origin: str = ""
    definition: str = ""


@dataclass(frozen=True, slots=True)
class Text:
    """A text with the figures in it; `lead` stands before it in bold."""

    text: str
    lead: str = ""
    figures: tuple[Figure, ...] = ()


@dataclass(frozen=True, slots=True)
class Series:
    """What a picture shows, as plain values.

    Attributes:
        name: of the series.
        labels: below the axis, one for each value.
        values: raw; None is a gap.
        unit: of them.
        role: what it is in the picture; `low` and `high` are the ends of a bar's interval.
        sources: how each value was asked, or the service that gave it and what it was asked; None
            where it is said by a figure, and nothing where that holds of all of them.
        definition: as that of a figure.
    """

    name: str
    labels: tuple[str, ...]
    values: tuple[Any, ...]
    unit: str = ""
    role: Role = "line"
    sources: tuple[Question | str | None, ...] = ()
    definition: str = ""


@dataclass(frozen=True, slots=True)
class Comparison:
    """A line of a tile: against what, its figure, and the difference."""

    name: str
    figure: Figure
    change: Figure | None = None


@dataclass(frozen=True, slots=True)
class Tile:
    """A key figure."""

    label: str
    figure: Figure
    state: State = ""
    state_text: str = ""
    comparisons: tuple[Comparison, ...] = ()
    picture: Picture | None = None
    series: tuple[Series, ...] = ()


@dataclass(frozen=True, slots=True)
class Tiles:
    """Key figures side by side."""

    tiles: tuple[Tile, ...]
    span: int = COLUMNS


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table: its head, its width in millimetres, and where its cells stand."""

    head: str
    width: float
    align: Literal["left", "right"] = "left"


@dataclass(frozen=True, slots=True)
class Cell:
    """A cell.

    Attributes:
        text: its words; those of the figure where it has one.
        small: a second line.
        figure: of the first line.
        small_figures: figures of the second line.
        state: of what it says.
        has_sign: whether the sign of the state stands before the words.
        weight: strong, plain or muted.
        picture: instead of words.
        series: of the picture.
    """

    text: str = ""
    small: str = ""
    figure: Figure | None = None
    small_figures: tuple[Figure, ...] = ()
    state: State = ""
    has_sign: bool = False
    weight: Literal["strong", "plain", "muted"] = "plain"
    picture: Picture | None = None
    series: tuple[Series, ...] = ()


@dataclass(frozen=True, slots=True)
class Row:
    """A row: its cells; a group has one, over the whole width."""

    cells: tuple[Cell, ...]
    kind: Literal["body", "group", "total"] = "body"


@dataclass(frozen=True, slots=True)
class Table:
    """Rows under heads."""

    title: str
    sub: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    span: int = COLUMNS
    is_dense: bool = False


@dataclass(frozen=True, slots=True)
class PictureBlock:
    """A picture, with what it shows as plain values.

    Attributes:
        title: above it.
        sub: beside the title.
        picture: to be drawn; its own title is what a screen reader says.
        series: its values.
        height: in millimetres; 0 is what the picture needs.
        span: of the columns.
    """

    title: str
    sub: str
    picture: Picture
    series: tuple[Series, ...] = ()
    height: float = 0.0
    span: int = COLUMNS


@dataclass(frozen=True, slots=True)
class Paragraphs:
    """Texts under a title."""

    title: str
    texts: tuple[Text, ...]
    span: int = COLUMNS
    is_small: bool = False


@dataclass(frozen=True, slots=True)
class Advice:
    """What is asked of the reader, numbered."""

    title: str
    texts: tuple[Text, ...]
    span: int = COLUMNS


@dataclass(frozen=True, slots=True)
class Notes:
    """How a page is read, in small print."""

    texts: tuple[Text, ...]
    span: int = COLUMNS


Block = Tiles | Table | PictureBlock | Paragraphs | Advice | Notes


@dataclass(frozen=True, slots=True)
class Page:
    """A page.

    Attributes:
        key: what it is of, for links and tests.
        folio: its number, or a letter in the appendix.
        name: in the contents.
        title: its finding, as a sentence.
        subtitle: the nuance.
        blocks: its content.
        foot: how it was measured.
    """

    key: str
    folio: str
    name: str
    title: Text
    subtitle: Text
    blocks: tuple[Block, ...]
    foot: str


@dataclass(frozen=True, slots=True)
class Pack:
    """The whole document.

    Attributes:
        name: of the organisation or project.
        title: what kind of document it is.
        period: as people write it.
        key: of the period, such as 2026-Q3.
        lang: en or fr.
        until: the last day of the data in it.
        is_running: whether the period is not over.
        contents: what the table of contents is called.
        pages: in order, the appendix last.
        recommended: the titles of what it recommends by language, by id.
    """

    name: str
    title: str
    period: str
    key: str
    lang: str
    until: dt.date
    is_running: bool
    contents: str
    pages: tuple[Page, ...]
    recommended: Mapping[str, Mapping[str, str]] = field(default_factory=dict)


def rows_of(page: Page) -> list[list[Block]]:
    """The blocks of a page in rows, side by side as far as their spans fit."""
    rows: list[list[Block]] = []
    room = 0
    for block in page.blocks:
        if block.span > room:
            rows.append([])
            room = COLUMNS
        rows[-1].append(block)
        room -= block.span
    return rows


def figures_of(part: Any) -> Iterator[Figure]:
    """Every figure of a pack, a page or a block, in the order of reading."""
    return (found for found in _walk(part) if isinstance(found, Figure))


def stated_by(part: Any) -> Iterator[Figure]:
    """The figures of a pack, a page or a block, and the values of its charts as figures."""
    for found in _walk(part):
        if isinstance(found, Figure):
            yield found
            continue
        for value, source in zip(found.values, found.sources, strict=False):
            if isinstance(source, Question):
                yield Figure("", value, found.unit, source, definition=found.definition)
            elif source is not None:
                yield Figure("", value, found.unit, None, source, found.definition)


def _walk(part: Any) -> Iterator[Figure | Series]:
    if isinstance(part, (Figure, Series)):
        yield part
    elif isinstance(part, tuple):
        for entry in part:
            yield from _walk(entry)
    elif is_dataclass(part) and type(part).__module__ == __name__:
        for one in fields(part):
            yield from _walk(getattr(part, one.name))

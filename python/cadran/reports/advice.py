"""What is recommended, with its evidence; and what became of what was recommended before."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cadran.insight.counterfactual import Interval
from cadran.reports.pack import (
    Advice,
    Cell,
    Column,
    Figure,
    Page,
    Paragraphs,
    Row,
    Table,
    Text,
)
from cadran.reports.rules import read

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cadran.reports.basis import Basis
    from cadran.reports.pack import Block, State
    from cadran.reports.recommend import Outcome
    from cadran.reports.recommendation import Cost, Evidence, Recommendation

ASKED = 3  # decisions that the summary names
_A_PAGE = 8  # recommendations on one page
_WITH_OUTCOMES = 4  # recommendations above what became of the last ones
_MOST_OUTCOMES = 8
_STATES: dict[str, State] = {"done": "ok", "accepted": "near", "rejected": "", "open": "warn"}


def open_of(recommendations: Sequence[Recommendation]) -> list[Recommendation]:
    """Those that wait for a decision."""
    return [one for one in recommendations if one.status == "open"]


def waiting(basis: Basis, recommendations: Sequence[Recommendation]) -> Advice | None:
    """The decisions that the summary asks for: the first of what waits."""
    undecided = open_of(recommendations)
    if not undecided:
        return None
    w = basis.words
    texts = tuple(
        Text(w.print(one.action), w.print(f"{one.title.rstrip('.')}."), _figures(one))
        for one in undecided[:ASKED]
    )
    return Advice(w("decisions_title"), texts)


def pages(
    basis: Basis, recommendations: Sequence[Recommendation], outcomes: Sequence[Outcome]
) -> list[Page]:
    """The recommendations, as many pages as they take, then what became of the last ones."""
    shown = [one for one in recommendations if one.status != "held"]
    chunks = [shown[at : at + _A_PAGE] for at in range(0, len(shown), _A_PAGE)] or [[]]
    contents: list[list[Block]] = [
        [_table(basis, chunk, index * _A_PAGE) if chunk else _none(basis, recommendations)]
        for index, chunk in enumerate(chunks)
    ]
    if outcomes and len(chunks[-1]) > _WITH_OUTCOMES:
        contents.append([])
    if outcomes:
        contents[-1].append(_outcomes(basis, outcomes))
    w = basis.words
    title, subtitle = (
        _title(basis, shown),
        _subtitle(basis, shown, len(recommendations) - len(shown)),
    )
    advice_pages = []
    for index, blocks in enumerate(contents):
        is_follow_up = index == len(chunks)
        advice_pages.append(
            Page(
                "advice" if not index else f"advice-{index + 1}",
                "8" if len(contents) == 1 else f"8.{index + 1}",
                w("outcomes_page") if is_follow_up else w("advice_page"),
                _followed(basis, outcomes) if is_follow_up else title,
                Text(w("outcomes_sub")) if is_follow_up else subtitle,
                tuple(blocks), w("foot_advice"),
            )
        )  # fmt: skip
    return advice_pages


def _none(basis: Basis, held: Sequence[Recommendation]) -> Paragraphs:
    """How many rules found nothing, and why some could not be held against the figures."""
    w, root = basis.words, basis.source.layer.project.root
    reasons = dict.fromkeys(one.because for one in held)
    texts = [w.counted("advice_rules", len(read(root)), is_feminine=True), *map(w.print, reasons)]
    return Paragraphs("", tuple(Text(text) for text in texts[:_MOST_OUTCOMES]))


def _title(basis: Basis, shown: Sequence[Recommendation]) -> Text:
    w, waiting = basis.words, len(open_of(shown))
    text = w.counted("advice", len(shown), is_feminine=True)
    if not shown:
        return Text(w.sentence(text) + ".")
    if waiting == len(shown) > 1:
        return Text(w.sentence(text + w("advice_open_all")))
    return Text(w.sentence(text + w.counted("advice_open", waiting, is_feminine=True)))


def _subtitle(basis: Basis, shown: Sequence[Recommendation], held: int) -> Text:
    w = basis.words
    parts = [w("advice_ranked")] if shown else []
    if held:
        parts.append(w.sentence(w.counted("advice_held", held)))
    return Text(" ".join(parts))


def _followed(basis: Basis, outcomes: Sequence[Outcome]) -> Text:
    """How many of the last recommendations are found again, and how many are decided."""
    w = basis.words
    back = sum(one.is_back for one in outcomes)
    text = w.counted("followed", back, all=w.spelled(len(outcomes), is_feminine=True),
                     is_feminine=True)  # fmt: skip
    return Text(w.sentence(text))


def _table(basis: Basis, recommendations: Sequence[Recommendation], before: int) -> Table:
    w = basis.words
    columns = (
        Column("", 9), Column(w("advice_what"), 76), Column(w("advice_evidence"), 58),
        Column(w("owner"), 32), Column(w("advice_effect"), 52), Column(w("confidence"), 20),
        Column(w("advice_status"), 22),
    )  # fmt: skip
    rows = []
    for index, one in enumerate(recommendations, start=before + 1):
        cost: tuple[Figure, ...] = ()
        effect = w.print(one.effect)
        if one.cost is not None:
            cost = _cost(one.id, one.cost)
            effect = f"{effect} {w('advice_cost', cost=w.print(one.cost.text))}".strip()
        rows.append(
            Row((
                Cell(w.number(index), weight="strong"),
                Cell(w.print(one.title), small=w.print(one.action), weight="strong"),
                _evidence(basis, one),
                Cell(w.person(one.owner)),
                Cell("", small=effect, small_figures=cost),
                Cell(w(f"confidence_{one.confidence}")),
                Cell(w(f"decided_{one.status}"), state=_STATES.get(one.status, "")),
            ))
        )  # fmt: skip
    return Table("", "", columns, tuple(rows), is_dense=True)


def _evidence(basis: Basis, of: Recommendation) -> Cell:
    """What it rests on in words, then the figures that the words leave out."""
    w = basis.words
    rest = [f"{one.label}{w('colon')}{one.text}" for one in of.evidence
            if one.text not in of.because]  # fmt: skip
    small = w.print(of.because)
    if rest:
        small = f"{small} {w.sentence(w.clauses(rest))}."
    return Cell("", small=small, small_figures=_figures(of))


def _figure(name: str, one: Evidence) -> list[Figure]:
    """The figure of a recommendation; of an estimate its two ends as well."""
    asked = f" ({one.question})" if one.question else ""
    origin = f"recommendation {name} {one.name}{asked}"
    values = {"": one.value}
    if isinstance(one.value, Interval):
        values = {"": one.value.estimate, " low": one.value.lower, " high": one.value.upper}
    return [
        Figure(one.text, value, one.unit, origin=f"{origin}{part}")
        for part, value in values.items()
    ]


def _figures(one: Recommendation) -> tuple[Figure, ...]:
    return tuple(figure for entry in one.evidence for figure in _figure(one.id, entry))


def _cost(name: str, cost: Cost) -> tuple[Figure, ...]:
    """What it costs to leave things as they are; of an estimate with its two ends."""
    values = {"": cost.amount, " low": cost.low, " high": cost.high}
    return tuple(
        Figure(cost.text, value, cost.currency, origin=f"recommendation {name} cost{part}")
        for part, value in values.items() if value is not None
    )  # fmt: skip


def _outcomes(basis: Basis, outcomes: Sequence[Outcome]) -> Table:
    w = basis.words
    columns = (
        Column(w("advice_before"), 122), Column(w("advice_status"), 30),
        Column(w("advice_decided"), 72), Column(w("advice_again"), 45),
    )  # fmt: skip
    rows = tuple(
        Row((
            Cell(w.print(one.title), weight="strong"),
            Cell(w(f"decided_{one.status}"), state=_STATES.get(one.status, ""),
                 has_sign=one.status == "done"),
            Cell(w.print(one.note) or w("none_sign"), small=w.person(one.decided_by)),
            Cell(w("again_yes") if one.is_back else w("again_no"),
                 state="warn" if one.is_back else "ok"),
        ))
        for one in outcomes[:_MOST_OUTCOMES]
    )  # fmt: skip
    more = len(outcomes) - len(rows)
    sub = w.counted("costly_more", more, is_feminine=True) if more > 0 else ""
    return Table(w("outcomes_title"), sub, columns, rows, is_dense=True)

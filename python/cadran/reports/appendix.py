"""The appendix: what each figure means, since when, from which data, and how it was estimated."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from cadran.core.ledger.reader import has_ledger
from cadran.core.project import lock
from cadran.core.versions.record import records
from cadran.core.warehouse import ledger_sql
from cadran.core.warehouse.dialects import literal
from cadran.errors import CadranError, ProjectError, WarehouseError
from cadran.insight.readings import ENDING
from cadran.reliability import status
from cadran.reports.pack import Cell, Column, Figure, Page, Paragraphs, Row, Table, Text
from cadran.reports.period import Period
from cadran.reports.published import packs

if TYPE_CHECKING:
    from cadran.core.project.cards import Card
    from cadran.reports.basis import Basis
    from cadran.reports.pack import Block
    from cadran.reports.published import PublishedPack
    from cadran.reports.speech import Speech

_A_PAGE = 9  # definitions on one page
_MOST = 6  # rows of each list
_LONGEST = 200  # characters of a definition
_METHODS = ("methods_like", "methods_limits", "methods_budget", "methods_costs")

_REASONS = {  # as macros/contract_fault.sql and macros/checked_rows.sql write them
    key: re.compile(rf"(?P<column>\w+(?:, \w+)*) {ending}")
    for key, ending in {
        "missing": "is missing",
        "type": r"is no (?P<kind>[\w() ,]+): (?P<value>.*)",
        "accepted": "is none of (?P<values>.*)",
        "below": "is below (?P<bound>.*)",
        "above": "is above (?P<bound>.*)",
        "unknown": "is unknown",
        "repeated": "stands more than once",
    }.items()
}


def pages(basis: Basis) -> list[Page]:
    """Definitions, as many pages as they take, then versions, data and methods."""
    w, appendix = basis.words, []
    chunks = [basis.cards[at : at + _A_PAGE] for at in range(0, len(basis.cards), _A_PAGE)]
    hashes = _hashes(basis)
    for index, cards in enumerate(chunks):
        columns = (
            Column(w("kpi"), 46), Column(w("definition"), 92), Column(w("not_for"), 48),
            Column(w("target_name"), 24, "right"), Column(w("owner"), 34),
            Column(w("version"), 25),
        )  # fmt: skip
        rows = tuple(_definition(basis, card, hashes.get(card.name, "")) for card in cards)
        key = "definitions" if not index else f"definitions-{index + 1}"
        folio = "A" if len(chunks) == 1 else f"A.{index + 1}"
        appendix.append(
            Page(key, folio, w("definitions_page"), Text(w("definitions_title")),
                 Text(w("definitions_sub")), (Table("", "", columns, rows),),
                 w("foot_definitions"))
        )  # fmt: skip
    appendix.append(_sources(basis))
    return appendix


def _definition(basis: Basis, card: Card, fingerprint: str) -> Row:
    w = basis.words
    local = card.localized(w.lang)
    description = w.print(local.description.strip())
    if len(description) > _LONGEST:
        head = description[:_LONGEST]
        whole = head.rpartition(". ")[0]
        description = f"{whole}." if whole else f"{head.rsplit(' ', 1)[0]}…"
    reading = basis.readings.get(card.name)
    target = basis.target(reading, brief=True) if reading else None
    return Row((
        Cell(w.label(card), weight="strong"),
        Cell(description),
        Cell(w.print(", ".join(local.not_for)) or w("none_sign"), weight="muted"),
        Cell(figure=target) if target else Cell(w("none_sign"), weight="muted"),
        Cell(w.person(card.owner.business)),
        Cell(f"v{card.version}", small=fingerprint[:8]),
    ))  # fmt: skip


def _hashes(basis: Basis) -> dict[str, str]:
    root = basis.source.layer.project.root
    if root is None:
        return {}
    try:
        return {name: entry.hash for name, entry in lock.read(root).items()}
    except CadranError:
        return {}


def _sources(basis: Basis) -> Page:
    w = basis.words
    blocks: list[Block] = [
        Paragraphs(
            w("methods"),
            tuple(Text(w(key), w(f"{key}_lead")) for key in _METHODS),
            span=6, is_small=True,
        ),
        Paragraphs(w("versions_title"), _changes(basis), span=6, is_small=True),
        _freshness(basis),
        _rejected(basis),
    ]  # fmt: skip
    excluded = _exclusions(basis)
    if excluded is not None:
        blocks.append(excluded)
    return Page(
        "sources", "B", w("sources_page"), Text(w("sources_title")),
        Text(w("sources_sub", day=w.date(basis.window.last))), tuple(blocks), w("foot_sources"),
    )  # fmt: skip


def _changes(basis: Basis) -> tuple[Text, ...]:
    """Definitions that changed within the thirteen months, and published values restated since."""
    w, texts = basis.words, []
    root = basis.source.layer.project.root
    since = basis.months()[0]
    for card in basis.cards:
        try:
            history = records(root, card.name) if root is not None else []
        except CadranError:
            history = []
        for record in history:
            from_ = record.effective_from
            if from_ is not None and record.version > 1 and from_ >= since:
                texts.append(
                    Text(w.print(record.reason or ""),
                         w("version_since", label=w.label(card), n=record.version,
                           day=w.date(from_)))
                )  # fmt: skip
    if not texts:
        texts.append(Text(w("no_new_version")))
    before = _pack_before(basis)
    restated = _restated(basis, before)
    if restated is None:
        texts.append(Text(w("no_ledger")))
        return tuple(texts)
    if before is None:
        texts.append(Text(w("no_pack_before")))
    else:
        said = f"{before.id}, {before.period}"
        texts.append(Text(w("since_pack", pack=said, day=w.date(before.at.date()))))
    if not restated:
        texts.append(Text(w("no_restatement")))
    texts += restated[:_MOST]
    if len(restated) > _MOST:
        texts.append(Text(w.sentence(w.counted("restated_more", len(restated) - _MOST))))
    return tuple(texts)


def _pack_before(basis: Basis) -> PublishedPack | None:
    """The last pack of a period that ended before this one; its own is no pack before it."""
    every = packs(basis.source.layer)
    return next(
        (one for one in reversed(every) if Period.read(one.period).end < basis.period.end), None
    )


def _restated(basis: Basis, before: PublishedPack | None) -> list[Text] | None:
    """What was restated since the pack before went out; where none did, since the period began.

    None where nothing is published in a ledger.
    """
    warehouse, w = basis.source.layer.warehouse, basis.words
    if not has_ledger(warehouse):
        return None
    since = before.at.replace(tzinfo=None) if before else basis.start
    among = ", ".join(literal(card.name) for card in basis.cards)
    rows = warehouse.ledger.arrow(
        f"select kpi, published_at, details from {ledger_sql.BATCHES}"
        f" where kind = 'restatement' and kpi in ({among})"
        f" and published_at >= timestamp '{since}' order by published_at, kpi"
    ).to_pylist()
    cards = {card.name: card for card in basis.cards}
    return [
        Text(
            w.print(str(json.loads(row["details"]).get("reason") or "")),
            w("restated_on", label=w.label(cards[row["kpi"]]), day=w.date(row["published_at"])),
        )
        for row in rows
    ]


def _freshness(basis: Basis) -> Table:
    w = basis.words
    width = 6 * 17.8333 + 5 * 5
    columns = (
        Column(w("kpi"), width - 60), Column(w("whole_until"), 34, "right"),
        Column(w("version"), 26, "right"),
    )  # fmt: skip
    rows = []
    for card in basis.cards:
        through = basis.reader.through(card.name)
        is_late = through is None or through < basis.window.last
        rows.append(
            Row((
                Cell(w.label(card)),
                Cell(w.day(through) if through else w("no_data"), state="warn" if is_late else ""),
                Cell(f"v{card.version}"),
            ))
        )  # fmt: skip
    return Table(w("freshness"), w("freshness_sub"), columns, tuple(rows), span=6, is_dense=True)


def _rejected(basis: Basis) -> Block:
    """Rows that the build set aside, by table and reason."""
    w = basis.words
    width = 6 * 17.8333 + 5 * 5
    rejected: list[tuple[str, str, int]] = []
    for name, relation in _rejections(basis):
        try:
            rows = basis.source.layer.warehouse.arrow(
                f"select rejection_reason, count(*) as n from {relation} group by 1 order by 2 desc"
            ).to_pylist()
        except ENDING:
            raise
        except WarehouseError:
            continue
        rejected += [(name, str(row["rejection_reason"]), int(row["n"])) for row in rows]
    rejected.sort(key=lambda entry: (-entry[2], entry[:2]))
    if not rejected:
        return Paragraphs(w("quality"), (Text(w("no_rejection")),), span=6, is_small=True)
    columns = (
        Column(w("table"), 40), Column(w("reason"), width - 60), Column(w("rows"), 20, "right"),
    )  # fmt: skip
    table_rows = tuple(
        Row((
            Cell(w.name(name.removeprefix("rejected_"))),
            Cell(_reason(w, reason)),
            Cell(figure=Figure(w.number(count), count, "rows", origin=f"{name} {reason}")),
        ))
        for name, reason, count in rejected[:_MOST]
    )  # fmt: skip
    return Table(w("quality"), w("quality_sub"), columns, table_rows, span=6, is_dense=True)


def _reason(w: Speech, reason: str) -> str:
    """Why a row was set aside, in words; a rule of the project's own has them as a name has."""
    for key, pattern in _REASONS.items():
        match = pattern.fullmatch(reason)
        if match is not None:
            return w(f"rejected_{key}", **match.groupdict())
    return w.print(w.name(reason))


def _rejections(basis: Basis) -> list[tuple[str, str]]:
    try:
        nodes = basis.source.layer.project.dbt_manifest["nodes"].values()
    except ProjectError:
        return []
    return sorted(
        (node["name"], node["relation_name"]) for node in nodes
        if node["resource_type"] == "model" and node["name"].startswith("rejected_")
    )  # fmt: skip


def _exclusions(basis: Basis) -> Table | None:
    """The entries of the register within the period, with what became of each."""
    w, window = basis.words, basis.window
    rows: list[dict[str, Any]]
    try:
        rows = status.exclusions(basis.source.layer)
    except ENDING:
        raise
    except CadranError:
        return None
    inside = [
        row for row in rows
        if row["starts_at"].date() <= window.last and row["ends_at"].date() >= window.first
    ]  # fmt: skip
    if not inside:
        return None
    columns = (
        Column(w("began"), 46), Column(w("excluded_of"), 45), Column(w("reason"), 128),
        Column(w("judgement"), 50),
    )  # fmt: skip
    table = tuple(
        Row((
            Cell(w.instant(row["starts_at"])),
            Cell(w.name(row["subject"]) if row["subject"] else w("all_services")),
            Cell(w.print(row["reason"] or "")),
            Cell(w("judged_counted") if row["judgement"] == "counted" else row["judgement"],
                 state="ok" if row["judgement"] == "counted" else "warn"),
        ))
        for row in inside[:_MOST]
    )  # fmt: skip
    return Table(w("exclusions_title"), "", columns, table, is_dense=True)

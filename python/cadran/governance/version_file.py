"""The file of a version record: `versions/<kpi>/v<N>.yml`, read strictly and written whole."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

import yaml

from cadran.errors import CardError, near_misses
from cadran.governance.closure import Node
from cadran.governance.questions import Definition, Question
from cadran.governance.versions import KINDS, RESTATEMENTS, VersionRecord, path_of

if TYPE_CHECKING:
    from pathlib import Path

_DECISIONS = (
    "kpi", "version", "effective_from", "kind", "reason", "ticket", "author", "approver",
    "restatement", "window", "overlap", "expected_impact", "measured_impact", "proof",
)  # fmt: skip
_MEANING = (
    "hash", "tools", "mark", "said", "questions", "steps", "columns", "came_from", "rules",
    "semantics", "note", "by_text",
)  # fmt: skip


def read(root: Path, path: Path) -> VersionRecord:
    """One record.

    Raises:
        CardError: it lacks something, or holds what it must not.
    """
    file = str(path.relative_to(root))

    def wrong(key: str, sentence: str) -> CardError:
        return CardError(f"{file}, key '{key}': {sentence}.")

    try:
        given = yaml.load(path.read_text(encoding="utf-8"), _LOADER)  # noqa: S506 - a safe loader
    except yaml.YAMLError as error:
        raise CardError(f"{file} is no YAML: {error}") from None
    if not isinstance(given, dict):
        raise CardError(f"{file} is no version record.")
    for key in given.keys() - {*_DECISIONS, *_MEANING}:
        hint = near_misses(str(key), (*_DECISIONS, *_MEANING))
        raise wrong(str(key), f"is unknown{f'; did you mean {hint[0]}' if hint else ''}")
    needed = (*_DECISIONS[:5], "author", "approver", "restatement", "hash", "questions", "steps")
    for key in needed:
        if given.get(key) in (None, "") and key != "steps":
            raise wrong(key, "is missing")
    for key, allowed in (("kind", KINDS), ("restatement", RESTATEMENTS)):
        if given[key] not in allowed:
            raise wrong(key, f"is '{given[key]}'; allowed: {', '.join(allowed)}")
    try:
        effective = dt.date.fromisoformat(str(given["effective_from"]))
        window = given.get("window")
        ends = (window["from"], window["to"]) if window else ()
        dates = tuple(dt.date.fromisoformat(str(day)) for day in ends)
        impact = given.get("expected_impact")
        limits = (float(impact["least"]), float(impact["greatest"])) if impact else None
        definition, number = _definition(given), int(given["version"])
    except (KeyError, TypeError, ValueError) as error:
        raise CardError(f"{file} is no version record: {error}") from None
    return VersionRecord(
        kpi=str(given["kpi"]), version=number, effective_from=effective,
        kind=given["kind"], reason=str(given["reason"]), author=str(given["author"]),
        approver=str(given["approver"]), restatement=given["restatement"],
        hash=str(given["hash"]), definition=definition, ticket=str(given.get("ticket") or ""),
        window=(dates[0], dates[1]) if dates else None, overlap=str(given.get("overlap") or ""),
        expected_impact=limits, measured_impact=given.get("measured_impact") or {},
        proof=given.get("proof") or {},
        mark=str(given.get("mark") or ""), said=str(given.get("said") or ""),
        tools=tuple(given.get("tools") or ()),
        question_hashes=tuple(str(q.get("hash", "")) for q in given["questions"]), file=file,
    )  # fmt: skip


def write(root: Path, record: VersionRecord) -> Path:
    """Write a record; one that is there already is replaced only by the same version.

    Raises:
        OSError: the file cannot be written.
    """
    path = path_of(root, record.kpi, record.version)
    definition = record.definition
    said: dict[str, Any] = {
        "kpi": record.kpi, "version": record.version,
        "effective_from": record.effective_from, "kind": record.kind, "reason": record.reason,
    }  # fmt: skip
    if record.ticket:
        said["ticket"] = record.ticket
    said |= {"author": record.author, "approver": record.approver}
    said["restatement"] = record.restatement
    if record.window:
        said["window"] = {"from": record.window[0], "to": record.window[1]}
    if record.overlap:
        said["overlap"] = record.overlap
    if record.expected_impact:
        least, greatest = record.expected_impact
        said["expected_impact"] = {"least": least, "greatest": greatest}
    if record.measured_impact:
        said["measured_impact"] = record.measured_impact
    if record.proof:
        said["proof"] = record.proof
    said |= {
        "hash": record.hash,
        "tools": list(record.tools),
        "mark": record.mark,
        "said": record.said,
        "questions": [
            {
                "grains": list(q.grains),
                "dimensions": list(q.dimensions),
                "hash": mark,
                "sql": _Text(q.sql),
            }
            for q, mark in zip(definition.questions, record.question_hashes, strict=True)
        ],
        "steps": _Block({name: _Text(body) for name, body in definition.steps.items()}),
        "columns": definition.columns,
        "came_from": [f"{n.kind} | {n.name} | {n.file} | {n.checksum}" for n in definition.nodes],
        "rules": definition.rules,
        "semantics": definition.semantics,
    }
    if definition.note:
        said |= {"note": definition.note, "by_text": definition.by_text}
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_suffix(".part")
    text = yaml.dump(
        said, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100,
        default_flow_style=None,
    )  # fmt: skip
    aside.write_text(text, encoding="utf-8")
    aside.replace(path)
    return path


def _definition(given: dict[str, Any]) -> Definition:
    nodes = []
    for line in given.get("came_from") or []:
        kind, name, file, mark = line.split(" | ")
        nodes.append(Node(kind, name, file, mark))
    return Definition(
        kpi=str(given["kpi"]),
        questions=tuple(
            Question(tuple(q["grains"]), tuple(q["dimensions"]), q["sql"])
            for q in given["questions"]
        ),
        steps=dict(given["steps"] or {}),
        columns=dict(given.get("columns") or {}),
        nodes=tuple(nodes),
        rules=dict(given.get("rules") or {}),
        semantics=dict(given.get("semantics") or {}),
        note=str(given.get("note") or ""),
        by_text=bool(given.get("by_text")),
    )


class _Text(str):
    """SQL, to be written as a block that can be read and compared by line."""

    __slots__ = ()


class _Block(dict[str, str]):
    """Texts by name, each on lines of its own."""


_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _Dumper(yaml.SafeDumper):
    """Writes SQL as blocks."""


def _block(dumper: yaml.SafeDumper, text: _Text) -> yaml.ScalarNode:
    lines = "\n".join(line.rstrip() for line in text.splitlines())
    return dumper.represent_scalar("tag:yaml.org,2002:str", lines, style="|")


def _mapping(dumper: yaml.SafeDumper, texts: _Block) -> yaml.MappingNode:
    return dumper.represent_mapping("tag:yaml.org,2002:map", texts.items(), flow_style=False)


_Dumper.ignore_aliases = lambda *_: True  # type: ignore[method-assign]
_Dumper.add_representer(_Text, _block)
_Dumper.add_representer(_Block, _mapping)

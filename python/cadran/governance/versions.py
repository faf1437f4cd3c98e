"""`versions/<kpi>/v<N>.yml`: each meaning that a KPI has had, frozen, and why it was given up.

People decide what stands at the top of a record: from when it holds, why, who approved it, what is
restated. Below stands what the KPI meant, as SQL down to the sources, with everything it came from.
A record that was merged never changes again.
"""

from __future__ import annotations

import datetime as dt
import json
import re
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import yaml

from cadran.errors import CardError, near_misses
from cadran.governance.canonical import checksum
from cadran.governance.closure import Node
from cadran.governance.meaning import Definition, Question

if TYPE_CHECKING:
    from pathlib import Path

FOLDER = "versions"
KINDS = ("first", "policy", "estimate", "error", "source", "equivalent")
RESTATEMENTS = ("none", "effective", "full", "window")
_NAME = re.compile(r"v([1-9]\d*)\.yml")
_DECISIONS = (
    "kpi", "version", "effective_from", "kind", "reason", "ticket", "author", "approver",
    "restatement", "window", "overlap", "expected_impact", "measured_impact", "proof",
)  # fmt: skip
_MEANING = ("hash", "tools", "mark", "questions", "steps", "columns", "came_from", "rules", "note")


@dataclass(frozen=True, slots=True)
class VersionRecord:
    """One version of a KPI.

    Attributes:
        effective_from: the first day of which the version speaks.
        kind: first, policy, estimate, error, source or equivalent.
        restatement: which published values it replaces: none, from the effective date, full, or
            those of a window.
        window: first and last day that are restated, where restatement is `window`.
        overlap: how long both versions are shown side by side, "3 months".
        expected_impact: the least and greatest relative change of a period's value, as fractions.
        measured_impact: what both versions gave over the overlap when the record was written:
            grain, periods, least and greatest relative change.
        proof: for an equivalent version, what was compared and found equal.
        hash: what the KPI means, in one hash.
        mark: of everything it came from, as it was written; see `quick`.
        tools: the versions of the tools that made the hashes.
        question_hashes: the hash of each question of the definition.
        definition: what the KPI means.
        file: the record's path in the project.
    """

    kpi: str
    version: int
    effective_from: dt.date
    kind: str
    reason: str
    author: str
    approver: str
    restatement: str
    hash: str
    definition: Definition
    ticket: str = ""
    window: tuple[dt.date, dt.date] | None = None
    overlap: str = ""
    expected_impact: tuple[float, float] | None = None
    measured_impact: dict[str, Any] = field(default_factory=dict)
    proof: dict[str, Any] = field(default_factory=dict)
    mark: str = ""
    tools: tuple[str, ...] = ()
    question_hashes: tuple[str, ...] = ()
    file: str = ""

    @property
    def sql(self) -> dict[str, str]:
        """The frozen SQL of each question, by grain and dimension, "month customer__country"."""
        from cadran.governance.expand import whole

        return {
            label: whole(question.at(grain), self.definition.steps)
            for question in self.definition.questions
            for label, grain in zip(question.labels, question.grains, strict=True)
        }


def records(root: Path, kpi: str) -> list[VersionRecord]:
    """The versions of a KPI, the first one first.

    Raises:
        CardError: a record lacks something, or holds what it must not.
    """
    folder = root / FOLDER / kpi
    paths = {int(m[1]): p for p in folder.glob("v*.yml") if (m := _NAME.fullmatch(p.name))}
    return [read(root, paths[number]) for number in sorted(paths)]


def recorded(root: Path) -> list[str]:
    """The names of the KPIs that have a record."""
    return sorted({path.parent.name for path in (root / FOLDER).glob("*/v*.yml")})


def path_of(root: Path, kpi: str, version: int) -> Path:
    """Where the record of a version stands."""
    return root / FOLDER / kpi / f"v{version}.yml"


def seal(path: Path) -> str:
    """A checksum of a record's file; line ends do not count."""
    return checksum(path.read_text(encoding="utf-8"))


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
        definition = _definition(given)
    except (KeyError, TypeError, ValueError) as error:
        raise CardError(f"{file} is no version record: {error}") from None
    return VersionRecord(
        kpi=str(given["kpi"]), version=int(given["version"]), effective_from=effective,
        kind=given["kind"], reason=str(given["reason"]), author=str(given["author"]),
        approver=str(given["approver"]), restatement=given["restatement"],
        hash=str(given["hash"]), definition=definition, ticket=str(given.get("ticket") or ""),
        window=(dates[0], dates[1]) if dates else None, overlap=str(given.get("overlap") or ""),
        expected_impact=limits, measured_impact=given.get("measured_impact") or {},
        proof=given.get("proof") or {},
        mark=str(given.get("mark") or ""), tools=tuple(given.get("tools") or ()),
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
        "questions": [
            {
                "grains": list(q.grains),
                "dimensions": list(q.dimensions),
                "hash": mark,
                "sql": _Text(q.sql),
            }
            for q, mark in zip(definition.questions, record.question_hashes, strict=True)
        ],
        "steps": {name: _Text(body) for name, body in definition.steps.items()},
        "columns": definition.columns,
        "came_from": [f"{n.kind} | {n.name} | {n.file} | {n.checksum}" for n in definition.nodes],
        "rules": definition.rules,
    }
    if definition.note:
        said["note"] = definition.note
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_suffix(".part")
    text = yaml.dump(said, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100)
    aside.write_text(text, encoding="utf-8")
    aside.replace(path)
    return path


def text_of(definition: Definition) -> str:
    """A checksum of a definition's texts: where it is the same, nothing needs to be opened."""
    said = [
        [[list(q.grains), list(q.dimensions), q.sql.strip()] for q in definition.questions],
        {name: body.strip() for name, body in definition.steps.items()},
        definition.rules, definition.note,
        [asdict(node) for node in definition.nodes] if definition.note else [],
    ]  # fmt: skip
    return checksum(json.dumps(said, sort_keys=True))


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
        note=str(given.get("note") or ""),
    )


class _Text(str):
    """SQL, to be written as a block that can be read and compared by line."""

    __slots__ = ()


_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _Dumper(yaml.SafeDumper):
    """Writes SQL as blocks."""


def _block(dumper: yaml.SafeDumper, text: _Text) -> yaml.ScalarNode:
    lines = "\n".join(line.rstrip() for line in text.splitlines())
    return dumper.represent_scalar("tag:yaml.org,2002:str", lines, style="|")


_Dumper.add_representer(_Text, _block)

"""Version records: what a KPI meant, who decided it, and what the change did to its values."""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass, field, fields
from typing import TYPE_CHECKING, Annotated, Any, Literal

import yaml

from cadran.core.project.graph import Node, checksum
from cadran.core.project.lock import FOLDER
from cadran.core.versions.definition import CompiledQuery, Definition
from cadran.core.versions.expand import with_steps
from cadran.core.versions.side_effects import bearing
from cadran.core.versions.steps import Dumper, Sql, StepStore
from cadran.errors import CardError, QueryError
from cadran.formats import files, strict_yaml
from cadran.formats.validation import Date, Strict, Takes, one_of, whole_number

if TYPE_CHECKING:
    import datetime as dt
    from pathlib import Path


KINDS = ("first", "renamed", "policy", "estimate", "error", "source", "equivalent", "wording")
POINTS = "points"
RESTATEMENTS = ("none", "effective", "full", "window")
_NAME = re.compile(r"v([1-9]\d*)\.yml")
_MONTHS = {"month": 1, "quarter": 3, "year": 12}


@dataclass(frozen=True, slots=True)
class VersionRecord:
    """One version of a KPI.

    Attributes:
        effective_from: the first day of which the version speaks.
        kind: first, renamed, policy, estimate, error, source, equivalent, or wording where nothing
            changed but what a reader understands by it.
        restatement: which published values it replaces: none, from the effective date, full, or
            those of a window.
        window: first and last day that are restated, where restatement is `window`.
        overlap: how long both versions are shown side by side, "3 months".
        expected_impact: the least and greatest change of a period's value, as fractions of it, or
            in points.
        in_points: the KPI is a rate, so its impact is a difference: 0.01 is one point of percent.
        measured_impact: what both versions gave over the overlap when the record was written:
            grain, periods, least and greatest change.
        cause: the change upstream that moved this KPI and others, which were decided as one.
        renamed_from: the name that a renamed KPI had, whose last version this one goes on.
        proof: for an equivalent version, what was compared and found equal.
        hash: what the KPI means, in one hash.
        fingerprint: of everything it came from, as it was written.
        semantics_hash: a checksum of what MetricFlow wrote its questions from.
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
    renamed_from: str = ""
    window: tuple[dt.date, dt.date] | None = None
    overlap: str = ""
    expected_impact: tuple[float, float] | None = None
    in_points: bool = False
    measured_impact: dict[str, Any] = field(default_factory=dict)
    cause: str = ""
    proof: dict[str, Any] = field(default_factory=dict)
    fingerprint: str = ""
    semantics_hash: str = ""
    tools: tuple[str, ...] = ()
    question_hashes: tuple[str, ...] = ()
    file: str = ""

    @property
    def exceeds(self) -> str:
        """How the measured impact differs from the expected one; empty where it does not."""
        return exceeding(self.expected_impact, self.measured_impact)

    @property
    def sql(self) -> dict[str, str]:
        """The frozen SQL of each question, by grain and dimension, "month customer__country"."""
        return {
            label: with_steps(question.at(grain), self.definition.steps)
            for question in self.definition.questions
            for label, grain in zip(question.labels, question.grains, strict=True)
        }


def exceeding(expected: tuple[float, float] | None, measured: dict[str, Any]) -> str:
    """How a measured impact differs from the expected one; empty where it does not."""
    if expected is None:
        return ""
    least, greatest = (measured.get(key) for key in ("least", "greatest"))
    if least is None or greatest is None:
        could_not = measured.get("note") or measured.get("periods") == 0
        return "" if could_not else "its impact was expected and not measured"
    if expected[0] <= least and greatest <= expected[1]:
        return ""
    in_points = measured.get("unit") == POINTS
    changes, limits = (
        change_text(*pair, in_points=in_points) for pair in ((least, greatest), expected)
    )
    return f"it changes values by {changes}, where {limits} was expected"


def change_text(least: float, greatest: float, *, in_points: bool, decimals: int = 2) -> str:
    """The range of a change for a reader: relative in percent, or in points of percent."""
    if in_points:
        return f"{least * 100:+.{decimals}f} to {greatest * 100:+.{decimals}f} points"
    return f"{least:+.{decimals}%} to {greatest:+.{decimals}%}"


def records(root: Path, kpi: str) -> list[VersionRecord]:
    """The versions of a KPI, the first one first.

    Raises:
        CardError: a record lacks something, or holds what it must not.
    """
    folder = root / FOLDER / kpi
    paths = {int(m[1]): p for p in folder.glob("v*.yml") if (m := _NAME.fullmatch(p.name))}
    return [read(root, paths[number]) for number in sorted(paths)]


def is_record(file: str) -> bool:
    """Whether a path from the project's folder on is that of a record."""
    folder, _, name = file.removeprefix(f"{FOLDER}/").partition("/")
    return bool(file.startswith(f"{FOLDER}/") and folder and _NAME.fullmatch(name))


def recorded(root: Path) -> list[str]:
    """The names of the KPIs that have a record."""
    return sorted({path.parent.name for path in (root / FOLDER).glob("*/v*.yml")})


def months_of(overlap: str) -> int:
    """An overlap such as "3 months" in months.

    Raises:
        QueryError: it is not such a text.
    """
    match = re.fullmatch(r"(\d+) (month|quarter|year)s?", overlap)
    if not match or not int(match[1]):
        raise QueryError(f"The overlap is '{overlap}'; it takes a text such as '3 months'.")
    return int(match[1]) * _MONTHS[match[2]]


def path_of(root: Path, kpi: str, version: int) -> Path:
    """Where the record of a version stands."""
    return root / FOLDER / kpi / f"v{version}.yml"


def seal(path: Path) -> str:
    """A checksum of a record with its steps written out; line ends do not count.

    Raises:
        CardError: a step that it names is gone or was edited.
    """
    text = path.read_text(encoding="utf-8")
    return checksum(StepStore(path.parents[1]).written_out(text, path.name))


def holds(path: Path, sealed: str) -> bool:
    """Whether a record and its steps are as they were sealed."""
    try:
        return seal(path) == sealed
    except CardError:
        return False


def share_steps(root: Path) -> list[Path]:
    """Store the steps of all records once, and let the records name them.

    Records that hold their steps, as they were written once, answer as before; their seals hold.

    Returns:
        The records that were written anew.

    Raises:
        CardError: a record cannot be read, or would not be the same with its steps named.
        OSError: a file cannot be written.
    """
    store, changed = StepStore(root / FOLDER), []
    for kpi in recorded(root):
        for record in records(root, kpi):
            path = root / record.file
            text = path.read_text(encoding="utf-8")
            shared = store.shared(text, record.definition.steps)
            if shared == text:
                continue
            if store.written_out(shared, record.file) != store.written_out(text, record.file):
                raise CardError(
                    f"{record.file} was not written by `cadran bump`: leave it as it is."
                )
            files.write(path, shared)
            changed.append(path)
    return changed


def text_of(definition: Definition) -> str:
    """A checksum of a definition's texts: where it is the same, nothing needs to be opened."""
    content = [
        [[list(q.grains), list(q.dimensions), q.sql.strip()] for q in definition.questions],
        {name: body.strip() for name, body in definition.steps.items()},
        definition.rules, definition.by_text, definition.seeds,
        [asdict(node) for node in definition.nodes] if definition.by_text else [],
    ]  # fmt: skip
    return checksum(json.dumps(content, sort_keys=True))


def _both_ends(window: dict[str, dt.date]) -> dict[str, dt.date]:
    for end in ("from", "to"):
        if end not in window:
            raise ValueError(f"has no '{end}'")
    return window


def _four_parts(line: str) -> str:
    if len(line.split(" | ")) != len(fields(Node)):
        raise ValueError(f"is {line!r}; it takes kind, name, file and checksum, with ' | ' between")
    return line


def _some_text(text: str) -> str:
    if not text.strip():
        raise ValueError("is missing")
    return text


# A record is sealed by its text: nothing of it is put into another form.
_Text = Annotated[str, Takes("a text", _some_text, schema={"minLength": 1})]


@dataclass(frozen=True, slots=True)
class _Question(Strict):
    grains: tuple[str, ...]
    dimensions: tuple[str, ...]
    sql: _Text
    hash: str = ""


@dataclass(frozen=True, slots=True)
class _Impact(Strict):
    least: float
    greatest: float
    unit: Annotated[str, one_of("relative", POINTS)] = "relative"


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordFile(Strict):
    """What stands in `versions/<kpi>/v<number>.yml`; `VersionRecord` says what it means."""

    kpi: _Text
    version: Annotated[int, whole_number(1)]
    effective_from: Date
    kind: Annotated[str, one_of(*KINDS)]
    reason: _Text
    renamed_from: str = ""
    cause: str = ""
    ticket: str = ""
    author: _Text
    approver: _Text
    restatement: Annotated[str, one_of(*RESTATEMENTS)]
    window: (
        Annotated[dict[Literal["from", "to"], Date], Takes("from and to", _both_ends)] | None
    ) = None
    overlap: str = ""
    expected_impact: _Impact | None = None
    measured_impact: dict[str, Any] = field(default_factory=dict)
    proof: dict[str, Any] = field(default_factory=dict)
    hash: _Text
    tools: tuple[str, ...] = ()
    mark: str = ""
    said: str = ""
    questions: tuple[_Question, ...]
    steps: dict[str, str] | None
    columns: dict[str, Any] = field(default_factory=dict)
    came_from: tuple[Annotated[str, Takes(check=_four_parts)], ...] = ()
    rules: dict[str, Any] = field(default_factory=dict)
    side_effects: dict[str, str] | None = None
    seeds: dict[str, dict[str, str]] = field(default_factory=dict)
    semantics: dict[str, Any] = field(default_factory=dict)
    note: str = ""
    by_text: bool = False

    def definition(self, store: StepStore, file: str) -> Definition:
        """What the KPI means.

        Raises:
            CardError: a step that it names is gone or was edited.
        """
        return Definition(
            kpi=self.kpi,
            questions=tuple(CompiledQuery(q.grains, q.dimensions, q.sql) for q in self.questions),
            steps={name: store.read(sql, file) for name, sql in (self.steps or {}).items()},
            columns=self.columns,
            nodes=tuple(Node(*line.split(" | ")) for line in self.came_from),
            rules=self.rules,
            side_effects=None if self.side_effects is None else bearing(self.side_effects),
            seeds=self.seeds,
            semantics=self.semantics,
            note=self.note,
            by_text=self.by_text,
        )


def read(root: Path, path: Path) -> VersionRecord:
    """One record.

    Raises:
        CardError: it lacks something, or holds what it must not.
    """
    file = str(path.relative_to(root))
    record = strict_yaml.read_as(RecordFile, path, CardError, file=file)
    impact, window = record.expected_impact, record.window
    same = {
        "kpi", "version", "effective_from", "kind", "reason", "renamed_from", "cause", "ticket",
        "author", "approver", "restatement", "overlap", "measured_impact", "proof", "hash", "tools",
    }  # fmt: skip
    return VersionRecord(
        **{name: getattr(record, name) for name in same},
        window=(window["from"], window["to"]) if window else None,
        expected_impact=(impact.least, impact.greatest) if impact else None,
        in_points=bool(impact and impact.unit == POINTS),
        fingerprint=record.mark,
        semantics_hash=record.said,
        definition=record.definition(StepStore(root / FOLDER), file),
        question_hashes=tuple(question.hash for question in record.questions),
        file=file,
    )


def write(root: Path, record: VersionRecord) -> Path:
    """Write a record; one that is there already is replaced only by the same version.

    Raises:
        OSError: the file cannot be written.
    """
    path = path_of(root, record.kpi, record.version)
    definition, steps = record.definition, StepStore(root / FOLDER)
    content: dict[str, Any] = {
        "kpi": record.kpi, "version": record.version,
        "effective_from": record.effective_from, "kind": record.kind, "reason": record.reason,
    }  # fmt: skip
    content |= {
        key: value for key in ("renamed_from", "cause", "ticket") if (value := getattr(record, key))
    }
    content |= {"author": record.author, "approver": record.approver}
    content["restatement"] = record.restatement
    if record.window:
        content["window"] = {"from": record.window[0], "to": record.window[1]}
    if record.overlap:
        content["overlap"] = record.overlap
    if record.expected_impact:
        least, greatest = record.expected_impact
        content["expected_impact"] = {"least": least, "greatest": greatest} | (
            {"unit": POINTS} if record.in_points else {}
        )
    if record.measured_impact:
        content["measured_impact"] = record.measured_impact
    if record.proof:
        content["proof"] = record.proof
    content |= {
        "hash": record.hash,
        "tools": list(record.tools),
        "mark": record.fingerprint,
        "said": record.semantics_hash,
        "questions": [
            {
                "grains": list(q.grains),
                "dimensions": list(q.dimensions),
                "hash": mark,
                "sql": Sql(q.sql),
            }
            for q, mark in zip(definition.questions, record.question_hashes, strict=True)
        ],
        "steps": _Block({name: steps.write(body) for name, body in definition.steps.items()}),
        "columns": definition.columns,
        "came_from": [f"{n.kind} | {n.name} | {n.file} | {n.checksum}" for n in definition.nodes],
        "rules": definition.rules,
        "side_effects": definition.side_effects or {},
        "seeds": definition.seeds,
        "semantics": definition.semantics,
    }
    if definition.note:
        content |= {"note": definition.note, "by_text": definition.by_text}
    path.parent.mkdir(parents=True, exist_ok=True)
    text = yaml.dump(
        content, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100,
        default_flow_style=None,
    )  # fmt: skip
    files.write(path, text)
    return path


class _Block(dict[str, str]):
    """Texts by name, each on lines of its own."""


class _Dumper(Dumper):
    """Writes steps on lines of their own."""


def _mapping(dumper: yaml.SafeDumper, texts: _Block) -> yaml.MappingNode:
    return dumper.represent_mapping("tag:yaml.org,2002:map", texts.items(), flow_style=False)


_Dumper.add_representer(_Block, _mapping)

"""Whether a KPI still means what its version says; if not, what changed and what caused it."""

from __future__ import annotations

import difflib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from cadran.governance.canonical import NotCanonical
from cadran.governance.meaning import closed, of
from cadran.governance.versions import records, text_of

if TYPE_CHECKING:
    from cadran.governance.closure import Node
    from cadran.governance.meaning import Definition, Meanings, Question
    from cadran.governance.versions import VersionRecord
    from cadran.layer import Layer

_CONTEXT = 4


@dataclass(frozen=True, slots=True)
class Change:
    """How a KPI's meaning now stands to that of a version.

    Attributes:
        changed: whether it means something else.
        questions: the questions, "month customer__country", that are answered otherwise.
        causes: models, macros, variables and seeds that differ, with their files.
        difference: the two canonical SQLs where they differ, as a unified difference.
        note: why texts were compared instead of meanings, where that is so.
    """

    kpi: str
    changed: bool
    questions: tuple[str, ...] = ()
    causes: tuple[str, ...] = ()
    difference: str = ""
    note: str = ""
    moved: tuple[Node, ...] = field(default=())


def compare(layer: Layer, record: VersionRecord) -> Change:
    """How a KPI stands to one of its versions; both sides are brought into form by these tools.

    Raises:
        UnknownNameError: there is no such KPI any more.
        ProjectError: the project cannot be compiled.
    """
    meanings = of(layer)
    if meanings.is_untouched(record):
        return Change(record.kpi, changed=False, note=record.definition.note)
    return between(meanings, record.definition, meanings.definition(record.kpi))


def between(meanings: Meanings, before: Definition, after: Definition) -> Change:
    """How one definition of a KPI stands to another."""
    note = after.note or before.note
    if text_of(before) == text_of(after):
        return Change(after.kpi, changed=False, note=note)
    old, new = _labelled(before), _labelled(after)
    shared = [label for label in new if label in old]
    differing = _differing(meanings, before, after, shared)
    ruled = [
        name
        for name, rule in after.rules.items()
        if name in before.rules and before.rules[name] != rule
    ]
    if not differing and not ruled and shared:
        return Change(after.kpi, changed=False, note=note)
    moved = _moved(before, after)
    causes = [f"{node.kind} {node.name} ({node.file})" for node in moved]
    causes += [f"incremental rule of model {name}" for name in ruled]
    if not shared:
        differing = tuple(new)
    difference = ""
    if differing and shared:
        label = differing[0]
        difference = _difference(before, old[label], after, new[label], label)
    return Change(
        after.kpi, changed=True, questions=differing, causes=tuple(causes),
        difference=difference, note=note, moved=moved,
    )  # fmt: skip


def hash_of(layer: Layer, kpi: str) -> str:
    """One hash for what a KPI means now; that of its last version as long as it means that."""
    history = records(layer.project.root, kpi) if layer.project.root else []
    if history and not compare(layer, history[-1]).changed:
        return history[-1].hash
    return of(layer).hash(kpi)


def _differing(
    meanings: Meanings, before: Definition, after: Definition, shared: list[str]
) -> tuple[str, ...]:
    try:
        marks = meanings.hashes(before), meanings.hashes(after)
    except NotCanonical:
        # A form that these tools cannot bring the older SQL into: its text decides.
        return tuple(shared)
    suspected = [label for label in shared if marks[0][label] != marks[1][label]]
    if not suspected or before.note or after.note:
        return tuple(suspected)
    # What moved between a question and its marts looks different in two parts, not as a whole.
    old, new = _labelled(before), _labelled(after)
    alike: dict[tuple[str, str], bool] = {}
    found = []
    for label in suspected:
        key = old[label].sql, new[label].sql
        if key not in alike:
            try:
                alike[key] = before.canonical(old[label]) == after.canonical(new[label])
            except NotCanonical:
                alike[key] = False
        if not alike[key]:
            found.append(label)
    return tuple(found)


def _labelled(definition: Definition) -> dict[str, Question]:
    return {label: question for question in definition.questions for label in question.labels}


def _moved(before: Definition, after: Definition) -> tuple[Node, ...]:
    """Nodes that are new, gone or say something else; a model only where nothing else explains."""
    old = {(n.kind, n.name): n for n in before.nodes}
    new = {(n.kind, n.name): n for n in after.nodes}
    return tuple(
        new.get(key, old.get(key))  # type: ignore[misc]
        for key in sorted(old.keys() | new.keys())
        if key not in old or key not in new or old[key].checksum != new[key].checksum
    )


def _difference(
    before: Definition, old: Question, after: Definition, new: Question, label: str
) -> str:
    grain = label.split()[0]
    try:
        texts = [closed(d.canonical(q), grain) for d, q in ((before, old), (after, new))]
    except NotCanonical:
        texts = [q.at(grain) for q in (old, new)]
    lines = difflib.unified_diff(
        texts[0].splitlines(), texts[1].splitlines(),
        f"{after.kpi} as recorded, by {label}", f"{after.kpi} now, by {label}",
        lineterm="", n=_CONTEXT,
    )  # fmt: skip
    return "\n".join(lines)

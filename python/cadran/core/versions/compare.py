"""Whether a KPI still means what its version says; if not, what changed and what caused it."""

from __future__ import annotations

import difflib
import re
import textwrap
from dataclasses import dataclass, field, replace
from itertools import zip_longest
from typing import TYPE_CHECKING

from cadran.core.versions.canonical import NotCanonical
from cadran.core.versions.definition import compiler
from cadran.core.versions.questions import recompiled
from cadran.core.versions.record import records, text_of

if TYPE_CHECKING:
    from cadran.core.project.graph import Node
    from cadran.core.versions.definition import Definition
    from cadran.core.versions.meaning import SemanticFingerprints
    from cadran.core.versions.record import VersionRecord


_WIDTH = 56
_CONTEXT = 2


def diff(name: str, was: str, now: str) -> list[str]:
    """The lines where two texts differ and those around them, the old left and the new right.

    Between them stands what became of a line: `|` changed, `<` gone, `>` new.
    """
    old, new = was.splitlines(), now.splitlines()
    matcher = difflib.SequenceMatcher(None, old, new, autojunk=False)
    lines = [
        _row(f"{name}, as recorded", " ", f"{name}, now"),
        _row("-" * _WIDTH, " ", "-" * _WIDTH),
    ]
    for number, group in enumerate(matcher.get_grouped_opcodes(_CONTEXT)):
        lines += ["..."] if number else []
        for kind, i, j, k, m in group:
            sign = {"equal": " ", "replace": "|", "delete": "<", "insert": ">"}[kind]
            for left, right in zip_longest(old[i:j], new[k:m], fillvalue=""):
                mark = sign if kind != "replace" else "<" if not right else "|" if left else ">"
                lines += _rows(left, mark, right)
    return [line.rstrip() for line in lines]


def _rows(left: str, sign: str, right: str) -> list[str]:
    pairs = zip_longest(_folded(left), _folded(right), fillvalue="")
    return [_row(before, sign, after) for before, after in pairs]


def _row(left: str, sign: str, right: str) -> str:
    return f"{left:<{_WIDTH}} {sign} {right}"


def _folded(line: str) -> list[str]:
    """A line, folded where it is too long, the rest indented by two more."""
    indent = " " * (len(line) - len(line.lstrip()) + 2)
    return textwrap.wrap(
        line, _WIDTH, subsequent_indent=indent, drop_whitespace=True, break_on_hyphens=False,
        replace_whitespace=False,
    ) or [""]  # fmt: skip


_NUMBER = re.compile(r"_\d+\b")
# A fact from which a time spine takes its ends, as steps name it.
_FACT_OF_SPINE = re.compile(r"\"model\"\.\"\w+\"\.\"(\w+)\"")


@dataclass(frozen=True, slots=True)
class Change:
    """How a KPI's meaning now stands to that of a version.

    Attributes:
        changed: whether it means something else.
        question: the first question, "month customer__country", that is answered otherwise.
        causes: models, macros, variables and seeds that differ, with their files.
        difference: the SQL of both sides where it differs, model by model.
        note: why texts were compared instead of meanings, where that is so.
        moved: what the causes name.
        asks_more: questions that the version was not recorded for.
        beside_select: what decides rows beside a SELECT and differs, by its names.
    """

    kpi: str
    changed: bool
    question: str = ""
    causes: tuple[str, ...] = ()
    difference: str = ""
    note: str = ""
    moved: tuple[Node, ...] = field(default=())
    asks_more: tuple[str, ...] = ()
    beside_select: tuple[str, ...] = ()


def compare(meanings: SemanticFingerprints, record: VersionRecord) -> Change:
    """How a KPI stands to one of its versions; both sides are brought into form by these tools.

    Raises:
        UnknownNameError: there is no such KPI any more.
        ProjectError: the project cannot be compiled.
    """
    if meanings.is_untouched(record):
        return Change(record.kpi, changed=False, note=record.definition.note)
    meanings.believe(record)
    before = meanings.recorded(record)
    if compiler() not in record.tools and before.semantics and before.runs:
        # A new MetricFlow may write the same question otherwise.
        before = recompiled(meanings.model.project, before)
    return between(meanings, before, meanings.opened(record.kpi))


def between(meanings: SemanticFingerprints, before: Definition, after: Definition) -> Change:
    """How one definition of a KPI stands to another."""
    if before.by_text and not after.by_text:
        after = replace(after, by_text=True)
    if any(leaf.startswith("seed.") and leaf not in before.seeds for leaf in before.columns):
        after = replace(after, seeds={})  # recorded when a seed stood for its whole file
    note = after.note or before.note
    ruled = [f"incremental rule of model {name}" for name in altered(before, after, "rules")]
    if before.side_effects is not None:
        ruled += altered(before, after, "side_effects")
    if text_of(before) == text_of(after) and not ruled:
        return Change(after.kpi, changed=False, note=note)
    rewritten = _rewritten(meanings, before, after)
    if not rewritten and not ruled and _asks_alike(before, after):
        return Change(after.kpi, changed=False, note=note)
    old, new = before.by_label, after.by_label
    shared = [label for label in new if label in old]
    more = tuple(label for label in new if label not in old)
    differing = _differing(meanings, before, after, shared, rewritten)
    if differing is None and not ruled and shared:
        return Change(after.kpi, changed=False, note=note, asks_more=more)
    moved = _moved(before, after, rewritten)
    causes = [f"{node.kind} {node.name} ({node.file})" for node in moved]
    causes += ruled
    difference = ""
    if differing is not None:
        difference = _difference(before, after, differing, rewritten)
    return Change(
        after.kpi, changed=True, question=differing or "", causes=tuple(causes),
        difference=difference, note=note, moved=moved, asks_more=more,
        beside_select=tuple(ruled),
    )  # fmt: skip


def altered(before: Definition, after: Definition, what: str) -> list[str]:
    """The names whose checksums differ; those of a model that was merely renamed do not.

    Nor do those of a fact of which only a time spine asks how far it reaches.
    """
    old, new = _ruled(before, what), _ruled(after, what)
    gone = {name: mark for name, mark in old.items() if new.get(name) != mark}
    come = {name: mark for name, mark in new.items() if old.get(name) != mark}
    were, are = ({node.name for node in side.nodes} for side in (before, after))
    for name, mark in list(come.items()):
        source = next((n for n, m in gone.items() if m == mark and _of(n) not in are), None)
        if source is not None and _of(name) not in were:
            del gone[source], come[name]
    return sorted({*gone, *come})


def _ruled(definition: Definition, what: str) -> dict[str, str]:
    read = {step.split("____")[1] for step in definition.steps if "____" in step}
    asked = {name for body in definition.steps.values() for name in _FACT_OF_SPINE.findall(body)}
    marks: dict[str, str] = getattr(definition, what) or {}
    return {name: mark for name, mark in marks.items() if _of(name) not in asked - read}


def _of(name: str) -> str:
    """The model of something that is named by it, "post-hook of model x"."""
    return name.rpartition(" ")[2]


def hash_of(meanings: SemanticFingerprints, kpi: str) -> str:
    """One hash for what a KPI means now; that of its last version as long as it means that."""
    history = records(meanings.root, kpi) if meanings.root else []
    if history and not compare(meanings, history[-1]).changed:
        return history[-1].hash
    return meanings.hash(kpi)


def _differing(
    meanings: SemanticFingerprints, before: Definition, after: Definition, shared: list[str],
    rewritten: list[str],
) -> str | None:  # fmt: skip
    """The first question that is answered otherwise; one is enough."""
    old, new = before.by_label, after.by_label
    compared: set[tuple[str, str]] = set()
    for label in shared:
        texts = old[label].sql.strip(), new[label].sql.strip()
        if texts in compared:
            continue
        compared.add(texts)
        if texts[0] == texts[1] and meanings.asks_alike(texts[0], before, after):
            continue
        try:
            if meanings.hash_of(before, old[label]) == meanings.hash_of(after, new[label]):
                continue
            # What moved between a question and its marts looks different in two parts, and not as
            # a whole.
            if before.by_text or after.by_text or not rewritten or _is_same(*texts):
                return label
            if before.canonical(old[label]) != after.canonical(new[label]):
                return label
        except NotCanonical:
            # A form that these tools cannot bring the SQL into: its text decides.
            return label
    return None


def _is_same(before: str, after: str) -> bool:
    """Whether two questions are written alike; MetricFlow numbers its steps as they come."""
    return before == after or _NUMBER.sub("_", before) == _NUMBER.sub("_", after)


def _rewritten(meanings: SemanticFingerprints, before: Definition, after: Definition) -> list[str]:
    """The steps that are new, gone or say something else; layout and refactoring apart."""
    names = dict.fromkeys([*before.steps, *after.steps])
    if before.by_text or after.by_text:
        return [name for name in names if before.steps.get(name) != after.steps.get(name)]
    return [name for name in names if not meanings.is_alike(name, before, after)]


def _asks_alike(before: Definition, after: Definition) -> bool:
    """Whether all that is asked, and of which steps, is the same to the letter."""
    shapes = (
        [(q.grains, q.dimensions, q.sql.strip()) for q in definition.questions]
        for definition in (before, after)
    )
    return next(shapes) == next(shapes) and not (before.by_text or after.by_text)


def _moved(before: Definition, after: Definition, rewritten: list[str]) -> tuple[Node, ...]:
    """Nodes that are new, gone or say something else; of the models only those that matter."""
    old = {(n.kind, n.name): n for n in before.nodes}
    new = {(n.kind, n.name): n for n in after.nodes}
    moved = [
        new.get(key) or old[key]
        for key in sorted(old.keys() | new.keys())
        if key not in old or key not in new or old[key].checksum != new[key].checksum
    ]
    models = {step.split("____")[1] for step in rewritten}
    telling = [node for node in moved if node.kind != "model" or node.name in models]
    return tuple(telling or moved)


def _difference(before: Definition, after: Definition, label: str, rewritten: list[str]) -> str:
    """The models and the question that say something else, as recorded beside as they are now.

    The SQL of both sides is printed by one hand, without comments, so layout makes no difference.
    """
    grain = label.split(maxsplit=1)[0]
    old, new = before.by_label[label].at(grain), after.by_label[label].at(grain)
    pairs = [(_indented(s), before.steps.get(s, ""), after.steps.get(s, "")) for s in rewritten]
    if old != new:
        pairs.append((f"{after.kpi} by {label}", old, new))
    return "\n".join(line for pair in pairs for line in diff(*pair))


def _indented(step: str) -> str:
    package, _, name = step.partition("____")
    return f"{package}.{name.removesuffix('____spine')}" if name else step

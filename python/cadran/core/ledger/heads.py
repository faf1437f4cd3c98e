"""The heads of the ledger that were ever handed out, and whether it still has them all.

The lock file is one of those places. Git holds each of its earlier states, on the branch and on the
main line, and witnesses that the settings name hold what was given to them. A ledger that was
written anew from its first batch on, its lock with it, is at odds with the places that were not.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cadran.core.project import git
from cadran.core.project.lock import Anchor, Head, anchored, main_line, parsed
from cadran.errors import ProjectError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class WitnessedHead:
    """A batch that some place outside the warehouse knows.

    Attributes:
        batch: its number.
        mark: its hash, or the beginning of it.
        place: who says so, for a reader: "kpi.lock", "witness /mnt/worm/heads.jsonl".
        first: the beginning of the hash of that ledger's batch 1; empty where it is not told.
    """

    batch: int
    mark: str
    place: str
    first: str = ""


@dataclass(frozen=True, slots=True)
class ExternalHeads:
    """What is known of a ledger outside its warehouse.

    Attributes:
        lock: the lock file; None where a project has none.
        anchor: what it says; None without a head.
        heads: every batch that any place knows, the lock included.
        states: how many earlier states of the lock git has; None where git has no such file.
    """

    lock: Path | None
    anchor: Anchor | None
    heads: tuple[WitnessedHead, ...] = ()
    states: int | None = None


def external_heads(
    lock: Path | None, more: Iterable[WitnessedHead] = (), abandoned: Iterable[str] = ()
) -> ExternalHeads:
    """What the lock file, its states in git and witnesses know.

    Args:
        lock: the lock file.
        more: what witnesses know.
        abandoned: the beginnings of the hashes of batch 1 of ledgers that were given up.

    Raises:
        ProjectError: the lock file cannot be read.
    """
    present = anchored(lock)
    sealed = _of(present, lock.name) if lock is not None and present is not None else []
    states = git.states(lock, ("HEAD", main_line())) if lock is not None else None
    if lock is not None:
        for revision, text in states or ():
            place = f"{lock.name} of commit {revision[:10]}"
            try:
                earlier = parsed(text, place)
            except ProjectError:
                continue  # a state that nobody could use, such as one with conflict markers
            sealed += _of(earlier, place) if earlier is not None else []
    prefixes = tuple(abandoned)
    heads = [head for head in (*sealed, *more) if not head.first.startswith(prefixes or "-")]
    return ExternalHeads(lock, present, tuple(heads), None if states is None else len(states))


def _of(anchor: Anchor, place: str) -> list[WitnessedHead]:
    head = [WitnessedHead(anchor.head.batch, anchor.head.hash, place, anchor.first)]
    trail = [
        WitnessedHead(batch, mark, place, anchor.first) for batch, mark in anchor.trail.items()
    ]
    return [item for item in head + trail if item.batch]


def missing(hashes: Mapping[int, str], outside: ExternalHeads) -> list[tuple[int, str]]:
    """What the ledger lacks of what is known outside, as batch and sentence; the earliest first.

    Args:
        hashes: those of the ledger's batches.
        outside: what is known.
    """
    last = max(hashes, default=0)
    problems = [*_replaced(hashes, outside.heads), *_cut(last, outside.heads)]
    if not last or problems:
        return problems
    lock = outside.lock.name if outside.lock is not None else "a lock file (--lock)"
    newest = max(outside.heads, key=lambda witnessed: witnessed.batch, default=None)
    is_elsewhere = newest is not None and newest.place != lock
    hint = f"; {newest.place} knows batch {newest.batch}" if newest and is_elsewhere else ""
    if outside.anchor is None:
        text = f"{last} batches stand in the ledger, and {lock} has no head of it{hint}"
        return [(0, f"{text}: bring the lock back from git")]
    head, intent = outside.anchor.head, outside.anchor.intent
    if last > head.batch and not outside.anchor.is_export and intent != Head(last, hashes[last]):
        text = f"it is in the ledger, and {lock} ends with batch {head.batch}{hint}"
        why = "somebody else wrote it, or the lock is an older one: bring the newest back from git"
        return [(head.batch + 1, f"{text}: {why}")]
    return []


def _replaced(hashes: Mapping[int, str], heads: Iterable[WitnessedHead]) -> list[tuple[int, str]]:
    """The first batch that is another than the one that was handed out."""
    present = [head for head in heads if head.batch in hashes]
    bad = [head for head in present if not hashes[head.batch].startswith(head.mark)]
    if not bad:
        return []
    first = min(bad, key=lambda head: head.batch)
    wrong = {head.batch for head in bad}
    before = max(
        (e.batch for e in present if e.batch < first.batch and e.batch not in wrong), default=0
    )
    earliest = before + 1
    since = f"; what was changed begins with one of the batches {earliest} to {first.batch}"
    text = f"it is another batch than the one that was anchored, says {first.place}"
    return [(first.batch, text + (since if earliest < first.batch else ""))]


def _cut(last: int, heads: Iterable[WitnessedHead]) -> list[tuple[int, str]]:
    newest = max(heads, key=lambda head: head.batch, default=None)
    if newest is None or newest.batch <= last:
        return []
    end = f"batch {newest.batch} was anchored, batch {last} is the last, says {newest.place}"
    return [(last + 1, f"the end was cut off: {end}")]

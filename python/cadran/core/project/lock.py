"""`kpi.lock`: the present version and hash of each KPI, and the head of the ledger.

It stands in git beside the records. Each record's file is sealed in it, so that an old version
cannot be edited by itself.

A chain of hashes shows a change in its middle, but not that its end was cut off. So the number and
hash of the last batch stand outside the warehouse as well. They are written before a batch is
committed, as an intent, and after: a ledger whose end is neither was changed by somebody else.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from cadran.core.project import git
from cadran.errors import ProjectError
from cadran.formats import files

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

FILE = "kpi.lock"
FOLDER = "versions"  # of the records, beside it
ORIGIN = "0" * 64
MARK = 16  # digits of a hash that tell a batch from another
_NEAR, _STEP = 32, 256  # batches whose marks the lock keeps: the last ones, and every so many


@dataclass(frozen=True, slots=True)
class Head:
    """The last batch of a ledger; batch 0 is an empty one."""

    batch: int = 0
    hash: str = ORIGIN


@dataclass(frozen=True, slots=True)
class Anchor:
    """What a lock file says of the ledger.

    Attributes:
        head: the last batch that was committed.
        intent: the batch that was about to be committed, where a publication was killed.
        trail: the beginnings of the hashes of batches before the head, so that a batch that was
            changed can be named.
        first: the beginning of the hash of batch 1, which tells one ledger from another.
        is_export: it was written for safekeeping, and the ledger may go on without it.
    """

    head: Head = field(default_factory=Head)
    intent: Head | None = None
    trail: Mapping[int, str] = field(default_factory=dict)
    first: str = ""
    is_export: bool = False


def anchored(path: Path | None) -> Anchor | None:
    """What a lock file, or a file that `cadran verify --export` wrote, says; None without a head.

    Raises:
        ProjectError: the file cannot be read.
    """
    if path is None or not path.exists():
        return None
    return parsed(path.read_text(encoding="utf-8"), str(path))


def parsed(text: str, place: str) -> Anchor | None:
    """What the text of a lock file says; None without a head.

    Raises:
        ProjectError: it is no lock.
    """
    _refuse_conflict(text, place)
    try:
        lock = json.loads(text) if text.strip() else {}
        anchor = lock.get("ledger")
        if not anchor:
            return None
        intent = anchor.get("intent")
        return Anchor(
            _head(anchor),
            _head(intent) if intent else None,
            {int(batch): str(mark) for batch, mark in (anchor.get("trail") or {}).items()},
            str(anchor.get("first", "")),
            bool(anchor.get("export")),
        )
    except (ValueError, TypeError, KeyError, AttributeError):
        raise ProjectError(
            f"{place} is no lock file: take the one of the main line (`git checkout"
            " origin/HEAD -- kpi.lock`), then run the command again."
        ) from None


def intend(path: Path | None, head: Head) -> None:
    """Say which batch is about to be committed: a publication killed after that is told apart."""
    if path is not None:
        _write(path, lambda ledger: _head_fields(Head()) | ledger | {"intent": _head_fields(head)})


def anchor(path: Path | None, hashes: Mapping[int, str], *, is_export: bool = False) -> None:
    """Write the head of a ledger into a lock file, leaving the rest of it as it is.

    Args:
        path: the file; nothing is written without one.
        hashes: those of all batches.
        is_export: it is for safekeeping.
    """
    if path is None:
        return
    last = max(hashes, default=0)
    trail = {
        str(batch): mark[:MARK]
        for batch, mark in sorted(hashes.items())
        if batch < last and (last - batch < _NEAR or batch % _STEP == 0)
    }
    first = hashes.get(1, "")[:MARK]
    head = _head_fields(Head(last, hashes.get(last, ORIGIN)))
    entry = head | {"first": first, "trail": trail} | ({"export": True} if is_export else {})
    _write(path, lambda _: entry)


def _write(path: Path, change: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    with alone(path.parent):
        lock = _load(path)
        lock["ledger"] = change(lock.get("ledger") or {})
        _replace(path, lock)


def _head(entry: dict[str, Any]) -> Head:
    return Head(int(entry["batch"]), str(entry["head"]))


def _head_fields(head: Head) -> dict[str, Any]:
    return {"batch": head.batch, "head": head.hash}


@contextlib.contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Keep others from writing a lock file of this folder: the ledger and the versions share one.

    The folder itself is locked, since the file is replaced.
    """
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def path_of(root: Path | None) -> Path | None:
    """The lock file of a project; None for a manifest without a project."""
    return None if root is None else root / FILE


def main_line() -> str:
    """What git calls the main line, whose records and whose lock count."""
    branch = os.environ.get("GITHUB_BASE_REF")
    return os.environ.get("CADRAN_BASE") or (f"origin/{branch}" if branch else "origin/HEAD")


def sealed(header: dict[str, Any]) -> str:
    """The hash of a batch: over everything its record says, the hash before it included."""
    text = json.dumps(header, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Locked:
    """What the lock says of one KPI.

    Attributes:
        version: the present one.
        hash: what it means.
        seals: checksums of the files of its records, by version.
        fingerprint: of all that it comes from, as written when it was last found to mean the same.
        came_from: kind and name of the models, snapshots, seeds and sources under it.
        side_effects: what decides rows beside a SELECT, where the record of the version was written
            before that was noted.
    """

    version: int
    hash: str
    seals: dict[int, str] = field(default_factory=dict)
    fingerprint: str = ""
    came_from: list[tuple[str, str]] = field(default_factory=list)
    side_effects: dict[str, str] | None = None


def read(root: Path) -> dict[str, Locked]:
    """What is locked, by KPI; nothing when there is no lock yet.

    Raises:
        ProjectError: the lock cannot be read.
    """
    try:
        return {
            name: Locked(
                int(entry["version"]),
                str(entry["hash"]),
                {int(number): str(mark) for number, mark in (entry.get("seals") or {}).items()},
                str(entry.get("fingerprint") or ""),
                [(kind, name) for node in _nodes(entry) for kind, name in [node.split(" ")]],
                entry.get("side_effects"),
            )
            for name, entry in (_load(root / FILE).get("kpis") or {}).items()
        }
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ProjectError(f"{root / FILE} cannot be read: {error}") from None


def write(root: Path, locked: dict[str, Locked]) -> None:
    """Write KPIs into the lock, leaving the rest of it as it is."""
    kpis = {
        name: {
            "version": entry.version,
            "hash": entry.hash,
            "seals": {str(number): mark for number, mark in sorted(entry.seals.items())},
        }
        | (
            {
                "fingerprint": entry.fingerprint,
                "came_from": ", ".join(map(" ".join, entry.came_from)),
            }
            if entry.fingerprint
            else {}
        )
        | ({} if entry.side_effects is None else {"side_effects": entry.side_effects})
        for name, entry in locked.items()
    }
    with alone(root):
        _replace(root / FILE, _load(root / FILE) | {"kpis": kpis})


def _nodes(entry: dict[str, Any]) -> list[str]:
    return str(entry["came_from"]).split(", ") if entry.get("fingerprint") else []


def _load(path: Path) -> dict[str, Any]:
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as problem:
        raise ProjectError(f"{path} cannot be read: {problem}") from None
    return _parsed(text, str(path))


def _parsed(text: str, place: str) -> dict[str, Any]:
    _refuse_conflict(text, place)
    try:
        lock = json.loads(text or "{}")
    except ValueError as problem:
        raise ProjectError(f"{place} cannot be read: {problem}") from None
    if not isinstance(lock, dict):
        raise ProjectError(f"{place} is no lock file.")
    return lock


def _refuse_conflict(text: str, place: str) -> None:
    if any(line.startswith(("<<<<<<< ", ">>>>>>> ")) for line in text.splitlines()):
        raise ProjectError(
            f"{place} holds both sides of a merge conflict: `cadran bump --merge-lock` joins them,"
            " `git add kpi.lock` settles it; or take the one of the main line (`git checkout"
            " origin/HEAD -- kpi.lock`) and bump again what this branch changed."
        )


def _replace(path: Path, lock: dict[str, Any]) -> None:
    files.write(path, json.dumps(lock, indent=2, sort_keys=True) + "\n")


# Merging ------------------------------------------------------------------------------------------

_AS_WRITTEN = ("fingerprint", "came_from")


def join_files(base: Path, ours: Path, theirs: Path) -> list[str]:
    """Join both sides of a merge as git's merge driver is asked to: into the file of ours.

    Returns:
        What is left to be settled; the file then has git's markers, as it would have without this.

    Raises:
        ProjectError: a side cannot be read.
    """
    joined, left = _joined([*(_load(path) for path in (base, ours, theirs)), {}])
    if left:
        git.output(ours.parent, "merge-file", *(str(p.absolute()) for p in (ours, base, theirs)))
    else:
        _replace(ours, joined)
    return left


def join_sides(path: Path) -> list[str]:
    """Join both sides of the merge that git is in the middle of, as its index has them.

    Where each side has a version of its own, that of the main line is taken.

    Returns:
        What was taken that way, and has to be bumped again.

    Raises:
        ProjectError: the lock is in no merge conflict, or neither side is the main line's.
    """
    stages = [git.output(path.parent, "show", f":{n}:./{path.name}") for n in (1, 2, 3)]
    if stages[1] is None or stages[2] is None:
        raise ProjectError(f"{path} is in no merge conflict: nothing is to be joined.")
    main = git.output(path.parent, "show", f"{main_line()}:./{path.name}")
    joined, left = _joined(
        [_parsed(text or "", f"{path}, a side of the merge,") for text in (*stages, main)]
    )
    if any(" of the main line " not in problem for problem in left):
        raise ProjectError(f"{path} is left as it is: {'; '.join(left)}.")
    _replace(path, joined)
    return left


def _joined(sides: list[dict[str, Any]]) -> tuple[dict[str, Any], list[str]]:
    """One lock of both sides of a merge, and a sentence for each entry that both changed.

    Args:
        sides: the lock before both, ours, theirs and that of the main line.
    """
    left: list[str] = []
    locked = [side.get("kpis") or {} for side in sides]
    kpis = {}
    for kpi in sorted({*locked[1], *locked[2]}):
        entry, problem = _one_of([side.get(kpi) for side in locked], _same_meaning)
        if entry is not None:
            kpis[kpi] = entry
        if problem:
            left.append(
                f"{kpi}: {problem}: `git checkout {main_line()} -- {FOLDER}/{kpi}`, then `cadran"
                f" bump {kpi}`"
            )
    ledger, problem = _one_of([side.get("ledger") for side in sides], _longer)
    if problem:
        left.append(f"the ledger: {problem}: `cadran verify`")
    parts = {"kpis": kpis, "ledger": ledger}
    return {name: part for name, part in parts.items() if part}, left


def _one_of(sides: list[Any], join: Callable[[Any, Any], Any]) -> tuple[Any, str]:
    base, ours, theirs, main = sides
    if ours in (theirs, base):
        return theirs, ""
    if theirs == base:
        return ours, ""
    both = join(ours, theirs) if ours and theirs else None
    if both is not None:
        return both, ""
    if main is not None and main in (ours, theirs):
        return main, "the entry of the main line was taken, the other side has one of its own"
    return ours, "both sides have an entry of their own"


def _same_meaning(ours: dict[str, Any], theirs: dict[str, Any]) -> dict[str, Any] | None:
    """One entry without how it was written, where both name the same records.

    What changes rows beside a SELECT may be noted on one side only; two notes have to agree.
    """
    entries = [
        {key: value for key, value in entry.items() if key not in _AS_WRITTEN}
        for entry in (ours, theirs)
    ]
    both = {**entries[0], **entries[1]}
    return both if all(entry.items() <= both.items() for entry in entries) else None


def _longer(ours: dict[str, Any], theirs: dict[str, Any]) -> dict[str, Any] | None:
    """The ledger that goes on from the other one; None where neither does."""
    short, long = sorted((ours, theirs), key=lambda ledger: int(ledger["batch"]))
    mark = (long.get("trail") or {}).get(str(short["batch"]))
    return long if mark and str(short["head"]).startswith(mark) else None

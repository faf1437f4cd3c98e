"""What the main line has of a project's records, and what became of them on this branch.

A record is merged once the main line has it. From then on it stands where it stands: it may not be
edited, moved, renamed or taken away. The revision that a branch left the main line at says what was
merged; the main line's tip says what was merged meanwhile, and its history what it ever had.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from cadran.core.project import git
from cadran.core.project.lock import FILE, FOLDER, main_line
from cadran.core.versions.record import is_record
from cadran.core.versions.steps import StepStore
from cadran.errors import CardError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


@dataclass(frozen=True, slots=True)
class MergedRecords:
    """Paths of records, from the project's folder on.

    Attributes:
        problem: why the main line cannot be asked, and what to do; empty where it can.
        has_commits: whether anything can be merged at all.
        files: those of the revision that this branch left the main line at.
        altered: those of them that say something else here.
        gone: those that the main line has or once had and that are not here, each with the
            revision that has it.
        overtaken: those that the main line got meanwhile, and that say something else here.
        tip: those of the main line's tip.
    """

    problem: str = ""
    has_commits: bool = False
    files: frozenset[str] = frozenset()
    altered: frozenset[str] = frozenset()
    gone: Mapping[str, str] = field(default_factory=dict)
    overtaken: frozenset[str] = frozenset()
    tip: frozenset[str] = frozenset()

    def has(self, file: str) -> bool:
        """Whether a record was ever merged."""
        return file in self.files or file in self.tip or file in self.gone


def merged_records(root: Path) -> MergedRecords:
    """What git knows of a project's records.

    The main line is that of CADRAN_BASE, of a pull request on GitHub (GITHUB_BASE_REF), or of the
    remote `origin`.
    """
    name = main_line()
    if _line(root, "rev-parse", "--is-inside-work-tree") != "true":
        return MergedRecords("git knows no repository here")
    head, tip = (
        _line(root, "rev-parse", "-q", "--verify", f"{revision}^{{commit}}")
        for revision in ("HEAD", name)
    )
    base, problem = "", ""
    if not tip:
        problem = (
            f"git knows no {name}: fetch it (`git remote set-head origin --auto` sets origin/HEAD),"
            " or name the main line in CADRAN_BASE"
        )
    elif _line(root, "rev-parse", "--is-shallow-repository") == "true":
        problem = "the clone is shallow: `git fetch --unshallow`, or `fetch-depth: 0` in the job"
    elif not head:
        problem = "nothing is committed on this branch yet"
    else:
        base = _line(root, "merge-base", head, tip)
        problem = "" if base else f"this branch and {name} have no commit in common"
    if problem:
        return MergedRecords(problem, has_commits=bool(head or tip))
    return _held(root, base, tip)


def _held(root: Path, base: str, tip: str) -> MergedRecords:
    store = StepStore(root / FOLDER)
    prefix = _place(root, base)
    blobs, tip_blobs = _records(root, base, prefix), _records(root, tip, _place(root, tip))
    present = {path.relative_to(root).as_posix() for path in (root / FOLDER).glob("*/v*.yml")}
    now = _hashes(root, present)
    altered = {
        file
        for file in present & blobs.keys()
        if now.get(file) != blobs[file] and _edited(root, file, blobs[file], store)
    }
    overtaken = {
        file
        for file in present & (tip_blobs.keys() - blobs.keys())
        if now.get(file) != tip_blobs[file] and _edited(root, file, tip_blobs[file], store)
    }
    gone = dict.fromkeys(blobs.keys() - present, f"{base[:10]}")
    for file, revision in _removed(root, base).items():
        if file not in present:
            gone.setdefault(file, revision)
    return MergedRecords(
        has_commits=True,
        files=frozenset(blobs),
        altered=frozenset(altered),
        gone=gone,
        overtaken=frozenset(overtaken),
        tip=frozenset(tip_blobs),
    )


def _place(root: Path, revision: str) -> str:
    """The project's folder at a revision: where it is, or where its lock was before it moved."""
    here = _line(root, "rev-parse", "--show-prefix")
    if git.output(root, "cat-file", "-e", f"{revision}:{here}{FILE}") is not None:
        return here
    top = Path(_line(root, "rev-parse", "--show-toplevel"))
    listing = git.output(root, "ls-tree", "-r", "--name-only", "--full-tree", "-z", revision)
    locks = [path for path in (listing or "").split("\0") if f"/{path}".endswith(f"/{FILE}")]
    left = [path for path in locks if not (top / path).exists()]
    return left[0].removesuffix(FILE) if len(left) == 1 else here


def _records(root: Path, revision: str, prefix: str) -> dict[str, str]:
    """The records of a revision, each with the hash of its content."""
    listing = git.output(
        root, "ls-tree", "-r", "-z", "--full-tree", revision, "--", f"{prefix}{FOLDER}/"
    )
    records = {}
    for entry in filter(None, (listing or "").split("\0")):
        kind, path = entry.split("\t", 1)
        file = path.removeprefix(prefix)
        if is_record(file):
            records[file] = kind.split()[2]
    return records


def _hashes(root: Path, files: Iterable[str]) -> dict[str, str]:
    """The hash that git would give to files as they are now."""
    listed = sorted(files)
    if not listed:
        return {}
    paths = "".join(f"{file}\n" for file in listed)
    hashes = (git.output(root, "hash-object", "--stdin-paths", stdin=paths) or "").split()
    return dict(zip(listed, hashes, strict=False))


def _removed(root: Path, base: str) -> dict[str, str]:
    """The records that commits of the main line took away, with a revision that has them."""
    log = git.output(
        root, "log", "--first-parent", "-m", "--diff-filter=D", "--no-renames", "--name-only",
        "--relative", "--format=%x1e%h", base, "--", f"{FOLDER}/",
    )  # fmt: skip
    removed: dict[str, str] = {}
    for entry in filter(str.strip, (log or "").split("\x1e")):
        commit, *files = entry.split()
        for file in filter(is_record, files):
            removed.setdefault(file, f"{commit}^")
    return removed


def _edited(root: Path, file: str, blob: str, store: StepStore) -> bool:
    """Whether a record says something else than it said, its steps written out."""
    before = git.output(root, "cat-file", "blob", blob) or ""
    try:
        now = (root / file).read_text(encoding="utf-8")
        return store.written_out(before, file) != store.written_out(now, file)
    except (OSError, CardError):
        return True


def _line(root: Path, *words: str) -> str:
    return (git.output(root, *words, timeout=10) or "").strip()

"""Whether the approval that a record names is proved: by a signature, by a review, or not at all.

An address that somebody typed proves nothing. A record is approved for a reader who was not there
when its approver signed a git tag or a commit with the line

    Approves net_revenue v2 sha256:<seal of the record>

or when the main line takes a change of the record only with a review of the approver, whom
CODEOWNERS names. The seal binds the signature to what was decided: a record that is written anew is
unproved again. Keys are those that the main line has, so that a branch cannot bring its own.
"""

from __future__ import annotations

import re
import tempfile
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from cadran.core.project import checks, git
from cadran.core.project.lock import main_line
from cadran.core.versions import record as versions
from cadran.errors import CardError

if TYPE_CHECKING:
    from cadran.core.project.checks import Approvals
    from cadran.core.versions.record import VersionRecord

TAGS = "approved"
UNPROVED = "unproved"
_OWNERS = (".github/CODEOWNERS", ".gitlab/CODEOWNERS", "CODEOWNERS", "docs/CODEOWNERS")
_STATEMENT = re.compile(r"^Approves (\S+) v(\d+) sha256:([0-9a-f]{64})$", re.MULTILINE)
_SSH = re.compile(r'^Good "git" signature for (\S+) with ', re.MULTILINE)
_GPG = re.compile(r"^\[GNUPG:\] VALIDSIG (\w+) .*?(\w+)$", re.MULTILINE)
_MOST = 2000  # commits of the branch that are looked through


@dataclass(frozen=True, slots=True)
class Approval:
    """How far the approval of one version is proved.

    Attributes:
        approver: whom the record names.
        state: signed, reviewed or unproved.
        evidence: what proves it, or why nothing does.
        is_due: the main line does not take the record without a review of the approver.
    """

    approver: str
    state: str
    evidence: str
    is_due: bool = False

    @property
    def text(self) -> str:
        """The approver and the state, as they stand beside a version."""
        return f"{self.approver} ({self.state})"


def statement(root: Path, record: VersionRecord) -> str:
    """The line that an approver signs.

    Raises:
        CardError: a step that the record names is gone or was edited.
    """
    return f"Approves {record.kpi} v{record.version} sha256:{versions.seal(root / record.file)}"


def tag_of(record: VersionRecord) -> str:
    """The tag that an approver signs."""
    return f"{TAGS}/{record.kpi}/v{record.version}"


class Evidence:
    """What git knows of the approvals of a project's records; it is asked once."""

    def __init__(self, root: Path | None) -> None:
        """Take a project's folder; None for a manifest without one."""
        self._root = root
        self._known: dict[tuple[str, str], Approval] = {}

    def of(self, record: VersionRecord) -> Approval:
        """How far the approval of a record is proved."""
        try:
            line = statement(self._root, record) if self._root is not None else ""
        except (OSError, CardError) as problem:
            return Approval(record.approver, UNPROVED, str(problem))
        key = (line, record.approver)
        if key not in self._known:
            self._known[key] = self._judged(record, line)
        return self._known[key]

    def _judged(self, record: VersionRecord, line: str) -> Approval:
        who = record.approver
        if self._root is None or not self._main:
            return Approval(who, UNPROVED, f"git knows no {main_line()}, which holds the keys")
        refused = ""
        for kind, name in self._statements.get(line, ()):
            signer, detail = self._signer(kind, name)
            if signer == who.casefold():
                return Approval(who, "signed", f"{kind} {name[:60]}, {detail}")
            refused = f"{kind} {name[:60]}: {detail}"
        demanded = self._reviewers(record.file)
        if who.casefold() in demanded:
            names = ", ".join(demanded)
            if self._added(record.file):
                return Approval(who, "reviewed", f"CODEOWNERS asks for a review of {names}")
            text = f"CODEOWNERS asks for a review of {names} before it is merged"
            return Approval(who, UNPROVED, text, is_due=True)
        return Approval(who, UNPROVED, refused or "nothing is signed, and no review is demanded")

    @cached_property
    def _main(self) -> str:
        """The main line's revision; empty where git knows none."""
        return self._git("rev-parse", "-q", "--verify", f"{main_line()}^{{commit}}").strip()

    def _git(self, *words: str) -> str:
        return (git.output(self._root, *words, timeout=60) if self._root else None) or ""

    @cached_property
    def _statements(self) -> dict[str, list[tuple[str, str]]]:
        """Tags and commits by the lines that they approve with; tags first."""
        found: dict[str, list[tuple[str, str]]] = {}
        form = "%(refname:short)%00%(contents)%00"
        tags = self._git("for-each-ref", f"--format={form}", f"refs/tags/{TAGS}")
        log = self._git(
            "log", f"-{_MOST}", "--grep=^Approves ", "--format=%H%x00%B%x00", "HEAD", self._main
        )
        for kind, listing in (("tag", tags), ("commit", log)):
            parts = listing.split("\0")
            for name, message in zip(parts[::2], parts[1::2], strict=False):
                for match in _STATEMENT.finditer(message):
                    found.setdefault(match[0], []).append((kind, name.strip()))
        return found

    def _signer(self, kind: str, name: str) -> tuple[str, str]:
        """Who signed a tag or a commit, in lower case, and by which key; else empty, and why."""
        signers, pinned = self._keys
        with tempfile.NamedTemporaryFile("w", encoding="utf-8") as keys:
            keys.write(signers)
            keys.flush()
            said = git.verified(self._root or Path(), kind, name, keys.name)
        if said is None:
            return "", "it has no signature of a key that the main line allows"
        ssh = _SSH.search(said)
        if ssh:
            return ssh[1].casefold(), said[ssh.end() :].splitlines()[0]
        gpg = _GPG.search(said)
        if gpg is None or "[GNUPG:] GOODSIG " not in said:
            return "", "its key is revoked, expired or unknown"
        for address, fingerprint in pinned.items():
            if fingerprint.replace(" ", "").upper() in {gpg[1], gpg[2]}:
                return address.casefold(), f"GPG key {gpg[2]}"
        return "", f"the main line pins the GPG key {gpg[2]} to nobody"

    @cached_property
    def _keys(self) -> tuple[str, dict[str, str]]:
        """The allowed signers, as ssh-keygen reads them, and the pinned GPG keys by address."""
        allowed = self._settings(self._main)
        if allowed is None or not allowed.signers:
            return "", dict(allowed.gpg) if allowed else {}
        path = Path(allowed.signers)
        if path.is_absolute():
            text = path.read_text(encoding="utf-8") if path.is_file() else ""
        else:
            text = self._git("show", f"{self._main}:./{allowed.signers}")
        return text, dict(allowed.gpg)

    def _settings(self, revision: str) -> Approvals | None:
        """What a revision's `cadran_checks.yml` says of approvals."""
        text = self._git("show", f"{revision}:./{checks.FILE}")
        try:
            return checks.parsed(text).approvals
        except CardError:
            return None

    def _added(self, file: str) -> str:
        """The commit by which the main line got a record; empty where it does not have it."""
        history = self._git(
            "log", "--first-parent", "-m", "--diff-filter=A", "--format=%H", self._main, "--", file
        )
        return (history.split() or [""])[-1]

    def _reviewers(self, file: str) -> list[str]:
        """Of whom a review was demanded when the main line got a record, or will be."""
        added = self._added(file)
        before = f"{added}^" if added else self._main
        allowed = self._settings(before)
        if allowed is None or not allowed.code_owners:
            return []
        prefix = self._git("rev-parse", "--show-prefix").strip()
        texts = (self._git("show", f"{before}:{path}") for path in _OWNERS)
        return code_owners(next(filter(None, texts), ""), f"{prefix}{file}")


def code_owners(text: str, path: str) -> list[str]:
    """Who must review a change of a file, in lower case: by the last line that names it.

    Args:
        text: a CODEOWNERS file.
        path: the file, from the repository's root on.
    """
    from pathspec import GitIgnoreSpec

    owners: list[str] = []
    for line in text.splitlines():
        words = line.split("#", 1)[0].split()
        if not words or words[0].startswith(("[", "^[", "!")):
            continue
        if GitIgnoreSpec.from_lines(words[:1]).match_file(path):
            owners = [word.casefold() for word in words[1:]]
    return owners

"""Witnesses: places outside warehouse and lock that are given each new head of the ledger.

    witnesses:                                             # in cadran_ledger.yml
      - file: /mnt/worm/kpi_heads.jsonl                    # a file in an append-only store
      - {tag: ledger, remote: origin}                      # a signed git tag, pushed
      - {timestamp: "https://tsa.example.com/tsr", roots: tsa.pem, receipts: receipts}   # RFC 3161

A witness is worth what its keepers are: none of the three should be in the hands of those who can
write the warehouse. What a witness knows has to be in the ledger, and it has to know its end.
"""

from __future__ import annotations

import base64
import json
import os
import re
import subprocess
import urllib.error
import urllib.request
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Protocol

from cadran.core.ledger.heads import WitnessedHead
from cadran.core.project.lock import MARK
from cadran.errors import CardError, ProjectError, WarehouseError
from cadran.formats import files
from cadran.formats.validation import Strict, Text

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from rfc3161_client import TimeStampResponse

_WAIT = 20.0  # seconds for a timestamp authority or a remote
_MOST = 1 << 20  # bytes of an answer


class Witness(Protocol):
    """One witness."""

    @property
    def place(self) -> str:
        """What it is, for a reader."""

    def heads(self) -> list[WitnessedHead]:
        """The batches that it was given.

        Raises:
            ProjectError: it cannot be asked, or what it holds is not genuine.
        """

    def give(self, hashes: Mapping[int, str], heads: Iterable[WitnessedHead]) -> None:
        """Give it the batches that it does not know, or the last one for all.

        Raises:
            ProjectError: it does not take them.
        """


@dataclass(frozen=True, slots=True)
class FileWitness:
    """A file that is only ever appended to: a line for each batch."""

    path: Path
    place: str

    def heads(self) -> list[WitnessedHead]:
        """The batches that it was given."""
        try:
            text = self.path.read_text(encoding="utf-8")
        except FileNotFoundError:
            return []
        except (OSError, UnicodeDecodeError) as problem:
            raise ProjectError(f"{self.place} cannot be read: {problem}") from None
        heads = []
        lines = text.splitlines()
        for number, line in enumerate(lines, start=1):
            try:
                entry = json.loads(line)
                heads.append(
                    WitnessedHead(int(entry["batch"]), entry["head"], self.place, entry["first"])
                )
            except (ValueError, KeyError, TypeError):
                # A writer was killed in it, and the next one wrote it again.
                is_cut = number == len(lines) or lines[number].startswith(line)
                if line and not (is_cut and '{"batch"'.startswith(line[:8])):
                    raise ProjectError(f"{self.place}, line {number}, is no head.") from None
        return heads

    def give(self, hashes: Mapping[int, str], heads: Iterable[WitnessedHead]) -> None:
        """Append the batches that it does not know, in one write."""
        batches = {head.batch for head in heads}
        first = hashes[1][:MARK]
        lines = [
            json.dumps({"batch": batch, "head": mark, "first": first})
            for batch, mark in sorted(hashes.items())
            if batch not in batches
        ]
        # A line of its own, also after one that was cut short.
        text = "".join(f"{line}\n" for line in lines)
        try:
            handle = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o644)
            try:
                size = os.fstat(handle).st_size
                torn = size and os.pread(handle, 1, size - 1) != b"\n"
                os.write(handle, (f"\n{text}" if torn else text).encode())
                os.fsync(handle)
            finally:
                os.close(handle)
        except OSError as problem:
            raise ProjectError(f"{self.place} does not take a head: {problem}") from None


@dataclass(frozen=True, slots=True)
class TagWitness:
    """A signed git tag for each publication, pushed where a remote is named."""

    root: Path
    prefix: str
    remote: str | None
    place: str

    def heads(self) -> list[WitnessedHead]:
        """The batches that tags name; the newest tag's signature is checked, and covers them."""
        refs = f"refs/tags/{self.prefix}/*"
        if self.remote:
            self._git("fetch", "--quiet", "--no-tags", self.remote, f"{refs}:{refs}")
        listing = self._git(
            "for-each-ref",
            "--format=%(refname:short)%00%(contents:subject)%00",
            refs.removesuffix("/*"),
        )
        heads = []
        names = {}
        for entry in listing.split("\0\n"):
            if not entry.strip("\n"):
                continue
            name, subject = entry.split("\0", 1)
            match = re.fullmatch(r"Ledger ([0-9a-f]+), batch (\d+): ([0-9a-f]{64})", subject)
            if match is None:
                raise ProjectError(f"Tag {name} names no batch of the ledger.")
            names[int(match[2])] = name
            heads.append(WitnessedHead(int(match[2]), match[3], f"tag {name}", match[1]))
        if heads:
            self._git("verify-tag", names[max(names)])
        return heads

    def give(self, hashes: Mapping[int, str], heads: Iterable[WitnessedHead]) -> None:
        """Tag the last batch, and push the tag."""
        last = max(hashes)
        name = f"{self.prefix}/{last:08d}"
        if last not in {head.batch for head in heads}:
            message = f"Ledger {hashes[1][:MARK]}, batch {last}: {hashes[last]}"
            self._git("tag", "--sign", "--message", message, name)
        if self.remote:
            self._git("push", "--quiet", self.remote, f"refs/tags/{name}")

    def _git(self, *words: str) -> str:
        try:
            run = subprocess.run(
                ["git", "-C", str(self.root), *words],  # noqa: S607 - git is where git is
                capture_output=True, text=True, check=False, timeout=_WAIT,
                env=os.environ | {"GIT_TERMINAL_PROMPT": "0"},
            )  # fmt: skip
        except (OSError, subprocess.SubprocessError) as problem:
            raise ProjectError(f"{self.place}: git cannot be asked: {problem}") from None
        if run.returncode:
            says = (run.stderr.strip().splitlines() or ["no reason given"])[-1]
            raise ProjectError(f"{self.place}: `git {words[0]}` refuses ({says}).")
        return run.stdout


@dataclass(frozen=True, slots=True)
class TimestampWitness:
    """A timestamp authority (RFC 3161); its receipts are files, one for each publication."""

    url: str
    roots: Path
    receipts: Path
    place: str

    def heads(self) -> list[WitnessedHead]:
        """The batches that receipts prove."""
        heads = []
        for path in sorted(self.receipts.glob("*.json")):
            try:
                entry = json.loads(path.read_text(encoding="utf-8"))
                batch, head, first = int(entry["batch"]), str(entry["head"]), str(entry["first"])
                receipt = base64.b64decode(entry["receipt"], validate=True)
            except (OSError, ValueError, KeyError, TypeError):
                raise ProjectError(f"{path} is no receipt of a timestamp.") from None
            answer = self._proved(receipt, _message(batch, head, first), str(path))
            when = answer.tst_info.gen_time
            heads.append(
                WitnessedHead(batch, head, f"timestamp of {when:%Y-%m-%d %H:%M} UTC", first)
            )
        return heads

    def give(self, hashes: Mapping[int, str], heads: Iterable[WitnessedHead]) -> None:
        """Have the last batch stamped, and keep the receipt."""
        last, first = max(hashes), hashes[1][:MARK]
        if last in {witnessed.batch for witnessed in heads}:
            return
        from rfc3161_client import HashAlgorithm, TimestampRequestBuilder

        message = _message(last, hashes[last], first)
        request = (
            TimestampRequestBuilder(data=message, hash_algorithm=HashAlgorithm.SHA256)
        ).build()
        post = urllib.request.Request(  # noqa: S310 - checked when read
            self.url, request.as_bytes(), {"Content-Type": "application/timestamp-query"}
        )
        try:
            with urllib.request.urlopen(post, timeout=_WAIT) as answer:  # noqa: S310 - so is it
                receipt = answer.read(_MOST)
        except (OSError, ValueError, urllib.error.URLError) as problem:
            raise ProjectError(f"{self.place} does not answer: {problem}") from None
        self._proved(receipt, message, self.place, request.nonce)
        self.receipts.mkdir(parents=True, exist_ok=True)
        path = self.receipts / f"{last:08d}.json"
        entry = {
            "batch": last, "head": hashes[last], "first": first,
            "receipt": base64.b64encode(receipt).decode(),
        }  # fmt: skip
        files.write(path, json.dumps(entry, indent=2) + "\n")

    def _proved(
        self, receipt: bytes, message: bytes, place: str, nonce: int | None = None
    ) -> TimeStampResponse:
        """A receipt that was signed for this message by an authority under the roots."""
        from cryptography.x509 import load_pem_x509_certificates
        from rfc3161_client import VerificationError, VerifierBuilder, decode_timestamp_response

        try:
            roots = load_pem_x509_certificates(self.roots.read_bytes())
        except (OSError, ValueError) as problem:
            raise ProjectError(f"{self.roots} holds no certificates: {problem}") from None
        verifier = VerifierBuilder(roots=roots, nonce=nonce).build()
        try:
            answer = decode_timestamp_response(receipt)
            verifier.verify_message(answer, message)
        except (VerificationError, ValueError) as problem:
            raise ProjectError(f"{place} gives no valid timestamp: {problem}") from None
        return answer


def _message(batch: int, head: str, first: str) -> bytes:
    return f"Ledger {first}, batch {batch}: {head}".encode()


@dataclass(frozen=True, slots=True, kw_only=True)
class WitnessSettings(Strict):
    """A witness as it is written: file alone; tag and remote; timestamp, roots and receipts."""

    file: Text | None = None
    tag: Text | None = None
    remote: Text | None = None
    timestamp: Text | None = None
    roots: Text | None = None
    receipts: Text | None = None


def witness(settings: WitnessSettings, root: Path, place: str) -> Witness:
    """A witness as the settings name it.

    Args:
        settings: what is written.
        root: the folder of the project.
        place: where it is written, for a sentence.

    Raises:
        CardError: keys are there that do not go together.
    """
    keys = {field.name for field in fields(settings) if getattr(settings, field.name) is not None}
    if settings.file and keys == {"file"}:
        return FileWitness(root / settings.file, f"witness {settings.file}")
    if settings.tag and keys <= {"tag", "remote"}:
        prefix = settings.tag.strip("/")
        return TagWitness(root, prefix, settings.remote, f"witness tag {prefix}")
    url, roots = settings.timestamp, settings.roots
    if url and roots and keys <= {"timestamp", "roots", "receipts"}:
        if not re.match(r"https?://", url):
            raise CardError(f"{place}.timestamp is {url!r}; it takes an address (https://...).")
        receipts = root / (settings.receipts or "receipts")
        return TimestampWitness(url, root / roots, receipts, f"witness {url}")
    raise CardError(
        f"{place} has the keys {', '.join(sorted(keys)) or 'none'}; a witness has file, or tag and"
        " remote, or timestamp, roots and receipts."
    )


def heads_by_witness(witnesses: Iterable[Witness]) -> dict[str, list[WitnessedHead]]:
    """What each witness knows, by its place.

    Raises:
        ProjectError: one cannot be asked, or what it holds is not genuine.
    """
    return {witness.place: witness.heads() for witness in witnesses}


def behind(by_witness: Mapping[str, list[WitnessedHead]], last: int) -> list[str]:
    """Which witnesses do not know the last batch."""
    ends = {
        place: max((head.batch for head in heads), default=0) for place, heads in by_witness.items()
    }
    return [
        f"{place} knows batch {end} of {last}: `cadran publish` gives it the rest"
        for place, end in ends.items()
        if end < last
    ]


def hand_over(witnesses: Iterable[Witness], hashes: Mapping[int, str]) -> None:
    """Give each witness what it does not know yet.

    Raises:
        WarehouseError: one does not take it; the others have it.
    """
    problems = []
    for witness in witnesses if hashes else ():
        try:
            witness.give(hashes, witness.heads())
        except ProjectError as problem:
            problems.append(str(problem))
    if problems:
        raise WarehouseError(
            f"Batch {max(hashes)} is published and anchored, but {'; '.join(problems)}"
            " Run `cadran publish` again to hand it over."
        )

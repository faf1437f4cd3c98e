"""The file of tokens: who bears one, with which roles and limits, and until when.

A token is 256 random bits behind `cadran_`. Only its SHA-256 is kept, so that the file lets nobody
in. The file is written aside and renamed, under a lock, and is for its owner alone.
"""

from __future__ import annotations

import base64
import contextlib
import datetime as dt
import fcntl
import hashlib
import json
import os
import secrets
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

from cadran.access.caller import SCOPES, Caller, Limits
from cadran.errors import PolicyError, UnknownNameError
from cadran.formats import files
from cadran.formats.validation import Strict, validated

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FILE = "cadran_tokens.json"
PREFIX = "cadran_"
_BYTES = 32
_SHOWN = 4  # last characters, by which its owner knows a token again


@dataclass(frozen=True, slots=True)
class Token(Strict):
    """One token as the file holds it; the token itself is nowhere.

    Attributes:
        id: stands in lists, commands and the record of questions.
        name: who or what bears it.
        hash: SHA-256 of the whole token, in hexadecimal.
        last: its last four characters.
        created: when, in UTC.
        expires: from when on it is refused; None for never.
        revoked: from when on it is refused; None where it was not revoked.
    """

    id: str
    name: str
    hash: str
    last: str
    created: dt.datetime
    roles: tuple[str, ...] = ()
    scopes: tuple[str, ...] = ("query", "metadata")
    limits: Limits = field(default_factory=Limits)
    expires: dt.datetime | None = None
    revoked: dt.datetime | None = None

    def ended(self, now: dt.datetime) -> str | None:
        """Why it is refused by now: `revoked` or `expired`; None while it holds."""
        if self.revoked is not None:
            return "revoked"
        return "expired" if self.expires is not None and self.expires <= now else None

    @property
    def caller(self) -> Caller:
        """Who bears it."""
        return Caller(self.name, self.roles, frozenset(self.scopes), self.limits, self.id)


@dataclass(frozen=True, slots=True)
class _TokenFile(Strict):
    tokens: tuple[Token, ...]


def hashed(secret: str) -> str:
    """The hash under which a token is kept."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def read(path: Path) -> tuple[Token, ...]:
    """The tokens in a file; none where there is no file.

    Raises:
        PolicyError: the file cannot be read.
    """
    try:
        content = json.loads(path.read_bytes())
        return validated(_TokenFile, content, lambda *_: ValueError()).tokens
    except FileNotFoundError:
        return ()
    except OSError as problem:
        raise PolicyError(f"{path} cannot be read: {problem.strerror}.") from None
    except ValueError:
        raise PolicyError(
            f"{path} is no file of tokens, or a damaged one: take it from a copy, or make new"
            " tokens with `cadran token create NAME`."
        ) from None


def create(  # noqa: PLR0913 - what a token may do
    path: Path,
    name: str,
    *,
    roles: tuple[str, ...] = (),
    scopes: tuple[str, ...] = ("query", "metadata"),
    limits: Limits | None = None,
    expires: dt.datetime | None = None,
) -> tuple[str, Token]:
    """Make a token; returns it, which is nowhere kept, and what the file now holds of it.

    Raises:
        PolicyError: the file cannot be read, or the name is empty.
        UnknownNameError: there is no such scope.
    """
    for scope in scopes:
        if scope not in SCOPES:
            raise UnknownNameError("scope", scope, SCOPES)
    if not name.strip() or not name.isprintable():
        raise PolicyError("A token needs a name, of the person or program that bears it.")
    secret = PREFIX + base64.urlsafe_b64encode(secrets.token_bytes(_BYTES)).rstrip(b"=").decode()
    token = Token(
        id=secrets.token_hex(4),
        name=name.strip(),
        hash=hashed(secret),
        last=secret[-_SHOWN:],
        created=_now(),
        roles=tuple(dict.fromkeys(roles)),
        scopes=tuple(dict.fromkeys(scopes)),
        limits=limits or Limits(),
        expires=expires,
    )
    with _locked(path):
        _write(path, (*read(path), token))
    return secret, token


def revoke(path: Path, name_or_id: str) -> tuple[Token, ...]:
    """Revoke the token of an id, or all of a name; returns those that held until now.

    Raises:
        PolicyError: the file cannot be read.
        UnknownNameError: there is no such token.
    """
    now = _now()
    with _locked(path):
        tokens = read(path)
        matches = [token for token in tokens if name_or_id in (token.id, token.name)]
        if not matches:
            names = [name for token in tokens for name in (token.id, token.name)]
            raise UnknownNameError("token", name_or_id, names)
        ended = tuple(token for token in matches if token.revoked is None)
        updated = [replace(token, revoked=now) if token in ended else token for token in tokens]
        _write(path, tuple(updated))
    return ended


def _entry(token: Token) -> dict[str, Any]:
    entry = asdict(token)
    for key in ("created", "expires", "revoked"):
        entry[key] = entry[key].isoformat() if entry[key] else None
    entry["limits"] = {key: value for key, value in entry["limits"].items() if value is not None}
    return entry


def _write(path: Path, tokens: tuple[Token, ...]) -> None:
    text = json.dumps({"tokens": [_entry(token) for token in tokens]}, indent=2) + "\n"
    files.write(path, text, mode=0o600)


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Keep other writers out. The lock is a file beside, since the file itself is replaced."""
    lock = path.with_name(f".{path.name}.lock")
    handle = os.open(lock, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC).replace(microsecond=0)

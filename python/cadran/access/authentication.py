"""From what a client sends to who asks."""

from __future__ import annotations

import datetime as dt
import hashlib
import hmac
import ipaddress
import json
import logging
import os
import threading
import time
import urllib.request
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, Protocol
from urllib.parse import urlsplit

from cadran.access import tokens
from cadran.access.caller import LOCAL, Caller
from cadran.errors import PolicyError, UnauthenticatedError
from cadran.formats.validation import Strict, Takes, Text

if TYPE_CHECKING:
    from pathlib import Path

    from cadran.access.tokens import Token


_LOG = logging.getLogger("cadran.access")
_LOOK = 1.0  # seconds between two looks at the file
_LONGEST = 16_384  # characters of a bearer token


class Authenticator(Protocol):
    """What knows callers by their bearer tokens."""

    @property
    def open(self) -> bool:
        """Whether it accepts anybody."""

    def caller(self, bearer: str | None) -> Caller:
        """Who bears this token.

        Raises:
            UnauthenticatedError: nobody known does.
        """


class Bearers:
    """Knows callers by tokens of a file and by logins. Thread-safe.

    While there is neither a file nor logins it accepts anybody, and from the first token on nobody
    without one; it never opens again.
    """

    def __init__(self, path: Path, logins: Logins | None = None) -> None:
        """Take the file of tokens, which need not exist yet, and who checks logins.

        Raises:
            PolicyError: the file cannot be read.
        """
        self._path, self._logins = path, logins
        self._lock = threading.Lock()
        self._stamp = self._stamp_now()
        self._by_hash: dict[str, Token] = {token.hash: token for token in tokens.read(path)}
        self._looked = time.monotonic()
        self._open = self._stamp is None and logins is None

    @property
    def open(self) -> bool:
        """Whether it accepts anybody."""
        self._look()
        return self._open

    def caller(self, bearer: str | None) -> Caller:
        """Who bears this token.

        Raises:
            UnauthenticatedError: nobody known does; the sentence does not repeat the token.
        """
        self._look()
        if self._open:
            return LOCAL
        if not bearer:
            raise UnauthenticatedError("This server needs a token: send `Authorization: Bearer …`.")
        if len(bearer) > _LONGEST:
            raise UnauthenticatedError("The token is longer than any token here is.")
        if self._logins is not None and not bearer.startswith(tokens.PREFIX):
            return self._logins.caller(bearer)
        digest = tokens.hashed(bearer)
        # What is looked up is a hash of 256 random bits: how long it takes tells nothing of them.
        token = self._by_hash.get(digest)
        if token is None or not hmac.compare_digest(token.hash, digest):
            raise UnauthenticatedError("The token is not known here.")
        ended = token.ended(dt.datetime.now(dt.UTC))
        if ended is not None:
            raise UnauthenticatedError(
                f"The token of {token.name} ending in {token.last} is {ended}: ask for a new one."
            )
        return token.caller

    def _look(self) -> None:
        """Read the file again if it changed; it is looked at once a second at most."""
        if time.monotonic() - self._looked < _LOOK:
            return
        with self._lock:
            if time.monotonic() - self._looked < _LOOK:
                return
            self._looked = time.monotonic()
            stamp = self._stamp_now()
            if stamp == self._stamp:
                return
            try:
                self._by_hash = {token.hash: token for token in tokens.read(self._path)}
            except PolicyError as problem:
                _LOG.error("the tokens known before go on: %s", problem)
            self._stamp, self._open = stamp, False

    def _stamp_now(self) -> tuple[int, int, int] | None:
        try:
            stat = os.stat(self._path)  # noqa: PTH116 - a path's own method is slower
        except OSError:
            return None
        return stat.st_mtime_ns, stat.st_ino, stat.st_size


ALGORITHMS = ("RS256", "ES256")
_FRESH = 300.0  # seconds after which keys are fetched again, beside the work
_PAUSE = 10.0  # seconds between two fetches, whatever comes in
_WAIT = 2.0  # seconds that a fetch may take
_LEEWAY = 30.0  # seconds by which clocks may differ
_MOST_BYTES = 1_000_000
_KEPT = 4096  # logins that are remembered until they expire
_SCOPES = frozenset(("query", "metadata"))


def _secret(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme != "https" and not (parts.scheme == "http" and _is_local(parts.hostname)):
        raise ValueError("is not https: whoever is on the line could log in as anybody")
    return url


@dataclass(frozen=True, slots=True)
class Provider(Strict):
    """An identity provider, and where its tokens say what.

    Attributes:
        issuer: as `iss` must say.
        audience: as `aud` must say or hold.
        jwks_url: where its keys are published.
        roles_claim: the claim with the roles, as a list or as words.
        name_claim: the claim with the name of who logs in.
        roles: the policy's name of a role by the provider's; where empty they are the same.
    """

    issuer: Text
    audience: Text
    jwks_url: Annotated[Text, Takes("an address that begins with https://", _secret)]
    roles_claim: Text = "roles"
    name_claim: Text = "email"
    roles: Annotated[dict[str, str], Takes("the provider's names, each with the policy's")] = field(
        default_factory=dict
    )


class Logins:
    """Knows callers by tokens of one provider. Thread-safe."""

    def __init__(self, provider: Provider) -> None:
        """Take a provider; its keys are fetched beside, and by the first login at the latest."""
        self._provider = provider
        self._lock = threading.Lock()
        self._fetching = threading.Lock()
        self._keys: dict[str, Any] = {}
        self._fetched = self._tried = float("-inf")
        self._callers: OrderedDict[str, tuple[Caller, float]] = OrderedDict()
        threading.Thread(target=self._fetch, name="keys", daemon=True).start()

    def caller(self, bearer: str) -> Caller:
        """Who bears this token.

        Raises:
            UnauthenticatedError: it is not one of the provider, not for this server, or not of now.
        """
        digest = hashlib.sha256(bearer.encode("utf-8", "surrogatepass")).hexdigest()
        with self._lock:
            cached = self._callers.get(digest)
        if cached is not None and cached[1] > time.time():
            return cached[0]
        caller, until = self._checked(bearer)
        with self._lock:
            self._callers[digest] = caller, until
            while len(self._callers) > _KEPT:
                self._callers.popitem(last=False)
        return caller

    def _checked(self, bearer: str) -> tuple[Caller, float]:
        import jwt

        provider = self._provider
        try:
            header = jwt.get_unverified_header(bearer)
            algorithm = header.get("alg")
            if algorithm not in ALGORITHMS:
                raise UnauthenticatedError(f"A login is signed with {' or '.join(ALGORITHMS)}.")
            key = self._key(str(header.get("kid")))
            if key.algorithm_name != algorithm:
                raise UnauthenticatedError("The login is signed with another kind of key.")
            claims = jwt.decode(
                bearer, key.key, algorithms=[algorithm], audience=provider.audience,
                issuer=provider.issuer, leeway=_LEEWAY,
                options={"require": ["exp", "iss", "aud"]},
            )  # fmt: skip
        except jwt.ExpiredSignatureError:
            raise UnauthenticatedError("The login has expired: log in again.") from None
        except (jwt.PyJWTError, ValueError, TypeError) as problem:
            _LOG.info("refused a login: %s", type(problem).__name__)
            raise UnauthenticatedError("The token is not known here.") from None
        name = _claim(claims, provider.name_claim) or claims.get("sub")
        if not isinstance(name, str) or not name.isprintable():
            raise UnauthenticatedError(f"The login says no name: it has no {provider.name_claim}.")
        roles = _claim(claims, provider.roles_claim)
        words = roles.split() if isinstance(roles, str) else roles
        role_names = [str(word) for word in words] if isinstance(words, list) else []
        if provider.roles:
            role_names = [provider.roles[word] for word in role_names if word in provider.roles]
        # The same person in two browsers spends from one purse.
        subject = f"oidc:{claims.get('sub') or name}"
        caller = Caller(name, tuple(dict.fromkeys(role_names)), _SCOPES, token=subject)
        return caller, float(claims["exp"])

    def _key(self, kid: str) -> Any:
        """The key of an identifier; new ones are looked for when it is unknown.

        Raises:
            UnauthenticatedError: there is no such key.
        """
        if time.monotonic() - self._fetched > _FRESH and self._keys:
            threading.Thread(target=self._fetch, name="keys", daemon=True).start()
        if kid not in self._keys:
            self._fetch()
        if kid not in self._keys:
            raise UnauthenticatedError("The login is signed with a key that is not known here.")
        return self._keys[kid]

    def _fetch(self) -> None:
        with self._fetching:
            if time.monotonic() - self._tried < _PAUSE:
                return
            self._tried = time.monotonic()
            try:
                keys = _keys(self._provider.jwks_url)
            except (OSError, ValueError, LookupError, TypeError, AttributeError) as problem:
                _LOG.warning("the keys of %s: %s", self._provider.issuer, problem)
                return
            with self._lock:
                if keys.keys() != self._keys.keys():
                    self._callers.clear()  # a key that was withdrawn lets nobody in any more
                self._keys, self._fetched = keys, time.monotonic()


def _keys(url: str) -> dict[str, Any]:
    """The keys that are published at an address, by their identifiers.

    Raises:
        OSError: it cannot be reached.
        ValueError: what is there are no keys.
    """
    import jwt

    request = urllib.request.Request(url, headers={"Accept": "application/json"})  # noqa: S310 - checked when read
    with urllib.request.urlopen(request, timeout=_WAIT) as answer:  # noqa: S310 - so is it
        text = answer.read(_MOST_BYTES)
    keys = {}
    for entry in json.loads(text)["keys"]:
        if entry.get("use", "sig") != "sig" or "kid" not in entry:
            continue
        try:
            key = jwt.PyJWK(entry)
        except jwt.PyJWTError:
            continue  # of a kind that this server does not take
        if key.algorithm_name in ALGORITHMS:
            keys[str(entry["kid"])] = key
    return keys


def _claim(claims: dict[str, Any], path: str) -> Any:
    """A claim by its name, or by a path of names with dots between them."""
    if path in claims:
        return claims[path]
    value: Any = claims
    for name in path.split("."):
        value = value.get(name) if isinstance(value, dict) else None
    return value


def _is_local(host: str | None) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host or "").is_loopback
    except ValueError:
        return False

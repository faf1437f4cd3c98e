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
from cadran.formats.words import refusal

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

    def waits(self, bearer: str | None) -> bool:
        """Whether `caller` may wait for another machine to say who bears this token."""

    def identified(self, id_token: str, nonce: str) -> Caller:
        """Who signed in to the board at the provider; it may wait for the provider's keys.

        Raises:
            UnauthenticatedError: the ID token is not for this sign-in.
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
            raise refusal(UnauthenticatedError, "token_unknown")
        ended = token.ended(dt.datetime.now(dt.UTC))
        if ended is not None:
            key = "token_revoked" if ended == "revoked" else "token_expired"
            raise refusal(UnauthenticatedError, key, name=token.name, last=token.last)
        return token.caller

    def waits(self, bearer: str | None) -> bool:
        """Whether `caller` may wait for the provider to say who bears this token."""
        if self._open or self._logins is None or not bearer or len(bearer) > _LONGEST:
            return False
        return not bearer.startswith(tokens.PREFIX) and not self._logins.knows(bearer)

    def identified(self, id_token: str, nonce: str) -> Caller:
        """Who signed in to the board at the provider; it may wait for the provider's keys.

        Raises:
            UnauthenticatedError: the ID token is not for this sign-in, or nobody signs in here.
        """
        if self._logins is None or len(id_token) > _LONGEST:
            raise refusal(UnauthenticatedError, "token_unknown")
        return self._logins.identified(id_token, nonce)

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
_WAIT = 2.0  # seconds that a login may wait for a fetch
_FETCHES = 4  # fetches that may hang at the same time
_STALE = 86_400.0  # seconds after which keys that could not be fetched again hold no more
_LONGEST_LOGIN = 366 * 86_400.0  # seconds for which a login may hold
_LEEWAY = 30.0  # seconds by which clocks may differ
_MOST_BYTES = 1_000_000
_KEPT = 4096  # logins that are remembered until they expire
_SCOPES = frozenset(("query", "metadata"))


def _secret(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme != "https" and not (parts.scheme == "http" and _is_local(parts.hostname)):
        raise ValueError("is not https: whoever is on the line could log in as anybody")
    return url


_Url = Annotated[Text, Takes("an address that begins with https://", _secret)]


@dataclass(frozen=True, slots=True)
class Client(Strict):
    """The board as a client of the provider, by which people sign in with a browser.

    Attributes:
        id: of the client, as `aud` of its ID tokens says.
        address: of this server as browsers know it; the provider sends them back to
            `/board/sign-in/back` below it.
        secret: the environment variable with the client's secret; without it the client is a
            public one, which PKCE alone proves.
        scopes: what is asked of the provider.
    """

    id: Text
    address: _Url
    secret: Text | None = None
    scopes: tuple[str, ...] = ("openid", "email", "profile")


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
        writers: the policy's names of roles whose logins may write notes.
        client: by which people sign in to the board; without it they paste a token.
    """

    issuer: Text
    audience: Text
    jwks_url: _Url
    roles_claim: Text = "roles"
    name_claim: Text = "email"
    roles: Annotated[dict[str, str], Takes("the provider's names, each with the policy's")] = field(
        default_factory=dict
    )
    writers: tuple[str, ...] = ()
    client: Client | None = None


class Logins:
    """Knows callers by tokens of one provider. Thread-safe."""

    def __init__(self, provider: Provider) -> None:
        """Take a provider; its keys are fetched beside, and by the first login at the latest."""
        self._provider = provider
        self._lock = threading.Lock()
        self._keys: dict[str, _Key] = {}
        self._fetched = self._tried = float("-inf")
        self._hanging = 0
        self._landed = threading.Event()
        self._callers: OrderedDict[str, tuple[Caller, float]] = OrderedDict()
        self._refetch()

    def knows(self, bearer: str) -> bool:
        """Whether this login was checked before and holds still."""
        with self._lock:
            known = self._callers.get(_digest(bearer))
        return known is not None and known[1] > time.time()

    def caller(self, bearer: str) -> Caller:
        """Who bears this token.

        Raises:
            UnauthenticatedError: it is not one of the provider, not for this server, or not of now.
        """
        digest = _digest(bearer)
        if time.monotonic() - self._fetched > _FRESH:
            self._refetch()
        with self._lock:
            known, keys = self._callers.get(digest), self._keys
        if time.monotonic() - self._fetched > _STALE:
            known = None
        if known is not None and known[1] > time.time():
            return known[0]
        caller, until = self._checked(bearer, self._provider.audience)
        with self._lock:
            # Checked with keys that were replaced meanwhile, it is checked again the next time.
            if self._keys == keys:
                self._callers[digest] = caller, until
            while len(self._callers) > _KEPT:
                self._callers.popitem(last=False)
        return caller

    def identified(self, id_token: str, nonce: str) -> Caller:
        """Who signed in to the board, by the ID token of one sign-in.

        Raises:
            UnauthenticatedError: it is not one of the provider, not for the board, or not of this
                sign-in.
        """
        client = self._provider.client
        if client is None:
            raise refusal(UnauthenticatedError, "no_provider")
        return self._checked(id_token, client.id, nonce)[0]

    def _checked(
        self, bearer: str, audience: str, nonce: str | None = None
    ) -> tuple[Caller, float]:
        """Who bears a token and until when; an ID token has a nonce too."""
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
                bearer, key.key, algorithms=[algorithm], audience=audience,
                issuer=provider.issuer, leeway=_LEEWAY,
                options={"require": ["exp", "iss", "aud"]},
            )  # fmt: skip
        except jwt.ExpiredSignatureError:
            raise refusal(UnauthenticatedError, "login_expired") from None
        except (jwt.PyJWTError, ValueError, TypeError, OverflowError) as problem:
            _LOG.info("refused a login: %s", type(problem).__name__)
            raise refusal(UnauthenticatedError, "token_unknown") from None
        if nonce is not None:
            own = hmac.compare_digest(str(claims.get("nonce", "")).encode(), nonce.encode())
            if not own or claims.get("azp", audience) != audience:
                raise refusal(UnauthenticatedError, "other_sign_in")
        if float(claims["exp"]) > time.time() + _LONGEST_LOGIN:
            raise UnauthenticatedError("The login holds for more than a year: log in for less.")
        name = _claim(claims, provider.name_claim) or claims.get("sub")
        if not isinstance(name, str) or not name.isprintable():
            raise refusal(UnauthenticatedError, "no_name", claim=provider.name_claim)
        roles = _claim(claims, provider.roles_claim)
        words = roles.split() if isinstance(roles, str) else roles
        role_names = [str(word) for word in words] if isinstance(words, list) else []
        if provider.roles:
            role_names = [provider.roles[word] for word in role_names if word in provider.roles]
        # The same person in two browsers spends from one purse.
        subject = f"oidc:{claims.get('sub') or name}"
        writes = not set(role_names).isdisjoint(provider.writers)
        scopes = _SCOPES | {"write"} if writes else _SCOPES
        caller = Caller(name, tuple(dict.fromkeys(role_names)), scopes, token=subject)
        return caller, float(claims["exp"])

    def _key(self, kid: str) -> Any:
        """The key of an identifier; new ones are looked for when it is unknown.

        Raises:
            UnauthenticatedError: there is no such key.
        """
        is_stale = time.monotonic() - self._fetched > _STALE
        if kid not in self._keys or is_stale:
            self._refetch().wait(_WAIT)
            is_stale = time.monotonic() - self._fetched > _STALE
        if kid not in self._keys or is_stale:
            raise UnauthenticatedError("The login is signed with a key that is not known here.")
        return self._keys[kid].key

    def _refetch(self) -> threading.Event:
        """Begin a fetch beside, unless one was begun just now; returns what is set at its end."""
        with self._lock:
            now = time.monotonic()
            if now - self._tried >= _PAUSE and self._hanging < _FETCHES:
                self._tried, self._landed = now, threading.Event()
                self._hanging += 1
                threading.Thread(
                    target=self._fetch, args=(now, self._landed), name="keys", daemon=True
                ).start()
            return self._landed

    def _fetch(self, begun: float, landed: threading.Event) -> None:
        try:
            fetched = _keys(self._provider.jwks_url)
            with self._lock:
                if begun < self._fetched:
                    return  # a later fetch was faster
                if any(fetched.get(kid) != key for kid, key in self._keys.items()):
                    self._callers.clear()  # a key that was withdrawn lets nobody in any more
                self._keys, self._fetched = fetched, begun
        except (OSError, ValueError, LookupError, TypeError, AttributeError) as problem:
            _LOG.warning("the keys of %s: %s", self._provider.issuer, problem)
        finally:
            with self._lock:
                self._hanging -= 1
            landed.set()


@dataclass(frozen=True, slots=True)
class _Key:
    """A key, equal to another one by what was published of it."""

    published: str
    key: Any = field(compare=False)


def _digest(bearer: str) -> str:
    return hashlib.sha256(bearer.encode("utf-8", "surrogatepass")).hexdigest()


def _keys(url: str) -> dict[str, _Key]:
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
            keys[str(entry["kid"])] = _Key(json.dumps(entry, sort_keys=True), key)
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

"""What the protocols over HTTP share: the server's parts, its names, requests and replies."""

from __future__ import annotations

import asyncio
import hashlib
import json
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar
from urllib.parse import parse_qsl, urlencode

from starlette.responses import Response

from cadran.errors import LimitError, QueryError
from cadran.formats.encoding import json_text
from cadran.server.problems import TITLES, Problem, RefusedError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from starlette.types import ASGIApp, Receive, Scope, Send

    from cadran.access.authentication import Authenticator
    from cadran.access.caller import Caller
    from cadran.reliability.alerts.store import Store
    from cadran.server.settings import Settings
    from cadran.serving.execution import Cancellation
    from cadran.serving.service import QueryService

_T = TypeVar("_T")
ROOT = "/api/v1"
_BEARER = "bearer "
_LOGINS = 4  # logins that are checked at the same time
_WAITING = 16  # questions that may wait for each worker
_MOST_UNKNOWN = 64  # logins that may wait to be checked


@dataclass(slots=True)
class ServerContext:
    """One server's parts.

    Attributes:
        service: answers questions.
        who: knows callers.
        settings: how it runs.
        workers: threads in which questions run, shared by all protocols.
        parts: what a protocol keeps between its routes and its running.
        alerts: what the alerts of this server are remembered in; None where it evaluates none.
        ending: is set once the server ends, so that streams end with it.
        warmers: what is called after each build, so that the first who asks need not wait.
    """

    service: QueryService
    who: Authenticator
    settings: Settings
    workers: ThreadPoolExecutor = field(init=False)
    parts: dict[str, object] = field(default_factory=dict)
    alerts: Store | None = None
    ending: threading.Event = field(default_factory=threading.Event)
    warmers: list[Callable[[], object]] = field(default_factory=list)
    _logins: ThreadPoolExecutor = field(init=False)
    _unknown: int = 0
    _running: int = 0

    def __post_init__(self) -> None:
        """Start the pool; its threads come when they are needed."""
        self.warmers.append(self.service.warm)
        self.workers = ThreadPoolExecutor(self.settings.workers, thread_name_prefix="question")
        self._logins = ThreadPoolExecutor(_LOGINS, thread_name_prefix="login")

    def caller(self, authorization: str | None) -> Caller:
        """Who asks, by an Authorization header.

        Raises:
            UnauthenticatedError: nobody known does.
        """
        return self.who.caller(_bearer(authorization))

    async def identify(self, authorization: str | None) -> Caller:
        """Who asks, without waiting for another machine on the event loop.

        Raises:
            UnauthenticatedError: nobody known does.
            LimitError: too many wait to be known.
        """
        if not self.who.waits(_bearer(authorization)):
            return self.caller(authorization)
        if self._unknown >= _MOST_UNKNOWN:
            raise LimitError("Too many logins wait to be checked.", retry_after=2.0)
        self._unknown += 1
        try:
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self._logins, self.caller, authorization)
        finally:
            self._unknown -= 1

    async def run(self, work: Callable[..., _T], *arguments: Any) -> _T:
        """Run what waits in a worker thread.

        Raises:
            LimitError: too much waits for a worker already.
        """
        if self._running >= self.settings.workers * (1 + _WAITING):
            raise LimitError("Too many questions wait to be answered.", retry_after=2.0)
        self._running += 1
        try:
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self.workers, work, *arguments)
        finally:
            self._running -= 1


def _bearer(authorization: str | None) -> str | None:
    text = authorization or ""
    bearer = text[len(_BEARER) :] if text[: len(_BEARER)].lower() == _BEARER else None
    return bearer.strip() if bearer else None


def address(host: str) -> str:
    """A host as it stands in an address: IPv6 between brackets."""
    return f"[{host}]" if ":" in host else host


def host_names(settings: Settings) -> tuple[str, ...]:
    """The names by which clients may reach a server, without a port."""
    ours = ("127.0.0.1", "localhost", "[::1]", address(settings.host), *settings.hosts)
    return tuple(dict.fromkeys(name for name in ours if name))


class Hosts:
    """ASGI middleware that turns away requests under other names."""

    def __init__(self, app: ASGIApp, allowed: tuple[str, ...]) -> None:
        """Stand before an application."""
        self._app = app
        self._allowed = frozenset(name.lower().encode() for name in allowed)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on what goes by an allowed name."""
        if scope["type"] == "http":
            host = next((value for name, value in scope["headers"] if name == b"host"), b"")
            if _name(host) not in self._allowed:
                refused = Problem(
                    421, "misdirected",
                    "This server has no tokens, so it answers only under the names of this machine"
                    " and those in its setting `hosts`.",
                )  # fmt: skip
                await problem(refused)(scope, receive, send)
                return
        await self._app(scope, receive, send)


def _name(host: bytes) -> bytes:
    """A Host header without its port."""
    if host.startswith(b"["):
        return host.partition(b"]")[0].lower() + b"]"
    return host.partition(b":")[0].lower()


_LARGEST = 1_000_000  # bytes of a body
_LONGEST = 8_000  # bytes of an address
_MOST = 500  # parameters of a link


class ClientGoneError(Exception):
    """The client went away before it had sent its request."""


@dataclass(slots=True)
class Call:
    """One request.

    Attributes:
        scope: of ASGI.
        receive: of ASGI.
        caller: who asks, once that is known.
        in_path: the parameters that stand in the path.
        request: the parameters, once they are read.
        filtered: whether the question has filters.
    """

    scope: Scope
    receive: Receive
    caller: Caller | None = None
    in_path: dict[str, str] = field(default_factory=dict)
    request: Any = None
    filtered: bool = False
    headers: dict[bytes, bytes] = field(init=False)

    def __post_init__(self) -> None:
        """Read the headers."""
        self.headers = dict(self.scope["headers"])

    def header(self, name: bytes) -> str | None:
        """A header by its name in lower case."""
        value = self.headers.get(name)
        return None if value is None else value.decode("latin-1")

    @property
    def link(self) -> bytes:
        """The part of the address after the question mark."""
        query: bytes = self.scope["query_string"]
        return query

    def check_length(self) -> None:
        """Refuse an address that is too long.

        Raises:
            RefusedError: it is.
        """
        if len(self.link) + len(self.scope["path"]) > _LONGEST:
            raise RefusedError(
                414, "too-long",
                f"The address has more than {_LONGEST:,} characters: post the question as JSON"
                " instead.",
            )  # fmt: skip

    async def body(self) -> bytes:
        """The body, which has to be JSON.

        Raises:
            RefusedError: it is too large, or not JSON by its type.
        """
        kind = (self.header(b"content-type") or "").partition(";")[0].strip().lower()
        if kind != "application/json":
            raise RefusedError(
                415, "wrong-type",
                f"The body is {kind or 'of no type'}; send application/json.",
            )  # fmt: skip
        declared = self.header(b"content-length") or "0"
        if declared.isdigit() and int(declared) > _LARGEST:
            _too_large()
        parts: list[bytes] = []
        size = 0
        while True:
            message = await self.receive()
            if message["type"] == "http.disconnect":
                raise ClientGoneError
            part: bytes = message.get("body", b"")
            parts.append(part)
            size += len(part)
            if size > _LARGEST:
                _too_large()
            if not message.get("more_body"):
                return b"".join(parts)

    async def until_gone(self, work: Awaitable[Any], stop: Cancellation) -> Any:
        """What the work gives; the work is stopped when the client is gone."""
        working = asyncio.ensure_future(work)
        watching = asyncio.ensure_future(self._gone())
        try:
            await asyncio.wait((working, watching), return_when=asyncio.FIRST_COMPLETED)
            if not working.done():
                stop.set()
            return await working
        except asyncio.CancelledError:
            stop.set()
            raise
        finally:
            watching.cancel()

    async def _gone(self) -> None:
        while (await self.receive())["type"] != "http.disconnect":
            pass


def response(
    body: bytes,
    media: str = "application/json",
    status: int = 200,
    headers: Iterable[tuple[bytes, bytes]] = (),
) -> Response:
    """A reply; one of 204 or 304 has no body, and no word of its type."""
    reply = Response(body, status, media_type=None if status in (204, 304) else media)
    reply.raw_headers += headers
    return reply


def problem(fault: Problem) -> Response:
    """A problem as RFC 9457 has it."""
    payload = {
        "type": f"{ROOT}/docs#{fault.kind}",
        "title": TITLES[fault.kind],
        "status": fault.status,
        "detail": fault.sentence,
        **fault.more,
    }
    headers = [(name.lower().encode(), value.encode()) for name, value in fault.headers.items()]
    return response(json_text(payload).encode(), "application/problem+json", fault.status, headers)


def conditional(call: Call, body: bytes, media: str = "application/json") -> Response:
    """A reply with a validator of its bytes; nothing but the validator where the client has it."""
    tag = f'W/"{hashlib.sha256(body).hexdigest()[:32]}"'
    headers = [(b"etag", tag.encode())]
    known = call.header(b"if-none-match") or ""
    if tag in known or known.strip() == "*":
        return response(b"", status=304, headers=headers)
    return response(body, media, headers=headers)


def pairs(link: bytes) -> list[tuple[str, str]]:
    """Names and values of a link.

    Raises:
        QueryError: it is not UTF-8, or has too many.
    """
    try:
        return parse_qsl(
            link.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=_MOST
        )
    except UnicodeDecodeError:
        raise QueryError("The address is not UTF-8, with everything else written as %XX.") from None
    except ValueError:
        raise QueryError(f"The address has more than {_MOST} parameters.") from None


def next_link(call: Call, cursor: str) -> bytes:
    """The value of a Link header to the page that follows.

    It is relative to the address that was asked, whatever a proxy put before it.
    """
    parameters = [(name, value) for name, value in pairs(call.link) if name != "cursor"]
    link = urlencode([*parameters, ("cursor", cursor)])
    return f'<?{link}>; rel="next"'.encode()


def json_document(body: bytes) -> Any:
    """The JSON of a body.

    Raises:
        RefusedError: it is none.
    """

    def constant(name: str) -> NoReturn:
        raise ValueError(f"{name} is not JSON")

    try:
        return json.loads(body.decode("utf-8"), parse_constant=constant)
    except (ValueError, RecursionError) as problem:
        reason = (
            str(problem)[:80] if isinstance(problem, json.JSONDecodeError) else "it is not JSON"
        )
        raise RefusedError(
            400, "bad-request", f"The body cannot be read as JSON: {reason}."
        ) from None


def _too_large() -> NoReturn:
    raise RefusedError(
        413, "too-large", f"The body has more than {_LARGEST:,} bytes: ask for less at once."
    )

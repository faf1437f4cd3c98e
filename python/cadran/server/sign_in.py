"""Signing in to the board: by a token that is pasted once, or at a provider by OpenID Connect.

The second is the authorization code flow with PKCE (OpenID Connect Core 1.0, RFC 7636). A sign-in
is known by its state, holds for the browser that began it, for ten minutes and once; its ID token
is checked by the provider's keys, for the board, with its nonce. What remains is a session of this
server: a random name in a cookie that scripts cannot read.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import os
import secrets
import time
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar
from urllib.parse import quote, urlencode, urlsplit

from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from cadran.errors import (
    CadranError,
    LimitError,
    PolicyError,
    ServiceError,
    UnauthenticatedError,
)
from cadran.formats.words import refusal, sentences
from cadran.insight.view import View
from cadran.insight.wording import Words
from cadran.server.browsers import HEADERS, form_of, html, is_own, language, own_path
from cadran.server.problems import problem_of
from cadran.web.render import rendered

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.requests import Request

    from cadran.access.authentication import Client
    from cadran.access.caller import Caller
    from cadran.server.http import ServerContext

TOKEN, SESSION, FLOW = "cadran_token", "cadran_session", "cadran_sign_in"
BACK = "/board/sign-in/back"
_MONTH = 30 * 86400
_LONGEST = 4096  # characters of a token
_HOURS = 8 * 3600.0  # seconds of a session
_MINUTES = 600.0  # seconds in which a sign-in has to come back
_WAIT = 5.0  # seconds for an answer of the provider, all in all
_FRESH = 3600.0  # seconds for which the provider's addresses are known
_MOST = 10_000  # sessions, and sign-ins that were begun
_AT_ONCE = 16  # questions to the provider
_MOST_BYTES = 1_000_000  # of an answer of the provider
_NAME_LENGTH = 43  # characters of 32 random bytes
_OK, _BAD_GATEWAY = 200, 502

_T = TypeVar("_T")


class _Held(Generic[_T]):
    """Things by secret names, each until its time; the oldest give way."""

    def __init__(self) -> None:
        self._entries: OrderedDict[str, tuple[float, _T]] = OrderedDict()

    def put(self, name: str, thing: _T, seconds: float) -> None:
        self._entries[_digest(name)] = time.monotonic() + seconds, thing
        while len(self._entries) > _MOST:
            self._entries.popitem(last=False)

    def get(self, name: str) -> _T | None:
        until, thing = self._entries.get(_digest(name), (0.0, None))
        return thing if until > time.monotonic() else None

    def pop(self, name: str) -> _T | None:
        thing = self.get(name)
        self._entries.pop(_digest(name), None)
        return thing


@dataclass(frozen=True, slots=True)
class _Begun:
    """A sign-in that was begun: for which browser, where it leads, and what proves it."""

    browser: str
    to: str
    nonce: str
    verifier: str


class SignIn:
    """Signs browsers in and out, and knows who they are."""

    def __init__(self, server_context: ServerContext) -> None:
        """Take what knows callers.

        Raises:
            PolicyError: the variable with the client's secret is not there.
        """
        self._server_context = server_context
        provider = server_context.settings.oidc
        self._issuer = provider.issuer if provider else ""
        self._client = provider.client if provider else None
        self._secret = _secret(self._client) if self._client else None
        self._begun: _Held[_Begun] = _Held()
        self._sessions: _Held[Caller] = _Held()
        self._endpoints: tuple[float, dict[str, Any]] = -_FRESH, {}
        self._asking = 0
        self._is_secure = server_context.settings.tls is not None or bool(
            self._client and self._client.address.startswith("https:")
        )

    def routes(self) -> list[Route]:
        """Where browsers sign in and out."""
        routes = [
            Route("/board/sign-in", self.by_token, methods=["GET", "POST"]),
            Route("/board/sign-out", self.out, methods=["POST"]),
        ]
        if self._client is not None:
            routes += [Route("/board/sign-in/start", self.start), Route(BACK, self.back)]
        return routes

    async def caller(self, request: Request) -> Caller:
        """Who a browser is: by its header, its session, or the token in its cookie.

        Raises:
            UnauthenticatedError: nobody known.
        """
        authorization = request.headers.get("authorization")
        if authorization is None:
            session = self._sessions.get(request.cookies.get(SESSION, ""))
            if session is not None:
                return session
            token = request.cookies.get(TOKEN)
            authorization = f"Bearer {token}" if token else None
        return await self._server_context.identify(authorization)

    async def by_token(self, request: Request) -> Response:
        """The form that takes a token, and the cookie that keeps it."""
        lang = language(request)
        to = request.query_params.get("to", "/board")
        if request.method == "GET":
            return self._page(lang, to, 200)
        if not is_own(request):
            return self._page(lang, to, 403)
        try:
            form = await form_of(request)
        except LimitError:
            return self._page(lang, to, 413)
        token, to = form.get("token", "").strip(), own_path(form.get("to", ""))
        try:
            if not token or len(token) > _LONGEST:
                raise refusal(UnauthenticatedError, "token_unfit")
            await self._server_context.identify(f"Bearer {token}")
        except CadranError as problem:
            return self._page(lang, to, 401, problem)
        reply = RedirectResponse(to, 303)
        self._keep(reply, TOKEN, token, _MONTH)
        return reply

    async def start(self, request: Request) -> Response:
        """Send a browser to the provider."""
        assert self._client is not None  # noqa: S101 - there is no such page without one
        lang, to = language(request), own_path(request.query_params.get("to", ""))
        try:
            endpoint = (await self._discovered())["authorization_endpoint"]
        except CadranError as problem:
            return self._page(lang, to, _status(problem), problem)
        known = request.cookies.get(FLOW, "")  # of a sign-in in another window of the same browser
        browser = known if len(known) == _NAME_LENGTH else secrets.token_urlsafe(32)
        state, nonce, verifier = (secrets.token_urlsafe(32) for _ in range(3))
        self._begun.put(state, _Begun(browser, to, nonce, verifier), _MINUTES)
        challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest())
        parameters = {
            "response_type": "code", "client_id": self._client.id,
            "redirect_uri": self._client.address.rstrip("/") + BACK,
            "scope": " ".join(self._client.scopes), "state": state, "nonce": nonce,
            "code_challenge": challenge.decode().rstrip("="), "code_challenge_method": "S256",
            "ui_locales": lang,
        }  # fmt: skip
        reply = _away(endpoint, parameters)
        self._keep(reply, FLOW, browser, int(_MINUTES), path="/board/sign-in")
        return reply

    async def back(self, request: Request) -> Response:
        """Take what the provider says of a sign-in, and begin a session."""
        lang, said = language(request), request.query_params
        begun = self._begun.pop(said.get("state", ""))
        browser = request.cookies.get(FLOW, "")
        to = begun.to if begun else "/board"
        try:
            if begun is None or not hmac.compare_digest(begun.browser, browser):
                raise refusal(UnauthenticatedError, "sign_in_over")
            if said.get("iss", self._issuer) != self._issuer:
                raise refusal(UnauthenticatedError, "other_provider")
            if "error" in said:
                raise _refused(said)
            tokens = await self._exchanged(said.get("code", ""), begun.verifier)
            id_token = tokens.get("id_token")
            if not isinstance(id_token, str):
                raise refusal(ServiceError, "no_id_token")
            caller = await asyncio.to_thread(
                self._server_context.who.identified, id_token, begun.nonce
            )
        except CadranError as problem:
            return self._page(lang, to, _status(problem), problem)
        session = secrets.token_urlsafe(32)
        self._sessions.put(session, caller, _HOURS)
        reply = RedirectResponse(to, 303, HEADERS)
        self._keep(reply, SESSION, session, int(_HOURS))
        reply.delete_cookie(FLOW, path="/board/sign-in")
        return reply

    async def out(self, request: Request) -> Response:
        """End the session, and forget the token."""
        if not is_own(request):
            return Response(status_code=403)
        self._sessions.pop(request.cookies.get(SESSION, ""))
        reply = RedirectResponse(f"/board/sign-in?lang={language(request)}&out=1", 303)
        for name in (TOKEN, SESSION):
            reply.delete_cookie(name, path="/board")
        return reply

    def _keep(
        self, reply: Response, name: str, value: str, seconds: int, *, path: str = "/board"
    ) -> None:
        reply.set_cookie(
            name, value, max_age=seconds, path=path, httponly=True, samesite="lax",
            secure=self._is_secure,
        )  # fmt: skip

    def _page(
        self, lang: str, to: str, status: int, problem: CadranError | None = None
    ) -> Response:
        words, to = Words(lang), own_path(to)
        sentence = detail = ""
        if problem is not None:
            kind = problem_of(problem).kind if _status(problem) != _BAD_GATEWAY else "provider"
            sentence, detail = sentences(problem, kind, str(problem), lang)
        start = end = ""
        if self._client is not None:
            start = f"/board/sign-in/start?{urlencode({'lang': lang, 'to': to})}"
            end = self._endpoints[1].get("end_session_endpoint", "")
        text = rendered(
            "sign_in.html", words, view=View(lang=lang), pages=(), here="", path="/board/sign-in",
            events="", until=None, signed_in=False, title=words("sign_in"), to=to,
            sentence=sentence, detail=detail, start=start, end=end,
            provider=urlsplit(self._issuer).netloc,
        )  # fmt: skip
        return html(text, status)

    async def _discovered(self) -> dict[str, Any]:
        """What the provider publishes of itself.

        Raises:
            ServiceError: it cannot be reached, or publishes something else.
        """
        at, endpoints = self._endpoints
        if time.monotonic() - at < _FRESH:
            return endpoints
        address = f"{self._issuer.rstrip('/')}/.well-known/openid-configuration"
        status, found = await self._asked("GET", address)
        if status != _OK or found.get("issuer") != self._issuer:
            raise refusal(ServiceError, "not_published", issuer=self._issuer, address=address)
        names = ("authorization_endpoint", "token_endpoint", "end_session_endpoint")
        # Whoever is trusted with the answer is trusted over TLS, as the provider itself is.
        scheme = urlsplit(self._issuer).scheme
        endpoints = {
            name: found[name]
            for name in names
            if isinstance(found.get(name), str) and urlsplit(found[name]).scheme == scheme
        }
        if not {*names[:2]} <= endpoints.keys():
            raise refusal(ServiceError, "no_address", issuer=self._issuer)
        methods = found.get("token_endpoint_auth_methods_supported") or ["client_secret_basic"]
        endpoints["in_body"] = "client_secret_basic" not in methods
        self._endpoints = time.monotonic(), endpoints
        return endpoints

    async def _exchanged(self, code: str, verifier: str) -> dict[str, Any]:
        """The tokens for the code of a sign-in.

        Raises:
            UnauthenticatedError: the provider does not take it.
            ServiceError: the provider cannot be reached.
        """
        assert self._client is not None  # noqa: S101 - nobody comes back without one
        endpoints = await self._discovered()
        content = {
            "grant_type": "authorization_code", "code": code, "code_verifier": verifier,
            "redirect_uri": self._client.address.rstrip("/") + BACK,
        }  # fmt: skip
        authorization = None
        if self._secret is None or endpoints["in_body"]:
            content["client_id"] = self._client.id
            content |= {} if self._secret is None else {"client_secret": self._secret}
        else:
            authorization = quote(self._client.id, safe=""), quote(self._secret, safe="")
        status, found = await self._asked(
            "POST", endpoints["token_endpoint"], data=content, auth=authorization
        )
        if status != _OK:
            raise _refused(found)
        return found

    async def _asked(self, method: str, address: str, **more: Any) -> tuple[int, dict[str, Any]]:
        """The status and the JSON of an answer of the provider, all in all in time.

        Raises:
            ServiceError: there is none.
            LimitError: too many wait for the provider.
        """
        import httpx

        if self._asking >= _AT_ONCE:
            raise refusal(_crowd, "too_many_sign_in")
        self._asking += 1
        headers = {"accept": "application/json"}
        try:
            async with (
                asyncio.timeout(_WAIT),
                httpx.AsyncClient(timeout=_WAIT) as client,
                client.stream(method, address, headers=headers, **more) as answer,
            ):
                body = bytearray()
                async for part in answer.aiter_bytes():
                    body += part
                    if len(body) > _MOST_BYTES:
                        raise refusal(ServiceError, "too_long_an_answer")
            found = json.loads(body or b"{}")
        except (httpx.HTTPError, httpx.InvalidURL, TimeoutError) as problem:
            raise refusal(
                ServiceError, "unreachable", place=urlsplit(address).netloc,
                reason=type(problem).__name__,
            ) from None  # fmt: skip
        except ValueError:
            raise refusal(ServiceError, "no_json", place=urlsplit(address).netloc) from None
        finally:
            self._asking -= 1
        return answer.status_code, found if isinstance(found, dict) else {}


def to_sign_in(request: Request) -> Response:
    """The way to sign in, and from there back to where a browser was."""
    here = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    return RedirectResponse(f"/board/sign-in?{urlencode({'to': here})}", 303)


def _away(address: str, parameters: Mapping[str, str]) -> Response:
    mark = "&" if "?" in address else "?"
    return RedirectResponse(f"{address}{mark}{urlencode(parameters)}", 303, HEADERS)


def _status(problem: CadranError) -> int:
    return _BAD_GATEWAY if isinstance(problem, ServiceError) else problem_of(problem).status


def _crowd(sentence: str) -> LimitError:
    return LimitError(sentence, retry_after=2.0)


def _refused(said: Mapping[str, Any]) -> UnauthenticatedError:
    """What the provider says against a sign-in, in one sentence."""
    told = (str(said.get(name, "")) for name in ("error", "error_description"))
    words = [" ".join("".join(filter(str.isprintable, text)).split())[:200] for text in told]
    reason = ": ".join(filter(None, words))
    if not reason:
        return refusal(UnauthenticatedError, "refused_without_reason")
    return refusal(UnauthenticatedError, "refused_by_provider", reason=reason)


def _secret(client: Client) -> str | None:
    if client.secret is None:
        return None
    secret = os.environ.get(client.secret, "").strip()
    if not secret:
        raise PolicyError(
            f"The secret of the client {client.id} is to stand in the variable {client.secret},"
            " which is empty or not there."
        )
    return secret


def _digest(name: str) -> str:
    """What a secret name is looked up by: how long it takes tells nothing of it."""
    return hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()

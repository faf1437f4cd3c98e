"""Signing in at a provider: the code flow with PKCE against a small provider on this machine."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import html
import json
import secrets
import shutil
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, parse_qsl, urlencode, urlsplit

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from guarded import PROJECT

from cadran.access.authentication import Client, Provider
from cadran.core.project import artifacts
from cadran.errors import PolicyError
from cadran.formats.words import words
from cadran.server import problems, sign_in
from cadran.server.run import serving
from cadran.server.settings import Settings

POLICY = 'roles:\n  sales: {metrics: "*", dimensions: "*"}\n  other: {metrics: [revenue]}\n'
SECRET = "of the board/+"  # noqa: S105 - of a provider that lives as long as its test
ADDRESS = "http://127.0.0.1"


class Handler(BaseHTTPRequestHandler):
    """As much of OpenID Connect as a provider needs that signs everybody in at once."""

    def do_GET(self):
        path, _, query = self.path.partition("?")
        provider = self.server
        if path == "/.well-known/openid-configuration":
            names = ("authorize", "token", "keys", "end")
            authorize, token, keys, end = (f"{provider.issuer}/{name}" for name in names)
            self.answer(200, {
                "issuer": provider.issuer, "authorization_endpoint": authorize,
                "token_endpoint": token, "jwks_uri": keys, "end_session_endpoint": end,
            })  # fmt: skip
        elif path == "/keys":
            key = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(provider.key.public_key()))
            self.answer(200, {"keys": [{**key, "kid": "k", "use": "sig", "alg": "RS256"}]})
        elif path == "/authorize":
            asked = dict(parse_qsl(query, strict_parsing=True))
            assert asked["response_type"] == "code"
            assert asked["client_id"] == "board"
            assert asked["code_challenge_method"] == "S256"
            assert "openid" in asked["scope"].split()
            code = secrets.token_urlsafe()
            provider.codes[code] = asked
            back = {"state": asked["state"], "code": code, "iss": provider.issuer, **provider.back}
            self.send_response(302)
            self.send_header("location", f"{asked['redirect_uri']}?{urlencode(back)}")
            self.end_headers()

    def do_POST(self):
        provider = self.server
        body = self.rfile.read(int(self.headers["content-length"])).decode()
        sent = {name: values[0] for name, values in parse_qs(body).items()}
        asked = provider.codes.pop(sent["code"], None)
        digest = hashlib.sha256(sent["code_verifier"].encode()).digest()
        challenge = base64.urlsafe_b64encode(digest).decode().rstrip("=")
        user = base64.b64encode(b"board:of%20the%20board%2F%2B").decode()
        if self.headers.get("authorization") != f"Basic {user}":
            self.answer(401, {"error": "invalid_client"})
        elif (
            asked is None
            or sent["grant_type"] != "authorization_code"
            or challenge != asked["code_challenge"]
            or sent["redirect_uri"] != asked["redirect_uri"]
        ):
            self.answer(400, {"error": "invalid_grant", "error_description": "<b>no</b>\nsuch"})
        else:
            claims = {
                "iss": provider.issuer, "aud": "board", "sub": "7", "exp": time.time() + 300,
                "nonce": asked["nonce"], "email": "ana@example.com", "roles": ["sales"],
            } | provider.claims  # fmt: skip
            token = jwt.encode(claims, provider.key, "RS256", {"kid": "k"})
            self.answer(200, {"token_type": "Bearer", "access_token": "x", "id_token": token})

    def answer(self, status, content):
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def provider():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.key = rsa.generate_private_key(65537, 2048)
    server.issuer = f"{ADDRESS}:{server.server_port}"
    server.codes, server.claims, server.back = {}, {}, {}
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(scope="module")
def address(provider, guarded, tmp_path_factory):
    """The address of a board that knows the provider."""
    home = tmp_path_factory.mktemp("sign_in")
    (home / "policy.yml").write_text(POLICY)
    shutil.copy2(PROJECT / "dbt_project.yml", home)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BOARD_SECRET", SECRET)
        patch.setenv("CADRAN_JOURNAL", str(home / "journal"))
        port = _free_port()
        settings = Settings(
            port=port, flight_port=None, policy=home / "policy.yml", tokens=home / "tokens.json",
            audit=home / "audit", warm=False,
            oidc=Provider(
                provider.issuer, "api", f"{provider.issuer}/keys", writers=("sales",),
                client=Client("board", f"{ADDRESS}:{port}/", "BOARD_SECRET"),
            ),
        )  # fmt: skip
        project = artifacts.Project(guarded, guarded.parents[1] / "guarded.duckdb", home)
        with serving(project, settings) as running:
            yield running.http


def _free_port():
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        return server.server_port


@pytest.fixture
def browser(address, provider):
    provider.claims, provider.back = {}, {}
    provider.codes.clear()
    with httpx.Client(base_url=address, timeout=60) as client:
        yield client


@contextmanager
def at(thing, **values):
    before = {name: getattr(thing, name) for name in values}
    for name, value in values.items():
        setattr(thing, name, value)
    yield
    for name, value in before.items():
        setattr(thing, name, value)


def begun(browser, to="/board/kpis?lang=en"):
    """The way back from the provider, for a sign-in that a browser began."""
    away = browser.get("/board/sign-in/start", params={"to": to})
    assert away.status_code == 303
    return httpx.get(away.headers["location"]).headers["location"]


def test_a_reader_signs_in_reads_writes_a_note_and_signs_out(browser, provider):
    away = browser.get("/board/kpis?lang=en")
    form = browser.get(away.headers["location"]).text
    assert f"Sign in at {urlsplit(provider.issuer).netloc}" in form
    assert 'href="/board/sign-in/start?lang=en&amp;to=%2Fboard%2Fkpis%3Flang%3Den"' in form
    reply = browser.get(begun(browser))
    assert (reply.status_code, reply.headers["location"]) == (303, "/board/kpis?lang=en")
    (cookie,) = [c for c in reply.headers.get_list("set-cookie") if c.startswith(sign_in.SESSION)]
    assert {"httponly", "samesite=lax", "path=/board"} <= {
        part.strip().lower() for part in cookie.split(";")
    }
    assert "ana@example.com" not in cookie
    page = browser.get("/board/kpis/revenue?lang=en")
    assert page.status_code == 200
    assert 'action="/board/notes?' in page.text
    note = {"kpi": "revenue", "period": "2026-02", "text": "Said by a login.", "to": "/board"}
    foreign = {"sec-fetch-site": "cross-site"}
    assert browser.post("/board/notes", data=note, headers=foreign).status_code == 403
    assert browser.post("/board/notes", data=note).status_code == 303
    page = browser.get("/board/kpis/revenue?lang=en&period=2026-02").text
    assert "Said by a login." in page
    assert "ana@example.com" in page
    session = browser.cookies[sign_in.SESSION]
    assert browser.post("/board/sign-out", headers=foreign).status_code == 403
    left = browser.post("/board/sign-out")
    assert f"{provider.issuer}/end" in browser.get(left.headers["location"]).text
    stolen = {"cookie": f"{sign_in.SESSION}={session}"}
    assert browser.get("/board/kpis", headers=stolen).status_code == 303


def test_who_has_another_role_sees_what_it_says_and_writes_nothing(browser, provider):
    with at(provider, claims={"roles": ["other"]}):
        browser.get(begun(browser))
    page = browser.get("/board/kpis?lang=en").text
    assert "Revenue" in page
    assert "Satisfaction" not in page
    assert 'action="/board/notes?' not in browser.get("/board/kpis/revenue").text
    note = {"kpi": "revenue", "period": "2026-02", "text": "No.", "to": "/board"}
    assert browser.post("/board/notes", data=note).status_code == 403


@pytest.mark.parametrize(
    "to", ["https://evil.example", "//evil.example", "/board\\evil", "/board/../x", "/api/v1"]
)
def test_a_sign_in_leads_to_pages_of_the_board_alone(browser, to):
    assert browser.get(begun(browser, to)).headers["location"] == "/board"


def refused(browser, address, sentence, status=401):
    reply = browser.get(address)
    assert reply.status_code == status, reply.text
    assert sentence in reply.text
    assert sign_in.SESSION not in browser.cookies


def test_a_way_back_holds_once_and_for_the_browser_that_began_it(browser, address):
    back = begun(browser)
    with httpx.Client(base_url=address) as other:
        refused(other, back, "begun in another browser")
        other.get("/board/sign-in/start")
        refused(other, back, "begun in another browser")
    refused(browser, back, "used before")  # it was shown to somebody else
    refused(browser, "/board/sign-in/back?state=made-up&code=x", "begin it again")
    fine = begun(browser)
    assert browser.get(fine).status_code == 303
    browser.cookies.delete(sign_in.SESSION)
    refused(browser, fine, "used before")


@pytest.mark.parametrize(
    ("claims", "sentence"),
    [
        ({"nonce": "of another sign-in"}, "is not of this sign-in"),
        ({"aud": "api"}, "The token is not known here."),
        ({"aud": ["board", "x"], "azp": "x"}, "is not of this sign-in"),
        ({"iss": "https://evil.example"}, "The token is not known here."),
        ({"exp": 1}, "has expired"),
        ({"email": "a\x00b"}, "says no name"),
    ],
)
def test_an_id_token_that_is_of_something_else_signs_nobody_in(browser, provider, claims, sentence):
    with at(provider, claims={**claims}):
        refused(browser, begun(browser), sentence)


@pytest.mark.parametrize(
    ("back", "sentence"),
    [
        ({"error": "access_denied", "error_description": "Ask <your> admin"},
         "The provider refused the sign-in (access_denied: Ask &lt;your&gt; admin)."),
        ({"code": "another"}, "refused the sign-in (invalid_grant: &lt;b&gt;no&lt;/b&gt;such)."),
        ({"iss": "https://evil.example"}, "Another provider answered"),
    ],
)  # fmt: skip
def test_what_the_provider_says_against_it_is_told_in_a_sentence(browser, provider, back, sentence):
    with at(provider, back=back):
        refused(browser, begun(browser), sentence)


def test_what_is_wrong_is_told_in_the_language_of_the_page(browser, provider):
    french = {"accept-language": "fr"}

    def told(address, **more):
        return html.unescape(browser.get(address, headers=french, **more).text)

    with at(provider, back={"error": "access_denied"}):
        page = told(begun(browser))
    assert "a refusé l\N{RIGHT SINGLE QUOTATION MARK}identification (access_denied)." in page
    assert "The provider" not in page
    assert "dans un autre navigateur" in told("/board/sign-in/back?state=made-up&code=x")
    with at(provider, claims={"exp": 1}):
        assert "identification a expiré : recommencez." in told(begun(browser))
    reply = browser.post("/board/sign-in?lang=fr", data={"token": "cadran_none"})
    assert "est pas connu ici." in html.unescape(reply.text)
    # What has no words of its own is told by its kind, with the sentence itself beside it.
    browser.get(begun(browser))
    page = told("/board/kpis/nothing")
    assert "existe pas, ou ne vous est pas montré." in page
    assert """lang="en">There is no KPI 'nothing'""" in page
    assert "Ce nom" not in browser.get("/board/kpis/nothing?lang=en").text
    assert problems.TITLES.keys() <= words("problems", "fr").keys()


def test_a_verifier_that_is_not_that_of_the_challenge_signs_nobody_in(browser, provider):
    back = begun(browser)
    (asked,) = provider.codes.values()
    asked["code_challenge"] = "of another sign-in"
    refused(browser, back, "invalid_grant")


def test_a_provider_that_is_away_or_drips_is_told_of_in_time_and_holds_up_nobody(
    guarded, tmp_path, monkeypatch
):
    monkeypatch.setattr(sign_in, "_WAIT", 0.5)
    (tmp_path / "policy.yml").write_text(POLICY)

    class Drips(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.end_headers()
            for _ in range(200):
                with contextlib.suppress(OSError):  # the board has gone
                    self.wfile.write(b" ")
                    self.wfile.flush()
                    time.sleep(0.1)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Drips)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    issuer = f"{ADDRESS}:{server.server_port}"
    settings = Settings(
        port=0, flight_port=None, policy=tmp_path / "policy.yml", tokens=tmp_path / "tokens.json",
        audit=tmp_path / "audit", warm=False,
        oidc=Provider(issuer, "api", f"{issuer}/keys", client=Client("board", ADDRESS)),
    )  # fmt: skip
    project = artifacts.find(None, guarded, guarded.parents[1] / "guarded.duckdb")
    with serving(project, settings) as running, httpx.Client(base_url=running.http) as client:
        replies = []
        waiting = threading.Thread(
            target=lambda: replies.append(httpx.get(f"{running.http}/board/sign-in/start"))
        )
        waiting.start()
        began = time.monotonic()
        assert client.get("/health/live").status_code == 200
        assert waiting.is_alive()  # who asks something else does not wait with it
        waiting.join()
        assert time.monotonic() - began < 10
    server.shutdown()
    server.server_close()
    assert replies[0].status_code == 502
    assert "cannot be reached: TimeoutError" in replies[0].text


def test_a_secret_that_is_not_there_is_missed_when_the_server_starts(guarded, tmp_path):
    client = Client("board", "https://kpis.example.com", "NO_SUCH_SECRET")
    provider = Provider("https://x", "api", "https://127.0.0.1:1/keys", client=client)
    settings = Settings(port=0, flight_port=None, tokens=tmp_path / "t.json", oidc=provider)
    project = artifacts.find(None, guarded, guarded.parents[1] / "guarded.duckdb")
    with (
        pytest.raises(PolicyError, match="variable NO_SUCH_SECRET, which is empty or not there"),
        serving(project, settings),
    ):
        pass

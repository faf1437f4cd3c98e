"""Who asks: tokens of a file, and logins checked against a provider's keys over real HTTP."""

from __future__ import annotations

import contextlib
import datetime as dt
import http.server
import json
import stat
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from cadran.access import authentication, authorize, tokens
from cadran.access.caller import LOCAL, Limits
from cadran.cli import main
from cadran.errors import PolicyError, ProjectError, UnauthenticatedError, UnknownNameError
from cadran.formats.strict_yaml import parsed_as
from cadran.server import settings

NOW = dt.datetime.now(dt.UTC).replace(microsecond=0)


@pytest.fixture
def file(tmp_path):
    return tmp_path / "cadran_tokens.json"


def refusal(who, bearer):
    with pytest.raises(UnauthenticatedError) as caught:
        who.caller(bearer)
    sentence = str(caught.value)
    assert not bearer or bearer not in sentence
    assert sentence.count(". ") == 0
    return sentence


def hurry(monkeypatch):
    monkeypatch.setattr(authentication, "_LOOK", 0.0)


# Tokens ----------------------------------------------------------------------------------------


def test_a_token_says_who_asks_with_which_roles_and_limits(file):
    secret, token = tokens.create(
        file, "dashboard", roles=("france", "board"), limits=Limits(rows=10), expires=None
    )
    caller = authentication.Bearers(file).caller(secret)
    assert (caller.name, caller.roles, caller.token) == ("dashboard", ("france", "board"), token.id)
    assert caller.limits == Limits(rows=10)
    assert caller.scopes == {"query", "metadata"}


def test_the_file_is_its_owners_and_holds_no_token(file):
    secret, token = tokens.create(file, "a")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    text = file.read_text()
    assert secret not in text
    assert secret.removeprefix("cadran_") not in text
    assert token.last == secret[-4:]
    assert len(secret) == len("cadran_") + 43  # 256 bits
    assert secret != tokens.create(file, "b")[0]
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_an_unknown_an_expired_and_a_revoked_token_are_refused_in_one_sentence(file):
    past, _ = tokens.create(file, "late", expires=NOW - dt.timedelta(seconds=1))
    gone, token = tokens.create(file, "gone")
    assert tokens.revoke(file, token.id)[0].name == "gone"
    who = authentication.Bearers(file)
    assert refusal(who, past).startswith("The token of late")
    assert "expired" in refusal(who, past)
    assert "revoked" in refusal(who, gone)
    assert refusal(who, "cadran_" + "x" * 43) == "The token is not known here."
    assert refusal(who, "cadran_é\udc80") == "The token is not known here."
    assert "longer" in refusal(who, "x" * 20_000)
    assert "needs a token" in refusal(who, None)


def test_a_token_that_is_made_or_revoked_is_seen_by_a_running_server(file, monkeypatch):
    hurry(monkeypatch)
    first, _ = tokens.create(file, "first")
    who = authentication.Bearers(file)
    second, _ = tokens.create(file, "second")
    assert who.caller(second).name == "second"
    tokens.revoke(file, "first")
    refusal(who, first)
    assert who.caller(second).name == "second"


def test_the_file_is_looked_at_once_a_second_at_most(file, monkeypatch):
    secret, _ = tokens.create(file, "a")
    who = authentication.Bearers(file)
    looks = []
    real = authentication.os.stat
    monkeypatch.setattr(authentication.os, "stat", lambda path: looks.append(path) or real(path))
    begun = time.perf_counter()
    for _ in range(2000):
        who.caller(secret)
    assert len(looks) <= 1 + (time.perf_counter() - begun)


def test_a_broken_file_lets_in_who_was_known_and_nobody_new(file, monkeypatch):
    hurry(monkeypatch)
    secret, _ = tokens.create(file, "a")
    who = authentication.Bearers(file)
    file.write_text("{")
    assert who.caller(secret).name == "a"
    with pytest.raises(PolicyError, match="damaged"):
        authentication.Bearers(file)


def test_without_a_file_anybody_may_ask_until_there_is_one_and_never_again(file, monkeypatch):
    hurry(monkeypatch)
    who = authorize.authenticator(file, None)
    assert who.open
    assert who.caller("whatever") is LOCAL
    secret, _ = tokens.create(file, "a")
    assert not who.open
    refusal(who, "whatever")
    assert who.caller(secret).name == "a"
    file.unlink()
    refusal(who, secret)
    assert not who.open


def test_many_writers_at_once_lose_no_token(file):
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda at: tokens.create(file, f"t{at}")[0], range(40)))
    who = authentication.Bearers(file)
    assert {who.caller(secret).name for secret in made} == {f"t{at}" for at in range(40)}


def test_the_command_shows_a_token_once_and_lists_it_without(file, tmp_path, capsys):
    place = ["--tokens", str(file), "--project-dir", str(tmp_path)]
    (tmp_path / "cadran_policy.yml").write_text("roles: {board: {metrics: '*'}}")
    made = ["token", "create", "bi", *place, "--role", "board", "--per-minute", "600"]
    assert main([*made, "--expires", "2h"]) == 0
    out = capsys.readouterr()
    secret = out.out.strip()
    assert secret.startswith("cadran_")
    assert secret not in out.err
    assert main(["token", "list", *place, "--format", "json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert (row["name"], row["state"], row["roles"]) == ("bi", "holds", ["board"])
    assert row["limits"] == {"per_minute": 600}
    left = dt.datetime.fromisoformat(row["expires"]) - dt.datetime.now(dt.UTC)
    assert dt.timedelta(hours=1.9) < left < dt.timedelta(hours=2.1)
    assert main(["token", "revoke", row["id"], *place]) == 0
    assert authentication.Bearers(file)._by_hash[tokens.hashed(secret)].ended(NOW) == "revoked"
    capsys.readouterr()
    for wrong, sentence in (
        (["token", "create", "bi", "--role", "bord"], "Did you mean 'board'"),
        (["token", "create", "bi", "--expires", "soon"], "it takes 12h"),
        (["token", "create", "bi", "--expires", "1m"], "6mo"),
        (["token", "create", "bi", "--expires", "2020-01-01"], "has passed"),
        (["token", "create", " "], "needs a name"),
        (["token", "revoke", "bo"], "There is no token 'bo'"),
    ):
        assert main([*wrong, *place]) == 2
        assert sentence in capsys.readouterr().err


def test_a_scope_that_does_not_exist_is_refused(file):
    with pytest.raises(UnknownNameError, match="scope"):
        tokens.create(file, "a", scopes=("everything",))


# Logins ----------------------------------------------------------------------------------------


class Provider:
    """An identity provider on this machine: its keys over HTTP, and logins signed by them."""

    def __init__(self):
        self.rsa = {kid: rsa.generate_private_key(65537, 2048) for kid in ("r1", "r2")}
        self.ec = ec.generate_private_key(ec.SECP256R1())
        self.published = ["r1", "e1"]
        self.fetched = 0

    def keys(self):
        found = []
        for kid in self.published:
            key = self.ec if kid == "e1" else self.rsa[kid]
            algorithm = jwt.algorithms.ECAlgorithm if kid == "e1" else jwt.algorithms.RSAAlgorithm
            found.append(
                json.loads(algorithm.to_jwk(key.public_key()))
                | {"kid": kid, "use": "sig", "alg": "ES256" if kid == "e1" else "RS256"}
            )
        return json.dumps({"keys": found}).encode()

    def login(self, *, kid="r1", key=None, alg=None, **claims):
        key = key or (self.ec if kid == "e1" else self.rsa[kid])
        given = {
            "iss": "https://login.example.com", "aud": ["cadran", "other"], "sub": "42",
            "email": "ana@example.com", "exp": time.time() + 600, "groups": ["fr", "unheard_of"],
        } | claims  # fmt: skip
        given = {name: value for name, value in given.items() if value is not None}
        alg = alg or ("ES256" if kid == "e1" else "RS256")
        return jwt.encode(given, key, algorithm=alg, headers={"kid": kid})


@pytest.fixture(scope="module")
def keys():
    return Provider()


@pytest.fixture
def provider(keys):
    keys.published, keys.fetched = ["r1", "e1"], 0

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            keys.fetched += 1
            body = keys.keys()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    keys.url = f"http://127.0.0.1:{server.server_port}/keys"
    yield keys
    server.shutdown()
    thread.join()
    server.server_close()


def described(url, **more):
    content = {
        "issuer": "https://login.example.com", "audience": "cadran", "jwks_url": url,
        "roles_claim": "groups", **more,
    }  # fmt: skip
    return parsed_as(authentication.Provider, content, "cadran_server.yml", ProjectError)


@pytest.fixture
def who(provider, file):
    return authorize.authenticator(file, described(provider.url, roles={"fr": "france"}))


def test_a_login_says_who_asks_and_its_roles_in_the_policys_words(who, provider):
    for kid in ("r1", "e1"):
        caller = who.caller(provider.login(kid=kid))
        assert (caller.name, caller.roles) == ("ana@example.com", ("france",))
        assert caller.scopes == {"query", "metadata"}
    assert not who.open
    assert who.caller(provider.login(email=None)).name == "42"


def test_roles_may_stand_deeper_and_in_words(provider, file):
    logins = described(provider.url, roles_claim="realm_access.roles")
    who = authorize.authenticator(file, logins)
    nested = who.caller(provider.login(realm_access={"roles": ["a", "b"]}))
    assert nested.roles == ("a", "b")
    assert who.caller(provider.login(realm_access={"roles": "a b"})).roles == ("a", "b")
    assert who.caller(provider.login(realm_access="x")).roles == ()


def test_a_login_that_is_not_of_this_provider_for_this_server_and_of_now_is_refused(who, provider):
    other = rsa.generate_private_key(65537, 2048)
    header, body, signature = provider.login().split(".")
    for bearer in (
        provider.login(iss="https://evil.example.com"),
        provider.login(aud="another"),
        provider.login(aud=None),
        provider.login(exp=None),
        provider.login(iss=None),
        provider.login(exp=time.time() - 60),
        provider.login(nbf=time.time() + 600),
        provider.login(key=other),
        provider.login(kid="r2"),
        jwt.encode({"sub": "42"}, "", algorithm="none"),
        provider.login(kid="r1", key="x" * 32, alg="HS256"),
        provider.login(kid="e1", key=provider.rsa["r1"], alg="RS256"),
        f"{header}.{body[:-2]}xx.{signature}",
        f"{header}.{body}.",
        "a.b.c",
        "no token at all",
    ):
        refusal(who, bearer)


def test_a_new_key_is_fetched_when_it_is_first_met_and_a_withdrawn_one_lets_nobody_in(
    who, provider, monkeypatch
):
    monkeypatch.setattr(authentication, "_PAUSE", 0.0)
    old = provider.login()
    assert who.caller(old).name == "ana@example.com"
    provider.published = ["r2"]
    assert who.caller(provider.login(kid="r2")).name == "ana@example.com"
    refusal(who, old)


def test_a_key_that_was_withdrawn_lets_nobody_in_who_was_known(who, provider, monkeypatch):
    known = provider.login()
    for _ in range(2):
        who.caller(known)
    assert not who.waits(known)
    provider.published = ["e1"]
    monkeypatch.setattr(authentication, "_PAUSE", 0.0)
    monkeypatch.setattr(authentication, "_FRESH", 0.0)
    with contextlib.suppress(UnauthenticatedError):
        who.caller(known)  # the keys are fetched beside
    for _ in range(100):
        if who.waits(known):
            break
        time.sleep(0.02)
    refusal(who, known)


def test_a_key_that_was_replaced_under_its_name_lets_nobody_in(who, provider, monkeypatch):
    known = provider.login()
    who.caller(known)
    before = provider.rsa["r1"]
    monkeypatch.setattr(authentication, "_PAUSE", 0.0)
    monkeypatch.setitem(provider.rsa, "r1", provider.rsa["r2"])
    who.caller(provider.login(kid="e1"))
    refusal(who, jwt.encode({}, before, "RS256", {"kid": "no such key"}))  # fetches again
    refusal(who, known)


def test_keys_that_were_not_seen_for_a_day_hold_no_more(who, provider, monkeypatch):
    known = provider.login()
    who.caller(known)
    monkeypatch.setattr(authentication, "_keys", lambda _: (_ for _ in ()).throw(OSError("away")))
    monkeypatch.setattr(authentication, "_STALE", 0.0)
    refusal(who, known)


@pytest.mark.parametrize("exp", [10**30, 1e300, float("inf"), float("nan"), 2_900_000_000.0])
def test_a_login_that_holds_for_ages_is_refused(who, provider, exp):
    refusal(who, provider.login(exp=exp))


def test_a_key_address_that_drips_holds_up_its_own_login_only(who, provider, monkeypatch):
    who.caller(provider.login())
    who.caller(provider.login())
    monkeypatch.setattr(authentication, "_PAUSE", 0.0)
    monkeypatch.setattr(authentication, "_WAIT", 0.2)
    ready = threading.Event()
    monkeypatch.setattr(authentication, "_keys", lambda _: ready.wait(30) and {})
    begun = time.monotonic()
    for at in range(8):
        made_up = jwt.encode({}, provider.rsa["r2"], "RS256", {"kid": f"made-up-{at}"})
        assert who.waits(made_up)
        refusal(who, made_up)
    assert time.monotonic() - begun < 8
    assert sum(thread.name == "keys" for thread in threading.enumerate()) <= 5
    assert who.caller(provider.login()).name == "ana@example.com"
    ready.set()


def test_made_up_logins_do_not_make_the_server_fetch_again_and_again(who, provider):
    who.caller(provider.login())
    for at in range(50):
        refusal(who, provider.login(kid="r1").replace("eyJ", "eyJ", 1) + "x" if at % 2 else
                jwt.encode({}, provider.rsa["r2"], "RS256", {"kid": f"made-up-{at}"}))  # fmt: skip
    assert provider.fetched <= 2


def test_while_the_provider_is_away_those_who_are_known_go_on(who, provider, monkeypatch):
    known = provider.login()
    who.caller(known)
    monkeypatch.setattr(authentication, "_PAUSE", 0.0)
    monkeypatch.setattr(authentication, "_keys", lambda _: (_ for _ in ()).throw(OSError("away")))
    assert who.caller(known).name == "ana@example.com"
    assert who.caller(provider.login(email="ben@example.com")).name == "ben@example.com"
    refusal(who, provider.login(kid="r2"))


def test_tokens_and_logins_are_accepted_side_by_side(who, provider, file, monkeypatch):
    hurry(monkeypatch)
    secret, _ = tokens.create(file, "dashboard")
    assert who.caller(secret).name == "dashboard"
    assert who.caller(provider.login()).name == "ana@example.com"


def test_settings_of_logins_are_read_strictly(tmp_path):
    def read(text):
        (tmp_path / "cadran_server.yml").write_text(text)
        return settings.read(tmp_path, {})

    good = "oidc: {issuer: a, audience: b, jwks_url: 'https://x/keys', name_claim: upn}"
    assert read(good).oidc == authentication.Provider("a", "b", "https://x/keys", name_claim="upn")
    for text, sentence in (
        ("oidc: {issuer: a, audience: b}", "key 'oidc.jwks_url': is missing"),
        ("oidc: {issuer: a, audience: b, jwks_url: 'http://x/keys'}", "is not https"),
        ("oidc: {issuer: a, audience: b, jwks_url: 'https://x', isuer: c}", "did you mean"),
        ("oidc: yes", "it takes keys and values: issuer"),
    ):
        with pytest.raises((PolicyError, ProjectError), match="cadran_server") as caught:
            read(text)
        assert sentence in str(caught.value)
    with contextlib.suppress(FileNotFoundError):
        (tmp_path / "cadran_server.yml").unlink()
    assert settings.read(tmp_path, {}).oidc is None

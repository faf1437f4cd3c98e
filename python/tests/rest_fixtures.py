"""A real server on the demo, for tests that speak HTTP to it: a plugin of the modules that do."""

from __future__ import annotations

from dataclasses import replace

import httpx
import pytest

from cadran.access.caller import Caller
from cadran.core.project import artifacts
from cadran.errors import UnauthenticatedError
from cadran.server.run import serving
from cadran.server.settings import Settings

QUIET = Settings(port=0, flight_port=None, warm=False, refresh=0.0)
TOKENS = {
    "asks": Caller("asks", scopes=frozenset({"query"}), token="1"),  # noqa: S106 - identifiers
    "reads": Caller("reads", scopes=frozenset({"metadata"}), token="t2"),  # noqa: S106 - identifiers
    "rules": Caller("rules", token="t3"),  # noqa: S106 - identifiers
}


class Known:
    """Knows three callers, each by its name as its token."""

    open = False

    def waits(self, bearer):  # noqa: ARG002
        return False

    def caller(self, bearer):
        if bearer not in TOKENS:
            raise UnauthenticatedError("The token is unknown.")
        return TOKENS[bearer]


@pytest.fixture(scope="session")
def rest_project(demo):
    """The demo as a project that can be served."""
    assert demo.returncode == 0, demo.log[-3000:]
    return artifacts.find(None, demo.target / "semantic_manifest.json", demo.database)


@pytest.fixture(scope="session")
def another(tmp_path_factory):
    """What starts one more server of a project, with other settings."""

    def start(served, **settings):
        home = tmp_path_factory.mktemp("server")
        apart = {"tokens": home / "tokens.json", "policy": home / "policy.yml"}
        return serving(served, replace(QUIET, audit=home / "audit", **apart, **settings))

    return start


@pytest.fixture(scope="session")
def rest_server(rest_project, another):
    """A server of the demo, open as on loopback without tokens."""
    with another(rest_project) as running:
        yield running


@pytest.fixture(scope="session")
def rest(rest_server):
    """A client of it."""
    with httpx.Client(base_url=f"{rest_server.http}/api/v1", timeout=30) as made:
        yield made


@pytest.fixture
def known():
    """An authenticator that knows three callers, each by its name as its token."""
    return Known()

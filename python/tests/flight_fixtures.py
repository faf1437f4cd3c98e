"""Servers that the tests of Flight SQL ask: one that lets anybody in, one with tokens and TLS."""

from __future__ import annotations

import datetime as dt
import ipaddress
from contextlib import ExitStack, contextmanager

import pytest
from adbc_driver_manager import AdbcStatusCode, Error
from flight_clients import SECRETS, connect

from cadran.access import authorize
from cadran.access.caller import Caller
from cadran.core.project.artifacts import find
from cadran.errors import UnauthenticatedError
from cadran.server.run import serving
from cadran.server.settings import Settings


@pytest.fixture(scope="session")
def flight_server(demo, layer):  # noqa: ARG001 - `layer` holds that the demo was built
    """A server that lets anybody in."""
    with server(demo) as running:
        yield running


@pytest.fixture(scope="session")
def guarded_flight(demo, layer, tmp_path_factory):  # noqa: ARG001 - as above
    """A server with tokens for alice and bob, TLS and a single worker."""
    with guarded_server(demo, tmp_path_factory.mktemp("tls")) as running:
        yield running


@pytest.fixture(scope="session")
def flight_connection(flight_server):
    """A connection of ADBC to the server that lets anybody in."""
    with connect(flight_server) as opened:
        yield opened


@pytest.fixture
def flight(flight_connection):
    """The rows of a statement."""

    def asked(sql):
        with flight_connection.cursor() as cursor:
            cursor.execute(sql)
            return cursor.fetch_arrow_table()

    return asked


@pytest.fixture
def flight_refusal(flight):
    """The sentence with which a statement is refused, free of what a client must not see."""

    def asked(sql):
        with pytest.raises(Error) as caught:
            flight(sql)
        assert caught.value.status_code == AdbcStatusCode.INVALID_ARGUMENT, caught.value
        sentence = str(caught.value)
        assert not [word for word in SECRETS if word in sentence]
        return sentence

    return asked


@contextmanager
def server(demo, **settings):
    """A server of the demo on free ports, without warm-up."""
    project = find(None, demo.target / "semantic_manifest.json", demo.database)
    given = {"port": 0, "flight_port": 0, "warm": False, "refresh": 0}
    with serving(project, Settings(**(given | settings))) as running:
        yield running


class TwoTokens:
    """Knows alice and bob by their tokens, and nobody else."""

    open = False

    def waits(self, bearer):  # noqa: ARG002
        return False

    def caller(self, bearer):
        if bearer not in ("for-alice", "for-bob"):
            raise UnauthenticatedError("The token is not known here.")
        return Caller(bearer.removeprefix("for-"), token=bearer[4:7])


@contextmanager
def guarded_server(demo, folder):
    """One with two tokens, TLS by a certificate of its own, and a single worker."""
    certificate, key = self_signed(folder)
    before = authorize.authenticator
    authorize.authenticator = lambda *_: TwoTokens()
    with ExitStack() as stack:
        try:
            running = stack.enter_context(server(demo, certificate=certificate, key=key, workers=1))
        finally:
            authorize.authenticator = before
        yield running


def self_signed(folder):
    """A certificate for 127.0.0.1 and its key, as PEM files."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]),
            critical=False,
        )
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    files = folder / "server.pem", folder / "server.key"
    files[0].write_bytes(certificate.public_bytes(pem))
    files[1].write_bytes(
        key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return files

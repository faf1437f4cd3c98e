"""Flight SQL message by message: who may ask, what a ticket holds, and what is broken."""

from __future__ import annotations

import base64
import time
from types import SimpleNamespace

import adbc_driver_flightsql.dbapi as flightsql
import grpc
import pyarrow as pa
import pytest
from adbc_driver_flightsql import DatabaseOptions
from adbc_driver_manager import AdbcStatusCode, DatabaseError, Error
from flight_clients import SECRETS, connect
from google.protobuf.any_pb2 import Any

from cadran.access.caller import Caller
from cadran.errors import UnauthenticatedError
from cadran.server.flight.messages import decoded, encoded, packed, unpacked
from cadran.server.flight.promises import EndedError, Promises
from cadran.server.flight.rows import of_table
from cadran.server.flight.server import FlightService

pytest_plugins = ["flight_fixtures"]
_NAME = "/arrow.flight.protocol.FlightService/"


@pytest.fixture
def bare(guarded_flight):
    """Calls of bare gRPC: a method, a message, and who asks."""
    certificate = guarded_flight.server_context.settings.tls[0].read_bytes()
    address = guarded_flight.flight.removeprefix("grpc+tls://")
    with grpc.secure_channel(address, grpc.ssl_channel_credentials(certificate)) as channel:

        def call(method, message, who="alice", *, several=False):
            told = [("authorization", f"Bearer for-{who}")] if who else []
            kind = channel.unary_stream if several else channel.unary_unary
            done = kind(_NAME + method)(message, metadata=told, timeout=20)
            return list(done) if several else done

        call.channel = channel
        yield call


def command(name, **fields):
    return encoded("FlightDescriptor", type=2, cmd=packed(name, **fields))


def raw_command(name, data=b""):
    """A command whose bytes need not be a message of that name."""
    kind = f"type.googleapis.com/arrow.flight.protocol.sql.{name}"
    return encoded(
        "FlightDescriptor", type=2, cmd=Any(type_url=kind, value=data).SerializeToString()
    )


def action(kind, body):
    return encoded("Action", type=kind, body=body)


def statement(sql):
    return command("CommandStatementQuery", query=sql)


def ticket_of(info):
    [endpoint] = decoded("FlightInfo", info).endpoint
    return endpoint.ticket.SerializeToString()


_TINY = "{{ semantic_layer.query(metrics=['order_count']) }}"


def test_tls_and_a_known_token_are_needed(guarded_flight):
    with connect(guarded_flight, "for-bob") as opened, opened.cursor() as cursor:
        cursor.execute(_TINY)
        assert cursor.fetchone()[0] > 0
    with connect(guarded_flight, "for-nobody") as opened, opened.cursor() as cursor:
        with pytest.raises(DatabaseError) as caught:
            cursor.execute(_TINY)
        assert caught.value.status_code == AdbcStatusCode.UNAUTHENTICATED
    plain = guarded_flight.flight.replace("grpc+tls", "grpc")
    with pytest.raises(Error), flightsql.connect(plain, autocommit=True) as opened:
        opened.cursor().execute(_TINY)


def test_a_name_with_a_token_as_its_password_logs_in(guarded_flight):
    certificate = guarded_flight.server_context.settings.tls[0].read_text()
    options = {"username": "alice", DatabaseOptions.TLS_ROOT_CERTS.value: certificate}

    def login(password):
        told = options | {"password": password}
        with flightsql.connect(guarded_flight.flight, db_kwargs=told, autocommit=True) as opened:
            opened.cursor().execute(_TINY)

    login("for-alice")
    with pytest.raises(DatabaseError) as caught:
        login("wrong")
    assert caught.value.status_code == AdbcStatusCode.UNAUTHENTICATED


@pytest.mark.parametrize("name", ["a", "al", "ali"])
def test_a_login_without_padding_is_read_whatever_its_length(name):
    known = []
    server = FlightService(SimpleNamespace(
        service=None, settings=SimpleNamespace(seconds=1), caller=known.append
    ))  # fmt: skip
    login = base64.b64encode(f"{name}:for:alice".encode()).decode()
    assert server.bearer(f"Basic {login.rstrip('=')}") == server.bearer(f"basic {login}")
    assert known == ["Bearer for:alice"] * 2
    with pytest.raises(UnauthenticatedError, match="cannot be read"):
        server.bearer("Basic ?")


def test_a_ticket_is_fetched_twice_by_its_caller_and_by_nobody_else(bare):
    info = bare("GetFlightInfo", statement(_TINY))
    ticket = ticket_of(info)
    first = bare("DoGet", ticket, several=True)
    assert bare("DoGet", ticket, several=True) == first
    for who, told in (("bob", ticket), ("alice", ticket[:-1] + b"x"), ("alice", b"")):
        with pytest.raises(grpc.RpcError) as caught:
            bare("DoGet", told, who, several=True)
        assert caught.value.code() in (
            grpc.StatusCode.NOT_FOUND, grpc.StatusCode.INVALID_ARGUMENT,
        )  # fmt: skip
    with pytest.raises(grpc.RpcError) as caught:
        bare("DoGet", ticket, None, several=True)
    assert caught.value.code() == grpc.StatusCode.UNAUTHENTICATED
    cancel = encoded("CancelFlightInfoRequest", info=decoded("FlightInfo", info))
    bare("DoAction", action("CancelFlightInfo", cancel))
    with pytest.raises(grpc.RpcError, match="ask the question again"):
        bare("DoGet", ticket, several=True)


def test_a_statement_is_prepared_run_twice_and_closed(bare):
    create = packed("ActionCreatePreparedStatementRequest", query=_TINY)
    result = decoded("Result", bare("DoAction", action("CreatePreparedStatement", create)))
    kind, created = unpacked(result.body)
    assert kind == "ActionCreatePreparedStatementResult"
    handle, schema = created.prepared_statement_handle, created.dataset_schema
    assert pa.ipc.read_schema(pa.py_buffer(schema)).names == ["order_count"]
    run = command("CommandPreparedStatementQuery", prepared_statement_handle=handle)
    infos = [bare("GetFlightInfo", run) for _ in range(2)]
    assert all(decoded("FlightInfo", info).schema == schema for info in infos)
    rows = [bare("DoGet", ticket_of(info), several=True) for info in infos]
    assert rows[0] == rows[1]
    assert ticket_of(infos[0]) != ticket_of(infos[1])
    with pytest.raises(grpc.RpcError):
        bare("GetFlightInfo", run, "bob")
    close = packed("ActionClosePreparedStatementRequest", prepared_statement_handle=handle)
    bare("DoAction", action("ClosePreparedStatement", close))
    with pytest.raises(grpc.RpcError, match="no such prepared statement"):
        bare("GetFlightInfo", run)


def test_a_client_that_goes_stops_its_statement(bare):
    endless = (
        "select count(*) from kpi_daily_commerce a, kpi_daily_commerce b, kpi_daily_commerce c,"
        " kpi_daily_commerce d where a.order_count + b.order_count + c.order_count = d.order_count"
    )
    call = bare.channel.unary_unary(_NAME + "GetFlightInfo").future(
        statement(endless), metadata=[("authorization", "Bearer for-alice")]
    )
    time.sleep(1.0)
    assert not call.done()
    call.cancel()
    # The only worker is free again: what is not kept is answered.
    fresh = "{{ semantic_layer.query(metrics=['refund_rate'], read_cache=False) }}"
    assert bare("GetFlightInfo", statement(fresh), "bob")


def _frames():
    good = statement(_TINY)
    yield "GetFlightInfo", b"\xff\xff\xff\xff"
    yield "GetFlightInfo", b""
    yield "GetFlightInfo", b"\x00" * 50
    yield "GetFlightInfo", good[:-5]
    yield "GetFlightInfo", encoded("FlightDescriptor", type=1, path=["a path"])
    yield "GetFlightInfo", encoded("FlightDescriptor", type=2, cmd=b"select 1")
    yield "GetFlightInfo", b"\x08\x02\x10\x07"  # a number where the command should be
    yield "GetFlightInfo", raw_command("CommandStatementQuery", b"\x0a\xff")
    yield "GetFlightInfo", raw_command("CommandStatementQuery", b"\x0a\x02\xff\xfe")
    yield "GetFlightInfo", raw_command("CommandStatementQuery", b"\x08\x03")
    yield "GetFlightInfo", command("CommandStatementQuery")
    yield "GetFlightInfo", command("CommandPreparedStatementQuery", prepared_statement_handle=b"x")
    yield "GetFlightInfo", raw_command("CommandStatementUpdate", b"\x0a\x0cdrop table x")
    yield "GetFlightInfo", raw_command("CommandStatementSubstraitPlan")
    yield "GetFlightInfo", raw_command("CommandOfNobody")
    yield "GetSchema", b"\x12"
    yield "DoGet", b"\xff"
    yield "DoGet", encoded("Ticket", ticket=b"guess")
    yield "DoAction", b"\x0b"
    yield "DoAction", action("BeginTransaction", b"")
    yield "DoAction", b"\x0a\x02\xff\xff"
    yield "DoAction", action("CreatePreparedStatement", b"{}")
    yield "DoAction", action("ClosePreparedStatement", packed("CommandStatementQuery"))
    yield "DoAction", action("CancelFlightInfo", b"\xff")
    yield "PollFlightInfo", good


@pytest.mark.parametrize(("method", "message"), list(_frames()))
def test_a_broken_message_is_refused_with_a_clean_sentence(bare, method, message):
    with pytest.raises(grpc.RpcError) as caught:
        bare(method, message, several=method == "DoGet")
    assert caught.value.code() in (
        grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.UNIMPLEMENTED, grpc.StatusCode.NOT_FOUND,
    )  # fmt: skip
    sentence = caught.value.details()
    assert sentence.endswith(".")
    assert not [word for word in SECRETS if word in sentence]


def test_a_huge_message_and_an_unknown_call_leave_the_server_well(bare):
    with pytest.raises(grpc.RpcError) as caught:
        bare("GetFlightInfo", statement("x" * 3_000_000))
    assert caught.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
    with pytest.raises(grpc.RpcError) as caught:
        bare("NoSuchCall", b"")
    assert caught.value.code() == grpc.StatusCode.UNIMPLEMENTED
    listed = bare("ListActions", b"", several=True)
    assert b"CreatePreparedStatement" in b"".join(listed)
    assert bare("GetFlightInfo", statement(_TINY))


def test_what_went_wrong_inside_stays_inside(bare, guarded_flight, monkeypatch, caplog):
    def breaks(*_):
        raise RuntimeError("secret place")

    monkeypatch.setattr(guarded_flight.server_context.service, "ask", breaks)
    with pytest.raises(grpc.RpcError) as caught:
        bare("GetFlightInfo", statement("{{ semantic_layer.query(metrics=['error_rate']) }}"))
    assert caught.value.code() == grpc.StatusCode.INTERNAL
    sentence = caught.value.details()
    assert "secret" not in sentence
    number = sentence.removesuffix(".").rpartition(" ")[2]
    assert number in caplog.text


def rows_of(messages):
    """The table that FlightData messages hold: an IPC stream without its prefixes."""
    stream = b""
    for message in messages:
        data = decoded("FlightData", message)
        header = data.data_header
        stream += b"\xff\xff\xff\xff" + len(header).to_bytes(4, "little") + header
        stream += data.data_body
    return pa.ipc.open_stream(stream).read_all()


def test_no_message_is_larger_than_a_client_takes():
    wide = pa.table({"text": ["x" * 1_000_000] * 9 + ["y"] * 200, "number": range(209)})
    messages = list(of_table(wide).sent())
    assert max(map(len, messages)) < 4_000_000
    assert rows_of(messages).equals(wide)


def test_rows_arrive_as_they_are_whatever_their_types():
    table = pa.table({
        "coded": pa.array(["a", "b", None, "a"]).dictionary_encode(),
        "list": [["x"], [], None, ["y", "z"]],
        "none": [None] * 4,
        "flag": [True, None, False, True],
    }).slice(1)  # fmt: skip
    ready = of_table(table)
    expected = table.set_column(0, "coded", table["coded"].cast(pa.string()))
    assert rows_of(ready.sent()).equals(expected)
    assert pa.ipc.read_schema(pa.py_buffer(ready.schema)).equals(expected.schema)


def test_promises_end_by_time_by_number_and_by_bytes():
    alice, bob = Caller("alice"), Caller("bob")
    cached = Promises("ticket", seconds=60, most=3, most_bytes=100)
    bobs = cached.give(bob, "bob's", "rows", 90)
    names = [cached.give(alice, number) for number in range(5)]
    assert [cached.get(alice, name) for name in names[2:]] == [2, 3, 4]
    assert cached.get(bob, bobs) == "bob's"  # nobody pushes out what another one was promised
    for caller, name in ((alice, names[1]), (alice, bobs), (bob, names[4]), (alice, b"")):
        with pytest.raises(EndedError, match="ask the question again"):
            cached.get(caller, name)
    same, other = object(), object()
    twice = [cached.give(alice, number, same, 80) for number in range(2)]
    assert cached.get(alice, twice[0]) == 0  # the same rows are weighed once
    newest = cached.give(alice, "more", other, 80)
    assert len(cached) == 2
    assert cached.get(alice, newest) == "more"

    brief = Promises("ticket", seconds=0.01, most=3, most_bytes=100)
    name = brief.give(alice, 1)
    time.sleep(0.02)
    with pytest.raises(EndedError):
        brief.get(alice, name)
    brief.sweep()
    assert len(brief) == 0

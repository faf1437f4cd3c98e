"""The messages of Flight and Flight SQL, as far as they are spoken here.

Their classes are made from the table below when this module is imported, by protobuf itself: name,
and for each field its number and type. `*` is a repeated field, `?` one that may be absent.
"""

from __future__ import annotations

from typing import Any

from google.protobuf import any_pb2, descriptor_pb2, descriptor_pool, message_factory, wrappers_pb2
from google.protobuf.message import DecodeError

from cadran.errors import QueryError

_FLIGHT = "arrow.flight.protocol"
_SQL = f"{_FLIGHT}.sql"
_KEYS = {"catalog": (1, "string?"), "db_schema": (2, "string?"), "table": (3, "string")}
_MESSAGES: dict[str, dict[str, dict[str, tuple[int, str]]]] = {
    _FLIGHT: {
        "FlightDescriptor": {"type": (1, "int32"), "cmd": (2, "bytes?"), "path": (3, "string*")},
        "Ticket": {"ticket": (1, "bytes")},
        "Timestamp": {"seconds": (1, "int64")},
        "FlightEndpoint": {"ticket": (1, "Ticket"), "expiration_time": (3, "Timestamp")},
        "FlightInfo": {
            "schema": (1, "bytes"), "flight_descriptor": (2, "FlightDescriptor"),
            "endpoint": (3, "FlightEndpoint*"), "total_records": (4, "int64"),
            "total_bytes": (5, "int64"),
        },
        "SchemaResult": {"schema": (1, "bytes")},
        "FlightData": {
            "flight_descriptor": (1, "FlightDescriptor"), "data_header": (2, "bytes"),
            "data_body": (1000, "bytes"),
        },
        "Action": {"type": (1, "string"), "body": (2, "bytes")},
        "ActionType": {"type": (1, "string"), "description": (2, "string")},
        "Result": {"body": (1, "bytes")},
        "CancelFlightInfoRequest": {"info": (1, "FlightInfo")},
        "CancelFlightInfoResult": {"status": (1, "int32")},
        "CloseSessionResult": {"status": (1, "int32")},
    },
    _SQL: {
        "CommandStatementQuery": {"query": (1, "string"), "transaction_id": (2, "bytes")},
        "CommandPreparedStatementQuery": {"prepared_statement_handle": (1, "bytes")},
        "CommandGetSqlInfo": {"info": (1, "uint32*")},
        "CommandGetXdbcTypeInfo": {"data_type": (1, "int32?")},
        "CommandGetCatalogs": {},
        "CommandGetDbSchemas": {
            "catalog": (1, "string?"), "db_schema_filter_pattern": (2, "string?"),
        },
        "CommandGetTables": {
            "catalog": (1, "string?"), "db_schema_filter_pattern": (2, "string?"),
            "table_name_filter_pattern": (3, "string?"), "table_types": (4, "string*"),
            "include_schema": (5, "bool"),
        },
        "CommandGetTableTypes": {},
        "CommandGetPrimaryKeys": _KEYS,
        "CommandGetExportedKeys": _KEYS,
        "CommandGetImportedKeys": _KEYS,
        "CommandGetCrossReference": {},
        "ActionCreatePreparedStatementRequest": {
            "query": (1, "string"), "transaction_id": (2, "bytes"),
        },
        "ActionCreatePreparedStatementResult": {
            "prepared_statement_handle": (1, "bytes"), "dataset_schema": (2, "bytes"),
        },
        "ActionClosePreparedStatementRequest": {"prepared_statement_handle": (1, "bytes")},
        "ActionCancelQueryRequest": {"info": (1, "bytes")},
        "ActionCancelQueryResult": {"result": (1, "int32")},
    },
}  # fmt: skip


class WireError(QueryError):
    """Bytes that are no message of the protocol."""


def _classes() -> dict[str, Any]:
    # A pool of its own: another package may know Flight in the default one.
    pool = descriptor_pool.DescriptorPool()
    for package, messages in _MESSAGES.items():
        file = descriptor_pb2.FileDescriptorProto(
            name=f"{package}.proto", package=package, syntax="proto3"
        )
        for name, fields in messages.items():
            described = file.message_type.add(name=name)
            for field, (number, kind) in fields.items():
                _describe(described, package, field, number, kind)
        pool.Add(file)
    return {
        name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{package}.{name}"))
        for package, messages in _MESSAGES.items()
        for name in messages
    }


def _describe(message: Any, package: str, name: str, number: int, kind: str) -> None:
    proto = descriptor_pb2.FieldDescriptorProto
    base = kind.rstrip("*?")
    field = message.field.add(name=name, number=number)
    field.label = proto.LABEL_REPEATED if kind.endswith("*") else proto.LABEL_OPTIONAL
    if base[0].isupper():
        field.type, field.type_name = proto.TYPE_MESSAGE, f".{package}.{base}"
    else:
        field.type = proto.Type.Value(f"TYPE_{base.upper()}")
    if kind.endswith("?"):
        field.proto3_optional, field.oneof_index = True, len(message.oneof_decl)
        message.oneof_decl.add(name=f"_{name}")


_CLASSES = _classes()


def message(name: str, /, **fields: Any) -> Any:
    """A message of this name with these fields."""
    return _CLASSES[name](**fields)


def encoded(name: str, /, **fields: Any) -> bytes:
    """A message of this name with these fields, as bytes."""
    text: bytes = message(name, **fields).SerializeToString()
    return text


def _varint(number: int) -> bytes:
    with_tag: bytes = wrappers_pb2.UInt64Value(value=number).SerializeToString()
    return with_tag[1:]


_BODY = _varint(_MESSAGES[_FLIGHT]["FlightData"]["data_body"][0] << 3 | 2)


def flight_data(header: bytes, body: memoryview) -> bytes:
    """FlightData as bytes; the body, which may be long, is copied once and not three times."""
    head = encoded("FlightData", data_header=header)
    return b"".join((head, _BODY, _varint(len(body)), body)) if len(body) else head


def decoded(name: str, data: bytes) -> Any:
    """The message of this name that the bytes are.

    Raises:
        WireError: they are none.
    """
    try:
        return _CLASSES[name].FromString(data)
    except DecodeError:
        raise WireError(f"The message cannot be read: it is no {name}.") from None


def packed(name: str, /, **fields: Any) -> bytes:
    """A message of Flight SQL within `google.protobuf.Any`, as bytes."""
    wrapped = any_pb2.Any()
    wrapped.Pack(message(name, **fields))
    data: bytes = wrapped.SerializeToString()
    return data


def unpacked(data: bytes) -> tuple[str, Any]:
    """The name and the message within `google.protobuf.Any`; None for one not spoken here.

    Raises:
        WireError: the bytes are none.
    """
    try:
        wrapped = any_pb2.Any.FromString(data)
    except DecodeError:
        raise WireError("The message cannot be read: it is no command of Flight SQL.") from None
    package, _, name = wrapped.TypeName().rpartition(".")
    if package not in _MESSAGES:
        raise WireError("The message does not say which command of Flight SQL it is.")
    return name, decoded(name, wrapped.value) if name in _MESSAGES[package] else None


def optional(message: Any, field: str) -> Any:
    """A field that may be absent; None where it is."""
    return getattr(message, field) if message.HasField(field) else None

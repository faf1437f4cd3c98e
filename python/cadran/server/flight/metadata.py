"""What a tool may learn of the server: its abilities, and the KPI tables as views of one schema."""

from __future__ import annotations

import re
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from cadran.server.flight.messages import optional
from cadran.server.flight.sql import CATALOG, SCHEMA

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from cadran.access.caller import Caller
    from cadran.server.flight.results import Answering
    from cadran.serving.execution import Cancellation

_VIEW = "VIEW"
_NO, _NAME = False, pa.string()


def _fields(**kinds: pa.DataType) -> pa.Schema:
    """A schema of columns that are never NULL; drivers compare even that with the protocol."""
    return pa.schema([pa.field(name, kind, nullable=False) for name, kind in kinds.items()])


_INFO_VALUE = pa.dense_union([
    pa.field("string_value", pa.string()), pa.field("bool_value", pa.bool_()),
    pa.field("bigint_value", pa.int64()), pa.field("int32_bitmask", pa.int32()),
    pa.field("string_list", pa.list_(pa.string())),
    pa.field("int32_to_int32_list_map", pa.map_(pa.int32(), pa.list_(pa.int32()))),
])  # fmt: skip
_INFO = _fields(info_name=pa.uint32(), value=_INFO_VALUE)
_INFOS: dict[int, str | bool | int] = {
    0: "Cadran", 1: version("cadran"), 2: pa.__version__,
    3: True,  # read only
    4: True, 5: False,  # SQL, Substrait
    8: 0,  # transactions: none
    9: True,  # questions can be cancelled
    10: False, 11: False,  # ingestion
    500: False, 501: False, 502: False,  # catalogues, schemas and tables cannot be made
    503: 1, 504: '"', 505: 1,  # names are read whatever their case
    506: True,  # whoever sees a table may select from it
    507: 2,  # NULL comes last
}  # fmt: skip

_CATALOGS = _fields(catalog_name=_NAME)
_SCHEMAS = pa.schema([pa.field("catalog_name", _NAME), pa.field("db_schema_name", _NAME, _NO)])
_TABLES = pa.schema([
    pa.field("catalog_name", _NAME), pa.field("db_schema_name", _NAME),
    pa.field("table_name", _NAME, _NO), pa.field("table_type", _NAME, _NO),
])  # fmt: skip
_TABLES_WITH_SCHEMA = _TABLES.append(pa.field("table_schema", pa.binary(), nullable=False))
_TABLE_TYPES = _fields(table_type=_NAME)
_KEY = [
    pa.field("catalog_name", _NAME), pa.field("db_schema_name", _NAME),
    pa.field("table_name", _NAME, _NO), pa.field("column_name", _NAME, _NO),
    pa.field("key_name", _NAME), pa.field("key_sequence", pa.int32(), _NO),
]  # fmt: skip
_PRIMARY = pa.schema(_KEY)
_FOREIGN = pa.schema([
    *(pa.field(f"{side}_{name}", _NAME, name in ("catalog_name", "db_schema_name"))
      for side in ("pk", "fk")
      for name in ("catalog_name", "db_schema_name", "table_name", "column_name")),
    pa.field("key_sequence", pa.int32(), _NO), pa.field("fk_key_name", _NAME),
    pa.field("pk_key_name", _NAME), pa.field("update_rule", pa.uint8(), _NO),
    pa.field("delete_rule", pa.uint8(), _NO),
])  # fmt: skip

_TYPES = pa.schema([
    pa.field("type_name", _NAME, _NO), pa.field("data_type", pa.int32(), _NO),
    pa.field("column_size", pa.int32()), pa.field("literal_prefix", _NAME),
    pa.field("literal_suffix", _NAME), pa.field("create_params", pa.list_(pa.string())),
    pa.field("nullable", pa.int32(), _NO), pa.field("case_sensitive", pa.bool_(), _NO),
    pa.field("searchable", pa.int32(), _NO), pa.field("unsigned_attribute", pa.bool_()),
    pa.field("fixed_prec_scale", pa.bool_(), _NO), pa.field("auto_increment", pa.bool_()),
    pa.field("local_type_name", _NAME), pa.field("minimum_scale", pa.int32()),
    pa.field("maximum_scale", pa.int32()), pa.field("sql_data_type", pa.int32(), _NO),
    pa.field("datetime_subcode", pa.int32()), pa.field("num_prec_radix", pa.int32()),
    pa.field("interval_precision", pa.int32()),
])  # fmt: skip
_TYPE_NAMES = {  # of the columns of KPI tables: the number in XDBC, the size
    "BOOLEAN": (16, 1), "BIGINT": (-5, 19), "DECIMAL": (3, 38), "DOUBLE": (8, 53),
    "VARCHAR": (12, None), "DATE": (91, 10), "TIMESTAMP": (93, 26),
}  # fmt: skip


def infos(codes: tuple[int, ...]) -> pa.Table:
    """What the server can do: the properties of these numbers, or every one."""
    names = [number for number in _INFOS if not codes or number in codes]
    columns: dict[int, list[Any]] = {0: [], 1: [], 2: []}
    kinds, offsets = [], []
    for number in names:
        value = _INFOS[number]
        kind = 1 if isinstance(value, bool) else 2 if isinstance(value, int) else 0
        kinds.append(kind)
        offsets.append(len(columns[kind]))
        columns[kind].append(value)
    children = [
        pa.array(columns.get(at, []), _INFO_VALUE.field(at).type)
        for at in range(_INFO_VALUE.num_fields)
    ]
    union = pa.UnionArray.from_dense(
        pa.array(kinds, pa.int8()), pa.array(offsets, pa.int32()), children,
        [_INFO_VALUE.field(at).name for at in range(_INFO_VALUE.num_fields)],
    )  # fmt: skip
    return pa.Table.from_arrays([pa.array(names, pa.uint32()), union], schema=_INFO)


def rows_of(
    name: str, command: Any, caller: Caller, answering: Answering, stop: Cancellation
) -> pa.Table | None:
    """The rows of a command for metadata; None where it is none.

    Raises:
        CadranError: as the query service does, where columns are wanted.
    """
    if name == "CommandGetTables":
        return _tables(command, caller, answering, stop)
    handler = _COMMANDS.get(name)
    return handler(command) if handler else None


def _tables(command: Any, caller: Caller, answering: Answering, stop: Cancellation) -> pa.Table:
    name_like = optional(command, "table_name_filter_pattern")
    kinds = command.table_types
    names = [
        name
        for name in answering.tables(caller)
        if _in_schema(command) and (not kinds or _VIEW in kinds) and _like(name, name_like)
    ]
    if not command.include_schema:
        return _rows(_TABLES, [(CATALOG, SCHEMA, name, _VIEW) for name in names])
    rows = []
    for name in names:
        columns = answering.schema_of(caller, name, stop).serialize().to_pybytes()
        rows.append((CATALOG, SCHEMA, name, _VIEW, columns))
    return _rows(_TABLES_WITH_SCHEMA, rows)


def _types_of(command: Any) -> pa.Table:
    type_code = optional(command, "data_type")
    rows = []
    for name, (number, size) in _TYPE_NAMES.items():
        if type_code not in (None, number):
            continue
        quote = "'" if name in ("VARCHAR", "DATE", "TIMESTAMP") else None
        rows.append((
            name, number, size, quote, quote, None, 1, name == "VARCHAR", 3, False, False, False,
            name, None, None, number, None, 10 if quote is None else None, None,
        ))  # fmt: skip
    return _rows(_TYPES, rows)


def _in_schema(command: Any) -> bool:
    return optional(command, "catalog") in (None, CATALOG) and _like(
        SCHEMA, optional(command, "db_schema_filter_pattern")
    )


def _like(name: str, pattern: str | None) -> bool:
    """Whether a name fits a pattern of SQL's LIKE; no pattern fits every name."""
    if pattern is None:
        return True
    parts = (".*" if sign == "%" else "." if sign == "_" else re.escape(sign) for sign in pattern)
    return re.fullmatch("".join(parts), name, re.DOTALL) is not None


def _rows(schema: pa.Schema, rows: Sequence[tuple[object, ...]]) -> pa.Table:
    columns = zip(*rows, strict=True) if rows else [()] * len(schema)
    arrays = [
        pa.array(list(column), field.type) for column, field in zip(columns, schema, strict=True)
    ]
    return pa.Table.from_arrays(arrays, schema=schema)


_COMMANDS: dict[str, Callable[[Any], pa.Table]] = {
    "CommandGetSqlInfo": lambda command: infos(tuple(command.info)),
    "CommandGetCatalogs": lambda _: _rows(_CATALOGS, [(CATALOG,)]),
    "CommandGetDbSchemas": lambda command: _rows(
        _SCHEMAS, [(CATALOG, SCHEMA)] if _in_schema(command) else []
    ),
    "CommandGetTableTypes": lambda _: _rows(_TABLE_TYPES, [(_VIEW,)]),
    "CommandGetXdbcTypeInfo": _types_of,
    "CommandGetPrimaryKeys": lambda _: _PRIMARY.empty_table(),
    "CommandGetExportedKeys": lambda _: _FOREIGN.empty_table(),
    "CommandGetImportedKeys": lambda _: _FOREIGN.empty_table(),
    "CommandGetCrossReference": lambda _: _FOREIGN.empty_table(),
}

"""How the tests of Flight SQL connect, and what their answers must not show."""

from __future__ import annotations

import tempfile
from pathlib import Path

import adbc_driver_flightsql.dbapi as flightsql
from adbc_driver_flightsql import DatabaseOptions

TABLES = [
    "kpi_daily_commerce", "kpi_minute_reliability", "kpi_monthly_strategic", "kpi_weekly_backlog",
    "kpi_weekly_support", "requests_by_day", "sales_by_day",
]  # fmt: skip
SECRETS = (  # what no sentence for a client may hold
    "Traceback", ".py", ".duckdb", "fct_", "dim_", tempfile.gettempdir(), str(Path.home()),
    str(Path(__file__).resolve().parents[2]),
)  # fmt: skip


def connect(running, bearer="anything"):
    """A connection of ADBC, as dbt's SDK opens it."""
    options = {
        DatabaseOptions.AUTHORIZATION_HEADER.value: f"Bearer {bearer}",
        f"{DatabaseOptions.RPC_CALL_HEADER_PREFIX.value}environmentid": "17",
    }
    if running.server_context.settings.tls:
        options[DatabaseOptions.TLS_ROOT_CERTS.value] = running.server_context.settings.tls[
            0
        ].read_text()
    return flightsql.connect(running.flight, db_kwargs=options, autocommit=True)

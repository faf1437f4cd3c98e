"""Addresses of Spark, and what is refused there; numbers need a server and are asked of one."""

from __future__ import annotations

import sys
import types

import pytest

import cadran
from cadran.core.warehouse import Spark, connect, spark


@pytest.fixture
def place(monkeypatch):
    """An address, as a machine that has the driver reads it."""
    monkeypatch.setitem(sys.modules, "pyspark", types.ModuleType("pyspark"))
    return spark.remote("sc://spark.example.com:15002/;token=secret")


def test_an_address_is_told_without_what_follows_host_and_port(place):
    assert str(place) == "sc://spark.example.com:15002"
    assert "secret" not in repr(place)
    for url in ("sc://", "http://spark.example.com", "sc://["):
        with pytest.raises(cadran.ProjectError, match="written sc://HOST:PORT"):
            spark.remote(url)


def test_another_way_to_spark_and_a_driver_that_is_missing_are_told(monkeypatch):
    with pytest.raises(cadran.ProjectError, match="`method: session`"):
        spark.remote_of_profile({"type": "spark", "method": "thrift", "host": "localhost"})
    monkeypatch.setitem(sys.modules, "pyspark", None)
    with pytest.raises(cadran.ProjectError, match="pip install"):
        spark.remote("sc://localhost:15002")


def test_nothing_is_published_to_spark(place):
    warehouse = connect(place, None)
    assert isinstance(warehouse, Spark)
    with (
        pytest.raises(cadran.CadranError, match="Keep the ledger in DuckDB or PostgreSQL"),
        warehouse.writing(0),
    ):
        pass

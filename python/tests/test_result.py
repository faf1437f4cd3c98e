"""What an answer becomes: Arrow, a data frame, a table in a notebook."""

from __future__ import annotations

import builtins
from decimal import Decimal

import pyarrow as pa
import pytest


@pytest.fixture
def result(shop):
    return shop.query(["revenue", "orders"], ["metric_time__month"])


def test_it_knows_its_length_columns_metrics_and_sql(result):
    assert len(result) == 2
    assert result.columns == ["metric_time__month", "revenue", "orders"]
    assert result.metrics == ("revenue", "orders")
    assert "SELECT" in result.sql.upper()


def test_a_pandas_frame_keeps_types(result):
    frame = pytest.importorskip("pandas") and result.to_pandas()
    assert list(frame.columns) == result.columns
    assert str(frame["orders"].dtype).startswith("int64")
    assert Decimal(str(frame["revenue"].sum())) == Decimal("151.50")


def test_a_polars_frame_keeps_types(result):
    polars = pytest.importorskip("polars")
    frame = result.to_polars()
    assert frame.schema["metric_time__month"] == polars.Date
    assert frame["revenue"].sum() == Decimal("151.50")


@pytest.mark.parametrize("extra", ["pandas", "polars"])
def test_a_missing_extra_is_named_with_its_remedy(result, extra, monkeypatch):
    import importlib.util

    monkeypatch.setattr(importlib.util, "find_spec", dict[str, object]().get)
    with pytest.raises(ImportError, match=rf"cadran\[{extra}\]"):
        getattr(result, f"to_{extra}")()


def test_a_notebook_shows_label_unit_version_and_digits(result):
    page = result._repr_html_()
    assert "Revenue" in page
    assert "EUR" in page
    assert "version 3" in page
    assert "30.30" in page
    assert "not the governed" not in page


def test_a_notebook_escapes_what_the_data_holds(shop):
    page = shop.query(["orders"], ["order_id__channel"])._repr_html_()
    assert "café ☕ &#x27;" in page
    assert "<script" not in page


def test_a_count_beyond_64_bits_and_a_wide_decimal_are_exact(shop):
    wide = shop.warehouse.arrow("select 12345678901234567890123456789.5::decimal(38, 1) as exact")
    assert pa.types.is_decimal(wide.schema.field("exact").type)
    count = shop.warehouse.arrow("select 123456789012345678901234567890::hugeint as n")
    assert count["n"].to_pylist() == [Decimal(123456789012345678901234567890)]


def test_importing_cadran_imports_nothing_heavy():
    import subprocess
    import sys

    code = "import cadran, sys; print([m for m in {} if m in sys.modules])"
    heavy = ["metricflow", "pandas", "pyarrow", "duckdb", "sqlglot", "jinja2", "yaml", "dbt"]
    done = subprocess.run(
        [sys.executable, "-c", code.format(heavy)], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
    assert set(dir(__import__("cadran"))) >= {"open", "Layer", "GroupBy"}
    assert builtins.open is not __import__("cadran").open

"""What an answer becomes outside: data frames that compute, files, pipes, terminals."""

from __future__ import annotations

import datetime as dt
import io
import os
import stat
import sys
import threading
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pytest

from cadran.cli.common import write
from cadran.core.query.request import ask
from cadran.core.result import Result, arranged
from cadran.errors import QueryError

MONTHS = [dt.date(2024 + at // 12, at % 12 + 1, 1) for at in range(24)]
NASTY = ["café ☕", "=HYPERLINK(1)", "\x1b[31mred", "a\x9bb", "tab\there", None]


def _result(table: pa.Table, metrics=("revenue", "orders"), group_by=("metric_time__month",)):
    return Result(arranged(table, ask(metrics, group_by)), "", ask(metrics, group_by), {},
                  governed=True)  # fmt: skip


@pytest.fixture
def series():
    revenue = pa.array([Decimal(f"{100 + at}.25") for at in range(24)], pa.decimal128(38, 2))
    orders = pa.array([None, *range(1, 24)], pa.int64())
    return _result(pa.table({"metric_time__month": MONTHS, "revenue": revenue, "orders": orders}))


IDIOMS = {
    "ratio": lambda f: (f["revenue"] / f["orders"]).iloc[2] == pytest.approx(102.25 / 2),
    "growth": lambda f: f["revenue"].pct_change(12).iloc[12] == pytest.approx(112.25 / 100.25 - 1),
    "difference": lambda f: (f["revenue"] - f["revenue"].shift(12)).iloc[12] == 12,
    "resample": lambda f: (
        f.set_index("metric_time__month")["revenue"].resample("YE").sum().iloc[0]
        == pytest.approx(sum(100.25 + at for at in range(12)))
    ),
    "a date": lambda f: (f["metric_time__month"] >= "2025-01-01").sum() == 12,
    "a day of it": lambda f: f["metric_time__month"].dt.year.max() == 2025,
    "a mean": lambda f: f["revenue"].mean() == pytest.approx(111.75),
    "rolling": lambda f: f["revenue"].rolling(3).mean().iloc[2] == pytest.approx(101.25),
    "groups": lambda f: f.groupby(f["metric_time__month"].dt.year)["revenue"].sum().size == 2,
    "a pivot": lambda f: (
        f.assign(y=f["metric_time__month"].dt.year, m=f["metric_time__month"].dt.month)
        .pivot_table(index="m", columns="y", values="revenue").shape == (12, 2)
    ),
    "a number": lambda f: (f["revenue"] * 1.2).iloc[0] == pytest.approx(120.3),
    "missing": lambda f: f["orders"].isna().sum() == 1,
    "whole": lambda f: f["orders"].sum() == 276,
    "statistics": lambda f: f[["revenue", "orders"]].corr().iloc[0, 1] == pytest.approx(1),
}  # fmt: skip


@pytest.mark.parametrize("idiom", IDIOMS)
def test_a_notebooks_idioms_work_on_a_frame(series, idiom):
    pytest.importorskip("pandas")
    assert IDIOMS[idiom](series.to_pandas())


def test_a_polars_frame_computes(series):
    pl = pytest.importorskip("polars")
    frame = series.to_polars().with_columns(
        (pl.col("revenue") / pl.col("orders")).alias("ratio"),
        pl.col("revenue").pct_change(12).alias("growth"),
        (pl.col("revenue") - pl.col("revenue").shift(12)).alias("change"),
        pl.col("revenue").rolling_mean(3).alias("smooth"),
    )
    assert frame["ratio"][2] == pytest.approx(102.25 / 2)
    assert frame["growth"][12] == pytest.approx(112.25 / 100.25 - 1)
    assert frame["change"][12] == 12
    assert frame["smooth"][2] == pytest.approx(101.25)
    yearly = frame.group_by_dynamic("metric_time__month", every="1y").agg(pl.col("revenue").sum())
    assert yearly["revenue"][0] == pytest.approx(sum(100.25 + at for at in range(12)))


def test_exact_frames_keep_every_digit(series):
    pytest.importorskip("pandas")
    pl = pytest.importorskip("polars")
    assert series.to_pandas(decimals="exact")["revenue"][0] == Decimal("100.25")
    assert series.to_polars(decimals="exact").schema["revenue"] == pl.Decimal(38, 2)
    with pytest.raises(QueryError, match="takes 'float' or 'exact'"):
        series.to_pandas(decimals="rounded")


def test_what_is_divided_by_zero_is_null_in_every_form():
    share = pa.array([0.5, float("inf"), float("-inf"), float("nan"), None])
    result = _result(pa.table({"channel": list("abcde"), "share": share}), ["share"], ["channel"])
    assert result.to_arrow().column("share").to_pylist() == [0.5, None, None, None, None]


def _written(values, form, output=None):
    write(pa.table({"channel": values}), form, output)


def test_data_is_utf8_whatever_the_terminal(monkeypatch):
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding="ascii", errors="replace"))
    _written(["café ☕"], "csv")
    sys.stdout.flush()
    assert raw.getvalue().decode() == "channel\ncafé ☕\n"


class Screen(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize("form", ["table", "csv", "jsonl"])
def test_a_terminal_is_shown_control_characters_and_does_not_obey_them(monkeypatch, form):
    monkeypatch.setattr(sys, "stdout", Screen())
    _written(NASTY, form)
    shown = sys.stdout.getvalue()
    assert not [c for c in shown if (ord(c) < 32 and c != "\n") or 127 <= ord(c) < 160]
    assert "x1b[31mred" in shown or "u001b[31mred" in shown
    assert "café ☕" in shown


def test_a_pipe_gets_values_as_they_are(capsys):
    _written(NASTY[:3], "csv")
    assert capsys.readouterr().out == "channel\ncafé ☕\n=HYPERLINK(1)\n\x1b[31mred\n"


def test_output_follows_a_link_and_keeps_the_mode(tmp_path):
    file, link = tmp_path / "real.csv", tmp_path / "link.csv"
    file.write_text("old")
    file.chmod(0o600)
    link.symlink_to(file)
    _written(["a"], "csv", link)
    assert link.is_symlink()
    assert file.read_text() == "channel\na\n"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert sorted(p.name for p in tmp_path.iterdir()) == ["link.csv", "real.csv"]


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_output_goes_through_a_pipe_that_has_a_name(tmp_path, form):
    pipe, got = tmp_path / "pipe", []
    os.mkfifo(pipe)
    reader = threading.Thread(target=lambda: got.append(pipe.read_bytes()))
    reader.start()
    _written(["a"], form, pipe)
    reader.join(10)
    assert stat.S_ISFIFO(pipe.stat().st_mode)
    assert got[0].startswith(b"channel" if form == "csv" else b"PAR1")


def test_output_to_a_device_leaves_the_device():
    _written(["a"], "csv", Path("/dev/null"))
    assert stat.S_ISCHR(Path("/dev/null").stat().st_mode)

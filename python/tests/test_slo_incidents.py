"""What incidents take of error budgets, worked out by hand, and incidents from files."""

from __future__ import annotations

import json
import re
from decimal import Decimal

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from slo_lab import Lab

from cadran.cli.app import main
from cadran.errors import ProjectError, QueryError
from cadran.telemetry import events, incident_files, parts


@pytest.fixture
def lab(demo):
    """A service at 99 % whose every minute has 100 events; some minutes are bad, see `outage`."""
    made = Lab(demo.target / "manifest.json")
    made.slo("a", 0.99, subject="shop", time_zone="Europe/Paris")
    made.every_minute("2026-03-30 00:00", "2026-04-02 00:00", 100, 100, subject="shop")
    return made


def outage(lab, start, end, good=0):
    lab.db.execute(
        f"update int_sli_minutely set good_count = {good}"
        f" where minute_at >= '{start}' and minute_at < '{end}'"
    )


def burn(lab):
    rows = lab.rows(
        "select incident_id, cause, is_excluded, sum(bad_units), sum(burning_minutes)"
        " from fct_slo_burn group by all order by 1, 3"
    )
    return [tuple(row.values()) for row in rows]


def test_each_bad_unit_is_of_the_first_incident_of_its_minute_or_of_none(lab):
    outage(lab, "2026-03-31 10:00", "2026-03-31 10:30")
    outage(lab, "2026-03-31 15:00", "2026-03-31 15:04", good=95)  # burns 5, not 13.44
    lab.exclude("2026-03-31 10:05", "2026-03-31 10:10")
    lab.build()
    lab.incidents(
        ("i1", "shop", "network", "2026-03-31 10:00:40", "2026-03-31 10:14:10"),
        ("i2", "shop", "deployment", "2026-03-31 10:12:00", "2026-03-31 10:20:00"),
        ("i3", "search", "network", "2026-03-31 10:00", "2026-03-31 11:00"),
    )
    # i1 has the minutes 10:00 to 10:14, five of them excluded; i2 10:15 to 10:20.
    assert burn(lab) == [
        ("i1", "network", False, 1000, 10), ("i1", "network", True, 500, 5),
        ("i2", "deployment", False, 600, 6), ("unattributed", "unattributed", False, 920, 9),
    ]  # fmt: skip
    month = {r["incident_id"]: r for r in lab.rows("from fct_slo_incident_budgets")}
    # One event in a hundred may be bad: one a minute, of 46 hours of March in Paris.
    allowed = lab.row("select allowed_units from fct_slo_periods where period_grain = 'month'"
                      " and period_start = '2026-03-01'")["allowed_units"]  # fmt: skip
    assert allowed == Decimal(46 * 60 - 5)
    assert month["i1"]["consumed_rate"] == pytest.approx(float(1000 / allowed))
    assert month["i1"]["gross_consumed_rate"] == pytest.approx(float(1500 / (allowed + 5)))


def test_an_incident_over_the_end_of_a_month_takes_of_both(lab):
    outage(lab, "2026-03-31 21:50", "2026-03-31 22:20")  # April begins at 22:00 UTC in Paris
    lab.build()
    lab.incidents(("i1", "shop", "network", "2026-03-31 21:00", None))  # still open
    rows = lab.rows("from fct_slo_incident_budgets order by month_start")
    assert [(str(r["month_start"]), r["bad_units"]) for r in rows] == [
        ("2026-03-01", 1000), ("2026-04-01", 2000),
    ]  # fmt: skip


def test_a_stretch_that_burns_like_an_incident_and_that_nobody_reported_is_one(lab):
    outage(lab, "2026-03-31 03:00", "2026-03-31 03:04")  # four minutes are too few
    outage(lab, "2026-03-31 10:00", "2026-03-31 10:03")
    outage(lab, "2026-03-31 10:07", "2026-03-31 10:09")  # five minutes after the last one
    outage(lab, "2026-03-31 12:00", "2026-03-31 12:05", good=86)  # 14 % are just above 13.44 %
    outage(lab, "2026-03-31 16:00", "2026-03-31 16:05", good=87)  # 13 % are not
    outage(lab, "2026-03-31 18:00", "2026-03-31 18:30")
    lab.build()
    lab.incidents(("i1", "shop", "network", "2026-03-31 18:29", "2026-03-31 19:00"))
    derived = lab.rows("from slo_incidents where origin = 'derived' order by starts_at")
    assert [(f"{r['starts_at']:%H:%M}", f"{r['ends_at']:%H:%M}", r["cause"]) for r in derived] == [
        ("10:00", "10:09", "unknown"), ("12:00", "12:05", "unknown"),
    ]  # fmt: skip
    assert derived[0]["incident_id"] == "burn:a:2026-03-31 10:00:00"
    # What a reported incident did not cover of its stretch is told as unattributed.
    assert {row[0]: row[3] for row in burn(lab)} == {
        "burn:a:2026-03-31 10:00:00": 500, "burn:a:2026-03-31 12:00:00": 70, "i1": 100,
        "unattributed": 400 + 65 + 2900,
    }  # fmt: skip


def test_a_target_so_low_that_nothing_burns_as_fast_has_minutes_all_bad(demo):
    lab = Lab(demo.target / "manifest.json")
    lab.slo("low", 0.9)  # 13.44 x 10 % is more than all
    lab.every_minute("2026-03-31 00:00", "2026-03-31 01:00", 100, 100)
    outage(lab, "2026-03-31 00:10", "2026-03-31 00:20", good=1)
    outage(lab, "2026-03-31 00:30", "2026-03-31 00:40")
    lab.build()
    lab.incidents()
    assert burn(lab) == [
        ("burn:low:2026-03-31 00:30:00", "unknown", False, 1000, 10),
        ("unattributed", "unattributed", False, 990, 0),
    ]


HEAD = "incident_id,service,severity,cause,started_at,detected_at,acknowledged_at,restored_at\n"


@pytest.fixture
def project(tmp_path, project_root):
    """A project with its contracts, and telemetry in a folder."""
    (tmp_path / "models").mkdir()
    (tmp_path / "models/staging").symlink_to(project_root / "models/staging")
    (tmp_path / "dbt_project.yml").write_text((project_root / "dbt_project.yml").read_text())
    (tmp_path / "vars.yml").write_text(
        "vars: {cadran_domains: [platform], cadran_sources: {telemetry: data}}"
    )
    return tmp_path


def imported(project, name, text):
    (project / name).write_text(text)
    return main(["incidents", "import", str(project / name), "--project-dir", str(project)])


def stored(project):
    return pq.read_table(project / "data/telemetry/incidents" / incident_files.OWN).to_pylist()


def test_an_incident_that_is_imported_again_with_more_is_the_same_one(project, capsys):
    first = (
        HEAD
        + "i-9,Checkout,sev2,,2026-11-24T10:17:00+01:00,,,\n"
        + "i-8,search,sev1,network,2026-11-20T00:00:00Z,,,2026-11-20T01:00:00Z\n"
    )
    assert imported(project, "a.csv", first) == 0
    assert "2 new incidents, 0 that were known" in capsys.readouterr().out
    more = {"incident_id": "i-9", "service": "Checkout", "cause": "disk", "detected_at": None,
            "restored_at": "2026-11-24T10:00:00Z"}  # fmt: skip
    assert imported(project, "b.json", json.dumps([more])) == 0
    assert "0 new incidents, 1 that were known" in capsys.readouterr().out
    rows = {row["incident_id"]: row for row in stored(project)}
    assert (rows["i-9"]["cause"], rows["i-9"]["severity"]) == ("disk", "sev2")
    assert f"{rows['i-9']['started_at']} {rows['i-9']['restored_at']}" == (
        "2026-11-24 09:17:00 2026-11-24 10:00:00"
    )
    # The columns, and the name of a service, are those that the collector lands.
    posted = events.Incident.model_validate(
        {"type": "incident", "incident_id": "i", "service": "Checkout"}
    )
    assert rows["i-9"]["service_id"] == events.row_of(posted)["service_id"]
    assert list(rows["i-9"]) == parts.INCIDENTS.names


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("a.csv", HEAD + "i,s,sev9,,2026-11-24T10:00:00Z,,,\n", r"line 2, severity: .*'sev1'"),
        ("a.csv", HEAD + "i,s,sev1,,2026-11-24 10:00:00,,,\n", r"line 2, started_at: .*timezone"),
        ("a.csv", HEAD + "i,s,sev1\n", "line 2: it has not as many fields"),
        ("a.csv", HEAD + "i,s,sev1,,,,,\n", "'i' lacks started_at"),
        ("a.csv", "incident_id,service,start\ni,s,2026-11-24T10:00:00Z\n", "start: Extra"),
        ("a.json", "[1]", "entry 1: an incident is an object"),
        ("a.json", "{", "not JSON"),
        ("a.txt", "", r"a \.csv or a \.json"),
    ],
)
def test_a_file_of_incidents_that_says_too_little_is_refused_whole(
    project, capsys, name, text, told
):
    assert imported(project, name, text) == 2
    assert re.search(told, capsys.readouterr().err)
    assert not (project / "data").exists()


def test_what_the_collector_landed_and_files_that_people_keep_are_left_alone(project):
    folder = project / "data/telemetry/incidents"
    folder.mkdir(parents=True)
    row = dict.fromkeys(parts.INCIDENTS.names) | {"incident_id": "i-1"}
    pq.write_table(pa.Table.from_pylist([row], parts.INCIDENTS), folder / "part.parquet")
    with pytest.raises(QueryError, match=r"'i-1' stands in .*part\.parquet: post"):
        incident_files.store([row], project)
    (folder / "more.csv").write_text(HEAD)
    with pytest.raises(ProjectError, match="CSV files that somebody keeps"):
        incident_files.store([row], project)

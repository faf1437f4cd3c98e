"""What is told beside the rows, to whom, and to which pages and programs."""

from __future__ import annotations

import httpx
import pyarrow as pa
import pytest

from cadran.access.authorize import PolicyGate
from cadran.access.caller import Caller
from cadran.access.policy import Policy, Role
from cadran.audit.log import NoAudit
from cadran.core.project import artifacts
from cadran.core.query.request import Query
from cadran.formats.encoding import csv_bytes
from cadran.server.run import serving
from cadran.server.settings import Settings
from cadran.serving import metadata
from cadran.serving.service import QueryService, RequestContext
from cadran.serving.snapshots import SnapshotStore

ROLES = {
    "france": Role(
        metrics=("revenue", "orders"), dimensions=("customer__segment",),
        rows=("customer__country = 'FR'",),
    ),
    "whole": Role(metrics=("revenue", "orders"), dimensions=("*",)),
}  # fmt: skip
FRANCE, WHOLE = (Caller(name, (name,)) for name in ROLES)
BY_SEGMENT = Query.of({"metrics": ["revenue"], "group_by": ["customer__segment"]})


@pytest.fixture(scope="module")
def service(guarded):
    found = artifacts.find(None, guarded, guarded.parents[1] / "guarded.duckdb")
    made = QueryService(SnapshotStore(found), gate=PolicyGate(Policy(ROLES)), audit=NoAudit())
    yield made
    made.close()


def test_targets_of_the_whole_company_are_told_to_who_sees_all_of_it(service, monkeypatch):
    target = {"grain": "month", "period": "2026-01-01", "target": 100}
    monkeypatch.setattr(metadata, "_targets", lambda *_: [target])
    assert metadata.about(service, WHOLE, "revenue")["targets"] == [target]
    assert metadata.about(service, FRANCE, "revenue")["targets"] == []


def test_sql_names_nothing_that_the_role_may_not_see(service):
    asked = RequestContext(FRANCE, "test", read_cache=False)
    shown = [
        service.sql(asked, BY_SEGMENT),
        service.ask(asked, BY_SEGMENT).sql,
        metadata.defined(service, asked, "revenue")["sql"],
    ]
    for sql in shown:
        assert "country" not in sql.lower()
        assert "hidden_1" in sql
        assert "'FR'" in sql
    assert "customer__segment" in shown[0]
    assert "customer__segment" in service.sql(RequestContext(WHOLE, "test"), BY_SEGMENT)


def test_a_page_of_another_origin_refreshes_nothing(tiny, tmp_path):
    found = artifacts.find(None, tiny, tiny.parents[1] / "tiny.duckdb")
    settings = Settings(
        port=0, flight_port=None, warm=False, refresh=0.0, audit=tmp_path / "audit",
        tokens=tmp_path / "tokens.json", policy=tmp_path / "policy.yml",
        origins=("https://kpi.example.com",),
    )  # fmt: skip
    with serving(found, settings) as running, httpx.Client(base_url=running.http) as http:

        def status(**headers):
            named = {name.replace("_", "-"): value for name, value in headers.items()}
            return http.post("/api/v1/refresh", headers=named).status_code

        assert status() == 200
        assert status(origin=running.http) == 200
        assert status(origin="https://kpi.example.com") == 200
        assert status(origin="https://evil.example") == 403
        assert status(origin="null") == 403
        assert status(sec_fetch_site="cross-site") == 403
        csv = http.get("/api/v1/query?metrics=revenue&group_by=order_id__channel&format=csv")
        safe = http.get(
            "/api/v1/query?metrics=revenue&group_by=order_id__channel&format=csv&safe=true"
        )
        assert csv.text == safe.text  # nothing in it is a formula
        assert csv.headers["etag"] != safe.headers["etag"]


def test_no_text_of_a_safe_csv_is_a_formula():
    texts = ["=HYPERLINK(1)", "+1", "-1", "@a", "\tx", "\rx", "a=b", "", None]
    table = pa.table({"=name": texts, "number": [-1, -2, 3, 4, 5, 6, 7, 8, None]})
    plain, safe = csv_bytes(table).decode(), csv_bytes(table, is_safe=True).decode()
    assert plain.startswith("=name,number\n=HYPERLINK(1),-1\n+1,-2\n")
    assert safe.startswith("'=name,number\n'=HYPERLINK(1),-1\n'+1,-2\n'-1,3\n'@a,4\n'\tx,5\n")
    assert safe.replace("'", "") == plain

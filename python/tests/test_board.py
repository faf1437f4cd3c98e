"""The board: what its pages say, to whom, and how they follow the data."""

from __future__ import annotations

import itertools
import json
import re
import subprocess
import threading
import time
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace

import duckdb
import httpx
import pyarrow as pa
import pytest
from paper import Rows

from cadran.access import authorize, tokens
from cadran.charts import page, plots
from cadran.charts.picture import End, Plot, apart, scale
from cadran.core.targets import Status, Target
from cadran.formats.numbers import axis_texts, short
from cadran.insight import forecast
from cadran.insight.readings import Reader
from cadran.insight.source import Source
from cadran.insight.view import View, Window, period_of, period_text
from cadran.insight.wording import Words
from cadran.web.parts import Controls
from cadran.web.render import rendered

pytest_plugins = ["rest_fixtures"]

POLICY = Path(__file__).resolve().parents[2] / "examples" / "access" / "cadran_policy.yml"
PAGES = (
    "/board", "/board/kpis/net_revenue", "/board/teams/commerce", "/board/kpis/conversion_rate",
    "/board/search?q=rev", "/board/levels", "/board/impact",
)  # fmt: skip


@pytest.fixture(scope="module")
def board(rest_server):
    with httpx.Client(base_url=rest_server.http, timeout=60) as made:
        yield made


def text_of(html):
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", html.replace("&#39;", "'")))


def test_an_address_says_the_whole_state_of_a_page_and_comes_back_from_it():
    parameters = [("lang", "fr"), ("period", "2026-Q3"), ("compare", "year"),
                  ("objective", "grow"), ("f.order_id__channel", "l'app & co")]  # fmt: skip
    view = View.read(parameters)
    assert view.grain == "quarter"
    assert view.where == ("order_id__channel = 'l''app & co'",)
    link = httpx.URL(view.link("/board"))
    assert View.read(list(link.params.multi_items())) == view
    for text in ("2026", "2026-Q1", "2026-12", "2026-W53"):
        grain, start = period_of(text)
        assert period_text(start, grain) == text


def test_a_running_period_is_compared_with_the_same_days_and_a_whole_one_with_the_whole():
    days = [
        (window.first, window.last, window.base_first, window.base_last)
        for through, text, compare in (
            ("2026-11-27", "2026-11", "previous"),
            ("2026-11-27", "2026-10", "previous"),
            ("2027-03-30", "2027-03", "previous"),
            ("2028-02-29", "2028-02", "year"),
            ("2028-11-27", "2028", "year"),
            ("2026-11-27", "2027-05", "previous"),
            ("2026-11-27", "2026-Q4", "year"),
        )
        for window in [
            Window.of(View.read([("period", text), ("compare", compare)]), _day(through))
        ]
    ]
    assert [tuple(str(day) for day in row) for row in days] == [
        ("2026-11-01", "2026-11-27", "2026-10-01", "2026-10-27"),
        ("2026-10-01", "2026-10-31", "2026-09-01", "2026-09-30"),
        ("2027-03-01", "2027-03-30", "2027-02-01", "2027-02-28"),
        ("2028-02-01", "2028-02-29", "2027-02-01", "2027-02-28"),
        ("2028-01-01", "2028-11-27", "2027-01-01", "2027-11-27"),
        ("2027-05-01", "2027-05-31", "2027-04-01", "2027-04-30"),
        ("2026-10-01", "2026-11-27", "2025-10-01", "2025-11-27"),
    ]


def _day(text):
    return period_of(text[:7])[1].replace(day=int(text[8:]))


def test_figures_are_short_in_the_way_of_the_language():
    shorts = [
        short(453_000, "EUR", lang="fr"), short(1_234_000, "EUR"),
        short(0.99941, "%", decimals=3), short(0, "EUR", top=500_000, lang="fr"),
        short(-13_400, "EUR", lang="fr"), short(7, ""), short(999_950, "EUR"),
    ]  # fmt: skip
    assert [text.replace("\xa0", " ").replace("\u202f", " ") for text in shorts] == [
        "453 k€", "€1.23M", "99.941%", "0 €", "-13,4 k€", "7", "€1.00M",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("values", "unit", "english", "french"),
    [
        ((0, 500_000, 1e6), "EUR", "€0 €0.5M €1.0M", "0 €,0,5 M€,1,0 M€"),
        ((0.994, 0.9965, 0.999), "%", "99.40% 99.65% 99.90%", "99,40 %,99,65 %,99,90 %"),
        ((-0.5, 0, 0.5), "hours", "-0.5 h 0 h 0.5 h", "-0,5 h,0 h,0,5 h"),
        ((97_500, 100_000), "", "97.5k 100.0k", "97,5 k,100,0 k"),
    ],
)
def test_the_numbers_of_an_axis_have_the_same_decimals(values, unit, english, french):
    assert axis_texts(values, unit) == english.replace(" h", "\xa0h").split(" ")
    told = ",".join(axis_texts(values, unit, lang="fr"))
    assert told.replace("\xa0", " ").replace("\u202f", " ") == french


def test_a_scale_holds_its_values_and_labels_never_lie_on_each_other():
    for values in ([5.0], [0.0, 0.0], [-3.0, 1e7], [0.9993, 0.9996], [1e-9, 2e-9]):
        made = scale(values, zero=False)
        assert made.low <= min(values) + abs(min(values)) * 1e-9
        assert max(values) <= made.high * (1 + 1e-9)
        assert made.low < made.high
    ends = apart([End(0.5, str(n), "", "blue") for n in range(6)], 0.1)
    places = [end.y for end in ends]
    assert all(b - a >= 0.1 - 1e-9 for a, b in itertools.pairwise(places))
    assert max(places) <= 1 + 1e-9


def test_what_a_picture_says_is_escaped():
    drawn = page.page(Plot("<b>", ends=(End(0.1, "<i>", "<script>", "blue"),)))
    assert "<script>" not in drawn
    assert "&lt;script&gt;" in drawn
    cell = plots.heat([("<x>", [1.2, None, 0.5])], ["<y>", "z", "w"], title="t", legend=["l"] * 5)
    assert "<x>" not in page.page(cell)
    assert cell.marks == 2
    assert [c.level for c in cell.rows[0][1] if c] == [3, 1]


def test_what_divides_by_nothing_has_no_value_and_what_adds_up_tells_how_much_of_a_target_is_there(
    layer,
):
    card = layer.card("net_revenue")

    def answer(query):
        rows = [{"net_revenue": float("nan")}]
        if query.group_by:
            rows = [{"metric_time__month": _day("2026-10-01"), "net_revenue": float("inf")}]
        return Rows(pa.Table.from_pylist(rows))

    reader = Reader(Source(layer, answer, (card,)), View(), lambda _: True)
    (reading,) = reader.readings([card])
    assert reading.value is None
    assert set(reading.history.values()) <= {None}
    goal = Target("net_revenue", "month", _day("2026-10-01"), Decimal(200), None, None)
    for target, said in (
        (goal, "25% of the target so far"),
        (replace(goal, target=0), "no target"),
    ):
        shown = replace(reading, value=50.0, target=target, status=Status.NONE)
        tile = rendered_tile(shown)
        assert said in text_of(tile)


def rendered_tile(reading):
    form = Controls("/board/kpis", "", [], [], [], [])
    return rendered(
        "kpis.html", Words("en"), view=View(), pages=(), here="kpis", path="/board/kpis", events="",
        until=None, signed_in=False, title="", window=None, page=form, goals=[], lead="",
        groups=[("", [(reading, plots.sparkline([1, 2]))])],
    )  # fmt: skip


@pytest.mark.parametrize("lang", ["en", "fr"])
def test_every_page_is_there_in_both_languages_with_marks_on_it(board, lang):
    for path in PAGES:
        reply = board.get(path, params={**httpx.URL(path).params, "lang": lang})
        assert reply.status_code == 200, (path, reply.text[-500:])
        assert f'<html lang="{lang}"' in reply.text
        if "search" not in path:
            marks = [int(n) for n in re.findall(r'data-marks="(\d+)"', reply.text)]
            assert marks, path
            assert min(marks) > 0, path
    assert reply.headers["cache-control"] == "no-store"
    assert "default-src 'none'" in reply.headers["content-security-policy"]


def test_the_figures_are_those_of_sql_written_apart(board, demo):
    october, september, web = duckdb.sql(f"""
        select
            sum(l.amount) filter (where month(day) = 10),
            sum(l.amount) filter (where month(day) = 9),
            sum(l.amount) filter (where month(day) = 10 and channel = 'web')
        from (
            select order_id, amount,
                cast((booked_at at time zone 'UTC') at time zone 'Europe/Paris' as date) as day
            from '{demo.data}/shop/order_lines.parquet'
        ) as l
        inner join (select distinct order_id, channel from '{demo.data}/shop/orders.parquet')
            using (order_id)
        where day between date '2026-09-01' and date '2026-10-31'
    """).fetchall()[0]
    said = text_of(board.get("/board/kpis/net_revenue", params={"lang": "en"}).text)
    assert f"€{october:,.0f}" in said
    assert f"{(october - september) / september * 100:+.1f}%" in said
    filtered = board.get("/board", params={"lang": "en", "f.order_id__channel": "web"})
    assert f"€{web:,.0f}" in text_of(filtered.text)
    assert "not by Channel" in text_of(filtered.text)


def test_the_overview_offers_the_pack_of_its_period_and_wrong_ones_are_told(board):
    month = board.get("/board?lang=en&period=2026-09").text
    for form in ("pdf", "pptx", "xlsx", "html"):
        assert f'href="/board/pack.{form}?lang=en&amp;period=2026-09"' in month
    assert "/board/pack." not in board.get("/board?lang=en&period=2026-W30").text
    for path, sentence in (
        ("/board/pack.doc?lang=en&period=2026-09", "it can be html, pdf, pptx, xlsx"),
        ("/board/pack.pdf?lang=en&period=2026-W30", "write 2026-09"),
        ("/board/pack.pdf?lang=en&period=2016-09", "No strategic KPI has a value in 2016-09"),
        ("/board/pack.pdf?lang=en", "is no month, quarter or year"),
    ):
        refused = board.get(path)
        assert refused.status_code == 400, path
        assert sentence in text_of(refused.text), path


def test_what_an_address_says_is_never_a_part_of_the_page(board):
    pasted = board.get("/board/kpis/net_revenue", params={"f.order_id__channel": "$(id)"}).text
    assert "--data-urlencode &#39;where=order_id__channel = " in pasted
    assert "-d &#34;where" not in pasted
    reply = board.get("/board", params={"lang": "en", "f.order_id__channel": "<script>x'"})
    assert reply.status_code == 200
    assert "<script>x" not in reply.text


@pytest.mark.parametrize(
    ("path", "status", "sentence"),
    [
        ("/board?colour=red", 400, "A page has no parameter 'colour'"),
        ("/board?period=2026-13", 400, "is no period"),
        ("/board?period=9999-12", 400, "is no period"),
        ("/board?period=0001-01", 400, "is no period"),
        (f"/board?f.{'a' * 300}=1", 400, "of more than 200 characters"),
        ("/board/kpis/nett_revenue", 404, "net_revenue"),
        ("/board/teams/nobody", 404, "commerce"),
        ("/board/nowhere", 404, "/board/kpis"),
    ],
)
def test_what_is_not_there_is_told_on_a_page(board, path, status, sentence):
    reply = board.get(path)
    assert reply.status_code == status
    assert sentence in text_of(reply.text)


def test_a_page_asks_few_statements_and_none_once_they_are_kept(rest_project, another):
    # The first visit after a build, of questions whose plans are kept; then other filters.
    for _ in range(2):
        with another(rest_project) as running:
            layer = running.server_context.service.snapshots.current.layer
            asked, run = [], layer.warehouse.arrow
            layer.warehouse.arrow = lambda sql, *rest, run=run, to=asked: (
                to.append(sql) or run(sql, *rest)
            )
            with httpx.Client(base_url=running.http, timeout=60) as client:
                assert client.get("/board").status_code == 200
                first = len(asked)
                asked.clear()
                assert client.get("/board?compare=year&f.order_id__channel=web").status_code == 200
                assert 0 < len(asked) <= 25, len(asked)
                asked.clear()
                assert client.get("/board").status_code == 200
                assert asked == []
    assert first <= 25


def test_what_is_asked_of_each_of_several_kpis_is_asked_of_all_at_once(layer):
    names = ("order_count", "net_revenue", "tickets_opened")
    asked, source = [], Source.of(layer)
    answer = source.answer
    counted = replace(source, answer=lambda query: asked.append(query) or answer(query))
    reader = Reader(counted, View(), lambda _: True)
    cards = [layer.card(name) for name in names]
    for card in cards:
        together = forecast.to_end(reader.together(cards).source, card.name, "week")
        assert together == forecast.to_end(source, card.name, "week")
    assert {query.metrics for query in asked} == {names}
    hides = Reader(counted, View(), lambda kpi: kpi != "net_revenue")
    asked.clear()
    for card in cards[:2]:
        forecast.to_end(hides.together(cards).source, card.name, "week")
    assert {query.metrics for query in asked} == {names[::2], names[1:2]}


def test_before_the_first_reader_pages_are_read_for_each_set_of_rights(rest_project, another):
    with another(rest_project) as running, httpx.Client(base_url=running.http) as client:
        layer = running.server_context.service.snapshots.current.layer
        for warm in running.server_context.warmers:
            warm()
        asked, run = [], layer.warehouse.arrow
        layer.warehouse.arrow = lambda sql, *rest: asked.append(sql) or run(sql, *rest)
        for path in ("/board", "/board/kpis", "/board/levels", "/board/impact"):
            assert client.get(path, params={"lang": "fr"}, timeout=60).status_code == 200
        assert asked == []


def test_a_server_that_ends_reads_no_page_beforehand(rest_project, another, monkeypatch):
    with another(rest_project) as running:
        context, questions = running.server_context, []
        monkeypatch.setattr(context.service, "ask", lambda *asked: questions.append(asked))
        context.ending.set()
        for warm in context.warmers[1:]:
            warm()
        assert questions == []


def test_a_page_that_is_kept_is_recorded_and_is_of_its_reader_and_its_data_alone(
    rest_project, another
):
    with another(rest_project) as running, httpx.Client(base_url=running.http) as client:
        context, written = running.server_context, []
        write = context.service.audit.write
        context.service.audit.write = lambda entry: written.append(entry) or write(entry)
        first = client.get("/board/kpis/net_revenue", timeout=60).text
        assert {entry.kind for entry in written} == {"query"}
        written.clear()
        assert client.get("/board/kpis/net_revenue").text == first
        assert [entry.kind for entry in written] == ["page"]
        assert "net_revenue" in written[0].metrics
        context.alerts = SimpleNamespace(number=1, standings=dict, history=lambda **_: [])
        written.clear()
        client.get("/board/kpis/net_revenue")
        assert "page" not in {entry.kind for entry in written}


@pytest.fixture(scope="module")
def guarded(rest_project, another, tmp_path_factory):
    """A server with the policy of the examples, and a token of each of two roles."""
    home = tmp_path_factory.mktemp("guarded")
    made = {
        role: tokens.create(home / "tokens.json", role, roles=(role,))[0]
        for role in ("board", "sales_france")
    }
    with another(rest_project) as running:
        context = running.server_context
        context.who = authorize.authenticator(home / "tokens.json", None)
        context.service.gate = authorize.gate(POLICY)
        yield SimpleNamespace(http=running.http, tokens=made)


def test_a_browser_signs_in_with_a_token_that_no_script_and_no_other_site_can_use(guarded):
    token = guarded.tokens["board"]
    with httpx.Client(base_url=guarded.http, timeout=60) as client:
        away = client.get("/board/kpis?lang=fr")
        assert away.status_code == 303
        assert away.headers["location"].startswith("/board/sign-in?to=%2Fboard%2Fkpis")
        assert client.get("/board/events").status_code == 401
        assert client.get("/board/pack.pdf?lang=en&period=2026-09").status_code == 303
        wrong = client.post("/board/sign-in", data={"token": "cadran_wrong", "to": "/board"})
        assert wrong.status_code == 401
        assert "cadran_wrong" not in wrong.text
        foreign = {"sec-fetch-site": "cross-site"}
        assert (
            client.post("/board/sign-in", data={"token": token}, headers=foreign).status_code == 403
        )
        right = client.post(
            "/board/sign-in", data={"token": token, "to": "/board/..//evil.example"}
        )
        assert right.headers["location"] == "/board"
        cookie = right.headers["set-cookie"].lower()
        assert "httponly" in cookie
        assert "samesite=lax" in cookie
        assert 'action="/board/sign-out"' in client.get("/board?lang=en").text
        assert client.post("/board/sign-out", headers=foreign).status_code == 403
        client.post("/board/sign-out")
        assert client.get("/board").status_code == 303


def test_a_page_shows_what_its_reader_may_see_and_hints_at_nothing_else(guarded, layer):
    bearer = {"authorization": f"Bearer {guarded.tokens['sales_france']}"}
    with httpx.Client(base_url=guarded.http, timeout=60, headers=bearer) as client:
        pages = {path: client.get(path, params={"lang": "en"}) for path in PAGES[:2]}
        value = layer.query(
            ["net_revenue"], where="customer__country = 'FR'", start="2026-10-01", end="2026-10-31"
        ).to_arrow()["net_revenue"][0].as_py()  # fmt: skip
        whole = layer.query(["net_revenue"], start="2026-10-01", end="2026-10-31")
        for path, reply in pages.items():
            assert reply.status_code == 200, (path, text_of(reply.text)[-300:])
            assert f"€{value:,.0f}" in text_of(reply.text)
            assert f"{whole.to_arrow()['net_revenue'][0].as_py():,.0f}" not in text_of(reply.text)
            assert "vailability" not in reply.text
            assert 'class="heat"' not in reply.text
        assert "/board/pack." not in pages["/board"].text
        refused = client.get("/board/pack.pdf", params={"lang": "en", "period": "2026-09"})
        assert refused.status_code == 403
        assert "and you do not see all of " in text_of(refused.text)
        assert "availability" not in refused.text
        for path in ("/board/levels", "/board/incidents", "/board/impact"):
            reply = client.get(path, params={"lang": "en"})
            assert reply.status_code == 200, (path, text_of(reply.text)[-300:])
            assert "vailability" not in reply.text
            assert "/board/incidents/" not in reply.text
            assert "redit" not in reply.text
        hidden = client.get("/board/kpis/platform_availability", params={"lang": "en"})
        unknown = client.get("/board/kpis/platform_availabilitx", params={"lang": "en"})
        assert (hidden.status_code, unknown.status_code) == (404, 404)
        assert "platform_availability" not in text_of(unknown.text).replace(
            "platform_availabilitx", ""
        )


def test_a_token_that_may_not_ask_sees_no_page_and_every_page_is_recorded(
    rest_project, another, known
):
    with another(rest_project) as running, httpx.Client(base_url=running.http) as client:
        context, written = running.server_context, []
        context.who = known
        context.service.audit.write = written.append
        for path in ("/board/levels", "/board/incidents", "/board/kpis/net_revenue"):
            for name, status in (("reads", 403), ("rules", 200)):
                written.clear()
                bearer = {"authorization": f"Bearer {name}"}
                reply = client.get(path, headers=bearer, timeout=60)
                assert reply.status_code == status, (path, name)
                assert bool(written) == (status == 200)


def test_a_stream_says_when_something_moved_and_catches_up_after_a_break(rest_project, another):
    with another(rest_project) as running:
        lines, first = [], threading.Event()

        def listen():
            with httpx.stream("GET", f"{running.http}/board/events", timeout=30) as reply:
                for line in reply.iter_lines():
                    lines.append(line)
                    first.set()

        thread = threading.Thread(target=listen, daemon=True)
        thread.start()
        assert first.wait(10)
        running.server_context.alerts = SimpleNamespace(number=7, standings=dict, history=list)
        _until(lambda: "event: changed" in lines)
        old = {"last-event-id": "before"}
        with httpx.stream("GET", f"{running.http}/board/events", headers=old, timeout=30) as reply:
            begun = iter(reply.iter_lines())
            events = [next(begun) for _ in range(8)]
        assert [line for line in events if line.startswith("event")] == [
            "event: hello",
            "event: changed",
        ]
    thread.join(15)  # streams end with the server
    assert not thread.is_alive()


def _until(condition, seconds=10):
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.05)


def test_pages_in_a_browser_have_no_violation_and_follow_the_data_in_place(
    rest_server, tool, project_root
):
    script = Path(__file__).with_name("browser") / "board.mjs"
    command = ["node", script, project_root / "target" / "browser", tool("browser"),
               rest_server.http]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    assert json.loads(done.stdout) == []

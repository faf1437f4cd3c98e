"""The digest: its figures are answers of the layer, its forms what mail and chats take."""

from __future__ import annotations

import datetime as dt
import json
import re
import socketserver
import threading
from contextlib import contextmanager
from dataclasses import replace
from email import message_from_bytes
from http.server import BaseHTTPRequestHandler, HTTPServer

import duckdb
import pytest
import yaml

from cadran.cli import main
from cadran.errors import QueryError
from cadran.insight import service_levels
from cadran.insight.readings import Reader
from cadran.insight.source import Source
from cadran.insight.view import View
from cadran.insight.wording import Words
from cadran.web import subscriptions
from cadran.web.digest import digest

POLICY = """
roles:
  france:
    metrics: [revenue, satisfaction_rate]
    dimensions: [order_id__channel]
    rows: ["customer__country = 'FR'"]
  everything: {metrics: "*", dimensions: "*"}
"""
ADDRESS = "https://kpis.example.com"
OCTOBER = {"start": "2026-10-01", "end": "2026-10-31"}


@pytest.fixture(scope="module", params=["en", "fr"])
def sent(request, layer):
    lang = request.param
    reader = Reader(Source.of(layer), View(lang=lang, start=dt.date(2026, 10, 1)), lambda _: True)
    words = Words(lang, service_levels.zone(reader))
    return words, digest(reader, words, name="The company", address=ADDRESS)


def test_every_figure_of_a_tile_is_an_answer_of_the_layer_in_each_form(sent, layer):
    words, made = sent
    told = 0
    for card in layer.kpis():
        if card.tier != "strategic":
            continue
        (now,) = layer.query([card.name], **OCTOBER).to_arrow()[card.name].to_pylist()
        (before,) = (
            layer.query([card.name], start="2026-09-01", end="2026-09-30")
            .to_arrow()[card.name]
            .to_pylist()
        )
        value, change = words.value(now, card), words.change(now, before, card)
        for form in (made.html, made.text, made.marked.replace("\\", "")):
            rest = form.partition(words.label(card).replace("'", "&#39;" if "<" in form else "'"))
            assert value in rest[2], card.name
            assert change in rest[2], card.name
        assert made.pictures[f"{card.name}.png"].startswith(b"\x89PNG")
        told += 1
    assert told >= 5
    by_channel = layer.query(["net_revenue"], ["order_id__channel"], **OCTOBER).to_arrow()
    revenue = layer.card("net_revenue")
    alternative = re.search(r'cid:course.png"[^>]*alt="([^"]+)"', made.html)[1]
    for channel, value in zip(*(c.to_pylist() for c in by_channel), strict=True):
        assert f"{channel} {words.value(value, revenue)}" in alternative


def test_promises_and_links_are_those_of_the_board(sent, layer):
    words, made = sent
    reader = Reader(Source.of(layer), View(lang=words.lang), lambda _: True)
    for level in service_levels.levels(reader, words)[:8]:
        line = f"{level.service} · {level.label}"
        assert line in made.text
        assert level.left in made.text.partition(line)[2].partition("\n")[0]
    for form in (made.html, made.text, made.marked):
        assert f"{ADDRESS}/board/levels?lang={words.lang}" in form
        assert "period=2026-10" in form
        assert "None" not in form


def test_the_promises_of_a_period_that_is_over_are_those_of_its_end(layer):
    (row,) = layer.warehouse.arrow(
        "select 1 - sum(bad_units) / sum(allowed_units) as left_over"
        " from reliability.fct_slo_slices_minutely"
        " where slo_id = 'availability_28d:checkout' and not is_excluded"
        " and date_trunc('month', timezone('Europe/Paris', timezone('UTC', minute_at)))"
        " = date '2026-09-01'"
    ).to_pylist()
    view = View(start=dt.date(2026, 9, 1))
    reader, words = Reader(Source.of(layer), view, lambda _: True), Words("en")
    now = {level.id: level.left for level in service_levels.levels(reader, words)}
    (level,) = (
        level
        for level in service_levels.standing(reader, words, reader.window(layer.kpis())).levels
        if level.id == "availability_28d:checkout"
    )
    assert level.left == words.share(row["left_over"], 1) != now[level.id]
    made = digest(reader, words, name="The company")
    assert "What was left on 30 Sep 2026 of the error budget of the period" in made.text
    week = digest(
        replace(reader, view=replace(view, grain="week", start=dt.date(2026, 9, 7))),
        words, name="The company",
    )  # fmt: skip
    assert "What is left of each error budget now" in week.text


def test_a_mail_needs_nothing_that_mail_clients_cut(sent):
    _, made = sent
    assert len(made.html) < 100_000  # a mail of more than 102 kB is cut off in Gmail
    assert not re.search(r"<(script|style|svg|link|iframe|form)\b|class=|position:", made.html)
    named = set(re.findall(r'"cid:([^"]+)"', made.html))
    assert named == set(made.pictures)
    assert "cid:" not in made.page


class _Mail(socketserver.StreamRequestHandler):
    """As much of SMTP as it takes to be told one mail."""

    def handle(self):
        self.wfile.write(b"220 test\r\n")
        while line := self.rfile.readline():
            if line[:4].upper() == b"DATA":
                self.wfile.write(b"354 go on\r\n")
                lines = []
                while (text := self.rfile.readline()) not in {b".\r\n", b""}:
                    lines.append(text)
                self.server.received.append(b"".join(lines))
            elif line[:4].upper() == b"QUIT":
                self.wfile.write(b"221 bye\r\n")
                return
            self.wfile.write(b"250 ok\r\n")


class _Chat(BaseHTTPRequestHandler):
    def do_POST(self):
        self.server.received.append(self.rfile.read(int(self.headers["content-length"])))
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, *_):
        pass


@contextmanager
def listening(server):
    server.received = []
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()


@pytest.fixture
def company(guarded, tmp_path):
    """A project with a policy and receivers, and the flags that name it."""
    (tmp_path / "cadran_policy.yml").write_text(POLICY)
    receivers = [
        {"name": "direction", "apprise": {"variable": "DIRECTION"}, "lang": "fr"},
        {"name": "chat", "apprise": {"variable": "CHAT"}},
        {"name": "hook", "webhook": "https://hooks.example.com", "secret": {"variable": "S"}},
    ]
    rule = {
        "name": "low", "severity": "page",
        "threshold": {"kpi": "revenue", "grain": "month", "below": 1},
    }  # fmt: skip
    alerts = {"receivers": receivers, "rules": [rule]}
    (tmp_path / "cadran_alerts.yml").write_text(yaml.safe_dump(alerts))
    digests = [
        {"name": "committee", "receiver": "direction", "role": "france", "period": "2026-02"},
        {"name": "team", "receiver": "chat", "role": "everything", "period": "last"},
    ]
    (tmp_path / "cadran_digests.yml").write_text(
        yaml.safe_dump({"address": ADDRESS, "digests": digests})
    )
    database = guarded.parents[1] / "guarded.duckdb"
    return [
        "--project-dir", str(tmp_path), "--manifest", str(guarded), "--database", str(database),
        "--name", "Shop",
    ]  # fmt: skip


def test_subscriptions_go_out_under_their_roles_as_mail_and_as_markdown(
    company, guarded, monkeypatch, capsys
):
    mails = listening(socketserver.ThreadingTCPServer(("127.0.0.1", 0), _Mail))
    chats = listening(HTTPServer(("127.0.0.1", 0), _Chat))
    with mails as mail, chats as chat:
        address = f"127.0.0.1:{mail.server_address[1]}"
        url = f"mailto://{address}/?from=kpi@example.com&to=head@example.com"
        monkeypatch.setenv("DIRECTION", url)
        monkeypatch.setenv("CHAT", f"json://127.0.0.1:{chat.server_address[1]}")
        assert main(["digest", "committee", "team", "--send", *company]) == 0
        assert capsys.readouterr().out.split("\n")[:2] == ["direction has it.", "chat has it."]
    (mail,) = map(message_from_bytes, mail.received)
    parts = {part.get_content_type(): part for part in mail.walk()}
    html, text = (
        parts[kind].get_payload(decode=True).decode() for kind in ("text/html", "text/plain")
    )
    with duckdb.connect(str(guarded.parents[1] / "guarded.duckdb"), read_only=True) as raw:
        france, whole = raw.execute(
            "select sum(amount) filter (country = 'FR'), sum(amount) from shop.orders"
            " join shop.customers using (customer_id)"
            " where ordered_date between '2026-02-01' and '2026-02-28'"
        ).fetchone()
    french = Words("fr")
    for form in (html, text):
        assert french.number(france, 2) in form
        assert french.number(whole, 2) not in form
        assert f"{ADDRESS}/board/levels?lang=fr" in form.replace("&amp;", "&")
    named = set(re.findall(r'"cid:([^"]+)"', html))
    inline = {part["content-id"].strip("<>") for part in mail.walk() if part["content-id"]}
    assert named == inline != set()
    body = json.loads(chat.received[0])["message"]
    assert "**KPIs**" in body
    assert f"]({ADDRESS}/board?lang=en&period=2026-03)" in body


def test_who_is_told_and_by_which_role_is_held_to_before_anything_is_read(company, capsys):
    for words, problem in (
        (["--role", "france", "--send", "nobody"], "There is no receiver 'nobody'"),
        (["--role", "france", "--send", "hook"], "takes no mail, chat or file"),
        (["--role", "frence"], "Did you mean 'france'"),
        ([], "names no role, and cadran_policy.yml says what each may see"),
        (["--role", "france", "--send"], "Nobody is named who gets it"),
        (["comittee", "--send"], "Did you mean 'committee'"),
        (["--role", "france", "--period", "soon"], "'soon' is no period"),
        (["--role", "france", "--address", "kpis"], "such as https://kpis.example.com"),
    ):
        assert main(["digest", *words, *company]) == 2
        complaint = capsys.readouterr().err
        assert re.search(problem, complaint), complaint
        assert complaint.count("\n") == 1


def test_a_receiver_that_is_gone_keeps_no_other_digest_back(company, monkeypatch, capsys):
    with listening(HTTPServer(("127.0.0.1", 0), _Chat)) as chat:
        monkeypatch.setenv("DIRECTION", "mailto://127.0.0.1:1/?from=a@example.com&to=b@example.com")
        monkeypatch.setenv("CHAT", f"json://127.0.0.1:{chat.server_address[1]}")
        assert main(["digest", "committee", "team", "--send", *company]) == 2
        output = capsys.readouterr()
    assert "digest committee: Receiver 'direction' did not take the message." in output.err
    assert output.out == "chat has it.\n"
    assert len(chat.received) == 1


@pytest.mark.parametrize(
    ("entry", "problem"),
    [
        ({"name": "a", "reciever": "b"}, "did you mean 'receiver'"),
        ({"name": "a", "receiver": "b", "period": "soon"}, "digest 'a': 'soon' is no period"),
        ({"name": "a", "receiver": "b", "grain": "day"}, "grain"),
    ],
)
def test_a_subscription_that_says_something_else_is_refused(tmp_path, entry, problem):
    (tmp_path / subscriptions.FILE).write_text(yaml.safe_dump({"digests": [entry]}))
    with pytest.raises(QueryError, match=problem):
        subscriptions.read(tmp_path)


def test_a_filter_that_no_kpi_takes_is_refused_rather_than_left_out(shop):
    reader = Reader(Source.of(shop), View(filters={"colour": "red"}), lambda _: True)
    with pytest.raises(QueryError, match="No KPI that may be seen has the dimension 'colour'"):
        digest(reader, Words("en"), name="Shop")

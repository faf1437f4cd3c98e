"""Every command works in a dbt project of somebody else: old and new spec, without French."""

from __future__ import annotations

import difflib
import json
import os
import re
import shlex
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import duckdb
import httpx
import pytest
import yaml
from foreigners import SPECS, copied, dbt, with_cards
from test_walkthrough import applied, shown

import cadran
from cadran.cli import main
from cadran.core.project import artifacts, cards
from cadran.errors import QueryError
from cadran.governance.drafting import MetricDraft, card_text, new_card, new_metric
from cadran.server.run import serving
from cadran.server.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
TUTORIAL, README = ROOT / "docs" / "install.md", ROOT / "README.md"
KPIS = ["complaints_per_trip", "fare_revenue", "punctuality_rate", "passengers_to_date"]


@pytest.fixture(scope="module")
def projects(tmp_path_factory):
    """Both projects, built; folders with spaces and an accent in their names."""
    home = tmp_path_factory.mktemp("ferries")
    made = {spec: copied(spec, home / f"Fähre & {spec}") for spec in SPECS}
    for folder in made.values():
        dbt(folder, "build")
    return made


# A command for each way in which definitions are read: words, its exit code, what it says.
# What needs a whole card of the second KPI of the alphabet comes with four cards and with one.
ASKED = [
    (["list"], 0, "complaints_per_trip"),
    (["list", "--metrics"], 0, "trip_count"),
    (["list", "--saved-queries"], 0, "monthly_fares"),
    (["list", "--dimensions", "complaints_per_trip"], 0, "trip__operator"),
    (["show", "complaints_per_trip"], 0, "complaints filed divided by trips"),
    (["show", "trip_count"], 2, "`cadran new kpi trip_count` writes one"),
    (["query", "complaints_per_trip", "--group-by", "trip__operator"], 0, "O'Brien & Sons"),
    (["sql", "complaints_per_trip"], 0, "fct_complaints"),
    (["values", "port__port_name"], 0, "Łódź 100%"),
    (["query", "--saved-query", "monthly_fares", "--format", "csv"], 0, '"Cork; ""Old"""'),
    (["board"], 0, "KPI board"),
    (["board", "--lang", "fr"], 0, "Complaints per trip"),
    (["forecast", "complaints_per_trip"], 0, "Complaints per trip, July 2026"),
    (["anomalies", "complaints_per_trip"], None, "omplaints"),
    (["drivers", "complaints_per_trip"], 0, "omplaint"),
    (["slo", "status"], 2, "write `slos` on a KPI's card"),
    (["sla", "status"], 2, "There is no contract"),
    (["impact"], 2, "this project has no `incident_count`"),
    (["export", "ossie", "--output", "OUT/ossie.yml"], 0, ""),
    (["export", "powerbi", "--output", "OUT/powerbi"], 0, ""),
    (["export", "superset", "--output", "OUT/superset"], 0, ""),
    (["check"], 1, "no test holds it against a value known"),
    (["tables"], 0, "monthly_fares.sql"),
    (["usage"], 0, "complaints_per_trip"),
    (["verify"], 0, "nothing was published"),
]


@pytest.mark.parametrize(("spec", "kept"), [("old", 4), ("old", 1), ("new", 4)])
def test_every_command_works_with_four_cards_and_with_one(  # noqa: PLR0913, PLR0917 - fixtures
    projects, spec, kept, tmp_path, capsys, monkeypatch
):
    folder = with_cards(projects[spec], tmp_path / "copy", kept)
    monkeypatch.chdir(folder / "models")  # a folder below the project is enough
    for words, code, said in ASKED:
        arguments = [word.replace("OUT", str(tmp_path)) for word in words]
        returned = main(arguments)
        captured = capsys.readouterr()
        text = captured.out + captured.err
        assert code is None or returned == code, (words, text)
        assert said in text, (words, text)
        assert "--debug" not in text, (words, text)


def test_a_watched_question_is_asked_again_once_the_warehouse_changed(
    projects, tmp_path, capsys, monkeypatch
):
    folder = with_cards(projects["new"], tmp_path / "copy", 1)
    monkeypatch.chdir(folder)
    looks = []

    def change(_):
        looks.append(capsys.readouterr())
        if len(looks) == 2:  # nothing changed since the first look
            with duckdb.connect("harbour-data.v2.duckdb") as connection:
                connection.execute("delete from analytics_dev.fct_trips where operator like 'O%'")
        elif len(looks) == 3:
            (folder / "harbour-data.v2.duckdb").unlink()
        elif len(looks) == 4:
            raise KeyboardInterrupt

    monkeypatch.setattr("cadran.cli.watch.time.sleep", change)
    words = ["query", "complaints_per_trip", "--group-by", "trip__operator", "--watch"]
    assert main(words) == 130
    first, again, changed, refused = looks
    assert "O'Brien & Sons" in first.out
    assert first.out.endswith("Waiting for a change; Ctrl-C ends.\n")
    assert again.out == ""
    assert "O'Brien & Sons" not in changed.out
    assert len(changed.out.splitlines()) > 3
    assert "There is no warehouse at" in refused.err
    assert refused.out == "Waiting for a change; Ctrl-C ends.\n"


def test_both_specs_give_the_same_numbers(projects):
    answers = []
    for spec in SPECS:
        with_layer = cadran.open(projects[spec])
        assert [card.name for card in with_layer.kpis()] == sorted(KPIS[:3]) + KPIS[3:]
        answers.append(
            [with_layer.query([k], "metric_time__month").to_arrow().to_pylist() for k in KPIS]
        )
        with_layer.close()
    assert answers[0] == answers[1]


def test_a_ratio_is_guessed_a_share_only_where_its_parts_are_of_one_kind(projects, tmp_path):
    folder = with_cards(projects["old"], tmp_path / "copy", 4)
    path = folder / "target" / "semantic_manifest.json"
    manifest = json.loads(path.read_text())
    share = next(one for one in manifest["metrics"] if one["name"] == "punctuality_rate")
    for name, numerator in (("part_punctual", "punctual_trip_count"), ("a_trip", "fare_revenue")):
        ratio = json.loads(json.dumps(share)) | {"name": name}
        ratio["type_params"]["numerator"]["name"] = numerator
        ratio["type_params"]["denominator"]["name"] = "trip_count"
        manifest["metrics"].append(ratio)
    path.write_text(json.dumps(manifest))
    layer = cadran.open(manifest=path, database=folder / "harbour-data.v2.duckdb")
    assert 'unit: "%"' in card_text(layer, "part_punctual")
    assert 'unit: "EUR"' in card_text(layer, "a_trip")
    layer.close()


def test_one_kpi_of_the_old_spec_is_published_and_has_its_page_in_english_alone(
    projects, tmp_path, capsys
):
    folder = with_cards(projects["old"], tmp_path / "copy", 1)
    where = ["--project-dir", str(folder)]
    (folder / "cadran_ledger.yml").write_text("grains: [month]\ndimensions: [[]]\n")
    assert main(["publish", *where]) == 0
    assert "complaints_per_trip: 7 values published" in capsys.readouterr().out
    assert main(["verify", *where]) == 0
    site = tmp_path / "site"
    assert main(["catalog", *where, "--out", str(site)]) == 0
    assert {path.name for path in site.iterdir() if path.is_dir()} == {"assets", "en"}
    pages = [path.read_text() for path in site.rglob("*.html")]
    assert not [page for page in pages if 'hreflang="fr"' in page or "Français" in page]


def test_a_card_that_cannot_be_read_stops_its_own_kpi_and_no_list(projects, tmp_path, capsys):
    folder = with_cards(projects["old"], tmp_path / "copy", 4)
    path = folder / "target" / "semantic_manifest.json"
    manifest = json.loads(path.read_text())
    broken = next(one for one in manifest["metrics"] if one["name"] == "fare_revenue")
    broken["config"]["meta"]["kpi"]["direction"] = "sideways"
    path.write_text(json.dumps(manifest))
    where = ["--project-dir", str(folder)]
    assert main(["query", "fare_revenue", *where]) == 2
    said = capsys.readouterr().err
    assert all(word in said for word in ("semantic.yml", "fare_revenue", "direction", "sideways"))
    for words in (["list"], ["board"], ["query", "complaints_per_trip"]):
        assert main([*words, *where]) == 0, words
        assert "omplaints" in capsys.readouterr().out, words


EMPTY = [
    (["list"], 0),
    (["show", "fare_revenue"], 2),
    (["board"], 2),
    (["publish"], 0),
    (["export", "powerbi", "--output", "OUT/powerbi"], 2),
    (["export", "superset", "--output", "OUT/superset"], 2),
]


@pytest.mark.parametrize("spec", SPECS)
def test_without_a_kpi_commands_say_what_to_do_next(projects, spec, tmp_path, capsys):
    folder = with_cards(projects[spec], tmp_path / "copy", 0)
    where = ["--project-dir", str(folder)]
    for words, code in EMPTY:
        assert main([word.replace("OUT", str(tmp_path)) for word in [*words, *where]]) == code
        assert "`cadran new kpi" in capsys.readouterr().err, words
    assert main(["list", "--metrics", *where]) == 0
    assert main(["tables", *where]) == 0
    assert main(["export", "ossie", "--output", str(tmp_path / "o.yml"), *where]) == 0


@pytest.mark.parametrize(
    ("path", "said"),
    [
        (":memory:", "a warehouse in memory"),
        ("md:ferries", "a warehouse at MotherDuck"),
        ("none.duckdb", "There is no warehouse at"),
    ],
)
def test_a_warehouse_that_is_no_file_is_told_from_one_that_is_missing(
    projects, path, said, tmp_path, capsys
):
    folder = with_cards(projects["new"], tmp_path / "copy", 1)
    profiles = (folder / "profiles.yml").read_text().replace("harbour-data.v2.duckdb", f"'{path}'")
    os.utime(folder / "target" / "semantic_manifest.json")
    (folder / "profiles.yml").write_text(profiles)
    words = ["query", "complaints_per_trip", "--project-dir", str(folder)]
    assert main(words) == 2
    text = capsys.readouterr().err
    assert said in text
    assert "database=" not in text
    assert "--database" in text


def test_the_project_is_found_by_its_environment_variable(projects, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["list"]) == 2
    assert "no dbt_project.yml" in capsys.readouterr().err
    monkeypatch.setenv("DBT_PROJECT_DIR", str(projects["new"]))
    assert main(["list", "--format", "json"]) == 0
    assert {card["name"] for card in json.loads(capsys.readouterr().out)} == set(KPIS)


def test_a_project_is_given_what_it_lacks_and_a_first_kpi_takes_two_files(
    projects, tmp_path, capsys, monkeypatch
):
    folder = with_cards(projects["old"], tmp_path / "copy", 0)
    monkeypatch.chdir(folder)
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    monkeypatch.delenv("CADRAN_AUTHOR", raising=False)
    subprocess.run(["git", "init", "-q"], check=True)
    (folder / ".gitignore").write_text("*.duckdb\n# ours")
    before = (folder / "models" / "semantic.yml").read_text()
    assert main(["init"]) == 0
    capsys.readouterr()
    ignored = (folder / ".gitignore").read_text()
    assert ignored.startswith("*.duckdb\n# ours\ntarget/\n")
    assert (folder / "cadran_checks.yml").read_text().endswith("KPI table yet.}\n")
    rows = (folder / "seeds" / "objective_definitions.csv").read_text().splitlines()
    assert rows[1:] == ["grow,Grow,,,,head@ferries.example"]
    assert not (folder / "models" / "utilities").exists()  # it has a time spine
    kept = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert main(["init", "--ci", "github"]) == 0
    assert {path: path.read_bytes() for path in kept} == kept
    capsys.readouterr()

    first_kpi = ["new", "kpi", "trip_count", "--objective", "grow", "--owner", "jo@x.org"]
    assert main([*first_kpi, "--record"]) == 2  # before anything is written
    assert "Nobody is the author: set git's user.email." in capsys.readouterr().err
    assert (folder / "models" / "semantic.yml").read_text() == before
    subprocess.run(["git", "config", "user.email", "ana@ferries.example"], check=True)
    assert main([*first_kpi, "--record"]) == 0
    said = capsys.readouterr().out
    assert "versions/trip_count/v1.yml\n" in said
    record = yaml.safe_load((folder / "versions" / "trip_count" / "v1.yml").read_text())
    assert (record["kind"], record["author"]) == ("first", "ana@ferries.example")
    assert yaml.safe_load((folder / "kpi.lock").read_text())["kpis"]["trip_count"]["version"] == 1
    assert int(re.search(r"(\d+) lines in 2 files", said)[1]) <= 25
    after = (folder / "models" / "semantic.yml").read_text()
    compared = difflib.ndiff(before.splitlines(), after.splitlines())
    assert not [line for line in compared if line.startswith("-")]
    with_layer = cadran.open(folder)
    card = with_layer.card("trip_count")
    assert (card.status, card.unit, card.decimals, card.lacks) == ("draft", "trips", 0, ())
    assert card.grains == ("day", "week", "month", "quarter", "year")
    assert "trip__operator" in card.dimensions
    assert "trip_count is a draft." in with_layer.query("trip_count", "metric_time__month").note
    by_one = card_text(with_layer, "fare_revenue", "grow", "ana@ferries.example")
    assert "# owner: {business: ana@ferries.example, technical: who.computes@" in by_one
    with_layer.close()
    assert main(["new", "kpi", "trip_count"]) == 2
    assert "has a card already" in capsys.readouterr().err


def test_each_kind_of_metric_is_written_as_dbt_takes_it(projects, tmp_path):
    folder = shutil.copytree(projects["new"], tmp_path / "copy")
    mart = folder / "models" / "marts" / "fct_trips.yml"
    mart.write_text(mart.read_text() + "      # the end, said the captain\n")
    dbt(folder, "parse")
    with_layer = cadran.open(folder)
    kinds = (
        MetricDraft(name="fare_mean", kind="simple", model="fct_trips", agg="average",
                    expr="fare_amount"),
        MetricDraft(name="late_rate", kind="ratio", metrics=("punctual_trip_count", "trip_count")),
        MetricDraft(name="late_trips", kind="derived", expr="trip_count - punctual_trip_count",
                    metrics=("trip_count", "punctual_trip_count")),
        MetricDraft(name="trips_28d", kind="cumulative", metrics=("trip_count",), window="28 days"),
        MetricDraft(name="complaint_rate", kind="conversion", entity="trip", window="60 days",
                    metrics=("trip_count", "complaint_count")),
    )  # fmt: skip
    for draft in kinds:
        new_metric(with_layer, draft)
    new_card(with_layer, "trip_count", "grow", "jo@x.org")
    with pytest.raises(QueryError, match="There is a metric trip_count already"):
        new_metric(with_layer, replace(kinds[0], name="trip_count"))
    with_layer.close()
    assert "# the end, said the captain" in mart.read_text()
    with_layer = cadran.open(folder)
    metrics = {metric["name"]: metric["type"] for metric in with_layer.metrics()}
    assert {draft.name: metrics[draft.name] for draft in kinds} == {d.name: d.kind for d in kinds}
    result = with_layer.query(["late_trips", "trip_count", "punctual_trip_count"])
    [row] = result.to_arrow().to_pylist()
    assert row["late_trips"] == row["trip_count"] - row["punctual_trip_count"]
    assert with_layer.card("trip_count").direction == "up"
    with_layer.close()


def test_the_tutorial_runs_command_by_command(tmp_path, capsys, monkeypatch):
    folder = copied("new", tmp_path / "ferries")
    (folder / "models" / "metrics.yml").unlink()  # the company has no KPI yet
    monkeypatch.chdir(folder)
    monkeypatch.delenv("CADRAN_AUTHOR", raising=False)
    for words in (["init", "-q"], ["config", "user.email", "ana@ferries.example"]):
        subprocess.run(["git", *words], check=True)
    said = {}
    commands = shown(TUTORIAL)
    for place, (program, *words) in enumerate(commands):
        if place and commands[place - 1][:2] == ["cadran", "check"] and program == "dbt":
            applied(folder, TUTORIAL)
        if program == "dbt":
            dbt(folder, *words)
        else:
            assert main(words) == 0, (words, capsys.readouterr())
        said[place, *words] = capsys.readouterr().out
    assert [program for program, *_ in commands].count("dbt") == 2
    for wanted in (
        "trip_count  Trips", "29 lines in 3 files", "270", "1 KPIs, ", "KPI board",
        "number of trips that left", "values published", "hold", "0.8125",
    ):  # fmt: skip
        assert any(wanted in re.sub(" +", "  ", text) or wanted in text for text in said.values())
    checks = [text for key, text in said.items() if key[1] == "check"]
    assert ["nothing to mend" in text for text in checks] == [True, True]


# What the README calls the demo's things by, and what the ferries have in their place.
LIKE = {
    "net_revenue": "complaints_per_trip", "average_order_value": "fare_revenue",
    "customer__country": "trip__operator", "kpi_monthly_strategic": "monthly_fares",
    "KPI": "complaints_per_trip", "PERIOD": "2026-05", "CONTRACT": "ferries", "MONTH": "2026-05",
    "2026-Q3": "2026-Q2", "bump": "bump --first", "incidents": "incidents list",
    "kpi": "kpi trip_count",
    "test": "test --as board --metrics fare_revenue --group-by metric_time__month",
    "powerbi": "powerbi --output powerbi",
}  # fmt: skip
# What is no success there, and what it says: the company has no SLO, no contract, no raw data of
# the demo's contracts, nobody to send to and nothing live.
OTHERWISE = {
    "cadran query net_revenue --group-by metric_time__hour": (2, "is not defined by hour"),
    "cadran check": (1, "no test holds it against a value known"),
    "cadran slo status": (2, "write `slos` on a KPI's card"),
    "cadran sla statement CONTRACT MONTH": (2, "a contract is a file <name>.yml there"),
    "cadran incidents": (2, ""),
    "cadran alerts list": (2, "There is no cadran_alerts.yml: it says what is watched"),
    "cadran digest --send": (2, "Nobody is named who gets it"),
    "cadran doctor": (2, "has no input contract"),
    "cadran serve --live": (2, "No model is live: say `config.meta.live`"),
}
# What serves and sends until it is stopped: the first is asked below, the others know no project.
RUNNING = ("cadran serve", "cadran collect", "cadran demo")
POLICY = 'roles: {board: {metrics: [{tier: strategic}], dimensions: "*"}}\n'


def of_the_readme():
    """Every command of the README, of its blocks and of its text, once each."""
    text = README.read_text(encoding="utf-8")
    blocks = re.findall(r"^```(?:bash|console)\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    lines = [line.removeprefix("$ ").partition("#")[0] for line in "".join(blocks).splitlines()]
    lines += re.findall(r"`(cadran \w[^`]*)`", text)
    commands = dict.fromkeys(line.strip() for line in lines if line.startswith("cadran "))
    return [command for command in commands if command not in RUNNING[:2]]


@pytest.mark.parametrize("spec", SPECS)
def test_every_command_of_the_readme_works_in_a_project_of_somebody_else(
    projects, spec, tmp_path, capsys, monkeypatch
):
    folder = with_cards(projects[spec], tmp_path / "copy", 4)
    monkeypatch.chdir(folder)
    monkeypatch.setenv("CADRAN_AUTHOR", "ana@ferries.example")
    (folder / "cadran_policy.yml").write_text(POLICY)
    (folder / "cadran_ledger.yml").write_text("grains: [month]\ndimensions: [[]]\n")
    commands = of_the_readme()
    assert len(commands) > 25
    for command in commands:
        if command.startswith(RUNNING[2]):
            continue
        words = [new for word in shlex.split(command)[1:] for new in LIKE.get(word, word).split()]
        code, said = OTHERWISE.get(command, (0, ""))
        returned, captured = main(words), capsys.readouterr()
        text = captured.out + captured.err
        assert returned == code, (words, text)
        assert said in text, (words, text)
        assert "Traceback" not in text + "--debug", (words, text)


def test_the_server_of_the_readme_answers_for_a_project_of_somebody_else(projects, tmp_path):
    folder = with_cards(projects["new"], tmp_path / "copy", 4)
    text = README.read_text(encoding="utf-8")
    address = re.search(r'^curl "http://127.0.0.1:8765(\S+)"', text, re.MULTILINE)[1]
    settings = Settings(port=0, flight_port=None, warm=False, refresh=0.0, audit=tmp_path / "audit")
    with (
        serving(artifacts.find(folder, None, None), settings) as running,
        httpx.Client(base_url=running.http, timeout=60) as http,
    ):
        rows = http.get(address.replace("net_revenue", "fare_revenue")).text.splitlines()
        assert rows[0] == "metric_time__month,fare_revenue"
        assert len(rows) == 8
        for lang, title in (("en", "Fare &#34;revenue&#34; &amp; more"), ("fr", "Indicateurs")):
            page = http.get("/board", params={"lang": lang}, follow_redirects=True)
            assert page.status_code == 200
            assert title in page.text, lang


def test_the_python_of_the_readme_runs_in_a_project_of_somebody_else(
    projects, tmp_path, monkeypatch
):
    monkeypatch.chdir(with_cards(projects["old"], tmp_path / "copy", 4))
    [code] = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    for of_the_demo, theirs in LIKE.items():
        code = code.replace(f'"{of_the_demo}"', f'"{theirs}"')
    names = {}
    exec(compile(code, "README.md", "exec"), names)  # noqa: S102 - it is this repository's own
    assert len(names["result"]) > 0
    names["layer"].close()


def test_refusals_drafts_and_first_files_are_said_in_french(
    projects, tmp_path, capsys, monkeypatch
):
    folder = with_cards(projects["new"], tmp_path / "copy", 4)
    monkeypatch.chdir(folder)
    hourly = ["--group-by", "metric_time__hour"]
    for words, code, said in (
        (["query", "complaints_per_trip", *hourly], 2, "n'est pas défini par hour : sa fiche a"),
        (["query", "complaints_per_trip", *hourly], 2, "ou demander avec --ungoverned la métrique"),
        (
            ["query", "fare_revenue", "complaints_per_trip", *hourly],
            2,
            "leurs fiches ont en commun",
        ),
        (["show", "trip_count"], 2, "C'est une métrique sans fiche : `cadran new kpi trip_count`"),
        (["list", "--help"], 0, "parquet et arrow (un flux IPC) demandent --output ou un tube"),
        (["init"], 0, "nouveau     cadran_checks.yml"),
        (["init"], 0, "inchangé    cadran_checks.yml\n"),
        (["new", "kpi", "trip_count"], 0, "est un brouillon : il manque à sa fiche objective"),
        (["query", "trip_count"], 0, "trip_count est un brouillon"),
    ):
        returned, captured = main([*words, "--lang", "fr"]), capsys.readouterr()
        text = captured.out + captured.err
        assert returned == code, (words, text)
        assert said in (" ".join(text.split()) if "--help" in words else text), (words, text)


def test_the_card_page_shows_a_card_and_a_refusal_as_they_are(projects, tmp_path, capsys):
    folder = with_cards(projects["new"], tmp_path / "copy", 4)
    page = (ROOT / "docs" / "card.md").read_text(encoding="utf-8")
    [shown_card] = map(yaml.safe_load, re.findall(r"```yaml\n(.*?)```", page, re.DOTALL))
    cards.read(shown_card["metrics"][0], lambda: "docs/card.md")
    [(_, *words)] = shown(ROOT / "docs" / "card.md")
    refusal = page.partition("metric_time__week\n")[2].partition(" …")[0]
    assert main([*words, "--project-dir", str(folder)]) == 2
    assert capsys.readouterr().err.startswith(refusal)

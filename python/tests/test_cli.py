"""The command line as a user meets it: help, forms of the answer, exit codes, sentences."""

from __future__ import annotations

import csv
import io
import json
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cadran.cli.app import COMMANDS

ROOT = Path(__file__).resolve().parents[2]
MONTHS = ["query", "net_revenue", "--group-by", "metric_time__month"]


def run(*arguments, cwd=ROOT, environment=None, text=True):
    return subprocess.run(
        [sys.executable, "-m", "cadran", *arguments],
        cwd=cwd,
        env=os.environ | {"PYTHONPATH": str(ROOT / "python")} | (environment or {}),
        capture_output=True,
        text=text,
        check=False,
    )


@pytest.fixture(scope="session")
def place(demo):
    """The flags that name the demo."""
    assert demo.returncode == 0, demo.log[-3000:]
    manifest = demo.target / "semantic_manifest.json"
    return ["--manifest", str(manifest), "--database", str(demo.database)]


@pytest.fixture(scope="session")
def project(demo, tmp_path_factory):
    """A copy of the project whose build is the demo's, for commands that write."""
    assert demo.returncode == 0, demo.log[-3000:]
    folder = tmp_path_factory.mktemp("project")
    # With their times: a file newer than the artefacts would make `check` parse the copy again.
    settings = ("dbt_project.yml", "profiles.yml", "vars.yml", "cadran_checks.yml", "kpi.lock")
    for name in settings:
        shutil.copy2(ROOT / name, folder)
    folders = (
        "models",
        "semantic_models",
        "metrics",
        "macros",
        "seeds",
        "tests",
        "versions",
        "contracts",
    )
    for name in (*folders, "python/tests/answers"):
        shutil.copytree(ROOT / name, folder / name)
    # A copy of the artefacts too: what is edited here is parsed again, and is not the demo.
    shutil.copytree(demo.target, folder / "target")
    (folder / "data").mkdir()
    for name in ("demo", "mine"):
        (folder / "data" / name).symlink_to(demo.data)
    log = '1.2.3.4 - - [17/May/2015:10:05:03 +0000] "GET / HTTP/1.1" 200 9\n'
    for name in ("access.log", "access.log.1.gz"):
        (folder / name).write_text(log, encoding="utf-8")
    return folder


@pytest.fixture(scope="session")
def built(demo, project):
    return {"DBT_TARGET_PATH": str(project / "target"), "CADRAN_DATABASE": str(demo.database)}


def examples(command):
    lines = run(command, "--help").stdout.splitlines()
    shown = [line.strip() for line in lines[lines.index("examples:") + 1 :]]
    return [shlex.split(line)[1:] for line in shown if line.startswith("cadran ")]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_with_an_example(command):
    helped = run(command, "--help")
    assert helped.returncode == 0
    assert examples(command), helped.stdout


# The commands of versions and ledger write, catalogue and exports take long, servers do not end by
# themselves, a policy has to be there: their own tests run them.
APART = {
    "demo", "bump", "publish", "verify", "close", "explain", "catalog", "collect", "export",
    "serve", "mcp", "policy", "alerts", "recommend", "note", "init", "new",
}  # fmt: skip


@pytest.mark.parametrize("command", [name for name in COMMANDS if name not in APART])
def test_the_examples_of_the_help_run(command, project, built):
    # What is settled, published or sent is there for good: their own tests do it in copies.
    writing = {
        "sla": "settle", "incidents": "import", "impact": "--publish", "digest": "--send",
    }.get(command)  # fmt: skip
    # Numbers up to the last second compile the project first; their own tests do. A server of
    # PostgreSQL is asked in theirs.
    for example in examples(command):
        if {writing, "--live"} & {*example} or any(
            word.startswith("postgresql:") for word in example
        ):
            continue
        done = run(*example, cwd=project, environment=built)
        allowed = {0, 1} if command in {"doctor", "tables"} else {0}
        assert done.returncode in allowed, (example, done.stderr)
        assert "Traceback" not in done.stderr


def test_the_demo_is_written_where_it_is_wanted(tmp_path):
    ask = ["demo", "--end", "2026-10-31", "--scale", "0.02", "--out", str(tmp_path / "small")]
    done = run(*ask)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "small" / "shop" / "orders.parquet").exists()


def test_without_a_command_the_help_is_shown():
    assert run().stdout == run("--help").stdout
    assert all(command in run("--help").stdout for command in COMMANDS)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["qury"], "did you mean query?"),
        (["query", "--limit", "many"], "--limit"),
        (["query", "x", "--format", "xml"], "xml"),
        (["demo", "--scale", "0"], "0 is no number above 0"),
        (["demo", "--end", "tomorrow"], "tomorrow is no date"),
        (["list", "--project-dir", "python"], "dbt_project.yml"),
        (["doctor", "--project-dir", "python"], "dbt_project.yml"),
        (["ingest", "access-log", "nothing.log", "--service", "s"], "nothing.log"),
    ],
)
def test_wrong_use_is_one_sentence_and_code_2(arguments, said):
    done = run(*arguments)
    assert done.returncode == 2
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert done.stdout == ""


def test_unknown_names_are_suggested(place):
    done = run("query", "net_revenu", *place)
    assert done.returncode == 2
    assert "net_revenue" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_question_outside_the_card_is_refused_unless_it_is_asked_as_such(place):
    ask = ["query", "net_revenue", "--group-by", "metric_time__hour", *place]
    refused = run(*ask)
    assert refused.returncode == 2
    assert "head.of.sales@example.com" in refused.stderr
    by_line = ["query", "net_revenue", "--group-by", "order_line__line_type", *place]
    allowed = run(*by_line, "--ungoverned", "--format", "csv")
    assert allowed.returncode == 0, allowed.stderr
    assert "not the KPI" in allowed.stderr


def test_debug_shows_the_traceback(place):
    assert "Traceback" in run("query", "net_revenu", "--debug", *place).stderr


def test_csv_json_and_lines_say_the_same(place, layer):
    expected = layer.query(["net_revenue"], "metric_time__month").to_arrow().to_pylist()
    plain = run(*MONTHS, *place, "--format", "csv").stdout
    rows = list(csv.DictReader(io.StringIO(plain)))
    assert plain.splitlines()[0] == "metric_time__month,net_revenue"
    assert [row["net_revenue"] for row in rows] == [str(row["net_revenue"]) for row in expected]
    parsed = json.loads(run(*MONTHS, *place, "--format", "json").stdout, parse_float=str)
    assert [str(row["net_revenue"]) for row in parsed] == [row["net_revenue"] for row in rows]
    lines = run(*MONTHS, *place, "--format", "jsonl").stdout.splitlines()
    assert [json.loads(line, parse_float=str) for line in lines] == parsed


def test_parquet_and_arrow_keep_the_exact_types(place, layer, tmp_path):
    expected = layer.query(["net_revenue"], "metric_time__month").to_arrow()
    file = tmp_path / "months.parquet"
    assert run(*MONTHS, *place, "--format", "parquet", "--output", str(file)).returncode == 0
    assert pq.read_table(file).equals(expected)
    piped = run(*MONTHS, *place, "--format", "arrow", text=False).stdout
    assert pa.ipc.open_stream(piped).read_all().equals(expected)
    assert list(tmp_path.iterdir()) == [file]


def test_order_limit_where_and_time_reach_the_layer(place):
    where = "{{ Dimension('order_id__channel') }} = 'web'"
    done = run(
        "query", "net_revenue,order_count", "--group-by", "metric_time__month", "order_id__channel",
        "--where", where, "--start", "2026-01-01", "--end", "2026-06-30",
        "--order-by", "-net_revenue", "metric_time__month", "--limit", "3",
        "--format", "json", *place,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    rows = json.loads(done.stdout)
    amounts = [row["net_revenue"] for row in rows]
    assert len(rows) == 3
    assert amounts == sorted(amounts, reverse=True)
    assert {row["order_id__channel"] for row in rows} == {"web"}


def test_sql_is_printed_and_values_are_listed(place):
    assert "SELECT" in run("sql", "net_revenue", *place).stdout
    values = run("values", "customer__country", "--format", "csv", *place).stdout.split()
    assert values[0] == "customer__country"
    assert "FR" in values


def test_the_list_as_json_is_an_array_of_cards(place, layer):
    cards = json.loads(run("list", "--format", "json", *place).stdout)
    assert [card["name"] for card in cards] == [card.name for card in layer.kpis()]
    assert cards == [card.to_dict() for card in layer.kpis()]
    french = json.loads(run("list", "--format", "json", "--lang", "fr", *place).stdout)
    assert {card["name"]: card["label"] for card in french}["net_revenue"] == (
        layer.card("net_revenue").fr.label
    )


def test_a_kpi_is_shown_with_its_formula_lineage_targets_and_sql(place, layer):
    page = run("show", "net_revenue", *place).stdout
    card = layer.card("net_revenue")
    for wanted in (
        card.label,
        card.formula[:30],
        card.owner.business,
        "SELECT",
        "source shop.order_lines",
    ):
        assert wanted in page
    shown = json.loads(run("show", "net_revenue", "--format", "json", *place).stdout)
    approval = shown[0].pop("approval")
    assert shown == [card.to_dict()]
    assert approval is None  # a manifest alone has no records


@pytest.mark.parametrize("lang", ["en", "fr"])
def test_every_kpi_has_a_page(place, layer, lang):
    from cadran.cli import main

    for card in layer.kpis():
        assert main(["show", card.name, "--no-sql", "--lang", lang, *place]) == 0


def test_the_reader_may_stop_early(place):
    command = f"{shlex.quote(sys.executable)} -m cadran {shlex.join([*MONTHS, *place])} | head -1"
    done = subprocess.run(
        ["bash", "-c", command],
        env=os.environ | {"PYTHONPATH": str(ROOT / "python")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr == ""


def test_tables_are_written_and_then_agree(project, built):
    folder = project / "models" / "kpis"
    run("tables", cwd=project, environment=built)
    assert run("tables", "--check", cwd=project, environment=built).returncode == 0
    model = min(folder.rglob("*.sql"))
    model.write_text(model.read_text(encoding="utf-8") + "-- changed\n", encoding="utf-8")
    done = run("tables", "--check", cwd=project, environment=built)
    assert done.returncode == 1
    assert "--- changed" in done.stdout


def test_a_shell_completes_commands_flags_and_choices():
    script = run("completion", "bash").stdout

    def completed(*words):
        asked = f"COMP_WORDS=(cadran {shlex.join(words)}); COMP_CWORD={len(words)}; _cadran"
        ended = f"{script}\n{asked}\necho ${{COMPREPLY[@]}}"
        return subprocess.run(
            ["bash", "-c", ended], capture_output=True, text=True, check=True
        ).stdout.split()

    assert completed("boa") == ["board"]
    assert completed("slo", "--form") == ["--format"]
    assert "lint" in completed("slo", "li")
    assert "-a board" in run("completion", "fish").stdout
    assert "bashcompinit" in run("completion", "zsh").stdout

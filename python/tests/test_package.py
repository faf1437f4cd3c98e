"""Another dbt project installs this one: it gets the tools, and none of the demo's business."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tomllib
import venv
import zipfile
from datetime import date
from decimal import Decimal
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace

import duckdb
import pytest
import yaml
from test_rejected_commerce import FILES

import cadran
from cadran.core.warehouse import snapshot

ROOT = Path(__file__).resolve().parents[2]
CONSUMER = Path(__file__).parent / "consumer"


def dbt(folder, *arguments):
    """Run dbt in a folder as a user of the consumer project does."""
    program = Path(sys.executable).with_name("dbt")
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("DBT_", "CADRAN_"))
    } | {"DO_NOT_TRACK": "1"}
    return subprocess.run(
        [program, "--no-use-colors", *arguments],
        cwd=folder, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip


def clean_copy(target):
    """This repository as a fresh clone has it: what git knows or would take in."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    for name in filter(None, listed.stdout.split("\0")):
        if (ROOT / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target / name)
    return target


@pytest.fixture(scope="module")
def consumer(tmp_path_factory):
    """The bakery, a project of its own, with Cadran among its packages."""
    folder = tmp_path_factory.mktemp("consumer") / "bakery"
    shutil.copytree(CONSUMER, folder, ignore=shutil.ignore_patterns("dbt_packages", "target"))
    (folder / "packages.yml").write_text(f"packages:\n  - local: {json.dumps(str(ROOT))}\n")
    installed = dbt(folder, "deps")
    assert installed.returncode == 0, installed.stdout
    built = dbt(folder, "build")
    return SimpleNamespace(
        folder=folder,
        database=folder / "bakery.duckdb",
        returncode=built.returncode,
        log=built.stdout,
        manifest=json.loads((folder / "target" / "manifest.json").read_text()),
    )


@pytest.fixture(scope="module")
def warehouse(consumer):
    assert consumer.returncode == 0, consumer.log[-3000:]
    with duckdb.connect(str(consumer.database), read_only=True) as connection:
        yield connection


def test_the_consumer_builds_with_every_test_passing(consumer):
    assert consumer.returncode == 0, consumer.log[-3000:]


def test_a_project_that_takes_warnings_for_errors_can_install_the_package(consumer, tmp_path):
    bakery = shutil.copytree(consumer.folder, tmp_path / "bakery", symlinks=True)
    model = bakery / "models" / "fct_sales.yml"
    # Of the bakery's own hidden metrics dbt warns, since its OSI document leaves them out.
    model.write_text(model.read_text().replace("        hidden: true\n", ""))
    parsed = dbt(bakery, "--warn-error", "parse", "--no-partial-parse")
    assert parsed.returncode == 0, parsed.stdout[-3000:]


def test_only_the_governance_models_come_with_the_package(consumer):
    models = {
        node["name"]
        for node in consumer.manifest["nodes"].values()
        if node["package_name"] == "cadran" and node["resource_type"] in {"model", "seed"}
    }
    assert models == {"kpi_catalog", "kpi_dimensions", "objectives", "kpi_targets"}


def test_no_source_metric_semantic_model_or_saved_query_of_the_demo_comes_along(consumer):
    for kind in ("sources", "metrics", "semantic_models", "saved_queries", "unit_tests"):
        packages = {node["package_name"] for node in consumer.manifest[kind].values()}
        assert packages <= {"bakery"}, kind


LINES_OF_THE_SHOP = """
semantic_models:
  - name: shop_lines
    model: ref('cadran', 'fct_order_lines')
    defaults: {agg_time_dimension: booked_date}
    entities: [{name: line, type: primary, expr: order_line_id}]
    dimensions: [{name: booked_date, type: time, type_params: {time_granularity: day}}]
    measures: [{name: amount, agg: sum, create_metric: true}]
"""


def test_whoever_wants_the_marts_of_a_domain_names_it_and_gets_no_other(consumer, tmp_path):
    bakery = shutil.copytree(consumer.folder, tmp_path / "bakery", symlinks=True)
    page = (ROOT / "docs" / "install.md").read_text(encoding="utf-8")
    blocks = map(yaml.safe_load, re.findall(r"```yaml\n(.*?)```", page, re.DOTALL))
    switches, settings = (
        block for block in blocks if {"models", "vars"} & {*block} and "flags" not in block
    )
    project = yaml.safe_load((bakery / "dbt_project.yml").read_text())
    switches["models"] |= project["models"]
    variables = project.pop("vars") | settings["vars"] | {"cadran_sources": {"shop": "raw"}}
    (bakery / "dbt_project.yml").write_text(yaml.safe_dump(project | switches))
    (bakery / "vars.yml").write_text(yaml.safe_dump({"vars": variables}))
    (bakery / "models" / "shop.yml").write_text(LINES_OF_THE_SHOP)
    sales = bakery / "models" / "fct_sales.yml"
    sales.write_text(sales.read_text().replace("        hidden: true\n", ""))
    (bakery / "raw" / "shop").mkdir(parents=True)
    for table, text in FILES.items():
        lines = [line.strip() for line in text.strip().splitlines()]
        (bakery / "raw" / "shop" / f"{table}.csv").write_text("\n".join(lines))
    built = dbt(bakery, "--warn-error", "run", "--exclude", "package:bakery")
    assert built.returncode == 0, built.stdout[-3000:]
    manifest = json.loads((bakery / "target" / "manifest.json").read_text())
    marts = {
        node["fqn"][2]
        for node in manifest["nodes"].values()
        if node["package_name"] == "cadran" and node["fqn"][1] == "marts"
    }
    assert marts == {"commerce"}
    layer = cadran.open(bakery)
    answer = layer.query("amount", "metric_time__day").to_arrow().to_pylist()
    layer.close()
    assert [(str(row["metric_time__day"])[:10], row["amount"]) for row in answer] == [
        ("2025-03-01", Decimal("10.00")),
        ("2025-03-02", Decimal("5.00")),
        ("2025-03-05", Decimal("-1.00")),
    ]


def test_the_catalogue_holds_the_kpi_of_the_consumer_to_the_letter(warehouse):
    found = warehouse.sql(
        "select kpi, label_fr, definition_en, definition_fr, version, decimals, review_by,"
        " not_for_en, models, project, file_path from governance.kpi_catalog"
    ).fetchall()
    assert found == [
        (
            "loaves_per_customer",
            "Pains par client",
            'Loaves sold per customer served, the baker\'s "daily bread".',
            "Nombre de pains vendus par client servi, l'indicateur du « pain quotidien ».",
            2,
            1,
            date(2027, 6, 30),
            "flour used; bread given away",
            "fct_sales",
            "bakery",
            "models/metrics.yml",
        )
    ]


def test_grains_and_dimensions_of_the_card_are_rows(warehouse):
    found = warehouse.sql(
        'select kind, name, group_by from governance.kpi_dimensions order by kind, "position"'
    ).fetchall()
    assert found == [
        ("dimension", "sale__customer_name", "sale__customer_name"),
        ("grain", "day", "metric_time__day"),
        ("grain", "month", "metric_time__month"),
    ]


def test_targets_are_typed_bounded_and_joined_to_the_kpis_that_exist(warehouse):
    found = warehouse.sql(
        "select kpi, period_start, period_end, target, direction"
        " from governance.kpi_targets order by period_end"
    ).fetchall()
    assert found == [
        ("loaves_per_customer", date(2026, 2, 1), date(2026, 2, 28), Decimal("2.5"), "up"),
        ("loaves_per_customer", date(2026, 1, 1), date(2026, 3, 31), Decimal("2.4"), "up"),
    ]


def test_a_project_without_objectives_has_an_empty_table_of_the_right_types(warehouse):
    objectives = warehouse.sql("select * from governance.objectives")
    assert objectives.fetchall() == []
    types = dict(zip(objectives.columns, map(str, objectives.types), strict=True))
    assert types["objective"] == types["owner"] == "VARCHAR"
    assert types["strategic_kpi_count"] == "BIGINT"


def test_the_macros_work_with_the_defaults_of_a_project_that_sets_nothing(warehouse):
    # Without a time zone of its own the business day is the day in UTC.
    days = warehouse.sql("select sold_date from analytics.fct_sales order by 1").fetchall()
    assert days == [(date(2026, 1, 31),), (date(2026, 2, 2),)]


def test_two_targets_in_one_file_keep_apart_with_the_marks_of_their_builds(consumer, tmp_path):
    assert consumer.returncode == 0, consumer.log[-3000:]
    bakery = shutil.copytree(consumer.folder, tmp_path / "bakery", symlinks=True)
    profile = (bakery / "profiles.yml").read_text()
    output = profile[profile.index("    duckdb:") :].replace("    duckdb:", "    dev:")
    (bakery / "profiles.yml").write_text(profile + output.replace("analytics", "dev_ada"))
    sales = bakery / "models" / "fct_sales.sql"
    sales.write_text(sales.read_text().replace("3 as loaves", "30 as loaves"))
    database = bakery / "bakery.duckdb"
    relations = (
        "select table_schema || '.' || table_name as name from information_schema.tables"
        " order by name"
    )
    with duckdb.connect(str(database), read_only=True) as connection:
        before = {name for (name,) in connection.sql(relations).fetchall()}
        loaves = "select sum(loaves) from {}.fct_sales"
        ((sold,),) = connection.sql(loaves.format("analytics")).fetchall()
    built = dbt(bakery, "build", "--target", "dev", "--target-path", "target/dev")
    assert built.returncode == 0, built.stdout[-3000:]
    layers = [
        cadran.open(manifest=bakery / folder / "semantic_manifest.json", database=database)
        for folder in ("target", "target/dev")
    ]
    first, second = (
        layer.query(["loaves_per_customer"]).to_arrow().column(0)[0].as_py() for layer in layers
    )
    assert second > first
    for layer in layers:
        layer.close()
    with duckdb.connect(str(database)) as connection:
        after = {name for (name,) in connection.sql(relations).fetchall()}
        assert before < after
        assert {name.partition(".")[0] for name in after - before} == {
            "dev_ada", "dev_ada_governance",
        }  # fmt: skip
        assert {name.partition(".")[2] for name in after - before} == {
            name.partition(".")[2] for name in before
        }
        assert connection.sql(loaves.format("analytics")).fetchall() == [(sold,)]
        assert connection.sql(loaves.format("dev_ada")).fetchall() == [(sold + 27,)]
        connection.execute("update dev_ada_governance.build_marks set state = 'failed'")
    whole, torn = (layer.project.marks_schema for layer in layers)
    snapshot.copy(database, None, tmp_path / "copy.duckdb", marks_schema=whole)
    with pytest.raises(snapshot.UnfinishedBuildError, match="is marked 'failed'"):
        snapshot.copy(database, None, tmp_path / "copy.duckdb", marks_schema=torn)


def test_the_generic_tests_refuse_what_they_are_there_to_refuse(consumer, tmp_path):
    assert consumer.returncode == 0, consumer.log[-3000:]
    bakery = shutil.copytree(consumer.folder, tmp_path / "bakery", symlinks=True)
    model = bakery / "models" / "fct_sales.sql"
    sound = model.read_text()
    first_sale = sound.split("union all")[0]
    model.write_text(f"{sound}union all\n{first_sale.replace('3 as loaves', '0 as loaves')}")
    refused = dbt(bakery, "build", "--select", "fct_sales")
    assert refused.returncode == 1, refused.stdout
    failed = re.findall(r"Failure in test (\w+)|test (\w+) \(", refused.stdout)
    failed = {name for names in failed for name in names}
    assert "a_sale_has_bread" in failed
    assert any(name.startswith("cadran_unique_combination_fct_sales") for name in failed)


def test_every_macro_is_documented_with_its_arguments_and_their_types(consumer):
    macros = {
        node["name"]: node
        for node in consumer.manifest["macros"].values()
        if node["package_name"] == "cadran"
        # Not the generic tests, which say it in their own file, nor the forms by dialect.
        and "__" not in node["name"] and not node["name"].startswith(("test_", "materialization_"))
    }  # fmt: skip
    assert len(macros) > 10
    for name, macro in macros.items():
        assert macro["description"], name
        assert (ROOT / macro["original_file_path"]).stem == name
        signature = re.search(rf"macro {name}\((.*?)\)\s*-?%}}", macro["macro_sql"], re.DOTALL)
        wanted = re.findall(r"(\w+)(?:=[^,]*)?(?:,|$)", signature[1])
        assert [argument["name"] for argument in macro["arguments"]] == wanted, name
        assert all(each["type"] and each["description"] for each in macro["arguments"]), name


@pytest.fixture(scope="module")
def wheels(tmp_path_factory):
    """The wheels of Cadran and of its demo company, and its sdist, built offline from a clone."""
    found = {each.name: each.version for each in metadata.distributions()}.get("setuptools", "0")
    if int(found.split(".")[0]) < 77:
        pytest.skip("no setuptools of 77 or later is installed to build a wheel with, offline")
    folder = tmp_path_factory.mktemp("wheels")
    source = clean_copy(folder / "clone")
    built = subprocess.run(
        [
            sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--no-index",
            "--quiet", "--disable-pip-version-check", "--wheel-dir", folder, source,
            source / "python" / "cadran_demo",
        ],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if "No module named pip" in built.stderr:
        pytest.skip("pip is not installed, so no wheel can be built")
    assert built.returncode == 0, built.stderr[-2000:]
    build = "from setuptools import build_meta; build_meta.build_sdist('..')"
    subprocess.run([sys.executable, "-c", build], cwd=source, capture_output=True, check=True)
    (cadran,) = folder.glob("cadran-*.whl")
    (demo,) = folder.glob("cadran_demo-*.whl")
    (sdist,) = folder.glob("cadran-*.tar.gz")
    return SimpleNamespace(cadran=cadran, demo=demo, sdist=sdist)


def names_in(wheel):
    with zipfile.ZipFile(wheel) as archive:
        return archive.namelist()


def test_the_wheel_holds_the_typed_package_and_its_command(wheels):
    names = names_in(wheels.cadran)
    with zipfile.ZipFile(wheels.cadran) as archive:
        entry_points = next(name for name in names if name.endswith("entry_points.txt"))
        assert "cadran = cadran.cli:main" in archive.read(entry_points).decode()
    expected = {
        "cadran/__init__.py", "cadran/py.typed", "cadran/cli/__init__.py",
        "cadran/audit/__init__.py", "cadran/schemas/card.schema.json",
    }  # fmt: skip
    assert expected <= set(names)
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert not [name for name in names if "tests" in Path(name).parts]


def test_the_sdist_holds_all_that_the_wheel_is_made_of(wheels):
    with tarfile.open(wheels.sdist) as archive:
        held = {name.partition("/")[2] for name in archive.getnames()}
    package = {f"python/{name}" for name in names_in(wheels.cadran) if name.startswith("cadran/")}
    assert package | {"LICENSE", "README.md", "pyproject.toml"} <= held


def test_make_leaves_an_environment_alone_that_stands_elsewhere(tmp_path):
    clone = clean_copy(tmp_path / "clone")
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs" / "kept").touch()
    (clone / ".venv").symlink_to(tmp_path / "theirs")
    made = subprocess.run(["make", "setup"], cwd=clone, capture_output=True, text=True, check=False)
    assert made.returncode == 2
    assert ".venv is a link to an environment of another place" in made.stdout
    assert [path.name for path in (tmp_path / "theirs").iterdir()] == ["kept"]
    # Nor does git take the link in, by which the next checkout would replace an environment.
    subprocess.run(["git", "init", "-q"], cwd=clone, check=True)
    ignored = subprocess.run(["git", "check-ignore", "-q", ".venv"], cwd=clone, check=False)
    assert ignored.returncode == 0


def test_pip_takes_the_wheel_beside_dbt_and_changes_nothing_of_it(wheels, tmp_path):
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "--dry-run"]
    taken = subprocess.run(
        [*pip, "--no-index", "--report", tmp_path / "report.json",
         "--quiet", "--upgrade", wheels.cadran],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert taken.returncode == 0, taken.stderr[-2000:]
    planned = json.loads((tmp_path / "report.json").read_text())["install"]
    assert {entry["metadata"]["name"] for entry in planned} <= {"cadran"}


def test_the_list_of_licences_is_that_of_the_lock():
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    page = (ROOT / "docs" / "licences.md").read_text(encoding="utf-8")
    pinned = re.findall(r"^([\w.-]+)==([^\s;]+)", lock, re.MULTILINE)
    rows = [tuple(line.split(" | ")) for line in page.splitlines() if line.startswith("| ")][1:]
    assert [(name.removeprefix("| "), version) for name, version, _ in rows] == pinned
    assert not [row for row in rows if re.search("AGPL|Affero|SSPL|BUSL", row[2])]


def test_each_wheel_holds_its_own_package_and_not_the_other(wheels):
    for wheel, package in ((wheels.cadran, "cadran"), (wheels.demo, "cadran_demo")):
        names = names_in(wheel)
        tops = {Path(name).parts[0] for name in names}
        assert {top for top in tops if not top.endswith(".dist-info")} == {package}
        tracked = subprocess.run(
            ["git", "ls-files", f"python/{package}/*.py"],
            cwd=ROOT, capture_output=True, text=True, check=True,
        ).stdout.split()  # fmt: skip
        there = [Path(file) for file in tracked if (ROOT / file).is_file()]
        assert {str(file.relative_to("python")) for file in there} <= set(names)
        assert any(name.endswith("licenses/LICENSE") for name in names)


def test_the_demo_that_cadran_asks_for_is_the_one_beside_it():
    ours, demos = (
        tomllib.loads((ROOT / path / "pyproject.toml").read_text(encoding="utf-8"))["project"]
        for path in ("", "python/cadran_demo")
    )
    assert ours["optional-dependencies"]["demo"] == [f"{demos['name']}=={demos['version']}"]
    assert demos["version"] == ours["version"]


def test_the_demo_runs_from_the_wheels_and_says_what_is_missing(wheels, tmp_path):
    home = tmp_path / "venv"
    venv.create(home, with_pip=False)
    python = home / "bin" / "python"

    def run(*command):
        environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
        return subprocess.run(
            [str(word) for word in command],
            cwd=tmp_path, env=environment, capture_output=True, text=True, check=False,
        )  # fmt: skip

    def install(wheel):
        pip = [sys.executable, "-m", "pip", "--python", python, "install"]
        done = run(*pip, "--no-deps", "--no-index", "--quiet", wheel)
        assert done.returncode == 0, done.stderr[-2000:]

    site = run(python, "-c", "import site; print(site.getsitepackages()[0])").stdout.strip()
    borrowed = Path(site) / "borrowed.pth"
    install(wheels.cadran)
    # What Cadran needs is borrowed from here; packages that are edited in place are not.
    borrowed.write_text(sysconfig.get_path("purelib"))
    words = ("demo", "--scale", "0.01", "--end", "2026-10-31", "--out", "demo")
    refused = run(home / "bin" / "cadran", *words)
    assert refused.returncode == 2
    assert refused.stderr.strip().endswith("pip install 'cadran[demo]'.")
    borrowed.unlink()
    install(wheels.demo)
    borrowed.write_text(sysconfig.get_path("purelib"))
    written = run(home / "bin" / "cadran", *words)
    assert written.returncode == 0, written.stderr[-2000:]
    assert list((tmp_path / "demo" / "shop").iterdir())
    place = run(python, "-c", "import cadran, cadran_demo; print(cadran_demo.__file__)")
    assert place.stdout.startswith(str(home))


def test_the_installed_command_is_the_package_s_own():
    script = Path(sysconfig.get_path("scripts")) / "cadran"
    if not script.exists():
        pytest.skip("cadran is not installed in this environment")
    helped = subprocess.run([script, "--help"], capture_output=True, text=True, check=False)
    assert helped.returncode == 0
    assert "query" in helped.stdout

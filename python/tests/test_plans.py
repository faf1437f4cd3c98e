"""A question is compiled once, and a kept plan is believed only when it is whole and its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

import cadran
from cadran.core.compiler import plan_cache
from cadran.core.compiler.plan_cache import PlanCache

PYTHON = Path(__file__).resolve().parents[1]
ASK = """
import sys, cadran
layer = cadran.open(manifest=sys.argv[1], database=sys.argv[2])
where = "order_id__channel = 'web'"
rows = layer.query(["revenue"], ["metric_time__month"], where).to_arrow().to_pylist()
print([str(row["revenue"]) for row in rows], "metricflow" in sys.modules, "sqlglot" in sys.modules)
"""


@pytest.fixture
def manifest(tiny, tmp_path):
    target = tmp_path / "target"
    target.mkdir()
    for name in ("manifest.json", "semantic_manifest.json"):
        (target / name).write_bytes((tiny.parent / name).read_bytes())
    return target / "semantic_manifest.json"


@pytest.fixture
def ask(tiny, manifest):
    def run():
        command = [sys.executable, "-c", ASK, manifest, tiny.parents[1] / "tiny.duckdb"]
        environment = os.environ | {"PYTHONPATH": str(PYTHON)}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        return done.stdout.strip()

    return run


RIGHT = "['30.30', '50.50']"


def plans(manifest):
    return sorted((manifest.parent / "cadran").rglob("*.json"))


def test_the_second_process_answers_without_metricflow(ask):
    assert ask() == f"{RIGHT} True True"
    assert ask() == f"{RIGHT} False False"


def test_a_card_that_was_read_once_needs_no_pydantic(tiny, manifest):
    database = tiny.parents[1] / "tiny.duckdb"
    text = (
        f"import sys, cadran; layer = cadran.open(manifest={str(manifest)!r},"
        f" database={str(database)!r}); print(layer.card('revenue').to_dict(),"
        " 'pydantic' in sys.modules)"
    )
    environment = os.environ | {"PYTHONPATH": str(PYTHON)}
    first, second = (
        subprocess.run([sys.executable, "-c", text], env=environment, capture_output=True,
                       text=True, check=True).stdout.strip()
        for _ in range(2)
    )  # fmt: skip
    assert first.endswith("} True")
    assert second == first.removesuffix("True") + "False"


def test_a_damaged_plan_is_compiled_again(ask, manifest):
    ask()
    for damage in (b"", b"{", b"[]", b"null", b'{"key": 1}', b"\xff\xfe"):
        for path in plans(manifest):
            path.write_bytes(damage)
        assert ask() == f"{RIGHT} True True", damage
    assert ask() == f"{RIGHT} False False"


def test_a_forged_plan_is_not_believed(ask, manifest):
    ask()
    for path in plans(manifest):
        stored = json.loads(path.read_bytes())
        if isinstance(stored["plan"], dict):
            stored["plan"]["sql"] = "select date '2026-01-01' as metric_time__month, 1 as revenue"
        path.write_text(json.dumps(stored))
    assert ask().startswith(RIGHT)


def test_a_plan_under_another_plans_name_is_not_believed(ask, manifest):
    ask()
    [kept, *_] = plans(manifest)
    cache = PlanCache(kept.parent)
    foreign = "0" * 64
    (kept.parent / f"{foreign}.json").write_bytes(kept.read_bytes())
    assert cache.get(foreign) is None


def test_a_changed_definition_is_compiled_anew(ask, manifest):
    ask()
    text = manifest.read_text()
    manifest.write_text(text.replace('"decimals": 2', '"decimals": 1'))
    assert ask() == f"{RIGHT} True True"


def test_a_folder_that_cannot_be_written_is_no_error(ask, manifest):
    (manifest.parent / "cadran").write_text("a file where the folder should be")
    assert ask() == f"{RIGHT} True True"


def test_many_writers_leave_whole_plans(tmp_path):
    def write(number):
        for step in range(50):
            PlanCache(tmp_path).put(f"{step % 5}", {"sql": f"select {number}" * 50})

    threads = [threading.Thread(target=write, args=(n,)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    fresh = PlanCache(tmp_path)
    assert all(fresh.get(str(step)) for step in range(5))
    assert not list(tmp_path.glob("*.part"))


def test_a_layer_without_a_cache_leaves_no_file(manifest, tiny):
    database = tiny.parents[1] / "tiny.duckdb"
    layer = cadran.open(manifest=manifest, database=database, plan_cache=False)
    layer.sql(["orders"])
    assert not (manifest.parent / "cadran").exists()


def test_plans_beyond_the_bound_are_forgotten_the_least_used_first(tmp_path, monkeypatch):
    monkeypatch.setattr(plan_cache, "MOST_FILES", 20)
    monkeypatch.setattr(plan_cache, "_BETWEEN_SWEEPS", 1)
    PlanCache(tmp_path).put("used", {"sql": "select 1"})
    for step in range(40):
        PlanCache(tmp_path).put(str(step), {"sql": f"select {step}"})
        os.utime(tmp_path / f"{step}.json", ns=(step, step))
        assert PlanCache(tmp_path).get("used")
    assert len(list(tmp_path.glob("*.json"))) <= 20
    assert PlanCache(tmp_path).get("0") is None


def test_memory_holds_the_most_recent_plans_only():
    recent = plan_cache.Recent(3)
    for key in "abc":
        recent.put(key, key.upper())
    recent.get("a")
    recent.put("d", "D")
    assert len(recent) == 3
    assert [recent.get(key) for key in "abcd"] == ["A", None, "C", "D"]

"""The first files of a project, of a metric and of the demo: nothing that is there is harmed."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest
import yaml

from cadran.cli import main, new
from cadran.errors import QueryError
from cadran.governance import starting
from cadran.governance.drafting import MetricDraft, new_metric

BLACK = "repos:\n- repo: https://example.com/black\n  rev: '24'\n  hooks:\n  - id: black\n"


@pytest.fixture
def project(tmp_path):
    (tmp_path / "dbt_project.yml").write_text("name: ferries\n")
    return tmp_path


def hooked(project, text):
    """What `cadran init` makes of the hooks of a project, and what it says of them."""
    path = project / ".pre-commit-config.yaml"
    path.write_bytes(text.encode())
    step = next(s for s in starting.start(project, ci="none") if s.path == path)
    return path.read_bytes().decode(), step


@pytest.mark.parametrize(
    "text",
    [
        BLACK,
        BLACK.replace("\n", "\r\n"),
        "repos:\n    -   repo: a\n        hooks:\n        -   id: b\n\n# end\nfail_fast: true\n",
    ],
)
def test_the_hook_is_one_more_repository(project, text):
    changed, step = hooked(project, text)
    assert step.state == "more lines"
    expected, content = yaml.safe_load(text), yaml.safe_load(changed)
    assert [hook["id"] for hook in content["repos"].pop()["hooks"]] == ["cadran-check"]
    assert content == expected
    assert changed.count("\r\n") in {0, changed.count("\n")}
    assert set(text.splitlines(keepends=True)) <= set(changed.splitlines(keepends=True))
    assert hooked(project, changed)[1].state == "as it is"


@pytest.mark.parametrize("text", ["repos: []\n", "repos: [{repo: a}]\n", "repos:\n", ""])
def test_hooks_in_brackets_or_none_are_left_to_be_added_by_hand(project, text):
    changed, step = hooked(project, text)
    assert (changed, step.state) == (text, "as it is")
    assert "add by hand:\n  - repo: local\n    hooks:\n" in step.note
    [item] = yaml.safe_load(step.note.partition("by hand:\n")[2])
    assert item["hooks"][0]["id"] == "cadran-check"


def test_a_metric_of_the_old_spec_replaces_no_file(project):
    semantic = project / "models" / "semantic.yml"
    there = project / "models" / "metrics" / "orders.yml"
    there.parent.mkdir(parents=True)
    there.write_text("# ours\n")
    semantic.write_text(
        "semantic_models:\n  - name: o\n    model: ref('o')\n    measures:\n      - x\n"
    )
    kept = semantic.read_text()
    manifest = json.dumps({"semantic_models": [{"measures": [{"name": "x"}]}]})
    layer = SimpleNamespace(
        project=SimpleNamespace(root=project, text=manifest),
        metric_graph=SimpleNamespace(metrics={}),
    )
    draft = MetricDraft(name="orders", kind="simple", model="o", agg="count")
    with pytest.raises(QueryError, match=r"orders\.yml is there already"):
        new_metric(layer, draft)
    assert (there.read_text(), semantic.read_text()) == ("# ours\n", kept)
    there.unlink()
    new_metric(layer, draft)
    assert yaml.safe_load(there.read_text())["metrics"][0]["name"] == "orders"
    assert semantic.read_text() != kept


@pytest.fixture
def clone(tmp_path, monkeypatch):
    """A clone of the repository in which somebody worked."""
    root = tmp_path.resolve() / "clone"
    for name in (
        "dbt_project.yml", "python/cadran_demo/a.py", "python/cadran/audit/a.py", "audit/a.jsonl",
        "journal/notes.jsonl", "cadran_tokens.json", ".venv/a", "target/a", "docs/a.md",
    ):  # fmt: skip
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("")
    monkeypatch.setattr(new, "__file__", str(root / "python" / "cadran" / "cli" / "new.py"))
    return root


@pytest.mark.parametrize("name", ["demo", "docs/deep/demo", "empty", "."])
def test_the_demo_is_not_copied_into_what_is_copied(clone, name, capsys):
    (clone / "empty").mkdir()
    before = sorted(clone.rglob("*"))
    assert main(["init", "--demo", str(clone / name)]) == 2
    assert "name a folder outside" in capsys.readouterr().err
    assert sorted(clone.rglob("*")) == before


def test_what_was_asked_and_said_in_a_clone_is_not_copied(clone):
    folder = clone.with_name("demo")
    assert main(["init", "--demo", str(folder)]) == 0
    assert sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()) == [
        "dbt_project.yml", "docs/a.md", "python/cadran/audit/a.py", "python/cadran_demo/a.py",
    ]  # fmt: skip


def test_a_project_of_gitlab_without_a_spine_gets_a_job_and_a_spine_that_dbt_reads(project):
    (project / ".gitlab-ci.yml").write_text("stages: [test]\n")
    written = {step.path.name: step for step in starting.start(project, first_day="2024-02-01")}
    job = yaml.safe_load((project / ".gitlab" / "cadran.yml").read_text())
    assert "cadran check --ci" in job["cadran"]["script"]
    assert written["cadran.yml"].note == "include it in .gitlab-ci.yml"
    assert not (project / ".github").exists()
    spine = project / "models" / "utilities" / "time_spine_daily.sql"
    assert "date '2024-02-01'" in spine.read_text()
    [model] = yaml.safe_load(spine.with_suffix(".yml").read_text())["models"]
    assert model["time_spine"] == {"standard_granularity_column": "date_day"}
    assert {step.state for step in starting.start(project)} == {"as it is"}

"""`cadran check`: a project with one fault per rule, each found by its code; a good one, silent."""

from __future__ import annotations

import datetime as dt
import json
import os
import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

import cadran
from cadran.cli import main
from cadran.cli.language import choose, said
from cadran.core.layer import Layer
from cadran.core.project import checks as settings
from cadran.core.project import dbt
from cadran.core.project.artifacts import Project
from cadran.errors import CardError, UnknownNameError
from cadran.formats import strict_yaml
from cadran.governance import report as render
from cadran.governance.check import check
from cadran.governance.context import Context
from cadran.governance.rules import Severity, in_french, objectives, registered
from cadran.governance.rules.ownership import is_near

BAD = Path(__file__).parent / "bad_project"
TODAY = dt.date(2026, 11, 23)

# What each rule must find in the bad project: the KPI, or None for the project itself.
FAULTS = {
    "CARD01": {"misspelt_key"},
    "CARD02": {"half_written"},
    "OWN01": {"owner_has_left"},
    "OWN02": {"one_owner_for_both"},
    "OWN03": {"repeated_definition"},
    "OWN04": {"repeated_formula"},
    "OWN05": {"unnamed_input"},
    "OWN06": {"without_unit"},
    "OWN07": {"english_only"},
    "OBJ01": {"proved"},
    "OBJ02": {"orphan"},
    "OBJ03": {None},
    "OBJ04": {None},
    "OBJ05": {"target_without_baseline"},
    "OBJ06": {"target_on_wrong_side"},
    "OBJ07": {"thresholds_mixed"},
    "OBJ08": {"target_met_already"},
    "DUP01": {"turnover"},
    "DUP02": {"labelled_alike"},
    "DUP03": {"refunded_parcels"},
    "LIFE01": {"review_forgotten", "waived_too_long"},
    "LIFE02": {"used_though_deprecated"},
    "LIFE03": {"sunset_long_ago"},
    "LIFE04": {"without_replacement"},
    "LIFE05": {"without_sunset"},
    # What NUM01 finds of an offset is refused when it is asked, too.
    "TEC01": {"dimension_elsewhere", "month_before_by_quarter"},
    "TEC02": {"share_called_additive"},
    "TEC03": {"faster_than_its_source"},
    "TEC04": {"unproved"},
    "TEC05": {"by_buyer", None},
    "TEC06": {None},
    "TEC07": {None},
    "NUM01": {"month_before_by_quarter"},
    "NUM02": {"first_morning"},
    "NUM03": {"ambiguous_base"},
    "NUM04": {None},
    "NUM05": {"roughly"},
    "NUM06": {"divided_by_nothing"},
    "NUM07": {"sum_of_ratios", "sum_of_distinct"},
    "NUM08": {"empty_share"},
    "USE01": {"turnover"},
    "WAIV01": {"waived_too_long"},
}


@pytest.fixture(scope="module")
def bad(tmp_path_factory):
    """The bad project, parsed by the check itself because it has no artefacts yet."""
    root = tmp_path_factory.mktemp("check") / "bad_project"
    shutil.copytree(BAD, root, ignore=shutil.ignore_patterns("target", "logs"))
    layer = cadran.open(root)
    assert dbt.refresh(layer.project)
    return layer


@pytest.fixture(scope="module")
def report(bad):
    return check(bad, today=TODAY)


@pytest.mark.parametrize(("code", "kpis"), FAULTS.items())
def test_each_fault_is_found_by_its_code_and_nowhere_else(report, code, kpis):
    assert {finding.kpi for finding in report.findings if finding.code == code} == kpis


def test_every_rule_has_a_fault():
    # The rules of versions have their own faulty project.
    assert set(FAULTS) == {code for code in registered() if not code.startswith("VER")}


def test_every_text_belongs_to_a_rule(project_root):
    texts = project_root / "python/cadran/governance/rules/rules.yml"
    assert set(strict_yaml.read(texts, CardError)) == set(registered())


def test_every_finding_says_where_and_how_to_mend_it(report, bad):
    for finding in report.findings:
        assert finding.remedy
        if finding.code != "OBJ04":
            assert (bad.project.root / finding.file).exists(), finding
            assert finding.line, finding


def test_a_blameless_kpi_has_no_finding(report):
    assert "blameless" not in {finding.kpi for finding in report.findings}


@pytest.mark.parametrize(
    ("name", "other", "near"),
    [
        ("hours_to_detect_median", "hours_to_detect_mean", False),
        ("response_ms_p95", "response_ms_p99", False),
        ("refund_rate", "refunds_rate", True),
        ("order_margin_mean", "orders_margin_mean", True),
    ],
)
def test_names_that_differ_in_their_statistic_are_two_names(name, other, near):
    assert is_near(name, other) == near


def test_the_demo_is_silent(demo, project_root):
    manifest = demo.target / "semantic_manifest.json"
    report = check(Layer(Project(manifest, demo.database, project_root)), today=TODAY)
    assert render.to_text(report).endswith("nothing to mend.")
    assert report.seconds < 45


def test_a_clean_checkout_is_judged_without_a_warehouse(demo, project_root, tmp_path):
    manifest, database = demo.target / "semantic_manifest.json", tmp_path / "not_built.duckdb"
    report = check(Layer(Project(manifest, database, project_root)), today=TODAY)
    assert render.to_text(report).endswith("nothing to mend.")
    assert not database.exists()


def test_the_page_of_rules_is_up_to_date(project_root):
    for language, file in (("en", "rules.md"), ("fr", "fr/rules.md")):
        page = (project_root / "docs" / file).read_text(encoding="utf-8")
        assert page == render.page(language), "run: python -m cadran.governance.report docs"


# Settings -----------------------------------------------------------------------------------------


def rewritten(bad, tmp_path, text):
    """The bad project with other settings, without parsing it again."""
    root = tmp_path / "project"
    shutil.copytree(bad.project.root, root)
    (root / settings.FILE).write_text(text, encoding="utf-8")
    return cadran.open(root)


def test_a_rule_is_set_to_warning_or_off_with_a_reason(bad, tmp_path):
    layer = rewritten(
        bad, tmp_path,
        "rules:\n"
        "  LIFE01: {severity: warning, reason: The reviewer is away.}\n"
        "  DUP01: {severity: off, reason: Both names are in use.}\n",
    )  # fmt: skip
    report = check(layer, today=TODAY)
    found = {finding.code: finding.severity for finding in report.findings}
    assert found["LIFE01"] is Severity.WARNING
    assert "DUP01" not in report.rules
    assert {f.code for f in check(layer, only=["DUP01"], today=TODAY).findings} == {"DUP01"}


@pytest.mark.parametrize(("today", "is_waived"), [("2027-01-15", True), ("2027-01-16", False)])
def test_a_waiver_holds_to_the_end_of_its_last_day(bad, tmp_path, today, is_waived):
    layer = rewritten(
        bad, tmp_path,
        "waivers:\n"
        "  - {rule: LIFE01, kpi: review_forgotten, reason: On 12 January., until: 2027-01-15}\n",
    )  # fmt: skip
    report = check(layer, today=dt.date.fromisoformat(today))
    found = {f.kpi for f in report.findings if f.code == "LIFE01"}
    assert ("review_forgotten" not in found) is is_waived
    assert len(report.waived) == is_waived
    assert ("WAIV01" not in {f.code for f in report.findings}) is is_waived


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("rule: {}", "key 'rule': is unknown; did you mean 'rules'"),
        ("rules: {OWN99: {severity: warning, reason: x}}", "names the rule 'OWN99'"),
        ("rules: {OWN01: {severity: warning}}", "key 'rules.OWN01.reason': is missing"),
        ("rules: {OWN01: {severity: mild, reason: x}}", "allowed: error, warning, off"),
        ("waivers: [{rule: OWN01, kpi: a, reason: x}]", "key 'waivers[1].until': is missing"),
        ("waivers: [{rule: OWN01, kpi: a, reason: x, until: soon}]", "takes a date"),
        ("strategic_kpis: [10, 5]", "the least and the most"),
        ("owners: [jo@example.com]", "it takes owners, each with a list of delegates"),
        ("rules: [", "is no YAML"),
    ],
)
def test_settings_are_read_strictly(tmp_path, text, complaint):
    (tmp_path / settings.FILE).write_text(text, encoding="utf-8")
    with pytest.raises(CardError) as refused:
        settings.read(tmp_path, set(registered()))
    assert complaint in str(refused.value)
    assert settings.FILE in str(refused.value)


def test_delegates_of_an_owner_are_known(bad):
    read = settings.read(bad.project.root, set(registered()))
    assert read.delegates("sam@example.com") == ("kim@example.com",)
    assert read.delegates("nobody@example.com") == ()


# Targets against values ---------------------------------------------------------------------------


@pytest.mark.parametrize(("before", "found"), [(101.0, 1), (100.0, 1), (99.0, 0), (None, 0)])
def test_a_target_of_this_year_that_last_year_met_asks_for_nothing(bad, before, found):
    read = replace(settings.Settings(), owners=None)
    context = Context(bad, read, TODAY, with_values=True)
    start = dt.date(2025, 1, 1)
    kpis = [row["kpi"] for row in context.targets]
    context.__dict__["_values"] = {
        (kpi, "month"): {start: before} if kpi == "blameless" and before else {} for kpi in kpis
    }
    kept = [f for f in objectives.not_met_already(context) if f.kpi == "blameless"]
    assert len(kept) == found


def test_a_domain_that_is_switched_off_leaves_objectives_and_their_kpis_as_they_are():
    strategic = [{"tier": "strategic", "objective": "grow"} for _ in range(5)]
    row = {"objective": "grow"}
    context = SimpleNamespace(
        raw={"on": strategic[0]}, switched_off=dict(enumerate(strategic[1:])),
        settings=SimpleNamespace(strategic_kpis=(5, 10)), objectives=[row],
    )  # fmt: skip
    assert [*objectives.strategic_count(context), *objectives.objective_has_kpi(context)] == []
    context.switched_off.popitem()
    assert [f.message for f in objectives.strategic_count(context)] == [
        "there are 4 strategic KPIs; wanted are 5 to 10"
    ]


# Artefacts ----------------------------------------------------------------------------------------


def test_dbt_parses_again_only_when_a_file_is_newer(bad, monkeypatch):
    ran = []
    monkeypatch.setattr(dbt.subprocess, "run", lambda command, **_: ran.append(command) or Done)
    assert not dbt.refresh(bad.project)
    made = bad.project.semantic_manifest_path.stat().st_mtime
    card = bad.project.root / "metrics" / "metrics.yml"
    before = card.stat().st_mtime
    os.utime(card, (made + 1, made + 1))
    assert dbt.refresh(bad.project)
    os.utime(card, (before, before))
    assert [str(word) for word in ran[0]][2] == "parse"


class Done:
    returncode = 0


# Forms and the command ----------------------------------------------------------------------------


def test_the_report_groups_findings_by_kpi(report):
    text = render.to_text(report)
    block = text.split("\nunnamed_input\n")[1].split("\n\n")[0]
    assert block.split()[:2] == ["error", "OWN05"]
    assert "metrics/metrics.yml:" in block
    assert "mend  Name in `formula`" in block


def test_every_finding_and_rule_is_told_in_french(report, bad, capsys, monkeypatch):
    monkeypatch.setenv("LANG", "fr_FR.UTF-8")
    assert main(["check", "--project-dir", str(bad.project.root), "--only", "OWN01"]) == 1
    shown = capsys.readouterr().out
    assert "  erreur  OWN01   le responsable métier gone@example.com n'est pas connu" in shown
    assert "remède Nommer la personne sous `owner.business`" in shown
    assert "indicateurs, 1 règles" in shown
    assert main(["check", "--explain", "OWN01"]) == 0
    assert "Quelqu'un doit pouvoir dire ce que le chiffre signifie" in capsys.readouterr().out
    texts = in_french()
    for finding in report.findings:
        assert said(finding.message) != finding.message
        assert finding.remedy in texts or said(finding.remedy) != finding.remedy
    choose(["--lang", "en"])


def test_json_has_every_finding(report):
    read = json.loads(render.to_json(report))
    assert len(read["findings"]) == len(report.findings)
    assert read["errors"] + read["warnings"] == len(report.findings)


def test_sarif_names_rules_results_and_places(report):
    run = json.loads(render.to_sarif(report))["runs"][0]
    rules = [rule["id"] for rule in run["tool"]["driver"]["rules"]]
    assert {rules[result["ruleIndex"]] for result in run["results"]} == set(FAULTS)
    place = next(r for r in run["results"] if r["ruleId"] == "OWN01")["locations"][0]
    assert place["physicalLocation"]["artifactLocation"]["uri"] == "metrics/metrics.yml"
    assert place["physicalLocation"]["region"]["startLine"] > 1


def test_github_annotations_escape_what_would_end_them(report):
    first = report.findings[0]
    odd = replace(first, message="50% of\nthe rows", file="a,b:c.yml", line=3)
    line = render.to_github(replace(report, findings=(odd,))).splitlines()[0]
    assert line.startswith(f"::error file=a%2Cb%3Ac.yml,line=3,title={first.code}::")
    assert "50%25 of%0Athe rows" in line


def test_the_command_exits_1_on_an_error_and_0_on_warnings(bad, capsys):
    where = ["--project-dir", str(bad.project.root)]
    assert main(["check", *where, "--only", "OWN01", "LIFE01"]) == 1
    assert "owner_has_left" in capsys.readouterr().out
    assert main(["check", *where, "--only", "LIFE05", "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["warnings"] == 1
    assert main(["check", *where, "--only", "OWN00"]) == 2
    assert "There is no rule 'OWN00'" in capsys.readouterr().err


def test_a_rule_explains_itself(capsys):
    assert main(["check", "--explain", "own01"]) == 0
    page = capsys.readouterr().out
    assert "Somebody must be able to say" in page
    assert "owner: {business: head.of.sales@example.com" in page
    assert main(["check", "--explain", "all"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == len(registered())
    with pytest.raises(UnknownNameError):
        render.terminal("OWN77")

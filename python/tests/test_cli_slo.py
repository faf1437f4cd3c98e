"""`cadran slo` and `cadran incidents` on the demo, as a user meets them."""

from __future__ import annotations

import json
import re

import pytest

from cadran.cli.app import main

CHECKOUT = "availability_28d:checkout"


@pytest.fixture
def cadran(demo, capsys):
    """Runs a command on the demo; returns its exit code, output and errors."""
    assert demo.returncode == 0, demo.log[-3000:]

    def run(*arguments):
        place = ["--manifest", str(demo.target / "semantic_manifest.json"),
                 "--database", str(demo.database)]  # fmt: skip
        code = main([*arguments, *place])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


def rows_of(run, *arguments):
    code, out, err = run(*arguments, "--format", "json")
    assert (code, err) == (0, ""), err
    return json.loads(out)


def test_the_status_of_an_slo_is_the_same_in_every_form_and_language(cadran):
    (row,) = rows_of(cadran, "slo", "status", CHECKOUT)
    assert row["remaining_rate"] == pytest.approx(
        (row["compliance_rate"] - row["target"]) / (1 - row["target"])
    )
    code, out, _ = cadran("slo", "status", "availability_28d")
    assert code == 0
    assert len(re.findall("28 days: ", out)) == 5
    english = f"{row['remaining_rate']:.1%}"
    assert english in next(line for line in out.splitlines() if "Checkout" in line)
    french = cadran("slo", "status", CHECKOUT, "--lang", "fr")[1]
    assert english.replace(".", ",").removesuffix("%") in french
    assert "dans le budget" in french


def test_an_slo_shows_its_policy_and_a_composite_its_members(cadran):
    out = cadran("slo", "show", CHECKOUT)[1]
    assert re.search(r"standard +fast +page +60 +5 +13\.44", out)
    out = cadran("slo", "show", "shop_experience")[1]
    parts = re.findall(r"^(\w+:\w+) +(\d) +(-?[\d.]+)%$", out, re.MULTILINE)
    assert [(slo, weight) for slo, weight, _ in parts] == [
        (CHECKOUT, "5"), ("availability_28d:storefront", "3"), ("latency_28d:storefront", "1"),
    ]  # fmt: skip
    consumed = sum(int(weight) * float(share) for _, weight, share in parts) / 9
    (row,) = rows_of(cadran, "slo", "status", "shop_experience")
    assert row["consumed_rate"] * 100 == pytest.approx(consumed, abs=0.1)
    members = ("public_api", "accounts", "search")
    worst = rows_of(cadran, "slo", "status", *[f"availability_28d:{name}" for name in members])
    (row,) = rows_of(cadran, "slo", "status", "platform_at_its_worst")
    assert row["consumed_rate"] == max(member["consumed_rate"] for member in worst)


def test_history_has_net_and_gross_of_each_quarter(cadran):
    rows = rows_of(cadran, "slo", "history", "availability_28d:storefront", "--grain", "quarter")
    assert [row["period_start"] for row in rows][-2:] == ["2026-07-01", "2026-10-01"]
    # Two hours of maintenance are taken off the fourth quarter only.
    assert [row["units"] < row["gross_units"] for row in rows][-2:] == [False, True]


def test_lint_ends_with_findings_and_names_the_exclusion_that_does_not_count(cadran):
    code, out, _ = cadran("slo", "lint", "--format", "jsonl")
    assert code == 1
    findings = [json.loads(line) for line in out.splitlines()]
    assert [f["slo"] for f in findings if f["code"] == "SLO07"] == ["maintenance_2026_10_17"]


def test_a_stricter_target_fires_more_and_catches_no_fewer_incidents(cadran):
    caught = []
    for target in ("0.999", "0.9999"):
        code, out, _ = cadran(
            "slo", "simulate", CHECKOUT, "--target", target, "--policy", "sloth", "--days", "30"
        )
        assert code == 0
        caught.append([int(n) for n in re.search(
            r"(\d+) firings, (\d+) of (\d+) known", out).groups()])  # fmt: skip
        assert "i0045 sev2 2026-10-14 13:23: page" in out
    assert caught[0][0] < caught[1][0]
    assert caught[0][1] <= caught[1][1] == caught[1][2] == 1


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["show", "availability_28d"], "has several subjects: availability_28d:accounts"),
        (["show", "availability_28"], "Did you mean 'availability_28d'"),
        (["simulate", "shop_experience"], "is a composite"),
        (["simulate", CHECKOUT, "--days", "0"], "one day or more"),
        (["simulate", CHECKOUT, "--target", "1"], "between 0 and 1, both excluded"),
        (["simulate", CHECKOUT, "--policy", "slot"], "Did you mean 'sloth'"),
    ],
)
def test_what_does_not_exist_is_told(cadran, arguments, told):
    code, _, err = cadran("slo", *arguments)
    assert code == 2
    assert told in err


def test_what_is_exported_is_imported_again(cadran, tmp_path, capsys):
    file = tmp_path / "slos.yml"
    assert cadran("slo", "export", "availability_month", "--output", str(file))[0] == 0
    assert main(["slo", "import", str(file)]) == 0
    out = capsys.readouterr().out
    assert "availability_month" in out
    assert "slice_target: 0.9" in out


def test_incidents_causes_and_what_nothing_explains_are_the_whole_burn(cadran):
    rows = rows_of(cadran, "incidents", "list", "--service", "checkout", "--since", "2026-10-01")
    assert [(row["incident_id"], row["cause"]) for row in rows] == [("i0045", "deployment")]
    code, out, _ = cadran("incidents", "show", "i0045")
    assert code == 0
    assert re.search(r"^hours_to_detect +0\.09$", out, re.MULTILINE)
    causes = rows_of(cadran, "incidents", "causes", "2026-10", "--slo", CHECKOUT)
    assert {row["cause"] for row in causes} == {"unattributed", "deployment"}
    taken = {row["slo_id"]: row for row in rows_of(cadran, "incidents", "show", "i0045")}
    of_deployment = next(row for row in causes if row["cause"] == "deployment")
    assert of_deployment["consumed_rate"] == taken[CHECKOUT]["consumed_rate"]
    months = rows_of(cadran, "slo", "history", CHECKOUT)
    (month,) = (row for row in months if row["period_start"] == "2026-10-01")
    assert sum(row["consumed_rate"] for row in causes) == pytest.approx(month["consumed_rate"])


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["show", "i9999"], "There is no incident 'i9999'"),
        (["list", "--service", "chekout"], "Did you mean 'checkout'"),
        (["list", "--since", "october"], "it takes a day such as"),
        (["causes", "2026-13"], "'2026-13' is no month"),
        (["causes", "2026-10", "--slo", "avail"], "There is no SLO 'avail'"),
    ],
)
def test_an_incident_that_does_not_exist_is_told(cadran, arguments, told):
    code, _, err = cadran("incidents", *arguments)
    assert code == 2
    assert told in err

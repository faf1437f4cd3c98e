"""The project builds: every model, data test and unit test of dbt passes on the demo."""

from __future__ import annotations

import json


def test_dbt_build_passes_every_model_and_test(demo):
    assert demo.returncode == 0, demo.log[-5000:]
    results = [
        result
        for result in json.loads((demo.target / "run_results.json").read_text())["results"]
        if not result["unique_id"].startswith("saved_query.")  # open-source dbt runs no exports
    ]
    statuses = {result["status"] for result in results}
    assert statuses <= {"success", "pass"}, [
        result["unique_id"] for result in results if result["status"] not in {"success", "pass"}
    ]
    kinds = {result["unique_id"].split(".")[0] for result in results}
    assert {"model", "test", "unit_test", "seed"} <= kinds

"""Time `cadran check` on many KPIs: none touched, one touched, a macro behind most of them changed.

    python benchmarks/check.py [KPIS]

A copy of the project in `target/bench/check` gets derived KPIs until there are so many (by default
200), and the first version of each is recorded. Beside the seconds stand those of the processor,
which a busy machine does not lengthen.
"""

from __future__ import annotations

import copy
import os
import re
import resource
import shutil
import subprocess
import sys
import time
from itertools import cycle, islice
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parent.parent
COPY = ROOT / "target" / "bench" / "check"
FILES = ("dbt_project.yml", "profiles.yml", "vars.yml", "cadran_checks.yml")
FOLDERS = ("models", "semantic_models", "metrics", "macros", "seeds", "tests")


def main(wanted: int) -> None:
    """Print the figures."""
    shutil.rmtree(COPY, ignore_errors=True)
    COPY.mkdir(parents=True)
    for name in FILES:
        shutil.copy(ROOT / name, COPY)
    for name in FOLDERS:
        shutil.copytree(ROOT / name, COPY / name)
    count = multiply(wanted)
    timed(f"record {count} first versions", "bump", "--first", "--author", "bench@example.com")
    timed("check, nothing kept from before but the records", "check", "--only", *rules())
    timed("check, all rules, nothing touched", "check")
    timed("check, all rules, nothing touched, again", "check")
    edit("metrics/commerce/commerce.yml", r"/ nullif\(order_net_amount, 0\)", "/ order_net_amount")
    timed("check, the formula of one KPI and what is made of it changed", "check")
    edit("macros/business_date.sql", r"at time zone 'UTC'", "at time zone 'Etc/UTC'")
    timed("check, a macro behind most KPIs changed", "check")
    edit("macros/business_date.sql", r"at time zone 'Etc/UTC'", "at time zone 'UTC'")
    edit(
        "models/marts/commerce/fct_orders.sql",
        r"customer_order_number > 1",
        "1 < customer_order_number",
    )
    timed("check, a mart behind a third of them rewritten and meaning the same", "check")


def multiply(wanted: int) -> int:
    """Add KPIs derived of the ones there are, round by round; returns how many there are then."""
    files = {
        path: yaml.safe_load(path.read_text(encoding="utf-8"))
        for path in sorted((COPY / "metrics").glob("*/*.yml"))
    }
    known = [
        (path, metric)
        for path, content in files.items()
        for metric in content.get("metrics") or []
        if "kpi" in metric.get("config", {}).get("meta", {})
    ]
    for number, (path, metric) in enumerate(islice(cycle(known), wanted - len(known))):
        factor = 2 + number // len(known)
        config = copy.deepcopy(metric["config"])
        config["meta"]["kpi"].pop("drivers", None)
        files[path]["metrics"].append({
            "name": f"{metric['name']}_times_{factor}", "label": f"{metric['label']} x {factor}",
            "description": f"{metric['description']} Times {factor}.", "type": "derived",
            "expr": f"{metric['name']} * {factor}", "input_metrics": [{"name": metric["name"]}],
            "config": config,
        })  # fmt: skip
    for path, content in files.items():
        path.write_text(yaml.safe_dump(content, sort_keys=False, allow_unicode=True))
    return wanted


def rules() -> list[str]:
    """The codes of the rules of versions."""
    from cadran.governance.rules import registered

    return [code for code in registered() if code.startswith("VER")]


def edit(name: str, pattern: str, new: str) -> None:
    """Change a file of the copy."""
    path = COPY / name
    text, found = re.subn(pattern, new, path.read_text(encoding="utf-8"), flags=re.IGNORECASE)
    assert found, f"{name} has no {pattern}"  # noqa: S101 - the figure below would mean nothing
    path.write_text(text, encoding="utf-8")


def timed(what: str, *words: str) -> None:
    """Run a command in the copy; print its seconds, those of the processor, and its last line."""
    before, begun = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    place = {"CADRAN_DATABASE": str(COPY / "none.duckdb")}
    run = subprocess.run(
        [sys.executable, "-m", "cadran", *words],
        cwd=COPY, env=os.environ | place, capture_output=True, text=True, check=False,
    )  # fmt: skip
    taken, after = time.perf_counter() - begun, resource.getrusage(resource.RUSAGE_CHILDREN)
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    told = (run.stdout.strip() or run.stderr.strip()).splitlines()[-1:]
    print(f"{what}: {taken:.1f} s, {spent:.1f} s of the processor; {' '.join(told)}", flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 200)

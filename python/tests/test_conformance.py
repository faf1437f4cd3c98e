"""MetricFlow's own integration suite, asked of Cadran."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SUITE = Path(
    os.environ.get("CADRAN_CONFORMANCE")
    or ROOT.parent / "shared" / "conformance" / "metricflow" / "run.py"
)


@pytest.mark.skipif(not SUITE.exists(), reason=f"no conformance suite at {SUITE}")
def test_every_question_of_metricflows_suite_has_its_answer():
    environment = os.environ | {"PYTHONPATH": str(ROOT / "python")}
    asked = subprocess.run(
        [sys.executable, SUITE], env=environment, capture_output=True, text=True, check=False
    )
    assert asked.returncode == 0, asked.stdout[-3000:] + asked.stderr[-3000:]
    assert "265 passed, 0 failed" in asked.stdout

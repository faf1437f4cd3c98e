"""What the server of `forked` does once: it imports dbt, and lets it parse a small project."""

import tempfile
from pathlib import Path

from dbt.cli.main import dbtRunner

TINY = str(Path(__file__).parent / "fixtures" / "tiny")

# dbt makes its readers and validators of YAML when they are first used. Its static parser would
# start threads, which a fork leaves behind.
with tempfile.TemporaryDirectory() as scratch:
    dbtRunner().invoke([
        "--quiet", "--no-static-parser", "parse", "--project-dir", TINY,
        "--profiles-dir", TINY, "--target-path", scratch, "--log-path", scratch,
    ])  # fmt: skip

"""`cadran check`."""

from __future__ import annotations

import argparse
import os

from cadran.cli.common import add_project, examples, open_layer
from cadran.cli.language import said, speaks_french
from cadran.cli.watch import add_watch, watched


def add(parser: argparse.ArgumentParser, _name: str) -> None:
    """Describe the command's arguments."""
    parser.add_argument(
        "--format",
        choices=("text", "json", "sarif", "github"),
        default="text",
        help="for a person, a program, code scanning, or annotations of a pull request",
    )
    parser.add_argument("--only", nargs="+", metavar="CODE", help="run these rules alone")
    parser.add_argument(
        "--explain",
        metavar="CODE",
        help="show a rule with its reason and an example; all: list them",
    )
    parser.add_argument(
        "--values",
        action="store_true",
        help="hold targets against the values of the warehouse as well",
    )
    parser.add_argument(
        "--ci",
        action=argparse.BooleanOptionalAction,
        default=os.environ.get("CI", "").lower() not in {"", "0", "false"},
        help="fail where the main line's records cannot be read (default: as CI is set)",
    )
    add_watch(parser)
    add_project(parser)
    examples(
        parser,
        "cadran check",
        "cadran check --ci --format github",
        "cadran check --explain OWN01",
        "cadran check --only LIFE01 LIFE03",
    )
    parser.set_defaults(run=watched(_check))


def _check(parsed: argparse.Namespace) -> int:
    from cadran.core.project import dbt
    from cadran.governance import check
    from cadran.governance import report as render
    from cadran.governance.rules import in_french

    texts = in_french() if speaks_french() else {}

    def say(text: str) -> str:
        return texts.get(text) or said(text)

    if parsed.explain:
        print(render.terminal(parsed.explain, say))
        return 0
    layer = open_layer(parsed)
    dbt.refresh(layer.project)
    report = check.check(layer, only=parsed.only or (), with_values=parsed.values, in_ci=parsed.ci)
    print(render.FORMS[parsed.format](report, say))
    return 1 if report.has_errors else 0

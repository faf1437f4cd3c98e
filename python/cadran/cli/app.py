"""The command `cadran`: finds the command that is meant, runs it, and says what went wrong.

Exit codes: 0 done, 1 findings (of `check`, `doctor`, `tables --check`, `publish`, `verify`,
`policy test`, `slo lint`, `sla settle`), 2 wrong use or impossible.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import os
import re
import sys
from typing import TYPE_CHECKING, Any, NoReturn

import cadran
from cadran.cli.language import LANGUAGES, HelpFormatter, choose, said, warn
from cadran.core.project.artifacts import located
from cadran.errors import CadranError, listing, near_misses

if TYPE_CHECKING:
    from collections.abc import Sequence

DONE, FINDINGS, WRONG, INTERRUPTED = 0, 1, 2, 130

# Command: the module that knows it (loaded only when it is asked for) and what it does.
COMMANDS = {
    "init": ("new", "write what a dbt project still needs, or copy the demo company"),
    "new": ("new", "a KPI's card, or a metric, from what is defined"),
    "list": ("query", "the KPIs, metrics or saved queries there are"),
    "show": ("show", "the card of a KPI as a page: definition, SQL, lineage, targets, last values"),
    "query": ("query", "the answer to a question"),
    "sql": ("query", "the SQL of a question, without running it"),
    "values": ("query", "the values of a dimension"),
    "slo": ("slo", "service level objectives: status, lint, simulate, history, import, export"),
    "alerts": ("alerts", "what is watched, what fires, what happened; the evaluator"),
    "sla": ("slo", "contracts: the running month, statements, settled months"),
    "incidents": ("incidents", "incidents, what they took of error budgets, and their import"),
    "drivers": ("insight", "what contributes to a change of a KPI: members or factors, exactly"),
    "impact": ("impact", "what incidents cost: orders, revenue, tickets and more, with bounds"),
    "forecast": ("insight", "a KPI at the end of the running period, with an interval"),
    "anomalies": ("insight", "days of a KPI that were unlike the same weekdays before"),
    "board": ("scorecard", "the KPI board: latest complete period, changes, targets, status"),
    "report": (
        "report",
        "the board pack of a month, quarter or year, as HTML, PDF, slides, workbook",
    ),
    "digest": ("digest", "what a board shows of a period, as a mail, for chats, or as text"),
    "recommend": ("recommend", "what to do next and why, and what was decided about it"),
    "note": ("note", "what people say about a KPI and a period"),
    "catalog": ("export", "the catalogue of all KPIs as a site that opens from disk"),
    "export": ("export", "files for BI tools: Power BI, Superset, Apache Ossie"),
    "check": ("check", "hold every KPI against the rules: the gate of continuous integration"),
    "bump": ("bump", "a new version of a KPI: its record, the lock, old against new"),
    "tables": ("export", "write or check the KPI tables in models/kpis"),
    "publish": ("ledger", "append to the ledger what differs from what was last published"),
    "close": ("ledger", "make the published values of a period final"),
    "verify": ("ledger", "check that nothing in the ledger was changed"),
    "explain": ("ledger", "what lies between a value as published and as it is now"),
    "doctor": ("data", "check input data against the contracts before a build"),
    "load": ("data", "files of the sources as tables of PostgreSQL, for a build there"),
    "ingest": ("data", "take access logs into the request contract"),
    "collect": ("collect", "receive telemetry: OTLP, remote-write, logs, checks, events"),
    "serve": ("serve", "serve the layer: REST, GraphQL, Flight SQL, agents"),
    "mcp": ("serve", "offer the KPIs as tools to an agent, over stdio"),
    "token": ("access", "make, list and revoke the tokens of a server"),
    "policy": ("access", "what a role may see, and what becomes of its questions"),
    "usage": ("access", "who asks a server for which KPI"),
    "schema": ("schema", "JSON Schemas of cards and settings, by which an editor completes them"),
    "completion": ("completion", "the script by which a shell completes commands and flags"),
    "demo": ("data", "write the data of the demo company"),
}

EPILOG = """\
examples:
  cadran list
  cadran show net_revenue
  cadran query net_revenue --group-by metric_time__month --format csv
  cadran COMMAND --help
"""


class Parser(argparse.ArgumentParser):
    """An argument parser whose complaints are one sentence, and whose examples have a line each."""

    def __init__(self, *args: Any, **options: Any) -> None:
        """Take what argparse takes."""
        super().__init__(*args, **{"formatter_class": HelpFormatter} | options)

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Take `--lang` too, by which messages are said, where it has no meaning of its own."""
        with contextlib.suppress(argparse.ArgumentError):
            self.add_argument(
                "--lang",
                choices=LANGUAGES,
                default=argparse.SUPPRESS,
                help="language of messages",
            )
        return super().parse_known_args(args, namespace)

    def error(self, message: str) -> NoReturn:
        """Say it on stderr and leave with the code for wrong use."""
        hint = said(f"(see {self.prog} --help)")
        self.exit(WRONG, f"{self.prog}: {said(message)} {hint}\n")


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; returns its exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv) or ["--help"]
    choose(arguments)
    if arguments[0] == "--lang":
        arguments = arguments[2:] + arguments[:2]
    command = arguments[0]
    if not command.startswith("-") and command not in COMMANDS:
        suggestions = near_misses(command, COMMANDS)
        hint = (
            f"did you mean {suggestions[0]}?" if suggestions else f"there are {listing(COMMANDS)}."
        )
        warn(f"there is no command '{command}': {hint}")
        return WRONG
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")  # a sparkline must not break a plain terminal
    try:
        parsed = parser_of(command).parse_args(_prepared(arguments))
    except SystemExit as done:
        return int(done.code or 0)
    if hasattr(parsed, "project_dir"):
        parsed.project_dir = located(parsed.project_dir)
    return _run(parsed)


def parser_of(command: str) -> Parser:
    """The parser of the command line, in which one command is described whole."""
    parser = Parser(
        prog="cadran",
        description=said("One KPI, one definition, one number everywhere."),
        epilog=EPILOG.replace("examples:", said("examples:")),
    )
    parser.add_argument("--version", action="version", version=f"cadran {cadran.__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for name, (module, english) in COMMANDS.items():
        summary = said(english)
        described = commands.add_parser(
            name, help=summary, description=f"{summary[0].upper()}{summary[1:]}."
        )
        if name == command:
            commands_of = importlib.import_module(f"cadran.cli.{module}")
            (getattr(commands_of, f"add_{name}", None) or commands_of.add)(described, name)
            described.add_argument(
                "--debug", action="store_true", help="show the traceback of an error"
            )
    return parser


def _prepared(arguments: list[str]) -> list[str]:
    """The arguments with `--order-by a -b` as `--order-by=a --order-by=-b`.

    A name with a leading `-` sorts downwards; argparse alone would take it for an option.
    """
    prepared: list[str] = []
    ordering = False
    for argument in arguments:
        if argument == "--order-by":
            ordering = True
        elif ordering and not argument.startswith("--") and argument != "-h":
            prepared.append(f"--order-by={argument}")
        else:
            ordering = False
            prepared.append(argument)
    return prepared


def _run(parsed: argparse.Namespace) -> int:
    try:
        code = int(parsed.run(parsed))
        sys.stdout.flush()
    except BrokenPipeError:  # the reader had enough, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return DONE
    except KeyboardInterrupt:
        warn("interrupted")
        return INTERRUPTED
    except Exception as problem:
        if parsed.debug:
            raise
        warn(_sentence(problem))
        return WRONG
    return code


# What messages call by its name in Python, as the command line calls it.
_FLAGS = {
    "manifest=": "--manifest", "database=": "--database", "governed=False": "--ungoverned",
}  # fmt: skip
_PYTHON = re.compile(r"(?<![\w-])(?:(?:manifest|database)=(?=[ .,]|$)|governed=False\b)")


def _sentence(problem: Exception) -> str:
    text = " ".join(str(problem).split()) or type(problem).__name__
    if isinstance(problem, CadranError):
        return _PYTHON.sub(lambda found: _FLAGS[found[0]], text)
    if isinstance(problem, FileNotFoundError) and problem.filename:
        return f"There is no file {problem.filename}."
    if isinstance(problem, (OSError, ImportError)):
        return text
    return f"{type(problem).__name__}: {text} (run it again with --debug for the traceback)"

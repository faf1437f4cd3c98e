"""`cadran note`: what people say about a KPI and a period."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cadran.cli.common import TEXTS, add_action, author, describe, examples, open_layer, write_rows
from cadran.cli.language import tell
from cadran.core.project import git
from cadran.governance import notes

if TYPE_CHECKING:
    import argparse


def add(parser: argparse.ArgumentParser, _: str) -> None:
    """Describe the command's arguments."""
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True)
    writing = add_action(actions, "add", "say something about a KPI and a period")
    usage = """
        kpi KPI          such as net_revenue
        period PERIOD    2026, 2026-Q4, 2026-10, 2026-W44 or 2026-10-31
        text TEXT        what there is to say
        --cause TEXT     of what happened, as far as it is known
        --action TEXT    what is done about it
        --owner EMAIL    who does it
        --due DATE       until when
        --incident ID    the incident that it is about
        --by EMAIL       who says it (default: git's user)
    """
    texts: dict[str, Any] = {name: {"default": ""} for name in ("cause", "owner", "incident")}
    # argparse calls what runs an action by this name too
    texts["action"] = {"default": "", "dest": "act"}
    shown = 'cadran note add net_revenue 2026-10 "The autumn sale began a week later than in 2025."'
    describe(writing, _add, usage, shown=(shown,), **texts)
    listing = add_action(actions, "list", "what was said, the latest first")
    usage = """
        kpi KPI            only about this KPI
        --period PERIOD    only of periods that lie in this one
        --incident ID      only about this incident
    """
    listed = "cadran note list net_revenue --period 2026-Q4"
    describe(listing, _list, usage, shown=(listed,), formats=TEXTS, kpi={"nargs": "?"})
    examples(parser, shown, listed)


def _add(parsed: argparse.Namespace) -> int:
    by = author(parsed.by or git.user(parsed.project_dir), "says it")
    remark = notes.Remark(
        parsed.kpi, parsed.period, parsed.text, parsed.cause, parsed.act, parsed.owner, parsed.due,
        parsed.incident,
    )  # fmt: skip
    note = notes.add(open_layer(parsed), remark, by=by)
    tell(f"note {note.number} on {note.remark.kpi}, {note.remark.period}, by {note.by}")
    return 0


def _list(parsed: argparse.Namespace) -> int:
    layer = open_layer(parsed)
    if parsed.kpi is not None:
        layer.card(parsed.kpi)
    matching = notes.notes(layer, parsed.kpi, parsed.period, incident=parsed.incident)
    write_rows([note.to_dict() for note in reversed(matching)], parsed.format, parsed.output)
    return 0

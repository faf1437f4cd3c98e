"""`cadran recommend`: what to do next, why, and what was decided about it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cadran.cli.common import TEXTS, add_action, author, describe, examples, open_layer, write_rows
from cadran.core.project import git
from cadran.insight.source import Source

if TYPE_CHECKING:
    import argparse

_DECISIONS = {
    "accept": ("accepted", "say that it will be done"),
    "reject": ("rejected", "say that it will not be done, and why"),
    "done": ("done", "say that what was accepted is done"),
}


def add(parser: argparse.ArgumentParser, _: str) -> None:
    """Describe the command's arguments."""
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True)
    listing = add_action(actions, "list", "what is recommended for a period")
    usage = """
        --period PERIOD  2026, 2026-Q3 or 2026-10 (default: the last whole quarter)
        --costs          estimate what the incidents behind it cost as well
        --held           with what could not be judged, and why
    """
    shown = ("cadran recommend list", "cadran recommend list --period 2026-Q3 --lang fr")
    describe(listing, _list, usage, formats=TEXTS, language=True, shown=shown)
    for name, (decision, summary) in _DECISIONS.items():
        action = add_action(actions, name, summary)
        usage = """
            id ID        of the recommendation, as `cadran recommend list` has it
            --note TEXT  why, or what was done
            --by EMAIL   who decides (default: git's user)
        """
        example = f"cadran recommend {name} budget_unused/probes_quarter/2026-Q3 --note TEXT"
        describe(action, _decide, usage, shown=(example,), note={"required": True})
        action.set_defaults(decision=decision)
    history = add_action(actions, "history", "every decision that was made")
    describe(history, _history, "id ID  only those about it", shown=("cadran recommend history",),
             formats=TEXTS, language=True, id={"nargs": "?"})  # fmt: skip
    examples(
        parser,
        "cadran recommend list --period 2026-Q3 --lang fr",
        'cadran recommend accept budget_unused/probes_quarter/2026-Q3 --note "In January."',
        "cadran recommend history",
    )


def _list(parsed: argparse.Namespace) -> int:
    from cadran.insight import impact
    from cadran.reports import recommend, recommendation

    layer = open_layer(parsed)
    period = recommend.period(layer, parsed.period)
    impacts = None
    if parsed.costs:
        impacts = impact.of_all(Source.of(layer), period.start, period.end)
    found = recommend.recommendations(layer, period, lang=parsed.lang, impacts=impacts)
    if not parsed.held:
        found = tuple(entry for entry in found if entry.status != "held")
    rows = [entry.to_row() for entry in found]
    if parsed.format == "table" and parsed.output is None:
        print(recommendation.text(found, parsed.lang))
    else:
        write_rows(rows, parsed.format, parsed.output)
    return 0


def _decide(parsed: argparse.Namespace) -> int:
    from cadran.reports import recommend

    by = author(parsed.by or git.user(parsed.project_dir), "decides")
    decided = recommend.decide(
        open_layer(parsed), parsed.id, parsed.decision, note=parsed.note, by=by
    )
    print(f"{decided.id}: {decided.decision} by {decided.by}")
    return 0


def _history(parsed: argparse.Namespace) -> int:
    from cadran.reports import recommend

    rows = [
        {"at": entry.at, "id": entry.id, "decision": entry.decision, "by": entry.by,
         "note": entry.note, "title": entry.title.get(parsed.lang, "")}
        for entry in recommend.decisions(open_layer(parsed), parsed.id)
    ]  # fmt: skip
    write_rows(rows, parsed.format, parsed.output)
    return 0

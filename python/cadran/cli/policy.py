"""`cadran policy`: what a role may see, and what becomes of its questions."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from cadran.cli.common import add_project, examples, open_layer
from cadran.cli.output import add_format, write, write_rows

if TYPE_CHECKING:
    import argparse

    from cadran.access.judge import PolicyGate
    from cadran.access.policy import Policy
    from cadran.layer import Layer

ALLOWED, REFUSED = 0, 1


def add(parser: argparse.ArgumentParser, _: str) -> None:
    """Describe the command's arguments."""
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True)
    show = actions.add_parser("show", help="what a role may see, or all roles there are")
    show.add_argument("--as", dest="role", metavar="ROLE", help="one role")
    add_format(show)
    show.set_defaults(run=_show)
    test = actions.add_parser(
        "test", help="whether a role may ask a question, as what SQL, and what it gets; 1: refused"
    )
    test.add_argument(
        "--as", dest="role", required=True, metavar="ROLE", help="several: with commas, in order"
    )
    for flag, what in (
        ("--metrics", "KPIs or metrics"),
        ("--group-by", "dimensions and times with a grain"),
        ("--where", "filters, as they would come from a network"),
        ("--order-by", "columns"),
    ):
        test.add_argument(flag, nargs="+", action="extend", default=[], metavar="X", help=what)
    test.add_argument("--start", metavar="TIME", help="first day or instant")
    test.add_argument("--end", metavar="TIME", help="last day or instant")
    test.add_argument("--saved-query", metavar="NAME", help="start from a saved query")
    test.add_argument("--limit", type=int, default=20, metavar="N", help="rows (default: 20)")
    test.add_argument("--sql-only", action="store_true", help="do not ask the warehouse")
    add_format(test)
    test.set_defaults(run=_test)
    for action in (show, test):
        action.add_argument("--policy", type=Path, metavar="FILE", help="the policy file")
        add_project(action)
    examples(
        parser,
        "cadran policy show",
        "cadran policy show --as sales_france",
        "cadran policy test --as sales_france --metrics net_revenue --group-by metric_time__month",
    )


def _show(parsed: argparse.Namespace) -> int:
    layer = open_layer(parsed)
    gate, policy = _gate(parsed, layer)
    if parsed.role is None:
        rows = [
            {"role": role.name, "rows": list(role.rows), "description": role.description}
            for role in policy.roles.values()
        ]
    else:
        rows = _rights(gate, policy, parsed.role, layer)
    write_rows(rows, parsed.format, parsed.output)
    return 0


def _rights(gate: PolicyGate, policy: Policy, name: str, layer: Layer) -> list[dict[str, Any]]:
    """Each metric that a role may see, with what it may be grouped by and what is counted."""
    from cadran.access.caller import Caller
    from cadran.governed import TIME

    role = policy.roles[name]
    seen = gate.visible(Caller(name, (name,)), layer)
    rows = []
    for metric in sorted(seen.metrics or ()):
        card = layer.card(metric) if layer.is_kpi(metric) else None
        dimensions = [item["name"] for item in layer.dimensions(metric)]
        rows.append(
            {
                "metric": metric,
                "is_kpi": card is not None,
                "dimensions": [d for d in dimensions if d != TIME and seen.dimension(d)],
                "rows": list(role.rows),
                "minimum_cell": max(role.minimum_cell, card.minimum_cell)
                if card is not None and card.minimum_cell
                else None,
                "refused": _refusal(gate, name, metric, layer),
            }
        )
    return rows


def _refusal(gate: PolicyGate, role: str, metric: str, layer: Layer) -> str:
    """Why a role may not even ask the periods of a metric; empty where it may."""
    from cadran.access.caller import Caller
    from cadran.errors import CadranError
    from cadran.serving.question import Question

    grain = layer.card(metric).grains[-1] if layer.is_kpi(metric) else "year"
    question = Question.of({"metrics": [metric], "group_by": [f"metric_time__{grain}"]})
    try:
        gate.allow(Caller(role, (role,)), question, layer)
    except CadranError as problem:
        return str(problem)
    return ""


def _test(parsed: argparse.Namespace) -> int:
    from cadran.access.caller import Caller
    from cadran.errors import CadranError
    from cadran.serving.question import Question

    layer = open_layer(parsed)
    gate, _ = _gate(parsed, layer)
    question = Question.of(
        {
            "metrics": parsed.metrics, "group_by": parsed.group_by, "where": parsed.where,
            "order_by": parsed.order_by, "start": parsed.start, "end": parsed.end,
            "saved_query": parsed.saved_query,
        }
    )  # fmt: skip
    caller = Caller("policy test", tuple(name.strip() for name in parsed.role.split(",")))
    try:
        allowed = gate.allow(caller, question, layer)
    except CadranError as problem:
        print(f"refused: {problem}")
        return REFUSED
    print(f"allowed as {allowed.role}")
    print(layer.sql(**allowed.question.arguments()))
    if not parsed.sql_only:
        result = layer.query(**allowed.question.arguments())
        shown = gate.shown(result.to_arrow(), allowed, layer)
        write(shown.slice(0, parsed.limit), parsed.format, parsed.output)
    return ALLOWED


def _gate(parsed: argparse.Namespace, layer: Layer) -> tuple[PolicyGate, Policy]:
    """The gate of the project's policy, which fits its definitions and knows the roles asked."""
    from cadran.access import policy as policies
    from cadran.access.judge import PolicyGate
    from cadran.errors import PolicyError, UnknownNameError
    from cadran.server import settings

    file = settings.read(layer.project.root, {"policy": parsed.policy}).policy
    if not file.exists():
        raise PolicyError(
            f"There is no policy at {file}: without one, every governed question may be asked."
        )
    policy = policies.read(file)
    gate = PolicyGate(policy)
    gate.check(layer)
    for name in (parsed.role or "").split(","):
        if name and name.strip() not in policy.roles:
            raise UnknownNameError("role", name.strip(), policy.roles, where=f" in {file.name}")
    return gate, policy

"""What the tools give, as text that reads well in a conversation."""

from __future__ import annotations

from typing import Any

Told = dict[str, Any]


def kpis(told: Told) -> str:
    """A line for each KPI and saved query."""
    lines = [
        f"{one['name']}: {one['label']}, in {one['unit']}, version {one['version']}"
        f" ({one['status']}, {one['tier']}). By {', '.join(one['grains'])}; by"
        f" {', '.join(one['dimensions']) or 'no dimension'}."
        for one in told["kpis"]
    ]
    saved = [f"saved query {one['name']}: {one['label']}" for one in told["saved_queries"]]
    return "\n".join([*lines, *saved]) or "There is no KPI that you may see."


def card(told: Told) -> str:
    """A card as lines of keys and texts."""
    one = told["kpi"]
    lines = [
        f"{one['label']} ({one['name']}), version {one['version']}, {one['status']}",
        f"Definition: {one['description']}",
        f"Formula: {one['formula']}",
        f"Unit: {one['unit']}; direction: {one['direction']}; {one['additivity']}",
        f"Grains: {', '.join(one['grains'])}",
        f"Dimensions: {', '.join(one['dimensions']) or 'none'}",
        f"Owners: {one['owner']['business']} (meaning), {one['owner']['technical']} (computation)",
    ]
    if one["not_for"]:
        lines.append(f"Not for: {', '.join(one['not_for'])}")
    lines += [f"Break: {broken['sentence']}" for broken in told["breaks"]]
    if told["targets"]:
        last = told["targets"][-1]
        lines.append(f"Last target: {last['target']} for the {last['grain']} of {last['period']}")
    return "\n".join(lines)


def warnings(told: Told) -> list[str]:
    """What has to be said when these values are quoted."""
    said = [one["sentence"] for one in told["breaks"]]
    if not told["like_for_like"]:
        said.append("Values on both sides of a break are not like for like: do not compare them.")
    if not told["governed"]:
        said.append("Not every metric here is a governed KPI.")
    if told["note"]:
        said.append(told["note"])
    if told["rows_left_out"]:
        said.append(
            f"{told['rows_left_out']} of {told['total_rows']} rows are left out: ask with max_rows,"
            " limit, a filter or a coarser grain."
        )
    return said


def answer(told: Told, rows: list[list[Any]]) -> str:
    """The rows, with every digit, then what they mean."""
    heads = [
        f"{one['name']} ({one['unit']})" if "unit" in one else one["name"]
        for one in told["columns"]
    ]
    lines = [" | ".join(heads)]
    lines += [" | ".join("" if cell is None else str(cell) for cell in row) for row in rows]
    if not rows:
        lines.append("(no row)")
    lines.append("")
    for name, one in told["kpis"].items():
        shown = "; a fraction, shown times 100" if one["unit"] == "%" else ""
        lines.append(
            f"{name}: {one['label']}, unit {one['unit']}{shown}, version"
            f" {', '.join(map(str, one['versions']))}, {one['status']}. {one['definition']}"
            + (f" Not for: {', '.join(one['not_for'])}." if one["not_for"] else "")
        )
    lines += [f"Warning: {one}" for one in told["warnings"]]
    return "\n".join(lines)


def values(told: Told) -> str:
    """The values in one line, with the number of those left out."""
    rest = told["total"] - len(told["values"])
    more = f" and {rest} more" if rest else ""
    return f"{told['dimension']}: {', '.join(map(str, told['values'])) or 'no value'}{more}"


def definition(told: Told) -> str:
    """How a KPI is computed."""
    return "\n".join(
        [
            f"{told['kpi']}, version {told['version']}, in {told['unit']}: {told['definition']}",
            f"Formula: {told['formula']}",
            f"Sources: {', '.join(told['sources']) or 'unknown'}",
            f"Models: {', '.join(told['models']) or 'unknown'}",
            "SQL:",
            told["sql"],
        ]
    )


def bridge(told: Told) -> str:
    """From the value as published to the value now, a line for each step."""
    before, after = told["versions"]
    what = f"{told['kpi']}, {told['grain']} of {told['period']}, in {told['unit']}"
    then = f"published {told['published_at']} by version {before}"
    lines = [f"{what}: {then}; now by version {after}."]
    for step in told["steps"]:
        member = f" ({told['by']} = {step['member']})" if step["member"] is not None else ""
        lines.append(f"{step['step']}{member}: {step['amount']}, reaching {step['reached']}")
    if before != after:
        lines.append("Both values are not like for like: the definition changed between them.")
    return "\n".join([*lines, *told["notes"]])

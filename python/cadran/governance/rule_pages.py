"""The rules for readers: one in the terminal, all of them as the page `docs/rules.md`.

python -m cadran.governance.rule_pages docs/rules.md
"""

from __future__ import annotations

import sys
import textwrap
from itertools import groupby
from pathlib import Path

from cadran.errors import listing
from cadran.governance.rules import Rule, of_code, registered

_WIDTH = 96
FAMILIES = {
    "CARD": "The card",
    "OWN": "Ownership and meaning",
    "OBJ": "Objectives and targets",
    "DUP": "Duplicates",
    "LIFE": "Life",
    "TEC": "Technique",
    "USE": "Usage",
    "VER": "Versions",
    "WAIV": "Waivers",
}
_HEAD = """\
# The rules of `cadran check`

<!-- Written from the rules by `python -m cadran.governance.rule_pages docs/rules.md`. -->

`cadran check` holds every KPI against these rules and exits 1 when one with the severity *error* is
broken. `cadran check --explain CODE` shows the same text in the terminal. A code never changes its
meaning.

Decisions of a project stand in `cadran_checks.yml` at its root: another severity with a reason, a
waiver for one KPI with a reason and an end date, the known owners with their delegates.

```yaml
owners:
  head.of.sales@example.com: [sales.controller@example.com]
rules:
  DUP03: {severity: "off", reason: Names come from the ERP and stay as they are.}
waivers:
  - {rule: LIFE01, kpi: net_revenue, reason: Review on 12 January., until: 2027-01-15}
strategic_kpis: [5, 10]
known_values: ["tests/answers/{kpi}__*.sql"]
personal: [loyalty_number]
unused_after: 90
```
"""


def ordered() -> list[Rule]:
    """Every rule, family by family."""
    families = list(FAMILIES)

    def place(rule: Rule) -> tuple[int, str]:
        known = rule.family in FAMILIES
        return (families.index(rule.family) if known else len(families), rule.code)

    return sorted(registered().values(), key=place)


def terminal(code: str) -> str:
    """One rule for the terminal; `all` lists every rule.

    Raises:
        UnknownNameError: there is no such rule.
    """
    if code.lower() == "all":
        return "\n".join(f"{r.code:<7} {r.severity.value:<8} {r.title}" for r in ordered())
    rule = of_code(code)
    example = "\n".join(f"    {line}".rstrip() for line in rule.example.splitlines())
    head = f"{rule.code}  {rule.title}  ({rule.severity.value})"
    rationale, remedy = (
        textwrap.fill(text, _WIDTH) for text in (rule.rationale, f"Mend: {rule.remedy}")
    )
    return f"{head}\n\n{rationale}\n\n{example}\n\n{remedy}"


def page() -> str:
    """The page of all rules, in Markdown."""
    parts = [_HEAD]
    rows = [
        f"| [{r.code}](#{r.code.lower()}) | {r.title} | {r.severity.value} |" for r in ordered()
    ]
    parts.append("\n".join(["| code | rule | severity |", "|---|---|---|", *rows]) + "\n")
    for family, rules in groupby(ordered(), key=lambda rule: rule.family):
        parts.append(f"## {FAMILIES.get(family, family)}\n")
        parts += [_section(rule) for rule in rules]
    return "\n".join(parts)


def _section(rule: Rule) -> str:
    language = "csv" if rule.example.startswith(("kpi,", "objective,", "target,")) else "yaml"
    return (
        f"### {rule.code}\n\n**{rule.title}** ({rule.severity.value})\n\n{rule.rationale}\n\n"
        f"```{language}\n{rule.example}\n```\n\n{rule.remedy}\n"
    )


if __name__ == "__main__":
    if len(sys.argv) != 2:  # noqa: PLR2004 - the file
        sys.exit(
            f"usage: python -m cadran.governance.rule_pages FILE; rules: {listing(registered())}"
        )
    Path(sys.argv[1]).write_text(page(), encoding="utf-8")

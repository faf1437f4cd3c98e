"""What a run of an incremental model takes, replaces and leaves: its values hang on it as well."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

from cadran.governance.checksums import checksum
from cadran.governance.closure import NOT_OURS, VARIABLE, plain

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cadran.governance.closure import Graph

_INCREMENT = re.compile(r"\{%-?\s*if\s[^%]*is_incremental\(\).*?endif\s*-?%\}", re.DOTALL)
_CALLED = re.compile(r"\b(?:(\w+)\.)?(\w+)\(")
# What a run of an incremental model depends on, beside its SQL.
_INCREMENTAL = (
    "incremental_strategy", "unique_key", "incremental_predicates", "event_time", "begin",
    "lookback", "batch_size", "full_refresh", "merge_update_columns", "merge_exclude_columns",
)  # fmt: skip


def rules(graph: Graph, nodes: Iterable[str]) -> dict[str, str]:
    """For each incremental model, a checksum of what a run takes, replaces and leaves."""
    found = {}
    for key in nodes:
        node = graph.nodes[key]
        config = node.get("config") or {}
        if config.get("materialized") != "incremental":
            continue
        said = [{k: config.get(k) for k in _INCREMENTAL if config.get(k) is not None}]
        blocks = " ".join(plain(block) for block in _INCREMENT.findall(node["raw_code"]))
        strategy = f"get_incremental_{config.get('incremental_strategy')}_sql"
        called = {strategy, *(name for _, name in _CALLED.findall(blocks))}
        macros = [
            plain(graph.manifest["macros"][macro]["macro_sql"])
            for macro in sorted(graph.manifest["macros"])
            if graph.manifest["macros"][macro]["name"] in called
            and graph.manifest["macros"][macro]["package_name"] not in NOT_OURS
        ]
        names = sorted({n for t in (blocks, *macros) for n in VARIABLE.findall(t)})
        values = {name: graph.variable(name)[0] for name in names}
        found[node["name"]] = checksum(
            json.dumps([*said, blocks, macros, values], sort_keys=True, default=str)
        )[:16]
    return found

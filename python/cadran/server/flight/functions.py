"""The functions that plain SQL may use: what reads and reckons, by the names sqlglot gives them.

Left out is what tells of the machine or the session, what reaches a file, and what makes much out
of little (`repeat`, `lpad`, `range`, lists and aggregates of text): text that grows is not counted
by the memory limit of the warehouse.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from sqlglot import exp

from cadran.errors import LimitError, QueryError, near_misses

if TYPE_CHECKING:
    from collections.abc import Iterable

_AGGREGATES = """
    any_value approx_distinct arg_max arg_min avg corr count count_if first last logical_and
    logical_or max median min mode percentile_cont percentile_disc quantile stddev stddev_pop
    stddev_samp sum variance variance_pop
"""
_WINDOWS = """
    cume_dist dense_rank first_value lag last_value lead nth_value ntile percent_rank rank
    row_number
"""
_NUMBERS = """
    abs case cast ceil coalesce exists exp floor greatest grouping if is_inf is_nan least ln log
    mod nullif power round sign sqrt trunc try_cast
"""
_TEXTS = """
    ascii concat concat_ws contains ends_with initcap left length lower regexp_extract regexp_like
    replace reverse right split_part starts_with str_position substring trim upper
"""
_TIMES = """
    age current_date current_timestamp date date_add date_bin date_from_parts date_part date_sub
    date_trunc datediff day day_of_month day_of_week day_of_year dayname dayofweek_iso extract hour
    last_day minute month monthname now quarter second str_to_time time_to_str time_to_unix
    timestamp_trunc ts_or_ds_to_date week week_of_year year
"""
ALLOWED = frozenset(f"{_AGGREGATES} {_WINDOWS} {_NUMBERS} {_TEXTS} {_TIMES}".split())
_MOST_GROWTH = 22.0  # bits: no text grows beyond 4 MB
_LONGEST_CELL = 256


def hold(nodes: Iterable[exp.Expression]) -> None:
    """Hold that a statement uses these functions only, and makes no text out of all proportion.

    Raises:
        QueryError: it uses another function.
        LimitError: its texts could grow too long.
    """
    growth, longest = 0.0, _LONGEST_CELL
    for node in nodes:
        if isinstance(node, exp.Func) and not isinstance(node, exp.Connector):
            name = _name(node)
            if name not in ALLOWED:
                meant = near_misses(name, ALLOWED)
                hint = f" Did you mean {' or '.join(meant)}?" if meant else ""
                raise QueryError(f"The function {name} is not offered in plain SQL here.{hint}")
        if isinstance(node, exp.Literal) and node.is_string:
            longest = max(longest, len(node.this))
        growth += math.log2(_times(node))
    if growth + math.log2(longest) > _MOST_GROWTH:
        raise LimitError(
            "The statement joins texts to very long ones: join fewer, or shorter ones."
        )


def _name(function: exp.Func) -> str:
    anonymous = isinstance(function, (exp.Anonymous, exp.AnonymousAggFunc))
    return str(function.name if anonymous else function.sql_name()).lower()


def _times(node: exp.Expression) -> int:
    """How many times as long as its longest part a text can become."""
    if isinstance(node, exp.DPipe):
        # Of a chain, the outermost counts all.
        return 1 if isinstance(node.parent, exp.DPipe) else len(list(node.flatten()))
    if isinstance(node, (exp.Concat, exp.ConcatWs)):
        return max(1, 2 * len(node.expressions))
    if isinstance(node, exp.Replace):
        by = node.args.get("replacement")
        if by is not None and not by.is_string:
            raise QueryError("replace takes a text as its third argument, and no column.")
        return 1 + len(by.this if by is not None else "")
    return 1

"""Each KPI equals an answer computed from the raw files by SQL that was written apart from it.

A file of `answers/` is named `<kpi>__<grain>.sql` or `<kpi>__<grain>__<what>.sql`. Its first line
says what is asked of the layer, `-- group_by: metric_time__month customer__country`, and the query
returns these columns, in that order, and then the value. It reads the raw tables as
`shop.orders`, `telemetry.requests` and so on, and no model of the project.
"""

from __future__ import annotations

import math
from collections import defaultdict
from decimal import Decimal
from pathlib import Path

import pytest

ANSWERS = sorted((Path(__file__).parent / "answers").glob("*.sql"))


def normal(value):
    if hasattr(value, "date") and callable(value.date) and (value.hour, value.minute) == (0, 0):
        return value.date()
    return value


def same(ours, theirs):
    if ours is None or theirs is None:
        return ours is None and theirs is None
    if isinstance(ours, int) and isinstance(theirs, int):
        return ours == theirs
    if isinstance(ours, Decimal) and isinstance(theirs, Decimal):
        return ours == theirs
    return math.isclose(float(ours), float(theirs), rel_tol=1e-9, abs_tol=1e-12)


@pytest.mark.parametrize("path", ANSWERS, ids=lambda path: path.stem)
def test_the_kpi_equals_independent_sql_on_the_raw_files(path, layer, raw):
    sql = path.read_text(encoding="utf-8")
    first_line = sql.splitlines()[0]
    assert first_line.startswith("-- group_by:"), f"{path.name} does not say what is asked"
    group_by = first_line.removeprefix("-- group_by:").split()
    kpi, grain = path.stem.split("__")[:2]
    assert f"metric_time__{grain}" in group_by

    asked = layer.query([kpi], group_by=group_by).to_arrow()
    ours = {
        tuple(normal(row[name]) for name in group_by): row[kpi]
        for row in asked.select([*group_by, kpi]).to_pylist()
    }
    theirs = {
        tuple(normal(value) for value in row[:-1]): row[-1] for row in raw.execute(sql).fetchall()
    }

    # A period without an event may be a row of NULL or no row at all.
    wrong = {
        key: (ours.get(key), theirs.get(key))
        for key in ours.keys() | theirs.keys()
        if not same(ours.get(key), theirs.get(key))
    }
    assert not wrong, f"{len(wrong)} of {len(theirs)} differ, such as {sorted(wrong.items())[:3]}"
    assert theirs, "the independent SQL answers nothing"


def test_every_kpi_is_answered_at_two_grains_at_least(layer):
    grains = defaultdict(set)
    for path in ANSWERS:
        kpi, grain = path.stem.split("__")[:2]
        grains[kpi].add(grain)
    assert {card.name for card in layer.kpis() if len(grains[card.name]) < 2} == set()

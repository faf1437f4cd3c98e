"""Judge what incidents are said to have cost on companies whose true losses are known.

    python benchmarks/impact.py [COMPANIES]

Each company is drawn anew with another seed, at full size (by default 5; about 10 s each). Printed
is how often the true loss lay within the bounds of 90 %, and how far the sum of the estimates was
from the sum of the truth. The losses of orders are those to be expected; which sessions did order
is chance, so the sum is also held against what they did lose.
"""

from __future__ import annotations

import sys
import tempfile
from datetime import date
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, NoReturn

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from cadran.core.project.calendar import Calendar, Promotion
from cadran.errors import QueryError
from cadran.insight.harm import Ground
from cadran_demo import world
from cadran_demo.helpdesk import draw_tickets
from cadran_demo.platform import draw_operations
from cadran_demo.shop import draw_shop

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cadran.insight.harm import Effect

Row = tuple[float, ...]
END = date(2026, 11, 27)
COUNTED = {"orders_placed": "m", "sessions_started": "h", "tickets_opened_count": "m"}


def main(companies: int) -> None:
    """Print the figures."""
    orders: list[Row] = []
    tickets: list[Row] = []
    for seed in range(1, companies + 1):
        of_orders, of_tickets = company(seed)
        orders += of_orders
        tickets += of_tickets
        print(f"company {seed}: {len(of_orders)} incidents, {within(of_orders):.1%} within")
    for name, rows in (("orders", orders), ("tickets", tickets)):
        print(f"{name}: {len(rows)} incidents, {within(rows):.1%} within, sum {off(rows, 3):+.1%}")
    print(f"orders against what was lost by chance too: {off(orders, 4):+.1%}")


def company(seed: int) -> tuple[list[Row], list[Row]]:
    """Estimate, bounds, truth and (of orders) realised loss of each incident."""
    plan = world.Plan(seed, END, 1.0)
    incidents = draw_operations(plan).incidents
    with tempfile.TemporaryDirectory() as folder:
        shop = draw_shop(plan, incidents, Path(folder))
        sessions = pq.read_table(Path(folder) / "sessions.parquet", columns=["started_at"])
        started = sessions.column(0).to_numpy().astype("datetime64[us]")
    helpdesk = draw_tickets(plan, shop, incidents)[0]
    moments = {
        "orders_placed": started[shop.orders.session[shop.orders.session >= 0]],
        "sessions_started": started,
        "tickets_opened_count": helpdesk.opened.astype("datetime64[us]"),
    }
    tables = {name: counted(name, at) for name, at in moments.items()}
    calendar = Calendar(
        "Europe/Paris",
        tuple(plan.days[world.holidays(plan)].tolist()),
        tuple(Promotion(p.name, p.first, p.last) for p in world.promotions(plan)),
    )
    rows = [
        {"incident_id": str(number), "started_at": np.datetime64(i.started, "us").item(),
         "restored_at": np.datetime64(i.restored, "us").item()}
        for number, i in enumerate(incidents)
    ]  # fmt: skip
    source = SimpleNamespace(
        by_time=lambda _kpi, metric, _time: tables[metric], ask=nothing, with_sides=nothing, kpis=()
    )
    ground = Ground(source, rows, calendar)
    extra = np.bincount(helpdesk.incident[helpdesk.incident >= 0], minlength=len(rows))
    orders, tickets = [], []
    for number, (row, incident) in enumerate(zip(rows, incidents, strict=True)):
        effects, _ = ground.effects(row)
        due = float(shop.orders_expected[number])
        if "orders" in effects:
            lost = due * incident.conversion_loss, due - float(shop.orders_placed[number])
            orders.append((*bounds(effects["orders"]), *lost))
        if "tickets" in effects:
            tickets.append((*bounds(effects["tickets"]), float(extra[number])))
    return orders, tickets


def counted(name: str, at: NDArray[np.datetime64]) -> pa.Table:
    """How often each minute or hour occurs."""
    unit = COUNTED[name]
    times, counts = np.unique(at.astype(f"datetime64[{unit}]"), return_counts=True)
    unit = "minute" if unit == "m" else "hour"
    return pa.table({f"at__{unit}": times.astype("datetime64[us]"), name: counts})


def nothing(*_: object, **__: object) -> NoReturn:
    """Refuse what is not judged here."""
    raise QueryError("not judged here")


def bounds(effect: Effect) -> tuple[float, float, float]:
    """Estimate and bounds."""
    return effect.interval.estimate, effect.interval.lower, effect.interval.upper


def within(rows: list[Row]) -> float:
    """The share of the truths that lie within the bounds."""
    return float(np.mean([lower <= truth <= upper for _, lower, upper, truth, *_ in rows]))


def off(rows: list[Row], place: int) -> float:
    """How far the sum of the estimates is from another, over incidents with a true effect."""
    hurt = [row for row in rows if row[3] > 0]
    return sum(row[0] for row in hurt) / sum(row[place] for row in hurt) - 1


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 5)

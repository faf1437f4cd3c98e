"""A shop on paper: a source of numbers that are worked out from a list of lines in memory."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from decimal import Decimal
from types import SimpleNamespace

import pyarrow as pa

from cadran.core.project import cards
from cadran.core.semantics.metrics import MetricGraph
from cadran.formats import periods
from cadran.insight.source import Source

CARD = {
    "tier": "strategic", "objective": "grow", "scope": "global", "status": "certified",
    "owner": {"business": "sales@example.com", "technical": "data@example.com"}, "unit": "EUR",
    "direction": "up", "decimals": 2, "additivity": "additive", "grains": ["day", "month"],
    "dimensions": ["order_id__channel"], "refresh": {"every": "1 hour", "late_after": "3 hours"},
    "formula": "sum", "review_by": "2027-06-30", "version": 1,
    "fr": {"label": "Montant", "description": "Montant.", "formula": "somme"},
}  # fmt: skip
RATIO = CARD | {"additivity": "not_additive"}


@dataclass
class Rows:
    """An answer on paper."""

    table: pa.Table
    breaks: tuple = ()
    note: str = ""


def metric(name, kind="simple", card=None, **params):
    if kind == "simple":
        params = {"metric_aggregation_params": {"semantic_model": "orders", "agg": "sum", **params}}
    return {
        "name": name, "type": kind, "label": name.replace("_", " "), "description": name,
        "type_params": params, "filter": None, "config": {"meta": {"kpi": card} if card else {}},
    }  # fmt: skip


def of(*names):
    return [{"name": name} for name in names]


def over(above, below):
    return {"numerator": {"name": above}, "denominator": {"name": below}}


METRICS = [
    metric("orders"), metric("paid"), metric("cost"), metric("buyers", agg="count_distinct"),
    metric("booked"),
    metric("order_count", "derived", CARD | {"unit": "orders"}, expr="orders",
           metrics=of("orders")),
    metric("price", "ratio", RATIO, **over("booked", "orders")),
    metric("amount", "derived", CARD | {"relation": "order_count * price"},
           expr="coalesce(paid, 0)", metrics=of("paid")),
    metric("amount_per_order", "ratio", RATIO, **over("paid", "orders")),
    metric("profit", "derived", CARD, expr="paid - 2 * cost", metrics=of("paid", "cost")),
    metric("profit_rate", "derived", RATIO | {"unit": "%"}, expr="(paid - cost) / nullif(paid, 0)",
           metrics=of("paid", "cost")),
    metric("buyer_count", "derived", RATIO, expr="buyers", metrics=of("buyers")),
]  # fmt: skip


def values(lines):
    """Every metric of some lines; None where there are none."""
    if not lines:
        return {}
    paid, cost = (sum(line[name] for line in lines) for name in ("paid", "cost"))
    orders = sum(line["orders"] for line in lines)
    return {
        "paid": paid, "cost": cost, "orders": orders, "order_count": orders, "amount": paid,
        "booked": paid, "price": float(paid / orders) if orders else None,
        "amount_per_order": float(paid / orders) if orders else None, "profit": paid - 2 * cost,
        "profit_rate": float((paid - cost) / paid) if paid else None,
        "buyer_count": len({line["channel"] for line in lines}),
    }  # fmt: skip


SIDES = {
    "amount_per_order": lambda v: (v["paid"], v["orders"]),
    "profit_rate": lambda v: (v["paid"] - v["cost"], v["paid"]),
}


class Shop:
    """The definitions, and how far the lines reach."""

    def __init__(self, through):
        self.metric_graph = MetricGraph({"metrics": METRICS})
        self.project = SimpleNamespace(file_of=lambda name: f"{name}.yml")
        self.through = through
        self.begins = dt.date.min
        self.reaches = SimpleNamespace(begins_within=lambda _, first: self.begins > first)

    def kpis(self):
        return [cards.read(m, lambda: "m.yml") for m in METRICS if cards.carried_by(m)]

    def card(self, name):
        return next(card for card in self.kpis() if card.name == name)

    def metric(self, name):
        return self.metric_graph.metrics[name]

    def complete_through(self, _):
        return self.through

    def versioned(self):
        return {card.name for card in self.kpis()}


def line(day, channel, orders, paid, cost=0):
    """Orders of a channel on a day: how many, what was paid, and what they cost."""
    day = dt.date.fromisoformat(day) if isinstance(day, str) else day
    return {"day": day, "channel": channel, "orders": orders,
            "paid": Decimal(str(paid)), "cost": Decimal(str(cost))}  # fmt: skip


def source(lines, through=None, breaks=(), hidden=()):
    """A source of the numbers of some lines.

    Args:
        lines: what was ordered.
        through: the last day that is whole; by default that of the last line.
        breaks: that answers carry.
        hidden: channels whose values are hidden.
    """

    def cells(query):
        columns = {}
        for entry in lines:
            if query.start.date() <= entry["day"] <= query.end.date():
                key = tuple(_cell(entry, column) for column in query.columns)
                columns.setdefault(key, []).append(entry)
        return columns if query.columns else columns or {(): []}

    def answer(query):
        rows = []
        for key, entries in cells(query).items():
            found = values([] if set(hidden) & set(key) else entries)
            metrics = {name: found.get(name) for name in query.metrics}
            rows.append(dict(zip(query.columns, key, strict=True)) | metrics)
        return Rows(pa.Table.from_pylist(rows), tuple(breaks))

    def sides(query):
        (kpi,), rows = query.metrics, []
        for key, entries in cells(query).items():
            found = values(entries)
            above, below = SIDES[kpi](found) if found else (None, None)
            columns = dict(zip(query.columns, key, strict=True))
            rows.append(columns | {kpi: found.get(kpi), "numerator": above, "denominator": below})
        return pa.Table.from_pylist(rows)

    shop = Shop(through or max(entry["day"] for entry in lines))
    return Source(shop, answer, tuple(shop.kpis()), sides)


def _cell(entry, column):
    name, _, grain = column.rpartition("__")
    return periods.start_of(entry["day"], grain) if name == "metric_time" else entry["channel"]

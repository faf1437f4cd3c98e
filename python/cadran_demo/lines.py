"""Products, order lines and the amounts of orders; cancellations and refunds as later lines."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cadran_demo.arrow import (
    DUPLICATE_ORDER,
    UNKNOWN_PRODUCT,
    faulty_rows,
    ids,
    integers,
    money,
    times,
    words,
    write,
)
from cadran_demo.world import (
    API_CREDITS,
    BUSINESS,
    CATEGORIES,
    CHANNELS,
    COUNTRIES,
    DAY,
    DEVELOPER,
    HOUR,
    MINUTE,
    Flags,
    Floats,
    Ints,
    Plan,
    promotion_factor,
)

if TYPE_CHECKING:
    from pathlib import Path

    from cadran_demo.shop import Shop

PRODUCTS = 400
FEWEST_PRODUCTS = 40
LINES = (0.30, 0.26, 0.19, 0.12, 0.07, 0.04, 0.02)  # share of orders of 1, 2, ... lines
CANCELLED = 0.042
CONCESSION = 0.22  # of the refunds, those that give money back and take no goods
VOLUME_DISCOUNT = 0.04  # of businesses
_UNKNOWN = 99_999
SALE, CANCELLATION, REFUND = range(3)
LINE_TYPES = ("sale", "cancellation", "refund")


@dataclass(slots=True)
class Catalogue:
    """Products: category, cost and price in cents, how much each is bought."""

    category: Ints
    cost: Ints
    price: Ints
    appeal: Floats


@dataclass(slots=True)
class _Lines:
    order: Ints
    product: Ints
    kind: Ints
    quantity: Ints
    price: Ints
    amount: Ints
    booked: Ints


def draw_catalogue(plan: Plan) -> Catalogue:
    """The products: prices end as shop prices do, margins vary around their category's."""
    rng = plan.stream("products")
    count = max(FEWEST_PRODUCTS, plan.volume(PRODUCTS)) if plan.scale < 1 else PRODUCTS
    shares = np.array([c.share for c in CATEGORIES])
    # Every category is on the shelf, however small the demo.
    drawn = rng.choice(len(CATEGORIES), count - len(CATEGORIES), p=shares / shares.sum())
    category = np.r_[np.arange(len(CATEGORIES)), drawn].astype(np.int64)
    raw = np.array([c.price for c in CATEGORIES])[category] * rng.lognormal(0.0, 0.62, count)
    ending = rng.choice([99, 90, 50, 0], count, p=[0.55, 0.25, 0.12, 0.08])
    price = (np.maximum(np.floor(raw), 3) * 100).astype(np.int64) - 100 + ending
    margin = np.array([c.margin for c in CATEGORIES])[category] + rng.normal(0, 0.035, count)
    cost = np.maximum(np.rint(price * (1 - np.clip(margin, 0.05, 0.92))), 1).astype(np.int64)
    # A few products sell most; within a shelf the cheap ones sell more.
    rank = rng.permutation(count) + 6.0
    return Catalogue(category, cost, price, rank**-0.75 * (price / 3_000) ** -0.25)


def _sales(plan: Plan, shop: Shop, catalogue: Catalogue) -> _Lines:
    """The sale lines: one per order and product."""
    rng, orders = plan.stream("order_lines"), shop.orders
    per_order = 1 + rng.choice(len(LINES), len(orders), p=LINES)
    order = np.repeat(np.arange(len(orders)), per_order)
    segment = shop.book.segment[orders.customer][order]
    month = (orders.ordered[order].astype("datetime64[us]").astype("datetime64[M]")).astype(
        int
    ) % 12
    luck = rng.random(len(order))
    product = np.empty(len(order), dtype=np.int64)
    peak = np.array([c.peak_month - 1 for c in CATEGORIES])[catalogue.category]
    height = np.array([c.peak for c in CATEGORIES])[catalogue.category]
    for calendar_month in range(12):
        distance = np.minimum((calendar_month - peak) % 12, (peak - calendar_month) % 12)
        weight = catalogue.appeal * (1 + (height - 1) * np.exp(-((distance / 1.3) ** 2)))
        for developer in (False, True):
            of_api = np.where(catalogue.category == API_CREDITS, 9.0 if developer else 0.25, 1.0)
            bounds = np.cumsum(weight * of_api)
            here = np.flatnonzero((month == calendar_month) & ((segment == DEVELOPER) == developer))
            product[here] = np.searchsorted(bounds, luck[here] * bounds[-1], side="right")
    product = np.minimum(product, len(catalogue.price) - 1)
    _, first_lines = np.unique(order * (len(catalogue.price) + 1) + product, return_index=True)
    order, product, segment = order[first_lines], product[first_lines], segment[first_lines]

    quantity = 1 + rng.choice(4, len(order), p=[0.80, 0.15, 0.035, 0.015])
    quantity = quantity + np.where(segment == BUSINESS, rng.poisson(1.6, len(order)), 0)
    day = plan.day_of(orders.ordered[order])
    share = promotion_factor(plan, "discount")[day]
    share = share * np.where(segment == BUSINESS, 1 - VOLUME_DISCOUNT, 1.0)
    price = np.maximum(np.rint(catalogue.price[product] * share), 1).astype(np.int64)
    kind = np.full(len(order), SALE)
    return _Lines(order, product, kind, quantity, price, quantity * price, orders.ordered[order])


def _cancellations(plan: Plan, shop: Shop, sales: _Lines) -> _Lines:
    """Lines that take back every line of the cancelled orders; marks these orders."""
    rng, orders = plan.stream("cancellations"), shop.orders
    when = orders.ordered + (rng.gamma(1.3, 9.0, len(orders)) * HOUR).astype(np.int64) + 3 * MINUTE
    cancelled = (rng.random(len(orders)) < CANCELLED) & (when <= plan.last_instant)
    at = np.flatnonzero(cancelled[sales.order])
    order = sales.order[at]
    lines = _Lines(
        order,
        sales.product[at],
        np.full(len(at), CANCELLATION),
        -sales.quantity[at],
        sales.price[at],
        -sales.amount[at],
        when[order] // 1_000_000 * 1_000_000,
    )
    orders.cancelled = cancelled
    return lines


def _refunds(plan: Plan, shop: Shop, sales: _Lines, catalogue: Catalogue) -> tuple[_Lines, Flags]:
    """One refund at most for an order that stands: goods come back, or a part of the price."""
    rng = plan.stream("refunds")
    count = len(sales.order)
    usual = np.array([c.refunds for c in CATEGORIES])
    chance = usual[catalogue.category[sales.product]]
    delay = (np.clip(rng.gamma(3.0, 4.0, count), 2, 45) * DAY).astype(np.int64)
    when = sales.booked + delay
    is_valid = ~shop.orders.cancelled[sales.order]
    is_requested = (rng.random(count) < chance) & is_valid & (when <= plan.last_instant)
    at = np.flatnonzero(is_requested)
    _, first = np.unique(sales.order[at], return_index=True)
    at = at[first]
    goods = rng.random(len(at)) >= CONCESSION
    back = np.minimum(sales.quantity[at], 1 + rng.poisson(0.4, len(at)))
    part = np.maximum(np.rint(sales.amount[at] * rng.uniform(0.08, 0.30, len(at))), 1)
    lines = _Lines(
        sales.order[at],
        sales.product[at],
        np.full(len(at), REFUND),
        np.where(goods, -back, 0),
        sales.price[at],
        np.where(goods, -back * sales.price[at], -part.astype(np.int64)),
        when[at] // 1_000_000 * 1_000_000,
    )
    touched = np.zeros(len(shop.orders), dtype=bool)
    touched[sales.order[at]] = True
    return lines, touched


def draw_lines(plan: Plan, shop: Shop, folder: Path) -> dict[str, int]:
    """Draw and write products, order lines and orders; return the faults put in."""
    catalogue = draw_catalogue(plan)
    sales = _sales(plan, shop, catalogue)
    cancellations = _cancellations(plan, shop, sales)
    refunds, refunded = _refunds(plan, shop, sales, catalogue)
    shop.orders.cents = np.bincount(sales.order, sales.amount, len(shop.orders)).astype(np.int64)

    write(
        folder / "products.parquet",
        {
            "product_id": ids("p", np.arange(len(catalogue.price)) + 1, digits=5),
            "product_name": [
                f"{CATEGORIES[c].name.replace('_', ' ').capitalize()} {n + 1:03d}"
                for n, c in enumerate(catalogue.category)
            ],
            "category": words(catalogue.category, [c.name for c in CATEGORIES]),
            "unit_cost": money(catalogue.cost, precision=12),
            "list_price": money(catalogue.price, precision=12),
        },
    )

    # The lost product is on an order that nothing else happened to.
    quiet = ~(shop.orders.cancelled | refunded)
    lost = faulty_rows(plan, UNKNOWN_PRODUCT, quiet[sales.order])
    product_number = sales.product + 1
    product_number[lost] = _UNKNOWN
    quiet[sales.order[lost]] = False
    twice = faulty_rows(plan, DUPLICATE_ORDER, quiet)

    parts = (sales, cancellations, refunds)
    booked = np.concatenate([p.booked for p in parts])
    by_time = np.argsort(booked, kind="stable")
    product_ids = (product_number, cancellations.product + 1, refunds.product + 1)
    write(
        folder / "order_lines.parquet",
        {
            "order_line_id": ids("l", np.arange(len(booked)) + 1, digits=8),
            "order_id": ids("o", np.concatenate([p.order for p in parts])[by_time] + 1, digits=8),
            "product_id": ids("p", np.concatenate(product_ids)[by_time], digits=5),
            "line_type": words(np.concatenate([p.kind for p in parts])[by_time], LINE_TYPES),
            "quantity": integers(np.concatenate([p.quantity for p in parts])[by_time]),
            "unit_price": money(np.concatenate([p.price for p in parts])[by_time], precision=12),
            "amount": money(np.concatenate([p.amount for p in parts])[by_time], precision=14),
            "booked_at": times(booked[by_time]),
        },
        unique=["order_line_id", "order_id", "amount", "booked_at"],
    )
    _write_orders(shop, twice, folder)
    return {UNKNOWN_PRODUCT: len(lost), DUPLICATE_ORDER: len(twice)}


def _write_orders(shop: Shop, twice: Ints, folder: Path) -> None:
    orders = shop.orders
    row = np.sort(np.r_[np.arange(len(orders)), twice])
    write(
        folder / "orders.parquet",
        {
            "order_id": ids("o", row + 1, digits=8),
            "customer_id": ids("c", orders.customer[row] + 1, digits=7),
            "session_id": ids(
                "s", orders.session[row] + 1, digits=8, missing=orders.session[row] < 0
            ),
            "channel": words(orders.channel[row], [c.name for c in CHANNELS]),
            "country": words(orders.country[row], [c.code for c in COUNTRIES]),
            "currency": words(np.zeros(len(row), dtype=np.int64), ["EUR"]),
            "status": words(orders.cancelled[row].astype(np.int64), ["completed", "cancelled"]),
            "ordered_at": times(orders.ordered[row]),
            "amount": money(orders.cents[row], precision=14),
        },
        unique=["order_id", "customer_id", "session_id", "ordered_at", "amount"],
    )


def mean_amount(shop: Shop, around: int) -> float:
    """Mean amount in EUR of the orders of the fortnight around an instant."""
    first, last = np.searchsorted(shop.orders.ordered, [around - 7 * DAY, around + 7 * DAY])
    near = shop.orders.cents[first:last]
    return float(near.mean()) / 100 if len(near) else 0.0

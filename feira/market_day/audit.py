"""The evening's check: what the clients hold against what the server says, and the server against itself."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import Any

from feira.client.api import ApiClient
from feira.market_day.people import Buyer, Seller
from feira.market_day.record import Record

_PAID_FOR = {"paid", "accepted", "shipped", "delivered", "disputed", "completed"}


@dataclass
class Audit:
    """What was found. Good when `problems` is empty."""

    problems: list[str] = field(default_factory=list[str])
    orders: Counter[str] = field(default_factory=Counter[str])
    delivered: int = 0
    money: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    """By currency: in, held, due, commission, refunded, in minor units."""


async def audit(
    record: Record, admin: ApiClient, sellers: list[Seller], buyers: list[Buyer]
) -> Audit:
    """Check every promise of the day."""
    found = Audit(problems=list(record.problems))
    by_user: dict[str, Buyer | Seller] = {person.user: person for person in (*sellers, *buyers)}
    await _check_messages(record, by_user, found)
    orders = await _check_orders(record, buyers, found)
    await _check_stock(record, sellers, orders, found)
    await _check_money(admin, sellers, orders, found)
    return found


async def _check_messages(record: Record, people: dict[str, Buyer | Seller], found: Audit) -> None:
    """Every acknowledged message reached every member once and in order, and history agrees."""
    acknowledged: dict[str, dict[int, str]] = defaultdict(dict)
    for message in record.acknowledged:
        if message.seq in acknowledged[message.conversation]:
            found.problems.append(
                f"seq {message.seq} of {message.conversation} was given out twice"
            )
        acknowledged[message.conversation][message.seq] = message.client_id
    for conversation, members in record.members.items():
        topic = f"conversation:{conversation}"
        history = await _history(people[next(iter(members))].api, conversation)
        if [entry["seq"] for entry in history] != list(range(1, len(history) + 1)):
            found.problems.append(f"history of {conversation} has holes")
        stored = {entry["seq"]: entry["body"]["client_id"] for entry in history}
        if len(set(stored.values())) != len(stored):
            found.problems.append(f"a message stands twice in {conversation}")
        for seq, client_id in acknowledged[conversation].items():
            if stored.get(seq) != client_id:
                found.problems.append(
                    f"acknowledged message {client_id} is not at {seq} of {conversation}"
                )
        for member in members:
            log = record.logs[member, topic]
            received = [(event.seq, event.body["client_id"]) for event in log.events]
            found.delivered += len(received)
            if log.gaps or received != sorted(stored.items()):
                found.problems.append(
                    f"{member} got {len(received)} of {len(stored)} messages of {conversation}: {log.seqs[:10]}"
                )


async def _history(api: ApiClient, conversation: str) -> list[dict[str, Any]]:
    entries: list[dict[str, Any]] = []
    before: int | None = None
    while True:
        page = await api.get(f"/v1/conversations/{conversation}/messages", limit=100, before=before)
        entries = page["items"] + entries
        before = page["next_before"]
        if before is None:
            return entries


async def _check_orders(record: Record, buyers: list[Buyer], found: Audit) -> list[dict[str, Any]]:
    """Every order's events are gapless at the buyer and in the timeline, and its copy agrees with the last one."""
    orders: list[dict[str, Any]] = []
    for buyer in buyers:
        for order_id in buyer.settled:
            order = await buyer.api.get(f"/v1/orders/{order_id}")
            orders.append(order)
            found.orders[order["status"]] += 1
            timeline = (await buyer.api.get(f"/v1/orders/{order_id}/timeline", limit=100))["items"]
            log = record.logs[buyer.user, f"order:{order_id}"]
            if log.gaps or log.seqs != list(range(1, len(timeline) + 1)):
                found.problems.append(
                    f"order {order_id}: pushed {log.seqs}, timeline has {len(timeline)}"
                )
            elif log.events[-1].body["status"] != order["status"]:
                found.problems.append(
                    f"order {order_id}: last pushed {log.events[-1].body['status']}, is {order['status']}"
                )
    return orders


async def _check_stock(
    record: Record, sellers: list[Seller], orders: list[dict[str, Any]], found: Audit
) -> None:
    """What is gone from the stalls is what was sold, and nothing is held for nobody."""
    sold: Counter[str] = Counter()
    for order in orders:
        if order["status"] in _PAID_FOR:
            for line in order["lines"]:
                sold[line["variant_id"]] += line["quantity"]
    for seller in sellers:
        for product in await seller.products():
            for variant in product["variants"]:
                expected = record.imported[variant["id"]] - sold[variant["id"]]
                if (variant["on_hand"], variant["reserved"]) != (expected, 0):
                    found.problems.append(
                        f"stock of {variant['sku']}: {variant['on_hand']} on hand and {variant['reserved']} reserved, "
                        f"expected {expected} and 0"
                    )


async def _check_money(
    admin: ApiClient, sellers: list[Seller], orders: list[dict[str, Any]], found: Audit
) -> None:
    """The ledger's invariants hold, and the shops are due what their completed orders say."""
    health = await admin.get("/v1/admin/ledger/health")
    found.problems += [f"ledger: {finding}" for finding in health["findings"]]
    for order in orders:
        money = found.money[order["currency"]]
        if order["status"] in _PAID_FOR or order["payment_status"] in {
            "refunded",
            "partially_refunded",
        }:
            money["in"] += order["total_minor"]
        if order["payment_status"] == "refunded":
            money["refunded"] += order["total_minor"]
        if order["status"] == "completed":
            money["completed"] += order["total_minor"]
    held: Counter[str] = Counter()
    for seller in sellers:
        for balance in (await seller.api.get(f"/v1/shops/{seller.shop}/balance"))["balances"]:
            held[balance["currency"]] += balance["held_minor"]
            due = balance["pending_minor"] + balance["available_minor"]
            found.money[balance["currency"]]["due"] += due
        for order in await _sales(seller):
            if order["status"] == "completed":
                found.money[order["currency"]]["commission"] += order["commission_minor"]
    for currency, money in found.money.items():
        money["held"] = held[currency]
        if money["due"] + money["commission"] != money["completed"]:
            found.problems.append(
                f"{currency}: due {money['due']} and commission {money['commission']} are not {money['completed']}"
            )
        if money["in"] - money["refunded"] - money["completed"] != held[currency]:
            found.problems.append(
                f"{currency}: held {held[currency]} does not match what came in: {dict(money)}"
            )


async def _sales(seller: Seller) -> list[dict[str, Any]]:
    sales: list[dict[str, Any]] = []
    cursor: str | None = None
    while True:
        page = await seller.api.get(
            f"/v1/shops/{seller.shop}/orders", limit=100, cursor=cursor, status="completed"
        )
        sales += [await seller.api.get(f"/v1/orders/{summary['id']}") for summary in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            return sales

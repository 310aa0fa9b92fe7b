"""Stock: on hand, reserved, and what orders hold of it.

    held --sell--> sold --restock--> restocked
    held --release--> released

Whoever changes a stock row, or the state of a reservation of it, holds that row's lock first; several are
locked in the order of their ids. So two baskets of the same SKUs never wait in a ring, and a payment, a
cancellation and an expiry of the same order meet at the same lock, where the first one wins.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final, Literal

import msgspec

from feira.platform.domain.errors import Rejected
from feira.platform.domain.ids import OrderId, ProductId, UserId, VariantId
from feira.platform.domain.product_events import StockChanged
from feira.platform.domain.topics import product_topic
from feira.services.products.listings import request_sync
from feira.sql.database import Tx
from feira.sql.loader import fetch_all, load_queries

SQL = load_queries("stock")

Cause = Literal["adjusted", "imported", "sold", "restocked", "returned"]

# The orders' own expiry comes first, with all that goes with it. This is for holds that nobody else ends.
EXPIRY_GRACE: Final = timedelta(minutes=5)


class Hold(msgspec.Struct, frozen=True, kw_only=True):
    """What an order wants to keep of a variant."""

    order_id: OrderId
    variant_id: VariantId
    quantity: int


class StockLevel(msgspec.Struct, frozen=True, kw_only=True):
    """A stock row that this transaction holds."""

    variant_id: VariantId
    product_id: ProductId
    active: bool
    on_hand: int
    reserved: int

    @property
    def available(self) -> int:
        return self.on_hand - self.reserved


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """What to add to a stock row."""

    on_hand: int = 0
    reserved: int = 0


class _Reservation(msgspec.Struct, frozen=True, kw_only=True):
    order_id: OrderId
    variant_id: VariantId
    quantity: int
    state: Literal["held", "sold", "released", "restocked"]


async def reserve(tx: Tx, holds: Sequence[Hold], expires_at: datetime) -> None:
    """Hold stock for new orders until `expires_at`: all of it, or nothing.

    Raises:
        Rejected: `stock.insufficient`; `details.variants` lists `variant_id`, `wanted` and `available`.
    """
    demand: Counter[VariantId] = Counter()
    for hold in holds:
        assert hold.quantity > 0, "a hold holds something"
        demand[hold.variant_id] += hold.quantity
    rows = await fetch_all(
        tx.con,
        SQL["hold_stock"],
        StockLevel,
        [hold.order_id for hold in holds],
        [hold.variant_id for hold in holds],
        [hold.quantity for hold in holds],
        expires_at,
    )
    levels = {level.variant_id: level for level in rows}
    # The statement held nothing if this raises.
    _require_available(demand, levels)
    await _tell_of(
        tx, levels, {variant: Change(reserved=count) for variant, count in demand.items()}
    )


async def sell(tx: Tx, order_ids: Sequence[OrderId]) -> None:
    """Take what paid orders hold out of stock. Doing it again changes nothing.

    A hold that was let go meanwhile is taken again where there is still enough.

    Raises:
        Rejected: `stock.hold_lost`: there is not enough any more; nothing was changed, give the money back.
    """
    levels = await _lock_reserved(tx, order_ids, ["held", "released"])
    rows = await fetch_all(
        tx.con, SQL["read_reservations"], _Reservation, list(order_ids), list(levels)
    )
    kept = _sum(row for row in rows if row.state == "held")
    late = _sum(row for row in rows if row.state == "released")
    if any(levels[variant].available < count for variant, count in late.items()):
        raise Rejected(
            "stock.hold_lost",
            "The hold on this order's goods ended and somebody else bought them.",
        )
    sold = [
        *await _move_reservations(tx, order_ids, levels, "held", "sold"),
        *await _move_reservations(tx, order_ids, levels, "released", "sold"),
    ]
    await _write_movements(tx, sold, "sold", sign=-1)
    changes = {
        variant: Change(on_hand=-count, reserved=-kept[variant])
        for variant, count in (kept + late).items()
    }
    await move_stock(tx, levels, changes)


async def release(tx: Tx, order_ids: Sequence[OrderId]) -> None:
    """Let go of what unpaid orders hold. What is no longer held stays as it is."""
    levels = await _lock_reserved(tx, order_ids, ["held"])
    freed = await _move_reservations(tx, order_ids, levels, "held", "released")
    await move_stock(
        tx, levels, {variant: Change(reserved=-count) for variant, count in _sum(freed).items()}
    )


async def restock(tx: Tx, order_ids: Sequence[OrderId]) -> None:
    """Put what cancelled orders had bought back on the shelf. Doing it again changes nothing."""
    levels = await _lock_reserved(tx, order_ids, ["sold"])
    returned = await _move_reservations(tx, order_ids, levels, "sold", "restocked")
    await _write_movements(tx, returned, "restocked", sign=1)
    await move_stock(
        tx, levels, {variant: Change(on_hand=count) for variant, count in _sum(returned).items()}
    )


async def restock_units(tx: Tx, units: Sequence[Hold]) -> None:
    """Put some of what orders had bought back on the shelf. The caller sees to it that none comes back twice."""
    variants = {unit.variant_id for unit in units}
    levels = await lock_stock(tx, sorted(variants))
    returned = await fetch_all(
        tx.con,
        SQL["return_units"],
        _Reservation,
        [unit.order_id for unit in units],
        [unit.variant_id for unit in units],
        [unit.quantity for unit in units],
    )
    assert len(returned) == len(units), "nothing comes back that was not sold"
    await _write_movements(tx, returned, "restocked", sign=1)
    await move_stock(
        tx, levels, {variant: Change(on_hand=count) for variant, count in _sum(returned).items()}
    )


async def take_back(tx: Tx, order_id: OrderId, quantities: Mapping[VariantId, int]) -> None:
    """Put goods that came back from an order on the shelf. The caller sees to it that this happens once."""
    levels = await lock_stock(tx, quantities)
    await tx.con.execute(
        SQL["insert_movements"],
        list(quantities),
        list(quantities.values()),
        "returned",
        [order_id] * len(quantities),
        None,
    )
    await move_stock(
        tx, levels, {variant: Change(on_hand=count) for variant, count in quantities.items()}
    )


async def release_expired(tx: Tx, *, skus_max: int) -> int:
    """Let go of long expired holds of up to `skus_max` SKUs, passing by those that somebody has locked.

    Returns:
        How many SKUs were looked at; fewer than `skus_max` means that nothing is left to do for now.
    """
    before = tx.now - EXPIRY_GRACE
    rows = await fetch_all(tx.con, SQL["skip_lock_expired"], StockLevel, before, skus_max)
    levels = {level.variant_id: level for level in rows}
    freed = await fetch_all(tx.con, SQL["release_expired"], _Reservation, list(levels), before)
    await move_stock(
        tx, levels, {variant: Change(reserved=-count) for variant, count in _sum(freed).items()}
    )
    return len(levels)


async def lock_stock(tx: Tx, variant_ids: Iterable[VariantId]) -> dict[VariantId, StockLevel]:
    """Lock stock rows in the order of their ids, and return them as they are now."""
    rows = await fetch_all(tx.con, SQL["lock_stock"], StockLevel, list(variant_ids))
    return {level.variant_id: level for level in rows}


async def move_stock(
    tx: Tx,
    levels: Mapping[VariantId, StockLevel],
    changes: Mapping[VariantId, Change],
    *,
    also_sync: Iterable[ProductId] = (),
) -> None:
    """Change locked stock and tell product pages and search what became of it.

    `also_sync` names products that search has to look at for other reasons: see `request_sync`.
    """
    if changes:
        moved = await tx.con.fetch(
            SQL["move_stock"],
            list(changes),
            [change.on_hand for change in changes.values()],
            [change.reserved for change in changes.values()],
        )
        assert len(moved) == len(changes), "locked stock that was looked at does not run out"
    await _tell_of(tx, levels, changes, also_sync=also_sync)


async def write_movements(
    tx: Tx, quantities: Mapping[VariantId, int], cause: Cause, actor: UserId
) -> None:
    """Write down changes that somebody made by hand; none of them zero."""
    await tx.con.execute(
        SQL["insert_movements"],
        list(quantities),
        list(quantities.values()),
        cause,
        [None] * len(quantities),
        actor,
    )


async def _tell_of(
    tx: Tx,
    levels: Mapping[VariantId, StockLevel],
    changes: Mapping[VariantId, Change],
    *,
    also_sync: Iterable[ProductId] = (),
) -> None:
    flipped: set[ProductId] = set(also_sync)
    for variant, change in changes.items():
        level = levels[variant]
        available = level.available + change.on_hand - change.reserved
        if available == level.available:
            continue
        tx.emit(product_topic(level.product_id), StockChanged(variant=variant, available=available))
        # Per variant, not per product: two last variants sold at once by two buyers each see the other's.
        if (available > 0) != (level.available > 0):
            flipped.add(level.product_id)
    await request_sync(tx, flipped)


def _require_available(
    demand: Mapping[VariantId, int], levels: Mapping[VariantId, StockLevel]
) -> None:
    available = {v: levels[v].available if v in levels else 0 for v in demand}
    short = [
        {"variant_id": str(variant), "wanted": count, "available": available[variant]}
        for variant, count in demand.items()
        if available[variant] < count
    ]
    if short:
        raise Rejected(
            "stock.insufficient",
            "Somebody was faster: there is not enough left of some of this. Change the quantities.",
            details={"variants": short},
        )


async def _lock_reserved(
    tx: Tx, order_ids: Sequence[OrderId], states: list[str]
) -> dict[VariantId, StockLevel]:
    records = await tx.con.fetch(SQL["list_reserved_variants"], list(order_ids), states)
    return await lock_stock(tx, [record["variant_id"] for record in records]) if records else {}


async def _move_reservations(
    tx: Tx,
    order_ids: Sequence[OrderId],
    levels: Mapping[VariantId, StockLevel],
    before: str,
    after: str,
) -> list[_Reservation]:
    if not levels:
        return []
    return await fetch_all(
        tx.con,
        SQL["move_reservations"],
        _Reservation,
        list(order_ids),
        list(levels),
        before,
        after,
    )


def _sum(reservations: Iterable[_Reservation]) -> Counter[VariantId]:
    totals: Counter[VariantId] = Counter()
    for reservation in reservations:
        totals[reservation.variant_id] += reservation.quantity
    return totals


async def _write_movements(
    tx: Tx, reservations: Sequence[_Reservation], cause: Cause, *, sign: int
) -> None:
    if reservations:
        await tx.con.execute(
            SQL["insert_movements"],
            [reservation.variant_id for reservation in reservations],
            [sign * reservation.quantity for reservation in reservations],
            cause,
            [reservation.order_id for reservation in reservations],
            None,
        )

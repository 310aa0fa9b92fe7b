"""The sandbox company's books, in its own schema: what every other part of them stands on.

Every function takes a connection in a transaction. News of a change is written with it, as an event and its
deliveries, so that none is lost; so is each movement of a balance.
"""

from __future__ import annotations

import hashlib
import secrets
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final, TypeAlias, TypeVar

import msgspec

from feira.platform.gateways.payments.sandbox.wire import MovementType, WebhookEvent

if TYPE_CHECKING:
    import asyncpg
    from asyncpg.pool import PoolConnectionProxy

    Connection: TypeAlias = asyncpg.Connection[asyncpg.Record] | PoolConnectionProxy[asyncpg.Record]

T = TypeVar("T")

# The market's own balance: the company's customer. Shops' accounts have theirs.
MARKET: Final = ""
LATE_WEBHOOK_S: Final = 2.0
_DRAWS: Final = 2**64

_ADD: Final = """
    INSERT INTO sandbox.balances AS b (account, currency, balance_minor) VALUES ($1, $2, $3)
    ON CONFLICT (account, currency) DO UPDATE SET balance_minor = b.balance_minor + excluded.balance_minor
"""
_TAKE_WHAT_IS_THERE: Final = """
    UPDATE sandbox.balances SET balance_minor = balance_minor + $3
    WHERE account = $1 AND currency = $2 AND balance_minor + $3 >= 0 RETURNING true
"""
_RECORD: Final = """
    INSERT INTO sandbox.balance_transactions (id, account, type, amount_minor, fee_minor, currency, source)
    VALUES ($1, $2, $3, $4, $5, $6, $7)
"""


class ApiError(Exception):
    """Answered to the caller as `{"error": {"code", "message"}}`."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message


async def move(
    con: Connection,
    kind: MovementType,
    *,
    account: str,
    currency: str,
    amount_minor: int,
    source: str,
    fee_minor: int = 0,
    overdraw: bool = False,
) -> None:
    """Move `amount_minor` - `fee_minor` into a balance, or out of it if that is negative.

    The market's balance is moved before a shop's, so that two movements never wait for each other.

    Raises:
        ApiError: `balance_insufficient`, unless it may be overdrawn.
    """
    net_minor = amount_minor - fee_minor
    if net_minor >= 0 or overdraw:
        await con.execute(_ADD, account, currency, net_minor)
    elif not await con.fetchval(_TAKE_WHAT_IS_THERE, account, currency, net_minor):
        raise ApiError(422, "balance_insufficient", "There is less than that in the balance.")
    await con.execute(
        _RECORD, new_id("txn"), account, kind, amount_minor, fee_minor, currency, source
    )


async def tell(
    con: Connection,
    kind: str,
    subject: str,
    *,
    account: str = "",
    delay_s: float = 0,
    duplicates: int = 0,
) -> None:
    """Write down an event, and a delivery for each time it is to be sent."""
    event = WebhookEvent(
        id=new_id("evt"), type=kind, created=int(time.time()), object=subject, account=account
    )
    row = await con.fetchrow(
        "INSERT INTO sandbox.events (id, type, account, body) VALUES ($1, $2, $3, $4)"
        " RETURNING seq, (SELECT seed FROM sandbox.chaos) AS seed,"
        " (SELECT webhooks::text FROM sandbox.chaos) AS rates",
        event.id,
        kind,
        account,
        msgspec.json.encode(event).decode(),
    )
    assert row is not None, "an insert gives its row"
    delays_s = [float(delay_s)] * (1 + duplicates)
    if row["seed"] is not None:
        rates = msgspec.json.decode(row["rates"], type=dict[str, float])
        delays_s = _misdelivered(delays_s, row["seed"], row["seq"], rates)
    if delays_s:
        await con.execute(
            "INSERT INTO sandbox.deliveries (event_id, due_at)"
            " SELECT $1, now() + make_interval(secs => d) FROM unnest($2::float8[]) AS d",
            event.id,
            delays_s,
        )


def draw(seed: str, what: str, rates: Mapping[str, float]) -> str | None:
    """Pick a kind by its rate, or none; the same seed and thing always give the same."""
    point = chance(seed, what)
    for kind, rate in sorted(rates.items()):
        if point < rate:
            return kind
        point -= rate
    return None


def chance(seed: str, what: str) -> float:
    """A number in [0, 1) that is the same for the same seed and thing."""
    digest = hashlib.sha256(f"{seed}\n{what}".encode()).digest()
    return int.from_bytes(digest[:8], "big") / _DRAWS


def found(row: asyncpg.Record | None, kind: type[T]) -> T:
    if row is None:
        raise ApiError(404, "not_found", "There is no such object.")
    return msgspec.convert(dict(row), kind)


def new_id(prefix: str) -> str:
    # Knowing a payment's id is all it takes to see its page.
    return f"{prefix}_{secrets.token_urlsafe(18)}"


def _misdelivered(
    delays_s: list[float], seed: str, seq: int, rates: Mapping[str, float]
) -> list[float]:
    match draw(seed, f"webhook:{seq}", rates):
        case "lost":
            return []
        case "doubled":
            return [*delays_s, delays_s[0] + chance(seed, f"double:{seq}")]
        case "late":
            return [delay_s + LATE_WEBHOOK_S for delay_s in delays_s]
        case "shuffled":
            return [delay_s + chance(seed, f"shuffle:{seq}") for delay_s in delays_s]
        case _:
            return delays_s

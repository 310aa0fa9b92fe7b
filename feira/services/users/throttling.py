"""Login throttling: a few free tries for each e-mail address and network address, then growing pauses.

A try is charged, in a transaction of its own, before the password is looked at, and taken back once the
password was right. So a hundred guesses at once are a hundred charges, queued on one row, and all but the
free ones are refused without a hash. An attacker can keep a known address paused this way; its owner's
open sessions stay, and a password reset lifts the pause.
"""

from __future__ import annotations

import ipaddress
from datetime import datetime, timedelta
from typing import Final

import msgspec

from feira.platform.domain.errors import TooMany
from feira.sql.database import Tx
from feira.sql.loader import load_queries

SQL = load_queries("users")


class Limit(msgspec.Struct, frozen=True, kw_only=True):
    """How many tries are free in a window, and how long the pauses after them are, in seconds."""

    free: int
    block_s: float = 30
    block_s_max: float = 900
    window_s: float = 3600


EMAIL_LIMIT: Final = Limit(free=5)
# Whole offices share one address.
ADDRESS_LIMIT: Final = Limit(free=100)
# E-mails that anybody can have sent to an address by naming it.
MAIL_LIMIT: Final = Limit(free=5, block_s=300, block_s_max=3600)
_SWEEP_AFTER: Final = timedelta(days=1)


def email_subject(email: str) -> str:
    return f"email:{email}"


def mail_subject(email: str) -> str:
    return f"mail:{email}"


def address_subject(address: str) -> str:
    """One IPv4 address, or the /64 that an IPv6 customer has to themselves."""
    parsed = ipaddress.ip_address(address)
    if parsed.version == 4:  # noqa: PLR2004 - the protocol's name
        return f"address:{parsed}"
    mapped = parsed.ipv4_mapped
    return f"address:{mapped or ipaddress.ip_network((parsed, 64), strict=False)}"


def pause_s(limit: Limit, tries: int) -> float:
    """Seconds of pause after this try: none while tries are free, then doubling up to the longest."""
    if tries < limit.free:
        return 0.0
    # Beyond 2^20 every pause is the longest; the exponent stays small whatever was counted.
    return min(limit.block_s * 2.0 ** min(tries - limit.free, 20), limit.block_s_max)


async def charge(tx: Tx, charges: list[tuple[str, Limit]]) -> None:
    """Count one try against every subject, or against none of them.

    Raises:
        TooMany: `auth.throttled`, with `retry_after_s`.
    """
    # In one order everywhere, so that two tries don't wait for each other.
    for subject, limit in sorted(charges, key=lambda pair: pair[0]):
        window_start = tx.now - timedelta(seconds=limit.window_s)
        tries: int | None = await tx.con.fetchval(
            SQL["charge_throttle"], subject, tx.now, window_start
        )
        if tries is None:
            until: datetime | None = await tx.con.fetchval(SQL["read_throttle"], subject)
            raise _too_many(until, tx.now)
        seconds = pause_s(limit, tries)
        if seconds:
            until = tx.now + timedelta(seconds=seconds)
            await tx.con.execute(SQL["block_throttle"], subject, until)
    await tx.con.execute(SQL["sweep_throttles"], tx.now - _SWEEP_AFTER)


async def forgive(tx: Tx, *, email: str, address: str | None) -> None:
    """The password was right: forget the e-mail's tries, and take back the one of the network address.

    Only that one: otherwise an attacker with an account of their own would reset the count at will.
    """
    if address is not None:
        subject = address_subject(address)
        await tx.con.execute(SQL["uncharge_throttle"], subject, ADDRESS_LIMIT.free)
    await tx.con.execute(SQL["forget_throttle"], email_subject(email))


async def lift(tx: Tx, email: str) -> None:
    """The mailbox's owner set a new password: guesses at the old one don't count any more."""
    await tx.con.execute(SQL["forget_throttle"], email_subject(email))


def _too_many(until: datetime | None, now: datetime) -> TooMany:
    # The row may be gone again by now: a right password just lifted the pause.
    left = (until - now).total_seconds() if until is not None else 1.0
    return TooMany(
        "auth.throttled",
        "Too many tries. Wait a moment before the next one, or reset your password.",
        retry_after_s=max(1.0, round(left, 1)),
    )

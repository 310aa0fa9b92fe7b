"""Links that a mailbox proves itself with: 256 random bits, of which only the SHA-256 is stored."""

from __future__ import annotations

import hashlib
import secrets
from datetime import timedelta
from typing import Final, Literal

from feira.platform.domain.errors import Rejected
from feira.platform.domain.ids import UserId
from feira.sql.database import Tx
from feira.sql.loader import load_queries

SQL = load_queries("users")

Purpose = Literal["verify_email", "reset_password"]

LIFETIMES: Final[dict[Purpose, timedelta]] = {
    "verify_email": timedelta(hours=24),
    "reset_password": timedelta(hours=1),
}


def new_secret() -> str:
    """256 bits, as text for a link or a body."""
    return secrets.token_urlsafe(32)


def sha256(secret: str) -> bytes:
    """What is stored of a secret. It is random and long, so that a fast hash without salt is enough."""
    return hashlib.sha256(secret.encode()).digest()


async def mint(tx: Tx, user: UserId, purpose: Purpose) -> str:
    """Make a token for a link; links sent before it stay good until they run out."""
    token = new_secret()
    await tx.con.execute(
        SQL["insert_one_time_token"], sha256(token), user, purpose, tx.now + LIFETIMES[purpose]
    )
    return token


async def use(tx: Tx, token: str, purpose: Purpose) -> UserId:
    """Spend a token, and with it the user's others of the same purpose; return whose it was.

    Raises:
        Rejected: `auth.link_invalid`: unknown, spent, replaced or too old.
    """
    user: UserId | None = await tx.con.fetchval(
        SQL["use_one_time_token"], sha256(token), purpose, tx.now
    )
    if user is None:
        raise Rejected(
            "auth.link_invalid",
            "This link is not good any more; ask for a new one.",
            field="$.token",
        )
    await void(tx, user, purpose)
    return user


async def void(tx: Tx, user: UserId, purpose: Purpose) -> None:
    """Make every open link of this purpose useless."""
    await tx.con.execute(SQL["void_one_time_tokens"], user, purpose, tx.now)

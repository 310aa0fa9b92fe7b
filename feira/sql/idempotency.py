"""`Idempotency-Key`: key, effect and answer commit together, so a repeat gets the first answer."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar
from uuid import UUID

import msgspec

from feira.platform.domain.errors import Rejected
from feira.sql.database import Tx
from feira.sql.loader import load_queries

SQL = load_queries("idempotency")
T = TypeVar("T")


async def once(
    tx: Tx,
    *,
    user: UUID,
    key: str,
    request_sha256: bytes,
    returns: type[T],
    work: Callable[[Tx], Awaitable[T]],
) -> T:
    """Run `work` and keep its answer under the user's key, or return the answer that is kept already.

    A second request with the same key waits here for the first to commit, at most `lock_timeout`.

    Raises:
        Rejected: `idempotency.key_reused`: the key came before with another request.
    """
    claimed = await tx.con.fetchval(SQL["claim_key"], user, key, request_sha256)
    if claimed:
        answer = await work(tx)
        await tx.con.execute(SQL["store_answer"], user, key, msgspec.json.encode(answer))
        return answer
    row = await tx.con.fetchrow(SQL["read_answer"], user, key)
    assert row is not None, "the key that could not be claimed is there"
    if row["request_sha256"] != request_sha256:
        raise Rejected(
            "idempotency.key_reused",
            "This Idempotency-Key was used for a different request; use a new key for a new request.",
            field="Idempotency-Key",
        )
    return msgspec.json.decode(row["answer"], type=returns)

"""Sessions and their refresh tokens.

A session's refresh tokens form a chain: each use spends one and issues the next.

    live --refresh--> spent (its successor is live)
    spent, presented again --> the session is revoked: two people hold the chain, and one of them is a thief
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final, Literal
from uuid import UUID

import msgspec

from feira.platform.domain.audit import THE_MARKET
from feira.platform.domain.errors import Conflict, FeiraError, NotFound, NotSignedIn
from feira.platform.domain.ids import SessionId, UserId
from feira.platform.domain.permissions import Principal
from feira.platform.domain.topics import inbox_topic
from feira.platform.domain.user_events import RevokedReason, SessionRevoked
from feira.services.audit.recording import record
from feira.services.users.one_time_tokens import new_secret, sha256
from feira.sql.database import Database, Tx
from feira.sql.loader import Connection, fetch_all, fetch_one, load_queries

SQL = load_queries("users")

REFRESH_LIFETIME: Final = timedelta(days=30)
# Two tabs of one browser that wake up together send the same token twice. For this long, and only while the
# winner's new token is unused, the second one is taken for that: it gets no token, only "somebody was faster",
# and the session lives. A thief gains nothing by it, and is found out by the next use of the chain.
DOUBLE_SUBMIT: Final = timedelta(seconds=5)

USER_AGENT_CHARS_MAX: Final = 200


class RefreshToken(msgspec.Struct, frozen=True, kw_only=True):
    """A new refresh token, in clear for the only time. `repr` keeps it to itself."""

    user_id: UserId
    session_id: SessionId
    token: str
    expires_at: datetime

    def __repr__(self) -> str:
        return f"RefreshToken(session_id={self.session_id!r})"


class SessionView(msgspec.Struct, frozen=True, kw_only=True):
    """One of the user's live sessions; `current` is the one that asks."""

    id: SessionId
    user_agent: str
    address: str | None
    created_at: datetime
    last_used_at: datetime
    current: bool


class SessionPage(msgspec.Struct, frozen=True, kw_only=True):
    """Newest first."""

    items: list[SessionView]
    next_cursor: str | None


class _SessionRow(msgspec.Struct, frozen=True, kw_only=True):
    id: SessionId
    user_agent: str
    address: str | None
    created_at: datetime
    last_used_at: datetime


class _LockedSession(msgspec.Struct, frozen=True, kw_only=True):
    user_id: UserId
    revoked: bool


class _PresentedToken(msgspec.Struct, frozen=True, kw_only=True):
    expires_at: datetime
    spent_at: datetime | None
    successor_spent: bool
    status: Literal["active", "suspended"]


async def open_session(
    tx: Tx, user: UserId, *, user_agent: str, address: str | None
) -> RefreshToken:
    """Open a session with the first token of its chain."""
    session: SessionId = await tx.con.fetchval(
        SQL["insert_session"], user, user_agent[:USER_AGENT_CHARS_MAX], address
    )
    return await _issue(tx, user, session, new_secret())


async def refresh(database: Database, token: str) -> RefreshToken:
    """Trade a refresh token for the next one.

    Takes the database and not a transaction: that a thief was found out must be committed although the
    answer is an error.

    Raises:
        NotSignedIn: `auth.refresh_invalid` (unknown or too old), `auth.refresh_reused` (spent: the session
            is revoked now), `auth.session_revoked`, `auth.suspended`.
        Conflict: `auth.refresh_raced`: the same token was traded a moment ago.
    """
    outcome = await database.transact(lambda tx: _trade(tx, token))
    if isinstance(outcome, FeiraError):
        raise outcome
    return outcome


async def _trade(tx: Tx, token: str) -> RefreshToken | FeiraError:
    digest = sha256(token)
    session: SessionId | None = await tx.con.fetchval(SQL["find_session_of_token"], digest)
    if session is None:
        return _refresh_invalid()
    locked = await fetch_one(tx.con, SQL["lock_session"], _LockedSession, session)
    assert locked is not None, "a token's session exists"
    # Read after the lock was taken: whoever held it may have spent this very token.
    presented = await fetch_one(tx.con, SQL["read_refresh_token"], _PresentedToken, digest)
    if presented is None:
        # Forgotten since: it was long past its time.
        return _refresh_invalid()
    if locked.revoked:
        return NotSignedIn("auth.session_revoked", "This session was ended; sign in again.")
    if presented.spent_at is not None:
        # now() is the transaction's start, which for the loser of a race lies before `spent_at`.
        if tx.now - presented.spent_at < DOUBLE_SUBMIT and not presented.successor_spent:
            return Conflict(
                "auth.refresh_raced",
                "Another request refreshed this session a moment ago; use its answer.",
                retry_after_s=1,
            )
        await revoke_session(tx, locked.user_id, session, "refresh_reused")
        await record(
            tx,
            THE_MARKET,
            "session.revoked",
            "session",
            session,
            account=locked.user_id,
            reason="refresh_reused",
        )
        return NotSignedIn(
            "auth.refresh_reused",
            "This refresh token was used before, so the session was ended for safety; sign in again.",
        )
    if presented.expires_at <= tx.now:
        return _refresh_invalid()
    if presented.status != "active":
        return NotSignedIn("auth.suspended", "This account is suspended; write to support.")
    successor = new_secret()
    await tx.con.execute(SQL["spend_refresh_token"], digest, sha256(successor), tx.now)
    await tx.con.execute(SQL["touch_session"], session, tx.now)
    return await _issue(tx, locked.user_id, session, successor)


async def revoke_session(tx: Tx, user: UserId, session: SessionId, reason: RevokedReason) -> bool:
    """End one session of a user and tell its sockets; False when it was over or is not theirs."""
    revoked: SessionId | None = await tx.con.fetchval(
        SQL["revoke_session"], session, user, tx.now, reason
    )
    if revoked is None:
        return False
    tx.emit(inbox_topic(user), SessionRevoked(session=session, reason=reason))
    return True


async def revoke_own(tx: Tx, principal: Principal, session: SessionId) -> None:
    """End one of the user's own sessions.

    Raises:
        NotFound: `session.not_found`: over already, or somebody else's.
    """
    if not await revoke_session(tx, principal.user_id, session, "revoked"):
        raise NotFound("session.not_found", "There is no such session; it may be over already.")
    await record(tx, principal, "session.revoked", "session", session, account=principal.user_id)


async def revoke_all(tx: Tx, user: UserId, reason: RevokedReason) -> int:
    """End every session of a user, and say how many there were."""
    ended = await tx.con.fetch(SQL["revoke_sessions"], user, tx.now, reason)
    for row in ended:
        tx.emit(inbox_topic(user), SessionRevoked(session=row["id"], reason=reason))
    return len(ended)


async def sign_out(tx: Tx, token: str) -> None:
    """End the session that a refresh token is of, spent or not; an unknown token ends nothing."""
    session: SessionId | None = await tx.con.fetchval(SQL["find_session_of_token"], sha256(token))
    if session is None:
        return
    locked = await fetch_one(tx.con, SQL["lock_session"], _LockedSession, session)
    assert locked is not None, "a token's session exists"
    await revoke_session(tx, locked.user_id, session, "logout")


async def list_sessions(
    con: Connection,
    user: UserId,
    *,
    current: SessionId,
    cursor: UUID | None,
    limit: int,
) -> SessionPage:
    """List live sessions; those whose last refresh token ran out are over and left out."""
    rows = await fetch_all(
        con, SQL["list_sessions"], _SessionRow, user, REFRESH_LIFETIME, cursor, limit + 1
    )
    items = [
        SessionView(**msgspec.structs.asdict(row), current=row.id == current)
        for row in rows[:limit]
    ]
    return SessionPage(items=items, next_cursor=str(items[-1].id) if len(rows) > limit else None)


async def _issue(tx: Tx, user: UserId, session: SessionId, token: str) -> RefreshToken:
    expires_at = tx.now + REFRESH_LIFETIME
    await tx.con.execute(SQL["insert_refresh_token"], sha256(token), session, expires_at)
    return RefreshToken(user_id=user, session_id=session, token=token, expires_at=expires_at)


def _refresh_invalid() -> NotSignedIn:
    return NotSignedIn(
        "auth.refresh_invalid", "This refresh token is unknown or too old; sign in again."
    )

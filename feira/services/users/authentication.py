"""Who is asking: from a password to a session, from an access token to a principal."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from feira.platform.domain.audit import NOWHERE, Origin
from feira.platform.domain.errors import NotSignedIn
from feira.platform.domain.ids import SessionId, UserId
from feira.platform.domain.permissions import Principal, Role
from feira.services.market import Market
from feira.services.users import fields, sessions, throttling
from feira.services.users.accounts import UserRow, normal_email, principal_roles
from feira.services.users.passwords import hash_password, is_outdated, is_password
from feira.sql.database import Tx
from feira.sql.loader import Connection, fetch_one, load_queries

SQL = load_queries("users")


class Login(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`refresh_in`: programs take the refresh token from the body, browsers keep it in a cookie."""

    email: fields.Email
    password: fields.GivenPassword
    refresh_in: Annotated[
        Literal["body", "cookie"],
        Meta(description="cookie: HttpOnly, SameSite=Strict, sent to /v1/auth only."),
    ] = "body"


class Authenticated(msgspec.Struct, frozen=True, kw_only=True):
    """A principal, and when the access token that spoke for them runs out."""

    principal: Principal
    expires_at: datetime


class TokensView(msgspec.Struct, frozen=True, kw_only=True):
    """Send `access_token` as Authorization: Bearer; trade `refresh_token` (null when in the cookie) at refresh."""

    user: UserId
    session: SessionId
    access_token: str
    access_expires_at: datetime
    refresh_token: str | None
    refresh_expires_at: datetime
    token_type: Literal["Bearer"] = "Bearer"  # noqa: S105 - RFC 6750's word, no secret

    def __repr__(self) -> str:
        return f"TokensView(session={self.session!r})"


class _PrincipalRow(msgspec.Struct, frozen=True, kw_only=True):
    user_id: UserId
    display_name: str
    roles: list[Role]
    status: Literal["active", "suspended"]
    verified: bool
    revoked: bool


async def authenticate(market: Market, token: str, origin: Origin = NOWHERE) -> Authenticated:
    """Turn an access token into a principal who asks from `origin`; one query.

    Raises:
        NotSignedIn: `auth.token_expired`, `auth.token_invalid`, `auth.session_revoked`, `auth.suspended`.
    """
    claims = market.tokens.verify(token)
    async with market.database.connection() as con:
        principal = await recall(con, claims.user_id, claims.session_id, origin)
    return Authenticated(principal=principal, expires_at=claims.expires_at)


async def recall(
    con: Connection, user: UserId, session: SessionId, origin: Origin = NOWHERE
) -> Principal:
    """The principal of a session as the database knows them now.

    Raises:
        NotSignedIn: `auth.session_revoked`, `auth.suspended`.
    """
    row = await fetch_one(con, SQL["read_principal"], _PrincipalRow, session, user)
    # A genuine token without its session: the database was reset or restored to before the login.
    if row is None or row.revoked:
        raise NotSignedIn("auth.session_revoked", "This session was ended; sign in again.")
    if row.status != "active":
        raise _suspended()
    return Principal(
        user_id=row.user_id,
        session_id=session,
        display_name=row.display_name,
        roles=principal_roles(row.roles, verified=row.verified),
        origin=origin,
    )


def bearer_token(header: str | None) -> str | None:
    """The access token of an Authorization header; None without one.

    Raises:
        NotSignedIn: `auth.token_invalid`: it is there and no good.
    """
    if header is None:
        return None
    scheme, _, token = header.partition(" ")
    token = token.strip()
    # Header bytes beyond ASCII arrive as lone surrogates, which nothing further in could encode.
    if scheme.lower() != "bearer" or not token or not token.isascii():
        raise NotSignedIn(
            "auth.token_invalid", "Send the access token as `Authorization: Bearer TOKEN`."
        )
    return token


async def log_in(
    market: Market, given: Login, *, user_agent: str, address: str | None
) -> tuple[TokensView, sessions.RefreshToken]:
    """Open a session for a right password.

    Three steps, so that no transaction is open while argon2 works: charge the try, compare, open.

    Raises:
        NotSignedIn: `auth.wrong_credentials` for an unknown address and a wrong password alike;
            `auth.suspended`, only after the right password.
        TooMany: `auth.throttled`.
        Unavailable: `auth.busy`.
    """
    email = normal_email(given.email)
    charges = [(throttling.email_subject(email), throttling.EMAIL_LIMIT)]
    if address is not None:
        charges.append((throttling.address_subject(address), throttling.ADDRESS_LIMIT))
    await market.database.transact(lambda tx: throttling.charge(tx, charges))
    async with market.database.connection() as con:
        user = await fetch_one(con, SQL["read_login"], UserRow, email)
    is_right = await is_password(None if user is None else user.password_hash, given.password)
    if user is None or not is_right:
        raise _wrong_credentials()
    if user.status != "active":
        raise _suspended()
    known = user
    rehashed = await hash_password(given.password) if is_outdated(known.password_hash) else None

    async def open_session(tx: Tx) -> sessions.RefreshToken:
        # A reset that committed since the comparison wins: its owner wants the old password out.
        if await tx.con.fetchval(SQL["lock_password"], known.id, known.password_hash) is None:
            raise _wrong_credentials()
        if rehashed is not None:
            await tx.con.execute(SQL["rehash_password"], known.id, known.password_hash, rehashed)
        await throttling.forgive(tx, email=email, address=address)
        return await sessions.open_session(tx, known.id, user_agent=user_agent, address=address)

    opened = await market.database.transact(open_session)
    return tokens_view(market, opened, given.refresh_in), opened


def tokens_view(
    market: Market, refresh: sessions.RefreshToken, refresh_in: Literal["body", "cookie"]
) -> TokensView:
    """Make the answer of a login or refresh, with a fresh access token."""
    issued_at = refresh.expires_at - sessions.REFRESH_LIFETIME
    access_token, access_expires_at = market.tokens.issue(
        refresh.user_id, refresh.session_id, issued_at
    )
    return TokensView(
        user=refresh.user_id,
        session=refresh.session_id,
        access_token=access_token,
        access_expires_at=access_expires_at,
        refresh_token=refresh.token if refresh_in == "body" else None,
        refresh_expires_at=refresh.expires_at,
    )


def _wrong_credentials() -> NotSignedIn:
    return NotSignedIn("auth.wrong_credentials", "The e-mail address or the password is wrong.")


def _suspended() -> NotSignedIn:
    return NotSignedIn("auth.suspended", "This account is suspended; write to support.")

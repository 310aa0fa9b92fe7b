"""Signing up, in and out; the signed-in user's account, sessions and addresses; the public signing keys."""

from __future__ import annotations

from typing import Final, Literal
from uuid import UUID

import msgspec

from feira.http.call import Call
from feira.http.endpoint import Answer, endpoint
from feira.http.refresh_cookie import NO_STORE, clear_cookie, cookie_token, set_cookie
from feira.platform.domain.errors import NotSignedIn
from feira.platform.domain.ids import AddressId, SessionId
from feira.platform.runtime.client import client_address, user_agent
from feira.platform.runtime.tokens import JsonWebKeySet
from feira.services.users import accounts, addresses, authentication, fields, profile, sessions
from feira.sql.database import Tx

NOTHING: Final = type(None)


class Refresh(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`{}` where the refresh token is in the cookie."""

    refresh_token: fields.Secret | None = None


class PageQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`cursor` is the `next_cursor` of the page before."""

    limit: fields.PageLimit = 20
    cursor: UUID | None = None


@endpoint(
    "POST",
    "/v1/auth/sign-up",
    service="users",
    summary="Create an account.",
    status=201,
    signed_in=False,
)
async def sign_up(call: Call, body: accounts.SignUp) -> accounts.MailSentView:
    """Whether or not the address has an account, the answer is the same; the mailbox is told the rest."""
    return await accounts.sign_up(call.market.database, body)


@endpoint(
    "POST",
    "/v1/auth/verify-email",
    service="users",
    summary="Confirm an e-mail address.",
    signed_in=False,
)
async def verify_email(call: Call, body: accounts.VerifyEmail) -> None:
    """The token is in the link `/?verify=TOKEN` of the e-mail, and good once."""

    async def work(tx: Tx) -> None:
        await accounts.verify_email(tx, body)

    await call.market.database.transact(work)


@endpoint(
    "POST",
    "/v1/auth/resend-verification",
    service="users",
    summary="Send another confirmation link.",
    status=202,
    signed_in=False,
)
async def resend_verification(call: Call, body: accounts.EmailRequest) -> accounts.MailSentView:
    return await accounts.resend_verification(call.market.database, body)


@endpoint(
    "POST",
    "/v1/auth/login",
    service="users",
    summary="Sign in.",
    signed_in=False,
    answer=authentication.TokensView,
)
async def log_in(call: Call, body: authentication.Login) -> Answer:
    """Opens a session. After a few wrong tries the next ones are refused for a while (429)."""
    view, refresh = await authentication.log_in(
        call.market,
        body,
        user_agent=user_agent(call.request),
        address=client_address(call.request),
    )
    return _tokens(call, view, refresh, body.refresh_in)


@endpoint(
    "POST",
    "/v1/auth/refresh",
    service="users",
    summary="Trade a refresh token for new tokens.",
    signed_in=False,
    answer=authentication.TokensView,
)
async def refresh(call: Call, body: Refresh) -> Answer:
    """From the body, or else from the cookie; the new one comes back the same way.

    A token is good once. One that was used before ends its session, except where the same token is sent
    twice at the same moment: then one request gets the tokens and the other `409 auth.refresh_raced`.
    """
    refresh_in: Literal["body", "cookie"] = "body" if body.refresh_token else "cookie"
    token = body.refresh_token or cookie_token(call.request)
    if token is None:
        raise NotSignedIn("auth.refresh_missing", "Send a refresh token, or sign in.")
    traded = await sessions.refresh(call.market.database, token)
    return _tokens(
        call, authentication.tokens_view(call.market, traded, refresh_in), traded, refresh_in
    )


@endpoint("POST", "/v1/auth/logout", service="users", summary="Sign out.", signed_in=False)
async def log_out(call: Call, body: Refresh) -> Answer:
    """Ends the session of the access token, of the refresh token in the body, or of the one in the cookie.

    Without any of them there is nothing to end, which is no error. The cookie is cleared.
    """
    caller, token = call.caller, body.refresh_token or cookie_token(call.request)

    async def work(tx: Tx) -> None:
        if caller is not None:
            await sessions.revoke_session(tx, caller.user_id, caller.session_id, "logout")
        elif token is not None:
            await sessions.sign_out(tx, token)

    await call.market.database.transact(work)
    return Answer(body=None, status=204, headers=(clear_cookie(call.market.config),))


@endpoint(
    "POST",
    "/v1/auth/password-reset",
    service="users",
    summary="Send a link to choose a new password.",
    status=202,
    signed_in=False,
)
async def request_password_reset(call: Call, body: accounts.EmailRequest) -> accounts.MailSentView:
    return await accounts.request_password_reset(call.market.database, body)


@endpoint(
    "POST",
    "/v1/auth/password-reset/confirm",
    service="users",
    summary="Choose a new password.",
    signed_in=False,
)
async def confirm_password_reset(call: Call, body: accounts.ConfirmPasswordReset) -> None:
    """The token is in the link `/?reset=TOKEN` of the e-mail. Every session of the account ends."""
    await accounts.confirm_password_reset(call.market.database, body, origin=call.origin)


@endpoint(
    "GET",
    "/.well-known/jwks.json",
    service="users",
    summary="The keys that verify access tokens.",
    signed_in=False,
    answer=JsonWebKeySet,
)
async def jwks(call: Call) -> Answer:
    return Answer(
        body=call.market.tokens.jwks(), headers=(("Cache-Control", "public, max-age=300"),)
    )


@endpoint("GET", "/v1/me", service="users", summary="Show the own account and its shops.")
async def get_me(call: Call) -> profile.MeView:
    async with call.market.database.connection() as con:
        return await profile.load_me(con, call.principal.user_id)


@endpoint("PATCH", "/v1/me", service="users", summary="Change the own profile.")
async def patch_me(call: Call, body: profile.UpdateProfile) -> profile.MeView:
    user = call.principal.user_id
    return await call.transact(profile.MeView, lambda tx: profile.update_profile(tx, user, body))


@endpoint("GET", "/v1/me/sessions", service="users", summary="List the own sessions.")
async def get_sessions(call: Call, query: PageQuery) -> sessions.SessionPage:
    async with call.market.database.connection() as con:
        return await sessions.list_sessions(
            con,
            call.principal.user_id,
            current=call.principal.session_id,
            cursor=query.cursor,
            limit=query.limit,
        )


@endpoint(
    "DELETE", "/v1/me/sessions/{session}", service="users", summary="End one of the own sessions."
)
async def delete_session(call: Call, session: SessionId) -> None:
    principal = call.principal
    await call.transact(NOTHING, lambda tx: sessions.revoke_own(tx, principal, session))


@endpoint("GET", "/v1/me/addresses", service="users", summary="List the own address book.")
async def get_addresses(call: Call, query: PageQuery) -> addresses.AddressPage:
    async with call.market.database.connection() as con:
        return await addresses.list_addresses(
            con, call.principal.user_id, cursor=query.cursor, limit=query.limit
        )


@endpoint("POST", "/v1/me/addresses", service="users", summary="Add an address.", status=201)
async def post_address(call: Call, body: addresses.AddressInput) -> addresses.AddressView:
    user = call.principal.user_id
    return await call.transact(
        addresses.AddressView, lambda tx: addresses.add_address(tx, user, body)
    )


@endpoint("GET", "/v1/me/addresses/{address}", service="users", summary="Show an address.")
async def get_address(call: Call, address: AddressId) -> addresses.AddressView:
    async with call.market.database.connection() as con:
        return await addresses.load_address(con, call.principal.user_id, address)


@endpoint("PUT", "/v1/me/addresses/{address}", service="users", summary="Replace an address.")
async def put_address(
    call: Call, address: AddressId, body: addresses.AddressInput
) -> addresses.AddressView:
    user = call.principal.user_id
    return await call.transact(
        addresses.AddressView, lambda tx: addresses.replace_address(tx, user, address, body)
    )


@endpoint("DELETE", "/v1/me/addresses/{address}", service="users", summary="Delete an address.")
async def delete_address(call: Call, address: AddressId) -> None:
    user = call.principal.user_id
    await call.transact(NOTHING, lambda tx: addresses.delete_address(tx, user, address))


def _tokens(
    call: Call,
    view: authentication.TokensView,
    refresh: sessions.RefreshToken,
    refresh_in: Literal["body", "cookie"],
) -> Answer:
    # RFC 6749, 5.1: no cache keeps tokens.
    headers: list[tuple[str, str]] = [NO_STORE]
    if refresh_in == "cookie":
        headers.append(set_cookie(call.market.config, refresh.token))
    return Answer(body=view, headers=tuple(headers))


ENDPOINTS: Final = (
    sign_up,
    verify_email,
    resend_verification,
    log_in,
    refresh,
    log_out,
    request_password_reset,
    confirm_password_reset,
    jwks,
    get_me,
    patch_me,
    get_sessions,
    delete_session,
    get_addresses,
    post_address,
    get_address,
    put_address,
    delete_address,
)

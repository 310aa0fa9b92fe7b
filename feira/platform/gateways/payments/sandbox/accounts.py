"""Accounts of sellers: their identity check, onboarding, and the company's later doubts."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Final

import msgspec

from feira.platform.gateways.payments.sandbox.books import ApiError, found, new_id, tell
from feira.platform.gateways.payments.sandbox.wire import AccountObject

if TYPE_CHECKING:
    from feira.platform.gateways.payments.sandbox.books import Connection
    from feira.platform.gateways.payments.sandbox.requests import (
        ChangeAccount,
        CreateAccount,
        CreateOnboardingLink,
    )

KYC_TAKES_S: Final = 1.0
LINK_LASTS_S: Final = 300.0
IDENTITY: Final = "owner.identity"


class OnboardingLink(msgspec.Struct, frozen=True, kw_only=True):
    """`over`: visited already, or too late."""

    id: str
    account_id: str
    account_name: str
    return_url: str
    refresh_url: str
    expires_at: datetime
    over: bool


async def create_account(con: Connection, request: CreateAccount) -> AccountObject:
    account_id = new_id("acct")
    unfinished = "unfinished" in request.name.lower()
    await con.execute(
        "INSERT INTO sandbox.accounts (id, name, country, status, requirements, decide_at)"
        " VALUES ($1, $2, $3, 'pending', $4,"
        " CASE WHEN $5 THEN NULL ELSE now() + make_interval(secs => $6::float8) END)",
        account_id,
        request.name,
        request.country,
        [IDENTITY] if unfinished else [],
        unfinished,
        KYC_TAKES_S,
    )
    return await read_account(con, account_id)


async def read_account(con: Connection, account_id: str) -> AccountObject:
    row = await con.fetchrow(
        "SELECT id, name, country, status, requirements, disabled_reason FROM sandbox.accounts WHERE id = $1",
        account_id,
    )
    return found(row, AccountObject)


async def require_active(con: Connection, account_id: str) -> None:
    """Pass if money may go to and from the account.

    Raises:
        ApiError: `account_restricted`: also one whose identity is not checked yet.
    """
    account = await read_account(con, account_id)
    if account.status != "verified":
        raise ApiError(422, "account_restricted", f"The account is {account.status}.")


async def decide_account(con: Connection, account_id: str) -> None:
    """The identity check of a locked account is over."""
    await con.execute(
        "UPDATE sandbox.accounts SET decide_at = NULL,"
        " status = CASE WHEN name ILIKE '%restricted%' THEN 'restricted' ELSE 'verified' END,"
        " disabled_reason = CASE WHEN name ILIKE '%restricted%' THEN 'rejected.identity' ELSE '' END"
        " WHERE id = $1 AND status = 'pending'",
        account_id,
    )
    await tell(con, "account.updated", account_id, account=account_id)


async def change_account(con: Connection, account_id: str, request: ChangeAccount) -> AccountObject:
    await con.execute(
        "UPDATE sandbox.accounts SET status = coalesce($2, status), payouts_do = coalesce($3, payouts_do),"
        " disabled_reason = CASE $2 WHEN 'restricted' THEN 'under_review' WHEN 'verified' THEN '' ELSE disabled_reason END,"
        " decide_at = CASE WHEN $2::text IS NULL THEN decide_at END WHERE id = $1",
        account_id,
        request.status,
        request.payouts_do,
    )
    account = await read_account(con, account_id)
    if request.status is not None:
        await tell(con, "account.updated", account_id, account=account_id)
    return account


async def create_onboarding_link(
    con: Connection, account_id: str, request: CreateOnboardingLink
) -> OnboardingLink:
    await read_account(con, account_id)
    link_id = new_id("link")
    await con.execute(
        "INSERT INTO sandbox.onboarding_links (id, account_id, return_url, refresh_url, expires_at)"
        " VALUES ($1, $2, $3, $4, now() + make_interval(secs => $5::float8))",
        link_id,
        account_id,
        request.return_url,
        request.refresh_url,
        LINK_LASTS_S,
    )
    return await read_onboarding_link(con, link_id)


async def read_onboarding_link(con: Connection, link_id: str) -> OnboardingLink:
    row = await con.fetchrow(
        "SELECT l.id, l.account_id, a.name AS account_name, l.return_url, l.refresh_url, l.expires_at,"
        " (l.used_at IS NOT NULL OR l.expires_at <= now()) AS over"
        " FROM sandbox.onboarding_links AS l JOIN sandbox.accounts AS a ON a.id = l.account_id WHERE l.id = $1",
        link_id,
    )
    return found(row, OnboardingLink)


async def finish_onboarding(con: Connection, link: OnboardingLink) -> None:
    """The owner told everything: the identity check begins."""
    await con.execute(
        "UPDATE sandbox.onboarding_links SET used_at = coalesce(used_at, now()) WHERE id = $1",
        link.id,
    )
    await con.execute(
        "UPDATE sandbox.accounts SET requirements = '{}', decide_at = now() + make_interval(secs => $2::float8)"
        " WHERE id = $1 AND status = 'pending' AND decide_at IS NULL",
        link.account_id,
        KYC_TAKES_S,
    )

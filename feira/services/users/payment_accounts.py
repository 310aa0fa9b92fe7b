"""A shop's account at the payment provider, as the provider shows it now, and the way to complete it."""

from __future__ import annotations

from datetime import datetime

import msgspec

from feira.platform.domain.errors import NotFound
from feira.platform.domain.ids import ShopId
from feira.platform.domain.permissions import Principal, require
from feira.platform.domain.shops import AccountStatus
from feira.services.market import Market
from feira.services.users.shops import load_shop, shop_roles


class PaymentAccountView(msgspec.Struct, frozen=True, kw_only=True):
    """`requirements` are what the provider still wants to know, in its words.

    `onboarding_url` is its page for that, for one visit until `onboarding_expires_at`; null once the account is
    verified, and while it is only being opened.
    """

    status: AccountStatus
    requirements: tuple[str, ...] = ()
    disabled_reason: str = ""
    onboarding_url: str | None = None
    onboarding_expires_at: datetime | None = None


async def show_payment_account(
    market: Market, principal: Principal, shop_id: ShopId
) -> PaymentAccountView:
    """Ask the provider about the account of the caller's shop.

    Raises:
        NotFound: `shop.not_found`, for strangers to it.
        NotAllowed: `auth.not_allowed`, for staff: the owner answers for the account.
        Unavailable: the provider is away.
        GatewayRefused: `gateway.not_found`: the account was made at another provider.
    """
    async with market.database.connection() as con:
        relations = await shop_roles(con, shop_id, principal)
        if not relations:
            raise NotFound("shop.not_found", "There is no such shop.")
        require("shop.update", principal, relations)
        shop = await load_shop(con, shop_id)
    if shop.provider_account is None:
        return PaymentAccountView(status=shop.provider_status)
    account = await market.payments.fetch_account(shop.provider_account)
    view = PaymentAccountView(
        status=account.status,
        requirements=account.requirements,
        disabled_reason=account.disabled_reason,
    )
    if account.status == "verified":
        return view
    link = await market.payments.make_onboarding_link(
        account.reference,
        return_url=f"{market.config.public_url}/selling?account=told",
        refresh_url=f"{market.config.public_url}/selling?account=again",
    )
    return msgspec.structs.replace(
        view, onboarding_url=link.url, onboarding_expires_at=link.expires_at
    )

"""E-mails of the users service, and opening a shop's account at the payment provider."""

from __future__ import annotations

from typing import Final
from uuid import UUID, uuid5

import structlog

from feira.jobs.run import Handlers, JobRun
from feira.platform.domain.jobs import SendPasswordResetEmail, SendVerificationEmail, VerifyShop
from feira.platform.gateways.payments.refusal import GatewayRefused
from feira.services.users import mails, one_time_tokens
from feira.services.users.accounts import load_user
from feira.services.users.shops import load_shop, record_account
from feira.sql.database import Tx

# Names the effect "the account of this shop" for the provider; any fixed UUID does, and it never changes.
_ACCOUNT_KEYS: Final = UUID("5f0f3f0e-2d0b-4c68-9a4e-6b1f2c7d9e10")

log = structlog.get_logger("feira.jobs.users")


async def handle_send_verification_email(run: JobRun, job: SendVerificationEmail) -> None:
    """Mint a link and send it; whoever is confirmed already is told that they have an account.

    The token is committed before it is sent: a link that reached a mailbox works, whatever happens next.
    A second attempt mints another one; the mail's key keeps the person from getting both.
    """
    market, key = run.market, f"users.verification:{run.job_id}"
    async with market.database.connection() as con:
        user = await load_user(con, job.user)
    url = market.config.public_url
    if user.verified:
        mail = mails.already_registered_mail(to=user.email, public_url=url, key=key)
    else:
        token = await market.database.transact(
            lambda tx: one_time_tokens.mint(tx, user.id, "verify_email")
        )
        mail = mails.verification_mail(to=user.email, public_url=url, token=token, key=key)
    await market.mail.send(mail)


async def handle_send_password_reset_email(run: JobRun, job: SendPasswordResetEmail) -> None:
    """As for verification."""
    market = run.market
    async with market.database.connection() as con:
        user = await load_user(con, job.user)
    token = await market.database.transact(
        lambda tx: one_time_tokens.mint(tx, user.id, "reset_password")
    )
    await market.mail.send(
        mails.password_reset_mail(
            to=user.email,
            public_url=market.config.public_url,
            token=token,
            key=f"users.password_reset:{run.job_id}",
        )
    )


async def handle_verify_shop(run: JobRun, job: VerifyShop) -> None:
    """Open the account, once however often this runs: the provider knows the shop's key."""
    async with run.market.database.connection() as con:
        shop = await load_shop(con, job.shop)
    if shop.status != "applied":
        return
    try:
        account = await run.market.payments.create_account(
            shop_name=shop.name,
            country=shop.country,
            idempotency_key=str(uuid5(_ACCOUNT_KEYS, str(shop.id))),
        )
    except GatewayRefused as refusal:
        if refusal.reason != "not_supported":
            raise
        # The application waits until an operator has made the account: `feira shop-account`.
        log.warning("shop_account_by_hand", shop=shop.id, provider=run.market.payments.name)
        return

    async def record(tx: Tx) -> None:
        await record_account(tx, shop.id, account)

    await run.commit(record)


HANDLERS: Final[Handlers] = {
    SendVerificationEmail: handle_send_verification_email,
    SendPasswordResetEmail: handle_send_password_reset_email,
    VerifyShop: handle_verify_shop,
}

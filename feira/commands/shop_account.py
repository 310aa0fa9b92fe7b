"""`feira shop-account SHOP ACCOUNT`: ties a shop to an account that was made for it at the payment provider by hand."""

from __future__ import annotations

import argparse
import asyncio
import sys
from uuid import UUID

from feira.commands.operator import operator
from feira.platform.domain.errors import FeiraError
from feira.platform.domain.ids import ShopId
from feira.platform.gateways.payments.objects import Account
from feira.platform.runtime.config import Config
from feira.services.audit.recording import record
from feira.services.users.shops import lock_shop, record_account
from feira.sql.database import Tx, open_quiet_database


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("shop", type=UUID, help="the shop's ID, as its application shows it")
    parser.add_argument("account", help="the account's ID at the provider, such as acc_...")


def run(config: Config, args: argparse.Namespace) -> int:
    try:
        account = asyncio.run(tie(config, ShopId(args.shop), args.account))
    except (FeiraError, OSError) as error:
        print(f"feira: shop-account failed: {error}", file=sys.stderr)
        return 1
    print(f"{args.shop} has the account {account.reference}, which is {account.status}")
    return 0


async def tie(config: Config, shop: ShopId, reference: str) -> Account:
    """Look at the account, and record it as the shop's.

    Raises:
        GatewayRefused: `not_found`.
        NotFound: `shop.not_found`.
        Conflict: `shop.has_account`: it has another one already.
    """
    from feira.app import open_payments

    gateway = open_payments(config)
    try:
        account = await gateway.fetch_account(reference)
    finally:
        await gateway.close()

    async def keep(tx: Tx) -> None:
        before = await lock_shop(tx, shop)
        await record_account(tx, shop, account)
        await record(
            tx,
            operator(),
            "shop.tie_account",
            "shop",
            shop,
            account=before.owner_id,
            before={"account": before.provider_account, "status": before.provider_status},
            after={"account": account.reference, "status": account.status},
        )

    async with open_quiet_database(config.postgres_dsn) as database:
        await database.transact(keep)
    return account

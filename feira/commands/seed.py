"""`feira seed`: a small believable market to look at: people to sign in as, shops that are open, goods on their stalls.

Development only. Safe to run again: what is there is left alone. `--data-dir` gets `demo.json` with the logins,
which the first page offers and `feira up` prints.
"""

from __future__ import annotations

import argparse
import asyncio
import csv
import io
import sys
from importlib import resources
from pathlib import Path
from typing import Final, Literal
from uuid import uuid4

import msgspec

from feira.app import open_ground
from feira.commands.seed_terms import furnish_market, furnish_stall
from feira.platform.domain.errors import Conflict, FeiraError
from feira.platform.domain.ids import SessionId, ShopId, UserId
from feira.platform.domain.permissions import Principal, Role
from feira.platform.gateways.payments.objects import Account
from feira.platform.gateways.payments.sandbox.accounts import create_account
from feira.platform.gateways.payments.sandbox.requests import CreateAccount
from feira.platform.runtime.config import Config
from feira.platform.runtime.telemetry import configure_logging
from feira.services.products.importing import import_products
from feira.services.users.accounts import PlatformRole, create_user
from feira.services.users.addresses import AddressInput, add_address
from feira.services.users.passwords import hash_password
from feira.services.users.shop_profiles import ApplyForShop, apply_for_shop
from feira.services.users.shops import decide, record_account
from feira.sql.database import Tx

# Printed on the screen and offered on the page of a development market; production refuses to seed.
DEMO_PASSWORD: Final = "feira-demo"  # noqa: S105


class DemoLogin(msgspec.Struct, frozen=True, kw_only=True):
    """One line of demo.json."""

    role: str
    email: str
    password: str
    name: str


class _Person(msgspec.Struct, frozen=True, kw_only=True):
    role: Literal["admin", "support", "finance", "buyer", "seller"]
    email: str
    name: str


class _Stall(msgspec.Struct, frozen=True, kw_only=True):
    owner: str
    name: str
    description: str
    categories: frozenset[str]


_PEOPLE: Final = (
    _Person(role="buyer", email="ines@demo.feira.localhost", name="Inês Carvalho"),
    _Person(role="buyer", email="tomas@demo.feira.localhost", name="Tomás Reis"),
    _Person(role="seller", email="rosa@demo.feira.localhost", name="Rosa Fonseca"),
    _Person(role="seller", email="duarte@demo.feira.localhost", name="Duarte Pinto"),
    _Person(role="seller", email="amelia@demo.feira.localhost", name="Amélia Nunes"),
    _Person(role="admin", email="admin@demo.feira.localhost", name="Feira Admin"),
    _Person(role="support", email="support@demo.feira.localhost", name="Feira Support"),
    _Person(role="finance", email="finance@demo.feira.localhost", name="Feira Finance"),
)

_STALLS: Final = (
    _Stall(
        owner="rosa@demo.feira.localhost",
        name="Olaria da Rosa",
        description="Hand-thrown pottery and things for the table, fired in Barcelos since 1978.",
        categories=frozenset({"ceramics", "furniture", "lighting", "home-living"}),
    ),
    _Stall(
        owner="duarte@demo.feira.localhost",
        name="Pinto & Filhos",
        description="Books, records and small electronics with a story. Everything is tested before it is sold.",
        categories=frozenset({"books", "music", "audio", "phones", "electronics", "books-media"}),
    ),
    _Stall(
        owner="amelia@demo.feira.localhost",
        name="Quinta da Amélia",
        description="Honey, preserves, wool and linen from one farm in the Alentejo.",
        categories=frozenset(),
    ),
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--data-dir", type=Path, help="folder that gets demo.json")


def run(config: Config, args: argparse.Namespace) -> int:
    if config.environment != "development":
        print(
            "feira: seed makes demo logins with a known password, so it runs in development only.",
            file=sys.stderr,
        )
        return 2
    configure_logging(config.log_level, config.log_format)
    try:
        asyncio.run(seed(config))
    except FeiraError as error:
        print(f"feira: seed failed: {error.message}", file=sys.stderr)
        return 1
    if args.data_dir is not None:
        write_demo_logins(args.data_dir / "demo.json")
    print(f"demo market ready: {len(_PEOPLE)} people, {len(_STALLS)} shops")
    return 0


async def seed(config: Config) -> None:
    """Make the demo market in one transaction, unless it is there."""
    password_hash = await hash_password(DEMO_PASSWORD)
    goods = _goods()
    async with open_ground(config) as ground:

        async def work(tx: Tx) -> None:
            people = {
                person.email: await _make_person(tx, person, password_hash) for person in _PEOPLE
            }
            admin = next(people[person.email] for person in _PEOPLE if person.role == "admin")
            await furnish_market(tx, admin)
            for stall in _STALLS:
                await _open_stall(tx, stall, people[stall.owner], admin, goods)

        try:
            await ground.market.database.transact(work)
        except Conflict as error:
            # The market was seeded before: nothing of this transaction stays.
            if error.code != "user.email_taken":
                raise


def write_demo_logins(file: Path) -> None:
    """Write demo.json whole or not at all, readable by its owner only."""
    logins = [
        DemoLogin(role=person.role, email=person.email, password=DEMO_PASSWORD, name=person.name)
        for person in _PEOPLE
    ]
    partial = file.with_suffix(".partial")
    partial.touch(mode=0o600)
    partial.write_bytes(msgspec.json.format(msgspec.json.encode(logins)))
    partial.replace(file)


async def _make_person(tx: Tx, person: _Person, password_hash: str) -> Principal:
    platform: frozenset[PlatformRole] = (
        frozenset() if person.role in {"buyer", "seller"} else frozenset({person.role})  # type: ignore[arg-type]
    )
    user = await create_user(
        tx,
        email=person.email,
        password_hash=password_hash,
        display_name=person.name,
        roles=platform,
    )
    principal = _principal(user, person.name, platform)
    await add_address(
        tx,
        principal.user_id,
        AddressInput(
            name=person.name,
            line1="Rua das Flores 12",
            city="Porto",
            postal_code="4050-262",
            country="PT",
        ),
    )
    return principal


async def _open_stall(
    tx: Tx, stall: _Stall, owner: Principal, admin: Principal, goods: list[dict[str, str]]
) -> None:
    shop = await apply_for_shop(
        tx,
        owner,
        ApplyForShop(name=stall.name, country="PT", currency="EUR", description=stall.description),
    )
    # The provider's decision would take a second and a server; its account is opened in its books all the same.
    account = await create_account(tx.con, CreateAccount(name=stall.name))
    await record_account(tx, shop.id, Account(reference=account.id, status="verified"))
    await decide(tx, admin, shop.id, "approve", "Known from the market.")
    taken = frozenset[str]().union(*(other.categories for other in _STALLS))
    wanted = [
        row for row in goods
        if row["category"] in stall.categories or (not stall.categories and row["category"] not in taken)
    ]  # fmt: skip
    await import_products(tx, owner, ShopId(shop.id), _as_csv(wanted))
    await furnish_stall(tx, owner, ShopId(shop.id))


def _goods() -> list[dict[str, str]]:
    text = (resources.files("feira") / "market_day" / "goods.csv").read_text(encoding="utf-8-sig")
    return list(csv.DictReader(io.StringIO(text)))


def _as_csv(rows: list[dict[str, str]]) -> bytes:
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


def _principal(user: UserId, name: str, platform: frozenset[PlatformRole]) -> Principal:
    roles: frozenset[Role] = frozenset({"anyone", "user", "verified", *platform})
    return Principal(user_id=user, session_id=SessionId(uuid4()), display_name=name, roles=roles)

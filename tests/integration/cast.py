"""Everybody who may knock at the market's door, and one of each thing that they may ask for."""

from __future__ import annotations

import itertools
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, Literal, get_args
from uuid import UUID, uuid4

from feira.platform.domain.ids import (
    AddressId,
    AttachmentId,
    ConversationId,
    OrderId,
    ProductId,
    SessionId,
    ShopId,
    UserId,
    VariantId,
)
from feira.platform.domain.offers import MakeOffer
from feira.platform.domain.order_commands import Accept, Deliver, OpenDispute, Ship
from feira.platform.domain.permissions import Principal
from feira.platform.domain.return_commands import RequestReturn, ReturnUnits
from feira.platform.gateways.payments.objects import Account
from feira.services.deals.offers import make_offer
from feira.services.market import Market
from feira.services.messaging.attaching import attach
from feira.services.messaging.attachments import (
    NewAttachment,
    announce_attachment,
    decide_upload,
    read_own_attachment,
)
from feira.services.messaging.conversations import OpenConversation, open_conversation
from feira.services.messaging.members import AddMember, add_member
from feira.services.messaging.messages import NewMessage, Outgoing, post_messages
from feira.services.messaging.reports import MakeReport, make_report
from feira.services.orders.disputes import list_disputes
from feira.services.orders.groups import read_group
from feira.services.products.editing import NewProduct, create_product, publish
from feira.services.products.media import NewImage, announce_upload
from feira.services.products.variants import NewVariant
from feira.services.returns.returns import request_return
from feira.services.users.accounts import SQL as USERS_SQL
from feira.services.users.accounts import create_user, principal_roles
from feira.services.users.addresses import AddressInput, add_address
from feira.services.users.api_keys import NewKey, make_key
from feira.services.users.sessions import open_session
from feira.services.users.shop_profiles import ApplyForShop, apply_for_shop
from feira.services.users.shops import decide, record_account
from feira.sql.database import Tx
from tests.integration.cast_checkout import new_method, new_promotion
from tests.integration.cast_ledger import ledger_ids
from tests.integration.cast_money import money_ids
from tests.integration.orders.memory_gateway import MemoryGateway
from tests.integration.orders.stage import Buyer, Stage

Part = Literal[
    "anonymous",
    "unverified",
    "buyer",
    "other_buyer",
    "owner",
    "staff",
    "rival",
    "support",
    "finance",
    "admin",
]
"""`rival` owns another shop, and is a stranger to everything else here."""
PARTS: Final[tuple[Part, ...]] = get_args(Part)
_numbers = itertools.count(1)
HOME: Final = AddressInput(
    name="Ana Buyer", line1="Rua 1", city="Lisboa", postal_code="1000-001", country="PT"
)


@dataclass(frozen=True, kw_only=True)
class Actor:
    """Somebody with an open session."""

    principal: Principal
    token: str

    @property
    def user(self) -> UserId:
        return self.principal.user_id


@dataclass(kw_only=True)
class Cast:
    """`ids` has one of each path parameter: what belongs to the buyer, the owner's shop, or both."""

    market: Market
    people: dict[Part, Actor]
    ids: dict[str, str]
    rival_shop: ShopId
    placed_order: OrderId
    unpaid_order: OrderId

    def headers(self, part: Part) -> dict[str, str]:
        return {} if part == "anonymous" else {"Authorization": f"Bearer {self.people[part].token}"}

    async def transact(self, work: Callable[[Tx], Awaitable[Any]]) -> Any:
        return await self.market.database.transact(work)

    async def fresh(self, name: str) -> str:
        """Another one of what a request uses up."""
        if name == "media":
            return await self.transact(self._new_media)
        if name == "address":
            buyer = self.people["buyer"].user
            added = await self.transact(lambda tx: add_address(tx, buyer, HOME))
            return str(added.id)
        if name == "session":
            buyer = self.people["buyer"].user
            opened = await self.transact(
                lambda tx: open_session(tx, buyer, user_agent="another", address=None)
            )
            return str(opened.session_id)
        if name == "offer":
            return await self.transact(self._new_offer)
        if name == "message":
            return await self._new_message()
        if name == "member":
            return await self._new_helper()
        if name == "attachment":
            return await self.transact(self._new_attachment)
        if name == "return_id":
            return await self._new_claim()
        if name == "report":
            return await self._new_report()
        if name in {"promotion", "method"}:
            owner, shop = self.people["owner"].principal, ShopId(UUID(self.ids["shop"]))
            make = new_promotion if name == "promotion" else new_method
            return await self.transact(lambda tx: make(tx, owner, shop))
        if name == "key":
            owner, shop = self.people["owner"].principal, ShopId(UUID(self.ids["shop"]))
            wanted = NewKey(name="Another", scopes=["orders:read"])
            made, _ = await self.transact(lambda tx: make_key(tx, owner, shop, wanted))
            return str(made.id)
        assert name == "job", name
        return await self.transact(_new_dead_job)

    async def another_token(self, part: Part) -> str:
        """Sign the same person in on another device."""
        user = self.people[part].user

        async def sign_in(tx: Tx) -> str:
            opened = await open_session(tx, user, user_agent="another", address=None)
            return self.market.tokens.issue(user, opened.session_id, tx.now)[0]

        return await self.transact(sign_in)

    async def _new_message(self) -> str:
        buyer, conversation = (
            self.people["buyer"].user,
            ConversationId(UUID(self.ids["conversation"])),
        )
        said = NewMessage(client_id=uuid4(), text="Bom dia")
        async with self.market.database.connection() as con:
            posted = await post_messages(
                con, [Outgoing(conversation=conversation, sender=buyer, message=said)]
            )
        (place,) = posted[conversation].places.values()
        return str(place.seq)

    async def _new_report(self) -> str:
        """The owner reports another message of the buyer's."""
        wanted = MakeReport(
            conversation=ConversationId(UUID(self.ids["conversation"])),
            message=int(await self._new_message()),
            reason="spam",
        )
        owner = self.people["owner"].principal
        return str((await self.transact(lambda tx: make_report(tx, owner, wanted))).id)

    async def _new_claim(self) -> str:
        """The buyer claims a unit of the order that arrived."""
        buyer, order = self.people["buyer"].principal, OrderId(UUID(self.ids["delivered_order"]))
        async with self.market.database.connection() as con:
            line = await con.fetchval("SELECT id FROM order_lines WHERE order_id = $1", order)
        wanted = RequestReturn(
            kind="claim", cause="damaged", lines=[ReturnUnits(line=line, quantity=1)]
        )
        config = self.market.config
        made = await self.transact(lambda tx: request_return(tx, config, buyer, order, wanted))
        return str(made.returned.id)

    async def _new_helper(self) -> str:
        helper = await _actor(self.market, "support")
        conversation = ConversationId(UUID(self.ids["conversation"]))
        added = await self.transact(
            lambda tx: add_member(tx, helper.principal, conversation, AddMember())
        )
        return str(added.user_id)

    async def _new_media(self, tx: Tx) -> str:
        owner, product = self.people["owner"].principal, ProductId(UUID(self.ids["product"]))
        await tx.con.execute("DELETE FROM media WHERE product_id = $1", product)
        media = await announce_upload(tx, owner, product, NewImage(content_type="image/png"))
        return str(media.id)

    async def _new_offer(self, tx: Tx) -> str:
        """The shop offers the buyer another thing, in a conversation about that."""
        owner, shop = self.people["owner"].principal, ShopId(UUID(self.ids["shop"]))
        product, variant = await _new_product(tx, owner, shop)
        about = OpenConversation(shop=shop, product=product)
        conversation = await open_conversation(tx, self.people["buyer"].principal, about)
        wanted = MakeOffer(variant=variant, unit_price_minor=900, currency="EUR")
        return str((await make_offer(tx, owner, conversation, wanted)).offer.id)

    async def _new_attachment(self, tx: Tx) -> str:
        file = NewAttachment(name="bill.pdf", content_type="application/pdf", size_bytes=100)
        made = await announce_attachment(
            tx,
            self.people["buyer"].principal,
            ConversationId(UUID(self.ids["conversation"])),
            file,
        )
        return str(made.id)

    async def send_attachment(self) -> str:
        """A file of the buyer's that was sent."""
        buyer, conversation = (
            self.people["buyer"].user,
            ConversationId(UUID(self.ids["conversation"])),
        )
        identifier = AttachmentId(UUID(await self.fresh("attachment")))

        async def look(tx: Tx) -> None:
            await decide_upload(tx, await read_own_attachment(tx.con, buyer, identifier), None)

        await self.transact(look)
        message = NewMessage(client_id=uuid4(), attachments=(identifier,))
        outgoing = Outgoing(conversation=conversation, sender=buyer, message=message)
        async with self.market.database.connection() as con:
            attaching = await attach(con, [outgoing])
            assert await post_messages(con, attaching.whole), attaching.refused
        return str(identifier)


async def assemble(market: Market) -> Cast:
    """Put the whole cast on the stage of one market, through the services' own verbs."""
    people: dict[Part, Actor] = {
        "unverified": await _actor(market, verified=False),
        "buyer": await _actor(market),
        "other_buyer": await _actor(market),
        "owner": await _actor(market),
        "staff": await _actor(market),
        "rival": await _actor(market),
        "support": await _actor(market, "support"),
        "finance": await _actor(market, "finance"),
        "admin": await _actor(market, "admin"),
    }
    owner = people["owner"].principal

    async def shops(tx: Tx) -> tuple[ShopId, ShopId]:
        shop = await _open_shop(tx, owner, people["admin"].principal)
        await tx.con.execute(
            "INSERT INTO shop_members (shop_id, user_id, role) VALUES ($1, $2, 'staff')",
            shop,
            people["staff"].user,
        )
        return shop, await _open_shop(tx, people["rival"].principal, people["admin"].principal)

    shop, rival_shop = await market.database.transact(shops)
    product, variant = await market.database.transact(lambda tx: _new_product(tx, owner, shop))
    async with market.database.connection() as con:
        slug: str = await con.fetchval("SELECT slug FROM shops WHERE id = $1", shop)
    cast = Cast(
        market=market,
        people=people,
        ids={
            "shop": str(shop),
            "slug": slug,
            "provider": "sandbox",
            "product": str(product),
            "kind": "jobs.purge",
        },
        rival_shop=rival_shop,
        placed_order=OrderId(uuid4()),
        unpaid_order=OrderId(uuid4()),
    )
    cast.ids["provider_event"] = await cast.market.database.transact(_new_provider_event)
    cast.ids |= {name: await cast.fresh(name) for name in ("media", "address", "session", "job")}
    cast.ids |= {name: await cast.fresh(name) for name in ("promotion", "method")}
    cast.ids["key"] = await cast.fresh("key")
    cast.ids |= {"variant": str(variant), "country": "NZ"}
    await _buy(cast, shop, variant)
    cast.ids |= await market.database.transact(
        lambda tx: money_ids(tx, owner, shop, cast.ids["order"])
    )
    buyer = people["buyer"].principal
    conversation = await market.database.transact(
        lambda tx: open_conversation(tx, buyer, OpenConversation(shop=shop))
    )
    cast.ids["conversation"] = str(conversation)
    cast.ids["attachment"] = await cast.send_attachment()
    cast.ids["offer"] = await cast.fresh("offer")
    cast.ids["message"] = await cast.fresh("message")
    cast.ids["report"] = await cast.fresh("report")
    finance = people["finance"].principal
    cast.ids |= await market.database.transact(lambda tx: ledger_ids(tx, finance))
    cast.ids["return_id"] = await cast.fresh("return_id")
    cast.ids["user"] = str(people["staff"].user)
    # Not yet a member.
    cast.ids["member"] = str(people["support"].user)
    return cast


def address_of(path: str, ids: Mapping[str, str]) -> str:
    """A route's template with its parameters filled in."""
    return path.format_map(ids)


async def _actor(market: Market, *roles: Any, verified: bool = True) -> Actor:
    async def make(tx: Tx) -> Actor:
        email, name = f"{uuid4().hex}@cast.example", "Somebody"
        if verified:
            user = await create_user(
                tx, email=email, password_hash="-", display_name=name, roles=frozenset(roles)
            )
        else:
            user = await tx.con.fetchval(USERS_SQL["insert_user"], email, "-", name, [], None)
        opened = await open_session(tx, user, user_agent="cast", address=None)
        token, _ = market.tokens.issue(user, opened.session_id, tx.now)
        principal = Principal(
            user_id=user,
            session_id=SessionId(opened.session_id),
            display_name=name,
            roles=principal_roles(list(roles), verified=verified),
        )
        return Actor(principal=principal, token=token)

    return await market.database.transact(make)


async def _open_shop(tx: Tx, owner: Principal, admin: Principal) -> ShopId:
    wanted = ApplyForShop(name=f"Shop {uuid4().hex[:8]}", country="PT", currency="EUR")
    shop = await apply_for_shop(tx, owner, wanted)
    await record_account(tx, shop.id, Account(reference=f"acct_{uuid4()}", status="verified"))
    await decide(tx, admin, shop.id, "approve", "A good neighbour.")
    return shop.id


async def _new_product(tx: Tx, owner: Principal, shop: ShopId) -> tuple[ProductId, VariantId]:
    new = NewProduct(
        title="A thing",
        category="books",
        variants=[NewVariant(sku=f"THING-{next(_numbers)}", price_minor=1_000, on_hand=500)],
    )
    product = await create_product(tx, owner, shop, new)
    await publish(tx, owner, product, 1)
    variant = await tx.con.fetchval("SELECT id FROM variants WHERE product_id = $1", product)
    return product, variant


async def _new_dead_job(tx: Tx) -> str:
    job: UUID = await tx.con.fetchval(
        "INSERT INTO jobs (kind, args, state, finished_at, attempt)"
        " VALUES ('test.cast', '{}', 'dead', now(), 12) RETURNING id"
    )
    return str(job)


async def _new_provider_event(tx: Tx) -> str:
    event: UUID = await tx.con.fetchval(
        "INSERT INTO webhook_events (provider, event_id, type, kind, subject, handled_at)"
        " VALUES ('sandbox', $1, 'payment_intent.succeeded', 'intent', 'pi_cast', now()) RETURNING id",
        uuid4().hex,
    )
    return str(event)


async def _buy(cast: Cast, shop: ShopId, variant: VariantId) -> None:
    """One order that is paid, and one whose payment is still to come."""
    gateway = MemoryGateway()
    stage = Stage(market=replace(cast.market, payments=gateway), gateway=gateway)
    principal = cast.people["buyer"].principal
    buyer = Buyer(principal=principal, address=AddressId(UUID(cast.ids["address"])))
    made, (cast.placed_order,) = await stage.buy(buyer, variant)
    await stage.pay(made)
    arrived, (delivered,) = await stage.buy(buyer, variant, quantity=200)
    await stage.pay(arrived)
    owner = cast.people["owner"].principal
    await stage.do(owner, delivered, Accept())
    await stage.do(owner, delivered, Ship(carrier="CTT", tracking_number="1"))
    await stage.do(principal, delivered, Deliver())
    cast.ids["delivered_order"] = str(delivered)
    unpaid, (cast.unpaid_order,) = await stage.buy(buyer, variant)
    async with cast.market.database.connection() as con:
        group = await read_group(con, unpaid.group_id, principal)
    assert group.orders[0].shop_id == shop
    cast.ids |= {
        "order": str(cast.placed_order),
        "group": str(unpaid.group_id),
        "payment": str(unpaid.payment_id),
        "dispute": await _quarrel(cast, stage),
    }


async def _quarrel(cast: Cast, stage: Stage) -> str:
    """A dispute of two others: the other buyer waits for a parcel from the rival's shop."""
    seller, principal = cast.people["rival"].principal, cast.people["other_buyer"].principal
    _, variant = await cast.transact(lambda tx: _new_product(tx, seller, cast.rival_shop))
    address = await cast.transact(lambda tx: add_address(tx, principal.user_id, HOME))
    made, (order,) = await stage.buy(Buyer(principal=principal, address=address.id), variant)
    await stage.pay(made)
    await stage.do(seller, order, Accept())
    await stage.do(seller, order, Ship(carrier="CTT", tracking_number="RR1"))
    await stage.do(principal, order, OpenDispute(problem="not_arrived", text="Where is it?"))
    async with cast.market.database.connection() as con:
        (dispute,) = (await list_disputes(con, order, principal)).items
    return str(dispute.id)

"""Topic names: ordered logs that clients watch.

conversation:{id}   its members
order:{id}          its buyer, its shop's team, support
inbox:{user}        that user
shop:{id}           its team
product:{id}        anyone
ops                 support, finance, admin
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final, Literal, NamedTuple, cast
from uuid import UUID

from feira.platform.domain.errors import InvalidInput
from feira.platform.domain.ids import ConversationId, OrderId, ProductId, ShopId, UserId

TopicKind = Literal["conversation", "order", "inbox", "shop", "product", "ops"]
_KINDS_WITH_ID: Final = frozenset({"conversation", "order", "inbox", "shop", "product"})

# How many missed events a resume replays; beyond, the client reloads through history.
REPLAY_EVENTS_MAX: Final = 300

# The same names come again with every message.
NAMES_REMEMBERED: Final = 16_384


class Topic(NamedTuple):
    """A parsed topic; `str(topic)` is its name on the wire, on the bus and in the log."""

    kind: TopicKind
    id: UUID | None = None

    def __str__(self) -> str:
        return self.kind if self.id is None else f"{self.kind}:{self.id}"


OPS: Final = Topic("ops")


def conversation_topic(conversation: ConversationId) -> Topic:
    return Topic("conversation", conversation)


def order_topic(order: OrderId) -> Topic:
    return Topic("order", order)


def inbox_topic(user: UserId) -> Topic:
    return Topic("inbox", user)


def shop_topic(shop: ShopId) -> Topic:
    return Topic("shop", shop)


def product_topic(product: ProductId) -> Topic:
    return Topic("product", product)


@lru_cache(maxsize=NAMES_REMEMBERED)
def parse_topic(name: str) -> Topic:
    """Parse a topic's name in its canonical spelling only, so that one topic has one name.

    Raises:
        InvalidInput: `topic.malformed`.
    """
    kind, separator, identifier = name.partition(":")
    if not separator and kind == "ops":
        return OPS
    if kind in _KINDS_WITH_ID:
        try:
            parsed = UUID(identifier)
        except ValueError:
            parsed = None
        if parsed is not None and str(parsed) == identifier:
            return Topic(cast("TopicKind", kind), parsed)
    raise InvalidInput(
        "topic.malformed",
        f"{name[:80]!r} is not a topic; write conversation:ID, order:ID, inbox:ID, shop:ID, product:ID or ops.",
        field="$.topic",
    )

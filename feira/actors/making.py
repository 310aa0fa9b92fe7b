"""Which actor a topic has."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from feira.actors.conversation import ConversationActor
from feira.actors.inbox import InboxActor
from feira.actors.operations import OperationsActor
from feira.actors.order import OrderActor
from feira.actors.product import ProductActor
from feira.actors.shop import ShopActor
from feira.actors.topic import TopicActor
from feira.platform.domain.ids import ConversationId, OrderId, ProductId, ShopId, UserId
from feira.platform.domain.topics import Topic

if TYPE_CHECKING:
    from feira.actors.node import Node


def make_actor(topic: Topic, node: Node) -> TopicActor:
    """Make the actor of a topic, in the node's surroundings."""
    match topic.kind:
        case "conversation":
            return ConversationActor(cast("ConversationId", topic.id), node=node)
        case "order":
            return OrderActor(cast("OrderId", topic.id), node=node)
        case "inbox":
            return InboxActor(cast("UserId", topic.id), node=node)
        case "shop":
            return ShopActor(cast("ShopId", topic.id), node=node)
        case "product":
            return ProductActor(cast("ProductId", topic.id), node=node)
        case "ops":
            return OperationsActor(node=node)

"""The actor of one shop on this node: its team begins with the orders that are under way."""

from __future__ import annotations

from typing import TYPE_CHECKING

from feira.actors.topic import TopicActor
from feira.platform.domain.ids import ShopId
from feira.platform.domain.topics import shop_topic
from feira.services.orders.live import count_orders_under_way

if TYPE_CHECKING:
    from feira.actors.node import Node


class ShopActor(TopicActor):
    """`order.placed` and `order.moved` say what happens to the counts from then on."""

    __slots__ = ("node", "shop")

    def __init__(self, shop: ShopId, *, node: Node) -> None:
        super().__init__(shop_topic(shop), node.around)
        self.shop = shop
        self.node = node

    async def snapshot(self) -> dict[str, object]:
        async with self.node.database.connection() as con:
            return {"orders": await count_orders_under_way(con, self.shop)}

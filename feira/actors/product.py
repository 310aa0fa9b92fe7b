"""The actor of one product on this node: newcomers get its prices and what is left, events what changes of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from feira.actors.topic import TopicActor
from feira.platform.domain.ids import ProductId
from feira.platform.domain.topics import product_topic
from feira.services.products.live import read_live_variants

if TYPE_CHECKING:
    from feira.actors.node import Node


class ProductActor(TopicActor):
    """A crowd that comes for the last one reads the stock once."""

    __slots__ = ("node", "product")

    def __init__(self, product: ProductId, *, node: Node) -> None:
        super().__init__(product_topic(product), node.around)
        self.product = product
        self.node = node

    async def snapshot(self) -> dict[str, object]:
        async with self.node.database.connection() as con:
            return {"variants": await read_live_variants(con, self.product)}

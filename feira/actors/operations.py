"""The actor of the operators' topic on this node, and what each node tells it of its traffic."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from feira.actors import metrics
from feira.actors.registry import Registry
from feira.actors.report import report
from feira.actors.topic import TopicActor
from feira.platform.domain.topics import OPS, Topic
from feira.services.operations.jobs import read_kinds

if TYPE_CHECKING:
    from feira.actors.node import Node

EVERY_S: Final = 5.0


class OperationsActor(TopicActor):
    """Newcomers get the queues as they are."""

    __slots__ = ("node",)

    def __init__(self, *, node: Node) -> None:
        super().__init__(OPS, node.around)
        self.node = node

    async def snapshot(self) -> dict[str, object]:
        async with self.node.database.connection() as con:
            return {"jobs": (await read_kinds(con)).items}


async def tell_traffic_for_ever(
    registry: Registry, *, node: str, tell: Callable[[Topic, object], None]
) -> None:
    """Tell whoever watches `ops`, on whatever node, how busy this one is. It passes by: the next replaces it."""
    while True:
        await asyncio.sleep(EVERY_S)
        sums = report(registry, node=node, limit=0)
        metrics.MAILBOX_DEPTH.set(sums.mailbox_depth)
        traffic = {
            "topic": str(OPS),
            "node": node,
            "actors": sums.actors,
            "watchers": sums.watchers,
            "mailbox_depth": sums.mailbox_depth,
        }
        tell(OPS, {"traffic": traffic})

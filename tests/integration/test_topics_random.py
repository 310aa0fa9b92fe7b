"""The property of `tests/unit/actors/test_topic_property.py` on real stores: two nodes, Postgres, Valkey, seeded dice."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
from dataclasses import dataclass, field
from typing import Any

import msgspec
import pytest

from feira.actors.frames import Encoding, Frame
from feira.actors.mail import Position
from feira.platform.domain.errors import FeiraError
from feira.platform.domain.ids import UserId
from feira.platform.domain.topics import Topic, conversation_topic
from feira.platform.runtime.config import Config
from tests.integration.live import LiveNode, Talk, eventually, live_node, message, open_talk

STEPS = 120
SEEDS = [int(seed) for seed in os.environ.get("TEST_SEEDS", "1,2").split(",")]


@dataclass(eq=False)
class Reader:
    """A client's memory: the last number, what came, and which promises were not kept."""

    user_id: UserId
    encoding: Encoding = "json"
    position: Position | None = None
    home: LiveNode | None = None
    seen: dict[int, str] = field(default_factory=dict[int, str])
    early: list[dict[str, Any]] | None = None
    broken: list[str] = field(default_factory=list[str])

    def push(self, frame: Frame) -> None:
        for line in frame.data.split(b"\n"):
            pushed = msgspec.json.decode(line)
            if "event" in pushed:
                if self.early is None:
                    self._take(pushed["event"])
                else:
                    self.early.append(pushed["event"])

    def resync(self, topic: Topic) -> None:
        del topic
        self.home = None

    def lose(self, topic: Topic) -> None:
        self.broken.append(f"{topic} was taken away")

    async def go_to(self, node: LiveNode, topic: Topic) -> None:
        """Watch from a node, from where it stands."""
        self.early = []
        try:
            subscription = await node.node.subscribe(topic, self, self.position)
            self.home = node
            if self.position is None:
                self.position = Position(seq=subscription.seq, epoch=subscription.epoch)
            elif not subscription.recovered:
                self.broken.append("so little was missed, and it was not replayed")
            for event in subscription.events:
                self._take(msgspec.to_builtins({"seq": event.seq, "body": _decoded(event.body)}))
        finally:
            early, self.early = self.early or [], None
            for event in early:
                self._take(event)

    def _take(self, event: dict[str, Any]) -> None:
        assert self.position is not None
        if event["seq"] != self.position.seq + 1:
            self.broken.append(f"{event['seq']} came after {self.position.seq}")
        self.position = Position(seq=event["seq"], epoch=self.position.epoch)
        self.seen[event["seq"]] = event["body"]["text"]


def _decoded(body: msgspec.Raw) -> Any:
    return msgspec.json.decode(body)


@pytest.mark.parametrize("seed", SEEDS)
async def test_every_watcher_sees_each_message_once_and_in_order(config: Config, seed: int) -> None:
    print(f"TEST_SEEDS={seed}")
    dice = random.Random(seed)
    async with live_node(config, "node-a") as one, live_node(config, "node-b") as other:
        nodes = (one, other)
        talk = await open_talk(one.database)
        topic = conversation_topic(talk.conversation)
        readers = [Reader(who.user_id) for who in (talk.buyer, talk.seller, talk.buyer)]
        for reader in readers:
            await reader.go_to(dice.choice(nodes), topic)
        said: dict[int, str] = {}
        for number in range(STEPS):
            await _step(dice, nodes, talk, readers, said, number)
        await _settle(nodes, topic, readers, said)
        for reader in readers:
            assert reader.broken == []
            assert reader.seen == said


async def _step(
    dice: random.Random,
    nodes: tuple[LiveNode, LiveNode],
    talk: Talk,
    readers: list[Reader],
    said: dict[int, str],
    number: int,
) -> None:
    topic = conversation_topic(talk.conversation)
    node, reader = dice.choice(nodes), dice.choice(readers)
    match dice.choice(("say", "say", "say", "say", "move", "crash", "deafen", "hear", "put away")):
        case "say":
            who = dice.choice((talk.buyer, talk.seller))
            place = await node.node.post_message(who, talk.conversation, message(f"{number}"))
            said[place.seq] = f"{number}"
        case "move":
            if reader.home is not None:
                reader.home.node.unsubscribe(topic, reader)
                reader.home = None
            with contextlib.suppress(FeiraError):
                await reader.go_to(node, topic)
        case "crash":
            actor = node.node.actors.get(topic)
            if actor is not None:
                actor.tell("nobody knows this mail")
        case "deafen":
            # What the other node says from now on is lost.
            node.bus.unwatch([str(topic)])
        case "hear":
            await node.bus.watch([str(topic)])
        case _:
            node.node.passivate(older_than_s=0)
    if dice.random() < 0.3:
        await asyncio.sleep(0.005)


async def _settle(
    nodes: tuple[LiveNode, LiveNode], topic: Topic, readers: list[Reader], said: dict[int, str]
) -> None:
    """The top check finds what was lost; who was sent away comes back."""

    def is_quiet() -> bool:
        actors = [node.node.actors.get(topic) for node in nodes]
        return all(actor is None or actor.is_idle for actor in actors)

    async with asyncio.timeout(20):
        while not all(reader.home and len(reader.seen) == len(said) for reader in readers):
            await eventually(is_quiet)
            for reader in readers:
                if reader.home is None:
                    with contextlib.suppress(FeiraError):
                        await reader.go_to(nodes[0], topic)
            await asyncio.sleep(0.05)

"""This node's actors as operators see them."""

from __future__ import annotations

import heapq
import time
from typing import Final

import msgspec

from feira.actors.registry import Registry
from feira.actors.topic import TopicActor

ACTORS_LISTED_MAX: Final = 200


class ActorReport(msgspec.Struct, frozen=True, kw_only=True):
    """One actor. `messages_per_s` is of the last ten seconds or so, `batches` since it was made."""

    topic: str
    kind: str
    watchers: int
    mailbox_depth: int
    oldest_mail_age_s: float
    batches: int
    messages_per_s: float
    crashes: int
    idle_s: float


class NodeReport(msgspec.Struct, frozen=True, kw_only=True):
    """One node's busiest actors, the busiest first, and the sums over all of its actors."""

    node: str
    actors: int
    watchers: int
    mailbox_depth: int
    items: list[ActorReport]


def report(registry: Registry, *, node: str, limit: int) -> NodeReport:
    """Describe the busiest actors: by messages per second, then by mail that waits."""
    busiest = heapq.nlargest(limit, registry, key=lambda a: (a.mail_per_s, a.mailbox_depth))
    return NodeReport(
        node=node,
        actors=len(registry),
        watchers=sum(len(actor.watchers) for actor in registry),
        mailbox_depth=registry.mailbox_depth,
        items=[_describe(actor) for actor in busiest],
    )


def _describe(actor: TopicActor) -> ActorReport:
    return ActorReport(
        topic=str(actor.topic),
        kind=actor.kind,
        watchers=len(actor.watchers),
        mailbox_depth=actor.mailbox_depth,
        oldest_mail_age_s=round(actor.oldest_mail_age_s, 3),
        batches=actor.turns,
        messages_per_s=round(actor.mail_per_s, 2),
        crashes=actor.crashes,
        idle_s=round(max(0.0, time.monotonic() - actor.used_at), 1),
    )

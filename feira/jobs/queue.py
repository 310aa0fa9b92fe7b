"""The arq queue: the hands. What it holds may vanish with Redis at any time; the rows know.

A message is `(job id, attempt)` and nothing else, packed without pickle: whoever can write to Redis must not
be able to run code here.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec
from arq.connections import ArqRedis
from arq.constants import job_key_prefix
from arq.jobs import serialize_job
from arq.utils import timestamp_ms
from redis.exceptions import RedisError

from feira.platform.runtime.config import Config
from feira.platform.runtime.installation import installation_name
from feira.platform.runtime.redis_client import redis_pool
from feira.sql.jobs import QueuedAttempt

PERFORM: Final = "perform"
# arq changes the queue, its keys of a job, and always its own `arq:abort` in one transaction, which a cluster allows
# within one slot only. That key's name is fixed, so all the others carry it as their hash tag.
HOME: Final = "{arq:abort}"
REDIS_TIMEOUT_S: Final = 5.0
# A message is of no use once its lease, seconds long, is over.
MESSAGE_KEPT_MS: Final = 10 * 60 * 1000
# arq starts what has a place in the past, the earliest first. A place is a rank, put back by more than any kind's patience
# and any two clocks' difference: it says who goes first, not when.
PLACED_BACK_MS: Final = 3_600_000
# How Redis being away shows.
REDIS_AWAY: Final = (RedisError, OSError, TimeoutError)


def queue_name(config: Config) -> str:
    """The sorted set this installation's messages are in."""
    return f"{HOME}:{installation_name(config.postgres_dsn)}:queue"


def open_queue(config: Config) -> ArqRedis:
    """A client with a pool of its own that connects when it is used; close it with `close_queue`."""
    return ArqRedis(
        redis_pool(config.redis_url, home=HOME, timeout_s=REDIS_TIMEOUT_S),
        job_serializer=pack,
        job_deserializer=unpack,
        default_queue_name=queue_name(config),
    )


async def close_queue(queue: ArqRedis) -> None:
    await queue.aclose(close_connection_pool=True)


async def enqueue(queue: ArqRedis, attempts: Sequence[QueuedAttempt]) -> None:
    """Put attempts into the queue, all in one round trip; one that is in it already keeps its place.

    As arq's `enqueue_job` does, less its question whether the message is there: a doubled one is claimed once.

    Raises:
        RedisError | OSError | TimeoutError: Redis is away; which messages are in it is unknown.
    """
    now_ms = timestamp_ms()
    places: dict[str, float] = {}
    async with queue.pipeline(transaction=False) as pipe:
        for attempt in attempts:
            args = (str(attempt.id), attempt.attempt)
            name = f"{HOME}{args[0]}:{args[1]}"
            message = serialize_job(PERFORM, args, {}, None, now_ms, serializer=pack)
            pipe.psetex(job_key_prefix + name, MESSAGE_KEPT_MS, message)
            places[name] = attempt.rank_at.timestamp() * 1000 - PLACED_BACK_MS
        # Last: who finds a name in the queue finds its message.
        pipe.zadd(queue.default_queue_name, places, nx=True)
        await pipe.execute()


def pack(message: dict[str, Any]) -> bytes:
    return msgspec.msgpack.encode(message)


def unpack(data: bytes) -> dict[str, Any]:
    return msgspec.msgpack.decode(data, type=dict[str, Any])

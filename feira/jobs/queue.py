"""The arq queue: the hands. What it holds may vanish with Redis at any time; the rows know.

A message is `(job id, attempt)` and nothing else, packed without pickle: whoever can write to Redis must not
be able to run code here.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec
from arq.connections import ArqRedis
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


async def enqueue(queue: ArqRedis, attempt: QueuedAttempt) -> None:
    """Put an attempt into the queue; one that is in it already is left alone.

    Raises:
        RedisError | OSError | TimeoutError: Redis is away; whether the message is in it is unknown.
    """
    job_id = str(attempt.id)
    await queue.enqueue_job(
        PERFORM, job_id, attempt.attempt, _job_id=f"{HOME}{job_id}:{attempt.attempt}"
    )


def pack(message: dict[str, Any]) -> bytes:
    return msgspec.msgpack.encode(message)


def unpack(data: bytes) -> dict[str, Any]:
    return msgspec.msgpack.decode(data, type=dict[str, Any])

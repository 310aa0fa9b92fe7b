"""How much longer an acknowledged message takes than the cheapest durable write there is.

A client process opens sockets to one `feira serve` and sends chat messages, one in flight: a round trip ends with
the answer that says the message is committed with fsync. By turns, in blocks, the same process runs a bare
single-row INSERT in autocommit, prepared, against the same PostgreSQL. The figure is the median round trip divided
by the median INSERT, in each repetition. Messages go over several sockets in turn, because one socket may only say
50 messages a second; what the server does after an answer (unread counts, the bus) falls on the next message.
"""

from __future__ import annotations

import statistics
from typing import Final

import msgspec

from bench.chat_client import ChatResult, ChatWork
from bench.client_process import run_client
from bench.report import Figure
from bench.samples import line_of, line_of_results
from bench.stage import Stage, make_talkers, open_servers, open_stage

RATIO_GOAL: Final = 3.0


class ChatSizes(msgspec.Struct, frozen=True, kw_only=True):
    """How much is measured."""

    sockets: int = 24
    repetitions: int = 5
    blocks: int = 10
    block: int = 100


SMALL: Final = ChatSizes(sockets=3, repetitions=2, blocks=2, block=5)


async def measure(sizes: ChatSizes) -> Figure:
    """Open a stage and measure on it."""
    async with open_servers() as config, open_stage(config) as stage:
        return await measure_on(stage, sizes)


async def measure_on(stage: Stage, sizes: ChatSizes) -> Figure:
    talkers = await make_talkers(stage, sizes.sockets)
    work = ChatWork(
        url=stage.url,
        postgres_dsn=stage.config.postgres_dsn,
        talkers=talkers,
        repetitions=sizes.repetitions,
        blocks=sizes.blocks,
        block=sizes.block,
    )
    async with run_client("bench.chat_client", work) as client:
        result = await client.hear(ChatResult)
    await _require_kept(stage, result)
    messages = [repetition.messages_ms for repetition in result.repetitions]
    inserts = [repetition.inserts_ms for repetition in result.repetitions]
    ratios = [
        statistics.median(said) / statistics.median(inserted)
        for said, inserted in zip(messages, inserts, strict=True)
    ]
    ratio = statistics.median(ratios)
    return Figure(
        name="chat",
        what="Acknowledged-durable message over a socket, against a bare INSERT into the same PostgreSQL.",
        goal=f"at most {RATIO_GOAL:g} times an INSERT",
        reached=f"{ratio:.2f} times an INSERT",
        is_met=ratio <= RATIO_GOAL,
        lines=[
            line_of("message, sent to acknowledged", "ms", messages),
            line_of("single-row INSERT, autocommit", "ms", inserts),
            line_of_results("ratio of the medians", "x", ratios),
        ],
        remarks=[
            f"{sizes.sockets} sockets in turn, one message in flight, blocks of {sizes.block}",
        ],
    )


async def _require_kept(stage: Stage, result: ChatResult) -> None:
    """Acknowledged is what is in the log, no more and no less."""
    async with stage.ground.market.database.connection() as con:
        records = await con.fetch(
            "SELECT conversation_id, count(*) AS messages, max(seq) AS seq FROM messages"
            " WHERE conversation_id = ANY ($1::uuid[]) GROUP BY conversation_id",
            list(result.acknowledged),
        )
    kept = {record["conversation_id"]: record["messages"] for record in records}
    if kept != {conversation: seq for conversation, seq in result.acknowledged.items() if seq}:
        raise RuntimeError(f"acknowledged {result.acknowledged}, kept {kept}")

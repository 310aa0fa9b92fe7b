"""Topic logs: append inside the transaction, read after a sequence number.

`seq` is taken by updating the topic's counter row in the transaction that makes the events, so the row lock
makes commit order equal sequence order and leaves no holes. A conversation's log is its `messages` table;
every other topic's is `topic_events`.
"""

from __future__ import annotations

from datetime import datetime

import msgspec

from feira.platform.domain.events import Event, LoggedEvent, TopicBatch
from feira.platform.domain.topics import Topic
from feira.sql.jobs import JobRow
from feira.sql.loader import Connection, fetch_all, load_queries

SQL = load_queries("topics")


class TopicHead(msgspec.Struct, frozen=True, kw_only=True):
    """The last committed sequence number of a topic, and the epoch of the database's logs."""

    topic: str
    seq: int
    epoch: str


class _Counter(msgspec.Struct, frozen=True, kw_only=True):
    topic: str
    seq: int
    epoch: str
    at: datetime


async def append_events_and_jobs(
    con: Connection, emitted: list[tuple[Topic, Event]], jobs: list[JobRow]
) -> list[TopicBatch]:
    """Append events to their topics' logs, and return them as the batches to publish after the commit; add ready jobs.

    Counter rows are locked in the order of their names, before the jobs' dedup keys. A job whose key exists already
    is left as it is.
    """
    if not emitted and not jobs:
        return []
    by_topic: dict[Topic, list[Event]] = {}
    for topic, event in emitted:
        assert topic.kind != "conversation", "messages are appended by the messaging service"
        by_topic.setdefault(topic, []).append(event)
    ordered = sorted(by_topic, key=str)
    bodies = {
        topic: [msgspec.Raw(msgspec.json.encode(event)) for event in by_topic[topic]]
        for topic in ordered
    }
    counters = await fetch_all(
        con,
        SQL["append_events_and_jobs"],
        _Counter,
        [str(topic) for topic in ordered],
        [len(bodies[topic]) for topic in ordered],
        [str(topic) for topic in ordered for _ in bodies[topic]],
        [before for topic in ordered for before in reversed(range(len(bodies[topic])))],
        [body for topic in ordered for body in bodies[topic]],
        [job.kind for job in jobs],
        [job.args for job in jobs],
        [job.run_at for job in jobs],
        [job.attempts_max for job in jobs],
        [job.dedup for job in jobs],
    )
    heads = {counter.topic: counter for counter in counters}
    assert len(heads) == len(ordered), "every topic was advanced"
    return [_batch(topic, heads[str(topic)], bodies[topic]) for topic in ordered]


async def read_head(con: Connection, topic: Topic) -> TopicHead:
    """Return the topic's head; a topic that nothing was ever said on has sequence 0."""
    heads = await read_heads(con, [topic])
    assert len(heads) == 1, f"{topic} is there: whoever watches it was allowed to"
    return heads[0]


async def read_heads(con: Connection, topics: list[Topic]) -> list[TopicHead]:
    """Return the topics' heads in one query (the shared top check)."""
    return await fetch_all(
        con,
        SQL["read_heads"],
        TopicHead,
        [str(topic) for topic in topics if topic.kind != "conversation"],
        [topic.id for topic in topics if topic.kind == "conversation"],
    )


async def read_events(
    con: Connection, topic: Topic, *, after: int, limit: int
) -> list[LoggedEvent]:
    """Return up to `limit` events with `seq > after`, in order."""
    if topic.kind == "conversation":
        return await fetch_all(con, SQL["read_messages"], LoggedEvent, topic.id, after, limit)
    return await fetch_all(con, SQL["read_events"], LoggedEvent, str(topic), after, limit)


def _batch(topic: Topic, head: _Counter, bodies: list[msgspec.Raw]) -> TopicBatch:
    events = [
        LoggedEvent(seq=seq, at=head.at, body=body)
        for seq, body in enumerate(bodies, head.seq - len(bodies) + 1)
    ]
    return TopicBatch(topic=topic, epoch=head.epoch, events=events)

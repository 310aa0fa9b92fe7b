"""What a room's watchers are told about who is there."""

from __future__ import annotations

from typing import Any
from uuid import UUID, uuid4

from feira.actors.presence_room import NAMES_AGAIN_MAX, NAMES_MAX, Room
from feira.platform.domain.ids import ConversationId, UserId
from feira.platform.domain.topics import conversation_topic

ANA, RUI = UserId(UUID(int=1)), UserId(UUID(int=2))


def make_room() -> Room:
    return Room(conversation_topic(ConversationId(uuid4())))


def make_users(count: int) -> list[UserId]:
    return [UserId(UUID(int=number)) for number in range(100, 100 + count)]


def names(messages: list[dict[str, Any]]) -> list[tuple[UserId, bool]]:
    return [(message["presence"]["user"], message["presence"]["online"]) for message in messages]


def test_news_are_told_once() -> None:
    room = make_room()
    room.enter(ANA)
    assert names(room.news()) == [(ANA, True)]
    assert room.news() == []
    room.elsewhere = frozenset({RUI})
    assert names(room.news()) == [(RUI, True)]
    room.leave(ANA)
    room.elsewhere = frozenset()
    assert names(room.news()) == [(ANA, False), (RUI, False)]


def test_who_leaves_and_comes_back_within_a_moment_is_no_news() -> None:
    room = make_room()
    room.enter(ANA)
    room.news()
    assert room.leave(ANA)
    assert room.enter(ANA)
    assert room.news() == []


def test_a_user_is_here_until_the_last_of_their_sockets_anywhere_is_gone() -> None:
    room = make_room()
    assert room.enter(ANA)
    assert not room.enter(ANA)
    room.news()
    assert not room.leave(ANA)
    room.elsewhere = frozenset({ANA})
    assert room.leave(ANA)
    assert room.is_empty
    assert room.news() == []
    room.elsewhere = frozenset()
    assert names(room.news()) == [(ANA, False)]


def test_a_leaving_that_was_never_counted_in_changes_nothing() -> None:
    room = make_room()
    assert not room.leave(ANA)
    room.enter(ANA)
    assert room.snapshot() == {"online": [ANA]}


def test_a_crowd_is_a_number_and_becomes_names_again_when_most_have_gone() -> None:
    room, users = make_room(), make_users(NAMES_MAX + 1)
    for user in users[:-1]:
        room.enter(user)
    assert len(names(room.news())) == NAMES_MAX
    room.enter(users[-1])
    count = {"topic": str(room.topic), "online": NAMES_MAX + 1}
    assert room.news() == [{"presence_count": count}]
    assert room.news() == []
    assert room.snapshot() == {"online_count": NAMES_MAX + 1}
    for user in users[NAMES_AGAIN_MAX + 1 :]:
        room.leave(user)
    assert room.news() == [{"presence_count": {**count, "online": NAMES_AGAIN_MAX + 1}}]
    room.leave(users[NAMES_AGAIN_MAX])
    assert names(room.news()) == [(user, True) for user in users[:NAMES_AGAIN_MAX]]
    assert room.snapshot() == {"online": users[:NAMES_AGAIN_MAX]}


def test_a_newcomer_who_was_told_a_number_gets_numbers_from_then_on() -> None:
    """Names would be news of a list that the newcomer does not have."""
    room, users = make_room(), make_users(NAMES_MAX + 1)
    room.elsewhere = frozenset(users)
    assert room.snapshot() == {"online_count": NAMES_MAX + 1}
    room.elsewhere = frozenset(users[:-1])
    assert room.news() == [{"presence_count": {"topic": str(room.topic), "online": NAMES_MAX}}]

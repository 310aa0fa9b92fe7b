"""The spam rules: what people do passes, what programs do is told to wait."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from feira.platform.domain.errors import FeiraError, Rejected, TooMany
from feira.platform.domain.spam import (
    LINKS_MAX,
    MESSAGES_MAX,
    NEW_CONVERSATIONS_MAX,
    SAME_TEXT_CONVERSATIONS_MAX,
    fingerprint_of,
    is_same_text_spam,
    is_too_fast,
    require_few_links,
    require_few_new_conversations,
)

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def links(count: int) -> str:
    return " ".join(f"shop{number}.com" for number in range(count))


@pytest.mark.parametrize(
    ("text", "is_flood"),
    [
        ("Bom dia", False),
        ("It is 1.50 a piece, 12.00 for ten. See you. Then. Or. Not. A. B. C. D. E. F. G.", False),
        (links(LINKS_MAX), False),
        (links(LINKS_MAX + 1), True),
        (" ".join(["https://a.com"] * LINKS_MAX), False),
        ("." * 4_000, False),
    ],
)
def test_a_list_of_links_is_no_message(text: str, is_flood: bool) -> None:  # noqa: FBT001
    caught: FeiraError | None = None
    try:
        require_few_links(text)
    except Rejected as error:
        caught = error
    assert (caught is not None) == is_flood
    assert caught is None or caught.code == "message.too_many_links"


@pytest.mark.parametrize(
    ("count", "oldest_s_ago", "wait_s"),
    [
        (1, 0, None),
        (NEW_CONVERSATIONS_MAX, 1_800, None),
        (NEW_CONVERSATIONS_MAX + 1, 1_800, 1_800),
        (NEW_CONVERSATIONS_MAX + 1, 3_599, 1),
        (NEW_CONVERSATIONS_MAX + 1, 3_600, None),
    ],
)
def test_new_conversations_are_limited_by_the_hour(
    count: int, oldest_s_ago: int, wait_s: float | None
) -> None:
    opened = [NOW] * (count - 1) + [NOW - timedelta(seconds=oldest_s_ago)]
    if wait_s is None:
        require_few_new_conversations(opened, NOW)
        return
    with pytest.raises(TooMany) as caught:
        require_few_new_conversations(opened, NOW)
    assert caught.value.retry_after_s == wait_s


ADVERT = "Buy the best watches of the whole town at our own store!"


@pytest.mark.parametrize(
    ("text", "is_same"),
    [
        (ADVERT, True),
        (ADVERT.upper(), True),
        (ADVERT.replace(" ", "  ") + " :)", True),
        (ADVERT.replace("Buy", "\uff22\uff55\uff59"), True),
        (ADVERT.replace("watches", "clocks"), False),
    ],
)
def test_texts_are_the_same_whatever_is_between_the_letters(text: str, is_same: bool) -> None:  # noqa: FBT001
    assert (fingerprint_of(text) == fingerprint_of(ADVERT)) == is_same


def test_short_texts_may_be_said_everywhere() -> None:
    assert fingerprint_of("Is it still available?") is None
    assert fingerprint_of(ADVERT) is not None


def test_the_limits_themselves_are_allowed() -> None:
    assert not is_same_text_spam(SAME_TEXT_CONVERSATIONS_MAX)
    assert is_same_text_spam(SAME_TEXT_CONVERSATIONS_MAX + 1)
    assert not is_too_fast(MESSAGES_MAX)
    assert is_too_fast(MESSAGES_MAX + 1)

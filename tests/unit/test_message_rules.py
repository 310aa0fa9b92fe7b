"""What counts as one emoji, and until when a message may be edited."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from feira.platform.domain.errors import InvalidInput, Rejected
from feira.platform.domain.ids import UserId
from feira.platform.domain.messages import (
    EDIT_WITHIN_S,
    MessageState,
    require_editable,
    require_emoji,
)

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    "text", ["👍", "❤️", "👨‍👩‍👧‍👦", "🏴󠁧󠁢󠁥󠁮󠁧󠁿", "👍🏽", "1️⃣", "🇵🇹", "©", "↔️", "🧑🏽‍🚀"]
)
def test_one_emoji_however_composed_is_a_reaction(text: str) -> None:
    require_emoji(text)


@pytest.mark.parametrize(
    "text",
    ["a", "👍👎", "1", " ", "", "🇵🇹🇪🇸", "🇵", "\u200d", "👍\u200d", "<b>", "~", "👍\u0300", "👍\u202e", "\u20e3", "12\u20e3"],
)  # fmt: skip
def test_anything_else_is_not(text: str) -> None:
    with pytest.raises(InvalidInput):
        require_emoji(text)


def test_a_message_is_edited_in_time_or_not_at_all() -> None:
    def said(seconds_ago: int) -> MessageState:
        return MessageState(
            sender=UserId(uuid4()),
            said_at=NOW - timedelta(seconds=seconds_ago),
            is_text=True,
            is_deleted=False,
        )

    require_editable(said(EDIT_WITHIN_S), NOW)
    with pytest.raises(Rejected) as caught:
        require_editable(said(EDIT_WITHIN_S + 1), NOW)
    assert caught.value.code == "message.edit_too_late"

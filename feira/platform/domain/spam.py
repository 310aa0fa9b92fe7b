"""What is too much from one person, however many servers they talk to: pure rules.

Whoever is over a limit is told so with a time to come back; nothing is dropped in silence. The limits are far beyond
what people do and close to what programs do.
"""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from feira.platform.domain.contact_details import count_links
from feira.platform.domain.errors import Rejected, TooMany

LINKS_MAX: Final = 10

NEW_CONVERSATIONS_MAX: Final = 60
NEW_CONVERSATIONS_WITHIN_S: Final = 3_600

# What the sockets of one server allow for a minute on end (`SocketLimits.user_messages_per_s`).
MESSAGES_MAX: Final = 6_000
MESSAGES_WITHIN_S: Final = 60

# A shop that answers the same question all day says the same, too.
SAME_TEXT_CONVERSATIONS_MAX: Final = 20
SAME_TEXT_WITHIN_S: Final = 600
# "Is it still there?" is asked everywhere, and honestly.
SAME_TEXT_CHARS_MIN: Final = 40


def require_few_links(text: str) -> None:
    """Pass for a text that is no list of links.

    Raises:
        Rejected: `message.too_many_links`.
    """
    # Each link has a dot: most texts need no closer look.
    if text.count(".") > LINKS_MAX and count_links(text) > LINKS_MAX:
        raise Rejected(
            "message.too_many_links",
            f"More than {LINKS_MAX} links are too many for one message.",
            field="$.text",
        )


def require_few_new_conversations(opened: Sequence[datetime], now: datetime) -> None:
    """Pass while a person, with the conversation that they just opened, is within the limit.

    `opened` says when they opened their last ones, the latest first: one more than the limit suffices.

    Raises:
        TooMany: `conversation.too_many_new`.
    """
    if len(opened) <= NEW_CONVERSATIONS_MAX:
        return
    # Another one fits in as soon as this one is long enough ago.
    oldest = opened[NEW_CONVERSATIONS_MAX]
    left_s = (oldest + timedelta(seconds=NEW_CONVERSATIONS_WITHIN_S) - now).total_seconds()
    if left_s > 0:
        raise TooMany(
            "conversation.too_many_new",
            f"{NEW_CONVERSATIONS_MAX} new conversations an hour are the most; answer in those that you have.",
            retry_after_s=left_s,
        )


def fingerprint_of(text: str) -> bytes | None:
    """What texts have in common that differ in case, spaces and punctuation; None for what is too short to be spam."""
    if len(text) < SAME_TEXT_CHARS_MIN:
        return None
    plain = text if text.isascii() else unicodedata.normalize("NFKC", text)
    letters = "".join(filter(str.isalnum, plain.casefold()))
    return hashlib.blake2b(letters.encode(), digest_size=16).digest()


def is_same_text_spam(conversations: int) -> bool:
    """Whether one text in so many conversations, within `SAME_TEXT_WITHIN_S`, is too much."""
    return conversations > SAME_TEXT_CONVERSATIONS_MAX


def is_too_fast(messages: int) -> bool:
    """Whether so many messages, within `MESSAGES_WITHIN_S`, are too much."""
    return messages > MESSAGES_MAX


def same_text(retry_after_s: float) -> TooMany:
    """The answer to a text that was said everywhere."""
    return TooMany(
        "message.same_text",
        f"You said this in {SAME_TEXT_CONVERSATIONS_MAX} conversations just now; say something of its own here.",
        retry_after_s=retry_after_s,
    )


def too_fast(retry_after_s: float) -> TooMany:
    """The answer to whoever says too much."""
    return TooMany(
        "message.too_fast",
        f"{MESSAGES_MAX} messages a minute are the most; wait a moment.",
        retry_after_s=retry_after_s,
    )

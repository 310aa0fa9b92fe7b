"""What may be done with a message once it is said: pure rules."""

from __future__ import annotations

import re
import unicodedata
from datetime import datetime, timedelta
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from feira.platform.domain.errors import InvalidInput, Rejected
from feira.platform.domain.ids import UserId

TEXT_CHARS_MAX: Final = 4_000
QUOTE_CHARS_MAX: Final = 120

# Long enough to mend a slip, short enough that nobody answers to what was never said.
EDIT_WITHIN_S: Final = 15 * 60
REACTIONS_PER_USER_MAX: Final = 10
# A conversation's log is what everybody replays: one member's taps must not push out what others said.
CHANGES_MAX: Final = 20
CHANGES_WITHIN_S: Final = 10

EMOJI_CODE_POINTS_MAX: Final = 16

MessageText = Annotated[str, Meta(min_length=1, max_length=TEXT_CHARS_MAX)]
MessageSeq = Annotated[int, Meta(ge=1, le=2**53)]
Emoji = Annotated[str, Meta(min_length=1, max_length=EMOJI_CODE_POINTS_MAX)]

_JOINER: Final = "\u200d"
_KEYCAP: Final = "\u20e3"
_EMOJI_STYLE: Final = "\ufe0f"
# Skin tones, and the invisible letters that spell a region's flag.
_MODIFIERS: Final = re.compile("[\u200d\ufe0f\U0001f3fb-\U0001f3ff\U000e0020-\U000e007f]")
_FLAG_LETTER: Final = re.compile("[\U0001f1e6-\U0001f1ff]")
_ASCII_MAX: Final = "\x7f"


class MessageState(msgspec.Struct, frozen=True, kw_only=True):
    """What the rules look at. `is_text` is false for other entries, such as offers."""

    sender: UserId
    said_at: datetime
    is_text: bool
    is_deleted: bool


def require_changeable(message: MessageState) -> None:
    """Pass for a message that people may still react to, edit or delete.

    Raises:
        Rejected: `message.deleted`, `message.not_text`.
    """
    if message.is_deleted:
        raise Rejected(
            "message.deleted", "This message was deleted; nothing can change it.", field="$.message"
        )
    if not message.is_text:
        raise Rejected(
            "message.not_text", "Only what people write can be changed.", field="$.message"
        )


def require_editable(message: MessageState, now: datetime) -> None:
    """Pass while the message may still be edited.

    Raises:
        Rejected: as `require_changeable`, and `message.edit_too_late`.
    """
    require_changeable(message)
    if now - message.said_at > timedelta(seconds=EDIT_WITHIN_S):
        raise Rejected(
            "message.edit_too_late",
            f"A message can be edited for {EDIT_WITHIN_S // 60} minutes; say it anew, or delete it.",
            field="$.message",
        )


def require_emoji(text: str) -> None:
    """Pass for exactly one emoji: a symbol with its modifiers, several joined into one, a keycap, or a flag.

    Raises:
        InvalidInput: `reaction.not_an_emoji`.
    """
    if not _is_emoji(text):
        raise InvalidInput("reaction.not_an_emoji", "React with one emoji.", field="$.emoji")


def _is_emoji(text: str) -> bool:
    if text.endswith(_KEYCAP):
        return text[:1] in set("0123456789#*") and text[1:-1] in {"", _EMOJI_STYLE}
    if _FLAG_LETTER.match(text):
        return len(_FLAG_LETTER.findall(text)) == len(text) == 2  # noqa: PLR2004 - a country's letters
    symbols = 0
    for before, character in zip(" " + text, text, strict=False):
        if _MODIFIERS.match(character):
            if symbols == 0:
                return False
        elif unicodedata.category(character) in {"So", "Sm"} and character > _ASCII_MAX:
            # After a joiner it is part of the symbol before it.
            symbols += before != _JOINER
        else:
            return False
    return symbols == 1 and not text.endswith(_JOINER)

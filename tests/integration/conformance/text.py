"""Cases of section 8.1: text is UTF-8, whole or in fragments. The sequences are those of Markus Kuhn's decoder test."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from tests.integration.conformance.case import INVALID_TEXT, REFUSED_BY_FEIRA, Case
from tests.raw_socket import CONTINUATION, TEXT, fragments, frame

# The Greek word kosme, of characters of two bytes and of three.
_GREEK: Final = bytes.fromhex("cebae1bdb9cf83cebcceb5")
_LAST_BYTE_MISSING: Final = (
    "c0", "e080", "f08080", "f8808080", "fc80808080", "df", "efbf", "f7bfbf", "fbbfbfbf", "fdbfbfbfbf",
)  # fmt: skip
_NONCHARACTERS: Final = tuple(
    chr(plane << 16 | 0xFFFE | bit) for plane in range(17) for bit in (0, 1)
)
SOUND: Final[dict[str, tuple[bytes, ...]]] = {
    "one to four bytes a character": tuple(f"hello{c}world".encode() for c in "$¢€𤭢"),
    "Greek": (_GREEK,),
    "whole prefixes": tuple(_GREEK[:size] for size in (2, 5, 7, 9)),
    "first of a length": ("\x80".encode(), "\u0800".encode(), "\U00010000".encode()),
    "last of a length": (b"\x7f", "\u07ff".encode(), "\uffff".encode(), "\U0010ffff".encode()),
    "around the surrogates": ("\ud7ff".encode(), "\ue000".encode(), "\ufffd".encode()),
    "noncharacters": tuple(c.encode() for c in _NONCHARACTERS),
    "specials": tuple(chr(point).encode() for point in range(0xFFF9, 0x10000)),
}
BROKEN: Final[dict[str, tuple[bytes, ...]]] = {
    "cut prefixes": tuple(_GREEK[:size] for size in (1, 3, 4, 6, 8, 10)),
    "first of a length that is none": (b"\xf8\x88\x80\x80\x80", b"\xfc\x84\x80\x80\x80\x80"),
    "last of a length that is none": (b"\xf7\xbf\xbf\xbf", b"\xfb\xbf\xbf\xbf\xbf", b"\xfd" + b"\xbf" * 5),
    "beyond U+10FFFF": (b"\xf4\x90\x80\x80",),
    "continuation bytes alone": (*(b"\x80\xbf\x80\xbf\x80\xbf"[:size] for size in range(1, 7)), b"\xbf", bytes(range(0x80, 0xC0))),
    "lonely beginnings": tuple(
        b" ".join(bytes((byte,)) for byte in range(first, last + 1)) + b" "
        for first, last in ((0xC0, 0xDF), (0xE0, 0xEF), (0xF0, 0xF7), (0xF8, 0xFB), (0xFC, 0xFD))
    ),
    "last byte missing": tuple(bytes.fromhex(cut) for cut in _LAST_BYTE_MISSING),
    "many with the last byte missing": (bytes.fromhex("".join(_LAST_BYTE_MISSING)),),
    "impossible bytes": (b"\xfe", b"\xff", b"\xfe\xfe\xff\xff"),
    "overlong slash": (b"\xc0\xaf", b"\xe0\x80\xaf", b"\xf0\x80\x80\xaf", b"\xf8\x80\x80\x80\xaf", b"\xfc\x80\x80\x80\x80\xaf"),
    "longest overlong": (b"\xc1\xbf", b"\xe0\x9f\xbf", b"\xf0\x8f\xbf\xbf", b"\xf8\x87\xbf\xbf\xbf", b"\xfc\x83\xbf\xbf\xbf\xbf"),
    "overlong NUL": (b"\xc0\x80", b"\xe0\x80\x80", b"\xf0\x80\x80\x80", b"\xf8\x80\x80\x80\x80", b"\xfc\x80\x80\x80\x80\x80"),
    "single surrogates": tuple(b"\xed" + bytes.fromhex(rest) for rest in ("a080", "adbf", "ae80", "afbf", "b080", "be80", "bfbf")),
    "paired surrogates": tuple(
        b"\xed" + high + b"\xed" + low
        for high in (b"\xa0\x80", b"\xad\xbf", b"\xae\x80", b"\xaf\xbf")
        for low in (b"\xb0\x80", b"\xbf\xbf")
    ),
}  # fmt: skip


def text_cases() -> Iterator[Case]:
    for family, (name, sequences) in enumerate(SOUND.items(), 1):
        yield from _family(f"6.1.{family}", name, sequences, REFUSED_BY_FEIRA)
    for family, (name, sequences) in enumerate(BROKEN.items(), 1):
        yield from _family(f"6.2.{family}", name, sequences, INVALID_TEXT)
    # 8.1: the connection fails as soon as it is known that no more bytes could mend it.
    begun = b'{"id":1,"no command":"' + _GREEK
    for number, (title, broken) in enumerate(
        (
            ("beyond U+10FFFF", b"\xf4\x90"),
            ("a surrogate", b"\xed\xa0\x80"),
            ("an impossible byte", b"\xff"),
        ),
        1,
    ):
        yield Case(
            id=f"6.3.{number}",
            clause="8.1",
            title=f"{title} in a fragment; the message is never finished",
            sends=(frame(TEXT, begun, fin=False), frame(CONTINUATION, broken, fin=False)),
            expected=INVALID_TEXT,
        )
    yield Case(
        id="6.4",
        clause="8.1",
        title="a message that ends inside a character",
        sends=(frame(TEXT, begun[:-1], fin=False), frame(CONTINUATION)),
        expected=INVALID_TEXT,
    )


def _family(
    family: str, name: str, sequences: tuple[bytes, ...], expected: tuple[str, ...]
) -> Iterator[Case]:
    for number, sequence in enumerate(sequences, 1):
        message = b'{"id":1,"no command":"' + sequence + b'"}'
        for way, sends in (
            ("", frame(TEXT, message)),
            (" in fragments of a byte", fragments(TEXT, message, 1)),
        ):
            yield Case(
                id=f"{family}.{number}{'f' if way else ''}",
                clause="8.1",
                title=f"{name}: {sequence[:12].hex()}{way}",
                sends=(sends,),
                expected=expected,
            )

"""Every endpoint gets bodies that it must not accept: it says what is wrong, keeps nothing, and lives on."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping
from io import BytesIO
from typing import Any, Final, cast
from uuid import uuid4

import msgspec

from feira.http.endpoint import Endpoint
from tests.integration.bad_input.door import (
    JSON,
    WITH_BODY,
    Door,
    Sent,
    all_of,
    endpoint_of,
    name_of,
    part_for,
    require_refused,
)
from tests.integration.cast import address_of

# Whole bodies


async def test_a_body_that_is_no_json_object_is_named_malformed_and_nothing_is_kept(
    door: Door,
) -> None:
    spoiled = {
        "empty": b"",
        "cut off": b'{"a": 1',
        "two values": b"{} {}",
        "bad UTF-8": b'{"\xff\xfe": 1}',
        "UTF-16": '{"a": 1}'.encode("utf-16"),
        "a deep list": b"[" * 100_000,
        "a deep object": b'{"a":' * 50_000,
        "a list": b"[]",
        "a number": b"1e999999",
        "null": b"null",
        "NaN": b"NaN",
    }
    before = await door.counts()
    answers = await all_of(
        [
            door.send(endpoint, what, body=body)
            for endpoint in WITH_BODY
            for what, body in spoiled.items()
        ]
    )
    require_refused(answers, "request.malformed_json", "request.invalid")
    assert await door.counts() == before


async def test_a_body_in_another_type_or_character_set_is_refused(door: Door) -> None:
    types = ("text/plain", "application/x-www-form-urlencoded", "application/json; charset=latin-1")
    answers = await all_of(
        [
            door.send(endpoint, kind, headers={"Content-Type": kind})
            for endpoint in WITH_BODY
            for kind in types
        ]
    )
    for answer in answers:
        assert answer.status in {400, 415}, answer
        assert answer.problem["field"] == "Content-Type"
        assert answer.problem["code"] in {"request.not_json", "request.not_utf8"}


async def test_a_huge_body_is_refused_by_its_length_and_while_it_comes(door: Door) -> None:
    size = door.cast.market.config.request_body_bytes_max + 1

    async def chunked(endpoint: Endpoint) -> Sent:
        async def chunks() -> AsyncIterator[bytes]:
            yield b'{"a":"'
            for _ in range(size // 65_536 + 1):
                yield b"x" * 65_536

        address = address_of(endpoint.path, door.cast.ids)
        headers = door.cast.headers(part_for(endpoint)) | JSON
        async with door.session.request(
            endpoint.method, door.origin + address, data=chunks(), headers=headers
        ) as answer:
            return Sent(
                what=f"{name_of(endpoint)}: chunked",
                status=answer.status,
                body=await answer.read(),
                content_type=answer.content_type,
            )

    huge = b'"' + b"x" * size + b'"'
    answers = await all_of([door.send(e, "huge", body=BytesIO(huge)) for e in WITH_BODY])
    answers += await all_of([chunked(e) for e in WITH_BODY])
    assert {(a.status, a.problem["code"]) for a in answers} == {(413, "request.too_large")}


# Single fields


Way = tuple[str | int, ...]


def paths_of(value: Any, way: Way = ()) -> Iterator[tuple[Way, Any]]:
    """Every value inside a body with the way to it, objects and lists included."""
    yield way, value
    match value:
        case dict():
            inside = list(cast("dict[str, Any]", value).items())
        case list():
            inside = list(enumerate(cast("list[Any]", value)))
        case _:
            inside = []
    for key, inner in inside:
        yield from paths_of(inner, (*way, key))


def replaced(body: Any, way: Way, value: Any) -> Any:
    """A copy with another value at the end of the way."""
    if not way:
        return value
    copy: Any = body.copy()
    copy[way[0]] = replaced(body[way[0]], way[1:], value)
    return copy


def spoiled_fields(
    body: Any, kinds: Mapping[type, Mapping[str, str]]
) -> Iterator[tuple[str, bytes]]:
    """The body once for each field and each JSON text that takes the field's place."""
    for path, value in paths_of(body):
        for kind, texts in kinds.items():
            # Exactly this type: a flag is no number here.
            if type(value) is not kind:
                continue
            for what, text in texts.items():
                spoiled = replaced(body, path, msgspec.Raw(text.encode("utf-8", "surrogatepass")))
                yield f"{what} at {path}", msgspec.json.encode(spoiled)


NEVER_TEXT: Final = {
    "NUL": '"a\\u0000b"',
    "a raw NUL": '"a\x00b"',
    "a lone high surrogate": '"a\\ud800b"',
    "a lone low surrogate": '"a\\udfffb"',
    "a surrogate in UTF-8": '"a\ud800b"',
    "a list": "[]",
    "a number": "7",
    "an object": '{"a": 1}',
    "true": "true",
}
NEVER_NUMBER: Final = {
    "text": '"7"',
    "a fraction": "1.5",
    "an exponent": "1e3",
    "NaN": "NaN",
    "Infinity": "-Infinity",
    "a list": "[1]",
    "true": "true",
}
NEVER_FLAG: Final = {"text": '"true"', "a number": "1"}
NEVER_OBJECT: Final = {"an unknown field": '{"surprise": 1}', "text": '"x"'}
NEVER_LIST: Final = {"text": '"x"', "a list of lists": "[[[]]]"}


async def test_a_field_of_a_wrong_type_or_with_forbidden_characters_is_named(door: Door) -> None:
    kinds = {
        str: NEVER_TEXT,
        int: NEVER_NUMBER,
        bool: NEVER_FLAG,
        dict: NEVER_OBJECT,
        list: NEVER_LIST,
    }
    before = await door.counts()
    answers = await all_of(
        [
            door.send(endpoint, what, body=body)
            for endpoint in WITH_BODY
            for what, body in spoiled_fields(door.bodies[name_of(endpoint)], kinds)
            # Options of a variant are any words: an object with other words is no mistake.
            if not ("options" in what and ("surprise" in body.decode("utf-8", "ignore")))
        ]
    )
    require_refused(answers, "request.malformed_json", "request.invalid")
    assert await door.counts() == before


async def test_an_unknown_field_is_named_wherever_it_stands(door: Door) -> None:
    def spoiled(body: Any) -> Iterator[bytes]:
        for path, value in paths_of(body):
            if isinstance(value, dict) and path[-1:] != ("options",):
                yield msgspec.json.encode(replaced(body, path, value | {"surprise": 1}))

    answers = await all_of(
        [
            door.send(endpoint, "unknown field", body=body)
            for endpoint in WITH_BODY
            for body in spoiled(door.bodies[name_of(endpoint)])
        ]
    )
    require_refused(answers, "request.invalid")
    assert all("surprise" in answer.problem["detail"] for answer in answers)


HARD_NUMBERS: Final = {
    "-1": "-1",
    "0": "0",
    "2^31": str(2**31),
    "2^53 + 1": str(2**53 + 1),
    "2^63": str(2**63),
    "-2^63 - 1": str(-(2**63) - 1),
    "2^64": str(2**64),
    "400 digits": "9" * 400,
    "5,000 digits": "9" * 5_000,
}
HARD_TEXTS: Final = {
    "nothing": '""',
    "blank": '"   "',
    "200,000 characters": '"' + "x" * 200_000 + '"',
    "astral": '"' + "\U0001f600" * 50 + '"',
    "right-to-left": '"\u202eabc\u2066"',
    "control characters": '"a\\u0001\\u001b[31m\\r\\nBcc: x"',
    "SQL": '"\'; DROP TABLE users; --"',
    "a template": '"{{7*7}} ${7*7} %s %n"',
    "currency": '"XXX"',
    "nil": '"00000000-0000-0000-0000-000000000000"',
    "somebody else's": f'"{uuid4()}"',
}


async def test_numbers_and_texts_at_their_limits_are_taken_or_refused_but_never_crash(
    door: Door,
) -> None:
    kinds = {str: HARD_TEXTS, int: HARD_NUMBERS, list: {"10,000": "[" + "1," * 9_999 + "1]"}}
    answers = await all_of(
        [
            door.send(endpoint, what, body=body)
            for endpoint in WITH_BODY
            for what, body in spoiled_fields(door.bodies[name_of(endpoint)], kinds)
        ]
    )
    refused = [answer for answer in answers if answer.status >= 400]
    assert all(answer.problem["code"] for answer in refused)
    assert len(refused) > len(answers) / 2


async def test_money_and_quantities_stay_within_what_they_can_be(door: Door) -> None:
    amounts = (
        "price_minor",
        "weight_g",
        "on_hand",
        "quantity",
        "expected_total_minor",
        "basis_points",
    )
    kinds = {int: {name: HARD_NUMBERS[name] for name in ("-1", "2^63", "2^64", "400 digits")}}
    answers = await all_of(
        [
            door.send(endpoint, what, body=body)
            for endpoint in WITH_BODY
            for what, body in spoiled_fields(door.bodies[name_of(endpoint)], kinds)
            if any(f"'{amount}'" in what for amount in amounts)
        ]
    )
    assert len(answers) >= 4 * 5
    require_refused(answers, "request.invalid")


async def test_a_currency_or_country_that_the_market_does_not_know_is_refused(door: Door) -> None:
    shop = endpoint_of("POST /v1/shops")
    body = door.bodies["POST /v1/shops"]
    before = await door.counts()
    for field, value in (("currency", "XXX"), ("currency", "eur"), ("country", "ZZ")):
        answer = await door.send(shop, value, body=msgspec.json.encode(body | {field: value}))
        assert answer.status == 400, answer
        assert answer.problem["field"] == f"$.{field}"
    assert await door.counts() == before

"""Every endpoint gets paths, queries and headers that mean nothing: it says so, and lives on."""

from __future__ import annotations

import asyncio
import itertools
from typing import Final
from urllib.parse import quote
from uuid import uuid4

import msgspec
from yarl import URL

from feira.http.endpoint import Endpoint
from feira.http.routes import ENDPOINTS
from tests.integration.bad_input.door import (
    WITH_PATH,
    WITH_QUERY,
    Door,
    Sent,
    all_of,
    endpoint_of,
    name_of,
    part_for,
    require_refused,
)
from tests.integration.cast import address_of

# Addresses


GARBAGE_IDS: Final = (
    "x",
    "0",
    "-1",
    "%00",
    "%ff",
    "%ed%a0%80",
    "a" * 5_000,
    "%2e%2e%2f%2e%2e",
    quote("'; DROP TABLE users; --"),
    "{" + str(uuid4()) + "}",
    quote("\u0661\u0662"),
)


async def test_a_garbled_id_in_the_path_is_no_address_of_anything(door: Door) -> None:
    answers = await all_of(
        [
            door.send(
                endpoint,
                f"{parameter}={garbage[:20]}",
                path=address_of(endpoint.path, door.cast.ids | {parameter: garbage}),
            )
            for endpoint in WITH_PATH
            for parameter in endpoint.path_types
            for garbage in GARBAGE_IDS
        ]
    )
    for answer in answers:
        assert answer.status in {400, 404, 405}, answer
        assert answer.problem["code"]
        if answer.problem["code"] == "request.invalid":
            assert answer.problem["field"].startswith("path."), answer


def nothing(parameter: str) -> str:
    """An id that is sound, and of nothing. Messages are numbered."""
    return str(2**53) if parameter == "message" else str(uuid4())


async def test_an_id_of_nothing_is_not_found_whoever_asks(door: Door) -> None:
    # A list of a shop that is not there is empty; whom nobody blocked is not blocked.
    harmless = {"GET /v1/shops/{shop}/products", "DELETE /v1/me/blocks/{user}"}
    answers = await all_of(
        [
            door.send(
                endpoint,
                parameter,
                path=address_of(endpoint.path, door.cast.ids | {parameter: nothing(parameter)}),
                headers={"Idempotency-Key": uuid4().hex},
            )
            for endpoint in WITH_PATH
            for parameter in endpoint.path_types
            if name_of(endpoint) not in harmless
        ]
    )
    wrong = [
        f"{a.what} -> {a.status} {a.body[:200]!r}" for a in answers if a.status not in {404, 415}
    ]
    assert not wrong, "\n".join(wrong)


GARBAGE_VALUES: Final = (
    "",
    "x",
    "%00",
    "%ff",
    "%ed%a0%80",
    "-1",
    "1.5",
    "NaN",
    str(2**31),
    str(2**63),
    "9" * 400,
    "z" * 5_000,
    "0001-01-01T00%3A00%3A00%2B14%3A00_00000000-0000-0000-0000-000000000000",
    "9999-12-31T23%3A59%3A59-14%3A00_00000000-0000-0000-0000-000000000000",
    "AAAA",
    "gqFh",
)


async def test_garbage_in_a_query_is_named_and_a_garbled_cursor_starts_nothing(door: Door) -> None:
    def fields(endpoint: Endpoint) -> tuple[str, ...]:
        assert endpoint.query_type is not None
        return endpoint.query_type.__struct_fields__

    answers = await all_of(
        [
            door.send(endpoint, f"{field}={value[:30]}", query=f"?{field}={value}")
            for endpoint in WITH_QUERY
            for field in fields(endpoint)
            for value in GARBAGE_VALUES
        ]
    )
    refused = [answer for answer in answers if answer.status >= 400]
    assert {answer.status for answer in refused} <= {400, 404}
    unnamed = [a.what for a in refused if a.status == 400 and not a.problem.get("field")]
    assert unnamed == []
    # Every cursor of letters is somebody's mistake.
    taken = [a.what for a in answers if "cursor=x" in a.what or "cursor=zzz" in a.what]
    assert taken
    assert all(a.status == 400 for a in answers if a.what in taken)
    unknown = await all_of([door.send(e, "unknown", query="?surprise=1") for e in WITH_QUERY])
    require_refused(unknown, "request.invalid")


# Headers


# Headers are read by modules, not by single endpoints: one of each module's methods will do.
KINDS: Final = {(e.handler.__module__, e.method, e.signed_in): e for e in ENDPOINTS}
STRANGE_HEADERS: Final = (
    b"X-Cart-Token: caf\xe9",
    b"X-Cart-Token: \xed\xa0\x80",
    b"Cookie: feira_refresh=\xff; \xe9=1; ;=",
    b"Idempotency-Key: \xff",
    b"User-Agent: \xff\xfe",
    b"Authorization: Bearer \xff",
    b"Authorization: Bearer " + b"." * 3_000,
    b"Accept: \xff",
    b"Accept-Language: \xff",
    b"Origin: null\xff",
    b"X-Request-ID: \xff\xff\xff\xff\xff\xff\xff\xff",
    b"X-Forwarded-For: \xff, 1.2.3.4",
    b"Content-Type: application/json; charset=\xff",
    b"Content-Type: \xff/\xff",
    b"Content-Encoding: br, gzip",
    b"Range: bytes=0-",
    b"Access-Control-Request-Method: \xff",
    b"If-None-Match: \xff",
)


async def test_headers_of_any_bytes_are_no_reason_to_fail(door: Door) -> None:
    async def send(endpoint: Endpoint, header: bytes) -> Sent:
        url = URL(door.origin)
        body = msgspec.json.encode(door.bodies.get(name_of(endpoint), {}))
        mine = "".join(
            f"{name}: {value}\r\n" for name, value in door.cast.headers(part_for(endpoint)).items()
        )
        head = (
            f"{endpoint.method} {address_of(endpoint.path, door.cast.ids)}?q=%FF HTTP/1.1\r\n"
            f"Host: {url.host}\r\nConnection: close\r\nContent-Length: {len(body)}\r\n"
        )
        if not header.startswith(b"Authorization"):
            head += mine
        if not header.startswith(b"Content-Type"):
            head += "Content-Type: application/json\r\n"
        reader, writer = await asyncio.open_connection(url.host, url.port)
        writer.write(head.encode() + header + b"\r\n\r\n" + body)
        async with asyncio.timeout(10):
            raw = await reader.read()
        writer.close()
        await writer.wait_closed()
        top, _, answer = raw.partition(b"\r\n\r\n")
        return Sent(
            what=f"{name_of(endpoint)}: {header[:40]!r}",
            status=int(top.split()[1]),
            body=answer,
            content_type="",
        )

    answers = await all_of(
        [send(endpoint, header) for endpoint in KINDS.values() for header in STRANGE_HEADERS]
    )
    assert len(answers) == len(KINDS) * len(STRANGE_HEADERS)


async def test_a_key_that_is_no_key_is_refused_before_anything_happens(door: Door) -> None:
    address = endpoint_of("POST /v1/me/addresses")
    before = await door.counts()
    for key in ("", "x" * 201, "tab\tbed", "caf\u00e9"):
        answer = await door.send(address, key, headers={"Idempotency-Key": key})
        assert answer.status == 400, answer
        assert answer.problem["code"] == "idempotency.malformed_key"
        assert answer.problem["field"] == "Idempotency-Key"
    assert await door.counts() == before


async def test_a_list_of_products_in_any_bytes_is_reported_row_by_row_or_refused(
    door: Door,
) -> None:
    head = b"sku,title,category,price,stock,options,description\n"
    lists = {
        "nothing": b"",
        "bad UTF-8": head + b"A-1,\xff\xfe,books,1.00,1,,\n",
        "NUL": head + b"A-1,a\x00b,books,1.00,1,,\n",
        "NUL in options": head + b"A-1,a,books,1.00,1,Size=\x00,\n",
        "NUL in description": head + b"A-1,a,books,1.00,1,,a\x00\n",
        "surrogates": head + b"A-1,\xed\xa0\x80,books,1.00,1,,\n",
        "long field": head + b"A-1," + b"x" * 200_000 + b",books,1.00,1,,\n",
        "negative": head + b"A-1,a,books,-1.00,-1,,\n",
        "NaN": head + b"A-1,a,books,NaN,NaN,,\n",
        "infinite": head + b"A-1,a,books,1e999,1e9,,\n",
        "huge": head + b"A-1,a,books," + b"9" * 5000 + b"," + b"9" * 5000 + b",,\n",
        "other digits": head + "A-1,a,books,\u0661.00,\u0661,,\n".encode(),
        "open quote": head + b'A-1,"a,books,1.00,1,,\n',
        "too few columns": head + b"A-1\n",
        "too many columns": head + b"A-1,a,books,1.00,1,,,,,,,\n",
        "many rows": head + b"A-1,a,books,1.00,1,,\n" * 1_001,
    }
    endpoint = endpoint_of("POST /v1/shops/{shop}/products/import")
    headers = {"Content-Type": "text/csv"}
    before = await door.counts()
    answers = await all_of(
        [door.send(endpoint, what, body=body, headers=headers) for what, body in lists.items()]
    )
    for answer in answers:
        if answer.status == 200:
            report = msgspec.json.decode(answer.body)
            assert report["errors"], answer
            assert (report["created"], report["updated"]) == (0, 0), answer
        else:
            assert answer.status in {400, 413}, answer
            assert answer.problem["code"]
    assert await door.counts() == before


async def test_webhooks_of_any_bytes_are_refused_unread(door: Door) -> None:
    endpoint = endpoint_of("POST /v1/webhooks/{provider}")
    signatures = ("", "t=1,v1=00", "t=\u00e9", "x" * 5_000, f"t={'9' * 400},v1=00")
    contents = (b"", b"{}", b"\x00\xff", b"[" * 50_000, b'{"id": "\\u0000"}')
    answers = await all_of(
        [
            door.send(
                endpoint,
                signature[:20],
                body=content,
                headers={"Sandbox-Signature": signature, "Stripe-Signature": signature},
            )
            for signature, content in itertools.product(signatures, contents)
        ]
    )
    assert {answer.status for answer in answers} <= {400, 403}

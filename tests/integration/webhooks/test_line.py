"""The line to receivers reaches nothing that is not public, and survives whatever answers."""

from __future__ import annotations

import asyncio
import gzip
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web

from feira.platform.gateways.webhooks.line import ANSWER_BYTES_MAX, WebhookLine, open_line
from tests.integration.webhooks.receiver import (
    Receiver,
    closed_port,
    open_port,
    open_receiver,
    self_signed,
)

HEADERS = {"webhook-id": "msg_1"}
NOT_PUBLIC = "The name leads to an address that is not on the public Internet."


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with open_receiver() as opened:
        yield opened


@pytest.fixture
async def line() -> AsyncIterator[WebhookLine]:
    """With little patience."""
    async with open_line(to_loopback=True, total_s=1.0, connect_s=0.5) as opened:
        yield opened


async def test_a_message_arrives_as_it_was_signed(receiver: Receiver, line: WebhookLine) -> None:
    receiver.statuses = [201]
    outcome = await line.post(f"{receiver.url}?q=%41", HEADERS, b'{"a": 1}')
    assert (outcome.status, outcome.error, outcome.answer) == (201, "", "as told")
    (got,) = receiver.received
    assert got.body == b'{"a": 1}'
    assert got.headers["webhook-id"] == "msg_1"
    assert got.headers["content-type"] == "application/json"
    assert got.headers["user-agent"].startswith("Feira-Webhooks/")


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "0.0.0.0"],  # noqa: S104 - asked for, not bound
)
async def test_neither_names_nor_numbers_lead_to_this_machine(
    receiver: Receiver, host: str
) -> None:
    """A name is looked at where it leads, on the socket itself: whatever it led to when the endpoint was made."""
    async with open_line(to_loopback=False) as line:
        outcome = await line.post(receiver.url.replace("127.0.0.1", host), HEADERS, b"{}")
    assert (outcome.status, outcome.error) == (None, NOT_PUBLIC)
    assert receiver.received == []


@pytest.mark.parametrize(
    "host", ["169.254.169.254", "10.0.0.1", "[fd00:ec2::254]", "[fe80::1]", "224.0.0.1"]
)
async def test_nothing_is_sent_into_private_networks_also_in_development(
    line: WebhookLine, host: str
) -> None:
    outcome = await line.post(f"http://{host}/latest/meta-data", HEADERS, b"{}")
    assert (outcome.status, outcome.error) == (None, NOT_PUBLIC)


async def test_redirects_are_not_followed(receiver: Receiver, line: WebhookLine) -> None:
    async with open_receiver() as elsewhere:

        async def redirect(_: web.Request) -> web.Response:
            return web.Response(status=307, headers={"Location": elsewhere.url})

        receiver.answering = redirect
        outcome = await line.post(receiver.url, HEADERS, b"{}")
        assert outcome.status == 307
        assert elsewhere.received == []


async def test_cookies_are_not_kept(receiver: Receiver, line: WebhookLine) -> None:
    async def set_cookie(_: web.Request) -> web.Response:
        return web.Response(headers={"Set-Cookie": "who=you; Path=/"})

    receiver.answering = set_cookie
    for _ in range(2):
        await line.post(receiver.url, HEADERS, b"{}")
    assert "cookie" not in receiver.received[1].headers


async def test_of_an_endless_answer_the_beginning_is_read(
    receiver: Receiver, line: WebhookLine
) -> None:
    async def endless(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(b"x" * 65_536)

    receiver.answering = endless
    outcome = await line.post(receiver.url, HEADERS, b"{}")
    assert (outcome.status, outcome.answer) == (200, "x" * ANSWER_BYTES_MAX)


async def test_a_packed_answer_is_not_unpacked(receiver: Receiver, line: WebhookLine) -> None:
    packed = gzip.compress(b"0" * 10_000_000)

    async def bomb(_: web.Request) -> web.Response:
        return web.Response(body=packed, headers={"Content-Encoding": "gzip"})

    receiver.answering = bomb
    outcome = await line.post(receiver.url, HEADERS, b"{}")
    assert outcome.status == 200
    assert len(outcome.answer) <= ANSWER_BYTES_MAX


async def test_an_answer_is_shown_as_text_whatever_its_bytes(
    receiver: Receiver, line: WebhookLine
) -> None:
    async def binary(_: web.Request) -> web.Response:
        return web.Response(status=500, body=b"\x00\xff ok")

    receiver.answering = binary
    assert (await line.post(receiver.url, HEADERS, b"{}")).answer == "\ufffd\ufffd ok"


async def test_a_silent_receiver_is_given_up_in_time(line: WebhookLine) -> None:
    async def silent(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await reader.read()

    async with open_port(silent) as url:
        started = time.monotonic()
        outcome = await line.post(url, HEADERS, b"{}")
        assert time.monotonic() - started < 10
    assert (outcome.status, outcome.error) == (None, "No answer within 1 s.")
    assert outcome.duration_ms >= 900


async def test_a_receiver_that_drips_its_headers_is_given_up_in_time(line: WebhookLine) -> None:
    async def drip(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n")
        while True:
            writer.write(b"a: b\r\n")
            await writer.drain()
            await asyncio.sleep(0.05)

    async with open_port(drip) as url:
        outcome = await line.post(url, HEADERS, b"{}")
    assert (outcome.status, outcome.error) == (None, "No answer within 1 s.")


async def test_an_answer_that_never_ends_its_body_counts_by_its_status(line: WebhookLine) -> None:
    async def stuck(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"{}")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
        await writer.drain()
        await reader.read()

    async with open_port(stuck) as url:
        outcome = await line.post(url, HEADERS, b"{}")
    assert (outcome.status, outcome.answer) == (200, "half")


@pytest.mark.parametrize(
    ("said", "error"),
    [
        (b"", "The connection was closed before an answer came."),
        (b"SSH-2.0-OpenSSH_9.6\r\n\r\n", "What came back was not an answer by HTTP."),
        (b"HTTP/1.1 OK fine\r\n\r\n", "What came back was not an answer by HTTP."),
        (
            b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * 5_000 + b"\r\n",
            "What came back was not an answer by HTTP.",
        ),
        (
            b"HTTP/1.1 200 OK\r\na: " + b"b" * 100_000 + b"\r\n\r\n",
            "What came back was not an answer by HTTP.",
        ),
    ],
    ids=["nothing", "ssh", "no status", "many headers", "a huge header"],
)
async def test_what_is_no_answer_fails_in_a_sentence(
    line: WebhookLine, said: bytes, error: str
) -> None:
    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"{}")
        writer.write(said)
        await writer.drain()

    async with open_port(speak) as url:
        outcome = await line.post(url, HEADERS, b"{}")
    assert (outcome.status, outcome.error) == (None, error)


async def test_a_closed_port_fails_in_a_sentence(line: WebhookLine) -> None:
    outcome = await line.post(f"http://127.0.0.1:{closed_port()}/", HEADERS, b"{}")
    assert outcome.status is None
    assert outcome.error.startswith("No connection: ")


async def test_a_certificate_that_nobody_vouches_for_is_refused(
    line: WebhookLine, tmp_path: Path
) -> None:
    async with open_receiver(self_signed(tmp_path)) as receiver:
        outcome = await line.post(receiver.url, HEADERS, b"{}")
        assert outcome.status is None
        assert outcome.error.startswith("The certificate is not trusted")
        assert receiver.received == []


async def test_an_unknown_name_fails_in_a_sentence(line: WebhookLine) -> None:
    outcome = await line.post("https://nobody.invalid/", HEADERS, b"{}")
    assert outcome.status is None
    assert outcome.error in {"The name was not found.", "No connection within 0.5 s."}

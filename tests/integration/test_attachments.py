"""Files in messages: uploaded to a real store, looked at, sent once, drawn anew, read by members, swept when forgotten."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

import aiohttp
import msgspec
import pytest
from PIL import Image

from feira.app import Ground, RunningNode
from feira.client.api import ApiClient, ApiProblem
from feira.jobs.messaging import handle_sweep_attachments
from feira.jobs.run import JobRun
from feira.platform.domain.attachments import IMAGE_BYTES_MAX
from feira.platform.domain.ids import AttachmentId, JobId
from feira.platform.domain.jobs import SweepAttachments
from feira.platform.gateways.storage.port import PresignedUpload
from feira.services.messaging.attachments import (
    WAITING_MAX,
    file_key,
    incoming_key,
    thumbnail_key,
)
from feira.services.users.passwords import hash_password
from feira.sql.database import Tx
from tests.integration.jobs_room import perform
from tests.integration.live import make_shop, make_user
from tests.integration.sockets import opened

PASSWORD = "uma palavra segura"
PDF = b"%PDF-1.7\n" + b"\0" * 91
ORIENTATION, GPS = 0x0112, 0x8825


def photo(width: int = 900, height: int = 600) -> bytes:
    """A JPEG lying on its side, with the place where it was taken."""
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    exif.get_ifd(GPS)[1] = "N"
    exif[0x010F] = "A camera maker"
    out = io.BytesIO()
    Image.new("RGB", (width, height), (200, 30, 30)).save(out, "JPEG", exif=exif)
    return out.getvalue()


def png(width: int, height: int) -> bytes:
    out = io.BytesIO()
    Image.new("L", (width, height)).save(out, "PNG")
    return out.getvalue()


@dataclass
class Chat:
    """A buyer and a seller who talk, a stranger, and the store."""

    node: RunningNode
    http: aiohttp.ClientSession
    buyer: ApiClient
    seller: ApiClient
    stranger: Callable[[], Awaitable[ApiClient]]
    id: str

    async def announce(
        self, content: bytes, kind: str = "application/pdf", *, by: ApiClient | None = None
    ) -> tuple[str, PresignedUpload]:
        made = await (by or self.buyer).post(
            f"/v1/conversations/{self.id}/attachments",
            {"name": "o recibo.pdf", "content_type": kind, "size_bytes": len(content)},
        )
        return made["attachment"]["id"], msgspec.convert(made["upload"], PresignedUpload)

    async def put(self, upload: PresignedUpload, content: bytes) -> int:
        """Send the form as a browser does."""
        form = aiohttp.FormData()
        for name, value in upload.fields.items():
            form.add_field(name, value)
        form.add_field("file", io.BytesIO(content), filename="file")
        async with self.http.post(upload.url, data=form) as answer:
            return answer.status

    async def upload(self, content: bytes, kind: str = "application/pdf") -> str:
        identifier, upload = await self.announce(content, kind)
        assert await self.put(upload, content) == 204
        await self.buyer.post(f"/v1/attachments/{identifier}/uploaded")
        return identifier

    async def send(
        self, *attachments: str, by: ApiClient | None = None, client_id: str | None = None
    ) -> Any:
        return await (by or self.buyer).post(
            f"/v1/conversations/{self.id}/messages",
            {"client_id": client_id or str(uuid4()), "attachments": list(attachments)},
        )

    async def fetch(self, url: str) -> tuple[int, bytes, str]:
        async with self.http.get(url) as answer:
            disposition = answer.headers.get("Content-Disposition", "")
            return answer.status, await answer.read(), disposition

    async def execute(self, statement: str, *args: Any) -> None:
        async with self.node.market.database.connection() as con:
            await con.execute(statement, *args)

    async def stored(self, attachment: str) -> list[bool]:
        """Whether there are objects: the upload, the file, the thumbnail."""
        identifier = AttachmentId(UUID(attachment))
        keys = [key(identifier) for key in (incoming_key, file_key, thumbnail_key)]
        return [await self.node.market.storage.head(key) is not None for key in keys]

    async def sweep(self) -> None:
        run = JobRun(self.node.market, JobId(uuid4()), 1)
        await handle_sweep_attachments(run, SweepAttachments())


@pytest.fixture
async def chat(node: RunningNode) -> AsyncIterator[Chat]:
    password_hash = await _hashed()

    async def work(tx: Tx) -> tuple[list[str], str]:
        people = [
            await make_user(tx, name, password_hash) for name in ("Buyer", "Seller", "Stranger")
        ]
        return [mail for _, mail in people], str(await make_shop(tx, people[1][0]))

    mails, shop = await node.market.database.transact(work)
    async with aiohttp.ClientSession() as http:

        async def sign_in(mail: str) -> ApiClient:
            client = ApiClient(f"http://127.0.0.1:{node.port}", http)
            await client.sign_in(mail, PASSWORD)
            return client

        buyer, seller = [await sign_in(mail) for mail in mails[:2]]
        conversation = (await buyer.post("/v1/conversations", {"shop": shop}))["id"]
        yield Chat(
            node=node,
            http=http,
            buyer=buyer,
            seller=seller,
            stranger=lambda: sign_in(mails[2]),
            id=conversation,
        )


async def _hashed(known: list[str] = []) -> str:  # noqa: B006 - once for all tests: it is slow on purpose
    if not known:
        known.append(await hash_password(PASSWORD))
    return known[0]


async def test_a_file_is_sent_with_a_message_and_read_by_members_alone(chat: Chat) -> None:
    identifier = await chat.upload(PDF)
    with pytest.raises(ApiProblem) as caught:
        await chat.seller.get(f"/v1/attachments/{identifier}")
    assert caught.value.code == "attachment.not_found"  # Not before it was sent.
    posted = await chat.send(identifier)
    history = await chat.seller.get(f"/v1/conversations/{chat.id}/messages")
    assert history["items"][0]["seq"] == posted["seq"]
    assert history["items"][0]["body"]["attachments"] == [
        {
            "id": identifier,
            "name": "o recibo.pdf",
            "content_type": "application/pdf",
            "size_bytes": len(PDF),
        }
    ]
    view = await chat.seller.get(f"/v1/attachments/{identifier}")
    status, content, disposition = await chat.fetch(view["url"])
    assert (status, content) == (200, PDF)
    assert disposition == "attachment; filename*=UTF-8''o%20recibo.pdf"
    unsigned = view["url"].partition("?")[0]
    assert (await chat.fetch(unsigned))[0] == 403
    with pytest.raises(ApiProblem) as caught:
        await (await chat.stranger()).get(f"/v1/attachments/{identifier}")
    assert (caught.value.status, caught.value.code) == (404, "attachment.not_found")


async def test_sent_files_are_listed_the_newest_first(chat: Chat) -> None:
    sent = [await chat.upload(PDF) for _ in range(3)]
    unsent = await chat.upload(PDF)
    for identifier in sent:
        await chat.send(identifier)
    listed: list[str] = []
    cursor: str | None = None
    while True:
        page = await chat.seller.get(
            f"/v1/conversations/{chat.id}/attachments", limit=2, cursor=cursor
        )
        listed += [item["id"] for item in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert listed == sent[::-1]
    assert unsent not in listed


async def test_an_image_is_drawn_upright_without_its_metadata_and_watchers_are_told(
    chat: Chat, ground: Ground
) -> None:
    original = photo()
    assert b"A camera maker" in original
    identifier = await chat.upload(original, "image/jpeg")
    await chat.send(identifier)
    before = await chat.seller.get(f"/v1/attachments/{identifier}")
    # What was uploaded is shown to nobody.
    assert (before["state"], before["url"], before["thumbnail_url"]) == ("drawing", None, None)
    async with opened(chat.node) as socket:
        await socket.ask(connect={"token": await chat.seller.token()})
        await socket.ask(subscribe={"topic": f"conversation:{chat.id}"})
        # By another process: the news comes over the bus.
        assert await perform(ground.market, f"draw:{identifier}") == "done"
        news = (await socket.until(lambda message: "attachment" in message))["attachment"]
    assert news == {
        "topic": f"conversation:{chat.id}",
        "id": identifier,
        "state": "ready",
        "width": 600,
        "height": 900,
    }
    after = await chat.seller.get(f"/v1/attachments/{identifier}")
    assert (after["state"], after["width"], after["height"]) == ("ready", 600, 900)
    _, content, disposition = await chat.fetch(after["url"])
    assert disposition.startswith("inline")
    _, small, _ = await chat.fetch(after["thumbnail_url"])
    for drawn, kind, size in ((content, "JPEG", (600, 900)), (small, "WEBP", (320, 480))):
        with Image.open(io.BytesIO(drawn)) as image:
            assert (image.format, image.size) == (kind, size)
            assert not image.getexif()
        assert b"camera" not in drawn


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (png(9_000, 9_000), "million pixels"),
        (photo()[:4_000], "damaged"),
        (b"\xff\xd8\xff\xe0" + b"\0" * 500, "damaged"),
    ],
    ids=["a bomb", "cut off", "a header alone"],
)
async def test_an_image_that_cannot_be_drawn_is_shown_to_nobody(
    chat: Chat, ground: Ground, content: bytes, reason: str
) -> None:
    kind = "image/png" if content.startswith(b"\x89PNG") else "image/jpeg"
    identifier = await chat.upload(content, kind)
    await chat.send(identifier)
    assert await perform(ground.market, f"draw:{identifier}") == "done"
    view = await chat.seller.get(f"/v1/attachments/{identifier}")
    assert (view["state"], view["url"]) == ("refused", None)
    assert reason in view["reason"]
    assert await chat.stored(identifier) == [False, False, False]


@pytest.mark.parametrize(
    ("content", "kind", "reason"),
    [
        (b"<script>alert(1)</script>", "application/pdf", "neither an image"),
        (PDF, "image/png", "application/pdf"),
        (b"MZ\x90\0 a program", "image/jpeg", "neither an image"),
    ],
)
async def test_a_file_that_lies_about_its_type_is_refused_and_says_so(
    chat: Chat, content: bytes, kind: str, reason: str
) -> None:
    identifier, upload = await chat.announce(content, kind)
    assert await chat.put(upload, content) == 204
    for _ in range(2):
        with pytest.raises(ApiProblem) as caught:
            await chat.buyer.post(f"/v1/attachments/{identifier}/uploaded")
        assert (caught.value.status, caught.value.code) == (422, "attachment.refused")
        assert reason in str(caught.value)
    with pytest.raises(ApiProblem) as caught:
        await chat.send(identifier)
    assert (caught.value.code, caught.value.field) == ("attachment.refused", "$.attachments[0]")
    assert await chat.stored(identifier) == [False, False, False]


async def test_a_file_of_another_size_than_announced_is_refused(chat: Chat) -> None:
    identifier, upload = await chat.announce(PDF)
    assert await chat.put(upload, PDF + b"more") == 400  # The store itself.
    assert await chat.put(upload, PDF[:50]) == 204
    with pytest.raises(ApiProblem) as caught:
        await chat.buyer.post(f"/v1/attachments/{identifier}/uploaded")
    assert caught.value.code == "attachment.refused"
    assert "50 bytes" in str(caught.value)


async def test_what_is_uploaded_after_the_look_is_never_read_and_is_swept(chat: Chat) -> None:
    identifier, upload = await chat.announce(PDF)
    assert await chat.put(upload, PDF) == 204
    await chat.buyer.post(f"/v1/attachments/{identifier}/uploaded")
    await chat.send(identifier)
    assert await chat.put(upload, b"%PDF-something else") == 204
    view = await chat.seller.get(f"/v1/attachments/{identifier}")
    assert (await chat.fetch(view["url"]))[1] == PDF
    assert await chat.stored(identifier) == [True, True, False]
    await chat.sweep()  # The form may still write.
    assert await chat.stored(identifier) == [True, True, False]
    await chat.execute(
        "UPDATE attachments SET upload_until = now() - interval '5 min' WHERE id = $1", identifier
    )
    await chat.sweep()
    assert await chat.stored(identifier) == [False, True, False]


async def test_files_that_cannot_be_sent_name_the_field_and_the_reason(chat: Chat) -> None:
    good = await chat.upload(PDF)
    waiting, _ = await chat.announce(PDF)
    unknown = str(uuid4())
    sent = await chat.upload(PDF)
    await chat.send(sent)
    for wrong, code, status in (
        (unknown, "attachment.not_found", 404),
        (waiting, "attachment.not_uploaded", 422),
        (sent, "attachment.used", 409),
    ):
        with pytest.raises(ApiProblem) as caught:
            await chat.send(good, wrong)
        problem = caught.value
        assert (problem.code, problem.status) == (code, status)
        assert problem.field == "$.attachments[1]"
    with pytest.raises(ApiProblem) as caught:
        await chat.send(good, by=chat.seller)  # Somebody else's.
    assert caught.value.code == "attachment.not_found"
    # The good one was kept free through all this.
    await chat.send(good)


async def test_a_resend_finds_its_own_files_and_is_there_once(chat: Chat) -> None:
    identifier, client_id = await chat.upload(PDF), str(uuid4())
    answers = await asyncio.gather(
        *(chat.send(identifier, client_id=client_id) for _ in range(5)),
    )
    assert len({answer["seq"] for answer in answers}) == 1
    history = await chat.seller.get(f"/v1/conversations/{chat.id}/messages")
    assert len(history["items"]) == 1


async def test_of_two_messages_with_one_file_only_one_gets_it(chat: Chat) -> None:
    identifier = await chat.upload(PDF)
    answers = await asyncio.gather(
        *(chat.send(identifier) for _ in range(4)), return_exceptions=True
    )
    refused = [answer for answer in answers if isinstance(answer, ApiProblem)]
    assert [problem.code for problem in refused] == ["attachment.used"] * 3


async def test_a_message_over_the_socket_carries_files_and_keeps_its_order(chat: Chat) -> None:
    identifier = await chat.upload(PDF)
    topic = f"conversation:{chat.id}"
    async with opened(chat.node, "msgpack") as socket:
        await socket.ask(connect={"token": await chat.buyer.token()})
        await socket.ask(subscribe={"topic": topic})
        for number, message in enumerate(
            ({"text": "Before"}, {"attachments": [identifier]}, {"text": "After"})
        ):
            await socket.say(id=number, send={"topic": topic, "client_id": str(uuid4()), **message})
        bodies = [(await socket.event(seq))["body"] for seq in (1, 2, 3)]
        answer = await socket.ask(
            send={"topic": topic, "client_id": str(uuid4()), "attachments": [str(uuid4())]}
        )
    assert [body["text"] for body in bodies] == ["Before", "", "After"]
    assert bodies[1]["attachments"][0]["id"] == identifier
    assert answer["error"]["code"] == "attachment.not_found"
    assert answer["error"]["field"] == "$.attachments[0]"


async def test_wrong_announcements_and_messages_are_refused(chat: Chat) -> None:
    path = f"/v1/conversations/{chat.id}/attachments"
    sound = {"name": "a.pdf", "content_type": "application/pdf", "size_bytes": 10}
    for changed, code, field in (
        ({"name": "a/b.pdf"}, "request.invalid", "$.name"),
        ({"name": "a\n"}, "request.invalid", "$.name"),
        ({"name": "exe\u202efdp.pdf"}, "request.invalid", "$.name"),
        ({"name": ""}, "request.invalid", "$.name"),
        ({"content_type": "text/html"}, "request.invalid", "$.content_type"),
        ({"size_bytes": 0}, "attachment.too_large", "$.size_bytes"),
        (
            {"content_type": "image/png", "size_bytes": IMAGE_BYTES_MAX + 1},
            "attachment.too_large",
            "$.size_bytes",
        ),
    ):
        with pytest.raises(ApiProblem) as caught:
            await chat.buyer.post(path, sound | changed)
        assert (caught.value.code, caught.value.field) == (code, field), changed
    identifier = await chat.upload(PDF)
    for attachments in ([], [identifier, identifier], [str(uuid4()) for _ in range(11)]):
        with pytest.raises(ApiProblem) as caught:
            await chat.send(*attachments)
        assert caught.value.code == "request.invalid"


async def test_there_are_only_so_many_unsent_files_and_they_can_be_taken_back(chat: Chat) -> None:
    announced = [(await chat.announce(PDF))[0] for _ in range(WAITING_MAX)]
    with pytest.raises(ApiProblem) as caught:
        await chat.announce(PDF)
    assert (caught.value.status, caught.value.code) == (422, "attachment.too_many")
    await chat.buyer.delete(f"/v1/attachments/{announced[0]}")
    sent = await chat.upload(PDF)
    await chat.send(sent)
    with pytest.raises(ApiProblem) as caught:
        await chat.buyer.delete(f"/v1/attachments/{sent}")
    assert caught.value.code == "attachment.sent"


async def test_what_is_not_sent_within_a_day_is_deleted_and_what_is_sent_stays(chat: Chat) -> None:
    unsent, sent = await chat.upload(PDF), await chat.upload(PDF)
    never_uploaded, _ = await chat.announce(PDF)
    await chat.send(sent)
    await chat.sweep()
    assert await chat.stored(unsent) == [False, True, False]
    await chat.execute(
        "UPDATE attachments SET created_at = created_at - interval '25 h' WHERE conversation_id = $1",
        chat.id,
    )
    await chat.sweep()
    assert await chat.stored(unsent) == [False, False, False]
    assert await chat.stored(sent) == [False, True, False]
    view = await chat.seller.get(f"/v1/attachments/{sent}")
    assert (await chat.fetch(view["url"]))[1] == PDF
    for gone in (unsent, never_uploaded):
        with pytest.raises(ApiProblem) as caught:
            await chat.send(gone)
        assert caught.value.code == "attachment.not_found"
    async with chat.node.market.database.connection() as con:
        count = "SELECT count(*) FROM attachments WHERE conversation_id = $1"
        assert await con.fetchval(count, chat.id) == 1


async def test_the_files_of_a_deleted_message_are_gone_and_a_resend_still_finds_its_place(
    chat: Chat,
) -> None:
    identifier, client_id = await chat.upload(PDF), str(uuid4())
    posted = await chat.send(identifier, client_id=client_id)
    path = f"/v1/conversations/{chat.id}/messages/{posted['seq']}"
    await chat.buyer.delete(path)
    for person in (chat.buyer, chat.seller):
        with pytest.raises(ApiProblem) as caught:
            await person.get(f"/v1/attachments/{identifier}")
        assert caught.value.code == "attachment.not_found"
    listed = await chat.seller.get(f"/v1/conversations/{chat.id}/attachments")
    assert listed["items"] == []
    await chat.sweep()
    assert await chat.stored(identifier) == [False, False, False]
    assert (await chat.send(identifier, client_id=client_id))["seq"] == posted["seq"]


async def test_an_edited_message_keeps_its_files(chat: Chat) -> None:
    identifier = await chat.upload(PDF)
    posted = await chat.send(identifier)
    path = f"/v1/conversations/{chat.id}/messages/{posted['seq']}"
    await chat.buyer.patch(path, {"client_id": str(uuid4()), "text": "The bill"})
    body = (await chat.seller.get(path))["body"]
    assert (body["text"], body["attachments"][0]["id"]) == ("The bill", identifier)
    assert (await chat.seller.get(f"/v1/attachments/{identifier}"))["state"] == "ready"

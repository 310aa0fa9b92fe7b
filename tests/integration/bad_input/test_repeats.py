"""Requests that come twice, at once, or with somebody else's key: one effect, one answer, nobody else's business."""

from __future__ import annotations

import asyncio
from typing import Any, Final
from uuid import uuid4

import msgspec

from feira.http.endpoint import Endpoint
from feira.http.routes import ENDPOINTS
from tests.integration.bad_input.door import Door, Sent, all_of, endpoint_of, name_of, part_for
from tests.integration.cast import Part, address_of

# What is archived cannot be talked about, so that comes last.
CHANGING: Final = sorted(
    (endpoint for endpoint in ENDPOINTS if endpoint.signed_in and endpoint.method != "GET"),
    key=lambda endpoint: endpoint.path.endswith("/archive"),
)
# Repeats of these are safe by other means, each with a test of its own.
WITHOUT_KEYS: Final = {
    "POST /v1/conversations/{conversation}/messages": "client_id",
    "PUT /v1/conversations/{conversation}/cursor": "cursors only move forward",
    "POST /v1/orders/{order}/commands": "keys belong to the order",
}
# Forms and addresses are signed anew each time; the file is the same one.
FRESHLY_SIGNED: Final = {
    # A key is shown once.
    "POST /v1/shops/{shop}/api-keys",
    "POST /v1/products/{product}/media",
    "POST /v1/conversations/{conversation}/attachments",
    "POST /v1/attachments/{attachment}/uploaded",
}
# What one cast does not bring about. (A suspended shop is reinstated by the next one in the list.)
NOT_ON_STAGE: Final = {
    "POST /v1/admin/shops/{shop}/approve",
    "POST /v1/admin/shops/{shop}/reject",
    "POST /v1/products/{product}/publish",
    "POST /v1/payments/{payment}/refresh",
    "POST /v1/checkout",
    # The job of the cast is dead.
    "POST /v1/operations/jobs/{job}/cancel",
    # Nothing arrived that could be returned.
    "POST /v1/orders/{order}/returns",
    "POST /v1/returns/{return_id}/commands",
    # There is no money to pay out, and no buyer went to their bank.
    "POST /v1/shops/{shop}/payouts",
    "POST /v1/chargebacks/{chargeback}/evidence",
}


async def prepared(door: Door, endpoint: Endpoint) -> tuple[str, bytes | None]:
    """Address and body of a request that succeeds."""
    ids = dict(door.cast.ids)
    for parameter in (
        "session",
        "job",
        "media",
        "address",
        "message",
        "member",
        "report",
        "promotion",
        "method",
    ):
        if parameter in endpoint.path_types:
            ids[parameter] = await door.cast.fresh(parameter)
    if "attachment" in endpoint.path_types and endpoint.method == "DELETE":
        # What was sent is not taken back.
        ids["attachment"] = await door.cast.fresh("attachment")
    body: dict[str, Any] | None = door.fresh_body(name_of(endpoint))
    if body is not None and "version" in body and "promotion" not in endpoint.path_types:
        async with door.cast.market.database.connection() as con:
            table, row = (
                ("shops", ids["shop"])
                if endpoint.service == "users"
                else ("products", ids["product"])
            )
            if endpoint.path == "/v1/me":
                table, row = "users", str(door.cast.people["buyer"].user)
            version = await con.fetchval(f"SELECT version FROM {table} WHERE id = $1", row)  # noqa: S608
        body = body | {"version": version}
    if endpoint.path.endswith("/refunds"):
        # By lines it would need to know them.
        body = {"amount_minor": 1, "reason": "Broken on the way."}
    if endpoint.path.endswith("/import"):
        return address_of(endpoint.path, ids), b"sku,title,category,price\nNEW-1,New,books,1.00\n"
    return address_of(endpoint.path, ids), None if body is None else msgspec.json.encode(body)


async def test_a_key_makes_every_change_happen_once_however_often_it_is_sent(door: Door) -> None:
    tried = 0
    refused: list[Sent] = []
    for endpoint in CHANGING:
        if name_of(endpoint) in WITHOUT_KEYS or name_of(endpoint) in NOT_ON_STAGE:
            continue
        tried += 1
        path, body = await prepared(door, endpoint)
        headers = {"Idempotency-Key": uuid4().hex}
        if endpoint.path.endswith("/import"):
            headers["Content-Type"] = "text/csv"

        async def send(
            what: str,
            endpoint: Endpoint = endpoint,
            path: str = path,
            body: bytes | None = body,
            headers: dict[str, str] = headers,
        ) -> Sent:
            return await door.send(endpoint, what, path=path, body=body, headers=headers)

        at_once = await all_of([send("at once") for _ in range(3)])
        done = [answer for answer in at_once if answer.status == endpoint.status]
        if not done:
            refused.append(at_once[0])
            continue
        others = [answer for answer in at_once if answer.status != endpoint.status]
        assert {answer.problem["code"] for answer in others} <= {"idempotency.in_flight"}, others
        before = await door.counts()
        late = await send("late")
        assert late.status == endpoint.status, late
        assert await door.counts() == before, name_of(endpoint)
        if name_of(endpoint) not in FRESHLY_SIGNED:
            assert {answer.body for answer in (*done, late)} == {done[0].body}
    assert not refused, "\n".join(f"{one.what} -> {one.body[:160]!r}" for one in refused)
    assert tried == len(CHANGING) - len(WITHOUT_KEYS) - len(NOT_ON_STAGE)


async def test_a_key_with_another_request_is_refused_and_keeps_its_first_answer(
    door: Door,
) -> None:
    addresses = endpoint_of("POST /v1/me/addresses")
    one = door.bodies[name_of(addresses)]
    headers = {"Idempotency-Key": uuid4().hex}
    first = await door.send(addresses, "first", headers=headers)
    assert first.status == 201
    before = await door.counts()
    other_body = msgspec.json.encode(one | {"city": "Porto"})
    answers = [
        await door.send(addresses, "other body", body=other_body, headers=headers),
        await door.send(addresses, "other query", query="?x=1", headers=headers),
        await door.send(endpoint_of("PATCH /v1/me"), "other address", headers=headers),
        await door.send(
            endpoint_of("DELETE /v1/me/addresses/{address}"), "other method", headers=headers
        ),
    ]
    for answer in answers:
        assert (answer.status, answer.problem["code"]) == (422, "idempotency.key_reused"), answer
        assert answer.problem["field"] == "Idempotency-Key"
    assert await door.counts() == before
    again = await door.send(addresses, "again", headers=headers)
    assert again.body == first.body


async def test_keys_of_different_people_have_nothing_to_do_with_each_other(door: Door) -> None:
    addresses = endpoint_of("POST /v1/me/addresses")
    key = {"Idempotency-Key": "the same for all"}
    parts: tuple[Part, ...] = ("buyer", "other_buyer", "owner")
    answers = await all_of(
        [
            door.send(addresses, part, headers=door.cast.headers(part) | key)
            for part in parts
            for _ in range(2)
        ]
    )
    made = [a for a in answers if a.status == 201]
    assert len({msgspec.json.decode(answer.body)["id"] for answer in made}) == 3
    codes = {a.problem["code"] for a in answers if a.status != 201}
    assert codes <= {"idempotency.in_flight"}


async def test_a_refused_request_leaves_its_key_free(door: Door) -> None:
    addresses = endpoint_of("POST /v1/me/addresses")
    headers = {"Idempotency-Key": uuid4().hex}
    unknown = msgspec.json.encode(door.bodies[name_of(addresses)] | {"country": "ZZ"})
    refused = await door.send(addresses, "refused", body=unknown, headers=headers)
    assert refused.status == 400
    assert (await door.send(addresses, "corrected", headers=headers)).status == 201


async def test_five_clicks_on_buy_make_one_checkout(door: Door) -> None:
    put, buy = endpoint_of("PUT /v1/cart/lines/{variant}"), endpoint_of("POST /v1/checkout")
    assert (await door.send(put, "fill")).status == 200
    headers = {"Idempotency-Key": uuid4().hex}
    async with door.cast.market.database.connection() as con:
        before = await con.fetchval("SELECT count(*) FROM order_groups")
    answers = await all_of([door.send(buy, "click", headers=headers) for _ in range(5)])
    made = [msgspec.json.decode(a.body)["group"]["id"] for a in answers if a.status == 201]
    assert len(set(made)) == 1
    assert {a.problem["code"] for a in answers if a.status != 201} <= {"idempotency.in_flight"}
    async with door.cast.market.database.connection() as con:
        assert await con.fetchval("SELECT count(*) FROM order_groups") == before + 1
        assert (
            await con.fetchval(
                "SELECT reserved FROM stock WHERE variant_id = $1", door.cast.ids["variant"]
            )
            == 2
        )


async def test_five_clicks_without_a_key_sell_the_cart_once(door: Door) -> None:
    put, buy = endpoint_of("PUT /v1/cart/lines/{variant}"), endpoint_of("POST /v1/checkout")
    assert (await door.send(put, "fill")).status == 200
    answers = await all_of([door.send(buy, "click") for _ in range(5)])
    assert sorted(a.status for a in answers) == [201, 422, 422, 422, 422]
    assert {a.problem["code"] for a in answers if a.status == 422} == {"checkout.empty_cart"}


async def test_a_message_sent_many_times_over_http_is_one_and_senders_do_not_collide(
    door: Door,
) -> None:
    say = endpoint_of("POST /v1/conversations/{conversation}/messages")
    body = msgspec.json.encode({"client_id": str(uuid4()), "text": "Once"})
    parts: tuple[Part, ...] = ("buyer", "owner")
    answers = await all_of(
        [
            door.send(say, part, body=body, headers=door.cast.headers(part))
            for part in parts
            for _ in range(5)
        ]
    )
    assert {answer.status for answer in answers} == {201}
    seqs = {
        part: {msgspec.json.decode(a.body)["seq"] for a in answers if a.what.endswith(part)}
        for part in parts
    }
    assert {len(found) for found in seqs.values()} == {1}
    assert seqs["buyer"] != seqs["owner"]


async def test_an_order_accepted_five_times_at_once_is_accepted_once(door: Door) -> None:
    command = endpoint_of("POST /v1/orders/{order}/commands")
    headers = door.cast.headers("owner") | {"Idempotency-Key": uuid4().hex}
    accept = msgspec.json.encode({"action": "accept"})
    answers = await all_of(
        [door.send(command, "accept", body=accept, headers=headers) for _ in range(5)]
    )
    assert {answer.status for answer in answers} == {200}
    assert len({msgspec.json.decode(answer.body)["version"] for answer in answers}) == 1
    other = msgspec.json.encode({"action": "cancel", "reason": "no"})
    reused = await door.send(command, "reused", body=other, headers=headers)
    assert (reused.status, reused.problem["code"]) == (422, "idempotency.key_reused")
    # The same key of the buyer is another key.
    mine = door.cast.headers("buyer") | {"Idempotency-Key": headers["Idempotency-Key"]}
    answer = await door.send(command, "buyer", body=accept, headers=mine)
    assert answer.problem["code"] != "idempotency.key_reused"


async def test_cursors_sent_out_of_order_never_move_back(door: Door) -> None:
    say = endpoint_of("POST /v1/conversations/{conversation}/messages")
    move = endpoint_of("PUT /v1/conversations/{conversation}/cursor")
    last = 0
    for _ in range(4):
        text = msgspec.json.encode({"client_id": str(uuid4()), "text": "One"})
        last = msgspec.json.decode((await door.send(say, "say", body=text)).body)["seq"]
    seqs = [last, 1, 2**53, 3, 0]
    await asyncio.gather(
        *(door.send(move, str(seq), body=msgspec.json.encode({"read_seq": seq})) for seq in seqs)
    )
    members = await door.send(endpoint_of("GET /v1/conversations/{conversation}/members"), "list")
    buyer = str(door.cast.people["buyer"].user)
    (mine,) = [m for m in msgspec.json.decode(members.body)["items"] if m["user_id"] == buyer]
    assert mine["read_seq"] == last


def test_every_exception_is_still_an_endpoint() -> None:
    names = {name_of(endpoint) for endpoint in CHANGING}
    assert names >= set(WITHOUT_KEYS) | NOT_ON_STAGE | FRESHLY_SIGNED
    assert all(part_for(endpoint) for endpoint in CHANGING)

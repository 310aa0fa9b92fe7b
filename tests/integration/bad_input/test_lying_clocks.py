"""Clients whose clocks lie: no time of theirs counts anywhere, the database's and the servers' do."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID

import msgspec

from feira.http.routes import ENDPOINTS
from feira.http.statements import StatementDays, StatementQuery
from feira.platform.domain.ids import ConversationId, UserId
from feira.platform.domain.notices import UnreadMessagesNotice
from feira.platform.domain.order_commands import ExtendShipBy, RequestMoreTime
from feira.services.audit.reading import AuditFilter, AuditSearch
from feira.services.chargebacks.answering import EvidenceInput
from feira.services.notifications.notifications import notify
from feira.services.orders.history import OrderFilter, OrderSearch
from feira.services.orders.promotions import ChangePromotion, NewPromotion
from feira.services.payments.commission_rules import (
    AddCommissionRule,
    EndCommissionRule,
    PreviewCommission,
)
from feira.services.users.api_keys import NewKey
from feira.sql.database import Tx
from feira.ws.protocol import ClientMessage
from tests.integration.bad_input.door import Door, endpoint_of, name_of

# Version 7 of 1970 and of the year 10889: clients make these, and their clocks may say anything.
FIRST: Final = "00000000-0000-7000-8000-000000000000"
LAST: Final = "ffffffff-ffff-7fff-bfff-ffffffffffff"
# When a promotion is to begin and end; which stretch of a history is asked for; when goods were sent, as evidence;
# until when a shop wants to send; from and until when a commission counts; which stretch of the audit log is read.
PLANS: Final = (
    NewPromotion,
    ChangePromotion,
    OrderFilter,
    OrderSearch,
    StatementQuery,
    StatementDays,
    EvidenceInput,
    RequestMoreTime,
    ExtendShipBy,
    AddCommissionRule,
    EndCommissionRule,
    PreviewCommission,
    AuditSearch,
    AuditFilter,
    NewKey,
)
TIMES: Final = (
    msgspec.inspect.DateTimeType,
    msgspec.inspect.DateType,
    msgspec.inspect.TimeType,
    msgspec.inspect.TimeDeltaType,
)


def types_inside(kind: msgspec.inspect.Type) -> list[msgspec.inspect.Type]:
    """Every type that a decoded value may hold, however deep."""
    found, waiting = [kind], [kind]
    while waiting:
        inner: list[Any] = []
        match waiting.pop():
            case msgspec.inspect.StructType(cls=cls) if cls in PLANS:
                pass
            case msgspec.inspect.StructType(fields=fields):
                inner = [field.type for field in fields]
            case msgspec.inspect.UnionType(types=types):
                inner = list(types)
            case msgspec.inspect.ListType(item_type=item):
                inner = [item]
            case msgspec.inspect.DictType(key_type=key, value_type=value):
                inner = [key, value]
            case _:
                pass
        found += inner
        waiting += inner
    return found


def test_no_request_has_a_place_for_a_time_unless_it_plans_with_it() -> None:
    kinds = [e.body_type for e in ENDPOINTS] + [e.query_type for e in ENDPOINTS] + [ClientMessage]
    unplanned: list[object] = []
    for kind in filter(None, kinds):
        inside = types_inside(msgspec.inspect.type_info(kind))
        assert len(inside) > 1 or kind in PLANS
        if any(isinstance(found, TIMES) for found in inside):
            unplanned.append(kind)
    assert not unplanned


async def database_now(door: Door) -> datetime:
    async with door.cast.market.database.connection() as con:
        return await con.fetchval("SELECT clock_timestamp()")


async def test_messages_are_dated_by_the_database_and_ordered_by_arrival(door: Door) -> None:
    say = endpoint_of("POST /v1/conversations/{conversation}/messages")
    # The Date header, and ids whose clock ran backwards and forwards.
    headers = {"Date": "Thu, 01 Jan 1970 00:00:00 GMT"}
    started = await database_now(door)
    for client_id in (LAST, FIRST, str(UUID(int=0))):
        body = msgspec.json.encode({"client_id": client_id, "text": client_id})
        answer = await door.send(say, client_id, body=body, headers=headers)
        assert answer.status == 201
    ended = await database_now(door)
    history = await door.send(
        endpoint_of("GET /v1/conversations/{conversation}/messages"), "history"
    )
    items = msgspec.json.decode(history.body)["items"][-3:]
    assert [item["body"]["client_id"] for item in items] == [LAST, FIRST, str(UUID(int=0))]
    for item in items:
        assert started <= datetime.fromisoformat(item["at"]) <= ended


async def test_a_time_that_is_sent_along_is_an_unknown_field(door: Door) -> None:
    for name, field in (
        ("POST /v1/conversations/{conversation}/messages", "at"),
        ("POST /v1/checkout", "hold_ends_at"),
        ("POST /v1/orders/{order}/commands", "at"),
        ("POST /v1/me/addresses", "created_at"),
    ):
        body = door.bodies[name] | {field: "1970-01-01T00:00:00Z"}
        answer = await door.send(endpoint_of(name), field, body=msgspec.json.encode(body))
        assert (answer.status, answer.problem["code"]) == (400, "request.invalid")


async def test_a_hold_ends_by_the_databases_clock_whatever_the_client_says_it_is(
    door: Door,
) -> None:
    await door.send(endpoint_of("PUT /v1/cart/lines/{variant}"), "fill")
    started = await database_now(door)
    answer = await door.send(
        endpoint_of("POST /v1/checkout"),
        "late",
        headers={"Date": "Fri, 31 Dec 2100 23:59:59 GMT"},
    )
    made = msgspec.json.decode(answer.body)
    hold = timedelta(seconds=door.cast.market.config.order_hold_s)
    ends_at = datetime.fromisoformat(made["group"]["hold_ends_at"])
    assert started + hold <= ends_at <= await database_now(door) + hold
    order = UUID(made["orders"][0]["id"])
    async with door.cast.market.database.connection() as con:
        # What ends it compares with the database's clock alone.
        due = "SELECT count(*) FROM order_deadlines WHERE order_id = $1 AND due_at <= now()"
        assert await con.fetchval(due, order) == 0


async def test_a_token_ends_by_the_servers_clock_whatever_the_client_says_it_is(door: Door) -> None:
    buyer = door.cast.people["buyer"]
    long_ago = datetime.now(UTC) - timedelta(minutes=20)
    token, _ = door.cast.market.tokens.issue(buyer.user, buyer.principal.session_id, long_ago)
    headers = {
        "Authorization": f"Bearer {token}",
        "Date": long_ago.strftime("%a, %d %b %Y %H:%M:%S GMT"),
    }
    answer = await door.send(endpoint_of("GET /v1/me"), "old", headers=headers)
    assert (answer.status, answer.problem["code"]) == (401, "auth.token_expired")


async def test_reading_up_to_the_end_of_time_reads_nothing_that_comes_later(door: Door) -> None:
    buyer = door.cast.people["buyer"].user
    read = endpoint_of("POST /v1/notifications/read")
    await told(door, buyer, "first")
    body = msgspec.json.encode({"up_to": LAST})
    answer = await door.send(read, "all", body=body)
    assert msgspec.json.decode(answer.body) == {"unread": 0}
    await told(door, buyer, "second")
    listed = await door.send(endpoint_of("GET /v1/notifications"), "list")
    assert msgspec.json.decode(listed.body)["unread"] == 1


async def test_cursors_from_the_beginning_and_the_end_of_time_give_pages(door: Door) -> None:
    for endpoint in ENDPOINTS:
        kind = endpoint.query_type
        if kind is None or "cursor" not in kind.__struct_fields__ or "search" in endpoint.path:
            continue
        if name_of(endpoint) in {
            "GET /v1/operations/jobs",
            "GET /v1/admin/reports",
            "GET /v1/orders/{order}/timeline",
            "GET /v1/payouts/{payout}/lines",
            "GET /v1/shops/{shop}/statement",
            "GET /v1/operations/provider-events",
            "GET /v1/operations/audit",
            "GET /v1/me/security-events",
        }:
            # Numbers and places, in which there is no time.
            continue
        for cursor in (FIRST, LAST):
            answer = await door.send(endpoint, cursor, query=f"?cursor={cursor}")
            assert answer.status == 200, answer
            assert isinstance(msgspec.json.decode(answer.body)["items"], list)


async def told(door: Door, user: UserId, effect: str) -> None:
    notice = UnreadMessagesNotice(
        conversation=ConversationId(UUID(door.cast.ids["conversation"])),
        sender_name="Rui",
        count=1,
    )

    async def work(tx: Tx) -> int:
        return await notify(tx, {user: notice}, effect=effect)

    assert await door.cast.transact(work) == 1

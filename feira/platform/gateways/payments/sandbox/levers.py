"""Levers for tests: make things go wrong, decide as banks do, and ask what really happened.

POST /v1/faults                                {operation, kind, calls}: make the next calls go wrong
POST /v1/test/chaos                            {seed, calls, webhooks}: let things go wrong by chance; DELETE ends it
POST /v1/test/accounts/{id}                    {status, payouts_do}
POST /v1/test/payment_intents/{id}/expire      {}: its authorisation runs out
POST /v1/test/disputes                         {payment_intent, amount_minor, reason}
POST /v1/test/disputes/{id}/close              {outcome}
POST /v1/test/events                           {type, object, account}
GET  /v1/test/effects                          every outside effect, with the key that made it
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec
from aiohttp import web

from feira.platform.gateways.payments.sandbox import accounts, disputes, intents
from feira.platform.gateways.payments.sandbox.books import found, tell
from feira.platform.gateways.payments.sandbox.calls import change
from feira.platform.gateways.payments.sandbox.company import COMPANY
from feira.platform.gateways.payments.sandbox.requests import (
    ChangeAccount,
    CloseDispute,
    EmitEvent,
    ExpireAuthorization,
    OpenDispute,
    SetChaos,
    SetFault,
)
from feira.platform.gateways.payments.sandbox.wire import AccountObject, DisputeObject

if TYPE_CHECKING:
    from feira.platform.gateways.payments.sandbox.books import Connection

_SET_FAULT: Final = (
    "INSERT INTO sandbox.faults (operation, kind, calls_left) VALUES ($1, $2, $3)"
    " ON CONFLICT (operation) DO UPDATE SET kind = excluded.kind, calls_left = excluded.calls_left"
)
_SET_CHAOS: Final = (
    "INSERT INTO sandbox.chaos (seed, calls, webhooks) VALUES ($1, $2::text::jsonb, $3::text::jsonb)"
    " ON CONFLICT (one) DO UPDATE SET seed = excluded.seed, calls = excluded.calls, webhooks = excluded.webhooks"
)
_EFFECTS: Final = """
    SELECT 'account' AS kind, id, made_by_key, id AS account, '' AS client_reference, '' AS parent, '' AS currency,
        0::bigint AS amount_minor, 0::bigint AS undone_minor, status AS state FROM sandbox.accounts
    UNION ALL SELECT 'payment_intent', id, made_by_key, '', coalesce(metadata ->> 'payment', ''), '', currency,
        CASE state WHEN 'succeeded' THEN captured_minor ELSE amount_minor END, refunded_minor, state FROM sandbox.payment_intents
    UNION ALL SELECT 'refund', r.id, r.made_by_key, '', r.client_reference, r.payment_intent_id, i.currency,
        r.amount_minor, 0, r.state FROM sandbox.refunds AS r JOIN sandbox.payment_intents AS i ON i.id = r.payment_intent_id
    UNION ALL SELECT 'transfer', id, made_by_key, account_id, client_reference, coalesce(payment_intent_id, ''), currency,
        amount_minor, reversed_minor, 'made' FROM sandbox.transfers
    UNION ALL SELECT 'transfer_reversal', v.id, v.made_by_key, t.account_id, v.client_reference, v.transfer_id, t.currency,
        v.amount_minor, 0, 'made' FROM sandbox.transfer_reversals AS v JOIN sandbox.transfers AS t ON t.id = v.transfer_id
    UNION ALL SELECT 'payout', id, made_by_key, account_id, client_reference, '', currency,
        amount_minor, 0, state FROM sandbox.payouts
    UNION ALL SELECT 'dispute', id, made_by_key, '', '', payment_intent_id, currency,
        amount_minor, 0, state FROM sandbox.disputes
"""
_BALANCES: Final = (
    "SELECT account, currency, balance_minor FROM sandbox.balances ORDER BY account, currency"
)


class Effect(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that happened outside. `parent` is the intent or transfer it belongs to; `undone_minor` is what was
    refunded or reversed of it. Without a key, nobody asked for it by the API.
    """

    kind: str
    id: str
    made_by_key: str
    account: str
    client_reference: str
    parent: str
    currency: str
    amount_minor: int
    undone_minor: int
    state: str


class Balance(msgspec.Struct, frozen=True, kw_only=True):
    account: str
    currency: str
    balance_minor: int


class Effects(msgspec.Struct, frozen=True, kw_only=True):
    """All of them on one snapshot."""

    effects: list[Effect]
    balances: list[Balance]


class Done(msgspec.Struct, frozen=True, kw_only=True):
    done: bool = True


async def read_effects(con: Connection) -> Effects:
    """Every outside effect and every balance, for whoever has to know the truth."""
    async with con.transaction(isolation="repeatable_read", readonly=True):
        effects, balances = await con.fetch(_EFFECTS), await con.fetch(_BALANCES)
    return Effects(
        effects=[found(row, Effect) for row in effects],
        balances=[found(row, Balance) for row in balances],
    )


async def set_fault(request: web.Request) -> web.Response:
    async def keep(con: Connection, body: SetFault) -> SetFault:
        await con.execute(_SET_FAULT, body.operation, body.kind, body.calls)
        return body

    return await change(request, None, SetFault, keep)


async def set_chaos(request: web.Request) -> web.Response:
    async def keep(con: Connection, body: SetChaos) -> SetChaos:
        calls, webhooks = (msgspec.json.encode(one).decode() for one in (body.calls, body.webhooks))
        await con.execute(_SET_CHAOS, body.seed, calls, webhooks)
        return body

    return await change(request, None, SetChaos, keep)


async def end_chaos(request: web.Request) -> web.Response:
    async with request.app[COMPANY].pool.acquire() as con:
        await con.execute("DELETE FROM sandbox.chaos")
    return _json(Done())


async def change_account(request: web.Request) -> web.Response:
    async def work(con: Connection, body: ChangeAccount) -> AccountObject:
        return await accounts.change_account(con, request.match_info["id"], body)

    return await change(request, None, ChangeAccount, work)


async def expire_authorization(request: web.Request) -> web.Response:
    async def work(con: Connection, _body: ExpireAuthorization) -> Done:
        await intents.expire_authorization(con, request.match_info["id"])
        return Done()

    return await change(request, None, ExpireAuthorization, work)


async def open_dispute(request: web.Request) -> web.Response:
    return await change(request, None, OpenDispute, disputes.open_dispute)


async def close_dispute(request: web.Request) -> web.Response:
    async def work(con: Connection, body: CloseDispute) -> DisputeObject:
        return await disputes.close_dispute(con, request.match_info["id"], body)

    return await change(request, None, CloseDispute, work)


async def emit_event(request: web.Request) -> web.Response:
    async def work(con: Connection, body: EmitEvent) -> Done:
        await tell(con, body.type, body.object, account=body.account)
        return Done()

    return await change(request, None, EmitEvent, work)


async def get_effects(request: web.Request) -> web.Response:
    async with request.app[COMPANY].pool.acquire() as con:
        return _json(await read_effects(con))


ROUTES: Final = (
    web.post("/v1/faults", set_fault),
    web.post("/v1/test/chaos", set_chaos),
    web.delete("/v1/test/chaos", end_chaos),
    web.post("/v1/test/accounts/{id}", change_account),
    web.post("/v1/test/payment_intents/{id}/expire", expire_authorization),
    web.post("/v1/test/disputes", open_dispute),
    web.post("/v1/test/disputes/{id}/close", close_dispute),
    web.post("/v1/test/events", emit_event),
    web.get("/v1/test/effects", get_effects),
)


def _json(answer: msgspec.Struct) -> web.Response:
    return web.Response(body=msgspec.json.encode(answer), content_type="application/json")

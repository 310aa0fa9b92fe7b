"""The sandbox company's endpoints for its customers; `server` lists them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

import msgspec
from aiohttp import web

from feira.platform.gateways.payments.sandbox import (
    accounts,
    disputes,
    intents,
    lists,
    refunds,
    transfers,
)
from feira.platform.gateways.payments.sandbox.books import ApiError
from feira.platform.gateways.payments.sandbox.calls import change
from feira.platform.gateways.payments.sandbox.company import COMPANY
from feira.platform.gateways.payments.sandbox.intents import StoredIntent
from feira.platform.gateways.payments.sandbox.requests import (
    CancelIntent,
    CaptureIntent,
    ConfirmIntent,
    CreateAccount,
    CreateIntent,
    CreateOnboardingLink,
    CreatePayout,
    CreateRefund,
    CreateReversal,
    CreateTransfer,
    SubmitEvidence,
)
from feira.platform.gateways.payments.sandbox.wire import (
    DisputeObject,
    IntentObject,
    OnboardingLinkObject,
    ReversalObject,
)

if TYPE_CHECKING:
    from feira.platform.gateways.payments.sandbox.books import Connection

_EPOCH_S_MAX: Final = 10**11


async def create_account(request: web.Request) -> web.Response:
    return await change(request, "accounts.create", CreateAccount, accounts.create_account)


async def get_account(request: web.Request) -> web.Response:
    return await _read(request, lambda con: accounts.read_account(con, _id(request)))


async def create_onboarding_link(request: web.Request) -> web.Response:
    async def create(con: Connection, body: CreateOnboardingLink) -> OnboardingLinkObject:
        link = await accounts.create_onboarding_link(con, _id(request), body)
        url = f"{request.app[COMPANY].public_url()}/onboard/{link.id}"
        return OnboardingLinkObject(url=url, expires_at=link.expires_at)

    return await change(request, None, CreateOnboardingLink, create)


async def create_intent(request: web.Request) -> web.Response:
    async def create(con: Connection, body: CreateIntent) -> IntentObject:
        return _shown(request, await intents.create_intent(con, body))

    return await change(request, "payment_intents.create", CreateIntent, create)


async def get_intent(request: web.Request) -> web.Response:
    async def read(con: Connection) -> IntentObject:
        return _shown(request, await intents.read_intent(con, _id(request)))

    return await _read(request, read)


async def capture_intent(request: web.Request) -> web.Response:
    async def capture(con: Connection, body: CaptureIntent) -> IntentObject:
        return _shown(request, await intents.capture_intent(con, _id(request), body))

    return await change(request, "payment_intents.capture", CaptureIntent, capture)


async def cancel_intent(request: web.Request) -> web.Response:
    async def cancel(con: Connection, _body: CancelIntent) -> IntentObject:
        return _shown(request, await intents.cancel_intent(con, _id(request)))

    return await change(request, "payment_intents.cancel", CancelIntent, cancel)


async def confirm_intent(request: web.Request) -> web.Response:
    async def confirm(con: Connection, body: ConfirmIntent) -> IntentObject:
        return _shown(request, await intents.confirm_intent(con, _id(request), body))

    return await change(request, "payment_intents.confirm", ConfirmIntent, confirm)


async def create_refund(request: web.Request) -> web.Response:
    return await change(request, "refunds.create", CreateRefund, refunds.create_refund)


async def get_refund(request: web.Request) -> web.Response:
    return await _read(request, lambda con: refunds.read_refund(con, _id(request)))


async def list_refunds(request: web.Request) -> web.Response:
    intent = _query(request, "payment_intent")
    return await _read(request, lambda con: refunds.list_refunds(con, intent))


async def create_transfer(request: web.Request) -> web.Response:
    return await change(request, "transfers.create", CreateTransfer, transfers.create_transfer)


async def get_transfer(request: web.Request) -> web.Response:
    return await _read(request, lambda con: transfers.read_transfer(con, _id(request)))


async def list_transfers(request: web.Request) -> web.Response:
    group = _query(request, "group")
    return await _read(request, lambda con: transfers.list_transfers(con, group))


async def reverse_transfer(request: web.Request) -> web.Response:
    async def reverse(con: Connection, body: CreateReversal) -> ReversalObject:
        return await transfers.reverse_transfer(con, _id(request), body)

    return await change(request, "transfers.reverse", CreateReversal, reverse)


async def list_reversals(request: web.Request) -> web.Response:
    return await _read(request, lambda con: transfers.list_reversals(con, _id(request)))


async def create_payout(request: web.Request) -> web.Response:
    return await change(request, "payouts.create", CreatePayout, transfers.create_payout)


async def get_payout(request: web.Request) -> web.Response:
    return await _read(request, lambda con: transfers.read_payout(con, _id(request)))


async def list_payouts(request: web.Request) -> web.Response:
    account, since = _query(request, "account"), _since(request)
    return await _read(request, lambda con: transfers.list_payouts(con, account, since))


async def get_dispute(request: web.Request) -> web.Response:
    return await _read(request, lambda con: disputes.read_dispute(con, _id(request)))


async def submit_evidence(request: web.Request) -> web.Response:
    async def submit(con: Connection, body: SubmitEvidence) -> DisputeObject:
        return await disputes.submit_evidence(con, _id(request), body)

    return await change(request, "disputes.submit_evidence", SubmitEvidence, submit)


async def list_events(request: web.Request) -> web.Response:
    since, page = _since(request), _number(request, "page")
    return await _read(request, lambda con: lists.list_events(con, since, page))


async def list_balance_transactions(request: web.Request) -> web.Response:
    account = request.query.get("account", "")
    since, page = _since(request), _number(request, "page")
    return await _read(request, lambda con: lists.list_movements(con, account, since, page))


ROUTES: Final = (
    web.post("/v1/accounts", create_account),
    web.get("/v1/accounts/{id}", get_account),
    web.post("/v1/accounts/{id}/onboarding_links", create_onboarding_link),
    web.post("/v1/payment_intents", create_intent),
    web.get("/v1/payment_intents/{id}", get_intent),
    web.post("/v1/payment_intents/{id}/capture", capture_intent),
    web.post("/v1/payment_intents/{id}/cancel", cancel_intent),
    web.post("/v1/payment_intents/{id}/confirm", confirm_intent),
    web.post("/v1/refunds", create_refund),
    web.get("/v1/refunds", list_refunds),
    web.get("/v1/refunds/{id}", get_refund),
    web.post("/v1/transfers", create_transfer),
    web.get("/v1/transfers", list_transfers),
    web.get("/v1/transfers/{id}", get_transfer),
    web.post("/v1/transfers/{id}/reversals", reverse_transfer),
    web.get("/v1/transfers/{id}/reversals", list_reversals),
    web.post("/v1/payouts", create_payout),
    web.get("/v1/payouts", list_payouts),
    web.get("/v1/payouts/{id}", get_payout),
    web.get("/v1/disputes/{id}", get_dispute),
    web.post("/v1/disputes/{id}/evidence", submit_evidence),
    web.get("/v1/events", list_events),
    web.get("/v1/balance_transactions", list_balance_transactions),
)


def _id(request: web.Request) -> str:
    return request.match_info["id"]


def _shown(request: web.Request, intent: StoredIntent) -> IntentObject:
    return intent.shown(f"{request.app[COMPANY].public_url()}/pay/{intent.id}")


def _query(request: web.Request, name: str) -> str:
    value = request.query.get(name, "")
    if not value:
        raise ApiError(400, "invalid_request", f"Name the {name} in the query.")
    return value


def _number(request: web.Request, name: str) -> int:
    value = request.query.get(name, "0")
    if not value.isascii() or not value.isdecimal() or int(value) > _EPOCH_S_MAX:
        raise ApiError(400, "invalid_request", f"{name} is a number.")
    return int(value)


def _since(request: web.Request) -> datetime:
    return datetime.fromtimestamp(_number(request, "since"), UTC)


async def _read(
    request: web.Request, read: Callable[[Connection], Awaitable[msgspec.Struct]]
) -> web.Response:
    async with request.app[COMPANY].pool.acquire() as con:
        answer = await read(con)
    return web.Response(body=msgspec.json.encode(answer), content_type="application/json")

"""Who may do what: every endpoint and every topic, tried by everybody. A new endpoint fails here until it is declared."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AsyncExitStack
from typing import Any, Final, get_args
from uuid import uuid4

import msgspec
import pytest
from aiohttp import ClientSession

from feira.app import RunningNode
from feira.http.endpoint import Endpoint
from feira.http.routes import ENDPOINTS
from feira.platform.domain.topics import TopicKind
from feira.platform.runtime.config import Config
from feira.ws.close_codes import CloseCode
from tests.integration.audit_log import SUCCEED_ELSEWHERE, is_privileged, mistake_in_log
from tests.integration.cast import PARTS, Cast, Part, address_of, assemble
from tests.integration.sockets import opened
from tests.integration.sound_requests import bodies

# ok: the door is open, whatever the rules say behind it. 401, 403, 404: as the answer says.
# The checkout names the buyer's address. The buyer bought from the owner's shop, where staff works; everything belongs to one of them.
# The shop made the offer that is answered.
TABLE: Final = """
                                                    anonymous unverified buyer other_buyer owner staff rival support finance admin
POST   /v1/auth/sign-up                                ok  ok  ok  ok  ok  ok  ok  ok  ok  ok
POST   /v1/auth/verify-email                           ok  ok  ok  ok  ok  ok  ok  ok  ok  ok
POST   /v1/auth/resend-verification                    ok  ok  ok  ok  ok  ok  ok  ok  ok  ok
POST   /v1/auth/login                                  401 401 401 401 401 401 401 401 401 401
POST   /v1/auth/refresh                                401 401 401 401 401 401 401 401 401 401
POST   /v1/auth/logout                                 ok  ok  ok  ok  ok  ok  ok  ok  ok  ok
POST   /v1/auth/password-reset                         ok  ok  ok  ok  ok  ok  ok  ok  ok  ok
POST   /v1/auth/password-reset/confirm                 ok  ok  ok  ok  ok  ok  ok  ok  ok  ok
GET    /.well-known/jwks.json                          ok  ok  ok  ok  ok  ok  ok  ok  ok  ok
GET    /v1/me                                          401 ok  ok  ok  ok  ok  ok  ok  ok  ok
PATCH  /v1/me                                          401 ok  ok  ok  ok  ok  ok  ok  ok  ok
GET    /v1/me/security-events                          401 ok  ok  ok  ok  ok  ok  ok  ok  ok
GET    /v1/me/sessions                                 401 ok  ok  ok  ok  ok  ok  ok  ok  ok
DELETE /v1/me/sessions/{session}                       401 404 ok  404 404 404 404 404 404 404
GET    /v1/me/addresses                                401 ok  ok  ok  ok  ok  ok  ok  ok  ok
POST   /v1/me/addresses                                401 ok  ok  ok  ok  ok  ok  ok  ok  ok
GET    /v1/me/addresses/{address}                      401 404 ok  404 404 404 404 404 404 404
PUT    /v1/me/addresses/{address}                      401 404 ok  404 404 404 404 404 404 404
DELETE /v1/me/addresses/{address}                      401 404 ok  404 404 404 404 404 404 404
GET    /v1/me/blocks                                   401 ok  ok  ok  ok  ok  ok  ok  ok  ok
PUT    /v1/me/blocks/{user}                            401 404 ok  404 ok  ok  404 404 404 404
DELETE /v1/me/blocks/{user}                            401 ok  ok  ok  ok  ok  ok  ok  ok  ok
POST   /v1/shops                                       401 403 ok  ok  ok  ok  ok  ok  ok  ok
GET    /v1/shops/by-slug/{slug}                        ok  ok  ok  ok  ok  ok  ok  ok  ok  ok
GET    /v1/shops/{shop}                                ok  ok  ok  ok  ok  ok  ok  ok  ok  ok
PATCH  /v1/shops/{shop}                                401 404 404 404 ok  403 404 403 403 403
GET    /v1/shops/{shop}/payment-account                401 404 404 404 ok  403 404 404 404 404
GET    /v1/shops/{shop}/private                        401 404 404 404 ok  ok  404 ok  ok  ok
GET    /v1/admin/shops                                 401 403 403 403 403 403 403 403 403 ok
POST   /v1/admin/shops/{shop}/approve                  401 403 403 403 403 403 403 403 403 ok
POST   /v1/admin/shops/{shop}/reject                   401 403 403 403 403 403 403 403 403 ok
POST   /v1/admin/shops/{shop}/suspend                  401 403 403 403 403 403 403 403 403 ok
POST   /v1/admin/shops/{shop}/reinstate                401 403 403 403 403 403 403 403 403 ok
GET    /v1/categories                                  ok  ok  ok  ok  ok  ok  ok  ok  ok  ok
GET    /v1/shops/{shop}/products                       ok  ok  ok  ok  ok  ok  ok  ok  ok  ok
GET    /v1/shops/{shop}/products?status=all            401 404 404 404 ok  ok  404 ok  404 ok
POST   /v1/shops/{shop}/products                       401 404 404 404 ok  ok  404 404 404 404
POST   /v1/shops/{shop}/products/import                401 404 404 404 ok  ok  404 404 404 404
GET    /v1/products/{product}                          ok  ok  ok  ok  ok  ok  ok  ok  ok  ok
GET    /v1/products/{draft}                            404 404 404 404 ok  ok  404 ok  404 ok
PATCH  /v1/products/{product}                          401 404 404 404 ok  ok  404 403 404 403
POST   /v1/products/{product}/publish                  401 404 404 404 ok  ok  404 403 404 403
POST   /v1/products/{product}/archive                  401 404 404 404 ok  ok  404 403 404 403
PUT    /v1/products/{product}/variants                 401 404 404 404 ok  ok  404 403 404 403
PATCH  /v1/variants/{variant}                          401 404 404 404 ok  ok  404 403 404 403
PUT    /v1/variants/{variant}/stock                    401 404 404 404 ok  ok  404 403 404 403
POST   /v1/products/{product}/media                    401 404 404 404 ok  ok  404 403 404 403
POST   /v1/media/{media}/uploaded                      401 404 404 404 ok  ok  404 403 404 403
DELETE /v1/media/{media}                               401 404 404 404 ok  ok  404 403 404 403
GET    /v1/search                                      ok  ok  ok  ok  ok  ok  ok  ok  ok  ok
GET    /v1/cart                                        ok  ok  ok  ok  ok  ok  ok  ok  ok  ok
PUT    /v1/cart/lines/{variant}                        ok  ok  ok  ok  ok  ok  ok  ok  ok  ok
POST   /v1/cart/quote                                  ok  ok  ok  ok  ok  ok  ok  ok  ok  ok
GET    /v1/shops/{shop}/shipping-methods               401 404 404 404 ok  ok  404 ok  ok  ok
POST   /v1/shops/{shop}/shipping-methods               401 404 404 404 ok  ok  404 403 403 403
PUT    /v1/shops/{shop}/shipping-methods/{method}      401 404 404 404 ok  ok  404 403 403 403
DELETE /v1/shops/{shop}/shipping-methods/{method}      401 404 404 404 ok  ok  404 403 403 403
GET    /v1/shops/{shop}/tax                            401 404 404 404 ok  ok  404 ok  ok  ok
PUT    /v1/shops/{shop}/tax                            401 404 404 404 ok  403 404 403 403 403
GET    /v1/tax-rates/{country}                         ok  ok  ok  ok  ok  ok  ok  ok  ok  ok
PUT    /v1/admin/tax-rates/{country}                   401 403 403 403 403 403 403 403 ok  ok
GET    /v1/shops/{shop}/promotions                     401 404 404 404 ok  ok  404 ok  ok  ok
POST   /v1/shops/{shop}/promotions                     401 404 404 404 ok  ok  404 403 403 403
GET    /v1/admin/promotions                            401 403 403 403 403 403 403 ok  ok  ok
POST   /v1/admin/promotions                            401 403 403 403 403 403 403 403 ok  ok
GET    /v1/promotions/{promotion}                      401 404 404 404 ok  ok  404 ok  ok  ok
PATCH  /v1/promotions/{promotion}                      401 404 404 404 ok  ok  404 403 403 403
DELETE /v1/promotions/{promotion}                      401 404 404 404 ok  ok  404 403 403 403
POST   /v1/checkout                                    401 403 ok  404 404 404 404 404 404 404
GET    /v1/order-groups/{group}                        401 404 ok  404 404 404 404 ok  ok  ok
GET    /v1/orders                                      401 ok  ok  ok  ok  ok  ok  ok  ok  ok
GET    /v1/shops/{shop}/orders                         401 404 404 404 ok  ok  404 ok  ok  ok
GET    /v1/orders/{order}                              401 404 ok  404 ok  ok  404 ok  ok  ok
GET    /v1/orders.csv                                  401 ok  ok  ok  ok  ok  ok  ok  ok  ok
GET    /v1/shops/{shop}/orders.csv                     401 404 404 404 ok  ok  404 ok  ok  ok
GET    /v1/orders/{order}/invoice.pdf                  401 404 ok  404 ok  ok  404 ok  ok  ok
GET    /v1/orders/{order}/invoice.csv                  401 404 ok  404 ok  ok  404 ok  ok  ok
GET    /v1/orders/{order}/timeline                     401 404 ok  404 ok  ok  404 ok  ok  ok
POST   /v1/orders/{order}/commands accept              401 404 403 404 ok  ok  404 403 403 403
POST   /v1/orders/{order}/commands ship                401 404 403 404 ok  ok  404 403 403 403
POST   /v1/orders/{order}/commands deliver             401 404 ok  404 403 403 404 ok  403 403
POST   /v1/orders/{order}/commands complete            401 404 ok  404 403 403 404 ok  403 403
POST   /v1/orders/{order}/commands request_cancel      401 404 ok  404 403 403 404 403 403 403
POST   /v1/orders/{order}/commands approve_cancel      401 404 403 404 ok  ok  404 403 403 403
POST   /v1/orders/{order}/commands decline_cancel      401 404 403 404 ok  ok  404 403 403 403
POST   /v1/orders/{order}/commands request_more_time   401 404 403 404 ok  ok  404 403 403 403
POST   /v1/orders/{order}/commands extend_ship_by      401 404 ok  404 403 403 404 ok  403 403
POST   /v1/orders/{order}/commands open_dispute        401 404 ok  404 403 403 404 403 403 403
POST   /v1/orders/{order}/commands add_evidence        401 404 ok  404 ok  ok  404 ok  403 403
POST   /v1/orders/{order}/commands propose_settlement  401 404 ok  404 ok  ok  404 403 403 403
POST   /v1/orders/{order}/commands accept_settlement   401 404 ok  404 ok  ok  404 403 403 403
POST   /v1/orders/{order}/commands withdraw_dispute    401 404 ok  404 403 403 404 403 403 403
POST   /v1/orders/{order}/commands decide_dispute      401 404 403 404 403 403 404 ok  403 403
POST   /v1/orders/{order}/commands cancel              401 404 ok  404 ok  ok  404 ok  403 403
GET    /v1/orders/{order}/disputes                     401 404 ok  404 ok  ok  404 ok  ok  ok
GET    /v1/admin/disputes                              401 403 403 403 403 403 403 ok  ok  ok
POST   /v1/admin/disputes/{dispute}/claim              401 403 403 403 403 403 403 ok  403 403
GET    /v1/orders/{order}/refunds                      401 404 ok  404 ok  ok  404 ok  ok  ok
POST   /v1/orders/{order}/refunds                      401 404 403 404 ok  ok  404 ok  403 403
GET    /v1/orders/{order}/returns                      401 404 ok  404 ok  ok  404 ok  ok  ok
POST   /v1/orders/{order}/returns                      401 404 ok  404 403 403 404 403 403 403
GET    /v1/shops/{shop}/return-window                  ok  ok  ok  ok  ok  ok  ok  ok  ok  ok
PUT    /v1/shops/{shop}/return-window                  401 404 404 404 ok  403 404 404 404 404
GET    /v1/returns/{return_id}                         401 404 ok  404 ok  ok  404 ok  ok  ok
POST   /v1/returns/{return_id}/commands approve_return 401 404 403 404 ok  ok  404 ok  403 403
POST   /v1/returns/{return_id}/commands withdraw       401 404 ok  404 403 403 404 403 403 403
POST   /v1/returns/{return_id}/commands receive        401 404 403 404 ok  ok  404 ok  403 403
GET    /v1/payments/{payment}                          401 404 ok  404 404 404 404 ok  ok  ok
POST   /v1/payments/{payment}/refresh                  401 404 ok  404 404 404 404 ok  ok  ok
POST   /v1/webhooks/{provider}                         403 403 403 403 403 403 403 403 403 403
GET    /v1/operations/provider-events                       401 403 403 403 403 403 403 403 ok  ok
POST   /v1/operations/provider-events/{provider_event}/replay 401 403 403 403 403 403 403 403 ok  ok
GET    /v1/shops/{shop}/balance                        401 404 404 404 ok  ok  404 ok  ok  ok
GET    /v1/shops/{shop}/statement?currency=EUR&first_day=2026-01-01&last_day=2026-01-31 401 404 404 404 ok  ok  404 ok  ok  ok
GET    /v1/shops/{shop}/statement.csv?currency=EUR&first_day=2026-01-01&last_day=2026-01-31 401 404 404 404 ok  ok  404 ok  ok  ok
GET    /v1/admin/commission                            401 403 403 403 403 403 403 403 ok  ok
PUT    /v1/admin/commission                            401 403 403 403 403 403 403 403 ok  ok
GET    /v1/admin/commission/rules                      401 403 403 403 403 403 403 403 ok  ok
POST   /v1/admin/commission/rules                      401 403 403 403 403 403 403 403 ok  ok
GET    /v1/admin/commission/rules/{rule}               401 403 403 403 403 403 403 403 ok  ok
POST   /v1/admin/commission/rules/{rule}/end           401 403 403 403 403 403 403 403 ok  ok
POST   /v1/admin/commission/preview                    401 403 403 403 403 403 403 403 ok  ok
GET    /v1/admin/ledger/health                         401 403 403 403 403 403 403 403 ok  ok
GET    /v1/shops/{shop}/payout-overview                401 404 404 404 ok  ok  404 ok  ok  ok
PUT    /v1/shops/{shop}/payout-settings                401 404 404 404 ok  403 404 403 403 403
GET    /v1/shops/{shop}/payouts                        401 404 404 404 ok  ok  404 ok  ok  ok
POST   /v1/shops/{shop}/payouts                        401 404 404 404 ok  403 404 403 403 403
GET    /v1/payouts/{payout}                            401 404 404 404 ok  ok  404 ok  ok  ok
GET    /v1/payouts/{payout}/lines                      401 404 404 404 ok  ok  404 ok  ok  ok
GET    /v1/payouts/{payout}/statement                  401 404 404 404 ok  ok  404 ok  ok  ok
GET    /v1/admin/payouts                               401 403 403 403 403 403 403 ok  ok  ok
POST   /v1/admin/payouts/{payout}/commands             401 403 403 403 403 403 403 403 ok  ok
PUT    /v1/admin/shops/{shop}/payout-terms             401 404 404 404 403 403 404 403 ok  ok
GET    /v1/admin/payout-policy                         401 403 403 403 403 403 403 ok  ok  ok
PUT    /v1/admin/payout-policy                         401 403 403 403 403 403 403 403 ok  ok
GET    /v1/shops/{shop}/chargebacks                    401 404 404 404 ok  ok  404 ok  ok  ok
GET    /v1/chargebacks/{chargeback}                    401 404 404 404 ok  ok  404 ok  ok  ok
POST   /v1/chargebacks/{chargeback}/evidence           401 404 404 404 ok  ok  404 ok  ok  ok
GET    /v1/admin/chargebacks                           401 403 403 403 403 403 403 ok  ok  ok
GET    /v1/conversations                               401 ok  ok  ok  ok  ok  ok  ok  ok  ok
POST   /v1/conversations                               401 403 ok  ok  ok  ok  ok  ok  ok  ok
GET    /v1/conversations/{conversation}                401 404 ok  404 ok  ok  404 404 404 404
GET    /v1/conversations/{conversation}/members        401 404 ok  404 ok  ok  404 404 404 404
GET    /v1/conversations/{conversation}/messages       401 404 ok  404 ok  ok  404 404 404 404
POST   /v1/conversations/{conversation}/messages       401 404 ok  404 ok  ok  404 404 404 404
GET    /v1/conversations/{conversation}/messages/{message}   401 404 ok  404 ok  ok  404 404 404 404
PATCH  /v1/conversations/{conversation}/messages/{message}   401 404 ok  404 403 403 404 404 404 404
DELETE /v1/conversations/{conversation}/messages/{message}   401 404 ok  404 403 403 404 ok  404 ok
POST   /v1/conversations/{conversation}/messages/{message}/reactions 401 404 ok  404 ok  ok  404 404 404 404
GET    /v1/conversations/{conversation}/search?q=bom   401 404 ok  404 ok  ok  404 404 404 404
PUT    /v1/conversations/{conversation}/cursor         401 404 ok  404 ok  ok  404 404 404 404
POST   /v1/conversations/{conversation}/offers         401 404 ok  404 ok  ok  404 404 404 404
GET    /v1/offers/{offer}                              401 404 ok  404 ok  ok  404 404 404 404
POST   /v1/offers/{offer}/commands accept              401 404 ok  404 403 403 404 404 404 404
POST   /v1/offers/{offer}/commands counter             401 404 ok  404 403 403 404 404 404 404
POST   /v1/offers/{offer}/commands decline             401 404 ok  404 403 403 404 404 404 404
POST   /v1/offers/{offer}/commands withdraw            401 404 403 404 ok  ok  404 404 404 404
POST   /v1/conversations/{conversation}/attachments    401 404 ok  404 ok  ok  404 404 404 404
GET    /v1/conversations/{conversation}/attachments    401 404 ok  404 ok  ok  404 404 404 404
POST   /v1/attachments/{attachment}/uploaded           401 404 ok  404 404 404 404 404 404 404
GET    /v1/attachments/{attachment}                    401 404 ok  404 ok  ok  404 404 404 404
DELETE /v1/attachments/{attachment}                    401 404 ok  404 404 404 404 404 404 404
GET    /v1/notifications                               401 ok  ok  ok  ok  ok  ok  ok  ok  ok
POST   /v1/notifications/read                          401 ok  ok  ok  ok  ok  ok  ok  ok  ok
GET    /v1/operations/jobs/kinds                       401 403 403 403 403 403 403 ok  ok  ok
GET    /v1/operations/jobs                             401 403 403 403 403 403 403 ok  ok  ok
GET    /v1/operations/jobs/{job}                       401 403 403 403 403 403 403 ok  ok  ok
POST   /v1/operations/jobs/{job}/requeue               401 403 403 403 403 403 403 403 403 ok
POST   /v1/operations/jobs/{job}/cancel                401 403 403 403 403 403 403 403 403 ok
POST   /v1/operations/jobs/kinds/{kind}/requeue        401 403 403 403 403 403 403 403 403 ok
POST   /v1/operations/jobs/kinds/{kind}/pause          401 403 403 403 403 403 403 403 403 ok
POST   /v1/operations/jobs/kinds/{kind}/resume         401 403 403 403 403 403 403 403 403 ok
GET    /v1/operations/actors                           401 403 403 403 403 403 403 ok  ok  ok
GET    /v1/operations/audit                            401 403 403 403 403 403 403 403 403 ok
GET    /v1/operations/audit.csv                        401 403 403 403 403 403 403 403 403 ok
GET    /v1/shops/{shop}/api-keys                       401 404 404 404 ok  403 404 403 403 403
POST   /v1/shops/{shop}/api-keys                       401 404 404 404 ok  403 404 403 403 403
DELETE /v1/shops/{shop}/api-keys/{key}                 401 404 404 404 ok  403 404 403 403 403
GET    /v1/operations/ledger/balances                  401 403 403 403 403 403 403 403 ok  ok
POST   /v1/operations/ledger/checks                    401 403 403 403 403 403 403 403 ok  ok
GET    /v1/operations/ledger/checks                    401 403 403 403 403 403 403 403 ok  ok
GET    /v1/operations/ledger/checks/{check}            401 403 403 403 403 403 403 403 ok  ok
POST   /v1/operations/ledger/reconciliations           401 403 403 403 403 403 403 403 ok  ok
GET    /v1/operations/ledger/reconciliations           401 403 403 403 403 403 403 403 ok  ok
GET    /v1/operations/ledger/differences               401 403 403 403 403 403 403 403 ok  ok
POST   /v1/operations/ledger/differences/{difference}/acknowledge 401 403 403 403 403 403 403 403 ok  ok
POST   /v1/conversations/{conversation}/support-request    401 404 ok  404 ok  ok  404 404 404 404
POST   /v1/reports                                     401 404 ok  404 ok  ok  404 404 404 404
GET    /v1/reports                                     401 ok  ok  ok  ok  ok  ok  ok  ok  ok
GET    /v1/admin/reports                               401 403 403 403 403 403 403 ok  403 ok
POST   /v1/admin/reports/{report}/claim                401 403 403 403 403 403 403 ok  403 ok
POST   /v1/admin/reports/{report}/decision             401 403 403 403 403 403 403 ok  403 ok
GET    /v1/admin/support-requests                      401 403 403 403 403 403 403 ok  403 ok
POST   /v1/conversations/{conversation}/members        401 403 403 403 403 403 403 ok  403 ok
DELETE /v1/conversations/{conversation}/members/{member}   401 404 403 404 403 403 404 ok  404 ok
"""
TOPICS: Final = """
                    unverified buyer other_buyer owner staff rival support finance admin
conversation            no  ok  no  ok  ok  no  no  no  no
order                   no  ok  no  ok  ok  no  ok  ok  ok
inbox                   no  ok  no  no  no  no  no  no  no
shop                    no  no  no  ok  ok  no  ok  no  ok
product                 ok  ok  ok  ok  ok  ok  ok  ok  ok
draft                   no  no  no  no  no  no  no  no  no
ops                     no  no  no  no  no  no  ok  ok  ok
"""
COMMANDS: Final[dict[str, dict[str, Any]]] = {
    "accept": {"action": "accept"},
    "ship": {"action": "ship", "carrier": "CTT", "tracking_number": "RR1"},
    "deliver": {"action": "deliver"},
    "complete": {"action": "complete"},
    "cancel": {"action": "cancel", "reason": "I think otherwise."},
    "request_cancel": {"action": "request_cancel", "reason": "I think otherwise."},
    "approve_cancel": {"action": "approve_cancel"},
    "decline_cancel": {"action": "decline_cancel", "reason": "It is packed."},
    "request_more_time": {
        "action": "request_more_time",
        "ship_by": "2126-01-01T00:00:00Z",
        "reason": "The glue has to dry.",
    },
    "extend_ship_by": {"action": "extend_ship_by", "ship_by": "2126-01-01T00:00:00Z"},
    "open_dispute": {"action": "open_dispute", "problem": "damaged", "text": "In two pieces."},
    "add_evidence": {"action": "add_evidence", "text": "Here is a picture."},
    "propose_settlement": {"action": "propose_settlement", "refund_minor": 1, "reason": "Sorry."},
    "accept_settlement": {"action": "accept_settlement", "refund_minor": 1},
    "withdraw_dispute": {"action": "withdraw_dispute", "reason": "Found it."},
    "decide_dispute": {"action": "decide_dispute", "outcome": "completed", "reason": "It is."},
    "counter": {"action": "counter", "unit_price_minor": 850},
    "decline": {"action": "decline"},
    "withdraw": {"action": "withdraw"},
    "approve_return": {"action": "approve"},
    "receive": {"action": "receive"},
}
# Used up by whoever is let in: each of them gets one of their own.
USED_UP: Final = (
    *("promotion", "method", "return_id", "key"),
    *("session", "address", "media", "job", "offer", "message", "member", "attachment", "report"),
)


class Row(msgspec.Struct, frozen=True):
    """One line of a table; `variation` is a query or a command."""

    method: str
    path: str
    variation: str
    expected: Mapping[Part, str]

    @property
    def endpoint(self) -> str:
        return f"{self.method} {self.path.replace('{draft}', '{product}')}"


def rows() -> list[Row]:
    head, *lines = TABLE.strip("\n").splitlines()
    parts = head.split()
    assert tuple(parts) == PARTS
    found: list[Row] = []
    for line in lines:
        words = line.split()
        method, address, cells = words[0], words[1], words[-len(parts) :]
        path, _, query = address.partition("?")
        command = " ".join(words[2 : -len(parts)])
        expected: Mapping[Part, str] = dict(zip(PARTS, cells, strict=True))
        found.append(Row(method, path, f"?{query}" if query else command, expected))
    return found


def name_of(endpoint: Endpoint) -> str:
    return f"{endpoint.method} {endpoint.path}"


def test_every_endpoint_and_every_kind_of_topic_is_in_the_tables() -> None:
    declared = {row.endpoint for row in rows()}
    assert declared == {name_of(endpoint) for endpoint in ENDPOINTS}
    kinds = {line.split()[0] for line in TOPICS.strip("\n").splitlines()[1:]}
    assert kinds - {"draft"} == set(get_args(TopicKind))


@pytest.fixture
def node_config(node_config: Config, fresh_database_dsn: str) -> Config:
    """A database of its own: admins change what holds for the whole market."""
    return msgspec.structs.replace(node_config, postgres_dsn=fresh_database_dsn)


@pytest.fixture
async def cast(node: RunningNode) -> Cast:
    cast = await assemble(node.market)
    async with node.market.database.connection() as con:
        cast.ids["draft"] = str(
            await con.fetchval(
                "INSERT INTO products (shop_id, slug, title, currency)"
                " VALUES ($1, 'a-draft', 'A draft', 'EUR') RETURNING id",
                cast.ids["shop"],
            )
        )
    return cast


async def test_everybody_gets_through_the_doors_that_are_theirs_and_no_others(
    node: RunningNode, cast: Cast
) -> None:
    wrong: list[str] = []
    succeeded: set[str] = set()
    async with ClientSession(f"http://127.0.0.1:{node.port}") as session:
        for row in rows():
            for part in PARTS:
                request_id = uuid4().hex
                status, code = await _try(session, cast, row, part, request_id)
                mistake = await mistake_in_log(cast.market.database, row, part, status, request_id)
                if mistake is not None:
                    wrong.append(f"{row.method} {row.path} {row.variation} by {part}: {mistake}")
                elif is_privileged(row, part) and status < 400:
                    succeeded.add(row.endpoint)
                happened = str(status) if status in {401, 403, 404} else "ok"
                if status >= 500 or happened != row.expected[part]:
                    wrong.append(
                        f"{row.method} {row.path} {row.variation} by {part}:"
                        f" {status} {code}, not {row.expected[part]}"
                    )
    assert not wrong, "\n".join(wrong)
    tried = {row.endpoint for row in rows() for part in PARTS if is_privileged(row, part)}
    assert tried - succeeded == SUCCEED_ELSEWHERE


async def _try(
    session: ClientSession, cast: Cast, row: Row, part: Part, request_id: str
) -> tuple[int, str]:
    ids = dict(cast.ids)
    for name in USED_UP:
        if "{" + name + "}" in row.path and row.method != "GET":
            ids[name] = await cast.fresh(name)
    headers = cast.headers(part) | {"Idempotency-Key": uuid4().hex, "X-Request-ID": request_id}
    if row.path == "/v1/auth/logout" and part != "anonymous":
        # From another device: the next lines need this session.
        headers["Authorization"] = f"Bearer {await cast.another_token(part)}"
    body = COMMANDS.get(row.variation) or bodies(cast).get(row.endpoint)
    data = None if body is None else msgspec.json.encode(body)
    if row.path.endswith("/import"):
        data, headers["Content-Type"] = b"sku,title,category,price\nA-1,A,books,1.00\n", "text/csv"
    elif data is not None:
        headers["Content-Type"] = "application/json"
    query = row.variation if row.variation.startswith("?") else ""
    address = address_of(row.path, ids) + query
    async with session.request(row.method, address, data=data, headers=headers) as answer:
        problem: Any = await answer.json(content_type=None) if answer.status >= 400 else {}
        return answer.status, problem.get("code", "")


async def test_everybody_watches_the_topics_that_are_theirs_and_no_others(
    node: RunningNode, cast: Cast
) -> None:
    head, *lines = TOPICS.strip("\n").splitlines()
    names = {
        "conversation": f"conversation:{cast.ids['conversation']}",
        "order": f"order:{cast.ids['order']}",
        "inbox": f"inbox:{cast.people['buyer'].user}",
        "shop": f"shop:{cast.ids['shop']}",
        "product": f"product:{cast.ids['product']}",
        "draft": f"product:{cast.ids['draft']}",
        "ops": "ops",
    }
    wrong: list[str] = []
    # Whoever is not signed in has a test of their own.
    parts = PARTS[1:]
    assert tuple(head.split()) == parts
    for index, part in enumerate(parts):
        async with AsyncExitStack() as stack:
            client = await stack.enter_async_context(opened(node))
            token = cast.people[part].token
            resume = {name: {"seq": 0} for name in names.values()}
            connected = (await client.ask(connect={"token": token, "resume": resume}))["connect"]
            for line in lines:
                kind, *cells = line.split()
                answer = await client.ask(subscribe={"topic": names[kind]})
                refused = answer.get("error", {}).get("code")
                resumed = "error" not in connected["topics"][names[kind]]
                expected = cells[index] == "ok"
                if (refused is None) != expected or resumed != expected:
                    wrong.append(f"{kind} by {part}: {answer} {connected['topics'][names[kind]]}")
                elif refused not in {None, "topic.not_found"}:
                    wrong.append(f"{kind} by {part}: refused with {refused}")
    assert not wrong, "\n".join(wrong)


async def test_whoever_is_not_signed_in_watches_nothing(node: RunningNode, cast: Cast) -> None:
    for command in (
        {"subscribe": {"topic": f"product:{cast.ids['product']}"}},
        {"send": {"topic": "ops", "client_id": str(uuid4()), "text": "x"}},
        {"refresh": {"token": cast.people["buyer"].token}},
    ):
        async with opened(node) as client:
            answer = await client.ask(**command)
            assert answer["error"]["code"] == "socket.not_connected"
            assert await client.closed() == CloseCode.NOT_SIGNED_IN


async def test_a_right_that_is_taken_away_ends_at_the_next_request(
    node: RunningNode, cast: Cast
) -> None:
    """Staff that leaves the team, and a member of the market's own people who is one no more."""
    shop, staff, admin = cast.ids["shop"], cast.people["staff"], cast.people["admin"]
    async with node.market.database.connection() as con:
        await con.execute(
            "DELETE FROM shop_members WHERE shop_id = $1 AND user_id = $2", shop, staff.user
        )
        await con.execute("UPDATE users SET roles = '{}' WHERE id = $1", admin.user)
    tries: tuple[tuple[Part, str, int], ...] = (
        ("staff", f"/v1/shops/{shop}/private", 404),
        ("admin", "/v1/operations/jobs", 403),
    )
    async with ClientSession(f"http://127.0.0.1:{node.port}") as session:
        for part, path, status in tries:
            async with session.get(path, headers=cast.headers(part)) as answer:
                assert answer.status == status
    async with opened(node) as client:
        await client.ask(connect={"token": staff.token})
        answer = await client.ask(subscribe={"topic": f"shop:{shop}"})
        assert answer["error"]["code"] == "topic.not_found"

"""What the audit log has to say about each request of the permission matrix: one entry for each privileged act that succeeds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Protocol

from feira.sql.database import Database
from tests.integration.cast import Part

STAFF: Final = frozenset[Part]({"support", "finance", "admin"})
# Let in by their role, but they change nothing: a computation, and a look at what the provider says anyway.
HARMLESS: Final = frozenset(
    {"POST /v1/admin/commission/preview", "POST /v1/payments/{payment}/refresh"}
)
# What people do to their own account, or to where their money goes.
OWN_SAFETY: Final = frozenset(
    {
        "POST /v1/shops/{shop}/api-keys",
        "DELETE /v1/shops/{shop}/api-keys/{key}",
        "DELETE /v1/me/sessions/{session}",
        "PUT /v1/shops/{shop}/payout-settings",
    }
)
# Support let the same person in before.
NO_CHANGE: Final = frozenset({("POST /v1/conversations/{conversation}/members", "admin")})
# The cast has nothing in the state that these need; test_audit.py does, and asks for the same.
SUCCEED_ELSEWHERE: Final = frozenset(
    {
        "POST /v1/admin/shops/{shop}/approve",
        "POST /v1/admin/shops/{shop}/reject",
        "POST /v1/chargebacks/{chargeback}/evidence",
        "POST /v1/operations/jobs/{job}/cancel",
        "POST /v1/orders/{order}/commands",
        "POST /v1/orders/{order}/refunds",
    }
)


class Tried(Protocol):
    """A row of the matrix."""

    @property
    def method(self) -> str: ...
    @property
    def endpoint(self) -> str: ...
    @property
    def expected(self) -> Mapping[Part, str]: ...


def is_privileged(row: Tried, part: Part) -> bool:
    """Whether nothing but their work for the market lets somebody through this door, to change something."""
    return (
        part in STAFF
        and row.method != "GET"
        and row.expected[part] == "ok"
        # A stranger to the cast's shop and buyer.
        and row.expected["rival"] != "ok"
        and row.endpoint not in HARMLESS
    )


async def mistake_in_log(
    database: Database, row: Tried, part: Part, status: int, request_id: str
) -> str | None:
    """Say what is wrong with the audit log after a request, or None."""
    async with database.connection() as con:
        acts = [
            entry["act"]
            for entry in await con.fetch(
                "SELECT act FROM audit_entries WHERE request_id = $1", request_id
            )
        ]
    audited = is_privileged(row, part) or row.endpoint in OWN_SAFETY
    expected = 1 if audited and status < 400 and (row.endpoint, part) not in NO_CHANGE else 0
    return None if len(acts) == expected else f"{status} left {acts}, not {expected} entries"

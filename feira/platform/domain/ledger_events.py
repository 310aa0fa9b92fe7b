"""What operators are told about the ledger."""

from __future__ import annotations

from uuid import UUID

from feira.platform.domain.events import Event


class LedgerCheckFailed(Event, frozen=True, kw_only=True, tag="ledger.check_failed"):
    """On `ops`: the money breaks a rule; the check says where."""

    check: UUID
    findings_count: int
    invariants: tuple[str, ...]

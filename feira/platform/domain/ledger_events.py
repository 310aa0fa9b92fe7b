"""What operators are told about the ledger."""

from __future__ import annotations

from uuid import UUID

from feira.platform.domain.events import Event


class LedgerDifferencesFound(Event, frozen=True, kw_only=True, tag="ledger.differences_found"):
    """On `ops`: a provider's list of movements and the ledger disagree where they did not before."""

    provider: str
    new_count: int
    open_count: int


class LedgerCheckFailed(Event, frozen=True, kw_only=True, tag="ledger.check_failed"):
    """On `ops`: the money breaks a rule; the check says where."""

    check: UUID
    findings_count: int
    invariants: tuple[str, ...]

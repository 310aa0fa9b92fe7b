"""Writing the audit log, in the transaction of the act: both are committed, or neither is."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final
from uuid import UUID

import msgspec

from feira.platform.domain.audit import (
    NOWHERE,
    USER_AGENT_CHARS_MAX,
    Act,
    Machine,
    MailboxHolder,
    ObjectKind,
    Origin,
)
from feira.platform.domain.ids import SessionId, UserId
from feira.platform.domain.permissions import PLATFORM_ROLES, Principal
from feira.sql.database import Tx
from feira.sql.loader import load_queries

SQL = load_queries("audit")

Facts = Mapping[str, object] | msgspec.Struct
"""What was so before or after: ids, states, amounts, reasons. Never a secret, nor what people wrote to each other."""
_SECRET: Final = re.compile(rb'"[^"]*(?:password|secret|token|sha256|hash)[^"]*":')


async def record(
    tx: Tx,
    by: Principal | MailboxHolder | Machine,
    act: Act,
    object_kind: ObjectKind,
    object_id: object,
    *,
    account: UserId | None = None,
    reason: str = "",
    before: Facts | None = None,
    after: Facts | None = None,
) -> None:
    """Note a privileged act that this transaction carries out. An act that changes nothing is none.

    `account` is whose account it is about, where it is about its safety: they read of it, too.
    """
    actor = _actor_of(by)
    await tx.con.execute(
        SQL["insert_entry"],
        "machine" if isinstance(by, Machine) else "user",
        actor.user_id,
        actor.name,
        actor.roles,
        actor.session_id,
        actor.api_key_id,
        act,
        object_kind,
        str(object_id),
        account,
        reason,
        _encoded(before),
        _encoded(after),
        actor.origin.address,
        actor.origin.user_agent[:USER_AGENT_CHARS_MAX],
        actor.origin.request_id,
    )


class _Actor(msgspec.Struct, frozen=True, kw_only=True):
    user_id: UserId | None = None
    name: str = ""
    roles: list[str] = []
    session_id: SessionId | None = None
    api_key_id: UUID | None = None
    origin: Origin = NOWHERE


def _actor_of(by: Principal | MailboxHolder | Machine) -> _Actor:
    match by:
        case Principal():
            return _Actor(
                user_id=by.user_id,
                roles=sorted(by.roles & PLATFORM_ROLES),
                session_id=None if by.api_key is not None else by.session_id,
                api_key_id=None if by.api_key is None else by.api_key.id,
                origin=by.origin,
            )
        case MailboxHolder():
            return _Actor(user_id=by.user_id, origin=by.origin)
        case Machine():
            return _Actor(name=by.name)


def _encoded(facts: Facts | None) -> msgspec.Raw | None:
    if facts is None:
        return None
    encoded = msgspec.json.encode(facts)
    assert not _SECRET.search(encoded), "secrets have no place in the audit log"
    return msgspec.Raw(encoded)

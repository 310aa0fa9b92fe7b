"""Returns as their verbs read and lock them. An order is locked before its returns, and stands for all of them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final

import msgspec

from feira.platform.domain.errors import NotFound
from feira.platform.domain.ids import (
    ConversationId,
    OrderId,
    OrderLineId,
    ReturnId,
    ShopId,
    UserId,
    VariantId,
)
from feira.platform.domain.return_commands import (
    Condition,
    Remedy,
    ReturnCause,
    ReturnDeadlineKind,
    ReturnKind,
)
from feira.platform.domain.return_events import Return, ReturnedLine
from feira.platform.domain.return_state import (
    ReturnDeadline,
    ReturnLine,
    ReturnState,
    ReturnStatus,
    ReturnTerms,
)
from feira.platform.runtime.config import Config
from feira.sql.database import Tx
from feira.sql.loader import Connection, fetch_all, load_queries

SQL: Final = load_queries("returns")


class LineRow(msgspec.Struct, frozen=True, kw_only=True):
    """`variant_id` is what was bought."""

    return_id: ReturnId
    line: OrderLineId
    variant_id: VariantId
    title: str
    unit_price_minor: int
    quantity: int
    received: int
    condition: Condition | None
    restocked: bool
    replacement: VariantId | None


class ReturnRow(msgspec.Struct, frozen=True, kw_only=True):
    id: ReturnId
    order_id: OrderId
    shop_id: ShopId
    buyer_id: UserId
    currency: str
    kind: ReturnKind
    remedy: Remedy
    cause: ReturnCause
    text: str
    status: ReturnStatus
    version: int
    reason: str
    carrier: str
    tracking_number: str
    replacement_order_id: OrderId | None
    conversation_id: ConversationId | None
    requested_at: datetime
    updated_at: datetime
    deadline_kind: ReturnDeadlineKind | None
    due_at: datetime | None
    refund_minor: int
    lines: tuple[LineRow, ...] = ()

    @property
    def deadline(self) -> ReturnDeadline | None:
        if self.deadline_kind is None or self.due_at is None:
            return None
        return ReturnDeadline(kind=self.deadline_kind, due_at=self.due_at)

    def state(self, terms: ReturnTerms) -> ReturnState:
        return ReturnState(
            kind=self.kind,
            remedy=self.remedy,
            status=self.status,
            version=self.version,
            lines=tuple(
                ReturnLine(line=line.line, quantity=line.quantity, received=line.received)
                for line in self.lines
            ),
            deadline=self.deadline,
            terms=terms,
        )

    @property
    def shown(self) -> Return:
        """What both sides see."""
        return Return(
            id=self.id,
            order=self.order_id,
            shop=self.shop_id,
            buyer=self.buyer_id,
            kind=self.kind,
            remedy=self.remedy,
            cause=self.cause,
            text=self.text,
            status=self.status,
            version=self.version,
            lines=tuple(
                ReturnedLine(
                    line=line.line,
                    title=line.title,
                    quantity=line.quantity,
                    received=line.received,
                    condition=line.condition,
                    restocked=line.restocked,
                    replacement=line.replacement,
                )
                for line in self.lines
            ),
            carrier=self.carrier,
            tracking_number=self.tracking_number,
            reason=self.reason,
            refund_minor=self.refund_minor,
            currency=self.currency,
            replacement_order=self.replacement_order_id,
            conversation=self.conversation_id,
            deadline=self.deadline,
            requested_at=self.requested_at,
            updated_at=self.updated_at,
        )


def terms_of(config: Config) -> ReturnTerms:
    """How long steps may take in this market."""
    return ReturnTerms(
        answer_s=config.return_answer_s,
        send_s=config.return_send_s,
        arrive_s=config.return_arrive_s,
        settle_s=config.return_settle_s,
    )


async def read_return(con: Connection, return_id: ReturnId) -> ReturnRow:
    """Read a return that is known to be there."""
    (row,) = await _read(con, None, return_id)
    return row


async def read_returns(con: Connection, order_id: OrderId) -> list[ReturnRow]:
    """All returns of an order, and the one that it is the replacement of; oldest first."""
    return await _read(con, order_id, None)


async def order_of(con: Connection, return_id: ReturnId) -> OrderId:
    """Return whose return it is.

    Raises:
        NotFound: `return.not_found`.
    """
    order_id: OrderId | None = await con.fetchval(SQL["order_of_return"], return_id)
    if order_id is None:
        raise no_such_return()
    return order_id


async def lock_return(tx: Tx, return_id: ReturnId) -> ReturnRow:
    """Lock a return whose order is locked."""
    await tx.con.execute(SQL["lock_return"], return_id)
    return await read_return(tx.con, return_id)


def no_such_return() -> NotFound:
    """For returns that do not exist and for those of other people: they look the same."""
    return NotFound("return.not_found", "There is no such return among those you may see.")


async def _read(
    con: Connection, order_id: OrderId | None, return_id: ReturnId | None
) -> list[ReturnRow]:
    rows = await fetch_all(con, SQL["read_returns"], ReturnRow, order_id, return_id)
    lines: Sequence[LineRow] = []
    if rows:
        ids = [row.id for row in rows]
        lines = await fetch_all(con, SQL["read_return_lines"], LineRow, ids)
    return [
        msgspec.structs.replace(
            row, lines=tuple(line for line in lines if line.return_id == row.id)
        )
        for row in rows
    ]

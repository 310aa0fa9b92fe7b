"""Razorpay's objects, as far as we read them. Amounts are in minor units, times in Unix seconds.

Empty notes are a list there, others an object.
"""

from __future__ import annotations

from typing import Any, Generic, TypeVar

import msgspec

T = TypeVar("T")


class _Object(msgspec.Struct, frozen=True, kw_only=True):
    pass


class Collection(_Object, Generic[T], frozen=True, kw_only=True):
    items: tuple[T, ...]


class PaidBy(_Object, frozen=True, kw_only=True):
    payment_id: str


class PaymentLink(_Object, frozen=True, kw_only=True):
    id: str
    status: str
    amount: int
    currency: str
    short_url: str = ""
    order_id: str | None = None
    reference_id: str | None = None
    payments: tuple[PaidBy, ...] | None = None


class PaymentLinks(_Object, frozen=True, kw_only=True):
    payment_links: tuple[PaymentLink, ...] = ()


class Payment(_Object, frozen=True, kw_only=True):
    """`fee` includes the tax on it; it is there once the payment is captured."""

    id: str
    status: str
    amount: int
    currency: str
    fee: int | None = None
    error_reason: str | None = None
    error_code: str | None = None


class Refund(_Object, frozen=True, kw_only=True):
    id: str
    payment_id: str
    amount: int
    status: str
    receipt: str | None = None
    notes: dict[str, Any] | list[Any] = msgspec.field(default_factory=list[Any])


class TransferError(_Object, frozen=True, kw_only=True):
    code: str | None = None
    reason: str | None = None


class Transfer(_Object, frozen=True, kw_only=True):
    id: str
    recipient: str
    amount: int
    amount_reversed: int = 0
    currency: str
    status: str = "processed"
    notes: dict[str, Any] | list[Any] = msgspec.field(default_factory=list[Any])
    error: TransferError | None = None


class Reversal(_Object, frozen=True, kw_only=True):
    id: str
    transfer_id: str
    amount: int
    notes: dict[str, Any] | list[Any] = msgspec.field(default_factory=list[Any])


class LinkedAccount(_Object, frozen=True, kw_only=True):
    id: str
    status: str


class Dispute(_Object, frozen=True, kw_only=True):
    id: str
    payment_id: str
    amount: int
    currency: str
    status: str
    phase: str
    reason_code: str
    respond_by: int | None = None


class ErrorBody(_Object, frozen=True, kw_only=True):
    code: str = ""
    description: str = ""
    field: str | None = None
    reason: str | None = None


class ErrorAnswer(_Object, frozen=True, kw_only=True):
    error: ErrorBody


class Named(_Object, frozen=True, kw_only=True):
    id: str


class Wrapped(_Object, frozen=True, kw_only=True):
    entity: Named


class Event(_Object, frozen=True, kw_only=True):
    """`payload` has what it is about under its kind, beside what that belongs to."""

    event: str
    payload: dict[str, msgspec.Raw] = {}
    account_id: str = ""


def note(notes: dict[str, Any] | list[Any], name: str) -> str:
    """One of the notes that we wrote; empty on things that others made."""
    return str(notes.get(name, "")) if isinstance(notes, dict) else ""

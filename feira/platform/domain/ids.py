"""Typed identifiers. All are UUIDv7 made by PostgreSQL, so that they sort by creation time."""

from typing import NewType
from uuid import UUID

UserId = NewType("UserId", UUID)
SessionId = NewType("SessionId", UUID)
AddressId = NewType("AddressId", UUID)
ShopId = NewType("ShopId", UUID)
CategoryId = NewType("CategoryId", UUID)
ProductId = NewType("ProductId", UUID)
VariantId = NewType("VariantId", UUID)
MediaId = NewType("MediaId", UUID)
CartId = NewType("CartId", UUID)
OrderGroupId = NewType("OrderGroupId", UUID)
OrderId = NewType("OrderId", UUID)
OrderLineId = NewType("OrderLineId", UUID)
ShipmentId = NewType("ShipmentId", UUID)
PaymentId = NewType("PaymentId", UUID)
RefundId = NewType("RefundId", UUID)
PayoutId = NewType("PayoutId", UUID)
ChargebackId = NewType("ChargebackId", UUID)
AdjustmentId = NewType("AdjustmentId", UUID)
ConversationId = NewType("ConversationId", UUID)
AttachmentId = NewType("AttachmentId", UUID)
OfferId = NewType("OfferId", UUID)
ReportId = NewType("ReportId", UUID)
NotificationId = NewType("NotificationId", UUID)
JobId = NewType("JobId", UUID)

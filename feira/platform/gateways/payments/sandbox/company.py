"""The parts of a running sandbox company, as its request handlers reach them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from aiohttp import web

from feira.platform.gateways.payments.sandbox.clockwork import Clockwork

if TYPE_CHECKING:
    import asyncpg


@dataclass(frozen=True, kw_only=True, slots=True)
class Company:
    """Its books, and what it does by itself."""

    pool: asyncpg.Pool[asyncpg.Record]
    clockwork: Clockwork


COMPANY: Final = web.AppKey("company", Company)

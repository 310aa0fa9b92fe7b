"""The parts of a running sandbox company, as its request handlers reach them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from aiohttp import web

from feira.platform.gateways.payments.sandbox.clockwork import Clockwork

if TYPE_CHECKING:
    import asyncpg


@dataclass(frozen=True, kw_only=True, slots=True)
class Company:
    """Its books, what it does by itself, and where browsers find it."""

    pool: asyncpg.Pool[asyncpg.Record]
    clockwork: Clockwork
    public_url: Callable[[], str]


COMPANY: Final = web.AppKey("company", Company)

"""Actors, for the market's own people."""

from __future__ import annotations

from typing import Annotated, Final

import msgspec
from msgspec import Meta

from feira.actors.report import ACTORS_LISTED_MAX, NodeReport
from feira.http.call import Call
from feira.http.endpoint import Endpoint, endpoint
from feira.platform.domain.permissions import require


class Busiest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How many to list."""

    limit: Annotated[int, Meta(ge=1, le=ACTORS_LISTED_MAX)] = 20


@endpoint(
    "GET",
    "/v1/operations/actors",
    service="operations",
    summary="Show the busiest actors of the node that answers.",
)
async def show_actors(call: Call, query: Busiest) -> NodeReport:
    """For support, finance and admins. Each node tells of its own actors; `feira actors` shows several nodes live."""
    require("actors.read", call.principal)
    return call.actors.report(limit=query.limit)


ENDPOINTS: Final[tuple[Endpoint, ...]] = (show_actors,)

"""What load balancers and operators ask: /livez, /readyz, /version, /metrics."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Final, Literal

import asyncpg
import msgspec
import structlog
from aiohttp import web
from prometheus_client import REGISTRY
from prometheus_client.exposition import choose_encoder

import feira
from feira.platform.runtime.config import Config, ServiceName
from feira.platform.runtime.redis_client import open_redis

PROBE_TIMEOUT_S: Final = 1.0
# However often it is asked, the stores are pinged once in this time.
VERDICT_KEPT_S: Final = 1.0
# Losing them loses no promise but speed.
DISPENSABLE: Final = frozenset({"redis"})

Probe = Callable[[], Awaitable[None]]
log = structlog.get_logger()


class ReadyView(msgspec.Struct, frozen=True, kw_only=True):
    """`failed` names the stores that are away. A degraded node takes requests; its pushes may come seconds late."""

    status: Literal["ready", "degraded", "draining", "unready"]
    failed: dict[str, str]


class VersionView(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    version: str
    services: tuple[ServiceName, ...]


class Readiness:
    """Whether this node should get requests.

    ready <-> degraded | unready (a probe fails or passes again);  any -> draining, for good

    Without Redis every node works on, only less lively: if that made them unready, a load balancer would take
    all of them out at once.
    """

    def __init__(self, probes: Mapping[str, Probe]) -> None:
        self._probes = probes
        self._draining = False
        self._asking = asyncio.Lock()
        self._verdict: ReadyView | None = None
        self._verdict_ends_at = 0.0

    def drain(self) -> None:
        """Fail from now on, so that load balancers send no new requests here."""
        self._draining = True

    async def check(self) -> ReadyView:
        """Ask every probe, all at once, or repeat the verdict of a moment ago."""
        if self._draining:
            return ReadyView(status="draining", failed={})
        async with self._asking:
            now = asyncio.get_running_loop().time()
            if self._verdict is None or now >= self._verdict_ends_at:
                self._verdict = await self._ask_all()
                self._verdict_ends_at = asyncio.get_running_loop().time() + VERDICT_KEPT_S
            return self._verdict

    async def _ask_all(self) -> ReadyView:
        reasons = await asyncio.gather(
            *(_reason_of_failure(name, probe) for name, probe in self._probes.items())
        )
        failed = {
            name: reason for name, reason in zip(self._probes, reasons, strict=True) if reason
        }
        if not failed:
            return ReadyView(status="ready", failed=failed)
        return ReadyView(
            status="degraded" if failed.keys() <= DISPENSABLE else "unready", failed=failed
        )


def store_probes(config: Config) -> dict[str, Probe]:
    """Probes of the stores, on connections of their own.

    They stay out of the pool: a node whose pool is merely busy must not be taken out of service, or its
    load would bring the next node down.
    """

    async def postgres() -> None:
        con = await asyncpg.connect(config.postgres_dsn, timeout=PROBE_TIMEOUT_S)
        try:
            read_only = await con.fetchval("SELECT pg_is_in_recovery()")
        finally:
            await con.close(timeout=PROBE_TIMEOUT_S)
        if read_only:
            raise ConnectionError("read-only: not the primary")

    async def redis() -> None:
        # Of a cluster, one node stands for all.
        client = open_redis(config.redis_url, home="{feira}", timeout_s=PROBE_TIMEOUT_S)
        try:
            await client.ping()
        finally:
            await client.aclose()

    return {"postgres": postgres, "redis": redis}


def health_routes(config: Config, readiness: Readiness) -> list[web.RouteDef]:
    """Routes that need no sign-in and no database pool."""

    async def livez(_request: web.Request) -> web.Response:
        # The loop answers: nothing else would be mended by a restart.
        return web.Response(text="ok\n")

    async def readyz(_request: web.Request) -> web.Response:
        verdict = await readiness.check()
        return _json(verdict, status=200 if verdict.status in {"ready", "degraded"} else 503)

    async def version(_request: web.Request) -> web.Response:
        return _json(VersionView(name="feira", version=feira.__version__, services=config.services))

    async def metrics(request: web.Request) -> web.Response:
        encode, content_type = choose_encoder(request.headers.get("Accept", ""))
        return web.Response(body=encode(REGISTRY), headers={"Content-Type": content_type})

    return [
        web.get("/livez", livez),
        web.get("/readyz", readyz),
        web.get("/version", version),
        web.get("/metrics", metrics),
    ]


async def _reason_of_failure(name: str, probe: Probe) -> str:
    try:
        async with asyncio.timeout(PROBE_TIMEOUT_S):
            await probe()
    except TimeoutError:
        return f"no answer within {PROBE_TIMEOUT_S:g} s"
    except Exception as error:  # noqa: BLE001 - whatever the reason, this node is not ready
        log.warning("health.probe_failed", probe=name, error=str(error))
        # The type only: drivers quote addresses and users in their messages.
        return type(error).__name__
    return ""


def _json(view: ReadyView | VersionView, *, status: int = 200) -> web.Response:
    return web.Response(
        body=msgspec.json.encode(view),
        status=status,
        content_type="application/json",
        headers={"Cache-Control": "no-store"},
    )

"""The composition root: builds every part of a process once, in order, and closes them in reverse."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

import structlog
from aiohttp import web

from feira.actors.node import Node
from feira.actors.presence_store import open_presence_client
from feira.http.health import Readiness, health_routes, store_probes
from feira.http.runner import build_runner
from feira.http.server import build_http_app
from feira.jobs.worker import run_worker
from feira.platform.gateways.mail.console import ConsoleMailSender
from feira.platform.gateways.payments.port import PaymentGateway
from feira.platform.gateways.payments.sandbox.client import SandboxGateway, sandbox_base_urls
from feira.platform.gateways.payments.sandbox.server import build_sandbox_app
from feira.platform.gateways.search.postgres import PostgresSearch
from feira.platform.gateways.storage.s3 import S3ObjectStore, S3Settings
from feira.platform.runtime.announcer import Announcer
from feira.platform.runtime.bus import Bus
from feira.platform.runtime.config import Config
from feira.platform.runtime.doorbell import Doorbell, jobs_doorbell
from feira.platform.runtime.ending import end_tasks
from feira.platform.runtime.installation import installation_name
from feira.platform.runtime.tokens import AccessTokens
from feira.services.market import Market
from feira.sql.database import Database, open_pool
from feira.sql.pulse import Pulse, asking
from feira.ws.limits import DEFAULT_LIMITS, SocketLimits
from feira.ws.server import SocketServer

log = structlog.get_logger("feira.app")


@dataclass(frozen=True, kw_only=True, slots=True)
class Ground:
    """What every process has, and the channels that tell others what it committed."""

    market: Market
    bus: Bus
    announcer: Announcer
    doorbell: Doorbell


@asynccontextmanager
async def open_ground(config: Config) -> AsyncGenerator[Ground]:
    """Open the stores and gateways that the configuration names."""
    async with AsyncExitStack() as stack:
        bus = Bus(config.redis_url, installation_name(config.postgres_dsn))
        bus.start_publishing()
        stack.push_async_callback(bus.close)
        doorbell = jobs_doorbell(config)
        stack.push_async_callback(doorbell.close)
        announcer = Announcer(bus, config.node_name)
        pool = await open_pool(
            config.postgres_dsn,
            size_min=config.postgres_pool_min,
            size_max=config.postgres_pool_max,
        )
        database = Database(
            pool,
            on_events=announcer.announce,
            on_jobs=doorbell.ring,
            on_passing=announcer.tell,
            pulse=Pulse(asking(config.postgres_dsn)),
        )
        stack.push_async_callback(database.close)
        payments = open_payments(config)
        stack.push_async_callback(payments.close)
        storage = await open_storage(config)
        stack.push_async_callback(storage.close)
        market = Market(
            config=config,
            database=database,
            tokens=AccessTokens.load(
                config.signing_keys_dir, make_missing=config.environment == "development"
            ),
            payments=payments,
            storage=storage,
            search=PostgresSearch(database.connection),
            mail=ConsoleMailSender(config.mail_dir, config.mail_from),
        )
        yield Ground(market=market, bus=bus, announcer=announcer, doorbell=doorbell)


def open_payments(config: Config) -> PaymentGateway:
    """The provider that the configuration names; the caller closes it. Its SDK is imported only here."""
    match config.payments:
        case "sandbox":
            return SandboxGateway(
                lambda: sandbox_base_urls(
                    host=config.host, port=config.port, public_url=config.public_url
                ),
                webhook_secret=config.sandbox_webhook_secret,
            )
        case "stripe":
            from feira.platform.gateways.payments.stripe.gateway import StripeGateway
            from feira.platform.gateways.payments.stripe.part import StripeSettings

            return StripeGateway(
                StripeSettings(
                    secret_key=config.stripe_secret_key,
                    webhook_secrets=(
                        config.stripe_webhook_secret,
                        config.stripe_connect_webhook_secret,
                    ),
                    api_url=config.stripe_api_url,
                )
            )
        case "paypal":
            from feira.platform.gateways.payments.paypal.connection import PayPalSettings
            from feira.platform.gateways.payments.paypal.gateway import PayPalGateway

            return PayPalGateway(
                PayPalSettings(
                    client_id=config.paypal_client_id,
                    client_secret=config.paypal_client_secret,
                    partner_id=config.paypal_partner_id,
                    webhook_id=config.paypal_webhook_id,
                    api_url=config.paypal_api_url,
                )
            )
        case "razorpay":
            from feira.platform.gateways.payments.razorpay.connection import RazorpaySettings
            from feira.platform.gateways.payments.razorpay.gateway import RazorpayGateway

            return RazorpayGateway(
                RazorpaySettings(
                    key_id=config.razorpay_key_id,
                    key_secret=config.razorpay_key_secret,
                    webhook_secret=config.razorpay_webhook_secret,
                    transfer_hold_s=config.razorpay_transfer_hold_s,
                    api_url=config.razorpay_api_url,
                )
            )


async def open_storage(config: Config) -> S3ObjectStore:
    """The bucket that the configuration names; the caller closes it."""
    settings = S3Settings(
        endpoint_url=config.s3_endpoint_url,
        browser_url=config.s3_browser_url,
        region=config.s3_region,
        bucket=config.s3_bucket,
        access_key=config.s3_access_key,
        secret_key=config.s3_secret_key,
    )
    return await S3ObjectStore.open(settings)


def _sub_apps(config: Config) -> dict[str, web.Application]:
    if config.payments != "sandbox" or "payments" not in config.services:
        return {}
    return {"/sandbox": _sandbox_company(config)}


def _sandbox_company(config: Config) -> web.Application:
    """The payment provider of development: another company's server that happens to live in this process."""
    own_url = sandbox_base_urls(host=config.host, port=config.port, public_url=config.public_url)[0]
    return build_sandbox_app(
        config.postgres_dsn,
        webhook_secret=config.sandbox_webhook_secret,
        webhook_url=lambda: own_url.removesuffix("/sandbox") + "/v1/webhooks/sandbox",
        public_url=lambda: f"{config.public_url}/sandbox",
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class RunningNode:
    """A served node: where it listens and its parts."""

    market: Market
    node: Node
    sockets: SocketServer
    port: int


@asynccontextmanager
async def open_node(
    config: Config, *, reuse_port: bool = False, socket_limits: SocketLimits = DEFAULT_LIMITS
) -> AsyncGenerator[RunningNode]:
    """Serve HTTP and sockets until the context ends; then drain: readiness off, sockets, requests, stores."""
    async with AsyncExitStack() as stack:
        ground = await stack.enter_async_context(open_ground(config))
        client = open_presence_client(config.redis_url)
        stack.push_async_callback(client.aclose)
        node = Node(
            database=ground.market.database,
            bus=ground.bus,
            announcer=ground.announcer,
            client=client,
        )
        stack.push_async_callback(node.close)
        sockets = SocketServer(ground.market, node, socket_limits)
        stack.push_async_callback(sockets.close)
        readiness = Readiness(store_probes(config))
        app = build_http_app(
            ground.market,
            node,
            readiness=readiness,
            extra_routes=sockets.routes(),
            sub_apps=_sub_apps(config),
        )
        runner = build_runner(app, shutdown_timeout_s=config.drain_s / 2)
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        site = web.TCPSite(runner, config.host, config.port, reuse_port=reuse_port)
        node.start()
        sockets.start()
        await site.start()
        port = int(runner.addresses[0][1])
        log.info("node_started", host=config.host, port=port, services=list(config.services))
        try:
            yield RunningNode(market=ground.market, node=node, sockets=sockets, port=port)
        finally:
            log.info("node_draining")
            readiness.drain()
            await site.stop()
            await sockets.drain(within_s=config.drain_s / 2)


async def work(config: Config, stop: asyncio.Event) -> None:
    """Carry out jobs until `stop` is set; the worker's own port says how it is until it has drained."""
    async with open_ground(config) as ground, serve_health(config) as (readiness, _):
        draining = asyncio.create_task(_drain_when(stop, readiness), name="worker.draining")
        try:
            await run_worker(ground.market, ground.doorbell, stop)
        finally:
            await end_tasks([draining])


@asynccontextmanager
async def serve_health(config: Config) -> AsyncGenerator[tuple[Readiness, int]]:
    """Serve /livez, /readyz, /version and /metrics of a process that serves nothing else; give its port."""
    readiness = Readiness(store_probes(config))
    app = web.Application()
    app.add_routes(health_routes(config, readiness))
    runner = build_runner(app, shutdown_timeout_s=1)
    await runner.setup()
    try:
        site = web.TCPSite(runner, config.host, config.worker_port)
        await site.start()
        port = int(runner.addresses[0][1])
        log.info("worker_port_opened", host=config.host, port=port)
        yield readiness, port
    finally:
        await runner.cleanup()


async def _drain_when(stop: asyncio.Event, readiness: Readiness) -> None:
    await stop.wait()
    readiness.drain()

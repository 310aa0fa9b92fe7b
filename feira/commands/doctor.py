"""`feira doctor`: tries every connection of the settings and says what to do about each that fails."""

import argparse
import asyncio
import secrets
import tempfile
import time
from collections.abc import Awaitable, Callable

import asyncpg
import msgspec

from feira.platform.domain.errors import FeiraError
from feira.platform.gateways.payments.refusal import GatewayRefused
from feira.platform.runtime.config import Config
from feira.platform.runtime.config_payments import WEBHOOK_SETTING

_TIMEOUT_S = 10.0
_POSTGRES_MIN = 160_000
Check = Callable[[Config], Awaitable[str]]


class Ailment(Exception):
    """A check's finding: what is wrong, and what to do."""

    def __init__(self, wrong: str, remedy: str) -> None:
        super().__init__(wrong)
        self.wrong = wrong
        self.remedy = remedy


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """What one check found; healthy where there is no remedy."""

    name: str
    told: str
    remedy: str = ""


def run(config: Config, args: argparse.Namespace) -> int:  # noqa: ARG001 - every command's shape
    findings = asyncio.run(examine(config))
    width = max(len(finding.name) for finding in findings)
    for finding in findings:
        print(f"{'WRONG' if finding.remedy else 'ok':<6} {finding.name:<{width}}  {finding.told}")
        if finding.remedy:
            print(f"{'':<6} {'':<{width}}  -> {finding.remedy}")
    return 1 if any(finding.remedy for finding in findings) else 0


async def examine(config: Config) -> list[Finding]:
    """All checks at the same time, reported in a fixed order."""
    return list(await asyncio.gather(*(_try(name, check, config) for name, check in _CHECKS)))


async def _try(name: str, check: Check, config: Config) -> Finding:
    began = time.monotonic()
    try:
        async with asyncio.timeout(_TIMEOUT_S):
            told = await check(config)
    except Ailment as ailment:
        return Finding(name=name, told=ailment.wrong, remedy=ailment.remedy)
    except TimeoutError:
        return Finding(
            name=name,
            told=f"no answer in {_TIMEOUT_S:g} s",
            remedy=f"Check the address in the {name} settings and the network",
        )
    return Finding(name=name, told=f"{told} ({(time.monotonic() - began) * 1000:.0f} ms)")


async def _postgres(config: Config) -> str:
    try:
        connection = await asyncpg.connect(config.postgres_dsn, timeout=_TIMEOUT_S)
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise Ailment(_words(error), "Start PostgreSQL, or correct postgres_dsn") from None
    try:
        number = int(await connection.fetchval("show server_version_num"))
        if number < _POSTGRES_MIN:
            raise Ailment(f"version {number // 10_000}", "Upgrade to PostgreSQL 16 or newer")
        migrations = await _migrations(connection)
        rights = await _rights(connection, config)
        return f"PostgreSQL {number // 10_000}.{number % 10_000}, {migrations}, {rights}"
    finally:
        await connection.close()


async def _migrations(connection: "asyncpg.Connection[asyncpg.Record]") -> str:
    from feira.sql.migrate import migration_files

    try:
        rows = await connection.fetch("select name from schema_migrations")
    except asyncpg.UndefinedTableError:
        rows = []
    applied = {str(row["name"]) for row in rows}
    known = set(migration_files())
    if missing := sorted(known - applied):
        raise Ailment(f"{len(missing)} migrations missing, first {missing[0]}", "feira migrate")
    if ahead := sorted(applied - known):
        raise Ailment(f"the database is ahead of this code: {ahead[-1]}", "Run newer code")
    return f"{len(applied)} migrations"


async def _rights(connection: "asyncpg.Connection[asyncpg.Record]", config: Config) -> str:
    """Nodes act as a role that cannot change the ledger; who signs in as its owner could take that off again."""
    from feira.sql.migrate import APP_ROLE

    can_act = await connection.fetchval("select pg_has_role(current_user, $1, 'MEMBER')", APP_ROLE)
    if not can_act:
        raise Ailment(f"not a member of {APP_ROLE}", f"GRANT {APP_ROLE} TO this login")
    if not await connection.fetchval(
        "select has_table_privilege(current_user, 'ledger_postings', 'UPDATE, DELETE, TRUNCATE')"
    ):
        return f"only {APP_ROLE}"
    if config.environment == "production":
        raise Ailment(
            "this login can change the ledger",
            f"Give postgres_dsn a login that is only a member of {APP_ROLE}, and the owner's to postgres_owner_dsn",
        )
    return "as the owner"


async def _redis(config: Config) -> str:
    from feira.platform.runtime.cluster_map import SLOTS
    from feira.platform.runtime.redis_topology import topology_of

    topology = topology_of(config.redis_url)
    try:
        owners = await topology.owners(range(SLOTS))
    except OSError as error:
        raise Ailment(_words(error), "Start Redis or Valkey, or correct redis_url") from None
    servers = {owner for owner in owners if owner is not None}
    if None in owners:
        raise Ailment(
            f"{owners.count(None)} slots of the cluster are served by nobody",
            "Start the missing nodes, or give their slots to others",
        )
    versions: set[str] = set()
    for server in servers:
        try:
            connection = await topology.open(server)
            try:
                info = await connection.ask("INFO", "server")
            finally:
                await connection.close()
        except OSError as error:
            remedy = "Start it, or correct redis_url; with Sentinel or a cluster, see docs/redis.md"
            raise Ailment(f"{server}: {_words(error)}", remedy) from None
        versions.add(_redis_version(info.decode()))
    told = " and ".join(sorted(versions))
    return f"{told}, a cluster of {len(servers)}" if topology.is_cluster else told


def _redis_version(info: str) -> str:
    found = dict(line.split(":", 1) for line in info.splitlines() if ":" in line)
    if "valkey_version" in found:
        return f"Valkey {found['valkey_version']}"
    return f"Redis {found['redis_version']}"


async def _s3(config: Config) -> str:
    from aiobotocore.session import get_session
    from botocore.exceptions import BotoCoreError, ClientError

    key = f"doctor/{secrets.token_hex(8)}"
    body = secrets.token_bytes(16)
    try:
        async with get_session().create_client(
            "s3",
            endpoint_url=config.s3_endpoint_url,
            region_name=config.s3_region,
            aws_access_key_id=config.s3_access_key,
            aws_secret_access_key=config.s3_secret_key,
        ) as client:
            await client.put_object(Bucket=config.s3_bucket, Key=key, Body=body)
            found = await client.get_object(Bucket=config.s3_bucket, Key=key)
            read = await found["Body"].read()
            await client.delete_object(Bucket=config.s3_bucket, Key=key)
    except (BotoCoreError, ClientError, OSError) as error:
        remedy = "Start the S3 server, create the bucket, or correct the s3_ settings"
        raise Ailment(_words(error), remedy) from None
    if read != body:
        raise Ailment("an object came back changed", "Look at the S3 server's disk and log")
    return f"bucket {config.s3_bucket} takes, gives back and forgets an object"


async def _signing_keys(config: Config) -> str:
    return await asyncio.to_thread(_read_signing_keys, config)


def _read_signing_keys(config: Config) -> str:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    folder = config.signing_keys_dir
    files = sorted(folder.glob("*.pem"))
    if not files:
        remedy = f"openssl genpkey -algorithm ed25519 -out {folder}/key-1.pem"
        raise Ailment(f"no *.pem in {folder}", remedy)
    for file in files:
        try:
            key = load_pem_private_key(file.read_bytes(), password=None)
        except (OSError, ValueError, TypeError):
            raise Ailment(f"{file} is not a readable PEM key", "Replace or remove it") from None
        if not isinstance(key, Ed25519PrivateKey):
            raise Ailment(f"{file} is not an Ed25519 key", "Replace or remove it")
        if file.stat().st_mode & 0o077:
            raise Ailment(f"{file} is readable by others", f"chmod 600 {file}")
    return f"{len(files)} Ed25519 key(s)"


async def _mail(config: Config) -> str:
    def write() -> None:
        config.mail_dir.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=config.mail_dir):
            pass

    try:
        await asyncio.to_thread(write)
    except OSError as error:
        remedy = "Make the folder writable, or choose another mail_dir"
        raise Ailment(f"cannot write to {config.mail_dir}: {_words(error)}", remedy) from None
    return f"e-mail lands in {config.mail_dir}"


async def _payments(config: Config) -> str:
    if config.payments == "sandbox":
        if config.environment == "production":
            remedy = "Set FEIRA_PAYMENTS; docs/payments.md shows how to go live"
            raise Ailment("the sandbox moves no real money", remedy)
        return "the sandbox: no real money moves"
    from feira.app import open_payments

    gateway = open_payments(config)
    try:
        # Not to find it takes a key that is good.
        await gateway.fetch_intent("doctor")
    except GatewayRefused as refusal:
        if refusal.reason != "not_found":
            raise Ailment(f"{config.payments}: {refusal.message}", "See docs/payments.md") from None
    except FeiraError as error:
        remedy = (
            f"Correct the {config.payments}_ settings; docs/payments.md tells where they come from"
        )
        raise Ailment(f"{config.payments}: {error.message}", remedy) from None
    finally:
        await gateway.close()
    return f"{config.payments} knows our key; {_webhooks(config)}"


def _webhooks(config: Config) -> str:
    path = f"{config.public_url}/v1/webhooks/{config.payments}"
    if getattr(config, WEBHOOK_SETTING[config.payments]):
        return f"it should send events to {path}"
    setting = WEBHOOK_SETTING[config.payments]
    return f"without {setting} events are looked up hourly instead of arriving at {path}"


async def _public_url(config: Config) -> str:
    import aiohttp

    url = f"{config.public_url}/livez"
    try:
        # trust_env stays off: a proxy of this shell says nothing about visitors.
        async with aiohttp.ClientSession() as session, session.get(url) as response:
            status = response.status
    except (aiohttp.ClientError, OSError) as error:
        raise Ailment(_words(error), "Start the servers, or correct public_url") from None
    if status != 200:  # noqa: PLR2004
        raise Ailment(f"{url} answers {status}", "Something else listens there: see public_url")
    return f"{config.public_url} answers"


def _words(error: BaseException) -> str:
    """The first line: what follows in drivers' messages may quote an address with its password."""
    lines = str(error).splitlines()
    return lines[0] if lines else type(error).__name__


_CHECKS: tuple[tuple[str, Check], ...] = (
    ("postgres", _postgres),
    ("redis", _redis),
    ("s3", _s3),
    ("signing keys", _signing_keys),
    ("mail", _mail),
    ("payments", _payments),
    ("public_url", _public_url),
)

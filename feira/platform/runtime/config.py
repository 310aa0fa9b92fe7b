"""Every setting of a Feira process, read once at start from a TOML file and the environment.

A setting `x` is the key `x` of the file and the variable `FEIRA_X`; the variable wins. Nothing else in
the code reads the environment. Secrets are declared as such and never reach `repr()`, logs or errors.
"""

import os
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import msgspec
from msgspec import Meta

from feira.platform.runtime.config_check import check_together
from feira.platform.runtime.config_payments import SECRET, PaymentSettings
from feira.platform.runtime.config_source import (
    ENVIRONMENT_PREFIX,
    ConfigError,
    read_environment,
    read_file,
)

__all__ = ["Config", "ConfigError", "ServiceName", "load_config"]

ServiceName = Literal["users", "products", "orders", "payments", "messaging", "notifications"]
LogLevel = Literal["debug", "info", "warning", "error"]

ALL_SERVICES: tuple[ServiceName, ...] = get_args(ServiceName)
MASK = "********"


def _default_node_name() -> str:
    return f"{socket.gethostname()}:{os.getpid()}"


def _default_services() -> tuple[ServiceName, ...]:
    return ALL_SERVICES


class Config(PaymentSettings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All settings. `load_config` is the only way to read one; tests may build one directly."""

    environment: Annotated[
        Literal["development", "production"],
        Meta(description="In production every secret must be given; nothing is made up."),
    ] = "development"
    host: Annotated[str, Meta(min_length=1, description="Address the HTTP server binds.")] = (
        "127.0.0.1"
    )
    port: Annotated[
        int, Meta(ge=0, le=65535, description="Port the HTTP server binds; 0 takes a free one.")
    ] = 8080
    services: Annotated[
        tuple[ServiceName, ...],
        Meta(min_length=1, description="Services whose routes this node serves."),
    ] = msgspec.field(default_factory=_default_services)
    public_url: Annotated[
        str, Meta(pattern="^https?://[^/]+$", description="Origin that browsers and e-mails use.")
    ] = "http://127.0.0.1:8080"
    node_name: Annotated[
        str, Meta(min_length=1, max_length=120, description="This process's name in logs.")
    ] = msgspec.field(default_factory=_default_node_name)

    postgres_dsn: Annotated[
        str,
        Meta(
            pattern="^postgres(ql)?://",
            description="PostgreSQL 16 or newer.",
            extra=SECRET,
        ),
    ] = "postgresql://feira@127.0.0.1:5432/feira"
    postgres_owner_dsn: Annotated[
        str,
        Meta(
            pattern="^(postgres(ql)?://.*)?$",
            description="Who owns the tables, for `feira migrate` alone; empty means postgres_dsn.",
            extra=SECRET,
        ),
    ] = ""
    postgres_pool_min: Annotated[
        int, Meta(ge=0, description="Connections kept open by each process.")
    ] = 1
    postgres_pool_max: Annotated[
        int, Meta(ge=4, description="Connections a process opens at most; two of them write chat.")
    ] = 10
    redis_url: Annotated[
        str,
        Meta(
            pattern=r"^(rediss?(\+(sentinel|cluster))?|unix)://",
            description="Redis 7 or Valkey: redis://, rediss:// (TLS), unix://, redis+sentinel://, redis+cluster://.",
            extra=SECRET,
        ),
    ] = "redis://127.0.0.1:6379/0"

    s3_endpoint_url: Annotated[
        str, Meta(pattern="^https?://", description="S3 endpoint as this process reaches it.")
    ] = "http://127.0.0.1:8333"
    s3_public_url: Annotated[
        str,
        Meta(
            pattern="^(https?://.*)?$",
            description="S3 endpoint as browsers reach it; empty means s3_endpoint_url.",
        ),
    ] = ""
    s3_region: Annotated[str, Meta(min_length=1, description="S3 region, part of signatures.")] = (
        "us-east-1"
    )
    s3_bucket: Annotated[
        str, Meta(min_length=3, max_length=63, description="Bucket for uploaded images.")
    ] = "feira"
    s3_access_key: Annotated[str, Meta(description="S3 access key.", extra=SECRET)] = ""
    s3_secret_key: Annotated[str, Meta(description="S3 secret key.", extra=SECRET)] = ""

    signing_keys_dir: Annotated[
        Path, Meta(description="Folder of Ed25519 PEM private keys that sign access tokens.")
    ] = Path(".feira/keys")
    secret_key: Annotated[
        str,
        Meta(description="Key of signed cursors and links, 32 characters or more.", extra=SECRET),
    ] = ""

    mail_sender: Annotated[
        Literal["console"], Meta(description="How e-mail leaves: console writes .eml files.")
    ] = "console"
    mail_dir: Annotated[Path, Meta(description="Folder of the console sender's .eml files.")] = (
        Path(".feira/mail")
    )
    mail_from: Annotated[
        str, Meta(pattern="@", description="Sender of every e-mail, as in a From header.")
    ] = "Feira <no-reply@feira.localhost>"
    search: Annotated[Literal["postgres"], Meta(description="Search engine.")] = "postgres"

    webhooks_to_loopback: Annotated[
        bool,
        Meta(
            description="Whether webhooks may go to this machine itself, also by http://. For development."
        ),
    ] = False

    log_level: Annotated[LogLevel, Meta(description="Lowest level that is written.")] = "info"
    log_format: Annotated[
        Literal["console", "json"], Meta(description="For eyes, or one JSON object a line.")
    ] = "console"

    order_hold_s: Annotated[
        int, Meta(ge=1, description="Seconds an unpaid order holds its stock.")
    ] = 900
    deal_hold_s: Annotated[
        int,
        Meta(ge=1, description="Seconds a buyer has to pay for an offer that the shop accepted."),
    ] = 24 * 3600
    order_ship_within_s: Annotated[
        int, Meta(ge=1, description="Seconds a shop has to ship, where it promises nothing itself.")
    ] = 3 * 24 * 3600
    order_late_cancel_s: Annotated[
        int, Meta(ge=1, description="Seconds after a missed ship-by until an order is cancelled.")
    ] = 3 * 24 * 3600
    order_cancel_answer_s: Annotated[
        int, Meta(ge=1, description="Seconds a shop has to answer a buyer who asks to cancel.")
    ] = 2 * 24 * 3600
    order_arrive_within_s: Annotated[
        int,
        Meta(ge=1, description="Seconds until a shipped order counts as delivered by itself."),
    ] = 21 * 24 * 3600
    order_auto_accept_s: Annotated[
        int, Meta(ge=1, description="Seconds after delivery until an order counts as accepted.")
    ] = 14 * 24 * 3600
    order_dispute_decision_s: Annotated[
        int, Meta(ge=1, description="Seconds support has to decide a dispute.")
    ] = 7 * 24 * 3600
    return_answer_s: Annotated[
        int, Meta(ge=1, description="Seconds until an unanswered return counts as approved.")
    ] = 3 * 24 * 3600
    return_send_s: Annotated[
        int, Meta(ge=1, description="Seconds a buyer has to send an approved return.")
    ] = 14 * 24 * 3600
    return_arrive_s: Annotated[
        int,
        Meta(ge=1, description="Seconds after sending until a return counts as received in full."),
    ] = 21 * 24 * 3600
    return_settle_s: Annotated[
        int, Meta(ge=1, description="Seconds after receipt until a return is refunded in full.")
    ] = 7 * 24 * 3600
    request_body_bytes_max: Annotated[
        int, Meta(ge=1024, description="Largest request body in bytes.")
    ] = 1024 * 1024
    job_relay_poll_s: Annotated[
        float, Meta(gt=0, le=3600, description="Seconds between looks for committed jobs.")
    ] = 1.0
    worker_port: Annotated[
        int,
        Meta(
            ge=0,
            le=65535,
            description="Port of a worker's /livez, /readyz and /metrics; 0 takes a free one.",
        ),
    ] = 0
    drain_s: Annotated[
        float, Meta(ge=0, le=600, description="Seconds a stopping server lets requests finish.")
    ] = 10.0
    cors_origins: Annotated[
        tuple[str, ...], Meta(description="Foreign origins that may call the API.")
    ] = ()

    def __repr__(self) -> str:
        shown = ", ".join(f"{name}={value!r}" for name, value in masked_values(self))
        return f"Config({shown})"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        """Without this, msgspec's own would hand secrets to a rich traceback."""
        return masked_values(self)

    @property
    def s3_browser_url(self) -> str:
        """Endpoint that presigned addresses are made for."""
        return self.s3_public_url or self.s3_endpoint_url


def _metas(name: str) -> list[Meta]:
    kinds = {field.name: field.type for field in msgspec.structs.fields(Config)}
    return [meta for meta in kinds[name].__metadata__ if isinstance(meta, Meta)]


SECRET_SETTINGS = frozenset(
    field.name
    for field in msgspec.structs.fields(Config)
    if any(meta.extra == SECRET for meta in _metas(field.name))
)


def load_config(environ: Mapping[str, str], file: Path | None = None) -> Config:
    """Read the file, then the environment over it.

    Raises:
        ConfigError: the file cannot be read, or a setting is unknown, missing or wrong.
    """
    names = setting_names()
    given = {**read_file(file, names), **read_environment(environ, names)}
    values = {name: value for name, (value, _) in given.items()}
    config = _convert(values, {name: label for name, (_, label) in given.items()})
    check_together(config, frozenset(values))
    return config


def setting_names() -> frozenset[str]:
    """Of all settings."""
    return frozenset(field.name for field in msgspec.structs.fields(Config))


def to_environment(config: Config) -> dict[str, str]:
    """The variables from which `load_config` reads this same config back; holds secrets."""
    return {
        ENVIRONMENT_PREFIX + field.name.upper(): setting_text(getattr(config, field.name))
        for field in msgspec.structs.fields(Config)
    }


def _convert(values: dict[str, Any], labels: dict[str, str]) -> Config:
    for field in msgspec.structs.fields(Config):
        if field.name not in values:
            continue
        label = labels[field.name]
        try:
            # strict=False reads "8080" as a number: the environment has only text.
            values[field.name] = msgspec.convert(
                values[field.name], field.type, strict=False, dec_hook=_decode_path
            )
        except msgspec.ValidationError as error:
            problem = "wrong value" if field.name in SECRET_SETTINGS else str(error)
            raise ConfigError(label, problem, f"Should be: {setting_meaning(field.name)}") from None
    return Config(**values)


def _decode_path(kind: type, value: object) -> Path:
    if kind is Path and isinstance(value, str) and value:
        return Path(value)
    message = "Expected a path"
    raise msgspec.ValidationError(message)


def masked_values(config: Config) -> list[tuple[str, object]]:
    """Every setting; secrets that are set are replaced by a mask."""
    return [
        (name, MASK if name in SECRET_SETTINGS and value else value)
        for name, value in msgspec.structs.asdict(config).items()
    ]


def setting_meaning(name: str) -> str:
    """The setting's own sentence."""
    return next(meta.description for meta in _metas(name)) or ""


def setting_text(value: object) -> str:
    """As the environment would say it."""
    if isinstance(value, tuple):
        return ",".join(str(part) for part in value)  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
    return str(value)

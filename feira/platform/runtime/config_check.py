"""Whether settings fit each other: what no setting's own type can say."""

from typing import TYPE_CHECKING

from feira.platform.runtime.config_payments import REQUIRED_BY_PROVIDER
from feira.platform.runtime.config_source import ENVIRONMENT_PREFIX, ConfigError
from feira.platform.runtime.redis_url import RedisUrlError, parse_redis_url

if TYPE_CHECKING:
    from feira.platform.runtime.config import Config

_REQUIRED_IN_PRODUCTION = (
    "postgres_dsn",
    "redis_url",
    "public_url",
    "s3_endpoint_url",
    "s3_access_key",
    "s3_secret_key",
    "signing_keys_dir",
    "secret_key",
)
_SECRET_KEY_LENGTH_MIN = 32


def check_together(config: "Config", given: frozenset[str]) -> None:
    """Pass settings that fit each other; `given` are those that did not come from their defaults.

    Raises:
        ConfigError: one is missing or does not fit.
    """
    if config.postgres_pool_max < config.postgres_pool_min:
        raise ConfigError(
            "postgres_pool_max",
            f"{config.postgres_pool_max} is below postgres_pool_min",
            f"Should be {config.postgres_pool_min} or more",
        )
    try:
        parse_redis_url(config.redis_url)
    except RedisUrlError as error:
        raise ConfigError(
            "redis_url", str(error), "docs/redis.md shows how it should look"
        ) from None
    if config.secret_key and len(config.secret_key) < _SECRET_KEY_LENGTH_MIN:
        raise ConfigError(
            "secret_key", "too short", f"Should be {_SECRET_KEY_LENGTH_MIN} characters or more"
        )
    for name in REQUIRED_BY_PROVIDER[config.payments]:
        if not getattr(config, name):
            raise _missing(name, f"and payments = {config.payments} cannot work without it")
    if config.environment != "production":
        return
    if config.webhooks_to_loopback:
        raise ConfigError(
            "webhooks_to_loopback",
            "true, and receivers of webhooks could reach what only this machine may",
            "Should be false in production",
        )
    required = _REQUIRED_IN_PRODUCTION
    if config.payments == "sandbox":
        required += ("sandbox_webhook_secret",)
    for name in required:
        if name not in given or not getattr(config, name):
            raise _missing(name, "and production makes nothing up")


def _missing(name: str, why: str) -> ConfigError:
    variable = ENVIRONMENT_PREFIX + name.upper()
    return ConfigError(variable, f"missing, {why}", "Set it in the environment or the file")

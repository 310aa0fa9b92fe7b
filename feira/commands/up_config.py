"""The settings of the nodes that `feira up` starts: the user's, completed with what it makes itself."""

import secrets
from pathlib import Path

import msgspec

from feira.platform.runtime.config import Config, to_environment
from feira.platform.runtime.embedded import Endpoints
from feira.platform.runtime.embedded.folder import write_private
from feira.platform.runtime.tokens import ensure_signing_key

_DEFAULTS = Config()


class NodeSecrets(msgspec.Struct, frozen=True, kw_only=True):
    """Made once for each data folder: sessions and links survive a restart."""

    secret_key: str
    sandbox_webhook_secret: str

    def __repr__(self) -> str:
        return "NodeSecrets(...)"


def complete(config: Config, endpoints: Endpoints, data_dir: Path, host: str, port: int) -> Config:
    """What the user set stays; databases, port and missing secrets are filled in."""
    made = _node_secrets(data_dir / "node-secrets.json")
    keys_dir = config.signing_keys_dir
    if keys_dir == _DEFAULTS.signing_keys_dir:
        keys_dir = data_dir / "keys"
        ensure_signing_key(keys_dir)
    mail_dir = config.mail_dir
    if mail_dir == _DEFAULTS.mail_dir:
        mail_dir = data_dir / "mail"
    mail_dir.mkdir(parents=True, exist_ok=True)
    own_url = config.public_url != _DEFAULTS.public_url
    return msgspec.structs.replace(
        config,
        host=host,
        port=port,
        public_url=config.public_url if own_url else local_url(host, port),
        postgres_dsn=endpoints.postgres_node_dsn,
        postgres_owner_dsn="",
        redis_url=endpoints.redis_url,
        s3_endpoint_url=endpoints.s3_endpoint_url,
        s3_region=endpoints.s3_region,
        s3_bucket=endpoints.s3_bucket,
        s3_access_key=endpoints.s3_access_key,
        s3_secret_key=endpoints.s3_secret_key,
        signing_keys_dir=keys_dir.absolute(),
        mail_dir=mail_dir.absolute(),
        secret_key=config.secret_key or made.secret_key,
        sandbox_webhook_secret=config.sandbox_webhook_secret or made.sandbox_webhook_secret,
        # Receivers under development are on this machine too.
        webhooks_to_loopback=config.environment == "development",
    )


def child_environment(config: Config) -> dict[str, str]:
    """The settings as variables; each node names itself."""
    variables = to_environment(config)
    del variables["FEIRA_NODE_NAME"]
    return variables


def local_url(host: str, port: int) -> str:
    """The address to open on this machine."""
    if host in {"0.0.0.0", "::", "127.0.0.1"}:  # noqa: S104 - compared, not bound
        host = "127.0.0.1"
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _node_secrets(file: Path) -> NodeSecrets:
    try:
        return msgspec.json.decode(file.read_bytes(), type=NodeSecrets)
    except (FileNotFoundError, msgspec.MsgspecError):
        made = NodeSecrets(
            secret_key=secrets.token_hex(32), sandbox_webhook_secret=secrets.token_hex(32)
        )
        write_private(file, msgspec.json.encode(made))
        return made

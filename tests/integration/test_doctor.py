from pathlib import Path

import msgspec
import pytest

from feira.commands.doctor import Finding, examine
from feira.platform.runtime.config import Config


async def findings(config: Config) -> dict[str, Finding]:
    return {finding.name: finding for finding in await examine(config)}


async def test_a_healthy_node_needs_no_remedy_but_a_running_server(config: Config) -> None:
    found = await findings(msgspec.structs.replace(config, public_url="http://127.0.0.1:1"))
    sick = {name for name, finding in found.items() if finding.remedy}
    assert sick == {"public_url"}


@pytest.mark.parametrize(
    ("changed", "sick"),
    [
        ({"postgres_dsn": "postgresql://x:hunter2@127.0.0.1:1/x"}, "postgres"),
        ({"redis_url": "redis://:hunter2@127.0.0.1:1/0"}, "redis"),
        ({"redis_url": "redis+sentinel://:hunter2@127.0.0.1:1/market"}, "redis"),
        ({"redis_url": "redis+cluster://:hunter2@127.0.0.1:1"}, "redis"),
        ({"s3_secret_key": "hunter2"}, "s3"),
        ({"s3_bucket": "not-there"}, "s3"),
        ({"signing_keys_dir": Path("/nonexistent")}, "signing keys"),
        ({"mail_dir": Path("/proc/nonexistent")}, "mail"),
    ],
)
async def test_each_broken_connection_is_found_alone(
    config: Config, changed: dict[str, object], sick: str
) -> None:
    found = await findings(msgspec.structs.replace(config, **changed))
    ill = {name for name, finding in found.items() if finding.remedy}
    assert ill == {sick, "public_url"}
    assert "hunter2" not in repr(found)

from pathlib import Path

import msgspec
import pytest

from feira.platform.runtime.config import (
    ALL_SERVICES,
    SECRET_SETTINGS,
    Config,
    ConfigError,
    load_config,
    to_environment,
)
from feira.platform.runtime.config_report import describe_config

PRODUCTION = {
    "FEIRA_ENVIRONMENT": "production",
    "FEIRA_POSTGRES_DSN": "postgresql://feira:db-secret@db/feira",
    "FEIRA_REDIS_URL": "redis://:bus-secret@bus:6379/0",
    "FEIRA_PUBLIC_URL": "https://feira.example",
    "FEIRA_S3_ENDPOINT_URL": "https://s3.example",
    "FEIRA_S3_ACCESS_KEY": "access-secret",
    "FEIRA_S3_SECRET_KEY": "s3-secret",
    "FEIRA_SIGNING_KEYS_DIR": "/keys",
    "FEIRA_SECRET_KEY": "k" * 32,
    "FEIRA_SANDBOX_WEBHOOK_SECRET": "hook-secret",
}


def write(folder: Path, text: str) -> Path:
    file = folder / "feira.toml"
    file.write_text(text)
    return file


def test_with_nothing_given_every_setting_has_its_default() -> None:
    config = load_config({})
    assert config.port == 8080
    assert config.services == ALL_SERVICES
    assert ":" in config.node_name


def test_the_environment_wins_over_the_file(tmp_path: Path) -> None:
    file = write(tmp_path, 'port = 1000\nhost = "0.0.0.0"\n')
    config = load_config({"FEIRA_PORT": "2000"}, file)
    assert (config.port, config.host) == (2000, "0.0.0.0")  # noqa: S104


def test_lists_come_from_commas_in_the_environment_and_from_arrays_in_the_file(
    tmp_path: Path,
) -> None:
    from_file = load_config({}, write(tmp_path, 'services = ["users", "orders"]'))
    assert from_file.services == ("users", "orders")
    assert load_config({"FEIRA_SERVICES": "users, orders"}).services == from_file.services


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("FEIRA_PRT", "1", "Did you mean port"),
        ("FEIRA_PORT", "many", "int"),
        ("FEIRA_PORT", "70000", "<= 65535"),
        ("FEIRA_SERVICES", "users,oders", "oders"),
        ("FEIRA_PUBLIC_URL", "feira.example", "Origin that browsers"),
        ("FEIRA_MAIL_DIR", "", "path"),
        ("FEIRA_SECRET_KEY", "short", "32 characters"),
    ],
)
def test_a_wrong_setting_is_named_with_what_it_should_be(
    variable: str, value: str, said: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        load_config({variable: value})
    assert variable.removeprefix("FEIRA_").lower() in str(caught.value).lower()
    assert said in str(caught.value)


def test_an_unknown_key_of_the_file_is_named_with_the_file(tmp_path: Path) -> None:
    file = write(tmp_path, "prot = 1")
    with pytest.raises(ConfigError, match=r"prot in .*feira\.toml"):
        load_config({}, file)


def test_a_file_that_is_not_toml_is_said_without_quoting_it(tmp_path: Path) -> None:
    file = write(tmp_path, "secret_key = s3cr3t-without-quotes")
    with pytest.raises(ConfigError) as caught:
        load_config({}, file)
    assert "not TOML" in str(caught.value)
    assert "s3cr3t" not in str(caught.value)


def test_a_missing_file_is_said(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="No such file"):
        load_config({}, tmp_path / "absent.toml")


def test_a_wrong_secret_is_not_printed() -> None:
    with pytest.raises(ConfigError) as caught:
        load_config({"FEIRA_POSTGRES_DSN": "mysql://me:hunter2@db"})
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("variable", [name for name in PRODUCTION if name != "FEIRA_ENVIRONMENT"])
def test_production_makes_no_secret_up(variable: str) -> None:
    load_config(PRODUCTION)
    with pytest.raises(ConfigError, match=variable):
        load_config({name: value for name, value in PRODUCTION.items() if name != variable})


def test_secrets_appear_in_no_representation() -> None:
    secrets = {name: f"the-{name}-itself" for name in SECRET_SETTINGS}
    config = msgspec.structs.replace(load_config(PRODUCTION), **secrets)
    shown = repr(config) + str(config) + repr(config.__rich_repr__())
    shown += repr(describe_config(config, PRODUCTION, None))
    for name in SECRET_SETTINGS:
        assert getattr(config, name) not in shown


def test_a_secret_can_come_from_a_file(tmp_path: Path) -> None:
    key = tmp_path / "stripe_key"
    key.write_text("sk_test_from_a_file\n")
    environ = {"FEIRA_PAYMENTS": "stripe", "FEIRA_STRIPE_SECRET_KEY_FILE": str(key)}
    assert load_config(environ).stripe_secret_key == "sk_test_from_a_file"
    with pytest.raises(ConfigError, match="given twice"):
        load_config(environ | {"FEIRA_STRIPE_SECRET_KEY": "sk_test_other"})
    with pytest.raises(ConfigError, match="No such file"):
        load_config({"FEIRA_STRIPE_SECRET_KEY_FILE": str(tmp_path / "absent")})
    with pytest.raises(ConfigError, match="unknown setting"):
        load_config({"FEIRA_NOTHING_FILE": str(key)})


def test_a_provider_is_not_chosen_without_its_key() -> None:
    with pytest.raises(ConfigError, match="FEIRA_STRIPE_SECRET_KEY: missing"):
        load_config({"FEIRA_PAYMENTS": "stripe"})
    with pytest.raises(ConfigError) as wrong:
        load_config({"FEIRA_PAYMENTS": "stripe", "FEIRA_STRIPE_SECRET_KEY": "pk_live_public"})
    assert "pk_live_public" not in str(wrong.value)


def test_production_with_a_real_provider_needs_no_sandbox() -> None:
    real = {name: value for name, value in PRODUCTION.items() if "SANDBOX" not in name}
    load_config(real | {"FEIRA_PAYMENTS": "stripe", "FEIRA_STRIPE_SECRET_KEY": "sk_live_x"})


def test_every_setting_that_sounds_secret_is_declared_secret() -> None:
    for field in msgspec.structs.fields(Config):
        # The folder's name is public; the keys inside are not.
        if ("secret" in field.name or "key" in field.name) and field.name != "signing_keys_dir":
            assert field.name in SECRET_SETTINGS


def test_every_setting_is_described_with_its_source(tmp_path: Path) -> None:
    file = write(tmp_path, "port = 1000")
    environ = {"FEIRA_HOST": "localhost"}
    described = {s.name: s for s in describe_config(load_config(environ, file), environ, file)}
    assert set(described) == {field.name for field in msgspec.structs.fields(Config)}
    assert all(setting.meaning for setting in described.values())
    sources = [described[name].source for name in ("port", "host", "drain_s")]
    assert sources == ["file", "environment", "default"]


def test_a_config_survives_the_way_through_the_environment() -> None:
    config = load_config(PRODUCTION | {"FEIRA_CORS_ORIGINS": "https://a.example,https://b.example"})
    assert load_config(to_environment(config)) == config


def test_production_sends_no_webhooks_to_its_own_machine() -> None:
    assert not load_config(PRODUCTION).webhooks_to_loopback
    assert load_config({"FEIRA_WEBHOOKS_TO_LOOPBACK": "true"}).webhooks_to_loopback
    with pytest.raises(ConfigError, match="webhooks_to_loopback"):
        load_config(PRODUCTION | {"FEIRA_WEBHOOKS_TO_LOOPBACK": "true"})

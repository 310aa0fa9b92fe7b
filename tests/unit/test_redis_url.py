import pytest

from feira.platform.runtime.config import ConfigError, load_config
from feira.platform.runtime.redis_url import (
    Address,
    Login,
    RedisUrl,
    RedisUrlError,
    parse_redis_url,
)

HOSTS = "one:7001,two,[::1]:7003"


@pytest.mark.parametrize(
    ("url", "meant"),
    [
        (
            "redis://cache",
            RedisUrl(kind="single", addresses=(Address("cache", 6379),), login=Login()),
        ),
        (
            "rediss://feira:p%40ss@cache:6380/2?ca_file=/ca.pem",
            RedisUrl(
                kind="single",
                addresses=(Address("cache", 6380),),
                login=Login(user="feira", password="p@ss", tls=True, ca_file="/ca.pem"),
                database=2,
            ),
        ),
        (
            "unix://:pass@/run/valkey.sock?db=1",
            RedisUrl(
                kind="single",
                addresses=(Address("/run/valkey.sock", 0),),
                login=Login(password="pass"),
                database=1,
            ),
        ),
        (
            f"redis+sentinel://:pass@{HOSTS}/market/3?sentinel_user=s&sentinel_password=t",
            RedisUrl(
                kind="sentinel",
                addresses=(Address("one", 7001), Address("two", 26379), Address("::1", 7003)),
                login=Login(password="pass"),
                database=3,
                master_name="market",
                sentinel_login=Login(user="s", password="t"),
            ),
        ),
        (
            f"rediss+cluster://{HOSTS}",
            RedisUrl(
                kind="cluster",
                addresses=(Address("one", 7001), Address("two", 6379), Address("::1", 7003)),
                login=Login(tls=True),
            ),
        ),
    ],
)
def test_a_url_says_where_redis_is_and_how_to_sign_in(url: str, meant: RedisUrl) -> None:
    assert parse_redis_url(url) == meant


WRONG = {
    "mysql://host": "starts with none of redis://",
    "redis://:hunter2@one,two": "several hosts are a redis+cluster://",
    "redis://:hunter2@host:port": "port is not a number",
    "redis://:hunter2@host:70000": "port is not a number",
    "redis://:hunter2@/0": "host is missing",
    "redis://:hunter2@host/zero": "database is not a number",
    "redis://:hunter2@host/0/name": "only the number of the database",
    "redis://:hunter2@host?timeout=1": "unknown option timeout; here it may be ca_file, db",
    "redis://:hunter2@host?ca_file=/ca": "ca_file needs rediss",
    "redis://[::1": "no URL",
    "unix://:hunter2@run/valkey.sock": "three slashes",
    "redis+sentinel://:hunter2@one,two": "redis+sentinel://host,host,host/NAME",
    "redis+sentinel://:hunter2@one/name/0/more": "redis+sentinel://host,host,host/NAME",
    "redis+cluster://:hunter2@one,,two": "host is missing",
    "redis+cluster://:hunter2@one,two/1": "database 0 only",
    "redis+cluster://:hunter2@one?db=0": "unknown option db",
}


@pytest.mark.parametrize("url", WRONG)
def test_a_wrong_url_is_told_with_what_is_wrong_and_without_its_password(url: str) -> None:
    with pytest.raises(RedisUrlError) as caught:
        parse_redis_url(url)
    assert WRONG[url] in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_the_setting_is_checked_at_the_start() -> None:
    with pytest.raises(ConfigError, match="redis_url: several hosts are"):
        load_config({"FEIRA_REDIS_URL": "redis://one,two"})
    assert load_config({"FEIRA_REDIS_URL": "redis+cluster://one,two"})


def test_a_login_shows_nothing_of_itself() -> None:
    url = parse_redis_url("redis+sentinel://u:hunter2@one/name?sentinel_password=hunter2")
    assert "hunter2" not in repr(url)

"""The first page and the API reference as files: complete, cacheable, and without anything inline."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from posixpath import dirname, join, normpath
from typing import Any, cast

import msgspec
import pytest
from aiohttp.test_utils import TestClient, TestServer

from feira.http.first_page import PAGE_PATHS, load_page
from feira.http.server import build_http_app
from feira.platform.runtime.config import Config
from feira.services.market import Market

FILES = load_page()
IMPORT = re.compile(r"""^import\s[^"']*["'](?P<path>[^"']+)["'];""", re.MULTILINE)


async def open_client(market: Market, config: Config) -> TestClient[Any, Any]:
    app = build_http_app(replace(market, config=config), cast("Any", None))
    client = TestClient(TestServer(app))
    await client.start_server()
    return client


@pytest.fixture
async def client(market: Market, config: Config) -> AsyncIterator[TestClient[Any, Any]]:
    opened = await open_client(market, config)
    yield opened
    await opened.close()


class _Page(HTMLParser):
    """What a document refers to, and what it has inline."""

    def __init__(self) -> None:
        super().__init__()
        self.links: set[str] = set()
        self.inline: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.links |= {value for name in ("href", "src") if (value := given.get(name))}
        if tag == "style" or (tag == "script" and "src" not in given):
            self.inline.append(tag)
        self.inline += [name for name in given if name == "style" or name.startswith("on")]


@pytest.mark.parametrize("document", ["index.html", "docs.html"])
def test_a_document_refers_to_files_that_are_there_and_has_nothing_inline(document: str) -> None:
    page = _Page()
    page.feed(FILES[document].content.decode())
    referred = {link.removeprefix("/page/") for link in page.links if link.startswith("/page/")}
    assert referred
    assert referred <= FILES.keys()
    assert page.inline == []


@pytest.mark.parametrize("script", [name for name in FILES if name.endswith(".js")])
def test_a_script_imports_only_scripts_that_are_there(script: str) -> None:
    for found in IMPORT.finditer(FILES[script].content.decode()):
        path = found["path"]
        assert path.startswith("."), "no bare module names: there is no bundler"
        assert normpath(join(dirname(script), path)) in FILES


def test_a_reload_finds_the_page_wherever_it_can_be() -> None:
    script = FILES["app.js"].content.decode()
    own = {
        re.sub(r":(\w+)", r"{\1}", path)
        for path in re.findall(r'^  "(/[^"]*)":', script, re.MULTILINE)
    }
    assert own == set(PAGE_PATHS)


async def test_the_page_is_served_under_a_strict_policy(client: TestClient[Any, Any]) -> None:
    for path in ("/", "/orders/1", "/docs"):
        answer = await client.get(path)
        assert answer.status == 200
        assert answer.content_type == "text/html"
        policy = answer.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "script-src 'self';" in policy
        assert "style-src 'self';" in policy
        assert "unsafe" not in policy


async def test_a_file_is_asked_for_again_but_not_sent_again(client: TestClient[Any, Any]) -> None:
    first = await client.get("/page/app.js")
    assert first.content_type == "text/javascript"
    tag = first.headers["ETag"]
    again = await client.get("/page/app.js", headers={"If-None-Match": f'"other", {tag}'})
    assert (again.status, await again.read()) == (304, b"")
    changed = await client.get("/page/app.js", headers={"If-None-Match": '"other"'})
    assert changed.status == 200


async def test_a_file_is_compressed_for_those_who_take_it(client: TestClient[Any, Any]) -> None:
    plain = await client.get("/page/base.css", headers={"Accept-Encoding": "identity"})
    small = await client.get("/page/base.css", headers={"Accept-Encoding": "gzip"})
    assert "Content-Encoding" not in plain.headers
    assert small.headers["Content-Encoding"] == "gzip"
    assert int(small.headers["Content-Length"]) < int(plain.headers["Content-Length"])
    assert await small.read() == await plain.read()


@pytest.mark.parametrize(
    "path", ["../first_page.py", "%2e%2e/first_page.py", "nothing.js", "views"]
)
async def test_nothing_but_the_pages_files_is_served(
    client: TestClient[Any, Any], path: str
) -> None:
    assert (await client.get(f"/page/{path}")).status == 404


async def test_demo_logins_are_offered_in_development_where_there_are_any(
    market: Market, config: Config, tmp_path: Path
) -> None:
    logins = [{"role": "buyer", "email": "a@example.org", "password": "made-up", "name": "A"}]
    at_home = msgspec.structs.replace(config, mail_dir=tmp_path / "mail")
    client = await open_client(market, at_home)
    assert (await client.get("/demo.json")).status == 404
    (tmp_path / "demo.json").write_bytes(msgspec.json.encode(logins))
    assert await (await client.get("/demo.json")).json() == logins
    await client.close()

    outside = msgspec.structs.replace(at_home, environment="production")
    client = await open_client(market, outside)
    assert (await client.get("/demo.json")).status == 404
    await client.close()

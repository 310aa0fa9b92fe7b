"""The first page and the API reference: static files beside this module, read once, served with tags and gzip."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from aiohttp import web

from feira.platform.domain.errors import NotFound
from feira.platform.runtime.config import Config

_FOLDER: Final = Path(__file__).with_name("page")
_CONTENT_TYPES: Final = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".svg": "image/svg+xml",
    ".webmanifest": "application/manifest+json",
}
# Addresses of the page's own views: it reads them itself. A reload must find the page there.
PAGE_PATHS: Final = (
    "/",
    "/products/{product}",
    "/cart",
    "/checkout",
    "/checkout/{group}",
    "/payments/{payment}",
    "/orders",
    "/orders/{order}",
    "/chat",
    "/chat/{conversation}",
    "/notifications",
    "/selling",
    "/selling/{section}",
    "/account",
    "/sign-in",
    "/sign-up",
    "/forgotten",
    "/verify-email",
    "/reset-password",
)
# Below this, gzip saves nothing worth its header.
_GZIP_BYTES_MIN: Final = 512


@dataclass(frozen=True, kw_only=True, slots=True)
class PageFile:
    """A file of the page, in memory: there are few, and they are small."""

    content: bytes
    gzipped: bytes | None
    content_type: str
    etag: str


def load_page(folder: Path = _FOLDER) -> dict[str, PageFile]:
    """Every servable file by its path below the folder, with forward slashes."""
    return {
        path.relative_to(folder).as_posix(): _load(path)
        for path in sorted(folder.rglob("*"))
        if path.suffix in _CONTENT_TYPES
    }


def page_routes(config: Config) -> list[web.RouteDef]:
    """`/` and its views, `/docs`, `/page/...`, and in development `/demo.json`."""
    files = load_page()
    policy = content_security_policy(config)

    async def page(request: web.Request) -> web.StreamResponse:
        return _answer(request, files["index.html"], policy)

    async def docs(request: web.Request) -> web.StreamResponse:
        return _answer(request, files["docs.html"], policy)

    async def asset(request: web.Request) -> web.StreamResponse:
        file = files.get(request.match_info["path"])
        if file is None:
            raise NotFound("route.not_found", "The page has no such file.")
        return _answer(request, file, policy)

    demo_file = config.mail_dir.parent / "demo.json"

    async def demo(_request: web.Request) -> web.StreamResponse:
        if not await asyncio.to_thread(demo_file.is_file):
            raise NotFound("route.not_found", "This market has no demo accounts.")
        content = await asyncio.to_thread(demo_file.read_bytes)
        headers = {"Cache-Control": "no-store"}
        return web.Response(body=content, content_type="application/json", headers=headers)

    routes = [web.get(path, page) for path in PAGE_PATHS]
    routes += [web.get("/docs", docs), web.get("/page/{path:.+}", asset)]
    # Known passwords: never beyond a developer's machine.
    if config.environment == "development":
        routes.append(web.get("/demo.json", demo))
    return routes


def content_security_policy(config: Config) -> str:
    """Only our own files; nothing inline. Images and uploads may also go to the object store.

    The socket's address is spelled out: older Safari does not count it as 'self'.
    """
    public = urlsplit(config.public_url)
    socket = f"{'wss' if public.scheme == 'https' else 'ws'}://{public.netloc}"
    store = _origin(config.s3_browser_url)
    return "; ".join(
        (
            "default-src 'none'",
            "script-src 'self'",
            "style-src 'self'",
            f"img-src 'self' data: blob: {store}",
            f"connect-src 'self' {socket} {store}",
            "font-src 'self'",
            "manifest-src 'self'",
            "form-action 'self'",
            "base-uri 'none'",
            "frame-ancestors 'none'",
        )
    )


def _answer(request: web.Request, file: PageFile, policy: str) -> web.StreamResponse:
    headers = {
        # No build step, so names carry no hash: ask each time, and mostly get 304.
        "Cache-Control": "no-cache",
        "ETag": file.etag,
        "Vary": "Accept-Encoding",
        "Content-Security-Policy": policy,
        "Content-Type": file.content_type,
    }
    known = (tag.strip() for tag in request.headers.get("If-None-Match", "").split(","))
    if file.etag in known:
        return web.Response(status=304, headers=headers)
    if file.gzipped is not None and "gzip" in request.headers.get("Accept-Encoding", ""):
        return web.Response(body=file.gzipped, headers={**headers, "Content-Encoding": "gzip"})
    return web.Response(body=file.content, headers=headers)


def _load(path: Path) -> PageFile:
    content = path.read_bytes()
    gzipped = gzip.compress(content, mtime=0) if len(content) >= _GZIP_BYTES_MIN else None
    return PageFile(
        content=content,
        gzipped=gzipped,
        content_type=_CONTENT_TYPES[path.suffix],
        # Weak: the same tag stands for both encodings.
        etag=f'W/"{hashlib.sha256(content).hexdigest()[:20]}"',
    )


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"

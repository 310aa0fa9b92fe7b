"""Just enough of W3C WebDriver to be a person at a browser. The driver is Debian's chromedriver."""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any, Final

import aiohttp

# The key under which WebDriver hides an element's reference (W3C WebDriver, 12).
_ELEMENT: Final = "element-6066-11e4-a52e-4f735466cecf"
WITHIN_S: Final = 15.0
FLAGS: Final = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--window-size=1180,820",
)


def chromium() -> str | None:
    """Why there is no browser here, or None."""
    missing = [name for name in ("chromium", "chromedriver") if shutil.which(name) is None]
    return f"not installed: {', '.join(missing)}" if missing else None


class Browser:
    """One window with its own profile."""

    def __init__(self, http: aiohttp.ClientSession, base: str) -> None:
        self._http = http
        self._base = base

    async def go(self, url: str) -> None:
        await self._ask("POST", "/url", {"url": url})

    async def back(self) -> None:
        await self._ask("POST", "/back", {})

    async def click(self, css: str, *, text: str = "") -> None:
        """Click the first element that matches, once it is there and can be clicked."""

        async def try_it() -> bool:
            element = await self._find(css, text)
            if element is None:
                return False
            answer = await self._ask("POST", f"/element/{element}/click", {}, may_fail=True)
            return not isinstance(answer, dict) or "error" not in answer

        await self._until(try_it, f"click {css} {text!r}")

    async def type(self, css: str, text: str) -> None:
        """Type into the first element that matches."""

        async def try_it() -> bool:
            element = await self._find(css, "")
            if element is None:
                return False
            await self._ask("POST", f"/element/{element}/value", {"text": text})
            return True

        await self._until(try_it, f"type into {css}")

    async def sees(self, text: str, css: str = "main") -> None:
        """Wait until a text can be seen, without touching anything.

        Raises:
            AssertionError: with what can be seen instead.
        """

        async def look() -> bool:
            return text in await self.text(css)

        await self._until(look, f"see {text!r}")

    async def text(self, css: str = "main") -> str:
        """What can be read in an element, or nothing."""
        script = "return document.querySelector(arguments[0])?.innerText ?? ''"
        return str(await self._ask("POST", "/execute/sync", {"script": script, "args": [css]}))

    async def errors(self) -> list[str]:
        """What went wrong in the page, by its console."""
        entries: list[dict[str, Any]] = await self._ask("POST", "/se/log", {"type": "browser"})
        return [entry["message"] for entry in entries if entry["level"] == "SEVERE"]

    async def close(self) -> None:
        await self._ask("DELETE", "", None)

    async def _find(self, css: str, text: str) -> str | None:
        script = (
            "return [...document.querySelectorAll(arguments[0])]"
            ".find((one) => one.innerText.includes(arguments[1]) && one.checkVisibility()) ?? null"
        )
        found = await self._ask("POST", "/execute/sync", {"script": script, "args": [css, text]})
        return None if found is None else str(found[_ELEMENT])

    async def _until(self, done: Any, what: str) -> None:
        deadline = time.monotonic() + WITHIN_S
        while not await done():
            if time.monotonic() > deadline:
                raise AssertionError(f"could not {what}; the page says:\n{await self.text('body')}")
            await asyncio.sleep(0.05)

    async def _ask(self, method: str, path: str, body: Any, *, may_fail: bool = False) -> Any:
        async with self._http.request(method, self._base + path, json=body) as answer:
            value = (await answer.json())["value"]
            assert may_fail or answer.ok, f"WebDriver {path}: {value}"
            return value


@asynccontextmanager
async def browsers(count: int) -> AsyncGenerator[list[Browser]]:
    """Open windows that know nothing of each other."""
    driver = await asyncio.create_subprocess_exec(
        "chromedriver",
        "--port=0",
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        assert driver.stdout is not None
        port = await _port(driver.stdout)
        async with aiohttp.ClientSession() as http:
            opened = [await _open(http, f"http://127.0.0.1:{port}") for _ in range(count)]
            try:
                yield opened
            finally:
                for browser in opened:
                    await browser.close()
    finally:
        driver.terminate()
        await driver.wait()


async def _port(output: asyncio.StreamReader) -> int:
    async with asyncio.timeout(WITHIN_S):
        while line := (await output.readline()).decode():
            if "successfully on port " in line:
                return int(line.rpartition("on port ")[2].strip().rstrip("."))
    raise AssertionError("chromedriver did not start")


async def _open(http: aiohttp.ClientSession, url: str) -> Browser:
    options = {"args": list(FLAGS), "binary": shutil.which("chromium")}
    wanted = {
        "browserName": "chrome",
        "goog:chromeOptions": options,
        "goog:loggingPrefs": {"browser": "ALL"},
    }
    body = {"capabilities": {"alwaysMatch": wanted}}
    async with http.post(f"{url}/session", json=body) as answer:
        value = (await answer.json())["value"]
        assert answer.ok, value
        return Browser(http, f"{url}/session/{value['sessionId']}")

"""`feira actors`: the busiest actors of one or more servers, live."""

from __future__ import annotations

import argparse
import asyncio
import getpass
import shutil
import sys
from typing import Annotated, Final

import aiohttp
import msgspec
from msgspec import Meta

from feira.client.api import ApiClient, ApiProblem
from feira.platform.runtime.config import Config

EVERY_S: Final = 2.0
_CLEAR: Final = "\x1b[H\x1b[2J"
_HEADINGS: Final = ("topic", "watchers", "waiting", "oldest", "batches", "msg/s", "crashes", "idle")


class _Actor(msgspec.Struct, kw_only=True):
    topic: str
    watchers: int
    mailbox_depth: int
    oldest_mail_age_s: float
    batches: int
    messages_per_s: float
    crashes: int
    idle_s: float


class _Node(msgspec.Struct, kw_only=True):
    node: str
    actors: int
    watchers: int
    mailbox_depth: int
    items: Annotated[list[_Actor], Meta(max_length=200)]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "servers", nargs="*", metavar="URL", help="servers to ask (the configured public address)"
    )
    parser.add_argument(
        "--email",
        required=True,
        help="an operator's login; the password is asked for, or read from a pipe",
    )
    parser.add_argument("--limit", type=int, default=15, help="actors a server (15)")
    parser.add_argument("--once", action="store_true", help="print one table and end")


def run(config: Config, args: argparse.Namespace) -> int:
    # Scripts pipe it in: on a command line or in an environment others could read it.
    password = getpass.getpass() if sys.stdin.isatty() else sys.stdin.readline().rstrip("\n")
    servers: list[str] = args.servers or [config.public_url]
    try:
        return asyncio.run(_show(servers, args.email, password, limit=args.limit, once=args.once))
    except KeyboardInterrupt:
        return 0


async def _show(servers: list[str], email: str, password: str, *, limit: int, once: bool) -> int:
    async with aiohttp.ClientSession() as http:
        clients = [ApiClient(server, http) for server in servers]
        try:
            for client in clients:
                await client.sign_in(email, password)
        except (ApiProblem, aiohttp.ClientError) as error:
            print(f"feira: cannot sign in: {error}", file=sys.stderr)
            return 1
        while True:
            shown = await asyncio.gather(*(_ask(client, limit) for client in clients))
            text = "\n\n".join(part for part, _ in shown)
            print(text if once else _CLEAR + text, flush=True)
            if once:
                return 0 if all(well for _, well in shown) else 1
            await asyncio.sleep(EVERY_S)


async def _ask(client: ApiClient, limit: int) -> tuple[str, bool]:
    """A server's part of the table, and whether it answered."""
    try:
        answer = await client.get("/v1/operations/actors", limit=limit)
        node = msgspec.convert(answer, _Node)
    except (ApiProblem, aiohttp.ClientError, TimeoutError) as error:
        return f"{client.base_url}  does not answer: {error}", False
    return table(client.base_url, node, columns=shutil.get_terminal_size((110, 24)).columns), True


def table(server: str, node: _Node, *, columns: int) -> str:
    """One server's actors, a line each, cut to the terminal."""
    rows = [
        (
            actor.topic,
            f"{actor.watchers}",
            f"{actor.mailbox_depth}",
            f"{actor.oldest_mail_age_s:.2f} s",
            f"{actor.batches}",
            f"{actor.messages_per_s:.1f}",
            f"{actor.crashes}",
            f"{actor.idle_s:.0f} s",
        )
        for actor in node.items
    ]
    widths = [max(map(len, column)) for column in zip(_HEADINGS, *rows, strict=True)]
    lines = [
        f"{server}  {node.node}  {node.actors} actors, {node.watchers} watches, {node.mailbox_depth} waiting"
    ]
    for row in (_HEADINGS, *rows):
        cells = [row[0].ljust(widths[0])]
        cells += [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
        lines.append("  ".join(cells))
    return "\n".join(line[:columns] for line in lines)

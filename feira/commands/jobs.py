"""`feira jobs`: what the job queue is doing, live; and the operators' hands on it.

feira jobs --email ana@example.com                      a table of kinds, renewed every two seconds
feira jobs list --email ... [--state dead] [--kind K]   jobs of one state
feira jobs show JOB | requeue JOB | cancel JOB          one job
feira jobs requeue --all KIND                           every dead one of a kind
feira jobs pause KIND --reason WHY | resume KIND        one kind
"""

from __future__ import annotations

import argparse
import asyncio
import getpass
import shutil
import sys
from collections.abc import Awaitable, Callable
from typing import Any, Final

import aiohttp
import msgspec

from feira.client.api import ApiClient, ApiProblem
from feira.commands.jobs_table import Job, Kind, job_lines, jobs_table, kinds_table
from feira.platform.runtime.config import Config

EVERY_S: Final = 2.0
_CLEAR: Final = "\x1b[H\x1b[2J"
_PATH: Final = "/v1/operations/jobs"
_STATES: Final = ("ready", "queued", "running", "done", "dead", "cancelled")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    _add_login(parser)
    parser.add_argument("--once", action="store_true", help="print one table and end")
    verbs = parser.add_subparsers(dest="verb", metavar="VERB")
    listing = verbs.add_parser("list", help="list jobs of one state")
    listing.add_argument("--state", choices=_STATES, default="dead", help="%(default)s")
    listing.add_argument("--kind", help="of this kind only")
    listing.add_argument("--older-than", type=int, metavar="S", help="since more seconds than this")
    listing.add_argument("--limit", type=int, default=20, help="at most so many (%(default)s)")
    show = verbs.add_parser("show", help="show a job and what its failed attempts said")
    show.add_argument("job")
    requeue = verbs.add_parser("requeue", help="give a dead or cancelled job its attempts again")
    which = requeue.add_mutually_exclusive_group(required=True)
    which.add_argument("job", nargs="?")
    which.add_argument("--all", metavar="KIND", help="all dead ones of a kind")
    cancel = verbs.add_parser("cancel", help="cancel a job that waits or runs")
    cancel.add_argument("job")
    pause = verbs.add_parser("pause", help="hand over no more jobs of a kind")
    pause.add_argument("kind")
    pause.add_argument("--reason", required=True, help="why, for the other operators")
    resume = verbs.add_parser("resume", help="go on with a paused kind")
    resume.add_argument("kind")
    for verb in verbs.choices.values():
        # After the verb too; where it stands before it, that one holds.
        _add_login(verb, default=argparse.SUPPRESS)


def run(config: Config, args: argparse.Namespace) -> int:
    if args.email is None:
        print("feira jobs: give --email, an operator's login", file=sys.stderr)
        return 2
    # Scripts pipe it in: on a command line or in an environment others could read it.
    password = getpass.getpass() if sys.stdin.isatty() else sys.stdin.readline().rstrip("\n")
    try:
        return asyncio.run(_run(args.server or config.public_url, args, password))
    except KeyboardInterrupt:
        return 0


async def _run(server: str, args: argparse.Namespace, password: str) -> int:
    verbs: dict[str | None, Callable[[ApiClient, argparse.Namespace], Awaitable[None]]] = {
        None: _watch,
        "list": _list,
        "show": _show,
        "requeue": _requeue,
        "cancel": _cancel,
        "pause": _pause,
        "resume": _resume,
    }
    async with aiohttp.ClientSession() as http:
        client = ApiClient(server, http)
        try:
            await client.sign_in(args.email, password)
            await verbs[args.verb](client, args)
        except (ApiProblem, aiohttp.ClientError, TimeoutError) as error:
            print(f"feira jobs: {error}", file=sys.stderr)
            return 1
    return 0


async def _watch(client: ApiClient, args: argparse.Namespace) -> None:
    while True:
        answer = await client.get(f"{_PATH}/kinds")
        kinds = msgspec.convert(answer["items"], list[Kind])
        text = kinds_table(kinds, columns=_columns())
        print(text if args.once else f"{_CLEAR}{client.base_url}  {text}", flush=True)
        if args.once:
            return
        await asyncio.sleep(EVERY_S)


async def _list(client: ApiClient, args: argparse.Namespace) -> None:
    wanted: dict[str, Any] = {"state": args.state, "kind": args.kind}
    wanted["older_than_s"] = args.older_than
    found: list[Job] = []
    while len(found) < args.limit:
        wanted["limit"] = min(100, args.limit - len(found))
        query = {name: value for name, value in wanted.items() if value is not None}
        page = await client.get(_PATH, **query)
        found += msgspec.convert(page["items"], list[Job])
        if page["next_cursor"] is None:
            break
        wanted["cursor"] = page["next_cursor"]
    print(jobs_table(found, columns=_columns()))


async def _show(client: ApiClient, args: argparse.Namespace) -> None:
    print(job_lines(await client.get(f"{_PATH}/{args.job}")))


async def _requeue(client: ApiClient, args: argparse.Namespace) -> None:
    if args.all is None:
        await _steer(client, f"{_PATH}/{args.job}/requeue")
        return
    count, more = 0, True
    while more:
        answer = await client.post(f"{_PATH}/kinds/{args.all}/requeue", {})
        count, more = count + answer["requeued"], answer["more"]
    print(f"{args.all}: {count} requeued")


async def _cancel(client: ApiClient, args: argparse.Namespace) -> None:
    await _steer(client, f"{_PATH}/{args.job}/cancel")


async def _steer(client: ApiClient, path: str) -> None:
    answer = await client.post(path, {})
    told = (
        " and will not commit" if path.endswith("cancel") and answer["state"] == "running" else ""
    )
    print(f"{answer['kind']} {answer['id']} is {answer['state']}{told}")


async def _pause(client: ApiClient, args: argparse.Namespace) -> None:
    await client.post(f"{_PATH}/kinds/{args.kind}/pause", {"reason": args.reason})
    print(f"{args.kind} is paused")


async def _resume(client: ApiClient, args: argparse.Namespace) -> None:
    await client.post(f"{_PATH}/kinds/{args.kind}/resume", {})
    print(f"{args.kind} goes on")


def _add_login(parser: argparse.ArgumentParser, *, default: str | None = None) -> None:
    parser.add_argument(
        "--email",
        default=default,
        help="an operator's login; the password is asked for, or read from a pipe",
    )
    parser.add_argument(
        "--server", metavar="URL", default=default, help="whom to ask (the public address)"
    )


def _columns() -> int:
    return shutil.get_terminal_size((120, 24)).columns

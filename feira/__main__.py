"""The command line. Each subcommand lives in `feira.commands` and is imported only when it is asked for."""

import argparse
import importlib
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol, cast

from feira import __version__
from feira.platform.runtime.config import Config, ConfigError, load_config

COMMANDS = {
    "up": "start a whole marketplace on this machine, databases included",
    "serve": "run one web server node",
    "work": "run one job worker",
    "migrate": "bring the database's schema up to date",
    "seed": "fill the database with a demo market",
    "doctor": "check every connection and say what is wrong",
    "market-day": "play a busy market and check that nothing was lost or doubled",
    "actors": "show the busiest actors of running servers, live",
    "jobs": "show the job queue live; list, requeue, cancel, pause and resume",
    "ledger": "check every rule of the money",
    "shop-account": "tie a shop to an account that was made at the payment provider by hand",
    "config": "print every setting, its meaning and where its value comes from",
}
_EXIT_USAGE = 2


class _Command(Protocol):
    """What each module of `feira.commands` offers; `add_arguments(parser)` is optional."""

    def run(self, config: Config, args: argparse.Namespace) -> int: ...


def main(argv: Sequence[str] | None = None) -> int:
    """Run one subcommand; returns its exit code, 2 for a wrong command line or setting."""
    words = list(sys.argv[1:] if argv is None else argv)
    name = next((word for word in words if word in COMMANDS), None)
    parser = _parser(name)
    args = parser.parse_args(words)
    if name is None:
        parser.print_help()
        return _EXIT_USAGE
    try:
        config = load_config(os.environ, args.config)
    except ConfigError as error:
        print(f"feira: {error}", file=sys.stderr)
        return _EXIT_USAGE
    return cast("_Command", _module(name)).run(config, args)


def _parser(chosen: str | None) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="feira", description="A real-time marketplace.", allow_abbrev=False
    )
    parser.add_argument("--version", action="version", version=f"feira {__version__}")
    parser.add_argument(
        "--config",
        type=Path,
        metavar="FILE",
        default=os.environ.get("FEIRA_CONFIG"),
        help="TOML file of settings; FEIRA_... variables win over it",
    )
    subparsers = parser.add_subparsers(metavar="COMMAND")
    for name, summary in COMMANDS.items():
        subparser = subparsers.add_parser(
            name, help=summary, description=summary, allow_abbrev=False
        )
        if name == chosen:
            add_arguments = getattr(_module(name), "add_arguments", None)
            if add_arguments is not None:
                add_arguments(subparser)
    return parser


def _module(name: str) -> object:
    return importlib.import_module(f"feira.commands.{name.replace('-', '_')}")


if __name__ == "__main__":
    sys.exit(main())

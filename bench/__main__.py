"""`python -m bench [startup|chat|checkout|hot-sku|idle|bus ...] [--write] [--quick]`: measure, and print what came out."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Coroutine
from typing import Final

import uvloop

from bench import bus, chat, checkout, hot_sku, idle, startup
from bench.report import Figure, render, write_section

Measurement = Callable[[], Coroutine[None, None, Figure]]

FULL: Final[dict[str, Measurement]] = {
    "startup": lambda: startup.measure(startup.StartupSizes()),
    "chat": lambda: chat.measure(chat.ChatSizes()),
    "checkout": lambda: checkout.measure(checkout.CheckoutSizes()),
    "hot-sku": lambda: hot_sku.measure(hot_sku.HotSkuSizes()),
    "idle": lambda: idle.measure(idle.IdleSizes()),
    "bus": lambda: bus.measure(bus.BusSizes()),
}
QUICK: Final[dict[str, Measurement]] = {
    "startup": lambda: startup.measure(startup.SMALL),
    "chat": lambda: chat.measure(chat.SMALL),
    "checkout": lambda: checkout.measure(checkout.SMALL),
    "hot-sku": lambda: hot_sku.measure(hot_sku.SMALL),
    "idle": lambda: idle.measure(idle.SMALL),
    "bus": lambda: bus.measure(bus.SMALL),
}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("figures", nargs="*", metavar="figure", help=", ".join(FULL))
    parser.add_argument("--write", action="store_true", help="put the results into RESULTS.md")
    parser.add_argument("--quick", action="store_true", help="tiny numbers, to try the code")
    args = parser.parse_args()
    names: list[str] = args.figures or list(FULL)
    if unknown := [name for name in names if name not in FULL]:
        parser.error(f"unknown: {', '.join(unknown)}; choose from {', '.join(FULL)}")
    if args.write and args.quick:
        parser.error("tiny numbers are not worth writing down")
    command = "python -m bench " + " ".join(sys.argv[1:])
    for name in names:
        print(f"measuring {name} ...", file=sys.stderr, flush=True)
        figure = uvloop.run((QUICK if args.quick else FULL)[name]())
        section = render(figure, command.strip())
        print(section, flush=True)
        if args.write:
            write_section(section)
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""`python -m tests.integration.conformance [--write]`: RFC 6455, case by case, against `feira serve`."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from bench.stage import open_servers, open_stage
from tests.integration.conformance.case import Case, HandshakeCase
from tests.integration.conformance.suite import FAMILIES, Result, all_cases, run_all

REPORT: Final = Path(__file__).parents[3] / "docs" / "conformance.md"


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tests.integration.conformance", description=__doc__
    )
    parser.add_argument("--write", action="store_true", help=f"write {REPORT.name}")
    args = parser.parse_args()
    results = asyncio.run(_measure(all_cases()))
    report = render(results)
    failed = [result for result in results if not result.is_passed]
    if args.write:
        REPORT.write_text(report, encoding="utf-8")
    else:
        sys.stdout.write(report)
    sys.stderr.write(f"{len(results)} cases, {len(failed)} failed\n")
    return 1 if failed else 0


async def _measure(cases: Iterable[Case | HandshakeCase]) -> list[Result]:
    async with open_servers() as config, open_stage(config) as stage:
        return await run_all(cases, stage.config.port)


def render(results: list[Result]) -> str:
    """The report in Markdown: one line a family, then one line a case."""
    lines = [
        "# Conformance with RFC 6455",
        "",
        "Written by `make conformance`: every case is played over a TCP connection of its own against `feira serve`.",
        "The families are those of the Autobahn test suite, which needs Python 2 and an echo; 0, 8 and 9 are ours.",
        "Expected is what the server says: answers by id, pongs, the close code, and the end of the connection.",
        "",
        "| family | | cases | passed |",
        "|---|---|---|---|",
    ]
    for family, name in FAMILIES.items():
        of_family = [result for result in results if result.case.id.split(".")[0] == family]
        passed = sum(result.is_passed for result in of_family)
        lines.append(f"| {family} | {name} | {len(of_family)} | {passed} |")
    lines += [
        "",
        "Where the RFC leaves a choice:",
        "",
        "- UTF-8 is checked when a frame is whole, in every fragment; a frame that is still arriving is not looked into (8.1 asks for no more).",
        "- A close frame is answered with the code that it brought, after the answers to commands that came before it (5.5.1).",
        "- A surrogate is noticed with its third byte, not its second.",
        "- Codes that the registry does not know, and those from 5000, are protocol errors (7.4.2 does not define them).",
        "- No extension is ever agreed on: compression would cost a socket 100 KiB.",
        "- More than 2,000 frames a second of any kind end the socket with 3013 (10.4 lets a server set limits).",
        "",
        "| case | clause | | expected | |",
        "|---|---|---|---|---|",
    ]
    for result in results:
        case = result.case
        verdict = "pass" if result.is_passed else f"**{', '.join(result.said) or 'nothing'}**"
        expected = ", ".join(case.expected) or "nothing"
        lines.append(
            f"| {case.id} | {case.clause} | {case.title} | {_short(expected)} | {verdict} |"
        )
    return "\n".join(lines) + "\n"


def _short(text: str) -> str:
    return text if len(text) <= 60 else text[:57] + "…"


if __name__ == "__main__":
    sys.exit(main())
